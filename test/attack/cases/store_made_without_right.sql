-- Who may make no stores made one by writing with another default store.
\c - :admin
GRANT CREATE ON SCHEMA public TO writer;
\c - writer
SET nvent_store.default_store = 'basket';
SELECT nvent.kv_set('a', '1');
SELECT nvent.stream_append('a:1', '{"type": "t"}');
SELECT nvent.stream_create_table('a');
SELECT nvent.route_add('kv', 'a:>', 'shop.shop_kv');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'basket') THEN 'a store was made' ELSE 'held' END;
