/*
 * store/admin.c
 *	  Making, moving and adopting stores.
 *
 * A store's tables are made as, and belong to, one role, the store's owner: who
 * owns the version table {prefix}_schema_version.
 *
 * A store claims a first token for the whole database.  So whoever may execute
 * nvent.store_create() decides about names; that is asked too before the first
 * write to the default store makes it.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/plan.h"
#include "position/xact.h"
#include "store/adopt.h"
#include "store/check.h"
#include "store/claim.h"
#include "store/grant.h"
#include "store/layout.h"
#include "store/registry.h"
#include "store/store.h"
#include "store/stream_table.h"

PG_FUNCTION_INFO_V1(nvs_store_create);
PG_FUNCTION_INFO_V1(nvs_store_ensure);
PG_FUNCTION_INFO_V1(nvs_store_version);
PG_FUNCTION_INFO_V1(nvs_store_migrate);
PG_FUNCTION_INFO_V1(nvs_store_adopt);

/* Arguments of store_create(). */
enum
{
	CREATE_PREFIX,
	CREATE_SCHEMA,
	CREATE_OWNER
};

static NvsStore *admin_claim(const char *prefix, const char *schema,
							 const char *command);
static void admin_ensure_schema(const char *schema, Oid owner);
static bool admin_create(const char *prefix, const char *schema, Oid owner);
static NvsStore *admin_create_default(void);
static const char *admin_ensure(const char *prefix, const char *schema);
static const char *admin_ensure_new(const char *prefix, const char *schema);
static int	admin_migrate(const char *prefix, int target);
static NvsStore *admin_new_store(const char *prefix, const char *schema);
static bool admin_give_up(const char *prefix);
static List *admin_adopt(const char *prefix, const char *schema,
						 bool widen);
static void admin_require_owner(const NvsStore *store);
static int	admin_require_layout(const NvsStore *store);
pg_noreturn static void admin_no_tables(const NvsStore *store);

/*
 * Check the name and place of a store that is to be, and lock them, until the
 * end of the transaction, against others that make the same store, its schema
 * or a store whose tables could be its own.  Returns the store if it is there
 * already, else NULL; one that is gone is not there.
 */
static NvsStore *
admin_claim(const char *prefix, const char *schema, const char *command)
{
	NvsStore   *store = nvs_store_find_registered(prefix);

	nvs_xact_changes();
	/* It is not locked for who wants what there is already. */
	if (store != NULL && OidIsValid(store->relid))
		return store;
	nvs_store_check_prefix(prefix);
	nvs_store_check_schema(schema);
	PreventCommandIfReadOnly(command);
	nvs_store_lock(prefix, ExclusiveLock);
	nvs_lock(NVS_LOCK_STORE, nvs_hash(schema, strlen(schema), 1),
			 ExclusiveLock);
	store = nvs_store_find_registered(prefix);
	if (store != NULL && OidIsValid(store->relid))
		return store;
	nvs_store_check_overlap(prefix, schema);
	if (store == NULL)
		nvs_claim_check(prefix);
	return NULL;
}

/*
 * Make the schema, for the owner of the store, when it is not there; needs no
 * right when it is.
 */
static void
admin_ensure_schema(const char *schema, Oid owner)
{
	if (!OidIsValid(get_namespace_oid(schema, true)))
		nvs_plan_utility(psprintf("CREATE SCHEMA %s AUTHORIZATION %s",
								  quote_identifier(schema),
								  quote_identifier(GetUserNameFromId(owner,
																	 false))));
}

/*
 * Make a store for a role, InvalidOid being the caller, unless it is there in
 * this schema already; true when it was made.  Safe when many sessions do so at
 * once: locks the store until the end of the transaction where it is missing.
 */
