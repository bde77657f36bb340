
-- Following streams in a safe order.  See src/stream_poll.c.

CREATE FUNCTION nvent.stream_poll(pattern text, after bigint, max_count integer DEFAULT 1000, types text[] DEFAULT NULL, store text DEFAULT NULL, OUT next_cursor bigint, OUT events jsonb[]) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_stream_poll'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_poll(text, bigint, integer, text[], text) IS 'the next events of all subjects that match pattern, over all tables of the store, in the order of positions: always one row, events (records as of nvent.stream_read, perhaps none) and next_cursor, to be passed as after the next time; after 0 or NULL begins with the oldest; what has not settled waits, so nothing is ever missed, repeated or out of order, and next_cursor advances past what pattern and types leave out; max_count is 1 to 65536, exceeded only to keep events of equal position together, which adopted tables may have; types keeps events of these types, NULL all; store NULL is that of the pattern''s first token; in REPEATABLE READ and SERIALIZABLE and on a standby up to the position in nvent.tick; raises NV005 for a malformed pattern, NV009 for a store that does not exist; example: SELECT p.next_cursor, e FROM nvent.stream_poll(''nvent:flow:run:>'', 4711) p LEFT JOIN LATERAL unnest(p.events) e ON true';

CREATE FUNCTION nvent.stream_poll_category(category text, after bigint, max_count integer DEFAULT 1000, types text[] DEFAULT NULL, correlation text DEFAULT NULL, member integer DEFAULT NULL, size integer DEFAULT NULL, store text DEFAULT NULL, OUT next_cursor bigint, OUT events jsonb[]) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_stream_poll_category'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_poll_category(text, bigint, integer, text[], text, integer, integer, text) IS 'as nvent.stream_poll, the next events of a category: of the subject itself and of all that begin with it and a colon; correlation keeps events whose field "correlation", which is in meta, is this text or begins with it and a colon; member and size keep the subjects that nvent.subject_member gives to this member of a group of size, from 0, where the id begins behind the category; all filters apply before max_count, and next_cursor advances past what they leave out; raises NV004 for a category that is no subject, 22023 for one of member and size without the other or out of range; example: SELECT p.next_cursor, e FROM nvent.stream_poll_category(''shop:account'', 0, member => 0, size => 3) p LEFT JOIN LATERAL unnest(p.events) e ON true';

CREATE FUNCTION nvent.stream_wait(pattern text, after bigint, timeout interval DEFAULT '30 seconds', store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_wait(text, bigint, interval, text) IS 'waits until stream_poll(pattern, after) would return an event: true then, at once if it would now, and false when the time is up; timeout is nvent_store.max_wait at most and when NULL, as the statement''s snapshot keeps VACUUM from its work meanwhile: see nvent.stream_await; after and store as in nvent.stream_poll; can be cancelled; in a transaction that has appended itself nothing above its own first event is waited for; raises 25000 in REPEATABLE READ and SERIALIZABLE; example: SELECT nvent.stream_wait(''nvent:flow:run:abc'', 4711, ''10 s'')';

CREATE PROCEDURE nvent.stream_await(pattern text, after bigint, timeout interval DEFAULT NULL, store text DEFAULT NULL)
AS 'MODULE_PATHNAME', 'nvs_stream_await'
LANGUAGE C;
COMMENT ON PROCEDURE nvent.stream_await(text, bigint, interval, text) IS 'waits as nvent.stream_wait does, but outside of a transaction block without a snapshot and without locks, hence as long as timeout says, for good when it is NULL; inside of one it is limited by nvent_store.max_wait; returns when there is something or the time is up: stream_poll tells; example: CALL nvent.stream_await(''nvent:flow:run:abc'', 4711, ''10 min'')';
