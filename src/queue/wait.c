/*
 * queue/wait.c
 *	  Jobs of flows, which wait for others: their parents.
 *
 * A job that waits has a row in {job_waits}, and no turn, so nobody fetches it.
 * It counts how many of its parents have yet to be done; of each there is a row
 * in {job_parents}, which keeps how the parent ended, and what it left, for as
 * long as the child is there, whatever becomes of the parent.
 *
 * Whoever ends a job does with its children what is to be done, in the same
 * transaction: those that wait for nothing more get a turn.  He locks the row
 * of each in {job_waits}, and counts it down; so of two who complete the last
 * two parents of a child at once, the second one waits for the first, and sees
 * what it did.  Children that end by that have children of their own.  All are
 * done in the order of their ids, which children have behind their parents: so
 * it is the order of all, and nobody waits for one another in a circle.  For
 * that a call ends all of its jobs first, whatever becomes of them, and then
 * does with their children what is to be done, in one pass; a call that settles
 * jobs and fetches others ends those whose leases have run out before it, too.
 *
 * Jobs outside of flows have none of this: a job says whether it belongs to
 * one, and so do its runs.  Where that is not at hand, as no row was read, it
 * matters whether there has been a flow at all.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/pairingheap.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "json/build.h"
#include "queue/internal.h"

/* What becomes of a child whose parent has failed. */
#define WAIT_RUN		"run"
#define WAIT_CANCEL		"cancel"
#define WAIT_FAIL		"fail"

/*
 * A child whose parent has ended, or is to go on.  Or a job that waits, and
 * that the caller is to do something with; or one that is gone, and leaves
 * nothing of what it had as a child.  Rows may have any number for a parent, so
 * none stands for these.
 */
typedef struct WaitChild
{
	pairingheap_node node;
	int64		id;
	int64		parent;
	const char *outcome;		/* of the parent; NULL: it goes on */
	bool		ended;			/* the parent had ended before, but not well */
	bool		is_callers;		/* such a job that waits */
	bool		gone;
} WaitChild;

/* A call. */
struct NvsFlowPass
{
	NvsTableSet *set;
	pairingheap *children;		/* WaitChild, the first id first */
	MemoryContext cxt;
	const char *outcome;		/* of the parents that are looked up */
	void		(*waiting) (void *arg, int64 id);
	void	   *arg;
};

/* What a child has in {job_waits}, locked. */
typedef struct WaitRow
{
	int32		queue;
	int32		priority;
	const char *on_failure;
	TimestampTz due_at;
	bool		has_due_at;
} WaitRow;

/* Children of the jobs $1, unless they know already that these ended so. */
static const NvsStatement wait_children = {
	"SELECT p.id, p.parent, p.outcome IS NOT NULL FROM {job_parents} p "
	"WHERE p.parent OPERATOR(pg_catalog.=) ANY ($1) AND (p.outcome IS NULL "
	"OR p.outcome OPERATOR(pg_catalog.<>) '" NVS_RUN_COMPLETED "' "
	"AND p.outcome OPERATOR(pg_catalog.<>) $2)"
};

/* $1 child. */
static const NvsStatement wait_lock = {
	"SELECT w.queue, w.priority, w.on_failure, w.due_at FROM {job_waits} w "
	"WHERE w.id OPERATOR(pg_catalog.=) $1 FOR UPDATE"
};

/* $1 child, $2 parent, $3 outcome. */
static const NvsStatement wait_note = {
	"UPDATE {job_parents} p SET outcome = $3, output = CASE "
	"WHEN $3 IS NOT NULL "
	"THEN (SELECT r.output "
	"FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) $2 "
	"ORDER BY r.id DESC, r.attempt DESC LIMIT 1) END "
	"WHERE p.id OPERATOR(pg_catalog.=) $1 "
	"AND p.parent OPERATOR(pg_catalog.=) $2"
};

/* $1 child, $2 more or fewer. */
static const NvsStatement wait_count = {
	"UPDATE {job_waits} w SET pending = w.pending OPERATOR(pg_catalog.+) $2 "
	"WHERE w.id OPERATOR(pg_catalog.=) $1 RETURNING w.pending"
};

/* $1 child. */
static const NvsStatement wait_end = {
	"DELETE FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) $1"
};

/* $1 child, $2 its queue. */
static const NvsStatement wait_stop = {
	"DELETE FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) $1 "
	"AND " NVS_IN_QUEUE("w", "2") " RETURNING w.priority, w.due_at"
};

