/*
 * consumer/lease.c
 *	  What the holder of a lease does: acknowledge, renew, block.
 *
 * A lease is held by whoever has its token, or is named as its owner, until
 * somebody else leases the consumer or it is given back: a lease that has run
 * out but was not taken over still counts, since nobody else has begun.  All
 * statements check that on the row as it is once they hold it.
 *
 * The functions for many leases run the statement for one on each of them, in
 * the order of names, so that two such calls wait for one another at most.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "consumer/internal.h"

PG_FUNCTION_INFO_V1(nvs_consumer_ack);
PG_FUNCTION_INFO_V1(nvs_consumer_ack_many);
PG_FUNCTION_INFO_V1(nvs_consumer_renew);
PG_FUNCTION_INFO_V1(nvs_consumer_block);
PG_FUNCTION_INFO_V1(nvs_consumer_block_many);

/* Is row c the consumer $1, held with the token $2 and by this owner? */
#define IS_HELD_BY(owner) \
	"c.name OPERATOR(pg_catalog.=) $1 AND c.token IS NOT NULL " \
	"AND ($2 IS NOT NULL OR " owner " IS NOT NULL) " \
	"AND ($2 IS NULL OR c.token OPERATOR(pg_catalog.=) $2) " \
	"AND (" owner " IS NULL OR c.owner OPERATOR(pg_catalog.=) " owner ")"

/* A result whose rows are those of a statement without its first column. */
typedef struct LeaseResult
{
	Tuplestorestate *rows;
	TupleDesc	desc;
} LeaseResult;

static NvsConsumers *lease_begin(FunctionCallInfo fcinfo, int store);
static void lease_require_holder(FunctionCallInfo fcinfo, int token,
								 int owner, int owners);
pg_noreturn static void lease_refuse(const NvsConsumers *consumers,
									 FunctionCallInfo fcinfo, bool acks);
static void lease_each(FunctionCallInfo fcinfo, const NvsNamedConsumers *named,
					   const NvsStatement *statement, const Oid *types,
					   int ntypes, NvsRowFunction function, void *arg);
static void lease_put_acked(TupleTableSlot *slot, void *arg);

/* Begin a call of ours: the consumers of the store that an argument names. */
static NvsConsumers *
lease_begin(FunctionCallInfo fcinfo, int store)
{
	nvs_spi_begin();
	return nvs_consumers_require(fcinfo, store);
}

/*
 * A holder says who it is by a token, by an owner's name, or by both; owners
 * is the argument with a name for each lease, -1 for none.
 */
static void
lease_require_holder(FunctionCallInfo fcinfo, int token, int owner, int owners)
{
	if (PG_ARGISNULL(token) && PG_ARGISNULL(owner) &&
		(owners < 0 || PG_ARGISNULL(owners)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a lease needs its token or its owner"),
				 errhint("Pass the token that the claim returned.")));
}

/*
 * Read, as of now, where the consumer or checkpoint that the first argument
 * names is and which token it has; these are the columns of the statement,
 * whose $1 is the name.
 */
void
nvs_lease_read_state(const NvsConsumers *consumers,
					 const NvsStatement *statement, FunctionCallInfo fcinfo,
					 NvsLeaseState *state)
{
	NvsParams	params;
	Datum		row[2] = {0};
	bool		nulls[2];

	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	PushActiveSnapshot(GetLatestSnapshot());
	state->exists = nvs_execute_row(nvs_statement_plan(consumers->plans,
													   statement, &params,
													   NULL),
									&params, true, CurrentMemoryContext, 2,
									row, nulls);
	PopActiveSnapshot();
	state->position = state->exists ? DatumGetInt64(row[0]) : 0;
	state->has_token = state->exists && !nulls[1];
	state->token = state->has_token ? DatumGetInt64(row[1]) : 0;
}

/*
 * The DETAIL, as JSON, of the error for a lost lease: the name, which is the
 * first argument, the token that was given, and the one that is there.
 */
char *
nvs_lease_detail(FunctionCallInfo fcinfo, int token,
				 const NvsLeaseState *state)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"name\": ");
	escape_json(&detail, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	appendStringInfoString(&detail, ", \"token\": ");
	if (PG_ARGISNULL(token))
		appendStringInfoString(&detail, "null");
	else
		appendStringInfo(&detail, INT64_FORMAT, PG_GETARG_INT64(token));
	appendStringInfoString(&detail, ", \"holder\": ");
	if (state->has_token)
		appendStringInfo(&detail, INT64_FORMAT "}", state->token);
	else
		appendStringInfoString(&detail, "null}");
	return detail.data;
}

/*
 * Raise the error for a position, of what the first argument names, that
 * would go back to the given one.
 */
void
nvs_lease_report_behind(const char *what, FunctionCallInfo fcinfo,
						const NvsLeaseState *state, int64 given)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"name\": ");
	escape_json(&detail, name);
	appendStringInfo(&detail, ", \"position\": " INT64_FORMAT
					 ", \"given\": " INT64_FORMAT "}", state->position,
					 given);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_POSITION_BEHIND),
			 errmsg("%s \"%s\" would go back", what, name),
			 errdetail_internal("%s", detail.data),
			 errhint("Pass force => true to have events read again.")));
}

