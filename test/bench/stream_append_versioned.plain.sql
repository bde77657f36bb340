-- peer: INSERT of max(version) + 1 into (id, subject, version, ts, type, data)
\set r random(1, 1000) + 1000 * :client_id
INSERT INTO lean.events (subject, version, type, data) SELECT :many::text || :r::text, coalesce(max(version), 0) + 1, 'step.completed', '{"ok": true, "artifact": "image-4711", "seconds": 12.5, "step": "build", "attempt": 1}' FROM lean.events WHERE subject = :many::text || :r::text RETURNING version;
