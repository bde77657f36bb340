/*
 * wakeup/outbox.h
 *	  What the notifier took from the ring and has yet to send.
 */
#ifndef NVS_WAKEUP_OUTBOX_H
#define NVS_WAKEUP_OUTBOX_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "position/position.h"
#include "position/shmem.h"

/* A store's channel. */
typedef struct NvsOutboxChannel
{
	uint32		store;			/* its number */
	char	   *channel;
} NvsOutboxChannel;

/* What has happened in a database, as counts of it in shared memory. */
typedef struct NvsOutboxCounts
{
	uint64		ring;
	uint64		resyncs;
	uint64		unannounced;
	uint64		drawn;
} NvsOutboxCounts;

extern void nvs_outbox_init(NvsDatabase *db);
extern NvsOutboxCounts nvs_outbox_counts(NvsDatabase *db);
extern void nvs_outbox_discard(NvsDatabase *db,
							   const NvsOutboxCounts *before);
extern bool nvs_outbox_collect(NvsDatabase *db);
extern bool nvs_outbox_has_pending(void);
extern bool nvs_outbox_is_due(const NvsPositionWatch *watch);
extern bool nvs_outbox_resync_is_due(void);
extern void nvs_outbox_send(const NvsPositionWatch *watch,
							const List *channels);
extern void nvs_outbox_sent(const NvsPositionWatch *watch, bool resync,
							const List *channels);
extern void nvs_outbox_fold(void);
extern void nvs_outbox_settle(NvsDatabase *db);

#endif							/* NVS_WAKEUP_OUTBOX_H */
