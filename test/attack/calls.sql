-- A call of every function of schema nvent, and of most in several ways; {s} is
-- a store and {schema} where its tables are.  Who calls has a search path full
-- of traps, so all else is qualified.  A call without {s} is about no store.  What ends in
-- "fails" does so for everybody.

-- First, since code may run when a relation is opened for the first time.
SELECT nvent.maintain();
SELECT nvent.maintain(store => '{s}');

-- Reads.
SELECT * FROM nvent.stream_read('{s}:order:1');
SELECT * FROM nvent.stream_read('{s}:flow:run:1', types => '{t}', backward => true);
SELECT * FROM nvent.stream_poll('{s}:>', 0);
SELECT * FROM nvent.stream_poll('{s}:order:*', 0, types => '{t}');
SELECT * FROM nvent.stream_poll('>', 0, store => '{s}');
SELECT * FROM nvent.stream_poll('{s}:>', 0, 2, backward => true);
SELECT * FROM nvent.stream_poll('{s}:>', 0, before => 9, since => 1, until => 2, correlation => 'c', subject_regex => '.', with_snaps => false);
SELECT * FROM nvent.stream_poll_category('{s}:order', 0, member => 0, size => 2);
SELECT * FROM nvent.stream_poll_category('{s}:order', 0, correlation => '{s}:order:1');
SELECT nvent.stream_wait('{s}:order:>', 0, '10 ms');
SELECT nvent.stream_wait('{s}:order:>', nvent.safe_position('{s}'), '10 ms');
CALL nvent.stream_await('{s}:order:>', 0, '10 ms');
SELECT * FROM nvent.stream_stats('{s}:>');
SELECT nvent.stream_version('{s}:order:1');
SELECT * FROM nvent.stream_tables('{s}');
SELECT * FROM nvent.stream_tables();
SELECT nvent.store_version('{s}');
SELECT nvent.store_ensure('{s}');
SELECT * FROM nvent.route_resolve('stream', '{s}:order:1');
SELECT * FROM nvent.route_resolve('kv', '{s}:k');
SELECT * FROM nvent.route_resolve('entry', '{s}:flows');
SELECT nvent.entry_get('{s}:flows', 'f');
SELECT nvent.entry_get('{s}:x', 'i');
SELECT * FROM nvent.entry_read('{s}:flows', filter => '{"registeredAt": 1}');
SELECT * FROM nvent.entry_read('{s}:x', ascending => true, after_score => 0, after_id => '');
SELECT nvent.kv_get('{s}:k'), nvent.kv_exists('{s}:k'), nvent.kv_ttl('{s}:n');
SELECT * FROM nvent.kv_mget('{{s}:k,{s}:old}');
SELECT * FROM nvent.kv_scan('{s}:*');
SELECT nvent.lock_get('{s}:l');
SELECT * FROM nvent.snapshot_load('{s}:s');
SELECT * FROM nvent.checkpoint_load('c', '{s}');
SELECT * FROM nvent.consumer_list(store => '{s}', name_regex => 'c');
SELECT * FROM nvent.consumer_lanes('{s}');
SELECT * FROM nvent.consumer_stats('{s}');
SELECT nvent.consumer_furthest('{s}');
SELECT nvent.safe_position('{s}'), nvent.store_number('{s}');
SELECT nvent.version_table('{schema}', '{s}'); -- fails
SELECT nvent.safe_position();
SELECT * FROM nvent.appenders;
SELECT * FROM nvent.appender_low_water_marks();
SELECT * FROM nvent.worker_status();

