-- grow.sql: fill the tables up to :rows rows each; :done are there already.
-- Every second event is of one run, the others are spread over many.
INSERT INTO nvent_kv (key, value)
SELECT 'nvent:flat:' || i, jsonb_build_object('n', i)
FROM generate_series(:done + 1, :rows) AS i;

INSERT INTO nvent_flow_runs (flow_name, run_id, status, started_at, score)
SELECT 'flat', 'run' || i, 'completed', 1700000000000 + i, 1700000000000 + i
FROM generate_series(:done + 1, :rows) AS i;

INSERT INTO nvent_flow_events (run_id, flow_name, ts, type, step_name, data)
SELECT CASE WHEN i % 2 = 0 THEN 'flat' ELSE 'other' || i % 1000 END, 'flat',
       1700000000000 + i, 'step.completed', 'step', '{"n": 1}'
FROM generate_series(:done + 1, :rows) AS i;

VACUUM ANALYZE nvent_kv, nvent_flow_runs, nvent_flow_events;
