\set r random(1, 1000)
SELECT nvent.stream_append(E'nvent\x3aflow\x3arun\x3abench' || :r::text, '{"type": "step.completed", "flowName": "bench", "stepName": "build", "stepId": "build-1", "attempt": 1, "data": {"ok": true, "artifact": "image-4711", "seconds": 12.5}}');
