\set k random(1, 10000)
\set n random(1, 1000000)
SELECT nvent.kv_set(:keys::text || :k::text, ('{"owner": "worker-' || :n::text || '"}')::jsonb);
