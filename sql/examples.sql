-- The statements of README.md, made by test/readme.sh; not to be edited.
SET timezone = 'UTC';

CREATE EXTENSION IF NOT EXISTS nvent_store;

-- 1. Append an event to a stream.  The first write makes the default store: tables nvent_... in schema public.
SELECT nvent.stream_append('order:17', '{"type": "placed", "data": {"total": 42}}') ->> 'version' AS version;

-- 2. Read the stream.
SELECT e ->> 'type' AS type, e -> 'data' AS data FROM nvent.stream_read('order:17') e;

-- 3. Follow all orders, from the beginning, in one order.
SELECT cardinality(events) AS events, next_cursor > 0 AS moved FROM nvent.stream_poll('order:>', after => 0);

-- 4. Keep what you computed: an entry with a counter.
SELECT nvent.entry_add('customers', 'ada', 42, '{"name": "Ada"}'),
       nvent.entry_increment('customers', 'ada', 'orders');

-- 5. Keep something for half an hour.
SELECT nvent.kv_set('session:42', '{"user": "ada"}', ttl => '30 minutes');

SELECT nvent.subject_matches('order:eu:7', 'order:*:7') AS one, nvent.subject_matches('order', 'order:>') AS none;
SELECT nvent.subject_captures('order:eu:7:paid', 'order:{region}:{rest...}');

-- Several events in one call, all or none.
SELECT count(*) FROM nvent.stream_append_batch('cart:9', ARRAY[
    '{"type": "added", "data": {"sku": 1}}',
    '{"type": "added", "data": {"sku": 2}}',
    '{"type": "paid"}']::jsonb[]);

-- The newest two of one type.
SELECT e -> 'data' AS data
FROM nvent.stream_read('cart:9', types => '{added}', backward => true, max_count => 2) e;

-- Only if the stream is where I think it is.
SELECT nvent.stream_append('cart:9', '{"type": "shipped"}', expected_version => 3) ->> 'version' AS version;

SELECT nvent.stream_create_table('clicks', versioned => false);
SELECT type, versioned FROM nvent.stream_tables() WHERE type = 'clicks';

SELECT nvent.stream_create_table('parcel');
COPY nvent_stream_parcel (subject, version, ts, type, data) FROM stdin (DELIMITER '|');
parcel:1|1|1767225600000|packed|{"weight": 2}
parcel:2|1|1767225600100|packed|{"weight": 3}
parcel:1|2|1767225600200|moved|{"to": "Oslo"}
\.
SELECT nvent.stream_append('parcel:1', '{"type": "arrived"}', 2) ->> 'version' AS version;

CREATE TEMP TABLE incoming (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text, event jsonb);
INSERT INTO incoming (subject, event)
SELECT 'parcel:' || i % 3, jsonb_build_object('type', 'moved', 'data', i) FROM generate_series(1, 2500) i;

BEGIN;
LOCK TABLE nvent_stream_parcel IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO nvent_stream_parcel (subject, version, ts, type, data)
SELECT subject, head + row_number() OVER (PARTITION BY subject ORDER BY n), 1767225600000,
    event ->> 'type', event -> 'data'
FROM incoming
JOIN (SELECT subject, nvent.stream_version(subject) AS head FROM (SELECT DISTINCT subject FROM incoming) s) h
    USING (subject)
ORDER BY n;
COMMIT;
SELECT count(*), count(DISTINCT id) AS positions, max(version) FROM nvent_stream_parcel;

DO $$
DECLARE
    done bigint := 0;
BEGIN
    LOOP
        PERFORM nvent.stream_append_many(jsonb_agg(jsonb_build_object(
            'subject', subject, 'events', jsonb_build_array(event)) ORDER BY n))
        FROM incoming WHERE n > done AND n <= done + 1000 HAVING count(*) > 0;
        EXIT WHEN NOT FOUND;
        COMMIT;
        done := done + 1000;
    END LOOP;
END $$;

SELECT count(*), count(DISTINCT id) AS positions, max(version) FROM nvent_stream_parcel;
SELECT nvent.stream_drop_table('parcel');

SELECT p.next_cursor > 0 AS moved, e ->> 'subject' AS subject, e ->> 'type' AS type
FROM nvent.stream_poll('cart:>', after => 0, max_count => 2) p
LEFT JOIN LATERAL unnest(p.events) e ON true;

SELECT count(*) AS open_appenders FROM nvent.appenders;

SELECT nvent.stream_create_table('sensor', indexes => '{type}');
SELECT nvent.stream_index('cart', 'type'), nvent.stream_index('cart', 'subject');

