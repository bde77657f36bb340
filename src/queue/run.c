/*
 * queue/run.c
 *	  Ends and prolongs runs whose leases are held.
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

#include "queue/direct.h"

/* In SQL, run r of job $1 and attempt $2 while it has its lease. */
#define THIS_RUN \
	"r.id OPERATOR(pg_catalog.=) $1 " \
	"AND r.attempt OPERATOR(pg_catalog.=) $2 " \
	"AND " NVS_IN_QUEUE("r", "3") " AND " NVS_RUN_LIVES("r")

/* $1 id, $2 attempt, $3 queue, $4 outcome, $5 output. */
static const NvsStatement run_end = {
	"UPDATE {job_runs} r SET outcome = $4, output = $5, "
	"ended_at = " NVS_NOW " WHERE " THIS_RUN
	" RETURNING r.priority, r.retries, r.flow"
};

/*
 * $1 id, $2 attempt, $3 queue, $4 lease or none, $5 the queue's, $6 progress or
 * none.
 */
static const NvsStatement run_touch = {
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
static const NvsStatement run_note = {
	"UPDATE {job_runs} r SET progress = $4 WHERE " THIS_RUN
};

/* $1 id, $2 attempt, $3 queue. */
static const NvsStatement run_is_held = {
	"SELECT r.id FROM {job_runs} r WHERE " THIS_RUN
};

/* $1 queue, $2 ids of jobs that are to leave nothing behind. */
static const NvsStatement run_delete_runs = {
	NVS_DELETE_OF_JOBS("job_runs") " RETURNING id, priority"
};

/*
 * $1 queue, $2 priority, $3 id: one by one, since an index is used to the full
 * for one priority alone, whatever is known of the table.
 */
static const NvsStatement run_delete_job = {
	"DELETE FROM {jobs} j WHERE " NVS_THIS_JOB("j")
};

/* Runs that were deleted. */
typedef struct RunsDeleted
{
	NvsRun	   *runs;
	int			n;
	int			size;
} RunsDeleted;

static void run_params(NvsParams *params, const NvsQueue *queue, int64 id,
					   int32 attempt);
static bool run_is_null(Datum said);
static void run_keep(TupleTableSlot *slot, void *arg);

/* The parameters that every statement on one run begins with. */
static void
run_params(NvsParams *params, const NvsQueue *queue, int64 id, int32 attempt)
{
	nvs_params_init(params);
	nvs_params_add(params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(attempt), false);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
}

/* End a run, if its lease is held; *run gets what is known of it. */
bool
nvs_run_end(NvsTableSet *set, const NvsQueue *queue, const char *outcome,
			const NvsSettledJob *job, NvsRun *run)
{
	NvsParams	params;
	Datum		row[3];
	bool		isnull[3];

	/* Most runs end without a statement; one waits for who has the row. */
	if (nvs_direct_end(set, queue, outcome, job, 1, run) == 1)
		return true;
	run_params(&params, queue, job->id, job->attempt);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(outcome), false);
	nvs_params_add(&params, JSONBOID, job->has_output ? job->output : 0,
				   !job->has_output);
	if (!nvs_execute_row(nvs_statement_plan(set->plans, &run_end, &params,
											NULL),
						 &params, false, CurrentMemoryContext, 3, row,
						 isnull))
	{
		nvs_run_check_shown(set, queue, job->id, job->attempt);
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
void
nvs_run_check_shown(NvsTableSet *set, const NvsQueue *queue, int64 id,
					int32 attempt)
{
	NvsParams	params;
	Datum		found;

	if (!IsolationUsesXactSnapshot())
		return;
	run_params(&params, queue, id, attempt);
	nvs_table_set_lock_all(set);
	PushActiveSnapshot(GetLatestSnapshot());
	if (nvs_execute_first(nvs_statement_plan(set->plans, &run_is_held,
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

/*
 * Have the lease of a run last from now on, if it is held: for so long, or,
 * without that, as the job or its queue says.  *until gets when it ends.
 */
bool
nvs_run_extend(NvsTableSet *set, NvsQueue *queue, const NvsSettledJob *job,
			   const Interval *lease, TimestampTz *until)
{
	NvsParams	params;
	Datum		value;

	run_params(&params, queue, job->id, job->attempt);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(lease),
				   lease == NULL);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(&queue->lease),
				   false);
	nvs_params_add(&params, JSONBOID, job->has_output ? job->output : 0,
				   !job->has_output || run_is_null(job->output));
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &run_touch,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &value))
	{
		nvs_run_check_shown(set, queue, job->id, job->attempt);
		return false;
	}
	*until = DatumGetTimestampTz(value);
	nvs_queue_due(queue, *until);
	return true;
}

/*
 * Note how far a run has come, which a job's output says, if its lease is held.
 */
bool
nvs_run_note(NvsTableSet *set, const NvsQueue *queue, const NvsSettledJob *job)
{
	NvsParams	params;

	run_params(&params, queue, job->id, job->attempt);
	nvs_params_add(&params, JSONBOID, job->has_output ? job->output : 0,
				   !job->has_output || run_is_null(job->output));
	if (nvs_table_set_run(set, &run_note, &params) > 0)
		return true;
	nvs_run_check_shown(set, queue, job->id, job->attempt);
	return false;
}

/*
 * Is what is said of a run a JSON null?  That is as NULL: many a client writes
 * what it has nothing to say of so.
 */
static bool
run_is_null(Datum said)
{
	Jsonb	   *json = DatumGetJsonbP(said);

	return JB_ROOT_IS_SCALAR(json) && JBE_ISNULL(json->root.children[0]);
}

/* Delete jobs that have ended, of a queue that keeps none. */
void
nvs_jobs_delete_ended(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
					  int n)
{
	RunsDeleted ended = {NULL, 0, n};
	NvsParams	params;
	int			i;

	ended.runs = palloc(sizeof(NvsRun) * n);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	(void) nvs_table_set_each(set, &run_delete_runs, &params, false,
							  run_keep, &ended);
	for (i = 0; i < ended.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_params_init(&params);
		nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
		nvs_params_add(&params, INT4OID,
					   Int32GetDatum(ended.runs[i].priority), false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(ended.runs[i].id),
					   false);
		(void) nvs_table_set_run(set, &run_delete_job, &params);
	}
}

/* Keep a run that was deleted; a job may have had several. */
static void
run_keep(TupleTableSlot *slot, void *arg)
{
	RunsDeleted *ended = arg;
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
