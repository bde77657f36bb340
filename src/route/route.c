/*
 * route/route.c
 *	  From a subject or key to the relation that holds it.
 *
 * A subject's first token chooses the store.  In that store the most specific
 * route of the kind wins (a trie per kind); what no route takes goes to the
 * store's own tables: the generic stream table of its type, see
 * store/stream_table.c, {p}_entries, {p}_kv.  Routes are read with the
 * registry and dropped with it.
 *
 * The relation of a route is compiled on first use; see route/target.c.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/guc.h"
#include "base/identity.h"
#include "route/route.h"
#include "store/stream_table.h"
#include "subject/trie.h"

/* The routes of one store. */
typedef struct StoreRoutes
{
	char		prefix[NAMEDATALEN];	/* hash key */
	const NvsStore *store;
	NvsTrie    *tries[NVS_ROUTED_KINDS];	/* NULL when there are no routes */
	NvsRoute   *fallback[NVS_KINDS];
	List	   *routes;			/* every NvsRoute with a pattern or type */
	HTAB	   *streams;		/* StreamRoute by type, NULL when none */
} StoreRoutes;

/* A type of generic streams, as bytes that lie elsewhere. */
typedef struct StreamType
{
	const char *data;
	int			len;
} StreamType;

typedef struct StreamRoute
{
	StreamType	type;			/* hash key */
	NvsRoute   *route;
} StreamRoute;

static const char *const own_tables[] = {NULL, "entries", "kv", "locks",
"snapshots"};

static MemoryContext routes_cxt = NULL;
static HTAB *store_routes = NULL;
static StoreRoutes *last_routes = NULL; /* that were asked for */
static uint64 loaded_generation = 0;

static const NvsStatement routes_load = {
	"SELECT store, kind, pattern, schema_name, table_name, aliases, notify "
	"FROM nvent.route ORDER BY store, kind, shape"
};

static const NvsStatement streams_load = {
	"SELECT store, type, schema_name, table_name FROM nvent.stream_table "
	"ORDER BY store, type"
};

static void load_routes(void);
static void read_routes(void);
static void add_route(HeapTuple row, TupleDesc desc);
static void add_stream(HeapTuple row, TupleDesc desc);
static StoreRoutes *routes_of(const NvsStore *store);
static NvsRoute *make_route(StoreRoutes *sr, NvsKind kind, const char *schema,
							const char *table);
static StoreRoutes *named_routes(const char *prefix);
static StoreRoutes *find_routes(const char *subject, int len, bool write);
static void make_stream(const char *prefix, const char *subject, int len);
static NvsRoute *match(StoreRoutes *sr, NvsKind kind, NvsResolved *resolved);
static uint32 type_hash(const void *key, Size keysize);
static int	type_match(const void *a, const void *b, Size keysize);
static NvsRoute *find_stream(StoreRoutes *sr, const char *type, int len);
static List *add_target(List *list, NvsRoute *route, bool missing_ok);

