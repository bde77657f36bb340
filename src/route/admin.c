/*
 * route/admin.c
 *	  Adding and dropping routes, and showing which one takes a subject.
 *
 * A route belongs to a store, and only the store's owner may change one: what
 * is routed away is written and read elsewhere from then on.  The relation
 * must be the owner's too, and no other store's: a store's functions write it,
 * delete from it, and answer for the order of its events.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/grant.h"
#include "base/guc.h"
#include "base/identity.h"
#include "route/route.h"
#include "wakeup/notify.h"

PG_FUNCTION_INFO_V1(nvs_route_add);
PG_FUNCTION_INFO_V1(nvs_route_drop);
PG_FUNCTION_INFO_V1(nvs_route_resolve);

/* Adds a route, unless an equal one is there. */
static const NvsStatement route_insert = {
	"INSERT INTO nvent.route (store, kind, pattern, "
	"shape, schema_name, table_name, aliases, notify) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
	"ON CONFLICT (store, kind, shape) DO NOTHING"
};

/* Drops the route of store $1, kind $2 and shape $3. */
static const NvsStatement route_delete = {
	"DELETE FROM nvent.route WHERE store OPERATOR(pg_catalog.=) $1 "
	"AND kind OPERATOR(pg_catalog.=) $2 AND shape OPERATOR(pg_catalog.=) $3"
};

/*
 * Routes of store $1 and kind $2 to table $4 of schema $3, NULL for the store's
 * own, without that of shape $5.
 */
static const NvsStatement route_others = {
	"SELECT pattern FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1 "
	"AND kind OPERATOR(pg_catalog.=) $2 "
	"AND COALESCE(schema_name, '') OPERATOR(pg_catalog.=) COALESCE($3, '') "
	"AND table_name OPERATOR(pg_catalog.=) $4 "
	"AND shape OPERATOR(pg_catalog.<>) $5 ORDER BY pattern"
};

/*
 * Stores of owner $2 but store $1 that have table $4 of schema $3, as one of
 * their own or by a route.  Those of other owners cannot use it.
 */
static const NvsStatement route_elsewhere = {
	"SELECT s.prefix FROM nvent.store s "
	"JOIN pg_catalog.pg_class v "
	"ON v.oid OPERATOR(pg_catalog.=) s.version_table::pg_catalog.oid "
	"JOIN pg_catalog.pg_namespace n "
	"ON n.oid OPERATOR(pg_catalog.=) v.relnamespace "
	"WHERE s.prefix OPERATOR(pg_catalog.<>) $1 "
	"AND v.relowner OPERATOR(pg_catalog.=) $2 "
	"AND (EXISTS (SELECT FROM nvent.route r "
	"WHERE r.store OPERATOR(pg_catalog.=) s.prefix "
	"AND COALESCE(r.schema_name, n.nspname::pg_catalog.text) "
	"OPERATOR(pg_catalog.=) $3 "
	"AND r.table_name OPERATOR(pg_catalog.=) $4) "
	"OR n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) $3 "
	"AND (EXISTS (SELECT FROM nvent.stream_table t "
	"WHERE t.store OPERATOR(pg_catalog.=) s.prefix "
	"AND t.table_name OPERATOR(pg_catalog.=) $4) "
	"OR EXISTS (SELECT FROM pg_catalog.unnest('{flow_events,flow_runs,flows,"
	"trigger_events,triggers,scheduler_jobs,kv,entries,locks,snapshots,"
	"consumers,checkpoints,queues,job_levels,jobs,job_turns,job_runs,"
	"job_keys,job_slots,job_lanes,job_waits,job_parents,"
	"schema_version}'::pg_catalog.text[]) own (name) "
	"WHERE pg_catalog.concat(s.prefix, '_', own.name) "
	"OPERATOR(pg_catalog.=) $4))) ORDER BY s.prefix"
};

/* Arguments of route_add(). */
enum
{
	ADD_KIND,
	ADD_PATTERN,
	ADD_RELATION,
	ADD_ALIASES,
	ADD_STORE,
	ADD_NOTIFY
};

