SELECT array_agg(id) AS ids, array_agg(attempt) AS attempts, array_agg(data) AS data FROM nvent.queue_fetch('bench', 50) \gset
SELECT count(*) FROM nvent.queue_complete_many('bench', :ids::bigint[], :attempts::integer[]);
