/*
 * queue/control.c
 *	  What operators do with a job: cancel, resume, retry, delete.
 *
 * These take the job wherever it stands, and change it only from where that
 * makes sense; else they return false and change nothing.
 *
 * Rows that are added are so ON CONFLICT DO NOTHING: where the snapshot of the
 * transaction does not show what others did since, that is 40001.
 *
 * What a job that waits for others has in {job_waits} is locked first, then a
 * run, and then the job's row, as by who completes it; while a job's row is
 * locked nobody begins its first run.  Keys come last.  Whoever has waited for
 * the row, and finds that there is a run by now, lets the row go again: a
 * subtransaction is rolled back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "base/subtransaction.h"
#include "queue/lane.h"
#include "queue/slot.h"

/* The first arguments of all these functions. */
enum
{
	CONTROL_QUEUE,
	CONTROL_ID,
	CONTROL_STORE
};

/* In SQL, what belongs to job $2 of queue $1. */
#define OF_JOB(alias) \
	alias ".id OPERATOR(pg_catalog.=) $2 " \
	"AND " NVS_IN_QUEUE(alias, "1")

/* The job itself, whatever priorities the queue has got by now. */
#define THE_JOB \
	"j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.priority OPERATOR(pg_catalog.=) " NVS_ANY_PRIORITY("1") " " \
	"AND j.id OPERATOR(pg_catalog.=) $2"

static const NvsStatement control_cancel_active = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_CANCELLED "', "
	"ended_at = " NVS_NOW " WHERE " OF_JOB("r") " AND r.outcome IS NULL"
};
static const NvsStatement control_delete_turn = {
	"DELETE FROM {job_turns} t WHERE " OF_JOB("t")
	" RETURNING t.priority, t.attempt, t.retries, t.lane"
};

/* $3 attempt. */
static const NvsStatement control_cancel_run = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_CANCELLED "' "
	"WHERE " OF_JOB("r") " AND r.attempt OPERATOR(pg_catalog.=) $3"
};
static const NvsStatement control_lock_job = {
	"SELECT j.priority FROM {jobs} j WHERE " THE_JOB " FOR UPDATE"
};

/* $3 priority: a job that is cancelled before its first run has one like it. */
static const NvsStatement control_cancel_fresh = {
	"INSERT INTO {job_runs} (queue, id, priority, attempt, lease_until, "
	"ended_at, outcome) SELECT $1, $2, $3, 1, " NVS_NOW ", " NVS_NOW ", "
	"'" NVS_RUN_CANCELLED "' WHERE NOT EXISTS (SELECT FROM {job_runs} r "
	"WHERE r.id OPERATOR(pg_catalog.=) $2) "
	"AND NOT EXISTS (SELECT FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) $2) ON CONFLICT DO NOTHING"
};

/* The last run, if it ended in one of the ways $3. */
static const NvsStatement control_last_run = {
	"SELECT r.priority, r.attempt, r.retries FROM {job_runs} r "
	"WHERE " OF_JOB("r") " AND r.attempt OPERATOR(pg_catalog.=) ("
	"SELECT pg_catalog.max(m.attempt) FROM {job_runs} m "
	"WHERE m.id OPERATOR(pg_catalog.=) $2) "
	"AND r.outcome OPERATOR(pg_catalog.=) ANY ($3) FOR NO KEY UPDATE"
};

/* $3 priority, $4 attempt, $5 retries; not beside another turn or run. */
static const NvsStatement control_add_turn = {
	"INSERT INTO {job_turns} (queue, id, priority, attempt, retries) "
	"SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM {job_turns} t "
	"WHERE t.id OPERATOR(pg_catalog.=) $2) AND NOT EXISTS ("
	"SELECT FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) $2 "
	"AND r.attempt OPERATOR(pg_catalog.>) $4) AND EXISTS ("
	"SELECT FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $3 "
	"AND j.id OPERATOR(pg_catalog.=) $2) ON CONFLICT DO NOTHING"
};
static const NvsStatement control_delete_runs = {
	"DELETE FROM {job_runs} r WHERE " OF_JOB("r")
};
static const NvsStatement control_delete_job = {
	"DELETE FROM {jobs} j WHERE " THE_JOB
};

/* Is the job active, or has it a turn? */
static const NvsStatement control_goes_on = {
	"SELECT EXISTS (SELECT FROM {job_turns} t WHERE " OF_JOB("t") ") "
	"OR EXISTS (SELECT FROM {job_runs} r WHERE " OF_JOB("r")
	" AND r.outcome IS NULL)"
};

/* A call. */
typedef struct Control
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int64		id;
	const char *outcomes;		/* an array in text: what it changes from */
	bool		done;
} Control;

PG_FUNCTION_INFO_V1(nvs_queue_cancel);
PG_FUNCTION_INFO_V1(nvs_queue_resume);
PG_FUNCTION_INFO_V1(nvs_queue_retry);
PG_FUNCTION_INFO_V1(nvs_queue_delete);

