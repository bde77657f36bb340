-- What users of Redis take for granted, as a table: operations on an empty
-- store, and what each of them answers ('nil' for NULL, a SQLSTATE for an
-- error).  Times to live are told in whole hours, -1 for none, -2 for a key
-- that is absent.
SELECT nvent.store_create();

CREATE FUNCTION pg_temp.ttl(key text) RETURNS integer
LANGUAGE sql AS $$
    SELECT CASE WHEN NOT nvent.kv_exists(key) THEN -2
                ELSE coalesce(round(extract(epoch FROM nvent.kv_ttl(key)) / 3600), -1)
           END::integer
$$;

-- Let a key expire, or several.
CREATE FUNCTION pg_temp.age(VARIADIC keys text[]) RETURNS text
LANGUAGE sql AS $$
    UPDATE nvent_kv SET expires_at = statement_timestamp() - interval '1 second'
    WHERE key = ANY (keys);
    SELECT 'aged';
$$;

CREATE FUNCTION pg_temp.keys(pattern text) RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(key, ' ' ORDER BY n)
    FROM nvent.kv_scan(pattern) WITH ORDINALITY AS s (key, value, expires_at, n)
$$;

CREATE FUNCTION pg_temp.mget(VARIADIC keys text[]) RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg(key || '=' || coalesce(value::text, 'nil'), ' ' ORDER BY n)
    FROM nvent.kv_mget(keys) WITH ORDINALITY AS m (key, value, n)
$$;

