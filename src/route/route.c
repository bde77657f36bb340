/*
 * route/route.c
 *	  From a subject or key to the relation that holds it.
 *
 * A subject's first token chooses the store.  In that store the most specific
 * route of the kind wins (a trie per kind).  What no route takes is in one of
 * the store's own tables: {prefix}_entries, {prefix}_kv, or the generic stream
 * table of its type, see store/stream_table.c.
 *
 * The routes of a store are read when it is first used, and all that were read
 * are dropped when a store of a later generation of the registry comes along.
 * What is kept here points to nothing of the registry's: it outlives the store
 * that it was made for.
 *
 * The relation of a route is compiled on first use; see route/target.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/guc.h"
#include "base/identity.h"
#include "route/route.h"
#include "store/check.h"
#include "store/grant.h"
#include "store/stream_table.h"
#include "subject/trie.h"

/* The routes of one store. */
typedef struct StoreRoutes
{
	char		prefix[NAMEDATALEN];	/* hash key */
	const NvsStore *store;		/* a copy */
	NvsTrie    *tries[NVS_ROUTED_KINDS];	/* NULL when there are no routes */
	NvsRoute   *fallback[NVS_KINDS];
	List	   *routes;			/* every NvsRoute with a pattern or type */
	HTAB	   *streams;		/* StreamRoute by type, NULL when none */
} StoreRoutes;

/* A type of generic streams; its bytes lie elsewhere. */
typedef struct StreamType
{
	const char *data;
	int			len;
} StreamType;

/* The route of a generic stream table. */
typedef struct StreamRoute
{
	StreamType	type;			/* hash key */
	NvsRoute   *route;
} StreamRoute;

/* The store's own table of each kind but streams; {prefix}_ goes before it. */
static const char *const own_tables[] = {
	NULL, "entries", "kv", "locks", "snapshots"
};

static MemoryContext routes_cxt = NULL;
static HTAB *routes_by_store = NULL;	/* StoreRoutes */
static uint64 routes_generation = 0;	/* of the registry; 0: none */

/* The store that was used last, which most calls use again. */
static const NvsStore *last_store = NULL;
static StoreRoutes *last_routes = NULL;

/* Routes of store $1; the order decides which error of a poll is the first. */
static const NvsStatement route_read = {
	"SELECT kind, pattern, schema_name, table_name, aliases, notify "
	"FROM nvent.route WHERE store OPERATOR(pg_catalog.=) $1 "
	"ORDER BY kind, shape"
};

/* Generic stream tables of store $1. */
static const NvsStatement route_read_streams = {
	"SELECT type, table_name FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1 ORDER BY type"
};

static StoreRoutes *routes_of(const NvsStore *store);
static StoreRoutes *routes_known(const NvsStore *store);
static void routes_reset(uint64 generation);
static StoreRoutes *routes_load(const NvsStore *store);
static const NvsStore *routes_copy_store(const NvsStore *store);
static void routes_read(StoreRoutes *routes);
static NvsRoute *routes_make(StoreRoutes *routes, NvsKind kind,
							 const char *schema, const char *table);
static void routes_add(StoreRoutes *routes, HeapTuple row, TupleDesc desc);
static void routes_add_stream(StoreRoutes *routes, HeapTuple row,
							  TupleDesc desc);
static HTAB *routes_create_streams(void);
static uint32 stream_type_hash(const void *key, Size keysize);
static int	stream_type_match(const void *a, const void *b, Size keysize);
static NvsRoute *routes_find_stream(const StoreRoutes *routes,
									const char *type, int len);
static NvsRoute *routes_match(const StoreRoutes *routes, NvsKind kind,
							  NvsResolved *resolved);
static void route_make_stream(const NvsStore *store, const char *subject,
							  int len);
static List *route_list_kind(NvsKind kind, const NvsStore *store);
static void route_name_table(const NvsStore *store, const char *subject,
							 int len, NvsStreamTable *table);
static List *route_add_target(List *list, NvsRoute *route, NvsUse use,
							  bool missing_ok);

/*
 * The routes of a store, read now unless they are known.  They are gone when a
 * store of a later generation is asked for.
 */
