/*
 * stream/read.c
 *	  Reading the events of a subject.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/arg.h"
#include "position/position.h"
#include "stream/append.h"
#include "stream/statement.h"

/* Arguments of stream_read(). */
enum
{
	ARG_SUBJECT,
	ARG_AFTER,
	ARG_BEFORE,
	ARG_SINCE,
	ARG_UNTIL,
	ARG_TYPES,
	ARG_BACKWARD,
	ARG_MAX_COUNT,
	ARG_AFTER_VERSION,
	ARG_BEFORE_VERSION,
	ARG_CORRELATION,
	ARG_WITH_SNAPS,
	ARG_SETTLED
};

/* A call of stream_read(). */
typedef struct ReadCall
{
	FunctionCallInfo fcinfo;
	NvsResolved resolved;
	NvsTarget  *target;
	NvsParams	params;
	StringInfoData sql;
	bool		backward;
	bool		by_version;		/* in the order of versions */
	bool		ranged;			/* as a range of the subject's column */
	bool		by_value;		/* planned for the positions that it names */
	bool		many_types;		/* so many that they decide about the plan */
	bool		settled;		/* nothing above a position that is ... */
	int64		safe;			/* ... this one */
} ReadCall;

/* Where the rows of a read go. */
typedef struct ReadResult
{
	const NvsResolved *resolved;
	Tuplestorestate *store;
	TupleDesc	desc;
	MemoryContext cxt;			/* of one record */
} ReadResult;

PG_FUNCTION_INFO_V1(nvs_stream_read);

static void read_settled(ReadCall *call, ReadResult *result);
static bool read_is_settled(const ReadCall *call);
static SPIPlanPtr read_plan(ReadCall *call);
static void read_choose_order(ReadCall *call);
static bool read_names_version(FunctionCallInfo fcinfo);
static bool read_has_end(const ReadCall *call);
static void read_add_bounds(ReadCall *call);
static void read_add_bound(ReadCall *call, int arg, const char *column,
						   const char *operator);
static void read_add_safe(ReadCall *call);
static void read_add_range(ReadCall *call);
static void read_add_types(ReadCall *call);
static void read_add_correlation(ReadCall *call);
static bool read_begins_with_snapshot(FunctionCallInfo fcinfo);
static const char *read_snapshot_column(const ReadCall *call);
static char *read_last_snapshot(const ReadCall *call);
static void read_add_snapshots(ReadCall *call);
static void read_add_order(ReadCall *call);
static NvsPlanMode read_plan_mode(const ReadCall *call);
static void read_return_row(TupleTableSlot *slot, void *arg);

/*
 * nvent.stream_read(subject, after, before, since, until, types, backward,
 * max_count, after_version, before_version, correlation, with_snaps, settled):
 * records in the order of versions or of positions, which are one where they
 * were appended.
 */
