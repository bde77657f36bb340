/*
 * queue/fetch.c
 *	  Leases jobs to workers.
 *
 * Ready are the jobs of a level that no run has, and turns that are due; of
 * both, those of the highest priority are taken, and of these the oldest.
 *
 * The first are found by queue/walk.c.  With our own rows locked, a snapshot
 * that is newer shows the runs of whoever had them before us, so none is taken
 * twice (queue/begin.c), and nobody waits for another transaction.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/lane.h"
#include "wakeup/jobs.h"

/* Turns and leases that one fetch makes due, beyond twice its own. */
#define SPARE_DUE		64

/* Jobs that one fetch takes where each of them may need a lock of its own. */
#define MAX_OF_LANES	500

/*
 * Up to $2 turns of queue $1 that are due, locked.  So are their jobs, lest
 * these be as they were when the statement began: who changes a job locks its
 * turn, but need not change that.
 */
static const NvsStatement fetch_turns = {
	"SELECT t.id, t.priority, t.attempt, t.retries, j.data, j.created_at, "
	"j.lease, j.max_run, j.flow FROM {job_turns} t JOIN {jobs} j "
	"ON j.queue OPERATOR(pg_catalog.=) t.queue "
	"AND j.priority OPERATOR(pg_catalog.=) t.priority "
	"AND j.id OPERATOR(pg_catalog.=) t.id "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NULL "
	"ORDER BY t.queue, t.priority DESC, t.id "
	"LIMIT $2 FOR UPDATE OF t SKIP LOCKED FOR KEY SHARE OF j SKIP LOCKED"
};

/* Have up to $3 turns of queue $1 be due that are by $2. */
static const NvsStatement fetch_due = {
	"UPDATE {job_turns} SET due_at = NULL "
	"WHERE id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NOT NULL "
	"AND t.due_at OPERATOR(pg_catalog.<=) $2 "
	"ORDER BY t.queue, t.due_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED))"
};

PG_FUNCTION_INFO_V1(nvs_queue_fetch);

static void fetch_check_count(int max_count);
static void fetch_run(NvsFetch *fetch);
static void fetch_rounds(NvsFetch *fetch);
static void fetch_round(NvsFetch *fetch);
static void fetch_make_due(NvsFetch *fetch);
static void fetch_expire(NvsFetch *fetch);
static void fetch_wake(NvsFetch *fetch);
static void fetch_look_for_turns(NvsFetch *fetch);
static void fetch_take_turns(NvsFetch *fetch, const NvsLevel *level);
static void fetch_leave(const NvsFetch *fetch);

/*
 * nvent.queue_fetch(queue, max_count, worker, store): a row for each job that
 * is leased, in the order in which they are to be run.
 */
Datum
nvs_queue_fetch(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsQueue   *queue;
	NvsTableSet *set;

	NVS_REQUIRE_ARG(1, "max_count");
	PreventCommandIfReadOnly("nvent.queue_fetch()");
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, 0, 3, NVS_USE_CHANGE, &queue);
	(void) nvs_queue_fetch_into(set, queue, PG_GETARG_INT32(1),
								nvs_worker_argument(fcinfo, 2), NULL, result,
								desc);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Who asks for jobs, as argument arg says: for NULL it is what the session is
 * called, its application_name.  NULL where that, or the argument, is empty.
 */
text *
nvs_worker_argument(FunctionCallInfo fcinfo, int arg)
{
	text	   *worker;

	if (PG_ARGISNULL(arg))
		return application_name == NULL || application_name[0] == '\0' ?
			NULL : cstring_to_text(application_name);
	worker = PG_GETARG_TEXT_PP(arg);
	return VARSIZE_ANY_EXHDR(worker) == 0 ? NULL : worker;
}

/*
 * End runs whose leases have run out before a call settles jobs of flows and
 * then fetches: when it fetches it has their children, and leaves such runs of
 * flows.  flow gets jobs whose children the caller is to see to.
 */
void
nvs_fetch_expire_first(NvsTableSet *set, NvsQueue *queue, int max_count,
					   NvsJobIds *flow)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		began = nvs_uptime();

	flow->n = 0;
	if (max_count <= 0 || max_count > NVS_MAX_JOBS || queue->paused)
		return;
	queue->expire_left = nvs_queue_expire(set, queue, now,
										  2 * (int64) max_count + SPARE_DUE,
										  flow);
	queue->expire_at = nvs_look_ends(began);
}

