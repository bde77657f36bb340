-- The adapter deletes what has expired, then reads.
\set k random(1, 10000)
DELETE FROM peer.kv WHERE expires_at IS NOT NULL AND expires_at < now();
SELECT value FROM peer.kv WHERE key = :keys::text || :k::text AND (expires_at IS NULL OR expires_at > now());
