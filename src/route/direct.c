/*
 * route/direct.c
 *	  Reading and writing rows of a set of tables without the executor.
 *
 * To begin and to end a statement takes several times as long as what it does
 * to one row.  Where nothing but its indexes and constraints has a say in what
 * becomes of a row, rows are found, locked, inserted and updated here by the
 * functions that the executor's nodes call for that, and what an index or a
 * constraint has to say is said by the same functions.
 *
 * That is so for a plain table with the columns that its module knows, in
 * their order, without triggers but that of its module, and without rules,
 * checks, or defaults that a statement would compute; for a user who may read
 * and write all of it, and whom no policy restricts; without a hook that wants
 * to know of rights, and without one that has the planner look elsewhere.  Its
 * lock keeps a table so.  Anything else is left to a statement, and so is a
 * transaction that keeps its snapshot.
 *
 * Callers leave to a statement, too, whatever is not the common case: here a
 * row is there as expected, and ours, or nothing has happened.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "base/planned.h"
#include "route/direct.h"

/* The rights that a user needs for all that is done here. */
#define DIRECT_RIGHTS	(ACL_SELECT | ACL_INSERT | ACL_UPDATE)

static bool direct_is_plain(const NvsTableSet *set, Relation rel);
static bool direct_has_trigger(const NvsTableSet *set, Relation rel);
static bool direct_has_columns(const NvsTableSet *set, int table,
							   TupleDesc desc);
static bool direct_has_key(Oid indexid, const AttrNumber *key, int nkeys);
static void direct_open_indexes(NvsDirectTable *table);
static void direct_form(NvsDirectTable *table, TupleTableSlot *row);
static TupleDesc direct_first_columns(NvsDirectTable *table, int n);
static void direct_check_row(NvsDirectTable *table, TupleTableSlot *row);

/*
 * How rows of a table of a set, which is locked, are read and written: what is
 * returned is kept with the set.  The columns of its primary key have to be
 * these, which are integers.  Needs SPI.
 */
NvsDirect *
nvs_direct_compile(const NvsTableSet *set, int table, const AttrNumber *key,
				   int nkeys)
{
	NvsDirect  *direct = MemoryContextAllocZero(set->cxt, sizeof(NvsDirect));
	Relation	rel = table_open(set->relids[table], AccessShareLock);

	if (direct_is_plain(set, rel) &&
		direct_has_columns(set, table, RelationGetDescr(rel)) &&
		nvs_is_planned_as_itself(set->relids[table]))
	{
		direct->key = nvs_primary_key_index(rel);
		direct->planner = planner_hook;
		direct->row_security = rel->rd_rel->relrowsecurity;
		if (OidIsValid(direct->key) &&
			direct_has_key(direct->key, key, nkeys))
			direct->relid = set->relids[table];
	}
	table_close(rel, AccessShareLock);
	return direct;
}

/* Does nothing come between a statement and the rows of a relation? */
static bool
direct_is_plain(const NvsTableSet *set, Relation rel)
{
	const FormData_pg_class *class = rel->rd_rel;
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	return class->relkind == RELKIND_RELATION &&
		rel->rd_tableam == GetHeapamTableAmRoutine() &&
		class->relpersistence != RELPERSISTENCE_TEMP &&
		!class->relispartition && !class->relhassubclass &&
		rel->rd_rules == NULL && !direct_has_trigger(set, rel) &&
		!nvs_has_generated_columns(rel) &&
		(constr == NULL || constr->num_check == 0);
}

/* Has a table a trigger, other than that whose work its module does? */
static bool
direct_has_trigger(const NvsTableSet *set, Relation rel)
{
	const TriggerDesc *desc = rel->trigdesc;

	if (desc == NULL)
		return false;
	return set->kind->trigger == NULL || desc->numtriggers != 1 ||
		desc->triggers[0].tgqual != NULL ||
		desc->triggers[0].tgfoid != nvs_function_oid(set->kind->trigger);
}

/*
 * Has a table the columns of its module and no others, of which none rounds a
 * value or draws it, and each is NULL where a row lacks it?  What a module
 * gives to every row may have a default, which is not asked for then.
 */
static bool
direct_has_columns(const NvsTableSet *set, int table, TupleDesc desc)
{
	const NvsTableSetColumn *column;
	int			n = 0;

	for (column = set->kind->columns; column->table >= 0; column++)
	{
		Form_pg_attribute att;

		if (column->table != table)
			continue;
		if (n == desc->natts || n == NVS_DIRECT_MAX_COLUMNS)
			return false;
		att = TupleDescAttr(desc, n++);
		if (att->attisdropped || att->atttypid != column->type ||
			att->atttypmod != -1 || att->attidentity != '\0' ||
			strcmp(NameStr(att->attname), column->name) != 0 ||
			(att->atthasdef && !column->required) || att->atthasmissing)
			return false;
	}
	return n == desc->natts;
}

