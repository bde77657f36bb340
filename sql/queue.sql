-- Queues: sending, fetching, settling, and what operators do.
--
-- Seen to fail: without the look for leases that have run out, "A lease that
-- runs out"; with turns taken before levels whatever their priority, "Order";
-- without the attempt in what settles, "A lapsed worker".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
CREATE FUNCTION pg_temp.fetch(queue text, max_count int DEFAULT 10)
RETURNS TABLE (attempt int, data jsonb, priority int, retries int) LANGUAGE sql AS
    $$SELECT attempt, data, priority, retries FROM nvent.queue_fetch(queue, max_count, 'w')$$;
-- Fetch until something comes, for ten seconds at most.
CREATE FUNCTION pg_temp.wait_for(queue text) RETURNS TABLE (attempt int, data jsonb) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 2000 LOOP
        RETURN QUERY SELECT f.attempt, f.data FROM nvent.queue_fetch(queue, 1) f;
        IF FOUND THEN RETURN; END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
END $$;

-- Queues.
SELECT nvent.queue_create('dead'), nvent.queue_create('e', retry_limit => 1, dead_letter => 'dead');
SELECT nvent.queue_create('e', retry_limit => 5), retry_limit FROM q_queues WHERE name = 'e';
SELECT nvent.queue_create('');
SELECT nvent.queue_create(repeat('x', 256));
SELECT nvent.queue_create('x', dead_letter => 'none');
SELECT nvent.queue_create('x', lease => '0');
SELECT nvent.queue_create('x', retry_limit => -1);
SELECT nvent.queue_send('none');
SELECT * FROM nvent.queue_fetch('none');

-- Order: by priority, then by age, within a batch too; an update of the queue's
-- row holds from the next call on.
SELECT nvent.queue_send('e', '"p5"', priority => 5) < nvent.queue_send('e', '"p1"', priority => 1) AS ascends;
SELECT count(*) FROM nvent.queue_send_batch('e', ARRAY['{"data": "p5 second", "priority": 5}', '{"data": "p0"}', '{}', '{"data": "p0 last"}']::jsonb[]);
UPDATE q_queues SET priority = 7 WHERE name = 'e';
SELECT nvent.queue_send('e', '"p7"') > 0 AS sent;
UPDATE q_queues SET priority = 0 WHERE name = 'e';
SELECT * FROM pg_temp.fetch('e', 2);
SELECT * FROM pg_temp.fetch('e');
SELECT * FROM pg_temp.fetch('e');

-- What a batch refuses; nothing of it is sent.
SELECT nvent.queue_send_batch('e', ARRAY['{}', '{"prio": 1}']::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{}', '[]']::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{}', NULL]::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{"lease": "soon"}']::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{"lease": 0}']::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{"retryLimit": -1}']::jsonb[]);
SELECT nvent.queue_send_batch('e', ARRAY['{"deadLetter": "none"}']::jsonb[]);
SELECT nvent.queue_send('e', start_after => '1 s', start_at => now());
SELECT count(*) FROM nvent.queue_send_batch('e', '{}');
SELECT * FROM pg_temp.fetch('e');

-- Deferred: not before it is due, in a transaction that is older than that.
BEGIN;
SELECT nvent.queue_send('e', '"later"', start_after => '100 ms') AS j \gset
SELECT state, start_at > clock_timestamp() AS later FROM nvent.queue_get('e', :j);
SELECT * FROM pg_temp.wait_for('e');
SELECT created_at + '100 ms' <= clock_timestamp() AS in_time, state FROM nvent.queue_get('e', :j);
COMMIT;
SELECT nvent.queue_send('e', '"past"', start_at => '2000-01-01') > 0 AS sent;
SELECT * FROM pg_temp.fetch('e');

-- Settling, with output; once, and only by the attempt that has it.
SELECT nvent.queue_complete('e', :j, 2), nvent.queue_complete('e', :j, 1, '{"n": 1}'), nvent.queue_complete('e', :j, 1), nvent.queue_fail('e', :j, 1);
SELECT state, attempt, worker, output, ended_at >= started_at AS ended FROM nvent.queue_get('e', :j);
SELECT nvent.queue_send('e') AS j \gset
SELECT nvent.queue_complete('e', :j, 1) AS never_fetched;

