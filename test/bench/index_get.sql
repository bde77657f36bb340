\set r random(1, 1000)
SELECT nvent.index_get(:runs, 'run' || :r::text);
