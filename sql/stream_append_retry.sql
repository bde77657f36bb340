-- Events that bring an id: it is kept and can be had once in a table; the same
-- call once more, as after a lost answer, returns the first one's records and
-- writes nothing; another content under a known id is an error of its own.
-- Two sessions at once are in test/specs/stream_append_retry_race.spec.
--
-- Seen to fail with rows counted where an id has several (the server crashes, or
-- an event that is new is said to be known).
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers

-- An event may bring its id, which is kept and can be had once in a table;
-- without it, its position is its id.
SELECT pg_temp.show(e), e->>'eventId' AS id FROM nvent.stream_append_batch('test:account:kept',
    '{"{\"type\": \"a\", \"eventId\": \"a-1\", \"data\": 1, \"by\": \"ann\"}", "{\"type\": \"b\"}"}') e;
SELECT e->>'eventId' AS id FROM nvent.stream_read('test:account:kept') e;

-- The same once more, as after a lost answer: the first call's records, and
-- nothing is written, though the expected version is over.
CREATE TEMP TABLE sent AS SELECT 'test:account:sent' AS subject, ARRAY[
    '{"type": "a", "eventId": "x-1", "data": {"n": 1.0}, "by": "ann"}',
    '{"type": "b", "eventId": "x-2", "ts": 5}']::jsonb[] AS events;
CREATE TEMP TABLE first AS
SELECT e FROM sent, nvent.stream_append_batch(subject, events, 0) e;
SELECT pg_temp.show(nvent.stream_append('test:account:sent', '{"type": "c"}'));
SELECT count(*) FILTER (WHERE e IN (SELECT e FROM first)) AS same, count(*)
FROM sent, nvent.stream_append_batch(subject, events, 0) e;
SELECT pg_temp.show(nvent.stream_append(subject, events[1], 0)) FROM sent;
SELECT pg_temp.events('test:account:sent');
CREATE TEMP TABLE many AS SELECT '[
    {"subject": "test:account:sent", "expected": 3, "events": [{"type": "d", "eventId": "m-1"}]},
    {"subject": "test:ledger:third", "expected": 0, "events": [{"type": "d", "eventId": "m-3"}]},
    {"subject": "test:account:second", "events": [{"type": "d", "eventId": "m-2"}]}]'::jsonb AS calls;
CREATE TEMP TABLE many_first AS SELECT e FROM many, nvent.stream_append_many(calls) e;
SELECT count(*) FILTER (WHERE e IN (SELECT e FROM many_first)) AS same, count(*)
FROM many, nvent.stream_append_many(calls) e;
SELECT pg_temp.events('test:account:sent'), pg_temp.events('test:account:second'), pg_temp.events('test:ledger:third');

