-- From a subject or key to the relation that holds it: which pattern wins, what
-- captures fill, what a table must have, and changes that hold from the next
-- statement on, in triggers and functions too.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create();
SELECT nvent.store_create('shop', 'shop');
CREATE TABLE log (
    id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint NOT NULL,
    type text NOT NULL, subject text NOT NULL, a text, b text, c text, meta jsonb
);

-- Where things live by default.
SELECT t AS kind, left(s, 25) AS subject, store, pattern, relation, keys, notify
FROM (VALUES ('stream', 'nvent:flow:run:abc'), ('stream', 'nvent:flow:run:a:b:c'), ('stream', 'nvent:flow:run'),
    ('stream', 'nvent:trigger:event:t'), ('stream', 'shop:flow:run:abc'), ('stream', 'other:flow:run:abc'),
    ('entry', 'nvent:flow:runs:f'), ('entry', 'nvent:flow:runs:f:g'), ('entry', 'nvent:flow:runs'), ('entry', 'nvent:flows'),
    ('entry', 'nvent:triggers'), ('entry', 'nvent:scheduler:jobs'), ('entry', 'shop:flows'), ('entry', 'orders:open'),
    ('kv', 'nvent:lock:x'), ('kv', 'shop:x'), ('kv', 'anything'), ('kv', ''), ('kv', '::'), ('kv', repeat('k:', 5000))) v (t, s)
LEFT JOIN LATERAL nvent.route_resolve(t, s) ON true;

-- The most specific pattern wins: literal before capture before wildcard,
-- one token before the rest, longer before shorter.
SELECT count(nvent.route_add('stream', p, 'log')) FROM unnest(ARRAY[
    'nvent:p:a:b', 'nvent:p:a:{b}', 'nvent:p:a:*', 'nvent:p:a:{b...}', 'nvent:p:a:>',
    'nvent:p:{a}:b', 'nvent:p:*:b', 'nvent:p:{a}:{b}:{c}', 'nvent:p:*:*:*', 'nvent:p:{c...}', 'nvent:p:**',
    'nvent:p:a', 'nvent:p:a:b:c:d', 'nvent:p:a:b:c:>', '*:p:x', '{a}:q:>']) p;
SELECT s AS subject, pattern, keys - 'subject' AS captured
FROM unnest(ARRAY['nvent:p:a:b', 'nvent:p:a:x', 'nvent:p:x:b', 'nvent:p:x:y', 'nvent:p:a', 'nvent:p:x',
    'nvent:p:a:x:y', 'nvent:p:x:y:z', 'nvent:p:a:b:c', 'nvent:p:a:b:c:d', 'nvent:p:a:b:c:e', 'nvent:p:a:b:c:d:e',
    'nvent:p:w:x:y:z', 'nvent:p', 'nvent:P:a:b', 'nvent:p:x', 'other:p:x', 'other:q:r', 'shop:p:x', 'shop:q:r']) WITH ORDINALITY u (s, n)
LEFT JOIN LATERAL nvent.route_resolve('stream', s) ON true ORDER BY n;
-- Taking the winner away gives the next one.
SELECT pattern AS winner, nvent.route_drop('stream', pattern) AS dropped
FROM generate_series(1, 9) n, LATERAL (SELECT pattern FROM nvent.route_resolve('stream', left('nvent:p:a:b' || n, 11))) r;
SELECT * FROM nvent.route_resolve('stream', 'nvent:p:a:b');

