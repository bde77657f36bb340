/*
 * route/field_value.c
 *	  JSON values to column values.
 *
 * A bigint column named ts or *_at holds milliseconds since 1970; it takes a
 * whole number or an ISO-8601 string (UTC where that names no zone).  Where a
 * number or a boolean is wanted its text will do: 4 or "4", false or "false".
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "base/plan.h"
#include "base/time.h"
#include "route/fields.h"

static const char *value_kind(NvsJsonbChild value);
pg_noreturn static void value_wrong_type(const NvsField *field,
										 NvsJsonbChild value,
										 const char *wanted);
static NvsJsonbChild value_of_text(const NvsField *field, NvsJsonbChild value);
static Datum value_numeric(const NvsField *field, const char *text);
static bool value_is_number(const char *s, int len);
static bool value_skip_digits(const char **s, const char *end);
static bool value_is_ms(const char *s, int len);
static bool value_is_http_date(const char *s, int len);
static int64 value_integer(const NvsField *field, NvsJsonbChild value);
static int64 value_ms(const NvsField *field, NvsJsonbChild value);
static Datum value_other(const NvsField *field, NvsJsonbChild value);
static char *value_container_text(const NvsField *field, NvsJsonbChild value);
static void value_add_array(StringInfo buf, const JsonbContainer *jc,
							bool json);
static void value_add_quoted(StringInfo buf, const char *s);
static Datum value_input(const NvsField *field, char *text);
static int64 value_ms_from_text(const NvsField *field, const char *s, int len);
static char *value_iso_text(const NvsField *field, const char *s, int len);
static bool value_names_zone(const char *s, int len);

/* What a JSON value is, in words. */
static const char *
value_kind(NvsJsonbChild value)
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
value_wrong_type(const NvsField *field, NvsJsonbChild value, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("field \"%s\" must be %s", field->label, wanted),
			 errdetail("It is %s.", value_kind(value))));
}

/* Raise an error unless a value is a number. */
void
nvs_check_number(const char *name, NvsJsonbChild value)
{
	if (value.type != JENTRY_ISNUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NOT_A_NUMBER),
				 errmsg("value of \"%s\" is not a number", name),
				 errdetail("It is %s.", value_kind(value))));
}

/* Callback of an error: say which field it is about, whose label is arg. */
static void
value_context(void *arg)
{
	errcontext("value of field \"%s\"", (const char *) arg);
}

/* Have errors name a field until error_context_stack is put back. */
static void
value_push_context(ErrorContextCallback *context, const NvsField *field)
{
	context->callback = value_context;
	context->arg = unconstify(char *, field->label);
	context->previous = error_context_stack;
	error_context_stack = context;
}

/* What a conversion makes of a value; its errors name the field. */
static Datum
value_convert(const NvsField *field, PGFunction function, Datum value)
{
	ErrorContextCallback context;
	Datum		result;

	value_push_context(&context, field);
	result = DirectFunctionCall1(function, value);
	error_context_stack = context.previous;
	return result;
}

/*
 * A JSON value as a value of the column's type, in the current memory context
 * or in the value itself; JSON null is NULL.  Raises an error, which names the
 * field, when it cannot be one.
 */
