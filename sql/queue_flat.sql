-- What does not grow with how many jobs wait: rows that are looked at, of the
-- tables of jobs, turns and runs, by indexes or without.
--
-- Seen to fail with all ready jobs walked to find those that have been queued for
-- too long, or the turns of all queues; with jobs that are ready, turns that are
-- due, wait in lanes, or in all lanes but the first, or come due left out; with
-- a clock that was ahead believed.
SET client_min_messages = warning;
SELECT nvent.store_create('flat');
SET nvent_store.default_store = 'flat';

CREATE FUNCTION pg_temp.rows() RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_returned(c.oid) + COALESCE((SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid), 0))::bigint
    FROM pg_class c WHERE c.relname IN ('flat_jobs', 'flat_job_turns', 'flat_job_runs')
$$;
CREATE FUNCTION pg_temp.send(queue text, n int, job jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT count(*) FROM nvent.queue_send_batch(queue, array_fill(job, ARRAY[n]), 'flat')
$$;
-- What maintenance deletes, and whether it looks at few rows for that.
CREATE FUNCTION pg_temp.maintain(OUT deleted bigint, OUT few bool) LANGUAGE plpgsql AS $$
DECLARE
    before bigint := pg_temp.rows();
BEGIN
    deleted := nvent.maintain(100, 'flat');
    few := pg_temp.rows() - before < 300;
    IF NOT few THEN RAISE NOTICE '% rows', pg_temp.rows() - before; END IF;
END $$;

-- Jobs that are to stay: ready, due, waiting in a lane, or until their time.
SELECT nvent.queue_create('stay', 'singleton');
SELECT pg_temp.send('stay', 2000, '{"key": "k"}'), pg_temp.send('stay', 6000, '{"key": "k", "startAfter": 3600}'), pg_temp.send('stay', 2000, '{"key": "k"}');
UPDATE flat_job_turns t SET due_at = CASE n % 3 WHEN 1 THEN t.due_at WHEN 2 THEN 'infinity' END, lane = CASE n % 3 WHEN 2 THEN 'k' || n % 2 END
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM flat_job_turns) u WHERE u.id = t.id;
ANALYZE;
SELECT * FROM pg_temp.maintain();

-- Beside them, queues without jobs, with some that are kept for ever, and with
-- some that ought to go but are active.
SELECT nvent.queue_create('idle'), nvent.queue_create('drained', 'singleton'), nvent.queue_create('ever', keep_queued => NULL), nvent.queue_create('busy'), nvent.queue_create('busy-lane', 'singleton');
SELECT pg_temp.send(q, 1, '{"key": "k"}') FROM unnest('{drained,ever,busy,busy-lane}'::text[]) q;
SELECT count(nvent.queue_delete('drained', id)) FROM flat_jobs j JOIN flat_queues q ON q.number = j.queue WHERE q.name = 'drained';
SELECT sum((SELECT count(*) FROM nvent.queue_fetch(q))) FROM unnest('{busy,busy-lane}'::text[]) q;
UPDATE flat_jobs j SET created_at = j.created_at - interval '20 days' FROM flat_queues q WHERE q.number = j.queue AND q.name <> 'stay';
SELECT * FROM pg_temp.maintain();
SELECT count(nvent.queue_drop(q)) FROM unnest('{idle,drained,ever,busy,busy-lane}'::text[]) q;

-- Those that have been queued for too long are few, and go, whatever they wait
-- for, but not those whose time comes.
UPDATE flat_jobs SET created_at = created_at - interval '20 days' WHERE id IN (SELECT id FROM flat_jobs ORDER BY id LIMIT 5);
SELECT * FROM pg_temp.maintain();
UPDATE flat_jobs SET created_at = created_at - interval '20 days' WHERE id <= (SELECT id FROM flat_job_turns ORDER BY id OFFSET 6 LIMIT 1);
UPDATE flat_job_turns SET due_at = now() - interval '15 days' WHERE id IN (SELECT id FROM flat_job_turns WHERE due_at < 'infinity' ORDER BY id LIMIT 1);
SELECT sum(nvent.maintain(100, 'flat')) FROM generate_series(1, 25);
SELECT t.due_at IS NULL AS due, t.lane, count(*) FROM flat_jobs j JOIN flat_job_turns t USING (id)
    WHERE j.created_at < now() - interval '14 days' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM flat_jobs WHERE created_at < now() - interval '14 days';

-- Of each priority, whatever there is of others.
SELECT nvent.queue_create('levels');
SELECT pg_temp.send('levels', 2, '{"priority": 7}'), pg_temp.send('levels', 2, '{"priority": 8}'), pg_temp.send('levels', 2, '{"priority": 9}');
DELETE FROM flat_jobs WHERE priority = 8;
UPDATE flat_jobs SET created_at = '2000-01-01' WHERE priority = 7;
SELECT nvent.maintain(100, 'flat');
DELETE FROM flat_jobs WHERE priority = 9;

-- A clock that was ahead keeps none of those that were sent later.
SELECT nvent.queue_create('ahead');
SELECT pg_temp.send('ahead', 6, '{}');
UPDATE flat_jobs j SET created_at = now() + CASE WHEN n.n % 2 = 0 THEN '-20 days' ELSE '10 years' END::interval
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM flat_jobs WHERE queue = (SELECT max(number) FROM flat_queues)) n WHERE n.id = j.id;
SELECT nvent.maintain(100, 'flat');
SELECT count(*) FILTER (WHERE created_at > now()), count(*) FROM flat_jobs WHERE queue = (SELECT max(number) FROM flat_queues);

-- What is kept for ever is not looked at.
UPDATE flat_queues SET keep_queued = NULL WHERE name = 'stay';
UPDATE flat_jobs SET created_at = '2000-01-01';
SELECT deleted FROM pg_temp.maintain();
SELECT queue = (SELECT max(number) FROM flat_queues) AS ahead, count(*) FROM flat_jobs GROUP BY 1 ORDER BY 1;
