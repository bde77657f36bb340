-- Queues that are bound to events: what is appended makes a job in the same
-- transaction, once, in the order of positions, as who appends; and nothing else
-- makes one.
--
-- Seen to fail with records that keep what may be erased; with jobs for repeated
-- and restored events; without the trigger that asks who binds (a writer has the
-- events of others come to him); with bindings that are looked for as the caller
-- (who has no right on queues cannot append at all); with events without a
-- type taken for others (a crash); and without the checks of
-- what a schedule's event would do (its author sends where he may not, and code
-- on the table of jobs runs as postgres), or of where it is appended.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_logger;
SELECT nvent.store_create('b'), nvent.store_create('other');
SET nvent_store.default_store = 'b';
SELECT nvent.queue_create('bill'), nvent.queue_create('all'), nvent.queue_create('brief', 'short'), nvent.queue_create('far', store => 'other');
-- What a queue has been given, in order, without what differs from run to run; and deletes it.
CREATE FUNCTION pg_temp.taken(queue text, store text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', g.data->>'subject', g.data->>'version', g.data->>'type', g.data->'data', CASE WHEN g.data->>'subject' <> g.key THEN g.key END), ', ' ORDER BY f.id), '-')
    FROM nvent.queue_fetch(queue, 10000, store => store) f, nvent.queue_get(queue, f.id, store) g WHERE nvent.queue_delete(queue, f.id, store) IS NOT NULL $$;

SELECT nvent.queue_bind('bill', 'order:*', true, '{paid,refunded}'), nvent.queue_bind('bill', 'order:*', true, '{paid,refunded}'), nvent.queue_bind('bill', 'order:*', true, '{paid}'),
    nvent.queue_bind('all', '>', true), nvent.queue_bind('far', 'other:>', true, store => 'other');
SELECT queue_name, pattern, on_append, types FROM nvent.queue_bindings();
-- Neither kind takes what the other one is for.
SELECT count(*) FROM nvent.queue_publish('order:1');
-- The job is the event as it can be read, but for what may have to be erased; its key is the subject.
SELECT nvent.stream_append('order:1', '{"type": "paid", "data": {"sum": 3}, "pii": {"name": "Ada"}, "by": "ada", "ts": 5}')->>'version';
SELECT j.data = r - 'pii' AS same, r ? 'pii' AS has_pii, j.data ? 'pii' AS job_has_pii, j.data - '{id}'::text[] AS data, g.key, j.attempt
FROM nvent.queue_fetch('bill') j, nvent.queue_get('bill', j.id) g, nvent.stream_read('order:1') r;
SELECT pg_temp.taken('all');
SELECT nvent.stream_append('order:1', '{"type": "sent"}') ? 'id' AS appended, pg_temp.taken('bill'), pg_temp.taken('all');

-- Batches, several subjects and several stores; jobs are in the order of events.
SELECT count(*) FROM nvent.stream_append_batch('order:2', ARRAY['{"type": "paid", "data": 1}', '{"type": "sent", "data": 2}', '{"type": "paid", "data": 3}']::jsonb[]);
SELECT pg_temp.taken('bill'), pg_temp.taken('all');
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "order:3", "events": [{"type": "paid", "data": 1}]}, {"subject": "other:x", "events": [{"type": "paid", "data": 2}]},
    {"subject": "cart:1", "events": [{"type": "paid", "data": 3}]}, {"subject": "order:3", "events": [{"type": "paid", "data": 4}]}, {"subject": "order:4", "events": []}]');
