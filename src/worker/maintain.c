/*
 * worker/maintain.c
 *	  What is to be done from time to time: one bounded pass.
 *
 * Nothing needs this to be correct: what has expired is absent whether its
 * row is there or not.  A pass deletes rows in batches, passes over rows that
 * others have locked, so that any number of sessions may make one at once,
 * and looks again at a row's expiry when it has the row.  It works as the
 * caller, on all tables that the caller may delete from, whoever made them; so
 * that nobody's code gets the caller's rights by that, a table with code that
 * is foreign to the caller (route/foreign_code.c) is left alone and reported.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/identity.h"
#include "base/statement.h"
#include "base/text.h"
#include "base/time.h"
#include "queue/queue.h"
#include "route/foreign_code.h"
#include "route/route.h"
#include "schedule/schedule.h"
#include "worker/worker.h"

/* Rows that one statement deletes. */
#define MAX_BATCH	5000

/*
 * Rows that one statement looks at, for each that it may delete: the present
 * hour's bucket is mostly of keys that are still live.
 */
#define LOOK_FACTOR	10

/* A table that is swept, or the jobs of a store. */
typedef struct Sweep
{
	NvsTarget  *target;			/* NULL for jobs */
	NvsTableSet *jobs;
	const char *key;			/* its key column */
	bool		buckets;		/* has expire_bucket */
	bool		done;			/* nothing more was found in this pass */
} Sweep;

/* What one call does. */
typedef struct Pass
{
	List	   *sweeps;
	int64		left;			/* rows and runs that it may still do */
	int			nlater;			/* that share what is left behind this store */
} Pass;

/* What is done for each store. */
typedef void (*Step) (const char *prefix, Pass *pass);

PG_FUNCTION_INFO_V1(nvs_maintain);

static void maintain_each(Step step, List *prefixes, Pass *pass);
static void maintain_list_sweeps(const char *prefix, Pass *pass);
static void maintain_run_schedules(const char *prefix, Pass *pass);
static int64 maintain_as_superuser(int64 budget, const char *prefix);
static void maintain_as_owner(const char *prefix, Pass *pass);
static List *maintain_prefixes(const char *prefix);
static int64 maintain_stores(int64 budget, List *prefixes, bool named);
static void maintain_try(Step step, const char *prefix, Pass *pass);
static void maintain_skip_store(const char *prefix);
static List *maintain_add_sweep(List *sweeps, NvsTarget *target);
static bool maintain_may_sweep_jobs(const NvsStore *store, Oid relid);
static bool maintain_may_delete(Oid relid);
static List *maintain_add_jobs(List *sweeps, const NvsStore *store);
static int64 maintain_sweep_all(List *sweeps, int64 budget);
static bool maintain_has_names(const Sweep *sweep);
static int64 maintain_sweep(Sweep *sweep, int64 wanted);
static char *maintain_sweep_text(const Sweep *sweep, NvsParams *params,
								 int64 wanted);

/* nvent.maintain(budget, store): how many rows and runs it has done. */
Datum
nvs_maintain(PG_FUNCTION_ARGS)
{
	char	   *prefix;

	NVS_REQUIRE_ARG(0, "budget");
	if (PG_GETARG_INT32(0) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"budget\" must not be negative"),
				 errdetail("It is %d.", PG_GETARG_INT32(0))));
	PreventCommandIfReadOnly("nvent.maintain()");

	prefix = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	PG_RETURN_INT64((superuser() ? maintain_as_superuser : nvs_maintain_pass)
					(PG_GETARG_INT32(0), prefix));
}

/*
 * A superuser's pass: over each store of others with the rights of its owner,
 * so that nothing which he has made of its tables runs with more than these.
 * His own come behind, with what is left.
 */
