-- CREATE OR REPLACE TRIGGER took the protection of a table away.
\c - shopkeeper
SELECT nvent.stream_protect('shop.shop_stream_order');
SELECT count(*) AS before FROM shop.shop_stream_order \gset
\c - grantee
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT ON shop.shop_stream_order FOR EACH STATEMENT EXECUTE FUNCTION grantee.spy_trigger();
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE DELETE ON shop.shop_stream_order FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION nvent.stream_guard();
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE DELETE ON shop.shop_stream_order FOR EACH ROW EXECUTE FUNCTION grantee.spy_trigger();
DELETE FROM shop.shop_stream_order;
TRUNCATE shop.shop_stream_order;
\c - watcher
SELECT CASE WHEN count(*) = :before THEN 'held' ELSE 'events are gone' END FROM shop.shop_stream_order;
