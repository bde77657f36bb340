/*
 * route/shown.c
 *	  What a snapshot shows of a relation, and what reading it reads.
 *
 * What is to be read or written is locked before anything is decided by it.
 * A snapshot that was taken before the lock shows too little of a relation
 * that was rewritten meanwhile.  Some forms of ALTER TABLE, and TRUNCATE with
 * what is inserted after it, give a relation rows that are all younger than
 * the snapshot, though their contents are not.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/plan.h"
#include "route/shown.h"

static bool relation_lock_view(Node *node, void *context);
static bool relation_storage(Oid relid, Snapshot snapshot, Oid *storage);

/* How a relation is locked for a use; a standby has no lock for writing. */
LOCKMODE
nvs_use_lock_mode(NvsUse use)
{
	switch (use)
	{
		case NVS_USE_LOOK:
		case NVS_USE_PLAN:
			return NoLock;
		case NVS_USE_READ:
		case NVS_USE_READ_LATEST:
			return AccessShareLock;
		case NVS_USE_CHANGE:
		case NVS_USE_WRITE:
			return RecoveryInProgress() ? AccessShareLock : RowExclusiveLock;
	}
	return NoLock;
}

/* Does reading a relation read others: partitions, children, or a view's? */
bool
nvs_relation_is_compound(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_VIEW || has_subclass(relid);
}

/*
 * Lock the relations that reading a relation reads, itself among them, until
 * the end of the transaction.  Returns their OIDs.
 */
List *
nvs_relation_lock_parts(Oid relid)
{
	List	   *parts;
	Relation	view;

	if (get_rel_relkind(relid) != RELKIND_VIEW)
		return find_all_inheritors(relid, AccessShareLock, NULL);
	parts = list_make1_oid(relid);
	view = table_open(relid, AccessShareLock);
	(void) relation_lock_view((Node *) get_view_query(view), &parts);
	table_close(view, NoLock);
	return parts;
}

/* Tree walker: lock the relations of a view's query; context is the list. */
static bool
relation_lock_view(Node *node, void *context)
{
	List	  **parts = context;
	RangeTblEntry *rte = (RangeTblEntry *) node;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, relation_lock_view, context,
								 QTW_EXAMINE_RTES_BEFORE);
	if (!IsA(node, RangeTblEntry))
		return expression_tree_walker(node, relation_lock_view, context);

	/* A view's entries for itself, as it was and will be, are among them. */
	if (rte->rtekind == RTE_RELATION && !list_member_oid(*parts, rte->relid))
	{
		LockRelationOid(rte->relid, AccessShareLock);
		*parts = list_concat_unique_oid(*parts,
										nvs_relation_lock_parts(rte->relid));
	}
	return false;
}

/*
 * The transaction that last changed what the catalog says of a relation;
 * whoever rewrites it does.  InvalidTransactionId when it is gone.
 */
TransactionId
nvs_relation_writer(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	TransactionId writer;

	if (!HeapTupleIsValid(tuple))
		return InvalidTransactionId;
	writer = HeapTupleHeaderGetXmin(tuple->t_data);
	ReleaseSysCache(tuple);
	return writer;
}

/*
 * What does a snapshot show of a relation?  It must be locked.  The catalog
 * says who changed it last; whether that rewrote it, its storage says.
 */
NvsShown
nvs_relation_shown(Oid relid, Snapshot snapshot)
{
	TransactionId writer = nvs_relation_writer(relid);
	Oid			before;

	if (!XidInMVCCSnapshot(writer, snapshot) ||
		TransactionIdIsCurrentTransactionId(writer))
		return NVS_SHOWN;
	if (!relation_storage(relid, snapshot, &before))
		return NVS_YOUNGER;
	return nvs_relation_storage_now(relid) == before ?
		NVS_SHOWN : NVS_REWRITTEN;
}

/* The storage that a relation has now. */
Oid
nvs_relation_storage_now(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Oid			storage = rel->rd_rel->relfilenode;

	relation_close(rel, AccessShareLock);
	return storage;
}

/* The storage that a relation has in a snapshot; false when it is not there. */
static bool
relation_storage(Oid relid, Snapshot snapshot, Oid *storage)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1,
							  &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		*storage = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return found;
}

/*
 * Have the rest of this call read with a new snapshot when the active one does
 * not show a relation as it is, which must be locked.  In a transaction that
 * keeps its snapshot, one that was rewritten since is error 40001, and one that
 * is younger is empty.
 */
void
nvs_relation_show(Oid relid)
{
	NvsShown	shown = NVS_SHOWN;

	if (ActiveSnapshotSet())
		shown = nvs_relation_shown(relid, GetActiveSnapshot());
	if (shown == NVS_SHOWN)
		return;
	if (!IsolationUsesXactSnapshot())
		nvs_spi_push_snapshot(GetLatestSnapshot());
	else if (shown == NVS_REWRITTEN)
		nvs_relation_not_shown(relid);
}

/* Report that the transaction's snapshot shows nothing of a relation. */
void
nvs_relation_not_shown(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent change of "
					"relation \"%s\"", get_rel_name(relid)),
			 errdetail("It was rewritten or replaced after the transaction "
					   "took its snapshot, which shows none of its rows."),
			 errhint("Retry the transaction.")));
}
