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
 * A store is known by its version table, {prefix}_schema_version, and belongs
 * to whom that belongs to.  The registry has the table's OID, as its name was
 * resolved when the row came into the registry.  Where a table of that OID and
 * name is no more, the store is gone: its prefix stays taken, lest its subjects
 * become another's, and every use is an error until somebody makes it anew or
 * gives up the name.  What else a store has is found by name in the schema of
 * the version table, and must be its owner's; see store/relation.c.
 *
 * A store is readable until no call of ours is on the stack, but every look
 * here may read the registry anew: two stores are compared by prefix, never by
 * address.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "base/advisory.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/inval.h"
#include "base/statement.h"
#include "position/position.h"
#include "position/xact.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(nvs_registry_changed);

/* Our database, when this transaction has changed its registry. */
static NvsDatabase *registry_changed_in = NULL;

/* The registry as this backend knows it; NULL and 0: not read yet. */
static MemoryContext registry_cxt = NULL;
static HTAB *registry_stores = NULL;
static NvsStore *registry_default = NULL;	/* as the setting was last seen */
static Oid	registry_relid = InvalidOid;	/* nvent.store, as it was read */
static bool registry_stale = true;
static bool registry_is_loading = false;
static uint64 registry_generation = 0;

/* What stores are known by: each one's version table, and its schema's hash. */
typedef struct StoreMark
{
	Oid			relid;
	uint32		namespace_hash;
} StoreMark;

static StoreMark *registry_marks = NULL;	/* in registry_cxt */
static int	registry_nmarks = 0;

/* All stores, with what their version tables are now; NULLs for no table. */
static const NvsStatement registry_read = {
	"SELECT s.prefix, "
	"COALESCE(n.nspname::pg_catalog.text, s.schema_name), "
	"c.oid, n.oid, c.relowner "
	"FROM nvent.store s LEFT JOIN (pg_catalog.pg_class c "
	"JOIN pg_catalog.pg_namespace n "
	"ON n.oid OPERATOR(pg_catalog.=) c.relnamespace) "
	"ON c.oid OPERATOR(pg_catalog.=) s.version_table::pg_catalog.oid "
	"AND c.relname OPERATOR(pg_catalog.=) "
	"pg_catalog.concat(s.prefix, '_schema_version') "
	"AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')"
};

static void registry_after_locks(const NvsXactEnd *end);
static void registry_callback(Datum arg, Oid relid);
static void registry_schema_callback(Datum arg, int cacheid, uint32 hash);
static void registry_refresh(void);
static void registry_replace(void);
static void registry_read_stores(void);
static void registry_add_store(HeapTuple row, TupleDesc desc);
static Oid	registry_get_oid(HeapTuple row, TupleDesc desc, int column);
static NvsStore *registry_find(const char *prefix, int len);
static NvsStore *registry_find_default(void);
static NvsStore *registry_find_of(const char *subject, int len);
static NvsStore *store_check_live(NvsStore *store);
static int	store_compare_prefixes(const ListCell *a, const ListCell *b);
static bool store_overlaps(const char *shorter, const char *longer);

/* Register the callbacks: what has the registry read again, and visits. */
void
nvs_store_init(void)
{
	static const NvsXactHandlers handlers = {
		.after_locks = registry_after_locks
	};

	nvs_xact_register(&handlers);
	nvs_inval_register(registry_callback);
	CacheRegisterSyscacheCallback(NAMESPACEOID, registry_schema_callback,
								  (Datum) 0);
}

/*
 * Note that a registry table or a version table changed; may run inside any
 * catalog access.  While the registry is read it is not known yet which tables
 * matter.
 */
static void
registry_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	int			i;

	if (relid == InvalidOid || relid == registry_relid || registry_is_loading)
		registry_stale = true;
	for (i = 0; i < registry_nmarks && !registry_stale; i++)
		registry_stale = registry_marks[i].relid == relid;
}

