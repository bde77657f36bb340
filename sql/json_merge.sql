-- Merging of jsonb documents.  A result must not only be equal to the one that
-- PostgreSQL builds but be the same bytes; rebuilt() says whether it is.
CREATE FUNCTION rebuilt(doc jsonb) RETURNS bool
LANGUAGE sql IMMUTABLE
RETURN record_image_eq(ROW(doc), ROW(doc::text::jsonb));

-- Every function can be folded and run in parallel workers, and none but
-- jsonb_expand_paths is strict.
SELECT p.proname, p.prokind, p.provolatile, p.proparallel, p.proisstrict
FROM pg_proc p
WHERE p.pronamespace = 'nvent'::regnamespace AND p.proname LIKE 'jsonb\_%'
ORDER BY p.proname COLLATE "C";

--
-- jsonb_deep_merge
--
CREATE TABLE deep_case (id int GENERATED ALWAYS AS IDENTITY, target jsonb, source jsonb, expected jsonb);
INSERT INTO deep_case (target, source, expected) VALUES
    -- nothing to merge, and nothing to merge into
    ('{}', '{}', '{}'),
    ('{"a": 1}', '{}', '{"a": 1}'),
    ('{}', '{"a": 1, "b": [1]}', '{"a": 1, "b": [1]}'),
    -- values replace, in every place of the key order
    ('{"a": 1, "b": 2, "c": 3}', '{"a": 9}', '{"a": 9, "b": 2, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', '{"b": 9}', '{"a": 1, "b": 9, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', '{"c": 9}', '{"a": 1, "b": 2, "c": 9}'),
    ('{"b": 1, "d": 2}', '{"a": 0, "c": 0, "e": 0, "aa": 0}', '{"a": 0, "b": 1, "c": 0, "d": 2, "e": 0, "aa": 0}'),
    -- a number of another scale is another value
    ('{"a": 1.0}', '{"a": 1}', '{"a": 1}'),
    -- objects merge at every level, arrays do not
    ('{"a": {"x": 1, "y": {"z": 2}}}', '{"a": {"y": {"w": 3}}}', '{"a": {"x": 1, "y": {"w": 3, "z": 2}}}'),
    ('{"a": [1, 2, {"x": 1}]}', '{"a": [{"y": 2}]}', '{"a": [{"y": 2}]}'),
    ('{"a": {"x": 1}}', '{"a": {}}', '{"a": {"x": 1}}'),
    -- an object does not merge with what is no object, either way
    ('{"a": 1}', '{"a": {"x": 1}}', '{"a": {"x": 1}}'),
    ('{"a": [1]}', '{"a": {"x": 1}}', '{"a": {"x": 1}}'),
    ('{"a": null}', '{"a": {"x": 1}}', '{"a": {"x": 1}}'),
    ('{"a": {"x": 1}}', '{"a": "x"}', '{"a": "x"}'),
    -- a null deletes its key, on the level where it stands
    ('{"a": 1, "b": 2}', '{"a": null}', '{"b": 2}'),
    ('{"a": 1}', '{"a": null}', '{}'),
    ('{"a": {"x": 1, "y": 2}}', '{"a": {"x": null}}', '{"a": {"y": 2}}'),
    ('{"a": {"x": 1}}', '{"a": {"x": null}}', '{"a": {}}'),
    ('{"a": {"x": 1}}', '{"a": null}', '{}'),
    ('{"a": 1}', '{"b": null}', '{"a": 1}'),
    ('{}', '{"a": null, "b": 1}', '{"b": 1}'),
    ('{"a": null}', '{"a": null}', '{}'),
    -- nulls of the target stay unless the source names their key
    ('{"a": null, "b": 1}', '{"b": 2}', '{"a": null, "b": 2}'),
    -- what has no object to merge with goes in as it is, nulls inside included
    ('{}', '{"a": {"x": null, "y": {"z": null}}}', '{"a": {"x": null, "y": {"z": null}}}'),
    ('{"a": 1}', '{"a": {"x": null}}', '{"a": {"x": null}}'),
    ('{"a": 1}', '{"a": [null]}', '{"a": [null]}'),
    -- a document that is no object is replaced whole, and replaces
    ('{"a": 1}', '5', '5'),
    ('{"a": 1}', '"a"', '"a"'),
    ('{"a": 1}', 'null', 'null'),
    ('{"a": 1}', '[1, null]', '[1, null]'),
    ('5', '{"a": null}', '{"a": null}'),
    ('null', '{"a": {"b": null}}', '{"a": {"b": null}}'),
    ('[1]', '{"a": 1}', '{"a": 1}'),
    ('[1]', '[2]', '[2]'),
    ('true', 'false', 'false'),
    ('5', '5', '5'),
    -- empty, long, quoted and other keys
    ('{"": 1, "a": 2}', '{"": {"": 3}}', '{"": {"": 3}, "a": 2}'),
    ('{"": 1, "a": 2}', '{"": null}', '{"a": 2}'),
    ('{"a.b": 1, "$": 2}', '{"a.b": 3, "-1": 4, "0": 5}', '{"$": 2, "0": 5, "-1": 4, "a.b": 3}'),
    ('{"\"": 1, "\\": 2}', '{"\"": null, "\n": 3}', '{"\n": 3, "\\": 2}'),
    ('{"é": 1, "ж": {"語": 2}}', '{"ж": {"語": null, "😀": "é"}}', '{"é": 1, "ж": {"😀": "é"}}');
