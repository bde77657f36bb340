/*
 * entry/update.c
 *	  Indexed entries: merge into one, as RFC 7396 says.
 *
 * The merge is done by the statement itself, on the row as it is when the
 * row's lock is had, so two updates of different fields both survive, in
 * columns as inside one document.  An update that would change nothing writes
 * nothing: it answers the version that the entry has.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/arg.h"
#include "base/text.h"
#include "entry/entry.h"
#include "json/paths.h"

/* An UPDATE in the making. */
typedef struct Update
{
	const NvsTarget *target;
	NvsParams	params;
	StringInfoData where;
	StringInfoData set;			/* columns besides those always set */
	StringInfoData differs;		/* whether that is a change */
} Update;

/* The entry as it is. */
typedef struct Look
{
	int64		version;
	bool		differs;		/* the update would change it */
} Look;

PG_FUNCTION_INFO_V1(nvs_entry_is_changed);
PG_FUNCTION_INFO_V1(nvs_entry_update);

static void set_fields(Update *update, NvsEntryFields *fields);
static void clear_stats(const NvsTarget *target, NvsEntryFields *fields);
static void set_field(Update *update, const NvsField *field,
					  NvsJsonbChild value);
static void set_null(Update *update, const NvsField *field);
static void set_document(Update *update, const NvsField *field,
						 NvsJsonbChild value);
static void set_extra(Update *update, NvsEntryFields *fields);
static bool all_null(const NvsJsonb *object);
static void remove_stats(Update *update, NvsJsonb *object, StringInfo sql);
static void set_expression(Update *update, const char *column,
						   const char *before, const char *after);
static bool run_update(Update *update, bool touch, int64 *version);
static bool look(Update *update, Look *found);

/*
 * nvent.entry_update(key, id, metadata, expected_version, touch): the
 * entry's version; NULL when there is no such entry or it is not at the
 * expected version.
 */
Datum
nvs_entry_update(PG_FUNCTION_ARGS)
{
	NvsResolved	resolved;
	NvsEntryFields fields;
	Update		update;
	Jsonb	   *metadata;
	bool		touch = NVS_ARG_OR(4, PG_GETARG_BOOL, false);
	bool		found;
	int64		version;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "metadata");
	metadata = PG_GETARG_JSONB_P(2);
	nvs_entry_check_metadata(metadata);
	nvs_spi_begin();
	if (!nvs_entry_resolve(PG_GETARG_TEXT_PP(0), false, &resolved))
	{
		nvs_spi_end();
		PG_RETURN_NULL();
	}
	update.target = resolved.target;
	initStringInfo(&update.where);
	initStringInfo(&update.set);
	initStringInfo(&update.differs);
	nvs_entry_parse(resolved.target, nvs_expand_paths(metadata), &fields);
	nvs_entry_params(&resolved, PG_GETARG_TEXT_PP(1), &update.params);
	nvs_entry_where(&resolved, &update.where);
	if (!PG_ARGISNULL(3))
	{
		const NvsEntryState *state = resolved.target->state;

		nvs_sql(&update.where, " AND ", state->current_version);
		nvs_sql_param(&update.where, " OPERATOR(pg_catalog.=) ",
					  nvs_params_add(&update.params, INT8OID,
									 PG_GETARG_DATUM(3), false));
	}
	set_fields(&update, &fields);
	found = run_update(&update, touch, &version);
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(version);
}

/* The SET list of an update, and the condition that it changes something. */
static void
set_fields(Update *update, NvsEntryFields *fields)
{
	const NvsFieldMap *map = update->target->map;
	int			i;

	if (fields->clear_stats)
		clear_stats(update->target, fields);
	for (i = 0; i < map->nfields; i++)
		if (fields->given[i])
			set_field(update, &map->fields[i], fields->values[i]);
	set_extra(update, fields);
}

/* "stats": null removes every field of it. */
static void
clear_stats(const NvsTarget *target, NvsEntryFields *fields)
{
	NvsJsonbChild null = {"", 0, JENTRY_ISNULL};
	int			i;

	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];

		if (!field->in_stats || field->reserved || field->computed ||
			fields->given[i])
			continue;
		fields->given[i] = true;
		fields->values[i] = null;
	}
	nvs_jsonb_add_null(&fields->rest, NVS_KEY("stats"));
}

