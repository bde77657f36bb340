/*
 * queue/bind.h
 *	  Queues that are bound to patterns of subjects.
 */
#ifndef NVS_QUEUE_BIND_H
#define NVS_QUEUE_BIND_H

#include "postgres.h"

/* queue/bind.c */
extern void nvs_bindings_drop(const char *store, Datum number);

/* queue/deliver.c */
extern void nvs_deliver_init(void);

#endif							/* NVS_QUEUE_BIND_H */