-- A failure is tried again, then it is one for good and goes to the dead letters.
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_fail('e', :j, 1, '"first"'), state FROM nvent.queue_get('e', :j);
SELECT state, retries FROM nvent.queue_get('e', :j);
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_fail('e', :j, 2, '"second"');
SELECT state, attempt, output FROM nvent.queue_get('e', :j);
SELECT attempt, outcome, output FROM nvent.queue_runs('e', :j);
SELECT f.attempt, g.origin - 'id' - 'createdAt' - 'root' AS origin, g.origin ->> 'id' = :j::text AND g.origin #>> '{root,id}' = :j::text AS of_it FROM nvent.queue_fetch('dead') f, nvent.queue_get('dead', f.id) g;
SELECT nvent.queue_retry('e', :j), nvent.queue_retry('e', :j);
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_complete('e', :j, 3);

-- Delays of retries: half of the doubled one to all of it, and the longest.
SELECT nvent.queue_send('e', retry_limit => 9, retry_delay => '10 s', retry_backoff => true) AS j \gset
SELECT nvent.queue_send('e', retry_limit => 9, retry_delay => '10 s', retry_backoff => true, retry_delay_max => '1 s') AS k \gset
SELECT nvent.queue_fail('e', f.id, f.attempt) FROM nvent.queue_fetch('e', 2) f;
SELECT start_at - ended_at BETWEEN '9.9 s' AND '20.1 s' AS first FROM nvent.queue_get('e', :j);
SELECT start_at - ended_at BETWEEN '0.9 s' AND '1.1 s' AS longest FROM nvent.queue_get('e', :k);
SELECT nvent.queue_delete('e', :j), nvent.queue_delete('e', :k), nvent.queue_delete('e', :k);

-- A lease that runs out is the end of the attempt.  A lapsed worker settles
-- nothing, whether or not somebody else has the job.
SELECT nvent.queue_send('e', '"lapses"', lease => '1 ms') AS j \gset
SELECT * FROM pg_temp.fetch('e');
SELECT pg_sleep(0.002);
SELECT nvent.queue_complete('e', :j, 1), nvent.queue_touch('e', :j, 1), nvent.queue_release('e', :j, 1);
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_complete('e', :j, 1) AS stale, (SELECT outcome FROM nvent.queue_runs('e', :j) WHERE attempt = 1);
SELECT pg_sleep(0.002);
SELECT * FROM pg_temp.fetch('e');
SELECT state, attempt FROM nvent.queue_get('e', :j);

-- Touching, not beyond the longest run; releasing costs no retry.
SELECT nvent.queue_send('e', '"long"', max_run => '1 hour', lease => '1 min') AS j \gset
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_touch('e', :j, 1, '10 min') - now() BETWEEN '9 min' AND '11 min' AS touched,
    nvent.queue_touch('e', :j, 1, '10 days') - now() BETWEEN '59 min' AND '60 min' AS bounded,
    nvent.queue_touch('e', :j, 1) - now() BETWEEN '50 s' AND '70 s' AS own;
SELECT nvent.queue_touch('e', :j, 1, '0');
SELECT nvent.queue_release('e', :j, 1, '1 hour'), nvent.queue_release('e', :j, 1);
SELECT state, retries, start_at > now() AS later FROM nvent.queue_get('e', :j);
SELECT nvent.queue_cancel('e', :j), nvent.queue_resume('e', :j);
SELECT * FROM pg_temp.fetch('e');
SELECT nvent.queue_release('e', :j, 2);
SELECT * FROM pg_temp.fetch('e');

