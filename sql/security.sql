-- Nothing of a caller's is called in place of PostgreSQL's own: functions,
-- operators, types and relations of the same names, in a schema that comes
-- first in search_path and among the temporary ones.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_mallory;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_mallory;
GRANT EXECUTE ON FUNCTION nvent.store_create, nvent.store_adopt, nvent.position_publish TO regress_nvs_mallory;
CREATE SCHEMA own AUTHORIZATION regress_nvs_mallory;
CREATE SCHEMA trap AUTHORIZATION regress_nvs_mallory;
CREATE FUNCTION trap.sprung(what text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog
AS $$ BEGIN RAISE EXCEPTION 'trap: % as %', what, current_user; END $$;

-- Types whose values are never valid, in place of those that SQL names.
CREATE FUNCTION set_traps() RETURNS bigint LANGUAGE plpgsql AS $fn$
DECLARE
    types oid[] := '{text,bigint,integer,smallint,boolean,jsonb,double precision,numeric,timestamptz,name,oid,regclass,regtype,"\"char\"","text[]",json,interval,unknown,anyelement,anyarray}'::regtype[]::oid[];
    r record;
    n bigint := 0;
BEGIN
    -- Every operator on types that we use ...
    FOR r IN
        SELECT DISTINCT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS res FROM pg_operator
        WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft = ANY (types) AND oprright = ANY (types) AND oprresult <> 0
            AND oprresult NOT IN ('anyelement'::regtype, 'anyarray'::regtype) AND NOT 'unknown'::regtype IN (oprleft, oprright)
            AND NOT 'anyelement'::regtype IN (oprleft, oprright) AND NOT 'anyarray'::regtype IN (oprleft, oprright)
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION trap.op%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', n, r.l, r.r, r.res,
            format('BEGIN PERFORM trap.sprung(%L); RETURN NULL; END', 'operator ' || r.oprname));
        EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.op%s, LEFTARG = %s, RIGHTARG = %s)', r.oprname, n, r.l, r.r);
    END LOOP;
    -- ... and every function on them, aggregates included.
    FOR r IN
        SELECT DISTINCT proname, pg_get_function_identity_arguments(oid) AS args, prorettype::regtype AS res, proretset FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND pg_get_function_identity_arguments(oid) !~ 'ORDER BY' AND pronargs BETWEEN 0 AND 3 AND provariadic = 0
            AND proargtypes::oid[] <@ types AND prorettype = ANY (types) AND NOT 'anyelement'::regtype::oid = ANY (proargtypes)
            AND NOT 'anyarray'::regtype::oid = ANY (proargtypes) AND prorettype NOT IN ('anyelement'::regtype, 'anyarray'::regtype)
            AND NOT 'unknown'::regtype::oid = ANY (proargtypes) AND proargmodes IS NULL AND proname !~ '^(pg_(?!get_expr)|binary_upgrade|lo_|has_|.*(in|out|recv|send)$)'
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', r.proname, r.args, r.res,
            format('BEGIN PERFORM trap.sprung(%L); RETURN NULL; END', 'function ' || r.proname));
    END LOOP;
    FOR r IN SELECT unnest('{text,jsonb,json,int8,int4,timestamptz,regclass,numeric,name,oid}'::text[]) AS t LOOP
        EXECUTE format('CREATE DOMAIN trap.%I AS pg_catalog.%I CHECK (trap.sprung(%L))', r.t, r.t, 'type ' || r.t);
    END LOOP;
    FOR r IN SELECT unnest('{store,route,stream_table,published_position,position_seq,default_route,appenders,pg_class,pg_attribute,pg_attrdef,pg_namespace,pg_index,pg_depend,pg_locks,pg_proc}'::text[]) AS t LOOP
        EXECUTE format('CREATE VIEW trap.%I AS SELECT trap.sprung(%L) AS trap', r.t, 'relation ' || r.t);
        EXECUTE format('CREATE TEMP VIEW %I AS SELECT trap.sprung(%L) AS trap', r.t, 'relation pg_temp.' || r.t);
    END LOOP;
    RETURN n;
