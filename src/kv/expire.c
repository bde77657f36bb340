/*
 * kv/expire.c
 *	  When a key expires, changed without its value.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/arg.h"
#include "base/time.h"
#include "kv/kv.h"

/* $1 key, $2 expires_at. */
static const NvsStatement expire_update = {
	"UPDATE {table} AS t SET expires_at = $2{touch_set} "
	"WHERE " NVS_KV_THIS_KEY
};

PG_FUNCTION_INFO_V1(nvs_kv_expire);
PG_FUNCTION_INFO_V1(nvs_kv_persist);

static void expire_check_mode(const char *mode);
static bool expire_mode_allows(const char *mode, const NvsKvRow *row,
							   TimestampTz expires_at);
static void expire_move(NvsTarget *target, Datum key, bool expires,
						TimestampTz expires_at);

/*
 * nvent.kv_expire(key, ttl, mode): false when the key is absent or the mode
 * says no; a ttl that is not positive deletes.
 */
Datum
nvs_kv_expire(PG_FUNCTION_ARGS)
{
	char	   *mode = PG_ARGISNULL(2) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	Datum		key;
	Interval   *ttl;
	NvsResolved resolved;
	NvsKvRow	row;
	bool		done = false;

	NVS_REQUIRE_ARG(0, "key");
	NVS_REQUIRE_ARG(1, "ttl");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	ttl = PG_GETARG_INTERVAL_P(1);
	expire_check_mode(mode);
	PreventCommandIfReadOnly("nvent.kv_expire()");

	nvs_spi_begin();
	if (nvs_kv_resolve(DatumGetTextPP(key), NVS_USE_CHANGE, &resolved))
	{
		TimestampTz at;

		/* The row is held while it is decided, by the clock as it is then. */
		nvs_kv_hold_row(resolved.target, key, &row);
		at = nvs_after(row.now, ttl);
		done = row.live && expire_mode_allows(mode, &row, at);

		if (done && at > row.now)
			expire_move(resolved.target, key, true, at);
		else if (done)
			(void) nvs_kv_delete_sorted(resolved.target, &key, 1);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}

/* Raise an error unless this is a mode of kv_expire(), or none. */
static void
expire_check_mode(const char *mode)
{
	if (mode != NULL && strcmp(mode, "nx") != 0 && strcmp(mode, "xx") != 0 &&
		strcmp(mode, "gt") != 0 && strcmp(mode, "lt") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized expiry mode \"%s\"", mode),
				 errhint("Valid modes are \"nx\", \"xx\", \"gt\" and "
						 "\"lt\".")));
}

/*
 * May the expiry of a live row be moved there?  A row that does not expire
 * counts as one that expires at infinity.
 */
static bool
expire_mode_allows(const char *mode, const NvsKvRow *row,
				   TimestampTz expires_at)
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

/* Change when a row that is held expires, or have it never expire. */
static void
expire_move(NvsTarget *target, Datum key, bool expires,
			TimestampTz expires_at)
{
	NvsParams	params;

	nvs_kv_params(&params, key);
	nvs_kv_add_expiry(&params, expires, expires_at);
	if (nvs_execute(nvs_statement_plan(target->plans, &expire_update,
									   &params, NULL),
					&params, false, 0) == 0)
		nvs_kv_refused(target);
}

/* nvent.kv_persist(key): true when it would have expired. */
Datum
nvs_kv_persist(PG_FUNCTION_ARGS)
{
	Datum		key;
	NvsResolved resolved;
	NvsKvRow	row;
	bool		done = false;

	NVS_REQUIRE_ARG(0, "key");
	key = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	PreventCommandIfReadOnly("nvent.kv_persist()");

	nvs_spi_begin();
	if (nvs_kv_resolve(DatumGetTextPP(key), NVS_USE_CHANGE, &resolved))
	{
		nvs_kv_hold_row(resolved.target, key, &row);
		done = row.live && row.expires;
		if (done)
			expire_move(resolved.target, key, false, 0);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(done);
}
