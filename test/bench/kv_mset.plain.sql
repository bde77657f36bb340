-- peer: INSERT of 100 rows by unnest() ON CONFLICT UPDATE of (key, value, expires_at)
\set b random(0, 99)
INSERT INTO lean.kv (key, value) SELECT u.key, u.value FROM lean.batches, unnest(keys, vals) AS u (key, value) WHERE b = :b ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at;
