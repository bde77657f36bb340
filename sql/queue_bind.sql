-- What is published for a subject goes to the queues that are bound to it, once
-- to each; who may bind, who may publish, and that a change of bindings counts at
-- once, and not when it is rolled back.
--
-- Seen to fail with a trie whose search ends at its first hit; with queues that
-- are not made unique; with bindings that are not read again; without the check
-- of who publishes (a stranger learns whether a subject is bound); and with
-- bindings that stay when their queue is dropped.
SET client_min_messages = warning;
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_writer;
CREATE ROLE regress_nvs_stranger;
SELECT nvent.store_create('b'), nvent.store_create('other');
SET nvent_store.default_store = 'b';
SELECT nvent.queue_create('mail'), nvent.queue_create('audit'), nvent.queue_create('bill'), nvent.queue_create('brief', 'short'),
    nvent.queue_create('fifo', 'key_strict_fifo'), nvent.queue_create('mail', store => 'other');
CREATE FUNCTION pg_temp.published(subject text, data jsonb DEFAULT NULL, store text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(p.queue || CASE WHEN id IS NULL THEN '(none)' ELSE '' END, ' '), '-')
    FROM nvent.queue_publish(subject, data, store => store) p $$;

-- Bindings come and go.
SELECT nvent.queue_bind('mail', 'user:*:created'), nvent.queue_bind('mail', 'user:*:created'), nvent.queue_bind('mail', 'user:{id}:>'),
    nvent.queue_bind('audit', '>'), nvent.queue_bind('bill', 'user:17:created'), nvent.queue_bind('bill', 'order:{id}');
SELECT queue_name, pattern, on_append, types, created_at = now() AS now FROM nvent.queue_bindings();
SELECT pattern FROM nvent.queue_bindings('bill');
SELECT pg_temp.published(s) FROM unnest('{user:17:created,user:18:created,user:18:gone,order:1,order:1:2,x}'::text[]) s;
SELECT nvent.queue_unbind('audit', '>'), nvent.queue_unbind('audit', '>'), pg_temp.published('order:1'), pg_temp.published('x');
SELECT queue, count(*), min(data::text) FROM (SELECT 'bill' AS queue, data FROM nvent.queue_fetch('bill', 10)
    UNION ALL SELECT 'mail', data FROM nvent.queue_fetch('mail', 10)) f GROUP BY 1 ORDER BY 1;

-- What is said of a job holds in each queue; an id is missing where there is none.
SELECT nvent.queue_bind('brief', 'order:>'), nvent.queue_bind('mail', 'order:1');
SELECT queue, id > 0 AS sent FROM nvent.queue_publish('order:1', '{"n": 1}', priority => 3, key => 'k', retry_limit => 7, start_after => '1 hour');
SELECT queue, id > 0 AS sent FROM nvent.queue_publish('order:1', '{"n": 2}', key => 'k');
SELECT q, f.data, f.priority, f.key, f.state FROM unnest('{bill,brief,mail}'::text[]) q, nvent.queue_find(q, 'k') f ORDER BY q, f.id;
SELECT q.name, j.retry_limit, j.due_at > now() AS later FROM b_jobs j JOIN b_queues q ON q.number = j.queue WHERE data = '{"n": 1}' ORDER BY 1;
SELECT nvent.queue_bind('fifo', 'order:9');
SELECT * FROM nvent.queue_publish('order:9');
SELECT queue FROM nvent.queue_publish('order:9', key => 'k');
SELECT nvent.queue_unbind('fifo', 'order:9');

