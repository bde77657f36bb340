-- Polls and scans of consumers read plain tables along an index, without a
-- statement: that they find what a plain query finds, whatever the table has
-- been through, and that whatever is no plain table, or not all the caller's to
-- read, is read by a statement.
--
-- Seen to fail with: columns taken by their place instead of their number; a
-- descriptor without missing values; a partial index taken for the prefix; what
-- a prefix that was given up had found kept; the count applied within equal
-- positions; children left out; a column of another type taken as it is; no look
-- at relrowsecurity; no look at the caller's rights; statements in place of the
-- walks, of polls, also those of one subject, and of consumers; no look at the
-- prefix.
\set VERBOSITY terse
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create('walk', 'walk');

-- Rows that are older than their table's columns: some were dropped, some came
-- with a default, one is computed, a payload is out of line.  A read of one
-- subject is by a statement.
SELECT nvent.stream_create_table('old', store => 'walk');
SELECT nvent.stream_append('walk:old:1', jsonb_build_object('type', 'made', 'runId', 'r', 'data',
    (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 3000) i))) ->> 'version' AS version;
ALTER TABLE walk.walk_stream_old DROP COLUMN run_id, DROP COLUMN flow_name,
    ADD COLUMN place text DEFAULT 'here', ADD COLUMN twice bigint GENERATED ALWAYS AS (version * 2) STORED;
SELECT nvent.stream_append('walk:old:1', '{"type": "moved", "place": "there"}') ->> 'version' AS version;
ALTER TABLE walk.walk_stream_old DROP COLUMN step_id, ADD COLUMN late integer DEFAULT 7;
SELECT count(nvent.stream_append('walk:old:2', '{"type": "late", "late": null}'));
SELECT (e - '{id,ts,data,subject}'::text[]) AS record, jsonb_array_length(e -> 'data') AS data
FROM nvent.stream_poll('walk:old:>', 0), unnest(events) WITH ORDINALITY u (e, n) ORDER BY n;
SELECT (nvent.stream_poll('walk:old:*', 0)).events = array_agg(e) AS same
FROM unnest(ARRAY['walk:old:1', 'walk:old:2']) s, nvent.stream_read(s) e;

-- Subjects around those that begin as a pattern does, in a table of many
-- others: what a plain query finds, from any cursor and in pages.  The first
-- index by subject has some of the rows only.
CREATE TABLE walk.many (
    id bigint DEFAULT nvent.next_position('walk') PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    type text);
CREATE INDEX ON walk.many (subject) WHERE type = 'none';
CREATE INDEX ON walk.many (subject, id);
SELECT nvent.route_add('stream', 'walk:many:>', 'walk.many');
INSERT INTO walk.many (subject, ts, type)
SELECT 'walk:many:' || CASE WHEN i % 500 = 0 THEN (ARRAY['a', 'a:', 'a:1', 'a:1:2', 'a:zz', 'a;', 'a9', 'aa:1', 'b:1', E'a:\u00e9', E'a:\U0010ffff'])[i / 500 % 11 + 1]
    ELSE 'x' || i % 97 || ':y' END, i, 't' || i % 3
FROM generate_series(1, 6000) i;
INSERT INTO walk.many (subject, ts, type) SELECT 'walk:many:big:' || i % 3, i, 't' FROM generate_series(1, 400) i;
CREATE FUNCTION walk.same(pattern text, after bigint, max_count int, types text[] DEFAULT NULL, OUT n int, OUT same boolean) LANGUAGE sql
BEGIN ATOMIC
    SELECT cardinality(p.events), ARRAY(SELECT (e ->> 'id')::bigint FROM unnest(p.events) e) = ARRAY(
        SELECT m.id FROM walk.many m WHERE nvent.subject_matches(m.subject, pattern) AND m.id > after AND (types IS NULL OR m.type = ANY (types))
        ORDER BY m.id LIMIT max_count)
    FROM nvent.stream_poll(pattern, after, max_count, types) p;
