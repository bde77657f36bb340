-- Jobs are sent, fetched and settled without statements where nothing comes
-- between these and the tables (queue/direct.c).  Where something does, it has
-- its say: each line below is one such thing, and what becomes of a job by it.
--
-- Seen to fail without what route/direct.c looks for: triggers and rules, defaults,
-- columns of others, policies, privileges, tables below, other keys.  Indexes,
-- constraints and publications are seen to by the functions that a statement calls,
-- too.
\set VERBOSITY terse
SET client_min_messages = error;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_worker;
CREATE SCHEMA direct;
SELECT nvent.store_create('d', 'direct');
SELECT nvent.store_grant('regress_nvs_worker', 'write', 'd');
GRANT USAGE, CREATE ON SCHEMA direct TO regress_nvs_worker;
SELECT nvent.queue_create('q', store => 'd');
CREATE TABLE direct.seen (n serial, what text);
GRANT ALL ON direct.seen, direct.seen_n_seq TO regress_nvs_worker;
CREATE FUNCTION direct.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO direct.seen (what) VALUES (lower(tg_op) || ' ' || lower(tg_level) || ' ' || tg_table_name);
    RETURN CASE WHEN tg_op = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION direct.keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

-- The life of three jobs, two of which are sent and fetched together: what the
-- tables have of them in the end, and what triggers saw; or the error.
CREATE FUNCTION pg_temp.life() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
    taken record;
    settled text;
    result text;
BEGIN
    ids := nvent.queue_send('q', '{"n": 1}', store => 'd')
        || ARRAY(SELECT nvent.queue_send_batch('q', ARRAY['{"data": {"n": 2}}', '{"data": {"n": 3}, "maxRun": "1 hour"}']::jsonb[], 'd'));
    SELECT array_agg(id ORDER BY id) AS ids, array_agg(attempt ORDER BY id) AS attempts, string_agg(data->>'n', ',') AS data INTO taken FROM nvent.queue_fetch('q', 3, 'w', 'd');
    settled := (SELECT count(*) FROM nvent.queue_complete_many('q', taken.ids[2:], taken.attempts[2:], store => 'd'))::text
        || nvent.queue_complete('q', taken.ids[1], taken.attempts[1], '"done"', 'd');
    result := format('%s fetched, %s completed; ', taken.data, settled) || coalesce((
        SELECT string_agg((j.data ->> 'n') || ' ' || concat_ws(' ', nullif(j.lease::text, ''), r.outcome, r.worker, r.output, r.run_until - r.started_at <= '1 hour', r.ended_at >= r.started_at), ', ' ORDER BY j.id)
        FROM direct.d_jobs j JOIN direct.d_job_runs r USING (id) WHERE j.id = ANY (ids)), 'no rows')
        || coalesce('; ' || (SELECT string_agg(c || ' x ' || what, ', ' ORDER BY what) FROM (SELECT what, count(*) AS c FROM direct.seen GROUP BY 1) s), '');
    DELETE FROM direct.seen;
    DELETE FROM direct.d_job_runs WHERE id = ANY (ids);
    DELETE FROM direct.d_jobs WHERE id = ANY (ids);
    DELETE FROM direct.seen;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, '[0-9]+', 'n', 'g');
END $$;

-- The same with something done to the tables, and then undone.
CREATE FUNCTION pg_temp.with(doing text, undoing text, who name DEFAULT 'regress_nvs_worker') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE doing;
    EXECUTE format('SET ROLE %I', who);
    result := pg_temp.life();
    RESET ROLE;
    EXECUTE undoing;
    RETURN result;
