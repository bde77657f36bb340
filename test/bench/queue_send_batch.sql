SELECT count(*) FROM nvent.queue_send_batch('bench', (SELECT jobs FROM lean.job_batch));
