-- peer: INSERT ... SELECT from the jsonb[]
\set r random(1, 1000)
INSERT INTO lean.log (subject, type, data) SELECT :log::text || :r::text, u.e ->> 'type', u.e -> 'data' FROM unnest((SELECT events FROM lean.batch WHERE n = 1000)) AS u (e);
