-- How far the work on a job has come: who has its lease says so, others see it; and
-- who has it, where he does not say that himself.
--
-- Seen to fail with progress that any attempt may note, with an index on it (the
-- updates are not HOT then), and with a touch that takes it back; with what queue_work
-- touches fenced by the id alone, and with progress that it does not pass on.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue_store.sql'
\i :helpers
SELECT nvent.queue_create('e'), nvent.queue_create('brief', keep_ended => '0');
CREATE FUNCTION pg_temp.seen(job bigint) RETURNS TABLE (got jsonb, found jsonb, runs text, active jsonb) LANGUAGE sql AS $$
    SELECT (SELECT progress FROM nvent.queue_get('e', job)), (SELECT progress FROM nvent.queue_find('e', 'k', after => job - 1, max_count => 1)),
        (SELECT string_agg(attempt || ' ' || outcome || ' ' || coalesce(progress::text, '-'), ', ' ORDER BY attempt) FROM nvent.queue_runs('e', job)),
        (SELECT progress FROM nvent.queue_active('e') WHERE id = job) $$;

-- Nothing is said yet; a number; anything else; nothing again.
SELECT nvent.queue_send('e', '1', key => 'k') AS j \gset
SELECT nvent.queue_progress('e', :j, 1, '1') AS "not fetched yet";
SELECT attempt FROM nvent.queue_fetch('e');
SELECT * FROM pg_temp.seen(:j);
SELECT nvent.queue_progress('e', :j, 1, '50');
SELECT * FROM pg_temp.seen(:j);
SELECT nvent.queue_progress('e', :j, 1, '{"pages": [1, 2], "of": 7}');
SELECT * FROM pg_temp.seen(:j);
SELECT nvent.queue_progress('e', :j, 1, NULL);
SELECT * FROM pg_temp.seen(:j);

-- A touch sets both, or leaves it as it is; what is said alone has no lease last longer.
SELECT nvent.queue_touch('e', :j, 1, '1 hour', '{"n": 1}') > now() + interval '50 min' AS touched;
SELECT lease_until AS before FROM nvent.queue_get('e', :j) \gset
SELECT nvent.queue_touch('e', :j, 1, '2 hours') > now() + interval '100 min' AS touched, nvent.queue_progress('e', :j, 1, '{"n": 2}');
SELECT progress, lease_until > timestamptz :'before' AS longer FROM nvent.queue_get('e', :j);
SELECT lease_until AS before FROM nvent.queue_get('e', :j) \gset
SELECT nvent.queue_progress('e', :j, 1, '{"n": 3}'), nvent.queue_touch('e', :j, 1, '3 hours') IS NOT NULL AS touched;
SELECT progress FROM nvent.queue_get('e', :j);

-- Said as often as one likes it writes to no index: each row takes the place of one before.
BEGIN;
SELECT n_tup_upd AS upd, n_tup_hot_upd AS hot FROM pg_stat_xact_user_tables WHERE relname = 'q_job_runs' \gset
DO $$ BEGIN FOR i IN 1..20 LOOP PERFORM nvent.queue_progress('e', (SELECT id FROM nvent.queue_active('e')), 1, to_jsonb(i)); END LOOP; END $$;
SELECT n_tup_upd - :upd AS updates, n_tup_hot_upd - :hot AS hot FROM pg_stat_xact_user_tables WHERE relname = 'q_job_runs';
COMMIT;
SELECT progress FROM nvent.queue_get('e', :j);

-- It stays with its attempt when that fails, and the next begins with none.
SELECT nvent.queue_fail('e', :j, 1, '"broken"');
SELECT nvent.queue_progress('e', :j, 1, '1') AS "has failed";
SELECT * FROM pg_temp.seen(:j);
SELECT attempt FROM nvent.queue_fetch('e');
SELECT * FROM pg_temp.seen(:j);
SELECT nvent.queue_progress('e', :j, 1, '1') AS "that of before", nvent.queue_progress('e', :j, 2, '2') AS "that of now",
    nvent.queue_progress('e', :j, 3, '3') AS "that of later", nvent.queue_progress('brief', :j, 2, '4') AS "of another queue";
SELECT nvent.queue_touch('e', :j, 1, progress => '5') AS lost;
SELECT * FROM pg_temp.seen(:j);

