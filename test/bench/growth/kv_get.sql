\set k 10000000 + random(1, :hot) * :step
SELECT nvent.kv_get(:keys::text || :k::text);
