\set s random(1, 50)
SELECT * FROM nvent.stream_stats(:queried::text || :s::text);
