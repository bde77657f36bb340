-- Watching queues: how many jobs are where, by what is known and by counting
-- them one by one; who works on what.
--
-- 074_queue_stats.pl shows the same where numbers are known, and is not counted.
--
-- Seen to fail: "resumed" when the run of a job that was cancelled stays so.
SET client_min_messages = warning;
SELECT nvent.store_create('q');
SET nvent_store.default_store = 'q';

-- What queue_stats says, and what queue_get says of all jobs.
CREATE FUNCTION pg_temp.stats(name text) RETURNS text LANGUAGE sql AS
    $$SELECT concat_ws(' ', s.depth, s.ready, s.deferred, s.retry, s.blocked, s.waiting, s.active, s.completed, s.failed, s.cancelled) FROM nvent.queue_stats(name) s$$;
CREATE FUNCTION pg_temp.counted(name text) RETURNS text LANGUAGE sql AS $$
    WITH g AS (
        SELECT g.state, g.start_at > clock_timestamp() AS later, t.lane IS NOT NULL AND t.due_at = 'infinity' AS blocked
        FROM q_jobs j JOIN q_queues q ON q.number = j.queue AND q.name = $1
        LEFT JOIN q_job_turns t ON t.id = j.id, nvent.queue_get(name, j.id) g
    ), n AS (
        SELECT count(*) FILTER (WHERE state IN ('created', 'retry', 'waiting')) AS depth,
            count(*) FILTER (WHERE state IN ('created', 'retry') AND later IS NOT TRUE AND blocked IS NOT TRUE) AS ready,
            count(*) FILTER (WHERE state = 'created' AND later) AS deferred,
            count(*) FILTER (WHERE state = 'retry' AND later) AS retry,
            count(*) FILTER (WHERE state IN ('created', 'retry') AND blocked) AS blocked,
            count(*) FILTER (WHERE state = 'waiting') AS waiting,
            count(*) FILTER (WHERE state = 'active') AS active,
            count(*) FILTER (WHERE state = 'completed') AS completed,
            count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state = 'cancelled') AS cancelled
        FROM g)
    SELECT concat_ws(' ', n.depth, n.ready, n.deferred, n.retry, n.blocked, n.waiting, n.active, n.completed, n.failed, n.cancelled) FROM n $$;
-- Both, with a mark where they differ.
CREATE FUNCTION pg_temp.see(name text) RETURNS text LANGUAGE sql AS
    $$SELECT s || CASE WHEN s <> c THEN ' but ' || c ELSE '' END FROM pg_temp.stats(name) s, pg_temp.counted(name) c$$;

SELECT nvent.queue_create('e', retry_limit => 1), nvent.queue_create('dead');
SELECT * FROM nvent.queue_stats('e');
SELECT * FROM nvent.queue_stats('none');
SELECT * FROM nvent.queue_stats('e', 'none');

-- Each step of jobs' lives.
SELECT nvent.queue_send('e') AS a, nvent.queue_send('e', start_after => '1 hour') AS c, nvent.queue_send('e', start_at => '2000-01-01', priority => 3) AS d \gset
SELECT pg_temp.see('e') AS "three are sent, one of them deferred";
SELECT count(*) FROM nvent.queue_send_batch('e', array_fill('{}'::jsonb, ARRAY[5]) || '{"startAfter": 3600}'::jsonb);
SELECT pg_temp.see('e') AS "and six";
SELECT count(*) FROM nvent.queue_fetch('e', 20);
SELECT pg_temp.see('e') AS "all are fetched that can be";
SELECT nvent.queue_complete('e', :a, 1), nvent.queue_release('e', :d, 1, '1 hour');
SELECT pg_temp.see('e') AS "completed, given back";
SELECT nvent.queue_cancel('e', :c), nvent.queue_cancel('e', :d), nvent.queue_touch('e', max(id), 1) IS NOT NULL AS touched FROM nvent.queue_active('e');
SELECT pg_temp.see('e') AS "two are cancelled that wait";
SELECT nvent.queue_resume('e', :c), nvent.queue_release('e', max(id), 1), nvent.queue_cancel('e', min(id)) FROM nvent.queue_active('e');
SELECT pg_temp.see('e') AS "resumed, given back at once, cancelled while it ran";
SELECT nvent.queue_delete('e', :a), nvent.queue_delete('e', :d);
SELECT pg_temp.see('e') AS "two are deleted";

