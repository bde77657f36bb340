\set b random(0, 99)
SELECT m.* FROM lean.batches, nvent.kv_mget(keys) AS m WHERE b = :b;
