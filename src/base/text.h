/*
 * base/text.h
 *	  Building the text of SQL, and the order of texts.
 */
#ifndef NVS_BASE_TEXT_H
#define NVS_BASE_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* Append strings: what builds a statement on each call cannot afford printf. */
#define nvs_sql(buf, ...)	nvs_sql_list(buf, __VA_ARGS__, NULL)

extern char *nvs_qualified(const char *schema, const char *name);
extern void nvs_sql_list(StringInfo buf,...);
extern void nvs_sql_param(StringInfo buf, const char *before, int n);
extern int	nvs_text_compare(const text *a, const text *b);

#endif							/* NVS_BASE_TEXT_H */
