/*
 * util.c
 *	  Helpers for SQL-callable functions.
 */
#include "util.h"

#include "errors.h"

/* Report that the argument called name must not be NULL. */
void
nvs_null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}
