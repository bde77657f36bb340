/*
 * store/store.c
 *	  The registry of stores, as a backend knows it.
 *
 * The registry (nvent.store, nvent.route, nvent.stream_table) is read once
 * per backend and dropped when a trigger on any of the three invalidates it,
 * as seen by the relcache callback.  It is read with the latest snapshot and
 * as the extension's owner: a cache must not keep what an old snapshot or a
 * poor role saw.
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
#include "store/store.h"

PG_FUNCTION_INFO_V1(nvs_registry_changed);

/* The registry as this backend knows it. */
static MemoryContext registry_cxt = NULL;
static HTAB *stores = NULL;
static NvsStore *default_store = NULL;	/* as the setting was last seen */
static Oid	registry_relid = InvalidOid;	/* nvent.store, as it was loaded */
static bool registry_stale = true;
static uint64 registry_generation = 0;

static const NvsStatement store_load = {
	"SELECT prefix, schema_name FROM nvent.store"
};

static void registry_callback(Datum arg, Oid relid);
static void refresh_registry(void);
static void load_stores(void);
static int	compare_prefixes(const ListCell *a, const ListCell *b);

/* Register the callback that drops the registry. */
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
		nvs_defer_free(registry_cxt, NULL);
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
	nvs_execute(nvs_statement_plan(NULL, &store_load, NULL, NULL), NULL, true,
				0);
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

/*
 * The store of the subjects that a pattern matches, in the registry as it is
 * now; the default store for one that begins with a wildcard.
 */
NvsStore *
nvs_store_of_pattern(const NvsPattern *pattern)
{
	const NvsPatternToken *first = &pattern->tokens[0];

	if (first->kind != NVS_TOKEN_LITERAL)
		return nvs_store_find(nvs_default_store, strlen(nvs_default_store));
	return nvs_store_of(pattern->bytes + first->offset, first->len);
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

/* Refuse a store whose tables could be another's of the same schema. */
void
nvs_store_check_overlap(const char *prefix, const char *schema)
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
 * Run a statement that changes the registry, as its owner, and make the change
 * visible to what follows; returns its rows.  Needs SPI.
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
 * Lock a store until the end of the transaction: to make or change it
 * exclusively, to add to it shared.
 */
void
nvs_store_lock(const char *prefix, LOCKMODE mode)
{
	nvs_lock(NVS_LOCK_STORE, nvs_hash(prefix, strlen(prefix), 0), mode);
}