/* $1 queue, $2 priority, $3 child, $4 when it is to start. */
static const NvsStatement wait_keep_time = {
	"UPDATE {jobs} j SET due_at = $4 WHERE " NVS_THIS_JOB("j")
};

static const NvsStatement wait_still = {
	"SELECT w.id FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) $1 "
	"AND " NVS_IN_QUEUE("w", "2")
};

/* Which of the jobs $1 wait. */
static const NvsStatement wait_which = {
	"SELECT w.id FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) ANY ($1) "
	"ORDER BY w.id"
};

/* $1 queue, $2 child, $3 priority, $4 outcome, $5 output. */
static const NvsStatement wait_end_child = {
	"INSERT INTO {job_runs} (queue, id, priority, attempt, lease_until, "
	"ended_at, outcome, output, flow) VALUES ($1, $2, $3, 1, " NVS_NOW ", "
	NVS_NOW ", $4, $5, true)"
};

/* $1 ids. */
static const NvsStatement wait_forget = {
	"DELETE FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) ANY ($1)"
};

/* $1 ids; locked in the order in which who ends parents notes it there. */
static const NvsStatement wait_forget_parents = {
	"DELETE FROM {job_parents} p WHERE p.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT l.id FROM {job_parents} l WHERE l.id OPERATOR(pg_catalog.=) ANY ($1) "
	"ORDER BY l.id, l.parent FOR UPDATE))"
};

/*
 * Children of jobs of queue $1 in other queues, unless they know already that
 * these were deleted; and which of its own jobs are children.
 */
static const NvsStatement wait_of_queue = {
	"SELECT p.id, p.parent, p.outcome IS NOT NULL FROM {job_parents} p "
	"WHERE p.parent_queue OPERATOR(pg_catalog.=) $1 "
	"AND p.queue OPERATOR(pg_catalog.<>) $1 AND (p.outcome IS NULL "
	"OR p.outcome OPERATOR(pg_catalog.<>) '" NVS_RUN_COMPLETED "' "
	"AND p.outcome OPERATOR(pg_catalog.<>) '" NVS_FLOW_DELETED "')"
};
static const NvsStatement wait_in_queue = {
	"SELECT DISTINCT p.id FROM {job_parents} p "
	"WHERE p.queue OPERATOR(pg_catalog.=) $1"
};

static int	wait_compare(const pairingheap_node *a, const pairingheap_node *b,
						 void *arg);
static void wait_find(NvsFlowPass *pass, const Datum *ids, int n,
					  const char *outcome);
static void wait_add(TupleTableSlot *slot, void *arg);
static void wait_add_gone(TupleTableSlot *slot, void *arg);
static void wait_keep_id(TupleTableSlot *slot, void *arg);
static void wait_child_settle(NvsFlowPass *pass, const WaitChild *child);
static bool wait_child_lock(NvsFlowPass *pass, const WaitChild *child,
							WaitRow *row);
static void wait_child_note(NvsFlowPass *pass, const WaitChild *child);
static int32 wait_child_count(NvsFlowPass *pass, const WaitChild *child,
							  int32 more);
static void wait_child_ready(NvsFlowPass *pass, const WaitChild *child,
							 const WaitRow *row);
static void wait_check_stopped(NvsTableSet *set, const NvsQueue *queue,
							   int64 id, const NvsParams *params);
static void wait_keep_due(NvsTableSet *set, int32 queue, int32 priority,
						  int64 id, TimestampTz due_at);
static void wait_child_end(NvsFlowPass *pass, const WaitChild *child,
						   const WaitRow *row, const char *outcome);
static Datum wait_reason(const WaitChild *child);
static void wait_ids_params(NvsParams *params, const Datum *ids, int n);

/*
 * Has there been a flow in a store?  As long as the table of parents has no
 * page there is none that anybody could see.
 */
bool
nvs_flow_any(const NvsTableSet *set)
{
	Relation	rel;
	bool		any;

	nvs_table_set_lock(set, NVS_PARENTS_TABLE);
	rel = table_open(set->relids[NVS_PARENTS_TABLE], NoLock);
	any = rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relhassubclass || RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, NoLock);
	return any;
}

/*
 * Begin a pass: who ends jobs tells of them, and finishes it.  What it keeps is
 * in the current memory context.  waiting is called for the jobs of the caller
 * that wait, when their turn has come; it may tell of others.  NULL when there
 * are no flows, which does for all functions of a pass.
 */
NvsFlowPass *
nvs_flow_begin(NvsTableSet *set, void (*waiting) (void *arg, int64 id),
			   void *arg)
{
	NvsFlowPass *pass;

	if (!nvs_flow_any(set))
		return NULL;
	pass = palloc(sizeof(NvsFlowPass));
	pass->set = set;
	pass->cxt = CurrentMemoryContext;
	pass->children = pairingheap_allocate(wait_compare, NULL);
	pass->waiting = waiting;
	pass->arg = arg;
	return pass;
}