static int64
maintain_as_superuser(int64 budget, const char *prefix)
{
	Pass		pass = {NIL, budget};
	List	   *own = NIL;
	List	   *others = NIL;
	ListCell   *lc;

	nvs_spi_begin();
	foreach(lc, maintain_prefixes(prefix))
	{
		const NvsStore *store = nvs_store_find_registered(lfirst(lc));

		if (store == NULL || store->owner == GetUserId())
			own = lappend(own, lfirst(lc));
		else
			others = lappend(others, lfirst(lc));
	}
	pass.nlater = own == NIL ? 0 : 1;
	if (prefix != NULL && others != NIL)
		maintain_as_owner(prefix, &pass);
	else
		maintain_each(maintain_as_owner, others, &pass);
	if (own != NIL)
		pass.left -= maintain_stores(pass.left, own, prefix != NULL);
	nvs_spi_end();
	return budget - pass.left;
}

/* A pass over a store, with an equal share of what is left, as its owner. */
static void
maintain_as_owner(const char *prefix, Pass *pass)
{
	NvsIdentity saved;
	const NvsStore *store = nvs_store_require(prefix);
	bool		lent = nvs_store_act_as_owner(store, &saved);
	int			nshares = pass->nlater + 1;

	pass->left -= nvs_maintain_pass((pass->left + nshares - 1) / nshares,
									prefix);
	if (lent)
		nvs_become_caller(&saved);
}

/*
 * A pass over a store, over all stores for NULL, as whoever we are; returns how
 * many rows it removed and runs it made.
 */
int64
nvs_maintain_pass(int64 budget, const char *prefix)
{
	int64		done;

	nvs_spi_begin();
	done = maintain_stores(budget, maintain_prefixes(prefix), prefix != NULL);
	nvs_spi_end();
	return done;
}

/* The stores of a call, all of them for NULL. */
static List *
maintain_prefixes(const char *prefix)
{
	return prefix == NULL ? nvs_store_prefixes() : list_make1(pstrdup(prefix));
}

/* A pass over some stores; an error of one that was named ends the call. */
static int64
maintain_stores(int64 budget, List *prefixes, bool named)
{
	Pass		pass = {NIL, budget};

	if (named)
		maintain_list_sweeps(linitial(prefixes), &pass);
	else
		maintain_each(maintain_list_sweeps, prefixes, &pass);
	maintain_each(maintain_run_schedules, prefixes, &pass);
	pass.left -= maintain_sweep_all(pass.sweeps, pass.left);
	return budget - pass.left;
}

/* Do a step for each store; an error of one is said, and keeps no other. */
static void
maintain_each(Step step, List *prefixes, Pass *pass)
{
	ListCell   *lc;

	int			nlater = pass->nlater;

	foreach(lc, prefixes)
	{
		pass->nlater = nlater + list_length(prefixes) -
			foreach_current_index(lc) - 1;
		maintain_try(step, lfirst(lc), pass);
	}
}

/*
 * Add the tables of a store, in the order in which they are locked where it is
 * dropped: those of queues, locks, keys.  Another way round each would hold
 * what the other waits for.
 */
static void
maintain_list_sweeps(const char *prefix, Pass *pass)
{
	static const NvsKind kinds[] = {NVS_KIND_LOCK, NVS_KIND_KV};
	const NvsStore *store = nvs_store_require(prefix);
	int			i;

	pass->sweeps = maintain_add_jobs(pass->sweeps, store);
	for (i = 0; i < lengthof(kinds); i++)
	{
		ListCell   *lc;

		foreach(lc, nvs_route_usable_targets(kinds[i], store))
			pass->sweeps = maintain_add_sweep(pass->sweeps, lfirst(lc));
	}
}

/* Make runs of schedules that are due; half of what may be done is left. */
static void
maintain_run_schedules(const char *prefix, Pass *pass)
{
	pass->left -= nvs_schedule_pass(prefix, (pass->left + 1) / 2);
}

/* Do a step for a store, or say what is wrong with it. */
static void
maintain_try(Step step, const char *prefix, Pass *pass)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Pass		before = *pass;

	before.sweeps = list_copy(pass->sweeps);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		step(prefix, pass);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		*pass = before;
		maintain_skip_store(prefix);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
}

/*
 * End the subtransaction that an error left, and have the error be a warning,
 * unless somebody wants the call to end.
 */
