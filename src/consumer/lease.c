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
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "consumer/consumer.h"

PG_FUNCTION_INFO_V1(nvs_consumer_ack);
PG_FUNCTION_INFO_V1(nvs_consumer_ack_many);
PG_FUNCTION_INFO_V1(nvs_consumer_renew);
PG_FUNCTION_INFO_V1(nvs_consumer_block);
PG_FUNCTION_INFO_V1(nvs_consumer_block_many);

/* Is the lease of row c held with this token and by this owner? */
#define HELD_BY(token, owner) \
	"c.token IS NOT NULL AND " \
	"(" token " IS NULL OR c.token OPERATOR(pg_catalog.=) " token ") AND " \
	"(" owner " IS NULL OR c.owner OPERATOR(pg_catalog.=) " owner ")"

/*
 * What an acknowledgement sets.  Going back brings events into reach that no
 * scan has looked at for this consumer, so it is to be admitted again.
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

static void require_holder(FunctionCallInfo fcinfo, int token, int owner);
pg_noreturn static void refuse(NvsConsumers *consumers,
							   FunctionCallInfo fcinfo, int64 upto,
							   bool acks);

/* A holder says who it is by a token, by an owner's name, or by both. */
static void
require_holder(FunctionCallInfo fcinfo, int token, int owner)
{
	if (PG_ARGISNULL(token) && PG_ARGISNULL(owner))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a lease needs its token or its owner"),
				 errhint("Pass the token that the claim returned.")));
}

static const NvsStatement lease_look = {
	"SELECT position, token FROM {consumers} "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/*
 * Say why the consumer named by the first argument refused: the lease is not
 * held, or the position would go back.
 */
static void
refuse(NvsConsumers *consumers, FunctionCallInfo fcinfo, int64 upto,
	   bool acks)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	NvsParams	params;
	StringInfoData detail;
	int64		position = 0;
	bool		free = true;
	bool		isnull;
	uint64		found;
	int64		token = 0;

	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	PushActiveSnapshot(GetLatestSnapshot());
	found = nvs_consumer_query(consumers, &lease_look, &params);
	PopActiveSnapshot();
	if (found > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		position = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		token = DatumGetInt64(SPI_getbinval(row, desc, 2, &free));
	}
	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"name\": ");
	escape_json(&detail, text_to_cstring(name));
	if (acks && !free && upto < position &&
		(PG_ARGISNULL(1) || PG_GETARG_INT64(1) == token))
	{
		appendStringInfo(&detail, ", \"position\": " INT64_FORMAT
						 ", \"given\": " INT64_FORMAT "}", position, upto);
		ereport(ERROR,
				(errcode(ERRCODE_NVS_POSITION_BEHIND),
				 errmsg("consumer \"%s\" would go back",
						text_to_cstring(name)),
				 errdetail_internal("%s", detail.data),
				 errhint("Pass force => true to have it read events again.")));
	}
	appendStringInfoString(&detail, ", \"token\": ");
	if (PG_ARGISNULL(1))
		appendStringInfoString(&detail, "null");
	else
		appendStringInfo(&detail, INT64_FORMAT, PG_GETARG_INT64(1));
	if (free)
		appendStringInfoString(&detail, ", \"holder\": null}");
	else
		appendStringInfo(&detail, ", \"holder\": " INT64_FORMAT "}", token);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_LEASE_LOST),
			 found > 0 ?
			 errmsg("the lease of consumer \"%s\" is lost",
					text_to_cstring(name)) :
			 errmsg("consumer \"%s\" does not exist", text_to_cstring(name)),
			 errdetail_internal("%s", detail.data),
			 errhint("Claim again, and drop what was done under this "
					 "lease.")));
}

