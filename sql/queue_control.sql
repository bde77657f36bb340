-- Operators at jobs where a trigger, a rule or a policy of the tables' owner keeps
-- rows from being changed: an error says so, nothing is half done, and no call
-- tries for ever.
--
-- Seen to fail without a bound of how often it is tried: most of these calls end by
-- statement_timeout.  Without a look at what is there afterwards: a deferred job is
-- neither cancelled nor run by anybody, and of one that is kept the runs are gone.
-- With resuming that has a job start at once: "tomorrow", and it is fetched.
SET client_min_messages = warning;
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
CREATE ROLE regress_nvs_operator;
SELECT nvent.store_create('q');
SET nvent_store.default_store = 'q';
SELECT nvent.queue_create('e', retry_limit => 1, retry_delay => '1 day');
SELECT nvent.store_grant('regress_nvs_operator', 'write', 'q');

-- A job in a state.
CREATE FUNCTION pg_temp.job(state text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    j bigint := nvent.queue_send('e', retry_limit => CASE state WHEN 'failed' THEN 0 END, start_after => CASE state WHEN 'deferred' THEN interval '1 day' END);
BEGIN
    IF state IN ('active', 'retry', 'failed') THEN
        PERFORM nvent.queue_fetch('e');
    END IF;
    IF state IN ('retry', 'failed') THEN
        PERFORM nvent.queue_fail('e', j, 1);
    ELSIF state = 'cancelled' THEN
        PERFORM nvent.queue_cancel('e', j);
    END IF;
    RETURN j;
END $$;

CREATE FUNCTION pg_temp.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

-- What a call says where an action on a table comes to nothing, and what is there
-- then: the state, turns and runs.  The same with a policy for UPDATE alone.
CREATE FUNCTION pg_temp.try(what text, state text, relation text, action text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    j bigint := pg_temp.job(state);
    before text := pg_temp.found(j);
    result text;
BEGIN
    IF action = 'policy' THEN
        EXECUTE format('ALTER TABLE q_%s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY p ON q_%s USING (true) WITH CHECK (true)', relation);
        EXECUTE format('CREATE POLICY q ON q_%s AS RESTRICTIVE FOR UPDATE USING (false)', relation);
        SET LOCAL ROLE regress_nvs_operator;
    ELSE
        EXECUTE format('CREATE TRIGGER nothing BEFORE %s ON q_%s FOR EACH ROW EXECUTE FUNCTION pg_temp.nothing()', action, relation);
    END IF;
    BEGIN
        EXECUTE format('SELECT nvent.queue_%s(''e'', %s)', what, j) INTO result;
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        result := concat_ws(' ', SQLSTATE, replace(SQLERRM, j::text, 'N'));
    END;
    RESET ROLE;
    EXECUTE format('ALTER TABLE q_%s DISABLE ROW LEVEL SECURITY; DROP POLICY IF EXISTS p ON q_%1$s; DROP POLICY IF EXISTS q ON q_%1$s; DROP TRIGGER IF EXISTS nothing ON q_%1$s', relation);
    result := concat_ws(', ', result, nullif(pg_temp.found(j), before));
    PERFORM nvent.queue_delete('e', j);
    RETURN result;
END $$;
CREATE FUNCTION pg_temp.found(j bigint) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s turns, %s runs', coalesce((SELECT state FROM nvent.queue_get('e', j)), 'gone'),
        (SELECT count(*) FROM q_job_turns WHERE id = j), (SELECT count(*) FROM q_job_runs WHERE id = j))
$$;
CREATE TEMP TABLE tried (what text, state text, relation text, action text, result text);

SET statement_timeout = '10 s';
-- An error, or what there would be without: what is in the way is not touched.
\set ECHO errors
\o /dev/null
SELECT format('INSERT INTO tried SELECT %L, %L, %L, %L, pg_temp.try(%1$L, %2$L, %3$L, %4$L)', w, s, r, a)
FROM unnest('{cancel,resume,retry,delete}'::text[]) w, unnest('{created,deferred,active,retry,failed,cancelled}'::text[]) s,
    unnest('{jobs,job_turns,job_runs}'::text[]) r, unnest('{INSERT,UPDATE,DELETE,policy}'::text[]) a
\gexec
\o
\set ECHO all
SELECT what, result, relation, action, string_agg(state, ' ' ORDER BY state) AS states FROM tried WHERE result LIKE '27000%' GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4, 2;
SELECT what, result, state, count(*), string_agg(DISTINCT relation || ' ' || action, ' ' ORDER BY relation || ' ' || action) FILTER (WHERE action = 'policy') AS policies
FROM tried WHERE result NOT LIKE '27000%' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) FROM q_job_runs;

