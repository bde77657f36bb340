/*
 * queue/settle_many.c
 *	  Settles many jobs at once, in one order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "queue/direct.h"

/* The arguments of queue_complete_many(). */
enum
{
	MANY_QUEUE,
	MANY_IDS,
	MANY_ATTEMPTS,
	MANY_OUTPUTS,
	MANY_STORE
};

/*
 * $1 ids, $2 attempts, $3 queue.  The runs are found by the ids and then looked
 * up among what was given: a join could be planned to begin with all runs.
 */
static const NvsStatement many_complete_ids = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_COMPLETED "', "
	"ended_at = " NVS_NOW " WHERE r.id OPERATOR(pg_catalog.=) ANY ($1) "
	"AND ((r.id, r.attempt) OPERATOR(pg_catalog.=) ANY ("
	"SELECT u.id, u.attempt FROM ROWS FROM ("
	"pg_catalog.unnest($1), pg_catalog.unnest($2)) u (id, attempt))) IS TRUE "
	"AND " NVS_IN_QUEUE("r", "3") " AND " NVS_RUN_LIVES("r")
	" RETURNING r.id, r.flow"
};

/* A call. */
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

PG_FUNCTION_INFO_V1(nvs_queue_complete_many);

static NvsSettledJob *many_read(FunctionCallInfo fcinfo, int *n);
static void many_all(SettleMany *many);
static void many_runs(SettleMany *many);
static void many_tell_all(SettleMany *many);
static NvsSettledJob *many_next_single(const NvsWork *work, int failed,
									   int touched);
static void many_touch_one(SettleMany *many, NvsSettledJob *job);
static bool many_is_among(const NvsSettledJob *jobs, int n,
						  const NvsSettledJob *job);
static void many_fail_one(SettleMany *many, const NvsSettledJob *job);
static int	many_compare(const void *a, const void *b);
static void many_complete_some(SettleMany *many, int from, int n);
static int	many_complete_rest(SettleMany *many, const NvsSettledJob *jobs,
							   int n);
static void many_complete_plain(SettleMany *many, const NvsSettledJob *jobs,
								int n);
static void many_keep_id(TupleTableSlot *slot, void *arg);
static void many_keep(SettleMany *many, Datum id, bool flow);
static void many_keep_flow(SettleMany *many, NvsJobIds *flow, Datum id);

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

	work.completed = many_read(fcinfo, &work.ncompleted);
	PreventCommandIfReadOnly("nvent.queue_complete_many()");
	work.settled = palloc(sizeof(Datum) * Max(work.ncompleted, 1));
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, MANY_QUEUE, MANY_STORE, NVS_USE_CHANGE,
						 &queue);
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
 * The jobs that arguments name: ids, attempts, and outputs if they are there;
 * *n gets how many they are.
 */
static NvsSettledJob *
many_read(FunctionCallInfo fcinfo, int *n)
{
	NvsArrayArgs arrays = {"jobs", NVS_MAX_JOBS, NULL, 0};
	Datum	   *values[3];
	bool	   *nulls[3];
	bool		has_outputs;
	NvsSettledJob *jobs;
	int			i;

	NVS_REQUIRE_ARG(MANY_IDS, "ids");
	NVS_REQUIRE_ARG(MANY_ATTEMPTS, "attempts");

	/* They are of one length, which is checked as they are taken. */
	(void) nvs_array_argument(&arrays, fcinfo, MANY_IDS, "ids", &values[0],
							  &nulls[0]);
	(void) nvs_array_argument(&arrays, fcinfo, MANY_ATTEMPTS, "attempts",
							  &values[1], &nulls[1]);
	has_outputs = nvs_array_argument(&arrays, fcinfo, MANY_OUTPUTS, "outputs",
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
			  many_compare);
	if (work->nfailed > 1)
		qsort(work->failed, work->nfailed, sizeof(NvsSettledJob),
			  many_compare);
	if (work->ntouched > 1)
		qsort(work->touched, work->ntouched, sizeof(NvsSettledJob),
			  many_compare);
	if (work->ncompleted + work->nfailed + work->ntouched > 0)
		many_all(&many);
}

/*
 * Settle all jobs in the order of their ids, then see to those that wait for
 * them, in one pass, and then to keys; see queue/wait.c.
 */
static void
many_all(SettleMany *many)
{
	const NvsWork *work = many->work;

	many_runs(many);
	if (many->completed.n + many->failed.n > 0)
		many_tell_all(many);
	nvs_keys_release(many->set, many->queue, work->settled, work->nsettled);
	if (work->nsettled > 0 && !many->queue->keeps_ended)
		nvs_jobs_delete_ended(many->set, many->queue, work->settled,
							  work->nsettled);
}

/*
 * End or prolong the runs of all jobs, in the order of their ids: those that
 * fail or are touched one by one, and before each of them at once those that
 * are completed and come before it.
 */
