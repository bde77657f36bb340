
-- From a subject or key to the relation that holds it.  See src/route/route.c.

CREATE FUNCTION nvent.route_add(kind text, pattern text, relation regclass, aliases jsonb DEFAULT '{}', store text DEFAULT NULL, notify text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_route_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.route_add(text, text, regclass, jsonb, text, text) IS 'keeps the subjects or keys that match pattern in a table of the user; captures name its columns; kind is stream, entry or kv; aliases are other names of fields, {"field": "column"}; store NULL is the one of the pattern''s first token; notify is worker (inline where there is none), inline, off or NULL for nvent_store.notify; only the store''s owner may; raises 42710 when an equal pattern is there, NV005 for a malformed one, 42P16 when the table cannot serve; example: SELECT nvent.route_add(''stream'', ''orders:{customer}:>'', ''order_events'')';

CREATE FUNCTION nvent.route_drop(kind text, pattern text, store text DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_route_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.route_drop(text, text, text) IS 'drops a route, not its table; false when there is none; only the store''s owner may; example: SELECT nvent.route_drop(''stream'', ''orders:{customer}:>'')';

CREATE FUNCTION nvent.route_resolve(kind text, subject text, OUT store text, OUT pattern text, OUT relation regclass, OUT keys jsonb, OUT notify text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_route_resolve'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.route_resolve(text, text) IS 'where a subject or key lives: its store, the pattern that took it (NULL for a table of the store''s own), the relation, the columns that it fills, how appends are announced; no row when nothing holds it yet; example: SELECT * FROM nvent.route_resolve(''stream'', ''nvent:flow:run:abc'')';
