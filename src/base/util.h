/*
 * base/util.h
 *	  Helpers for SQL-callable functions.
 */
#ifndef NVS_BASE_UTIL_H
#define NVS_BASE_UTIL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "utils/tuplestore.h"

#include "compat.h"

/* Raise an error that names the argument when argument n is NULL. */
#define NVS_REQUIRE_ARG(n, name) \
	do { \
		if (PG_ARGISNULL(n)) \
			nvs_null_argument(name); \
	} while (0)

/* An argument that may be NULL, or what stands for NULL. */
#define NVS_ARG_OR(n, get, otherwise) \
	(PG_ARGISNULL(n) ? (otherwise) : get(n))

/* Append strings: what builds a statement on each call cannot afford printf. */
#define nvs_sql(buf, ...)	nvs_sql_list(buf, __VA_ARGS__, NULL)

/*
 * What our advisory locks are about: the fourth field of the lock tag, where
 * pg_advisory_lock() puts 1 or 2, so that no user's key collides with ours.
 */
typedef enum NvsLockClass
{
	NVS_LOCK_STORE = 0x4E01,	/* creation and migration of a store */
	NVS_LOCK_TABLE = 0x4E02,	/* first use of a generic stream table */
	NVS_LOCK_SUBJECT = 0x4E03,	/* versions of one subject */
	NVS_LOCK_LOW_WATER_MARK = 0x4E04,	/* an appender's floor */
	NVS_LOCK_SCAN = 0x4E10		/* marking of a store's consumers */
} NvsLockClass;

/* What nvs_become_owner() changed. */
typedef struct NvsIdentity
{
	Oid			user;
	int			context;
	int			nestlevel;
} NvsIdentity;

pg_noreturn extern void nvs_null_argument(const char *name);
extern int64 nvs_count_argument(FunctionCallInfo fcinfo, int n,
								const char *name);
extern Interval *nvs_ttl_argument(FunctionCallInfo fcinfo, int n,
								  const char *name);
extern TimestampTz nvs_after(TimestampTz t, const Interval *span);

extern void nvs_set_lock_tag(LOCKTAG *tag, NvsLockClass class, uint64 key);
extern void nvs_lock(NvsLockClass class, uint64 key, LOCKMODE mode);
extern bool nvs_lock_if_free(NvsLockClass class, uint64 key, LOCKMODE mode);
extern uint64 nvs_hash(const char *data, int len, uint64 seed);

extern Oid	nvs_namespace(void);
extern Oid	nvs_registry_table(const char *name);
extern void nvs_become_owner(NvsIdentity *saved);
extern void nvs_become_table_owner(Oid relid, NvsIdentity *saved);
extern void nvs_pin_search_path(NvsIdentity *saved);
extern void nvs_become_caller(const NvsIdentity *saved);

extern int64 nvs_now_ms(void);
extern int64 nvs_timestamptz_to_ms(TimestampTz t);
extern int32 nvs_timestamptz_to_hours(TimestampTz t);
extern char *nvs_qualified(const char *schema, const char *name);

extern void nvs_sql_list(StringInfo buf,...);
extern void nvs_sql_param(StringInfo buf, const char *before, int n);

extern Tuplestorestate *nvs_result_set(FunctionCallInfo fcinfo,
									   TupleDesc *desc);

#endif							/* NVS_BASE_UTIL_H */
