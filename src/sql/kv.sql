-- Keys and their values.  See src/kv/kv.c, src/kv/many.c, src/kv/scan.c.

CREATE FUNCTION nvent.kv_get(key text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_get(text) IS 'the value of a key, NULL when the key is absent or expired; JSON''s null, false, 0 and "" are values; a key is any text of 1 to 1024 bytes, raises 22023 otherwise; expiry is judged by statement_timestamp(), here and in every function that only reads, and those see what was there when their statement began, not what it writes itself; works in read-only transactions and on a standby; example: SELECT nvent.kv_get(''session:42'')';

CREATE FUNCTION nvent.kv_exists(key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_exists'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_exists(text) IS 'is there a value under the key, even if it is JSON''s null? example: SELECT nvent.kv_exists(''session:42'')';

CREATE FUNCTION nvent.kv_ttl(key text) RETURNS interval
AS 'MODULE_PATHNAME', 'nvs_kv_ttl'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_ttl(text) IS 'how long the key still lives; NULL when it does not expire or is absent, which nvent.kv_exists tells apart; example: SELECT nvent.kv_ttl(''session:42'')';

CREATE FUNCTION nvent.kv_mget(keys text[], OUT key text, OUT value jsonb) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_kv_mget'
LANGUAGE C STABLE ROWS 10 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_mget(text[]) IS 'a row for each element of the array, in its order and as often as a key stands in it; the value is NULL for a key that is absent; at most 65536 keys; raises 22004 for a NULL among them; example: SELECT * FROM nvent.kv_mget(ARRAY[''a'', ''b''])';

CREATE FUNCTION nvent.kv_set(key text, value jsonb, ttl interval DEFAULT NULL, nx boolean DEFAULT false, xx boolean DEFAULT false, keep_ttl boolean DEFAULT false, expires_at timestamptz DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_set(text, jsonb, interval, boolean, boolean, boolean, timestamptz) IS 'sets a key; nx only if it is absent, xx only if it is there, and false when that kept it from being set; the key lives for ttl, or until expires_at (which may be past: then it is absent), or as long as before with keep_ttl, else for ever, whatever time to live it had; raises 22004 for a value that is SQL''s NULL, 22023 for a ttl that is not positive and for options that exclude each other; example: SELECT nvent.kv_set(''session:42'', ''{"user": 7}'', ttl => ''30 minutes'')';

CREATE FUNCTION nvent.kv_mset(entries jsonb, ttl interval DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_mset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_mset(jsonb, interval) IS 'sets every key of an object to its value and returns how many they are, at most 65536; the keys live for ttl, NULL for ever; one statement for each table; calls that set the same keys cannot deadlock; example: SELECT nvent.kv_mset(''{"a": 1, "b": null}'')';

CREATE FUNCTION nvent.kv_delete(VARIADIC keys text[]) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_delete(text[]) IS 'deletes keys, at most 65536, and returns how many of them were there; calls that name the same keys cannot deadlock; example: SELECT nvent.kv_delete(''a'', ''b'')';

CREATE FUNCTION nvent.kv_increment(key text, by numeric DEFAULT 1) RETURNS numeric
AS 'MODULE_PATHNAME', 'nvs_kv_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_increment(text, numeric) IS 'adds to a number, exactly, and returns the sum; the time to live stays; an absent or expired key counts as 0 and then lives for ever; raises NV007 when the value is not a number (a string of digits is not); example: SELECT nvent.kv_increment(''visits:home'')';

CREATE FUNCTION nvent.kv_expire(key text, ttl interval, mode text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_expire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_expire(text, interval, text) IS 'has the key live for ttl from now; one that is not positive deletes it; mode nx: only if it does not expire, xx: only if it does, gt: only to make it live longer, lt: only to make it live shorter, where not to expire counts as for ever; false when the key is absent or the mode says no; example: SELECT nvent.kv_expire(''session:42'', ''30 minutes'')';

CREATE FUNCTION nvent.kv_persist(key text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_persist'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_persist(text) IS 'has the key live for ever; false when it is absent or does so already';

CREATE FUNCTION nvent.kv_getdel(key text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_getdel'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_getdel(text) IS 'deletes a key and returns the value that it had, NULL when it was absent; of several calls at once one gets the value; example: SELECT nvent.kv_getdel(''ticket:7'')';

CREATE FUNCTION nvent.kv_getset(key text, value jsonb, ttl interval DEFAULT NULL, keep_ttl boolean DEFAULT false) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_kv_getset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_getset(text, jsonb, interval, boolean) IS 'sets a key and returns the value that it replaced, NULL when the key was absent; options as in nvent.kv_set; example: SELECT nvent.kv_getset(''leader'', ''"node-2"'')';

CREATE FUNCTION nvent.kv_cas(key text, expected jsonb, value jsonb, ttl interval DEFAULT NULL, keep_ttl boolean DEFAULT false) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_cas'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_cas(text, jsonb, jsonb, interval, boolean) IS 'compare and set: sets a key if its value equals expected (as jsonb: 1 equals 1.0), or, for an expected NULL, if it is absent; false when that is not so; options as in nvent.kv_set; example: SELECT nvent.kv_cas(''config'', ''{"v": 1}'', ''{"v": 2}'')';

CREATE FUNCTION nvent.kv_scan(pattern text DEFAULT '*', after text DEFAULT NULL, max_count integer DEFAULT 100, OUT key text, OUT value jsonb, OUT expires_at timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_kv_scan'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_scan(text, text, integer) IS 'keys that match a glob (see nvent.kv_glob_matches), in the order of their bytes, those behind after, at most max_count, NULL for all; the next page begins after the last key of this one, and no key that is there throughout is missed or seen twice; looks in the store of the pattern''s first token if that is literal and followed by ":" or all of it, else in the default store; raises NV005 for a malformed glob; example: SELECT key FROM nvent.kv_scan(''session:*'', max_count => 20)';

CREATE FUNCTION nvent.kv_clear(pattern text) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_kv_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.kv_clear(text) IS 'deletes the keys that match a glob, in the store that nvent.kv_scan looks in, and returns how many were there; "%" and "_" stand for themselves; example: SELECT nvent.kv_clear(''cache:user:7:*'')';

CREATE FUNCTION nvent.kv_expire_bucket(expires_at timestamptz) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_kv_expire_bucket'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION nvent.kv_expire_bucket(timestamptz) IS 'hours since 1970, rounded down: column expire_bucket of tables of keys, whose index leads nvent.maintain to what has expired; NULL for NULL and for the ends of time; a table of a user''s may have the column too: expire_bucket integer GENERATED ALWAYS AS (nvent.kv_expire_bucket(expires_at)) STORED';
