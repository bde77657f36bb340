/*
 * schedule/schedule.h
 *	  Schedules: rows of {prefix}_scheduler_jobs that are due from time to time.
 */
#ifndef NVS_SCHEDULE_SCHEDULE_H
#define NVS_SCHEDULE_SCHEDULE_H

#include "postgres.h"

#include "utils/acl.h"
#include "utils/array.h"

#include "route/table_set.h"
#include "schedule/cron.h"

/* In SQL, that a row of {scheduler_jobs} is a schedule. */
#define NVS_IS_SCHEDULE(alias) \
	"(" alias ".config OPERATOR(pg_catalog.->>) 'subject' IS NOT NULL " \
	"OR " alias ".config OPERATOR(pg_catalog.->>) 'queue' IS NOT NULL " \
	"AND pg_catalog.jsonb_typeof(" alias ".config " \
	"OPERATOR(pg_catalog.->) 'job') OPERATOR(pg_catalog.=) 'object')"

/* What becomes of runs that nobody was there for. */
typedef enum NvsMissed
{
	NVS_MISSED_SKIP,			/* none of them is made up for */
	NVS_MISSED_ONCE,			/* one run is for all of them */
	NVS_MISSED_ALL
} NvsMissed;

/* When a schedule is due; times are milliseconds since 1970. */
typedef struct NvsTiming
{
	bool		has_cron;
	NvsCron		cron;
	pg_tz	   *zone;			/* of cron */
	int64		every;			/* 0: no interval, and without cron, once */
} NvsTiming;

/* Whom a statement that writes a schedule makes its authors. */
typedef enum NvsAuthorship
{
	NVS_AUTHOR_KEEP,			/* those that it has: it is a run */
	NVS_AUTHOR_TAKE				/* us alone: all of it is said anew */
} NvsAuthorship;

/* schedule/timing.c */
extern void nvs_timing_init(NvsTiming *timing, const text *cron,
							const char *zone, bool has_every, int64 every);
extern bool nvs_timing_next(const NvsTiming *timing, int64 previous,
							int64 after, int64 *next);
extern NvsMissed nvs_schedule_missed(const char *name);

/* schedule/schedule.c */
extern const NvsTableSetKind nvs_schedule_tables;

/* schedule/author.c */
extern uint64 nvs_schedule_write(const NvsTableSet *set, NvsAuthorship kind,
								 const NvsStatement *statement,
								 const NvsParams *params, Datum *value,
								 bool *isnull);
extern bool nvs_schedule_keeps_authors(Oid relid);
extern char *nvs_schedule_outsider(ArrayType *authors, Oid relid,
								   AclMode privileges);

/* schedule/run.c */
extern int64 nvs_schedule_pass(const char *prefix, int64 max_count);

#endif							/* NVS_SCHEDULE_SCHEDULE_H */
