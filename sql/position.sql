-- Positions, the safe position, open appenders with their low-water marks, and
-- the published position.  What other sessions do to them is in
-- test/specs/position_*.spec, crashes and prepared transactions in
-- test/t/01*.pl.
DROP EXTENSION nvent_store;
CREATE EXTENSION nvent_store;
CREATE TABLE log_a (id bigint DEFAULT nvent.next_position() PRIMARY KEY, n int);
CREATE TABLE log_b (id bigint DEFAULT nvent.next_position() PRIMARY KEY, n int);

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
SELECT pid = pg_backend_pid() AS me, prepared, since >= now() AS from_here_on, low_water_mark, tables
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

-- Nothing is drawn where nothing may be written.
BEGIN READ ONLY;
SELECT nvent.next_position();
ROLLBACK;
SELECT count(*) FROM nvent.appenders;

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

-- An open appender holds it back as well.
BEGIN;
INSERT INTO log_a (n) VALUES (15) RETURNING id AS held \gset
SELECT nvent.position_publish() < :held AS below;
COMMIT;
SELECT nvent.position_publish() >= :held AS reached;

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

-- Somebody moves the sequence back: the low-water mark follows it.
SELECT setval('nvent.position_seq', 1000);
INSERT INTO log_b (n) VALUES (16);
SELECT setval('nvent.position_seq', 500);
BEGIN;
INSERT INTO log_b (n) VALUES (17);
INSERT INTO log_b (n) VALUES (18);
SELECT low_water_mark FROM nvent.appenders;
SELECT nvent.safe_position();
COMMIT;
SELECT nvent.safe_position();

-- Another extension of the name begins anew.
DROP TABLE log_a, log_b;
DROP PROCEDURE append_five();
DROP EXTENSION nvent_store;
CREATE EXTENSION nvent_store;
SELECT nvent.safe_position();
CREATE TABLE log_a (id bigint DEFAULT nvent.next_position() PRIMARY KEY, n int);
BEGIN;
INSERT INTO log_a (n) VALUES (1);
SELECT low_water_mark, tables FROM nvent.appenders;
SELECT nvent.safe_position();
COMMIT;
SELECT nvent.safe_position();
DROP TABLE log_a;
