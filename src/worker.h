/*
 * worker.h
 *	  The launcher, and the worker of a database.
 */
#ifndef NVS_WORKER_H
#define NVS_WORKER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "shmem.h"

extern void nvs_worker_init(void);

/* worker_send.c */
extern void nvs_send_init(NvsDatabase *db);
extern bool nvs_send_collect(NvsDatabase *db);
extern bool nvs_send_is_due(NvsDatabase *db, int64 safe);
extern void nvs_send_due(int64 safe);
extern void nvs_send_sent(NvsDatabase *db, int64 safe);
extern void nvs_send_want_resync(NvsDatabase *db);
extern bool nvs_send_has_pending(void);

/* worker_maintain.c */
extern void nvs_maintain_stores(void);

#endif							/* NVS_WORKER_H */