static const NvsStatement lease_state = {
	"SELECT position, token FROM {consumers} "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/*
 * Raise the error for a consumer, the first argument, that refused its token,
 * the second: the lease is not held, or, of what acknowledges, the position
 * upto, the third, would go back.
 */
static void
lease_refuse(const NvsConsumers *consumers, FunctionCallInfo fcinfo,
			 bool acks)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	NvsLeaseState state;

	nvs_lease_read_state(consumers, &lease_state, fcinfo, &state);
	if (acks && state.has_token && PG_GETARG_INT64(2) < state.position &&
		(PG_ARGISNULL(1) || PG_GETARG_INT64(1) == state.token))
		nvs_lease_report_behind("consumer", fcinfo, &state,
								PG_GETARG_INT64(2));
	ereport(ERROR,
			(errcode(ERRCODE_NVS_LEASE_LOST),
			 state.exists ?
			 errmsg("the lease of consumer \"%s\" is lost", name) :
			 errmsg("consumer \"%s\" does not exist", name),
			 errdetail_internal("%s", nvs_lease_detail(fcinfo, 1, &state)),
			 errhint("Claim again, and drop what was done under this "
					 "lease.")));
}

/*
 * Acknowledges up to $3; $8 is the owner of those that name none.  Going back
 * brings events into reach that no scan has looked at for this consumer, so it
 * is to be initialized again.
 */
static const NvsStatement lease_ack = {
	"UPDATE {consumers} c SET position = $3, "
	"initialized = c.initialized AND (c.pattern IS NULL OR "
	"$3 OPERATOR(pg_catalog.>=) c.position), "
	"attempt = CASE WHEN $4 IS NULL THEN 0 ELSE COALESCE($5, 0) END, "
	"owner = NULL, token = NULL, leased_until = NULL, "
	"deferred_until = $4, due_at = $4 "
	"WHERE " IS_HELD_BY("COALESCE($6, $8)") " AND $3 IS NOT NULL "
	"AND ($7 OR c.position OPERATOR(pg_catalog.<=) $3) "
	"RETURNING COALESCE(c.position OPERATOR(pg_catalog.<) c.mark, false) "
	"AND NOT c.blocked, c.name, c.position, c.attempt, c.lane, c.source, "
	"c.deferred_until"
};

/* The first parameters of lease_ack. */
static const NvsConsumerArray lease_ack_arrays[] = {
	{"names", TEXTOID}, {"tokens", INT8OID}, {"uptos", INT8OID},
	{"defer_until", TIMESTAMPTZOID}, {"attempts", INT4OID},
	{"owners", TEXTOID}
};

/*
 * nvent.consumer_ack(name, token, upto, defer_until, attempt, force, owner,
 * store): whether more work is known.
 */
Datum
nvs_consumer_ack(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	SPIPlanPtr	plan;
	Datum		more;
	int			i;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "upto");
	NVS_REQUIRE_ARG(5, "force");
	lease_require_holder(fcinfo, 1, 6, -1);
	PreventCommandIfReadOnly("nvent.consumer_ack()");
	consumers = lease_begin(fcinfo, 7);
	nvs_params_init(&params);
	for (i = 0; i < 5; i++)
		nvs_params_add_arg(&params, fcinfo, i, lease_ack_arrays[i].type);
	nvs_params_add_arg(&params, fcinfo, 6, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 5, BOOLOID);
	nvs_params_add(&params, TEXTOID, (Datum) 0, true);
	plan = nvs_statement_plan(consumers->plans, &lease_ack, &params, NULL);
	if (!nvs_execute_first(plan, &params, false, CurrentMemoryContext, &more))
		lease_refuse(consumers, fcinfo, true);
	nvs_spi_end();
	PG_RETURN_BOOL(DatumGetBool(more));
}

/*
 * nvent.consumer_ack_many(names, tokens, uptos, defer_until, attempts, owners,
 * force, owner, store): the consumers that took it.  Of a name that comes
 * twice the first one that holds the lease counts.
 */
Datum
nvs_consumer_ack_many(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {BOOLOID, TEXTOID};
	LeaseResult result;
	NvsNamedConsumers named;

	result.rows = nvs_result_set(fcinfo, &result.desc);
	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(2, "uptos");
	NVS_REQUIRE_ARG(6, "force");
	lease_require_holder(fcinfo, 1, 7, 5);
	nvs_consumers_named(&named, fcinfo, lease_ack_arrays,
						lengthof(lease_ack_arrays));
	PreventCommandIfReadOnly("nvent.consumer_ack_many()");
	lease_each(fcinfo, &named, &lease_ack, types, lengthof(types),
			   lease_put_acked, &result);
	return (Datum) 0;
}