/* Note that a schema with a version table may have changed, likewise. */
static void
registry_schema_callback(Datum arg pg_attribute_unused(),
						 int cacheid pg_attribute_unused(), uint32 hash)
{
	int			i;

	if (hash == 0 || registry_is_loading)
		registry_stale = true;
	for (i = 0; i < registry_nmarks && !registry_stale; i++)
		registry_stale = registry_marks[i].namespace_hash == hash;
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

/*
 * The registry is not as we know it, and nobody has told us: read it again when
 * it is asked for next.
 */
void
nvs_store_forget(void)
{
	registry_stale = true;
}

/* Have every backend read the registry again, others once we commit. */
void
nvs_store_changed(void)
{
	CacheInvalidateRelcacheByRelid(nvs_registry_table("store"));
	if (nvs_worker_possible)
		registry_changed_in = nvs_shmem_database();
}

/*
 * The transaction has ended: maintenance is to come to a database that has
 * stores now, even if there are never events in it, which would be noticed.
 * Does not raise.
 */
static void
registry_after_locks(const NvsXactEnd *end)
{
	NvsDatabase *db = registry_changed_in;

	registry_changed_in = NULL;
	if (db != NULL && end->outcome != NVS_XACT_ABORTED)
		nvs_shmem_ask_for_visit(db);
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
	registry_nmarks = 0;

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
	registry_is_loading = true;
	PG_TRY();
	{
		registry_read_stores();
	}
	PG_CATCH();
	{
		registry_is_loading = false;
		registry_stale = true;
		PG_RE_THROW();
	}
	PG_END_TRY();
	registry_is_loading = false;
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
	registry_marks = MemoryContextAlloc(registry_cxt,
										sizeof(StoreMark) * (n + 1));
	for (i = 0; i < n; i++)
		registry_add_store(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	SPI_finish();
}

/* Add the store of a row of registry_read to those that are known. */
static void
registry_add_store(HeapTuple row, TupleDesc desc)
{
	char	   *prefix = SPI_getvalue(row, desc, 1);
	NvsStore   *store = hash_search(registry_stores, prefix, HASH_ENTER, NULL);
	StoreMark  *mark;

	store->generation = registry_generation;
	store->number = nvs_store_number(prefix, strlen(prefix));
	store->schema = MemoryContextStrdup(registry_cxt,
										SPI_getvalue(row, desc, 2));
	store->relid = registry_get_oid(row, desc, 3);
	store->nspid = registry_get_oid(row, desc, 4);
	store->owner = registry_get_oid(row, desc, 5);
	store->channel = MemoryContextStrdup(registry_cxt,
										 psprintf("%s_events", prefix));
	if (!OidIsValid(store->relid))
		return;
	mark = &registry_marks[registry_nmarks++];
	mark->relid = store->relid;
	mark->namespace_hash =
		GetSysCacheHashValue1(NAMESPACEOID, ObjectIdGetDatum(store->nspid));
}

/* A column of a row that is an OID; InvalidOid for NULL. */
static Oid
registry_get_oid(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
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

/* A store, or NULL, as it is; raises NV009 when its tables are gone. */
static NvsStore *
store_check_live(NvsStore *store)
{
	if (store != NULL && !OidIsValid(store->relid))
		nvs_store_missing(store->prefix);
	return store;
}

/* The store of this prefix; NULL when there is none, NV009 when it is gone. */
NvsStore *
nvs_store_find(const char *prefix, int len)
{
	registry_refresh();
	return store_check_live(registry_find(prefix, len));
}

/* The store of this prefix, though it may be gone; NULL when there is none. */
NvsStore *
nvs_store_find_registered(const char *prefix)
{
	registry_refresh();
	return registry_find(prefix, strlen(prefix));
}

/* The default store; NULL when it does not exist, NV009 when it is gone. */
NvsStore *
nvs_store_find_default(void)
{
	registry_refresh();
	return store_check_live(registry_find_default());
}

/* The store of this prefix; NV009 when there is none. */
NvsStore *
nvs_store_require(const char *prefix)
{
	NvsStore   *store = nvs_store_find(prefix, strlen(prefix));

	if (store == NULL)
		nvs_store_missing(prefix);
	return store;
}

/* Raise NV009: a store of this prefix was never made, or is gone. */
void
nvs_store_missing(const char *prefix)
{
	const NvsStore *gone = nvs_store_find_registered(prefix);
	char	   *quoted = quote_literal_cstr(prefix);

	if (gone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", prefix),
				 errhint("Run SELECT nvent.store_create(%s).", quoted)));
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NO_STORE),
			 errmsg("store \"%s\" does not exist any more", prefix),
			 errdetail("Table \"%s_schema_version\" of schema \"%s\", by which it was known, was dropped or renamed.",
					   prefix, gone->schema),
			 errhint("Make it anew with SELECT nvent.store_create(%s, %s), take over what is left of it with nvent.store_adopt(), or give up its name with SELECT nvent.store_migrate(%s, 0).",
					 quoted, quote_literal_cstr(gone->schema), quoted)));
}

