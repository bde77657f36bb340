-- What an append stores and returns: records, what the subject says, batches,
-- versions, large and deep payloads, times; in the store's tables and in tables
-- of the user's with constraints, triggers, partitions, policies and rules.
-- Deleting a stream.
\set VERBOSITY terse
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create();

-- The record of an event: the fields that were given, what the server adds,
-- and what has no column in meta.
SELECT nvent.stream_append('nvent:flow:run:abc', '{"type": "flow:started", "flowName": "import",
    "stepName": "s", "stepId": "s1", "attempt": 2, "ts": 5, "data": {"a": [1]}, "who": "me"}') - 'id';
SELECT jsonb_typeof(r->'id') AS id, r->>'id' ~ '^[0-9]+$' AS number, jsonb_typeof(r->'ts') AS ts,
    (r->>'ts')::bigint BETWEEN extract(epoch FROM statement_timestamp()) * 1000 - 1 AND extract(epoch FROM clock_timestamp()) * 1000 + 1 AS now
FROM nvent.stream_append('nvent:flow:run:abc', '{"type": "t"}') r;
SELECT pg_temp.rec(r) FROM nvent.stream_append('nvent:trigger:event:hook', '{"type": "fired", "runId": "r", "flowName": "f", "stepName": "s", "stepId": "i", "attempt": 1}') r;
SELECT pg_temp.rec(r) FROM nvent.stream_append('orders:new:1', '{"type": "placed", "runId": "r"}') r;
-- What was returned is what is read, and what SQL finds.
CREATE TABLE returned (r jsonb);
INSERT INTO returned SELECT nvent.stream_append(s, '{"type": "t", "x": {"y": null}, "data": [1, "2"]}') FROM unnest('{nvent:flow:run:same,orders:same:1}'::text[]) s;
SELECT r = e AS same FROM returned, nvent.stream_read(r->>'subject') e;
SELECT run_id, flow_name, type, data, meta, id::text = r->>'id' AS id, ts::text = r->>'ts' AS ts, created_at <= clock_timestamp() AS created
FROM nvent_flow_events, returned WHERE run_id = 'same' AND r ? 'runId';
DROP TABLE returned;

-- Values that a careless client takes for nothing are values; what is absent
-- stays absent.
SELECT v AS data, pg_temp.rec(nvent.stream_append('nvent:flow:run:falsy', jsonb_build_object('type', 't', 'attempt', 0, 'flowName', '', 'data', v)))
FROM unnest('{false,0,"\"\"",null}'::jsonb[] || ARRAY['null', '[]', '{}']::jsonb[]) v;
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:falsy', '{"type": "t"}'));
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:falsy', '{"type": "t", "ts": null, "attempt": null, "flowName": null}')) AS nulls;
SELECT e->'data' AS data, e ? 'data' AS has FROM nvent.stream_read('nvent:flow:run:falsy') e;
SELECT count(*) FILTER (WHERE data IS NULL) AS absent, count(*) FILTER (WHERE data = 'null') AS null FROM nvent_flow_events WHERE run_id = 'falsy';

-- Meta: an object given is merged with the unknown fields; another value is an
-- unknown field itself; a name in both is refused, as is a field given twice.
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "meta": {"a": 1}, "b": 2}'))->'meta' AS meta;
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "meta": {}}')) AS empty;
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:meta', ('{"type": "t", "meta": ' || v || '}')::jsonb))->'meta' AS meta
FROM unnest('{5,"[1]",null,"\"x\""}'::text[]) v WHERE v IS NOT NULL;
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "meta": {"meta": {"meta": 1}}}'))->'meta' AS meta;
\set VERBOSITY default
SELECT nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "meta": {"zz": 1, "a": 1, "mm": 2}, "a": 2}');
SELECT nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "stepName": "a", "step_name": "b"}');
\set VERBOSITY terse
-- A name that is a column is one in meta too: it does not become the column.
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:meta', '{"type": "t", "meta": {"type": "u", "attempt": 5}}'));
-- A great many unknown fields.
SELECT (SELECT count(*) FROM jsonb_object_keys(r->'meta')) AS kept, r->'meta'->'b7' AS b7
FROM nvent.stream_append('nvent:flow:run:meta', (SELECT jsonb_object_agg('a' || n, n) || jsonb_build_object('type', 't', 'meta', jsonb_object_agg('b' || n, n))
    FROM generate_series(1, 20000) n)) r;

