/*
 * base/grant.c
 *	  GRANT and REVOKE, and what an access control list says.
 *
 * Statements are put together from nodes: no name is ever part of a text that
 * is parsed, and no utility hook or event trigger sees them.  They have the
 * rights of whoever is the current user.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/catcache.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "base/grant.h"
#include "base/identity.h"

/* How often roles, schemas and functions may have changed. */
static uint64 changes = 1;

static void grant_syscache_callback(Datum arg, int cacheid, uint32 hash);
static void grant_run(bool is_grant, ObjectType type, void *object,
					  List *privileges, Oid role);
static List *grant_privilege(List *list, const char *name);
static Acl *grant_acl(int cache, Oid oid, AttrNumber column);

/* Register the callbacks. */
void
nvs_grant_init(void)
{
	static const int caches[] = {
		NAMESPACEOID, AUTHOID, AUTHMEMROLEMEM, DATABASEOID, PROCOID
	};
	int			i;

	for (i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], grant_syscache_callback,
									  (Datum) 0);
}

/* A role, its memberships, a schema, database or function may have changed. */
static void
grant_syscache_callback(Datum arg pg_attribute_unused(),
						int cacheid pg_attribute_unused(),
						uint32 hash pg_attribute_unused())
{
	changes++;
}

/*
 * Grant privileges on an object to a role, 0 for PUBLIC, or revoke them.  What
 * was changed is seen by what follows.
 */
static void
grant_run(bool is_grant, ObjectType type, void *object, List *privileges,
		  Oid role)
{
	GrantStmt  *stmt = makeNode(GrantStmt);
	RoleSpec   *grantee = makeNode(RoleSpec);

	grantee->roletype = OidIsValid(role) ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
	if (OidIsValid(role))
		grantee->rolename = GetUserNameFromId(role, false);
	grantee->location = -1;
	stmt->is_grant = is_grant;
	stmt->targtype = ACL_TARGET_OBJECT;
	stmt->objtype = type;
	stmt->objects = list_make1(object);
	stmt->privileges = privileges;
	stmt->grantees = list_make1(grantee);
	stmt->behavior = DROP_RESTRICT;
	ExecuteGrantStmt(stmt);
	CommandCounterIncrement();
}

/* Add a privilege to a list of AccessPriv. */
static List *
grant_privilege(List *list, const char *name)
{
	AccessPriv *privilege = makeNode(AccessPriv);

	privilege->priv_name = pstrdup(name);
	return lappend(list, privilege);
}

/* Grant a role USAGE on a schema. */
void
nvs_grant_schema(const char *schema, Oid role)
{
	grant_run(true, OBJECT_SCHEMA, makeString(pstrdup(schema)),
			  grant_privilege(NIL, "usage"), role);
}

/* How a statement names the only function of this name in schema nvent. */
static ObjectWithArgs *
grant_function(const char *name)
{
	ObjectWithArgs *function = makeNode(ObjectWithArgs);

	function->objname = list_make2(makeString(pstrdup("nvent")),
								   makeString(pstrdup(name)));
	function->args_unspecified = true;
	return function;
}

/* Grant a role EXECUTE on the function of this name in schema nvent. */
void
nvs_grant_function(const char *name, Oid role)
{
	grant_run(true, OBJECT_FUNCTION, grant_function(name),
			  grant_privilege(NIL, "execute"), role);
}

/*
 * Grant a role privileges on a relation, or revoke them: those of
 * NVS_ACL_WRITE, and USAGE when it is a sequence.  Locks the relation against
 * being altered; nothing happens when it is gone.
 */
void
nvs_grant_relation(bool is_grant, Oid relid, AclMode privileges, Oid role)
{
	static const struct
	{
		AclMode		mode;
		const char *name;
	}			names[] = {
		{ACL_SELECT, "select"}, {ACL_INSERT, "insert"},
		{ACL_UPDATE, "update"}, {ACL_DELETE, "delete"},
		{ACL_USAGE, "usage"}
	};
	RangeVar   *relation;
	List	   *list = NIL;
	int			i;

	/* The statement has names for what we have as bits. */
	for (i = 0; i < lengthof(names); i++)
		if (privileges & names[i].mode)
			list = grant_privilege(list, names[i].name);
	if (list == NIL)
		return;

	/* GRANT itself locks nothing: it fails where the table is altered. */
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return;

	/* Its name by now: it may have been renamed while we waited. */
	relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
							get_rel_name(relid), -1);
	grant_run(is_grant, get_rel_relkind(relid) == RELKIND_SEQUENCE ?
			  OBJECT_SEQUENCE : OBJECT_TABLE, relation, list, role);
}

