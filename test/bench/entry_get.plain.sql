\set r random(1, 1000)
SELECT * FROM nvent_flow_runs WHERE flow_name = 'bench' AND run_id = 'run' || :r::text;
