/*
 * queue/settle.c
 *	  What the holder of a lease does: complete, fail, touch, release.
 *
 * A lease is held by whoever has the job's id with the number of the attempt,
 * until it runs out.  Then it is lost, whether or not somebody else has the job
 * by now: nothing that is settled later counts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/direct.h"

/* The first arguments of all these functions. */
enum
{
	SETTLE_QUEUE,
	SETTLE_ID,
	SETTLE_ATTEMPT
};

/* In SQL, run r of job $1 and attempt $2 while it has its lease. */
#define THIS_RUN \
	"r.id OPERATOR(pg_catalog.=) $1 " \
	"AND r.attempt OPERATOR(pg_catalog.=) $2 " \
	"AND " NVS_IN_QUEUE("r", "3") " AND " NVS_RUN_LIVES("r")

/* $1 id, $2 attempt, $3 queue, $4 outcome, $5 output. */
static const NvsStatement settle_end = {
	"UPDATE {job_runs} r SET outcome = $4, output = $5, "
	"ended_at = " NVS_NOW " WHERE " THIS_RUN
	" RETURNING r.priority, r.retries, r.flow"
};

/*
 * $1 id, $2 attempt, $3 queue, $4 lease or none, $5 the queue's, $6 progress or
 * none.
 */
static const NvsStatement settle_touch = {
	"UPDATE {job_runs} r SET progress = COALESCE($6, r.progress), "
	"lease_until = LEAST(r.run_until, "
	NVS_NOW " OPERATOR(pg_catalog.+) COALESCE($4, "
	"(SELECT j.lease FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) r.queue "
	"AND j.priority OPERATOR(pg_catalog.=) r.priority "
	"AND j.id OPERATOR(pg_catalog.=) r.id), $5)) "
	"WHERE " THIS_RUN " RETURNING r.lease_until"
};

/*
 * $1 id, $2 attempt, $3 queue, $4 progress: no index has that, so that a run
 * which says much of it leaves nothing behind but in its page.
 */
static const NvsStatement settle_progress = {
	"UPDATE {job_runs} r SET progress = $4 WHERE " THIS_RUN
};

/*
 * $1 ids, $2 attempts, $3 queue.  The runs are found by the ids and then looked
 * up among what was given: a join could be planned to begin with all runs.
 */
static const NvsStatement settle_complete_ids = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_COMPLETED "', "
	"ended_at = " NVS_NOW " WHERE r.id OPERATOR(pg_catalog.=) ANY ($1) "
	"AND ((r.id, r.attempt) OPERATOR(pg_catalog.=) ANY ("
	"SELECT u.id, u.attempt FROM ROWS FROM ("
	"pg_catalog.unnest($1), pg_catalog.unnest($2)) u (id, attempt))) IS TRUE "
	"AND " NVS_IN_QUEUE("r", "3") " AND " NVS_RUN_LIVES("r")
	" RETURNING r.id, r.flow"
};

/* $1 id, $2 attempt, $3 queue. */
static const NvsStatement settle_is_held = {
	"SELECT r.id FROM {job_runs} r WHERE " THIS_RUN
};

/* $1 queue, $2 ids of jobs that are to leave nothing behind. */
static const NvsStatement settle_delete_runs = {
	NVS_DELETE_OF_JOBS("job_runs") " RETURNING id, priority"
};

/*
 * $1 queue, $2 priority, $3 id: one by one, since an index is used to the full
 * for one priority alone, whatever is known of the table.
 */
static const NvsStatement settle_delete_job = {
	"DELETE FROM {jobs} j WHERE " NVS_THIS_JOB("j")
};

/* A call for one job, to be made by an index. */
typedef struct Settle
{
	FunctionCallInfo fcinfo;
	NvsTableSet *set;
	NvsQueue   *queue;
	const char *outcome;
	int			output;			/* argument; 0: none */
	bool		settled;
	NvsRun		run;
	TimestampTz lease_until;
} Settle;

