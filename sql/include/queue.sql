\set ECHO none
-- What tests of queues share, beside helpers.sql, and included as that is.

-- What a call returns, or the SQLSTATE of its error.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT ' || call INTO result;
    RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

-- Has a job come to what is said, if that is more than to be queued or active:
-- one that is in its first attempt, or has yet to begin.
CREATE FUNCTION pg_temp.settle(queue text, job bigint, how text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE how
        WHEN 'completed' THEN
            PERFORM nvent.queue_complete($1, job, 1);
        WHEN 'completed many' THEN
            PERFORM nvent.queue_complete_many($1, ARRAY[job], '{1}');
        WHEN 'worked' THEN
            PERFORM nvent.queue_work($1, jsonb_build_array(
                jsonb_build_object('id', job, 'attempt', 1)), max_count => 0);
        WHEN 'failed', 'retry' THEN
            PERFORM nvent.queue_fail($1, job, 1);
        WHEN 'released' THEN
            PERFORM nvent.queue_release($1, job, 1);
        WHEN 'released late' THEN
            PERFORM nvent.queue_release($1, job, 1, '1 hour');
        WHEN 'expired' THEN
            PERFORM pg_sleep(0.001);
        WHEN 'cancelled', 'cancelled active' THEN
            PERFORM nvent.queue_cancel($1, job);
        WHEN 'resumed' THEN
            PERFORM nvent.queue_cancel($1, job), nvent.queue_resume($1, job);
        WHEN 'deleted' THEN
            PERFORM nvent.queue_delete($1, job);
        WHEN 'purged' THEN
            PERFORM nvent.queue_purge($1);
        ELSE
            NULL;
    END CASE;
END $$;
\set ECHO all
