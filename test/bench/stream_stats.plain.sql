-- peer: SELECT of count(*), min(id), max(id) of a subject by type from (id, subject, version, ts, type, data)
\set s random(1, 50)
SELECT type, count(*), min(id), max(id) FROM lean.query WHERE subject = :queried::text || :s::text GROUP BY type;
