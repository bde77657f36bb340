/*
 * subject/subject.c
 *	  Validates subjects; compiles and matches subject patterns.
 *
 * Pure: bytes in, answer out; no catalog, no SPI.  Subject and pattern are
 * walked once from left to right without backtracking, because a wildcard is
 * a whole token and only the last one takes more than one token.  A pattern
 * that could match nothing is an error when compiled, never a silent "no".
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "errors.h"
#include "subject/subject.h"

/* Bytes of a faulty text, or of a token of it, that an error message shows. */
#define SUBJECT_SHOWN_BYTES		128

/*
 * How a pattern is written when the names of its captures do not matter, by
 * NvsTokenKind: so that two patterns are equal that match the same subjects
 * with the same captures, and as the shortest pattern that matches the same.
 */
static const char *const shape_wildcards[] = {NULL, "{}", "*", "{...}", ">"};
static const char *const plain_wildcards[] = {NULL, "*", "*", ">", ">"};

/* Set *why, unless why is NULL, to a fault in [offset, end); returns false. */
static bool
subject_fault(NvsSubjectError *why, NvsSubjectFault fault, int token,
			  int offset, int end)
{
	if (why != NULL)
	{
		why->fault = fault;
		why->token = token;
		why->offset = offset;
		why->len = end - offset;
	}
	return false;
}

/* Where the token that begins at pos ends: at its ':', or at len. */
static inline int
subject_token_end(const char *s, int pos, int len)
{
	const char *colon = memchr(s + pos, ':', len - pos);

	return colon == NULL ? len : (int) (colon - s);
}

/* How many tokens a text has. */
static int
subject_count_tokens(const char *s, int len)
{
	int			n = 1;
	int			i;

	for (i = 0; i < len; i++)
		n += s[i] == ':';
	return n;
}

/*
 * Has a text 1 to max_bytes bytes, and tokens within the limit?  If not, *why,
 * which may be NULL, says what is wrong.
 */
static bool
subject_check_limits(const char *s, int len, int max_bytes,
					 NvsSubjectError *why)
{
	if (len <= 0)
		return subject_fault(why, NVS_FAULT_EMPTY, 0, 0, 0);
	if (len > max_bytes)
		return subject_fault(why, NVS_FAULT_TOO_LONG, 0, 0, len);
	if (subject_count_tokens(s, len) > NVS_SUBJECT_MAX_TOKENS)
		return subject_fault(why, NVS_FAULT_TOO_MANY_TOKENS, 0, 0, len);
	return true;
}

/* Is this a subject?  If not, *why, which may be NULL, says what is wrong. */
bool
nvs_subject_check(const char *s, int len, NvsSubjectError *why)
{
	return subject_check_limits(s, len, NVS_SUBJECT_MAX_BYTES, why);
}

/*
 * Check a subject and say where its tokens are.  When the answer is false,
 * *subject is not set and *why, which may be NULL, says what is wrong.
 */
bool
nvs_subject_split(const char *s, int len, NvsSubject *subject,
				  NvsSubjectError *why)
{
	int			n = 0;
	int			pos = 0;

	if (!nvs_subject_check(s, len, why))
		return false;
	for (;;)
	{
		int			end = subject_token_end(s, pos, len);

		subject->tokens[n].offset = pos;
		subject->tokens[n].len = end - pos;
		n++;
		if (end == len)
			break;
		pos = end + 1;
	}
	subject->ntokens = n;
	return true;
}

/* A text as a message shows it: cut at a character's end when it is long. */
static char *
subject_shown(const char *s, int len)
{
	int			clipped;

	if (len <= SUBJECT_SHOWN_BYTES)
		return pnstrdup(s, len);
	clipped = pg_mbcliplen(s, len, SUBJECT_SHOWN_BYTES);
	return psprintf("%.*s...", clipped, s);
}

/*
 * What is wrong with a text, as a sentence; noun is "subject" or "pattern",
 * one of which has at most max_bytes.
 */
