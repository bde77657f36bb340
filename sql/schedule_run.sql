-- Runs of schedules: events, jobs, missed runs, runs that fail, whose rights and
-- whose code.  Seen to fail with authors that nobody asks for their rights; with
-- an author who is only who wrote last, and with one who is only who wrote first;
-- without the trigger that looks at what other triggers made of the authors;
-- without the look at policies; with runs whose roles become authors; and without
-- the look at foreign code; with a run's pass for what triggers write, and for what
-- they make of its row; with runs that fail for a while always found first.
SET timezone = 'UTC';
\pset null NULL
SELECT nvent.store_create(), nvent.store_create('shop');
-- A schedule at an interval of an hour that is late by this.
CREATE FUNCTION pg_temp.late(name text, late interval, missed text DEFAULT 'once', subject text DEFAULT 'r:1') RETURNS void
LANGUAGE sql AS $$
    SELECT nvent.schedule_set($1, $4, '{"type": "due"}', every => '1 hour', missed => $3);
    UPDATE nvent_scheduler_jobs SET next_run_at = (extract(epoch FROM clock_timestamp() - $2) * 1000)::bigint WHERE job_id = $1;
$$;
-- In how many minutes it is due, and how it is.
CREATE VIEW runs AS
    SELECT name, round(extract(epoch FROM next_run_at - clock_timestamp()) / 60) AS minutes, last_run_at IS NOT NULL AS ran, status, error
    FROM nvent.schedule_list() ORDER BY name;

-- A run is an event with the schedule's name and when it was due.
SELECT pg_temp.late('a', '10 seconds');
SELECT next_run_at AS due FROM nvent_scheduler_jobs \gset
SELECT nvent.schedule_run(), nvent.schedule_run();
SELECT r - '{id,ts}'::text[] #- '{meta,scheduledAt}' AS record, (r #>> '{meta,scheduledAt}')::bigint = :due AS in_time FROM nvent.stream_read('r:1') r;
SELECT next_run_at = :due + 3600000 AS no_drift, last_run_at > :due AS ran, version FROM nvent_scheduler_jobs;
SELECT * FROM runs;

-- Three hours and a half are missed: one run for all, each of them, or none; of
-- the last one, where the grace is longer than that is late.
TRUNCATE nvent_scheduler_jobs;
SELECT pg_temp.late('once', '3 hours 30 minutes', 'once', 'm:once'), pg_temp.late('all', '3 hours 30 minutes', 'all', 'm:all'),
    pg_temp.late('skip', '3 hours 30 minutes', 'skip', 'm:skip'), pg_temp.late('grace', '3 hours 30 minutes', 'skip', 'm:grace');
