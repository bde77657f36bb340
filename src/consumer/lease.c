/*
 * consumer/lease.c
 *	  What the holder of a lease does: acknowledge, renew, block.
 *
 * A lease is held by whoever has its token, or is named as its owner, until
 * somebody else leases the consumer or it is given back: a lease that has run
 * out but was not taken over still counts, since nobody else has begun.  All
 * statements check that on the row as it is once they hold it.
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

/* Is the lease of row c held with this token and by this owner? */
#define IS_HELD_BY(token, owner) \
	"c.token IS NOT NULL " \
	"AND (" token " IS NOT NULL OR " owner " IS NOT NULL) " \
	"AND (" token " IS NULL OR c.token OPERATOR(pg_catalog.=) " token ") " \
	"AND (" owner " IS NULL OR c.owner OPERATOR(pg_catalog.=) " owner ")"

/*
 * What an acknowledgement sets.  Going back brings events into reach that no
 * scan has looked at for this consumer, so it is to be initialized again.
 */
#define ACK_SET(upto, due, attempt) \
	"position = " upto ", " \
	"admitted = c.admitted AND (c.pattern IS NULL OR " \
	upto " OPERATOR(pg_catalog.>=) c.position), " \
	"attempt = CASE WHEN " due " IS NULL THEN 0 " \
	"ELSE COALESCE(" attempt ", 0) END, " \
	"owner = NULL, token = NULL, leased_until = NULL, " \
	"deferred_until = " due ", due_at = " due

#define BLOCK_SET(error) \
	"blocked = true, error = " error ", deferred_until = NULL, " \
	"due_at = c.leased_until"

static void lease_require_holder(FunctionCallInfo fcinfo, int token,
								 int owner);
pg_noreturn static void lease_refuse(const NvsConsumers *consumers,
									 FunctionCallInfo fcinfo, bool acks);

