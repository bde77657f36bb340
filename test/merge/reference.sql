-- What the merge functions must answer, said in SQL, and random documents to
-- compare them on.  Everything lives in the schema merge_test.

CREATE SCHEMA merge_test;

-- jsonb_deep_merge: join the keys of both sides; a null of the source takes
-- the key away, two objects merge, otherwise the source's value goes in as is.
CREATE FUNCTION merge_test.deep_merge(target jsonb, source jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF source IS NULL THEN
        RETURN target;
    END IF;
    target := coalesce(target, '{}');
    IF jsonb_typeof(target) <> 'object' OR jsonb_typeof(source) <> 'object' THEN
        RETURN source;
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(key, CASE
                   WHEN s.v IS NULL THEN t.v
                   WHEN jsonb_typeof(t.v) = 'object' AND jsonb_typeof(s.v) = 'object'
                       THEN merge_test.deep_merge(t.v, s.v)
                   ELSE s.v
               END), '{}')
        FROM jsonb_each(target) AS t (key, v)
        FULL JOIN jsonb_each(source) AS s (key, v) USING (key)
        WHERE s.v IS DISTINCT FROM 'null');
END
$$;

-- jsonb_merge_patch: the pseudo-code of RFC 7396, section 2.
CREATE FUNCTION merge_test.merge_patch(target jsonb, patch jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF patch IS NULL THEN
        RETURN target;
    ELSIF jsonb_typeof(patch) <> 'object' THEN
        RETURN patch;
    ELSIF target IS NULL OR jsonb_typeof(target) <> 'object' THEN
        target := '{}';
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(key, CASE
                   WHEN p.v IS NULL THEN t.v
                   ELSE merge_test.merge_patch(t.v, p.v)
               END), '{}')
        FROM jsonb_each(target) AS t (key, v)
        FULL JOIN jsonb_each(patch) AS p (key, v) USING (key)
        WHERE p.v IS DISTINCT FROM 'null');
END
$$;

-- One of the array's elements.
CREATE FUNCTION merge_test.pick(VARIADIC choices text[])
RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT choices[1 + floor(random() * cardinality(choices))::int]
$$;

-- A key, as JSON text; small numbers make keys that documents share.
CREATE FUNCTION merge_test.random_key(variety int)
RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    n int := floor(random() * variety);
    r float8 := random();
BEGIN
    IF r < 0.6 THEN
        RETURN '"' || n || '"';
    ELSIF r < 0.8 THEN
        RETURN '"key' || n || '"';
    ELSIF r < 0.9 THEN
        RETURN '"' || merge_test.pick('é', 'ключ', '日本語', '😀', 'a.b', '\u0001', '\"', '\\', '\n') || n || '"';
    ELSIF r < 0.97 THEN
        RETURN '"' || repeat('long', n % 5) || repeat('-', n % 40) || n || '"';
    ELSIF r < 0.99 THEN
        RETURN '""';
    END IF;
    RETURN '"' || repeat('x', 120 + 40 * (n % 5)) || '"';
END
$$;

-- A value that is no object, as JSON text.
CREATE FUNCTION merge_test.random_scalar()
RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    r float8 := random();
BEGIN
    IF r < 0.15 THEN
        RETURN 'null';
    ELSIF r < 0.25 THEN
        RETURN merge_test.pick('true', 'false');
    ELSIF r < 0.35 THEN
        RETURN merge_test.pick('0', '-0', '1', '-1', '0.0', '1.50', '-2.5e3', '1e-7', '1E+5', '9999',
            '10000', '1e300', '-1e-300', '9223372036854775807', '0.000100',
            '123456789012345678901234567890.12345678901234567890');
    ELSIF r < 0.55 THEN
        RETURN floor(random() * 10 ^ floor(random() * 12))::int8;
    ELSIF r < 0.62 THEN
        RETURN random();
    ELSIF r < 0.9 THEN
        RETURN '"' || left('abcdefg', floor(random() * 8)::int) || '"';
    ELSIF r < 0.96 THEN
        RETURN '"' || repeat(merge_test.pick('é', 'ж', '語', '😀', '\t'), floor(random() * 8)::int) || '"';
    ELSIF r < 0.995 THEN
        RETURN '"' || repeat('y', floor(random() * 300)::int) || '"';
    END IF;
    RETURN '"' || repeat('z', floor(random() * 5000)::int) || '"';
END
$$;

