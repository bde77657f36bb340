/*
 * kv/kv.c
 *	  Keys and their values, with a time to live: one key at a time.
 *
 * A row whose expires_at has passed is absent, whether it was swept or not.
 * Reads judge that by statement_timestamp(); writes judge it by the clock
 * once they hold the row.  A statement of its own suffices where the judgement
 * is made behind the row lock, which is so in ON CONFLICT DO UPDATE and in
 * RETURNING.  The qualification of an UPDATE is tested before it waits and not
 * always again, so what depends on the present value holds the row first,
 * decides here, and then writes (hold_row, write_row).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/time.h"
#include "kv/kv.h"

/* Times that a key may be made by others between our look and our write. */
#define MAX_ATTEMPTS	100

/* A key's row while this transaction holds it. */
typedef struct KvRow
{
	bool		exists;			/* there is one, perhaps an expired one */
	bool		live;
	bool		expires;
	TimestampTz expires_at;
	TimestampTz now;			/* when it was judged: once it was held */
	Datum		value;			/* in SPI's memory */
} KvRow;

/* What a write is to put under a key, and until when. */
typedef struct KvValue
{
	Datum		value;
	Interval   *ttl;			/* NULL for none */
	bool		keep_ttl;
	bool		expires;		/* at expires_at */
	TimestampTz expires_at;
} KvValue;

PG_FUNCTION_INFO_V1(nvs_kv_get);
PG_FUNCTION_INFO_V1(nvs_kv_exists);
PG_FUNCTION_INFO_V1(nvs_kv_ttl);
PG_FUNCTION_INFO_V1(nvs_kv_set);
PG_FUNCTION_INFO_V1(nvs_kv_getset);
PG_FUNCTION_INFO_V1(nvs_kv_cas);
PG_FUNCTION_INFO_V1(nvs_kv_increment);
PG_FUNCTION_INFO_V1(nvs_kv_expire);
PG_FUNCTION_INFO_V1(nvs_kv_persist);
PG_FUNCTION_INFO_V1(nvs_kv_getdel);

static bool read_live(FunctionCallInfo fcinfo, Datum row[2], bool isnull[2]);
static void exclusive(bool a, const char *a_name, bool b, const char *b_name);
static void read_value(FunctionCallInfo fcinfo, int value, int ttl, int keep,
					   int expires_at, KvValue *kv);
static bool upsert(text *key, NvsKvStatement which, const KvValue *kv);
static void hold_row(NvsTarget *target, Datum key, KvRow *row);
static bool write_row(NvsTarget *target, Datum key, const KvRow *row,
					  const KvValue *kv, int attempt);
static void touch_row(NvsTarget *target, Datum key, bool expires,
					  TimestampTz expires_at);
static bool replace_live(text *key, const KvValue *kv);
static bool same_value(const KvRow *row, bool absent, Datum expected);
static void refuse_number(NvsTarget *target, text *key, int attempt);
static bool mode_allows(const char *mode, const KvRow *row,
						TimestampTz expires_at);

/*
 * Read expires_at and value of the key in argument 0.  Returns false when it
 * is absent.  That is decided here, for in the statement it would cost the
 * executor a tenth of its time.
 */
static bool
read_live(FunctionCallInfo fcinfo, Datum row[2], bool isnull[2])
{
	MemoryContext cxt = CurrentMemoryContext;
	text	   *key = PG_GETARG_TEXT_PP(0);
	Datum		param = PointerGetDatum(key);
	NvsResolved resolved;
	bool		found = false;

	nvs_spi_begin();
	if (nvs_kv_find(key, false, &resolved))
		found = nvs_plan_row(nvs_kv_plan(resolved.target, NVS_KV_GET), &param,
							 NULL, true, cxt, 2, row, isnull);
	nvs_spi_end();
	return found && !isnull[1] &&
		(isnull[0] ||
		 DatumGetTimestampTz(row[0]) > GetCurrentStatementStartTimestamp());
}

/* nvent.kv_get(key): the value, NULL when the key is absent. */
Datum
nvs_kv_get(PG_FUNCTION_ARGS)
{
	Datum		row[2];
	bool		isnull[2];

	if (!read_live(fcinfo, row, isnull))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row[1]);
}

/* nvent.kv_exists(key) */
Datum
nvs_kv_exists(PG_FUNCTION_ARGS)
{
	Datum		row[2];
	bool		isnull[2];

	PG_RETURN_BOOL(read_live(fcinfo, row, isnull));
}

