
-- Keys and their values.  See src/kv/kv.c, src/kv/many.c and src/kv/scan.c.

CREATE FUNCTION nvent.kv_get(
    key text
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_get(text) IS
'Returns the value of a key.

Expiry is judged by statement_timestamp(), here and in every function that only reads, and those see
what was there when their statement began, not what it writes itself. They work in read-only
transactions and on a standby.

Arguments:
  key: any text of 1 to 1,024 bytes
Returns:
  the value: JSON''s null, false, 0 and "" are values; NULL when the key is absent or expired, and
    for NULL
Raises:
  22023: the key is empty or too long
Example:
  SELECT nvent.kv_get(''session:42'');';

CREATE FUNCTION nvent.kv_exists(
    key text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_exists'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_exists(text) IS
'Tells whether there is a value under a key, even if it is JSON''s null.

Arguments:
  key: any text of 1 to 1,024 bytes
Returns:
  true when there is one; NULL for NULL
Raises:
  22023: the key is empty or too long
Example:
  SELECT nvent.kv_exists(''session:42'');';

CREATE FUNCTION nvent.kv_ttl(
    key text
) RETURNS interval
AS 'MODULE_PATHNAME', 'nvs_kv_ttl'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_ttl(text) IS
'Tells how long a key still lives.

Arguments:
  key: any text of 1 to 1,024 bytes
Returns:
  the time; NULL when the key does not expire or is absent, which nvent.kv_exists tells apart
Raises:
  22023: the key is empty or too long
Example:
  SELECT nvent.kv_ttl(''session:42'');';

CREATE FUNCTION nvent.kv_mget(
    keys text[],
    OUT key text,
    OUT value jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_kv_mget'
LANGUAGE C STABLE ROWS 10 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_mget(text[]) IS
'Returns the values of several keys.

Arguments:
  keys: at most 65,536 keys
Returns:
  a row for each element of the array, in its order and as often as a key stands in it
Columns:
  key: the key
  value: its value; NULL when the key is absent
Raises:
  22004: one of the keys is NULL
  22023: a key is empty or too long
  54000: there are too many keys
Example:
  SELECT * FROM nvent.kv_mget(ARRAY[''a'', ''b'']);';

CREATE FUNCTION nvent.kv_set(
    key text,
    value jsonb,
    ttl interval DEFAULT NULL,
    nx boolean DEFAULT false,
    xx boolean DEFAULT false,
    keep_ttl boolean DEFAULT false,
    expires_at timestamptz DEFAULT NULL,
    seconds double precision DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_set(
    text, jsonb, interval, boolean, boolean, boolean, timestamptz, double precision
) IS
'Sets a key.

It lives for ttl or seconds, or until expires_at, or as long as before with keep_ttl, else for ever, whatever
time to live it had.

Arguments:
  key: any text of 1 to 1,024 bytes
  value: the value; JSON''s null is one
  ttl: how long it lives; NULL for what the other arguments say
  nx: only if the key is absent
  xx: only if the key is there
  keep_ttl: leaves the time to live as it is
  expires_at: until when it lives; may be past: then it is absent; NULL for what the others say
  seconds: how long it lives, as a number; 0 is for ever, and below that it is absent; NULL for what the
    others say
Returns:
  true when it was set, false when nx or xx kept it from being set
Raises:
  22004: the value is SQL''s NULL
  22023: ttl is not positive, seconds is out of range, options exclude each other, or the key is empty or
    too long
  NV009: there is no default store, and nvent_store.auto_create is off
  09000: a trigger, rule or policy of the table kept the key out
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_set(''session:42'', ''{"user": 7}'', ttl => ''30 minutes'');';

CREATE FUNCTION nvent.kv_mset(
    entries jsonb,
    ttl interval DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_mset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_mset(jsonb, interval) IS
'Sets every key of an object to its value, by one statement for each table.

Calls that set the same keys cannot deadlock.

Arguments:
  entries: {"key": value}, at most 65,536 keys
  ttl: how long all of them live; NULL for ever
Returns:
  how many keys they are
Raises:
  22023: entries is no object, ttl is not positive, or a key is empty or too long
  54000: there are too many keys
Locks:
  the rows of the keys until the transaction ends, in the order of their bytes
Example:
  SELECT nvent.kv_mset(''{"a": 1, "b": null}'');';

CREATE FUNCTION nvent.kv_delete(
    VARIADIC keys text[]
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_delete(text[]) IS
'Deletes keys.

Calls that name the same keys cannot deadlock.

Arguments:
  keys: at most 65,536 keys
Returns:
  how many of them were there
Raises:
  22004: one of the keys is NULL
  22023: a key is empty or too long
  54000: there are too many keys
Locks:
  the rows of the keys until the transaction ends, in the order of their bytes
Example:
  SELECT nvent.kv_delete(''a'', ''b'');';

CREATE FUNCTION nvent.kv_increment(
    key text,
    by numeric DEFAULT 1
) RETURNS numeric
AS 'MODULE_PATHNAME', 'nvs_kv_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_increment(text, numeric) IS
'Adds to a number, exactly.

The time to live stays. An absent or expired key counts as 0 and then lives for ever.

Arguments:
  key: any text of 1 to 1,024 bytes
  by: what to add; may be negative
Returns:
  the sum
Raises:
  NV007: the value is not a number; a string of digits is not
  22023: by is not finite, or the key is empty or too long
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_increment(''visits:home'');';

CREATE FUNCTION nvent.kv_expire(
    key text,
    ttl interval,
    mode text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_expire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_expire(text, interval, text) IS
'Has a key live for a time from now.

Arguments:
  key: any text of 1 to 1,024 bytes
  ttl: how long; one that is not positive deletes the key
  mode: "nx" only if it does not expire, "xx" only if it does, "gt" only to make it live longer,
    "lt" only to make it live shorter, where not to expire counts as for ever; NULL for always
Returns:
  true when it was done, false when the key is absent or the mode says no
Raises:
  22023: there is no such mode, or the key is empty or too long
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_expire(''session:42'', ''30 minutes'');';

CREATE FUNCTION nvent.kv_persist(
    key text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_persist'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_persist(text) IS
'Has a key live for ever.

Arguments:
  key: any text of 1 to 1,024 bytes
Returns:
  true when it would have expired, false when it is absent or lives for ever already
Raises:
  22023: the key is empty or too long
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_persist(''session:42'');';

CREATE FUNCTION nvent.kv_getdel(
    key text
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_getdel'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_getdel(text) IS
'Deletes a key and returns the value that it had.

Arguments:
  key: any text of 1 to 1,024 bytes
Returns:
  the value; NULL when the key was absent; of several calls at once one gets it
Raises:
  22023: the key is empty or too long
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_getdel(''ticket:7'');';

CREATE FUNCTION nvent.kv_getset(
    key text,
    value jsonb,
    ttl interval DEFAULT NULL,
    keep_ttl boolean DEFAULT false
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_getset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_getset(text, jsonb, interval, boolean) IS
'Sets a key and returns the value that it replaced.

Arguments:
  key: any text of 1 to 1,024 bytes
  value: the new value
  ttl: how long it lives; NULL for ever
  keep_ttl: leaves the time to live as it is
Returns:
  the value before; NULL when the key was absent
Raises:
  22004: this and all others as nvent.kv_set
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_getset(''leader'', ''"node-2"'');';

CREATE FUNCTION nvent.kv_cas(
    key text,
    expected jsonb,
    value jsonb,
    ttl interval DEFAULT NULL,
    keep_ttl boolean DEFAULT false
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_cas'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_cas(text, jsonb, jsonb, interval, boolean) IS
'Compares and sets: sets a key if its value is the expected one.

Arguments:
  key: any text of 1 to 1,024 bytes
  expected: the value, compared as jsonb (1 equals 1.0); NULL for an absent key
  value: the new value
  ttl: how long it lives; NULL for ever
  keep_ttl: leaves the time to live as it is
Returns:
  true when it was set, false when the value is another one
Raises:
  22004: this and all others as nvent.kv_set
Locks:
  the row of the key until the transaction ends
Example:
  SELECT nvent.kv_cas(''config'', ''{"v": 1}'', ''{"v": 2}'');';

CREATE FUNCTION nvent.kv_scan(
    pattern text DEFAULT '*',
    after text DEFAULT NULL,
    max_count integer DEFAULT 100,
    OUT key text,
    OUT value jsonb,
    OUT expires_at timestamptz
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_kv_scan'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_scan(text, text, integer) IS
'Lists the keys that match a glob, in the order of their bytes.

The next page begins after the last key of this one, and no key that is there throughout is missed
or seen twice. It looks in the store of the pattern''s first token if that is literal and followed by
":" or all of it, else in the default store.

Arguments:
  pattern: a glob, see nvent.kv_glob_matches
  after: the last key of the page before; NULL for the first page
  max_count: how many at most; NULL for all
Returns:
  a row for each key
Columns:
  key: the key
  value: its value
  expires_at: when it expires; NULL for never
Raises:
  NV005: the glob is malformed
  22023: max_count is negative
Example:
  SELECT key FROM nvent.kv_scan(''session:*'', max_count => 20);';

CREATE FUNCTION nvent.kv_clear(
    pattern text,
    only_stars boolean DEFAULT false
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.kv_clear(text, boolean) IS
'Deletes the keys that match a glob, in the store that nvent.kv_scan looks in.

Arguments:
  pattern: a glob, see nvent.kv_glob_matches; "%" and "_" stand for themselves
  only_stars: has "*" be all that is special in it, as in patterns of nvent''s adapter: "?", "[", "]" and
    "\" stand for themselves, too
Returns:
  how many keys were there
Raises:
  NV005: the glob is malformed
Locks:
  the rows of the keys until the transaction ends, in the order of their bytes
Example:
  SELECT nvent.kv_clear(''cache:user:7:*'');';

CREATE FUNCTION nvent.kv_expire_bucket(
    expires_at timestamptz
) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_kv_expire_bucket'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.kv_expire_bucket(timestamptz) IS
'Returns the hours since 1970, rounded down: column expire_bucket of tables of keys.

The index on that column leads nvent.maintain to what has expired. A table of yours may have the
column too: expire_bucket integer GENERATED ALWAYS AS (nvent.kv_expire_bucket(expires_at)) STORED.

Arguments:
  expires_at: a time
Returns:
  the hours; NULL for NULL and for the ends of time
Example:
  SELECT nvent.kv_expire_bucket(now());';
