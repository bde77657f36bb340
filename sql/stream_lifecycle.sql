-- What happens to streams besides appends: truncate, close and reopen, erase,
-- retain, restore, clear; on plain logs and on protected tables, too.  Appends
-- at the same time are in test/specs/stream_lifecycle_race.spec.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
CREATE FUNCTION pg_temp.make(subject text, VARIADIC types text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT max((e->>'version')::bigint) FROM nvent.stream_append_batch(subject, (
        SELECT array_agg(jsonb_build_object('type', t, 'ts', n * 1000) ORDER BY n)
        FROM unnest(types) WITH ORDINALITY u (t, n))) e
$$;

-- before: lower versions go, the last event never does.
SELECT pg_temp.make('test:account:1', 'a', 'b', 'c', 'd');
SELECT * FROM nvent.stream_truncate('test:account:1', before => 3);
SELECT pg_temp.events('test:account:1'), nvent.stream_version('test:account:1');
SELECT * FROM nvent.stream_truncate('test:account:1', before => 3);
SELECT * FROM nvent.stream_truncate('test:account:1', before => 99);
SELECT pg_temp.events('test:account:1');
SELECT pg_temp.show(nvent.stream_append('test:account:1', '{"type": "e"}', 4));
SELECT * FROM nvent.stream_truncate('test:account:none', before => 3);

-- before_ts: what precedes the last snapshot before a time.
SELECT pg_temp.make('test:account:2', 'a', '__snapshot__', 'b', '__snapshot__', 'c', '__snapshot__', 'd');
SELECT count(*) FROM nvent.stream_truncate('test:account:2', before_ts => 2000);
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:account:2', before_ts => 2001);
SELECT deleted, pg_temp.show(t.record) FROM nvent.stream_read('test:account:2', types => '{b}') e,
    nvent.stream_truncate('test:account:2', before_ts => 99000, max_id => (e->>'id')::bigint) t;
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:account:2', before_ts => 6000);
SELECT pg_temp.events('test:account:2');
SELECT count(*) FROM nvent.stream_truncate('test:account:1', before_ts => 99000);
SELECT count(*) FROM nvent.stream_truncate('test:account:none', before_ts => 99000);
SELECT pg_temp.show(nvent.stream_append('test:account:2', '{"type": "e"}', 7));

-- seed: one event in place of all, with the next version or the first.
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:account:2',
    seed => '{"type": "__snapshot__", "data": {"balance": 7}}');
SELECT pg_temp.events('test:account:2');
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:account:2', seed => '{"type": "__snapshot__"}', restart => true);
SELECT pg_temp.show(nvent.stream_append('test:account:2', '{"type": "f"}', 1));
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:account:3', seed => '{"type": "__tombstone__", "cause": "x"}');
SELECT pg_temp.show(nvent.stream_append('test:account:3', '{"type": "f"}'));

-- Several at once are one transaction.
SELECT subject, deleted, record->>'version' AS version FROM (VALUES ('test:account:1'), ('test:account:2')) v (subject),
    nvent.stream_truncate(subject, seed => '{"type": "__snapshot__"}') ORDER BY 1;

-- What is no form.
SELECT nvent.stream_truncate('test:account:1');
SELECT nvent.stream_truncate('test:account:1', before => 1, seed => '{"type": "x"}');
SELECT nvent.stream_truncate('test:account:1', before => 1, max_id => 1);
SELECT nvent.stream_truncate('test:account:1', before => 1, restart => true);
SELECT nvent.stream_truncate('test:account:1', seed => '{}');
SELECT nvent.stream_truncate(NULL, before => 1);
SELECT nvent.stream_truncate('test:account:1', before => 1, restart => NULL);
SELECT pg_temp.events('test:account:1');

