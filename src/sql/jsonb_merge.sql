
-- Merging of documents.  Not strict where NULL has a meaning.

CREATE FUNCTION nvent.jsonb_deep_merge(target jsonb, source jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_deep_merge'
LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION nvent.jsonb_merge_patch(target jsonb, patch jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_jsonb_merge_patch'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
