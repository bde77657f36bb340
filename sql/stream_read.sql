-- Reading one stream: directions, bounds by position, by version and by time,
-- types, counts and pages, against plain SQL in every combination; correlation
-- and snapshots in the stream; what it costs in pages.  A million events are in
-- "make bench ONLY=eventstore".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
SELECT count(*) FROM generate_series(1, 100) i,
    nvent.stream_append('test:acct:1', jsonb_build_object('type', CASE i % 10 WHEN 0 THEN 'tenth' ELSE 'e' END, 'ts', i));
CREATE TEMP TABLE ids AS SELECT (e->>'version')::int AS v, (e->>'id')::bigint AS id FROM nvent.stream_read('test:acct:1') e;
CREATE FUNCTION pg_temp.id(v int) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM ids WHERE v = $1 $$;
-- A read with some arguments, in short.
CREATE FUNCTION pg_temp.read(args text, subject text DEFAULT 'test:acct:1') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT pg_temp.list(VARIADIC array_agg(e)) FROM nvent.stream_read(%s) e', concat_ws(', ', quote_literal(subject), args)) INTO found;
    RETURN found;
END $$;

-- A missing stream has no rows and version 0; so has one without a table.
SELECT count(*) FROM nvent.stream_read('test:acct:none');
SELECT nvent.stream_version('test:acct:none'), nvent.stream_version('test:none:1'), nvent.stream_version('nowhere');

-- Forward is ascending, backward descending from the end.
SELECT pg_temp.read('max_count => 3'), pg_temp.read('max_count => 3, backward => true'), pg_temp.read('max_count => 1, backward => true');
SELECT bool_and(v > coalesce(before, 0)) AS ascending FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('test:acct:1') e) x;
SELECT bool_and(v < coalesce(before, 999)) AS descending FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('test:acct:1', backward => true) e) x;

-- After is exclusive, by position and by version alike.
SELECT pg_temp.read('after => 0, max_count => 2'), pg_temp.read('after_version => 0, max_count => 2');
SELECT pg_temp.read(format('after => %s, max_count => 2', pg_temp.id(1))), pg_temp.read('after_version => 1, max_count => 2');
SELECT pg_temp.read(format('after => %s', pg_temp.id(99))), pg_temp.read('after_version => 99');
SELECT pg_temp.read(format('after => %s', pg_temp.id(100))) IS NULL AS head, pg_temp.read('after_version => 100') IS NULL AS head,
    pg_temp.read('after => 9223372036854775807') IS NULL AS beyond, pg_temp.read('after_version => 101') IS NULL AS beyond,
    pg_temp.read('after => -1, max_count => 1') AS below, pg_temp.read('after_version => -1, max_count => 1') AS below;

-- Before bounds from above, and both together are a window.
SELECT pg_temp.read(format('before => %s, backward => true, max_count => 3', pg_temp.id(50))), pg_temp.read('before_version => 50, backward => true, max_count => 3');
SELECT pg_temp.read(format('after => %s, before => %s', pg_temp.id(40), pg_temp.id(44))), pg_temp.read('after_version => 40, before_version => 44');
SELECT pg_temp.read('after_version => 40, before_version => 44, backward => true'), pg_temp.read('after_version => 40, before_version => 41') IS NULL AS none;
SELECT pg_temp.read('since => 41, until => 43'), pg_temp.read('before_version => 1') IS NULL AS none;

-- A limit is the first ones in the direction of the read; 0 is none, NULL
-- all, and less than none an error.
SELECT pg_temp.read('max_count => 0') IS NULL AS none;
SELECT count(*) FROM nvent.stream_read('test:acct:1', max_count => NULL);
SELECT nvent.stream_read('test:acct:1', max_count => -1);

