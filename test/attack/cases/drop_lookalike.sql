-- Dropping a table of the name of a store's table is dropping that one only.
\c - tenant
CREATE TABLE tenant.shop_schema_version ();
DROP TABLE tenant.shop_schema_version;
CREATE TEMP TABLE shop_schema_version ();
CREATE TEMP TABLE shop_kv ();
CREATE TEMP TABLE shop_stream_order ();
DROP TABLE pg_temp.shop_schema_version, pg_temp.shop_kv, pg_temp.shop_stream_order;
CREATE VIEW tenant.shop_schema_version AS SELECT 1;
DROP VIEW tenant.shop_schema_version;
\c - shopkeeper
SELECT CASE WHEN nvent.kv_set('shop:k', '1') AND nvent.stream_append('shop:order:1', '{"type": "t"}') IS NOT NULL
	AND nvent.store_version('shop') > 0 THEN 'held' ELSE 'the store is gone' END;
