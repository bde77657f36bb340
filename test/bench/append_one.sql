SELECT nvent.stream_append(:many::text || 'one', '{"type": "added", "data": {"n": 1}}');
