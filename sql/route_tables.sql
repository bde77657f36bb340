-- Tables of a module whose columns are not what they were: the owner of a store
-- can do what he likes with them, and gets an error, but a value is never taken
-- for what it is not.
--
-- Seen to fail without table_set_check_columns(): the server crashes, for a
-- number is taken for an address.
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
GRANT CREATE ON SCHEMA public TO regress_nvs_owner;
SELECT nvent.store_create('odd', owner => 'regress_nvs_owner');
SELECT nvent.queue_create('e', store => 'odd'), nvent.queue_send('e', '1', store => 'odd') > 0 AS sent;
SELECT nvent.consumer_subscribe('c', 'odd:order:>', store => 'odd');
SELECT nvent.stream_append('odd:order:1', '{"type": "t"}') ->> 'version' AS version;

-- What each call comes to.
CREATE FUNCTION pg_temp.outcomes(calls text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    result text := '';
BEGIN
    FOREACH call IN ARRAY calls LOOP
        BEGIN
            EXECUTE call;
            result := result || ' ok';
        EXCEPTION WHEN OTHERS THEN
            result := result || ' ' || SQLSTATE;
        END;
    END LOOP;
    RETURN ltrim(result);
END $$;
-- The same behind a change, which is undone.
CREATE FUNCTION pg_temp.behind(change text, calls text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE change;
    result := pg_temp.outcomes(calls);
    RAISE EXCEPTION USING ERRCODE = 'NV000', MESSAGE = result;
EXCEPTION WHEN SQLSTATE 'NV000' THEN
    RETURN SQLERRM;
END $$;
CREATE FUNCTION pg_temp.calls(tables text) RETURNS text[] LANGUAGE sql AS $$
    SELECT CASE WHEN tables IN ('odd_consumers', 'odd_checkpoints') THEN
        ARRAY[$c$SELECT count(*) FROM nvent.consumer_list(store => 'odd')$c$, $c$SELECT nvent.consumer_claim(store => 'odd')$c$,
              $c$SELECT nvent.checkpoint_load('c', store => 'odd')$c$, $c$SELECT nvent.consumer_subscribe('d', 'odd:>', store => 'odd')$c$]
    ELSE
        ARRAY[$c$SELECT nvent.queue_get('e', 1, 'odd')$c$, $c$SELECT nvent.queue_send('e', '1', store => 'odd')$c$,
              $c$SELECT nvent.queue_fetch('e', 1, store => 'odd')$c$, $c$SELECT nvent.queue_complete('e', 1, 1, store => 'odd')$c$,
              $c$SELECT nvent.queue_cancel('e', 1, store => 'odd')$c$, $c$SELECT nvent.maintain(10, 'odd')$c$]
    END $$;
-- A column of another type, one that is gone, one that may be null.
SELECT tables, change, outcome, count(*) FROM (
    SELECT c.relname AS tables, k AS change, pg_temp.behind(CASE k
        WHEN 'type' THEN format('ALTER TABLE %1$I DROP COLUMN %2$I CASCADE, ADD COLUMN %2$I %3$s NOT NULL DEFAULT 77', c.relname, a.attname,
            CASE WHEN a.atttypid = 'bigint'::regtype THEN 'text' ELSE 'bigint' END)
        WHEN 'gone' THEN format('ALTER TABLE %1$I DROP COLUMN %2$I CASCADE', c.relname, a.attname)
        ELSE format('ALTER TABLE %1$I DROP COLUMN %2$I CASCADE, ADD COLUMN %2$I %3$s', c.relname, a.attname, a.atttypid::regtype)
        END, pg_temp.calls(c.relname)) AS outcome
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0, unnest('{type,gone,nullable}'::text[]) k
    WHERE c.relname IN ('odd_consumers', 'odd_checkpoints', 'odd_queues', 'odd_job_levels', 'odd_jobs', 'odd_job_turns', 'odd_job_runs', 'odd_job_keys', 'odd_job_slots', 'odd_job_lanes', 'odd_job_waits', 'odd_job_parents')
    AND (k <> 'nullable' OR a.attnotnull)) x
GROUP BY tables, change, outcome ORDER BY tables, change, outcome;
-- Nothing has changed.
SELECT pg_temp.outcomes(pg_temp.calls('odd_queues')), pg_temp.outcomes(pg_temp.calls('odd_consumers'));
ALTER TABLE odd_jobs ALTER data TYPE text;
SELECT nvent.queue_send('e', store => 'odd');
ALTER TABLE odd_jobs DROP COLUMN data;
SELECT nvent.queue_send('e', store => 'odd');
ALTER TABLE odd_queues ALTER lease DROP NOT NULL;
ALTER TABLE odd_jobs ADD data jsonb;
SELECT nvent.queue_send('e', store => 'odd');
ALTER TABLE odd_queues ALTER lease SET NOT NULL;
SELECT nvent.queue_send('e', store => 'odd') > 0 AS sent;

-- Rows that no call of ours would write.
SELECT pg_temp.behind('UPDATE odd_consumers SET pattern = NULL, mark = NULL, initialized = ' || i, pg_temp.calls('odd_consumers') || '{SELECT nvent.consumer_claim(store => $$odd$$)}')
FROM unnest('{true,false}'::text[]) i;
SELECT pg_temp.behind('UPDATE odd_consumers SET prefix = NULL, mark = NULL', pg_temp.calls('odd_consumers'));
SELECT pg_temp.behind('INSERT INTO odd_job_runs (id, attempt, queue, priority, lease_until) SELECT j.id, 5, queue, priority, ' || quote_nullable(l) || '::timestamptz FROM odd_jobs j ORDER BY id DESC LIMIT 1', pg_temp.calls('odd_jobs'))
FROM unnest('{infinity,-infinity,NULL}'::text[]) l;
SELECT pg_temp.behind('INSERT INTO odd_job_turns (id, queue, priority, attempt, due_at) SELECT j.id, queue, priority, 2147483647, ''-infinity'' FROM odd_jobs j LIMIT 1', pg_temp.calls('odd_jobs'));
SELECT pg_temp.behind('UPDATE odd_queues SET retry_delay = ''-100 years'', retry_delay_max = ''-1 s'', max_run = ''178000000 years'', dead_letter = ''nobody''', pg_temp.calls('odd_jobs'));
SELECT pg_temp.behind('UPDATE odd_queues SET keep_ended = ''178000000 years'', keep_queued = ''178000000 years''', pg_temp.calls('odd_jobs'));
SELECT pg_temp.behind('DELETE FROM odd_job_levels', pg_temp.calls('odd_jobs'));
SELECT pg_temp.behind('UPDATE odd_job_levels SET settled = 9223372036854775807, leases_from = ''infinity''', pg_temp.calls('odd_jobs'));
\set VERBOSITY terse
SELECT nvent.store_migrate('odd', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_owner;
DROP ROLE regress_nvs_owner;