END;
SELECT min(id) AS first, max(id) AS last FROM walk.many \gset
SELECT pattern, s.n AS all, f.n AS five, t.n AS typed, h.n AS half, s.same AND f.same AND t.same AND h.same AS same
FROM unnest(ARRAY['a:>', 'a:*', 'a:1', 'a:1:>', 'a:*:2', 'a:', 'a:none:>', '*', '*:1', 'a', 'aa:>', 'big:>', 'big:*', 'x5:>', 'zz:>']) WITH ORDINALITY u (tail, n),
    LATERAL (SELECT 'walk:many:' || tail AS pattern) p,
    walk.same(pattern, 0, 10000) s, walk.same(pattern, 0, 5) f, walk.same(pattern, 0, 10000, '{t1,t}') t, walk.same(pattern, :first + 3000, 10000) h
ORDER BY u.n;

-- One subject of a table with versions, whose index does not have positions: few
-- events and many, in another order than that of versions, from any cursor.
SELECT nvent.stream_create_table('one', store => 'walk');
SELECT count(*) FROM nvent.stream_append_batch('walk:one:many', ARRAY(SELECT jsonb_build_object('type', 't' || i % 3) FROM generate_series(1, 300) i));
SELECT count(nvent.stream_append('walk:one:' || s, jsonb_build_object('type', 't' || i % 3))) FROM generate_series(1, 9) i, unnest('{few,few:,fe,few:1}'::text[]) s;
INSERT INTO walk.walk_stream_one (subject, ts, type, version) SELECT 'walk:one:few', i, 't' || i % 3, 30 - i FROM generate_series(1, 9) i;
CREATE FUNCTION walk.one(pattern text, after bigint, max_count int, types text[] DEFAULT NULL, OUT n int, OUT same boolean) LANGUAGE sql
BEGIN ATOMIC
    SELECT cardinality(p.events), ARRAY(SELECT (e ->> 'id')::bigint FROM unnest(p.events) e) = ARRAY(
        SELECT m.id FROM walk.walk_stream_one m WHERE m.subject = pattern AND m.id > after AND (types IS NULL OR m.type = ANY (types))
        ORDER BY m.id LIMIT max_count)
    FROM nvent.stream_poll(pattern, after, max_count, types) p;
END;
SELECT max(id) - 12 AS late FROM walk.walk_stream_one \gset
SELECT pattern, s.n AS all, f.n AS five, t.n AS typed, h.n AS late, s.same AND f.same AND t.same AND h.same AS same
FROM unnest(ARRAY['many', 'few', 'few:', 'none']) WITH ORDINALITY u (tail, n),
    LATERAL (SELECT 'walk:one:' || tail AS pattern) p,
    walk.one(pattern, 0, 10000) s, walk.one(pattern, 0, 5) f, walk.one(pattern, 0, 10000, '{t1,t}') t, walk.one(pattern, :late, 10000) h
ORDER BY u.n;

-- Equal positions, which come all or not at all, whatever a page may have.
CREATE TABLE walk.twins (
    id bigint DEFAULT nvent.next_position('walk'),
    subject text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    type text,
    PRIMARY KEY (id, subject));
SELECT nvent.route_add('stream', 'walk:twins:>', 'walk.twins');
INSERT INTO walk.twins SELECT :first + i / 4, 'walk:twins:' || i % 4, i, 't' FROM generate_series(0, 399) i;
SELECT max_count, cardinality(events) AS n, next_cursor - :first AS upto
FROM unnest(ARRAY[1, 4, 5, 99, 396]) max_count, nvent.stream_poll('walk:twins:>', 0, max_count);

-- What is no plain table: one with children, until ANALYZE sees that they are
-- gone, and one with a column that a record shows as its type's cast to json.
CREATE TABLE walk.child () INHERITS (walk.many);
INSERT INTO walk.child (subject, ts, type) VALUES ('walk:many:a:child', 1, 't');
SELECT pg_temp.page((nvent.stream_poll('walk:many:a:*', :last)).events);
DROP TABLE walk.child;
ANALYZE walk.many;
ALTER TABLE walk.many ADD COLUMN color bit(3) DEFAULT '101';
SELECT (e ->> 'subject') AS subject, e ->> 'color' AS color FROM nvent.stream_poll('walk:many:a:>', 0, 1), unnest(events) e;
ALTER TABLE walk.many DROP COLUMN color;

