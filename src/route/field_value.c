/*
 * route/field_value.c
 *	  JSON values to column values and back.
 *
 * A bigint column named ts or *_at holds milliseconds since 1970; it takes a
 * whole number or an ISO-8601 string (UTC where that names no zone).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "base/time.h"
#include "route/fields.h"

/* Years 1 to 9999, which ISO-8601 writes with four digits. */
#define MIN_ISO_MS	INT64CONST(-62135596800000)
#define MAX_ISO_MS	INT64CONST(253402300799999)

static const char *child_kind(NvsJsonbChild value);
pg_noreturn static void wrong_type(const NvsField *field,
								   NvsJsonbChild value,
								   const char *wanted);
static int64 integer_value(const NvsField *field, NvsJsonbChild value);
static int64 ms_value(const NvsField *field, NvsJsonbChild value);
static Datum other_value(const NvsField *field, NvsJsonbChild value);
static char *container_text(const NvsField *field, NvsJsonbChild value);
static void add_array_literal(StringInfo buf, const JsonbContainer *jc,
							  bool json);
static void add_quoted(StringInfo buf, const char *text);
static Datum input_value(const NvsField *field, char *text);
static bool names_zone(const char *s, int len);
static void emit_float8(NvsJsonb *record, const char *key, int keylen,
						double value);
static void emit_ms(NvsJsonb *record, const char *key, int keylen, int64 ms);
static char *put_digits(char *to, int number, int n, char after);

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
			 errmsg("field \"%s\" must be %s", field->label, wanted),
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

/* Say which field an error of a type's own function is about. */
static void
value_context(void *arg)
{
	errcontext("value of field \"%s\"", (const char *) arg);
}

/* Have errors name a field until error_context_stack is put back. */
static void
push_context(ErrorContextCallback *context, const char *field)
{
	context->callback = value_context;
	context->arg = unconstify(char *, field);
	context->previous = error_context_stack;
	error_context_stack = context;
}

/* Call a conversion whose errors are to name the field. */
static Datum
convert(const NvsField *field, PGFunction function, Datum value)
{
	ErrorContextCallback context;
	Datum		result;

	push_context(&context, field->label);
	result = DirectFunctionCall1(function, value);
	error_context_stack = context.previous;
	return result;
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
			return convert(field, int82,
						   Int64GetDatum(integer_value(field, value)));
		case NVS_FIELD_INT4:
			return convert(field, int84,
						   Int64GetDatum(integer_value(field, value)));
		case NVS_FIELD_INT8:
			return Int64GetDatum(integer_value(field, value));
		case NVS_FIELD_MS:
			return Int64GetDatum(ms_value(field, value));
		case NVS_FIELD_FLOAT8:
			if (value.type != JENTRY_ISNUMERIC)
				wrong_type(field, value, "a number");
			return convert(field, numeric_float8,
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

/* The same where JSON null is a value like any other, if it can be. */
Datum
nvs_field_payload(const NvsField *field, NvsJsonbChild value, bool *isnull)
{
	if (value.type != JENTRY_ISNULL || !field->takes_json)
		return nvs_field_datum(field, value, isnull);
	*isnull = false;
	if (field->kind == NVS_FIELD_JSONB)
		return JsonbPGetDatum(nvs_child_document(value));
	return other_value(field, value);
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
	result = DatumGetInt64(convert(field, numeric_int8, number));
	if (DatumGetInt32(DirectFunctionCall1(numeric_scale, number)) == 0)
		return result;
	whole = NumericGetDatum(int64_to_numeric(result));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, number, whole)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" must be a whole number", field->label),
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
		return nvs_ms_from_iso(field->label, value.data, value.len);
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
	ErrorContextCallback context;
	TimestampTz t;

	/* timestamptz_in takes "now" and "tomorrow" too: those are no dates. */
	if (len < 10 || s[4] != '-' || strspn(text, "0123456789-:.+TZtz ") <
		strlen(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("field \"%s\" is not an ISO-8601 time: \"%.*s\"",
						field, len, s),
				 errhint("Write 2026-01-31T12:00:00.000Z, or milliseconds "
						 "since 1970 as a number.")));
	push_context(&context, field);
	t = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												CStringGetDatum(text),
												ObjectIdGetDatum(InvalidOid),
												Int32GetDatum(-1)));
	error_context_stack = context.previous;
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
	if (value.type == JENTRY_ISSTRING && !field->takes_json)
		return input_value(field, pnstrdup(value.data, value.len));
	if (value.type == JENTRY_ISCONTAINER && !field->takes_json)
		return input_value(field, container_text(field, value));
	return input_value(field,
					   JsonbToCString(NULL, &nvs_child_document(value)->root,
									  value.len));
}

