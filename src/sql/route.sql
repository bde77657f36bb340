
-- From a subject or key to the relation that holds it.  See src/route/route.c.

CREATE FUNCTION nvent.route_add(
    kind text,
    pattern text,
    relation regclass,
    aliases jsonb DEFAULT '{}',
    store text DEFAULT NULL,
    notify text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'nvs_route_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.route_add(text, text, regclass, jsonb, text, text) IS
'Keeps the subjects or keys that match a pattern in a table of the user.

Only the store''s owner may, with a table of the same owner that no other store uses. A table of
events must draw its ids from nvent.next_position(store).

Whoever moves events into the table does so in the same transaction, after LOCK TABLE on the table
that they are in: then no reader passes them.

Arguments:
  kind: "stream", "entry" or "kv"
  pattern: a subject pattern, see nvent.subject_pattern_is_valid; its captures name columns
  relation: the table
  aliases: other names of fields, {"field": "column"}, by which they are given; entries are read
    with both
  store: the store that the route belongs to; NULL is the one of the pattern''s first token
  notify: how appends are announced: "worker" (inline where there is none), "inline", "off", or
    NULL for what nvent_store.notify says
Raises:
  42710: an equal pattern is there
  NV005: the pattern is malformed, or its subjects belong to another store
  42P16: the table lacks a column that the kind needs, cannot tell the subjects of the route
    apart, holds what matches another pattern, is temporary, another role''s or another store''s,
    or numbers its events otherwise
  42703: the table has no column for a capture, or for an alias
  22023: kind, notify or aliases is not valid
  42501: the caller is not the owner of the store and of the table
Locks:
  the store until the transaction ends, against nvent.store_migrate; the table against writing, so
  that transactions that have written to it end first
Example:
  SELECT nvent.route_add(''stream'', ''orders:{customer}:>'', ''order_events'');';

CREATE FUNCTION nvent.route_drop(
    kind text,
    pattern text,
    store text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_route_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.route_drop(text, text, text) IS
'Drops a route, not its table.

Only the store''s owner may.

Arguments:
  kind: "stream", "entry" or "kv"
  pattern: the pattern of the route, whatever its captures are called
  store: the store that it belongs to; NULL is the one of the pattern''s first token
Returns:
  true when it was dropped, false when there is none
Raises:
  NV005: the pattern is malformed, or its subjects belong to another store
  22023: kind is not valid
  42501: the caller is not the store''s owner
Example:
  SELECT nvent.route_drop(''stream'', ''orders:{customer}:>'');';

CREATE FUNCTION nvent.route_resolve(
    kind text,
    subject text,
    OUT store text,
    OUT pattern text,
    OUT relation regclass,
    OUT keys jsonb,
    OUT notify text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'nvs_route_resolve'
LANGUAGE C STABLE ROWS 1 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.route_resolve(text, text) IS
'Shows where a subject or key lives.

Arguments:
  kind: "stream", "entry" or "kv"
  subject: a subject or key
Returns:
  one row; none when nothing holds it yet
Columns:
  store: its store
  pattern: the pattern of the route that took it; NULL for a table of the store''s own
  relation: the table
  keys: the columns that it fills, {"column": "value"}
  notify: how appends are announced; NULL when kind is not "stream"
Raises:
  NV004: the text is not a subject
  22023: kind is not valid
  42501: the caller has no privilege on the table
  42P01: the table of the route is gone
Example:
  SELECT * FROM nvent.route_resolve(''stream'', ''nvent:flow:run:abc'');';

-- For owners of stores, see src/store/grant.c.
REVOKE ALL ON FUNCTION
    nvent.route_add,
    nvent.route_drop
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    nvent.route_add,
    nvent.route_drop
TO @extowner@ WITH GRANT OPTION;
