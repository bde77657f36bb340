/*
 * store/admin.c
 *	  Making, moving and adopting stores.
 *
 * The registry is written as the extension's owner, after the checks made
 * here.  A store's tables are made by and belong to the caller.  Who owns the
 * version table {prefix}_schema_version owns the store.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/plan.h"
#include "store/adopt.h"
#include "store/grant.h"
#include "store/layout.h"
#include "store/store.h"
#include "store/stream_table.h"

PG_FUNCTION_INFO_V1(nvs_store_create);
PG_FUNCTION_INFO_V1(nvs_store_version);
PG_FUNCTION_INFO_V1(nvs_store_migrate);
PG_FUNCTION_INFO_V1(nvs_store_adopt);

/* Bytes of a prefix: they leave room for the longest table name. */
#define ADMIN_MAX_PREFIX	40

/* Enters store $1 of schema $2 with the routes that every store begins with. */
static const NvsStatement registry_insert = {
	"WITH store AS (INSERT INTO nvent.store (prefix, schema_name) "
	"VALUES ($1, $2) RETURNING prefix, schema_name) "
	"INSERT INTO nvent.route (store, kind, pattern, shape, "
	"schema_name, table_name, aliases) "
	"SELECT s.prefix, d.kind, "
	"pg_catalog.concat(s.prefix, ':', d.pattern), "
	"pg_catalog.concat(s.prefix, ':', d.shape), s.schema_name, "
	"pg_catalog.concat(s.prefix, '_', d.table_name), d.aliases "
	"FROM store s, nvent.default_route d"
};

/* Removes store $1 with its routes and its stream tables. */
static const NvsStatement registry_delete = {
	"WITH route AS (DELETE FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1), "
	"stream_table AS (DELETE FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1) "
	"DELETE FROM nvent.store WHERE prefix OPERATOR(pg_catalog.=) $1"
};

static void admin_check_prefix(const char *prefix);
static void admin_check_schema(const char *schema);
static void admin_check_target(int layout);
static void admin_check_known(const char *prefix, int layout);
static void admin_check_same(const NvsStore *store, const char *schema);
static void admin_check_free(const char *prefix, const char *schema);
static NvsStore *admin_claim(const char *prefix, const char *schema,
							 const char *command);
static void admin_ensure_schema(const char *schema);
static bool admin_has_tables(const char *prefix, const char *schema);
static bool admin_create(const char *prefix, const char *schema);
static NvsStore *admin_create_default(void);
static NvsStore *admin_new_store(const char *prefix, const char *schema);
static void admin_register(const char *prefix, const char *schema);
static void admin_unregister(const char *prefix);
static List *admin_adopt(const char *prefix, const char *schema);
static int	admin_require_tables(const NvsStore *store);

/*
 * Raise an error unless this can be a store's prefix: the first token of
 * subjects and patterns, and the beginning of the names of tables.  It is one
 * that no pattern has to escape.
 */
static void
admin_check_prefix(const char *prefix)
{
	size_t		len = strlen(prefix);
	const char *p = prefix;

	if (len == 0 || len > ADMIN_MAX_PREFIX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("It has %zu bytes; 1 to %d are allowed.",
						   len, ADMIN_MAX_PREFIX)));
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
 * the schema is made, and then not be found.
 */
static void
admin_check_schema(const char *schema)
{
	if (schema[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("invalid schema name \"%s\"", schema)));
	if (strlen(schema) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("schema name \"%s\" is too long", schema),
				 errdetail("It has %zu bytes; at most %d are allowed.",
						   strlen(schema), NAMEDATALEN - 1)));
}

/* Raise an error unless a store can be moved to this layout. */
static void
admin_check_target(int layout)
{
	if (layout != 0 && (layout < NVS_LAYOUT_BASE ||
						layout > NVS_LAYOUT_LATEST))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("layout %d does not exist", layout),
				 errdetail("Layouts are %d to %d; 0 drops the store.",
						   NVS_LAYOUT_BASE, NVS_LAYOUT_LATEST)));
}

/* Raise an error when a store has a layout of a later nvent_store. */
static void
admin_check_known(const char *prefix, int layout)
{
	if (layout > NVS_LAYOUT_LATEST)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("layout %d of store \"%s\" is not supported",
						layout, prefix),
				 errdetail("The latest that this version of nvent_store knows "
						   "is %d.", NVS_LAYOUT_LATEST)));
}

