/*
 * worker/maintain.c
 *	  What is to be done from time to time: one bounded pass.
 *
 * Nothing needs this to be correct: what has expired is absent whether its
 * row is there or not.  A pass deletes rows in batches, passes over rows that
 * others have locked, so that any number of sessions may make one at once,
 * and looks again at a row's expiry when it has the row.  It leaves alone the
 * tables that the caller may not delete from, and works on the others as their
 * owners, whose triggers must not get the rights of who calls.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/identity.h"
#include "base/time.h"
#include "route/route.h"

/* Rows that one statement deletes. */
#define MAX_BATCH	5000

/*
 * Rows that one statement looks at, for each that it may delete: the present
 * hour's bucket is mostly of keys that are still live.
 */
#define LOOK_FACTOR	10

/* A table that is swept. */
typedef struct Sweep
{
	NvsTarget  *target;
	const char *key;			/* its key column */
	bool		buckets;		/* has expire_bucket */
	bool		done;			/* nothing more was found in this pass */
} Sweep;

PG_FUNCTION_INFO_V1(nvs_maintain);

static List *list_sweeps(const char *prefix, List *sweeps);
static List *add_sweep(List *sweeps, NvsTarget *target);
static int64 sweep_all(List *sweeps, int64 budget);
static int64 sweep_some(Sweep *sweep, int64 wanted);
static char *sweep_text(const Sweep *sweep, NvsParams *params, int64 wanted);

/* nvent.maintain(budget, store): how many rows it removed. */
Datum
nvs_maintain(PG_FUNCTION_ARGS)
{
	List	   *prefixes;
	List	   *sweeps = NIL;
	ListCell   *lc;
	int64		removed;

	NVS_REQUIRE_ARG(0, "budget");
	if (PG_GETARG_INT32(0) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"budget\" must not be negative"),
				 errdetail("It is %d.", PG_GETARG_INT32(0))));
	PreventCommandIfReadOnly("nvent.maintain()");

	nvs_spi_begin();
	if (PG_ARGISNULL(1))
		prefixes = nvs_store_prefixes();
	else
		prefixes = list_make1(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	foreach(lc, prefixes)
		sweeps = list_sweeps(lfirst(lc), sweeps);
	removed = sweep_all(sweeps, PG_GETARG_INT32(0));
	nvs_spi_end();
	PG_RETURN_INT64(removed);
}

/* Add the tables of a store. */
static List *
list_sweeps(const char *prefix, List *sweeps)
{
	static const NvsKind kinds[] = {NVS_KIND_KV, NVS_KIND_LOCK};
	const NvsStore *store = nvs_store_require(prefix);
	int			i;

	for (i = 0; i < lengthof(kinds); i++)
	{
		ListCell   *lc;

		foreach(lc, nvs_route_targets(kinds[i], store, true))
			sweeps = add_sweep(sweeps, lfirst(lc));
	}
	return sweeps;
}

/* Add a table, unless it is there or the caller has no right to sweep it. */
static List *
add_sweep(List *sweeps, NvsTarget *target)
{
	AclMode		needed = ACL_SELECT | ACL_UPDATE | ACL_DELETE;
	const NvsField *bucket = nvs_fields_column(target->map, "expire_bucket");
	Sweep	   *sweep;
	ListCell   *lc;

	foreach(lc, sweeps)
		if (((Sweep *) lfirst(lc))->target->relid == target->relid)
		return sweeps;
	/* It may have been dropped since it was compiled; now it cannot be. */
	LockRelationOid(target->relid, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(target->relid)))
		return sweeps;
	if (pg_class_aclmask(target->relid, GetUserId(), needed, ACLMASK_ALL) !=
		needed)
		return sweeps;
	sweep = palloc0(sizeof(Sweep));
	sweep->target = target;
	sweep->key = target->kind == NVS_KIND_LOCK ? "name" : "key";
	sweep->buckets = bucket != NULL && bucket->type == INT4OID;
	return lappend(sweeps, sweep);
}