Datum
nvs_field_datum(const NvsField *field, NvsJsonbChild value, bool *isnull)
{
	*isnull = value.type == JENTRY_ISNULL;
	if (*isnull)
		return (Datum) 0;

	/* A string may stand for a number or a boolean. */
	if (value.type == JENTRY_ISSTRING)
		value = value_of_text(field, value);

	switch (field->kind)
	{
		case NVS_FIELD_TEXT:
			if (value.type != JENTRY_ISSTRING)
				value_wrong_type(field, value, "a string");
			return PointerGetDatum(cstring_to_text_with_len(value.data,
															value.len));
		case NVS_FIELD_INT2:
			return value_convert(field, int82,
								 Int64GetDatum(value_integer(field, value)));
		case NVS_FIELD_INT4:
			return value_convert(field, int84,
								 Int64GetDatum(value_integer(field, value)));
		case NVS_FIELD_INT8:
			return Int64GetDatum(value_integer(field, value));
		case NVS_FIELD_MS:
			return Int64GetDatum(value_ms(field, value));
		case NVS_FIELD_FLOAT8:
			if (value.type != JENTRY_ISNUMERIC)
				value_wrong_type(field, value, "a number");
			return value_convert(field, numeric_float8,
								 PointerGetDatum(value.data));
		case NVS_FIELD_NUMERIC:
			if (value.type != JENTRY_ISNUMERIC)
				value_wrong_type(field, value, "a number");
			return PointerGetDatum(value.data);
		case NVS_FIELD_BOOL:
			if (value.type != JENTRY_ISBOOL_TRUE &&
				value.type != JENTRY_ISBOOL_FALSE)
				value_wrong_type(field, value, "a boolean");
			return BoolGetDatum(value.type == JENTRY_ISBOOL_TRUE);
		case NVS_FIELD_JSONB:
			return JsonbPGetDatum(nvs_jsonb_from_child(value));
		case NVS_FIELD_OTHER:
			return value_other(field, value);
	}
	elog(ERROR, "unexpected kind of field %d", field->kind);
}

/*
 * A JSON value as a value of a column that holds a payload: JSON null is a
 * value like any other where the type has it, else NULL.
 */
Datum
nvs_field_payload(const NvsField *field, NvsJsonbChild value, bool *isnull)
{
	if (value.type != JENTRY_ISNULL || !field->takes_json)
		return nvs_field_datum(field, value, isnull);
	*isnull = false;
	if (field->kind == NVS_FIELD_JSONB)
		return JsonbPGetDatum(nvs_jsonb_from_child(value));
	return value_other(field, value);
}

/*
 * What a string stands for in a column of numbers or booleans, if that is
 * beyond doubt; else the string, which will be an error.
 */
static NvsJsonbChild
value_of_text(const NvsField *field, NvsJsonbChild value)
{
	const char *s = value.data;
	int			len = value.len;
	bool		is_number;

	/* Is it beyond doubt? */
	switch (field->kind)
	{
		case NVS_FIELD_INT2:
		case NVS_FIELD_INT4:
		case NVS_FIELD_INT8:
		case NVS_FIELD_FLOAT8:
		case NVS_FIELD_NUMERIC:
			is_number = value_is_number(s, len);
			break;
		case NVS_FIELD_MS:
			is_number = value_is_ms(s, len);
			break;
		case NVS_FIELD_BOOL:
			if (len == 4 && memcmp(s, "true", 4) == 0)
				value.type = JENTRY_ISBOOL_TRUE;
			else if (len == 5 && memcmp(s, "false", 5) == 0)
				value.type = JENTRY_ISBOOL_FALSE;
			return value;
		default:
			return value;
	}

	/* As a JSON number, with all of its digits. */
	if (is_number)
	{
		value.data = DatumGetPointer(value_numeric(field, pnstrdup(s, len)));
		value.type = JENTRY_ISNUMERIC;
		value.len = VARSIZE(value.data);
	}
	return value;
}

/* A number as a numeric; an error, which names the field, if it is too high. */
static Datum
value_numeric(const NvsField *field, const char *text)
{
	ErrorContextCallback context;
	Datum		result;

	value_push_context(&context, field);
	result = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	error_context_stack = context.previous;
	return result;
}

/* Is that a number as JSON writes them, with less than a thousand digits? */
static bool
value_is_number(const char *s, int len)
{
	const char *end = s + len;

	if (len == 0 || len > 1000)
		return false;
	if (*s == '-')
		s++;
	if (!value_skip_digits(&s, end))
		return false;
	if (s < end && *s == '.')
	{
		s++;
		if (!value_skip_digits(&s, end))
			return false;
	}
	if (s < end && (*s == 'e' || *s == 'E'))
	{
		s++;
		if (s < end && (*s == '+' || *s == '-'))
			s++;
		if (!value_skip_digits(&s, end))
			return false;
	}
	return s == end;
}