/* Raise an error unless a registered store is in this schema, with tables. */
static void
admin_check_same(const NvsStore *store, const char *schema)
{
	if (strcmp(store->schema, schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" already exists in schema \"%s\"",
						store->prefix, store->schema)));
	if (!admin_has_tables(store->prefix, schema))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("tables of store \"%s\" in schema \"%s\" do not exist",
						store->prefix, schema),
				 errhint("Run SELECT nvent.store_migrate(%s, 0) to remove the "
						 "store from the registry.",
						 quote_literal_cstr(store->prefix))));
}

/* Raise an error when there are tables that a new store would have. */
static void
admin_check_free(const char *prefix, const char *schema)
{
	if (admin_has_tables(prefix, schema))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("tables of prefix \"%s\" already exist in schema "
						"\"%s\"", prefix, schema),
				 errhint("Run SELECT * FROM nvent.store_adopt(%s, %s).",
						 quote_literal_cstr(prefix),
						 quote_literal_cstr(schema))));
}

/*
 * Check the name and place of a store that is to be, and lock them, until the
 * end of the transaction, against others that make the same store, its schema
 * or a store whose tables could be its own.  Returns the store if it is there
 * already, else NULL.
 */
static NvsStore *
admin_claim(const char *prefix, const char *schema, const char *command)
{
	NvsStore   *store;

	admin_check_prefix(prefix);
	admin_check_schema(schema);
	PreventCommandIfReadOnly(command);
	nvs_store_lock(prefix, ExclusiveLock);
	nvs_lock(NVS_LOCK_STORE, nvs_hash(schema, strlen(schema), 1),
			 ExclusiveLock);
	store = nvs_store_find(prefix, strlen(prefix));
	if (store == NULL)
		nvs_store_check_overlap(prefix, schema);
	return store;
}

/* Make the schema when it is not there; needs no right when it is. */
static void
admin_ensure_schema(const char *schema)
{
	if (!OidIsValid(get_namespace_oid(schema, true)))
		nvs_plan_utility(psprintf("CREATE SCHEMA %s",
								  quote_identifier(schema)));
}

/* Is there the version table, which every store has? */
static bool
admin_has_tables(const char *prefix, const char *schema)
{
	Oid			nspid = get_namespace_oid(schema, true);

	return OidIsValid(nspid) &&
		OidIsValid(get_relname_relid(psprintf("%s_schema_version", prefix),
									 nspid));
}

/*
 * Make a store as the caller, unless it is there in this schema already; true
 * when it was made.  Safe when many sessions do so at once: locks the store
 * until the end of the transaction where it is missing.
 */
static bool
admin_create(const char *prefix, const char *schema)
{
	NvsIdentity saved;
	NvsStore   *store = nvs_store_find(prefix, strlen(prefix));

	if (store == NULL)
		store = admin_claim(prefix, schema, "nvent.store_create()");
	if (store != NULL)
	{
		admin_check_same(store, schema);
		return false;
	}
	admin_check_free(prefix, schema);

	nvs_spi_begin();
	nvs_pin_search_path(&saved);
	admin_ensure_schema(schema);
	nvs_layout_up(admin_new_store(prefix, schema), 0, NVS_LAYOUT_LATEST);
	nvs_become_caller(&saved);
	admin_register(prefix, schema);
	nvs_store_grant_to_owner(nvs_store_require(prefix));
	nvs_spi_end();
	return true;
}

/* A store that the registry does not have yet; allocated in this context. */
static NvsStore *
admin_new_store(const char *prefix, const char *schema)
{
	NvsStore   *store = palloc0(sizeof(NvsStore));

	strlcpy(store->prefix, prefix, NAMEDATALEN);
	store->schema = pstrdup(schema);
	return store;
}

/* Enter a store and its default routes into the registry; needs SPI. */
static void
admin_register(const char *prefix, const char *schema)
{
	NvsParams	params;

	/* Rows of a store of that name that somebody deleted by hand. */
	admin_unregister(prefix);

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(schema), false);
	(void) nvs_store_registry_execute(&registry_insert, &params);
}