-- When it is completed too, by each way there is, and if it is as long as a book.
SELECT nvent.queue_progress('e', :j, 2, to_jsonb((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n)));
SELECT nvent.queue_complete('e', :j, 2, '"done"');
SELECT nvent.queue_progress('e', :j, 2, '1') AS completed;
SELECT state, output, length(progress::text), md5(progress::text) = md5(to_jsonb((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n))::text) AS same FROM nvent.queue_get('e', :j);
SELECT count(nvent.queue_send('e', to_jsonb(n))) FROM generate_series(1, 3) n;
SELECT count(nvent.queue_progress('e', id, attempt, to_jsonb(id))) FROM nvent.queue_fetch('e', 3);
SELECT array_agg(id ORDER BY id) AS ids FROM nvent.queue_active('e') \gset
SELECT count(*) FROM nvent.queue_complete_many('e', (:'ids'::bigint[])[1:1], '{1}');
SELECT count(*) FROM nvent.queue_work('e', jsonb_build_array(jsonb_build_object('id', (:'ids'::bigint[])[2], 'attempt', 1)), max_count => 0);
SELECT nvent.queue_cancel('e', (:'ids'::bigint[])[3]);
SELECT state, progress = to_jsonb(id) AS kept FROM unnest(:'ids'::bigint[]) i, nvent.queue_get('e', i) ORDER BY id;

-- A lease that has run out is lost, whoever has the job.
SELECT nvent.queue_send('e') AS j \gset
SELECT attempt FROM nvent.queue_fetch('e');
UPDATE q_job_runs SET lease_until = now() - interval '1 s' WHERE id = :j;
SELECT nvent.queue_progress('e', :j, 1, '1') AS lost;

