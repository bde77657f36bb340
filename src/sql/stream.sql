
-- Event streams: appending and reading.  See src/stream/append.c and read.c.

CREATE FUNCTION nvent.stream_append(
    subject text,
    event jsonb,
    expected_version bigint DEFAULT NULL
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_append(text, jsonb, bigint) IS
'Appends an event to a stream.

Fields of the event that the table has columns for go there; what has no column comes back in
"meta". A field "eventId" makes the call repeatable in tables that have the column, as generic
stream tables do: the same event sent again with the same id returns the first record and writes
nothing, whatever version is expected. Ids are unique in a table. In one without the column (those
of flow runs and triggers, until you add it) the id goes to "meta" and each call writes.

Arguments:
  subject: the stream
  event: an object with "type"; it may have "ts" (milliseconds since 1970 or ISO-8601; now when
    missing), "data" and any other field
  expected_version: the version that the stream must be at; 0 for none, NULL for any
Returns:
  the record of the event
Raises:
  NV001: the stream is not at the expected version; DETAIL is {"subject", "expected", "actual"}
  NV003: the store has no room for the table of a new type, see nvent.stream_create_table
  NV004: the text is not a subject
  NV006: the id is taken by another event, or only some events of the call are known
  NV009: there is no default store, and nvent_store.auto_create is off
  NV010: the last event is a "__tombstone__": the stream is closed
  22023: the event cannot be stored, or expected_version is negative
  22007: "ts" or another time is no ISO-8601
  0A000: a version is expected of a plain log, which has none
  42703: the table has no column for a field, nor "meta"
  09000: a trigger or rule of the table kept the event out
Locks:
  a stream with versions until the transaction ends: other appends to it wait
Example:
  SELECT nvent.stream_append(
      ''nvent:flow:run:abc'', ''{"type": "flow:started", "flowName": "import"}'');';

CREATE FUNCTION nvent.stream_append_batch(
    subject text,
    events jsonb[],
    expected_version bigint DEFAULT NULL
) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_append_batch(text, jsonb[], bigint) IS
'Appends events to a stream in the order of an array, all or none.

Arguments:
  subject: the stream
  events: at most 65,536 events, each as in nvent.stream_append
  expected_version: as in nvent.stream_append
Returns:
  the records in the order of the events
Raises:
  NV001: this and all others as nvent.stream_append
  22004: an event is NULL
  54000: there are too many events
Locks:
  as nvent.stream_append
Example:
  SELECT nvent.stream_append_batch(
      ''cart:9'', ARRAY[''{"type": "added"}'', ''{"type": "paid"}'']::jsonb[]);';

CREATE FUNCTION nvent.stream_append_many(
    appends jsonb
) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_append_many(jsonb) IS
'Appends events to several streams, all or none.

An element of the array is {"subject": ..., "events": [...], "expected": ...}. What is expected is
a version, "none" (0), "exists" or "any" (as when it is missing). A subject without events is only
looked at: it must be as expected until the commit. A subject may come several times, to
interleave events, if it is expected to be the same. Calls that name the same subjects in any
order do not deadlock.

Arguments:
  appends: an array of at most 65,536 events for at most 4,096 subjects
Returns:
  the records in the order in which the events are written, which is the order of positions
Raises:
  NV001: as nvent.stream_append; DETAIL names the first stale subject in the order of bytes, and
    has all of them in "conflicts" when there are more
  NV010: this and all others as nvent.stream_append
  22023: the array or an element of it is malformed, or a subject comes with two expectations
  54000: there are too many events or subjects
Locks:
  streams with versions until the transaction ends, shared when they are only looked at
Example:
  SELECT nvent.stream_append_many(''[
      {"subject": "account:1", "expected": 4, "events": [{"type": "debited", "data": 10}]},
      {"subject": "account:2", "events": [{"type": "credited", "data": 10}]},
      {"subject": "limits:1", "expected": 2}]'');';

CREATE FUNCTION nvent.stream_version(
    subject text
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_version'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_version(text) IS
'Returns the last version of a stream.

Arguments:
  subject: the stream
Returns:
  the version of the last event; 0 when there is none
Raises:
  NV004: the text is not a subject
  0A000: the subject is in a plain log, which has no versions
Example:
  SELECT nvent.stream_version(''account:1'');';

CREATE FUNCTION nvent.stream_read(
    subject text,
    after bigint DEFAULT NULL,
    before bigint DEFAULT NULL,
    since bigint DEFAULT NULL,
    until bigint DEFAULT NULL,
    types text[] DEFAULT NULL,
    backward boolean DEFAULT false,
    max_count integer DEFAULT 1000,
    after_version bigint DEFAULT NULL,
    before_version bigint DEFAULT NULL,
    correlation text DEFAULT NULL,
    with_snaps boolean DEFAULT NULL,
    settled boolean DEFAULT NULL,
    OUT event jsonb
) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_read'
LANGUAGE C VOLATILE ROWS 100 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_read(
    text, bigint, bigint, bigint, bigint, text[], boolean, integer, bigint, bigint, text, boolean, boolean
) IS
'Reads the events of one subject, in the order of versions.

In a plain log, and where after or before is given, the order is that of positions; for all that was appended the two are
the same. All conditions apply before max_count. Positions are drawn before they are committed: a read of a plain log that
goes on after a position leaves out what has not settled, as nvent.stream_poll does, so that whoever passes the last id the
next time misses nothing. In a long stream pages by after_version cost what they read; by after they need the index "subject" of
nvent.stream_index, as a plain log has it.

Arguments:
  subject: the stream
  after: only events whose "id" is higher; NULL for no bound
  before: only events whose "id" is lower; NULL for no bound
  since: only events whose "ts" is this or later, milliseconds since 1970; NULL for no bound
  until: only events whose "ts" is this or earlier, milliseconds since 1970; NULL for no bound
  types: only events of these types; NULL for all
  backward: newest first
  max_count: how many at most; NULL for no limit
  after_version: only events whose "version" is higher; NULL for no bound
  before_version: only events whose "version" is lower; NULL for no bound
  correlation: only events whose field "correlation" in "meta" is this text; NULL for all
  with_snaps: NULL makes nothing of events of type "__snapshot__", false leaves them out, true
    begins with the last one, unless after or after_version say where to begin
  settled: true leaves out events above nvent.safe_position, false shows all that are committed, and
    those of the caller''s transaction; NULL is true where after is given and the stream is a plain
    log, unless backward
Returns:
  the records; none for a subject without events
Columns:
  event: the record
Raises:
  NV004: the text is not a subject
  22023: max_count is negative
  55000: see nvent.safe_position
  NV021: after is above all positions that were ever drawn, where what has settled is read
Example:
  SELECT e ->> ''type''
  FROM nvent.stream_read(''nvent:flow:run:abc'', backward => true, max_count => 50) e;';

CREATE FUNCTION nvent.stream_delete(
    subject text
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_delete(text) IS
'Deletes all events of one subject.

Versions begin at 1 again.

Arguments:
  subject: the stream
Returns:
  how many events there were; NULL for NULL
Raises:
  NV004: the text is not a subject
  40001: in REPEATABLE READ or SERIALIZABLE, when events were appended since the snapshot
Locks:
  a stream with versions until the transaction ends: appends to it wait
Example:
  SELECT nvent.stream_delete(''cart:9'');';

-- Tables of streams.  See src/stream/tables.c.

CREATE FUNCTION nvent.stream_create_table(
    type text,
    versioned boolean DEFAULT true,
    store text DEFAULT NULL,
    indexes text[] DEFAULT '{}'
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_create_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_create_table(text, boolean, text, text[]) IS
'Makes the table prefix_stream_type of the subjects of a type.

The type of a subject is the token after the store''s prefix, or its first token when that is not
the prefix. It may be empty. The first append to a subject makes the table too, with versions, for who may write
to the store. It belongs to the store''s owner.

Arguments:
  type: one token
  versioned: false makes a plain log, without versions, whose appends never wait for one another
  store: the store; NULL is the default store
  indexes: what each event is to be written to besides, see nvent.stream_index
Returns:
  true when it was made now, false when it was there, with the indexes that it has
Raises:
  NV003: the store has nvent_store.max_stream_tables tables already
  NV004: the type is not one token of a subject
  NV009: there is no such store
  22023: there is no such index to ask for
  22004: one is NULL
  42501: the caller does not administer the store
Locks:
  the type until the transaction ends, against other calls for it
Example:
  SELECT nvent.stream_create_table(''clicks'', versioned => false, indexes => ''{type}'');';

CREATE FUNCTION nvent.stream_index(
    type text,
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_index'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_index(text, text, text) IS
'Makes an index of a generic stream table that not everybody needs.

Every event is written to every index. So a table has two: its primary key, and (subject, version), or in a plain log
(subject, id). Others make a read faster, and nothing else.

The table is locked while the index is built: readers go on, appends wait. Where it is large, build one yourself by
"CREATE INDEX CONCURRENTLY", which no function can do; it is then found by its columns, whatever its name. An index that
nobody needs any more goes by "DROP INDEX CONCURRENTLY".

Arguments:
  type: the type of the subjects of the table
  name: "type" is (type, id), for polls of types that are rare; "subject" is (subject, id), in a table with versions for
    polls of one subject that has thousands of events, and for reads of it by position; "run_id" is (run_id, id) of the
    events that have a run, for SQL of yours
  store: the store; NULL is the default store
Returns:
  true when it was made now, false when there is one of the same columns
Raises:
  NV009: there is no such store
  42P01: the table does not exist
  22023: there is no such index to ask for
  42501: the caller does not administer the store
Locks:
  the type, and the table against those who write to it, until the transaction ends
Example:
  SELECT nvent.stream_index(''order'', ''type'');';

CREATE FUNCTION nvent.stream_drop_table(
    type text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_drop_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_drop_table(text, text) IS
'Drops a generic stream table with its events.

Only who administers the store may, see nvent.store_grant.

Arguments:
  type: the type of its subjects; or with the store before it and a colon, as its subjects begin
  store: the store; NULL is that of the type, else the default store
Returns:
  true when it was dropped, false when there is none
Raises:
  NV009: there is no such store
  22023: the type has a colon, and what is before that is no store or another one
  42501: the caller does not administer the store
Locks:
  the type and the table until the transaction ends
Example:
  SELECT nvent.stream_drop_table(''clicks'');';

CREATE FUNCTION nvent.stream_tables(
    store text DEFAULT NULL,
    OUT store text,
    OUT type text,
    OUT relation regclass,
    OUT versioned boolean
) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT t.store, t.type, c.oid::pg_catalog.regclass,
        EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                AND a.attname OPERATOR(pg_catalog.=) 'version'
                AND NOT a.attisdropped)
    FROM nvent.stream_table t
    JOIN nvent.store s ON s.prefix OPERATOR(pg_catalog.=) t.store
    JOIN pg_catalog.pg_class v ON v.oid OPERATOR(pg_catalog.=) s.version_table::pg_catalog.oid
    JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) v.relnamespace
        AND c.relname OPERATOR(pg_catalog.=) t.table_name
        AND c.relowner OPERATOR(pg_catalog.=) v.relowner
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')
    WHERE $1 IS NULL OR t.store OPERATOR(pg_catalog.=) $1
    ORDER BY t.store, t.type;
END;

COMMENT ON FUNCTION nvent.stream_tables(text) IS
'Lists the generic stream tables.

Arguments:
  store: those of one store; NULL for all stores
Returns:
  a row for each table, by store and type
Columns:
  store: the store
  type: the type of the subjects in it
  relation: the table
  versioned: whether its subjects have versions
Example:
  SELECT * FROM nvent.stream_tables();';

-- Following streams in a safe order.  See src/stream/poll.c.

CREATE FUNCTION nvent.stream_poll(
    pattern text,
    after bigint,
    max_count integer DEFAULT 1000,
    types text[] DEFAULT NULL,
    store text DEFAULT NULL,
    before bigint DEFAULT NULL,
    since bigint DEFAULT NULL,
    until bigint DEFAULT NULL,
    correlation text DEFAULT NULL,
    subject_regex text DEFAULT NULL,
    with_snaps boolean DEFAULT true,
    backward boolean DEFAULT false,
    OUT next_cursor bigint,
    OUT events jsonb[]
) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_stream_poll'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_poll(
    text, bigint, integer, text[], text, bigint, bigint, bigint, text, text, boolean, boolean
) IS
'Returns the next events of all subjects that match a pattern, over all tables of the store.

They come in the order of positions. What has not settled waits, so nothing is ever missed,
repeated or out of order. In REPEATABLE READ and SERIALIZABLE and on a standby events are read up
to the position in nvent.published_position. All conditions apply before max_count.

Arguments:
  pattern: a subject pattern
  after: the cursor that the last call returned; 0 or NULL begins with the oldest event
  max_count: how many at most, 1 to 65,536; exceeded only to keep events of equal position
    together, which adopted tables may have
  types: only events of these types; NULL for all
  store: the store; NULL is the one of the pattern''s first token
  before: only events whose "id" is lower, and a cursor that is; NULL for no bound
  since: only events whose "ts" is this or later, milliseconds since 1970; NULL for no bound
  until: only events whose "ts" is this or earlier, milliseconds since 1970; NULL for no bound
  correlation: only events whose field "correlation" in "meta" is this text or begins with it and a
    colon; NULL for all
  subject_regex: only subjects that match this regular expression, by their bytes; NULL for all
  with_snaps: false leaves out events of type "__snapshot__"
  backward: the newest events instead, newest first; a page goes on below the one before when
    next_cursor is passed as before, and after stays where they are to end
Returns:
  always one row
Columns:
  next_cursor: to be passed as after the next time; it advances past what the conditions leave out;
    with backward, to be passed as before
  events: the records as of nvent.stream_read, perhaps none
Raises:
  NV005: the text is not a pattern
  NV009: there is no such store
  22023: max_count is out of range
  2201B: subject_regex is no regular expression
  22004: a type is NULL
  55000: see nvent.safe_position
  40001: in REPEATABLE READ or SERIALIZABLE, when a table was rewritten since the snapshot, as by
    ALTER TABLE: begin again
  NV021: after is above all positions that were ever drawn; only in READ COMMITTED, not on a standby
Locks:
  the tables in ACCESS SHARE mode until the transaction ends, unless there is nothing new
Example:
  SELECT p.next_cursor, e
  FROM nvent.stream_poll(''nvent:flow:run:>'', 4711) p
  LEFT JOIN LATERAL unnest(p.events) e ON true;';

CREATE FUNCTION nvent.stream_poll_category(
    category text,
    after bigint,
    max_count integer DEFAULT 1000,
    types text[] DEFAULT NULL,
    correlation text DEFAULT NULL,
    member integer DEFAULT NULL,
    size integer DEFAULT NULL,
    store text DEFAULT NULL,
    OUT next_cursor bigint,
    OUT events jsonb[]
) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_stream_poll_category'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_poll_category(
    text, bigint, integer, text[], text, integer, integer, text
) IS
'Returns the next events of a category, as nvent.stream_poll does for a pattern.

They are those of the subject itself and of all that begin with it and a colon. All filters apply
before max_count.

Arguments:
  category: the first tokens of subjects
  after: the cursor that the last call returned; 0 or NULL begins with the oldest event
  max_count: as in nvent.stream_poll
  types: only events of these types; NULL for all
  correlation: only events whose field "correlation" in "meta" is this text or begins with it and a
    colon; NULL for all
  member: only subjects that nvent.subject_member gives to this member, from 0, of a group, where
    the id begins behind the category; NULL for all
  size: how many members the group has; goes with member
  store: the store; NULL is the one of the category''s first token
Returns:
  always one row
Columns:
  next_cursor: to be passed as after the next time; it advances past what the filters leave out
  events: the records as of nvent.stream_read, perhaps none
Raises:
  NV004: the category is no subject
  NV009: there is no such store
  22023: one of member and size is given without the other or out of range, or max_count is
  22004: a type is NULL
  55000: see nvent.safe_position
  40001: in REPEATABLE READ or SERIALIZABLE, when a table was rewritten since the snapshot, as by
    ALTER TABLE: begin again
  NV021: after is above all positions that were ever drawn; only in READ COMMITTED, not on a standby
Locks:
  the tables in ACCESS SHARE mode until the transaction ends, unless there is nothing new
Example:
  SELECT p.next_cursor, e
  FROM nvent.stream_poll_category(''account'', 0, member => 0, size => 3) p
  LEFT JOIN LATERAL unnest(p.events) e ON true;';

CREATE FUNCTION nvent.stream_wait(
    pattern text,
    after bigint,
    timeout interval DEFAULT '30 seconds',
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_wait(text, bigint, interval, text) IS
'Waits until nvent.stream_poll with the same arguments would return an event.

It can be cancelled. In a transaction that has appended itself nothing above its own first event is
waited for.

Arguments:
  pattern: a subject pattern
  after: the cursor, as in nvent.stream_poll
  timeout: how long; nvent_store.max_wait at most and when NULL, as the statement''s snapshot keeps
    VACUUM from its work meanwhile: see nvent.stream_await
  store: the store; NULL is the one of the pattern''s first token
Returns:
  true when there is an event, at once if there is one now; false when the time is up
Raises:
  NV005: the text is not a pattern
  NV009: there is no such store
  25000: in REPEATABLE READ and SERIALIZABLE
  NV021: as nvent.stream_poll
Example:
  SELECT nvent.stream_wait(''nvent:flow:run:abc'', 4711, ''10 s'');';

CREATE PROCEDURE nvent.stream_await(
    pattern text,
    after bigint,
    timeout interval DEFAULT NULL,
    store text DEFAULT NULL
)
AS 'MODULE_PATHNAME', 'nvs_stream_await'
LANGUAGE C;

COMMENT ON PROCEDURE nvent.stream_await(text, bigint, interval, text) IS
'Waits as nvent.stream_wait does, but without a snapshot and without locks.

So it may wait as long as it is told, outside of a transaction block. Inside of one it is limited by
nvent_store.max_wait. It returns when there is something or the time is up: nvent.stream_poll tells
which.

Arguments:
  pattern: a subject pattern
  after: the cursor, as in nvent.stream_poll
  timeout: how long; NULL is for good
  store: the store; NULL is the one of the pattern''s first token
Raises:
  NV005: this and all others as nvent.stream_wait
Example:
  CALL nvent.stream_await(''nvent:flow:run:abc'', 4711, ''10 min'');';

CREATE FUNCTION nvent.stream_stats(
    pattern text DEFAULT '>',
    subjects text[] DEFAULT NULL,
    exclude text[] DEFAULT NULL,
    before bigint DEFAULT NULL,
    after text DEFAULT NULL,
    max_count integer DEFAULT NULL,
    store text DEFAULT NULL,
    OUT subject text,
    OUT events bigint,
    OUT types jsonb,
    OUT first_id bigint,
    OUT last_id bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_stream_stats'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_stats(text, text[], text[], bigint, text, integer, text) IS
'Lists the subjects that have events, in the order of their bytes, and what is in them.

It reads every event of the subjects that it selects, committed ones whether settled or not. A
subject that has events in two tables, as after a change of its route, has two rows.

Arguments:
  pattern: only subjects that match
  subjects: only these; NULL for no condition
  exclude: leaves out events of these types; NULL for none
  before: leaves out events at or above this position; NULL for none
  after: the last subject of the page before; NULL for the first page
  max_count: how many rows at most; NULL for no limit
  store: the store; NULL is the one of the pattern''s first token
Returns:
  a row for each subject
Columns:
  subject: the subject
  events: how many events it has
  types: how many of which type, {"type": number}
  first_id: position of the first event
  last_id: position of the last event
Raises:
  NV005: the text is not a pattern
  NV009: there is no such store
  22023: one of subjects is of another store, or max_count is negative
Example:
  SELECT s.subject, s.events, e
  FROM nvent.stream_stats(''account:>'') s,
      nvent.stream_read(s.subject, after => s.last_id - 1, max_count => 1, settled => false) e;';

-- What happens to streams besides appends.  See src/stream/lifecycle.c.

CREATE FUNCTION nvent.stream_truncate(
    subject text,
    before bigint DEFAULT NULL,
    before_ts bigint DEFAULT NULL,
    max_id bigint DEFAULT NULL,
    seed jsonb DEFAULT NULL,
    restart boolean DEFAULT false,
    OUT deleted bigint,
    OUT record jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_stream_truncate'
LANGUAGE C VOLATILE ROWS 1 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_truncate(text, bigint, bigint, bigint, jsonb, boolean) IS
'Deletes the beginning of a stream, in one of three forms: before, before_ts or seed.

Consumers and snapshots of nvent.snapshot_save are not touched.

Arguments:
  subject: the stream
  before: deletes lower versions, but never the last event
  before_ts: deletes what precedes the last event of type "__snapshot__" of an earlier "ts", in
    milliseconds since 1970
  max_id: goes with before_ts: that last event is at or below this position
  seed: replaces all events by this one, a "__snapshot__" or "__tombstone__" most often, whose
    version is the next one
  restart: goes with seed: its version is 1
Returns:
  one row; none when before_ts finds no "__snapshot__"
Columns:
  deleted: how many events were deleted
  record: the record of the snapshot or seed; NULL with before
Raises:
  NV004: the text is not a subject
  22023: not exactly one form is chosen, or an argument comes without the one that it goes with
  0A000: before is given for a plain log
  40001: in REPEATABLE READ or SERIALIZABLE, when events were appended since the snapshot
Locks:
  a stream with versions until the transaction ends: it waits for open appends, and appends wait
Example:
  SELECT * FROM nvent.stream_truncate(
      ''account:1'', seed => ''{"type": "__snapshot__", "data": {"balance": 7}}'');';

CREATE FUNCTION nvent.stream_close(
    subject text,
    expected_version bigint DEFAULT NULL,
    data jsonb DEFAULT NULL
) RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT nvent.stream_append($1, pg_catalog.jsonb_strip_nulls(
        pg_catalog.jsonb_build_object('type', '__tombstone__', 'data', $3)), $2);
END;

COMMENT ON FUNCTION nvent.stream_close(text, bigint, jsonb) IS
'Closes a stream by an event of type "__tombstone__".

From then on appends raise NV010, until nvent.stream_reopen. Appending such an event in another way
does the same. Plain logs cannot be closed; there it is an event like any other.

Arguments:
  subject: the stream
  expected_version: as in nvent.stream_append
  data: field "data" of the event; NULL for none
Returns:
  the record of the event
Raises:
  NV010: the stream is closed already
  NV001: this and all others as nvent.stream_append
Locks:
  as nvent.stream_append
Example:
  SELECT nvent.stream_close(''account:1'');';

CREATE FUNCTION nvent.stream_reopen(
    subject text,
    data jsonb DEFAULT NULL
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_reopen'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_reopen(text, jsonb) IS
'Opens a closed stream again by an event of type "__reopened__".

Arguments:
  subject: the stream
  data: field "data" of the event; NULL for none
Returns:
  the record of the event; NULL, and nothing is written, when the stream is not closed
Raises:
  NV004: the text is not a subject
Locks:
  as nvent.stream_append
Example:
  SELECT nvent.stream_reopen(''account:1'');';

CREATE FUNCTION nvent.stream_erase(
    subject text
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_erase'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_erase(text) IS
'Erases the field "pii", personal data, of all events of a subject.

All else stays as it is. Old row versions go with the next VACUUM, and out of the WAL with its
recycling.

Arguments:
  subject: the stream
Returns:
  how many events had the field
Raises:
  0A000: the table has no column pii, so the field went to "meta" and stays; generic stream tables
    have it
  NV004: the text is not a subject
  40001: in REPEATABLE READ or SERIALIZABLE, when events were appended since the snapshot
Locks:
  a stream with versions until the transaction ends: appends to it wait
Example:
  SELECT nvent.stream_erase(''customer:7'');';

CREATE FUNCTION nvent.stream_retain(
    type text,
    older_than interval,
    store text DEFAULT NULL,
    max_count integer DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_retain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_retain(text, interval, text, integer) IS
'Deletes old events of a generic stream table, oldest first.

The last event of each stream with versions stays, so that versions go on. It reads the whole
table.

Arguments:
  type: the type of its subjects
  older_than: the age of "ts" from which on events are deleted
  store: the store; NULL is the default store
  max_count: how many events at most; NULL for no limit
Returns:
  how many events were deleted; 0 when there is no such table
Raises:
  22023: max_count is negative
  NV004: the type is not one token of a subject
  NV009: there is no such store
Example:
  SELECT nvent.stream_retain(''audit'', ''90 days'');';

CREATE FUNCTION nvent.stream_restore(
    events jsonb[]
) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_restore'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_restore(jsonb[]) IS
'Takes in records as reads return them, with their subject, version and ts.

"id" is drawn anew. A version that is missing is the next one; one that is given must be above the
last, and may leave a gap, as truncated streams have them. To restore a store as a whole, call it several times in one
transaction, after nvent.stream_clear. Only who administers the
store may.

Arguments:
  events: records of at most 4,096 subjects
Returns:
  the new records, in the same order
Raises:
  22023: a version is out of order, or a record is no object with a subject
  NV004: a subject is not valid
  42501: the caller does not administer a subject''s store
  54000: there are too many subjects
Locks:
  streams with versions until the transaction ends: appends to them wait
Example:
  SELECT nvent.stream_restore(
      ARRAY[''{"subject": "account:1", "version": 3, "type": "debited"}'']::jsonb[]);';

CREATE FUNCTION nvent.stream_clear(
    store text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_clear(text) IS
'Deletes all events of the generic stream tables of a store, and its snapshots.

Versions begin at 1 again, positions do not. Routed tables and consumers are not touched. Only who
administers the store may.

Arguments:
  store: the store; NULL is the default store
Returns:
  how many events there were
Raises:
  NV009: there is no such store
  42501: the caller does not administer the store
Locks:
  the tables until the transaction ends, against all who write to them
Example:
  SELECT nvent.stream_clear(''nvent'');';

-- Protected tables.  See src/stream/protect.c.

CREATE FUNCTION nvent.stream_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_stream_guard'
LANGUAGE C;

COMMENT ON FUNCTION nvent.stream_guard() IS
'trigger of protected tables, made by nvent.stream_protect: '
'refuses statements that are not our functions'' own';

CREATE FUNCTION nvent.stream_guard_ddl() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'nvs_stream_guard_ddl'
LANGUAGE C;

COMMENT ON FUNCTION nvent.stream_guard_ddl() IS
'event trigger that keeps what protects a table as it is, and protects what inherits from it';

CREATE EVENT TRIGGER nvent_guard_ddl ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER TRIGGER', 'CREATE TABLE',
        'CREATE FOREIGN TABLE', 'CREATE SCHEMA', 'CREATE TRIGGER')
    EXECUTE FUNCTION nvent.stream_guard_ddl();
CREATE EVENT TRIGGER nvent_guard_drop ON sql_drop
    WHEN TAG IN ('DROP TRIGGER') EXECUTE FUNCTION nvent.stream_guard_ddl();
CREATE EVENT TRIGGER nvent_guard_rewrite ON table_rewrite
    EXECUTE FUNCTION nvent.stream_guard_ddl();
COMMENT ON EVENT TRIGGER nvent_guard_ddl IS 'see nvent.stream_guard_ddl()';
COMMENT ON EVENT TRIGGER nvent_guard_drop IS 'see nvent.stream_guard_ddl()';
COMMENT ON EVENT TRIGGER nvent_guard_rewrite IS 'see nvent.stream_guard_ddl()';

CREATE FUNCTION nvent.stream_protect(
    relation regclass
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_protect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_protect(regclass) IS
'Protects a table of events from all changes but those of our functions.

INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE are refused to everybody, whatever rights a role
has, the owner and superusers too, and whether the statement names the table, a partition, or a table
that it inherits from. Partitions and tables that inherit from it are protected with it, and when
they are added later.

Nobody but a superuser can take that away: not by disabling, dropping, renaming or replacing the
trigger, by another table that it is made to inherit from, or by a change of a column''s type. What a
table''s owner can still do is to drop the table or a column of it, to rename it, to move it to
another schema, to detach a partition, and to add columns, rules and triggers, which see events when
they are appended. Whoever adds partitions must be able to execute nvent.stream_guard, as owners of
stores are. Superusers can bypass it with nvent.stream_unprotect, with session_replication_role, or
by disabling triggers.

Arguments:
  relation: the table; the caller must own it
Returns:
  true when it is protected now, false when it was
Raises:
  42809: the relation is not a table of events
  42501: the caller does not own the table
  55000: it inherits from a table that is not protected, or is a partition of one
Locks:
  the table and its partitions until the transaction ends, against all who write to them
Example:
  SELECT nvent.stream_protect(''nvent_flow_events'');';

CREATE FUNCTION nvent.stream_unprotect(
    relation regclass
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_unprotect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.stream_unprotect(regclass) IS
'Undoes nvent.stream_protect.

Arguments:
  relation: the table
Returns:
  true when it was protected, false when it was not
Raises:
  42501: the caller is no superuser
  42809: the relation is not a table of events
Locks:
  the table and its partitions until the transaction ends, against everybody
Example:
  SELECT nvent.stream_unprotect(''nvent_flow_events'');';

-- For who owns or administers a store, see src/store/grant.c; unprotecting is for neither.
REVOKE ALL ON FUNCTION
    nvent.stream_create_table,
    nvent.stream_index,
    nvent.stream_drop_table,
    nvent.stream_retain,
    nvent.stream_restore,
    nvent.stream_clear,
    nvent.stream_guard,
    nvent.stream_guard_ddl,
    nvent.stream_protect,
    nvent.stream_unprotect
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.stream_create_table,
    nvent.stream_index,
    nvent.stream_drop_table,
    nvent.stream_retain,
    nvent.stream_restore,
    nvent.stream_clear,
    nvent.stream_guard,
    nvent.stream_guard_ddl,
    nvent.stream_protect,
    nvent.stream_unprotect
TO @extowner@ WITH GRANT OPTION;