static bool
admin_create(const char *prefix, const char *schema, Oid owner)
{
	NvsIdentity saved;
	NvsStore   *store = admin_claim(prefix, schema, "nvent.store_create()");

	if (store != NULL)
	{
		nvs_store_check_same(store, schema, owner);
		return false;
	}
	if (!OidIsValid(owner))
		owner = GetUserId();

	nvs_spi_begin();
	nvs_pin_search_path(&saved);
	admin_ensure_schema(schema, owner);
	nvs_become_caller(&saved);
	store = admin_new_store(prefix, schema);
	nvs_store_check_free(store);
	store->owner = owner;
	nvs_store_grant_to_owner(store);
	nvs_store_become_owner(store, &saved);
	nvs_layout_up(store, 0, NVS_LAYOUT_LATEST);
	nvs_become_caller(&saved);
	nvs_registry_enter(store);
	nvs_spi_end();
	return true;
}

/*
 * A store that the registry does not have, or not any more, with what is there
 * of it; allocated in this context.
 */
static NvsStore *
admin_new_store(const char *prefix, const char *schema)
{
	NvsStore   *store = palloc0(sizeof(NvsStore));

	strlcpy(store->prefix, prefix, NAMEDATALEN);
	store->schema = pstrdup(schema);
	store->nspid = get_namespace_oid(schema, true);
	store->relid = nvs_relation_find(store, NULL,
									 psprintf("%s_schema_version", prefix));
	store->owner = nvs_relation_owner(store->relid);
	return store;
}

/*
 * Remove a store that is gone from the registry; false when there is no such
 * store or it is not gone.  Who may make stores may.
 */
static bool
admin_give_up(const char *prefix)
{
	NvsStore   *store = nvs_store_find_registered(prefix);

	if (store == NULL || OidIsValid(store->relid))
		return false;
	if (!nvs_store_may_create())
		nvs_store_missing(prefix);
	nvs_store_lock(prefix, ExclusiveLock);
	store = nvs_store_find_registered(prefix);
	if (store == NULL || OidIsValid(store->relid))
		return false;
	nvs_spi_begin();
	nvs_registry_remove(prefix);
	nvs_spi_end();
	return true;
}

/* Make the default store in schema public, if that is allowed. */
static NvsStore *
admin_create_default(void)
{
	if (!nvs_auto_create)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", nvs_default_store),
				 errhint("Run SELECT nvent.store_create(%s), or set "
						 "nvent_store.auto_create to on.",
						 quote_literal_cstr(nvs_default_store))));
	nvs_store_check_may_create(nvs_default_store);
	(void) admin_create(nvs_default_store, "public", InvalidOid);
	return nvs_store_require(nvs_default_store);
}

/*
 * The store that a subject or key belongs to, for a write: where that is the
 * default store it is made if it is not there or gone.
 */
NvsStore *
nvs_store_of_write(const char *subject, int len)
{
	NvsStore   *store = nvs_store_of_registered(subject, len);

	if (store != NULL && OidIsValid(store->relid))
		return store;
	if (store != NULL && strcmp(store->prefix, nvs_default_store) != 0)
		nvs_store_missing(store->prefix);
	return admin_create_default();
}

/* nvent.store_create(prefix, schema, owner): true when it was made now. */
Datum
nvs_store_create(PG_FUNCTION_ARGS)
{
	char	   *prefix;
	char	   *schema;

	NVS_REQUIRE_ARG(CREATE_PREFIX, "prefix");
	NVS_REQUIRE_ARG(CREATE_SCHEMA, "schema");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(CREATE_PREFIX));
	schema = text_to_cstring(PG_GETARG_TEXT_PP(CREATE_SCHEMA));
	PG_RETURN_BOOL(admin_create(prefix, schema,
								nvs_store_owner_argument(fcinfo,
														 CREATE_OWNER)));
}

/* nvent.store_version(prefix): its layout; NULL when there is no such store. */
Datum
nvs_store_version(PG_FUNCTION_ARGS)
{
	char	   *prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	NvsStore   *store = nvs_store_find_registered(prefix);
	int			version;

	if (store == NULL || !OidIsValid(store->relid))
		PG_RETURN_NULL();
	nvs_spi_begin();
	version = nvs_layout_version(store);
	nvs_spi_end();
	PG_RETURN_INT32(version);
}

