/*
 * base/time.c
 *	  Points in time: arithmetic, and the units that we store them in.
 */
#include "postgres.h"

#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/time.h"

/* Days of a month, on the average of the 400 years of the calendar. */
#define MONTH_DAYS	(146097.0 / 4800)

/* The time that is span after t; raises 22008 when it is out of range. */
TimestampTz
nvs_after(TimestampTz t, const Interval *span)
{
	Datum		sum = DirectFunctionCall2(timestamptz_pl_interval,
										  TimestampTzGetDatum(t),
										  IntervalPGetDatum(span));

	return DatumGetTimestampTz(sum);
}

/*
 * The time that is span after t; where that is out of range, or within a year
 * of it, the bound on that side.  For a span that was accepted before, and must
 * not keep anybody from anything now.  Months, days and the rest are added one
 * behind the other, and each sum has to be in range.
 */
TimestampTz
nvs_after_or_bound(TimestampTz t, const Interval *span)
{
	const double first = (double) MIN_TIMESTAMP + 366 * USECS_PER_DAY;
	double		parts[] = {
		span->month * MONTH_DAYS * USECS_PER_DAY,
		(double) span->day * USECS_PER_DAY,
		(double) span->time
	};
	double		sum = t;
	int			i;

	for (i = 0; i < lengthof(parts); i++)
	{
		sum += parts[i];
		if (sum > NVS_LAST_TIME)
			return NVS_LAST_TIME;
		if (sum < first)
			return MIN_TIMESTAMP;
	}
	return nvs_after(t, span);
}

/* Milliseconds since 1970 of the server's clock, as it is now. */
int64
nvs_now_ms(void)
{
	return nvs_timestamptz_to_ms(GetCurrentTimestamp());
}

/*
 * Microseconds of a clock that nobody sets, which all processes share: for what
 * is to happen after a while.  The server's clock may be put back meanwhile,
 * and by years where it was wrong when the machine came up.  It is a year ahead
 * of the machine's, so that 0 was long ago.
 */
int64
nvs_uptime(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now) + 366 * USECS_PER_DAY;
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
