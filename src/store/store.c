/*
 * store/store.c
 *	  The registry of stores, as a backend knows it.
 *
 * The registry (nvent.store, nvent.route, nvent.stream_table) is read once
 * per backend, and again when a trigger on any of the three has invalidated
 * it, as seen by the relcache callback.  It is read with the latest snapshot
 * and as the extension's owner: a cache must not keep what an old snapshot or
 * a poor role saw.
 *
 * Each reading has a number, the generation, which its stores carry: what is
 * derived from a store is kept with that number, and is stale for a store of a
 * later one.  So nobody has to ask for the generation, let alone twice.
 *
 * A store is readable until no call of ours is on the stack, but every look
 * here may read the registry anew: two stores are compared by prefix, never by
 * address.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "base/advisory.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/statement.h"
#include "position/position.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(nvs_registry_changed);

/* The registry as this backend knows it; NULL and 0: not read yet. */
static MemoryContext registry_cxt = NULL;
static HTAB *registry_stores = NULL;
static NvsStore *registry_default = NULL;	/* as the setting was last seen */
static Oid	registry_relid = InvalidOid;	/* nvent.store, as it was read */
static bool registry_stale = true;
static uint64 registry_generation = 0;

/* All stores. */
static const NvsStatement registry_read = {
	"SELECT prefix, schema_name FROM nvent.store"
};

static void registry_callback(Datum arg, Oid relid);
static void registry_refresh(void);
static void registry_replace(void);
static void registry_read_stores(void);
static void registry_add_store(const char *prefix, const char *schema);
static NvsStore *registry_find(const char *prefix, int len);
static NvsStore *registry_find_default(void);
static Oid	store_version_table(const NvsStore *store);
pg_noreturn static void store_has_no_tables(const NvsStore *store);
static int	store_compare_prefixes(const ListCell *a, const ListCell *b);
static bool store_overlaps(const char *shorter, const char *longer);

/* Register the callback that has the registry read again. */
void
nvs_store_init(void)
{
	CacheRegisterRelcacheCallback(registry_callback, (Datum) 0);
}

/* Note that a registry table changed; may run inside any catalog access. */
static void
registry_callback(Datum arg pg_attribute_unused(), Oid relid)
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

/* Have every backend read the registry again, others once we commit. */
void
nvs_store_changed(void)
{
	CacheInvalidateRelcacheByRelid(nvs_registry_table("store"));
}

/*
 * Read the registry again if it has changed since it was read; changes that
 * others have committed are noticed.
 */
static void
registry_refresh(void)
{
	AcceptInvalidationMessages();
	if (registry_stale)
		registry_replace();
}

/*
 * Drop what is known and read the registry again.  After an error nothing is
 * known, and the next look reads it.
 */
