/*
 * subject/subject.h
 *	  Subjects, subject patterns and key globs.
 *
 * A subject is any text within the limits below.  Its tokens are what ':'
 * separates; they may be empty and may hold any character.
 *
 * Of the tokens of a pattern, "*" matches any one token and "{name}" captures
 * one; as the last token, ">" or "**" matches one or more tokens and
 * "{name...}" captures them.  A token that begins with a backslash is the
 * literal that follows it.  Every other token is a literal, but one that
 * begins with '{' and is no capture is an error.
 *
 * A glob is what Redis takes for keys.  All of it works on bytes in the
 * database's encoding, allocates in CurrentMemoryContext and touches no
 * catalog; nothing here raises but the functions that say so.
 */
#ifndef NVS_SUBJECT_SUBJECT_H
#define NVS_SUBJECT_SUBJECT_H

#include "postgres.h"

#define NVS_SUBJECT_MAX_BYTES	1024
#define NVS_SUBJECT_MAX_TOKENS	64
#define NVS_PATTERN_MAX_BYTES	2048	/* of a pattern and of a glob */
#define NVS_CAPTURE_MAX_NAME	63

/* What nvs_pattern_plain() writes is never longer. */
#define NVS_PATTERN_PLAIN_BYTES	(NVS_SUBJECT_MAX_BYTES + NVS_SUBJECT_MAX_TOKENS)

/* What is wrong with a subject or a pattern. */
typedef enum NvsSubjectFault
{
	NVS_FAULT_NONE = 0,
	NVS_FAULT_EMPTY,
	NVS_FAULT_TOO_LONG,
	NVS_FAULT_TOO_MANY_TOKENS,
	/* patterns only */
	NVS_FAULT_CAPTURE,			/* begins with '{' but is no capture */
	NVS_FAULT_NAME_TOO_LONG,
	NVS_FAULT_NAME_TWICE,
	NVS_FAULT_NOT_LAST,			/* matches the rest, but more follows */
	NVS_FAULT_MATCHES_NOTHING	/* no subject is so long, or so short */
} NvsSubjectFault;

/* A fault and the token it is in. */
typedef struct NvsSubjectError
{
	NvsSubjectFault fault;
	int			token;			/* from 1; 0 when it is the whole text */
	int			offset;			/* of that token, in bytes */
	int			len;
} NvsSubjectError;

/* A piece of a subject, in bytes: one of its tokens, or what was captured. */
typedef struct NvsSpan
{
	uint16		offset;
	uint16		len;
} NvsSpan;

typedef NvsSpan NvsCapture;

/* A subject's tokens. */
typedef struct NvsSubject
{
	int			ntokens;
	NvsSpan		tokens[NVS_SUBJECT_MAX_TOKENS];
} NvsSubject;

/* Kinds of pattern tokens, the most specific first. */
typedef enum NvsTokenKind
{
	NVS_TOKEN_LITERAL,
	NVS_TOKEN_CAPTURE,			/* {name} */
	NVS_TOKEN_ONE,				/* * */
	NVS_TOKEN_CAPTURE_REST,		/* {name...} */
	NVS_TOKEN_REST				/* > or ** */
} NvsTokenKind;

typedef struct NvsPatternToken
{
	uint16		kind;			/* an NvsTokenKind */
	uint16		offset;			/* in bytes: of the literal, of the name */
	uint16		len;
} NvsPatternToken;

/* Does a pattern's token match all that is left? */
static inline bool
nvs_token_is_rest(const NvsPatternToken *token)
{
	return token->kind == NVS_TOKEN_REST ||
		token->kind == NVS_TOKEN_CAPTURE_REST;
}

/*
 * A compiled pattern: one chunk with all that it points to, which pfree()
 * frees.  Only subject/subject.c writes to it.
 *
 * bytes has the tokens joined by ':' without the backslashes of literals, so
 * that literals that follow one another are the piece of a subject that they
 * match.  A capture is its name and '\0' there, any other wildcard nothing.
 */
typedef struct NvsPattern
{
	uint8		ntokens;
	uint8		ncaptures;
	bool		is_literal;		/* no wildcard and no capture in it */
	bool		takes_rest;		/* the last token matches one or more */
	uint16		prefix_len;		/* see nvs_pattern_prefix */
	uint16		prefix_tokens;	/* literal tokens in that prefix */
	uint16		min_len;		/* no shorter subject matches */
	uint16		len;			/* of bytes */
	NvsPatternToken *tokens;	/* ntokens of them */
	uint8	   *capture_token;	/* capture -> token */
	char	   *bytes;
} NvsPattern;

/* subject/subject.c: subjects */
extern bool nvs_subject_split(const char *s, int len, NvsSubject *subject,
							  NvsSubjectError *why);
extern bool nvs_subject_check(const char *s, int len, NvsSubjectError *why);
extern void nvs_subject_validate(const char *s, int len);

/* subject/subject.c: patterns */
extern NvsPattern *nvs_pattern_parse(const char *s, int len,
									 NvsSubjectError *why);
extern NvsPattern *nvs_pattern_compile(const char *s, int len);
extern char *nvs_pattern_of_subject(const char *s, int len);
extern bool nvs_pattern_match(const NvsPattern *pattern, const char *s, int len,
							  NvsCapture *captures);
extern bool nvs_pattern_may_be(const NvsPattern *pattern, int token,
							   const char *s, int len);
extern int	nvs_pattern_capture_count(const NvsPattern *pattern);
extern const char *nvs_pattern_capture_name(const NvsPattern *pattern, int i);
extern char *nvs_pattern_shape(const NvsPattern *pattern);
extern char *nvs_pattern_plain(const NvsPattern *pattern);
extern int	nvs_pattern_prefix(const NvsPattern *pattern, bool *is_literal);

/* subject/glob.c */
extern bool nvs_glob_check(const char *pat, int plen, const char **detail);
extern void nvs_glob_validate(const char *pat, int plen);
extern bool nvs_glob_match(const char *pat, int plen, const char *s, int slen);
extern int	nvs_glob_prefix(const char *pat, int plen, char *prefix,
							bool *is_literal);
extern int	nvs_prefix_upper(const char *prefix, int len, char *upper);

#endif							/* NVS_SUBJECT_SUBJECT_H */
