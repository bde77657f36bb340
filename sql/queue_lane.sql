-- Policies about jobs that are active: singleton, stately, key_strict_fifo.
--
-- Seen to fail: without places given back where a run ends, in "Of each state one";
-- where a job ends, in "One at a time"; where one is deleted by maintenance, in "A
-- job that has failed"; without a look for those that wait, in "One at a time";
-- with a place that is free taken by whoever asks, in "In order"; with turns that
-- are due and deleted leaving no sign, in "Waiting behind what goes".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_named.sql'
\i :helpers
SELECT nvent.queue_create('singleton', 'singleton'), nvent.queue_create('stately', 'stately'), nvent.queue_create('fifo', 'key_strict_fifo');
UPDATE q_queues SET policy = 'fifo' WHERE name = 'fifo';
INSERT INTO q_queues (name, policy) VALUES ('none', 'fifo');

-- One at a time, of each key, and of those without one.
SELECT pg_temp.send('singleton', 'a-1', 'a-2', 'b-1', '-1', '-2', 'a-3', 'b-2');
SELECT pg_temp.fetch('singleton');
SELECT pg_temp.fetch('singleton');
SELECT pg_temp.done('a-1', '-1'), pg_temp.fetch('singleton');
SELECT pg_temp.fail('a-2'), pg_temp.fetch('singleton');
SELECT pg_temp.states('singleton');
SELECT pg_temp.fail('a-2'), pg_temp.fail('a-2') IS TRUE AS held, pg_temp.fetch('singleton');
SELECT pg_temp.done('a-2', 'b-1', '-2'), pg_temp.fetch('singleton');
SELECT pg_temp.done('a-3', 'b-2'), pg_temp.fetch('singleton'), count(*) FROM pg_temp.stray();
SELECT count(*) FROM q_job_lanes;
SELECT count(*) FROM q_job_turns;

-- In order: of a key the highest priority, and of one priority the oldest, also
-- of those that waited, were given back, or handed back by a rollback.
SELECT pg_temp.send('fifo', 'f-1', 'f-2', 'g-1', 'f-3');
BEGIN;
SELECT pg_temp.fetch('fifo', 1);
SELECT pg_temp.fetch('fifo');
ROLLBACK;
SELECT pg_temp.send('fifo', 'f-0');
SELECT pg_temp.fetch('fifo', 1), pg_temp.fetch('fifo', 1), pg_temp.fetch('fifo', 1);
SELECT nvent.queue_delete(queue, id) FROM pg_temp.job('f-0');
SELECT nvent.queue_send('fifo', '"f-4"', 5, key => 'f') > 0 AS sent;
SELECT nvent.queue_send('fifo', '"h-1"', 5, key => 'h') > 0 AS sent;
SELECT pg_temp.fetch('fifo'), pg_temp.done('f-1'), pg_temp.fetch('fifo');
SELECT pg_temp.fail('f-4'), pg_temp.fetch('fifo');
SELECT nvent.queue_release(queue, id, attempt, '1 hour'), pg_temp.fetch('fifo') FROM pg_temp.job('f-4');
SELECT nvent.queue_cancel(queue, id), pg_temp.fetch('fifo') FROM pg_temp.job('f-4');
SELECT pg_temp.done('g-1', 'h-1'), pg_temp.fetch('fifo');
SELECT pg_temp.states('fifo');
SELECT pg_temp.done('f-2'), pg_temp.fetch('fifo');
SELECT pg_temp.done('f-3'), pg_temp.fetch('fifo'), count(*) FROM pg_temp.stray();
-- One that is to start later takes its place then.
SELECT nvent.queue_send('fifo', '"f-5"', key => 'f', start_after => '1 hour') > 0 AS sent;
SELECT pg_temp.send('fifo', 'f-6', 'f-7'), pg_temp.fetch('fifo');
UPDATE q_job_turns SET due_at = now() WHERE lane IS NULL;
SELECT pg_temp.fetch('fifo'), pg_temp.done('f-6'), pg_temp.fetch('fifo'), pg_temp.done('f-5'), pg_temp.fetch('fifo'), pg_temp.done('f-7');
SELECT nvent.queue_send('fifo');
SELECT nvent.queue_send_batch('fifo', ARRAY['{"key": "a"}', '{}']::jsonb[]);

