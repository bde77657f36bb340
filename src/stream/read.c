/*
 * stream/read.c
 *	  Reading the events of a subject.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "stream/stream.h"

/* What stream_read() was asked. */
typedef struct ReadArgs
{
	FunctionCallInfo fcinfo;
	NvsParams	params;
	StringInfoData sql;
	bool		backward;
	bool		by_version;		/* in the order of versions */
	bool		ranged;			/* as a range of the subject's column */
	bool		ends;			/* by a position, ahead of where it begins */
} ReadArgs;

PG_FUNCTION_INFO_V1(nvs_stream_read);

static void add_bound(ReadArgs *args, int arg, const char *column,
					  const char *operator);
static void add_bounds(ReadArgs *args, const NvsResolved *resolved);
static bool has_end(const ReadArgs *args);
static void add_range(ReadArgs *args, const NvsResolved *resolved);
static bool begins_with_snapshot(FunctionCallInfo fcinfo);
static char *last_snapshot(const NvsResolved *resolved);
static void add_correlation(ReadArgs *args, const NvsResolved *resolved);
static void add_snapshots(ReadArgs *args, const NvsResolved *resolved);
static void add_order(ReadArgs *args, const NvsResolved *resolved);
static int	plan_options(const ReadArgs *args);

/* Add a condition on a bigint column when its argument is given. */
static void
add_bound(ReadArgs *args, int arg, const char *column, const char *operator)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (PG_ARGISNULL(arg))
		return;
	appendStringInfo(&args->sql, " AND %s OPERATOR(pg_catalog.%s) $%d",
					 column, operator,
					 nvs_params_add(&args->params, INT8OID,
									PG_GETARG_DATUM(arg), false));
}

/*
 * Add the conditions on subject, position and version.  Before PostgreSQL 18
 * a scan of a range goes on to the end of the subject; where the caller says
 * an end before that, the conditions are those on the columns themselves.
 */
static void
add_bounds(ReadArgs *args, const NvsResolved *resolved)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	args->by_version = !PG_ARGISNULL(8) || !PG_ARGISNULL(9);
	args->ends = has_end(args) && !args->by_version;
	args->ranged = nvs_stream_has_range(resolved->target) && !has_end(args);
	if (args->by_version && nvs_stream_state(resolved->target)->version == NULL)
		nvs_stream_unversioned(resolved);
	if (args->ranged)
		add_range(args, resolved);
	else
		nvs_route_where(resolved->target, &args->sql);
	if (args->by_version || !args->ranged)
	{
		add_bound(args, 1, "id", ">");
		add_bound(args, 2, "id", "<");
	}
	if (args->by_version && !args->ranged)
	{
		add_bound(args, 8, "version", ">");
		add_bound(args, 9, "version", "<");
	}
}

/* Does the caller say where the read ends, in the direction that it takes? */
static bool
has_end(const ReadArgs *args)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (args->by_version)
		return !PG_ARGISNULL(args->backward ? 8 : 9);
	return !PG_ARGISNULL(args->backward ? 1 : 2);
}

/*
 * Add a range of (subject, position), or of (subject, version) where the
 * caller bounds that.  A range begins with the last snapshot when asked to.
 */
static void
add_range(ReadArgs *args, const NvsResolved *resolved)
{
	FunctionCallInfo fcinfo = args->fcinfo;
	int			lower = args->by_version ? 8 : 1;
	int			upper = args->by_version ? 9 : 2;
	int64		upto = NVS_ARG_OR(upper, PG_GETARG_INT64, PG_INT64_MAX);
	char	   *from;
	int			p;

	/* The range has its end; nothing is before the least of all anyway. */
	if (!PG_ARGISNULL(upper) && upto > PG_INT64_MIN)
		upto--;
	p = nvs_params_add(&args->params, INT8OID,
					   Int64GetDatum(NVS_ARG_OR(lower, PG_GETARG_INT64,
												PG_INT64_MIN)), false);
	nvs_params_add(&args->params, INT8OID, Int64GetDatum(upto), false);
	from = psprintf("> $%d", p);
	if (!args->by_version && begins_with_snapshot(fcinfo))
		from = psprintf(">= %s", last_snapshot(resolved));
	nvs_stream_range(resolved->target, &args->sql, 1,
					 args->by_version ? "version" : "id", from,
					 psprintf("<= $%d", p + 1));
}

/* Keep what has this correlation. */
static void
add_correlation(ReadArgs *args, const NvsResolved *resolved)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (PG_ARGISNULL(10))
		return;
	if (nvs_stream_state(resolved->target)->meta == NULL)
		appendStringInfoString(&args->sql, " AND false");
	else
		appendStringInfo(&args->sql, " AND (meta OPERATOR(pg_catalog.->>) "
						 "'correlation') OPERATOR(pg_catalog.=) $%d",
						 nvs_params_add(&args->params, TEXTOID,
										PG_GETARG_DATUM(10), false));
}

/* Does a read begin with the last snapshot? */
static bool
begins_with_snapshot(FunctionCallInfo fcinfo)
{
	return !PG_ARGISNULL(11) && PG_GETARG_BOOL(11) && PG_ARGISNULL(1) &&
		PG_ARGISNULL(8);
}

