/*
 * subject/functions.c
 *	  The SQL functions on subjects, patterns and globs.
 *
 * A pattern mostly is the same for all rows of a statement, so each call site
 * keeps the last one compiled in fn_extra and compiles again when the bytes of
 * its argument differ.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "subject/subject.h"

/* The pattern that a call site met last. */
typedef struct PatternCache
{
	NvsPattern *pattern;		/* NULL for a glob, which is matched as it is */
	char	   *bytes;
	int			len;
} PatternCache;

PG_FUNCTION_INFO_V1(nvs_subject_is_valid);
PG_FUNCTION_INFO_V1(nvs_subject_tokens);
PG_FUNCTION_INFO_V1(nvs_subject_escape);
PG_FUNCTION_INFO_V1(nvs_subject_pattern_is_valid);
PG_FUNCTION_INFO_V1(nvs_subject_prefix);
PG_FUNCTION_INFO_V1(nvs_subject_matches);
PG_FUNCTION_INFO_V1(nvs_subject_captures);
PG_FUNCTION_INFO_V1(nvs_kv_glob_matches);

/*
 * The cache entry of this call site, made when it has none; NULL when the call
 * has no site to keep it at.  *hit says whether it is for these bytes.
 */
static PatternCache *
pattern_cache_find(FunctionCallInfo fcinfo, const char *bytes, int len,
				   bool *hit)
{
	PatternCache *cache;

	*hit = false;
	if (fcinfo->flinfo == NULL)
		return NULL;
	cache = (PatternCache *) fcinfo->flinfo->fn_extra;
	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									   sizeof(PatternCache));
		fcinfo->flinfo->fn_extra = cache;
	}
	*hit = (cache->bytes != NULL && cache->len == len &&
			memcmp(cache->bytes, bytes, len) == 0);
	return cache;
}

/*
 * Replace what a cache entry holds by a valid pattern, which was compiled in
 * the call site's context or is NULL for a glob.
 */
static void
pattern_cache_fill(FunctionCallInfo fcinfo, PatternCache *cache,
				   NvsPattern *pattern, const char *bytes, int len)
{
	char	   *copy = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, len + 1);

	memcpy(copy, bytes, len);
	if (cache->pattern != NULL)
		pfree(cache->pattern);
	if (cache->bytes != NULL)
		pfree(cache->bytes);
	cache->pattern = pattern;
	cache->bytes = copy;
	cache->len = len;
}

/* Compile the subject pattern in an argument, or take it from the cache. */
static const NvsPattern *
pattern_argument(FunctionCallInfo fcinfo, int n)
{
	text	   *arg = PG_GETARG_TEXT_PP(n);
	const char *bytes = VARDATA_ANY(arg);
	int			len = VARSIZE_ANY_EXHDR(arg);
	bool		hit;
	PatternCache *cache = pattern_cache_find(fcinfo, bytes, len, &hit);
	MemoryContext old;
	NvsPattern *pattern;

	if (hit)
		return cache->pattern;
	if (cache == NULL)
		return nvs_pattern_compile(bytes, len);

	/* An error in here leaves the cache entry as it was. */
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	pattern = nvs_pattern_compile(bytes, len);
	MemoryContextSwitchTo(old);
	pattern_cache_fill(fcinfo, cache, pattern, bytes, len);
	return pattern;
}

/* nvent.subject_is_valid(text): is this a subject? */
Datum
nvs_subject_is_valid(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(nvs_subject_check(VARDATA_ANY(arg),
									 VARSIZE_ANY_EXHDR(arg), NULL));
}

