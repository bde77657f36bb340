/*
 * queue/settle.c
 *	  What the holder of a lease does with one job: complete, fail, touch,
 *	  release.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/internal.h"

/* The first arguments of all these functions. */
enum
{
	SETTLE_QUEUE,
	SETTLE_ID,
	SETTLE_ATTEMPT
};

/* A call. */
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

PG_FUNCTION_INFO_V1(nvs_queue_complete);
PG_FUNCTION_INFO_V1(nvs_queue_fail);
PG_FUNCTION_INFO_V1(nvs_queue_touch);
PG_FUNCTION_INFO_V1(nvs_queue_progress);
PG_FUNCTION_INFO_V1(nvs_queue_release);

static void settle_begin(Settle *settle, FunctionCallInfo fcinfo, int store,
						 const char *function);
static void settle_job(const Settle *settle, int output, NvsSettledJob *job);
static void settle_run(Settle *settle);
static void settle_complete(Settle *settle);
static void settle_tell_children(const Settle *settle, Datum id);
static void settle_fail(Settle *settle);
static void settle_release(Settle *settle);
static void settle_touch_run(Settle *settle);
static void settle_progress_run(Settle *settle);

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

/*
 * The job of a call; output is the argument that says what is said of it, 0
 * where there is none.
 */
static void
settle_job(const Settle *settle, int output, NvsSettledJob *job)
{
	FunctionCallInfo fcinfo = settle->fcinfo;

	job->id = PG_GETARG_INT64(SETTLE_ID);
	job->attempt = PG_GETARG_INT32(SETTLE_ATTEMPT);
	job->has_output = output > 0 && !PG_ARGISNULL(output);
	if (job->has_output)
		job->output = PG_GETARG_DATUM(output);
}

/* End the run of a call, if its lease is held. */
static void
settle_run(Settle *settle)
{
	NvsSettledJob job;

	settle_job(settle, settle->output, &job);
	settle->settled = nvs_run_end(settle->set, settle->queue, settle->outcome,
								  &job, &settle->run);
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
		nvs_jobs_delete_ended(settle->set, settle->queue, &id, 1);
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
	const Interval *lease = PG_ARGISNULL(3) ? NULL : PG_GETARG_INTERVAL_P(3);
	NvsSettledJob job;

	settle_job(settle, 4, &job);
	settle->settled = nvs_run_extend(settle->set, settle->queue, &job, lease,
									 &settle->lease_until);
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
	NvsSettledJob job;

	settle_job(settle, 3, &job);
	settle->settled = nvs_run_note(settle->set, settle->queue, &job);
}
