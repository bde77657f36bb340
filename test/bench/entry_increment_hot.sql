SELECT nvent.entry_increment(:flows, 'flow1', 'stats.total', 1);
