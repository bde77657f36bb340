-- peer: COPY into (id, subject, version, ts, type, data)
BEGIN;
TRUNCATE lean.load;
COPY lean.load (subject, version, ts, type, data) FROM 'lean_load.copy';
COMMIT;
