/*
 * stream/stats.c
 *	  What streams there are, and what is in them.
 *
 * Each table of the store is asked by one statement of its own, under the
 * caller's snapshot; their answers are merged by subject.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/scan.h"
#include "stream/statement.h"

/* Arguments. */
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

/* A row of the answer. */
typedef struct Line
{
	char	   *subject;
	HeapTuple	row;
	TupleDesc	desc;
} Line;

PG_FUNCTION_INFO_V1(nvs_stream_stats);

static void check_subjects(FunctionCallInfo fcinfo, const NvsScan *scan);
static List *ask_target(FunctionCallInfo fcinfo, const NvsScan *scan,
						NvsTarget *target, int64 count, List *lines);
static SPIPlanPtr stats_plan(FunctionCallInfo fcinfo, const NvsScan *scan,
							 NvsTarget *target, int64 count,
							 NvsParams *params);
static int	compare_lines(const ListCell *a, const ListCell *b);

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
	NvsScan		scan;
	List	   *lines = NIL;
	ListCell   *lc;

	NVS_REQUIRE_ARG(ARG_PATTERN, "pattern");
	nvs_spi_begin();
	nvs_scan_init(&scan, PG_GETARG_TEXT_PP(ARG_PATTERN),
				  PG_ARGISNULL(ARG_STORE) ? NULL :
				  PG_GETARG_TEXT_PP(ARG_STORE));
	check_subjects(fcinfo, &scan);
	if (scan.store != NULL)
		foreach(lc, nvs_route_targets(NVS_KIND_STREAM, scan.store, true))
			lines = ask_target(fcinfo, &scan, lfirst(lc), count, lines);
	list_sort(lines, compare_lines);
	foreach(lc, lines)
	{
		Line	   *line = lfirst(lc);
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

/* Raise an error for a subject that is in another store. */
static void
check_subjects(FunctionCallInfo fcinfo, const NvsScan *scan)
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

		if (subject == NULL ||
			nvs_store_of(subject, strlen(subject)) == scan->store)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%s\" is of another store", subject),
				 errhint("Ask one store at a time, by its name or by a "
						 "pattern that begins with it.")));
	}
}

/* Add what a table holds to the lines. */
static List *
ask_target(FunctionCallInfo fcinfo, const NvsScan *scan, NvsTarget *target,
		   int64 count, List *lines)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	TupleDesc	desc;
	uint64		n;
	uint64		i;

	CHECK_FOR_INTERRUPTS();
	plan = stats_plan(fcinfo, scan, target, count, &params);
	n = nvs_plan_execute(plan, params.values, params.nulls, true, 0);
	desc = CreateTupleDescCopy(SPI_tuptable->tupdesc);
	for (i = 0; i < n; i++)
	{
		Line	   *line = palloc(sizeof(Line));

		CHECK_FOR_INTERRUPTS();
		line->subject = SPI_getvalue(SPI_tuptable->vals[i], desc, 1);
		line->row = heap_copytuple(SPI_tuptable->vals[i]);
		line->desc = desc;
		lines = lappend(lines, line);
	}
	SPI_freetuptable(SPI_tuptable);
	return lines;
}

/* The statement for a table, planned for what is asked. */
static SPIPlanPtr
stats_plan(FunctionCallInfo fcinfo, const NvsScan *scan, NvsTarget *target,
		   int64 count, NvsParams *params)
{
	char	   *subject = psprintf("(%s) COLLATE pg_catalog.\"C\"",
								   nvs_stream_subject(target));
	StringInfoData sql;
	int			i;

	/* Compiles what the table's columns are. */
	(void) nvs_stream_state(target);
	nvs_params_init(params);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT subject, pg_catalog.sum(n)::pg_catalog.int8, "
					 "pg_catalog.jsonb_object_agg(type, n), "
					 "pg_catalog.min(first), pg_catalog.max(last) FROM ("
					 "SELECT %s AS subject, COALESCE(type, '') AS type, "
					 "pg_catalog.count(*) AS n, pg_catalog.min(id) AS first, "
					 "pg_catalog.max(id) AS last FROM %s WHERE "
					 "nvent.subject_matches(%s, $%d)", subject, target->name,
					 subject,
					 nvs_params_add(params, TEXTOID, CStringGetTextDatum(
																		 scan->pattern_text), false));
	for (i = 0; i < target->nkeys; i++)
		appendStringInfo(&sql, " AND %s IS NOT NULL",
						 target->keys[i].field->quoted);
	if (!PG_ARGISNULL(ARG_SUBJECTS))
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.=) ANY ($%d)",
						 subject,
						 nvs_params_add(params, TEXTARRAYOID,
										PG_GETARG_DATUM(ARG_SUBJECTS), false));
	if (!PG_ARGISNULL(ARG_EXCLUDE))
		appendStringInfo(&sql, " AND (type OPERATOR(pg_catalog.=) ANY ($%d)) "
						 "IS NOT TRUE",
						 nvs_params_add(params, TEXTARRAYOID,
										PG_GETARG_DATUM(ARG_EXCLUDE), false));
	if (!PG_ARGISNULL(ARG_BEFORE))
		appendStringInfo(&sql, " AND id OPERATOR(pg_catalog.<) $%d",
						 nvs_params_add(params, INT8OID,
										PG_GETARG_DATUM(ARG_BEFORE), false));
	if (!PG_ARGISNULL(ARG_AFTER))
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.>) $%d", subject,
						 nvs_params_add(params, TEXTOID,
										PG_GETARG_DATUM(ARG_AFTER), false));
	appendStringInfoString(&sql, " GROUP BY 1, 2) g GROUP BY subject "
						   "ORDER BY subject");
	if (count >= 0)
		appendStringInfo(&sql, " LIMIT $%d",
						 nvs_params_add(params, INT8OID,
										Int64GetDatum(count), false));
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_CUSTOM_PLAN);
}

/* For list_sort(): by subject, in the order of bytes. */
static int
compare_lines(const ListCell *a, const ListCell *b)
{
	return strcmp(((Line *) lfirst(a))->subject,
				  ((Line *) lfirst(b))->subject);
}
