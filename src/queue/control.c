/*
 * queue/control.c
 *	  What operators do with jobs, wherever they stand: cancel, delete.
 *
 * A job is changed only from where that makes sense; else it is left as it is,
 * and not told of.
 *
 * Rows that are added are so ON CONFLICT DO NOTHING: where the snapshot of the
 * transaction does not show what others did since, that is 40001.
 *
 * Jobs come one after another, in the order of their ids.  What one that waits
 * for others has in {job_waits} is locked first, then a run, and then the job's
 * row, as by who completes it; while a job's row is locked nobody begins its
 * first run.  Whoever has waited for the row, and finds that there is a run by
 * now, lets the row go again: a subtransaction is rolled back.  Those that wait
 * come behind all others, among the children of those: see queue/wait.c.  Keys
 * come last.
 *
 * A trigger, a rule or a policy may have a change come to nothing.  Where that
 * cannot be told from others who are faster, it is tried so often and not for
 * ever.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/subtransaction.h"
#include "queue/control.h"
#include "queue/lane.h"
#include "queue/slot.h"

/* In SQL, what belongs to job $2 of queue $1. */
#define OF_JOB(alias) \
	alias ".id OPERATOR(pg_catalog.=) $2 " \
	"AND " NVS_IN_QUEUE(alias, "1")

/* The job itself, whatever priorities the queue has got by now. */
#define THE_JOB(lock) \
	"SELECT j.priority FROM " \
	NVS_JOB_AT(NVS_ALL_PRIORITIES, "$2", lock)

/* In SQL, has the job a turn, or a run that has not ended? */
#define GOES_ON \
	"EXISTS (SELECT FROM {job_turns} t WHERE " OF_JOB("t") ") " \
	"OR EXISTS (SELECT FROM {job_runs} r WHERE " OF_JOB("r") \
	" AND r.outcome IS NULL)"

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
	THE_JOB("FOR UPDATE")
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

/* The last one first: its worker may delete the others behind it. */
static const NvsStatement control_delete_runs = {
	"DELETE FROM {job_runs} r WHERE " OF_JOB("r")
	" AND r.attempt OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT l.attempt FROM {job_runs} l WHERE " OF_JOB("l")
	" ORDER BY l.attempt DESC FOR UPDATE))"
};

/* $3 priority. */
static const NvsStatement control_delete_job = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $3 "
	"AND j.id OPERATOR(pg_catalog.=) $2"
};

/* Has the job a turn, or any run? */
static const NvsStatement control_has_rest = {
	"SELECT EXISTS (SELECT FROM {job_turns} t WHERE " OF_JOB("t") ") "
	"OR EXISTS (SELECT FROM {job_runs} r WHERE " OF_JOB("r") ")"
};

/* Can the job be cancelled? */
static const NvsStatement control_can_be_cancelled = {
	"SELECT " GOES_ON " OR (EXISTS (" THE_JOB("OFFSET 0") ") "
	"AND NOT EXISTS (SELECT FROM {job_runs} r WHERE " OF_JOB("r") "))"
};

/* Has the job its row? */
static const NvsStatement control_has_row = {
	"SELECT EXISTS (" THE_JOB("OFFSET 0") ")"
};

/* Is anything there of the job? */
static const NvsStatement control_is_there = {
	"SELECT EXISTS (" THE_JOB("OFFSET 0") ") "
	"OR EXISTS (SELECT FROM {job_turns} t WHERE " OF_JOB("t") ") "
	"OR EXISTS (SELECT FROM {job_runs} r WHERE " OF_JOB("r") ")"
};

/* Something that is done with jobs. */
typedef struct Control Control;
typedef struct ControlVerb
{
	const char *participle;
	const char *outcome;		/* for who waits for such a job */
	bool		(*work) (Control *control);
} ControlVerb;

/* A call, at one of its jobs. */
struct Control
{
	NvsTableSet *set;
	NvsQueue   *queue;
	const ControlVerb *verb;
	NvsFlowPass *pass;
	int64		id;
	NvsJobIds	ids;
	Datum	   *done;			/* those that were changed, int8 */
	int			ndone;
	MemoryContext scratch;		/* for one job */
};

PG_FUNCTION_INFO_V1(nvs_queue_cancel);
PG_FUNCTION_INFO_V1(nvs_queue_cancel_many);
PG_FUNCTION_INFO_V1(nvs_queue_delete);
PG_FUNCTION_INFO_V1(nvs_queue_delete_many);

