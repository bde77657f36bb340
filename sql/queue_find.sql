-- Jobs that are found by their key, their data and their states, page by page; by
-- which indexes they are; and who finds what.
--
-- Seen to fail with a search for data that goes by index scans alone, and with one
-- plan for whatever is searched for ("By which indexes"); with a page that is cut
-- before states are looked at; with pages of one priority after another; and with states
-- that are looked at to the last while somebody cancels the call.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_reader;
CREATE ROLE regress_nvs_stranger;
SELECT nvent.queue_create('e', retry_limit => 0), nvent.queue_create('other');
CREATE FUNCTION pg_temp.found(key text DEFAULT NULL, data jsonb DEFAULT NULL, states text[] DEFAULT NULL, after bigint DEFAULT NULL, max_count integer DEFAULT 1000, queue text DEFAULT 'e') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(coalesce(f.data ->> 'n', '-'), ' ') FROM nvent.queue_find(queue, key, data, states, after, max_count) f $$;

-- A job in each state, 1 to 7, then 12 of two keys and three priorities, and one that has no data.
SELECT count(nvent.queue_send('e', jsonb_build_object('n', n, 'to', jsonb_build_object('name', 'ada')), key => 'early', priority => 9)) FROM generate_series(1, 4) n;
SELECT (SELECT count(nvent.queue_complete('e', id, attempt)) FROM nvent.queue_fetch('e') WHERE data ->> 'n' = '1') AS done,
    (SELECT count(nvent.queue_fail('e', id, attempt)) FROM nvent.queue_fetch('e') WHERE data ->> 'n' = '2') AS failed,
    (SELECT count(nvent.queue_cancel('e', id)) FROM nvent.queue_fetch('e') WHERE data ->> 'n' = '3') AS cancelled, (SELECT count(*) FROM nvent.queue_fetch('e')) AS active;
SELECT nvent.queue_send('e', '{"n": 5, "to": {"name": "bob"}}', key => 'early', priority => 9, retry_limit => 3) > 0 AS sent;
SELECT nvent.queue_fail('e', id, attempt) FROM nvent.queue_fetch('e');
SELECT count(*) FROM nvent.queue_flow(ARRAY['{"queue": "e", "name": "x", "data": {"n": 6}}', '{"queue": "e", "after": "x", "data": {"n": 7}}']::jsonb[]);
SELECT count(nvent.queue_send('e', jsonb_build_object('n', n, 'tags', jsonb_build_array('t' || n % 4, 'all')), key => 'k' || n % 2, priority => n % 3)) FROM generate_series(8, 19) n;
SELECT nvent.queue_send('e') > 0 AS sent, nvent.queue_send('other', '{"n": 8, "tags": ["all"]}', key => 'k0') > 0 AS others;

-- By states, all of them and each.
SELECT pg_temp.found() AS "all";
SELECT s AS state, pg_temp.found(states => ARRAY[s]) FROM unnest('{waiting,created,retry,active,completed,failed,cancelled}'::text[]) s;
SELECT pg_temp.found(states => '{failed,cancelled}'), pg_temp.found(states => '{}') AS of_no_state;

-- By key, and by data, also at a key and in a state.
SELECT pg_temp.found('k1'), pg_temp.found('k1', '{"tags": ["t3"]}'), pg_temp.found('early', states => '{completed,retry}'), pg_temp.found('none');
SELECT pg_temp.found(data => '{"tags": ["t3"]}'), pg_temp.found(data => '{"to": {"name": "ada"}}'), pg_temp.found(data => '{"to": {}}', states => '{failed,active}'),
    pg_temp.found(data => '{"to": "ada"}') AS none, pg_temp.found(data => '{}') AS any;

