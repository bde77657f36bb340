-- Adoption asked for the ownership of the version table alone.
\c - :admin
CREATE SCHEMA open;
GRANT ALL ON SCHEMA open TO tenant, shopkeeper;
CALL attack.allow('tenant');
\c - shopkeeper
CREATE TABLE open.mine_kv (LIKE shop.shop_kv INCLUDING ALL);
CREATE TABLE open.mine_stream_order (LIKE shop.shop_stream_order INCLUDING ALL);
\c - tenant
SELECT format('CREATE TABLE open.mine_%s (LIKE tenant.%s INCLUDING ALL)', substr(relname, 6), relname) FROM pg_class
WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'evil_' AND relkind = 'r' AND relname NOT IN ('evil_kv', 'evil_stream_order') \gexec
INSERT INTO open.mine_schema_version SELECT * FROM tenant.evil_schema_version;
SELECT nvent.store_adopt('mine', 'open');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'mine') THEN 'a table of another role was adopted' ELSE 'held' END;
