-- Named locks with a lease and a fencing token: who gets one, renews and
-- releases it, what a token that was taken over is worth, rights and errors.
-- Two who want one are in test/specs/lock_*.spec, killed holders in
-- test/t/050_consumer.pl.
\pset null NULL
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers

-- Tokens are counted below.
ALTER SEQUENCE nvent.fence_seq RESTART;

-- Without a store nobody holds anything; taking a lock makes the store.
BEGIN READ ONLY;
SELECT nvent.lock_get('job');
COMMIT;
SELECT nvent.lock_renew('job', 1, '1 hour'), nvent.lock_release('job', 1);
SELECT count(*) FROM nvent.store;
SET client_min_messages = warning;
SELECT nvent.lock_acquire('job', '1 hour');
SELECT prefix FROM nvent.store;

-- Who comes second gets nothing, whoever it is; without an owner's name it is
-- not known to be the holder either.
SELECT nvent.lock_acquire('job', '1 hour'), nvent.lock_acquire('job', '1 hour', owner => 'b');
SELECT nvent.lock_get('job') - 'acquiredAt' - 'expiresAt' AS holder,
       nvent.lock_get('job') ->> 'acquiredAt' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$' AS iso,
       (nvent.lock_get('job') ->> 'expiresAt')::timestamptz - (nvent.lock_get('job') ->> 'acquiredAt')::timestamptz AS lease;

-- Only the token releases it, and only once.
SELECT nvent.lock_release('job', 99), nvent.lock_release('job', 1);
SELECT nvent.lock_release('job', 1), nvent.lock_renew('job', 1, '1 hour'), nvent.lock_get('job');

-- Each holder's token is greater than the one before; those who got nothing
-- drew none.
SELECT nvent.lock_acquire('job', '1 hour', owner => 'b');
SELECT nvent.lock_acquire('other', '1 hour');

-- An owner that holds the lock renews it: same token, one release.
SELECT nvent.lock_acquire('job', '2 hours', owner => 'b'), nvent.lock_acquire('job', '3 hours', owner => 'c');
SELECT nvent.lock_get('job') -> 'token' AS token, (nvent.lock_get('job') ->> 'expiresAt')::timestamptz > now() + '119 minutes' AS renewed;
SELECT nvent.lock_release('job', 2);
SELECT nvent.lock_acquire('job', '1 hour', owner => 'b');

-- A lease that has run out is lost, and anybody may take the lock over.
UPDATE nvent_locks SET expires_at = now() - interval '1 second' WHERE name = 'job';
SELECT nvent.lock_get('job'), nvent.lock_renew('job', 4, '1 hour'), nvent.lock_release('job', 4);
SELECT nvent.lock_acquire('job', '1 hour', owner => 'c');
SELECT nvent.lock_renew('job', 4, '1 hour'), nvent.lock_release('job', 4), nvent.lock_renew('job', 5, '5 hours');
SELECT nvent.lock_get('job') -> 'owner' AS owner, (nvent.lock_get('job') ->> 'expiresAt')::timestamptz > now() + '299 minutes' AS renewed;

-- The same owner after its lease ran out is a new holder with a new token.
UPDATE nvent_locks SET expires_at = now() - interval '1 second' WHERE name = 'job';
SELECT nvent.lock_acquire('job', '1 hour', owner => 'c');

-- A lease of next to nothing has run out by the next statement.
SELECT nvent.lock_acquire('brief', '1 microsecond');
SELECT nvent.lock_get('brief'), nvent.lock_acquire('brief', '1 hour');

