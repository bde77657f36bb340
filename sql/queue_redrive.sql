-- Dead letters: what they tell, and how they are put back where they came from.
--
-- Seen to fail: without the deletion, "Put back"; with the newest first, the
-- same; with options that the dead letter does not keep, "As it was sent"; with
-- dead letters deleted that were refused, "One that stays"; with nothing asked of
-- those that others have begun, in queue_redrive_race.spec; with the memory context that SPI
-- leaves behind, "read again" (an error or a crash).
SET client_min_messages = warning;
SELECT nvent.store_create('q');
SET nvent_store.default_store = 'q';
\set VERBOSITY terse
SELECT nvent.queue_create('dead'), nvent.queue_create('a', retry_limit => 0, dead_letter => 'dead'),
    nvent.queue_create('b', 'exclusive', retry_limit => 0, dead_letter => 'dead');
-- Send a job and have it fail.
CREATE FUNCTION pg_temp.die(queue text, VARIADIC what text[]) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(what) LOOP
        PERFORM nvent.queue_send(queue, to_jsonb(what[i]), key => what[i]);
        PERFORM nvent.queue_fail(queue, f.id, f.attempt, to_jsonb('no ' || what[i])) FROM nvent.queue_fetch(queue) f;
    END LOOP;
    RETURN (SELECT count(*) FROM q_jobs WHERE origin IS NOT NULL);
END $$;
CREATE VIEW pg_temp.letters AS
    SELECT q.name AS queue, g.state, g.data, g.key, g.priority, g.origin #- '{id}' #- '{root,id}' #- '{createdAt}' AS origin
    FROM q_jobs j JOIN q_queues q ON q.number = j.queue, nvent.queue_get(q.name, j.id) g WHERE g.state <> 'failed' ORDER BY j.id;

-- What a dead letter tells.
SELECT pg_temp.die('a', 'a1', 'a2'), pg_temp.die('b', 'b1', 'b2'), pg_temp.die('a', 'a3');
SELECT * FROM pg_temp.letters;
SELECT d.origin ->> 'id' = j.id::text AS of_it, d.origin #>> '{root,id}' = j.id::text AS and_root, d.origin ->> 'createdAt' = floor(extract(epoch FROM j.created_at) * 1000)::text AS sent
FROM q_jobs j JOIN q_jobs d ON d.data = j.data WHERE d.origin IS NOT NULL AND j.origin IS NULL AND j.data = '"a1"';

-- A preview changes nothing.
SELECT source, attempts, error, target, job FROM nvent.queue_redrive('dead', preview => true);
SELECT source, error FROM nvent.queue_redrive('dead', 1, source => 'b', preview => true);
SELECT source, error, target FROM nvent.queue_redrive('dead', 1, target => 'b', preview => true);
SELECT count(*) FROM pg_temp.letters;

-- Put back: the oldest first, of one queue or of all; gone from where they were.
SELECT job, source_id < job AS later, source, error, target FROM nvent.queue_redrive('dead', 1, source => 'b') \gset
SELECT :'later' AS later, :'source' AS source, :'error' AS error, :'target' AS target;
SELECT state, data, key, attempt FROM nvent.queue_get('b', :job);
SELECT error FROM nvent.queue_redrive('dead', 2);
SELECT * FROM pg_temp.letters;
SELECT error, target FROM nvent.queue_redrive('dead', target => 'a');
SELECT * FROM nvent.queue_redrive('dead');
SELECT (SELECT count(*) FROM q_jobs j JOIN q_queues q ON q.number = j.queue WHERE q.name = 'dead') AS dead,
    (SELECT array_agg(data) FROM nvent.queue_fetch('a', 10)) AS a, (SELECT array_agg(data) FROM nvent.queue_fetch('b', 10)) AS b;

-- It fails again: the root is the job that was sent, and nothing else is.
SELECT nvent.queue_fail('a', g.id, g.attempt) FROM nvent.queue_find('a', 'a1') g WHERE state = 'active';
SELECT d.origin ->> 'id' = (SELECT max(id)::text FROM q_jobs WHERE data = '"a1"' AND origin ->> 'queue' IS NULL) AS of_that, d.origin #>> '{root,id}' = (SELECT min(id)::text FROM q_jobs WHERE data = '"a1"') AS of_the_first,
    d.origin -> 'error' AS error FROM q_jobs d WHERE origin ->> 'queue' IS NOT NULL;
SELECT nvent.queue_purge('dead');

-- As it was sent: whatever was said of it holds again, however intervals look.
SELECT nvent.queue_create('other');
SELECT nvent.queue_send('a', '{"n": 1}', 5, 'k', lease => '1 mon 1 min', max_run => '40 days', retry_limit => 0, retry_delay => '90 s', retry_backoff => true, retry_delay_max => '1 hour', dead_letter => 'other') > 0 AS sent;
SET intervalstyle = sql_standard;
SELECT nvent.queue_fail('a', id, attempt) FROM nvent.queue_fetch('a');
SET intervalstyle = postgres_verbose;
SELECT priority, key, origin -> 'options' AS options FROM nvent.queue_find('other', 'k');
UPDATE q_queues SET name = 'renamed' WHERE name = 'other';
SELECT source, source_id > 0 AS source_id, attempts, error, target, job > 0 AS job FROM nvent.queue_redrive('renamed');
RESET intervalstyle;
SELECT data, priority, key, lease, max_run, retry_limit, retry_delay, retry_backoff, retry_delay_max, dead_letter, due_at FROM q_jobs ORDER BY id DESC LIMIT 1;
SELECT nvent.queue_purge('a');

