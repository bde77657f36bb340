-- Layouts of a store that has tables already: what layout 5 adds to stream
-- tables goes with it and comes back, and a call that needs what a layout does
-- not have yet says so.
\set VERBOSITY terse
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers
SELECT nvent.store_create('test', 'test');
SELECT count(nvent.stream_append('test:account:1', '{"type": "a"}'));

-- Down to layout 4 the columns are gone, and up again they are back; tables
-- that are made in between have what their layout has.
SELECT nvent.store_migrate('test', 4) > 4 AS higher;
SELECT attname FROM pg_attribute WHERE attrelid = 'test.test_stream_account'::regclass AND attname IN ('event_id', 'pii') AND NOT attisdropped;
SELECT pg_temp.show(nvent.stream_append('test:between:1', '{"type": "a", "eventId": "x"}')), nvent.stream_version('test:between:1');
SELECT nvent.stream_erase('test:between:1');
SELECT nvent.snapshot_save('test:snap', '1', '{}');
SELECT nvent.store_migrate('test');
SELECT attrelid::regclass, string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute
WHERE attrelid IN ('test.test_stream_account'::regclass, 'test.test_stream_between'::regclass)
    AND attname IN ('event_id', 'pii') AND NOT attisdropped GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM pg_index WHERE indrelid = 'test.test_stream_account'::regclass AND indpred IS NOT NULL;
SELECT nvent.stream_erase('test:between:1'), nvent.snapshot_save('test:snap', '1', '{}');

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
