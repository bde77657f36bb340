-- Consumers: subscribing, marking what has work, the verbs of operators,
-- filters and lists.  Positions differ from run to run, so events have names
-- here.
SET client_min_messages = warning;
CREATE TABLE event (name text PRIMARY KEY, id bigint);

-- Append an event and remember its position under a name.
CREATE FUNCTION put(name text, subject text) RETURNS void LANGUAGE sql
AS $$ INSERT INTO event SELECT name, (nvent.stream_append(subject, '{"type": "t"}') ->> 'id')::bigint $$;
CREATE FUNCTION id(name text) RETURNS bigint LANGUAGE sql
AS $$ SELECT e.id FROM event e WHERE e.name = $1 $$;
-- The last event at or before a position; 0 stays 0.
CREATE FUNCTION at(id bigint) RETURNS text LANGUAGE sql
AS $$ SELECT coalesce((SELECT e.name FROM event e WHERE e.id <= $1 ORDER BY e.id DESC LIMIT 1), $1::text) $$;
CREATE VIEW claim AS
SELECT name, at(position) AS position, at(mark) AS mark, attempt, lane, priority,
       pattern, source, owner, leased_until > now() AS leased, lagging
FROM nvent.consumer_claim(100) ORDER BY name;
CREATE VIEW list AS
SELECT name, lane, priority, at(position) AS position, at(mark) AS mark, attempt,
       blocked, error, owner, token IS NOT NULL AS held,
       leased_until > clock_timestamp() AS leased, deferred_until > now() AS deferred
FROM nvent.consumer_list() ORDER BY name;

-- Without a store there is nothing to claim, list or load, and no error; a
-- change says what is missing.
SELECT * FROM nvent.consumer_claim();
SELECT * FROM nvent.consumer_list();
SELECT * FROM nvent.consumer_stats();
SELECT nvent.consumer_furthest();
SELECT * FROM nvent.consumer_lanes();
SELECT * FROM nvent.checkpoint_load('none');
SELECT nvent.consumer_unsubscribe('none');
SELECT nvent.consumer_mark('{}', '{}');
SELECT nvent.consumer_claim(store => 'other');

-- Subscribing makes the default store.  True is for a new consumer.
SELECT nvent.consumer_subscribe('all', 'nvent:>');
SELECT nvent.consumer_subscribe('all', 'nvent:>');
SELECT name, pattern, source, lane, priority, position, mark, attempt, blocked,
       error, owner, token, leased_until, deferred_until
FROM nvent.consumer_list();

-- Limits and errors.
SELECT nvent.consumer_subscribe(NULL, 'nvent:>');
SELECT nvent.consumer_subscribe('', 'nvent:>');
SELECT nvent.consumer_subscribe(repeat('x', 1025));
SELECT nvent.consumer_subscribe('x', 'nvent:>:x');
SELECT nvent.consumer_subscribe('x', 'nvent:>', lane => '');
SELECT nvent.consumer_subscribe('x', 'nvent:>', lane => NULL);
SELECT nvent.consumer_subscribe('x', 'nvent:>', priority => NULL);
SELECT nvent.consumer_subscribe('x', store => 'other');
SELECT nvent.store_create('other');
SELECT nvent.consumer_subscribe('x', 'other:>');
SELECT nvent.consumer_subscribe('x', 'other:>', store => 'other');
SELECT nvent.consumer_unsubscribe('x', 'other'), nvent.consumer_unsubscribe('x', 'other');
-- Names are any text, compared by bytes: case and blanks count.
SELECT nvent.consumer_subscribe(name) FROM unnest(ARRAY['a b', 'A b', ' a b', repeat('é', 512)]) AS name;
SELECT left(name, 3) FROM nvent.consumer_list() WHERE name <> 'all';
SELECT count(*) FROM nvent.consumer_list() AS l, nvent.consumer_unsubscribe(l.name) AS u WHERE name <> 'all' AND u;

