/*
 * store/grant.c
 *	  Who may use a store: levels of rights, and tables that are made later.
 *
 * A role that reads, writes or administers a store has privileges on all of its
 * tables, and nothing else says so: what was granted is recorded in the access
 * control lists of the tables alone, which PostgreSQL dumps, restores, and
 * clears when a role is dropped.  Two tables tell the level of a role:
 *
 *	- the version table {schema_version}: who may SELECT from it has been given
 *	  the store, and who may INSERT into it administers it;
 *	- {flow_events}, which every store has: a table that is made later gets the
 *	  privileges that a role has there, if it has been given the store.
 *
 * Tables are granted on by the caller, and those that are made later by the
 * store's owner, so grants are their owners' own.  Schema nvent and the
 * functions that administer are granted on as the extension's owner, after the
 * checks made here.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/grant.h"
#include "base/guc.h"
#include "base/identity.h"
#include "store/grant.h"
#include "store/layout.h"

PG_FUNCTION_INFO_V1(nvs_store_grant);
PG_FUNCTION_INFO_V1(nvs_store_revoke);

/* Arguments of store_grant() and store_revoke(). */
enum
{
	GRANT_ROLE,
	GRANT_PRIVILEGE,
	GRANT_STORE
};

/* What a role may do with a store; each level includes those before it. */
typedef enum GrantLevel
{
	LEVEL_READ,
	LEVEL_WRITE,
	LEVEL_ADMIN,
	LEVEL_OWNER
} GrantLevel;

/* A change of a role's rights on a store. */
typedef struct GrantChange
{
	bool		is_grant;
	Oid			role;
	GrantLevel	level;
	AclMode		on_tables;		/* privileges that are granted or revoked */
	AclMode		on_version;		/* the same, of the version table */
	AclMode		on_sequences;
} GrantChange;

/* A function that is not everybody's, and the level that calls it. */
typedef struct GrantFunction
{
	const char *name;
	GrantLevel	level;
} GrantFunction;

static const GrantFunction grant_functions[] = {
	{"maintain", LEVEL_ADMIN},
	{"stream_clear", LEVEL_ADMIN},
	{"stream_create_table", LEVEL_ADMIN},
	{"stream_index", LEVEL_ADMIN},
	{"stream_drop_table", LEVEL_ADMIN},
	{"stream_restore", LEVEL_ADMIN},
	{"stream_retain", LEVEL_ADMIN},
	{"queue_binding_check", LEVEL_OWNER},
	{"queue_changed", LEVEL_OWNER},
	{"queue_counted", LEVEL_OWNER},
	{"queue_policy_changed", LEVEL_OWNER},
	{"route_add", LEVEL_OWNER},
	{"route_drop", LEVEL_OWNER},
	{"schedule_author", LEVEL_OWNER},
	{"store_grant", LEVEL_OWNER},
	{"store_migrate", LEVEL_OWNER},
	{"store_revoke", LEVEL_OWNER},
	{"stream_guard", LEVEL_OWNER},
	{"stream_protect", LEVEL_OWNER}
};

/* Relations that the registry knows of store $1. */
static const NvsStatement grant_registered = {
	"SELECT NULL, table_name FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1 "
	"UNION SELECT schema_name, table_name FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1 ORDER BY 1, 2"
};

static Datum grant_call(FunctionCallInfo fcinfo, bool is_grant);
static void grant_take_arguments(FunctionCallInfo fcinfo, GrantChange *change);
static GrantLevel grant_level_named(const char *name);
static void grant_set_privileges(GrantChange *change);
static NvsStore *grant_open_store(FunctionCallInfo fcinfo);
static Oid	grant_table(const NvsStore *store, const char *name);
static List *grant_list_tables(const NvsStore *store);
static List *grant_add_table(List *tables, const NvsStore *store,
							 const char *schema, const char *name);
static void grant_on_tables(const GrantChange *change, const NvsStore *store);
static void grant_on_schema(const GrantChange *change, Oid schema);
static bool grant_has_extension(Oid role, GrantLevel level);
static void grant_on_extension(Oid role, GrantLevel level);

