SELECT jsonb_build_array(jsonb_build_object('id', id, 'attempt', attempt)) AS done, data FROM nvent.queue_work('bench', :done::jsonb) \gset