CREATE FUNCTION pg_temp.run(operations text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    operation text;
    answer text;
    answers text[] := '{}';
BEGIN
    DELETE FROM nvent_kv;
    FOREACH operation IN ARRAY operations LOOP
        BEGIN
            EXECUTE format('SELECT CASE WHEN a IS NOT NULL THEN format(''%%s'', a) END '
                           'FROM (SELECT %s OFFSET 0) s (a)', operation)
            INTO answer;
        EXCEPTION WHEN OTHERS THEN
            answer := SQLSTATE;
        END;
        answers := answers || coalesce(answer, 'nil');
    END LOOP;
    RETURN answers;
END $$;

-- Functions of the kind are called without their schema below.
SET search_path = public, nvent;

CREATE TEMPORARY TABLE cases (
    n integer GENERATED ALWAYS AS IDENTITY,
    title text,
    operations text[],
    expected text[]
);

-- SET and GET.
INSERT INTO cases (title, operations, expected) VALUES
('GET of an absent key',
 ARRAY[$$kv_get('k')$$], '{nil}'),
('SET, GET',
 ARRAY[$$kv_set('k', '"v"')$$, $$kv_get('k')$$], '{t,"\"v\""}'),
('SET replaces a value of another type',
 ARRAY[$$kv_set('k', '[1, 2]')$$, $$kv_set('k', '{"a": 1}')$$, $$kv_get('k')$$],
 '{t,t,"{\"a\": 1}"}'),
('false is a value',
 ARRAY[$$kv_set('k', 'false')$$, $$kv_get('k')$$, $$kv_exists('k')$$, $$kv_set('k', '1', nx => true)$$],
 '{t,false,t,f}'),
('0 is a value',
 ARRAY[$$kv_set('k', '0')$$, $$kv_get('k')$$, $$kv_exists('k')$$, $$kv_set('k', '1', nx => true)$$],
 '{t,0,t,f}'),
('the empty string is a value',
 ARRAY[$$kv_set('k', '""')$$, $$kv_get('k')$$, $$kv_exists('k')$$, $$kv_set('k', '1', nx => true)$$],
 '{t,"\"\"",t,f}'),
('JSON null is a value',
 ARRAY[$$kv_set('k', 'null')$$, $$kv_get('k')$$, $$kv_exists('k')$$, $$kv_set('k', '1', nx => true)$$, $$kv_set('k', '2', xx => true)$$],
 '{t,"null",t,f,t}'),
('keys tell upper from lower case',
 ARRAY[$$kv_set('K', '1')$$, $$kv_get('k')$$], '{t,nil}'),
('SET drops the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$pg_temp.ttl('k')$$, $$kv_set('k', '2')$$, $$pg_temp.ttl('k')$$],
 '{t,5,t,-1}'),
('SET EX replaces the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_set('k', '2', ttl => '2 hours')$$, $$pg_temp.ttl('k')$$],
 '{t,t,2}'),
('an expired key is absent',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$pg_temp.age('k')$$, $$kv_get('k')$$, $$kv_exists('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,nil,f,-2}'),
('SET on an expired key starts anew',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_set('k', '2')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,t,2,-1}'),
('SET KEEPTTL keeps the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_set('k', '2', keep_ttl => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,t,2,5}'),
('SET KEEPTTL where there is no TTL',
 ARRAY[$$kv_set('k', '1')$$, $$kv_set('k', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$],
 '{t,t,-1}'),
('SET KEEPTTL on an absent key',
 ARRAY[$$kv_set('k', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$], '{t,-1}'),
('SET KEEPTTL on an expired key has no TTL to keep',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_set('k', '2', keep_ttl => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,t,2,-1}'),
('SET EXAT',
 ARRAY[$$kv_set('k', '1', expires_at => now() + interval '3 hours')$$, $$pg_temp.ttl('k')$$], '{t,3}'),
('SET EXAT in the past sets what is gone at once',
 ARRAY[$$kv_set('k', '1', expires_at => '2001-01-01')$$, $$kv_get('k')$$], '{t,nil}'),
('SET EXAT in the past removes what was there',
 ARRAY[$$kv_set('k', '1')$$, $$kv_set('k', '2', expires_at => '2001-01-01')$$, $$kv_get('k')$$], '{t,t,nil}'),
('SET EXAT at no time at all: the ends of time',
 ARRAY[$$kv_set('k', '1', expires_at => 'infinity')$$, $$pg_temp.ttl('k')$$, $$kv_set('k', '2', expires_at => '-infinity')$$, $$pg_temp.ttl('k')$$],
 '{t,-1,t,-2}');

-- SET NX and XX.
INSERT INTO cases (title, operations, expected) VALUES
('SET NX on an absent key',
 ARRAY[$$kv_set('k', '1', nx => true)$$, $$kv_get('k')$$], '{t,1}'),
('SET NX on a key that is there',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_set('k', '2', nx => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,f,1,5}'),
('SET NX on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_set('k', '2', nx => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,t,2,-1}'),
('SET NX EX',
 ARRAY[$$kv_set('k', '1', nx => true, ttl => '4 hours')$$, $$pg_temp.ttl('k')$$, $$kv_set('k', '1', nx => true, ttl => '9 hours')$$, $$pg_temp.ttl('k')$$],
 '{t,4,f,4}'),
('SET NX EXAT in the past does not touch what is there',
 ARRAY[$$kv_set('k', '1')$$, $$kv_set('k', '2', nx => true, expires_at => '2001-01-01')$$, $$kv_get('k')$$], '{t,f,1}'),
('SET NX KEEPTTL',
 ARRAY[$$kv_set('k', '1', nx => true, keep_ttl => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$], '{t,1,-1}'),
('SET XX on an absent key',
 ARRAY[$$kv_set('k', '1', xx => true)$$, $$kv_get('k')$$], '{f,nil}'),
('SET XX on a key that is there drops the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_set('k', '2', xx => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,t,2,-1}'),
('SET XX on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_set('k', '2', xx => true)$$, $$kv_get('k')$$], '{t,aged,f,nil}'),
('SET XX KEEPTTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_set('k', '2', xx => true, keep_ttl => true)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,t,2,5}'),
('SET XX EX',
 ARRAY[$$kv_set('k', '1')$$, $$kv_set('k', '2', xx => true, ttl => '6 hours')$$, $$pg_temp.ttl('k')$$], '{t,t,6}'),
('SET XX EXAT in the past',
 ARRAY[$$kv_set('k', '1')$$, $$kv_set('k', '2', xx => true, expires_at => '2001-01-01')$$, $$kv_get('k')$$], '{t,t,nil}'),
('SET NX XX is an error',
 ARRAY[$$kv_set('k', '1', nx => true, xx => true)$$, $$kv_get('k')$$], '{22023,nil}'),
('SET EX 0 and less are errors',
 ARRAY[$$kv_set('k', '1', ttl => '0')$$, $$kv_set('k', '1', ttl => '-1 hour')$$, $$kv_get('k')$$], '{22023,22023,nil}'),
('SET EX KEEPTTL is an error',
 ARRAY[$$kv_set('k', '1', ttl => '1 hour', keep_ttl => true)$$], '{22023}'),
('SET EX EXAT is an error',
 ARRAY[$$kv_set('k', '1', ttl => '1 hour', expires_at => 'tomorrow')$$], '{22023}'),
('SET KEEPTTL EXAT is an error',
 ARRAY[$$kv_set('k', '1', keep_ttl => true, expires_at => 'tomorrow')$$], '{22023}');

-- SET GET, GETDEL.
INSERT INTO cases (title, operations, expected) VALUES
('SET GET on an absent key',
 ARRAY[$$kv_getset('k', '1')$$, $$kv_get('k')$$], '{nil,1}'),
('SET GET answers the old value and drops the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_getset('k', '2')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,1,2,-1}'),
('SET GET on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_getset('k', '2')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,nil,2,-1}'),
('SET GET KEEPTTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_getset('k', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$],
 '{t,1,5}'),
('SET GET KEEPTTL on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_getset('k', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$],
 '{t,aged,nil,-1}'),
('SET GET EX',
 ARRAY[$$kv_set('k', '1')$$, $$kv_getset('k', '2', ttl => '7 hours')$$, $$pg_temp.ttl('k')$$], '{t,1,7}'),
('SET GET of JSON null is not that of an absent key',
 ARRAY[$$kv_set('k', 'null')$$, $$kv_getset('k', '2')$$], '{t,"null"}'),
('GETDEL',
 ARRAY[$$kv_set('k', '1')$$, $$kv_getdel('k')$$, $$kv_exists('k')$$, $$kv_getdel('k')$$], '{t,1,f,nil}'),
('GETDEL on an absent key',
 ARRAY[$$kv_getdel('k')$$], '{nil}'),
('GETDEL on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_getdel('k')$$], '{t,aged,nil}');

-- MSET, MGET, DEL, EXISTS.
INSERT INTO cases (title, operations, expected) VALUES
('MSET, MGET',
 ARRAY[$$kv_mset('{"a": 1, "b": null, "c": ""}')$$, $$pg_temp.mget('c', 'a', 'b')$$], '{3,"c=\"\" a=1 b=null"}'),
('MSET replaces, and drops the TTL',
 ARRAY[$$kv_set('a', '1', ttl => '5 hours')$$, $$kv_mset('{"a": 2, "b": 3}')$$, $$pg_temp.mget('a', 'b')$$, $$pg_temp.ttl('a')$$],
 '{t,2,"a=2 b=3",-1}'),
('MSET with a TTL',
 ARRAY[$$kv_mset('{"a": 2, "b": 3}', ttl => '2 hours')$$, $$pg_temp.ttl('a')$$, $$pg_temp.ttl('b')$$], '{2,2,2}'),
('MSET of nothing',
 ARRAY[$$kv_mset('{}')$$, $$pg_temp.keys('*')$$], '{0,nil}'),
('MGET answers in the order asked, nil for what is absent',
 ARRAY[$$kv_set('b', '2')$$, $$pg_temp.mget('x', 'b', 'y')$$], '{t,"x=nil b=2 y=nil"}'),
('MGET of a key twice',
 ARRAY[$$kv_set('b', '2')$$, $$pg_temp.mget('b', 'a', 'b')$$], '{t,"b=2 a=nil b=2"}'),
('MGET of an expired key',
 ARRAY[$$kv_mset('{"a": 1, "b": 2}')$$, $$pg_temp.age('a')$$, $$pg_temp.mget('a', 'b')$$], '{2,aged,"a=nil b=2"}'),
('DEL counts what was there',
 ARRAY[$$kv_mset('{"a": 1, "b": 2}')$$, $$kv_delete('a', 'b', 'c')$$, $$kv_exists('a')$$], '{2,2,f}'),
('DEL of a key twice counts once',
 ARRAY[$$kv_set('a', '1')$$, $$kv_delete('a', 'a')$$], '{t,1}'),
('DEL does not count expired keys, nor leave them',
 ARRAY[$$kv_mset('{"a": 1, "b": 2, "c": 3}')$$, $$pg_temp.age('a', 'c')$$, $$kv_delete('a', 'b')$$, $$kv_delete('c')$$, $$(SELECT count(*) FROM nvent_kv)$$],
 '{3,aged,1,0,0}'),
('DEL of an absent key',
 ARRAY[$$kv_delete('a')$$], '{0}'),
('a deleted key has lost its TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_delete('k')$$, $$kv_set('k', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$],
 '{t,1,t,-1}');

-- INCR, DECR, INCRBY, INCRBYFLOAT.
INSERT INTO cases (title, operations, expected) VALUES
('INCR on an absent key',
 ARRAY[$$kv_increment('k')$$, $$kv_increment('k')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$], '{1,2,2,-1}'),
('INCRBY, DECRBY',
 ARRAY[$$kv_increment('k', 10)$$, $$kv_increment('k', -13)$$], '{10,-3}'),
('INCRBY 0',
 ARRAY[$$kv_increment('k', 0)$$, $$kv_get('k')$$], '{0,0}'),
('INCR keeps the TTL',
 ARRAY[$$kv_set('k', '5', ttl => '5 hours')$$, $$kv_increment('k')$$, $$pg_temp.ttl('k')$$], '{t,6,5}'),
('INCR on an expired key starts at 0 and without a TTL',
 ARRAY[$$kv_set('k', '5')$$, $$pg_temp.age('k')$$, $$kv_increment('k', 3)$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,3,3,-1}'),
('INCR on an expired key that was no number',
 ARRAY[$$kv_set('k', '"x"')$$, $$pg_temp.age('k')$$, $$kv_increment('k')$$], '{t,aged,1}'),
('INCR on what is no number leaves it',
 ARRAY[$$kv_set('k', '"x"', ttl => '5 hours')$$, $$kv_increment('k')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,NV007,"\"x\"",5}'),
('INCR on a string of digits: JSON has numbers',
 ARRAY[$$kv_set('k', '"7"')$$, $$kv_increment('k')$$], '{t,NV007}'),
('INCR on JSON null, false, an array, an object',
 ARRAY[$$kv_set('k', 'null')$$, $$kv_increment('k')$$, $$kv_set('k', 'false')$$, $$kv_increment('k')$$,
       $$kv_set('k', '[1]')$$, $$kv_increment('k')$$, $$kv_set('k', '{}')$$, $$kv_increment('k')$$],
 '{t,NV007,t,NV007,t,NV007,t,NV007}'),
('INCRBYFLOAT is exact',
 ARRAY[$$kv_increment('k', 0.1)$$, $$kv_increment('k', 0.2)$$, $$kv_get('k')$$], '{0.1,0.3,0.3}'),
('INCR beyond what a double or a bigint holds',
 ARRAY[$$kv_set('k', '9007199254740993')$$, $$kv_increment('k')$$, $$kv_set('k', '9223372036854775807')$$, $$kv_increment('k')$$],
 '{t,9007199254740994,t,9223372036854775808}'),
('INCRBYFLOAT NaN and infinity',
 ARRAY[$$kv_increment('k', 'NaN')$$, $$kv_increment('k', '-Infinity')$$, $$kv_exists('k')$$], '{22023,22023,f}');

-- EXPIRE, TTL, PERSIST.
INSERT INTO cases (title, operations, expected) VALUES
('TTL of an absent key, and of one that does not expire',
 ARRAY[$$pg_temp.ttl('k')$$, $$kv_set('k', '1')$$, $$pg_temp.ttl('k')$$, $$kv_ttl('k')$$], '{-2,t,-1,nil}'),
('EXPIRE keeps the value',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '5 hours')$$, $$pg_temp.ttl('k')$$, $$kv_get('k')$$], '{t,t,5,1}'),
('EXPIRE replaces the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_expire('k', '2 hours')$$, $$pg_temp.ttl('k')$$], '{t,t,2}'),
('EXPIRE on an absent key',
 ARRAY[$$kv_expire('k', '1 hour')$$, $$pg_temp.ttl('k')$$], '{f,-2}'),
('EXPIRE on an expired key does not revive it',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_expire('k', '1 hour')$$, $$kv_get('k')$$], '{t,aged,f,nil}'),
('EXPIRE 0 deletes',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '0')$$, $$kv_get('k')$$, $$kv_delete('k')$$], '{t,t,nil,0}'),
('EXPIRE -1 deletes',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_expire('k', '-1 hour')$$, $$kv_get('k')$$], '{t,t,nil}'),
('EXPIRE -1 on an absent key',
 ARRAY[$$kv_expire('k', '-1 hour')$$], '{f}'),
('EXPIRE NX',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '5 hours', 'nx')$$, $$kv_expire('k', '9 hours', 'nx')$$, $$pg_temp.ttl('k')$$],
 '{t,t,f,5}'),
('EXPIRE XX',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '5 hours', 'xx')$$, $$pg_temp.ttl('k')$$, $$kv_expire('k', '5 hours')$$, $$kv_expire('k', '2 hours', 'xx')$$, $$pg_temp.ttl('k')$$],
 '{t,f,-1,t,t,2}'),
('EXPIRE GT: no TTL is infinite',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '5 hours', 'gt')$$, $$pg_temp.ttl('k')$$], '{t,f,-1}'),
('EXPIRE GT',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_expire('k', '4 hours', 'gt')$$, $$pg_temp.ttl('k')$$, $$kv_expire('k', '6 hours', 'gt')$$, $$pg_temp.ttl('k')$$],
 '{t,f,5,t,6}'),