/*
 * Sweep until the budget is used up or nothing is left, every table by turns
 * with an equal share of what remains, so that none starves the others.
 */
static int64
sweep_all(List *sweeps, int64 budget)
{
	int64		left = budget;
	int			ndone = 0;

	while (left > 0 && ndone < list_length(sweeps))
	{
		int64		share = Max(left / (list_length(sweeps) - ndone), 1);
		ListCell   *lc;

		foreach(lc, sweeps)
		{
			Sweep	   *sweep = lfirst(lc);
			int64		wanted = Min(Min(share, left), MAX_BATCH);
			int64		removed;

			if (sweep->done || wanted == 0)
				continue;
			CHECK_FOR_INTERRUPTS();
			removed = sweep_some(sweep, wanted);
			left -= removed;
			sweep->done = removed < wanted;
			if (sweep->done)
				ndone++;
		}
	}
	return budget - left;
}

/* Delete at most wanted expired rows of a table; returns how many. */
static int64
sweep_some(Sweep *sweep, int64 wanted)
{
	NvsParams	params;
	char	   *sql;
	SPIPlanPtr	plan;
	NvsIdentity saved;
	int64		removed;

	nvs_params_init(&params);
	sql = sweep_text(sweep, &params, wanted);
	nvs_become_table_owner(sweep->target->relid, &saved);
	plan = nvs_planset_text(sweep->target->plans, sql, &params,
							CURSOR_OPT_CUSTOM_PLAN);
	removed = nvs_plan_execute(plan, params.values, params.nulls, false, 0);
	nvs_become_caller(&saved);
	return removed;
}

/*
 * The statement that deletes expired rows.  Where there are buckets it looks
 * at a bounded number of rows, oldest bucket first, and deletes the oldest of
 * them; those that it does not reach are found when their hour has passed.
 */
static char *
sweep_text(const Sweep *sweep, NvsParams *params, int64 wanted)
{
	TimestampTz now = GetCurrentTimestamp();
	StringInfoData sql;

	initStringInfo(&sql);
	nvs_params_add(params, INT8OID, Int64GetDatum(wanted), false);
	nvs_params_add(params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);
	appendStringInfoString(&sql, "WITH ");
	if (sweep->buckets)
	{
		nvs_params_add(params, INT4OID,
					   Int32GetDatum(nvs_timestamptz_to_hours(now)), false);
		nvs_params_add(params, INT8OID, Int64GetDatum(wanted * LOOK_FACTOR),
					   false);
		appendStringInfo(&sql, "seen AS MATERIALIZED ("
						 "SELECT t.%s AS id, t.expires_at FROM %s AS t "
						 "WHERE t.expire_bucket OPERATOR(pg_catalog.<=) $3 "
						 "ORDER BY t.expire_bucket LIMIT $4), ",
						 sweep->key, sweep->target->name);
	}
	appendStringInfo(&sql, "held AS MATERIALIZED ("
					 "SELECT t.%s AS id FROM %s AS t ",
					 sweep->key, sweep->target->name);
	if (sweep->buckets)
		appendStringInfo(&sql, "JOIN seen s "
						 "ON t.%s OPERATOR(pg_catalog.=) s.id "
						 "AND s.expires_at OPERATOR(pg_catalog.<=) $2 ",
						 sweep->key);
	appendStringInfo(&sql,
					 "WHERE t.expires_at OPERATOR(pg_catalog.<=) $2 "
					 "%sLIMIT $1 FOR UPDATE OF t SKIP LOCKED) "
					 "DELETE FROM %s AS t USING held "
					 "WHERE t.%s OPERATOR(pg_catalog.=) held.id "
					 "AND t.expires_at OPERATOR(pg_catalog.<=) "
					 "pg_catalog.clock_timestamp()",
					 sweep->buckets ? "ORDER BY s.expires_at " : "",
					 sweep->target->name, sweep->key);
	return sql.data;
}
