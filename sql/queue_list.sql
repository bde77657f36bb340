-- Queues with what is said of them: as they were made, as they are since, and as
-- much of them as the caller may read.
--
-- Seen to fail with an argument of nvent.queue_create that is listed as another.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_stranger;
BEGIN;
SELECT nvent.queue_create('plain'), nvent.queue_create('all', 'singleton', 5, '1 min', '2 min', 3, '4 s', true, '5 min', 'plain', '6 days', '7 hours', 'inline',
    8, 9, '10 s', 11, '12 s');

-- As they were made, each argument another value.
\x
SELECT (to_jsonb(l) - '{created_at,updated_at}'::text[])::text AS queue, created_at = now() AND updated_at = now() AS now FROM nvent.queue_list() l;
\x
COMMIT;

-- Each argument of nvent.queue_create is there, and each column of a queue but its number.
SELECT string_agg(a, ' ') AS missing FROM (
    SELECT unnest(proargnames) FROM pg_proc WHERE proname = 'queue_create'
    UNION SELECT attname FROM pg_attribute WHERE attrelid = 'q_queues'::regclass AND attnum > 0
    EXCEPT SELECT unnest(proargnames) FROM pg_proc WHERE proname = 'queue_list' EXCEPT VALUES ('name'), ('number')) a (a);

-- As they are since.
UPDATE q_queues SET lease = '1 hour', dead_letter = NULL WHERE name = 'all';
SELECT nvent.queue_pause('plain'), nvent.queue_pause('all'), nvent.queue_unpause('all');
SELECT queue, lease, dead_letter, paused_at > created_at AS paused, updated_at > created_at AS updated FROM nvent.queue_list();
SELECT nvent.queue_set_unlogged();
SELECT queue, unlogged FROM nvent.queue_list('plain');

-- One, none, and none at all.
SELECT queue FROM nvent.queue_list('all');
SELECT count(*) FROM nvent.queue_list('none');
SELECT * FROM nvent.queue_list(store => 'none');
BEGIN;
SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
SET LOCAL nvent_store.default_store = 'none';
SELECT count(*) FROM nvent.queue_list();
ROLLBACK;

-- A change counts in the transaction that made it, and not when it is rolled back.
BEGIN;
SELECT nvent.queue_create('new'), nvent.queue_drop('all');
SELECT queue FROM nvent.queue_list();
ROLLBACK;
SELECT queue FROM nvent.queue_list();

-- Who may: readers and writers of the store, and each of them what a policy shows him.
SELECT nvent.store_grant('regress_nvs_reader', 'read'), nvent.store_grant('regress_nvs_writer', 'write');
GRANT USAGE ON SCHEMA nvent TO regress_nvs_stranger;
ALTER TABLE q_queues ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON q_queues USING (name <> 'all' OR current_user = 'regress_nvs_writer');
SET ROLE regress_nvs_writer;
SELECT queue FROM nvent.queue_list();
SET ROLE regress_nvs_reader;
SELECT queue FROM nvent.queue_list();
SELECT count(*) FROM nvent.queue_list('all');
SET ROLE regress_nvs_stranger;
SELECT pg_temp.outcome('SELECT nvent.queue_list()');
RESET ROLE;

-- A table in the place of the store's is nobody's.
ALTER TABLE q_queues RENAME TO q_queues_gone;
CREATE TABLE q_queues AS SELECT * FROM q_queues_gone;
ALTER TABLE q_queues OWNER TO regress_nvs_writer;
SELECT pg_temp.outcome('SELECT nvent.queue_list()');
DROP TABLE q_queues;
ALTER TABLE q_queues_gone RENAME TO q_queues;
ALTER TABLE q_queues RENAME lease TO leases;
SELECT pg_temp.outcome('SELECT nvent.queue_list()');

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
DROP ROLE regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
