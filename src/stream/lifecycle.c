/*
 * stream/lifecycle.c
 *	  The life of a stream after its events: truncate, delete, reopen, erase,
 *	  retain.  It is closed by an append, see nvent.stream_close().
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
#include "store/stream_table.h"
#include "stream/append.h"
#include "stream/write.h"

/* Arguments of stream_truncate(). */
enum
{
	ARG_SUBJECT,
	ARG_BEFORE,
	ARG_BEFORE_TS,
	ARG_MAX_ID,
	ARG_SEED,
	ARG_RESTART
};

/* Arguments of stream_retain(). */
enum
{
	RETAIN_TYPE,
	RETAIN_OLDER_THAN,
	RETAIN_STORE,
	RETAIN_MAX_COUNT
};

/* A call of stream_truncate(). */
typedef struct Truncation
{
	FunctionCallInfo fcinfo;
	NvsAppend	stream;
	uint64		deleted;
	Datum		record;			/* of what stands for what was deleted */
	bool		has_record;
	MemoryContext cxt;			/* of the record */
} Truncation;

PG_FUNCTION_INFO_V1(nvs_stream_truncate);
PG_FUNCTION_INFO_V1(nvs_stream_delete);
PG_FUNCTION_INFO_V1(nvs_stream_reopen);
PG_FUNCTION_INFO_V1(nvs_stream_erase);
PG_FUNCTION_INFO_V1(nvs_stream_retain);

static void truncate_check_form(FunctionCallInfo fcinfo);
static bool truncate_run(Truncation *call);
static void truncate_before_version(Truncation *call);
static void truncate_to_seed(Truncation *call);
static bool truncate_to_snapshot(Truncation *call);
static uint64 lifecycle_write(const NvsResolved *resolved,
							  const NvsStatement *statement,
							  const int64 *bound);
static Datum lifecycle_append(NvsAppend *stream, const Jsonb *doc,
							  int64 version, MemoryContext cxt);
static Jsonb *reopen_event(FunctionCallInfo fcinfo);
static void retain_params(FunctionCallInfo fcinfo, NvsParams *params);
static uint64 retain_delete(NvsTarget *target, const NvsParams *params);

/* Events of one subject. */
static const NvsStatement delete_events = {
	"DELETE FROM {table} WHERE {keys}"
};

static const NvsStatement delete_before_version = {
	"DELETE FROM {table} WHERE {keys} "
	"AND version OPERATOR(pg_catalog.<) {first}"
};

static const NvsStatement delete_before_position = {
	"DELETE FROM {table} WHERE {keys} AND id OPERATOR(pg_catalog.<) {first}"
};

static const NvsStatement erase_events = {
	"UPDATE {table} SET pii = NULL WHERE {keys} AND pii IS NOT NULL"
};

/* The last snapshot before a time, and up to a position. */
static const NvsStatement find_snapshot = {
	"SELECT {record} FROM {table} WHERE {keys} "
	"AND type OPERATOR(pg_catalog.=) '" NVS_TYPE_SNAPSHOT "' "
	"AND ts OPERATOR(pg_catalog.<) {first} "
	"AND id OPERATOR(pg_catalog.<=) {second} "
	"ORDER BY id DESC LIMIT 1"
};

/* Events of a table before a time, the oldest first and so many of them. */
static const NvsStatement retain_in_log = {
	"DELETE FROM {table} d WHERE d.id OPERATOR(pg_catalog.=) "
	"ANY (ARRAY(SELECT e.id FROM {table} e "
	"WHERE e.ts OPERATOR(pg_catalog.<) $1 ORDER BY e.id LIMIT $2))",
	.mode = NVS_PLAN_AUTO
};

/*
 * Delete up to $2 events from before $1, but for the last one of each stream:
 * it says which version is next.
 */
static const NvsStatement retain_versioned = {
	"DELETE FROM {table} d WHERE d.id OPERATOR(pg_catalog.=) "
	"ANY (ARRAY(SELECT e.id FROM {table} e "
	"WHERE e.ts OPERATOR(pg_catalog.<) $1 AND EXISTS (SELECT FROM {table} n "
	"WHERE n.subject OPERATOR(pg_catalog.=) e.subject "
	"AND n.version OPERATOR(pg_catalog.>) e.version) "
	"ORDER BY e.id LIMIT $2))",
	.mode = NVS_PLAN_AUTO
};

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
	Truncation	call;
	Datum		values[2];
	bool		nulls[2];
	bool		done;

	truncate_check_form(fcinfo);
	memset(&call, 0, sizeof(call));
	call.fcinfo = fcinfo;
	call.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	if (nvs_stream_hold(fcinfo, &call.stream, !PG_ARGISNULL(ARG_SEED)))
		done = truncate_run(&call);
	else
		done = PG_ARGISNULL(ARG_BEFORE_TS);
	values[0] = Int64GetDatum((int64) call.deleted);
	values[1] = call.record;
	nulls[0] = false;
	nulls[1] = !call.has_record;
	if (done)
		tuplestore_putvalues(result, desc, values, nulls);
	nvs_spi_end();
	return (Datum) 0;
}