/* nvent.kv_ttl(key): NULL when the key is absent or does not expire. */
Datum
nvs_kv_ttl(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();
	Datum		row[2];
	bool		isnull[2];

	if (!read_live(fcinfo, row, isnull) || isnull[0] ||
		TIMESTAMP_IS_NOEND(DatumGetTimestampTz(row[0])))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_mi, row[0],
										TimestampTzGetDatum(now)));
}

/* Raise an error when two options are given that contradict each other. */
static void
exclusive(bool a, const char *a_name, bool b, const char *b_name)
{
	if (a && b)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"%s\" and \"%s\" exclude each other",
						a_name, b_name)));
}

/*
 * Read the arguments of these numbers, -1 for one that the function does not
 * have, into what is to be written.
 */
static void
read_value(FunctionCallInfo fcinfo, int value, int ttl, int keep,
		   int expires_at, KvValue *kv)
{
	if (PG_ARGISNULL(value))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"value\" must not be null"),
				 errhint("Pass 'null'::jsonb for JSON's null, or call "
						 "nvent.kv_delete().")));
	kv->value = PG_GETARG_DATUM(value);
	kv->ttl = nvs_ttl_argument(fcinfo, ttl, "ttl");
	kv->keep_ttl = NVS_ARG_OR(keep, PG_GETARG_BOOL, false);
	kv->expires = expires_at >= 0 && !PG_ARGISNULL(expires_at);
	kv->expires_at = kv->expires ? PG_GETARG_TIMESTAMPTZ(expires_at) : 0;
	exclusive(kv->ttl != NULL, "ttl", kv->keep_ttl, "keep_ttl");
	exclusive(kv->ttl != NULL, "ttl", kv->expires, "expires_at");
	exclusive(kv->keep_ttl, "keep_ttl", kv->expires, "expires_at");

	/* What is swept is found by whole hours, which need a finite time. */
	if (kv->expires && TIMESTAMP_IS_NOEND(kv->expires_at))
		kv->expires = false;
	else if (kv->expires && TIMESTAMP_IS_NOBEGIN(kv->expires_at))
		kv->expires_at = 0;
}

/*
 * nvent.kv_set(key, value, ttl, nx, xx, keep_ttl, expires_at): false when nx
 * or xx kept it from being set.
 */
Datum
nvs_kv_set(PG_FUNCTION_ARGS)
{
	bool		nx = NVS_ARG_OR(3, PG_GETARG_BOOL, false);
	bool		xx = NVS_ARG_OR(4, PG_GETARG_BOOL, false);
	KvValue		kv;
	text	   *key;
	bool		done;

	NVS_REQUIRE_ARG(0, "key");
	key = PG_GETARG_TEXT_PP(0);
	read_value(fcinfo, 1, 2, 5, 6, &kv);
	exclusive(nx, "nx", xx, "xx");
	PreventCommandIfReadOnly("nvent.kv_set()");

	nvs_spi_begin();
	if (xx)
		done = replace_live(key, &kv);
	else if (nx)
		done = upsert(key, NVS_KV_SET_NX, &kv);
	else
		done = upsert(key, kv.keep_ttl ? NVS_KV_SET_KEEP : NVS_KV_SET, &kv);
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}

/* Set a key by one of the INSERT statements; false when its WHERE says no. */
static bool
upsert(text *key, NvsKvStatement which, const KvValue *kv)
{
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};
	NvsResolved resolved;

	(void) nvs_kv_find(key, true, &resolved);
	values[0] = PointerGetDatum(key);
	values[1] = kv->value;
	values[2] = TimestampTzGetDatum(kv->expires_at);
	values[3] = PointerGetDatum(kv->ttl);
	if (!kv->expires)
		nulls[2] = 'n';
	if (kv->ttl == NULL)
		nulls[3] = 'n';
	if (nvs_plan_execute(nvs_kv_plan(resolved.target, which), values, nulls,
						 false, 0) > 0)
		return true;
	if (which != NVS_KV_SET_NX)
		nvs_kv_refused(resolved.target);
	return false;
}

/* Set a key that is there; false when it is not. */
static bool
replace_live(text *key, const KvValue *kv)
{
	Datum		param = PointerGetDatum(key);
	NvsResolved resolved;
	KvRow		row;

	if (!nvs_kv_find(key, false, &resolved))
		return false;
	hold_row(resolved.target, param, &row);
	return row.live && write_row(resolved.target, param, &row, kv, 0);
}

/*
 * Lock a key's row until the end of the transaction and judge it as it is
 * then.
 */
