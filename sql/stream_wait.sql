-- Waiting for events, as far as one session can tell: what is there already,
-- how long at most, in functions and procedures, interrupted.  Being woken is
-- in test/specs/stream_wait_wake.spec, what it holds in
-- test/t/060_wakeup_wait.pl.
SELECT nvent.store_create('wait');
SELECT nvent.stream_append('wait:flow:run:a', '{"type": "made"}') ->> 'subject' AS subject;

-- What is there already is not waited for.
SELECT nvent.stream_wait('wait:flow:run:a', 0);
SELECT nvent.stream_wait('wait:>', NULL, NULL);
SELECT nvent.stream_wait('>', 0, '10 s', store => 'wait');

-- Nor is longer waited than asked for.
SELECT nvent.stream_wait('wait:>', nvent.safe_position('wait'), '10 ms');
SELECT nvent.stream_wait('wait:flow:run:b', 0, '10 ms');
SELECT nvent.stream_wait('wait:none:>', 0, '0');
SELECT nvent.stream_wait('wait:>', nvent.safe_position('wait'), '-1 s');

-- A function waits no longer than the setting allows, whatever it is asked for.
SET nvent_store.max_wait = '10ms';
SELECT nvent.stream_wait('wait:>', nvent.safe_position('wait'), '1 day');
SELECT nvent.stream_wait('wait:>', nvent.safe_position('wait'), NULL);
BEGIN;
CALL nvent.stream_await('wait:>', nvent.safe_position('wait'), '1 day');
COMMIT;
CREATE FUNCTION await_in_function() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CALL nvent.stream_await('wait:>', nvent.safe_position('wait'), '1 day');
END $$;
SELECT await_in_function();
DROP FUNCTION await_in_function();
RESET nvent_store.max_wait;

-- The procedure has its own transactions, alone and in procedures.
CALL nvent.stream_await('wait:>', 0);
CALL nvent.stream_await('wait:>', nvent.safe_position('wait'), '10 ms');
CREATE TABLE steps (n int);
CREATE PROCEDURE await_twice() LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. 2 LOOP
        INSERT INTO steps VALUES (n);
        CALL nvent.stream_await('wait:>', nvent.safe_position('wait'), '10 ms');
        -- It was committed before the wait.
        ROLLBACK;
    END LOOP;
END $$;
CALL await_twice();
SELECT n FROM steps ORDER BY n;
DROP PROCEDURE await_twice();
DROP TABLE steps;

-- One's own open transaction is no event yet.
BEGIN;
SELECT nvent.stream_append('wait:flow:run:own', '{"type": "made"}') ->> 'subject' AS subject;
SELECT nvent.stream_wait('wait:flow:run:own', 0, '10 ms');
SELECT nvent.stream_wait('wait:flow:run:a', 0, '10 s');
COMMIT;
SELECT nvent.stream_wait('wait:flow:run:own', 0, '10 s');

-- It can be interrupted.
SET statement_timeout = '50ms';
SELECT nvent.stream_wait('wait:>', nvent.safe_position('wait'), '1 day');
CALL nvent.stream_await('wait:>', nvent.safe_position('wait'), '1 day');
RESET statement_timeout;
SELECT COALESCE(waiters, 0) AS waiters FROM nvent.worker_status();

-- What cannot be waited for.
SELECT nvent.stream_wait(NULL, 0);
SELECT nvent.stream_wait('wait:{x', 0);
SELECT nvent.stream_wait('wait:>', 0, store => 'nobody');
CALL nvent.stream_await('wait:>', 0, store => 'nobody');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT nvent.stream_wait('wait:>', 0);
ROLLBACK;
SELECT COALESCE(waiters, 0) AS waiters FROM nvent.worker_status();

\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_migrate('wait', 0) > 0 AS dropped;