SELECT nvent.stream_wait('order:>', after => 0, timeout => '1 second') AS there_is_something;

-- What the caller expects: a version, 0 for none, NULL for any.
SELECT e ->> 'version' AS version
FROM nvent.stream_append('account:1', '{"type": "opened", "eventId": "cmd-1"}', expected_version => 0) e;
SELECT nvent.stream_version('account:1');

-- The same call again, after a lost answer: the first record, and nothing is written.
SELECT e ->> 'version' AS version
FROM nvent.stream_append('account:1', '{"type": "opened", "eventId": "cmd-1"}', expected_version => 0) e;

-- Several subjects, all or none; the last one is only looked at.
SELECT e ->> 'subject' AS subject, e ->> 'version' AS version FROM nvent.stream_append_many('[
    {"subject": "account:1", "expected": 1, "events": [{"type": "debited", "data": 10}]},
    {"subject": "account:2", "expected": "none", "events": [{"type": "credited", "data": 10}]},
    {"subject": "limits:1", "expected": "none"}]') e;

-- A state with the versions that went into it: an older one never replaces it.
SELECT nvent.snapshot_save('balance:1', '{"balance": -10}', '{"account:1": 2}');
SELECT s.state, count(e) AS events_since
FROM nvent.snapshot_load('balance:1') s
LEFT JOIN LATERAL nvent.stream_read('account:1', after_version => (s.versions ->> 'account:1')::bigint) e ON true
GROUP BY 1;

-- All accounts; then shared by a group of three.
SELECT cardinality(events) FROM nvent.stream_poll_category('account', 0, types => '{debited,credited}');
SELECT sum(cardinality(p.events))
FROM generate_series(0, 2) m, nvent.stream_poll_category('account', 0, member => m, size => 3) p;

-- The end of a stream, and its contents as one event.
SELECT nvent.stream_close('account:2', expected_version => 1) ->> 'type' AS type;
SELECT deleted FROM nvent.stream_truncate('account:1', seed => '{"type": "__snapshot__", "data": {"balance": -10}}');
SELECT nvent.stream_protect(relation) FROM nvent.route_resolve('stream', 'account:1');

SELECT nvent.consumer_subscribe('billing', 'account:>');

-- A worker's turn: leases, events, and what is done with them, acknowledged in the transaction of the effects.
SELECT name, cardinality(events) AS events, nvent.consumer_ack(name, token, upto) AS more
FROM nvent.consumer_fetch(max_consumers => 5, lease => '30 seconds', owner => 'worker-1');

SELECT name, token IS NULL AS free, blocked FROM nvent.consumer_list();

SELECT nvent.checkpoint_save('report', 42);
SELECT position FROM nvent.checkpoint_load('report');

SELECT nvent.queue_create('emails', retry_limit => 5, retry_backoff => true);
SELECT nvent.queue_send('emails', '{"to": "ada@example.com"}') > 0 AS sent;
SELECT nvent.queue_send('emails', '{"to": "bob@example.com"}', priority => 10, start_after => '5 minutes') > 0 AS sent;

SELECT nvent.queue_complete('emails', id, attempt, data) AS completed
FROM nvent.queue_fetch('emails', 10, worker => 'host-1');

CREATE TABLE sent_emails (recipient text NOT NULL);
CREATE PROCEDURE email_worker(patience interval) LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        CALL nvent.queue_await('emails', patience);
        INSERT INTO sent_emails SELECT data ->> 'to' FROM nvent.queue_fetch('emails', 10)
            WHERE nvent.queue_complete('emails', id, attempt);
        EXIT WHEN NOT FOUND;
        COMMIT;
    END LOOP;
END $$;
SELECT nvent.queue_send('emails', '{"to": "eve@example.com"}') > 0 AS sent;
CALL email_worker(patience => '10 ms');
SELECT recipient FROM sent_emails;

SELECT nvent.queue_create('reports', 'exclusive');
SELECT nvent.queue_send('reports', key => 'customer 17') > 0 AS sent;
SELECT nvent.queue_send('reports', key => 'customer 17') > 0 AS sent;

SELECT nvent.queue_create('calls', group_limit => 4, rate_limit => 100, rate_interval => '1 minute');
SELECT nvent.queue_send('calls', '{"city": "Bonn"}', group_name => 'geocoder') > 0 AS sent;