static char *
subject_describe_fault(const char *s, const NvsSubjectError *why,
					   const char *noun, int max_bytes)
{
	char	   *token = subject_shown(s + why->offset, why->len);

	/*
	 * Without a default, so that the compiler asks for a fault that is
	 * missing.
	 */
	switch (why->fault)
	{
		case NVS_FAULT_EMPTY:
			return psprintf("A %s has at least one byte.", noun);
		case NVS_FAULT_TOO_LONG:
			return psprintf("It has %d bytes, and a %s has at most %d.",
							why->len, noun, max_bytes);
		case NVS_FAULT_TOO_MANY_TOKENS:
			return psprintf("It has %d tokens, and a %s has at most %d.",
							subject_count_tokens(s, why->len), noun,
							NVS_SUBJECT_MAX_TOKENS);
		case NVS_FAULT_CAPTURE:
			return psprintf("Token %d, \"%s\", begins with \"{\" but is neither \"{name}\" nor \"{name...}\".",
							why->token, token);
		case NVS_FAULT_NAME_TOO_LONG:
			return psprintf("The name of the capture in token %d has more than %d bytes.",
							why->token, NVS_CAPTURE_MAX_NAME);
		case NVS_FAULT_NAME_TWICE:
			return psprintf("Token %d, \"%s\", captures under a name that an earlier token has.",
							why->token, token);
		case NVS_FAULT_NOT_LAST:
			return psprintf("Token %d, \"%s\", takes all the rest but is not the last token.",
							why->token, token);
		case NVS_FAULT_MATCHES_NOTHING:
			return psprintf("It matches nothing: a subject has 1 to %d bytes.",
							NVS_SUBJECT_MAX_BYTES);
		case NVS_FAULT_NONE:
			break;
	}
	elog(ERROR, "unexpected subject fault %d", (int) why->fault);
	return NULL;				/* keep the compiler quiet */
}

/* Raise an error that says what is wrong unless this is a subject. */
void
nvs_subject_validate(const char *s, int len)
{
	NvsSubjectError why;
	const char *detail;

	if (nvs_subject_check(s, len, &why))
		return;
	detail = subject_describe_fault(s, &why, "subject", NVS_SUBJECT_MAX_BYTES);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_INVALID_SUBJECT),
			 errmsg("invalid subject \"%s\"", subject_shown(s, len)),
			 errdetail_internal("%s", detail)));
}

/* Does this token, written as it is in a pattern, stand for anything else? */
static bool
pattern_needs_backslash(const char *s, int len)
{
	if (len == 0)
		return false;
	if (s[0] == '\\' || s[0] == '{')
		return true;
	return (len == 1 && (s[0] == '*' || s[0] == '>')) ||
		(len == 2 && s[0] == '*' && s[1] == '*');
}

/* Write the literal of a pattern that stands for a token; returns its end. */
static char *
pattern_put_literal(char *to, const char *s, int len)
{
	if (pattern_needs_backslash(s, len))
		*to++ = '\\';
	memcpy(to, s, len);
	return to + len;
}

/* The pattern that matches this subject, which must be one, and no other. */
char *
nvs_pattern_of_subject(const char *s, int len)
{
	char	   *pattern = palloc(len + NVS_SUBJECT_MAX_TOKENS + 1);
	char	   *to = pattern;
	int			pos = 0;

	for (;;)
	{
		int			end = subject_token_end(s, pos, len);

		to = pattern_put_literal(to, s + pos, end - pos);
		if (end == len)
			break;
		*to++ = ':';
		pos = end + 1;
	}
	*to = '\0';
	return pattern;
}

