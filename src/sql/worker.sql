
-- The worker that notifies.  See src/worker/worker.c.

CREATE FUNCTION nvent.worker_status(OUT pid integer, OUT has_unsent boolean, OUT ring_bytes bigint, OUT resyncs bigint, OUT waiters integer) RETURNS record
AS 'MODULE_PATHNAME', 'nvs_worker_status'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.worker_status() IS 'how this database''s worker does: its process, NULL when none is running; whether it has announcements that it cannot send yet, as an appender is open; bytes that wait for it in the ring; how often something did not fit into the ring since the server start, so that listeners had to read everything; sessions in nvent.stream_wait; all NULL without shared memory; example: SELECT * FROM nvent.worker_status()';
