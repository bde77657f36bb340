\set r random(1, 1000)
SELECT nvent.entry_get(:list, 'run' || :r::text);