END $$;
CREATE TABLE cases (n serial, doing text, undoing text);
INSERT INTO cases (doing, undoing) VALUES
    ('SELECT', 'SELECT'),
    ('CREATE INDEX extra ON direct.d_job_runs ((outcome || ''x'')) WHERE worker IS NOT NULL', 'DROP INDEX direct.extra'),
    ('CREATE UNIQUE INDEX extra ON direct.d_job_runs (worker)', 'DROP INDEX direct.extra'),
    ('CREATE UNIQUE INDEX extra ON direct.d_job_runs (queue) WHERE outcome = ''completed''', 'DROP INDEX direct.extra'),
    ('CREATE UNIQUE INDEX extra ON direct.d_jobs ((data IS NULL))', 'DROP INDEX direct.extra'),
    ('ALTER TABLE direct.d_job_runs ALTER output SET NOT NULL', 'ALTER TABLE direct.d_job_runs ALTER output DROP NOT NULL'),
    ('ALTER TABLE direct.d_jobs ALTER key SET NOT NULL', 'ALTER TABLE direct.d_jobs ALTER key DROP NOT NULL'),
    ('ALTER TABLE direct.d_job_runs REPLICA IDENTITY NOTHING; CREATE PUBLICATION regress_nvs FOR TABLE direct.d_job_runs',
        'DROP PUBLICATION regress_nvs; ALTER TABLE direct.d_job_runs REPLICA IDENTITY DEFAULT'),
    ('CREATE TRIGGER spy BEFORE INSERT ON direct.d_jobs FOR EACH ROW EXECUTE FUNCTION direct.spy()', 'DROP TRIGGER spy ON direct.d_jobs'),
    ('CREATE TRIGGER spy AFTER INSERT OR UPDATE ON direct.d_job_runs FOR EACH ROW EXECUTE FUNCTION direct.spy()', 'DROP TRIGGER spy ON direct.d_job_runs'),
    ('CREATE TRIGGER spy AFTER INSERT OR UPDATE ON direct.d_job_runs EXECUTE FUNCTION direct.spy()', 'DROP TRIGGER spy ON direct.d_job_runs'),
    ('CREATE TRIGGER spy BEFORE INSERT ON direct.d_jobs FOR EACH ROW WHEN (NEW.data ->> ''n'' = ''2'') EXECUTE FUNCTION direct.keep_out()', 'DROP TRIGGER spy ON direct.d_jobs'),
    ('CREATE TRIGGER spy BEFORE INSERT ON direct.d_job_runs FOR EACH ROW WHEN (NEW.run_until IS NOT NULL) EXECUTE FUNCTION direct.keep_out()', 'DROP TRIGGER spy ON direct.d_job_runs'),
    ('CREATE TRIGGER spy BEFORE UPDATE ON direct.d_job_runs FOR EACH ROW WHEN (NEW.output IS NOT NULL) EXECUTE FUNCTION direct.keep_out()', 'DROP TRIGGER spy ON direct.d_job_runs'),
    ('CREATE RULE spy AS ON UPDATE TO direct.d_job_runs DO ALSO INSERT INTO direct.seen (what) VALUES (''rule'')', 'DROP RULE spy ON direct.d_job_runs'),
    ('ALTER TABLE direct.d_jobs ALTER lease SET DEFAULT ''5 minutes''', 'ALTER TABLE direct.d_jobs ALTER lease DROP DEFAULT'),
    ('ALTER TABLE direct.d_job_runs ALTER output SET DEFAULT ''0''', 'ALTER TABLE direct.d_job_runs ALTER output DROP DEFAULT'),
    ('ALTER TABLE direct.d_jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON direct.d_jobs USING (data ->> ''n'' <> ''2'') WITH CHECK (true)', 'DROP POLICY p ON direct.d_jobs; ALTER TABLE direct.d_jobs DISABLE ROW LEVEL SECURITY'),
    ('ALTER TABLE direct.d_jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON direct.d_jobs USING (true) WITH CHECK (data ->> ''n'' <> ''2'')', 'DROP POLICY p ON direct.d_jobs; ALTER TABLE direct.d_jobs DISABLE ROW LEVEL SECURITY'),
    ('ALTER TABLE direct.d_job_runs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON direct.d_job_runs USING (true) WITH CHECK (worker <> ''w'')', 'DROP POLICY p ON direct.d_job_runs; ALTER TABLE direct.d_job_runs DISABLE ROW LEVEL SECURITY'),
    ('REVOKE INSERT ON direct.d_jobs FROM regress_nvs_worker', 'GRANT INSERT ON direct.d_jobs TO regress_nvs_worker'),
    ('REVOKE INSERT ON direct.d_job_runs FROM regress_nvs_worker', 'GRANT INSERT ON direct.d_job_runs TO regress_nvs_worker'),
    ('REVOKE UPDATE ON direct.d_job_runs FROM regress_nvs_worker', 'GRANT UPDATE ON direct.d_job_runs TO regress_nvs_worker'),
    ('REVOKE UPDATE ON direct.d_jobs FROM regress_nvs_worker', 'GRANT UPDATE ON direct.d_jobs TO regress_nvs_worker'),
    ('REVOKE SELECT ON direct.d_job_runs FROM regress_nvs_worker', 'GRANT SELECT ON direct.d_job_runs TO regress_nvs_worker'),
    ('REVOKE UPDATE ON direct.d_job_runs FROM regress_nvs_worker; GRANT UPDATE (outcome, output) ON direct.d_job_runs TO regress_nvs_worker',
        'REVOKE UPDATE (outcome, output) ON direct.d_job_runs FROM regress_nvs_worker; GRANT UPDATE ON direct.d_job_runs TO regress_nvs_worker'),
    ('REVOKE UPDATE ON direct.d_job_runs FROM regress_nvs_worker; GRANT UPDATE (outcome, output, ended_at) ON direct.d_job_runs TO regress_nvs_worker',
        'REVOKE UPDATE (outcome, output, ended_at) ON direct.d_job_runs FROM regress_nvs_worker; GRANT UPDATE ON direct.d_job_runs TO regress_nvs_worker'),
    ('REVOKE EXECUTE ON FUNCTION nvent.next_position FROM regress_nvs_worker, PUBLIC', 'GRANT EXECUTE ON FUNCTION nvent.next_position TO PUBLIC'),
    ('REVOKE USAGE ON SCHEMA direct FROM regress_nvs_worker', 'GRANT USAGE ON SCHEMA direct TO regress_nvs_worker'),
    ('ALTER TABLE direct.d_job_runs ALTER attempt ADD GENERATED ALWAYS AS IDENTITY', 'ALTER TABLE direct.d_job_runs ALTER attempt DROP IDENTITY'),
    ('ALTER TABLE direct.d_jobs SET (fillfactor = 10)', 'ALTER TABLE direct.d_jobs RESET (fillfactor)');
