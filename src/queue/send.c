/*
 * queue/send.c
 *	  Sends jobs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "queue/slot.h"

/* Arguments of queue_send(); those from priority on are options of a job. */
enum
{
	SEND_QUEUE,
	SEND_DATA,
	SEND_PRIORITY,
	SEND_KEY,
	SEND_START_AFTER,
	SEND_START_AT,
	SEND_LEASE,
	SEND_MAX_RUN,
	SEND_RETRY_LIMIT,
	SEND_RETRY_DELAY,
	SEND_RETRY_BACKOFF,
	SEND_RETRY_DELAY_MAX,
	SEND_DEAD_LETTER,
	SEND_THROTTLE,
	SEND_DEBOUNCE,
	SEND_GROUP,
	SEND_STORE
};

PG_FUNCTION_INFO_V1(nvs_queue_send);
PG_FUNCTION_INFO_V1(nvs_queue_send_batch);

static NvsNewJob *send_read_jobs(FunctionCallInfo fcinfo, int *n);

/* nvent.queue_send(queue, data, ...): the job's id; NULL for none. */
Datum
nvs_queue_send(PG_FUNCTION_ARGS)
{
	NvsTableSet *set;
	NvsQueue   *queue;
	NvsNewJob	job;
	int64		id;

	PreventCommandIfReadOnly("nvent.queue_send()");
	nvs_job_take_arguments(&job, fcinfo);
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, SEND_QUEUE, SEND_STORE, NVS_USE_CHANGE,
						 &queue);
	nvs_jobs_insert(set, queue, &job, 1, &id);
	nvs_spi_end();
	if (id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(id);
}

/*
 * Take a job from the arguments of queue_send() or queue_publish(), to which it
 * points.
 */
void
nvs_job_take_arguments(NvsNewJob *job, FunctionCallInfo fcinfo)
{
	static const struct
	{
		int			arg;
		NvsJobOption option;
	}			options[] = {
		{SEND_PRIORITY, NVS_JOB_PRIORITY},
		{SEND_KEY, NVS_JOB_KEY},
		{SEND_START_AT, NVS_JOB_DUE_AT},
		{SEND_LEASE, NVS_JOB_LEASE},
		{SEND_MAX_RUN, NVS_JOB_MAX_RUN},
		{SEND_RETRY_LIMIT, NVS_JOB_RETRY_LIMIT},
		{SEND_RETRY_DELAY, NVS_JOB_RETRY_DELAY},
		{SEND_RETRY_BACKOFF, NVS_JOB_RETRY_BACKOFF},
		{SEND_RETRY_DELAY_MAX, NVS_JOB_RETRY_DELAY_MAX},
		{SEND_DEAD_LETTER, NVS_JOB_DEAD_LETTER},
		{SEND_GROUP, NVS_JOB_GROUP}
	};
	int			i;

	nvs_job_init(job);
	job->has_data = !PG_ARGISNULL(SEND_DATA);
	if (job->has_data)
		job->data = PG_GETARG_DATUM(SEND_DATA);

	/* These are no options themselves, but what others are worked out from. */
	if (!PG_ARGISNULL(SEND_START_AFTER) && !PG_ARGISNULL(SEND_START_AT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"start_after\" and \"start_at\" exclude "
						"each other")));
	if (!PG_ARGISNULL(SEND_START_AFTER))
		nvs_job_start_after(job, PG_GETARG_INTERVAL_P(SEND_START_AFTER));
	if (!PG_ARGISNULL(SEND_THROTTLE))
		nvs_job_throttle(job, PG_GETARG_INTERVAL_P(SEND_THROTTLE), false, 1);
	if (!PG_ARGISNULL(SEND_DEBOUNCE))
		nvs_job_throttle(job, PG_GETARG_INTERVAL_P(SEND_DEBOUNCE), true, 1);

	/* The rest has its place, and is the queue's to say where it is NULL. */
	for (i = 0; i < lengthof(options); i++)
		if (!PG_ARGISNULL(options[i].arg))
			nvs_job_set(job, options[i].option,
						PG_GETARG_DATUM(options[i].arg));
}

/*
 * nvent.queue_send_batch(queue, jobs, store): the jobs' ids, in their order,
 * NULL for those that were not sent.
 */
Datum
nvs_queue_send_batch(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsNewJob  *jobs;
	int64	   *ids;
	int			n;

	NVS_REQUIRE_ARG(1, "jobs");
	PreventCommandIfReadOnly("nvent.queue_send_batch()");
	jobs = send_read_jobs(fcinfo, &n);
	ids = palloc(sizeof(int64) * Max(n, 1));
	nvs_spi_begin();
	if (n > 0)
	{
		NvsQueue   *queue;
		NvsTableSet *set = nvs_queue_open(fcinfo, 0, 2, NVS_USE_CHANGE,
										  &queue);

		nvs_jobs_insert(set, queue, jobs, n, ids);
	}
	nvs_spi_end();
	nvs_result_put_ids(result, desc, ids, n);
	return (Datum) 0;
}

/* The jobs of argument 1, an array of objects. */
static NvsNewJob *
send_read_jobs(FunctionCallInfo fcinfo, int *n)
{
	NvsArrayArgs arrays = {"jobs", NVS_MAX_JOBS, NULL, 0};
	NvsNewJob  *jobs;
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	(void) nvs_array_argument(&arrays, fcinfo, 1, "jobs", &elements, &nulls);
	*n = arrays.length;
	jobs = palloc(sizeof(NvsNewJob) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("job %d must not be null", i + 1)));
		nvs_job_read(&jobs[i], DatumGetJsonbP(elements[i]), i + 1);
	}
	return jobs;
}