Datum
nvs_stream_read(PG_FUNCTION_ARGS)
{
	ReadResult	result;
	ReadCall	call;

	result.store = nvs_result_set(fcinfo, &result.desc);
	NVS_REQUIRE_ARG(ARG_SUBJECT, "subject");
	(void) nvs_count_argument(fcinfo, ARG_MAX_COUNT, "max_count");

	/* Reading makes no table: a subject that nothing holds has no events. */
	nvs_spi_begin();
	if (nvs_stream_resolve_arg(fcinfo, ARG_SUBJECT, NVS_USE_READ,
							   &call.resolved))
	{
		call.fcinfo = fcinfo;
		call.many_types = false;
		call.target = call.resolved.target;
		result.resolved = &call.resolved;
		result.cxt = AllocSetContextCreate(CurrentMemoryContext,
										   "nvent_store record",
										   ALLOCSET_DEFAULT_SIZES);

		call.settled = read_is_settled(&call);
		if (call.settled)
			read_settled(&call, &result);
		else
			nvs_execute_each(read_plan(&call), &call.params, true,
							 read_return_row, &result);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Return what lies at or below the safe position.  Like a poll, it looks for
 * that first and then takes the snapshot that it reads with.
 */
static void
read_settled(ReadCall *call, ReadResult *result)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	call->safe = nvs_position_push_snapshot(call->target->store->number);
	if (!PG_ARGISNULL(ARG_AFTER) && PG_GETARG_INT64(ARG_AFTER) > call->safe)
		nvs_position_check_cursor(PG_GETARG_INT64(ARG_AFTER));
	nvs_execute_each(read_plan(call), &call->params, true, read_return_row,
					 result);
	PopActiveSnapshot();
}

/*
 * Does a read end at the safe position?  If the caller does not say, one that
 * goes on behind a position does, so that who passes the last event's the next
 * time misses nothing.  Appends to a stream with versions wait for one
 * another, so that there its events are visible in the order of positions.
 */
static bool
read_is_settled(const ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (!PG_ARGISNULL(ARG_SETTLED))
		return PG_GETARG_BOOL(ARG_SETTLED);
	return !PG_ARGISNULL(ARG_AFTER) &&
		!NVS_ARG_OR(ARG_BACKWARD, PG_GETARG_BOOL, false) &&
		!nvs_stream_orders(call->target)->in_versions;
}

/* The plan for what a call asks; sets its parameters. */
static SPIPlanPtr
read_plan(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	const NvsStreamState *state = nvs_stream_state(call->target);
	int			p;

	nvs_params_init(&call->params);
	nvs_target_params(&call->resolved, &call->params);
	initStringInfo(&call->sql);
	appendStringInfo(&call->sql, "SELECT %s FROM %s WHERE ", state->read_list,
					 call->target->name);

	/*
	 * Each argument that is given adds a condition: the text says which, and
	 * the plan is found by it.
	 */
	read_choose_order(call);
	read_add_bounds(call);
	read_add_bound(call, ARG_SINCE, "ts", ">=");
	read_add_bound(call, ARG_UNTIL, "ts", "<=");
	read_add_types(call);
	read_add_correlation(call);
	read_add_snapshots(call);
	read_add_order(call);

	if (!PG_ARGISNULL(ARG_MAX_COUNT))
	{
		p = nvs_params_add(&call->params, INT8OID,
						   Int64GetDatum(PG_GETARG_INT32(ARG_MAX_COUNT)),
						   false);
		appendStringInfo(&call->sql, " LIMIT $%d", p);
	}

	return nvs_statement_plan_text(call->target->plans, call->sql.data,
								   &call->params, read_plan_mode(call));
}

/*
 * Choose how the events are found.  The order is that of versions, where each
 * event has one, unless the caller names a position.  Rows that were inserted
 * by hand may have the two in different orders: so one is not looked for by
 * the other.
 *
 * Before PostgreSQL 18 a scan of a range goes on to the end of the subject;
 * where the caller says an end before that, the conditions are those on the
 * columns themselves.  So they are where no index has the subject's positions.
 */
static void
read_choose_order(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	const NvsStreamState *state = nvs_stream_orders(call->target);
	bool		ends;

	if (read_names_version(fcinfo) && state->version == NULL)
		nvs_stream_unversioned(&call->resolved);
	call->backward = NVS_ARG_OR(ARG_BACKWARD, PG_GETARG_BOOL, false);
	call->by_version = read_names_version(fcinfo) ||
		(state->in_versions && PG_ARGISNULL(ARG_AFTER) &&
		 PG_ARGISNULL(ARG_BEFORE));
	ends = read_has_end(call);
	call->by_value = !call->by_version && (ends || state->no_positions);
	call->ranged = nvs_stream_has_range(call->target) && !ends &&
		!call->by_value;
}

/* Does the caller name a version to read from or to? */
static bool
read_names_version(FunctionCallInfo fcinfo)
{
	return !PG_ARGISNULL(ARG_AFTER_VERSION) ||
		!PG_ARGISNULL(ARG_BEFORE_VERSION);
}

/* Does the caller say where the read ends, in the direction that it takes? */
static bool
read_has_end(const ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (call->by_version)
		return !PG_ARGISNULL(call->backward ? ARG_AFTER_VERSION :
							 ARG_BEFORE_VERSION);
	return !PG_ARGISNULL(call->backward ? ARG_AFTER : ARG_BEFORE);
}

/* Add the conditions on subject, position and version. */
static void
read_add_bounds(ReadCall *call)
{
	if (call->ranged)
		read_add_range(call);
	else
		nvs_target_where(call->target, &call->sql);
	if (call->by_version || !call->ranged)
	{
		read_add_bound(call, ARG_AFTER, "id", ">");
		read_add_bound(call, ARG_BEFORE, "id", "<");
		read_add_safe(call);
	}
	if (call->by_version && !call->ranged)
	{
		read_add_bound(call, ARG_AFTER_VERSION, "version", ">");
		read_add_bound(call, ARG_BEFORE_VERSION, "version", "<");
	}
}

/* Leave out what is not settled, where that is asked for. */
static void
read_add_safe(ReadCall *call)
{
	if (call->settled)
		appendStringInfo(&call->sql, " AND id OPERATOR(pg_catalog.<=) $%d",
						 nvs_params_add(&call->params, INT8OID,
										Int64GetDatum(call->safe), false));
}

/* Add a condition on a bigint column when its argument is given. */
static void
read_add_bound(ReadCall *call, int arg, const char *column,
			   const char *operator)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (PG_ARGISNULL(arg))
		return;
	appendStringInfo(&call->sql, " AND %s OPERATOR(pg_catalog.%s) $%d",
					 column, operator,
					 nvs_params_add_arg(&call->params, fcinfo, arg, INT8OID));
}

