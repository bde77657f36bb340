
-- Consumers and leases.  See src/consumer/consumer.c.

CREATE FUNCTION nvent.consumer_subscribe(
    name text,
    pattern text DEFAULT NULL,
    lane text DEFAULT 'default',
    priority integer DEFAULT 0,
    after bigint DEFAULT 0,
    source text DEFAULT NULL,
    mark bigint DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_subscribe'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_subscribe(
    text, text, text, integer, bigint, text, bigint, text
) IS
'Makes a consumer of the events whose subjects match a pattern, or changes it.

Of one that is there, position and source stay, lane is replaced, priority and mark are raised, and a
new pattern counts for all that comes after its position.

Arguments:
  name: text of 1 to 1,024 bytes
  pattern: a subject pattern; NULL is a consumer that only nvent.consumer_mark gives work, or leaves
    the pattern of one that is there
  lane: text of 1 to 1,024 bytes, by which claims can choose
  priority: higher goes first
  after: the position that it begins behind; 0 for all events, NULL for those that are not settled
    yet
  source: any text, returned with each lease; NULL for none
  mark: the last event known to be for it; NULL for none
  store: the store; NULL is the default store
Returns:
  true when the consumer is new, false when it was there
Raises:
  NV005: the text is not a pattern
  22023: the pattern is one of another store''s subjects, or name or lane is empty or too long
  NV009: there is no such store
  40001: in REPEATABLE READ or SERIALIZABLE, when the consumer was changed since the snapshot
Locks:
  the row of the consumer until the transaction ends
Example:
  SELECT nvent.consumer_subscribe(''billing'', ''order:>'', priority => 10);';

