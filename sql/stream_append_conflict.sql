-- What an append expects of its stream, and the conflict that it gets when that
-- is not so: which expectations there are, the error's code and data, that
-- nothing is written, and that the transaction may go on from a savepoint.
-- Several sessions at once are in test/specs/stream_append_conflict.spec.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
SELECT pg_temp.show(nvent.stream_append('test:account:one', '{"type": "a"}'));
SELECT count(nvent.stream_append('test:account:three', jsonb_build_object('type', t))) FROM unnest('{a,b,c}'::text[]) t;

-- Expected 0 is a stream without events.
SELECT pg_temp.show(nvent.stream_append('test:account:new', '{"type": "a"}', 0));
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:new', '{"type": "b"}', 0)$$);
SELECT pg_temp.events('test:account:new');

-- A version is that version and no other.
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:three', '{"type": "d"}', 2)$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:three', '{"type": "d"}', 4)$$);
SELECT pg_temp.events('test:account:three');
SELECT pg_temp.show(nvent.stream_append('test:account:three', '{"type": "d"}', 3));
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:three', '{"type": "e"}', 9223372036854775807)$$);
-- Of a batch the version before its first event.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_batch('test:account:three', '{"{\"type\": \"x\"}"}', 3)$$);
SELECT pg_temp.list(e) FROM nvent.stream_append_batch('test:account:three', '{"{\"type\": \"e\"}", "{\"type\": \"f\"}"}', 4) e;

-- NULL is any version; "exists" refuses a missing stream.
SELECT pg_temp.show(nvent.stream_append('test:account:any', '{"type": "a"}'));
SELECT pg_temp.show(nvent.stream_append('test:account:any', '{"type": "b"}', NULL));
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:account:any", "expected": "any", "events": [{"type": "c"}]},
    {"subject": "test:account:three", "expected": "exists", "events": [{"type": "g"}]}]') e;
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:account:missing", "expected": "exists", "events": [{"type": "c"}]}]')$$);
SELECT pg_temp.events('test:account:any'), pg_temp.events('test:account:missing');

-- What no expectation means is an argument error.
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:any', '{"type": "a"}', -1)$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append('test:account:never', '{"type": "a"}', -2)$$);
SELECT expected, pg_temp.outcome(format($$SELECT nvent.stream_append_many('[
    {"subject": "test:account:any", "expected": %s, "events": [{"type": "c"}]}]')$$, expected))
FROM (VALUES (1, '-1'), (2, '1.5'), (3, '"3"'), (4, '"Any"'), (5, 'true'),
    (6, '[3]'), (7, '1e30')) v (k, expected) ORDER BY k;
SELECT pg_temp.events('test:account:any'), pg_temp.events('test:account:never');

-- A conflict has a code of its own, and its data as JSON; a subject with
-- everything in it comes back as it is.
CREATE FUNCTION pg_temp.conflict(subject text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM nvent.stream_append(subject, '{"type": "a"}', 7);
EXCEPTION WHEN SQLSTATE 'NV001' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END $$;
SELECT pg_temp.conflict('test:account:any');
SELECT pg_temp.conflict(s)->>'subject' = s AS same
FROM (VALUES ('test:account:a"b''c %s {é}\')) v (s);

-- After a conflict and a rollback to a savepoint the work goes on.
BEGIN;
SELECT pg_temp.show(nvent.stream_append('test:account:savepoint', '{"type": "a"}'));
SAVEPOINT s;
SELECT nvent.stream_append('test:account:savepoint', '{"type": "b"}', 7);
ROLLBACK TO s;
SELECT pg_temp.show(nvent.stream_append('test:account:savepoint', '{"type": "b"}', 1));
COMMIT;
SELECT pg_temp.events('test:account:savepoint');

-- No events: nothing is written, but what is expected is checked.
SELECT nvent.stream_append_batch('test:account:one', '{}', 1);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_batch('test:account:one', '{}', 5)$$);
SELECT nvent.stream_append_many('[]');
SELECT nvent.stream_append_many('[{"subject": "test:account:one", "events": [], "expected": 1}]');
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[{"subject": "test:account:one", "expected": 2}]')$$);
SELECT pg_temp.events('test:account:one');

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
