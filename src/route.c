/*
 * route.c
 *	  From a subject or key to the relation that holds it.
 *
 * A subject's first token chooses the store.  In that store the most specific
 * route of the tier wins (a trie per tier); what no route takes goes to the
 * store's own tables: a generic stream table by the second token, {p}_index,
 * {p}_kv.  Routes are read with the registry and dropped with it.
 *
 * The relation of a route is compiled on first use into an NvsTarget, which a
 * relcache callback marks as stale; the callback does nothing but that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "route.h"
#include "subject_trie.h"
#include "util.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A route as the registry has it; also one for each table of a store. */
typedef struct NvsRoute
{
	const NvsStore *store;
	NvsTier		tier;
	NvsPattern *pattern;		/* NULL for a store's own table */
	const char *pattern_text;
	const char *schema;
	const char *table;
	Jsonb	   *aliases;		/* NULL for none */
	int			notify;
	NvsTarget  *target;			/* NULL until compiled */
} NvsRoute;

/* The routes of one store. */
typedef struct StoreRoutes
{
	char		prefix[NAMEDATALEN];	/* hash key */
	const NvsStore *store;
	NvsTrie    *tries[NVS_ROUTED_TIERS];	/* NULL when there are no routes */
	NvsRoute   *fallback[NVS_TIER_LOCK + 1];
	List	   *routes;			/* every NvsRoute with a pattern or type */
	HTAB	   *streams;		/* StreamRoute by type, NULL when none */
} StoreRoutes;

typedef struct StreamRoute
{
	char		type[NVS_SUBJECT_MAX_BYTES + 8];	/* hash key */
	NvsRoute   *route;
} StreamRoute;

/* A column that a tier cannot do without. */
typedef struct Requirement
{
	NvsTier		tier;
	const char *column;
	Oid			type;			/* InvalidOid: any */
} Requirement;

static const Requirement requirements[] = {
	{NVS_TIER_STREAM, "id", INT8OID},
	{NVS_TIER_STREAM, "ts", INT8OID},
	{NVS_TIER_STREAM, "type", TEXTOID},
	{NVS_TIER_INDEX, "version", InvalidOid},
	{NVS_TIER_INDEX, "score", FLOAT8OID},
	{NVS_TIER_KV, "key", TEXTOID},
	{NVS_TIER_KV, "value", JSONBOID},
	{NVS_TIER_KV, "expires_at", TIMESTAMPTZOID}
};

static const char *const own_tables[] = {NULL, "index", "kv", "locks"};

static MemoryContext routes_cxt = NULL;
static HTAB *store_routes = NULL;
static uint64 loaded_generation = 0;
static NvsTarget *targets = NULL;
static SPIPlanPtr routes_plan = NULL;
static SPIPlanPtr streams_plan = NULL;

static void route_callback(Datum arg, Oid relid);
static void load_routes(void);
static void read_routes(void);
static void add_route(HeapTuple row, TupleDesc desc);
static void add_stream(HeapTuple row, TupleDesc desc);
static StoreRoutes *routes_of(const NvsStore *store);
static NvsRoute *make_route(StoreRoutes *sr, NvsTier tier, const char *schema,
							const char *table);
static NvsRoute *match(StoreRoutes *sr, NvsTier tier, NvsPlace *place);
static NvsRoute *find_stream(StoreRoutes *sr, const char *type, int len);
static void stream_type(const char *subject, int len, const char **type,
						int *typelen);
static void retire_target(NvsTarget *target);
static NvsTarget *get_target(NvsRoute *route);
static NvsTarget *compile_target(NvsRoute *route, Oid relid);
static void compile_aliases(NvsTarget *target);
static void compile_keys(NvsTarget *target);
static void add_key(NvsTarget *target, const char *column, int capture,
					bool filters);
static void check_requirements(NvsTarget *target);
static Oid	route_relid(const NvsRoute *route);

/* Register the callback that marks targets as stale. */
void
nvs_route_init(void)
{
	CacheRegisterRelcacheCallback(route_callback, (Datum) 0);
}

/* A relation changed: what was compiled from it is not to be used again. */
static void
route_callback(Datum arg, Oid relid)
{
	NvsTarget  *target;

	for (target = targets; target != NULL; target = target->next)
		if (relid == InvalidOid || target->relid == relid)
			target->valid = false;
}

