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
#include "store/layout.h"
#include "store/store.h"
#include "store/stream_table.h"

PG_FUNCTION_INFO_V1(nvs_store_create);
PG_FUNCTION_INFO_V1(nvs_store_version);
PG_FUNCTION_INFO_V1(nvs_store_migrate);
PG_FUNCTION_INFO_V1(nvs_store_adopt);

/* The store, and the routes that every store begins with. */
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

static const NvsStatement registry_delete = {
	"WITH route AS (DELETE FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1), "
	"stream_table AS (DELETE FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1) "
	"DELETE FROM nvent.store WHERE prefix OPERATOR(pg_catalog.=) $1"
};

static void check_prefix(const char *prefix);
static void check_schema(const char *schema);
static NvsStore *claim_store(const char *prefix, const char *schema,
							 const char *command);
static void ensure_schema(const char *schema);
static bool version_table_exists(const char *prefix, const char *schema);
static NvsStore *unregistered_store(const char *prefix, const char *schema);
static void register_store(const char *prefix, const char *schema);
static void unregister_store(const char *prefix);
static void check_layout(const char *prefix, int version);

/*
 * A prefix is the first token of subjects and patterns, and the beginning of
 * the names of tables.  It is one that nobody has to quote or to escape.
 */
static void
check_prefix(const char *prefix)
{
	size_t		len = strlen(prefix);
	const char *p = prefix;

	if (len == 0 || len > NVS_MAX_PREFIX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("It has %zu bytes; 1 to %d are allowed.",
						   len, NVS_MAX_PREFIX)));
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

/* A longer name would be cut when the schema is made, then not be found. */
static void
check_schema(const char *schema)
{
	if (strlen(schema) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("schema name \"%s\" is too long", schema),
				 errdetail("It has %zu bytes; at most %d are allowed.",
						   strlen(schema), NAMEDATALEN - 1)));
}

/*
 * Check the name and place of a store that is to be, and keep others from
 * making the same one, its schema or one whose tables would be its own.
 * Returns the store if it is there already.
 */
static NvsStore *
claim_store(const char *prefix, const char *schema, const char *command)
{
	NvsStore   *store;

	check_prefix(prefix);
	check_schema(schema);
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
ensure_schema(const char *schema)
{
	if (!OidIsValid(get_namespace_oid(schema, true)))
		nvs_plan_utility(psprintf("CREATE SCHEMA %s",
								  quote_identifier(schema)));
}

/* Is there the table that every store has? */
static bool
version_table_exists(const char *prefix, const char *schema)
{
	Oid			nspid = get_namespace_oid(schema, true);

	return OidIsValid(nspid) &&
		OidIsValid(get_relname_relid(psprintf("%s_schema_version", prefix),
									 nspid));
}

/*
 * Make a store.  Returns false when it is there already in this schema; is
 * safe when many sessions do it at once.
 */
bool
nvs_store_make(const char *prefix, const char *schema)
{
	NvsIdentity saved;
	NvsStore   *store = nvs_store_find(prefix, strlen(prefix));

	if (store == NULL)
		store = claim_store(prefix, schema, "nvent.store_create()");
	if (store != NULL && strcmp(store->schema, schema) == 0)
	{
		if (!version_table_exists(prefix, schema))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("tables of store \"%s\" in schema \"%s\" are gone",
							prefix, schema),
					 errhint("Run SELECT nvent.store_migrate(%s, 0) to forget "
							 "the store.", quote_literal_cstr(prefix))));
		return false;
	}
	if (store != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" exists in schema \"%s\"",
						prefix, store->schema)));
	if (version_table_exists(prefix, schema))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("tables of prefix \"%s\" exist in schema \"%s\"",
						prefix, schema),
				 errhint("Run SELECT * FROM nvent.store_adopt(%s, %s).",
						 quote_literal_cstr(prefix),
						 quote_literal_cstr(schema))));

	nvs_spi_begin();
	nvs_pin_search_path(&saved);
	ensure_schema(schema);
	nvs_layout_up(unregistered_store(prefix, schema), 0, NVS_LAYOUT_LATEST);
	nvs_become_caller(&saved);
	register_store(prefix, schema);
	nvs_spi_end();
	return true;
}

/* A store that the registry does not have yet. */
static NvsStore *
unregistered_store(const char *prefix, const char *schema)
{
	NvsStore   *store = palloc0(sizeof(NvsStore));

	strlcpy(store->prefix, prefix, NAMEDATALEN);
	store->schema = pstrdup(schema);
	return store;
}

