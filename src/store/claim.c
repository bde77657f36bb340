/*
 * store/claim.c
 *	  Whether a first token is free to become a store's.
 *
 * What begins with a store's prefix belongs to that store.  As long as there
 * is no store of a prefix, what begins with it belongs to whichever store is
 * the default one, so a new store would take all of that over unseen: keys
 * would read as absent and locks as free, and writes would go elsewhere.  A
 * store is therefore not made while any store holds something under the token.
 *
 * Each table is looked into as the store's owner: whatever runs there, as a
 * view or a policy, is his.  What open transactions have written there is not
 * seen.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/identity.h"
#include "base/plan.h"
#include "base/text.h"
#include "store/claim.h"
#include "store/store.h"
#include "store/stream_table.h"
#include "subject/subject.h"

/* A column of a table of a store that may hold what begins with a token. */
typedef struct ClaimPlace
{
	const char *schema;			/* NULL for the store's own */
	const char *table;
	bool		is_table;		/* no relation of another kind will do */
	const char *column;
	const char *what;			/* is in it, in words */
} ClaimPlace;

/* The own tables of every store; {prefix}_ goes before the name. */
static const ClaimPlace claim_own[] = {
	{NULL, "kv", true, "key", "keys"},
	{NULL, "entries", true, "key", "entries"},
	{NULL, "locks", true, "name", "locks"},
	{NULL, "snapshots", true, "id", "snapshots"},
	{NULL, "consumers", true, "prefix", "consumers"}
};

/* Routes of store $1. */
static const NvsStatement claim_routes = {
	"SELECT kind, pattern, schema_name, table_name FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1 ORDER BY kind, shape"
};

static void claim_check_store(const NvsStore *store, const char *prefix);
static void claim_check_routes(const NvsStore *store, const char *prefix);
static void claim_check_route(const NvsStore *store, const char *prefix,
							  HeapTuple row, TupleDesc desc);
static const char *claim_column(Oid relid, const char *kind,
								const NvsPattern *pattern);
static void claim_look(const NvsStore *store, const ClaimPlace *place,
					   const char *prefix);
static char *claim_example(const NvsStore *store, const ClaimPlace *place,
						   bool expires, const char *prefix);
pg_noreturn static void claim_refuse(const NvsStore *store,
									 const char *what, const char *example,
									 const char *prefix);

/*
 * Raise 55006 when a store holds something whose first token is prefix, which
 * is no store's.  Compiled patterns and texts are left in the caller's memory.
 */
void
nvs_claim_check(const char *prefix)
{
	ListCell   *lc;

	nvs_spi_begin();
	foreach(lc, nvs_store_prefixes())
	{
		const NvsStore *store = nvs_store_find_registered(lfirst(lc));

		CHECK_FOR_INTERRUPTS();
		if (store != NULL && OidIsValid(store->relid))
			claim_check_store(store, prefix);
	}
	nvs_spi_end();
}

/* Raise an error when this store holds something under the token. */
static void
claim_check_store(const NvsStore *store, const char *prefix)
{
	ClaimPlace	stream = {NULL, NULL, true, "subject", "events"};
	int			i;

	claim_check_routes(store, prefix);
	for (i = 0; i < lengthof(claim_own); i++)
	{
		ClaimPlace	place = claim_own[i];

		place.table = psprintf("%s_%s", store->prefix, place.table);
		claim_look(store, &place, prefix);
	}

	/* A subject of no route that begins with the token is of that type. */
	stream.table = nvs_stream_table_name(store->prefix, prefix);
	claim_look(store, &stream, prefix);
}

/* Raise an error when a route of this store is for what is under the token. */
static void
claim_check_routes(const NvsStore *store, const char *prefix)
{
	SPITupleTable *rows;
	uint64		n;
	uint64		i;

	n = nvs_store_registry_query(&claim_routes, store);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
		claim_check_route(store, prefix, rows->vals[i], rows->tupdesc);
}

/*
 * Raise an error when a route is for what is under the token.  It is so by its
 * first token, or may be by
 * a wildcard, and then its table is looked into.
 */
static void
claim_check_route(const NvsStore *store, const char *prefix, HeapTuple row,
				  TupleDesc desc)
{
	char	   *kind = SPI_getvalue(row, desc, 1);
	char	   *text = SPI_getvalue(row, desc, 2);
	NvsPattern *pattern = nvs_pattern_compile(text, strlen(text));
	ClaimPlace	place = {NULL, NULL, false, NULL, NULL};
	Oid			relid;

	if (!nvs_pattern_may_be(pattern, 0, prefix, strlen(prefix)))
		return;
	if (pattern->tokens[0].kind == NVS_TOKEN_LITERAL)
		claim_refuse(store, "routes", text, prefix);
	place.schema = SPI_getvalue(row, desc, 3);
	place.table = SPI_getvalue(row, desc, 4);
	place.what = strcmp(kind, "stream") == 0 ? "events" :
		strcmp(kind, "kv") == 0 ? "keys" : "entries";
	relid = nvs_relation_find(store, place.schema, place.table);
	place.column = claim_column(relid, kind, pattern);
	if (place.column != NULL)
		claim_look(store, &place, prefix);
}

