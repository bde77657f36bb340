/*
 * kv/kv.c
 *	  Keys and their values, with a time to live: one key at a time.
 *
 * A row whose expires_at has passed is absent, whether it was swept or not.
 * Reads judge that by statement_timestamp(); writes judge it by the clock
 * once they hold the row.  One statement suffices where the judgement is made
 * behind the row lock, as in ON CONFLICT DO UPDATE and in RETURNING.  The
 * qualification of an UPDATE is tested before it waits and not always again,
 * so what depends on the present value holds the row first, decides here, and
 * then writes (nvs_kv_hold_row, kv_write_row).
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/arg.h"
#include "base/time.h"
#include "kv/overwrite.h"

/* Retries after losing a race with a concurrent insert of the key. */
#define MAX_ATTEMPTS	100

/* Statements; $1 is the key. */
static const NvsStatement kv_select = {
	"SELECT t.expires_at, t.value FROM {table} AS t "
	"WHERE " NVS_KV_THIS_KEY
};

/* $2 value, $3 expires_at or $4 time to live or neither. */
#define EXPIRY	"COALESCE($3, " NVS_KV_AFTER("$4") ")"
#define UPSERT \
	NVS_KV_INSERT "VALUES ($1, $2, " EXPIRY "{touch_value}) " \
	"ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value{touch_set}, " \
	"expires_at = "
static const NvsStatement kv_upsert = {UPSERT EXPIRY};
static const NvsStatement kv_upsert_absent = {
	UPSERT EXPIRY " WHERE NOT " NVS_KV_LIVE_NOW
};
static const NvsStatement kv_upsert_keep_ttl = {
	UPSERT "CASE WHEN " NVS_KV_LIVE_NOW " THEN t.expires_at END"
};

/* $2 value, $3 expires_at. */
static const NvsStatement kv_insert = {
	NVS_KV_INSERT "VALUES ($1, $2, $3{touch_value}) "
	"ON CONFLICT (key) DO NOTHING"
};
static const NvsStatement kv_update = {
	"UPDATE {table} AS t SET value = $2, expires_at = $3{touch_set} "
	"WHERE " NVS_KV_THIS_KEY
};

/* $2 number: add it to a live one, or begin anew with it. */
static const NvsStatement kv_add_number = {
	NVS_KV_INSERT "VALUES ($1, pg_catalog.to_jsonb($2), NULL{touch_value}) "
	"ON CONFLICT (key) DO UPDATE SET value = pg_catalog.to_jsonb("
	"t.value::pg_catalog.numeric OPERATOR(pg_catalog.+) $2){touch_set} "
	"WHERE " NVS_KV_LIVE_NOW " AND pg_catalog.jsonb_typeof(t.value) "
	"OPERATOR(pg_catalog.=) 'number' "
	"RETURNING t.value::pg_catalog.numeric"
};
static const NvsStatement kv_restart_number = {
	"UPDATE {table} AS t SET value = pg_catalog.to_jsonb($2){touch_set}, "
	"expires_at = NULL WHERE " NVS_KV_THIS_KEY " AND NOT " NVS_KV_LIVE_NOW
};

static const NvsStatement kv_delete_value = {
	"DELETE FROM {table} AS t WHERE " NVS_KV_THIS_KEY
	" RETURNING CASE WHEN " NVS_KV_LIVE_NOW " THEN t.value END"
};

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
PG_FUNCTION_INFO_V1(nvs_kv_getdel);

static bool kv_read_live(FunctionCallInfo fcinfo, Datum row[2],
						 bool isnull[2]);
static bool kv_select_live(text *key, Datum row[2], bool isnull[2]);
static void kv_check_exclusive(bool a, const char *a_name, bool b,
							   const char *b_name);
static void kv_value_arguments(FunctionCallInfo fcinfo, int value, int ttl,
							   int keep_ttl, int expires_at, KvValue *kv);
static void kv_take_seconds(double seconds, KvValue *kv);
static bool kv_run_upsert(text *key, const NvsStatement *statement,
						  const KvValue *kv);
static bool kv_write_row(NvsTarget *target, Datum key, const NvsKvRow *row,
						 const KvValue *kv, int attempt);
static bool kv_replace_live(text *key, const KvValue *kv);
static bool kv_is_expected(const NvsKvRow *row, bool absent, Datum expected);
static void kv_check_addable(NvsTarget *target, Datum key, int attempt);

/*
 * Read expires_at and value of the key in argument 0, in the caller's memory
 * context.  Returns false when the key is absent.
 */