static void
registry_replace(void)
{
	HASHCTL		ctl;
	MemoryContext fresh;

	/* Empty, in a context of its own. */
	fresh = AllocSetContextCreate(CacheMemoryContext, "nvent_store registry",
								  ALLOCSET_DEFAULT_SIZES);
	if (registry_cxt != NULL)
		nvs_defer_free(registry_cxt, NULL);
	registry_cxt = fresh;
	registry_default = NULL;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(NvsStore);
	ctl.hcxt = registry_cxt;
	registry_stores = hash_create("nvent_store stores", 16, &ctl,
								  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	registry_generation++;
	registry_relid = nvs_registry_table("store");

	/* Cleared first: what comes in while we read must not be lost. */
	registry_stale = false;
	PG_TRY();
	{
		registry_read_stores();
	}
	PG_CATCH();
	{
		registry_stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Read nvent.store, as the extension's owner and with the latest snapshot. */
static void
registry_read_stores(void)
{
	NvsIdentity saved;
	uint64		n;
	uint64		i;

	SPI_connect();
	nvs_become_owner(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	n = nvs_execute(nvs_statement_plan(NULL, &registry_read, NULL, NULL),
					NULL, true, 0);
	for (i = 0; i < n; i++)
		registry_add_store(SPI_getvalue(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 1),
						   SPI_getvalue(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 2));
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	SPI_finish();
}

/* Add a store to those that are known. */
static void
registry_add_store(const char *prefix, const char *schema)
{
	NvsStore   *store = hash_search(registry_stores, prefix, HASH_ENTER, NULL);
	char		channel[NAMEDATALEN];

	snprintf(channel, sizeof(channel), "%s_events", prefix);
	store->generation = registry_generation;
	store->number = nvs_store_number(prefix, strlen(prefix));
	store->schema = MemoryContextStrdup(registry_cxt, schema);
	store->channel = MemoryContextStrdup(registry_cxt, channel);
}

/* The store of this prefix, as the registry was last read; NULL for none. */
static NvsStore *
registry_find(const char *prefix, int len)
{
	char		key[NAMEDATALEN];

	if (len >= NAMEDATALEN)
		return NULL;
	memcpy(key, prefix, len);
	key[len] = '\0';
	return hash_search(registry_stores, key, HASH_FIND, NULL);
}

/* The default store, as the registry was last read; NULL for none. */
static NvsStore *
registry_find_default(void)
{
	if (registry_default == NULL ||
		strcmp(registry_default->prefix, nvs_default_store) != 0)
		registry_default = registry_find(nvs_default_store,
										 strlen(nvs_default_store));
	return registry_default;
}

/* The store of this prefix; NULL when there is none. */
NvsStore *
nvs_store_find(const char *prefix, int len)
{
	registry_refresh();
	return registry_find(prefix, len);
}

/* The default store; NULL when it does not exist. */
NvsStore *
nvs_store_find_default(void)
{
	registry_refresh();
	return registry_find_default();
}

/* The store of this prefix; an error when there is none. */
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

/*
 * The store that a subject or key belongs to: that of its first token, else
 * the default store; NULL when there is neither.
 */
NvsStore *
nvs_store_of(const char *subject, int len)
{
	const char *colon = memchr(subject, ':', len);
	NvsStore   *fallback;
	NvsStore   *store;

	registry_refresh();
	fallback = registry_find_default();
	if (colon != NULL)
		len = colon - subject;

	/* The default store is asked first: mostly it is the one. */
	if (fallback != NULL && strncmp(fallback->prefix, subject, len) == 0 &&
		fallback->prefix[len] == '\0')
		return fallback;
	store = registry_find(subject, len);
	return store != NULL ? store : fallback;
}

/*
 * The store that a pattern belongs to: that of its first token if that is a
 * literal and a store's prefix, else the default store; NULL when there is
 * neither.
 */
NvsStore *
nvs_store_of_pattern(const NvsPattern *pattern)
{
	const NvsPatternToken *first = &pattern->tokens[0];

	if (first->kind != NVS_TOKEN_LITERAL)
		return nvs_store_find_default();
	return nvs_store_of(pattern->bytes + first->offset, first->len);
}

/* Does a subject or key belong to this store? */
bool
nvs_store_owns(const NvsStore *store, const char *subject, int len)
{
	const NvsStore *owner = nvs_store_of(subject, len);

	return owner != NULL && strcmp(owner->prefix, store->prefix) == 0;
}

/* Is the registry still as it was when this store was read from it? */
bool
nvs_store_is_current(const NvsStore *store)
{
	registry_refresh();
	return store->generation == registry_generation;
}

/* Prefixes of all stores, in the order of their bytes. */
List *
nvs_store_prefixes(void)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS scan;
	NvsStore   *store;

	registry_refresh();
	hash_seq_init(&scan, registry_stores);
	while ((store = hash_seq_search(&scan)) != NULL)
		result = lappend(result, pstrdup(store->prefix));
	list_sort(result, store_compare_prefixes);
	return result;
}

/* list_sort() comparator of strings, by their bytes. */
static int
store_compare_prefixes(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* OID of the store's version table; InvalidOid when it is gone. */
static Oid
store_version_table(const NvsStore *store)
{
	Oid			nspid = get_namespace_oid(store->schema, true);

	return !OidIsValid(nspid) ? InvalidOid :
		get_relname_relid(psprintf("%s_schema_version", store->prefix),
						  nspid);
}

/* Raise the error that a store's version table is gone. */
static void
store_has_no_tables(const NvsStore *store)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table \"%s.%s_schema_version\" of store \"%s\" does not "
					"exist", store->schema, store->prefix, store->prefix),
			 errdetail("Its owner is the owner of the store.")));
}

