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
#include "route/table_set.h"

/* In SQL, the name of the checkpoint up to which consumers are marked. */
#define NVS_MARK_CHECKPOINT		"''"

/* The tables of a store that have its consumers. */
typedef NvsTableSet NvsConsumers;

extern const NvsTableSetKind nvs_consumer_tables;

#define nvs_consumers_open(fcinfo, arg, use) \
	nvs_table_set_open(&nvs_consumer_tables, fcinfo, arg, use)
#define nvs_consumers_require(fcinfo, arg) \
	nvs_table_set_require(&nvs_consumer_tables, fcinfo, arg)

/* What a consumer or a checkpoint is refused by. */
typedef struct NvsLeaseState
{
	bool		exists;
	int64		position;
	bool		has_token;
	int64		token;
} NvsLeaseState;

/* consumer/consumer.c */
extern void nvs_consumer_check_name(const text *name, const char *what);
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
