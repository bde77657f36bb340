/*
 * base/arg.h
 *	  Arguments and result sets of SQL-callable functions.
 */
#ifndef NVS_BASE_ARG_H
#define NVS_BASE_ARG_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/tuplestore.h"

#include "compat.h"

/* Raise an error that names the argument when argument n is NULL. */
#define NVS_REQUIRE_ARG(n, name) \
	do { \
		if (PG_ARGISNULL(n)) \
			nvs_null_argument(name); \
	} while (0)

/* Argument n, or a default when it is NULL. */
#define NVS_ARG_OR(n, get, otherwise) \
	(PG_ARGISNULL(n) ? (otherwise) : get(n))

/* Arrays of one call whose elements belong together: all have one length. */
typedef struct NvsArrayArgs
{
	const char *what;			/* what the elements stand for, in the plural */
	int			max;			/* elements that an array may have */
	const char *first;			/* name of the first array; NULL before it */
	int			length;
} NvsArrayArgs;

pg_noreturn extern void nvs_null_argument(const char *name);
extern int64 nvs_count_argument(FunctionCallInfo fcinfo, int n,
								const char *name);
extern Interval *nvs_ttl_argument(FunctionCallInfo fcinfo, int n,
								  const char *name);
extern bool nvs_array_argument(NvsArrayArgs *arrays, FunctionCallInfo fcinfo,
							   int n, const char *name, Datum **values,
							   bool **nulls);
extern Datum nvs_array_of(Oid type, const Datum *values, const bool *nulls,
						  int n);
extern bool nvs_numeric_whole(Datum number, int64 *whole);
extern Tuplestorestate *nvs_result_set(FunctionCallInfo fcinfo,
									   TupleDesc *desc);
extern void nvs_result_put_ids(Tuplestorestate *result, TupleDesc desc,
							   const int64 *ids, int n);

#endif							/* NVS_BASE_ARG_H */