/* A call for many. */
typedef struct SettleMany
{
	NvsTableSet *set;
	NvsQueue   *queue;
	NvsWork    *work;
	NvsJobIds	completed;		/* those that belong to flows */
	NvsJobIds	failed;			/* and that ended by it */
	NvsJobIds	expired;		/* as their leases had run out */
	MemoryContext cxt;			/* of the call */
} SettleMany;

/* Runs that were deleted. */
typedef struct SettleEnded
{
	NvsRun	   *runs;
	int			n;
	int			size;
} SettleEnded;

PG_FUNCTION_INFO_V1(nvs_queue_complete);
PG_FUNCTION_INFO_V1(nvs_queue_complete_many);
PG_FUNCTION_INFO_V1(nvs_queue_fail);
PG_FUNCTION_INFO_V1(nvs_queue_touch);
PG_FUNCTION_INFO_V1(nvs_queue_progress);
PG_FUNCTION_INFO_V1(nvs_queue_release);

static void settle_begin(Settle *settle, FunctionCallInfo fcinfo, int store,
						 const char *function);
static void settle_run_params(const Settle *settle, NvsParams *params);
static void settle_run(Settle *settle);
static bool settle_end_run(NvsTableSet *set, const NvsQueue *queue,
						   const char *outcome, const NvsSettledJob *job,
						   NvsRun *run);
static void settle_check_shown(NvsTableSet *set, const NvsQueue *queue,
							   int64 id, int32 attempt);
static void settle_complete(Settle *settle);
static void settle_tell_children(const Settle *settle, Datum id);
static void settle_fail(Settle *settle);
static void settle_release(Settle *settle);
static bool settle_extend(NvsTableSet *set, NvsQueue *queue,
						  const NvsSettledJob *job, const Interval *lease,
						  TimestampTz *until);
static void settle_touch_run(Settle *settle);
static void settle_progress_run(Settle *settle);
static bool settle_is_null(Datum said);
static void settle_forget(NvsTableSet *set, const NvsQueue *queue,
						  const Datum *ids, int n);
static void settle_keep_run(TupleTableSlot *slot, void *arg);
static NvsSettledJob *settle_read_many(FunctionCallInfo fcinfo, int *n);
static int	settle_compare(const void *a, const void *b);
static void settle_all(SettleMany *many);
static void settle_runs(SettleMany *many);
static void settle_tell_all(SettleMany *many);
static void settle_fail_one(SettleMany *many, const NvsSettledJob *job);
static void settle_touch_one(SettleMany *many, NvsSettledJob *job);
static bool settle_is_among(const NvsSettledJob *jobs, int n,
							const NvsSettledJob *job);
static NvsSettledJob *settle_next_single(const NvsWork *work, int failed,
										 int touched);
static void settle_complete_some(SettleMany *many, int from, int n);
static int	settle_complete_rest(SettleMany *many, const NvsSettledJob *jobs,
								 int n);
static void settle_complete_plain(SettleMany *many, const NvsSettledJob *jobs,
								  int n);
static void settle_keep_id(TupleTableSlot *slot, void *arg);
static void settle_keep(SettleMany *many, Datum id, bool flow);
static void settle_keep_flow(SettleMany *many, NvsJobIds *flow, Datum id);

/* Begin a call: find the queue; its arguments are those of the function. */
static void
settle_begin(Settle *settle, FunctionCallInfo fcinfo, int store,
			 const char *function)
{
	memset(settle, 0, sizeof(Settle));
	NVS_REQUIRE_ARG(SETTLE_ID, "id");
	NVS_REQUIRE_ARG(SETTLE_ATTEMPT, "attempt");
	PreventCommandIfReadOnly(function);
	settle->fcinfo = fcinfo;
	nvs_spi_begin();
	settle->set = nvs_queue_open(fcinfo, SETTLE_QUEUE, store, NVS_USE_CHANGE,
								 &settle->queue);
}