/* Is an index one of these columns, which are integers, in ascending order? */
static bool
direct_has_key(Oid indexid, const AttrNumber *key, int nkeys)
{
	Relation	index = index_open(indexid, AccessShareLock);
	const FormData_pg_index *form = index->rd_index;
	bool		fits = index->rd_rel->relam == BTREE_AM_OID &&
		form->indisvalid && form->indisready && form->indislive &&
		!form->indcheckxmin && form->indnkeyatts == nkeys;
	int			i;

	for (i = 0; fits && i < nkeys; i++)
		fits = form->indkey.values[i] == key[i] &&
			index->rd_opfamily[i] == INTEGER_BTREE_FAM_OID &&
			index->rd_indoption[i] == 0;
	index_close(index, NoLock);
	return fits;
}

/* May the current user do without statements on a table, here and now? */
bool
nvs_direct_is_allowed(const NvsTableSet *set, NvsDirect *direct)
{
	uint64		as_of = nvs_rights_changes();
	Oid			relid = direct->relid;

	if (!OidIsValid(relid) || !set->valid || IsolationUsesXactSnapshot() ||
		ExecutorCheckPerms_hook != NULL || direct->planner != planner_hook)
		return false;
	if (direct->row_security &&
		check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return false;
	if (likely(nvs_allowed(&direct->allowed, DIRECT_RIGHTS)))
		return true;
	if (!nvs_may_use_relation(relid, ACL_SELECT) ||
		pg_class_aclmask(relid, GetUserId(), DIRECT_RIGHTS,
						 ACLMASK_ALL) != DIRECT_RIGHTS)
		return false;
	nvs_allow(&direct->allowed, DIRECT_RIGHTS, as_of);
	return true;
}

/* Open a table that nvs_direct_is_allowed(), and which is locked. */
void
nvs_direct_open(NvsDirect *direct, NvsDirectTable *table)
{
	table->direct = direct;
	table->rel = table_open(direct->relid, NoLock);
	table->key = index_open(direct->key, RowExclusiveLock);
	table->scan = NULL;
	table->slot = table_slot_create(table->rel, NULL);
	table->locked = NULL;
	table->estate = NULL;
	table->nrows = table->made = 0;
}

/*
 * Begin to look for rows, by the first columns of the primary key, in its
 * order.  Every scan of a table has as many keys and the same snapshot.
 */
void
nvs_direct_scan(NvsDirectTable *table, Snapshot snapshot, ScanKey keys,
				int nkeys)
{
	if (table->scan == NULL)
		table->scan = nvs_index_beginscan(table->rel, table->key, snapshot,
										  nkeys);
	index_rescan(table->scan, keys, nkeys, NULL, 0);
}

/* Find the next row; false when there is none. */
bool
nvs_direct_next(NvsDirectTable *table)
{
	return index_getnext_slot(table->scan, ForwardScanDirection, table->slot);
}

/*
 * Lock the row that was found last as FOR NO KEY UPDATE SKIP LOCKED does: false
 * when another transaction has it, or it is gone.  table->locked has it as it
 * is now, which may be another version than the one that was found.
 */
bool
nvs_direct_lock(NvsDirectTable *table)
{
	ItemPointerData tid = table->slot->tts_tid;
	TM_FailureData failure;

	if (table->locked == NULL)
		table->locked = table_slot_create(table->rel, NULL);
	return table_tuple_lock(table->rel, &tid, GetActiveSnapshot(),
							table->locked, GetCurrentCommandId(true),
							LockTupleNoKeyExclusive, LockWaitSkip,
							TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS |
							TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							&failure) == TM_Ok;
}

/* Open the indexes of a table, in the state of an executor that writes. */
static void
direct_open_indexes(NvsDirectTable *table)
{
	if (table->estate != NULL)
		return;
	table->estate = CreateExecutorState();
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, table->rel, 0, NULL, 0);
	ExecOpenIndices(table->result, false);
}

/*
 * Make a row of the columns that were set, but for those at the end that are
 * NULL: what a row does not have is NULL where it is read, as a column is that
 * was added later, and most rows need no bitmap then, which takes eight bytes.
 */
static void
direct_form(NvsDirectTable *table, TupleTableSlot *row)
{
	int			n = RelationGetDescr(table->rel)->natts;

	while (n > 1 && row->tts_isnull[n - 1])
		n--;
	ExecStoreHeapTuple(heap_form_tuple(direct_first_columns(table, n),
									   row->tts_values, row->tts_isnull),
					   row, true);
}

