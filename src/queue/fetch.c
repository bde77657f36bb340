/*
 * queue/fetch.c
 *	  Leases jobs to workers.
 *
 * Ready are the jobs of a level that no run has, and turns that are due; of
 * both, those of the highest priority are taken, and of these the oldest.
 *
 * Jobs of a level are walked in the order of their ids, from where the last
 * walk of this session ended, its frontier.  Others take jobs at the same time:
 * their rows are locked, and passed over.  With our own rows locked, a new
 * snapshot shows the runs of whoever had them before us, so no job is taken
 * twice, and none waits for another's transaction.
 *
 * Behind the frontier a job can become visible later, whose sender drew its id
 * before and commits after; and one can be handed back, by a fetch that is
 * rolled back.  So now and then a walk begins at the settled position instead,
 * below which there can be neither: all jobs up to it were visible, and had
 * runs that were committed.  A walk that found too little always does.
 *
 * Those who look for what is rare, jobs behind the frontier, turns, and leases
 * that have run out, may have to step over what is dead and cannot be removed
 * yet, because some old snapshot is still in use.  So each such look pauses for
 * a multiple of the time that it took, unless there is nothing else to do.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "position/position.h"
#include "queue/internal.h"

/*
 * Such a look is not taken again for so many times the time that it took, and
 * for so long, in us, at least.
 */
#define LOOK_PAUSE		20
#define MIN_LOOK_PAUSE	10000

/* Turns and leases that one fetch makes due, beyond twice its own. */
#define SPARE_DUE		64

/* Settled is written down when it has moved by so much. */
#define SETTLED_STEP	10000

/* A job that is to be leased, or was. */
typedef struct FetchedJob
{
	NvsRun		run;			/* the one that is to begin */
	bool		is_turn;
	Datum		data;			/* jsonb, in cxt of the fetch */
	bool		has_data;
	TimestampTz created_at;
	Interval   *lease;			/* NULL: the queue's */
	Interval   *max_run;		/* the same */
	TimestampTz lease_until;
	TimestampTz run_until;		/* 0: no limit */
} FetchedJob;

/* A list of jobs in the order in which they are to be taken. */
typedef struct FetchedJobs
{
	FetchedJob *jobs;
	int			n;
	int			size;
} FetchedJobs;

/* One call. */
typedef struct Fetch
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int			wanted;
	text	   *worker;			/* NULL: unnamed */
	MemoryContext cxt;
	TimestampTz began;
	bool		all;			/* look at everything, pauses or not */
	FetchedJobs taken;
	FetchedJobs turns;			/* due and locked, not taken yet */
	FetchedJobs fresh;			/* of one level, the same */
	FetchedJobs *adding;		/* that of both which is being made */
	uint64		walked;			/* jobs that the last walk found */
	int64		frontier;		/* where the level's was at first */
	bool		behind;			/* a job behind it was taken */
} Fetch;

/* Jobs whose runs are begun, in the order in which that is told of. */
typedef struct FetchBegun
{
	Fetch	   *fetch;
	FetchedJobs *jobs;
	int			next;
} FetchBegun;

/* Columns of a run that are an array's when many are begun. */
#define FETCH_RUN_COLUMNS	6

/* In SQL, that no run has job j; a join could be planned otherwise. */
#define NOT_TAKEN \
	"(SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id " \
	"LIMIT 1) IS NULL"

/* In SQL, the jobs of queue $1 and priority $2 behind $3 without a turn. */
#define OF_LEVEL \
	"j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.priority OPERATOR(pg_catalog.=) $2 " \
	"AND j.id OPERATOR(pg_catalog.>) $3 AND j.due_at IS NULL "

#define IN_ORDER	"ORDER BY j.queue, j.priority, j.id "

#define WALK(which) \
	"SELECT j.id, j.priority, 0, 0, j.data, j.created_at, j.lease, j.max_run " \
	"FROM {jobs} j WHERE " OF_LEVEL which IN_ORDER \
	"LIMIT $4 FOR NO KEY UPDATE OF j SKIP LOCKED"

/*
 * Up to $4 of these, locked.  Behind the frontier few are taken, and those are
 * found out when their runs are to begin.
 */
