\set r random(1, 1000)
\set at random(1700000000000, 1800000000000)
SELECT nvent.entry_update(:list, 'run' || :r::text, ('{"emittedEvents": {"step7": {"at": ' || :at::text || '}}}')::jsonb);
