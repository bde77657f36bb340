-- Our functions leave a pass for their own statement on a protected table; code
-- of the table must not use it.
\c - shopkeeper
SELECT nvent.stream_protect('shop.shop_stream_order');
CREATE FUNCTION shop.steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM shop.shop_stream_order; RETURN NEW; END $$;
CREATE TRIGGER "!!" BEFORE INSERT ON shop.shop_stream_order FOR EACH STATEMENT EXECUTE FUNCTION shop.steal();
CREATE TRIGGER zzz BEFORE INSERT ON shop.shop_stream_order FOR EACH ROW EXECUTE FUNCTION shop.steal();
SELECT count(*) AS before FROM shop.shop_stream_order \gset
SELECT nvent.stream_append('shop:order:1', '{"type": "t"}');
DO $$ BEGIN PERFORM nvent.stream_append('shop:order:1', '{"type": "t"}'); EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT CASE WHEN count(*) >= :before THEN 'held' ELSE 'events are gone' END FROM shop.shop_stream_order;
