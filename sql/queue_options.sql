-- What a queue says of its jobs, each option: it holds for jobs that say nothing, and a
-- job's own in its place, whether it was sent alone or in a batch.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
SELECT nvent.queue_create('dead'), nvent.queue_create('own'), nvent.queue_create('o', priority => 3, lease => '10 min', max_run => '20 min', retry_limit => 1, retry_delay => '30 min', dead_letter => 'dead');

-- A job that says nothing, and one that says something else, by both ways to send.
CREATE FUNCTION pg_temp.sent(own boolean, batch boolean) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE
        WHEN NOT batch AND NOT own THEN nvent.queue_send('o')
        WHEN NOT batch THEN nvent.queue_send('o', priority => 5, lease => '2 hours', max_run => '3 hours', retry_limit => 2, retry_delay => '4 hours', dead_letter => 'own')
        ELSE (SELECT id FROM nvent.queue_send_batch('o', ARRAY[CASE WHEN own THEN '{"priority": 5, "lease": "2 hours", "maxRun": "3 hours", "retryLimit": 2, "retryDelay": "4 hours", "deadLetter": "own"}' ELSE '{}' END::jsonb]) id) END $$;
CREATE FUNCTION pg_temp.near(t timestamptz, after interval) RETURNS boolean LANGUAGE sql AS
    $$SELECT t BETWEEN clock_timestamp() + after - interval '2 min' AND clock_timestamp() + after + interval '2 min'$$;

-- It is leased, touched for too long, fails until it has failed for good, each time
-- when its delay is over, and is a dead letter then.
CREATE FUNCTION pg_temp.life(own boolean, batch boolean, OUT priority int, OUT lease boolean, OUT max_run boolean, OUT delay boolean, OUT attempts int, OUT dead text) LANGUAGE plpgsql AS $$
DECLARE
    j bigint := pg_temp.sent(own, batch);
    f record;
BEGIN
    attempts := 0;
    LOOP
        SELECT * INTO f FROM nvent.queue_fetch('o');
        EXIT WHEN f.id IS NULL;
        attempts := attempts + 1;
        priority := f.priority;
        lease := pg_temp.near(f.lease_until, CASE WHEN own THEN interval '2 hours' ELSE '10 min' END);
        max_run := pg_temp.near(nvent.queue_touch('o', j, f.attempt, '10 days'), CASE WHEN own THEN interval '3 hours' ELSE '20 min' END);
        PERFORM nvent.queue_fail('o', j, f.attempt);
        delay := coalesce(pg_temp.near((SELECT g.start_at FROM nvent.queue_get('o', j) g WHERE state = 'retry'), CASE WHEN own THEN interval '4 hours' ELSE '30 min' END), delay);
        UPDATE q_job_turns SET due_at = clock_timestamp() WHERE id = j;
    END LOOP;
    dead := coalesce((SELECT 'dead' FROM nvent.queue_fetch('dead')), (SELECT 'own' FROM nvent.queue_fetch('own')));
    PERFORM nvent.queue_delete('o', j);
END $$;
SELECT own, batch, l.* FROM unnest('{f,t}'::boolean[]) own, unnest('{f,t}'::boolean[]) batch, pg_temp.life(own, batch) l ORDER BY own, batch;

-- Backoff: the nth retry is between half of the delay times 2^n and all of it, and no
-- more than the longest; by the queue, and by the job.
SELECT nvent.queue_create('b', retry_limit => 6, retry_delay => '1 hour', retry_backoff => true, retry_delay_max => '20 hours'), nvent.queue_create('n', retry_limit => 6);
CREATE FUNCTION pg_temp.backoff(queue text, j bigint) RETURNS TABLE (n int, fits boolean) LANGUAGE plpgsql AS $$
DECLARE
    f record;
    wait interval;
BEGIN
    FOR i IN 1 .. 6 LOOP
        SELECT * INTO f FROM nvent.queue_fetch(queue);
        PERFORM nvent.queue_fail(queue, j, f.attempt);
        wait := (SELECT g.start_at - g.ended_at FROM nvent.queue_get(queue, j) g);
        n := i;
        fits := wait BETWEEN least(interval '1 hour' * 2 ^ (i - 1), '20 hours') - interval '1 s' AND least(interval '1 hour' * 2 ^ i, '20 hours') + interval '1 s';
        RETURN NEXT;
        UPDATE q_job_turns SET due_at = clock_timestamp() WHERE id = j;
    END LOOP;
END $$;
SELECT b.*, n.fits AS own
FROM pg_temp.backoff('b', nvent.queue_send('b')) b,
    pg_temp.backoff('n', nvent.queue_send('n', retry_delay => '1 hour', retry_backoff => true, retry_delay_max => '20 hours')) n WHERE n.n = b.n ORDER BY b.n;

