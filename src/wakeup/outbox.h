/*
 * wakeup/outbox.h
 *	  What the worker took from the ring and has yet to send.
 */
#ifndef NVS_WAKEUP_OUTBOX_H
#define NVS_WAKEUP_OUTBOX_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "position/shmem.h"

extern void nvs_outbox_init(NvsDatabase *db);
extern bool nvs_outbox_collect(NvsDatabase *db);
extern void nvs_outbox_request_resync(NvsDatabase *db);
extern bool nvs_outbox_has_pending(void);
extern bool nvs_outbox_is_due(int64 safe);
extern bool nvs_outbox_resync_is_due(int64 safe);
extern void nvs_outbox_send(int64 safe, const List *channels);
extern void nvs_outbox_sent(NvsDatabase *db, int64 safe);

#endif							/* NVS_WAKEUP_OUTBOX_H */
