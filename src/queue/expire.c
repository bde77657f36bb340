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

/* End up to $4 runs of queue $1 whose leases end from $2 to $3. */
static const NvsStatement expire_runs = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_EXPIRED "', "
	"ended_at = " NVS_NOW " FROM ("
	"SELECT e.id, e.attempt FROM {job_runs} e "
	"WHERE e.queue OPERATOR(pg_catalog.=) $1 "
	"AND e.lease_until OPERATOR(pg_catalog.>=) $2 "
	"AND e.lease_until OPERATOR(pg_catalog.<=) $3 AND e.outcome IS NULL "
	"ORDER BY e.queue, e.lease_until LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED) e "
	"WHERE r.id OPERATOR(pg_catalog.=) e.id "
	"AND r.attempt OPERATOR(pg_catalog.=) e.attempt AND r.outcome IS NULL "
	"RETURNING r.id, r.priority, r.attempt, r.retries"
};

/* When the first lease of queue $1 from $2 on ends that has not been ended. */
static const NvsStatement expire_first_lease = {
	"SELECT e.lease_until FROM {job_runs} e "
	"WHERE e.queue OPERATOR(pg_catalog.=) $1 "
	"AND e.lease_until OPERATOR(pg_catalog.>=) $2 AND e.outcome IS NULL "
	"ORDER BY e.queue, e.lease_until LIMIT 1"
};

/* Runs that were ended, in cxt. */
typedef struct ExpiredRuns
{
	NvsRun	   *runs;
	int			n;
	MemoryContext cxt;
} ExpiredRuns;

static void expire_keep(TupleTableSlot *slot, void *arg);
static void expire_note_time(NvsQueue *queue, TimestampTz now);
static void expire_raise_bound(NvsTableSet *set, NvsQueue *queue);

/*
 * End up to limit runs of a queue whose leases had run out at a time, and see
 * what becomes of their jobs.
 */
void
nvs_queue_expire(NvsTableSet *set, NvsQueue *queue, TimestampTz now,
				 int64 limit)
{
	ExpiredRuns expired = {NULL, 0, CurrentMemoryContext};
	NvsParams	params;
	int			i;

	expire_note_time(queue, now);
	expired.runs = palloc(sizeof(NvsRun) * limit);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(queue->lease_bound), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(now), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(limit), false);
	(void) nvs_execute_each(nvs_statement_plan(set->plans, &expire_runs,
											   &params, NULL),
							&params, false, expire_keep, &expired);
	for (i = 0; i < expired.n; i++)
		nvs_run_failed(set, queue, &expired.runs[i], (Datum) 0, false);
	if (expired.n < limit && !IsolationUsesXactSnapshot())
		expire_raise_bound(set, queue);
	pfree(expired.runs);
}

/* Keep a run that was ended. */
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
	if (nvs_execute_first(nvs_statement_plan(set->plans, &expire_first_lease,
											 &params, NULL),
						  &params, false, CurrentMemoryContext, &first))
		bound = Min(bound, DatumGetTimestampTz(first));
	queue->lease_bound = Max(queue->lease_bound, bound);
}
