/*
 * fields.c
 *	  Columns of a relation as fields of a JSON record.
 *
 * The map comes from the catalog alone: column started_at is field startedAt,
 * column stats_total_fires is field totalFires of the object stats, and a
 * column that is added to the table is a field from then on.  A field may be
 * written under its column's own name too; it is always read under the other.
 *
 * A bigint column named ts or *_at holds milliseconds since 1970; it takes a
 * whole number or an ISO-8601 string (UTC where that names no zone).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "compat.h"
#include "errors.h"
#include "fields.h"
#include "miscadmin.h"
#include "util.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Years 1 to 9999, which ISO-8601 writes with four digits. */
#define MIN_ISO_MS	INT64CONST(-62135596800000)
#define MAX_ISO_MS	INT64CONST(253402300799999)

#define STATS_PREFIX	"stats_"

static void compile_field(NvsField *field, Form_pg_attribute att);
static NvsFieldKind field_kind(Form_pg_attribute att);
static bool ends_with(const char *s, const char *tail);
static char *camel_case(const char *column);
static bool same_name(const char *name, const char *other, int len);
static const char *child_kind(NvsJsonbChild value);
static void wrong_type(const NvsField *field, NvsJsonbChild value,
					   const char *wanted) pg_attribute_noreturn();
static int64 integer_value(const NvsField *field, NvsJsonbChild value);
static int64 ms_value(const NvsField *field, NvsJsonbChild value);
static Datum other_value(const NvsField *field, NvsJsonbChild value);
static Datum input_value(const NvsField *field, char *text);
static bool names_zone(const char *s, int len);
static void emit_float8(NvsJsonb *record, const char *key, int keylen,
						double value);
static void emit_ms(NvsJsonb *record, const char *key, int keylen, int64 ms);

/* Read a relation's columns; in the current memory context. */
NvsFieldMap *
nvs_fields_compile(Oid relid)
{
	NvsFieldMap *map = palloc0(sizeof(NvsFieldMap));
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	map->relid = relid;
	map->fields = palloc0(sizeof(NvsField) * Max(desc->natts, 1));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		NvsField   *field;

		if (att->attisdropped)
			continue;
		field = &map->fields[map->nfields++];
		compile_field(field, att);
		if (field->in_stats)
			map->has_stats = true;
	}
	table_close(rel, AccessShareLock);
	return map;
}

/* Describe one column. */
static void
compile_field(NvsField *field, Form_pg_attribute att)
{
	const char *column = pstrdup(NameStr(att->attname));

	field->attnum = att->attnum;
	field->type = att->atttypid;
	field->typmod = att->atttypmod;
	field->not_null = att->attnotnull;
	field->has_default = att->atthasdef || att->attidentity != '\0';
	/* What the database computes is nobody's to write. */
	field->reserved = att->attgenerated != '\0' ||
		att->attidentity == 'a';
	field->column = column;
	field->quoted = pstrdup(quote_identifier(column));
	field->kind = field_kind(att);
	field->in_stats = strncmp(column, STATS_PREFIX,
							  strlen(STATS_PREFIX)) == 0 &&
		column[strlen(STATS_PREFIX)] != '\0';
	field->name = camel_case(field->in_stats ?
							 column + strlen(STATS_PREFIX) : column);
	field->namelen = strlen(field->name);
	if (field->kind == NVS_FIELD_OTHER)
	{
		Oid			infunc;

		getTypeInputInfo(att->atttypid, &infunc, &field->ioparam);
		fmgr_info_cxt(infunc, &field->input, CurrentMemoryContext);
	}
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

/* The column of a top-level field, by any of its names; NULL if none. */
const NvsField *
nvs_field_find(const NvsFieldMap *map, const char *name, int len)
{
	const NvsField *by_column = NULL;
	int			i;

	for (i = 0; i < map->naliases; i++)
		if (same_name(map->aliases[i].name, name, len))
			return map->aliases[i].field;
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];

		if (field->reserved)
			continue;
		if (!field->in_stats && field->namelen == len &&
			memcmp(field->name, name, len) == 0)
			return field;
		if (by_column == NULL && same_name(field->column, name, len))
			by_column = field;
	}
	return by_column;
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

