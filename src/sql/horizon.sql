
-- Positions.  See src/horizon.c.

-- CACHE 1: a cached range would be drawn before its floor is published.
CREATE SEQUENCE nvent.position_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.position_seq IS 'positions of events, one sequence for the database; draw from it only through nvent.next_position()';
SELECT pg_catalog.pg_extension_config_dump('nvent.position_seq', '');

CREATE FUNCTION nvent.next_position() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_next_position_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.next_position() IS 'draws a position for a row that this transaction inserts; the default of column id of every event table, so that INSERT and COPY by hand keep the order that readers rely on';

CREATE FUNCTION nvent.safe_position() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_safe_position_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.safe_position() IS 'the position at or below which every event is committed or gone: call it in one statement, then read events up to it in the next; a statement of its own, since its snapshot must be taken after the answer';