-- Page by page, in the order in which they were sent, whatever their priorities are.
CREATE FUNCTION pg_temp.pages(key text, data jsonb, states text[], size integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    pages text[];
    page record;
    last bigint;
BEGIN
    LOOP
        SELECT string_agg(f.data ->> 'n', ' ') AS jobs, max(id) AS last, count(*) AS n INTO page FROM nvent.queue_find('e', pages.key, pages.data, pages.states, last, size) f;
        pages := pages || page.jobs;
        last := page.last;
        EXIT WHEN page.n < size;
    END LOOP;
    RETURN array_to_string(pages, ', ');
END $$;
SELECT pg_temp.pages(NULL, NULL, NULL, 7);
SELECT pg_temp.pages(NULL, NULL, '{created,active}', 6);
SELECT pg_temp.pages('k0', NULL, NULL, 4);
SELECT pg_temp.pages('early', NULL, '{completed,failed,retry}', 2);
SELECT pg_temp.pages(NULL, '{"tags": ["all"]}', NULL, 5);
SELECT pg_temp.pages(NULL, '{"to": {}}', '{completed,failed,retry}', 2);
SELECT pg_temp.found(max_count => 0) AS none, pg_temp.found(after => 9223372036854775807) AS behind_all;

-- All that there is of one, as nvent.queue_get shows it.
SELECT count(*) AS jobs, count(*) FILTER (WHERE g IS NOT DISTINCT FROM f) AS same FROM nvent.queue_find('e') f, nvent.queue_get('e', f.id) g;

-- What callers do wrong.
SELECT nvent.queue_find('none', 'k');
SELECT nvent.queue_find('e', max_count => NULL);
SELECT nvent.queue_find('e', max_count => -1);
SELECT nvent.queue_find('e', max_count => 100001);
SELECT nvent.queue_find('e', states => '{created,ready}');
SELECT nvent.queue_find('e', states => '{NULL}');
-- However many states there are, looking at them can be cancelled.
SELECT nvent.queue_find('e', states => CASE WHEN pg_cancel_backend(pg_backend_pid()) THEN '{created,NULL}'::text[] END);
SELECT nvent.queue_find('e', store => 'none');
SELECT nvent.queue_find(NULL);

-- By which indexes.  One of data is used as soon as it is there, by a session too that
-- has looked for data before.
CREATE FUNCTION pg_temp.scans(call text) RETURNS TABLE (index text, scans bigint) LANGUAGE plpgsql AS $$
DECLARE
    before jsonb;
BEGIN
    SELECT jsonb_object_agg(c.oid, coalesce(pg_stat_get_xact_numscans(c.oid), 0)) INTO before FROM pg_class c WHERE relname ~ '^q_jobs';
    EXECUTE 'SELECT count(*) FROM ' || call;
    RETURN QUERY SELECT c.relname::text, pg_stat_get_xact_numscans(c.oid) - (before ->> c.oid::text)::bigint FROM pg_class c
        WHERE c.relname ~ '^q_jobs' AND pg_stat_get_xact_numscans(c.oid) > (before ->> c.oid::text)::bigint ORDER BY 1;
END $$;
SELECT count(*) FROM nvent.queue_send_batch('e', (SELECT array_agg(jsonb_build_object('data', jsonb_build_object('user', n))) FROM generate_series(1, 5000) n));
ANALYZE q_jobs;
SELECT * FROM pg_temp.scans($$nvent.queue_find('e', 'k0')$$);
SELECT * FROM pg_temp.scans($$nvent.queue_find('e', states => '{created}', max_count => 10)$$);
SELECT data FROM nvent.queue_find('e', data => '{"user": 777}');
CREATE INDEX q_jobs_by_data ON q_jobs USING gin (data jsonb_path_ops);
ANALYZE q_jobs;
SELECT * FROM pg_temp.scans($$nvent.queue_find('e', data => '{"user": 777}')$$);
SELECT * FROM pg_temp.scans($$nvent.queue_find('e', data => '{"user": 777}', states => '{created}', after => 1, max_count => 10)$$);
SELECT index AS "what all have is not looked up there" FROM pg_temp.scans($$nvent.queue_find('e', data => '{}', max_count => 10)$$) WHERE index = 'q_jobs_by_data';

-- Jobs are sent and fetched beside it as before, and what is sent is found by it.
SELECT nvent.queue_send('e', '{"user": "new"}', priority => 100) AS j \gset
SELECT count(*) FROM nvent.queue_send_batch('e', '{"{\"data\": {\"user\": \"new\"}}"}');
SELECT id = :j AS fetched, nvent.queue_complete('e', id, attempt) FROM nvent.queue_fetch('e');
SELECT id = :j AS first, state FROM nvent.queue_find('e', data => '{"user": "new"}');

-- Who may: readers of the store, and as much as a policy shows them.
SELECT nvent.store_grant('regress_nvs_reader', 'read');
GRANT USAGE ON SCHEMA nvent TO regress_nvs_stranger;
ALTER TABLE q_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON q_jobs USING (data ->> 'n' = '8');
SET ROLE regress_nvs_reader;
SELECT pg_temp.found(), pg_temp.found('k0'), pg_temp.found(data => '{"tags": ["all"]}');
SET ROLE regress_nvs_stranger;
SELECT pg_temp.outcome('SELECT nvent.queue_find(''e'')'), pg_temp.outcome('SELECT nvent.queue_find(''e'', data => ''{}'')');
RESET ROLE;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_reader, regress_nvs_stranger;
DROP ROLE regress_nvs_reader, regress_nvs_stranger;
