-- peer: SELECT by = ANY (100 keys) from (key, value, expires_at)
\set b random(0, 99)
SELECT key, value FROM lean.kv WHERE key = ANY ((SELECT keys FROM lean.batches WHERE b = :b)::text[]) AND (expires_at IS NULL OR expires_at > now());
