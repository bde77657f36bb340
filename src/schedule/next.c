/*
 * schedule/next.c
 *	  When a cron expression is the next time, on a clock and in a time zone.
 *
 * On a clock that is never put forward or back the fields are searched from the
 * largest to the smallest, so that a call looks at months, not at minutes.
 * Such a local time is a number of seconds since 1970, as if in UTC.
 *
 * In a time zone the clock jumps.  An expression whose hours are all 24 runs
 * through it: it is due at each instant whose local time it matches, so twice
 * in an hour that comes twice, and not in one that is left out.  Any other is
 * due when the clock shows or passes one of its times for the first time: in
 * what is left out, at the first instant behind it, once; in what comes twice,
 * the first time.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "schedule/cron.h"

/*
 * The calendar repeats itself after as many years, weekdays included; what has
 * not come by then never does.
 */
#define CALENDAR_YEARS	400

/* How far the offset of a time zone may change at once, and more. */
#define MAX_JUMP		(2 * (int64) SECS_PER_DAY)

#define WEEK_DAYS		7
#define ALL_HOURS		((UINT64CONST(1) << HOURS_PER_DAY) - 1)

#define UNIX_TO_POSTGRES_SECS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* A span of time in which a zone's clock does not jump. */
typedef struct ZoneSpan
{
	pg_time_t	end;			/* the first instant behind it */
	int64		offset;			/* of local time from UTC, in seconds */
} ZoneSpan;

static int	cron_bit(uint64 bits, int from);
static int	cron_second_of_day(const NvsCron *cron, int from);
static bool cron_day(const NvsCron *cron, int from, int *day);
static uint64 cron_days_of_month(const NvsCron *cron, int ndays, int weekday);
static uint64 cron_weekdays(const NvsCron *cron, int ndays, int weekday);
static uint64 cron_near(int day, int ndays, int weekday);
static bool cron_next_local(const NvsCron *cron, int64 from, int64 *local);
static void zone_span(const pg_tz *zone, pg_time_t t, ZoneSpan *span);
static int64 zone_latest_local(const pg_tz *zone, pg_time_t t);
static bool cron_next_shown(const NvsCron *cron, const pg_tz *zone,
							pg_time_t from, pg_time_t *next);
static bool cron_next_passed(const NvsCron *cron, const pg_tz *zone,
							 pg_time_t from, pg_time_t *next);

/* The first bit that is set at or above from; -1 when none is. */
static int
cron_bit(uint64 bits, int from)
{
	if (from > 63)
		return -1;
	bits &= ~UINT64CONST(0) << from;
	return bits == 0 ? -1 : pg_rightmost_one_pos64(bits);
}

/* The first second of a day at or after from that matches; -1 for none. */
static int
cron_second_of_day(const NvsCron *cron, int from)
{
	int			hour = cron_bit(cron->hours, from / SECS_PER_HOUR);
	int			minute = 0;
	int			second = 0;

	/* In the same hour, and in the same minute? */
	if (hour == from / SECS_PER_HOUR)
	{
		minute = from / SECS_PER_MINUTE % MINS_PER_HOUR;
		if (cron_bit(cron->minutes, minute) == minute)
			second = cron_bit(cron->seconds, from % SECS_PER_MINUTE);
		if (second < 0)
			minute++;
		minute = cron_bit(cron->minutes, minute);
		if (minute < 0)
			hour = cron_bit(cron->hours, hour + 1);
	}
	if (hour < 0)
		return -1;

	/* What is behind a later hour or minute begins anew. */
	if (minute < 0 || hour != from / SECS_PER_HOUR)
		minute = cron_bit(cron->minutes, 0);
	if (second < 0 || (hour * MINS_PER_HOUR + minute) != from / SECS_PER_MINUTE)
		second = cron_bit(cron->seconds, 0);
	return (hour * MINS_PER_HOUR + minute) * SECS_PER_MINUTE + second;
}

/*
 * The first day at or after from that matches, Julian days both; false when
 * none ever does.  It is looked for month by month.
 */
static bool
cron_day(const NvsCron *cron, int from, int *day)
{
	int			year;
	int			month;
	int			first;
	int			i;

	/* In the month of from only days from that on are of use. */
	j2date(from, &year, &month, &first);
	for (i = 0; i <= CALENDAR_YEARS * MONTHS_PER_YEAR; i++)
	{
		int			ndays = day_tab[isleap(year)][month - 1];
		int			start = date2j(year, month, 1);
		int			found = -1;

		/* All days of a month at once, as bits. */
		if ((cron->months & (UINT64CONST(1) << month)) != 0)
			found = cron_bit(cron_days_of_month(cron, ndays, j2day(start)),
							 first);
		if (found >= 0)
		{
			*day = start + found - 1;
			return true;
		}

		/* In all later months from the first day on. */
		first = 1;
		if (++month > MONTHS_PER_YEAR)
		{
			month = 1;
			year++;
		}
	}
	return false;
}

/*
 * The days of a month that match, as bits from 1 on, given how many days it has
 * and the day of the week of its first one.
 */
