\set k random(1, 10000)
SELECT value FROM nvent_kv WHERE key = :keys::text || :k::text AND (expires_at IS NULL OR expires_at > statement_timestamp());
