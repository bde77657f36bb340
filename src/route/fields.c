/*
 * route/fields.c
 *	  Columns of a relation as fields of a JSON record.
 *
 * The map comes from the catalog alone: column started_at is field startedAt,
 * column stats_total_fires is field totalFires of the object stats (entries
 * only), and a column that is added to the table is a field from then on.  A
 * field may be written under its column's name, too, and is read under the
 * name in camel case, unless that is another column's.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "errors.h"
#include "route/fields.h"

#define STATS_PREFIX	"stats_"

static void field_compile(NvsField *field, Form_pg_attribute att, bool stats);
static void fields_part_names(NvsFieldMap *map);
static void field_use_column_name(NvsField *field);
static NvsFieldKind field_kind(Form_pg_attribute att);
static bool field_ends_with(const char *s, const char *tail);
static char *field_camel_case(const char *column);
static bool field_same_name(const char *name, const char *other, int len);
static uint64 field_name_begin(const char *name, int len);
static void fields_list_names(NvsFieldMap *map);
static void fields_list_name(NvsFieldMap *map, const char *name, int field);

/*
 * Make the field map of a relation, in the current memory context.  stats has
 * columns stats_x be fields of the object "stats", unless there is a column of
 * that name.
 */
NvsFieldMap *
nvs_fields_compile(Oid relid, bool stats)
{
	NvsFieldMap *map = palloc0(sizeof(NvsFieldMap));
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	/* The columns. */
	map->relid = relid;
	map->fields = palloc0(sizeof(NvsField) * Max(desc->natts, 1));
	stats = stats && get_attnum(relid, "stats") == InvalidAttrNumber;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		NvsField   *field;

		if (att->attisdropped)
			continue;
		field = &map->fields[map->nfields++];
		field_compile(field, att, stats);
		if (field->in_stats)
			map->has_stats = true;
	}
	table_close(rel, AccessShareLock);

	/* Their names, once all are known. */
	fields_part_names(map);
	for (i = 0; i < map->nfields; i++)
		map->fields[i].label = map->fields[i].in_stats ?
			psprintf("stats.%s", map->fields[i].name) : map->fields[i].name;
	fields_list_names(map);
	return map;
}

/*
 * Have no two fields share a name, as those of columns started_at and
 * "startedAt" would: the name is the latter's, and the field of the former has
 * its column's.
 */
static void
fields_part_names(NvsFieldMap *map)
{
	int			i;
	int			j;

	for (i = 1; i < map->nfields; i++)
	{
		NvsField   *a = &map->fields[i];

		for (j = 0; j < i; j++)
		{
			NvsField   *b = &map->fields[j];

			if (a->in_stats != b->in_stats || strcmp(a->name, b->name) != 0)
				continue;
			field_use_column_name(strchr(a->column, '_') == NULL ? b : a);
		}
	}
}

/* Name a field as its column. */
static void
field_use_column_name(NvsField *field)
{
	field->name = field->column + (field->in_stats ? strlen(STATS_PREFIX) : 0);
	field->namelen = strlen(field->name);
}

/*
 * Set a field, which is all zeros, to what the catalog says of its column;
 * what it points to is in the current memory context.
 */
static void
field_compile(NvsField *field, Form_pg_attribute att, bool stats)
{
	const char *column = pstrdup(NameStr(att->attname));
	Oid			infunc;

	/* The column. */
	field->attnum = att->attnum;
	field->type = att->atttypid;
	field->typmod = att->atttypmod;
	field->not_null = att->attnotnull;
	field->has_default = att->atthasdef || att->attidentity != '\0';
	field->computed = att->attgenerated != '\0' || att->attidentity == 'a';
	field->reserved = field->computed;
	field->column = column;
	field->quoted = pstrdup(quote_identifier(column));

	/* How its values are converted. */
	field->kind = field_kind(att);
	field->takes_json = getBaseType(att->atttypid) == JSONBOID ||
		getBaseType(att->atttypid) == JSONOID;
	getTypeInputInfo(att->atttypid, &infunc, &field->ioparam);
	fmgr_info_cxt(infunc, &field->input, CurrentMemoryContext);

	/* What it is called in records. */
	field->in_stats = stats &&
		strncmp(column, STATS_PREFIX, strlen(STATS_PREFIX)) == 0 &&
		column[strlen(STATS_PREFIX)] != '\0';
	field->name = field_camel_case(field->in_stats ?
								   column + strlen(STATS_PREFIX) : column);
	field->namelen = strlen(field->name);
}

/* How the values of a column are converted, by its type and its name. */
static NvsFieldKind
field_kind(Form_pg_attribute att)
{
	switch (att->atttypid)
	{
		case TEXTOID:
			return NVS_FIELD_TEXT;
		case INT2OID:
			return NVS_FIELD_INT2;
		case INT4OID:
			return NVS_FIELD_INT4;
		case INT8OID:
			if (strcmp(NameStr(att->attname), "ts") == 0 ||
				field_ends_with(NameStr(att->attname), "_at"))
				return NVS_FIELD_MS;
			return NVS_FIELD_INT8;
		case FLOAT8OID:
			return NVS_FIELD_FLOAT8;
		case NUMERICOID:
			/* One with a scale rounds: its input function does so. */
			return att->atttypmod < 0 ? NVS_FIELD_NUMERIC : NVS_FIELD_OTHER;
		case BOOLOID:
			return NVS_FIELD_BOOL;
		case JSONBOID:
			return NVS_FIELD_JSONB;
		default:
			return NVS_FIELD_OTHER;
	}
}

