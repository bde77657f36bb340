/*
 * util.h
 *	  Helpers for SQL-callable functions.
 */
#ifndef NVS_UTIL_H
#define NVS_UTIL_H

#include "postgres.h"
#include "fmgr.h"

/* Raise an error that names the argument when argument n is NULL. */
#define NVS_REQUIRE_ARG(n, name) \
	do { \
		if (PG_ARGISNULL(n)) \
			nvs_null_argument(name); \
	} while (0)

extern void nvs_null_argument(const char *name) pg_attribute_noreturn();

#endif							/* NVS_UTIL_H */
