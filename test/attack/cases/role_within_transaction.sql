-- What is kept from one statement to the next must not outlive a change of the
-- role: SET ROLE, and functions that lend rights.
\c - root
SET ROLE shopkeeper;
BEGIN;
SELECT nvent.stream_append('shop:order:1', '{"type": "t"}'), nvent.kv_set('shop:k', '1'), nvent.kv_get('shop:k');
SET LOCAL ROLE stranger;
SAVEPOINT s;
SELECT nvent.stream_append('shop:order:1', '{"type": "stolen"}');
ROLLBACK TO s;
SELECT nvent.kv_set('shop:k', '"stolen"');
ROLLBACK TO s;
SELECT nvent.kv_get('shop:k') IS NOT NULL AS got \gset
ROLLBACK TO s;
SELECT * FROM nvent.stream_poll('shop:>', 0);
\set got :got :ERROR
COMMIT;
RESET ROLE;
SELECT CASE WHEN nvent.kv_get('shop:k') = '1' AND :'got' LIKE '%true' AND NOT EXISTS (SELECT FROM shop.shop_stream_order WHERE type = 'stolen') THEN 'held' ELSE 'a right was kept' END;