SELECT nvent.queue_send('emails', '{"digest": 17}', key => 'digest 17', throttle => '1 day') > 0 AS sent;
SELECT nvent.queue_send('emails', '{"digest": 17}', key => 'digest 17', throttle => '1 day') > 0 AS sent;
SELECT nvent.queue_send('emails', '{"digest": 17}', key => 'digest 17', debounce => '1 day') > 0 AS tomorrow;

SELECT nvent.queue_create('welcome'), nvent.queue_create('audit'), nvent.queue_create('invoices');
SELECT nvent.queue_bind('welcome', 'user:*:created'), nvent.queue_bind('audit', '>');
SELECT queue, id > 0 AS sent FROM nvent.queue_publish('user:17:created', '{"name": "Ada"}');

SELECT nvent.queue_bind('invoices', 'order:*', on_append => true, types => '{paid}');
SELECT nvent.stream_append('order:21', '{"type": "paid", "data": {"sum": 12}}') ? 'id' AS appended;
SELECT data ->> 'subject' AS subject, data -> 'data' AS data FROM nvent.queue_fetch('invoices');

SELECT nvent.store_create('scratch', 'public');
SELECT nvent.queue_set_unlogged(store => 'scratch');
SELECT nvent.queue_create('thumbnails', store => 'scratch');
SELECT nvent.queue_send('thumbnails', '{"image": 5}', store => 'scratch') > 0 AS sent;
SELECT queue, unlogged FROM nvent.queue_list(store => 'scratch');

SELECT nvent.queue_create('video');
SELECT count(*) FROM nvent.queue_flow(ARRAY[
    '{"name": "sound", "queue": "video", "data": {"file": 1}}',
    '{"name": "picture", "queue": "video", "data": {"file": 2}}',
    '{"name": "film", "queue": "video", "after": ["sound", "picture"], "onFailure": "fail"}']::jsonb[]);
SELECT nvent.queue_complete('video', id, attempt, jsonb_build_object('made', data -> 'file'))
FROM nvent.queue_fetch('video', 10);
SELECT p.outcome, p.output FROM nvent.queue_fetch('video', 10) j, nvent.queue_parents('video', j.id) p;

SELECT nvent.queue_create('imports');
SELECT nvent.queue_send('imports', '{"file": "may.csv"}') > 0 AS sent;
SELECT nvent.queue_progress('imports', id, attempt, '{"rows": 500, "of": 2000}')
FROM nvent.queue_fetch('imports', worker => 'host-1');
SELECT worker, data, progress FROM nvent.queue_find('imports', states => '{active}');

BEGIN;
SELECT nvent.queue_progress('imports', id, attempt, '{"rows": 1000, "of": 2000}') FROM nvent.queue_active('imports');
SELECT nvent.stream_append('progress:imports:may',
    '{"type": "progress", "data": {"rows": 1000, "of": 2000}}') ? 'id' AS told;
COMMIT;

SELECT state, data FROM nvent.queue_find('imports', data => '{"file": "may.csv"}');
SELECT count(*) FROM nvent.queue_find('emails', states => '{created,retry}', after => 0, max_count => 100);

CREATE INDEX ON nvent_jobs USING gin (data jsonb_path_ops);

SELECT queue, ready, deferred, retry, blocked, active, failed, oldest_age > '1 hour' AS late FROM nvent.queue_stats();
SELECT worker, count(*), max(age) FROM nvent.queue_active('emails') GROUP BY worker;

SELECT nvent.entry_add('runs:import', 'r1', 1767225600000, '{"status": "running", "owner": {"team": "data"}}');

-- Update merges (RFC 7396): objects merge, null removes, a dotted name is a path.
SELECT nvent.entry_update('runs:import', 'r1', '{"owner.team": "platform", "owner.pager": "x1", "note": null}');

-- Counters are exact, one field or several at once.
SELECT nvent.entry_increment_many('runs:import', 'r1', '{"stats.steps": 1, "stats.retries": 2}');
SELECT nvent.entry_get('runs:import', 'r1');

-- Optimistic: NULL when somebody was faster.
SELECT nvent.entry_update('runs:import', 'r1', '{"status": "done"}', expected_version => 0) IS NULL AS stale;

-- Highest score first; filters on any field; the next page begins after the last entry.
SELECT e ->> 'id' AS id FROM nvent.entry_read('runs:import', filter => '{"status": ["running", "waiting"]}') e;
SELECT count(*) FROM nvent.entry_read('runs:import', max_count => 10, after_score => 1767225600000, after_id => 'r1');

