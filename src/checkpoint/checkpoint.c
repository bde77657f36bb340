/*
 * checkpoint/checkpoint.c
 *	  Named positions that readers keep for themselves.
 *
 * A checkpoint is a row of {prefix}_checkpoints.  It does not go back unless
 * that is forced, and it remembers the highest fencing token that has saved
 * it: a lower one, or none, is a holder's whose lease was taken over.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "consumer/consumer.h"

PG_FUNCTION_INFO_V1(nvs_checkpoint_save);
PG_FUNCTION_INFO_V1(nvs_checkpoint_load);
PG_FUNCTION_INFO_V1(nvs_checkpoint_delete);

pg_noreturn static void refuse(NvsConsumers *consumers,
							   FunctionCallInfo fcinfo);

static const NvsStatement checkpoint_look_saved = {
	"SELECT position, token FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/* Say why a checkpoint was not saved. */
static void
refuse(NvsConsumers *consumers, FunctionCallInfo fcinfo)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	NvsParams	params;
	StringInfoData detail;
	int64		position = 0;
	int64		token = 0;
	bool		isnull = true;

	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	PushActiveSnapshot(GetLatestSnapshot());
	if (nvs_consumer_query(consumers, &checkpoint_look_saved, &params) > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		position = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		token = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
	}
	PopActiveSnapshot();
	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"name\": ");
	escape_json(&detail, name);
	if (!isnull && (PG_ARGISNULL(2) || PG_GETARG_INT64(2) < token))
	{
		appendStringInfoString(&detail, ", \"token\": ");
		if (PG_ARGISNULL(2))
			appendStringInfoString(&detail, "null");
		else
			appendStringInfo(&detail, INT64_FORMAT, PG_GETARG_INT64(2));
		appendStringInfo(&detail, ", \"holder\": " INT64_FORMAT "}", token);
		ereport(ERROR,
				(errcode(ERRCODE_NVS_LEASE_LOST),
				 errmsg("checkpoint \"%s\" is saved by the holder of a later "
						"lease", name),
				 errdetail_internal("%s", detail.data),
				 errhint("Pass the token of a lease that is held.")));
	}
	appendStringInfo(&detail, ", \"position\": " INT64_FORMAT
					 ", \"given\": " INT64_FORMAT "}", position,
					 PG_GETARG_INT64(1));
	ereport(ERROR,
			(errcode(ERRCODE_NVS_POSITION_BEHIND),
			 errmsg("checkpoint \"%s\" would go back", name),
			 errdetail_internal("%s", detail.data),
			 errhint("Pass force => true to have events read again.")));
}

static const NvsStatement checkpoint_save = {
	"INSERT INTO {checkpoints} AS c "
	"(name, position, token, data, updated_at) "
	"VALUES ($1, $2, $3, $5, pg_catalog.clock_timestamp()) "
	"ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, "
	"token = EXCLUDED.token, "
	"data = COALESCE(EXCLUDED.data, c.data), "
	"updated_at = pg_catalog.clock_timestamp() "
	"WHERE ($4 OR c.position OPERATOR(pg_catalog.<=) "
	"EXCLUDED.position) AND (c.token IS NULL OR "
	"c.token OPERATOR(pg_catalog.<=) EXCLUDED.token)"
};

/* nvent.checkpoint_save(name, upto, token, force, data, store) */
Datum
nvs_checkpoint_save(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "upto");
	NVS_REQUIRE_ARG(3, "force");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "checkpoint");
	PreventCommandIfReadOnly("nvent.checkpoint_save()");
	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 5, true);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 2, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, BOOLOID);
	nvs_params_add_arg(&params, fcinfo, 4, JSONBOID);
	if (nvs_consumer_run(consumers, &checkpoint_save, &params) == 0)
		refuse(consumers, fcinfo);
	nvs_spi_end();
	PG_RETURN_VOID();
}

static const NvsStatement checkpoint_load = {
	"SELECT position, token, data, updated_at FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) $1 "
	"AND name OPERATOR(pg_catalog.<>) " NVS_SCAN_NAME
};

/* nvent.checkpoint_load(name, store): one row or none. */
Datum
nvs_checkpoint_load(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;
	NvsParams	params;

	NVS_REQUIRE_ARG(0, "name");
	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 1, false);
	if (consumers != NULL)
	{
		nvs_params_init(&params);
		nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
		(void) nvs_consumer_query(consumers, &checkpoint_load, &params);
		nvs_consumer_emit(result, desc);
	}
	nvs_spi_end();
	return (Datum) 0;
}

static const NvsStatement checkpoint_forget = {
	"DELETE FROM {checkpoints} WHERE name OPERATOR(pg_catalog.=) $1"
};

/* nvent.checkpoint_delete(name, store): false when there was none. */
Datum
nvs_checkpoint_delete(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	uint64		deleted;

	NVS_REQUIRE_ARG(0, "name");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "checkpoint");
	PreventCommandIfReadOnly("nvent.checkpoint_delete()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 1);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	deleted = nvs_consumer_run(consumers, &checkpoint_forget, &params);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
