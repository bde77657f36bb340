-- load.sql: a store with :rows keys, entries and events, ten to a subject; run
-- once for each size, by growth.sh.
--
-- Numbers are of one length, and events come in the order of subjects, so that
-- the indexes grow at one place: what takes minutes would take hours.
SELECT nvent.store_create(:'store');
SELECT nvent.stream_create_table('growth', store => :'store');
SELECT :'store' || '_kv' AS kv, :'store' || '_entries' AS entries,
    :'store' || '_stream_growth' AS stream, :rows / 10 AS subjects \gset
INSERT INTO :"kv" (key, value)
SELECT :'store' || ':k:' || i, jsonb_build_object('owner', 'worker-' || i)
FROM generate_series(10000001, 10000000 + :rows) AS i;
INSERT INTO :"entries" (key, id, score, extra)
SELECT :'store' || ':list', i::text, i, jsonb_build_object('name', 'entry ' || i, 'n', 0)
FROM generate_series(10000001, 10000000 + :rows) AS i;
INSERT INTO :"stream" (subject, version, ts, type, data)
SELECT :'store' || ':growth:' || 10000001 + i % :subjects, i / :subjects + 1, 1700000000000 + i, 'added',
    jsonb_build_object('n', i)
FROM generate_series(0, :rows - 1) AS i;
VACUUM ANALYZE :"kv", :"entries", :"stream";