/* Is this [A-Za-z_][A-Za-z0-9_]*, whatever the locale? */
static bool
pattern_is_name(const char *s, int len)
{
	int			i;

	for (i = 0; i < len; i++)
	{
		char		c = s[i];

		if (c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			continue;
		if (i > 0 && c >= '0' && c <= '9')
			continue;
		return false;
	}
	return len > 0;
}

/*
 * Parse a token that begins with '{' as a capture: set its kind and length,
 * and *name to where in s the name is.  Returns what is wrong with it.
 */
static NvsSubjectFault
pattern_parse_capture(const char *s, int len, NvsPatternToken *token,
					  const char **name)
{
	NvsTokenKind kind = NVS_TOKEN_CAPTURE;
	int			name_len = len - 2;

	if (len < 2 || s[len - 1] != '}')
		return NVS_FAULT_CAPTURE;

	/* "{...}" has no name, and what is between its braces is none. */
	if (name_len > 3 && memcmp(s + len - 4, "...", 3) == 0)
	{
		kind = NVS_TOKEN_CAPTURE_REST;
		name_len -= 3;
	}
	if (!pattern_is_name(s + 1, name_len))
		return NVS_FAULT_CAPTURE;
	if (name_len > NVS_CAPTURE_MAX_NAME)
		return NVS_FAULT_NAME_TOO_LONG;
	token->kind = kind;
	token->len = name_len;
	*name = s + 1;
	return NVS_FAULT_NONE;
}

/*
 * Parse a token of a pattern: set its kind, and its text, a literal or a name,
 * which is the token->len bytes at *text.  Returns what is wrong with it.
 */
static NvsSubjectFault
pattern_parse_token(const char *s, int len, NvsPatternToken *token,
					const char **text)
{
	*text = s;
	token->kind = NVS_TOKEN_LITERAL;
	token->len = len;
	if (!pattern_needs_backslash(s, len))
		return NVS_FAULT_NONE;
	switch (s[0])
	{
		case '\\':
			token->len = len - 1;
			*text = s + 1;
			return NVS_FAULT_NONE;
		case '{':
			return pattern_parse_capture(s, len, token, text);
		case '*':
			token->kind = len == 1 ? NVS_TOKEN_ONE : NVS_TOKEN_REST;
			token->len = 0;
			return NVS_FAULT_NONE;
		default:
			token->kind = NVS_TOKEN_REST;
			token->len = 0;
			return NVS_FAULT_NONE;
	}
}

/* Does this token of a pattern match all that is left of a subject? */
static bool
pattern_is_rest(const NvsPatternToken *token)
{
	return token->kind == NVS_TOKEN_REST ||
		token->kind == NVS_TOKEN_CAPTURE_REST;
}

/* Enter a pattern's last token as a capture; false if its name is taken. */
static bool
pattern_add_capture(NvsPattern *pattern)
{
	const NvsPatternToken *token = &pattern->tokens[pattern->ntokens - 1];
	char	   *name = pattern->bytes + token->offset;
	int			i;

	name[token->len] = '\0';
	for (i = 0; i < pattern->ncaptures; i++)
	{
		if (strcmp(nvs_pattern_capture_name(pattern, i), name) == 0)
			return false;
	}
	pattern->capture_token[pattern->ncaptures++] = pattern->ntokens - 1;
	pattern->len++;
	return true;
}

/* Add the token s[pos, end) to a pattern; returns what is wrong with it. */
static NvsSubjectFault
pattern_add_token(NvsPattern *pattern, const char *s, int pos, int end,
				  bool last)
{
	NvsPatternToken *token = &pattern->tokens[pattern->ntokens];
	const char *text;
	NvsSubjectFault fault;

	fault = pattern_parse_token(s + pos, end - pos, token, &text);
	if (fault != NVS_FAULT_NONE)
		return fault;
	if (pattern_is_rest(token) && !last)
		return NVS_FAULT_NOT_LAST;
	if (pattern->ntokens++ > 0)
		pattern->bytes[pattern->len++] = ':';
	token->offset = pattern->len;
	memcpy(pattern->bytes + pattern->len, text, token->len);
	pattern->len += token->len;
	if ((token->kind == NVS_TOKEN_CAPTURE ||
		 token->kind == NVS_TOKEN_CAPTURE_REST) &&
		!pattern_add_capture(pattern))
		return NVS_FAULT_NAME_TWICE;
	return NVS_FAULT_NONE;
}

/* Set what a pattern says of itself, once it has all its tokens. */
static void
pattern_finish(NvsPattern *pattern)
{
	int			last = pattern->ntokens - 1;
	int			min_len = last;
	int			i;

	pattern->is_literal = true;
	pattern->takes_rest = pattern_is_rest(&pattern->tokens[last]);
	pattern->prefix_len = pattern->len;
	pattern->prefix_tokens = pattern->ntokens;
	for (i = 0; i < pattern->ntokens; i++)
	{
		const NvsPatternToken *token = &pattern->tokens[i];

		if (token->kind == NVS_TOKEN_LITERAL)
			min_len += token->len;
		else if (pattern->is_literal)
		{
			pattern->is_literal = false;
			pattern->prefix_tokens = i;
			pattern->prefix_len = token->offset;
		}
	}

	/* A wildcard may match an empty token, but a subject is never empty. */
	pattern->min_len = Max(min_len, 1);
}

/*
 * Compile s into an empty pattern that has room for all of it; false, with
 * *why set unless why is NULL, when it is not a pattern.
 */
static bool
pattern_parse_tokens(NvsPattern *pattern, const char *s, int len,
					 NvsSubjectError *why)
{
	int			pos = 0;
	int			end;

	for (;; pos = end + 1)
	{
		NvsSubjectFault fault;

		end = subject_token_end(s, pos, len);
		fault = pattern_add_token(pattern, s, pos, end, end == len);
		if (fault != NVS_FAULT_NONE)
			return subject_fault(why, fault, subject_count_tokens(s, pos),
								 pos, end);
		if (end == len)
			break;
	}
	pattern_finish(pattern);
	if (pattern->min_len > NVS_SUBJECT_MAX_BYTES ||
		(pattern->is_literal && pattern->len == 0))
		return subject_fault(why, NVS_FAULT_MATCHES_NOTHING, 0, 0, len);
	return true;
}

/* An empty pattern with room for ntokens tokens and len bytes of text. */
static NvsPattern *
pattern_make(int ntokens, int len)
{
	Size		tokens = MAXALIGN(sizeof(NvsPattern));
	Size		captures = tokens + ntokens * sizeof(NvsPatternToken);
	char	   *chunk = palloc0(captures + ntokens + len + 1);
	NvsPattern *pattern = (NvsPattern *) chunk;

	pattern->tokens = (NvsPatternToken *) (chunk + tokens);
	pattern->capture_token = (uint8 *) (chunk + captures);
	pattern->bytes = chunk + captures + ntokens;
	return pattern;
}

/*
 * Compile a pattern; NULL when it is not one, and then *why, which may be
 * NULL, says what is wrong.  Raises nothing but out of memory.
 */
NvsPattern *
nvs_pattern_parse(const char *s, int len, NvsSubjectError *why)
{
	NvsPattern *pattern;

	if (!subject_check_limits(s, len, NVS_PATTERN_MAX_BYTES, why))
		return NULL;
	pattern = pattern_make(subject_count_tokens(s, len), len);
	if (pattern_parse_tokens(pattern, s, len, why))
		return pattern;
	pfree(pattern);
	return NULL;
}

/* Compile a pattern, or raise an error that says what is wrong with it. */
NvsPattern *
nvs_pattern_compile(const char *s, int len)
{
	NvsSubjectError why;
	NvsPattern *pattern = nvs_pattern_parse(s, len, &why);
	const char *detail;

	if (pattern != NULL)
		return pattern;
	detail = subject_describe_fault(s, &why, "pattern", NVS_PATTERN_MAX_BYTES);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_INVALID_PATTERN),
			 errmsg("invalid subject pattern \"%s\"", subject_shown(s, len)),
			 errdetail_internal("%s", detail),
			 why.token == 0 ? 0 :
			 errhint("Write \"\\\" before a token that is to stand for "
					 "itself.")));
}

