-- Subjects, subject patterns and key globs.

CREATE FUNCTION nvent.subject_is_valid(subject text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_is_valid'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_is_valid(text) IS
'Is this a subject: 1 to 32 non-empty tokens joined by ":", at most 512 bytes, no control character, no "*" or ">", and no token that stands in braces?
Never raises an error; NULL for NULL. Example: SELECT nvent.subject_is_valid(''orders:eu:4711''); -- true';

CREATE FUNCTION nvent.subject_tokens(subject text)
RETURNS text[]
AS 'MODULE_PATHNAME', 'nvs_subject_tokens'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_tokens(text) IS
'The tokens of a subject, in order. Raises invalid subject (NV004); NULL for NULL.
Example: SELECT nvent.subject_tokens(''orders:eu:4711''); -- {orders,eu,4711}';

CREATE FUNCTION nvent.subject_pattern_is_valid(pattern text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_pattern_is_valid'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_pattern_is_valid(text) IS
'Is this a subject pattern: 1 to 32 tokens joined by ":", at most 1024 bytes, each of them a literal, "*" (one token), "{name}" (captures one token) or, as the last one, ">" or "**" (one or more tokens) or "{name...}" (captures one or more)?
A name is a letter or "_", then letters, digits or "_", at most 63 bytes, and once in a pattern. A pattern that is longer than any subject is not one.
Never raises an error; NULL for NULL. Example: SELECT nvent.subject_pattern_is_valid(''orders:{region}:>''); -- true';

CREATE FUNCTION nvent.subject_prefix(pattern text)
RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_prefix'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_prefix(text) IS
'What every subject that the pattern matches begins with: its leading literal tokens with the ":" behind them; all of it when it has no wildcard; empty when it begins with one.
Raises invalid pattern (NV005); NULL for NULL. Example: SELECT nvent.subject_prefix(''orders:eu:*''); -- orders:eu:';

CREATE FUNCTION nvent.subject_matches_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_subject_matches_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_matches_support(internal) IS
'Planner support of nvent.subject_matches: turns a constant pattern into a range of a B-tree index whose collation is C, or that is of text_pattern_ops. Not for calling.';

CREATE FUNCTION nvent.subject_matches(subject text, pattern text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_matches'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SUPPORT nvent.subject_matches_support;

COMMENT ON FUNCTION nvent.subject_matches(text, text) IS
'Does the pattern (see nvent.subject_pattern_is_valid) match the subject? False for text that is not a subject.
Raises invalid pattern (NV005); NULL for NULL. Compares bytes, whatever the collation. A constant pattern uses an index on the subject, if that is COLLATE "C", for its literal prefix.
Example: SELECT nvent.subject_matches(''orders:eu:4711'', ''orders:*:>''); -- true';

CREATE FUNCTION nvent.subject_captures(subject text, pattern text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_subject_captures'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_captures(text, text) IS
'What the pattern''s {name} and {name...} took from the subject, as an object of strings: {} when it has none; NULL when it does not match.
Raises invalid pattern (NV005); NULL for NULL.
Example: SELECT nvent.subject_captures(''orders:eu:47:11'', ''orders:{region}:{id...}''); -- {"id": "47:11", "region": "eu"}';

CREATE FUNCTION nvent.kv_glob_matches_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_kv_glob_matches_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.kv_glob_matches_support(internal) IS
'Planner support of nvent.kv_glob_matches: turns a constant glob into a range of a B-tree index whose collation is C, or that is of text_pattern_ops. Not for calling.';

CREATE FUNCTION nvent.kv_glob_matches(key text, pattern text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_glob_matches'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SUPPORT nvent.kv_glob_matches_support;

COMMENT ON FUNCTION nvent.kv_glob_matches(text, text) IS
'Does the glob match the whole key, as in Redis: "*" any run of characters, ":" among them, "?" one character, [abc] [a-c] [^x] one of a class, "\" takes the next character as it is? "%" and "_" stand for themselves, and so does "!".
A range goes by code points and may be written backwards; the character behind "x-" ends the range, even a "]"; [^] is any character; a "\" at the very end is a backslash. A glob has at most 1024 bytes.
Raises invalid pattern (NV005), also for a class that is empty or not closed; NULL for NULL. Compares bytes, whatever the collation. A constant glob uses an index on the key, if that is COLLATE "C", for its literal prefix.
Example: SELECT nvent.kv_glob_matches(''lock:job:7'', ''lock:*:[0-9]''); -- true';

-- Categories.  See src/subject/category.c.

CREATE FUNCTION nvent.subject_category(subject text, tokens integer DEFAULT 2) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_category'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION nvent.subject_category(text, integer) IS 'the first tokens of a subject, all of it when it has no more; NULL for NULL; raises 22023 for less than one token; example: SELECT nvent.subject_category(''shop:account:1:audit'') is shop:account';

CREATE FUNCTION nvent.subject_id(subject text, tokens integer DEFAULT 2) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION nvent.subject_id(text, integer) IS 'what follows the category of a subject, NULL when nothing does; example: SELECT nvent.subject_id(''shop:account:1:audit'') is 1:audit';

CREATE FUNCTION nvent.subject_cardinal_id(subject text, tokens integer DEFAULT 2) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_cardinal_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION nvent.subject_cardinal_id(text, integer) IS 'the first token of nvent.subject_id, NULL when there is none; example: SELECT nvent.subject_cardinal_id(''shop:account:1:audit'') is 1';

CREATE FUNCTION nvent.subject_member(subject text, size integer, tokens integer DEFAULT 2) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_subject_member'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION nvent.subject_member(text, integer, integer) IS 'which member of a group of size, from 0, a subject belongs to: by the hash of its cardinal id, so that ids compounded from it stay together in every category, or of the whole subject when it has no id; the same in every session, database and release; NULL for NULL; raises 22023 for a size below 1; example: SELECT nvent.subject_member(''shop:account:1'', 3)';
