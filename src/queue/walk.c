/*
 * queue/walk.c
 *	  Walks the jobs of a level that no run has.
 *
 * That is in the order of their ids, from where the last walk of this session
 * ended, the level's frontier.  Others take jobs at the same time: their rows
 * are locked, and passed over.
 *
 * Behind the frontier a job can become visible later, whose sender drew its id
 * before and commits after; and one can be handed back, by a fetch that is
 * rolled back.  So now and then a walk begins at the settled position instead,
 * below which there can be neither: all jobs up to it were visible, and had
 * runs that were committed.  A walk that found too little always does.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "position/position.h"
#include "queue/direct.h"

/* Jobs that are locked together where many before them wait in their lanes. */
#define MAX_BATCH		500

/* Settled is written down when it has moved by so much. */
#define SETTLED_STEP	10000

/* In SQL, the jobs of queue $1 and priority $2 behind $3 without a turn. */
#define OF_LEVEL \
	"j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.priority OPERATOR(pg_catalog.=) $2 " \
	"AND j.id OPERATOR(pg_catalog.>) $3 AND j.due_at IS NULL "

#define IN_ORDER	"ORDER BY j.queue, j.priority, j.id "

#define WALK(which) \
	"SELECT j.id, j.priority, 0, 0, j.data, j.created_at, j.lease, j.max_run, " \
	"j.flow " \
	"FROM {jobs} j WHERE " OF_LEVEL which IN_ORDER \
	"LIMIT $4 FOR NO KEY UPDATE OF j SKIP LOCKED"

/*
 * Up to $4 jobs of a level, locked.  Behind the frontier few are taken, and
 * those are found out when their runs are to begin.
 */
static const NvsStatement walk_all = {WALK("")};
static const NvsStatement walk_sweep = {WALK("AND " NVS_NOT_TAKEN " ")};
static const NvsStatement walk_sweep_lanes = {
	WALK("AND " NVS_NOT_TAKEN " AND " NVS_NO_TURN " ")
};

/* The first job of a level that has not been taken, locked or not. */
static const NvsStatement walk_first = {
	"SELECT j.id FROM {jobs} j WHERE " OF_LEVEL "AND " NVS_NOT_TAKEN " "
	IN_ORDER "LIMIT 1"
};
static const NvsStatement walk_first_lanes = {
	"SELECT j.id FROM {jobs} j WHERE " OF_LEVEL "AND " NVS_NOT_TAKEN " "
	"AND " NVS_NO_TURN " " IN_ORDER "LIMIT 1"
};

/*
 * Write $3 as the settled position of $1 and $2, and $4 as where to look for
 * leases from, unless somebody just does.  What is to come says nothing: the
 * clock was set back.
 */
static const NvsStatement walk_write_settled = {
	"UPDATE {job_levels} SET settled = $3, "
	"leases_from = CASE WHEN leases_from OPERATOR(pg_catalog.>) " NVS_NOW " "
	"THEN $4 ELSE GREATEST(leases_from, $4) END "
	"WHERE (queue, priority) OPERATOR(pg_catalog.=) ANY ("
	"SELECT l.queue, l.priority "
	"FROM {job_levels} l WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.priority OPERATOR(pg_catalog.=) $2 "
	"AND l.settled OPERATOR(pg_catalog.<) $3 FOR NO KEY UPDATE SKIP LOCKED)"
};

static void walk_settle(NvsFetch *fetch, NvsLevel *level);
static void walk_params(const NvsQueue *queue, const NvsLevel *level,
						int64 after, NvsParams *params);
static void walk_write(NvsFetch *fetch, NvsLevel *level);
static void walk_lock(NvsFetch *fetch, NvsLevel *level, int64 after,
					  bool sweep);
static void walk_take(NvsFetch *fetch, NvsLevel *level);

/*
 * Take jobs of a level: those without a turn, and turns of its priority.  What
 * others took from under us is made up for by what comes next.
 */
void
nvs_fetch_level(NvsFetch *fetch, NvsLevel *level)
{
	int64		began = nvs_uptime();
	bool		sweep;
	int64		after;
	int			waiting;

	/* Others may have come further, or know of jobs behind the frontier. */
	nvs_hint_load(fetch->queue, level);
	sweep = nvs_look_begins(fetch, level->sweep_at);
	after = fetch->frontier = level->frontier;
	fetch->behind = fetch->left_behind = false;
	fetch->spare = fetch->batch = 0;
	if (sweep)
	{
		walk_settle(fetch, level);
		after = level->settled;
	}

	/* On until there is enough, no more, or too much that cannot go. */
	do
	{
		CHECK_FOR_INTERRUPTS();
		walk_lock(fetch, level, after, sweep);
		if (fetch->fresh.n > 0)
			after = fetch->fresh.jobs[fetch->fresh.n - 1].run.id;
		waiting = fetch->waiting;
		walk_take(fetch, level);

		/* What was locked in vain comes next; of what waits, more at once. */
		if (fetch->spare > 0)
			after = fetch->spare - 1;
		fetch->batch = fetch->waiting == waiting ? 0 :
			Min(fetch->batch * 2, MAX_BATCH);
	} while (fetch->taken.n < fetch->wanted && fetch->walked > 0 &&
			 fetch->waiting + fetch->left < NVS_MAX_STAYING);

	/* Where one came up behind the frontier, there may be others. */
	if (sweep)
		level->sweep_at = fetch->behind ? began : nvs_look_ends(began);
	if (fetch->left_behind)
		level->sweep_at = 0;
	nvs_hint_save(fetch->queue, level, began);
}

