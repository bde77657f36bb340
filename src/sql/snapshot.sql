
-- Snapshots of what was computed from streams.  See src/snapshot/snapshot.c.

CREATE FUNCTION nvent.snapshot_save(
    id text,
    state jsonb,
    versions jsonb,
    extra jsonb DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_snapshot_save'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.snapshot_save(text, jsonb, jsonb, jsonb) IS
'Keeps a state under an id, with the versions that went into it.

An older state never replaces a newer one, in whatever order two sessions save and commit.

Arguments:
  id: text of 1 to 1,024 bytes, whose first token chooses the store as that of a subject does
  state: the state; may be NULL
  versions: which version of which subject went into it, {"subject": version}
  extra: what else is to be kept; NULL for nothing
Returns:
  true when it was kept; false, and nothing is written, when the snapshot that is there has a higher
    version of any subject, or has a subject that versions omits
Raises:
  22023: the id is empty or too long, or versions is no object of whole numbers
  NV009: there is no default store, and nvent_store.auto_create is off
Locks:
  the row of the snapshot until the transaction ends
Example:
  SELECT nvent.snapshot_save(''balance:1'', ''{"balance": 7}'', ''{"account:1": 12}'');';

CREATE FUNCTION nvent.snapshot_load(
    id text,
    OUT state jsonb,
    OUT versions jsonb,
    OUT extra jsonb,
    OUT updated_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_snapshot_load'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.snapshot_load(text) IS
'Returns the snapshot of an id, as nvent.snapshot_save took it.

Arguments:
  id: text of 1 to 1,024 bytes
Returns:
  one row; none when there is no snapshot
Columns:
  state: the state
  versions: the versions that went into it
  extra: what else was kept
  updated_at: when it was saved
Raises:
  22023: the id is empty or too long
Example:
  SELECT state, versions FROM nvent.snapshot_load(''balance:1'');';

CREATE FUNCTION nvent.snapshot_delete(
    id text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_snapshot_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.snapshot_delete(text) IS
'Deletes a snapshot; events are not touched.

Arguments:
  id: text of 1 to 1,024 bytes
Returns:
  true when it was deleted, false when there is none
Raises:
  22023: the id is empty or too long
Example:
  SELECT nvent.snapshot_delete(''balance:1'');';