/* A holder says who it is by a token, by an owner's name, or by both. */
static void
lease_require_holder(FunctionCallInfo fcinfo, int token, int owner)
{
	if (PG_ARGISNULL(token) && PG_ARGISNULL(owner))
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

static const NvsStatement lease_ack = {
	"UPDATE {consumers} c SET " ACK_SET("$3", "$4", "$5")
	" WHERE c.name OPERATOR(pg_catalog.=) $1 AND " IS_HELD_BY("$2", "$7")
	" AND ($6 OR c.position OPERATOR(pg_catalog.<=) $3) "
	"RETURNING COALESCE(c.position OPERATOR(pg_catalog.<) c.mark, false) "
	"AND NOT c.blocked"
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

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "upto");
	NVS_REQUIRE_ARG(5, "force");
	lease_require_holder(fcinfo, 1, 6);
	PreventCommandIfReadOnly("nvent.consumer_ack()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 7);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 2, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, TIMESTAMPTZOID);
	nvs_params_add_arg(&params, fcinfo, 4, INT4OID);
	nvs_params_add_arg(&params, fcinfo, 5, BOOLOID);
	nvs_params_add_arg(&params, fcinfo, 6, TEXTOID);
	plan = nvs_statement_plan(consumers->plans, &lease_ack, &params, NULL);
	if (!nvs_execute_first(plan, &params, false, CurrentMemoryContext, &more))
		lease_refuse(consumers, fcinfo, true);
	nvs_spi_end();
	PG_RETURN_BOOL(DatumGetBool(more));
}

static const NvsStatement lease_ack_many = {
	"WITH v AS MATERIALIZED (SELECT * FROM ROWS FROM "
	"(pg_catalog.unnest($1), pg_catalog.unnest($2), "
	"pg_catalog.unnest($3), pg_catalog.unnest($4), "
	"pg_catalog.unnest($5)) u (name, token, upto, due, attempt)), "
	"held AS MATERIALIZED (SELECT c.name FROM {consumers} c, v "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name "
	"ORDER BY c.name FOR NO KEY UPDATE OF c) "
	"UPDATE {consumers} c SET "
	ACK_SET("v.upto", "v.due", "v.attempt")
	" FROM v, (SELECT DISTINCT name FROM held) h "
	"WHERE h.name OPERATOR(pg_catalog.=) v.name "
	"AND c.name OPERATOR(pg_catalog.=) v.name "
	"AND v.upto IS NOT NULL "
	"AND " IS_HELD_BY("v.token", "$7")
	" AND ($6 OR c.position OPERATOR(pg_catalog.<=) v.upto) "
	"RETURNING c.name, c.position, c.attempt, c.lane, c.source, "
	"c.deferred_until"
};

/*
 * nvent.consumer_ack_many(names, tokens, uptos, defer_until, attempts, force,
 * owner, store): the consumers that took it.  Rows are locked in the order
 * of names, so that two such calls do not wait for one another.
 */
Datum
nvs_consumer_ack_many(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;
	NvsParams	params;
	SPIPlanPtr	plan;
	NvsArrayArgs arrays = {"consumers", NVS_MAX_CONSUMERS};
	Datum	   *values;
	bool	   *nulls;

	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(2, "uptos");
	NVS_REQUIRE_ARG(5, "force");
	lease_require_holder(fcinfo, 1, 6);
	(void) nvs_array_argument(&arrays, fcinfo, 0, "names", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 1, "tokens", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 2, "uptos", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 3, "defer_until", &values,
							  &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 4, "attempts", &values, &nulls);
	PreventCommandIfReadOnly("nvent.consumer_ack_many()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 7);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8ARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 2, INT8ARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 3, TIMESTAMPTZARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 4, INT4ARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 5, BOOLOID);
	nvs_params_add_arg(&params, fcinfo, 6, TEXTOID);
	plan = nvs_statement_plan(consumers->plans, &lease_ack_many, &params,
							  NULL);
	(void) nvs_execute_each(plan, &params, false, nvs_consumer_put_row,
							result);
	nvs_spi_end();
	return (Datum) 0;
}

static const NvsStatement lease_renew = {
	"UPDATE {consumers} c SET "
	"leased_until = "
	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $3, "
	"due_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $3 "
	"WHERE c.name OPERATOR(pg_catalog.=) $1 AND " IS_HELD_BY("$2", "$4")
	" RETURNING c.leased_until"
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
	lease_require_holder(fcinfo, 1, 3);
	PreventCommandIfReadOnly("nvent.consumer_renew()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 4);
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

static const NvsStatement lease_block = {
	"UPDATE {consumers} c SET " BLOCK_SET("$3")
	" WHERE c.name OPERATOR(pg_catalog.=) $1 AND " IS_HELD_BY("$2", "$4")
	" AND NOT c.blocked"
};

/* Is it held and blocked already?  Its parameters are those of lease_block. */
static const NvsStatement lease_blocked = {
	"SELECT true FROM {consumers} c "
	"WHERE c.name OPERATOR(pg_catalog.=) $1 AND " IS_HELD_BY("$2", "$4")
	" AND c.blocked"
};

/* nvent.consumer_block(name, token, error, owner, store): false if it was. */
Datum
nvs_consumer_block(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	bool		blocked;

	NVS_REQUIRE_ARG(0, "name");
	lease_require_holder(fcinfo, 1, 3);
	PreventCommandIfReadOnly("nvent.consumer_block()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 4);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 3, TEXTOID);
	blocked = nvs_consumer_run(consumers, &lease_block, &params) > 0;
	if (!blocked && nvs_consumer_run(consumers, &lease_blocked, &params) == 0)
		lease_refuse(consumers, fcinfo, false);
	nvs_spi_end();
	PG_RETURN_BOOL(blocked);
}

static const NvsStatement lease_block_many = {
	"WITH v AS MATERIALIZED (SELECT * FROM ROWS FROM "
	"(pg_catalog.unnest($1), pg_catalog.unnest($2), "
	"pg_catalog.unnest($3)) u (name, token, error)), "
	"held AS MATERIALIZED (SELECT c.name FROM {consumers} c, v "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name "
	"ORDER BY c.name FOR NO KEY UPDATE OF c) "
	"UPDATE {consumers} c SET " BLOCK_SET("v.error")
	" FROM v, (SELECT DISTINCT name FROM held) h "
	"WHERE h.name OPERATOR(pg_catalog.=) v.name "
	"AND c.name OPERATOR(pg_catalog.=) v.name AND NOT c.blocked "
	"AND " IS_HELD_BY("v.token", "$4")
	" RETURNING c.name, c.position, c.attempt, c.lane, c.source"
};

/*
 * nvent.consumer_block_many(names, tokens, errors, owner, store): those that
 * were blocked now.
 */
Datum
nvs_consumer_block_many(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;
	NvsParams	params;
	SPIPlanPtr	plan;
	NvsArrayArgs arrays = {"consumers", NVS_MAX_CONSUMERS};
	Datum	   *values;
	bool	   *nulls;

	NVS_REQUIRE_ARG(0, "names");
	lease_require_holder(fcinfo, 1, 3);
	(void) nvs_array_argument(&arrays, fcinfo, 0, "names", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 1, "tokens", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 2, "errors", &values, &nulls);
	PreventCommandIfReadOnly("nvent.consumer_block_many()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 4);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8ARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 3, TEXTOID);
	plan = nvs_statement_plan(consumers->plans, &lease_block_many, &params,
							  NULL);
	(void) nvs_execute_each(plan, &params, false, nvs_consumer_put_row,
							result);
	nvs_spi_end();
	return (Datum) 0;
}
