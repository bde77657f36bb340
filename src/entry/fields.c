/*
 * entry/fields.c
 *	  Metadata of entries, taken apart into columns and the rest.
 *
 * What has no column goes to column extra as it is.  The object "stats" is
 * taken apart too where the table has columns for its fields.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "entry/entry.h"

static void fields_parse_stats(const NvsTarget *target, NvsJsonbChild stats,
							   NvsEntryFields *fields);
static void fields_give(const NvsTarget *target, const NvsField *field,
						NvsJsonbChild value, NvsEntryFields *fields);
static bool fields_are_equal(NvsJsonbChild a, NvsJsonbChild b);
static bool fields_is_version(const char *name, int len);

/* Raise an error unless metadata is an object. */
void
nvs_entry_check_metadata(const Jsonb *doc)
{
	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata must be a JSON object")));
}

/*
 * Sort the fields of metadata, an object, into columns and the rest; a dotted
 * name is a path.  What fields points to is in the current memory context or
 * in the metadata.
 */
void
nvs_entry_parse(const NvsTarget *target, const Jsonb *metadata,
				NvsEntryFields *fields)
{
	const NvsFieldMap *map = target->map;
	const JsonbContainer *jc = &nvs_paths_expand(metadata)->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	fields->given = palloc0(sizeof(bool) * map->nfields);
	fields->values = palloc(sizeof(NvsJsonbChild) * map->nfields);
	nvs_jsonb_init(&fields->rest);
	nvs_jsonb_init(&fields->rest_stats);
	fields->clear_stats = false;

	/* Any name of a column leads to it; what leads to none keeps its name. */
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find(map, name.data, name.len);

		CHECK_FOR_INTERRUPTS();
		if (field != NULL)
			fields_give(target, field, value, fields);
		else if (fields_is_version(name.data, name.len))
			continue;			/* ours to count */
		else if (nvs_entry_is_stats(target, name.data, name.len))
			fields_parse_stats(target, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest, name.data, name.len, value);
	}
}

/*
 * Sort the fields of the object "stats", of a table that has columns for some
 * of them.
 */
static void
fields_parse_stats(const NvsTarget *target, NvsJsonbChild stats,
				   NvsEntryFields *fields)
{
	const JsonbContainer *jc = (const JsonbContainer *) stats.data;
	uint32		n;
	uint32		i;

	/*
	 * The field as a whole: null takes all of it away, in columns and in
	 * extra.
	 */
	if (stats.type == JENTRY_ISNULL)
	{
		fields->clear_stats = true;
		return;
	}
	if (!nvs_jsonb_is_object(stats))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"stats\" must be an object"),
				 errdetail("Table %s has columns for its fields.",
						   target->name)));

	/* Each of its fields, with a column or without. */
	n = JsonContainerSize(jc);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find_stat(target->map, name.data,
													name.len);

		CHECK_FOR_INTERRUPTS();
		if (field != NULL)
			fields_give(target, field, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest_stats, name.data, name.len,
								value);
	}
}

/*
 * Note the value of a column.  Raises an error when the database computes the
 * column or the metadata has another value of it under another name.
 */
static void
fields_give(const NvsTarget *target, const NvsField *field, NvsJsonbChild value,
			NvsEntryFields *fields)
{
	int			i = field - target->map->fields;

	nvs_entry_check_writable(target, field);
	if (fields->given[i] && !fields_are_equal(fields->values[i], value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->label),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	fields->given[i] = true;
	fields->values[i] = value;
}

/* Are two values the same bytes? */
static bool
fields_are_equal(NvsJsonbChild a, NvsJsonbChild b)
{
	return a.type == b.type && a.len == b.len &&
		memcmp(a.data, b.data, a.len) == 0;
}

/* Is that the name of the field that counts an entry's changes? */
static bool
fields_is_version(const char *name, int len)
{
	return len == 7 && memcmp(name, "version", 7) == 0;
}

/* Is that the object "stats", and has the table columns for its fields? */
bool
nvs_entry_is_stats(const NvsTarget *target, const char *name, int len)
{
	return target->map->has_stats && len == 5 &&
		memcmp(name, "stats", 5) == 0;
}

/* Raise an error for a column that the database computes. */
void
nvs_entry_check_writable(const NvsTarget *target, const NvsField *field)
{
	if (field->computed)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("field \"%s\" cannot be written", field->label),
				 errdetail("Column \"%s\" of table %s is computed by the "
						   "database.", field->column, target->name),
				 errhint("Leave the field out.")));
}