-- What the subject says is not the event's to say: said again it is dropped,
-- said otherwise it is kept, in meta.
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:r1', '{"type": "t", "runId": "r1", "subject": "nvent:flow:run:r1"}'));
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:r1', '{"type": "t", "runId": "r2", "subject": "other", "id": "7", "version": 3, "createdAt": 1}'));
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:r1', '{"type": "t", "run_id": "r1"}'));
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:r1', '{"type": "t", "run_id": "r2"}'));
SELECT pg_temp.rec(nvent.stream_append('nvent:flow:run:r1', '{"type": "t", "runId": null}'));
SELECT count(*) FROM nvent.stream_read('nvent:flow:run:r2');
-- Subjects are what they are, byte for byte.
SELECT s AS subject, nvent.stream_append(s, '{"type": "t"}')->'version' AS version, (SELECT count(*) FROM nvent.stream_read(s)) AS before
FROM unnest(ARRAY['sub:T:1', 'sub:t:1', 'sub:t:ä', E'sub:t:a\u0308', 'sub:t: 1', 'sub:t:1 ', 'sub:t:%', 'sub:t:_', 'sub:t:''', 'sub:t:"', 'sub:t:\', 'sub:t:1:2', 'sub:t:a{b}']) s;

-- A batch keeps its order, in positions and in versions.
SELECT e->'version' AS version, e->'type' AS type, (e->>'id')::bigint - lag((e->>'id')::bigint) OVER () > 0 AS later
FROM nvent.stream_append_batch('batch:b:1', ARRAY['{"type": "c"}', '{"type": "a", "ts": 1}', '{"type": "b", "data": 1}']::jsonb[]) e;
SELECT string_agg(e->>'type', '' ORDER BY n) FROM nvent.stream_read('batch:b:1') WITH ORDINALITY r (e, n);
SELECT count(*) FROM nvent.stream_append_batch('batch:b:1', '{}');
SELECT e->'version' AS version FROM nvent.stream_append_batch('batch:b:1', ARRAY[['{"type": "x"}'], ['{"type": "y"}']]::jsonb[]) e;
SELECT bool_and((e->'version')::int = n + 5) AND bool_and((e->'meta'->'n')::int = n) AS in_order, count(*)
FROM nvent.stream_append_batch('batch:b:1', (SELECT array_agg(jsonb_build_object('type', 't', 'n', n) ORDER BY n) FROM generate_series(1, 1200) n))
    WITH ORDINALITY r (e, n);
-- All of it or nothing.
SELECT nvent.stream_append_batch('batch:b:2', ARRAY['{"type": "a"}', '{"type": 5}', '{"type": "c"}']::jsonb[]);
SELECT nvent.stream_append_batch('batch:b:2', ARRAY['{"type": "a"}', '{"nothing": 5}']::jsonb[]);
SELECT nvent.stream_append_batch('batch:b:2', ARRAY['{"type": "a"}', NULL]::jsonb[]);
SELECT nvent.stream_append_batch('batch:b:2', ARRAY['{"type": "a"}', '[]']::jsonb[]);
SELECT nvent.stream_append_batch('batch:b:2', array_fill('{"type": "a"}'::jsonb, '{65537}'));
SELECT count(*) FROM nvent.stream_read('batch:b:2');
-- Columns that some events leave to their default.
CREATE TABLE defaulted (
    id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint NOT NULL, type text NOT NULL DEFAULT 'plain',
    subject text NOT NULL, level integer DEFAULT 7, note text, version bigint
);
SELECT nvent.route_add('stream', 'def:>', 'defaulted');
SELECT pg_temp.rec(e) FROM nvent.stream_append_batch('def:1', ARRAY['{"type": "a"}', '{"level": 1}', '{"level": null, "type": "c"}', '{"note": "n"}', '{}']::jsonb[]) e;
SELECT pg_temp.rec(e) FROM nvent.stream_append_batch('def:1', ARRAY['{"type": "a", "level": 1}', '{"level": 2, "note": "n", "type": "b"}']::jsonb[]) e;
SELECT pg_temp.rec(e) FROM nvent.stream_append('def:1', '{}') e;

-- Versions have no gaps, whatever is rolled back.
BEGIN;
SELECT nvent.stream_append('ver:v:1', '{"type": "1"}')->'version' AS version;
SAVEPOINT s;
SELECT nvent.stream_append('ver:v:1', '{"type": "undone"}')->'version' AS version;
ROLLBACK TO s;
SELECT nvent.stream_append('ver:v:1', '{"type": "2"}')->'version' AS version;
RELEASE s;
COMMIT;
BEGIN;
SELECT nvent.stream_append('ver:v:1', '{"type": "undone"}')->'version' AS version;
ROLLBACK;
SELECT nvent.stream_append('ver:v:1', jsonb_build_object('type', n::text))->'version' AS version FROM generate_series(3, 4) n;
SELECT nvent.stream_append('ver:v:2', '{"type": "1"}')->'version' AS version;
SELECT e->'version' AS version, e->>'type' AS type FROM nvent.stream_read('ver:v:1') e;
-- The first use of a type, undone with its table.
BEGIN;
SAVEPOINT s;
SELECT nvent.stream_append('ver:fresh:1', '{"type": "t"}')->'version' AS version;
ROLLBACK TO s;
SELECT count(*) FROM nvent.stream_read('ver:fresh:1');
SELECT nvent.stream_append('ver:fresh:1', '{"type": "t"}')->'version' AS version;
COMMIT;
-- Deleting begins anew, and touches no other subject.
SELECT nvent.stream_delete('ver:v:2'), nvent.stream_delete('ver:v:2'), nvent.stream_delete('ver:none:1');
SELECT nvent.stream_append('ver:v:2', '{"type": "1"}', 0)->'version' AS version;
SELECT count(*) FROM nvent.stream_read('ver:v:1');
SELECT nvent.stream_delete(NULL) IS NULL AS null;
-- A plain log has no versions.
SELECT nvent.stream_create_table('log', versioned => false);
SELECT pg_temp.rec(nvent.stream_append('log:ver:1', '{"type": "t", "version": 5}'));
SELECT pg_temp.rec(e) FROM nvent.stream_append_batch('log:ver:1', ARRAY['{"type": "u"}', '{"type": "v"}']::jsonb[]) e;
\set VERBOSITY default
SELECT nvent.stream_append('log:ver:1', '{"type": "t"}', 0);
\set VERBOSITY terse
SELECT nvent.stream_append('nvent:flow:run:v', '{"type": "t"}', 0);

-- Users' tables keep their constraints, triggers, partitions and policies.
CREATE TABLE orders (
    id bigint DEFAULT nvent.next_position('nvent'), ts bigint NOT NULL, type text NOT NULL, subject text NOT NULL,
    customer text NOT NULL, amount numeric CHECK (amount > 0), version integer, seen boolean DEFAULT false, meta jsonb,
    PRIMARY KEY (customer, id), UNIQUE (customer, subject, version)
) PARTITION BY LIST (customer);
CREATE TABLE orders_a PARTITION OF orders FOR VALUES IN ('a');
CREATE TABLE orders_b PARTITION OF orders FOR VALUES IN ('b');
SELECT nvent.route_add('stream', 'orders:{customer}:>', 'orders');
SELECT s, nvent.stream_append(s, '{"type": "t", "amount": 5}')->'version' AS version FROM unnest('{orders:a:1,orders:b:1,orders:a:1,orders:a:2}'::text[]) s;
SELECT tableoid::regclass AS partition, subject, version FROM orders ORDER BY id;
SELECT nvent.stream_append('orders:a:1', '{"type": "t", "amount": -5}');
SELECT nvent.stream_append('orders:c:1', '{"type": "t", "amount": 5}');
SELECT pg_temp.rec(e) FROM nvent.stream_append_batch('orders:b:1', ARRAY['{"type": "t", "amount": 1}', '{"type": "t", "seen": true, "x": 1}']::jsonb[]) e;

CREATE FUNCTION on_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.type = 'skip' THEN RETURN NULL; END IF;
    IF NEW.type = 'fail' THEN RAISE EXCEPTION 'refused by trigger'; END IF;
    NEW.meta := coalesce(NEW.meta, '{}') || '{"by": "trigger"}';
    NEW.type := upper(NEW.type);
    RETURN NEW;
END $$;
CREATE TRIGGER on_order BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION on_order();
-- The record is what was stored, not what was sent.
SELECT pg_temp.rec(nvent.stream_append('orders:a:t', '{"type": "t", "a": 1}'));
SELECT nvent.stream_append('orders:a:t', '{"type": "fail"}');
\set VERBOSITY default
SELECT nvent.stream_append('orders:a:t', '{"type": "skip"}');
\set VERBOSITY terse
SELECT nvent.stream_append_batch('orders:a:t', ARRAY['{"type": "t"}', '{"type": "skip"}']::jsonb[]);
SELECT pg_temp.rec(e) FROM nvent.stream_read('orders:a:t') e;
-- A trigger that appends elsewhere, to a table that is not there yet, while
-- the first statement runs; and one that routes anew.
CREATE FUNCTION after_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nvent.stream_append(NEW.type || ':audit:' || NEW.customer, jsonb_build_object('type', 'seen', 'order', NEW.id));
    PERFORM nvent.route_add('stream', 'rerouted:' || NEW.id, 'defaulted');
    PERFORM nvent.stream_append('orders:b:nested', '{"type": "nested"}') WHERE NEW.customer = 'a';
    RETURN NULL;
END $$;
CREATE TRIGGER after_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION after_order();
SELECT pg_temp.rec(e) FROM nvent.stream_append_batch('orders:a:n', ARRAY['{"type": "x"}', '{"type": "y"}', '{"type": "x"}']::jsonb[]) e;
SELECT store, type FROM nvent.stream_tables() WHERE type IN ('X', 'Y', 'NESTED');
SELECT count(*) FROM nvent.stream_read('X:audit:a');
SELECT e->'version' AS version FROM nvent.stream_read('orders:b:nested') e;
SELECT count(*) FROM nvent.route WHERE pattern LIKE 'rerouted:%';
DROP TRIGGER after_order ON orders;

-- Row level security: who reads and appends sees what his policies let him.
CREATE ROLE regress_nvs_tenant;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_tenant;
GRANT SELECT, INSERT, DELETE ON orders TO regress_nvs_tenant;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders USING (customer = current_setting('app.customer', true));
SELECT count(*) FROM nvent.stream_read('orders:a:1');
SET ROLE regress_nvs_tenant;
SET app.customer = 'a';
SELECT count(*) FROM nvent.stream_read('orders:a:1');
SELECT count(*) FROM nvent.stream_read('orders:b:1');
SELECT pg_temp.rec(nvent.stream_append('orders:a:1', '{"type": "t"}'));
SELECT nvent.stream_append('orders:b:1', '{"type": "t"}');
SELECT nvent.stream_delete('orders:b:1');
SET app.customer = 'b';
SELECT count(*) FROM nvent.stream_read('orders:a:1');
SELECT count(*) FROM nvent.stream_read('orders:b:1');
RESET ROLE;
SELECT count(*) FROM nvent.stream_read('orders:a:1');
SELECT count(*) FROM nvent.stream_read('orders:b:1');

-- Prepared, in a function, without a search path, inside a cursor.
PREPARE app(text, jsonb) AS SELECT pg_temp.rec(nvent.stream_append($1, $2));
PREPARE rd(text, integer) AS SELECT count(*) FROM nvent.stream_read($1, max_count => $2);
EXECUTE app('p:prep:1', '{"type": "1"}');
EXECUTE rd('p:prep:1', NULL);
ALTER TABLE nvent_stream_p ADD COLUMN colour text;
EXECUTE app('p:prep:1', '{"type": "2", "colour": "red"}');
DROP TABLE nvent_stream_p;
EXECUTE app('p:prep:1', '{"type": "3"}');
SELECT nvent.stream_drop_table('p');
EXECUTE app('p:prep:1', '{"type": "4", "colour": "red"}');
EXECUTE rd('p:prep:1', 1);
SET search_path = '';
EXECUTE rd('p:prep:1', 1);
SELECT nvent.stream_append('prep:path:1', '{"type": "t"}') OPERATOR(pg_catalog.->) 'version' AS version;
RESET search_path;
DEALLOCATE ALL;

-- A record says what was stored, whoever changed it on the way there.  Fails
-- where it takes the parameters for it: without the tests of kept_columns().
CREATE TABLE altered (id bigint PRIMARY KEY DEFAULT nvent.next_position('nvent'), ts bigint NOT NULL, type text NOT NULL,
    item text NOT NULL, price numeric(6, 1), code char(4), name varchar(3), at timestamptz(0), n int DEFAULT 7,
    price_with_tax numeric GENERATED ALWAYS AS (price * 1.2) STORED, data jsonb, meta jsonb);
CREATE TABLE parted (LIKE altered INCLUDING ALL) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.type := upper(NEW.type);
    NEW.data := NEW.data || '{"seen": true}';
    NEW.n := coalesce(NEW.n, 0) + 1;
    RETURN NEW;
END $$;
SELECT nvent.route_add('stream', 'altered:{item}', 'altered') IS NOT NULL AS added;
SELECT nvent.route_add('stream', 'parted:{item}', 'parted') IS NOT NULL AS added;
CREATE TABLE appended (kind text, step text, record jsonb);
PREPARE altered(text) AS INSERT INTO appended
    SELECT v.kind, $1, nvent.stream_append(v.kind || ':1', '{"type": "t", "price": 1.26, "code": "ab", "name": "xyz  ",
        "at": "2026-01-01T00:00:00.7Z", "data": {}, "more": 1}')
    FROM (VALUES ('altered'), ('parted')) AS v (kind);
PREPARE altered_batch(text) AS INSERT INTO appended
    SELECT v.kind, $1, a FROM (VALUES ('altered'), ('parted')) AS v (kind), nvent.stream_append_batch(v.kind || ':1',
        ARRAY['{"type": "u", "price": 2.34}', '{"type": "v", "data": {}, "n": 1}']::jsonb[]) AS a;
EXECUTE altered('no trigger');
EXECUTE altered_batch('no trigger');
CREATE TRIGGER louder BEFORE INSERT ON altered FOR EACH ROW EXECUTE FUNCTION louder();
CREATE TRIGGER louder BEFORE INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION louder();
EXECUTE altered('trigger');
EXECUTE altered_batch('trigger');
DROP TRIGGER louder ON altered;
DROP TRIGGER louder ON parted_1;
EXECUTE altered('without again');
SELECT a.step, a.kind, pg_temp.rec(a.record) AS record, e = a.record AS same
FROM appended AS a LEFT JOIN LATERAL nvent.stream_read(a.record ->> 'subject') AS e ON e -> 'id' = a.record -> 'id'
ORDER BY a.kind, (a.record ->> 'id')::bigint;
DEALLOCATE altered;
DEALLOCATE altered_batch;
DROP TABLE appended;

-- A rule may return more rows than it was given, which is refused.  Crashes
-- where take_row() does not look.
CREATE VIEW doubled AS SELECT id, ts, type, item FROM altered;
CREATE RULE doubled AS ON INSERT TO doubled DO INSTEAD
    INSERT INTO altered (ts, type, item) SELECT NEW.ts, NEW.type, NEW.item FROM generate_series(1, 3)
    RETURNING id, ts, type, item;
ALTER VIEW doubled ALTER id SET DEFAULT nvent.next_position('nvent');
SELECT nvent.route_add('stream', 'doubled:{item}', 'doubled') IS NOT NULL AS added;
SELECT nvent.stream_append('doubled:2', '{"type": "t"}');
SELECT count(*) FROM nvent.stream_read('doubled:2');
DROP VIEW doubled;
-- Letters of a route that printf() would take for its own.
CREATE TABLE percent (LIKE altered INCLUDING ALL);
SELECT nvent.route_add('stream', 'odd%s:%d:{item}', 'percent') IS NOT NULL AS added;
SELECT pg_temp.rec(nvent.stream_append('odd%s:%d:9', '{"type": "t"}'));
SELECT subject, events FROM nvent.stream_stats('odd%s:>', subjects => ARRAY['odd%s:%d:9']);
SELECT e ->> 'subject' AS subject FROM nvent.stream_poll('odd%s:%d:9', 0), unnest(events) AS e;

-- A large payload comes back whole.
SELECT length((r->'data')::text), r->'data' = d AS same
FROM (SELECT to_jsonb(repeat(md5('x'), 40000)) AS d OFFSET 0) x, nvent.stream_append('big:b:1', jsonb_build_object('type', 't', 'data', d)) r;
SELECT length((e->'data')::text) FROM nvent.stream_read('big:b:1') e;
-- So does a deep one; jsonb keeps one of equal keys and no blanks, as it does
-- everywhere.
SELECT e->'data' = (repeat('[', 1000) || repeat(']', 1000))::jsonb AS same
FROM nvent.stream_append('deep:d:1', jsonb_build_object('type', 'deep',
    'data', (repeat('[', 1000) || repeat(']', 1000))::jsonb)) e;
SELECT e->'data' FROM nvent.stream_append('deep:d:1',
    '{"type": "keys", "data": {"b": 1, "a":  2, "b": 3}}') e;

-- The last version is found by the index on versions, also by a session that has
-- seen the table while it had but a few rows, all in one page.
SELECT nvent.stream_create_table('growing');
SELECT nvent.stream_append('growing:1', '{"type": "t"}') ->> 'version' AS version;
ANALYZE nvent_stream_growing;
BEGIN;
SELECT seq_scan AS before FROM pg_stat_xact_user_tables WHERE relname = 'nvent_stream_growing' \gset
SELECT nvent.stream_append('growing:1', '{"type": "t"}') ->> 'version' AS version;
SELECT r->>'subject' AS subject, r->'version' AS version FROM nvent.stream_append_many('[{"subject": "growing:1", "events": [{"type": "t"}]}, {"subject": "growing:2", "events": [{"type": "t"}]}]') r;
SELECT nvent.stream_version('growing:1');
SELECT seq_scan - :before AS seq_scans FROM pg_stat_xact_user_tables WHERE relname = 'nvent_stream_growing';
COMMIT;

-- Whole numbers of a column are in a record what they are in any jsonb, to the
-- byte.
SELECT nvent.stream_create_table('number', versioned => false);
ALTER TABLE nvent_stream_number ADD COLUMN n bigint;
SELECT count(*), count(*) FILTER (WHERE r->>'n' = x::text AND numeric_send((r->'n')::numeric) = numeric_send(x::numeric)
    AND pg_column_size(r->'n') = pg_column_size(to_jsonb(x)) AND jsonb_hash(r->'n') = jsonb_hash(to_jsonb(x))) AS same
FROM (SELECT DISTINCT (s * (10::numeric ^ e) + d)::bigint AS x
      FROM generate_series(0, 18) e, generate_series(-9, 9, 2) s, generate_series(-2, 2) d WHERE abs(s) * 10::numeric ^ e < 9e18
      UNION ALL SELECT unnest('{0,9223372036854775807,-9223372036854775808}'::bigint[])) v,
    nvent.stream_append('number:1', jsonb_build_object('type', 't', 'n', x)) r;

-- ts is the time of the call and may be given; created_at is the
-- transaction's.  Neither is what events are ordered by.
BEGIN;
SELECT (e->>'ts')::bigint >= extract(epoch FROM now()) * 1000 - 1 AS is_now
FROM nvent.stream_append('time:t:1', '{"type": "a"}') e;
SELECT e->'ts' FROM nvent.stream_append('time:t:1', '{"type": "b", "ts": 5}') e;
COMMIT;
SELECT pg_typeof(created_at), count(DISTINCT created_at) FROM nvent_stream_time
WHERE subject = 'time:t:1' GROUP BY 1;
SELECT pg_temp.show(e) FROM nvent.stream_read('time:t:1') e;

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE orders, defaulted, altered, parted, percent;
DROP FUNCTION on_order, after_order, louder;
REVOKE ALL ON SCHEMA nvent FROM regress_nvs_tenant;
DROP ROLE regress_nvs_tenant;
