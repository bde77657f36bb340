-- Temporary tables became a store that everybody's sessions knew.
\c - :admin
CALL attack.allow('tenant');
\c - tenant
CREATE TEMP TABLE t ();
SELECT relnamespace::regnamespace AS temp FROM pg_class WHERE oid = 't'::regclass \gset
SELECT nvent.store_create('temp', :'temp');
SELECT nvent.store_create('temp', 'pg_temp');
SELECT format('CREATE TEMP TABLE temp_%s (LIKE tenant.%s INCLUDING ALL)', substr(relname, 6), relname)
FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'evil_' AND relkind = 'r' \gexec
INSERT INTO temp_schema_version (version, description) SELECT version, description FROM tenant.evil_schema_version;
SELECT nvent.store_adopt('temp', :'temp');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'temp') THEN 'a store is temporary' ELSE 'held' END;