/* Raise an error for a number of jobs that is out of range. */
static void
fetch_check_count(int max_count)
{
	if (max_count < 0 || max_count > NVS_MAX_JOBS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						NVS_MAX_JOBS),
				 errdetail("It is %d.", max_count)));
}

/*
 * Lease up to max_count jobs of a queue to a worker, NULL for an unnamed one,
 * and put them into a result; returns how many.  work is what the call has
 * settled before; NULL: nothing.
 */
int
nvs_queue_fetch_into(NvsTableSet *set, NvsQueue *queue, int max_count,
					 text *worker, const NvsWork *work,
					 Tuplestorestate *result, TupleDesc desc)
{
	NvsFetch	fetch;
	int			i;

	fetch_check_count(max_count);
	memset(&fetch, 0, sizeof(fetch));
	fetch.holds = work != NULL && work->holds;
	fetch.set = set;
	fetch.queue = queue;

	/* A place may be a lock until we commit, and of these there are few. */
	fetch.wanted = queue->has_lanes || queue->rate.limit > 0 ?
		Min(max_count, MAX_OF_LANES) : max_count;
	fetch.worker = worker;
	fetch.cxt = CurrentMemoryContext;
	fetch.began = GetCurrentTimestamp();
	if (max_count > 0 && !queue->paused)
		fetch_run(&fetch);
	queue->lanes_left = fetch.left > 0 || fetch.others_have;

	/* They were taken as they were met, by several rounds. */
	qsort(fetch.taken.jobs, fetch.taken.n, sizeof(NvsFetchedJob),
		  nvs_fetched_compare);

	/* Who waits is told what there is if we are rolled back, and was left. */
	nvs_queue_taken(queue, fetch.taken.n);
	fetch_leave(&fetch);
	for (i = 0; i < fetch.taken.n; i++)
	{
		nvs_queue_due(queue, fetch.taken.jobs[i].lease_until);
		nvs_fetched_put(&fetch.taken.jobs[i], result, desc);
	}
	return fetch.taken.n;
}

/* Take jobs, and give back the keys of those that begin. */
static void
fetch_run(NvsFetch *fetch)
{
	Datum	   *ids;
	int			i;

	nvs_rate_reserve(fetch);

	/* Until a look for all leases says otherwise, if there can be one. */
	if (!fetch->holds)
		fetch->queue->expire_left = fetch->wanted > 0;
	if (fetch->wanted > 0)
		fetch_rounds(fetch);
	nvs_rate_begun(fetch);
	if (fetch->queue->policy == NVS_POLICY_STANDARD)
		return;
	ids = palloc(sizeof(Datum) * Max(fetch->taken.n, 1));
	for (i = 0; i < fetch->taken.n; i++)
		ids[i] = Int64GetDatum(fetch->taken.jobs[i].run.id);
	nvs_keys_begun(fetch->set, fetch->queue, ids, fetch->taken.n);
}

/* Take jobs: first from where they are expected, then from everywhere. */
static void
fetch_rounds(NvsFetch *fetch)
{
	int			waiting;

	fetch_round(fetch);
	fetch->all = true;
	do
	{
		if (fetch->taken.n == fetch->wanted)
			return;
		waiting = fetch->waiting;
		fetch_round(fetch);

		/* Behind those that wait there may be others that need not. */
	} while (fetch->waiting > waiting && fetch->waiting < NVS_MAX_STAYING);
}

/* Take what is wanted still, the highest priority first. */
static void
fetch_round(NvsFetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	int			i;

	fetch_expire(fetch);
	fetch_make_due(fetch);
	fetch_wake(fetch);
	fetch_look_for_turns(fetch);
	fetch->holds |= fetch->turns.n > 0 || queue->has_lanes;
	for (i = 0; i < queue->nlevels && fetch->taken.n < fetch->wanted; i++)
	{
		fetch_take_turns(fetch, &queue->levels[i]);
		if (fetch->taken.n < fetch->wanted)
			nvs_fetch_level(fetch, &queue->levels[i]);
	}
	fetch_take_turns(fetch, NULL);
}

/* Have turns be due whose time has come. */
static void
fetch_make_due(NvsFetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	TimestampTz now = GetCurrentTimestamp();
	int64		began = nvs_uptime();
	NvsParams	params;
	uint64		n;

	if (!nvs_look_begins(fetch, queue->due_at))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(2 * (int64) fetch->wanted + SPARE_DUE),
				   false);
	n = nvs_table_set_run(fetch->set, &fetch_due, &params);
	fetch->holds |= n > 0;
	fetch->made_due += n;
	queue->due_at = nvs_look_ends(began);
}

