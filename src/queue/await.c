/*
 * queue/await.c
 *	  Waits for jobs.
 *
 * Both are procedures, which commit before they sleep, so that who waits holds
 * no snapshot and no lock.  To look is to fetch.  Who only waits has that
 * rolled back: so both find the same, and never what they cannot take.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/subtransaction.h"
#include "queue/internal.h"
#include "wakeup/jobs.h"
#include "wakeup/wait.h"

/* How often a nap is doubled while others have what lanes there are. */
#define MAX_DOUBLED		5

/* Arguments of queue_await(). */
enum
{
	AWAIT_QUEUE,
	AWAIT_TIMEOUT,
	AWAIT_STORE
};

/* Arguments of queue_work_await() besides those of every one that works. */
enum
{
	WORK_TIMEOUT = NVS_WORK_MAX_COUNT + 1,
	WORK_WORKER,
	WORK_STORE,
	WORK_JOBS,
	WORK_TOUCHED
};

/* When the first turn of queue $1 comes due, behind $2. */
static const NvsStatement await_first_turn = {
	"SELECT t.due_at FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NOT NULL "
	"AND t.due_at OPERATOR(pg_catalog.>) $2 "
	"ORDER BY t.queue, t.due_at LIMIT 1"
};

/* When the first lease of queue $1 ends, behind $2 and before $3. */
static const NvsStatement await_first_lease = {
	"SELECT e.lease_until FROM {job_runs} e "
	"WHERE e.queue OPERATOR(pg_catalog.=) $1 "
	"AND e.lease_until OPERATOR(pg_catalog.>) $2 "
	"AND e.lease_until OPERATOR(pg_catalog.<) $3 AND e.outcome IS NULL "
	"ORDER BY e.queue, e.lease_until LIMIT 1"
};

/* A session that waits. */
typedef struct QueueWait
{
	NvsWait		wait;			/* first */
	FunctionCallInfo fcinfo;
	int			store;			/* argument */
	bool		registered;		/* somebody will wake us */
	int			nleft;			/* looks in a row that others had lanes at */
	NvsWork    *work;			/* to be settled first; NULL: only wait */
	bool		settled;
	MemoryContext cxt;			/* of what is returned */
	Datum		jobs;			/* jsonb */

	/* in a look */
	NvsTableSet *set;
	NvsQueue   *queue;
	TimestampTz began;
	TimestampTz due_at;			/* when something comes due */
} QueueWait;

PG_FUNCTION_INFO_V1(nvs_queue_await);
PG_FUNCTION_INFO_V1(nvs_queue_work_await);

static void await_begin(QueueWait *await, FunctionCallInfo fcinfo,
						int timeout, int store, const char *procedure);
static bool await_run(QueueWait *await);
static void await_stop(int code, Datum arg);
static bool await_look(NvsWait *base);
static bool await_fetch(QueueWait *await);
static bool await_is_ready(QueueWait *await);
static bool await_finds_none(void *arg);
static int	await_take(QueueWait *await, int max_count, text *worker,
					   Datum *jobs);
static Datum await_to_jsonb(Tuplestorestate *rows, TupleDesc desc);
static void await_plan_next(QueueWait *await);
static void await_find_due(QueueWait *await);
static void await_see(QueueWait *await, const NvsStatement *statement,
					  const NvsParams *params);

/* CALL nvent.queue_await(queue, timeout, store) */
Datum
nvs_queue_await(PG_FUNCTION_ARGS)
{
	QueueWait	await;

	await_begin(&await, fcinfo, AWAIT_TIMEOUT, AWAIT_STORE,
				"nvent.queue_await()");
	nvs_wait_connect(&await.wait);
	(void) await_run(&await);
	nvs_wait_finish();
	PG_RETURN_VOID();
}

/*
 * CALL nvent.queue_work_await(queue, completed, failed, max_count, timeout,
 * worker, store, jobs, touched): jobs becomes an array of what is fetched.
 */