-- What touches no table.
SELECT nvent.entry_is_changed(1, 2), nvent.jsonb_deep_merge('{"a": 1}', '{"b": 2}'), nvent.jsonb_merge_patch('{"a": 1}', '{"a": null}');
SELECT nvent.jsonb_deep_merge_agg(d) FROM (VALUES ('{"a": 1}'::pg_catalog.jsonb)) v (d);
SELECT nvent.jsonb_expand_paths('{"a.b": 1}'), nvent.jsonb_set_path('{}', '{a,b}', '1'), nvent.jsonb_increment('{"a": 1}', '{a}');
SELECT nvent.subject_is_valid('a:b'), nvent.subject_tokens('a:b'), nvent.subject_escape('*'), nvent.subject_pattern_is_valid('a:*'), nvent.subject_prefix('a:*');
SELECT nvent.subject_matches('a:b', 'a:*'), nvent.subject_captures('a:b', 'a:{x}'), nvent.kv_glob_matches('abc', 'a*');
SELECT nvent.subject_category('a:b:c'), nvent.subject_id('a:b:c'), nvent.subject_cardinal_id('a:b:c'), nvent.subject_member('a:b:c', 4), nvent.kv_expire_bucket('2020-01-01');
SELECT nvent.cron_next('0 9 * * mon#1', 'Europe/Berlin'), (SELECT pg_catalog.count(*) FROM nvent.schedule_preview('@daily', max_count => 3));

