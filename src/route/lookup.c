/*
 * route/lookup.c
 *	  Reading rows by a unique key without the executor.
 *
 * For a read of one row, to start and to end the executor takes longer than to
 * find the row.  Where nothing but an index and its table has a say in what is
 * read, both are read here, as a node of the executor would read them: with the
 * active snapshot, under the same locks, by the same functions of the access
 * methods, which take the predicate locks of SERIALIZABLE and count statistics.
 *
 * That is so for a plain table without children, with a valid unique index on
 * the columns of the key, for a user who may read all columns that are read and
 * whom no policy restricts, without a hook that wants to know of such rights,
 * and without one that has the planner look elsewhere.  Whatever is otherwise,
 * also what a user may not do, is left to a statement.
 *
 * Nothing that is not known yet is looked for here: the first read of a
 * relation is a statement, and has the lookup compiled.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "base/grant.h"
#include "base/planned.h"
#include "route/lookup.h"

/* How rows of a target are found; it lives as long as that. */
typedef struct NvsLookup
{
	Oid			index;
	int			nkeys;
	int			values[NVS_LOOKUP_MAX_KEYS];	/* for its columns */
	Oid			collations[NVS_LOOKUP_MAX_KEYS];
	FmgrInfo	equal;			/* texteq() */
	int			ncolumns;		/* that are read, besides the key's */
	AttrNumber *columns;
	AttrNumber	key_columns[NVS_LOOKUP_MAX_KEYS];
	bool		whole;			/* columns are all that rows have */
	bool		row_security;	/* policies may apply */
	planner_hook_type planner;	/* the hook that has no say in this */
	NvsAllowed	allowed;		/* who may read all of that */
} NvsLookup;

static bool lookup_is_plain(Relation rel);
static bool lookup_fit(NvsLookup *lookup, Relation rel, Oid indexid,
					   const NvsLookupKey *keys, int nkeys);
static bool lookup_is_usable(Relation index, int nkeys);
static bool lookup_fit_column(NvsLookup *lookup, Relation rel,
							  Relation index, int column,
							  const NvsLookupKey *keys, int nkeys);
static void lookup_enter(NvsTarget *target, const NvsLookup *found,
						 const NvsField *const *columns, int ncolumns,
						 int natts);
static bool lookup_is_shown(const NvsTarget *target);
static bool lookup_check_rights(const NvsTarget *target);

/*
 * Have the rows of a target be found by these columns of type text, if they are
 * a unique key of a plain table: then target->lookup is set.  Only the given
 * columns can be read.  The relation must be locked.
 */
void
nvs_lookup_compile(NvsTarget *target, const NvsLookupKey *keys, int nkeys,
				   const NvsField *const *columns, int ncolumns)
{
	Relation	rel = table_open(target->relid, AccessShareLock);
	NvsLookup	found;
	ListCell   *lc;

	memset(&found, 0, sizeof(found));
	if (!target->compound && nkeys <= NVS_LOOKUP_MAX_KEYS &&
		lookup_is_plain(rel) && nvs_is_planned_as_itself(target->relid))
		foreach(lc, RelationGetIndexList(rel))
	{
		if (!lookup_fit(&found, rel, lfirst_oid(lc), keys, nkeys))
			continue;
		lookup_enter(target, &found, columns, ncolumns,
					 RelationGetNumberOfAttributes(rel));
		break;
	}
	table_close(rel, AccessShareLock);
}

/* Is reading a relation nothing else than reading its rows? */
static bool
lookup_is_plain(Relation rel)
{
	const FormData_pg_class *class = rel->rd_rel;

	return class->relkind == RELKIND_RELATION &&
		class->relam == HEAP_TABLE_AM_OID &&
		!nvs_has_virtual_columns(RelationGetDescr(rel)) &&
		(class->relpersistence == RELPERSISTENCE_PERMANENT ||
		 (class->relpersistence == RELPERSISTENCE_UNLOGGED &&
		  !RecoveryInProgress()));
}