/* Skip the digits at *s; false when there are none. */
static bool
value_skip_digits(const char **s, const char *end)
{
	const char *begin = *s;

	while (*s < end && isdigit((unsigned char) **s))
		(*s)++;
	return *s > begin;
}

/*
 * Are these milliseconds, and nothing else?  A date may be written in eight
 * digits, and with a time in fourteen.
 */
static bool
value_is_ms(const char *s, int len)
{
	const char *end = s + len;

	return len == 13 && value_skip_digits(&s, end) && s == end;
}

/* Is that a time as HTTP and Date.toUTCString() have it? */
static bool
value_is_http_date(const char *s, int len)
{
	static const char shape[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";
	int			i;

	if (len != sizeof(shape) - 1)
		return false;
	for (i = 0; i < len; i++)
	{
		unsigned char c = s[i];
		bool		fits;

		if (i >= len - 3)
			fits = c == shape[i];
		else if (isalpha((unsigned char) shape[i]))
			fits = isalpha(c);
		else if (shape[i] == '0')
			fits = isdigit(c);
		else
			fits = c == shape[i];
		if (!fits)
			return false;
	}
	return true;
}

/* A JSON value as a whole number, or an error that names the field. */
static int64
value_integer(const NvsField *field, NvsJsonbChild value)
{
	Datum		number = PointerGetDatum(value.data);
	Datum		whole;
	int64		result;

	if (value.type != JENTRY_ISNUMERIC)
		value_wrong_type(field, value, "a whole number");
	result = DatumGetInt64(value_convert(field, numeric_int8, number));
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

/*
 * A JSON value as milliseconds since 1970: it is their number or an ISO-8601
 * string, else an error that names the field.
 */
static int64
value_ms(const NvsField *field, NvsJsonbChild value)
{
	if (value.type == JENTRY_ISSTRING)
		return value_ms_from_text(field, value.data, value.len);
	if (value.type != JENTRY_ISNUMERIC)
		value_wrong_type(field, value, "milliseconds or an ISO-8601 string");
	return value_integer(field, value);
}

/*
 * An ISO-8601 string, in UTC when it names no zone, or a date of HTTP, as
 * milliseconds.
 */
static int64
value_ms_from_text(const NvsField *field, const char *s, int len)
{
	ErrorContextCallback context;
	char	   *text;
	TimestampTz t;

	/* The day of the week says nothing. */
	if (value_is_http_date(s, len))
		text = pnstrdup(s + 5, len - 5);

	else
		text = value_iso_text(field, s, len);

	value_push_context(&context, field);
	t = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												CStringGetDatum(text),
												ObjectIdGetDatum(InvalidOid),
												Int32GetDatum(-1)));
	error_context_stack = context.previous;
	pfree(text);
	return nvs_timestamptz_to_ms(t);
}

/*
 * An ISO-8601 string with a zone; an error, which names the field, if it is
 * something else: timestamptz_in() would take "now" and "tomorrow" as well.
 */
static char *
value_iso_text(const NvsField *field, const char *s, int len)
{
	char	   *text = psprintf("%.*s%s", len, s,
								value_names_zone(s, len) ? "" : "Z");

	if (len < 10 || s[4] != '-' || strspn(text, "0123456789-:.+TZtz ") <
		strlen(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("field \"%s\" is not an ISO-8601 time: \"%.*s\"",
						field->label, len, s),
				 errhint("Write 2026-01-31T12:00:00.000Z, or milliseconds "
						 "since 1970 as a number.")));
	return text;
}

/* Does an ISO-8601 time end in Z or an offset? */
static bool
value_names_zone(const char *s, int len)
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

