-- Reading with a default store that is not there made it.
\c - :admin
GRANT CREATE ON SCHEMA public TO writer;
CALL attack.allow('writer');
\c - writer
SET nvent_store.default_store = 'read';
SELECT nvent.kv_get('a');
SELECT * FROM nvent.stream_read('a:1');
SELECT * FROM nvent.stream_poll('a:>', 0);
SELECT * FROM nvent.stream_stats();
SELECT nvent.stream_wait('a:>', 0, '1 ms');
SELECT * FROM nvent.entry_read('a');
SELECT nvent.lock_get('a');
SELECT * FROM nvent.snapshot_load('a');
SELECT * FROM nvent.checkpoint_load('a');
SELECT * FROM nvent.consumer_list();
SELECT * FROM nvent.consumer_claim();
SELECT * FROM nvent.route_resolve('kv', 'a');
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM nvent.store WHERE prefix = 'read') THEN 'a read made a store' ELSE 'held' END;
