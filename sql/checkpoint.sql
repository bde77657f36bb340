-- Checkpoints: load, save and delete; no step back and no stale token unless
-- forced; undone with the effect that they are of.  Two sessions that save are
-- in test/specs/checkpoint_race.spec, killed ones in test/t/050_consumer.pl.
SET client_min_messages = warning;

-- An unknown name has none; saving makes the default store.
SELECT * FROM nvent.checkpoint_load('a');
SELECT nvent.checkpoint_save('a', 5);
SELECT "position", token, data FROM nvent.checkpoint_load('a');
-- Overwrite; names are independent, and texts as they are.
SELECT nvent.checkpoint_save('a', 6), nvent.checkpoint_save('A', 1), nvent.checkpoint_save(' a', 2);
SELECT n, "position" FROM unnest(ARRAY['a', 'A', ' a']) AS n, nvent.checkpoint_load(n);
-- Data stays until there is other; equal positions are no step back.
SELECT nvent.checkpoint_save('a', 6, data => '{"sum": 1}');
SELECT nvent.checkpoint_save('a', 7);
SELECT "position", data FROM nvent.checkpoint_load('a');

-- A lower position is refused unless forced, and nothing is changed.
SELECT nvent.checkpoint_save('a', 6, data => '{"sum": 2}');
SELECT "position", data FROM nvent.checkpoint_load('a');
SELECT nvent.checkpoint_save('a', 2, force => true);
SELECT "position", data FROM nvent.checkpoint_load('a');
-- Or it is to be kept where it is higher, with its data; then that is no error.
SELECT nvent.checkpoint_save('a', 1, data => '{"sum": 3}', keep_higher => true);
SELECT "position", data FROM nvent.checkpoint_load('a');
SELECT nvent.checkpoint_save('a', 4, data => '{"sum": 4}', keep_higher => true);
SELECT "position", data FROM nvent.checkpoint_load('a');
SELECT nvent.checkpoint_save('a', 2, force => true, keep_higher => true);
SELECT "position", data FROM nvent.checkpoint_load('a');
SELECT nvent.checkpoint_save('a', 3, keep_higher => NULL);
-- The token of a lease that was taken over is refused, forced or not; so
-- is none at all, once there was one.  Without any, nothing is asked.
SELECT nvent.checkpoint_save('b', 1, 7), nvent.checkpoint_save('b', 2, 7), nvent.checkpoint_save('b', 2, 9);
SELECT nvent.checkpoint_save('b', 3, 8);
SELECT nvent.checkpoint_save('b', 1, 8, keep_higher => true);
SELECT nvent.checkpoint_save('b', 1, 8, force => true);
SELECT nvent.checkpoint_save('b', 3);
SELECT nvent.checkpoint_save('b', 1, 9);
SELECT nvent.checkpoint_save('b', 1, 9, force => true);
SELECT "position", token FROM nvent.checkpoint_load('b');
\set VERBOSITY sqlstate
SELECT nvent.checkpoint_save('b', 3, 8);
SELECT nvent.checkpoint_save('b', 0, 9);
\set VERBOSITY default

-- Effect and checkpoint are undone together, also by a savepoint.
CREATE TABLE effect (id integer);
BEGIN;
INSERT INTO effect VALUES (1);
SELECT nvent.checkpoint_save('a', 100);
ROLLBACK;
SELECT count(*), (SELECT "position" FROM nvent.checkpoint_load('a')) FROM effect;
BEGIN;
SELECT nvent.checkpoint_save('a', 10);
SAVEPOINT s;
INSERT INTO effect VALUES (1);
SELECT nvent.checkpoint_save('a', 100);
ROLLBACK TO s;
COMMIT;
SELECT count(*), (SELECT "position" FROM nvent.checkpoint_load('a')) FROM effect;
-- The same with a consumer: what is acknowledged comes back with ROLLBACK.
SELECT nvent.consumer_subscribe('c', mark => 10);
SELECT token FROM nvent.consumer_claim() \gset
BEGIN;
INSERT INTO effect VALUES (1);
SELECT nvent.consumer_ack('c', :token, 10);
ROLLBACK;
SELECT count(*), (SELECT "position" FROM nvent.consumer_list()) FROM effect;
SELECT nvent.consumer_ack('c', :token, 10);

-- Deleting one, and what the scan keeps is nobody's.
SELECT nvent.checkpoint_delete('a'), nvent.checkpoint_delete('a');
SELECT count(*) FROM nvent.checkpoint_load('a');
SELECT nvent.stream_append('nvent:x:1', '{"type": "t"}') IS NOT NULL, nvent.consumer_correlate() > 0;
SELECT name <> '' AS named, count(*) FROM nvent_checkpoints GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM nvent.checkpoint_load('');
SELECT nvent.checkpoint_save('', 1);
SELECT nvent.checkpoint_delete('');

-- Errors.
SELECT nvent.checkpoint_save(NULL, 1);
SELECT nvent.checkpoint_save('a', NULL);
SELECT nvent.checkpoint_save('a', 1, force => NULL);
SELECT nvent.checkpoint_save(repeat('é', 513), 1);
SELECT nvent.checkpoint_load(NULL);
SELECT nvent.checkpoint_delete(NULL);
SELECT nvent.checkpoint_save('a', 1, store => 'none');
SELECT nvent.checkpoint_load('a', 'none');

DROP TABLE effect;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
SELECT nvent.checkpoint_delete('a');
