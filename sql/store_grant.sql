-- Who may use a store: what each level of nvent.store_grant gives and does not
-- give, tables that are made after it, and what a writer cannot have done by
-- the making of tables.  Seen to fail with tables made as the caller (they
-- belong to the writer), with no grants on tables that are made later, with the
-- session's settings left as they are, and with locks of subjects for those who
-- may not write.  That rights come before locks is in store_grant_wait.spec.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
CREATE ROLE regress_nvs_admin;
CREATE ROLE regress_nvs_app;
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_stranger;
CREATE ROLE regress_nvs_other;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_owner, regress_nvs_stranger, regress_nvs_other;
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_nvs_owner, regress_nvs_other;
CREATE SCHEMA test AUTHORIZATION regress_nvs_owner;
CREATE SCHEMA other AUTHORIZATION regress_nvs_other;
SET ROLE regress_nvs_other;
SELECT nvent.store_create('other', 'other');
SELECT nvent.stream_append('other:order:1', '{"type": "t"}') -> 'version' AS version;
RESET ROLE;

-- Whoever makes a store is given what administers it.
SET ROLE regress_nvs_owner;
SELECT code, message FROM pg_temp.error_of($$nvent.store_grant('regress_nvs_app', 'write', 'test')$$);
SELECT nvent.store_create('test', 'test');
SELECT nvent.store_create('test', 'test') AS again;
SELECT nvent.store_grant('regress_nvs_reader', 'read', 'test');
SELECT nvent.store_grant('regress_nvs_app', 'write', 'test');
SELECT nvent.store_grant('regress_nvs_admin', 'admin', 'test');
SELECT nvent.store_grant('regress_nvs_app', 'write', 'test') AS again;
RESET ROLE;
SELECT proname, string_agg(grantee::regrole::text, ' ' ORDER BY grantee::regrole::text) AS granted_to
FROM pg_proc, aclexplode(proacl) WHERE pronamespace = 'nvent'::regnamespace AND grantee::regrole::text ~ '^regress_nvs' GROUP BY 1 ORDER BY 1;
SELECT grantee::regrole, privilege_type, is_grantable FROM pg_namespace, aclexplode(nspacl)
WHERE nspname = 'nvent' AND grantee::regrole::text ~ '^regress_nvs' ORDER BY 1;
-- The privileges on the tables, those of all together.
CREATE FUNCTION pg_temp.rights(pattern text) RETURNS TABLE (grantee text, rights text, tables bigint) LANGUAGE sql AS $$
    SELECT grantee, rights, count(*) FROM (
        SELECT oid, a.grantee::regrole::text AS grantee, string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ' ' ORDER BY privilege_type) AS rights
        FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'test'::regnamespace AND relname ~ pattern AND a.grantee <> relowner GROUP BY 1, 2) r
    GROUP BY 1, 2 ORDER BY 1, 2 $$;
SELECT * FROM pg_temp.rights('');
SELECT * FROM pg_temp.rights('schema_version');

-- A writer appends to a type that has no table, and it is made: as the
-- store's owner, with everybody's privileges.
SET ROLE regress_nvs_app;
SELECT nvent.stream_append('test:order:1', '{"type": "placed"}', 0) -> 'version' AS version;
SELECT nvent.stream_append_batch('test:cart:1', '{"{\"type\": \"a\"}"}') -> 'version' AS version;
SELECT a -> 'version' AS version FROM nvent.stream_append_many('[{"subject": "test:many:1", "events": [{"type": "a"}]}, {"subject": "test:none:1", "expected": "none"}]') a;
RESET ROLE;
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'test'::regnamespace AND relname ~ '^test_stream_[a-z]+$' ORDER BY 1;
SELECT * FROM pg_temp.rights('^test_stream_');
-- An old hand's: privileges on the tables alone, in any selection.
SET ROLE regress_nvs_owner;
GRANT USAGE ON SCHEMA test TO regress_nvs_other;
GRANT SELECT ON test.test_schema_version TO regress_nvs_other;
GRANT SELECT, INSERT ON test.test_flow_events TO regress_nvs_other;
-- One who was not given the store is not given its new tables.
GRANT USAGE ON SCHEMA test TO regress_nvs_stranger;
GRANT SELECT ON test.test_flow_events TO regress_nvs_stranger;
SET ROLE regress_nvs_other;
SELECT nvent.stream_append('test:old:1', '{"type": "t"}') -> 'version' AS version;
RESET ROLE;
SELECT * FROM pg_temp.rights('^test_stream_old$');
SET ROLE regress_nvs_owner;
REVOKE ALL ON ALL TABLES IN SCHEMA test FROM regress_nvs_other, regress_nvs_stranger;
RESET ROLE;
-- So it is when a superuser writes first, or one who is a member of the owner.
SELECT nvent.stream_append('test:root:1', '{"type": "t"}') -> 'version' AS version;
SELECT nvent.stream_create_table('made', false, 'test');
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('test_stream_root', 'test_stream_made') ORDER BY 1;
SELECT count(*) FROM pg_temp.rights('^test_stream_(root|made)$') WHERE tables = 2;

