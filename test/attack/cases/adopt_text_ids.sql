-- store_adopt pasted the highest id of a table, of any type, into SQL that ran
-- as the extension's owner.
\c - :admin
CALL attack.allow('tenant');
\c - tenant
SET search_path = tenant, pg_catalog;
SELECT format('CREATE TABLE text_%s (LIKE %s INCLUDING ALL)', substr(relname, 6), relname)
FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'evil_' AND relkind = 'r' \gexec
ALTER TABLE text_flow_events ALTER id DROP DEFAULT, ALTER id TYPE text USING id::text;
INSERT INTO text_schema_version SELECT * FROM evil_schema_version;
INSERT INTO text_flow_events (id, ts, type) VALUES ('1; ALTER ROLE tenant SUPERUSER', 1, 't'), ('9) FROM nvent.position_seq; ALTER ROLE tenant SUPERUSER --', 1, 't');
SELECT nvent.store_adopt('text', 'tenant');
\c - watcher
SELECT CASE WHEN rolsuper THEN 'tenant is a superuser' ELSE 'held' END FROM pg_roles WHERE rolname = 'tenant';