('EXPIRE LT: no TTL is infinite',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '5 hours', 'lt')$$, $$pg_temp.ttl('k')$$], '{t,t,5}'),
('EXPIRE LT',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_expire('k', '6 hours', 'lt')$$, $$pg_temp.ttl('k')$$, $$kv_expire('k', '4 hours', 'lt')$$, $$pg_temp.ttl('k')$$],
 '{t,f,5,t,4}'),
('EXPIRE -1 obeys the modes',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_expire('k', '-1 hour', 'gt')$$, $$kv_expire('k', '-1 hour', 'nx')$$, $$pg_temp.ttl('k')$$, $$kv_expire('k', '-1 hour', 'lt')$$, $$pg_temp.ttl('k')$$],
 '{t,f,f,5,t,-2}'),
('EXPIRE with a mode that there is not',
 ARRAY[$$kv_set('k', '1')$$, $$kv_expire('k', '1 hour', 'NX')$$, $$pg_temp.ttl('k')$$], '{t,22023,-1}'),
('PERSIST',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_persist('k')$$, $$pg_temp.ttl('k')$$, $$kv_get('k')$$, $$kv_persist('k')$$],
 '{t,t,-1,1,f}'),
('PERSIST on an absent and on an expired key',
 ARRAY[$$kv_persist('k')$$, $$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_persist('k')$$, $$kv_get('k')$$], '{f,t,aged,f,nil}');

