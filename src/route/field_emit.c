/*
 * route/field_emit.c
 *	  Column values to JSON values.
 *
 * Milliseconds since 1970 become a number, or an ISO-8601 string in UTC.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "route/fields.h"

/* Years 1 to 9999, which ISO-8601 writes with four digits. */
#define MIN_ISO_MS	INT64CONST(-62135596800000)
#define MAX_ISO_MS	INT64CONST(253402300799999)

static void emit_float8(NvsJsonb *record, const char *key, int keylen,
						double value);
static void emit_ms(NvsJsonb *record, const char *key, int keylen,
					int64 ms);
static char *emit_digits(char *to, int number, int n, char after);

/* What a SELECT list has for a field: what nvs_field_emit() takes. */
const char *
nvs_field_select(const NvsField *field)
{
	if (field->kind == NVS_FIELD_OTHER)
		return psprintf("pg_catalog.to_jsonb(%s)", field->quoted);
	return field->quoted;
}

/*
 * Add a field to a record under its own name, with a value of what
 * nvs_field_select() selects; iso has times written as ISO-8601 in UTC instead
 * of milliseconds.
 */
void
nvs_field_emit(const NvsField *field, Datum value, bool iso,
			   NvsJsonb *record)
{
	nvs_field_emit_as(field->name, field->namelen, field, value, iso, record);
}

/* Add a field to a record as nvs_field_emit() does, but under another name. */
void
nvs_field_emit_as(const char *key, int len, const NvsField *field,
				  Datum value, bool iso, NvsJsonb *record)
{
	/*
	 * Without a default, so that the compiler asks for a kind that is
	 * missing.
	 */
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

/* Add a numeric to a record: as text where JSON has no such number. */
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

/* Add a double to a record: as text where JSON has no such number. */
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

	/* Not float8out(), whose digits depend on a setting. */
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

/*
 * Add a time to a record as 1970-01-01T00:00:00.000Z; as milliseconds when it
 * is outside the years 1 to 9999.
 */
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

	/* Its parts. */
	day = ms / (SECS_PER_DAY * 1000);
	rest = (int) (ms - day * (SECS_PER_DAY * 1000));
	if (rest < 0)
	{
		rest += SECS_PER_DAY * 1000;
		day--;
	}
	j2date((int) (day + UNIX_EPOCH_JDATE), &year, &month, &mday);

	/* Their text, by hand: printf() took more than all else of an entry. */
	end = text = palloc(sizeof("9999-12-31T23:59:59.999Z"));

	end = emit_digits(end, year, 4, '-');
	end = emit_digits(end, month, 2, '-');
	end = emit_digits(end, mday, 2, 'T');
	end = emit_digits(end, rest / 3600000, 2, ':');
	end = emit_digits(end, rest / 60000 % 60, 2, ':');
	end = emit_digits(end, rest / 1000 % 60, 2, '.');
	end = emit_digits(end, rest % 1000, 3, 'Z');
	nvs_jsonb_add_text(record, key, keylen, text, end - text);
}

/* Write a number in n digits, and a byte behind it; returns the end. */
static char *
emit_digits(char *to, int number, int n, char after)
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
