-- What a poll over all streams of a store leaves out: patterns of subjects and
-- types, alone and together; that a page is full of what matches, whatever lies
-- between, that the cursor goes past the rest and nothing is skipped, and that
-- rare events are found by an index.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers

-- Two that match behind 50 that do not, and a limit of 10: both come, by type,
-- prefix, pattern, correlation and group.
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'test:order:' || i % 5,
    'events', jsonb_build_array(jsonb_build_object('type', 'o')))) FROM generate_series(1, 50) i));
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:order:x", "events": [{"type": "rare", "correlation": "test:saga:1"}]},
    {"subject": "test:account:1", "events": [{"type": "rare", "correlation": "test:saga:1"}]}]');
SELECT pg_temp.page((nvent.stream_poll('test:>', 0, types => '{rare}', max_count => 10)).events);
SELECT pg_temp.page((nvent.stream_poll('test:account:>', 0, max_count => 10)).events);
SELECT pg_temp.page((nvent.stream_poll('test:*:x', 0, max_count => 10)).events);
SELECT (SELECT array_agg(e->>'subject') FROM unnest(p.events) e) FROM nvent.stream_poll_category('test', 0, 10, correlation => 'test:saga') p;
SELECT (SELECT array_agg(DISTINCT e->>'subject') FROM unnest(p.events) e) FROM
    nvent.stream_poll_category('test:order', 0, 10, member => nvent.subject_member('test:order:x', 40000), size => 40000) p;
SELECT count(*), min(e->>'type') FROM nvent.stream_read('test:order:x', types => '{rare}', max_count => 10) e;

-- The cursor goes past what matches nothing, and nothing is skipped.
SELECT count(*) FROM generate_series(1, 500) i, nvent.stream_append('test:cursor:' || i % 7, '{"type": "common"}');
SELECT pg_temp.page(p.events), p.next_cursor >= (SELECT max(id) FROM test.test_stream_cursor) AS beyond FROM nvent.stream_poll('test:cursor:>', 0, 10, types => '{rare}') p;
CREATE TEMP TABLE at AS SELECT next_cursor FROM nvent.stream_poll('test:cursor:>', 0, 10, types => '{rare}');
SELECT count(nvent.stream_append('test:cursor:1', jsonb_build_object('type', t))) FROM unnest(ARRAY['common', 'rare', 'common']) t;
SELECT pg_temp.page(p.events) FROM at, nvent.stream_poll('test:cursor:>', next_cursor, 10, types => '{rare}') p;
SELECT pg_temp.page(p.events) FROM nvent.stream_poll('test:cursor:>', 0, 10, types => '{rare}') p;

-- A prefix is of whole tokens and literal.
SELECT count(nvent.stream_append(s, '{"type": "p"}')) FROM unnest(ARRAY['test:my-account:1', 'test:accounts:1', 'test:axb:1', 'test:a_b:1',
    'test:a%b:1', 'test:a\b:1', 'test:ab:1']) s;
SELECT pg_temp.page((nvent.stream_poll('test:account:>', 0)).events),
    pg_temp.page((nvent.stream_poll('test:a_b:>', 0)).events),
    pg_temp.page((nvent.stream_poll('test:a%b:>', 0)).events),
    pg_temp.page((nvent.stream_poll('test:a\b:>', 0)).events),
    pg_temp.page((nvent.stream_poll('test:%:>', 0)).events);

-- * is one token, > is one or more; neither a part of one.  Characters and
-- classes are for keys, not for subjects.
SELECT count(nvent.stream_append(s, '{"type": "q"}')) FROM unnest(ARRAY['test:deep:1', 'test:deep:1:a', 'test:deep:1:a:b', 'test:deep:[0-9]', 'test:deep:?']) s;
SELECT pg_temp.page((nvent.stream_poll('test:deep:*', 0)).events);
SELECT pg_temp.page((nvent.stream_poll('test:deep:>', 0)).events);
SELECT pg_temp.page((nvent.stream_poll('test:deep:*:a', 0)).events),
    pg_temp.page((nvent.stream_poll('test:deep:*:*:*', 0)).events),
    pg_temp.page((nvent.stream_poll('test:deep:1:**', 0)).events);
SELECT pg_temp.page((nvent.stream_poll('test:deep:[0-9]', 0)).events),
    pg_temp.page((nvent.stream_poll('test:deep:?', 0)).events);