/* The parameters that every statement on one run begins with. */
static void
settle_run_params(const Settle *settle, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add_arg(params, settle->fcinfo, SETTLE_ID, INT8OID);
	nvs_params_add_arg(params, settle->fcinfo, SETTLE_ATTEMPT, INT4OID);
	nvs_params_add(params, INT4OID, Int32GetDatum(settle->queue->number),
				   false);
}

/* End the run of a call, if its lease is held. */
static void
settle_run(Settle *settle)
{
	FunctionCallInfo fcinfo = settle->fcinfo;
	NvsSettledJob job;

	job.id = PG_GETARG_INT64(SETTLE_ID);
	job.attempt = PG_GETARG_INT32(SETTLE_ATTEMPT);
	job.has_output = settle->output > 0 && !PG_ARGISNULL(settle->output);
	if (job.has_output)
		job.output = PG_GETARG_DATUM(settle->output);
	settle->settled = settle_end_run(settle->set, settle->queue,
									 settle->outcome, &job, &settle->run);
}

/* End a run, if its lease is held; *run gets what is known of it. */
static bool
settle_end_run(NvsTableSet *set, const NvsQueue *queue, const char *outcome,
			   const NvsSettledJob *job, NvsRun *run)
{
	NvsParams	params;
	Datum		row[3];
	bool		isnull[3];

	/* Most runs end without a statement; one waits for who has the row. */
	if (nvs_direct_end(set, queue, outcome, job, 1, run) == 1)
		return true;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(job->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(job->attempt), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(outcome), false);
	nvs_params_add(&params, JSONBOID, job->has_output ? job->output : 0,
				   !job->has_output);
	if (!nvs_execute_row(nvs_statement_plan(set->plans, &settle_end, &params,
											NULL),
						 &params, false, CurrentMemoryContext, 3, row,
						 isnull))
	{
		settle_check_shown(set, queue, job->id, job->attempt);
		return false;
	}

	/* What becomes of the job is the caller's to see to. */
	run->id = job->id;
	run->attempt = job->attempt;
	run->priority = DatumGetInt32(row[0]);
	run->retries = DatumGetInt32(row[1]);
	run->flow = !isnull[2];
	return true;
}

/*
 * A run was not found.  Raise an error if that is for the snapshot of the
 * transaction alone, which is older: the lease is held, and who believes that
 * it is not gives up what he has done.
 */
static void
settle_check_shown(NvsTableSet *set, const NvsQueue *queue, int64 id,
				   int32 attempt)
{
	NvsParams	params;
	Datum		found;

	if (!IsolationUsesXactSnapshot())
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(attempt), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_table_set_lock_all(set);
	PushActiveSnapshot(GetLatestSnapshot());
	if (nvs_execute_first(nvs_statement_plan(set->plans, &settle_is_held,
											 &params, NULL),
						  &params, true, CurrentMemoryContext, &found))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent fetch"),
				 errdetail("Attempt %d of a job of queue \"%s\" began after "
						   "the transaction took its snapshot.", attempt,
						   queue->name),
				 errhint("Retry the transaction.")));
	PopActiveSnapshot();
}

/* nvent.queue_complete(queue, id, attempt, output, store): was it held? */
Datum
nvs_queue_complete(PG_FUNCTION_ARGS)
{
	Settle		settle;

	settle_begin(&settle, fcinfo, 4, "nvent.queue_complete()");
	settle_complete(&settle);
	nvs_spi_end();
	PG_RETURN_BOOL(settle.settled);
}

/* Complete a job. */
static void
settle_complete(Settle *settle)
{
	Datum		id;

	settle->outcome = NVS_RUN_COMPLETED;
	settle->output = 3;
	settle_run(settle);
	id = Int64GetDatum(settle->run.id);
	if (!settle->settled)
		return;
	if (settle->run.flow)
		settle_tell_children(settle, id);
	nvs_keys_release(settle->set, settle->queue, &id, 1);
	if (!settle->queue->keeps_ended)
		settle_forget(settle->set, settle->queue, &id, 1);
}

