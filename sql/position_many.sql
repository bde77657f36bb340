-- Many positions at once: a call for many events, and COPY, draw as many as they
-- need with few visits to the sequence, and come to what one by one comes to.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('test', 'test');
SELECT nvent.stream_create_table('log', versioned => false, store => 'test');
CREATE TABLE test.by_hand (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, n int);

-- How many ids a table got since the last look, that are above those before and
-- in the order of what was appended, this far apart.
CREATE TABLE test.seen (id bigint);
INSERT INTO test.seen VALUES (0);
CREATE FUNCTION test.look(rel regclass, n text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    highest bigint;
BEGIN
    EXECUTE format($q$
        SELECT count(*) || ' rows' || CASE WHEN bool_and(n > last_n) THEN ' in order' ELSE ' out of order' END
            || CASE WHEN count(DISTINCT id - last) = 1 THEN ', each ' || max(id - last) || ' above the last' ELSE '' END, max(id)
        FROM (SELECT id, n, lag(n, 1, -1) OVER (ORDER BY id) AS last_n, lag(id) OVER (ORDER BY id) AS last
              FROM (SELECT id, (%s)::int AS n FROM %s WHERE id > (SELECT id FROM test.seen)) t) t$q$, n, rel)
    INTO result, highest;
    UPDATE test.seen SET id = greatest(id, highest);
    RETURN result;
END $$;
CREATE FUNCTION test.append(n int) RETURNS text LANGUAGE sql AS $$
    SELECT count(*) || ' events' FROM nvent.stream_append_batch('test:log:1', ARRAY(SELECT jsonb_build_object('type', 't', 'data', i) FROM generate_series(1, n) i)) $$;

-- A call's positions are one after the other, whatever the sequence's steps; the
-- next call's are above them.
SELECT test.append(1000), test.look('test.test_stream_log', 'data');
SELECT test.append(5), test.look('test.test_stream_log', 'data');
ALTER SEQUENCE nvent.position_seq INCREMENT 7;
SELECT test.append(100), test.look('test.test_stream_log', 'data');
SELECT test.append(100), test.look('test.test_stream_log', 'data');
ALTER SEQUENCE nvent.position_seq INCREMENT 1;
SELECT test.append(100), test.look('test.test_stream_log', 'data');

-- Rolled back, they are not drawn again.
SELECT last_value AS before FROM nvent.position_seq \gset
BEGIN;
SELECT test.append(50);
ROLLBACK;
SELECT last_value - :before AS drawn FROM nvent.position_seq;
SELECT test.append(1);
SELECT min(id) - :before AS first FROM test.test_stream_log WHERE id > :before;

-- What is at the end of the sequence is not exceeded.
SELECT test.look('test.test_stream_log', 'data'), last_value + 50 AS last FROM nvent.position_seq \gset
ALTER SEQUENCE nvent.position_seq MAXVALUE :last;
SELECT test.append(40), test.look('test.test_stream_log', 'data');
DO $$ BEGIN PERFORM test.append(11); EXCEPTION WHEN sequence_generator_limit_exceeded THEN RAISE WARNING 'no position is left'; END $$;
SELECT last_value - :last AS left FROM nvent.position_seq;
ALTER SEQUENCE nvent.position_seq NO MAXVALUE;
SELECT test.append(11), test.look('test.test_stream_log', 'data');

-- COPY puts rows into the table together, which it does not where a default is
-- volatile: what checks a row finds none of those before it.
CREATE FUNCTION test.rows_before() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM test.by_hand); END $$;
ALTER TABLE test.by_hand ADD CONSTRAINT together CHECK (test.rows_before() = 0);
COPY test.by_hand (n) FROM PROGRAM 'seq 100';
ALTER TABLE test.by_hand DROP CONSTRAINT together;
SELECT test.look('test.by_hand', 'n');
-- A few more are drawn than there are lines, none for a single line.
SELECT last_value BETWEEN 0 AND max(id) + 31 AS few FROM nvent.position_seq, test.by_hand GROUP BY last_value;
SELECT last_value AS before FROM nvent.position_seq \gset
COPY test.by_hand (n) FROM PROGRAM 'seq 1';
SELECT last_value - :before AS drawn FROM nvent.position_seq;
SELECT test.look('test.by_hand', 'n');
-- They count for the store: its readers wait.
BEGIN;
COPY test.by_hand (n) FROM PROGRAM 'seq 100';
SELECT stores, low_water_mark > :before AS above, low_water_mark <= (SELECT min(id) FROM test.by_hand WHERE id > low_water_mark - 1) AS below FROM nvent.appenders;
COMMIT;
SELECT test.look('test.by_hand', 'n');

-- It takes the right to execute the default, as ever.
CREATE ROLE regress_position_copier;
GRANT USAGE ON SCHEMA nvent, test TO regress_position_copier;
GRANT INSERT ON test.by_hand, test.test_stream_log TO regress_position_copier;
BEGIN;
SET LOCAL ROLE regress_position_copier;
COPY test.by_hand (n) FROM stdin;
1
\.
RESET ROLE;
REVOKE EXECUTE ON FUNCTION nvent.next_position(text) FROM PUBLIC;
SET LOCAL ROLE regress_position_copier;
SAVEPOINT s;
COPY test.by_hand (n) FROM stdin;
2
\.
ROLLBACK TO s;
SELECT nvent.next_position_in_copy('test');
ROLLBACK;
-- And that to append to the store.
REVOKE INSERT ON test.test_stream_log FROM regress_position_copier;
SET ROLE regress_position_copier;
COPY test.by_hand (n) FROM stdin;
3
\.
SELECT nvent.next_position_in_copy('test');
RESET ROLE;
DROP OWNED BY regress_position_copier;
DROP ROLE regress_position_copier;

-- Elsewhere the default stays volatile: each row that is there gets a position
-- of its own, and a query draws for the rows that it returns, in their order; so
-- do those of a trigger that is fired by COPY.
CREATE TABLE test.older AS SELECT n FROM generate_series(1, 3) n;
ALTER TABLE test.older ADD COLUMN id bigint DEFAULT nvent.next_position('test');
CREATE TABLE test.sorted (n int, id bigint);
CREATE FUNCTION test.alter_older() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE test.older ADD COLUMN other bigint DEFAULT nvent.next_position('test');
    INSERT INTO test.sorted SELECT n, nvent.next_position('test') FROM generate_series(1, 5) n ORDER BY n DESC LIMIT 2;
    RETURN NEW;
END $$;
CREATE TRIGGER alter_older BEFORE INSERT ON test.by_hand FOR EACH STATEMENT EXECUTE FUNCTION test.alter_older();
COPY test.by_hand (n) FROM PROGRAM 'seq 10';
SELECT count(DISTINCT id) AS ids, count(DISTINCT other) AS others FROM test.older;
SELECT n, id - min(id) OVER () AS drawn FROM test.sorted ORDER BY id;
SELECT last_value AS before FROM nvent.position_seq \gset
SELECT n, nvent.next_position('test') - :before AS drawn FROM generate_series(1, 5) n ORDER BY n DESC LIMIT 2;
SELECT nvent.next_position_in_copy(NULL);
SELECT nvent.next_position_in_copy('none');

DROP TABLE test.by_hand, test.older, test.sorted;
DO $$ BEGIN PERFORM nvent.store_migrate('test', 0); END $$;
DROP SCHEMA test CASCADE;