-- SCAN, KEYS and their globs; clearing by glob.
INSERT INTO cases (title, operations, expected) VALUES
('KEYS * in the order of bytes',
 ARRAY[$$kv_mset('{"b": 1, "a:1": 1, "B": 1, "a": 1, "é": 1}')$$, $$pg_temp.keys('*')$$], '{5,"B a a:1 b é"}'),
('expired keys are not among them',
 ARRAY[$$kv_mset('{"a": 1, "b": 1}')$$, $$pg_temp.age('a')$$, $$pg_temp.keys('*')$$], '{2,aged,b}'),
('KEYS h?llo',
 ARRAY[$$kv_mset('{"hllo": 1, "hello": 1, "hallo": 1, "heello": 1, "héllo": 1}')$$, $$pg_temp.keys('h?llo')$$], '{5,"hallo hello héllo"}'),
('KEYS h*llo',
 ARRAY[$$kv_mset('{"hllo": 1, "h:e:llo": 1, "hall": 1}')$$, $$pg_temp.keys('h*llo')$$], '{3,"h:e:llo hllo"}'),
('KEYS h[ae]llo',
 ARRAY[$$kv_mset('{"hello": 1, "hallo": 1, "hillo": 1}')$$, $$pg_temp.keys('h[ae]llo')$$], '{3,"hallo hello"}'),
