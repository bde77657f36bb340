/*
 * store.c
 *	  The registry of stores, and making, moving and adopting them.
 *
 * The registry (nvent.store, nvent.route, nvent.stream_table) is read once
 * per backend and dropped when a trigger on any of the three invalidates it,
 * as seen by the relcache callback.  It is read with the latest snapshot and
 * as the extension's owner: a cache must not keep what an old snapshot or a
 * poor role saw.  It is written as the extension's owner too, after the
 * checks made here.
 *
 * A store's tables are made by and belong to the caller.  Who owns the
 * version table {prefix}_schema_version owns the store.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "compat.h"
#include "errors.h"
#include "funcapi.h"
#include "guc.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "plan.h"
#include "route.h"
#include "storage/sinval.h"
#include "store.h"
#include "subject.h"
#include "util.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(nvs_registry_changed);
PG_FUNCTION_INFO_V1(nvs_store_create_sql);
PG_FUNCTION_INFO_V1(nvs_store_migrate);
PG_FUNCTION_INFO_V1(nvs_store_adopt);
PG_FUNCTION_INFO_V1(nvs_store_version);

/* The registry as this backend knows it. */
static MemoryContext registry_cxt = NULL;
static HTAB *stores = NULL;
static NvsStore *default_store = NULL;	/* as the setting was last seen */
static Oid	registry_relid = InvalidOid;	/* nvent.store, as it was loaded */
static bool registry_stale = true;
static uint64 registry_generation = 0;

static SPIPlanPtr load_plan = NULL;
static SPIPlanPtr insert_plan = NULL;
static SPIPlanPtr delete_plan = NULL;

static void registry_callback(Datum arg, Oid relid);
static void refresh_registry(void);
static void load_stores(void);
static void check_prefix(const char *prefix);
static void check_schema(const char *schema);
static NvsStore *claim_store(const char *prefix, const char *schema,
							 const char *command);
static void check_no_overlap(const char *prefix, const char *schema);
static void ensure_schema(const char *schema);
static bool version_table_exists(const char *prefix, const char *schema);
static void register_store(const char *prefix, const char *schema);
static void unregister_store(const char *prefix);
static NvsStore *create_default_store(void);
static void check_layout(const char *prefix, int version);
static int	compare_prefixes(const ListCell *a, const ListCell *b);

/* Register the callback that drops the registry. */
void
nvs_store_init(void)
{
	CacheRegisterRelcacheCallback(registry_callback, (Datum) 0);
}

/* Note that a registry table changed; may run inside any catalog access. */
static void
registry_callback(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == registry_relid)
		registry_stale = true;
}

/*
 * Trigger on the registry tables: tell every backend.  All of them signal
 * through nvent.store, the one relation the callback looks for.
 */
Datum
nvs_registry_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	nvs_store_changed();
	return PointerGetDatum(NULL);
}

/* Have every backend read the registry again once we commit. */
void
nvs_store_changed(void)
{
	CacheInvalidateRelcacheByRelid(nvs_registry_table("store"));
}

/*
 * Number of the registry's present content; what is derived from the
 * registry is wrong once this has changed.  Also absorbs invalidations, so
 * that a change that was committed holds from the next statement on.
 */
uint64
nvs_store_generation(void)
{
	AcceptInvalidationMessages();
	if (registry_stale)
		refresh_registry();
	return registry_generation;
}

