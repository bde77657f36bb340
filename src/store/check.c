/*
 * store/check.c
 *	  What a store may be called, where it may be, and who may make it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "errors.h"
#include "base/grant.h"
#include "base/guc.h"
#include "base/identity.h"
#include "store/check.h"
#include "store/layout.h"

/* Bytes of a prefix: they leave room for the longest table name. */
#define MAX_PREFIX	40

static bool check_is_of_store(Oid relid);
static bool check_has_rows(Oid relid);

/*
 * Raise an error unless this can be a store's prefix: the first token of
 * subjects and patterns, and the beginning of the names of tables.  It is one
 * that no pattern has to escape.
 */
void
nvs_store_check_prefix(const char *prefix)
{
	size_t		len = strlen(prefix);
	const char *p = prefix;

	if (len == 0 || len > MAX_PREFIX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("It has %zu bytes; 1 to %d are allowed.",
						   len, MAX_PREFIX)));
	while (*p != '\0' && strchr(":*>{}\x7f", *p) == NULL &&
		   ((unsigned char) *p >= ' '))
		p++;
	if (*p != '\0' || prefix[0] == '\\')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("A prefix is the first token of subjects; it "
						   "contains no control character and none of "
						   "\":*>{}\", and does not begin with \"\\\".")));
}

/*
 * Raise an error for a name that no schema can have, or that would be cut when
 * the schema is made, and then not be found, and for a schema that goes with a
 * session.
 */
void
nvs_store_check_schema(const char *schema)
{
	Oid			nspid;

	if (schema[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("invalid schema name \"%s\"", schema)));
	nspid = get_namespace_oid(schema, true);
	if (strcmp(schema, "pg_temp") == 0 ||
		(OidIsValid(nspid) && isAnyTempNamespace(nspid)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema \"%s\" is temporary", schema),
				 errdetail("A store is there for every session.")));
	if (strlen(schema) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("schema name \"%s\" is too long", schema),
				 errdetail("It has %zu bytes; at most %d are allowed.",
						   strlen(schema), NAMEDATALEN - 1)));
}

/* Raise an error unless a store can be moved to this layout. */
void
nvs_store_check_target(int layout)
{
	if (layout > 0 && layout < NVS_LAYOUT_BASE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("layout %d is not made by nvent_store", layout),
				 errdetail("It is one of adapter-store-postgres, which works on the tables of later ones, too."),
				 errhint("DROP EXTENSION nvent_store CASCADE gives the tables of all stores up, with every row.")));
	if (layout < 0 || layout > NVS_LAYOUT_LATEST)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("layout %d does not exist", layout),
				 errdetail("Layouts are %d to %d; 0 drops the store.",
						   NVS_LAYOUT_BASE, NVS_LAYOUT_LATEST)));
}

/* Raise an error when a store has a layout of a later nvent_store. */
void
nvs_store_check_known(const char *prefix, int layout)
{
	if (layout > NVS_LAYOUT_LATEST)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("layout %d of store \"%s\" is not supported",
						layout, prefix),
				 errdetail("The latest that this version of nvent_store knows "
						   "is %d.", NVS_LAYOUT_LATEST)));
}

/*
 * Raise an error unless a store that is there is in this schema, and belongs
 * to this owner; InvalidOid: to anybody.
 */
void
nvs_store_check_same(const NvsStore *store, const char *schema, Oid owner)
{
	if (strcmp(store->schema, schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" already exists in schema \"%s\"",
						store->prefix, store->schema)));
	if (OidIsValid(owner) && owner != store->owner)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" already exists and belongs to role \"%s\"",
						store->prefix,
						GetUserNameFromId(store->owner, true))));
}

/* Raise an error when the version table of a new store is there already. */
void
nvs_store_check_free(const NvsStore *store)
{
	if (OidIsValid(store->relid))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("tables of prefix \"%s\" already exist in schema "
						"\"%s\"", store->prefix, store->schema),
				 errhint("Run SELECT * FROM nvent.store_adopt(%s, %s).",
						 quote_literal_cstr(store->prefix),
						 quote_literal_cstr(store->schema))));
}

/*
 * Raise NV009 where there is no default store, but tables that would be its:
 * who reads from there is to know that nobody has taken them over.  Not for the
 * table of anybody who may make one in that schema.
 */
void
nvs_store_check_adopted(void)
{
	char	   *name = psprintf("%s_schema_version", nvs_default_store);
	Oid			nspid = get_namespace_oid("public", true);
	Oid			relid = strlen(name) < NAMEDATALEN && OidIsValid(nspid) ?
		get_relname_relid(name, nspid) : InvalidOid;

	if (!OidIsValid(relid) || !check_is_of_store(relid) ||
		!check_has_rows(relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NO_STORE),
			 errmsg("store \"%s\" does not exist", nvs_default_store),
			 errdetail("Tables of that prefix are in schema \"public\", and "
					   "were not taken over."),
			 errhint("Run SELECT * FROM nvent.store_adopt(%s, 'public').",
					 quote_literal_cstr(nvs_default_store))));
}

/*
 * Would a table's owner take it over?  He is the caller, or a role that the
 * caller inherits, or may make stores, as superusers may.
 */
static bool
check_is_of_store(Oid relid)
{
	Oid			owner = nvs_relation_owner(relid);

	return OidIsValid(owner) &&
		(is_member_of_role_nosuper(GetUserId(), owner) ||
		 nvs_may_execute(nvs_function_oid("store_create"), owner));
}

/*
 * Has a table any rows?  Where only the schema of a dump was restored, that of
 * versions has none, and the registry comes with these.  None are read, so it
 * takes no right, and runs nothing that is the owner's; who alters the table
 * now is not waited for.
 */
static bool
check_has_rows(Oid relid)
{
	Relation	rel;
	bool		has_rows;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION ||
		!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	rel = try_relation_open(relid, NoLock);
	has_rows = rel != NULL && rel->rd_rel->relkind == RELKIND_RELATION &&
		RelationGetNumberOfBlocks(rel) > 0;
	if (rel != NULL)
		relation_close(rel, NoLock);
	UnlockRelationOid(relid, AccessShareLock);
	return has_rows;
}

/* May the current user make stores, that is, execute nvent.store_create()? */
bool
nvs_store_may_create(void)
{
	return nvs_may_execute(nvs_function_oid("store_create"), GetUserId());
}

/* Raise an error unless the current user may make stores. */
void
nvs_store_check_may_create(const char *prefix)
{
	if (!nvs_store_may_create())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create store \"%s\"", prefix),
				 errdetail("The store does not exist, and is made by a role "
						   "that may execute nvent.store_create()."),
				 errhint("Have an administrator run "
						 "SELECT nvent.store_create(%s).",
						 quote_literal_cstr(prefix))));
}

/*
 * The role that argument n names, as whom the caller must be able to act; the
 * caller for NULL.
 */
Oid
nvs_store_owner_argument(FunctionCallInfo fcinfo, int n)
{
	Oid			owner;

	if (PG_ARGISNULL(n))
		return InvalidOid;
	owner = get_role_oid(text_to_cstring(PG_GETARG_TEXT_PP(n)), false);
	nvs_check_can_be(owner);
	return owner;
}
