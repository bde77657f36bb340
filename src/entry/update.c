/*
 * entry/update.c
 *	  Entries: merge into one, as RFC 7396 says.
 *
 * The merge is done by the statement itself, on the row as it is when the
 * row's lock is had, so two updates of different fields both survive, in
 * columns as inside one document.  An update that would change nothing writes
 * nothing: it answers the version that the entry has.  Of an entry that nobody
 * else has, entry/overwrite.c does the same without a statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "base/arg.h"
#include "base/text.h"
#include "entry/overwrite.h"

/* An UPDATE, in the making. */
typedef struct EntryUpdate
{
	const NvsTarget *target;
	NvsParams	params;
	StringInfoData where;		/* which entry, and of which version */
	StringInfoData set;			/* columns besides those always set */
	StringInfoData differs;		/* whether that is a change */
} EntryUpdate;

/* The entry as it is. */
typedef struct EntryLook
{
	int64		version;
	bool		differs;		/* the update would change it */
} EntryLook;

PG_FUNCTION_INFO_V1(nvs_entry_is_changed);
PG_FUNCTION_INFO_V1(nvs_entry_update);

static NvsEntryOutcome update_overwrite(const NvsResolved *resolved,
										text *id, const Jsonb *metadata,
										NvsEntryChanges *changes,
										int64 *version);
static bool update_list(const NvsTarget *target, const Jsonb *metadata,
						NvsEntryChanges *changes);
static bool update_list_field(const NvsTarget *target, const NvsField *field,
							  NvsJsonbChild value, NvsEntryChange *change);
static bool update_list_null(const NvsTarget *target, const NvsField *field,
							 NvsEntryChange *change);
static bool update_statement(const NvsResolved *resolved, text *id,
							 const Jsonb *metadata,
							 const NvsEntryChanges *changes,
							 int64 *version);
static void update_init(EntryUpdate *update, const NvsResolved *resolved,
						text *id);
static void update_expect_version(EntryUpdate *update, int64 version);
static void update_fields(EntryUpdate *update, NvsEntryFields *fields);
static void update_clear_stats(const NvsTarget *target,
							   NvsEntryFields *fields);
static void update_field(EntryUpdate *update, const NvsField *field,
						 NvsJsonbChild value);
static void update_null(EntryUpdate *update, const NvsField *field);
static void update_document(EntryUpdate *update, const NvsField *field,
							NvsJsonbChild value);
static void update_extra(EntryUpdate *update, NvsEntryFields *fields);
static bool update_all_null(const NvsJsonb *object);
static void update_remove_stats(EntryUpdate *update, NvsJsonb *object,
								StringInfo sql);
static void update_expression(EntryUpdate *update, const char *column,
							  const char *before, const char *after);
static bool update_run(EntryUpdate *update, bool touch, int64 *version);
static bool update_look(EntryUpdate *update, EntryLook *found);

/*
 * nvent.entry_update(key, id, metadata, expected_version, touch): the
 * entry's version; NULL when there is no such entry or it is not at the
 * expected version.
 */
Datum
nvs_entry_update(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsEntryChanges changes = {0};
	Jsonb	   *metadata;
	bool		found;
	int64		version;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "id");
	NVS_REQUIRE_ARG(2, "metadata");
	metadata = PG_GETARG_JSONB_P(2);
	nvs_entry_check_metadata(metadata);
	changes.expects = !PG_ARGISNULL(3);
	changes.expected = NVS_ARG_OR(3, PG_GETARG_INT64, 0);
	changes.touch = NVS_ARG_OR(4, PG_GETARG_BOOL, false);

	nvs_spi_begin();

	/*
	 * What the short way leaves is a statement's, and so is all that is an
	 * error.
	 */
	found = nvs_entry_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_CHANGE, &resolved);
	if (found)
		switch (update_overwrite(&resolved, PG_GETARG_TEXT_PP(1), metadata,
								 &changes, &version))
		{
			case NVS_ENTRY_LEFT:
				found = update_statement(&resolved, PG_GETARG_TEXT_PP(1),
										 metadata, &changes, &version);
				break;
			case NVS_ENTRY_OTHER_VERSION:
				found = false;
				break;
			default:
				break;
		}
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(version);
}

