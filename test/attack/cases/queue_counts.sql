-- Who may not read a table of a store was told how many rows a queue has there, once
-- somebody had it counted who may.
\c - keeper
SELECT nvent.queue_create('q'), nvent.queue_send('q') IS NOT NULL;
GRANT USAGE ON SCHEMA public TO stranger;
GRANT SELECT ON public.nvent_queues, public.nvent_job_levels, public.nvent_jobs, public.nvent_job_turns, public.nvent_job_runs TO stranger;
SELECT ready FROM nvent.queue_stats('q');
SELECT ready AS known FROM nvent.queue_stats('q') \gset
\c - stranger
SELECT ready AS told FROM nvent.queue_stats('q') \gset
\c - watcher
SELECT CASE WHEN :{?told} THEN 'stranger is told what is in a table' WHEN :{?known} THEN 'held' ELSE 'nothing was tried' END;