/* Make sure that what we know is the registry's present content. */
static void
load_routes(void)
{
	uint64		generation = nvs_store_generation();
	HASHCTL		ctl;

	if (generation == loaded_generation)
		return;
	nvs_target_drop_all();
	if (routes_cxt != NULL)
		nvs_defer_free(routes_cxt, NULL);
	loaded_generation = 0;
	last_routes = NULL;
	routes_cxt = AllocSetContextCreate(CacheMemoryContext,
									   "nvent_store routes",
									   ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(StoreRoutes);
	ctl.hcxt = routes_cxt;
	store_routes = hash_create("nvent_store routes", 16, &ctl,
							   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	read_routes();

	/* If the registry changed meanwhile, the next call reads it anew. */
	loaded_generation = generation;
}

/* Read nvent.route and nvent.stream_table. */
static void
read_routes(void)
{
	NvsIdentity saved;
	uint64		i;

	SPI_connect();
	nvs_become_owner(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	nvs_execute(nvs_statement_plan(NULL, &routes_load, NULL, NULL), NULL, true,
				0);
	for (i = 0; i < SPI_processed; i++)
		add_route(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	nvs_execute(nvs_statement_plan(NULL, &streams_load, NULL, NULL), NULL,
				true, 0);
	for (i = 0; i < SPI_processed; i++)
		add_stream(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	SPI_finish();
}

/* The routes of a store, made empty with its own tables when unknown. */
static StoreRoutes *
routes_of(const NvsStore *store)
{
	StoreRoutes *sr;
	bool		found;
	int			kind;

	if (last_routes != NULL && last_routes->store == store)
		return last_routes;
	sr = hash_search(store_routes, store->prefix, HASH_ENTER, &found);
	if (found)
		return last_routes = sr;
	memset((char *) sr + NAMEDATALEN, 0, sizeof(StoreRoutes) - NAMEDATALEN);
	sr->store = store;
	for (kind = NVS_KIND_ENTRY; kind < NVS_KINDS; kind++)
		sr->fallback[kind] = make_route(sr, kind, store->schema,
										psprintf("%s_%s", store->prefix,
												 own_tables[kind]));
	return sr;
}

/* A route of a store, still without its pattern. */
static NvsRoute *
make_route(StoreRoutes *sr, NvsKind kind, const char *schema,
		   const char *table)
{
	NvsRoute   *route = MemoryContextAllocZero(routes_cxt, sizeof(NvsRoute));

	route->store = sr->store;
	route->kind = kind;
	route->schema = MemoryContextStrdup(routes_cxt, schema);
	route->table = MemoryContextStrdup(routes_cxt, table);
	route->notify = -1;
	return route;
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

/* The notify mode of this name; -1 for NULL. */
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

/* Enter a row of nvent.route. */
static void
add_route(HeapTuple row, TupleDesc desc)
{
	char	   *prefix = SPI_getvalue(row, desc, 1);
	char	   *pattern = SPI_getvalue(row, desc, 3);
	const NvsStore *store = nvs_store_known(prefix, strlen(prefix));
	NvsKind		kind = nvs_route_kind(SPI_getvalue(row, desc, 2));
	MemoryContext old;
	StoreRoutes *sr;
	NvsRoute   *route;
	bool		isnull;

	if (store == NULL)
		return;
	sr = routes_of(store);
	route = make_route(sr, kind, SPI_getvalue(row, desc, 4),
					   SPI_getvalue(row, desc, 5));
	old = MemoryContextSwitchTo(routes_cxt);
	route->aliases = DatumGetJsonbPCopy(SPI_getbinval(row, desc, 6, &isnull));
	route->notify = nvs_route_notify(SPI_getvalue(row, desc, 7));
	route->pattern = nvs_pattern_compile(pattern, strlen(pattern));
	route->pattern_text = pstrdup(pattern);
	if (sr->tries[kind] == NULL)
		sr->tries[kind] = nvs_trie_create(routes_cxt);
	nvs_trie_add(sr->tries[kind], route->pattern, route);
	sr->routes = lappend(sr->routes, route);
	MemoryContextSwitchTo(old);
}

/* Enter a row of nvent.stream_table. */
static void
add_stream(HeapTuple row, TupleDesc desc)
{
	char	   *prefix = SPI_getvalue(row, desc, 1);
	char	   *type = SPI_getvalue(row, desc, 2);
	const NvsStore *store = nvs_store_known(prefix, strlen(prefix));
	MemoryContext old;
	StoreRoutes *sr;
	StreamType	key;
	NvsRoute   *route;
	StreamRoute *entry;

	if (store == NULL)
		return;
	sr = routes_of(store);
	if (sr->streams == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(StreamType);
		ctl.entrysize = sizeof(StreamRoute);
		ctl.hash = type_hash;
		ctl.match = type_match;
		ctl.hcxt = routes_cxt;
		sr->streams = hash_create("nvent_store stream tables", 16, &ctl,
								  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
								  HASH_CONTEXT);
	}
	route = make_route(sr, NVS_KIND_STREAM, SPI_getvalue(row, desc, 3),
					   SPI_getvalue(row, desc, 4));
	old = MemoryContextSwitchTo(routes_cxt);
	route->type = pstrdup(type);
	sr->routes = lappend(sr->routes, route);
	MemoryContextSwitchTo(old);
	key.data = route->type;
	key.len = strlen(route->type);
	entry = hash_search(sr->streams, &key, HASH_ENTER, NULL);
	entry->route = route;
}

/*
 * The routes of the store that a subject belongs to; NULL when there is no
 * such store, which with write is made or is an error.  The registry is
 * looked at once: the store and its routes are of one reading.
 */
static StoreRoutes *
find_routes(const char *subject, int len, bool write)
{
	NvsStore   *store;

	load_routes();
	store = nvs_store_known_of(subject, len);
	if (store == NULL && write)
	{
		(void) nvs_store_of_write(subject, len);
		load_routes();
		store = nvs_store_known_of(subject, len);
	}
	return store == NULL ? NULL : routes_of(store);
}

/*
 * Find where a subject or key lives.  Returns false when nothing holds it;
 * with write that is an error instead, after the store or the stream table
 * was made where it can be.
 */
bool
nvs_route_find(NvsKind kind, const char *subject, int len, bool write,
			   NvsResolved *resolved)
{
	if (kind == NVS_KIND_STREAM || kind == NVS_KIND_ENTRY)
		nvs_subject_validate(subject, len);
	resolved->subject = subject;
	resolved->len = len;
	for (;;)
	{
		StoreRoutes *sr = find_routes(subject, len, write);
		NvsRoute   *route;
		uint64		generation = loaded_generation;

		if (sr == NULL)
			return false;
		route = match(sr, kind, resolved);
		if (route != NULL)
		{
			resolved->target = nvs_target_get(route);
			if (resolved->target != NULL)
				return true;
			/* No such relation: perhaps it went together with its route. */
			if (generation == nvs_store_generation())
				nvs_route_missing(route);
		}
		else if (!write)
			return false;
		else
			make_stream(sr->prefix, subject, len);
	}
}

/* Make the generic stream table of a subject. */
static void
make_stream(const char *prefix, const char *subject, int len)
{
	NvsSpan		type = nvs_stream_type_of(prefix, subject, len);

	(void) nvs_stream_table_create(pstrdup(prefix),
								   pnstrdup(subject + type.offset, type.len),
								   true, NULL);
}

/* The route of a subject in its store; NULL when there is none yet. */
static NvsRoute *
match(StoreRoutes *sr, NvsKind kind, NvsResolved *resolved)
{
	NvsSpan		type;

	if (kind < NVS_ROUTED_KINDS && sr->tries[kind] != NULL)
	{
		int			n;
		NvsRoute   *route = nvs_trie_lookup(sr->tries[kind], resolved->subject,
											resolved->len,
											resolved->captures, &n);

		if (route != NULL)
			return route;
	}
	if (kind != NVS_KIND_STREAM)
		return sr->fallback[kind];
	type = nvs_stream_type_of(sr->prefix, resolved->subject, resolved->len);
	return find_stream(sr, resolved->subject + type.offset, type.len);
}

/* Hash of a StreamType. */
static uint32
type_hash(const void *key, Size keysize pg_attribute_unused())
{
	const StreamType *type = key;

	return hash_bytes((const unsigned char *) type->data, type->len);
}

/* 0 when two StreamType are equal. */
static int
type_match(const void *a, const void *b, Size keysize pg_attribute_unused())
{
	const StreamType *x = a;
	const StreamType *y = b;

	return x->len == y->len ? memcmp(x->data, y->data, x->len) : 1;
}

/* The generic stream table of a type; NULL when there is none. */
static NvsRoute *
find_stream(StoreRoutes *sr, const char *type, int len)
{
	StreamType	key = {type, len};
	StreamRoute *entry;

	if (sr->streams == NULL)
		return NULL;
	entry = hash_search(sr->streams, &key, HASH_FIND, NULL);
	return entry == NULL ? NULL : entry->route;
}

/* The routes of the store of this prefix; NULL when there is none. */
static StoreRoutes *
named_routes(const char *prefix)
{
	NvsStore   *store;

	load_routes();
	store = nvs_store_known(prefix, strlen(prefix));
	return store == NULL ? NULL : routes_of(store);
}

/*
 * The generic stream table of a type, compiled; NULL when the store has none,
 * or somebody dropped it by hand.
 */
NvsTarget *
nvs_route_stream_target(const char *prefix, const char *type)
{
	StoreRoutes *sr = named_routes(prefix);
	NvsRoute   *route = sr == NULL ? NULL :
		find_stream(sr, type, strlen(type));

	return route == NULL ? NULL : nvs_target_get(route);
}

/*
 * Every relation of a kind in a store, each once, its own table first; with
 * missing_ok without those that do not exist.
 */
List *
nvs_route_targets(NvsKind kind, const NvsStore *store, bool missing_ok)
{
	List	   *result = NIL;
	ListCell   *lc;
	StoreRoutes *sr = named_routes(store->prefix);

	if (sr == NULL)
		return NIL;
	if (sr->fallback[kind] != NULL)
		result = add_target(result, sr->fallback[kind], missing_ok);
	foreach(lc, sr->routes)
	{
		NvsRoute   *route = lfirst(lc);

		if (route->kind == kind)
			result = add_target(result, route, missing_ok);
	}
	return result;
}

/*
 * Every NvsRoute of a store that has a pattern or a type, also of those that
 * share a relation.  Not to be changed; gone with the next call of ours.
 */
List *
nvs_route_list(const NvsStore *store)
{
	StoreRoutes *sr = named_routes(store->prefix);

	return sr == NULL ? NIL : sr->routes;
}

/* Add the relation of a route to a list that does not have it. */
static List *
add_target(List *list, NvsRoute *route, bool missing_ok)
{
	NvsTarget  *target;
	ListCell   *lc;

	target = nvs_target_get(route);
	if (target == NULL)
	{
		if (missing_ok)
			return list;
		nvs_route_missing(route);
	}
	foreach(lc, list)
		if (((NvsTarget *) lfirst(lc))->relid == target->relid)
		return list;
	return lappend(list, target);
}
