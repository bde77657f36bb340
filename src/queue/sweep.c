/*
 * queue/sweep.c
 *	  Deletes jobs that have been kept for long enough.
 *
 * Jobs that have ended are found by when the lease of their last attempt would
 * have run out, the one time that is indexed, so they stay a lease longer at
 * most.  A job goes with all of its attempts, or not at all, and not while
 * another waits for it.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rls.h"

#include "queue/control.h"
#include "queue/lane.h"
#include "queue/slot.h"

/* In SQL, that no job waits for one, be it in vain. */
#define NOT_WAITED_FOR(job) \
	"(SELECT p.id FROM {job_parents} p JOIN {job_waits} w " \
	"ON w.id OPERATOR(pg_catalog.=) p.id " \
	"WHERE p.parent OPERATOR(pg_catalog.=) " job " LIMIT 1) IS NULL "

/* Names of queues some of whose jobs are to go. */
static const NvsStatement sweep_list = {
	"SELECT name FROM {queues} WHERE keep_ended IS NOT NULL "
	"OR keep_queued IS NOT NULL ORDER BY name"
};

/*
 * In SQL, since when queue $1 keeps jobs: since ever where that would be before
 * the first timestamp, lest maintenance of all that a store has fail.
 */
#define KEEP(column) \
	"(SELECT CASE WHEN q." column " OPERATOR(pg_catalog.>) " \
	"'6000 years'::pg_catalog.interval " \
	"THEN '-infinity'::pg_catalog.timestamptz " \
	"ELSE " NVS_NOW " OPERATOR(pg_catalog.-) q." column " END" \
	" FROM {queues} q WHERE q.number OPERATOR(pg_catalog.=) $1)"

/* Up to $2 jobs of queue $1 that have ended, by their last runs, locked. */
static const NvsStatement sweep_ended = {
	"SELECT r.id FROM {job_runs} r "
	"WHERE r.queue OPERATOR(pg_catalog.=) $1 "
	"AND r.lease_until OPERATOR(pg_catalog.<) " KEEP("keep_ended") " "
	"AND r.ended_at OPERATOR(pg_catalog.<) " KEEP("keep_ended") " "
	"AND r.outcome IS NOT NULL AND NOT EXISTS (SELECT FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) r.id) "
	"AND NOT EXISTS (SELECT FROM {job_runs} l "
	"WHERE l.id OPERATOR(pg_catalog.=) r.id "
	"AND l.attempt OPERATOR(pg_catalog.>) r.attempt) "
	"AND " NOT_WAITED_FOR("r.id")
	"ORDER BY r.queue, r.lease_until LIMIT $2 FOR UPDATE OF r SKIP LOCKED"
};

/*
 * Those among jobs $2 of queue $1 that have not been given another turn since
 * they were found: now that their last runs are locked, they will not be.
 */
static const NvsStatement sweep_still_ended = {
	"SELECT u.id FROM pg_catalog.unnest($2) u (id) WHERE NOT EXISTS (SELECT FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) u.id) "
	"AND NOT EXISTS (SELECT FROM {job_runs} r "
	"WHERE r.id OPERATOR(pg_catalog.=) u.id AND (r.outcome IS NULL "
	"OR r.ended_at OPERATOR(pg_catalog.>=) " KEEP("keep_ended") "))"
};

/*
 * The first job of queue $1 and priority $2 from id $3 on, and whether it may
 * stay where it is.  A time that is to come says nothing: the clock was set
 * back.
 */
static const NvsStatement sweep_look = {
	"SELECT j.id, j.created_at OPERATOR(pg_catalog.>=) " KEEP("keep_queued") " "
	"AND j.created_at OPERATOR(pg_catalog.<=) " NVS_NOW " FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $2 "
	"AND j.id OPERATOR(pg_catalog.>=) $3 "
	"ORDER BY j.queue, j.priority, j.id LIMIT 1"
};

/*
 * Up to $2 jobs of queue $1 and priority $4 behind $5, and before $3, that
 * nobody began.
 */
static const NvsStatement sweep_ready = {
	"SELECT j.id FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $4 "
	"AND j.id OPERATOR(pg_catalog.>) $5 "
	"AND j.id OPERATOR(pg_catalog.<) $3 AND j.due_at IS NULL "
	"AND j.created_at OPERATOR(pg_catalog.<) " KEEP("keep_queued") " "
	"AND (SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL "
	"AND (SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL "
	"AND " NOT_WAITED_FOR("j.id")
	"ORDER BY j.queue, j.priority, j.id LIMIT $2 FOR UPDATE SKIP LOCKED"
};