/*
 * End runs whose leases have run out, and see what becomes of their jobs; but
 * not those that this call has begun, however long it takes.  Children of flows
 * are looked after in one pass, before anything else is locked that somebody
 * with a child may wait for, as turns of others are; from then on runs of flows
 * are left to the next call.  So it is the first round that looks for them
 * where the second one cannot.
 */
static void
fetch_expire(NvsFetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	int64		began = nvs_uptime();
	NvsJobIds	flow = {NULL, 0};
	bool		left;

	if (!nvs_look_begins(fetch, queue->expire_at) &&
		!(queue->has_lanes && !fetch->holds && nvs_flow_any(fetch->set)))
		return;
	left = nvs_queue_expire(fetch->set, queue, fetch->began,
							2 * (int64) fetch->wanted + SPARE_DUE,
							fetch->holds ? NULL : &flow);

	/* Who leaves some must not keep the next round that need not from it. */
	if (!fetch->holds || !nvs_flow_any(fetch->set))
	{
		queue->expire_at = nvs_look_ends(began);
		queue->expire_left = left;
	}
	else
		queue->expire_left |= left;
	if (flow.n == 0)
		return;
	nvs_flow_ended(fetch->set, flow.ids, flow.n, NVS_RUN_FAILED);
	fetch->holds = true;
}

/* Have turns be due that waited in lanes in which there is room now. */
static void
fetch_wake(NvsFetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	int64		began = nvs_uptime();

	if (!queue->has_lanes || !nvs_look_begins(fetch, queue->lanes_at))
		return;
	nvs_rates_give_back(fetch->set, queue,
						2 * (int64) fetch->wanted + SPARE_DUE);
	nvs_lanes_wake(fetch->set, queue, 2 * (int64) fetch->wanted + SPARE_DUE);
	queue->lanes_at = nvs_look_ends(began);
}

/* Lock the turns that are due and come first. */
static void
fetch_look_for_turns(NvsFetch *fetch)
{
	NvsQueue   *queue = fetch->queue;
	int64		began = nvs_uptime();
	NvsParams	params;

	fetch->turns.n = 0;
	if (!nvs_look_begins(fetch, queue->turns_at))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8OID,
				   Int64GetDatum(fetch->wanted - fetch->taken.n), false);
	fetch->adding = &fetch->turns;
	(void) nvs_table_set_each(fetch->set, &fetch_turns, &params, false,
							  nvs_fetched_add, fetch);

	/* They were found by the priorities that the statement saw. */
	if (fetch->turns.n > 1)
		qsort(fetch->turns.jobs, fetch->turns.n, sizeof(NvsFetchedJob),
			  nvs_fetched_compare);
	queue->turns_at = nvs_look_ends(began);
}

/* Take the turns that come before a level; for NULL all that are left. */
static void
fetch_take_turns(NvsFetch *fetch, const NvsLevel *level)
{
	NvsFetchedJobs picked = {NULL, 0, 0};
	int			n = 0;

	while (n < fetch->turns.n && fetch->taken.n + n < fetch->wanted &&
		   (level == NULL ||
			fetch->turns.jobs[n].run.priority > level->priority))
		nvs_fetched_append(&picked, &fetch->turns.jobs[n++]);
	if (n == 0)
		return;
	nvs_fetched_remove(&fetch->turns, n);
	nvs_fetch_begin(fetch, &picked);
}

/*
 * A call that has all that it wants lets jobs go that it has locked, or made
 * due, and did not take.  Whoever looked meanwhile passed them over, and knows
 * of nothing that would have him look again.  A call that wants more has tried
 * to take all, and would wake itself for those that it could not.
 *
 * Of the turns that it made due it may have taken others instead: one is told
 * of at least.
 */
static void
fetch_leave(const NvsFetch *fetch)
{
	int			due = fetch->made_due;
	int			n = fetch->nspare + fetch->turns.n;
	int			i;

	if (fetch->taken.n == 0 || fetch->taken.n < fetch->wanted)
		return;
	for (i = 0; i < fetch->taken.n && due > 1; i++)
		due -= fetch->taken.jobs[i].is_turn;
	n += due;
	if (n == 0)
		return;
	nvs_jobs_note_taken(fetch->queue->wakeup, n);
	nvs_jobs_note_ready(fetch->queue->wakeup, n);
}
