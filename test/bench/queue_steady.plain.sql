-- peer: UPDATE ... FOR UPDATE SKIP LOCKED, then DELETE
WITH taken AS (UPDATE lean.jobs SET state = 'active', attempt = attempt + 1, started_at = now() WHERE id = ANY (ARRAY(SELECT id FROM lean.jobs WHERE queue = 'bench' AND state = 'ready' ORDER BY priority DESC, id LIMIT 10 FOR UPDATE SKIP LOCKED)) RETURNING id, data) SELECT array_agg(id) AS ids, array_agg(data) AS data FROM taken \gset
DELETE FROM lean.jobs WHERE id = ANY (:ids::bigint[]);
INSERT INTO lean.jobs (queue, data) SELECT 'bench', j -> 'data' FROM unnest((SELECT ten FROM lean.job_batch)) AS j;