/* Make sure that what we know is the registry's present content. */
static void
load_routes(void)
{
	uint64		generation = nvs_store_generation();
	HASHCTL		ctl;

	if (generation == loaded_generation)
		return;
	while (targets != NULL)
		retire_target(targets);
	if (routes_cxt != NULL)
		nvs_retire(routes_cxt, NULL);
	loaded_generation = 0;
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
	if (routes_plan == NULL)
		routes_plan = nvs_plan_prepare(
			"SELECT store, tier, pattern, schema_name, table_name, aliases, "
			"notify FROM nvent.route", 0, NULL, 0);
	if (streams_plan == NULL)
		streams_plan = nvs_plan_prepare(
			"SELECT store, type, schema_name, table_name "
			"FROM nvent.stream_table", 0, NULL, 0);
	nvs_plan_execute(routes_plan, NULL, NULL, true, 0);
	for (i = 0; i < SPI_processed; i++)
		add_route(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	nvs_plan_execute(streams_plan, NULL, NULL, true, 0);
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
	bool		found;
	StoreRoutes *sr = hash_search(store_routes, store->prefix, HASH_ENTER,
								  &found);
	int			tier;

	if (found)
		return sr;
	memset((char *) sr + NAMEDATALEN, 0, sizeof(StoreRoutes) - NAMEDATALEN);
	sr->store = store;
	for (tier = NVS_TIER_INDEX; tier <= NVS_TIER_LOCK; tier++)
		sr->fallback[tier] = make_route(sr, tier, store->schema,
										psprintf("%s_%s", store->prefix,
												 own_tables[tier]));
	return sr;
}

/* A route of a store, still without its pattern. */
static NvsRoute *
make_route(StoreRoutes *sr, NvsTier tier, const char *schema,
		   const char *table)
{
	NvsRoute   *route = MemoryContextAllocZero(routes_cxt, sizeof(NvsRoute));

	route->store = sr->store;
	route->tier = tier;
	route->schema = MemoryContextStrdup(routes_cxt, schema);
	route->table = MemoryContextStrdup(routes_cxt, table);
	route->notify = -1;
	return route;
}

/* The tier of this name, or an error. */
NvsTier
nvs_route_tier(const char *name)
{
	static const char *const names[] = {"stream", "index", "kv"};
	int			i;

	for (i = 0; i < NVS_ROUTED_TIERS; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no tier \"%s\"", name),
			 errhint("Tiers are \"stream\", \"index\" and \"kv\".")));
}

/* The notify mode of this name; -1 for NULL. */
int
nvs_route_notify(const char *name)
{
	if (name == NULL)
		return -1;
	if (strcmp(name, "inline") == 0)
		return NVS_NOTIFY_INLINE;
	if (strcmp(name, "off") == 0)
		return NVS_NOTIFY_OFF;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no notify mode \"%s\"", name),
			 errhint("Modes are \"inline\" and \"off\"; NULL follows "
					 "nvent_store.notify.")));
}

/* Enter a row of nvent.route. */
static void
add_route(HeapTuple row, TupleDesc desc)
{
	char	   *prefix = SPI_getvalue(row, desc, 1);
	char	   *pattern = SPI_getvalue(row, desc, 3);
	const NvsStore *store = nvs_store_find(prefix, strlen(prefix));
	NvsTier		tier = nvs_route_tier(SPI_getvalue(row, desc, 2));
	MemoryContext old;
	StoreRoutes *sr;
	NvsRoute   *route;
	bool		isnull;

	if (store == NULL)
		return;
	sr = routes_of(store);
	route = make_route(sr, tier, SPI_getvalue(row, desc, 4),
					   SPI_getvalue(row, desc, 5));
	old = MemoryContextSwitchTo(routes_cxt);
	route->aliases = DatumGetJsonbPCopy(SPI_getbinval(row, desc, 6, &isnull));
	route->notify = nvs_route_notify(SPI_getvalue(row, desc, 7));
	route->pattern = nvs_pattern_compile(pattern, strlen(pattern));
	route->pattern_text = pstrdup(pattern);
	if (sr->tries[tier] == NULL)
		sr->tries[tier] = nvs_trie_create(routes_cxt);
	nvs_trie_add(sr->tries[tier], route->pattern, route);
	sr->routes = lappend(sr->routes, route);
	MemoryContextSwitchTo(old);
}

