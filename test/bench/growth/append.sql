\set k 10000000 + random(1, :hot) * :step / 10
SELECT nvent.stream_append(:subjects::text || :k::text, '{"type": "added", "data": {"n": 1}}') ->> 'version';