static Datum control_job(FunctionCallInfo fcinfo, const ControlVerb *verb,
						 const char *function);
static Datum control_jobs(FunctionCallInfo fcinfo, const ControlVerb *verb,
						  const char *function);
static int	control_compare_ids(const void *a, const void *b);
static void control_call(FunctionCallInfo fcinfo, const ControlVerb *verb,
						 Control *control);
static void control_all(Control *control);
static void control_those_not_waiting(Control *control);
static void control_waiting(void *arg, int64 id);
static bool control_one(Control *control, int64 id);
static bool control_cancel(Control *control);
static bool control_cancel_now(void *arg);
static bool control_cancel_turn(const Control *control);
static bool control_take_turn(const Control *control,
							  const NvsParams *params, Datum *row,
							  bool *isnull);
static bool control_lock_job_row(const Control *control, Datum *priority);
static bool control_cancel_ready(const Control *control);
static bool control_delete(Control *control);
static bool control_delete_now(void *arg);
static bool control_delete_rows(const Control *control);
static void control_params(const Control *control, NvsParams *params);
static bool control_ask(const Control *control, const NvsStatement *question);
static void control_try_again(const Control *control, int *tries);
static void control_kept(const Control *control);

static const ControlVerb control_verb_cancel = {
	"cancelled", NVS_RUN_CANCELLED, control_cancel
};
static const ControlVerb control_verb_delete = {
	"deleted", NVS_FLOW_DELETED, control_delete
};

/* nvent.queue_cancel(queue, id, store) */
Datum
nvs_queue_cancel(PG_FUNCTION_ARGS)
{
	return control_job(fcinfo, &control_verb_cancel, "nvent.queue_cancel()");
}

/* nvent.queue_cancel_many(queue, ids, store): those that were cancelled. */
Datum
nvs_queue_cancel_many(PG_FUNCTION_ARGS)
{
	return control_jobs(fcinfo, &control_verb_cancel,
						"nvent.queue_cancel_many()");
}

/* nvent.queue_delete(queue, id, store) */
Datum
nvs_queue_delete(PG_FUNCTION_ARGS)
{
	return control_job(fcinfo, &control_verb_delete, "nvent.queue_delete()");
}

/* nvent.queue_delete_many(queue, ids, store): those that were deleted. */
Datum
nvs_queue_delete_many(PG_FUNCTION_ARGS)
{
	return control_jobs(fcinfo, &control_verb_delete,
						"nvent.queue_delete_many()");
}

/* Do something with the job of a call; whether it was done. */
static Datum
control_job(FunctionCallInfo fcinfo, const ControlVerb *verb,
			const char *function)
{
	Control		control = {0};

	PreventCommandIfReadOnly(function);
	nvs_job_id_argument(fcinfo, &control.ids);
	control_call(fcinfo, verb, &control);
	PG_RETURN_BOOL(control.ndone > 0);
}

/* Do something with the jobs of a call; those that it was done with. */
static Datum
control_jobs(FunctionCallInfo fcinfo, const ControlVerb *verb,
			 const char *function)
{
	Control		control = {0};

	PreventCommandIfReadOnly(function);
	nvs_job_ids_argument(fcinfo, &control.ids);
	control_call(fcinfo, verb, &control);
	return nvs_job_ids_result(fcinfo, control.done, control.ndone);
}

/* Take the argument that names a job. */
void
nvs_job_id_argument(FunctionCallInfo fcinfo, NvsJobIds *ids)
{
	NVS_REQUIRE_ARG(NVS_CONTROL_ID, "id");
	ids->ids = palloc(sizeof(Datum));
	ids->ids[0] = PG_GETARG_DATUM(NVS_CONTROL_ID);
	ids->n = 1;
}

/* Take the argument that names jobs, each once and in their order. */
void
nvs_job_ids_argument(FunctionCallInfo fcinfo, NvsJobIds *ids)
{
	NvsArrayArgs arrays = {"jobs", NVS_MAX_JOBS, NULL, 0};
	Datum	   *values;
	bool	   *nulls;
	int			n = 0;
	int			i;

	NVS_REQUIRE_ARG(NVS_CONTROL_ID, "ids");
	(void) nvs_array_argument(&arrays, fcinfo, NVS_CONTROL_ID, "ids", &values,
							  &nulls);
	for (i = 0; i < arrays.length; i++)
		if (!nulls[i])
			values[n++] = values[i];
	nvs_job_ids_sort(values, n);
	ids->ids = values;
	ids->n = 0;
	for (i = 0; i < n; i++)
		if (ids->n == 0 || values[ids->n - 1] != values[i])
			values[ids->n++] = values[i];
}

