-- Whose a store is: what its name claims, who may make it, and that nothing of
-- anybody else's is met under the names of its tables, whatever is dropped,
-- renamed, replaced or given away.  mallory owns the schema of a store that is
-- not his, and so may drop and make tables there.
--
-- Seen to fail with nvs_relation_check() empty (his triggers run as others),
-- with nvs_claim_check() empty (the new store takes over what is there), and
-- with the registry read by the names in it.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
CREATE ROLE regress_nvs_heir;
CREATE ROLE regress_nvs_mallory;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_owner, regress_nvs_heir, regress_nvs_mallory;

-- The error of a statement, or what it returns.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    message text;
    detail text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE || ': ' || message, nullif(detail, ''));
END $$;

-- A name is claimed while nobody holds anything under it.  What the default
-- store holds decides: all of it would be the new store's.
SELECT nvent.store_create();
SELECT nvent.kv_set('k:1', '1'), nvent.kv_set('kk:1', '1'), nvent.kv_set('alone', '1'), nvent.kv_set('was:1', '1', '1 microsecond'),
    nvent.entry_add('e:1', 'i', 1, '{}') IS NOT NULL, nvent.lock_acquire('l:1', '1 hour') > 0,
    nvent.snapshot_save('snap:1', '1', '{"s:1": 1}') IS NOT NULL, nvent.stream_append('s:1', '{"type": "t"}')->'version',
    nvent.consumer_subscribe('c', 'c:>') IS NOT NULL, nvent.stream_append('nvent:t:1', '{"type": "t"}')->'version';
CREATE TABLE routed (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL, subject text, a text, b text);
CREATE TABLE captured (LIKE routed INCLUDING ALL);
ALTER TABLE captured DROP subject;
SELECT nvent.route_add('stream', 'r:>', 'routed'), nvent.route_add('stream', '*:many:>', 'routed'), nvent.route_add('stream', '{a}:one:{b}', 'captured');
SELECT nvent.stream_append(s, '{"type": "t"}') IS NOT NULL AS appended FROM unnest('{m:many:x,o:one:x}'::text[]) s;
SELECT p AS prefix, pg_temp.try(format('SELECT nvent.store_create(%L, ''claims'')', p)) AS outcome
FROM unnest('{k,alone,e,l,snap,s,c,r,m,o}'::text[]) p;
\set VERBOSITY default
SELECT nvent.store_create('k', 'claims');
\set VERBOSITY terse
-- What only looks like it is in nobody's way: the beginning of a name, a type of
-- the store's own subjects, a key that has expired, what was deleted.
SELECT nvent.kv_delete('alone'), nvent.kv_delete('kk:1');
SELECT p AS prefix, pg_temp.try(format('SELECT nvent.store_create(%L, ''claims'')', p)) AS outcome
FROM unnest('{k1,t,kk,was,alone,many}'::text[]) p;
SELECT count(nvent.store_migrate(p, 0)) FROM unnest('{k1,t,kk,was,alone,many}'::text[]) p;
-- Nor is a store made twice, or for another owner than it has.
SELECT nvent.store_create('nvent', 'public', 'regress_nvs_owner');
SELECT nvent.store_create('x', 'claims', 'nobody_of_that_name');
-- Who may not read a store is not told what is in it.
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_nvs_owner;
SET ROLE regress_nvs_owner;
SELECT pg_temp.try($$SELECT nvent.store_create('k', 'claims')$$);
-- The words are those of the server's major.
SELECT left(pg_temp.try($$SELECT nvent.store_create('x', 'claims', 'regress_nvs_mallory')$$), 5);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION nvent.store_create FROM regress_nvs_owner;
SELECT nvent.route_drop('stream', p) FROM unnest(ARRAY['r:>', '*:many:>', '{a}:one:{b}']) p;
DROP TABLE routed, captured;