-- Many at once: each as alone, in the order of their ids; others are left out.
SELECT nvent.queue_create('other'), nvent.queue_create('x', 'exclusive', retry_limit => 0), nvent.queue_create('st', 'stately', retry_limit => 0);
CREATE TEMP TABLE job (name text PRIMARY KEY, queue text DEFAULT 'e', id bigint);
INSERT INTO job SELECT s, 'e', pg_temp.job(s) FROM unnest('{active,retry,failed,cancelled,deferred,created}'::text[]) s;
INSERT INTO job VALUES ('of another', 'other', nvent.queue_send('other'));
CREATE FUNCTION pg_temp.ids(VARIADIC names text[]) RETURNS bigint[] LANGUAGE sql AS $$SELECT array_agg(id ORDER BY n DESC) FROM unnest(names) WITH ORDINALITY u (name, n) LEFT JOIN job USING (name)$$;
CREATE FUNCTION pg_temp.all_ids() RETURNS bigint[] LANGUAGE sql AS $$SELECT array_agg(id ORDER BY id DESC) || NULL::bigint || array_agg(id) || 0::bigint FROM job$$;
CREATE FUNCTION pg_temp.names(VARIADIC ids bigint[]) RETURNS text LANGUAGE sql AS $$SELECT string_agg(name, ' ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (id, n) LEFT JOIN job USING (id)$$;
CREATE FUNCTION pg_temp.states() RETURNS TABLE (name text, state text) LANGUAGE sql AS
    $$SELECT name, (SELECT concat(g.state, ', waits for ' || nullif(g.waits_for, 0)) FROM nvent.queue_get(queue, id) g) FROM job ORDER BY id$$;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_cancel_many('e', pg_temp.all_ids()))) AS cancelled;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_cancel_many('e', pg_temp.all_ids()))) AS cancelled;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_retry_many('e', pg_temp.all_ids()))) AS retried;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_resume_many('e', pg_temp.all_ids()))) AS resumed;
SELECT * FROM pg_temp.states();
SELECT state, start_at > now() + '23 h' AS tomorrow FROM job, nvent.queue_get('e', id) WHERE name = 'deferred';
SELECT pg_temp.names(VARIADIC ARRAY(SELECT id FROM nvent.queue_fetch('e', 10))) AS fetched;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_delete_many('e', pg_temp.all_ids()))) AS deleted;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_delete_many('e', pg_temp.all_ids()))) AS deleted;
SELECT (SELECT count(*) FROM nvent.queue_cancel_many('e', '{}')), (SELECT count(*) FROM nvent.queue_resume_many('e', ARRAY[NULL]::bigint[]));
SELECT nvent.queue_cancel_many('e', NULL);
SELECT nvent.queue_delete_many(NULL, '{1}');
SELECT nvent.queue_retry_many('none', '{1}');
SELECT nvent.queue_delete_many('e', array_fill(1::bigint, ARRAY[100001]));

-- Of two that need one key the first one goes on.
TRUNCATE job;
CREATE FUNCTION pg_temp.dies(queue text, key text, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job VALUES (name, queue, nvent.queue_send(queue, key => key));
    PERFORM nvent.queue_fail(queue, f.id, f.attempt) FROM nvent.queue_fetch(queue) f;
END $$;
SELECT pg_temp.dies(q, k, q || ' ' || k || ' ' || n) FROM unnest('{x,st}'::text[]) q, generate_series(1, 2) n, unnest('{b,a}'::text[]) k;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_retry_many('x', pg_temp.all_ids()))) AS x, pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_retry_many('st', pg_temp.all_ids()))) AS st;
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_cancel_many('x', pg_temp.ids('x a 1')))) AS cancelled, pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_retry_many('x', pg_temp.all_ids()))) AS x;
SELECT * FROM pg_temp.states();