-- What callers do wrong.
SELECT * FROM nvent.queue_publish(NULL);
SELECT * FROM nvent.queue_publish('');
SELECT * FROM nvent.queue_publish('x', store => 'none');
SELECT * FROM nvent.queue_publish('x', start_after => '1 s', start_at => now());
SELECT nvent.queue_bind('none', 'x');
SELECT nvent.queue_bind('mail', 'a:>:b');
SELECT nvent.queue_bind('mail', NULL);
SELECT nvent.queue_bind(NULL, 'x');
SELECT nvent.queue_bind('mail', 'x', types => '{a}');
SELECT nvent.queue_bind('mail', 'x', NULL);
SELECT nvent.queue_bind('mail', 'x', store => 'none');
SELECT nvent.queue_unbind('none', 'x');
SELECT * FROM nvent.queue_bindings(store => 'none');
INSERT INTO b_queue_bindings (queue, pattern) SELECT number, '{x' FROM b_queues WHERE name = 'mail';
UPDATE b_queue_bindings SET pattern = '' WHERE pattern = 'order:1';

-- Rows are bindings, too, and a change counts at once.
BEGIN;
INSERT INTO b_queue_bindings (queue, pattern) SELECT number, 'row' FROM b_queues WHERE name = 'mail';
SELECT pg_temp.published('row');
SAVEPOINT a;
UPDATE b_queue_bindings SET pattern = 'column' WHERE pattern = 'row';
SELECT pg_temp.published('row'), pg_temp.published('column');
ROLLBACK TO a;
SELECT pg_temp.published('row'), pg_temp.published('column');
TRUNCATE b_queue_bindings;
SELECT pg_temp.published('row');
ROLLBACK;
SELECT pg_temp.published('row'), pg_temp.published('order:1', '"again"');
UPDATE b_queues SET name = 'post' WHERE name = 'mail';
SELECT pg_temp.published('user:1:created');
UPDATE b_queues SET name = 'mail' WHERE name = 'post';

-- A queue takes its bindings along.  One that somebody leaves without a queue is none.
SELECT nvent.queue_create('gone'), nvent.queue_bind('gone', 'x:y'), pg_temp.published('x:y');
SELECT nvent.queue_drop('gone');
SELECT pg_temp.published('x:y'), count(*) FROM b_queue_bindings WHERE pattern = 'x:y';
SELECT nvent.queue_create('gone'), nvent.queue_bind('gone', 'x:y');
DELETE FROM b_queues WHERE name = 'gone';
SELECT pg_temp.published('x:y'), count(*) FROM nvent.queue_bindings() WHERE pattern = 'x:y';
DELETE FROM b_queue_bindings WHERE pattern = 'x:y';

-- Stores do not meet.
SELECT nvent.queue_bind('mail', 'far', store => 'other'), pg_temp.published('far'), pg_temp.published('far', store => 'other'), pg_temp.published('order:1', store => 'other');

-- Many patterns: each subject finds what subject_matches() finds.
SELECT setseed(0.5);
CREATE TEMP TABLE many AS
    SELECT DISTINCT 'q' || n % 40 AS queue, pattern FROM (
        SELECT n, (SELECT string_agg(CASE WHEN random() < 0.2 THEN '*' WHEN random() < 0.2 THEN '{c' || k || '}' ELSE chr(97 + (random() * 2)::int) END, ':' ORDER BY k)
            FROM generate_series(1, 1 + (n % 4)) k) || CASE WHEN random() < 0.3 THEN ':>' ELSE '' END AS pattern
        FROM generate_series(1, 800) n) p;
SELECT count(nvent.queue_create(q)) FROM (SELECT DISTINCT queue AS q FROM many) m;
SELECT count(*) = (SELECT count(*) FROM many) AS all_bound FROM many WHERE nvent.queue_bind(queue, pattern);
WITH subject AS (
    SELECT DISTINCT (SELECT string_agg(chr(97 + (random() * 2)::int), ':') FROM generate_series(1, 1 + n % 5)) AS s FROM generate_series(1, 150) n),
got AS (
    SELECT s, (SELECT string_agg(p.queue, ' ' ORDER BY p.queue COLLATE "C") FROM nvent.queue_publish(s) p WHERE p.queue LIKE 'q%') AS queues FROM subject),