SELECT replace(doing, 'direct.', '') AS doing, pg_temp.with(doing, undoing) AS becomes FROM cases ORDER BY n;

-- Rows may be in tables below one, and the key of a table another one.
CREATE TABLE direct.below () INHERITS (direct.d_job_runs);
SELECT nvent.queue_send('q', '{"n": 4}', store => 'd') AS id \gset
INSERT INTO direct.below (id, attempt, queue, priority) SELECT id, 1, queue, priority FROM direct.d_jobs WHERE id = :id;
SELECT count(*) FROM nvent.queue_fetch('q', store => 'd');
DROP TABLE direct.below;
DELETE FROM direct.d_jobs WHERE id = :id;
CREATE TABLE direct.below (LIKE direct.d_jobs INCLUDING ALL) INHERITS (direct.d_jobs);
SELECT nvent.queue_send('q', '{"n": 4}', store => 'd') AS id \gset
WITH d AS (DELETE FROM ONLY direct.d_jobs RETURNING *) INSERT INTO direct.below SELECT * FROM d;
SELECT count(*) FROM nvent.queue_fetch('q', store => 'd');
SELECT nvent.queue_complete('q', :id, 1, store => 'd');
DROP TABLE direct.below;
DELETE FROM direct.d_job_runs;
-- That it had such tables is known until then.
ANALYZE direct.d_jobs, direct.d_job_runs;
ALTER TABLE direct.d_jobs DROP CONSTRAINT d_jobs_pkey;
SELECT pg_temp.life();
ALTER TABLE direct.d_jobs ADD PRIMARY KEY (queue, id, priority);
SELECT pg_temp.life();
SELECT count(nvent.queue_send('q', '{"n": 4}', store => 'd')) FROM generate_series(1, 3);
SELECT count(*) FROM nvent.queue_fetch('q', 10, store => 'd');
ALTER TABLE direct.d_jobs DROP CONSTRAINT d_jobs_pkey, ADD PRIMARY KEY (queue, priority, id);
ALTER TABLE direct.d_job_runs DROP CONSTRAINT d_job_runs_pkey, ADD PRIMARY KEY (attempt, id);
SELECT count(*) FROM nvent.queue_fetch('q', 10, store => 'd');
ALTER TABLE direct.d_job_runs DROP CONSTRAINT d_job_runs_pkey, ADD PRIMARY KEY (id, attempt);
DELETE FROM direct.d_job_runs;
DELETE FROM direct.d_jobs;

-- Whoever has a job may no longer name the table when he settles it.
SELECT array_agg(i) AS ids FROM nvent.queue_send_batch('q', ARRAY['{"data": 1}', '{"data": 2}']::jsonb[], 'd') i \gset
SET ROLE regress_nvs_worker;
SELECT count(*) FROM nvent.queue_fetch('q', 2, store => 'd');
RESET ROLE;
REVOKE USAGE ON SCHEMA direct FROM regress_nvs_worker;
-- Others do without statements again by then.
SELECT count(*) FROM nvent.queue_fetch('q', 2, store => 'd');
SET ROLE regress_nvs_worker;
SELECT pg_temp.error_of(format('nvent.queue_complete(''q'', (%L::bigint[])[1], 1, store => ''d'')', :'ids'));
SELECT pg_temp.error_of(format('nvent.queue_complete_many(''q'', %L, ''{1,1}'', store => ''d'')', :'ids'));
RESET ROLE;
GRANT USAGE ON SCHEMA direct TO regress_nvs_worker;
DELETE FROM direct.d_job_runs;
DELETE FROM direct.d_jobs;

-- A statement rounds what a column has no room for.
ALTER TABLE direct.d_jobs ALTER created_at TYPE timestamptz(0);
SELECT nvent.queue_send('q', '{"n": 4}', store => 'd') AS id \gset
SELECT created_at = date_trunc('second', created_at) AS rounded FROM direct.d_jobs WHERE id = :id;
ALTER TABLE direct.d_jobs ALTER created_at TYPE timestamptz;
DELETE FROM direct.d_jobs;

