/*
 * worker/worker.h
 *	  The launcher, and the worker of a database.
 */
#ifndef NVS_WORKER_WORKER_H
#define NVS_WORKER_WORKER_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "position/shmem.h"

extern void nvs_worker_init(void);

/* worker/stores.c */
extern void nvs_maintain_stores(void);

#endif							/* NVS_WORKER_WORKER_H */