/* Update an entry without a statement, if that can be done. */
static NvsEntryOutcome
update_overwrite(const NvsResolved *resolved, text *id, const Jsonb *metadata,
				 NvsEntryChanges *changes, int64 *version)
{
	const NvsTarget *target = resolved->target;
	NvsParams	params;

	if (((NvsEntryState *) target->state)->overwrite == NULL)
		return NVS_ENTRY_LEFT;
	nvs_entry_params(resolved, id, &params);
	if (!update_list(target, metadata, changes))
		return NVS_ENTRY_LEFT;
	return nvs_entry_overwrite(target, &params, changes, version, NULL, NULL);
}

/*
 * List what is done to each column that is given, and to extra.  False when
 * some of it takes a statement; errors of the metadata are those of that.
 */
static bool
update_list(const NvsTarget *target, const Jsonb *metadata,
			NvsEntryChanges *changes)
{
	const NvsEntryState *state = target->state;
	const NvsFieldMap *map = target->map;
	NvsEntryFields fields;
	NvsEntryChange *change;
	Jsonb	   *rest;
	int			i;

	nvs_entry_parse(target, metadata, &fields);
	if (fields.clear_stats)
		return false;

	/* Columns, which have one change each, and extra may have one more. */
	changes->changes = palloc0(sizeof(NvsEntryChange) * (map->nfields + 1));
	for (i = 0; i < map->nfields; i++)
		if (fields.given[i] &&
			!update_list_field(target, &map->fields[i], fields.values[i],
							   &changes->changes[changes->n++]))
			return false;

	/* What has no column; removals from "stats" are no merge. */
	if (state->extra != NULL && fields.rest_stats.npairs > 0 &&
		update_all_null(&fields.rest_stats))
		return false;
	rest = nvs_entry_rest(target, &fields);
	if (rest == NULL)
		return true;
	change = &changes->changes[changes->n++];
	change->kind = NVS_CHANGE_MERGE;
	change->field = state->extra;
	change->value = JsonbPGetDatum(rest);
	return nvs_entry_overwrite_can(target, state->extra, NVS_CHANGE_MERGE);
}

/* What is done to one column; false when that takes a statement. */
static bool
update_list_field(const NvsTarget *target, const NvsField *field,
				  NvsJsonbChild value, NvsEntryChange *change)
{
	change->kind = NVS_CHANGE_SET;
	change->field = field;
	if (value.type == JENTRY_ISNULL)
		return update_list_null(target, field, change);
	if (nvs_jsonb_is_object(value) && field->takes_json)
	{
		change->kind = NVS_CHANGE_MERGE;
		change->value = JsonbPGetDatum(nvs_jsonb_from_child(value));
	}
	else
		change->value = nvs_field_datum(field, value, &change->isnull);
	return nvs_entry_overwrite_can(target, field, change->kind);
}

/* What is done to a column whose field is removed, as update_null() has it. */
static bool
update_list_null(const NvsTarget *target, const NvsField *field,
				 NvsEntryChange *change)
{
	const NvsEntryState *state = target->state;
	const NvsEntryDefault *def = &state->defaults[field - target->map->fields];

	change->isnull = !field->not_null || (def->known && def->isnull);
	change->value = def->value;
	return (change->isnull || def->known) &&
		nvs_entry_overwrite_can(target, field, NVS_CHANGE_SET);
}

/* Update an entry by a statement; false when it is not there. */
static bool
update_statement(const NvsResolved *resolved, text *id, const Jsonb *metadata,
				 const NvsEntryChanges *changes, int64 *version)
{
	NvsEntryFields fields;
	EntryUpdate update;

	update_init(&update, resolved, id);
	if (changes->expects)
		update_expect_version(&update, changes->expected);
	nvs_entry_parse(resolved->target, metadata, &fields);
	update_fields(&update, &fields);
	return update_run(&update, changes->touch, version);
}

/* Begin an update of an entry. */
static void
update_init(EntryUpdate *update, const NvsResolved *resolved, text *id)
{
	const NvsEntryState *state = resolved->target->state;

	update->target = resolved->target;
	nvs_entry_params(resolved, id, &update->params);
	initStringInfo(&update->where);
	initStringInfo(&update->set);
	initStringInfo(&update->differs);
	nvs_sql(&update->where, state->this_entry);
}

/* Have it find the entry at this version only. */
static void
update_expect_version(EntryUpdate *update, int64 version)
{
	const NvsEntryState *state = update->target->state;

	nvs_sql(&update->where, " AND ", state->current_version);
	nvs_sql_param(&update->where, " OPERATOR(pg_catalog.=) ",
				  nvs_params_add(&update->params, INT8OID,
								 Int64GetDatum(version), false));
}