-- lock_assert fences a write: it passes with the token of a lease that holds.
SELECT nvent.lock_assert('job', 6);
SELECT e.*
FROM unnest(ARRAY[
    $$nvent.lock_assert('job', 5)$$,                -- taken over
    $$nvent.lock_assert('never "held"', 5)$$,
    $$nvent.lock_assert('brief', 7)$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
UPDATE nvent_locks SET expires_at = now() - interval '1 second' WHERE name = 'job';
SELECT nvent.lock_assert('job', 6);

-- A token that was drawn in vain leaves a gap, never a lower token.
BEGIN;
SELECT nvent.lock_acquire('job', '1 hour');
ROLLBACK;
SELECT nvent.lock_acquire('job', '1 hour');
SELECT bool_and(token > 0) AS drawn FROM nvent_locks;

-- A lock's first token chooses its store.
SELECT nvent.store_create('shop');
SELECT nvent.lock_acquire('shop:a', '1 hour');
SELECT name FROM shop_locks ORDER BY name;

-- A lease of no time ends at once: nobody else's is taken by it, the owner's own
-- is given back, and whoever comes next gets a higher token.
SELECT nvent.lock_acquire('short', '1 hour', 'ann') AS first \gset
SELECT nvent.lock_acquire('short', '0', 'bob') IS NULL AS refused, nvent.lock_acquire('short', '0') IS NULL AS refused_too;
SELECT nvent.lock_get('short') ->> 'owner' AS owner;
SELECT nvent.lock_acquire('short', '0', 'ann') = :first AS given_back;
SELECT nvent.lock_get('short') IS NULL AS free, nvent.lock_renew('short', :first, '1 hour') AS renewed;
SELECT nvent.lock_acquire('short', '0', 'bob') > :first AS higher;
SELECT nvent.lock_get('short') IS NULL AS free;
SELECT nvent.lock_acquire('short', '1 hour', 'cem') > :first AS taken;
SELECT nvent.lock_get('short') ->> 'owner' AS owner;

-- Each error.
SELECT e.*
FROM unnest(ARRAY[
    $$nvent.lock_acquire(NULL, '1 hour')$$,
    $$nvent.lock_acquire('job', NULL)$$,
    $$nvent.lock_acquire('job', '-1 hour')$$,
    $$nvent.lock_acquire('', '1 hour')$$,
    $$nvent.lock_acquire(repeat('x', 1025), '1 hour')$$,
    $$nvent.lock_renew('job', NULL, '1 hour')$$,
    $$nvent.lock_renew('job', 1, NULL)$$,
    $$nvent.lock_renew('job', 1, '0')$$,
    $$nvent.lock_release(NULL, 1)$$,
    $$nvent.lock_release('job', NULL)$$,
    $$nvent.lock_assert(NULL, 1)$$,
    $$nvent.lock_assert('job', NULL)$$,
    $$nvent.lock_get('')$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
BEGIN READ ONLY;
SELECT e.code, e.message
FROM unnest(ARRAY[
    $$nvent.lock_acquire('job', '1 hour')$$, $$nvent.lock_renew('job', 1, '1 hour')$$,
    $$nvent.lock_release('job', 1)$$, $$nvent.lock_assert('job', 1)$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
COMMIT;

-- A role needs rights on the table, and none on the sequence of tokens.
CREATE ROLE regress_locker;
GRANT USAGE ON SCHEMA nvent TO regress_locker;
SET ROLE regress_locker;
SELECT e.code, e.message
FROM unnest(ARRAY[$$nvent.lock_acquire('job', '1 hour')$$, $$nvent.lock_get('job')$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
RESET ROLE;
GRANT SELECT, INSERT, UPDATE ON nvent_locks TO regress_locker;
SET ROLE regress_locker;
SELECT nvent.lock_acquire('mine', '1 hour') > 0 AS acquired;
RESET ROLE;

-- The sequence is dumped with its value: a restored database goes on from it.
SELECT extconfig @> ARRAY['nvent.fence_seq'::regclass::oid] AS dumped
FROM pg_extension WHERE extname = 'nvent_store';

-- A store of a layout without locks says what to do.
SELECT nvent.store_migrate('shop', 3) > 3 AS moved;
SELECT nvent.lock_acquire('shop:a', '1 hour');

DROP OWNED BY regress_locker;
DROP ROLE regress_locker;
SELECT nvent.store_migrate('shop', 0) > 0 AND nvent.store_migrate('nvent', 0) > 0 AS dropped;