static const NvsStatement fetch_walk = {WALK("")};
static const NvsStatement fetch_sweep = {WALK("AND " NOT_TAKEN " ")};

/* The first of these, locked or not. */
static const NvsStatement fetch_first = {
	"SELECT j.id FROM {jobs} j WHERE " OF_LEVEL "AND " NOT_TAKEN " " IN_ORDER
	"LIMIT 1"
};

/* Up to $2 turns of queue $1 that are due, locked. */
static const NvsStatement fetch_turns = {
	"SELECT t.id, t.priority, t.attempt, t.retries, j.data, j.created_at, "
	"j.lease, j.max_run FROM {job_turns} t JOIN {jobs} j "
	"ON j.queue OPERATOR(pg_catalog.=) t.queue "
	"AND j.priority OPERATOR(pg_catalog.=) t.priority "
	"AND j.id OPERATOR(pg_catalog.=) t.id "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NULL "
	"ORDER BY t.queue, t.priority DESC, t.id "
	"LIMIT $2 FOR UPDATE OF t SKIP LOCKED"
};

/* $1 ids. */
static const NvsStatement fetch_end_turns = {
	"DELETE FROM {job_turns} "
	"WHERE id OPERATOR(pg_catalog.=) ANY ($1)"
};

/* Have up to $3 turns of queue $1 be due that are by $2. */
static const NvsStatement fetch_due = {
	"UPDATE {job_turns} SET due_at = NULL "
	"WHERE id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NOT NULL "
	"AND t.due_at OPERATOR(pg_catalog.<=) $2 "
	"ORDER BY t.queue, t.due_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED))"
};

/*
 * Begin runs: $1 queue, $2 worker, then of each its id, priority, attempt,
 * retries, and until when its lease and it may last; those that are taken are
 * left out.
 */
#define BEGIN_RUNS \
	"INSERT INTO {job_runs} (id, attempt, queue, priority, retries, " \
	"started_at, lease_until, run_until, worker) " \
	"SELECT j.id, j.attempt, $1, j.priority, j.retries, " NVS_NOW ", " \
	"j.lease_until, j.run_until, $2 FROM ROWS FROM (" \
	"pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), " \
	"pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8)) " \
	"j (id, priority, attempt, retries, lease_until, run_until) " \
	"WHERE j.attempt OPERATOR(pg_catalog.>) 1 OR " NOT_TAKEN " "

/* The same for one. */
#define BEGIN_RUN \
	"INSERT INTO {job_runs} (id, attempt, queue, priority, retries, " \
	"started_at, lease_until, run_until, worker) " \
	"SELECT $3, $5, $1, $4, $6, " NVS_NOW ", $7, $8, $2 " \
	"WHERE $5 OPERATOR(pg_catalog.>) 1 OR (SELECT r.id FROM {job_runs} r " \
	"WHERE r.id OPERATOR(pg_catalog.=) $3 LIMIT 1) IS NULL "

static const NvsStatement fetch_begin_runs = {
	BEGIN_RUNS "RETURNING id, attempt"
};
static const NvsStatement fetch_begin_run = {
	BEGIN_RUN "RETURNING id, attempt"
};

/*
 * The same where the snapshot of the transaction may not show a run: that is an
 * error for who can only try again, 40001.
 */
static const NvsStatement fetch_begin_runs_serial = {
	BEGIN_RUNS "ON CONFLICT DO NOTHING RETURNING id, attempt"
};
static const NvsStatement fetch_begin_run_serial = {
	BEGIN_RUN "ON CONFLICT DO NOTHING RETURNING id, attempt"
};

/*
 * Write $3 as the settled position of $1 and $2, and $4 as where to look for
 * leases from, unless somebody just does.
 */
static const NvsStatement fetch_write_settled = {
	"UPDATE {job_levels} SET settled = $3, "
	"leases_from = GREATEST(leases_from, $4) "
	"WHERE (queue, priority) OPERATOR(pg_catalog.=) ANY ("
	"SELECT l.queue, l.priority "
	"FROM {job_levels} l WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.priority OPERATOR(pg_catalog.=) $2 "
	"AND l.settled OPERATOR(pg_catalog.<) $3 FOR NO KEY UPDATE SKIP LOCKED)"
};

PG_FUNCTION_INFO_V1(nvs_queue_fetch);

