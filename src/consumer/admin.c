/*
 * consumer/admin.c
 *	  What operators do with consumers: unblock, defer, reset, list.
 *
 * These act on consumers that arguments select, whoever holds them: by name,
 * by a regular expression that name or source contains, by lane, by whether
 * they are blocked.  Conditions that are NULL select nothing away.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/text.h"
#include "consumer/consumer.h"
#include "position/position.h"

PG_FUNCTION_INFO_V1(nvs_consumer_unblock);
PG_FUNCTION_INFO_V1(nvs_consumer_defer);
PG_FUNCTION_INFO_V1(nvs_consumer_reset);
PG_FUNCTION_INFO_V1(nvs_consumer_prioritize);
PG_FUNCTION_INFO_V1(nvs_consumer_list);
PG_FUNCTION_INFO_V1(nvs_consumer_lanes);
PG_FUNCTION_INFO_V1(nvs_consumer_stats);

/* A condition of a selection; its argument stands at first + offset. */
typedef struct Condition
{
	Oid			type;
	const char *text;			/* up to the parameter */
} Condition;

static const Condition conditions[] = {
	{TEXTOID, " AND name OPERATOR(pg_catalog.~) "},
	{TEXTOID, " AND source OPERATOR(pg_catalog.~) "},
	{TEXTOID, " AND source OPERATOR(pg_catalog.=) "},
	{TEXTOID, " AND lane OPERATOR(pg_catalog.=) "},
	{BOOLOID, " AND blocked OPERATOR(pg_catalog.=) "}
};

static void add_names(FunctionCallInfo fcinfo, int arg, StringInfo sql,
					  NvsParams *params);
static void add_conditions(FunctionCallInfo fcinfo, int first, int n,
						   StringInfo sql, NvsParams *params);
static uint64 run_selected(NvsConsumers *consumers, StringInfo sql,
						   NvsParams *params, bool read_only);
static Datum change_selected(FunctionCallInfo fcinfo, const char *set,
							 const char *where, Oid type, int value,
							 int first, int n);
static Datum report(FunctionCallInfo fcinfo, const NvsStatement *statement,
					const NvsParams *params);

/* Add the condition on the names that an argument has; NULL is all. */
static void
add_names(FunctionCallInfo fcinfo, int arg, StringInfo sql,
		  NvsParams *params)
{
	if (PG_ARGISNULL(arg))
		return;
	nvs_sql_param(sql, " AND name OPERATOR(pg_catalog.=) ANY (",
				  nvs_params_add_arg(params, fcinfo, arg, TEXTARRAYOID));
	nvs_sql(sql, ")");
}

/* Add the first n conditions, whose arguments begin at first. */
static void
add_conditions(FunctionCallInfo fcinfo, int first, int n, StringInfo sql,
			   NvsParams *params)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		int			p;

		if (PG_ARGISNULL(first + i))
			continue;
		p = nvs_params_add_arg(params, fcinfo, first + i, conditions[i].type);
		nvs_sql_param(sql, conditions[i].text, p);
	}
}

/* Run a statement whose text depends on what was given. */
static uint64
run_selected(NvsConsumers *consumers, StringInfo sql, NvsParams *params,
			 bool read_only)
{
	return nvs_execute(nvs_statement_plan_text(consumers->plans, sql->data,
											   params, true),
					   params, read_only, 0);
}

/*
 * Change the selected consumers.  Rows are locked in the order of names; set
 * and where may refer to the argument value as $1.
 */
static Datum
change_selected(FunctionCallInfo fcinfo, const char *set, const char *where,
				Oid type, int value, int first, int n)
{
	NvsConsumers *consumers;
	NvsParams	params;
	StringInfoData sql;
	uint64		changed;

	PreventCommandIfReadOnly("a change of consumers");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, first + n);
	nvs_params_init(&params);
	if (OidIsValid(type))
		nvs_params_add_arg(&params, fcinfo, value, type);
	initStringInfo(&sql);
	nvs_sql(&sql, "WITH held AS MATERIALIZED (SELECT name FROM ",
			consumers->table, " WHERE ", where);
	add_names(fcinfo, 0, &sql, &params);
	add_conditions(fcinfo, first, n, &sql, &params);
	nvs_sql(&sql, " ORDER BY name FOR NO KEY UPDATE) UPDATE ",
			consumers->table, " c SET ", set,
			" FROM held h WHERE c.name OPERATOR(pg_catalog.=) h.name");
	changed = run_selected(consumers, &sql, &params, false);
	nvs_spi_end();
	PG_RETURN_INT64(changed);
}

/* What a consumer is rid of when it begins anew. */
#define CLEARED \
	"attempt = 0, blocked = false, error = NULL, owner = NULL, " \
	"token = NULL, leased_until = NULL, deferred_until = NULL, due_at = NULL"

