-- The statements of README.md, made by test/readme.sh; not to be edited.
SET timezone = 'UTC';

CREATE EXTENSION IF NOT EXISTS nvent_store;

-- A store: tables nvent_..., in schema public, owned by you.
SELECT nvent.store_create();

-- Append an event to a stream, and read the stream.
SELECT nvent.stream_append('nvent:flow:run:r1', '{"type": "flow:started", "flowName": "import", "data": {"rows": 3}}') ->> 'type';
SELECT e ->> 'type', e -> 'data' FROM nvent.stream_read('nvent:flow:run:r1') e;

-- An entry with a state and a counter.
SELECT nvent.entry_add('nvent:flow:runs:import', 'r1', 1767225600000, '{"status": "running"}');
SELECT nvent.entry_update('nvent:flow:runs:import', 'r1', '{"status": "completed"}');
SELECT nvent.entry_increment('nvent:flow:runs:import', 'r1', 'completedSteps');
SELECT nvent.entry_get('nvent:flow:runs:import', 'r1') -> 'metadata' ->> 'status';

-- A key that expires.
SELECT nvent.kv_set('nvent:session:42', '{"user": "ada"}', ttl => '30 minutes');
SELECT nvent.kv_get('nvent:session:42');

SELECT nvent.subject_matches('orders:eu:7', 'orders:*:7'), nvent.subject_matches('orders', 'orders:>');
SELECT nvent.subject_captures('orders:eu:7:paid', 'orders:{region}:{rest...}');

CREATE TABLE order_events (
    id bigint DEFAULT nvent.next_position() PRIMARY KEY,
    customer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    type text NOT NULL,
    amount numeric,
    meta jsonb
);
CREATE INDEX ON order_events (subject, id);
SELECT nvent.route_add('stream', 'orders:{customer}:>', 'order_events');
SELECT nvent.stream_append('orders:ada:17', '{"type": "paid", "amount": 12.50, "by": "card"}') - 'id' - 'ts';
SELECT customer, amount, meta FROM order_events;
SELECT pattern, relation, keys FROM nvent.route_resolve('stream', 'orders:ada:17');

SELECT e ->> 'id' IS NOT NULL FROM nvent.stream_append_batch('shop:cart:9', ARRAY['{"type": "added", "data": {"sku": 1}}', '{"type": "added", "data": {"sku": 2}}', '{"type": "paid"}']::jsonb[]) e;

-- The newest two, of one type, after a position.
SELECT e -> 'data' FROM nvent.stream_read('shop:cart:9', types => '{added}', backward => true, max_count => 2) e;

-- Only if the stream is where I think it is: conflicts are SQLSTATE NV001.
SELECT nvent.stream_append('shop:cart:9', '{"type": "shipped"}', expected_version => 3) ->> 'version';

SELECT nvent.stream_create_table('clicks', versioned => false);
SELECT type, relation, versioned FROM nvent.stream_tables();

SELECT count(e) AS events, next_cursor > 0 AS moved FROM nvent.stream_poll('nvent:flow:run:>', after => 0) p LEFT JOIN LATERAL unnest(p.events) e ON true GROUP BY p.next_cursor;
SELECT count(*) FROM nvent.appenders;

-- What the caller expects: a version, 0 for none, NULL for any.
SELECT nvent.stream_append('shop:account:1', '{"type": "opened", "eventId": "cmd-1"}', expected_version => 0) ->> 'version';
SELECT nvent.stream_version('shop:account:1');

-- The same call again, after a lost answer: the first record, and nothing is written.
SELECT nvent.stream_append('shop:account:1', '{"type": "opened", "eventId": "cmd-1"}', expected_version => 0) ->> 'version';

-- Several subjects, all or none; the last one is only looked at.
SELECT e ->> 'subject', e ->> 'version' FROM nvent.stream_append_many('[
    {"subject": "shop:account:1", "expected": 1, "events": [{"type": "debited", "data": 10}]},
    {"subject": "shop:account:2", "expected": "none", "events": [{"type": "credited", "data": 10}]},
    {"subject": "shop:limits:1", "expected": "none"}]') e;

-- A state with the versions that went into it: an older one never replaces it.
SELECT nvent.snapshot_save('shop:balance:1', '{"balance": -10}', '{"shop:account:1": 2}');
SELECT s.state, count(e) FROM nvent.snapshot_load('shop:balance:1') s
LEFT JOIN LATERAL nvent.stream_read('shop:account:1', after_version => (s.versions ->> 'shop:account:1')::bigint) e ON true GROUP BY 1;

