/*
 * stream/lifecycle.c
 *	  The life of a stream after its events: truncate, delete, reopen, erase,
 *	  retain.
 *
 * Whatever removes events of a versioned stream holds its subject's lock, as
 * an append does.  Unless a caller asks for versions to begin anew, the last
 * event stays or is replaced by a later one, so that no version is given out
 * twice.  Positions are never reused.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/time.h"
#include "stream/stream.h"

/* How stream_truncate() was called. */
enum
{
	ARG_SUBJECT,
	ARG_BEFORE,
	ARG_BEFORE_TS,
	ARG_MAX_ID,
	ARG_SEED,
	ARG_RESTART
};

PG_FUNCTION_INFO_V1(nvs_stream_truncate);
PG_FUNCTION_INFO_V1(nvs_stream_delete);
PG_FUNCTION_INFO_V1(nvs_stream_reopen);
PG_FUNCTION_INFO_V1(nvs_stream_erase);
PG_FUNCTION_INFO_V1(nvs_stream_retain);

static void check_form(FunctionCallInfo fcinfo);
static bool find_boundary(const NvsResolved *resolved, FunctionCallInfo fcinfo,
						  int64 *boundary, Datum *record,
						  MemoryContext cxt);
static uint64 delete_below(const NvsResolved *resolved, const char *column,
						   int64 bound);
static Datum append_own(NvsAppend *stream, Jsonb *doc, int64 version,
						MemoryContext cxt);

/*
 * nvent.stream_truncate(subject, before, before_ts, max_id, seed, restart):
 * one row, how many events were deleted and the record of what stands for
 * them; no row when there is no snapshot to begin with.
 */
Datum
nvs_stream_truncate(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	MemoryContext cxt = CurrentMemoryContext;
	NvsAppend	stream;
	Datum		values[2] = {0, 0};
	bool		nulls[2] = {false, true};
	bool		done = true;
	int64		bound;
	uint64		deleted = 0;

	check_form(fcinfo);
	nvs_spi_begin();
	if (!nvs_stream_resolve(PG_GETARG_TEXT_PP(ARG_SUBJECT),
							!PG_ARGISNULL(ARG_SEED), &stream.resolved))
		done = PG_ARGISNULL(ARG_BEFORE_TS);
	else
	{
		nvs_stream_hold(&stream);
		if (!PG_ARGISNULL(ARG_BEFORE))
		{
			if (nvs_stream_state(stream.resolved.target)->version == NULL)
				nvs_stream_unversioned(&stream.resolved);
			bound = Min(PG_GETARG_INT64(ARG_BEFORE), stream.head);
			deleted = delete_below(&stream.resolved, "version", bound);
		}
		else if (!PG_ARGISNULL(ARG_SEED))
		{
			deleted = delete_below(&stream.resolved, NULL, 0);
			bound = PG_GETARG_BOOL(ARG_RESTART) ? 1 : stream.head + 1;
			values[1] = append_own(&stream, PG_GETARG_JSONB_P(ARG_SEED),
								   bound, cxt);
			nulls[1] = false;
		}
		else if (find_boundary(&stream.resolved, fcinfo, &bound, &values[1],
							   cxt))
		{
			deleted = delete_below(&stream.resolved, "id", bound);
			nulls[1] = false;
		}
		else
			done = false;
	}
	values[0] = Int64GetDatum((int64) deleted);
	if (done)
		tuplestore_putvalues(result, desc, values, nulls);
	nvs_spi_end();
	return (Datum) 0;
}

/* Raise an error unless the call is of one form. */
static void
check_form(FunctionCallInfo fcinfo)
{
	int			forms = !PG_ARGISNULL(ARG_BEFORE) +
		!PG_ARGISNULL(ARG_BEFORE_TS) + !PG_ARGISNULL(ARG_SEED);

	NVS_REQUIRE_ARG(ARG_SUBJECT, "subject");
	NVS_REQUIRE_ARG(ARG_RESTART, "restart");
	if (forms != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of \"before\", \"before_ts\" and "
						"\"seed\" must be given")));
	if (!PG_ARGISNULL(ARG_MAX_ID) && PG_ARGISNULL(ARG_BEFORE_TS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_id\" needs \"before_ts\"")));
	if (PG_GETARG_BOOL(ARG_RESTART) && PG_ARGISNULL(ARG_SEED))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"restart\" needs \"seed\"")));
	PreventCommandIfReadOnly("nvent.stream_truncate()");
}

