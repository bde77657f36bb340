-- Who may change what is stored: a protected table's rows change by the
-- functions alone, whatever rights a role has on it; SELECT is the right to
-- read and INSERT with it the right to append.  Roles that log in are in
-- test/t/004_privileges.pl.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_reader;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
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
CREATE TABLE test.parts (id bigint DEFAULT nvent.next_position(), subject text NOT NULL,
    ts bigint NOT NULL, type text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE test.part1 PARTITION OF test.parts DEFAULT;
SELECT nvent.route_add('stream', 'test:part:>', 'test.parts');
SELECT nvent.stream_protect('test.parts');
SELECT nvent.stream_append('test:part:1', '{"type": "a"}')->>'type';
DELETE FROM test.parts;
DELETE FROM test.part1;
TRUNCATE test.part1;
SELECT nvent.stream_delete('test:part:1');

-- SELECT is the right to read, INSERT with it the right to append.
SET ROLE regress_nvs_reader;
SELECT count(*) FROM nvent.stream_read('test:account:1');
SELECT nvent.stream_version('test:account:1');
SELECT nvent.stream_append('test:account:1', '{"type": "x"}');
SELECT nvent.stream_append_many('[{"subject": "test:account:1", "events": [{"type": "x"}]}]');
SELECT nvent.stream_delete('test:account:1');
SELECT nvent.stream_protect('test.test_stream_account');
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
REVOKE USAGE ON SCHEMA nvent FROM regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
DROP ROLE regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
