/*
 * route/binding.h
 *	  From a subject to the queues that are bound to it.
 */
#ifndef NVS_ROUTE_BINDING_H
#define NVS_ROUTE_BINDING_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "store/store.h"

/* A queue that is bound to a pattern. */
typedef struct NvsBinding
{
	struct NvsBinding *next;	/* of the same shape, or NULL */
	int32		number;			/* of the queue */
	const char *queue;			/* its name */
	const char *pattern;
	List	   *types;			/* of events, char *; NIL: any */
} NvsBinding;

/* Events for a queue that is bound to their subjects, in their order. */
typedef struct NvsDelivery
{
	const NvsStore *store;
	const NvsBinding *binding;
	int			n;
	int			max;			/* room in the arrays */
	Datum	   *records;		/* jsonb */
	Datum	   *subjects;		/* text */
} NvsDelivery;

/* Puts events into their queue, as the caller; set by queue/deliver.c. */
extern void (*nvs_binding_deliver) (const NvsDelivery *delivery);

extern void nvs_binding_init(void);
extern bool nvs_bindings_on_append(const NvsStore *store);
extern List *nvs_bindings_of_published(const NvsStore *store,
									   const char *subject, int len);
extern List *nvs_bindings_of_event(const NvsStore *store, const char *subject,
								   int len, const char *type, int type_len);

extern bool nvs_binding_is_left(const NvsStore *store, int32 number);

#endif							/* NVS_ROUTE_BINDING_H */
