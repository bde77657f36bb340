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
#include "miscadmin.h"

#include "base/text.h"
#include "consumer/internal.h"
#include "position/position.h"

PG_FUNCTION_INFO_V1(nvs_consumer_unblock);
PG_FUNCTION_INFO_V1(nvs_consumer_defer);
PG_FUNCTION_INFO_V1(nvs_consumer_reset);
PG_FUNCTION_INFO_V1(nvs_consumer_prioritize);
PG_FUNCTION_INFO_V1(nvs_consumer_list);
PG_FUNCTION_INFO_V1(nvs_consumer_lanes);
PG_FUNCTION_INFO_V1(nvs_consumer_stats);
PG_FUNCTION_INFO_V1(nvs_consumer_furthest);

/* A condition of a selection. */
typedef struct AdminCondition
{
	const char *text;			/* up to the parameter */
	Oid			type;			/* of that */
} AdminCondition;

/* In the order in which all functions have their arguments. */
static const AdminCondition admin_conditions[] = {
	{" AND name OPERATOR(pg_catalog.~) ", TEXTOID},
	{" AND source OPERATOR(pg_catalog.~) ", TEXTOID},
	{" AND source OPERATOR(pg_catalog.=) ", TEXTOID},
	{" AND lane OPERATOR(pg_catalog.=) ", TEXTOID},
	{" AND blocked OPERATOR(pg_catalog.=) ", BOOLOID}
};

/*
 * A change of the consumers that a call selects by names, its first argument,
 * and by conditions.  The store is the argument behind those.
 */
typedef struct AdminChange
{
	const char *function;		/* as an error calls it */
	const char *set;			/* what it sets, in row c; $1 is the value */
	const char *where;			/* which rows have something to change */
	Oid			type;			/* of the value, the second argument; or none */
	int			nconditions;
} AdminChange;

static Datum admin_change(FunctionCallInfo fcinfo, const AdminChange *change);
static void admin_add_names(FunctionCallInfo fcinfo, StringInfo sql,
							NvsParams *params);
static void admin_add_conditions(FunctionCallInfo fcinfo, int first, int n,
								 StringInfo sql, NvsParams *params);
static Datum admin_report(FunctionCallInfo fcinfo,
						  const NvsStatement *statement,
						  bool with_safe);

/*
 * Make a change, and return how many consumers it met.  Rows are locked in
 * the order of names.
 */
static Datum
admin_change(FunctionCallInfo fcinfo, const AdminChange *change)
{
	int			first = OidIsValid(change->type) ? 2 : 1;
	NvsConsumers *consumers;
	NvsParams	params;
	StringInfoData sql;
	uint64		changed;

	PreventCommandIfReadOnly(change->function);
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, first + change->nconditions);
	nvs_params_init(&params);
	if (OidIsValid(change->type))
		nvs_params_add_arg(&params, fcinfo, 1, change->type);
	initStringInfo(&sql);
	nvs_sql(&sql, "WITH held AS MATERIALIZED (SELECT name FROM ",
			consumers->tables[0], " WHERE ", change->where);
	admin_add_names(fcinfo, &sql, &params);
	admin_add_conditions(fcinfo, first, change->nconditions, &sql, &params);
	nvs_sql(&sql, " ORDER BY name FOR NO KEY UPDATE) UPDATE ",
			consumers->tables[0], " c SET ", change->set,
			" FROM held h WHERE c.name OPERATOR(pg_catalog.=) h.name");
	changed = nvs_execute(nvs_statement_plan_text(consumers->plans, sql.data,
												  &params, NVS_PLAN_AUTO),
						  &params, false, 0);
	nvs_spi_end();
	PG_RETURN_INT64(changed);
}

/* Add the condition on the names that the first argument has; NULL is all. */
static void
admin_add_names(FunctionCallInfo fcinfo, StringInfo sql, NvsParams *params)
{
	if (PG_ARGISNULL(0))
		return;
	nvs_sql_param(sql, " AND name OPERATOR(pg_catalog.=) ANY (",
				  nvs_params_add_arg(params, fcinfo, 0, TEXTARRAYOID));
	nvs_sql(sql, ")");
}

/* Add the first n conditions, whose arguments begin at first; NULL is none. */
static void
admin_add_conditions(FunctionCallInfo fcinfo, int first, int n,
					 StringInfo sql, NvsParams *params)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		const AdminCondition *condition = &admin_conditions[i];

		if (!PG_ARGISNULL(first + i))
			nvs_sql_param(sql, condition->text,
						  nvs_params_add_arg(params, fcinfo, first + i,
											 condition->type));
	}
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
	static const AdminChange change = {
		"nvent.consumer_unblock()", CLEARED, "blocked", InvalidOid, 4
	};

	return admin_change(fcinfo, &change);
}

/*
 * nvent.consumer_reset(names, upto, name_regex, source_regex, source, lane,
 * blocked, store): how many.  A consumer is to be initialized again, since a
 * mark may be missing for events before it began.
 */
Datum
nvs_consumer_reset(PG_FUNCTION_ARGS)
{
	static const AdminChange change = {
		"nvent.consumer_reset()",
		"position = $1, initialized = c.pattern IS NULL, " CLEARED,
		"true", INT8OID, 5
	};

	NVS_REQUIRE_ARG(1, "upto");
	return admin_change(fcinfo, &change);
}