-- Pages of 7, in each direction, are everything once.
CREATE FUNCTION pg_temp.pages(back boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page bigint[];
    seen bigint[] := '{}';
    pages int := 0;
BEGIN
    LOOP
        SELECT array_agg((e->>'id')::bigint) INTO page FROM nvent.stream_read('test:acct:1', max_count => 7, backward => back,
            after => CASE WHEN NOT back THEN seen[cardinality(seen)] END,
            before => CASE WHEN back THEN seen[cardinality(seen)] END) e;
        EXIT WHEN page IS NULL;
        seen := seen || page;
        pages := pages + 1;
    END LOOP;
    RETURN pages || ' pages, ' || cardinality(seen) || ' events, ' || (SELECT count(DISTINCT s) FROM unnest(seen) s) || ' different';
END $$;
SELECT pg_temp.pages(false), pg_temp.pages(true);

-- Neighbours by name are other streams.
SELECT count(nvent.stream_append(s, '{"type": "other"}')) FROM unnest(ARRAY['test:acct:10', 'test:acct:11', 'test:acct:1:1', 'test:ACCT:1', 'test:acct:01', 'test:xacct:1']) s;
SELECT count(*) FILTER (WHERE e->>'type' = 'other') AS others, count(*) FROM nvent.stream_read('test:acct:1') e;
SELECT e->>'subject' FROM nvent.stream_read('test:acct:10') e;

-- Types apply before the limit; the last of a type; an unknown type.
SELECT pg_temp.read($$types => '{tenth}', max_count => 3$$), pg_temp.read($$types => '{tenth}', max_count => 1, backward => true$$);
SELECT pg_temp.read($$types => '{none}'$$) IS NULL AS none, pg_temp.read($$types => '{}'$$) IS NULL AS none;
SELECT pg_temp.read($$types => '{tenth,e}', after_version => 58, max_count => 3$$);

-- Every event comes back, whatever is in it.
SELECT count(nvent.stream_append('test:odd:1', e)) FROM unnest(ARRAY['{"type": "?"}', '{"type": "x", "data": null}',
    '{"type": "x", "data": [[], {}, ""]}', '{"type": "x", "data": {"": 0}, "": 1}', '{"type": " ", "version": "7", "id": -1}']::jsonb[]) e;
SELECT e - 'id' - 'ts' FROM nvent.stream_read('test:odd:1') e;

-- A version, the end of a stream of 100,000 events, and a short one beside
-- it, in the same table: fewer than 10 pages.  The last three fail with an
-- equality in place of nvs_stream_range(): then the index on id is scanned.
-- On PostgreSQL 18 those that begin before a version and at a snapshot fail
-- when its conditions on the key alone come first, or an end is said by <.
-- Before that, those that say where to end fail without has_end(). Those that
-- end by a position are planned each time, which looks at some pages, too.
SELECT nvent.stream_create_table('long', store => 'test');
INSERT INTO test.test_stream_long (subject, version, ts, type) SELECT 'test:long:1', v, v, 'e' FROM generate_series(1, 100000) v;
INSERT INTO test.test_stream_long (subject, version, ts, type) SELECT 'test:long:2', v, v, 'e' FROM generate_series(1, 5) v;
INSERT INTO test.test_stream_long (subject, version, ts, type) VALUES ('test:long:1', 100001, 1, '__snapshot__');
ANALYZE test.test_stream_long;
CREATE TEMP TABLE first_of_long AS SELECT min(id) AS id FROM test.test_stream_long;
CREATE FUNCTION pg_temp.few_buffers(call text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_temp.buffers('SELECT ' || call) < CASE WHEN call LIKE '%first_of_long%' THEN 20 ELSE 10 END;
END $$;
SELECT call, pg_temp.few_buffers(call) FROM unnest(ARRAY[$$nvent.stream_version('test:long:1')$$,
    $$nvent.stream_read('test:long:1', backward => true, max_count => 1)$$, $$nvent.stream_read('test:long:1', after_version => 99990)$$,
    $$nvent.stream_read('test:long:1', before_version => 10, backward => true)$$,
    $$nvent.stream_read('test:long:1', with_snaps => true)$$,
    $$nvent.stream_read('test:long:1', after_version => 10, before_version => 15)$$,
    $$nvent.stream_read('test:long:1', after_version => 10, before_version => 15, backward => true)$$,
    $$nvent.stream_read('test:long:1', before => (SELECT id + 5 FROM pg_temp.first_of_long))$$,
    $$nvent.stream_read('test:long:1', after => (SELECT id + 99990 FROM pg_temp.first_of_long), backward => true)$$,
    $$nvent.stream_read('test:long:2', after => (SELECT id FROM pg_temp.first_of_long), before => (SELECT id + 200000 FROM pg_temp.first_of_long))$$,
    $$nvent.stream_read('test:long:2')$$, $$nvent.stream_read('test:long:3', with_snaps => true)$$, $$nvent.stream_poll('test:long:2', 0)$$]) call;

-- Correlation, and snapshots in the stream: left out, or where to begin.
SELECT count(nvent.stream_append('test:snap:1', e)) FROM unnest(ARRAY['{"type": "a", "correlation": "c-1"}', '{"type": "__snapshot__"}',
    '{"type": "b", "meta": {"correlation": "c-2"}}', '{"type": "__snapshot__"}', '{"type": "c", "correlation": "c-1"}']::jsonb[]) e;
CREATE FUNCTION pg_temp.snap(args text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$SELECT pg_temp.read(args, 'test:snap:1')$$;
SELECT pg_temp.snap(), pg_temp.snap('with_snaps => false'), pg_temp.snap('with_snaps => true');
SELECT pg_temp.snap('with_snaps => true, backward => true'), pg_temp.snap('with_snaps => true, after => 0'), pg_temp.snap('with_snaps => true, after_version => 2');
SELECT pg_temp.snap($$correlation => 'c-1'$$), pg_temp.snap($$correlation => 'c-1', with_snaps => true$$), pg_temp.snap($$correlation => 'c'$$) IS NULL AS none;
SELECT pg_temp.read('with_snaps => true, max_count => 2'), pg_temp.read('with_snaps => false, max_count => 2');

-- A plain log has no versions to read by, and no place for a correlation may
-- be missing.
SELECT nvent.stream_create_table('log', versioned => false, store => 'test');
SELECT count(nvent.stream_append('test:log:1', '{"type": "a"}'));
SELECT nvent.stream_read('test:log:1', after_version => 0);
CREATE TABLE test.bare (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, subject text COLLATE "C" NOT NULL, ts bigint NOT NULL, type text NOT NULL);
SELECT nvent.route_add('stream', 'test:bare:>', 'test.bare');
SELECT count(nvent.stream_append('test:bare:1', '{"type": "a"}'));
SELECT count(*) FROM nvent.stream_read('test:bare:1', correlation => 'x');
SELECT nvent.route_drop('stream', 'test:bare:>');
DROP TABLE test.bare;

-- Reading: every filter, alone and with every other, against plain SQL.
SELECT count(*) FROM unnest('{test:flow:run:q,test:flow:run:p,test:q:1,test:q:2}'::text[]) s,
    nvent.stream_append_batch(s, (SELECT array_agg(jsonb_build_object('type', substr('abcab', n % 5 + 1, 1),
        'ts', (n * 37) % 50 - 10, 'n', n) ORDER BY n) FROM generate_series(1, 30) n));
CREATE TEMP VIEW all_events AS
    SELECT 'test:flow:run:' || run_id AS subject, id, ts, type FROM test.test_flow_events
    UNION ALL SELECT subject, id, ts, type FROM test.test_stream_q;
CREATE TEMP TABLE all_ids AS SELECT s AS subject, (SELECT array_agg(id ORDER BY id) FROM all_events a WHERE a.subject = s) AS i
FROM unnest('{test:flow:run:q,test:q:1}'::text[]) s;
SELECT count(*) AS cases, count(*) FILTER (WHERE ours IS DISTINCT FROM theirs) AS differ, count(DISTINCT ours) AS answers,
    min(format('%s: after %s before %s since %s until %s types %s backward %s max %s gives %s, not %s', subject, after, before, since, until, types, backward, max, ours, theirs))
        FILTER (WHERE ours IS DISTINCT FROM theirs) AS first
FROM all_ids ids, LATERAL unnest(ARRAY[NULL, 0, i[10], i[30]]) after, unnest(ARRAY[NULL, i[1], i[20], 9223372036854775807]) before,
    unnest('{NULL,0,-10}'::bigint[]) since, unnest('{NULL,20,39}'::bigint[]) until,
    (VALUES (NULL), ('{a}'::text[]), ('{b,c,b}'), ('{}'), ('{A,NULL,zz}'), ('{NULL,c}')) t (types),
    unnest('{f,t}'::boolean[]) backward, unnest('{NULL,0,1,7}'::integer[]) max,
    LATERAL (SELECT array_agg((e->>'id')::bigint ORDER BY n) FROM nvent.stream_read(subject, after, before, since, until, types, backward, max) WITH ORDINALITY r (e, n)) o (ours),
    LATERAL (SELECT array_agg(id) FROM (SELECT id FROM all_events a WHERE a.subject = ids.subject
        AND (after IS NULL OR id > after) AND (before IS NULL OR id < before) AND (since IS NULL OR ts >= since) AND (until IS NULL OR ts <= until)
        AND (types IS NULL OR type = ANY (types)) ORDER BY CASE WHEN backward THEN -id ELSE id END LIMIT max) x) p (theirs);
-- With defaults: forward from the oldest, 1000 of them.
SELECT e->'meta'->'n' AS n FROM nvent.stream_read('test:q:1', max_count => 3) e;
SELECT e->'meta'->'n' AS n FROM nvent.stream_read('test:q:1', backward => true, types => '{c}', max_count => 2) e;
SELECT e->'meta'->'n' AS n FROM nvent.stream_read('test:q:1', until => -9) e;
SELECT count(*) FROM nvent.stream_read('test:q:1', backward => NULL);
SELECT nvent.stream_read('test:q:1', max_count => 2)->'type' AS type;
SELECT count(*) FROM nvent.stream_append_batch('test:many:1', (SELECT array_agg(jsonb_build_object('type', 't', 'n', n) ORDER BY n) FROM generate_series(1, 1200) n));
SELECT count(*) FROM nvent.stream_read('test:many:1');
SELECT count(*), min((e->'meta'->'n')::int), max((e->'meta'->'n')::int) FROM nvent.stream_read('test:many:1', max_count => NULL) e;
-- Rows that came by hand are events like others.
INSERT INTO test.test_flow_events (run_id, ts, type) VALUES ('hand', 1, 'inserted');
COPY test.test_flow_events (run_id, ts, type, data) FROM stdin;
hand	0	copied	{"a": 1}
\.
SELECT pg_temp.rec(e) FROM nvent.stream_read('test:flow:run:hand') e;

-- A cursor sees what was there when it was opened.
BEGIN;
DECLARE c CURSOR FOR SELECT e->'meta'->'n' FROM nvent.stream_read('test:q:1') e;
FETCH 2 FROM c;
SELECT nvent.stream_delete('test:q:1');
FETCH 1 FROM c;
COMMIT;

-- What looks like SQL is a subject or a type like any other.
SELECT nvent.stream_version('test:acct:1'') OR (true');
SELECT count(*) FROM nvent.stream_read('test:acct:1', types => ARRAY['a'') OR (true', 'false) or (true']);

DROP VIEW all_events;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