\pset format unaligned
SELECT target, source, nvent.jsonb_deep_merge(target, source) AS result,
    record_image_eq(ROW(nvent.jsonb_deep_merge(target, source)), ROW(expected)) AS ok
FROM deep_case
ORDER BY id;
\pset format aligned

-- SQL NULL: no source leaves the target, no target is an empty object, from
-- which a null deletes nothing but is not stored either.
SELECT nvent.jsonb_deep_merge('{"a": 1}', NULL) AS no_source,
    nvent.jsonb_deep_merge(NULL, '{"a": null, "b": {"c": null}}') AS no_target,
    nvent.jsonb_deep_merge(NULL, '[1]') AS no_target_array,
    nvent.jsonb_deep_merge(NULL, NULL) IS NULL AS neither;
\pset null '(null)'

-- Padding: numbers and objects lie on 4-byte boundaries, so strings of every
-- length before them move it, in keys, kept values and new ones.
SELECT count(*) AS merges, count(*) FILTER (WHERE rebuilt(result)) AS same_bytes,
    count(*) FILTER (WHERE result = expected) AS equal
FROM (
    SELECT nvent.jsonb_deep_merge(
            jsonb_build_object('k', left('abcdefg', a), 'l', 1.5, 'm', 'x', 'n', 2, 'o', jsonb_build_object('x', 1)),
            jsonb_build_object('k', left('1234567', b), left('keykeyk', c), 7, 'o', jsonb_build_object('xy', 3))) AS result,
        jsonb_build_object('k', left('abcdefg', a), 'l', 1.5, 'm', 'x', 'n', 2)
            || jsonb_build_object('k', left('1234567', b), left('keykeyk', c), 7, 'o', jsonb_build_object('x', 1, 'xy', 3)) AS expected
    FROM generate_series(0, 7) AS a, generate_series(0, 7) AS b, generate_series(0, 7) AS c) AS s;

-- Every 32nd length is an offset, keys and values counted together: change,
-- take away and add a key everywhere in objects around that size.
SELECT count(*) AS merges, count(*) FILTER (WHERE rebuilt(changed)) AS changed,
    count(*) FILTER (WHERE rebuilt(less) AND less = doc - key) AS less,
    count(*) FILTER (WHERE rebuilt(more) AND more = doc || jsonb_build_object(key || 'x', 1)) AS more,
    count(*) FILTER (WHERE back = doc) AS back