-- A plain log has no versions to truncate by, but the other forms.
SELECT nvent.stream_create_table('log', versioned => false, store => 'test');
SELECT pg_temp.make('test:log:1', 'a', '__snapshot__', 'b');
SELECT nvent.stream_truncate('test:log:1', before => 2);
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:log:1', before_ts => 99000);
SELECT deleted, pg_temp.show(record) FROM nvent.stream_truncate('test:log:1', seed => '{"type": "c"}');

-- A closed stream takes no events, until it is opened again.
SELECT pg_temp.make('test:account:4', 'a');
SELECT pg_temp.show(nvent.stream_close('test:account:4', 7));
SELECT pg_temp.show(nvent.stream_close('test:account:4', 1, '{"by": "ann"}'));
SELECT nvent.stream_append('test:account:4', '{"type": "b"}');
\set VERBOSITY default
SELECT nvent.stream_append('test:account:4', '{"type": "b"}', 2);
-- Who expects another version gets the conflict, which he knows what to do about.
SELECT nvent.stream_append('test:account:4', '{"type": "b"}', 1);
\set VERBOSITY terse
SELECT nvent.stream_append_many('[{"subject": "test:account:5", "events": [{"type": "a"}]},
    {"subject": "test:account:4", "events": [{"type": "b"}]}]');
SELECT nvent.stream_close('test:account:4');
-- It can be looked at.
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[{"subject": "test:account:5", "events": [{"type": "a"}]},
    {"subject": "test:account:4", "expected": 2}]') e;
SELECT nvent.stream_reopen('test:account:5') IS NULL AS was_open, nvent.stream_reopen('test:account:none') IS NULL AS was_none;
SELECT pg_temp.show(nvent.stream_reopen('test:account:4', '"again"'));
SELECT pg_temp.show(nvent.stream_append('test:account:4', '{"type": "b"}', 3));
SELECT nvent.stream_reopen(NULL);
-- A closed stream keeps its last word through a truncate, and not through a delete.
SELECT pg_temp.show(nvent.stream_close('test:account:4'));
SELECT deleted FROM nvent.stream_truncate('test:account:4', before => 99);
SELECT nvent.stream_append('test:account:4', '{"type": "c"}');
SELECT nvent.stream_delete('test:account:4');
SELECT pg_temp.show(nvent.stream_append('test:account:4', '{"type": "c"}', 0));

-- pii comes back with its event until it is erased; nothing else changes.
SELECT e->'pii' FROM nvent.stream_append_batch('test:customer:1',
    '{"{\"type\": \"a\", \"data\": 1, \"pii\": {\"name\": \"Ann\"}, \"eventId\": \"p-1\"}", "{\"type\": \"b\"}"}') e;
SELECT e->'pii' FROM nvent.stream_append('test:customer:2', '{"type": "a", "pii": {"name": "Bob"}}') e;
CREATE TEMP TABLE before AS SELECT e - 'pii' AS e FROM nvent.stream_read('test:customer:1') e;
SELECT nvent.stream_erase('test:customer:1'), nvent.stream_erase('test:customer:1') AS again, nvent.stream_erase('test:customer:none') AS none;
SELECT count(*) AS same FROM nvent.stream_read('test:customer:1') e JOIN before b ON e.event = b.e;
SELECT e->'pii' FROM nvent.stream_read('test:customer:2') e;
-- What is sent again does not bring it back.
SELECT e->'pii' IS NULL AS erased FROM nvent.stream_append('test:customer:1',
    '{"type": "a", "data": 1, "pii": {"name": "Ann"}, "eventId": "p-1"}') e;
SELECT nvent.stream_append('test:flow:run:1', '{"type": "a"}') IS NOT NULL AS appended;
SELECT nvent.stream_erase('test:flow:run:1');

