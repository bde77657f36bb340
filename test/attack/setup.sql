-- The roles, from one that may do no more than name our functions to a
-- superuser, and their stores.  By a superuser, who has what follows in this
-- folder run by those roles: spy.sql, owner.sql, odd.sql, grantee.sql, traps.sql.

CREATE ROLE root LOGIN SUPERUSER;
CREATE ROLE watcher LOGIN SUPERUSER;	-- who looks at what they did
CREATE ROLE stranger LOGIN;		-- has USAGE on schema nvent
CREATE ROLE tenant LOGIN;		-- has a schema and stores of its own
CREATE ROLE writer LOGIN;		-- writes to the stores of the next two
CREATE ROLE shopkeeper LOGIN;	-- owns store shop
CREATE ROLE keeper LOGIN;		-- owns the default store
CREATE ROLE grantee LOGIN;		-- has every right on every table of both

CREATE EXTENSION nvent_store;
GRANT USAGE ON SCHEMA nvent TO PUBLIC;
GRANT CREATE ON SCHEMA public TO keeper;
SELECT format('CREATE SCHEMA %I AUTHORIZATION %1$I; GRANT USAGE ON SCHEMA %1$I TO PUBLIC', r)
FROM unnest('{stranger,tenant,writer,shopkeeper,keeper,grantee}'::text[]) r \gexec
CREATE SCHEMA shop AUTHORIZATION shopkeeper;
CREATE SCHEMA traps AUTHORIZATION tenant;
GRANT USAGE ON SCHEMA shop, traps TO PUBLIC;

-- Who makes a store is one who may.
SELECT format('GRANT EXECUTE ON FUNCTION %s TO shopkeeper, keeper, tenant', oid::regprocedure)
FROM pg_proc WHERE pronamespace = 'nvent'::regnamespace AND proname = 'store_create' \gexec
SET ROLE keeper;
SELECT nvent.store_create('nvent', 'public');
SET ROLE shopkeeper;
SELECT nvent.store_create('shop', 'shop');
SET ROLE tenant;
SELECT nvent.store_create('evil', 'tenant'), nvent.store_create('views', 'tenant'), nvent.store_create('odd', 'tenant');
RESET ROLE;

