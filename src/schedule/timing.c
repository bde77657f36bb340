/*
 * schedule/timing.c
 *	  When a schedule is due: by cron, at an interval, or once.
 *
 * What comes next is reckoned from the time that was due, not from when it was
 * run, so that nothing drifts.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/time.h"
#include "schedule/schedule.h"

/* Intervals: the least and the greatest, in ms. */
#define MIN_INTERVAL	INT64CONST(1000)
#define MAX_INTERVAL	(INT64CONST(36525) * SECS_PER_DAY * 1000)

/*
 * Compile what a row or a call says.  cron may be NULL; has_every says whether
 * there is an interval.  Raises 22023 for what makes no sense.
 */
void
nvs_timing_init(NvsTiming *timing, const text *cron, const char *zone,
				bool has_every, int64 every)
{
	memset(timing, 0, sizeof(NvsTiming));
	if (cron != NULL && has_every)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a schedule cannot have both a cron expression and an interval")));
	if (cron != NULL)
	{
		timing->has_cron = true;
		nvs_cron_parse(VARDATA_ANY(cron), VARSIZE_ANY_EXHDR(cron),
					   &timing->cron);
		timing->zone = nvs_cron_zone(zone);
	}
	if (has_every && (every < MIN_INTERVAL || every > MAX_INTERVAL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("interval of a schedule must be from one second to 100 years"),
				 errdetail("It is %lld ms.", (long long) every)));
	timing->every = has_every ? every : 0;
}

/*
 * The first time after a point in time at which a schedule is due that was due
 * at previous, or, for an interval, set then; false when there is none.
 */
bool
nvs_timing_next(const NvsTiming *timing, int64 previous, int64 after,
				int64 *next)
{
	TimestampTz t;

	if (timing->has_cron)
	{
		if (!nvs_cron_after(&timing->cron, timing->zone,
							nvs_ms_to_timestamptz(after), &t))
			return false;
		*next = nvs_timestamptz_to_ms(t);
		return true;
	}
	if (timing->every == 0)
		return false;
	after = Max(after, previous);
	*next = previous + ((after - previous) / timing->every + 1) *
		timing->every;
	return true;
}

/* What a name says of missed runs; raises 22023 for others. */
NvsMissed
nvs_schedule_missed(const char *name)
{
	if (strcmp(name, "skip") == 0)
		return NVS_MISSED_SKIP;
	if (strcmp(name, "once") == 0)
		return NVS_MISSED_ONCE;
	if (strcmp(name, "all") == 0)
		return NVS_MISSED_ALL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized way to treat missed runs: \"%s\"", name),
			 errhint("It is one of \"skip\", \"once\" and \"all\".")));
}
