-- Checks of an event store, section B: appends to several streams.  Races are
-- in test/specs/contract_NN*.spec and test/t/030_eventstore.pl.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_create('cb', 'cb');
CREATE FUNCTION cb.show(r jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r->>'subject', r->>'version', r->>'type', r->'data')
$$;
CREATE FUNCTION cb.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
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
CREATE FUNCTION cb.versions(VARIADIC subjects text[]) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT array_agg(nvent.stream_version(s) ORDER BY n)
    FROM unnest(subjects) WITH ORDINALITY u (s, n)
$$;

-- 28: two streams, in two tables, both as expected.
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:account:1", "expected": "none", "events": [{"type": "debited", "data": 10}]},
    {"subject": "cb:ledger:1", "expected": 0, "events": [{"type": "booked", "data": 10}]}]') e;
SELECT cb.versions('cb:account:1', 'cb:ledger:1');

-- 29: one is stale: neither grows.
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:account:1", "expected": 1, "events": [{"type": "x"}]},
    {"subject": "cb:ledger:1", "expected": 0, "events": [{"type": "y"}]}]')$$);
SELECT cb.versions('cb:account:1', 'cb:ledger:1');

-- 30: a stream that is only looked at.
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:ledger:1", "expected": 0},
    {"subject": "cb:account:1", "expected": 1, "events": [{"type": "x"}]}]')$$);
SELECT cb.versions('cb:account:1', 'cb:ledger:1');
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:ledger:1", "expected": 1},
    {"subject": "cb:account:1", "expected": 1, "events": [{"type": "x"}]}]') e;
SELECT cb.versions('cb:account:1', 'cb:ledger:1');

-- 32: one that is expected to be missing may even have no table, and gets none.
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:limit:1", "expected": "none"},
    {"subject": "cb:account:1", "expected": 2, "events": [{"type": "y"}]}]') e;
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:limit:1", "expected": "exists"},
    {"subject": "cb:account:1", "expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT type FROM nvent.stream_tables('cb');

-- 33: a subject may come twice, but not with two expectations; there is no
-- event without a subject.
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:account:1", "expected": 3, "events": [{"type": "z"}]},
    {"subject": "cb:account:1", "expected": 4, "events": [{"type": "z"}]}]')$$);
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:account:1", "expected": "any"},
    {"subject": "cb:account:1", "expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"expected": 3, "events": [{"type": "z"}]}]')$$);
SELECT cb.versions('cb:account:1', 'cb:ledger:1');
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:account:1", "events": [{"type": "p"}]},
    {"subject": "cb:account:1", "expected": 3},
    {"subject": "cb:account:1", "expected": 3, "events": [{"type": "q"}]}]') e;

-- 37: events of two streams in turns keep their order, also in two tables.
CREATE TEMP TABLE turns AS
SELECT * FROM nvent.stream_append_many('[
    {"subject": "cb:turn:a", "events": [{"type": "1"}]},
    {"subject": "cb:turn:b", "events": [{"type": "2"}]},
    {"subject": "cb:other:a", "events": [{"type": "3"}, {"type": "4"}]},
    {"subject": "cb:turn:a", "events": [{"type": "5"}]}]') AS e;
SELECT cb.show(e) FROM turns;
SELECT string_agg(e->>'type', '' ORDER BY (e->>'id')::bigint) FROM turns;

-- 38: several are stale: the first in the order of bytes, and all of them.
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:turn:b", "expected": 7, "events": [{"type": "z"}]},
    {"subject": "cb:turn:a", "expected": 7, "events": [{"type": "z"}]},
    {"subject": "cb:ledger:1", "expected": 1},
    {"subject": "cb:other:b", "expected": "exists"}]')$$);

-- Plain logs have no versions to expect, but take part.
SELECT nvent.stream_create_table('log', versioned => false, store => 'cb');
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:log:1", "events": [{"type": "seen"}]},
    {"subject": "cb:turn:a", "expected": 2, "events": [{"type": "6"}]}]') e;
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:log:1", "expected": "exists"},
    {"subject": "cb:turn:a", "events": [{"type": "7"}]}]')$$);
SELECT cb.attempt($$SELECT nvent.stream_version('cb:log:1')$$);

-- Routed tables, whose subjects are spread over columns, do so too.
CREATE TABLE cb.visits (id bigint DEFAULT nvent.next_position() PRIMARY KEY,
    site text NOT NULL, page text NOT NULL, ts bigint NOT NULL,
    type text NOT NULL, version integer NOT NULL, UNIQUE (site, page, version));
SELECT nvent.route_add('stream', 'cb:visit:{site}:{page}', 'cb.visits');
SELECT cb.show(e) FROM nvent.stream_append_many('[
    {"subject": "cb:visit:a:1", "expected": 0, "events": [{"type": "x"}]},
    {"subject": "cb:visit:a:2", "expected": 0, "events": [{"type": "y"}]},
    {"subject": "cb:visit:b:1", "expected": 0, "events": [{"type": "z"}]}]') e;
SELECT cb.attempt($$SELECT nvent.stream_append_many('[
    {"subject": "cb:visit:a:1", "expected": 1, "events": [{"type": "x"}]},
    {"subject": "cb:visit:a:2", "expected": 1, "events": [{"type": "y"}]},
    {"subject": "cb:visit:b:1", "expected": 2, "events": [{"type": "z"}]}]')$$);

-- Limits.
SELECT cb.attempt($$SELECT nvent.stream_append_many((SELECT jsonb_agg(
    jsonb_build_object('subject', 'cb:turn:' || i)) FROM generate_series(1, 4097) i))$$);
SELECT cb.attempt($$SELECT nvent.stream_append_many(jsonb_build_array(jsonb_build_object(
    'subject', 'cb:turn:a', 'events', (SELECT jsonb_agg(i) FROM generate_series(1, 65537) i))))$$);

DROP FUNCTION cb.show(jsonb), cb.attempt(text), cb.versions(text[]);
SELECT nvent.route_drop('stream', 'cb:visit:{site}:{page}');
DROP TABLE cb.visits;
SELECT nvent.store_migrate('cb', 0) > 0 AS dropped;
DROP SCHEMA cb;
