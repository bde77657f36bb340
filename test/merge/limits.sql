-- Results that jsonb cannot express, too big for the regression tests: a clean
-- error from each function, and what just fits is merged.

-- Evaluate an expression over a document {"a": ...} of that many bytes; what
-- the error says, or the size of the result.
CREATE FUNCTION merge_test.attempt(expression text, bytes int)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    size bigint;
BEGIN
    EXECUTE format('SELECT pg_column_size(%s) FROM (SELECT jsonb_build_object(''a'', repeat(''x'', $1)) AS d OFFSET 0) AS s',
        expression) INTO size USING bytes;
    RETURN size;
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN SQLERRM;
END
$$;

DO $$
DECLARE
    expressions constant text[] := ARRAY[
        'nvent.jsonb_deep_merge(d, jsonb_build_object(''b'', d -> ''a''))',
        'nvent.jsonb_deep_merge(jsonb_build_object(''o'', d), jsonb_build_object(''o'', jsonb_build_object(''b'', d -> ''a'')))',
        'nvent.jsonb_merge_patch(d, jsonb_build_object(''b'', d -> ''a'', ''n'', NULL))',
        '(SELECT nvent.jsonb_deep_merge_agg(v) FROM unnest(ARRAY[d, jsonb_build_object(''b'', d -> ''a'')]) AS v)'];
    expression text;
    answer text;
BEGIN
    FOREACH expression IN ARRAY expressions LOOP
        answer := merge_test.attempt(expression, 134217728);
        IF answer <> 'total size of jsonb object elements exceeds the maximum of 268435455 bytes' THEN
            RAISE EXCEPTION '%: % instead of an error', expression, answer;
        END IF;
        answer := merge_test.attempt(expression, 134217690);
        IF answer::bigint NOT BETWEEN 268435380 AND 268435455 THEN
            RAISE EXCEPTION '%: % bytes', expression, answer;
        END IF;
    END LOOP;
END
$$;
