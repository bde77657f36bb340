-- Queues whose jobs are not written to the log: who may have it so, that jobs stay
-- where they are by that, and that all of a queue works as before.  What a crash
-- leaves is in 078_queue_unlogged.pl.
--
-- Seen to fail without the check of who owns the store, and with a table that is
-- left out.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_admin;
SELECT nvent.store_create('u'), nvent.store_create('l');
SELECT nvent.queue_create('q', store => s), nvent.queue_create('one', 'exclusive', store => s) FROM unnest('{u,l}'::text[]) s;
SELECT nvent.queue_send('q', '1', store => 'u') > 0 AS sent, nvent.queue_send('one', '2', key => 'k', store => 'u') > 0 AS sent, nvent.queue_send('q', '3', start_after => '1 hour', store => 'u') > 0 AS sent;
SELECT count(*) FROM nvent.queue_fetch('q', store => 'u');
CREATE VIEW persistence AS
    SELECT s AS store, string_agg(DISTINCT relpersistence, '') FILTER (WHERE relname ~ '^._job') AS jobs, string_agg(DISTINCT relpersistence, '') FILTER (WHERE relname !~ '^._job') AS others
    FROM unnest('{u,l}'::text[]) s JOIN pg_class ON relname ^@ (s || '_') AND relkind IN ('r', 'S') GROUP BY 1 ORDER BY 1;
SELECT nvent.queue_set_unlogged(store => 'u'), nvent.queue_set_unlogged(true, 'u'), nvent.queue_set_unlogged(false, 'l');
SELECT * FROM persistence;
-- Jobs are as they were, and go on.
CREATE FUNCTION pg_temp.jobs() RETURNS TABLE (queue text, state text, data jsonb, key text) LANGUAGE sql AS $$
    SELECT q.name, g.state, g.data, g.key FROM u_jobs j JOIN u_queues q ON q.number = j.queue, nvent.queue_get(q.name, j.id, 'u') g ORDER BY j.id $$;
SELECT * FROM pg_temp.jobs();
SELECT nvent.queue_send('one', key => 'k', store => 'u');
SELECT nvent.queue_complete('q', r.id, r.attempt, store => 'u') FROM u_job_runs r;
SELECT count(*) FROM nvent.queue_send_batch('q', array_fill('{}'::jsonb, ARRAY[5]), 'u');
SELECT count(nvent.queue_complete('q', id, attempt, store => 'u')) FROM nvent.queue_fetch('q', 3, store => 'u');
SELECT queue, state, count(*) FROM pg_temp.jobs() GROUP BY 1, 2 ORDER BY 1, 2;
-- Rolled back, it is as it was.
BEGIN;
SELECT nvent.queue_set_unlogged(false, 'u');
SELECT nvent.queue_send('q', store => 'u') > 0 AS sent;
ROLLBACK;
SELECT * FROM persistence;
SELECT nvent.queue_set_unlogged(false, 'u'), nvent.queue_set_unlogged(false, 'u');
SELECT * FROM persistence;
SELECT queue, state, count(*) FROM pg_temp.jobs() GROUP BY 1, 2 ORDER BY 1, 2;

-- What callers do wrong.
SELECT pg_temp.outcome(s) FROM unnest(ARRAY['SELECT nvent.queue_set_unlogged(NULL, ''u'')', 'SELECT nvent.queue_set_unlogged(store => ''none'')']) s;
SELECT nvent.store_grant('regress_nvs_admin', 'admin', 'u');
SET ROLE regress_nvs_admin;
SELECT pg_temp.outcome('SELECT nvent.queue_set_unlogged(store => ''u'')');
RESET ROLE;
BEGIN TRANSACTION READ ONLY;
SELECT nvent.queue_set_unlogged(store => 'u');
ROLLBACK;
SELECT nvent.store_migrate('l', 7) > 0 AS migrated, pg_temp.outcome('SELECT nvent.queue_set_unlogged(store => ''l'')');
-- Tables that are made anew are written to the log.
SELECT nvent.queue_set_unlogged(store => 'u'), nvent.store_migrate('u', 7) > 0, nvent.store_migrate('u') > 0, nvent.store_migrate('l') > 0;
SELECT * FROM persistence;
DROP VIEW persistence;
SELECT nvent.store_migrate('u', 0) > 0 AS dropped, nvent.store_migrate('l', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_admin;
DROP ROLE regress_nvs_admin;
