\set r random(1, 1000000)
SELECT nvent.stream_append(:many::text || :r::text, '{"type": "added", "data": {"n": 1}}');