END $fn$;
SELECT set_traps() > 800 AS many;
GRANT ALL ON ALL TABLES IN SCHEMA trap TO PUBLIC;
GRANT USAGE ON SCHEMA trap TO PUBLIC;

-- A table of the user, whose own default and constraint mean what its owner
-- wrote; made before the traps are in the way.
CREATE TABLE own.evil_log (
    id bigint DEFAULT nvent.next_position('evil') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL CHECK (type <> 'x'),
    subject text NOT NULL, who text DEFAULT current_user || '!', version integer, tags text[], at timestamptz, meta jsonb
);
CREATE TABLE own.root_log (LIKE own.evil_log INCLUDING ALL);
CREATE TABLE own.bare_log (LIKE own.evil_log INCLUDING ALL);
ALTER TABLE own.root_log ALTER id SET DEFAULT nvent.next_position('root');
ALTER TABLE own.bare_log ALTER id SET DEFAULT nvent.next_position('bare');
ALTER TABLE own.evil_log OWNER TO regress_nvs_mallory;
-- Tables for store_adopt(), as layout 3 without a registry.
SELECT nvent.store_create('found', 'own');
DELETE FROM nvent.store WHERE prefix = 'found';
ALTER TABLE own.found_flow_events ALTER id DROP DEFAULT;

-- The traps work: unqualified names find them.
SET search_path = trap, pg_catalog, public;
SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text;
SELECT lower('A'::pg_catalog.text);
SELECT 'a'::text;
SELECT trap FROM store;
SET search_path = pg_temp, trap, pg_catalog;
SELECT trap FROM pg_class;

