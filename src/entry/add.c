/*
 * entry/add.c
 *	  Entries: add one, or replace all of it.
 *
 * What the metadata does not mention gets the column's default, on an entry
 * that is there as on a new one; its version goes on.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"

PG_FUNCTION_INFO_V1(nvs_entry_add);

static void add_build(const NvsResolved *resolved, NvsEntryFields *fields,
					  double score, NvsParams *params, StringInfo sql);
static void add_build_column(StringInfo columns, StringInfo values,
							 const NvsField *field, int param);
static int	add_column_param(const NvsTarget *target, const NvsField *field,
							 const NvsEntryFields *fields, double score,
							 NvsParams *params);
static int64 add_time_of_score(const NvsField *field, double score);
static void add_build_replace(const NvsTarget *target, StringInfo sql);

/*
 * nvent.entry_add(key, id, score, metadata): the entry's version.  Its row is
 * locked until commit.
 */
Datum
nvs_entry_add(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsParams	params;
	NvsEntryFields fields;
	StringInfoData sql;
	SPIPlanPtr	plan;
	MemoryContext cxt = CurrentMemoryContext;
	Jsonb	   *metadata;
	double		score;
	Datum		version;

	/* What is wrong with the call, whatever the key is. */
	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "score");
	NVS_REQUIRE_ARG(3, "metadata");
	score = PG_GETARG_FLOAT8(2);
	if (isnan(score) || isinf(score))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a score must be a finite number")));
	metadata = PG_GETARG_JSONB_P(3);
	nvs_entry_check_metadata(metadata);

	/* The table, which is made if need be, and the fields as it has them. */
	nvs_spi_begin();
	(void) nvs_entry_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_WRITE, &resolved);
	nvs_entry_parse(resolved.target, metadata, &fields);
	nvs_entry_params(&resolved, PG_GETARG_TEXT_PP(1), &params);

	/* One statement, which inserts the entry or replaces all of it. */
	initStringInfo(&sql);
	add_build(&resolved, &fields, score, &params, &sql);
	plan = nvs_statement_plan_text(resolved.target->plans, sql.data, &params,
								   NVS_PLAN_GENERIC);

	if (!nvs_execute_first(plan, &params, false, cxt, &version))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take the entry",
						resolved.target->name),
				 errdetail("A trigger or rule kept the row out.")));
	nvs_spi_end();
	PG_RETURN_DATUM(version);
}

/*
 * Build INSERT ... ON CONFLICT of one entry, which depends on the fields that
 * are given; adds its parameters to those of the key and the id.
 */
static void
add_build(const NvsResolved *resolved, NvsEntryFields *fields, double score,
		  NvsParams *params, StringInfo sql)
{
	const NvsTarget *target = resolved->target;
	const NvsEntryState *state = target->state;
	const NvsFieldMap *map = target->map;
	StringInfoData columns;
	StringInfoData values;
	Jsonb	   *rest;
	int			i;

	/* The columns that each entry has. */
	initStringInfo(&columns);
	initStringInfo(&values);
	for (i = 0; i < target->nkeys; i++)
		add_build_column(&columns, &values, target->keys[i].field, i + 1);
	add_build_column(&columns, &values, state->id, target->nkeys + 1);
	add_build_column(&columns, &values, state->score,
					 nvs_params_add(params, FLOAT8OID, Float8GetDatum(score),
									false));
	if (!state->version->has_default)
		add_build_column(&columns, &values, state->version,
						 nvs_params_add(params, INT8OID, Int64GetDatum(0),
										false));

	/* Those of the metadata, and what has no column. */
	for (i = 0; i < map->nfields; i++)
	{
		int			param = add_column_param(target, &map->fields[i], fields,
											 score, params);

		if (param > 0)
			add_build_column(&columns, &values, &map->fields[i], param);
	}
	rest = nvs_entry_rest(target, fields);
	if (rest != NULL)
		add_build_column(&columns, &values, state->extra,
						 nvs_params_add(params, JSONBOID, JsonbPGetDatum(rest),
										false));
	nvs_sql(sql, "INSERT INTO ", target->name, " AS t (", columns.data,
			") VALUES (", values.data, ")");
	add_build_replace(target, sql);
}

/* Add a column and its parameter to the two lists. */
static void
add_build_column(StringInfo columns, StringInfo values, const NvsField *field,
				 int param)
{
	const char *comma = columns->len > 0 ? ", " : "";

	nvs_sql(columns, comma, field->quoted);
	nvs_sql_param(values, comma, param);
}

/*
 * Add the parameter of a metadata column; returns its number, 0 for a column
 * that the INSERT is not to name, so that it gets its default.
 */
static int
add_column_param(const NvsTarget *target, const NvsField *field,
				 const NvsEntryFields *fields, double score, NvsParams *params)
{
	int			i = field - target->map->fields;
	bool		isnull;
	Datum		value;

	if (field->reserved || field->computed)
		return 0;
	if (fields->given[i] && fields->values[i].type != JENTRY_ISNULL)
	{
		value = nvs_field_datum(field, fields->values[i], &isnull);
		return nvs_params_add(params, field->type, value, isnull);
	}
	if (field->kind == NVS_FIELD_MS && field->not_null && !field->has_default)
		return nvs_params_add(params, INT8OID,
							  Int64GetDatum(add_time_of_score(field, score)),
							  false);
	if (fields->given[i] && !(field->not_null && field->has_default))
		return nvs_params_add(params, field->type, (Datum) 0, true);
	return 0;
}

/*
 * The score as a time in milliseconds, for a time that must be there and that
 * the metadata does not have; raises an error when it is none.
 */
static int64
add_time_of_score(const NvsField *field, double score)
{
	score = floor(score);
	if (!FLOAT8_FITS_IN_INT64(score))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("field \"%s\" is out of range", field->label),
				 errdetail("It is not given, and the score %g is no time.",
						   score)));
	return (int64) score;
}

/* Build what becomes of an entry that is there: all of it is replaced. */
static void
add_build_replace(const NvsTarget *target, StringInfo sql)
{
	const NvsEntryState *state = target->state;
	int			i;

	nvs_sql(sql, " ON CONFLICT (", state->conflict, ") DO UPDATE SET ",
			state->set_always, ", score = EXCLUDED.score");
	if (state->extra != NULL)
		nvs_sql(sql, ", ", state->extra->quoted, " = EXCLUDED.",
				state->extra->quoted);
	for (i = 0; i < state->nread; i++)
		if (!state->read[i]->computed && !state->read[i]->reserved)
			nvs_sql(sql, ", ", state->read[i]->quoted, " = EXCLUDED.",
					state->read[i]->quoted);
	nvs_sql(sql, " RETURNING t.version::pg_catalog.int8");
}
