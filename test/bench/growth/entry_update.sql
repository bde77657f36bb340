\set k 10000000 + random(1, :hot) * :step
\set n random(1, 1000000)
SELECT nvent.entry_update(:list, :k::text, ('{"n": ' || :n::text || '}')::jsonb);