static void
maintain_skip_store(const char *prefix)
{
	ErrorData  *error = CopyErrorData();

	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("skipping store \"%s\": %s", prefix, error->message),
			 error->detail == NULL ? 0 : errdetail_internal("%s",
															error->detail)));
	FreeErrorData(error);
}

/*
 * Add a table, unless it is there, the caller has no right to sweep it, or what
 * that would run is foreign to the caller.
 */
static List *
maintain_add_sweep(List *sweeps, NvsTarget *target)
{
	const NvsField *bucket = nvs_fields_column(target->map, "expire_bucket");
	Sweep	   *sweep;
	ListCell   *lc;

	foreach(lc, sweeps)
	{
		const NvsTarget *other = ((Sweep *) lfirst(lc))->target;

		if (other != NULL && other->relid == target->relid)
			return sweeps;
	}
	/* It may be dropped or renamed, or a right revoked, before we have it. */
	if (!maintain_may_delete(target->relid))
		return sweeps;
	LockRelationOid(target->relid, RowExclusiveLock);
	if (!maintain_may_delete(target->relid) ||
		!nvs_relation_has_name(target->relid, target->name))
		return sweeps;
	if (nvs_has_foreign_code(target->relid, TRIGGER_TYPE_DELETE, target->name))
		return sweeps;
	sweep = palloc0(sizeof(Sweep));
	sweep->target = target;
	sweep->key = target->kind == NVS_KIND_LOCK ? "name" : "key";
	sweep->buckets = bucket != NULL && bucket->type == INT4OID;
	return lappend(sweeps, sweep);
}

/*
 * Add the jobs of a store, unless the caller has no right to sweep one of its
 * tables, one is not the store's, or what that would run is foreign to the
 * caller.  A store of an older layout has none.
 */
static List *
maintain_add_jobs(List *sweeps, const NvsStore *store)
{
	NvsTableSet *set;
	Sweep	   *sweep;
	char	   *prefix = pstrdup(store->prefix);
	int			i;

	/* Rights come before locks: who has none is not to make others wait. */
	for (i = 0; i < nvs_queue_tables.ntables; i++)
	{
		char	   *name = psprintf("%s_%s", prefix,
									nvs_queue_tables.names[i]);
		Oid			relid = nvs_relation_find(store, NULL, name);

		if (!maintain_may_sweep_jobs(store, relid))
			return sweeps;

		/* Whoever drops them takes that one first: it may go meanwhile. */
		if (i == 0)
		{
			LockRelationOid(relid, RowExclusiveLock);
			if (!maintain_may_sweep_jobs(store, relid))
				return sweeps;
		}
	}

	set = nvs_table_set_find(&nvs_queue_tables, prefix, RowExclusiveLock);
	if (set == NULL)
		return sweeps;

	/* The first, that of the queues, is not changed. */
	for (i = 0; i < nvs_queue_tables.ntables; i++)
		if (!maintain_may_delete(set->relids[i]) ||
			nvs_has_foreign_code(set->relids[i],
								 i == 0 ? TRIGGER_TYPE_DELETE : NVS_ANY_CHANGE,
								 set->tables[i]))
			return sweeps;

	sweep = palloc0(sizeof(Sweep));
	sweep->jobs = set;
	return lappend(sweeps, sweep);
}

/*
 * Is a table of queues there, with all of its rows, the store's, and may the
 * caller sweep it?  While a dump is restored, a job without its queue, or its
 * run, is one whose queue or run comes next.
 */
static bool
maintain_may_sweep_jobs(const NvsStore *store, Oid relid)
{
	return OidIsValid(relid) && nvs_relation_is_own(store, relid, true) &&
		nvs_relation_has_index(relid) && maintain_may_delete(relid);
}

/* Is the table there, and has the caller the privileges to sweep it? */
static bool
maintain_may_delete(Oid relid)
{
	static const AclMode needed[] = {ACL_SELECT, ACL_UPDATE, ACL_DELETE};
	bool		is_missing = false;
	int			i;

	for (i = 0; i < lengthof(needed); i++)
	{
		if (pg_class_aclcheck_ext(relid, GetUserId(), needed[i],
								  &is_missing) != ACLCHECK_OK || is_missing)
			return false;
	}
	return true;
}

