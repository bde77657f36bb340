/*
 * queue/job.h
 *	  New jobs: their members, and putting them into a queue.
 */
#ifndef NVS_QUEUE_JOB_H
#define NVS_QUEUE_JOB_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "queue/queue.h"

/* What may be said of a job besides its data. */
typedef enum NvsJobOption
{
	NVS_JOB_PRIORITY,
	NVS_JOB_KEY,
	NVS_JOB_DUE_AT,
	NVS_JOB_LEASE,
	NVS_JOB_MAX_RUN,
	NVS_JOB_RETRY_LIMIT,
	NVS_JOB_RETRY_DELAY,
	NVS_JOB_RETRY_BACKOFF,
	NVS_JOB_RETRY_DELAY_MAX,
	NVS_JOB_DEAD_LETTER,
	NVS_JOB_ORIGIN,				/* nobody may say it; see queue/origin.c */
	NVS_JOB_FLOW,				/* nobody may say it: it is of a flow */
	NVS_JOB_GROUP,
	NVS_JOB_OPTIONS
} NvsJobOption;

/* In SQL, columns of {jobs}: data, and the options in their order. */
#define NVS_JOB_COLUMNS \
	"data, priority, key, due_at, lease, max_run, retry_limit, " \
	"retry_delay, retry_backoff, retry_delay_max, dead_letter, origin, flow, " \
	"group_name"

/* A job to be sent. */
typedef struct NvsNewJob
{
	Datum		data;			/* jsonb */
	bool		has_data;
	Datum		options[NVS_JOB_OPTIONS];
	bool		isnull[NVS_JOB_OPTIONS];
	bool		keyless;		/* takes no key, whatever the policy */
	int64		slot;			/* length of the one it takes, in us; 0: none */
	bool		or_next_slot;	/* where that is taken */
	bool		waits;			/* for other jobs, and has no turn until then */
	TimestampTz slot_starts_at; /* if that waits and has the next; 0: no */
} NvsNewJob;

/* Give a job an option. */
static inline void
nvs_job_set(NvsNewJob *job, NvsJobOption option, Datum value)
{
	job->options[option] = value;
	job->isnull[option] = false;
}

/* queue/key.c */
extern void nvs_key_check(Datum key, const char *what, int n);
extern void nvs_jobs_draw(NvsTableSet *set, int64 *ids, int n);
extern void nvs_keys_take(NvsTableSet *set, const NvsQueue *queue,
						  const NvsNewJob *jobs, int n, int64 *ids,
						  bool has_ids);

/* queue/send.c */
extern void nvs_job_take_arguments(NvsNewJob *job, FunctionCallInfo fcinfo);

/* queue/job.c */
extern void nvs_job_init(NvsNewJob *job);
extern void nvs_job_start_after(NvsNewJob *job, const Interval *span);
extern void nvs_job_read(NvsNewJob *job, Jsonb *doc, int n);
extern void nvs_job_take(NvsNewJob *job, const Datum *row,
						 const bool *isnull);
extern Jsonb *nvs_job_options(const NvsNewJob *job);
extern void nvs_jobs_check(NvsTableSet *set, const NvsQueue *queue,
						   const NvsNewJob *jobs, int n);
extern void nvs_jobs_check_new(NvsTableSet *set, const NvsQueue *queue,
							   const NvsNewJob *jobs, int n, int before);
extern void nvs_jobs_set_priority(const NvsQueue *queue, NvsNewJob *jobs,
								  int n);
extern void nvs_jobs_add_levels(NvsTableSet *set, const NvsQueue *queue,
								const NvsNewJob *jobs, int n);
extern void nvs_jobs_insert(NvsTableSet *set, NvsQueue *queue,
							NvsNewJob *jobs, int n, int64 *ids);
extern void nvs_jobs_insert_drawn(NvsTableSet *set, NvsQueue *queue,
								  NvsNewJob *jobs, int n, int64 *ids);

#endif							/* NVS_QUEUE_JOB_H */
