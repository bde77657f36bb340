-- Keys and their values: stores and users' tables, scans, expiry, what is
-- updated in place and found by an index, triggers, rights and errors.  What
-- Redis has in common with it is in kv_redis.
\pset null NULL
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers

-- Where there is no store there is no key, and reading or deleting makes none.
BEGIN READ ONLY;
SELECT nvent.kv_get('a'), nvent.kv_exists('a'), nvent.kv_ttl('a');
SELECT * FROM nvent.kv_mget('{a,b}');
SELECT * FROM nvent.kv_scan();
COMMIT;
SELECT nvent.kv_delete('a', 'b'), nvent.kv_clear('*'), nvent.kv_getdel('a'),
       nvent.kv_expire('a', '1 hour'), nvent.kv_persist('a'),
       nvent.kv_set('a', '1', xx => true), nvent.kv_cas('a', '1', '2');
SELECT count(*) FROM nvent.store;

-- The first write makes the default store; kv_set answers true.
SET client_min_messages = warning;
SELECT nvent.kv_set('a', '{"n": 1}');
SELECT prefix, schema_name FROM nvent.store;
SELECT key, value, expires_at FROM nvent_kv;

-- A key is any text of 1 to 1024 bytes: no subject, and no pattern.
SELECT k AS key, nvent.kv_set(k, to_jsonb(k))
FROM unnest(ARRAY['::', 'a b', '*', 'a{b}', E'tab\t', '%', 'é漢']) k;
SELECT nvent.kv_set(repeat('x', 1024), '1'), nvent.kv_set(repeat('é', 512), '1');
SELECT left(key, 8) AS key, length(value::text) FROM nvent.kv_scan();
SELECT bool_and(nvent.kv_get(key) = value) FROM nvent_kv;
SELECT nvent.kv_clear('*');

-- Reads work in a read-only transaction, also in one that sees the past.
SELECT nvent.kv_mset('{"a": 1, "b": 2}');
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT nvent.kv_get('a'), nvent.kv_exists('b');
SELECT * FROM nvent.kv_mget(ARRAY['b', 'c', 'a']);
SELECT key, value FROM nvent.kv_scan('*');
COMMIT;

-- A key is there until it expires and absent from the next statement on.
BEGIN;
SELECT nvent.kv_set('brief', '1', ttl => '1 microsecond');
SELECT nvent.kv_get('brief'), nvent.kv_exists('brief'), nvent.kv_ttl('brief');
SELECT nvent.kv_set('brief', '2', xx => true), nvent.kv_set('brief', '3', nx => true);
COMMIT;
SELECT nvent.kv_get('brief');

-- The time to live counts from the write, to the microsecond.
SELECT nvent.kv_set('long', '1', ttl => '1 day 2 hours');
SELECT nvent.kv_ttl('long') BETWEEN '1 day 01:59' AND '1 day 02:00' AS ttl,
       (SELECT expires_at FROM nvent_kv WHERE key = 'long') BETWEEN now() + '1 day 01:59' AND now() + '1 day 02:00' AS expires_at;