-- Each function of ours that reads or writes, as a superuser, with the traps
-- first; the unprivileged role's turn comes below.
CREATE PROCEDURE public.call_all(p pg_catalog.text) LANGUAGE plpgsql AS $$
DECLARE
    r pg_catalog.record;
    statement pg_catalog.text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'nvent.store_create(''%s'', ''own'')',
        'nvent.store_version(''%s'')',
        'nvent.store_migrate(''%s'', 3)',
        'nvent.store_migrate(''%s'', 4)',
        'nvent.stream_append(''%s:flow:run:1'', ''{"type": "t", "attempt": 1, "ts": "2026-01-31", "data": [1], "x": 1}'')',
        'nvent.stream_append(''%s:s:1'', ''{"type": "t"}'')',
        'nvent.stream_append(''%s:s:1'', ''{"type": "t"}'', 1)',
        'nvent.stream_append_batch(''%s:s:1'', ''{"{\"type\": \"t\"}", "{\"type\": \"u\"}"}'')',
        'nvent.stream_read(''%s:s:1'', 0, 1000000000, 0, 1000000000000000, ''{t,u}'', true, 10)',
        'nvent.stream_read(''%s:flow:run:1'')',
        'nvent.stream_create_table(''log'', false, ''%s'')',
        'nvent.stream_tables(''%s'')',
        'nvent.route_add(''stream'', ''%s:own:>'', ''own.%s_log'', ''{"kind": "type"}'')',
        'nvent.route_resolve(''stream'', ''%s:own:1'')',
        'nvent.stream_append(''%s:own:1'', ''{"kind": "t", "tags": ["a"], "at": "2026-01-31"}'')',
        'nvent.stream_append_batch(''%s:own:1'', ''{"{\"type\": \"t\"}", "{\"type\": \"u\"}"}'')',
        'nvent.stream_read(''%s:own:1'')',
        'nvent.stream_poll(''%s:>'', 0)',
        'nvent.safe_position()',
        'nvent.store_migrate(''%s'')',
        'nvent.stream_append(''%s:es:1'', ''{"type": "t", "eventId": "e-1", "pii": 1, "correlation": "%s:c:1"}'', 0)',
        'nvent.stream_append(''%s:es:1'', ''{"type": "t", "eventId": "e-1", "pii": 1, "correlation": "%s:c:1"}'', 0)',
        'nvent.stream_append_many(''[{"subject": "%s:es:1", "expected": 1, "events": [{"type": "u", "eventId": "e-2"}, {"type": "__snapshot__"}]}, {"subject": "%s:es:2", "events": [{"type": "v"}]}, {"subject": "%s:es:3", "expected": "none"}]'')',
        'nvent.stream_version(''%s:es:1'')',
        'nvent.stream_read(''%s:es:1'', after_version => 0, before_version => 9, correlation => ''%s:c:1'', with_snaps => true)',
        'nvent.stream_read(''%s:es:1'', with_snaps => true)',
        'nvent.stream_poll(''%s:es:1'', 0, types => ''{t}'')',
        'nvent.stream_poll_category(''%s:es'', 0, 10, ''{t,u}'', ''%s:c'', 0, 1)',
        'nvent.stream_stats(''%s:>'', ''{%s:es:1}'', ''{x}'', 1000000000, ''a'', 10)',
        'nvent.stream_wait(''%s:es:1'', 0, ''1 s'')',
        'nvent.position_publish()',
        'nvent.snapshot_save(''%s:snap'', ''1'', ''{"%s:es:1": 2}'')',
        'nvent.snapshot_save(''%s:snap'', ''1'', ''{"%s:es:1": 3}'')',
        'nvent.snapshot_load(''%s:snap'')',
        'nvent.snapshot_delete(''%s:snap'')',
        'nvent.stream_close(''%s:es:2'', 1)',
        'nvent.stream_reopen(''%s:es:2'')',
        'nvent.stream_erase(''%s:es:1'')',
        'nvent.stream_truncate(''%s:es:1'', before => 2)',
        'nvent.stream_truncate(''%s:es:1'', before_ts => 99999999999999)',
        'nvent.stream_truncate(''%s:es:2'', seed => ''{"type": "__snapshot__"}'', restart => true)',
        'nvent.stream_retain(''es'', ''1 day'', ''%s'', 10)',
        'nvent.stream_protect(''own.%s_stream_es'')',
        'nvent.stream_append(''%s:es:1'', ''{"type": "t"}'')',
        'nvent.consumer_subscribe(''c'', ''%s:es:>'', priority => 1, store => ''%s'')',
        'nvent.consumer_subscribe(''d'', mark => 5, store => ''%s'')',
        'nvent.consumer_mark(''{c,d}'', ''{1,6}'', ''%s'')',
        'nvent.consumer_correlate(store => ''%s'')',
        'nvent.consumer_fetch(2, ''0'', ''default'', ''w'', 1, store => ''%s'')',
        'nvent.consumer_mark(''{c,d}'', ''{9000000000,9000000000}'', ''%s'')',
        'nvent.consumer_claim(2, ''1 h'', owner => ''w'', store => ''%s'')',
        'nvent.consumer_renew(''c'', NULL, owner => ''w'', store => ''%s'')',
        'nvent.consumer_block(''c'', NULL, ''x'', ''w'', ''%s'')',
        'nvent.consumer_block_many(''{d}'', NULL, ''{x}'', NULL, ''w'', ''%s'')',
        'nvent.consumer_unblock(NULL, ''.'', store => ''%s'')',
        'nvent.consumer_claim(2, ''1 h'', owner => ''w'', store => ''%s'')',
        'nvent.consumer_ack(''c'', NULL, 9000000000, owner => ''w'', store => ''%s'')',
        'nvent.consumer_ack_many(''{d}'', NULL, ''{1}'', owner => ''w'', store => ''%s'')',
        'nvent.consumer_defer(''{c}'', pg_catalog.now(), ''c'', NULL, NULL, ''default'', false, ''%s'')',
        'nvent.consumer_reset(''{c}'', 0, ''c'', lane => ''default'', store => ''%s'')',
        'nvent.consumer_prioritize(NULL, 2, ''c'', ''.'', ''s'', ''default'', false, ''%s'')',
        'nvent.consumer_list(''{c}'', ''c'', lane => ''default'', blocked => false, after => ''a'', store => ''%s'')',
        'nvent.consumer_lanes(''%s'')',
        'nvent.consumer_stats(''%s'')',
        'nvent.consumer_furthest(''%s'')',
        'nvent.consumer_unsubscribe(''d'', ''%s'')',
        'nvent.checkpoint_save(''r'', 1, 7, data => ''1'', store => ''%s'')',
        'nvent.checkpoint_save(''r'', 2, 7, store => ''%s'')',
        'nvent.checkpoint_load(''r'', ''%s'')',
        'nvent.checkpoint_delete(''r'', ''%s'')',
        'nvent.schedule_set(''s'', ''%s:es:1'', ''{"type": "t"}'', ''@daily'', missed => ''skip'', store => ''%s'')',
        'nvent.schedule_set(''s'', ''%s:es:1'', ''{"type": "t"}'', at => ''2026-01-01'', store => ''%s'')',
        'nvent.schedule_pause(''s'', ''%s'')',
        'nvent.schedule_resume(''s'', ''%s'')',
        'nvent.schedule_run(''%s'')',
        'nvent.schedule_list(''%s'')',
        'nvent.schedule_delete(''s'', ''%s'')',
        'nvent.cron_next(''@daily'', ''Europe/Berlin'')',
        'nvent.schedule_preview(''@daily'')',
        'nvent.lock_acquire(''%s:l'', ''1 h'', ''w'')',
        'nvent.lock_acquire(''%s:l'', ''1 h'', ''w'')',
        'nvent.lock_get(''%s:l'')',
        'nvent.lock_renew(''%s:l'', 0, ''1 h'')',
        'nvent.lock_release(''%s:l'', 0)',
        'nvent.stream_clear(''%s'')',
        'nvent.stream_restore(''{"{\"subject\": \"%s:es:1\", \"type\": \"t\"}"}'')',
        'nvent.entry_add(''%s:flows'', ''f'', 1, ''{"registeredAt": 1, "x": {"y": 1}, "stats": {"total": 1}}'')',
        'nvent.entry_add(''%s:other'', ''f'', 1, ''{"x": {"y": 1}}'')',
        'nvent.entry_get(''%s:flows'', ''f'')',
        'nvent.entry_update(''%s:flows'', ''f'', ''{"displayName": "d", "x": {"z": 2}}'', 0)',
        'nvent.entry_update(''%s:other'', ''f'', ''{"x.z": 2}'')',
        'nvent.entry_increment(''%s:flows'', ''f'', ''stats.total'', 1)',
        'nvent.entry_increment_many(''%s:other'', ''f'', ''{"n": 1, "x.y": 2}'')',
        'nvent.entry_read(''%s:other'', filter => ''{"n": 1}'')',
        'nvent.entry_delete(''%s:other'', ''f'')',
        'nvent.stream_delete(''%s:s:1'')',
        'nvent.route_drop(''stream'', ''%s:own:>'')',
        'nvent.stream_drop_table(''s'', ''%s'')',
        'nvent.store_migrate(''%s'', 0)',
        'nvent.store_adopt(''found'', ''own'')',
        'nvent.store_migrate(''found'', 3)']
    LOOP
        BEGIN
            EXECUTE pg_catalog.concat('SELECT ', pg_catalog.replace(statement, '%s', p));
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING '% fails: %', statement, sqlerrm;
        END;
    END LOOP;