/* nvent.subject_tokens(text): the tokens of a subject. */
Datum
nvs_subject_tokens(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(arg);
	int			len = VARSIZE_ANY_EXHDR(arg);
	NvsSubject	subject;
	Datum		tokens[NVS_SUBJECT_MAX_TOKENS];
	int			i;

	if (!nvs_subject_split(s, len, &subject, NULL))
		nvs_subject_validate(s, len);	/* finds the fault again and raises */
	for (i = 0; i < subject.ntokens; i++)
	{
		NvsSpan		span = subject.tokens[i];
		text	   *token = cstring_to_text_with_len(s + span.offset, span.len);

		tokens[i] = PointerGetDatum(token);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(tokens, subject.ntokens, TEXTOID,
										  -1, false, TYPALIGN_INT));
}

/* nvent.subject_escape(text): the pattern that matches this subject alone. */
Datum
nvs_subject_escape(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(arg);
	int			len = VARSIZE_ANY_EXHDR(arg);

	nvs_subject_validate(s, len);
	PG_RETURN_TEXT_P(cstring_to_text(nvs_pattern_of_subject(s, len)));
}

/* nvent.subject_pattern_is_valid(text): is this a subject pattern? */
Datum
nvs_subject_pattern_is_valid(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	NvsPattern *pattern;

	pattern = nvs_pattern_parse(VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg), NULL);
	if (pattern == NULL)
		PG_RETURN_BOOL(false);
	pfree(pattern);
	PG_RETURN_BOOL(true);
}

/* nvent.subject_prefix(text): what every match of a pattern begins with. */
Datum
nvs_subject_prefix(PG_FUNCTION_ARGS)
{
	const NvsPattern *pattern = pattern_argument(fcinfo, 0);
	bool		is_literal;
	int			len = nvs_pattern_prefix(pattern, &is_literal);

	PG_RETURN_TEXT_P(cstring_to_text_with_len(pattern->bytes, len));
}

/* nvent.subject_matches(subject, pattern): false for what is no subject. */
Datum
nvs_subject_matches(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	const NvsPattern *pattern = pattern_argument(fcinfo, 1);

	PG_RETURN_BOOL(nvs_pattern_match(pattern, VARDATA_ANY(subject),
									 VARSIZE_ANY_EXHDR(subject), NULL));
}

/* A JSON object, by name, of what a pattern's captures took from s. */
static Jsonb *
subject_captures_jsonb(const NvsPattern *pattern, const char *s,
					   const NvsCapture *captures)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < nvs_pattern_capture_count(pattern); i++)
	{
		const char *name = nvs_pattern_capture_name(pattern, i);
		JsonbValue	v;

		/* The names are unique, so no pair is lost when the object is made. */
		v.type = jbvString;
		v.val.string.val = unconstify(char *, name);
		v.val.string.len = strlen(name);
		pushJsonbValue(&state, WJB_KEY, &v);
		v.val.string.val = unconstify(char *, s + captures[i].offset);
		v.val.string.len = captures[i].len;
		pushJsonbValue(&state, WJB_VALUE, &v);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

/* nvent.subject_captures(subject, pattern): NULL when it does not match. */
Datum
nvs_subject_captures(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(subject);
	const NvsPattern *pattern = pattern_argument(fcinfo, 1);
	NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];

	if (!nvs_pattern_match(pattern, s, VARSIZE_ANY_EXHDR(subject), captures))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(subject_captures_jsonb(pattern, s, captures));
}

/* nvent.kv_glob_matches(key, pattern): does the glob match all of the key? */
Datum
nvs_kv_glob_matches(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	text	   *glob = PG_GETARG_TEXT_PP(1);
	const char *bytes = VARDATA_ANY(glob);
	int			len = VARSIZE_ANY_EXHDR(glob);
	bool		hit;
	PatternCache *cache = pattern_cache_find(fcinfo, bytes, len, &hit);

	/* Only its validity is worth keeping: the matcher reads the glob itself. */
	if (!hit)
	{
		nvs_glob_validate(bytes, len);
		if (cache != NULL)
			pattern_cache_fill(fcinfo, cache, NULL, bytes, len);
	}
	PG_RETURN_BOOL(nvs_glob_match(bytes, len, VARDATA_ANY(key),
								  VARSIZE_ANY_EXHDR(key)));
}
