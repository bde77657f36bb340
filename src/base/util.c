/*
 * base/util.c
 *	  Helpers for SQL-callable functions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "errors.h"
#include "base/util.h"

static Oid	relation_owner(Oid relid);

/* Report that the argument called name must not be NULL. */
void
nvs_null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}

/* An integer argument that counts rows: -1 for NULL, no limit. */
int64
nvs_count_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int32		count;

	if (PG_ARGISNULL(n))
		return -1;
	count = PG_GETARG_INT32(n);
	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name),
				 errdetail("It is %d.", count),
				 errhint("Pass NULL for no limit.")));
	return count;
}

/* An interval that something is to live for, from now; NULL for none. */
Interval *
nvs_ttl_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	TimestampTz now;
	Interval   *ttl;
	Datum		shown;

	if (PG_ARGISNULL(n))
		return NULL;
	now = GetCurrentTimestamp();
	ttl = PG_GETARG_INTERVAL_P(n);
	if (nvs_after(now, ttl) > now)
		return ttl;
	shown = DirectFunctionCall1(interval_out, IntervalPGetDatum(ttl));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" must be greater than zero", name),
			 errdetail("It is %s.", DatumGetCString(shown))));
}

/* The time that is span after t; raises an error when there is none. */
TimestampTz
nvs_after(TimestampTz t, const Interval *span)
{
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(t),
							IntervalPGetDatum(span)));
}

/* Fill a lock tag of this database. */
void
nvs_set_lock_tag(LOCKTAG *tag, NvsLockClass class, uint64 key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32),
						 (uint32) key, class);
}

/* Take one of our advisory locks until the end of the transaction. */
void
nvs_lock(NvsLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;

	nvs_set_lock_tag(&tag, class, key);
	(void) LockAcquire(&tag, mode, false, false);
}

/* The same without waiting; false when it is taken. */
bool
nvs_lock_if_free(NvsLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;

	nvs_set_lock_tag(&tag, class, key);
	return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Hash of some bytes; seed keeps different kinds apart. */
uint64
nvs_hash(const char *data, int len, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) data, len, seed);
}

/* OID of schema nvent. */
Oid
nvs_namespace(void)
{
	return get_namespace_oid("nvent", false);
}

/* OID of a table or sequence of schema nvent. */
Oid
nvs_registry_table(const char *name)
{
	Oid			relid = get_relname_relid(name, nvs_namespace());

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"nvent.%s\" does not exist", name),
				 errhint("Run CREATE EXTENSION nvent_store.")));
	return relid;
}

/*
 * Act as the extension's owner, for the registry only: callers have no right
 * to write it.  Nothing of a user's may run until nvs_become_caller().
 */
void
nvs_become_owner(NvsIdentity *saved)
{
	Oid			owner = relation_owner(nvs_registry_table("store"));

	nvs_pin_search_path(saved);
	SetUserIdAndSecContext(owner,
						   saved->context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Act as the owner of a user's table, restricted as in VACUUM: for work that
 * the caller did not ask for on just this table, so that its triggers and
 * functions, which may be anybody's, do not run with the caller's rights.
 */
void
nvs_become_table_owner(Oid relid, NvsIdentity *saved)
{
	Oid			owner = relation_owner(relid);

	nvs_pin_search_path(saved);
	SetUserIdAndSecContext(owner,
						   saved->context | SECURITY_RESTRICTED_OPERATION);
}

/* Owner of a relation. */
static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Stay who we are, but find nothing of a user's by an unqualified name. */
void
nvs_pin_search_path(NvsIdentity *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->context);
	saved->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Undo any of those above; an error undoes it by itself. */
void
nvs_become_caller(const NvsIdentity *saved)
{
	AtEOXact_GUC(false, saved->nestlevel);
	SetUserIdAndSecContext(saved->user, saved->context);
}

/* Milliseconds since 1970 of the server's clock, as it is now. */
int64
nvs_now_ms(void)
{
	return nvs_timestamptz_to_ms(GetCurrentTimestamp());
}

/* Milliseconds since 1970, rounded down. */
int64
nvs_timestamptz_to_ms(TimestampTz t)
{
	int64		us = t + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		USECS_PER_DAY;
	int64		ms = us / 1000;

	return us % 1000 < 0 ? ms - 1 : ms;
}

/* Hours since 1970, rounded down; the last one for all that follow it. */
int32
nvs_timestamptz_to_hours(TimestampTz t)
{
	int64		hours = t / USECS_PER_HOUR - (t % USECS_PER_HOUR < 0 ? 1 : 0);

	hours += (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * HOURS_PER_DAY;
	return (int32) Min(hours, PG_INT32_MAX);
}

/* "schema"."name", quoted where it must be. */
char *
nvs_qualified(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

/* Append strings, the last of which is NULL; see nvs_sql(). */
void
nvs_sql_list(StringInfo buf,...)
{
	va_list		args;
	const char *s;

	va_start(args, buf);
	while ((s = va_arg(args, const char *)) != NULL)
		appendBinaryStringInfo(buf, s, strlen(s));
	va_end(args);
}

/* Append a string and the parameter $n. */
void
nvs_sql_param(StringInfo buf, const char *before, int n)
{
	char		number[MAXINT8LEN + 1];

	pg_ltoa(n, number);
	nvs_sql(buf, before, "$", number);
}

/*
 * Make the tuplestore that a set-returning function fills.  *desc is the row
 * type, also of a function that returns a set of a scalar.
 */
Tuplestorestate *
nvs_result_set(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	Oid			type;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		(rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot "
						"accept a set")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, &type, desc) != TYPEFUNC_COMPOSITE)
	{
		*desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(*desc, 1, "value", type, -1, 0);
	}
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap(true, false, work_mem);
	rsinfo->setDesc = *desc;
	MemoryContextSwitchTo(old);
	return rsinfo->setResult;
}
