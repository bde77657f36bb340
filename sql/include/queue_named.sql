\set ECHO none
-- For tests of queues in a store q whose jobs are named by their data, as
-- key-number: what queue_store.sql has, and what such tests share.
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
\set ECHO none
\set VERBOSITY terse

-- Sends jobs named by their keys and numbers; what was sent.
CREATE FUNCTION pg_temp.send(queue text, VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN nvent.queue_send($1, to_jsonb(n), key => nullif(split_part(n, '-', 1), '')) IS NULL THEN '(' || n || ')' ELSE n END, ' ' ORDER BY o) FROM unnest(names) WITH ORDINALITY u (n, o)
$$;
-- The same in groups, named by these and their keys; how many.
CREATE FUNCTION pg_temp.group(queue text, VARIADIC names text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM ROWS FROM (nvent.queue_send_batch($1, (SELECT array_agg(jsonb_build_object('data', n, 'key', split_part(n, '-', 2), 'group', nullif(split_part(n, '-', 1), '')) ORDER BY o) FROM unnest(names) WITH ORDINALITY u (n, o)))) s
$$;
-- What is fetched, with the attempt.
CREATE FUNCTION pg_temp.fetch(queue text, n int DEFAULT 100) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg((data ->> 0) || '/' || attempt, ' ' ORDER BY o), 'nothing') FROM nvent.queue_fetch(queue, n) WITH ORDINALITY f (id, attempt, data, p, r, c, l, o)
$$;
-- Fetches, each time in a transaction of its own, until what is wanted comes; ten
-- times at the most.
CREATE PROCEDURE pg_temp.fetch_until(queue text, n int, wanted text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 10 LOOP
        EXIT WHEN pg_temp.fetch(queue, n) = wanted;
        COMMIT;
    END LOOP;
END $$;
-- What is done with those of a name.
CREATE FUNCTION pg_temp.job(name text) RETURNS TABLE (queue text, id bigint, attempt int) LANGUAGE sql AS $$
    SELECT q.name, j.id, coalesce((SELECT max(attempt) FROM q_job_runs r WHERE r.id = j.id), 0) FROM q_jobs j JOIN q_queues q ON q.number = j.queue WHERE j.data ->> 0 = $1 AND j.origin IS NULL
$$;
CREATE FUNCTION pg_temp.done(VARIADIC names text[]) RETURNS boolean LANGUAGE sql AS $$
    SELECT bool_and(nvent.queue_complete(j.queue, j.id, j.attempt)) FROM unnest(names) n, pg_temp.job(n) j
$$;
CREATE FUNCTION pg_temp.fail(VARIADIC names text[]) RETURNS boolean LANGUAGE sql AS $$
    SELECT bool_and(nvent.queue_fail(j.queue, j.id, j.attempt, to_jsonb('no ' || n))) FROM unnest(names) n, pg_temp.job(n) j
$$;
CREATE FUNCTION pg_temp.states(queue text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((g.data ->> 0) || ' ' || g.state, ', ' ORDER BY j.id) FROM q_jobs j JOIN q_queues q ON q.number = j.queue, nvent.queue_get(q.name, j.id) g WHERE q.name = $1
$$;
-- Places that nobody has a right to, or that are missing.
CREATE FUNCTION pg_temp.stray() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT q.name || ' ' || coalesce(l.lane, 'none') || ' ' || l.place || ' ' || coalesce(g.state, 'gone') FROM q_job_lanes l JOIN q_queues q ON q.number = l.queue LEFT JOIN LATERAL nvent.queue_get(q.name, l.id) g ON true
    WHERE l.held AND l.free_at IS NULL AND (g.state = CASE WHEN l.place < 0 THEN 'retry' ELSE 'active' END OR q.policy = 'key_strict_fifo' AND g.state IN ('retry', 'failed')) IS NOT TRUE
$$;
\set ECHO all