/*
 * Add a range of (subject, position), or of (subject, version) where that is
 * the order.  A range begins with the last snapshot when asked to.
 */
static void
read_add_range(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	int			lower = call->by_version ? ARG_AFTER_VERSION : ARG_AFTER;
	int			upper = call->by_version ? ARG_BEFORE_VERSION : ARG_BEFORE;
	int64		after = NVS_ARG_OR(lower, PG_GETARG_INT64, PG_INT64_MIN);
	int64		upto = NVS_ARG_OR(upper, PG_GETARG_INT64, PG_INT64_MAX);
	const char *column;
	char	   *from;
	int			p;

	/* The range has its end; nothing is before the least of all anyway. */
	if (!PG_ARGISNULL(upper) && upto > PG_INT64_MIN)
		upto--;
	if (call->settled && !call->by_version)
		upto = Min(upto, call->safe);
	p = nvs_params_add(&call->params, INT8OID, Int64GetDatum(after), false);
	nvs_params_add(&call->params, INT8OID, Int64GetDatum(upto), false);
	from = psprintf("> $%d", p);
	column = call->by_version ? "version" : "id";
	if (read_begins_with_snapshot(fcinfo) &&
		strcmp(read_snapshot_column(call), column) == 0)
		from = psprintf(">= %s", read_last_snapshot(call));
	nvs_stream_range(call->target, &call->sql, 1, column, from,
					 psprintf("<= $%d", p + 1));
}

/* Keep what is of one of these types. */
static void
read_add_types(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (PG_ARGISNULL(ARG_TYPES))
		return;
	call->many_types = nvs_stream_types(&call->params, &call->sql,
										PG_GETARG_DATUM(ARG_TYPES));
}

/* Keep what has this correlation; nothing has one without a column meta. */
static void
read_add_correlation(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (PG_ARGISNULL(ARG_CORRELATION))
		return;
	if (nvs_stream_state(call->target)->meta == NULL)
		appendStringInfoString(&call->sql, " AND false");
	else
		appendStringInfo(&call->sql, " AND (meta OPERATOR(pg_catalog.->>) "
						 "'correlation') OPERATOR(pg_catalog.=) $%d",
						 nvs_params_add_arg(&call->params, fcinfo,
											ARG_CORRELATION, TEXTOID));
}

