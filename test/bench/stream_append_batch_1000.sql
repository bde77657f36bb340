\set r random(1, 1000) + 1000 * :client_id
SELECT count(*) FROM nvent.stream_append_batch(:many::text || :r::text, (SELECT events FROM lean.batch WHERE n = 1000));
