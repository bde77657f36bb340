/*
 * lock/lock.c
 *	  Named locks with a lease and a fencing token.
 *
 * A lock is a row of {prefix}_locks that lives on when it is released, with
 * an expiry in the past, until maintenance removes it.  Tokens come from one
 * sequence and are drawn only while the lock's row is held, so that of two
 * holders of a lock the later one always has the greater token.  Whether a
 * lease has run out is judged by the clock once the row is held.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "base/arg.h"
#include "base/statement.h"
#include "base/time.h"
#include "route/route.h"

#define LOCK_NAME_MAX_BYTES	1024

/* Statements; $1 is the name of the lock. */
#define THIS_LOCK	"t.name OPERATOR(pg_catalog.=) $1"
#define NEXT_TOKEN	"pg_catalog.nextval('nvent.fence_seq')"
#define SAME_OWNER	"t.owner OPERATOR(pg_catalog.=) EXCLUDED.owner"
#define NOW			"pg_catalog.clock_timestamp()"
#define IS_HELD		"t.expires_at OPERATOR(pg_catalog.>) " NOW
#define ISO(column)	"pg_catalog.to_char(t." column " AT TIME ZONE 'UTC', " \
	"'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define SELECT_LEASE \
	"SELECT t.token, t.expires_at FROM {table} AS t WHERE " THIS_LOCK

/* $2 owner, $3 lease.  A new lock has the token 0 until it draws one. */
static const NvsStatement lock_upsert = {
	"INSERT INTO {table} AS t (name, owner, token, acquired_at, expires_at) "
	"VALUES ($1, $2, 0, " NOW ", " NOW " OPERATOR(pg_catalog.+) $3) "
	"ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner, "
	"token = CASE WHEN " IS_HELD " AND " SAME_OWNER
	" THEN t.token ELSE " NEXT_TOKEN " END, "
	"acquired_at = CASE WHEN " IS_HELD " AND " SAME_OWNER
	" THEN t.acquired_at ELSE " NOW " END, "
	"expires_at = " NOW " OPERATOR(pg_catalog.+) $3 "
	"WHERE NOT " IS_HELD " OR " SAME_OWNER " RETURNING t.token"
};
static const NvsStatement lock_draw_token = {
	"UPDATE {table} AS t SET token = " NEXT_TOKEN " WHERE " THIS_LOCK
	" RETURNING t.token"
};

/* Lock the row against changes only, or against all others' locks too. */
static const NvsStatement lock_select_for_share = {SELECT_LEASE " FOR SHARE"};
static const NvsStatement lock_select_for_update = {
	SELECT_LEASE " FOR NO KEY UPDATE"
};

/* $2 expires_at. */
static const NvsStatement lock_update_expiry = {
	"UPDATE {table} AS t SET expires_at = $2 WHERE " THIS_LOCK
};
static const NvsStatement lock_select_holder = {
	"SELECT pg_catalog.jsonb_build_object("
	"'owner', t.owner, 'token', t.token, "
	"'acquiredAt', " ISO("acquired_at") ", "
	"'expiresAt', " ISO("expires_at") ") FROM {table} AS t "
	"WHERE " THIS_LOCK " AND t.expires_at OPERATOR(pg_catalog.>) "
	"pg_catalog.statement_timestamp()"
};

/* A lock's row while this transaction holds it. */
typedef struct LockRow
{
	bool		current;		/* the lease of the token has not run out */
	int64		holder;			/* token of the lease that has not; or 0 */
	TimestampTz now;			/* when that was judged */
} LockRow;

PG_FUNCTION_INFO_V1(nvs_lock_acquire);
PG_FUNCTION_INFO_V1(nvs_lock_renew);
PG_FUNCTION_INFO_V1(nvs_lock_release);
PG_FUNCTION_INFO_V1(nvs_lock_assert);
PG_FUNCTION_INFO_V1(nvs_lock_get);

static bool lock_resolve(text *name, NvsUse use, NvsResolved *resolved);
static void lock_params(NvsParams *params, text *name);
static Interval *lock_lease_argument(FunctionCallInfo fcinfo, int n);
static Interval *lock_lease_or_none(FunctionCallInfo fcinfo, int n);
static void lock_hold(NvsTarget *target, text *name, int64 token, bool share,
					  LockRow *row);
