-- Who may have triggers on tables has one run when a schedule does, with the
-- rights of whoever makes the runs.
\c - grantee
CREATE TRIGGER aaa BEFORE INSERT ON public.nvent_stream_order FOR EACH ROW EXECUTE FUNCTION grantee.rise();
CREATE TRIGGER aaa BEFORE UPDATE ON public.nvent_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION grantee.rise();
CREATE TRIGGER aaa BEFORE INSERT ON shop.shop_stream_order FOR EACH ROW EXECUTE FUNCTION grantee.rise();
INSERT INTO public.nvent_scheduler_jobs (job_id, scheduled_at, next_run_at, config)
VALUES ('a', 1, 1, '{"subject": "nvent:order:1", "event": {"type": "t"}}'), ('b', 1, 1, '{"subject": "nvent:unheard:1", "event": {"type": "t"}}');
INSERT INTO shop.shop_scheduler_jobs (job_id, scheduled_at, next_run_at, config)
VALUES ('a', 1, 1, '{"subject": "shop:order:1", "event": {"type": "t"}}'), ('b', 1, 1, '{"subject": "nvent:order:1", "event": {"type": "t"}}');
\c - root
SELECT nvent.schedule_run('nvent'), nvent.schedule_run('shop'); SELECT nvent.maintain();
\c - keeper
SELECT nvent.schedule_run('nvent'); SELECT nvent.maintain();
\c - shopkeeper
SELECT nvent.schedule_run('shop'); SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN rolsuper THEN 'grantee is a superuser' ELSE 'held' END FROM pg_roles WHERE rolname = 'grantee';
