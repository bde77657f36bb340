\set r random(1, 1000) + 1000 * :client_id
SELECT nvent.stream_append(:many::text || :r::text, '{"type": "step.completed", "data": {"ok": true, "artifact": "image-4711", "seconds": 12.5, "step": "build", "attempt": 1}}') ->> 'version';
