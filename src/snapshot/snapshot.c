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
#include "utils/fmgrprotos.h"

#include "errors.h"
#include "base/arg.h"
#include "route/route.h"

/* Fixed statements of the table's plan set. */
enum
{
	PLAN_SAVE,
	PLAN_LOAD,
	PLAN_DELETE
};

PG_FUNCTION_INFO_V1(nvs_snapshot_save);
PG_FUNCTION_INFO_V1(nvs_snapshot_load);
PG_FUNCTION_INFO_V1(nvs_snapshot_delete);

static bool snapshot_resolve(text *id, bool write, NvsResolved *resolved);
static void check_versions(const Jsonb *versions);
static SPIPlanPtr get_plan(NvsTarget *target, int slot, const char *sql,
						   int n);

/* Find the table of a snapshot: that of the store of its first token. */
static bool
snapshot_resolve(text *id, bool write, NvsResolved *resolved)
{
	int			len = VARSIZE_ANY_EXHDR(id);

	if (len == 0 || len > NVS_SUBJECT_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the id of a snapshot must have 1 to %d bytes",
						NVS_SUBJECT_MAX_BYTES),
				 errdetail("It has %d.", len)));
	return nvs_route_find(NVS_KIND_SNAPSHOT, VARDATA_ANY(id), len, write,
						  resolved);
}

/* A statement of a table, with its name for %s. */
static SPIPlanPtr
get_plan(NvsTarget *target, int slot, const char *sql, int n)
{
	static const Oid types[4] = {TEXTOID, JSONBOID, JSONBOID, JSONBOID};
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, slot);

	if (*plan == NULL)
		*plan = nvs_plan_prepare(psprintf(sql, target->name), n, types,
								 CURSOR_OPT_GENERIC_PLAN);
	return *plan;
}

/* Raise an error unless all values are versions. */
static void
check_versions(const Jsonb *versions)
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
		Datum		number = PointerGetDatum(value.data);
		Datum		whole;
		int64		version = -1;

		if (value.type == JENTRY_ISNUMERIC)
			version = DatumGetInt64(DirectFunctionCall1(numeric_int8,
														number));
		whole = NumericGetDatum(int64_to_numeric(version));
		if (version < 0 ||
			!DatumGetBool(DirectFunctionCall2(numeric_eq, number, whole)))
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
	NvsResolved	resolved;
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};
	uint64		saved;
	int			i;

	NVS_REQUIRE_ARG(0, "id");
	NVS_REQUIRE_ARG(2, "versions");
	PreventCommandIfReadOnly("nvent.snapshot_save()");
	check_versions(PG_GETARG_JSONB_P(2));
	for (i = 0; i < 4; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		if (PG_ARGISNULL(i))
			nulls[i] = 'n';
	}
	nvs_spi_begin();
	(void) snapshot_resolve(PG_GETARG_TEXT_PP(0), true, &resolved);
	saved = nvs_plan_execute(
		get_plan(resolved.target, PLAN_SAVE,
				 "INSERT INTO %s AS s (id, state, versions, extra) "
				 "VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE "
				 "SET state = EXCLUDED.state, versions = EXCLUDED.versions, "
				 "extra = EXCLUDED.extra, updated_at = pg_catalog.now() "
				 "WHERE NOT EXISTS (SELECT "
				 "FROM pg_catalog.jsonb_each(s.versions) o "
				 "WHERE (EXCLUDED.versions OPERATOR(pg_catalog.->) o.key "
				 "OPERATOR(pg_catalog.>=) o.value) IS NOT TRUE)", 4),
		values, nulls, false, 0);
	nvs_spi_end();
	PG_RETURN_BOOL(saved > 0);
}

/* nvent.snapshot_load(id): one row, none when there is no such snapshot. */
Datum
nvs_snapshot_load(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsResolved	resolved;
	Datum		values[4];

	NVS_REQUIRE_ARG(0, "id");
	nvs_spi_begin();
	if (snapshot_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
	{
		values[0] = PG_GETARG_DATUM(0);
		if (nvs_plan_execute(
			get_plan(resolved.target, PLAN_LOAD,
					 "SELECT state, versions, extra, updated_at FROM %s "
					 "WHERE id OPERATOR(pg_catalog.=) $1", 1),
			values, NULL, true, 1) > 0)
		{
			bool		nulls[4];
			int			i;

			for (i = 0; i < 4; i++)
				values[i] = SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, i + 1,
										  &nulls[i]);
			tuplestore_putvalues(result, desc, values, nulls);
		}
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* nvent.snapshot_delete(id): false when there is no such snapshot. */
Datum
nvs_snapshot_delete(PG_FUNCTION_ARGS)
{
	NvsResolved	resolved;
	Datum		id;
	uint64		deleted = 0;

	NVS_REQUIRE_ARG(0, "id");
	PreventCommandIfReadOnly("nvent.snapshot_delete()");
	id = PG_GETARG_DATUM(0);
	nvs_spi_begin();
	if (snapshot_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
		deleted = nvs_plan_execute(
			get_plan(resolved.target, PLAN_DELETE,
					 "DELETE FROM %s WHERE id OPERATOR(pg_catalog.=) $1", 1),
			&id, NULL, false, 0);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
