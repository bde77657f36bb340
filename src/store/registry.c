/*
 * store/registry.c
 *	  Writing which stores there are, and where.
 *
 * The registry is written as the extension's owner; who calls has checked that
 * the caller may.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/plan.h"
#include "store/registry.h"

/* Enters store $1 of schema $2; the table by which it is known from now on. */
static const NvsStatement registry_insert = {
	"INSERT INTO nvent.store (prefix, schema_name) VALUES ($1, $2) "
	"RETURNING version_table::pg_catalog.oid"
};

/*
 * Has a dump find store $1 in schema $2, where it is now; nothing is written
 * when that is known.
 */
static const NvsStatement registry_move = {
	"UPDATE nvent.store SET schema_name = $2 "
	"WHERE prefix OPERATOR(pg_catalog.=) $1 "
	"AND schema_name OPERATOR(pg_catalog.<>) $2 "
	"RETURNING version_table::pg_catalog.oid"
};

/* Enters the routes that every store begins with for store $1. */
static const NvsStatement registry_insert_routes = {
	"INSERT INTO nvent.route (store, kind, pattern, shape, "
	"table_name, aliases) "
	"SELECT $1, d.kind, pg_catalog.concat($1, ':', d.pattern), "
	"pg_catalog.concat($1, ':', d.shape), "
	"pg_catalog.concat($1, '_', d.table_name), d.aliases "
	"FROM nvent.default_route d"
};

/* Removes store $1 with its routes and its stream tables. */
static const NvsStatement registry_delete = {
	"WITH route AS (DELETE FROM nvent.route "
	"WHERE store OPERATOR(pg_catalog.=) $1), "
	"stream_table AS (DELETE FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1) "
	"DELETE FROM nvent.store WHERE prefix OPERATOR(pg_catalog.=) $1"
};

static void registry_place(const NvsStatement *statement,
						   const NvsStore *store, Oid relid);

/*
 * Enter a store whose tables have been made, and its default routes, into the
 * registry; what the registry had by that name goes.  Needs SPI.
 */
void
nvs_registry_enter(const NvsStore *store)
{
	Oid			relid = nvs_relation_find(store, NULL,
										  psprintf("%s_schema_version",
												   store->prefix));
	NvsParams	params;

	nvs_registry_remove(store->prefix);
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(store->prefix),
				   false);
	(void) nvs_store_registry_execute(&registry_insert_routes, &params);
	registry_place(&registry_insert, store, relid);
}

/*
 * Enter or change where a store is, whose version table is relid.  Needs SPI.
 */
static void
registry_place(const NvsStatement *statement, const NvsStore *store, Oid relid)
{
	NvsParams	params;
	Datum		known;
	bool		isnull;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(store->prefix),
				   false);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(store->schema),
				   false);
	if (nvs_store_registry_execute(statement, &params) == 0)
		return;

	/* Its schema may be renamed at any moment. */
	known = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	if (isnull || DatumGetObjectId(known) != relid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schema \"%s\" was renamed meanwhile",
						store->schema)));
}

/* Have a dump find a store where it is now.  Needs SPI. */
void
nvs_registry_move(const NvsStore *store)
{
	registry_place(&registry_move, store, store->relid);
}

/* Remove a store, its routes and stream tables from the registry; needs SPI. */
void
nvs_registry_remove(const char *prefix)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(prefix), false);
	(void) nvs_store_registry_execute(&registry_delete, &params);
}
