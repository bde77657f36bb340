/*
 * route/overwrite.c
 *	  Overwriting rows that are there, without the executor.
 *
 * Where nothing but a table and its indexes has a say in what becomes of a row,
 * it is found by a lookup and updated by the access method.  That spares an
 * executor, a row lock with its WAL record, and most of the pruning: whatever
 * reads a row to change it prunes a page that is fuller than its fillfactor, as
 * it is after each update, and pays for looking at every row of the page.  Here
 * a page is pruned when the new row would not fit.
 *
 * It is done for a plain table that nvs_lookup_begin() can read, without
 * triggers, rules, policies, partitions and checks, and for who may read and
 * change all of it.  A row that is missing, or that somebody else changes or
 * holds, is a statement's, and so is everything under SERIALIZABLE and whatever
 * would be an error.  The columns are the caller's to know, and that none of
 * them is generated.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "route/overwrite.h"

static bool overwrite_may(const NvsTarget *target, NvsAllowed *allowed,
						  AclMode rights, const Oid *functions,
						  int nfunctions);
static bool overwrite_shows(NvsOverwrite *overwrite, ItemPointer tid,
							bool *all_dead);
static void overwrite_make_room(NvsOverwrite *overwrite);
static void overwrite_enter(NvsOverwrite *overwrite, NvsIndexUpdate indexes);

/* Does nothing come between an INSERT or UPDATE and a relation? */
bool
nvs_overwrite_is_plain(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	return rel->rd_tableam == GetHeapamTableAmRoutine() &&
		rel->trigdesc == NULL && rel->rd_rules == NULL &&
		!rel->rd_rel->relispartition && !rel->rd_rel->relrowsecurity &&
		(constr == NULL || constr->num_check == 0);
}

/*
 * Begin to overwrite rows of a plain relation, which is locked for that, for
 * who has these rights on all of it and may execute the functions, of which any
 * may be InvalidOid.  False when they cannot be overwritten here: a statement
 * is to do it, which also says what the user may not do.
 */
bool
nvs_overwrite_begin(const NvsTarget *target, NvsAllowed *allowed,
					AclMode rights, const Oid *functions, int nfunctions,
					NvsOverwrite *overwrite)
{
	if (IsolationIsSerializable() || !nvs_lookup_may_read(target) ||
		!overwrite_may(target, allowed, rights, functions, nfunctions))
		return false;
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!nvs_lookup_begin(target, &overwrite->scan))
	{
		PopActiveSnapshot();
		return false;
	}
	CheckCmdReplicaIdentity(overwrite->scan.rel, CMD_UPDATE);
	overwrite->buffer = InvalidBuffer;
	overwrite->estate = NULL;
	return true;
}

/* Has the current user these rights, and may he name and call the functions? */
static bool
overwrite_may(const NvsTarget *target, NvsAllowed *allowed, AclMode rights,
			  const Oid *functions, int nfunctions)
{
	uint64		as_of = nvs_rights_changes();
	Oid			user = GetUserId();
	int			i;

	if (likely(nvs_allowed(allowed, rights)))
		return true;
	if (!nvs_may_use_relation(target->relid, ACL_UPDATE) ||
		pg_class_aclmask(target->relid, user, rights, ACLMASK_ALL) != rights)
		return false;
	for (i = 0; i < nfunctions; i++)
		if (OidIsValid(functions[i]) &&
			(!nvs_may_execute(functions[i], user) ||
			 !nvs_has_schema_privilege(get_func_namespace(functions[i]), user,
									   ACL_USAGE)))
			return false;
	nvs_allow(allowed, rights, as_of);
	return true;
}

/*
 * Find the row that the snapshot shows of a key, without pruning its page,
 * which stays pinned: it is overwrite->row then, and overwrite->is_free tells
 * whether it is the last version and nobody holds it.
 */
