\set r random(1, 1000)
SELECT nvent.stream_append(:log::text || :r::text, '{"type": "step.completed", "data": {"ok": true, "artifact": "image-4711", "seconds": 12.5, "step": "build", "attempt": 1}}');
