-- What happens to streams besides appends: truncate, close, forget, retain,
-- restore; and what layout 5 adds to tables that are there.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('ag', 'ag');
CREATE FUNCTION ag.show(r jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r->>'subject', r->>'version', r->>'type', r->'data')
$$;
CREATE FUNCTION ag.make(subject text, VARIADIC types text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT max((e->>'version')::bigint) FROM nvent.stream_append_batch(subject, (
        SELECT array_agg(jsonb_build_object('type', t, 'ts', n * 1000) ORDER BY n)
        FROM unnest(types) WITH ORDINALITY u (t, n))) e
$$;
CREATE FUNCTION ag.events(subject text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((e->>'version') || ':' || (e->>'type'), ' ' ORDER BY (e->>'id')::bigint)
    FROM nvent.stream_read($1, max_count => NULL) e
$$;

-- before: lower versions go, the last event never does.
SELECT ag.make('ag:account:1', 'a', 'b', 'c', 'd');
SELECT * FROM nvent.stream_truncate('ag:account:1', before => 3);
SELECT ag.events('ag:account:1'), nvent.stream_version('ag:account:1');
SELECT * FROM nvent.stream_truncate('ag:account:1', before => 3);
SELECT * FROM nvent.stream_truncate('ag:account:1', before => 99);
SELECT ag.events('ag:account:1');
SELECT ag.show(nvent.stream_append('ag:account:1', '{"type": "e"}', 4));
SELECT * FROM nvent.stream_truncate('ag:account:none', before => 3);

-- before_ts: what precedes the last snapshot before a time.
SELECT ag.make('ag:account:2', 'a', '__snapshot__', 'b', '__snapshot__', 'c', '__snapshot__', 'd');
SELECT count(*) FROM nvent.stream_truncate('ag:account:2', before_ts => 2000);
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:account:2', before_ts => 2001);
SELECT deleted, ag.show(t.record) FROM nvent.stream_read('ag:account:2', types => '{b}') e,
    nvent.stream_truncate('ag:account:2', before_ts => 99000, max_id => (e->>'id')::bigint) t;
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:account:2', before_ts => 6000);
SELECT ag.events('ag:account:2');
SELECT count(*) FROM nvent.stream_truncate('ag:account:1', before_ts => 99000);
SELECT count(*) FROM nvent.stream_truncate('ag:account:none', before_ts => 99000);
SELECT ag.show(nvent.stream_append('ag:account:2', '{"type": "e"}', 7));

-- seed: one event in place of all, with the next version or the first.
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:account:2',
    seed => '{"type": "__snapshot__", "data": {"balance": 7}}');
SELECT ag.events('ag:account:2');
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:account:2', seed => '{"type": "__snapshot__"}', restart => true);
SELECT ag.show(nvent.stream_append('ag:account:2', '{"type": "f"}', 1));
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:account:3', seed => '{"type": "__tombstone__", "cause": "x"}');
SELECT ag.show(nvent.stream_append('ag:account:3', '{"type": "f"}'));

-- Several at once are one transaction.
SELECT subject, deleted, record->>'version' AS version FROM (VALUES ('ag:account:1'), ('ag:account:2')) v (subject),
    nvent.stream_truncate(subject, seed => '{"type": "__snapshot__"}') ORDER BY 1;

-- What is no form.
SELECT nvent.stream_truncate('ag:account:1');
SELECT nvent.stream_truncate('ag:account:1', before => 1, seed => '{"type": "x"}');
SELECT nvent.stream_truncate('ag:account:1', before => 1, max_id => 1);
SELECT nvent.stream_truncate('ag:account:1', before => 1, restart => true);
SELECT nvent.stream_truncate('ag:account:1', seed => '{}');
SELECT nvent.stream_truncate(NULL, before => 1);
SELECT nvent.stream_truncate('ag:account:1', before => 1, restart => NULL);
SELECT ag.events('ag:account:1');

-- A plain log has no versions to truncate by, but the other forms.
SELECT nvent.stream_create_table('log', versioned => false, store => 'ag');
SELECT ag.make('ag:log:1', 'a', '__snapshot__', 'b');
SELECT nvent.stream_truncate('ag:log:1', before => 2);
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:log:1', before_ts => 99000);
SELECT deleted, ag.show(record) FROM nvent.stream_truncate('ag:log:1', seed => '{"type": "c"}');

-- A closed stream takes no events, until it is opened again.
SELECT ag.make('ag:account:4', 'a');
SELECT ag.show(nvent.stream_close('ag:account:4', 7));
SELECT ag.show(nvent.stream_close('ag:account:4', 1, '{"by": "ann"}'));
SELECT nvent.stream_append('ag:account:4', '{"type": "b"}');
\set VERBOSITY default
SELECT nvent.stream_append('ag:account:4', '{"type": "b"}', 2);
\set VERBOSITY terse
SELECT nvent.stream_append_many('[{"subject": "ag:account:5", "events": [{"type": "a"}]},
    {"subject": "ag:account:4", "events": [{"type": "b"}]}]');
SELECT nvent.stream_close('ag:account:4');
-- It can be looked at.
SELECT ag.show(e) FROM nvent.stream_append_many('[{"subject": "ag:account:5", "events": [{"type": "a"}]},
    {"subject": "ag:account:4", "expected": 2}]') e;
SELECT nvent.stream_reopen('ag:account:5') IS NULL AS was_open, nvent.stream_reopen('ag:account:none') IS NULL AS was_none;
SELECT ag.show(nvent.stream_reopen('ag:account:4', '"again"'));
SELECT ag.show(nvent.stream_append('ag:account:4', '{"type": "b"}', 3));
SELECT nvent.stream_reopen(NULL);
-- A closed stream keeps its last word through a truncate, and not through a delete.
SELECT ag.show(nvent.stream_close('ag:account:4'));
SELECT deleted FROM nvent.stream_truncate('ag:account:4', before => 99);
SELECT nvent.stream_append('ag:account:4', '{"type": "c"}');
SELECT nvent.stream_delete('ag:account:4');
SELECT ag.show(nvent.stream_append('ag:account:4', '{"type": "c"}', 0));

-- pii comes back with its event until it is forgotten; nothing else changes.
SELECT e->'pii' FROM nvent.stream_append_batch('ag:customer:1',
    '{"{\"type\": \"a\", \"data\": 1, \"pii\": {\"name\": \"Ann\"}, \"eventId\": \"p-1\"}", "{\"type\": \"b\"}"}') e;
SELECT e->'pii' FROM nvent.stream_append('ag:customer:2', '{"type": "a", "pii": {"name": "Bob"}}') e;
CREATE TEMP TABLE before AS SELECT e - 'pii' AS e FROM nvent.stream_read('ag:customer:1') e;
SELECT nvent.stream_erase('ag:customer:1'), nvent.stream_erase('ag:customer:1') AS again, nvent.stream_erase('ag:customer:none') AS none;
SELECT count(*) AS same FROM nvent.stream_read('ag:customer:1') e JOIN before USING (e);
SELECT e->'pii' FROM nvent.stream_read('ag:customer:2') e;
-- What is sent again does not bring it back.
SELECT e->'pii' IS NULL AS forgotten FROM nvent.stream_append('ag:customer:1',
    '{"type": "a", "data": 1, "pii": {"name": "Ann"}, "eventId": "p-1"}') e;
SELECT nvent.stream_append('ag:flow:run:1', '{"type": "a"}') IS NOT NULL AS appended;
SELECT nvent.stream_erase('ag:flow:run:1');

-- Retention leaves the last event of a versioned stream, and of a log nothing.
SELECT ag.make('ag:audit:1', 'a', 'b', 'c'), ag.make('ag:audit:2', 'a');
SELECT nvent.stream_append('ag:audit:1', '{"type": "new"}') IS NOT NULL AS appended;
SELECT nvent.stream_retain('audit', '1 day', 'ag', max_count => 2);
SELECT ag.events('ag:audit:1');
SELECT nvent.stream_retain('audit', '1 day', 'ag'), nvent.stream_retain('audit', '1 day', 'ag') AS again;
SELECT ag.events('ag:audit:1'), ag.events('ag:audit:2');
SELECT ag.make('ag:log:2', 'a', 'b');
SELECT nvent.stream_retain('log', '1 day', 'ag'), ag.events('ag:log:2') IS NULL AS empty;
SELECT nvent.stream_retain('none', '1 day', 'ag'), nvent.stream_retain('audit', '1 day', 'nowhere');
SELECT nvent.stream_retain('audit', NULL, 'ag');
SELECT nvent.stream_retain('audit', '1 day', 'ag', max_count => -1);

-- All of it works on protected tables.
SELECT nvent.stream_protect('ag.ag_stream_account'), nvent.stream_protect('ag.ag_stream_customer'), nvent.stream_protect('ag.ag_stream_audit');
SELECT deleted FROM nvent.stream_truncate('ag:account:5', seed => '{"type": "__snapshot__"}');
SELECT deleted FROM nvent.stream_truncate('ag:account:5', before => 9);
SELECT nvent.stream_erase('ag:customer:2');
SELECT nvent.stream_retain('audit', '-1 day', 'ag');
SELECT ag.show(nvent.stream_close('ag:account:5')), ag.show(nvent.stream_reopen('ag:account:5'));
SELECT nvent.stream_delete('ag:account:5');
DELETE FROM ag.ag_stream_account;

-- Restore: a copy of the records, versions and times as they were, ids anew.
CREATE TEMP TABLE copy AS
SELECT row_number() OVER (ORDER BY (e->>'id')::bigint) AS n, e FROM (
    SELECT nvent.stream_read(s, max_count => NULL) AS e FROM (VALUES ('ag:account:1'), ('ag:account:2'),
        ('ag:customer:1'), ('ag:audit:1')) v (s)) x;
SELECT nvent.snapshot_save('ag:snap', '1', '{}');
BEGIN;
SELECT nvent.stream_clear('ag') > 0 AS wiped, (SELECT count(*) FROM nvent.snapshot_load('ag:snap')) AS snapshots;
SELECT nvent.stream_version('ag:account:1');
SELECT count(*) FROM nvent.stream_restore((SELECT array_agg(e ORDER BY n) FROM copy)) r;
SELECT count(*) AS same FROM copy c JOIN (
    SELECT row_number() OVER (ORDER BY (e->>'id')::bigint) AS n, e FROM (
        SELECT nvent.stream_read(s, max_count => NULL) AS e FROM (VALUES ('ag:account:1'), ('ag:account:2'),
            ('ag:customer:1'), ('ag:audit:1')) v (s)) x) r
    ON c.n = r.n AND c.e - 'id' = r.e - 'id' AND (r.e->>'id')::bigint > (c.e->>'id')::bigint;
SELECT (SELECT count(*) FROM copy) AS copied;
SELECT ag.show(nvent.stream_append('ag:account:2', '{"type": "next"}'));
SELECT nvent.stream_restore(ARRAY['{"subject": "ag:account:2", "version": 9, "type": "x"}']::jsonb[]);
ROLLBACK;
SELECT ag.events('ag:account:1');
SELECT (SELECT count(*) FROM nvent.snapshot_load('ag:snap')) AS snapshots;
SELECT ag.show(e) FROM nvent.stream_restore(ARRAY['{"subject": "ag:new:1", "version": 7, "type": "x", "ts": 5}',
    '{"subject": "ag:new:2", "type": "y", "meta": {"a": 1}}', '{"subject": "ag:new:1", "type": "z"}']::jsonb[]) e;
SELECT nvent.stream_restore(ARRAY['{"subject": "ag:new:3", "version": 0, "type": "x"}']::jsonb[]);
SELECT nvent.stream_restore(ARRAY['{"type": "x"}']::jsonb[]);
SELECT nvent.stream_restore(ARRAY['[]']::jsonb[]);
SELECT nvent.stream_restore(ARRAY[NULL]::jsonb[]);
SELECT nvent.stream_restore(NULL);
SELECT nvent.stream_restore('{}');
SELECT nvent.stream_clear('nowhere');

-- act 11, statistics over the log: what streams there are, in byte order, over
-- all tables, with numbers by type; pages, types left out, a bound, a choice.
SELECT nvent.store_create('as', 'ag');
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "as:b:1", "events": [{"type": "a"}, {"type": "b", "pii": 7}, {"type": "a"}]},
    {"subject": "as:B:1", "events": [{"type": "__tombstone__"}]},
    {"subject": "as:a:1", "events": [{"type": "__snapshot__"}, {"type": "b"}]},
    {"subject": "as:b", "events": [{"type": "b"}]},
    {"subject": "as:flow:run:7", "events": [{"type": "b"}]}]');