/* The first columns of a table, which are kept with how it is written. */
static TupleDesc
direct_first_columns(NvsDirectTable *table, int n)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	TupleDesc  *first = &table->direct->first[n];
	MemoryContext old;
	TupleDesc	made;
	int			i;

	if (n == desc->natts)
		return desc;
	if (*first != NULL)
		return *first;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(table->direct));
	made = CreateTemplateTupleDesc(n);
	for (i = 1; i <= n; i++)
		TupleDescCopyEntry(made, i, desc, i);
	MemoryContextSwitchTo(old);
	*first = made;
	return made;
}

/*
 * Have a row raise an error that lacks what a column has to have: the only kind
 * of constraint that the table has besides its indexes.
 */
static void
direct_check_row(NvsDirectTable *table, TupleTableSlot *row)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
		if (row->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
		{
			direct_open_indexes(table);
			ExecConstraints(table->result, row, table->estate);
		}
}

/*
 * Add a row to those that nvs_direct_insert() inserts: an empty slot, of which
 * the caller sets all columns.  There must be fewer than NVS_DIRECT_ROWS.
 */
TupleTableSlot *
nvs_direct_add(NvsDirectTable *table)
{
	TupleTableSlot *slot;

	if (table->nrows == table->made)
		table->rows[table->made++] =
			MakeSingleTupleTableSlot(RelationGetDescr(table->rel),
									 &TTSOpsHeapTuple);
	slot = table->rows[table->nrows++];
	ExecClearTuple(slot);
	slot->tts_tableOid = RelationGetRelid(table->rel);
	return slot;
}

/* Insert the rows that were added, in their order. */
void
nvs_direct_insert(NvsDirectTable *table)
{
	MemoryContext old;
	int			i;

	if (table->nrows == 0)
		return;
	direct_open_indexes(table);

	/* All rows are checked before the first one is written. */
	CheckCmdReplicaIdentity(table->rel, CMD_INSERT);
	for (i = 0; i < table->nrows; i++)
	{
		direct_form(table, table->rows[i]);
		direct_check_row(table, table->rows[i]);
	}

	/* The table, as COPY writes to it, then its indexes. */
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(table->estate));
	if (table->nrows == 1)
		table_tuple_insert(table->rel, table->rows[0],
						   GetCurrentCommandId(true), 0, NULL);
	else
		table_multi_insert(table->rel, table->rows, table->nrows,
						   GetCurrentCommandId(true), 0, NULL);
	MemoryContextSwitchTo(old);
	for (i = 0; i < table->nrows; i++)
		nvs_insert_index_tuples(table->result, table->rows[i], table->estate,
								false);

	ResetPerTupleExprContext(table->estate);
	table->nrows = 0;
}

/*
 * Write a row, one that was added, in place of the one that was found last.
 * False when that is not the last version, or another transaction has ended or
 * changed it while we waited: nothing has happened then.  No column of an index
 * may change, so the indexes are opened only for a row that moves to another
 * page.
 */
bool
nvs_direct_update(NvsDirectTable *table, TupleTableSlot *row)
{
	NvsIndexUpdate indexes;
	bool		done;

	CheckCmdReplicaIdentity(table->rel, CMD_UPDATE);
	direct_form(table, row);
	direct_check_row(table, row);
	done = nvs_update_tuple(table->rel, &table->slot->tts_tid, row,
							GetCurrentCommandId(true), GetActiveSnapshot(),
							&indexes) == TM_Ok;
	if (done && indexes != NVS_NO_INDEX)
	{
		direct_open_indexes(table);
		nvs_update_index_tuples(table->result, row, table->estate, indexes);
		ResetPerTupleExprContext(table->estate);
	}
	table->nrows = 0;
	return done;
}

/* Close a table.  What was written is seen by what follows. */
void
nvs_direct_close(NvsDirectTable *table)
{
	int			i;

	if (table->scan != NULL)
		index_endscan(table->scan);
	for (i = 0; i < table->made; i++)
		ExecDropSingleTupleTableSlot(table->rows[i]);
	if (table->locked != NULL)
		ExecDropSingleTupleTableSlot(table->locked);
	ExecDropSingleTupleTableSlot(table->slot);
	if (table->estate != NULL)
	{
		ExecCloseIndices(table->result);
		FreeExecutorState(table->estate);
	}
	index_close(table->key, NoLock);
	table_close(table->rel, NoLock);
	CommandCounterIncrement();
}
