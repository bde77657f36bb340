-- Who may have a trigger on the table of bindings put one of his in the place of
-- ours, which refuses to others than the owner what others append, and had it
-- come to a queue that he reads.
\c - keeper
SELECT nvent.queue_create('mine');
CREATE TABLE public.private (LIKE public.nvent_stream_order INCLUDING ALL);
SELECT nvent.route_add('stream', 'private:>', 'public.private');
\c - grantee
CREATE FUNCTION grantee.let() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER queue_binding_check AFTER INSERT OR UPDATE ON public.nvent_queue_bindings FOR EACH ROW EXECUTE FUNCTION grantee.let();
INSERT INTO public.nvent_queue_bindings (queue, pattern, on_append) SELECT number, '>', true FROM public.nvent_queues WHERE name = 'mine';
\c - keeper
SELECT nvent.stream_append('order:1', '{"type": "t", "data": "secret"}') IS NOT NULL;
SELECT nvent.stream_append('private:1', '{"type": "t", "data": "secret"}') IS NOT NULL;
\c - watcher
SELECT CASE WHEN EXISTS (SELECT FROM public.nvent_jobs) THEN 'grantee has the events of others'
	WHEN NOT EXISTS (SELECT FROM public.nvent_stream_order WHERE data = '"secret"') THEN 'nothing was tried'
	ELSE 'held' END;