static StoreRoutes *
routes_of(const NvsStore *store)
{
	StoreRoutes *routes = routes_known(store);

	if (likely(routes != NULL))
		return routes;
	if (store->generation > routes_generation)
		routes_reset(store->generation);
	last_routes = routes_load(store);
	last_store = store;
	return last_routes;
}

/* The routes of a store if they are known, else NULL. */
static StoreRoutes *
routes_known(const NvsStore *store)
{
	StoreRoutes *routes;

	if (store->generation > routes_generation)
		return NULL;
	/* Another store at this address would be of a later generation. */
	if (store == last_store)
		return last_routes;
	routes = hash_search(routes_by_store, store->prefix, HASH_FIND, NULL);
	if (routes == NULL)
		return NULL;
	last_store = store;
	last_routes = routes;
	return routes;
}

/* Drop all routes, to keep those of a later generation from now on. */
static void
routes_reset(uint64 generation)
{
	MemoryContext fresh;
	HASHCTL		ctl;

	nvs_target_drop_all();
	fresh = AllocSetContextCreate(CacheMemoryContext, "nvent_store routes",
								  ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(StoreRoutes);
	ctl.hcxt = fresh;
	routes_by_store = hash_create("nvent_store routes", 16, &ctl,
								  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	if (routes_cxt != NULL)
		nvs_defer_free(routes_cxt, NULL);
	routes_cxt = fresh;
	routes_generation = generation;
	last_store = NULL;
	last_routes = NULL;
}

/*
 * Read the routes of a store and keep them.  An error leaves nothing behind but
 * memory, which is freed with the other routes.
 */
static StoreRoutes *
routes_load(const NvsStore *store)
{
	StoreRoutes fresh;
	StoreRoutes *routes;
	int			kind;

	memset(&fresh, 0, sizeof(fresh));
	strlcpy(fresh.prefix, store->prefix, NAMEDATALEN);
	fresh.store = routes_copy_store(store);
	for (kind = NVS_KIND_ENTRY; kind < NVS_KINDS; kind++)
		fresh.fallback[kind] = routes_make(&fresh, kind, NULL,
										   psprintf("%s_%s", store->prefix,
													own_tables[kind]));
	routes_read(&fresh);
	routes = hash_search(routes_by_store, fresh.prefix, HASH_ENTER, NULL);
	*routes = fresh;
	return routes;
}

/* A copy of a store, in the memory of the routes. */
static const NvsStore *
routes_copy_store(const NvsStore *store)
{
	NvsStore   *copy = MemoryContextAlloc(routes_cxt, sizeof(NvsStore));

	*copy = *store;
	copy->schema = MemoryContextStrdup(routes_cxt, store->schema);
	copy->channel = MemoryContextStrdup(routes_cxt, store->channel);
	return copy;
}

/* Read a store's rows of nvent.route and nvent.stream_table. */
static void
routes_read(StoreRoutes *routes)
{
	NvsIdentity saved;
	NvsParams	params;
	uint64		n;
	uint64		i;

	SPI_connect();
	nvs_become_owner(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(routes->prefix),
				   false);
	n = nvs_execute(nvs_statement_plan(NULL, &route_read, &params, NULL),
					&params, true, 0);
	for (i = 0; i < n; i++)
		routes_add(routes, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	n = nvs_execute(nvs_statement_plan(NULL, &route_read_streams, &params,
									   NULL), &params, true, 0);
	for (i = 0; i < n; i++)
		routes_add_stream(routes, SPI_tuptable->vals[i],
						  SPI_tuptable->tupdesc);
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	SPI_finish();
}

/*
 * A new route to a table, still without pattern and type; schema is NULL for
 * the store's own.
 */
static NvsRoute *
routes_make(StoreRoutes *routes, NvsKind kind, const char *schema,
			const char *table)
{
	NvsRoute   *route = MemoryContextAllocZero(routes_cxt, sizeof(NvsRoute));

	route->store = routes->store;
	route->kind = kind;
	if (schema != NULL)
		route->schema = MemoryContextStrdup(routes_cxt, schema);
	route->table = MemoryContextStrdup(routes_cxt, table);
	route->notify = -1;
	return route;
}

/* Add the route of a row of nvent.route to those of its store. */
static void
routes_add(StoreRoutes *routes, HeapTuple row, TupleDesc desc)
{
	NvsKind		kind = nvs_route_kind(SPI_getvalue(row, desc, 1));
	char	   *pattern = SPI_getvalue(row, desc, 2);
	NvsRoute   *route = routes_make(routes, kind, SPI_getvalue(row, desc, 3),
									SPI_getvalue(row, desc, 4));
	MemoryContext old = MemoryContextSwitchTo(routes_cxt);
	bool		isnull;

	route->aliases = DatumGetJsonbPCopy(SPI_getbinval(row, desc, 5, &isnull));
	route->notify = nvs_route_notify(SPI_getvalue(row, desc, 6));
	route->pattern = nvs_pattern_compile(pattern, strlen(pattern));
	route->pattern_text = pstrdup(pattern);
	if (routes->tries[kind] == NULL)
		routes->tries[kind] = nvs_trie_create(routes_cxt);
	nvs_trie_add(routes->tries[kind], route->pattern, route);
	routes->routes = lappend(routes->routes, route);
	MemoryContextSwitchTo(old);
}

/* Add the table of a row of nvent.stream_table to those of its store. */
static void
routes_add_stream(StoreRoutes *routes, HeapTuple row, TupleDesc desc)
{
	NvsRoute   *route = routes_make(routes, NVS_KIND_STREAM, NULL,
									SPI_getvalue(row, desc, 2));
	MemoryContext old = MemoryContextSwitchTo(routes_cxt);
	StreamType	key;
	StreamRoute *entry;

	route->type = pstrdup(SPI_getvalue(row, desc, 1));
	routes->routes = lappend(routes->routes, route);
	MemoryContextSwitchTo(old);
	if (routes->streams == NULL)
		routes->streams = routes_create_streams();
	key.data = route->type;
	key.len = strlen(route->type);
	entry = hash_search(routes->streams, &key, HASH_ENTER, NULL);
	entry->route = route;
}

/* A hash table of StreamRoute, in the memory of the routes. */
static HTAB *
routes_create_streams(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(StreamType);
	ctl.entrysize = sizeof(StreamRoute);
	ctl.hash = stream_type_hash;
	ctl.match = stream_type_match;
	ctl.hcxt = routes_cxt;
	return hash_create("nvent_store stream tables", 16, &ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
					   HASH_CONTEXT);
}

/* HashValueFunc of StreamType. */
static uint32
stream_type_hash(const void *key, Size keysize pg_attribute_unused())
{
	const StreamType *type = key;

	return hash_bytes((const unsigned char *) type->data, type->len);
}

/* HashCompareFunc of StreamType. */
static int
stream_type_match(const void *a, const void *b,
				  Size keysize pg_attribute_unused())
{
	const StreamType *x = a;
	const StreamType *y = b;

	return x->len == y->len ? memcmp(x->data, y->data, x->len) : 1;
}

/* The route of the generic stream table of a type; NULL when there is none. */
static NvsRoute *
routes_find_stream(const StoreRoutes *routes, const char *type, int len)
{
	StreamType	key = {type, len};
	StreamRoute *entry;

	if (routes->streams == NULL)
		return NULL;
	entry = hash_search(routes->streams, &key, HASH_FIND, NULL);
	return entry == NULL ? NULL : entry->route;
}

/* The kind of this name, or an error. */
NvsKind
nvs_route_kind(const char *name)
{
	static const char *const names[] = {"stream", "entry", "kv"};
	int			i;

	for (i = 0; i < NVS_ROUTED_KINDS; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized kind \"%s\"", name),
			 errhint("The kinds are \"stream\", \"entry\" and \"kv\".")));
}

/* The notify mode of this name, or an error; -1 for NULL. */
int
nvs_route_notify(const char *name)
{
	if (name == NULL)
		return -1;
	if (strcmp(name, "worker") == 0)
		return NVS_NOTIFY_WORKER;
	if (strcmp(name, "inline") == 0)
		return NVS_NOTIFY_INLINE;
	if (strcmp(name, "off") == 0)
		return NVS_NOTIFY_OFF;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized notify mode \"%s\"", name),
			 errhint("Modes are \"worker\", \"inline\" and \"off\"; NULL "
					 "follows nvent_store.notify.")));
}

