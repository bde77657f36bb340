/*
 * base/text.c
 *	  Building the text of SQL, and the order of texts.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "compat.h"
#include "base/text.h"

/* schema.name, each quoted where that is needed; palloc'd. */
char *
nvs_qualified(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

/* Append strings up to a NULL, which nvs_sql() puts behind its own. */
void
nvs_sql_list(StringInfo buf,...)
{
	va_list		args;
	const char *s;

	va_start(args, buf);
	while ((s = va_arg(args, const char *)) != NULL)
		appendBinaryStringInfo(buf, s, strlen(s));
	va_end(args);
}

/* Append a string and the name of parameter n, $n. */
void
nvs_sql_param(StringInfo buf, const char *before, int n)
{
	char		number[MAXINT8LEN + 1];

	pg_ltoa(n, number);
	nvs_sql(buf, before, "$", number);
}

/* Compare texts as bytes, as collation "C" does: below 0, 0 or above. */
int
nvs_text_compare(const text *a, const text *b)
{
	int			alen = VARSIZE_ANY_EXHDR(a);
	int			blen = VARSIZE_ANY_EXHDR(b);
	int			diff = memcmp(VARDATA_ANY(a), VARDATA_ANY(b),
							  Min(alen, blen));

	return diff != 0 ? diff : alen - blen;
}