/* Remove a store, its routes and stream tables from the registry; needs SPI. */
static void
admin_unregister(const char *prefix)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	(void) nvs_store_registry_execute(&registry_delete, &params);
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
	(void) admin_create(nvs_default_store, "public");
	return nvs_store_require(nvs_default_store);
}

/*
 * The store that a subject or key belongs to, for a write: where that is the
 * default store it is made if need be.
 */
NvsStore *
nvs_store_of_write(const char *subject, int len)
{
	NvsStore   *store = nvs_store_of(subject, len);

	return store != NULL ? store : admin_create_default();
}

/* nvent.store_create(prefix, schema): true when it was made now. */
Datum
nvs_store_create(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "prefix");
	NVS_REQUIRE_ARG(1, "schema");
	PG_RETURN_BOOL(admin_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* nvent.store_version(prefix): its layout; NULL when there is no such store. */
Datum
nvs_store_version(PG_FUNCTION_ARGS)
{
	char	   *prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	NvsStore   *store = nvs_store_find(prefix, strlen(prefix));
	int			version;

	if (store == NULL)
		PG_RETURN_NULL();
	nvs_spi_begin();
	version = nvs_layout_version(store);
	nvs_spi_end();
	PG_RETURN_INT32(version);
}

/*
 * nvent.store_migrate(prefix, target): move a store to a layout, the latest
 * when target is NULL, 0 to drop all of it.  Returns the layout it had.  Only
 * its owner may; the store is locked until the end of the transaction.
 */
Datum
nvs_store_migrate(PG_FUNCTION_ARGS)
{
	char	   *prefix;
	int			target = NVS_ARG_OR(1, PG_GETARG_INT32, NVS_LAYOUT_LATEST);
	int			from;
	NvsStore   *store;
	NvsIdentity saved;

	/* Whether it may be. */
	NVS_REQUIRE_ARG(0, "prefix");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	admin_check_target(target);
	PreventCommandIfReadOnly("nvent.store_migrate()");
	nvs_store_lock(prefix, ExclusiveLock);
	store = nvs_store_require(prefix);
	nvs_store_check_owner(store);

	/* The tables, which are made and dropped as their owner. */
	nvs_spi_begin();
	nvs_store_become_owner(store, &saved);
	from = nvs_layout_version(store);
	admin_check_known(prefix, from);
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
		admin_unregister(prefix);
	else
		nvs_store_changed();
	nvs_spi_end();
	PG_RETURN_INT32(from);
}

/*
 * nvent.store_adopt(prefix, schema): take over tables that exist, either of
 * adapter-store-postgres or of a store that is missing from the registry.
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
	nvs_spi_begin();
	foreach(lc, admin_adopt(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							text_to_cstring(PG_GETARG_TEXT_PP(1))))
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
 * Adopt tables as the caller, who must own them, and enter their store into
 * the registry; returns the changes, NvsChange.  Locks the store until the end
 * of the transaction.  Needs SPI.
 */
static List *
admin_adopt(const char *prefix, const char *schema)
{
	NvsIdentity saved;
	List	   *changes;
	List	   *streams = NIL;
	ListCell   *lc;
	NvsStore   *store;

	if (admin_claim(prefix, schema, "nvent.store_adopt()") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" already exists", prefix)));

	/* The tables. */
	nvs_pin_search_path(&saved);
	store = admin_new_store(prefix, schema);
	changes = nvs_adopt_tables(store, admin_require_tables(store), &streams);
	nvs_become_caller(&saved);

	/* The registry. */
	admin_register(prefix, schema);
	foreach(lc, streams)
		nvs_stream_table_register(prefix, strVal(lfirst(lc)), schema);
	nvs_store_grant_to_owner(nvs_store_require(prefix));
	return changes;
}

/*
 * Layout of the tables of a store that is not registered; an error when there
 * are none, they are of a later layout, or somebody else's.  Needs SPI.
 */
static int
admin_require_tables(const NvsStore *store)
{
	int			layout = nvs_layout_version(store);

	if (layout == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("tables of prefix \"%s\" do not exist in schema "
						"\"%s\"", store->prefix, store->schema),
				 errhint("Run SELECT nvent.store_create(%s, %s).",
						 quote_literal_cstr(store->prefix),
						 quote_literal_cstr(store->schema))));
	admin_check_known(store->prefix, layout);
	nvs_store_check_owner(store);
	return layout;
}
