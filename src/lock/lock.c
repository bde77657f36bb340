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
#include "base/time.h"
#include "route/route.h"

#define LOCK_NAME_MAX_BYTES	1024

/* Fixed statements of a lock table's plan set. */
enum
{
	PLAN_ACQUIRE,
	PLAN_DRAW,
	PLAN_HOLD,
	PLAN_SHARE,
	PLAN_EXPIRE,
	PLAN_GET
};

#define NEXT_TOKEN	"pg_catalog.nextval('nvent.fence_seq')"
#define SAME_OWNER	"t.owner OPERATOR(pg_catalog.=) EXCLUDED.owner"
#define IS_HELD		"t.expires_at OPERATOR(pg_catalog.>) " \
	"pg_catalog.clock_timestamp()"
#define NOW			"pg_catalog.clock_timestamp()"
#define ISO(column)	"pg_catalog.to_char(t." column " AT TIME ZONE 'UTC', " \
	"'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

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

static bool find_lock(text *name, bool write, NvsResolved *resolved);
static SPIPlanPtr lock_plan(NvsTarget *target, int slot, const char *text,
							int nargs, const Oid *types);
static Interval *lease_argument(FunctionCallInfo fcinfo, int n);
static void hold_lock(NvsTarget *target, Datum name, int64 token, bool share,
					  LockRow *row);
static bool move_expiry(FunctionCallInfo fcinfo, const Interval *lease);
static void lease_lost(const text *name, int64 token, int64 holder);

/* Find the table of a lock; false when there is no store for it. */
static bool
find_lock(text *name, bool write, NvsResolved *resolved)
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
	return nvs_route_find(NVS_KIND_LOCK, data, len, write, resolved);
}

