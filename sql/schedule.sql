-- Setting, listing, pausing, resuming and deleting schedules.
SET timezone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
\pset null NULL

-- Without a store there is none, and setting one makes the store.
SELECT count(*) FROM nvent.schedule_list();
SELECT pg_temp.outcome($$SELECT nvent.schedule_delete('a')$$);
SELECT nvent.schedule_set('once', 'report:1', '{"type": "wanted"}', at => '2126-01-01 12:00Z');
SELECT nvent.schedule_set('hourly', 'report:1', '{"type": "wanted", "by": {"who": "ada"}}', every => '1 hour')
    > now() + interval '59 minutes' AS in_an_hour;
SELECT nvent.schedule_set('nightly', 'nvent:flow:run:1', '{"type": "wanted", "flowName": "f"}', cron => '30 2 * * *',
    time_zone => 'Europe/Berlin', missed => 'skip', grace => '5 minutes') = nvent.cron_next('30 2 * * *', 'Europe/Berlin') AS at_night;
SELECT nvent.store_create('shop');
SELECT nvent.schedule_set('sale', 'shop:sale:1', '{"type": "begun"}', cron => '@yearly', missed => 'all', store => 'shop')
    = nvent.cron_next('@yearly') AS new_year;
SELECT name, cron, every, at, time_zone, subject, event, missed, grace, enabled, status, last_run_at, next_run_at IS NOT NULL AS has_next, error
FROM nvent.schedule_list();
SELECT name, subject, missed FROM nvent.schedule_list('shop');
SELECT job_id, name, job_name, type, schedule, cron, "interval", execute_at, timezone, enabled, last_run_at, status, version,
    next_run_at > scheduled_at AS later FROM nvent_scheduler_jobs ORDER BY job_id;

-- They are entries as well.
SELECT nvent.entry_get('nvent:scheduler:jobs', 'once') #> '{metadata,config}' AS config;

-- Set again as it was it goes on as it was; with other times it begins anew.
UPDATE nvent_scheduler_jobs SET next_run_at = 5, last_run_at = 4 WHERE job_id = 'hourly';
SELECT nvent.schedule_pause('hourly');
SELECT nvent.schedule_set('hourly', 'report:2', '{"type": "wanted"}', every => '60 minutes', missed => 'all');
SELECT subject, missed, enabled, next_run_at, last_run_at FROM nvent.schedule_list() WHERE name = 'hourly';
SELECT nvent.schedule_set('hourly', 'report:2', '{"type": "wanted"}', every => '2 hours') > now() + interval '1 hour 59 minutes' AS anew;
SELECT nvent.schedule_set('hourly', 'report:2', '{"type": "wanted"}', cron => '@yearly') = nvent.cron_next('@yearly') AS anew;
SELECT name, cron, every, time_zone, enabled, last_run_at FROM nvent.schedule_list() WHERE name = 'hourly';
-- What was due once, and has been, is not due again until it is set to another time.
UPDATE nvent_scheduler_jobs SET next_run_at = NULL, status = 'completed' WHERE job_id = 'once';
SELECT nvent.schedule_set('once', 'report:1', '{"type": "wanted"}', at => '2126-01-01 12:00Z');
SELECT nvent.schedule_set('once', 'report:1', '{"type": "wanted"}', at => '2126-01-01 12:01Z');

-- Pausing and resuming; what was due meanwhile is over, unless it is due once.
SELECT nvent.schedule_pause('hourly'), nvent.schedule_pause('once'), nvent.schedule_pause('once'), nvent.schedule_pause('none');
UPDATE nvent_scheduler_jobs SET next_run_at = 1000;
SELECT nvent.schedule_resume('hourly'), nvent.schedule_resume('once'), nvent.schedule_resume('once'), nvent.schedule_resume('none');
SELECT name, enabled, status, next_run_at = nvent.cron_next('@yearly') AS in_time, next_run_at < now() AS over
FROM nvent.schedule_list() WHERE name IN ('hourly', 'once') ORDER BY name;

-- Deleting.
SELECT nvent.schedule_delete('once'), nvent.schedule_delete('once'), nvent.schedule_delete('sale'), nvent.schedule_delete('sale', 'shop');
SELECT name FROM nvent.schedule_list();

