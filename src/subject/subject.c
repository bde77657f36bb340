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
#define SHOWN_BYTES		128

/* What a byte means to scan_token(); 0 is an ordinary one. */
enum
{
	CONTROL = 1,
	WILDCARD,
	COLON
};

#define EIGHT_CONTROLS \
	CONTROL, CONTROL, CONTROL, CONTROL, CONTROL, CONTROL, CONTROL, CONTROL

static const uint8 byte_class[256] = {
	EIGHT_CONTROLS, EIGHT_CONTROLS, EIGHT_CONTROLS, EIGHT_CONTROLS,
	['*'] = WILDCARD,[':'] = COLON,['>'] = WILDCARD,[0x7f] = CONTROL
};

/* Note a fault of the token at [offset, end); returns false for the caller. */
static bool
set_fault(NvsSubjectError *why, NvsSubjectFault fault, int token,
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

/*
 * Find the end of the token that begins at pos.  *fault is what keeps it from
 * being a token of a subject, or NVS_FAULT_NONE.
 */
static int
scan_token(const char *s, int pos, int len, NvsSubjectFault *fault)
{
	int			start = pos;

	*fault = NVS_FAULT_NONE;
	for (; pos < len; pos++)
	{
		uint8		class = byte_class[(unsigned char) s[pos]];

		if (likely(class == 0))
			continue;
		if (class == COLON)
			break;
		if (class == CONTROL)
			*fault = NVS_FAULT_CONTROL;
		else if (*fault == NVS_FAULT_NONE)
			*fault = NVS_FAULT_WILDCARD;
	}
	if (pos == start)
		*fault = NVS_FAULT_EMPTY_TOKEN;
	else if (s[start] == '{' && s[pos - 1] == '}' && *fault == NVS_FAULT_NONE)
		*fault = NVS_FAULT_BRACES;
	return pos;
}

/*
 * Check a subject and say where its tokens are.  subject holds nothing to rely
 * on when the answer is false; then *why, which may be NULL, says what is
 * wrong.
 */
bool
nvs_subject_split(const char *s, int len, NvsSubject *subject,
				  NvsSubjectError *why)
{
	int			n = 0;
	int			pos = 0;

	if (len <= 0)
		return set_fault(why, NVS_FAULT_EMPTY, 0, 0, 0);
	if (len > NVS_SUBJECT_MAX_BYTES)
		return set_fault(why, NVS_FAULT_TOO_LONG, 0, 0, len);

	for (;;)
	{
		NvsSubjectFault fault;
		int			end = scan_token(s, pos, len, &fault);

		if (n == NVS_SUBJECT_MAX_TOKENS)
			return set_fault(why, NVS_FAULT_TOO_MANY_TOKENS, 0, 0, len);
		if (fault != NVS_FAULT_NONE)
			return set_fault(why, fault, n + 1, pos, end);
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

/* Is this a subject?  If not, *why (may be NULL) says why. */
bool
nvs_subject_check(const char *s, int len, NvsSubjectError *why)
{
	NvsSubject	subject;

	return nvs_subject_split(s, len, &subject, why);
}

/* Text for a message, cut at a character's end when it is long. */
static char *
shown_text(const char *s, int len)
{
	int			clipped;

	if (len <= SHOWN_BYTES)
		return pnstrdup(s, len);
	clipped = pg_mbcliplen(s, len, SHOWN_BYTES);
	return psprintf("%.*s...", clipped, s);
}

/* A full sentence that says what is wrong; noun is "subject" or "pattern". */
static char *
describe_fault(const char *s, const NvsSubjectError *why, const char *noun)
{
	char	   *token = shown_text(s + why->offset, why->len);

	switch (why->fault)
	{
		case NVS_FAULT_EMPTY:
			return psprintf("A %s has at least one token.", noun);
		case NVS_FAULT_TOO_LONG:
			return psprintf("It has %d bytes, and a %s has at most %d.",
							why->len, noun, strcmp(noun, "subject") == 0 ?
							NVS_SUBJECT_MAX_BYTES : NVS_PATTERN_MAX_BYTES);
		case NVS_FAULT_TOO_MANY_TOKENS:
			return psprintf("A %s has at most %d tokens.",
							noun, NVS_SUBJECT_MAX_TOKENS);
		case NVS_FAULT_EMPTY_TOKEN:
			return psprintf("Token %d is empty.", why->token);
		case NVS_FAULT_CONTROL:
			return psprintf("Token %d has a control character in it.",
							why->token);
		case NVS_FAULT_WILDCARD:
			return psprintf("Token %d, \"%s\", has \"*\" or \">\" in it.",
							why->token, token);
		case NVS_FAULT_BRACES:
			return psprintf("Token %d, \"%s\", stands in braces.",
							why->token, token);
		case NVS_FAULT_CAPTURE:
			return psprintf("Token %d, \"%s\", begins with \"{\" but is not a capture.",
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
			return psprintf("It matches nothing: a subject has at most %d bytes.",
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

	if (nvs_subject_check(s, len, &why))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NVS_INVALID_SUBJECT),
			 errmsg("invalid subject \"%s\"", shown_text(s, len)),
			 errdetail_internal("%s", describe_fault(s, &why, "subject")),
			 errhint("A subject is 1 to %d non-empty tokens joined by \":\".",
					 NVS_SUBJECT_MAX_TOKENS)));
}

/* Is this [A-Za-z_][A-Za-z0-9_]*, whatever the locale? */
static bool
is_capture_name(const char *s, int len)
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
 * Fill in a capture from the token s[start, end), which begins with '{'.
 * Sets nothing when it answers with a fault.
 */
static NvsSubjectFault
parse_capture(const char *s, int start, int end, NvsPatternToken *token)
{
	NvsTokenKind kind = NVS_TOKEN_CAPTURE;
	int			name = start + 1;
	int			name_end = end - 1;

	if (end - start < 2 || s[end - 1] != '}')
		return NVS_FAULT_CAPTURE;
	/* What is left of "{...}" is no name, and is refused as such. */
	if (name_end - name > 3 && memcmp(s + name_end - 3, "...", 3) == 0)
	{
		kind = NVS_TOKEN_CAPTURE_REST;
		name_end -= 3;
	}
	if (!is_capture_name(s + name, name_end - name))
		return NVS_FAULT_CAPTURE;
	if (name_end - name > NVS_CAPTURE_MAX_NAME)
		return NVS_FAULT_NAME_TOO_LONG;

	token->kind = kind;
	token->offset = name;
	token->len = name_end - name;
	return NVS_FAULT_NONE;
}

/* Fill in the pattern token s[start, end), or answer what is wrong with it. */
static NvsSubjectFault
parse_token(const char *s, int start, int end, NvsSubjectFault fault,
			NvsPatternToken *token)
{
	int			len = end - start;

	/* scan_token() judges by the rules for subjects, so ask it second. */
	token->offset = start;
	token->len = len;
	if (len == 1 && s[start] == '*')
		token->kind = NVS_TOKEN_ONE;
	else if ((len == 1 && s[start] == '>') ||
			 (len == 2 && s[start] == '*' && s[start + 1] == '*'))
		token->kind = NVS_TOKEN_REST;
	else if (fault == NVS_FAULT_EMPTY_TOKEN || fault == NVS_FAULT_CONTROL)
		return fault;
	else if (s[start] == '{')
		return parse_capture(s, start, end, token);
	else
	{
		token->kind = NVS_TOKEN_LITERAL;
		return fault;
	}
	return NVS_FAULT_NONE;
}

/* Enter the capture of the newest token; false if its name is taken. */
static bool
add_capture(NvsPattern *pattern)
{
	const NvsPatternToken *token = &pattern->tokens[pattern->ntokens - 1];
	char	   *name = pattern->text +token->offset;
	int			i;

	/* The byte behind a name is a '}' or a '.', which nobody needs again. */
	name[token->len] = '\0';
	for (i = 0; i < pattern->ncaptures; i++)
	{
		if (strcmp(nvs_pattern_capture_name(pattern, i), name) == 0)
			return false;
	}
	pattern->capture_token[pattern->ncaptures++] = pattern->ntokens - 1;
	return true;
}

/* Compute what the matcher and the planner want to know beforehand. */
static void
finish_pattern(NvsPattern *pattern)
{
	int			min_len = pattern->ntokens - 1;
	int			i;

	pattern->is_literal = true;
	pattern->prefix_len = pattern->len;
	pattern->prefix_tokens = pattern->ntokens;
	for (i = 0; i < pattern->ntokens; i++)
	{
		const NvsPatternToken *token = &pattern->tokens[i];

		if (token->kind == NVS_TOKEN_LITERAL)
		{
			min_len += token->len;
			continue;
		}
		min_len += 1;
		if (!pattern->is_literal)
			continue;
		pattern->is_literal = false;
		pattern->prefix_tokens = i;
		pattern->prefix_len = token->offset;
		if (token->kind == NVS_TOKEN_CAPTURE ||
			token->kind == NVS_TOKEN_CAPTURE_REST)
			pattern->prefix_len--;	/* the '{' before the name */
	}
	pattern->min_len = min_len;
}

/* Compile into pattern, whose text is there already. */
static bool
parse_tokens(NvsPattern *pattern, const char *s, int len, NvsSubjectError *why)
{
	int			pos = 0;

	for (;;)
	{
		NvsSubjectFault fault;
		int			end = scan_token(s, pos, len, &fault);
		NvsPatternToken *token;

		if (pattern->ntokens == NVS_SUBJECT_MAX_TOKENS)
			return set_fault(why, NVS_FAULT_TOO_MANY_TOKENS, 0, 0, len);
		token = &pattern->tokens[pattern->ntokens++];
		fault = parse_token(s, pos, end, fault, token);
		if (fault == NVS_FAULT_NONE && end < len &&
			(token->kind == NVS_TOKEN_REST ||
			 token->kind == NVS_TOKEN_CAPTURE_REST))
			fault = NVS_FAULT_NOT_LAST;
		if (fault == NVS_FAULT_NONE &&
			(token->kind == NVS_TOKEN_CAPTURE ||
			 token->kind == NVS_TOKEN_CAPTURE_REST) &&
			!add_capture(pattern))
			fault = NVS_FAULT_NAME_TWICE;
		if (fault != NVS_FAULT_NONE)
			return set_fault(why, fault, pattern->ntokens, pos, end);
		if (end == len)
			break;
		pos = end + 1;
	}
	finish_pattern(pattern);
	if (pattern->min_len > NVS_SUBJECT_MAX_BYTES)
		return set_fault(why, NVS_FAULT_MATCHES_NOTHING, 0, 0, len);
	return true;
}

/*
 * Compile a pattern; NULL when it is not one, and then *why, which may be
 * NULL, says what is wrong.  Raises nothing but out of memory.
 */
NvsPattern *
nvs_pattern_parse(const char *s, int len, NvsSubjectError *why)
{
	NvsPattern *pattern;

	if (len <= 0)
	{
		set_fault(why, NVS_FAULT_EMPTY, 0, 0, 0);
		return NULL;
	}
	if (len > NVS_PATTERN_MAX_BYTES)
	{
		set_fault(why, NVS_FAULT_TOO_LONG, 0, 0, len);
		return NULL;
	}
	pattern = palloc0(offsetof(NvsPattern, text) + len + 1);
	pattern->len = len;
	memcpy(pattern->text, s, len);
	if (parse_tokens(pattern, s, len, why))
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

	if (pattern == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_PATTERN),
				 errmsg("invalid subject pattern \"%s\"", shown_text(s, len)),
				 errdetail_internal("%s", describe_fault(s, &why, "pattern")),
				 errhint("A token is a literal, \"*\" or \"{name}\"; "
						 "the last one may be \">\", \"**\" or \"{name...}\".")));
	return pattern;
}

/*
 * Match token t of the pattern at s + pos.  Returns where the match ends, or
 * -1; what is taken is never empty.
 */
static int
match_token(const NvsPattern *pattern, int t, const char *s, int pos, int len)
{
	const NvsPatternToken *token = &pattern->tokens[t];
	const char *colon;

	if (pos >= len)
		return -1;
	switch ((NvsTokenKind) token->kind)
	{
		case NVS_TOKEN_LITERAL:
			if (token->len > len - pos ||
				memcmp(s + pos, pattern->text +token->offset, token->len) != 0)
				return -1;
			return pos + token->len;
		case NVS_TOKEN_CAPTURE:
		case NVS_TOKEN_ONE:
			colon = memchr(s + pos, ':', len - pos);
			if (colon == NULL)
				return len;		/* the last token */
			return colon > s + pos ? (int) (colon - s) : -1;
		case NVS_TOKEN_CAPTURE_REST:
		case NVS_TOKEN_REST:
			return len;
	}
	return -1;
}

/*
 * Does the pattern match?  False for whatever is not a subject.  captures is
 * NULL or has room for the pattern's captures; it is only to be read when the
 * answer is true.
 */
bool
nvs_pattern_match(const NvsPattern *pattern, const char *s, int len,
				  NvsCapture *captures)
{
	int			ncaptures = 0;
	int			pos = pattern->prefix_len;
	int			t;

	/* min_len is no less than the prefix, so memcmp() stays within s. */
	if (len < pattern->min_len || len > NVS_SUBJECT_MAX_BYTES)
		return false;
	if (memcmp(s, pattern->text, pos) != 0)
		return false;
	if (pattern->is_literal)
		return pos == len;		/* a literal pattern is itself a subject */

	for (t = pattern->prefix_tokens; t < pattern->ntokens; t++)
	{
		int			end;

		if (t > pattern->prefix_tokens && (pos >= len || s[pos++] != ':'))
			return false;
		end = match_token(pattern, t, s, pos, len);
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

	/* Few texts get here, so only now is it worth to look at every byte. */
	return pos == len && nvs_subject_check(s, len, NULL);
}

/* How many captures the pattern has. */
int
nvs_pattern_capture_count(const NvsPattern *pattern)
{
	return pattern->ncaptures;
}

/* Name of capture i, counted from 0; it lives as long as the pattern. */
const char *
nvs_pattern_capture_name(const NvsPattern *pattern, int i)
{
	Assert(i >= 0 && i < pattern->ncaptures);
	return pattern->text +pattern->tokens[pattern->capture_token[i]].offset;
}

/*
 * The pattern with its captures' names taken out, and ">" for "**".  Patterns
 * of one shape match the same subjects with the same captures.
 */
char *
nvs_pattern_shape(const NvsPattern *pattern)
{
	char	   *shape = palloc(pattern->len + 1);
	char	   *p = shape;
	int			i;

	for (i = 0; i < pattern->ntokens; i++)
	{
		const NvsPatternToken *token = &pattern->tokens[i];
		const char *text = pattern->text +token->offset;
		int			len = token->len;

		switch ((NvsTokenKind) token->kind)
		{
			case NVS_TOKEN_LITERAL:
				break;
			case NVS_TOKEN_CAPTURE:
				text = "{}";

				len = 2;
				break;
			case NVS_TOKEN_ONE:
				text = "*";

				len = 1;
				break;
			case NVS_TOKEN_CAPTURE_REST:
				text = "{...}";

				len = 5;
				break;
			case NVS_TOKEN_REST:
				text = ">";

				len = 1;
				break;
		}
		if (i > 0)
			*p++ = ':';
		memcpy(p, text, len);
		p += len;
	}
	*p = '\0';
	return shape;
}

/*
 * Length of the bytes, the first ones of the pattern, that every subject it
 * matches begins with: its leading literal tokens and their ':'.  If
 * *is_literal they are the whole pattern, and it matches but itself.
 */
int
nvs_pattern_prefix(const NvsPattern *pattern, bool *is_literal)
{
	*is_literal = pattern->is_literal;
	return pattern->prefix_len;
}