wanted AS (
    SELECT s, (SELECT string_agg(DISTINCT m.queue, ' ' ORDER BY m.queue) FROM (SELECT queue COLLATE "C" FROM many WHERE nvent.subject_matches(s, pattern)) m) AS queues FROM got)
SELECT count(*) FILTER (WHERE g.queues IS DISTINCT FROM w.queues) AS wrong, count(g.queues) > 50 AS many, max(length(g.queues)) > 50 AS wide
FROM got g JOIN wanted w USING (s);
SELECT count(nvent.queue_drop(q)) FROM (SELECT DISTINCT queue AS q FROM many) m;
SELECT count(*) FROM b_queue_bindings;

-- Who may: writers of the store do, others learn nothing.
SELECT nvent.store_grant('regress_nvs_reader', 'read'), nvent.store_grant('regress_nvs_writer', 'write');
GRANT USAGE ON SCHEMA nvent TO regress_nvs_stranger;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE FUNCTION pg_temp.calls() RETURNS TABLE (call text, result text) LANGUAGE sql VOLATILE AS $$
    SELECT c, pg_temp.outcome('SELECT ' || c) FROM unnest(ARRAY[
        'nvent.queue_bind(''bill'', ''mine'')', '* FROM nvent.queue_publish(''mine'')', '* FROM nvent.queue_publish(''nobody'')',
        '* FROM nvent.queue_bindings() WHERE pattern = ''mine''', 'nvent.queue_unbind(''bill'', ''mine'')',
        'nvent.queue_bind(''mail'', ''mine'', store => ''other'')', '* FROM nvent.queue_publish(''far'', store => ''other'')']) WITH ORDINALITY u (c, n) ORDER BY n $$;
SET ROLE regress_nvs_writer;
SELECT * FROM pg_temp.calls();
SET ROLE regress_nvs_reader;
SELECT * FROM pg_temp.calls();
SET ROLE regress_nvs_stranger;
SELECT * FROM pg_temp.calls();
RESET ROLE;

-- A queue that a policy hides gets nothing, and policies hold for what is sent.
ALTER TABLE b_queues ENABLE ROW LEVEL SECURITY;
CREATE POLICY partly ON b_queues USING (name <> 'bill');
SET ROLE regress_nvs_writer;
SELECT pg_temp.published('order:1', '"hidden"');
RESET ROLE;
SELECT pg_temp.published('order:1', '"all"');
ALTER TABLE b_queues DISABLE ROW LEVEL SECURITY;
ALTER TABLE b_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY partly ON b_jobs USING (true) WITH CHECK (data <> '"secret"');
SET ROLE regress_nvs_writer;
SELECT pg_temp.published('order:1', '"open"'), pg_temp.outcome($$SELECT nvent.queue_publish('order:1', '"secret"')$$);
RESET ROLE;

-- A table with other columns is refused, one of somebody else binds nothing.
ALTER TABLE b_queue_bindings RENAME pattern TO patterns;
SELECT pg_temp.published('order:1');
ALTER TABLE b_queue_bindings RENAME TO b_bindings;
CREATE TABLE b_queue_bindings (queue int, pattern text, on_append boolean, types text[]);
ALTER TABLE b_queue_bindings OWNER TO regress_nvs_writer;
INSERT INTO b_queue_bindings SELECT number, 'mallory', false FROM b_queues;
SELECT pg_temp.published('order:1'), pg_temp.published('mallory');
DROP TABLE b_queue_bindings;
ALTER TABLE b_bindings RENAME TO b_queue_bindings;
ALTER TABLE b_queue_bindings RENAME patterns TO pattern;
SELECT pg_temp.published('order:1');
RESET nvent_store.default_store;
SELECT nvent.store_migrate('b', 0) > 0 AS dropped, nvent.store_migrate('other', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
DROP ROLE regress_nvs_reader, regress_nvs_writer, regress_nvs_stranger;
