-- A trigger that waits for what a send deletes, and not for what it inserts, ran
-- with the rights of who makes a schedule's runs; so did one for what upkeep of a
-- queue writes, and does not delete.
\c - shopkeeper
SELECT nvent.store_create('till', 'shop');
SELECT nvent.queue_create('mail', 'exclusive', store => 'till'), nvent.queue_create('line', 'singleton', store => 'till');
SELECT nvent.queue_send('mail', key => 'k', store => 'till') IS NOT NULL AS sent;
DELETE FROM shop.till_jobs;
SELECT nvent.schedule_job('s', 'mail', '{"key": "k"}', at => '2026-01-01', store => 'till');
-- One is due in lane w, behind one that has run, and another waits behind it.
SELECT nvent.queue_send('line', to_jsonb(j), key => left(j, 1), store => 'till') IS NOT NULL AS sent FROM unnest('{u1,w1,u2,w2,w3}'::text[]) j;
SELECT count(*) AS ended FROM nvent.queue_fetch('line', 5, store => 'till') f, nvent.queue_complete('line', f.id, f.attempt, store => 'till');
SELECT data FROM nvent.queue_fetch('line', 1, store => 'till');
UPDATE shop.till_jobs SET created_at = created_at - interval '1 year' WHERE data = '"w2"';
SELECT format('GRANT TRIGGER ON %s TO writer', oid::regclass) FROM pg_class
WHERE relnamespace = 'shop'::regnamespace AND relname ~ '^till_job' AND relkind = 'r' \gexec
\c - writer
CREATE TABLE writer.gained (who text);
GRANT INSERT ON writer.gained TO PUBLIC;
CREATE FUNCTION writer.gain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO writer.gained VALUES (current_user);
	RETURN NULL;
END $$;
CREATE TRIGGER gain AFTER DELETE ON shop.till_job_keys FOR EACH ROW EXECUTE FUNCTION writer.gain();
CREATE TRIGGER gain AFTER UPDATE ON shop.till_job_turns FOR EACH ROW EXECUTE FUNCTION writer.gain();
CREATE TRIGGER gain AFTER INSERT OR UPDATE ON shop.till_job_lanes FOR EACH ROW EXECUTE FUNCTION writer.gain();
\c - shopkeeper
SELECT nvent.schedule_run('till');
\c - root
SELECT nvent.schedule_run('till');
DROP TRIGGER gain ON shop.till_job_keys;
\c - shopkeeper
SELECT nvent.maintain();
\c - root
SELECT nvent.maintain();
\c - watcher
SELECT COALESCE(string_agg(who, ' ') || ' ran a trigger of writer', 'held') FROM writer.gained;
