/*
 * wakeup/outbox.h
 *	  What the worker took from the ring and has yet to send.
 */
#ifndef NVS_WAKEUP_OUTBOX_H
#define NVS_WAKEUP_OUTBOX_H

#include "postgres.h"

#include "position/shmem.h"

extern void nvs_send_init(NvsDatabase *db);
extern bool nvs_send_collect(NvsDatabase *db);
extern bool nvs_send_is_due(NvsDatabase *db, int64 safe);
extern void nvs_send_due(int64 safe);
extern void nvs_send_sent(NvsDatabase *db, int64 safe);
extern void nvs_send_want_resync(NvsDatabase *db);
extern bool nvs_send_has_pending(void);

#endif							/* NVS_WAKEUP_OUTBOX_H */
