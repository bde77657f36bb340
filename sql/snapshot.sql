-- Checks of an event store, section J: snapshots.  Two sessions that save are
-- in test/specs/contract_90.spec.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('cj', 'cj');

-- 90: an unknown id; a round trip of state and versions.
SELECT * FROM nvent.snapshot_load('cj:balance:1');
SELECT nvent.snapshot_save('cj:balance:1', '{"sum": 3}', '{"cj:p:1": 4, "cj:s:1": 9}', '[1, 2]');
SELECT state, versions, extra, updated_at IS NOT NULL AS dated FROM nvent.snapshot_load('cj:balance:1');
-- Older in both, in one, or without one of them: ignored.
SELECT nvent.snapshot_save('cj:balance:1', '0', '{"cj:p:1": 3, "cj:s:1": 8}');
SELECT nvent.snapshot_save('cj:balance:1', '0', '{"cj:p:1": 5, "cj:s:1": 8}');
SELECT nvent.snapshot_save('cj:balance:1', '0', '{"cj:p:1": 50}');
SELECT nvent.snapshot_save('cj:balance:1', '0', '{}');
SELECT state, versions FROM nvent.snapshot_load('cj:balance:1');
-- As new, newer, or of more streams: kept.
SELECT nvent.snapshot_save('cj:balance:1', '{"sum": 4}', '{"cj:p:1": 4, "cj:s:1": 9}');
SELECT nvent.snapshot_save('cj:balance:1', '{"sum": 5}', '{"cj:p:1": 4, "cj:s:1": 10, "cj:t:1": 0}');
SELECT state, versions, extra FROM nvent.snapshot_load('cj:balance:1');
-- Versions are compared as numbers.
SELECT nvent.snapshot_save('cj:balance:2', '9', '{"cj:p:1": 9}'), nvent.snapshot_save('cj:balance:2', '10', '{"cj:p:1": 10}'),
    nvent.snapshot_save('cj:balance:2', '9', '{"cj:p:1": 9}');
-- Ids are independent, and of the store of their first token.
SELECT nvent.snapshot_save('cj:balance:3', NULL, '{}'), nvent.snapshot_save('elsewhere', '1', '{}');
SELECT state IS NULL AS none, versions FROM nvent.snapshot_load('cj:balance:3');
SELECT id FROM cj.cj_snapshots ORDER BY id;
SELECT id FROM nvent_snapshots ORDER BY id;

-- A snapshot and what follows it is the same as everything.
SELECT count(*) FROM generate_series(1, 20) i, nvent.stream_append('cj:sum:1', jsonb_build_object('type', 'added', 'data', i));
SELECT nvent.snapshot_save('cj:total:1', (SELECT sum((e->'data')::int)::text::jsonb FROM nvent.stream_read('cj:sum:1', max_count => 12) e), '{"cj:sum:1": 12}');
SELECT (s.state)::int + (SELECT sum((e->'data')::int) FROM nvent.stream_read('cj:sum:1') e
    WHERE (e->>'version')::bigint > (s.versions->>'cj:sum:1')::bigint) AS resumed,
    (SELECT sum((e->'data')::int) FROM nvent.stream_read('cj:sum:1') e) AS replayed
FROM nvent.snapshot_load('cj:total:1') s;

-- Deleting snapshots never touches events.
SELECT nvent.snapshot_delete('cj:total:1'), nvent.snapshot_delete('cj:total:1') AS again;
SELECT count(*) FROM nvent.snapshot_load('cj:total:1');
SELECT nvent.stream_version('cj:sum:1');

-- What is no snapshot.
SELECT nvent.snapshot_save(NULL, '1', '{}');
SELECT nvent.snapshot_save('cj:x', '1', NULL);
SELECT nvent.snapshot_save('', '1', '{}');
SELECT nvent.snapshot_save(repeat('x', 513), '1', '{}');
SELECT nvent.snapshot_save('cj:x', '1', '[]');
SELECT nvent.snapshot_save('cj:x', '1', '{"a": "1"}');
SELECT nvent.snapshot_save('cj:x', '1', '{"a": -1}');
SELECT nvent.snapshot_save('cj:x', '1', '{"a": 1.5}');
SELECT nvent.snapshot_load(NULL);
SELECT nvent.snapshot_delete(NULL);

SELECT nvent.snapshot_delete('elsewhere'), nvent.store_migrate('nvent', 0) > 0 AS dropped;
SELECT nvent.store_migrate('cj', 0) > 0 AS dropped;
DROP SCHEMA cj;
