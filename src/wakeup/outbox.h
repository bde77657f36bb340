/*
 * wakeup/outbox.h
 *	  What the worker took from the ring and has yet to send.
 */
#ifndef NVS_WAKEUP_OUTBOX_H
#define NVS_WAKEUP_OUTBOX_H

#include "postgres.h"

#include "position/shmem.h"

extern void nvs_outbox_init(NvsDatabase *db);
extern bool nvs_outbox_collect(NvsDatabase *db);
extern bool nvs_outbox_is_due(NvsDatabase *db, int64 safe);
extern void nvs_outbox_due(int64 safe);
extern void nvs_outbox_sent(NvsDatabase *db, int64 safe);
extern void nvs_outbox_want_resync(NvsDatabase *db);
extern bool nvs_outbox_has_pending(void);

#endif							/* NVS_WAKEUP_OUTBOX_H */