/* Enter a store and its default routes; needs SPI. */
static void
register_store(const char *prefix, const char *schema)
{
	NvsParams	params;

	/* Rows of a store of that name that somebody deleted by hand. */
	unregister_store(prefix);

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(schema), false);
	(void) nvs_store_registry_execute(&registry_insert, &params);
}

/* Remove a store, its routes and stream tables from the registry; needs SPI. */
static void
unregister_store(const char *prefix)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	(void) nvs_store_registry_execute(&registry_delete, &params);
}

/* Make the default store in schema public, if that is allowed. */
static NvsStore *
store_create_default(void)
{
	if (!nvs_auto_create)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", nvs_default_store),
				 errhint("Run SELECT nvent.store_create(%s), or set "
						 "nvent_store.auto_create to on.",
						 quote_literal_cstr(nvs_default_store))));
	(void) nvs_store_make(nvs_default_store, "public");
	return nvs_store_require(nvs_default_store);
}

/* The store of a subject, for a write: the default store is made if need be. */
NvsStore *
nvs_store_of_write(const char *subject, int len)
{
	NvsStore   *store = nvs_store_of(subject, len);

	return store != NULL ? store : store_create_default();
}

/* nvent.store_create(prefix, schema): true when it was made now. */
Datum
nvs_store_create(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "prefix");
	NVS_REQUIRE_ARG(1, "schema");
	PG_RETURN_BOOL(nvs_store_make(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* nvent.store_version(prefix): layout, NULL when there is no such store. */
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

/* Raise an error when a layout is beyond what we know. */
static void
check_layout(const char *prefix, int version)
{
	if (version > NVS_LAYOUT_LATEST)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("store \"%s\" has layout %d, which is not known here",
						prefix, version),
				 errdetail("The latest that this version of nvent_store knows "
						   "is %d.", NVS_LAYOUT_LATEST)));
}

/*
 * nvent.store_migrate(prefix, target): move a store to a layout, the latest
 * when target is NULL, 0 to drop all of it.  Returns the layout it had.
 */
Datum
nvs_store_migrate(PG_FUNCTION_ARGS)
{
	char	   *prefix;
	int			target = NVS_ARG_OR(1, PG_GETARG_INT32, NVS_LAYOUT_LATEST);
	int			from;
	NvsStore   *store;
	NvsIdentity saved;

	NVS_REQUIRE_ARG(0, "prefix");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (target != 0 && (target < NVS_LAYOUT_BASE ||
						target > NVS_LAYOUT_LATEST))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no layout %d to migrate to", target),
				 errdetail("Layouts are %d to %d; 0 drops the store.",
						   NVS_LAYOUT_BASE, NVS_LAYOUT_LATEST)));
	PreventCommandIfReadOnly("nvent.store_migrate()");
	nvs_store_lock(prefix, ExclusiveLock);
	store = nvs_store_require(prefix);
	nvs_store_check_owner(store);

	nvs_spi_begin();
	nvs_pin_search_path(&saved);
	from = nvs_layout_version(store);
	check_layout(prefix, from);
	if (target > from)
		nvs_layout_up(store, from, target);
	else
		nvs_layout_down(store, from, target);
	nvs_become_caller(&saved);
	if (target == 0)
		unregister_store(prefix);
	else
		nvs_store_changed();
	nvs_spi_end();
	PG_RETURN_INT32(from);
}

/*
 * nvent.store_adopt(prefix, schema): take over tables that exist, either of
 * adapter-store-postgres or of a store that is missing from the registry.
 */
Datum
nvs_store_adopt(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsIdentity saved;
	List	   *streams = NIL;
	List	   *changes;
	ListCell   *lc;
	char	   *prefix;
	char	   *schema;
	int			from;
	NvsStore   *store;

	NVS_REQUIRE_ARG(0, "prefix");
	NVS_REQUIRE_ARG(1, "schema");
	prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	schema = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (claim_store(prefix, schema, "nvent.store_adopt()") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store \"%s\" exists", prefix)));

	nvs_spi_begin();
	nvs_pin_search_path(&saved);
	store = unregistered_store(prefix, schema);
	from = nvs_layout_version(store);
	if (from == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("no tables of prefix \"%s\" in schema \"%s\"",
						prefix, schema),
				 errhint("Run SELECT nvent.store_create(%s, %s).",
						 quote_literal_cstr(prefix),
						 quote_literal_cstr(schema))));
	check_layout(prefix, from);
	nvs_store_check_owner(store);
	changes = nvs_adopt_tables(store, from, &streams);
	nvs_become_caller(&saved);
	register_store(prefix, schema);
	foreach(lc, streams)
		nvs_stream_table_register(prefix, strVal(lfirst(lc)), schema);

	foreach(lc, changes)
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
