/*
 * store/stream_index.c
 *	  Indexes of stream tables: which there are, and those to ask for.
 *
 * Every index is written by each event, so a generic stream table has two: the
 * primary key, and one by subject, which is (subject, version) where it has
 * versions and else (subject, id).  Those here are made for who asks.  Whether
 * a table has one is seen by its columns and not by its name: what somebody
 * built by CREATE INDEX CONCURRENTLY is as good.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_opfamily.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/plan.h"
#include "base/text.h"
#include "store/stream_index.h"

/* An index that can be asked for: of a column and the position. */
typedef struct StreamIndex
{
	const char *name;			/* as callers say it, and the column */
	const char *definition;		/* behind CREATE INDEX ON table */
} StreamIndex;

static const StreamIndex stream_indexes[] = {
	{"subject", "(subject, id)"},
	{"type", "(type, id)"},
	{"run_id", "(run_id, id) WHERE run_id IS NOT NULL"}
};

static Oid	index_search(Relation rel, AttrNumber first, AttrNumber second,
						 bool unique, const char *name);
static bool index_has(Relation rel, Relation index, AttrNumber first,
					  AttrNumber second);
static bool index_sorts(Relation rel, Relation index, int key,
						AttrNumber attnum);
static bool index_has_all(Relation index, AttrNumber first);
static const StreamIndex *index_kind(const char *name);
static bool index_is_needed(Relation rel, const StreamIndex *kind);
static Oid	index_of_kind(Relation rel, const StreamIndex *kind,
						  const char *name);
static Oid	index_made_unasked(Relation rel, const StreamIndex *kind);

/*
 * The valid btree index of a relation that begins with these two columns, of
 * text or integers, and has all rows whose first is not NULL; with unique, one
 * that keeps the two of them unique.  InvalidOid when there is none.
 */
Oid
nvs_index_find(Relation rel, AttrNumber first, AttrNumber second, bool unique)
{
	return index_search(rel, first, second, unique, NULL);
}

/*
 * The index that nvs_index_find() looks for, and of this name unless that is
 * NULL.
 */
static Oid
index_search(Relation rel, AttrNumber first, AttrNumber second, bool unique,
			 const char *name)
{
	Oid			found = InvalidOid;
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		const FormData_pg_index *form = index->rd_index;

		if (index_has(rel, index, first, second) &&
			(!unique || (form->indisunique && form->indnkeyatts == 2)) &&
			(name == NULL || strcmp(RelationGetRelationName(index), name) == 0))
			found = lfirst_oid(lc);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

/* Is an index one that finds rows by these two columns? */
static bool
index_has(Relation rel, Relation index, AttrNumber first, AttrNumber second)
{
	const FormData_pg_index *form = index->rd_index;

	return form->indisvalid && form->indnkeyatts >= 2 &&
		index->rd_rel->relam == BTREE_AM_OID &&
		index_sorts(rel, index, 0, first) &&
		index_sorts(rel, index, 1, second) && index_has_all(index, first);
}

/* Is a key of an index this column, in the column's own order? */
static bool
index_sorts(Relation rel, Relation index, int key, AttrNumber attnum)
{
	Oid			collation;

	if (attnum <= 0 || index->rd_index->indkey.values[key] != attnum)
		return false;
	collation = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attcollation;
	return index->rd_indoption[key] == 0 &&
		index->rd_indcollation[key] == collation &&
		index->rd_opfamily[key] == (OidIsValid(collation) ?
									TEXT_BTREE_FAM_OID :
									INTEGER_BTREE_FAM_OID);
}

/* Has an index every row, at least of those whose first column is not NULL? */
static bool
index_has_all(Relation index, AttrNumber first)
{
	List	   *predicate = RelationGetIndexPredicate(index);
	const NullTest *test = predicate == NIL ? NULL : linitial(predicate);

	return predicate == NIL ||
		(list_length(predicate) == 1 && IsA(test, NullTest) &&
		 test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
		 ((const Var *) test->arg)->varattno == first);
}

/*
 * The names of indexes to ask for, each once, as C strings; raises an error for
 * what is none.
 */
List *
nvs_stream_index_names(const Datum *names, const bool *nulls, int n)
{
	List	   *result = NIL;
	int			i;

	for (i = 0; i < n; i++)
	{
		const StreamIndex *kind;

		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("index %d must not be null", i + 1)));
		kind = index_kind(TextDatumGetCString(names[i]));
		result = list_append_unique_ptr(result, unconstify(char *, kind->name));
	}
	return result;
}

/* The index of this name; an error when there is none. */
static const StreamIndex *
index_kind(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(stream_indexes); i++)
		if (strcmp(stream_indexes[i].name, name) == 0)
			return &stream_indexes[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("stream tables have no index \"%s\" to ask for", name),
			 errdetail("There are \"subject\", \"type\" and \"run_id\".")));
}

/* A relation's index of a kind, of any name for NULL; InvalidOid if none. */
static Oid
index_of_kind(Relation rel, const StreamIndex *kind, const char *name)
{
	Oid			relid = RelationGetRelid(rel);

	return index_search(rel, get_attnum(relid, kind->name),
						get_attnum(relid, "id"), false, name);
}

/*
 * Make an index of a stream table of the store, which must be locked against
 * writers, unless it is there; true when it was made.  Needs SPI.
 */
bool
nvs_stream_index_make(const NvsStore *store, Oid relid, const char *name)
{
	const StreamIndex *kind = index_kind(name);
	Relation	rel = table_open(relid, NoLock);
	Oid			index = index_of_kind(rel, kind, NULL);

	table_close(rel, NoLock);
	if (OidIsValid(index))
		return false;
	nvs_plan_utility(psprintf("CREATE INDEX ON %s %s",
							  nvs_qualified(store->schema,
											get_rel_name(relid)),
							  kind->definition));
	return true;
}

/* Has a stream table, which must be locked, an index that is to be dropped? */
bool
nvs_stream_index_any_unasked(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		any = false;
	int			i;

	for (i = 0; i < lengthof(stream_indexes) && !any; i++)
		any = OidIsValid(index_made_unasked(rel, &stream_indexes[i]));
	table_close(rel, NoLock);
	return any;
}

/*
 * Drop those indexes that earlier layouts gave every stream table, from one
 * that is locked against everybody.  What somebody built has another name, and
 * stays.  Needs SPI.
 */
void
nvs_stream_index_drop_unasked(const NvsStore *store, Oid relid)
{
	int			i;

	for (i = 0; i < lengthof(stream_indexes); i++)
	{
		Relation	rel = table_open(relid, NoLock);
		Oid			index = index_made_unasked(rel, &stream_indexes[i]);

		table_close(rel, NoLock);
		if (OidIsValid(index))
			nvs_plan_utility(psprintf("DROP INDEX %s",
									  nvs_qualified(store->schema,
													get_rel_name(index))));
	}
}

/* Is an index of this kind the only one by subject that a table has? */
static bool
index_is_needed(Relation rel, const StreamIndex *kind)
{
	Oid			relid = RelationGetRelid(rel);

	return strcmp(kind->name, "subject") == 0 &&
		!OidIsValid(nvs_index_find(rel, get_attnum(relid, "subject"),
								   get_attnum(relid, "version"), true));
}

/* The index of a kind that an earlier layout made; InvalidOid if none. */
static Oid
index_made_unasked(Relation rel, const StreamIndex *kind)
{
	char	   *name = makeObjectName(RelationGetRelationName(rel),
									  psprintf("%s_id", kind->name), "idx");

	return index_is_needed(rel, kind) ? InvalidOid :
		index_of_kind(rel, kind, name);
}
