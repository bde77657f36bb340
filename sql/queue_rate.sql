-- Rates: so many jobs of a queue, or of a group, begin in a time.  An hour is over
-- here when passed() says so.
--
-- Seen to fail: with places of rates given back where a run ends or a job is
-- deleted, in "Of a queue" and "Of groups"; with places left that are free too late,
-- in "A limit and an interval"; where a job takes a place in its group for the
-- second time, or keeps those that it has when it is changed, in "All at once".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_named.sql'
\i :helpers
-- Time passes for the places of rates: how many there are, and when they are free.
CREATE FUNCTION pg_temp.passed(span interval) RETURNS bigint LANGUAGE sql AS $$
    WITH u AS (UPDATE q_job_lanes SET free_at = free_at - span WHERE free_at IS NOT NULL AND held RETURNING 1) SELECT count(*) FROM u
$$;
CREATE VIEW pg_temp.places AS
    SELECT q.name AS queue, l.lane, count(*), max(l.free_at) <= clock_timestamp() + '1 hour' AS soon, count(DISTINCT l.place) AS places
    FROM q_job_lanes l JOIN q_queues q ON q.number = l.queue WHERE l.free_at IS NOT NULL AND l.held GROUP BY 1, 2 ORDER BY 1, 2;

-- What makes no sense.
SELECT c, pg_temp.answer('nvent.queue_create(''bad'', ' || c || ')') FROM unnest('{rate_limit => 1,"rate_interval => ''1 s''","rate_limit => 0, rate_interval => ''1 s''","rate_limit => 10001, rate_interval => ''1 s''",
    "rate_limit => 1, rate_interval => ''0''","rate_limit => 1, rate_interval => ''-1 s''","rate_limit => 1, rate_interval => ''101 years''",group_rate_limit => 1,"group_rate_limit => 0, group_rate_interval => ''1 s''"}'::text[]) c;
INSERT INTO q_queues (name, rate_limit) VALUES ('bad', 1);
INSERT INTO q_queues (name, rate_limit, rate_interval) VALUES ('bad', 1, '0');

-- Of a queue: whatever becomes of what has begun, and whoever fetches.
SELECT nvent.queue_create('r', retry_limit => 0, rate_limit => 3, rate_interval => '1 hour');
SELECT pg_temp.send('r', 'a-1', 'a-2', 'a-3', 'a-4', 'a-5', 'a-6', 'a-7'), pg_temp.fetch('r', 2), pg_temp.fetch('r', 2), pg_temp.fetch('r', 2);
SELECT * FROM pg_temp.places;
SELECT pg_temp.done('a-1'), pg_temp.fail('a-2'), nvent.queue_delete(queue, id), pg_temp.fetch('r') FROM pg_temp.job('a-3');
SELECT pg_temp.passed('59 minutes'), pg_temp.fetch('r'), pg_temp.passed('1 minute'), pg_temp.fetch('r', 1), pg_temp.fetch('r');
SELECT pg_temp.fetch('r'), pg_temp.passed('30 minutes'), pg_temp.fetch('r');
-- What is not used is not saved up; what is rolled back was not used.
SELECT pg_temp.passed('10 hours'), pg_temp.send('r', 'a-8', 'a-9');
BEGIN;
SELECT pg_temp.fetch('r');
ROLLBACK;
SELECT pg_temp.fetch('r'), pg_temp.fetch('r');
-- The highest priority goes first, also of what comes later.
SELECT pg_temp.send('r', 'a-0'), nvent.queue_send('r', '"high"', 5) IS NOT NULL AS sent, pg_temp.fetch('r'), pg_temp.passed('1 hour'), pg_temp.fetch('r');
SELECT * FROM pg_temp.places;
-- Of one session in one transaction, by each of the calls that fetch.
SELECT pg_temp.passed('1 hour'), pg_temp.send('r', 'a-10', 'a-11', 'a-12', 'a-13');
BEGIN;
SELECT pg_temp.fetch('r', 1), (SELECT count(*) FROM nvent.queue_work('r', max_count => 1)), pg_temp.fetch('r'), pg_temp.fetch('r');
COMMIT;
SELECT pg_temp.passed('1 hour');
CALL nvent.queue_await('r', '1 minute');
SELECT pg_temp.fetch('r');
SELECT pg_temp.fetch('r') FROM generate_series(1, 3);

