/*
 * queue/drop.c
 *	  Drops queues, with all that belongs to them.
 *
 * Unlike who empties a queue, who drops it leaves nothing to others that have
 * it: he waits for them.  So he takes a job after another, in the order of
 * their ids, and of each its turn, its runs and its row, as do those who change
 * jobs that they name.  Jobs that wait for others come behind these, in one
 * order with jobs of other queues that wait for any of this one: see
 * queue/wait.c.  What only the jobs had comes last.
 *
 * What is sent to the queue meanwhile, and committed later, maintenance finds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "queue/bind.h"
#include "queue/internal.h"

/* Jobs that are locked and deleted by a statement. */
#define DROP_BATCH		1000

/* $1 name. */
static const NvsStatement drop_queue = {
	"DELETE FROM {queues} WHERE name OPERATOR(pg_catalog.=) $1 "
	"RETURNING number"
};

/* Jobs of queue $1 that wait for no others; and all that it has. */
static const NvsStatement drop_find = {
	"SELECT j.id, j.priority FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 AND NOT EXISTS ("
	"SELECT FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) j.id)"
};
static const NvsStatement drop_find_rest = {
	"SELECT j.id, j.priority FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1"
};

/*
 * Lock all of the jobs $2 of queue $1, whose priorities are $3, one after
 * another: of each what is selected in that order.
 */
static const NvsStatement drop_lock = {
	"SELECT (SELECT t.id FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) u.id AND " NVS_IN_QUEUE("t", "1") " "
	"FOR UPDATE), (SELECT pg_catalog.count(*) FROM ("
	"SELECT r.attempt FROM {job_runs} r "
	"WHERE r.id OPERATOR(pg_catalog.=) u.id AND " NVS_IN_QUEUE("r", "1") " "
	"ORDER BY r.attempt DESC FOR UPDATE) l), (SELECT j.id FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) u.priority "
	"AND j.id OPERATOR(pg_catalog.=) u.id FOR UPDATE) "
	"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) "
	"u (id, priority)"
};

/* What belongs to the jobs $2 of queue $1. */
static const NvsStatement drop_turns = {NVS_DELETE_OF_JOBS("job_turns")};
static const NvsStatement drop_runs = {NVS_DELETE_OF_JOBS("job_runs")};
static const NvsStatement drop_waits = {NVS_DELETE_OF_JOBS("job_waits")};

/* The rows of jobs $2 of queue $1 and priorities $3, each by its whole key. */
static const NvsStatement drop_jobs = {
	"DELETE FROM {jobs} j USING ROWS FROM (pg_catalog.unnest($2), "
	"pg_catalog.unnest($3)) u (id, priority) "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) u.priority "
	"AND j.id OPERATOR(pg_catalog.=) u.id"
};

/* The row of job $2, an array, of queue $1, whatever its priority is now. */
static const NvsStatement drop_job = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) " NVS_ANY_PRIORITY("1") " "
	"AND j.id OPERATOR(pg_catalog.=) ($2)[1]"
};

/* What is of no job any more, of queue $1. */
static const NvsStatement drop_stray_turns = {
	"DELETE FROM {job_turns} WHERE queue OPERATOR(pg_catalog.=) $1"
};
static const NvsStatement drop_stray_runs = {
	"DELETE FROM {job_runs} WHERE queue OPERATOR(pg_catalog.=) $1"
};

/* What only jobs of queue $1 had, and what they were sent by. */
static const NvsStatement drop_rest[] = {
	{"DELETE FROM {job_keys} WHERE queue OPERATOR(pg_catalog.=) $1"},
	{"DELETE FROM {job_slots} WHERE queue OPERATOR(pg_catalog.=) $1"},
	{"DELETE FROM {job_lanes} WHERE queue OPERATOR(pg_catalog.=) $1"},
	{"DELETE FROM {job_levels} WHERE queue OPERATOR(pg_catalog.=) $1"}
};

/* A job. */
typedef struct DroppedJob
{
	int64		id;
	int32		priority;
} DroppedJob;

