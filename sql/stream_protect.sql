-- Checks of an event store, section F: immutability and privileges; and check
-- 18, which is about appends around the functions.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_nvs_owner;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_reader;
GRANT USAGE ON SCHEMA nvent TO regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
CREATE SCHEMA cf AUTHORIZATION regress_nvs_owner;
SET ROLE regress_nvs_owner;
SELECT nvent.store_create('cf', 'cf');
SELECT nvent.stream_append_many('[{"subject": "cf:account:1",
    "events": [{"type": "a"}, {"type": "b"}, {"type": "c"}]}]')->>'version';
SELECT nvent.stream_protect('cf.cf_stream_account'), nvent.stream_protect('cf.cf_stream_account') AS again;
SELECT nvent.stream_protect('cf.cf_stream_account_pkey');
SELECT nvent.stream_protect(NULL);
GRANT USAGE ON SCHEMA cf TO regress_nvs_writer, regress_nvs_reader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON cf.cf_stream_account TO regress_nvs_writer;
GRANT SELECT ON cf.cf_stream_account TO regress_nvs_reader;

-- 18, 74, 75: whatever rights a role has on the table, owner and superuser
-- included, its rows are not changed but by the functions.
PREPARE ins AS INSERT INTO cf.cf_stream_account (subject, version, ts, type) VALUES ('cf:account:1', 77, 1, 'x');
PREPARE upd AS UPDATE cf.cf_stream_account SET type = 'x' WHERE version = 1;
PREPARE nothing AS UPDATE cf.cf_stream_account SET type = 'x' WHERE false;
PREPARE del AS DELETE FROM cf.cf_stream_account;
PREPARE ups AS INSERT INTO cf.cf_stream_account (subject, version, ts, type) VALUES ('cf:account:1', 1, 1, 'x')
    ON CONFLICT (subject, version) DO UPDATE SET type = 'x';
PREPARE mrg AS MERGE INTO cf.cf_stream_account t USING (VALUES (1)) s (v) ON t.version = s.v
    WHEN MATCHED THEN UPDATE SET type = 'x';
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE cf.cf_stream_account;
COPY cf.cf_stream_account (subject, version, ts, type) FROM stdin;
cf:account:1	9	1	x
\.
SET ROLE regress_nvs_writer;
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE cf.cf_stream_account;
RESET ROLE;
EXECUTE ins; EXECUTE upd; EXECUTE nothing; EXECUTE del; EXECUTE ups; EXECUTE mrg;
TRUNCATE cf.cf_stream_account;
TRUNCATE cf.cf_stream_account CASCADE;

-- The functions go on, in transactions with the refused too.
SET ROLE regress_nvs_writer;
BEGIN;
SELECT nvent.stream_append('cf:account:1', '{"type": "d"}', 3)->>'version';
SAVEPOINT s;
EXECUTE ins;
ROLLBACK TO s;
SELECT e->>'version' FROM nvent.stream_append_batch('cf:account:1', '{"{\"type\": \"e\"}", "{\"type\": \"f\"}"}', 4) e;
COMMIT;
-- A call that fails leaves no way in.
SELECT nvent.stream_append('cf:account:1', '{"type": "d", "attempt": 1e100}');
EXECUTE ins;
SELECT nvent.stream_delete('cf:account:none');
EXECUTE del;
RESET ROLE;

-- Nor does a trigger of the owner's get one while a function is at work.
CREATE FUNCTION cf.sneak() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cf.cf_stream_account SET type = 'sneaked';
    RETURN NULL;
END $$;
CREATE TRIGGER a_sneak AFTER INSERT ON cf.cf_stream_account FOR EACH ROW EXECUTE FUNCTION cf.sneak();
SELECT nvent.stream_append('cf:account:1', '{"type": "g"}');
DROP TRIGGER a_sneak ON cf.cf_stream_account;
CREATE TRIGGER a_sneak BEFORE INSERT ON cf.cf_stream_account FOR EACH STATEMENT EXECUTE FUNCTION cf.sneak();
SELECT nvent.stream_append('cf:account:1', '{"type": "g"}');
DROP FUNCTION cf.sneak() CASCADE;
SELECT string_agg(e->>'type', '' ORDER BY (e->>'id')::bigint) FROM nvent.stream_read('cf:account:1') e;