-- Retention leaves the last event of a versioned stream, and of a log nothing.
SELECT pg_temp.make('test:audit:1', 'a', 'b', 'c'), pg_temp.make('test:audit:2', 'a');
SELECT nvent.stream_append('test:audit:1', '{"type": "new"}') IS NOT NULL AS appended;
SELECT nvent.stream_retain('audit', '1 day', 'test', max_count => 2);
SELECT pg_temp.events('test:audit:1');
SELECT nvent.stream_retain('audit', '1 day', 'test'), nvent.stream_retain('audit', '1 day', 'test') AS again;
SELECT pg_temp.events('test:audit:1'), pg_temp.events('test:audit:2');
SELECT pg_temp.make('test:log:2', 'a', 'b');
SELECT nvent.stream_retain('log', '1 day', 'test'), pg_temp.events('test:log:2') IS NULL AS empty;
SELECT nvent.stream_retain('none', '1 day', 'test');
SELECT nvent.stream_retain('audit', '1 day', 'nowhere');
SET nvent_store.default_store = 'nowhere';
SELECT nvent.stream_retain('audit', '1 day');
RESET nvent_store.default_store;
SELECT nvent.stream_retain('audit:1', '1 day', 'test');
SELECT nvent.stream_retain('audit', NULL, 'test');
SELECT nvent.stream_retain('audit', '1 day', 'test', max_count => -1);

-- All of it works on protected tables.
SELECT nvent.stream_protect('test.test_stream_account'), nvent.stream_protect('test.test_stream_customer'), nvent.stream_protect('test.test_stream_audit');
SELECT deleted FROM nvent.stream_truncate('test:account:5', seed => '{"type": "__snapshot__"}');
SELECT deleted FROM nvent.stream_truncate('test:account:5', before => 9);
SELECT nvent.stream_erase('test:customer:2');
SELECT nvent.stream_retain('audit', '-1 day', 'test');
SELECT pg_temp.show(nvent.stream_close('test:account:5')), pg_temp.show(nvent.stream_reopen('test:account:5'));
SELECT nvent.stream_delete('test:account:5');
DELETE FROM test.test_stream_account;

-- Restore: a copy of the records, versions and times as they were, ids anew.
CREATE TEMP TABLE copy AS
SELECT row_number() OVER (ORDER BY (e->>'id')::bigint) AS n, e FROM (
    SELECT nvent.stream_read(s, max_count => NULL) AS e FROM (VALUES ('test:account:1'), ('test:account:2'),
        ('test:customer:1'), ('test:audit:1')) v (s)) x;
SELECT nvent.snapshot_save('test:snap', '1', '{}');
BEGIN;
SELECT nvent.stream_clear('test') > 0 AS cleared, (SELECT count(*) FROM nvent.snapshot_load('test:snap')) AS snapshots;
SELECT nvent.stream_version('test:account:1');
SELECT count(*) FROM nvent.stream_restore((SELECT array_agg(e ORDER BY n) FROM copy)) r;
SELECT count(*) AS same FROM copy c JOIN (
    SELECT row_number() OVER (ORDER BY (e->>'id')::bigint) AS n, e FROM (
        SELECT nvent.stream_read(s, max_count => NULL) AS e FROM (VALUES ('test:account:1'), ('test:account:2'),
            ('test:customer:1'), ('test:audit:1')) v (s)) x) r
    ON c.n = r.n AND c.e - 'id' = r.e - 'id' AND (r.e->>'id')::bigint > (c.e->>'id')::bigint;
SELECT (SELECT count(*) FROM copy) AS copied;
SELECT pg_temp.show(nvent.stream_append('test:account:2', '{"type": "next"}'));
-- What was truncated there leaves gaps, which go on; nothing goes back.
SELECT pg_temp.show(e) FROM nvent.stream_restore(ARRAY['{"subject": "test:account:2", "version": 19, "type": "x"}',
    '{"subject": "test:account:2", "version": 29, "type": "x"}', '{"subject": "test:account:2", "type": "x"}']::jsonb[]) e;
