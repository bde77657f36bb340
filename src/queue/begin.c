/*
 * queue/begin.c
 *	  Begins runs of jobs that a fetch has locked.
 *
 * That is a statement with a snapshot of its own, newer than those locks: it
 * shows the runs of whoever had the jobs before, so none is begun twice.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/direct.h"
#include "queue/lane.h"

/* Jobs whose runs are begun, in the order in which that is told of. */
typedef struct BegunRuns
{
	NvsFetch   *fetch;
	NvsFetchedJobs *jobs;
	int			next;
} BegunRuns;

/* Columns of a run that are an array's when many are begun. */
#define BEGIN_COLUMNS	7

/* $1 ids. */
static const NvsStatement begin_end_turns = {
	"DELETE FROM {job_turns} "
	"WHERE id OPERATOR(pg_catalog.=) ANY ($1)"
};

/*
 * Begin runs: $1 queue, $2 worker, then of each its id, priority, attempt,
 * retries, until when its lease and it may last, and whether it is of a flow;
 * those that are taken are left out.
 */
#define BEGIN_RUNS \
	"INSERT INTO {job_runs} (id, attempt, queue, priority, retries, " \
	"started_at, lease_until, run_until, worker, flow) " \
	"SELECT j.id, j.attempt, $1, j.priority, j.retries, " NVS_NOW ", " \
	"j.lease_until, j.run_until, $2, j.flow FROM ROWS FROM (" \
	"pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), " \
	"pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), " \
	"pg_catalog.unnest($9)) " \
	"j (id, priority, attempt, retries, lease_until, run_until, flow) " \
	"WHERE j.attempt OPERATOR(pg_catalog.>) 1 OR " NVS_NOT_TAKEN " "

/*
 * Begin a run unless the job is taken: $1 queue, $2 worker, $3 id, $4 priority,
 * $5 attempt, $6 retries, until when its lease $7 and it $8 may last, and $9
 * whether it is of a flow.
 */
#define BEGIN_RUN \
	"INSERT INTO {job_runs} (id, attempt, queue, priority, retries, " \
	"started_at, lease_until, run_until, worker, flow) " \
	"SELECT $3, $5, $1, $4, $6, " NVS_NOW ", $7, $8, $2, $9 " \
	"WHERE $5 OPERATOR(pg_catalog.>) 1 OR (SELECT r.id FROM {job_runs} r " \
	"WHERE r.id OPERATOR(pg_catalog.=) $3 LIMIT 1) IS NULL "

static const NvsStatement begin_runs = {
	BEGIN_RUNS "RETURNING id, attempt"
};
static const NvsStatement begin_run = {
	BEGIN_RUN "RETURNING id, attempt"
};

/*
 * Begin runs where the snapshot of the transaction may not show one that is
 * there: that is an error for who can only try again, 40001.
 */
static const NvsStatement begin_runs_serial = {
	BEGIN_RUNS "ON CONFLICT DO NOTHING RETURNING id, attempt"
};
static const NvsStatement begin_run_serial = {
	BEGIN_RUN "ON CONFLICT DO NOTHING RETURNING id, attempt"
};

static void begin_set_times(const NvsFetch *fetch, NvsFetchedJob *job);
static void begin_delete_turns(NvsFetch *fetch, const NvsFetchedJobs *jobs);
static void begin_params_one(const NvsFetch *fetch, const NvsFetchedJob *job,
							 NvsParams *params);
static void begin_params(const NvsFetch *fetch, const NvsFetchedJobs *jobs,
						 NvsParams *params);
static void begin_keep(TupleTableSlot *slot, void *arg);

/*
 * Begin runs of jobs that are locked; those that begin are added to the ones
 * that are taken.  Left out are those that others had before us; those that
 * wait in their lanes, or may not go just now, are not in the list any more.
 */