-- What is no schedule.
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.outcome('SELECT nvent.schedule_set(' || c || ')') FROM unnest(ARRAY[
    $$NULL, 's', '{"type": "t"}', '@daily'$$, $$'a', NULL, '{"type": "t"}', '@daily'$$, $$'a', 's', NULL, '@daily'$$,
    $$'a', 's', '{"type": "t"}', '@daily', time_zone => NULL$$, $$'a', 's', '{"type": "t"}', '@daily', missed => NULL$$,
    $$'a', 's', '{"type": "t"}', '@daily', grace => NULL$$,
    $$'', 's', '{"type": "t"}', '@daily'$$, $$repeat('x', 1025), 's', '{"type": "t"}', '@daily'$$,
    $$'a', '', '{"type": "t"}', '@daily'$$, $$'a', 'shop:s', '{"type": "t"}', '@daily'$$, $$'a', 's', '{"type": "t"}', '@daily', store => 'shop'$$,
    $$'a', 's', '[]', '@daily'$$, $$'a', 's', '{}', '@daily'$$, $$'a', 's', '{"type": 1}', '@daily'$$, $$'a', 's', '{"type": "t", "eventId": "e"}', '@daily'$$,
    $$'a', 's', '{"type": "t"}'$$, $$'a', 's', '{"type": "t"}', '@daily', '1 hour'$$, $$'a', 's', '{"type": "t"}', '@daily', at => now()$$,
    $$'a', 's', '{"type": "t"}', '1 2 3 4'$$, $$'a', 's', '{"type": "t"}', '@daily', time_zone => 'Mars'$$,
    $$'a', 's', '{"type": "t"}', every => '999 milliseconds'$$, $$'a', 's', '{"type": "t"}', every => '-1 day'$$, $$'a', 's', '{"type": "t"}', every => '1 month'$$,
    $$'a', 's', '{"type": "t"}', every => '36526 days'$$, $$'a', 's', '{"type": "t"}', at => 'infinity'$$,
    $$'a', 's', '{"type": "t"}', '@daily', missed => 'never'$$, $$'a', 's', '{"type": "t"}', '@daily', grace => '-1 s'$$, $$'a', 's', '{"type": "t"}', '@daily', grace => '1 year'$$,
    $$'a', 's', '{"type": "t"}', '@daily', store => 'none'$$]) WITH ORDINALITY AS u (c, n) ORDER BY n;
SELECT pg_temp.outcome('SELECT ' || c) FROM unnest(ARRAY[
    $$nvent.schedule_delete(NULL)$$, $$nvent.schedule_pause(NULL)$$, $$nvent.schedule_resume(NULL)$$, $$nvent.schedule_delete('a', 'none')$$,
    $$nvent.schedule_pause('a', 'none')$$, $$nvent.schedule_resume('a', 'none')$$, $$nvent.schedule_list('none')$$, $$nvent.schedule_run('none')$$,
    $$nvent.schedule_run(max_count => NULL)$$, $$nvent.schedule_run(max_count => -1)$$, $$nvent.schedule_run(max_count => 10001)$$]) WITH ORDINALITY AS u (c, n) ORDER BY n;
\pset format aligned
\pset tuples_only off

-- The privileges on the table are those to schedules.
CREATE ROLE regress_clerk;
CREATE ROLE regress_reader;
SELECT nvent.store_grant('regress_clerk', 'write'), nvent.store_grant('regress_reader', 'read');
SET ROLE regress_reader;
SELECT name FROM nvent.schedule_list();
SELECT pg_temp.outcome($$SELECT nvent.schedule_set('mine', 'report:1', '{"type": "t"}', '@daily')$$);
SELECT pg_temp.outcome($$SELECT nvent.schedule_pause('nightly')$$);
RESET ROLE;
SET ROLE regress_clerk;
SELECT nvent.schedule_set('mine', 'report:1', '{"type": "t"}', '@daily') IS NOT NULL AS set, nvent.schedule_pause('mine'), nvent.schedule_resume('mine'), nvent.schedule_delete('mine');
RESET ROLE;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped, nvent.store_migrate('shop', 0) > 0 AS dropped;
DROP OWNED BY regress_clerk, regress_reader;
DROP ROLE regress_clerk, regress_reader;
