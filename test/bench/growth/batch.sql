-- 100 events of one subject.
\set k 10000000 + random(1, :hot) * :step / 10
SELECT count(*) FROM nvent.stream_append_batch(:subjects::text || :k::text, array_fill('{"type": "added", "data": {"n": 1}}'::jsonb, '{100}'));