static bool
kv_read_live(FunctionCallInfo fcinfo, Datum row[2], bool isnull[2])
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	NvsResolved resolved;
	NvsLookupScan scan;
	bool		found;

	if (unlikely(!nvs_kv_lookup(key, &resolved) ||
				 !nvs_lookup_begin(resolved.target, &scan)))
		return kv_select_live(key, row, isnull);
	found = nvs_kv_lookup_row(&scan, key, row, isnull);
	if (found)
		row[1] = datumCopy(row[1], false, -1);
	nvs_lookup_end(&scan);
	return found;
}

/*
 * Read what is live of a key, as kv_read_live() does, by a statement.
 * Whether it is live is decided here: in the statement it would cost the
 * executor a tenth of its time.
 */
static bool
kv_select_live(text *key, Datum row[2], bool isnull[2])
{
	MemoryContext cxt = CurrentMemoryContext;
	NvsResolved resolved;
	NvsParams	params;
	bool		found = false;

	nvs_spi_begin();
	if (nvs_kv_resolve(key, NVS_USE_READ, &resolved))
	{
		nvs_kv_params(&params, PointerGetDatum(key));
		found = nvs_execute_row(nvs_statement_plan(resolved.target->plans,
												   &kv_select, &params, NULL),
								&params, true, cxt, 2, row, isnull);
	}
	nvs_spi_end();
	return found && nvs_kv_is_live(row, isnull);
}

/* nvent.kv_get(key): the value, NULL when the key is absent. */
Datum
nvs_kv_get(PG_FUNCTION_ARGS)
{
	Datum		row[2];
	bool		isnull[2];

	if (!kv_read_live(fcinfo, row, isnull))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row[1]);
}

/* nvent.kv_exists(key): is there a value, be it JSON's null? */
Datum
nvs_kv_exists(PG_FUNCTION_ARGS)
{
	Datum		row[2];
	bool		isnull[2];

	PG_RETURN_BOOL(kv_read_live(fcinfo, row, isnull));
}

/* nvent.kv_ttl(key): NULL when the key is absent or does not expire. */
Datum
nvs_kv_ttl(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();
	Datum		row[2];
	bool		isnull[2];

	if (!kv_read_live(fcinfo, row, isnull) || isnull[0] ||
		TIMESTAMP_IS_NOEND(DatumGetTimestampTz(row[0])))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_mi, row[0],
										TimestampTzGetDatum(now)));
}

/* Raise an error when two options are given that contradict each other. */
static void
kv_check_exclusive(bool a, const char *a_name, bool b, const char *b_name)
{
	if (a && b)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"%s\" and \"%s\" are mutually exclusive",
						a_name, b_name)));
}

/*
 * Read what is to be written from the arguments of these numbers; -1 for
 * expires_at in a function that does not have it.
 */
static void
kv_value_arguments(FunctionCallInfo fcinfo, int value, int ttl, int keep_ttl,
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
	kv->keep_ttl = NVS_ARG_OR(keep_ttl, PG_GETARG_BOOL, false);
	kv->expires = expires_at >= 0 && !PG_ARGISNULL(expires_at);
	kv->expires_at = kv->expires ? PG_GETARG_TIMESTAMPTZ(expires_at) : 0;
	kv_check_exclusive(kv->ttl != NULL, "ttl", kv->keep_ttl, "keep_ttl");
	kv_check_exclusive(kv->ttl != NULL, "ttl", kv->expires, "expires_at");
	kv_check_exclusive(kv->keep_ttl, "keep_ttl", kv->expires, "expires_at");

	/* Expired rows are found by whole hours, which need a finite time. */
	if (kv->expires && TIMESTAMP_IS_NOEND(kv->expires_at))
		kv->expires = false;
	else if (kv->expires && TIMESTAMP_IS_NOBEGIN(kv->expires_at))
		kv->expires_at = 0;
}

/*
 * Have what is to be written live for a number of seconds: 0 is for good, and
 * what is less is over.
 */
static void
kv_take_seconds(double seconds, KvValue *kv)
{
	kv_check_exclusive(kv->ttl != NULL, "ttl", true, "seconds");
	kv_check_exclusive(kv->keep_ttl, "keep_ttl", true, "seconds");
	kv_check_exclusive(kv->expires, "expires_at", true, "seconds");
	if (!(fabs(seconds) < (double) PG_INT64_MAX / USECS_PER_SEC))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"seconds\" is out of range")));
	if (seconds > 0)
	{
		kv->ttl = palloc0(sizeof(Interval));
		kv->ttl->time = Max((int64) (seconds * USECS_PER_SEC), 1);
		/* An error for a time that no timestamp can tell. */
		(void) nvs_after(GetCurrentTimestamp(), kv->ttl);
	}
	else if (seconds < 0)
	{
		kv->expires = true;
		kv->expires_at = 0;
	}
}

