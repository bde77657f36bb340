-- Checks of an event store, section E: filters and patterns, over all streams.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('ce', 'ce');
CREATE FUNCTION ce.poll(pattern text, args text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT (SELECT string_agg((e->>''subject'') || '' '' || (e->>''type''), '', '' ORDER BY (e->>''id'')::bigint)
        FROM unnest(p.events) e) FROM nvent.stream_poll(%L, 0 %s) p', pattern, args) INTO found;
    RETURN coalesce(found, 'none');
END $$;

-- 67: two that match behind 50 that do not, and a limit of 10: both come, by
-- type, prefix, pattern, correlation and group.
SELECT count(*) FROM nvent.stream_append_many((SELECT jsonb_agg(jsonb_build_object('subject', 'ce:order:' || i % 5,
    'events', jsonb_build_array(jsonb_build_object('type', 'o')))) FROM generate_series(1, 50) i));
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "ce:order:x", "events": [{"type": "rare", "correlation": "ce:saga:1"}]},
    {"subject": "ce:account:1", "events": [{"type": "rare", "correlation": "ce:saga:1"}]}]');
SELECT ce.poll('ce:>', $$, types => '{rare}', max_count => 10$$);
SELECT ce.poll('ce:account:>', ', max_count => 10');
SELECT ce.poll('ce:*:x', ', max_count => 10');
SELECT (SELECT array_agg(e->>'subject') FROM unnest(p.events) e) FROM nvent.stream_poll_category('ce', 0, 10, correlation => 'ce:saga') p;
SELECT (SELECT array_agg(DISTINCT e->>'subject') FROM unnest(p.events) e) FROM
    nvent.stream_poll_category('ce:order', 0, 10, member => nvent.subject_member('ce:order:x', 40000), size => 40000) p;
SELECT count(*), min(e->>'type') FROM nvent.stream_read('ce:order:x', types => '{rare}', max_count => 10) e;

-- 68: a prefix is of whole tokens and literal.
SELECT count(nvent.stream_append(s, '{"type": "p"}')) FROM unnest(ARRAY['ce:my-account:1', 'ce:accounts:1', 'ce:axb:1', 'ce:a_b:1',
    'ce:a%b:1', 'ce:a\b:1', 'ce:ab:1']) s;
SELECT ce.poll('ce:account:>'), ce.poll('ce:a_b:>'), ce.poll('ce:a%b:>'), ce.poll('ce:a\b:>'), ce.poll('ce:%:>');

-- 69: * is one token, > is one or more; neither a part of one.  Characters
-- and classes are for keys, not for subjects.
SELECT count(nvent.stream_append(s, '{"type": "q"}')) FROM unnest(ARRAY['ce:deep:1', 'ce:deep:1:a', 'ce:deep:1:a:b', 'ce:deep:[0-9]', 'ce:deep:?']) s;
SELECT ce.poll('ce:deep:*');
SELECT ce.poll('ce:deep:>');
SELECT ce.poll('ce:deep:*:a'), ce.poll('ce:deep:*:*:*'), ce.poll('ce:deep:1:**');
SELECT ce.poll('ce:deep:[0-9]'), ce.poll('ce:deep:?');
SELECT nvent.kv_glob_matches('account-1R', 'account-?R'), nvent.kv_glob_matches('account-12R', 'account-?R'),
    nvent.kv_glob_matches('account-7', 'account-[0-9]'), nvent.kv_glob_matches('account-a', 'account-[0-9]');

-- 70: what means something in a regular expression means itself; a malformed
-- pattern raises.
SELECT count(nvent.stream_append(s, '{"type": "r"}')) FROM unnest(ARRAY['ce:re:a.b', 'ce:re:axb', 'ce:re:(a+b)$', 'ce:re:a|b', 'ce:re:^']) s;
SELECT ce.poll('ce:re:a.b'), ce.poll('ce:re:(a+b)$'), ce.poll('ce:re:a|b'), ce.poll('ce:re:^');
SELECT nvent.stream_poll('ce:re:.*', 0);
SELECT nvent.stream_poll('ce:re:a*', 0);
SELECT nvent.stream_poll('ce:>:a', 0);
SELECT nvent.stream_poll('ce:re:{a', 0);
SELECT nvent.stream_poll('ce::a', 0);
SELECT nvent.stream_poll('', 0);