/* What a JSON value is, in words. */
static const char *
child_kind(NvsJsonbChild value)
{
	switch (value.type)
	{
		case JENTRY_ISSTRING:
			return "a string";
		case JENTRY_ISNUMERIC:
			return "a number";
		case JENTRY_ISBOOL_TRUE:
		case JENTRY_ISBOOL_FALSE:
			return "a boolean";
		case JENTRY_ISNULL:
			return "null";
		default:
			return nvs_jsonb_is_object(value) ? "an object" : "an array";
	}
}

/* Raise the error that a field's value is not what it must be. */
static void
wrong_type(const NvsField *field, NvsJsonbChild value, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("field \"%s\" must be %s", field->name, wanted),
			 errdetail("It is %s.", child_kind(value))));
}

/* Raise an error unless a value is a number. */
void
nvs_check_number(const char *name, NvsJsonbChild value)
{
	if (value.type != JENTRY_ISNUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NOT_A_NUMBER),
				 errmsg("value of \"%s\" is not a number", name),
				 errdetail("It is %s.", child_kind(value))));
}

/* A JSON value as a value of the column's type. */
Datum
nvs_field_datum(const NvsField *field, NvsJsonbChild value, bool *isnull)
{
	*isnull = value.type == JENTRY_ISNULL;
	if (*isnull)
		return (Datum) 0;
	switch (field->kind)
	{
		case NVS_FIELD_TEXT:
			if (value.type != JENTRY_ISSTRING)
				wrong_type(field, value, "a string");
			return PointerGetDatum(cstring_to_text_with_len(value.data,
															value.len));
		case NVS_FIELD_INT2:
			return DirectFunctionCall1(int82,
									   Int64GetDatum(integer_value(field,
																   value)));
		case NVS_FIELD_INT4:
			return DirectFunctionCall1(int84,
									   Int64GetDatum(integer_value(field,
																   value)));
		case NVS_FIELD_INT8:
			return Int64GetDatum(integer_value(field, value));
		case NVS_FIELD_MS:
			return Int64GetDatum(ms_value(field, value));
		case NVS_FIELD_FLOAT8:
			if (value.type != JENTRY_ISNUMERIC)
				wrong_type(field, value, "a number");
			return DirectFunctionCall1(numeric_float8,
									   PointerGetDatum(value.data));
		case NVS_FIELD_NUMERIC:
			if (value.type != JENTRY_ISNUMERIC)
				wrong_type(field, value, "a number");
			return PointerGetDatum(value.data);
		case NVS_FIELD_BOOL:
			if (value.type != JENTRY_ISBOOL_TRUE &&
				value.type != JENTRY_ISBOOL_FALSE)
				wrong_type(field, value, "a boolean");
			return BoolGetDatum(value.type == JENTRY_ISBOOL_TRUE);
		case NVS_FIELD_JSONB:
			return JsonbPGetDatum(nvs_child_document(value));
		case NVS_FIELD_OTHER:
			return other_value(field, value);
	}
	elog(ERROR, "unexpected kind of field %d", field->kind);
}

/* A whole number. */
static int64
integer_value(const NvsField *field, NvsJsonbChild value)
{
	Datum		number = PointerGetDatum(value.data);
	Datum		whole;
	int64		result;

	if (value.type != JENTRY_ISNUMERIC)
		wrong_type(field, value, "a whole number");
	result = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	whole = NumericGetDatum(int64_to_numeric(result));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, number, whole)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" must be a whole number", field->name),
				 errdetail("It is %s.",
						   DatumGetCString(DirectFunctionCall1(numeric_out,
															   number)))));
	return result;
}

/* Milliseconds, from a number or an ISO-8601 string. */
static int64
ms_value(const NvsField *field, NvsJsonbChild value)
{
	if (value.type == JENTRY_ISSTRING)
		return nvs_ms_from_iso(field->name, value.data, value.len);
	if (value.type != JENTRY_ISNUMERIC)
		wrong_type(field, value, "milliseconds or an ISO-8601 string");
	return integer_value(field, value);
}

