-- One bounded pass: what has expired is removed, and nothing else; in all
-- stores or one, found by an index, as the caller and without code of others.
\pset null NULL

-- Without a store there is nothing to do.
SELECT nvent.maintain();

SELECT nvent.store_create(), nvent.store_create('shop');

-- Expired keys go, oldest first and no more than the budget.
SELECT nvent.kv_mset((SELECT jsonb_object_agg(i, i) FROM generate_series(1, 100) i), ttl => '1 day');
UPDATE nvent_kv SET expires_at = now() - key::integer * interval '1 hour' - interval '1 second' WHERE key::integer <= 60;
SELECT nvent.kv_mset('{"for ever": 1}');
SELECT nvent.maintain(budget => 0), nvent.maintain(budget => 10);
SELECT count(*), min(key::integer) AS newest, max(key::integer) AS oldest FROM nvent_kv WHERE expires_at < now();
SELECT nvent.maintain(budget => 20), nvent.maintain(), nvent.maintain();
SELECT count(*), count(*) FILTER (WHERE expires_at > now()) AS live, count(*) FILTER (WHERE expires_at IS NULL) AS for_ever FROM nvent_kv;

-- Keys of the present hour that are live do not hide those that expired.
UPDATE nvent_kv SET expires_at = now() + interval '1 minute' WHERE expires_at IS NOT NULL;
INSERT INTO nvent_kv (key, value, expires_at) SELECT 'gone:' || i, '1', now() - interval '1 microsecond' FROM generate_series(1, 3) i;
SELECT nvent.maintain();

-- Locks that were released or ran out go too, those that are held stay.
SELECT nvent.lock_acquire('released', '1 hour') AS token \gset
SELECT nvent.lock_release('released', :token), nvent.lock_acquire('ran out', '1 microsecond') > 0 AS acquired, nvent.lock_acquire('held', '1 hour') > 0 AS acquired;
SELECT nvent.maintain();
SELECT name FROM nvent_locks ORDER BY name;
-- A lock that was removed is free, and its next token is greater still.
SELECT nvent.lock_acquire('released', '1 hour') > :token AS greater;

-- All stores by default, or one; a budget is shared out among the tables.
SELECT nvent.kv_clear('*') > 0 AS cleared;
CREATE FUNCTION pg_temp.expired(store text, n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %s (key, value, expires_at) '
                   'SELECT %L || i, ''1'', now() - interval ''1 day'' FROM generate_series(1, $1) i',
                   (store || '_kv')::regclass, store || ':') USING n;
END $$;
SELECT pg_temp.expired('nvent', 100), pg_temp.expired('shop', 100);
SELECT nvent.maintain(budget => 40, store => 'shop');
SELECT (SELECT count(*) FROM nvent_kv) AS nvent, (SELECT count(*) FROM shop_kv) AS shop;
SELECT nvent.maintain(budget => 60);
SELECT (SELECT count(*) FROM nvent_kv) BETWEEN 1 AND 99 AS nvent, (SELECT count(*) FROM shop_kv) BETWEEN 1 AND 59 AS shop;
SELECT nvent.maintain();
SELECT (SELECT count(*) FROM nvent_kv) AS nvent, (SELECT count(*) FROM shop_kv) AS shop;

-- More than one statement's worth.
SELECT pg_temp.expired('shop', 12000);
SELECT nvent.maintain(budget => 11000), nvent.maintain(budget => 11000);

-- A table of a user's, which has no buckets of hours, and one that is gone.
CREATE TABLE sessions (key text PRIMARY KEY, value jsonb, expires_at timestamptz);
CREATE TABLE vanishing (LIKE sessions INCLUDING ALL);
SELECT nvent.route_add('kv', 'session:{id}', 'sessions'), nvent.route_add('kv', 'vanishing:{id}', 'vanishing');
DROP TABLE vanishing;
INSERT INTO sessions SELECT 'session:' || i, '1', now() + (i - 5) * interval '1 minute' FROM generate_series(1, 10) i;
SELECT nvent.maintain(budget => 3), nvent.maintain();
SELECT count(*) FROM sessions;

