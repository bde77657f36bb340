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

#define NVS_CONSUMER_PLAN_SETS	3

/* The statements of a store's consumers; their texts are where they run. */
typedef enum NvsConsumerStatement
{
	NVS_CONSUMER_SUBSCRIBE,
	NVS_CONSUMER_UNSUBSCRIBE,
	NVS_CONSUMER_MARK,
	NVS_CONSUMER_SCANNED,
	NVS_CONSUMER_NEW,
	NVS_CONSUMER_STRAGGLERS,
	NVS_CONSUMER_CANDIDATES,
	NVS_CONSUMER_APPLY,
	NVS_CONSUMER_MISSED,
	NVS_CONSUMER_SAVE_SCAN,
	NVS_CONSUMER_DUE,
	NVS_CONSUMER_PICK_PRIORITY,
	NVS_CONSUMER_PICK_PRIORITY_LANE,
	NVS_CONSUMER_PICK_OLDEST,
	NVS_CONSUMER_PICK_OLDEST_LANE,
	NVS_CONSUMER_PICK_NEWEST,
	NVS_CONSUMER_PICK_NEWEST_LANE,
	NVS_CONSUMER_TOKEN,
	NVS_CONSUMER_LEASE,
	NVS_CONSUMER_PASS,
	NVS_CONSUMER_ACK,
	NVS_CONSUMER_ACK_MANY,
	NVS_CONSUMER_RENEW,
	NVS_CONSUMER_BLOCK,
	NVS_CONSUMER_BLOCK_MANY,
	NVS_CONSUMER_LOOK,
	NVS_CONSUMER_LANES,
	NVS_CONSUMER_STATS,
	NVS_CONSUMER_SAVE,
	NVS_CONSUMER_LOOK_SAVED,
	NVS_CONSUMER_LOAD,
	NVS_CONSUMER_FORGET,
	NVS_CONSUMER_STATEMENTS		/* how many there are */
} NvsConsumerStatement;

/* The consumers of a store, as this backend knows them. */
typedef struct NvsConsumers
{
	char		prefix[NAMEDATALEN];	/* hash key */
	char	   *schema;
	NvsPlanSet *plans[NVS_CONSUMER_PLAN_SETS];
} NvsConsumers;

/* A statement's parameters: fixed arrays, since their number is known. */
#define NVS_CONSUMER_MAX_ARGS	10

typedef struct NvsArgs
{
	int			n;
	Oid			types[NVS_CONSUMER_MAX_ARGS];
	Datum		values[NVS_CONSUMER_MAX_ARGS];
	char		nulls[NVS_CONSUMER_MAX_ARGS];
} NvsArgs;

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
}			NvsLeaseColumn;

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
extern void nvs_args_add(NvsArgs *args, Oid type, Datum value, bool isnull);
extern void nvs_args_take(NvsArgs *args, FunctionCallInfo fcinfo, int n,
						  Oid type);
extern SPIPlanPtr nvs_consumer_plan(NvsConsumers *consumers,
									NvsConsumerStatement which,
									const char *text, const NvsArgs *args);
extern uint64 nvs_consumer_run(NvsConsumers *consumers,
							   NvsConsumerStatement which, const char *text,
							   NvsArgs *args);
extern uint64 nvs_consumer_query(NvsConsumers *consumers,
								 NvsConsumerStatement which, const char *text,
								 NvsArgs *args);
extern void nvs_consumer_emit(Tuplestorestate *result, TupleDesc desc);
extern ArrayType *nvs_array_argument(FunctionCallInfo fcinfo, int n,
									 const char *name, Oid type, int *length);
extern ArrayType *nvs_text_array(Datum *values, bool *nulls, int n);
extern void nvs_planning_by_index(NvsPlanning *saved);
extern void nvs_planning_end(const NvsPlanning *saved);

/* consumer/mark.c */
extern bool nvs_consumer_scan(NvsConsumers *consumers, int max_events,
							  int64 *scanned);
extern int	nvs_scan_argument(FunctionCallInfo fcinfo, int n,
							  const char *name);

/* consumer/claim.c */
extern void nvs_claim_begin(NvsClaim *claim, FunctionCallInfo fcinfo,
							NvsConsumers *consumers);
extern void nvs_claim_run(NvsClaim *claim);

#endif							/* NVS_CONSUMER_CONSUMER_H */