/*
 * Match token t of a pattern with what begins at s[pos].  Returns where the
 * match ends, or -1 when there is none.
 */
static int
pattern_match_token(const NvsPattern *pattern, int t, const char *s, int pos,
					int len)
{
	const NvsPatternToken *token = &pattern->tokens[t];

	switch ((NvsTokenKind) token->kind)
	{
		case NVS_TOKEN_LITERAL:
			if (token->len > len - pos ||
				memcmp(s + pos, pattern->bytes + token->offset,
					   token->len) != 0)
				return -1;
			return pos + token->len;
		case NVS_TOKEN_CAPTURE:
		case NVS_TOKEN_ONE:
			return subject_token_end(s, pos, len);
		case NVS_TOKEN_CAPTURE_REST:
		case NVS_TOKEN_REST:
			return len;
	}
	return -1;
}

/*
 * Does the pattern match s?  False when s is not a subject.  captures is NULL
 * or has room for the pattern's captures, which are set when it matches.
 */
bool
nvs_pattern_match(const NvsPattern *pattern, const char *s, int len,
				  NvsCapture *captures)
{
	int			ncaptures = 0;
	int			pos = pattern->prefix_len;
	int			t;

	/* The prefix, for which s is long enough since min_len counts it. */
	if (len < pattern->min_len || len > NVS_SUBJECT_MAX_BYTES)
		return false;
	if (memcmp(s, pattern->bytes, pos) != 0)
		return false;
	if (pattern->is_literal)
		return pos == len;

	/* The tokens behind it. */
	for (t = pattern->prefix_tokens; t < pattern->ntokens; t++)
	{
		int			end;

		if (t > pattern->prefix_tokens && (pos >= len || s[pos++] != ':'))
			return false;
		end = pattern_match_token(pattern, t, s, pos, len);
		if (end < 0)
			return false;
		if (captures != NULL && ncaptures < pattern->ncaptures &&
			pattern->capture_token[ncaptures] == t)
		{
			captures[ncaptures].offset = pos;
			captures[ncaptures].len = end - pos;
			ncaptures++;
		}
		pos = end;
	}

	/* A subject, too?  Only where the rest was taken are tokens uncounted. */
	return pos == len &&
		(!pattern->takes_rest || nvs_subject_check(s, len, NULL));
}