/*
 * A JSON value as a value of a type without a kind of its own: what its input
 * function makes of the text, that of the JSON where the type takes JSON.
 */
static Datum
value_other(const NvsField *field, NvsJsonbChild value)
{
	if (value.type == JENTRY_ISSTRING && !field->takes_json)
		return value_input(field, pnstrdup(value.data, value.len));
	if (value.type == JENTRY_ISCONTAINER && !field->takes_json)
		return value_input(field, value_container_text(field, value));
	return value_input(field,
					   JsonbToCString(NULL, &nvs_jsonb_from_child(value)->root,
									  value.len));
}

/* A JSON array as the text of an SQL array; an error for anything else. */
static char *
value_container_text(const NvsField *field, NvsJsonbChild value)
{
	Oid			element = get_element_type(getBaseType(field->type));
	StringInfoData buf;

	if (!OidIsValid(element))
		value_wrong_type(field, value, "a single value");
	if (nvs_jsonb_is_object(value))
		value_wrong_type(field, value, "an array");
	initStringInfo(&buf);
	value_add_array(&buf, &nvs_jsonb_from_child(value)->root,
					element == JSONBOID || element == JSONOID);
	return buf.data;
}

/*
 * Append a JSON array as the text of an SQL array: {1,"two",NULL,{3}}.  json
 * has each element be the text of its JSON.
 */
static void
value_add_array(StringInfo buf, const JsonbContainer *jc, bool json)
{
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	check_stack_depth();
	appendStringInfoChar(buf, '{');
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild child = nvs_jsonb_child(jc, i);
		JsonbContainer *doc = &nvs_jsonb_from_child(child)->root;

		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (child.type == JENTRY_ISNULL)
			appendStringInfoString(buf, "NULL");
		else if (child.type == JENTRY_ISSTRING && !json)
			value_add_quoted(buf, pnstrdup(child.data, child.len));
		else if (child.type == JENTRY_ISCONTAINER && !json &&
				 !nvs_jsonb_is_object(child))
			value_add_array(buf, doc, json);
		else
			value_add_quoted(buf, JsonbToCString(NULL, doc, child.len));
	}
	appendStringInfoChar(buf, '}');
}

/* Append an element of an array in quotes, so that it stands for itself. */
static void
value_add_quoted(StringInfo buf, const char *s)
{
	appendStringInfoChar(buf, '"');
	for (; *s != '\0'; s++)
	{
		if (*s == '"' || *s == '\\')
			appendStringInfoChar(buf, '\\');
		appendStringInfoChar(buf, *s);
	}
	appendStringInfoChar(buf, '"');
}

/*
 * What the input function of a column's type makes of a text.  A check of a
 * domain may call us, and what the function keeps is of one value at a time: so
 * a call inside of the one that has it uses one of its own.  Who has it raised
 * an error when the next one is no deeper.
 */
static Datum
value_input(const NvsField *field, char *text)
{
	NvsField   *known = unconstify(NvsField *, field);
	int			depth = nvs_spi_depth() + 1;
	bool		nested = field->input_depth > 0 && field->input_depth < depth;
	ErrorContextCallback context;
	FmgrInfo	own;
	Datum		result;

	if (nested)
		fmgr_info_copy(&own, &known->input, CurrentMemoryContext);
	else
		known->input_depth = depth;
	value_push_context(&context, field);
	result = InputFunctionCall(nested ? &own : &known->input, text,
							   field->ioparam, field->typmod);
	error_context_stack = context.previous;
	if (!nested)
		known->input_depth = 0;
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
			return value_convert(field, int2in, CStringGetDatum(text));
		case NVS_FIELD_INT4:
			return value_convert(field, int4in, CStringGetDatum(text));
		case NVS_FIELD_INT8:
		case NVS_FIELD_MS:
			return value_convert(field, int8in, CStringGetDatum(text));
		default:
			return value_input(field, text);
	}
}