/*
 * nvent.consumer_defer(names, until, name_regex, source_regex, source, lane,
 * blocked, store): how many.
 */
Datum
nvs_consumer_defer(PG_FUNCTION_ARGS)
{
	static const AdminChange change = {
		"nvent.consumer_defer()",
		"attempt = 0, deferred_until = $1, "
		"due_at = GREATEST(c.leased_until, $1)",
		"true", TIMESTAMPTZOID, 5
	};

	return admin_change(fcinfo, &change);
}

/*
 * nvent.consumer_prioritize(names, priority, name_regex, source_regex,
 * source, lane, blocked, store): how many had another priority.
 */
Datum
nvs_consumer_prioritize(PG_FUNCTION_ARGS)
{
	static const AdminChange change = {
		"nvent.consumer_prioritize()", "priority = $1",
		"priority OPERATOR(pg_catalog.<>) $1", INT4OID, 5
	};

	NVS_REQUIRE_ARG(1, "priority");
	return admin_change(fcinfo, &change);
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
	SPIPlanPtr	plan;

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 8, NVS_USE_READ);
	if (consumers == NULL)
	{
		nvs_spi_end();
		return (Datum) 0;
	}

	/* Only the conditions that were given: each has its own best plan. */
	nvs_params_init(&params);
	initStringInfo(&sql);
	nvs_sql(&sql,
			"SELECT name, pattern, source, lane, priority, position, mark, "
			"attempt, blocked, error, owner, token, leased_until, "
			"deferred_until, created_at FROM ", consumers->tables[0],
			" WHERE true");
	admin_add_names(fcinfo, &sql, &params);
	admin_add_conditions(fcinfo, 1, 5, &sql, &params);
	if (!PG_ARGISNULL(6))
		nvs_sql_param(&sql, " AND name OPERATOR(pg_catalog.>) ",
					  nvs_params_add_arg(&params, fcinfo, 6, TEXTOID));

	/* In the order that a next page goes on in. */
	nvs_sql(&sql, " ORDER BY name");
	if (count >= 0)
		nvs_sql_param(&sql, " LIMIT ",
					  nvs_params_add(&params, INT8OID, Int64GetDatum(count),
									 false));

	plan = nvs_statement_plan_text(consumers->plans, sql.data, &params,
								   NVS_PLAN_AUTO);
	nvs_execute_each(plan, &params, true, nvs_consumer_put_row, result);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Return the rows of a query, none where there is no store.  $1 is the safe
 * position when with_safe.
 */
static Datum
admin_report(FunctionCallInfo fcinfo, const NvsStatement *statement,
			 bool with_safe)
{
	NvsParams	params;
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 0, NVS_USE_READ);
	nvs_params_init(&params);
	if (consumers != NULL && with_safe)
		nvs_params_add(&params, INT8OID,
					   Int64GetDatum(nvs_position_safe(consumers->number)),
					   false);
	if (consumers != NULL)
		nvs_consumer_emit(consumers, statement, &params, result);
	nvs_spi_end();
	return (Datum) 0;
}

/* States of a consumer, as counts. */
#define IS_LATER	"OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
#define COUNTS \
	"pg_catalog.count(*), " \
	"pg_catalog.count(*) FILTER (WHERE " NVS_HAS_WORK "), " \
	"pg_catalog.count(*) FILTER (WHERE leased_until " IS_LATER "), " \
	"pg_catalog.count(*) FILTER (WHERE deferred_until " IS_LATER "), " \
	"pg_catalog.count(*) FILTER (WHERE blocked), " \
	"pg_catalog.min(position) FILTER (WHERE " NVS_HAS_WORK "), " \
	"pg_catalog.max(position)"

static const NvsStatement admin_lanes = {
	"SELECT lane, " COUNTS " FROM {consumers} GROUP BY lane ORDER BY lane",
	.mode = NVS_PLAN_AUTO
};

/* nvent.consumer_lanes(store): a row for each lane that has consumers. */
Datum
nvs_consumer_lanes(PG_FUNCTION_ARGS)
{
	return admin_report(fcinfo, &admin_lanes, false);
}

static const NvsStatement admin_stats = {
	"SELECT " COUNTS ", (SELECT s.position FROM {checkpoints} s "
	"WHERE s.name OPERATOR(pg_catalog.=) " NVS_MARK_CHECKPOINT "), $1 "
	"FROM {consumers}",
	.mode = NVS_PLAN_AUTO
};

/* nvent.consumer_stats(store): one row; $1 is the safe position. */
Datum
nvs_consumer_stats(PG_FUNCTION_ARGS)
{
	return admin_report(fcinfo, &admin_stats, true);
}

static const NvsStatement admin_furthest = {
	"SELECT pg_catalog.max(position) FROM {consumers}",
	.mode = NVS_PLAN_AUTO
};

/*
 * nvent.consumer_furthest(store): the highest position of all consumers; NULL
 * for none.  Asks nobody what has settled, and reads one row where the store's
 * owner has made an index of positions.
 */
Datum
nvs_consumer_furthest(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	MemoryContext cxt = CurrentMemoryContext;
	Datum		furthest;
	bool		found = false;

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 0, NVS_USE_READ);
	if (consumers != NULL)
		found = nvs_execute_first(nvs_statement_plan(consumers->plans,
													 &admin_furthest, NULL,
													 NULL),
								  NULL, true, cxt, &furthest);
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(furthest);
}