/* Set one column: objects merge, null removes, all else replaces. */
static void
set_field(Update *update, const NvsField *field, NvsJsonbChild value)
{
	StringInfoData param;
	Datum		datum;
	bool		isnull;

	if (value.type == JENTRY_ISNULL)
	{
		set_null(update, field);
		return;
	}
	if (nvs_jsonb_is_object(value) && field->takes_json)
	{
		set_document(update, field, value);
		return;
	}
	datum = nvs_field_datum(field, value, &isnull);
	initStringInfo(&param);
	nvs_sql_param(&param, "", nvs_params_add(&update->params, field->type,
											 datum, isnull));
	set_expression(update, field->quoted, NULL, param.data);
}

/* Remove a field: its column is NULL, or its default where it must not be. */
static void
set_null(Update *update, const NvsField *field)
{
	const NvsEntryState *state = update->target->state;
	const NvsEntryDefault *def =
		&state->defaults[field - update->target->map->fields];

	if (!field->not_null || (def->known && def->isnull))
		set_expression(update, field->quoted, NULL, "NULL");
	else if (def->known)
	{
		StringInfoData param;

		initStringInfo(&param);
		nvs_sql_param(&param, "", nvs_params_add(&update->params,
												 field->type, def->value,
												 false));
		set_expression(update, field->quoted, NULL, param.data);
	}
	else
	{
		/* What cannot be compared with counts as a change. */
		nvs_sql(&update->set, ", ", field->quoted, " = DEFAULT");
		nvs_sql(&update->differs, update->differs.len > 0 ? " OR " : "",
				"true");
	}
}

/* Merge an object into a column of documents. */
static void
set_document(Update *update, const NvsField *field, NvsJsonbChild value)
{
	StringInfoData before;
	StringInfoData after;
	Datum		patch = JsonbPGetDatum(nvs_child_document(value));
	int			param = nvs_params_add(&update->params, JSONBOID, patch,
									   false);

	initStringInfo(&before);
	initStringInfo(&after);
	nvs_sql(&before, "t.", field->quoted,
			field->kind == NVS_FIELD_JSONB ? "" : "::pg_catalog.jsonb");
	nvs_sql(&after, "nvent.jsonb_merge_patch(");
	if (nvs_leftover_possible(update->target, field))
		nvs_sql(&after, "CASE WHEN ",
				nvs_leftover_counts(update->target, field,
									&update->params),
				" THEN ", nvs_leftover_value(update->target, field),
				" ELSE ", before.data, " END");
	else
		nvs_sql(&after, before.data);
	nvs_sql_param(&after, ", ", param);
	nvs_sql(&after, ")");
	set_expression(update, field->quoted, before.data, after.data);
}

/*
 * Merge what has no column into extra.  Removals from "stats" are not merged,
 * as that would make the object where it is not.
 */
static void
set_extra(Update *update, NvsEntryFields *fields)
{
	const NvsTarget *target = update->target;
	const NvsEntryState *state = target->state;
	char	   *stripped = nvs_leftover_strip(target, fields->given);
	StringInfoData before;
	StringInfoData after;
	StringInfoData removed;
	Jsonb	   *rest;

	initStringInfo(&removed);
	if (state->extra != NULL && all_null(&fields->rest_stats))
		remove_stats(update, &fields->rest_stats, &removed);
	rest = nvs_entry_rest(target, fields);
	if (rest == NULL && stripped == NULL && removed.len == 0)
		return;

	initStringInfo(&before);
	initStringInfo(&after);
	nvs_sql(&before, "COALESCE(t.", state->extra->quoted, ", '{}')");
	nvs_sql(&after, rest != NULL ? "COALESCE(nvent.jsonb_merge_patch(" :
			"COALESCE(");
	if (stripped != NULL)
		nvs_sql(&after, stripped);
	else
		nvs_sql(&after, "t.", state->extra->quoted);
	if (rest != NULL)
	{
		nvs_sql_param(&after, ", ", nvs_params_add(&update->params,
												   JSONBOID,
												   JsonbPGetDatum(rest),
												   false));
		nvs_sql(&after, ")");
	}
	nvs_sql(&after, removed.data, ", '{}')");
	set_expression(update, state->extra->quoted, before.data, after.data);
}

/* Is every member of an object null? */
static bool
all_null(const NvsJsonb *object)
{
	uint32		i;

	for (i = 0; i < object->npairs; i++)
		if (object->pairs[i].value.type != JENTRY_ISNULL)
			return false;
	return true;
}