-- 75: the owner cannot take the protection away; superusers can.
SET ROLE regress_nvs_owner;
ALTER TABLE cf.cf_stream_account DISABLE TRIGGER ALL;
ALTER TABLE cf.cf_stream_account DISABLE TRIGGER USER;
ALTER TABLE cf.cf_stream_account DISABLE TRIGGER "!nvent_protect";
ALTER TABLE cf.cf_stream_account ENABLE REPLICA TRIGGER "!nvent_protect";
DROP TRIGGER "!nvent_protect" ON cf.cf_stream_account;
SELECT nvent.stream_unprotect('cf.cf_stream_account');
SET session_replication_role = replica;
EXECUTE upd;
-- What is no protection is still the owner's to change.
CREATE TRIGGER other BEFORE DELETE ON cf.cf_stream_account FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE cf.cf_stream_account DISABLE TRIGGER other;
DROP TRIGGER other ON cf.cf_stream_account;
ALTER TABLE cf.cf_stream_account ADD COLUMN more text;
RESET ROLE;
SELECT nvent.stream_unprotect('cf.cf_stream_account'), nvent.stream_unprotect('cf.cf_stream_account') AS again;
BEGIN;
EXECUTE upd;
ROLLBACK;
SELECT nvent.stream_protect('cf.cf_stream_account');
EXECUTE upd;
-- The functions of the guard do nothing by themselves.
CREATE TRIGGER wrong AFTER UPDATE ON cf.cf_kv FOR EACH ROW EXECUTE FUNCTION nvent.stream_guard();
INSERT INTO cf.cf_kv (key, value) VALUES ('a', '1');
UPDATE cf.cf_kv SET value = '2';
DROP TRIGGER wrong ON cf.cf_kv;
-- Partitions are protected with their table.
CREATE TABLE cf.parts (id bigint DEFAULT nvent.next_position(), subject text NOT NULL,
    ts bigint NOT NULL, type text NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE cf.part1 PARTITION OF cf.parts DEFAULT;
SELECT nvent.route_add('stream', 'cf:part:>', 'cf.parts');
SELECT nvent.stream_protect('cf.parts');
SELECT nvent.stream_append('cf:part:1', '{"type": "a"}')->>'type';
DELETE FROM cf.parts;
DELETE FROM cf.part1;
TRUNCATE cf.part1;
SELECT nvent.stream_delete('cf:part:1');

-- 76: SELECT is the right to read, INSERT with it the right to append.
SET ROLE regress_nvs_reader;
SELECT count(*) FROM nvent.stream_read('cf:account:1');
SELECT nvent.stream_version('cf:account:1');
SELECT nvent.stream_append('cf:account:1', '{"type": "x"}');
SELECT nvent.stream_append_many('[{"subject": "cf:account:1", "events": [{"type": "x"}]}]');
SELECT nvent.stream_delete('cf:account:1');
SELECT nvent.stream_protect('cf.cf_stream_account');
RESET ROLE;
REVOKE UPDATE, DELETE, TRUNCATE ON cf.cf_stream_account FROM regress_nvs_writer;
SET ROLE regress_nvs_writer;
SELECT nvent.stream_append('cf:account:1', '{"type": "g"}')->>'version';
SELECT nvent.stream_append_many('[{"subject": "cf:account:1", "events": [{"type": "h", "eventId": "h"}]}]')->>'version';
SELECT nvent.stream_delete('cf:account:1');
RESET ROLE;

-- 77: no search_path matters, and nothing in the caller's own is used.
CREATE SCHEMA cf_evil;
CREATE FUNCTION cf_evil.evil(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR cf_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = cf_evil.evil);
CREATE FUNCTION cf_evil.evil(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR cf_evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = cf_evil.evil);
CREATE FUNCTION cf_evil.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
SET search_path = cf_evil, pg_catalog;
SELECT nvent.stream_append('cf:account:77', '{"type": "a", "eventId": "s-1"}', 0) OPERATOR(pg_catalog.->>) 'version';
SELECT nvent.stream_append_many('[{"subject": "cf:account:77", "expected": 1, "events": [{"type": "b", "eventId": "s-2"}, {"type": "c"}]},
    {"subject": "cf:account:78", "expected": 0}]') OPERATOR(pg_catalog.->>) 'version';
SELECT nvent.stream_version('cf:account:77');
SELECT e OPERATOR(pg_catalog.->>) 'type' FROM nvent.stream_read('cf:account:77', after => 1, types => '{a,b}') e;
SET search_path = '';
SELECT nvent.stream_append('cf:account:77', '{"type": "d"}', 3) OPERATOR(pg_catalog.->>) 'version';
SELECT nvent.stream_append_many('[{"subject": "cf:account:77", "expected": 4, "events": [{"type": "e"}, {"type": "f"}]}]') OPERATOR(pg_catalog.->>) 'version';
RESET search_path;
DROP SCHEMA cf_evil CASCADE;

-- 78: what looks like SQL is a subject or a type like any other.
SELECT nvent.stream_version('cf:account:1'') OR (true');
SELECT count(*) FROM nvent.stream_read('cf:account:77', types => ARRAY['a'') OR (true', 'false) or (true']);
SELECT nvent.stream_append('cf:account:false) or (true', '{"type": "x"}', 0)->>'subject';

SELECT nvent.route_drop('stream', 'cf:part:>');
SELECT nvent.store_migrate('cf', 0) > 0 AS dropped;
DROP SCHEMA cf CASCADE;
REVOKE USAGE ON SCHEMA nvent FROM regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
DROP ROLE regress_nvs_owner, regress_nvs_writer, regress_nvs_reader;