/* Build the SET list, and the condition that it changes something. */
static void
update_fields(EntryUpdate *update, NvsEntryFields *fields)
{
	const NvsFieldMap *map = update->target->map;
	int			i;

	if (fields->clear_stats)
		update_clear_stats(update->target, fields);
	for (i = 0; i < map->nfields; i++)
		if (fields->given[i])
			update_field(update, &map->fields[i], fields->values[i]);
	update_extra(update, fields);
}

/* Have each field of "stats" be null, unless it is given: "stats" is null. */
static void
update_clear_stats(const NvsTarget *target, NvsEntryFields *fields)
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

/* Have one column be set: objects merge, null removes, all else replaces. */
static void
update_field(EntryUpdate *update, const NvsField *field, NvsJsonbChild value)
{
	StringInfoData param;
	Datum		datum;
	bool		isnull;

	if (value.type == JENTRY_ISNULL)
	{
		update_null(update, field);
		return;
	}
	if (nvs_jsonb_is_object(value) && field->takes_json)
	{
		update_document(update, field, value);
		return;
	}
	datum = nvs_field_datum(field, value, &isnull);
	initStringInfo(&param);
	nvs_sql_param(&param, "", nvs_params_add(&update->params, field->type,
											 datum, isnull));
	update_expression(update, field->quoted, NULL, param.data);
}

/*
 * Have a field be removed: its column becomes NULL, or its default where it
 * must not be NULL.
 */
static void
update_null(EntryUpdate *update, const NvsField *field)
{
	const NvsEntryState *state = update->target->state;
	const NvsEntryDefault *def =
		&state->defaults[field - update->target->map->fields];

	if (!field->not_null || (def->known && def->isnull))
		update_expression(update, field->quoted, NULL, "NULL");
	else if (def->known)
	{
		StringInfoData param;

		initStringInfo(&param);
		nvs_sql_param(&param, "", nvs_params_add(&update->params,
												 field->type, def->value,
												 false));
		update_expression(update, field->quoted, NULL, param.data);
	}
	else
	{
		/* What cannot be compared with counts as a change. */
		nvs_sql(&update->set, ", ", field->quoted, " = DEFAULT");
		nvs_sql(&update->differs, update->differs.len > 0 ? " OR " : "",
				"true");
	}
}

/* Have an object be merged into a column of documents, or its leftover. */
static void
update_document(EntryUpdate *update, const NvsField *field, NvsJsonbChild value)
{
	StringInfoData before;
	StringInfoData after;
	Datum		patch = JsonbPGetDatum(nvs_jsonb_from_child(value));
	int			param = nvs_params_add(&update->params, JSONBOID, patch,
									   false);

	initStringInfo(&before);
	initStringInfo(&after);
	nvs_sql(&before, "t.", field->quoted,
			field->kind == NVS_FIELD_JSONB ? "" : "::pg_catalog.jsonb");
	nvs_sql(&after, "nvent.jsonb_merge_patch(");
	if (nvs_entry_leftover_possible(update->target->state, field))
		nvs_sql(&after, "CASE WHEN ",
				nvs_entry_leftover_counts(update->target, field,
										  &update->params),
				" THEN ", nvs_entry_leftover_value(update->target, field),
				" ELSE ", before.data, " END");
	else
		nvs_sql(&after, before.data);
	nvs_sql_param(&after, ", ", param);
	nvs_sql(&after, ")");
	update_expression(update, field->quoted, before.data, after.data);
}

/*
 * Have what has no column be merged into extra, and leftovers of the columns
 * that are set be taken out.  Removals from "stats" are not merged, as that
 * would make the object where it is not.
 */
static void
update_extra(EntryUpdate *update, NvsEntryFields *fields)
{
	const NvsTarget *target = update->target;
	const NvsEntryState *state = target->state;
	char	   *stripped = nvs_entry_leftover_strip(target, fields->given);
	StringInfoData before;
	StringInfoData after;
	StringInfoData removed;
	Jsonb	   *rest;

	/* What is to be done. */
	initStringInfo(&removed);
	if (state->extra != NULL && update_all_null(&fields->rest_stats))
		update_remove_stats(update, &fields->rest_stats, &removed);
	rest = nvs_entry_rest(target, fields);
	if (rest == NULL && stripped == NULL && removed.len == 0)
		return;

	/* Its expression: take leftovers out, merge, remove. */
	initStringInfo(&before);
	initStringInfo(&after);
	nvs_sql(&before, "COALESCE(t.", state->extra->quoted, ", '{}')");
	nvs_sql(&after, rest != NULL ? "COALESCE(nvent.jsonb_merge_patch(" :
			"COALESCE(", stripped != NULL ? stripped : "t.",
			stripped != NULL ? "" : state->extra->quoted);
	if (rest != NULL)
	{
		nvs_sql_param(&after, ", ", nvs_params_add(&update->params,
												   JSONBOID,
												   JsonbPGetDatum(rest),
												   false));
		nvs_sql(&after, ")");
	}
	nvs_sql(&after, removed.data, ", '{}')");
	update_expression(update, state->extra->quoted, before.data, after.data);
}

