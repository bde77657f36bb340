-- The ten oldest events of one subject.
\set k 10000000 + random(1, :hot) * :step / 10
SELECT count(*) FROM nvent.stream_read(:subjects::text || :k::text, max_count => 10);
