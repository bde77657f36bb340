-- peer: SELECT by key from (key, value, expires_at)
\set k random(1, 10000)
SELECT value FROM lean.kv WHERE key = :keys::text || :k::text AND (expires_at IS NULL OR expires_at > now());