-- A category, shared by a group of three.
SELECT cardinality(events) FROM nvent.stream_poll_category('shop:account', 0, types => '{debited,credited}');
SELECT sum(cardinality(p.events)) FROM generate_series(0, 2) m, nvent.stream_poll_category('shop:account', 0, member => m, size => 3) p;

-- The end of a stream, and its contents as one event.
SELECT nvent.stream_close('shop:account:2', expected_version => 1) ->> 'type';
SELECT deleted FROM nvent.stream_truncate('shop:account:1', seed => '{"type": "__snapshot__", "data": {"balance": -10}}');
SELECT nvent.stream_protect('nvent_stream_account');

SELECT nvent.entry_add('nvent:flows', 'import', 1767225600000, '{"displayName": "Import", "owner": {"team": "data"}}');

-- Update merges (RFC 7396): objects merge, null removes, a dotted name is a path.
SELECT nvent.entry_update('nvent:flows', 'import', '{"owner.team": "platform", "owner.pager": "x1", "displayName": null}');

-- Counters are exact, one field or several at once.
SELECT nvent.entry_increment_many('nvent:flows', 'import', '{"stats.total": 1, "stats.running": 1}');
SELECT (nvent.entry_get('nvent:flows', 'import') -> 'metadata') - 'registeredAt';

-- Optimistic: NULL when somebody was faster.
SELECT nvent.entry_update('nvent:flows', 'import', '{"flowVersion": 2}', expected_version => 0);

-- Highest score first; filters on any field; the next page by the last entry.
SELECT e ->> 'id' FROM nvent.entry_read('nvent:flow:runs:import', filter => '{"status": ["running", "completed"]}') e;
SELECT e ->> 'id' FROM nvent.entry_read('nvent:flow:runs:import', max_count => 10, after_score => 1767225600000, after_id => 'r1') e;

SELECT nvent.kv_set('shop:lock:7', '"worker-1"', ttl => '1 minute', nx => true);
SELECT nvent.kv_set('shop:lock:7', '"worker-2"', ttl => '1 minute', nx => true);
SELECT nvent.kv_increment('shop:visits'), nvent.kv_increment('shop:visits', 10);
SELECT nvent.kv_cas('shop:visits', '11', '0');
SELECT key, value FROM nvent.kv_scan('shop:*');
SELECT nvent.kv_clear('shop:lock:*');

SELECT nvent.lock_acquire('jobs:nightly', '30 seconds', owner => 'worker-1') IS NOT NULL;
SELECT nvent.lock_acquire('jobs:nightly', '30 seconds', owner => 'worker-2') IS NULL;

SELECT nvent.consumer_subscribe('billing', 'shop:account:>');
SELECT name, cardinality(events) AS events, nvent.consumer_ack(name, token, upto) AS more FROM nvent.consumer_fetch(max_consumers => 5, lease => '30 seconds', owner => 'worker-1');
SELECT name, token IS NULL AS free, blocked FROM nvent.consumer_list();
SELECT nvent.checkpoint_save('report', 42);
SELECT position FROM nvent.checkpoint_load('report');

SELECT nvent.jsonb_deep_merge('{"a": {"x": 1, "y": 2}}', '{"a": {"x": null, "z": 3}}');
SELECT nvent.jsonb_merge_patch('{"title": "old", "tags": ["a"]}', '{"title": null, "author": {"name": "ada", "mail": null}}');
SELECT nvent.jsonb_expand_paths('{"a.b": 1, "a": {"c": 2}}');
SELECT nvent.jsonb_set_path('{"stats": {"runs": 1}}', '{stats,last,state}', '"done"');
SELECT nvent.jsonb_increment('{"stats": {"runs": 1}}', '{stats,runs}', 2);

SELECT nvent.store_create('tenant-a', 'tenants');
SELECT nvent.stream_append('tenant-a:flow:run:1', '{"type": "started"}') ->> 'subject';
SELECT nvent.store_version('tenant-a');
SELECT nvent.store_migrate('tenant-a', 0);

SET client_min_messages = warning;
DROP TABLE order_events;
DROP SCHEMA tenants;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
