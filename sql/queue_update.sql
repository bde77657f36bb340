-- Jobs that are queued are changed: by id, by key, or sent if there is none.
--
-- Seen to fail: with a job that gets another priority left in its level, and not
-- given a turn, "Another priority"; with runs that keep the old one, in "Where it
-- stands", retry; with data that is put in place of what it is merged into, "Data";
-- with jobs of a key that are looked for until they can be changed, "Nor one that a
-- policy keeps" (for ever).
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
\set VERBOSITY terse
SELECT nvent.queue_create('dead'), nvent.queue_create('e'), nvent.queue_create('x', 'exclusive');
CREATE FUNCTION pg_temp.fetch(max_count int DEFAULT 10) RETURNS TABLE (data jsonb, priority int, attempt int) LANGUAGE sql AS
    $$SELECT data, priority, attempt FROM nvent.queue_fetch('e', max_count)$$;

-- Data: replaced, merged, or left as it is; a job that is ready stays so.
SELECT nvent.queue_send('e', '{"a": 1, "b": {"c": 1, "d": 1}}') AS j \gset
SELECT nvent.queue_send('e') AS k \gset
SELECT nvent.queue_update('e', :j, '{"a": 2}') = :j AS changed, data, state, start_at FROM nvent.queue_get('e', :j);
SELECT data, priority, state, start_at FROM nvent.queue_get('e', :j);
SELECT count(*) FROM nvent.queue_update('e', :j, '{"a": null, "b": {"c": 1}}', merge => true);
SELECT count(*) FROM nvent.queue_update('e', :j, '{"b": {"d": 2}}', merge => true, retry_limit => 0);
SELECT count(*) FROM nvent.queue_update('e', :k, '{"e": {"f": 1}}', merge => true);
SELECT count(*) FROM nvent.queue_update('e', :k);
SELECT count(*) FROM q_job_turns;
SELECT * FROM pg_temp.fetch();
SELECT nvent.queue_fail('e', :j, 1), state FROM nvent.queue_get('e', :j);
SELECT state FROM nvent.queue_get('e', :j);
-- What has begun or ended is not changed, nor what is not there.
SELECT count(*) FROM unnest(ARRAY[:j, :k, 1]) i, nvent.queue_update('e', i, '1');
SELECT count(*) FROM nvent.queue_update('x', :k, '1');
SELECT data FROM nvent.queue_get('e', :k);
SELECT nvent.queue_complete('e', :k, 1);

-- Another priority: higher, lower, and one that no job had; of one priority what
-- was sent first is first, wherever walks have come to.
SELECT nvent.queue_send('e', to_jsonb(n), priority => n % 2) FROM generate_series(1, 6) n \g /dev/null
SELECT * FROM pg_temp.fetch(1);
SELECT nvent.queue_send('e', '"p1"', priority => 1) > 0 AS sent;
SELECT count(*) FROM nvent.queue_update('e', (SELECT id FROM q_jobs WHERE data = '2'), priority => 1);
SELECT count(*) FROM nvent.queue_update('e', (SELECT id FROM q_jobs WHERE data = '3'), priority => 0);
SELECT count(*) FROM nvent.queue_update('e', (SELECT id FROM q_jobs WHERE data = '6'), priority => 7);
SELECT count(*) FROM nvent.queue_update('e', (SELECT id FROM q_jobs WHERE data = '4'), '"4 again"', priority => 0);
SELECT * FROM pg_temp.fetch();
SELECT count(nvent.queue_complete('e', j.id, 1)) FROM q_jobs j;

-- One that is older than all that its new level has had, and everybody passed.
SELECT nvent.queue_send('e', '"p0"') > 0 AND nvent.queue_send('e', '"p0 too"') > 0 AS sent, nvent.queue_send('e', '"p4"', priority => 4) > 0 AS sent;
SELECT * FROM pg_temp.fetch(1);
SELECT pg_sleep(0.1);
SELECT * FROM pg_temp.fetch(1);
SELECT count(*) FROM nvent.queue_update('e', (SELECT id FROM q_jobs WHERE data = '"p0 too"'), priority => 4);
SELECT * FROM pg_temp.fetch();

