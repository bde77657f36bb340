-- A store of the first token of keys that are there took them from the default
-- store; anybody could make one.
\c - keeper
SELECT nvent.kv_set('session:1', '"mine"'), nvent.stream_append('basket:1', '{"type": "t"}'), nvent.lock_acquire('mutex:1', '1 hour'),
	nvent.entry_add('board:1', 'i', 1, '{}'), nvent.snapshot_save('state:1', '{}', '{}');
\c - stranger
SELECT nvent.store_create(p, 'stranger') FROM unnest('{session,basket,mutex,board,state}'::text[]) p;
SELECT nvent.store_create('session', 'stranger');
\c - tenant
SELECT nvent.store_create('session', 'tenant');
SELECT nvent.store_create('basket', 'tenant');
SELECT nvent.store_create('mutex', 'tenant');
SELECT nvent.store_create('board', 'tenant');
SELECT nvent.store_create('state', 'tenant');
\c - keeper
SELECT CASE WHEN nvent.kv_get('session:1') = '"mine"' AND nvent.stream_version('basket:1') = 1 AND nvent.lock_get('mutex:1') IS NOT NULL
	AND nvent.entry_get('board:1', 'i') IS NOT NULL AND EXISTS (SELECT FROM nvent.snapshot_load('state:1')) THEN 'held' ELSE 'data of the default store is gone' END;
