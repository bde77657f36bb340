
-- Positions of events.  See src/position/position.c.

CREATE SEQUENCE nvent.position_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.position_seq IS
'positions of events, one sequence for the database; '
'draw from it only through nvent.next_position()';
GRANT SELECT ON SEQUENCE nvent.position_seq TO @extowner@;
SELECT pg_catalog.pg_extension_config_dump('nvent.position_seq', '');

CREATE SEQUENCE nvent.position_timeline AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.position_timeline IS
'timeline of the write-ahead log on which positions are drawn: on another one, and in a restored '
'database, nvent.position_seq jumps by 4294967296 before the first draw';

CREATE FUNCTION nvent.next_position_support(
    internal
) RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_next_position_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.next_position_support(internal) IS
'Planner support of nvent.next_position: in an expression that is in no query, as a default is in '
'COPY, it is nvent.next_position_in_copy.';

CREATE FUNCTION nvent.next_position(store text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_next_position'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SUPPORT nvent.next_position_support;

COMMENT ON FUNCTION nvent.next_position(text) IS
'Draws a position for a row that this transaction inserts into a table of a store.

It is the default of column id of every event table, so that INSERT and COPY by hand keep the
order that readers rely on. With its first position for the store the transaction publishes a
low-water mark: readers of the store get no event at or above it until the transaction ends, see
nvent.appenders. A transaction that appends to more than four stores holds back the readers of
all.

Arguments:
  store: the store, whose readers are held back
Returns:
  the position, higher than all that were drawn before, for whichever store
Raises:
  25000: this transaction appended first longer ago than nvent_store.max_append_age
  42501: the caller has the right to INSERT into none of the event tables of the store
  55000: nvent.position_seq was moved back, or has CACHE, CYCLE or a negative INCREMENT
  NV009: there is no such store
Example:
  SELECT nvent.next_position(''nvent'');';

CREATE FUNCTION nvent.next_position_in_copy(store text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_next_position_in_copy'
LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.next_position_in_copy(text) IS
'What nvent.next_position() is within COPY, which calls it by itself; nothing else should.

It is labelled STABLE, since COPY puts rows into a table one by one where a default is volatile.
A statement that draws many positions draws up to 32 at once; those that it does not need are left
out. Who may not execute nvent.next_position() may not execute this.

Arguments:
  store: the store, whose readers are held back
Returns:
  the position, higher than all that the statement drew before
Raises:
  25000: this transaction appended first longer ago than nvent_store.max_append_age
  42501: the caller has the right to INSERT into none of the event tables of the store
  55000: nvent.position_seq was moved back, or has CACHE, CYCLE or a negative INCREMENT
  NV009: there is no such store
Example:
  SELECT nvent.next_position_in_copy(''nvent'');';

CREATE FUNCTION nvent.store_number(store text) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_store_number_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.store_number(text) IS
'Number of a store, a hash of its name: what low-water marks and nvent.published_position know the '
'store by; the lowest 15 bits of it where that is all that is known, and 0 for any store.';

CREATE FUNCTION nvent.safe_position(store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_safe_position'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.safe_position(text) IS
'Returns the position at or below which every event of a store is committed or gone.

Call it in one statement, then read events up to it in the next, which must have a snapshot of its
own; nvent.stream_poll does both. In REPEATABLE READ and SERIALIZABLE and on a standby it is the
position in nvent.published_position as the snapshot shows it.

Arguments:
  store: NULL is the default store
Returns:
  the safe position
Raises:
  NV009: there is no such store
  55000: the snapshot goes by nvent.published_position, and that was never written
Example:
  SELECT nvent.safe_position();';

-- The row is not dumped, as CREATE EXTENSION makes it.
CREATE TABLE nvent.published_position (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint,
    held_stores integer[] NOT NULL DEFAULT '{}',
    held_positions bigint[] NOT NULL DEFAULT '{}',
    published_at timestamptz
);
COMMENT ON TABLE nvent.published_position IS
'one row: positions at or below which every event is committed or gone, and seen by whoever sees '
'the row; what readers in REPEATABLE READ, on standbys and on logical subscribers go by; '
'written by the notifier and by nvent.position_publish()';
COMMENT ON COLUMN nvent.published_position.only_row IS 'true: there is one row';
COMMENT ON COLUMN nvent.published_position.position IS
'the position of stores without an open appender; NULL until it is first published';
COMMENT ON COLUMN nvent.published_position.held_stores IS
'the others, by nvent.store_number(), or the lowest 15 bits of it; 0 is any store';
COMMENT ON COLUMN nvent.published_position.held_positions IS
'the position of each of these';
COMMENT ON COLUMN nvent.published_position.published_at IS 'when it was written';
INSERT INTO nvent.published_position DEFAULT VALUES;
GRANT SELECT ON nvent.published_position TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('nvent.published_position', 'WHERE false');

CREATE FUNCTION nvent.position_publish() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_position_publish'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.position_publish() IS
'Writes the safe position into nvent.published_position, if it has advanced.

The notifier does so by itself, so this is for servers without one.

Returns:
  the position that is there now
Locks:
  the row until commit, so call it in a transaction of its own
Example:
  SELECT nvent.position_publish();';

CREATE FUNCTION nvent.appender_low_water_marks(
    OUT pid integer,
    OUT virtualtransaction text,
    OUT since timestamptz,
    OUT store integer,
    OUT low_water_mark bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_appender_low_water_marks'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.appender_low_water_marks() IS
'Low-water marks of the open appenders of this database: those in shared memory with their process '
'and since when, those that are locks with the virtual transaction that pg_locks shows, and no '
'process when it is prepared; nvent.appenders says more about each.';

CREATE VIEW nvent.appenders WITH (security_invoker = true) AS
SELECT a.pid, p.gid AS prepared,
    COALESCE(a.since, p.prepared, s.xact_start) AS since,
    a.low_water_mark,
    ARRAY(
        SELECT n.prefix
        FROM nvent.store n
        WHERE a.stores OPERATOR(pg_catalog.&&) ARRAY[
            0, nvent.store_number(n.prefix),
            nvent.store_number(n.prefix) OPERATOR(pg_catalog.&) 32767
        ]
        ORDER BY 1
    ) AS stores,
    ARRAY(
        SELECT DISTINCT ad.adrelid::pg_catalog.regclass
        FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_attrdef ad ON ad.adrelid OPERATOR(pg_catalog.=) l.relation
        JOIN pg_catalog.pg_depend d
            ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
            AND d.objid OPERATOR(pg_catalog.=) ad.oid
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
        AND d.refobjid OPERATOR(pg_catalog.=) 'nvent.next_position(text)'::pg_catalog.regprocedure
        AND l.locktype OPERATOR(pg_catalog.=) 'relation'
        AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock'
        AND (l.pid OPERATOR(pg_catalog.=) a.pid
             OR l.pid IS NULL AND a.pid IS NULL
             AND l.virtualtransaction OPERATOR(pg_catalog.=) a.virtualtransaction)
        ORDER BY 1
    ) AS tables
FROM (
    SELECT m.pid, m.virtualtransaction, pg_catalog.min(m.since) AS since,
        pg_catalog.min(m.low_water_mark) AS low_water_mark,
        pg_catalog.array_agg(m.store) AS stores
    FROM nvent.appender_low_water_marks() m
    GROUP BY 1, 2
) a
LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid OPERATOR(pg_catalog.=) a.pid
LEFT JOIN pg_catalog.pg_locks x ON a.pid IS NULL AND x.pid IS NULL
    AND x.locktype OPERATOR(pg_catalog.=) 'transactionid'
    AND x.virtualtransaction OPERATOR(pg_catalog.=) a.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts p
    ON p.transaction OPERATOR(pg_catalog.=) x.transactionid;
COMMENT ON VIEW nvent.appenders IS
'open transactions of this database that have appended: readers of a store get no event at or '
'above the lowest low-water mark of those that have appended to it until they end; '
'example: SELECT * FROM nvent.appenders ORDER BY low_water_mark LIMIT 1';
COMMENT ON COLUMN nvent.appenders.pid IS 'process; NULL for a prepared transaction';
COMMENT ON COLUMN nvent.appenders.prepared IS
'name of a prepared transaction, for COMMIT PREPARED or ROLLBACK PREPARED';
COMMENT ON COLUMN nvent.appenders.since IS
'when it appended first; of a prepared one when it was prepared; '
'without shared memory when it began';
COMMENT ON COLUMN nvent.appenders.low_water_mark IS
'positions below it do not wait for this transaction';
COMMENT ON COLUMN nvent.appenders.stores IS
'stores whose readers wait for it; of a prepared one also those that cannot be told apart';
COMMENT ON COLUMN nvent.appenders.tables IS 'event tables that it writes to';
GRANT SELECT ON nvent.appenders TO PUBLIC;

-- Whoever holds its row keeps the worker from publishing.
REVOKE ALL ON FUNCTION
    nvent.position_publish
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.position_publish
TO @extowner@ WITH GRANT OPTION;