/*
 * The column of a route's relation that begins with the first token: that of
 * whole subjects or keys, or of a capture; NULL when there is none.
 */
static const char *
claim_column(Oid relid, const char *kind, const NvsPattern *pattern)
{
	const char *whole = strcmp(kind, "stream") == 0 ? "subject" : "key";

	if (!OidIsValid(relid))
		return NULL;
	if (get_attnum(relid, whole) != InvalidAttrNumber)
		return whole;
	if (nvs_pattern_capture_count(pattern) == 0 ||
		pattern->capture_token[0] != 0)
		return NULL;
	return nvs_pattern_capture_name(pattern, 0);
}

/* Raise an error when a column of a store's relation has something. */
static void
claim_look(const NvsStore *store, const ClaimPlace *place, const char *prefix)
{
	Oid			relid = nvs_relation_find(store, place->schema, place->table);
	bool		expires;
	char	   *example;

	if (!OidIsValid(relid) ||
		!nvs_relation_is_own(store, relid, place->is_table))
		return;
	relid = nvs_relation_lock(store, place->schema, place->table,
							  place->is_table, AccessShareLock);
	if (!OidIsValid(relid) ||
		get_attnum(relid, place->column) == InvalidAttrNumber)
		return;
	expires = strcmp(place->what, "keys") == 0 &&
		get_attnum(relid, "expires_at") != InvalidAttrNumber;
	example = claim_example(store, place, expires, prefix);
	if (example == NULL)
		return;

	/* Who may not read the relation is not told what is in it. */
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		example = NULL;
	claim_refuse(store, place->what, example, prefix);
}

/*
 * What a column has under the token, or NULL: one of the token alone or with
 * more behind it, in the current memory context.  Reads as the store's owner;
 * the relation must be locked.
 */
static char *
claim_example(const NvsStore *store, const ClaimPlace *place, bool expires,
			  const char *prefix)
{
	char	   *table = nvs_qualified(place->schema != NULL ? place->schema :
									  store->schema, place->table);
	char	   *value = psprintf("(t.%s::pg_catalog.text COLLATE pg_catalog.\"C\")",
								 quote_identifier(place->column));
	const char *live = !expires ? "" : " AND (t.expires_at IS NULL "
		"OR t.expires_at OPERATOR(pg_catalog.>) pg_catalog.now())";
	StringInfoData sql;
	NvsIdentity saved;
	NvsParams	params;
	char	   *result;

	/*
	 * Two ranges in byte order, so that an index in that order answers it:
	 * the token itself, and what begins with it and a colon, which a
	 * semicolon comes right behind.
	 */
	initStringInfo(&sql);
	nvs_sql(&sql, "(SELECT ", value, " FROM ", table, " t WHERE ", value,
			" OPERATOR(pg_catalog.=) $1", live, " LIMIT 1) UNION ALL ");
	nvs_sql(&sql, "(SELECT ", value, " FROM ", table, " t WHERE ", value,
			" OPERATOR(pg_catalog.>=) $2 AND ", value,
			" OPERATOR(pg_catalog.<) $3", live, " LIMIT 1) LIMIT 1");

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	nvs_params_add(&params, TEXTOID,
				   CStringGetTextDatum(psprintf("%s:", prefix)), false);
	nvs_params_add(&params, TEXTOID,
				   CStringGetTextDatum(psprintf("%s;", prefix)), false);

	/*
	 * The relation is its owner's, whose functions and views run with no more
	 * rights than his.
	 */
	nvs_become_role(store->owner, &saved);
	result = nvs_plan_text(sql.data, &params);
	nvs_become_caller(&saved);
	return result;
}

/* Raise the error that a store holds something; example may be NULL. */
static void
claim_refuse(const NvsStore *store, const char *what, const char *example,
			 const char *prefix)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("store \"%s\" cannot be made, as store \"%s\" holds what would be its",
					prefix, store->prefix),
			 example == NULL ?
			 errdetail("Store \"%s\" has %s under \"%s\".", store->prefix,
					   what, prefix) :
			 errdetail("Store \"%s\" has %s under \"%s\", such as \"%s\".",
					   store->prefix, what, prefix, example),
			 errhint("Move or delete these first, or use another prefix.")));
}
