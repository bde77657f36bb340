/*
 * base/arg.c
 *	  Arguments and result sets of SQL-callable functions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/arg.h"
#include "base/time.h"

/* Report that the argument called name must not be NULL. */
void
nvs_null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}

/* Argument n, a number of rows; -1 for NULL, which is no limit. */
int64
nvs_count_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int32		count;

	if (PG_ARGISNULL(n))
		return -1;
	count = PG_GETARG_INT32(n);
	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name),
				 errdetail("It is %d.", count),
				 errhint("Pass NULL for no limit.")));
	return count;
}

/*
 * Argument n, an interval that something is to live for from now on; NULL when
 * it is NULL.  Raises 22023 unless it is positive.
 */
Interval *
nvs_ttl_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	TimestampTz now;
	Interval   *ttl;
	Datum		shown;

	if (PG_ARGISNULL(n))
		return NULL;
	now = GetCurrentTimestamp();
	ttl = PG_GETARG_INTERVAL_P(n);
	if (nvs_after(now, ttl) > now)
		return ttl;
	shown = DirectFunctionCall1(interval_out, IntervalPGetDatum(ttl));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" must be greater than zero", name),
			 errdetail("It is %s.", DatumGetCString(shown))));
}

/*
 * Take an array argument apart, into the current memory context.  Returns
 * false, and sets nothing, when it is NULL.  Raises an error when it is longer
 * than arrays->max, or has another length than the arrays before it, which
 * arrays remembers.
 */
bool
nvs_array_argument(NvsArrayArgs *arrays, FunctionCallInfo fcinfo, int n,
				   const char *name, Datum **values, bool **nulls)
{
	ArrayType  *array;
	int			length;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (PG_ARGISNULL(n))
		return false;

	/* Its header tells the length, before there is work for each element. */
	array = PG_GETARG_ARRAYTYPE_P(n);
	length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (arrays->first != NULL && length != arrays->length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must have as many elements as "
						"argument \"%s\"", name, arrays->first),
				 errdetail("It has %d, \"%s\" has %d.", length,
						   arrays->first, arrays->length)));
	if (length > arrays->max)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many %s in one call: %d", arrays->what, length),
				 errdetail("One call names at most %d.", arrays->max)));

	/* The first one says how long the others have to be. */
	if (arrays->first == NULL)
		arrays->first = name;
	arrays->length = length;

	/* Those that are passed by reference point into the array. */
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  values, nulls, &length);
	return true;
}

/* An array of values of a type; nulls may be NULL for none. */
Datum
nvs_array_of(Oid type, const Datum *values, const bool *nulls, int n)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array((Datum *) values,
											  (bool *) nulls, 1, &n, &lower,
											  type, typlen, typbyval,
											  typalign));
}

/*
 * The tuplestore that a set-returning function fills, in the memory of the
 * calling query.  *desc is the row type, with one column for a function that
 * returns a set of a scalar.
 */
Tuplestorestate *
nvs_result_set(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	Oid			type;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot "
						"accept a set")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);

	/*
	 * The query has made the row type out of the catalog already, which takes
	 * as long as it takes to lock a job.  It frees the copy.
	 */
	if (rsinfo->expectedDesc != NULL)
		*desc = CreateTupleDescCopy(rsinfo->expectedDesc);
	else if (get_call_result_type(fcinfo, &type, desc) != TYPEFUNC_COMPOSITE)
	{
		*desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(*desc, 1, "value", type, -1, 0);
	}
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap(true, false, work_mem);
	rsinfo->setDesc = *desc;
	MemoryContextSwitchTo(old);
	return rsinfo->setResult;
}

/*
 * Is a numeric a whole number?  numeric_int8() rounds, and so alone would take
 * 1.5 for 2.  Raises 22003 for what a bigint cannot have.
 */
bool
nvs_numeric_whole(Datum number, int64 *whole)
{
	Datum		rounded;

	*whole = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	rounded = NumericGetDatum(int64_to_numeric(*whole));
	return DatumGetBool(DirectFunctionCall2(numeric_eq, number, rounded));
}

/* Put ids into a set that a function returns, a row for each; NULL for 0. */
void
nvs_result_put_ids(Tuplestorestate *result, TupleDesc desc, const int64 *ids,
				   int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		Datum		value = Int64GetDatum(ids[i]);
		bool		isnull = ids[i] == 0;

		tuplestore_putvalues(result, desc, &value, &isnull);
	}
}