void
nvs_fetch_begin(NvsFetch *fetch, NvsFetchedJobs *jobs)
{
	bool		serial = IsolationUsesXactSnapshot();
	const NvsStatement *statement;
	NvsParams	params;
	BegunRuns	begun = {fetch, jobs, 0};
	int			i;

	/* Who has to wait keeps his turn, or gets one. */
	if (fetch->queue->has_lanes)
		nvs_fetch_admit(fetch, jobs);
	if (jobs->n == 0)
		return;

	/* Turns come before runs, as with all who have to do with a job. */
	for (i = 0; i < jobs->n; i++)
		begin_set_times(fetch, &jobs->jobs[i]);
	begin_delete_turns(fetch, jobs);

	/* Each way looks for runs by a snapshot that is newer than the locks. */
	if (nvs_direct_begin(fetch, jobs))
		return;
	if (jobs->n == 1)
	{
		statement = serial ? &begin_run_serial : &begin_run;
		begin_params_one(fetch, jobs->jobs, &params);
	}
	else
	{
		statement = serial ? &begin_runs_serial : &begin_runs;
		begin_params(fetch, jobs, &params);
	}
	(void) nvs_table_set_each(fetch->set, statement, &params, false,
							  begin_keep, &begun);
}

/*
 * Until when a run that begins now has its lease, and may last.  Nothing is an
 * error: one job must not keep a fetch from others.
 */
static void
begin_set_times(const NvsFetch *fetch, NvsFetchedJob *job)
{
	const NvsQueue *queue = fetch->queue;
	TimestampTz now = GetCurrentTimestamp();
	const Interval *max_run = job->max_run != NULL ? job->max_run :
		queue->max_run;

	job->lease_until = nvs_after_or_bound(now, job->lease != NULL ?
										  job->lease : &queue->lease);
	if (max_run == NULL)
		return;
	job->run_until = nvs_after_or_bound(now, max_run);
	job->lease_until = Min(job->lease_until, job->run_until);
}

/* Delete the turns that are among jobs whose runs begin. */
static void
begin_delete_turns(NvsFetch *fetch, const NvsFetchedJobs *jobs)
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
	(void) nvs_table_set_run(fetch->set, &begin_end_turns, &params);
}

/* The parameters that begin one run. */
static void
begin_params_one(const NvsFetch *fetch, const NvsFetchedJob *job,
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
	nvs_params_add(params, BOOLOID, BoolGetDatum(true), !job->run.flow);
}

/* The parameters that begin many runs. */
static void
begin_params(const NvsFetch *fetch, const NvsFetchedJobs *jobs,
			 NvsParams *params)
{
	static const Oid types[BEGIN_COLUMNS] = {
		INT8OID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		BOOLOID
	};
	Datum	   *values[BEGIN_COLUMNS];
	bool	   *nulls[BEGIN_COLUMNS] = {NULL};
	int			i;
	int			k;

	for (k = 0; k < BEGIN_COLUMNS; k++)
		values[k] = palloc(sizeof(Datum) * jobs->n);

	/* Many have no limit, most belong to no flow; the rest is never NULL. */
	nulls[5] = palloc(sizeof(bool) * jobs->n);
	nulls[6] = palloc(sizeof(bool) * jobs->n);
	for (i = 0; i < jobs->n; i++)
	{
		const NvsFetchedJob *job = &jobs->jobs[i];

		values[0][i] = Int64GetDatum(job->run.id);
		values[1][i] = Int32GetDatum(job->run.priority);
		values[2][i] = Int32GetDatum(job->run.attempt);
		values[3][i] = Int32GetDatum(job->run.retries);
		values[4][i] = TimestampTzGetDatum(job->lease_until);
		values[5][i] = TimestampTzGetDatum(job->run_until);
		values[6][i] = BoolGetDatum(true);
		nulls[5][i] = job->run_until == 0;
		nulls[6][i] = !job->run.flow;
	}

	/* What all of them have in common comes before the arrays. */
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(fetch->queue->number),
				   false);
	nvs_params_add(params, TEXTOID, PointerGetDatum(fetch->worker),
				   fetch->worker == NULL);
	nvs_params_add_arrays(params, types, values, nulls, BEGIN_COLUMNS,
						  jobs->n);
}

/*
 * A run has begun: its job is taken.  Those of one call come in their order.  A
 * job may be among them twice, as one of its level that was taken before, and
 * as a turn.
 */
static void
begin_keep(TupleTableSlot *slot, void *arg)
{
	BegunRuns  *begun = arg;
	MemoryContext old = MemoryContextSwitchTo(begun->fetch->cxt);
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	int32		attempt = DatumGetInt32(slot_getattr(slot, 2, &isnull));

	while (begun->next < begun->jobs->n)
	{
		const NvsFetchedJob *job = &begun->jobs->jobs[begun->next++];

		if (job->run.id == id && job->run.attempt == attempt)
		{
			nvs_fetched_append(&begun->fetch->taken, job);
			break;
		}
	}
	MemoryContextSwitchTo(old);
}
