/*
 * queue/blocked.c
 *	  Shows keys that a failed job keeps, and gives them up.
 *
 * Where keys are strict, a job that has failed for good keeps its place, and
 * the others of its key wait, until it is retried and completed, deleted, or
 * given up.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "queue/lane.h"
#include "wakeup/jobs.h"

/* In SQL, that run r failed, and was the last one of its job. */
#define FAILED_LAST \
	"r.outcome OPERATOR(pg_catalog.=) ANY " \
	"('{" NVS_RUN_FAILED "," NVS_RUN_EXPIRED "}'::pg_catalog.text[]) " \
	"AND r.attempt OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(m.attempt) " \
	"FROM {job_runs} m WHERE m.id OPERATOR(pg_catalog.=) r.id)"

/* In SQL, that the job of place l has no turn. */
#define HAS_NO_TURN \
	"(SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) l.id " \
	"LIMIT 1) IS NULL"

/* $1 queue. */
static const NvsStatement blocked_list = {
	"SELECT pg_catalog.substr(l.lane, 2), l.id, r.attempt, r.ended_at, "
	"r.output "
	"FROM {job_lanes} l JOIN {job_runs} r ON r.id OPERATOR(pg_catalog.=) l.id "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 AND l.held "
	"AND l.place OPERATOR(pg_catalog.=) 0 AND " FAILED_LAST " AND " HAS_NO_TURN
	" ORDER BY l.queue, l.lane"
};

/* The last run of the job that keeps key $2 of queue $1, if it failed. */
static const NvsStatement blocked_lock_run = {
	"SELECT r.id, r.attempt FROM {job_runs} r WHERE r.id "
	"OPERATOR(pg_catalog.=) (SELECT l.id FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.lane OPERATOR(pg_catalog.=) pg_catalog.concat('k', $2) "
	"AND l.place OPERATOR(pg_catalog.=) 0 AND l.held) AND " FAILED_LAST
	" FOR NO KEY UPDATE"
};

/*
 * Give up key $2 of queue $1 for the job $3 whose run $4 is locked: so it is
 * not given another turn, and if it was before, that can be seen.
 */
static const NvsStatement blocked_release = {
	"UPDATE {job_lanes} l SET held = false "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.lane OPERATOR(pg_catalog.=) pg_catalog.concat('k', $2) "
	"AND l.place OPERATOR(pg_catalog.=) 0 AND l.held "
	"AND l.id OPERATOR(pg_catalog.=) $3 AND " HAS_NO_TURN " "
	"AND (SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) $3 "
	"AND r.attempt OPERATOR(pg_catalog.>) $4 LIMIT 1) IS NULL"
};

/* A call. */
typedef struct Blocked
{
	FunctionCallInfo fcinfo;
	NvsTableSet *set;
	NvsQueue   *queue;
	Tuplestorestate *result;
	bool		done;
} Blocked;

PG_FUNCTION_INFO_V1(nvs_queue_blocked);
PG_FUNCTION_INFO_V1(nvs_queue_unblock);

static void blocked_show(Blocked *blocked);
static void blocked_put_row(TupleTableSlot *slot, void *arg);
static void blocked_give_up(Blocked *blocked);

/* nvent.queue_blocked(queue, store): a row for each key that a job keeps. */
Datum
nvs_queue_blocked(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Blocked		blocked;

	blocked.result = nvs_result_set(fcinfo, &desc);
	nvs_spi_begin();
	blocked.set = nvs_queue_open(fcinfo, 0, 1, NVS_USE_READ, &blocked.queue);
	blocked_show(&blocked);
	nvs_spi_end();
	return (Datum) 0;
}

/* Put the keys into the result. */
static void
blocked_show(Blocked *blocked)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(blocked->queue->number),
				   false);
	(void) nvs_table_set_each(blocked->set, &blocked_list, &params, true,
							  blocked_put_row, blocked->result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
blocked_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}

/* nvent.queue_unblock(queue, key, store): did a failed job keep the key? */
Datum
nvs_queue_unblock(PG_FUNCTION_ARGS)
{
	Blocked		blocked;

	NVS_REQUIRE_ARG(1, "key");
	PreventCommandIfReadOnly("nvent.queue_unblock()");
	blocked.fcinfo = fcinfo;
	blocked.done = false;
	nvs_spi_begin();
	blocked.set = nvs_queue_open(fcinfo, 0, 2, NVS_USE_CHANGE, &blocked.queue);
	blocked_give_up(&blocked);
	nvs_spi_end();
	PG_RETURN_BOOL(blocked.done);
}

/* Give up a key that a failed job keeps. */
static void
blocked_give_up(Blocked *blocked)
{
	NvsParams	params;
	Datum		row[2];
	bool		isnull[2];

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(blocked->queue->number),
				   false);
	nvs_params_add_arg(&params, blocked->fcinfo, 1, TEXTOID);
	if (!nvs_execute_row(nvs_statement_plan(blocked->set->plans,
											&blocked_lock_run, &params, NULL),
						 &params, false, CurrentMemoryContext, 2, row,
						 isnull))
		return;
	nvs_params_add(&params, INT8OID, row[0], false);
	nvs_params_add(&params, INT4OID, row[1], false);
	blocked->done = nvs_table_set_run(blocked->set, &blocked_release,
									  &params) > 0;
	if (blocked->done)
		nvs_jobs_note_ready(blocked->queue->wakeup, 1);
}