/* Enter a row of nvent.stream_table. */
static void
add_stream(HeapTuple row, TupleDesc desc)
{
	char	   *prefix = SPI_getvalue(row, desc, 1);
	char	   *type = SPI_getvalue(row, desc, 2);
	const NvsStore *store = nvs_store_find(prefix, strlen(prefix));
	MemoryContext old;
	StoreRoutes *sr;
	StreamRoute *entry;

	if (store == NULL)
		return;
	sr = routes_of(store);
	if (sr->streams == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(entry->type);
		ctl.entrysize = sizeof(StreamRoute);
		ctl.hcxt = routes_cxt;
		sr->streams = hash_create("nvent_store stream tables", 16, &ctl,
								  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	entry = hash_search(sr->streams, type, HASH_ENTER, NULL);
	entry->route = make_route(sr, NVS_TIER_STREAM, SPI_getvalue(row, desc, 3),
							  SPI_getvalue(row, desc, 4));
	old = MemoryContextSwitchTo(routes_cxt);
	sr->routes = lappend(sr->routes, entry->route);
	MemoryContextSwitchTo(old);
}

/*
 * Find where a subject or key lives.  Returns false when nothing holds it;
 * with write that is an error instead, after the store or the stream table
 * was made where it can be.
 */
bool
nvs_route_find(NvsTier tier, const char *subject, int len, bool write,
			   NvsPlace *place)
{
	NvsStore   *store;
	NvsRoute   *route;

	if (tier == NVS_TIER_STREAM || tier == NVS_TIER_INDEX)
		nvs_subject_validate(subject, len);
	load_routes();
	store = write ? nvs_store_of_write(subject, len) :
		nvs_store_of(subject, len);
	if (store == NULL)
		return false;
	load_routes();
	place->subject = subject;
	place->len = len;
	route = match(routes_of(store), tier, place);
	if (route == NULL && write)
	{
		const char *type;
		int			typelen;

		stream_type(subject, len, &type, &typelen);
		(void) nvs_route_stream_create(pstrdup(store->prefix),
									   pnstrdup(type, typelen), true, NULL);
		load_routes();
		store = nvs_store_of_write(subject, len);
		route = match(routes_of(store), tier, place);
		if (route == NULL)
			elog(ERROR, "unexpected: no route after its table was made");
	}
	if (route == NULL)
		return false;
	place->target = get_target(route);
	return true;
}

/* The route of a subject in its store; NULL when there is none yet. */
static NvsRoute *
match(StoreRoutes *sr, NvsTier tier, NvsPlace *place)
{
	const char *type;
	int			len;

	if (tier < NVS_ROUTED_TIERS && sr->tries[tier] != NULL)
	{
		int			n;
		NvsRoute   *route = nvs_trie_lookup(sr->tries[tier], place->subject,
											place->len, place->captures, &n);

		if (route != NULL)
			return route;
	}
	if (tier != NVS_TIER_STREAM)
		return sr->fallback[tier];
	stream_type(place->subject, place->len, &type, &len);
	return find_stream(sr, type, len);
}

/* The type of a stream that no route takes: its second token, or its only. */
static void
stream_type(const char *subject, int len, const char **type, int *typelen)
{
	const char *colon = memchr(subject, ':', len);
	const char *end;

	*type = colon == NULL ? subject : colon + 1;
	end = memchr(*type, ':', subject + len - *type);
	*typelen = (end == NULL ? subject + len : end) - *type;
}

/* The generic stream table of a type; NULL when there is none. */
static NvsRoute *
find_stream(StoreRoutes *sr, const char *type, int len)
{
	char		key[sizeof(((StreamRoute *) 0)->type)];
	StreamRoute *entry;

	if (sr->streams == NULL || len >= sizeof(key))
		return NULL;
	memcpy(key, type, len);
	key[len] = '\0';
	entry = hash_search(sr->streams, key, HASH_FIND, NULL);
	return entry == NULL ? NULL : entry->route;
}

/* Unlink a target and free it when nobody can be using it. */
static void
retire_target(NvsTarget *target)
{
	NvsTarget **link = &targets;

	while (*link != NULL && *link != target)
		link = &(*link)->next;
	if (*link != NULL)
		*link = target->next;
	target->route->target = NULL;
	nvs_retire(target->cxt, target->plans);
}

/* The compiled relation of a route. */
static NvsTarget *
get_target(NvsRoute *route)
{
	if (route->target != NULL && route->target->valid)
		return route->target;
	if (route->target != NULL)
		retire_target(route->target);
	return compile_target(route, route_relid(route));
}

/* OID of the relation that a route names. */
static Oid
route_relid(const NvsRoute *route)
{
	Oid			nspid = get_namespace_oid(route->schema, true);
	Oid			relid = InvalidOid;

	if (OidIsValid(nspid))
		relid = get_relname_relid(route->table, nspid);
	if (OidIsValid(relid))
		return relid;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"%s.%s\" of store \"%s\" does not exist",
					route->schema, route->table, route->store->prefix),
			 route->pattern != NULL ?
			 errhint("Make the table, or drop the route with "
					 "nvent.route_drop().") :
			 route->tier == NVS_TIER_STREAM ?
			 errhint("Run SELECT nvent.stream_drop_table(), and the next "
					 "append makes the table anew.") :
			 errhint("Run SELECT nvent.store_migrate(%s).",
					 quote_literal_cstr(route->store->prefix))));
}