/* Milliseconds of an ISO-8601 string; UTC when it names no zone. */
int64
nvs_ms_from_iso(const char *field, const char *s, int len)
{
	char	   *text = psprintf("%.*s%s", len, s,
								names_zone(s, len) ? "" : "Z");
	TimestampTz t;

	/* timestamptz_in takes "now" and "tomorrow" too: those are no dates. */
	if (len < 10 || !(s[0] >= '0' && s[0] <= '9') || s[4] != '-')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("field \"%s\" is not an ISO-8601 time: \"%.*s\"",
						field, len, s),
				 errhint("Write 2026-01-31T12:00:00.000Z, or milliseconds "
						 "since 1970 as a number.")));
	t = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												CStringGetDatum(text),
												ObjectIdGetDatum(InvalidOid),
												Int32GetDatum(-1)));
	pfree(text);
	return nvs_timestamptz_to_ms(t);
}

/* Does an ISO-8601 time end in Z or an offset? */
static bool
names_zone(const char *s, int len)
{
	int			i;

	if (len > 0 && (s[len - 1] == 'Z' || s[len - 1] == 'z'))
		return true;
	/* The first ten bytes are the date, whose dashes are no offset. */
	for (i = 10; i < len; i++)
		if (s[i] == '+' || s[i] == '-')
			return true;
	return false;
}

/* Any other type takes a JSON scalar as its input function takes the text. */
static Datum
other_value(const NvsField *field, NvsJsonbChild value)
{
	if (value.type == JENTRY_ISSTRING)
		return input_value(field, pnstrdup(value.data, value.len));
	if (value.type == JENTRY_ISCONTAINER)
	{
		if (field->type != JSONOID)
			wrong_type(field, value, "a single value");
	}
	return input_value(field,
					   JsonbToCString(NULL, &nvs_child_document(value)->root,
									  value.len));
}

/* What the column's input function makes of a text. */
static Datum
input_value(const NvsField *field, char *text)
{
	return InputFunctionCall(unconstify(FmgrInfo *, &field->input), text,
							 field->ioparam, field->typmod);
}

/* A text, such as a captured token, as a value of the column's type. */
Datum
nvs_field_text_datum(const NvsField *field, const char *value, int len)
{
	NvsJsonbChild child;

	if (field->kind == NVS_FIELD_TEXT)
		return PointerGetDatum(cstring_to_text_with_len(value, len));
	if (field->kind == NVS_FIELD_OTHER)
		return input_value(field, pnstrdup(value, len));
	child.type = JENTRY_ISSTRING;
	child.data = value;
	child.len = len;
	wrong_type(field, child, "of a type that takes text");
}

/* Type of the parameter that carries this field. */
Oid
nvs_field_param_type(const NvsField *field)
{
	return field->type;
}

/* How the column is named in a SELECT list. */
const char *
nvs_field_select(const NvsField *field)
{
	if (field->kind == NVS_FIELD_OTHER)
		return psprintf("pg_catalog.to_jsonb(%s)", field->quoted);
	return field->quoted;
}

/*
 * All columns in their order, as a SELECT list: the executor hands out such
 * rows as they are stored, without building others from them.
 */
char *
nvs_fields_select_list(const NvsFieldMap *map)
{
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; i < map->nfields; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 nvs_field_select(&map->fields[i]));
	return list.data;
}

/* Add a column's value to a record, under its own name. */
void
nvs_field_emit(const NvsField *field, Datum value, bool iso,
			   NvsJsonb *record)
{
	nvs_field_emit_as(field->name, field->namelen, field, value, iso, record);
}

/*
 * Add a column's value to a record.  iso has times written as ISO-8601 in
 * UTC instead of milliseconds.
 */