/*
 * Jobs, int8, have ended in one way; NULL: had ended, and go on, so that
 * children that still wait do so for them, too.  The caller holds the jobs, by
 * a row of each that was changed.
 */
void
nvs_flow_add(NvsFlowPass *pass, const Datum *ids, int n, const char *outcome)
{
	if (pass != NULL && n > 0)
		wait_find(pass, ids, n, outcome);
}

/* The caller wants to do something with a job that waits. */
void
nvs_flow_add_waiting(NvsFlowPass *pass, int64 id)
{
	WaitChild  *child = MemoryContextAllocZero(pass->cxt, sizeof(WaitChild));

	child->id = id;
	child->is_callers = true;
	pairingheap_add(pass->children, &child->node);
}

/*
 * Jobs, int8, are gone.  What they had as children goes in the order of the
 * pass, too, since who ends a parent of one notes that there.
 */
void
nvs_flow_add_gone(NvsFlowPass *pass, const Datum *ids, int n)
{
	int			i;

	for (i = 0; pass != NULL && i < n; i++)
	{
		WaitChild  *child = MemoryContextAllocZero(pass->cxt,
												   sizeof(WaitChild));

		child->id = DatumGetInt64(ids[i]);
		child->gone = true;
		pairingheap_add(pass->children, &child->node);
	}
}

/*
 * All jobs of a queue are gone, or will be, by its number, int4: tell their
 * children in other queues, and have what they had as children go.
 */
void
nvs_flow_add_queue(NvsFlowPass *pass, Datum number)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, number, false);
	pass->outcome = NVS_FLOW_DELETED;
	(void) nvs_table_set_each(pass->set, &wait_of_queue, &params, false,
							  wait_add, pass);
	(void) nvs_table_set_each(pass->set, &wait_in_queue, &params, false,
							  wait_add_gone, pass);
}

/* Add a job that is gone. */
static void
wait_add_gone(TupleTableSlot *slot, void *arg)
{
	bool		isnull;
	Datum		id = slot_getattr(slot, 1, &isnull);

	nvs_flow_add_gone(arg, &id, 1);
}

/* Do with all children what is to be done, those that this adds among them. */
void
nvs_flow_finish(NvsFlowPass *pass)
{
	while (pass != NULL && !pairingheap_is_empty(pass->children))
	{
		pairingheap_node *node = pairingheap_remove_first(pass->children);
		WaitChild  *child = pairingheap_container(WaitChild, node, node);

		CHECK_FOR_INTERRUPTS();
		if (child->gone)
		{
			Datum		id = Int64GetDatum(child->id);

			nvs_flow_forget(pass->set, &id, 1);
		}
		else if (child->is_callers)
			pass->waiting(pass->arg, child->id);
		else
			wait_child_settle(pass, child);
	}
}

/* Jobs, int8, have ended in one way, and no others: a pass of its own. */
void
nvs_flow_ended(NvsTableSet *set, const Datum *ids, int n, const char *outcome)
{
	NvsFlowPass *pass;

	if (n == 0)
		return;
	pass = nvs_flow_begin(set, NULL, NULL);
	nvs_flow_add(pass, ids, n, outcome);
	nvs_flow_finish(pass);
}

/* Which of some jobs wait, as far as we see. */
void
nvs_flow_waiting(NvsTableSet *set, const NvsJobIds *ids, NvsJobIds *waiting)
{
	NvsParams	params;

	waiting->n = 0;
	if (!nvs_flow_any(set))
		return;
	waiting->ids = palloc(sizeof(Datum) * Max(ids->n, 1));
	wait_ids_params(&params, ids->ids, ids->n);
	(void) nvs_table_set_each_of(set, &wait_which, &params, false, ids->n,
								 wait_keep_id, waiting);
}

/* Keep the id of a job that waits; an int8 is no pointer here. */
static void
wait_keep_id(TupleTableSlot *slot, void *arg)
{
	NvsJobIds  *waiting = arg;
	bool		isnull;

	waiting->ids[waiting->n++] = slot_getattr(slot, 1, &isnull);
}

/*
 * Have a job not wait any longer; false when it did not.  It would run later,
 * whatever becomes of it, where it is kept from that: that is an error.  One
 * that stays, though it ends, keeps when it was to start.
 */