SELECT subject, events, types FROM nvent.stream_stats('as:>');
SELECT subject, events, types FROM nvent.stream_stats(store => 'as', max_count => 2);
SELECT subject, events, types FROM nvent.stream_stats(store => 'as', max_count => 2, after => 'as:a:1');
SELECT subject, events, types FROM nvent.stream_stats('as:>', exclude => '{b,__snapshot__,__tombstone__}');
SELECT subject, events, types FROM nvent.stream_stats('as:*:1', '{as:b:1,as:b,as:none:1,NULL}');
SELECT count(*) FROM nvent.stream_stats('as:>', '{}');
SELECT count(*) FROM nvent.stream_stats('as:>', max_count => 0);
SELECT s.subject, s.events FROM nvent.stream_read('as:b:1', after_version => 1, max_count => 1) e, nvent.stream_stats('as:>', before => (e->>'id')::bigint) s ORDER BY 1;
-- The head and the tail are read where they are.
SELECT s.subject, ag.show(t) AS tail, ag.show(h) AS head FROM nvent.stream_stats('as:>', exclude => '{__snapshot__}') s,
    nvent.stream_read(s.subject, after => s.first_id - 1, max_count => 1) t, nvent.stream_read(s.subject, after => s.last_id - 1, max_count => 1) h;
