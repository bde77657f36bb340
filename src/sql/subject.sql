
-- Subjects, subject patterns, categories and key globs.  See src/subject/functions.c and
-- src/subject/category.c.

CREATE FUNCTION nvent.subject_is_valid(
    subject text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_is_valid'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_is_valid(text) IS
'Tells whether a text is a subject: 1 to 1,024 bytes and at most 64 tokens.

Tokens are what ":" separates. They may be empty and hold any character.

Arguments:
  subject: any text
Returns:
  true when it is a subject; NULL for NULL; never an error
Example:
  SELECT nvent.subject_is_valid(''orders:eu:4711'');
  -- true';

CREATE FUNCTION nvent.subject_tokens(
    subject text
) RETURNS text[]
AS 'MODULE_PATHNAME', 'nvs_subject_tokens'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_tokens(text) IS
'Splits a subject into its tokens.

Arguments:
  subject: a subject
Returns:
  the tokens in order; NULL for NULL
Raises:
  NV004: the text is not a subject
Example:
  SELECT nvent.subject_tokens(''orders:eu:4711'');
  -- {orders,eu,4711}';

CREATE FUNCTION nvent.subject_escape(
    subject text
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_escape'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_escape(text) IS
'Writes the pattern that matches one subject and no other.

Each token that a pattern would not take for a literal gets a "\" before it.

Arguments:
  subject: a subject
Returns:
  the pattern; NULL for NULL
Raises:
  NV004: the text is not a subject
Example:
  SELECT nvent.subject_escape(''orders:*:{x}'');
  -- orders:\*:\{x}';

CREATE FUNCTION nvent.subject_pattern_is_valid(
    pattern text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_pattern_is_valid'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_pattern_is_valid(text) IS
'Tells whether a text is a subject pattern.

A pattern has 1 to 2,048 bytes and at most 64 tokens. "*" matches one token and "{name}" captures
one. As the last token, ">" or "**" matches one or more and "{name...}" captures them. A token
that begins with "\" is the literal that follows it; every other token is a literal. One that
begins with "{" and is no capture is an error. A name is a letter or "_", then letters, digits or
"_", has at most 63 bytes, and comes once in a pattern. A pattern that no subject can match, as
each would be too long, is not one.

Arguments:
  pattern: any text
Returns:
  true when it is a pattern; NULL for NULL; never an error
Example:
  SELECT nvent.subject_pattern_is_valid(''orders:{region}:>'');
  -- true';

CREATE FUNCTION nvent.subject_prefix(
    pattern text
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_prefix'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_prefix(text) IS
'Tells what every subject that a pattern matches begins with.

Arguments:
  pattern: a subject pattern
Returns:
  its leading literal tokens with the ":" behind them, without the "\" of a literal; all that it
    matches when it has no wildcard; empty when it begins with one; NULL for NULL
Raises:
  NV005: the text is not a pattern
Example:
  SELECT nvent.subject_prefix(''orders:eu:*'');
  -- orders:eu:';

CREATE FUNCTION nvent.subject_matches_support(
    internal
) RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_subject_matches_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_matches_support(internal) IS
'Planner support of nvent.subject_matches: turns a constant pattern into a range of a '
'B-tree index whose collation is C, or that is of text_pattern_ops.';

CREATE FUNCTION nvent.subject_matches(
    subject text,
    pattern text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_subject_matches'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SUPPORT nvent.subject_matches_support;

COMMENT ON FUNCTION nvent.subject_matches(text, text) IS
'Tells whether a pattern matches a subject.

It compares bytes, whatever the collation. A constant pattern uses an index on the subject, if
that is COLLATE "C", for its literal prefix.

Arguments:
  subject: any text
  pattern: a subject pattern, see nvent.subject_pattern_is_valid
Returns:
  true when it matches; false for text that is not a subject; NULL for NULL
Raises:
  NV005: the text is not a pattern
Example:
  SELECT nvent.subject_matches(''orders:eu:4711'', ''orders:*:>'');
  -- true';

CREATE FUNCTION nvent.subject_captures(
    subject text,
    pattern text
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'nvs_subject_captures'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_captures(text, text) IS
'Tells what the {name} and {name...} of a pattern took from a subject.

Arguments:
  subject: any text
  pattern: a subject pattern
Returns:
  an object of strings, {} when the pattern has no captures; NULL when it does not match, and for
    NULL
Raises:
  NV005: the text is not a pattern
Example:
  SELECT nvent.subject_captures(''orders:eu:47:11'', ''orders:{region}:{id...}'');
  -- {"id": "47:11", "region": "eu"}';

CREATE FUNCTION nvent.subject_category(
    subject text,
    tokens integer DEFAULT 2
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_category'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_category(text, integer) IS
'Returns the category of a subject: its first tokens.

Arguments:
  subject: any text
  tokens: how many tokens a category has
Returns:
  the first tokens, all of the subject when it has no more; NULL for NULL
Raises:
  22023: tokens is less than 1
Example:
  SELECT nvent.subject_category(''shop:account:1:audit'');
  -- shop:account';

CREATE FUNCTION nvent.subject_id(
    subject text,
    tokens integer DEFAULT 2
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_id(text, integer) IS
'Returns the id of a subject: what follows its category.

Arguments:
  subject: any text
  tokens: how many tokens a category has
Returns:
  the rest of the subject; NULL when nothing follows, and for NULL
Raises:
  22023: tokens is less than 1
Example:
  SELECT nvent.subject_id(''shop:account:1:audit'');
  -- 1:audit';

CREATE FUNCTION nvent.subject_cardinal_id(
    subject text,
    tokens integer DEFAULT 2
) RETURNS text
AS 'MODULE_PATHNAME', 'nvs_subject_cardinal_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_cardinal_id(text, integer) IS
'Returns the first token of the id of a subject.

Arguments:
  subject: any text
  tokens: how many tokens a category has
Returns:
  the first token of nvent.subject_id; NULL when there is none, and for NULL
Raises:
  22023: tokens is less than 1
Example:
  SELECT nvent.subject_cardinal_id(''shop:account:1:audit'');
  -- 1';

CREATE FUNCTION nvent.subject_member(
    subject text,
    size integer,
    tokens integer DEFAULT 2
) RETURNS integer
AS 'MODULE_PATHNAME', 'nvs_subject_member'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.subject_member(text, integer, integer) IS
'Tells which member of a group a subject belongs to.

It goes by the hash of the cardinal id, so that ids compounded from it stay together in every
category, or of the whole subject when that has no id. The answer is the same in every session,
database and release.

Arguments:
  subject: any text
  size: how many members the group has
  tokens: how many tokens a category has
Returns:
  a number from 0 to size - 1; NULL for NULL
Raises:
  22023: size or tokens is less than 1
Example:
  SELECT nvent.subject_member(''shop:account:1'', 3);';

CREATE FUNCTION nvent.kv_glob_matches_support(
    internal
) RETURNS internal
AS 'MODULE_PATHNAME', 'nvs_kv_glob_matches_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.kv_glob_matches_support(internal) IS
'Planner support of nvent.kv_glob_matches: turns a constant glob into a range of a '
'B-tree index whose collation is C, or that is of text_pattern_ops.';

CREATE FUNCTION nvent.kv_glob_matches(
    key text,
    pattern text
) RETURNS boolean
AS 'MODULE_PATHNAME', 'nvs_kv_glob_matches'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SUPPORT nvent.kv_glob_matches_support;

COMMENT ON FUNCTION nvent.kv_glob_matches(text, text) IS
'Tells whether a glob, as Redis has it for keys, matches a whole key.

"*" is any run of characters, ":" among them. "?" is one character. [abc], [a-c] and [^x] are one
of a class. "\" takes the next character as it is. "%", "_" and "!" stand for themselves. A range
goes by code points and may be written backwards; the character behind "x-" ends the range, even a
"]"; [^] is any character; a "\" at the very end is a backslash. It compares bytes, whatever the
collation. A constant glob uses an index on the key, if that is COLLATE "C", for its literal
prefix.

Arguments:
  key: any text
  pattern: a glob of at most 2,048 bytes
Returns:
  true when it matches; NULL for NULL
Raises:
  NV005: the glob is too long, or has a class that is empty or not closed
Example:
  SELECT nvent.kv_glob_matches(''lock:job:7'', ''lock:*:[0-9]'');
  -- true';
