/*
 * schedule/cron.h
 *	  Cron expressions: what they say, and when it is the next time.
 */
#ifndef NVS_SCHEDULE_CRON_H
#define NVS_SCHEDULE_CRON_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"

/* Bytes that an expression may have. */
#define NVS_CRON_MAX_BYTES	1024

/* Bits of NvsCron.nth: weekday w in its n-th week, and in the last one. */
#define NVS_CRON_NTH(n, w)		(UINT64CONST(1) << (7 * ((n) - 1) + (w)))
#define NVS_CRON_LAST_WEEK		6

/* A compiled expression: of each field which values match, as bits. */
typedef struct NvsCron
{
	uint64		seconds;
	uint64		minutes;
	uint64		hours;
	uint64		months;			/* from bit 1 */
	uint64		days;			/* of the month, from bit 1 */
	uint64		days_before_end;	/* bit n: n days before the last one */
	uint64		near_days;		/* bit d: the weekday nearest to day d */
	bool		near_end;		/* the weekday nearest to the last day */
	uint64		weekdays;		/* bit 0 is Sunday */
	uint64		nth;			/* weekdays of some weeks: NVS_CRON_NTH */
	bool		both;			/* of days and weekdays both must match */
} NvsCron;

extern void nvs_cron_parse(const char *expression, int len, NvsCron *cron);
extern pg_tz *nvs_cron_zone(const char *name);
extern bool nvs_cron_after(const NvsCron *cron, pg_tz *zone, TimestampTz after,
						   TimestampTz *next);

#endif							/* NVS_SCHEDULE_CRON_H */
