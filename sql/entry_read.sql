-- Reading entries: order, pages by cursor and by offset, ranges of scores,
-- filters on every kind of field, and which indexes find them.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
SELECT nvent.store_create();
-- Ids of the entries of a call, in its order.
CREATE FUNCTION ids(VARIADIC entries jsonb[]) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(e ->> 'id', ' ' ORDER BY n) FROM unnest(entries) WITH ORDINALITY u (e, n) $$;

--
-- Order: by score, then by id, both highest first or both lowest first.
--
SELECT count(nvent.entry_add('nvent:order', id, score)) FROM (VALUES
    ('b', 1), ('a', 1), ('B', 1), ('é', 1), ('', 1), ('z', 0), ('y', -1), ('x', -1.5), ('w', 1e20), ('v', 0.1), ('u', -0.0), ('10', 1), ('9', 1)) v (id, score);
SELECT e ->> 'id' AS id, e -> 'score' AS score FROM nvent.entry_read('nvent:order') e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', ascending => true) e;
-- Ranges of scores include their ends.
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', min_score => 1) e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', max_score => 0) e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', min_score => -1, max_score => 0.1, ascending => true) e;
SELECT count(*) FROM nvent.entry_read('nvent:order', min_score => 2, max_score => 1);
SELECT count(*) AS all_numbers FROM nvent.entry_read('nvent:order', min_score => '-Infinity', max_score => 'NaN');
-- How many, and from which on.
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', 3) e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:order', max_count => 3, row_offset => 2) e;
SELECT (SELECT count(*) FROM nvent.entry_read('nvent:order', 0)) AS none, (SELECT count(*) FROM nvent.entry_read('nvent:order', NULL)) AS no_limit,
    (SELECT count(*) FROM nvent.entry_read('nvent:order', 5, NULL)) AS no_offset, (SELECT count(*) FROM nvent.entry_read('nvent:order', 5, 1000)) AS beyond,
    (SELECT count(*) FROM nvent.entry_read('nvent:order', ascending => NULL)) AS default_order;
SELECT count(nvent.entry_add('nvent:many', 'm' || i, 0)) FROM generate_series(1, 150) i;
SELECT count(*) AS default_count FROM nvent.entry_read('nvent:many');

--
-- Pages.  By a cursor each entry is seen once, with equal scores and whatever
-- is updated between the pages; by an offset too while no entry comes or goes.
--
CREATE FUNCTION pages(key text, size int, by_cursor bool, up bool, filter jsonb DEFAULT NULL) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    seen text[] := '{}'; page jsonb[]; last jsonb;
BEGIN
    LOOP
        page := ARRAY(SELECT nvent.entry_read(key, size, CASE WHEN by_cursor THEN 0 ELSE cardinality(seen) END, filter,
            CASE WHEN by_cursor THEN (last ->> 'score')::float8 END, CASE WHEN by_cursor THEN last ->> 'id' END, ascending => up));
        EXIT WHEN cardinality(page) = 0;
        seen := seen || ARRAY(SELECT e ->> 'id' FROM unnest(page) e);
        last := page[cardinality(page)];
        -- Rows that are behind and rows that are ahead move in the heap.
        PERFORM nvent.entry_update(key, page[1] ->> 'id', '{"seen": true}'), nvent.entry_increment(key, 'p' || cardinality(seen), 'hits');
    END LOOP;
    RETURN seen;
END $$;
SELECT count(nvent.entry_add('nvent:pages', 'p' || i, i / 40, jsonb_build_object('odd', i % 2))) FROM generate_series(1, 120) i;
SELECT size, by_cursor, up, cardinality(p) AS seen, (SELECT count(DISTINCT i) FROM unnest(p) i) AS distinct,
    p = ARRAY(SELECT 'p' || i FROM generate_series(1, 120) i ORDER BY CASE WHEN up THEN i / 40 ELSE -(i / 40) END, CASE WHEN up THEN 'p' || i END COLLATE "C", ('p' || i) COLLATE "C" DESC) AS in_order