-- Any value at most depth levels deep, as JSON text.
CREATE FUNCTION merge_test.random_value(depth int)
RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    r float8 := random();
BEGIN
    IF depth <= 0 OR r < 0.6 THEN
        RETURN merge_test.random_scalar();
    ELSIF r < 0.68 THEN
        RETURN merge_test.pick('[]', '[1]', '[null]', '["a",2.5]', '[[],{}]', '[{"a":null}]', '{}', '{}');
    ELSIF r < 0.73 THEN
        RETURN '[' || merge_test.random_value(depth - 1) || ','
            || merge_test.random_value(depth - 2) || ']';
    END IF;
    RETURN merge_test.random_object(depth - 1, floor(random() * 7)::int);
END
$$;

-- An object of about that many keys, as JSON text.
CREATE FUNCTION merge_test.random_object(depth int, keys int)
RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    pairs text[] := '{}';
BEGIN
    FOR i IN 1..keys LOOP
        pairs := pairs || (merge_test.random_key(keys) || ':'
            || merge_test.random_value(CASE WHEN keys > 20 THEN least(depth, 2) ELSE depth END));
    END LOOP;
    RETURN '{' || array_to_string(pairs, ',') || '}';
END
$$;

-- A document; one in thirty is no object.
CREATE FUNCTION merge_test.random_document()
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    r float8 := random();
    keys int;
BEGIN
    IF r < 0.03 THEN
        RETURN merge_test.random_value(2)::jsonb;
    END IF;
    keys := CASE
        WHEN r < 0.70 THEN floor(random() * 6)
        WHEN r < 0.95 THEN floor(random() * 30)
        WHEN r < 0.993 THEN floor(random() * 110)
        ELSE floor(random() * 500)
    END;
    RETURN merge_test.random_object(floor(random() * 6)::int, keys)::jsonb;
END
$$;

-- A source for that target: another document, or a part of the same one.
CREATE FUNCTION merge_test.random_source(target jsonb)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    r float8 := random();
    share float8 := random();
BEGIN
    IF r < 0.9 OR jsonb_typeof(target) <> 'object' THEN
        RETURN merge_test.random_document();
    ELSIF r < 0.92 THEN
        RETURN target;
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(key, CASE
                   WHEN random() < 0.7 THEN value
                   ELSE merge_test.random_value(2)::jsonb
               END), '{}')
        FROM jsonb_each(target)
        WHERE random() < share);
END
$$;

-- An error that shows the documents of which the answer is not what is expected.
CREATE FUNCTION merge_test.expect(what text, answer jsonb, expected jsonb, VARIADIC documents jsonb[])
RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF NOT record_image_eq(ROW(answer), ROW(expected)) THEN
        RAISE EXCEPTION '% differs', what
            USING DETAIL = format('documents %s%sanswer %s%sexpected %s',
                array_to_string(documents, E'\n', 'NULL'), E'\n', answer, E'\n', expected);
    END IF;
END
$$;

-- Compare both functions on that many pairs, and the aggregate on three of
-- their documents now and then; the number of pairs.  The first difference is
-- an error that shows the documents.
CREATE FUNCTION merge_test.compare(pairs int, seed float8)
RETURNS int
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    target jsonb;
    source jsonb;
    last jsonb;
    of text;
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1..pairs LOOP
        last := target;
        target := merge_test.random_document();
        source := merge_test.random_source(target);
        IF random() < 0.005 THEN
            target := NULL;
        ELSIF random() < 0.005 THEN
            source := NULL;
        END IF;

        of := format(' of pair %s of seed %s', i, seed);
        PERFORM merge_test.expect('jsonb_deep_merge' || of, nvent.jsonb_deep_merge(target, source),
            merge_test.deep_merge(target, source), target, source);
        PERFORM merge_test.expect('jsonb_merge_patch' || of, nvent.jsonb_merge_patch(target, source),
            merge_test.merge_patch(target, source), target, source);
        CONTINUE WHEN i % 8 <> 0;
        PERFORM merge_test.expect('jsonb_deep_merge_agg' || of,
            (SELECT nvent.jsonb_deep_merge_agg(doc ORDER BY n) FROM (VALUES (1, last), (2, target), (3, source)) AS v (n, doc)),
            merge_test.deep_merge(merge_test.deep_merge(merge_test.deep_merge(NULL, last), target), source), last, target, source);
    END LOOP;
    RETURN pairs;
END
$$;