SELECT nvent.queue_create('f', retry_limit => 1), nvent.queue_send('f') AS b \gset
SELECT nvent.queue_fail('f', id, attempt) FROM nvent.queue_fetch('f');
SELECT pg_temp.see('f') AS "failed";
SELECT nvent.queue_fail('f', id, attempt) FROM nvent.queue_fetch('f');
SELECT pg_temp.see('f') AS "failed for good";
SELECT nvent.queue_retry('f', :b);
SELECT pg_temp.see('f') AS "retried";
SELECT nvent.queue_cancel('f', :b), nvent.queue_resume('f', :b);
SELECT pg_temp.see('f') AS "cancelled and resumed";
SELECT count(*) FROM nvent.queue_fetch('f');
SELECT attempt, outcome FROM nvent.queue_runs('f', :b);
SELECT nvent.queue_cancel('f', :b);
SELECT pg_temp.see('f') AS "cancelled";
SELECT nvent.queue_create('lapses', lease => '1 ms', retry_limit => 0, dead_letter => 'dead'), nvent.queue_send('lapses') > 0 AS sent;
SELECT count(*) FROM nvent.queue_fetch('lapses');
SELECT pg_sleep(0.002);
SELECT count(*) FROM nvent.queue_fetch('lapses');
SELECT failed, active FROM nvent.queue_stats('lapses');
SELECT ready FROM nvent.queue_stats('dead');
SELECT count(*) AS redriven FROM nvent.queue_redrive('dead', 10);
SELECT queue, depth, active, failed FROM nvent.queue_stats() WHERE queue <> 'e';
SELECT count(*) FROM nvent.queue_complete_many('e', (SELECT array_agg(id) FROM nvent.queue_active('e')), (SELECT array_agg(attempt) FROM nvent.queue_active('e')));
SELECT pg_temp.see('e') AS "all are completed";
SELECT nvent.queue_purge('e');
SELECT pg_temp.see('e') AS "purged";

-- Jobs behind others of their keys.
SELECT nvent.queue_create('one', policy => 'singleton', retry_limit => 1);
SELECT count(nvent.queue_send('one', key => 'k')) FROM generate_series(1, 3);
SELECT id AS a FROM nvent.queue_fetch('one', 3) \gset
SELECT pg_temp.see('one') AS "blocked";
SELECT nvent.queue_fail('one', :a, 1);
SELECT id AS b FROM nvent.queue_fetch('one', 3) \gset
SELECT pg_temp.see('one') AS "the next one is fetched";
SELECT nvent.queue_complete('one', :b, attempt) FROM nvent.queue_active('one');
SELECT count(*) FROM nvent.queue_fetch('one', 3);
SELECT pg_temp.see('one') AS "and the next";
SELECT nvent.queue_cancel('one', id) FROM q_job_turns t WHERE t.lane IS NOT NULL AND t.due_at = 'infinity' ORDER BY id;
SELECT pg_temp.see('one') AS "cancelled";

-- Flows.
SELECT nvent.queue_create('flow', retry_limit => 0);
SELECT ids[1] AS a, ids[2] AS b FROM (SELECT array_agg(id ORDER BY id) AS ids FROM nvent.queue_flow(ARRAY['{"name": "a", "queue": "flow"}', '{"name": "b", "queue": "flow", "after": "a"}', '{"queue": "flow", "after": "b"}', '{"queue": "flow", "after": "a", "onFailure": "cancel"}']::jsonb[]) id) f \gset
SELECT pg_temp.see('flow') AS "children wait";
SELECT nvent.queue_complete('flow', id, attempt) FROM nvent.queue_fetch('flow');
SELECT pg_temp.see('flow') AS "two of them go on";
SELECT nvent.queue_cancel('flow', :b);
SELECT pg_temp.see('flow') AS "one was cancelled, and its child";
SELECT nvent.queue_resume('flow', :b);
SELECT nvent.queue_fail('flow', id, attempt) FROM nvent.queue_fetch('flow', 5);
SELECT pg_temp.see('flow') AS "failed";
SELECT nvent.queue_retry('flow', :b);
SELECT pg_temp.see('flow') AS "retried once more";

-- Jobs that are changed.
SELECT nvent.queue_create('u'), nvent.queue_send('u') AS a, nvent.queue_send('u', start_after => '1 hour') AS b \gset
SELECT nvent.queue_update('u', :a, start_after => '1 hour') = :a AS later, nvent.queue_update('u', :b, start_after => '0', priority => 3) = :b AS now;
SELECT pg_temp.see('u') AS "one is deferred now, the other is not";
SELECT nvent.queue_update('u', :a, priority => 7) = :a AS changed;
SELECT pg_temp.see('u') AS "as before";

-- Of a transaction its own changes, until they are rolled back.
BEGIN;
SELECT nvent.queue_send('e') > 0 AS sent;
SAVEPOINT s;
SELECT count(*) FROM nvent.queue_send_batch('e', array_fill('{}'::jsonb, ARRAY[5]));
SELECT pg_temp.see('e') AS "six more";
ROLLBACK TO s;
SELECT pg_temp.see('e') AS "one more";
SAVEPOINT t;
SELECT count(*) FROM nvent.queue_fetch('e', 1);
RELEASE t;
COMMIT;
SELECT pg_temp.see('e') AS "one was sent and fetched";
BEGIN;
SELECT nvent.queue_send('e') > 0 AS sent;
ROLLBACK;
SELECT pg_temp.see('e') AS "nothing";

