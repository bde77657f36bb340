-- Keys that are there are overwritten without the executor: with the same rows
-- and the same errors as by a statement, under the same rights, or a statement
-- is what writes.
--
-- Seen to fail with each condition of src/kv/overwrite.c and src/route/overwrite.c
-- taken out.
\set SHOW_CONTEXT never
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/overwrite.sql'
\i :helpers
-- Set a key, and another one by kv_mset(): how, and what is there then.
CREATE FUNCTION put(key text, value jsonb, ttl interval DEFAULT NULL, relation text DEFAULT 'public.nvent_kv') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    said text;
    rows text;
BEGIN
    DISCARD PLANS;
    PERFORM nvent.kv_set(key, value, ttl);
    said := public.way();
    PERFORM nvent.kv_mset(jsonb_build_object(key || '+', value), ttl);
    EXECUTE format($q$SELECT string_agg(concat_ws(' ', t.key, t.value, round(extract(epoch FROM t.expires_at - clock_timestamp()) / 60) || ' min',
            CASE WHEN (to_jsonb(t) ->> 'expire_bucket')::int IS DISTINCT FROM nvent.kv_expire_bucket(t.expires_at) AND to_jsonb(t) ? 'expire_bucket' THEN 'wrong bucket' END,
            CASE WHEN (to_jsonb(t) ->> 'updated_at')::timestamptz <> statement_timestamp() THEN 'wrong time' END), ', ' ORDER BY t.key)
        FROM %s t WHERE t.key IN ($1, $1 || '+')$q$, relation) INTO rows USING key;
    RETURN said || ', ' || public.way() || ': ' || rows;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- A key that is not there is a statement's, one that is there is not.
SELECT put('k', '0');
SELECT put('k', '1');
SELECT put('k', '2', '2 h'), put('k', '"x"', '90 min');
SELECT put('k', 'null');
SELECT nvent.kv_set('k', '3', expires_at => '2000-01-01');
SELECT value, expire_bucket = nvent.kv_expire_bucket(expires_at) AS hours, expires_at AT TIME ZONE 'UTC' AS expires_at FROM nvent_kv WHERE key = 'k';
-- One that has expired is as good.
SELECT put('k', '4');
SELECT nvent.kv_set('k', '5', expires_at => 'infinity');
SELECT value, expires_at, expire_bucket FROM nvent_kv WHERE key = 'k';
-- Values that are stored out of line.
SELECT nvent.kv_set('k', to_jsonb(repeat('x', 100000)));
SELECT value = to_jsonb(repeat('x', 100000)) AS long FROM nvent_kv WHERE key = 'k';
CREATE TABLE long AS SELECT value FROM nvent_kv WHERE key = 'k';
SELECT nvent.kv_set('k+', value) FROM long;
DROP TABLE long;
SELECT value = to_jsonb(repeat('x', 100000)) AS long FROM nvent_kv WHERE key = 'k+';
SELECT put('k', '6');

-- Within a transaction: again and again, what a savepoint takes back, and rows
-- that the transaction has locked or made itself.
BEGIN;
SELECT nvent.kv_set('k', '7'), nvent.kv_set('k', '8'), nvent.kv_mset('{"k": 9, "k+": 9}');
SELECT key, value FROM nvent_kv ORDER BY key;
SAVEPOINT s;
SELECT count(nvent.kv_set('k', to_jsonb(i))) FROM generate_series(10, 30) i;
SELECT nvent.kv_get('k');
ROLLBACK TO s;
SELECT nvent.kv_get('k');
SELECT way();
SELECT key FROM nvent_kv WHERE key = 'k' FOR UPDATE;
SELECT nvent.kv_set('k', '31'), nvent.kv_set('made', '1');
SELECT nvent.kv_set('made', '2');
SELECT key, value FROM nvent_kv ORDER BY key;
ROLLBACK;
SELECT key, value FROM nvent_kv ORDER BY key;
BEGIN;
DELETE FROM nvent_kv WHERE key = 'k';
SELECT nvent.kv_set('k', '32');
SELECT nvent.kv_get('k');
ROLLBACK;
-- What an older snapshot shows stays.
BEGIN;
DECLARE c CURSOR FOR SELECT key, value FROM nvent_kv ORDER BY key;
SELECT nvent.kv_mset('{"k": 33, "k+": 33}');
FETCH ALL FROM c;
COMMIT;

-- It is over when the call is: what looks for itself sees it, in the statement
-- that made the call, too.
SELECT ctid AS before FROM nvent_kv WHERE key = 'k' \gset
SELECT nvent.kv_set('k', '34'), currtid2('nvent_kv', :'before') AS after \gset
SELECT ctid = :'after' AS seen, ctid = :'before' AS same, value FROM nvent_kv WHERE key = 'k';

