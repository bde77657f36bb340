/*
 * queue/update.c
 *	  Changes jobs that are queued, by id or key, or sends one.
 *
 * A job that has begun stays as it is: who has it has read it.  So a job is
 * changed with its turn or its row locked, as by who fetches it, and when no
 * run has it then.
 *
 * One that is ready in its level is changed in its place, where the next walk
 * finds it; but with another priority or time it gets a turn.  There it might
 * be behind the settled position of its new level, where nobody looks.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/advisory.h"
#include "base/subtransaction.h"
#include "queue/control.h"
#include "queue/job.h"
#include "queue/lane.h"
#include "route/route.h"
#include "wakeup/jobs.h"

/* What both functions say of a job, from argument data on. */
enum
{
	SAID_DATA,
	SAID_PRIORITY,
	SAID_KEY,
	SAID_START_AFTER,
	SAID_START_AT,
	SAID_LEASE,
	SAID_MAX_RUN,
	SAID_RETRY_LIMIT,
	SAID_RETRY_DELAY,
	SAID_RETRY_BACKOFF,
	SAID_RETRY_DELAY_MAX,
	SAID_DEAD_LETTER,
	SAID_GROUP,
	SAID
};

/* Arguments of queue_update(). */
enum
{
	UPDATE_QUEUE,
	UPDATE_ID,
	UPDATE_DATA,
	UPDATE_KEY = UPDATE_DATA + SAID_KEY,
	UPDATE_MERGE = UPDATE_DATA + SAID,
	UPDATE_MATCH,
	UPDATE_STORE
};

/* Arguments of queue_upsert(). */
enum
{
	UPSERT_QUEUE,
	UPSERT_DATA,
	UPSERT_KEY = UPSERT_DATA + SAID_KEY,
	UPSERT_MERGE = UPSERT_DATA + SAID,
	UPSERT_STORE
};

/* In SQL, what belongs to job $2 of queue $1. */
#define OF_JOB(alias) \
	alias ".id OPERATOR(pg_catalog.=) $2 " \
	"AND " NVS_IN_QUEUE(alias, "1")

/* In SQL, that no run has job j. */
#define NOT_TAKEN(id) \
	"(SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) " id \
	" LIMIT 1) IS NULL "

static const NvsStatement update_lock_turn = {
	"SELECT t.priority, t.lane FROM {job_turns} t WHERE " OF_JOB("t") " FOR UPDATE"
};
static const NvsStatement update_has_turn = {
	"SELECT t.priority FROM {job_turns} t WHERE " OF_JOB("t")
};

/*
 * The row of a job that has a turn of priority $3.  FOR UPDATE is for fetches,
 * which lock the row in KEY SHARE mode: they take the new version of one whose
 * key may have changed, as that lock has it be marked, even though no column of
 * a key does.  With FOR NO KEY UPDATE they would lock the version that their
 * snapshot shows, and hand out the data of before (queue/fetch.c).
 */
static const NvsStatement update_lock_job = {
	"SELECT j.priority FROM "
	NVS_JOB_AT("(SELECT $3)", "$2", "FOR UPDATE")
};

/*
 * The row of a job that is ready: it may have a priority that is newer than
 * what we know.
 */
static const NvsStatement update_lock_ready_job = {
	"SELECT j.priority FROM "
	NVS_JOB_AT(NVS_ALL_PRIORITIES, "$2", "AND p.due_at IS NULL FOR UPDATE")
};

/*
 * Once the row of a job is locked: a row if no run has job $2, nor a turn,
 * which whoever had the row before may have given it.
 */
static const NvsStatement update_not_taken = {
	"SELECT $1 WHERE " NOT_TAKEN("$2")
	"AND (SELECT t.id FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) $2) IS NULL"
};

/*
 * Has no run job $2 of queue $1 and priority $3, where the snapshot of the
 * transaction may not show one?  A run of our own, which goes again, fails with
 * 40001 then.
 */