/* A job of a flow was completed: see to those that wait for it. */
static void
settle_tell_children(const Settle *settle, Datum id)
{
	NvsFlowPass *pass = nvs_flow_begin(settle->set, NULL, NULL);

	nvs_flow_add(pass, &id, 1, NVS_RUN_COMPLETED);
	if (!settle->queue->keeps_ended)
		nvs_flow_add_gone(pass, &id, 1);
	nvs_flow_finish(pass);
}

/*
 * nvent.queue_fail(queue, id, attempt, error, store): was it held?  The job is
 * tried again, or ends.
 */
Datum
nvs_queue_fail(PG_FUNCTION_ARGS)
{
	Settle		settle;

	settle_begin(&settle, fcinfo, 4, "nvent.queue_fail()");
	settle_fail(&settle);
	nvs_spi_end();
	PG_RETURN_BOOL(settle.settled);
}

/* Have a job fail. */
static void
settle_fail(Settle *settle)
{
	FunctionCallInfo fcinfo = settle->fcinfo;

	settle->outcome = NVS_RUN_FAILED;
	settle->output = 3;
	settle_run(settle);
	if (settle->settled &&
		nvs_run_failed(settle->set, settle->queue, &settle->run,
					   PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3),
					   !PG_ARGISNULL(3)))
	{
		Datum		id = Int64GetDatum(settle->run.id);

		nvs_flow_ended(settle->set, &id, 1, NVS_RUN_FAILED);
	}
}

/*
 * nvent.queue_release(queue, id, attempt, start_after, store): was it held?
 * The job has another turn, which no retry is counted for.
 */
Datum
nvs_queue_release(PG_FUNCTION_ARGS)
{
	Settle		settle;

	settle_begin(&settle, fcinfo, 4, "nvent.queue_release()");
	settle_release(&settle);
	nvs_spi_end();
	PG_RETURN_BOOL(settle.settled);
}

/* Give a job back. */
static void
settle_release(Settle *settle)
{
	FunctionCallInfo fcinfo = settle->fcinfo;
	TimestampTz due = PG_ARGISNULL(3) ? 0 :
		nvs_after(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(3));

	settle->outcome = NVS_RUN_RELEASED;
	settle_run(settle);
	if (!settle->settled)
		return;
	if (!nvs_key_may_wait(settle->set, settle->queue, settle->run.priority,
						  settle->run.id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " of queue \"%s\" cannot be released",
						settle->run.id, settle->queue->name),
				 errdetail("Another job of its key waits to be tried again, and by "
						   "the policy of the queue one may."),
				 errhint("Complete the job, or have it fail.")));
	nvs_turn_insert(settle->set, settle->queue, &settle->run, &due);
	nvs_keys_run_ended(settle->set, settle->queue, settle->run.id);
}

/*
 * nvent.queue_touch(queue, id, attempt, lease, progress, store): until when the
 * lease is held now, NULL when it is lost.
 */
Datum
nvs_queue_touch(PG_FUNCTION_ARGS)
{
	Settle		settle;

	(void) nvs_ttl_argument(fcinfo, 3, "lease");
	settle_begin(&settle, fcinfo, 5, "nvent.queue_touch()");
	settle_touch_run(&settle);
	nvs_spi_end();
	if (!settle.settled)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(settle.lease_until);
}

/* Have a lease last from now on, if it is held. */
static void
settle_touch_run(Settle *settle)
{
	FunctionCallInfo fcinfo = settle->fcinfo;
	NvsSettledJob job;

	job.id = PG_GETARG_INT64(SETTLE_ID);
	job.attempt = PG_GETARG_INT32(SETTLE_ATTEMPT);
	job.has_output = !PG_ARGISNULL(4);
	if (job.has_output)
		job.output = PG_GETARG_DATUM(4);
	settle->settled = settle_extend(settle->set, settle->queue, &job,
									PG_ARGISNULL(3) ? NULL :
									PG_GETARG_INTERVAL_P(3),
									&settle->lease_until);
}

