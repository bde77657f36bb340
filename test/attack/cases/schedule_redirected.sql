-- Who may write schedules, and nothing else, has others append for him: to a table
-- of the store, and to another store.
\c - root
REVOKE ALL ON ALL TABLES IN SCHEMA shop FROM writer;
GRANT SELECT, INSERT ON shop.shop_scheduler_jobs TO writer;
\c - writer
INSERT INTO shop.shop_scheduler_jobs (job_id, scheduled_at, next_run_at, config)
VALUES ('a', 1, 1, '{"subject": "shop:order:1", "event": {"type": "by writer"}}'), ('b', 1, 1, '{"subject": "shop:flow:run:1", "event": {"type": "by writer", "flowName": "f"}}'),
	('c', 1, 1, '{"subject": "nvent:order:1", "event": {"type": "by writer"}}'), ('d', 1, 1, '{"subject": "shop:unheard:1", "event": {"type": "by writer"}}');
\c - shopkeeper
SELECT nvent.schedule_run('shop'); SELECT nvent.maintain();
\c - root
SELECT nvent.schedule_run('shop'); SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN count(*) > 0 THEN 'writer appended' ELSE 'held' END FROM (
	SELECT type FROM public.nvent_stream_order UNION ALL SELECT type FROM shop.shop_stream_order UNION ALL SELECT type FROM shop.shop_flow_events) e
WHERE type = 'by writer';