static const NvsStatement update_claim = {
	"INSERT INTO {job_runs} (queue, id, priority, attempt, outcome) "
	"SELECT $1, $2, $3, 1, '" NVS_RUN_CANCELLED "' WHERE " NOT_TAKEN("$2")
	"ON CONFLICT DO NOTHING"
};
static const NvsStatement update_unclaim = {
	"DELETE FROM {job_runs} r WHERE " OF_JOB("r")
};

/* $3 priority. */
static const NvsStatement update_runs = {
	"UPDATE {job_runs} r SET priority = $3 WHERE " OF_JOB("r")
	" AND r.priority OPERATOR(pg_catalog.<>) $3"
};

/*
 * $3 priority or none, $4 whether the time is another, $5 it, or none, $6
 * whether it is to leave its lane.  What has a time does not wait in one: a
 * fetch has it do so, if it must.
 */
static const NvsStatement update_turn = {
	"UPDATE {job_turns} t SET priority = COALESCE($3, t.priority), "
	"due_at = CASE WHEN $4 THEN $5 WHEN $6 THEN NULL ELSE t.due_at END, "
	"lane = CASE WHEN $4 OR $6 THEN NULL ELSE t.lane END WHERE " OF_JOB("t")
};

/*
 * $3 priority, $4 data, $5 whether to merge it, $6 when it is due if it has a
 * turn, $7 another priority; the options that follow stay where they are NULL.
 */
static const NvsStatement update_job = {
	"UPDATE {jobs} j SET data = CASE WHEN $4 IS NULL THEN j.data WHEN $5 "
	"THEN nvent.jsonb_merge_patch(COALESCE(j.data, '{}'::pg_catalog.jsonb), "
	"$4) ELSE $4 END, "
	"due_at = COALESCE($6, j.due_at), "
	"priority = COALESCE($7, j.priority), "
	"lease = COALESCE($8, j.lease), "
	"max_run = COALESCE($9, j.max_run), "
	"retry_limit = COALESCE($10, j.retry_limit), "
	"retry_delay = COALESCE($11, j.retry_delay), "
	"retry_backoff = COALESCE($12, j.retry_backoff), "
	"retry_delay_max = COALESCE($13, j.retry_delay_max), "
	"dead_letter = COALESCE($14, j.dead_letter), "
	"group_name = COALESCE($15, j.group_name) "
	"WHERE " NVS_THIS_JOB("j")
};

/* In SQL, jobs of key $2 of queue $1 that are queued, up to $3 of them. */
#define QUEUED(order) \
	"SELECT j.id FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.key OPERATOR(pg_catalog.=) $2 AND ((SELECT t.id " \
	"FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id LIMIT 1) " \
	"IS NOT NULL OR (j.due_at IS NULL AND " NOT_TAKEN("j.id") ")) " \
	order " LIMIT $3"

static const NvsStatement update_oldest = {
	QUEUED("ORDER BY j.queue, j.key, j.id")
};
static const NvsStatement update_newest = {
	QUEUED("ORDER BY j.queue DESC, j.key DESC, j.id DESC")
};

/* A call. */
typedef struct Update
{
	NvsTableSet *set;
	NvsQueue   *queue;
	NvsNewJob	job;			/* what is to change */
	bool		merge;			/* its data */
	bool		moves;			/* its priority or time is among that */
	bool		by_key;
	int64		id;				/* unless that */
	const NvsStatement *match;
	bool		all;			/* of those that match */
	int64	   *ids;			/* of those that were found, or changed */
	int			n;
	int			size;
	MemoryContext cxt;
} Update;

/* A job whose row is to be locked. */
typedef struct UpdateReady
{
	const Update *update;
	int64		id;
	Datum		priority;
} UpdateReady;

PG_FUNCTION_INFO_V1(nvs_queue_update);
PG_FUNCTION_INFO_V1(nvs_queue_upsert);

static void update_read_said(Update *update, FunctionCallInfo fcinfo,
							 int first);
