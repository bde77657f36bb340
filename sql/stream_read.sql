-- Checks of an event store, section C: reads of one stream.  Number 49 is
-- in test/bench too, with a million events.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('cc', 'cc');
CREATE FUNCTION cc.list(VARIADIC records jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((r->>'version') || ':' || (r->>'type'), ' ' ORDER BY n) FROM unnest(records) WITH ORDINALITY u (r, n)
$$;
SELECT count(*) FROM generate_series(1, 100) i,
    nvent.stream_append('cc:acct:1', jsonb_build_object('type', CASE i % 10 WHEN 0 THEN 'tenth' ELSE 'e' END, 'ts', i));
CREATE TEMP TABLE ids AS SELECT (e->>'version')::int AS v, (e->>'id')::bigint AS id FROM nvent.stream_read('cc:acct:1') e;
CREATE FUNCTION pg_temp.id(v int) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM ids WHERE v = $1 $$;
CREATE FUNCTION pg_temp.read(args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT cc.list(VARIADIC array_agg(e)) FROM nvent.stream_read(''cc:acct:1'', %s) e', args) INTO found;
    RETURN found;
END $$;

-- 40: a missing stream has no rows and version 0; so has one without a table.
SELECT count(*) FROM nvent.stream_read('cc:acct:none');
SELECT nvent.stream_version('cc:acct:none'), nvent.stream_version('cc:none:1'), nvent.stream_version('nowhere');

-- 41: forward is ascending, backward descending from the end.
SELECT pg_temp.read('max_count => 3'), pg_temp.read('max_count => 3, backward => true'), pg_temp.read('max_count => 1, backward => true');
SELECT bool_and(v > coalesce(before, 0)) AS ascending FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('cc:acct:1') e) x;
SELECT bool_and(v < coalesce(before, 999)) AS descending FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('cc:acct:1', backward => true) e) x;

-- 42: after is exclusive, by position and by version alike.
SELECT pg_temp.read('after => 0, max_count => 2'), pg_temp.read('after_version => 0, max_count => 2');
SELECT pg_temp.read(format('after => %s, max_count => 2', pg_temp.id(1))), pg_temp.read('after_version => 1, max_count => 2');
SELECT pg_temp.read(format('after => %s', pg_temp.id(99))), pg_temp.read('after_version => 99');
SELECT pg_temp.read(format('after => %s', pg_temp.id(100))) IS NULL AS head, pg_temp.read('after_version => 100') IS NULL AS head,
    pg_temp.read('after => 9223372036854775807') IS NULL AS beyond, pg_temp.read('after_version => 101') IS NULL AS beyond,
    pg_temp.read('after => -1, max_count => 1') AS below, pg_temp.read('after_version => -1, max_count => 1') AS below;

-- 43: before bounds from above, and both together are a window.
SELECT pg_temp.read(format('before => %s, backward => true, max_count => 3', pg_temp.id(50))), pg_temp.read('before_version => 50, backward => true, max_count => 3');
SELECT pg_temp.read(format('after => %s, before => %s', pg_temp.id(40), pg_temp.id(44))), pg_temp.read('after_version => 40, before_version => 44');
SELECT pg_temp.read('after_version => 40, before_version => 44, backward => true'), pg_temp.read('after_version => 40, before_version => 41') IS NULL AS none;
SELECT pg_temp.read('since => 41, until => 43'), pg_temp.read('before_version => 1') IS NULL AS none;

-- 44: a limit is the first ones in the direction of the read; 0 is none, NULL
-- all, and less than none an error.
SELECT pg_temp.read('max_count => 0') IS NULL AS none;
SELECT count(*) FROM nvent.stream_read('cc:acct:1', max_count => NULL);
SELECT nvent.stream_read('cc:acct:1', max_count => -1);

