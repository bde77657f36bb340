-- peer: the adapter: DELETE what has expired, then SELECT
\set k random(1, 10000)
DELETE FROM adapter.kv WHERE expires_at IS NOT NULL AND expires_at < now();
SELECT value FROM adapter.kv WHERE key = :keys::text || :k::text AND (expires_at IS NULL OR expires_at > now());
