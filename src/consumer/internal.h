/*
 * consumer/internal.h
 *	  What the files of this folder share.
 */
#ifndef NVS_CONSUMER_INTERNAL_H
#define NVS_CONSUMER_INTERNAL_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"

#include "consumer/consumer.h"

/* Consumers that one call may name or lease. */
#define NVS_MAX_CONSUMERS		1000000

/* In SQL, whether a consumer has work. */
#define NVS_HAS_WORK \
	"NOT blocked AND position OPERATOR(pg_catalog.<) mark"

/* An array argument with an element for each consumer that a call names. */
typedef struct NvsConsumerArray
{
	const char *name;
	Oid			type;			/* of an element */
} NvsConsumerArray;

#define NVS_MAX_CONSUMER_ARRAYS	6

/* A name, and its place in the order in which it was given or found. */
typedef struct NvsNamedConsumer
{
	text	   *name;
	int			index;
} NvsNamedConsumer;

/* The consumers that a call names, with their elements of each array. */
typedef struct NvsNamedConsumers
{
	const NvsConsumerArray *arrays;
	int			narrays;
	Datum	   *values[NVS_MAX_CONSUMER_ARRAYS];	/* NULL for a NULL array */
	bool	   *nulls[NVS_MAX_CONSUMER_ARRAYS];
	int			n;
	NvsNamedConsumer *consumers;	/* in the order of names */
} NvsNamedConsumers;

/* Columns of a lease, in the order in which claims return them. */
typedef enum NvsLeaseColumn
{
	NVS_LEASE_NAME = 1,
	NVS_LEASE_TOKEN,
	NVS_LEASE_POSITION,
	NVS_LEASE_MARK,
	NVS_LEASE_ATTEMPT,
	NVS_LEASE_LANE,
	NVS_LEASE_PRIORITY,
	NVS_LEASE_PATTERN,
	NVS_LEASE_SOURCE,
	NVS_LEASE_OWNER,
	NVS_LEASE_UNTIL,
	NVS_LEASE_LAGGING
} NvsLeaseColumn;

/* A claim: what was asked for, and what was leased. */
typedef struct NvsClaim
{
	NvsConsumers *consumers;
	MemoryContext cxt;			/* of desc and leases */
	int64		lagging;		/* how many of each end */
	int64		leading;
	Interval   *lease;
	text	   *lane;			/* NULL: any */
	text	   *owner;			/* NULL: none */
	int64		token;			/* 0 while none is drawn */
	TupleDesc	desc;			/* of the leases; NULL while there are none */
	List	   *leases;			/* HeapTuple */
} NvsClaim;

/* consumer/consumer.c */
extern void nvs_consumer_put_row(TupleTableSlot *slot, void *arg);
extern void nvs_consumers_named(NvsNamedConsumers *named,
								FunctionCallInfo fcinfo,
								const NvsConsumerArray *arrays, int narrays);
extern void nvs_consumers_named_params(const NvsNamedConsumers *named, int i,
									   NvsParams *params);
extern int	nvs_consumers_compare_names(const void *a, const void *b);
extern bool nvs_consumers_named_again(const NvsNamedConsumers *named, int i);

/* consumer/mark.c */
extern bool nvs_mark_scan(NvsConsumers *consumers, int max_events,
						  int64 *scanned);
extern int	nvs_mark_count_argument(FunctionCallInfo fcinfo, int n,
									const char *name);

/* consumer/claim.c */
extern void nvs_claim_begin(NvsClaim *claim, FunctionCallInfo fcinfo,
							NvsConsumers *consumers);
extern void nvs_claim_run(NvsClaim *claim);

#endif							/* NVS_CONSUMER_INTERNAL_H */
