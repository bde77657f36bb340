-- Claiming and reading in one call: events of each leased consumer in pages,
-- what to acknowledge, and who is moved on without being given anything.
SET client_min_messages = warning;
CREATE FUNCTION put(subject text, n integer) RETURNS void LANGUAGE sql
AS $$ SELECT nvent.stream_append(subject, jsonb_build_object('type', 't', 'data', n)) $$;
-- What a fetch gives: the data of each event, and whether upto is the last's.
CREATE FUNCTION got(max_consumers integer DEFAULT 10, max_events integer DEFAULT 100)
RETURNS TABLE (name text, events text, ends_there boolean, token bigint, upto bigint) LANGUAGE sql
AS $$ SELECT f.name, (SELECT string_agg(e ->> 'data', ' ') FROM unnest(f.events) AS e),
             f.upto = (SELECT max((e ->> 'id')::bigint) FROM unnest(f.events) AS e), f.token, f.upto
      FROM nvent.consumer_fetch(max_consumers, max_events => max_events) AS f $$;

SELECT * FROM nvent.consumer_fetch();
SELECT nvent.consumer_subscribe('one', 'nvent:order:1');
SELECT nvent.consumer_subscribe('orders', 'nvent:order:*');
SELECT nvent.consumer_subscribe('runs', 'nvent:flow:run:{id}', priority => 1);
SELECT nvent.consumer_subscribe('everything', 'nvent:>');
SELECT put('nvent:order:1', 1), put('nvent:flow:run:x', 2), put('nvent:order:2', 3),
       put('nvent:order:1', 4), put('nvent:order:1:item:1', 5), put('nvent:parcel:9', 6);
-- Each gets its own, in one order over all tables.
SELECT name, events, ends_there FROM got() ORDER BY name;
SELECT count(*) FROM got();
-- A record is what stream_read returns, and upto what to acknowledge.
SELECT nvent.consumer_reset(ARRAY['one']);
SELECT name, token, upto,
       events = ARRAY(SELECT r FROM nvent.stream_read('nvent:order:1') AS r) AS same
FROM nvent.consumer_fetch() \gset
SELECT :'name' AS name, :'same' AS same;
SELECT nvent.consumer_ack(:'name', :token, :upto);
SELECT name, events FROM got();
-- A page: upto is then its last event, and the next one goes on behind it.
SELECT nvent.consumer_reset(ARRAY['everything']);
SELECT events, ends_there, token, upto FROM got(max_events => 4) \gset
SELECT :'events' AS events, :'ends_there' AS ends_there, nvent.consumer_ack('everything', :token, :upto) AS more;
SELECT events, token, upto FROM got(max_events => 4) \gset
SELECT :'events' AS events, nvent.consumer_ack('everything', :token, :upto) AS more;
SELECT count(*) FROM got();
-- Whoever has a mark but no event is moved on, and nobody is bothered: a
-- consumer that comes late and finds nothing, one that was marked in vain.
SELECT nvent.consumer_subscribe('late', 'nvent:nothing:>');
SELECT nvent.consumer_reset(ARRAY['one'], position - 1) FROM nvent.consumer_list(ARRAY['everything']);
SELECT name, events FROM got();
SELECT name, position >= mark AS done, attempt, token FROM nvent.consumer_list(ARRAY['late', 'one']);
-- A key that PostgreSQL compresses, as it may in a wide row, is no other key.
CREATE TABLE wide_events (id bigint DEFAULT nvent.next_position('nvent') PRIMARY KEY, ts bigint, type text, data jsonb, key text, a text, b text, c text, d text);
SELECT nvent.route_add('stream', 'nvent:wide:{key}', 'wide_events');
SELECT nvent.consumer_subscribe('wide', 'nvent:wide:' || repeat('k', 490));
SELECT nvent.stream_append('nvent:wide:' || repeat('k', 490), jsonb_object(ARRAY['type', 'a', 'b', 'c', 'd'], ARRAY['t'] || array_fill(repeat('x', 450), '{4}')) || '{"data": 7}') -> 'data' AS data;
SELECT pg_column_size(key) < length(key) AS compressed FROM wide_events;
SELECT events FROM got() WHERE name = 'wide';
-- One without a pattern reads for itself.
SELECT nvent.consumer_subscribe('hand', mark => 7);
SELECT name, position, upto, events FROM nvent.consumer_fetch();
-- What is not safe yet is not in it: see test/specs/consumer_open.spec.
-- Errors.
SELECT nvent.consumer_fetch(max_events => 0);
SELECT nvent.consumer_fetch(max_events => 65537);
SELECT nvent.consumer_fetch(max_events => NULL);
SELECT nvent.consumer_fetch(-1);

DROP FUNCTION put, got;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
DROP TABLE wide_events;