/*
 * nvent.kv_set(key, value, ttl, nx, xx, keep_ttl, expires_at, seconds): false
 * when nx or xx kept it from being set.
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
	kv_value_arguments(fcinfo, 1, 2, 5, 6, &kv);
	if (!PG_ARGISNULL(7))
		kv_take_seconds(PG_GETARG_FLOAT8(7), &kv);
	kv_check_exclusive(nx, "nx", xx, "xx");
	PreventCommandIfReadOnly("nvent.kv_set()");

	nvs_spi_begin();
	if (xx)
		done = kv_replace_live(key, &kv);
	else if (nx)
		done = kv_run_upsert(key, &kv_upsert_absent, &kv);
	else
		done = kv_run_upsert(key, kv.keep_ttl ? &kv_upsert_keep_ttl :
							 &kv_upsert, &kv);
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}

/*
 * Set a key by one of the INSERT statements.  Returns false when the key is
 * there and the statement is for an absent one.
 */
static bool
kv_run_upsert(text *key, const NvsStatement *statement, const KvValue *kv)
{
	NvsResolved resolved;
	NvsParams	params;
	SPIPlanPtr	plan;

	(void) nvs_kv_resolve(key, NVS_USE_WRITE, &resolved);
	if (statement == &kv_upsert &&
		nvs_kv_overwrite_one(resolved.target, key, kv->value, kv->ttl,
							 kv->expires, kv->expires_at))
		return true;
	nvs_kv_params(&params, PointerGetDatum(key));
	nvs_params_add(&params, JSONBOID, kv->value, false);
	nvs_kv_add_expiry(&params, kv->expires, kv->expires_at);
	nvs_params_add(&params, INTERVALOID, PointerGetDatum(kv->ttl),
				   kv->ttl == NULL);
	plan = nvs_statement_plan(resolved.target->plans, statement, &params,
							  NULL);
	if (nvs_execute(plan, &params, false, 0) > 0)
		return true;
	if (statement != &kv_upsert_absent)
		nvs_kv_refused(resolved.target);
	return false;
}

/* Set a key that is there; false when it is not. */
static bool
kv_replace_live(text *key, const KvValue *kv)
{
	Datum		param = PointerGetDatum(key);
	NvsResolved resolved;
	NvsKvRow	row;

	if (!nvs_kv_resolve(key, NVS_USE_CHANGE, &resolved))
		return false;
	nvs_kv_hold_row(resolved.target, param, &row);
	return row.live && kv_write_row(resolved.target, param, &row, kv, 0);
}

/*
 * Write a key after nvs_kv_hold_row().  Returns false when there was no row and
 * another session made one meanwhile: hold that and decide anew.  After
 * MAX_ATTEMPTS of those it is a trigger, rule or policy that refuses the row.
 */
static bool
kv_write_row(NvsTarget *target, Datum key, const NvsKvRow *row,
			 const KvValue *kv, int attempt)
{
	NvsParams	params;
	SPIPlanPtr	plan;

	nvs_kv_params(&params, key);
	nvs_params_add(&params, JSONBOID, kv->value, false);
	if (kv->ttl != NULL)
		nvs_kv_add_expiry(&params, true, nvs_after(row->now, kv->ttl));
	else if (kv->expires)
		nvs_kv_add_expiry(&params, true, kv->expires_at);
	else
		nvs_kv_add_expiry(&params, kv->keep_ttl && row->live && row->expires,
						  row->expires_at);
	plan = nvs_statement_plan(target->plans,
							  row->exists ? &kv_update : &kv_insert, &params,
							  NULL);
	if (nvs_execute(plan, &params, false, 0) > 0)
		return true;
	if (row->exists || attempt >= MAX_ATTEMPTS)
		nvs_kv_refused(target);
	return false;
}

