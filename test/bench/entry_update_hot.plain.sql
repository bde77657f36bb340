-- peer: the adapter: SELECT the version, then UPDATE that one
\set at random(1700000000000, 1800000000000)
SELECT * FROM adapter.flow_runs WHERE flow_name = 'hot' AND run_id = 'run1' \gset
UPDATE adapter.flow_runs SET emitted_events = adapter.deep_merge(emitted_events, ('{"step7": {"at": ' || :at::text || '}}')::jsonb), version = version + 1, updated_at = now() WHERE flow_name = 'hot' AND run_id = 'run1' AND version = :version RETURNING version;