/* Compile a relation for a route and link it. */
static NvsTarget *
compile_target(NvsRoute *route, Oid relid)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store target",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NvsTarget  *target = palloc0(sizeof(NvsTarget));

	target->route = route;
	target->cxt = cxt;
	target->tier = route->tier;
	target->store = route->store;
	target->relid = relid;
	target->name = nvs_qualified(get_namespace_name(get_rel_namespace(relid)),
								 get_rel_name(relid));
	target->map = nvs_fields_compile(relid);
	target->notify = route->notify;
	target->plans = nvs_planset_create(cxt);
	check_requirements(target);
	compile_keys(target);
	compile_aliases(target);
	MemoryContextSwitchTo(old);

	/* From here on nothing fails. */
	MemoryContextSetParent(cxt, CacheMemoryContext);
	target->valid = true;
	target->next = targets;
	targets = target;
	route->target = target;
	return target;
}

/* Raise an error when the relation lacks a column that the tier needs. */
static void
check_requirements(NvsTarget *target)
{
	int			i;

	for (i = 0; i < lengthof(requirements); i++)
	{
		const Requirement *r = &requirements[i];
		NvsField   *field;

		if (r->tier != target->tier)
			continue;
		field = nvs_fields_column(target->map, r->column);
		if (field == NULL ||
			(OidIsValid(r->type) && field->type != r->type))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("relation %s cannot be routed to", target->name),
					 errdetail("It has no column \"%s\"%s%s.", r->column,
							   OidIsValid(r->type) ? " of type " : "",
							   OidIsValid(r->type) ?
							   format_type_be(r->type) : "")));
	}
}

/* Which columns tell the rows of one subject from those of others. */
static void
compile_keys(NvsTarget *target)
{
	const NvsPattern *pattern = target->route->pattern;
	const char *whole = target->tier == NVS_TIER_STREAM ? "subject" : "key";
	bool		has_whole = false;
	int			ncaptures = 0;
	int			i;

	if (target->tier != NVS_TIER_STREAM && target->tier != NVS_TIER_INDEX)
		return;
	if (pattern != NULL)
		ncaptures = nvs_pattern_capture_count(pattern);
	target->keys = palloc(sizeof(NvsKey) * (ncaptures + 1));
	if (nvs_fields_column(target->map, whole) != NULL)
	{
		has_whole = true;
		add_key(target, whole, -1, true);
	}
	for (i = 0; i < ncaptures; i++)
		add_key(target, nvs_pattern_capture_name(pattern, i), i, !has_whole);
	if (has_whole || pattern == NULL)
		return;

	/* Without a column for it all, captures must tell subjects apart. */
	for (i = 0; i < pattern->ntokens; i++)
		if (pattern->tokens[i].kind == NVS_TOKEN_ONE ||
			pattern->tokens[i].kind == NVS_TOKEN_REST)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("relation %s cannot tell the subjects of its "
							"route apart", target->name),
					 errhint("Give it a column \"%s\", or capture each "
							 "wildcard of the pattern in a column.",
							 whole)));
}