UPDATE nvent_scheduler_jobs SET config = config || '{"graceMs": 3600000}' WHERE job_id = 'grace';
SELECT nvent.schedule_run(), nvent.schedule_run();
SELECT * FROM runs;
SELECT subject, count(*), min(round(extract(epoch FROM now() - to_timestamp((r #>> '{meta,scheduledAt}')::float8 / 1000)) / 60)) AS last,
    max(round(extract(epoch FROM now() - to_timestamp((r #>> '{meta,scheduledAt}')::float8 / 1000)) / 60)) AS first
FROM unnest(ARRAY['m:once', 'm:all', 'm:skip', 'm:grace']) subject, nvent.stream_read(subject) r GROUP BY subject ORDER BY subject;

-- All of them in parts, those first that were due first.
TRUNCATE nvent_scheduler_jobs;
SELECT pg_temp.late('later', '2 hours 30 minutes', 'all'), pg_temp.late('sooner', '4 hours 30 minutes', 'all');
SELECT nvent.schedule_run(max_count => 0), nvent.schedule_run(max_count => 2);
SELECT * FROM runs;
SELECT nvent.schedule_run(max_count => 100), nvent.schedule_run();

-- By cron, and once.
TRUNCATE nvent_scheduler_jobs;
SELECT nvent.schedule_set('cron', 'c:1', '{"type": "due"}', '0 0 1 * *', missed => 'all') > now() AS set,
    nvent.schedule_set('at', 'c:2', '{"type": "due"}', at => '2026-01-01') AS at;
UPDATE nvent_scheduler_jobs SET next_run_at = (extract(epoch FROM date_trunc('month', now()) - interval '2 months') * 1000)::bigint WHERE job_id = 'cron';
SELECT nvent.schedule_run();
SELECT array_agg(to_timestamp((r #>> '{meta,scheduledAt}')::float8 / 1000) ORDER BY r) = ARRAY(
    SELECT date_trunc('month', now()) - i * interval '1 month' FROM generate_series(0, 2) i ORDER BY i DESC) AS three_months
FROM nvent.stream_read('c:1') r;
SELECT name, status, next_run_at = nvent.cron_next('0 0 1 * *') AS in_time FROM nvent.schedule_list();
SELECT nvent.schedule_run(), nvent.schedule_set('at', 'c:2', '{"type": "due"}', at => '2026-01-01') AS at;

-- A run that is rolled back is made again.
TRUNCATE nvent_scheduler_jobs;
SELECT pg_temp.late('a', '1 minute', subject => 'b:1');
BEGIN;
SELECT nvent.schedule_run();
ROLLBACK;
SELECT nvent.schedule_run();
SELECT nvent.stream_version('b:1');

-- What is paused, or nobody's of ours, is not run.
TRUNCATE nvent_scheduler_jobs;
SELECT pg_temp.late('paused', '1 minute');
SELECT nvent.schedule_pause('paused');
SELECT nvent.entry_add('nvent:scheduler:jobs', 'theirs', 1, '{"cron": "* * * * *", "scheduledAt": 1, "nextRunAt": 1, "config": {"x": 1}}') IS NOT NULL AS added;
SELECT nvent.entry_add('nvent:scheduler:jobs', 'odd', 1, '{"cron": "* * * * *", "scheduledAt": 1, "nextRunAt": 1, "config": ["subject"]}') IS NOT NULL AS added;
SELECT nvent.schedule_run();
-- One that was written by hand is.
SELECT nvent.entry_add('nvent:scheduler:jobs', 'hand', 1, '{"cron": "@yearly", "scheduledAt": 1, "nextRunAt": 1, "config": {"subject": "h:1", "event": {"type": "t"}}}') IS NOT NULL AS added;
SELECT nvent.schedule_run();
SELECT nvent.stream_version('h:1');

-- A run that fails keeps no other from its turn, and is not tried again.
TRUNCATE nvent_scheduler_jobs;
SELECT nvent.stream_close('closed:1') IS NOT NULL AS closed;
SELECT pg_temp.late('closed', '9 minutes', subject => 'closed:1'), pg_temp.late('cron', '8 minutes'), pg_temp.late('zone', '8 minutes'), pg_temp.late('span', '7 minutes'),
    pg_temp.late('store', '6 minutes'), pg_temp.late('missed', '5 minutes'), pg_temp.late('event', '4 minutes'), pg_temp.late('grace', '4 minutes', 'skip'), pg_temp.late('well', '3 minutes', subject => 'well:1');
UPDATE nvent_scheduler_jobs SET cron = CASE job_id WHEN 'cron' THEN 'x' WHEN 'zone' THEN '@daily' END, timezone = CASE job_id WHEN 'zone' THEN 'Mars' END, "interval" = NULL WHERE job_id IN ('cron', 'zone');
UPDATE nvent_scheduler_jobs SET "interval" = 0 WHERE job_id = 'span';
UPDATE nvent_scheduler_jobs SET config = config || '{"subject": "shop:x:1"}' WHERE job_id = 'store';
UPDATE nvent_scheduler_jobs SET config = config || '{"missed": "x"}' WHERE job_id = 'missed';
UPDATE nvent_scheduler_jobs SET config = config || '{"event": 1}' WHERE job_id = 'event';
UPDATE nvent_scheduler_jobs SET config = config || '{"graceMs": "x"}' WHERE job_id = 'grace';
SELECT nvent.schedule_run(), nvent.schedule_run();
SELECT nvent.stream_version('well:1');
SELECT * FROM runs;
SELECT nvent.stream_reopen('closed:1') IS NOT NULL AS reopened;
SELECT nvent.schedule_resume('closed');
SELECT * FROM runs WHERE name = 'closed';
-- Setting it does that too, and the run that failed is made.
UPDATE nvent_scheduler_jobs SET next_run_at = 1, status = 'failed' WHERE job_id = 'closed';
SELECT nvent.schedule_set('closed', 'closed:1', '{"type": "due"}', every => '1 hour');
SELECT nvent.schedule_run();
SELECT name, status, error FROM runs WHERE name = 'closed';

-- Whatever is in a row, the others are listed and run.
TRUNCATE nvent_scheduler_jobs;
INSERT INTO nvent_scheduler_jobs (job_id, scheduled_at, next_run_at, last_run_at, execute_at, "interval", config)
SELECT 'i' || i, 1, n, n, n, n, jsonb_build_object('subject', 'odd:1', 'event', g, 'graceMs', g, 'missed', 'skip')
FROM unnest('{-9223372036854775808,-1,0,9223372036854775807}'::bigint[], '{-9223372036854775808,-1,"\"x\"",1e300}'::jsonb[]) WITH ORDINALITY AS u (n, g, i);
SELECT pg_temp.late('well', '1 minute');
SELECT name, every, at, grace, last_run_at, next_run_at IS NOT NULL AS has_next FROM nvent.schedule_list();
SET client_min_messages = error;
SELECT nvent.schedule_run();
RESET client_min_messages;
SELECT name, status, error FROM runs;

-- Maintenance makes runs, for half of its budget.
TRUNCATE nvent_scheduler_jobs;
SELECT pg_temp.late('m' || i, i * interval '1 minute') FROM generate_series(1, 5) i;
SELECT nvent.maintain(budget => 0), nvent.maintain(budget => 2), nvent.maintain(budget => 4), nvent.maintain(), nvent.maintain();
SELECT pg_temp.late('m1', '1 minute');
SELECT nvent.maintain(store => 'shop'), nvent.maintain(store => 'nvent');

-- Runs that fail for a reason that passes do not come first each time.
TRUNCATE nvent_scheduler_jobs;
CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'busy' USING ERRCODE = '55P03'; END $$;
SELECT nvent.stream_append('busy:1', '{"type": "t"}') ? 'id' AS appended;
CREATE TRIGGER busy BEFORE INSERT ON nvent_stream_busy FOR EACH ROW EXECUTE FUNCTION busy();
SELECT pg_temp.late('bad' || i, '9 minutes', subject => 'busy:1') FROM generate_series(1, 2) i;
SELECT pg_temp.late('well', '1 minute');
-- What a row says of it may be anything.
UPDATE nvent_scheduler_jobs SET config = config || '{"triedAt": "never"}' WHERE job_id = 'well';
SET client_min_messages = error;
SELECT nvent.schedule_run(max_count => 1), nvent.schedule_run(max_count => 1), nvent.schedule_run(max_count => 1);
RESET client_min_messages;
SELECT job_id, config ? 'triedAt' AS tried, status FROM nvent_scheduler_jobs ORDER BY job_id;
DROP TRIGGER busy ON nvent_stream_busy;
SELECT nvent.schedule_run(max_count => 2), nvent.schedule_run();
DROP FUNCTION busy();

-- A job is sent with its options, once for each time that is due, and where its
-- key is taken it is not.
TRUNCATE nvent_scheduler_jobs;
SELECT nvent.queue_create('mail'), nvent.queue_create('one', 'exclusive');
SELECT nvent.schedule_job('j', 'mail', '{"data": {"kind": "digest"}, "priority": 3, "key": "k"}', every => '1 hour', missed => 'all') > now() AS set,
    nvent.schedule_job('plain', 'mail', at => '2026-01-01'), nvent.schedule_job('one', 'one', every => '1 hour', missed => 'all') > now() AS set;
UPDATE nvent_scheduler_jobs SET next_run_at = (extract(epoch FROM clock_timestamp() - interval '150 minutes') * 1000)::bigint WHERE "interval" IS NOT NULL;
SELECT nvent.schedule_run(), nvent.schedule_run();
SELECT data - 'scheduledAt' AS data, priority, to_timestamp((data->>'scheduledAt')::float8 / 1000) <= now() AS due, data->'scheduledAt' = lag(data->'scheduledAt') OVER (PARTITION BY data->'scheduleName' ORDER BY f.id) AS twice
FROM nvent.queue_fetch('mail', 10) f ORDER BY f.priority DESC, f.id;
SELECT count(*) FROM nvent.queue_fetch('one', 10);
SELECT name, subject, event, queue, job, status FROM nvent.schedule_list() ORDER BY name;
-- One that is set again as it was goes on; as an event it is another.
SELECT nvent.schedule_job('j', 'mail', '{"data": {"kind": "digest"}}', every => '1 hour') = next_run_at AS same FROM nvent.schedule_list() WHERE name = 'j';
SELECT nvent.schedule_set('j', 'r:1', '{"type": "due"}', at => '2200-01-01');
SELECT name, subject, event, queue, job FROM nvent.schedule_list() WHERE name = 'j';
-- What cannot be a job, and what was none when it was due.
SELECT nvent.schedule_job('x', 'none', at => now());
SELECT nvent.schedule_job('x', 'mail', '[]', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"nonsense": 1}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"data": 1}', at => now());
SELECT nvent.schedule_job('x', NULL, at => now());
-- What no run could send is said at once, as to who sends.
SELECT nvent.schedule_job('x', 'mail', '{"lease": "0 s"}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"lease": "-1 s"}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"maxRun": "0 s"}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"retryLimit": -1}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"key": ""}', at => now());
SELECT nvent.schedule_job('x', 'mail', jsonb_build_object('group', repeat('g', 1001)), at => now());
SELECT nvent.schedule_job('x', 'mail', '{"deadLetter": "none"}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"priority": 3000000000}', at => now());
SELECT nvent.schedule_job('x', 'mail', '{"throttle": "0 s"}', at => now());
SELECT nvent.queue_create('strict', 'key_strict_fifo');
SELECT nvent.schedule_job('x', 'strict', '{}', at => now());
SELECT nvent.schedule_job('x', 'strict', '{"key": "k", "lease": "1 s", "maxRun": "1 s", "retryLimit": 0, "group": "g", "deadLetter": "mail"}', at => '2100-01-01'), nvent.schedule_delete('x'), nvent.queue_drop('strict');
SELECT nvent.schedule_job('gone', 'one', at => '2026-01-01'), nvent.schedule_job('hand', 'mail', at => '2026-01-01'), nvent.schedule_job('none', 'mail', at => '2026-01-01');
SELECT nvent.queue_drop('one');
UPDATE nvent_scheduler_jobs SET config = config || '{"job": {"nonsense": 1}}' WHERE job_id = 'hand';
UPDATE nvent_scheduler_jobs SET config = config || '{"job": 1}' WHERE job_id = 'none';
SELECT nvent.schedule_run();
SELECT name, status, error FROM nvent.schedule_list() ORDER BY name;

-- In a transaction that only reads it is refused.
BEGIN READ ONLY;
SELECT nvent.schedule_run();
ROLLBACK;

-- A run has the rights that all have who wrote the schedule, when it is made.
CREATE ROLE regress_clerk;
CREATE ROLE regress_runner;
SELECT nvent.store_grant('regress_runner', 'write');
GRANT SELECT, INSERT, UPDATE ON nvent_scheduler_jobs TO regress_clerk;
GRANT USAGE ON SCHEMA nvent TO regress_clerk;
SELECT nvent.stream_append('r:1', '{"type": "t"}') IS NOT NULL AS made;
TRUNCATE nvent_scheduler_jobs;
SET ROLE regress_clerk;
SELECT nvent.schedule_set('sly', 'r:1', '{"type": "due"}', at => '2026-01-01') IS NOT NULL AS set;
SELECT nvent.schedule_run();
RESET ROLE;
SELECT nvent.stream_version('r:1') AS before \gset
SELECT name, status, error, authors FROM nvent.schedule_list();
SELECT nvent.maintain();
-- It does not matter who touched it last, that he may not write any more, or what
-- he says; nor that somebody else makes the run.
SET ROLE regress_runner;
SELECT nvent.schedule_resume('sly');
UPDATE nvent_scheduler_jobs SET authors = '{regress_runner}';
RESET ROLE;
REVOKE INSERT, UPDATE ON nvent_scheduler_jobs FROM regress_clerk;
SELECT authors FROM nvent.schedule_list();
SET ROLE regress_runner;
SELECT nvent.schedule_run();
RESET ROLE;
-- A column is enough to be an author, and so is when it is due.
TRUNCATE nvent_scheduler_jobs;
SET ROLE regress_runner;
SELECT nvent.schedule_set('honest', 'r:1', '{"type": "due"}', every => '1 hour') IS NOT NULL AS set;
RESET ROLE;
GRANT UPDATE (next_run_at) ON nvent_scheduler_jobs TO regress_clerk;
SET ROLE regress_clerk;
UPDATE nvent_scheduler_jobs SET next_run_at = 1;
RESET ROLE;
SELECT nvent.schedule_run();
SELECT authors, error FROM nvent.schedule_list();
SELECT nvent.stream_version('r:1') = :before AS nothing;
-- Set again by who may, it is his alone, and due when he says.
SET ROLE regress_runner;
SELECT nvent.schedule_set('honest', 'r:1', '{"type": "due"}', every => '1 hour') > clock_timestamp() + '59 minutes' AS anew;
RESET ROLE;
SELECT authors, status FROM nvent.schedule_list();
-- Whoever makes the run is none.
SELECT next_run_at FROM nvent_scheduler_jobs \gset
SET ROLE regress_runner;
UPDATE nvent_scheduler_jobs SET next_run_at = 1;
RESET ROLE;
SELECT nvent.schedule_run();
SELECT authors, status FROM nvent.schedule_list();
SELECT nvent.stream_version('r:1') = :before + 1 AS ran;
-- Nor when that fails, and is to be tried again.
CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'busy' USING ERRCODE = '55P03'; END $$;
CREATE TRIGGER busy BEFORE INSERT ON nvent_stream_r FOR EACH ROW EXECUTE FUNCTION busy();
SET ROLE regress_runner;
UPDATE nvent_scheduler_jobs SET next_run_at = 1;
RESET ROLE;
SET client_min_messages = error;
SELECT nvent.schedule_run(max_count => 1);
RESET client_min_messages;
SELECT authors, config ? 'triedAt' AS tried, status FROM nvent_scheduler_jobs;
DROP FUNCTION busy() CASCADE;
-- With the right it is run.
GRANT INSERT, UPDATE ON nvent_scheduler_jobs TO regress_clerk;
GRANT INSERT ON nvent_stream_r TO regress_clerk;
SET ROLE regress_clerk;
SELECT nvent.schedule_set('honest', 'r:1', '{"type": "due"}', at => '2026-01-01') IS NOT NULL AS set;
RESET ROLE;
SELECT nvent.schedule_run();
SELECT nvent.stream_version('r:1') = :before + 2 AS ran;
-- Not where a policy restricts him, or the role is gone.
ALTER TABLE nvent_stream_r ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON nvent_stream_r USING (true);
UPDATE nvent_scheduler_jobs SET status = 'pending', next_run_at = 1;
SELECT nvent.schedule_run();
ALTER TABLE nvent_stream_r DISABLE ROW LEVEL SECURITY;
DROP POLICY all_of_it ON nvent_stream_r;
ALTER ROLE regress_clerk RENAME TO regress_nobody;
SELECT nvent.schedule_resume('honest'), nvent.schedule_run();
ALTER ROLE regress_nobody RENAME TO regress_clerk;
SELECT nvent.schedule_resume('honest'), nvent.schedule_run();
-- Who sends a job needs what sending needs.
SET ROLE regress_clerk;
\set VERBOSITY terse
SELECT nvent.schedule_job('sly', 'mail', at => '2026-01-01');
\set VERBOSITY default
RESET ROLE;
SELECT nvent.schedule_job('sly', 'mail', at => '2026-01-01') IS NOT NULL AS set;
SET ROLE regress_clerk;
UPDATE nvent_scheduler_jobs SET config = config || '{"job": {"data": {"by": "clerk"}}}' WHERE job_id = 'sly';
RESET ROLE;
SELECT nvent.schedule_run();
SELECT count(*) FROM nvent.queue_fetch('mail', 10);
-- Nor does a trigger say who wrote it, be it behind ours; and while somebody might
-- have others in place of ours for a while, nothing is known of who wrote what.
GRANT TRIGGER ON nvent_scheduler_jobs TO regress_clerk;
SELECT nvent.schedule_run();
SET ROLE regress_clerk;
CREATE FUNCTION pg_temp.forge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.authors := '{regress_runner}'; RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON nvent_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION pg_temp.forge();
UPDATE nvent_scheduler_jobs SET status = 'pending' WHERE job_id = 'sly';
\set VERBOSITY terse
SELECT nvent.schedule_set('forged', 'r:1', '{"type": "due"}', at => '2026-01-01');
\set VERBOSITY default
RESET ROLE;
DROP TRIGGER zzz ON nvent_scheduler_jobs;
REVOKE TRIGGER ON nvent_scheduler_jobs FROM regress_clerk;
-- What has no authors is not run, and nothing is where nobody keeps them.
ALTER TABLE nvent_scheduler_jobs DISABLE TRIGGER schedule_author_check;
SELECT nvent.schedule_run();
SELECT nvent.maintain();
ALTER TABLE nvent_scheduler_jobs ENABLE TRIGGER schedule_author_check;
TRUNCATE nvent_scheduler_jobs;
SET session_replication_role = replica;
INSERT INTO nvent_scheduler_jobs (job_id, scheduled_at, next_run_at, config) VALUES ('a', 1, 1, '{"subject": "r:1", "event": {"type": "t"}}');
RESET session_replication_role;
SELECT nvent.schedule_run();
SELECT authors, status FROM nvent.schedule_list();
-- Who may not change schedules runs none.
SET ROLE regress_clerk;
SELECT nvent.schedule_run();
RESET ROLE;

-- Nobody's code runs by a run: not behind the table of schedules, not behind that
-- of the events, be it a trigger, a default, a constraint or a domain.
CREATE SCHEMA regress_trap;
GRANT ALL ON SCHEMA regress_trap TO regress_clerk;
SET ROLE regress_clerk;
CREATE FUNCTION regress_trap.spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung as %', current_user; RETURN NEW; END $$;
CREATE FUNCTION regress_trap.value() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung as %', current_user; RETURN 'x'; END $$;
CREATE FUNCTION regress_trap.holds(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung as %', current_user; RETURN true; END $$;
CREATE DOMAIN regress_trap.word AS text CHECK (regress_trap.holds(VALUE));
RESET ROLE;
-- A store of a role's own, which makes the runs.
CREATE ROLE regress_owner;
GRANT ALL ON SCHEMA public, regress_trap TO regress_owner;
GRANT USAGE ON SCHEMA nvent TO regress_owner;
SELECT nvent.store_grant('regress_owner', 'admin');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nvent TO regress_owner;
SET ROLE regress_owner;
SELECT nvent.store_create('own', 'public');
SELECT nvent.stream_append('own:r:1', '{"type": "t"}') IS NOT NULL AS made;
CREATE FUNCTION pg_temp.try_own() RETURNS TABLE (runs bigint, status text, error text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nvent.schedule_delete('s', 'own');
    PERFORM nvent.schedule_set('s', 'own:r:1', '{"type": "due"}', at => '2026-01-01', store => 'own');
    runs := nvent.schedule_run('own');
    SELECT l.status, l.error INTO status, error FROM nvent.schedule_list('own') l;
    RETURN NEXT;
END $$;
SELECT * FROM pg_temp.try_own();
CREATE TRIGGER trap BEFORE INSERT ON own_stream_r FOR EACH ROW EXECUTE FUNCTION regress_trap.spring();
SELECT * FROM pg_temp.try_own();
DROP TRIGGER trap ON own_stream_r;
ALTER TABLE own_stream_r ADD COLUMN trap text;
ALTER TABLE own_stream_r ALTER COLUMN trap SET DEFAULT regress_trap.value();
SELECT * FROM pg_temp.try_own();
ALTER TABLE own_stream_r DROP COLUMN trap;
ALTER TABLE own_stream_r ADD CONSTRAINT trap CHECK (regress_trap.holds(type)) NOT VALID;
SELECT * FROM pg_temp.try_own();
ALTER TABLE own_stream_r DROP CONSTRAINT trap;
ALTER TABLE own_stream_r ADD COLUMN trap regress_trap.word;
SELECT * FROM pg_temp.try_own();
ALTER TABLE own_stream_r DROP COLUMN trap;
CREATE TRIGGER trap AFTER UPDATE ON own_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION regress_trap.spring();
SELECT * FROM pg_temp.try_own();
DROP TRIGGER trap ON own_scheduler_jobs;
-- What triggers write during a run is theirs, and so is what they make of its row.
DELETE FROM own_scheduler_jobs;
RESET ROLE;
SELECT nvent.schedule_set('boss', 'own:r:1', '{"type": "due"}', at => '2200-01-01', store => 'own') IS NOT NULL AS set;
SET ROLE regress_owner;
SELECT nvent.schedule_set('mine', 'own:r:1', '{"type": "due"}', every => '1 hour', store => 'own') IS NOT NULL AS set;
CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.job_id = 'mine' THEN
        UPDATE own_scheduler_jobs SET next_run_at = 1 WHERE job_id = 'boss' AND tg_name = 'zz_time';
        UPDATE own_scheduler_jobs SET config = config || '{"event": {"type": "evil"}}' WHERE job_id = 'boss' AND tg_name = 'zz_event';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION public.distort() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.config := NEW.config || '{"event": {"type": "evil"}}'; RETURN NEW; END $$;
CREATE FUNCTION pg_temp.boss(setup text) RETURNS TABLE (authors text[], event jsonb, status text) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE own_scheduler_jobs SET next_run_at = 1 WHERE job_id = 'mine';
    EXECUTE setup;
    PERFORM nvent.schedule_run('own');
    RETURN QUERY SELECT l.authors, l.event, l.status FROM nvent.schedule_list('own') l WHERE name = 'boss';
END $$;
SELECT authors[2:] AS others, event, status FROM pg_temp.boss('SELECT');
BEGIN;
SELECT authors[2:] AS others, event, status FROM pg_temp.boss('CREATE TRIGGER zz_time AFTER UPDATE ON own_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION public.meddle()');
ROLLBACK;
BEGIN;
SELECT authors[2:] AS others, event, status FROM pg_temp.boss('CREATE TRIGGER zz_event AFTER UPDATE ON own_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION public.meddle()');
ROLLBACK;
RESET ROLE;
SET session_replication_role = replica;
UPDATE own_scheduler_jobs SET next_run_at = 1 WHERE job_id = 'boss';
RESET session_replication_role;
SET ROLE regress_owner;
BEGIN;
\set VERBOSITY terse
SELECT authors[2:] AS others, event, status FROM pg_temp.boss('CREATE TRIGGER zzz BEFORE UPDATE ON own_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION public.distort()');
\set VERBOSITY default
ROLLBACK;
DELETE FROM own_scheduler_jobs;
-- Triggers for what is not done do not matter, nor do the owner's own.
CREATE TRIGGER trap BEFORE DELETE ON own_stream_r FOR EACH ROW EXECUTE FUNCTION regress_trap.spring();
CREATE FUNCTION public.own_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'as %', current_user; RETURN NEW; END $$;
CREATE TRIGGER own AFTER INSERT ON own_stream_r FOR EACH ROW EXECUTE FUNCTION public.own_trigger();
SELECT * FROM pg_temp.try_own();
RESET ROLE;
-- What is wrong with schedules keeps nothing else from being maintained.
DROP VIEW runs;
ALTER TABLE nvent_scheduler_jobs DROP COLUMN config;
SELECT nvent.kv_set('k', '1', '1 microsecond');
SELECT nvent.maintain(store => 'nvent'), nvent.maintain();
SELECT nvent.schedule_list();
SELECT nvent.store_migrate('own', 0) > 0 AS dropped;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped, nvent.store_migrate('shop', 0) > 0 AS dropped;
DROP SCHEMA regress_trap CASCADE;
DROP OWNED BY regress_clerk, regress_owner, regress_runner;
DROP ROLE regress_clerk, regress_runner, regress_owner;
