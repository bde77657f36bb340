\set r random(1, 1000)
SELECT count(*) FROM nvent.stream_append_batch(:log::text || :r::text, (SELECT events FROM lean.batch WHERE n = 1000));
