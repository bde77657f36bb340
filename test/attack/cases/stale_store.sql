-- Tables of the names that a store had, made by somebody else after it was
-- dropped, were used as that store.
\c - :admin
SELECT format('GRANT CREATE ON DATABASE %I TO tenant', current_database()) \gexec
DROP SCHEMA shop CASCADE;
\c - tenant
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SELECT format('CREATE TABLE shop.shop_%s (LIKE tenant.%s INCLUDING ALL)', substr(relname, 6), relname)
FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relname ^@ 'evil_' AND relkind = 'r' \gexec
INSERT INTO shop.shop_schema_version (version, description) SELECT version, description FROM tenant.evil_schema_version;
SELECT format('CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON shop.%I FOR EACH ROW EXECUTE FUNCTION tenant.spy_trigger()', relname)
FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relname ^@ 'shop_' AND relkind = 'r' \gexec
GRANT ALL ON ALL TABLES IN SCHEMA shop TO PUBLIC;
SELECT nvent.route_add('kv', 'shop:x:>', 'shop.shop_kv');
\c - root
SELECT nvent.kv_set('shop:k', '"secret"'), nvent.stream_append('shop:order:1', '{"type": "t"}'), nvent.entry_add('shop:x', 'i', 1, '{}');
SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM shop.shop_kv) OR EXISTS (SELECT FROM nvent.route WHERE pattern = 'shop:x:>') THEN 'the store is somebody else''s' ELSE 'held' END;
