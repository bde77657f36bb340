/*
 * worker/worker.h
 *	  What happens by itself: launcher, workers, maintenance.
 */
#ifndef NVS_WORKER_WORKER_H
#define NVS_WORKER_WORKER_H

#include "postgres.h"

/* Initialize; in the postmaster only. */
extern void nvs_launcher_init(void);
extern void nvs_hold_init(void);

/* worker/foreign_code.c */
extern char *nvs_foreign_code(Oid relid);

/* worker/maintain.c, for the worker */
extern void nvs_maintain_stores(void);

#endif							/* NVS_WORKER_WORKER_H */
