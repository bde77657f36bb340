/*
 * base/identity.c
 *	  Who we are: the extension's objects, owners, and acting as one.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "errors.h"
#include "base/identity.h"

static Oid	relation_owner(Oid relid);

/* OID of schema nvent. */
Oid
nvs_namespace(void)
{
	return get_namespace_oid("nvent", false);
}

/* OID of a table or sequence of schema nvent. */
Oid
nvs_registry_table(const char *name)
{
	Oid			relid = get_relname_relid(name, nvs_namespace());

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"nvent.%s\" does not exist", name),
				 errhint("Run CREATE EXTENSION nvent_store.")));
	return relid;
}

/*
 * Act as the extension's owner, for the registry only: callers have no right
 * to write it.  Nothing of a user's may run until nvs_become_caller().
 */
void
nvs_become_owner(NvsIdentity *saved)
{
	Oid			owner = relation_owner(nvs_registry_table("store"));

	nvs_pin_search_path(saved);
	SetUserIdAndSecContext(owner,
						   saved->context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Act as the owner of a user's table, restricted as in VACUUM: for work that
 * the caller did not ask for on just this table, so that its triggers and
 * functions, which may be anybody's, do not run with the caller's rights.
 */
void
nvs_become_table_owner(Oid relid, NvsIdentity *saved)
{
	Oid			owner = relation_owner(relid);

	nvs_pin_search_path(saved);
	SetUserIdAndSecContext(owner,
						   saved->context | SECURITY_RESTRICTED_OPERATION);
}

/* Owner of a relation. */
static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Stay who we are, but find nothing of a user's by an unqualified name. */
void
nvs_pin_search_path(NvsIdentity *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->context);
	saved->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Undo any of those above; an error undoes it by itself. */
void
nvs_become_caller(const NvsIdentity *saved)
{
	AtEOXact_GUC(false, saved->nestlevel);
	SetUserIdAndSecContext(saved->user, saved->context);
}
