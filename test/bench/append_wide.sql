-- append_wide.sql: milliseconds of a call with 1,000 events of one subject and
-- of one with 1,000 subjects, best of 10 that are each rolled back.
DO $$
DECLARE
    narrow jsonb;
    wide jsonb;
    start timestamptz;
    best float8[] := '{1e9, 1e9}';
    took float8;
BEGIN
    FOR i IN 1..11 LOOP
        narrow := jsonb_build_array(jsonb_build_object('subject', 'nvent:many:narrow',
            'events', (SELECT jsonb_agg(jsonb_build_object('type', 'e', 'data', e)) FROM generate_series(1, 1000) e)));
        wide := (SELECT jsonb_agg(jsonb_build_object('subject', 'nvent:many:wide' || e, 'expected', 'any',
            'events', jsonb_build_array(jsonb_build_object('type', 'e', 'data', e)))) FROM generate_series(1, 1000) e);
        FOR k IN 1..2 LOOP
            start := clock_timestamp();
            PERFORM count(*) FROM nvent.stream_append_many(CASE k WHEN 1 THEN narrow ELSE wide END);
            took := extract(epoch FROM clock_timestamp() - start) * 1000;
            IF i > 1 THEN
                best[k] := least(best[k], took);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM set_config('bench.narrow', best[1]::text, false), set_config('bench.wide', best[2]::text, false);
END $$;
SELECT round(current_setting('bench.narrow')::numeric, 1), round(current_setting('bench.wide')::numeric, 1);
