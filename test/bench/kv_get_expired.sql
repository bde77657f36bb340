\set k random(1, 10000)
SELECT nvent.kv_get(:keys::text || :k::text);
