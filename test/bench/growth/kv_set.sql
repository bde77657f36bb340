\set k 10000000 + random(1, :hot) * :step
\set n random(1, 1000000)
SELECT nvent.kv_set(:keys::text || :k::text, ('{"owner": "worker-' || :n::text || '"}')::jsonb);