static void update_read_match(Update *update, FunctionCallInfo fcinfo);
static void update_run(Update *update);
static void update_try_again(const Update *update, int64 id, int *tries);
static void update_find(Update *update, bool latest);
static void update_found(TupleTableSlot *slot, void *arg);
static void update_keep(Update *update, int64 id);
static int	update_compare(const void *a, const void *b);
static bool update_job_of(const Update *update, int64 id);
static bool update_try(const Update *update, int64 id, bool *has_turn);
static bool update_lock_row(UpdateReady *ready, const Datum *turn);
static bool update_lock_ready(void *arg);
static bool update_is_free(const Update *update, int64 id, Datum priority);
static bool update_leaves_lane(const Update *update, Datum lane);
static void update_change(const Update *update, int64 id, Datum priority,
						  bool has_turn, bool leaves);
static void update_give_turn(const Update *update, int64 id, Datum priority);
static void update_change_turn(const Update *update, int64 id, bool leaves);
static void update_leave_places(const Update *update, int64 id);
static void update_change_row(const Update *update, int64 id,
							  Datum priority, bool has_turn);
static void update_params(const Update *update, int64 id,
						  NvsParams *params);
static void update_add_option(NvsParams *params, const NvsNewJob *job,
							  NvsJobOption option, Oid type);
static void upsert_run(Update *update);
static void upsert_lock(const Update *update);

/*
 * nvent.queue_update(queue, id, ..., key, ..., match, store): the ids of the
 * jobs that were changed.
 */
Datum
nvs_queue_update(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	Update		update;

	memset(&update, 0, sizeof(update));
	PreventCommandIfReadOnly("nvent.queue_update()");
	if (PG_ARGISNULL(UPDATE_ID) == PG_ARGISNULL(UPDATE_KEY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("either \"id\" or \"key\" must be there")));

	/* Which jobs are meant, and what is to be said of them. */
	if (!PG_ARGISNULL(UPDATE_ID))
		update.id = PG_GETARG_INT64(UPDATE_ID);
	update.by_key = PG_ARGISNULL(UPDATE_ID);
	NVS_REQUIRE_ARG(UPDATE_MERGE, "merge");
	update.merge = PG_GETARG_BOOL(UPDATE_MERGE);
	update_read_match(&update, fcinfo);
	update_read_said(&update, fcinfo, UPDATE_DATA);

	/* A new priority has its level before anything is locked. */
	update.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	update.set = nvs_queue_open(fcinfo, UPDATE_QUEUE, UPDATE_STORE,
								NVS_USE_CHANGE, &update.queue);
	nvs_jobs_check(update.set, update.queue, &update.job, 1);
	update_run(&update);
	nvs_spi_end();
	nvs_result_put_ids(result, desc, update.ids, update.n);
	return (Datum) 0;
}

/*
 * Take what arguments say of the job, from data on, which is argument first;
 * it points to these.  NULL leaves what it stands for as it is.
 */
static void
update_read_said(Update *update, FunctionCallInfo fcinfo, int first)
{
	static const struct
	{
		int			arg;
		NvsJobOption option;
	}			options[] = {
		{SAID_PRIORITY, NVS_JOB_PRIORITY},
		{SAID_KEY, NVS_JOB_KEY},
		{SAID_START_AT, NVS_JOB_DUE_AT},
		{SAID_LEASE, NVS_JOB_LEASE},
		{SAID_MAX_RUN, NVS_JOB_MAX_RUN},
		{SAID_RETRY_LIMIT, NVS_JOB_RETRY_LIMIT},
		{SAID_RETRY_DELAY, NVS_JOB_RETRY_DELAY},
		{SAID_RETRY_BACKOFF, NVS_JOB_RETRY_BACKOFF},
		{SAID_RETRY_DELAY_MAX, NVS_JOB_RETRY_DELAY_MAX},
		{SAID_DEAD_LETTER, NVS_JOB_DEAD_LETTER},
		{SAID_GROUP, NVS_JOB_GROUP}
	};
	NvsNewJob  *job = &update->job;
	int			i;

	nvs_job_init(job);
	job->has_data = !PG_ARGISNULL(first + SAID_DATA);
	if (job->has_data)
		job->data = PG_GETARG_DATUM(first + SAID_DATA);

	/* Two ways to say when it is to start. */
	if (!PG_ARGISNULL(first + SAID_START_AFTER) &&
		!PG_ARGISNULL(first + SAID_START_AT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"start_after\" and \"start_at\" exclude "
						"each other")));
	if (!PG_ARGISNULL(first + SAID_START_AFTER))
		nvs_job_start_after(job,
							PG_GETARG_INTERVAL_P(first + SAID_START_AFTER));

	/* The rest is what arguments are. */
	for (i = 0; i < lengthof(options); i++)
		if (!PG_ARGISNULL(first + options[i].arg))
			nvs_job_set(job, options[i].option,
						PG_GETARG_DATUM(first + options[i].arg));

	/* With another priority or time it cannot stay where it is. */
	update->moves = !job->isnull[NVS_JOB_PRIORITY] ||
		!job->isnull[NVS_JOB_DUE_AT];
}

