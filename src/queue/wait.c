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
 * it is the order of all, and nobody waits for one another in a circle.
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

/* How a parent has ended that was deleted before it had, besides its runs'. */
#define WAIT_DELETED	"deleted"

/* What becomes of a child whose parent has failed. */
#define WAIT_RUN		"run"
#define WAIT_CANCEL		"cancel"
#define WAIT_FAIL		"fail"

/* A child whose parent has ended, or is to go on. */
typedef struct WaitChild
{
	pairingheap_node node;
	int64		id;
	int64		parent;
	const char *outcome;		/* of the parent; NULL: it goes on */
	bool		ended;			/* the parent had ended before, but not well */
} WaitChild;

/* A call. */
typedef struct Wait
{
	NvsTableSet *set;
	pairingheap *children;		/* WaitChild, the first id first */
	MemoryContext cxt;
	const char *outcome;		/* of the parents that are looked up */
} Wait;

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
	"UPDATE {job_parents} p SET outcome = $3, output = CASE WHEN $3 IS NOT NULL "
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
	"AND " NVS_IN_QUEUE("w", "2")
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
static const NvsStatement wait_forget_parents = {
	"DELETE FROM {job_parents} p WHERE p.id OPERATOR(pg_catalog.=) ANY ($1)"
};

/* $1 queue. */
static const NvsStatement wait_drop = {
	"DELETE FROM {job_waits} w WHERE w.queue OPERATOR(pg_catalog.=) $1"
};
static const NvsStatement wait_drop_parents = {
	"DELETE FROM {job_parents} p WHERE p.queue OPERATOR(pg_catalog.=) $1"
};
static const NvsStatement wait_dropped = {
	"SELECT DISTINCT p.parent FROM {job_parents} p "
	"WHERE p.parent_queue OPERATOR(pg_catalog.=) $1 ORDER BY 1"
};

static void wait_begin(Wait *wait, NvsTableSet *set);
static int	wait_compare(const pairingheap_node *a, const pairingheap_node *b,
						 void *arg);
static void wait_find(Wait *wait, const Datum *ids, int n,
					  const char *outcome);
static void wait_add(TupleTableSlot *slot, void *arg);
static void wait_run(Wait *wait);
static void wait_child_settle(Wait *wait, const WaitChild *child);
static bool wait_child_lock(Wait *wait, const WaitChild *child, WaitRow *row);
static void wait_child_note(Wait *wait, const WaitChild *child);
static int32 wait_child_count(Wait *wait, const WaitChild *child, int32 more);
static void wait_child_ready(Wait *wait, const WaitChild *child,
							 const WaitRow *row);
static void wait_child_end(Wait *wait, const WaitChild *child,
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
	Relation	rel = table_open(set->relids[NVS_PARENTS_TABLE], NoLock);
	bool		any = rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relhassubclass || RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, NoLock);
	return any;
}

/*
 * Jobs, int8, have ended in one way: do what that means for their children.
 * The caller holds the jobs, by a row of each that was changed.
 */
void
nvs_flow_ended(NvsTableSet *set, const Datum *ids, int n, const char *outcome)
{
	Wait		wait;

	if (n == 0 || !nvs_flow_any(set))
		return;
	wait_begin(&wait, set);
	wait_find(&wait, ids, n, outcome);
	wait_run(&wait);
}

/* A job that had ended goes on: children that still wait do so for it, too. */
void
nvs_flow_goes_on(NvsTableSet *set, int64 id)
{
	Datum		parent = Int64GetDatum(id);
	Wait		wait;

	if (!nvs_flow_any(set))
		return;
	wait_begin(&wait, set);
	wait_find(&wait, &parent, 1, NULL);
	wait_run(&wait);
}

/* Have a job not wait any longer; false when it did not. */
bool
nvs_flow_stop_waiting(NvsTableSet *set, const NvsQueue *queue, int64 id)
{
	NvsParams	params;

	if (!nvs_flow_any(set))
		return false;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	return nvs_table_set_run(set, &wait_stop, &params) > 0;
}

/* Jobs, int8, were deleted, wherever they stood. */
void
nvs_flow_deleted(NvsTableSet *set, const Datum *ids, int n)
{
	nvs_flow_ended(set, ids, n, WAIT_DELETED);
	nvs_flow_forget(set, ids, n);
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

/* A queue is to be dropped, by its number: none of its jobs waits any more. */
void
nvs_flow_drop(NvsTableSet *set, Datum number)
{
	NvsParams	params;

	if (!nvs_flow_any(set))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, number, false);
	(void) nvs_table_set_run(set, &wait_drop, &params);
}

/* A queue was dropped, by its number, with all of its jobs. */
void
nvs_flow_dropped(NvsTableSet *set, Datum number)
{
	NvsParams	params;
	Datum	   *ids;
	uint64		n;
	uint64		i;

	if (!nvs_flow_any(set))
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, number, false);
	(void) nvs_table_set_run(set, &wait_drop, &params);
	(void) nvs_table_set_run(set, &wait_drop_parents, &params);
	n = nvs_execute(nvs_statement_plan(set->plans, &wait_dropped, &params,
									   NULL), &params, false, 0);
	ids = palloc(sizeof(Datum) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		bool		isnull;

		ids[i] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
							   &isnull);
	}
	nvs_flow_ended(set, ids, n, WAIT_DELETED);
}

