-- A statement on a parent changed a protected child: it fires the parent's
-- statement triggers only.
\c - shopkeeper
CREATE TABLE shop.parent (id bigint, ts bigint, type text COLLATE "C");
GRANT ALL ON shop.parent TO grantee;
SELECT nvent.stream_protect('shop.shop_stream_order');
ALTER TABLE shop.shop_stream_order INHERIT shop.parent;
SELECT count(*) AS before FROM shop.shop_stream_order \gset
\c - grantee
DELETE FROM shop.parent;
UPDATE shop.parent SET type = 'changed';
TRUNCATE shop.parent;
\c - watcher
SELECT CASE WHEN count(*) = :before THEN 'held' ELSE 'events were changed' END FROM shop.shop_stream_order WHERE type <> 'changed';