/* Have the members of an object be removed from "stats" in extra. */
static void
remove_stats(Update *update, NvsJsonb *object, StringInfo sql)
{
	uint32		i;

	for (i = 0; i < object->npairs; i++)
	{
		Datum		name = PointerGetDatum(cstring_to_text_with_len(
			object->pairs[i].key, object->pairs[i].keylen));

		nvs_sql_param(sql, " OPERATOR(pg_catalog.#-) ARRAY['stats', ",
					  nvs_params_add(&update->params, TEXTOID, name,
									 false));
		nvs_sql(sql, "]");
	}
	nvs_jsonb_reset(object);
}

/*
 * Have a column become an expression.  before is what it is now, in the form
 * to compare with; NULL for the column as it is.
 */
static void
set_expression(Update *update, const char *column, const char *before,
			   const char *after)
{
	nvs_sql(&update->set, ", ", column, " = ", after);
	nvs_sql(&update->differs, update->differs.len > 0 ? " OR " : "",
			"nvent.entry_is_changed(", before != NULL ? before : "t.",
			before != NULL ? "" : column, ", ", after, ")");
}

/*
 * Update the entry unless nothing differs.  Whether a row that was not
 * updated is missing or merely the same takes a look at it; if that look
 * finds a difference, the row came or changed meanwhile: once more.
 */
static bool
run_update(Update *update, bool touch, int64 *version)
{
	const NvsTarget *target = update->target;
	const NvsEntryState *state = target->state;
	StringInfoData sql;
	SPIPlanPtr	plan;
	int			tries;

	if (update->differs.len == 0)
		nvs_sql(&update->differs, "false");
	initStringInfo(&sql);
	nvs_sql(&sql, "UPDATE ", target->name, " AS t SET ",
			state->set_always, update->set.data, " WHERE ",
			update->where.data);
	if (!touch)
		nvs_sql(&sql, " AND (", update->differs.data, ")");
	nvs_sql(&sql, " RETURNING t.version::pg_catalog.int8");
	plan = nvs_planset_text(target->plans, sql.data, &update->params,
							CURSOR_OPT_GENERIC_PLAN);
	for (tries = 0; tries < NVS_MAX_TRIES; tries++)
	{
		Datum		value;
		Look		found;

		CHECK_FOR_INTERRUPTS();
		if (nvs_plan_first(plan, update->params.values, update->params.nulls,
						   false, CurrentMemoryContext, &value))
		{
			*version = DatumGetInt64(value);
			return true;
		}
		if (!look(update, &found))
			return false;
		*version = found.version;
		if (!found.differs && !touch)
			return true;
	}
	nvs_entry_not_taken(target);
}

/* Look at the entry; returns false when it is not there. */
static bool
look(Update *update, Look *found)
{
	const NvsTarget *target = update->target;
	const NvsEntryState *state = target->state;
	StringInfoData sql;
	SPIPlanPtr	plan;
	Datum		row[2];
	bool		nulls[2];

	initStringInfo(&sql);
	nvs_sql(&sql, "SELECT ", state->current_version,
			"::pg_catalog.int8, ", update->differs.data, " FROM ",
			target->name, " AS t WHERE ", update->where.data);
	plan = nvs_planset_text(target->plans, sql.data, &update->params,
							CURSOR_OPT_GENERIC_PLAN);
	if (!nvs_plan_row(plan, update->params.values, update->params.nulls,
					  false, CurrentMemoryContext, 2, row, nulls))
		return false;
	found->version = DatumGetInt64(row[0]);
	found->differs = DatumGetBool(row[1]);
	return true;
}

/*
 * nvent.entry_is_changed(before, after): are two values other bytes?  Unlike IS
 * DISTINCT FROM it needs no operator, which the caller's search_path names.
 */
Datum
nvs_entry_is_changed(PG_FUNCTION_ARGS)
{
	int16		typlen;
	bool		typbyval;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(PG_ARGISNULL(0) != PG_ARGISNULL(1));
	/* The very same value needs no look, which might have to fetch it. */
	if (PG_GETARG_DATUM(0) == PG_GETARG_DATUM(1))
		PG_RETURN_BOOL(false);
	get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 0), &typlen,
					&typbyval);
	PG_RETURN_BOOL(!datum_image_eq(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1),
								   typbyval, typlen));
}