FROM (VALUES (7), (50), (1), (120)) s (size), (VALUES (true), (false)) c (by_cursor), (VALUES (true), (false)) u (up), pages('nvent:pages', size, by_cursor, up) p
ORDER BY 1, 2, 3;
SELECT cardinality(p) AS seen, (SELECT count(DISTINCT i) FROM unnest(p) i) AS distinct FROM pages('nvent:pages', 7, true, false, '{"odd": 1}') p;
-- New entries ahead of the cursor are seen, those behind it are not; the
-- cursor's own entry may be gone.
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:pages', 2, after_score => 1, after_id => 'p45') e;
SELECT nvent.entry_delete('nvent:pages', 'p45'), nvent.entry_add('nvent:pages', 'p45a', 1), nvent.entry_add('nvent:pages', 'p44a', 1);
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:pages', 2, after_score => 1, after_id => 'p45') e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:pages', 2, after_score => 1, after_id => 'p45', ascending => true) e;
-- A cursor goes together with all other conditions.
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:pages', 2, 1, '{"odd": 1}', 1, 'p45', 1, 1) e;
-- A score that is no whole number comes back exactly, so the cursor is exact.
SELECT count(nvent.entry_add('nvent:exact', 'p' || i, 0.1 * i)) FROM generate_series(1, 30) i;
SELECT cardinality(p) AS seen, (SELECT count(DISTINCT i) FROM unnest(p) i) AS distinct FROM pages('nvent:exact', 4, true, true) p;

--
-- Filters.
--
SELECT nvent.entry_add('nvent:flow:runs:f', id, n, doc) FROM (VALUES
    ('a', 1, '{"status": "running", "startedAt": 1000, "stepCount": 1, "emittedEvents": {"s1": {"state": "done"}}, "team": "x", "stats": {"hits": 1}}'::jsonb),
    ('b', 2, '{"status": "completed", "startedAt": "1970-01-01T00:00:02Z", "stepCount": 2, "completedAt": 5000, "emittedEvents": {"s1": {"state": "new", "try": [1, 2]}}, "team": "y", "tags": ["p", "q"]}'),
    ('c', 3, '{"status": "failed", "startedAt": 3000, "team": null, "owner": {"name": "ada", "since": 1}, "deep": {"er": {"still": 0}}}'),
    ('d', 4, '{"status": "running", "startedAt": 4000, "stepCount": 1, "team": "x", "open": true, "owner": {"name": "ada"}, "rate": 1.50, "empty": "", "none": {}, "tags": []}')) v (id, n, doc);
