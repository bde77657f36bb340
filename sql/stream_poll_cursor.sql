-- Checks of an event store, section D: the order of all streams, as far as one
-- session sees it; the others are in test/specs/contract_52.spec and where
-- positions and polls are tested.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('cd', 'cd');
CREATE FUNCTION cd.types(events jsonb[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(e->>'type', ' ' ORDER BY n), 'none') FROM unnest(events) WITH ORDINALITY u (e, n)
$$;

-- 50: three appends to three streams, in two tables, come in their order.
SELECT count(nvent.stream_append(s, jsonb_build_object('type', t))) FROM (VALUES ('cd:a:1', 'A'), ('cd:b:1', 'B'), ('cd:a:2', 'C')) v (s, t);
SELECT cd.types(events) FROM nvent.stream_poll('cd:>', 0) p;
SELECT bool_and(id > coalesce(before, 0)) AS ascending FROM (SELECT (e->>'id')::bigint AS id, lag((e->>'id')::bigint) OVER (ORDER BY n) AS before
    FROM nvent.stream_poll('cd:>', 0) p, unnest(p.events) WITH ORDINALITY u (e, n)) x;

-- 51: 0 and NULL are before the first; after the third of five come two.
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "cd:a:1", "events": [{"type": "D"}]}, {"subject": "cd:c:1", "events": [{"type": "E"}]}]');
SELECT cd.types(p.events), cd.types(q.events) FROM nvent.stream_poll('cd:>', 0) p, nvent.stream_poll('cd:>', NULL) q;
SELECT cd.types(p.events), cd.types(q.events) FROM nvent.stream_poll('cd:>', 0, 3) p, nvent.stream_poll('cd:>', p.next_cursor) q;
SELECT cd.types(q.events) FROM nvent.stream_poll('cd:>', 0) p, nvent.stream_poll('cd:>', (p.events[3]->>'id')::bigint) q;

-- 64, 65: the cursor goes past what matches nothing, and nothing is skipped.
SELECT count(*) FROM generate_series(1, 500) i, nvent.stream_append('cd:a:' || i % 7, '{"type": "common"}');
SELECT cd.types(p.events), p.next_cursor >= (SELECT max(id) FROM cd.cd_stream_a) AS beyond FROM nvent.stream_poll('cd:>', 0, 10, types => '{rare}') p;
CREATE TEMP TABLE at AS SELECT next_cursor FROM nvent.stream_poll('cd:>', 0, 10, types => '{rare}');
SELECT count(nvent.stream_append('cd:a:1', jsonb_build_object('type', t))) FROM unnest(ARRAY['common', 'rare', 'common']) t;
SELECT cd.types(p.events) FROM at, nvent.stream_poll('cd:>', next_cursor, 10, types => '{rare}') p;
SELECT cd.types(p.events) FROM nvent.stream_poll('cd:>', 0, 10, types => '{rare}') p;

DROP FUNCTION cd.types(jsonb[]);
SELECT nvent.store_migrate('cd', 0) > 0 AS dropped;
DROP SCHEMA cd;