-- A pass goes to the rows by the index on buckets.
SELECT pg_temp.expired('nvent', 20);
INSERT INTO nvent_kv (key, value, expires_at)
SELECT 'live:' || i, '1', CASE WHEN i % 2 = 0 THEN now() + interval '1 day' END FROM generate_series(1, 20000) i;
VACUUM ANALYZE nvent_kv;
BEGIN;
SELECT seq_scan AS scans_0, idx_tup_fetch AS fetched_0 FROM pg_stat_xact_user_tables WHERE relname = 'nvent_kv' \gset
SELECT nvent.maintain(store => 'nvent');
SELECT seq_scan - :scans_0 AS scans, idx_tup_fetch - :fetched_0 < 100 AS few_rows FROM pg_stat_xact_user_tables WHERE relname = 'nvent_kv';
COMMIT;

-- It leaves alone what its caller may not delete.
SELECT pg_temp.expired('nvent', 5), pg_temp.expired('shop', 5);
CREATE ROLE regress_sweeper;
GRANT USAGE ON SCHEMA nvent TO regress_sweeper;
GRANT EXECUTE ON FUNCTION nvent.maintain TO regress_sweeper;
GRANT SELECT, UPDATE, DELETE ON shop_kv TO regress_sweeper;
GRANT SELECT, DELETE ON nvent_kv TO regress_sweeper;
SET ROLE regress_sweeper;
SELECT nvent.maintain();
RESET ROLE;
SELECT (SELECT count(*) FROM nvent_kv WHERE expires_at < now()) AS nvent, (SELECT count(*) FROM shop_kv) AS shop;
SELECT nvent.maintain();

-- It works as its caller, and runs no code of those who lack the caller's
-- rights.  Mallory may have triggers and foreign keys on a
-- superuser's table.
CREATE ROLE regress_mallory;
GRANT USAGE ON SCHEMA nvent TO regress_mallory;
GRANT EXECUTE ON FUNCTION nvent.store_create TO regress_mallory;
GRANT TRIGGER, REFERENCES ON shop_kv TO regress_mallory;
CREATE SCHEMA mallory AUTHORIZATION regress_mallory;
SET ROLE regress_mallory;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE TABLE mallory.ran (who text);
GRANT ALL ON mallory.ran TO PUBLIC;
CREATE FUNCTION mallory.climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mallory.ran VALUES (CASE current_user WHEN 'regress_mallory' THEN 'mallory' ELSE 'somebody else' END);
    BEGIN
        EXECUTE 'ALTER ROLE regress_mallory SUPERUSER';
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
    RETURN OLD;
END $$;
RESET ROLE;
SELECT pg_temp.expired('shop', 5);
\set VERBOSITY terse
-- Calls by a superuser, and by a role that has no more than the rights on the table.
CREATE FUNCTION pg_temp.sweep(store text) RETURNS TABLE (superuser bigint, sweeper bigint, climbed boolean, ran bigint, mallory_is_superuser boolean)
LANGUAGE plpgsql AS $$
BEGIN
    superuser := nvent.maintain(1, store);
    SET LOCAL ROLE regress_sweeper;
    sweeper := nvent.maintain(1, store);
    RESET ROLE;
    SELECT count(*) FILTER (WHERE who <> 'mallory') > 0, count(*) FROM mallory.ran INTO climbed, ran;
    SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_mallory' INTO mallory_is_superuser;
    ALTER ROLE regress_mallory NOSUPERUSER;
    DELETE FROM mallory.ran;
    RETURN NEXT;
END $$;
-- A trigger of his.
SET ROLE regress_mallory;
CREATE TRIGGER climb BEFORE DELETE ON shop_kv FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
SELECT * FROM pg_temp.sweep('shop');
DROP TRIGGER climb ON shop_kv;
-- At the end of the transaction.
SET ROLE regress_mallory;
CREATE CONSTRAINT TRIGGER climb AFTER DELETE ON shop_kv DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
SELECT * FROM pg_temp.sweep('shop');
DROP TRIGGER climb ON shop_kv;
-- A function of PostgreSQL's, and a condition of his, or arguments.
SET ROLE regress_mallory;
CREATE TRIGGER climb BEFORE DELETE ON shop_kv FOR EACH ROW
    WHEN (query_to_xml($$INSERT INTO mallory.ran VALUES ('somebody else')$$, true, true, '') IS NULL) EXECUTE FUNCTION suppress_redundant_updates_trigger();
