-- The adapter reads the entry for its version, then updates that version.
\set at random(1700000000000, 1800000000000)
SELECT * FROM nvent_flow_runs WHERE flow_name = 'hot' AND run_id = 'run1' \gset
UPDATE nvent_flow_runs SET emitted_events = peer.deep_merge(emitted_events, ('{"step7": {"at": ' || :at::text || '}}')::jsonb), version = version + 1, updated_at = now() WHERE flow_name = 'hot' AND run_id = 'run1' AND version = :version RETURNING version;