-- A limit and an interval that change, and a clock that was set back.
SELECT pg_temp.passed('1 hour'), pg_temp.send('r', 'b-1', 'b-2', 'b-3', 'b-4', 'b-5', 'b-6', 'b-7', 'b-8', 'b-9'), pg_temp.fetch('r');
UPDATE q_queues SET rate_limit = 4 WHERE name = 'r';
SELECT pg_temp.fetch('r'), pg_temp.passed('1 hour');
UPDATE q_queues SET rate_limit = 1 WHERE name = 'r';
SELECT pg_temp.fetch('r'), pg_temp.fetch('r');
SELECT pg_temp.passed('-10 hours') > 0 AS back, pg_temp.fetch('r');
SELECT * FROM pg_temp.places;
SELECT pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('r'), pg_temp.fetch('r');
UPDATE q_queues SET rate_interval = '1 second' WHERE name = 'r';
SELECT pg_temp.fetch('r'), pg_temp.passed('1 second') > 0 AS passed, pg_temp.fetch('r'), pg_temp.fetch('r');
UPDATE q_queues SET rate_limit = NULL WHERE name = 'r';
UPDATE q_queues SET rate_limit = NULL, rate_interval = NULL WHERE name = 'r';
SELECT pg_temp.fetch('r');

-- Who waits is woken when the next may begin, not before.
SELECT nvent.queue_create('w', rate_limit => 2, rate_interval => '300 ms'), nvent.queue_create('wg', group_rate_limit => 1, group_rate_interval => '300 ms');
SELECT pg_temp.send('w', 'w-1', 'w-2', 'w-3'), pg_temp.fetch('w', 1), pg_temp.fetch('w', 1), pg_temp.fetch('w', 1);
SELECT clock_timestamp() AS began \gset
CALL nvent.queue_await('w', '1 minute');
SELECT clock_timestamp() < :'began'::timestamptz + '7 s' AS in_time, pg_temp.fetch('w');
SELECT pg_temp.group('wg', 'A-1', 'A-2'), pg_temp.fetch('wg'), pg_temp.fetch('wg');
SELECT clock_timestamp() AS began \gset
CALL nvent.queue_work_await('wg', max_count => 1, timeout => '1 minute', jobs => NULL) \gset
SELECT clock_timestamp() < :'began'::timestamptz + '7 s' AS in_time, :'jobs'::jsonb -> 0 -> 'data' AS data;
SELECT q.name, r.started_at >= lag(r.started_at, CASE q.name WHEN 'w' THEN 2 ELSE 1 END) OVER (PARTITION BY q.name ORDER BY r.started_at) + '300 ms' AS later
FROM q_job_runs r JOIN q_queues q ON q.number = r.queue WHERE q.name IN ('w', 'wg') ORDER BY r.started_at;

-- Of groups: others go, and those without one; waiting is in order.
SELECT nvent.queue_create('g', retry_limit => 0, group_rate_limit => 2, group_rate_interval => '1 hour');
UPDATE q_queues SET group_rate_limit = 3 WHERE name = 'g';
UPDATE q_queues SET group_rate_limit = NULL, group_rate_interval = NULL WHERE name = 'g';
SELECT pg_temp.group('g', 'C-1', 'C-2', 'C-3', 'C-4', 'D-1', '-5', 'C-5', 'C-6', 'D-2', 'D-3'), pg_temp.fetch('g', 2), pg_temp.fetch('g', 2), pg_temp.fetch('g'), pg_temp.fetch('g');
SELECT * FROM pg_temp.places WHERE queue = 'g';
SELECT pg_temp.done('C-1', 'D-1'), pg_temp.fail('C-2'), nvent.queue_delete(queue, id), pg_temp.fetch('g') FROM pg_temp.job('D-2');
BEGIN;
SELECT pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('g');
ROLLBACK;
SELECT pg_temp.passed('59 minutes') > 0 AS passed, pg_temp.fetch('g'), pg_temp.passed('1 minute') > 0 AS passed, pg_temp.fetch('g', 1), pg_temp.fetch('g');
SELECT pg_temp.fetch('g'), nvent.queue_cancel(queue, id), pg_temp.fetch('g') FROM pg_temp.job('C-5');
SELECT pg_temp.group('g', 'C-7', 'D-4', 'D-5'), pg_temp.fetch('g');
SELECT count(*) FROM pg_temp.job('C-7') j, nvent.queue_update('g', j.id, group_name => 'E');
SELECT pg_temp.fetch('g'), pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('g'), pg_temp.fetch('g');
SELECT pg_temp.fetch('g'), pg_temp.passed('-10 hours') > 0 AS back, pg_temp.fetch('g');
SELECT * FROM pg_temp.places WHERE queue = 'g';
SELECT pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('g'), pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('g');
SELECT pg_temp.states('g'), (SELECT count(*) FROM q_job_turns t JOIN q_queues q ON q.number = t.queue WHERE q.name = 'g') AS turns, count(*) FROM pg_temp.stray();

