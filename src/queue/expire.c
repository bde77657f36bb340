/*
 * queue/expire.c
 *	  Ends runs whose leases have run out.
 *
 * They are found by an index on when leases end, which has the leases of all
 * runs, ended or not.  Up to a bound all of them have been dealt with, so each
 * is stepped over once, when its time has come.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "queue/internal.h"

/*
 * Up to $4 runs of queue $1 that last and whose leases end from $2 to $3; those
 * of flows among them where $5 says so.
 */
static const NvsStatement expire_runs = {
	"SELECT e.id, e.priority, e.attempt, e.retries FROM {job_runs} e "
	"WHERE e.queue OPERATOR(pg_catalog.=) $1 "
	"AND e.lease_until OPERATOR(pg_catalog.>=) $2 "
	"AND e.lease_until OPERATOR(pg_catalog.<=) $3 AND e.outcome IS NULL "
	"AND (e.flow IS NULL OR $5) "
	"ORDER BY e.queue, e.lease_until LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED"
};

/* $1 id, $2 attempt, of a run that is locked. */
static const NvsStatement expire_run = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_EXPIRED "', "
	"ended_at = " NVS_NOW " WHERE r.id OPERATOR(pg_catalog.=) $1 "
	"AND r.attempt OPERATOR(pg_catalog.=) $2"
};

/* When the first lease of queue $1 ends, from $2 to $3, of a run that lasts. */
static const NvsStatement expire_first_lease = {
	"SELECT e.lease_until FROM {job_runs} e "
	"WHERE e.queue OPERATOR(pg_catalog.=) $1 "
	"AND e.lease_until OPERATOR(pg_catalog.>=) $2 "
	"AND e.lease_until OPERATOR(pg_catalog.<) $3 AND e.outcome IS NULL "
	"ORDER BY e.queue, e.lease_until LIMIT 1"
};

/* Runs that are to be ended, and are locked. */
typedef struct ExpiredRuns
{
	NvsRun	   *runs;
	int			n;
} ExpiredRuns;

static void expire_check_clock(NvsQueue *queue);
static bool expire_end(NvsTableSet *set, NvsQueue *queue, const NvsRun *run);
static void expire_keep(TupleTableSlot *slot, void *arg);
static void expire_note_time(NvsQueue *queue, TimestampTz now);
static void expire_raise_bound(NvsTableSet *set, NvsQueue *queue);

/*
 * End up to limit runs of a queue whose leases had run out at a time, and see
 * what becomes of their jobs; true for as many as that.  flow gets those that
 * ended and belong to flows: the caller is to see to their children.  NULL:
 * those of flows are left, as he has what children must not be waited for with;
 * see queue/wait.c.
 */
bool
nvs_queue_expire(NvsTableSet *set, NvsQueue *queue, TimestampTz now,
				 int64 limit, NvsJobIds *flow)
{
	ExpiredRuns expired = {NULL, 0};
	NvsParams	params;
	int			i;

	expire_check_clock(queue);
	expire_note_time(queue, now);

	/* Lock them, but for those whose workers are just settling them. */
	expired.runs = palloc(sizeof(NvsRun) * limit);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(queue->lease_bound), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(limit), false);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(flow != NULL), false);
	(void) nvs_table_set_each(set, &expire_runs, &params, false, expire_keep,
							  &expired);

	/* The caller tells the children of all at once, in one order. */
	if (flow != NULL)
	{
		flow->ids = palloc(sizeof(Datum) * Max(expired.n, 1));
		flow->n = 0;
	}
	for (i = 0; i < expired.n; i++)
		if (expire_end(set, queue, &expired.runs[i]) && flow != NULL)
			flow->ids[flow->n++] = Int64GetDatum(expired.runs[i].id);

	/* Who has met all that had run out, and can see all, knows the next one. */
	if (expired.n < limit && !IsolationUsesXactSnapshot() &&
		nvs_queue_shows_all(set))
		expire_raise_bound(set, queue);
	pfree(expired.runs);
	return expired.n == limit;
}

/*
 * Where the clock was set back, or the tables come from a server whose clock
 * was ahead, runs begin whose leases end before times that are over: these say
 * nothing any more.
 */
static void
expire_check_clock(NvsQueue *queue)
{
	TimestampTz now = GetCurrentTimestamp();

	if (queue->lease_bound <= now && queue->noted_at <= now)
		return;
	queue->lease_bound = DT_NOBEGIN;
	queue->noted_at = queue->seen_upto = 0;
}

/*
 * End a run whose lease has run out; true for one by which a job of a flow has
 * ended, too.
 */
static bool
expire_end(NvsTableSet *set, NvsQueue *queue, const NvsRun *run)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(run->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(run->attempt), false);
	(void) nvs_table_set_run(set, &expire_run, &params);
	return nvs_run_failed(set, queue, run, (Datum) 0, false);
}

/* Keep a run that is to be ended. */
static void
expire_keep(TupleTableSlot *slot, void *arg)
{
	ExpiredRuns *expired = arg;
	NvsRun	   *run = &expired->runs[expired->n++];
	bool		isnull;

	run->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	run->priority = DatumGetInt32(slot_getattr(slot, 2, &isnull));
	run->attempt = DatumGetInt32(slot_getattr(slot, 3, &isnull));
	run->retries = DatumGetInt32(slot_getattr(slot, 4, &isnull));
}

/*
 * Note what time it is, or that all transactions that were open at a time that
 * was noted have ended: all leases that began before it can be seen then.
 */
static void
expire_note_time(NvsQueue *queue, TimestampTz now)
{
	TransactionId oldest = GetLatestSnapshot()->xmin;

	if (queue->noted_at != 0)
	{
		if (TransactionIdPrecedes(oldest, queue->noted_xid))
			return;
		queue->seen_upto = queue->noted_at;
	}
	queue->noted_at = now;
	queue->noted_xid = XidFromFullTransactionId(ReadNextFullTransactionId());
}

/*
 * Raise the bound below which no lease has to be looked at: to the first that
 * has not been ended, or to the time up to which we can see all of them, since
 * a lease ends after it begins.
 */
static void
expire_raise_bound(NvsTableSet *set, NvsQueue *queue)
{
	TimestampTz bound = queue->seen_upto;
	NvsParams	params;
	Datum		first;

	if (bound <= queue->lease_bound)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(queue->lease_bound), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(bound), false);

	/* What we have ended ourselves may be rolled back. */
	nvs_queue_push_others_snapshot();
	if (nvs_execute_first(nvs_statement_plan(set->plans, &expire_first_lease,
											 &params, NULL),
						  &params, true, CurrentMemoryContext, &first))
		bound = Min(bound, DatumGetTimestampTz(first));
	PopActiveSnapshot();
	queue->lease_bound = Max(queue->lease_bound, bound);
}
