-- Checks of an event store, section A: appends, versions, conflicts.  Numbers
-- are those of the table in the documentation; the ones that need two
-- sessions are in test/specs/contract_NN*.spec and test/t/030_eventstore.pl.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('ca', 'ca');
CREATE FUNCTION ca.show(r jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r->>'subject', r->>'version', r->>'type', r->'data')
$$;
-- What a statement ends with: SQLSTATE, message, DETAIL.
CREATE FUNCTION ca.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    detail text;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN 'ok: ' || n;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''));
END $$;
CREATE FUNCTION ca.versions(subject text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e->>'version', ',' ORDER BY (e->>'id')::bigint)
    FROM nvent.stream_read($1) e
$$;

-- 1: one event to a new stream is what a read returns.
SELECT ca.show(nvent.stream_append('ca:account:1',
    '{"type": "opened", "data": {"by": "ann"}, "cause": "web"}'));
SELECT ca.show(e), e->'meta', (e->>'id')::bigint > 0 AS has_position
FROM nvent.stream_read('ca:account:1') e;

-- 2: what an append returns is what a read returns.
CREATE TEMP TABLE appended AS
SELECT nvent.stream_append('ca:account:1', '{"type": "renamed"}') AS r;
SELECT r = e AS same, ca.show(r)
FROM appended, nvent.stream_read('ca:account:1', backward => true, max_count => 1) e;

-- 3: three events in one call, in the order of the array.
SELECT ca.show(e), (e->>'id')::bigint > lag((e->>'id')::bigint) OVER () AS later
FROM nvent.stream_append_batch('ca:account:3',
    '{"{\"type\": \"a\"}", "{\"type\": \"b\"}", "{\"type\": \"c\"}"}') e;

-- 4: 1,200 events in one call, all or nothing.
SELECT count(*), min((e->>'version')::int), max((e->>'version')::int),
    count(DISTINCT e->>'version')
FROM nvent.stream_append_batch('ca:account:4', (
    SELECT array_agg(jsonb_build_object('type', 'e', 'data', i))
    FROM generate_series(1, 1200) i)) e;
SELECT bool_and(e->'data' = e->'version') FROM nvent.stream_read('ca:account:4', max_count => NULL) e;
SELECT ca.attempt($$SELECT nvent.stream_append_batch('ca:account:4b',
    (SELECT array_agg(CASE WHEN i < 1200 THEN '{"type": "e"}' ELSE '[]' END::jsonb)
     FROM generate_series(1, 1200) i))$$);
SELECT nvent.stream_version('ca:account:4b');

-- 5: expected 0 is a stream without events.
SELECT ca.show(nvent.stream_append('ca:account:5', '{"type": "a"}', 0));
SELECT ca.attempt($$SELECT nvent.stream_append('ca:account:5', '{"type": "b"}', 0)$$);
SELECT ca.versions('ca:account:5');

-- 6: a version is that version and no other.
SELECT ca.attempt($$SELECT nvent.stream_append('ca:account:3', '{"type": "d"}', 2)$$);
SELECT ca.attempt($$SELECT nvent.stream_append('ca:account:3', '{"type": "d"}', 4)$$);
SELECT ca.versions('ca:account:3');
SELECT ca.show(nvent.stream_append('ca:account:3', '{"type": "d"}', 3));

-- 7: NULL is any version; "exists" refuses a missing stream.
SELECT ca.show(nvent.stream_append('ca:account:7', '{"type": "a"}'));
SELECT ca.show(nvent.stream_append('ca:account:7', '{"type": "b"}', NULL));
SELECT ca.show(e) FROM nvent.stream_append_many('[
    {"subject": "ca:account:7", "expected": "any", "events": [{"type": "c"}]},
    {"subject": "ca:account:3", "expected": "exists", "events": [{"type": "e"}]}]') e;
