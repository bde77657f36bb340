-- peer: INSERT ... ON CONFLICT UPDATE of (key, value, expires_at)
\set k random(1, 10000)
\set n random(1, 1000000)
INSERT INTO lean.kv (key, value) VALUES (:keys::text || :k::text, ('{"owner": "worker-' || :n::text || '"}')::jsonb) ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at;