static void fetch_run(void *arg);
static void fetch_rounds(Fetch *fetch);
static void fetch_round(Fetch *fetch);
static bool fetch_look_begins(const Fetch *fetch, TimestampTz at);
static TimestampTz fetch_look_ends(TimestampTz began);
static void fetch_make_due(Fetch *fetch);
static void fetch_expire(Fetch *fetch);
static void fetch_look_for_turns(Fetch *fetch);
static void fetch_level(Fetch *fetch, NvsLevel *level);
static void fetch_settle_level(Fetch *fetch, NvsLevel *level);
static void fetch_level_params(const Fetch *fetch, const NvsLevel *level,
							   int64 after, NvsParams *params);
static void fetch_walk_level(Fetch *fetch, NvsLevel *level, int64 after,
							 bool sweep);
static void fetch_write_level(Fetch *fetch, NvsLevel *level);
static void fetch_take_turns(Fetch *fetch, const NvsLevel *level);
static void fetch_merge(Fetch *fetch, NvsLevel *level);
static int	fetch_compare(const void *a, const void *b);
static void fetch_begin(Fetch *fetch, FetchedJobs *jobs);
static void fetch_delete_turns(Fetch *fetch, const FetchedJobs *jobs);
static void fetch_begin_params(const Fetch *fetch, const FetchedJobs *jobs,
							   NvsParams *params);
static void fetch_begin_params_one(const Fetch *fetch, const FetchedJob *job,
								   NvsParams *params);
static void fetch_keep_begun(TupleTableSlot *slot, void *arg);
static void fetch_add(TupleTableSlot *slot, void *arg);
static Interval *fetch_interval(Datum value, bool isnull);
static void fetch_append(FetchedJobs *jobs, const FetchedJob *job);
static void fetch_remove(FetchedJobs *jobs, int n);
static void fetch_set_times(const Fetch *fetch, FetchedJob *job);
static void fetch_put(const FetchedJob *job, Tuplestorestate *result,
					  TupleDesc desc);

/*
 * nvent.queue_fetch(queue, max_count, worker, store): a row for each job that
 * is leased, in the order in which they are to be run.
 */
Datum
nvs_queue_fetch(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsQueue   *queue;
	NvsTableSet *set;

	NVS_REQUIRE_ARG(1, "max_count");
	PreventCommandIfReadOnly("nvent.queue_fetch()");
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, 0, 3, NVS_USE_CHANGE, &queue);
	(void) nvs_queue_fetch_into(set, queue, PG_GETARG_INT32(1),
								PG_ARGISNULL(2) ? NULL :
								PG_GETARG_TEXT_PP(2), result, desc);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Lease up to max_count jobs of a queue to a worker, NULL for an unnamed one,
 * and put them into a result; returns how many.
 */
int
nvs_queue_fetch_into(NvsTableSet *set, NvsQueue *queue, int max_count,
					 text *worker, Tuplestorestate *result, TupleDesc desc)
{
	Fetch		fetch;
	int			i;

	if (max_count < 0 || max_count > NVS_MAX_JOBS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						NVS_MAX_JOBS),
				 errdetail("It is %d.", max_count)));
	memset(&fetch, 0, sizeof(fetch));
	fetch.set = set;
	fetch.queue = queue;
	fetch.wanted = max_count;
	fetch.worker = worker;
	fetch.cxt = CurrentMemoryContext;
	fetch.began = GetCurrentTimestamp();
	if (max_count > 0 && !queue->paused)
		nvs_call_by_index(fetch_run, &fetch);

	qsort(fetch.taken.jobs, fetch.taken.n, sizeof(FetchedJob), fetch_compare);
	for (i = 0; i < fetch.taken.n; i++)
		fetch_put(&fetch.taken.jobs[i], result, desc);
	return fetch.taken.n;
}

/* Take jobs, and give back the keys of those that begin. */
static void
fetch_run(void *arg)
{
	Fetch	   *fetch = arg;
	Datum	   *ids;
	int			i;

	fetch_rounds(fetch);
	if (fetch->queue->policy == NVS_POLICY_STANDARD)
		return;
	ids = palloc(sizeof(Datum) * Max(fetch->taken.n, 1));
	for (i = 0; i < fetch->taken.n; i++)
		ids[i] = Int64GetDatum(fetch->taken.jobs[i].run.id);
	nvs_keys_begun(fetch->set, fetch->queue, ids, fetch->taken.n);
}