-- Who may read some columns, or some rows, or nothing.
CREATE ROLE regress_walk;
GRANT USAGE ON SCHEMA walk, nvent TO regress_walk;
GRANT SELECT ON walk.many TO regress_walk;
SET ROLE regress_walk;
SELECT n, same FROM walk.same('walk:many:a:>', 0, 100);
RESET ROLE;
ALTER TABLE walk.many ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON walk.many TO regress_walk USING (subject = 'walk:many:a:1');
SET ROLE regress_walk;
SELECT n, same FROM walk.same('walk:many:a:>', 0, 100);
RESET ROLE;
ALTER TABLE walk.many DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON walk.many FROM regress_walk;
GRANT SELECT (id, subject, ts) ON walk.many TO regress_walk;
SET ROLE regress_walk;
SELECT nvent.stream_poll('walk:many:a:>', 0);
RESET ROLE;
GRANT SELECT (type) ON walk.many TO regress_walk;
SET ROLE regress_walk;
SELECT n, same FROM walk.same('walk:many:a:>', 0, 100);
RESET ROLE;

GRANT SELECT ON walk.walk_stream_one TO regress_walk;
ALTER TABLE walk.walk_stream_one ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON walk.walk_stream_one TO regress_walk USING (type = 't1');
SET ROLE regress_walk;
SELECT pattern, o.* FROM unnest('{walk:one:few,walk:one:many}'::text[]) pattern, walk.one(pattern, 0, 1000) o;
RESET ROLE;
ALTER TABLE walk.walk_stream_one DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON walk.walk_stream_one FROM regress_walk;
GRANT SELECT (id, subject, ts) ON walk.walk_stream_one TO regress_walk;
SET ROLE regress_walk;
SELECT nvent.stream_poll('walk:one:few', 0);
RESET ROLE;

-- A poll of many tables plans nothing for them, and neither does a scan for
-- consumers.
SELECT count(nvent.stream_append('walk:t' || i || ':1', '{"type": "t"}')) FROM generate_series(1, 30) i;
SELECT count(nvent.consumer_subscribe('c' || i, 'walk:t' || i || ':>', store => 'walk')) FROM generate_series(1, 30) i;
\c
SELECT cardinality(events) FROM nvent.stream_poll('walk:t1:>', 0);
SELECT count(*) AS plans FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' \gset
SELECT cardinality(events) > 1000 AS polled FROM nvent.stream_poll('walk:>', 0, 65536);
SELECT nvent.consumer_correlate(store => 'walk') > 0 AS marked;
SELECT sum(cardinality(events)) FROM generate_series(1, 30) i, nvent.stream_poll('walk:t' || i || ':1', 0);
SELECT count(*) FROM nvent.consumer_list(store => 'walk') WHERE mark > "position";
SELECT count(*) - :plans < 25 AS few_plans FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource';

-- A poll of a pattern that finds little looks at few rows, whatever lies above
-- the cursor.
CREATE FUNCTION pg_temp.fetched() RETURNS numeric LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_fetched(indexrelid)) FROM pg_index WHERE indrelid = 'walk.many'::regclass
$$;
CREATE FUNCTION pg_temp.look(pattern text, OUT n int, OUT few_rows boolean) LANGUAGE plpgsql AS $$
DECLARE
    before numeric := pg_temp.fetched();
BEGIN
    n := cardinality(events) FROM nvent.stream_poll(pattern, 0);
    few_rows := pg_temp.fetched() - before BETWEEN 10 AND 400;
END $$;
SELECT pattern, l.* FROM unnest(ARRAY['walk:many:none:>', 'walk:many:a:1:>', 'walk:many:none:*:x']) pattern, pg_temp.look(pattern) l;

SET client_min_messages = warning;
DROP FUNCTION walk.one;
SELECT nvent.store_migrate('walk', 0) > 0 AS dropped;
DROP SCHEMA walk CASCADE;
DROP OWNED BY regress_walk;
DROP ROLE regress_walk;
