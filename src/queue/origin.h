/*
 * queue/origin.h
 *	  Where a job comes from that was not sent: origin, a column of {jobs}.
 */
#ifndef NVS_QUEUE_ORIGIN_H
#define NVS_QUEUE_ORIGIN_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "queue/internal.h"
#include "queue/job.h"

/* What a dead letter tells of the job that failed. */
typedef struct NvsOrigin
{
	char	   *queue;
	int64		id;
	int32		attempts;
	int32		priority;
	Jsonb	   *error;			/* NULL: nothing was said */
	Jsonb	   *options;		/* as nvs_job_read() takes them */
	Jsonb	   *root;			/* of the first job, {"queue", "id"} */
} NvsOrigin;

extern Datum nvs_origin_of_failed(const NvsQueue *queue, const NvsRun *run,
								  const NvsNewJob *job,
								  TimestampTz created_at,
								  const Datum *error);
extern bool nvs_origin_read(Jsonb *doc, NvsOrigin *origin);
extern Datum nvs_origin_of_redriven(const NvsOrigin *origin);

#endif							/* NVS_QUEUE_ORIGIN_H */
