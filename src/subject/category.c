/*
 * subject/category.c
 *	  Categories of subjects, and the members of groups that share them.
 *
 * A category is the first tokens of a subject, two unless said otherwise; the
 * rest is its id, the first token of which is the cardinal id.  A group of
 * consumers shares subjects by the hash of the cardinal id, so that all ids
 * compounded from it stay with one member; a subject without an id is hashed
 * as a whole.  The hash is part of what users rely on: it never changes.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "compat.h"
#include "subject/subject.h"

PG_FUNCTION_INFO_V1(nvs_subject_category);
PG_FUNCTION_INFO_V1(nvs_subject_id);
PG_FUNCTION_INFO_V1(nvs_subject_cardinal_id);
PG_FUNCTION_INFO_V1(nvs_subject_member);

static int	category_len(const char *s, int len, int tokens);
static const char *category_cardinal_id(const char *s, int len, int tokens,
										int *idlen);

/* Bytes of a subject's first tokens; len when it has no more. */
static int
category_len(const char *s, int len, int tokens)
{
	int			i;

	if (tokens < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a category must have at least one token")));
	for (i = 0; i < len; i++)
		if (s[i] == ':' && --tokens == 0)
			return i;
	return len;
}

/* The cardinal id; NULL when a subject is a bare category. */
static const char *
category_cardinal_id(const char *s, int len, int tokens, int *idlen)
{
	int			start = category_len(s, len, tokens);
	const char *end;

	if (start == len)
		return NULL;
	s += start + 1;
	len -= start + 1;
	end = memchr(s, ':', len);
	*idlen = end == NULL ? len : end - s;
	return s;
}

/* nvent.subject_category(subject, tokens) */
Datum
nvs_subject_category(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(subject);
	int			len = VARSIZE_ANY_EXHDR(subject);

	len = category_len(s, len, PG_GETARG_INT32(1));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(s, len));
}

/* nvent.subject_id(subject, tokens) */
Datum
nvs_subject_id(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(subject);
	int			len = VARSIZE_ANY_EXHDR(subject);
	int			start = category_len(s, len, PG_GETARG_INT32(1));

	if (start == len)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(s + start + 1,
											  len - start - 1));
}

/* nvent.subject_cardinal_id(subject, tokens) */
Datum
nvs_subject_cardinal_id(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	int			len;
	const char *id = category_cardinal_id(VARDATA_ANY(subject),
										  VARSIZE_ANY_EXHDR(subject),
										  PG_GETARG_INT32(1), &len);

	if (id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(id, len));
}

/* nvent.subject_member(subject, size, tokens): from 0 to size - 1. */
Datum
nvs_subject_member(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	const char *s = VARDATA_ANY(subject);
	int			len = VARSIZE_ANY_EXHDR(subject);
	int32		size = PG_GETARG_INT32(1);
	int			idlen;
	const char *id = category_cardinal_id(s, len, PG_GETARG_INT32(2), &idlen);
	uint64		hash;

	if (size < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size of a group must be at least 1"),
				 errdetail("It is %d.", size)));
	if (id == NULL)
	{
		id = s;
		idlen = len;
	}
	hash = hash_bytes_extended((const unsigned char *) id, idlen, 0);
	PG_RETURN_INT32((int32) (hash % (uint64) size));
}