/* Take which of the jobs of a key are meant. */
static void
update_read_match(Update *update, FunctionCallInfo fcinfo)
{
	char	   *match;

	NVS_REQUIRE_ARG(UPDATE_MATCH, "match");
	match = text_to_cstring(PG_GETARG_TEXT_PP(UPDATE_MATCH));
	update->all = strcmp(match, "all") == 0;
	update->match = strcmp(match, "newest") == 0 ? &update_newest :
		&update_oldest;
	if (!update->all && update->match == &update_oldest &&
		strcmp(match, "oldest") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized match \"%s\"", match),
				 errhint("Use newest, oldest or all.")));
}

/*
 * Change the jobs that are meant.  Where the newest or the oldest one of a key
 * has begun or is gone meanwhile, another one is.
 */
static void
update_run(Update *update)
{
	int			tries = 0;
	int			kept = 0;
	int			found;
	int			i;

	for (;;)
	{
		if (update->by_key)
			update_find(update, false);
		else
			update_keep(update, update->id);
		found = update->n;
		kept = 0;
		for (i = 0; i < found; i++)
			if (update_job_of(update, update->ids[i]))
				update->ids[kept++] = update->ids[i];
		update->n = kept;
		if (!update->by_key || update->all || found == 0 || kept > 0)
			return;
		update_try_again(update, update->ids[0], &tries);
	}
}

/*
 * A job could be changed, as we saw it, but not when we wanted its rows: others
 * have moved it, or it is kept from that.
 */
static void
update_try_again(const Update *update, int64 id, int *tries)
{
	CHECK_FOR_INTERRUPTS();
	if (++*tries == NVS_CONTROL_TRIES)
		nvs_job_kept(update->set, update->queue, id, "changed");
}

/*
 * Find the jobs of the key that are queued, as many as are meant, as the
 * transaction sees them, or as they are now.
 */
static void
update_find(Update *update, bool latest)
{
	NvsParams	params;

	update->n = 0;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(update->queue->number),
				   false);
	nvs_params_add(&params, TEXTOID, update->job.options[NVS_JOB_KEY], false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(1), update->all);
	nvs_table_set_lock_all(update->set);
	if (latest)
		PushActiveSnapshot(GetLatestSnapshot());
	(void) nvs_table_set_each(update->set, update->match, &params, latest,
							  update_found, update);
	if (latest)
		PopActiveSnapshot();
	if (update->n > 1)
		qsort(update->ids, update->n, sizeof(int64), update_compare);
}

