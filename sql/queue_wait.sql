-- Waiting for jobs, as far as one session can tell: what is there already, how
-- long at most, what is returned, and errors.  What wakes who waits, and what he
-- holds, is in test/t/075_queue_wait.pl.
SELECT nvent.store_create('qw');
SELECT nvent.queue_create('work', store => 'qw', retry_limit => 1);

-- What is there already is not waited for, and not taken by who only waits.
SELECT nvent.queue_send('work', '{"n": 1}', store => 'qw') > 0 AS sent;
CALL nvent.queue_await('work', store => 'qw');
SELECT count(*) FROM qw_job_runs;

-- Jobs are as nvent.queue_fetch would return them.
CREATE FUNCTION work(completed jsonb, failed jsonb, max_count int, timeout interval) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    jobs jsonb;
BEGIN
    CALL nvent.queue_work_await('work', completed, failed, max_count, timeout, 'me', 'qw', jobs);
    RETURN jobs;
END $$;
SELECT jsonb_object_keys(work(NULL, NULL, 1, '1 s') -> 0) AS key ORDER BY 1;
SELECT name FROM pg_proc, LATERAL unnest(proargnames, proargmodes) a (name, mode)
WHERE oid = 'nvent.queue_fetch(text, integer, text, text)'::regprocedure AND mode = 'o' ORDER BY 1;
SELECT worker, outcome FROM qw_job_runs;

-- What was returned can be passed back, and what it says besides does not count.
CREATE TABLE had AS SELECT id, attempt FROM qw_job_runs;
SELECT work((SELECT jsonb_agg(to_jsonb(h) || '{"data": 1, "output": "done"}') FROM had h), NULL, 1, '10 ms');
SELECT outcome, output FROM qw_job_runs;

-- It settles once, however often it looks; a lease that is lost is a warning.
SELECT work((SELECT jsonb_agg(h) FROM had h), NULL, 1, '100 ms');

-- What failed has its turn in the same call.
SELECT nvent.queue_send('work', '{"n": 2}', store => 'qw') > 0 AS sent;
SELECT nvent.queue_send('work', '{"n": 3}', store => 'qw') > 0 AS sent;
SELECT e ->> 'data' AS data, e ->> 'attempt' AS attempt FROM jsonb_array_elements(work(NULL, NULL, 1, '1 s')) e;
SELECT e ->> 'data' AS data, e ->> 'attempt' AS attempt
FROM jsonb_array_elements(work(NULL, (SELECT jsonb_build_array(jsonb_build_object('id', id, 'attempt', 1, 'error', 'no'))
    FROM qw_job_runs WHERE outcome IS NULL), 5, '1 s')) e;

-- Nor is longer waited than asked for, or than a function may.
CALL nvent.queue_await('work', '10 ms', 'qw');
CALL nvent.queue_await('work', '0', 'qw');
CALL nvent.queue_await('work', '-1 s', 'qw');
CALL nvent.queue_work_await('work', timeout => '10 ms', store => 'qw');
CALL nvent.queue_work_await('work', max_count => 0, store => 'qw');
SET nvent_store.max_wait = '10ms';
BEGIN;
CALL nvent.queue_await('work', store => 'qw');
COMMIT;
SELECT work(NULL, NULL, 1, NULL);
RESET nvent_store.max_wait;

-- The procedure has its own transactions, alone and in procedures.
CREATE TABLE steps (n int);
CREATE PROCEDURE await_twice() LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. 2 LOOP
        INSERT INTO steps VALUES (n);
        CALL nvent.queue_await('work', '10 ms', 'qw');
        -- It was committed before the wait.
        ROLLBACK;
    END LOOP;
END $$;
CALL await_twice();
SELECT n FROM steps ORDER BY n;
SET default_transaction_isolation = 'serializable';
CALL nvent.queue_await('work', '10 ms', 'qw');
RESET default_transaction_isolation;

-- A queue that is paused has nothing.
SELECT nvent.queue_send('work', store => 'qw') > 0 AS sent;
SELECT nvent.queue_pause('work', 'qw');
CALL nvent.queue_work_await('work', timeout => '10 ms', store => 'qw');
SELECT nvent.queue_unpause('work', 'qw');
CALL nvent.queue_await('work', store => 'qw');

-- What is deleted is not there.
SELECT nvent.queue_purge('work', 'qw');

-- It can be interrupted.
SET statement_timeout = '50ms';
CALL nvent.queue_await('work', store => 'qw');
CALL nvent.queue_work_await('work', store => 'qw');
RESET statement_timeout;
SELECT COALESCE(waiters, 0) AS waiters FROM nvent.worker_status();

-- An error in the look of who only waits ends the transaction, not what is
-- below it.
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON qw_job_runs FOR EACH ROW EXECUTE FUNCTION fail();
SELECT nvent.queue_send('work', store => 'qw') > 0 AS sent;
\set VERBOSITY terse
CALL nvent.queue_await('work', store => 'qw');
COMMIT;
BEGIN;
CALL nvent.queue_await('work', store => 'qw');
COMMIT;
\set VERBOSITY default
DROP TRIGGER fail ON qw_job_runs;
CALL nvent.queue_await('work', store => 'qw');

-- Errors.
CALL nvent.queue_await(NULL);
CALL nvent.queue_await('none', store => 'qw');
CALL nvent.queue_await('work', store => 'nobody');
CALL nvent.queue_work_await('work', '{}', store => 'qw');
CALL nvent.queue_work_await('work', max_count => NULL, store => 'qw');
CALL nvent.queue_work_await('work', max_count => -1, store => 'qw');
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL nvent.queue_await('work', store => 'qw');
ROLLBACK;
BEGIN READ ONLY;
CALL nvent.queue_work_await('work', store => 'qw');
ROLLBACK;

DROP PROCEDURE await_twice();
DROP FUNCTION fail(), work(jsonb, jsonb, int, interval);
DROP TABLE had, steps;
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_migrate('qw', 0) > 0 AS dropped;
