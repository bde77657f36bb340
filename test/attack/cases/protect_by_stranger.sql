-- A role with the right to make triggers protected a table of keys, which its
-- owner could neither write to nor free any more.
\c - :admin
CALL attack.allow('grantee');
\c - grantee
SELECT nvent.stream_protect('shop.shop_kv');
SELECT nvent.stream_protect('shop.shop_stream_order');
\c - shopkeeper
SELECT nvent.kv_set('shop:k', '1');
SELECT CASE WHEN :'ERROR' OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'shop.shop_stream_order'::regclass AND tgname = '!nvent_protect')
	THEN 'the table is protected' ELSE 'held' END;