/*
 * Find the relation that holds a subject or key, and lock it as its use asks
 * for.  Returns false when there is none yet; for NVS_USE_PLAN and
 * NVS_USE_WRITE the store and the stream table are made instead, as the store's
 * owner, and it is an error when they cannot be.
 */
bool
nvs_route_find(NvsKind kind, const char *subject, int len, NvsUse use,
			   NvsResolved *resolved)
{
	bool		make = use == NVS_USE_PLAN || use == NVS_USE_WRITE;

	/*
	 * Keys and names are checked by their own modules, and need be no
	 * subjects.
	 */
	if (kind == NVS_KIND_STREAM || kind == NVS_KIND_ENTRY)
		nvs_subject_validate(subject, len);
	resolved->subject = subject;
	resolved->len = len;

	/* Again after a table was made, or routes changed while we waited. */
	for (;;)
	{
		const NvsStore *store = make ? nvs_store_of_write(subject, len) :
			nvs_store_of(subject, len);
		NvsRoute   *route;

		if (store == NULL)
		{
			nvs_store_check_adopted();
			return false;
		}
		route = routes_match(routes_of(store), kind, resolved);
		if (route != NULL)
		{
			resolved->target = nvs_target_get(route, use);
			if (!nvs_store_is_current(store))
				continue;
			if (resolved->target == NULL)
				nvs_target_missing(route);
			return true;
		}
		else if (!make)
			return false;
		else
			route_make_stream(store, subject, len);
	}
}

