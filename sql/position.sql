-- Positions, the safe position, open appenders with their low-water marks, and
-- the published position.  What other sessions do to them is in
-- test/specs/position_*.spec, crashes and prepared transactions in
-- test/t/01*.pl.
DROP EXTENSION nvent_store;
CREATE EXTENSION nvent_store;
SELECT nvent.store_create();
CREATE TABLE log_a (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, n int);
CREATE TABLE log_b (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, n int);

-- Nothing was drawn yet.
SELECT nvent.safe_position();

-- INSERT and COPY draw from the one sequence, whatever the table.
INSERT INTO log_a (n) VALUES (1), (2);
COPY log_b (n) FROM stdin;
3
4
\.
INSERT INTO log_a (n) VALUES (5);
SELECT 'a' AS log, id, n FROM log_a UNION ALL SELECT 'b', id, n FROM log_b ORDER BY id;
SELECT nvent.safe_position();

-- A transaction that only reads, or writes elsewhere, holds nobody back.
BEGIN;
CREATE TEMP TABLE elsewhere AS SELECT 1 AS n;
SELECT count(*) FROM nvent.appenders;
SELECT nvent.safe_position();

-- From its first position on it does, and its own events wait with it.
INSERT INTO log_a (n) VALUES (6);
INSERT INTO log_b (n) VALUES (7);
SELECT nvent.safe_position();
SELECT pid = pg_backend_pid() AS me, prepared, since >= now() AS from_here_on, low_water_mark, stores, tables
FROM nvent.appenders;
COMMIT;
SELECT nvent.safe_position();
SELECT count(*) FROM nvent.appenders;

-- After a rollback its positions hold nobody back: they are gone.
BEGIN;
INSERT INTO log_a (n) VALUES (8);
ROLLBACK;
SELECT nvent.safe_position();

-- A rollback to a savepoint does not take the low-water mark back: positions
-- were drawn before it, and will be drawn after it.
BEGIN;
INSERT INTO log_a (n) VALUES (9);
SAVEPOINT s;
INSERT INTO log_a (n) VALUES (10);
ROLLBACK TO s;
SELECT nvent.safe_position();
SELECT low_water_mark FROM nvent.appenders;
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO log_a (n) VALUES (11);
ROLLBACK TO s;
SELECT nvent.safe_position();
SELECT low_water_mark FROM nvent.appenders;
INSERT INTO log_a (n) VALUES (12);
SELECT low_water_mark FROM nvent.appenders;
COMMIT;
SELECT nvent.safe_position();
SELECT id, n FROM log_a WHERE id > 7 ORDER BY id;

-- An error in the middle of a statement ends it as well.
INSERT INTO log_a (n) SELECT 1 / (3 - i) FROM generate_series(1, 3) i;
SELECT count(*) FROM nvent.appenders;
SELECT max(id) AS last, nvent.safe_position() > max(id) AS beyond FROM log_a;

-- Procedures may end many transactions in one call.
CREATE PROCEDURE append_five() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 5 LOOP
        INSERT INTO log_b (n) VALUES (100 + i);
        IF i % 2 = 0 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        ASSERT (SELECT count(*) FROM nvent.appenders) = 0;
    END LOOP;
END
$$;
CALL append_five();
SELECT n FROM log_b WHERE n > 100 ORDER BY id;

-- Who appends for too long gets an error.
SET nvent_store.max_append_age = '1ms';
BEGIN;
INSERT INTO log_a (n) VALUES (13);
SELECT count(*) FROM generate_series(1, 20000) i WHERE md5(i::text) < 'f';
INSERT INTO log_a (n) VALUES (14);
ROLLBACK;
RESET nvent_store.max_append_age;

-- Nothing is drawn where nothing may be written, nor for no store.
BEGIN READ ONLY;
SELECT nvent.next_position('nvent');
ROLLBACK;
SELECT nvent.next_position('none');
SELECT nvent.next_position(repeat('n', 100));
SELECT nvent.next_position(NULL);
SELECT nvent.safe_position('none');
SELECT count(*) FROM nvent.appenders;

