-- Rows that are read by a key without the executor: the same is read as by a
-- statement, under the same rights, or a statement is what reads.
--
-- A statement of ours locks the registry, a lookup does not: that tells which
-- way was taken.  Seen to fail with each condition of src/route/lookup.c taken
-- out.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT nvent.store_create();
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA nvent, public TO regress_reader;

CREATE FUNCTION way() RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN EXISTS (SELECT FROM pg_locks WHERE relation = 'nvent.store'::regclass AND pid = pg_backend_pid())
            THEN 'statement' ELSE 'lookup' END $$;
-- All that reads a key, and how, the first read of which may compile.  An
-- error is an answer too, and must be that of a SELECT.
CREATE FUNCTION read_key(key text) RETURNS TABLE (way text, same_as_select boolean, got text) LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    BEGIN
        got := concat_ws(' ', nvent.kv_get(key), nvent.kv_exists(key), nvent.kv_ttl(key) IS NOT NULL, (SELECT m.value FROM nvent.kv_mget(ARRAY[key]) m));
    EXCEPTION WHEN OTHERS THEN
        got := SQLSTATE || ' ' || SQLERRM;
    END;
    BEGIN
        EXECUTE format('SELECT concat_ws('' '', max(t.value::text), count(*) > 0, max(t.expires_at) IS NOT NULL, max(t.value::text)) FROM %s t WHERE t.key = $1 AND (t.expires_at IS NULL OR t.expires_at > statement_timestamp())',
            coalesce(current_setting('test.relation', true), 'public.nvent_kv')) INTO said USING key;
    EXCEPTION WHEN OTHERS THEN
        said := SQLSTATE || ' ' || SQLERRM;
    END;
    same_as_select := said = got;
    way := public.way();
    RETURN NEXT;
