-- What the planner makes of subject_matches and kv_glob_matches: index
-- conditions, estimates, and the same rows with an index as without one.
SET search_path = nvent, public;

CREATE TABLE plan_events (
    id int,
    subject text COLLATE "C",
    icu text COLLATE "und-x-icu",
    short varchar(100) COLLATE "C",
    pattern text COLLATE "C");
INSERT INTO plan_events
SELECT i, s, s, s, s
FROM generate_series(1, 20000) AS i,
     format('%s:r%s:%s', (ARRAY['orders', 'users', 'jobs'])[1 + i % 3], i % 1000, i) AS s;
CREATE INDEX plan_events_subject ON plan_events (subject);
CREATE INDEX plan_events_icu ON plan_events (icu);
CREATE INDEX plan_events_short ON plan_events (short);
CREATE INDEX plan_events_pattern ON plan_events (pattern);
VACUUM ANALYZE plan_events;

-- A constant pattern is a range of the index; the byte after ':' is ';'.
EXPLAIN (COSTS OFF) SELECT subject FROM plan_events WHERE subject_matches(subject, 'orders:r12:>');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, 'orders:r12:{id}');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(short, 'orders:r12:*');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, 'orders:' || 'r12' || ':{id...}') AND id > 5000;
SELECT id, subject FROM plan_events WHERE subject_matches(subject, 'orders:r12:>') ORDER BY id;

-- Without a wildcard it is the index's "=", and there is nothing to check again.
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, 'orders:r12:12');
SELECT id FROM plan_events WHERE subject_matches(subject, 'orders:r12:12');

-- Globs as well, up to their first special character; '\' is no part of it.
EXPLAIN (COSTS OFF) SELECT subject FROM plan_events WHERE kv_glob_matches(subject, 'orders:r12*');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE kv_glob_matches(subject, 'orders:r12\:[1-3]*');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE kv_glob_matches(subject, 'orders\:r12:12');
SELECT id, subject FROM plan_events WHERE kv_glob_matches(subject, 'orders:r12\:[12]*?') ORDER BY id;

-- No prefix, no range; nor for what does not match.
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, '*:r12:>');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE kv_glob_matches(subject, '*:r12:*');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE NOT subject_matches(subject, 'orders:r12:>');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, NULL);

-- The index of another collation orders 'r12:' elsewhere than its bytes do: it
-- is not used for a range, and the rows are right.
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu, 'orders:r12:>');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu, 'orders:r12:12');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE kv_glob_matches(icu, 'orders:r12:*');
SELECT id, icu FROM plan_events WHERE subject_matches(icu, 'orders:r12:>') ORDER BY id;
-- The collation that counts is the index's.
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu COLLATE "C", 'orders:r12:>');
CREATE INDEX plan_events_icu_c ON plan_events (icu COLLATE "C");
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu, 'orders:r12:>');
DROP INDEX plan_events_icu_c;
-- text_pattern_ops orders by bytes in every collation.
CREATE INDEX plan_events_icu_pattern ON plan_events (icu text_pattern_ops);
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu, 'orders:r12:>');
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(icu, 'orders:r12:12');
SELECT id, icu FROM plan_events WHERE subject_matches(icu, 'orders:r12:>') ORDER BY id;
DROP INDEX plan_events_icu_pattern;

-- A pattern from a column or of a generic plan is no constant; of a custom plan
-- it is.  An index on the patterns is of no use.
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches(subject, pattern);
EXPLAIN (COSTS OFF) SELECT id FROM plan_events WHERE subject_matches('orders:r12:12', pattern);
PREPARE by_pattern(text) AS SELECT id FROM plan_events WHERE subject_matches(subject, $1);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE by_pattern('orders:r12:>');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_pattern('orders:r12:>');
RESET plan_cache_mode;
DEALLOCATE by_pattern;

-- A constant that is no pattern is an error, rows or no rows.
CREATE TABLE plan_empty (subject text COLLATE "C");
SELECT * FROM plan_empty WHERE subject_matches(subject, 'orders:{eu');
SELECT * FROM plan_empty WHERE kv_glob_matches(subject, 'orders:[eu');
DROP TABLE plan_empty;

