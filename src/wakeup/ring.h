/*
 * wakeup/ring.h
 *	  Announcements on their way from committers to the notifier.
 */
#ifndef NVS_WAKEUP_RING_H
#define NVS_WAKEUP_RING_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "position/shmem.h"

/* An announcement in the ring; channel and subject follow, without '\0'. */
typedef struct NvsRingItem
{
	int64		position;
	uint32		store;			/* number of the subject's store */
	uint32		size;			/* of all of it, MAXALIGNed */
	uint16		channel_len;	/* 0: for waiting sessions only */
	uint16		subject_len;	/* 0: any */
	bool		is_queue;		/* the subject is a queue's name */
} NvsRingItem;

extern void nvs_ring_append(StringInfo block, uint32 store,
							const char *channel, const char *subject,
							int subject_len, bool is_queue, int64 position);
extern void nvs_ring_push(NvsDatabase *db, const char *block, Size len);
extern Size nvs_ring_used(NvsDatabase *db);
extern Size nvs_ring_take(NvsDatabase *db, char *buffer, uint64 *from);
extern bool nvs_ring_rewind(NvsDatabase *db);
extern void nvs_ring_discard(NvsDatabase *db, uint64 upto);

#endif							/* NVS_WAKEUP_RING_H */