SELECT ca.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "ca:account:7b", "expected": "exists", "events": [{"type": "c"}]}]')$$);
SELECT ca.versions('ca:account:7'), ca.versions('ca:account:7b');

-- 8: what no expectation means is an argument error.
SELECT ca.attempt($$SELECT nvent.stream_append('ca:account:7', '{"type": "a"}', -1)$$);
SELECT ca.attempt($$SELECT nvent.stream_append('ca:account:8', '{"type": "a"}', -2)$$);
SELECT expected, ca.attempt(format($$SELECT nvent.stream_append_many('[
    {"subject": "ca:account:7", "expected": %s, "events": [{"type": "c"}]}]')$$, expected))
FROM (VALUES (1, '-1'), (2, '1.5'), (3, '"3"'), (4, '"Any"'), (5, 'true'),
    (6, '[3]'), (7, '1e30')) v (k, expected) ORDER BY k;
SELECT ca.versions('ca:account:7'), ca.versions('ca:account:8');

-- 9, 10: a conflict has a code of its own, and its data as JSON; a subject
-- with everything in it comes back as it is.
CREATE FUNCTION ca.conflict(subject text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM nvent.stream_append(subject, '{"type": "a"}', 7);
EXCEPTION WHEN SQLSTATE 'NV001' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END $$;
SELECT ca.conflict('ca:account:7');
SELECT ca.conflict(s)->>'subject' = s AS same
FROM (VALUES ('ca:account:a"b''c %s {é}\')) v (s);

-- 11: after a conflict and a rollback to a savepoint the work goes on.
BEGIN;
SELECT ca.show(nvent.stream_append('ca:account:11', '{"type": "a"}'));
SAVEPOINT s;
SELECT nvent.stream_append('ca:account:11', '{"type": "b"}', 7);
ROLLBACK TO s;
SELECT ca.show(nvent.stream_append('ca:account:11', '{"type": "b"}', 1));
COMMIT;
SELECT ca.versions('ca:account:11');

-- 15: what is rolled back leaves no hole.
BEGIN;
SELECT ca.show(nvent.stream_append('ca:account:15', '{"type": "a"}'));
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT ca.show(nvent.stream_append('ca:account:15', '{"type": "b"}'));
ROLLBACK TO s;
SELECT ca.show(nvent.stream_append('ca:account:15', '{"type": "c"}'));
COMMIT;
SELECT ca.show(e) FROM nvent.stream_read('ca:account:15') e;

-- 19: no events: nothing is written, but what is expected is checked.
SELECT nvent.stream_append_batch('ca:account:15', '{}', 1);
SELECT ca.attempt($$SELECT nvent.stream_append_batch('ca:account:15', '{}', 5)$$);
SELECT nvent.stream_append_many('[]');
SELECT nvent.stream_append_many('[{"subject": "ca:account:15", "events": [], "expected": 1}]');
SELECT ca.attempt($$SELECT nvent.stream_append_many('[{"subject": "ca:account:15", "expected": 2}]')$$);
SELECT ca.versions('ca:account:15');

-- 20: what is missing or too long is named, and nothing is written.
SELECT k, ca.attempt(s) FROM (VALUES
    (1, $$SELECT nvent.stream_append(NULL, '{"type": "a"}')$$),
    (2, $$SELECT nvent.stream_append('', '{"type": "a"}')$$),
    (3, $$SELECT nvent.stream_append('ca:account:20', NULL)$$),
    (4, $$SELECT nvent.stream_append('ca:account:20', '{"data": 1}')$$),
    (5, $$SELECT nvent.stream_append('ca:account:20', '{"type": null}')$$),
    (6, $$SELECT nvent.stream_append('ca:account:20', '{"type": ""}')$$),
    (7, $$SELECT nvent.stream_append('ca:account:20', '{"type": 3}')$$),
    (8, $$SELECT nvent.stream_append('ca:account:20', '7')$$),
    (9, $$SELECT nvent.stream_append('ca:account::20', '{"type": "a"}')$$),
    (10, $$SELECT nvent.stream_append('ca:account:' || repeat('x', 512), '{"type": "a"}')$$),
    (11, $$SELECT nvent.stream_append_batch('ca:account:20', NULL)$$),
    (12, $$SELECT nvent.stream_append_batch('ca:account:20', '{null}')$$),
    (13, $$SELECT nvent.stream_append_many(NULL)$$),
    (14, $$SELECT nvent.stream_append_many('7')$$),
    (15, $$SELECT nvent.stream_append_many('[7]')$$),
    (16, $$SELECT nvent.stream_append_many('[{"events": []}]')$$),
    (17, $$SELECT nvent.stream_append_many('[{"subject": null}]')$$),
    (18, $$SELECT nvent.stream_append_many('[{"subject": ""}]')$$),
    (19, $$SELECT nvent.stream_append_many('[{"subject": "ca:account:20", "events": {}}]')$$),
    (20, $$SELECT nvent.stream_append_many('[{"subject": "ca:account:20", "events": [null]}]')$$),
    (21, $$SELECT nvent.stream_append_many('[{"subject": "ca:account:20", "expect": 1}]')$$)
) v (k, s) ORDER BY k;
SELECT nvent.stream_version('ca:account:20');

-- 21: subjects are kept to the byte.
SELECT ca.show(nvent.stream_append(s, '{"type": "a"}'))
FROM (VALUES (1, 'ca:account:A'), (2, 'ca:account:a'), (3, 'ca:account: a '),
    (4, 'ca:account:a b')) v (k, s) ORDER BY k;
SELECT nvent.stream_append(s, '{"type": "a"}')->>'subject' = s AS same
FROM (VALUES ('ca:account:äöü€')) v (s);
SELECT ca.show(e) FROM nvent.stream_read('ca:account: a ') e;

-- 22: large and deep payloads come back; jsonb keeps one of equal keys and no
-- blanks, as it does everywhere.
SELECT (nvent.stream_append('ca:account:22', jsonb_build_object('type', 'big',
    'data', repeat('0123456789abcdef', 65536))))->>'data' = repeat('0123456789abcdef', 65536) AS same;
SELECT length(e->>'data') FROM nvent.stream_read('ca:account:22') e;
SELECT e->'data' = (repeat('[', 1000) || repeat(']', 1000))::jsonb AS same
FROM nvent.stream_append('ca:account:22', jsonb_build_object('type', 'deep',
    'data', (repeat('[', 1000) || repeat(']', 1000))::jsonb)) e;
SELECT e->'data' FROM nvent.stream_append('ca:account:22',
    '{"type": "keys", "data": {"b": 1, "a":  2, "b": 3}}') e;

-- 23: an event may bring its id, which is kept and can be had once in a table;
-- without it, its position is its id.
SELECT ca.show(e), e->>'eventId' AS id FROM nvent.stream_append_batch('ca:account:23',
    '{"{\"type\": \"a\", \"eventId\": \"a-1\", \"data\": 1, \"by\": \"ann\"}", "{\"type\": \"b\"}"}') e;
SELECT e->>'eventId' AS id FROM nvent.stream_read('ca:account:23') e;

-- 24: the same once more, as after a lost answer: the first call's records, and
-- nothing is written, though the expected version is over.
CREATE TEMP TABLE sent AS SELECT 'ca:account:24' AS subject, ARRAY[
    '{"type": "a", "eventId": "x-1", "data": {"n": 1.0}, "by": "ann"}',
    '{"type": "b", "eventId": "x-2", "ts": 5}']::jsonb[] AS events;
CREATE TEMP TABLE first AS
SELECT e FROM sent, nvent.stream_append_batch(subject, events, 0) e;
SELECT ca.show(nvent.stream_append('ca:account:24', '{"type": "c"}'));
SELECT count(*) FILTER (WHERE e IN (SELECT e FROM first)) AS same, count(*)
FROM sent, nvent.stream_append_batch(subject, events, 0) e;
SELECT ca.show(nvent.stream_append(subject, events[1], 0)) FROM sent;
SELECT ca.versions('ca:account:24');
CREATE TEMP TABLE many AS SELECT '[
    {"subject": "ca:account:24", "expected": 3, "events": [{"type": "d", "eventId": "m-1"}]},
    {"subject": "ca:ledger:24", "expected": 0, "events": [{"type": "d", "eventId": "m-3"}]},
    {"subject": "ca:account:24b", "events": [{"type": "d", "eventId": "m-2"}]}]'::jsonb AS calls;
CREATE TEMP TABLE many_first AS SELECT e FROM many, nvent.stream_append_many(calls) e;
SELECT count(*) FILTER (WHERE e IN (SELECT e FROM many_first)) AS same, count(*)
FROM many, nvent.stream_append_many(calls) e;
SELECT ca.versions('ca:account:24'), ca.versions('ca:account:24b'), ca.versions('ca:ledger:24');

-- 25: an id with other content is an error of its own, and so is a call of
-- which a part is known; nothing is written.
SELECT k, ca.attempt(s) FROM (VALUES
    (1, $$SELECT nvent.stream_append('ca:account:24', '{"type": "A", "eventId": "x-1", "data": {"n": 1}, "by": "ann"}', 0)$$),
    (2, $$SELECT nvent.stream_append('ca:account:24', '{"type": "a", "eventId": "x-1", "data": {"n": 2}, "by": "ann"}', 0)$$),
    (3, $$SELECT nvent.stream_append('ca:account:24', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "bob"}', 0)$$),
    (4, $$SELECT nvent.stream_append('ca:account:24', '{"type": "a", "eventId": "x-1", "data": {"n": 1}}', 0)$$),
    (5, $$SELECT nvent.stream_append('ca:account:24', '{"type": "a", "eventId": "x-1", "by": "ann"}', 0)$$),
    (6, $$SELECT nvent.stream_append('ca:account:24', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "ann", "attempt": 2}', 0)$$),
    (7, $$SELECT nvent.stream_append('ca:account:24', '{"type": "b", "eventId": "x-2", "ts": 6}')$$),
    (8, $$SELECT nvent.stream_append('ca:account:25', '{"type": "a", "eventId": "x-1", "data": {"n": 1}, "by": "ann"}', 0)$$),
    (9, $$SELECT nvent.stream_append_batch('ca:account:24', events || '{"type": "c"}'::jsonb, 0) FROM sent$$),
    (10, $$SELECT nvent.stream_append_batch('ca:account:24', events || '{"type": "c", "eventId": "x-3"}'::jsonb, 0) FROM sent$$),
    (11, $$SELECT nvent.stream_append_batch('ca:account:24', ARRAY[events[2], events[1]], 0) FROM sent$$),
    (12, $$SELECT nvent.stream_append_batch('ca:account:24', ARRAY['{"type": "c", "eventId": "x-3"}', '{"type": "d", "eventId": "x-3"}']::jsonb[])$$),
    (13, $$SELECT nvent.stream_append('ca:account:24', '{"type": "c", "eventId": ""}')$$),
    (14, $$SELECT nvent.stream_append('ca:account:24', jsonb_build_object('type', 'c', 'eventId', repeat('x', 513)))$$),
    (15, $$SELECT nvent.stream_append('ca:account:24', '{"type": "c", "eventId": 7}')$$)
) v (k, s) ORDER BY k;
SELECT ca.versions('ca:account:24'), ca.versions('ca:account:25');
-- An id is taken again once its event is deleted.
SELECT nvent.stream_delete('ca:account:24b');
SELECT ca.show(nvent.stream_append('ca:account:24b', '{"type": "d", "eventId": "m-2"}'));
-- A table of one's own has ids when it has the column, of type uuid too.
CREATE TABLE ca.notes (id bigint DEFAULT nvent.next_position() PRIMARY KEY,
    subject text COLLATE "C" NOT NULL, version integer NOT NULL, ts bigint NOT NULL,
    type text NOT NULL, event_id uuid UNIQUE, data json, place point);
SELECT nvent.route_add('stream', 'ca:note:>', 'ca.notes');
SELECT ca.show(nvent.stream_append('ca:note:1', '{"type": "a", "data": {"b": 1}, "place": "(1,2)",
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}', 0)) FROM generate_series(1, 2);
SELECT ca.attempt($$SELECT nvent.stream_append('ca:note:1', '{"type": "a", "data": {"b": 2}, "place": "(1,2)",
    "eventId": "6BA7B810-9dad-11d1-80b4-00c04fd430c8"}', 0)$$);
SELECT ca.attempt($$SELECT nvent.stream_append('ca:note:1', '{"type": "a", "data": {"b": 1}, "place": "(1,3)",
    "eventId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}', 0)$$);
-- Where there is no such column, as in the tables of the nvent adapter, the id is
-- a field like any other, and so is pii, which then cannot be forgotten; from
-- the moment that there are columns they are what they are elsewhere.
SELECT nvent.stream_append('ca:flow:run:24', '{"type": "a", "eventId": "f-1", "pii": {"name": "ann"}}')->'meta' AS meta FROM generate_series(1, 2);
SELECT count(*) FROM nvent.stream_read('ca:flow:run:24');
SELECT ca.attempt($$SELECT nvent.stream_erase('ca:flow:run:24')$$);
ALTER TABLE ca.ca_flow_events ADD COLUMN event_id text COLLATE "C" UNIQUE, ADD COLUMN pii jsonb;
SELECT nvent.stream_append('ca:flow:run:25', '{"type": "a", "eventId": "f-1", "pii": {"name": "ann"}}') - '{id,ts}'::text[] AS event FROM generate_series(1, 2);
SELECT ca.attempt($$SELECT nvent.stream_append('ca:flow:run:26', '{"type": "a", "eventId": "f-1"}')$$);
SELECT nvent.stream_erase('ca:flow:run:25'), count(*) FROM nvent.stream_read('ca:flow:run:25');
-- One call may write to both kinds; its repetition is told so, and writes nothing.
CREATE TEMP TABLE both_kinds AS SELECT '[
    {"subject": "ca:trigger:event:24", "events": [{"type": "a", "eventId": "k-1"}]},
    {"subject": "ca:flow:run:27", "events": [{"type": "a", "eventId": "k-1"}]}]'::jsonb AS calls;
SELECT count(*) FROM both_kinds, nvent.stream_append_many(calls);
SELECT ca.attempt('SELECT nvent.stream_append_many(calls) FROM both_kinds');
SELECT count(*) FROM nvent.stream_read('ca:trigger:event:24');

-- 27: ts is the time of the call and may be given; created_at is the
-- transaction's.  Neither is what events are ordered by.
BEGIN;
SELECT (e->>'ts')::bigint >= extract(epoch FROM now()) * 1000 - 1 AS is_now
FROM nvent.stream_append('ca:account:27', '{"type": "a"}') e;
SELECT e->'ts' FROM nvent.stream_append('ca:account:27', '{"type": "b", "ts": 5}') e;
COMMIT;
SELECT pg_typeof(created_at), count(DISTINCT created_at) FROM ca.ca_stream_account
WHERE subject = 'ca:account:27' GROUP BY 1;
SELECT ca.show(e) FROM nvent.stream_read('ca:account:27') e;

DROP FUNCTION ca.show(jsonb), ca.attempt(text), ca.versions(text), ca.conflict(text);
SELECT nvent.route_drop('stream', 'ca:note:>');
DROP TABLE ca.notes;
SELECT nvent.store_migrate('ca', 0) > 0 AS dropped;
DROP SCHEMA ca;
