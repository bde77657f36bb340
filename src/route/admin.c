/*
 * route/admin.c
 *	  Adding and dropping routes, and showing which one takes a subject.
 *
 * A route belongs to a store, and only the store's owner may change one: what
 * is routed away is written and read elsewhere from then on.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/text.h"
#include "route/route.h"
#include "store/stream_table.h"
#include "wakeup/notify.h"

PG_FUNCTION_INFO_V1(nvs_route_add);
PG_FUNCTION_INFO_V1(nvs_route_drop);
PG_FUNCTION_INFO_V1(nvs_route_resolve);

static const NvsStatement route_insert = {
	"INSERT INTO nvent.route (store, kind, pattern, "
	"shape, schema_name, table_name, aliases, notify) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
	"ON CONFLICT (store, kind, shape) DO NOTHING"
};

static const NvsStatement route_delete = {
	"DELETE FROM nvent.route WHERE store OPERATOR(pg_catalog.=) $1 "
	"AND kind OPERATOR(pg_catalog.=) $2 AND shape OPERATOR(pg_catalog.=) $3"
};

/* Other routes to a relation. */
static const NvsStatement route_others = {
	"SELECT pattern FROM nvent.route "
	"WHERE kind OPERATOR(pg_catalog.=) $1 "
	"AND schema_name OPERATOR(pg_catalog.=) $2 "
	"AND table_name OPERATOR(pg_catalog.=) $3 "
	"AND NOT (store OPERATOR(pg_catalog.=) $4 "
	"AND shape OPERATOR(pg_catalog.=) $5) ORDER BY pattern"
};


static NvsStore *pattern_store(const char *text, const NvsPattern *pattern,
							   const char *prefix);
static void check_unshared(const NvsStore *store, const char *kind,
						   const char *shape, Oid relid);
static void insert_route(const NvsStore *store, const char *kind,
						 const char *pattern, const char *shape, Oid relid,
						 Datum aliases, const char *notify);
static void add_text(NvsParams *params, const char *text);
static Jsonb *resolved_keys(const NvsResolved *resolved);

/*
 * The store that a pattern belongs to: the one named, or by its first token.
 * A pattern of a store begins with the store's prefix; those of the default
 * store may begin with anything that is no other store's prefix.
 */
static NvsStore *
pattern_store(const char *text, const NvsPattern *pattern, const char *prefix)
{
	NvsStore   *by_token = nvs_store_of_pattern(pattern);
	NvsStore   *store = by_token;

	if (prefix != NULL)
		store = nvs_store_require(prefix);
	else if (store == NULL)
		store = nvs_store_require(nvs_default_store);
	if (by_token == NULL || store != by_token)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_PATTERN),
				 errmsg("pattern \"%s\" cannot belong to store \"%s\"",
						text, store->prefix),
				 errdetail("Its subjects belong to store \"%s\".",
						   by_token == NULL ? nvs_default_store :
						   by_token->prefix)));
	return store;
}

/*
 * nvent.route_add(kind, pattern, relation, aliases, store, notify): keep what
 * matches pattern in relation.
 */
Datum
nvs_route_add(PG_FUNCTION_ARGS)
{
	char	   *kind;
	char	   *pattern;
	char	   *notify;
	char	   *shape;
	NvsPattern *compiled;
	Oid			relid;
	Jsonb	   *aliases;
	char	   *prefix;
	NvsStore   *store;
	bool		apart;

	NVS_REQUIRE_ARG(0, "kind");
	NVS_REQUIRE_ARG(1, "pattern");
	NVS_REQUIRE_ARG(2, "relation");
	NVS_REQUIRE_ARG(3, "aliases");
	kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	pattern = text_to_cstring(PG_GETARG_TEXT_PP(1));
	relid = PG_GETARG_OID(2);
	aliases = PG_GETARG_JSONB_P(3);
	notify = PG_ARGISNULL(5) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(5));
	(void) nvs_route_notify(notify);
	if (!JB_ROOT_IS_OBJECT(aliases))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"aliases\" must be a JSON object"),
				 errhint("Write {\"field\": \"column\"}.")));
	PreventCommandIfReadOnly("nvent.route_add()");

	nvs_spi_begin();
	compiled = nvs_pattern_compile(pattern, strlen(pattern));
	/* Makes the default store if need be. */
	if (PG_ARGISNULL(4) && nvs_store_of_pattern(compiled) == NULL)
		(void) nvs_store_of_write(compiled->bytes, compiled->prefix_len);
	store = pattern_store(pattern, compiled, PG_ARGISNULL(4) ? NULL :
						  text_to_cstring(PG_GETARG_TEXT_PP(4)));
	/* It must not be dropped before our route is there. */
	prefix = pstrdup(store->prefix);
	nvs_store_lock(prefix, ShareLock);
	store = nvs_store_require(prefix);
	nvs_store_check_owner(store);
	shape = nvs_route_check(nvs_route_kind(kind), store, pattern, relid,
							aliases, &apart);
	if (!apart)
		check_unshared(store, kind, shape, relid);
	insert_route(store, kind, pattern, shape, relid, JsonbPGetDatum(aliases),
				 notify);
	nvs_spi_end();
	PG_RETURN_VOID();
}