/*
 * Does a key go for sure where the one before it went, and for the same reason:
 * it begins with the same token, and no pattern of the store's is about the
 * rest?  Nothing has been looked for since that one was, in the same call.
 */
bool
nvs_route_is_beside(NvsKind kind, const NvsResolved *before,
					const char *subject, int len)
{
	const NvsStore *store = before->target->store;
	const StoreRoutes *routes = nvs_store_is_known(store) ?
		routes_known(store) : NULL;
	const char *colon;

	if (routes == NULL || kind == NVS_KIND_STREAM ||
		routes->tries[kind] != NULL)
		return false;
	colon = memchr(before->subject, ':', before->len);
	return colon != NULL && len > colon - before->subject &&
		memcmp(subject, before->subject, colon - before->subject + 1) == 0;
}

/*
 * The target of a subject or key, when its store, the routes of that and the
 * target are known and nothing has told us of a change; else NULL.  Nothing is
 * locked, or read from the registry.
 */
NvsTarget *
nvs_route_known(NvsKind kind, const char *subject, int len,
				NvsResolved *resolved)
{
	const NvsStore *store;
	const StoreRoutes *routes;
	NvsRoute   *route;

	if (kind == NVS_KIND_STREAM || kind == NVS_KIND_ENTRY)
		nvs_subject_validate(subject, len);
	store = nvs_store_known(subject, len);
	routes = store == NULL ? NULL : routes_known(store);
	if (routes == NULL)
		return NULL;
	resolved->subject = subject;
	resolved->len = len;
	route = routes_match(routes, kind, resolved);
	if (route == NULL || route->target == NULL || !route->target->valid)
		return NULL;
	resolved->target = route->target;
	return route->target;
}

/*
 * The route of the subject or key in *resolved, which belongs to this store;
 * NULL for a stream whose table has not been made.  Sets what the route's
 * pattern captures.
 */
static NvsRoute *
routes_match(const StoreRoutes *routes, NvsKind kind, NvsResolved *resolved)
{
	NvsRoute   *route = NULL;
	NvsSpan		type;
	int			n;

	if (kind < NVS_ROUTED_KINDS && routes->tries[kind] != NULL)
		route = nvs_trie_lookup(routes->tries[kind], resolved->subject,
								resolved->len, resolved->captures, &n);
	if (route != NULL)
		return route;
	if (kind != NVS_KIND_STREAM)
		return routes->fallback[kind];
	type = nvs_stream_type_of(routes->prefix, resolved->subject,
							  resolved->len);
	return routes_find_stream(routes, resolved->subject + type.offset,
							  type.len);
}

/* Make the generic stream table of a subject's type, for who may write. */
static void
route_make_stream(const NvsStore *store, const char *subject, int len)
{
	NvsStreamTable table;
	bool		created;

	nvs_store_check_writer(store);
	route_name_table(store, subject, len, &table);
	(void) nvs_stream_table_create(table.prefix, table.type, true, NIL,
								   &created);
	/* The registry's triggers may be disabled: it would be looked for ever. */
	if (!created)
		nvs_store_forget();
}