/*
 * nvent.store_grant(role, privilege, store): let a role read, write or
 * administer a store.
 */
Datum
nvs_store_grant(PG_FUNCTION_ARGS)
{
	return grant_call(fcinfo, true);
}

/* nvent.store_revoke(role, privilege, store): undo nvent.store_grant(). */
Datum
nvs_store_revoke(PG_FUNCTION_ARGS)
{
	return grant_call(fcinfo, false);
}

/*
 * Grant a level of rights on a store, or revoke it with those that include it.
 * Only the store's owner may.  Locks the store against new tables, until the
 * end of the transaction.
 */
static Datum
grant_call(FunctionCallInfo fcinfo, bool is_grant)
{
	GrantChange change = {.is_grant = is_grant};
	NvsStore   *store;

	grant_take_arguments(fcinfo, &change);
	PreventCommandIfReadOnly(is_grant ? "nvent.store_grant()" :
							 "nvent.store_revoke()");
	nvs_spi_begin();
	store = grant_open_store(fcinfo);
	if (store->owner == change.role)
		change.level = LEVEL_OWNER;
	else
		grant_on_tables(&change, store);
	if (is_grant)
		grant_on_extension(change.role, change.level);
	nvs_spi_end();
	PG_RETURN_VOID();
}

/* Set a change to the arguments of a call. */
static void
grant_take_arguments(FunctionCallInfo fcinfo, GrantChange *change)
{
	text	   *level;

	NVS_REQUIRE_ARG(GRANT_ROLE, "role");
	NVS_REQUIRE_ARG(GRANT_PRIVILEGE, "privilege");
	level = PG_GETARG_TEXT_PP(GRANT_PRIVILEGE);
	change->level = grant_level_named(text_to_cstring(level));
	change->role = PG_GETARG_OID(GRANT_ROLE);
	if (GetUserNameFromId(change->role, true) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", change->role)));
	grant_set_privileges(change);
}

/* The level of this name, or an error. */
static GrantLevel
grant_level_named(const char *name)
{
	if (strcmp(name, "read") == 0)
		return LEVEL_READ;
	if (strcmp(name, "write") == 0)
		return LEVEL_WRITE;
	if (strcmp(name, "admin") == 0)
		return LEVEL_ADMIN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized privilege \"%s\"", name),
			 errhint("Privileges on a store are \"read\", \"write\" and "
					 "\"admin\"; each includes those before it.")));
}

/* Set what granting a level gives, or what revoking it takes away. */
static void
grant_set_privileges(GrantChange *change)
{
	AclMode		more = NVS_ACL_WRITE & ~NVS_ACL_READ;

	if (change->is_grant)
	{
		change->on_tables = NVS_ACL_READ;
		change->on_version = NVS_ACL_READ;
		if (change->level >= LEVEL_WRITE)
			change->on_tables |= more;
		if (change->level >= LEVEL_ADMIN)
			change->on_version |= more;
	}
	else
	{
		if (change->level <= LEVEL_WRITE)
			change->on_tables = more;
		change->on_version = more;
		if (change->level <= LEVEL_READ)
		{
			change->on_tables |= NVS_ACL_READ;
			change->on_version |= NVS_ACL_READ;
		}
	}
	/* Whoever inserts into a table may draw from its sequences. */
	if (change->on_tables & ACL_INSERT)
		change->on_sequences = ACL_USAGE;
}

/*
 * The store of a call, which must be the caller's, locked until the end of the
 * transaction against tables that are made meanwhile.
 */
static NvsStore *
grant_open_store(FunctionCallInfo fcinfo)
{
	char	   *prefix = PG_ARGISNULL(GRANT_STORE) ? nvs_default_store :
		text_to_cstring(PG_GETARG_TEXT_PP(GRANT_STORE));

	return nvs_store_lock_own(prefix, ExclusiveLock);
}