/* A JSON array as the text of an array; nothing else takes a container. */
static char *
container_text(const NvsField *field, NvsJsonbChild value)
{
	Oid			element = get_element_type(getBaseType(field->type));
	StringInfoData buf;

	if (!OidIsValid(element))
		wrong_type(field, value, "a single value");
	if (nvs_jsonb_is_object(value))
		wrong_type(field, value, "an array");
	initStringInfo(&buf);
	add_array_literal(&buf, &nvs_child_document(value)->root,
					  element == JSONBOID || element == JSONOID);
	return buf.data;
}

/* Write {1,"two",NULL,{3}}; json has each element be the text of its JSON. */
static void
add_array_literal(StringInfo buf, const JsonbContainer *jc, bool json)
{
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	check_stack_depth();
	appendStringInfoChar(buf, '{');
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild child = nvs_jsonb_child(jc, i);
		JsonbContainer *doc = &nvs_child_document(child)->root;

		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (child.type == JENTRY_ISNULL)
			appendStringInfoString(buf, "NULL");
		else if (child.type == JENTRY_ISSTRING && !json)
			add_quoted(buf, pnstrdup(child.data, child.len));
		else if (child.type == JENTRY_ISCONTAINER && !json &&
				 !nvs_jsonb_is_object(child))
			add_array_literal(buf, doc, json);
		else
			add_quoted(buf, JsonbToCString(NULL, doc, child.len));
	}
	appendStringInfoChar(buf, '}');
}

/* Write an element of an array in quotes, so that no text means more. */
static void
add_quoted(StringInfo buf, const char *text)
{
	appendStringInfoChar(buf, '"');
	for (; *text !='\0'; text ++)
	{
		if (*text == '"' || *text == '\\')
			appendStringInfoChar(buf, '\\');
		appendStringInfoChar(buf, *text);
	}
	appendStringInfoChar(buf, '"');
}

/* What the column's input function makes of a text. */
static Datum
input_value(const NvsField *field, char *text)
{
	ErrorContextCallback context;
	Datum		result;

	push_context(&context, field->label);
	result = InputFunctionCall(unconstify(FmgrInfo *, &field->input), text,
							   field->ioparam, field->typmod);
	error_context_stack = context.previous;
	return result;
}

/* A text, such as a captured token or an id, as a value of a column's type. */
Datum
nvs_field_text_datum(const NvsField *field, const char *value, int len)
{
	char	   *text;

	if (field->kind == NVS_FIELD_TEXT)
		return PointerGetDatum(cstring_to_text_with_len(value, len));
	text = pnstrdup(value, len);

	switch (field->kind)
	{
		case NVS_FIELD_INT2:
			return convert(field, int2in, CStringGetDatum(text));
		case NVS_FIELD_INT4:
			return convert(field, int4in, CStringGetDatum(text));
		case NVS_FIELD_INT8:
		case NVS_FIELD_MS:
			return convert(field, int8in, CStringGetDatum(text));
		default:
			return input_value(field, text);
	}
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
			nvs_emit_numeric(record, key, len, DatumGetNumeric(value));
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

/* A number, or its name where JSON has no such number. */
void
nvs_emit_numeric(NvsJsonb *record, const char *key, int keylen, Numeric value)
{
	char	   *text;

	if (!numeric_is_nan(value) && !numeric_is_inf(value))
	{
		nvs_jsonb_add_numeric(record, key, keylen, value);
		return;
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value)));

	nvs_jsonb_add_text(record, key, keylen, text, strlen(text));
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
	char	   *end;

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
	/* By hand: printf took more than all else that makes an entry. */
	end = text = palloc(sizeof("9999-12-31T23:59:59.999Z"));

	end = put_digits(end, year, 4, '-');
	end = put_digits(end, month, 2, '-');
	end = put_digits(end, mday, 2, 'T');
	end = put_digits(end, rest / 3600000, 2, ':');
	end = put_digits(end, rest / 60000 % 60, 2, ':');
	end = put_digits(end, rest / 1000 % 60, 2, '.');
	end = put_digits(end, rest % 1000, 3, 'Z');
	nvs_jsonb_add_text(record, key, keylen, text, end - text);
}

/* Write a number in n digits, and what follows it; returns the end. */
static char *
put_digits(char *to, int number, int n, char after)
{
	int			i;

	for (i = n - 1; i >= 0; i--)
	{
		to[i] = '0' + number % 10;
		number /= 10;
	}
	to[n] = after;
	return to + n + 1;
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