/* In SQL, of turn t: its job has been queued for long enough, and may go. */
#define SWEEP_TURN \
	"AND (SELECT j.created_at FROM {jobs} j " \
	"WHERE j.queue OPERATOR(pg_catalog.=) t.queue " \
	"AND j.priority OPERATOR(pg_catalog.=) t.priority " \
	"AND j.id OPERATOR(pg_catalog.=) t.id LIMIT 1) " \
	"OPERATOR(pg_catalog.<) " KEEP("keep_queued") " " \
	"AND " NOT_WAITED_FOR("t.id")

/* Up to $2 turns of queue $1 and priority $4, before $3, that are due. */
static const NvsStatement sweep_turns = {
	"SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.priority OPERATOR(pg_catalog.=) $4 "
	"AND t.id OPERATOR(pg_catalog.<) $3 AND t.due_at IS NULL "
	SWEEP_TURN
	"ORDER BY t.queue, t.priority DESC, t.id LIMIT $2 "
	"FOR UPDATE OF t SKIP LOCKED"
};

/*
 * Those that wait in their lanes: from one lane to the next, of which there are
 * no more than have something active, or have had until just now.
 */
#define SWEEP_NEXT_LANE(after) \
	"(SELECT f.lane FROM {job_turns} f " \
	"WHERE f.queue OPERATOR(pg_catalog.=) $1 AND " NVS_WAITS_IN_LANE("f") " " \
	after "ORDER BY f.queue, f.lane LIMIT 1)"

static const NvsStatement sweep_turns_in_lanes = {
	"WITH RECURSIVE n AS (" SWEEP_NEXT_LANE("") " UNION ALL "
	"SELECT " SWEEP_NEXT_LANE("AND f.lane OPERATOR(pg_catalog.>) n.lane ")
	" FROM n WHERE n.lane IS NOT NULL) "
	"SELECT w.id FROM n, LATERAL (SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.lane OPERATOR(pg_catalog.=) n.lane "
	"AND t.priority OPERATOR(pg_catalog.=) $4 "
	"AND t.id OPERATOR(pg_catalog.<) $3 AND " NVS_WAITS_IN_LANE("t") " "
	SWEEP_TURN
	"ORDER BY t.queue, t.lane, t.priority DESC, t.id LIMIT $2 "
	"FOR UPDATE OF t SKIP LOCKED) w LIMIT $2"
};

/* Up to $2 turns of queue $1 that have been due for long enough. */
static const NvsStatement sweep_turns_due = {
	"SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NOT NULL "
	"AND t.due_at OPERATOR(pg_catalog.<) " KEEP("keep_queued") " "
	SWEEP_TURN
	"ORDER BY t.queue, t.due_at LIMIT $2 FOR UPDATE OF t SKIP LOCKED"
};

/* What belongs to the jobs $2 of queue $1. */
static const NvsStatement sweep_delete_turns = {
	NVS_DELETE_OF_JOBS("job_turns")
};
static const NvsStatement sweep_delete_runs = {
	NVS_DELETE_OF_JOBS("job_runs")
};
static const NvsStatement sweep_delete_jobs = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) " NVS_ANY_PRIORITY("1") " "
	"AND j.id OPERATOR(pg_catalog.=) ANY ($2)"
};

/*
 * Delete jobs $2 of queue $1, but for those that somebody has begun meanwhile.
 */
static const NvsStatement sweep_delete_ready = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) " NVS_ANY_PRIORITY("1") " "
	"AND j.id OPERATOR(pg_catalog.=) ANY ($2) AND j.due_at IS NULL "
	"AND (SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL "
	"AND (SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL"
};

/*
 * Numbers of queues of which a table has rows though they are gone: who sent or
 * settled a job while its queue was dropped has committed since.  From one
 * queue to the next in an index, which has few.
 */
#define DROPPED(table, condition, order) \
	"WITH RECURSIVE n AS ((SELECT f.queue FROM " table " f " \
	"WHERE " condition " ORDER BY " order " LIMIT 1) " \
	"UNION ALL SELECT (SELECT f.queue FROM " table " f " \
	"WHERE f.queue OPERATOR(pg_catalog.>) n.queue AND " condition " " \
	"ORDER BY " order " LIMIT 1) FROM n WHERE n.queue IS NOT NULL) " \
	"SELECT n.queue FROM n WHERE n.queue IS NOT NULL " \
	"AND NOT EXISTS (SELECT FROM {queues} q " \
	"WHERE q.number OPERATOR(pg_catalog.=) n.queue)"