static void
hold_row(NvsTarget *target, Datum key, KvRow *row)
{
	Datum		columns[2];
	bool		isnull[2];

	memset(row, 0, sizeof(KvRow));
	row->exists = nvs_plan_row(nvs_kv_plan(target, NVS_KV_HOLD), &key, NULL,
							   false, CurrentMemoryContext, 2, columns,
							   isnull);
	row->now = GetCurrentTimestamp();
	if (!row->exists)
		return;
	row->expires_at = isnull[0] ? 0 : DatumGetTimestampTz(columns[0]);
	row->expires = !isnull[0] && !TIMESTAMP_IS_NOEND(row->expires_at);
	row->live = !isnull[1] &&
		(!row->expires || row->expires_at > row->now);
	row->value = columns[1];
}

/*
 * Write a key after hold_row().  Returns false when there was no row and
 * another session made one meanwhile: hold that and decide anew.
 */
static bool
write_row(NvsTarget *target, Datum key, const KvRow *row, const KvValue *kv,
		  int attempt)
{
	Datum		values[3];
	char		nulls[3] = {' ', ' ', 'n'};
	SPIPlanPtr	plan;

	values[0] = key;
	values[1] = kv->value;
	values[2] = 0;
	if (kv->expires || kv->ttl != NULL)
	{
		nulls[2] = ' ';
		values[2] = TimestampTzGetDatum(kv->ttl == NULL ? kv->expires_at :
										nvs_after(row->now, kv->ttl));
	}
	else if (kv->keep_ttl && row->live && row->expires)
	{
		nulls[2] = ' ';
		values[2] = TimestampTzGetDatum(row->expires_at);
	}
	plan = nvs_kv_plan(target, row->exists ? NVS_KV_UPDATE : NVS_KV_INSERT);
	if (nvs_plan_execute(plan, values, nulls, false, 0) > 0)
		return true;
	if (row->exists || attempt >= MAX_ATTEMPTS)
		nvs_kv_refused(target);
	return false;
}

/* nvent.kv_getset(key, value, ttl, keep_ttl): the value before, or NULL. */
Datum
nvs_kv_getset(PG_FUNCTION_ARGS)
{
	Datum		param;
	Datum		old = 0;
	NvsResolved resolved;
	KvValue		kv;
	KvRow		row;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	param = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	read_value(fcinfo, 1, 2, 3, -1, &kv);
	PreventCommandIfReadOnly("nvent.kv_getset()");

	nvs_spi_begin();
	(void) nvs_kv_find(DatumGetTextPP(param), true, &resolved);
	do
		hold_row(resolved.target, param, &row);
	while (!write_row(resolved.target, param, &row, &kv, attempt++));
	if (row.live)
		old = SPI_datumTransfer(row.value, false, -1);
	nvs_spi_end();
	if (!row.live)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(old);
}

/*
 * nvent.kv_cas(key, expected, value, ttl, keep_ttl): set the key if its value
 * is the expected one, NULL for absent; false when it is not.
 */
Datum
nvs_kv_cas(PG_FUNCTION_ARGS)
{
	bool		absent = PG_ARGISNULL(1);
	Datum		expected = absent ? 0 : PG_GETARG_DATUM(1);
	Datum		param;
	NvsResolved resolved;
	KvValue		kv;
	KvRow		row;
	bool		same = false;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	param = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	read_value(fcinfo, 2, 3, 4, -1, &kv);
	PreventCommandIfReadOnly("nvent.kv_cas()");

	nvs_spi_begin();
	if (nvs_kv_find(DatumGetTextPP(param), absent, &resolved))
	{
		do
		{
			hold_row(resolved.target, param, &row);
			same = same_value(&row, absent, expected);
		}
		while (same &&
			   !write_row(resolved.target, param, &row, &kv, attempt++));
	}
	nvs_spi_end();
	PG_RETURN_BOOL(same);
}

/* Is a key's value the expected one? */
static bool
same_value(const KvRow *row, bool absent, Datum expected)
{
	if (absent || !row->live)
		return absent && !row->live;
	return compareJsonbContainers(&DatumGetJsonbP(row->value)->root,
								  &DatumGetJsonbP(expected)->root) == 0;
}

/*
 * nvent.kv_increment(key, by): the sum.  The row is left alone by the one
 * statement when it is expired, and then begins anew, or is no number.
 */
Datum
nvs_kv_increment(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	Numeric		by;
	Datum		values[2];
	Datum		sum;
	NvsResolved resolved;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "by");
	by = PG_GETARG_NUMERIC(1);
	if (numeric_is_nan(by) || numeric_is_inf(by))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"by\" must be a finite number")));
	PreventCommandIfReadOnly("nvent.kv_increment()");

	values[0] = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	values[1] = NumericGetDatum(by);
	nvs_spi_begin();
	(void) nvs_kv_find(DatumGetTextPP(values[0]), true, &resolved);
	while (!nvs_plan_first(nvs_kv_plan(resolved.target, NVS_KV_INCREMENT),
						   values, NULL, false, cxt, &sum))
	{
		if (nvs_plan_execute(nvs_kv_plan(resolved.target, NVS_KV_RESTART),
							 values, NULL, false, 0) > 0)
		{
			sum = NumericGetDatum(by);
			break;
		}
		refuse_number(resolved.target, DatumGetTextPP(values[0]), attempt++);
	}
	nvs_spi_end();
	PG_RETURN_DATUM(sum);
}

