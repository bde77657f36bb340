
-- Merging of jsonb documents.  Functions are not strict where NULL has a
-- meaning.

CREATE FUNCTION nvent.jsonb_deep_merge(target jsonb, source jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge(jsonb, jsonb) IS
'target with source merged into it: keys that are objects on both sides merge, a null in source deletes the key, anything else replaces. '
'A value whose place in target is no object is put there as it is, nulls inside included; if either document is no object, answers source. '
'NULL source answers target, NULL target counts as {}. '
'Example: jsonb_deep_merge(''{"a": {"x": 1, "y": 2}}'', ''{"a": {"x": null, "z": 3}}'') is {"a": {"y": 2, "z": 3}}.';

CREATE FUNCTION nvent.jsonb_merge_patch(target jsonb, patch jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_merge_patch'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_merge_patch(jsonb, jsonb) IS
'target patched as RFC 7396 says: as jsonb_deep_merge, but a null of patch never ends up in the result, also not below a key that target lacks; nulls inside arrays stay. '
'A patch that is no object replaces target. NULL patch answers target, NULL target is an absent one. '
'Example: jsonb_merge_patch(''{"a": 1}'', ''{"a": null, "b": {"c": null}}'') is {"b": {}}.';

CREATE FUNCTION nvent.jsonb_deep_merge_transfn(state internal, doc jsonb)
RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge_transfn'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge_transfn(internal, jsonb) IS
'Merges one row into the state of jsonb_deep_merge_agg; called by the executor only.';

CREATE FUNCTION nvent.jsonb_deep_merge_finalfn(state internal)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge_finalfn'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_deep_merge_finalfn(internal) IS
'Assembles the result of jsonb_deep_merge_agg; called by the executor only.';

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
'All rows merged one after the other with jsonb_deep_merge, starting from {}; say the order with ORDER BY. NULL rows are skipped; NULL if there is no other. '
'Costs the keys of each row, not the size of the result. '
'Example: SELECT jsonb_deep_merge_agg(patch ORDER BY id) FROM changes.';

CREATE FUNCTION nvent.jsonb_expand_paths(doc jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_expand_paths'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_expand_paths(jsonb) IS
'doc with each top-level key that has dots turned into nested objects. Keys are taken in jsonb order (shorter first, then by bytes); of two values for one place objects merge and otherwise the later wins, nulls like any value. '
'Error 22023 if doc is no object or a dotted key has an empty element, as "a..b" has; NULL answers NULL. '
'Example: jsonb_expand_paths(''{"a.b": 1, "a": {"c": 2}}'') is {"a": {"b": 1, "c": 2}}.';

CREATE FUNCTION nvent.jsonb_set_path(doc jsonb, path text[], value jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_set_path'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_set_path(jsonb, text[], jsonb) IS
'doc with value at path, whatever was there, and the rest as it is; unlike jsonb_set it makes missing objects on the way. JSON''s null is a value; NULL doc counts as {}. '
'Error 22023 if something on the way is no object or path is empty; 22004 if path, an element of it or value is NULL. '
'Example: jsonb_set_path(''{"a": {"x": 1}}'', ''{a,b,c}'', ''[2]'') is {"a": {"b": {"c": [2]}, "x": 1}}.';

CREATE FUNCTION nvent.jsonb_increment(doc jsonb, path text[], by numeric DEFAULT 1)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_increment'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION nvent.jsonb_increment(jsonb, text[], numeric) IS
'doc with the number at path increased by that much, exactly; missing objects on the way are made, an absent number or a null counts as 0, NULL doc as {}. '
'Error NV007 if the value there is not a number; 22023 if something on the way is no object, path is empty or by is not finite; 22004 if path, an element of it or by is NULL. '
'Example: jsonb_increment(''{"stats": {"runs": 1}}'', ''{stats,runs}'', 2) is {"stats": {"runs": 3}}.';