/* A call. */
typedef struct Drop
{
	NvsTableSet *set;
	Datum		number;			/* of the queue, int4 */
	DroppedJob *jobs;
	Size		njobs;
	Size		size;
	NvsFlowPass *pass;			/* NULL: there are no flows */
	MemoryContext cxt;			/* of the jobs */
	MemoryContext scratch;		/* for some of them */
} Drop;

PG_FUNCTION_INFO_V1(nvs_queue_drop);

static void drop_all(Drop *drop);
static bool drop_some(Drop *drop);
static void drop_find_jobs(Drop *drop, const NvsStatement *statement);
static void drop_keep(TupleTableSlot *slot, void *arg);
static int	drop_compare(const void *a, const void *b);
static uint64 drop_batch(Drop *drop, const DroppedJob *jobs, int n);
static void drop_locked(TupleTableSlot *slot, void *arg);
static void drop_those_waiting(Drop *drop);
static void drop_waiting(void *arg, int64 id);
static void drop_params(const Drop *drop, NvsParams *params,
						const Datum *ids, int n);
static void drop_strays(const Drop *drop);

/* nvent.queue_drop(queue, store): false when there is none. */
Datum
nvs_queue_drop(PG_FUNCTION_ARGS)
{
	Drop		drop;
	NvsParams	params;
	bool		dropped;

	NVS_REQUIRE_ARG(0, "queue");
	PreventCommandIfReadOnly("nvent.queue_drop()");
	memset(&drop, 0, sizeof(drop));
	nvs_spi_begin();
	drop.set = nvs_table_set_require(&nvs_queue_tables, fcinfo, 1);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	dropped = nvs_execute_first(nvs_statement_plan(drop.set->plans,
												   &drop_queue, &params,
												   NULL),
								&params, false, CurrentMemoryContext,
								&drop.number);
	if (dropped)
		drop_all(&drop);
	nvs_spi_end();
	PG_RETURN_BOOL(dropped);
}

/* Delete what belongs to a queue, by its number. */
static void
drop_all(Drop *drop)
{
	NvsParams	params;
	int			i;

	drop->cxt = CurrentMemoryContext;
	drop->scratch = AllocSetContextCreate(drop->cxt, "jobs of a dropped queue",
										  ALLOCSET_DEFAULT_SIZES);
	while (drop_some(drop))
		CHECK_FOR_INTERRUPTS();
	drop_strays(drop);
	drop_those_waiting(drop);
	MemoryContextDelete(drop->scratch);

	/* Who waits for one of these has nothing that we want. */
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, drop->number, false);
	for (i = 0; i < lengthof(drop_rest); i++)
		(void) nvs_table_set_run(drop->set, &drop_rest[i], &params);
	nvs_bindings_drop(drop->set->prefix, drop->number);
}

/*
 * Delete the jobs that wait for no others; false when there were none, or they
 * are kept from that.  One may have come, or have another priority, meanwhile.
 */
static bool
drop_some(Drop *drop)
{
	uint64		deleted = 0;
	Size		done;

	drop_find_jobs(drop, &drop_find);
	for (done = 0; done < drop->njobs; done += DROP_BATCH)
	{
		CHECK_FOR_INTERRUPTS();
		deleted += drop_batch(drop, drop->jobs + done,
							  Min(drop->njobs - done, DROP_BATCH));
	}
	return deleted > 0;
}

/* Find jobs of the queue, which are in the order of their ids then. */
static void
drop_find_jobs(Drop *drop, const NvsStatement *statement)
{
	NvsParams	params;

	drop->njobs = 0;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, drop->number, false);
	(void) nvs_table_set_each(drop->set, statement, &params, false,
							  drop_keep, drop);
	if (drop->njobs > 1)
		qsort(drop->jobs, drop->njobs, sizeof(DroppedJob), drop_compare);
}

/* Keep a job that was found. */
static void
drop_keep(TupleTableSlot *slot, void *arg)
{
	Drop	   *drop = arg;
	DroppedJob *job;
	bool		isnull;

	if (drop->njobs == drop->size)
	{
		Size		size = Max(2 * drop->size, DROP_BATCH);

		drop->jobs = drop->size == 0 ?
			MemoryContextAlloc(drop->cxt, sizeof(DroppedJob) * size) :
			repalloc_huge(drop->jobs, sizeof(DroppedJob) * size);
		drop->size = size;
	}
	job = &drop->jobs[drop->njobs++];
	job->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	job->priority = DatumGetInt32(slot_getattr(slot, 2, &isnull));
}

