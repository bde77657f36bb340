-- A function that lends its owner's rights calls ours: these are not led astray
-- by the search path, the settings or the temporary tables of who calls it.
\c - shopkeeper
CREATE FUNCTION shop.lend() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
	SELECT nvent.kv_set('shop:lent', '1'), nvent.stream_append('shop:order:1', '{"type": "lent"}'), nvent.entry_add('shop:x', 'lent', 1, '{}'), nvent.maintain() $$;
\c - tenant
CREATE TEMP VIEW shop_kv AS SELECT tenant.spy('trap: temporary table');
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (tenant.spy('trap: temporary type'));
SET search_path = pg_temp, traps, pg_catalog;
SELECT shop.lend();
\c - root
SELECT CASE WHEN nvent.kv_get('shop:lent') = '1' THEN 'held' ELSE 'it did not work' END;