/* Drop what is known and read the registry again. */
static void
refresh_registry(void)
{
	HASHCTL		ctl;
	MemoryContext fresh;

	fresh = AllocSetContextCreate(CacheMemoryContext, "nvent_store registry",
								  ALLOCSET_DEFAULT_SIZES);
	if (registry_cxt != NULL)
		nvs_retire(registry_cxt, NULL);
	registry_cxt = fresh;
	default_store = NULL;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(NvsStore);
	ctl.hcxt = registry_cxt;
	stores = hash_create("nvent_store stores", 16, &ctl,
						 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	registry_generation++;
	registry_relid = nvs_registry_table("store");

	/* Cleared first: what comes in while we read must not be lost. */
	registry_stale = false;
	PG_TRY();
	{
		load_stores();
	}
	PG_CATCH();
	{
		registry_stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Read nvent.store into the hash table. */
static void
load_stores(void)
{
	NvsIdentity saved;
	uint64		i;

	SPI_connect();
	nvs_become_owner(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	if (load_plan == NULL)
		load_plan = nvs_plan_prepare("SELECT prefix, schema_name "
									 "FROM nvent.store", 0, NULL, 0);
	nvs_plan_execute(load_plan, NULL, NULL, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *prefix = SPI_getvalue(row, desc, 1);
		NvsStore   *store = hash_search(stores, prefix, HASH_ENTER, NULL);
		char		channel[NAMEDATALEN];

		snprintf(channel, sizeof(channel), "%s_events", prefix);
		store->schema = MemoryContextStrdup(registry_cxt,
											SPI_getvalue(row, desc, 2));
		store->channel = MemoryContextStrdup(registry_cxt, channel);
	}
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	SPI_finish();
}

/* The store of this prefix, or NULL, in the registry as it was last read. */
NvsStore *
nvs_store_known(const char *prefix, int len)
{
	char		key[NAMEDATALEN];

	if (len >= NAMEDATALEN)
		return NULL;
	memcpy(key, prefix, len);
	key[len] = '\0';
	return hash_search(stores, key, HASH_FIND, NULL);
}

/* The same in the registry as it is now. */
NvsStore *
nvs_store_find(const char *prefix, int len)
{
	(void) nvs_store_generation();
	return nvs_store_known(prefix, len);
}

/*
 * The store that a subject or key belongs to, in the registry as it was last
 * read: that of its first token, else the default store; NULL when there is
 * neither.
 */
NvsStore *
nvs_store_known_of(const char *subject, int len)
{
	const char *colon = memchr(subject, ':', len);
	NvsStore   *store;

	if (default_store == NULL ||
		strcmp(default_store->prefix, nvs_default_store) != 0)
		default_store = nvs_store_known(nvs_default_store,
										strlen(nvs_default_store));
	if (colon != NULL)
		len = colon - subject;
	if (default_store != NULL &&
		strncmp(default_store->prefix, subject, len) == 0 &&
		default_store->prefix[len] == '\0')
		return default_store;
	store = nvs_store_known(subject, len);
	return store != NULL ? store : default_store;
}

/* The same in the registry as it is now. */
NvsStore *
nvs_store_of(const char *subject, int len)
{
	(void) nvs_store_generation();
	return nvs_store_known_of(subject, len);
}

/* The same for a write: the default store is made when it is not there. */
NvsStore *
nvs_store_of_write(const char *subject, int len)
{
	NvsStore   *store = nvs_store_of(subject, len);

	return store != NULL ? store : create_default_store();
}

/* Make the default store in schema public, if that is allowed. */
static NvsStore *
create_default_store(void)
{
	if (!nvs_auto_create)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", nvs_default_store),
				 errhint("Run SELECT nvent.store_create(%s), or set "
						 "nvent_store.auto_create to on.",
						 quote_literal_cstr(nvs_default_store))));
	(void) nvs_store_create(nvs_default_store, "public");
	return nvs_store_require(nvs_default_store);
}

/* The store of this prefix, or an error. */
NvsStore *
nvs_store_require(const char *prefix)
{
	NvsStore   *store = nvs_store_find(prefix, strlen(prefix));

	if (store == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", prefix),
				 errhint("Run SELECT nvent.store_create(%s).",
						 quote_literal_cstr(prefix))));
	return store;
}

/* Prefixes of all stores, in their order. */
List *
nvs_store_prefixes(void)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS scan;
	NvsStore   *store;

	(void) nvs_store_generation();
	hash_seq_init(&scan, stores);
	while ((store = hash_seq_search(&scan)) != NULL)
		result = lappend(result, pstrdup(store->prefix));
	list_sort(result, compare_prefixes);
	return result;
}

/* list_sort comparator: by bytes. */
static int
compare_prefixes(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* Raise an error unless the current user owns the store. */
void
nvs_store_check_owner(const NvsStore *store)
{
	Oid			nspid = get_namespace_oid(store->schema, true);
	char	   *name = psprintf("%s_schema_version", store->prefix);
	Oid			relid = InvalidOid;

	if (OidIsValid(nspid))
		relid = get_relname_relid(name, nspid);
	if (!OidIsValid(relid))
	{
		if (superuser())
			return;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" of store \"%s\" does not exist",
						store->schema, name, store->prefix),
				 errdetail("Its owner is the owner of the store.")));
	}
	if (!nvs_owns_relation(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of store \"%s\"", store->prefix),
				 errhint("The store belongs to the owner of table "
						 "\"%s.%s\".", store->schema, name)));
}

/* A prefix is one token of a subject and the beginning of table names. */
static void
check_prefix(const char *prefix)
{
	size_t		len = strlen(prefix);

	if (len == 0 || len > NVS_MAX_PREFIX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("It has %zu bytes; 1 to %d are allowed.",
						   len, NVS_MAX_PREFIX)));
	if (strpbrk(prefix, ":{}") != NULL ||
		!nvs_subject_check(prefix, len, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid store prefix \"%s\"", prefix),
				 errdetail("A prefix is the first token of subjects; it "
						   "contains no control character and none of "
						   "\":*>{}\".")));
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
		check_no_overlap(prefix, schema);
	return store;
}

