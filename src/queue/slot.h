/*
 * queue/slot.h
 *	  Throttled jobs: one of a key in each slot of time.
 */
#ifndef NVS_QUEUE_SLOT_H
#define NVS_QUEUE_SLOT_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "queue/job.h"

extern void nvs_job_throttle(NvsNewJob *job, const Interval *length,
							 bool or_next, int n);
extern bool nvs_jobs_have_slots(const NvsNewJob *jobs, int n);
extern void nvs_slots_look(NvsTableSet *set, const NvsQueue *queue,
						   NvsNewJob *jobs, int n, int64 *ids);
extern void nvs_slots_take(NvsTableSet *set, const NvsQueue *queue,
						   NvsNewJob *jobs, int n, int64 *ids);
extern void nvs_slots_cancel(NvsTableSet *set, const NvsQueue *queue,
							 const Datum *ids, int n);
extern bool nvs_slot_take_again(NvsTableSet *set, const NvsQueue *queue,
								int64 id, bool *taken,
								TimestampTz *due_at);
extern int64 nvs_slots_sweep(NvsTableSet *set, int64 wanted);

#endif							/* NVS_QUEUE_SLOT_H */