/* Sort ids of jobs, int8; there may be none. */
void
nvs_job_ids_sort(Datum *ids, int n)
{
	if (n > 1)
		qsort(ids, n, sizeof(Datum), control_compare_ids);
}

/* qsort() comparator of int8. */
static int
control_compare_ids(const void *a, const void *b)
{
	int64		x = DatumGetInt64(*(const Datum *) a);
	int64		y = DatumGetInt64(*(const Datum *) b);

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Return ids, int8, as a set, in their order. */
Datum
nvs_job_ids_result(FunctionCallInfo fcinfo, Datum *ids, int n)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	bool		isnull = false;
	int			i;

	nvs_job_ids_sort(ids, n);
	for (i = 0; i < n; i++)
		tuplestore_putvalues(result, desc, &ids[i], &isnull);
	return (Datum) 0;
}

/* Do something with jobs; control->done gets those that it was done with. */
static void
control_call(FunctionCallInfo fcinfo, const ControlVerb *verb,
			 Control *control)
{
	control->verb = verb;
	control->done = palloc(sizeof(Datum) * Max(control->ids.n, 1));
	control->scratch = AllocSetContextCreate(CurrentMemoryContext,
											 "a job of many",
											 ALLOCSET_DEFAULT_SIZES);
	nvs_spi_begin();
	control->set = nvs_queue_open(fcinfo, NVS_CONTROL_QUEUE,
								  NVS_CONTROL_STORE, NVS_USE_CHANGE,
								  &control->queue);
	control_all(control);
	nvs_spi_end();
	MemoryContextDelete(control->scratch);
}

/* Do it with all of them, and then with those that wait and their children. */
static void
control_all(Control *control)
{

	control->pass = nvs_flow_begin(control->set, control_waiting, control);
	control_those_not_waiting(control);

	/* Then what they have as parents and as children, in one order. */
	nvs_flow_add(control->pass, control->done, control->ndone,
				 control->verb->outcome);
	if (control->verb == &control_verb_delete)
		nvs_flow_add_gone(control->pass, control->done, control->ndone);
	nvs_flow_finish(control->pass);

	/* Keys and slots last: who waits for one has nothing that we want. */
	nvs_keys_release(control->set, control->queue, control->done,
					 control->ndone);
	if (control->verb == &control_verb_cancel)
		nvs_slots_cancel(control->set, control->queue, control->done,
						 control->ndone);
}

/*
 * Do it with those jobs that do not wait for others, and leave the rest to the
 * pass.  Both lists are in the order of ids.
 */
static void
control_those_not_waiting(Control *control)
{
	NvsJobIds	waiting = {NULL, 0};
	int			next = 0;
	int			i;

	/* Without a pass there was no flow; the first may have come meanwhile. */
	if (control->pass != NULL)
		nvs_flow_waiting(control->set, &control->ids, &waiting);
	for (i = 0; i < control->ids.n; i++)
	{
		Datum		id = control->ids.ids[i];

		if (next < waiting.n && waiting.ids[next] == id)
		{
			nvs_flow_add_waiting(control->pass, DatumGetInt64(id));
			next++;
		}
		else
			(void) control_one(control, DatumGetInt64(id));
	}
}

/*
 * Take out a job that waits for others, as a pass over flows comes to it; its
 * children come behind it.
 */
static void
control_waiting(void *arg, int64 id)
{
	Control    *control = arg;
	Datum		done = Int64GetDatum(id);

	(void) nvs_flow_stop_waiting(control->set, control->queue, id,
								 control->verb == &control_verb_cancel);
	if (!control_one(control, id))
		return;
	nvs_flow_add(control->pass, &done, 1, control->verb->outcome);
	if (control->verb == &control_verb_delete)
		nvs_flow_forget(control->set, &done, 1);
}

/* Do it with one job; whether there was anything to do. */
static bool
control_one(Control *control, int64 id)
{
	MemoryContext old = MemoryContextSwitchTo(control->scratch);
	bool		done;

	CHECK_FOR_INTERRUPTS();
	control->id = id;
	done = control->verb->work(control);
	MemoryContextSwitchTo(old);
	MemoryContextReset(control->scratch);
	if (done)
		control->done[control->ndone++] = Int64GetDatum(id);
	return done;
}

/*
 * Cancel a job that is active, has a turn, or is ready.  Who waited for another
 * transaction, only to find that the job is somewhere else by now, looks again,
 * and has let go what he waited for: who has the job's turn may wait for that.
 */
