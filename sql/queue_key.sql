-- Keys of jobs: what a queue's policy allows, who has a key, and until when.
--
-- Seen to fail: without keys given back where a run begins, in "Until when";
-- where one ends, is cancelled, deleted, or has failed for good, at the state of
-- that name; without dead letters being let through, in "Dead letters";
-- without keys given back by purging, maintenance or dropping, in "Purging and
-- keeping"; with ids drawn in the order of the keys, in "Many at once".
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
\set VERBOSITY terse
SELECT nvent.queue_create('p', 'none');
SELECT nvent.queue_create('p', NULL);
SELECT nvent.queue_create('standard'), nvent.queue_create('short', 'short'), nvent.queue_create('exclusive', policy => 'exclusive');
UPDATE q_queues SET policy = 'short' WHERE name = 'standard';
UPDATE q_queues SET policy = 'short', lease = '1 minute' WHERE name = 'short';
UPDATE q_queues SET lease = '15 minutes';
SELECT nvent.queue_send('standard', key => '');
SELECT nvent.queue_send('short', key => repeat('x', 1001));
SELECT nvent.queue_send_batch('standard', ARRAY['{}', '{"key": ""}']::jsonb[]);
-- Whether each of these was sent.
CREATE FUNCTION pg_temp.sends(queue text, VARIADIC keys text[]) RETURNS boolean[] LANGUAGE sql AS
    $$SELECT array_agg(nvent.queue_send($1, key => k) IS NOT NULL ORDER BY n) FROM unnest(keys) WITH ORDINALITY u (k, n)$$;
-- Keys of jobs that are gone, or have no right to them.
CREATE FUNCTION pg_temp.stray() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT k.key FROM q_job_keys k LEFT JOIN q_queues q ON q.number = k.queue LEFT JOIN LATERAL nvent.queue_get(q.name, k.id) g ON true
    WHERE g.state IS NULL OR k.key <> coalesce(g.key, '')
        OR g.state <> ALL (CASE q.policy WHEN 'short' THEN '{created}' ELSE '{created,retry,active}' END::text[])
$$;

-- One of each key, and those without count as having one; any number where the
-- policy is standard.
SELECT name, pg_temp.sends(name, 'a', 'b', NULL, 'a', NULL, 'b', 'c') FROM q_queues ORDER BY name;
SELECT q.name, k.key, g.state FROM q_job_keys k JOIN q_queues q ON q.number = k.queue, nvent.queue_get(q.name, k.id) g ORDER BY 1, 2;
-- What is refused costs nothing: not even a transaction has an id.
BEGIN;
SELECT nvent.queue_send('exclusive', key => 'a'), nvent.queue_send_batch('short', ARRAY['{"key": "b"}', '{}']::jsonb[]);
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing;
ROLLBACK;
-- Many at once: the first of a key is sent, and ids go by the order of the call.
SELECT n, id - min(id) OVER () AS place FROM ROWS FROM (nvent.queue_send_batch('short',
    ARRAY['{"key": "z"}', '{"key": "a"}', '{"key": "y"}', '{"key": "z"}', '{}', '{"key": "x"}']::jsonb[])) WITH ORDINALITY u (id, n) ORDER BY n;
SELECT data FROM nvent.queue_find('short', 'z');
SELECT nvent.queue_send_batch('short', ARRAY['{"key": "z"}', '{}']::jsonb[]);
SELECT count(*) FROM pg_temp.stray();
SELECT nvent.queue_purge('short'), nvent.queue_purge('exclusive'), nvent.queue_purge('standard');
SELECT count(*) FROM q_job_keys;

-- Found by key, whatever the policy; a worker's job shows its key.
SELECT nvent.queue_send('standard', to_jsonb(n), key => 'k') > 0 AS sent FROM generate_series(1, 2) n;
SELECT nvent.queue_send('standard', '"other"', key => 'l') > 0 AS sent;
SELECT data, state, key FROM nvent.queue_find('standard', 'k');
SELECT data, state, key FROM nvent.queue_find('standard', 'none');
SELECT count(*) FROM nvent.queue_find('standard', NULL);
SELECT nvent.queue_find('none', 'k');
SELECT nvent.queue_purge('standard');

