\set b random(0, 99)
SELECT nvent.kv_mset(entries) FROM lean.batches WHERE b = :b;