SELECT pg_temp.taken('bill'), pg_temp.taken('all'), pg_temp.taken('far', 'other');
-- A thousand at once: one batch, each with a position of its own.
CREATE TABLE statements (n bigint);
CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO statements SELECT count(*) FROM sent; RETURN NULL; END$$;
CREATE TRIGGER note AFTER INSERT ON b_jobs REFERENCING NEW TABLE AS sent FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.note();
SELECT count(*) FROM nvent.stream_append_batch('order:5', ARRAY(SELECT jsonb_build_object('type', 'paid', 'data', n) FROM generate_series(1, 1000) n));
SELECT * FROM statements;
DROP TRIGGER note ON b_jobs;
DROP TABLE statements;
SELECT count(*), count(DISTINCT j.id), count(r) AS known, bool_and((r->>'data')::int = j.n) AS in_order, bool_and((r->>'id')::bigint < j.id) AS behind
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM nvent.queue_fetch('bill', 2000)) j LEFT JOIN nvent.stream_read('order:5', max_count => 2000) r ON r = j.data;
SELECT nvent.queue_purge('all') = 1000 AS all;
-- A policy keeps jobs back, not events.
SELECT nvent.queue_bind('brief', 'note:>', true);
SELECT count(*) FROM nvent.stream_append_batch('note:1', ARRAY['{"type": "a"}', '{"type": "b"}']::jsonb[]);
SELECT count(*) FROM nvent.stream_append_many('[{"subject": "note:1", "events": [{"type": "c"}]}, {"subject": "note:2", "events": [{"type": "d"}]}]');
SELECT pg_temp.taken('brief'), pg_temp.taken('all');
-- A plain log, and a table of one's own by a route.
SELECT nvent.stream_create_table('trace', versioned => false) IS NOT NULL AS made;
CREATE TABLE own (id bigint PRIMARY KEY DEFAULT nvent.next_position('b'), name text NOT NULL, ts bigint NOT NULL, type text NOT NULL, data jsonb);
SELECT nvent.route_add('stream', 'own:{name}', 'own', store => 'b');
SELECT nvent.stream_append('trace:1', '{"type": "t", "data": 1}') ? 'id', nvent.stream_append('own:x', '{"type": "t", "data": 2}') ? 'id';
SELECT pg_temp.taken('all');
-- An event without a type goes to queues that take any, where a table has such.
CREATE TABLE parts (id bigint DEFAULT nvent.next_position('b'), name text, ts bigint, type text, data jsonb) PARTITION BY HASH (type);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT nvent.route_add('stream', 'parts:{name}', 'parts', store => 'b'), nvent.queue_bind('bill', 'parts:*', true, '{paid}');
SELECT count(*) FROM nvent.stream_append_batch('parts:x', ARRAY['{"type": null, "data": 3}', '{"type": "paid", "data": 4}', '{"data": 5}']::jsonb[]);
SELECT nvent.stream_append('parts:x', '{"type": null, "data": 6}') - '{id,ts}'::text[];
SELECT pg_temp.taken('bill'), pg_temp.taken('all'), nvent.queue_unbind('bill', 'parts:*', true);

-- What is not appended makes no job: what is repeated, in conflict, rolled back or restored, and what SQL inserts.
SELECT nvent.stream_append('order:6', '{"type": "paid", "event_id": "e1"}')->>'version';
SELECT nvent.stream_append('order:6', '{"type": "paid", "event_id": "e1"}')->>'version';
SELECT pg_temp.taken('bill');
SELECT pg_temp.outcome($$SELECT nvent.stream_append('order:6', '{"type": "paid"}', 0)$$), pg_temp.outcome($$SELECT nvent.stream_append('order:6', '{}')$$);
BEGIN;
SELECT nvent.stream_append('order:6', '{"type": "paid", "data": "kept"}') ? 'id';
SAVEPOINT a;
SELECT nvent.stream_append('order:6', '{"type": "paid", "data": "lost"}') ? 'id';
ROLLBACK TO a;
COMMIT;
SELECT count(*) FROM nvent.stream_restore(ARRAY['{"subject": "order:7", "type": "paid", "data": "restored"}']::jsonb[]);
INSERT INTO own (name, ts, type, data) VALUES ('y', 1, 'paid', '"inserted"');
SELECT pg_temp.taken('bill'), pg_temp.taken('all');
SELECT nvent.queue_create('x'), nvent.queue_bind('x', 'long:>', true);
SELECT pg_temp.outcome(format('SELECT nvent.stream_append(%L, %L)', 'long:' || repeat('x', 996), '{"type": "t"}'));
SELECT nvent.stream_append('long:' || repeat('x', 995), '{"type": "t"}') ? 'id', nvent.queue_drop('x');
SELECT nvent.queue_purge('all') > 0;