RESET ROLE;
SELECT * FROM pg_temp.sweep('shop');
DROP TRIGGER climb ON shop_kv;
CREATE FUNCTION run_argument() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE tg_argv[0]; RETURN OLD; END $$;
SET ROLE regress_mallory;
CREATE TRIGGER climb BEFORE DELETE ON shop_kv FOR EACH STATEMENT EXECUTE FUNCTION run_argument($$INSERT INTO mallory.ran VALUES ('somebody else')$$);
RESET ROLE;
SELECT * FROM pg_temp.sweep('shop');
DROP TRIGGER climb ON shop_kv;
DROP FUNCTION run_argument;
-- A table of his that follows, whose trigger runs after the deletion.
SET ROLE regress_mallory;
CREATE TABLE mallory.follower (key text REFERENCES shop_kv ON DELETE CASCADE);
CREATE TRIGGER climb AFTER DELETE ON mallory.follower FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
INSERT INTO mallory.follower SELECT key FROM shop_kv;
SELECT * FROM pg_temp.sweep('shop');
DROP TABLE mallory.follower;
-- What does not run when rows are deleted is in nobody's way.
SET ROLE regress_mallory;
CREATE TRIGGER climb BEFORE INSERT OR UPDATE ON shop_kv FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
SELECT * FROM pg_temp.sweep('shop');
DROP TRIGGER climb ON shop_kv;

