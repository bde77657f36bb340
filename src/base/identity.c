/*
 * base/identity.c
 *	  Who we are: the extension's objects, owners, and acting as one.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "base/identity.h"
#include "base/inval.h"

/*
 * The registry's table, found to be the extension's; the name means that one as
 * long as nothing has told us of a change.
 */
static Oid	known = InvalidOid;
static bool is_current = false;

static void identity_relcache_callback(Datum arg, Oid relid);
static void identity_schema_callback(Datum arg, int cacheid, uint32 hash);
static bool identity_know(void);
static Oid	identity_find(const char *name);
static bool identity_is_member(Oid relid);
pg_noreturn static void identity_missing(const char *name);

/*
 * Is the extension in our database, as far as can be seen without a lock?
 * Needs a transaction, and mostly looks only into a cache: one of its tables is
 * still there.
 */
bool
nvs_is_installed(void)
{
	static Oid	table = InvalidOid;

	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
		return true;
	if (!OidIsValid(get_extension_oid("nvent_store", true)))
		return false;
	table = nvs_registry_table("store");
	return true;
}

/* Register the callbacks. */
void
nvs_identity_init(void)
{
	nvs_inval_register(identity_relcache_callback);
	CacheRegisterSyscacheCallback(NAMESPACEOID, identity_schema_callback,
								  (Datum) 0);
}

/* The registry may have been renamed or dropped. */
static void
identity_relcache_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	if (relid == InvalidOid || relid == known)
		is_current = false;
}

/* Some schema was made, altered or dropped. */
static void
identity_schema_callback(Datum arg pg_attribute_unused(),
						 int cacheid pg_attribute_unused(),
						 uint32 hash pg_attribute_unused())
{
	is_current = false;
}

/*
 * Lock the extension against being dropped until the transaction ends, so that
 * the names of its schema mean its own; false when it is not there.
 *
 * Whoever owns the extension may drop it and make a schema of that name, with
 * what he likes in it, while statements of ours wait for his locks.  Without
 * the lock they would be planned anew with his tables and functions, and run
 * these as whoever we are.  The registry's table stands for the extension: it
 * goes with it, and such a lock costs next to nothing.
 */
bool
nvs_hold_extension(void)
{
	for (;;)
	{
		if (unlikely(!is_current) && !identity_know())
			return false;
		LockRelationOid(known, AccessShareLock);
		/* Whoever we waited for may have changed that. */
		if (likely(is_current))
			return true;
		UnlockRelationOid(known, AccessShareLock);
	}
}

/* Find out which table is the registry; false when there is none. */
static bool
identity_know(void)
{
	Oid			relid = identity_find("store");

	if (!OidIsValid(relid) || (relid != known && !identity_is_member(relid)))
		return false;
	known = relid;
	is_current = true;
	/* What came in before we knew whom it was about has told us nothing. */
	if (identity_find("store") != relid)
		is_current = false;
	return true;
}

/*
 * Lock the registry as nvs_hold_extension() does; false also when that would
 * take waiting.
 */
bool
nvs_hold_extension_nowait(void)
{
	Oid			relid = identity_find("store");

	if (!OidIsValid(relid) ||
		!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	/* With the lock it keeps its name, and is locked again without waiting. */
	return identity_find("store") == relid && nvs_hold_extension();
}

/* Lock the extension against being dropped, or raise 42P01 without it. */
void
nvs_require_extension(void)
{
	if (!nvs_hold_extension())
		identity_missing("store");
}

/* OID of the relation of this name in schema nvent; InvalidOid for none. */
static Oid
identity_find(const char *name)
{
	Oid			schema = get_namespace_oid("nvent", true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* Does a relation belong to the extension, and not only to its schema? */
static bool
identity_is_member(Oid relid)
{
	Oid			extension = get_extension_oid("nvent_store", true);

	return OidIsValid(extension) &&
		getExtensionOfObject(RelationRelationId, relid) == extension;
}

/* OID of schema nvent; raises 3F000 when there is none. */
Oid
nvs_namespace(void)
{
	return get_namespace_oid("nvent", false);
}

/* OID of a table or sequence of schema nvent; raises 42P01 for none. */
Oid
nvs_registry_table(const char *name)
{
	Oid			relid = get_relname_relid(name, nvs_namespace());

	if (!OidIsValid(relid))
		identity_missing(name);
	return relid;
}

/* Raise the error for a table or sequence of schema nvent that is gone. */
static void
identity_missing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"nvent.%s\" does not exist", name),
			 errhint("Run CREATE EXTENSION nvent_store.")));
}

/*
 * Act as the extension's owner, for the registry only: callers have no right
 * to write it.  Nothing of a user's may run until nvs_become_caller().
 */
void
nvs_become_owner(NvsIdentity *saved)
{
	Oid			owner;

	nvs_require_extension();
	owner = nvs_relation_owner(nvs_registry_table("store"));
	nvs_pin_search_path(saved);
	SetUserIdAndSecContext(owner,
						   saved->context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Act as a role, restricted as in VACUUM, until nvs_become_caller(): what runs
 * has the role's rights and can neither leave it nor change settings of the
 * session.  Nor does the session choose where and how what is made is stored.
 */
void
nvs_become_role(Oid role, NvsIdentity *saved)
{
	nvs_pin_search_path(saved);
	nvs_pin_setting("default_tablespace", "");
	nvs_pin_setting("default_table_access_method", "heap");
	SetUserIdAndSecContext(role,
						   saved->context | SECURITY_RESTRICTED_OPERATION);
}

/* Owner of a relation; InvalidOid when it is gone. */
Oid
nvs_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Stay who we are, but find nothing of a user's by an unqualified name until
 * nvs_become_caller().
 */
void
nvs_pin_search_path(NvsIdentity *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->context);
	saved->nestlevel = NewGUCNestLevel();
	nvs_pin_setting("search_path", "pg_catalog, pg_temp");
}

/* Set a setting until nvs_become_caller(), which must be to come. */
void
nvs_pin_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Be who we were again, and have the search path that we had.  An error does
 * that by itself.
 */
void
nvs_become_caller(const NvsIdentity *saved)
{
	AtEOXact_GUC(false, saved->nestlevel);
	SetUserIdAndSecContext(saved->user, saved->context);
}