/* Add a key column. */
static void
add_key(NvsTarget *target, const char *column, int capture, bool filters)
{
	NvsField   *field = nvs_fields_reserve(target->map, column);
	NvsKey	   *key = &target->keys[target->nkeys];

	if (field == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("relation %s has no column \"%s\"", target->name,
						column),
				 errdetail("The pattern of its route captures it.")));
	if (field->kind != NVS_FIELD_TEXT && field->kind != NVS_FIELD_OTHER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of relation %s cannot hold a part of "
						"a subject", column, target->name),
				 errhint("Use a column of type text.")));
	key->field = field;
	key->capture = capture;
	key->filters = filters;
	target->nkeys++;
}

/* Enter the aliases of a route, {"field": "column"}, into the field map. */
static void
compile_aliases(NvsTarget *target)
{
	const JsonbContainer *jc;
	uint32		i;

	if (target->route->aliases == NULL)
		return;
	jc = &target->route->aliases->root;
	for (i = 0; i < JsonContainerSize(jc); i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild column = nvs_jsonb_child(jc, i + JsonContainerSize(jc));

		if (column.type != JENTRY_ISSTRING)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("alias \"%.*s\" must be the name of a column",
							(int) name.len, name.data)));
		nvs_fields_alias(target->map, name.data, name.len,
						 pnstrdup(column.data, column.len));
	}
}

/* Add the values of the key columns, in their order. */
void
nvs_route_params(const NvsPlace *place, NvsParams *params)
{
	const NvsTarget *target = place->target;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		const NvsKey *key = &target->keys[i];
		const char *s = place->subject;
		int			len = place->len;

		if (key->capture >= 0)
		{
			s += place->captures[key->capture].offset;
			len = place->captures[key->capture].len;
		}
		nvs_params_add(params, key->field->type,
					   nvs_field_text_datum(key->field, s, len), false);
	}
}

/* Add the condition on the key columns, whose values are $1 and on. */
void
nvs_route_where(const NvsTarget *target, StringInfo sql)
{
	const char *and = "";
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		if (!target->keys[i].filters)
			continue;
		appendStringInfo(sql, "%s%s OPERATOR(pg_catalog.=) $%d", and,
						 target->keys[i].field->quoted, i + 1);
		and = " AND ";
	}
	if (*and == '\0')
		appendStringInfoString(sql, "true");
}

/* Is a column one of the key columns? */
bool
nvs_route_is_key(const NvsTarget *target, const NvsField *field)
{
	int			i;

	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].field == field)
			return true;
	return false;
}

/*
 * Raise an error unless a relation can serve a pattern of a tier.  Returns
 * the pattern's shape.
 */
char *
nvs_route_check(NvsTier tier, const NvsStore *store, const char *pattern,
				Oid relid, Jsonb *aliases)
{
	NvsRoute	route;

	memset(&route, 0, sizeof(route));
	route.store = store;
	route.tier = tier;
	route.pattern = nvs_pattern_compile(pattern, strlen(pattern));
	route.aliases = aliases;
	route.notify = -1;
	retire_target(compile_target(&route, relid));
	return nvs_pattern_shape(route.pattern);
}

/* Does a store have a generic stream table of this type? */
bool
nvs_route_stream_known(const NvsStore *store, const char *type)
{
	load_routes();
	return find_stream(routes_of(store), type, strlen(type)) != NULL;
}

/* The text of the pattern that a target serves; NULL for a store's own. */
const char *
nvs_route_pattern(const NvsTarget *target)
{
	return target->route->pattern == NULL ? NULL :
		target->route->pattern_text;
}

/* Every relation of a tier in a store, each once, its own table first. */
List *
nvs_route_targets(NvsTier tier, const NvsStore *store)
{
	List	   *result = NIL;
	ListCell   *lc;
	StoreRoutes *sr;

	load_routes();
	sr = routes_of(store);
	if (sr->fallback[tier] != NULL)
		result = lappend(result, get_target(sr->fallback[tier]));
	foreach(lc, sr->routes)
	{
		NvsRoute   *route = lfirst(lc);
		ListCell   *other;
		NvsTarget  *target;

		if (route->tier != tier)
			continue;
		target = get_target(route);
		foreach(other, result)
			if (((NvsTarget *) lfirst(other))->relid == target->relid)
				break;
		if (other == NULL)
			result = lappend(result, target);
	}
	return result;
}
