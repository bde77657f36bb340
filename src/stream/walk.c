/*
 * stream/walk.c
 *	  Rows of a stream's table in the order of an index, without a statement.
 *
 * A reader follows many tables, of which a few have news.  A statement for each
 * needs a plan, and what a plan costs is mostly to learn of columns and indexes
 * that it does not use.  So we walk along an index ourselves where the executor
 * would do just that, under the same snapshot: in a plain table all of which
 * the caller may read, by operators that are PostgreSQL's own.  None of a
 * user's code runs.  Whoever may read some columns or rows only, or is watched
 * by a hook of another extension, is left to a statement, as is whatever is no
 * plain table, or one that a hook of the planner looks for elsewhere.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "base/planned.h"
#include "stream/walk.h"

static bool walk_open_table(NvsWalk *walk, Oid relid);
static bool walk_open_index(NvsWalk *walk, Oid indexid, Oid family, Oid type);
static bool walk_open_positions(NvsWalk *walk, Oid relid);
static bool walk_is_column(const NvsWalk *walk, const char *name);
static bool walk_is_whole(Relation index);
static void walk_begin(NvsWalk *walk, ScanKeyData *keys, int nkeys);

/*
 * Begin a walk along the rows of a locked relation, as the active snapshot
 * shows it, that are above a position and not above another, in the order of
 * positions.  Returns false, with nothing to be ended, when it takes a
 * statement.
 */
bool
nvs_walk_positions(NvsWalk *walk, Oid relid, int64 after, int64 upto)
{
	AttrNumber	id;
	ScanKeyData keys[2];

	if (!walk_open_positions(walk, relid))
		return false;
	id = walk->index->rd_index->indkey.values[0];
	ScanKeyInit(&keys[0], id, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(after));
	ScanKeyInit(&keys[1], id, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(upto));
	walk_begin(walk, keys, 2);
	return true;
}

/*
 * Begin to walk along the rows of a table whose column, one of text, begins
 * with len bytes, in the order of that column; the index is one that
 * nvs_walk_find_index() found.  Returns false, with nothing to be ended, when
 * it takes a statement.
 */
bool
nvs_walk_prefix(NvsWalk *walk, Oid relid, Oid indexid, AttrNumber column,
				const char *prefix, int len)
{
	char	   *upper = palloc(len);
	int			upper_len = nvs_prefix_upper(prefix, len, upper);
	text	   *from = cstring_to_text_with_len(prefix, len);
	text	   *upto = cstring_to_text_with_len(upper, upper_len);
	ScanKeyData keys[2];
	Oid			collation;

	if (upper_len == 0 || !walk_open_table(walk, relid))
		return false;
	if (!walk_open_index(walk, indexid, TEXT_BTREE_FAM_OID, TEXTOID))
	{
		table_close(walk->rel, NoLock);
		return false;
	}
	collation = walk->index->rd_indcollation[0];
	ScanKeyEntryInitialize(&keys[0], 0, column, BTGreaterEqualStrategyNumber,
						   InvalidOid, collation, F_TEXT_GE,
						   PointerGetDatum(from));
	ScanKeyEntryInitialize(&keys[1], 0, column, BTLessStrategyNumber,
						   InvalidOid, collation, F_TEXT_LT,
						   PointerGetDatum(upto));
	walk_begin(walk, keys, 2);
	return true;
}

/*
 * Begin to walk along the rows of a table that have this value in the first
 * column of an index, one of text, in the order of the index.  Returns false,
 * with nothing to be ended, when it takes a statement.
 */
bool
nvs_walk_value(NvsWalk *walk, Oid relid, Oid indexid, Datum value)
{
	ScanKeyData key;

	if (!walk_open_table(walk, relid))
		return false;
	if (!walk_open_index(walk, indexid, TEXT_BTREE_FAM_OID, TEXTOID))
	{
		table_close(walk->rel, NoLock);
		return false;
	}
	ScanKeyEntryInitialize(&key, 0, walk->index->rd_index->indkey.values[0],
						   BTEqualStrategyNumber, InvalidOid,
						   walk->index->rd_indcollation[0], F_TEXTEQ, value);
	walk_begin(walk, &key, 1);
	return true;
}

/* The next row, which is there until the next call; NULL behind the last. */
HeapTuple
nvs_walk_next(NvsWalk *walk)
{
	return systable_getnext_ordered(walk->scan, ForwardScanDirection);
}

/*
 * The row before, from the last one on, which is there until the next call;
 * NULL before the first.
 */
HeapTuple
nvs_walk_back(NvsWalk *walk)
{
	return systable_getnext_ordered(walk->scan, BackwardScanDirection);
}

/* A column of a row of the walk. */
Datum
nvs_walk_column(const NvsWalk *walk, HeapTuple row, AttrNumber column,
				bool *isnull)
{
	return heap_getattr(row, column, RelationGetDescr(walk->rel), isnull);
}