-- What is longer than time goes, or almost, keeps nobody from anything: a job is as
-- good as never tried again, or just so, and the queue's other jobs are fetched.
-- Seen to fail with errors where it is out of range, of a delay, a lease or the longest
-- run, and with a delay that is doubled beyond it.
SELECT nvent.queue_create('e', lease => '1 hour', retry_limit => 3);
SELECT nvent.queue_send('e', retry_delay => '300000 years') AS far, nvent.queue_send('e', retry_delay => '280000 years', retry_backoff => true) AS doubled, nvent.queue_send('e', retry_delay => '-300000 years') AS back, nvent.queue_send('e', retry_delay => '300000 years', retry_delay_max => '1 hour') AS bounded, nvent.queue_send('e', retry_delay => '1 hour', retry_delay_max => '300000 years') AS own, nvent.queue_send('e', retry_delay => '3000000 months -100000000 days') AS both \gset
SELECT count(nvent.queue_fail('e', id, attempt)) FROM nvent.queue_fetch('e', 3);
SELECT count(*) AS expire FROM nvent.queue_fetch('e', 3);
UPDATE q_job_runs SET lease_until = clock_timestamp() WHERE outcome IS NULL;
SELECT nvent.queue_send('e', '"other"') > 0 AS sent;
SELECT string_agg(CASE id WHEN :back THEN 'back' WHEN :both THEN 'both' ELSE data ->> 0 END, ', ' ORDER BY id) AS fetched FROM nvent.queue_fetch('e', 10);
SELECT CASE g.id WHEN :far THEN 'far' WHEN :doubled THEN 'doubled' WHEN :back THEN 'back' WHEN :bounded THEN 'bounded' WHEN :own THEN 'own' WHEN :both THEN 'both' ELSE 'other' END AS job, g.state, g.start_at > '200000-01-01' AS never FROM nvent.queue_find('e') g ORDER BY g.id;
CREATE FUNCTION pg_temp.rest() RETURNS interval LANGUAGE sql AS
    $$SELECT make_interval(secs => extract(epoch FROM timestamptz '294276-12-31 23:00:00+00') - extract(epoch FROM clock_timestamp()))$$;
SELECT nvent.queue_create('l', lease => '300 years');
SELECT nvent.queue_send('l', lease => pg_temp.rest()) > 0 AS lease, nvent.queue_send('l', max_run => pg_temp.rest()) > 0 AS max_run;
UPDATE q_jobs SET lease = lease + interval '2 hours', max_run = max_run + interval '2 hours' WHERE queue = (SELECT number FROM q_queues WHERE name = 'l');
SELECT string_agg((lease_until > '200000-01-01')::text, ', ' ORDER BY id) AS never FROM nvent.queue_fetch('l', 10);

-- How long what is queued and what has ended are kept.
SELECT nvent.queue_create('k', keep_queued => '2 hours', keep_ended => '1 hour');
SELECT count(*) FROM nvent.queue_send_batch('k', '{"{\"data\": \"ends\"}","{\"data\": \"ends late\"}","{\"data\": \"waits long\"}","{\"data\": \"waits\"}"}'::jsonb[]);
SELECT count(nvent.queue_complete('k', id, attempt)) FROM nvent.queue_fetch('k', 2);
UPDATE q_jobs SET created_at = now() - interval '3 hours' WHERE data <> '"waits"';
UPDATE q_job_runs r SET lease_until = now() - interval '61 min', ended_at = now() - interval '61 min' FROM q_jobs j WHERE j.id = r.id AND j.data = '"ends late"';
SELECT nvent.maintain(store => 'q') > 0 AS deleted;
SELECT string_agg(data ->> 0, ', ' ORDER BY id) AS kept FROM nvent.queue_find('k');

-- For longer than there is time: for ever, and what else there is is maintained.  Seen
-- to fail with errors where that is out of range.
SELECT nvent.queue_create('ever', keep_queued => '10000 years', keep_ended => '300000 years');
SELECT count(*) FROM nvent.queue_send_batch('ever', '{"{\"data\": \"ends\"}","{\"data\": \"waits\"}"}'::jsonb[]);
SELECT count(nvent.queue_complete('ever', id, attempt)) FROM nvent.queue_fetch('ever', 1);
UPDATE q_jobs SET created_at = '1000-01-01';
UPDATE q_job_runs SET lease_until = '1000-01-01', ended_at = '1000-01-01' WHERE outcome IS NOT NULL;
SELECT nvent.maintain(store => 'q') > 0 AS deleted;
SELECT 'k' AS queue, count(*) FROM nvent.queue_find('k') UNION ALL SELECT 'ever', count(*) FROM nvent.queue_find('ever');
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
