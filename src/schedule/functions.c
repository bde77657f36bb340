/*
 * schedule/functions.c
 *	  The SQL functions on cron expressions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/arg.h"
#include "schedule/cron.h"

/* Times that one preview shows. */
#define PREVIEW_MAX		10000

PG_FUNCTION_INFO_V1(nvs_cron_next);
PG_FUNCTION_INFO_V1(nvs_schedule_preview);

static pg_tz *cron_arguments(FunctionCallInfo fcinfo, NvsCron *cron,
							 TimestampTz *after);

/* Arguments 0 to 2 of both: an expression, a time zone, and a point in time. */
static pg_tz *
cron_arguments(FunctionCallInfo fcinfo, NvsCron *cron, TimestampTz *after)
{
	text	   *expression = PG_GETARG_TEXT_PP(0);

	nvs_cron_parse(VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression),
				   cron);
	*after = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(*after))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"after\" must be finite")));
	return nvs_cron_zone(text_to_cstring(PG_GETARG_TEXT_PP(1)));
}

/* nvent.cron_next(expression, time_zone, after) */
Datum
nvs_cron_next(PG_FUNCTION_ARGS)
{
	NvsCron		cron;
	TimestampTz after;
	pg_tz	   *zone = cron_arguments(fcinfo, &cron, &after);

	if (!nvs_cron_after(&cron, zone, after, &after))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(after);
}

/* nvent.schedule_preview(expression, time_zone, after, max_count) */
Datum
nvs_schedule_preview(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsCron		cron;
	TimestampTz at;
	pg_tz	   *zone = cron_arguments(fcinfo, &cron, &at);
	int			count = PG_GETARG_INT32(3);
	int			i;

	if (count < 0 || count > PREVIEW_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						PREVIEW_MAX),
				 errdetail("It is %d.", count)));
	for (i = 0; i < count && nvs_cron_after(&cron, zone, at, &at); i++)
	{
		Datum		value = TimestampTzGetDatum(at);
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result, desc, &value, &isnull);
	}
	return (Datum) 0;
}
