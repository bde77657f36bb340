/*
 * queue/direct.h
 *	  What a job goes through in most calls, without statements.
 */
#ifndef NVS_QUEUE_DIRECT_H
#define NVS_QUEUE_DIRECT_H

#include "postgres.h"

#include "queue/fetch.h"
#include "queue/job.h"

extern bool nvs_direct_walk(NvsFetch *fetch, NvsLevel *level, int64 after,
							bool sweep);
extern bool nvs_direct_begin(NvsFetch *fetch, const NvsFetchedJobs *jobs);
extern int	nvs_direct_end(NvsTableSet *set, const NvsQueue *queue,
						   const char *outcome, const NvsSettledJob *jobs,
						   int n, NvsRun *runs);
extern bool nvs_direct_send(NvsTableSet *set, const NvsQueue *queue,
							const NvsNewJob *jobs, int n, int64 *ids,
							bool has_ids);

#endif							/* NVS_QUEUE_DIRECT_H */