SELECT nvent.kv_glob_matches('account-1R', 'account-?R'), nvent.kv_glob_matches('account-12R', 'account-?R'),
    nvent.kv_glob_matches('account-7', 'account-[0-9]'), nvent.kv_glob_matches('account-a', 'account-[0-9]');

-- What means something in a regular expression means itself; a malformed
-- pattern raises.
SELECT count(nvent.stream_append(s, '{"type": "r"}')) FROM unnest(ARRAY['test:re:a.b', 'test:re:axb', 'test:re:(a+b)$', 'test:re:a|b', 'test:re:^']) s;
SELECT pg_temp.page((nvent.stream_poll('test:re:a.b', 0)).events),
    pg_temp.page((nvent.stream_poll('test:re:(a+b)$', 0)).events),
    pg_temp.page((nvent.stream_poll('test:re:a|b', 0)).events),
    pg_temp.page((nvent.stream_poll('test:re:^', 0)).events);
SELECT pg_temp.page((nvent.stream_poll('test:re:.*', 0)).events),
    pg_temp.page((nvent.stream_poll('test:re:a*', 0)).events),
    pg_temp.page((nvent.stream_poll('test::a', 0)).events);
SELECT nvent.stream_poll('test:>:a', 0);
SELECT nvent.stream_poll('test:re:{a', 0);
SELECT nvent.stream_poll('', 0);

-- Subjects that look like patterns are subjects like any other, and the
-- pattern of each finds it alone.
SELECT count(nvent.stream_append(s, jsonb_build_object('type', s))) FROM unnest(ARRAY['test:re:*', 'test:re:a>', 'test:re:{a}', 'test:re:\*', 'test:re:', 'test:re::a']) s;
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "test:re:**", "events": [{"type": "test:re:**"}]}]');
SELECT s AS subject, pg_temp.page((nvent.stream_poll(nvent.subject_escape(s), 0)).events) AS polled, (SELECT count(*) FROM nvent.stream_read(s)) AS read
FROM unnest(ARRAY['test:re:*', 'test:re:a>', 'test:re:{a}', 'test:re:\*', 'test:re:**', 'test:re:', 'test:re::a']) s;

-- Filters are all of them.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:mix:1", "events": [{"type": "a", "correlation": "k"}, {"type": "b", "correlation": "k"}, {"type": "c", "correlation": "k"}]},
    {"subject": "test:mix:2", "events": [{"type": "a", "correlation": "k"}, {"type": "b"}]},
    {"subject": "test:mox:1", "events": [{"type": "a", "correlation": "k"}]},
    {"subject": "test:mix:1", "events": [{"type": "a", "correlation": "l"}, {"type": "b", "correlation": "k"}]}]');
SELECT (SELECT string_agg((e->>'subject') || ' ' || (e->>'version'), ', ') FROM unnest(p.events) e)
FROM nvent.stream_poll_category('test:mix', 0, types => '{a,b}', correlation => 'k') p;
SELECT (SELECT string_agg((e->>'subject') || ' ' || (e->>'version'), ', ') FROM unnest(p.events) e)
FROM nvent.stream_read('test:mix:1', max_count => 1) f, nvent.stream_poll_category('test:mix', (f->>'id')::bigint, 2, types => '{a,b}', correlation => 'k') p;

-- What else a read of one subject can leave out, over all of them: times,
-- snapshots, a correlation alone, names by a regular expression, and what comes
-- from a position on; behind 50 that do not match, too, and in every table.
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'test:bulk:' || i % 5,
    'events', jsonb_build_array(jsonb_build_object('type', CASE i % 2 WHEN 0 THEN 'o' ELSE '__snapshot__' END, 'ts', i)))) FROM generate_series(1, 50) i));
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "test:bulk:x9", "events": [{"type": "o", "ts": 1001, "correlation": "k:1"}]},
    {"subject": "test:flow:run:y9", "events": [{"type": "o", "ts": 1002, "correlation": "k"}, {"type": "__snapshot__", "ts": 1003, "correlation": "k"}]},
    {"subject": "test:bulk:1", "events": [{"type": "o", "ts": 2000, "correlation": "kk"}]}]');