/* Which generic stream table of a store a subject belongs to. */
static void
route_name_table(const NvsStore *store, const char *subject, int len,
				 NvsStreamTable *table)
{
	NvsSpan		type = nvs_stream_type_of(store->prefix, subject, len);

	table->prefix = pstrdup(store->prefix);
	table->type = pnstrdup(subject + type.offset, type.len);
}

/*
 * Make the generic stream tables of several subjects where they are missing.
 * All their names are locked before the first is made.  A store that is made
 * for the first of them comes with routes, which may lead to some.
 */
void
nvs_route_make_streams(const NvsResolved **missing, int n)
{
	NvsStreamTable *tables = palloc(sizeof(NvsStreamTable) * n);
	int			ntables = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsResolved resolved = *missing[i];
		const NvsStore *store = nvs_store_of_write(resolved.subject,
												   resolved.len);

		if (routes_match(routes_of(store), NVS_KIND_STREAM, &resolved) != NULL)
			continue;
		nvs_store_check_writer(store);
		route_name_table(store, resolved.subject, resolved.len,
						 &tables[ntables++]);
	}
	nvs_stream_table_lock(tables, ntables);
	for (i = 0; i < ntables; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) nvs_stream_table_create(tables[i].prefix, tables[i].type, true,
									   NIL, NULL);
	}
	pfree(tables);
}

/*
 * The target of a store's generic stream table of this type; NULL when there is
 * none, or somebody dropped it by hand.
 */
NvsTarget *
nvs_route_stream_target(const NvsStore *store, const char *type, NvsUse use)
{
	NvsRoute   *route = routes_find_stream(routes_of(store), type,
										   strlen(type));

	return route == NULL ? NULL : nvs_target_get(route, use);
}

/*
 * The targets of a kind in a store, as NvsTarget, each relation once, the
 * store's own table first, and locked as their use asks for.  A relation that
 * does not exist is passed over with missing_ok, else an error; one that is
 * there and not the store's is always an error, lest events that it holds are
 * passed over.
 */
List *
nvs_route_targets(NvsKind kind, const NvsStore *store, NvsUse use,
				  bool missing_ok)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, route_list_kind(kind, store))
		result = route_add_target(result, lfirst(lc), use, missing_ok);
	return result;
}

/*
 * The targets of a kind in a store, as nvs_route_targets() returns them, but
 * for relations that are not the store's, or that the caller has no right on.
 */
List *
nvs_route_usable_targets(NvsKind kind, const NvsStore *store)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, route_list_kind(kind, store))
		if (nvs_target_may_use(lfirst(lc)))
		result = route_add_target(result, lfirst(lc), NVS_USE_LOOK, true);
	return result;
}

/* The routes of a kind in a store, that of the store's own table first. */
static List *
route_list_kind(NvsKind kind, const NvsStore *store)
{
	const StoreRoutes *routes = routes_of(store);
	List	   *result = NIL;
	ListCell   *lc;

	if (routes->fallback[kind] != NULL)
		result = lappend(result, routes->fallback[kind]);
	foreach(lc, routes->routes)
	{
		NvsRoute   *route = lfirst(lc);

		if (route->kind == kind)
			result = lappend(result, route);
	}
	return result;
}

/* Add the target of a route to a list, unless that has its relation. */
static List *
route_add_target(List *list, NvsRoute *route, NvsUse use, bool missing_ok)
{
	NvsTarget  *target = nvs_target_get(route, use);
	ListCell   *lc;

	if (target == NULL)
	{
		if (missing_ok)
			return list;
		nvs_target_missing(route);
	}
	foreach(lc, list)
	{
		if (((NvsTarget *) lfirst(lc))->relid == target->relid)
			return list;
	}
	return lappend(list, target);
}

/*
 * Every NvsRoute of a store that has a pattern or a type, also of those that
 * share a relation.  The list must not be changed, nor be used any more after
 * another call in here.
 */
List *
nvs_route_list(const NvsStore *store)
{
	return routes_of(store)->routes;
}
