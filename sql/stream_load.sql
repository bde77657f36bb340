-- Events that are loaded by hand, as README.md shows: by COPY, with versions in
-- the file or numbered on their way, and by INSERT from another table.  What
-- reads and appends goes on from there as if they had been appended.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
SELECT nvent.stream_create_table(t, versioned => t <> 'log', store => 'test') FROM unnest('{file,numbered,inserted,log}'::text[]) t;

-- What can be seen of the loaded streams of a type: positions in the order of n
-- (which is in data), versions of each subject without a gap and in the order of
-- positions, the same by every way to read them, and in pages.
CREATE FUNCTION test.check(type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    all_events jsonb[];
    cursor bigint := 0;
    page record;
    paged jsonb[] := '{}';
BEGIN
    all_events := (SELECT events FROM nvent.stream_poll('test:' || type || ':>', 0, max_count => 65536));
    SELECT count(*) || ' events' || CASE WHEN bool_and(n > last_n AND id > last_id) THEN ' in order' ELSE ' out of order' END
        || CASE WHEN bool_and(version = nth) THEN ', no gap' ELSE ', gaps' END INTO result
    FROM (SELECT n, id, version, lag(n, 1, 0) OVER w AS last_n, lag(id, 1, 0::bigint) OVER w AS last_id,
              row_number() OVER (PARTITION BY subject ORDER BY k) AS nth
          FROM (SELECT k, (r->'data')::int AS n, (r->>'id')::bigint AS id, (r->>'version')::bigint AS version, r->>'subject' AS subject
                FROM unnest(all_events) WITH ORDINALITY u (r, k)) e
          WINDOW w AS (ORDER BY k)) e;
    LOOP
        SELECT * INTO page FROM nvent.stream_poll('test:' || type || ':>', cursor, max_count => 97);
        EXIT WHEN cardinality(page.events) = 0;
        paged := paged || page.events;
        cursor := page.next_cursor;
    END LOOP;
    IF paged <> all_events THEN result := result || ', not so in pages'; END IF;
    IF ARRAY(SELECT r FROM generate_series(0, 2) s, nvent.stream_read(format('test:%s:%s', type, s), max_count => NULL) WITH ORDINALITY u (r, k) ORDER BY s, k)
        <> ARRAY(SELECT r FROM unnest(all_events) r ORDER BY r->>'subject', (r->>'id')::bigint)
    THEN result := result || ', not so one by one'; END IF;
    RETURN result;
END $$;

-- A plain log, and versions that the file has.
\copy test.test_stream_log (subject, ts, type, data) FROM PROGRAM 'seq 1000 | awk ''{ print "test:log:" $1 % 3, 1, "t", $1 }''' (DELIMITER ' ')
SELECT count(*), bool_and((r->'data')::int = k) AS in_order FROM nvent.stream_poll('test:log:>', 0, max_count => 10000), unnest(events) WITH ORDINALITY u (r, k);
\copy test.test_stream_file (subject, version, ts, type, data) FROM PROGRAM 'seq 1000 | awk ''{ s = "test:file:" $1 % 3; print s, ++v[s], 1, "t", $1 }''' (DELIMITER ' ')
SELECT test.check('file');
SELECT nvent.stream_version('test:file:' || s) FROM generate_series(0, 3) s;
SELECT pg_temp.show(nvent.stream_append('test:file:1', '{"type": "t", "data": 1001}', 334));
SELECT pg_temp.show(r) FROM nvent.stream_append_batch('test:file:2', ARRAY(SELECT jsonb_build_object('type', 't', 'data', i) FROM generate_series(1002, 1005) i), 333) r;
SELECT pg_temp.error_of($$nvent.stream_append('test:file:0', '{"type": "t"}', 332)$$);
SELECT test.check('file');

-- What the table has already is refused as a whole, and no position of it is
-- there.
\copy test.test_stream_file (subject, version, ts, type, data) FROM PROGRAM 'printf "test:file:0 334 1 t 2000\ntest:file:1 335 1 t 2001\n"' (DELIMITER ' ')
SELECT test.check('file');

-- Numbered on the way.
\copy (SELECT 'test:numbered:' || i % 3, 1, 't', i FROM generate_series(1, 1000) i) TO PROGRAM 'awk -F"|" -v OFS="|" ''{ $1 = $1 OFS (++v[$1]) } 1'' >numbered.copy' (DELIMITER '|')
\copy test.test_stream_numbered (subject, version, ts, type, data) FROM 'numbered.copy' (DELIMITER '|')
\! rm numbered.copy
SELECT test.check('numbered');

-- From another table, behind what is there.
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "test:inserted:1", "events": [{"type": "t", "data": 1}, {"type": "t", "data": 2}]}]');
CREATE TEMP TABLE incoming (n bigint GENERATED ALWAYS AS IDENTITY, subject text COLLATE "C", ts bigint, type text, data jsonb);
INSERT INTO incoming (subject, ts, type, data) SELECT 'test:inserted:' || i % 3, 1, 't', to_jsonb(i) FROM generate_series(3, 1000) i;
BEGIN;
LOCK TABLE test.test_stream_inserted IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO test.test_stream_inserted (subject, version, ts, type, data)
SELECT subject, head + row_number() OVER (PARTITION BY subject ORDER BY n), ts, type, data
FROM incoming JOIN (SELECT subject, nvent.stream_version(subject) AS head FROM (SELECT DISTINCT subject FROM incoming) s) h USING (subject)
ORDER BY n;
COMMIT;
SELECT test.check('inserted');
SELECT nvent.stream_append('test:inserted:1', '{"type": "t", "data": 1001}') ->> 'version' AS version, nvent.stream_version('test:inserted:1');

-- Versions that do not begin at 1, or have a gap, stay so; the next one is behind
-- the last.  Lines that are not in the order of versions are read in it, and
-- followed in that of positions.
\copy test.test_stream_file (subject, version, ts, type, data) FROM PROGRAM 'printf "test:file:9 7 1 t 1\ntest:file:9 5 1 t 2\n"' (DELIMITER ' ')
SELECT pg_temp.show(nvent.stream_append('test:file:9', '{"type": "t", "data": 3}'));
SELECT pg_temp.show(r) FROM nvent.stream_read('test:file:9') r;
SELECT pg_temp.show(r) FROM nvent.stream_poll('test:file:9', 0), unnest(events) r;

DO $$ BEGIN PERFORM nvent.store_migrate('test', 0); END $$;
DROP SCHEMA test CASCADE;
