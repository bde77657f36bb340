-- Who may change what is stored: a protected table's rows change by the
-- functions alone, whatever rights a role has on it; SELECT is the right to
-- read and INSERT with it the right to append.  Roles that log in are in
-- test/t/004_privileges.pl.  Seen to fail without the event trigger for CREATE
-- TRIGGER (a role that may create triggers replaces the guard) and without that
-- for tables (rows are changed through a parent, or in a new partition).
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_reader;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
GRANT EXECUTE ON FUNCTION nvent.store_create, nvent.stream_protect, nvent.stream_unprotect TO regress_nvs_owner;
GRANT EXECUTE ON FUNCTION nvent.stream_protect, nvent.stream_guard TO regress_nvs_reader, regress_nvs_writer;
CREATE SCHEMA test AUTHORIZATION regress_nvs_owner;
SET ROLE regress_nvs_owner;
SELECT nvent.store_create('test', 'test');
SELECT nvent.stream_append_many('[{"subject": "test:account:1",
    "events": [{"type": "a"}, {"type": "b"}, {"type": "c"}]}]')->>'version';
SELECT nvent.stream_protect('test.test_stream_account'), nvent.stream_protect('test.test_stream_account') AS again;
SELECT nvent.stream_protect('test.test_stream_account_pkey');
SELECT nvent.stream_protect(NULL);
GRANT USAGE ON SCHEMA test TO regress_nvs_writer, regress_nvs_reader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON test.test_stream_account TO regress_nvs_writer;
GRANT SELECT ON test.test_stream_account TO regress_nvs_reader;

-- Whatever rights a role has on the table, owner and superuser
-- included, its rows are not changed but by the functions.
PREPARE ins AS INSERT INTO test.test_stream_account (subject, version, ts, type) VALUES ('test:account:1', 77, 1, 'x');
PREPARE upd AS UPDATE test.test_stream_account SET type = 'x' WHERE version = 1;
PREPARE nothing AS UPDATE test.test_stream_account SET type = 'x' WHERE false;
PREPARE del AS DELETE FROM test.test_stream_account;
PREPARE ups AS INSERT INTO test.test_stream_account (subject, version, ts, type) VALUES ('test:account:1', 1, 1, 'x')
    ON CONFLICT (subject, version) DO UPDATE SET type = 'x';
PREPARE mrg AS MERGE INTO test.test_stream_account t USING (VALUES (1)) s (v) ON t.version = s.v
    WHEN MATCHED THEN UPDATE SET type = 'x';
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE test.test_stream_account;
COPY test.test_stream_account (subject, version, ts, type) FROM stdin;
test:account:1	9	1	x
\.
SET ROLE regress_nvs_writer;
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE test.test_stream_account;
RESET ROLE;
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE test.test_stream_account;
TRUNCATE test.test_stream_account CASCADE;

-- The functions go on, in transactions with the refused too.
SET ROLE regress_nvs_writer;
BEGIN;
SELECT nvent.stream_append('test:account:1', '{"type": "d"}', 3)->>'version';
SAVEPOINT s;
EXECUTE ins;
ROLLBACK TO s;
SELECT e->>'version' FROM nvent.stream_append_batch('test:account:1', '{"{\"type\": \"e\"}", "{\"type\": \"f\"}"}', 4) e;
COMMIT;
-- A call that fails leaves no way in.
SELECT nvent.stream_append('test:account:1', '{"type": "d", "attempt": 1e100}');
EXECUTE ins;
SELECT nvent.stream_delete('test:account:none');
EXECUTE del;
RESET ROLE;

-- Nor does a trigger of the owner's get one while a function is at work.
CREATE FUNCTION test.sneak() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE test.test_stream_account SET type = 'sneaked';
    RETURN NULL;
END $$;
CREATE TRIGGER a_sneak AFTER INSERT ON test.test_stream_account FOR EACH ROW EXECUTE FUNCTION test.sneak();
SELECT nvent.stream_append('test:account:1', '{"type": "g"}');
DROP TRIGGER a_sneak ON test.test_stream_account;
CREATE TRIGGER a_sneak BEFORE INSERT ON test.test_stream_account FOR EACH STATEMENT EXECUTE FUNCTION test.sneak();
SELECT nvent.stream_append('test:account:1', '{"type": "g"}');
DROP FUNCTION test.sneak() CASCADE;
SELECT string_agg(e->>'type', '' ORDER BY (e->>'id')::bigint) FROM nvent.stream_read('test:account:1') e;

