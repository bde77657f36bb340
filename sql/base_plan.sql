-- What is compiled for a table and no longer valid is freed by the next call
-- that is alone on the stack.  Calls that an error ended are not on it, and
-- those outside of the block that caught the error are.
--
-- Seen to fail with plans that a call prepares when its target has been dropped and
-- that nobody frees.  On a server with assertions, which overwrites what is freed,
-- the last part crashes when a read without a statement is no call.
SELECT nvent.store_create();
CREATE TABLE note (key text PRIMARY KEY, value jsonb, expires_at timestamptz);
SELECT nvent.route_add('kv', 'note:{id}', 'note');
SELECT nvent.kv_set('note:text', '"x"'), nvent.kv_set('note:number', '1');

CREATE FUNCTION contexts() RETURNS bigint LANGUAGE sql
RETURN (SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'nvent\_store%');

CREATE FUNCTION swallow_error() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nvent.kv_increment('note:text', 1);
EXCEPTION WHEN SQLSTATE 'NV007' THEN
    RETURN SQLERRM;
END $$;

-- Each round drops what was compiled in the one before.
CREATE FUNCTION grown(rounds integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    PERFORM nvent.kv_get('note:number');
    before := contexts();
    FOR i IN 1 .. rounds LOOP
        EXECUTE format('ALTER TABLE note SET (fillfactor = %s)', 50 + i);
        PERFORM nvent.kv_get('note:number'), nvent.kv_get('note:number');
    END LOOP;
    RETURN contexts() - before;
END $$;

SELECT grown(20) <= 2 AS freed;
SELECT swallow_error();
BEGIN;
SELECT swallow_error();
SELECT grown(20) <= 2 AS freed;
-- Also of what a savepoint ended, and of an error several calls deep.
SAVEPOINT s;
SELECT nvent.kv_increment('note:text', 1);
ROLLBACK TO s;
SELECT grown(20) <= 2 AS freed;
COMMIT;

-- A call outside of the block goes on: what it uses is kept until it ends.
CREATE TABLE seen (grown bigint);
CREATE FUNCTION drop_routes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    PERFORM nvent.kv_get('note:number');
    before := contexts();
    PERFORM swallow_error();
    FOR i IN 1 .. 5 LOOP
        PERFORM nvent.route_add('kv', 'other:{id}', 'note');
        PERFORM nvent.kv_get('note:number'), nvent.kv_get('note:number');
        PERFORM nvent.route_drop('kv', 'other:{id}');
        PERFORM nvent.kv_get('note:number'), nvent.kv_get('note:number');
    END LOOP;
    INSERT INTO seen VALUES (contexts() - before);
    RETURN NEW;
END $$;
CREATE TRIGGER drop_routes AFTER UPDATE ON note FOR EACH ROW
WHEN (NEW.key = 'note:trigger') EXECUTE FUNCTION drop_routes();
SELECT nvent.kv_set('note:trigger', '1');
BEGIN;
SELECT nvent.kv_increment('note:trigger', 1);
SELECT grown >= 10 AS kept FROM seen;
SELECT contexts() AS before \gset
SELECT nvent.kv_persist('note:number');
SELECT :before - contexts() >= 10 AS freed;
COMMIT;

-- What such a call prepares goes with what it uses, and each plan once: a lock's
-- second statement, and the last of more shapes of an INSERT than are kept.
CREATE FUNCTION plans() RETURNS bigint LANGUAGE sql
RETURN (SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource');
CREATE FUNCTION drop_routes_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.drop', true) = 'on' THEN
        PERFORM nvent.route_add('kv', 'other:{id}', 'note');
        PERFORM nvent.kv_get('note:number'), nvent.kv_get('note:number');
        PERFORM nvent.route_drop('kv', 'other:{id}');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER drop_routes AFTER INSERT ON nvent_locks FOR EACH STATEMENT EXECUTE FUNCTION drop_routes_once();
CREATE FUNCTION more_plans(rounds integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    FOR i IN 1 .. rounds + 2 LOOP
        PERFORM nvent.lock_acquire('lock:' || i, '1 min');
        IF i = 2 THEN
            before := plans();
        END IF;
    END LOOP;
    RETURN plans() - before;
END $$;
SET test.drop = on;
SELECT more_plans(20) < 10 AS freed;
SET test.drop = off;

CREATE TABLE shape (id bigint PRIMARY KEY DEFAULT nvent.next_position('nvent'), ts bigint NOT NULL, type text NOT NULL, subject text NOT NULL, b0 bigint DEFAULT 0, b1 bigint DEFAULT 0, b2 bigint DEFAULT 0, b3 bigint DEFAULT 0, b4 bigint DEFAULT 0, b5 bigint DEFAULT 0, b6 bigint DEFAULT 0, b7 bigint DEFAULT 0, b8 bigint DEFAULT 0);
SELECT nvent.route_add('stream', 'shape:>', 'shape');
CREATE TRIGGER drop_routes AFTER INSERT ON shape FOR EACH STATEMENT EXECUTE FUNCTION drop_routes_once();
CREATE FUNCTION shape(n integer) RETURNS jsonb LANGUAGE sql
RETURN (SELECT jsonb_build_object('type', 't') || COALESCE(jsonb_object_agg('b' || i, n) FILTER (WHERE n >> i & 1 = 1), '{}') FROM generate_series(0, 8) i);
SELECT count(nvent.stream_append('shape:1', shape(n))) FROM generate_series(0, 255) n;
SET test.drop = on;
SELECT plans() AS before \gset
SELECT count(*) FROM nvent.stream_append_batch('shape:1', ARRAY[shape(0), shape(256), shape(257)]);
SELECT nvent.kv_get('note:number');
SELECT :before - plans() > 200 AS freed;
SELECT nvent.kv_get('note:number');

-- A read without a statement is a call as well, where a cast to json is a user's.
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.drop', true) = 'on' THEN
        PERFORM nvent.route_add('kv', 'other:{id}', 'note');
        PERFORM nvent.kv_get('note:number'), nvent.kv_set('note:number', '1');
        PERFORM nvent.route_drop('kv', 'other:{id}');
        PERFORM nvent.kv_get('note:number'), nvent.kv_set('note:number', '1');
    END IF;
    RETURN to_json($1::text);
END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood);
CREATE TABLE felt (key text, id text, score float8, version bigint, mood mood, "before" mood, PRIMARY KEY (key, id));
SELECT nvent.route_add('entry', 'felt:>', 'felt');
SET test.drop = off;
SELECT nvent.entry_add('felt:1', 'x', 1, '{"mood": "glad", "before": "sad"}');
SELECT nvent.entry_get('felt:1', 'x');
SET test.drop = on;
SELECT nvent.entry_get('felt:1', 'x');
SELECT nvent.entry_get('felt:1', 'x');

SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE note, seen, shape, felt;
DROP TYPE mood CASCADE;
DROP FUNCTION contexts(), swallow_error(), grown(integer), drop_routes(), plans(), drop_routes_once(), more_plans(integer), shape(integer);