/*
 * Raise an error unless the current user owns the store, that is, its version
 * table.  Where that is gone, only a superuser does.
 */
void
nvs_store_check_owner(const NvsStore *store)
{
	Oid			relid = store_version_table(store);

	if (!OidIsValid(relid))
	{
		if (superuser())
			return;
		store_has_no_tables(store);
	}
	if (!nvs_owns_relation(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of store \"%s\"", store->prefix),
				 errhint("The store belongs to the owner of table "
						 "\"%s.%s_schema_version\".", store->schema,
						 store->prefix)));
}

/*
 * Act as the store's owner until nvs_become_caller(), for DDL on its tables:
 * they all belong to it.  Whether the caller may have that done is asked
 * before.  Unless that is the caller itself, restricted as in
 * nvs_become_role().  Where the version table is gone a superuser owns it.
 */
void
nvs_store_become_owner(const NvsStore *store, NvsIdentity *saved)
{
	Oid			relid = store_version_table(store);
	Oid			owner = GetUserId();

	if (OidIsValid(relid))
		owner = nvs_relation_owner(relid);
	else if (!superuser())
		store_has_no_tables(store);
	if (owner == GetUserId())
		nvs_pin_search_path(saved);
	else
		nvs_become_role(owner, saved);
}

/*
 * Could a generic stream table of the store of one prefix have the name of a
 * table of the store of the other, longer prefix?
 */
static bool
store_overlaps(const char *shorter, const char *longer)
{
	size_t		len = strlen(shorter);

	return strncmp(shorter, longer, len) == 0 &&
		strncmp(longer + len, "_stream", strlen("_stream")) == 0;
}

/*
 * Raise an error when tables of a store that is to be made could be those of
 * another store in the schema.  The caller must hold a lock that keeps others
 * from making stores there.
 */
void
nvs_store_check_overlap(const char *prefix, const char *schema)
{
	HASH_SEQ_STATUS scan;
	NvsStore   *other;

	registry_refresh();
	hash_seq_init(&scan, registry_stores);
	while ((other = hash_seq_search(&scan)) != NULL)
	{
		const char *shorter = prefix;

		if (strcmp(other->schema, schema) != 0)
			continue;
		if (store_overlaps(other->prefix, prefix))
			shorter = other->prefix;
		else if (!store_overlaps(prefix, other->prefix))
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
 * Run a statement that changes the registry, as the extension's owner, and make
 * the change visible to what follows.  Returns the number of its rows, which
 * are in SPI_tuptable.  Needs SPI.
 */
uint64
nvs_store_registry_execute(const NvsStatement *statement,
						   const NvsParams *params)
{
	NvsIdentity saved;
	uint64		rows;

	nvs_become_owner(&saved);
	rows = nvs_execute(nvs_statement_plan(NULL, statement, params, NULL),
					   params, false, 0);
	nvs_become_caller(&saved);
	CommandCounterIncrement();
	return rows;
}

/*
 * Lock a store, which need not exist, until the end of the transaction:
 * exclusively to make or change it, shared to add to it.
 */
void
nvs_store_lock(const char *prefix, LOCKMODE mode)
{
	nvs_lock(NVS_LOCK_STORE, nvs_hash(prefix, strlen(prefix), 0), mode);
}