/*
 * nvent.store_migrate(prefix, target): move a store to a layout, the latest
 * when target is NULL, 0 to drop all of it.  Returns the layout it had, NULL
 * for a store that was gone.  Only its owner may; the store is locked until the
 * end of the transaction.
 */
Datum
nvs_store_migrate(PG_FUNCTION_ARGS)
{
	char	   *prefix;
	int			target = NVS_ARG_OR(1, PG_GETARG_INT32, NVS_LAYOUT_LATEST);

	NVS_REQUIRE_ARG(0, "prefix");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	nvs_store_check_target(target);
	PreventCommandIfReadOnly("nvent.store_migrate()");
	if (target == 0 && admin_give_up(prefix))
		PG_RETURN_NULL();
	PG_RETURN_INT32(admin_migrate(prefix, target));
}

/* Migrate a store that is not gone to a layout; returns the one that it had. */
static int
admin_migrate(const char *prefix, int target)
{
	int			from;
	NvsStore   *store = nvs_store_lock_own(prefix, ExclusiveLock);
	NvsIdentity saved;

	/* The tables, which are made and dropped as their owner. */
	nvs_spi_begin();
	nvs_store_become_owner(store, &saved);
	from = nvs_layout_version(store);
	nvs_store_check_known(prefix, from);
	if (target > from)
	{
		nvs_layout_up(store, from, target);
		nvs_store_grant_on_tables(store);
	}
	else
		nvs_layout_down(store, from, target);
	nvs_become_caller(&saved);

	/* The registry. */
	if (target == 0)
		nvs_registry_remove(prefix);
	else
	{
		nvs_registry_move(store);
		nvs_store_changed();
	}
	nvs_spi_end();
	return from;
}

/*
 * nvent.store_ensure(prefix, schema): have a store be there, with the latest
 * layout; returns what was done for that.
 */
Datum
nvs_store_ensure(PG_FUNCTION_ARGS)
{
	char	   *schema = PG_ARGISNULL(1) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *prefix;

	NVS_REQUIRE_ARG(0, "prefix");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PG_RETURN_TEXT_P(cstring_to_text(admin_ensure(prefix, schema)));
}

/*
 * Make, adopt or migrate a store, or do nothing, which needs no more than the
 * right to read its layout; returns what was done.  schema may be NULL for
 * where it is, or public.  Safe when many sessions do so at once.
 */
static const char *
admin_ensure(const char *prefix, const char *schema)
{
	NvsStore   *store = nvs_store_find_registered(prefix);
	int			layout;

	if (store == NULL || !OidIsValid(store->relid))
	{
		const char *done;

		nvs_store_check_may_create(prefix);
		done = admin_ensure_new(prefix, schema == NULL ? "public" : schema);
		if (done != NULL)
			return done;
		store = nvs_store_require(prefix);
	}
	if (schema != NULL)
		nvs_store_check_same(store, schema, InvalidOid);
	nvs_spi_begin();
	layout = nvs_layout_version(store);
	nvs_spi_end();
	nvs_store_check_known(prefix, layout);
	if (layout == NVS_LAYOUT_LATEST)
		return "unchanged";
	PreventCommandIfReadOnly("nvent.store_ensure()");
	return admin_migrate(prefix, NVS_LAYOUT_LATEST) == NVS_LAYOUT_LATEST ?
		"unchanged" : "migrated";
}

/*
 * Make a store that is not there, or adopt its tables; returns which, NULL when
 * another session has made it meanwhile.  Nobody has said that there are
 * tables, so only the caller's own are taken for the store's: a superuser has
 * the privileges of any role that may have put some there.
 */
