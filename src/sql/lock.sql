-- Named locks with a lease and a fencing token.  See src/lock/lock.c.

-- CACHE 1: a cached range would give a later holder the lower token.
CREATE SEQUENCE nvent.fence_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE nvent.fence_seq IS 'fencing tokens of nvent.lock_acquire, one sequence for the database';
SELECT pg_catalog.pg_extension_config_dump('nvent.fence_seq', '');
-- Drawing a token without holding a lock only leaves a gap.
GRANT USAGE ON SEQUENCE nvent.fence_seq TO PUBLIC;

CREATE FUNCTION nvent.lock_acquire(name text, ttl interval, owner text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_lock_acquire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.lock_acquire(text, interval, text) IS 'takes a lock for ttl and returns its fencing token, which is greater than that of every holder before; NULL when somebody else holds it; an owner (any text but NULL) that holds it already has its lease renewed and gets the same token, and one release undoes that; others see it from commit on, so commit at once; waits only for a transaction that is acquiring, renewing, releasing or asserting the same lock; a name is any text of 1 to 1024 bytes, its first token chooses the store; raises 22023 for a ttl that is not positive; example: SELECT nvent.lock_acquire(''nvent:job:7'', ''30 seconds'')';

CREATE FUNCTION nvent.lock_renew(name text, token bigint, ttl interval) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_lock_renew'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.lock_renew(text, bigint, interval) IS 'has the lease end ttl from now; false when it is lost: run out, released or taken over; example: SELECT nvent.lock_renew(''nvent:job:7'', 42, ''30 seconds'')';

CREATE FUNCTION nvent.lock_release(name text, token bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_lock_release'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.lock_release(text, bigint) IS 'gives a lock back; false when its lease was lost before, and nobody else''s is touched; example: SELECT nvent.lock_release(''nvent:job:7'', 42)';

CREATE FUNCTION nvent.lock_assert(name text, token bigint) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_lock_assert'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.lock_assert(text, bigint) IS 'raises NV002 when the lease is lost, DETAIL is {"name", "token", "holder"} with the token of who holds the lock now or null; else nobody can take the lock over before this transaction ends, so that what it writes is fenced: call it in the transaction of the write; renewing waits for that transaction too; example: SELECT nvent.lock_assert(''nvent:job:7'', 42)';

CREATE FUNCTION nvent.lock_get(name text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_lock_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.lock_get(text) IS 'who holds a lock: {"owner", "token", "acquiredAt", "expiresAt"}, NULL when nobody does; times are ISO-8601 in UTC; for display: only nvent.lock_assert protects';
