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
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "entry/entry.h"

static void parse_stats(const NvsTarget *target, NvsJsonbChild stats,
						NvsEntryFields *fields);
static void give(const NvsTarget *target, const NvsField *field,
				 NvsJsonbChild value, NvsEntryFields *fields);

/* Raise an error unless metadata is an object. */
void
nvs_entry_check_metadata(const Jsonb *doc)
{
	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metadata must be a JSON object")));
}

/* Sort the fields of metadata, an object, into columns and the rest. */
void
nvs_entry_parse(const NvsTarget *target, const Jsonb *doc,
				NvsEntryFields *fields)
{
	const NvsFieldMap *map = target->map;
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	fields->given = palloc0(sizeof(bool) * map->nfields);
	fields->values = palloc(sizeof(NvsJsonbChild) * map->nfields);
	nvs_jsonb_init(&fields->rest);
	nvs_jsonb_init(&fields->rest_stats);
	fields->clear_stats = false;
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find(map, name.data, name.len);

		CHECK_FOR_INTERRUPTS();
		if (field != NULL)
			give(target, field, value, fields);
		else if (name.len == 7 && memcmp(name.data, "version", 7) == 0)
			continue;			/* ours to count */
		else if (map->has_stats && name.len == 5 &&
				 memcmp(name.data, "stats", 5) == 0)
			parse_stats(target, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest, name.data, name.len, value);
	}
}

/* The same for the object "stats", each of whose fields may be a column. */
static void
parse_stats(const NvsTarget *target, NvsJsonbChild stats,
			NvsEntryFields *fields)
{
	const JsonbContainer *jc = (const JsonbContainer *) stats.data;
	uint32		n;
	uint32		i;

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
	n = JsonContainerSize(jc);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find_stat(target->map, name.data,
													name.len);

		CHECK_FOR_INTERRUPTS();
		if (field != NULL)
			give(target, field, value, fields);
		else
			nvs_jsonb_add_child(&fields->rest_stats, name.data, name.len,
								value);
	}
}

/* Note a value for a column. */
static void
give(const NvsTarget *target, const NvsField *field, NvsJsonbChild value,
	 NvsEntryFields *fields)
{
	int			i = field - target->map->fields;

	nvs_entry_check_written(target, field);
	if (fields->given[i])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->label),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	fields->given[i] = true;
	fields->values[i] = value;
}

/* Raise an error for a column that nobody may write. */
void
nvs_entry_check_written(const NvsTarget *target, const NvsField *field)
{
	if (field->computed)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("field \"%s\" cannot be written", field->label),
				 errdetail("Column \"%s\" of table %s is computed by the "
						   "database.", field->column, target->name),
				 errhint("Leave the field out.")));
}

/* What goes to column extra; NULL when there is nothing. */
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
 * The column of a field that may be dotted; NULL if it has none.  *consumed is
 * how much of the name says the column; what follows a dot there is a path in
 * it.
 */
const NvsField *
nvs_entry_find(const NvsTarget *target, const char *name, int len,
			   int *consumed)
{
	const NvsFieldMap *map = target->map;
	const NvsEntryState *state = target->state;
	const char *end = name + len;
	const char *dot = memchr(name, '.', len);

	*consumed = dot == NULL ? len : dot - name;
	if (*consumed == 7 && memcmp(name, "version", 7) == 0)
		return state->version;
	if (dot == NULL || !map->has_stats || *consumed != 5 ||
		memcmp(name, "stats", 5) != 0)
		return nvs_field_find(map, name, *consumed);
	name = dot + 1;
	dot = memchr(name, '.', end - name);
	*consumed = len - (dot == NULL ? 0 : end - dot);
	return nvs_field_find_stat(map, name, (dot == NULL ? end : dot) - name);
}

/* Raise an error for a dotted name such as a..b, which nothing has. */
void
nvs_entry_check_path(const char *name, int len)
{
	int			i;

	for (i = 0; i <= len; i++)
		if ((i == len || name[i] == '.') && (i == 0 || name[i - 1] == '.'))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path \"%.*s\" has an empty element",
							pg_mbcliplen(name, len, 100), name)));
}

/* The dotted path a.b as the array {a,b}. */
Datum
nvs_entry_path(const char *path, int len)
{
	const char *end = path + len;
	const char *p;
	Datum	   *elements;
	int			n = 1;
	int			i;

	for (p = path; p < end; p++)
		if (*p == '.')
			n++;
	if (n > NVS_MAX_PATH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("path \"%.*s...\" has too many elements",
						pg_mbcliplen(path, len, 40), path),
				 errdetail("A path has at most %d.", NVS_MAX_PATH)));
	elements = palloc(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
	{
		const char *dot = memchr(path, '.', end - path);
		int			part = (dot == NULL ? end : dot) - path;

		elements[i] = PointerGetDatum(cstring_to_text_with_len(path, part));
		path += part + 1;
	}
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}
