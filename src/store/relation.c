/*
 * store/relation.c
 *	  Relations of a store: found by name, known by their owner.
 *
 * The registry and the layouts name the tables of a store, and any role that
 * may create in a schema can take a name that has become free there.  So a
 * relation is a store's only when it belongs to the store's owner, to that
 * role itself, and a table that we made must still be a table: neither rows
 * nor code of anybody else are ever met under its name.
 *
 * Who uses a relation locks it here first.  Then the name is the relation's
 * until the transaction ends, so a statement that is planned from the name
 * meets what was looked at.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "errors.h"
#include "base/identity.h"
#include "base/text.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(nvs_version_table);

/*
 * nvent.version_table(schema_name, prefix): the table by which a store is
 * known, now; NULL when there is none.  It computes a stored column, so what
 * the name meant when the row was written is what counts.
 */
Datum
nvs_version_table(PG_FUNCTION_ARGS)
{
	char	   *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *prefix = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid			nspid = get_namespace_oid(schema, true);
	Oid			relid = InvalidOid;

	if (OidIsValid(nspid))
		relid = get_relname_relid(psprintf("%s_schema_version", prefix),
								  nspid);
	if (!OidIsValid(relid))
		PG_RETURN_NULL();
	PG_RETURN_OID(relid);
}

/*
 * OID of the relation of this name in a schema, in the store's own one when
 * schema is NULL, whosever it is; InvalidOid when there is none.
 */
Oid
nvs_relation_find(const NvsStore *store, const char *schema, const char *name)
{
	Oid			nspid = schema == NULL ? store->nspid :
		get_namespace_oid(schema, true);

	return OidIsValid(nspid) ? get_relname_relid(name, nspid) : InvalidOid;
}

/*
 * Find a relation as nvs_relation_find() does, and lock it until the end of
 * the transaction; InvalidOid when there is none.  Raises 42P16 when it is not
 * the store's, and, with is_table, when it is no table.  While the lock is
 * waited for the name may become another relation's, which is then locked.
 */
Oid
nvs_relation_lock(const NvsStore *store, const char *schema, const char *name,
				  bool is_table, LOCKMODE mode)
{
	Oid			relid = nvs_relation_find(store, schema, name);

	while (OidIsValid(relid))
	{
		Oid			again;

		nvs_relation_check(store, relid, is_table);
		LockRelationOid(relid, mode);
		again = nvs_relation_find(store, schema, name);
		if (again == relid)
		{
			nvs_relation_check(store, relid, is_table);
			break;
		}
		UnlockRelationOid(relid, mode);
		relid = again;
	}
	return relid;
}

/* Is a qualified name still that of a relation?  One that is gone has none. */
bool
nvs_relation_has_name(Oid relid, const char *qualified)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	char	   *name = get_rel_name(relid);

	return schema != NULL && name != NULL &&
		strcmp(nvs_qualified(schema, name), qualified) == 0;
}

/*
 * Has a relation, which is there, any index?  Tables that are restored from a
 * dump have none until all of their rows are there, so that one which a layout
 * gives an index is not complete without.
 */
bool
nvs_relation_has_index(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		has_index;

	if (!HeapTupleIsValid(tuple))
		return false;
	has_index = ((Form_pg_class) GETSTRUCT(tuple))->relhasindex;
	ReleaseSysCache(tuple);
	return has_index;
}

/*
 * Is a relation the store's: does it belong to the store's owner, and is it a
 * table where is_table asks for one?  One that is gone is nobody's.
 */
bool
nvs_relation_is_own(const NvsStore *store, Oid relid, bool is_table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class class;
	bool		is_own;

	if (!HeapTupleIsValid(tuple))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	is_own = class->relowner == store->owner &&
		(!is_table || class->relkind == RELKIND_RELATION ||
		 class->relkind == RELKIND_PARTITIONED_TABLE);
	ReleaseSysCache(tuple);
	return is_own;
}

/* Raise 42P16 when a relation is there that is not the store's. */
void
nvs_relation_check(const NvsStore *store, Oid relid, bool is_table)
{
	char	   *name;
	Oid			owner;

	if (nvs_relation_is_own(store, relid, is_table))
		return;
	owner = nvs_relation_owner(relid);
	if (!OidIsValid(owner))
		return;
	name = nvs_qualified(get_namespace_name(get_rel_namespace(relid)),
						 get_rel_name(relid));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("relation %s cannot be used by store \"%s\"", name,
					store->prefix),
			 owner == store->owner ?
			 errdetail("It is in the place of a table, and is none.") :
			 errdetail("It belongs to role \"%s\", and the store to role \"%s\".",
					   GetUserNameFromId(owner, true),
					   GetUserNameFromId(store->owner, true)),
			 owner == store->owner ? errhint("Rename or drop it.") :
			 errhint("Give it to the owner of the store with ALTER TABLE, or rename or drop it.")));
}