-- What each level can call.  A call that works is undone.
CREATE FUNCTION pg_temp.may(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || call;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000';
    EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
        RETURN 'yes';
    WHEN OTHERS THEN
        RETURN sqlstate;
    END;
END $$;
CREATE TEMP TABLE call (id int GENERATED ALWAYS AS IDENTITY, level text, call text);
INSERT INTO call (level, call) SELECT 'read', unnest(ARRAY[
    $$nvent.stream_read('test:order:1')$$, $$nvent.stream_version('test:order:1')$$, $$nvent.stream_poll('test:>', 0)$$, $$nvent.stream_poll('test:order:1', 0)$$,
    $$nvent.stream_poll_category('test:order', 0)$$, $$nvent.stream_wait('test:order:>', 0, '0 s')$$, $$nvent.stream_stats('test:>')$$,
    $$nvent.kv_get('test:k')$$, $$nvent.kv_scan('test:*')$$, $$nvent.kv_ttl('test:k')$$, $$nvent.entry_get('test:flows', 'f')$$, $$nvent.entry_read('test:x')$$,
    $$nvent.lock_get('test:l')$$, $$nvent.snapshot_load('test:s')$$, $$nvent.checkpoint_load('c', store => 'test')$$, $$nvent.consumer_list(store => 'test')$$,
    $$nvent.consumer_stats('test')$$, $$nvent.consumer_furthest('test')$$, $$nvent.store_version('test')$$, $$nvent.route_resolve('stream', 'test:order:1')$$, $$nvent.route_resolve('kv', 'test:k')$$]);
INSERT INTO call (level, call) SELECT 'write', unnest(ARRAY[
    $$nvent.stream_append('test:order:1', '{"type": "t"}')$$, $$nvent.stream_append('test:fresh:1', '{"type": "t"}')$$, $$nvent.stream_append('test:flow:run:1', '{"type": "t"}')$$,
    $$nvent.stream_append_many('[{"subject": "test:order:1", "expected": 1}]')$$, $$nvent.stream_append_many('[{"subject": "test:none:1", "expected": "none"}]')$$,
    $$nvent.stream_append_batch('test:order:1', '{}')$$, $$nvent.stream_reopen('test:order:1')$$,
    $$nvent.stream_close('test:order:1')$$, $$nvent.stream_truncate('test:order:1', before => 1)$$, $$nvent.stream_truncate('test:order:1', seed => '{"type": "s"}')$$,
    $$nvent.stream_erase('test:order:1')$$, $$nvent.stream_delete('test:order:1')$$,
    $$nvent.kv_set('test:k', '1', '1 hour')$$, $$nvent.kv_increment('test:n')$$, $$nvent.kv_mset('{"test:k": 1}')$$, $$nvent.kv_delete('test:k')$$, $$nvent.kv_clear('test:*')$$,
    $$nvent.entry_add('test:x', 'i', 1, '{"n": 1}')$$, $$nvent.entry_increment('test:x', 'i', 'n')$$, $$nvent.entry_delete('test:x', 'i')$$,
    $$nvent.lock_acquire('test:l', '1 hour')$$, $$nvent.snapshot_save('test:s', '1', '{"test:order:1": 1}')$$, $$nvent.snapshot_delete('test:s')$$,
    $$nvent.checkpoint_save('c', 1, store => 'test')$$, $$nvent.consumer_subscribe('c', 'test:order:>', store => 'test')$$,
    $$nvent.consumer_correlate(store => 'test')$$, $$nvent.consumer_fetch(store => 'test')$$]);
INSERT INTO call (level, call) SELECT 'admin', unnest(ARRAY[
    $$nvent.stream_create_table('new', store => 'test')$$, $$nvent.stream_create_table('order', store => 'test')$$, $$nvent.stream_drop_table('order', 'test')$$,
    $$nvent.stream_retain('order', '1 day', 'test')$$, $$nvent.stream_restore(ARRAY['{"subject": "test:restored:1", "type": "t"}']::jsonb[])$$,
    $$nvent.stream_clear('test')$$, $$nvent.maintain(10, 'test')$$]);
INSERT INTO call (level, call) SELECT 'owner', unnest(ARRAY[
    $$nvent.route_add('stream', 'test:r:>', 'test.test_stream_order')$$, $$nvent.route_drop('entry', 'test:flows')$$, $$nvent.stream_protect('test.test_stream_order')$$,
    $$nvent.store_grant('regress_nvs_other', 'read', 'test')$$, $$nvent.store_revoke('regress_nvs_app', 'read', 'test')$$,
    $$nvent.store_migrate('test', 3)$$, $$nvent.store_migrate('test', 0)$$]);
INSERT INTO call (level, call) SELECT 'superuser', unnest(ARRAY[
    $$nvent.store_adopt('test', 'test')$$, $$nvent.stream_unprotect('test.test_stream_order')$$, $$nvent.position_publish()$$]);
GRANT SELECT ON call TO PUBLIC;
SELECT nvent.kv_set('test:k', '1'), nvent.entry_add('test:x', 'i', 1, '{"n": 1}');
-- A role's own level and those below work, and no others.
SET ROLE regress_nvs_stranger;
SELECT level, call, pg_temp.may(call) FROM call WHERE pg_temp.may(call) <> '42501' ORDER BY id;
SET ROLE regress_nvs_reader;
SELECT level, call, pg_temp.may(call) FROM call WHERE (pg_temp.may(call) = 'yes') <> (level IN ('read')) ORDER BY id;
SET ROLE regress_nvs_app;
SELECT level, call, pg_temp.may(call) FROM call WHERE (pg_temp.may(call) = 'yes') <> (level IN ('read', 'write')) ORDER BY id;
SET ROLE regress_nvs_admin;
SELECT level, call, pg_temp.may(call) FROM call WHERE (pg_temp.may(call) = 'yes') <> (level IN ('read', 'write', 'admin')) ORDER BY id;
SET ROLE regress_nvs_owner;
SELECT level, call, pg_temp.may(call) FROM call WHERE (pg_temp.may(call) = 'yes') <> (level <> 'superuser') ORDER BY id;
RESET ROLE;
-- Who administers one store has nothing of another, whatever he may execute;
-- maintain() passes over what he may not delete from.
SET ROLE regress_nvs_other;
SELECT level, call, pg_temp.may(call) FROM call WHERE pg_temp.may(call) <> '42501' ORDER BY id;
RESET ROLE;

-- Who may not use a table does not lock it by a call, and who may not write to
-- it keeps nobody from that, whatever the call's outcome is.
CREATE FUNCTION pg_temp.held() RETURNS TABLE (relation text, class int, mode text) LANGUAGE sql AS $$
    SELECT relation::regclass::text, CASE locktype WHEN 'advisory' THEN objsubid END, mode FROM pg_locks l LEFT JOIN pg_class c ON c.oid = relation
    WHERE pid = pg_backend_pid() AND (locktype = 'advisory' OR relnamespace = 'test'::regnamespace) ORDER BY 1, 2, 3 $$;
BEGIN;
SET LOCAL ROLE regress_nvs_stranger;
SELECT count(*) FROM call, pg_temp.error_of(call.call);
SET LOCAL ROLE regress_nvs_other;
SELECT count(*) FROM call, pg_temp.error_of(call.call);
RESET ROLE;
SELECT * FROM pg_temp.held();
ROLLBACK;
BEGIN;
SET LOCAL ROLE regress_nvs_reader;
SELECT count(*) FROM call, pg_temp.error_of(call.call) WHERE level <> 'read' AND call !~ 'kv_clear';
RESET ROLE;
SELECT * FROM pg_temp.held();
ROLLBACK;

-- Nothing of the writer's is in the making of a table: neither his settings
-- nor his path, whatever the subject is.
CREATE TABLE public.spied (who name, command text, path text);
GRANT INSERT ON public.spied TO PUBLIC;
CREATE FUNCTION public.spy() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO spied SELECT DISTINCT current_user, command_tag, '' FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER regress_nvs_spy ON ddl_command_end EXECUTE FUNCTION public.spy();
SET ROLE regress_nvs_app;
CREATE TEMP TABLE trap (x int);
SET search_path = pg_temp, public;
SET default_tablespace = 'pg_global';
SET quote_all_identifiers = on;
SELECT nvent.stream_append('test:a"b.c''; DROP TABLE test.test_kv; --:1', '{"type": "t"}') -> 'version' AS version;
SELECT nvent.stream_append('test:{table}{kv}:1', '{"type": "t"}') -> 'version' AS version;
SELECT current_user, current_setting('default_tablespace') AS tablespace, current_setting('search_path') AS path;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT nvent.stream_append('test:back\\slash''x:1', '{"type": "t"}') -> 'version' AS version;
RESET standard_conforming_strings;
RESET default_tablespace;
RESET search_path;
RESET ROLE;
RESET quote_all_identifiers;
SELECT DISTINCT who, command FROM public.spied ORDER BY 1, 2;
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'test'::regnamespace AND relkind = 'r' AND relname ~ '^test_stream_.*[^a-z_]' ORDER BY relname COLLATE "C";
DROP EVENT TRIGGER regress_nvs_spy;
DROP FUNCTION public.spy;
DROP TABLE public.spied;
-- A table in the way, of one who may make tables there, is not taken for the
-- store's.
GRANT CREATE ON SCHEMA test TO regress_nvs_other;
SET ROLE regress_nvs_other;
CREATE TABLE test.test_stream_squat (id bigint, subject text, version bigint, ts bigint, type text);
GRANT ALL ON test.test_stream_squat TO PUBLIC;
RESET ROLE;
SET ROLE regress_nvs_app;
SELECT nvent.stream_append('test:squat:1', '{"type": "t"}');
RESET ROLE;
DROP TABLE test.test_stream_squat;
REVOKE CREATE ON SCHEMA test FROM regress_nvs_other;
-- The owner may make no table: nor may the writer.
ALTER SCHEMA test OWNER TO CURRENT_USER;
REVOKE CREATE ON SCHEMA test FROM regress_nvs_owner;
GRANT USAGE ON SCHEMA test TO regress_nvs_owner;
SET ROLE regress_nvs_app;
SELECT nvent.stream_append('test:late:1', '{"type": "t"}');
SELECT current_user;
RESET ROLE;
ALTER SCHEMA test OWNER TO regress_nvs_owner;

-- Tables of routes are the store's, too; not those of somebody else.
SET ROLE regress_nvs_owner;
CREATE TABLE test.log (seq serial, id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, subject text COLLATE "C" NOT NULL, ts bigint NOT NULL, type text NOT NULL);
SELECT nvent.route_add('stream', 'test:log:>', 'test.log');
SET ROLE regress_nvs_app;
SELECT nvent.stream_append('test:log:1', '{"type": "t"}');
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_app', 'write', 'test');
SELECT nvent.store_grant('regress_nvs_reader', 'read', 'test');
SET ROLE regress_nvs_app;
SELECT nvent.stream_append('test:log:1', '{"type": "t"}') - 'id' - 'ts' AS record;
SET ROLE regress_nvs_reader;
SELECT count(*) FROM nvent.stream_read('test:log:1');
SELECT nextval('test.log_seq_seq');
RESET ROLE;
ALTER TABLE test.log OWNER TO regress_nvs_other;
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_admin', 'write', 'test');
SELECT nvent.store_revoke('regress_nvs_admin', 'write', 'test');
SELECT nvent.route_drop('stream', 'test:log:>');
SELECT nvent.store_grant('regress_nvs_admin', 'admin', 'test');
RESET ROLE;
DROP TABLE test.log;
-- A schema that is somebody else's.
ALTER SCHEMA test OWNER TO CURRENT_USER;
GRANT USAGE ON SCHEMA test TO regress_nvs_owner;
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_stranger', 'read', 'test') AS with_usage;
RESET ROLE;
REVOKE USAGE ON SCHEMA test FROM regress_nvs_stranger;
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_stranger', 'read', 'test');
SELECT nvent.store_revoke('regress_nvs_stranger', 'read', 'test');
RESET ROLE;
ALTER SCHEMA test OWNER TO regress_nvs_owner;

-- Tables that a migration makes are granted, too, and belong to the owner
-- whoever migrates.
SELECT nvent.store_migrate('test', 3) AS was;
SELECT nvent.store_migrate('test') AS was;
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'test'::regnamespace;
SET ROLE regress_nvs_app;
SELECT pg_temp.may($$nvent.consumer_subscribe('c', 'test:order:>', store => 'test')$$), pg_temp.may($$nvent.snapshot_delete('test:s')$$);
RESET ROLE;

-- Revoking takes a level with those above it.
SET ROLE regress_nvs_owner;
SELECT nvent.store_revoke('regress_nvs_admin', 'admin', 'test');
SELECT nvent.store_revoke('regress_nvs_app', 'write', 'test');
RESET ROLE;
SELECT * FROM pg_temp.rights('');
SELECT * FROM pg_temp.rights('schema_version');
SET ROLE regress_nvs_admin;
SELECT level, call, pg_temp.may(call) FROM call WHERE level IN ('admin', 'owner') AND pg_temp.may(call) <> '42501' AND call !~ 'maintain|retain' ORDER BY id;
SET ROLE regress_nvs_app;
SELECT level, call, pg_temp.may(call) FROM call WHERE (pg_temp.may(call) = 'yes') <> (level IN ('read')) AND level IN ('read', 'write') ORDER BY id;
SET ROLE regress_nvs_owner;
SELECT nvent.store_revoke(r, 'read', 'test') FROM unnest('{regress_nvs_admin,regress_nvs_app,regress_nvs_reader}'::regrole[]) r;
RESET ROLE;
SELECT * FROM pg_temp.rights('');
SET ROLE regress_nvs_app;
SELECT level, call, pg_temp.may(call) FROM call WHERE pg_temp.may(call) <> '42501' ORDER BY id;
RESET ROLE;
-- What an administrator gave to a role is not an owner's to take.
GRANT EXECUTE ON FUNCTION nvent.maintain TO regress_nvs_stranger;
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_stranger', 'admin', 'test'), nvent.store_revoke('regress_nvs_stranger', 'read', 'test');
RESET ROLE;
SELECT has_schema_privilege('regress_nvs_stranger', 'nvent', 'USAGE') AS has_usage, has_function_privilege('regress_nvs_stranger', 'nvent.maintain(integer, text)', 'EXECUTE') AS may_execute;

-- What is no call.
SELECT code, message, hint FROM unnest(ARRAY[
    $$nvent.store_grant('regress_nvs_app', 'all', 'test')$$, $$nvent.store_grant('regress_nvs_app', NULL, 'test')$$, $$nvent.store_grant(NULL, 'read', 'test')$$,
    $$nvent.store_grant('regress_nvs_nobody', 'read', 'test')$$, $$nvent.store_grant(0::regrole, 'read', 'test')$$, $$nvent.store_grant('public', 'read', 'test')$$,
    $$nvent.store_grant('regress_nvs_app', 'read', 'nosuch')$$, $$nvent.store_revoke('regress_nvs_app', 'read', 'nosuch')$$]) c, pg_temp.error_of(c);

-- A new owner gets the functions by a call.
ALTER SCHEMA test OWNER TO regress_nvs_stranger;
GRANT regress_nvs_owner TO regress_nvs_stranger;
REASSIGN OWNED BY regress_nvs_owner TO regress_nvs_stranger;
REVOKE regress_nvs_owner FROM regress_nvs_stranger;
SELECT nvent.store_grant('regress_nvs_stranger', 'admin', 'test');
SET ROLE regress_nvs_stranger;
SELECT nvent.store_grant('regress_nvs_app', 'read', 'test');
SET ROLE regress_nvs_owner;
SELECT nvent.store_grant('regress_nvs_app', 'read', 'test');
RESET ROLE;

-- Roles go with what was granted to them.
DROP ROLE regress_nvs_app;
DROP OWNED BY regress_nvs_app;
DROP ROLE regress_nvs_app;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped, nvent.store_migrate('other', 0) > 0 AS dropped;
DROP SCHEMA test, other;
DROP OWNED BY regress_nvs_owner, regress_nvs_admin, regress_nvs_reader, regress_nvs_stranger, regress_nvs_other;
DROP ROLE regress_nvs_owner, regress_nvs_admin, regress_nvs_reader, regress_nvs_stranger, regress_nvs_other;
