-- queue.sql: the queue that jobs are sent to, and what it is measured against;
-- run once, by queue.sh.
SELECT nvent.queue_create('bench');

-- A queue as a careful user writes it: claimed by UPDATE, ended by DELETE.
CREATE TABLE lean.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'ready',
    attempt integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    data jsonb
);
CREATE INDEX ON lean.jobs (queue, priority DESC, id) WHERE state = 'ready';

-- Batches of 1,000 and of 10 as they are sent, of 140 bytes each.
CREATE TABLE lean.job_batch (jobs jsonb[] NOT NULL, ten jsonb[] NOT NULL);
ALTER TABLE lean.job_batch ALTER COLUMN jobs SET STORAGE EXTERNAL;
INSERT INTO lean.job_batch
SELECT array_agg(job ORDER BY i), array_agg(job ORDER BY i) FILTER (WHERE i <= 10)
FROM generate_series(1, 1000) AS i,
     jsonb_build_object('data', jsonb_build_object('to', 'somebody-' || i || '@example.com',
         'kind', 'order placed', 'order', i, 'note', repeat('x', 40))) AS job;