-- Some attacks are made by who may call everything: what a function checks
-- itself must hold then, too.
CREATE SCHEMA attack;
GRANT USAGE ON SCHEMA attack TO PUBLIC;
CREATE PROCEDURE attack.allow(role text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nvent TO %I', role);
END $$;

-- A role puts tables where a store's would be, such as no trap is in.
CREATE PROCEDURE attack.plant(prefix text, schema text, role text) LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
BEGIN
	PERFORM nvent.store_create(prefix, schema);
	FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = schema::regnamespace AND relname ^@ (prefix || '_') AND relkind = 'r'
	LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO %I', relation, role);
	END LOOP;
	DELETE FROM nvent.store s WHERE s.prefix = plant.prefix;
END $$;

-- In each is something of everything, and some of it has expired.
CREATE PROCEDURE attack.fill(store text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nvent.stream_append(store || s, '{"type": "t", "data": {"a": 1}}')
	FROM unnest('{:order:1,:order:2,:closed:1,:flow:run:1,:trigger:event:1}'::text[]) s;
	PERFORM nvent.kv_set(store || ':k', '1'), nvent.kv_set(store || ':n', '1', '1 hour'),
		nvent.kv_set(store || ':old', '1', '1 microsecond');
	PERFORM nvent.entry_add(store || ':flows', 'f', 1, '{"registeredAt": 1}'), nvent.entry_add(store || ':x', 'i', 1, '{"a": 1}');
	PERFORM nvent.lock_acquire(store || ':l', '1 hour', 'me'), nvent.lock_acquire(store || ':old', '1 microsecond');
	PERFORM nvent.consumer_subscribe('c', store || ':order:>', store => store), nvent.checkpoint_save('c', 1, store => store);
	PERFORM nvent.snapshot_save(store || ':s', '{"a": 1}', '{}');
END $$;
SET ROLE keeper;
CALL attack.fill('nvent');
SET ROLE shopkeeper;
CALL attack.fill('shop');
SET ROLE tenant;
CALL attack.fill('evil');
CALL attack.fill('views');
CALL attack.fill('odd');
RESET ROLE;

-- What writers and grantees are given.
CREATE FUNCTION attack.grants(store text, owner text, schema text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT s FROM unnest(ARRAY[
		format('SET ROLE %I', owner),
		CASE WHEN EXISTS (SELECT FROM pg_proc WHERE proname = 'store_grant') THEN
			format('SELECT nvent.store_grant(%L, %L, %L)', 'writer', 'write', store)
		ELSE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO writer', schema) END,
		format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO grantee', schema),
		'RESET ROLE']) WITH ORDINALITY x (s, n) ORDER BY n
$$;
SELECT attack.grants('nvent', 'keeper', 'public') \gexec
SELECT attack.grants('shop', 'shopkeeper', 'shop') \gexec

-- Whose the stores are, and who else may write to them.
CREATE TABLE attack.store (store text PRIMARY KEY, schema text, owner text, writers text[], rows text, shape text);
INSERT INTO attack.store VALUES
	('nvent', 'public', 'keeper', '{keeper,writer,grantee,root}'), ('shop', 'shop', 'shopkeeper', '{shopkeeper,writer,grantee,root}'),
	('evil', 'tenant', 'tenant', '{tenant,root}');

-- What is in a store's tables.
CREATE FUNCTION attack.rows(store text, schema text) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass;
	part text;
	parts text = '';
BEGIN
	FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = schema::regnamespace AND relname ^@ (store || '_') AND relkind IN ('r', 'p') ORDER BY relname
	LOOP
		EXECUTE format('SELECT md5(string_agg(t::text, ''/'' ORDER BY t::text)) FROM %s t', relation) INTO part;
		parts = concat(parts, relation, part);
	END LOOP;
	RETURN md5(parts);
END $$;

-- What a store is made of: its tables, with their rights and triggers, and the
-- rows of the registry; without stream tables that writers have made.
CREATE FUNCTION attack.shape(of text, schema text) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT md5(concat(
		(SELECT string_agg(concat(oid, relname, relowner, relacl, relkind, relrowsecurity), '/' ORDER BY oid) FROM pg_class
			WHERE relnamespace = schema::regnamespace AND relname ^@ (of || '_') AND relname !~ '_stream_(fresh|unheard)'),
		(SELECT string_agg(concat(t.oid, t.tgname, t.tgenabled), '/' ORDER BY t.oid) FROM pg_trigger t
			JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = schema::regnamespace AND c.relname ^@ (of || '_') AND c.relname !~ '_stream_(fresh|unheard)'),
		(SELECT string_agg(s::text, '/' ORDER BY s::text) FROM nvent.store s WHERE s.prefix = of),
		(SELECT string_agg(r::text, '/' ORDER BY r::text) FROM nvent.route r WHERE r.store = of),
		(SELECT string_agg(t::text, '/' ORDER BY t::text) FROM nvent.stream_table t WHERE t.store = of AND t.type NOT IN ('fresh', 'unheard'))))
$$;

-- After a call: say in the log what changed that its caller may not change.
-- The call is what application_name says.
CREATE FUNCTION attack.check_stores() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	now_rows text;
	now_shape text;
BEGIN
	FOR s IN SELECT * FROM attack.store WHERE session_user <> ALL (writers)
	LOOP
		now_rows = attack.rows(s.store, s.schema);
		IF now_rows <> s.rows THEN
			RAISE LOG 'CHANGED rows of store %', s.store;
			UPDATE attack.store SET rows = now_rows WHERE store = s.store;
		END IF;
	END LOOP;
	FOR s IN SELECT * FROM attack.store WHERE session_user NOT IN (owner, 'root')
	LOOP
		now_shape = attack.shape(s.store, s.schema);
		IF now_shape <> s.shape THEN
			RAISE LOG 'CHANGED tables or routes of store %', s.store;
			UPDATE attack.store SET shape = now_shape WHERE store = s.store;
		END IF;
	END LOOP;
	IF (SELECT last_value FROM nvent.position_seq) > 10000 THEN
		RAISE LOG 'CHANGED the sequence of positions';
		PERFORM setval('nvent.position_seq', 1000);
	END IF;
END $$;

-- In a call's transaction: say in the log what is locked that its caller has
-- no rights on.
CREATE FUNCTION attack.check_locks() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held text;
BEGIN
	FOR held IN SELECT format('%s of %s', l.mode, c.oid::regclass) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p', 'v', 'f', 'm', 'S') AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'nvent', 'attack')
			AND NOT has_table_privilege(session_user, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
			AND NOT has_any_column_privilege(session_user, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
			-- An identity column draws for whoever may insert.
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i'
				AND has_table_privilege(session_user, d.refobjid, 'INSERT'))
	LOOP
		RAISE LOG 'LOCKED %', held;
	END LOOP;
	IF session_user = 'stranger' AND EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') THEN
		RAISE LOG 'LOCKED something of ours';
	END IF;
END $$;

ALTER FUNCTION attack.check_stores() OWNER TO watcher;
ALTER FUNCTION attack.check_locks() OWNER TO watcher;