/* Refuse two stores of one schema whose table names could be the same. */
static void
check_no_overlap(const char *prefix, const char *schema)
{
	HASH_SEQ_STATUS scan;
	NvsStore   *other;

	hash_seq_init(&scan, stores);
	while ((other = hash_seq_search(&scan)) != NULL)
	{
		const char *shorter = prefix;
		const char *longer = other->prefix;
		size_t		n;

		if (strcmp(other->schema, schema) != 0)
			continue;
		if (strlen(shorter) > strlen(longer))
		{
			shorter = other->prefix;
			longer = prefix;
		}
		n = strlen(shorter);
		if (strncmp(shorter, longer, n) != 0 ||
			strncmp(longer + n, "_stream", 7) != 0)
			continue;
		hash_seq_term(&scan);
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("store prefix \"%s\" is too close to store \"%s\"",
						prefix, other->prefix),
				 errdetail("Tables of store \"%s\" begin with \"%s_stream\".",
						   shorter, shorter),
				 errhint("Use another prefix or another schema.")));
	}
}

/*
 * Lock a store until the end of the transaction: to make or change it
 * exclusively, to add to it shared.
 */
void
nvs_store_lock(const char *prefix, LOCKMODE mode)
{
	nvs_lock(NVS_LOCK_STORE, nvs_hash(prefix, strlen(prefix), 0), mode);
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
nvs_store_create(const char *prefix, const char *schema)
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
	nvs_layout_up(prefix, schema, 0, NVS_LAYOUT_LATEST);
	nvs_become_caller(&saved);
	register_store(prefix, schema);
	nvs_spi_end();
	return true;
}

/* Enter a store and its default routes; needs SPI. */
static void
register_store(const char *prefix, const char *schema)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	NvsIdentity saved;

	values[0] = CStringGetTextDatum(prefix);
	values[1] = CStringGetTextDatum(schema);
	nvs_become_owner(&saved);
	if (insert_plan == NULL)
		insert_plan = nvs_plan_prepare(
			"WITH store AS (INSERT INTO nvent.store (prefix, schema_name) "
			"VALUES ($1, $2) RETURNING prefix, schema_name) "
			"INSERT INTO nvent.route (store, tier, pattern, shape, "
			"schema_name, table_name, aliases) "
			"SELECT s.prefix, d.tier, "
			"pg_catalog.concat(s.prefix, ':', d.pattern), "
			"pg_catalog.concat(s.prefix, ':', d.shape), s.schema_name, "
			"pg_catalog.concat(s.prefix, '_', d.table_name), d.aliases "
			"FROM store s, nvent.default_route d", 2, types, 0);
	nvs_plan_execute(insert_plan, values, NULL, false, 0);
	nvs_become_caller(&saved);
	CommandCounterIncrement();
}

/* Remove a store and, by cascade, its routes and stream tables. */
static void
unregister_store(const char *prefix)
{
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(prefix);
	NvsIdentity saved;

	nvs_become_owner(&saved);
	if (delete_plan == NULL)
		delete_plan = nvs_plan_prepare(
			"DELETE FROM nvent.store WHERE prefix OPERATOR(pg_catalog.=) $1",
			1, &type, 0);
	nvs_plan_execute(delete_plan, &value, NULL, false, 0);
	nvs_become_caller(&saved);
	CommandCounterIncrement();
}

/* nvent.store_create(prefix, schema): true when it was made now. */
Datum
nvs_store_create_sql(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "prefix");
	NVS_REQUIRE_ARG(1, "schema");
	PG_RETURN_BOOL(nvs_store_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
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
	version = nvs_layout_version(store->prefix, store->schema);
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
	from = nvs_layout_version(prefix, store->schema);
	check_layout(prefix, from);
	if (target > from)
		nvs_layout_up(prefix, store->schema, from, target);
	else
		nvs_layout_down(prefix, store->schema, from, target);
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
	NvsStore	unregistered;

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
	from = nvs_layout_version(prefix, schema);
	if (from == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("no tables of prefix \"%s\" in schema \"%s\"",
						prefix, schema),
				 errhint("Run SELECT nvent.store_create(%s, %s).",
						 quote_literal_cstr(prefix),
						 quote_literal_cstr(schema))));
	check_layout(prefix, from);
	strlcpy(unregistered.prefix, prefix, NAMEDATALEN);
	unregistered.schema = schema;
	nvs_store_check_owner(&unregistered);
	changes = nvs_layout_adopt(prefix, schema, from, &streams);
	nvs_become_caller(&saved);
	register_store(prefix, schema);
	foreach(lc, streams)
		nvs_route_stream_register(prefix, strVal(lfirst(lc)), schema);

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
