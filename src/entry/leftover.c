/*
 * entry/leftover.c
 *	  Fields of extra that have got a column of their own since.
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

static void leftover_add_path(NvsEntryExtraPath *paths, int *n,
							  const char *name, bool in_stats);
static char *leftover_path_text(const NvsEntryExtraPath *path);

/* Can there be leftovers of a column? */
bool
nvs_entry_leftover_possible(const NvsEntryState *state, const NvsField *field)
{
	return state->extra != NULL && !field->reserved && !field->computed &&
		field->attnum > state->extra->attnum;
}

/*
 * Where in extra a field may be, by all its names.  Returns how many paths
 * there are; they are in the current memory context.
 */
int
nvs_entry_leftover_paths(const NvsTarget *target, const NvsField *field,
						 const NvsEntryExtraPath **result)
{
	const NvsFieldMap *map = target->map;
	NvsEntryExtraPath *paths = palloc(sizeof(NvsEntryExtraPath) *
									  (map->naliases + 3));
	int			n = 0;
	int			i;

	leftover_add_path(paths, &n, field->name, field->in_stats);
	if (field->in_stats)
		leftover_add_path(paths, &n, strchr(field->column, '_') + 1, true);
	leftover_add_path(paths, &n, field->column, false);
	for (i = 0; i < map->naliases; i++)
		if (map->aliases[i].field == field)
			leftover_add_path(paths, &n, map->aliases[i].name, false);
	*result = paths;
	return n;
}

/* Add a path that is not among the paths yet. */
static void
leftover_add_path(NvsEntryExtraPath *paths, int *n, const char *name,
				  bool in_stats)
{
	int			i;

	for (i = 0; i < *n; i++)
		if (paths[i].in_stats == in_stats && strcmp(paths[i].name, name) == 0)
			return;
	paths[*n].name = name;
	paths[*n].in_stats = in_stats;
	(*n)++;
}

/* A document of extra's form that has a value at a path, and nothing else. */
Jsonb *
nvs_entry_leftover_nest(const NvsEntryExtraPath *path, NvsJsonbChild value)
{
	NvsJsonb	member;
	NvsJsonb	stats;

	nvs_jsonb_init(&member);
	nvs_jsonb_add_child(&member, path->name, strlen(path->name), value);
	if (!path->in_stats)
		return nvs_jsonb_finish(&member);
	nvs_jsonb_init(&stats);
	nvs_jsonb_add_object(&stats, NVS_KEY("stats"), &member);
	return nvs_jsonb_finish(&stats);
}

/* A path as an SQL expression. */
static char *
leftover_path_text(const NvsEntryExtraPath *path)
{
	return psprintf("ARRAY[%s%s]", path->in_stats ? "'stats', " : "",
					quote_literal_cstr(path->name));
}

/* The SQL expression of a field's leftover, NULL when there is none. */
char *
nvs_entry_leftover_value(const NvsTarget *target, const NvsField *field)
{
	const NvsEntryState *state = target->state;
	const NvsEntryExtraPath *paths;
	int			n = nvs_entry_leftover_paths(target, field, &paths);
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < n; i++)
		nvs_sql(&sql, i > 0 ? ", t." : "COALESCE(t.",
				state->extra->quoted, " OPERATOR(pg_catalog.#>) ",
				leftover_path_text(&paths[i]));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * The SQL condition that there is a leftover and that it is the field's value.
 * Its parameters are added.
 */
char *
nvs_entry_leftover_counts(const NvsTarget *target, const NvsField *field,
						  NvsParams *params)
{
	const NvsEntryState *state = target->state;
	const NvsEntryDefault *def =
		&state->defaults[field - target->map->fields];
	StringInfoData sql;

	initStringInfo(&sql);
	nvs_sql(&sql, "(", nvs_entry_leftover_value(target, field),
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
 * The SQL expression of extra without the leftovers of some columns, one bool
 * for each of the map; NULL when none of them can have any.  In a row that has
 * none the expression is the very value of extra, which costs no copy.
 */
char *
nvs_entry_leftover_strip(const NvsTarget *target, const bool *columns)
{
	const NvsEntryState *state = target->state;
	const char *extra = state->extra == NULL ? "" : state->extra->quoted;
	StringInfoData values;
	StringInfoData stripped;
	char	   *open;
	int			depth = 0;
	int			i;

	/* All leftovers, and the removal of each at each of its paths. */
	initStringInfo(&values);
	initStringInfo(&stripped);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const NvsEntryExtraPath *paths;
		int			n;

		if (!columns[i] || !nvs_entry_leftover_possible(state, field))
			continue;
		nvs_sql(&values, values.len > 0 ? ", " : "",
				nvs_entry_leftover_value(target, field));
		n = nvs_entry_leftover_paths(target, field, &paths);
		depth += n;
		while (n-- > 0)
			nvs_sql(&stripped, " OPERATOR(pg_catalog.#-) ",
					leftover_path_text(&paths[n]), ")");
	}
	if (depth == 0)
		return NULL;

	/* A parenthesis for each removal. */
	open = palloc(depth + 1);
	memset(open, '(', depth);
	open[depth] = '\0';
	return psprintf("CASE WHEN COALESCE(%s) IS NULL THEN t.%s "
					"ELSE %st.%s%s END", values.data, extra, open, extra,
					stripped.data);
}

/*
 * Does a column hold what it was added with, or nothing, so that a leftover is
 * the field's value?
 */
bool
nvs_entry_leftover_is_default(const NvsTarget *target, const NvsField *field,
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