/*
 * Have the lease of a run last from now on, if it is held: for so long, or,
 * without that, as the job or its queue says.  *until gets when it ends.
 */
static bool
settle_extend(NvsTableSet *set, NvsQueue *queue, const NvsSettledJob *job,
			  const Interval *lease, TimestampTz *until)
{
	NvsParams	params;
	Datum		value;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(job->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(job->attempt), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(lease),
				   lease == NULL);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(&queue->lease),
				   false);
	nvs_params_add(&params, JSONBOID, job->has_output ? job->output : 0,
				   !job->has_output || settle_is_null(job->output));
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &settle_touch,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &value))
	{
		settle_check_shown(set, queue, job->id, job->attempt);
		return false;
	}
	*until = DatumGetTimestampTz(value);
	nvs_queue_due(queue, *until);
	return true;
}

/*
 * nvent.queue_progress(queue, id, attempt, progress, store): was it held?  The
 * lease lasts no longer for it.
 */
Datum
nvs_queue_progress(PG_FUNCTION_ARGS)
{
	Settle		settle;

	settle_begin(&settle, fcinfo, 4, "nvent.queue_progress()");
	settle_progress_run(&settle);
	nvs_spi_end();
	PG_RETURN_BOOL(settle.settled);
}

/* Note how far a run has come, if its lease is held. */
static void
settle_progress_run(Settle *settle)
{
	FunctionCallInfo fcinfo = settle->fcinfo;
	Datum		said = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3);
	NvsParams	params;

	settle_run_params(settle, &params);
	nvs_params_add(&params, JSONBOID, said,
				   PG_ARGISNULL(3) || settle_is_null(said));
	settle->settled = nvs_table_set_run(settle->set, &settle_progress,
										&params) > 0;
	if (!settle->settled)
		settle_check_shown(settle->set, settle->queue,
						   DatumGetInt64(params.values[0]),
						   DatumGetInt32(params.values[1]));
}

/*
 * Is what is said of a run a JSON null?  That is as NULL: many a client writes
 * what it has nothing to say of so.
 */
static bool
settle_is_null(Datum said)
{
	Jsonb	   *json = DatumGetJsonbP(said);

	return JB_ROOT_IS_SCALAR(json) && JBE_ISNULL(json->root.children[0]);
}

/* Delete jobs that have ended, of a queue that keeps none. */
static void
settle_forget(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
			  int n)
{
	SettleEnded ended = {NULL, 0, n};
	NvsParams	params;
	int			i;

	ended.runs = palloc(sizeof(NvsRun) * n);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	(void) nvs_table_set_each(set, &settle_delete_runs, &params, false,
							  settle_keep_run, &ended);
	for (i = 0; i < ended.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_params_init(&params);
		nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
		nvs_params_add(&params, INT4OID,
					   Int32GetDatum(ended.runs[i].priority), false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(ended.runs[i].id),
					   false);
		(void) nvs_table_set_run(set, &settle_delete_job, &params);
	}
}

/* Keep a run that was deleted; a job may have had several. */
static void
settle_keep_run(TupleTableSlot *slot, void *arg)
{
	SettleEnded *ended = arg;
	NvsRun	   *run;
	bool		isnull;

	if (ended->n == ended->size)
	{
		ended->size *= 2;
		ended->runs = repalloc_huge(ended->runs, sizeof(NvsRun) * ended->size);
	}
	run = &ended->runs[ended->n++];
	run->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	run->priority = DatumGetInt32(slot_getattr(slot, 2, &isnull));
}

/*
 * nvent.queue_complete_many(queue, ids, attempts, outputs, store): the ids of
 * those whose leases were held.
 */
