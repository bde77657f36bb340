-- The examples of adapter-store-postgres's document, call by call.  What it
-- passes as options are named arguments here; times are milliseconds in both.
SELECT nvent.store_create();

-- Event streams.
SELECT nvent.stream_append('nvent:flow:run123', '{
    "type": "flow:started", "flowName": "my-flow", "runId": "run123",
    "data": {"input": "test"}}') - 'id' - 'ts';
SELECT e - 'id' - 'ts'
FROM nvent.stream_read('nvent:flow:run123', max_count => 50, backward => true,
    types => '{flow:started,flow:completed}') e;
-- A time range; the future one is empty.
SELECT count(*)
FROM nvent.stream_read('nvent:flow:run123',
    since => (extract(epoch FROM now()) * 1000)::bigint - 3600000,
    until => (extract(epoch FROM now()) * 1000)::bigint + 3600000,
    max_count => 100);
SELECT count(*)
FROM nvent.stream_read('nvent:flow:run123',
    since => (extract(epoch FROM now()) * 1000)::bigint + 3600000);
-- After a specific id: none after the last, all after 0.
SELECT count(*)
FROM nvent.stream_read('nvent:flow:run123', max_count => 1, backward => true) e,
    nvent.stream_read('nvent:flow:run123', after => (e ->> 'id')::bigint, max_count => 100);
SELECT count(*) FROM nvent.stream_read('nvent:flow:run123', after => 0, max_count => 100);
-- Ids are strings in a record, times are numbers.
SELECT jsonb_typeof(e -> 'id'), jsonb_typeof(e -> 'ts') FROM nvent.stream_read('nvent:flow:run123') e;
SELECT nvent.stream_delete('nvent:flow:run123');
SELECT count(*) FROM nvent.stream_read('nvent:flow:run123');

-- Its table was made on first use, as the document's table management has it.
SELECT store, type, relation FROM nvent.stream_tables('nvent');
SELECT nvent.stream_append('nvent:flow:1', '{"type": "t", "stepName": "s", "stepId": "s1", "attempt": 1}') - 'id' - 'ts';
SELECT nvent.stream_append('nvent:trigger:1', '{"type": "t"}') ->> 'type';
SELECT nvent.stream_append('nvent:await:1', '{"type": "t"}') ->> 'type';
SELECT store, type, relation FROM nvent.stream_tables('nvent');
-- Retention in plain SQL, and TRUNCATE.
DELETE FROM nvent_stream_flow WHERE created_at < now() - interval '30 days';
TRUNCATE nvent_stream_flow;
SELECT nvent.stream_drop_table('flow'), nvent.stream_drop_table('flow');
-- With the store before it, as the document has it; never another table.
SELECT nvent.stream_drop_table('nvent:trigger'), nvent.stream_drop_table('nvent:await', 'nvent');
SELECT nvent.stream_drop_table('order:flow');
SELECT nvent.stream_drop_table('nvent:flow', 'other');
SELECT nvent.store_create('other');
SELECT nvent.stream_drop_table('nvent:flow', 'other');
SELECT nvent.stream_drop_table('nvent:flow:run');
SELECT nvent.store_migrate('other', 0) > 0 AS dropped;

-- Indexes.
SELECT nvent.entry_add('nvent:scheduler:trigger:flow1', 'trigger-123', 1767225600000, '{
    "cron": "0 * * * *", "enabled": true,
    "stats": {"totalFires": 0, "lastFire": null}}');
SELECT nvent.entry_get('nvent:scheduler:trigger:flow1', 'trigger-123');
SELECT nvent.entry_update('nvent:scheduler:trigger:flow1', 'trigger-123', '{"enabled": false}');
-- A stale writer is told, with the version that it read.
SELECT nvent.entry_update('nvent:scheduler:trigger:flow1', 'trigger-123', '{"enabled": true}', expected_version => 0);
SELECT nvent.entry_update('nvent:scheduler:trigger:flow1', 'trigger-123', '{"stats.totalFires": 5}');
SELECT nvent.entry_increment('nvent:scheduler:trigger:flow1', 'trigger-123', 'stats.totalFires', 1);
SELECT e FROM nvent.entry_read('nvent:scheduler:trigger:flow1', row_offset => 0, max_count => 50) e;
SELECT nvent.entry_delete('nvent:scheduler:trigger:flow1', 'trigger-123');
SELECT nvent.entry_delete('nvent:scheduler:trigger:flow1', 'trigger-123');
SELECT nvent.entry_get('nvent:scheduler:trigger:flow1', 'trigger-123') IS NULL;