/* A job was found. */
static void
update_found(TupleTableSlot *slot, void *arg)
{
	bool		isnull;

	update_keep(arg, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
}

/* Keep the id of a job. */
static void
update_keep(Update *update, int64 id)
{
	if (update->n == update->size)
	{
		Size		size = Max(update->size * 2, 16);

		update->ids = update->ids == NULL ?
			MemoryContextAlloc(update->cxt, sizeof(int64) * size) :
			repalloc_huge(update->ids, sizeof(int64) * size);
		update->size = size;
	}
	update->ids[update->n++] = id;
}

/* qsort() comparator: ids ascend. */
static int
update_compare(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/*
 * Change a job that is queued; false when it is not.  Who waited for another
 * transaction, only to find that the job has a turn by now, looks again.
 */
static bool
update_job_of(const Update *update, int64 id)
{
	NvsParams	params;
	int			tries = 0;
	Datum		found;
	bool		has_turn;

	update_params(update, id, &params);
	while (!update_try(update, id, &has_turn))
	{
		/* Its turn is ours: the job is not there, or is hidden from us. */
		if (has_turn)
			return false;
		if (!nvs_execute_first(nvs_statement_plan(update->set->plans,
												  &update_has_turn, &params,
												  NULL),
							   &params, false, CurrentMemoryContext, &found))
			return false;
		update_try_again(update, id, &tries);
	}
	return true;
}

/*
 * Lock a job, and change it if it has a turn, or is ready.  *has_turn tells
 * whether it has one, which is locked then.  Its row is let go again where it
 * is neither: whoever has what belongs to it by now may want it.
 */
static bool
update_try(const Update *update, int64 id, bool *has_turn)
{
	const NvsTableSet *set = update->set;
	UpdateReady ready = {update, id};
	NvsParams	params;
	Datum		turn[2];
	bool		isnull[2];
	bool		leaves;

	update_params(update, id, &params);
	*has_turn = nvs_execute_row(nvs_statement_plan(set->plans,
												   &update_lock_turn, &params,
												   NULL),
								&params, false, CurrentMemoryContext, 2, turn,
								isnull);
	if (*has_turn ? !update_lock_row(&ready, turn) :
		!nvs_subtransaction(update_lock_ready, &ready))
		return false;
	leaves = *has_turn && !isnull[1] && update_leaves_lane(update, turn[1]);
	update_change(update, id, ready.priority, *has_turn, leaves);
	if (leaves)
		nvs_lane_leave(update->set, update->queue, turn[1], id);
	return true;
}

/* Lock the row of a job; turn is the priority that it has, NULL without one. */
static bool
update_lock_row(UpdateReady *ready, const Datum *turn)
{
	const Update *update = ready->update;
	const NvsStatement *lock = &update_lock_ready_job;
	NvsParams	params;

	update_params(update, ready->id, &params);
	if (turn != NULL)
	{
		lock = &update_lock_job;
		nvs_params_add(&params, INT4OID, *turn, false);
	}
	return nvs_execute_first(nvs_statement_plan(update->set->plans, lock,
												&params, NULL),
							 &params, false, CurrentMemoryContext,
							 &ready->priority);
}

/* Lock the row of a job that has no turn; false when it is not ready. */
static bool
update_lock_ready(void *arg)
{
	UpdateReady *ready = arg;

	return update_lock_row(ready, NULL) &&
		update_is_free(ready->update, ready->id, ready->priority);
}

/*
 * Does a job leave the lane in which it waits?  With another group only one of
 * the group that it had; it keeps its key.
 */
static bool
update_leaves_lane(const Update *update, Datum lane)
{
	return !update->job.isnull[NVS_JOB_DUE_AT] ||
		(!update->job.isnull[NVS_JOB_GROUP] &&
		 !nvs_lane_is_of_key(DatumGetTextPP(lane)));
}

/* Has a job whose row is locked no run, and no turn? */
static bool
update_is_free(const Update *update, int64 id, Datum priority)
{
	NvsParams	params;
	Datum		found;

	update_params(update, id, &params);
	if (!IsolationUsesXactSnapshot())
		return nvs_execute_first(nvs_statement_plan(update->set->plans,
													&update_not_taken,
													&params, NULL),
								 &params, false, CurrentMemoryContext,
								 &found);
	nvs_params_add(&params, INT4OID, priority, false);
	if (nvs_table_set_run(update->set, &update_claim, &params) == 0)
		return false;
	params.n = 2;
	(void) nvs_table_set_run(update->set, &update_unclaim, &params);
	return true;
}

/* Change a job that is locked. */
static void
update_change(const Update *update, int64 id, Datum priority, bool has_turn,
			  bool leaves)
{
	const NvsQueue *queue = update->queue;

	if (has_turn && (update->moves || leaves))
		update_change_turn(update, id, leaves);
	update_change_row(update, id, priority, has_turn);
	update_leave_places(update, id);
	if (!has_turn && update->moves)
		update_give_turn(update, id, priority);

	/* Those who fetch may have passed it while it was locked. */
	if (!has_turn)
	{
		nvs_hint_note(queue, DatumGetInt32(priority), id, true);
		nvs_hint_note(queue, DatumGetInt32(priority), id, false);
	}
	nvs_jobs_note_taken(queue->wakeup, 1);
	nvs_jobs_note_ready(queue->wakeup, 1);
}

/* Give a job that was ready a turn, at its time and with its priority now. */
static void
update_give_turn(const Update *update, int64 id, Datum priority)
{
	const NvsNewJob *job = &update->job;
	TimestampTz due = DatumGetTimestampTz(job->options[NVS_JOB_DUE_AT]);
	NvsRun		run = {id, 0, 0, 0};

	run.priority = DatumGetInt32(job->isnull[NVS_JOB_PRIORITY] ? priority :
								 job->options[NVS_JOB_PRIORITY]);
	nvs_turn_insert(update->set, update->queue, &run,
					job->isnull[NVS_JOB_DUE_AT] ? NULL : &due);
}

/*
 * Give back places that a job has which waited for another one: all where it is
 * to wait for a time, and that in the group which it had.
 */
static void
update_leave_places(const Update *update, int64 id)
{
	Datum		ids = Int64GetDatum(id);

	if (!update->job.isnull[NVS_JOB_DUE_AT])
		nvs_keys_run_ended(update->set, update->queue, id);
	else if (!update->job.isnull[NVS_JOB_GROUP])
		nvs_lanes_release(update->set, update->queue, &ids, 1,
						  NVS_PLACE_GROUP, NVS_PLACE_LAST);
}

/*
 * Change the turn of a job, which may leave its lane, and what its runs say of
 * its priority.
 */
static void
update_change_turn(const Update *update, int64 id, bool leaves)
{
	const NvsNewJob *job = &update->job;
	Datum		priority = job->options[NVS_JOB_PRIORITY];
	bool		stays = job->isnull[NVS_JOB_PRIORITY];
	Datum		due = job->options[NVS_JOB_DUE_AT];
	bool		timed = !job->isnull[NVS_JOB_DUE_AT];
	bool		later = timed &&
		DatumGetTimestampTz(due) > GetCurrentTimestamp();
	NvsParams	params;

	update_params(update, id, &params);
	nvs_params_add(&params, INT4OID, priority, stays);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(timed), false);
	nvs_params_add(&params, TIMESTAMPTZOID, due, !later);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(leaves), false);
	(void) nvs_table_set_run(update->set, &update_turn, &params);
	if (later)
		nvs_jobs_note_due(update->queue->wakeup, DatumGetTimestampTz(due));
	params.n = 3;
	if (!stays)
		(void) nvs_table_set_run(update->set, &update_runs, &params);
}