Datum
nvs_queue_complete_many(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsTableSet *set;
	NvsQueue   *queue;
	NvsWork		work = {0};
	int			i;

	work.completed = settle_read_many(fcinfo, &work.ncompleted);
	PreventCommandIfReadOnly("nvent.queue_complete_many()");
	work.settled = palloc(sizeof(Datum) * Max(work.ncompleted, 1));
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, SETTLE_QUEUE, 4, NVS_USE_CHANGE, &queue);
	nvs_jobs_settle(set, queue, &work);
	nvs_spi_end();
	for (i = 0; i < work.nsettled; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result, desc, &work.settled[i], &isnull);
	}
	return (Datum) 0;
}

/*
 * Settle jobs whose leases are held: complete some, have others fail, and have
 * the leases of others last.  work->settled, which has room for all that are to
 * be completed, gets the ids of those that were, and work->gone, which has room
 * for all that are to be touched, those that were not.
 */
void
nvs_jobs_settle(NvsTableSet *set, NvsQueue *queue, NvsWork *work)
{
	SettleMany	many = {set, queue, work, {NULL, 0}, {NULL, 0}, {NULL, 0},
	CurrentMemoryContext};

	work->nsettled = work->nlost = work->ngone = 0;
	work->holds = false;
	if (work->ncompleted > 1)
		qsort(work->completed, work->ncompleted, sizeof(NvsSettledJob),
			  settle_compare);
	if (work->nfailed > 1)
		qsort(work->failed, work->nfailed, sizeof(NvsSettledJob),
			  settle_compare);
	if (work->ntouched > 1)
		qsort(work->touched, work->ntouched, sizeof(NvsSettledJob),
			  settle_compare);
	if (work->ncompleted + work->nfailed + work->ntouched > 0)
		settle_all(&many);
}

/*
 * Settle all jobs in the order of their ids, then see to those that wait for
 * them, in one pass, and then to keys; see queue/wait.c.
 */
static void
settle_all(SettleMany *many)
{
	const NvsWork *work = many->work;

	settle_runs(many);
	if (many->completed.n + many->failed.n > 0)
		settle_tell_all(many);
	nvs_keys_release(many->set, many->queue, work->settled, work->nsettled);
	if (work->nsettled > 0 && !many->queue->keeps_ended)
		settle_forget(many->set, many->queue, work->settled, work->nsettled);
}

/*
 * End or prolong the runs of all jobs, in the order of their ids: those that
 * fail or are touched one by one, and before each of them at once those that
 * are completed and come before it.
 */
static void
settle_runs(SettleMany *many)
{
	NvsWork    *work = many->work;
	NvsSettledJob *job;
	int			done = 0;
	int			failed = 0;
	int			touched = 0;

	while ((job = settle_next_single(work, failed, touched)) != NULL)
	{
		int			to = done;

		CHECK_FOR_INTERRUPTS();

		/* Of one id what is completed comes before what fails. */
		while (to < work->ncompleted && work->completed[to].id <= job->id)
			to++;
		settle_complete_some(many, done, to - done);
		done = to;

		/* A failure has its own consequences, and a touch its own lease. */
		if (failed < work->nfailed && job == &work->failed[failed])
		{
			settle_fail_one(many, job);
			failed++;
		}
		else
		{
			settle_touch_one(many, job);
			touched++;
		}
	}
	settle_complete_some(many, done, work->ncompleted - done);
}

/*
 * Jobs of flows have ended: see to those that wait for them.  Whose leases have
 * run out, and who would be ended by the fetch that follows, end before that,
 * so that the children of all come in one order.
 */
static void
settle_tell_all(SettleMany *many)
{
	NvsFlowPass *pass;

	nvs_fetch_expire_first(many->set, many->queue, many->work->max_count,
						   &many->expired);
	pass = nvs_flow_begin(many->set, NULL, NULL);
	nvs_flow_add(pass, many->completed.ids, many->completed.n,
				 NVS_RUN_COMPLETED);
	nvs_flow_add(pass, many->failed.ids, many->failed.n, NVS_RUN_FAILED);
	nvs_flow_add(pass, many->expired.ids, many->expired.n, NVS_RUN_FAILED);
	if (!many->queue->keeps_ended)
		nvs_flow_add_gone(pass, many->completed.ids, many->completed.n);
	nvs_flow_finish(pass);
	many->work->holds = true;
}

