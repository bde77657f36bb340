-- Who may do what with a queue: readers see, writers do, others learn nothing;
-- policies of a store's owner hold; and no call reaches another store's queue.
--
-- Seen to fail with a settled position that is raised by a role from whom a policy
-- hides jobs: nobody gets these any more ("Jobs that a policy hides"); with queues
-- that a session keeps whoever read them: a stranger gets an empty answer; with
-- maintenance that does not look at the code on tables of jobs: it runs as postgres.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue.sql'
\i :helpers
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_stranger;
SELECT nvent.store_create('mine'), nvent.store_create('other');
SELECT nvent.queue_create('e', store => s) FROM unnest('{mine,other}'::text[]) s;
SELECT nvent.queue_create('secret', store => 'other');
SELECT nvent.queue_send('e', '"theirs"', store => 'other') AS theirs \gset
SELECT nvent.queue_send('e', '"ours"', store => 'mine') AS ours \gset
SELECT nvent.store_grant('regress_nvs_reader', 'read', 'mine');
SELECT nvent.store_grant('regress_nvs_writer', 'write', 'mine');
GRANT USAGE ON SCHEMA nvent TO regress_nvs_stranger;
CREATE FUNCTION pg_temp.calls(store text, ours bigint) RETURNS TABLE (call text, result text) LANGUAGE sql VOLATILE AS $$
    SELECT c, pg_temp.answer(format(replace(c, '{job}', ours::text), store)) FROM unnest(ARRAY[
        '(SELECT state FROM nvent.queue_get(''e'', {job}, %L))', '(SELECT count(*) FROM nvent.queue_runs(''e'', {job}, %L))',
        'nvent.queue_create(''n'', store => %L)', 'nvent.queue_send(''e'', store => %L) > 0',
        '(SELECT count(*) FROM nvent.queue_send_batch(''e'', ARRAY[''{}'']::jsonb[], %L))',
        '(SELECT count(*) FROM nvent.queue_fetch(''e'', 1, store => %L))', 'nvent.queue_complete(''e'', {job}, 1, store => %L)',
        '(SELECT count(*) FROM nvent.queue_complete_many(''e'', ''{1}'', ''{1}'', store => %L))',
        '(SELECT count(*) FROM nvent.queue_list(store => %L))', '(SELECT count(*) FROM nvent.queue_find(''e'', data => ''"ours"'', store => %L))', 'nvent.queue_progress(''e'', {job}, 1, ''1'', %L)',
        'nvent.queue_fail(''e'', {job}, 1, store => %L)', 'nvent.queue_touch(''e'', {job}, 1, store => %L)',
        'nvent.queue_release(''e'', {job}, 1, store => %L)', 'nvent.queue_cancel(''e'', {job}, %L)', 'nvent.queue_resume(''e'', {job}, %L)',
        'nvent.queue_retry(''e'', {job}, %L)', '(SELECT count(*) FROM nvent.queue_cancel_many(''e'', ''{{job}}'', %L))', '(SELECT count(*) FROM nvent.queue_resume_many(''e'', ''{{job}}'', %L))', '(SELECT count(*) FROM nvent.queue_retry_many(''e'', ''{{job}}'', %L))', '(SELECT count(*) FROM nvent.queue_delete_many(''e'', ''{0}'', %L))', '(SELECT count(*) FROM nvent.queue_redrive(''e'', preview => true, store => %L))', '(SELECT count(*) FROM nvent.queue_redrive(''e'', store => %L))',
        '(SELECT count(*) FROM nvent.queue_update(''e'', {job}, ''1'', store => %L))', 'nvent.queue_upsert(''e'', key => ''u'', store => %L) > 0', 'nvent.queue_delete(''e'', {job}, %L)', 'nvent.queue_pause(''e'', %L)',
        'nvent.queue_unpause(''e'', %L)', 'nvent.queue_purge(''e'', %L)', 'nvent.queue_drop(''e'', %L)',
        -- There is none.
        'nvent.queue_send(''none'', store => %L)', '(SELECT state FROM nvent.queue_get(''none'', 1, %L))']) WITH ORDINALITY u (c, n) ORDER BY n $$;
