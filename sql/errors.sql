-- What callers of stores, routes and streams can do wrong: one line for each
-- kind, with the SQLSTATE that a program tells it by.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create();
CREATE TABLE tries (n serial, statement text);

-- Subjects.
INSERT INTO tries (statement) VALUES
    ($$SELECT nvent.stream_append(NULL, '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append('', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append(repeat('a:', 64) || 'a', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append('a:' || repeat('b', 1023), '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append('a:' || repeat('ä', 512), '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append_batch(NULL, '{}')$$),
    ($$SELECT nvent.stream_append_batch('', '{}')$$),
    ($$SELECT nvent.stream_read(NULL)$$),
    ($$SELECT nvent.stream_read('')$$),
    ($$SELECT nvent.stream_delete('')$$);
SELECT statement, pg_temp.outcome(statement) FROM tries ORDER BY n;
TRUNCATE tries;
-- The longest and the widest that there are.
SELECT octet_length(r->>'subject') AS bytes, r->'version' AS version FROM unnest(ARRAY['a:' || repeat('b', 1022), repeat('a:', 63) || 'a', repeat('ä', 512), repeat('b', 1024)]) s,
    nvent.stream_append(s, '{"type": "t"}') r;

-- Events.
INSERT INTO tries (statement) VALUES
    ($$SELECT nvent.stream_append('a:b', NULL)$$),
    ($$SELECT nvent.stream_append('a:b', '[]')$$),
    ($$SELECT nvent.stream_append('a:b', '"text"')$$),
    ($$SELECT nvent.stream_append('a:b', 'null')$$),
    ($$SELECT nvent.stream_append('a:b', '{}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": null}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": 5}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": ""}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "attempt": "2nd"}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "attempt": 2147483648}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "attempt": -2147483649}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "attempt": 0.5}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "runId": {"a": 1}}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "ts": "yesterday"}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "ts": 1e30}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "ts": [1]}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "runId": "a", "run_id": "b"}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t", "x": 1, "meta": {"x": 2}}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t"}', -1)$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t"}', 7)$$),
    ($$SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}', 7)$$),
    ($$SELECT nvent.stream_append_batch('a:b', NULL)$$),
    ($$SELECT nvent.stream_append_batch('a:b', '{NULL}')$$),
    ($$SELECT nvent.stream_append_batch('a:b', array_fill('{}'::jsonb, '{65537}'))$$),
    ($$SELECT nvent.stream_read('a:b', max_count => -1)$$),
    ($$SELECT nvent.stream_append('nvent:flow:run:1', jsonb_build_object('type', string_agg(md5(n::text), ''))) FROM generate_series(1, 500) n$$);
SELECT statement, pg_temp.outcome(statement) FROM tries ORDER BY n;
TRUNCATE tries;

-- Where it should go.
CREATE TABLE gone (id bigint DEFAULT nvent.next_position('nvent'), ts bigint, type text, subject text);
CREATE TABLE no_default (LIKE gone INCLUDING ALL);
CREATE TABLE another (LIKE gone INCLUDING ALL);
ALTER TABLE no_default ADD PRIMARY KEY (id);
SELECT nvent.route_add('stream', 'gone:>', 'gone'), nvent.route_add('stream', 'nodef:>', 'no_default');
ALTER TABLE no_default ALTER id DROP DEFAULT;
DROP TABLE gone;
INSERT INTO tries (statement) VALUES
    ($$SELECT nvent.stream_append('gone:1', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_read('gone:1')$$),
    ($$SELECT nvent.stream_append('nodef:1', '{"type": "t", "ts": 0}')$$),
    ($$SELECT nvent.stream_append('nodef:1', '{"type": "t", "more": 1}')$$),
    ($$SELECT nvent.route_add('stream', 'gone:>', 'another')$$),
    ($$SELECT nvent.route_add('stream', 'x:>', 'pg_class')$$),
    ($$SELECT nvent.route_add('stream', 'x:>:y', 'no_default')$$),
    ($$SELECT nvent.route_add('queue', 'x:>', 'no_default')$$),
    ($$SELECT nvent.store_create('nvent', 'elsewhere')$$),
    ($$SELECT nvent.store_create('a:b')$$),
    ($$SELECT nvent.store_adopt('none')$$),
    ($$SELECT nvent.store_migrate('none')$$),
    ($$SELECT nvent.store_migrate('nvent', 1)$$);
SELECT statement, pg_temp.outcome(statement) FROM tries ORDER BY n;
TRUNCATE tries;
SET nvent_store.max_stream_tables = 1;
SELECT pg_temp.outcome($$SELECT nvent.stream_append('new:a', '{"type": "t"}')$$);
RESET nvent_store.max_stream_tables;
SET nvent_store.max_stream_tables = -1;
SET nvent_store.notify = 'loud';
SET nvent_store.nothing = 1;

-- Without the right: on the schema, on a table, on a store, on a setting; and
-- where nothing may be written.
SELECT nvent.stream_append('a:b', '{"type": "t"}')->'version' AS version;
CREATE ROLE regress_nvs_nobody;
GRANT SELECT ON tries TO regress_nvs_nobody;
INSERT INTO tries (statement) VALUES
    ($$SELECT nvent.stream_read('nvent:flow:run:1')$$),
    ($$SELECT nvent.stream_append('nvent:flow:run:1', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append('a:b', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_append('new:a', '{"type": "t"}')$$),
    ($$SELECT nvent.stream_delete('a:b')$$),
    ($$SELECT nvent.store_create('own', 'public')$$),
    ($$SELECT nvent.store_migrate('nvent')$$),
    ($$SELECT nvent.route_add('stream', 'x:>', 'tries')$$),
    ($$SET nvent_store.max_stream_tables = 1$$);
SET ROLE regress_nvs_nobody;
SELECT pg_temp.outcome(statement) FROM tries ORDER BY n LIMIT 1;
RESET ROLE;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_nobody;
SET ROLE regress_nvs_nobody;
SELECT statement, pg_temp.outcome(statement) FROM tries ORDER BY n;
RESET ROLE;
BEGIN READ ONLY;
SELECT statement, pg_temp.outcome(statement) FROM tries WHERE statement !~ 'SET' ORDER BY n;
ROLLBACK;
-- None of this left anything behind.
SELECT left(type, 10) AS type FROM nvent.stream_tables();
SELECT count(*) FROM nvent.stream_read('a:b');

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE tries, no_default, another;
REVOKE ALL ON SCHEMA nvent FROM regress_nvs_nobody;
DROP ROLE regress_nvs_nobody;