-- While the snapshot is kept, that.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT nvent.queue_send('e') > 0 AS sent;
SELECT pg_temp.see('e') AS "its own";
ROLLBACK;

-- By hand; and where nothing is told.
WITH c AS (SELECT id FROM q_job_runs WHERE outcome = 'completed'), r AS (DELETE FROM q_job_runs r USING c WHERE r.id = c.id)
DELETE FROM q_jobs j USING c WHERE j.id = c.id;
SELECT pg_temp.see('e') AS "without what was completed";
UPDATE q_jobs SET queue = (SELECT number FROM q_queues WHERE name = 'u') WHERE queue = (SELECT number FROM q_queues WHERE name = 'f');
UPDATE q_job_runs SET queue = (SELECT number FROM q_queues WHERE name = 'u') WHERE queue = (SELECT number FROM q_queues WHERE name = 'f');
SELECT pg_temp.see('f') AS "empty", pg_temp.see('u') AS "in its place";
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO q_jobs (queue) SELECT number FROM q_queues WHERE name = 'u';
SELECT pg_temp.see('u') AS "while triggers are off";
COMMIT;
SELECT pg_temp.see('u') AS "later";
BEGIN;
TRUNCATE q_jobs, q_job_runs, q_job_turns, q_job_waits, q_job_lanes;
SELECT pg_temp.see('e') AS "being emptied";
COMMIT;
SELECT pg_temp.see('e') AS "emptied";

-- The trigger by itself, and with a table that is none of these.
SELECT nvent.queue_counted();
CREATE TABLE other (id bigint, attempt int, queue int, outcome int);
CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION nvent.queue_counted();
CREATE TRIGGER s BEFORE DELETE ON other FOR EACH ROW EXECUTE FUNCTION nvent.queue_counted();
INSERT INTO other VALUES (1, 1, 1, 1);
DELETE FROM other;
DROP TABLE other;

-- What is kept for no time, or has been for long enough.
UPDATE q_queues SET keep_ended = '0' WHERE name = 'e';
SELECT count(*) FROM nvent.queue_send_batch('e', array_fill('{}'::jsonb, ARRAY[4]));
SELECT count(nvent.queue_complete('e', f.id, f.attempt)) FROM nvent.queue_fetch('e', 2) f;
SELECT pg_temp.see('e') AS "two are left";
UPDATE q_queues SET keep_queued = '0' WHERE name = 'e';
SELECT nvent.maintain(store => 'q');
SELECT pg_temp.see('e') AS "none is left";

-- Who works on what.
SELECT nvent.queue_send('dead', '1', lease => '1 hour') AS a, nvent.queue_send('dead', '2', lease => '1 min') AS b \gset
SELECT count(*) FROM nvent.queue_fetch('dead', 1, 'ada');
SELECT count(*) FROM nvent.queue_fetch('dead', 1, 'bob');
SELECT id = :a AS first, attempt, worker, lease_until > started_at AS leased, age >= '0' AS has_age FROM nvent.queue_active('dead');
SELECT nvent.queue_complete('dead', :b, 1);
SELECT worker FROM nvent.queue_active('dead');
SELECT * FROM nvent.queue_active('none');

-- The oldest that is ready, of several priorities; times of runs.
SELECT oldest_age IS NULL AS none FROM nvent.queue_stats('dead');
BEGIN;
SELECT nvent.queue_send('dead', start_at => '-infinity') > 0 AS sent;
SELECT oldest_age IS NULL AS unknown FROM nvent.queue_stats('dead');
ROLLBACK;
SELECT nvent.queue_send('dead') > 0 AS sent;
UPDATE q_jobs SET created_at = created_at - interval '1 hour' WHERE id > :b;
SELECT nvent.queue_send('dead', priority => 5) > 0 AS sent, nvent.queue_send('dead', start_after => '1 hour') > 0 AS later;
SELECT oldest_age BETWEEN '1 hour' AND '2 hours' AS oldest FROM nvent.queue_stats('dead');
UPDATE q_job_runs SET started_at = ended_at - interval '3 s' WHERE outcome = 'completed';
UPDATE q_jobs j SET created_at = r.started_at - interval '7 s' FROM q_job_runs r WHERE r.id = j.id;
SELECT wait_p50, wait_p99, run_p50, run_p99 FROM nvent.queue_stats('dead');

-- All of a store; nothing of another one.
SELECT queue, depth, active, completed FROM nvent.queue_stats();
SELECT nvent.store_create('q2'), nvent.queue_create('other', store => 'q2');
SELECT queue, depth FROM nvent.queue_stats(store => 'q2');
SELECT nvent.queue_drop('e');
SELECT queue FROM nvent.queue_stats();
SELECT count(*) FROM nvent.queue_stats(NULL, 'q2') WHERE depth > 0;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped, nvent.store_migrate('q2', 0) > 0 AS dropped_too;