/* Raise the settled position of a level, and write it down now and then. */
static void
walk_settle(NvsFetch *fetch, NvsLevel *level)
{
	nvs_level_settle(fetch->set, fetch->queue, level);
	if (level->settled - level->saved >= SETTLED_STEP)
		walk_write(fetch, level);
}

/*
 * Raise the settled position of a level: to before the first job that has not
 * been taken, locked or not, or to where everything can be seen.  What we have
 * taken ourselves may be rolled back.
 */
void
nvs_level_settle(NvsTableSet *set, const NvsQueue *queue, NvsLevel *level)
{
	NvsParams	params;
	int64		settled;
	Datum		first;

	if (IsolationUsesXactSnapshot() || !nvs_queue_shows_all(set))
		return;
	settled = nvs_position_safe(set->number);
	walk_params(queue, level, level->settled, &params);
	nvs_queue_push_others_snapshot();
	if (nvs_execute_first(nvs_statement_plan(set->plans, queue->has_lanes ?
											 &walk_first_lanes : &walk_first,
											 &params, NULL),
						  &params, true, CurrentMemoryContext, &first))
		settled = Min(settled, DatumGetInt64(first) - 1);
	PopActiveSnapshot();
	level->settled = Max(level->settled, settled);
	level->frontier = Max(level->frontier, level->settled);
}

/* Begin the parameters of a statement on the jobs of a level behind an id. */
static void
walk_params(const NvsQueue *queue, const NvsLevel *level, int64 after,
			NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(level->priority), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(after), false);
}

/* Write down from where on other sessions, later ones too, have to look. */
static void
walk_write(NvsFetch *fetch, NvsLevel *level)
{
	NvsParams	params;

	walk_params(fetch->queue, level, level->settled, &params);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(fetch->queue->lease_bound), false);
	(void) nvs_table_set_run(fetch->set, &walk_write_settled, &params);
	level->saved = level->settled;
}

/*
 * Lock jobs of a level behind an id, as many as are wanted, but those that
 * others have locked.  A sweep leaves those out that have been taken.
 */
static void
walk_lock(NvsFetch *fetch, NvsLevel *level, int64 after, bool sweep)
{
	const NvsStatement *statement = !sweep ? &walk_all :
		fetch->queue->has_lanes ? &walk_sweep_lanes : &walk_sweep;
	NvsParams	params;

	fetch->fresh.n = 0;
	fetch->adding = &fetch->fresh;
	fetch->batch = Max(fetch->batch, fetch->wanted - fetch->taken.n);
	if (!fetch->queue->has_lanes && nvs_direct_walk(fetch, level, after, sweep))
	{
		fetch->walked = fetch->fresh.n;
		return;
	}
	walk_params(fetch->queue, level, after, &params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(fetch->batch), false);
	fetch->walked = nvs_table_set_each(fetch->set, statement, &params, false,
									   nvs_fetched_add, fetch);
}

/* Take the oldest of the jobs of a level that were locked and its turns. */
static void
walk_take(NvsFetch *fetch, NvsLevel *level)
{
	NvsFetchedJobs picked = {NULL, 0, 0};
	int			nturns = 0;
	int			nfresh = 0;

	/* Both lists are in order; of turns only those of this level are taken. */
	while (picked.n < fetch->batch)
	{
		NvsFetchedJob *turn = nturns < fetch->turns.n ?
			&fetch->turns.jobs[nturns] : NULL;
		NvsFetchedJob *fresh = nfresh < fetch->fresh.n ?
			&fetch->fresh.jobs[nfresh] : NULL;

		if (turn != NULL && turn->run.priority != level->priority)
			turn = NULL;
		if (turn != NULL && (fresh == NULL || turn->run.id < fresh->run.id))
		{
			nvs_fetched_append(&picked, turn);
			nturns++;
		}
		else if (fresh != NULL)
		{
			/* If we are rolled back, it is there behind the frontier. */
			nvs_fetched_append(&picked, fresh);
			level->frontier = Max(level->frontier, fresh->run.id);
			fetch->behind |= fresh->run.id < fetch->frontier;
			nvs_hint_note(fetch->queue, level->priority, fresh->run.id, false);
			nfresh++;
		}
		else
			break;
	}

	/* What is locked and left was passed over by who looked meanwhile. */
	nvs_fetched_remove(&fetch->turns, nturns);
	fetch->nspare += fetch->fresh.n - nfresh;
	if (picked.n > 0)
		nvs_fetch_begin(fetch, &picked);
}