/* OID of a store's table; InvalidOid when there is none that is its own. */
static Oid
grant_table(const NvsStore *store, const char *name)
{
	Oid			relid = nvs_relation_find(store, NULL,
										  psprintf("%s_%s", store->prefix,
												   name));

	return OidIsValid(relid) && nvs_relation_is_own(store, relid, true) ?
		relid : InvalidOid;
}

/*
 * OIDs of the tables of a store but its version table, each once: those of the
 * layout, generic stream tables, and tables of its routes.
 */
static List *
grant_list_tables(const NvsStore *store)
{
	List	   *tables = NIL;
	const char *const *name;
	NvsParams	params;
	uint64		n;
	uint64		i;

	for (name = nvs_layout_tables; *name != NULL; name++)
		tables = grant_add_table(tables, store, NULL,
								 psprintf("%s_%s", store->prefix, *name));
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(store->prefix),
				   false);
	n = nvs_store_registry_execute(&grant_registered, &params);
	for (i = 0; i < n; i++)
		tables = grant_add_table(tables, store,
								 SPI_getvalue(SPI_tuptable->vals[i],
											  SPI_tuptable->tupdesc, 1),
								 SPI_getvalue(SPI_tuptable->vals[i],
											  SPI_tuptable->tupdesc, 2));
	return tables;
}

/*
 * Add the OID of a store's relation to a list, unless it is there, or the
 * relation is not, or is not the store's.
 */
static List *
grant_add_table(List *tables, const NvsStore *store, const char *schema,
				const char *name)
{
	Oid			relid = nvs_relation_find(store, schema, name);

	return OidIsValid(relid) && nvs_relation_is_own(store, relid, false) ?
		list_append_unique_oid(tables, relid) : tables;
}

/* Grant or revoke on all tables of a store and their schemas, as the caller. */
static void
grant_on_tables(const GrantChange *change, const NvsStore *store)
{
	List	   *tables = grant_list_tables(store);
	List	   *schemas = NIL;
	ListCell   *lc;

	foreach(lc, tables)
		schemas = list_append_unique_oid(schemas,
										 get_rel_namespace(lfirst_oid(lc)));
	foreach(lc, schemas)
		grant_on_schema(change, lfirst_oid(lc));
	nvs_grant_relation(change->is_grant, store->relid, change->on_version,
					   change->role);
	foreach(lc, tables)
	{
		ListCell   *sequence;

		nvs_grant_relation(change->is_grant, lfirst_oid(lc), change->on_tables,
						   change->role);
		foreach(sequence, getOwnedSequences(lfirst_oid(lc)))
			nvs_grant_relation(change->is_grant, lfirst_oid(sequence),
							   change->on_sequences, change->role);
	}
}

/*
 * Grant USAGE on a schema of tables, as the caller; a warning where the caller
 * may not and the role has none.  It is not revoked: the role may use other
 * things there.
 */
static void
grant_on_schema(const GrantChange *change, Oid schema)
{
	char	   *name = get_namespace_name(schema);

	if (!change->is_grant || name == NULL ||
		nvs_has_schema_privilege(schema, change->role, ACL_USAGE))
		return;
	if (nvs_has_schema_privilege(schema, GetUserId(),
								 ACL_GRANT_OPTION_FOR(ACL_USAGE)))
		nvs_grant_schema(name, change->role);
	else
		ereport(WARNING,
				(errcode(ERRCODE_WARNING_PRIVILEGE_NOT_GRANTED),
				 errmsg("no privileges were granted for schema \"%s\"", name),
				 errdetail("Role \"%s\" cannot use the store's tables in it.",
						   GetUserNameFromId(change->role, false)),
				 errhint("Have its owner run GRANT USAGE.")));
}

/* Was a role given the use of schema nvent and the functions of a level? */
static bool
grant_has_extension(Oid role, GrantLevel level)
{
	int			i;

	for (i = 0; i < lengthof(grant_functions); i++)
		if (grant_functions[i].level <= level &&
			!nvs_acl_has_function(grant_functions[i].name, role))
			return false;
	return nvs_acl_has_schema(nvs_namespace(), role);
}

