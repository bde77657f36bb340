-- route_add asked for the ownership of the store alone, so a tenant's store got
-- the tables of others, and its maintenance deleted from them.
\c - :admin
CALL attack.allow('tenant');
\c - tenant
SELECT nvent.route_add('kv', 'evil:x:>', 'shop.shop_kv');
SELECT nvent.route_add('entry', 'evil:x:>', 'shop.shop_entries');
SELECT nvent.route_add('stream', 'evil:x:>', 'shop.shop_stream_order');
SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.route r WHERE r.store = 'evil' AND r.pattern = 'evil:x:>') THEN 'another''s table is routed to' ELSE 'held' END;