/* Fill in a lookup by an index, if that is on these columns. */
static bool
lookup_fit(NvsLookup *lookup, Relation rel, Oid indexid,
		   const NvsLookupKey *keys, int nkeys)
{
	Relation	index = index_open(indexid, AccessShareLock);
	bool		fits = lookup_is_usable(index, nkeys);
	int			i;

	for (i = 0; fits && i < nkeys; i++)
		fits = lookup_fit_column(lookup, rel, index, i, keys, nkeys);
	lookup->index = indexid;
	lookup->nkeys = nkeys;
	lookup->row_security = rel->rd_rel->relrowsecurity;
	index_close(index, NoLock);
	return fits;
}

/* Does an index know at most one row for so many columns, of all rows? */
static bool
lookup_is_usable(Relation index, int nkeys)
{
	const FormData_pg_index *form = index->rd_index;
	HeapTuple	tuple = index->rd_indextuple;

	return index->rd_rel->relam == BTREE_AM_OID &&
		form->indisunique && form->indimmediate &&
		form->indisvalid && form->indisready && form->indislive &&
		!form->indcheckxmin && form->indnkeyatts == nkeys &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
}

/*
 * Fill in a column of an index, if it is one of the key and can be compared as
 * the operator = of the column's type does.
 */
static bool
lookup_fit_column(NvsLookup *lookup, Relation rel, Relation index, int column,
				  const NvsLookupKey *keys, int nkeys)
{
	AttrNumber	attnum = index->rd_index->indkey.values[column];
	int			i;

	for (i = 0; i < nkeys; i++)
		if (keys[i].field->attnum == attnum)
			break;
	if (i == nkeys || keys[i].field->type != TEXTOID ||
		index->rd_opfamily[column] != TEXT_BTREE_FAM_OID ||
		index->rd_opcintype[column] != TEXTOID ||
		index->rd_indcollation[column] !=
		TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attcollation)
		return false;
	lookup->key_columns[column] = attnum;
	lookup->collations[column] = index->rd_indcollation[column];
	lookup->values[column] = keys[i].value;
	return true;
}

/* Give a target its lookup, which reads these columns of natts. */
static void
lookup_enter(NvsTarget *target, const NvsLookup *found,
			 const NvsField *const *columns, int ncolumns, int natts)
{
	MemoryContext old = MemoryContextSwitchTo(target->cxt);
	NvsLookup  *lookup = palloc(sizeof(NvsLookup));
	int			i;

	*lookup = *found;
	lookup->planner = planner_hook;
	lookup->ncolumns = ncolumns;
	lookup->columns = palloc(sizeof(AttrNumber) * ncolumns);
	lookup->whole = ncolumns == natts;
	for (i = 0; i < ncolumns; i++)
	{
		lookup->columns[i] = columns[i]->attnum;
		lookup->whole = lookup->whole && columns[i]->attnum == i + 1;
	}
	fmgr_info_cxt(F_TEXTEQ, &lookup->equal, target->cxt);
	target->lookup = lookup;
	MemoryContextSwitchTo(old);
}

/*
 * Find the relation of a subject or key that can be read by nvs_lookup_begin(),
 * and lock it.  False when it cannot, or when that is not known: then nothing
 * is locked.  Nothing is read from the registry and no code of anybody's runs,
 * so the extension need not be locked against being dropped.
 */
bool
nvs_lookup_find(NvsKind kind, const char *subject, int len,
				NvsResolved *resolved)
{
	NvsTarget  *target = nvs_route_known(kind, subject, len, resolved);

	if (target == NULL || !nvs_lookup_may_read(target))
		return false;
	LockRelationOid(target->relid, AccessShareLock);
	/* Whoever we waited for may have changed it, or where keys are. */
	if (likely(target->valid && nvs_store_is_known(target->store) &&
			   lookup_is_shown(target)))
		return true;
	UnlockRelationOid(target->relid, AccessShareLock);
	return false;
}

/* Does the active snapshot show a relation as it is? */
static bool
lookup_is_shown(const NvsTarget *target)
{
	return ActiveSnapshotSet() &&
		!XidInMVCCSnapshot(target->writer, GetActiveSnapshot());
}

/*
 * May the current user read a target's rows here?  If not, a statement says
 * what he may.
 */
bool
nvs_lookup_may_read(const NvsTarget *target)
{
	const NvsLookup *lookup = target->lookup;

	return lookup != NULL && ExecutorCheckPerms_hook == NULL &&
		lookup->planner == planner_hook &&
		(likely(nvs_allowed(&lookup->allowed, ACL_SELECT)) ||
		 lookup_check_rights(target)) &&
		(!lookup->row_security ||
		 check_enable_rls(target->relid, InvalidOid, true) != RLS_ENABLED);
}

