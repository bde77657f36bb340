
-- Event streams.  See src/stream/stream.c.

CREATE FUNCTION nvent.stream_append(subject text, event jsonb, expected_version bigint DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_append(text, jsonb, bigint) IS 'appends an event and returns its record; event is an object with "type", and may have "ts" (milliseconds since 1970 or ISO-8601; now when missing), "data" and any other field; what has no column comes back in "meta"; expected_version is the version that the stream must be at, 0 for none, NULL for any; a field "eventId" makes the call repeatable in tables that have the column (generic stream tables do): the same event sent again with the same id returns the first record and writes nothing, whatever version is expected; ids are unique in a table, and in one without the column (those of flow runs and triggers, until you add it) the id goes to "meta" and each call writes; raises NV001 when the stream is not at the expected version, with {"subject", "expected", "actual"} as DETAIL, NV004 for an invalid subject, NV006 when the id is taken by another event or only some events of a call are known, NV010 when the last event is a "__tombstone__", 22023 for an event that cannot be stored; example: SELECT nvent.stream_append(''nvent:flow:run:abc'', ''{"type": "flow:started", "flowName": "import"}'')';

CREATE FUNCTION nvent.stream_append_batch(subject text, events jsonb[], expected_version bigint DEFAULT NULL) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_append_batch(text, jsonb[], bigint) IS 'appends events in the order of the array, all or none, and returns their records in that order; at most 65536 in a call; expected_version and errors as in nvent.stream_append';

CREATE FUNCTION nvent.stream_append_many(appends jsonb) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_append_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_append_many(jsonb) IS 'appends events to several subjects, all or none, and returns their records in the order in which they are written, which is the order of their positions; appends is an array of {"subject": ..., "events": [...], "expected": ...}; expected is a version, "none" (0), "exists" or "any" (as when it is missing); a subject without events is only looked at: it must be as expected until the commit; a subject may come several times, to interleave events, if it is expected to be the same; at most 65536 events and 4096 subjects; raises NV001 as nvent.stream_append does, its DETAIL names the first stale subject in the order of bytes and has all of them in "conflicts" when there are more; calls that name the same subjects in any order do not deadlock; example: SELECT nvent.stream_append_many(''[{"subject": "shop:account:1", "expected": 4, "events": [{"type": "debited", "data": 10}]}, {"subject": "shop:account:2", "events": [{"type": "credited", "data": 10}]}, {"subject": "shop:limits:1", "expected": 2}]'')';

CREATE FUNCTION nvent.stream_version(subject text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_version'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_version(text) IS 'last version of a subject, 0 when it has no event; raises 0A000 for a plain log, which has no versions; example: SELECT nvent.stream_version(''shop:account:1'')';

CREATE FUNCTION nvent.stream_read(subject text, after bigint DEFAULT NULL, before bigint DEFAULT NULL, since bigint DEFAULT NULL, until bigint DEFAULT NULL, types text[] DEFAULT NULL, backward boolean DEFAULT false, max_count integer DEFAULT 1000, after_version bigint DEFAULT NULL, before_version bigint DEFAULT NULL, correlation text DEFAULT NULL, with_snaps boolean DEFAULT NULL) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_read'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_read(text, bigint, bigint, bigint, bigint, text[], boolean, integer, bigint, bigint, text, boolean) IS 'records of a subject in the order of positions, newest first with backward; after and before bound "id", both exclusive; since and until bound "ts", milliseconds, both inclusive; types keeps events of these types, NULL all; after_version and before_version bound "version", both exclusive; correlation keeps events whose field "correlation" in meta is this text; with_snaps NULL makes nothing of events of type "__snapshot__", false leaves them out, true begins with the last one, unless after or after_version say where to begin; max_count NULL is no limit; all of these apply before the limit; no row for a subject without events; example: SELECT e->>''type'' FROM nvent.stream_read(''nvent:flow:run:abc'', backward => true, max_count => 50) e';

CREATE FUNCTION nvent.stream_delete(subject text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_delete(text) IS 'deletes all events of a subject and returns how many there were; versions begin at 1 again';

CREATE FUNCTION nvent.stream_create_table(type text, versioned boolean DEFAULT true, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_create_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_create_table(text, boolean, text) IS 'makes the table prefix_stream_type of subjects whose second token is type; the first append does so too; versioned false makes a plain log, without versions, whose appends never wait for one another; store NULL is the default store; false when it was there; raises NV003 beyond nvent_store.max_stream_tables';

CREATE FUNCTION nvent.stream_drop_table(type text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_drop_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_drop_table(text, text) IS 'drops a generic stream table with its events; false when there is none; only the store''s owner may';

CREATE FUNCTION nvent.stream_tables(store text DEFAULT NULL, OUT store text, OUT type text, OUT relation regclass, OUT versioned boolean) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT t.store, t.type, c.oid::pg_catalog.regclass,
        EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                AND a.attname OPERATOR(pg_catalog.=) 'version'
                AND NOT a.attisdropped)
    FROM nvent.stream_table t
    JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema_name
    JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
        AND c.relname OPERATOR(pg_catalog.=) t.table_name
    WHERE $1 IS NULL OR t.store OPERATOR(pg_catalog.=) $1
    ORDER BY t.store, t.type;
END;
COMMENT ON FUNCTION nvent.stream_tables(text) IS 'generic stream tables of a store, of all stores for NULL: the second token of the subjects in it, the table, and whether subjects have versions';

CREATE FUNCTION nvent.stream_guard() RETURNS trigger
AS 'MODULE_PATHNAME', 'nvs_stream_guard' LANGUAGE C;
COMMENT ON FUNCTION nvent.stream_guard() IS 'trigger of protected tables, made by nvent.stream_protect: refuses statements that are not our functions'' own';

CREATE FUNCTION nvent.stream_guard_ddl() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'nvs_stream_guard_ddl' LANGUAGE C;
COMMENT ON FUNCTION nvent.stream_guard_ddl() IS 'event trigger that keeps owners of protected tables from disabling or dropping what protects them';

CREATE EVENT TRIGGER nvent_guard_alter ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION nvent.stream_guard_ddl();
CREATE EVENT TRIGGER nvent_guard_drop ON ddl_command_start
    WHEN TAG IN ('DROP TRIGGER') EXECUTE FUNCTION nvent.stream_guard_ddl();
COMMENT ON EVENT TRIGGER nvent_guard_alter IS 'see nvent.stream_guard_ddl()';
COMMENT ON EVENT TRIGGER nvent_guard_drop IS 'see nvent.stream_guard_ddl()';

CREATE FUNCTION nvent.stream_protect(relation regclass) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_protect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_protect(regclass) IS 'refuses INSERT, UPDATE, DELETE and TRUNCATE of a table of events, and of its partitions, to everybody, the owner and superusers too, unless a function of ours does it; false when it was protected; only the table''s owner may; superusers can bypass it with nvent.stream_unprotect, session_replication_role or by disabling the trigger, and the owner can still drop the table; partitions that are attached later need another call; example: SELECT nvent.stream_protect(''nvent_stream_account'')';

CREATE FUNCTION nvent.stream_unprotect(relation regclass) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_stream_unprotect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_unprotect(regclass) IS 'undoes nvent.stream_protect; false when the table was not protected; raises 42501 for all but superusers and the owner of the extension';
