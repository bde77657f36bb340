-- peer: SELECT of 1,000 rows above an id from (id, subject, version, ts, type, data)
\set page random(0, 49)
SELECT id, subject, version, ts, type, data FROM lean.query WHERE id > (SELECT after FROM lean.pages WHERE page = :page) ORDER BY id LIMIT 1000;