-- A job that has failed for good blocks its key, and no other.
SELECT pg_temp.send('fifo', 'd-1', 'd-2', 'e-1');
UPDATE q_queues SET retry_limit = 0 WHERE name = 'fifo';
SELECT pg_temp.fetch('fifo'), pg_temp.fail('d-1', 'e-1'), pg_temp.fetch('fifo');
SELECT key, b.id = j.id AS this, b.attempt, failed_at IS NOT NULL AS failed, error FROM nvent.queue_blocked('fifo') b, pg_temp.job(key || '-1') j;
SELECT nvent.queue_retry(queue, id), pg_temp.fetch('fifo') FROM pg_temp.job('d-1');
SELECT key FROM nvent.queue_blocked('fifo');
SELECT nvent.queue_unblock('fifo', 'd'), nvent.queue_unblock('fifo', 'none'), nvent.queue_unblock('fifo', NULL);
SELECT nvent.queue_unblock('fifo', 'd'), nvent.queue_unblock('fifo', 'none');
SELECT pg_temp.done('d-1'), pg_temp.fetch('fifo'), pg_temp.send('fifo', 'e-2', 'e-3'), pg_temp.fetch('fifo');
SELECT nvent.queue_unblock('fifo', 'e'), pg_temp.fetch('fifo'), nvent.queue_unblock('fifo', 'e');
SELECT pg_temp.states('fifo');
SELECT pg_temp.fail('e-2'), pg_temp.fetch('fifo'), nvent.queue_delete(queue, id), pg_temp.fetch('fifo') FROM pg_temp.job('e-2');
SELECT pg_temp.done('d-2', 'e-3'), pg_temp.fetch('fifo'), count(*) FROM pg_temp.stray();
SELECT pg_temp.send('fifo', 'i-1', 'i-2'), pg_temp.fetch('fifo'), pg_temp.fail('i-1'), pg_temp.fetch('fifo');
UPDATE q_job_runs SET ended_at = now() - interval '1 year', lease_until = now() - interval '1 year' WHERE id = (SELECT id FROM pg_temp.job('i-1'));
SELECT nvent.maintain(100, 'q'), pg_temp.fetch('fifo'), pg_temp.done('i-2'), pg_temp.fetch('fifo'), count(*) FROM pg_temp.stray();
SELECT nvent.queue_blocked('singleton'), nvent.queue_blocked('fifo');
SELECT nvent.queue_blocked('none');
UPDATE q_queues SET retry_limit = 2 WHERE name = 'fifo';

-- Of each state one: what is sent is refused, what fails may be the second.
SELECT pg_temp.send('stately', 's-1', 's-2', 't-1', '-3', '-4');
SELECT pg_temp.fetch('stately'), pg_temp.send('stately', 's-2', 's-3'), pg_temp.fetch('stately');
SELECT pg_temp.fail('s-1'), pg_temp.states('stately');
SELECT nvent.queue_send('stately', '"s-5"', 5, key => 's') IS NULL AS refused;
SELECT nvent.queue_delete(queue, id) FROM pg_temp.job('s-2');
SELECT nvent.queue_send('stately', '"s-5"', 5, key => 's') > 0 AS sent;
SELECT pg_temp.fetch('stately'), pg_temp.states('stately');
\set VERBOSITY sqlstate
SELECT nvent.queue_release(queue, id, attempt) FROM pg_temp.job('s-5');
\set VERBOSITY terse
SELECT pg_temp.fail('s-5'), pg_temp.states('stately');
SELECT nvent.queue_retry(queue, id) FROM pg_temp.job('s-5');
SELECT pg_temp.fetch('stately'), pg_temp.done('s-1'), nvent.queue_retry(queue, id), nvent.queue_retry(queue, id) FROM pg_temp.job('s-5');
SELECT pg_temp.fetch('stately'), pg_temp.done('s-5', 't-1', '-3'), count(*) FROM pg_temp.stray();
SELECT count(*) FROM q_job_keys;

