/*
 * queue/note.h
 *	  What a transaction has changed of queues.
 */
#ifndef NVS_QUEUE_NOTE_H
#define NVS_QUEUE_NOTE_H

#include "postgres.h"

#include "position/shmem.h"
#include "queue/queue.h"

/* Rows of a queue that are counted; how many jobs are where follows from it. */
typedef enum NvsCount
{
	NVS_COUNT_JOBS,
	NVS_COUNT_NEW_DUE,			/* turns of jobs that never ran, no time */
	NVS_COUNT_NEW_LATER,		/* of jobs that never ran, with a time */
	NVS_COUNT_NEW_IN_LANE,		/* that never ran, and wait in their lanes */
	NVS_COUNT_RETRY_DUE,		/* turns of jobs that did run, no time */
	NVS_COUNT_RETRY_LATER,		/* of jobs that did run, with a time */
	NVS_COUNT_RETRY_IN_LANE,	/* that did run, and wait in their lanes */
	NVS_COUNT_WAITS,
	NVS_COUNT_FIRST_RUNS,
	NVS_COUNT_ACTIVE,			/* runs by outcome: none, ... */
	NVS_COUNT_COMPLETED,
	NVS_COUNT_CANCELLED
} NvsCount;

/* Of a queue's rows in a table, at a nesting level of the transaction. */
typedef struct NvsCountNote
{
	Oid			relid;
	int32		queue;
	int			nesting;
	int64		rows;			/* that were added, deleted and changed */
	int64		counts[NVS_COUNTS];
} NvsCountNote;

/* queue/note.c */
extern void nvs_note_sent(const NvsTableSet *set, const NvsQueue *queue,
						  int n);
extern void nvs_note_begun(const NvsTableSet *set, const NvsQueue *queue,
						   int n, int nfirst);
extern void nvs_note_ended(const NvsTableSet *set, const NvsQueue *queue,
						   const char *outcome, int n);
extern const NvsCountNote *nvs_note_get(int i);
extern void nvs_notes_forget(void);
extern void nvs_notes_merge(int nesting);
extern void nvs_notes_drop(int nesting);

/* queue/count.c */
extern void nvs_count_push(const NvsTableSet *set, int32 queue,
						   int64 *counts);

#endif							/* NVS_QUEUE_NOTE_H */