bool
nvs_flow_stop_waiting(NvsTableSet *set, const NvsQueue *queue, int64 id,
					  bool stays)
{
	NvsParams	params;
	Datum		row[2];
	bool		isnull[2];

	if (!nvs_flow_any(set))
		return false;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	if (!nvs_execute_row(nvs_statement_plan(set->plans, &wait_stop, &params,
											NULL),
						 &params, false, CurrentMemoryContext, 2, row, isnull))
	{
		wait_check_stopped(set, queue, id, &params);
		return false;
	}
	if (stays && !isnull[1])
		wait_keep_due(set, queue->number, DatumGetInt32(row[0]), id,
					  DatumGetTimestampTz(row[1]));
	return true;
}

/*
 * Raise an error for a job that waits though it was to stop that; params are
 * those that name it.
 */
static void
wait_check_stopped(NvsTableSet *set, const NvsQueue *queue, int64 id,
				   const NvsParams *params)
{
	Datum		still;

	if (nvs_execute_first(nvs_statement_plan(set->plans, &wait_still, params,
											 NULL),
						  params, false, CurrentMemoryContext, &still))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("job " INT64_FORMAT " of queue \"%s\" is kept waiting",
						id, queue->name),
				 errdetail("A trigger, rule or policy of %s has a change come "
						   "to nothing.", set->tables[NVS_PARENTS_TABLE - 1]),
				 errhint("Have it let the rows of the job be changed.")));
}

/* Delete what jobs, int8, have as children; they are gone. */
void
nvs_flow_forget(NvsTableSet *set, const Datum *ids, int n)
{
	NvsParams	params;

	if (n == 0 || !nvs_flow_any(set))
		return;
	wait_ids_params(&params, ids, n);
	(void) nvs_table_set_run(set, &wait_forget, &params);
	(void) nvs_table_set_run(set, &wait_forget_parents, &params);
}

/* The first id is the greatest, since that is what a pairing heap gives. */
static int
wait_compare(const pairingheap_node *a, const pairingheap_node *b,
			 void *arg pg_attribute_unused())
{
	const WaitChild *x = pairingheap_const_container(WaitChild, node, a);
	const WaitChild *y = pairingheap_const_container(WaitChild, node, b);

	if (x->id != y->id)
		return x->id < y->id ? 1 : -1;
	return x->parent < y->parent ? 1 : x->parent > y->parent ? -1 : 0;
}

/* Find the children of jobs that have ended in one way; NULL: that go on. */
static void
wait_find(NvsFlowPass *pass, const Datum *ids, int n, const char *outcome)
{
	NvsParams	params;

	pass->outcome = outcome;
	wait_ids_params(&params, ids, n);
	nvs_params_add(&params, TEXTOID,
				   CStringGetTextDatum(outcome == NULL ? "" : outcome), false);
	(void) nvs_table_set_each(pass->set, &wait_children, &params, false,
							  wait_add, pass);
}

/* Add a child that was found. */
static void
wait_add(TupleTableSlot *slot, void *arg)
{
	NvsFlowPass *pass = arg;
	WaitChild  *child = MemoryContextAlloc(pass->cxt, sizeof(WaitChild));
	bool		isnull;

	child->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	child->parent = DatumGetInt64(slot_getattr(slot, 2, &isnull));
	child->ended = DatumGetBool(slot_getattr(slot, 3, &isnull));
	child->is_callers = child->gone = false;
	child->outcome = pass->outcome;
	pairingheap_add(pass->children, &child->node);
}

/*
 * A parent of a child has ended, or goes on: note it there, and have the child
 * be ready, or end, or wait for it again.  What the child has in {job_waits} is
 * locked from then on, if it waits.
 */
static void
wait_child_settle(NvsFlowPass *pass, const WaitChild *child)
{
	WaitRow		row;
	bool		waits = wait_child_lock(pass, child, &row);
	bool		runs = waits && strcmp(row.on_failure, WAIT_RUN) == 0;
	bool		well = child->outcome != NULL &&
		strcmp(child->outcome, NVS_RUN_COMPLETED) == 0;

	/* What was noted of a parent stays for a child that is beyond waiting. */
	if (child->outcome == NULL && !waits)
		return;
	wait_child_note(pass, child);
	if (!waits)
		return;

	/* One that is to wait does so while its parent may still go on. */
	if (child->outcome == NULL)
	{
		/* It goes on: it counts again, if its failure had counted as done. */
		if (runs && child->ended)
			(void) wait_child_count(pass, child, 1);
	}
	else if (well || runs)
	{
		/* It is done, as this child sees it; but only once. */
		if ((!runs || !child->ended) &&
			wait_child_count(pass, child, -1) == 0)
			wait_child_ready(pass, child, &row);
	}
	else if (strcmp(row.on_failure, WAIT_FAIL) == 0)
		wait_child_end(pass, child, &row, NVS_RUN_FAILED);
	else if (strcmp(row.on_failure, WAIT_CANCEL) == 0 ||
			 strcmp(child->outcome, NVS_FLOW_DELETED) == 0)
		wait_child_end(pass, child, &row, NVS_RUN_CANCELLED);
}