bool
nvs_overwrite_find(NvsOverwrite *overwrite, const Datum *key)
{
	IndexScanDesc scan = overwrite->scan.scan;
	ItemPointer next;

	nvs_lookup_seek(&overwrite->scan, key);
	while ((next = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		ItemPointerData tid = *next;
		bool		all_dead = false;

		if (overwrite_shows(overwrite, &tid, &all_dead))
		{
			pgstat_count_heap_fetch(scan->indexRelation);
			return true;
		}
		/* As index_fetch_heap() has the index know of it. */
		scan->kill_prior_tuple = all_dead;
	}
	return false;
}

/*
 * Does the snapshot show a row of those that began at a place?  If not,
 * *all_dead tells whether nobody can see any.
 */
static bool
overwrite_shows(NvsOverwrite *overwrite, ItemPointer tid, bool *all_dead)
{
	Relation	rel = overwrite->scan.rel;
	bool		found;

	overwrite->buffer = ReleaseAndReadBuffer(overwrite->buffer, rel,
											 ItemPointerGetBlockNumber(tid));
	LockBuffer(overwrite->buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(tid, rel, overwrite->buffer,
								   GetActiveSnapshot(), &overwrite->row,
								   all_dead, true);
	overwrite->is_free = found &&
		HeapTupleSatisfiesUpdate(&overwrite->row, GetCurrentCommandId(false),
								 overwrite->buffer) == TM_Ok;
	LockBuffer(overwrite->buffer, BUFFER_LOCK_UNLOCK);
	return found;
}

/* Lock the row that was found, unless that takes waiting. */
bool
nvs_overwrite_lock(NvsOverwrite *overwrite)
{
	NvsLookupScan *scan = &overwrite->scan;
	TM_FailureData failure;

	return table_tuple_lock(scan->rel, &overwrite->row.t_self,
							GetActiveSnapshot(), scan->slot,
							GetCurrentCommandId(true),
							LockTupleNoKeyExclusive, LockWaitSkip, 0,
							&failure) == TM_Ok;
}

/*
 * Put what is in the slot in place of the row that was found.  False when
 * somebody else changed that, or deleted it, since: nothing has happened then.
 */
bool
nvs_overwrite_put(NvsOverwrite *overwrite)
{
	NvsLookupScan *scan = &overwrite->scan;
	ItemPointerData tid = overwrite->row.t_self;
	NvsIndexUpdate indexes;

	overwrite_make_room(overwrite);
	if (nvs_update_tuple(scan->rel, &tid, scan->slot,
						 GetCurrentCommandId(true), GetActiveSnapshot(),
						 &indexes) != TM_Ok)
		return false;
	if (indexes != NVS_NO_INDEX)
		overwrite_enter(overwrite, indexes);
	return true;
}

/*
 * Have room for the new row in the page of the old one, if pruning makes it.
 * The old one may move within the page, so what the new one has of it is
 * copied first.
 */
static void
overwrite_make_room(NvsOverwrite *overwrite)
{
	bool		ours;
	HeapTuple	row = ExecFetchSlotHeapTuple(overwrite->scan.slot, true, &ours);

	/* Without a lock, as heap_page_prune_opt() looks first: it is a guess. */
	if (PageGetHeapFreeSpace(BufferGetPage(overwrite->buffer)) <
		MAXALIGN(row->t_len))
		heap_page_prune_opt(overwrite->scan.rel, overwrite->buffer);
	if (ours)
		pfree(row);
}

/* Enter the new row, which is in the slot, into the indexes. */
static void
overwrite_enter(NvsOverwrite *overwrite, NvsIndexUpdate indexes)
{
	if (overwrite->estate == NULL)
	{
		overwrite->estate = CreateExecutorState();
		overwrite->result = makeNode(ResultRelInfo);
		InitResultRelInfo(overwrite->result, overwrite->scan.rel, 0, NULL, 0);
		ExecOpenIndices(overwrite->result, false);
	}
	ResetPerTupleExprContext(overwrite->estate);
	nvs_update_index_tuples(overwrite->result, overwrite->scan.slot,
							overwrite->estate, indexes);
}

/*
 * End what nvs_overwrite_begin() began.  What was written is seen by what looks
 * for itself afterwards, as behind a statement.
 */
void
nvs_overwrite_end(NvsOverwrite *overwrite)
{
	if (overwrite->estate != NULL)
	{
		ExecCloseIndices(overwrite->result);
		FreeExecutorState(overwrite->estate);
	}
	if (BufferIsValid(overwrite->buffer))
		ReleaseBuffer(overwrite->buffer);
	nvs_lookup_end(&overwrite->scan);
	PopActiveSnapshot();
	CommandCounterIncrement();
}