-- Low-water marks are of stores.  A process has four: with more stores the
-- last one counts for all that are further.
SELECT nvent.store_create(s, 'many') FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e', 'f']) s;
SELECT nvent.safe_position('f') AS before \gset
CREATE VIEW safe AS SELECT prefix, nvent.safe_position(prefix) AS safe FROM nvent.store;
BEGIN;
SELECT nvent.next_position(s) - :before AS drawn FROM unnest(ARRAY['a', 'b', 'a', 'c', 'd']) s;
SELECT prefix, safe - :before AS safe FROM safe ORDER BY 1;
SELECT low_water_mark - :before AS low_water_mark, stores FROM nvent.appenders;
SELECT nvent.next_position(s) - :before AS drawn FROM unnest(ARRAY['e', 'a']) s;
SELECT prefix, safe - :before AS safe FROM safe ORDER BY 1;
SELECT low_water_mark - :before AS low_water_mark, stores FROM nvent.appenders;
SELECT nvent.next_position('f') - :before AS drawn;
SELECT prefix, safe - :before AS safe FROM safe ORDER BY 1;
COMMIT;
SELECT prefix, safe - :before AS safe FROM safe ORDER BY 1;

-- Who draws may append to the store: to one of its tables, or a column of it.
-- That is looked at for each user and store.
CREATE ROLE regress_position_writer;
GRANT USAGE ON SCHEMA nvent TO regress_position_writer;
GRANT EXECUTE ON FUNCTION nvent.next_position(text) TO regress_position_writer;
GRANT INSERT (run_id) ON many.a_trigger_events TO regress_position_writer;
GRANT SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON many.b_trigger_events TO regress_position_writer;
GRANT INSERT ON many.b_flows TO regress_position_writer;
BEGIN;
SELECT nvent.next_position('b') - :before AS drawn;
SET ROLE regress_position_writer;
SELECT nvent.next_position('a') - :before AS drawn;
SAVEPOINT s;
SELECT nvent.next_position('b');
ROLLBACK TO s;
SELECT nvent.next_position('none');
ROLLBACK;
RESET ROLE;

-- A table that draws for one store holds no events of another.
CREATE TABLE many.wrong (id bigint DEFAULT nvent.next_position('a') PRIMARY KEY, ts bigint, type text, subject text);
SELECT nvent.route_add('stream', 'b:wrong:>', 'many.wrong');
ALTER TABLE many.wrong ALTER id SET DEFAULT nvent.next_position('b');
SELECT nvent.route_add('stream', 'b:wrong:>', 'many.wrong');
ALTER TABLE many.wrong ALTER id SET DEFAULT nvent.next_position('a');
SELECT nvent.stream_append('b:wrong:1', '{"type": "t", "ts": 1}');
SELECT nvent.stream_poll('b:wrong:>', 0);
DROP VIEW safe;
DROP TABLE many.wrong;
DO $$ BEGIN PERFORM nvent.store_migrate(s, 0) FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e', 'f']) s; END $$;
DROP SCHEMA many;
REVOKE ALL ON FUNCTION nvent.next_position(text) FROM regress_position_writer;
REVOKE USAGE ON SCHEMA nvent FROM regress_position_writer;
DROP ROLE regress_position_writer;

-- The published position: what a snapshot that cannot be renewed may go by.
SELECT * FROM nvent.published_position;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT nvent.safe_position();
ROLLBACK;
SELECT nvent.position_publish() = nvent.safe_position() AS written;
SELECT position = nvent.safe_position() AS is_safe, published_at <= clock_timestamp() AS dated
FROM nvent.published_position;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT nvent.safe_position() = position AS published FROM nvent.published_position;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT nvent.safe_position() = position AS published FROM nvent.published_position;
ROLLBACK;

-- It is written only when the position has advanced.
SELECT ctid AS before FROM nvent.published_position \gset
SELECT nvent.position_publish() = position AS same FROM nvent.published_position;
SELECT ctid = :'before' AS untouched FROM nvent.published_position;

-- An open appender holds its store back as well.
BEGIN;
INSERT INTO log_a (n) VALUES (15) RETURNING id AS held \gset
SELECT nvent.position_publish() = :held AS written;
SELECT position = :held AS drawn, held_stores[1] & 32767 = nvent.store_number('nvent') & 32767 AS held, held_positions[1] < :held AS below
FROM nvent.published_position;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT nvent.safe_position() < :held AS below;
COMMIT;
SELECT nvent.position_publish() >= :held AS reached;
SELECT held_stores, held_positions FROM nvent.published_position;