-- More versions than a page has room for: it is pruned, and rows stay in it.
SELECT count(nvent.kv_set('n' || i % 100, to_jsonb(i))) FROM generate_series(1, 100) i;
CREATE PROCEDURE often() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 4000 LOOP
        PERFORM nvent.kv_set('n' || i % 100, to_jsonb(i));
        COMMIT;
    END LOOP;
END $$;
CALL often();
SELECT pg_relation_size('nvent_kv') <= 4 * 8192 AS pruned, count(*), count(DISTINCT key) FROM nvent_kv WHERE key LIKE 'n%';

-- Where a new row has to be entered into indexes: it moved to another page, or
-- a column of an index changed.
CREATE INDEX by_time ON nvent_kv (updated_at);
CREATE INDEX by_value ON nvent_kv ((value ->> 'a'));
SELECT nvent.kv_mset('{"k": {"a": "first"}, "k+": {"a": "second"}}');
SELECT nvent.kv_mset('{"k": {"a": "third"}, "k+": {"a": "fourth"}}');
SET enable_seqscan = off;
SELECT key, value FROM nvent_kv WHERE value ->> 'a' IN ('first', 'third');
SELECT key, value FROM nvent_kv WHERE key IN ('k', 'k+') AND updated_at > now() - interval '1 h' ORDER BY key;
RESET enable_seqscan;
DROP INDEX by_time, by_value;
CREATE UNIQUE INDEX by_value ON nvent_kv ((value ->> 'a'));
SELECT nvent.kv_set('k', '{"a": "fourth"}');
SELECT nvent.kv_set('k', '{"a": "fifth"}');
SELECT nvent.kv_mset('{"k": {"a": "sixth"}, "k+": {"a": "sixth"}}');
SELECT key, value FROM nvent_kv WHERE key IN ('k', 'k+') ORDER BY key;
DROP INDEX by_value;
DELETE FROM nvent_kv WHERE key NOT IN ('k', 'k+');
SELECT put('k', '1');