/* Does a read begin with the last snapshot? */
static bool
read_begins_with_snapshot(FunctionCallInfo fcinfo)
{
	return NVS_ARG_OR(ARG_WITH_SNAPS, PG_GETARG_BOOL, false) &&
		PG_ARGISNULL(ARG_AFTER) && PG_ARGISNULL(ARG_AFTER_VERSION);
}

/* The column by which a read begins with the last snapshot. */
static const char *
read_snapshot_column(const ReadCall *call)
{
	return call->by_version && nvs_stream_state(call->target)->in_versions ?
		"version" : "id";
}

/*
 * The position, or the version, of a stream's last snapshot, 0 if none, as an
 * expression.
 */
static char *
read_last_snapshot(const ReadCall *call)
{
	const NvsTarget *target = call->target;
	bool		ranged = nvs_stream_has_range(target);
	const char *key = target->nkeys > 0 ? target->keys[0].field->quoted : "";
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "COALESCE((SELECT s.%s FROM %s s WHERE ",
					 read_snapshot_column(call), target->name);
	if (ranged)
		appendStringInfo(&sql, "s.%s OPERATOR(pg_catalog.>=) $1 "
						 "AND s.%s OPERATOR(pg_catalog.<=) $1", key, key);
	else
		nvs_target_where(target, &sql);
	appendStringInfoString(&sql, " AND s.type OPERATOR(pg_catalog.=) '"
						   NVS_TYPE_SNAPSHOT "' ORDER BY ");
	if (ranged)
		appendStringInfo(&sql, "%s DESC, ", key);
	appendStringInfoString(&sql, "s.id DESC LIMIT 1), 0)");
	return sql.data;
}

/*
 * Leave snapshots out, or begin with the last one unless the caller says
 * where to begin.
 */
static void
read_add_snapshots(ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	const char *column = read_snapshot_column(call);

	if (!NVS_ARG_OR(ARG_WITH_SNAPS, PG_GETARG_BOOL, true))
		appendStringInfoString(&call->sql, " AND type "
							   "OPERATOR(pg_catalog.<>) '"
							   NVS_TYPE_SNAPSHOT "'");
	else if (read_begins_with_snapshot(fcinfo) &&
			 (!call->ranged ||
			  strcmp(column, call->by_version ? "version" : "id") != 0))
		appendStringInfo(&call->sql, " AND %s OPERATOR(pg_catalog.>=) %s",
						 column, read_last_snapshot(call));
}

/* Order by what bounds, as the index does. */
static void
read_add_order(ReadCall *call)
{
	const char *order = call->backward ? " DESC" : "";

	appendStringInfoString(&call->sql, " ORDER BY ");
	if (call->ranged)
		appendStringInfo(&call->sql, "%s%s, ",
						 call->target->keys[0].field->quoted, order);
	appendStringInfo(&call->sql, "%s%s", call->by_version ? "version" : "id",
					 order);
}

/*
 * One plan does for all reads, but for the choice of an index that depends on
 * how rare types are, or on how much lies between two positions.
 */
static NvsPlanMode
read_plan_mode(const ReadCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (call->by_value || call->many_types)
		return NVS_PLAN_CUSTOM;
	return PG_ARGISNULL(ARG_TYPES) ? NVS_PLAN_GENERIC : NVS_PLAN_AUTO;
}

/* Return the record of a row; arg is a ReadResult. */
static void
read_return_row(TupleTableSlot *slot, void *arg)
{
	ReadResult *result = arg;
	MemoryContext old = MemoryContextSwitchTo(result->cxt);
	Datum		record;
	bool		isnull = false;

	slot_getallattrs(slot);
	record = nvs_event_make_record(result->resolved, slot->tts_values,
								   slot->tts_isnull, result->cxt);
	tuplestore_putvalues(result->store, result->desc, &record, &isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(result->cxt);
}
