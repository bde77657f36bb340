
-- Consumers, leases and checkpoints.  See src/consumer/consumer.c.

CREATE FUNCTION nvent.consumer_subscribe(name text, pattern text DEFAULT NULL, lane text DEFAULT 'default', priority integer DEFAULT 0, after bigint DEFAULT 0, source text DEFAULT NULL, mark bigint DEFAULT NULL, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_subscribe'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_subscribe(text, text, text, integer, bigint, text, bigint, text) IS 'makes a consumer of the events whose subjects match pattern, true; or changes the one of that name, false: its position and source stay, lane is replaced, priority and mark are raised, a new pattern counts for all that comes after its position; pattern NULL is a consumer that only consumer_mark gives work (or leaves the pattern of one that is there); after is the position that it begins behind, 0 for all events, NULL for those that are not settled yet; source is any text, returned with each lease; mark is the last event known to be for it; name and lane have 1 to 1024 bytes; store NULL is the default store; raises NV005 for a malformed pattern, 22023 for one of another store''s subjects; example: SELECT nvent.consumer_subscribe(''billing'', ''nvent:order:>'', priority => 10)';

CREATE FUNCTION nvent.consumer_unsubscribe(name text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_unsubscribe'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_unsubscribe(text, text) IS 'removes a consumer with its position, leased or not; false when there is none; raises NV009 when there is no store; example: SELECT nvent.consumer_unsubscribe(''billing'')';

CREATE FUNCTION nvent.consumer_mark(names text[], marks bigint[], store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_mark'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_mark(text[], bigint[], text) IS 'gives consumers work: each is marked with the position at the same place in marks, unless its mark is as high; returns how many were raised; of a name that comes twice the highest mark counts, unknown names are ignored; for callers that find out by themselves what an event is for: consumers with a pattern are marked by claims; raises 2202E when the arrays differ in length; example: SELECT nvent.consumer_mark(ARRAY[''billing''], ARRAY[42])';

CREATE FUNCTION nvent.consumer_correlate(max_events integer DEFAULT 10000, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_correlate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_correlate(integer, text) IS 'marks the consumers that settled events are for, from where the last call or claim ended, reading at most max_events of each table (NULL for all), and returns the position up to which that is done now; NULL while an open transaction is at it, since no two can be; claims do this too, so it is for a worker that does nothing else, or to catch up with many events at once; raises NV009 when there is no store, 42501 when row-level security hides events; example: SELECT nvent.consumer_correlate()';

CREATE FUNCTION nvent.consumer_claim(max_consumers integer DEFAULT 10, lease interval DEFAULT '30 seconds', lane text DEFAULT NULL, owner text DEFAULT NULL, max_leading integer DEFAULT 0, max_scan integer DEFAULT 1000, store text DEFAULT NULL, OUT name text, OUT token bigint, OUT "position" bigint, OUT mark bigint, OUT attempt integer, OUT lane text, OUT priority integer, OUT pattern text, OUT source text, OUT owner text, OUT leased_until timestamptz, OUT lagging boolean) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_claim'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_claim(integer, interval, text, text, integer, integer, text) IS 'leases consumers that have work, each to one caller at a time: up to max_consumers of those furthest behind, higher priorities first, a quarter of the places (one at least, of two or more) by position alone; and up to max_leading of those furthest ahead; lane NULL is any; first marks work from at most max_scan settled events of each table, NULL leaves that to others; returns for each lease its token, which is higher than that of every lease before, the position to read events above, the mark up to which there is work, and attempt, the number of leases since the last acknowledgement; a lease that is not acknowledged ends lease from now, at once when that is not positive; never waits for other claims; claim in a transaction of its own, since until it ends nobody else can mark work; no row when there is nothing to do; in REPEATABLE READ and SERIALIZABLE events up to the position in nvent.published_position are marked, 55000 is raised when that was never written, and 40001 when another transaction has changed a consumer since the snapshot: begin again; example: SELECT * FROM nvent.consumer_claim(5, ''1 minute'', owner => ''worker-1'')';

CREATE FUNCTION nvent.consumer_fetch(max_consumers integer DEFAULT 10, lease interval DEFAULT '30 seconds', lane text DEFAULT NULL, owner text DEFAULT NULL, max_leading integer DEFAULT 0, max_scan integer DEFAULT 1000, store text DEFAULT NULL, max_events integer DEFAULT 100, OUT name text, OUT token bigint, OUT "position" bigint, OUT mark bigint, OUT attempt integer, OUT lane text, OUT priority integer, OUT pattern text, OUT source text, OUT owner text, OUT leased_until timestamptz, OUT lagging boolean, OUT upto bigint, OUT events jsonb[]) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_fetch'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_fetch(integer, interval, text, text, integer, integer, text, integer) IS 'nvent.consumer_claim and the events of what it leases, in one call: for each consumer up to max_events records above its position, in the order of positions, and upto, the position to acknowledge once all of them are handled; consumers that turn out to have no event are moved past what was looked at and left out; events is NULL for a consumer without a pattern, which reads by itself up to upto, its mark; in REPEATABLE READ and SERIALIZABLE events above the position in nvent.published_position come later; raises 22023 for max_events below 1 or above 65536; example: SELECT name, token, upto, e FROM nvent.consumer_fetch(1, owner => ''worker-1''), unnest(events) e';

CREATE FUNCTION nvent.consumer_ack(name text, token bigint, upto bigint, defer_until timestamptz DEFAULT NULL, attempt integer DEFAULT NULL, force boolean DEFAULT false, owner text DEFAULT NULL, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_ack'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_ack(text, bigint, bigint, timestamptz, integer, boolean, text, text) IS 'ends a lease: events up to and including upto are dealt with; returns whether more work is known; defer_until keeps the consumer from being leased until then, and attempt is the count that the next lease goes on from (NULL is 0), for a retry with a delay; call it in the transaction of the events'' effects, and both happen or neither; token NULL goes by owner alone; raises NV002 when the lease was taken over or ended, DETAIL is {"name", "token", "holder"}; NV020 when upto is below the position, unless force, DETAIL is {"name", "position", "given"}; example: SELECT nvent.consumer_ack(''billing'', 7, 42)';

CREATE FUNCTION nvent.consumer_ack_many(names text[], tokens bigint[], uptos bigint[], defer_until timestamptz[] DEFAULT NULL, attempts integer[] DEFAULT NULL, force boolean DEFAULT false, owner text DEFAULT NULL, store text DEFAULT NULL, OUT name text, OUT "position" bigint, OUT attempt integer, OUT lane text, OUT source text, OUT deferred_until timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_ack_many'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_ack_many(text[], bigint[], bigint[], timestamptz[], integer[], boolean, text, text) IS 'nvent.consumer_ack for many leases in one step; returns those that took it: a lease that is lost and a position that would go back are left out, not an error; arrays are in step, NULL for none; raises 2202E when they differ in length; example: SELECT name FROM nvent.consumer_ack_many(ARRAY[''a'', ''b''], ARRAY[7, 7], ARRAY[42, 40])';

CREATE FUNCTION nvent.consumer_renew(name text, token bigint, lease interval DEFAULT '30 seconds', owner text DEFAULT NULL, store text DEFAULT NULL) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_consumer_renew'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_renew(text, bigint, interval, text, text) IS 'has a lease end lease from now, and returns when that is; one that ran out is renewed if nobody has taken the consumer over; raises NV002 when it is lost; example: SELECT nvent.consumer_renew(''billing'', 7, ''1 minute'')';

CREATE FUNCTION nvent.consumer_block(name text, token bigint, error text, owner text DEFAULT NULL, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_block'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_block(text, bigint, text, text, text) IS 'keeps a consumer from being leased until nvent.consumer_unblock or nvent.consumer_reset, with the error as the reason; the lease and the position stay, so what was handled can still be acknowledged; false when it was blocked already; raises NV002 when the lease is lost; example: SELECT nvent.consumer_block(''billing'', 7, ''no such customer'')';

CREATE FUNCTION nvent.consumer_block_many(names text[], tokens bigint[], errors text[], owner text DEFAULT NULL, store text DEFAULT NULL, OUT name text, OUT "position" bigint, OUT attempt integer, OUT lane text, OUT source text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_block_many'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_block_many(text[], bigint[], text[], text, text) IS 'nvent.consumer_block for many leases in one step; returns those that are blocked by it: lost leases and blocked consumers are left out; example: SELECT name FROM nvent.consumer_block_many(ARRAY[''a''], ARRAY[7], ARRAY[''broken''])';

CREATE FUNCTION nvent.consumer_unblock(names text[], name_regex text DEFAULT NULL, source_regex text DEFAULT NULL, source text DEFAULT NULL, lane text DEFAULT NULL, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_unblock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_unblock(text[], text, text, text, text, text) IS 'lets blocked consumers go on from their positions, as on a first attempt, and returns how many there were; names NULL is all that the other conditions select: regular expressions that name or source contain, source and lane as they are; NULL for no condition; example: SELECT nvent.consumer_unblock(ARRAY[''billing''])';

CREATE FUNCTION nvent.consumer_defer(names text[], until timestamptz, name_regex text DEFAULT NULL, source_regex text DEFAULT NULL, source text DEFAULT NULL, lane text DEFAULT NULL, blocked boolean DEFAULT NULL, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_defer'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_defer(text[], timestamptz, text, text, text, text, boolean, text) IS 'keeps consumers from being leased until a time, NULL to end that, and returns how many were selected (see nvent.consumer_unblock); leases and positions stay; example: SELECT nvent.consumer_defer(NULL, now() + interval ''1 hour'', lane => ''slow'')';

CREATE FUNCTION nvent.consumer_reset(names text[], upto bigint DEFAULT 0, name_regex text DEFAULT NULL, source_regex text DEFAULT NULL, source text DEFAULT NULL, lane text DEFAULT NULL, blocked boolean DEFAULT NULL, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_reset(text[], bigint, text, text, text, text, boolean, text) IS 'moves consumers to a position, to before all events by default, ends their leases, blocks and deferrals, and returns how many were selected (see nvent.consumer_unblock); example: SELECT nvent.consumer_reset(ARRAY[''billing''])';

CREATE FUNCTION nvent.consumer_prioritize(names text[], priority integer, name_regex text DEFAULT NULL, source_regex text DEFAULT NULL, source text DEFAULT NULL, lane text DEFAULT NULL, blocked boolean DEFAULT NULL, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_prioritize'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_prioritize(text[], integer, text, text, text, text, boolean, text) IS 'sets the priority of the selected consumers (see nvent.consumer_unblock), lower ones too, and returns how many had another; higher goes first; example: SELECT nvent.consumer_prioritize(NULL, 100, name_regex => ''^billing'')';

CREATE FUNCTION nvent.consumer_list(names text[] DEFAULT NULL, name_regex text DEFAULT NULL, source_regex text DEFAULT NULL, source text DEFAULT NULL, lane text DEFAULT NULL, blocked boolean DEFAULT NULL, after text DEFAULT NULL, max_count integer DEFAULT 100, store text DEFAULT NULL, OUT name text, OUT pattern text, OUT source text, OUT lane text, OUT priority integer, OUT "position" bigint, OUT mark bigint, OUT attempt integer, OUT blocked boolean, OUT error text, OUT owner text, OUT token bigint, OUT leased_until timestamptz, OUT deferred_until timestamptz, OUT created_at timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_list'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_list(text[], text, text, text, text, boolean, text, integer, text) IS 'consumers in the byte order of their names; after is the last name of the page before, max_count NULL is no limit, conditions are those of nvent.consumer_unblock; a consumer has work while position < mark; owner and token are NULL without a lease, and stay after leased_until until somebody else claims; example: SELECT name, mark - position FROM nvent.consumer_list(blocked => true)';

CREATE FUNCTION nvent.consumer_lanes(store text DEFAULT NULL, OUT lane text, OUT consumers bigint, OUT with_work bigint, OUT leased bigint, OUT deferred bigint, OUT blocked bigint, OUT furthest_behind bigint, OUT furthest_ahead bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_lanes'
LANGUAGE C STABLE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_lanes(text) IS 'lanes that have consumers, and of these how many have work, a lease that runs, a deferral that runs, a block; furthest_behind is the lowest position of those that have work, NULL for none; furthest_ahead the highest of all; reads every consumer; example: SELECT lane, with_work FROM nvent.consumer_lanes()';

CREATE FUNCTION nvent.consumer_stats(store text DEFAULT NULL, OUT consumers bigint, OUT with_work bigint, OUT leased bigint, OUT deferred bigint, OUT blocked bigint, OUT furthest_behind bigint, OUT furthest_ahead bigint, OUT scanned bigint, OUT safe bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_stats'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.consumer_stats(text) IS 'one row over all consumers of a store, as nvent.consumer_lanes, and how far events have been looked at to mark work: scanned (NULL before the first claim), of what is settled: safe; example: SELECT with_work, safe - scanned FROM nvent.consumer_stats()';

CREATE FUNCTION nvent.checkpoint_save(name text, upto bigint, token bigint DEFAULT NULL, force boolean DEFAULT false, data jsonb DEFAULT NULL, store text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_checkpoint_save'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.checkpoint_save(text, bigint, bigint, boolean, jsonb, text) IS 'keeps a position under a name of 1 to 1024 bytes, and data beside it (NULL leaves that of before); call it in the transaction of the effects; token is the fencing token of the lease (nvent.lock_acquire) under which the caller reads, and once one was given, none and lower ones are refused; raises NV020 when upto is below what is kept, unless force, DETAIL is {"name", "position", "given"}; NV002 when the token is not the highest so far, DETAIL is {"name", "token", "holder"}; store NULL is the default store; example: SELECT nvent.checkpoint_save(''report'', 42)';

CREATE FUNCTION nvent.checkpoint_load(name text, store text DEFAULT NULL, OUT "position" bigint, OUT token bigint, OUT data jsonb, OUT updated_at timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_checkpoint_load'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.checkpoint_load(text, text) IS 'what nvent.checkpoint_save kept: one row, none when nothing was saved; example: SELECT position FROM nvent.checkpoint_load(''report'')';

CREATE FUNCTION nvent.checkpoint_delete(name text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_checkpoint_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.checkpoint_delete(text, text) IS 'forgets a checkpoint and the tokens it has seen; false when there was none; example: SELECT nvent.checkpoint_delete(''report'')';
