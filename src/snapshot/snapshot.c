/*
 * snapshot/snapshot.c
 *	  Snapshots of what was computed from streams, by name.
 *
 * A snapshot has the versions of the streams that went into it.  One that is
 * older in any stream, or leaves one out, never replaces another, in whatever
 * order two sessions save and commit: the comparison is made on the row that
 * is there once it is locked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "base/statement.h"
#include "route/route.h"

/* $1 id, $2 state, $3 versions, $4 extra; no row for one that is not newer. */
static const NvsStatement snapshot_upsert = {
	"INSERT INTO {table} AS s (id, state, versions, extra) "
	"VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE "
	"SET state = EXCLUDED.state, versions = EXCLUDED.versions, "
	"extra = EXCLUDED.extra, updated_at = pg_catalog.now() "
	"WHERE NOT EXISTS (SELECT "
	"FROM pg_catalog.jsonb_each(s.versions) o "
	"WHERE (EXCLUDED.versions OPERATOR(pg_catalog.->) o.key "
	"OPERATOR(pg_catalog.>=) o.value) IS NOT TRUE)"
};

/* $1 id. */
static const NvsStatement snapshot_select = {
	"SELECT state, versions, extra, updated_at FROM {table} "
	"WHERE id OPERATOR(pg_catalog.=) $1"
};
static const NvsStatement snapshot_remove = {
	"DELETE FROM {table} WHERE id OPERATOR(pg_catalog.=) $1"
};

PG_FUNCTION_INFO_V1(nvs_snapshot_save);
PG_FUNCTION_INFO_V1(nvs_snapshot_load);
PG_FUNCTION_INFO_V1(nvs_snapshot_delete);

static bool snapshot_resolve(text *id, NvsUse use, NvsResolved *resolved);
static void snapshot_check_versions(const Jsonb *versions);

/*
 * Find the table of a snapshot: that of the store of its first token.  Returns
 * false when there is no such store and nothing is to be written; raises 22023
 * for text that cannot be an id.
 */
static bool
snapshot_resolve(text *id, NvsUse use, NvsResolved *resolved)
{
	int			len = VARSIZE_ANY_EXHDR(id);

	if (len == 0 || len > NVS_SUBJECT_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the id of a snapshot must have 1 to %d bytes",
						NVS_SUBJECT_MAX_BYTES),
				 errdetail("It has %d.", len)));
	return nvs_route_find(NVS_KIND_SNAPSHOT, VARDATA_ANY(id), len, use,
						  resolved);
}

/* Raise an error unless this is an object whose values are all versions. */
static void
snapshot_check_versions(const Jsonb *versions)
{
	const JsonbContainer *jc = &versions->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JsonContainerIsObject(jc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"versions\" must be a JSON object"),
				 errhint("Write {\"shop:account:1\": 7, ...}.")));

	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		int64		version;

		if (value.type != JENTRY_ISNUMERIC ||
			!nvs_numeric_whole(PointerGetDatum(value.data), &version) ||
			version < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version of \"%.*s\" must be a whole number of "
							"0 or more", (int) key.len, key.data)));
	}
}

/*
 * nvent.snapshot_save(id, state, versions, extra): false when the snapshot
 * that is there is not older.
 */
Datum
nvs_snapshot_save(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsParams	params;
	uint64		saved;

	NVS_REQUIRE_ARG(0, "id");
	NVS_REQUIRE_ARG(2, "versions");
	PreventCommandIfReadOnly("nvent.snapshot_save()");
	snapshot_check_versions(PG_GETARG_JSONB_P(2));
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_params_add_arg(&params, fcinfo, 1, JSONBOID);
	nvs_params_add_arg(&params, fcinfo, 2, JSONBOID);
	nvs_params_add_arg(&params, fcinfo, 3, JSONBOID);
	nvs_spi_begin();
	(void) snapshot_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_WRITE, &resolved);
	saved = nvs_execute(nvs_statement_plan(resolved.target->plans,
										   &snapshot_upsert, &params, NULL),
						&params, false, 0);
	nvs_spi_end();
	PG_RETURN_BOOL(saved > 0);
}

/* nvent.snapshot_load(id): one row, none when there is no such snapshot. */
Datum
nvs_snapshot_load(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsResolved resolved;
	NvsParams	params;
	Datum		row[4];
	bool		nulls[4];

	NVS_REQUIRE_ARG(0, "id");
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_spi_begin();
	if (snapshot_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_READ, &resolved) &&
		nvs_execute_row(nvs_statement_plan(resolved.target->plans,
										   &snapshot_select, &params, NULL),
						&params, true, cxt, 4, row, nulls))
		tuplestore_putvalues(result, desc, row, nulls);
	nvs_spi_end();
	return (Datum) 0;
}

/* nvent.snapshot_delete(id): false when there is no such snapshot. */
Datum
nvs_snapshot_delete(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsParams	params;
	uint64		deleted = 0;

	NVS_REQUIRE_ARG(0, "id");
	PreventCommandIfReadOnly("nvent.snapshot_delete()");
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	nvs_spi_begin();
	if (snapshot_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_CHANGE, &resolved))
		deleted = nvs_execute(nvs_statement_plan(resolved.target->plans,
												 &snapshot_remove, &params,
												 NULL),
							  &params, false, 0);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
