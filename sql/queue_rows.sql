-- More rows than a statement can have: the owner of a store can take the unique
-- indexes of its tables away, and have rules return what he likes.  A call that
-- has room for as many rows as it was given jobs raises an error then.
--
-- Seen to fail with what statements return written wherever it comes to lie: the
-- server ends.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/queue.sql'
\i :helpers
SELECT nvent.store_create('rows'), nvent.queue_create('q', store => 'rows');
CREATE FUNCTION pg_temp.sent(n int) RETURNS bigint LANGUAGE sql AS $$ SELECT max(id) FROM nvent.queue_send_batch('q', array_fill('{}'::jsonb, ARRAY[n]), 'rows') id $$;
CREATE FUNCTION pg_temp.begun() RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM nvent.queue_fetch('q', 1, store => 'rows') $$;

-- A rule has an insert return more than was sent.
CREATE TABLE sink (LIKE rows_jobs);
CREATE RULE more AS ON INSERT TO rows_jobs DO INSTEAD INSERT INTO sink (id, queue, priority, created_at)
    SELECT g, NEW.queue, NEW.priority, NEW.created_at FROM generate_series(1, 3000) g RETURNING sink.*;
SELECT nvent.queue_send('q', '1', store => 'rows');
SELECT * FROM nvent.queue_send_batch('q', ARRAY['{}', '{}']::jsonb[], 'rows');
DROP RULE more ON rows_jobs;

-- Runs and jobs that wait are there many times.
ALTER TABLE rows_job_runs DROP CONSTRAINT rows_job_runs_pkey;
ALTER TABLE rows_job_waits DROP CONSTRAINT rows_job_waits_pkey;
SELECT pg_temp.sent(1) AS job \gset
SELECT nvent.queue_cancel('q', :job, 'rows');
INSERT INTO rows_job_runs SELECT r.* FROM rows_job_runs r, generate_series(1, 3000);
SELECT pg_temp.answer(format('nvent.queue_resume(''q'', %s, ''rows'')', :job));
TRUNCATE rows_job_runs;
SELECT pg_temp.begun() = :job AS begun;
INSERT INTO rows_job_runs SELECT r.* FROM rows_job_runs r, generate_series(1, 3000);
SELECT pg_temp.answer(format('(SELECT count(*) FROM nvent.queue_complete_many(''q'', ARRAY[%s], ''{1}'', store => ''rows''))', :job));
TRUNCATE rows_job_runs;
INSERT INTO rows_job_parents (id, parent, queue, parent_queue) SELECT :job, 1, number, number FROM rows_queues;
INSERT INTO rows_job_waits SELECT :job, q.number, 0, 1, 'wait', NULL FROM rows_queues q, generate_series(1, 3000);
SELECT pg_temp.answer(format('nvent.queue_cancel(''q'', %s, ''rows'')', :job));
TRUNCATE rows_job_waits, rows_job_parents;

TRUNCATE rows_jobs;
DROP TABLE sink;
SELECT nvent.store_migrate('rows', 0) > 0 AS dropped;
