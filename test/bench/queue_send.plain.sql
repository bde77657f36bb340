-- peer: INSERT INTO lean.jobs, a table with an index of what is ready
INSERT INTO lean.jobs (queue, data) VALUES ('bench', :payload::jsonb) RETURNING id;
