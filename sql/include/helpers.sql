\set ECHO none
-- What regression tests share.  A test includes it by
--
--     \getenv abs_srcdir PG_ABS_SRCDIR
--     \set helpers :abs_srcdir '/sql/include/helpers.sql'
--     \i :helpers
--
-- The functions are temporary: a test can be run alone, and drops none of them.

-- What "SELECT call" raises: SQLSTATE, message, detail and hint; the code is
-- "none" when it raises nothing.
CREATE FUNCTION pg_temp.error_of(call text)
RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
    code := 'none';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
        message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

-- What a statement ends with: "ok: rows", or all of its error in one line.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN 'ok: ' || n;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE || ': ' || message, nullif(detail, ''),
                     nullif(hint, ''));
END $$;

-- A record of a stream without what differs from run to run, and its subject.
CREATE FUNCTION pg_temp.rec(record jsonb) RETURNS jsonb
LANGUAGE sql AS $$ SELECT record - '{id,ts,subject}'::text[] $$;

-- A record in short: "subject version type data".
CREATE FUNCTION pg_temp.show(record jsonb) RETURNS text
LANGUAGE sql AS $$
    SELECT concat_ws(' ', record->>'subject', record->>'version',
                     record->>'type', record->'data')
$$;

-- Records in the order in which they come: "version:type version:type".
CREATE FUNCTION pg_temp.list(VARIADIC records jsonb[]) RETURNS text
LANGUAGE sql AS $$
    SELECT string_agg((r->>'version') || ':' || (r->>'type'), ' ' ORDER BY n)
    FROM unnest(records) WITH ORDINALITY AS u (r, n)
$$;

-- The same of all events of a stream; NULL when it has none.
CREATE FUNCTION pg_temp.events(subject text) RETURNS text
LANGUAGE sql AS $$
    SELECT pg_temp.list(VARIADIC array_agg(r))
    FROM nvent.stream_read($1, max_count => NULL) AS r
$$;

-- The events of a page in their order: "subject type, subject type".
CREATE FUNCTION pg_temp.page(events jsonb[]) RETURNS text
LANGUAGE sql AS $$
    SELECT coalesce(string_agg((e->>'subject') || ' ' || (e->>'type'), ', '
                               ORDER BY n), 'none')
    FROM unnest(events) WITH ORDINALITY AS u (e, n)
$$;

-- The metadata of an entry as it is now, whatever the statement around it sees.
CREATE FUNCTION pg_temp.meta(key text, id text) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    RETURN nvent.entry_get(key, id) -> 'metadata';
END $$;

-- The pages that a query looks at; the first time it is run, it is planned.
CREATE FUNCTION pg_temp.buffers(query text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    FOR i IN 1..2 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT json) ' || query
        INTO plan;
    END LOOP;
    RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::integer
        + (plan->0->'Plan'->>'Shared Read Blocks')::integer;
END $$;
\set ECHO all
