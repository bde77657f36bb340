SELECT id, attempt, data FROM nvent.queue_fetch('bench') \gset
SELECT nvent.queue_complete('bench', :id, :attempt);