-- Until when: a job in each state, and whether another of its key can be sent.
CREATE FUNCTION pg_temp.job(queue text, wanted text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    j bigint := nvent.queue_send($1, key => 'k', retry_limit => CASE wanted WHEN 'retry' THEN 1 ELSE 0 END,
        lease => CASE wanted WHEN 'expired' THEN interval '1 us' END,
        start_after => CASE wanted WHEN 'deferred' THEN interval '1 hour' END);
BEGIN
    IF wanted NOT IN ('created', 'deferred', 'deleted', 'cancelled') THEN
        PERFORM nvent.queue_fetch($1, 1);
    END IF;
    PERFORM pg_temp.settle($1, j, wanted);
    IF wanted = 'expired' THEN
        PERFORM nvent.queue_fetch($1, 1);
    END IF;
    RETURN j;
END $$;
CREATE FUNCTION pg_temp.try(queue text, wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    j bigint := pg_temp.job(queue, wanted);
    had text := (SELECT state FROM nvent.queue_get(queue, j));
    k bigint := nvent.queue_send(queue, key => 'k');
BEGIN
    IF EXISTS (SELECT FROM pg_temp.stray()) THEN
        RAISE EXCEPTION 'stray keys';
    END IF;
    PERFORM nvent.queue_delete(queue, i) FROM unnest(ARRAY[j, k]) i WHERE i IS NOT NULL;
    RETURN coalesce(had, 'gone') || CASE WHEN k IS NULL THEN ', refused' ELSE ', sent' END;
END $$;
SELECT s AS job, pg_temp.try('standard', s) AS standard, pg_temp.try('short', s) AS short, pg_temp.try('exclusive', s) AS exclusive
FROM unnest('{created,deferred,active,retry,released,completed,completed many,failed,expired,cancelled,cancelled active,resumed,deleted}'::text[]) s;
SELECT count(*) FROM q_job_keys;

-- Going on takes the key again, unless another has it.
SELECT nvent.queue_send('exclusive', key => 'k', retry_limit => 0) AS j \gset
SELECT nvent.queue_fail('exclusive', id, attempt) FROM nvent.queue_fetch('exclusive');
SELECT nvent.queue_send('exclusive', key => 'k') AS k \gset
SELECT nvent.queue_retry('exclusive', :j), nvent.queue_cancel('exclusive', :k), nvent.queue_retry('exclusive', :j), nvent.queue_resume('exclusive', :k);
SELECT id = :j AS first, state FROM nvent.queue_find('exclusive', 'k');
SELECT nvent.queue_retry('exclusive', :j), pg_temp.sends('exclusive', 'k');
SELECT nvent.queue_complete('exclusive', id, attempt) FROM nvent.queue_fetch('exclusive', 10);
SELECT nvent.queue_resume('exclusive', :k), pg_temp.sends('exclusive', 'k');
SELECT nvent.queue_delete('exclusive', :j), nvent.queue_delete('exclusive', :k), count(*) FROM pg_temp.stray();
-- In a short queue what was begun once needs none.
SELECT nvent.queue_send('short', '1', key => 'k') AS j \gset
SELECT attempt FROM nvent.queue_fetch('short');
SELECT pg_temp.sends('short', 'k'), nvent.queue_release('short', :j, 1), pg_temp.sends('short', 'k');
SELECT data, state FROM nvent.queue_find('short', 'k');
SELECT data FROM nvent.queue_fetch('short', 10);
SELECT pg_temp.sends('short', 'k', 'k');
SELECT nvent.queue_purge('short');

-- What is rolled back has neither taken nor given back.
SELECT nvent.queue_send('short', key => 'k') > 0 AS sent;
BEGIN;
SELECT attempt FROM nvent.queue_fetch('short');
SAVEPOINT s;
SELECT pg_temp.sends('short', 'k', 'k');
ROLLBACK TO s;
SELECT pg_temp.sends('short', 'k', 'k');
ROLLBACK;
SELECT pg_temp.sends('short', 'k');
SELECT nvent.queue_purge('short');

-- Dead letters: none is refused, and none keeps another out.
SELECT nvent.queue_create('dead', 'exclusive'), nvent.queue_create('e', retry_limit => 0, dead_letter => 'dead');
SELECT pg_temp.sends('e', 'k', 'k', NULL), pg_temp.sends('dead', 'k');
SELECT count(nvent.queue_fail('e', id, attempt)) FROM nvent.queue_fetch('e', 10);
SELECT key, state, origin ->> 'queue' AS of FROM nvent.queue_find('dead', 'k');
SELECT pg_temp.sends('dead', NULL, NULL);
SELECT count(nvent.queue_complete('dead', id, attempt)) FROM nvent.queue_fetch('dead', 10);
SELECT pg_temp.sends('dead', 'k', NULL), count(*) FROM pg_temp.stray();

-- Purging and keeping: keys of what stays are kept.
SELECT nvent.queue_create('brief', 'exclusive', keep_ended => '0', keep_queued => '1 hour');
SELECT pg_temp.sends('brief', 'a', 'b', 'c', 'd', 'e');
SELECT nvent.queue_complete('brief', id, attempt) FROM nvent.queue_fetch('brief');
SELECT count(*) FROM nvent.queue_fetch('brief');
SELECT nvent.queue_release('brief', id, attempt) FROM nvent.queue_fetch('brief');
SELECT pg_temp.sends('brief', 'a', 'b', 'c', 'd', 'e');
SELECT nvent.queue_purge('brief'), pg_temp.sends('brief', 'b', 'c', 'd');
SELECT key FROM nvent.queue_fetch('brief'), nvent.queue_get('brief', id);
SELECT nvent.queue_release('brief', id, attempt) FROM nvent.queue_fetch('brief') WHERE attempt = 1;
SELECT pg_temp.sends('brief', 'e', 'f');
UPDATE q_jobs SET created_at = created_at - interval '2 hours' WHERE queue = (SELECT number FROM q_queues WHERE name = 'brief') AND key IS DISTINCT FROM 'f';
SELECT nvent.maintain(100, 'q');
SELECT g.key, state FROM q_jobs j, nvent.queue_get('brief', j.id) g WHERE j.queue = (SELECT number FROM q_queues WHERE name = 'brief') ORDER BY j.id;
SELECT pg_temp.sends('brief', 'b', 'c', 'd', 'e', 'f'), count(*) FROM pg_temp.stray();
SELECT nvent.queue_drop('brief'), nvent.queue_create('brief', 'exclusive'), pg_temp.sends('brief', 'b', 'b');
SELECT nvent.queue_drop(name) FROM (SELECT name FROM q_queues ORDER BY name) q;
SELECT count(*) FROM q_job_keys;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
