/*
 * stream/stats.c
 *	  What streams there are, and what is in them.
 *
 * Each table of the store that may hold what is asked for is asked by one
 * statement of its own, under the caller's snapshot; their answers are merged
 * by subject.
 *
 * The events of one subject are counted along an index that has it, where that
 * takes no statement (stream/walk.c): the executor makes a hash table of types
 * and calls three aggregates for each row, which costs as much as to read it.
 * A subject with very many events is a statement's, whose plan can read pages
 * in the order in which they are stored.
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
#include "json/build.h"
#include "stream/state.h"
#include "stream/statement.h"
#include "stream/walk.h"
#include "stream/window.h"

/* Events of a subject that are counted without a statement, at most. */
#define STATS_MAX_EVENTS	10000

/* Types that these may have, at most. */
#define STATS_MAX_TYPES		64

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
	TupleDesc	desc;			/* of an answer */
} StatsCall;

/* A row of the answer. */
typedef struct StatsLine
{
	char	   *subject;
	HeapTuple	row;
	TupleDesc	desc;
} StatsLine;

/* Events of a type. */
typedef struct StatsType
{
	text	   *name;
	int64		n;
} StatsType;

/* What has been counted of a subject. */
typedef struct StatsCount
{
	int64		before;			/* leaves out what is not below it */
	int64		n;
	int64		first;
	int64		last;
	int			ntypes;
	StatsType	types[STATS_MAX_TYPES];
} StatsCount;

PG_FUNCTION_INFO_V1(nvs_stream_stats);

static void stats_begin(StatsCall *call, FunctionCallInfo fcinfo);
static void stats_check_subjects(FunctionCallInfo fcinfo,
								 const StatsCall *call);
static List *stats_targets(const StatsCall *call);
static List *stats_ask(FunctionCallInfo fcinfo, const StatsCall *call,
					   NvsTarget *target, List *lines);
static bool stats_count(FunctionCallInfo fcinfo, const StatsCall *call,
						NvsTarget *target, StatsCount *count);
static bool stats_walk(const StatsCall *call, NvsTarget *target,
					   NvsWalk *walk);
static bool stats_count_type(StatsCount *count, Datum value, bool isnull);
static StatsLine *stats_counted(const StatsCall *call,
								const StatsCount *count);
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
	call.desc = desc;
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
	StatsCount	count;

	CHECK_FOR_INTERRUPTS();
	if (stats_count(fcinfo, call, target, &count))
		return count.n == 0 ? lines :
			lappend(lines, stats_counted(call, &count));

	/* A row for each subject; they outlive what the statement leaves. */
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
 * Count the events of one subject along an index; false when it takes a
 * statement.
 */
static bool
stats_count(FunctionCallInfo fcinfo, const StatsCall *call, NvsTarget *target,
			StatsCount *count)
{
	const NvsStreamState *state = nvs_stream_state(target);
	NvsWalk		walk;
	HeapTuple	row;
	int			looked_at = 0;
	bool		counted = true;

	if (!PG_ARGISNULL(ARG_SUBJECTS) || !PG_ARGISNULL(ARG_EXCLUDE) ||
		!PG_ARGISNULL(ARG_AFTER) || !stats_walk(call, target, &walk))
		return false;
	count->n = 0;
	count->ntypes = 0;

	/* Whatever index that is, rows may have any order of positions. */
	while (counted && (row = nvs_walk_next(&walk)) != NULL)
	{
		bool		isnull;
		int64		id = DatumGetInt64(nvs_walk_column(&walk, row,
													   state->id->attnum,
													   &isnull));
		Datum		type;

		CHECK_FOR_INTERRUPTS();
		counted = looked_at++ < STATS_MAX_EVENTS;
		if (!PG_ARGISNULL(ARG_BEFORE) && id >= PG_GETARG_INT64(ARG_BEFORE))
			continue;
		count->first = count->n == 0 ? id : Min(count->first, id);
		count->last = count->n == 0 ? id : Max(count->last, id);
		count->n++;
		type = nvs_walk_column(&walk, row, state->type->attnum, &isnull);
		counted = counted && stats_count_type(count, type, isnull);
	}
	nvs_walk_end(&walk);
	return counted;
}

/*
 * Begin a walk along the events of the subject that the pattern is.  Returns
 * false, with nothing to be ended, when there is no index for it, its rows are
 * not those of the table alone or not all in them, or equal types are not equal
 * bytes.
 */
static bool
stats_walk(const StatsCall *call, NvsTarget *target, NvsWalk *walk)
{
	NvsStreamState *state = nvs_stream_state(target);
	text	   *subject;

	if (!call->pattern->is_literal || target->compound ||
		target->nkeys != 1 || target->keys[0].capture >= 0 ||
		state->id->type != INT8OID || !state->id->not_null ||
		state->type->type != TEXTOID || state->type->computed)
		return false;
	if (!state->is_indexed)
		state->by_subject = nvs_walk_find_index(target->relid,
												target->keys[0].field->attnum);
	state->is_indexed = true;
	if (!OidIsValid(state->by_subject))
		return false;
	subject = cstring_to_text(call->pattern->bytes);
	if (!nvs_walk_value(walk, target->relid, state->by_subject,
						PointerGetDatum(subject)))
		return false;
	if (nvs_walk_is_bytewise(walk, state->type->attnum))
		return true;
	nvs_walk_end(walk);
	return false;
}

/* Count an event of a type; false when there are too many types. */
static bool
stats_count_type(StatsCount *count, Datum value, bool isnull)
{
	text	   *name = isnull ? NULL : DatumGetTextPP(value);
	const char *data = isnull ? "" : VARDATA_ANY(name);
	int			len = isnull ? 0 : VARSIZE_ANY_EXHDR(name);
	int			i;

	for (i = 0; i < count->ntypes; i++)
	{
		StatsType  *type = &count->types[i];

		if (VARSIZE_ANY_EXHDR(type->name) == len &&
			memcmp(VARDATA_ANY(type->name), data, len) == 0)
			break;
	}
	if (i == STATS_MAX_TYPES)
		return false;
	if (i == count->ntypes)
	{
		count->types[i].name = cstring_to_text_with_len(data, len);
		count->types[i].n = 0;
		count->ntypes++;
	}
	count->types[i].n++;
	if (!isnull && (Pointer) name != DatumGetPointer(value))
		pfree(name);
	return true;
}

/* What was counted, as the row that a statement would give. */
static StatsLine *
stats_counted(const StatsCall *call, const StatsCount *count)
{
	StatsLine  *line = palloc(sizeof(StatsLine));
	NvsJsonb   *types = nvs_jsonb_create(count->ntypes);
	Datum		values[5];
	bool		nulls[5] = {false};
	int			i;

	for (i = 0; i < count->ntypes; i++)
	{
		const StatsType *type = &count->types[i];

		nvs_jsonb_add_int64(types, VARDATA_ANY(type->name),
							VARSIZE_ANY_EXHDR(type->name), type->n);
	}
	line->subject = call->pattern->bytes;
	line->desc = call->desc;
	values[0] = CStringGetTextDatum(line->subject);
	values[1] = Int64GetDatum(count->n);
	values[2] = JsonbPGetDatum(nvs_jsonb_finish(types));
	values[3] = Int64GetDatum(count->first);
	values[4] = Int64GetDatum(count->last);
	line->row = heap_form_tuple(call->desc, values, nulls);
	return line;
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