static Datum control_call(FunctionCallInfo fcinfo, const char *function,
						  void (*work) (void *arg), const char *outcomes);
static void control_params(const Control *control, NvsParams *params);
static void control_cancel(void *arg);
static bool control_cancel_turn(const Control *control);
static bool control_take_turn(const Control *control,
							  const NvsParams *params, Datum *row,
							  bool *isnull);
static bool control_lock_job_row(const Control *control, Datum *priority);
static bool control_cancel_ready(void *arg);
static void control_resume(void *arg);
static void control_delete(void *arg);
static bool control_is_going_on(const Control *control);
static bool control_delete_ready(void *arg);
static bool control_delete_rows(const Control *control);
static void control_ended(const Control *control);
static void control_release_key(const Control *control);

/* Do something with a job of a queue; whether there was anything to do. */
static Datum
control_call(FunctionCallInfo fcinfo, const char *function,
			 void (*work) (void *arg), const char *outcomes)
{
	Control		control;

	NVS_REQUIRE_ARG(CONTROL_ID, "id");
	PreventCommandIfReadOnly(function);
	control.id = PG_GETARG_INT64(CONTROL_ID);
	control.outcomes = outcomes;
	control.done = false;
	nvs_spi_begin();
	control.set = nvs_queue_open(fcinfo, CONTROL_QUEUE, CONTROL_STORE,
								 NVS_USE_CHANGE, &control.queue);
	nvs_call_by_index(work, &control);
	nvs_spi_end();
	PG_RETURN_BOOL(control.done);
}

/* nvent.queue_cancel(queue, id, store) */
Datum
nvs_queue_cancel(PG_FUNCTION_ARGS)
{
	return control_call(fcinfo, "nvent.queue_cancel()", control_cancel, NULL);
}

/* nvent.queue_resume(queue, id, store): of a job that was cancelled. */
Datum
nvs_queue_resume(PG_FUNCTION_ARGS)
{
	return control_call(fcinfo, "nvent.queue_resume()", control_resume,
						"{" NVS_RUN_CANCELLED "}");
}

/* nvent.queue_retry(queue, id, store): of a job that failed for good. */
Datum
nvs_queue_retry(PG_FUNCTION_ARGS)
{
	return control_call(fcinfo, "nvent.queue_retry()", control_resume,
						"{" NVS_RUN_FAILED "," NVS_RUN_EXPIRED "}");
}

/* nvent.queue_delete(queue, id, store) */
Datum
nvs_queue_delete(PG_FUNCTION_ARGS)
{
	return control_call(fcinfo, "nvent.queue_delete()", control_delete, NULL);
}

/* The parameters that every statement begins with. */
static void
control_params(const Control *control, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(control->queue->number),
				   false);
	nvs_params_add(params, INT8OID, Int64GetDatum(control->id), false);
}

/*
 * Cancel a job that is active, has a turn, or is ready.  Who waited for another
 * transaction, only to find that the job is somewhere else by now, looks again.
 */
static void
control_cancel(void *arg)
{
	Control    *control = arg;
	NvsParams	params;

	(void) nvs_flow_stop_waiting(control->set, control->queue, control->id);
	control_params(control, &params);
	do
	{
		CHECK_FOR_INTERRUPTS();
		control->done = nvs_table_set_run(control->set,
										  &control_cancel_active,
										  &params) > 0 ||
			control_cancel_turn(control) ||
			nvs_subtransaction(control_cancel_ready, control);
	} while (!control->done && control_is_going_on(control));
	if (control->done)
		control_ended(control);
}

/* A job was cancelled: see to those that wait for it, or for its key. */
static void
control_ended(const Control *control)
{
	Datum		id = Int64GetDatum(control->id);

	nvs_flow_ended(control->set, &id, 1, NVS_RUN_CANCELLED);
	control_release_key(control);
	nvs_slot_cancel(control->set, control->queue, control->id);
}

/* Cancel a job that has a turn; false when it has none. */
static bool
control_cancel_turn(const Control *control)
{
	NvsParams	params;
	Datum		row[4];
	bool		isnull[4];

	control_params(control, &params);
	if (!control_take_turn(control, &params, row, isnull))
		return false;
	if (DatumGetInt32(row[1]) == 0)
	{
		nvs_params_add(&params, INT4OID, row[0], false);
		(void) nvs_table_set_run(control->set, &control_cancel_fresh,
								 &params);
	}
	else
	{
		nvs_params_add(&params, INT4OID, row[1], false);
		(void) nvs_table_set_run(control->set, &control_cancel_run, &params);
	}
	return true;
}

/*
 * Delete the turn of a job, whose columns go into row; false when it has none.
 * Others may wait behind it in its lane.
 */
