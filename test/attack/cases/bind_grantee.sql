-- Who may write to every table of a store had what others append come to a queue
-- that he reads, and code of his run where the event of a schedule makes a job.
\c - keeper
SELECT nvent.queue_create('mine'), nvent.queue_create('inbox'), nvent.queue_bind('inbox', 'order:*', true);
\c - grantee
-- Every one of these is an error.
SELECT nvent.queue_bind('mine', '>', true);
INSERT INTO public.nvent_queue_bindings (queue, pattern, on_append) SELECT number, '>', true FROM public.nvent_queues WHERE name = 'mine';
UPDATE public.nvent_queue_bindings SET queue = (SELECT number FROM public.nvent_queues WHERE name = 'mine');
ALTER TABLE public.nvent_queue_bindings DISABLE TRIGGER queue_binding_check;
SET session_replication_role = replica;
-- This one is not, and turned into one of those by a trigger that is his.
CREATE FUNCTION grantee.turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.on_append := true; RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON public.nvent_queue_bindings FOR EACH ROW EXECUTE FUNCTION grantee.turn();
SELECT nvent.queue_bind('mine', 'order:>');
CREATE FUNCTION grantee.rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'grantee' THEN PERFORM grantee.spy('trap of an event''s job'); END IF;
	IF current_setting('is_superuser') = 'on' THEN ALTER ROLE grantee SUPERUSER; END IF;
	RETURN NEW;
END $$;
\c - keeper
SELECT nvent.stream_append('order:1', '{"type": "t", "data": "secret"}') IS NOT NULL;
SELECT nvent.schedule_set('s', 'order:1', '{"type": "t"}', at => '2020-01-01', missed => 'all');
\c - grantee
CREATE TRIGGER aaa BEFORE INSERT ON public.nvent_jobs FOR EACH ROW EXECUTE FUNCTION grantee.rise();
\c - root
SELECT nvent.schedule_run();
SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN rolsuper THEN 'grantee is a superuser'
	WHEN EXISTS (SELECT FROM public.nvent_jobs j JOIN public.nvent_queues q ON q.number = j.queue WHERE q.name = 'mine') THEN 'grantee has the events of others'
	WHEN NOT EXISTS (SELECT FROM public.nvent_jobs j JOIN public.nvent_queues q ON q.number = j.queue WHERE q.name = 'inbox') THEN 'nothing was tried'
	ELSE 'held' END FROM pg_roles WHERE rolname = 'grantee';