-- 71: subjects with wildcards in them are refused.
SELECT nvent.stream_append('ce:re:*', '{"type": "a"}');
SELECT nvent.stream_append('ce:re:a>', '{"type": "a"}');
SELECT nvent.stream_append('ce:re:{a}', '{"type": "a"}');
SELECT nvent.stream_append_many('[{"subject": "ce:re:**", "events": [{"type": "a"}]}]');

-- 72: filters are all of them.
SELECT count(*) FROM nvent.stream_append_many('[
    {"subject": "ce:mix:1", "events": [{"type": "a", "correlation": "k"}, {"type": "b", "correlation": "k"}, {"type": "c", "correlation": "k"}]},
    {"subject": "ce:mix:2", "events": [{"type": "a", "correlation": "k"}, {"type": "b"}]},
    {"subject": "ce:mox:1", "events": [{"type": "a", "correlation": "k"}]},
    {"subject": "ce:mix:1", "events": [{"type": "a", "correlation": "l"}, {"type": "b", "correlation": "k"}]}]');
SELECT (SELECT string_agg((e->>'subject') || ' ' || (e->>'version'), ', ') FROM unnest(p.events) e)
FROM nvent.stream_poll_category('ce:mix', 0, types => '{a,b}', correlation => 'k') p;
SELECT (SELECT string_agg((e->>'subject') || ' ' || (e->>'version'), ', ') FROM unnest(p.events) e)
FROM nvent.stream_read('ce:mix:1', max_count => 1) f, nvent.stream_poll_category('ce:mix', (f->>'id')::bigint, 2, types => '{a,b}', correlation => 'k') p;

-- 73: reads that match 10 of 100,000 events find them by an index, and read
-- a few hundred pages of a thousand; a million are in test/bench.  Fails when
-- the table has no index on (type, id).
SELECT nvent.stream_create_table('big', store => 'ce');
INSERT INTO ce.ce_stream_big (subject, version, ts, type)
SELECT 'ce:big:' || v % 10000 || ':x', v / 10000 + 1, v, CASE WHEN v % 10000 = 77 THEN 'rare' ELSE 'common' END
FROM generate_series(0, 99999) v;
ANALYZE ce.ce_stream_big;
SELECT pg_relation_size('ce.ce_stream_big') / current_setting('block_size')::int > 800 AS large;
CREATE FUNCTION ce.cost(call text, OUT events int, OUT within_500_buffers boolean, OUT scans bigint) LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    before bigint := coalesce(pg_stat_get_xact_numscans('ce.ce_stream_big'::regclass), 0);
BEGIN
    EXECUTE 'SELECT cardinality(events) FROM ' || call INTO events;
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT FROM ' || call INTO plan;
    within_500_buffers := (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int < 500;
    scans := coalesce(pg_stat_get_xact_numscans('ce.ce_stream_big'::regclass), 0) - before;
END $$;
SELECT name, c.* FROM (VALUES
    (1, 'type', $$nvent.stream_poll('ce:big:>', 0, types => '{rare}')$$),
    (2, 'prefix', $$nvent.stream_poll('ce:big:4711:>', 0)$$),
    (3, 'pattern', $$nvent.stream_poll('ce:big:4711:*', 0)$$),
    (4, 'category', $$nvent.stream_poll_category('ce:big:4711', 0)$$),
    (5, 'both', $$nvent.stream_poll('ce:big:77:>', 0, types => '{rare,none}')$$)) v (n, name, call),
    ce.cost(call) c ORDER BY n;

DROP FUNCTION ce.poll(text, text), ce.cost(text);
SELECT nvent.store_migrate('ce', 0) > 0 AS dropped;
DROP SCHEMA ce;