-- The first write makes the default store for who may make stores; reading
-- never does.
\set ON_ERROR_ROLLBACK on
BEGIN;
SET LOCAL nvent_store.default_store = 'first';
GRANT CREATE ON SCHEMA public TO regress_nvs_owner;
SET LOCAL ROLE regress_nvs_owner;
SELECT nvent.kv_get('x:1') IS NULL AS nothing, nvent.entry_get('x:1', 'i') IS NULL AS nothing, (SELECT count(*) FROM nvent.stream_read('x:1'));
\set VERBOSITY default
SELECT nvent.kv_set('x:1', '1');
\set VERBOSITY terse
SELECT nvent.stream_append('x:1', '{"type": "t"}');
SELECT nvent.consumer_subscribe('c', 'x:>');
RESET ROLE;
SELECT count(*) FROM nvent.store WHERE prefix = 'first';
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_nvs_owner;
SET LOCAL ROLE regress_nvs_owner;
SELECT nvent.kv_set('x:1', '1');
RESET ROLE;
SELECT version_table, relowner::regrole FROM nvent.store JOIN pg_class ON pg_class.oid = version_table WHERE prefix = 'first';
ROLLBACK;
\set ON_ERROR_ROLLBACK off

-- A store is made for somebody else, and all of it is his, also what is made
-- later and by others.
CREATE SCHEMA lair AUTHORIZATION regress_nvs_mallory;
GRANT ALL ON SCHEMA lair TO regress_nvs_owner WITH GRANT OPTION;
SELECT nvent.store_create('shop', 'lair', 'regress_nvs_owner');
SELECT nvent.store_create('own', 'own_schema', 'regress_nvs_owner');
SELECT nvent.stream_append('shop:order:1', '{"type": "t"}')->'version' AS version, nvent.stream_create_table('more', store => 'shop');
SELECT nvent.store_migrate('shop', 4), nvent.store_migrate('shop');
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'lair'::regnamespace AND relkind = 'r';
SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'own_schema';
SELECT nvent.store_migrate('own', 0);

-- What each function that touches a table of the store says, and what code of
-- mallory's has run as.
CREATE TABLE seen (who text, what text);
GRANT ALL ON seen TO PUBLIC;
CREATE FUNCTION pg_temp.calls(subject text) RETURNS TABLE (call text, outcome text) LANGUAGE sql AS $$
    SELECT c, pg_temp.try('SELECT ' || replace(c, '#', subject)) FROM unnest(ARRAY[
        $c$nvent.kv_get('#:k')$c$, $c$nvent.kv_set('#:k', '1')$c$, $c$nvent.kv_mset('{"#:k": 2}')$c$, $c$count(*) FROM nvent.kv_scan('#:*')$c$,
        $c$nvent.entry_get('#:e', 'i')->>'n'$c$, $c$nvent.entry_add('#:e', 'i', 1, '{"n": 1}') > 0$c$, $c$nvent.entry_update('#:e', 'i', '{"n": 2}') > 0$c$,
        $c$nvent.lock_acquire('#:l', '1 hour', 'me') > 0$c$, $c$nvent.snapshot_save('#:s', '1', '{"#:order:1": 1}')$c$,
        $c$nvent.stream_append('#:order:1', '{"type": "t"}')->>'type'$c$, $c$count(*) > 0 FROM nvent.stream_read('#:order:1')$c$,
        $c$nvent.stream_append('#:flow:run:1', '{"type": "t"}')->>'type'$c$, $c$cardinality(events) > 0 FROM nvent.stream_poll('#:>', 0)$c$,
        $c$nvent.consumer_subscribe('c', '#:>', store => '#')$c$, $c$count(*) FROM nvent.consumer_list(store => '#')$c$,
        $c$nvent.checkpoint_save('c', 1, store => '#', force => true)$c$,
        $c$nvent.queue_create('q', store => '#')$c$, $c$nvent.queue_send('q', '1', store => '#') > 0$c$, $c$data FROM nvent.queue_fetch('q', store => '#')$c$]) c
$$;
SELECT * FROM pg_temp.calls('shop');

-- A table that mallory drops and makes anew, with what is his in it.  All of
-- this session's caches are warm.
CREATE FUNCTION lair.spy() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
    $$BEGIN INSERT INTO public.seen VALUES (current_user, tg_table_name); RETURN NEW; END$$;
