/*
 * store/stream_table.c
 *	  Generic stream tables: which one a subject belongs to.
 *
 * What no route takes is in the generic stream table of its type, which is a
 * token: the one behind the store's name where a subject begins with that,
 * else the first, since what begins with no store's name is the default
 * store's.  "order:17" and "nvent:order:17" are subjects of type "order".  The
 * type may be empty, as that of ":x" and of "nvent" alone.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "errors.h"
#include "base/advisory.h"
#include "store/stream_table.h"

/* Hexadecimal digits of the hash in the name of a table. */
#define NAME_HASH_LEN	12

/* Raise an error unless this can be a type: a token of a subject. */
void
nvs_stream_type_check(const char *type)
{
	size_t		len = strlen(type);

	if (len > NVS_SUBJECT_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_SUBJECT),
				 errmsg("stream type is too long"),
				 errdetail("It has %zu bytes, and a token of a subject has "
						   "at most %d.", len, NVS_SUBJECT_MAX_BYTES)));
	if (strchr(type, ':') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_SUBJECT),
				 errmsg("invalid stream type \"%s\"", type),
				 errdetail("A type is one token of a subject.")));
}

/* The type of a subject that belongs to the store of this prefix. */
NvsSpan
nvs_stream_type_of(const char *prefix, const char *subject, int len)
{
	const char *end = memchr(subject, ':', len);
	NvsSpan		type;

	type.offset = 0;
	type.len = end == NULL ? len : end - subject;
	if (type.len != strlen(prefix) || memcmp(subject, prefix, type.len) != 0)
		return type;

	/* It is the store's name: take the next token, if there is one. */
	type.offset = end == NULL ? len : type.len + 1;
	end = memchr(subject + type.offset, ':', len - type.offset);
	type.len = (end == NULL ? subject + len : end) - subject - type.offset;
	return type;
}

/*
 * May subjects of this type match the pattern?  So they may whatever the
 * default store is: which one that was when they were written, nobody knows.
 */
bool
nvs_stream_type_matches(const char *prefix, const char *type,
						const NvsPattern *pattern)
{
	int			len = strlen(type);

	if (nvs_pattern_may_be(pattern, 0, type, len))
		return true;
	if (!nvs_pattern_may_be(pattern, 0, prefix, strlen(prefix)))
		return false;
	return nvs_pattern_may_be(pattern, 1, type, len) ||
		(len == 0 && pattern->ntokens == 1);
}

/* Does a table's name look as if its end were a hash? */
bool
nvs_stream_table_hashed(const char *name)
{
	size_t		len = strlen(name);
	const char *hash = name + len - NAME_HASH_LEN;

	/* Cutting at a character's end may cost up to three bytes more. */
	return len >= NAMEDATALEN - 4 && hash[-1] == '_' &&
		strspn(hash, "0123456789abcdef") == NAME_HASH_LEN;
}

/*
 * Name of the generic stream table of a type.  What is too long for a name
 * ends in a hash instead, and so does what only looks like that: no two types
 * have one name.
 */
char *
nvs_stream_table_name(const char *prefix, const char *type)
{
	char	   *name = psprintf("%s_stream_%s", prefix, type);
	int			keep;

	if (strlen(name) < NAMEDATALEN && !nvs_stream_table_hashed(name))
		return name;
	keep = pg_mbcliplen(name, strlen(name), NAMEDATALEN - NAME_HASH_LEN - 2);
	return psprintf("%.*s_%012llx", keep, name,
					(unsigned long long) (nvs_hash(type, strlen(type), 0) &
										  UINT64CONST(0xFFFFFFFFFFFF)));
}
