/*
 * queue/failed.c
 *	  What becomes of a job whose run has failed: another turn, or the end.
 *
 * A job that ends in failure goes to its dead letter queue, as a new job with
 * the same data, in the transaction that ends it.  That queue has the level of
 * its priority by then, since it was made or got that: who would make it here
 * has runs, and would be waited for.  After a crash the tables of a store whose
 * jobs are not logged have no levels, and the first dead letters make them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/origin.h"

/* The delay doubles so many times at most. */
#define MAX_DOUBLINGS	16

/* What there is to know of a job that failed. */
typedef struct FailedJob
{
	NvsNewJob	said;			/* of it, when it was sent */
	TimestampTz created_at;
	int32		retry_limit;
	Interval	retry_delay;
	bool		retry_backoff;
	Interval   *retry_delay_max;	/* NULL: no limit */
	char	   *dead_letter;	/* NULL: none */
} FailedJob;

/* $1 queue, $2 priority, $3 id. */
static const NvsStatement retry_read_job = {
	"SELECT created_at, " NVS_JOB_COLUMNS " FROM {jobs} j "
	"WHERE " NVS_THIS_JOB("j")
};

static bool failed_read(NvsTableSet *set, const NvsQueue *queue,
						const NvsRun *run, FailedJob *job);
static TimestampTz failed_due(const FailedJob *job, const NvsRun *run);
static double failed_seconds(const Interval *span);
static void failed_bury(NvsTableSet *set, const NvsQueue *queue,
						const NvsRun *run, const FailedJob *job, Datum output,
						bool has_output);

/*
 * A run has failed or expired: give its job another turn, or have it end, too,
 * where another of its key has one already and there may be no two.  The
 * caller has ended the run; output says why it failed.  Returns true
 * for a job of a flow that has ended: nvs_flow_ended() is to be told of that.
 */
bool
nvs_run_failed(NvsTableSet *set, NvsQueue *queue, const NvsRun *run,
			   Datum output, bool has_output)
{
	FailedJob	job;
	NvsRun		next = *run;

	if (!failed_read(set, queue, run, &job))
		return false;
	if (run->retries < job.retry_limit &&
		nvs_key_may_wait(set, queue, run->priority, run->id))
	{
		TimestampTz due = failed_due(&job, run);

		next.retries++;
		nvs_turn_insert(set, queue, &next, &due);
		nvs_keys_run_ended(set, queue, run->id);
		return false;
	}
	nvs_key_failed(set, queue, run->id);
	if (job.dead_letter != NULL)
		failed_bury(set, queue, run, &job, output, has_output);
	return !job.said.isnull[NVS_JOB_FLOW];
}

/*
 * Read a job, with the queue's defaults, into the current memory context; false
 * when it was deleted.
 */
static bool
failed_read(NvsTableSet *set, const NvsQueue *queue, const NvsRun *run,
			FailedJob *job)
{
	NvsParams	params;
	Datum		row[NVS_JOB_OPTIONS + 2];
	bool		isnull[NVS_JOB_OPTIONS + 2];
	const Datum *said = job->said.options;
	const bool *unsaid = job->said.isnull;

	/* It is where its run says, unless it was deleted by hand. */
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(run->priority), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(run->id), false);
	if (!nvs_execute_row(nvs_statement_plan(set->plans, &retry_read_job,
											&params, NULL),
						 &params, false, CurrentMemoryContext, lengthof(row),
						 row, isnull))
		return false;
	job->created_at = DatumGetTimestampTz(row[0]);
	nvs_job_take(&job->said, row + 1, isnull + 1);

	/* What it does not say its queue does, as that is now. */
	job->retry_limit = unsaid[NVS_JOB_RETRY_LIMIT] ? queue->retry_limit :
		DatumGetInt32(said[NVS_JOB_RETRY_LIMIT]);
	job->retry_delay = unsaid[NVS_JOB_RETRY_DELAY] ? queue->retry_delay :
		*DatumGetIntervalP(said[NVS_JOB_RETRY_DELAY]);
	job->retry_backoff = unsaid[NVS_JOB_RETRY_BACKOFF] ?
		queue->retry_backoff : DatumGetBool(said[NVS_JOB_RETRY_BACKOFF]);
	job->retry_delay_max = unsaid[NVS_JOB_RETRY_DELAY_MAX] ?
		queue->retry_delay_max :
		DatumGetIntervalP(said[NVS_JOB_RETRY_DELAY_MAX]);
	job->dead_letter = unsaid[NVS_JOB_DEAD_LETTER] ? queue->dead_letter :
		TextDatumGetCString(said[NVS_JOB_DEAD_LETTER]);
	return true;
}

/*
 * When a job is to be tried again.  With backoff the delay, of a second at
 * least, is doubled for each retry and then anything from half of that to all
 * of it, so that what failed together does not come back together.
 */
static TimestampTz
failed_due(const FailedJob *job, const NvsRun *run)
{
	double		delay = failed_seconds(&job->retry_delay);
	TimestampTz now;

	if (job->retry_backoff)
	{
		double		full = Max(delay, 1) *
			(1 << Min(run->retries + 1, MAX_DOUBLINGS));

		delay = full / 2 * (1 + pg_prng_double(&pg_global_prng_state));
	}
	if (job->retry_delay_max != NULL)
		delay = Min(delay, failed_seconds(job->retry_delay_max));
	now = GetCurrentTimestamp();
	return delay * USECS_PER_SEC < NVS_LAST_TIME - now ?
		now + (TimestampTz) (delay * USECS_PER_SEC) : NVS_LAST_TIME;
}

/* Length of an interval from now, in seconds, as far as time goes. */
static double
failed_seconds(const Interval *span)
{
	TimestampTz now = GetCurrentTimestamp();

	return (double) (nvs_after_or_bound(now, span) - now) / USECS_PER_SEC;
}

/*
 * Send a job that has failed for good to its dead letter queue.  There is no
 * such queue any more: it stays where it is, failed, and that is said.
 */
static void
failed_bury(NvsTableSet *set, const NvsQueue *queue, const NvsRun *run,
			const FailedJob *job, Datum output, bool has_output)
{
	NvsQueue   *grave = nvs_queue_named(set, job->dead_letter);
	NvsNewJob	dead;
	int64		id;

	if (grave == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dead letter queue \"%s\" of queue \"%s\" does not exist",
						job->dead_letter, queue->name)));
		return;
	}
	nvs_job_init(&dead);
	dead.data = job->said.data;
	dead.has_data = job->said.has_data;
	dead.keyless = true;
	if (!job->said.isnull[NVS_JOB_KEY])
		nvs_job_set(&dead, NVS_JOB_KEY, job->said.options[NVS_JOB_KEY]);
	nvs_job_set(&dead, NVS_JOB_ORIGIN,
				nvs_origin_of_failed(queue, run, &job->said, job->created_at,
									 has_output ? &output : NULL));
	nvs_jobs_insert(set, grave, &dead, 1, &id);
}
