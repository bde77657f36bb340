/*
 * stream/stats.c
 *	  What streams there are, and what is in them.
 *
 * Each table of the store that may hold what is asked for is asked by one
 * statement of its own, under the caller's snapshot; their answers are merged
 * by subject.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "base/text.h"
#include "stream/state.h"
#include "stream/statement.h"
#include "stream/window.h"

/* Arguments of stream_stats(). */
enum
{
	ARG_PATTERN,
	ARG_SUBJECTS,
	ARG_EXCLUDE,
	ARG_BEFORE,
	ARG_AFTER,
	ARG_MAX_COUNT,
	ARG_STORE
};

/* A call: the pattern that subjects are to match, and the store. */
typedef struct StatsCall
{
	char	   *text;			/* of the pattern */
	const NvsPattern *pattern;
	const NvsStore *store;		/* NULL: there is none, hence no event */
} StatsCall;

/* A row of the answer. */
typedef struct StatsLine
{
	char	   *subject;
	HeapTuple	row;
	TupleDesc	desc;
} StatsLine;

PG_FUNCTION_INFO_V1(nvs_stream_stats);

static void stats_begin(StatsCall *call, FunctionCallInfo fcinfo);
static void stats_check_subjects(FunctionCallInfo fcinfo,
								 const StatsCall *call);
static List *stats_targets(const StatsCall *call);
static List *stats_ask(FunctionCallInfo fcinfo, const StatsCall *call,
					   NvsTarget *target, List *lines);
static SPIPlanPtr stats_plan(FunctionCallInfo fcinfo, const StatsCall *call,
							 NvsTarget *target, NvsParams *params);
static void stats_build_groups(const StatsCall *call, NvsTarget *target,
							   const char *subject, NvsParams *params,
							   StringInfo sql);
static void stats_build_conditions(FunctionCallInfo fcinfo,
								   const char *subject, NvsParams *params,
								   StringInfo sql);
static int	stats_compare(const ListCell *a, const ListCell *b);

/*
 * nvent.stream_stats(pattern, subjects, exclude, before, after, max_count,
 * store): a row for each subject that has events, in byte order.
 */
Datum
nvs_stream_stats(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	int64		count = nvs_count_argument(fcinfo, ARG_MAX_COUNT,
										   "max_count");
	StatsCall	call;
	List	   *lines = NIL;
	ListCell   *lc;

	NVS_REQUIRE_ARG(ARG_PATTERN, "pattern");

	/* Each relation says what it has of its subjects. */
	nvs_spi_begin();
	stats_begin(&call, fcinfo);
	stats_check_subjects(fcinfo, &call);
	if (call.store != NULL)
	{
		foreach(lc, stats_targets(&call))
			lines = stats_ask(fcinfo, &call, lfirst(lc), lines);
	}

	/* Their lines in one order, as many as are wanted. */
	list_sort(lines, stats_compare);
	foreach(lc, lines)
	{
		StatsLine  *line = lfirst(lc);
		Datum		values[5];
		bool		nulls[5];

		if (count >= 0 && foreach_current_index(lc) >= count)
			break;
		heap_deform_tuple(line->row, line->desc, values, nulls);
		tuplestore_putvalues(result, desc, values, nulls);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Take the pattern, and find the store that is asked. */
static void
stats_begin(StatsCall *call, FunctionCallInfo fcinfo)
{
	char	   *name = PG_ARGISNULL(ARG_STORE) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_STORE));

	call->text = text_to_cstring(PG_GETARG_TEXT_PP(ARG_PATTERN));
	call->pattern = nvs_pattern_compile(call->text, strlen(call->text));
	call->store = nvs_window_store(name, call->pattern);
}

/* Raise an error for a subject that is in another store. */
static void
stats_check_subjects(FunctionCallInfo fcinfo, const StatsCall *call)
{
	Datum	   *subjects;
	bool	   *nulls;
	int			n;
	int			i;

	if (PG_ARGISNULL(ARG_SUBJECTS))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_SUBJECTS), TEXTOID, -1,
					  false, TYPALIGN_INT, &subjects, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		char	   *subject = nulls[i] ? NULL :
			TextDatumGetCString(subjects[i]);

		if (subject == NULL || (call->store == NULL ?
								nvs_store_of(subject, strlen(subject)) == NULL :
								nvs_store_owns(call->store, subject,
											   strlen(subject))))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%s\" is of another store", subject),
				 errhint("Ask one store at a time, by its name or by a "
						 "pattern that begins with it.")));
	}
}

/*
 * The targets of relations that may hold subjects of the pattern, each once,
 * locked.
 */
static List *
stats_targets(const StatsCall *call)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, nvs_route_list(call->store))
	{
		NvsRoute   *route = lfirst(lc);
		NvsTarget  *target;
		ListCell   *other;

		CHECK_FOR_INTERRUPTS();
		if (route->kind != NVS_KIND_STREAM ||
			!nvs_window_may_hold(call->pattern, route))
			continue;
		target = nvs_target_get(route, NVS_USE_READ);
		foreach(other, targets)
		{
			if (target == NULL ||
				((NvsTarget *) lfirst(other))->relid == target->relid)
				break;
		}
		if (target != NULL && other == NULL)
			targets = lappend(targets, target);
	}
	return targets;
}

