
-- Merging of jsonb documents, without tables.  See src/json/functions.c.
-- Functions are not strict where NULL has a meaning.

CREATE FUNCTION nvent.jsonb_deep_merge(
    target jsonb,
    source jsonb
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge(jsonb, jsonb) IS
'Merges one document into another.

Keys that are objects on both sides merge, a null in source deletes the key, anything else
replaces. A value whose place in target is no object is put there as it is, nulls inside included.

Arguments:
  target: the document to change; NULL counts as {}
  source: what to merge into it; NULL answers target
Returns:
  the merged document; source, if either of the two is no object
Example:
  SELECT nvent.jsonb_deep_merge(''{"a": {"x": 1, "y": 2}}'', ''{"a": {"x": null, "z": 3}}'');
  -- {"a": {"y": 2, "z": 3}}';

CREATE FUNCTION nvent.jsonb_merge_patch(
    target jsonb,
    patch jsonb
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_merge_patch'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_merge_patch(jsonb, jsonb) IS
'Merges a patch into a document as RFC 7396 says.

As nvent.jsonb_deep_merge, but a null of patch never ends up in the result, also not below a key
that target lacks. Nulls inside arrays stay.

Arguments:
  target: the document to change; NULL is an absent one
  patch: what to change; one that is no object replaces target, NULL answers target
Returns:
  the patched document
Example:
  SELECT nvent.jsonb_merge_patch(''{"a": 1}'', ''{"a": null, "b": {"c": null}}'');
  -- {"b": {}}';

CREATE FUNCTION nvent.jsonb_deep_merge_transfn(
    state internal,
    doc jsonb
) RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge_transfn'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge_transfn(internal, jsonb) IS
'Merges one row into the state of nvent.jsonb_deep_merge_agg; called by the executor only.';

CREATE FUNCTION nvent.jsonb_deep_merge_finalfn(
    state internal
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge_finalfn'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge_finalfn(internal) IS
'Assembles the result of nvent.jsonb_deep_merge_agg; called by the executor only.';

-- No combine function: merging is not associative, since a null deletes only
-- from an object that is there when it comes.
CREATE AGGREGATE nvent.jsonb_deep_merge_agg(doc jsonb) (
    SFUNC = nvent.jsonb_deep_merge_transfn,
    STYPE = internal,
    FINALFUNC = nvent.jsonb_deep_merge_finalfn,
    FINALFUNC_MODIFY = READ_ONLY,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE nvent.jsonb_deep_merge_agg(jsonb) IS
'Merges the documents of all rows, one after the other, with nvent.jsonb_deep_merge.

It starts from {}. Say the order with ORDER BY. It costs the keys of each row, not the size of the
result.

Arguments:
  doc: the document of a row; NULL is skipped
Returns:
  the merged document; NULL if no row has one
Example:
  SELECT nvent.jsonb_deep_merge_agg(patch ORDER BY id)
  FROM (VALUES (1, ''{"a": 1}''::jsonb), (2, ''{"b": 2}'')) changes (id, patch);
  -- {"a": 1, "b": 2}';

CREATE FUNCTION nvent.jsonb_expand_paths(
    doc jsonb
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_expand_paths'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_expand_paths(jsonb) IS
'Turns each top-level key that has dots into nested objects.

Keys are taken in jsonb order (shorter first, then by bytes). Of two values for one place objects
merge, and otherwise the later one wins; nulls are like any value.

Arguments:
  doc: an object
Returns:
  the document with its paths expanded; NULL for NULL
Raises:
  22023: doc is no object, or a dotted key has an empty element, as "a..b" has
  54000: a dotted key has more than 1,000 elements, or all of them have more than 100,000
Example:
  SELECT nvent.jsonb_expand_paths(''{"a.b": 1, "a": {"c": 2}}'');
  -- {"a": {"b": 1, "c": 2}}';

CREATE FUNCTION nvent.jsonb_set_path(
    doc jsonb,
    path text[],
    value jsonb
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_set_path'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_set_path(jsonb, text[], jsonb) IS
'Puts a value at a path of a document, whatever was there.

Unlike jsonb_set it makes missing objects on the way. The rest of the document stays as it is.

Arguments:
  doc: the document; NULL counts as {}
  path: keys from the outermost to the innermost
  value: what to put there; JSON''s null is a value
Returns:
  the changed document
Raises:
  22023: something on the way is no object, or path is empty
  22004: path, an element of it or value is NULL
  2202E: path is an array of more than one dimension
  54000: path has more than 1,000 elements
Example:
  SELECT nvent.jsonb_set_path(''{"a": {"x": 1}}'', ''{a,b,c}'', ''[2]'');
  -- {"a": {"b": {"c": [2]}, "x": 1}}';

CREATE FUNCTION nvent.jsonb_increment(
    doc jsonb,
    path text[],
    by numeric DEFAULT 1
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_increment'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_increment(jsonb, text[], numeric) IS
'Adds to the number at a path of a document, exactly.

Missing objects on the way are made. A number that is absent or null counts as 0.

Arguments:
  doc: the document; NULL counts as {}
  path: keys from the outermost to the innermost
  by: what to add; may be negative
Returns:
  the changed document
Raises:
  NV007: the value at path is not a number
  22023: something on the way is no object, path is empty, or by is not finite
  22004: path, an element of it or by is NULL
  2202E: path is an array of more than one dimension
  54000: path has more than 1,000 elements
Example:
  SELECT nvent.jsonb_increment(''{"stats": {"runs": 1}}'', ''{stats,runs}'', 2);
  -- {"stats": {"runs": 3}}';