Datum
nvs_queue_work_await(PG_FUNCTION_ARGS)
{
	QueueWait	await;
	NvsWork		work;
	TupleDesc	desc;
	bool		isnull = false;

	NVS_REQUIRE_ARG(NVS_WORK_MAX_COUNT, "max_count");
	await_begin(&await, fcinfo, WORK_TIMEOUT, WORK_STORE,
				"nvent.queue_work_await()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");
	nvs_work_read(&work, fcinfo, WORK_TOUCHED);
	await.work = &work;
	nvs_wait_connect(&await.wait);
	(void) await_run(&await);
	nvs_wait_finish();
	if (await.jobs == (Datum) 0)
		await.jobs = DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  &await.jobs, &isnull)));
}

/* Take the arguments; what must outlive a transaction is copied. */
static void
await_begin(QueueWait *await, FunctionCallInfo fcinfo, int timeout, int store,
			const char *procedure)
{
	memset(await, 0, sizeof(QueueWait));
	PreventCommandIfReadOnly(procedure);
	nvs_wait_init(&await->wait, fcinfo, timeout);
	if (!await->wait.commits && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot wait for jobs in REPEATABLE READ or "
						"SERIALIZABLE"),
				 errdetail("What comes would not be shown by the "
						   "transaction's snapshot.")));
	await->wait.look = await_look;
	await->fcinfo = fcinfo;
	await->store = store;
	await->cxt = CurrentMemoryContext;
}

/* Wait, and be known to wait meanwhile; true when there was something. */
static bool
await_run(QueueWait *await)
{
	bool		found;

	PG_ENSURE_ERROR_CLEANUP(await_stop, PointerGetDatum(await));
	{
		found = nvs_wait_run(&await->wait);
	}
	PG_END_ENSURE_ERROR_CLEANUP(await_stop, PointerGetDatum(await));
	if (await->registered)
		nvs_jobs_wait_end(false);
	return found;
}

/* Cleanup on an error and when the process ends: others are woken for us. */
static void
await_stop(int code pg_attribute_unused(), Datum arg)
{
	if (((QueueWait *) DatumGetPointer(arg))->registered)
		nvs_jobs_wait_end(true);
}

/*
 * Settle what is to be, and look for jobs.  Who finds none is known to wait
 * from then on, and looks once more before he sleeps.
 */
static bool
await_look(NvsWait *base)
{
	QueueWait  *await = (QueueWait *) base;
	bool		found;

	if (base->commits)
		EnsurePortalSnapshotExists();
	if (await->registered)
		nvs_jobs_wait_again();
	/* Locks that we have had no others tell us of what has changed. */
	AcceptInvalidationMessages();
	nvs_spi_begin();
	await->began = GetCurrentTimestamp();
	await->set = nvs_queue_open(await->fcinfo, AWAIT_QUEUE, await->store,
								NVS_USE_CHANGE, &await->queue);
	found = await->work != NULL ? await_fetch(await) : await_is_ready(await);
	if (!found)
		await_plan_next(await);
	nvs_spi_end();
	return found;
}

/* Settle what is to be, the first time, and fetch jobs; false for none. */
static bool
await_fetch(QueueWait *await)
{
	FunctionCallInfo fcinfo = await->fcinfo;
	NvsWork    *work = await->work;

	/* What it was before says nothing of a look that leaves out flows. */
	await->queue->expire_left = false;
	if (!await->settled)
		nvs_work_settle(await->set, await->queue, work);
	else if (await->wait.commits)
		work->holds = false;
	await->settled = true;
	return await_take(await, work->max_count,
					  nvs_worker_argument(fcinfo, WORK_WORKER),
					  &await->jobs) > 0 || work->max_count == 0;
}

/*
 * Could a job be fetched?  If it was, it is given back; what was found to be
 * done besides, as for leases that have run out, is not lost unless it was.
 */
static bool
await_is_ready(QueueWait *await)
{
	return !nvs_subtransaction(await_finds_none, await);
}

/* Fetch a job; true when there was none. */
static bool
await_finds_none(void *arg)
{
	if (await_take(arg, 1, NULL, NULL) == 0)
		return true;

	/* Whoever passed over it need not be told: we are here for it. */
	nvs_jobs_forget();
	return false;
}