/*
 * Sweep until the budget is used up or nothing is left, every table by turns
 * with an equal share of what remains, so that none starves the others.
 */
static int64
maintain_sweep_all(List *sweeps, int64 budget)
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
			removed = maintain_sweep(sweep, wanted);
			left -= removed;
			sweep->done = removed < wanted;
			if (sweep->done)
				ndone++;
		}
	}
	return budget - left;
}

/*
 * Are the names that statements use still those of the tables?  Their schema
 * may have been renamed since they were locked.
 */
static bool
maintain_has_names(const Sweep *sweep)
{
	const NvsTableSet *set = sweep->jobs;
	int			i;

	AcceptInvalidationMessages();
	if (set == NULL)
		return nvs_relation_has_name(sweep->target->relid,
									 sweep->target->name);
	for (i = 0; i < set->kind->ntables; i++)
		if (!nvs_relation_has_name(set->relids[i], set->tables[i]))
			return false;
	return true;
}

/* Delete at most wanted expired rows, or jobs; returns how many. */
static int64
maintain_sweep(Sweep *sweep, int64 wanted)
{
	NvsParams	params;
	char	   *sql;
	SPIPlanPtr	plan;

	if (!maintain_has_names(sweep))
		return 0;
	if (sweep->jobs != NULL)
		return nvs_jobs_sweep(sweep->jobs, wanted);
	nvs_params_init(&params);
	sql = maintain_sweep_text(sweep, &params, wanted);
	plan = nvs_statement_plan_text(sweep->target->plans, sql, &params,
								   NVS_PLAN_CUSTOM);
	return nvs_execute(plan, &params, false, 0);
}

/*
 * The statement that deletes expired rows.  Where there are buckets it looks
 * at a bounded number of rows, oldest bucket first, and deletes the oldest of
 * them; those that it does not reach are found when their hour has passed.
 */
static char *
maintain_sweep_text(const Sweep *sweep, NvsParams *params, int64 wanted)
{
	const char *table = sweep->target->name;
	TimestampTz now = GetCurrentTimestamp();
	StringInfoData sql;

	initStringInfo(&sql);
	nvs_params_add(params, INT8OID, Int64GetDatum(wanted), false);
	nvs_params_add(params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);

	/* The rows to look at, where there are buckets. */
	nvs_sql(&sql, "WITH ");
	if (sweep->buckets)
	{
		nvs_params_add(params, INT4OID,
					   Int32GetDatum(nvs_timestamptz_to_hours(now)), false);
		nvs_params_add(params, INT8OID, Int64GetDatum(wanted * LOOK_FACTOR),
					   false);
		nvs_sql(&sql, "seen AS MATERIALIZED (SELECT t.", sweep->key,
				" AS id, t.expires_at FROM ", table, " AS t "
				"WHERE t.expire_bucket OPERATOR(pg_catalog.<=) $3 "
				"ORDER BY t.expire_bucket LIMIT $4), ");
	}

	/* Those of them that have expired and that nobody else has locked. */
	nvs_sql(&sql, "held AS MATERIALIZED (SELECT t.", sweep->key,
			" AS id FROM ", table, " AS t ");
	if (sweep->buckets)
		nvs_sql(&sql, "JOIN seen s ON t.", sweep->key,
				" OPERATOR(pg_catalog.=) s.id "
				"AND s.expires_at OPERATOR(pg_catalog.<=) $2 ");
	nvs_sql(&sql, "WHERE t.expires_at OPERATOR(pg_catalog.<=) $2 ",
			sweep->buckets ? "ORDER BY s.expires_at " : "",
			"LIMIT $1 FOR UPDATE OF t SKIP LOCKED) ");

	/* They go, unless they were renewed before we had them. */
	nvs_sql(&sql, "DELETE FROM ", table, " AS t USING held WHERE t.",
			sweep->key, " OPERATOR(pg_catalog.=) held.id "
			"AND t.expires_at OPERATOR(pg_catalog.<=) "
			"pg_catalog.clock_timestamp()");
	return sql.data;
}
