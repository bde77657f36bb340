-- peer: UPDATE ... FOR UPDATE SKIP LOCKED, then DELETE
UPDATE lean.jobs SET state = 'active', attempt = attempt + 1, started_at = now() WHERE id = (SELECT id FROM lean.jobs WHERE queue = 'bench' AND state = 'ready' ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, attempt, data \gset
DELETE FROM lean.jobs WHERE id = :id AND attempt = :attempt;