-- Fields where the document says they are.
SELECT nvent.entry_add('nvent:flow:runs:f', 'r', 1, '{
    "status": "running", "startedAt": "2026-01-01T00:00:00.000Z", "stepCount": 3,
    "completedSteps": 1, "lastActivityAt": 1767225600001,
    "emittedEvents": {"s1": {"at": 1}}, "awaitingSteps": {"s2": true}}');
SELECT flow_name, run_id, status, started_at, completed_at, step_count, completed_steps,
    last_activity_at, emitted_events, awaiting_steps, version, extra
FROM nvent_flow_runs;
SELECT nvent.entry_add('nvent:flows', 'f', 1, '{
    "displayName": "F", "flowVersion": 2, "registeredAt": 5, "lastRunAt": 6,
    "stats": {"total": 1, "success": 2, "failure": 3, "running": 4, "awaiting": 5, "cancel": 6}}');
SELECT display_name, flow_version, registered_at, last_run_at, stats_total, stats_success,
    stats_failure, stats_running, stats_awaiting, stats_cancel, extra
FROM nvent_flows;
SELECT nvent.entry_add('nvent:triggers', 't', 1, '{
    "triggerType": "webhook", "status": "active", "registeredAt": 5,
    "stats": {"totalFires": 7, "lastFiredAt": 8}}');
SELECT trigger_type, status, registered_at, stats_total_fires, stats_last_fired_at, extra
FROM nvent_triggers;
-- A field that has two names has both when it is read, so that what was read can
-- be written; name and id are the caller's own.
SELECT nvent.entry_add('nvent:triggers', 't2', 1, '{"type": "event", "name": "T", "id": "x"}'),
    nvent.entry_update('nvent:triggers', 't', nvent.entry_get('nvent:triggers', 't') -> 'metadata'),
    nvent.entry_update('nvent:triggers', 't2', '{"type": "schedule", "triggerType": "schedule"}');
SELECT e -> 'id' AS id, e -> 'metadata' -> 'type' AS type, e -> 'metadata' -> 'triggerType' AS trigger_type, e -> 'metadata' -> 'name' AS name,
    e -> 'metadata' -> 'id' AS own_id
FROM nvent.entry_read('nvent:triggers', ascending => true) e;
SELECT e ->> 'id' AS id FROM nvent.entry_read('nvent:triggers', filter => '{"type": "schedule", "name": "T"}') e;
SELECT nvent.entry_add('nvent:scheduler:jobs', 'j', 1, '{
    "jobName": "J", "schedule": "@daily", "scheduledAt": 5, "lastRunAt": 6, "nextRunAt": 7,
    "status": "pending", "config": {"a": {"b": 1}}}');
SELECT job_name, schedule, scheduled_at, last_run_at, next_run_at, status, config, extra
FROM nvent_scheduler_jobs;

-- Key-value store.
SELECT nvent.kv_set('nvent:scheduler:lock:flow1', '{"owner": "worker-1"}', ttl => '60 seconds');
SELECT nvent.kv_get('nvent:scheduler:lock:flow1');
SELECT nvent.kv_set('nvent:config:flows', '{"maxRetries": 3}');
SELECT nvent.kv_increment('nvent:counter:processed', 1);
SELECT nvent.kv_set('nvent:temp:data', '1');
SELECT nvent.kv_delete('nvent:temp:data');
SELECT nvent.kv_set('nvent:temp:' || i, '1') FROM generate_series(1, 3) i;
SELECT nvent.kv_clear('nvent:temp:*');
SELECT key, value FROM nvent.kv_scan('nvent:*');

-- Migrations: the version, run, back to 0.
SELECT nvent.store_version('nvent') = (SELECT max(version) FROM nvent_schema_version);
SELECT nvent.store_migrate('nvent') = nvent.store_version('nvent');
SELECT nvent.store_ensure('nvent');
SET client_min_messages = warning;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
SELECT nvent.store_version('nvent') IS NULL;
SELECT count(*) FROM pg_class WHERE relname LIKE 'nvent\_%' AND relnamespace = 'public'::regnamespace;
