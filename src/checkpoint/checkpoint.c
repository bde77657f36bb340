/*
 * checkpoint/checkpoint.c
 *	  Named positions that readers keep for themselves.
 *
 * A checkpoint is a row of {prefix}_checkpoints.  It does not go back unless
 * that is forced, and it remembers the highest fencing token that has saved
 * it: a lower one, or none, is a holder's whose lease was taken over.
 *
 * The one without a name says up to where consumers are marked; it belongs to
 * consumer/mark.c, and nothing here reads or writes it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "consumer/consumer.h"

PG_FUNCTION_INFO_V1(nvs_checkpoint_save);
PG_FUNCTION_INFO_V1(nvs_checkpoint_load);
PG_FUNCTION_INFO_V1(nvs_checkpoint_delete);

static void checkpoint_refuse(const NvsConsumers *consumers,
							  FunctionCallInfo fcinfo);

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

/* nvent.checkpoint_save(name, upto, token, force, data, store, keep_higher) */
Datum
nvs_checkpoint_save(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "upto");
	NVS_REQUIRE_ARG(3, "force");
	NVS_REQUIRE_ARG(6, "keep_higher");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "checkpoint");
	PreventCommandIfReadOnly("nvent.checkpoint_save()");
	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 5, NVS_USE_WRITE);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 2, INT8OID);
	nvs_params_add_arg(&params, fcinfo, 3, BOOLOID);
	nvs_params_add_arg(&params, fcinfo, 4, JSONBOID);
	if (nvs_table_set_run(consumers, &checkpoint_save, &params) == 0)
		checkpoint_refuse(consumers, fcinfo);
	nvs_spi_end();
	PG_RETURN_VOID();
}

static const NvsStatement checkpoint_state = {
	"SELECT position, token FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/*
 * Raise the error for a checkpoint_save() that changed nothing, if it is one:
 * the caller may want the higher position kept.
 */
static void
checkpoint_refuse(const NvsConsumers *consumers, FunctionCallInfo fcinfo)
{
	NvsLeaseState state;

	nvs_lease_read_state(consumers, &checkpoint_state, fcinfo, &state);
	if (state.has_token &&
		(PG_ARGISNULL(2) || PG_GETARG_INT64(2) < state.token))
		ereport(ERROR,
				(errcode(ERRCODE_NVS_LEASE_LOST),
				 errmsg("checkpoint \"%s\" is saved by the holder of a later "
						"lease", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail_internal("%s",
									nvs_lease_detail(fcinfo, 2, &state)),
				 errhint("Pass the token of a lease that is held.")));
	if (!PG_GETARG_BOOL(6))
		nvs_lease_report_behind("checkpoint", fcinfo, &state,
								PG_GETARG_INT64(1));
}

static const NvsStatement checkpoint_load = {
	"SELECT position, token, data, updated_at FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) $1 "
	"AND name OPERATOR(pg_catalog.<>) " NVS_MARK_CHECKPOINT
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
	consumers = nvs_consumers_open(fcinfo, 1, NVS_USE_READ);
	if (consumers != NULL)
	{
		nvs_params_init(&params);
		nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
		nvs_consumer_emit(consumers, &checkpoint_load, &params, result);
	}
	nvs_spi_end();
	return (Datum) 0;
}

static const NvsStatement checkpoint_delete = {
	"DELETE FROM {checkpoints} WHERE name OPERATOR(pg_catalog.=) $1"
};

/* nvent.checkpoint_delete(name, store): false when there was none. */
Datum
nvs_checkpoint_delete(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "name");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "checkpoint");
	PreventCommandIfReadOnly("nvent.checkpoint_delete()");
	PG_RETURN_BOOL(nvs_consumer_delete(fcinfo, &checkpoint_delete));
}