/* A route that is to be added. */
typedef struct NewRoute
{
	char	   *prefix;			/* of the store */
	char	   *kind;
	char	   *pattern;
	char	   *shape;
	Oid			relid;
	char	   *schema;			/* of the relation; NULL for the store's own */
	char	   *table;
	Jsonb	   *aliases;
	char	   *notify;			/* NULL for the setting */
} NewRoute;

static void add_take_arguments(FunctionCallInfo fcinfo, NewRoute *route);
static NvsStore *add_open_store(FunctionCallInfo fcinfo,
								const NewRoute *route);
static void add_open_relation(const NvsStore *store, NewRoute *route);
static void add_check_relation(const NvsStore *store, Oid relid);
static void add_check_unshared(const NewRoute *route);
static void add_check_elsewhere(const NvsStore *store,
								const NewRoute *route);
static void add_insert(const NewRoute *route);
static char *admin_store(const char *text, const NvsPattern *pattern,
						 const char *named);
static char *admin_text_argument(FunctionCallInfo fcinfo, int n);
static void admin_add_text(NvsParams *params, const char *text);
static void resolve_put_row(const NvsResolved *resolved,
							Tuplestorestate *result, TupleDesc desc);
static Jsonb *resolve_keys(const NvsResolved *resolved);

/*
 * nvent.route_add(kind, pattern, relation, aliases, store, notify): have a
 * relation hold what matches a pattern.
 */
Datum
nvs_route_add(PG_FUNCTION_ARGS)
{
	NewRoute	route;
	NvsStore   *store;
	bool		apart;

	add_take_arguments(fcinfo, &route);
	PreventCommandIfReadOnly("nvent.route_add()");
	nvs_spi_begin();
	store = add_open_store(fcinfo, &route);

	/* Can the relation serve it? */
	route.prefix = pstrdup(store->prefix);
	add_open_relation(store, &route);
	add_check_elsewhere(store, &route);
	route.shape = nvs_target_check(nvs_route_kind(route.kind), store,
								   route.pattern, route.relid, route.aliases,
								   &apart);
	if (!apart)
		add_check_unshared(&route);

	add_insert(&route);
	nvs_spi_end();
	PG_RETURN_VOID();
}

/* Set a route to the arguments, as checked as they can be without a store. */
static void
add_take_arguments(FunctionCallInfo fcinfo, NewRoute *route)
{
	NVS_REQUIRE_ARG(ADD_KIND, "kind");
	NVS_REQUIRE_ARG(ADD_PATTERN, "pattern");
	NVS_REQUIRE_ARG(ADD_RELATION, "relation");
	NVS_REQUIRE_ARG(ADD_ALIASES, "aliases");
	route->kind = admin_text_argument(fcinfo, ADD_KIND);
	route->pattern = admin_text_argument(fcinfo, ADD_PATTERN);
	route->relid = PG_GETARG_OID(ADD_RELATION);
	route->aliases = PG_GETARG_JSONB_P(ADD_ALIASES);
	route->notify = admin_text_argument(fcinfo, ADD_NOTIFY);
	(void) nvs_route_notify(route->notify);
	if (!JB_ROOT_IS_OBJECT(route->aliases))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"aliases\" must be a JSON object"),
				 errhint("Write {\"field\": \"column\"}.")));
}

/*
 * The store of a route that is to be added, which is made if it is the default
 * store and missing; an error when the caller does not own it.  It is locked,
 * until the end of the transaction, against being dropped.
 */
static NvsStore *
add_open_store(FunctionCallInfo fcinfo, const NewRoute *route)
{
	NvsPattern *pattern = nvs_pattern_compile(route->pattern,
											  strlen(route->pattern));
	char	   *prefix;

	/* Made, if need be and nobody says that it is another. */
	if (PG_ARGISNULL(ADD_STORE) && nvs_store_of_pattern(pattern) == NULL)
		(void) nvs_store_of_write(pattern->bytes, pattern->prefix_len);

	prefix = admin_store(route->pattern, pattern,
						 admin_text_argument(fcinfo, ADD_STORE));
	return nvs_store_lock_own(prefix, ShareLock);
}

