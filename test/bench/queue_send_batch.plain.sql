-- peer: INSERT ... SELECT from the jsonb[]
INSERT INTO lean.jobs (queue, data) SELECT 'bench', j -> 'data' FROM unnest((SELECT jobs FROM lean.job_batch)) AS j;