SELECT nvent.kv_set('job:7:owner', '"worker-1"', ttl => '1 minute', nx => true) AS first,
       nvent.kv_set('job:7:owner', '"worker-2"', ttl => '1 minute', nx => true) AS second;
SELECT nvent.kv_get('job:7:owner');
SELECT nvent.kv_increment('visits'), nvent.kv_increment('visits', 10);
SELECT nvent.kv_cas('visits', '11', '0');
SELECT nvent.kv_mset('{"color:1": "red", "color:2": null}');
SELECT key, value FROM nvent.kv_scan('color:*');
SELECT nvent.kv_clear('color:?');

SELECT nvent.lock_acquire('job:nightly', '30 seconds', owner => 'worker-1') IS NOT NULL AS mine;
SELECT nvent.lock_acquire('job:nightly', '30 seconds', owner => 'worker-2') IS NULL AS not_mine;
SELECT nvent.lock_get('job:nightly') ->> 'owner' AS owner;

SELECT nvent.schedule_set('nightly', 'report:sales', '{"type": "wanted"}',
    cron => '30 2 * * *', time_zone => 'Europe/Berlin') > now() AS set;
SELECT nvent.schedule_set('heartbeat', 'check:1', '{"type": "due"}', every => '90 seconds') > now() AS set;
SELECT nvent.schedule_set('reminder', 'check:2', '{"type": "due"}', at => '2026-01-01 09:00 UTC') IS NOT NULL AS set;
SELECT nvent.schedule_run() AS made;
SELECT nvent.stream_read('check:2') #> '{meta,scheduleName}' AS schedule;
SELECT nvent.queue_create('digests'),
    nvent.schedule_job('digest', 'digests', '{"priority": 5}', cron => '0 7 * * mon') > now() AS set;
SELECT name, cron, every, status FROM nvent.schedule_list();
SELECT nvent.schedule_pause('heartbeat'), nvent.schedule_resume('heartbeat'), nvent.schedule_delete('heartbeat');

SELECT nvent.cron_next('30 9 * * mon-fri', 'America/New_York', '2026-01-02 15:00 UTC') AT TIME ZONE 'UTC' AS due;
SELECT due AT TIME ZONE 'Europe/Berlin' AS due
FROM nvent.schedule_preview('30 2 * * *', 'Europe/Berlin', '2026-03-28 00:00 UTC', max_count => 3) AS due;

CREATE TABLE order_events (
    id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY,
    customer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    ts bigint NOT NULL,
    type text NOT NULL,
    amount numeric,
    meta jsonb
);
CREATE INDEX ON order_events (subject, id);
SELECT nvent.route_add('stream', 'orders:{customer}:>', 'order_events');
SELECT nvent.stream_append('orders:ada:17', '{"type": "paid", "amount": 12.50, "by": "card"}') - 'id' - 'ts' AS record;
SELECT customer, amount, meta FROM order_events;
SELECT pattern, relation, keys FROM nvent.route_resolve('stream', 'orders:ada:17');

SELECT nvent.store_create('tenant-a', 'tenants');
SELECT nvent.stream_append('tenant-a:order:1', '{"type": "placed"}') ->> 'subject' AS subject;
SELECT count(*) > 5 AS tables FROM pg_tables WHERE schemaname = 'tenants';
SELECT nvent.store_version('tenant-a') > 0 AS has_layout;
SELECT nvent.store_migrate('tenant-a', 0) > 0 AS dropped;

SELECT nvent.jsonb_deep_merge('{"a": {"x": 1, "y": 2}}', '{"a": {"x": null, "z": 3}}');
SELECT nvent.jsonb_merge_patch('{"title": "old", "tags": ["a"]}', '{"title": null, "author": {"mail": null}}');
SELECT nvent.jsonb_expand_paths('{"a.b": 1, "a": {"c": 2}}');
SELECT nvent.jsonb_set_path('{"stats": {"runs": 1}}', '{stats,last,state}', '"done"');
SELECT nvent.jsonb_increment('{"stats": {"runs": 1}}', '{stats,runs}', 2);

SELECT coalesce(waiters, 0) AS sessions_that_wait FROM nvent.worker_status();

CREATE SCHEMA integers;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT relname AS name, string_agg(
            CASE WHEN attname ~ '^(version|step_count|completed_steps|stats_)' AND attname !~ '_at$'
                THEN format('%I::integer AS %1$I', attname)
                ELSE quote_ident(attname) END, ', ' ORDER BY attnum) AS columns
        FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        WHERE relnamespace = 'public'::regnamespace AND relname ~
            '^nvent_(flows|flow_runs|flow_events|triggers|trigger_events|scheduler_jobs|kv|schema_version)$'
        GROUP BY relname
    LOOP
        EXECUTE format('CREATE VIEW integers.%I WITH (security_invoker) AS SELECT %s FROM public.%1$I',
            r.name, r.columns);
    END LOOP;
