
-- Named locks with a lease and a fencing token.  See src/lock/lock.c.

-- CACHE 1: a cached range would give a later holder the lower token.
CREATE SEQUENCE nvent.fence_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.fence_seq IS
'fencing tokens of nvent.lock_acquire and of leases of consumers, one sequence for the database';
SELECT pg_catalog.pg_extension_config_dump('nvent.fence_seq', '');
-- Drawing a token without holding a lock only leaves a gap.
GRANT USAGE ON SEQUENCE nvent.fence_seq TO PUBLIC;
GRANT SELECT ON SEQUENCE nvent.fence_seq TO @extowner@;

CREATE FUNCTION nvent.lock_acquire(
    name text,
    ttl interval,
    owner text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_lock_acquire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.lock_acquire(text, interval, text) IS
'Takes a lock for a time.

Others see it from commit on, so commit at once. An owner that holds the lock already has its lease
renewed and gets the same token, and one release undoes that.

Arguments:
  name: any text of 1 to 1,024 bytes; its first token chooses the store
  ttl: how long the lease lasts, from now; 0 is one that ends at once, so that an owner gives back
    what it holds without the token
  owner: any text that says who asks; NULL is nobody, who never holds it already
Returns:
  the fencing token, greater than that of every holder before; NULL when somebody else holds it
Raises:
  22023: ttl is negative, or the name is empty or too long
  40001: in REPEATABLE READ or SERIALIZABLE, when the lock was changed since the snapshot
  NV009: there is no default store, and nvent_store.auto_create is off
Locks:
  the row of the lock until the transaction ends: it waits only for a transaction that is acquiring,
    renewing, releasing or asserting the same lock
Example:
  SELECT nvent.lock_acquire(''nvent:job:7'', ''30 seconds'');';

CREATE FUNCTION nvent.lock_renew(
    name text,
    token bigint,
    ttl interval
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_lock_renew'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.lock_renew(text, bigint, interval) IS
'Has a lease end later: ttl from now.

Arguments:
  name: the lock
  token: the fencing token of the lease
  ttl: how long the lease lasts, from now
Returns:
  true when it was renewed, false when it is lost: run out, released or taken over
Raises:
  22023: ttl is not positive, or the name is empty or too long
Locks:
  the row of the lock until the transaction ends
Example:
  SELECT nvent.lock_renew(''nvent:job:7'', 42, ''30 seconds'');';

CREATE FUNCTION nvent.lock_release(
    name text,
    token bigint
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_lock_release'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.lock_release(text, bigint) IS
'Gives a lock back.

Arguments:
  name: the lock
  token: the fencing token of the lease
Returns:
  true when it was given back; false when the lease was lost before, and nobody else''s is touched
Raises:
  22023: the name is empty or too long
Locks:
  the row of the lock until the transaction ends
Example:
  SELECT nvent.lock_release(''nvent:job:7'', 42);';

CREATE FUNCTION nvent.lock_assert(
    name text,
    token bigint
) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_lock_assert'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.lock_assert(text, bigint) IS
'Raises an error when a lease is lost, else keeps the lock from others to the end of the transaction.

So what the transaction writes is fenced: call it in the transaction of the write. Renewing waits for
that transaction too.

Arguments:
  name: the lock
  token: the fencing token of the lease
Raises:
  NV002: the lease is lost; DETAIL is {"name", "token", "holder"} with the token of who holds the
    lock now, or null
  22023: the name is empty or too long
Locks:
  the row of the lock until the transaction ends, shared
Example:
  SELECT nvent.lock_assert(''nvent:job:7'', 42);';

CREATE FUNCTION nvent.lock_get(
    name text
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_lock_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.lock_get(text) IS
'Shows who holds a lock; only nvent.lock_assert protects.

Arguments:
  name: the lock
Returns:
  {"owner", "token", "acquiredAt", "expiresAt"}, times as ISO-8601 in UTC; NULL when nobody holds it,
    and for NULL
Raises:
  22023: the name is empty or too long
Example:
  SELECT nvent.lock_get(''nvent:job:7'');';