CREATE FUNCTION nvent.consumer_unsubscribe(
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_unsubscribe'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_unsubscribe(text, text) IS
'Removes a consumer with its position, leased or not.

Arguments:
  name: the consumer
  store: the store; NULL is the default store
Returns:
  true when it was removed, false when there is none
Raises:
  NV009: there is no such store
Example:
  SELECT nvent.consumer_unsubscribe(''billing'');';

CREATE FUNCTION nvent.consumer_mark(
    names text[],
    marks bigint[],
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_mark'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_mark(text[], bigint[], text) IS
'Gives consumers work: raises their marks.

It is for callers that find out by themselves what an event is for; consumers with a pattern are
marked by claims. Of a name that comes twice the highest mark counts. Unknown names are ignored.

Arguments:
  names: at most 1,000,000 consumers
  marks: the position of each, at the same place; it counts unless the mark is as high
  store: the store; NULL is the default store
Returns:
  how many marks were raised
Raises:
  2202E: the arrays differ in length
  54000: there are too many names
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT nvent.consumer_mark(ARRAY[''billing''], ARRAY[42]);';

CREATE FUNCTION nvent.consumer_correlate(
    max_events integer DEFAULT 10000,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_correlate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_correlate(integer, text) IS
'Marks the consumers that settled events are for.

It begins where the last call or claim ended. Claims do this too, so it is for a worker that does
nothing else, or to catch up with many events at once.

Arguments:
  max_events: how many events of each table it reads at most; NULL for all
  store: the store; NULL is the default store
Returns:
  the position up to which that is done now; NULL while an open transaction is at it, since no two
    can be
Raises:
  NV009: there is no such store
  42501: row-level security hides events
  22023: max_events is not positive
  55000: see nvent.safe_position
Locks:
  the marking of the store until the transaction ends; nobody waits for it
Example:
  SELECT nvent.consumer_correlate();';

CREATE FUNCTION nvent.consumer_claim(
    max_consumers integer DEFAULT 10,
    lease interval DEFAULT '30 seconds',
    lane text DEFAULT NULL,
    owner text DEFAULT NULL,
    max_leading integer DEFAULT 0,
    max_scan integer DEFAULT 1000,
    store text DEFAULT NULL,
    OUT name text,
    OUT token bigint,
    OUT "position" bigint,
    OUT mark bigint,
    OUT attempt integer,
    OUT lane text,
    OUT priority integer,
    OUT pattern text,
    OUT source text,
    OUT owner text,
    OUT leased_until timestamptz,
    OUT lagging boolean
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_claim'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_claim(
    integer, interval, text, text, integer, integer, text
) IS
'Leases consumers that have work, each to one caller at a time.

It first marks work from settled events that no scan has looked at. Then it leases those that are
furthest behind, higher priorities first, a quarter of the places (one at least, of two or more) by
position alone; and up to max_leading of those furthest ahead. It never waits for other claims. Claim
in a transaction of its own: until that ends nobody else can mark work. In REPEATABLE READ and
SERIALIZABLE events up to the position in nvent.published_position are marked.

Arguments:
  max_consumers: how many of those furthest behind; NULL for as many as there may be, 1,000,000
  lease: how long a lease lasts, from now; at once over when it is not positive
  lane: only consumers of this lane; NULL for any
  owner: any text that says who claims; NULL for nobody
  max_leading: how many of those furthest ahead
  max_scan: how many events of each table it looks at to mark work; NULL leaves that to others
  store: the store; NULL is the default store
Returns:
  a row for each lease; none when there is nothing to do
Columns:
  name: the consumer
  token: fencing token of the lease, higher than that of every lease before
  position: read events above it
  mark: there is work up to it
  attempt: the number of leases since the last acknowledgement
  lane: as it was subscribed
  priority: as it was subscribed
  pattern: as it was subscribed; NULL for none
  source: as it was subscribed; NULL for none
  owner: who claimed
  leased_until: when the lease ends
  lagging: whether it was taken as one that is behind; false for one furthest ahead
Raises:
  NV009: there is no such store
  42501: row-level security hides events
  22023: a count is negative, or max_scan is not positive
  54000: more than 1,000,000 consumers are asked for
  55000: see nvent.safe_position; not when max_scan is NULL
  40001: in REPEATABLE READ or SERIALIZABLE, when a consumer was changed or a table of events rewritten
    since the snapshot: begin again
Locks:
  the rows of the consumers that it leases until the transaction ends; rows that others hold are
    passed over
Example:
  SELECT * FROM nvent.consumer_claim(5, ''1 minute'', owner => ''worker-1'');';

CREATE FUNCTION nvent.consumer_fetch(
    max_consumers integer DEFAULT 10,
    lease interval DEFAULT '30 seconds',
    lane text DEFAULT NULL,
    owner text DEFAULT NULL,
    max_leading integer DEFAULT 0,
    max_scan integer DEFAULT 1000,
    store text DEFAULT NULL,
    max_events integer DEFAULT 100,
    OUT name text,
    OUT token bigint,
    OUT "position" bigint,
    OUT mark bigint,
    OUT attempt integer,
    OUT lane text,
    OUT priority integer,
    OUT pattern text,
    OUT source text,
    OUT owner text,
    OUT leased_until timestamptz,
    OUT lagging boolean,
    OUT upto bigint,
    OUT events jsonb[]
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_fetch'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_fetch(
    integer, interval, text, text, integer, integer, text, integer
) IS
'Leases consumers as nvent.consumer_claim does, and returns their events in the same call.

Consumers that turn out to have no event are moved past what was looked at and left out. In
REPEATABLE READ and SERIALIZABLE events above the position in nvent.published_position come later.

Arguments:
  max_consumers: as in nvent.consumer_claim
  lease: as in nvent.consumer_claim
  lane: as in nvent.consumer_claim
  owner: as in nvent.consumer_claim
  max_leading: as in nvent.consumer_claim
  max_scan: as in nvent.consumer_claim
  store: as in nvent.consumer_claim
  max_events: how many events of each consumer at most, 1 to 65,536
Returns:
  a row for each lease that has events
Columns:
  name: this and all others up to lagging as in nvent.consumer_claim
  upto: the position to acknowledge once all of the events are handled
  events: records above the position, in the order of positions; NULL for a consumer without a
    pattern, which reads by itself up to upto, its mark
Raises:
  22023: max_events is out of range
  NV009: this and all others as nvent.consumer_claim
Locks:
  as nvent.consumer_claim
Example:
  SELECT name, token, upto, e
  FROM nvent.consumer_fetch(1, owner => ''worker-1''), unnest(events) e;';

CREATE FUNCTION nvent.consumer_ack(
    name text,
    token bigint,
    upto bigint,
    defer_until timestamptz DEFAULT NULL,
    attempt integer DEFAULT NULL,
    force boolean DEFAULT false,
    owner text DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_ack'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_ack(
    text, bigint, bigint, timestamptz, integer, boolean, text, text
) IS
'Ends a lease: events up to a position are dealt with.

Call it in the transaction of the events'' effects, and both happen or neither.

Arguments:
  name: the consumer
  token: the fencing token of the lease; NULL goes by owner alone
  upto: the position, inclusive
  defer_until: keeps the consumer from being leased until then; NULL for not
  attempt: with defer_until, the count that the next lease goes on from, for a retry with a delay;
    NULL is 0
  force: lets the position go back
  owner: the owner of the lease; NULL goes by token alone
  store: the store; NULL is the default store
Returns:
  whether more work is known
Raises:
  NV002: the lease was taken over or ended; DETAIL is {"name", "token", "holder"}
  NV020: upto is below the position, unless force; DETAIL is {"name", "position", "given"}
  NV009: there is no such store
  22004: token and owner are both NULL
  40001: in REPEATABLE READ or SERIALIZABLE, when the consumer was changed since the snapshot
Locks:
  the row of the consumer until the transaction ends
Example:
  SELECT nvent.consumer_ack(''billing'', 7, 42);';

CREATE FUNCTION nvent.consumer_ack_many(
    names text[],
    tokens bigint[],
    uptos bigint[],
    defer_until timestamptz[] DEFAULT NULL,
    attempts integer[] DEFAULT NULL,
    owners text[] DEFAULT NULL,
    force boolean DEFAULT false,
    owner text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT name text,
    OUT "position" bigint,
    OUT attempt integer,
    OUT lane text,
    OUT source text,
    OUT deferred_until timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_ack_many'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_ack_many(
    text[], bigint[], bigint[], timestamptz[], integer[], text[], boolean, text, text
) IS
'Ends many leases in one step, as nvent.consumer_ack does one.

A lease that is lost and a position that would go back are left out, not an error. The arrays are in
step.

Arguments:
  names: the consumers, at most 1,000,000
  tokens: the fencing tokens; NULL goes by owners alone
  uptos: the positions, inclusive
  defer_until: keep the consumers from being leased until then; NULL for not
  attempts: as attempt of nvent.consumer_ack; NULL for none
  owners: the owner of each lease; NULL is owner
  force: lets positions go back
  owner: the owner of the leases for which owners names none; NULL goes by tokens alone
  store: the store; NULL is the default store
Returns:
  a row for each consumer that took it
Columns:
  name: the consumer
  position: where it is now
  attempt: the count that its next lease goes on from
  lane: as it was subscribed
  source: as it was subscribed; NULL for none
  deferred_until: until when it is not leased; NULL for not
Raises:
  2202E: the arrays differ in length
  54000: there are too many names
  22004: tokens, owners and owner are all NULL
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT name FROM nvent.consumer_ack_many(ARRAY[''a'', ''b''], ARRAY[7, 7], ARRAY[42, 40]);';

CREATE FUNCTION nvent.consumer_renew(
    name text,
    token bigint,
    lease interval DEFAULT '30 seconds',
    owner text DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_consumer_renew'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_renew(text, bigint, interval, text, text) IS
'Has a lease end later.

One that ran out is renewed if nobody has taken the consumer over.

Arguments:
  name: the consumer
  token: the fencing token of the lease; NULL goes by owner alone
  lease: how long it lasts, from now
  owner: the owner of the lease; NULL goes by token alone
  store: the store; NULL is the default store
Returns:
  when the lease ends
Raises:
  NV002: the lease is lost; DETAIL is {"name", "token", "holder"}
  NV009: there is no such store
  22004: token and owner are both NULL
Locks:
  the row of the consumer until the transaction ends
Example:
  SELECT nvent.consumer_renew(''billing'', 7, ''1 minute'');';

CREATE FUNCTION nvent.consumer_block(
    name text,
    token bigint,
    error text,
    owner text DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_consumer_block'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_block(text, bigint, text, text, text) IS
'Keeps a consumer from being leased until nvent.consumer_unblock or nvent.consumer_reset.

The lease and the position stay, so what was handled can still be acknowledged.

Arguments:
  name: the consumer
  token: the fencing token of the lease; NULL goes by owner alone
  error: the reason, any text
  owner: the owner of the lease; NULL goes by token alone
  store: the store; NULL is the default store
Returns:
  true when it is blocked now, false when it was
Raises:
  NV002: the lease is lost; DETAIL is {"name", "token", "holder"}
  NV009: there is no such store
  22004: token and owner are both NULL
Locks:
  the row of the consumer until the transaction ends
Example:
  SELECT nvent.consumer_block(''billing'', 7, ''no such customer'');';

CREATE FUNCTION nvent.consumer_block_many(
    names text[],
    tokens bigint[],
    errors text[],
    owners text[] DEFAULT NULL,
    owner text DEFAULT NULL,
    store text DEFAULT NULL,
    OUT name text,
    OUT "position" bigint,
    OUT attempt integer,
    OUT lane text,
    OUT source text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_block_many'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_block_many(text[], bigint[], text[], text[], text, text) IS
'Blocks many consumers in one step, as nvent.consumer_block does one.

Lost leases and blocked consumers are left out, not an error. The arrays are in step.

Arguments:
  names: the consumers, at most 1,000,000
  tokens: the fencing tokens; NULL goes by owners alone
  errors: the reasons
  owners: the owner of each lease; NULL is owner
  owner: the owner of the leases for which owners names none; NULL goes by tokens alone
  store: the store; NULL is the default store
Returns:
  a row for each consumer that is blocked by it
Columns:
  name: the consumer
  position: where it is
  attempt: the number of leases since the last acknowledgement
  lane: as it was subscribed
  source: as it was subscribed; NULL for none
Raises:
  2202E: the arrays differ in length
  54000: there are too many names
  22004: tokens, owners and owner are all NULL
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT name FROM nvent.consumer_block_many(ARRAY[''a''], ARRAY[7], ARRAY[''broken'']);';

-- What operators do.  See src/consumer/admin.c.

CREATE FUNCTION nvent.consumer_unblock(
    names text[],
    name_regex text DEFAULT NULL,
    source_regex text DEFAULT NULL,
    source text DEFAULT NULL,
    lane text DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_unblock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_unblock(text[], text, text, text, text, text) IS
'Lets blocked consumers go on from their positions, as on a first attempt.

Arguments:
  names: only these consumers; NULL for all that the other conditions select
  name_regex: only those whose name contains a match of this regular expression; NULL for all
  source_regex: only those whose source contains a match of this one; NULL for all
  source: only those of this source; NULL for all
  lane: only those of this lane; NULL for all
  store: the store; NULL is the default store
Returns:
  how many there were
Raises:
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT nvent.consumer_unblock(ARRAY[''billing'']);';

CREATE FUNCTION nvent.consumer_defer(
    names text[],
    until timestamptz,
    name_regex text DEFAULT NULL,
    source_regex text DEFAULT NULL,
    source text DEFAULT NULL,
    lane text DEFAULT NULL,
    blocked boolean DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_defer'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_defer(text[], timestamptz, text, text, text, text, boolean, text) IS
'Keeps consumers from being leased until a time.

Leases and positions stay.

Arguments:
  names: only these consumers; NULL for all that the other conditions select
  until: the time; NULL to end that
  name_regex: only those whose name contains a match of this regular expression; NULL for all
  source_regex: only those whose source contains a match of this one; NULL for all
  source: only those of this source; NULL for all
  lane: only those of this lane; NULL for all
  blocked: only those that are blocked, or only those that are not; NULL for all
  store: the store; NULL is the default store
Returns:
  how many were selected
Raises:
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT nvent.consumer_defer(NULL, now() + interval ''1 hour'', lane => ''slow'');';

CREATE FUNCTION nvent.consumer_reset(
    names text[],
    upto bigint DEFAULT 0,
    name_regex text DEFAULT NULL,
    source_regex text DEFAULT NULL,
    source text DEFAULT NULL,
    lane text DEFAULT NULL,
    blocked boolean DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_reset(text[], bigint, text, text, text, text, boolean, text) IS
'Moves consumers to a position, and ends their leases, blocks and deferrals.

Arguments:
  names: only these consumers; NULL for all that the other conditions select
  upto: the position; 0 is before all events
  name_regex: only those whose name contains a match of this regular expression; NULL for all
  source_regex: only those whose source contains a match of this one; NULL for all
  source: only those of this source; NULL for all
  lane: only those of this lane; NULL for all
  blocked: only those that are blocked, or only those that are not; NULL for all
  store: the store; NULL is the default store
Returns:
  how many were selected
Raises:
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT nvent.consumer_reset(ARRAY[''billing'']);';

CREATE FUNCTION nvent.consumer_prioritize(
    names text[],
    priority integer,
    name_regex text DEFAULT NULL,
    source_regex text DEFAULT NULL,
    source text DEFAULT NULL,
    lane text DEFAULT NULL,
    blocked boolean DEFAULT NULL,
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_prioritize'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_prioritize(text[], integer, text, text, text, text, boolean, text) IS
'Sets the priority of consumers, to a lower one too.

Arguments:
  names: only these consumers; NULL for all that the other conditions select
  priority: the new priority; higher goes first
  name_regex: only those whose name contains a match of this regular expression; NULL for all
  source_regex: only those whose source contains a match of this one; NULL for all
  source: only those of this source; NULL for all
  lane: only those of this lane; NULL for all
  blocked: only those that are blocked, or only those that are not; NULL for all
  store: the store; NULL is the default store
Returns:
  how many had another
Raises:
  NV009: there is no such store
Locks:
  the rows of the consumers until the transaction ends, in the order of their names
Example:
  SELECT nvent.consumer_prioritize(NULL, 100, name_regex => ''^billing'');';

CREATE FUNCTION nvent.consumer_list(
    names text[] DEFAULT NULL,
    name_regex text DEFAULT NULL,
    source_regex text DEFAULT NULL,
    source text DEFAULT NULL,
    lane text DEFAULT NULL,
    blocked boolean DEFAULT NULL,
    after text DEFAULT NULL,
    max_count integer DEFAULT 100,
    store text DEFAULT NULL,
    OUT name text,
    OUT pattern text,
    OUT source text,
    OUT lane text,
    OUT priority integer,
    OUT "position" bigint,
    OUT mark bigint,
    OUT attempt integer,
    OUT blocked boolean,
    OUT error text,
    OUT owner text,
    OUT token bigint,
    OUT leased_until timestamptz,
    OUT deferred_until timestamptz,
    OUT created_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_list'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_list(
    text[], text, text, text, text, boolean, text, integer, text
) IS
'Lists consumers in the byte order of their names.

A consumer has work while position < mark.

Arguments:
  names: only these consumers; NULL for all that the other conditions select
  name_regex: only those whose name contains a match of this regular expression; NULL for all
  source_regex: only those whose source contains a match of this one; NULL for all
  source: only those of this source; NULL for all
  lane: only those of this lane; NULL for all
  blocked: only those that are blocked, or only those that are not; NULL for all
  after: the last name of the page before; NULL for the first page
  max_count: how many at most; NULL for no limit
  store: the store; NULL is the default store
Returns:
  a row for each consumer
Columns:
  name: the consumer
  pattern: the pattern of its subjects; NULL for none
  source: as it was subscribed; NULL for none
  lane: its lane
  priority: higher goes first
  position: the last event that it has dealt with
  mark: the last event known to be for it; NULL for none
  attempt: the number of leases since the last acknowledgement
  blocked: whether it is blocked
  error: why
  owner: who leased it; NULL without a lease
  token: the fencing token; NULL without a lease; both stay after leased_until until somebody else
    claims
  leased_until: when the lease ends; NULL without one
  deferred_until: until when it is not leased; NULL for not
  created_at: when it was subscribed
Raises:
  NV009: there is no such store
  22023: max_count is negative
Example:
  SELECT name, mark - position FROM nvent.consumer_list(blocked => true);';

CREATE FUNCTION nvent.consumer_lanes(
    store text DEFAULT NULL,
    OUT lane text,
    OUT consumers bigint,
    OUT with_work bigint,
    OUT leased bigint,
    OUT deferred bigint,
    OUT blocked bigint,
    OUT furthest_behind bigint,
    OUT furthest_ahead bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_lanes'
LANGUAGE C STABLE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_lanes(text) IS
'Counts the consumers of each lane.

It reads every consumer.

Arguments:
  store: the store; NULL is the default store
Returns:
  a row for each lane that has consumers
Columns:
  lane: the lane
  consumers: how many there are
  with_work: how many have work
  leased: how many have a lease that runs
  deferred: how many have a deferral that runs
  blocked: how many are blocked
  furthest_behind: the lowest position of those that have work; NULL for none
  furthest_ahead: the highest position of all
Raises:
  NV009: there is no such store
Example:
  SELECT lane, with_work FROM nvent.consumer_lanes();';

CREATE FUNCTION nvent.consumer_stats(
    store text DEFAULT NULL,
    OUT consumers bigint,
    OUT with_work bigint,
    OUT leased bigint,
    OUT deferred bigint,
    OUT blocked bigint,
    OUT furthest_behind bigint,
    OUT furthest_ahead bigint,
    OUT scanned bigint,
    OUT safe bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_consumer_stats'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_stats(text) IS
'Counts all consumers of a store, and tells how far events have been looked at to mark work.

It reads every consumer.

Arguments:
  store: the store; NULL is the default store
Returns:
  one row
Columns:
  consumers: how many there are
  with_work: how many have work
  leased: how many have a lease that runs
  deferred: how many have a deferral that runs
  blocked: how many are blocked
  furthest_behind: the lowest position of those that have work; NULL for none
  furthest_ahead: the highest position of all
  scanned: the position up to which events have been looked at; NULL before the first claim
  safe: the position up to which everything is settled
Raises:
  NV009: there is no such store
Example:
  SELECT with_work, safe - scanned FROM nvent.consumer_stats();';

CREATE FUNCTION nvent.consumer_furthest(
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_consumer_furthest'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.consumer_furthest(text) IS
'Returns the highest position of all consumers of a store.

It reads the position of every consumer, and nothing else. Where the store''s owner has made an index of positions, it
reads one row; every claim and every acknowledgement then writes to that index, too.

Arguments:
  store: the store; NULL is the default store
Returns:
  what nvent.consumer_stats returns as furthest_ahead; NULL where there is no consumer
Raises:
  NV009: there is no such store
Example:
  SELECT nvent.consumer_furthest();';