/* Lock what a child has in {job_waits}; false when it does not wait. */
static bool
wait_child_lock(NvsFlowPass *pass, const WaitChild *child, WaitRow *row)
{
	NvsParams	params;
	Datum		values[4];
	bool		isnull[4];

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	if (!nvs_execute_row(nvs_statement_plan(pass->set->plans, &wait_lock,
											&params, NULL),
						 &params, false, CurrentMemoryContext, 4, values,
						 isnull))
		return false;
	row->queue = DatumGetInt32(values[0]);
	row->priority = DatumGetInt32(values[1]);
	row->on_failure = TextDatumGetCString(values[2]);
	row->has_due_at = !isnull[3];
	row->due_at = isnull[3] ? 0 : DatumGetTimestampTz(values[3]);
	return true;
}

/* Note with a child how its parent has ended, and what it left. */
static void
wait_child_note(NvsFlowPass *pass, const WaitChild *child)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->parent), false);
	nvs_params_add(&params, TEXTOID, child->outcome == NULL ? (Datum) 0 :
				   CStringGetTextDatum(child->outcome),
				   child->outcome == NULL);
	(void) nvs_table_set_run(pass->set, &wait_note, &params);
}

/* Have a child wait for so many more; returns for how many it does now. */
static int32
wait_child_count(NvsFlowPass *pass, const WaitChild *child, int32 more)
{
	NvsParams	params;
	Datum		pending;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(more), false);
	if (!nvs_execute_first(nvs_statement_plan(pass->set->plans, &wait_count,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &pending))
		return -1;
	return DatumGetInt32(pending);
}

/* A child waits for nothing more: it has its first turn. */
static void
wait_child_ready(NvsFlowPass *pass, const WaitChild *child, const WaitRow *row)
{
	NvsRun		run = {child->id, row->priority, 0, 0, true};
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	(void) nvs_table_set_run(pass->set, &wait_end, &params);
	nvs_turn_insert(pass->set, nvs_queue_numbered(pass->set, row->queue), &run,
					row->has_due_at ? &row->due_at : NULL);
}

/*
 * Note with a job that has ended instead of waiting on when it was to start: so
 * it does no sooner when somebody has it go on.
 */
static void
wait_keep_due(NvsTableSet *set, int32 queue, int32 priority, int64 id,
			  TimestampTz due_at)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(priority), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(due_at),
				   false);
	(void) nvs_table_set_run(set, &wait_keep_time, &params);
}

/* A child ends before its first turn, and has children of its own. */
static void
wait_child_end(NvsFlowPass *pass, const WaitChild *child, const WaitRow *row,
			   const char *outcome)
{
	Datum		id = Int64GetDatum(child->id);
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, id, false);
	(void) nvs_table_set_run(pass->set, &wait_end, &params);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(row->queue), false);
	nvs_params_add(&params, INT8OID, id, false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(row->priority), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(outcome), false);
	nvs_params_add(&params, JSONBOID, wait_reason(child), false);
	(void) nvs_table_set_run(pass->set, &wait_end_child, &params);
	if (row->has_due_at)
		wait_keep_due(pass->set, row->queue, row->priority, child->id,
					  row->due_at);
	nvs_keys_release(pass->set, nvs_queue_numbered(pass->set, row->queue), &id,
					 1);
	wait_find(pass, &id, 1, outcome);
}

/* Why a child has ended, as JSON. */
static Datum
wait_reason(const WaitChild *child)
{
	NvsJsonb	reason;
	char	   *id = psprintf(INT64_FORMAT, child->parent);

	nvs_jsonb_init(&reason);
	nvs_jsonb_add_text(&reason, NVS_KEY("parent"), id, strlen(id));
	nvs_jsonb_add_text(&reason, NVS_KEY("outcome"), child->outcome,
					   strlen(child->outcome));
	return JsonbPGetDatum(nvs_jsonb_finish(&reason));
}

/* The parameters that are ids of jobs. */
static void
wait_ids_params(NvsParams *params, const Datum *ids, int n)
{
	nvs_params_init(params);
	nvs_params_add(params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
}