/*
 * Raise an error when another route goes to a relation that cannot tell the
 * subjects of one from those of the other.
 */
static void
check_unshared(const NvsStore *store, const char *kind, const char *shape,
			   Oid relid)
{
	NvsParams	params;

	nvs_params_init(&params);
	add_text(&params, kind);
	add_text(&params, get_namespace_name(get_rel_namespace(relid)));
	add_text(&params, get_rel_name(relid));
	add_text(&params, store->prefix);
	add_text(&params, shape);
	if (nvs_store_registry_execute(&route_others, &params) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" already holds what matches \"%s\"",
						get_rel_name(relid),
						SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1)),
				 errdetail("The two patterns would share rows."),
				 errhint("Give the relation a column \"%s\" that tells them "
						 "apart.",
						 strcmp(kind, "stream") == 0 ? "subject" : "key")));
}

/* Enter a route, or say which equal one is there. */
static void
insert_route(const NvsStore *store, const char *kind, const char *pattern,
			 const char *shape, Oid relid, Datum aliases, const char *notify)
{
	char	   *prefix = pstrdup(store->prefix);
	NvsParams	params;

	nvs_params_init(&params);
	add_text(&params, prefix);
	add_text(&params, kind);
	add_text(&params, pattern);
	add_text(&params, shape);
	add_text(&params, get_namespace_name(get_rel_namespace(relid)));
	add_text(&params, get_rel_name(relid));
	nvs_params_add(&params, JSONBOID, aliases, false);
	add_text(&params, notify);
	if (nvs_store_registry_execute(&route_insert, &params) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("a route for pattern \"%s\" exists in store \"%s\"",
						pattern, prefix),
				 errdetail("Patterns that match the same subjects with the "
						   "same precedence are equal: \"%s\".", shape),
				 errhint("Drop it with nvent.route_drop(%s, %s).",
						 quote_literal_cstr(kind),
						 quote_literal_cstr(pattern))));
}

/* Add a text to a statement's parameters; NULL is SQL's. */
static void
add_text(NvsParams *params, const char *text)
{
	nvs_params_add(params, TEXTOID, text == NULL ? (Datum) 0 :
				   CStringGetTextDatum(text), text == NULL);
}

/* nvent.route_drop(kind, pattern, store): false when there is none. */
Datum
nvs_route_drop(PG_FUNCTION_ARGS)
{
	char	   *pattern;
	NvsPattern *compiled;
	NvsStore   *store;
	NvsParams	params;
	uint64		rows;

	NVS_REQUIRE_ARG(0, "kind");
	NVS_REQUIRE_ARG(1, "pattern");
	(void) nvs_route_kind(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	pattern = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PreventCommandIfReadOnly("nvent.route_drop()");

	nvs_spi_begin();
	compiled = nvs_pattern_compile(pattern, strlen(pattern));
	store = pattern_store(pattern, compiled, PG_ARGISNULL(2) ? NULL :
						  text_to_cstring(PG_GETARG_TEXT_PP(2)));
	nvs_store_check_owner(store);
	nvs_params_init(&params);
	add_text(&params, store->prefix);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	add_text(&params, nvs_pattern_shape(compiled));
	rows = nvs_store_registry_execute(&route_delete, &params);
	nvs_spi_end();
	PG_RETURN_BOOL(rows > 0);
}

/*
 * nvent.route_resolve(kind, subject): where a subject lives, as one row; no
 * row when nothing holds it yet.
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
	kind = nvs_route_kind(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	subject = PG_GETARG_TEXT_PP(1);
	nvs_spi_begin();
	if (nvs_route_find(kind, VARDATA_ANY(subject), VARSIZE_ANY_EXHDR(subject),
					   false, &resolved))
	{
		NvsTarget  *target = resolved.target;
		const char *pattern = nvs_route_pattern(target);
		const char *notify = nvs_notify_name(nvs_notify_mode(target->notify));
		Datum		values[5];
		bool		nulls[5] = {false, false, false, false, false};

		values[0] = CStringGetTextDatum(target->store->prefix);
		nulls[1] = pattern == NULL;
		if (pattern != NULL)
			values[1] = CStringGetTextDatum(pattern);
		values[2] = ObjectIdGetDatum(target->relid);
		values[3] = JsonbPGetDatum(resolved_keys(&resolved));
		nulls[4] = kind != NVS_KIND_STREAM;
		values[4] = CStringGetTextDatum(notify);
		tuplestore_putvalues(result, desc, values, nulls);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* {"column": "value"} of the columns that a subject fills. */
static Jsonb *
resolved_keys(const NvsResolved *resolved)
{
	NvsJsonb	keys;
	int			i;

	nvs_jsonb_init(&keys);
	for (i = 0; i < resolved->target->nkeys; i++)
	{
		const NvsKey *key = &resolved->target->keys[i];
		const char *s = resolved->subject;
		int			len = resolved->len;

		if (key->capture >= 0)
		{
			s += resolved->captures[key->capture].offset;
			len = resolved->captures[key->capture].len;
		}
		nvs_jsonb_add_text(&keys, key->field->column,
						   strlen(key->field->column), s, len);
	}
	return nvs_jsonb_finish(&keys);
}