-- Register: the source stays, the lane is that of the last call, the
-- priority the highest, over all numbers.
SELECT nvent.consumer_subscribe('a', source => 's1', lane => 'slow', priority => -5);
SELECT name, source, lane, priority FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_subscribe('a', source => 's2', priority => -7);
SELECT name, source, lane, priority FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_subscribe('a');
SELECT name, source, lane, priority FROM nvent.consumer_list(ARRAY['a']);
-- A mark is raised and never lowered; 0 and less are marks like others.
SELECT nvent.consumer_subscribe('a', mark => -3);
SELECT mark FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_subscribe('a', mark => -4);
SELECT mark FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_subscribe('a', mark => 2), nvent.consumer_subscribe('a');
SELECT mark FROM nvent.consumer_list(ARRAY['a']);
-- A call that changes nothing writes nothing.
SELECT xmin AS before FROM nvent_consumers WHERE name = 'a' \gset
SELECT nvent.consumer_subscribe('a', mark => 1);
SELECT xmin = :'before'::xid AS same FROM nvent_consumers WHERE name = 'a';

-- Marks that a caller finds: the highest of a name that comes twice.
SELECT nvent.consumer_mark(ARRAY['a', 'a', 'nobody'], ARRAY[7, 5, 9]);
SELECT mark FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_mark(ARRAY['a'], ARRAY[7]);
SELECT nvent.consumer_mark(ARRAY['a'], ARRAY[NULL::bigint]);
SELECT nvent.consumer_mark(ARRAY['a', NULL, 'a'], ARRAY[8, 9, 9]);
SELECT mark FROM nvent.consumer_list(ARRAY['a']);
SELECT nvent.consumer_mark(ARRAY['a', 'b'], ARRAY[1]);
SELECT nvent.consumer_mark(NULL, ARRAY[1]);
SELECT nvent.consumer_mark(ARRAY['a'], NULL);
-- A mark without an event behind it is work all the same.
SELECT name, position, mark, source FROM nvent.consumer_claim(max_scan => NULL);
SELECT nvent.consumer_unsubscribe('a');

-- The database marks what events are for.  A subject is matched as a whole,
-- also where it is put together from columns.
SELECT nvent.consumer_subscribe('one', 'nvent:order:1');
SELECT nvent.consumer_subscribe('each', 'nvent:order:*');
SELECT nvent.consumer_subscribe('item', 'nvent:order:{id}:item:{item}');
SELECT nvent.consumer_subscribe('second', 'nvent:*:1');
SELECT nvent.consumer_subscribe('run', 'nvent:flow:run:{id}');
SELECT nvent.consumer_subscribe('runs', 'nvent:flow:run:>');
SELECT nvent.consumer_subscribe('none', 'nvent:ord');
SELECT nvent.consumer_subscribe('hand');
SELECT put('o1', 'nvent:order:1'), put('o12', 'nvent:order:12');
SELECT put('item', 'nvent:order:1:item:2'), put('p1', 'nvent:parcel:1');
SELECT put('r', 'nvent:flow:run:x'), put('rr', 'nvent:flow:run:x:y');
SELECT * FROM claim;
-- Leased consumers are nobody else's, whoever asks.
SELECT * FROM claim;
SELECT scanned = safe AS all_scanned, consumers, with_work, leased, deferred, blocked,
       at(furthest_behind) AS behind, at(furthest_ahead) AS ahead, nvent.consumer_furthest() = furthest_ahead AS same
FROM nvent.consumer_stats();
-- Who has made an index of positions has one row read.
CREATE INDEX mine ON nvent_consumers (position);
BEGIN;
SET LOCAL enable_seqscan = off;
SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'nvent_consumers' \gset
SELECT at(nvent.consumer_furthest());
SELECT seq_scan - :seq_scan AS all_rows, idx_scan - :idx_scan AS one FROM pg_stat_xact_user_tables WHERE relname = 'nvent_consumers';
COMMIT;
DROP INDEX mine;
SELECT nvent.consumer_furthest('missing');