-- 45: pages of 7, in each direction, are everything once.
CREATE FUNCTION pg_temp.pages(back boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page bigint[];
    seen bigint[] := '{}';
    pages int := 0;
BEGIN
    LOOP
        SELECT array_agg((e->>'id')::bigint) INTO page FROM nvent.stream_read('cc:acct:1', max_count => 7, backward => back,
            after => CASE WHEN NOT back THEN seen[cardinality(seen)] END,
            before => CASE WHEN back THEN seen[cardinality(seen)] END) e;
        EXIT WHEN page IS NULL;
        seen := seen || page;
        pages := pages + 1;
    END LOOP;
    RETURN pages || ' pages, ' || cardinality(seen) || ' events, ' || (SELECT count(DISTINCT s) FROM unnest(seen) s) || ' different';
END $$;
SELECT pg_temp.pages(false), pg_temp.pages(true);

-- 46: neighbours by name are other streams.
SELECT count(nvent.stream_append(s, '{"type": "other"}')) FROM unnest(ARRAY['cc:acct:10', 'cc:acct:11', 'cc:acct:1:1', 'cc:ACCT:1', 'cc:acct:01', 'cc:xacct:1']) s;
SELECT count(*) FILTER (WHERE e->>'type' = 'other') AS others, count(*) FROM nvent.stream_read('cc:acct:1') e;
SELECT e->>'subject' FROM nvent.stream_read('cc:acct:10') e;

-- 47: types apply before the limit; the last of a type; an unknown type.
SELECT pg_temp.read($$types => '{tenth}', max_count => 3$$), pg_temp.read($$types => '{tenth}', max_count => 1, backward => true$$);
SELECT pg_temp.read($$types => '{none}'$$) IS NULL AS none, pg_temp.read($$types => '{}'$$) IS NULL AS none;
SELECT pg_temp.read($$types => '{tenth,e}', after_version => 58, max_count => 3$$);

-- 48: every event comes back, whatever is in it.
SELECT count(nvent.stream_append('cc:odd:1', e)) FROM unnest(ARRAY['{"type": "?"}', '{"type": "x", "data": null}',
    '{"type": "x", "data": [[], {}, ""]}', '{"type": "x", "data": {"": 0}, "": 1}', '{"type": " ", "version": "7", "id": -1}']::jsonb[]) e;
SELECT e - 'id' - 'ts' FROM nvent.stream_read('cc:odd:1') e;

-- 49: a version, the end of a stream of 100,000 events, and a short one beside
-- it, in the same table: fewer than 10 pages.  The last three fail with an
-- equality in place of nvs_stream_range(): then the index on id is walked.
-- On PostgreSQL 18 those that begin before a version and at a snapshot fail
-- when its conditions on the key alone come first, or an end is said by <.
-- Before that, those that say where to end fail without has_end(). Those that
-- end by a position are planned each time, which looks at some pages, too.
SELECT nvent.stream_create_table('long', store => 'cc');
INSERT INTO cc.cc_stream_long (subject, version, ts, type) SELECT 'cc:long:1', v, v, 'e' FROM generate_series(1, 100000) v;
INSERT INTO cc.cc_stream_long (subject, version, ts, type) SELECT 'cc:long:2', v, v, 'e' FROM generate_series(1, 5) v;
INSERT INTO cc.cc_stream_long (subject, version, ts, type) VALUES ('cc:long:1', 100001, 1, '__snapshot__');
ANALYZE cc.cc_stream_long;
CREATE TEMP TABLE first_of_long AS SELECT min(id) AS id FROM cc.cc_stream_long;
CREATE FUNCTION pg_temp.few_buffers(call text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    -- The first one plans.
    FOR i IN 1..2 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT ' || call INTO plan;
    END LOOP;
    RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int
        < CASE WHEN call LIKE '%first_of_long%' THEN 20 ELSE 10 END;
END $$;
SELECT call, pg_temp.few_buffers(call) FROM unnest(ARRAY[$$nvent.stream_version('cc:long:1')$$,
    $$nvent.stream_read('cc:long:1', backward => true, max_count => 1)$$, $$nvent.stream_read('cc:long:1', after_version => 99990)$$,
    $$nvent.stream_read('cc:long:1', before_version => 10, backward => true)$$,
    $$nvent.stream_read('cc:long:1', with_snaps => true)$$,
    $$nvent.stream_read('cc:long:1', after_version => 10, before_version => 15)$$,
    $$nvent.stream_read('cc:long:1', after_version => 10, before_version => 15, backward => true)$$,
    $$nvent.stream_read('cc:long:1', before => (SELECT id + 5 FROM pg_temp.first_of_long))$$,
    $$nvent.stream_read('cc:long:1', after => (SELECT id + 99990 FROM pg_temp.first_of_long), backward => true)$$,
    $$nvent.stream_read('cc:long:2', after => (SELECT id FROM pg_temp.first_of_long), before => (SELECT id + 200000 FROM pg_temp.first_of_long))$$,
    $$nvent.stream_read('cc:long:2')$$, $$nvent.stream_read('cc:long:3', with_snaps => true)$$, $$nvent.stream_poll('cc:long:2', 0)$$]) call;

-- Correlation, and snapshots in the stream: left out, or where to begin.
SELECT count(nvent.stream_append('cc:snap:1', e)) FROM unnest(ARRAY['{"type": "a", "correlation": "c-1"}', '{"type": "__snapshot__"}',
    '{"type": "b", "meta": {"correlation": "c-2"}}', '{"type": "__snapshot__"}', '{"type": "c", "correlation": "c-1"}']::jsonb[]) e;
CREATE FUNCTION pg_temp.snap(args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT cc.list(VARIADIC array_agg(e)) FROM nvent.stream_read(''cc:snap:1'' %s) e', args) INTO found;
    RETURN found;
END $$;
SELECT pg_temp.snap(''), pg_temp.snap(', with_snaps => false'), pg_temp.snap(', with_snaps => true');
SELECT pg_temp.snap(', with_snaps => true, backward => true'), pg_temp.snap(', with_snaps => true, after => 0'), pg_temp.snap(', with_snaps => true, after_version => 2');
SELECT pg_temp.snap($$, correlation => 'c-1'$$), pg_temp.snap($$, correlation => 'c-1', with_snaps => true$$), pg_temp.snap($$, correlation => 'c'$$) IS NULL AS none;
SELECT pg_temp.read('with_snaps => true, max_count => 2'), pg_temp.read('with_snaps => false, max_count => 2');

-- A plain log has no versions to read by, and no place for a correlation may
-- be missing.
SELECT nvent.stream_create_table('log', versioned => false, store => 'cc');
SELECT count(nvent.stream_append('cc:log:1', '{"type": "a"}'));
SELECT nvent.stream_read('cc:log:1', after_version => 0);
CREATE TABLE cc.bare (id bigint DEFAULT nvent.next_position() PRIMARY KEY, subject text COLLATE "C" NOT NULL, ts bigint NOT NULL, type text NOT NULL);
SELECT nvent.route_add('stream', 'cc:bare:>', 'cc.bare');
SELECT count(nvent.stream_append('cc:bare:1', '{"type": "a"}'));
SELECT count(*) FROM nvent.stream_read('cc:bare:1', correlation => 'x');
SELECT nvent.route_drop('stream', 'cc:bare:>');
DROP TABLE cc.bare;

DROP FUNCTION cc.list(jsonb[]);
SELECT nvent.store_migrate('cc', 0) > 0 AS dropped;
DROP SCHEMA cc;