static bool lock_move_expiry(FunctionCallInfo fcinfo, const Interval *lease);
pg_noreturn static void lock_lost(const text *name, int64 token,
								  int64 holder);

/*
 * Find the table of a lock.  Returns false when no store has one for it and
 * nothing is to be written; raises 22023 for text that cannot be a name.
 */
static bool
lock_resolve(text *name, NvsUse use, NvsResolved *resolved)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > LOCK_NAME_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("name of a lock must not be empty") :
				 errmsg("name of lock \"%.*s...\" is too long",
						pg_mbcliplen(data, len, 64), data),
				 errdetail("A name has 1 to %d bytes; this one has %d.",
						   LOCK_NAME_MAX_BYTES, len)));
	return nvs_route_find(NVS_KIND_LOCK, data, len, use, resolved);
}

/* Begin the parameters of a statement with the name. */
static void
lock_params(NvsParams *params, text *name)
{
	nvs_params_init(params);
	nvs_params_add(params, TEXTOID, PointerGetDatum(name), false);
}

/* Argument n, how long a lease is to last; raises an error for NULL. */
static Interval *
lock_lease_argument(FunctionCallInfo fcinfo, int n)
{
	NVS_REQUIRE_ARG(n, "ttl");
	return nvs_ttl_argument(fcinfo, n, "ttl");
}

/*
 * Argument n, how long a lease is to last, or 0 for one that ends at once;
 * raises an error for NULL.
 */
static Interval *
lock_lease_or_none(FunctionCallInfo fcinfo, int n)
{
	Interval   *lease;

	NVS_REQUIRE_ARG(n, "ttl");
	lease = PG_GETARG_INTERVAL_P(n);
	if (lease->month == 0 && lease->day == 0 && lease->time == 0)
		return lease;
	return lock_lease_argument(fcinfo, n);
}

/*
 * nvent.lock_acquire(name, ttl, owner): the token, NULL when somebody else
 * holds the lock.  An owner that has a name and holds it renews it.
 */
Datum
nvs_lock_acquire(PG_FUNCTION_ARGS)
{
	Interval   *lease = lock_lease_or_none(fcinfo, 1);
	MemoryContext cxt = CurrentMemoryContext;
	text	   *name;
	Datum		token;
	NvsResolved resolved;
	NvsParams	params;
	NvsPlanSet *plans;
	bool		acquired;

	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.lock_acquire()");
	name = PG_GETARG_TEXT_PP(0);

	nvs_spi_begin();

	/*
	 * One statement for all cases: a new row, one that expired, or the
	 * owner's own.
	 */
	(void) lock_resolve(name, NVS_USE_WRITE, &resolved);
	plans = resolved.target->plans;
	lock_params(&params, name);
	nvs_params_add_arg(&params, fcinfo, 2, TEXTOID);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(lease), false);
	acquired = nvs_execute_first(nvs_statement_plan(plans, &lock_upsert,
													&params, NULL),
								 &params, false, cxt, &token);

	/*
	 * Draw the token of a new row once we hold it.  The INSERT may have
	 * waited for other sessions, and a token drawn before could be less than
	 * theirs.
	 */
	if (acquired && DatumGetInt64(token) == 0)
	{
		lock_params(&params, name);
		acquired = nvs_execute_first(nvs_statement_plan(plans,
														&lock_draw_token,
														&params, NULL),
									 &params, false, cxt, &token);
	}
	nvs_spi_end();
	if (!acquired)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(token);
}

/*
 * Lock a lock's row until the end of the transaction, if there is one, and
 * judge the token's lease as it is then.  With share others may do the same,
 * but nobody may change the row.
 */