-- A consumer that comes later gets what is there: one look, up to where it was
-- scanned.  One that begins behind that does not.
SELECT nvent.consumer_subscribe('late', 'nvent:order:>');
SELECT nvent.consumer_subscribe('later', 'nvent:order:>', after => NULL);
SELECT nvent.consumer_subscribe('behind', 'nvent:order:>', after => id('item'));
SELECT name, position, mark FROM claim;
SELECT put('o2', 'nvent:order:2');
SELECT name, at(mark) FROM nvent.consumer_list(name_regex => '^late|behind');
SELECT name, position, mark FROM claim;

-- Another pattern counts for all that comes after the position.
SELECT nvent.consumer_reset(ARRAY['none'], id('p1'));
SELECT nvent.consumer_subscribe('none', 'nvent:flow:>');
SELECT name, position, mark FROM claim;

-- A scan takes so many events of each table and goes on from there.
SELECT nvent.consumer_correlate() = safe FROM nvent.consumer_stats();
SELECT nvent.consumer_subscribe('n' || i, 'nvent:n:' || i, after => NULL) FROM generate_series(1, 5) AS i;
SELECT put('n' || i, 'nvent:n:' || i) FROM generate_series(1, 5) AS i;
SELECT put('m1', 'nvent:parcel:7');
SELECT at(nvent.consumer_correlate(2));
SELECT name, mark FROM list WHERE name ~ '^n[0-9]';
SELECT name, mark FROM (SELECT name, at(mark) AS mark FROM nvent.consumer_claim(max_scan => NULL)) c ORDER BY name;
SELECT at(nvent.consumer_correlate(2));
SELECT at(nvent.consumer_correlate());
SELECT name, mark FROM list WHERE name ~ '^n[0-9]';
SELECT nvent.consumer_correlate(0);
SELECT nvent.consumer_correlate(-1);
SELECT nvent.consumer_claim(max_scan => 0);
SELECT at(nvent.consumer_correlate(NULL));

-- Verbs of operators.  Start with three consumers of one mark.
DELETE FROM nvent_consumers;
SELECT nvent.consumer_subscribe(n, source => 'src-' || n, lane => 'l' || n, mark => 9000000000000000) FROM unnest(ARRAY['a', 'b', 'c']) AS n;
SELECT name, token = max(token) OVER () AS same_token FROM nvent.consumer_claim() ORDER BY name;
SELECT token FROM nvent.consumer_list(ARRAY['a']) \gset
SELECT nvent.consumer_block('a', :token, 'broken');
-- Names may come twice and may be unknown; an empty list is nobody.
SELECT nvent.consumer_unblock('{}'), nvent.consumer_reset('{}'), nvent.consumer_defer('{}', now()), nvent.consumer_prioritize('{}', 1);
SELECT nvent.consumer_defer(ARRAY['b', 'b', 'nobody'], now() + interval '1 h');
-- defer leaves lease, position and block; the attempts begin anew.
SELECT * FROM list;
-- unblock takes blocked ones only and keeps the position.
SELECT nvent.consumer_unblock(ARRAY['a', 'b']);
SELECT nvent.consumer_unblock(NULL);
SELECT * FROM list;
-- reset takes all of it, and the mark survives: it can be claimed at once.
SELECT nvent.consumer_reset(ARRAY['b', 'c']);
SELECT * FROM list;
SELECT nvent.consumer_reset(ARRAY['a'], NULL);
SELECT name, attempt FROM claim;
-- A deferral in the past is none; NULL ends one.
SELECT nvent.consumer_reset(NULL);
SELECT nvent.consumer_defer(ARRAY['a'], now() + interval '1 h'), nvent.consumer_defer(ARRAY['b'], now() - interval '1 h');
SELECT name, attempt FROM claim;
SELECT nvent.consumer_defer(ARRAY['a'], NULL);
SELECT name, attempt FROM claim;
-- prioritize sets the priority outright and counts changes.
SELECT nvent.consumer_prioritize(ARRAY['a', 'b'], -5);
SELECT nvent.consumer_prioritize(NULL, -5);
SELECT nvent.consumer_prioritize(ARRAY['a'], NULL);
SELECT nvent.consumer_subscribe('a', lane => 'la');
SELECT name, priority FROM list;
-- Filters: expressions are case-sensitive and not anchored, the rest
-- is equality; all together.
SELECT nvent.consumer_prioritize(NULL, 1, name_regex => 'A');
SELECT nvent.consumer_prioritize(NULL, 2, name_regex => '^[ab]$');
SELECT nvent.consumer_prioritize(NULL, 3, source_regex => 'rc-b');
SELECT nvent.consumer_prioritize(NULL, 4, source => 'rc-b');
SELECT nvent.consumer_prioritize(NULL, 5, source => 'src-b', lane => 'lc');
SELECT nvent.consumer_prioritize(NULL, 6, lane => 'lc', blocked => false);
SELECT nvent.consumer_prioritize(NULL, 7, blocked => true);
SELECT nvent.consumer_prioritize(NULL, 8, name_regex => '(');
SELECT name, priority FROM list;