/* Does s end in tail? */
static bool
field_ends_with(const char *s, const char *tail)
{
	size_t		n = strlen(s);
	size_t		m = strlen(tail);

	return n >= m && strcmp(s + n - m, tail) == 0;
}

/*
 * A column's name in camel case: started_at becomes startedAt; an underscore
 * stays that is at either end or before anything but a lower-case letter.
 */
static char *
field_camel_case(const char *column)
{
	char	   *result = palloc(strlen(column) + 1);
	char	   *out = result;
	const char *p;

	for (p = column; *p != '\0'; p++)
	{
		if (*p == '_' && p > column && p[1] >= 'a' && p[1] <= 'z')
			*out++ = pg_ascii_toupper((unsigned char) *++p);
		else
			*out++ = *p;
	}
	*out = '\0';
	return result;
}

/*
 * Have a field be written under another name, too; an error when there is no
 * such column.
 */
void
nvs_fields_alias(NvsFieldMap *map, const char *name, int len,
				 const char *column)
{
	NvsField   *field = nvs_fields_column(map, column);

	if (field == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						column, get_rel_name(map->relid)),
				 errdetail("It is the target of alias \"%.*s\".",
						   len, name)));
	if (map->aliases == NULL)
		map->aliases = palloc(sizeof(NvsAlias));
	else
		map->aliases = repalloc(map->aliases,
								sizeof(NvsAlias) * (map->naliases + 1));
	map->aliases[map->naliases].name = pnstrdup(name, len);
	map->aliases[map->naliases].field = field;
	map->naliases++;
	fields_list_names(map);
}

/* First eight bytes of a name, or all and zeros, as a number. */
static inline uint64
field_name_begin(const char *name, int len)
{
	uint64		begin = 0;

	memcpy(&begin, name, Min(len, (int) sizeof(begin)));
	return begin;
}

/*
 * List all names of the fields of a map.  The first that is equal is taken: an
 * alias goes before a field's name, which goes before a column's.
 */
static void
fields_list_names(NvsFieldMap *map)
{
	int			i;

	if (map->names != NULL)
		pfree(map->names);
	map->names = palloc(sizeof(NvsFieldName) *
						Max(map->naliases + 2 * map->nfields, 1));
	map->nnames = 0;
	for (i = 0; i < map->naliases; i++)
		fields_list_name(map, map->aliases[i].name,
						 map->aliases[i].field - map->fields);
	for (i = 0; i < map->nfields; i++)
		if (!map->fields[i].in_stats)
			fields_list_name(map, map->fields[i].name, i);
	for (i = 0; i < map->nfields; i++)
		if (map->fields[i].in_stats ||
			strcmp(map->fields[i].name, map->fields[i].column) != 0)
			fields_list_name(map, map->fields[i].column, i);
}

/* Add a name of the field of this number to the list of a map. */
static void
fields_list_name(NvsFieldMap *map, const char *name, int field)
{
	NvsFieldName *entry = &map->names[map->nnames++];

	entry->len = strlen(name);
	entry->begin = field_name_begin(name, entry->len);
	entry->field = field;
	entry->name = name;
}

/* The field of the column of this name; NULL when there is none. */
NvsField *
nvs_fields_column(NvsFieldMap *map, const char *column)
{
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (strcmp(map->fields[i].column, column) == 0)
			return &map->fields[i];
	return NULL;
}

/*
 * Have a column be no field of records any more; returns it, NULL when there
 * is none of this name.
 */
NvsField *
nvs_fields_reserve(NvsFieldMap *map, const char *column)
{
	NvsField   *field = nvs_fields_column(map, column);

	if (field != NULL)
		field->reserved = true;
	return field;
}

/* Is the name of len bytes the string other? */
static bool
field_same_name(const char *other, const char *name, int len)
{
	return strncmp(other, name, len) == 0 && other[len] == '\0';
}

/* Is the name of len bytes that of a field, or of its column? */
bool
nvs_field_is_named(const NvsField *field, const char *name, int len)
{
	return field_same_name(field->name, name, len) ||
		field_same_name(field->column, name, len);
}

/* The field that has this name, among others; NULL when there is none. */
const NvsField *
nvs_field_find(const NvsFieldMap *map, const char *name, int len)
{
	const int	nbegin = sizeof(uint64);
	uint64		begin = field_name_begin(name, len);
	int			i;

	for (i = 0; i < map->nnames; i++)
	{
		const NvsFieldName *entry = &map->names[i];

		if (entry->begin == begin && entry->len == len &&
			(len <= nbegin ||
			 memcmp(entry->name + nbegin, name + nbegin, len - nbegin) == 0) &&
			!map->fields[entry->field].reserved)
			return &map->fields[entry->field];
	}
	return NULL;
}

/* The field of this name in the object "stats"; NULL when there is none. */
const NvsField *
nvs_field_find_stat(const NvsFieldMap *map, const char *name, int len)
{
	int			i;

	if (!map->has_stats)
		return NULL;
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];

		if (field->reserved || !field->in_stats)
			continue;
		if ((field->namelen == len && memcmp(field->name, name, len) == 0) ||
			field_same_name(field->column + strlen(STATS_PREFIX), name, len))
			return field;
	}
	return NULL;
}