/* Take jobs: first from where they are expected, then from everywhere. */
static void
fetch_rounds(Fetch *fetch)
{
	fetch_round(fetch);
	if (fetch->taken.n == fetch->wanted)
		return;
	fetch->all = true;
	fetch_round(fetch);
}

/* Take what is wanted still, the highest priority first. */
static void
fetch_round(Fetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	int			i;

	fetch_make_due(fetch);
	fetch_expire(fetch);
	fetch_look_for_turns(fetch);
	for (i = 0; i < queue->nlevels && fetch->taken.n < fetch->wanted; i++)
	{
		fetch_take_turns(fetch, &queue->levels[i]);
		fetch_level(fetch, &queue->levels[i]);
	}
	fetch_take_turns(fetch, NULL);
}

/* Is it time for a look that pauses until then? */
static bool
fetch_look_begins(const Fetch *fetch, TimestampTz at)
{
	return fetch->all || GetCurrentTimestamp() >= at;
}

/* When the next look may begin, of which one has just ended. */
static TimestampTz
fetch_look_ends(TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	return now + Max((now - began) * LOOK_PAUSE, MIN_LOOK_PAUSE);
}

/* Have turns be due whose time has come. */
static void
fetch_make_due(Fetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	TimestampTz now = GetCurrentTimestamp();
	NvsParams	params;

	if (!fetch_look_begins(fetch, queue->due_at))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(2 * (int64) fetch->wanted + SPARE_DUE),
				   false);
	(void) nvs_table_set_run(fetch->set, &fetch_due, &params);
	queue->due_at = fetch_look_ends(now);
}

/*
 * End runs whose leases have run out, and see what becomes of their jobs; but
 * not those that this call has begun, however long it takes.
 */
static void
fetch_expire(Fetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	TimestampTz now = GetCurrentTimestamp();

	if (!fetch_look_begins(fetch, queue->expire_at))
		return;
	nvs_queue_expire(fetch->set, queue, fetch->began,
					 2 * (int64) fetch->wanted + SPARE_DUE);
	queue->expire_at = fetch_look_ends(now);
}

/* Lock the turns that are due and come first. */
static void
fetch_look_for_turns(Fetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	TimestampTz began = GetCurrentTimestamp();
	NvsParams	params;

	fetch->turns.n = 0;
	if (!fetch_look_begins(fetch, queue->turns_at))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(fetch->wanted - fetch->taken.n), false);
	fetch->adding = &fetch->turns;
	(void) nvs_execute_each(nvs_statement_plan(fetch->set->plans,
											   &fetch_turns, &params, NULL),
							&params, false, fetch_add, fetch);
	queue->turns_at = fetch_look_ends(began);
}

/*
 * Take jobs of a level: those without a turn, and turns of its priority.  What
 * others took from under us is made up for by what comes next.
 */
static void
fetch_level(Fetch *fetch, NvsLevel *level)
{
	TimestampTz began = GetCurrentTimestamp();
	bool		sweep;
	int64		after;

	nvs_hint_load(fetch->queue, level);
	sweep = fetch_look_begins(fetch, level->sweep_at);
	after = fetch->frontier = level->frontier;
	fetch->behind = false;
	if (sweep)
	{
		fetch_settle_level(fetch, level);
		after = level->settled;
	}
	do
	{
		CHECK_FOR_INTERRUPTS();
		fetch_walk_level(fetch, level, after, sweep);
		if (fetch->fresh.n > 0)
			after = fetch->fresh.jobs[fetch->fresh.n - 1].run.id;
		fetch_merge(fetch, level);
	} while (fetch->taken.n < fetch->wanted && fetch->walked > 0);

	/* Where one came up behind the frontier, there may be others. */
	if (sweep)
		level->sweep_at = fetch->behind ? began : fetch_look_ends(began);
	nvs_hint_save(fetch->queue, level, began);
}

/*
 * Raise the settled position of a level: to before the first job that has not
 * been taken, locked or not, or to where everything can be seen.  What we have
 * taken ourselves may be rolled back.
 */