FROM (
    SELECT doc, key, nvent.jsonb_deep_merge(doc, jsonb_build_object(key, '{"long": "value"}'::jsonb)) AS changed,
        nvent.jsonb_deep_merge(doc, jsonb_build_object(key, NULL)) AS less,
        nvent.jsonb_deep_merge(doc, jsonb_build_object(key || 'x', 1)) AS more,
        nvent.jsonb_deep_merge(nvent.jsonb_deep_merge(doc, jsonb_build_object(key, NULL)),
            jsonb_build_object(key, doc -> key)) AS back
    FROM unnest('{1,2,15,16,17,31,32,33,34,48,64,65,100}'::int[]) AS n,
        LATERAL (SELECT jsonb_object_agg('key' || i, CASE i % 3 WHEN 0 THEN to_jsonb(i) WHEN 1 THEN to_jsonb(repeat('s', i % 8)) ELSE '[]' END)
            FROM generate_series(1, n) AS i) AS d (doc),
        LATERAL jsonb_object_keys(doc) AS key) AS s;

-- Long keys, long values, numbers of every shape.
SELECT rebuilt(m) AS same_bytes, m -> k1 AS replaced, m -> k2 AS added, length(m ->> 'text') AS text,
    (SELECT count(*) FROM jsonb_object_keys(m)) AS keys
FROM (SELECT repeat('long key ', 100) AS k1, repeat('longer key ', 1000) AS k2) AS k,
    LATERAL (SELECT nvent.jsonb_deep_merge(
        jsonb_build_object(k1, 1, 'text', repeat('t', 100000), 'n', '[0, -0.0, 1e-20]'::jsonb),
        jsonb_build_object(k1, 1e30, k2, 'new', 'm', 12345678901234567890.123456789, 'l', 1e-300))) AS r (m);

-- It nests: merging into a document that itself is a merge.
SELECT nvent.jsonb_deep_merge(nvent.jsonb_deep_merge('{"a": {"b": 1}}', '{"a": {"c": 2}}'), '{"a": {"b": null}}');

--
-- jsonb_merge_patch: the examples of RFC 7396, appendix A
--
CREATE TABLE patch_case (id int GENERATED ALWAYS AS IDENTITY, target jsonb, patch jsonb, expected jsonb);
INSERT INTO patch_case (target, patch, expected) VALUES
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', '{}'),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', 'null', 'null'),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ('[1,2]', '{"a":"b","c":null}', '{"a":"b"}'),
    ('{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}');
SELECT target, patch, nvent.jsonb_merge_patch(target, patch) AS result,
    record_image_eq(ROW(nvent.jsonb_merge_patch(target, patch)), ROW(expected)) AS ok
FROM patch_case
ORDER BY id;

-- What the appendix leaves out: nulls below a replaced value, in arrays, beside
-- values that stay, and patches without any.
TRUNCATE patch_case;
INSERT INTO patch_case (target, patch, expected) VALUES
    ('{"a": 1}', '{"a": {"b": null, "c": {"d": null, "e": 1}}}', '{"a": {"c": {"e": 1}}}'),
    ('{"a": [1]}', '{"a": {"b": null}}', '{"a": {}}'),
    ('{"a": {}}', '{"a": {"b": null}}', '{"a": {}}'),
    ('{"a": null}', '{"a": null, "b": null}', '{}'),
    ('{}', '{"a": [null, {"b": null}]}', '{"a": [null, {"b": null}]}'),
    ('{"z": 1}', '{"a": {"b": 1}, "b": {"c": null}, "c": {"d": 2}}', '{"a": {"b": 1}, "b": {}, "c": {"d": 2}, "z": 1}'),
    ('{"a": {"b": {"c": 1}}}', '{"a": {"b": {"c": 1}}}', '{"a": {"b": {"c": 1}}}'),
    ('5', '{"a": 1}', '{"a": 1}'),
    ('5', '{}', '{}'),
    (NULL, '{"a": {"b": null}, "c": 1}', '{"a": {}, "c": 1}'),
    (NULL, '{"a": 1}', '{"a": 1}'),
    (NULL, '3', '3'),
    ('{"a": 1}', NULL, '{"a": 1}');
SELECT target, patch, nvent.jsonb_merge_patch(target, patch) AS result,
    record_image_eq(ROW(nvent.jsonb_merge_patch(target, patch)), ROW(expected)) AS ok
