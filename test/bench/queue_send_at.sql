SELECT nvent.queue_send('bench', jsonb_build_object('at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint));