CREATE FUNCTION pg_temp.shown(page jsonb[]) RETURNS text
    RETURN (SELECT coalesce(string_agg(concat_ws(' ', e ->> 'subject', e ->> 'ts'), ', ' ORDER BY n), 'nothing') FROM unnest(page) WITH ORDINALITY u (e, n));
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 10, since => 1001, until => 2000)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 10, since => 1001, until => 2000, with_snaps => false)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 10, since => 1001, until => 1002)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 10, correlation => 'k', since => 500, until => 5000)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 10, subject_regex => ':.9$', since => 0, until => 5000)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:bulk:>', 0, 10, subject_regex => '^test:bulk:[x]', types => '{o}')).events);
SELECT pg_temp.shown((nvent.stream_poll('test:bulk:1', 0, 10, since => 40, with_snaps => false)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:flow:run:y9', 0, 10, until => 1002)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:bulk:>', 0, 3, since => 40, until => 2000)).events);
-- Pages have all once, and the same as plain SQL finds.
DO $$
DECLARE
    at bigint := 0;
    page record;
    seen text := '';
BEGIN
    LOOP
        SELECT * INTO page FROM nvent.stream_poll('test:bulk:>', at, 4, since => 10, until => 44, with_snaps => false, subject_regex => '[134]$');
        EXIT WHEN cardinality(page.events) = 0;
        seen := concat_ws(', ', nullif(seen, ''), pg_temp.shown(page.events));
        at := page.next_cursor;
    END LOOP;
    IF seen IS DISTINCT FROM (SELECT string_agg(subject || ' ' || ts, ', ' ORDER BY id) FROM test.test_stream_bulk
                              WHERE ts BETWEEN 10 AND 44 AND type <> '__snapshot__' AND subject ~ '[134]$') OR seen = '' THEN
        RAISE 'the pages have %', seen;
    END IF;
END $$;
-- A bound is one of the cursor, too.
SELECT pg_temp.shown(p.events), p.next_cursor = b.id - 1 AS at_bound
FROM (SELECT id FROM test.test_stream_bulk WHERE ts = 4) b, nvent.stream_poll('test:bulk:>', 0, before => b.id) p;
SELECT cardinality(p.events), p.next_cursor = b.id AS stays
FROM (SELECT id FROM test.test_stream_bulk WHERE ts = 4) b, nvent.stream_poll('test:bulk:>', b.id, before => 1) p;
SELECT nvent.stream_poll('test:bulk:>', 0, before => -9223372036854775808);
SELECT nvent.stream_poll('test:bulk:>', 0, subject_regex => '(');
SELECT cardinality(events) > 50 AS all FROM nvent.stream_poll('test:bulk:>', 0, with_snaps => NULL);

-- Reads that match 10 of 100,000 events find them by an index, and look at a few
-- hundred pages of a thousand; a million are in
-- "make bench ONLY=eventstore".  Fails when the table has no index on (type, id),
-- which it has for who asks.
SELECT nvent.stream_create_table('big', store => 'test', indexes => '{type}');
INSERT INTO test.test_stream_big (subject, version, ts, type)
SELECT 'test:big:' || v % 10000 || ':x', v / 10000 + 1, v, CASE WHEN v % 10000 = 77 THEN 'rare' ELSE 'common' END
FROM generate_series(0, 99999) v;
ANALYZE test.test_stream_big;
SELECT pg_relation_size('test.test_stream_big') / current_setting('block_size')::int > 800 AS large;
CREATE FUNCTION pg_temp.cost(call text, OUT events int, OUT within_500_buffers boolean, OUT scans bigint) LANGUAGE plpgsql AS $$
DECLARE
    before bigint := coalesce(pg_stat_get_xact_numscans('test.test_stream_big'::regclass), 0);
BEGIN
    EXECUTE 'SELECT cardinality(events) FROM ' || call INTO events;
    within_500_buffers := pg_temp.buffers('SELECT FROM ' || call) < 500;
    scans := coalesce(pg_stat_get_xact_numscans('test.test_stream_big'::regclass), 0) - before;
END $$;
SELECT name, c.* FROM (VALUES
    (1, 'type', $$nvent.stream_poll('test:big:>', 0, types => '{rare}')$$),
    (2, 'prefix', $$nvent.stream_poll('test:big:4711:>', 0)$$),
    (3, 'pattern', $$nvent.stream_poll('test:big:4711:*', 0)$$),
    (4, 'category', $$nvent.stream_poll_category('test:big:4711', 0)$$),
    (5, 'both', $$nvent.stream_poll('test:big:77:>', 0, types => '{rare,none}')$$)) v (n, name, call),
    pg_temp.cost(call) c ORDER BY n;