-- Captures fill their columns, in what is written and in what is found.
SELECT nvent.route_add('stream', 'nvent:cap:{a}:{b}:{c...}', 'log');
SELECT nvent.stream_append('nvent:cap:1:2:3:4', '{"type": "t"}') - 'id' - 'ts';
SELECT nvent.stream_append('nvent:cap:1:2:3', '{"type": "t"}') - 'id' - 'ts';
SELECT count(*) FROM nvent.stream_read('nvent:cap:1:2:3:4');
-- Without a column subject they are what tells subjects apart.
CREATE TABLE events (
    id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint NOT NULL,
    type text NOT NULL, tenant text, "Order No" text, order_no uuid, kind varchar(10), version bigint, amount numeric
);
SELECT nvent.route_add('stream', 'ev:{tenant}:{order_no}', 'events');
SELECT nvent.stream_append(s, '{"type": "t", "amount": 1.50}') - 'id' - 'ts' FROM unnest(ARRAY[
    'ev:a:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ev:b:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    'ev:a:A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']) s;
SELECT e - 'id' - 'ts' FROM nvent.stream_read('ev:a:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') e;
SELECT nvent.stream_append('ev:a:not-a-uuid', '{"type": "t"}');
SELECT nvent.stream_read('ev:a:not-a-uuid');
SELECT keys FROM nvent.route_resolve('stream', 'ev:a:not-a-uuid');
SELECT nvent.stream_delete('ev:a:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT tenant, version FROM events;

-- Equal patterns are refused, whatever their captures' names; in another kind
-- the same pattern is another.
\set VERBOSITY default
SELECT nvent.route_add('stream', 'nvent:cap:{a}:{c}:{b...}', 'log');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:flow:run:{a...}', 'log');
SELECT nvent.route_add('stream', 'nvent:same:*', 'log'), nvent.route_add('stream', 'nvent:same:{a}', 'log'),
    nvent.route_add('stream', 'nvent:same:>', 'log');
SELECT nvent.route_add('stream', 'nvent:same:**', 'log');
-- A pattern is dropped under any name of its captures.
SELECT nvent.route_drop('stream', 'nvent:cap:{x}:{y}:{z...}'), nvent.route_drop('stream', 'nvent:cap:{x}:{y}:{z...}');
SELECT nvent.route_drop('entry', 'nvent:same:*');

-- A pattern belongs to the store of its first token, or to the default one.
CREATE TABLE shop_log (LIKE log INCLUDING ALL);
SELECT nvent.route_add('stream', 'shop:x:>', 'shop_log', store => 'shop');
ALTER TABLE shop_log ALTER id SET DEFAULT nvent.next_position('shop');
SELECT nvent.route_add('stream', 'shop:x:>', 'shop_log', store => 'shop');
SELECT nvent.route_add('stream', 'free:x:>', 'log', store => 'nvent');
\set VERBOSITY default
SELECT nvent.route_add('stream', 'shop:y:>', 'log', store => 'nvent');
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', store => 'missing');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', store => 'shop');
SELECT nvent.route_add('stream', '*:y:>', 'log', store => 'shop');
SELECT nvent.route_drop('stream', 'shop:x:>', 'nvent');
SELECT nvent.route_drop('stream', 'shop:x:>', 'shop'), nvent.route_drop('stream', 'free:x:>');
DROP TABLE shop_log;

-- A table must have what its kind needs.
CREATE TABLE lacking (a text);
SELECT nvent.route_add(t, 'nvent:l:>', 'lacking') FROM (VALUES ('stream')) v (t);
SELECT nvent.route_add('entry', 'nvent:l', 'lacking');
SELECT nvent.route_add('kv', 'nvent:l', 'lacking');
ALTER TABLE lacking ADD id integer, ADD ts timestamptz, ADD type varchar;
\set VERBOSITY default
SELECT nvent.route_add('stream', 'nvent:l:>', 'lacking');
\set VERBOSITY terse
ALTER TABLE lacking ALTER id TYPE bigint;
SELECT nvent.route_add('stream', 'nvent:l:>', 'lacking');
ALTER TABLE lacking DROP ts, ADD ts bigint;
SELECT nvent.route_add('stream', 'nvent:l:>', 'lacking');
ALTER TABLE lacking ALTER type TYPE text;
\set VERBOSITY default
SELECT nvent.route_add('stream', 'nvent:l:>', 'lacking');
SELECT nvent.route_add('stream', 'nvent:l:{b}', 'lacking');
SELECT nvent.route_add('stream', 'nvent:l:{ts}', 'lacking');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:l:{a}:*', 'lacking');
-- Readers rely on how ids are drawn.
\set VERBOSITY default
SELECT nvent.route_add('stream', 'nvent:l:{a}', 'lacking');
\set VERBOSITY terse
ALTER TABLE lacking ALTER id SET DEFAULT nextval('nvent.position_seq');
SELECT nvent.route_add('stream', 'nvent:l:{a}', 'lacking');
ALTER TABLE lacking ALTER id SET DEFAULT nvent.next_position('nvent') + 1;
SELECT nvent.route_add('stream', 'nvent:l:{a}', 'lacking');
ALTER TABLE lacking ALTER id SET DEFAULT nvent.next_position('nvent');
SELECT nvent.route_add('stream', 'nvent:l:{a}', 'lacking');
-- Two patterns share no rows of one table.
\set VERBOSITY default
SELECT nvent.route_add('stream', 'nvent:m:{a}', 'lacking');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:flow:archive:{run_id...}', 'nvent_flow_events');
SELECT nvent.route_add('entry', 'nvent:more:flows', 'nvent_flows');
SELECT nvent.route_add('stream', 'nvent:l:{x}', 'lacking');
SELECT nvent.route_drop('stream', 'nvent:l:{a}');
SELECT nvent.route_add('stream', 'nvent:m:{a}', 'lacking'), nvent.route_drop('stream', 'nvent:m:{a}');

-- Anything that has columns will do: a view, a partitioned or foreign table;
-- not an index, not what is gone or temporary.
CREATE VIEW recent AS SELECT * FROM log;
ALTER VIEW recent ALTER id SET DEFAULT nvent.next_position('nvent');
SELECT nvent.route_add('stream', 'nvent:view:>', 'recent');
SELECT nvent.stream_append('nvent:view:1', '{"type": "t"}') - 'id' - 'ts';
SELECT e - 'id' - 'ts' FROM nvent.stream_read('nvent:view:1') e;
-- What is said of an index depends on the version.
\set VERBOSITY sqlstate
SELECT nvent.route_add('stream', 'nvent:y:>', 'log_pkey');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:y:>', 'no_table');
SELECT nvent.route_add('stream', 'nvent:y:>', 999999);
SELECT nvent.route_add('stream', 'nvent:y:>', 0);
CREATE TEMP TABLE temporary (LIKE log INCLUDING ALL);
DO $$ BEGIN
    PERFORM nvent.route_add('stream', 'nvent:y:>', 'temporary');
EXCEPTION WHEN invalid_table_definition THEN
    RAISE WARNING '%', regexp_replace(sqlerrm, 'pg_temp_\d+', 'pg_temp');
END $$;

-- Wrong arguments.
SELECT nvent.route_add('streams', 'nvent:y:>', 'log');
\set VERBOSITY default
SELECT nvent.route_add('lock', 'nvent:y:>', 'log');
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', notify => 'loud');
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', '[]');
\set VERBOSITY terse
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', '5');
SELECT nvent.route_add(NULL, 'nvent:y:>', 'log');
SELECT nvent.route_add('stream', NULL, 'log');
SELECT nvent.route_add('stream', 'nvent:y:>', NULL);
SELECT nvent.route_add('stream', 'nvent:y:>', 'log', NULL);
SELECT nvent.route_drop(NULL, 'nvent:y:>');
SELECT nvent.route_drop('stream', NULL);
SELECT nvent.route_drop('lock', 'nvent:y:>');
SELECT nvent.route_resolve(NULL, 'x');
SELECT nvent.route_resolve('stream', NULL);
SELECT nvent.route_resolve('lock', 'x');
SELECT nvent.route_resolve('stream', '');
SELECT nvent.route_resolve('stream', repeat(':', 64));
SELECT nvent.route_add('stream', '', 'log');
SELECT nvent.route_add('stream', 'a:>:b', 'log');
SELECT nvent.route_add('stream', 'a:{b', 'log');
SELECT nvent.route_add('stream', 'a:{b}:{b}', 'log');
SELECT nvent.route_add('stream', 'a:{b c}', 'log');
SELECT nvent.route_add('stream', repeat('a:', 64) || 'a', 'log');
SELECT nvent.route_add('stream', repeat('a', 1025), 'log');
SELECT nvent.route_drop('stream', 'a:>:b');
BEGIN READ ONLY;
SELECT nvent.route_add('stream', 'nvent:y:>', 'log');
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.route_drop('stream', 'nvent:view:>');
ROLLBACK;

-- Announcing is per route; without a word the setting decides.
SELECT nvent.route_add('stream', 'nvent:n:quiet:>', 'log', notify => 'off'), nvent.route_add('stream', 'nvent:n:loud:>', 'log', notify => 'inline'),
    nvent.route_add('stream', 'nvent:n:any:>', 'log');
SELECT s, notify FROM unnest('{quiet,loud,any}'::text[]) s, nvent.route_resolve('stream', 'nvent:n:' || s || ':x');
SET nvent_store.notify = off;
SELECT s, notify FROM unnest('{quiet,loud,any}'::text[]) s, nvent.route_resolve('stream', 'nvent:n:' || s || ':x');
RESET nvent_store.notify;

-- What was routed and undone was never there, nor is it remembered.
BEGIN;
SELECT nvent.route_add('stream', 'nvent:undo:>', 'log');
SELECT relation FROM nvent.route_resolve('stream', 'nvent:undo:1');
SAVEPOINT s;
SELECT nvent.route_drop('stream', 'nvent:undo:>');
SELECT relation FROM nvent.route_resolve('stream', 'nvent:undo:1');
SELECT nvent.stream_append('nvent:undo:1', '{"type": "t"}')->'version' AS version;
SELECT relation FROM nvent.route_resolve('stream', 'nvent:undo:1');
ROLLBACK TO s;
SELECT relation FROM nvent.route_resolve('stream', 'nvent:undo:1');
ROLLBACK;
SELECT relation FROM nvent.route_resolve('stream', 'nvent:undo:1');
SELECT nvent.stream_append('nvent:undo:1', '{"type": "t"}')->'version' AS version;
-- A table that comes with its route and goes with it.
BEGIN;
CREATE TABLE passing (LIKE log INCLUDING ALL);
SELECT nvent.route_add('stream', 'nvent:passing:>', 'passing');
SELECT nvent.stream_append('nvent:passing:1', '{"type": "t"}')->'type' AS type;
ROLLBACK;
SELECT nvent.stream_read('nvent:passing:1');
-- A statement inside a function sees a route that one before it added.
CREATE FUNCTION reroute() RETURNS SETOF regclass LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT relation FROM nvent.route_resolve('stream', 'nvent:re:1');
    PERFORM nvent.route_add('stream', 'nvent:re:>', 'log');
    RETURN QUERY SELECT relation FROM nvent.route_resolve('stream', 'nvent:re:1');
    BEGIN
        PERFORM nvent.route_add('stream', 'nvent:re:1', 'recent');
        RETURN QUERY SELECT relation FROM nvent.route_resolve('stream', 'nvent:re:1');
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
        RETURN QUERY SELECT relation FROM nvent.route_resolve('stream', 'nvent:re:1');
    END;
    PERFORM nvent.route_drop('stream', 'nvent:re:>');
    RETURN QUERY SELECT relation FROM nvent.route_resolve('stream', 'nvent:re:1');
END $$;
SELECT * FROM reroute();
-- By hand, a superuser may do what the functions do.
UPDATE nvent.route SET table_name = 'recent' WHERE pattern = 'nvent:n:any:>';
SELECT relation FROM nvent.route_resolve('stream', 'nvent:n:any:x');

-- A table that is dropped, renamed, moved; the route is to a name.
CREATE TABLE fleeting (LIKE log INCLUDING ALL);
SELECT nvent.route_add('stream', 'nvent:fl:>', 'fleeting');
SELECT nvent.stream_append('nvent:fl:1', '{"type": "t"}')->'type' AS type;
ALTER TABLE fleeting RENAME TO renamed;
SELECT nvent.stream_append('nvent:fl:1', '{"type": "t"}');
CREATE TABLE fleeting (LIKE log INCLUDING ALL);
SELECT nvent.stream_append('nvent:fl:1', '{"type": "t"}')->'type' AS type;
DROP TABLE fleeting;
SELECT nvent.stream_read('nvent:fl:1');
ALTER TABLE renamed RENAME TO fleeting;
SELECT count(*) FROM nvent.stream_read('nvent:fl:1');
ALTER TABLE fleeting SET SCHEMA shop;
SELECT nvent.stream_read('nvent:fl:1');
ALTER TABLE shop.fleeting SET SCHEMA public;
ALTER TABLE fleeting ALTER type TYPE varchar;
SELECT nvent.stream_read('nvent:fl:1');
DROP TABLE fleeting;
-- One that is gone does not keep others from being made, nor from being read.
SELECT cardinality(events) > 0 AS polled FROM nvent.stream_poll('nvent:>', 0);
SELECT nvent.stream_append('nvent:newtype:1', '{"type": "t"}')->'version' AS version;
SELECT nvent.route_drop('stream', 'nvent:fl:>');

-- Generic stream tables: by the type; as many as the setting allows.
SELECT nvent.stream_create_table('plain', false), nvent.stream_create_table('plain', true);
SELECT nvent.stream_create_table('made', store => 'shop');
SELECT * FROM nvent.stream_tables('shop');
SELECT type, versioned FROM nvent.stream_tables();
SELECT count(*) FROM nvent.stream_tables('missing');
SELECT nvent.stream_create_table('x', store => 'missing');
SELECT nvent.stream_drop_table('x', store => 'missing');
SELECT nvent.stream_create_table('a:b');
SELECT nvent.stream_create_table(repeat('a', 1025));
SELECT nvent.stream_create_table(NULL);
SELECT nvent.stream_create_table('x', NULL);
SELECT nvent.stream_drop_table(NULL);
BEGIN READ ONLY;
SELECT nvent.stream_create_table('x');
ROLLBACK;
BEGIN READ ONLY;
SELECT nvent.stream_drop_table('plain');
ROLLBACK;
SET nvent_store.max_stream_tables = 2;
SELECT nvent.stream_append('shop:second:1', '{"type": "t"}')->'version' AS version;
\set VERBOSITY default
SELECT nvent.stream_append('shop:third:1', '{"type": "t"}');
\set VERBOSITY terse
SELECT nvent.stream_drop_table('made', 'shop'), nvent.stream_drop_table('made', 'shop');
SELECT nvent.stream_append('shop:third:1', '{"type": "t"}')->'version' AS version;
RESET nvent_store.max_stream_tables;
-- Dropped by hand, it is missed, until it is dropped for us too.
DROP TABLE shop.shop_stream_third;
\set VERBOSITY default
SELECT nvent.stream_append('shop:third:1', '{"type": "t"}');
\set VERBOSITY terse
SELECT * FROM nvent.stream_tables('shop');
SELECT nvent.stream_drop_table('third', 'shop');
SELECT nvent.stream_append('shop:third:1', '{"type": "t"}')->'version' AS version;
DROP TABLE shop.shop_stream_third;
SELECT nvent.stream_create_table('third', store => 'shop');
-- A table of that name that is somebody else's is not taken.
CREATE TABLE shop.shop_stream_mine (a integer);
SELECT nvent.stream_append('shop:mine:1', '{"type": "t"}');
-- What others depend on is not dropped.
CREATE VIEW dependent AS SELECT * FROM shop.shop_stream_second;
SELECT nvent.stream_drop_table('second', 'shop');
SELECT nvent.stream_append('shop:second:1', '{"type": "t"}')->'version' AS version;

-- Ten thousand routes: each subject finds its own.
INSERT INTO nvent.route (store, kind, pattern, shape, schema_name, table_name)
SELECT 'nvent', 'stream', p, p, 'public', CASE WHEN n % 2 = 0 THEN 'log' ELSE 'recent' END
FROM generate_series(1, 10000) n, LATERAL (SELECT format('nvent:many:%s:*:%s', n % 100, n) p) x;
SELECT count(*) FROM generate_series(1, 10000) n, nvent.route_resolve('stream', format('nvent:many:%s:x:%s', n % 100, n)) r
WHERE r.pattern = format('nvent:many:%s:*:%s', n % 100, n)
    AND r.relation = CASE WHEN n % 2 = 0 THEN 'log'::regclass ELSE 'recent' END;
SELECT count(*) FROM nvent.route_resolve('stream', 'nvent:many:1:x:2');
SELECT count(nvent.route_add('stream', format('nvent:more:%s:>', n), 'log')) FROM generate_series(1, 200) n;
SELECT pattern FROM nvent.route_resolve('stream', 'nvent:more:200:x');
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
SELECT count(*) FROM nvent.route_resolve('stream', 'nvent:more:200:x');

DROP VIEW recent, dependent;
SELECT nvent.store_migrate('shop', 0) > 0 AS dropped;
DROP TABLE log, events, lacking, temporary;
DROP FUNCTION reroute;
DROP SCHEMA shop CASCADE;