/* A statement on a lock table; text has a %s for its name. */
static SPIPlanPtr
lock_plan(NvsTarget *target, int slot, const char *text, int nargs,
		  const Oid *types)
{
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, slot);
	StringInfoData sql;

	if (*plan == NULL)
	{
		initStringInfo(&sql);
		appendStringInfo(&sql, text, target->name);
		*plan = nvs_plan_prepare(sql.data, nargs, types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	return *plan;
}

/* How long a lease is to last, an argument that is needed. */
static Interval *
lease_argument(FunctionCallInfo fcinfo, int n)
{
	NVS_REQUIRE_ARG(n, "ttl");
	return nvs_ttl_argument(fcinfo, n, "ttl");
}

/*
 * nvent.lock_acquire(name, ttl, owner): the token, NULL when somebody else
 * holds the lock.  An owner that has a name and holds it renews it.
 */
Datum
nvs_lock_acquire(PG_FUNCTION_ARGS)
{
	static const Oid types[3] = {TEXTOID, TEXTOID, INTERVALOID};
	Interval   *lease = lease_argument(fcinfo, 1);
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	Datum		token;
	NvsResolved	resolved;
	bool		acquired;

	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.lock_acquire()");
	values[0] = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	values[1] = NVS_ARG_OR(2, PG_GETARG_DATUM, 0);
	values[2] = IntervalPGetDatum(lease);
	if (PG_ARGISNULL(2))
		nulls[1] = 'n';

	nvs_spi_begin();
	(void) find_lock(DatumGetTextPP(values[0]), true, &resolved);
	acquired = nvs_plan_first(
		lock_plan(resolved.target, PLAN_ACQUIRE,
				  "INSERT INTO %s AS t "
				  "(name, owner, token, acquired_at, expires_at) "
				  "VALUES ($1, $2, 0, " NOW ", " NOW
				  " OPERATOR(pg_catalog.+) $3) "
				  "ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner, "
				  "token = CASE WHEN " IS_HELD " AND " SAME_OWNER
				  " THEN t.token ELSE " NEXT_TOKEN " END, "
				  "acquired_at = CASE WHEN " IS_HELD " AND " SAME_OWNER
				  " THEN t.acquired_at ELSE " NOW " END, "
				  "expires_at = " NOW " OPERATOR(pg_catalog.+) $3 "
				  "WHERE NOT " IS_HELD " OR " SAME_OWNER
				  " RETURNING t.token", 3, types),
		values, nulls, false, CurrentMemoryContext, &token);

	/* A row that is new has waited for nobody only now that it is there. */
	if (acquired && DatumGetInt64(token) == 0)
		acquired = nvs_plan_first(
			lock_plan(resolved.target, PLAN_DRAW,
					  "UPDATE %s AS t SET token = " NEXT_TOKEN
					  " WHERE t.name OPERATOR(pg_catalog.=) $1 "
					  "RETURNING t.token", 1, types),
			values, NULL, false, CurrentMemoryContext, &token);
	nvs_spi_end();
	if (!acquired)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(token);
}

/*
 * Lock a lock's row until the end of the transaction, against others' changes
 * or also against those who hold it as we do, and judge the token's lease.
 */
static void
hold_lock(NvsTarget *target, Datum name, int64 token, bool share,
		  LockRow *row)
{
	static const Oid types[1] = {TEXTOID};
	SPIPlanPtr	plan;
	Datum		columns[2];
	bool		isnull[2];

#define HOLD	"SELECT t.token, t.expires_at FROM %s AS t " \
	"WHERE t.name OPERATOR(pg_catalog.=) $1 "
	if (share)
		plan = lock_plan(target, PLAN_SHARE, HOLD "FOR SHARE", 1, types);
	else
		plan = lock_plan(target, PLAN_HOLD, HOLD "FOR NO KEY UPDATE", 1,
						 types);
#undef HOLD
	memset(row, 0, sizeof(LockRow));
	if (!nvs_plan_row(plan, &name, NULL, false, CurrentMemoryContext, 2,
					  columns, isnull))
		return;
	row->now = GetCurrentTimestamp();
	if (DatumGetTimestampTz(columns[1]) > row->now)
		row->holder = DatumGetInt64(columns[0]);
	row->current = row->holder == token;
}

/* Let the lease of argument 1, a token, end later, or now for a NULL lease. */
static bool
move_expiry(FunctionCallInfo fcinfo, const Interval *lease)
{
	static const Oid types[2] = {TEXTOID, TIMESTAMPTZOID};
	Datum		values[2];
	NvsResolved	resolved;
	LockRow		row = {false};

	values[0] = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	nvs_spi_begin();
	if (find_lock(DatumGetTextPP(values[0]), false, &resolved))
		hold_lock(resolved.target, values[0], PG_GETARG_INT64(1), false, &row);
	if (row.current)
	{
		values[1] = TimestampTzGetDatum(lease == NULL ? DT_NOBEGIN :
										nvs_after(row.now, lease));
		nvs_plan_execute(lock_plan(resolved.target, PLAN_EXPIRE,
								   "UPDATE %s AS t SET expires_at = $2 "
								   "WHERE t.name OPERATOR(pg_catalog.=) $1",
								   2, types),
						 values, NULL, false, 0);
	}
	nvs_spi_end();
	return row.current;
}

/* nvent.lock_renew(name, token, ttl): false when the lease is lost. */
Datum
nvs_lock_renew(PG_FUNCTION_ARGS)
{
	Interval   *lease = lease_argument(fcinfo, 2);

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_renew()");
	PG_RETURN_BOOL(move_expiry(fcinfo, lease));
}

/* nvent.lock_release(name, token): false when the lease was lost before. */
Datum
nvs_lock_release(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_release()");
	PG_RETURN_BOOL(move_expiry(fcinfo, NULL));
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
	NvsResolved	resolved;
	LockRow		row = {false};

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(1, "token");
	PreventCommandIfReadOnly("nvent.lock_assert()");
	name = PG_GETARG_TEXT_PP(0);
	token = PG_GETARG_INT64(1);

	nvs_spi_begin();
	if (find_lock(name, false, &resolved))
		hold_lock(resolved.target, PointerGetDatum(name), token, true, &row);
	if (!row.current)
		lease_lost(name, token, row.holder);
	nvs_spi_end();
	PG_RETURN_VOID();
}

/* Report that a token's lease has run out or was released or taken over. */
static void
lease_lost(const text *name, int64 token, int64 holder)
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
	static const Oid types[1] = {TEXTOID};
	MemoryContext cxt = CurrentMemoryContext;
	Datum		name = PointerGetDatum(PG_GETARG_TEXT_PP(0));
	Datum		holder;
	NvsResolved	resolved;
	bool		held = false;

	nvs_spi_begin();
	if (find_lock(DatumGetTextPP(name), false, &resolved))
		held = nvs_plan_first(
			lock_plan(resolved.target, PLAN_GET,
					  "SELECT pg_catalog.jsonb_build_object("
					  "'owner', t.owner, 'token', t.token, "
					  "'acquiredAt', " ISO("acquired_at") ", "
					  "'expiresAt', " ISO("expires_at") ") FROM %s AS t "
					  "WHERE t.name OPERATOR(pg_catalog.=) $1 "
					  "AND t.expires_at OPERATOR(pg_catalog.>) "
					  "pg_catalog.statement_timestamp()", 1, types),
			&name, NULL, true, cxt, &holder);
	nvs_spi_end();
	if (!held)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(holder);
}