/* May the current user read all columns of a lookup?  It is noted if he may. */
static bool
lookup_check_rights(const NvsTarget *target)
{
	NvsLookup  *lookup = target->lookup;
	uint64		as_of = nvs_rights_changes();
	Oid			user = GetUserId();
	int			i;

	if (!nvs_may_use_relation(target->relid, ACL_SELECT))
		return false;
	if (pg_class_aclcheck(target->relid, user, ACL_SELECT) != ACLCHECK_OK)
	{
		for (i = 0; i < lookup->nkeys; i++)
			if (pg_attribute_aclcheck(target->relid, lookup->key_columns[i],
									  user, ACL_SELECT) != ACLCHECK_OK)
				return false;
		for (i = 0; i < lookup->ncolumns; i++)
			if (pg_attribute_aclcheck(target->relid, lookup->columns[i],
									  user, ACL_SELECT) != ACLCHECK_OK)
				return false;
	}
	nvs_allow(&lookup->allowed, ACL_SELECT, as_of);
	return true;
}

/*
 * Begin to read a target, which is locked, and which nvs_lookup_may_read().
 * False when it cannot be read here after all.  The lock of the index is kept,
 * as the executor does.
 */
bool
nvs_lookup_begin(const NvsTarget *target, NvsLookupScan *scan)
{
	const NvsLookup *lookup = target->lookup;
	int			i;

	if (!lookup_is_shown(target))
		return false;
	scan->lookup = lookup;
	scan->index = index_open(lookup->index, AccessShareLock);
	if (unlikely(!scan->index->rd_index->indisvalid))
	{
		index_close(scan->index, NoLock);
		return false;
	}
	scan->rel = table_open(target->relid, NoLock);
	scan->slot = table_slot_create(scan->rel, NULL);
	scan->scan = nvs_index_beginscan(scan->rel, scan->index,
									 GetActiveSnapshot(), lookup->nkeys);
	for (i = 0; i < lookup->nkeys; i++)
		ScanKeyEntryInitializeWithInfo(&scan->keys[i], 0, i + 1,
									   BTEqualStrategyNumber, InvalidOid,
									   lookup->collations[i],
									   unconstify(FmgrInfo *, &lookup->equal),
									   (Datum) 0);
	return true;
}

/* Have the scan look for these values of the key next. */
void
nvs_lookup_seek(NvsLookupScan *scan, const Datum *values)
{
	const NvsLookup *lookup = scan->lookup;
	int			i;

	for (i = 0; i < lookup->nkeys; i++)
		scan->keys[i].sk_argument = values[lookup->values[i]];
	index_rescan(scan->scan, scan->keys, lookup->nkeys, NULL, 0);
}

/* Find the row of these values of the key; false when there is none. */
bool
nvs_lookup_row(NvsLookupScan *scan, const Datum *values)
{
	nvs_lookup_seek(scan, values);
	return index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot);
}

/* Column n of those that the lookup reads, of the row that was found last. */
Datum
nvs_lookup_column(NvsLookupScan *scan, int n, bool *isnull)
{
	return slot_getattr(scan->slot, scan->lookup->columns[n], isnull);
}

/* All columns that the lookup reads, in their order. */
void
nvs_lookup_columns(NvsLookupScan *scan, Datum **values, bool **nulls)
{
	const NvsLookup *lookup = scan->lookup;
	int			i;

	slot_getallattrs(scan->slot);
	*values = scan->slot->tts_values;
	*nulls = scan->slot->tts_isnull;
	if (lookup->whole)
		return;
	*values = palloc(sizeof(Datum) * lookup->ncolumns);
	*nulls = palloc(sizeof(bool) * lookup->ncolumns);
	for (i = 0; i < lookup->ncolumns; i++)
		(*values)[i] = nvs_lookup_column(scan, i, &(*nulls)[i]);
}

/* End what nvs_lookup_begin() began. */
void
nvs_lookup_end(NvsLookupScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	table_close(scan->rel, NoLock);
	index_close(scan->index, NoLock);
}