/* Delete up to $2 rows of queue $1. */
#define DELETE_SOME(table) \
	"DELETE FROM " table " d WHERE d.queue OPERATOR(pg_catalog.=) $1 " \
	"AND d.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT s.id FROM " table \
	" s WHERE s.queue OPERATOR(pg_catalog.=) $1 LIMIT $2))"

/* What finds rows of queues that are gone, and what deletes them. */
typedef struct SweepDropped
{
	NvsStatement find;
	NvsStatement delete;
} SweepDropped;

static const SweepDropped sweep_dropped[] = {
	{
		{DROPPED("{job_turns}", "f.due_at IS NULL",
				 "f.queue, f.priority DESC, f.id")},
		{DELETE_SOME("{job_turns}")}
	},
	{
		{DROPPED("{job_turns}", "f.due_at IS NOT NULL", "f.queue, f.due_at")},
		{DELETE_SOME("{job_turns}")}
	},
	{
		{DROPPED("{job_runs}", "true", "f.queue, f.lease_until")},
		{DELETE_SOME("{job_runs}")}
	},
	{
		{DROPPED("{jobs}", "true", "f.queue, f.priority, f.id")},
		{DELETE_SOME("{jobs}")}
	},
	{
		{DROPPED("{job_keys}", "true", "f.queue, f.key")},
		{DELETE_SOME("{job_keys}")}
	},
	{
		{DROPPED("{job_lanes}", "f.held", "f.queue, f.lane")},
		{DELETE_SOME("{job_lanes}")}
	},
	{
		{DROPPED("{job_lanes}", "NOT f.held", "f.queue, f.lane")},
		{DELETE_SOME("{job_lanes}")}
	},
	{
		{DROPPED("{job_waits}", "true", "f.queue")},
		{DELETE_SOME("{job_waits}")}
	},
	{
		{DROPPED("{job_parents}", "true", "f.queue")},
		{DELETE_SOME("{job_parents}")}
	}
};

/* A pass. */
typedef struct JobSweep
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int64		wanted;
	int64		removed;
	int64		bound;			/* from here on jobs may stay queued */
	Datum	   *ids;			/* of one statement, int8 */
	int			n;
	Datum	   *gone;			/* of all that were deleted, int8 */
	int			ngone;
	int			size;
} JobSweep;

static void sweep_run(JobSweep *sweep);
static void sweep_forget(JobSweep *sweep);
static void sweep_rest(JobSweep *sweep);
static int64 sweep_last_number(const JobSweep *sweep);
static void sweep_rest_of(JobSweep *sweep, const SweepDropped *dropped,
						  int64 last);
static void sweep_queue(JobSweep *sweep);
static bool sweep_level(JobSweep *sweep, const NvsLevel *level);
static bool sweep_find_bound(JobSweep *sweep, const NvsLevel *level);
static bool sweep_stays(JobSweep *sweep, const NvsLevel *level, int64 *id);
static void sweep_params(const JobSweep *sweep, NvsParams *params);
static void sweep_recheck(JobSweep *sweep);
static void sweep_find(JobSweep *sweep, const NvsStatement *statement,
					   const NvsLevel *level);
static void sweep_keep(TupleTableSlot *slot, void *arg);
static void sweep_delete(JobSweep *sweep, const NvsStatement *jobs);
static void sweep_keep_gone(JobSweep *sweep);

/* Delete up to wanted jobs of the queues of a store; returns how many. */
int64
nvs_jobs_sweep(NvsTableSet *set, int64 wanted)
{
	JobSweep	sweep;

	memset(&sweep, 0, sizeof(sweep));
	sweep.set = set;
	sweep.wanted = wanted;
	sweep.ids = palloc(sizeof(Datum) * wanted);
	sweep_run(&sweep);
	pfree(sweep.ids);
	if (sweep.gone != NULL)
		pfree(sweep.gone);
	return sweep.removed;
}

/* Sweep one queue after another. */
static void
sweep_run(JobSweep *sweep)
{
	List	   *names = NIL;
	ListCell   *lc;
	uint64		n;
	uint64		i;

	n = nvs_table_set_query(sweep->set, &sweep_list, NULL);
	for (i = 0; i < n; i++)
		names = lappend(names, SPI_getvalue(SPI_tuptable->vals[i],
											SPI_tuptable->tupdesc, 1));
	foreach(lc, names)
	{
		CHECK_FOR_INTERRUPTS();
		sweep->queue = nvs_queue_named(sweep->set, lfirst(lc));
		if (sweep->queue != NULL && sweep->removed < sweep->wanted)
			sweep_queue(sweep);
	}
	sweep_forget(sweep);
	sweep_rest(sweep);
	if (sweep->removed < sweep->wanted)
		sweep->removed += nvs_slots_sweep(sweep->set,
										  sweep->wanted - sweep->removed);
}