('KEYS h[^e]llo',
 ARRAY[$$kv_mset('{"hello": 1, "hallo": 1, "hbllo": 1}')$$, $$pg_temp.keys('h[^e]llo')$$], '{3,"hallo hbllo"}'),
('KEYS h[a-b]llo',
 ARRAY[$$kv_mset('{"hello": 1, "hallo": 1, "hbllo": 1}')$$, $$pg_temp.keys('h[a-b]llo')$$], '{3,"hallo hbllo"}'),
('KEYS a\*',
 ARRAY[$$kv_mset('{"a*": 1, "ab": 1}')$$, $$pg_temp.keys('a\*')$$], '{2,a*}'),
('KEYS with what LIKE takes for a wildcard',
 ARRAY[$$kv_mset('{"a%b": 1, "axb": 1, "a_b": 1, "axxb": 1}')$$, $$pg_temp.keys('a%b')$$, $$pg_temp.keys('a_b')$$, $$pg_temp.keys('a%*')$$],
 '{4,a%b,a_b,a%b}'),
('KEYS of a literal',
 ARRAY[$$kv_mset('{"a": 1, "ab": 1}')$$, $$pg_temp.keys('a')$$, $$pg_temp.keys('')$$], '{2,a,nil}'),
('* crosses ":"',
 ARRAY[$$kv_mset('{"u:1": 1, "u:1:x": 1, "v:1": 1}')$$, $$pg_temp.keys('u:*')$$, $$pg_temp.keys('*:1*')$$],
 '{3,"u:1 u:1:x","u:1 u:1:x v:1"}'),