-- Everybody may see who holds them back, and nobody may write what is
-- published.
CREATE ROLE regress_position_reader;
GRANT USAGE ON SCHEMA nvent TO regress_position_reader;
SET ROLE regress_position_reader;
SELECT count(*) FROM nvent.appenders;
SELECT nvent.safe_position() >= :held AS reached;
SELECT position >= :held AS reached FROM nvent.published_position;
UPDATE nvent.published_position SET position = 0;
SELECT nvent.position_publish() >= :held AS reached;
RESET ROLE;
REVOKE USAGE ON SCHEMA nvent FROM regress_position_reader;
DROP ROLE regress_position_reader;

-- Somebody moves the sequence back: nothing can be appended until it is put
-- right, since readers have passed what would be drawn.
\set VERBOSITY default
SELECT setval('nvent.position_seq', 1000);
INSERT INTO log_b (n) VALUES (16);
SELECT setval('nvent.position_seq', 500);
INSERT INTO log_b (n) VALUES (17);
BEGIN;
INSERT INTO log_b (n) VALUES (18);
ROLLBACK;
SELECT setval('nvent.position_seq', 1001);
\set VERBOSITY terse
INSERT INTO log_b (n) VALUES (19) RETURNING id;
SELECT nvent.safe_position();

-- Nor is a sequence drawn from that does not ascend one by one.
\set VERBOSITY default
ALTER SEQUENCE nvent.position_seq CACHE 10;
INSERT INTO log_b (n) VALUES (20);
\set VERBOSITY terse
ALTER SEQUENCE nvent.position_seq CACHE 1 CYCLE;
INSERT INTO log_b (n) VALUES (20);
ALTER SEQUENCE nvent.position_seq NO CYCLE INCREMENT -1 MINVALUE 1;
INSERT INTO log_b (n) VALUES (20);
ALTER SEQUENCE nvent.position_seq INCREMENT 1;
ALTER SEQUENCE nvent.position_seq SET UNLOGGED;
INSERT INTO log_b (n) VALUES (20);
ALTER SEQUENCE nvent.position_seq SET LOGGED;
INSERT INTO log_b (n) VALUES (20) RETURNING id;
ALTER SEQUENCE nvent.position_seq RESTART;
INSERT INTO log_b (n) VALUES (21);
SELECT setval('nvent.position_seq', 1003);

-- A cursor of the future is none of ours.
\set VERBOSITY default
SELECT * FROM nvent.stream_poll('nvent:>', 1004);
\set VERBOSITY terse
SELECT * FROM nvent.stream_poll_category('nvent:a', 1004);
SELECT nvent.stream_wait('nvent:>', 1004, '1 s');
CALL nvent.stream_await('nvent:>', 1004, '1 s');
SELECT * FROM nvent.stream_poll('nvent:>', 1003);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM nvent.stream_poll('nvent:>', 1004);
COMMIT;

-- What a new timeline is to bring is asked for and said before it is drawn.
SELECT setval('nvent.position_timeline', 4);
SELECT * FROM nvent.stream_poll('nvent:>', 1004);
SELECT * FROM nvent.stream_poll('nvent:>', 1003 + 4294967297);
ALTER SEQUENCE nvent.position_timeline MAXVALUE 4000;
INSERT INTO log_b (n) VALUES (22) RETURNING id - 4294967296 AS id;
SELECT last_value FROM nvent.position_timeline;
INSERT INTO log_b (n) VALUES (23) RETURNING id - 4294967296 AS id;
SELECT setval('nvent.position_timeline', 4), setval('nvent.position_seq', 9223372036854775000);
ALTER SEQUENCE nvent.position_timeline MAXVALUE 4001;
INSERT INTO log_b (n) VALUES (24);


-- Another extension of the name begins anew.
DROP TABLE log_a, log_b;
DROP PROCEDURE append_five();
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP EXTENSION nvent_store;
CREATE EXTENSION nvent_store;
SELECT nvent.store_create();
SELECT nvent.safe_position();
CREATE TABLE log_a (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, n int);
BEGIN;
INSERT INTO log_a (n) VALUES (1);
SELECT low_water_mark, tables FROM nvent.appenders;
SELECT nvent.safe_position();
COMMIT;
SELECT nvent.safe_position();
DROP TABLE log_a;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
