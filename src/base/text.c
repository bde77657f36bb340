/*
 * base/text.c
 *	  Building the text of SQL.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

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