('a pattern that nothing matches',
 ARRAY[$$kv_set('a', '1')$$, $$pg_temp.keys('x*')$$], '{t,nil}'),
('a malformed pattern',
 ARRAY[$$pg_temp.keys('a[')$$, $$kv_clear('a[]')$$], '{NV005,NV005}'),
('clear counts what was there and leaves the rest',
 ARRAY[$$kv_mset('{"u:1": 1, "u:2": 1, "u:3": 1, "v": 1}')$$, $$pg_temp.age('u:2')$$, $$kv_clear('u:*')$$, $$pg_temp.keys('*')$$, $$(SELECT count(*) FROM nvent_kv)$$],
 '{4,aged,2,v,1}'),
('clear takes % and _ as they are',
 ARRAY[$$kv_mset('{"a_1": 1, "ab1": 1, "a%": 1}')$$, $$kv_clear('a_*')$$, $$kv_clear('a%')$$, $$pg_temp.keys('*')$$], '{3,1,1,ab1}'),
('clear all',
 ARRAY[$$kv_mset('{"a": 1, "b": 1}')$$, $$kv_clear('*')$$, $$pg_temp.keys('*')$$], '{2,2,nil}');

-- What WATCH and MULTI are for: compare and set.
INSERT INTO cases (title, operations, expected) VALUES
('CAS from the value that is there',
 ARRAY[$$kv_set('k', '1')$$, $$kv_cas('k', '1', '2')$$, $$kv_cas('k', '1', '3')$$, $$kv_get('k')$$], '{t,t,f,2}'),
('CAS compares as jsonb does',
 ARRAY[$$kv_set('k', '{"a": 1, "b": [2]}')$$, $$kv_cas('k', '{"b": [2.0], "a": 1}', '0')$$], '{t,t}'),
('CAS from absent',
 ARRAY[$$kv_cas('k', NULL, '1')$$, $$kv_cas('k', NULL, '2')$$, $$kv_get('k')$$], '{t,f,1}'),
('CAS from absent on an expired key',
 ARRAY[$$kv_set('k', '1')$$, $$pg_temp.age('k')$$, $$kv_cas('k', '1', '2')$$, $$kv_cas('k', NULL, '3')$$, $$kv_get('k')$$, $$pg_temp.ttl('k')$$],
 '{t,aged,f,t,3,-1}'),
('CAS from a value on an absent key',
 ARRAY[$$kv_cas('k', '1', '2')$$, $$kv_exists('k')$$], '{f,f}'),
('CAS tells JSON null from absent',
 ARRAY[$$kv_set('k', 'null')$$, $$kv_cas('k', NULL, '1')$$, $$kv_cas('k', 'null', '2')$$, $$kv_get('k')$$], '{t,f,t,2}'),
('CAS drops the TTL, keeps it, or sets one',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_cas('k', '1', '2', keep_ttl => true)$$, $$pg_temp.ttl('k')$$,
       $$kv_cas('k', '2', '3', ttl => '8 hours')$$, $$pg_temp.ttl('k')$$, $$kv_cas('k', '3', '4')$$, $$pg_temp.ttl('k')$$],
 '{t,t,5,t,8,t,-1}'),
('CAS that fails leaves the TTL',
 ARRAY[$$kv_set('k', '1', ttl => '5 hours')$$, $$kv_cas('k', '0', '2')$$, $$pg_temp.ttl('k')$$], '{t,f,5}');

-- Every case, and those that fail: none.
SELECT count(*) AS cases, sum(cardinality(operations)) AS operations FROM cases;

CREATE TEMPORARY VIEW failures AS
SELECT n, title, expected, answers
FROM (SELECT *, pg_temp.run(operations) AS answers FROM cases OFFSET 0) r
WHERE answers IS DISTINCT FROM expected;

SELECT * FROM failures ORDER BY n;

-- A wrong expectation does show.
TRUNCATE cases RESTART IDENTITY;
INSERT INTO cases (title, operations, expected) VALUES
('right', ARRAY[$$kv_set('k', '1')$$, $$kv_get('k')$$], '{t,1}'),
('wrong value', ARRAY[$$kv_set('k', '1')$$, $$kv_get('k')$$], '{t,2}'),
('wrong error', ARRAY[$$kv_get('')$$], '{nil}'),
('wrong number of answers', ARRAY[$$kv_get('k')$$], '{nil,nil}');
SELECT * FROM failures ORDER BY n;

DROP VIEW failures;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
