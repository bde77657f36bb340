\set r random(1, 1000)
INSERT INTO nvent_stream_log (subject, ts, type, data) VALUES (:log::text || :r::text, 1700000000000, 'step.completed', '{"ok": true, "artifact": "image-4711", "seconds": 12.5, "step": "build", "attempt": 1}') RETURNING id;
