/*
 * base/time.c
 *	  Points in time: arithmetic, and the units that we store them in.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/time.h"

/* The time that is span after t; raises 22008 when it is out of range. */
TimestampTz
nvs_after(TimestampTz t, const Interval *span)
{
	Datum		sum = DirectFunctionCall2(timestamptz_pl_interval,
										  TimestampTzGetDatum(t),
										  IntervalPGetDatum(span));

	return DatumGetTimestampTz(sum);
}

/* Milliseconds since 1970 of the server's clock, as it is now. */
int64
nvs_now_ms(void)
{
	return nvs_timestamptz_to_ms(GetCurrentTimestamp());
}

/* Milliseconds since 1970, rounded down. */
int64
nvs_timestamptz_to_ms(TimestampTz t)
{
	int64		us = t + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		USECS_PER_DAY;
	int64		ms = us / 1000;

	return us % 1000 < 0 ? ms - 1 : ms;
}

/* The time of milliseconds since 1970; raises 22008 when it is out of range. */
TimestampTz
nvs_ms_to_timestamptz(int64 ms)
{
	const int64 epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		USECS_PER_DAY / 1000;

	if (ms < MIN_TIMESTAMP / 1000 + epoch || ms >= END_TIMESTAMP / 1000 + epoch)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return (ms - epoch) * 1000;
}

/* Hours since 1970, rounded down; those that int32 cannot hold are the last. */
int32
nvs_timestamptz_to_hours(TimestampTz t)
{
	int64		hours = t / USECS_PER_HOUR - (t % USECS_PER_HOUR < 0 ? 1 : 0);

	hours += (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * HOURS_PER_DAY;
	return (int32) Min(hours, PG_INT32_MAX);
}
