
-- What happens to streams besides appends; snapshots.  See src/aggregate*.c.

CREATE FUNCTION nvent.stream_truncate(subject text, before bigint DEFAULT NULL, before_ts bigint DEFAULT NULL, max_id bigint DEFAULT NULL, seed jsonb DEFAULT NULL, restart boolean DEFAULT false, OUT deleted bigint, OUT record jsonb) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_stream_truncate'
LANGUAGE C VOLATILE ROWS 1 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_truncate(text, bigint, bigint, bigint, jsonb, boolean) IS 'deletes the beginning of a stream, in one of three forms: before deletes lower versions, but never the last event; before_ts (milliseconds) deletes what precedes the last event of type "__snapshot__" of an earlier ts, with max_id the last one at or below that position, and answers no row when there is none; seed replaces all events by this one, a "__snapshot__" or "__tombstone__" most often, whose version is the next one, or 1 with restart; answers how many events were deleted and the record of the snapshot or seed; consumers and snapshots of nvent.snapshot_save are not touched; waits for open appends to the stream; raises 22023 unless one form is chosen, 0A000 for before and a plain log; example: SELECT * FROM nvent.stream_truncate(''shop:account:1'', seed => ''{"type": "__snapshot__", "data": {"balance": 7}}'')';

CREATE FUNCTION nvent.stream_close(subject text, expected_version bigint DEFAULT NULL, data jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT nvent.stream_append($1, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('type', '__tombstone__', 'data', $3)), $2);
END;
COMMENT ON FUNCTION nvent.stream_close(text, bigint, jsonb) IS 'appends an event of type "__tombstone__" and returns its record: from then on appends raise NV010, until nvent.stream_reopen; appending such an event in another way does the same; errors as in nvent.stream_append, NV010 when the stream is closed already; plain logs cannot be closed, there it is an event like any other';

CREATE FUNCTION nvent.stream_reopen(subject text, data jsonb DEFAULT NULL) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_reopen'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_reopen(text, jsonb) IS 'appends an event of type "__reopened__" to a closed stream and returns its record; NULL, and nothing is written, when the stream is not closed';

CREATE FUNCTION nvent.stream_erase(subject text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_erase'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_erase(text) IS 'erases the field "pii" of all events of a subject and returns how many had one; all else stays as it is; old row versions go with the next VACUUM and out of the WAL with its recycling; raises 0A000 when the table has no column pii (generic stream tables have it), where the field goes to "meta" and stays; example: SELECT nvent.stream_erase(''shop:customer:7'')';

CREATE FUNCTION nvent.stream_retain(type text, older_than interval, store text DEFAULT NULL, max_count integer DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_retain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_retain(text, interval, text, integer) IS 'deletes events of a generic stream table whose ts is older than an interval, oldest first and at most max_count, and returns how many; the last event of each versioned stream stays, so that versions go on; store NULL is the default store; 0 when there is no such table; reads the whole table; example: SELECT nvent.stream_retain(''audit'', ''90 days'')';

CREATE FUNCTION nvent.stream_restore(events jsonb[]) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_stream_restore'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_restore(jsonb[]) IS 'takes in records as reads return them, with their subject, version and ts, and returns the new ones in the same order; "id" is drawn anew; a version that is missing is the next one, one that is given must be so too, or any where the stream has no event yet; at most 4096 subjects in a call; only the store''s owner may; raises 22023 for a version out of order; call it several times in one transaction, after nvent.stream_clear, to restore a store as a whole';

CREATE FUNCTION nvent.stream_clear(store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_stream_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.stream_clear(text) IS 'deletes all events of the generic stream tables of a store, and its snapshots, and returns how many events there were; versions begin at 1 again, positions do not; routed tables and consumers are not touched; store NULL is the default store; only the store''s owner may';

CREATE FUNCTION nvent.snapshot_save(id text, state jsonb, versions jsonb, extra jsonb DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_snapshot_save'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.snapshot_save(text, jsonb, jsonb, jsonb) IS 'keeps a state under an id, whose first token chooses the store as that of a subject does; versions says which version of which subject went into it, {"subject": version}; false, and nothing is written, when the snapshot that is there has a higher version of any subject or has a subject that versions omits; example: SELECT nvent.snapshot_save(''shop:balance:1'', ''{"balance": 7}'', ''{"shop:account:1": 12}'')';

CREATE FUNCTION nvent.snapshot_load(id text, OUT state jsonb, OUT versions jsonb, OUT extra jsonb, OUT updated_at timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_snapshot_load'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.snapshot_load(text) IS 'the snapshot of an id, as nvent.snapshot_save took it; no row when there is none';

CREATE FUNCTION nvent.snapshot_delete(id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_snapshot_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.snapshot_delete(text) IS 'deletes a snapshot, false when there is none; events are not touched';
