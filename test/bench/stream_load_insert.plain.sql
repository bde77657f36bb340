-- peer: the same INSERT into (id, subject, version, ts, type, data)
BEGIN;
TRUNCATE lean.load;
INSERT INTO lean.load (subject, version, type, data) SELECT subject, row_number() OVER (PARTITION BY subject ORDER BY n), type, data FROM lean.incoming ORDER BY n;
COMMIT;