/*
 * Let a role use schema nvent and call the functions of a level, as the
 * extension's owner.  One session at a time does so until the end of its
 * transaction: two that change one list at once would be an error.
 *
 * None of that is ever revoked: it gives no right on any store, and whoever
 * owns one could else take from a role what an administrator gave to it.
 */
static void
grant_on_extension(Oid role, GrantLevel level)
{
	NvsIdentity saved;
	int			i;

	/* Mostly there is nothing to do, and nobody to wait for. */
	if (grant_has_extension(role, level))
		return;
	/* No store has this name. */
	nvs_store_lock("", ExclusiveLock);
	AcceptInvalidationMessages();
	nvs_become_owner(&saved);
	if (!nvs_acl_has_schema(nvs_namespace(), role))
		nvs_grant_schema("nvent", role);
	for (i = 0; i < lengthof(grant_functions); i++)
		if (grant_functions[i].level <= level &&
			!nvs_acl_has_function(grant_functions[i].name, role))
			nvs_grant_function(grant_functions[i].name, role);
	nvs_become_caller(&saved);
}

/*
 * Give the owner of a store what administers it: the use of schema nvent, and
 * the functions for owners.  Every function still asks whose store it is.
 */
void
nvs_store_grant_to_owner(const NvsStore *store)
{
	grant_on_extension(store->owner, LEVEL_OWNER);
}

/*
 * Give whom the store was granted to the privileges on a table of it that was
 * made now: those on its table of flow events.  The current user is the owner
 * of both.
 */
void
nvs_store_grant_on(const NvsStore *store, Oid relid)
{
	Oid			model = grant_table(store, NVS_MODEL_TABLE);
	Acl		   *given;
	Acl		   *rights;
	int			i;

	if (!OidIsValid(model))
		return;
	given = nvs_acl_of_relation(store->relid);
	rights = nvs_acl_of_relation(model);
	for (i = 0; given != NULL && i < ACL_NUM(given); i++)
	{
		const AclItem *item = &ACL_DAT(given)[i];
		AclMode		mask = nvs_acl_mask(rights, item->ai_grantee);

		if (item->ai_grantee != nvs_relation_owner(relid) &&
			(ACLITEM_GET_PRIVS(*item) & ACL_SELECT))
			nvs_grant_relation(true, relid, mask & NVS_ACL_WRITE,
							   item->ai_grantee);
	}
}

/*
 * Give whom the store was granted to the privileges on all tables of its
 * layout, when some of these were made now.
 */
void
nvs_store_grant_on_tables(const NvsStore *store)
{
	const char *const *name;

	for (name = nvs_layout_tables; *name != NULL; name++)
	{
		Oid			relid = grant_table(store, *name);

		if (OidIsValid(relid))
			nvs_store_grant_on(store, relid);
	}
}

/*
 * Raise an error unless the current user administers the store: owns it, or was
 * given "admin".
 */
void
nvs_store_check_admin(const NvsStore *store)
{
	if (!nvs_may_use_relation(store->relid, ACL_INSERT))
		nvs_store_check_owner(store);
}

/*
 * Raise an error unless the current user may write to the store, so that a
 * table for what it writes is made: may INSERT into the table whose privileges
 * the new one will have, or owns the store.
 */
void
nvs_store_check_writer(const NvsStore *store)
{
	Oid			model = grant_table(store, NVS_MODEL_TABLE);

	if (OidIsValid(model) && nvs_may_use_relation(model, ACL_INSERT))
		return;
	if (has_privs_of_role(GetUserId(), store->owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for store \"%s\"", store->prefix),
			 errdetail("A new stream table is made for who may write to the "
					   "store."),
			 errhint("Have the store's owner run SELECT nvent.store_grant(%s, "
					 "'write', %s).",
					 quote_literal_cstr(GetUserNameFromId(GetUserId(), false)),
					 quote_literal_cstr(store->prefix))));
}