/* qsort() comparator: jobs by their ids. */
static int
drop_compare(const void *a, const void *b)
{
	const DroppedJob *x = a;
	const DroppedJob *y = b;

	return x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
}

/*
 * Delete some jobs, and whatever they have got until they were locked; returns
 * how many rows of them went.
 */
static uint64
drop_batch(Drop *drop, const DroppedJob *jobs, int n)
{
	MemoryContext old = MemoryContextSwitchTo(drop->scratch);
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *priorities = palloc(sizeof(Datum) * n);
	NvsParams	params;
	uint64		deleted;
	int			i;

	for (i = 0; i < n; i++)
	{
		ids[i] = Int64GetDatum(jobs[i].id);
		priorities[i] = Int32GetDatum(jobs[i].priority);
	}
	drop_params(drop, &params, ids, n);
	nvs_params_add(&params, INT4ARRAYOID,
				   nvs_array_of(INT4OID, priorities, NULL, n), false);
	(void) nvs_table_set_each(drop->set, &drop_lock, &params, false,
							  drop_locked, NULL);

	/* They are deleted by newer snapshots than that they were locked by. */
	params.n = 2;
	(void) nvs_table_set_run(drop->set, &drop_turns, &params);
	(void) nvs_table_set_run(drop->set, &drop_runs, &params);
	params.n = 3;
	deleted = nvs_table_set_run(drop->set, &drop_jobs, &params);
	MemoryContextSwitchTo(old);
	MemoryContextReset(drop->scratch);
	return deleted;
}

/* A job is locked, and nothing about it is wanted. */
static void
drop_locked(TupleTableSlot *slot pg_attribute_unused(),
			void *arg pg_attribute_unused())
{
}

/* The parameters that name the queue and jobs of it, int8. */
static void
drop_params(const Drop *drop, NvsParams *params, const Datum *ids, int n)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, drop->number, false);
	nvs_params_add(params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
}

/*
 * Delete what is left of jobs that are gone: what somebody has forgotten who
 * deleted their rows by hand, and what theirs got before they were deleted.
 */
static void
drop_strays(const Drop *drop)
{
	NvsParams	params;
	uint64		n;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, drop->number, false);
	do
	{
		CHECK_FOR_INTERRUPTS();
		n = nvs_table_set_run(drop->set, &drop_stray_turns, &params);
		n += nvs_table_set_run(drop->set, &drop_stray_runs, &params);
	} while (n > 0);
}

/*
 * Delete the jobs that are left, which waited for others when the rest was
 * found, and see to who waits for any of the queue.
 */
static void
drop_those_waiting(Drop *drop)
{
	Size		i;

	drop->pass = nvs_flow_begin(drop->set, drop_waiting, drop);
	if (drop->pass == NULL)
		return;
	drop_find_jobs(drop, &drop_find_rest);
	for (i = 0; i < drop->njobs; i++)
		nvs_flow_add_waiting(drop->pass, drop->jobs[i].id);
	nvs_flow_add_queue(drop->pass, drop->number);
	nvs_flow_finish(drop->pass);
}

/* Delete a job that waits, or has got its turn, as a pass comes to it. */
static void
drop_waiting(void *arg, int64 id)
{
	Drop	   *drop = arg;
	MemoryContext old = MemoryContextSwitchTo(drop->scratch);
	Datum		ids = Int64GetDatum(id);
	NvsParams	params;

	drop_params(drop, &params, &ids, 1);
	(void) nvs_table_set_run(drop->set, &drop_waits, &params);
	(void) nvs_table_set_run(drop->set, &drop_turns, &params);
	(void) nvs_table_set_run(drop->set, &drop_runs, &params);
	(void) nvs_table_set_run(drop->set, &drop_job, &params);
	MemoryContextSwitchTo(old);
	MemoryContextReset(drop->scratch);
}
