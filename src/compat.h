/*
 * compat.h
 *	  The only file that knows PostgreSQL versions.
 */
#ifndef NVS_COMPAT_H
#define NVS_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "nvent_store needs PostgreSQL 15 or later"
#endif

#include "access/genam.h"
#include "access/tableam.h"
#include "access/tupdesc.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/pgstat_internal.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "parser/parse_relation.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"

/* Shared memory can be had by name, without having been preloaded. */
#define NVS_NAMED_SEGMENTS
#endif

/* Its header includes ICU's, which need not be there to build extensions. */
#undef USE_ICU
#include "utils/pg_locale.h"

/* Before a declaration; it was an attribute behind it, of another name. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* datconnlimit of a database that was being dropped when the server crashed. */
#define NVS_DATABASE_IS_INVALID	(-2)

/* The table whose rows a transaction has changed. */
static inline Oid
nvs_changed_table(const PgStat_TableXactStatus *changed)
{
#if PG_VERSION_NUM >= 160000
	return changed->parent->id;
#else
	return changed->parent->t_id;
#endif
}

/* Is role the owner of relation relid, or a member of its owner? */
static inline bool
nvs_owns_relation(Oid relid, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, role);
#else
	return pg_class_ownercheck(relid, role);
#endif
}

/* Has a role one of these privileges on a schema? */
static inline bool
nvs_has_schema_privilege(Oid schema, Oid role, AclMode privileges)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role,
						   privileges) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, privileges) == ACLCHECK_OK;
#endif
}

/* May a role execute a function? */
static inline bool
nvs_may_execute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role,
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* Raise an error unless the current user can become this role. */
static inline void
nvs_check_can_be(Oid role)
{
#if PG_VERSION_NUM >= 160000
	check_can_set_role(GetUserId(), role);
#else
	check_is_member_of_role(GetUserId(), role);
#endif
}

/* Is role the owner of a database, or a member of its owner? */
static inline bool
nvs_owns_database(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

/*
 * Make a relation the first of an executor state, to insert into; an error
 * unless the current user may insert the one columns and read the others.
 */
static inline void
nvs_begin_insert(EState *estate, RangeTblEntry *rte, Bitmapset *inserted,
				 Bitmapset *selected)
{
	List	   *range = list_make1(rte);
#if PG_VERSION_NUM >= 160000
	List	   *infos = NIL;
	RTEPermissionInfo *privileges = addRTEPermissionInfo(&infos, rte);
#else
	RangeTblEntry *privileges = rte;
#endif

	privileges->requiredPerms = ACL_INSERT | ACL_SELECT;
	privileges->insertedCols = inserted;
	privileges->selectedCols = selected;
#if PG_VERSION_NUM >= 180000
	ExecCheckPermissions(range, infos, true);
	ExecInitRangeTable(estate, range, infos, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
	ExecCheckPermissions(range, infos, true);
	ExecInitRangeTable(estate, range, infos);
#else
	ExecCheckRTPerms(range, true);
	ExecInitRangeTable(estate, range);
#endif
}

/*
 * Enter a row that was inserted into the indexes of its relation, or one that
 * was updated without a change of what they are of.
 */
static inline void
nvs_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot,
						EState *estate, bool update)
{
#if PG_VERSION_NUM >= 160000
	list_free(ExecInsertIndexTuples(result, slot, estate, update, false, NULL,
									NIL, false));
#else
	list_free(ExecInsertIndexTuples(result, slot, estate, update, false, NULL,
									NIL));
#endif
}

/* Which indexes a row that was updated has to be entered into. */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes NvsIndexUpdate;
#define NVS_NO_INDEX	TU_None
#else
typedef bool NvsIndexUpdate;
#define NVS_NO_INDEX	false
#endif

/* Have the row of a place be that of a slot. */
static inline TM_Result
nvs_update_tuple(Relation rel, ItemPointer tid, TupleTableSlot *slot,
				 CommandId cid, Snapshot snapshot, NvsIndexUpdate *indexes)
{
	TM_FailureData failure;
	LockTupleMode mode;

	return table_tuple_update(rel, tid, slot, cid, snapshot, InvalidSnapshot,
							  true, &failure, &mode, indexes);
}

/* Enter a row that was updated into these indexes of its relation. */
static inline void
nvs_update_index_tuples(ResultRelInfo *result, TupleTableSlot *slot,
						EState *estate,
						NvsIndexUpdate indexes pg_attribute_unused())
{
#if PG_VERSION_NUM >= 160000
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL,
									NIL, indexes == TU_Summarizing));
#else
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL,
									NIL));
#endif
}

/* Has a relation a column that is computed from others? */
static inline bool
nvs_has_generated_columns(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

#if PG_VERSION_NUM >= 180000
	if (constr != NULL && constr->has_generated_virtual)
		return true;
#endif
	return constr != NULL && constr->has_generated_stored;
}

/* Say in a record of the log which sequence it is of. */
static inline void
nvs_set_sequence_locator(xl_seq_rec *record, Relation rel)
{
#if PG_VERSION_NUM >= 160000
	record->locator = rel->rd_locator;
#else
	record->node = rel->rd_node;
#endif
}

/* A relation's primary key, unless it is deferrable; else InvalidOid. */
static inline Oid
nvs_primary_key_index(Relation rel)
{
#if PG_VERSION_NUM >= 180000
	return RelationGetPrimaryKeyIndex(rel, false);
#else
	return RelationGetPrimaryKeyIndex(rel);
#endif
}

/* Are there columns that are computed when they are read? */
static inline bool
nvs_has_virtual_columns(TupleDesc desc pg_attribute_unused())
{
#if PG_VERSION_NUM >= 180000
	return desc->constr != NULL && desc->constr->has_generated_virtual;
#else
	return false;
#endif
}

/* Begin a scan of a relation by an index and so many keys. */
static inline IndexScanDesc
nvs_index_beginscan(Relation rel, Relation index, Snapshot snapshot,
					int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#endif
}

/* Local id of this backend's top-level transaction. */
static inline LocalTransactionId
nvs_transaction_id(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/* Number of this process, below MaxBackends for those that run queries. */
static inline int
nvs_my_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* The virtual transaction that holds a lock, as pg_locks shows it; palloc'd. */
static inline char *
nvs_lock_holder(const LockInstanceData *lock)
{
#if PG_VERSION_NUM >= 170000
	return psprintf("%d/%u", lock->vxid.procNumber,
					lock->vxid.localTransactionId);
#else
	return psprintf("%d/%u", lock->backend, lock->lxid);
#endif
}

#ifdef NVS_NAMED_SEGMENTS

/* Map the shared memory of this name, which init sets up when it is new. */
static inline void *
nvs_named_segment(const char *name, Size size, void (*init) (void *),
				  bool *found)
{
	return GetNamedDSMSegment(name, size, init, found);
}

#endif

/* Does this collation order text by its bytes? */
static inline bool
nvs_collation_is_c(Oid collation)
{
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

#endif							/* NVS_COMPAT_H */