static void
fetch_settle_level(Fetch *fetch, NvsLevel *level)
{
	NvsParams	params;
	int64		settled;
	Datum		first;

	if (IsolationUsesXactSnapshot() || !nvs_queue_shows_all(fetch->set))
		return;
	settled = nvs_position_safe(fetch->set->number);
	fetch_level_params(fetch, level, level->settled, &params);
	nvs_queue_push_others_snapshot();
	if (nvs_execute_first(nvs_statement_plan(fetch->set->plans, &fetch_first,
											 &params, NULL),
						  &params, true, fetch->cxt, &first))
		settled = Min(settled, DatumGetInt64(first) - 1);
	PopActiveSnapshot();
	level->settled = Max(level->settled, settled);
	level->frontier = Max(level->frontier, level->settled);
	if (level->settled - level->saved >= SETTLED_STEP)
		fetch_write_level(fetch, level);
}

/* Begin the parameters of a statement on the jobs of a level behind an id. */
static void
fetch_level_params(const Fetch *fetch, const NvsLevel *level, int64 after,
				   NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(fetch->queue->number),
				   false);
	nvs_params_add(params, INT4OID, Int32GetDatum(level->priority), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(after), false);
}

/* Write down from where on other sessions, later ones too, have to look. */
static void
fetch_write_level(Fetch *fetch, NvsLevel *level)
{
	NvsParams	params;

	fetch_level_params(fetch, level, level->settled, &params);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(fetch->queue->lease_bound), false);
	(void) nvs_table_set_run(fetch->set, &fetch_write_settled, &params);
	level->saved = level->settled;
}

/*
 * Lock jobs of a level behind an id, as many as are wanted, but those that
 * others have locked.  A sweep leaves those out that have been taken.
 */
static void
fetch_walk_level(Fetch *fetch, NvsLevel *level, int64 after, bool sweep)
{
	const NvsStatement *statement = sweep ? &fetch_sweep : &fetch_walk;
	NvsParams	params;

	fetch_level_params(fetch, level, after, &params);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(fetch->wanted - fetch->taken.n), false);
	fetch->fresh.n = 0;
	fetch->adding = &fetch->fresh;
	fetch->walked = nvs_execute_each(nvs_statement_plan(fetch->set->plans,
														statement, &params,
														NULL),
									 &params, false, fetch_add, fetch);
}

/* Add a job that was locked, a turn or not, to the list that is being made. */
static void
fetch_add(TupleTableSlot *slot, void *arg)
{
	Fetch	   *fetch = arg;
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	FetchedJob	job;
	bool	   *isnull;

	slot_getallattrs(slot);
	isnull = slot->tts_isnull;
	memset(&job, 0, sizeof(job));
	job.is_turn = fetch->adding == &fetch->turns;
	job.run.id = DatumGetInt64(slot->tts_values[0]);
	job.run.priority = DatumGetInt32(slot->tts_values[1]);
	job.run.attempt = DatumGetInt32(slot->tts_values[2]) + 1;
	job.run.retries = DatumGetInt32(slot->tts_values[3]);
	job.has_data = !isnull[4];
	if (job.has_data)
		job.data = datumCopy(slot->tts_values[4], false, -1);
	job.created_at = DatumGetTimestampTz(slot->tts_values[5]);
	job.lease = fetch_interval(slot->tts_values[6], isnull[6]);
	job.max_run = fetch_interval(slot->tts_values[7], isnull[7]);
	fetch_append(fetch->adding, &job);
	MemoryContextSwitchTo(old);
}

/* A copy of an interval; NULL for NULL. */
static Interval *
fetch_interval(Datum value, bool isnull)
{
	Interval   *copy;

	if (isnull)
		return NULL;
	copy = palloc(sizeof(Interval));
	*copy = *DatumGetIntervalP(value);
	return copy;
}

/* Append a job to a list, which grows in the current memory context. */
static void
fetch_append(FetchedJobs *jobs, const FetchedJob *job)
{
	if (jobs->n == jobs->size)
	{
		jobs->size = Max(jobs->size * 2, 16);
		jobs->jobs = jobs->jobs == NULL ?
			palloc(sizeof(FetchedJob) * jobs->size) :
			repalloc(jobs->jobs, sizeof(FetchedJob) * jobs->size);
	}
	jobs->jobs[jobs->n++] = *job;
}