END $$;
-- kv_mget() is always a call that locks the registry, hence apart.
CREATE FUNCTION get_key(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nvent.kv_get(key), nvent.kv_exists(key), nvent.kv_ttl(key);
    RETURN public.way();
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

SELECT nvent.kv_set('k', '1'), nvent.kv_set('long', to_jsonb(repeat('x', 100000))), nvent.kv_set('timed', '2', ttl => '1 h'), nvent.kv_set('gone', '3', expires_at => '2000-01-01');

-- The first read of a relation is a statement, as is one of what was changed.
\c -
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT get_key('k') AS first;
SELECT get_key('k') AS second, read_key('k');
SELECT get_key('timed'), read_key('timed');
SELECT get_key('gone'), read_key('gone');
SELECT get_key('missing'), read_key('missing');
SELECT nvent.kv_get('long') = to_jsonb(repeat('x', 100000)) AS long;
SELECT nvent.kv_mget(ARRAY['k', 'missing', 'timed', 'k', 'gone']);
SELECT nvent.kv_get(''), get_key('k');
SELECT nvent.kv_get(repeat('x', 1025));

-- Its own rows are seen as by any statement: a function that is STABLE sees
-- what was there before its query, and what a VOLATILE one has done.
BEGIN;
SELECT nvent.kv_set('own', '1');
SELECT nvent.kv_get('own');
WITH w AS (UPDATE nvent_kv SET value = '2' WHERE key = 'own' RETURNING value) SELECT w.value, nvent.kv_get('own') FROM w;
SELECT nvent.kv_get('own');
SAVEPOINT s;
UPDATE nvent_kv SET value = '3' WHERE key = 'own';
SELECT nvent.kv_get('own');
ROLLBACK TO s;
SELECT nvent.kv_get('own');
ROLLBACK;
SELECT nvent.kv_get('own');
-- A cursor goes on to see what was there when it was opened.
BEGIN;
DECLARE c CURSOR FOR SELECT nvent.kv_get('k') FROM generate_series(1, 3);
FETCH c;
SELECT nvent.kv_set('k', '10');
FETCH c;
SELECT nvent.kv_get('k');
ROLLBACK;

-- Statistics count it.
BEGIN;
SELECT seq_scan, idx_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'nvent_kv' \gset
SELECT count(*) FROM generate_series(1, 10) i WHERE nvent.kv_get('k' || left(i::text, 0)) = '1';
SELECT seq_scan - :seq_scan AS seq_scan, idx_scan - :idx_scan AS idx_scan, idx_tup_fetch - :idx_tup_fetch AS idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'nvent_kv';
SELECT way();
-- So many locks are held as by a SELECT: the table's and its index's.
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'nvent%' ORDER BY relation::regclass::text COLLATE "C";
COMMIT;

-- Rights: of the table, of each column that is read, by membership; the error
-- is that of a SELECT.  Whoever has none does not get a lock.
SET ROLE regress_reader;
SELECT get_key('k');
RESET ROLE;
GRANT SELECT ON nvent_kv TO regress_reader;
SET ROLE regress_reader;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
RESET ROLE;
REVOKE SELECT ON nvent_kv FROM regress_reader;
SET ROLE regress_reader;
SELECT get_key('k');
SELECT read_key('k');
RESET ROLE;
GRANT SELECT (key, expires_at) ON nvent_kv TO regress_reader;
SET ROLE regress_reader;
SELECT get_key('k');
SELECT read_key('k');
RESET ROLE;
GRANT SELECT (value) ON nvent_kv TO regress_reader;
SET ROLE regress_reader;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
RESET ROLE;
REVOKE SELECT (key) ON nvent_kv FROM regress_reader;
SET ROLE regress_reader;
SELECT get_key('k'), read_key('k');
RESET ROLE;
REVOKE SELECT (expires_at, value) ON nvent_kv FROM regress_reader;
-- Of another role, as long as one is a member of it.
CREATE ROLE regress_readers;
GRANT SELECT ON nvent_kv TO regress_readers;
GRANT regress_readers TO regress_reader;
SET ROLE regress_reader;
SELECT get_key('k') AS compiles;
SELECT get_key('k');
RESET ROLE;
REVOKE regress_readers FROM regress_reader;
SET ROLE regress_reader;
SELECT get_key('k');
RESET ROLE;
GRANT regress_readers TO regress_reader;
SET ROLE regress_reader;
SELECT get_key('k');
RESET ROLE;
REVOKE USAGE ON SCHEMA public FROM PUBLIC, regress_reader;
SET ROLE regress_reader;
SELECT nvent.kv_get('k');
RESET ROLE;
GRANT USAGE ON SCHEMA public TO PUBLIC, regress_reader;
-- A grant that is rolled back was none.
REVOKE regress_readers FROM regress_reader;
BEGIN;
GRANT regress_readers TO regress_reader;
SET LOCAL ROLE regress_reader;
SELECT get_key('k');
ROLLBACK;
SET ROLE regress_reader;
SELECT get_key('k');
RESET ROLE;
GRANT regress_readers TO regress_reader;

-- Policies: a role that they restrict reads by a statement.
ALTER TABLE nvent_kv ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON nvent_kv FOR SELECT TO regress_reader USING (key <> 'k');
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
SET ROLE regress_reader;
SELECT get_key('k'), read_key('k');
SELECT get_key('timed'), read_key('timed');
SET row_security = off;
SELECT get_key('k');
SELECT read_key('k');
RESET row_security;
RESET ROLE;
CREATE ROLE regress_owner;
GRANT USAGE ON SCHEMA nvent TO regress_owner;
GRANT CREATE ON SCHEMA public TO regress_owner;
ALTER TABLE nvent_schema_version OWNER TO regress_owner;
ALTER TABLE nvent_kv OWNER TO regress_owner;
SET ROLE regress_owner;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
ALTER TABLE nvent_kv FORCE ROW LEVEL SECURITY;
SELECT get_key('k'), read_key('k');
RESET ROLE;
ALTER TABLE nvent_kv OWNER TO CURRENT_USER;
ALTER TABLE nvent_schema_version OWNER TO CURRENT_USER;
ALTER TABLE nvent_kv NO FORCE ROW LEVEL SECURITY;
DROP POLICY few ON nvent_kv;
ALTER TABLE nvent_kv DISABLE ROW LEVEL SECURITY;
SELECT get_key('k') AS compiles;
SELECT get_key('k');

-- A child has rows of its key, too.
CREATE TABLE child () INHERITS (nvent_kv);
INSERT INTO child (key, value) VALUES ('child', '7');
SELECT get_key('child') AS compiles;
SELECT get_key('child'), nvent.kv_get('child'), (SELECT value FROM nvent.kv_mget('{child}'));
DROP TABLE child;
-- Which is noted until the next ANALYZE.
SELECT get_key('k') AS compiles;
SELECT get_key('k');
ANALYZE nvent_kv;
SELECT get_key('k') AS compiles;
SELECT get_key('k');

-- A table of another access method, whose rows may be anywhere.
CREATE ACCESS METHOD regress_heap TYPE TABLE HANDLER heap_tableam_handler;
ALTER TABLE nvent_kv SET ACCESS METHOD regress_heap;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
ALTER TABLE nvent_kv SET ACCESS METHOD heap;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
DROP ACCESS METHOD regress_heap;

-- Indexes: none, not valid, with another order.
SELECT format('ALTER TABLE nvent_kv DROP CONSTRAINT %I', conname) FROM pg_constraint WHERE conrelid = 'nvent_kv'::regclass AND contype = 'p' \gexec
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
CREATE INDEX by_key ON nvent_kv (key);
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
DROP INDEX by_key;
CREATE UNIQUE INDEX other ON nvent_kv (key COLLATE "POSIX");
SELECT get_key('k') AS compiles;
SELECT get_key('k');
DROP INDEX other;
CREATE UNIQUE INDEX other ON nvent_kv (key text_pattern_ops);
SELECT get_key('k') AS compiles;
SELECT get_key('k');
DROP INDEX other;
CREATE UNIQUE INDEX other ON nvent_kv (key) WHERE key <> 'k';
SELECT get_key('k') AS compiles;
SELECT get_key('k');
DROP INDEX other;
CREATE UNIQUE INDEX other ON nvent_kv (lower(key));
SELECT get_key('k') AS compiles;
SELECT get_key('k');
DROP INDEX other;
CREATE UNIQUE INDEX other ON nvent_kv (key, expires_at);
SELECT get_key('k') AS compiles;
SELECT get_key('k');
DROP INDEX other;
ALTER TABLE nvent_kv ADD UNIQUE (key) DEFERRABLE;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
ALTER TABLE nvent_kv DROP CONSTRAINT nvent_kv_key_key, ADD PRIMARY KEY (key);
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'nvent_kv_pkey'::regclass;
SELECT get_key('k'), read_key('k');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'nvent_kv_pkey'::regclass;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');
REINDEX TABLE nvent_kv;
SELECT get_key('k') AS compiles;
SELECT get_key('k'), read_key('k');

-- Tables of the user: a partitioned one, a view, one with dropped columns and
-- one that was added with a default, one that is changed in the transaction.
CREATE TABLE parts (key text COLLATE "C" PRIMARY KEY, value jsonb, expires_at timestamptz) PARTITION BY HASH (key);
CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT nvent.route_add('kv', 'parts:>', 'parts'), nvent.kv_set('parts:1', '1');
SET test.relation = 'parts';
SELECT get_key('parts:1') AS compiles;
SELECT get_key('parts:1'), read_key('parts:1');
CREATE VIEW shown AS SELECT key, to_jsonb('shown'::text) AS value, expires_at FROM parts;
SELECT nvent.route_add('kv', 'shown:>', 'shown');
SET test.relation = 'shown';
INSERT INTO parts VALUES ('shown:1', '1');
SELECT get_key('shown:1') AS compiles;
SELECT get_key('shown:1'), read_key('shown:1');
CREATE TABLE worn (a integer, key text COLLATE "C" UNIQUE, b text, value jsonb);
INSERT INTO worn VALUES (1, 'worn:1', 'b', '1');
ALTER TABLE worn DROP COLUMN a, DROP COLUMN b, ADD COLUMN expires_at timestamptz DEFAULT '2999-01-01';
SELECT nvent.route_add('kv', 'worn:>', 'worn');
SET test.relation = 'worn';
SELECT get_key('worn:1') AS compiles;
SELECT get_key('worn:1'), read_key('worn:1');
BEGIN;
ALTER TABLE worn ALTER COLUMN value TYPE jsonb USING '2';
SELECT nvent.kv_get('worn:1');
SELECT nvent.kv_get('worn:1');
TRUNCATE worn;
SELECT nvent.kv_get('worn:1');
ROLLBACK;
SELECT get_key('worn:1') AS compiles;
SELECT get_key('worn:1'), read_key('worn:1');
RESET test.relation;
-- The route changes: the next read is of the other relation.
SELECT nvent.route_drop('kv', 'worn:>');
SELECT get_key('worn:1') AS compiles, nvent.kv_get('worn:1');
-- Another default store, another table.
SELECT nvent.store_create('other'), nvent.kv_set('other:k', '"other"');
SELECT nvent.kv_set('x', '"nvent"');
SET nvent_store.default_store = 'other';
SELECT nvent.kv_get('x');
SELECT nvent.kv_set('x', '"other"');
SELECT nvent.kv_get('x'), get_key('x');
RESET nvent_store.default_store;
SELECT nvent.kv_get('x'), nvent.kv_get('other:k'), nvent.kv_get('x'), nvent.kv_get('other:k');
SELECT get_key('other:k'), get_key('x'), nvent.kv_get('x'), nvent.kv_get('other:k');
SELECT nvent.store_migrate('other', 0) > 0 AS dropped;
SELECT nvent.kv_get('other:k'), nvent.kv_get('x');

-- Entries: by the columns of their key and the id, with a whole row.
SELECT nvent.entry_add('e', 'id', 1, '{"a": 1}'), nvent.entry_add('nvent:flow:runs:f', 'r', 2, '{"status": "done"}');
CREATE FUNCTION get_entry(key text, id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    entry jsonb;
    way text;
BEGIN
    entry := nvent.entry_get(key, id);
    way := public.way();
    RETURN way || ' ' || coalesce(entry -> 'metadata' ->> 'a', entry -> 'metadata' ->> 'status', 'none')
        || CASE WHEN entry = (SELECT r FROM nvent.entry_read(key) r WHERE r ->> 'id' = id) THEN ' as read' ELSE '' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT get_entry('e', 'id'), get_entry('nvent:flow:runs:f', 'r') \gset first_
SELECT get_entry('e', 'id'), get_entry('e', 'none');
SELECT get_entry('nvent:flow:runs:f', 'r');
SELECT get_entry('nvent:flow:runs:other', 'r');
CREATE TABLE books (dropped integer, shelf text NOT NULL, score double precision, isbn text NOT NULL, version bigint, a integer, PRIMARY KEY (isbn, shelf));
ALTER TABLE books DROP COLUMN dropped;
SELECT nvent.route_add('entry', 'shelf:{shelf}', 'books'), nvent.entry_add('shelf:1', 'i1', 1, '{"a": 11}'), nvent.entry_add('shelf:2', 'i1', 1, '{"a": 21}');
SELECT get_entry('shelf:1', 'i1') \gset first_
SELECT get_entry('shelf:1', 'i1'), get_entry('shelf:2', 'i1');
GRANT SELECT (shelf, score, isbn, version) ON books TO regress_reader;
SET ROLE regress_reader;
SELECT get_entry('shelf:1', 'i1');
RESET ROLE;
GRANT SELECT (a) ON books TO regress_reader;
SET ROLE regress_reader;
SELECT get_entry('shelf:1', 'i1') \gset first_
SELECT get_entry('shelf:1', 'i1');
RESET ROLE;
ALTER TABLE books ALTER COLUMN shelf TYPE uuid USING ('00000000-0000-0000-0000-00000000000' || shelf)::uuid;
SELECT get_entry('shelf:00000000-0000-0000-0000-000000000001', 'i1') \gset first_
SELECT get_entry('shelf:00000000-0000-0000-0000-000000000001', 'i1');
SELECT nvent.entry_get('', 'x');

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP VIEW shown;
DROP TABLE parts, worn, books;
DROP FUNCTION way(), read_key(text), get_key(text), get_entry(text, text);
REVOKE ALL ON SCHEMA nvent, public FROM regress_reader;
REVOKE ALL ON SCHEMA nvent, public FROM regress_owner;
DROP ROLE regress_reader, regress_readers, regress_owner;
