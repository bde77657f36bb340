-- Taking over the tables of an adapter-store-postgres deployment, in place: no
-- row is lost or changed, and the tables are like those of a new store.
\set VERBOSITY terse
SET client_min_messages = warning;

-- Positions are above all ids here, whatever ran before.
SELECT setval('nvent.position_seq', last_value + 2000) > 2000 AS above FROM nvent.position_seq;

-- A deployment, as its migrations make it: deploy(prefix, schema, layout).
\getenv abs_srcdir PG_ABS_SRCDIR
\set deployment :abs_srcdir '/sql/include/deployment.sql'
\i :deployment

-- Rows in every table: ids with gaps and by hand, NULLs, falsy payloads, times
-- before 1970, counters at the end of their type, keys that expire.
CREATE FUNCTION fill(p text, s text) RETURNS void
LANGUAGE plpgsql AS $fill$
BEGIN
    EXECUTE replace($$
INSERT INTO @_flow_events (run_id, flow_name, ts, type, step_name, step_id, attempt, data) VALUES
    ('r1', 'import', 1769860800000, 'flow:started', NULL, NULL, NULL, '{"a": {"b": [1, null]}}'),
    ('r1', 'import', 1769860800001, 'step:done', 's', 's1', 0, 'false'),
    ('r1', 'import', -1, 'step:done', '', '', 3, 'null'),
    ('R1', 'Import', 0, 'flow:started', NULL, NULL, NULL, '0'),
    ('r:2', 'ümläut', 5, 'x', NULL, NULL, 2147483647, '""');
SELECT nextval('@_flow_events_id_seq');
INSERT INTO @_flow_events (run_id, flow_name, ts, type) VALUES ('r1', 'import', 9, 'flow:completed');
DELETE FROM @_flow_events WHERE id = 2;
INSERT INTO @_flow_events (id, run_id, flow_name, ts, type, created_at)
    VALUES (-7, 'r1', 'import', 1, 'by hand', NULL);
INSERT INTO @_trigger_events (trigger_name, ts, type, data) VALUES
    ('t1', 1, 'fired', '{"n": 1}'), ('t1', 2, 'fired', NULL), ('t2', -99, 'fired', '[]');
INSERT INTO @_trigger_events (id, trigger_name, ts, type) VALUES (1000, 't1', 3, 'by hand');
INSERT INTO @_flow_runs (flow_name, run_id, status, started_at, completed_at, step_count,
        completed_steps, last_activity_at, emitted_events, awaiting_steps, version) VALUES
    ('import', 'r1', 'completed', 1769860800000, 1769860801000, 3, 2147483647, -5,
        '{"s1": {"state": "done"}}', '{"w": null}', 7),
    ('import', 'r:2', 'running', -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('b', 'r', 'failed', 1, 2, 3, 4, 5, 'null', '[]', 0);
INSERT INTO @_flows (flow_name, display_name, flow_version, registered_at, last_run_at, stats_total,
        stats_success, stats_failure, stats_running, stats_awaiting, stats_cancel, version) VALUES
    ('import', 'Import', 2, 1769860800000, 1, 2147483647, 1, 2, 3, 4, 5, 2147483647),
    ('b', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO @_triggers (trigger_name, trigger_type, status, registered_at, display_name, scope,
        stats_total_fires, stats_last_fired_at, subscriptions, webhook, config, version) VALUES
    ('t1', 'event', 'active', 1769860800000, 'T', 'flow', 10, -1, '{"f": {"mode": "auto"}}', '{"url": "x"}', NULL, 3),
    ('t2', NULL, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL);
INSERT INTO @_scheduler_jobs (job_id, name, job_name, type, cron, interval, execute_at, timezone,
        enabled, scheduled_at, next_run_at, status, metadata, config) VALUES
    ('j1', 'n', 'jn', 'cron', '* * * * *', 5000, -1, 'Europe/Berlin', false, 1769860800000, 1, 'pending', '{"m": 1}', '{"c": [null]}'),
    ('j2', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO @_kv (key, value, expires_at) VALUES
    ('k:1', '{"a": 1}', NULL), ('k:2', 'false', '2100-01-01'), ('K:2', '""', '2000-01-01 00:00:00.123+00'),
    ('k:3', 'null', 'infinity'), ('%_\', '0', '-infinity');
$$, '@', s || '.' || p);
END $fill$;

-- What a deployment holds: table, row number and row.  Columns that came later
-- are left out when "only" is what it was.
CREATE FUNCTION content(p text, s text, only_columns jsonb DEFAULT NULL)
RETURNS TABLE (relation text, line jsonb)
LANGUAGE plpgsql AS $content$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY '{flow_events,trigger_events,flow_runs,flows,triggers,scheduler_jobs,kv,schema_version}'::text[]
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L, (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(t))
                WHERE $1 IS NULL OR $1->%L ? key) FROM %I.%I t', r, r, s, p || '_' || r)
            USING only_columns;
    END LOOP;
END $content$;
CREATE FUNCTION columns_of(p text, s text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(t, c) FROM (
        SELECT substr(table_name, length(p) + 2) AS t, jsonb_agg(column_name) AS c
        FROM information_schema.columns
        WHERE table_schema = s AND table_name LIKE p || '\_%' GROUP BY 1) x
$$;

-- Layout 2 in schema public.
SELECT deploy('nvent', 'public', 2);
SELECT fill('nvent', 'public');
CREATE TABLE old_columns AS SELECT columns_of('nvent', 'public') AS c;
CREATE TABLE before AS SELECT * FROM content('nvent', 'public');
SELECT relation, count(*) FROM before GROUP BY 1 ORDER BY 1;

-- The store is not made over the tables, which are not touched by the attempt.
SELECT nvent.store_create();
SELECT nvent.stream_append('nvent:flow:run:r1', '{"type": "x"}');
SELECT nvent.store_version() IS NULL AS unknown;
-- Nor do they read as empty.
SELECT count(*) FROM nvent.stream_read('nvent:flow:run:r1');
SELECT nvent.entry_get('nvent:flows', 'import');
SELECT nvent.kv_get('k:1');
SELECT nvent.kv_delete('k:1');
SELECT count(*) FROM nvent.kv_scan();
SELECT count(*) FROM nvent.kv_scan('k:*');
\set VERBOSITY default
SELECT cardinality(events) FROM nvent.stream_poll('>', 0);
\set VERBOSITY terse
-- Unless they are those of a role who could not take them over, nor be the caller:
-- whoever may make tables there could have others' calls fail.
CREATE ROLE regress_maker;
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA nvent TO regress_reader, regress_maker;
CREATE FUNCTION reads(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    RETURN nvent.kv_exists('k:1');
EXCEPTION WHEN SQLSTATE 'NV009' THEN RETURN SQLERRM;
END $$;
SELECT reads('regress_reader');
ALTER TABLE nvent_schema_version OWNER TO regress_maker;
SELECT reads('regress_reader'), nvent.kv_exists('k:1');
SELECT reads('regress_maker');
GRANT regress_maker TO regress_reader;
SELECT reads('regress_reader');
REVOKE regress_maker FROM regress_reader;
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_maker;
SELECT reads('regress_reader');
REVOKE EXECUTE ON FUNCTION nvent.store_create FROM regress_maker;
DO $$ BEGIN EXECUTE format('ALTER TABLE nvent_schema_version OWNER TO %I', session_user); END $$;
REVOKE USAGE ON SCHEMA nvent FROM regress_reader, regress_maker;
DROP ROLE regress_maker, regress_reader;
DROP FUNCTION reads;

-- Without a name it is the default store.
SELECT * FROM nvent.store_adopt();
SELECT nvent.store_version(), (SELECT array_agg(version ORDER BY version) FROM nvent_schema_version);

-- Nothing is lost, nothing has changed but a version that was NULL.
CREATE TABLE after AS SELECT * FROM content('nvent', 'public', (SELECT c FROM old_columns));
SELECT relation, line - 'updated_at' AS gone FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM after) x ORDER BY 1, 2;
SELECT relation, line - 'updated_at' - 'applied_at' AS new FROM (SELECT * FROM after EXCEPT ALL SELECT * FROM before) x ORDER BY 1, 2;

-- What is new is filled.
SELECT flow_name, run_id, score = started_at AS scored, extra FROM nvent_flow_runs ORDER BY 1, 2;
SELECT key, expire_bucket FROM nvent_kv ORDER BY key;

-- The tables are as those of a new store, up to the order of columns and to
-- indexes, of which the old ones stay.
CREATE FUNCTION shape_of(p text, s text) RETURNS TABLE (t text, a text, ty text, co text, nn boolean, df text)
LANGUAGE sql AS $$
    SELECT substr(relname, length(p) + 2), attname, format_type(atttypid, atttypmod),
        collname, attnotnull, replace(replace(pg_get_expr(adbin, adrelid), p || '_', ''), quote_literal(p), '''store''')
    FROM pg_class c JOIN pg_attribute ON attrelid = c.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_collation co ON co.oid = attcollation
    WHERE relnamespace = s::regnamespace AND relname LIKE p || '\_%' AND relkind = 'r'
        AND attnum > 0 AND NOT attisdropped
$$;
SELECT nvent.store_create('fresh', 'fresh');
SELECT 'lacks' AS adopted, * FROM (SELECT * FROM shape_of('fresh', 'fresh') EXCEPT SELECT * FROM shape_of('nvent', 'public')) x
UNION ALL
SELECT 'has', * FROM (SELECT * FROM shape_of('nvent', 'public') EXCEPT SELECT * FROM shape_of('fresh', 'fresh')) x
ORDER BY 1, 2, 3;
SELECT replace(c.relname, 'fresh_', '') AS relation, c.reloptions AS fresh, o.reloptions AS adopted
FROM pg_class c JOIN pg_class o ON o.relname = replace(c.relname, 'fresh_', 'nvent_')
WHERE c.relnamespace = 'fresh'::regnamespace AND o.relnamespace = 'public'::regnamespace
    AND c.reloptions IS DISTINCT FROM o.reloptions ORDER BY 1;
SELECT nvent.store_migrate('fresh', 0);
DROP SCHEMA fresh;

-- Old events are read, new ones come after all of them in every table, and
-- SQL of the old kind goes on working.
SELECT e - 'subject' FROM nvent.stream_read('nvent:flow:run:r1') e;
SELECT (nvent.stream_append('nvent:flow:run:r1', '{"type": "new"}')->>'id')::bigint > 1000 AS above;
INSERT INTO nvent_flow_events (run_id, flow_name, ts, type, step_name, step_id, attempt, data)
    VALUES ('r1', 'import', 10, 'old kind', NULL, NULL, NULL, NULL) RETURNING id > 1000 AS above;
INSERT INTO nvent_trigger_events (trigger_name, ts, type, data)
    VALUES ('t1', 11, 'old kind', '{}') RETURNING id > 1000 AS above;
SELECT (nvent.stream_append('nvent:trigger:event:t1', '{"type": "new", "runId": "r1"}')->>'id')::bigint > 1000 AS above;
SELECT id, type FROM nvent_flow_events WHERE run_id = 'r1' AND id < 1000 ORDER BY ts DESC LIMIT 10;
SELECT e->>'type' AS type FROM nvent.stream_read('nvent:flow:run:r1') e;
SELECT e->>'type' AS type FROM nvent.stream_read('nvent:trigger:event:t1') e;
INSERT INTO nvent_flow_runs (flow_name, run_id, status, started_at, version)
    VALUES ('import', 'new', 'running', 5, 0)
    ON CONFLICT (flow_name, run_id) DO UPDATE SET version = nvent_flow_runs.version + 1;
UPDATE nvent_flows SET stats_total = stats_total + 1, version = version + 1 WHERE flow_name = 'import'
    RETURNING stats_total, version;
DELETE FROM nvent_kv WHERE expires_at < now() RETURNING key;

-- Again there is nothing to adopt; the tables are the store's like any other's.
SELECT nvent.store_adopt('nvent');
SELECT nvent.store_create();
SELECT nvent.store_migrate('nvent', 0);
SELECT count(*) FROM pg_class WHERE relname LIKE 'nvent\_%' AND relnamespace = 'public'::regnamespace;
DROP TABLE before, after, old_columns;

-- Layout 1, elsewhere, without rows; and the tables that the adapter's README
-- prints, which lack columns that the migrations make.
CREATE SCHEMA "My-App";
CREATE SCHEMA app;
SELECT deploy('old', '"My-App"', 1);
ALTER TABLE "My-App".old_triggers DROP COLUMN last_activity_at, DROP COLUMN display_name,
    DROP COLUMN description, DROP COLUMN scope, DROP COLUMN source,
    DROP COLUMN stats_total_flows_started, DROP COLUMN stats_active_subscribers,
    DROP COLUMN subscriptions, DROP COLUMN webhook, DROP COLUMN schedule, DROP COLUMN config;
ALTER TABLE "My-App".old_scheduler_jobs DROP COLUMN name, DROP COLUMN type, DROP COLUMN cron,
    DROP COLUMN interval, DROP COLUMN execute_at, DROP COLUMN timezone, DROP COLUMN enabled,
    DROP COLUMN metadata, ADD COLUMN schedule text;
SELECT * FROM nvent.store_adopt('old', 'My-App') WHERE relation IN ('old_triggers', 'old_scheduler_jobs', 'old_trigger_events');
SELECT nvent.store_create('fresh', 'My-App');
SELECT 'lacks' AS adopted, * FROM (SELECT * FROM shape_of('fresh', '"My-App"') EXCEPT SELECT * FROM shape_of('old', '"My-App"')) x
UNION ALL
SELECT 'has', * FROM (SELECT * FROM shape_of('old', '"My-App"') EXCEPT SELECT * FROM shape_of('fresh', '"My-App"')) x
ORDER BY 1, 2, 3;
SELECT nvent.store_migrate('fresh', 0), nvent.store_migrate('old', 0);

-- Beside the adapter, which node-postgres gives text for a bigint: integers stay
-- such, and what counts in them is told where they end, as the version of import
-- is.  A table is written anew once at most, and no row is updated.
CREATE SCHEMA beside;
SELECT deploy('beside', 'beside', 2);
SELECT fill('beside', 'beside');
CREATE TABLE beside.rewrites (relation regclass);
CREATE FUNCTION beside.rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO beside.rewrites VALUES (pg_event_trigger_table_rewrite_oid());
END $$;
CREATE EVENT TRIGGER rewrite ON table_rewrite EXECUTE FUNCTION beside.rewrite();
CREATE FUNCTION beside.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'updated';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON beside.beside_flow_runs FOR EACH ROW EXECUTE FUNCTION beside.refuse();
BEGIN;
SELECT change FROM nvent.store_adopt('beside', 'beside', widen => true) WHERE relation = 'beside_flows';
SELECT relation, count(*) FROM beside.rewrites GROUP BY 1 ORDER BY relation::text;
ROLLBACK;
SELECT change FROM nvent.store_adopt('beside', 'beside', widen => false) WHERE relation = 'beside_flows';
SELECT relation, count(*) FROM beside.rewrites GROUP BY 1 ORDER BY relation::text;
DROP EVENT TRIGGER rewrite;
DROP TRIGGER refuse ON beside.beside_flow_runs;
SELECT table_name, count(*), string_agg(column_name, ' ' ORDER BY ordinal_position) FILTER (WHERE column_name = 'version') AS version
FROM information_schema.columns
WHERE table_schema = 'beside' AND data_type = 'integer' AND table_name ~ '(flows|flow_runs|triggers|scheduler_jobs)$'
GROUP BY 1 ORDER BY 1;
SELECT flow_name, run_id, score = started_at AS scored, version FROM beside.beside_flow_runs ORDER BY 1, 2;
SELECT nvent.entry_increment('beside:flows', 'import', 'stats.success', 5);
SELECT nvent.entry_update('beside:flows', 'b', '{"stats.total": 7, "displayName": "B", "mine": true}', expected_version => 0);
SELECT nvent.entry_update('beside:flows', 'b', '{"stats.total": 8}', expected_version => 0);
SELECT nvent.entry_get('beside:flows', 'b') #- '{metadata,updatedAt}';
SELECT nvent.entry_increment('beside:flows', 'b', 'stats.total', 2147483640);
SELECT nvent.entry_increment('beside:flows', 'b', 'stats.total', 1);
SELECT nvent.entry_add('beside:flows', 'new', 3, '{"stats": {"total": 1}}');
SELECT flow_name, stats_total, version FROM beside.beside_flows ORDER BY 1;
-- It goes for good: then there is more to count.
ALTER TABLE beside.beside_flows ALTER stats_total TYPE bigint, ALTER version TYPE bigint;
SELECT nvent.entry_increment('beside:flows', 'b', 'stats.total', 1);
SELECT nvent.store_adopt('b', 'beside', NULL);
SELECT nvent.store_migrate('beside', 2);
SELECT nvent.store_migrate('beside', 0) > 0 AS dropped;
DROP SCHEMA beside CASCADE;

-- A store of ours that the registry does not know: DROP EXTENSION CASCADE takes
-- the defaults and the registry, and leaves the rows.
SELECT nvent.store_create('lost', 'app');
SELECT nvent.stream_append_batch('lost:flow:run:r', array_fill('{"type": "t"}'::jsonb, '{100}')) IS NULL LIMIT 1;
SELECT count(*) FROM (SELECT nvent.stream_append(s, '{"type": "t"}') FROM unnest(ARRAY['lost:order:1', 'lost:order:2',
    'lost:single', 'lost', 'lost:' || repeat('ä', 100) || ':x', 'lost:Odd "Type":y']) s) x;
SELECT nvent.stream_create_table('empty', store => 'lost'), nvent.stream_create_table(repeat('x', 60), store => 'lost');
SELECT nvent.kv_set('lost:k', '1', interval '1 hour');
CREATE TABLE app.lost_stream_mine (subject text, a integer);
INSERT INTO app.lost_stream_mine VALUES ('lost:other:1');
CREATE TABLE app.lost_stream_list (a integer);
DROP EXTENSION nvent_store;
DROP EXTENSION nvent_store CASCADE;
CREATE EXTENSION nvent_store;
SELECT nvent.store_create('lost', 'app');
SELECT regexp_replace(relation, '_[0-9a-f]{12}$', '_<hash>') AS relation, change FROM nvent.store_adopt('lost', 'app');
SELECT store, type, regexp_replace(relation::text, '_[0-9a-f]{12}"?$', '_<hash>') AS relation, versioned FROM nvent.stream_tables('lost');
SELECT nvent.kv_get('lost:k'), expire_bucket > 0 AS bucket FROM app.lost_kv;
SELECT count(*) FROM nvent.stream_read('lost:flow:run:r');
SELECT e->>'version' AS version, (e->>'id')::bigint > 100 AS above FROM nvent.stream_append('lost:order:1', '{"type": "t"}') e;
SELECT e->>'version' AS version, (e->>'id')::bigint > 100 AS above FROM nvent.stream_append('lost:' || repeat('ä', 100) || ':x', '{"type": "t"}') e;
SELECT e->>'version' AS version FROM nvent.stream_append('lost', '{"type": "t"}') e;
SELECT nvent.stream_append('lost:flow:run:r', '{"type": "t"}') IS NULL AS failed;

-- What cannot be adopted: nothing there, no right, a layout of the future, a
-- prefix that is none.
SELECT nvent.store_adopt('nothing', 'app');
SELECT nvent.store_adopt('nothing', 'no_schema');
SELECT nvent.store_adopt('a:b', 'app');
SELECT nvent.store_adopt(NULL);
SELECT nvent.store_adopt('lost', NULL);
SELECT deploy('future', 'app', 1);
INSERT INTO app.future_schema_version (version) VALUES (99);
SELECT nvent.store_adopt('future', 'app');
DELETE FROM app.future_schema_version WHERE version = 99;
CREATE ROLE regress_nvs_stranger;
GRANT USAGE ON SCHEMA nvent, app TO regress_nvs_stranger;
GRANT EXECUTE ON FUNCTION nvent.store_adopt TO regress_nvs_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO regress_nvs_stranger;
SET ROLE regress_nvs_stranger;
SELECT nvent.store_adopt('future', 'app');
RESET ROLE;
BEGIN READ ONLY;
SELECT nvent.store_adopt('future', 'app');
ROLLBACK;
-- A view over a column that has to change keeps it from changing: nothing is
-- done by halves.
CREATE VIEW app.runs AS SELECT run_id FROM app.future_flow_runs;
SELECT nvent.store_adopt('future', 'app');
SELECT count(*) FROM information_schema.columns WHERE table_name LIKE 'future%' AND column_name IN ('score', 'extra', 'meta');

-- Rows that row-level security hides are not counted, so they are not hidden,
-- or nothing is adopted.
SELECT deploy('veiled', 'app', 2);
INSERT INTO app.veiled_flow_events (run_id, flow_name, ts, type) VALUES ('r', 'f', 1, 't');
ALTER TABLE app.veiled_flow_events OWNER TO regress_nvs_stranger;
SELECT format('ALTER TABLE %s OWNER TO regress_nvs_stranger', oid::regclass)
FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relname ^@ 'veiled_' AND relkind = 'r' ORDER BY relname \gexec
ALTER TABLE app.veiled_flow_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT CREATE ON SCHEMA app TO regress_nvs_stranger;
SET ROLE regress_nvs_stranger;
SELECT nvent.store_adopt('veiled', 'app');
RESET ROLE;
SELECT nvent.store_adopt('veiled', 'app');
ALTER TABLE app.veiled_flow_events NO FORCE ROW LEVEL SECURITY;
-- Nor is a sequence raised that gives no positions, or has none above.
ALTER SEQUENCE nvent.position_seq CACHE 10;
SELECT nvent.store_adopt('veiled', 'app');
ALTER SEQUENCE nvent.position_seq CACHE 1 INCREMENT 10 MAXVALUE 1000000000000;
INSERT INTO app.veiled_flow_events (id, run_id, flow_name, ts, type) VALUES (999999999991, 'r', 'f', 1, 't');
SELECT last_value AS before FROM nvent.position_seq \gset
SELECT nvent.store_adopt('veiled', 'app');
SELECT last_value = :before AS kept FROM nvent.position_seq;
ALTER SEQUENCE nvent.position_seq INCREMENT 1 NO MAXVALUE;
DELETE FROM app.veiled_flow_events WHERE id = 999999999991;
ALTER TABLE app.veiled_schema_version ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT nvent.store_adopt('veiled', 'app');
ALTER TABLE app.veiled_schema_version NO FORCE ROW LEVEL SECURITY;
-- Only what is read of the tables is: code of others that runs meanwhile may
-- write to tables with policies.
CREATE TABLE app.audit (tag text);
ALTER TABLE app.audit ENABLE ROW LEVEL SECURITY;
CREATE POLICY add ON app.audit FOR INSERT WITH CHECK (true);
GRANT INSERT ON app.audit TO regress_nvs_stranger;
CREATE FUNCTION app.audit() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.audit VALUES (tg_tag);
END $$;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION app.audit();
SET ROLE regress_nvs_stranger;
SELECT count(*) > 50 AS adopted FROM nvent.store_adopt('veiled', 'app');
RESET ROLE;
DROP EVENT TRIGGER audit;
SELECT count(*) > 50 AS audited FROM app.audit;
SET ROLE regress_nvs_stranger;
-- Who wrote schedules before the triggers were there is not what their rows say.
INSERT INTO app.veiled_scheduler_jobs (job_id, scheduled_at) VALUES ('j', 1);
RESET ROLE;
DELETE FROM nvent.store WHERE prefix = 'veiled';
DROP TRIGGER schedule_author ON app.veiled_scheduler_jobs;
DROP TRIGGER schedule_author_check ON app.veiled_scheduler_jobs;
UPDATE app.veiled_scheduler_jobs SET authors = '{postgres}';
CREATE RULE keep AS ON UPDATE TO app.veiled_scheduler_jobs DO INSTEAD NOTHING;
SELECT change FROM nvent.store_adopt('veiled', 'app') WHERE relation = 'veiled_scheduler_jobs';
SELECT job_id, authors FROM app.veiled_scheduler_jobs;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.veiled_scheduler_jobs'::regclass AND tgname ^@ 'schedule_author';
-- A view that names the column, of which PostgreSQL lets nobody alter the type,
-- is in the way only when something keeps rows from being changed: a rule, or a
-- snapshot that may not show them all.  A column of another type is always made
-- one of ours.  unadopt() makes the store one that is to be adopted again.
CREATE PROCEDURE unadopt(authors text[]) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM nvent.store WHERE prefix = 'veiled';
    DROP TRIGGER schedule_author ON app.veiled_scheduler_jobs;
    DROP TRIGGER schedule_author_check ON app.veiled_scheduler_jobs;
    EXECUTE 'UPDATE app.veiled_scheduler_jobs SET authors = $1' USING authors;
END $$;
DROP RULE keep ON app.veiled_scheduler_jobs;
CREATE VIEW app.shown AS SELECT * FROM app.veiled_scheduler_jobs;
CALL unadopt(NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT change FROM nvent.store_adopt('veiled', 'app') WHERE relation = 'veiled_scheduler_jobs';
COMMIT;
CALL unadopt('{postgres}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM nvent.store_adopt('veiled', 'app');
ROLLBACK;
CREATE RULE keep AS ON UPDATE TO app.veiled_scheduler_jobs DO INSTEAD NOTHING;
SELECT count(*) FROM nvent.store_adopt('veiled', 'app');
DROP RULE keep ON app.veiled_scheduler_jobs;
SELECT change FROM nvent.store_adopt('veiled', 'app') WHERE relation = 'veiled_scheduler_jobs';
SELECT job_id, authors FROM app.shown;
DROP VIEW app.shown;
-- Without such a view no row is updated, which a trigger might refuse.
CREATE INDEX named ON app.veiled_scheduler_jobs (authors);
CALL unadopt('{postgres}');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'updated';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON app.veiled_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT change FROM nvent.store_adopt('veiled', 'app') WHERE relation = 'veiled_scheduler_jobs';
SELECT job_id, authors FROM app.veiled_scheduler_jobs;
DROP FUNCTION refuse CASCADE;
CALL unadopt(NULL);
ALTER TABLE app.veiled_scheduler_jobs ALTER authors TYPE text USING NULL;
SELECT change FROM nvent.store_adopt('veiled', 'app') WHERE relation = 'veiled_scheduler_jobs';
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'app.veiled_scheduler_jobs'::regclass AND attname = 'authors';
DROP PROCEDURE unadopt;
SELECT nvent.store_migrate('veiled', 0) > 0 AS dropped;

-- A column that is one of ours has to be of its type, which nobody makes it.
SELECT deploy('odd', 'app', 2);
ALTER TABLE app.odd_flows ALTER version DROP DEFAULT, ALTER version TYPE numeric(10,2);
SELECT count(*) FROM nvent.store_adopt('odd', 'app');
ALTER TABLE app.odd_flows ALTER version TYPE integer, ADD COLUMN extra text;
SELECT count(*) FROM nvent.store_adopt('odd', 'app');
ALTER TABLE app.odd_flows DROP COLUMN extra;
ALTER TABLE app.odd_trigger_events ADD COLUMN meta json;
SELECT count(*) FROM nvent.store_adopt('odd', 'app');
DROP TABLE app.odd_flow_events, app.odd_trigger_events, app.odd_flow_runs, app.odd_flows, app.odd_triggers, app.odd_scheduler_jobs, app.odd_kv, app.odd_schema_version;

-- What a table says of its ids is data: a number, and one that leaves positions
-- for the events to come; nothing of it is run, as whoever.
SELECT deploy('hostile', 'app', 1);
ALTER TABLE app.hostile_flow_events ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE text;
INSERT INTO app.hostile_flow_events (id, run_id, flow_name, ts, type)
VALUES ('1) FROM nvent.position_seq; ALTER ROLE regress_nvs_stranger SUPERUSER; --', 'r', 'f', 1, 't');
SELECT nvent.store_adopt('hostile', 'app');
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_nvs_stranger';
TRUNCATE app.hostile_flow_events;
ALTER TABLE app.hostile_flow_events ALTER COLUMN id TYPE bigint USING id::bigint;
INSERT INTO app.hostile_flow_events (id, run_id, flow_name, ts, type)
VALUES (9223372036854775807, 'r', 'f', 1, 't');
SELECT nvent.store_adopt('hostile', 'app');
SELECT last_value < 9000000000000000000 AS goes_on FROM nvent.position_seq;

-- Any name that makes a subject is reached, whatever is in it.  What makes none,
-- or has an id that polls begin behind, stays in the tables, and is counted.
SELECT deploy('odd', 'app', 1);
INSERT INTO app.odd_flow_events (run_id, flow_name, ts, type)
SELECT r, 'f', 1, r FROM unnest(ARRAY['a::b', 'tail:', '', 'x*', '{id}', repeat('l', 600), repeat('l', 1011), repeat('l', 1012), repeat(':', 60), repeat(':', 61)]) r;
INSERT INTO app.odd_flow_events (id, run_id, flow_name, ts, type) VALUES (0, 'zero', 'f', 1, 'zero'), (-1, 'negative', 'f', 1, 'negative');
INSERT INTO app.odd_kv (key, value) SELECT k, '1' FROM unnest(ARRAY['', repeat('k', 1024), repeat('k', 1025)]) k;
SELECT relation, change FROM nvent.store_adopt('odd', 'app') WHERE change LIKE 'left to SQL%';
SELECT count(*) AS events, count(*) FILTER (WHERE e ->> 'type' = e ->> 'runId') AS same,
    count(*) FILTER (WHERE (SELECT count(*) FROM nvent.stream_read(e ->> 'subject')) = 1) AS reached
FROM unnest((nvent.stream_poll('odd:>', 0)).events) e;
SELECT nvent.store_migrate('odd', 0) > 0 AS dropped;

DROP OWNED BY regress_nvs_stranger;
DROP ROLE regress_nvs_stranger;
SELECT nvent.store_migrate('lost', 0);
DROP SCHEMA app, "My-App" CASCADE;
DROP FUNCTION deploy, fill, content, columns_of, shape_of;
