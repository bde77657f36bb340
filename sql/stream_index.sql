-- Indexes of stream tables: those that every table has, those to ask for, what
-- is taken for one of them, and which of them the reading functions scan; and
-- that no read and no poll depends on them, whatever versions rows by hand have.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
CREATE FUNCTION pg_temp.indexes(type text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT substring(pg_get_indexdef(i.indexrelid) FROM 'USING btree (.*)') || CASE WHEN i.indisunique THEN ' unique' ELSE '' END
    FROM nvent.stream_tables('test') t JOIN pg_index i ON i.indrelid = t.relation WHERE t.type = $1 ORDER BY 1
$$;

-- Every event is written to two of them, or to those that were asked for.
SELECT nvent.stream_create_table('plain', false, 'test');
SELECT pg_temp.show(nvent.stream_append('test:versioned:1', '{"type": "a"}'));
SELECT pg_temp.indexes('versioned');
SELECT pg_temp.indexes('plain');
SELECT nvent.stream_create_table('all', true, 'test', '{type,run_id,subject}');
SELECT pg_temp.indexes('all');
-- A table that is there is left as it is.
SELECT nvent.stream_create_table('plain', false, 'test', '{type}');
SELECT count(*) FROM pg_temp.indexes('plain');

-- Later, once.
SELECT nvent.stream_index('plain', i, 'test'), nvent.stream_index('plain', i, 'test') FROM unnest('{type,run_id,subject}'::text[]) i;
SELECT pg_temp.indexes('plain');
-- What somebody built is found by its columns: not where it has other ones, or
-- other rows, or was given up.
SELECT nvent.stream_create_table('mine', store => 'test');
CREATE INDEX mine_order ON test.test_stream_mine (id, type);
CREATE INDEX mine_rows ON test.test_stream_mine (type, id) WHERE type <> 'x';
CREATE INDEX mine_desc ON test.test_stream_mine (type DESC, id);
CREATE INDEX mine_collation ON test.test_stream_mine (type COLLATE "POSIX", id);
CREATE INDEX mine_pattern ON test.test_stream_mine (type text_pattern_ops, id);
CREATE INDEX CONCURRENTLY mine_broken ON test.test_stream_mine (type, id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'test.mine_broken'::regclass;
CREATE INDEX CONCURRENTLY mine_more ON test.test_stream_mine (subject, id, ts);
SELECT i, nvent.stream_index('mine', i, 'test') AS made FROM unnest('{type,subject}'::text[]) i;
-- No index to ask for, no table, no store, no right.
SELECT call, pg_temp.outcome('SELECT ' || call) FROM unnest(ARRAY[$$nvent.stream_index('mine', 'ts', 'test')$$, $$nvent.stream_index('none', 'type', 'test')$$,
    $$nvent.stream_index('mine', 'type', 'none')$$, $$nvent.stream_index(NULL, 'type', 'test')$$, $$nvent.stream_index('mine', NULL, 'test')$$,
    $$nvent.stream_create_table('x', true, 'test', '{ts}')$$, $$nvent.stream_create_table('x', true, 'test', '{type,NULL}')$$]) call;
CREATE ROLE index_writer;
SELECT nvent.store_grant('index_writer', 'write', 'test');
CREATE ROLE index_admin;
SELECT nvent.store_grant('index_admin', 'admin', 'test');
SET ROLE index_writer;
SELECT nvent.stream_index('versioned', 'type', 'test');
SET ROLE index_admin;
SELECT nvent.stream_index('versioned', 'type', 'test');
RESET ROLE;
-- It is the owner's, as the table is.
SELECT count(DISTINCT relowner) AS owners, bool_and(relowner = current_user::regrole) AS ours FROM pg_class WHERE oid IN ('test.test_stream_versioned'::regclass, 'test.test_stream_versioned_type_id_idx'::regclass);

-- Which indexes a call scans, with how many events.  "key" is the primary key.
SELECT nvent.stream_create_table('few', store => 'test'), nvent.stream_create_table('more', store => 'test', indexes => '{type,subject,type}'), nvent.stream_create_table('log', false, 'test');
INSERT INTO test.test_stream_few (subject, version, ts, type)
SELECT 'test:few:' || CASE WHEN v < 5000 THEN 'long' ELSE 'k' || v % 1000 END, CASE WHEN v < 5000 THEN v ELSE v / 1000 - 4 END + 1, v, CASE WHEN v % 5000 = 77 THEN 'rare' ELSE 'e' END
FROM generate_series(0, 19999) v;
INSERT INTO test.test_stream_few (subject, version, ts, type) VALUES ('test:few:k1', 17, 1, '__snapshot__');
INSERT INTO test.test_stream_more (subject, version, ts, type) SELECT replace(subject, 'few', 'more'), version, ts, type FROM test.test_stream_few ORDER BY id;
INSERT INTO test.test_stream_log (subject, ts, type) SELECT replace(subject, 'few', 'log'), ts, type FROM test.test_stream_few ORDER BY id;
ANALYZE test.test_stream_few, test.test_stream_more, test.test_stream_log;
CREATE TEMP TABLE near_end AS
    SELECT 'few' AS type, id FROM test.test_stream_few WHERE ts = 19000 UNION ALL SELECT 'more', id FROM test.test_stream_more WHERE ts = 19000
    UNION ALL SELECT 'log', id FROM test.test_stream_log WHERE ts = 19000;
CREATE FUNCTION pg_temp.count_scans(relid oid) RETURNS bigint LANGUAGE sql AS $$ SELECT coalesce(pg_stat_get_xact_numscans(relid), 0) $$;
CREATE FUNCTION pg_temp.scans(type text, call text, OUT scanned text, OUT events bigint) LANGUAGE plpgsql AS $$
DECLARE
    rel regclass := 'test.test_stream_' || type;
    before jsonb;
    whole bigint := pg_temp.count_scans(rel);
BEGIN
    call := replace(replace(call, '{id}', (SELECT id::text FROM near_end n WHERE n.type = scans.type)), '{}', 'test:' || type);
    SELECT jsonb_object_agg(i.indexrelid, pg_temp.count_scans(i.indexrelid)) INTO before FROM pg_index i WHERE i.indrelid = rel;
    EXECUTE 'SELECT count(*) FROM ' || call INTO events;
    SELECT string_agg(replace(replace(replace(c.relname, 'test_stream_' || type || '_', ''), '_idx', ''), 'pkey', 'key'), ' ' ORDER BY c.relname) INTO scanned
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = rel AND pg_temp.count_scans(i.indexrelid) > (before->>i.indexrelid::text)::bigint;
    IF pg_temp.count_scans(rel) > whole THEN
        scanned := concat_ws(' ', scanned, 'and the whole table');
    END IF;
END $$;
SELECT call, few.*, more.*, log.* FROM unnest(ARRAY[$$nvent.stream_read('{}:k7')$$, $$nvent.stream_read('{}:k7', backward => true, max_count => 1)$$,
    $$nvent.stream_read('{}:k7', after => {id})$$, $$nvent.stream_read('{}:long', after => {id})$$,
    $$unnest((nvent.stream_poll('{}:k7', {id})).events)$$, $$unnest((nvent.stream_poll('{}:long', 0, 1000)).events)$$,
    $$unnest((nvent.stream_poll('{}:long', {id})).events)$$, $$unnest((nvent.stream_poll('{}:k7:*', 0)).events)$$,
    $$unnest((nvent.stream_poll('{}:>', 0, types => '{rare}')).events)$$, $$unnest((nvent.stream_poll('{}:>', {id}, 10)).events)$$,
    $$unnest((nvent.stream_poll_category('{}:k7', 0)).events)$$]) WITH ORDINALITY c (call, n),
    pg_temp.scans('few', call) few, pg_temp.scans('more', call) more, pg_temp.scans('log', call) log ORDER BY n;
SELECT call, few.* FROM unnest(ARRAY[$$nvent.stream_read('{}:k1', with_snaps => true)$$, $$nvent.stream_read('{}:k7', after_version => 10)$$, $$nvent.stream_version('{}:k7') v$$, $$nvent.stream_append('{}:k7', '{"type": "e"}', 16)$$,
    $$nvent.stream_stats('{}:k7')$$, $$nvent.stream_truncate('{}:k7', before => 10)$$, $$nvent.stream_erase('{}:k7')$$, $$nvent.stream_delete('{}:k7')$$]) WITH ORDINALITY c (call, n),
    pg_temp.scans('few', call) few ORDER BY n;

-- Rows by hand whose versions go down while positions go up: a poll has each
-- once, in the order of positions, of a subject that is short and of one that is
-- not, whatever the page, and so has a read by positions; a read that names none
-- has the order of versions.  All is the same when the index by position is there.
SELECT nvent.stream_create_table('hand', store => 'test');
INSERT INTO test.test_stream_hand (subject, version, ts, type)
SELECT s, 1000 - v, v, 't' || v % 3 FROM unnest('{test:hand:short,test:hand:long,test:hand:other}'::text[]) s, generate_series(1, 600) v WHERE s <> 'test:hand:short' OR v <= 50;
INSERT INTO test.test_stream_hand (subject, version, ts, type) SELECT 'test:hand:o' || v, 1, v, 't' || v % 3 FROM generate_series(1, 3000) v;
INSERT INTO test.test_stream_hand (subject, version, ts, type)
SELECT s, 2000 - v, v, 't' || v % 3 FROM unnest('{test:hand:short,test:hand:long}'::text[]) s, generate_series(1, 20) v;
ANALYZE test.test_stream_hand;
CREATE FUNCTION pg_temp.follow(subject text, types text[], size int) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    at bigint := 0;
    page jsonb[];
    seen bigint[] := '{}';
BEGIN
    LOOP
        SELECT next_cursor, events INTO at, page FROM nvent.stream_poll(subject, at, size, types);
        EXIT WHEN cardinality(page) = 0;
        seen := seen || ARRAY(SELECT (e->>'id')::bigint FROM unnest(page) WITH ORDINALITY u (e, n) ORDER BY n);
    END LOOP;
    RETURN seen;
END $$;
CREATE FUNCTION pg_temp.pages(subject text, types text[], size int) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    page bigint[];
    seen bigint[] := '{0}';
BEGIN
    LOOP
        page := ARRAY(SELECT (e->>'id')::bigint FROM nvent.stream_read(subject, after => seen[cardinality(seen)], types => types, max_count => size) WITH ORDINALITY r (e, n) ORDER BY n);
        EXIT WHEN page = '{}';
        seen := seen || page;
    END LOOP;
    RETURN seen[2:];
END $$;
CREATE VIEW pg_temp.followed AS
SELECT subject, types, size, cardinality(want) AS events, pg_temp.follow(subject, types, size) = want AS polled, pg_temp.pages(subject, types, size) = want AS read
FROM unnest('{test:hand:short,test:hand:long}'::text[]) subject, (VALUES (NULL), ('{t1}'::text[])) t (types), unnest('{7,100,1000}'::int[]) size,
    LATERAL (SELECT array_agg(id ORDER BY id) FROM test.test_stream_hand h WHERE h.subject = subject.subject AND (types IS NULL OR type = ANY (types))) w (want);
SELECT * FROM pg_temp.followed ORDER BY 1, 2, 3;
SELECT bool_and(v > coalesce(before, 0)) AS by_version, count(*) FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('test:hand:long') e) x;
SELECT nvent.stream_index('hand', 'subject', 'test');
SELECT bool_and(polled AND read) AS same FROM pg_temp.followed;
SELECT bool_and(v > coalesce(before, 0)) AS by_version, count(*) FROM (
    SELECT (e->>'version')::int AS v, lag((e->>'version')::int) OVER () AS before FROM nvent.stream_read('test:hand:long') e) x;

DROP VIEW pg_temp.followed;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
DROP OWNED BY index_writer, index_admin;
DROP ROLE index_writer, index_admin;
