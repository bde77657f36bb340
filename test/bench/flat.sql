-- flat.sql: buffers that one call touches, the calls within it included, as
-- name|buffers.  The first call of a session plans; the third is counted.
CREATE FUNCTION pg_temp.buffers(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    FOR i IN 1..3 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
    END LOOP;
    RETURN (plan #>> '{0,Plan,Shared Hit Blocks}')::bigint
         + (plan #>> '{0,Plan,Shared Read Blocks}')::bigint;
END
$$;

SELECT name || '|' || pg_temp.buffers(query)
FROM (VALUES
    ('kv_get', $$SELECT nvent.kv_get('nvent:flat:777')$$),
    ('entry_get', $$SELECT nvent.entry_get('nvent:flow:runs:flat', 'run777')$$),
    ('stream_read newest 50',
     $$SELECT count(*) FROM nvent.stream_read('nvent:flow:run:flat',
         backward => true, max_count => 50)$$)
) AS q(name, query);