-- Whatever ends a run or a job lets the next one go, in which order it comes.
CREATE FUNCTION pg_temp.ends(queue text, how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    j bigint := nvent.queue_send($1, '"x-1"', key => 'x', retry_limit => CASE how WHEN 'retry' THEN 1 ELSE 0 END, lease => CASE how WHEN 'expired' THEN interval '1 us' END);
    got text := pg_temp.fetch($1);
BEGIN
    PERFORM nvent.queue_send($1, '"x-2"', key => 'x');
    IF got <> 'x-1/1' OR how <> 'expired' AND pg_temp.fetch($1) <> 'nothing' THEN
        RAISE EXCEPTION 'fetched %', got;
    END IF;
    PERFORM pg_temp.settle($1, j, how);
    got := pg_temp.fetch($1);
    IF EXISTS (SELECT FROM pg_temp.stray()) THEN
        RAISE EXCEPTION 'stray places: %', (SELECT string_agg(s, ', ') FROM pg_temp.stray() s);
    END IF;
    PERFORM nvent.queue_delete($1, i) FROM (SELECT x.id FROM q_jobs x WHERE key = 'x' ORDER BY x.id) i (i);
    RETURN got;
END $$;
SELECT h AS how, pg_temp.ends('singleton', h) AS singleton, pg_temp.ends('stately', h) AS stately, pg_temp.ends('fifo', h) AS fifo
FROM unnest('{completed,completed many,worked,failed,retry,released,expired,cancelled,deleted}'::text[]) h;
SELECT nvent.queue_fetch('singleton'), nvent.queue_fetch('stately'), nvent.queue_fetch('fifo');
SELECT count(*) FROM q_job_lanes;

-- Waiting behind what goes: a turn that was made due, and is cancelled, deleted,
-- purged or kept for too long before anybody fetches it.
CREATE FUNCTION pg_temp.waits(queue text, how text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.send($1, 'u-1', 'w-1', 'u-2', 'w-2', 'w-3'), pg_temp.fetch($1), pg_temp.done('u-1', 'w-1');
    IF pg_temp.fetch($1, 1) <> 'u-2/1' OR (SELECT string_agg(lane, ' ') FROM q_job_turns WHERE due_at IS NULL) <> 'kw' THEN
        RAISE EXCEPTION 'none is due';
    END IF;
    CASE how
        WHEN 'cancelled' THEN PERFORM nvent.queue_cancel(j.queue, j.id) FROM pg_temp.job('w-2') j;
        WHEN 'deleted' THEN PERFORM nvent.queue_delete(j.queue, j.id) FROM pg_temp.job('w-2') j;
        WHEN 'purged' THEN PERFORM nvent.queue_purge($1), pg_temp.send($1, 'w-3');
        WHEN 'kept' THEN
            UPDATE q_jobs SET created_at = created_at - interval '1 year' WHERE id <= (SELECT j.id FROM pg_temp.job('w-2') j);
            PERFORM nvent.maintain(100, 'q');
    END CASE;
    RETURN pg_temp.fetch($1) || CASE WHEN pg_temp.done('w-3', 'u-2') THEN '' ELSE ' lost' END
        || (SELECT coalesce(string_agg(nvent.queue_delete($1, i)::text, ''), '') FROM (SELECT x.id FROM q_jobs x WHERE key IN ('w', 'u') ORDER BY x.id) i (i));
END $$;
SELECT h AS how, pg_temp.waits('singleton', h) AS singleton, pg_temp.waits('fifo', h) AS fifo FROM unnest('{cancelled,deleted,purged,kept}'::text[]) h;
SELECT count(*) FROM pg_temp.stray();

-- What is rolled back took no place, and had nobody wait.
SELECT pg_temp.send('singleton', 'r-1', 'r-2');
BEGIN;
SELECT pg_temp.fetch('singleton');
SAVEPOINT s;
SELECT pg_temp.done('r-1'), pg_temp.fetch('singleton');
ROLLBACK TO s;
SELECT pg_temp.fetch('singleton');
ROLLBACK;
SELECT pg_temp.fetch('singleton'), pg_temp.done('r-1'), pg_temp.fetch('singleton'), pg_temp.done('r-2');

-- A deep backlog of one key: it is stepped over once, and neither it nor those
-- behind it are lost.
SELECT count(*) FROM nvent.queue_send_batch('fifo', array_fill('{"key": "deep"}'::jsonb, ARRAY[3000]));
SELECT pg_temp.send('fifo', 'l-1');
SELECT nvent.queue_fetch('fifo', 5) IS NOT NULL AS fetched;
CALL pg_temp.fetch_until('fifo', 5, 'l-1/1');
SELECT pg_temp.states('fifo') LIKE '%l-1 active' AS found, count(*) FROM q_job_turns;
SELECT pg_temp.send('fifo', 'l-2'), pg_temp.done('l-1'), pg_temp.fetch('fifo', 5);
SELECT nvent.queue_complete('fifo', id, 1) FROM q_job_lanes WHERE lane = 'kdeep' AND held;
SELECT attempt FROM nvent.queue_fetch('fifo', 5);
SELECT nvent.queue_purge('fifo');

-- Dead letters are put in whatever there is, and wait for one another.
SELECT nvent.queue_create('e', retry_limit => 0, dead_letter => 'singleton');
SELECT pg_temp.send('e', 'z-1', 'z-2', 'z-3'), pg_temp.fetch('e'), pg_temp.fail('z-1', 'z-2', 'z-3'), pg_temp.fetch('singleton');
SELECT key, state FROM nvent.queue_find('singleton', 'z');
-- More keys than one fetch takes places for: each has one active job and one that is
-- tried again, however many fail at once, by whom or by time, and what has no room to
-- be tried again fails for good, and goes to its dead letter queue.
SELECT nvent.queue_create('many', 'stately', retry_limit => 1, dead_letter => 'e');
CREATE FUNCTION pg_temp.many(OUT queued bigint, OUT active bigint, OUT failed bigint, OUT dead bigint, OUT most bigint) LANGUAGE sql AS $$
    SELECT ready + deferred + retry + blocked, active, failed, (SELECT depth FROM nvent.queue_stats('e')), (SELECT max(n) FROM (SELECT count(*) AS n FROM q_job_runs r JOIN q_jobs j USING (queue, priority, id) WHERE r.outcome IS NULL GROUP BY j.queue, j.key) k)
    FROM nvent.queue_stats('many')
$$;
CREATE FUNCTION pg_temp.take() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM nvent.queue_fetch('many', 1000) $$;
CREATE FUNCTION pg_temp.end_many() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM nvent.queue_work('many', failed => (SELECT jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt)) FROM q_job_runs WHERE outcome IS NULL AND queue = (SELECT number FROM q_queues WHERE name = 'many')), max_count => 0)
$$;
SELECT count(nvent.queue_send('many', to_jsonb(i), key => 'k' || i)) FROM generate_series(1, 700) i;
SELECT pg_temp.take();
SELECT pg_temp.take();
SELECT count(nvent.queue_send('many', to_jsonb(i), key => 'k' || i)), count(nvent.queue_send('many', to_jsonb(i), key => 'k' || i)) FROM generate_series(1, 700) i;
SELECT * FROM pg_temp.many();
SELECT pg_temp.take();
-- All fail, in one call; their turns and the new ones take turns.
SELECT pg_temp.end_many();
SELECT * FROM pg_temp.many();
SELECT pg_temp.take() + pg_temp.take();
SELECT * FROM pg_temp.many();
-- All leases run out.
UPDATE q_job_runs SET lease_until = clock_timestamp() WHERE outcome IS NULL;
SELECT sum(pg_temp.take()) > 0 AS fetched FROM generate_series(1, 5);
SELECT queued + active + failed AS all, active <= 700 AS room, failed = dead AS buried, most FROM pg_temp.many();
-- What can be fetched is, until nothing is left.
CREATE PROCEDURE pg_temp.finish() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 20 LOOP
        PERFORM pg_temp.take(), pg_temp.end_many();
        COMMIT;
    END LOOP;
END $$;
CALL pg_temp.finish();
SELECT * FROM pg_temp.many();
-- Retried, they wait for one another; redriven, they go where they were.
SELECT count(*) FROM nvent.queue_retry_many('many', (SELECT array_agg(id) FROM nvent.queue_find('many', states => '{failed}', max_count => 2000)));
SELECT count(*) FROM nvent.queue_redrive('e', 600);
SELECT * FROM pg_temp.many();
SELECT pg_temp.take() + pg_temp.take();
SELECT most FROM pg_temp.many();
SELECT nvent.queue_drop(name) FROM (SELECT name FROM q_queues ORDER BY name) q;
SELECT count(*) FROM q_job_lanes;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