/*
 * Which of the jobs that are settled one by one comes next, when so many have
 * failed and were touched; NULL behind the last.
 */
static NvsSettledJob *
settle_next_single(const NvsWork *work, int failed, int touched)
{
	NvsSettledJob *one = failed < work->nfailed ? &work->failed[failed] : NULL;
	NvsSettledJob *other = touched < work->ntouched ?
		&work->touched[touched] : NULL;

	if (one == NULL || other == NULL)
		return one == NULL ? other : one;
	return settle_compare(one, other) <= 0 ? one : other;
}

/*
 * Have the lease of a job that is still worked on last from now on; but nobody
 * works on one that the call settles, too.
 */
static void
settle_touch_one(SettleMany *many, NvsSettledJob *job)
{
	const NvsWork *work = many->work;
	TimestampTz until;

	if (settle_is_among(work->completed, work->ncompleted, job) ||
		settle_is_among(work->failed, work->nfailed, job))
		return;
	if (!settle_extend(many->set, many->queue, job, NULL, &until))
		many->work->gone[many->work->ngone++] = job;
}

/* Is an attempt among some, which are in order? */
static bool
settle_is_among(const NvsSettledJob *jobs, int n, const NvsSettledJob *job)
{
	return n > 0 && bsearch(job, jobs, n, sizeof(NvsSettledJob),
							settle_compare) != NULL;
}

/* Have a job fail. */
static void
settle_fail_one(SettleMany *many, const NvsSettledJob *job)
{
	NvsRun		run;

	if (!settle_end_run(many->set, many->queue, NVS_RUN_FAILED, job, &run))
		many->work->nlost++;
	else if (nvs_run_failed(many->set, many->queue, &run, job->output,
							job->has_output))
		settle_keep_flow(many, &many->failed, Int64GetDatum(run.id));
}

/*
 * The jobs that arguments name: ids, attempts, and outputs if they are there;
 * *n gets how many they are.
 */
static NvsSettledJob *
settle_read_many(FunctionCallInfo fcinfo, int *n)
{
	NvsArrayArgs arrays = {"jobs", NVS_MAX_JOBS, NULL, 0};
	Datum	   *values[3];
	bool	   *nulls[3];
	bool		has_outputs;
	NvsSettledJob *jobs;
	int			i;

	NVS_REQUIRE_ARG(SETTLE_ID, "ids");
	NVS_REQUIRE_ARG(SETTLE_ATTEMPT, "attempts");

	/* They are of one length, which is checked as they are taken. */
	(void) nvs_array_argument(&arrays, fcinfo, SETTLE_ID, "ids", &values[0],
							  &nulls[0]);
	(void) nvs_array_argument(&arrays, fcinfo, SETTLE_ATTEMPT, "attempts",
							  &values[1], &nulls[1]);
	has_outputs = nvs_array_argument(&arrays, fcinfo, 3, "outputs",
									 &values[2], &nulls[2]);
	jobs = palloc0(sizeof(NvsSettledJob) * Max(arrays.length, 1));

	/* Without an id or an attempt there is none whose lease could be held. */
	*n = 0;
	for (i = 0; i < arrays.length; i++)
	{
		NvsSettledJob *job = &jobs[*n];

		if (nulls[0][i] || nulls[1][i])
			continue;
		job->id = DatumGetInt64(values[0][i]);
		job->attempt = DatumGetInt32(values[1][i]);
		job->has_output = has_outputs && !nulls[2][i];
		if (job->has_output)
			job->output = values[2][i];
		(*n)++;
	}
	return jobs;
}

