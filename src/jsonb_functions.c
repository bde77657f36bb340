/*
 * jsonb_functions.c
 *	  The jsonb functions of SQL: arguments in, one call, result out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "jsonb_merge.h"

PG_FUNCTION_INFO_V1(nvs_jsonb_deep_merge);
PG_FUNCTION_INFO_V1(nvs_jsonb_merge_patch);

typedef Jsonb *(*MergeFunction) (const Jsonb *target, const Jsonb *source,
								 bool *changed);

/* A merge of arguments 0 and 1, of which either may be NULL. */
static Datum
merge_arguments(FunctionCallInfo fcinfo, MergeFunction merge)
{
	const Jsonb *target = NULL;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		return PG_GETARG_DATUM(0);
	}
	if (!PG_ARGISNULL(0))
		target = PG_GETARG_JSONB_P(0);
	PG_RETURN_JSONB_P(merge(target, PG_GETARG_JSONB_P(1), NULL));
}

/* jsonb_deep_merge(target jsonb, source jsonb) */
Datum
nvs_jsonb_deep_merge(PG_FUNCTION_ARGS)
{
	return merge_arguments(fcinfo, nvs_deep_merge);
}

/* jsonb_merge_patch(target jsonb, patch jsonb) */
Datum
nvs_jsonb_merge_patch(PG_FUNCTION_ARGS)
{
	return merge_arguments(fcinfo, nvs_merge_patch);
}