CREATE TABLE filters (n serial, filter jsonb, remark text);
INSERT INTO filters (filter, remark) VALUES
    ('{}', 'no condition'), (NULL, 'no filter'),
    ('{"status": "running"}', 'text'), ('{"status": ["failed", "completed"]}', 'list'), ('{"status": []}', 'empty list'), ('{"status": ["running"]}', 'list of one'),
    ('{"status": ["running", "nothing", "running"]}', 'twice'), ('{"status": "Running"}', 'case'), ('{"status": "%"}', 'no pattern'), ('{"status": null}', 'never unset'),
    ('{"stepCount": 1}', 'whole number'), ('{"step_count": [1, 2]}', 'by column'), ('{"stepCount": null}', 'unset'), ('{"stepCount": [2, null]}', 'or unset'), ('{"stepCount": 1.0}', 'the same number'),
    ('{"startedAt": 1000}', 'ms'), ('{"startedAt": "1970-01-01T00:00:02.000Z"}', 'ISO'), ('{"startedAt": ["1970-01-01T01:00:03+01", 4000]}', 'both'), ('{"completedAt": null}', 'unset time'),
    ('{"emittedEvents.s1.state": "done"}', 'path in a column'), ('{"emitted_events.s1.state": ["new", "done"]}', 'list'), ('{"emittedEvents.s1": {"state": "done"}}', 'object'), ('{"emittedEvents.s1": {"state": "new"}}', 'not a part'),
    ('{"emittedEvents.s1.try": [[1, 2]]}', 'array'), ('{"emittedEvents.s1.try": [[1]]}', 'not a part'), ('{"emittedEvents.s1.state": null}', 'unset'), ('{"emittedEvents": {}}', 'all of it'),
    ('{"team": "x"}', 'no column'), ('{"team": ["x", "y"]}', 'list'), ('{"team": null}', 'unset or null'), ('{"team": ["y", null]}', 'or unset'), ('{"nothing": "x"}', 'unknown'), ('{"nothing": null}', 'unknown, unset'),
    ('{"owner.name": "ada"}', 'path'), ('{"owner": {"name": "ada"}}', 'object'), ('{"owner.since": 1}', 'number'), ('{"owner.since": "1"}', 'no string'), ('{"deep.er.still": 0}', 'falsy'), ('{"deep.er": null}', 'unset'),
    ('{"open": true}', 'true'), ('{"open": [false, true]}', 'either'), ('{"rate": 1.5}', 'same number'), ('{"empty": ""}', 'empty text'), ('{"none": {}}', 'empty object'), ('{"tags": [[]]}', 'empty array'), ('{"tags": [["p", "q"]]}', 'array'), ('{"tags": [["p"]]}', 'not a part'),
    ('{"stats.hits": 1}', 'statistics'), ('{"version": 0}', 'version'), ('{"version": [1, 2]}', 'version'), ('{"version": null}', 'never'),
    ('{"status": "running", "team": "x", "stepCount": [1], "open": null}', 'together'), ('{"status": "running", "owner.name": "ada", "emittedEvents": {}}', 'together'), ('{"status": "running", "team": "y"}', 'nothing'),
    ('{"": 1}', 'no name'), ('{".": 1}', 'dots'), ('{"a..b": null}', 'dots'), ('{"status.x": "y"}', 'not inside'), ('{"status.x": null}', 'not inside');
SELECT n, remark, filter, (SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => f.filter) e) AS found
FROM filters f ORDER BY n;
-- Twice in one session and under a generic plan it is the same.
SELECT count(*) AS differ FROM filters f, generate_series(1, 7) i
WHERE (SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => f.filter) e)
    IS DISTINCT FROM (SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => f.filter, ascending => false, max_count => 1000) e);
-- Statistics in columns and out of them.
SELECT nvent.entry_add('nvent:flows', 'a', 1, '{"stats": {"total": 1, "mine": 1}}'), nvent.entry_add('nvent:flows', 'b', 2, '{"stats": {"total": 2}}'), nvent.entry_add('nvent:flows', 'c', 3, '{"displayName": "stats"}');
SELECT filter, (SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flows', filter => filter) e) AS found
FROM unnest('{"{\"stats.total\": 1}","{\"stats.total\": [0, 2]}","{\"stats_total\": 2}","{\"stats.mine\": 1}","{\"stats.mine\": null}","{\"stats.total.x\": 1}","{\"stats.total.x\": null}"}'::jsonb[]) WITH ORDINALITY f (filter, n) ORDER BY n;

-- No value at all, of a column and in a document: one text, and as many parameters.
SELECT count(*) FROM unnest('{"{\"stats.total\": []}","{\"stats.mine\": []}","{\"stats.total\": []}"}'::jsonb[]) f (filter),
    nvent.entry_read('nvent:flows', NULL, filter => f.filter);

-- Names and values never become SQL.
SELECT n.name, (SELECT count(*) FROM nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object(n.name, 'x'))) AS found,
    (SELECT count(*) FROM nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('team', n.name))) AS as_value
