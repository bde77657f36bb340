-- What queues note down is not taken for true where it cannot be: a time that has
-- yet to come, and a key of a job that is gone.
--
-- Seen to fail without either: the lease is never found to have run out, and what
-- is to come stays written down; no job is sent; and by any who ask for it: a role
-- that does not see a job takes its key.
SET client_min_messages = warning;
SELECT nvent.store_create('lease');
SELECT nvent.queue_create('q', lease => '1 ms', store => 'lease');
CREATE FUNCTION pg_temp.fetch() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        SELECT data::text || ', attempt ' || attempt INTO found FROM nvent.queue_fetch('q', store => 'lease');
        IF found IS NOT NULL THEN
            RETURN found;
        END IF;
    END LOOP;
    RETURN 'none';
END $$;

-- The clock was set back.
SELECT nvent.queue_send('q', '1', store => 'lease') > 0 AS sent;
SELECT pg_temp.fetch();
UPDATE lease_job_levels SET leases_from = now() + interval '1 day';
UPDATE lease_queues SET updated_at = now();
SELECT pg_temp.fetch();
-- It is written down when positions have moved by much: not what is to come.
SELECT count(nvent.next_position('lease')) FROM generate_series(1, 11000);
SELECT nvent.queue_send('q', '2', store => 'lease') > 0 AS sent;
SELECT pg_temp.fetch() <> 'none' AS fetched;
SELECT pg_temp.fetch() <> 'none' AS fetched;
SELECT pg_temp.fetch() <> 'none' AS fetched;
SELECT leases_from < now() AS mended FROM lease_job_levels;

-- A job is deleted without its key.
SELECT nvent.queue_create('k', 'exclusive', store => 'lease');
SELECT nvent.queue_send('k', '1', key => k, store => 'lease') > 0 AS sent FROM unnest('{a,b}'::text[]) k;
SELECT nvent.queue_send('k', '2', key => 'a', store => 'lease');
DELETE FROM lease_jobs WHERE key = 'a';
SELECT nvent.queue_send('k', '3', key => k, store => 'lease') > 0 AS sent FROM unnest('{a,b}'::text[]) k;
SELECT nvent.queue_send('k', '4', key => 'a', store => 'lease');
SELECT k.key, j.data FROM lease_job_keys k JOIN lease_jobs j USING (id) ORDER BY 1;
-- Not by who does not see all jobs.
CREATE ROLE regress_nvs_writer;
SELECT nvent.store_grant('regress_nvs_writer', 'write', 'lease');
ALTER TABLE lease_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON lease_jobs USING (data = '5');
SET ROLE regress_nvs_writer;
SELECT nvent.queue_send('k', '5', key => k, store => 'lease') > 0 AS sent FROM unnest('{a,b,c}'::text[]) k;
RESET ROLE;
SELECT k.key, j.data FROM lease_job_keys k JOIN lease_jobs j USING (id) ORDER BY 1;
\set VERBOSITY terse
SELECT nvent.store_migrate('lease', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_writer;
DROP ROLE regress_nvs_writer;