-- Who goes on with some of his jobs says so as he settles others: their leases last
-- as by a touch, and what he says of them is noted, else left as it is.
SELECT nvent.queue_create('t', lease => '1 min');
SELECT count(*) FROM nvent.queue_send_batch('t', '{"{\"data\": 1}","{\"data\": 2, \"lease\": \"2 hours\"}","{\"data\": 3, \"maxRun\": \"3 min\", \"lease\": \"1 min\"}","{\"data\": 4}","{\"data\": 5}","{\"data\": 6}"}'::jsonb[]);
SELECT array_agg(id ORDER BY id) AS t FROM nvent.queue_fetch('t', 6) \gset
CREATE FUNCTION pg_temp.said(jobs bigint[], of int, attempt int DEFAULT 1, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_build_object('id', jobs[of], 'attempt', attempt) || more$$;
CREATE FUNCTION pg_temp.goes_on(jobs bigint[]) RETURNS TABLE (n jsonb, state text, progress jsonb, lasts text) LANGUAGE sql AS $$
    SELECT g.data, g.state, g.progress, CASE WHEN g.lease_until > now() + interval '1 hour' THEN 'hours' WHEN g.lease_until > now() + interval '2 min' THEN 'minutes' WHEN g.lease_until > now() + interval '5 s' THEN 'a minute' ELSE 'seconds' END
    FROM unnest(jobs) WITH ORDINALITY u (id, n), nvent.queue_get('t', u.id) g ORDER BY u.n $$;
UPDATE q_job_runs SET lease_until = now() + interval '4 s' WHERE id = ANY (:'t'::bigint[]);
SELECT nvent.queue_progress('t', (:'t'::bigint[])[n], 1, '"before"') FROM unnest(ARRAY[3, 4]) n;
SELECT data FROM nvent.queue_work('t', jsonb_build_array(pg_temp.said(:'t', 5)), jsonb_build_array(pg_temp.said(:'t', 6)), 1,
    touched => jsonb_build_array(pg_temp.said(:'t', 4), pg_temp.said(:'t', 1, more => '{"progress": 10}'), pg_temp.said(:'t', 3, more => '{"progress": null}'), pg_temp.said(:'t', 2, more => '{"progress": {"n": 2}, "data": 0}')));
SELECT * FROM pg_temp.goes_on(:'t');
UPDATE q_job_runs SET lease_until = now() + interval '1 s', run_until = now() + interval '2 s' WHERE id = (:'t'::bigint[])[3];
SELECT count(*) FROM nvent.queue_work('t', max_count => 0, touched => jsonb_build_array(pg_temp.said(:'t', 3)));
SELECT lasts AS "not beyond the longest run" FROM pg_temp.goes_on((:'t'::bigint[])[3:3]);

-- A JSON null is NULL: whoever touches has nothing new to say, and who only says
-- something says that there is nothing.
SELECT nvent.queue_touch('t', (:'t'::bigint[])[4], 1, '4 s', 'null') IS NOT NULL AS touched;
SELECT progress FROM pg_temp.goes_on((:'t'::bigint[])[4:4]);
SELECT nvent.queue_progress('t', (:'t'::bigint[])[4], 1, 'null');
SELECT progress IS NULL AS none FROM pg_temp.goes_on((:'t'::bigint[])[4:4]);
SELECT nvent.queue_progress('t', (:'t'::bigint[])[4], 1, '[null]'), nvent.queue_touch('t', (:'t'::bigint[])[3], 1, progress => '{}') IS NOT NULL AS touched;
SELECT progress FROM pg_temp.goes_on((:'t'::bigint[])[3:4]);

-- Those that are lost are named; what is settled by the same call is not touched.
\set VERBOSITY default
SELECT count(*) FROM nvent.queue_work('t', max_count => 0, touched => (SELECT jsonb_agg(jsonb_build_object('id', 9000000000000000000 + i, 'attempt', 1)) FROM generate_series(1, 25) i));
\set VERBOSITY terse
SELECT count(*) FROM nvent.queue_work('brief', max_count => 0, touched => jsonb_build_array(pg_temp.said(:'t', 1, more => '{"progress": "of another queue"}')));
SELECT count(*) FROM nvent.queue_work('t', max_count => 0, touched => jsonb_build_array(pg_temp.said(:'t', 1, 2, '{"progress": "of a later attempt"}'), pg_temp.said(:'t', 5, 1, '{"progress": "completed"}')));
SELECT count(*) FROM nvent.queue_work('t', jsonb_build_array(pg_temp.said(:'t', 1)), jsonb_build_array(pg_temp.said(:'t', 2)), 0, touched => jsonb_build_array(pg_temp.said(:'t', 1), pg_temp.said(:'t', 2)));
UPDATE q_job_runs SET lease_until = now() - interval '1 s' WHERE id = (:'t'::bigint[])[4];
SELECT count(*) FROM nvent.queue_work('t', max_count => 0, touched => jsonb_build_array(pg_temp.said(:'t', 4, more => '{"progress": "too late"}')));
SELECT n, state, progress FROM pg_temp.goes_on(:'t');

-- By who waits too; what he says is committed before he does (075_queue_wait.pl).
CALL nvent.queue_work_await('t', max_count => 0, touched => jsonb_build_array(pg_temp.said(:'t', 3, more => '{"progress": 99}')), jobs => NULL);
SELECT progress FROM pg_temp.goes_on((:'t'::bigint[])[3:3]);
SELECT count(*) FROM nvent.queue_work('t', max_count => 0, touched => '[]');
SELECT nvent.queue_work('t', touched => '{}');
SELECT nvent.queue_work('t', touched => '[1]');
SELECT nvent.queue_work('t', touched => '[{"attempt": 1}]');
CALL nvent.queue_work_await('t', touched => '[{"id": 1}]');
SELECT count(*) FROM nvent.queue_work('t', touched => (SELECT jsonb_agg(1) FROM generate_series(1, 100001)));
\set VERBOSITY default

-- What is not kept is gone.
SELECT nvent.queue_send('brief') AS b \gset
SELECT nvent.queue_progress('brief', id, attempt, '1') FROM nvent.queue_fetch('brief');
SELECT nvent.queue_complete('brief', :b, 1);
SELECT count(*) FROM nvent.queue_runs('brief', :b);

-- What callers do wrong.
SELECT nvent.queue_progress('e', NULL, 1, '1');
SELECT nvent.queue_progress('e', 1, NULL, '1');
SELECT nvent.queue_progress(NULL, 1, 1, '1');
SELECT nvent.queue_progress('none', 1, 1, '1');
SELECT nvent.queue_progress('e', 1, 1, '1', 'none');
BEGIN READ ONLY;
SELECT nvent.queue_progress('e', 1, 1, '1');
ROLLBACK;

-- Who has a job: as he says, else what his session is called, else nobody.
SELECT nvent.queue_create('w');
SELECT count(*) FROM nvent.queue_send_batch('w', array_fill('{}'::jsonb, ARRAY[9]));
SET application_name = 'a host';
SELECT count(*) FROM nvent.queue_fetch('w') a, nvent.queue_fetch('w', worker => 'me') b, nvent.queue_fetch('w', worker => '') c;
SELECT count(*) FROM nvent.queue_work('w') a, nvent.queue_work('w', worker => 'me too') b, nvent.queue_work('w', worker => '') c;
DO $$
DECLARE
    jobs jsonb;
BEGIN
    CALL nvent.queue_work_await('w', jobs => jobs);
    CALL nvent.queue_work_await('w', worker => 'i', jobs => jobs);
END $$;
SET application_name = '';
SELECT count(*) FROM nvent.queue_fetch('w');
SELECT worker, count(*) FROM nvent.queue_active('w') GROUP BY 1 ORDER BY 1;
RESET application_name;

SELECT nvent.store_migrate('q', 0) > 0 AS dropped;