-- One that was given back or is to be tried again goes with its attempts, one
-- that is leased or has ended stays.
SELECT pg_temp.die('a', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6') > 0 AS died;
SELECT CASE data WHEN '"c1"' THEN nvent.queue_release('dead', id, attempt) WHEN '"c2"' THEN nvent.queue_release('dead', id, attempt, '1 hour')
    WHEN '"c3"' THEN nvent.queue_fail('dead', id, attempt) WHEN '"c4"' THEN nvent.queue_complete('dead', id, attempt) END FROM nvent.queue_fetch('dead', 5);
SELECT error, job > 0 AS job FROM nvent.queue_redrive('dead');
SELECT * FROM pg_temp.letters;
SELECT count(*) FROM q_job_turns;
SELECT count(*) FROM q_job_runs r WHERE NOT EXISTS (SELECT FROM q_jobs j WHERE j.id = r.id);
SELECT count(*) FROM nvent.queue_fetch('a', 10);
SELECT nvent.queue_complete('dead', id, attempt) FROM nvent.queue_find('dead', 'c5');

-- One that stays: its key is taken, or there is no queue.
SELECT pg_temp.die('b', 'd1', 'd2') > 0 AS died, nvent.queue_send('b', key => 'd1') > 0 AS sent;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT error, target, job FROM nvent.queue_redrive('dead', 1);
COMMIT;
SELECT error, target, job > 0 AS job FROM nvent.queue_redrive('dead');
SELECT data, state FROM nvent.queue_find('dead', 'd1');
SELECT nvent.queue_drop('b');
SELECT error, target, job FROM nvent.queue_redrive('dead');
SELECT error, target, job > 0 AS job FROM nvent.queue_redrive('dead', target => 'a');

-- Rolled back, nothing has moved; in a transaction whose snapshot is kept, too.
SELECT nvent.queue_purge('a'), pg_temp.die('a', 'e1') > 0 AS died;
BEGIN;
SELECT error FROM nvent.queue_redrive('dead');
SELECT error FROM nvent.queue_redrive('dead');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT error, job > 0 AS job FROM nvent.queue_redrive('dead');
COMMIT;
SELECT error FROM nvent.queue_redrive('dead');
SELECT data, attempt FROM nvent.queue_fetch('a', 10);

-- An exclusive queue of dead letters gives keys back with them.
SELECT nvent.queue_create('tomb', 'exclusive');
SELECT nvent.queue_send('tomb', key => 'f') > 0 AS sent;
UPDATE q_jobs SET origin = '{"queue": "a", "id": "1"}' WHERE key = 'f';
SELECT source, source_id, attempts, error, target FROM nvent.queue_redrive('tomb');
SELECT count(*) FROM q_job_keys;
SELECT nvent.queue_purge('a');

-- Many of them, with much to tell: all of it is there when the call returns.
SELECT count(pg_temp.die('a', VARIADIC ARRAY(SELECT repeat(n::text, 300) FROM generate_series(1, 200) n))) AS died;
SELECT count(*) AS letters, count(*) FILTER (WHERE error = to_jsonb('no ' || repeat(n::text, 300))) AS told
FROM nvent.queue_redrive('dead', 1000, preview => true) WITH ORDINALITY r (id, source, source_id, attempts, error, target, job, n);
-- So where the queues that they came from are read again in between.
UPDATE q_queues SET keep_ended = keep_ended;
SELECT count(*) AS letters, count(*) FILTER (WHERE error = to_jsonb('no ' || repeat(n::text, 300))) AS told
FROM nvent.queue_redrive('dead', 1000, preview => true) WITH ORDINALITY r (id, source, source_id, attempts, error, target, job, n);
SELECT nvent.queue_purge('dead');

-- What is refused.
SELECT nvent.queue_redrive(NULL);
SELECT nvent.queue_redrive('dead', NULL);
SELECT nvent.queue_redrive('dead', preview => NULL);
SELECT nvent.queue_redrive('dead', -1);
SELECT nvent.queue_redrive('dead', 100001);
SELECT nvent.queue_redrive('none');
SELECT nvent.queue_redrive('dead', target => 'none');
SELECT nvent.queue_redrive('dead', target => 'dead');
SELECT count(*) FROM nvent.queue_redrive('dead', 0);
-- A trigger that keeps the dead letter would have it there twice.
SELECT pg_temp.die('a', 'g1') > 0 AS died;
CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE DELETE ON q_jobs FOR EACH ROW EXECUTE FUNCTION pg_temp.keep();
SELECT nvent.queue_redrive('dead');
DROP TRIGGER keep ON q_jobs;
SELECT error FROM nvent.queue_redrive('dead');

DROP VIEW pg_temp.letters;
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