-- Backward: the newest first.  Pages of any size are those forward turned around,
-- over several tables, beside holes of a million positions, and
-- where many events that match come after none.  Fails when ranges that hold too
-- much are taken as they are, and when the cursor is where a range ends; does not
-- end when ranges are not widened, or such ranges not narrowed.
SELECT nvent.stream_create_table('back', store => 'test', versioned => false);
SELECT setval('nvent.position_seq', last_value + 1000000) > 0 AS hole FROM nvent.position_seq;
INSERT INTO test.test_stream_back (subject, ts, type)
SELECT 'test:back:' || v % 7, v, CASE WHEN v > 2990 OR v % 50 = 0 THEN 'rare' ELSE 'common' END FROM generate_series(1, 3000) v;
SELECT setval('nvent.position_seq', last_value + 1000000) > 0 AS hole FROM nvent.position_seq;
INSERT INTO test.test_stream_big (subject, version, ts, type)
SELECT 'test:big:' || v, 100, v, 'last' FROM generate_series(1, 5) v;
INSERT INTO test.test_stream_back (subject, ts, type) VALUES ('test:back:1', 3001, 'last');
CREATE FUNCTION pg_temp.backward(pattern text, size integer, types text[], low bigint, regex text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    at bigint;
    page record;
    seen bigint[] := '{}';
    forward bigint[];
BEGIN
    LOOP
        SELECT * INTO page FROM nvent.stream_poll(pattern, low, size, types, 'test', before => at, subject_regex => regex,
            backward => true);
        seen := seen || ARRAY(SELECT (e ->> 'id')::bigint FROM unnest(page.events) WITH ORDINALITY u(e, n) ORDER BY n);
        at := page.next_cursor;
        EXIT WHEN cardinality(page.events) < size;
    END LOOP;
    forward := ARRAY(SELECT (e ->> 'id')::bigint
        FROM unnest((nvent.stream_poll(pattern, low, 65536, types, 'test', subject_regex => regex)).events) e ORDER BY 1 DESC);
    IF seen <> forward OR cardinality(seen) = 0 THEN
        RAISE 'pages of % of %: %, not %', size, pattern, cardinality(seen), cardinality(forward);
    END IF;
    -- What is left is nothing.
    RETURN cardinality(seen) || ' ' || cardinality((nvent.stream_poll(pattern, low, size, types, 'test', before => at,
        subject_regex => regex, backward => true)).events);
END $$;
SELECT name, size, pg_temp.backward(pattern, size, types, 0, regex)
FROM (VALUES
    ('all of a table', 'test:back:>', NULL, NULL),
    ('a subject', 'test:back:1', NULL, NULL),
    ('over tables', '>', '{last,rare}'::text[], NULL),
    ('a regular expression', 'test:back:*', '{common}', '[12]$')) v (name, pattern, types, regex),
    unnest(ARRAY[7, 100, 4000]) size
ORDER BY name, size;
SELECT pg_temp.backward('test:back:>', 1, '{rare}', (SELECT min(id) FROM test.test_stream_back WHERE ts = 2980), NULL);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 7, '{last}', backward => true)).events);
SELECT pg_temp.shown((nvent.stream_poll('test:>', 0, 2, '{last}', before => id, backward => true)).events)
FROM test.test_stream_back WHERE ts = 3001;
SELECT p.next_cursor = b.id + 1 AS at_the_end, cardinality(p.events) AS events
FROM (SELECT max(id) AS id FROM test.test_stream_back) b, nvent.stream_poll('test:back:>', b.id, backward => true) p;
-- It costs the newest, not what is below: within a hundred thousand events.
SELECT pg_temp.buffers($$SELECT FROM nvent.stream_poll('test:big:>', 0, 5, backward => true)$$) < 500 AS few_buffers;
SELECT cardinality(events), next_cursor FROM nvent.stream_poll('test:none:>', -9223372036854775808, backward => true);
-- What has not settled is not there.
BEGIN;
SELECT nvent.stream_append('test:back:open', '{"type": "last"}') ->> 'type' AS type;
SELECT pg_temp.shown((nvent.stream_poll('test:back:>', 0, 1, backward => true)).events);
ROLLBACK;
SELECT nvent.stream_poll('test:back:>', 9223372036854775807, backward => true);

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
