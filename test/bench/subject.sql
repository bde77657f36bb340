-- Times of the trie and of the matchers, by themselves and in statements.
-- Run at the top of the tree, with the extension installed:
--     psql -X -q -f test/bench/subject.sql
-- It prints one table and leaves nothing behind but the extension.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS nvent_store;
BEGIN;
CREATE TEMP TABLE bench (n serial, label text, value numeric, unit text, required text);
\copy bench (label, value, unit, required) FROM PROGRAM 'test/bench/subject.sh'

SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
CREATE TEMP TABLE events AS
SELECT i AS id, format('orders:r%s:%s', i % 10000, i) COLLATE "C" AS subject
FROM generate_series(1, 1000000) AS i;
CREATE INDEX ON events (subject);
ANALYZE events;

-- Best of five runs of a count, in units of per ns for each of n; without what
-- counting all the rows takes where less is set.
CREATE FUNCTION pg_temp.time_count(condition text, n float, less boolean DEFAULT false)
RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    best float := 'Infinity';
    began timestamptz;
    found bigint;
BEGIN
    FOR i IN 1..5 LOOP
        began := clock_timestamp();
        EXECUTE 'SELECT count(*) FROM events WHERE ' || condition INTO found;
        best := least(best, extract(epoch FROM clock_timestamp() - began));
    END LOOP;
    IF found = 0 THEN
        RAISE EXCEPTION '% finds nothing', condition;
    END IF;
    RETURN round((best * 1e9 / n)::numeric - CASE WHEN less THEN pg_temp.time_count('true', n) ELSE 0 END);
END $$;

-- One row of a sequential scan; the scan itself is taken off.
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_indexonlyscan = off;
INSERT INTO bench (label, value, unit, required)
SELECT l, pg_temp.time_count(c, 1e6, true), 'ns', '-'
FROM (VALUES
    (1, 'a row of subject_matches, orders:*:{id}', $$nvent.subject_matches(subject, 'orders:*:{id}')$$),
    (2, 'a row of kv_glob_matches, orders:*7', $$nvent.kv_glob_matches(subject, 'orders:*7')$$),
    (3, 'a row of LIKE orders:%7', $$subject LIKE 'orders:%7'$$),
    (4, 'a row of ~ ^orders:[^:]+:[^:]+$', $$subject ~ '^orders:[^:]+:[^:]+$'$$),
    (5, 'a row of subject_matches, pattern of the row',
     $$nvent.subject_matches(subject, CASE id % 2 WHEN 0 THEN 'orders:*:{id}' ELSE 'orders:{r}:*' END)$$)) AS t (n, l, c)
ORDER BY n;
INSERT INTO bench (label, value, unit, required)
SELECT '100 of 1,000,000 rows by subject_matches, sequential scan',
       pg_temp.time_count($$nvent.subject_matches(subject, 'orders:r77:>')$$, 1e3), 'us', '-';
RESET enable_indexscan;
RESET enable_bitmapscan;
RESET enable_indexonlyscan;
INSERT INTO bench (label, value, unit, required)
SELECT '100 of 1,000,000 rows by subject_matches, index',
       pg_temp.time_count($$nvent.subject_matches(subject, 'orders:r77:>')$$, 1e3), 'us', '-';
INSERT INTO bench (label, value, unit, required)
SELECT 'the same by subject >= and <',
       pg_temp.time_count($$subject >= 'orders:r77:' AND subject < 'orders:r77;'$$, 1e3), 'us', '-';

SELECT label, value, unit, required,
    CASE WHEN required LIKE '< %' THEN
        CASE WHEN value < substr(required, 3)::numeric THEN 'ok' ELSE 'MISSED' END END AS verdict
FROM bench
ORDER BY n;
ROLLBACK;
