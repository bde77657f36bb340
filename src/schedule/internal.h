/*
 * schedule/internal.h
 *	  Runs of schedules: what finding those that are due and making them share.
 */
#ifndef NVS_SCHEDULE_INTERNAL_H
#define NVS_SCHEDULE_INTERNAL_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/array.h"

#include "route/table_set.h"

/* A schedule that is due, with its row locked; of the subject or the queue. */
typedef struct NvsDueSchedule
{
	Datum		name;
	text	   *cron;			/* or NULL */
	char	   *zone;
	bool		has_every;
	int64		every;
	int64		due;			/* when it is due, ms */
	char	   *subject;		/* or NULL */
	Datum		event;			/* or 0 */
	char	   *queue;			/* or NULL */
	Datum		job;			/* or 0 */
	char	   *missed;
	char	   *grace;			/* ms */
	ArrayType  *authors;		/* names; NULL: nobody kept them */
} NvsDueSchedule;

/* A call that makes runs. */
typedef struct NvsSchedulePass
{
	NvsTableSet *set;
	MemoryContext cxt;			/* of the call */
	List	   *schedules;		/* NvsDueSchedule */
	List	   *checked;		/* OIDs of tables without foreign code */
	int64		left;			/* runs that may still be made */
	bool		full;			/* others may be due that were not found */
	bool		refused;		/* a run may not be made, whoever calls */
} NvsSchedulePass;

/* schedule/fire.c */
extern void nvs_schedule_fire(NvsSchedulePass *pass,
							  const NvsDueSchedule *schedule);

#endif							/* NVS_SCHEDULE_INTERNAL_H */