ALTER FUNCTION lair.spy OWNER TO regress_nvs_mallory;
CREATE FUNCTION pg_temp.replace(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    SET LOCAL ROLE regress_nvs_mallory;
    FOREACH t IN ARRAY names LOOP
        EXECUTE format('CREATE TABLE lair.copy (LIKE lair.%I INCLUDING ALL)', t);
        EXECUTE format('DROP TABLE lair.%I', t);
        EXECUTE format('ALTER TABLE lair.copy RENAME TO %I', t);
        EXECUTE format('CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON lair.%I FOR EACH ROW EXECUTE FUNCTION lair.spy()', t);
        EXECUTE format('GRANT ALL ON lair.%I TO PUBLIC', t);
    END LOOP;
    RESET ROLE;
END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA lair TO regress_nvs_mallory;
BEGIN;
SELECT pg_temp.replace('{shop_kv,shop_entries,shop_locks,shop_snapshots,shop_stream_order,shop_flow_events,shop_consumers,shop_checkpoints,shop_queues,shop_jobs,shop_job_turns,shop_job_runs,shop_job_levels,shop_job_keys,shop_job_slots,shop_job_lanes,shop_job_waits,shop_job_parents,shop_queue_bindings}');
SELECT * FROM pg_temp.calls('shop');
SELECT nvent.maintain(100, 'shop'), nvent.maintain() >= 0 AS maintained;
SELECT type FROM nvent.stream_tables('shop');
SELECT * FROM seen;
-- The owner is told, too, and is not in the way of getting rid of the store.
SET LOCAL ROLE regress_nvs_owner;
SELECT pg_temp.try($$SELECT nvent.kv_set('shop:k', '1')$$);
SELECT nvent.store_migrate('shop', 0);
RESET ROLE;
SELECT relname FROM pg_class WHERE relnamespace = 'lair'::regnamespace AND relkind = 'r' ORDER BY 1;
SELECT * FROM seen;
ROLLBACK;
-- A view of mallory's, and one of the owner's own, in the place of a table.
BEGIN;
SET LOCAL ROLE regress_nvs_mallory;
DROP TABLE lair.shop_kv;
CREATE FUNCTION lair.look() RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.seen VALUES (current_user, 'view'); RETURN '1'; END$$;
CREATE VIEW lair.shop_kv AS SELECT 'shop:k'::text COLLATE "C" AS key, lair.look() AS value, NULL::timestamptz AS expires_at;
GRANT ALL ON lair.shop_kv TO PUBLIC;
RESET ROLE;
SELECT pg_temp.try($$SELECT nvent.kv_get('shop:k')$$);
ALTER VIEW lair.shop_kv OWNER TO regress_nvs_owner;
SELECT pg_temp.try($$SELECT nvent.kv_get('shop:k')$$);
SELECT * FROM seen;
ROLLBACK;
-- The table by which the store is known: then all of it is gone, and what he
-- makes of that name is not the store.
BEGIN;
SELECT pg_temp.replace('{shop_schema_version}');
SELECT DISTINCT outcome FROM pg_temp.calls('shop');
SELECT nvent.store_version('shop'), (SELECT count(*) FROM nvent.stream_tables('shop')) AS tables;
SELECT nvent.maintain() >= 0 AS maintained;
GRANT EXECUTE ON FUNCTION nvent.store_migrate, nvent.route_drop TO regress_nvs_mallory;
SET LOCAL ROLE regress_nvs_mallory;
SELECT pg_temp.try($$SELECT nvent.store_migrate('shop', 0)$$), pg_temp.try($$SELECT nvent.route_drop('stream', 'shop:flow:run:{x...}')$$);
RESET ROLE;
-- What begins with its name is nobody else's meanwhile.
SELECT pg_temp.try($$SELECT nvent.kv_set('shop:k', '1')$$), (SELECT count(*) FROM nvent_kv WHERE key LIKE 'shop:%') AS elsewhere;
-- It is given up by who may make stores, whose name it then is.
SELECT nvent.store_migrate('shop', 0) IS NULL AS had_none, (SELECT count(*) FROM nvent.store WHERE prefix = 'shop') AS stores,
    (SELECT count(*) FROM nvent.route WHERE store = 'shop') AS routes, (SELECT count(*) FROM nvent.stream_table WHERE store = 'shop') AS tables;
SELECT nvent.kv_set('shop:k', '1');
ROLLBACK;
-- Dropped with its schema, it is made anew.
BEGIN;
DROP SCHEMA lair CASCADE;
SELECT DISTINCT outcome FROM pg_temp.calls('shop');
SAVEPOINT s;
\set VERBOSITY default
SELECT nvent.kv_get('shop:k');
\set VERBOSITY terse
ROLLBACK TO s;
SELECT nvent.store_create('shop', 'elsewhere');
SELECT * FROM pg_temp.calls('shop') LIMIT 2;
ROLLBACK;
-- So is the default store, by the next write of who may.
BEGIN;
DROP TABLE nvent_schema_version, nvent_flow_events, nvent_flow_runs, nvent_flows, nvent_trigger_events, nvent_triggers, nvent_scheduler_jobs, nvent_kv,
    nvent_entries, nvent_locks, nvent_snapshots, nvent_consumers, nvent_checkpoints,
    nvent_queues, nvent_job_levels, nvent_jobs, nvent_job_turns, nvent_job_runs, nvent_job_keys, nvent_job_slots, nvent_job_lanes, nvent_job_waits, nvent_job_parents, nvent_queue_bindings;
SELECT pg_temp.try($$SELECT nvent.kv_get('k:1')$$);
SELECT nvent.kv_set('k:1', '2');
ROLLBACK;

-- A schema under another name: the store goes along, and its old name may be
-- anybody's.
BEGIN;
GRANT CREATE ON DATABASE :DBNAME TO regress_nvs_mallory;
SELECT nvent.kv_set('shop:k', '7'), nvent.consumer_subscribe('renamed', 'shop:>', store => 'shop') IS NOT NULL;
SET LOCAL ROLE regress_nvs_mallory;
ALTER SCHEMA lair RENAME TO cave;
CREATE SCHEMA lair;
CREATE TABLE lair.shop_schema_version (LIKE cave.shop_schema_version);
CREATE TABLE lair.shop_kv (LIKE cave.shop_kv);
CREATE TABLE lair.shop_consumers (LIKE cave.shop_consumers);
CREATE TRIGGER spy BEFORE INSERT ON lair.shop_kv FOR EACH ROW EXECUTE FUNCTION cave.spy();
GRANT ALL ON SCHEMA lair TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA lair TO PUBLIC;
RESET ROLE;
SELECT nvent.kv_get('shop:k'), nvent.kv_set('shop:k', '8'), (SELECT count(*) FROM nvent.consumer_list(store => 'shop') WHERE name = 'renamed');
SELECT relation FROM nvent.route_resolve('stream', 'shop:flow:run:1');
SELECT value FROM cave.shop_kv WHERE key = 'shop:k';
SELECT schema_name, version_table FROM nvent.store WHERE prefix = 'shop';
SELECT nvent.store_migrate('shop') > 0 AS migrated, schema_name, version_table FROM nvent.store WHERE prefix = 'shop';
SELECT schema_name, version_table FROM nvent.store WHERE prefix = 'shop';
SELECT * FROM seen;
ROLLBACK;

-- Given to another owner: in pieces nothing of the rest is used, nor passed
-- over; as a whole it goes on.
BEGIN;
ALTER TABLE lair.shop_schema_version OWNER TO regress_nvs_heir;
SELECT * FROM pg_temp.calls('shop') WHERE call ~ 'kv_get|append|poll';
ROLLBACK;
BEGIN;
ALTER TABLE lair.shop_stream_order OWNER TO regress_nvs_heir;
SELECT * FROM pg_temp.calls('shop') WHERE call ~ 'kv_get|append|poll';
ROLLBACK;
BEGIN;
REASSIGN OWNED BY regress_nvs_owner TO regress_nvs_heir;
SELECT nvent.store_grant('regress_nvs_heir', 'admin', 'shop');
SELECT * FROM pg_temp.calls('shop') WHERE call ~ 'kv_get|append|poll';
SET LOCAL ROLE regress_nvs_owner;
SELECT pg_temp.try($$SELECT nvent.store_migrate('shop')$$);
RESET ROLE;
GRANT USAGE, CREATE ON SCHEMA lair TO regress_nvs_heir;
SET LOCAL ROLE regress_nvs_heir;
SELECT nvent.store_migrate('shop') AS had, nvent.stream_create_table('heir', store => 'shop');
RESET ROLE;
ROLLBACK;

-- Routes: to a table of the caller's and the owner's, that no other store has.
CREATE TABLE lair.log (id bigint DEFAULT nvent.next_position('shop') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL, subject text);
CREATE TABLE lair.keys (key text PRIMARY KEY, value jsonb, expires_at timestamptz);
ALTER TABLE lair.log OWNER TO regress_nvs_owner;
ALTER TABLE lair.keys OWNER TO regress_nvs_owner;
GRANT ALL ON lair.log, lair.keys TO regress_nvs_mallory;
SELECT nvent.store_create('evil', 'evil', 'regress_nvs_mallory'), nvent.store_create('other', 'other', 'regress_nvs_owner');
SET ROLE regress_nvs_mallory;
SELECT r, pg_temp.try(format('SELECT nvent.route_add(%L, ''evil:x:>'', %L)', k, r))
FROM (VALUES ('kv', 'lair.keys'), ('stream', 'lair.log'), ('kv', 'lair.shop_kv')) v (k, r);
SELECT pg_temp.try($$SELECT nvent.route_add('kv', 'shop:x:>', 'evil.evil_kv')$$), pg_temp.try($$SELECT nvent.route_add('kv', '*:x', 'evil.evil_kv')$$);
SET ROLE regress_nvs_owner;
SELECT pg_temp.try($$SELECT nvent.route_add('kv', 'shop:x:>', 'evil.evil_kv')$$);
SELECT nvent.route_add('stream', 'shop:log:>', 'lair.log'), nvent.route_add('kv', 'shop:keys:>', 'lair.keys');
SELECT pg_temp.try($$SELECT nvent.route_add('stream', 'other:log:>', 'lair.log')$$), pg_temp.try($$SELECT nvent.route_add('kv', 'other:keys:>', 'lair.shop_kv')$$),
    pg_temp.try($$SELECT nvent.route_add('stream', 'other:log:>', 'lair.shop_stream_order')$$);
RESET ROLE;
-- Not even a superuser hands a table of one owner to the store of another.
SELECT pg_temp.try($$SELECT nvent.route_add('kv', 'evil:x:>', 'lair.keys')$$);
SELECT nvent.stream_append('shop:log:1', '{"type": "t"}')->'type' AS type, nvent.kv_set('shop:keys:1', '1'), nvent.kv_get('shop:keys:1');
BEGIN;
SELECT pg_temp.replace('{log,keys}');
SELECT pg_temp.try($$SELECT nvent.stream_append('shop:log:1', '{"type": "t"}')$$), pg_temp.try($$SELECT nvent.kv_get('shop:keys:1')$$),
    pg_temp.try($$SELECT nvent.kv_set('shop:keys:1', '1')$$), nvent.maintain(100, 'shop');
SELECT * FROM seen;
-- A route of who no longer owns the table is not in its new owner's way.
SET LOCAL ROLE regress_nvs_mallory;
SELECT nvent.route_add('kv', 'evil:keys:>', 'lair.keys');
RESET ROLE;
ROLLBACK;

-- Adoption: plain tables of one owner.
DELETE FROM nvent.store WHERE prefix = 'other';
CREATE FUNCTION pg_temp.adopt() RETURNS text LANGUAGE sql AS
    $$SELECT pg_temp.try('SELECT count(*) > 0 FROM nvent.store_adopt(''other'', ''other'')')$$;
-- The same when a change was made, which is undone.
CREATE FUNCTION pg_temp.adopt(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE change;
    result := pg_temp.adopt();
    RAISE SQLSTATE 'UNDO0';
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
    RETURN result;
END $$;
BEGIN;
GRANT EXECUTE ON FUNCTION nvent.store_adopt TO regress_nvs_owner, regress_nvs_mallory;
SET LOCAL ROLE regress_nvs_owner;
\set ON_ERROR_ROLLBACK on
SAVEPOINT s;
SELECT pg_temp.adopt() AS adopted;
ROLLBACK TO s;
RESET ROLE;
ALTER TABLE other.other_kv OWNER TO regress_nvs_mallory;
SET LOCAL ROLE regress_nvs_owner;
SELECT pg_temp.adopt();
RESET ROLE;
SELECT pg_temp.adopt();
ROLLBACK TO s;
SET LOCAL ROLE regress_nvs_mallory;
SELECT pg_temp.adopt();
RESET ROLE;
SELECT change, pg_temp.adopt(change) FROM unnest(ARRAY[
    $c$ALTER TABLE other.other_flows RENAME TO kept; CREATE VIEW other.other_flows AS SELECT * FROM other.kept; ALTER VIEW other.other_flows OWNER TO regress_nvs_owner$c$,
    $c$DROP TABLE other.other_locks; CREATE SEQUENCE other.other_locks; ALTER SEQUENCE other.other_locks OWNER TO regress_nvs_owner$c$,
    $c$CREATE TABLE other.parent (LIKE other.other_triggers); ALTER TABLE other.other_triggers INHERIT other.parent$c$,
    $c$CREATE TABLE other.child () INHERITS (other.other_flow_events)$c$,
    $c$CREATE TABLE other.parent (LIKE other.other_flow_runs INCLUDING DEFAULTS) PARTITION BY LIST (flow_name); ALTER TABLE other.parent ATTACH PARTITION other.other_flow_runs DEFAULT$c$,
    $c$DROP TABLE other.other_kv$c$,
    $c$ALTER TABLE other.other_trigger_events ALTER id DROP DEFAULT, ALTER id TYPE numeric$c$,
    $c$ALTER TABLE other.other_flow_events ALTER ts TYPE text$c$,
    $c$INSERT INTO other.other_trigger_events (id, trigger_name, ts, type) VALUES (4611686018427387904, 't', 1, 't')$c$]) change;
ALTER TABLE other.other_flow_events ALTER id DROP DEFAULT, ALTER id TYPE integer;
SELECT pg_temp.adopt() AS adopted;
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'other.other_flow_events'::regclass AND attname = 'id';
ROLLBACK TO s;
-- Nor is a name taken by adoption under which something is held.
RESET ROLE;
SELECT nvent.kv_set('other:k', '1') AS held;
SELECT pg_temp.adopt();
ROLLBACK;
\set ON_ERROR_ROLLBACK off

-- No store is a session's.
CREATE TEMP TABLE t (a integer);
SELECT pg_temp.try($$SELECT nvent.store_create('x', 'pg_temp')$$),
    regexp_replace(pg_temp.try(format('SELECT nvent.store_create(''x'', %L)', pg_my_temp_schema()::regnamespace)), 'pg_temp_\d+', 'pg_temp_n'),
    regexp_replace(pg_temp.try(format('SELECT nvent.store_adopt(''x'', %L)', pg_my_temp_schema()::regnamespace)), 'pg_temp_\d+', 'pg_temp_n');

SELECT count(nvent.store_migrate(prefix, 0)) FROM (SELECT prefix FROM nvent.store) s;
DROP SCHEMA lair, evil, other, claims, own_schema CASCADE;
DROP TABLE seen;
REVOKE ALL ON SCHEMA nvent, public FROM regress_nvs_owner, regress_nvs_heir, regress_nvs_mallory;
DROP OWNED BY regress_nvs_owner, regress_nvs_heir, regress_nvs_mallory;
DROP ROLE regress_nvs_owner, regress_nvs_heir, regress_nvs_mallory;