/*
 * Lock the relation of a route, which must be the store's owner's and the
 * caller's, until the end of the transaction: whoever is writing to it ends
 * first, as what they wrote may have been numbered otherwise.  Sets its names.
 */
static void
add_open_relation(const NvsStore *store, NewRoute *route)
{
	Oid			nspid;

	add_check_relation(store, route->relid);
	LockRelationOid(route->relid, ShareRowExclusiveLock);
	/* It may have been dropped, or given away, while we waited. */
	add_check_relation(store, route->relid);
	nspid = get_rel_namespace(route->relid);
	route->schema = nspid == store->nspid ? NULL : get_namespace_name(nspid);
	route->table = get_rel_name(route->relid);
}

/* Raise an error unless a relation is the caller's and the store's owner's. */
static void
add_check_relation(const NvsStore *store, Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!nvs_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	nvs_relation_check(store, relid, false);
}

/* Raise an error when the relation of a route is another store's. */
static void
add_check_elsewhere(const NvsStore *store, const NewRoute *route)
{
	NvsParams	params;

	nvs_params_init(&params);
	admin_add_text(&params, route->prefix);
	nvs_params_add(&params, OIDOID, ObjectIdGetDatum(store->owner), false);
	admin_add_text(&params, route->schema != NULL ? route->schema :
				   store->schema);
	admin_add_text(&params, route->table);
	if (nvs_store_registry_execute(&route_elsewhere, &params) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" is used by store \"%s\"",
						route->table,
						SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1)),
				 errdetail("A relation is of one store.")));
}

/*
 * Raise an error when another route goes to the relation of this one, which
 * cannot tell the subjects of the two apart.
 */
static void
add_check_unshared(const NewRoute *route)
{
	NvsParams	params;

	nvs_params_init(&params);
	admin_add_text(&params, route->prefix);
	admin_add_text(&params, route->kind);
	admin_add_text(&params, route->schema);
	admin_add_text(&params, route->table);
	admin_add_text(&params, route->shape);
	if (nvs_store_registry_execute(&route_others, &params) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" already holds what matches \"%s\"",
						route->table, SPI_getvalue(SPI_tuptable->vals[0],
												   SPI_tuptable->tupdesc, 1)),
				 errdetail("The two patterns would share rows."),
				 errhint("Give the relation a column \"%s\" that tells them "
						 "apart.", strcmp(route->kind, "stream") == 0 ?
						 "subject" : "key")));
}

/* Enter a route into the registry; an error when an equal one is there. */
static void
add_insert(const NewRoute *route)
{
	NvsParams	params;

	nvs_params_init(&params);
	admin_add_text(&params, route->prefix);
	admin_add_text(&params, route->kind);
	admin_add_text(&params, route->pattern);
	admin_add_text(&params, route->shape);
	admin_add_text(&params, route->schema);
	admin_add_text(&params, route->table);
	nvs_params_add(&params, JSONBOID, JsonbPGetDatum(route->aliases), false);
	admin_add_text(&params, route->notify);
	if (nvs_store_registry_execute(&route_insert, &params) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("route for pattern \"%s\" already exists in store "
						"\"%s\"", route->pattern, route->prefix),
				 errdetail("Patterns that match the same subjects with the "
						   "same precedence are equal: \"%s\".",
						   route->shape),
				 errhint("Drop it with nvent.route_drop(%s, %s).",
						 quote_literal_cstr(route->kind),
						 quote_literal_cstr(route->pattern))));
}

/*
 * Prefix of the store that a pattern belongs to, which exists.  It is an error
 * if that is not the store that is named, unless named is NULL.
 */
static char *
admin_store(const char *text, const NvsPattern *pattern, const char *named)
{
	NvsStore   *store = nvs_store_of_pattern(pattern);
	char	   *prefix = pstrdup(store == NULL ? nvs_default_store :
								 store->prefix);

	if (named == NULL)
		(void) nvs_store_require(prefix);
	else if (strcmp(nvs_store_require(named)->prefix, prefix) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_PATTERN),
				 errmsg("pattern \"%s\" cannot belong to store \"%s\"",
						text, named),
				 errdetail("Its subjects belong to store \"%s\".", prefix)));
	return prefix;
}