FROM unnest(ARRAY['1=1 OR status', 'status" = ''x'' OR true --', 'status'') OR true --', 'x; DROP TABLE nvent_flow_runs', '$1', 't.status', 'extra', 'extra #>> ''{team}''', 'ctid', 'tableoid', 'xmin', 'team'']) OR true --', E'a\\', '{}', '{"a"}', '"']) WITH ORDINALITY n (name, i)
ORDER BY i;
SELECT nvent.entry_update('nvent:flow:runs:f', 'a', '{"1=1; --": 1, "x'' || y": "$1", "\\": "\\"}'), nvent.entry_increment('nvent:flow:runs:f', 'a', '1=1; --'), nvent.entry_increment('nvent:flow:runs:f', 'a', 'x"); DROP TABLE nvent_flow_runs; --');
SELECT (nvent.entry_get('nvent:flow:runs:f', 'a') -> 'metadata') - '{emittedEvents,awaitingSteps,startedAt}'::text[];
SELECT nvent.entry_get('nvent:flow:runs:f'' OR true --', 'a') AS key, nvent.entry_get('nvent:flow:runs:f', ''' OR true --') AS id;

-- What cannot be a value of the field is an error.
\set VERBOSITY default
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '[1]');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '"status"');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '{"status": 5}');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '{"status": ["running", 5]}');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '{"stepCount": 1.5}');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '{"startedAt": "soon"}');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => '{"version": "one"}');
SELECT nvent.entry_read('nvent:flows', filter => '{"stats": {"total": 1}}');
SELECT nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object(repeat('a.', 1000), 1));
-- The planner looks at each value and cannot be cancelled meanwhile: at most
-- 65,536 in a filter, and 1,000 for fields that are kept in jsonb.
SELECT nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('stepCount', list, 'completedSteps', list))
FROM (SELECT jsonb_agg(i) FROM generate_series(1, 32769) AS i) AS l (list);
SELECT nvent.entry_read('nvent:order', filter => jsonb_build_object('tag', list))
FROM (SELECT jsonb_agg(i) FROM generate_series(1, 1001) AS i) AS l (list);
SELECT nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('team', list, 'emittedEvents.a', list))
FROM (SELECT jsonb_agg(i) FROM generate_series(1, 501) AS i) AS l (list);
SELECT nvent.entry_read(NULL);
SELECT nvent.entry_read('nvent:order', -1);
SELECT nvent.entry_read('nvent:order', row_offset => -1);
SELECT nvent.entry_read('nvent:order', after_score => 1);
SELECT nvent.entry_read('nvent:order', after_id => 'a');
SELECT nvent.entry_read('');
\set VERBOSITY terse

-- A list may be long, and so may a filter.
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('stepCount', (SELECT jsonb_agg(i) FROM generate_series(2, 10000) i))) e;
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('team', (SELECT jsonb_agg('t' || i) || '["y"]' FROM generate_series(1, 300) i))) e;
SELECT count(*) FROM nvent.entry_read('nvent:flow:runs:f', filter => jsonb_build_object('team', (SELECT jsonb_agg('t' || i) FROM generate_series(1, 1000) i)));
SELECT ids(VARIADIC array_agg(e)) FROM nvent.entry_read('nvent:flow:runs:f', filter => (SELECT jsonb_object_agg('no' || i, NULL) || '{"team": "y"}' FROM generate_series(1, 300) i)) e;

-- Where there is nothing, nothing is found.
SELECT count(*) FROM nvent.entry_read('nostore:x');
SELECT count(*) FROM nvent.entry_read('nvent:nokey');
SELECT count(*) FROM nvent.entry_read('nvent:flow:runs:nokey', filter => '{"status": "running"}');

-- A call is a row source like any other, and sees what its statement sees.
SELECT k.key, e ->> 'id' AS id FROM (VALUES ('nvent:flows'), ('nvent:exact')) k (key), nvent.entry_read(k.key, 2) e ORDER BY 1, 2;
SELECT nvent.entry_add('nvent:flows', 'unseen', 9), (SELECT count(*) FROM nvent.entry_read('nvent:flows') WHERE e ->> 'id' = 'unseen') FROM nvent.entry_read('nvent:flows') e LIMIT 1;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT e ->> 'id' FROM nvent.entry_read('nvent:exact', 3) e;
SELECT nvent.entry_delete('nvent:exact', 'p29');
FETCH ALL c;
FETCH ABSOLUTE 1 c;
ROLLBACK;

--
-- Indexes: the statements beneath find by the key and in order of the score,
-- however many entries there are; a filter on what has no column uses a GIN
-- index where the user makes one.
--
CREATE FUNCTION scans(call text) RETURNS TABLE (relation name, scans bigint, rows bigint) LANGUAGE plpgsql AS $$
DECLARE
    watched oid[] := ARRAY(SELECT oid FROM pg_class WHERE oid IN ('nvent_entries'::regclass, 'nvent_flow_runs'::regclass)
        UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid IN ('nvent_entries'::regclass, 'nvent_flow_runs'::regclass));
    scans_before bigint[] := ARRAY(SELECT pg_stat_get_xact_numscans(o) FROM unnest(watched) WITH ORDINALITY u (o, n) ORDER BY n);
    rows_before bigint[] := ARRAY(SELECT pg_stat_get_xact_tuples_returned(o) FROM unnest(watched) WITH ORDINALITY u (o, n) ORDER BY n);
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || call;
    RETURN QUERY SELECT relname, pg_stat_get_xact_numscans(oid) - scans_before[n], pg_stat_get_xact_tuples_returned(oid) - rows_before[n]
        FROM unnest(watched) WITH ORDINALITY u (o, n) JOIN pg_class ON oid = o
        WHERE pg_stat_get_xact_numscans(oid) > scans_before[n] ORDER BY 1;
END $$;
INSERT INTO nvent_entries (key, id, score, extra) SELECT 'nvent:big', 'i' || i, i, jsonb_build_object('team', 't' || i % 1000) FROM generate_series(1, 20000) i;
INSERT INTO nvent_flow_runs (flow_name, run_id, score, started_at, status) SELECT 'big', 'r' || i, i, i, CASE WHEN i % 1000 = 0 THEN 'running' ELSE 'completed' END FROM generate_series(1, 20000) i;
VACUUM ANALYZE nvent_entries, nvent_flow_runs;
SELECT * FROM scans($$nvent.entry_get('nvent:big', 'i5')$$);
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50)$$);
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50, after_score => 10000, after_id => 'i10000')$$);
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50, min_score => 19990, ascending => true)$$);
SELECT * FROM scans($$nvent.entry_read('nvent:flow:runs:big', 50)$$);
SELECT * FROM scans($$nvent.entry_read('nvent:flow:runs:big', 50, filter => '{"status": ["running", "awaiting"]}')$$);
SELECT * FROM scans($$nvent.entry_read('nvent:flow:runs:big', 50, filter => '{"status": "running"}')$$);
CREATE INDEX by_extra ON nvent_entries USING gin (extra jsonb_path_ops);
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50, filter => '{"team": "t7"}')$$);
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50, filter => '{"team": ["t7", "t8"]}')$$);
-- The same once the field has a column, with an index on that.
ALTER TABLE nvent_entries ADD team text;
SELECT count(*) FROM nvent.entry_read('nvent:big', filter => '{"team": "t7"}');
-- The rows are written anew: versions of before stay in the index as long as anybody,
-- an autovacuum of its own too, has a snapshot that is older.
CREATE TEMP TABLE moved AS SELECT * FROM nvent_entries;
UPDATE moved SET team = extra ->> 'team', extra = extra - 'team' WHERE key = 'nvent:big';
TRUNCATE nvent_entries;
INSERT INTO nvent_entries SELECT * FROM moved;
DROP TABLE moved;
CREATE INDEX by_team ON nvent_entries (team);
VACUUM ANALYZE nvent_entries;
SELECT count(*) FROM nvent.entry_read('nvent:big', filter => '{"team": "t7"}');
SELECT * FROM scans($$nvent.entry_read('nvent:big', 50, filter => '{"team": "t7"}')$$);

-- All of them in one call.
SELECT count(*), sum((e ->> 'score')::int) FROM nvent.entry_read('nvent:big', NULL) e;

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE filters;
DROP FUNCTION ids, pages, scans;
