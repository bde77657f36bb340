/*
 * entry/leftover.c
 *	  Fields in column extra that have got a column of their own since.
 *
 * A field without a column is kept in extra.  When its column is added to the
 * table, entries keep what they had: the value in extra, a leftover, is the
 * field's value as long as the column has its default or NULL, and whatever
 * writes the field takes the leftover out of extra.  So nothing is lost by
 * adding a column, and what is removed does not come back.
 *
 * Only columns that are younger than extra can have leftovers.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "base/text.h"
#include "entry/entry.h"

static void add_place(NvsLeftoverPlace *places, int *n, const char *name,
					  bool in_stats);
static char *path_of(const NvsLeftoverPlace *place);

/* Can there be leftovers of a column? */
bool
nvs_leftover_possible(const NvsTarget *target, const NvsField *field)
{
	const NvsEntryState *state = target->state;

	return state->extra != NULL && !field->reserved && !field->computed &&
		field->attnum > state->extra->attnum;
}

/* Where in extra a field may be, by all its names.  Returns their number. */
int
nvs_leftover_places(const NvsTarget *target, const NvsField *field,
					const NvsLeftoverPlace **result)
{
	const NvsFieldMap *map = target->map;
	NvsLeftoverPlace *places = palloc(sizeof(NvsLeftoverPlace) *
									  (map->naliases + 3));
	int			n = 0;
	int			i;

	add_place(places, &n, field->name, field->in_stats);
	if (field->in_stats)
		add_place(places, &n, strchr(field->column, '_') + 1, true);
	add_place(places, &n, field->column, false);
	for (i = 0; i < map->naliases; i++)
		if (map->aliases[i].field == field)
			add_place(places, &n, map->aliases[i].name, false);
	*result = places;
	return n;
}

/* Add a place that is not there yet. */
static void
add_place(NvsLeftoverPlace *places, int *n, const char *name, bool in_stats)
{
	int			i;

	for (i = 0; i < *n; i++)
		if (places[i].in_stats == in_stats &&
			strcmp(places[i].name, name) == 0)
			return;
	places[*n].name = name;
	places[*n].in_stats = in_stats;
	(*n)++;
}

/* A document of extra's form that has a value at a place, and nothing else. */
Jsonb *
nvs_leftover_nest(const NvsLeftoverPlace *place, NvsJsonbChild value)
{
	NvsJsonb	member;
	NvsJsonb	stats;

	nvs_jsonb_init(&member);
	nvs_jsonb_add_child(&member, place->name, strlen(place->name), value);
	if (!place->in_stats)
		return nvs_jsonb_finish(&member);
	nvs_jsonb_init(&stats);
	nvs_jsonb_add_object(&stats, NVS_KEY("stats"), &member);
	return nvs_jsonb_finish(&stats);
}

/* The path of a place, as an SQL expression. */
static char *
path_of(const NvsLeftoverPlace *place)
{
	return psprintf("ARRAY[%s%s]", place->in_stats ? "'stats', " : "",
					quote_literal_cstr(place->name));
}

/* The expression of a field's leftover, NULL when there is none. */
char *
nvs_leftover_value(const NvsTarget *target, const NvsField *field)
{
	const NvsEntryState *state = target->state;
	const NvsLeftoverPlace *places;
	int			n = nvs_leftover_places(target, field, &places);
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < n; i++)
		nvs_sql(&sql, i > 0 ? ", t." : "COALESCE(t.",
				state->extra->quoted, " OPERATOR(pg_catalog.#>) ",
				path_of(&places[i]));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* The condition that a leftover is there and is the field's value. */
char *
nvs_leftover_counts(const NvsTarget *target, const NvsField *field,
					NvsParams *params)
{
	const NvsEntryState *state = target->state;
	const NvsEntryDefault *def =
		&state->defaults[field - target->map->fields];
	StringInfoData sql;

	initStringInfo(&sql);
	nvs_sql(&sql, "(", nvs_leftover_value(target, field),
			" IS NOT NULL AND (t.", field->quoted, " IS NULL");
	if (def->known && !def->isnull)
	{
		nvs_sql(&sql, " OR NOT nvent.entry_is_changed(t.", field->quoted);
		nvs_sql_param(&sql, ", ", nvs_params_add(params, field->type,
												 def->value, false));
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, "))");
	return sql.data;
}

/*
 * The expression of extra without the leftovers of some columns, one bool for
 * each of the map; NULL when none of them can have any.  Where there are none
 * it is the very value that is there.
 */
char *
nvs_leftover_strip(const NvsTarget *target, const bool *columns)
{
	const NvsEntryState *state = target->state;
	const char *extra = state->extra == NULL ? "" : state->extra->quoted;
	StringInfoData values;
	StringInfoData stripped;
	char	   *open;
	int			depth = 0;
	int			i;

	initStringInfo(&values);
	initStringInfo(&stripped);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const NvsLeftoverPlace *places;
		int			n;

		if (!columns[i] || !nvs_leftover_possible(target, field))
			continue;
		nvs_sql(&values, values.len > 0 ? ", " : "",
				nvs_leftover_value(target, field));
		n = nvs_leftover_places(target, field, &places);
		depth += n;
		while (n-- > 0)
			nvs_sql(&stripped, " OPERATOR(pg_catalog.#-) ",
					path_of(&places[n]), ")");
	}
	if (depth == 0)
		return NULL;
	open = palloc(depth + 1);
	memset(open, '(', depth);
	open[depth] = '\0';
	return psprintf("CASE WHEN COALESCE(%s) IS NULL THEN t.%s "
					"ELSE %st.%s%s END", values.data, extra, open, extra,
					stripped.data);
}

/* Does a column hold what it was added with, or nothing? */
bool
nvs_leftover_is_default(const NvsTarget *target, const NvsField *field,
						Datum value, bool isnull)
{
	const NvsEntryState *state = target->state;
	const NvsEntryDefault *def =
		&state->defaults[field - target->map->fields];
	int16		typlen;
	bool		typbyval;

	if (isnull)
		return true;
	if (!def->known || def->isnull)
		return false;
	get_typlenbyval(field->type, &typlen, &typbyval);
	return datum_image_eq(value, def->value, typbyval, typlen);
}
