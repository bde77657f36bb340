-- Snapshots: state and versions come back as they were saved, a save that is
-- older in any stream is ignored, a snapshot and the events after it are the
-- same as all events, and nothing but the store's own table is touched.  Two
-- sessions that save are in test/specs/snapshot_race.spec.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('test', 'test');

-- An unknown id; a round trip of state and versions.
SELECT * FROM nvent.snapshot_load('test:balance:1');
SELECT nvent.snapshot_save('test:balance:1', '{"sum": 3}', '{"test:p:1": 4, "test:s:1": 9}', '[1, 2]');
SELECT state, versions, extra, updated_at IS NOT NULL AS dated FROM nvent.snapshot_load('test:balance:1');
-- Older in both, in one, or without one of them: ignored.
SELECT nvent.snapshot_save('test:balance:1', '0', '{"test:p:1": 3, "test:s:1": 8}');
SELECT nvent.snapshot_save('test:balance:1', '0', '{"test:p:1": 5, "test:s:1": 8}');
SELECT nvent.snapshot_save('test:balance:1', '0', '{"test:p:1": 50}');
SELECT nvent.snapshot_save('test:balance:1', '0', '{}');
SELECT state, versions FROM nvent.snapshot_load('test:balance:1');
-- As new, newer, or of more streams: kept.
SELECT nvent.snapshot_save('test:balance:1', '{"sum": 4}', '{"test:p:1": 4, "test:s:1": 9}');
SELECT nvent.snapshot_save('test:balance:1', '{"sum": 5}', '{"test:p:1": 4, "test:s:1": 10, "test:t:1": 0}');
SELECT state, versions, extra FROM nvent.snapshot_load('test:balance:1');
-- Versions are compared as numbers.
SELECT nvent.snapshot_save('test:balance:2', '9', '{"test:p:1": 9}'), nvent.snapshot_save('test:balance:2', '10', '{"test:p:1": 10}'),
    nvent.snapshot_save('test:balance:2', '9', '{"test:p:1": 9}');
-- Ids are independent, and of the store of their first token.
SELECT nvent.snapshot_save('test:balance:3', NULL, '{}'), nvent.snapshot_save('elsewhere', '1', '{}');
SELECT state IS NULL AS none, versions FROM nvent.snapshot_load('test:balance:3');
SELECT id FROM test.test_snapshots ORDER BY id;
SELECT id FROM nvent_snapshots ORDER BY id;

-- A snapshot and what follows it is the same as everything.
SELECT count(*) FROM generate_series(1, 20) i, nvent.stream_append('test:sum:1', jsonb_build_object('type', 'added', 'data', i));
SELECT nvent.snapshot_save('test:total:1', (SELECT sum((e->'data')::int)::text::jsonb FROM nvent.stream_read('test:sum:1', max_count => 12) e), '{"test:sum:1": 12}');
SELECT (s.state)::int + (SELECT sum((e->'data')::int) FROM nvent.stream_read('test:sum:1') e
    WHERE (e->>'version')::bigint > (s.versions->>'test:sum:1')::bigint) AS resumed,
    (SELECT sum((e->'data')::int) FROM nvent.stream_read('test:sum:1') e) AS replayed
FROM nvent.snapshot_load('test:total:1') s;

-- Deleting snapshots never touches events.
SELECT nvent.snapshot_delete('test:total:1'), nvent.snapshot_delete('test:total:1') AS again;
SELECT count(*) FROM nvent.snapshot_load('test:total:1');
SELECT nvent.stream_version('test:sum:1');

-- What is no snapshot.
SELECT nvent.snapshot_save(NULL, '1', '{}');
SELECT nvent.snapshot_save('test:x', '1', NULL);
SELECT nvent.snapshot_save('', '1', '{}');
SELECT nvent.snapshot_save(repeat('x', 1025), '1', '{}');
SELECT nvent.snapshot_save('test:x', '1', '[]');
SELECT nvent.snapshot_save('test:x', '1', '{"a": "1"}');
SELECT nvent.snapshot_save('test:x', '1', '{"a": -1}');
SELECT nvent.snapshot_save('test:x', '1', '{"a": 1.5}');
SELECT nvent.snapshot_load(NULL);
SELECT nvent.snapshot_delete(NULL);

SELECT nvent.snapshot_delete('elsewhere'), nvent.store_migrate('nvent', 0) > 0 AS dropped;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