-- Values: large ones are stored aside and come back whole.
SELECT nvent.kv_set('large', to_jsonb(string_agg(md5(i::text), ''))) FROM generate_series(1, 5000) i;
SELECT length(nvent.kv_get('large') #>> '{}'), md5(nvent.kv_get('large') #>> '{}');
SELECT length(value #>> '{}') FROM nvent.kv_mget('{large}');
SELECT length(nvent.kv_getset('large', '0') #>> '{}'), nvent.kv_getdel('large');

-- updated_at moves with every write.
UPDATE nvent_kv SET updated_at = '2001-01-01';
SELECT nvent.kv_set('a', '2'), nvent.kv_increment('b'), nvent.kv_expire('long', '1 hour');
SELECT key, updated_at > '2001-01-01' AS moved FROM nvent_kv WHERE key IN ('a', 'b', 'brief', 'long') ORDER BY key;

-- kv_mset is one statement, kv_mget answers each element of the array.
CREATE TABLE statements (n integer);
CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO statements VALUES (1); RETURN NULL; END$$;
CREATE TRIGGER count_statement AFTER INSERT ON nvent_kv
    FOR EACH STATEMENT EXECUTE FUNCTION count_statement();
SELECT nvent.kv_mset((SELECT jsonb_object_agg('m' || i, i) FROM generate_series(1, 1000) i));
SELECT count(*) FROM statements;
DROP TRIGGER count_statement ON nvent_kv;
SELECT count(*), sum(value::integer), bool_and(key = 'm' || n AND value = to_jsonb(n)) AS in_order
FROM nvent.kv_mget((SELECT array_agg('m' || i ORDER BY i) FROM generate_series(1, 1000) i))
    WITH ORDINALITY AS m (key, value, n);
SELECT * FROM nvent.kv_mget('{}');
SELECT nvent.kv_delete(VARIADIC array_agg('m' || i)) FROM generate_series(-5, 1000) i;
SELECT nvent.kv_delete(VARIADIC '{}');

-- kv_scan: pages by the last key are the whole, once and in order.
SELECT nvent.kv_clear('*');
SELECT nvent.kv_mset((SELECT jsonb_object_agg('page:' || i, i) FROM generate_series(1, 2500) i));
WITH RECURSIVE pages AS (
    SELECT 0 AS n, NULL::text AS first, NULL::text AS last, 0::bigint AS rows
    UNION ALL
    SELECT p.n + 1, s.*
    FROM pages p, LATERAL (
        SELECT min(key), max(key), count(*)
        FROM nvent.kv_scan('page:*', after => p.last, max_count => 700)) s
    WHERE p.n = 0 OR p.rows > 0
)
SELECT n, first, last, rows FROM pages WHERE n > 0 ORDER BY n;
SELECT count(*), count(DISTINCT key) FROM nvent.kv_scan('page:*', max_count => NULL);
SELECT key FROM nvent.kv_scan('page:24*', after => 'page:249', max_count => 3);
SELECT key FROM nvent.kv_scan('page:24*', after => 'page:2', max_count => 2);
SELECT key FROM nvent.kv_scan('page:24*', after => 'q');
SELECT count(*) AS rows_0 FROM nvent.kv_scan('page:*', max_count => 0);
SELECT count(*) AS rows_100 FROM nvent.kv_scan();

-- kv_clear of more than a batch holds.
SELECT nvent.kv_clear('page:1*'), nvent.kv_clear('page:1*'), nvent.kv_clear('page:*');

-- Only stars are special: one of the four keys, and then all.
SELECT nvent.kv_mset('{"c[1]?x": 1, "c1ax": 2, "c\\*": 3, "c[1]?y": 4}');
SELECT nvent.kv_clear('c[1]?x', only_stars => true), nvent.kv_clear('c\*', only_stars => true);
SELECT key FROM nvent.kv_scan('c*') WHERE key ~ '^c[1[]' ORDER BY key;
SELECT nvent.kv_clear('c[1]*', only_stars => true), nvent.kv_clear('c1?x', only_stars => true), nvent.kv_clear('c1?x');

-- A time to live as a number of seconds: 0 is for ever, and less is over.
SELECT nvent.kv_set('s', '1', seconds => 3600.5);
SELECT nvent.kv_ttl('s') BETWEEN '59 minutes' AND '01:00:00.5' AS an_hour;
SELECT nvent.kv_set('s', '2', seconds => 1e-9);
SELECT nvent.kv_exists('s') AS after_a_microsecond;
SELECT nvent.kv_set('s', '3', seconds => 0);
SELECT nvent.kv_ttl('s'), nvent.kv_get('s');
SELECT nvent.kv_set('s', '4', seconds => -1);
SELECT nvent.kv_get('s');
SELECT nvent.kv_set('s', '5', seconds => 0, nx => true), nvent.kv_set('s', '6', seconds => 0, nx => true);
SELECT nvent.kv_get('s');
SELECT nvent.kv_set('s', '7', seconds => -0.5, xx => true), nvent.kv_set('s', '8', seconds => 9, xx => true);
SELECT nvent.kv_get('s');

-- Keys are swept by the hour in which they expire.
SELECT e AT TIME ZONE 'UTC' AS utc, nvent.kv_expire_bucket(e), nvent.kv_expire_bucket(e) = floor(extract(epoch FROM e) / 3600) AS hours
FROM unnest(ARRAY['1970-01-01 00:00Z', '1970-01-01 00:59:59.999999Z', '1969-12-31 23:59:59.999999Z', '1999-12-31 23:59:59.999999Z',
    '2000-01-01Z', '2026-11-20 12:34:56Z', '4713-01-01 00:00Z BC', '294276-12-31 23:59:59Z', 'infinity', '-infinity', NULL]::timestamptz[])
    WITH ORDINALITY AS t (e, n)
ORDER BY n;

-- Refreshing a time to live within the hour updates in place: no index moves.
TRUNCATE nvent_kv;
SELECT count(*) FILTER (WHERE nvent.kv_set('hot:' || i, '0', expires_at => date_trunc('hour', now()) + '10 days 10 minutes'))
FROM generate_series(1, 10) i;
-- Counts since the \gset; within a transaction nothing else moves them.
CREATE FUNCTION pg_temp.counts(OUT updated bigint, OUT in_place bigint, OUT scans bigint, OUT fetched bigint)
LANGUAGE sql AS $$
    SELECT n_tup_upd, n_tup_hot_upd, seq_scan, idx_tup_fetch
    FROM pg_stat_xact_user_tables WHERE relname = 'nvent_kv'
$$;
BEGIN;
SELECT updated AS updated_0, in_place AS in_place_0 FROM pg_temp.counts() \gset
SELECT count(*) FILTER (WHERE nvent.kv_expire('hot:' || i, date_trunc('hour', now()) + '10 days 30 minutes' - now()))
FROM generate_series(1, 10) i;
SELECT count(*) FILTER (WHERE nvent.kv_set('hot:' || i, '0', expires_at => date_trunc('hour', now()) + '10 days 40 minutes'))
FROM generate_series(1, 10) i;
SELECT updated - :updated_0 AS updated, in_place - :in_place_0 AS in_place FROM pg_temp.counts();
-- Moving it to another hour does move an index entry.
SELECT nvent.kv_expire('hot:1', '3 days');
SELECT updated - :updated_0 AS updated, in_place - :in_place_0 AS in_place FROM pg_temp.counts();
COMMIT;
SELECT nvent.kv_clear('*');

-- A few among many: the index leads to them, whatever the glob's end.
SELECT nvent.kv_mset((SELECT jsonb_object_agg('many:' || i, i) FROM generate_series(1, 20000) i));
SELECT nvent.kv_mset((SELECT jsonb_object_agg('few:' || i, i) FROM generate_series(1, 50) i));
VACUUM ANALYZE nvent_kv;
BEGIN;
SELECT scans AS scans_0, fetched AS fetched_0 FROM pg_temp.counts() \gset
SELECT count(*) FROM nvent.kv_scan('few:*[0-9]');
SELECT count(*) FROM nvent.kv_scan('many:*', after => 'many:5', max_count => 20);
SELECT count(*) FROM nvent.kv_mget('{few:1,few:2,many:7}');
SELECT nvent.kv_delete('few:1', 'few:2', 'many:7'), nvent.kv_clear('few:*');
SELECT scans - :scans_0 AS scans, fetched - :fetched_0 < 500 AS few_rows FROM pg_temp.counts();
COMMIT;
SELECT nvent.kv_clear('many:1*');
SELECT count(*) FROM nvent_kv;
SELECT nvent.kv_clear('*');

-- Several stores: the first token chooses, and a glob looks in one of them.
SELECT nvent.store_create('shop', 'kv_shop');
SELECT nvent.kv_set('shop:a', '"shop"'), nvent.kv_set('shop', '"shop itself"'), nvent.kv_set('shopping', '"default"'), nvent.kv_set('b', '"default"');
SELECT key FROM kv_shop.shop_kv ORDER BY key;
SELECT key FROM nvent_kv ORDER BY key;
SELECT key FROM nvent.kv_scan('shop:*');
SELECT key FROM nvent.kv_scan('shop');
SELECT key FROM nvent.kv_scan('sh*');
SELECT key FROM nvent.kv_scan('*');
SELECT nvent.kv_mset('{"shop:b": 1, "c": 2, "shop:c": 3}');
SELECT * FROM nvent.kv_mget('{c,shop:c,shop:x,shop:b,b}');
SELECT nvent.kv_delete('c', 'shop:c', 'shop:x', 'shop:b', 'b');
-- Also where a key that is known to be in one relation is followed by others.
SELECT nvent.kv_mset('{"a:1": 1, "a:2": 2, "shop:3": 3, "shopping:4": 4}');
SELECT 'shop' AS store, key FROM kv_shop.shop_kv UNION ALL SELECT 'nvent', key FROM nvent_kv ORDER BY 1, 2;
SELECT * FROM nvent.kv_mget('{a:1,a:2,shop:3,shop:a,a:1,shopping:4,shopping,shop}');
SELECT nvent.kv_delete('a:1', 'a:2', 'shop:3', 'shopping:4');
SELECT nvent.kv_clear('*'), (SELECT count(*) FROM kv_shop.shop_kv) AS left_in_shop;

-- Tables of users.  This one has the least that a table must have, and keys
-- that sort by a language.
SELECT coalesce((SELECT quote_ident(collname) FROM pg_collation WHERE collname = 'en-x-icu'), '"C"') AS language \gset
CREATE TABLE sessions (
    key text COLLATE :language PRIMARY KEY, value jsonb, expires_at timestamptz,
    who text DEFAULT current_user);
SELECT nvent.route_add('kv', 'session:{id}', 'sessions');
SELECT nvent.kv_set('session:b', '1', ttl => '5 hours'), nvent.kv_set('session:B', '2'), nvent.kv_set('session:a', '3'),
       nvent.kv_set('session', '"not routed"'), nvent.kv_set('session:a:b', '"not routed"');
SELECT key, value, expires_at IS NULL AS for_ever FROM sessions ORDER BY key COLLATE "C";
SELECT nvent.kv_increment('session:b', 2), nvent.kv_getset('session:B', '4', ttl => '1 hour'), nvent.kv_cas('session:a', '3', '5'),
       nvent.kv_expire('session:b', '1 hour', 'lt'), nvent.kv_persist('session:B'), nvent.kv_get('session:a'), nvent.kv_getdel('session:a');
SELECT nvent.kv_mset('{"session:c": 7, "session:d": 8, "other": 9}');
SELECT * FROM nvent.kv_mget('{session:d,other,session:c}');
SELECT nvent.kv_mset('{"session:c:d": 10, "session:dd": 11}');
SELECT key FROM sessions WHERE key IN ('session:dd', 'session:c:d');
SELECT * FROM nvent.kv_mget('{session:c:d,session:dd,session:d}');
SELECT nvent.kv_delete('session:c:d', 'session:dd');

-- A scan merges the relations of the store in the order of bytes.
SELECT key, value FROM nvent.kv_scan('*');
SELECT key FROM nvent.kv_scan('session:*', after => 'session:a:b', max_count => 2);

-- It passes over what nvent.kv_get() does not find: rows of no route or of
-- another store's, a key that lives elsewhere by now, a value that is NULL.
INSERT INTO sessions (key, value) VALUES ('stranger', '1'), ('shop:x', '2'), ('session:null', NULL);
INSERT INTO nvent_kv (key, value) VALUES ('session:old', '1'), ('shop:y', '2');
SELECT k AS key, nvent.kv_get(k), nvent.kv_exists(k)
FROM unnest(ARRAY['stranger', 'shop:x', 'session:null', 'session:old', 'shop:y']) k;
SELECT key FROM nvent.kv_scan('*');
SELECT nvent.kv_set('session:null', '1', xx => true), nvent.kv_cas('session:null', NULL, '1');
SELECT nvent.kv_clear('*');
SELECT 'sessions' AS relation, key COLLATE "C" FROM sessions UNION ALL SELECT 'nvent_kv', key FROM nvent_kv ORDER BY 1, 2;

-- A table is of one store, whatever keys are in it.
CREATE TABLE shared (key text PRIMARY KEY, value jsonb, expires_at timestamptz);
SELECT nvent.route_add('kv', 'nvent:shared:{id}', 'shared');
SELECT nvent.route_add('kv', 'shop:shared:{id}', 'shared');
INSERT INTO shared VALUES ('shop:shared:1', '1');
SELECT nvent.kv_set('nvent:shared:1', '1');
SELECT key FROM nvent.kv_scan('*');
SELECT nvent.kv_clear('*');
SELECT key FROM shared;
SELECT nvent.route_drop('kv', 'nvent:shared:{id}');
DROP TABLE shared;

-- A route to a table that is gone says so; other keys are not concerned.
DROP TABLE sessions;
SELECT * FROM pg_temp.error_of($$nvent.kv_get('session:a')$$);
SELECT nvent.kv_set('unconcerned', '1');
SELECT nvent.route_drop('kv', 'session:{id}');
SELECT nvent.kv_get('session:a');

-- A table that cannot serve.
CREATE TABLE no_expiry (key text PRIMARY KEY, value jsonb);
SELECT * FROM pg_temp.error_of($$nvent.route_add('kv', 'session:{id}', 'no_expiry')$$);

-- A trigger that keeps rows out is an error: a key is set or it is not.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON nvent_kv FOR EACH ROW
    WHEN (NEW.key = 'refused') EXECUTE FUNCTION refuse();
SELECT c.call, e.code, e.message, e.detail
FROM unnest(ARRAY[
    $$nvent.kv_set('refused', '1')$$,
    $$nvent.kv_mset('{"refused": 1, "taken": 2}')$$,
    $$nvent.kv_cas('refused', NULL, '1')$$,
    $$nvent.kv_increment('refused')$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
DROP TRIGGER refuse ON nvent_kv;

-- A trigger may call back while a call is running.
CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM nvent.kv_increment('writes'); RETURN NEW; END$$;
CREATE TRIGGER count_writes BEFORE INSERT OR UPDATE ON nvent_kv FOR EACH ROW
    WHEN (NEW.key LIKE 'counted:%') EXECUTE FUNCTION count_writes();
SELECT nvent.kv_mset('{"counted:1": 1, "counted:2": 2}'), nvent.kv_cas('counted:1', '1', '2'), nvent.kv_increment('counted:2');
SELECT nvent.kv_getset('counted:1', '3'), nvent.kv_expire('counted:1', '1 hour');
SELECT * FROM nvent.kv_mget('{counted:1,counted:2,writes}');
DROP TRIGGER count_writes ON nvent_kv;

-- Each error.
SELECT nvent.kv_set('text', '"x"'), nvent.kv_set('huge', to_jsonb(('1' || repeat('0', 131071))::numeric));
SELECT e.*
FROM unnest(ARRAY[
    -- NULLs
    $$nvent.kv_set(NULL, '1')$$,
    $$nvent.kv_set('a', NULL)$$,
    $$nvent.kv_mget(NULL)$$,
    $$nvent.kv_mget('{a,NULL}')$$,
    $$nvent.kv_mset(NULL)$$,
    $$nvent.kv_delete(VARIADIC NULL::text[])$$,
    $$nvent.kv_delete('a', NULL)$$,
    $$nvent.kv_increment('a', NULL)$$,
    $$nvent.kv_expire('a', NULL)$$,
    $$nvent.kv_cas('a', '1', NULL)$$,
    $$nvent.kv_scan(NULL)$$,
    $$nvent.kv_clear(NULL)$$,
    -- keys
    $$nvent.kv_get('')$$,
    $$nvent.kv_set(repeat('x', 1025), '1')$$,
    $$nvent.kv_mset('{"": 1}')$$,
    $$nvent.kv_mget(array_fill('a'::text, ARRAY[65537]))$$,
    -- options
    $$nvent.kv_set('a', '1', nx => true, xx => true)$$,
    $$nvent.kv_set('a', '1', ttl => '0')$$,
    $$nvent.kv_set('a', '1', ttl => '1 month -31 days -1 hour')$$,
    $$nvent.kv_set('a', '1', ttl => '1 hour', keep_ttl => true)$$,
    $$nvent.kv_set('a', '1', ttl => '1 hour', expires_at => now())$$,
    $$nvent.kv_set('a', '1', keep_ttl => true, expires_at => now())$$,
    $$nvent.kv_set('a', '1', ttl => '300000 years')$$,
    $$nvent.kv_set('a', '1', seconds => 'NaN')$$,
    $$nvent.kv_set('a', '1', seconds => '-Infinity')$$,
    $$nvent.kv_set('a', '1', seconds => 1e13)$$,
    $$nvent.kv_set('a', '1', seconds => 9e12)$$,
    $$nvent.kv_set('a', '1', seconds => 1, ttl => '1 s')$$,
    $$nvent.kv_set('a', '1', seconds => 0, keep_ttl => true)$$,
    $$nvent.kv_set('a', '1', seconds => -1, expires_at => now())$$,
    $$nvent.kv_expire('a', '1 hour', 'ge')$$,
    $$nvent.kv_scan('*', max_count => -1)$$,
    $$nvent.kv_scan('a[')$$,
    $$nvent.kv_clear('a[]b')$$,
    -- values
    $$nvent.kv_mset('[1]')$$,
    $$nvent.kv_increment('text')$$,
    $$nvent.kv_increment('a', 'NaN')$$,
    $$nvent.kv_increment('huge', 9 * (SELECT nvent.kv_get('huge')::numeric))$$
    ]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;

-- No write in a read-only transaction, whether or not it would change a row.
BEGIN READ ONLY;
SELECT e.code, e.message
FROM unnest(ARRAY[
    $$nvent.kv_set('a', '1')$$, $$nvent.kv_mset('{}')$$, $$nvent.kv_delete('nothing')$$, $$nvent.kv_increment('a')$$,
    $$nvent.kv_expire('nothing', '1 hour')$$, $$nvent.kv_persist('nothing')$$, $$nvent.kv_getdel('nothing')$$,
    $$nvent.kv_getset('a', '1')$$, $$nvent.kv_cas('nothing', '1', '1')$$, $$nvent.kv_clear('nothing')$$
    ]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
COMMIT;

-- A role has the rights that it has on the table, no more.
CREATE ROLE regress_kv_reader;
GRANT USAGE ON SCHEMA nvent TO regress_kv_reader;
GRANT SELECT ON nvent_kv TO regress_kv_reader;
SET ROLE regress_kv_reader;
SELECT nvent.kv_get('text');
SELECT e.code, e.message
FROM unnest(ARRAY[
    $$nvent.kv_set('a', '1')$$, $$nvent.kv_increment('a')$$, $$nvent.kv_delete('text')$$, $$nvent.kv_expire('text', '1 hour')$$,
    $$nvent.kv_clear('*')$$, $$nvent.kv_get('shop:a')$$
    ]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
RESET ROLE;

-- Row-level security holds: a key of somebody else's is absent.
CREATE POLICY own ON nvent_kv TO regress_kv_reader USING (key LIKE 'mine:%');
ALTER TABLE nvent_kv ENABLE ROW LEVEL SECURITY;
GRANT INSERT, UPDATE, DELETE ON nvent_kv TO regress_kv_reader;
SELECT nvent.kv_set('mine:a', '1');
SET ROLE regress_kv_reader;
SELECT nvent.kv_get('mine:a'), nvent.kv_get('text'), nvent.kv_delete('text');
SELECT key FROM nvent.kv_scan('*');
SELECT e.code, e.message
FROM unnest(ARRAY[$$nvent.kv_set('text', '1')$$, $$nvent.kv_getset('text', '1')$$, $$nvent.kv_cas('text', NULL, '1')$$])
    WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
RESET ROLE;

-- A setting against accidents: no store comes from a mistyped setting.
SET nvent_store.default_store = 'nobody';
SET nvent_store.auto_create = off;
SELECT * FROM pg_temp.error_of($$nvent.kv_set('a', '1')$$);
SELECT nvent.kv_get('text');
RESET nvent_store.auto_create;
RESET nvent_store.default_store;

-- The store's table may be gone, too.
BEGIN;
DROP TABLE nvent_kv;
SELECT c.call, e.code, e.message
FROM unnest(ARRAY[$$nvent.kv_get('a')$$, $$nvent.kv_set('a', '1')$$, $$nvent.kv_scan('*')$$]) WITH ORDINALITY AS c (call, n),
    pg_temp.error_of(c.call) AS e
ORDER BY n;
ROLLBACK;

DROP OWNED BY regress_kv_reader;
DROP ROLE regress_kv_reader;
DROP TABLE no_expiry, statements;
DROP FUNCTION refuse, count_statement, count_writes;
SELECT nvent.store_migrate('shop', 0) > 0 AND nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP SCHEMA kv_shop;
