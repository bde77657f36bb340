-- peer: the adapter: SELECT * from its 12 columns
\set r random(1, 1000)
SELECT * FROM adapter.flow_runs WHERE flow_name = 'bench' AND run_id = 'run' || :r::text;