/* Raise an error unless the call is of one form. */
static void
truncate_check_form(FunctionCallInfo fcinfo)
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

/* Truncate a stream; false when there is nothing to begin it with. */
static bool
truncate_run(Truncation *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (!PG_ARGISNULL(ARG_BEFORE_TS))
		return truncate_to_snapshot(call);
	if (!PG_ARGISNULL(ARG_BEFORE))
		truncate_before_version(call);
	else
		truncate_to_seed(call);
	return true;
}

/* Delete what is before a version, but for the last event. */
static void
truncate_before_version(Truncation *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	const NvsResolved *resolved = &call->stream.resolved;
	int64		bound = Min(PG_GETARG_INT64(ARG_BEFORE), call->stream.head);

	if (nvs_stream_state(resolved->target)->version == NULL)
		nvs_stream_unversioned(resolved);
	call->deleted = lifecycle_write(resolved, &delete_before_version, &bound);
}

/* Delete everything and append an event that stands for it. */
static void
truncate_to_seed(Truncation *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	int64		version = PG_GETARG_BOOL(ARG_RESTART) ? 1 :
		call->stream.head + 1;

	call->deleted = lifecycle_write(&call->stream.resolved, &delete_events,
									NULL);
	call->record = lifecycle_append(&call->stream, PG_GETARG_JSONB_P(ARG_SEED),
									version, call->cxt);
	call->has_record = true;
}

/* Delete what is before the last snapshot of a time; false if none is. */
static bool
truncate_to_snapshot(Truncation *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	const NvsResolved *resolved = &call->stream.resolved;
	NvsPlanSet *plans = resolved->target->plans;
	int64		max_id = NVS_ARG_OR(ARG_MAX_ID, PG_GETARG_INT64, PG_INT64_MAX);
	NvsParams	params;
	int64		bound;
	HeapTuple	row;
	TupleDesc	desc;

	nvs_params_init(&params);
	nvs_target_params(resolved, &params);
	nvs_params_add_arg(&params, fcinfo, ARG_BEFORE_TS, INT8OID);
	nvs_params_add(&params, INT8OID, Int64GetDatum(max_id), false);
	if (nvs_execute(nvs_statement_plan(plans, &find_snapshot, &params, NULL),
					&params, false, 1) == 0)
		return false;
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	bound = nvs_event_position(resolved->target, row, desc);
	call->record = nvs_event_record(resolved, row, desc, call->cxt);
	call->has_record = true;
	call->deleted = lifecycle_write(resolved, &delete_before_position, &bound);
	return true;
}

/* Change events of a subject; bound, if not NULL, is {first}. */
static uint64
lifecycle_write(const NvsResolved *resolved, const NvsStatement *statement,
				const int64 *bound)
{
	const NvsTarget *target = resolved->target;
	NvsParams	params;
	SPIPlanPtr	plan;

	nvs_params_init(&params);
	nvs_target_params(resolved, &params);
	if (bound != NULL)
		nvs_params_add(&params, INT8OID, Int64GetDatum(*bound), false);
	plan = nvs_statement_plan(target->plans, statement, &params, NULL);
	return nvs_stream_write(target, plan, &params, NULL, NULL);
}

/*
 * Append an event with this version, whatever the stream's state; returns its
 * record, in cxt.
 */
static Datum
lifecycle_append(NvsAppend *stream, const Jsonb *doc, int64 version,
				 MemoryContext cxt)
{
	NvsNewEvent event;
	NvsRecords	records = {.cxt = cxt};

	event.stream = stream;
	event.doc = doc;
	nvs_event_parse(&stream->resolved, nvs_event_keys(&stream->resolved), doc,
					version, &event.event);
	if (!nvs_stream_insert(&event, 1, &records))
		nvs_event_id_taken(1, 1);
	return records.record;
}