/* May token i, from 0, of a subject that the pattern matches be this text? */
bool
nvs_pattern_may_be(const NvsPattern *pattern, int i, const char *s, int len)
{
	const NvsPatternToken *token;

	if (i >= pattern->ntokens)
		return pattern->takes_rest;
	token = &pattern->tokens[i];
	return token->kind != NVS_TOKEN_LITERAL ||
		(token->len == len &&
		 memcmp(pattern->bytes + token->offset, s, len) == 0);
}

/* How many captures the pattern has. */
int
nvs_pattern_capture_count(const NvsPattern *pattern)
{
	return pattern->ncaptures;
}

/* Name of capture i, from 0; it lives as long as the pattern. */
const char *
nvs_pattern_capture_name(const NvsPattern *pattern, int i)
{
	Assert(i >= 0 && i < pattern->ncaptures);
	return pattern->bytes + pattern->tokens[pattern->capture_token[i]].offset;
}

/* A pattern's text with these, by NvsTokenKind, in place of its wildcards. */
static char *
pattern_write(const NvsPattern *pattern, const char *const *wildcards)
{
	/* A wildcard has at most five bytes, and a literal a backslash. */
	char	   *result = palloc(pattern->len + pattern->ntokens * 5 + 1);
	char	   *to = result;
	int			i;

	for (i = 0; i < pattern->ntokens; i++)
	{
		const NvsPatternToken *token = &pattern->tokens[i];
		const char *wildcard = wildcards[token->kind];

		if (i > 0)
			*to++ = ':';
		if (token->kind == NVS_TOKEN_LITERAL)
		{
			to = pattern_put_literal(to, pattern->bytes + token->offset,
									 token->len);
			continue;
		}
		memcpy(to, wildcard, strlen(wildcard));
		to += strlen(wildcard);
	}
	*to = '\0';
	return result;
}

/*
 * A text that two patterns share exactly when they match the same subjects
 * with the same captures, whatever the names of these.  It is no pattern.
 */
char *
nvs_pattern_shape(const NvsPattern *pattern)
{
	return pattern_write(pattern, shape_wildcards);
}

/*
 * A pattern that matches the same subjects and captures nothing, of at most
 * NVS_PATTERN_PLAIN_BYTES: literals and colons are part of every match, and
 * besides there is a byte for each token, a backslash or a wildcard.
 */
char *
nvs_pattern_plain(const NvsPattern *pattern)
{
	return pattern_write(pattern, plain_wildcards);
}

/*
 * How many of pattern->bytes every subject that it matches begins with: the
 * leading literal tokens and their ':'.  *is_literal says whether the pattern
 * matches just these bytes.
 */
int
nvs_pattern_prefix(const NvsPattern *pattern, bool *is_literal)
{
	*is_literal = pattern->is_literal;
	return pattern->prefix_len;
}
