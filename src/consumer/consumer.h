/*
 * consumer/consumer.h
 *	  What the files of the consumers share.
 */
#ifndef NVS_CONSUMER_CONSUMER_H
#define NVS_CONSUMER_CONSUMER_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

#include "base/arg.h"
#include "base/statement.h"
#include "store/store.h"

/* Bytes of a consumer's, checkpoint's or lane's name. */
#define NVS_NAME_MAX_BYTES		1024

/* Consumers that one call may name or lease. */
#define NVS_MAX_CONSUMERS		1000000

/* The checkpoint that says up to where events have been marked. */
#define NVS_SCAN_NAME			"''"

/* The consumers of a store, as this backend knows them. */
typedef struct NvsConsumers
{
	char		prefix[NAMEDATALEN];	/* hash key */
	const char *table;			/* qualified and quoted */
	NvsPlanSet *plans;			/* defines {consumers} and {checkpoints} */
} NvsConsumers;

/* Settings in which statements are planned by their indexes. */
typedef struct NvsPlanning
{
	int			nestlevel;
} NvsPlanning;

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
	MemoryContext cxt;			/* of what it returns */
	int64		lagging;		/* how many of each frontier */
	int64		leading;
	Interval   *lease;
	text	   *lane;			/* NULL: any */
	text	   *owner;
	int64		token;			/* 0 while none is drawn */
	TupleDesc	desc;			/* of the leases; NULL while there are none */
	List	   *leases;			/* HeapTuple */
} NvsClaim;

/* consumer/consumer.c */
extern NvsConsumers *nvs_consumers_open(FunctionCallInfo fcinfo, int arg,
										bool write);
extern NvsConsumers *nvs_consumers_require(FunctionCallInfo fcinfo, int arg);
extern void nvs_consumer_check_name(const text *name, const char *what);
extern uint64 nvs_consumer_run(const NvsConsumers *consumers,
							   const NvsStatement *statement,
							   const NvsParams *params);
extern uint64 nvs_consumer_query(const NvsConsumers *consumers,
								 const NvsStatement *statement,
								 const NvsParams *params);
extern void nvs_consumer_emit(Tuplestorestate *result, TupleDesc desc);
extern void nvs_planning_by_index(NvsPlanning *saved);
extern void nvs_planning_end(const NvsPlanning *saved);

/* consumer/mark.c */
extern bool nvs_mark_scan(NvsConsumers *consumers, int max_events,
						  int64 *scanned);
extern int	nvs_mark_count_argument(FunctionCallInfo fcinfo, int n,
									const char *name);

/* consumer/claim.c */
extern void nvs_claim_begin(NvsClaim *claim, FunctionCallInfo fcinfo,
							NvsConsumers *consumers);
extern void nvs_claim_run(NvsClaim *claim);

#endif							/* NVS_CONSUMER_CONSUMER_H */