/* Remove the first n jobs from a list. */
static void
fetch_remove(FetchedJobs *jobs, int n)
{
	jobs->n -= n;
	memmove(jobs->jobs, jobs->jobs + n, sizeof(FetchedJob) * jobs->n);
}

/* Take the turns that come before a level; for NULL all that are left. */
static void
fetch_take_turns(Fetch *fetch, const NvsLevel *level)
{
	FetchedJobs picked = {NULL, 0, 0};
	int			n = 0;

	while (n < fetch->turns.n && fetch->taken.n + n < fetch->wanted &&
		   (level == NULL ||
			fetch->turns.jobs[n].run.priority > level->priority))
		fetch_append(&picked, &fetch->turns.jobs[n++]);
	if (n == 0)
		return;
	fetch_remove(&fetch->turns, n);
	fetch_begin(fetch, &picked);
}

/* Take the oldest of the jobs of a level that were locked and its turns. */
static void
fetch_merge(Fetch *fetch, NvsLevel *level)
{
	FetchedJobs picked = {NULL, 0, 0};
	int			nturns = 0;
	int			nfresh = 0;

	while (fetch->taken.n + picked.n < fetch->wanted)
	{
		FetchedJob *turn = nturns < fetch->turns.n ?
			&fetch->turns.jobs[nturns] : NULL;
		FetchedJob *fresh = nfresh < fetch->fresh.n ?
			&fetch->fresh.jobs[nfresh] : NULL;

		if (turn != NULL && turn->run.priority != level->priority)
			turn = NULL;
		if (turn != NULL && (fresh == NULL || turn->run.id < fresh->run.id))
		{
			fetch_append(&picked, turn);
			nturns++;
		}
		else if (fresh != NULL)
		{
			fetch_append(&picked, fresh);
			level->frontier = Max(level->frontier, fresh->run.id);
			fetch->behind |= fresh->run.id < fetch->frontier;
			nvs_hint_note(fetch->queue, level->priority, fresh->run.id, false);
			nfresh++;
		}
		else
			break;
	}
	fetch_remove(&fetch->turns, nturns);
	if (picked.n > 0)
		fetch_begin(fetch, &picked);
}

/* Begin runs of jobs that are locked; those that were taken are left out. */
static void
fetch_begin(Fetch *fetch, FetchedJobs *jobs)
{
	bool		serial = IsolationUsesXactSnapshot();
	const NvsStatement *statement;
	NvsParams	params;
	FetchBegun	begun = {fetch, jobs, 0};
	int			i;

	for (i = 0; i < jobs->n; i++)
		fetch_set_times(fetch, &jobs->jobs[i]);
	fetch_delete_turns(fetch, jobs);
	if (jobs->n == 1)
	{
		statement = serial ? &fetch_begin_run_serial : &fetch_begin_run;
		fetch_begin_params_one(fetch, jobs->jobs, &params);
	}
	else
	{
		statement = serial ? &fetch_begin_runs_serial : &fetch_begin_runs;
		fetch_begin_params(fetch, jobs, &params);
	}
	(void) nvs_execute_each(nvs_statement_plan(fetch->set->plans, statement,
											   &params, NULL),
							&params, false, fetch_keep_begun, &begun);
}

/* Until when a run that begins now has its lease, and may last. */
static void
fetch_set_times(const Fetch *fetch, FetchedJob *job)
{
	const NvsQueue *queue = fetch->queue;
	TimestampTz now = GetCurrentTimestamp();
	const Interval *max_run = job->max_run != NULL ? job->max_run :
		queue->max_run;

	job->lease_until = nvs_after(now, job->lease != NULL ? job->lease :
								 &queue->lease);
	if (max_run == NULL)
		return;
	job->run_until = nvs_after(now, max_run);
	job->lease_until = Min(job->lease_until, job->run_until);
}

/* Delete the turns that are among jobs whose runs begin. */
static void
fetch_delete_turns(Fetch *fetch, const FetchedJobs *jobs)
{
	Datum	   *ids = palloc(sizeof(Datum) * jobs->n);
	NvsParams	params;
	int			n = 0;
	int			i;

	for (i = 0; i < jobs->n; i++)
		if (jobs->jobs[i].is_turn)
			ids[n++] = Int64GetDatum(jobs->jobs[i].run.id);
	if (n == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, ids, NULL, n), false);
	(void) nvs_table_set_run(fetch->set, &fetch_end_turns, &params);
}

