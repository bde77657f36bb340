-- A store whose schema was dropped was used on, or its keys became the default
-- store's.
\c - :admin
DROP SCHEMA shop CASCADE;
\c - keeper
SELECT nvent.kv_set('shop:k', '"keeper"');
SELECT nvent.stream_append('shop:order:1', '{"type": "t"}');
SELECT nvent.kv_get('shop:k');
SELECT CASE WHEN :'LAST_ERROR_SQLSTATE' = 'NV009' AND NOT EXISTS (SELECT FROM public.nvent_kv WHERE key = 'shop:k') THEN 'held' ELSE 'the store is used' END;