/*
 * nvent.consumer_unblock(names, name_regex, source_regex, source, lane,
 * store): how many were blocked.
 */
Datum
nvs_consumer_unblock(PG_FUNCTION_ARGS)
{
	return change_selected(fcinfo, CLEARED, "blocked", InvalidOid, 0, 1, 4);
}

/*
 * nvent.consumer_reset(names, upto, name_regex, source_regex, source, lane,
 * blocked, store): how many.  What the consumer has behind it is to be
 * marked again, since a mark may be missing for events before it began.
 */
Datum
nvs_consumer_reset(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "upto");
	return change_selected(fcinfo,
						   "position = $1, admitted = c.pattern IS NULL, "
						   CLEARED, "true", INT8OID, 1, 2, 5);
}

/*
 * nvent.consumer_defer(names, until, name_regex, source_regex, source, lane,
 * blocked, store): how many.
 */
Datum
nvs_consumer_defer(PG_FUNCTION_ARGS)
{
	return change_selected(fcinfo,
						   "attempt = 0, deferred_until = $1, "
						   "due_at = GREATEST(c.leased_until, $1)",
						   "true", TIMESTAMPTZOID, 1, 2, 5);
}

/*
 * nvent.consumer_prioritize(names, priority, name_regex, source_regex,
 * source, lane, blocked, store): how many had another priority.
 */
Datum
nvs_consumer_prioritize(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "priority");
	return change_selected(fcinfo, "priority = $1",
						   "priority OPERATOR(pg_catalog.<>) $1",
						   INT4OID, 1, 2, 5);
}

/*
 * nvent.consumer_list(names, name_regex, source_regex, source, lane, blocked,
 * after, max_count, store): a row for each, in the order of names.
 */
Datum
nvs_consumer_list(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	int64		count = nvs_count_argument(fcinfo, 7, "max_count");
	NvsConsumers *consumers;
	NvsParams	params;
	StringInfoData sql;

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 8, false);
	if (consumers == NULL)
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	nvs_params_init(&params);
	initStringInfo(&sql);
	nvs_sql(&sql,
			"SELECT name, pattern, source, lane, priority, position, mark, "
			"attempt, blocked, error, owner, token, leased_until, "
			"deferred_until, created_at FROM ", consumers->table,
			" WHERE true");
	add_names(fcinfo, 0, &sql, &params);
	add_conditions(fcinfo, 1, 5, &sql, &params);
	if (!PG_ARGISNULL(6))
		nvs_sql_param(&sql, " AND name OPERATOR(pg_catalog.>) ",
					  nvs_params_add_arg(&params, fcinfo, 6, TEXTOID));
	nvs_sql(&sql, " ORDER BY name");
	if (count >= 0)
		nvs_sql_param(&sql, " LIMIT ",
					  nvs_params_add(&params, INT8OID, Int64GetDatum(count),
									 false));
	(void) run_selected(consumers, &sql, &params, true);
	nvs_consumer_emit(result, desc);
	nvs_spi_end();
	return (Datum) 0;
}

/* Answer with the rows of a query, none where there is no store. */
static Datum
report(FunctionCallInfo fcinfo, const NvsStatement *statement,
	   const NvsParams *params)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 0, false);
	if (consumers != NULL)
	{
		(void) nvs_consumer_query(consumers, statement, params);
		nvs_consumer_emit(result, desc);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* States of a consumer, as counts. */
#define HAS_WORK	"NOT blocked AND position OPERATOR(pg_catalog.<) mark"
#define IS_LATER	"OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
#define COUNTS \
	"pg_catalog.count(*), " \
	"pg_catalog.count(*) FILTER (WHERE " HAS_WORK "), " \
	"pg_catalog.count(*) FILTER (WHERE leased_until " IS_LATER "), " \
	"pg_catalog.count(*) FILTER (WHERE deferred_until " IS_LATER "), " \
	"pg_catalog.count(*) FILTER (WHERE blocked), " \
	"pg_catalog.min(position) FILTER (WHERE " HAS_WORK "), " \
	"pg_catalog.max(position)"

static const NvsStatement lanes = {
	"SELECT lane, " COUNTS " FROM {consumers} GROUP BY lane ORDER BY lane"
};

static const NvsStatement stats = {
	"SELECT " COUNTS ", (SELECT s.position FROM {checkpoints} s "
	"WHERE s.name OPERATOR(pg_catalog.=) " NVS_SCAN_NAME "), $1 "
	"FROM {consumers}"
};

/* nvent.consumer_lanes(store): a row for each lane that has consumers. */
Datum
nvs_consumer_lanes(PG_FUNCTION_ARGS)
{
	return report(fcinfo, &lanes, NULL);
}

/* nvent.consumer_stats(store): one row. */
Datum
nvs_consumer_stats(PG_FUNCTION_ARGS)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(nvs_position_safe()),
				   false);
	return report(fcinfo, &stats, &params);
}