-- An id with other content is an error of its own, and so is a call of which a
-- part is known; nothing is written.
SELECT k, pg_temp.outcome(s) FROM (VALUES
    (1, $$SELECT nvent.stream_append('test:account:sent', '{"type": "A", "eventId": "x-1", "data": {"n": 1}, "by": "ann"}', 0)$$),
    (2, $$SELECT nvent.stream_append('test:account:sent', '{"type": "a", "eventId": "x-1", "data": {"n": 2}, "by": "ann"}', 0)$$),
    (3, $$SELECT nvent.stream_append('test:account:sent', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "bob"}', 0)$$),
    (4, $$SELECT nvent.stream_append('test:account:sent', '{"type": "a", "eventId": "x-1", "data": {"n": 1}}', 0)$$),
    (5, $$SELECT nvent.stream_append('test:account:sent', '{"type": "a", "eventId": "x-1", "by": "ann"}', 0)$$),
    (6, $$SELECT nvent.stream_append('test:account:sent', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "ann", "attempt": 2}', 0)$$),
    (7, $$SELECT nvent.stream_append('test:account:sent', '{"type": "b", "eventId": "x-2", "ts": 6}')$$),
    (8, $$SELECT nvent.stream_append('test:account:elsewhere', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "ann"}', 0)$$),
    (9, $$SELECT nvent.stream_append_batch('test:account:sent', events || '{"type": "c"}'::jsonb, 0) FROM sent$$),
    (10, $$SELECT nvent.stream_append_batch('test:account:sent', events || '{"type": "c", "eventId": "x-3"}'::jsonb, 0) FROM sent$$),
    (11, $$SELECT nvent.stream_append_batch('test:account:sent', ARRAY[events[2], events[1]], 0) FROM sent$$),
    (12, $$SELECT nvent.stream_append_batch('test:account:sent', ARRAY['{"type": "c", "eventId": "x-3"}', '{"type": "d", "eventId": "x-3"}']::jsonb[])$$),
    (13, $$SELECT nvent.stream_append('test:account:sent', '{"type": "c", "eventId": ""}')$$),
    (14, $$SELECT nvent.stream_append('test:account:sent', jsonb_build_object('type', 'c', 'eventId', repeat('x', 513)))$$),
    (15, $$SELECT nvent.stream_append('test:account:sent', '{"type": "c", "eventId": 7}')$$)
) v (k, s) ORDER BY k;
SELECT pg_temp.events('test:account:sent'), pg_temp.events('test:account:elsewhere');

-- An id is taken again once its event is deleted.
SELECT nvent.stream_delete('test:account:second');
SELECT pg_temp.show(nvent.stream_append('test:account:second', '{"type": "d", "eventId": "m-2"}'));

-- A table of one's own has ids when it has the column, of type uuid too.
CREATE TABLE test.notes (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY,
    subject text COLLATE "C" NOT NULL, version integer NOT NULL, ts bigint NOT NULL,
    type text NOT NULL, event_id uuid UNIQUE, data json, place point);
SELECT nvent.route_add('stream', 'test:note:>', 'test.notes');
SELECT pg_temp.show(nvent.stream_append('test:note:1', '{"type": "a", "data": {"b": 1}, "place": "(1,2)",
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}', 0)) FROM generate_series(1, 2);
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:note:1', '{"type": "a", "data": {"b": 2}, "place": "(1,2)",
    "eventId": "6BA7B810-9dad-11d1-80b4-00c04fd430c8"}', 0)$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:note:1', '{"type": "a", "data": {"b": 1}, "place": "(1,3)",
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}', 0)$$);

-- What violates another constraint of the table is that error, not an id that is
-- taken, nor a row that a trigger kept out; so it is where no index keeps ids
-- unique, and where one keeps them so in part.
CREATE UNIQUE INDEX notes_b ON test.notes ((data->>'b'));
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:note:2', '{"type": "a", "data": {"b": 1},
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c9"}')$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_batch('test:note:2', ARRAY['{"type": "a", "data": {"b": 2},
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c9"}', '{"type": "a", "data": {"b": 1},
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430ca"}']::jsonb[])$$);
ALTER TABLE test.notes DROP CONSTRAINT notes_event_id_key;
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:note:2', '{"type": "a", "data": {"b": 1},
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c9"}')$$);
CREATE UNIQUE INDEX ON test.notes (subject, event_id);
SELECT pg_temp.show(nvent.stream_append('test:note:2', '{"type": "a", "data": {"b": 3},
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c9"}')) FROM generate_series(1, 2);

-- Where no index keeps ids unique, SQL, or two sessions at once, may bring one
-- twice; the first one is the event, and it counts once.
CREATE TABLE test.log (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY,
    subject text COLLATE "C" NOT NULL, ts bigint NOT NULL, type text NOT NULL, event_id text, n integer);
SELECT nvent.route_add('stream', 'test:log:>', 'test.log');
SELECT nvent.stream_append('test:log:1', '{"type": "a", "eventId": "l-1", "n": 1}') ? 'id' AS appended;
INSERT INTO test.log (subject, ts, type, event_id, n) SELECT subject, ts, type, event_id, n FROM test.log, generate_series(1, 3);
SELECT nvent.stream_append('test:log:1', '{"type": "a", "eventId": "l-1", "n": 1}')->>'id' = (SELECT min(id)::text FROM test.log) AS is_first;
SELECT pg_temp.outcome($$SELECT nvent.stream_append_batch('test:log:1', ARRAY['{"type": "a", "eventId": "l-1", "n": 1}',
    '{"type": "a", "eventId": "l-2", "n": 1}']::jsonb[])$$);
SELECT count(*) FROM test.log;

-- Where there is no such column, as in the tables of the nvent adapter, the id is
-- a field like any other, and so is pii, which then cannot be erased; from
-- the moment that there are columns they are what they are elsewhere.
SELECT nvent.stream_append('test:flow:run:plain', '{"type": "a", "eventId": "f-1", "pii": {"name": "ann"}}')->'meta' AS meta FROM generate_series(1, 2);
SELECT count(*) FROM nvent.stream_read('test:flow:run:plain');
SELECT pg_temp.outcome($$SELECT nvent.stream_erase('test:flow:run:plain')$$);
ALTER TABLE test.test_flow_events ADD COLUMN event_id text COLLATE "C" UNIQUE, ADD COLUMN pii jsonb;
SELECT nvent.stream_append('test:flow:run:ids', '{"type": "a", "eventId": "f-1", "pii": {"name": "ann"}}') - '{id,ts}'::text[] AS event FROM generate_series(1, 2);
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:flow:run:elsewhere', '{"type": "a", "eventId": "f-1"}')$$);
SELECT nvent.stream_erase('test:flow:run:ids'), count(*) FROM nvent.stream_read('test:flow:run:ids');

-- One call may write to both kinds; repeated it raises, and writes nothing.
CREATE TEMP TABLE both_kinds AS SELECT '[
    {"subject": "test:trigger:event:both", "events": [{"type": "a", "eventId": "k-1"}]},
    {"subject": "test:flow:run:both", "events": [{"type": "a", "eventId": "k-1"}]}]'::jsonb AS calls;
SELECT count(*) FROM both_kinds, nvent.stream_append_many(calls);
SELECT pg_temp.outcome('SELECT nvent.stream_append_many(calls) FROM both_kinds');
SELECT count(*) FROM nvent.stream_read('test:trigger:event:both');

SELECT nvent.route_drop('stream', 'test:note:>'), nvent.route_drop('stream', 'test:log:>');
DROP TABLE test.notes, test.log;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
