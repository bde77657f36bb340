-- Layouts of a store that has tables already: what layout 5 adds to stream
-- tables goes with it and comes back, and a call that needs what a layout does
-- not have yet says so; layout 7 drops the indexes that nobody asked for.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/test_store.sql'
\i :helpers
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

-- A table as layout 6 had it, with rows: its events are the same by every way to
-- read them, and of its indexes go those that every table had, but for what
-- somebody built.  Down again they are back, once.
CREATE TEMP VIEW account_indexes AS
    SELECT c.relname AS name, substring(pg_get_indexdef(i.indexrelid) FROM 'USING btree (.*)') AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass('test.test_stream_account');
SELECT nvent.store_migrate('test', 6);
DROP TABLE test.test_stream_account;
CREATE TABLE test.test_stream_account (
    id bigint DEFAULT nvent.next_position('test') PRIMARY KEY, subject text COLLATE "C" NOT NULL, version bigint NOT NULL,
    run_id text COLLATE "C", flow_name text COLLATE "C", ts bigint NOT NULL, type text COLLATE "C" NOT NULL,
    step_name text COLLATE "C", step_id text COLLATE "C", attempt integer, data jsonb, created_at timestamptz DEFAULT now(), meta jsonb,
    UNIQUE (subject, version));
CREATE INDEX somebody ON test.test_stream_account (run_id, id);
CREATE INDEX ON test.test_stream_account (subject, id);
CREATE INDEX ON test.test_stream_account (type, id);
CREATE INDEX ON test.test_stream_account (run_id, id) WHERE run_id IS NOT NULL;
ALTER TABLE test.test_stream_account ADD COLUMN event_id text COLLATE "C", ADD COLUMN pii jsonb;
CREATE UNIQUE INDEX ON test.test_stream_account (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX ON test.test_stream_account (subject, id) INCLUDE (event_id) WHERE type = '__snapshot__';
INSERT INTO test.test_stream_account (subject, version, ts, type, run_id, data)
SELECT 'test:account:' || v % 3, v / 3 + 1, v, CASE v % 2 WHEN 0 THEN 'even' ELSE 'odd' END, v % 4, to_jsonb(v) FROM generate_series(0, 29) v;
CREATE TEMP VIEW answers AS SELECT md5(string_agg(r::text, ',')) AS answer FROM (
    SELECT e FROM nvent.stream_read('test:account:1') e
    UNION ALL SELECT e FROM nvent.stream_read('test:account:2', after => 0, types => '{odd}') e
    UNION ALL SELECT to_jsonb(p) FROM nvent.stream_poll('test:account:>', 0, types => '{even}') p
    UNION ALL SELECT to_jsonb(p) FROM nvent.stream_poll('test:account:0', 0) p) r;
SELECT answer AS before FROM answers \gset
SELECT * FROM account_indexes ORDER BY name;
SELECT nvent.store_migrate('test');
SELECT * FROM account_indexes ORDER BY name;
SELECT answer = :'before' AS same FROM answers;
SELECT pg_temp.show(nvent.stream_append('test:account:1', '{"type": "a"}', 10));
SELECT answer AS before FROM answers \gset
SELECT nvent.store_migrate('test', 6);
SELECT * FROM account_indexes ORDER BY name;
SELECT answer = :'before' AS same FROM answers;

-- A store of layout 7 that the registry has lost keeps what was asked for; one
-- of layout 6 loses what was not.
SELECT nvent.store_migrate('test'), nvent.stream_index('account', 'type', 'test');
CREATE PROCEDURE pg_temp.lose() LANGUAGE sql BEGIN ATOMIC
    DELETE FROM nvent.stream_table WHERE store = 'test';
    DELETE FROM nvent.route WHERE store = 'test';
    DELETE FROM nvent.store WHERE prefix = 'test';
END;
CALL pg_temp.lose();
SELECT * FROM nvent.store_adopt('test', 'test') WHERE relation LIKE '%account';
SELECT count(*) FROM account_indexes WHERE columns ~ '^.(type|subject), id';
SELECT nvent.store_migrate('test', 6);
CALL pg_temp.lose();
SELECT * FROM nvent.store_adopt('test', 'test') WHERE relation LIKE '%account';
SELECT count(*) FROM account_indexes WHERE columns ~ '^.(type|subject), id';

SELECT nvent.store_migrate('test', 0) > 0 AS dropped;
DROP SCHEMA test;
