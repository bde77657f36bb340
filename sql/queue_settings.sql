-- Settings of the planner, beside calls of queues and consumers whose plans go by
-- indexes: a user's code that runs in such a call sees and sets those of its
-- session, and what it sets is what SET says, no more; plans go by indexes whatever
-- is set, and whenever they are made.
--
-- Seen to fail with the settings swapped for the length of a call; with a level of
-- settings around it; with plans made by the session's settings.
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT nvent.store_create('s');
SET nvent_store.default_store = 's';
SELECT nvent.queue_create('q', 'stately'), nvent.queue_create('dead');
SELECT nvent.stream_create_table('t', store => 's');
SELECT nvent.consumer_subscribe('c', 't:>');

CREATE TABLE planner AS SELECT unnest('{enable_seqscan,enable_bitmapscan,enable_sort,enable_hashjoin,enable_mergejoin,jit}'::text[]) AS name;
CREATE TABLE seen (settings text, setting text);
-- Those of the planner's settings that are off, and another one.
CREATE FUNCTION off() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(name, ' ' ORDER BY name) FILTER (WHERE current_setting(name) = 'off'), 'none') || ', ' || current_setting('test.other') FROM planner
$$;
-- Notes what is off, then does with each setting what test.how says.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (off(), current_setting('test.how'));
    IF current_setting('test.how') IN ('local', 'session') THEN
        PERFORM set_config(name, 'off', current_setting('test.how') = 'local') FROM planner;
        PERFORM set_config('test.other', 'set', current_setting('test.how') = 'local');
    ELSIF current_setting('test.how') = 'caught' THEN
        BEGIN
            PERFORM set_config(name, 'off', false) FROM planner;
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    ELSIF current_setting('test.how') = 'error' THEN
        PERFORM set_config(name, 'off', true) FROM planner;
        RAISE division_by_zero;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER meddle AFTER INSERT OR UPDATE OR DELETE ON s_jobs FOR EACH STATEMENT EXECUTE FUNCTION meddle();
CREATE TRIGGER meddle AFTER INSERT OR UPDATE OR DELETE ON s_job_turns FOR EACH STATEMENT EXECUTE FUNCTION meddle();
CREATE TRIGGER meddle AFTER INSERT OR UPDATE OR DELETE ON s_job_runs FOR EACH STATEMENT EXECUTE FUNCTION meddle();
CREATE TRIGGER meddle AFTER INSERT OR UPDATE OR DELETE ON s_job_keys FOR EACH STATEMENT EXECUTE FUNCTION meddle();
CREATE TRIGGER meddle AFTER UPDATE ON s_consumers FOR EACH STATEMENT EXECUTE FUNCTION meddle();

-- Calls, with what is off behind each.
CREATE FUNCTION calls(purge bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    job bigint;
BEGIN
    job := nvent.queue_send('q', '1', key => 'k');
    RETURN NEXT 'send: ' || off();
    PERFORM nvent.queue_update('q', job, data => '2');
    RETURN NEXT 'update: ' || off();
    PERFORM nvent.queue_fetch('q');
    RETURN NEXT 'fetch: ' || off();
    PERFORM nvent.queue_touch('q', job, 1);
    RETURN NEXT 'touch: ' || off();
    PERFORM nvent.queue_fail('q', job, 1);
    RETURN NEXT 'fail: ' || off();
    PERFORM nvent.queue_cancel('q', job), nvent.queue_resume('q', job);
    RETURN NEXT 'cancel and resume: ' || off();
    IF purge THEN
        PERFORM nvent.queue_purge('q');
        RETURN NEXT 'purge: ' || off();
    END IF;
    PERFORM nvent.stream_append('t:1', '{"type": "x"}'), nvent.consumer_correlate(), nvent.consumer_claim(1, '1 hour');
    RETURN NEXT 'consumers: ' || off();
END $$;

-- Until the transaction ends.
SET test.other = 'as it was';
SET test.how = 'local';
SELECT * FROM calls();
SELECT off();
BEGIN;
SELECT * FROM calls();
SAVEPOINT s;
SELECT off();
COMMIT;
SELECT off();
-- Not if that, or a savepoint, is rolled back.
BEGIN;
SAVEPOINT s;
SELECT * FROM calls();
ROLLBACK TO s;
SELECT off();
SAVEPOINT s;
SELECT count(*) FROM calls();
RELEASE s;
SELECT off();
ROLLBACK;
SELECT off();
-- Nor by an error, whether a block catches that or not.
SET test.how = 'caught';
SELECT DISTINCT split_part(calls, ': ', 2) FROM calls();
SET test.how = 'error';
SELECT nvent.queue_send('q', '1', key => 'other');
SELECT off();
DO $$ BEGIN PERFORM nvent.queue_send('q', '1', key => 'other'); EXCEPTION WHEN division_by_zero THEN RAISE WARNING '%', off(); END $$;
SELECT off();
-- Each statement of the user's saw the settings as they were set.
SELECT settings, count(*) > 0 AS seen FROM seen WHERE setting <> 'local' GROUP BY 1 ORDER BY 1;
SELECT DISTINCT settings FROM seen ORDER BY 1;
-- And for the session.
SET test.how = 'session';
SELECT * FROM calls();
SELECT off();
SET test.how = 'nothing';
SELECT format('RESET %s', name) FROM planner ORDER BY 1
\gexec
SET test.other = 'as it was';
SELECT off();

-- Plans of ours go by indexes, though the tables are small, and for a search_path
-- that they are planned anew for; those of the user's code within do not.
CREATE FUNCTION scans(OUT ours bigint, OUT theirs bigint) LANGUAGE sql AS $$
    SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)) FILTER (WHERE relname ~ '^s_(job|consumers|scheduler)'), 0), sum(pg_stat_get_xact_numscans(oid)) FILTER (WHERE relname = 'small')
    FROM pg_class WHERE relkind = 'r'
$$;
CREATE TABLE small (id int PRIMARY KEY);
INSERT INTO small VALUES (1);
ANALYZE small;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM small WHERE id = 1;
    RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT OR UPDATE ON s_job_runs FOR EACH STATEMENT EXECUTE FUNCTION look();
DROP TRIGGER meddle ON s_jobs;
DROP TRIGGER meddle ON s_job_turns;
DROP TRIGGER meddle ON s_job_runs;
DROP TRIGGER meddle ON s_job_keys;
DROP TRIGGER meddle ON s_consumers;
SELECT nvent.schedule_set('a', 't:1', '{"type": "x"}', every => '1 hour') IS NOT NULL AS scheduled;
BEGIN;
SELECT ours AS before, theirs AS theirs_before FROM scans() \gset
SELECT count(*) FROM calls(false);
SELECT nvent.schedule_run();
SET LOCAL search_path = public, pg_temp;
SELECT count(*) FROM calls(false);
SELECT nvent.schedule_run();
SELECT ours - :before AS ours, theirs > :theirs_before AS theirs FROM scans();
COMMIT;

DROP FUNCTION look, meddle CASCADE;
DROP FUNCTION calls, off, scans;
DROP TABLE planner, seen, small;
RESET nvent_store.default_store;
SELECT nvent.store_migrate('s', 0);