END $$;
SELECT table_name, string_agg(column_name, ' ' ORDER BY column_name) AS integers FROM information_schema.columns
WHERE table_schema = 'integers' AND data_type = 'integer' GROUP BY table_name ORDER BY table_name;

-- SET config:mode fast; RENAME config:mode config:speed; GET config:speed
SELECT nvent.kv_set('config:mode', '"fast"'), nvent.kv_set('config:speed', nvent.kv_getdel('config:mode'));
SELECT nvent.kv_get('config:speed') #>> '{}' AS speed, nvent.kv_exists('config:mode') AS mode;
-- SET visits:7 0.1 EX 60 NX; EXPIRE visits:7 10 LT; PERSIST visits:7; INCRBYFLOAT visits:7 0.2; TTL visits:7
SELECT nvent.kv_set('visits:7', '0.1', seconds => 60, nx => true), nvent.kv_expire('visits:7', '10 s', 'lt');
SELECT nvent.kv_persist('visits:7'), nvent.kv_increment('visits:7', 0.2);
SELECT nvent.kv_ttl('visits:7') IS NULL AS for_good;
-- HSET user:ada mail x visits 1; HINCRBY user:ada visits 1; HDEL user:ada mail; HGETALL user:ada
SELECT nvent.entry_add('users', 'ada', 0, '{"mail": "x", "visits": 1}'),
       nvent.entry_increment('users', 'ada', 'visits'), nvent.entry_update('users', 'ada', '{"mail": null}');
SELECT nvent.entry_get('users', 'ada') -> 'metadata' ->> 'visits' AS visits;
-- ZADD board 30 ada 10 bob; ZREVRANGE board 0 0; ZRANGEBYSCORE board 5 20; ZREM board bob
SELECT nvent.entry_add('board', 'ada', 30), nvent.entry_add('board', 'bob', 10);
SELECT e ->> 'id' AS first FROM nvent.entry_read('board', 1) e;
SELECT e ->> 'id' AS low FROM nvent.entry_read('board', min_score => 5, max_score => 20, ascending => true) e;
SELECT nvent.entry_delete('board', 'bob');
-- XADD tick * n 1; XREVRANGE tick + - COUNT 1; XTRIM tick MAXLEN 1; XLEN tick
SELECT count(nvent.stream_append('tick:1', jsonb_build_object('type', 'tick', 'data', n))) FROM generate_series(1, 3) n;
SELECT e -> 'data' AS last FROM nvent.stream_read('tick:1', backward => true, max_count => 1) e;
SELECT deleted FROM nvent.stream_truncate('tick:1', before => 3);
SELECT nvent.stream_version('tick:1') AS version, count(*) AS events FROM nvent.stream_read('tick:1');
-- XGROUP CREATE tick:1 watch 0; XREADGROUP GROUP watch me STREAMS tick:1 >; XACK
SELECT nvent.consumer_subscribe('watch', 'tick:*', lane => 'redis');
SELECT name, cardinality(events) AS events, nvent.consumer_ack(name, token, upto) AS more
FROM nvent.consumer_fetch(1, lane => 'redis', owner => 'me');
-- LPUSH work a; BLMOVE work doing RIGHT LEFT 1; LREM doing 1 a
SELECT nvent.queue_create('work'), nvent.queue_send('work', '"a"') > 0 AS sent;
CALL nvent.queue_await('work', '1 s');
SELECT data, nvent.queue_complete('work', id, attempt) AS completed FROM nvent.queue_fetch('work');
-- SET lock:report token NX PX 30000; then the script that compares and deletes
SELECT nvent.lock_release('lock:report', nvent.lock_acquire('lock:report', '30 s', 'me')) AS released;
-- WATCH config:speed; MULTI; SET config:speed slow; EXEC
SELECT nvent.kv_cas('config:speed', '"fast"', '"slow"') AS mine, nvent.kv_cas('config:speed', '"fast"', '1') AS late;

SET client_min_messages = warning;
DROP PROCEDURE email_worker(interval);
DROP TABLE order_events, sent_emails;
DROP SCHEMA tenants;
DROP SCHEMA integers CASCADE;
SELECT nvent.store_migrate('scratch', 0) > 0 AS dropped;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
