/*
 * queue/control.h
 *	  What all have in common who do something with jobs that they name.
 */
#ifndef NVS_QUEUE_CONTROL_H
#define NVS_QUEUE_CONTROL_H

#include "postgres.h"

#include "fmgr.h"

#include "queue/internal.h"

/* The first arguments of all these functions. */
enum
{
	NVS_CONTROL_QUEUE,
	NVS_CONTROL_ID,				/* or ids */
	NVS_CONTROL_STORE
};

/* How often others may be faster at a job, by which nothing is written. */
#define NVS_CONTROL_TRIES	100

/* queue/control.c */
extern void nvs_job_id_argument(FunctionCallInfo fcinfo, NvsJobIds *ids);
extern void nvs_job_ids_argument(FunctionCallInfo fcinfo, NvsJobIds *ids);
extern void nvs_job_ids_sort(Datum *ids, int n);
extern Datum nvs_job_ids_result(FunctionCallInfo fcinfo, Datum *ids, int n);
pg_noreturn extern void nvs_job_kept(const NvsTableSet *set,
									 const NvsQueue *queue, int64 id,
									 const char *participle);

#endif							/* NVS_QUEUE_CONTROL_H */
