/*
 * kv/kv.h
 *	  What the files of the key/value kind share.
 *
 * The statements of a relation are constants beside the functions that run
 * them.  In their texts {table} is the relation, called t, and three names
 * keep its column updated_at, which a user's table need not have:
 * {touch_column} and {touch_value} in an INSERT, {touch_set} in an UPDATE.
 */
#ifndef NVS_KV_KV_H
#define NVS_KV_KV_H

#include "postgres.h"

#include "base/statement.h"
#include "route/lookup.h"
#include "route/route.h"

#define NVS_KV_KEY_MAX_BYTES	1024

/*
 * Is row t live?  A read judges by the time of its statement, a write by the
 * clock.  A user's table may hold a value that is SQL's NULL: that is as good
 * as no row.
 */
#define NVS_KV_LIVE_AT(clock) \
	"(t.value IS NOT NULL AND (t.expires_at IS NULL OR " \
	"t.expires_at OPERATOR(pg_catalog.>) pg_catalog." clock "()))"
#define NVS_KV_LIVE		NVS_KV_LIVE_AT("statement_timestamp")
#define NVS_KV_LIVE_NOW	NVS_KV_LIVE_AT("clock_timestamp")

/* Pieces of statements: the row of key $1, and the time an interval on. */
#define NVS_KV_THIS_KEY	"t.key OPERATOR(pg_catalog.=) $1"
#define NVS_KV_AFTER(ttl) \
	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) " ttl
#define NVS_KV_INSERT \
	"INSERT INTO {table} AS t (key, value, expires_at{touch_column}) "

struct NvsKvColumns;

/* What a target of keys keeps. */
typedef struct NvsKvState
{
	struct NvsKvColumns *columns;	/* NULL: rows are written by statements */
} NvsKvState;

/* A key's row while this transaction holds it. */
typedef struct NvsKvRow
{
	bool		exists;			/* there is one, perhaps an expired one */
	bool		live;
	bool		expires;
	TimestampTz expires_at;
	TimestampTz now;			/* when it was judged: once it was held */
	Datum		value;			/* in SPI's memory */
} NvsKvRow;

/* kv/key.c */
extern bool nvs_kv_resolve(text *key, NvsUse use, NvsResolved *resolved);
extern bool nvs_kv_is_of(text *key, const NvsTarget *target,
						 NvsResolved *resolved);
extern bool nvs_kv_lookup(text *key, NvsResolved *resolved);
extern bool nvs_kv_lookup_row(NvsLookupScan *scan, text *key, Datum row[2],
							  bool isnull[2]);
extern bool nvs_kv_is_live(const Datum row[2], const bool isnull[2]);
pg_noreturn extern void nvs_kv_refused(const NvsTarget *target);

/* kv/row.c */
extern void nvs_kv_params(NvsParams *params, Datum key);
extern void nvs_kv_add_expiry(NvsParams *params, bool expires,
							  TimestampTz expires_at);
extern void nvs_kv_hold_row(NvsTarget *target, Datum key, NvsKvRow *row);

/* kv/many.c */
extern int64 nvs_kv_delete_sorted(NvsTarget *target, Datum *keys, int n);

#endif							/* NVS_KV_KV_H */