-- Triggers, rules, checks, policies.
CREATE TABLE told (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO told (what) VALUES (concat_ws(' ', TG_OP, TG_WHEN, TG_LEVEL));
    RETURN NEW;
END $$;
CREATE FUNCTION told() RETURNS text LANGUAGE sql AS $$ WITH d AS (DELETE FROM told RETURNING *) SELECT string_agg(DISTINCT what, ', ') FROM d $$;
CREATE TRIGGER t BEFORE INSERT ON nvent_kv FOR EACH ROW EXECUTE FUNCTION tell();
SELECT put('k', '2');
SELECT told();
DROP TRIGGER t ON nvent_kv;
CREATE TRIGGER t AFTER UPDATE ON nvent_kv FOR EACH ROW EXECUTE FUNCTION tell();
SELECT put('k', '3');
SELECT told();
DROP TRIGGER t ON nvent_kv;
CREATE TRIGGER t AFTER INSERT ON nvent_kv FOR EACH STATEMENT EXECUTE FUNCTION tell();
SELECT put('k', '4');
SELECT told();
DROP TRIGGER t ON nvent_kv;
SELECT put('k', '5');
SELECT told();
CREATE RULE r AS ON DELETE TO nvent_kv DO INSTEAD NOTHING;
SELECT put('k', '6');
DROP RULE r ON nvent_kv;
ALTER TABLE nvent_kv ADD CHECK (value <> '7');
SELECT put('k', '7');
SELECT put('k', '8');
ALTER TABLE nvent_kv DROP CONSTRAINT nvent_kv_value_check;
ALTER TABLE nvent_kv ENABLE ROW LEVEL SECURITY;
SELECT put('k', '9');
GRANT SELECT, INSERT, UPDATE ON nvent_kv TO regress_writer;
SET ROLE regress_writer;
SELECT put('k', '10');
RESET ROLE;
ALTER TABLE nvent_kv DISABLE ROW LEVEL SECURITY;
SELECT put('k', '11');

-- Rights: all three on the table; whoever has them by columns gets a statement,
-- and whoever lacks one its error.
SET ROLE regress_writer;
SELECT put('k', '12');
SELECT put('k', '12');
RESET ROLE;
REVOKE UPDATE ON nvent_kv FROM regress_writer;
SET ROLE regress_writer;
SELECT put('k', '13');
RESET ROLE;
GRANT UPDATE (value, expires_at, updated_at) ON nvent_kv TO regress_writer;
SET ROLE regress_writer;
SELECT put('k', '14');
RESET ROLE;
GRANT UPDATE ON nvent_kv TO regress_writer;
REVOKE INSERT ON nvent_kv FROM regress_writer;
SET ROLE regress_writer;
SELECT put('k', '15');
RESET ROLE;
GRANT INSERT ON nvent_kv TO regress_writer;
REVOKE SELECT ON nvent_kv FROM regress_writer;
SET ROLE regress_writer;
SELECT nvent.kv_set('k', '16');
RESET ROLE;
GRANT SELECT ON nvent_kv TO regress_writer;
REVOKE EXECUTE ON FUNCTION nvent.kv_expire_bucket FROM PUBLIC;
SET ROLE regress_writer;
SELECT nvent.kv_set('k', '17');
RESET ROLE;
GRANT EXECUTE ON FUNCTION nvent.kv_expire_bucket TO PUBLIC;
SET ROLE regress_writer;
SELECT put('k', '18');
SELECT put('k', '18');
RESET ROLE;
-- That it may be called is not known for good.
REVOKE EXECUTE ON FUNCTION nvent.kv_expire_bucket FROM PUBLIC;
SET ROLE regress_writer;
SELECT nvent.kv_set('k', '18');
RESET ROLE;
GRANT EXECUTE ON FUNCTION nvent.kv_expire_bucket TO PUBLIC;
SELECT put('k', '19');
BEGIN READ ONLY;
SELECT nvent.kv_set('k', '20');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT put('k', '21');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT put('k', '22');
COMMIT;

-- An UPDATE that a publication could not say of which row it was.
SET client_min_messages = error;
CREATE PUBLICATION regress_kv FOR TABLE nvent_kv;
RESET client_min_messages;
ALTER TABLE nvent_kv REPLICA IDENTITY NOTHING;
SELECT put('k', '23');
DROP PUBLICATION regress_kv;
SELECT put('k', '24');
ALTER TABLE nvent_kv REPLICA IDENTITY DEFAULT;

-- Tables of the user: with the columns in another order and without those that
-- need not be there; a column more, which has a default; one that was dropped;
-- another type or generation; what must not be NULL; a partition.
CREATE TABLE least (value jsonb, expires_at timestamptz, key text PRIMARY KEY);
SELECT nvent.route_add('kv', 'least:>', 'least'), put('least:k', '1', relation => 'least');
SELECT put('least:k', '2', '5 min', relation => 'least');
ALTER TABLE least ADD COLUMN times integer DEFAULT 0;
SELECT put('least:k', '3', relation => 'least');
ALTER TABLE least DROP COLUMN times;
SELECT put('least:k', '4', relation => 'least');
CREATE TABLE whole (key text PRIMARY KEY, value jsonb, expires_at timestamptz(0), updated_at timestamptz);
SELECT nvent.route_add('kv', 'whole:>', 'whole'), put('whole:k', '1', '1 min', relation => 'whole');
SELECT put('whole:k', '2', '1 min', relation => 'whole');
SELECT expires_at = date_trunc('second', expires_at) AS rounded FROM whole;
ALTER TABLE whole ALTER COLUMN expires_at TYPE timestamptz, ALTER COLUMN expires_at SET NOT NULL;
SELECT put('whole:k', '3', '1 min', relation => 'whole');
SELECT put('whole:k', '4', relation => 'whole');
CREATE FUNCTION other(timestamptz) RETURNS integer IMMUTABLE LANGUAGE sql RETURN 42;
CREATE TABLE other (key text PRIMARY KEY, value jsonb, expires_at timestamptz, expire_bucket integer GENERATED ALWAYS AS (other(expires_at)) STORED);
SELECT nvent.route_add('kv', 'other:>', 'other'), put('other:k', '1', relation => 'other');
SELECT put('other:k', '2', '1 min', relation => 'other');
SELECT DISTINCT expire_bucket FROM other;
ALTER TABLE other DROP COLUMN expire_bucket, ADD COLUMN expire_bucket integer DEFAULT 7;
SELECT put('other:k', '3', relation => 'other');
CREATE TABLE sooner (key text, value jsonb, expires_at timestamptz) PARTITION BY RANGE (expires_at);
CREATE TABLE soon PARTITION OF sooner FOR VALUES FROM ('2000-01-01') TO ('2100-01-01');
ALTER TABLE soon ADD PRIMARY KEY (key);
SELECT nvent.route_add('kv', 'soon:>', 'soon'), put('soon:k', '1', '1 min', relation => 'soon');
SELECT put('soon:k', '2', '1 min', relation => 'soon');
SELECT put('soon:k', '3', relation => 'soon');

SELECT nvent.kv_set('k', '25', '1 min');
DELETE FROM nvent_kv WHERE expires_at IS NULL;
ALTER TABLE nvent_kv ALTER COLUMN expire_bucket SET NOT NULL;
SELECT nvent.kv_set('k', '26', '1 min');
SELECT nvent.kv_set('k', '27');

DROP TABLE least, whole, other, sooner, told;
DROP PROCEDURE often;
DROP FUNCTION way, put, tell, told, other;
DROP OWNED BY regress_writer;
DROP ROLE regress_writer;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