/* nvent.stream_delete(subject): how many events it had. */
Datum
nvs_stream_delete(PG_FUNCTION_ARGS)
{
	NvsAppend	stream;
	uint64		deleted = 0;

	PreventCommandIfReadOnly("nvent.stream_delete()");
	nvs_spi_begin();
	if (nvs_stream_hold(fcinfo, &stream, false))
		deleted = lifecycle_write(&stream.resolved, &delete_events, NULL);
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
	Datum		record = (Datum) 0;

	NVS_REQUIRE_ARG(0, "subject");
	PreventCommandIfReadOnly("nvent.stream_reopen()");
	nvs_spi_begin();
	nvs_stream_name(fcinfo, 0, &stream);
	stream.nevents = 1;
	nvs_stream_lock(&stream, 1, false);
	if (stream.resolved.target != NULL)
	{
		nvs_stream_heads(&stream, 1);
		if (stream.closed)
			record = lifecycle_append(&stream, reopen_event(fcinfo),
									  stream.head + 1, cxt);
	}
	nvs_spi_end();
	if (record == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(record);
}

/* The event that reopens a stream, with the data of argument 1. */
static Jsonb *
reopen_event(FunctionCallInfo fcinfo)
{
	NvsJsonb	event;

	nvs_jsonb_init(&event);
	nvs_jsonb_add_text(&event, NVS_KEY("type"), NVS_KEY(NVS_TYPE_REOPENED));
	if (!PG_ARGISNULL(1))
		nvs_jsonb_add_jsonb(&event, NVS_KEY("data"), PG_GETARG_JSONB_P(1));
	return nvs_jsonb_finish(&event);
}

/* nvent.stream_erase(subject): how many events had something to erase. */
Datum
nvs_stream_erase(PG_FUNCTION_ARGS)
{
	NvsAppend	stream;
	uint64		erased = 0;

	NVS_REQUIRE_ARG(0, "subject");
	PreventCommandIfReadOnly("nvent.stream_erase()");
	nvs_spi_begin();
	if (nvs_stream_hold(fcinfo, &stream, false))
	{
		const NvsResolved *resolved = &stream.resolved;

		if (nvs_stream_state(resolved->target)->pii == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("stream \"%.*s\" has nothing that can be erased",
							resolved->len, resolved->subject),
					 errdetail("Table %s has no column \"pii\" of type "
							   "jsonb.", resolved->target->name)));
		erased = lifecycle_write(resolved, &erase_events, NULL);
	}
	nvs_spi_end();
	PG_RETURN_INT64((int64) erased);
}

/*
 * nvent.stream_retain(type, older_than, store, max_count): how many events of
 * a generic stream table were deleted.
 */
Datum
nvs_stream_retain(PG_FUNCTION_ARGS)
{
	char	   *prefix = PG_ARGISNULL(RETAIN_STORE) ? nvs_default_store :
		text_to_cstring(PG_GETARG_TEXT_PP(RETAIN_STORE));
	char	   *type;
	NvsTarget  *target;
	NvsParams	params;
	uint64		deleted = 0;

	NVS_REQUIRE_ARG(RETAIN_TYPE, "type");
	NVS_REQUIRE_ARG(RETAIN_OLDER_THAN, "older_than");
	PreventCommandIfReadOnly("nvent.stream_retain()");
	retain_params(fcinfo, &params);
	type = text_to_cstring(PG_GETARG_TEXT_PP(RETAIN_TYPE));
	nvs_stream_type_check(type);
	nvs_spi_begin();
	target = nvs_route_stream_target(nvs_store_require(prefix), type,
									 NVS_USE_CHANGE);
	if (target != NULL)
		deleted = retain_delete(target, &params);
	nvs_spi_end();
	PG_RETURN_INT64((int64) deleted);
}

/* Begin the parameters: the ts before which events go, and how many may. */
static void
retain_params(FunctionCallInfo fcinfo, NvsParams *params)
{
	int64		count = nvs_count_argument(fcinfo, RETAIN_MAX_COUNT,
										   "max_count");
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	Datum		age = PG_GETARG_DATUM(RETAIN_OLDER_THAN);
	Datum		cutoff = DirectFunctionCall2(timestamptz_mi_interval, now,
											 age);
	int64		ms = nvs_timestamptz_to_ms(DatumGetTimestampTz(cutoff));

	nvs_params_init(params);
	nvs_params_add(params, INT8OID, Int64GetDatum(ms), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(count), count < 0);
}

/* Delete what is too old from a table; returns how many events that was. */
static uint64
retain_delete(NvsTarget *target, const NvsParams *params)
{
	const NvsStatement *statement =
		nvs_stream_state(target)->version == NULL ? &retain_in_log :
		&retain_versioned;
	SPIPlanPtr	plan = nvs_statement_plan(target->plans, statement, params,
										  NULL);

	return nvs_stream_write(target, plan, params, NULL, NULL);
}