static uint64
cron_days_of_month(const NvsCron *cron, int ndays, int weekday)
{
	uint64		all = ((UINT64CONST(1) << ndays) - 1) << 1;
	uint64		days = cron->days & all;
	uint64		weekdays = cron_weekdays(cron, ndays, weekday);
	int			n;

	for (n = 0; (n = cron_bit(cron->days_before_end, n)) >= 0 && n < ndays; n++)
		days |= UINT64CONST(1) << (ndays - n);
	for (n = 0; (n = cron_bit(cron->near_days, n)) >= 0 && n <= ndays; n++)
		days |= cron_near(n, ndays, weekday);
	if (cron->near_end)
		days |= cron_near(ndays, ndays, weekday);
	return cron->both ? days & weekdays : days | weekdays;
}

/* The days of a month of ndays that match by their day of the week. */
static uint64
cron_weekdays(const NvsCron *cron, int ndays, int weekday)
{
	uint64		days = 0;
	int			d;

	for (d = 1; d <= ndays; d++)
	{
		int			w = (weekday + d - 1) % WEEK_DAYS;
		uint64		weeks = NVS_CRON_NTH((d - 1) / WEEK_DAYS + 1, w);

		if (d + WEEK_DAYS > ndays)
			weeks |= NVS_CRON_NTH(NVS_CRON_LAST_WEEK, w);
		if ((cron->weekdays & (UINT64CONST(1) << w)) != 0 ||
			(cron->nth & weeks) != 0)
			days |= UINT64CONST(1) << d;
	}
	return days;
}

/* The day from Monday to Friday of the same month that is nearest to a day. */
static uint64
cron_near(int day, int ndays, int weekday)
{
	int			w = (weekday + day - 1) % WEEK_DAYS;

	if (w == 6)
		day += day == 1 ? 2 : -1;
	else if (w == 0)
		day += day == ndays ? -2 : 1;
	return UINT64CONST(1) << day;
}

/*
 * The first local time at or after from that matches; false when none ever
 * does.
 */
static bool
cron_next_local(const NvsCron *cron, int64 from, int64 *local)
{
	int64		days = from / SECS_PER_DAY - (from % SECS_PER_DAY < 0 ? 1 : 0);
	int			today = (int) days + UNIX_EPOCH_JDATE;
	int			second;
	int			day;

	second = cron_second_of_day(cron, (int) (from - days * SECS_PER_DAY));
	if (!cron_day(cron, second < 0 ? today + 1 : today, &day))
		return false;
	if (second < 0 || day != today)
		second = cron_second_of_day(cron, 0);
	*local = (int64) (day - UNIX_EPOCH_JDATE) * SECS_PER_DAY + second;
	return true;
}

/* The span of a zone that t is in, from t on. */
static void
zone_span(const pg_tz *zone, pg_time_t t, ZoneSpan *span)
{
	struct pg_tm *local = pg_localtime(&t, zone);
	long int	before;
	long int	after;
	int			before_dst;
	int			after_dst;

	span->offset = local == NULL ? 0 : local->tm_gmtoff;
	if (pg_next_dst_boundary(&t, &before, &before_dst, &span->end,
							 &after, &after_dst, zone) != 1)
		span->end = PG_INT64_MAX;
}

/* The latest local time that a zone's clock has shown at or before t. */
static int64
zone_latest_local(const pg_tz *zone, pg_time_t t)
{
	pg_time_t	from = t - MAX_JUMP;
	int64		latest = PG_INT64_MIN;
	ZoneSpan	span;

	do
	{
		zone_span(zone, from, &span);
		latest = Max(latest, Min(span.end - 1, t) + span.offset);
		from = span.end;
	} while (from <= t);
	return latest;
}

/* The first instant at or after from whose local time matches. */
static bool
cron_next_shown(const NvsCron *cron, const pg_tz *zone, pg_time_t from,
				pg_time_t *next)
{
	const int64 days = CALENDAR_YEARS * (int64) 366;
	pg_time_t	last = from + days * SECS_PER_DAY;
	ZoneSpan	span;
	int64		local;

	for (; from <= last; from = span.end)
	{
		zone_span(zone, from, &span);
		if (!cron_next_local(cron, from + span.offset, &local))
			return false;
		*next = local - span.offset;
		if (*next < span.end)
			return true;
	}
	return false;
}

/* The first instant at or after from at which the clock reaches a time. */
static bool
cron_next_passed(const NvsCron *cron, const pg_tz *zone, pg_time_t from,
				 pg_time_t *next)
{
	int64		local;
	ZoneSpan	span;

	if (!cron_next_local(cron, zone_latest_local(zone, from - 1) + 1,
						 &local))
		return false;
	for (;; from = span.end)
	{
		zone_span(zone, from, &span);
		if (local - span.offset < span.end)
			break;
	}
	/* If the clock never shows it, it jumps over it right here. */
	*next = Max(local - span.offset, from);
	return true;
}

/*
 * The first instant after another one at which an expression is due in a time
 * zone; false when there is none that a timestamp can hold.
 */
bool
nvs_cron_after(const NvsCron *cron, pg_tz *zone, TimestampTz after,
			   TimestampTz *next)
{
	pg_time_t	from = after / USECS_PER_SEC + UNIX_TO_POSTGRES_SECS + 1;
	pg_time_t	t;
	bool		found;

	if (after % USECS_PER_SEC < 0)
		from--;
	if (cron->hours == ALL_HOURS)
		found = cron_next_shown(cron, zone, from, &t);
	else
		found = cron_next_passed(cron, zone, from, &t);
	if (!found || t - UNIX_TO_POSTGRES_SECS >= END_TIMESTAMP / USECS_PER_SEC)
		return false;
	*next = (t - UNIX_TO_POSTGRES_SECS) * USECS_PER_SEC;
	return true;
}
