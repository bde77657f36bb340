-- Subjects, their patterns, and key globs: what is valid and why not, limits,
-- what matches, against regular expressions that say the same.  Texts with é
-- and 漢 want UTF-8.
\pset null NULL
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SET search_path = nvent, public;

-- Any text is a subject, whatever its tokens are.
SELECT s AS subject, subject_is_valid(s), subject_tokens(s)
FROM unnest(ARRAY[
    'a', 'orders:eu:4711', 'a"b''c %s {é}:x', ' : ', 'a-b.c_d/e', '漢字:é',
    '{a', 'a}', '{', '}', 'a{b}c', 'a:{b}c',
    ':', '::', 'a:', ':a', 'a::b', '*', 'a:*', 'a*b', 'x*', '>', 'a>b:c', '**',
    '{id}', 'x:{}', 'x:{a b}', '{a...}', 'tail:', '\', '\*:\', 'C:\dir']) WITH ORDINALITY AS t (s, n)
ORDER BY n;
SELECT n AS code, subject_is_valid(chr(n)), subject_tokens('a:' || chr(n)) = ARRAY['a', chr(n)] AS token
FROM unnest(ARRAY[1, 9, 10, 13, 31, 32, 126, 127, 128, 160]) AS n
ORDER BY n;

-- Limits: 1024 bytes (not characters), 64 tokens.
SELECT subject_is_valid('') AS empty,
       subject_is_valid(repeat('x', 600)) AS bytes_600,
       subject_is_valid(repeat('x', 1024)) AS bytes_1024,
       subject_is_valid(repeat('x', 1025)) AS bytes_1025,
       subject_is_valid(repeat('é', 512)) AS accents_512,
       subject_is_valid(repeat('é', 513)) AS accents_513,
       subject_is_valid(repeat(':', 63)) AS tokens_64,
       subject_is_valid(repeat(':', 64)) AS tokens_65;
SELECT cardinality(subject_tokens(repeat(':', 63))), cardinality(subject_tokens(repeat('a:', 63) || 'b'));

-- Why a text is not a subject.
SELECT e.*
FROM unnest(ARRAY[
    $$subject_tokens('')$$,
    $$subject_escape('')$$,
    $$subject_tokens(repeat('a:', 64) || 'a')$$,
    $$subject_tokens(repeat('é', 600))$$]) WITH ORDINALITY AS t (call, n),
    pg_temp.error_of(call) AS e
ORDER BY n;

-- Patterns.  "{" at a token's start is a capture or an error; all else that is
-- no wildcard is a literal, an empty token too.
SELECT p AS pattern, subject_pattern_is_valid(p)
FROM unnest(ARRAY[
    'a', '*', '>', '**', '{x}', '{x...}', 'a:*:b', 'a:*:*', 'a:>', 'a:**',
    '{a}:{b}:{_c1...}', '{A}:{a}', 'a b:é', 'a}', 'a{b}',
    ':', 'a:', 'a::b', 'a*', '*a', '***', '>>', 'a>', '*>', '>a:b', '**a:b',
    '', '>:a', '**:a', '{x...}:a', '{}', '{', '{x', '{x}y', '{...}', '{x..}', '{x....}',
    '{1}', '{a-b}', '{é}', '{x}:{x}', '{x}:{x...}', '{a:b}', 'a:{*}',
    '\*', '\>:a', '\**:a', '\{x}:\{x}', '\{', '\\', '\a', 'a\', '\:a', '\']) WITH ORDINALITY AS t (p, n)
ORDER BY n;

-- Limits: 64 tokens, 2048 bytes, names of 63 bytes, and something to match.
SELECT subject_pattern_is_valid(repeat('*:', 63) || '>') AS tokens_64,
       subject_pattern_is_valid(repeat('*:', 64) || '>') AS tokens_65,
       subject_pattern_is_valid('{' || repeat('x', 63) || '}') AS name_63,
       subject_pattern_is_valid('{' || repeat('x', 64) || '}') AS name_64,
       subject_pattern_is_valid(repeat('x', 1024)) AS literal_1024,
       subject_pattern_is_valid(repeat('x', 1025)) AS literal_1025,
       subject_pattern_is_valid('\' || repeat('*', 1024)) AS escaped_1024,
       subject_pattern_is_valid(repeat('x', 1023) || ':*') AS shortest_1024,
       subject_pattern_is_valid(repeat('x', 1024) || ':*') AS shortest_1025;
SELECT length(p), subject_pattern_is_valid(p), subject_pattern_is_valid(p || 'y')
FROM (SELECT string_agg('{' || rpad('c' || i, 62, 'x') || '}', ':') || ':' || repeat('y', 33)
      FROM generate_series(1, 31) i) AS t (p);

-- What is wrong with a pattern.
SELECT e.*
FROM unnest(ARRAY[
    $$subject_prefix('')$$,
    $$subject_prefix('orders:{run-id}')$$,
    $$subject_prefix('orders:{' || repeat('n', 64) || '}')$$,
    $$subject_prefix('{id}:x:{id...}')$$,
    $$subject_prefix('orders:>:eu')$$,
    $$subject_prefix('orders:{id...}:eu')$$,
    $$subject_prefix(repeat('a:', 64) || 'a')$$,
    $$subject_prefix(repeat('x', 1025))$$,
    $$subject_prefix(repeat('x', 2049))$$,
    $$subject_prefix('\')$$,
    $$subject_matches('a', 'a:{b')$$,
    $$subject_captures('a', 'a:{b')$$]) WITH ORDINALITY AS t (call, n),
    pg_temp.error_of(call) AS e
ORDER BY n;

-- Matching.
SELECT s AS subject, p AS pattern, subject_matches(s, p) AS matches,
       subject_captures(s, p) AS captures
FROM (VALUES
    (1, 'orders:eu:1', 'orders:eu:1'),
    (2, 'orders:eu:1', 'orders:eu:12'),
    (3, 'orders:eu:12', 'orders:eu:1'),
    (4, 'orders:eu', 'orders:eu:1'),
    (5, 'Orders:eu', 'orders:eu'),
    (6, 'orders:eu:1', 'orders:*:1'),
    (7, 'orders::1', 'orders:*:1'),
    (8, 'orders:eu:x:1', 'orders:*:1'),
    (9, 'orders:eu', 'orders:*'),
    (10, 'orders', 'orders:*'),
    (11, 'orders:eu:1', 'orders:*'),
    (12, 'orders:eu', 'orders:>'),
    (13, 'orders:eu:1:2', 'orders:>'),
    (14, 'orders', 'orders:>'),
    (15, 'ordersx:eu', 'orders:>'),
    (16, 'orders:eu:1', 'orders:**'),
    (17, 'orders', '>'),
    (18, 'orders', '*'),
    (19, 'orders:eu', '*'),
    (20, 'orders:eu', '*:>'),
    (21, 'orders:eu', '*:*:>'),
    (22, 'orders:eu:1', 'orders:{region}:{id}'),
    (23, 'orders:eu:1:2', 'orders:{region}:{id}'),
    (24, 'orders:eu:1:2', 'orders:{region}:{id...}'),
    (25, 'orders:eu', 'orders:{region}:{id...}'),
    (26, 'nvent:flow:run:a b:"c"', 'nvent:flow:run:{run_id...}'),
    (27, 'a:b:c:d', '{z}:*:{a}:{m...}'),
    (28, 'é:漢字', '{x}:{y}'),
    (29, 'a:{b', 'a:*'),
    (30, 'a:b}', 'a:b}'),
    -- empty tokens
    (31, 'a::b', '>'),
    (32, 'a::b', 'a:{r...}'),
    (33, 'a::b', 'a::b'),
    (34, 'a::b', 'a:*:b'),
    (35, 'a::b', 'a:b'),
    (36, 'a:b', 'a::b'),
    (37, 'a:', 'a:>'),
    (38, 'a:', 'a:*'),
    (39, 'a:', 'a:{r...}'),
    (40, 'a:', 'a:'),
    (41, 'a:', 'a'),
    (42, 'a', 'a:'),
    (43, ':', '*:*'),
    (44, ':', '*'),
    (45, ':', ':'),
    (46, '::', ':>'),
    (47, ':a', ':{x}'),
    (48, '', '>'),
    (49, '', '*'),
    -- tokens that look like more, and backslashes
    (51, 'a:*', 'a:>'),
    (52, 'a:*', 'a:\*'),
    (53, 'a:x', 'a:\*'),
    (54, 'a:**', 'a:\**'),
    (55, 'a:*', 'a:\**'),
    (56, 'a:>:b', 'a:\>:b'),
    (57, 'a:{b}', 'a:*'),
    (58, 'a:{b}', 'a:\{b}'),
    (59, 'a:{b}', 'a:{b}'),
    (60, 'a:c', 'a:\{b}'),
    (61, 'x*', 'x*'),
    (62, 'xy', 'x*'),
    (63, '\x', '\\x'),
    (64, '\x', '\x'),
    (65, 'x', '\x'),
    (66, 'C:\dir', 'C:\\dir'),
    (67, '\', '\\'),
    (68, 'a:', 'a:\'),
    (69, '\:\*:x', '\\:\\*:{r...}'),
    (70, E'a:\n', 'a:*'),
    (71, E'a:\n', E'a:\n')) AS t (n, s, p)
ORDER BY n;
SELECT subject_matches(repeat('x', 1024), '>') AS bytes_1024,
       subject_matches(repeat('x', 1025), '>') AS bytes_1025,
       subject_matches(repeat('a:', 63) || 'a', 'a:>') AS tokens_64,
       subject_matches(repeat('a:', 64) || 'a', 'a:>') AS tokens_65,
       subject_matches(repeat('a:', 63) || 'a', repeat('*:', 63) || '*') AS one_by_one;

-- The prefix of a pattern bounds what it matches.
SELECT p AS pattern, subject_prefix(p)
FROM unnest(ARRAY['a:b', 'a:*', 'a:b:>', 'a:b:{x}:c', 'a:{x...}', '*:a', '>',
                  '{x}', 'é:**', '::>', ':', 'a:\*:>', '\{x}:\\:{y}', '\**']) WITH ORDINALITY AS t (p, n)
ORDER BY n;

-- The pattern of a subject matches it and nothing else.
SELECT s AS subject, subject_escape(s), subject_matches(s, subject_escape(s)) AS itself, subject_prefix(subject_escape(s)) = s AS prefix
FROM unnest(ARRAY[
    'orders:eu:4711', 'orders:*:{x}', '*', '**', '***', '>', '>>', 'x*:>', '{', '{a...}:b}', 'a:', ':', '::a',
    '\', '\\', 'C:\dir\', '\{x}', 'a"b''c %s {é}:x', E'\t:*']) WITH ORDINALITY AS t (s, n)
ORDER BY n;
SELECT s AS subject, e AS escaped
FROM unnest(ARRAY['*', '\*', '>', '{x}', 'x', '', '**', 'a']) s, unnest(ARRAY['*', '\*', '>', '{x}', 'x', '**', 'a']) e
WHERE subject_matches(s, subject_escape(e)) <> (s = e);
SELECT octet_length(e), subject_pattern_is_valid(e), subject_matches(s, e)
FROM (VALUES (repeat('{', 961) || repeat(':*', 31) || ':'), (repeat('*:', 63) || '\'), (repeat('é', 512))) t (s), subject_escape(s) e;
-- Or simply with a backslash before each token.
SELECT bool_and(subject_matches(s, '\' || replace(s, ':', ':\')))
FROM unnest(ARRAY['a', 'a:b', '*:>', ':', 'a::b', '\:{x}', '{x...}']) s;

-- NULL in, NULL out.
SELECT subject_is_valid(NULL), subject_tokens(NULL), subject_prefix(NULL), subject_escape(NULL),
       subject_pattern_is_valid(NULL),
       subject_matches(NULL, 'a'), subject_matches('a', NULL),
       subject_captures(NULL, 'a'), subject_captures('a', NULL),
       kv_glob_matches(NULL, 'a'), kv_glob_matches('a', NULL);

-- A pattern that changes from row to row is compiled for each of them.
SELECT p AS pattern, count(*) FILTER (WHERE subject_matches(s, p))
FROM unnest(ARRAY['a:*', 'b:*', 'a:*', '*:x', '*:y']) WITH ORDINALITY AS t (p, n),
     unnest(ARRAY['a:x', 'a:y', 'b:x']) AS s
GROUP BY n, p ORDER BY n;
-- One that raises an error leaves the compiled one before it alone.
DO $$
DECLARE
    answers boolean[] := '{}';
    pattern text;
BEGIN
    FOREACH pattern IN ARRAY ARRAY['a:*', '{a', 'a:*', 'b:*'] LOOP
        BEGIN
            answers := answers || subject_matches('a:x', pattern);
        EXCEPTION WHEN SQLSTATE 'NV005' THEN
            answers := answers || NULL::boolean;
        END;
    END LOOP;
    RAISE NOTICE 'answers %', answers;
END $$;

-- Globs are those of Redis.
SELECT k AS key, g AS glob, kv_glob_matches(k, g) AS matches
FROM (VALUES
    (1, 'a', 'a'), (2, 'a', 'A'), (3, 'ab', 'a'), (4, '', ''), (5, 'a', ''),
    (10, '', '*'), (11, 'a:b:c', '*'), (12, 'a:b:c', 'a:*'), (13, 'a:b:c', '*:c'),
    (14, 'a:b:c', 'a*c'), (15, 'a:b:c', 'a*b'), (16, 'abcbc', '*bc'),
    (17, 'abab', '*ab*ab'), (18, 'aab', '*ab*ab'), (19, 'abc', '***c'),
    (20, 'lock:job:7', 'lock:*:[0-9]'), (21, 'xay', '*a'),
    (30, 'a', '?'), (31, '', '?'), (32, 'é', '?'), (33, '漢字', '??'),
    (34, 'é', '??'), (35, 'aéb', 'a?b'), (36, 'é', '*?'), (37, 'é', '*??'),
    (40, 'b', '[abc]'), (41, 'd', '[abc]'), (42, 'b', '[a-c]'), (43, 'b', '[c-a]'),
    (44, 'd', '[^a-c]'), (45, 'b', '[^a-c]'), (46, '', '[^a]'), (47, '!', '[!a]'),
    (48, 'b', '[!a]'), (49, 'ж', '[а-я]'), (50, 'é', '[à-ü]'), (51, 'e', '[à-ü]'),
    (52, 'é', '[^e]'), (53, '-', '[a\-z]'), (54, 'm', '[a\-z]'), (55, ']', '[\]]'),
    (56, '\', '[\\]'), (57, 'x', '[^]'), (58, '^', '[a^]'), (59, '^', '[a-]]'),
    (60, 'b', '[*]'), (61, '*', '[*]'), (62, 'a:', 'a[:]'), (63, 'axx', '*[x]x'),
    (70, '*', '\*'), (71, 'a', '\*'), (72, 'a', '\a'), (73, '\', '\'),
    (74, 'a\', 'a\'), (75, '\\', '\\\'), (76, '[a]', '\[a]'), (77, 'a]', 'a]'),
    (80, '100%', '100%'), (81, '1000', '100%'), (82, 'p:my_lock', 'p:my_lock'),
    (83, 'p:myXlock', 'p:my_lock'), (84, 'p:x:lock:y', 'p:*:lock:*')) AS t (n, k, g)
ORDER BY n;

-- A class that is open, empty, or swallows its "]", is not a guess but an error.
SELECT e.*
FROM unnest(ARRAY[
    $$kv_glob_matches('x', 'a[bc')$$,
    $$kv_glob_matches('x', 'ab[')$$,
    $$kv_glob_matches('x', '[a-]')$$,
    $$kv_glob_matches('x', '[a\]')$$,
    $$kv_glob_matches('x', '[^')$$,
    $$kv_glob_matches('x', 'é[]x]')$$,
    $$kv_glob_matches('x', repeat('é', 1025))$$,
    $$kv_glob_matches('x', repeat('*', 2048))$$]) WITH ORDINALITY AS t (call, n),
    pg_temp.error_of(call) AS e
ORDER BY n;

-- Stars by the hundred against a long key that nearly matches.
SELECT kv_glob_matches(repeat('a', 10000), repeat('a*', 511) || 'b') AS "a*a*...b",
       kv_glob_matches(repeat('a', 10000), repeat('*a', 511) || '*') AS "*a*a...*",
       kv_glob_matches(repeat('a', 10000) || 'b', repeat('a*', 511) || 'b') AS "a*a*...b, b";

-- The matchers against other ones: a pattern turned into a regular expression
-- token by token, and a glob made together with its regular expression.  The
-- seed is fixed; NVS_TEST_SCALE in the environment makes it so many times more.
\set seed 0.4
\set random :abs_srcdir '/sql/include/random.sql'
\i :random

-- A text of up to six tokens, among them all that could mean something.
CREATE FUNCTION pg_temp.random_subject() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg((ARRAY['a', 'b', 'ab', 'é', '.', 'a', 'b', 'ab', 'a(b', '\d',
                             'a', 'b', 'a|b', 'a b', '{a', 'a}', ' ', 'b', 'ab', '%',
                             '', '{a}', '*', E'\t'])[1 + floor(random() ^ 1.5 * 24)::int], ':')
    FROM generate_series(1, 1 + floor(random() * 6)::int)
$$;

-- A pattern of up to five tokens, whose captures are called c1, c2 ...; what
-- means something stands behind a backslash, and so do some that do not.
CREATE FUNCTION pg_temp.random_pattern() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n int := 1 + floor(random() * 5)::int;
    captures int := 0;
    tokens text[] := '{}';
    token text;
BEGIN
    FOR i IN 1..n LOOP
        token := (ARRAY['a', 'b', 'ab', 'é', '.', 'a(b', '\\d', 'a|b', 'a b', '', '\*', '\{a}', '\b',
                        '*', '*', '*', '*', '{}', '{}', '{}'])[1 + floor(random() * 20)::int];
        IF i = n AND random() < 0.5 THEN
            token := (ARRAY['>', '**', '{...}'])[1 + floor(random() * 3)::int];
        END IF;
        IF token LIKE '{%' THEN
            captures := captures + 1;
            token := '{c' || captures || substr(token, 2);
        END IF;
        tokens := tokens || token;
    END LOOP;
    RETURN coalesce(nullif(array_to_string(tokens, ':'), ''), 'a');
END $$;

-- The regular expression of a pattern, for subjects.
CREATE FUNCTION pg_temp.pattern_regex(pattern text) RETURNS text LANGUAGE sql AS $$
    SELECT '^' || string_agg(CASE
               WHEN t = '*' THEN '[^:]*'
               WHEN t IN ('>', '**') THEN '.*'
               WHEN t ~ '^{.*[.]{3}}$' THEN '(.*)'
               WHEN t ~ '^{.*}$' THEN '([^:]*)'
               ELSE regexp_replace(regexp_replace(t, '^\\', ''), '([^[:alnum:]])', '\\\1', 'g') END, ':' ORDER BY n) || '$'
    FROM unnest(string_to_array(pattern, ':')) WITH ORDINALITY AS u (t, n)
$$;

-- Is it a subject?  Said differently from the documentation.
CREATE FUNCTION pg_temp.naive_is_subject(s text) RETURNS boolean LANGUAGE sql AS $$
    SELECT octet_length(s) BETWEEN 1 AND 1024
       AND length(regexp_replace(s, '[^:]', '', 'g')) <= 63
$$;

DO $$
DECLARE
    scale int := current_setting('test.scale');
    pairs bigint := 0;
    matched bigint := 0;
    p text;
    re text;
    r record;
BEGIN
    CREATE TEMP TABLE subjects AS
        SELECT s, pg_temp.naive_is_subject(s) AS valid
        FROM (SELECT DISTINCT pg_temp.random_subject() COLLATE "C" AS s
              FROM generate_series(1, 700 * sqrt(scale)::int)) AS t;
    FOR r IN SELECT * FROM subjects WHERE subject_is_valid(s) <> valid LOOP
        RAISE EXCEPTION 'subject_is_valid(%) differs from %', quote_literal(r.s), r.valid;
    END LOOP;
    FOR i IN 1..500 * sqrt(scale)::int LOOP
        p := pg_temp.random_pattern();
        re := pg_temp.pattern_regex(p);
        FOR r IN SELECT s FROM subjects
                 WHERE subject_matches(s, p) IS DISTINCT FROM (valid AND s ~ re)
        LOOP
            RAISE EXCEPTION 'subject_matches(%, %) differs',
                quote_literal(r.s), quote_literal(p);
        END LOOP;
        FOR r IN SELECT s, subject_captures(s, p) AS captures, regexp_match(s, re) AS groups
                 FROM subjects WHERE subject_matches(s, p)
        LOOP
            matched := matched + 1;
            CONTINUE WHEN p !~ '(^|:){' AND r.captures = '{}';
            IF r.captures IS DISTINCT FROM
               (SELECT jsonb_object_agg('c' || n, g) FROM unnest(r.groups) WITH ORDINALITY AS u (g, n))
            THEN
                RAISE EXCEPTION 'subject_captures(%, %) differs', quote_literal(r.s), quote_literal(p);
            END IF;
        END LOOP;
        pairs := pairs + (SELECT count(*) FROM subjects);
    END LOOP;
    RAISE NOTICE 'pattern pairs: 200000 or more %, matched: 1 in 50 or more %',
        pairs >= 200000, matched * 50 >= pairs;
END $$;

DO $$
DECLARE
    scale int := current_setting('test.scale');
    globs text[] := ARRAY['*', '*', '*', '?', 'a', 'b', ':', 'é', '.', '%', '_', '[ab]', '[^a]',
                          '[b-a]', '[^é]', '[à-ü]', '[:\]]', '[^]', '\*', '\[', '\\', '[a-]]', '\a', '!'];
    regexes text[] := ARRAY['.*', '.*', '.*', '.', 'a', 'b', ':', 'é', '[.]', '%', '_', '[ab]', '[^a]',
                            '[ab]', '[^é]', '[à-ü]', '[]:]', '.', '[*]', '[[]', '[\\]', '[]^_`a]', 'a', '!'];
    letters text[] := ARRAY['a', 'b', 'a', 'b', ':', 'é', '.', '%', '_', '*', '[', '\', ']', '^', '漢', '!'];
    pairs bigint := 0;
    matched bigint := 0;
    glob text;
    re text;
    r record;
BEGIN
    CREATE TEMP TABLE keys AS
        SELECT DISTINCT k COLLATE "C" AS k
        FROM generate_series(1, 600 * sqrt(scale)::int) AS i,
             LATERAL (SELECT coalesce(string_agg(letters[1 + floor(random() ^ 1.7 * 16)::int], ''), '') AS k
                      FROM generate_series(1, floor(random() * 8 + i * 0)::int)) AS t;
    FOR i IN 1..600 * sqrt(scale)::int LOOP
        SELECT string_agg(globs[n], ''), '^' || string_agg(regexes[n], '') || '$' INTO glob, re
        FROM (SELECT 1 + floor(random() ^ 1.3 * 24)::int AS n
              FROM generate_series(1, 1 + floor(random() * 6 + i * 0)::int) OFFSET 0) AS t;
        FOR r IN SELECT k FROM keys WHERE kv_glob_matches(k, glob) <> (k ~ re) LOOP
            RAISE EXCEPTION 'kv_glob_matches(%, %) differs',
                quote_literal(r.k), quote_literal(glob);
        END LOOP;
        matched := matched + (SELECT count(*) FROM keys WHERE kv_glob_matches(k, glob));
        pairs := pairs + (SELECT count(*) FROM keys);
    END LOOP;
    RAISE NOTICE 'glob pairs: 200000 or more %, matched: 1 in 50 or more %',
        pairs >= 200000, matched * 50 >= pairs;
END $$;
RESET search_path;
