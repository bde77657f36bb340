
-- Positions.  See src/position/position.c.

-- CACHE 1: a cached range would be drawn before its floor is published.
CREATE SEQUENCE nvent.position_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.position_seq IS 'positions of events, one sequence for the database; draw from it only through nvent.next_position()';
SELECT pg_catalog.pg_extension_config_dump('nvent.position_seq', '');

CREATE FUNCTION nvent.next_position() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_next_position'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.next_position() IS 'draws a position for a row that this transaction inserts; the default of column id of every event table, so that INSERT and COPY by hand keep the order that readers rely on; raises 25000 in a transaction that appended first longer ago than nvent_store.max_append_age';

CREATE FUNCTION nvent.safe_position() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_safe_position'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.safe_position() IS 'the position at or below which every event is committed or gone: call it in one statement, then read events up to it in the next, which must have a snapshot of its own; nvent.stream_poll does both; in REPEATABLE READ and SERIALIZABLE and on a standby it is the position in nvent.published_position as the snapshot shows it, or error 55000 when that was never written';

-- The row is not dumped, as CREATE EXTENSION makes it.
CREATE TABLE nvent.published_position (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint,
    written_at timestamptz
);
COMMENT ON TABLE nvent.published_position IS 'one row: a position at or below which every event is committed or gone, and seen by whoever sees the row; what readers in REPEATABLE READ, on standbys and on logical subscribers go by; written by the worker and by nvent.position_publish()';
COMMENT ON COLUMN nvent.published_position.only_row IS 'true: there is one row';
COMMENT ON COLUMN nvent.published_position.position IS 'the position; NULL before the first tick';
COMMENT ON COLUMN nvent.published_position.written_at IS 'when it was written';
INSERT INTO nvent.published_position DEFAULT VALUES;
GRANT SELECT ON nvent.published_position TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('nvent.published_position', 'WHERE false');

CREATE FUNCTION nvent.position_publish() RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_position_publish'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.position_publish() IS 'writes the safe position into nvent.published_position, if it has advanced, and returns what is there; the worker does so by itself, so this is for servers without; holds the row until commit, so call it in a transaction of its own';

CREATE FUNCTION nvent.appender_low_water_marks(OUT pid integer, OUT since timestamptz, OUT floor bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_appender_low_water_marks'
LANGUAGE C VOLATILE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.appender_low_water_marks() IS 'floors in shared memory of the open appenders of this database; see nvent.appenders, which has them all';

-- 19972 is NVS_LOCK_FLOOR of src/base/util.h.
CREATE VIEW nvent.appenders AS
WITH appender AS (
    SELECT f.pid, NULL::pg_catalog.text AS holder, f.since, f.floor
    FROM nvent.appender_low_water_marks() f
    UNION ALL
    SELECT l.pid, l.virtualtransaction, NULL,
        (l.classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.|) l.objid::pg_catalog.int8
    FROM pg_catalog.pg_locks l
    WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
    AND l.objsubid OPERATOR(pg_catalog.=) 19972
    AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
)
SELECT a.pid, p.gid AS prepared,
    COALESCE(a.since, p.prepared, s.xact_start) AS since,
    a.floor,
    ARRAY(
        SELECT DISTINCT ad.adrelid::pg_catalog.regclass
        FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_attrdef ad ON ad.adrelid OPERATOR(pg_catalog.=) l.relation
        JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
            AND d.objid OPERATOR(pg_catalog.=) ad.oid
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
        AND d.refobjid OPERATOR(pg_catalog.=) 'nvent.next_position()'::pg_catalog.regprocedure
        AND l.locktype OPERATOR(pg_catalog.=) 'relation'
        AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock'
        AND (l.pid OPERATOR(pg_catalog.=) a.pid
             OR l.pid IS NULL AND a.pid IS NULL
             AND l.virtualtransaction OPERATOR(pg_catalog.=) a.holder)
        ORDER BY 1
    ) AS tables
FROM appender a
LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid OPERATOR(pg_catalog.=) a.pid
LEFT JOIN pg_catalog.pg_locks x ON a.pid IS NULL AND x.pid IS NULL
    AND x.locktype OPERATOR(pg_catalog.=) 'transactionid'
    AND x.virtualtransaction OPERATOR(pg_catalog.=) a.holder
LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction OPERATOR(pg_catalog.=) x.transactionid;
COMMENT ON VIEW nvent.appenders IS 'open transactions of this database that have appended: readers get no event at or above the lowest floor until they end; example: SELECT * FROM nvent.appenders ORDER BY floor LIMIT 1';
COMMENT ON COLUMN nvent.appenders.pid IS 'process; NULL for a prepared transaction';
COMMENT ON COLUMN nvent.appenders.prepared IS 'name of a prepared transaction, for COMMIT PREPARED or ROLLBACK PREPARED';
COMMENT ON COLUMN nvent.appenders.since IS 'when it appended first; of a prepared one when it was prepared; without shared memory when it began';
COMMENT ON COLUMN nvent.appenders.floor IS 'positions below it do not wait for this transaction';
COMMENT ON COLUMN nvent.appenders.tables IS 'event tables that it writes to';
GRANT SELECT ON nvent.appenders TO PUBLIC;