/* nvent.kv_getset(key, value, ttl, keep_ttl): the value before, or NULL. */
Datum
nvs_kv_getset(PG_FUNCTION_ARGS)
{
	Datum		key;
	Datum		old = 0;
	NvsResolved resolved;
	KvValue		kv;
	NvsKvRow	row;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	kv_value_arguments(fcinfo, 1, 2, 3, -1, &kv);
	PreventCommandIfReadOnly("nvent.kv_getset()");

	nvs_spi_begin();
	(void) nvs_kv_resolve(DatumGetTextPP(key), NVS_USE_WRITE, &resolved);
	do
		nvs_kv_hold_row(resolved.target, key, &row);
	while (!kv_write_row(resolved.target, key, &row, &kv, attempt++));
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
	Datum		key;
	NvsResolved resolved;
	KvValue		kv;
	NvsKvRow	row;
	bool		same = false;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	kv_value_arguments(fcinfo, 2, 3, 4, -1, &kv);
	PreventCommandIfReadOnly("nvent.kv_cas()");

	nvs_spi_begin();
	if (nvs_kv_resolve(DatumGetTextPP(key), absent ? NVS_USE_WRITE :
					   NVS_USE_CHANGE, &resolved))
	{
		do
		{
			/*
			 * A row that is there stays as it is.  One that is not may come
			 * before the write, which does nothing then: it is compared, too.
			 */
			nvs_kv_hold_row(resolved.target, key, &row);
			same = kv_is_expected(&row, absent, expected);
		}
		while (same &&
			   !kv_write_row(resolved.target, key, &row, &kv, attempt++));
	}
	nvs_spi_end();
	PG_RETURN_BOOL(same);
}

/* Is a key's value the expected one, or absent as it is expected to be? */
static bool
kv_is_expected(const NvsKvRow *row, bool absent, Datum expected)
{
	if (absent || !row->live)
		return absent && !row->live;
	return compareJsonbContainers(&DatumGetJsonbP(row->value)->root,
								  &DatumGetJsonbP(expected)->root) == 0;
}

/*
 * nvent.kv_increment(key, by): the sum.  One statement adds to a live number
 * and inserts an absent one; a row that it leaves alone is expired, and begins
 * anew, or holds no number.
 */
Datum
nvs_kv_increment(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	Numeric		by;
	Datum		key;
	Datum		sum;
	NvsResolved resolved;
	NvsParams	params;
	NvsPlanSet *plans;
	int			attempt = 0;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "by");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	by = PG_GETARG_NUMERIC(1);
	if (numeric_is_nan(by) || numeric_is_inf(by))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"by\" must be a finite number")));
	PreventCommandIfReadOnly("nvent.kv_increment()");

	/*
	 * A row that neither statement takes holds no number, or has changed
	 * between the two: then once more.
	 */
	nvs_spi_begin();
	(void) nvs_kv_resolve(DatumGetTextPP(key), NVS_USE_WRITE, &resolved);
	plans = resolved.target->plans;
	nvs_kv_params(&params, key);
	nvs_params_add(&params, NUMERICOID, NumericGetDatum(by), false);
	while (!nvs_execute_first(nvs_statement_plan(plans, &kv_add_number,
												 &params, NULL),
							  &params, false, cxt, &sum))
	{
		/*
		 * Expired, it begins anew; else there is a value that is no number,
		 * which is an error, or the row has gone or come since.
		 */
		if (nvs_execute(nvs_statement_plan(plans, &kv_restart_number,
										   &params, NULL),
						&params, false, 0) > 0)
		{
			sum = NumericGetDatum(by);
			break;
		}
		kv_check_addable(resolved.target, key, attempt++);
	}
	nvs_spi_end();
	PG_RETURN_DATUM(sum);
}

/*
 * Raise the error that kept a key from being incremented; returns when it has
 * become one that can be, and MAX_ATTEMPTS are not used up.
 */
static void
kv_check_addable(NvsTarget *target, Datum key, int attempt)
{
	NvsKvRow	row;

	nvs_kv_hold_row(target, key, &row);
	if (row.live)
		nvs_check_number(text_to_cstring(DatumGetTextPP(key)),
						 nvs_jsonb_root(DatumGetJsonbP(row.value)));
	if (attempt >= MAX_ATTEMPTS)
		nvs_kv_refused(target);
}

/* nvent.kv_getdel(key): the value that it had, or NULL; the key is gone. */
Datum
nvs_kv_getdel(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	Datum		key;
	Datum		value;
	NvsResolved resolved;
	NvsParams	params;
	bool		found = false;

	NVS_REQUIRE_ARG(0, "key");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	PreventCommandIfReadOnly("nvent.kv_getdel()");

	nvs_spi_begin();
	if (nvs_kv_resolve(DatumGetTextPP(key), NVS_USE_CHANGE, &resolved))
	{
		nvs_kv_params(&params, key);
		found = nvs_execute_first(nvs_statement_plan(resolved.target->plans,
													 &kv_delete_value,
													 &params, NULL),
								  &params, false, cxt, &value);
	}
	nvs_spi_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}
