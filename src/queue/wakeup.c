/*
 * queue/wakeup.c
 *	  Says what a call has done that somebody waits for.
 *
 * Who waits for jobs is woken by wakeup/jobs.c.  Who listens is notified where
 * the queue says so, since that is work for the notifier, or inline keeps
 * commits from one another.
 */
#include "postgres.h"

#include "base/guc.h"
#include "queue/queue.h"
#include "wakeup/jobs.h"
#include "wakeup/notify.h"

/* Note that n jobs of a queue can be fetched once we commit. */
void
nvs_queue_ready(const NvsTableSet *set, const NvsQueue *queue, int n)
{
	if (n == 0)
		return;
	nvs_jobs_note_ready(queue->wakeup, n);
	if (queue->notify != NVS_NOTIFY_OFF)
		nvs_notify_queue(nvs_notify_mode(queue->notify), set->number,
						 queue->channel, queue->name);
}

/* Something of a queue comes due then: a turn, or a lease. */
void
nvs_queue_due(const NvsQueue *queue, TimestampTz at)
{
	nvs_jobs_note_due(queue->wakeup, at);
}

/* Note that n jobs of a queue were taken, and are not if we are rolled back. */
void
nvs_queue_taken(const NvsQueue *queue, int n)
{
	nvs_jobs_note_taken(queue->wakeup, n);
}