-- A binding counts at once, until it is rolled back.
BEGIN;
SELECT nvent.queue_unbind('all', '>', true);
SELECT nvent.stream_append('cart:1', '{"type": "a"}') ? 'id', pg_temp.taken('all');
ROLLBACK;
SELECT nvent.stream_append('cart:1', '{"type": "b"}') ? 'id', pg_temp.taken('all');
SELECT nvent.queue_unbind('all', '>', false), nvent.queue_unbind('all', '>', true);
SELECT nvent.stream_append('cart:1', '{"type": "c"}') ? 'id', pg_temp.taken('all');

-- What callers do wrong.
SELECT nvent.queue_bind('bill', 'other:>', true);
SELECT nvent.queue_bind('far', 'order:>', true, store => 'other');
SELECT pg_temp.outcome($$SELECT nvent.queue_bind('bill', 'x', true, '{}')$$), pg_temp.outcome($$SELECT nvent.queue_bind('bill', 'x', true, '{NULL}')$$);

-- Only the owner has what others append go to a queue, however he says so.
SELECT nvent.store_grant('regress_nvs_writer', 'admin');
SET ROLE regress_nvs_writer;
SELECT pg_temp.outcome(s) FROM unnest(ARRAY['SELECT nvent.queue_bind(''all'', ''>'', true)', 'INSERT INTO b_queue_bindings SELECT number, ''>'', true FROM b_queues',
    'SELECT nvent.queue_bind(''all'', ''x'')', 'UPDATE b_queue_bindings SET on_append = true', 'UPDATE b_queue_bindings SET queue = (SELECT number FROM b_queues WHERE name = ''all'')',
    'UPDATE b_queue_bindings SET types = NULL', 'DELETE FROM b_queue_bindings WHERE NOT on_append']) s;
RESET ROLE;
-- A trigger of his that changes the row behind the check of another one does not help him.
GRANT TRIGGER ON b_queue_bindings TO regress_nvs_writer;
GRANT CREATE ON SCHEMA public TO regress_nvs_writer;
SET ROLE regress_nvs_writer;
CREATE FUNCTION public.turn() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.on_append := true; RETURN NEW; END$$;
CREATE TRIGGER z BEFORE INSERT ON b_queue_bindings FOR EACH ROW EXECUTE FUNCTION turn();
SELECT pg_temp.outcome('SELECT nvent.queue_bind(''all'', ''x'')');
RESET ROLE;
DROP FUNCTION turn CASCADE;
REVOKE ALL ON SCHEMA public FROM regress_nvs_writer;

-- Jobs are sent as who appends.  Without the right to send he appends where nothing is bound, and nowhere else.
SELECT nvent.stream_append('free:1', '{"type": "a"}') ? 'id';
GRANT USAGE ON SCHEMA nvent TO regress_nvs_logger;
GRANT SELECT, INSERT ON b_stream_order, b_stream_free TO regress_nvs_logger;
GRANT INSERT ON b_flow_events TO regress_nvs_logger;
SET ROLE regress_nvs_logger;
SELECT nvent.stream_append('free:1', '{"type": "paid"}') ? 'id', nvent.stream_append('order:8', '{"type": "sent"}') ? 'id';
SELECT pg_temp.outcome($$SELECT nvent.stream_append('order:8', '{"type": "paid"}')$$);
SET ROLE regress_nvs_writer;
SELECT nvent.stream_append('order:8', '{"type": "paid", "data": "by a writer"}') ? 'id', pg_temp.taken('bill');
RESET ROLE;
SELECT count(*) FROM nvent.stream_read('order:8');
ALTER TABLE b_queues ENABLE ROW LEVEL SECURITY;
CREATE POLICY partly ON b_queues USING (name <> 'bill');
SET ROLE regress_nvs_writer;
SELECT pg_temp.outcome($$SELECT nvent.stream_append('order:8', '{"type": "paid"}')$$);
RESET ROLE;
ALTER TABLE b_queues DISABLE ROW LEVEL SECURITY;
ALTER TABLE b_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY partly ON b_jobs USING (true) WITH CHECK (data->'data' <> '"secret"');
SET ROLE regress_nvs_writer;
SELECT pg_temp.outcome($$SELECT nvent.stream_append('order:8', '{"type": "paid", "data": "open"}')$$), pg_temp.outcome($$SELECT nvent.stream_append('order:8', '{"type": "paid", "data": "secret"}')$$);
RESET ROLE;
ALTER TABLE b_jobs DISABLE ROW LEVEL SECURITY;
SELECT pg_temp.taken('bill');