-- The owner cannot take the protection away; superusers can.
SET ROLE regress_nvs_owner;
ALTER TABLE test.test_stream_account DISABLE TRIGGER ALL;
ALTER TABLE test.test_stream_account DISABLE TRIGGER USER;
ALTER TABLE test.test_stream_account DISABLE TRIGGER "!nvent_protect";
ALTER TABLE test.test_stream_account ENABLE REPLICA TRIGGER "!nvent_protect";
DROP TRIGGER "!nvent_protect" ON test.test_stream_account;
SELECT nvent.stream_unprotect('test.test_stream_account');
SET session_replication_role = replica;
EXECUTE upd;
-- Nor by making another trigger of it, or by having it go with something.
CREATE FUNCTION test.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT ON test.test_stream_account FOR EACH STATEMENT EXECUTE FUNCTION test.noop();
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT ON test.test_stream_account FOR EACH STATEMENT EXECUTE FUNCTION nvent.stream_guard();
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON test.test_stream_account
    FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION nvent.stream_guard();
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT OR UPDATE OF pii OR DELETE OR TRUNCATE ON test.test_stream_account
    FOR EACH STATEMENT EXECUTE FUNCTION nvent.stream_guard();
ALTER TRIGGER "!nvent_protect" ON test.test_stream_account RENAME TO plain;
ALTER TRIGGER "!nvent_protect" ON test.test_stream_account DEPENDS ON EXTENSION plpgsql;
-- Nor through a table that it is made to inherit from, nor by what rewrites it.
CREATE TABLE test.parent (LIKE test.test_stream_account INCLUDING ALL);
ALTER TABLE test.test_stream_account INHERIT test.parent;
CREATE TABLE test.whole (LIKE test.test_stream_account INCLUDING DEFAULTS) PARTITION BY RANGE (id);
ALTER TABLE test.whole ATTACH PARTITION test.test_stream_account DEFAULT;
ALTER TABLE test.test_stream_account ALTER COLUMN data TYPE jsonb USING '{}';
ALTER TABLE test.test_stream_account ALTER COLUMN type TYPE text USING 'x';
-- A parent that is protected, too, is none.
SELECT nvent.stream_protect('test.parent');
BEGIN;
ALTER TABLE test.test_stream_account INHERIT test.parent;
DELETE FROM test.parent;
ROLLBACK;
DROP TABLE test.parent, test.whole;
-- What inherits from it later is protected with it, however it is made.
CREATE TABLE test.child () INHERITS (test.test_stream_account);
INSERT INTO test.child (subject, version, ts, type) VALUES ('test:account:1', 77, 1, 'x');
DROP TABLE test.child;
CREATE TABLE test.child (LIKE test.test_stream_account INCLUDING ALL);
ALTER TABLE test.child INHERIT test.test_stream_account;
INSERT INTO test.child (subject, version, ts, type) VALUES ('test:account:1', 77, 1, 'x');
TRUNCATE test.child;
DROP TABLE test.child;
RESET ROLE;
RESET session_replication_role;
CREATE SCHEMA inner_one CREATE TABLE child () INHERITS (test.test_stream_account);
INSERT INTO inner_one.child (subject, version, ts, type) VALUES ('test:account:1', 77, 1, 'x');
DROP SCHEMA inner_one CASCADE;
-- A role that may create triggers on it has no more of a way.
GRANT TRIGGER ON test.test_stream_account, test.test_kv TO regress_nvs_writer;
GRANT CREATE ON SCHEMA test TO regress_nvs_writer;
SET ROLE regress_nvs_writer;
CREATE OR REPLACE TRIGGER "!nvent_protect" BEFORE INSERT ON test.test_stream_account FOR EACH STATEMENT EXECUTE FUNCTION test.noop();
EXECUTE del;
DROP TRIGGER "!nvent_protect" ON test.test_stream_account;
CREATE TABLE test.parent (LIKE test.test_stream_account INCLUDING ALL);
ALTER TABLE test.test_stream_account INHERIT test.parent;
DROP TABLE test.parent;
-- And cannot have the guard refuse what others do.
CREATE TRIGGER "!nvent_protect" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON test.test_kv FOR EACH STATEMENT EXECUTE FUNCTION nvent.stream_guard();
CREATE TRIGGER lockout BEFORE INSERT ON test.test_kv FOR EACH STATEMENT EXECUTE FUNCTION nvent.stream_guard();
RESET ROLE;
REVOKE TRIGGER ON test.test_stream_account, test.test_kv FROM regress_nvs_writer;
REVOKE CREATE ON SCHEMA test FROM regress_nvs_writer;
SET ROLE regress_nvs_owner;
-- What is no protection is still the owner's to change.
CREATE TRIGGER other BEFORE DELETE ON test.test_stream_account FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE test.test_stream_account DISABLE TRIGGER other;
DROP TRIGGER other ON test.test_stream_account;
ALTER TABLE test.test_stream_account ADD COLUMN more text;
RESET ROLE;
SELECT nvent.stream_unprotect('test.test_stream_account'), nvent.stream_unprotect('test.test_stream_account') AS again;
BEGIN;
EXECUTE upd;
ROLLBACK;
SELECT nvent.stream_protect('test.test_stream_account');
EXECUTE upd;
-- The functions of the guard do nothing by themselves.
CREATE TRIGGER wrong AFTER UPDATE ON test.test_kv FOR EACH ROW EXECUTE FUNCTION nvent.stream_guard();
INSERT INTO test.test_kv (key, value) VALUES ('a', '1');
UPDATE test.test_kv SET value = '2';
DROP TRIGGER wrong ON test.test_kv;
-- Partitions are protected with their table.
CREATE TABLE test.parts (id bigint DEFAULT nvent.next_position('test'), subject text NOT NULL,
    ts bigint NOT NULL, type text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE test.part1 PARTITION OF test.parts DEFAULT;
ALTER TABLE test.parts OWNER TO regress_nvs_owner;
SELECT nvent.route_add('stream', 'test:part:>', 'test.parts');
SELECT nvent.stream_protect('test.parts');
SELECT nvent.stream_append('test:part:1', '{"type": "a"}')->>'type';
DELETE FROM test.parts;
DELETE FROM test.part1;
TRUNCATE test.part1;
SELECT nvent.stream_delete('test:part:1');
CREATE TABLE test.part2 PARTITION OF test.parts FOR VALUES FROM (1) TO (2);
CREATE TABLE test.part3 (LIKE test.parts INCLUDING DEFAULTS);
ALTER TABLE test.parts ATTACH PARTITION test.part3 FOR VALUES FROM (2) TO (3);
DELETE FROM test.part2;
DELETE FROM test.part3;
SELECT nvent.stream_unprotect('test.parts');
-- A partition alone is not protected: its table is a way to it.
SELECT nvent.stream_protect('test.part1');
-- What holds no events is not either.
SELECT nvent.stream_protect('test.test_kv');

-- SELECT is the right to read, INSERT with it the right to append.
SET ROLE regress_nvs_reader;
SELECT count(*) FROM nvent.stream_read('test:account:1');
SELECT nvent.stream_version('test:account:1');
SELECT nvent.stream_append('test:account:1', '{"type": "x"}');
SELECT nvent.stream_append_many('[{"subject": "test:account:1", "events": [{"type": "x"}]}]');
SELECT nvent.stream_delete('test:account:1');
-- Who does not own a table learns nothing of it, and locks nothing.
BEGIN;
SAVEPOINT s;
SELECT nvent.stream_protect('test.test_stream_account');
ROLLBACK TO s;
SELECT count(*) FROM pg_locks WHERE relation IN ('test.test_stream_account'::regclass, 'test.test_kv'::regclass) AND mode <> 'AccessShareLock';
ROLLBACK;
RESET ROLE;
REVOKE UPDATE, DELETE, TRUNCATE ON test.test_stream_account FROM regress_nvs_writer;
SET ROLE regress_nvs_writer;
SELECT nvent.stream_append('test:account:1', '{"type": "g"}')->>'version';
SELECT nvent.stream_append_many('[{"subject": "test:account:1", "events": [{"type": "h", "eventId": "h"}]}]')->>'version';
SELECT nvent.stream_delete('test:account:1');
RESET ROLE;

SELECT nvent.route_drop('stream', 'test:part:>');
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test CASCADE;
DROP OWNED BY regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
DROP ROLE regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