static const char *
admin_ensure_new(const char *prefix, const char *schema)
{
	NvsStore   *store;

	if (admin_claim(prefix, schema, "nvent.store_ensure()") != NULL)
		return NULL;

	/* Nobody else can make it now. */
	store = admin_new_store(prefix, schema);
	if (!OidIsValid(store->relid))
	{
		(void) admin_create(prefix, schema, InvalidOid);
		return "created";
	}
	if (store->owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("tables of store \"%s\" belong to role \"%s\"",
						prefix, GetUserNameFromId(store->owner, true)),
				 errdetail("Whoever owns tables can have code of his run in them."),
				 errhint("Call nvent.store_adopt() if that role is meant to own the store.")));
	nvs_spi_begin();
	(void) admin_adopt(prefix, schema, true);
	nvs_spi_end();
	return "adopted";
}

/*
 * nvent.store_adopt(prefix, schema, widen): take over tables that exist, either
 * of adapter-store-postgres or of a store that is missing from the registry.
 * Returns a row for each change made to them.
 */
Datum
nvs_store_adopt(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	ListCell   *lc;

	NVS_REQUIRE_ARG(0, "prefix");
	NVS_REQUIRE_ARG(1, "schema");
	NVS_REQUIRE_ARG(2, "widen");
	nvs_spi_begin();
	foreach(lc, admin_adopt(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							text_to_cstring(PG_GETARG_TEXT_PP(1)),
							PG_GETARG_BOOL(2)))
	{
		NvsChange  *change = lfirst(lc);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(change->relation);
		values[1] = CStringGetTextDatum(change->what);
		tuplestore_putvalues(result, desc, values, nulls);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Adopt tables as their owner, as whom the caller must be able to act, and
 * enter their store into the registry; returns the changes, NvsChange.  Locks
 * the store until the end of the transaction.  Needs SPI.
 */
static List *
admin_adopt(const char *prefix, const char *schema, bool widen)
{
	NvsIdentity saved;
	List	   *changes;
	List	   *streams = NIL;
	ListCell   *lc;
	NvsStore   *store;

	/* A name that nobody has, with the right to make its store. */
	PreventCommandIfReadOnly("nvent.store_adopt()");
	if (admin_claim(prefix, schema, "nvent.store_adopt()") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" already exists", prefix)));

	/* The tables. */
	store = admin_new_store(prefix, schema);
	admin_require_owner(store);
	nvs_store_grant_to_owner(store);
	nvs_store_become_owner(store, &saved);
	changes = nvs_adopt_tables(store, admin_require_layout(store), widen,
							   &streams);
	nvs_become_caller(&saved);

	/* The registry. */
	nvs_registry_enter(store);
	foreach(lc, streams)
		nvs_stream_table_register(prefix, strVal(lfirst(lc)));
	return changes;
}

/*
 * Raise an error unless a store that is not registered has a version table, and
 * the caller the privileges of whom that belongs to.
 */
static void
admin_require_owner(const NvsStore *store)
{
	if (!OidIsValid(store->relid))
		admin_no_tables(store);
	nvs_store_check_owner(store);
}

/*
 * Layout of the tables of a store that is not registered; an error when they
 * have none or a later one, or when a policy hides which they have.  Needs SPI.
 */
static int
admin_require_layout(const NvsStore *store)
{
	int			level = NewGUCNestLevel();
	int			layout;

	nvs_pin_setting("row_security", "off");
	layout = nvs_layout_version(store);
	AtEOXact_GUC(false, level);
	if (layout == 0)
		admin_no_tables(store);
	nvs_store_check_known(store->prefix, layout);
	return layout;
}

/* Raise the error that there is nothing to adopt. */
static void
admin_no_tables(const NvsStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("tables of prefix \"%s\" do not exist in schema \"%s\"",
					store->prefix, store->schema),
			 errhint("Run SELECT nvent.store_create(%s, %s).",
					 quote_literal_cstr(store->prefix),
					 quote_literal_cstr(store->schema))));
}