-- Writes.
SELECT nvent.stream_append('{s}:order:1', '{"type": "t", "eventId": "e1"}');
SELECT nvent.stream_append('{s}:flow:run:1', '{"type": "t", "flowName": "f"}');
SELECT nvent.stream_append('{s}:order:1', '{"type": "t"}', 99); -- fails
SELECT * FROM nvent.stream_append_batch('{s}:order:2', ARRAY['{"type": "t"}', '{"type": "u"}']::pg_catalog.jsonb[]);
SELECT * FROM nvent.stream_append_many('[{"subject": "{s}:order:1", "events": [{"type": "t"}]}, {"subject": "{s}:order:2", "events": []}]');
SELECT nvent.stream_append_batch('{s}:unheard:1', '{}');
SELECT * FROM nvent.stream_append_many('[{"subject": "{s}:unheard:2", "events": []}]');
SELECT nvent.stream_close('{s}:closed:1'), nvent.stream_reopen('{s}:closed:1', '{}');
SELECT nvent.kv_set('{s}:k', '2', '1 hour'), nvent.kv_set('{s}:k', '2', nx => true), nvent.kv_expire('{s}:k', '1 hour'), nvent.kv_persist('{s}:k');
SELECT nvent.kv_mset('{"{s}:k": 1, "{s}:m": 2}'), nvent.kv_increment('{s}:n'), nvent.kv_cas('{s}:k', '1', '3');
SELECT nvent.kv_getset('{s}:k', '1'), nvent.kv_getdel('{s}:m'), nvent.kv_delete('{s}:k', '{s}:n');
SELECT nvent.entry_add('{s}:flows', 'g', 2, '{"displayName": "n"}'), nvent.entry_add('{s}:x', 'i', 2, '{"a": {"b": 1}}');
SELECT nvent.entry_update('{s}:flows', 'f', '{"displayName": "n"}'), nvent.entry_update('{s}:x', 'i', '{"a.b": 2}');
SELECT nvent.entry_increment('{s}:flows', 'f', 'stats.total'), nvent.entry_increment('{s}:x', 'i', 'a.b');
SELECT nvent.entry_increment_many('{s}:x', 'i', '{"a.b": 1, "c": 2}');
SELECT nvent.entry_delete('{s}:flows', 'g');
SELECT nvent.lock_acquire('{s}:m', '1 hour', 'me'), nvent.lock_renew('{s}:m', 1, '1 hour'), nvent.lock_release('{s}:m', 1);
SELECT nvent.schedule_set('s', '{s}:order:1', '{"type": "t"}', at => '2026-01-01', store => '{s}');
SELECT nvent.schedule_set('t', '{s}:unheard:3', '{"type": "t"}', every => '1 hour', store => '{s}'), nvent.schedule_pause('t', '{s}'), nvent.schedule_resume('t', '{s}');
SELECT nvent.schedule_run('{s}');
SELECT * FROM nvent.schedule_list('{s}');
SELECT nvent.schedule_delete('t', '{s}');
SELECT nvent.lock_assert('{s}:l', 1);
SELECT nvent.queue_create('q', store => '{s}'), nvent.queue_create('r', dead_letter => 'q', store => '{s}');
SELECT nvent.schedule_job('j', 'q', '{"key": "k"}', at => '2026-01-01', store => '{s}');
SELECT nvent.schedule_run('{s}');
SELECT nvent.queue_send('q', '1', store => '{s}'), nvent.queue_send('r', '1', priority => 5, start_after => '1 hour', dead_letter => 'q', store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_send_batch('r', ARRAY['{"data": 1, "retryLimit": 0}', '{}', '{}', '{}', '{}']::pg_catalog.jsonb[], '{s}');
SELECT nvent.queue_complete('r', id, attempt, '1', '{s}'), nvent.queue_fail('r', id, attempt, '2', '{s}'), nvent.queue_cancel('r', id, '{s}'), nvent.queue_resume('r', id, '{s}') FROM nvent.queue_fetch('r', 1, 'w', '{s}');
SELECT nvent.queue_touch('r', id, attempt, progress => '1', store => '{s}'), nvent.queue_progress('r', id, attempt, '2', '{s}'), nvent.queue_release('r', id, attempt, store => '{s}'), nvent.queue_retry('r', id, '{s}') FROM nvent.queue_work('r', '[{"id": 1, "attempt": 1}]', '[]', 1, 'w', '{s}');
CALL nvent.queue_await('r', '10 ms', '{s}');
CALL nvent.queue_work_await('r', '[{"id": 1, "attempt": 1}]', '[]', 1, '10 ms', 'w', '{s}', touched => '[{"id": 2, "attempt": 1, "progress": 1}]');
SELECT nvent.queue_fail('r', id, attempt, store => '{s}'), nvent.queue_delete('r', id, '{s}') FROM nvent.queue_fetch('r', 1, 'w', '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_complete_many('r', '{{1}}', '{{1}}', store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_cancel_many('r', '{{1,2,3}}', '{s}'), nvent.queue_resume_many('r', '{{1,2,3}}', '{s}'), nvent.queue_retry_many('r', '{{1,2}}', '{s}'), nvent.queue_delete_many('r', '{{1,2}}', '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_redrive('q', preview => true, store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_redrive('q', 10, 'r', 'r', store => '{s}');
SELECT state FROM nvent.queue_get('r', 1, '{s}');
SELECT nvent.queue_create('k', 'exclusive', store => '{s}'), nvent.queue_send('k', '1', key => 'a', store => '{s}'), nvent.queue_send('k', '1', key => 'a', store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_update('r', 1, '{"a": 1}', 7, merge => true, start_after => '1 hour', store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_update('k', key => 'a', data => '2', match => 'all', store => '{s}');
SELECT nvent.queue_upsert('q', '1', key => 'u', store => '{s}'), nvent.queue_upsert('q', '2', 3, 'u', merge => true, store => '{s}');
SELECT nvent.queue_send('q', '1', key => 't', throttle => '1 day', store => '{s}'), nvent.queue_send('q', '1', key => 't', debounce => '1 day', store => '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_find('k', 'a', store => '{s}') a, nvent.queue_find('r', data => '{}', states => '{{created}}', store => '{s}') b, nvent.queue_find('r', max_count => 9, store => '{s}') c, nvent.queue_list(store => '{s}');
SELECT nvent.queue_create('f', 'key_strict_fifo', store => '{s}'), nvent.queue_unblock('f', 'a', '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_blocked('f', '{s}');
SELECT queue, depth FROM nvent.queue_stats(store => '{s}');
SELECT worker FROM nvent.queue_active('r', '{s}');
SELECT outcome FROM nvent.queue_runs('r', 1, '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_flow(ARRAY['{"queue": "r", "name": "x"}', '{"queue": "r", "after": "x"}']::pg_catalog.jsonb[], '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_parents('r', 1, '{s}'), nvent.queue_children('r', 1, '{s}');
SELECT nvent.queue_bind('r', 'order:>', store => '{s}'), nvent.queue_bind('k', '{s}:order:>', true, '{t}', '{s}');
SELECT nvent.queue_set_unlogged(true, '{s}'), nvent.queue_set_unlogged(false, '{s}');
SELECT pg_catalog.count(*) FROM nvent.queue_publish('order:1', '1', store => '{s}'), nvent.queue_bindings('r', '{s}');
SELECT nvent.stream_append('{s}:order:1', '{"type": "t"}') IS NOT NULL, nvent.queue_unbind('r', 'order:>', store => '{s}'), nvent.queue_unbind('k', '{s}:order:>', true, '{s}');
SELECT nvent.queue_pause('q', '{s}'), nvent.queue_unpause('q', '{s}'), nvent.queue_purge('q', '{s}'), nvent.queue_drop('q', '{s}');
SELECT nvent.snapshot_save('{s}:s', '{"a": 2}', '{"{s}:order:1": 1}'), nvent.snapshot_delete('{s}:s');
SELECT nvent.checkpoint_save('c', 2, store => '{s}'), nvent.checkpoint_delete('c', '{s}');
SELECT nvent.consumer_subscribe('d', '{s}:order:>', store => '{s}'), nvent.consumer_subscribe('e', '>', after => 0, store => '{s}');
SELECT nvent.consumer_correlate(100, '{s}'), nvent.consumer_mark('{c}', '{1}', '{s}');
SELECT * FROM nvent.consumer_claim(store => '{s}');
SELECT * FROM nvent.consumer_fetch(store => '{s}');
SELECT nvent.consumer_ack('c', 1, 1, store => '{s}', force => true); -- fails
SELECT nvent.consumer_renew('c', 1, store => '{s}'); -- fails
SELECT nvent.consumer_block('c', 1, 'e', store => '{s}'); -- fails
SELECT * FROM nvent.consumer_ack_many('{c}', '{1}', '{1}', store => '{s}', force => true);
SELECT * FROM nvent.consumer_block_many('{c}', '{1}', '{e}', store => '{s}');
SELECT nvent.consumer_unblock('{c}', store => '{s}'), nvent.consumer_defer('{c}', '2020-01-01', store => '{s}'), nvent.consumer_reset('{c}', store => '{s}');
SELECT nvent.consumer_prioritize('{c}', 1, store => '{s}'), nvent.consumer_unsubscribe('e', '{s}');

-- Administration.
SELECT nvent.next_position('{s}');
SELECT nvent.next_position_in_copy('{s}');
SELECT nvent.position_publish();
SELECT nvent.stream_create_table('made', store => '{s}');
SELECT nvent.stream_create_table('order', store => '{s}');
SELECT nvent.stream_append('{s}:fresh:1', '{"type": "t"}');
SELECT nvent.route_add('stream', '{s}:routed:>', '{schema}.{s}_stream_order'::pg_catalog.regclass);
SELECT nvent.route_add('kv', '{s}:routed:>', '{schema}.{s}_kv'::pg_catalog.regclass, store => '{s}');
SELECT nvent.route_drop('stream', '{s}:routed:>');
SELECT nvent.route_drop('stream', '{s}:flow:run:{x...}', '{s}');
SELECT nvent.stream_protect('{schema}.{s}_stream_closed'::pg_catalog.regclass), nvent.stream_unprotect('{schema}.{s}_stream_closed'::pg_catalog.regclass);
SELECT nvent.store_grant('stranger', 'read', '{s}'), nvent.store_revoke('stranger', 'read', '{s}');
SELECT nvent.store_create('{s}', '{schema}');
SELECT nvent.store_ensure('{s}', '{schema}');
SELECT nvent.store_migrate('{s}'); -- fails
SELECT * FROM nvent.store_adopt('{s}', '{schema}'); -- fails

-- What deletes.
SELECT * FROM nvent.stream_truncate('{s}:order:1', 2);
SELECT * FROM nvent.stream_truncate('{s}:order:2', seed => '{"type": "__snapshot__"}');
SELECT nvent.stream_erase('{s}:order:1');
SELECT nvent.stream_retain('order', '0 s', '{s}');
SELECT nvent.stream_delete('{s}:order:2');
SELECT nvent.stream_restore(ARRAY['{"subject": "{s}:order:3", "version": 1, "type": "t"}']::pg_catalog.jsonb[]);
SELECT nvent.stream_clear('{s}');
SELECT nvent.stream_index('order', 'type', '{s}');
SELECT nvent.stream_drop_table('order', '{s}');
SELECT nvent.stream_drop_table('unheard', '{s}');
SELECT nvent.kv_clear('{s}:*');
SELECT nvent.store_migrate('{s}', 0);