SELECT pg_temp.show(nvent.stream_append('test:account:2', '{"type": "next"}', 30));
SELECT nvent.stream_restore(ARRAY['{"subject": "test:account:2", "version": 31, "type": "x"}']::jsonb[]);
ROLLBACK;
-- A version is a whole number, and not rounded to one.
SELECT nvent.stream_restore(ARRAY['{"subject": "test:account:2", "version": 99.5, "type": "x"}']::jsonb[]);
SELECT nvent.stream_restore(ARRAY['{"subject": "test:account:2", "version": "99", "type": "x"}']::jsonb[]);
SELECT pg_temp.events('test:account:1');
SELECT (SELECT count(*) FROM nvent.snapshot_load('test:snap')) AS snapshots;
SELECT pg_temp.show(e) FROM nvent.stream_restore(ARRAY['{"subject": "test:new:1", "version": 7, "type": "x", "ts": 5}',
    '{"subject": "test:new:2", "type": "y", "meta": {"a": 1}}', '{"subject": "test:new:1", "type": "z"}']::jsonb[]) e;
SELECT nvent.stream_restore(ARRAY['{"subject": "test:new:3", "version": 0, "type": "x"}']::jsonb[]);
SELECT nvent.stream_restore(ARRAY['{"type": "x"}']::jsonb[]);
SELECT nvent.stream_restore(ARRAY['[]']::jsonb[]);
SELECT nvent.stream_restore(ARRAY[NULL]::jsonb[]);
SELECT nvent.stream_restore(NULL);
SELECT nvent.stream_restore('{}');
SELECT nvent.stream_clear('nowhere');

-- A log that is restored as a whole, in one transaction, is read from its
-- beginning by whoever subscribes again, however far consumers had read.
SELECT nvent.store_create('other', 'test');
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "other:b:1", "events": [{"type": "a"}, {"type": "b", "pii": 7}, {"type": "a"}]},
    {"subject": "other:a:1", "events": [{"type": "__snapshot__"}, {"type": "b"}]},
    {"subject": "other:flow:run:7", "events": [{"type": "b"}]}]');
CREATE FUNCTION pg_temp.fetched() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((e->>'subject') || ' ' || (e->>'type'), ', ' ORDER BY (e->>'id')::bigint)
    FROM nvent.consumer_fetch(store => 'other') f, unnest(f.events) e, nvent.consumer_ack(f.name, f.token, f.upto, store => 'other')
$$;
SELECT nvent.consumer_subscribe('r', 'other:b:>', store => 'other'), pg_temp.fetched();
CREATE TEMP TABLE log AS SELECT e, n FROM nvent.stream_poll('other:>', 0) p, unnest(p.events) WITH ORDINALITY u (e, n) WHERE e->>'subject' !~ 'flow';
BEGIN;
SELECT nvent.stream_clear('other');
SELECT count(nvent.consumer_unsubscribe(name, 'other')) FROM nvent.consumer_list(max_count => NULL, store => 'other');
SELECT count(*) FROM nvent.stream_restore((SELECT array_agg(e ORDER BY n) FROM log));
COMMIT;
SELECT nvent.consumer_subscribe('r', 'other:b:>', store => 'other'), pg_temp.fetched();
SELECT pg_temp.fetched() IS NULL AS no_more;
SELECT nvent.store_migrate('other', 0) > 0 AS dropped;

-- Only who administers a store restores and clears.
CREATE ROLE regress_nvs_other;
SELECT nvent.store_grant('regress_nvs_other', 'write', 'test');
GRANT EXECUTE ON FUNCTION nvent.stream_restore, nvent.stream_clear TO regress_nvs_other;
SET ROLE regress_nvs_other;
SELECT nvent.stream_restore(ARRAY['{"subject": "test:new:1", "type": "x"}']::jsonb[]);
SELECT nvent.stream_clear('test');
RESET ROLE;
DROP OWNED BY regress_nvs_other;
DROP ROLE regress_nvs_other;

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