/* Say why a key was not incremented; returns if it can be tried again. */
static void
refuse_number(NvsTarget *target, text *key, int attempt)
{
	KvRow		row;

	hold_row(target, PointerGetDatum(key), &row);
	if (row.live)
		nvs_check_number(text_to_cstring(key),
						 nvs_jsonb_root(DatumGetJsonbP(row.value)));
	if (attempt >= MAX_ATTEMPTS)
		nvs_kv_refused(target);
}

/*
 * nvent.kv_expire(key, ttl, mode): false when the key is absent or the mode
 * says no; a ttl that is not positive deletes.
 */
Datum
nvs_kv_expire(PG_FUNCTION_ARGS)
{
	char	   *mode = PG_ARGISNULL(2) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	Datum		param;
	Interval   *ttl;
	NvsResolved resolved;
	KvRow		row;
	bool		done = false;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "ttl");
	param = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	ttl = PG_GETARG_INTERVAL_P(1);
	if (mode != NULL && strcmp(mode, "nx") != 0 && strcmp(mode, "xx") != 0 &&
		strcmp(mode, "gt") != 0 && strcmp(mode, "lt") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no expiry mode \"%s\"", mode),
				 errhint("Modes are \"nx\", \"xx\", \"gt\" and \"lt\".")));
	PreventCommandIfReadOnly("nvent.kv_expire()");

	nvs_spi_begin();
	if (nvs_kv_find(DatumGetTextPP(param), false, &resolved))
	{
		TimestampTz at;

		hold_row(resolved.target, param, &row);
		at = nvs_after(row.now, ttl);
		done = row.live && mode_allows(mode, &row, at);
		if (done && at > row.now)
			touch_row(resolved.target, param, true, at);
		else if (done)
			nvs_plan_execute(nvs_kv_plan(resolved.target, NVS_KV_DELETE),
							 &param, NULL, false, 0);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}

/* May the expiry of a live row be moved?  Without one it is infinite. */
static bool
mode_allows(const char *mode, const KvRow *row, TimestampTz expires_at)
{
	if (mode == NULL)
		return true;
	switch (*mode)
	{
		case 'n':
			return !row->expires;
		case 'x':
			return row->expires;
		case 'g':
			return row->expires && expires_at > row->expires_at;
		default:
			return !row->expires || expires_at < row->expires_at;
	}
}

/* Change when a row that is held expires. */
static void
touch_row(NvsTarget *target, Datum key, bool expires, TimestampTz expires_at)
{
	Datum		values[2];
	char		nulls[2] = {' ', ' '};

	values[0] = key;
	values[1] = TimestampTzGetDatum(expires_at);
	if (!expires)
		nulls[1] = 'n';
	if (nvs_plan_execute(nvs_kv_plan(target, NVS_KV_TOUCH), values, nulls,
						 false, 0) == 0)
		nvs_kv_refused(target);
}

/* nvent.kv_persist(key): true when it would have expired. */
Datum
nvs_kv_persist(PG_FUNCTION_ARGS)
{
	Datum		param;
	NvsResolved resolved;
	KvRow		row;
	bool		done = false;

	NVS_REQUIRE_ARG(0, "key");
	param = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	PreventCommandIfReadOnly("nvent.kv_persist()");

	nvs_spi_begin();
	if (nvs_kv_find(DatumGetTextPP(param), false, &resolved))
	{
		hold_row(resolved.target, param, &row);
		done = row.live && row.expires;
		if (done)
			touch_row(resolved.target, param, false, 0);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}

/* nvent.kv_getdel(key): the value that it had, or NULL; the key is gone. */
Datum
nvs_kv_getdel(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	Datum		param;
	Datum		value;
	NvsResolved resolved;
	bool		found = false;

	NVS_REQUIRE_ARG(0, "key");
	param = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	PreventCommandIfReadOnly("nvent.kv_getdel()");

	nvs_spi_begin();
	if (nvs_kv_find(DatumGetTextPP(param), false, &resolved))
		found = nvs_plan_first(nvs_kv_plan(resolved.target, NVS_KV_GETDEL),
							   &param, NULL, false, cxt, &value);
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}