/* The parameters that begin one run. */
static void
fetch_begin_params_one(const Fetch *fetch, const FetchedJob *job,
					   NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(fetch->queue->number),
				   false);
	nvs_params_add(params, TEXTOID, PointerGetDatum(fetch->worker),
				   fetch->worker == NULL);
	nvs_params_add(params, INT8OID, Int64GetDatum(job->run.id), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(job->run.priority), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(job->run.attempt), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(job->run.retries), false);
	nvs_params_add(params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(job->lease_until), false);
	nvs_params_add(params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(job->run_until), job->run_until == 0);
}

/* The parameters that begin many runs. */
static void
fetch_begin_params(const Fetch *fetch, const FetchedJobs *jobs,
				   NvsParams *params)
{
	static const Oid types[FETCH_RUN_COLUMNS] = {
		INT8OID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID
	};
	Datum	   *values[FETCH_RUN_COLUMNS];
	bool	   *nulls = palloc0(sizeof(bool) * jobs->n);
	int			i;
	int			k;

	for (k = 0; k < FETCH_RUN_COLUMNS; k++)
		values[k] = palloc(sizeof(Datum) * jobs->n);
	for (i = 0; i < jobs->n; i++)
	{
		const FetchedJob *job = &jobs->jobs[i];

		values[0][i] = Int64GetDatum(job->run.id);
		values[1][i] = Int32GetDatum(job->run.priority);
		values[2][i] = Int32GetDatum(job->run.attempt);
		values[3][i] = Int32GetDatum(job->run.retries);
		values[4][i] = TimestampTzGetDatum(job->lease_until);
		values[5][i] = TimestampTzGetDatum(job->run_until);
		nulls[i] = job->run_until == 0;
	}
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(fetch->queue->number),
				   false);
	nvs_params_add(params, TEXTOID, PointerGetDatum(fetch->worker),
				   fetch->worker == NULL);
	for (k = 0; k < FETCH_RUN_COLUMNS; k++)
		nvs_params_add(params, get_array_type(types[k]),
					   nvs_array_of(types[k], values[k],
									k == FETCH_RUN_COLUMNS - 1 ? nulls : NULL,
									jobs->n),
					   false);
}

/*
 * A run has begun: its job is taken.  Those of one call come in their order.  A
 * job may be among them twice, as one of its level that was taken before, and
 * as a turn.
 */
static void
fetch_keep_begun(TupleTableSlot *slot, void *arg)
{
	FetchBegun *begun = arg;
	MemoryContext old = MemoryContextSwitchTo(begun->fetch->cxt);
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	int32		attempt = DatumGetInt32(slot_getattr(slot, 2, &isnull));

	while (begun->next < begun->jobs->n)
	{
		const FetchedJob *job = &begun->jobs->jobs[begun->next++];

		if (job->run.id == id && job->run.attempt == attempt)
		{
			fetch_append(&begun->fetch->taken, job);
			break;
		}
	}
	MemoryContextSwitchTo(old);
}

/* qsort() comparator: the highest priority first, and the oldest of one. */
static int
fetch_compare(const void *a, const void *b)
{
	const NvsRun *x = &((const FetchedJob *) a)->run;
	const NvsRun *y = &((const FetchedJob *) b)->run;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
}

/* Put a job that was taken into the result. */
static void
fetch_put(const FetchedJob *job, Tuplestorestate *result, TupleDesc desc)
{
	Datum		values[7];
	bool		isnull[7] = {false};

	values[0] = Int64GetDatum(job->run.id);
	values[1] = Int32GetDatum(job->run.attempt);
	values[2] = job->data;
	isnull[2] = !job->has_data;
	values[3] = Int32GetDatum(job->run.priority);
	values[4] = Int32GetDatum(job->run.retries);
	values[5] = TimestampTzGetDatum(job->created_at);
	values[6] = TimestampTzGetDatum(job->lease_until);
	tuplestore_putvalues(result, desc, values, isnull);
}