END $$;
CALL public.call_all('root');
DELETE FROM nvent.store;
-- Without any path at all.
SET search_path = '';
CALL public.call_all('bare');
DELETE FROM nvent.store;

-- As mallory: what he planted is not run in the name of the extension's owner
-- either.
RESET search_path;
SELECT count(*) FROM nvent.store;
DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'own'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE own.%I OWNER TO regress_nvs_mallory', t);
    END LOOP;
END $$;
SET ROLE regress_nvs_mallory;
SET search_path = pg_temp, trap, pg_catalog;
CALL public.call_all('evil');
-- Nor when they are in functions that run when his rows are written.
RESET search_path;
SELECT nvent.store_create('evil', 'own');
CREATE FUNCTION own.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_nvs_mallory' THEN RAISE WARNING 'spy runs as %', current_user; END IF;
    -- A caller's trigger cannot change who we are, nor is it fooled about it.
    PERFORM nvent.stream_append('evil:inner:' || NEW.type, '{"type": "inner"}') WHERE NEW.type = 'outer';
    RETURN NEW;
END $$;
SELECT nvent.stream_create_table('spied', store => 'evil');
CREATE TRIGGER spy BEFORE INSERT ON own.evil_stream_spied FOR EACH ROW EXECUTE FUNCTION own.spy();
SELECT nvent.stream_append('evil:spied:1', '{"type": "outer"}')->'version' AS version;
SELECT current_user, session_user = current_user AS still;
SELECT e->>'type' AS type FROM nvent.stream_read('evil:inner:outer') e;
-- After an error in the middle of it he is himself, too.
SELECT nvent.store_create('evil', 'pg_catalog');
SELECT nvent.route_add('stream', 'evil:a:>', 'own.evil_log'), nvent.route_add('stream', 'evil:a:>', 'own.evil_log');
DO $$ BEGIN
    BEGIN
        PERFORM nvent.route_add('stream', 'evil:b:>', 'own.evil_log'), nvent.route_add('stream', 'evil:b:>', 'own.evil_log');
    EXCEPTION WHEN duplicate_object THEN
        RAISE WARNING 'caught as %', current_user;
    END;
