\set f random(1, 1000)
SELECT nvent.entry_increment(:flows, 'flow' || :f::text, 'stats.total', 1);