static bool
control_cancel(Control *control)
{
	int			tries = 0;

	while (!nvs_subtransaction(control_cancel_now, control))
	{
		if (!control_ask(control, &control_can_be_cancelled))
			return false;
		control_try_again(control, &tries);
	}
	return true;
}

/*
 * Cancel a job from where it is, in the order in which its rows are locked;
 * false when it is nowhere, as far as we see.
 */
static bool
control_cancel_now(void *arg)
{
	const Control *control = arg;
	NvsParams	params;

	if (control_cancel_turn(control))
		return true;
	control_params(control, &params);
	return nvs_table_set_run(control->set, &control_cancel_active,
							 &params) > 0 || control_cancel_ready(control);
}

/* Cancel a job that has a turn; false when it has none. */
static bool
control_cancel_turn(const Control *control)
{
	const NvsStatement *cancel = &control_cancel_run;
	NvsParams	params;
	Datum		row[4];
	bool		isnull[4];

	control_params(control, &params);
	if (!control_take_turn(control, &params, row, isnull))
		return false;
	if (DatumGetInt32(row[1]) == 0)
		cancel = &control_cancel_fresh;
	nvs_params_add(&params, INT4OID,
				   row[cancel == &control_cancel_fresh ? 0 : 1], false);
	if (nvs_table_set_run(control->set, cancel, &params) == 0)
		control_kept(control);
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
control_cancel_ready(const Control *control)
{
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
 * Delete a job wherever it stands.  Where others have it go on meanwhile, or be
 * elsewhere, as its row is with another priority, all that was done is undone,
 * so that nobody waits for us while we wait for them, and then we look again.
 * What is left of a job whose row is gone is deleted, too.
 */
static bool
control_delete(Control *control)
{
	int			tries = 0;
	bool		done;

	for (;;)
	{
		done = nvs_subtransaction(control_delete_now, control);
		if (done || !control_ask(control, &control_has_row))
			break;
		control_try_again(control, &tries);
	}
	if (done)
		return true;
	while (control_delete_rows(control))
		CHECK_FOR_INTERRUPTS();
	if (control_ask(control, &control_is_there))
		control_kept(control);
	return false;
}

/*
 * Delete all of a job; false when it has a turn or a run again, as others were
 * faster, or no row.  While its row is locked, nobody gives it either.
 */
static bool
control_delete_now(void *arg)
{
	const Control *control = arg;
	NvsParams	params;
	Datum		priority;

	(void) control_delete_rows(control);
	if (!control_lock_job_row(control, &priority) ||
		control_ask(control, &control_has_rest))
		return false;
	control_params(control, &params);
	nvs_params_add(&params, INT4OID, priority, false);
	if (nvs_table_set_run(control->set, &control_delete_job, &params) == 0)
		control_kept(control);
	return true;
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

/* The parameters that every statement begins with. */
static void
control_params(const Control *control, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(control->queue->number),
				   false);
	nvs_params_add(params, INT8OID, Int64GetDatum(control->id), false);
}

/* Ask something about the job, with a new snapshot. */
static bool
control_ask(const Control *control, const NvsStatement *question)
{
	NvsParams	params;
	Datum		answer;

	control_params(control, &params);
	return nvs_execute_first(nvs_statement_plan(control->set->plans, question,
												&params, NULL),
							 &params, false, CurrentMemoryContext,
							 &answer) && DatumGetBool(answer);
}

/*
 * The job was nowhere, but still can be changed: others have moved it, or it is
 * kept from that.
 */
static void
control_try_again(const Control *control, int *tries)
{
	CHECK_FOR_INTERRUPTS();
	if (++*tries == NVS_CONTROL_TRIES)
		control_kept(control);
}

/* Raise the error for a job that is kept from being changed. */
static void
control_kept(const Control *control)
{
	nvs_job_kept(control->set, control->queue, control->id,
				 control->verb->participle);
}

/*
 * Raise the error for a job of a queue that is kept from being changed by what
 * its store's owner has put beside its tables.
 */
void
nvs_job_kept(const NvsTableSet *set, const NvsQueue *queue, int64 id,
			 const char *participle)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("job " INT64_FORMAT
					" of queue \"%s\" is kept from being %s", id,
					queue->name, participle),
			 errdetail("A trigger, rule or policy of %s, or of a table beside "
					   "it, has a change come to nothing.",
					   set->tables[NVS_TABLE_JOBS]),
			 errhint("Have it let the rows of the job be changed.")));
}