static void
many_runs(SettleMany *many)
{
	NvsWork    *work = many->work;
	NvsSettledJob *job;
	int			done = 0;
	int			failed = 0;
	int			touched = 0;

	while ((job = many_next_single(work, failed, touched)) != NULL)
	{
		int			to = done;

		CHECK_FOR_INTERRUPTS();

		/* Of one id what is completed comes before what fails. */
		while (to < work->ncompleted && work->completed[to].id <= job->id)
			to++;
		many_complete_some(many, done, to - done);
		done = to;

		/* A failure has its own consequences, and a touch its own lease. */
		if (failed < work->nfailed && job == &work->failed[failed])
		{
			many_fail_one(many, job);
			failed++;
		}
		else
		{
			many_touch_one(many, job);
			touched++;
		}
	}
	many_complete_some(many, done, work->ncompleted - done);
}

/*
 * Jobs of flows have ended: see to those that wait for them.  Whose leases have
 * run out, and who would be ended by the fetch that follows, end before that,
 * so that the children of all come in one order.
 */
static void
many_tell_all(SettleMany *many)
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
many_next_single(const NvsWork *work, int failed, int touched)
{
	NvsSettledJob *one = failed < work->nfailed ? &work->failed[failed] : NULL;
	NvsSettledJob *other = touched < work->ntouched ?
		&work->touched[touched] : NULL;

	if (one == NULL || other == NULL)
		return one == NULL ? other : one;
	return many_compare(one, other) <= 0 ? one : other;
}

/*
 * Have the lease of a job that is still worked on last from now on; but nobody
 * works on one that the call settles, too.
 */
static void
many_touch_one(SettleMany *many, NvsSettledJob *job)
{
	const NvsWork *work = many->work;
	TimestampTz until;

	if (many_is_among(work->completed, work->ncompleted, job) ||
		many_is_among(work->failed, work->nfailed, job))
		return;
	if (!nvs_run_extend(many->set, many->queue, job, NULL, &until))
		many->work->gone[many->work->ngone++] = job;
}

/* Is an attempt among some, which are in order? */
static bool
many_is_among(const NvsSettledJob *jobs, int n, const NvsSettledJob *job)
{
	return n > 0 && bsearch(job, jobs, n, sizeof(NvsSettledJob),
							many_compare) != NULL;
}

/* Have a job fail. */
static void
many_fail_one(SettleMany *many, const NvsSettledJob *job)
{
	NvsRun		run;

	if (!nvs_run_end(many->set, many->queue, NVS_RUN_FAILED, job, &run))
		many->work->nlost++;
	else if (nvs_run_failed(many->set, many->queue, &run, job->output,
							job->has_output))
		many_keep_flow(many, &many->failed, Int64GetDatum(run.id));
}

/* qsort() comparator: by id and attempt. */
static int
many_compare(const void *a, const void *b)
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
many_complete_some(SettleMany *many, int from, int n)
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
		many_keep(many, Int64GetDatum(runs[i].id), runs[i].flow);
	pfree(runs);
	while (next < n)
		next += many_complete_rest(many, jobs + next, n - next);

	/* If one is missing, is its lease lost, or just not shown to us? */
	for (i = 0; many->work->nsettled - before < n && i < n; i++)
		nvs_run_check_shown(many->set, many->queue, jobs[i].id,
							jobs[i].attempt);
}

/*
 * Complete the first of n jobs by a statement: one with output, or all before
 * the next such.  Returns how many that were.
 */
static int
many_complete_rest(SettleMany *many, const NvsSettledJob *jobs, int n)
{
	NvsRun		run;
	int			plain = 0;

	while (plain < n && !jobs[plain].has_output)
		plain++;
	if (plain > 0)
		many_complete_plain(many, jobs, plain);
	else if (nvs_run_end(many->set, many->queue, NVS_RUN_COMPLETED, jobs,
						 &run))
		many_keep(many, Int64GetDatum(run.id), run.flow);
	return Max(plain, 1);
}

/* Complete n jobs without output, by a statement. */
static void
many_complete_plain(SettleMany *many, const NvsSettledJob *jobs, int n)
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
	(void) nvs_table_set_each_of(many->set, &many_complete_ids, &params,
								 false, n, many_keep_id, many);
}

/* Keep the id of a job that was completed; an int8 is no pointer here. */
static void
many_keep_id(TupleTableSlot *slot, void *arg)
{
	SettleMany *many = arg;
	bool		isnull;
	Datum		id = slot_getattr(slot, 1, &isnull);

	(void) slot_getattr(slot, 2, &isnull);
	many_keep(many, id, !isnull);
}

/* A job was completed. */
static void
many_keep(SettleMany *many, Datum id, bool flow)
{
	many->work->settled[many->work->nsettled++] = id;
	if (flow)
		many_keep_flow(many, &many->completed, id);
}

/* Keep the id of a job of a flow: its children are to be looked after. */
static void
many_keep_flow(SettleMany *many, NvsJobIds *flow, Datum id)
{
	if (flow->ids == NULL)
		flow->ids = MemoryContextAlloc(many->cxt, sizeof(Datum) *
									   (many->work->ncompleted +
										many->work->nfailed));
	flow->ids[flow->n++] = id;
}
