
-- Entries: an id, a score and metadata under a key.  See src/entry/entry.c.

CREATE FUNCTION nvent.entry_is_changed(
    before anyelement,
    after anyelement
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_entry_is_changed'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.entry_is_changed(anyelement, anyelement) IS
'Tells whether two values differ in any byte, NULL like a value of its own: what the statements of '
'this extension use in place of IS DISTINCT FROM, whose operator search_path would choose.';

CREATE FUNCTION nvent.entry_add(
    key text,
    id text,
    score double precision,
    metadata jsonb DEFAULT '{}'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_entry_add'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_add(text, text, double precision, jsonb) IS
'Adds an entry, or replaces all of the one with this id.

Fields of metadata go to the columns of that name, the others to extra; a dotted name is a path.
What metadata does not mention gets the column''s default; a time that must be there gets the score.
"version" in it is ignored.

Arguments:
  key: a subject
  id: text that is unique under the key
  score: a finite number, by which entries are ordered
  metadata: an object
Returns:
  the version of the entry: 0, or one more than before
Raises:
  NV004: the key is not a subject
  NV009: there is no default store, and nvent_store.auto_create is off
  22023: a field is of the wrong type or given twice, a dotted name has an empty element, the score
    is not finite, or metadata is no object
  22003: the score stands for a time that is missing, and is no time
  22007: a time is no ISO-8601
  428C9: a field is one that the database computes
  42703: a field has no place: neither its column nor extra is there
  54000: a dotted name has more than 1,000 elements, or all of them have more than 100,000
  09000: a trigger or rule of the table kept the entry out
Locks:
  the row of the entry until the transaction ends
Example:
  SELECT nvent.entry_add(
      ''nvent:flow:runs:import'', ''abc'', 1767225600000, ''{"status": "running"}'');';

CREATE FUNCTION nvent.entry_get(
    key text,
    id text
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_get'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_get(text, text) IS
'Returns an entry.

Arguments:
  key: a subject
  id: the id of the entry
Returns:
  {"id", "score", "metadata": {"version", ...}}, the id always a string and times in columns as
    ISO-8601; NULL when there is none, and for NULL
Raises:
  NV004: the key is not a subject
Example:
  SELECT nvent.entry_get(''nvent:flow:runs:import'', ''abc'') -> ''metadata'';';

CREATE FUNCTION nvent.entry_read(
    key text,
    max_count integer DEFAULT 100,
    row_offset integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    after_score double precision DEFAULT NULL,
    after_id text DEFAULT NULL,
    min_score double precision DEFAULT NULL,
    max_score double precision DEFAULT NULL,
    ascending boolean DEFAULT false
) RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_read'
LANGUAGE C STABLE ROWS 100 PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_read(
    text, integer, integer, jsonb, double precision, text, double precision, double precision,
    boolean
) IS
'Reads the entries of a key, highest score first, and by id where scores are equal.

Arguments:
  key: a subject
  max_count: how many at most; NULL for no limit
  row_offset: how many to skip
  filter: {"field": value}, or a list of values for any of them; null for a field that is not set;
    a dotted name for a nested field; all conditions together; an object or a list in a list is
    equal as a whole; NULL for all entries
  after_score: score of the last entry of the page before; NULL for the first page
  after_id: id of the last entry of the page before; goes with after_score
  min_score: lowest score, inclusive; NULL for no bound
  max_score: highest score, inclusive; NULL for no bound
  ascending: lowest score first
Returns:
  entries as of nvent.entry_get
Raises:
  NV004: the key is not a subject
  22023: the filter is no object or has a value that the field cannot have, a number is negative, or
    one of after_score and after_id is given without the other
  42703: a field of the filter has no place
  54000: a dotted name of the filter has more than 1,000 elements, or the filter has more than 65,536
    values, or more than 1,000 for fields that are kept in jsonb
Example:
  SELECT e ->> ''id''
  FROM nvent.entry_read(
      ''nvent:flow:runs:import'', filter => ''{"status": ["running", "awaiting"]}'') e;';

CREATE FUNCTION nvent.entry_update(
    key text,
    id text,
    metadata jsonb,
    expected_version bigint DEFAULT NULL,
    touch boolean DEFAULT false
) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_entry_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_update(text, text, jsonb, bigint, boolean) IS
'Merges metadata into an entry as RFC 7396 does.

Objects merge, null removes, all else replaces; a dotted name is a path. A removed field whose
column must not be NULL gets its default. The merge is made on the row as it is once it is locked,
so two updates of different fields both survive.

Arguments:
  key: a subject
  id: the id of the entry
  metadata: an object
  expected_version: the version that the entry must be at; NULL for any
  touch: writes, and counts a version, even when nothing would change
Returns:
  the new version, or the present one when nothing changes; NULL when there is no such entry or it
    is not at expected_version
Raises:
  NV004: this and all others as nvent.entry_add
  40001: in REPEATABLE READ or SERIALIZABLE, when the entry was changed since the snapshot
  09000: a trigger, rule or policy keeps the entry from being changed
Locks:
  the row of the entry until the transaction ends
Example:
  SELECT nvent.entry_update(''nvent:flow:runs:import'', ''abc'',
      ''{"status": "done", "emittedEvents.step1": {"at": 5}}'');';

CREATE FUNCTION nvent.entry_increment(
    key text,
    id text,
    field text,
    by numeric DEFAULT 1
) RETURNS numeric
AS 'MODULE_PATHNAME', 'nvs_entry_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_increment(text, text, text, numeric) IS
'Adds to a number of an entry.

Arguments:
  key: a subject
  id: the id of the entry
  field: name of the number, may be dotted; one that is not set counts as 0
  by: what to add; may be negative
Returns:
  the new value
Raises:
  NV007: the value is not a number
  NV008: there is no such entry; DETAIL is {"key", "id"}
  22003: the number gets too large
  22023: a fraction is added to a column of whole numbers, by is not finite, or field is "version"
  NV004: the key is not a subject
  42703: the field has no place
  428C9: the field is one that the database computes
  54000: the field has more than 1,000 elements
Locks:
  the row of the entry until the transaction ends
Example:
  SELECT nvent.entry_increment(''nvent:flows'', ''import'', ''stats.total'');';

CREATE FUNCTION nvent.entry_increment_many(
    key text,
    id text,
    increments jsonb
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_entry_increment_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_increment_many(text, text, jsonb) IS
'Adds to several numbers of an entry at once.

Arguments:
  key: a subject
  id: the id of the entry
  increments: {"field": by}, at least one
Returns:
  the new values, {"field": value}
Raises:
  NV008: this and all others as nvent.entry_increment
Locks:
  the row of the entry until the transaction ends
Example:
  SELECT nvent.entry_increment_many(
      ''nvent:flows'', ''import'', ''{"stats.running": -1, "stats.success": 1}'');';

CREATE FUNCTION nvent.entry_delete(
    key text,
    id text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_entry_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION nvent.entry_delete(text, text) IS
'Deletes an entry.

Arguments:
  key: a subject
  id: the id of the entry
Returns:
  true when it was deleted, false when there is none; NULL for NULL
Raises:
  NV004: the key is not a subject
Example:
  SELECT nvent.entry_delete(''nvent:flow:runs:import'', ''abc'');';
