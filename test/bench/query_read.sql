\set s random(1, 50)
SELECT nvent.stream_read(:queried::text || :s::text);
