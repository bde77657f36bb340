-- notify.sql: what the order of events is measured against; run once, by
-- notify.sh.

-- A stream table like ours, its positions straight from a sequence.
CREATE SCHEMA peer;
CREATE TABLE peer.stream_log (LIKE nvent_stream_log INCLUDING ALL);
CREATE SEQUENCE peer.position_seq;
ALTER TABLE peer.stream_log ALTER id SET DEFAULT nextval('peer.position_seq');

-- When readers learnt of what; see follow.c.
CREATE TABLE peer.arrival (at bigint, position bigint, subject text COLLATE "C");
CREATE INDEX ON peer.arrival (subject, position, at);

-- The milliseconds that it took, of every event since a reader was ready.
-- The time of a commit is taken before it is flushed.  NULL: never told of.
CREATE VIEW peer.delay AS
SELECT e.id, (SELECT min(a.at) FROM peer.arrival a
              WHERE a.subject IN ('', e.subject) AND a.position >= e.id)
             / 1000.0
           - extract(epoch FROM pg_xact_commit_timestamp(e.xmin)) * 1000 AS ms
FROM nvent_stream_log e
WHERE e.id > (SELECT min(position) FROM peer.arrival);
