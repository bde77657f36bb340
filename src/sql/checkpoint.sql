
-- Named positions that readers keep for themselves.  See src/checkpoint/checkpoint.c.

CREATE FUNCTION nvent.checkpoint_save(
    name text,
    upto bigint,
    token bigint DEFAULT NULL,
    force boolean DEFAULT false,
    data jsonb DEFAULT NULL,
    store text DEFAULT NULL,
    keep_higher boolean DEFAULT false
) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_checkpoint_save'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.checkpoint_save(text, bigint, bigint, boolean, jsonb, text, boolean) IS
'Keeps a position under a name, and data beside it.

Call it in the transaction of the effects. Once a token was given, none and lower ones are refused.

Arguments:
  name: text of 1 to 1,024 bytes
  upto: the position
  token: fencing token of the lease (nvent.lock_acquire) under which the caller reads; NULL for none
  force: lets the position go back
  data: what to keep beside it; NULL leaves that of before
  store: the store; NULL is the default store
  keep_higher: leaves a position that is higher as it is, with its data and its token, where NV020
    would be raised
Raises:
  NV002: the token is not the highest so far; DETAIL is {"name", "token", "holder"}
  NV020: upto is below what is kept, unless force or keep_higher; DETAIL is {"name", "position", "given"}
  NV009: there is no such store
  22023: the name is empty or too long
  40001: in REPEATABLE READ or SERIALIZABLE, when it was saved since the snapshot
Locks:
  the row of the checkpoint until the transaction ends
Example:
  SELECT nvent.checkpoint_save(''report'', 42);';

CREATE FUNCTION nvent.checkpoint_load(
    name text,
    store text DEFAULT NULL,
    OUT "position" bigint,
    OUT token bigint,
    OUT data jsonb,
    OUT updated_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_checkpoint_load'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.checkpoint_load(text, text) IS
'Returns what nvent.checkpoint_save kept.

Arguments:
  name: the checkpoint
  store: the store; NULL is the default store
Returns:
  one row; none when nothing was saved
Columns:
  position: the position
  token: the highest fencing token that saved it; NULL for none
  data: what was kept beside it
  updated_at: when it was saved
Raises:
  NV009: there is no such store
Example:
  SELECT position FROM nvent.checkpoint_load(''report'');';

CREATE FUNCTION nvent.checkpoint_delete(
    name text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_checkpoint_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.checkpoint_delete(text, text) IS
'Deletes a checkpoint, and with it the tokens that it has seen.

Arguments:
  name: the checkpoint
  store: the store; NULL is the default store
Returns:
  true when it was deleted, false when there was none
Raises:
  NV009: there is no such store
  22023: the name is empty or too long
Example:
  SELECT nvent.checkpoint_delete(''report'');';