static const NvsStatement lease_ack = {
	"UPDATE {consumers} c SET " ACK_SET("$4", "$5", "$6")
	" WHERE c.name OPERATOR(pg_catalog.=) $1 "
	"AND " HELD_BY("$2", "$3")
	" AND ($7 OR c.position OPERATOR(pg_catalog.<=) $4) "
	"RETURNING COALESCE(c.position OPERATOR(pg_catalog.<) c.mark, "
	"false) AND NOT c.blocked"
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
	bool		isnull;
	bool		more;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "upto");
	NVS_REQUIRE_ARG(5, "force");
	require_holder(fcinfo, 1, 6);
	PreventCommandIfReadOnly("nvent.consumer_ack()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 7);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 6, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 2, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, TIMESTAMPTZOID);
	nvs_params_add_arg(&params, fcinfo, 4, INT4OID);
	nvs_params_add_arg(&params, fcinfo, 5, BOOLOID);
	if (nvs_consumer_run(consumers, &lease_ack, &params) == 0)
		refuse(consumers, fcinfo, PG_GETARG_INT64(2), true);
	more = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull));
	nvs_spi_end();
	PG_RETURN_BOOL(more);
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
	"AND (v.token IS NOT NULL OR $6 IS NOT NULL) "
	"AND " HELD_BY("v.token", "$6")
	" AND ($7 OR c.position OPERATOR(pg_catalog.<=) v.upto) "
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
	NvsArrayArgs arrays = {"consumers", NVS_MAX_CONSUMERS};
	Datum	   *values;
	bool	   *nulls;

	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(2, "uptos");
	NVS_REQUIRE_ARG(5, "force");
	require_holder(fcinfo, 1, 6);
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
	nvs_params_add_arg(&params, fcinfo, 6, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 5, BOOLOID);
	(void) nvs_consumer_run(consumers, &lease_ack_many, &params);
	nvs_consumer_emit(result, desc);
	nvs_spi_end();
	return (Datum) 0;
}

static const NvsStatement lease_renew = {
	"UPDATE {consumers} c SET leased_until = "
	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $4, "
	"due_at = pg_catalog.clock_timestamp() "
	"OPERATOR(pg_catalog.+) $4 WHERE c.name OPERATOR(pg_catalog.=) $1 AND "
	HELD_BY("$2", "$3") " RETURNING c.leased_until"
};

/* nvent.consumer_renew(name, token, lease, owner, store): its new end. */
Datum
nvs_consumer_renew(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	bool		isnull;
	Datum		until;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "lease");
	require_holder(fcinfo, 1, 3);
	PreventCommandIfReadOnly("nvent.consumer_renew()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 4);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 2, INTERVALOID);
	if (nvs_consumer_run(consumers, &lease_renew, &params) == 0)
		refuse(consumers, fcinfo, 0, false);
	until = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	nvs_spi_end();
	PG_RETURN_DATUM(until);
}

static const NvsStatement lease_block = {
	"WITH was AS MATERIALIZED (SELECT c.name, c.blocked "
	"FROM {consumers} c WHERE c.name OPERATOR(pg_catalog.=) $1 AND "
	HELD_BY("$2", "$3") " FOR NO KEY UPDATE), "
	"now AS (UPDATE {consumers} c SET " BLOCK_SET("$4")
	" FROM was w WHERE c.name OPERATOR(pg_catalog.=) w.name "
	"AND NOT w.blocked) "
	"SELECT NOT w.blocked FROM was w"
};

/* nvent.consumer_block(name, token, error, owner, store): false if it was. */
Datum
nvs_consumer_block(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	bool		isnull;
	bool		blocked;

	NVS_REQUIRE_ARG(0, "name");
	require_holder(fcinfo, 1, 3);
	PreventCommandIfReadOnly("nvent.consumer_block()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 4);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTOID);
	if (nvs_consumer_run(consumers, &lease_block, &params) == 0)
		refuse(consumers, fcinfo, 0, false);
	blocked = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
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
	"AND (v.token IS NOT NULL OR $4 IS NOT NULL) "
	"AND " HELD_BY("v.token", "$4")
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
	NvsArrayArgs arrays = {"consumers", NVS_MAX_CONSUMERS};
	Datum	   *values;
	bool	   *nulls;

	NVS_REQUIRE_ARG(0, "names");
	require_holder(fcinfo, 1, 3);
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
	(void) nvs_consumer_run(consumers, &lease_block_many, &params);
	nvs_consumer_emit(result, desc);
	nvs_spi_end();
	return (Datum) 0;
}
