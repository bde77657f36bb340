-- Names of stores, schemas, types, columns and roles are text in SQL that others
-- run.
\c - :admin
SELECT format('GRANT CREATE ON DATABASE %I TO tenant', current_database()) \gexec
CALL attack.allow('tenant');
\c - tenant
CREATE FUNCTION tenant.rise() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('is_superuser') = 'on' THEN ALTER ROLE tenant SUPERUSER; END IF;
	RETURN true;
END $$;
\set name 'a"; SELECT tenant.rise(); --'
\set other 'a''||tenant.rise()||''\\'
CREATE SCHEMA :"name";
CREATE SCHEMA :"other";
SELECT nvent.store_create(:'name', :'name');
SELECT nvent.store_create(:'other', :'other');
SELECT nvent.store_create('quoted', 'tenant');
SELECT nvent.kv_set(s || ':old', '1', '1 us'), nvent.lock_acquire(s || ':old', '1 us'), nvent.stream_append(s || ':' || t || ':1', '{"type": "t"}')
FROM unnest(ARRAY[:'name', :'other', 'quoted']) s, unnest(ARRAY['t', 't"; SELECT tenant.rise(); --', 't''||tenant.rise()||''\']) t;
ALTER TABLE tenant.quoted_kv ADD "x"", tenant.rise()" text DEFAULT '';
ALTER TABLE tenant.quoted_entries ADD "x"", tenant.rise()" text DEFAULT '';
ALTER TABLE tenant.quoted_stream_t ADD "x"", tenant.rise()" text DEFAULT '';
SELECT nvent.consumer_subscribe(s, s || ':>', store => s) FROM unnest(ARRAY[:'name', :'other', 'quoted']) s;
\c - root
SET standard_conforming_strings = off;
SELECT nvent.kv_set(s || ':k', '1'), nvent.entry_add(s || ':k', 'i', 1, '{"x\\", tenant.rise()": 1}'), nvent.stream_append(s || ':' || t || ':1', '{"type": "t", "x\\", tenant.rise()": "1"}')
FROM unnest(ARRAY[:'name', :'other', 'quoted']) s, unnest(ARRAY['t', E't"; SELECT tenant.rise(); --', E't''||tenant.rise()||''\\', 'new"; --']) t;
SELECT nvent.stream_poll(s || ':>', 0), nvent.kv_scan(s || ':*'), nvent.entry_read(s || ':k'), nvent.consumer_fetch(store => s), nvent.stream_retain('t', '0 s', s)
FROM unnest(ARRAY[:'name', :'other', 'quoted']) s;
SELECT nvent.maintain(), nvent.stream_tables();
SELECT nvent.store_migrate(s), nvent.stream_drop_table(E't"; SELECT tenant.rise(); --', s), nvent.stream_clear(s), nvent.store_migrate(s, 0) FROM unnest(ARRAY[:'name', :'other', 'quoted']) s;
\c - watcher
SELECT CASE WHEN rolsuper THEN 'tenant is a superuser' ELSE 'held' END FROM pg_roles WHERE rolname = 'tenant';
