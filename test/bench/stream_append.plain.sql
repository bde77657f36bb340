-- peer: INSERT into (id, subject, ts, type, data)
\set r random(1, 1000)
INSERT INTO lean.log (subject, type, data) VALUES (:log::text || :r::text, 'step.completed', '{"ok": true, "artifact": "image-4711", "seconds": 12.5, "step": "build", "attempt": 1}') RETURNING id;
