-- What a superuser's program calls when it starts took over tables that another
-- role had put where the store's were to be, and ran his triggers at each append.
\c - root
CREATE SCHEMA open;
GRANT ALL ON SCHEMA open TO tenant;
CALL attack.plant('till', 'open', 'tenant');
\c - tenant
CREATE FUNCTION tenant.spring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	ALTER ROLE tenant SUPERUSER;
	RETURN NEW;
EXCEPTION WHEN insufficient_privilege THEN
	RETURN NEW;
END $$;
SELECT format('CREATE TRIGGER spring BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION tenant.spring()', oid::regclass)
FROM pg_class WHERE relnamespace = 'open'::regnamespace AND relname ^@ 'till_' AND relkind = 'r' \gexec
\c - root
SELECT nvent.store_ensure('till', 'open');
SELECT nvent.stream_append('till:order:1', '{"type": "t"}');
SELECT nvent.kv_set('till:k', '1');
\c - watcher
SELECT CASE WHEN rolsuper OR EXISTS (SELECT FROM nvent.store WHERE prefix = 'till') THEN 'tables of another role became a store of root' ELSE 'held' END
FROM pg_roles WHERE rolname = 'tenant';