END $$;
INSERT INTO nvent.store (prefix, schema_name) VALUES ('forged', 'own');
SELECT current_setting('search_path') AS path;
-- What one may not read by oneself is not read for one.
RESET ROLE;
SELECT nvent.store_create('private', 'private');
SELECT nvent.stream_append('private:flow:run:1', '{"type": "secret"}')->'type' AS type;
SET ROLE regress_nvs_mallory;
\set VERBOSITY sqlstate
SELECT nvent.stream_read('private:flow:run:1');
SELECT nvent.stream_poll('private:>', 0);
SELECT nvent.store_version('private');
SELECT nvent.route_add('stream', 'evil:private:{run_id...}', 'private.private_flow_events');
RESET ROLE;
SELECT nvent.stream_create_table('s', store => 'private');
ALTER TABLE private.private_stream_s ALTER id SET DEFAULT nvent.next_position('evil');
SELECT nvent.route_add('stream', 'evil:private:>', 'private.private_stream_s');
-- Not even when the registry says so.
INSERT INTO nvent.route (store, kind, pattern, shape, schema_name, table_name)
VALUES ('evil', 'stream', 'evil:private:>', 'evil:private:>', 'private', 'private_stream_s');
SET ROLE regress_nvs_mallory;
SELECT nvent.stream_read('evil:private:1');
SELECT nvent.stream_append('evil:private:1', '{"type": "t"}');

RESET ROLE;
SELECT count(nvent.store_migrate(prefix, 0)) FROM (SELECT prefix FROM nvent.store) s;
DROP SCHEMA own, private CASCADE;
DROP PROCEDURE call_all;
DROP FUNCTION set_traps;
DISCARD TEMP;
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT oid::regoperator AS o FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace LOOP
        EXECUTE format('DROP OPERATOR trap.%s', replace(r.o::text, 'trap.', ''));
    END LOOP;
END $$;
DROP SCHEMA trap CASCADE;
DROP OWNED BY regress_nvs_mallory;
DROP ROLE regress_nvs_mallory;