FROM patch_case
ORDER BY id;
SELECT nvent.jsonb_merge_patch(NULL, NULL) IS NULL AS neither;

-- Patching twice is patching once.
SELECT count(*) AS patches, count(*) FILTER (WHERE record_image_eq(ROW(once), ROW(nvent.jsonb_merge_patch(once, patch)))) AS same
FROM (SELECT patch, nvent.jsonb_merge_patch(target, patch) AS once FROM patch_case WHERE patch IS NOT NULL) AS s;

--
-- jsonb_deep_merge_agg
--
CREATE TABLE change (id int, flow text, doc jsonb);
INSERT INTO change VALUES
    (1, 'a', '{"state": "new", "steps": {"one": {"tries": 1}}, "note": null}'),
    (2, 'a', '{"steps": {"one": {"tries": 2}, "two": {"tries": 1, "error": null}}}'),
    (3, 'b', '{"state": "new"}'),
    (4, 'a', NULL),
    (5, 'a', '{"state": null, "steps": {"two": {"error": "timeout"}}}'),
    (6, 'c', NULL),
    (7, 'a', '{"steps": {"one": null}}'),
    (8, 'b', '[1, 2]'),
    (9, 'd', '{"x": {"y": null}}'),
    (10, 'b', '{"after": {"an": "array"}, "gone": null}'),
    (11, 'd', '{"x": {"z": 1}}');
-- Rows are merged in the order that is asked for; NULL rows do nothing, and a
-- group of none but those is NULL.
SELECT flow, nvent.jsonb_deep_merge_agg(doc ORDER BY id) FROM change GROUP BY flow ORDER BY flow;
SELECT nvent.jsonb_deep_merge_agg(doc ORDER BY id DESC) AS backwards FROM change WHERE flow = 'a';
SELECT nvent.jsonb_deep_merge_agg(doc) AS no_rows FROM change WHERE false;
-- It is what jsonb_deep_merge answers row by row, from no target on.
WITH RECURSIVE fold AS (
    SELECT 0 AS n, NULL::jsonb AS doc
    UNION ALL
    SELECT n + 1, nvent.jsonb_deep_merge(fold.doc, step.doc)
    FROM fold, (SELECT row_number() OVER (ORDER BY id) AS i, change.doc FROM change) AS step
    WHERE step.i = fold.n + 1)
SELECT record_image_eq(ROW(doc), ROW((SELECT nvent.jsonb_deep_merge_agg(change.doc ORDER BY id) FROM change))) AS same
FROM fold ORDER BY n DESC LIMIT 1;
-- The state can be read while it grows.
SELECT id, nvent.jsonb_deep_merge_agg(doc) OVER (ORDER BY id) FROM change WHERE flow = 'a' ORDER BY id;
-- Many small rows into a growing document; bytes as if built at once.
SELECT record_image_eq(ROW(merged), ROW(built)) AS same, jsonb_typeof(merged)
FROM (SELECT nvent.jsonb_deep_merge_agg(jsonb_build_object(left(md5(i::text), 5), jsonb_build_object('i', i, 'k' || i % 3, repeat('v', i % 5))) ORDER BY i)
    FROM generate_series(1, 5000) AS i) AS a (merged),
    (SELECT jsonb_object_agg(k, v) FROM (
        SELECT left(md5(i::text), 5) AS k, jsonb_object_agg(e.key, e.value ORDER BY i) AS v
        FROM generate_series(1, 5000) AS i,
            LATERAL jsonb_each(jsonb_build_object('i', i, 'k' || i % 3, repeat('v', i % 5))) AS e
        GROUP BY 1) AS s) AS b (built);
-- Workers may call the functions; the aggregate itself stays in the leader,
-- for rows cannot be merged in another order.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(length(nvent.jsonb_deep_merge(doc, '{"x": null}')::text)) FROM change;
SELECT sum(length(nvent.jsonb_deep_merge(doc, '{"x": null}')::text)) FROM change;
EXPLAIN (COSTS OFF) SELECT nvent.jsonb_deep_merge_agg(doc) FROM change WHERE nvent.jsonb_merge_patch(doc, '{}') IS NOT NULL;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