SET ROLE regress_nvs_reader;
SELECT * FROM pg_temp.calls('mine', :ours);
SET ROLE regress_nvs_stranger;
SELECT result, count(*) FROM pg_temp.calls('mine', :ours) GROUP BY 1 ORDER BY 1;
SELECT result, count(*) FROM pg_temp.calls('other', :theirs) GROUP BY 1 ORDER BY 1;
SET ROLE regress_nvs_writer;
SELECT result, count(*) FROM pg_temp.calls('other', :theirs) GROUP BY 1 ORDER BY 1;
-- The job of another store is none of this one.
SELECT pg_temp.answer(format('nvent.queue_cancel(''e'', %s, ''mine'')', :theirs)), pg_temp.answer(format('nvent.queue_delete(''e'', %s, ''mine'')', :theirs)),
    pg_temp.answer('nvent.queue_send(''secret'', store => ''mine'')');
SELECT * FROM pg_temp.calls('mine', :ours);
RESET ROLE;
SELECT data, state FROM nvent.queue_get('e', :theirs, 'other');

-- Nor does who has no rights learn which queues others of the session used.
SELECT nvent.queue_create('known', store => 'mine');
SET ROLE regress_nvs_writer;
SELECT count(*) FROM nvent.queue_fetch('known', 0, store => 'mine');
SET ROLE regress_nvs_stranger;
SELECT pg_temp.answer('(SELECT count(*) FROM nvent.queue_fetch(''known'', 0, store => ''mine''))'), pg_temp.answer('(SELECT count(*) FROM nvent.queue_complete_many(''known'', ''{}'', ''{}'', store => ''mine''))');
RESET ROLE;

-- Maintenance runs no code of who owns the jobs as whoever calls it.
CREATE ROLE regress_nvs_mallory;
CREATE SCHEMA evil AUTHORIZATION regress_nvs_mallory;
SELECT nvent.store_create('evil', 'evil', 'regress_nvs_mallory');
CREATE TABLE seen (who text, what text);
GRANT ALL ON seen TO PUBLIC;
SET ROLE regress_nvs_mallory;
SELECT nvent.queue_create('q', keep_ended => '1 ms', store => 'evil');
SELECT nvent.queue_send('q', store => 'evil') > 0 AS sent;
SELECT nvent.queue_complete('q', id, attempt, store => 'evil') FROM nvent.queue_fetch('q', store => 'evil');
UPDATE evil.evil_job_runs SET ended_at = ended_at - interval '1 hour', lease_until = lease_until - interval '1 hour';
CREATE FUNCTION evil.spy() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO public.seen VALUES (current_user, tg_table_name); RETURN OLD; END$$;
CREATE TRIGGER spy BEFORE DELETE ON evil.evil_jobs FOR EACH ROW EXECUTE FUNCTION evil.spy();
RESET ROLE;
SELECT nvent.maintain(100, 'evil');
SELECT * FROM seen;
DROP TABLE seen;
SELECT nvent.store_migrate('evil', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_mallory;
DROP ROLE regress_nvs_mallory;

-- Jobs that a policy hides are none.
SELECT nvent.queue_create('r', store => 'mine');
SELECT nvent.queue_send('r', to_jsonb(n), store => 'mine') > 0 AS sent FROM generate_series(1, 4) n;
ALTER TABLE mine_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON mine_jobs TO regress_nvs_writer USING (data::text::int % 2 = 0);
SET ROLE regress_nvs_writer;
SELECT data FROM nvent.queue_fetch('r', 10, store => 'mine');
SELECT pg_temp.answer('nvent.queue_send(''r'', ''5'', store => ''mine'')'), pg_temp.answer('nvent.queue_send(''r'', ''6'', store => ''mine'') > 0');
SELECT nvent.queue_purge('r', 'mine');
RESET ROLE;
SELECT data FROM nvent.queue_fetch('r', 10, store => 'mine');
\set VERBOSITY terse
SELECT nvent.store_migrate('mine', 0) > 0 AS dropped, nvent.store_migrate('other', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
DROP ROLE regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
