BEGIN;
TRUNCATE nvent_stream_load;
INSERT INTO nvent_stream_load (subject, version, ts, type, data) SELECT subject, row_number() OVER (PARTITION BY subject ORDER BY n), ts, type, data FROM lean.incoming ORDER BY n;
COMMIT;
