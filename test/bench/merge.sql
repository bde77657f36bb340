-- What a merge costs beside what it replaces, in microseconds a call.
--
--     psql -X -f test/bench/merge.sql          (where the extension is installed)
--
-- Each figure is the best of 15 runs of one statement that calls the
-- expression many times, less the same loop without it; ours and the reference
-- take turns.  Ratios are noise when those of five groups of three runs spread
-- over 15 % and lie on both sides of what is required.  The document comes out of a subquery that the planner cannot
-- fold, and lies in memory: no storage is measured.

\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE EXTENSION IF NOT EXISTS nvent_store;
-- Having freed a large chunk, malloc keeps what is freed from then on.  Else it
-- depends on the layout of the heap whether every call, of either side, has the
-- kernel clear a megabyte of pages for its result.
SELECT length(repeat('x', 30000000)) > 0 AS warm \gset
DROP SCHEMA IF EXISTS merge_bench CASCADE;
CREATE SCHEMA merge_bench;
SET search_path = merge_bench, public;

-- A deep merge as one writes it in PL/pgSQL: key by key, with jsonb_set.
CREATE FUNCTION reference_merge(doc jsonb, changes jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    k text;
    v jsonb;
BEGIN
    IF jsonb_typeof(doc) <> 'object' OR jsonb_typeof(changes) <> 'object' THEN
        RETURN changes;
    END IF;
    FOR k, v IN SELECT e.key, e.value FROM jsonb_each(changes) AS e LOOP
        IF v = 'null' THEN
            doc := doc - k;
        ELSIF jsonb_typeof(v) = 'object' AND jsonb_typeof(doc -> k) = 'object' THEN
            doc := jsonb_set(doc, ARRAY[k], reference_merge(doc -> k, v));
        ELSE
            doc := jsonb_set(doc, ARRAY[k], v);
        END IF;
    END LOOP;
    RETURN doc;
END
$$;

-- Microseconds that one statement takes to evaluate the expression n times
-- over d, a document, p, a patch, and t, a text of the result's size.
CREATE FUNCTION run(expression text, n int, d jsonb, p jsonb, t text)
RETURNS float8
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    started timestamptz;
BEGIN
    started := clock_timestamp();
    EXECUTE format('SELECT count(%s) FROM (SELECT $1 AS d, $2 AS p, $3 AS t OFFSET 0) AS x,
        generate_series(1, %s)', expression, n) USING d, p, t;
    RETURN extract(epoch FROM clock_timestamp() - started) * 1e6;
END
$$;

-- How many calls take about 10 ms: short enough to fall between what else runs.
CREATE FUNCTION calls(expression text, d jsonb, p jsonb, t text)
RETURNS int
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    n int := 1;
BEGIN
    WHILE run(expression, n, d, p, t) < 5000 LOOP
        n := n * 2;
    END LOOP;
    RETURN n * 2;
END
$$;

CREATE TABLE result (id int GENERATED ALWAYS AS IDENTITY, label text, ours_us float8,
    reference_us float8,
    ratios float8[], required numeric);

-- Measure one case; an error if the two do not answer the same, where they must.
CREATE FUNCTION measure(label text, ours text, reference text, same bool, required numeric,
    d jsonb, p jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    equal bool;
    t text;
    n_ours int;
    n_reference int;
    n_copy int;
    copy constant text := 't || ''y''';
    best float8[] := array_fill('Infinity'::float8, ARRAY[6]);
    took float8[];
    ratios float8[];
BEGIN
    EXECUTE format('SELECT record_image_eq(ROW(%s), ROW(%s)), repeat(''x'', pg_column_size(%1$s) - 5)
        FROM (SELECT $1 AS d, $2 AS p OFFSET 0) AS x', ours, reference)
        INTO equal, t USING d, p;
    IF same AND NOT equal THEN
        RAISE EXCEPTION '%: the results differ', label;
    END IF;
    n_ours := calls(ours, d, p, t);
    n_reference := calls(reference, d, p, t);
    n_copy := calls(copy, d, p, t);
    FOR i IN 1..5 LOOP
        took := array_fill('Infinity'::float8, ARRAY[6]);
        FOR j IN 1..3 LOOP
            took[1] := least(took[1], run(ours, n_ours, d, p, t));
            took[2] := least(took[2], run('d', n_ours, d, p, t));
            took[3] := least(took[3], run(reference, n_reference, d, p, t));
            took[4] := least(took[4], run('d', n_reference, d, p, t));
            took[5] := least(took[5], run(copy, n_copy, d, p, t));
            took[6] := least(took[6], run('d', n_copy, d, p, t));
        END LOOP;
        ratios[i] := (took[3] - took[4]) / n_reference / ((took[1] - took[2]) / n_ours);
        FOR k IN 1..6 LOOP
            best[k] := least(best[k], took[k]);
        END LOOP;
    END LOOP;
    INSERT INTO result (label, ours_us, reference_us, ratios, required)
    VALUES (label, (best[1] - best[2]) / n_ours, (best[3] - best[4]) / n_reference, ratios, required),
        (format('  physical limit: copy of the %s bytes', length(t)),
            (best[1] - best[2]) / n_ours, (best[5] - best[6]) / n_copy, NULL, NULL);
END
$$;

-- A flat document of n keys of several kinds.
CREATE FUNCTION flat(n int)
RETURNS jsonb
LANGUAGE sql
AS $$
    SELECT jsonb_object_agg('key' || i, CASE i % 4
               WHEN 0 THEN to_jsonb(i * 1.25)
               WHEN 1 THEN jsonb_build_object('id', i, 'name', md5(i::text), 'tags', '["a", "b"]'::jsonb)
               WHEN 2 THEN to_jsonb(repeat(md5(i::text), 3))
               ELSE to_jsonb(md5(i::text) || i)
           END)
    FROM generate_series(1, n) AS i
$$;

-- A document of width keys on each of depth levels, strings at the bottom.
CREATE FUNCTION nested(width int, depth int, len int)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT jsonb_object_agg('k' || i, CASE
                   WHEN depth > 1 THEN nested(width, depth - 1, len)
                   ELSE to_jsonb(repeat(chr(96 + i % 26), len))
               END)
        FROM generate_series(1, width) AS i);
END
$$;

-- Three levels, a hundred keys in all, about 5 kB of text.
CREATE FUNCTION three_levels()
RETURNS jsonb
LANGUAGE sql
AS $$
    SELECT jsonb_object_agg('section' || a, (
        SELECT jsonb_object_agg('group' || b, (
            SELECT jsonb_object_agg('field' || c, md5(concat(a, b, c)))
            FROM generate_series(1, 5) AS c))
        FROM generate_series(1, 4) AS b))
    FROM generate_series(1, 5) AS a
$$;

\o /dev/null
SELECT measure('5,000 keys, patch of one, against ||',
    'nvent.jsonb_deep_merge(d, p)', 'd || p', true, 8,
    flat(5000), '{"key2503": "changed"}');
SELECT measure('5,000 keys, one key added, against ||',
    'nvent.jsonb_deep_merge(d, p)', 'd || p', true, 8,
    flat(5000), '{"key250x": 1}');
SELECT measure('1 MB nested, one deep leaf, against jsonb_set',
    'nvent.jsonb_deep_merge(d, p)', 'jsonb_set(d, ''{k7,k7,k7,k7}'', ''"changed"'')', true, 10,
    nested(12, 4, 40), '{"k7": {"k7": {"k7": {"k7": "changed"}}}}');
SELECT measure('1 MB nested, jsonb_set_path, against jsonb_set',
    'nvent.jsonb_set_path(d, ''{k7,k7,k7,k7}'', p)', 'jsonb_set(d, ''{k7,k7,k7,k7}'', p)',
    true, 10, nested(12, 4, 40), '"changed"');
SELECT measure('under 100 bytes, one key replaced, against ||',
    'nvent.jsonb_deep_merge(d, p)', 'd || p', true, 1,
    '{"id": 17, "name": "import", "state": "running", "tries": 1}', '{"state": "done"}');
SELECT measure('under 100 bytes, one key added, against ||',
    'nvent.jsonb_deep_merge(d, p)', 'd || p', true, 1,
    '{"id": 17, "name": "import", "state": "running"}', '{"tries": 1}');
SELECT measure('under 100 bytes, merge patch, against ||',
    'nvent.jsonb_merge_patch(d, p)', 'd || p', true, 1,
    '{"id": 17, "name": "import", "state": "running", "tries": 1}', '{"state": "done"}');
SELECT measure('100 keys in 3 levels, 5 nested changes, against PL/pgSQL',
    'nvent.jsonb_deep_merge(d, p)', 'reference_merge(d, p)', true, 25,
    three_levels(), '{"section1": {"group2": {"field3": 1}}, "section2": {"group1": {"field1": "x", "new": true}},
        "section4": {"group4": {"field5": null}}, "section5": {"group1": {"field2": [1, 2]}}}');
SELECT measure('100 keys in 3 levels, 5 nested changes, against || (shallow)',
    'nvent.jsonb_deep_merge(d, p)', 'd || p', false, 5,
    three_levels(), '{"section1": {"group2": {"field3": 1}}, "section2": {"group1": {"field1": "x", "new": true}},
        "section4": {"group4": {"field5": null}}, "section5": {"group1": {"field2": [1, 2]}}}');
SELECT measure('1 MB of 13,000 keys, 100 changed, against PL/pgSQL',
    'nvent.jsonb_deep_merge(d, p)', 'reference_merge(d, p)', true, 100,
    flat(13000), (SELECT jsonb_object_agg('key' || i * 97, 'changed ' || i) FROM generate_series(1, 100) AS i));

\o
\unset QUIET
SELECT label, round(ours_us::numeric, 2) AS ours_us, round(reference_us::numeric, 2) AS reference_us,
    round((reference_us / ours_us)::numeric, 2) AS ratio, required,
    CASE WHEN required IS NULL THEN NULL
        WHEN least > required OR greatest < required OR greatest - least < 0.15 * reference_us / ours_us THEN
            CASE WHEN reference_us / ours_us >= required THEN 'ok' ELSE 'MISSED' END
        ELSE 'noise' END AS verdict
FROM result, LATERAL (SELECT min(r), max(r) FROM unnest(ratios) AS r) AS of (least, greatest)
ORDER BY id;

\set QUIET on
DROP SCHEMA merge_bench CASCADE;
