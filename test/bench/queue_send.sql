SELECT nvent.queue_send('bench', :payload::jsonb);
