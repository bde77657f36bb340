/*
 * wakeup/jobs.h
 *	  Sessions that wait for jobs, and waking them.
 */
#ifndef NVS_WAKEUP_JOBS_H
#define NVS_WAKEUP_JOBS_H

#include "postgres.h"

#include "datatype/timestamp.h"

extern void nvs_jobs_init(void);
extern uint64 nvs_jobs_queue(Oid relid, int32 number);

/* for the session that waits */
extern bool nvs_jobs_wait_begin(uint64 queue);
extern void nvs_jobs_wait_again(void);
extern bool nvs_jobs_wait_for(uint64 queue);
extern bool nvs_jobs_is_woken(void);
extern bool nvs_jobs_keep_time(void);
extern void nvs_jobs_keep_time_until(TimestampTz at);
extern void nvs_jobs_wait_end(bool failed);

/* for who changes something that sessions wait for */
extern void nvs_jobs_note(uint64 queue);
extern void nvs_jobs_note_ready(uint64 queue, int n);
extern void nvs_jobs_note_due(uint64 queue, TimestampTz at);
extern void nvs_jobs_note_taken(uint64 queue, int n);
extern void nvs_jobs_note_all(void);
extern void nvs_jobs_forget(void);

extern void nvs_jobs_wake_all(void);
extern int	nvs_jobs_waiters(void);

#endif							/* NVS_WAKEUP_JOBS_H */
