-- An adopted id of 2^63 - 1 left no positions for anybody.
\c - :admin
CALL attack.allow('tenant');
\c - root
CALL attack.plant('high', 'tenant', 'tenant');
\c - tenant
INSERT INTO tenant.high_trigger_events (id, trigger_name, ts, type) VALUES (9223372036854775807, 'n', 1, 't');
SELECT nvent.store_adopt('high', 'tenant');
\c - keeper
SELECT nvent.stream_append('nvent:order:1', '{"type": "t"}') IS NOT NULL AS appended \gset
\c - watcher
SELECT CASE WHEN :'appended' AND (SELECT last_value FROM nvent.position_seq) < 1000000 THEN 'held' ELSE 'no positions are left' END;
