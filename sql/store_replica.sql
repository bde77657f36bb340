-- What a session makes is known to it in the role of a replica, too, in which most
-- triggers rest; and where the registry's are disabled, nothing is looked for for
-- ever.  Seen to fail: with triggers of queues that do not fire always, jobs of a
-- new priority are not fetched; without reading the registry again when a table was
-- there already, the append behind disabled triggers ends by the timeout only.
SET statement_timeout = '20 s';
SELECT nvent.store_create('replica');
SET session_replication_role = replica;
SELECT nvent.stream_append('replica:made:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT nvent.queue_create('q', store => 'replica');
SELECT nvent.queue_send('q', priority => p, store => 'replica') > 0 AS sent FROM unnest('{3,5}'::int[]) p;
SELECT priority FROM nvent.queue_fetch('q', 3, store => 'replica');
SELECT nvent.queue_bind('q', 'replica:made:>', true, store => 'replica');
SELECT nvent.stream_append('replica:made:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT key FROM nvent.queue_fetch('q', 3, store => 'replica') f, nvent.queue_get('q', f.id, store => 'replica') g;
RESET session_replication_role;
ALTER TABLE nvent.stream_table DISABLE TRIGGER registry_changed;
SELECT nvent.stream_append('replica:hidden:1', '{"type": "t"}') IS NOT NULL AS appended;
SELECT count(*) FROM nvent.stream_read('replica:hidden:1');
ALTER TABLE nvent.stream_table ENABLE ALWAYS TRIGGER registry_changed;
SELECT nvent.store_migrate('replica', 0) > 0 AS dropped;
RESET statement_timeout;
