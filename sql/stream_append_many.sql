-- One call that appends to several streams, all or none: expectations of each,
-- streams that are only looked at, order of the events, tables of every kind,
-- limits.  Races are in test/specs/stream_append_many_*.spec, and many sessions
-- in test/t/030_stream_append.pl.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
CREATE FUNCTION pg_temp.versions(VARIADIC subjects text[]) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT array_agg(nvent.stream_version(s) ORDER BY n)
    FROM unnest(subjects) WITH ORDINALITY u (s, n)
$$;

-- Two streams, in two tables, both as expected.
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:account:1", "expected": "none", "events": [{"type": "debited", "data": 10}]},
    {"subject": "test:ledger:1", "expected": 0, "events": [{"type": "booked", "data": 10}]}]') e;
SELECT pg_temp.versions('test:account:1', 'test:ledger:1');

-- One is stale: neither grows.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:account:1", "expected": 1, "events": [{"type": "x"}]},
    {"subject": "test:ledger:1", "expected": 0, "events": [{"type": "y"}]}]')$$);
SELECT pg_temp.versions('test:account:1', 'test:ledger:1');

-- A stream that is only looked at.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:ledger:1", "expected": 0},
    {"subject": "test:account:1", "expected": 1, "events": [{"type": "x"}]}]')$$);
SELECT pg_temp.versions('test:account:1', 'test:ledger:1');
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:ledger:1", "expected": 1},
    {"subject": "test:account:1", "expected": 1, "events": [{"type": "x"}]}]') e;
SELECT pg_temp.versions('test:account:1', 'test:ledger:1');

-- One that is expected to be missing may even have no table, and gets none.
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:limit:1", "expected": "none"},
    {"subject": "test:account:1", "expected": 2, "events": [{"type": "y"}]}]') e;
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:limit:1", "expected": "exists"},
    {"subject": "test:account:1", "expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT type FROM nvent.stream_tables('test');

-- A subject may come twice, but not with two expectations; there is no
-- event without a subject.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:account:1", "expected": 3, "events": [{"type": "z"}]},
    {"subject": "test:account:1", "expected": 4, "events": [{"type": "z"}]}]')$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:account:1", "expected": "any"},
    {"subject": "test:account:1", "expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT pg_temp.versions('test:account:1', 'test:ledger:1');
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:account:1", "events": [{"type": "p"}]},
    {"subject": "test:account:1", "expected": 3},
    {"subject": "test:account:1", "expected": 3, "events": [{"type": "q"}]}]') e;

-- Events of two streams in turns keep their order, also in two tables.
CREATE TEMP TABLE turns AS
SELECT * FROM nvent.stream_append_many('[
    {"subject": "test:turn:a", "events": [{"type": "1"}]},
    {"subject": "test:turn:b", "events": [{"type": "2"}]},
    {"subject": "test:other:a", "events": [{"type": "3"}, {"type": "4"}]},
    {"subject": "test:turn:a", "events": [{"type": "5"}]}]') AS e;
SELECT pg_temp.show(e) FROM turns;
SELECT string_agg(e->>'type', '' ORDER BY (e->>'id')::bigint) FROM turns;

-- Several are stale: the first in the order of bytes, and all of them.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:turn:b", "expected": 7, "events": [{"type": "z"}]},
    {"subject": "test:turn:a", "expected": 7, "events": [{"type": "z"}]},
    {"subject": "test:ledger:1", "expected": 1},
    {"subject": "test:other:b", "expected": "exists"}]')$$);

-- Plain logs have no versions to expect, but take part.
SELECT nvent.stream_create_table('log', versioned => false, store => 'test');
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:log:1", "events": [{"type": "seen"}]},
    {"subject": "test:turn:a", "expected": 2, "events": [{"type": "6"}]}]') e;
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:log:1", "expected": "exists"},
    {"subject": "test:turn:a", "events": [{"type": "7"}]}]')$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_version('test:log:1')$$);

-- Routed tables, whose subjects are spread over columns, do so too.
CREATE TABLE test.visits (id bigint DEFAULT nvent.next_position('test') PRIMARY KEY,
    site text NOT NULL, page text NOT NULL, ts bigint NOT NULL,
    type text NOT NULL, version integer NOT NULL, UNIQUE (site, page, version));
SELECT nvent.route_add('stream', 'test:visit:{site}:{page}', 'test.visits');
SELECT pg_temp.show(e) FROM nvent.stream_append_many('[
    {"subject": "test:visit:a:1", "expected": 0, "events": [{"type": "x"}]},
    {"subject": "test:visit:a:2", "expected": 0, "events": [{"type": "y"}]},
    {"subject": "test:visit:b:1", "expected": 0, "events": [{"type": "z"}]}]') e;
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many('[
    {"subject": "test:visit:a:1", "expected": 1, "events": [{"type": "x"}]},
    {"subject": "test:visit:a:2", "expected": 1, "events": [{"type": "y"}]},
    {"subject": "test:visit:b:1", "expected": 2, "events": [{"type": "z"}]}]')$$);

-- Limits.
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many((SELECT jsonb_agg(
    jsonb_build_object('subject', 'test:turn:' || i)) FROM generate_series(1, 4097) i))$$);
SELECT pg_temp.outcome($$SELECT nvent.stream_append_many(jsonb_build_array(jsonb_build_object(
    'subject', 'test:turn:a', 'events', (SELECT jsonb_agg(i) FROM generate_series(1, 65537) i))))$$);

-- What is no call; nothing is written.
SELECT k, pg_temp.outcome(s) FROM (VALUES
    (1, $$SELECT nvent.stream_append_many(NULL)$$),
    (2, $$SELECT nvent.stream_append_many('7')$$),
    (3, $$SELECT nvent.stream_append_many('[7]')$$),
    (4, $$SELECT nvent.stream_append_many('[{"events": []}]')$$),
    (5, $$SELECT nvent.stream_append_many('[{"subject": null}]')$$),
    (6, $$SELECT nvent.stream_append_many('[{"subject": ""}]')$$),
    (7, $$SELECT nvent.stream_append_many('[{"subject": "test:account:wrong", "events": {}}]')$$),
    (8, $$SELECT nvent.stream_append_many('[{"subject": "test:account:wrong", "events": [null]}]')$$),
    (9, $$SELECT nvent.stream_append_many('[{"subject": "test:account:wrong", "expect": 1}]')$$)
) v (k, s) ORDER BY k;
SELECT nvent.stream_version('test:account:wrong');

-- However many there are, reading them can be cancelled.
CREATE TABLE test.many (appends jsonb);
ALTER TABLE test.many ALTER appends SET STORAGE EXTERNAL;
INSERT INTO test.many SELECT jsonb_agg(jsonb_build_object('subject', 'test:a:' || i)) FROM generate_series(1, 300000) i;
SET statement_timeout = '10ms';
SELECT nvent.stream_append_many(appends) FROM test.many;
RESET statement_timeout;
DROP TABLE test.many;

SELECT nvent.route_drop('stream', 'test:visit:{site}:{page}');
DROP TABLE test.visits;
SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