/*
 * Delete what the jobs that were deleted had as children: of all of them in one
 * order, in which who ends their parents notes it there.
 */
static void
sweep_forget(JobSweep *sweep)
{
	nvs_job_ids_sort(sweep->gone, sweep->ngone);
	nvs_flow_forget(sweep->set, sweep->gone, sweep->ngone);
}

/*
 * Delete what is left of queues that were dropped.  Who cannot see all queues
 * does not know which those are.
 */
static void
sweep_rest(JobSweep *sweep)
{
	int64		last = sweep_last_number(sweep);
	int			i;

	if (last == 0 || check_enable_rls(sweep->set->relids[0], InvalidOid,
									  true) == RLS_ENABLED)
		return;
	for (i = 0; i < lengthof(sweep_dropped); i++)
		sweep_rest_of(sweep, &sweep_dropped[i], last);
}

/*
 * The last number that a queue was given here, 0 when that is not known.  A row
 * whose queue has a higher one was not left behind: it was copied, by data that
 * are loaded or replicated, and its queue may come next.
 */
static int64
sweep_last_number(const JobSweep *sweep)
{
	LOCAL_FCINFO(fcinfo, 1);
	List	   *sequences = getOwnedSequences(sweep->set->relids[0]);
	Datum		last;

	if (list_length(sequences) != 1 ||
		pg_class_aclcheck(linitial_oid(sequences), GetUserId(),
						  ACL_SELECT | ACL_USAGE) != ACLCHECK_OK)
		return 0;
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(linitial_oid(sequences));
	fcinfo->args[0].isnull = false;
	last = pg_sequence_last_value(fcinfo);
	return fcinfo->isnull ? 0 : DatumGetInt64(last);
}

/*
 * Delete rows of a table of queues that were dropped, as many as are wanted;
 * last is the last number that a queue was given here.
 */
static void
sweep_rest_of(JobSweep *sweep, const SweepDropped *dropped, int64 last)
{
	uint64		n = nvs_table_set_query(sweep->set, &dropped->find, NULL);
	Datum	   *numbers = palloc(sizeof(Datum) * Max(n, 1));
	bool		isnull;
	uint64		i;

	for (i = 0; i < n; i++)
		numbers[i] = SPI_getbinval(SPI_tuptable->vals[i],
								   SPI_tuptable->tupdesc, 1, &isnull);
	for (i = 0; i < n && sweep->removed < sweep->wanted; i++)
	{
		NvsParams	params;

		CHECK_FOR_INTERRUPTS();
		if (DatumGetInt32(numbers[i]) > last)
			continue;
		nvs_params_init(&params);
		nvs_params_add(&params, INT4OID, numbers[i], false);
		nvs_params_add(&params, INT8OID,
					   Int64GetDatum(sweep->wanted - sweep->removed), false);
		sweep->removed += nvs_table_set_run(sweep->set, &dropped->delete,
											&params);
	}
}

/* Delete jobs of one queue: ended, waiting for a turn, ready. */
static void
sweep_queue(JobSweep *sweep)
{
	NvsQueue   *queue = sweep->queue;
	bool		overdue = false;
	int			i;

	nvs_lanes_mend(sweep->set, queue, sweep->wanted);
	sweep_find(sweep, &sweep_ended, NULL);
	sweep_recheck(sweep);
	sweep_delete(sweep, &sweep_delete_jobs);
	for (i = 0; i < queue->nlevels; i++)
		overdue |= sweep_level(sweep, &queue->levels[i]);
	if (!overdue)
		return;
	sweep_find(sweep, &sweep_turns_due, NULL);
	sweep_delete(sweep, &sweep_delete_jobs);
}

/*
 * Delete jobs of a level that have been queued for too long, but for those
 * whose time was to come; false when a few looks say that there are none.
 */
static bool
sweep_level(JobSweep *sweep, const NvsLevel *level)
{
	if (!sweep_find_bound(sweep, level))
		return false;
	sweep_find(sweep, &sweep_turns, level);
	sweep_delete(sweep, &sweep_delete_jobs);
	if (sweep->queue->has_lanes)
	{
		sweep_find(sweep, &sweep_turns_in_lanes, level);
		sweep_delete(sweep, &sweep_delete_jobs);
	}
	sweep_find(sweep, &sweep_ready, level);
	sweep_delete(sweep, &sweep_delete_ready);
	return true;
}

