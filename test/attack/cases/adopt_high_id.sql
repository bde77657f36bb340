-- An adopted id of 2^63 - 1 left no positions for anybody.
\c - :admin
CALL attack.allow('tenant');
\c - tenant
SET search_path = tenant, pg_catalog;
SELECT format('CREATE TABLE high_%s (LIKE %s INCLUDING ALL)', substr(relname, 6), relname)
FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'evil_' AND relkind = 'r' \gexec
INSERT INTO high_schema_version SELECT * FROM evil_schema_version;
INSERT INTO high_flow_events (id, ts, type) VALUES (9223372036854775807, 1, 't');
SELECT nvent.store_adopt('high', 'tenant');
\c - keeper
SELECT nvent.stream_append('nvent:order:1', '{"type": "t"}') IS NOT NULL AS appended \gset
\c - watcher
SELECT CASE WHEN :'appended' AND (SELECT last_value FROM nvent.position_seq) < 1000000 THEN 'held' ELSE 'no positions are left' END;