-- Estimates: within a factor of two for what statistics can tell.
CREATE FUNCTION pg_temp.estimate(condition text) RETURNS float LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM plan_events WHERE ' || condition INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
CREATE FUNCTION pg_temp.estimate_is_near(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    estimated float := pg_temp.estimate(condition);
    counted float;
BEGIN
    EXECUTE 'SELECT count(*) FROM plan_events WHERE ' || condition INTO counted;
    RETURN CASE WHEN estimated BETWEEN counted / 2 AND counted * 2 THEN 'near'
                ELSE format('%s for %s', estimated, counted) END;
END $$;
SELECT c AS condition, pg_temp.estimate_is_near(c)
FROM unnest(ARRAY[
    $$subject_matches(subject, '>')$$,
    $$subject_matches(subject, '*:>')$$,
    $$subject_matches(subject, 'orders:>')$$,
    $$subject_matches(subject, 'orders:r12:12')$$,
    $$subject_matches(subject, 'o:>') OR subject_matches(subject, 'users:**')$$,
    $$kv_glob_matches(subject, '*:r*')$$,
    $$kv_glob_matches(subject, 'jobs:*')$$,
    $$kv_glob_matches(subject, 'jobs:r[5-9]*')$$]) WITH ORDINALITY AS t (c, n)
ORDER BY n;
-- Without a wildcard it is that of "=", without a constant that of LIKE.
SELECT pg_temp.estimate($$subject_matches(subject, 'orders:r12:12')$$) AS pattern,
       pg_temp.estimate($$kv_glob_matches(subject, 'orders\:r12:12')$$) AS glob,
       pg_temp.estimate($$subject = 'orders:r12:12'$$) AS equal,
       pg_temp.estimate($$subject_matches(subject, pattern)$$) AS variable,
       pg_temp.estimate($$subject LIKE pattern$$) AS variable_like;
-- With a histogram too small to be a sample, the prefix's range and a guess.
ALTER TABLE plan_events ALTER subject SET STATISTICS 20;
ANALYZE plan_events;
SELECT c AS condition, pg_temp.estimate_is_near(c)
FROM unnest(ARRAY[
    $$subject_matches(subject, 'orders:>')$$,
    $$kv_glob_matches(subject, 'jobs:*')$$]) WITH ORDINALITY AS t (c, n)
ORDER BY n;
-- A common value is found among the common values.
UPDATE plan_events SET subject = 'jobs:often' WHERE id % 4 = 0;
ANALYZE plan_events;
SELECT pg_temp.estimate_is_near($$subject_matches(subject, 'jobs:often')$$),
       pg_temp.estimate_is_near($$subject_matches(subject, 'jobs:{x}')$$),
       pg_temp.estimate_is_near($$kv_glob_matches(subject, 'jobs:often*')$$);
DROP TABLE plan_events;

-- Bounds of prefixes that do not end in ':'.  The last character goes up by one
-- if there is one of as many bytes, else the one before it does; bytes in octal.
CREATE TABLE plan_keys (id serial, key text COLLATE "C");
CREATE INDEX plan_keys_key ON plan_keys (key);
CREATE FUNCTION pg_temp.bounds(glob text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT FROM plan_keys WHERE nvent.kv_glob_matches(key, %L)', glob) LOOP
        IF line ~ 'Index Cond' THEN
            RETURN replace(encode(convert_to(substring(line FROM 'Index Cond: (.*)'), 'UTF8'), 'escape'), '::text', '');
        END IF;
    END LOOP;
END $$;
-- The price of a disabled scan would have every statement compiled.
SET enable_seqscan = off;
SET jit = off;
SELECT n, pg_temp.bounds(glob)
FROM (VALUES
    (1, 'ab*'), (2, 'a~*'), (3, E'a\x7F*'), (4, E'\x7F*'), (5, 'é*'),
    (6, U&'\00BF*'), (7, U&'a\07FF*'), (8, U&'a\D7FF*'), (9, U&'a\+10FFFF*'),
    (10, U&'\+10FFFF\07FF*'), (11, U&'\+10FFFF\+10FFFF*')) AS t (n, glob)
ORDER BY n;

-- The same rows with an index as without one, for random patterns over texts
-- whose order is unlike their tokens' and lies close to the bounds.
\getenv abs_srcdir PG_ABS_SRCDIR
\set seed 0.6
\set random :abs_srcdir '/sql/include/random.sql'
\i :random
CREATE FUNCTION pg_temp.random_key() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg((ARRAY['a', 'b', 'ab', 'a;', 'a9', 'a:', 'é', 'ê', '~', U&'\07FF',
                             U&'\+10FFFF', U&'\0800', E'\x7F', '{a', 'A', '_', '%', '', ' ', ';',
                             'a', 'b'])[1 + floor(random() * 22)::int], ':')
    FROM generate_series(1, 1 + floor(random() * 4)::int)
$$;
INSERT INTO plan_keys (key)
SELECT DISTINCT pg_temp.random_key() COLLATE "C" FROM generate_series(1, 2000);
CREATE TABLE plan_plain AS TABLE plan_keys;
CREATE TABLE plan_icu (id int, key text COLLATE "und-x-icu");
INSERT INTO plan_icu TABLE plan_keys;
CREATE INDEX plan_icu_key ON plan_icu (key);
CREATE TABLE plan_ops AS TABLE plan_icu;
CREATE INDEX plan_ops_key ON plan_ops (key text_pattern_ops);
VACUUM ANALYZE plan_keys, plan_plain, plan_icu, plan_ops;

-- A key with some tokens, or all from some character on, made wildcards.
CREATE FUNCTION pg_temp.random_pattern(key text, glob boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    tokens text[] := string_to_array(key, ':');
    n int := cardinality(tokens);
BEGIN
    IF glob THEN
        RETURN regexp_replace(left(key, 1 + floor(random() * length(key))::int), '([\\?*[])', '\\\1', 'g')
            || (ARRAY['*', '?', '', '[a-é]*', '*a'])[1 + floor(random() * 5)::int];
    END IF;
    FOR i IN 1..n LOOP
        IF random() < 0.4 THEN
            tokens[i] := CASE WHEN random() < 0.7 THEN '*' ELSE '{c' || i || '}' END;
        END IF;
    END LOOP;
    IF random() < 0.4 THEN
        tokens[n] := (ARRAY['>', '**', '{rest...}'])[1 + floor(random() * 3)::int];
    END IF;
    RETURN array_to_string(tokens, ':');
END $$;
DO $$
DECLARE
    scale int := current_setting('test.scale');
    rounds int := 10000 * scale;
    texts text[] := ARRAY(SELECT key FROM plan_plain ORDER BY id);
    ranges int := 0;
    matched int := 0;
    glob boolean;
    pattern text;
    call text;
    other text;
    expected int[];
    found int[];
BEGIN
    FOR i IN 1..rounds LOOP
        glob := i % 2 = 0;
        LOOP
            pattern := pg_temp.random_pattern(texts[1 + floor(random() * cardinality(texts))::int], glob);
            EXIT WHEN glob OR nvent.subject_pattern_is_valid(pattern);
        END LOOP;
        call := format('%s(key, %L)', CASE WHEN glob THEN 'nvent.kv_glob_matches' ELSE 'nvent.subject_matches' END, pattern);
        other := (ARRAY['plan_icu', 'plan_ops'])[1 + i / 2 % 2];
        EXECUTE format('SELECT (SELECT array_agg(id ORDER BY id) FROM plan_plain WHERE %1$s),
                               (SELECT array_agg(id ORDER BY id) FROM plan_keys WHERE %1$s)', call)
            INTO expected, found;
        IF found IS DISTINCT FROM expected THEN
            RAISE EXCEPTION '% finds % by the index and % without', call, found, expected;
        END IF;
        IF i % 5 = 0 THEN
            EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %s WHERE %s', other, call) INTO found;
            IF found IS DISTINCT FROM expected THEN
                RAISE EXCEPTION '% finds % in % and % without an index', call, found, other, expected;
            END IF;
        END IF;
        matched := matched + (expected IS NOT NULL)::int;
        IF i % 50 < 2 THEN
            FOR other IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT FROM plan_keys WHERE ' || call LOOP
                ranges := ranges + 50 * (other ~ 'Index Cond')::int / 2;
            END LOOP;
        END IF;
    END LOOP;
    RAISE NOTICE 'patterns: 10000 or more %, that match: half or more %, with a range: half or more %',
        rounds >= 10000, matched * 2 >= rounds, ranges * 2 >= rounds;
END $$;
DROP TABLE plan_keys, plan_plain, plan_icu, plan_ops;
RESET enable_seqscan;
RESET jit;
RESET search_path;
