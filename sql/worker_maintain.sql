-- One bounded pass: what has expired is removed, and nothing else; in all
-- stores or one, found by an index, as the owner of each table.
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
    EXECUTE format('INSERT INTO %I (key, value, expires_at) '
                   'SELECT %L || i, ''1'', now() - interval ''1 day'' FROM generate_series(1, $1) i',
                   store || '_kv', store || ':') USING n;
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

-- It leaves alone what its caller may not delete, and its owners' triggers do
-- not get the caller's rights, now or at the end of the transaction.
CREATE ROLE regress_tenant;
GRANT USAGE ON SCHEMA nvent TO regress_tenant;
CREATE SCHEMA tenant AUTHORIZATION regress_tenant;
SET ROLE regress_tenant;
SELECT nvent.store_create('tenant', 'tenant');
CREATE TABLE tenant.ran_as (who text);
CREATE FUNCTION tenant.climb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenant.ran_as VALUES (current_user);
    BEGIN
        EXECUTE 'RESET ROLE';
    EXCEPTION WHEN others THEN
        INSERT INTO tenant.ran_as VALUES (sqlerrm);
    END;
    RETURN OLD;
END $$;
CREATE TRIGGER climb BEFORE DELETE ON tenant.tenant_kv FOR EACH ROW EXECUTE FUNCTION tenant.climb();
SELECT nvent.kv_set('tenant:k', '1', interval '1 microsecond');
RESET ROLE;
SELECT nvent.maintain();
SELECT * FROM tenant.ran_as;
SET ROLE regress_tenant;
CREATE CONSTRAINT TRIGGER later AFTER DELETE ON tenant.tenant_kv DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenant.climb();
SELECT nvent.kv_set('tenant:k', '1', interval '1 microsecond');
RESET ROLE;
\set VERBOSITY terse
SELECT nvent.maintain();
DROP OWNED BY regress_tenant CASCADE;
DELETE FROM nvent.store WHERE prefix = 'tenant';
DROP ROLE regress_tenant;
\set VERBOSITY default
SELECT pg_temp.expired('nvent', 5), pg_temp.expired('shop', 5);
CREATE ROLE regress_sweeper;
GRANT USAGE ON SCHEMA nvent TO regress_sweeper;
GRANT SELECT, UPDATE, DELETE ON shop_kv TO regress_sweeper;
GRANT SELECT, DELETE ON nvent_kv TO regress_sweeper;
SET ROLE regress_sweeper;
SELECT nvent.maintain();
RESET ROLE;
SELECT (SELECT count(*) FROM nvent_kv WHERE expires_at < now()) AS nvent, (SELECT count(*) FROM shop_kv) AS shop;

-- Each error.
SELECT nvent.maintain(NULL);
SELECT nvent.maintain(-1);
SELECT nvent.maintain(store => 'nobody');
BEGIN READ ONLY;
SELECT nvent.maintain();
COMMIT;

DROP OWNED BY regress_sweeper;
DROP ROLE regress_sweeper;
SELECT nvent.store_migrate('shop', 0) > 0 AND nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE sessions;