/*
 * Fetch jobs; returns how many, and has *jobs be them if there are any, unless
 * that is NULL.
 */
static int
await_take(QueueWait *await, int max_count, text *worker, Datum *jobs)
{
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	TupleDesc	desc = nvs_fetched_desc();
	int			n = nvs_queue_fetch_into(await->set, await->queue, max_count,
										 worker, await->work, rows, desc);

	if (jobs != NULL && n > 0)
	{
		Datum		all = await_to_jsonb(rows, desc);
		MemoryContext old = MemoryContextSwitchTo(await->cxt);

		*jobs = datumCopy(all, false, -1);
		MemoryContextSwitchTo(old);
	}
	tuplestore_end(rows);
	return n;
}

/* An array of rows, each as an object. */
static Datum
await_to_jsonb(Tuplestorestate *rows, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc,
													&TTSOpsMinimalTuple);
	StringInfoData json;
	Datum		row;

	initStringInfo(&json);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(&json, json.len == 0 ? '[' : ',');
		row = DirectFunctionCall1(row_to_json,
								  ExecFetchSlotHeapTupleDatum(slot));
		appendStringInfoString(&json, TextDatumGetCString(row));
	}
	appendStringInfoString(&json, json.len == 0 ? "[]" : "]");
	ExecDropSingleTupleTableSlot(slot);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/*
 * There was no job: find out when to look again, wait->look_at, unless somebody
 * wakes us before.
 */
static void
await_plan_next(QueueWait *await)
{
	NvsWait    *wait = &await->wait;
	int			nap = NVS_NAP_WOKEN;

	/* Known to wait only from now on: look once more for what came before. */
	if (!await->registered)
	{
		await->registered = nvs_jobs_wait_begin(await->queue->wakeup);
		if (await->registered)
			wait->is_woken = nvs_jobs_is_woken;
		wait->look_at = await->registered ? await->began :
			TimestampTzPlusMilliseconds(await->began, NVS_NAP_ALONE);
		return;
	}
	if (nvs_jobs_wait_for(await->queue->wakeup))
	{
		/* It is another queue of the same name. */
		wait->look_at = await->began;
		return;
	}

	/*
	 * Leases that have run out, and were left by this look, wake nobody.  Nor
	 * does who lets places of lanes go that he had while we looked, as he
	 * took nothing; but he may have used them, and stay for long.
	 */
	if (!await->queue->lanes_left)
		await->nleft = 0;
	if (!await->queue->paused && await->queue->expire_left)
		nap = NVS_NAP_ALONE;
	else if (!await->queue->paused && await->queue->lanes_left)
	{
		nap = NVS_NAP_ALONE << await->nleft;
		await->nleft = Min(await->nleft + 1, MAX_DOUBLED);
	}
	wait->look_at = TimestampTzPlusMilliseconds(await->began, nap);

	/* One of those who wait finds out when something comes due. */
	if (await->queue->paused || !nvs_jobs_keep_time())
		return;
	await->due_at = wait->look_at;
	await_find_due(await);
	wait->look_at = await->due_at;
	nvs_jobs_keep_time_until(wait->look_at);
}

/*
 * Lower due_at to when the next turn comes due, the next lease ends, or a rate
 * lets the next job begin.
 */
static void
await_find_due(QueueWait *await)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(await->queue->number),
				   false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(await->began), false);
	nvs_table_set_lock_all(await->set);
	PushActiveSnapshot(GetLatestSnapshot());
	await_see(await, &await_first_turn, &params);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(await->due_at), false);
	await_see(await, &await_first_lease, &params);
	await->due_at = Min(await->due_at, nvs_rate_next(await->set, await->queue,
													 await->began));
	PopActiveSnapshot();
}

/* Lower due_at to what a statement finds. */
static void
await_see(QueueWait *await, const NvsStatement *statement,
		  const NvsParams *params)
{
	Datum		at;

	if (nvs_execute_first(nvs_statement_plan(await->set->plans, statement,
											 params, NULL),
						  params, true, CurrentMemoryContext, &at))
		await->due_at = Min(await->due_at, DatumGetTimestampTz(at));
}