-- Parents with children that wait for them, and for others that are cancelled, too.
TRUNCATE job;
SELECT nvent.queue_create('f', keep_ended => '1 day');
INSERT INTO job SELECT j ->> 'name', 'f', id FROM (SELECT ARRAY['{"name": "p1"}', '{"name": "p2"}', '{"name": "c1", "after": ["p1", "p2"]}', '{"name": "c2", "after": "p2", "onFailure": "wait"}', '{"name": "c3", "after": "p1", "onFailure": "run"}',
    '{"name": "g1", "after": ["c1", "c3"]}', '{"name": "g2", "after": ["c2"]}']::jsonb[]) s (jobs), nvent.queue_flow(ARRAY(SELECT j || '{"queue": "f"}' FROM unnest(jobs) j)) WITH ORDINALITY f (id, n), LATERAL (SELECT jobs[n]) j (j);
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_cancel_many('f', pg_temp.ids('p1', 'c2', 'g1')))) AS cancelled;
SELECT * FROM pg_temp.states();
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_resume_many('f', pg_temp.ids('c2', 'p1')))) AS resumed;
SELECT * FROM pg_temp.states();
SELECT pg_temp.names(VARIADIC ARRAY(SELECT nvent.queue_delete_many('f', pg_temp.ids('p2', 'c3', 'g2')))) AS deleted;
SELECT * FROM pg_temp.states();
SELECT count(*) FROM q_job_waits;
-- One that waits, and is kept from being deleted from those, would run all the same.
TRUNCATE job;
INSERT INTO job SELECT n, 'f', id FROM nvent.queue_flow('{"{\"name\": \"p\", \"queue\": \"f\"}","{\"after\": \"p\", \"queue\": \"f\"}"}') WITH ORDINALITY f (id, n);
CREATE TRIGGER nothing BEFORE DELETE ON q_job_waits FOR EACH ROW EXECUTE FUNCTION pg_temp.nothing();
\set VERBOSITY sqlstate
SELECT nvent.queue_cancel('f', id) FROM job WHERE name = '2';
SELECT nvent.queue_delete_many('f', pg_temp.all_ids());
\set VERBOSITY terse
DROP TRIGGER nothing ON q_job_waits;
SELECT * FROM pg_temp.states();

-- One job among many is found by all columns of its key, also by plans that were
-- made while nothing was known of the table: its index has more than 200 pages.
SELECT nvent.queue_create('n', keep_ended => '0');
SELECT count(*) FROM nvent.queue_send_batch('n', array_fill('{}'::jsonb, ARRAY[60000]));
SELECT min(id) + 50000 AS j FROM q_jobs WHERE queue = (SELECT number FROM q_queues WHERE name = 'n') \gset
SELECT call, b < 100 AS few FROM (SELECT format(c, 'N') AS call, pg_temp.buffers(format(c, :j)) AS b FROM unnest(ARRAY[
    $$SELECT nvent.queue_cancel('n', %s)$$, $$SELECT nvent.queue_cancel('n', %s - 2)$$, $$SELECT nvent.queue_delete('n', %s - 1)$$, $$SELECT nvent.queue_get('n', %s)$$,
    $$SELECT nvent.queue_update('n', %s + 1, '1')$$, $$SELECT nvent.queue_complete('n', id, attempt) FROM nvent.queue_fetch('n')$$,
    $$SELECT nvent.queue_complete_many('n', array_agg(id), array_agg(attempt)) FROM nvent.queue_fetch('n', 3)$$,
    $$SELECT nvent.queue_fail('n', id, attempt) FROM nvent.queue_fetch('n', 1)$$, $$SELECT nvent.queue_resume('n', %s)$$]) c) b;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
DROP OWNED BY regress_nvs_operator;
DROP ROLE regress_nvs_operator;