/* Is every member of an object null? */
static bool
update_all_null(const NvsJsonb *object)
{
	uint32		i;

	for (i = 0; i < object->npairs; i++)
		if (object->pairs[i].value.type != JENTRY_ISNULL)
			return false;
	return true;
}

/*
 * Build the removal of the members of an object from "stats" in extra, and
 * empty the object.
 */
static void
update_remove_stats(EntryUpdate *update, NvsJsonb *object, StringInfo sql)
{
	uint32		i;

	for (i = 0; i < object->npairs; i++)
	{
		const NvsJsonbPair *pair = &object->pairs[i];
		text	   *name = cstring_to_text_with_len(pair->key, pair->keylen);

		nvs_sql_param(sql, " OPERATOR(pg_catalog.#-) ARRAY['stats', ",
					  nvs_params_add(&update->params, TEXTOID,
									 PointerGetDatum(name), false));
		nvs_sql(sql, "]");
	}
	nvs_jsonb_reset(object);
}

/*
 * Have a column become an expression.  before is what it is now, in the form
 * to compare with; NULL for the column as it is.
 */
static void
update_expression(EntryUpdate *update, const char *column, const char *before,
				  const char *after)
{
	nvs_sql(&update->set, ", ", column, " = ", after);
	nvs_sql(&update->differs, update->differs.len > 0 ? " OR " : "",
			"nvent.entry_is_changed(", before != NULL ? before : "t.",
			before != NULL ? "" : column, ", ", after, ")");
}

/*
 * Update the entry unless nothing differs; *version is its version then.
 * Returns false when it is not there.  Whether a row that was not updated is
 * missing or merely the same takes a look at it; if that look finds a
 * difference, the row came or changed meanwhile: once more.
 */
static bool
update_run(EntryUpdate *update, bool touch, int64 *version)
{
	const NvsTarget *target = update->target;
	const NvsEntryState *state = target->state;
	StringInfoData sql;
	SPIPlanPtr	plan;
	int			retries;

	/* Build the statement. */
	if (update->differs.len == 0)
		nvs_sql(&update->differs, "false");
	initStringInfo(&sql);
	nvs_sql(&sql, "UPDATE ", target->name, " AS t SET ",
			state->set_always, update->set.data, " WHERE ",
			update->where.data);
	if (!touch)
		nvs_sql(&sql, " AND (", update->differs.data, ")");
	nvs_sql(&sql, " RETURNING t.version::pg_catalog.int8");
	plan = nvs_statement_plan_text(target->plans, sql.data, &update->params,
								   NVS_PLAN_GENERIC);

	/* Run it, and look where nothing was updated. */
	for (retries = 0; retries < NVS_ENTRY_MAX_RETRIES; retries++)
	{
		Datum		value;
		EntryLook	found;

		CHECK_FOR_INTERRUPTS();
		if (nvs_execute_first(plan, &update->params, false,
							  CurrentMemoryContext, &value))
		{
			*version = DatumGetInt64(value);
			return true;
		}
		if (!update_look(update, &found))
			return false;
		*version = found.version;
		if (!found.differs && !touch)
			return true;
	}
	nvs_entry_refused(target);
}

/* Look at the entry; returns false when it is not there. */
static bool
update_look(EntryUpdate *update, EntryLook *found)
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
	plan = nvs_statement_plan_text(target->plans, sql.data, &update->params,
								   NVS_PLAN_GENERIC);
	if (!nvs_execute_row(plan, &update->params, false, CurrentMemoryContext,
						 2, row, nulls))
		return false;
	found->version = DatumGetInt64(row[0]);
	found->differs = DatumGetBool(row[1]);
	return true;
}

/*
 * nvent.entry_is_changed(before, after): do two values differ in any byte?
 * Unlike IS DISTINCT FROM it needs no operator, which search_path would choose.
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
