BEGIN;
TRUNCATE nvent_stream_load;
COPY nvent_stream_load (subject, version, ts, type, data) FROM 'load.copy';
COMMIT;