/*
 * Run a statement for each of the consumers that arrays name, and call a
 * function for each of its rows.  Its parameters are those of the arrays, and
 * the arguments behind them, of these types; the last one is the store.
 */
static void
lease_each(FunctionCallInfo fcinfo, const NvsNamedConsumers *named,
		   const NvsStatement *statement, const Oid *types, int ntypes,
		   NvsRowFunction function, void *arg)
{
	NvsConsumers *consumers = lease_begin(fcinfo, named->narrays + ntypes);
	int			i;

	for (i = 0; i < named->n; i++)
	{
		NvsParams	params;
		int			j;

		CHECK_FOR_INTERRUPTS();
		nvs_consumers_named_params(named, i, &params);
		for (j = 0; j < ntypes; j++)
			nvs_params_add_arg(&params, fcinfo, named->narrays + j, types[j]);
		(void) nvs_table_set_each(consumers, statement, &params, false,
								  function, arg);
	}
	nvs_spi_end();
}

/* Put a row of lease_ack, but not whether more is known, into the result. */
static void
lease_put_acked(TupleTableSlot *slot, void *arg)
{
	LeaseResult *result = arg;

	slot_getallattrs(slot);
	tuplestore_putvalues(result->rows, result->desc, slot->tts_values + 1,
						 slot->tts_isnull + 1);
}

static const NvsStatement lease_renew = {
	"UPDATE {consumers} c SET "
	"leased_until = "
	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $3, "
	"due_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $3 "
	"WHERE " IS_HELD_BY("$4") " RETURNING c.leased_until"
};

/* nvent.consumer_renew(name, token, lease, owner, store): its new end. */
Datum
nvs_consumer_renew(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	NvsConsumers *consumers;
	NvsParams	params;
	SPIPlanPtr	plan;
	Datum		until;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "lease");
	lease_require_holder(fcinfo, 1, 3, -1);
	PreventCommandIfReadOnly("nvent.consumer_renew()");
	consumers = lease_begin(fcinfo, 4);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 2, INTERVALOID);
	nvs_params_add_arg(&params, fcinfo, 3, TEXTOID);
	plan = nvs_statement_plan(consumers->plans, &lease_renew, &params, NULL);
	if (!nvs_execute_first(plan, &params, false, cxt, &until))
		lease_refuse(consumers, fcinfo, false);
	nvs_spi_end();
	PG_RETURN_DATUM(until);
}

/*
 * Blocks with the error $3; the lease stays.  $5 is the owner of those that
 * name none.
 */
static const NvsStatement lease_block = {
	"UPDATE {consumers} c SET blocked = true, error = $3, "
	"deferred_until = NULL, due_at = c.leased_until "
	"WHERE " IS_HELD_BY("COALESCE($4, $5)") " AND NOT c.blocked "
	"RETURNING c.name, c.position, c.attempt, c.lane, c.source"
};

/* Is it held and blocked already?  Its parameters are those of lease_block. */
static const NvsStatement lease_blocked = {
	"SELECT true FROM {consumers} c "
	"WHERE " IS_HELD_BY("COALESCE($4, $5)") " AND c.blocked"
};

/* The first parameters of lease_block. */
static const NvsConsumerArray lease_block_arrays[] = {
	{"names", TEXTOID}, {"tokens", INT8OID}, {"errors", TEXTOID},
	{"owners", TEXTOID}
};

/* nvent.consumer_block(name, token, error, owner, store): false if it was. */
Datum
nvs_consumer_block(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	bool		blocked;
	int			i;

	NVS_REQUIRE_ARG(0, "name");
	lease_require_holder(fcinfo, 1, 3, -1);
	PreventCommandIfReadOnly("nvent.consumer_block()");
	consumers = lease_begin(fcinfo, 4);
	nvs_params_init(&params);
	for (i = 0; i < lengthof(lease_block_arrays); i++)
		nvs_params_add_arg(&params, fcinfo, i, lease_block_arrays[i].type);
	nvs_params_add(&params, TEXTOID, (Datum) 0, true);
	blocked = nvs_table_set_run(consumers, &lease_block, &params) > 0;
	if (!blocked && nvs_table_set_run(consumers, &lease_blocked, &params) == 0)
		lease_refuse(consumers, fcinfo, false);
	nvs_spi_end();
	PG_RETURN_BOOL(blocked);
}

/*
 * nvent.consumer_block_many(names, tokens, errors, owners, owner, store):
 * those that were blocked now.
 */
Datum
nvs_consumer_block_many(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID};
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsNamedConsumers named;

	NVS_REQUIRE_ARG(0, "names");
	lease_require_holder(fcinfo, 1, 4, 3);
	nvs_consumers_named(&named, fcinfo, lease_block_arrays,
						lengthof(lease_block_arrays));
	PreventCommandIfReadOnly("nvent.consumer_block_many()");
	lease_each(fcinfo, &named, &lease_block, types, lengthof(types),
			   nvs_consumer_put_row, result);
	return (Datum) 0;
}