/* The position of a stream's last snapshot, 0 if none, as an expression. */
static char *
last_snapshot(const NvsResolved *resolved)
{
	const NvsTarget *target = resolved->target;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "COALESCE((SELECT s.id FROM %s s WHERE ",
					 target->name);
	if (nvs_stream_has_range(target))
		appendStringInfo(&sql, "s.%s OPERATOR(pg_catalog.>=) $1 "
						 "AND s.%s OPERATOR(pg_catalog.<=) $1",
						 target->keys[0].field->quoted,
						 target->keys[0].field->quoted);
	else
		nvs_route_where(target, &sql);
	appendStringInfo(&sql, " AND s.type OPERATOR(pg_catalog.=) '"
					 NVS_TYPE_SNAPSHOT "' ORDER BY %s%ss.id DESC LIMIT 1), 0)",
					 nvs_stream_has_range(target) ?
					 target->keys[0].field->quoted : "",
					 nvs_stream_has_range(target) ? " DESC, " : "");
	return sql.data;
}

/*
 * Leave snapshots out, or begin with the last one unless the caller says
 * where to begin.
 */
static void
add_snapshots(ReadArgs *args, const NvsResolved *resolved)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (PG_ARGISNULL(11))
		return;
	if (!PG_GETARG_BOOL(11))
		appendStringInfoString(&args->sql, " AND type "
							   "OPERATOR(pg_catalog.<>) '"
							   NVS_TYPE_SNAPSHOT "'");
	else if (begins_with_snapshot(fcinfo) &&
			 (args->by_version || !args->ranged))
		appendStringInfo(&args->sql, " AND id OPERATOR(pg_catalog.>=) %s",
						 last_snapshot(resolved));
}

/* Versions are in the order of positions; take the index that bounds. */
static void
add_order(ReadArgs *args, const NvsResolved *resolved)
{
	const char *order = args->backward ? " DESC" : "";

	appendStringInfoString(&args->sql, " ORDER BY ");
	if (args->ranged)
		appendStringInfo(&args->sql, "%s%s, ",
						 resolved->target->keys[0].field->quoted, order);
	appendStringInfo(&args->sql, "%s%s", args->by_version ? "version" : "id",
					 order);
}

/*
 * One plan does for all reads, but for the choice of an index that depends on
 * how rare types are, or on how much lies between two positions.
 */
static int
plan_options(const ReadArgs *args)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (args->ends)
		return CURSOR_OPT_CUSTOM_PLAN;
	return PG_ARGISNULL(5) ? CURSOR_OPT_GENERIC_PLAN : 0;
}

/*
 * nvent.stream_read(subject, after, before, since, until, types, backward,
 * max_count, after_version, before_version, correlation, with_snaps): records
 * in the order of positions.
 */
Datum
nvs_stream_read(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	int64		count = nvs_count_argument(fcinfo, 7, "max_count");
	ReadArgs	args;
	NvsResolved resolved;
	NvsStreamState *state;
	SPIPlanPtr	plan;
	MemoryContext row_cxt;
	MemoryContext old;
	uint64		i;

	NVS_REQUIRE_ARG(0, "subject");
	nvs_spi_begin();
	if (!nvs_stream_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	state = nvs_stream_state(resolved.target);
	args.fcinfo = fcinfo;
	args.backward = NVS_ARG_OR(6, PG_GETARG_BOOL, false);
	nvs_params_init(&args.params);
	nvs_route_params(&resolved, &args.params);
	initStringInfo(&args.sql);
	appendStringInfo(&args.sql, "SELECT %s FROM %s WHERE ", state->read_list,
					 resolved.target->name);
	add_bounds(&args, &resolved);
	add_bound(&args, 3, "ts", ">=");
	add_bound(&args, 4, "ts", "<=");
	if (!PG_ARGISNULL(5))
		appendStringInfo(&args.sql,
						 " AND type OPERATOR(pg_catalog.=) ANY ($%d)",
						 nvs_params_add(&args.params, TEXTARRAYOID,
										PG_GETARG_DATUM(5), false));
	add_correlation(&args, &resolved);
	add_snapshots(&args, &resolved);
	add_order(&args, &resolved);
	if (count >= 0)
		appendStringInfo(&args.sql, " LIMIT $%d",
						 nvs_params_add(&args.params, INT8OID,
										Int64GetDatum(count), false));
	plan = nvs_planset_text(resolved.target->plans, args.sql.data, &args.params,
							plan_options(&args));
	nvs_plan_execute(plan, args.params.values, args.params.nulls, true, 0);
	row_cxt = AllocSetContextCreate(CurrentMemoryContext,
									"nvent_store record",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_cxt);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull = false;
		Datum		record = nvs_event_record(&resolved, SPI_tuptable->vals[i],
											  SPI_tuptable->tupdesc, row_cxt);

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result, desc, &record, &isnull);
		MemoryContextReset(row_cxt);
	}
	MemoryContextSwitchTo(old);
	nvs_spi_end();
	return (Datum) 0;
}