/*
 * Find the first job of a level that may stay where it is, as may all behind
 * it: by halves, since jobs are sent in the order of their ids, and a backlog
 * that is to stay is not to be walked.  The highest id where there is none.
 * False when no job was met that may not stay.
 */
static bool
sweep_find_bound(JobSweep *sweep, const NvsLevel *level)
{
	int64		first = 0;
	int64		last = PG_INT64_MAX;
	int64		middle = first;
	bool		overdue = false;

	sweep->bound = PG_INT64_MAX;
	while (first < last)
	{
		int64		id = middle;

		CHECK_FOR_INTERRUPTS();
		if (sweep_stays(sweep, level, &id))
		{
			last = middle;
			sweep->bound = id;
		}
		else
		{
			first = Min(id + 1, last);
			overdue = true;
		}
		middle = first + (last - first) / 2;
	}
	return overdue;
}

/*
 * May the first job of a level from an id on stay, or is there none?  Has id be
 * its, or the highest.
 */
static bool
sweep_stays(JobSweep *sweep, const NvsLevel *level, int64 *id)
{
	NvsParams	params;
	Datum		row[2];
	bool		isnull[2];

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(sweep->queue->number),
				   false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(level->priority), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(*id), false);
	*id = PG_INT64_MAX;
	if (!nvs_execute_row(nvs_statement_plan(sweep->set->plans, &sweep_look,
											&params, NULL),
						 &params, false, CurrentMemoryContext, lengthof(row),
						 row, isnull))
		return true;
	*id = DatumGetInt64(row[0]);
	return isnull[1] || DatumGetBool(row[1]);
}

/* Find jobs, and lock them where they stand, as many as are wanted still. */
static void
sweep_find(JobSweep *sweep, const NvsStatement *statement,
		   const NvsLevel *level)
{
	NvsParams	params;

	sweep->n = 0;
	if (sweep->removed == sweep->wanted)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(sweep->queue->number),
				   false);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(sweep->wanted - sweep->removed), false);
	if (level != NULL)
	{
		nvs_params_add(&params, INT8OID, Int64GetDatum(sweep->bound), false);
		nvs_params_add(&params, INT4OID, Int32GetDatum(level->priority),
					   false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(level->settled), false);
	}
	(void) nvs_table_set_each_of(sweep->set, statement, &params, false,
								 sweep->wanted, sweep_keep, sweep);
}

/* Begin the parameters of a statement on the jobs that were found. */
static void
sweep_params(const JobSweep *sweep, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(sweep->queue->number),
				   false);
	nvs_params_add(params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, sweep->ids, NULL, sweep->n), false);
}

/* Leave out those that have ended, and then were given another turn. */
static void
sweep_recheck(JobSweep *sweep)
{
	NvsParams	params;

	if (sweep->n == 0)
		return;
	sweep_params(sweep, &params);
	sweep->n = 0;
	(void) nvs_table_set_each_of(sweep->set, &sweep_still_ended, &params,
								 false, sweep->wanted, sweep_keep, sweep);
}

/* Keep the id of a job. */
static void
sweep_keep(TupleTableSlot *slot, void *arg)
{
	JobSweep   *sweep = arg;
	bool		isnull;

	sweep->ids[sweep->n++] = slot_getattr(slot, 1, &isnull);
}

/* Delete the jobs that were found, by a statement, and what belongs to them. */
static void
sweep_delete(JobSweep *sweep, const NvsStatement *jobs)
{
	NvsParams	params;

	if (sweep->n == 0)
		return;
	sweep_params(sweep, &params);
	if (jobs != &sweep_delete_ready)
	{
		nvs_lanes_leave(sweep->set, sweep->queue, sweep->ids, sweep->n);
		(void) nvs_table_set_run(sweep->set, &sweep_delete_turns, &params);
		(void) nvs_table_set_run(sweep->set, &sweep_delete_runs, &params);
	}
	sweep->removed += nvs_table_set_run(sweep->set, jobs, &params);
	sweep_keep_gone(sweep);
	nvs_keys_forget(sweep->set, sweep->queue, sweep->ids, sweep->n);
}

/* Keep the ids of jobs that were deleted. */
static void
sweep_keep_gone(JobSweep *sweep)
{
	if (sweep->ngone + sweep->n > sweep->size)
	{
		Size		size = Max(2 * sweep->size, sweep->ngone + sweep->n);

		sweep->gone = sweep->gone == NULL ? palloc(sizeof(Datum) * size) :
			repalloc_huge(sweep->gone, sizeof(Datum) * size);
		sweep->size = size;
	}
	memcpy(sweep->gone + sweep->ngone, sweep->ids, sizeof(Datum) * sweep->n);
	sweep->ngone += sweep->n;
}