-- Another time: later, and at once; of a job that is ready, and of one that waits.
SELECT nvent.queue_send('e', '"t"') AS j \gset
SELECT count(*) FROM nvent.queue_update('e', :j, start_after => '1 hour');
SELECT state, start_at > now() AS later FROM nvent.queue_get('e', :j);
SELECT * FROM pg_temp.fetch();
SELECT count(*) FROM nvent.queue_update('e', :j, start_at => '2100-01-01 00:00+00', priority => 3);
SELECT state, start_at AT TIME ZONE 'UTC' AS start_at, priority FROM nvent.queue_get('e', :j);
SELECT count(*) FROM nvent.queue_update('e', :j, '"t now"', start_after => '0');
SELECT state, start_at FROM nvent.queue_get('e', :j);
SELECT * FROM pg_temp.fetch();
SELECT nvent.queue_complete('e', :j, 1);

-- Where it stands: a job in each state is changed or not, and goes on as before.
CREATE FUNCTION pg_temp.try(wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    j bigint := nvent.queue_send('e', '"old"', retry_limit => CASE wanted WHEN 'retry' THEN 1 ELSE 0 END, start_after => CASE wanted WHEN 'deferred' THEN interval '1 hour' END);
    n int;
    had text;
    got jsonb;
BEGIN
    IF wanted NOT IN ('created', 'deferred', 'cancelled', 'resumed', 'deleted') THEN
        PERFORM nvent.queue_fetch('e', 1);
    END IF;
    PERFORM pg_temp.settle('e', j, wanted);
    n := (SELECT count(*) FROM nvent.queue_update('e', j, '"new"', priority => 9, start_after => '0'));
    had := (SELECT state FROM nvent.queue_get('e', j));
    -- It can be cancelled, and resumed, and is fetched with what is new.
    IF n = 1 THEN
        IF NOT nvent.queue_cancel('e', j) OR NOT nvent.queue_resume('e', j) THEN
            RAISE EXCEPTION '% does not go on', wanted;
        END IF;
        SELECT to_jsonb(f) - 'id' - 'created_at' - 'lease_until' INTO got FROM nvent.queue_fetch('e', 10) f;
        IF NOT nvent.queue_complete('e', j, (got ->> 'attempt')::int) THEN
            RAISE EXCEPTION '% is not completed', wanted;
        END IF;
    END IF;
    PERFORM nvent.queue_delete('e', j);
    RETURN CASE n WHEN 0 THEN 'no, ' ELSE 'yes, ' END || coalesce(had, 'gone') || coalesce(', ' || got::text, '');
END $$;
SELECT s AS job, pg_temp.try(s) AS changed FROM unnest('{created,deferred,active,retry,released,released late,completed,failed,cancelled,resumed,deleted}'::text[]) s;
SELECT count(*) FROM q_job_turns;

-- All else that was said of it.
SELECT nvent.queue_send('e', key => 'o', lease => '1 h', retry_limit => 7) AS j \gset
SELECT count(*) FROM nvent.queue_update('e', :j, max_run => '2 h', retry_limit => 5, retry_delay => '3 s', retry_backoff => true, retry_delay_max => '4 min', dead_letter => 'dead');
SELECT key, lease, max_run, retry_limit, retry_delay, retry_backoff, retry_delay_max, dead_letter, due_at FROM q_jobs WHERE id = :j;
SELECT nvent.queue_purge('e');

-- By key: the newest, the oldest, or all that are queued.
SELECT nvent.queue_send('e', to_jsonb(n), key => 'k', start_after => CASE n WHEN 3 THEN interval '1 h' END) FROM generate_series(1, 4) n \g /dev/null
SELECT nvent.queue_send('e', '"other"', key => 'l') > 0 AS sent;
SELECT * FROM pg_temp.fetch(1);
SELECT count(*) FROM nvent.queue_update('e', key => 'k', data => '"newest"');
SELECT count(*) FROM nvent.queue_update('e', key => 'k', data => '"oldest"', match => 'oldest');
SELECT data, state FROM nvent.queue_find('e', 'k');
SELECT n, i > lag(i) OVER (ORDER BY n) AS ascends FROM nvent.queue_update('e', key => 'k', start_after => '0', match => 'all') WITH ORDINALITY u (i, n) ORDER BY n;
SELECT count(*) FROM nvent.queue_update('e', key => 'none', data => '1', match => 'all');
SELECT * FROM pg_temp.fetch();
SELECT nvent.queue_purge('e');

-- Sent, or changed: there is one.
SELECT nvent.queue_upsert('e', '{"n": 1}', key => 'u', start_after => '1 h') AS j \gset
SELECT nvent.queue_upsert('e', '{"m": 1}', key => 'u', merge => true) = :j AS same, nvent.queue_upsert('e', '{"l": 1}', 5, 'u', start_after => '0', merge => true, retry_limit => 1) = :j AS same;
SELECT data, priority, state, start_at FROM nvent.queue_find('e', 'u');
SELECT * FROM pg_temp.fetch();
SELECT nvent.queue_upsert('e', '{"n": 2}', key => 'u') > :j AS another, nvent.queue_upsert('e', '{"n": 3}', key => 'u') > :j AS same;
SELECT data, state FROM nvent.queue_find('e', 'u');
SELECT * FROM pg_temp.fetch();
-- In a queue with a policy, not while what is active has the key.
SELECT nvent.queue_upsert('x', '1', key => 'u') > 0 AS sent, nvent.queue_upsert('x', '2', key => 'u') > 0 AS changed;
SELECT data FROM nvent.queue_fetch('x');
SELECT nvent.queue_upsert('x', '3', key => 'u');
SELECT data, state FROM nvent.queue_find('x', 'u');

-- Rolled back, nothing has changed, and what was passed over is found.
SELECT nvent.queue_send('e', '"r1"') AS j \gset
SELECT nvent.queue_send('e', '"r2"') > 0 AS sent;
BEGIN;
SELECT count(*) FROM nvent.queue_update('e', :j, '"changed"');
SAVEPOINT s;
SELECT count(*) FROM nvent.queue_update('e', :j, '"again"', priority => 2, start_after => '1 h');
ROLLBACK TO s;
SELECT data, priority, start_at FROM nvent.queue_get('e', :j);
ROLLBACK;
SELECT * FROM pg_temp.fetch();
-- A transaction that keeps its snapshot can.
SELECT nvent.queue_send('e', '"rr"', key => 'rr') AS j \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM nvent.queue_update('e', :j, '"rr 2"');
SELECT count(*) FROM nvent.queue_update('e', :j, '"rr 3"', priority => 1);
SELECT nvent.queue_upsert('e', '"rr 4"', key => 'rr') = :j AS same;
COMMIT;
SELECT * FROM pg_temp.fetch();

-- Where one of a key is active at a time: those that wait are changed, and what is
-- put off when it is its turn lets the next one go.
SELECT nvent.queue_create('one', 'singleton');
SELECT nvent.queue_send('one', to_jsonb(n), key => 'k') FROM generate_series(1, 4) n \g /dev/null
SELECT data FROM nvent.queue_fetch('one', 10);
SELECT count(*) FROM q_jobs, nvent.queue_update('one', id, '"2 again"') WHERE data = '2';
SELECT count(*) FROM q_jobs, nvent.queue_update('one', id, priority => 1) WHERE data = '4';
SELECT count(*) FROM q_jobs, nvent.queue_update('one', id, start_after => '0') WHERE data = '3';
SELECT data FROM nvent.queue_fetch('one', 10);
SELECT nvent.queue_complete('one', id, 1) FROM nvent.queue_find('one', 'k') WHERE state = 'active';
BEGIN;
SELECT data FROM nvent.queue_fetch('one', 10);
ROLLBACK;
SELECT count(*) FROM q_jobs, nvent.queue_update('one', id, start_after => '1 hour') WHERE data = '4';
SELECT data FROM nvent.queue_fetch('one', 10);
SELECT nvent.queue_complete('one', id, 1) FROM nvent.queue_find('one', 'k') WHERE state = 'active';
SELECT data FROM nvent.queue_fetch('one', 10);
SELECT nvent.queue_complete('one', id, 1) FROM nvent.queue_find('one', 'k') WHERE state = 'active';
SELECT data FROM nvent.queue_fetch('one', 10);
SELECT data, priority, state, start_at > now() AS later FROM nvent.queue_find('one', 'k');

-- Purging takes what has a turn by now.
SELECT nvent.queue_send('e', to_jsonb(n)) > 0 AS sent FROM generate_series(1, 2) n;
SELECT nvent.queue_send('e') AS j \gset
SELECT count(*) FROM nvent.queue_update('e', :j, priority => 4), (SELECT nvent.queue_purge('e')) p;
SELECT nvent.queue_purge('e'), (SELECT count(*) FROM q_job_turns) AS turns;

-- Nor is a job changed that was deleted by hand and has a turn still.
SELECT nvent.queue_send('e', start_after => '1 day') AS d \gset
DELETE FROM q_jobs WHERE id = :d;
SET statement_timeout = '20 s';
SELECT count(*) FROM nvent.queue_update('e', :d, '1');
RESET statement_timeout;
DELETE FROM q_job_turns WHERE id = :d;

-- Nor one that a policy keeps from it, be it ready or have it a turn: that is told.
CREATE ROLE regress_nvs_changer;
SELECT nvent.store_grant('regress_nvs_changer', 'write', 'q');
SELECT nvent.queue_send('e', '1', key => 'kept') AS r \gset
SELECT nvent.queue_send('e', '1', key => 'later', start_after => '1 day') AS t \gset
SET statement_timeout = '20 s';
CREATE FUNCTION pg_temp.attempt(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN triggered_data_change_violation THEN
    RETURN regexp_replace(SQLERRM, '\d+', 'N');
END $$;
CREATE FUNCTION pg_temp.attempt_all() RETURNS TABLE (call text, outcome text) LANGUAGE sql AS $$
    SELECT c, pg_temp.attempt(c) FROM unnest(ARRAY[
        'SELECT nvent.queue_update(''e'', key => ''kept'', data => ''2'')', 'SELECT nvent.queue_upsert(''e'', ''2'', key => ''kept'')',
        'SELECT nvent.queue_update(''e'', key => ''later'', data => ''2'')', 'SELECT nvent.queue_upsert(''e'', ''2'', key => ''later'')']) c
$$;
CREATE POLICY p ON q_jobs USING (true) WITH CHECK (true);
CREATE POLICY q ON q_jobs AS RESTRICTIVE FOR UPDATE USING (false);
ALTER TABLE q_jobs ENABLE ROW LEVEL SECURITY;
SET ROLE regress_nvs_changer;
SELECT * FROM pg_temp.attempt_all();
RESET ROLE;
ALTER TABLE q_jobs DISABLE ROW LEVEL SECURITY;
CREATE POLICY p ON q_job_turns USING (true) WITH CHECK (true);
CREATE POLICY q ON q_job_turns AS RESTRICTIVE FOR UPDATE USING (false);
ALTER TABLE q_job_turns ENABLE ROW LEVEL SECURITY;
SET ROLE regress_nvs_changer;
SELECT * FROM pg_temp.attempt_all();
SELECT pg_temp.attempt(format('SELECT nvent.queue_update(''e'', %s, ''2'')', :t));
RESET ROLE;
ALTER TABLE q_job_turns DISABLE ROW LEVEL SECURITY;
RESET statement_timeout;
SELECT data, nvent.queue_delete('e', id) FROM nvent.queue_find('e', 'kept') UNION ALL SELECT data, nvent.queue_delete('e', id) FROM nvent.queue_find('e', 'later');
DROP OWNED BY regress_nvs_changer;
DROP ROLE regress_nvs_changer;

-- What is refused.
SELECT nvent.queue_update('e');
SELECT nvent.queue_update('e', 1, key => 'k');
SELECT nvent.queue_update('e', 1, merge => NULL);
SELECT nvent.queue_update('e', 1, match => NULL);
SELECT nvent.queue_update('e', 1, match => 'some');
SELECT nvent.queue_update('e', 1, start_at => now(), start_after => '0');
SELECT nvent.queue_update('e', 1, lease => '0');
SELECT nvent.queue_update('e', 1, retry_limit => -1);
SELECT nvent.queue_update('e', 1, dead_letter => 'none');
SELECT nvent.queue_update('e', key => '');
SELECT nvent.queue_update('none', 1);
SELECT nvent.queue_upsert('e');
SELECT nvent.queue_upsert('e', key => '');
SELECT nvent.queue_upsert('e', key => 'k', merge => NULL);
SELECT nvent.queue_upsert('e', key => 'k', max_run => '-1 s');

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