/* Add what a table holds to the lines. */
static List *
stats_ask(FunctionCallInfo fcinfo, const StatsCall *call, NvsTarget *target,
		  List *lines)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	TupleDesc	desc;
	uint64		n;
	uint64		i;

	CHECK_FOR_INTERRUPTS();
	plan = stats_plan(fcinfo, call, target, &params);
	n = nvs_execute(plan, &params, true, 0);
	desc = CreateTupleDescCopy(SPI_tuptable->tupdesc);
	for (i = 0; i < n; i++)
	{
		StatsLine  *line = palloc(sizeof(StatsLine));

		CHECK_FOR_INTERRUPTS();
		line->subject = SPI_getvalue(SPI_tuptable->vals[i], desc, 1);
		line->row = heap_copytuple(SPI_tuptable->vals[i]);
		line->desc = desc;
		lines = lappend(lines, line);
	}
	SPI_freetuptable(SPI_tuptable);
	return lines;
}

/*
 * The statement for a table, planned for what is asked.  One subject is as good
 * as another.
 */
static SPIPlanPtr
stats_plan(FunctionCallInfo fcinfo, const StatsCall *call, NvsTarget *target,
		   NvsParams *params)
{
	char	   *subject = psprintf("(%s) COLLATE pg_catalog.\"C\"",
								   nvs_stream_subject(target));
	StringInfoData sql;
	int			p;

	nvs_params_init(params);
	initStringInfo(&sql);
	stats_build_groups(call, target, subject, params, &sql);
	stats_build_conditions(fcinfo, subject, params, &sql);
	if (call->pattern->is_literal)
		nvs_sql(&sql, " GROUP BY 1) g HAVING pg_catalog.count(*) "
				"OPERATOR(pg_catalog.>) 0");
	else
		nvs_sql(&sql, " GROUP BY 1, 2) g GROUP BY subject ORDER BY subject");
	if (!PG_ARGISNULL(ARG_MAX_COUNT))
	{
		p = nvs_params_add(params, INT8OID,
						   Int64GetDatum(PG_GETARG_INT32(ARG_MAX_COUNT)),
						   false);
		appendStringInfo(&sql, " LIMIT $%d", p);
	}
	return nvs_statement_plan_text(target->plans, sql.data, params,
								   call->pattern->is_literal ?
								   NVS_PLAN_GENERIC : NVS_PLAN_CUSTOM);
}

/*
 * Write the query for the groups of a pattern, up to its conditions.  That of
 * one subject is not matched row by row, nor grouped by it.
 */
static void
stats_build_groups(const StatsCall *call, NvsTarget *target,
				   const char *subject, NvsParams *params, StringInfo sql)
{
	const NvsStreamState *state = nvs_stream_state(target);
	bool		is_literal = call->pattern->is_literal;
	const char *value = is_literal ? call->pattern->bytes : call->text;
	int			p = nvs_params_add(params, TEXTOID,
								   CStringGetTextDatum(value), false);
	int			i;

	if (is_literal)
		appendStringInfo(sql, "SELECT $%d COLLATE pg_catalog.\"C\"", p);
	else
		appendStringInfoString(sql, "SELECT subject");
	nvs_sql(sql, ", pg_catalog.sum(n)::pg_catalog.int8, "
			"pg_catalog.jsonb_object_agg(type, n), "
			"pg_catalog.min(first), pg_catalog.max(last) FROM (SELECT ",
			state->type->not_null ? "type, " : "COALESCE(type, '') AS type, ");
	if (!is_literal)
		nvs_sql(sql, subject, " AS subject, ");
	nvs_sql(sql, "pg_catalog.count(*) AS n, pg_catalog.min(id) AS first, "
			"pg_catalog.max(id) AS last FROM ", target->name, " WHERE ");
	appendStringInfo(sql, is_literal ? "%s OPERATOR(pg_catalog.=) $%d" :
					 "nvent.subject_matches(%s, $%d)", subject, p);
	for (i = 0; i < target->nkeys; i++)
		if (!is_literal || target->keys[i].capture >= 0)
			nvs_sql(sql, " AND ", target->keys[i].field->quoted,
					" IS NOT NULL");
}

/* Write the conditions of the arguments. */
static void
stats_build_conditions(FunctionCallInfo fcinfo, const char *subject,
					   NvsParams *params, StringInfo sql)
{
	if (!PG_ARGISNULL(ARG_SUBJECTS))
		appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.=) ANY ($%d)",
						 subject,
						 nvs_params_add_arg(params, fcinfo, ARG_SUBJECTS,
											TEXTARRAYOID));
	if (!PG_ARGISNULL(ARG_EXCLUDE))
		appendStringInfo(sql, " AND (type OPERATOR(pg_catalog.=) ANY ($%d)) "
						 "IS NOT TRUE",
						 nvs_params_add_arg(params, fcinfo, ARG_EXCLUDE,
											TEXTARRAYOID));
	if (!PG_ARGISNULL(ARG_BEFORE))
		appendStringInfo(sql, " AND id OPERATOR(pg_catalog.<) $%d",
						 nvs_params_add_arg(params, fcinfo, ARG_BEFORE,
											INT8OID));
	if (!PG_ARGISNULL(ARG_AFTER))
		appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.>) $%d", subject,
						 nvs_params_add_arg(params, fcinfo, ARG_AFTER,
											TEXTOID));
}

/* For list_sort(): by subject, in the order of bytes. */
static int
stats_compare(const ListCell *a, const ListCell *b)
{
	return strcmp(((StatsLine *) lfirst(a))->subject,
				  ((StatsLine *) lfirst(b))->subject);
}
