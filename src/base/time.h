/*
 * base/time.h
 *	  Points in time: arithmetic, and the units that we store them in.
 */
#ifndef NVS_BASE_TIME_H
#define NVS_BASE_TIME_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* As good as never: a year before the last timestamp, to leave some room. */
#define NVS_LAST_TIME	(END_TIMESTAMP - 366 * USECS_PER_DAY)

extern TimestampTz nvs_after(TimestampTz t, const Interval *span);
extern TimestampTz nvs_after_or_bound(TimestampTz t, const Interval *span);
extern int64 nvs_now_ms(void);
extern int64 nvs_uptime(void);
extern int64 nvs_timestamptz_to_ms(TimestampTz t);
extern TimestampTz nvs_ms_to_timestamptz(int64 ms);
extern int32 nvs_timestamptz_to_hours(TimestampTz t);

#endif							/* NVS_BASE_TIME_H */