--
-- jsonb_expand_paths
--
CREATE TABLE path_case (id int GENERATED ALWAYS AS IDENTITY, doc jsonb);
INSERT INTO path_case (doc) VALUES
    ('{}'),
    ('{"a": 1, "": 2, "b": {"c.d": 3}}'),
    ('{"a.b": 1}'),
    ('{"a.b": 1, "a": {"c": 2}}'),
    ('{"a.b.c": 1, "a.b.d": 2, "a.e": 3, "f": 4}'),
    -- the shorter key comes first; objects merge, deeply
    ('{"a.b": {"x": {"z": 2}}, "a": {"b": {"x": {"y": 1}}}}'),
    -- otherwise the later one wins, as a value and as what is on the way
    ('{"a.b": 1, "a": {"b": {"c": 2}}}'),
    ('{"a.b": {"c": 2}, "a": {"b": 1}}'),
    ('{"a": 1, "a.b": 2}'),
    ('{"a": [1], "a.b.c": 2}'),
    -- a null is a value
    ('{"a.b": null}'),
    ('{"a": {"b": 1}, "a.b": null}'),
    ('{"a": {"b": null}, "a.b.c": {"d": null}}'),
    -- dots below the top level are part of the key
    ('{"a.b": {"c.d": 1}, "a": {"b": {"c.d": 2, "e": 3}}}'),
    ('{"é.😀": "ж", "é": {"語": 1}}');