-- Data of another table, in more than one piece; and a call within a call.
CREATE TABLE large AS SELECT jsonb_agg(md5(i::text)) AS data FROM generate_series(1, 2000) i;
ALTER TABLE large ALTER data SET STORAGE EXTERNAL;
UPDATE large SET data = data || '[]';
SELECT count(*) FROM nvent.queue_fetch('q', 10, store => 'd');
SELECT nvent.queue_send('q', data, store => 'd') AS id FROM large \gset
DELETE FROM large;
VACUUM large;
SELECT jsonb_array_length(data), md5(data::text) = (SELECT md5(jsonb_agg(md5(i::text))::text) FROM generate_series(1, 2000) i) AS same, attempt FROM nvent.queue_fetch('q', store => 'd');
SELECT nvent.queue_complete('q', :id, 1, '1', 'd'), nvent.queue_complete('q', :id, 1, '2', 'd'), nvent.queue_complete('q', :id, 2, '3', 'd');
SELECT array_agg(s) FROM nvent.queue_complete_many('q', ARRAY[:id, :id], '{1,1}', store => 'd') s;
BEGIN;
SELECT nvent.queue_send('q', '5', store => 'd') AS id \gset
SAVEPOINT s;
SELECT data, attempt FROM nvent.queue_fetch('q', store => 'd');
ROLLBACK TO s;
SELECT data, attempt FROM nvent.queue_fetch('q', store => 'd');
SELECT array_agg(s = :id) FROM nvent.queue_complete_many('q', ARRAY[:id, :id], '{1,1}', store => 'd') s;
COMMIT;
SELECT state, attempt FROM nvent.queue_get('q', :id, 'd');

-- Columns of others.  One that was dropped stays in the way.
DELETE FROM direct.d_job_runs;
DELETE FROM direct.d_jobs;
SELECT doing, pg_temp.with(doing, undoing, current_user) AS becomes FROM (VALUES
    ('ALTER TABLE direct.d_job_runs ADD more integer GENERATED ALWAYS AS (attempt + 1) STORED CHECK (more < 2)', 'ALTER TABLE direct.d_job_runs DROP more'),
    ('ALTER TABLE direct.d_jobs ADD more integer NOT NULL', 'ALTER TABLE direct.d_jobs DROP more'),
    ('SELECT', 'SELECT')) AS v (doing, undoing);
-- The id of a job is known to others before its row is there: one that a trigger
-- changes, to nothing or another's, is an error, and the key is free.
-- Seen to fail without that look at the ids: a job that is sent was not, by what was
-- returned, two had the same id, or a key belonged to a job that was not there.
SELECT nvent.queue_create('keys', 'exclusive', store => 'd');
SELECT nvent.queue_send('q', '"first"', store => 'd') AS first \gset
SELECT set_config('test.first', :'first', false) = :'first' AS set;
CREATE FUNCTION direct.renumber() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT %s', current_setting('test.id')) INTO NEW.id USING NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER renumber BEFORE INSERT ON direct.d_jobs FOR EACH ROW EXECUTE FUNCTION direct.renumber();
CREATE FUNCTION pg_temp.told(call text) RETURNS text LANGUAGE sql AS
    $$SELECT concat_ws(' ', code, message) FROM pg_temp.error_of(call)$$;
SELECT id, call, pg_temp.told(format('set_config(''test.id'', %L, false), nvent.%s', id, call)) AS becomes
FROM unnest('{0,NULL,current_setting(''test.first'')::bigint,-7,$1 + 1000000,$1}'::text[]) WITH ORDINALITY i (id, o),
    unnest(ARRAY['queue_send(''q'', store => ''d'')', 'queue_send(''q'', priority => 5, store => ''d'')', 'queue_send(''q'', start_after => ''1 hour'', store => ''d'')',
        'queue_send_batch(''q'', ''{"{}","{}"}'', ''d'')', 'queue_send(''keys'', key => ''k'' || random(), store => ''d'')']) WITH ORDINALITY c (call, p) ORDER BY i.o, c.p;
SELECT pg_temp.told($$set_config('test.id', '0', false), nvent.queue_send('keys', key => 'k', store => 'd')$$);
DROP TRIGGER renumber ON direct.d_jobs;
SELECT nvent.queue_send('keys', key => 'k', store => 'd') > 0 AS free;
SELECT count(*) = count(DISTINCT id) AS apart, count(*) FROM direct.d_jobs;
DROP FUNCTION direct.renumber;
SELECT nvent.store_migrate('d', 0) > 0 AS dropped;
DROP TABLE cases, large;
DROP SCHEMA direct CASCADE;
DROP OWNED BY regress_nvs_worker;
DROP ROLE regress_nvs_worker;
