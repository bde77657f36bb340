-- Who could write schedules once has others append for him when he may not write
-- them any more; and says that it was they who wrote them, by the column, by a
-- trigger behind ours, and by having them touch what he wrote.
\c - shopkeeper
SELECT nvent.store_create('till', 'shop');
SELECT nvent.stream_append('till:order:1', '{"type": "t"}');
GRANT SELECT, INSERT, UPDATE, TRIGGER ON shop.till_scheduler_jobs TO writer;
\c - writer
INSERT INTO shop.till_scheduler_jobs (job_id, scheduled_at, next_run_at, config)
SELECT n, 1, 1, '{"subject": "till:order:1", "event": {"type": "by writer"}}' FROM unnest('{a,b,c,d,e}'::text[]) n;
UPDATE shop.till_scheduler_jobs SET authors = '{shopkeeper}' WHERE job_id = 'b';
CREATE FUNCTION writer.forge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.authors := '{shopkeeper}';
	RETURN NEW;
END $$;
CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON shop.till_scheduler_jobs FOR EACH ROW EXECUTE FUNCTION writer.forge();
UPDATE shop.till_scheduler_jobs SET status = 'pending' WHERE job_id = 'c';
INSERT INTO shop.till_scheduler_jobs (job_id, scheduled_at, next_run_at, config)
VALUES ('f', 1, 1, '{"subject": "till:order:1", "event": {"type": "by writer"}}');
\c - root
DROP FUNCTION writer.forge() CASCADE;
REVOKE ALL ON shop.till_scheduler_jobs FROM writer;
\c - shopkeeper
SELECT nvent.schedule_pause('d', 'till'), nvent.schedule_resume('d', 'till');
UPDATE shop.till_scheduler_jobs SET next_run_at = 2 WHERE job_id = 'e';
SELECT nvent.schedule_run('till'); SELECT nvent.maintain();
\c - root
SELECT nvent.schedule_run('till'); SELECT nvent.maintain();
\c - watcher
SELECT CASE WHEN count(*) > 0 THEN 'writer appended' ELSE 'held' END FROM shop.till_stream_order WHERE type = 'by writer';