-- In a store of his own he may do anything, and does it as himself.
SET ROLE regress_mallory;
SELECT nvent.store_create('evil', 'mallory');
GRANT SELECT, UPDATE, DELETE ON mallory.evil_kv TO regress_sweeper;
CREATE FUNCTION mallory.look(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE DOMAIN mallory.dom AS text CHECK (mallory.look(VALUE));
CREATE OPERATOR mallory.~~~~ (FUNCTION = mallory.look, RIGHTARG = text);
SELECT pg_temp.expired('mallory.evil', 9);
CREATE TRIGGER climb BEFORE DELETE ON mallory.evil_kv FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
SET ROLE regress_mallory;
SELECT nvent.maintain(1, 'evil');
SELECT * FROM mallory.ran;
DELETE FROM mallory.ran;
DROP TRIGGER climb ON mallory.evil_kv;
CREATE RULE climb AS ON DELETE TO mallory.evil_kv DO ALSO SELECT mallory.look(OLD.key);
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP RULE climb ON mallory.evil_kv;
SET ROLE regress_mallory;
CREATE POLICY climb ON mallory.evil_kv USING (true);
ALTER TABLE mallory.evil_kv ENABLE ROW LEVEL SECURITY;
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP POLICY climb ON mallory.evil_kv;
ALTER TABLE mallory.evil_kv DISABLE ROW LEVEL SECURITY;
SET ROLE regress_mallory;
CREATE INDEX climb ON mallory.evil_kv (key) WHERE mallory.look(''::text);
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP INDEX mallory.climb;
SET ROLE regress_mallory;
CREATE INDEX climb ON mallory.evil_kv ((key::mallory.dom));
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP INDEX mallory.climb;
SET ROLE regress_mallory;
ALTER TABLE mallory.evil_kv ADD CONSTRAINT climb CHECK (OPERATOR(mallory.~~~~) 'a'::text) NOT VALID;
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
ALTER TABLE mallory.evil_kv DROP CONSTRAINT climb;
SET ROLE regress_mallory;
CREATE STATISTICS mallory.climb ON (mallory.look(key)), key FROM mallory.evil_kv;
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP STATISTICS mallory.climb;
SELECT * FROM pg_temp.sweep('evil');
-- A view in place of a table, and a partition with a trigger.
SET ROLE regress_mallory;
ALTER TABLE mallory.evil_kv RENAME TO kept_kv;
CREATE VIEW mallory.evil_kv AS SELECT key, value, expires_at FROM mallory.kept_kv WHERE mallory.look(key);
GRANT SELECT, UPDATE, DELETE ON mallory.evil_kv TO regress_sweeper;
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
SET ROLE regress_mallory;
DROP VIEW mallory.evil_kv;
CREATE TABLE mallory.evil_kv (key text PRIMARY KEY, value jsonb, expires_at timestamptz) PARTITION BY LIST (key);
CREATE TABLE mallory.part PARTITION OF mallory.evil_kv DEFAULT;
GRANT SELECT, UPDATE, DELETE ON mallory.evil_kv TO regress_sweeper;
SELECT pg_temp.expired('mallory.evil', 9);
CREATE TRIGGER climb BEFORE DELETE ON mallory.part FOR EACH ROW EXECUTE FUNCTION mallory.climb();
RESET ROLE;
SELECT * FROM pg_temp.sweep('evil');
DROP TRIGGER climb ON mallory.part;
-- Columns of types of his: locks whose time is one by a cast of his.  What is
-- wrong with a store does not keep others from their turn.
SET ROLE regress_mallory;
CREATE TYPE mallory.moment AS (at timestamptz);
CREATE FUNCTION mallory.at(mallory.moment) RETURNS timestamptz IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'cast as %', current_user; RETURN ($1).at; END $$;
CREATE CAST (mallory.moment AS timestamptz) WITH FUNCTION mallory.at(mallory.moment) AS IMPLICIT;
SELECT nvent.lock_acquire('evil:l', '1 microsecond') > 0 AS acquired;
ALTER TABLE mallory.evil_locks ALTER expires_at TYPE mallory.moment USING row(expires_at)::mallory.moment;
RESET ROLE;
SELECT nvent.maintain(1) AS of_shop;
SELECT nvent.maintain(0, 'evil');
SET ROLE regress_mallory;
ALTER TABLE mallory.evil_locks ALTER expires_at TYPE timestamptz USING (expires_at).at;
DROP TYPE mallory.moment CASCADE;
RESET ROLE;
-- A partition key of his.
SET ROLE regress_mallory;
CREATE TABLE mallory.parts (key text, value jsonb, expires_at timestamptz) PARTITION BY LIST ((mallory.look(''::text) AND key IS NOT NULL));
SELECT nvent.route_add('kv', 'evil:parts:>', 'mallory.parts');
RESET ROLE;
SELECT nvent.maintain(0, 'evil');
DROP TABLE mallory.parts;
SELECT nvent.route_drop('kv', 'evil:parts:>');
-- The code of those who have the caller's rights anyway does run, as the caller.
CREATE TABLE who_deleted (who text);
GRANT INSERT ON who_deleted TO regress_sweeper;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO who_deleted VALUES (current_user); RETURN OLD; END $$;
CREATE TRIGGER note BEFORE DELETE ON shop_kv FOR EACH ROW EXECUTE FUNCTION note();
SET ROLE regress_sweeper;
SELECT nvent.maintain(1, 'shop');
RESET ROLE;
SELECT * FROM who_deleted;
DROP TRIGGER note ON shop_kv;
DROP FUNCTION note;
DROP TABLE who_deleted;
GRANT regress_sweeper TO regress_mallory;
SET ROLE regress_mallory;
CREATE TRIGGER climb BEFORE DELETE ON mallory.evil_kv FOR EACH ROW EXECUTE FUNCTION mallory.climb();
SET ROLE regress_sweeper;
SELECT nvent.maintain(1, 'evil');
-- What is said about a table that is left alone.
RESET ROLE;
REVOKE regress_sweeper FROM regress_mallory;
\set VERBOSITY default
SET ROLE regress_sweeper;
SELECT nvent.maintain(1, 'evil');
RESET ROLE;
\set VERBOSITY terse
SELECT nvent.maintain();
DROP OWNED BY regress_mallory CASCADE;
DELETE FROM nvent.store WHERE prefix = 'evil';
DROP ROLE regress_mallory;
\set VERBOSITY default

-- Each error.
SELECT nvent.maintain(NULL);
SELECT nvent.maintain(-1);
SELECT nvent.maintain(store => 'nobody');
BEGIN READ ONLY;
SELECT nvent.maintain();
COMMIT;

-- A pass is not compiled, however dear statements seem: that would take longer
-- than the pass, and cannot be cancelled.
\c -
SET jit_above_cost = 1;
SELECT nvent.maintain();
SELECT coalesce(pg_read_file('/proc/self/maps', 0, 1000000000, true) ~ 'llvmjit', false) AS compiled;

DROP OWNED BY regress_sweeper;
DROP ROLE regress_sweeper;
SELECT nvent.store_migrate('shop', 0) > 0 AND nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE sessions;