/* Begin a call; what it keeps is in the current memory context. */
static void
wait_begin(Wait *wait, NvsTableSet *set)
{
	wait->set = set;
	wait->cxt = CurrentMemoryContext;
	wait->children = pairingheap_allocate(wait_compare, NULL);
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
wait_find(Wait *wait, const Datum *ids, int n, const char *outcome)
{
	NvsParams	params;

	wait->outcome = outcome;
	wait_ids_params(&params, ids, n);
	nvs_params_add(&params, TEXTOID,
				   CStringGetTextDatum(outcome == NULL ? "" : outcome), false);
	(void) nvs_table_set_each(wait->set, &wait_children, &params, false,
							  wait_add, wait);
}

/* Add a child that was found. */
static void
wait_add(TupleTableSlot *slot, void *arg)
{
	Wait	   *wait = arg;
	WaitChild  *child = MemoryContextAlloc(wait->cxt, sizeof(WaitChild));
	bool		isnull;

	child->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	child->parent = DatumGetInt64(slot_getattr(slot, 2, &isnull));
	child->ended = DatumGetBool(slot_getattr(slot, 3, &isnull));
	child->outcome = wait->outcome;
	pairingheap_add(wait->children, &child->node);
}

/* Do with all children what is to be done, those that this adds among them. */
static void
wait_run(Wait *wait)
{
	while (!pairingheap_is_empty(wait->children))
	{
		pairingheap_node *node = pairingheap_remove_first(wait->children);

		CHECK_FOR_INTERRUPTS();
		wait_child_settle(wait, pairingheap_container(WaitChild, node, node));
	}
}

/* A parent of a child has ended, or goes on. */
static void
wait_child_settle(Wait *wait, const WaitChild *child)
{
	WaitRow		row;
	bool		waits = wait_child_lock(wait, child, &row);
	bool		runs = waits && strcmp(row.on_failure, WAIT_RUN) == 0;
	bool		well = child->outcome != NULL &&
		strcmp(child->outcome, NVS_RUN_COMPLETED) == 0;

	if (child->outcome == NULL && !waits)
		return;
	wait_child_note(wait, child);
	if (!waits)
		return;
	if (child->outcome == NULL)
	{
		if (runs && child->ended)
			(void) wait_child_count(wait, child, 1);
	}
	else if (well || runs)
	{
		if ((!runs || !child->ended) &&
			wait_child_count(wait, child, -1) == 0)
			wait_child_ready(wait, child, &row);
	}
	else if (strcmp(row.on_failure, WAIT_FAIL) == 0)
		wait_child_end(wait, child, &row, NVS_RUN_FAILED);
	else if (strcmp(row.on_failure, WAIT_CANCEL) == 0 ||
			 strcmp(child->outcome, WAIT_DELETED) == 0)
		wait_child_end(wait, child, &row, NVS_RUN_CANCELLED);
}

/* Lock what a child has in {job_waits}; false when it does not wait. */
static bool
wait_child_lock(Wait *wait, const WaitChild *child, WaitRow *row)
{
	NvsParams	params;
	Datum		values[4];
	bool		isnull[4];

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	if (!nvs_execute_row(nvs_statement_plan(wait->set->plans, &wait_lock,
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
wait_child_note(Wait *wait, const WaitChild *child)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->parent), false);
	nvs_params_add(&params, TEXTOID, child->outcome == NULL ? (Datum) 0 :
				   CStringGetTextDatum(child->outcome),
				   child->outcome == NULL);
	(void) nvs_table_set_run(wait->set, &wait_note, &params);
}

/* Have a child wait for so many more; returns for how many it does now. */
static int32
wait_child_count(Wait *wait, const WaitChild *child, int32 more)
{
	NvsParams	params;
	Datum		pending;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(more), false);
	if (!nvs_execute_first(nvs_statement_plan(wait->set->plans, &wait_count,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &pending))
		return -1;
	return DatumGetInt32(pending);
}

/* A child waits for nothing more: it has its first turn. */
static void
wait_child_ready(Wait *wait, const WaitChild *child, const WaitRow *row)
{
	NvsRun		run = {child->id, row->priority, 0, 0, true};
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(child->id), false);
	(void) nvs_table_set_run(wait->set, &wait_end, &params);
	nvs_turn_insert(wait->set, nvs_queue_numbered(wait->set, row->queue), &run,
					row->has_due_at ? &row->due_at : NULL);
}

/* A child ends before its first turn, and has children of its own. */
static void
wait_child_end(Wait *wait, const WaitChild *child, const WaitRow *row,
			   const char *outcome)
{
	Datum		id = Int64GetDatum(child->id);
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, id, false);
	(void) nvs_table_set_run(wait->set, &wait_end, &params);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(row->queue), false);
	nvs_params_add(&params, INT8OID, id, false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(row->priority), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(outcome), false);
	nvs_params_add(&params, JSONBOID, wait_reason(child), false);
	(void) nvs_table_set_run(wait->set, &wait_end_child, &params);
	nvs_keys_release(wait->set, nvs_queue_numbered(wait->set, row->queue), &id,
					 1);
	wait_find(wait, &id, 1, outcome);
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