-- Each change from where it is allowed only.
CREATE FUNCTION pg_temp.state(job bigint) RETURNS text LANGUAGE sql AS $$SELECT state FROM nvent.queue_get('e', job)$$;
CREATE FUNCTION pg_temp.job(wanted text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    j bigint := nvent.queue_send('e', retry_limit => CASE wanted WHEN 'retry' THEN 1 ELSE 0 END, start_after => CASE wanted WHEN 'deferred' THEN interval '1 hour' END);
BEGIN
    IF wanted NOT IN ('created', 'deferred') THEN
        PERFORM nvent.queue_fetch('e', 1);
    END IF;
    PERFORM pg_temp.settle('e', j, wanted);
    RETURN j;
END $$;
CREATE FUNCTION pg_temp.moves(wanted text, verb text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    j bigint := pg_temp.job(wanted);
    done boolean;
    state text;
BEGIN
    EXECUTE format('SELECT nvent.queue_%s(''e'', $1)', verb) INTO done USING j;
    state := pg_temp.state(j);
    PERFORM nvent.queue_delete('e', j);
    RETURN CASE WHEN done THEN coalesce(state, 'gone') ELSE '-' END;
END $$;
SELECT s AS state, pg_temp.moves(s, 'cancel') AS cancel, pg_temp.moves(s, 'resume') AS resume, pg_temp.moves(s, 'retry') AS retry, pg_temp.moves(s, 'delete') AS delete
FROM unnest('{created,deferred,retry,active,completed,failed,cancelled}'::text[]) s;

-- Many at once: those that are held.
SELECT count(*) FROM nvent.queue_send_batch('e', ARRAY['{"data": 1}', '{"data": 2}', '{"data": 3}']::jsonb[]);
SELECT array_agg(id) AS ids, array_agg(attempt) AS attempts FROM nvent.queue_fetch('e', 3) \gset
SELECT nvent.queue_cancel('e', (:'ids'::bigint[])[2]);
SELECT count(*) FROM nvent.queue_complete_many('e', :'ids', :'attempts', ARRAY['1', NULL, '3']::jsonb[]);
SELECT state, output FROM unnest(:'ids'::bigint[]) j, nvent.queue_get('e', j) ORDER BY j;
SELECT nvent.queue_complete_many('e', '{1,2}', '{1}');

-- Settling and fetching in one call.
SELECT count(*) FROM nvent.queue_send_batch('e', ARRAY['{"data": 1, "retryLimit": 0}', '{"data": 2, "retryLimit": 0}', '{"data": 3}', '{"data": 4}']::jsonb[]);
SELECT jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt, 'output', data) ORDER BY id) AS done FROM nvent.queue_work('e', max_count => 2) \gset
SELECT attempt, data FROM nvent.queue_work('e', jsonb_build_array(:'done'::jsonb -> 0), jsonb_build_array((:'done'::jsonb -> 1) || '{"error": "no"}'), 1, 'w');
SELECT state, output FROM nvent.queue_get('e', (:'done'::jsonb #>> '{0,id}')::bigint);
SELECT state, output FROM nvent.queue_get('e', (:'done'::jsonb #>> '{1,id}')::bigint);
SELECT attempt, data FROM nvent.queue_work('e', :'done', '[{"id": "9223372036854775807", "attempt": "1"}]');
SELECT count(*) FROM nvent.queue_work('e', '[]', '[]', 0);
SELECT nvent.queue_work('e', '{}');
SELECT nvent.queue_work('e', '1');
SELECT nvent.queue_work('e', '[1]');
SELECT nvent.queue_work('e', failed => '[{"id": 1}]');
SELECT nvent.queue_work('e', '[{"id": "x", "attempt": 1}]');
SELECT nvent.queue_work('e', '[{"id": 1, "attempt": 4294967297}]');
SELECT nvent.queue_work('e', max_count => -1);

-- What is rolled back has not been taken, nor deleted, whatever the same
-- transaction looked for behind it.
SELECT count(*) FROM nvent.queue_send_batch('e', ARRAY['{"data": 1}', '{"data": 2}', '{"data": 3}']::jsonb[]);
BEGIN;
SELECT * FROM pg_temp.fetch('e', 1);
SELECT count(*) FROM pg_temp.fetch('e');
SELECT count(*) FROM pg_temp.fetch('e');
ROLLBACK;
BEGIN;
SELECT nvent.queue_purge('e');
SELECT count(*) FROM pg_temp.fetch('e');
ROLLBACK;
SELECT * FROM pg_temp.fetch('e');
-- So it is with leases that ran out.
SELECT nvent.queue_send('e', '"lapses"', lease => '1 ms', retry_limit => 0) AS j \gset
SELECT * FROM pg_temp.fetch('e');
SELECT pg_sleep(0.002);
BEGIN;
SELECT count(*) FROM pg_temp.fetch('e');
SELECT count(*) FROM pg_temp.fetch('e');
SELECT state FROM nvent.queue_get('e', :j);
ROLLBACK;
SELECT count(*) FROM pg_temp.fetch('e');
SELECT state FROM nvent.queue_get('e', :j);

-- Nothing is kept of what is completed, where that is wanted.
SELECT nvent.queue_create('brief', keep_ended => '0');
SELECT nvent.queue_send('brief') > 0 AS sent FROM generate_series(1, 3);
SELECT nvent.queue_complete('brief', id, attempt) FROM nvent.queue_fetch('brief');
SELECT count(*) FROM nvent.queue_complete_many('brief', (SELECT array_agg(id) FROM nvent.queue_fetch('brief', 2)), '{1,1}');
SELECT (SELECT count(*) FROM q_jobs j JOIN q_queues q ON q.number = j.queue WHERE name = 'brief') AS jobs, (SELECT count(*) FROM q_job_runs r JOIN q_queues q ON q.number = r.queue WHERE name = 'brief') AS runs;

-- Pausing, purging, dropping.
SELECT nvent.queue_send('brief') > 0 AS sent, nvent.queue_send('brief', start_after => '1 hour') > 0 AS sent;
SELECT nvent.queue_pause('brief'), nvent.queue_pause('brief');
SELECT count(*) FROM nvent.queue_fetch('brief');
SELECT nvent.queue_unpause('brief'), nvent.queue_unpause('brief');
SELECT count(*) FROM nvent.queue_fetch('brief');
SELECT nvent.queue_send('brief') > 0 AS sent;
SELECT nvent.queue_purge('brief'), nvent.queue_purge('brief');
SELECT nvent.queue_drop('brief'), nvent.queue_drop('brief');
SELECT nvent.queue_drop('dead');
SELECT nvent.queue_send('e', retry_limit => 0) > 0 AS sent;
RESET client_min_messages;
SELECT nvent.queue_fail('e', id, attempt) FROM nvent.queue_fetch('e', 1);
SET client_min_messages = warning;
SELECT nvent.queue_drop('e');
SELECT count(*) FROM q_jobs;

-- Maintenance deletes what has been kept for long enough, and no other.
SELECT nvent.queue_create('m', keep_ended => '1 hour', keep_queued => '1 hour');
SELECT nvent.queue_send('m', to_jsonb(n)) > 0 AS sent FROM generate_series(1, 6) n;
SELECT nvent.queue_complete('m', id, attempt) FROM nvent.queue_fetch('m', 2);
SELECT nvent.queue_release('m', id, attempt, CASE data WHEN '3' THEN '2 hours' END::interval) FROM nvent.queue_fetch('m', 2);
SELECT nvent.maintain(100, 'q');
UPDATE q_job_runs SET ended_at = ended_at - interval '2 hours', lease_until = lease_until - interval '2 hours' WHERE id <> (SELECT min(id) FROM q_jobs);
UPDATE q_jobs SET created_at = created_at - interval '2 hours' WHERE id <> (SELECT max(id) FROM q_jobs);
SELECT nvent.maintain(100, 'q');
SELECT j.data, state FROM q_jobs j, nvent.queue_get('m', j.id) ORDER BY j.id;
-- Whoever sees no queue does not take its jobs for those of one that is gone.
CREATE ROLE regress_nvs_sweeper;
SELECT nvent.store_grant('regress_nvs_sweeper', 'admin', 'q');
ALTER TABLE q_queues ENABLE ROW LEVEL SECURITY;
SET ROLE regress_nvs_sweeper;
SELECT count(*) FROM q_queues;
SELECT nvent.maintain(100, 'q');
RESET ROLE;
SELECT count(*) FROM q_jobs;
\set VERBOSITY terse
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_sweeper;
DROP ROLE regress_nvs_sweeper;
