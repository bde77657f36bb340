/*
 * consumer/consumer.h
 *	  A store's consumers and checkpoints: finding them, and their statements.
 */
#ifndef NVS_CONSUMER_CONSUMER_H
#define NVS_CONSUMER_CONSUMER_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/tuplestore.h"

#include "base/arg.h"
#include "base/statement.h"
#include "route/shown.h"

/* In SQL, the name of the checkpoint up to which consumers are marked. */
#define NVS_MARK_CHECKPOINT		"''"

/* What this backend keeps of a store's consumers, for the present call. */
typedef struct NvsConsumers
{
	char		prefix[NAMEDATALEN];	/* of the store; hash key */
	uint32		number;			/* the store's */
	struct NvsConsumers *next;	/* list of all, for invalidation */
	bool		valid;			/* neither table has changed since */
	Oid			relid;			/* of the consumers */
	Oid			checkpoints;	/* of the checkpoints */
	const char *table;			/* consumers, qualified and quoted */
	NvsPlanSet *plans;			/* defines {consumers} and {checkpoints} */
} NvsConsumers;

/* What a consumer or a checkpoint is refused by. */
typedef struct NvsLeaseState
{
	bool		exists;
	int64		position;
	bool		has_token;
	int64		token;
} NvsLeaseState;

/* consumer/consumer.c */
extern void nvs_consumers_init(void);
extern NvsConsumers *nvs_consumers_open(FunctionCallInfo fcinfo, int arg,
										NvsUse use);
extern NvsConsumers *nvs_consumers_require(FunctionCallInfo fcinfo, int arg);
extern void nvs_consumer_check_name(const text *name, const char *what);
extern uint64 nvs_consumer_run(const NvsConsumers *consumers,
							   const NvsStatement *statement,
							   const NvsParams *params);
extern uint64 nvs_consumer_query(const NvsConsumers *consumers,
								 const NvsStatement *statement,
								 const NvsParams *params);
extern void nvs_consumer_emit(const NvsConsumers *consumers,
							  const NvsStatement *statement,
							  const NvsParams *params,
							  Tuplestorestate *result);
extern bool nvs_consumer_delete(FunctionCallInfo fcinfo,
								const NvsStatement *statement);

/* consumer/lease.c */
extern void nvs_lease_read_state(const NvsConsumers *consumers,
								 const NvsStatement *statement,
								 FunctionCallInfo fcinfo,
								 NvsLeaseState *state);
extern char *nvs_lease_detail(FunctionCallInfo fcinfo, int token,
							  const NvsLeaseState *state);
pg_noreturn extern void nvs_lease_report_behind(const char *what,
												FunctionCallInfo fcinfo,
												const NvsLeaseState *state,
												int64 given);

#endif							/* NVS_CONSUMER_CONSUMER_H */