/*
 * Change the row of a job, which is locked; one that has a turn, or gets one,
 * says so by due_at.
 */
static void
update_change_row(const Update *update, int64 id, Datum priority,
				  bool has_turn)
{
	const NvsNewJob *job = &update->job;
	NvsParams	params;
	bool		timed = !job->isnull[NVS_JOB_DUE_AT];
	Datum		due = timed ? job->options[NVS_JOB_DUE_AT] :
		TimestampTzGetDatum(GetCurrentTimestamp());

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(update->queue->number),
				   false);
	nvs_params_add(&params, INT4OID, priority, false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(&params, JSONBOID, job->data, !job->has_data);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(update->merge), false);
	nvs_params_add(&params, TIMESTAMPTZOID, due,
				   !update->moves || (has_turn && !timed));

	/* Options that are not said stay as they are. */
	update_add_option(&params, job, NVS_JOB_PRIORITY, INT4OID);
	update_add_option(&params, job, NVS_JOB_LEASE, INTERVALOID);
	update_add_option(&params, job, NVS_JOB_MAX_RUN, INTERVALOID);
	update_add_option(&params, job, NVS_JOB_RETRY_LIMIT, INT4OID);
	update_add_option(&params, job, NVS_JOB_RETRY_DELAY, INTERVALOID);
	update_add_option(&params, job, NVS_JOB_RETRY_BACKOFF, BOOLOID);
	update_add_option(&params, job, NVS_JOB_RETRY_DELAY_MAX, INTERVALOID);
	update_add_option(&params, job, NVS_JOB_DEAD_LETTER, TEXTOID);
	update_add_option(&params, job, NVS_JOB_GROUP, TEXTOID);

	/* Its turn may have been changed already: both are, or none. */
	if (nvs_table_set_run(update->set, &update_job, &params) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger or rule of %s kept a job from being changed",
						update->set->tables[2])));
}

