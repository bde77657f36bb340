
-- Following streams in a safe order.  See src/stream_poll.c.

CREATE FUNCTION nvent.stream_poll(pattern text, after bigint, max_count integer DEFAULT 1000, types text[] DEFAULT NULL, store text DEFAULT NULL, OUT next_cursor bigint, OUT events jsonb[]) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_stream_poll'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_poll(text, bigint, integer, text[], text) IS 'the next events of all subjects that match pattern, over all tables of the store, in the order of positions: always one row, events (records as of nvent.stream_read, perhaps none) and next_cursor, to be passed as after the next time; after 0 or NULL begins with the oldest; what has not settled waits, so nothing is ever missed, repeated or out of order, and next_cursor advances past what pattern and types leave out; max_count is 1 to 65536, exceeded only to keep events of equal position together, which adopted tables may have; types keeps events of these types, NULL all; store NULL is that of the pattern''s first token; in REPEATABLE READ and SERIALIZABLE and on a standby up to the position in nvent.tick; raises NV005 for a malformed pattern, NV009 for a store that does not exist; example: SELECT p.next_cursor, e FROM nvent.stream_poll(''nvent:flow:run:>'', 4711) p LEFT JOIN LATERAL unnest(p.events) e ON true';
