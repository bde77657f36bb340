\set at random(1700000000000, 1800000000000)
SELECT nvent.entry_update(:hot, 'run1', ('{"emittedEvents": {"step7": {"at": ' || :at::text || '}}}')::jsonb);