/* A copy of the access control list of an object; NULL for the default one. */
static Acl *
grant_acl(int cache, Oid oid, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
	Datum		value;
	bool		isnull;
	Acl		   *acl = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	value = SysCacheGetAttr(cache, tuple, column, &isnull);
	if (!isnull)
		acl = DatumGetAclPCopy(value);
	ReleaseSysCache(tuple);
	return acl;
}

/* The access control list of a relation; NULL if nothing was granted on it. */
Acl *
nvs_acl_of_relation(Oid relid)
{
	return grant_acl(RELOID, relid, Anum_pg_class_relacl);
}

/* Was USAGE on a schema granted to a role itself? */
bool
nvs_acl_has_schema(Oid schema, Oid role)
{
	const Acl  *acl = grant_acl(NAMESPACEOID, schema,
								Anum_pg_namespace_nspacl);

	return (nvs_acl_mask(acl, role) & ACL_USAGE) != 0;
}

/*
 * The function of this name in schema nvent, of which there is one.  Whoever
 * calls need not be allowed to name it.
 */
Oid
nvs_function_oid(const char *name)
{
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP,
										   CStringGetDatum(name));
	Oid			schema = nvs_namespace();
	Oid			result = InvalidOid;
	int			i;

	for (i = 0; i < list->n_members; i++)
	{
		Form_pg_proc form =
			(Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (form->pronamespace == schema)
			result = form->oid;
	}
	ReleaseSysCacheList(list);
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function nvent.%s does not exist", name)));
	return result;
}

/*
 * Was EXECUTE on the function of this name in schema nvent granted to a role
 * itself?
 */
bool
nvs_acl_has_function(const char *name, Oid role)
{
	const Acl  *acl = grant_acl(PROCOID, nvs_function_oid(name),
								Anum_pg_proc_proacl);

	return (nvs_acl_mask(acl, role) & ACL_EXECUTE) != 0;
}

/*
 * What a list grants to a role itself, 0 for PUBLIC: not what it has as a
 * member of others.  acl may be NULL.
 */
AclMode
nvs_acl_mask(const Acl *acl, Oid role)
{
	AclMode		mask = ACL_NO_RIGHTS;
	int			i;

	for (i = 0; acl != NULL && i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee == role)
			mask |= ACLITEM_GET_PRIVS(ACL_DAT(acl)[i]);
	return mask;
}

/*
 * May the current user use a relation: its schema, and one of these privileges
 * on it or on a column?  Not if it is gone.
 */
bool
nvs_may_use_relation(Oid relid, AclMode privileges)
{
	Oid			schema = get_rel_namespace(relid);
	bool		is_missing = false;

	if (!OidIsValid(schema) ||
		!nvs_has_schema_privilege(schema, GetUserId(), ACL_USAGE))
		return false;
	if (pg_class_aclcheck_ext(relid, GetUserId(), privileges,
							  &is_missing) == ACLCHECK_OK)
		return !is_missing;
	return !is_missing &&
		pg_attribute_aclcheck_all(relid, GetUserId(), privileges,
								  ACLMASK_ANY) == ACLCHECK_OK;
}

/*
 * Raise an error unless the current user may use a relation.  Nothing is locked
 * by that: a lock is a thing that only those may have who may use it.
 */
void
nvs_check_use_relation(Oid relid, AclMode privileges)
{
	Oid			schema = get_rel_namespace(relid);

	if (nvs_may_use_relation(relid, privileges) || !OidIsValid(schema))
		return;
	if (!nvs_has_schema_privilege(schema, GetUserId(), ACL_USAGE))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA,
					   get_namespace_name(schema));
	aclcheck_error(ACLCHECK_NO_PRIV,
				   get_relkind_objtype(get_rel_relkind(relid)),
				   get_rel_name(relid));
}

/*
 * Is it known that the current user may use a relation by one of these
 * privileges?  Nothing is looked up.
 */
bool
nvs_allowed(const NvsAllowed *allowed, AclMode privileges)
{
	return allowed->privileges != 0 &&
		(allowed->privileges & ~privileges) == 0 &&
		allowed->user == GetUserId() && allowed->changes == changes;
}

/*
 * Note that the current user may use a relation by one of these privileges, as
 * of the number of changes before that was looked up.
 */
void
nvs_allow(NvsAllowed *allowed, AclMode privileges, uint64 as_of)
{
	allowed->user = GetUserId();
	allowed->privileges = privileges;
	allowed->changes = as_of;
}

/* How often roles, schemas and functions may have changed. */
uint64
nvs_rights_changes(void)
{
	return changes;
}

/* Do what nvs_check_use_relation() does, unless the answer is known. */
void
nvs_check_use_known(NvsAllowed *allowed, Oid relid, AclMode privileges)
{
	uint64		as_of = changes;

	if (likely(nvs_allowed(allowed, privileges)))
		return;
	nvs_check_use_relation(relid, privileges);
	nvs_allow(allowed, privileges, as_of);
}