/* qsort() comparator: by id and attempt. */
static int
settle_compare(const void *a, const void *b)
{
	const NvsSettledJob *x = a;
	const NvsSettledJob *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->attempt < y->attempt ? -1 : x->attempt > y->attempt ? 1 : 0;
}

/*
 * Complete n of the jobs, the first of which is from, if their leases are held,
 * in the order of their ids: at once as far as that goes, and then by
 * statements, those with output singly.
 */
static void
settle_complete_some(SettleMany *many, int from, int n)
{
	NvsSettledJob *jobs = many->work->completed + from;
	int			before = many->work->nsettled;
	NvsRun	   *runs;
	int			next;
	int			i;

	if (n == 0)
		return;

	/* As far as it goes without statements; these go on in the same order. */
	runs = palloc(sizeof(NvsRun) * n);
	next = nvs_direct_end(many->set, many->queue, NVS_RUN_COMPLETED, jobs, n,
						  runs);
	for (i = 0; i < next; i++)
		settle_keep(many, Int64GetDatum(runs[i].id), runs[i].flow);
	pfree(runs);
	while (next < n)
		next += settle_complete_rest(many, jobs + next, n - next);

	/* If one is missing, is its lease lost, or just not shown to us? */
	for (i = 0; many->work->nsettled - before < n && i < n; i++)
		settle_check_shown(many->set, many->queue, jobs[i].id,
						   jobs[i].attempt);
}

/*
 * Complete the first of n jobs by a statement: one with output, or all before
 * the next such.  Returns how many that were.
 */
static int
settle_complete_rest(SettleMany *many, const NvsSettledJob *jobs, int n)
{
	NvsRun		run;
	int			plain = 0;

	while (plain < n && !jobs[plain].has_output)
		plain++;
	if (plain > 0)
		settle_complete_plain(many, jobs, plain);
	else if (settle_end_run(many->set, many->queue, NVS_RUN_COMPLETED, jobs,
							&run))
		settle_keep(many, Int64GetDatum(run.id), run.flow);
	return Max(plain, 1);
}

/* Complete n jobs without output, by a statement. */
static void
settle_complete_plain(SettleMany *many, const NvsSettledJob *jobs, int n)
{
	Datum	   *ids;
	Datum	   *attempts;
	NvsParams	params;
	int			i;

	ids = palloc(sizeof(Datum) * n);
	attempts = palloc(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
	{
		ids[i] = Int64GetDatum(jobs[i].id);
		attempts[i] = Int32GetDatum(jobs[i].attempt);
	}
	nvs_params_init(&params);
	nvs_params_add(&params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	nvs_params_add(&params, INT4ARRAYOID,
				   nvs_array_of(INT4OID, attempts, NULL, n), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(many->queue->number),
				   false);
	(void) nvs_table_set_each_of(many->set, &settle_complete_ids, &params,
								 false, n, settle_keep_id, many);
}

/* Keep the id of a job that was completed; an int8 is no pointer here. */
static void
settle_keep_id(TupleTableSlot *slot, void *arg)
{
	SettleMany *many = arg;
	bool		isnull;
	Datum		id = slot_getattr(slot, 1, &isnull);

	(void) slot_getattr(slot, 2, &isnull);
	settle_keep(many, id, !isnull);
}

/* A job was completed. */
static void
settle_keep(SettleMany *many, Datum id, bool flow)
{
	many->work->settled[many->work->nsettled++] = id;
	if (flow)
		settle_keep_flow(many, &many->completed, id);
}

/* Keep the id of a job of a flow: its children are to be looked after. */
static void
settle_keep_flow(SettleMany *many, NvsJobIds *flow, Datum id)
{
	if (flow->ids == NULL)
		flow->ids = MemoryContextAlloc(many->cxt, sizeof(Datum) *
									   (many->work->ncompleted +
										many->work->nfailed));
	flow->ids[flow->n++] = id;
}
