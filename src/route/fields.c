/*
 * route/fields.c
 *	  Columns of a relation as fields of a JSON record.
 *
 * The map comes from the catalog alone: column started_at is field startedAt,
 * column stats_total_fires is field totalFires of the object stats (entries
 * only), and a column that is added to the table is a field from then on.  A
 * field may be written under its column's own name too; it is always read
 * under the other, unless that is another column's.
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

static void compile_field(NvsField *field, Form_pg_attribute att, bool stats);
static void part_names(NvsFieldMap *map);
static void use_column_name(NvsField *field);
static NvsFieldKind field_kind(Form_pg_attribute att);
static bool ends_with(const char *s, const char *tail);
static char *camel_case(const char *column);
static bool same_name(const char *name, const char *other, int len);
static uint64 name_begin(const char *name, int len);
static void list_names(NvsFieldMap *map);
static void list_name(NvsFieldMap *map, const char *name, int field);

/*
 * Read a relation's columns; in the current memory context.  stats has columns
 * stats_x be fields of an object, unless a column is that object.
 */
NvsFieldMap *
nvs_fields_compile(Oid relid, bool stats)
{
	NvsFieldMap *map = palloc0(sizeof(NvsFieldMap));
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

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
		compile_field(field, att, stats);
		if (field->in_stats)
			map->has_stats = true;
	}
	table_close(rel, AccessShareLock);
	part_names(map);
	for (i = 0; i < map->nfields; i++)
		map->fields[i].label = map->fields[i].in_stats ?
			psprintf("stats.%s", map->fields[i].name) : map->fields[i].name;
	list_names(map);
	return map;
}

/*
 * Columns started_at and "startedAt" would have one name.  It is the latter's,
 * whose own it is, and the former keeps its column's.
 */
static void
part_names(NvsFieldMap *map)
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
			use_column_name(strchr(a->column, '_') == NULL ? b : a);
		}
	}
}

/* Call a field by its column's own name. */
static void
use_column_name(NvsField *field)
{
	field->name = field->column + (field->in_stats ? strlen(STATS_PREFIX) : 0);
	field->namelen = strlen(field->name);
}

/* Describe one column. */
static void
compile_field(NvsField *field, Form_pg_attribute att, bool stats)
{
	const char *column = pstrdup(NameStr(att->attname));
	Oid			infunc;

	field->attnum = att->attnum;
	field->type = att->atttypid;
	field->typmod = att->atttypmod;
	field->not_null = att->attnotnull;
	field->has_default = att->atthasdef || att->attidentity != '\0';
	field->computed = att->attgenerated != '\0' || att->attidentity == 'a';
	field->reserved = field->computed;
	field->column = column;
	field->quoted = pstrdup(quote_identifier(column));
	field->kind = field_kind(att);
	field->takes_json = getBaseType(att->atttypid) == JSONBOID ||
		getBaseType(att->atttypid) == JSONOID;
	field->in_stats = stats &&
		strncmp(column, STATS_PREFIX, strlen(STATS_PREFIX)) == 0 &&
		column[strlen(STATS_PREFIX)] != '\0';
	field->name = camel_case(field->in_stats ?
							 column + strlen(STATS_PREFIX) : column);
	field->namelen = strlen(field->name);
	getTypeInputInfo(att->atttypid, &infunc, &field->ioparam);
	fmgr_info_cxt(infunc, &field->input, CurrentMemoryContext);
}

/* How a column is converted. */
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
				ends_with(NameStr(att->attname), "_at"))
				return NVS_FIELD_MS;
			return NVS_FIELD_INT8;
		case FLOAT8OID:
			return NVS_FIELD_FLOAT8;
		case NUMERICOID:
			/* One with a scale rounds in its own way. */
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
ends_with(const char *s, const char *tail)
{
	size_t		n = strlen(s);
	size_t		m = strlen(tail);

	return n >= m && strcmp(s + n - m, tail) == 0;
}

/* started_at becomes startedAt; an underscore at either end stays. */
static char *
camel_case(const char *column)
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

/* Let a field be written under another name too. */
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
	list_names(map);
}

/* The first eight bytes of a name, as a number. */
static inline uint64
name_begin(const char *name, int len)
{
	uint64		begin = 0;

	memcpy(&begin, name, Min(len, (int) sizeof(begin)));
	return begin;
}

/* List all names, those first that go before others. */
static void
list_names(NvsFieldMap *map)
{
	int			i;

	if (map->names != NULL)
		pfree(map->names);
	map->names = palloc(sizeof(NvsFieldName) *
						Max(map->naliases + 2 * map->nfields, 1));
	map->nnames = 0;
	for (i = 0; i < map->naliases; i++)
		list_name(map, map->aliases[i].name,
				  map->aliases[i].field - map->fields);
	for (i = 0; i < map->nfields; i++)
		if (!map->fields[i].in_stats)
			list_name(map, map->fields[i].name, i);
	for (i = 0; i < map->nfields; i++)
		if (map->fields[i].in_stats ||
			strcmp(map->fields[i].name, map->fields[i].column) != 0)
			list_name(map, map->fields[i].column, i);
}

/* Add a name to the list. */
static void
list_name(NvsFieldMap *map, const char *name, int field)
{
	NvsFieldName *entry = &map->names[map->nnames++];

	entry->len = strlen(name);
	entry->begin = name_begin(name, entry->len);
	entry->field = field;
	entry->name = name;
}

/* The column of this name, or NULL. */
NvsField *
nvs_fields_column(NvsFieldMap *map, const char *column)
{
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (strcmp(map->fields[i].column, column) == 0)
			return &map->fields[i];
	return NULL;
}

/* Take a column from the fields; returns it, NULL when there is none. */
NvsField *
nvs_fields_reserve(NvsFieldMap *map, const char *column)
{
	NvsField   *field = nvs_fields_column(map, column);

	if (field != NULL)
		field->reserved = true;
	return field;
}

/* Is name, of len bytes, the string other? */
static bool
same_name(const char *other, const char *name, int len)
{
	return strncmp(other, name, len) == 0 && other[len] == '\0';
}

/* Is this a field's name, or its column's? */
bool
nvs_field_is_named(const NvsField *field, const char *name, int len)
{
	return same_name(field->name, name, len) ||
		same_name(field->column, name, len);
}

/* The column of a top-level field, by any of its names; NULL if none. */
const NvsField *
nvs_field_find(const NvsFieldMap *map, const char *name, int len)
{
	const int	nbegin = sizeof(uint64);
	uint64		begin = name_begin(name, len);
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

/* The column of a field of the object "stats"; NULL if none. */
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
			same_name(field->column + strlen(STATS_PREFIX), name, len))
			return field;
	}
	return NULL;
}