-- What has ended and is deleted, by maintenance, has begun.
SELECT nvent.queue_create('brief', keep_ended => '1 hour', group_limit => 1, group_rate_limit => 2, group_rate_interval => '1 hour');
SELECT pg_temp.group('brief', 'S-1', 'S-2', 'S-3'), pg_temp.fetch('brief'), pg_temp.done('S-1'), pg_temp.fetch('brief'), pg_temp.done('S-2'), pg_temp.fetch('brief');
UPDATE q_job_runs r SET lease_until = r.lease_until - interval '1 day', ended_at = r.ended_at - interval '1 day' FROM pg_temp.job('S-1') j WHERE j.id = r.id;
SELECT nvent.maintain(100, 'q'), pg_temp.fetch('brief'), (SELECT count(*) FROM pg_temp.job('S-1')) AS left;

-- All at once: keys, places in groups and rates; who waits for a rate keeps the
-- rest, and gives it back when he is given up.
SELECT nvent.queue_create('all', 'singleton', rate_limit => 100, rate_interval => '1 hour', group_limit => 2, group_rate_limit => 3, group_rate_interval => '1 hour');
SELECT pg_temp.group('all', 'F-k', 'F-l', 'F-m', 'F-n', 'F-o', 'G-k', 'G-k', '-p'), pg_temp.fetch('all'), pg_temp.fetch('all');
SELECT pg_temp.done('F-k'), pg_temp.fetch('all'), pg_temp.done('F-l', 'F-m'), pg_temp.fetch('all');
SELECT l.lane, j.data, l.free_at IS NOT NULL AS of_rate FROM q_job_lanes l JOIN q_queues q ON q.number = l.queue JOIN q_jobs j ON j.id = l.id WHERE q.name = 'all' AND l.held AND l.lane <> 'r' ORDER BY l.lane, j.id;
SELECT nvent.queue_cancel(queue, id), pg_temp.fetch('all') FROM pg_temp.job('F-n');
SELECT pg_temp.group('all', 'F-v'), pg_temp.fetch('all'), pg_temp.passed('1 hour') > 0 AS passed, pg_temp.fetch('all'), pg_temp.fetch('all');
SELECT l.lane, j.data, l.free_at IS NOT NULL AS of_rate FROM q_job_lanes l JOIN q_queues q ON q.number = l.queue JOIN q_jobs j ON j.id = l.id WHERE q.name = 'all' AND l.held AND l.lane <> 'r' ORDER BY l.lane, j.id;
SELECT pg_temp.done('F-o', 'F-v'), pg_temp.group('all', 'F-q', 'F-r', 'F-s'), pg_temp.fetch('all'), pg_temp.fetch('all');
SELECT count(*) FROM pg_temp.job('F-r') j, nvent.queue_update('all', j.id, start_after => '1 hour');
SELECT count(*) FROM pg_temp.job('F-s') j, nvent.queue_update('all', j.id, group_name => 'Z');
SELECT l.lane, j.data, l.free_at IS NOT NULL AS of_rate FROM q_job_lanes l JOIN q_queues q ON q.number = l.queue JOIN q_jobs j ON j.id = l.id WHERE q.name = 'all' AND l.held AND l.lane <> 'r' ORDER BY l.lane, j.id;
SELECT pg_temp.fetch('all');

-- Who is not shown what others have taken takes no more for that.
CREATE ROLE regress_nvs_blind;
SELECT nvent.store_grant('regress_nvs_blind', 'write');
ALTER TABLE q_job_lanes ENABLE ROW LEVEL SECURITY;
CREATE POLICY blind ON q_job_lanes USING (false) WITH CHECK (true);
SELECT nvent.queue_create('policy', rate_limit => 1, rate_interval => '1 hour'), nvent.queue_create('gpolicy', group_limit => 1);
SELECT pg_temp.send('policy', 'p-1', 'p-2'), pg_temp.fetch('policy'), pg_temp.group('gpolicy', 'P-1', 'P-2'), pg_temp.fetch('gpolicy');
SET ROLE regress_nvs_blind;
SELECT pg_temp.answer('count(*) FROM nvent.queue_fetch(''policy'')'), pg_temp.answer('count(*) FROM nvent.queue_fetch(''gpolicy'')');
RESET ROLE;
DROP POLICY blind ON q_job_lanes;
ALTER TABLE q_job_lanes DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_nvs_blind;
DROP ROLE regress_nvs_blind;

-- A group that is far beyond its rate is stepped over once.
SELECT count(*) FROM nvent.queue_send_batch('g', array_fill('{"data": "deep", "group": "H"}'::jsonb, ARRAY[3000]));
SELECT pg_temp.group('g', 'I-1');
CALL pg_temp.fetch_until('g', 5, 'I-1/1');
SELECT state FROM pg_temp.job('I-1') j, nvent.queue_get('g', j.id);

SELECT nvent.queue_drop(name) FROM (SELECT name FROM q_queues ORDER BY name) q;
SELECT count(*) FROM q_job_lanes;
DROP VIEW pg_temp.places;
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
