-- peer: SELECT of to_jsonb() of a subject's 1,000 rows from (id, subject, version, ts, type, data)
\set s random(1, 50)
SELECT to_jsonb(q) FROM lean.query AS q WHERE subject = :queried::text || :s::text ORDER BY version LIMIT 1000;
