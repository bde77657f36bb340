-- The merge functions against SQL that says the same, on random documents:
-- a small part, always the same one, of what test/merge/run.sh does.
\getenv abs_srcdir PG_ABS_SRCDIR
\set reference :abs_srcdir '/test/merge/reference.sql'
\set ECHO none
\i :reference
\set ECHO all
\set seed 0.396
SELECT :seed AS seed, merge_test.compare(4000, :seed) AS pairs_without_difference;
-- It would show a difference: the two functions differ from one another.
SELECT count(*) > 100 AS differ
FROM (SELECT setseed(:seed)) AS s,
    LATERAL (SELECT merge_test.random_document() AS target, merge_test.random_document() AS source
        FROM generate_series(1, 1000)) AS pair
WHERE NOT record_image_eq(ROW(nvent.jsonb_deep_merge(target, source)), ROW(merge_test.merge_patch(target, source)));
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA merge_test CASCADE;