-- A page of the list, in byte order.
SELECT nvent.consumer_subscribe('B');
SELECT name FROM nvent.consumer_list(max_count => 2);
SELECT name FROM nvent.consumer_list(after => 'a', max_count => 2);
SELECT count(*) FROM nvent.consumer_list(max_count => 0);
SELECT count(*) FROM nvent.consumer_list(max_count => NULL);
SELECT count(*) FROM nvent.consumer_list(max_count => -1);
SELECT name FROM nvent.consumer_list(lane => 'la', source => 'src-a', source_regex => '^src', blocked => false);

-- Lanes.
SELECT nvent.consumer_reset(NULL, 3);
SELECT nvent.consumer_defer(ARRAY['c'], now() + interval '1 h');
SELECT name FROM nvent.consumer_claim(lane => 'la');
SELECT * FROM nvent.consumer_lanes();

-- A store of an earlier layout says what to do.
SELECT nvent.store_migrate('other', 4) > 4 AS was_later;
SELECT nvent.consumer_subscribe('x', store => 'other');
SELECT nvent.store_migrate('other') AS was;
SELECT nvent.consumer_subscribe('x', store => 'other');
SELECT nvent.store_migrate('other', 0) > 0 AS dropped;

-- A consumer's functions ask the store's tables for their rights; a scan
-- refuses to go by events that row-level security hides from it.
CREATE ROLE regress_consumer;
GRANT ALL ON nvent_consumers, nvent_checkpoints TO regress_consumer;
GRANT USAGE ON SCHEMA nvent TO regress_consumer;
SELECT put('secret', 'nvent:order:9');
SET ROLE regress_consumer;
SELECT nvent.consumer_claim();
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_consumer;
ALTER TABLE nvent_stream_order ENABLE ROW LEVEL SECURITY;
SET ROLE regress_consumer;
SELECT nvent.consumer_claim();
RESET ROLE;
ALTER TABLE nvent_stream_order DISABLE ROW LEVEL SECURITY;
SET ROLE regress_consumer;
SELECT name FROM nvent.consumer_claim() ORDER BY name;
RESET ROLE;
DROP OWNED BY regress_consumer;
DROP ROLE regress_consumer;

-- No function writes where nothing may be written.
BEGIN READ ONLY;
SELECT nvent.consumer_claim();
ROLLBACK;

DROP VIEW claim, list;
DROP FUNCTION put, id, at;
DROP TABLE event;
SELECT nvent.store_migrate('nvent', 0) > 0 AS dropped;