\pset format unaligned
SELECT doc, expanded, rebuilt(expanded) AS same_bytes
FROM path_case, LATERAL nvent.jsonb_expand_paths(doc) AS expanded
ORDER BY id;
\pset format aligned
SELECT nvent.jsonb_expand_paths(NULL) IS NULL AS strict;
-- A path of many elements.
SELECT expanded #>> array_fill('a'::text, ARRAY[100]) AS value, rebuilt(expanded)
FROM nvent.jsonb_expand_paths(jsonb_build_object(repeat('a.', 99) || 'a', 'deep')) AS expanded;
-- Every element needs a name.
SELECT nvent.jsonb_expand_paths('{"a": 1, ".a": 2}');
SELECT nvent.jsonb_expand_paths('{"a..b": 2}');
SELECT nvent.jsonb_expand_paths('{"a.": 2}');
SELECT nvent.jsonb_expand_paths('{".": 2}');
SELECT nvent.jsonb_expand_paths('[1]');
SELECT nvent.jsonb_expand_paths('"a.b"');
-- A path has at most 1,000 elements, all paths of a document 100,000.
SELECT expanded #> array_fill('a'::text, ARRAY[1000]) AS value
FROM nvent.jsonb_expand_paths(jsonb_build_object(repeat('a.', 999) || 'a', 1)) AS expanded;
SELECT nvent.jsonb_expand_paths(jsonb_build_object(repeat('a.', 1000) || 'a', 1));
SELECT count(*) AS members, sum((k.value #> array_fill('a'::text, ARRAY[999]))::int) AS sum
FROM jsonb_each(nvent.jsonb_expand_paths(
    (SELECT jsonb_object_agg('k' || i || repeat('.a', 999), 1) FROM generate_series(1, 100) AS i))) AS k;
SELECT nvent.jsonb_expand_paths(
    (SELECT jsonb_object_agg('k' || i || repeat('.a', 999), 1) FROM generate_series(1, 100) AS i)
    || '{"plain": 1, "x.y": 2}');

--
-- jsonb_set_path
--
CREATE TABLE set_case (id int GENERATED ALWAYS AS IDENTITY, doc jsonb, path text[], value jsonb);
INSERT INTO set_case (doc, path, value) VALUES
    ('{"a": 1}', '{a}', '2'),
    ('{"a": 1}', '{b}', '2'),
    ('{"a": {"x": 1}}', '{a,b,c}', '[2]'),
    ('{}', '{a,b,c}', '0'),
    (NULL, '{a,b}', '5'),
    -- an object replaces, it does not merge
    ('{"a": {"x": 1, "y": 2}, "b": 3}', '{a}', '{"z": {"n": null}}'),
    ('{"a": {"x": {"y": 2}}}', '{a,x}', '{}'),
    ('{"a": [1, 2]}', '{a}', '{"x": 1}'),
    -- null is a value
    ('{"a": 1}', '{a}', 'null'),
    ('{}', '{a,b}', 'null'),
    -- the rest of the document stays, and the whole if nothing changes
    ('{"a": {"b": {"c": 1, "d": [1]}, "e": "f"}, "g": null}', '{a,b,c}', '"x"'),
    ('{"a": {"b": {"c": 1, "d": [1]}, "e": "f"}, "g": null}', '{a,b,c}', '1'),
    ('{"": {"": 1}, "a.b": 2}', '{"",""}', 'true'),
    ('{"": {"": 1}, "a.b": 2}', '{a.b}', 'false');
SELECT doc, path, value, result, rebuilt(result) AS same_bytes
FROM set_case, LATERAL nvent.jsonb_set_path(doc, path, value) AS result
ORDER BY id;
-- As jsonb_set answers wherever that can reach: any value at any place of
-- documents of all shapes.
SELECT count(*) > 1000 AS many,
    count(*) FILTER (WHERE NOT record_image_eq(
        ROW(nvent.jsonb_set_path(t.doc, p.path, v.value)),
        ROW(jsonb_set(t.doc, p.path, v.value)))) AS differences
FROM (SELECT i, jsonb_build_object('k' || i % 3, i, 'list', '[1, {"a": 2}]'::jsonb, repeat('k', i), 'x', 'o',
          jsonb_build_object('n', i * 1.5, 'deep', jsonb_build_object('s', repeat('s', i % 9), repeat('l', i), null)))
      FROM generate_series(1, 80) AS i) AS t (i, doc),
    LATERAL (VALUES (ARRAY['k' || i % 3]), ('{list}'), (ARRAY[repeat('k', i)]), ('{o}'), ('{o,n}'), ('{o,new}'),
        ('{o,deep}'), ('{o,deep,s}'), (ARRAY['o', 'deep', repeat('l', i)]), ('{o,deep,0}'), ('{zz}')) AS p (path),
    (VALUES ('null'::jsonb), ('1'), ('"text"'), ('1234567890.12345'), ('{"a": {"b": null}}'), ('[]')) AS v (value);
SELECT nvent.jsonb_set_path('{"a": 1}', '{a,b}', '1');
SELECT nvent.jsonb_set_path('{"a": {"b": [1]}}', '{a,b,0}', '1');
SELECT nvent.jsonb_set_path('[]', '{0}', '1');
SELECT nvent.jsonb_set_path('{}', '{}', '1');
SELECT nvent.jsonb_set_path('{}', NULL, '1');
SELECT nvent.jsonb_set_path('{}', '{a}', NULL);
SELECT nvent.jsonb_set_path('{}', '{a,NULL}', '1');
SELECT nvent.jsonb_set_path('{}', array_fill('a'::text, ARRAY[1000]), '1') #> array_fill('a'::text, ARRAY[999]) AS value;
SELECT nvent.jsonb_set_path('{}', array_fill('a'::text, ARRAY[1001]), '1');

--
-- jsonb_increment
--
CREATE TABLE increment_case (id int GENERATED ALWAYS AS IDENTITY, doc jsonb, path text[], by numeric);
INSERT INTO increment_case (doc, path, by) VALUES
    ('{"a": 1}', '{a}', 1),
    ('{"a": 1}', '{a}', -3),
    ('{"a": 1}', '{a}', 0),
    -- exact, with the larger scale of the two
    ('{"a": 1.5}', '{a}', 0.25),
    ('{"a": 0.1}', '{a}', 0.20),
    ('{"a": 99999999999999999999999999999999999999}', '{a}', 1),
    ('{"a": -1e-30}', '{a}', 1e30),
    -- absent and null count as 0; what is missing on the way is made
    ('{}', '{a}', 5),
    ('{"a": null}', '{a}', 5),
    ('{"a": {"x": 1}}', '{a,b,c}', 5),
    ('{}', '{a,b,c}', 0),
    (NULL, '{a,b}', 5),
    -- the rest of the document stays
    ('{"a": {"b": {"c": 1, "d": [1]}, "e": "f"}, "g": null}', '{a,b,c}', 41),
    ('{"": {"": 1}, "a.b": 2}', '{"",""}', 1),
    ('{"": {"": 1}, "a.b": 2}', '{a.b}', 1);
SELECT doc, path, by, sum, rebuilt(sum) AS same_bytes
FROM increment_case, LATERAL nvent.jsonb_increment(doc, path, by) AS sum
ORDER BY id;
-- By one unless said otherwise.
SELECT nvent.jsonb_increment('{"a": 1}', '{a}');
-- What is there must be a number, and an object all the way to it.
SELECT nvent.jsonb_increment('{"a": {"b": "1"}}', '{a,b}', 1);
SELECT nvent.jsonb_increment('{"a": true}', '{a}', 1);
SELECT nvent.jsonb_increment('{"a": {}}', '{a}', 1);
SELECT nvent.jsonb_increment('{"a": [1]}', '{a}', 1);
SELECT nvent.jsonb_increment('{"a": {"b": [1]}}', '{a,b,0}', 1);
SELECT nvent.jsonb_increment('{"a": 1}', '{a,b,c}', 1);
SELECT nvent.jsonb_increment('{"a": null}', '{a,b}', 1);
SELECT nvent.jsonb_increment('5', '{a}', 1);
SELECT nvent.jsonb_increment('[]', '{0}', 1);
-- It has its own SQLSTATE, for callers to handle.
DO $$
BEGIN
    PERFORM nvent.jsonb_increment('{"a": "1"}', '{a}', 1);
EXCEPTION WHEN SQLSTATE 'NV007' THEN
    RAISE NOTICE 'SQLSTATE %', SQLSTATE;
END
$$;
-- Arguments
SELECT nvent.jsonb_increment('{}', '{}', 1);
SELECT nvent.jsonb_increment('{}', NULL, 1);
SELECT nvent.jsonb_increment('{}', '{a}', NULL);
SELECT nvent.jsonb_increment('{}', '{a,NULL}', 1);
SELECT nvent.jsonb_increment('{}', '{{a,b},{c,d}}', 1);
SELECT nvent.jsonb_increment('{}', array_fill('a'::text, ARRAY[1001]), 1);
SELECT nvent.jsonb_increment('{}', '{a}', 'NaN');
SELECT nvent.jsonb_increment('{}', '{a}', '-Infinity');
SELECT nvent.jsonb_increment(jsonb_build_object('a', ('1e131071')::numeric * 9), '{a}', ('1e131071')::numeric);

--
-- Limits.  A document of 10,000 levels takes a deep stack to build and an
-- error, not a crash, when the stack is small.
--
\set VERBOSITY terse
SET max_stack_depth = '7000kB';
CREATE TABLE deep AS
    SELECT (repeat('{"a":', 10000) || n || repeat('}', 10000))::jsonb AS doc
    FROM generate_series(1, 2) AS n;
SELECT length(doc::text) FROM deep;
SELECT nvent.jsonb_deep_merge(a.doc, b.doc) = b.doc AS merged,
    nvent.jsonb_merge_patch('{}', b.doc) = b.doc AS patched
FROM deep AS a, deep AS b
WHERE a.doc < b.doc;
SET max_stack_depth = '100kB';
SELECT nvent.jsonb_deep_merge(a.doc, b.doc) IS NULL FROM deep AS a, deep AS b WHERE a.ctid < b.ctid;
SELECT nvent.jsonb_merge_patch('{}', doc) IS NULL FROM deep;
SELECT nvent.jsonb_deep_merge_agg(doc) IS NULL FROM deep;
RESET max_stack_depth;
\set VERBOSITY default

DROP TABLE deep_case, patch_case, change, path_case, set_case, increment_case, deep;
DROP FUNCTION rebuilt;
