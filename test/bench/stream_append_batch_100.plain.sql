-- peer: INSERT ... SELECT from the jsonb[], with max(version) + n
\set r random(1, 1000) + 1000 * :client_id
INSERT INTO lean.events (subject, version, type, data) SELECT :many::text || :r::text, h.head + u.n, u.e ->> 'type', u.e -> 'data' FROM (SELECT coalesce(max(version), 0) AS head FROM lean.events WHERE subject = :many::text || :r::text) AS h, unnest((SELECT events FROM lean.batch WHERE n = 100)) WITH ORDINALITY AS u (e, n);