static bool
control_take_turn(const Control *control, const NvsParams *params,
				  Datum *row, bool *isnull)
{
	if (!nvs_execute_row(nvs_statement_plan(control->set->plans,
											&control_delete_turn, params,
											NULL),
						 params, false, CurrentMemoryContext, 4, row, isnull))
		return false;
	if (!isnull[3])
		nvs_lane_leave(control->set, control->queue, row[3], control->id);
	return true;
}

/* Lock the row of a job, and tell its priority; false when it is not there. */
static bool
control_lock_job_row(const Control *control, Datum *priority)
{
	NvsParams	params;

	control_params(control, &params);
	return nvs_execute_first(nvs_statement_plan(control->set->plans,
												&control_lock_job, &params,
												NULL),
							 &params, false, CurrentMemoryContext, priority);
}

/* Cancel a job that nobody has begun; false when it is not there, or begun. */
static bool
control_cancel_ready(void *arg)
{
	const Control *control = arg;
	NvsParams	params;
	Datum		priority;

	if (!control_lock_job_row(control, &priority))
		return false;
	control_params(control, &params);
	nvs_params_add(&params, INT4OID, priority, false);
	return nvs_table_set_run(control->set, &control_cancel_fresh,
							 &params) > 0;
}

/*
 * Give a job another turn whose last run ended in a certain way; not when its
 * key or its slot has been taken by another.
 */
static void
control_resume(void *arg)
{
	Control    *control = arg;
	NvsParams	params;
	Datum		row[3];
	bool		isnull[3];
	bool		has_slot = false;
	int			i;

	control_params(control, &params);
	nvs_params_add(&params, TEXTARRAYOID,
				   OidFunctionCall3(F_ARRAY_IN,
									CStringGetDatum(control->outcomes),
									ObjectIdGetDatum(TEXTOID),
									Int32GetDatum(-1)),
				   false);
	if (!nvs_execute_row(nvs_statement_plan(control->set->plans,
											&control_last_run, &params, NULL),
						 &params, false, CurrentMemoryContext, 3, row,
						 isnull))
		return;
	if (!nvs_key_take_again(control->set, control->queue,
							DatumGetInt32(row[0]), control->id))
		return;
	control_params(control, &params);
	for (i = 0; i < 3; i++)
		nvs_params_add(&params, INT4OID, row[i], false);
	control->done = nvs_slot_take_again(control->set, control->queue,
										control->id, &has_slot) &&
		nvs_table_set_run(control->set, &control_add_turn, &params) > 0;
	if (control->done)
	{
		nvs_flow_goes_on(control->set, control->id);
		nvs_queue_ready(control->set, control->queue, 1);
		return;
	}
	nvs_key_give_back(control->set, control->queue, control->id);
	if (has_slot)
		nvs_slot_cancel(control->set, control->queue, control->id);
}

/*
 * Delete a job wherever it stands.  Its own row goes when it neither is active
 * nor has a turn, and what ended while we waited for that goes then.
 */
static void
control_delete(void *arg)
{
	Control    *control = arg;
	Datum		id = Int64GetDatum(control->id);

	(void) nvs_flow_stop_waiting(control->set, control->queue, control->id);
	do
	{
		CHECK_FOR_INTERRUPTS();
		(void) control_delete_rows(control);
		control->done = nvs_subtransaction(control_delete_ready, control);
	} while (!control->done && control_is_going_on(control));
	while (control_delete_rows(control))
		CHECK_FOR_INTERRUPTS();
	if (control->done)
		nvs_flow_deleted(control->set, &id, 1);
	control_release_key(control);
}

/* Delete the row of a job, unless it is active or has a turn. */
static bool
control_delete_ready(void *arg)
{
	const Control *control = arg;
	NvsParams	params;
	Datum		priority;

	if (!control_lock_job_row(control, &priority) ||
		control_is_going_on(control))
		return false;
	control_params(control, &params);
	return nvs_table_set_run(control->set, &control_delete_job, &params) > 0;
}

/* Is a job active, or has it a turn by now? */
static bool
control_is_going_on(const Control *control)
{
	NvsParams	params;
	Datum		goes_on;

	control_params(control, &params);
	return nvs_execute_first(nvs_statement_plan(control->set->plans,
												&control_goes_on, &params,
												NULL),
							 &params, false, CurrentMemoryContext,
							 &goes_on) && DatumGetBool(goes_on);
}

/* Delete the turn and the runs of a job; false when it had none. */
static bool
control_delete_rows(const Control *control)
{
	NvsParams	params;
	Datum		row[4];
	bool		isnull[4];
	bool		found;

	control_params(control, &params);
	found = control_take_turn(control, &params, row, isnull);
	return nvs_table_set_run(control->set, &control_delete_runs,
							 &params) > 0 || found;
}

/* Give back the key that the job has, if it has one. */
static void
control_release_key(const Control *control)
{
	Datum		id = Int64GetDatum(control->id);

	nvs_keys_release(control->set, control->queue, &id, 1);
}