/* The last snapshot before a time, and at or below max_id. */
static bool
find_boundary(const NvsResolved *resolved, FunctionCallInfo fcinfo,
			  int64 *boundary, Datum *record, MemoryContext cxt)
{
	const NvsTarget *target = resolved->target;
	const NvsStreamState *state = target->state;
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;

	nvs_params_init(&params);
	nvs_route_params(resolved, &params);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM %s WHERE ", state->read_list,
					 target->name);
	nvs_route_where(target, &sql);
	appendStringInfo(&sql, " AND type OPERATOR(pg_catalog.=) '"
					 NVS_TYPE_SNAPSHOT "' "
					 "AND ts OPERATOR(pg_catalog.<) $%d",
					 nvs_params_add(&params, INT8OID,
									PG_GETARG_DATUM(ARG_BEFORE_TS), false));
	if (!PG_ARGISNULL(ARG_MAX_ID))
		appendStringInfo(&sql, " AND id OPERATOR(pg_catalog.<=) $%d",
						 nvs_params_add(&params, INT8OID,
										PG_GETARG_DATUM(ARG_MAX_ID), false));
	appendStringInfoString(&sql, " ORDER BY id DESC LIMIT 1");
	plan = nvs_planset_text(target->plans, sql.data, &params,
							CURSOR_OPT_GENERIC_PLAN);
	if (nvs_plan_execute(plan, params.values, params.nulls, false, 1) == 0)
		return false;
	*boundary = nvs_event_position(resolved, SPI_tuptable->vals[0],
								   SPI_tuptable->tupdesc);
	*record = nvs_event_record(resolved, SPI_tuptable->vals[0],
							   SPI_tuptable->tupdesc, cxt);
	return true;
}

/* Delete events of a subject: those below a bound, or all without column. */
static uint64
delete_below(const NvsResolved *resolved, const char *column, int64 bound)
{
	const NvsTarget *target = resolved->target;
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;

	nvs_params_init(&params);
	nvs_route_params(resolved, &params);
	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s WHERE ", target->name);
	nvs_route_where(target, &sql);
	if (column != NULL)
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.<) $%d", column,
						 nvs_params_add(&params, INT8OID,
										Int64GetDatum(bound), false));
	plan = nvs_planset_text(target->plans, sql.data, &params,
							CURSOR_OPT_GENERIC_PLAN);
	return nvs_stream_execute(target, plan, &params, NULL, NULL);
}

/* Append an event, whatever the stream's state, with this version. */
static Datum
append_own(NvsAppend *stream, Jsonb *doc, int64 version, MemoryContext cxt)
{
	NvsNewEvent event;
	Datum		record;

	event.stream = stream;
	event.doc = doc;
	nvs_event_parse(&stream->resolved,
					nvs_stream_state(stream->resolved.target), doc, version,
					&event.event);
	if (!nvs_insert_events(&event, 1, &record, cxt))
		nvs_partly_known(1, 1);
	return record;
}

/* nvent.stream_delete(subject): how many events it had. */
Datum
nvs_stream_delete(PG_FUNCTION_ARGS)
{
	NvsAppend	stream;
	NvsParams	params;
	SPIPlanPtr *plan;
	uint64		deleted = 0;

	PreventCommandIfReadOnly("nvent.stream_delete()");
	nvs_spi_begin();
	if (nvs_stream_resolve(PG_GETARG_TEXT_PP(0), false, &stream.resolved))
	{
		NvsTarget  *target = stream.resolved.target;

		nvs_stream_hold(&stream);
		nvs_params_init(&params);
		nvs_route_params(&stream.resolved, &params);
		plan = nvs_planset_slot(target->plans, NVS_STREAM_PLAN_DELETE);
		if (*plan == NULL)
		{
			StringInfoData sql;

			initStringInfo(&sql);
			appendStringInfo(&sql, "DELETE FROM %s WHERE ", target->name);
			nvs_route_where(target, &sql);
			*plan = nvs_plan_prepare(sql.data, params.n, params.types,
									 CURSOR_OPT_GENERIC_PLAN);
		}
		deleted = nvs_stream_execute(target, *plan, &params, NULL, NULL);
	}
	nvs_spi_end();
	PG_RETURN_INT64((int64) deleted);
}

/*
 * nvent.stream_reopen(subject, data): the record of the event that says so,
 * NULL when the stream is not closed.
 */
