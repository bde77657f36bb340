
-- Indexed entries.  See src/entry/entry.c.

CREATE FUNCTION nvent.entry_is_changed(before anyelement, after anyelement) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_entry_is_changed'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION nvent.entry_is_changed(anyelement, anyelement) IS 'whether two values differ in any byte, NULL like a value of its own; what the statements of this extension use in place of IS DISTINCT FROM, whose operator search_path would choose';

CREATE FUNCTION nvent.entry_add(key text, id text, score double precision, metadata jsonb DEFAULT '{}') RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_entry_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_add(text, text, double precision, jsonb) IS 'adds an entry, or replaces all of the one with this id, and returns its version: 0, or one more than before; metadata is an object whose fields go to the columns of that name, the others to extra; what it does not mention gets the column''s default, a time that must be there the score; "version" in it is ignored; raises NV004 for an invalid key, 22023 for a field of the wrong type, 428C9 for one that the database computes, 42703 for one that has no place; example: SELECT nvent.entry_add(''nvent:flow:runs:import'', ''abc'', 1767225600000, ''{"status": "running"}'')';

CREATE FUNCTION nvent.entry_get(key text, id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_get(text, text) IS 'an entry, {"id", "score", "metadata": {"version", ...}}, id always a string and times in columns as ISO-8601; NULL when there is none; example: SELECT nvent.entry_get(''nvent:flow:runs:import'', ''abc'') -> ''metadata''';

CREATE FUNCTION nvent.entry_read(key text, max_count integer DEFAULT 100, row_offset integer DEFAULT 0, filter jsonb DEFAULT NULL, after_score double precision DEFAULT NULL, after_id text DEFAULT NULL, min_score double precision DEFAULT NULL, max_score double precision DEFAULT NULL, ascending boolean DEFAULT false) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_read'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_read(text, integer, integer, jsonb, double precision, text, double precision, double precision, boolean) IS 'entries of a key, highest score first and by id where scores are equal; max_count NULL is no limit; filter is {"field": value}, or a list of values for any of them, null for a field that is not set, dotted names for nested fields, all conditions together (an object or a list in a list is equal as a whole); raises 22023 for a value that the field cannot have; after_score and after_id are those of the last entry of the page before; min_score and max_score are inclusive; example: SELECT e->>''id'' FROM nvent.entry_read(''nvent:flow:runs:import'', filter => ''{"status": ["running", "awaiting"]}'') e';

CREATE FUNCTION nvent.entry_update(key text, id text, metadata jsonb, expected_version bigint DEFAULT NULL, touch boolean DEFAULT false) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_entry_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_update(text, text, jsonb, bigint, boolean) IS 'merges metadata into an entry as RFC 7396 does (objects merge, null removes, all else replaces; a dotted name is a path) and returns the new version; NULL when there is no such entry or it is not at expected_version; a removed field whose column must not be NULL gets its default; an update that changes nothing writes nothing and returns the version as it is, unless touch; errors as nvent.entry_add, and 40001 under REPEATABLE READ; example: SELECT nvent.entry_update(''nvent:flow:runs:import'', ''abc'', ''{"status": "done", "emittedEvents.step1": {"at": 5}}'')';

CREATE FUNCTION nvent.entry_increment(key text, id text, field text, by numeric DEFAULT 1) RETURNS numeric
AS 'MODULE_PATHNAME', 'nvs_entry_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_increment(text, text, text, numeric) IS 'adds to a number of an entry and returns the new value; field may be dotted; a field that is not set counts as 0; raises NV008 when there is no such entry, NV007 when the value is not a number, 22003 when it gets too large, 22023 for a fraction to a column of whole numbers; example: SELECT nvent.entry_increment(''nvent:flows'', ''import'', ''stats.total'')';

CREATE FUNCTION nvent.entry_increment_many(key text, id text, increments jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_increment_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_increment_many(text, text, jsonb) IS 'adds to several numbers of an entry at once, {"field": by}, and returns the new values, {"field": value}; errors as nvent.entry_increment; example: SELECT nvent.entry_increment_many(''nvent:flows'', ''import'', ''{"stats.running": -1, "stats.success": 1}'')';

CREATE FUNCTION nvent.entry_delete(key text, id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_entry_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.entry_delete(text, text) IS 'deletes an entry; false when there is none';
