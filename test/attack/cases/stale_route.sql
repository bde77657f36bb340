-- A routed table, dropped and made again by somebody else, was routed to.
\c - :admin
CREATE SCHEMA open;
GRANT ALL ON SCHEMA open TO tenant, keeper;
\c - keeper
CREATE TABLE open.keys (LIKE public.nvent_kv INCLUDING ALL);
SELECT nvent.route_add('kv', 'nvent:open:>', 'open.keys');
SELECT nvent.kv_set('nvent:open:1', '1');
DROP TABLE open.keys;
\c - tenant
CREATE TABLE open.keys (LIKE tenant.evil_kv INCLUDING ALL);
GRANT ALL ON open.keys TO PUBLIC;
\c - keeper
SELECT nvent.kv_set('nvent:open:1', '"secret"');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM open.keys) THEN 'what was written is in another''s table' ELSE 'held' END;