void
nvs_field_emit_as(const char *key, int len, const NvsField *field,
				  Datum value, bool iso, NvsJsonb *record)
{
	switch (field->kind)
	{
		case NVS_FIELD_TEXT:
			{
				text	   *t = DatumGetTextPP(value);

				nvs_jsonb_add_text(record, key, len, VARDATA_ANY(t),
								   VARSIZE_ANY_EXHDR(t));
				return;
			}
		case NVS_FIELD_INT2:
			nvs_jsonb_add_int64(record, key, len, DatumGetInt16(value));
			return;
		case NVS_FIELD_INT4:
			nvs_jsonb_add_int64(record, key, len, DatumGetInt32(value));
			return;
		case NVS_FIELD_INT8:
			nvs_jsonb_add_int64(record, key, len, DatumGetInt64(value));
			return;
		case NVS_FIELD_MS:
			if (iso)
				emit_ms(record, key, len, DatumGetInt64(value));
			else
				nvs_jsonb_add_int64(record, key, len, DatumGetInt64(value));
			return;
		case NVS_FIELD_FLOAT8:
			emit_float8(record, key, len, DatumGetFloat8(value));
			return;
		case NVS_FIELD_NUMERIC:
			nvs_jsonb_add_numeric(record, key, len, DatumGetNumeric(value));
			return;
		case NVS_FIELD_BOOL:
			nvs_jsonb_add_bool(record, key, len, DatumGetBool(value));
			return;
		case NVS_FIELD_JSONB:
		case NVS_FIELD_OTHER:	/* nvs_field_select() made it jsonb */
			nvs_jsonb_add_jsonb(record, key, len, DatumGetJsonbP(value));
			return;
	}
}

/* A double: as JSON number, or as text where JSON has no such number. */
static void
emit_float8(NvsJsonb *record, const char *key, int keylen, double value)
{
	char	   *text;
	Datum		number;

	if (value > -1e15 && value < 1e15 && value == (double) (int64) value)
	{
		nvs_jsonb_add_int64(record, key, keylen, (int64) value);
		return;
	}
	/* Not float8out, whose digits depend on a setting. */
	text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);
	double_to_shortest_decimal_buf(value, text);
	if (isnan(value) || isinf(value))
	{
		nvs_jsonb_add_text(record, key, keylen, text, strlen(text));
		return;
	}
	number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	nvs_jsonb_add_numeric(record, key, keylen, DatumGetNumeric(number));
}

/* 1970-01-01T00:00:00.000Z; milliseconds outside the years 1 to 9999. */
static void
emit_ms(NvsJsonb *record, const char *key, int keylen, int64 ms)
{
	int64		day;
	int			rest;
	int			year;
	int			month;
	int			mday;
	char	   *text;

	if (ms < MIN_ISO_MS || ms > MAX_ISO_MS)
	{
		nvs_jsonb_add_int64(record, key, keylen, ms);
		return;
	}
	day = ms / (SECS_PER_DAY * 1000);
	rest = (int) (ms - day * (SECS_PER_DAY * 1000));
	if (rest < 0)
	{
		rest += SECS_PER_DAY * 1000;
		day--;
	}
	j2date((int) (day + UNIX_EPOCH_JDATE), &year, &month, &mday);
	text = psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, mday,
					rest / 3600000, rest / 60000 % 60, rest / 1000 % 60,
					rest % 1000);
	nvs_jsonb_add_text(record, key, keylen, text, strlen(text));
}

/* A child as a document of its own, in the current memory context. */
Jsonb *
nvs_child_document(NvsJsonbChild child)
{
	Jsonb	   *result;

	if (child.type == JENTRY_ISCONTAINER)
	{
		result = palloc(VARHDRSZ + child.len);
		memcpy(&result->root, child.data, child.len);
	}
	else
	{
		/* An array of one element, marked as the scalar itself. */
		result = palloc(VARHDRSZ + 2 * sizeof(uint32) + child.len);
		result->root.header = 1 | JB_FARRAY | JB_FSCALAR;
		result->root.children[0] = child.type | child.len | JENTRY_HAS_OFF;
		memcpy(&result->root.children[1], child.data, child.len);
		child.len += 2 * sizeof(uint32);
	}
	SET_VARSIZE(result, VARHDRSZ + child.len);
	return result;
}