/*
 * The store that a subject or key belongs to, though it may be gone: that of
 * its first token, else the default store; NULL when there is neither.
 */
NvsStore *
nvs_store_of_registered(const char *subject, int len)
{
	registry_refresh();
	return registry_find_of(subject, len);
}

/*
 * The store that a subject or key belongs to, as the registry was last read;
 * see nvs_store_of_registered().
 */
static NvsStore *
registry_find_of(const char *subject, int len)
{
	const char *colon = memchr(subject, ':', len);
	NvsStore   *fallback = registry_find_default();
	NvsStore   *store;

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
 * The store that a subject or key belongs to; NULL when there is none.  Raises
 * NV009 when it is gone: what belongs to a store is never another's.
 */
NvsStore *
nvs_store_of(const char *subject, int len)
{
	return store_check_live(nvs_store_of_registered(subject, len));
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

/*
 * The store that a subject or key belongs to; NULL also when it is gone, or
 * when the registry would have to be read for that.
 */
const NvsStore *
nvs_store_known(const char *subject, int len)
{
	NvsStore   *store;

	AcceptInvalidationMessages();
	if (registry_stale)
		return NULL;
	store = registry_find_of(subject, len);
	return store != NULL && OidIsValid(store->relid) ? store : NULL;
}

/* Is a store that of the registry, as far as we were told of changes? */
bool
nvs_store_is_known(const NvsStore *store)
{
	return !registry_stale && store->generation == registry_generation;
}

/* Is the registry still as it was when this store was read from it? */
bool
nvs_store_is_current(const NvsStore *store)
{
	registry_refresh();
	return store->generation == registry_generation;
}

/* Prefixes of all stores that are not gone, in the order of their bytes. */
List *
nvs_store_prefixes(void)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS scan;
	NvsStore   *store;

	registry_refresh();
	hash_seq_init(&scan, registry_stores);
	while ((store = hash_seq_search(&scan)) != NULL)
		if (OidIsValid(store->relid))
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

/*
 * Raise an error unless the current user has the privileges of the store's
 * owner.
 */
void
nvs_store_check_owner(const NvsStore *store)
{
	if (!has_privs_of_role(GetUserId(), store->owner))
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
 * nvs_become_role().
 */
void
nvs_store_become_owner(const NvsStore *store, NvsIdentity *saved)
{
	if (store->owner == GetUserId())
		nvs_pin_search_path(saved);
	else
		nvs_become_role(store->owner, saved);
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

		if (!OidIsValid(other->relid) || strcmp(other->schema, schema) != 0)
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
 * Run a query on the registry, whose parameter $1 is a store, as the
 * extension's owner.  Returns the number of its rows, which are in
 * SPI_tuptable.  Needs SPI.
 */
uint64
nvs_store_registry_query(const NvsStatement *statement, const NvsStore *store)
{
	NvsIdentity saved;
	NvsParams	params;
	uint64		rows;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(store->prefix),
				   false);
	nvs_become_owner(&saved);
	rows = nvs_execute(nvs_statement_plan(NULL, statement, &params, NULL),
					   &params, false, 0);
	nvs_become_caller(&saved);
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

/*
 * Have a superuser act as the owner of a store, restricted, where nobody says
 * by name what is done to its tables: what the owner has made of them runs
 * with no more than his rights.  Whether it is so, until nvs_become_caller();
 * anybody else stays who he is, and so does a superuser in his own store.
 */
bool
nvs_store_act_as_owner(const NvsStore *store, NvsIdentity *saved)
{
	if (!superuser() || store->owner == GetUserId())
		return false;
	nvs_become_role(store->owner, saved);
	return true;
}

/*
 * Lock a store, which must be the current user's, until the end of the
 * transaction, and return it; an error when it is not theirs, or not there.
 */
NvsStore *
nvs_store_lock_own(const char *prefix, LOCKMODE mode)
{
	NvsStore   *store;

	/* Nobody else may lock it; and it may be another once we have it. */
	nvs_store_check_owner(nvs_store_require(prefix));
	nvs_store_lock(prefix, mode);
	store = nvs_store_require(prefix);
	nvs_store_check_owner(store);
	return store;
}