-- Where subjects are spread over columns, one of which has no value.
CREATE TABLE ag.visits (id bigint DEFAULT nvent.next_position() PRIMARY KEY, site text, page text, ts bigint NOT NULL, type text);
SELECT nvent.route_add('stream', 'as:visit:{site}:{page}', 'ag.visits');
INSERT INTO ag.visits (site, page, ts, type) VALUES ('x', '1', 0, 'a'), ('x', NULL, 0, 'a'), ('x', '1', 0, NULL);
SELECT subject, events, types FROM nvent.stream_stats('as:visit:>');
SELECT nvent.route_drop('stream', 'as:visit:{site}:{page}');
DROP TABLE ag.visits;
-- What cannot be asked.
SELECT nvent.stream_stats(NULL);
SELECT nvent.stream_stats('as:>:a');
SELECT nvent.stream_stats('as:>', '{ag:account:1}');
SELECT nvent.stream_stats('as:>', max_count => -1);
SELECT nvent.stream_stats(store => 'nowhere');

-- A log that is restored as a whole, in one transaction, is read from its
-- beginning by whoever subscribes again, however far consumers had read.
CREATE FUNCTION ag.fetched() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((e->>'subject') || ' ' || (e->>'type'), ', ' ORDER BY (e->>'id')::bigint)
    FROM nvent.consumer_fetch(store => 'as') f, unnest(f.events) e, nvent.consumer_ack(f.name, f.token, f.upto, store => 'as')