/* Are values of a column, one of text, equal where their bytes are, only? */
bool
nvs_walk_is_bytewise(const NvsWalk *walk, AttrNumber column)
{
	TupleDesc	desc = RelationGetDescr(walk->rel);
	Oid			collation = TupleDescAttr(desc, column - 1)->attcollation;

	return get_collation_isdeterministic(collation);
}

/* End a walk. */
void
nvs_walk_end(NvsWalk *walk)
{
	systable_endscan_ordered(walk->scan);
	index_close(walk->index, AccessShareLock);
	table_close(walk->rel, NoLock);
}

/*
 * May a locked relation have events, as the active snapshot shows it, above a
 * position and not above another?  True when that is not easily seen.
 */
bool
nvs_has_news(Oid relid, int64 after, int64 upto)
{
	NvsWalk		walk;
	bool		found;

	if (!nvs_walk_positions(&walk, relid, after, upto))
		return true;
	found = HeapTupleIsValid(nvs_walk_next(&walk));
	nvs_walk_end(&walk);
	return found;
}

/*
 * An index of a locked relation that is in the byte order of a column of text,
 * for nvs_walk_prefix(); InvalidOid for none.
 */
Oid
nvs_walk_find_index(Oid relid, AttrNumber column)
{
	NvsWalk		walk;
	Oid			found = InvalidOid;
	ListCell   *lc;

	if (!walk_open_table(&walk, relid))
		return InvalidOid;
	foreach(lc, RelationGetIndexList(walk.rel))
	{
		if (!walk_open_index(&walk, lfirst_oid(lc), TEXT_BTREE_FAM_OID,
							 TEXTOID))
			continue;
		if (walk.index->rd_index->indkey.values[0] == column &&
			nvs_collation_is_c(walk.index->rd_indcollation[0]))
			found = lfirst_oid(lc);
		index_close(walk.index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	table_close(walk.rel, NoLock);
	return found;
}

/*
 * Open a locked relation if it is a plain table, all of which the caller may
 * read.
 */
static bool
walk_open_table(NvsWalk *walk, Oid relid)
{
	Form_pg_class class;

	if (ExecutorCheckPerms_hook != NULL || !nvs_is_planned_as_itself(relid) ||
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
	walk->rel = table_open(relid, NoLock);
	class = walk->rel->rd_rel;
	if (class->relkind == RELKIND_RELATION &&
		class->relam == HEAP_TABLE_AM_OID && !class->relrowsecurity &&
		(class->relpersistence != RELPERSISTENCE_UNLOGGED ||
		 !RecoveryInProgress()))
		return true;
	table_close(walk->rel, NoLock);
	return false;
}

/*
 * Open an index of the table if it is a tree that has all rows, ordered first
 * by a column of this type as PostgreSQL itself orders it.
 */
static bool
walk_open_index(NvsWalk *walk, Oid indexid, Oid family, Oid type)
{
	Relation	index = index_open(indexid, AccessShareLock);

	if (index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_opfamily[0] == family && index->rd_opcintype[0] == type &&
		index->rd_index->indkey.values[0] > 0 && walk_is_whole(index))
	{
		walk->index = index;
		return true;
	}
	index_close(index, AccessShareLock);
	return false;
}

/* Open a table and its index that begins with the position. */
static bool
walk_open_positions(NvsWalk *walk, Oid relid)
{
	Oid			indexid;

	if (!walk_open_table(walk, relid))
		return false;
	indexid = nvs_primary_key_index(walk->rel);
	if (OidIsValid(indexid) &&
		walk_open_index(walk, indexid, INTEGER_BTREE_FAM_OID, INT8OID))
	{
		if (walk_is_column(walk, "id"))
			return true;
		index_close(walk->index, AccessShareLock);
	}
	table_close(walk->rel, NoLock);
	return false;
}

/* Is the first column of the index the table's column of this name? */
static bool
walk_is_column(const NvsWalk *walk, const char *name)
{
	AttrNumber	first = walk->index->rd_index->indkey.values[0];
	TupleDesc	desc = RelationGetDescr(walk->rel);

	return strcmp(NameStr(TupleDescAttr(desc, first - 1)->attname), name) == 0;
}

/*
 * Does an index have an entry for every row that any snapshot of ours shows?
 * One that was built where rows had older versions need not, for a while.
 */
static bool
walk_is_whole(Relation index)
{
	const FormData_pg_index *form = index->rd_index;
	HeapTupleHeader row = index->rd_indextuple->t_data;

	return form->indisvalid && RelationGetIndexPredicate(index) == NIL &&
		(!form->indcheckxmin ||
		 TransactionIdPrecedes(HeapTupleHeaderGetXmin(row), TransactionXmin));
}

/* Begin the scan; keys name columns of the table. */
static void
walk_begin(NvsWalk *walk, ScanKeyData *keys, int nkeys)
{
	walk->scan = systable_beginscan_ordered(walk->rel, walk->index,
											GetActiveSnapshot(), nkeys, keys);
}