Datum
nvs_stream_reopen(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	NvsAppend	stream;
	NvsJsonb	event;
	Datum		record = (Datum) 0;

	NVS_REQUIRE_ARG(0, "subject");
	PreventCommandIfReadOnly("nvent.stream_reopen()");
	nvs_spi_begin();
	if (nvs_stream_resolve(PG_GETARG_TEXT_PP(0), false, &stream.resolved))
	{
		stream.nevents = 1;
		nvs_stream_lock(&stream, 1);
		nvs_stream_heads(&stream, 1);
		if (stream.closed)
		{
			nvs_jsonb_init(&event);
			nvs_jsonb_add_text(&event, NVS_KEY("type"),
							   NVS_KEY(NVS_TYPE_REOPENED));
			if (!PG_ARGISNULL(1))
				nvs_jsonb_add_jsonb(&event, NVS_KEY("data"),
									PG_GETARG_JSONB_P(1));
			record = append_own(&stream, nvs_jsonb_finish(&event),
								stream.head + 1, cxt);
		}
	}
	nvs_spi_end();
	if (record == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(record);
}

/* nvent.stream_erase(subject): how many events had something to forget. */
Datum
nvs_stream_erase(PG_FUNCTION_ARGS)
{
	NvsAppend	stream;
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;
	uint64		forgotten = 0;

	NVS_REQUIRE_ARG(0, "subject");
	PreventCommandIfReadOnly("nvent.stream_erase()");
	nvs_spi_begin();
	if (nvs_stream_resolve(PG_GETARG_TEXT_PP(0), false, &stream.resolved))
	{
		NvsTarget  *target = stream.resolved.target;

		if (nvs_stream_state(target)->pii == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("stream \"%.*s\" has nothing that can be "
							"forgotten", stream.resolved.len,
							stream.resolved.subject),
					 errdetail("Table %s has no column \"pii\" of type "
							   "jsonb.", target->name)));
		nvs_stream_hold(&stream);
		nvs_params_init(&params);
		nvs_route_params(&stream.resolved, &params);
		initStringInfo(&sql);
		appendStringInfo(&sql, "UPDATE %s SET pii = NULL WHERE ",
						 target->name);
		nvs_route_where(target, &sql);
		appendStringInfoString(&sql, " AND pii IS NOT NULL");
		plan = nvs_planset_text(target->plans, sql.data, &params,
								CURSOR_OPT_GENERIC_PLAN);
		forgotten = nvs_stream_execute(target, plan, &params, NULL, NULL);
	}
	nvs_spi_end();
	PG_RETURN_INT64((int64) forgotten);
}

/*
 * nvent.stream_retain(type, older_than, store, max_count): how many events of
 * a generic stream table were deleted.
 */
Datum
nvs_stream_retain(PG_FUNCTION_ARGS)
{
	int64		count = nvs_count_argument(fcinfo, 3, "max_count");
	NvsResolved resolved;
	NvsParams	params;
	StringInfoData sql;
	TimestampTz cutoff;
	uint64		deleted = 0;
	char	   *subject;

	NVS_REQUIRE_ARG(0, "type");
	NVS_REQUIRE_ARG(1, "older_than");
	PreventCommandIfReadOnly("nvent.stream_retain()");
	cutoff = DatumGetTimestampTz(DirectFunctionCall2(
													 timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()),
													 PG_GETARG_DATUM(1)));
	subject = psprintf("%s:%s", PG_ARGISNULL(2) ? nvs_default_store :
					   text_to_cstring(PG_GETARG_TEXT_PP(2)),
					   text_to_cstring(PG_GETARG_TEXT_PP(0)));
	nvs_spi_begin();
	if (nvs_route_find(NVS_KIND_STREAM, subject, strlen(subject), false,
					   &resolved) &&
		nvs_route_pattern(resolved.target) == NULL)
	{
		NvsTarget  *target = resolved.target;

		nvs_params_init(&params);
		nvs_params_add(&params, INT8OID,
					   Int64GetDatum(nvs_timestamptz_to_ms(cutoff)), false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(count), count < 0);
		initStringInfo(&sql);
		appendStringInfo(&sql, "DELETE FROM %s d WHERE d.id "
						 "OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT e.id "
						 "FROM %s e WHERE e.ts OPERATOR(pg_catalog.<) $1",
						 target->name, target->name);
		/* The last event stays: it says which version is next. */
		if (nvs_stream_state(target)->version != NULL)
			appendStringInfo(&sql, " AND EXISTS (SELECT FROM %s n "
							 "WHERE n.subject OPERATOR(pg_catalog.=) "
							 "e.subject AND n.version "
							 "OPERATOR(pg_catalog.>) e.version)",
							 target->name);
		appendStringInfoString(&sql, " ORDER BY e.id LIMIT $2))");
		deleted = nvs_stream_execute(target,
									 nvs_planset_text(target->plans,
													  sql.data, &params, 0),
									 &params, NULL, NULL);
	}
	nvs_spi_end();
	PG_RETURN_INT64((int64) deleted);
}