-- The event of a schedule makes a job, too, if all of its authors may send it, and nobody's code runs.
GRANT SELECT, INSERT, UPDATE, DELETE ON b_scheduler_jobs TO regress_nvs_logger;
SET ROLE regress_nvs_logger;
SELECT nvent.schedule_set('s', 'order:9', '{"type": "paid", "data": "scheduled"}', at => '2000-01-01', missed => 'all') IS NOT NULL AS set;
RESET ROLE;
SELECT nvent.schedule_run();
SELECT status, error FROM nvent.schedule_list();
SELECT pg_temp.taken('bill');
SELECT nvent.schedule_set('s', 'order:9', '{"type": "paid", "data": "scheduled"}', at => '2000-01-01', missed => 'all') IS NOT NULL AS set;
CREATE TABLE seen (who text);
GRANT ALL ON seen TO PUBLIC;
GRANT TRIGGER ON b_jobs TO regress_nvs_writer;
GRANT CREATE ON SCHEMA public TO regress_nvs_writer;
SET ROLE regress_nvs_writer;
CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO seen VALUES (current_user); RETURN NEW; END$$;
CREATE TRIGGER spy BEFORE INSERT ON b_jobs FOR EACH ROW EXECUTE FUNCTION spy();
RESET ROLE;
SELECT nvent.schedule_run();
SELECT status, error FROM nvent.schedule_list();
SELECT count(*) AS seen FROM seen;
-- Nor by what else PostgreSQL runs for somebody who did not ask for it.
SELECT pg_temp.outcome($$CREATE MATERIALIZED VIEW seen_by AS SELECT nvent.stream_append('order:9', '{"type": "paid"}')$$);
DROP FUNCTION spy CASCADE;
REVOKE ALL ON SCHEMA public FROM regress_nvs_writer;
DROP TABLE seen;
SELECT nvent.schedule_set('s', 'order:9', '{"type": "paid", "data": "scheduled once"}', at => '2000-01-02', missed => 'all') IS NOT NULL AS set;
SELECT nvent.schedule_run();
SELECT status, error FROM nvent.schedule_list();
SELECT pg_temp.taken('bill');
-- An error says whose binding it came by.
DO $$
DECLARE
    context text;
BEGIN
    PERFORM nvent.queue_bind('bill', 'long:>', true);
    PERFORM nvent.stream_append('long:' || repeat('x', 1000), '{"type": "t"}');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE WARNING '%', split_part(context, E'\n', 1);
END $$;

-- A store of an older layout binds nothing, whatever has the table's name.
SELECT nvent.store_migrate('other', 7) > 0 AS migrated;
CREATE TABLE other_queue_bindings (queue int);
ALTER TABLE other_queue_bindings OWNER TO regress_nvs_writer;
SELECT nvent.stream_append('other:x', '{"type": "a"}') ? 'id' AS appended;
DROP TABLE other_queue_bindings;
SELECT nvent.store_migrate('other') > 0 AS migrated, nvent.queue_create('far', store => 'other'), nvent.queue_bind('far', 'other:>', true, store => 'other');
SELECT nvent.stream_append('other:x', '{"type": "b", "data": 5}') ? 'id' AS appended, pg_temp.taken('far', 'other');
SELECT nvent.route_drop('stream', 'own:{name}', 'b'), nvent.route_drop('stream', 'parts:{name}', 'b');
RESET nvent_store.default_store;
DROP TABLE own, parts;
SELECT nvent.store_migrate('b', 0) > 0 AS dropped, nvent.store_migrate('other', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_writer, regress_nvs_logger;
DROP ROLE regress_nvs_writer, regress_nvs_logger;