/* Add an option of a job to the parameters. */
static void
update_add_option(NvsParams *params, const NvsNewJob *job,
				  NvsJobOption option, Oid type)
{
	nvs_params_add(params, type, job->options[option], job->isnull[option]);
}

/* The parameters that name a queue and a job of it. */
static void
update_params(const Update *update, int64 id, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(update->queue->number),
				   false);
	nvs_params_add(params, INT8OID, Int64GetDatum(id), false);
}

/*
 * nvent.queue_upsert(queue, data, ..., key, ..., merge, store): the id of the
 * job that was changed or sent; NULL for none.
 */
Datum
nvs_queue_upsert(PG_FUNCTION_ARGS)
{
	Update		update;

	memset(&update, 0, sizeof(update));
	PreventCommandIfReadOnly("nvent.queue_upsert()");
	NVS_REQUIRE_ARG(UPSERT_KEY, "key");
	NVS_REQUIRE_ARG(UPSERT_MERGE, "merge");
	update.by_key = true;
	update.merge = PG_GETARG_BOOL(UPSERT_MERGE);
	update.match = &update_newest;
	update_read_said(&update, fcinfo, UPSERT_DATA);
	update.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	update.set = nvs_queue_open(fcinfo, UPSERT_QUEUE, UPSERT_STORE,
								NVS_USE_CHANGE, &update.queue);
	nvs_jobs_check(update.set, update.queue, &update.job, 1);

	/* Who sends the first job of the key is waited for, and seen then. */
	upsert_lock(&update);
	upsert_run(&update);

	/* None is queued: it is the first one, unless a policy keeps it back. */
	if (update.n == 0)
	{
		update_keep(&update, 0);
		nvs_jobs_insert(update.set, update.queue, &update.job, 1,
						update.ids);
	}
	nvs_spi_end();
	if (update.ids[0] == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(update.ids[0]);
}

/*
 * Lock a key of the queue: of two that would send the first job of it, the
 * second one finds that.
 */
static void
upsert_lock(const Update *update)
{
	const char *prefix = update->set->prefix;
	char	   *key = TextDatumGetCString(update->job.options[NVS_JOB_KEY]);
	char	   *name = psprintf("%d:%s", update->queue->number, key);
	uint32		store = nvs_draw_require(prefix, strlen(prefix));

	nvs_lock(NVS_LOCK_JOB_KEY, nvs_lock_key(store, name, strlen(name)),
			 ExclusiveLock);
}

/*
 * Change the newest job of the key that is queued; none is left in ids where
 * there is none.
 */
static void
upsert_run(Update *update)
{
	int			tries = 0;

	for (;;)
	{
		update_find(update, true);
		if (update->n == 0 || update_job_of(update, update->ids[0]))
			return;
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
		update_try_again(update, update->ids[0], &tries);
	}
}