/* An argument of type text as a string; NULL when it is NULL. */
static char *
admin_text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* Add a text, which may be NULL, to a statement's parameters. */
static void
admin_add_text(NvsParams *params, const char *text)
{
	nvs_params_add(params, TEXTOID, text == NULL ? (Datum) 0 :
				   CStringGetTextDatum(text), text == NULL);
}

/* nvent.route_drop(kind, pattern, store): false when there is none. */
Datum
nvs_route_drop(PG_FUNCTION_ARGS)
{
	char	   *text;
	NvsPattern *pattern;
	char	   *prefix;
	NvsParams	params;
	uint64		rows;

	NVS_REQUIRE_ARG(0, "kind");
	NVS_REQUIRE_ARG(1, "pattern");
	(void) nvs_route_kind(admin_text_argument(fcinfo, 0));
	text = admin_text_argument(fcinfo, 1);

	PreventCommandIfReadOnly("nvent.route_drop()");

	/* Only the store's owner may. */
	nvs_spi_begin();
	pattern = nvs_pattern_compile(text, strlen(text));
	prefix = admin_store(text, pattern, admin_text_argument(fcinfo, 2));
	nvs_store_check_owner(nvs_store_require(prefix));

	/* A route is known by its shape: the names of captures do not matter. */
	nvs_params_init(&params);
	admin_add_text(&params, prefix);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	admin_add_text(&params, nvs_pattern_shape(pattern));
	rows = nvs_store_registry_execute(&route_delete, &params);
	nvs_spi_end();
	PG_RETURN_BOOL(rows > 0);
}

/*
 * nvent.route_resolve(kind, subject): the relation that holds a subject or key,
 * as one row; no row when there is none yet.
 */
Datum
nvs_route_resolve(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	text	   *subject;
	NvsKind		kind;
	NvsResolved resolved;

	NVS_REQUIRE_ARG(0, "kind");
	NVS_REQUIRE_ARG(1, "subject");
	kind = nvs_route_kind(admin_text_argument(fcinfo, 0));
	subject = PG_GETARG_TEXT_PP(1);
	nvs_spi_begin();
	if (nvs_route_find(kind, VARDATA_ANY(subject), VARSIZE_ANY_EXHDR(subject),
					   NVS_USE_LOOK, &resolved))
	{
		/* It may have been compiled before, as another role. */
		nvs_check_use_relation(resolved.target->relid, NVS_ACL_WRITE);
		resolve_put_row(&resolved, result, desc);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Add the row of a subject that was found to the result. */
static void
resolve_put_row(const NvsResolved *resolved, Tuplestorestate *result,
				TupleDesc desc)
{
	const NvsTarget *target = resolved->target;
	const char *pattern = nvs_target_pattern(target);
	const char *notify = nvs_notify_name(nvs_notify_mode(target->notify));
	Datum		values[5];
	bool		nulls[5] = {false, false, false, false, false};

	values[0] = CStringGetTextDatum(target->store->prefix);
	nulls[1] = pattern == NULL;
	if (pattern != NULL)
		values[1] = CStringGetTextDatum(pattern);
	values[2] = ObjectIdGetDatum(target->relid);
	values[3] = JsonbPGetDatum(resolve_keys(resolved));
	nulls[4] = target->kind != NVS_KIND_STREAM;
	values[4] = CStringGetTextDatum(notify);
	tuplestore_putvalues(result, desc, values, nulls);
}

/* What a subject fills key columns with: {"column": "value"}. */
static Jsonb *
resolve_keys(const NvsResolved *resolved)
{
	NvsJsonb	keys;
	int			i;

	nvs_jsonb_init(&keys);
	for (i = 0; i < resolved->target->nkeys; i++)
	{
		const NvsKey *key = &resolved->target->keys[i];
		int			len;
		const char *s = nvs_target_key_text(resolved, key, &len);

		nvs_jsonb_add_text(&keys, key->field->column,
						   strlen(key->field->column), s, len);
	}
	return nvs_jsonb_finish(&keys);
}