$$;
SELECT nvent.consumer_subscribe('r', 'as:b:>', store => 'as'), ag.fetched();
CREATE TEMP TABLE log AS SELECT e, n FROM nvent.stream_poll('as:>', 0) p, unnest(p.events) WITH ORDINALITY u (e, n) WHERE e->>'subject' !~ 'flow';
BEGIN;
SELECT nvent.stream_clear('as');
SELECT count(nvent.consumer_unsubscribe(name, 'as')) FROM nvent.consumer_list(max_count => NULL, store => 'as');
SELECT count(*) FROM nvent.stream_restore((SELECT array_agg(e ORDER BY n) FROM log));
COMMIT;
SELECT nvent.consumer_subscribe('r', 'as:b:>', store => 'as'), ag.fetched();
SELECT ag.fetched() IS NULL AS no_more;
DROP FUNCTION ag.fetched();
SELECT nvent.store_migrate('as', 0) > 0 AS dropped;

-- Only the owner of a store restores and wipes.
CREATE ROLE regress_nvs_other;
GRANT USAGE ON SCHEMA nvent, ag TO regress_nvs_other;
GRANT ALL ON ALL TABLES IN SCHEMA ag TO regress_nvs_other;
SET ROLE regress_nvs_other;
SELECT nvent.stream_restore(ARRAY['{"subject": "ag:new:1", "type": "x"}']::jsonb[]);
SELECT nvent.stream_clear('ag');
RESET ROLE;
DROP OWNED BY regress_nvs_other;
DROP ROLE regress_nvs_other;

-- Down to layout 4 the columns are gone, and up again they are back; tables
-- that are made in between have what their layout has.
SELECT nvent.store_migrate('ag', 4) > 4 AS higher;
SELECT attname FROM pg_attribute WHERE attrelid = 'ag.ag_stream_account'::regclass AND attname IN ('event_id', 'pii') AND NOT attisdropped;
SELECT ag.show(nvent.stream_append('ag:between:1', '{"type": "a", "eventId": "x"}')), nvent.stream_version('ag:between:1');
SELECT nvent.stream_erase('ag:between:1');
SELECT nvent.snapshot_save('ag:snap', '1', '{}');
SELECT nvent.store_migrate('ag');
SELECT attrelid::regclass, string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute
WHERE attrelid IN ('ag.ag_stream_account'::regclass, 'ag.ag_stream_between'::regclass)
    AND attname IN ('event_id', 'pii') AND NOT attisdropped GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM pg_index WHERE indrelid = 'ag.ag_stream_account'::regclass AND indpred IS NOT NULL;
SELECT nvent.stream_erase('ag:between:1'), nvent.snapshot_save('ag:snap', '1', '{}');

DROP FUNCTION ag.show(jsonb), ag.make(text, text[]), ag.events(text);
SELECT nvent.store_migrate('ag', 0) > 0 AS dropped;
DROP SCHEMA ag;
