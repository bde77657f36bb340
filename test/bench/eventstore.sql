-- eventstore.sql: a store that takes one append lock, and a long subject; run
-- once, by eventstore.sh.
SET client_min_messages = warning;
CREATE SCHEMA peer;
CREATE TABLE peer.events (
    id bigserial PRIMARY KEY,
    stream text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    data jsonb,
    created timestamptz NOT NULL DEFAULT now(),
    UNIQUE (stream, version)
);

-- Whoever appends waits for all others, until they have committed: positions
-- become visible in their order.
CREATE FUNCTION peer.append(stream text, name text, data jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(4711);
    INSERT INTO peer.events (stream, version, name, data)
    SELECT $1, coalesce(max(e.version), 0) + 1, $2, $3 FROM peer.events e WHERE e.stream = $1
    RETURNING version INTO made;
    RETURN made;
END $$;

SELECT nvent.stream_create_table('long', indexes => '{type}');
INSERT INTO nvent_stream_long (subject, version, ts, type)
SELECT 'nvent:long:1', v, v, CASE WHEN v % 100000 = 77 THEN 'rare' ELSE 'e' END
FROM generate_series(1, 1000000) v;
INSERT INTO nvent_stream_long (subject, version, ts, type)
SELECT 'nvent:long:' || v, 1, v, 'e' FROM generate_series(2, 1000) v;
-- Ten of one category.
INSERT INTO nvent_stream_long (subject, version, ts, type)
SELECT 'nvent:long:few:' || v, 1, v, 'e' FROM generate_series(1, 10) v;
VACUUM ANALYZE nvent_stream_long;
