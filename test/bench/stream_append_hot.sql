SELECT nvent.stream_append(:hotsubject, '{"type": "x"}') ->> 'version';
