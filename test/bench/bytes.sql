-- bytes.sql: what an event costs in bytes; run by bytes.sh.  One row of the
-- result for each kind of table: "kind|WAL ours|WAL peer|stored ours|stored
-- peer", of one event.
--
-- 100,000 events of 10,000 subjects, ten each, that come by turns, with 100
-- bytes of data.  Both sides insert the same, row by row, in the same order.
SET client_min_messages = warning;
CREATE TABLE bytes_event AS
SELECT i, 'order:' || substr(md5((i % 10000)::text), 1, 12) AS subject,
    i / 10000 + 1 AS version, 1700000000000 + i AS ts,
    (ARRAY['placed', 'paid', 'packed', 'delivered'])[i % 4 + 1] AS type,
    jsonb_build_object('by', 'user-' || i % 1000, 'note', rpad('', 48 - length((i % 1000)::text), 'x'), 'n', i) AS data
FROM generate_series(0, 99999) AS i ORDER BY i;
DO $$
BEGIN
    ASSERT (SELECT bool_and(pg_column_size(data) BETWEEN 96 AND 102) FROM bytes_event), 'data is to have 100 bytes';
END $$;

CREATE TABLE lean.bytes_events (LIKE lean.events INCLUDING ALL);
CREATE TABLE lean.bytes_log (LIKE lean.log INCLUDING ALL);

-- Bytes of WAL that a statement writes, with that of its transaction.
CREATE PROCEDURE lean.bytes_of(statement text, INOUT wal bigint) LANGUAGE plpgsql AS $$
DECLARE
    start pg_lsn;
BEGIN
    COMMIT;
    start := pg_current_wal_insert_lsn();
    EXECUTE statement;
    COMMIT;
    wal := pg_current_wal_insert_lsn() - start;
END $$;

SELECT nvent.stream_create_table('order');
CHECKPOINT;
CALL lean.bytes_of($$SELECT count(nvent.stream_append(subject, jsonb_build_object('type', type, 'ts', ts, 'data', data))) FROM (SELECT * FROM bytes_event ORDER BY i) e$$, NULL) \gset versioned_ours_
CALL lean.bytes_of($$INSERT INTO lean.bytes_events (subject, version, ts, type, data) SELECT subject, version, to_timestamp(ts / 1e3), type, data FROM bytes_event ORDER BY i$$, NULL) \gset versioned_plain_
SELECT 'versioned', :versioned_ours_wal / 1e5, :versioned_plain_wal / 1e5,
    pg_total_relation_size('nvent_stream_order') / 1e5, pg_total_relation_size('lean.bytes_events') / 1e5;

SELECT nvent.stream_drop_table('order') AND nvent.stream_create_table('order', versioned => false) AS made \gset
CHECKPOINT;
CALL lean.bytes_of($$SELECT count(nvent.stream_append(subject, jsonb_build_object('type', type, 'ts', ts, 'data', data))) FROM (SELECT * FROM bytes_event ORDER BY i) e$$, NULL) \gset log_ours_
CALL lean.bytes_of($$INSERT INTO lean.bytes_log (subject, ts, type, data) SELECT subject, to_timestamp(ts / 1e3), type, data FROM bytes_event ORDER BY i$$, NULL) \gset log_plain_
SELECT 'plain log', :log_ours_wal / 1e5, :log_plain_wal / 1e5,
    pg_total_relation_size('nvent_stream_order') / 1e5, pg_total_relation_size('lean.bytes_log') / 1e5;

SELECT nvent.stream_drop_table('order') AS dropped \gset
DROP TABLE bytes_event, lean.bytes_events, lean.bytes_log;
DROP PROCEDURE lean.bytes_of;
