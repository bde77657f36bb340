/*
 * stream/news.c
 *	  Has a relation events in a range of positions?
 *
 * Of many relations that a reader follows a few have news.  To have each of
 * them say so by a statement takes a plan for each, so we look into the index
 * of its primary key ourselves.  That only tells which statements need not be
 * executed: whoever may not read the relation, or not all of its rows, is left
 * to the statement, as is whatever is no plain table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "stream/window.h"

static Relation news_open_index(Relation rel);
static bool news_find(Relation rel, Relation index, int64 after, int64 upto);

/*
 * May a locked relation have events, as the active snapshot shows it, above a
 * position and not above another?  True when that is not easily seen.
 */
bool
nvs_has_news(Oid relid, int64 after, int64 upto)
{
	Relation	rel;
	Relation	index;
	bool		found = true;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return true;
	rel = table_open(relid, AccessShareLock);
	index = news_open_index(rel);
	if (index != NULL)
	{
		found = news_find(rel, index, after, upto);
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
	return found;
}

/* Open a table's index that begins with the position; NULL for none. */
static Relation
news_open_index(Relation rel)
{
	Relation	index;
	AttrNumber	first;
	Oid			relid;

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relrowsecurity)
		return NULL;
	relid = nvs_primary_key_index(rel);
	if (!OidIsValid(relid))
		return NULL;
	index = index_open(relid, AccessShareLock);
	first = index->rd_index->indkey.values[0];
	if (index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_opfamily[0] == INTEGER_BTREE_FAM_OID &&
		index->rd_opcintype[0] == INT8OID &&
		strcmp(NameStr(TupleDescAttr(RelationGetDescr(rel),
									 first - 1)->attname), "id") == 0)
		return index;
	index_close(index, AccessShareLock);
	return NULL;
}

/* Does the index find a row between the positions? */
static bool
news_find(Relation rel, Relation index, int64 after, int64 upto)
{
	AttrNumber	id = index->rd_index->indkey.values[0];
	ScanKeyData keys[2];
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&keys[0], id, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(after));
	ScanKeyInit(&keys[1], id, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(upto));
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 2,
									  keys);
	found = HeapTupleIsValid(systable_getnext_ordered(scan,
													  ForwardScanDirection));
	systable_endscan_ordered(scan);
	return found;
}
