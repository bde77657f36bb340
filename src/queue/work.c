/*
 * queue/work.c
 *	  Settles jobs and fetches others in one call.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "json/build.h"
#include "queue/internal.h"

/* Arguments of queue_work(), besides those of every one that works. */
enum
{
	WORK_WORKER = NVS_WORK_MAX_COUNT + 1,
	WORK_STORE,
	WORK_TOUCHED
};

/* Jobs that a warning names. */
#define MAX_NAMED	20

PG_FUNCTION_INFO_V1(nvs_queue_work);

static NvsSettledJob *work_read(FunctionCallInfo fcinfo, int arg,
								const char *name, const char *output, int *n);
static void work_read_job(NvsJsonbChild member, const char *name,
						  const char *output, int n, NvsSettledJob *job);
static int64 work_read_number(const JsonbContainer *job, const char *member,
							  const char *name, int n);
static void work_report_lost(const NvsQueue *queue, const char *what,
							 int lost);
static void work_report_gone(const NvsQueue *queue, const NvsWork *work);

/*
 * nvent.queue_work(queue, completed, failed, max_count, worker, store,
 * touched): what nvent.queue_fetch() returns, after the jobs of before are
 * settled, or their leases prolonged.
 */
Datum
nvs_queue_work(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsWork		work;
	NvsQueue   *queue;
	NvsTableSet *set;

	NVS_REQUIRE_ARG(NVS_WORK_MAX_COUNT, "max_count");
	PreventCommandIfReadOnly("nvent.queue_work()");
	nvs_work_read(&work, fcinfo, WORK_TOUCHED);
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, NVS_WORK_QUEUE, WORK_STORE, NVS_USE_CHANGE,
						 &queue);
	nvs_work_settle(set, queue, &work);
	(void) nvs_queue_fetch_into(set, queue, work.max_count,
								nvs_worker_argument(fcinfo, WORK_WORKER),
								&work, result, desc);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Take the arguments that say which jobs are done, which are not, and how many
 * are wanted.
 */
void
nvs_work_read(NvsWork *work, FunctionCallInfo fcinfo, int touched)
{
	memset(work, 0, sizeof(NvsWork));
	work->completed = work_read(fcinfo, NVS_WORK_COMPLETED, "completed",
								"output", &work->ncompleted);
	work->failed = work_read(fcinfo, NVS_WORK_FAILED, "failed", "error",
							 &work->nfailed);
	work->touched = work_read(fcinfo, touched, "touched", "progress",
							  &work->ntouched);
	work->max_count = PG_GETARG_INT32(NVS_WORK_MAX_COUNT);
}

/*
 * Settle what a worker is done with, and have the leases of the rest last, but
 * for what he has lost.
 */
void
nvs_work_settle(NvsTableSet *set, NvsQueue *queue, NvsWork *work)
{
	work->settled = palloc(sizeof(Datum) * Max(work->ncompleted, 1));
	work->gone = palloc(sizeof(NvsSettledJob *) * Max(work->ntouched, 1));
	nvs_jobs_settle(set, queue, work);
	work_report_lost(queue, "completed", work->ncompleted - work->nsettled);
	work_report_lost(queue, "failed", work->nlost);
	work_report_gone(queue, work);
}

/*
 * The jobs of an argument, an array of objects; output is the member that says
 * what a job leaves, or how far it has come.
 */
static NvsSettledJob *
work_read(FunctionCallInfo fcinfo, int arg, const char *name,
		  const char *output, int *n)
{
	Jsonb	   *jobs;
	NvsSettledJob *read;
	int			i;

	*n = 0;
	if (PG_ARGISNULL(arg))
		return NULL;
	jobs = PG_GETARG_JSONB_P(arg);
	if (!JB_ROOT_IS_ARRAY(jobs) || JB_ROOT_IS_SCALAR(jobs))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be a JSON array", name),
				 errhint("Write [{\"id\": ..., \"attempt\": ..., \"%s\": ...}].",
						 output)));
	*n = JB_ROOT_COUNT(jobs);
	if (*n > NVS_MAX_JOBS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many jobs in one call: %d", *n),
				 errdetail("One call names at most %d.", NVS_MAX_JOBS)));
	read = palloc0(sizeof(NvsSettledJob) * Max(*n, 1));
	for (i = 0; i < *n; i++)
		work_read_job(nvs_jsonb_child(&jobs->root, i), name, output, i + 1,
					  &read[i]);
	return read;
}

/* Read the nth job of an argument. */
static void
work_read_job(NvsJsonbChild member, const char *name, const char *output,
			  int n, NvsSettledJob *job)
{
	const JsonbContainer *jc = (const JsonbContainer *) member.data;
	NvsJsonbChild value;
	Datum		attempt;

	if (!nvs_jsonb_is_object(member))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d of argument \"%s\" must be a JSON object", n,
						name)));
	job->id = work_read_number(jc, "id", name, n);
	attempt = Int64GetDatum(work_read_number(jc, "attempt", name, n));
	job->attempt = DatumGetInt32(DirectFunctionCall1(int84, attempt));
	job->has_output = nvs_jsonb_get(jc, output, strlen(output), &value);
	if (job->has_output)
		job->output = JsonbPGetDatum(nvs_jsonb_from_child(value));
}

/* A member of the nth job that is an integer, as a number or a string. */
static int64
work_read_number(const JsonbContainer *job, const char *member,
				 const char *name, int n)
{
	NvsJsonbChild value;
	Datum text;

	if (!nvs_jsonb_get(job, member, strlen(member), &value) ||
		(value.type != JENTRY_ISNUMERIC && value.type != JENTRY_ISSTRING))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d of argument \"%s\" must have the member \"%s\"",
						n, name, member)));
	if (value.type == JENTRY_ISNUMERIC)
		return DatumGetInt64(DirectFunctionCall1(numeric_int8,
												 PointerGetDatum(value.data)));
	text = CStringGetDatum(pnstrdup(value.data, value.len));

	return DatumGetInt64(DirectFunctionCall1(int8in, text));
}

/* Say that some jobs were not settled, since their leases are lost. */
static void
work_report_lost(const NvsQueue *queue, const char *what, int lost)
{
	if (lost > 0)
		ereport(WARNING,
				(errcode(ERRCODE_NVS_LEASE_LOST),
				 errmsg_plural("the lease of %d job of queue \"%s\" is lost",
							   "the leases of %d jobs of queue \"%s\" are lost",
							   lost, lost, queue->name),
				 errdetail("What was said of them to be %s does not count.",
						   what)));
}

/* Name the jobs that a worker goes on with though he has lost their leases. */
static void
work_report_gone(const NvsQueue *queue, const NvsWork *work)
{
	StringInfoData ids;
	int			i;

	if (work->ngone == 0)
		return;
	initStringInfo(&ids);
	for (i = 0; i < Min(work->ngone, MAX_NAMED); i++)
		appendStringInfo(&ids, "%s" INT64_FORMAT, i == 0 ? "" : ", ",
						 work->gone[i]->id);
	if (work->ngone > MAX_NAMED)
		appendStringInfoString(&ids, ", ...");
	ereport(WARNING,
			(errcode(ERRCODE_NVS_LEASE_LOST),
			 errmsg_plural("the lease of %d job of queue \"%s\" is lost",
						   "the leases of %d jobs of queue \"%s\" are lost",
						   work->ngone, work->ngone, queue->name),
			 errdetail("They were to be touched: %s.", ids.data),
			 errhint("Stop the work on them: it can be somebody else's.")));
}