static void
lock_hold(NvsTarget *target, text *name, int64 token, bool share,
		  LockRow *row)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	Datum		columns[2];
	bool		isnull[2];

	memset(row, 0, sizeof(LockRow));
	lock_params(&params, name);
	plan = nvs_statement_plan(target->plans, share ? &lock_select_for_share :
							  &lock_select_for_update, &params, NULL);
	if (!nvs_execute_row(plan, &params, false, CurrentMemoryContext, 2,
						 columns, isnull))
		return;
	row->now = GetCurrentTimestamp();
	if (DatumGetTimestampTz(columns[1]) > row->now)
		row->holder = DatumGetInt64(columns[0]);
	row->current = row->holder == token;
}

/*
 * Have the lease of the lock in argument 0 and the token in argument 1 last
 * for that long from now, or end now for NULL.  Returns false when it is lost.
 */
static bool
lock_move_expiry(FunctionCallInfo fcinfo, const Interval *lease)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	NvsResolved resolved;
	NvsParams	params;
	LockRow		row = {false};

	nvs_spi_begin();
	if (lock_resolve(name, NVS_USE_CHANGE, &resolved))
		lock_hold(resolved.target, name, PG_GETARG_INT64(1), false, &row);
	if (row.current)
	{
		TimestampTz at = lease == NULL ? DT_NOBEGIN :
			nvs_after(row.now, lease);

		lock_params(&params, name);
		nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(at),
					   false);
		nvs_execute(nvs_statement_plan(resolved.target->plans,
									   &lock_update_expiry, &params, NULL),
					&params, false, 0);
	}
	nvs_spi_end();
	return row.current;
}

/* nvent.lock_renew(name, token, ttl): false when the lease is lost. */
Datum
nvs_lock_renew(PG_FUNCTION_ARGS)
{
	Interval   *lease = lock_lease_argument(fcinfo, 2);

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_renew()");
	PG_RETURN_BOOL(lock_move_expiry(fcinfo, lease));
}

/* nvent.lock_release(name, token): false when the lease was lost before. */
Datum
nvs_lock_release(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_release()");
	PG_RETURN_BOOL(lock_move_expiry(fcinfo, NULL));
}

/*
 * nvent.lock_assert(name, token): raise an error when the lease is lost, else
 * let nobody take it over before this transaction ends.
 */
Datum
nvs_lock_assert(PG_FUNCTION_ARGS)
{
	text	   *name;
	int64		token;
	NvsResolved resolved;
	LockRow		row = {false};

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_assert()");
	name = PG_GETARG_TEXT_PP(0);
	token = PG_GETARG_INT64(1);

	nvs_spi_begin();
	if (lock_resolve(name, NVS_USE_CHANGE, &resolved))
		lock_hold(resolved.target, name, token, true, &row);
	if (!row.current)
		lock_lost(name, token, row.holder);
	nvs_spi_end();
	PG_RETURN_VOID();
}

/*
 * Report that a token's lease has run out or was released or taken over;
 * holder is the token of the lease that has not, 0 for none.
 */
static void
lock_lost(const text *name, int64 token, int64 holder)
{
	char	   *shown = text_to_cstring(name);
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"name\": ");
	escape_json(&detail, shown);
	appendStringInfo(&detail, ", \"token\": " INT64_FORMAT, token);
	if (holder == 0)
		appendStringInfoString(&detail, ", \"holder\": null}");
	else
		appendStringInfo(&detail, ", \"holder\": " INT64_FORMAT "}", holder);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_LEASE_LOST),
			 errmsg("lock \"%s\" is not held with token " INT64_FORMAT,
					shown, token),
			 errdetail_internal("%s", detail.data),
			 errhint("Acquire the lock again and do the work anew.")));
}

/* nvent.lock_get(name): who holds the lock; NULL when nobody does. */
Datum
nvs_lock_get(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	text	   *name = PG_GETARG_TEXT_PP(0);
	Datum		holder;
	NvsResolved resolved;
	NvsParams	params;
	bool		held = false;

	nvs_spi_begin();
	if (lock_resolve(name, NVS_USE_READ, &resolved))
	{
		lock_params(&params, name);
		held = nvs_execute_first(nvs_statement_plan(resolved.target->plans,
													&lock_select_holder,
													&params, NULL),
								 &params, true, cxt, &holder);
	}
	nvs_spi_end();
	if (!held)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(holder);
}
