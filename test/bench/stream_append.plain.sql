\set r random(1, 1000)
\set ts random(1700000000000, 1800000000000)
INSERT INTO nvent_flow_events (run_id, flow_name, ts, type, step_name, step_id, attempt, data) VALUES ('bench' || :r::text, 'bench', :ts, 'step.completed', 'build', 'build-1', 1, '{"ok": true, "artifact": "image-4711", "seconds": 12.5}') RETURNING id;