/*
 * What goes to column extra; NULL when there is nothing.  Raises an error when
 * there is something and the table has no such column.
 */
Jsonb *
nvs_entry_rest(const NvsTarget *target, NvsEntryFields *fields)
{
	const NvsEntryState *state = target->state;

	if (fields->rest_stats.npairs > 0)
		nvs_jsonb_add_object(&fields->rest, NVS_KEY("stats"),
							 &fields->rest_stats);
	if (fields->rest.npairs == 0)
		return NULL;
	if (state->extra == NULL)
		nvs_entry_no_column(target, fields->rest.pairs[0].key,
							fields->rest.pairs[0].keylen);
	return nvs_jsonb_finish(&fields->rest);
}

/* Report a field that the table has no place for. */
void
nvs_entry_no_column(const NvsTarget *target, const char *name, int len)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s has no column for field \"%.*s\"",
					target->name, pg_mbcliplen(name, len, 100), name),
			 errhint("Add the column, or a column \"extra\" of type jsonb for "
					 "all such fields.")));
}

/*
 * The column of a field whose name may be dotted; NULL if it has none.
 * *consumed is how much of the name says the column; what follows a dot there
 * is a path in it.
 */
const NvsField *
nvs_entry_find(const NvsTarget *target, const char *name, int len,
			   int *consumed)
{
	const NvsEntryState *state = target->state;
	const char *end = name + len;
	const char *dot = memchr(name, '.', len);

	*consumed = dot == NULL ? len : dot - name;
	if (fields_is_version(name, *consumed))
		return state->version;
	if (dot == NULL || !nvs_entry_is_stats(target, name, *consumed))
		return nvs_field_find(target->map, name, *consumed);

	/* The column of stats.x is said by two elements. */
	name = dot + 1;
	dot = memchr(name, '.', end - name);
	*consumed = len - (dot == NULL ? 0 : end - dot);
	return nvs_field_find_stat(target->map, name,
							   (dot == NULL ? end : dot) - name);
}

/* Raise an error for a dotted path such as a..b, which nothing has. */
void
nvs_entry_check_path(const char *path, int len)
{
	int			i;

	for (i = 0; i <= len; i++)
		if ((i == len || path[i] == '.') && (i == 0 || path[i - 1] == '.'))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path \"%.*s\" has an empty element",
							pg_mbcliplen(path, len, 100), path)));
}

/*
 * The elements of a dotted path, which they point into, and how many there
 * are.  Raises 54000 for a path that has too many.
 */
NvsJsonbKey *
nvs_entry_path_keys(const char *path, int len, int *npath)
{
	const char *end = path + len;
	const char *p;
	NvsJsonbKey *keys;
	int			n = 1;
	int			i;

	for (p = path; p < end; p++)
		if (*p == '.')
			n++;
	nvs_paths_check_length(n, path, len);
	keys = palloc(sizeof(NvsJsonbKey) * n);
	for (i = 0; i < n; i++)
	{
		const char *dot = memchr(path, '.', end - path);

		keys[i].data = path;
		keys[i].len = (dot == NULL ? end : dot) - path;
		path += keys[i].len + 1;
	}
	*npath = n;
	return keys;
}

/* The dotted path a.b as the array {a,b}; errors as nvs_entry_path_keys(). */
Datum
nvs_entry_path(const char *path, int len)
{
	int			n;
	NvsJsonbKey *keys = nvs_entry_path_keys(path, len, &n);
	Datum	   *elements = palloc(sizeof(Datum) * n);
	int			i;

	for (i = 0; i < n; i++)
		elements[i] = PointerGetDatum(cstring_to_text_with_len(keys[i].data,
															   keys[i].len));
	return nvs_array_of(TEXTOID, elements, NULL, n);
}
