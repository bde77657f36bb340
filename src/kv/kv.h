/*
 * kv/kv.h
 *	  What the files of the key/value kind share.
 */
#ifndef NVS_KV_KV_H
#define NVS_KV_KV_H

#include "postgres.h"

#include "route/route.h"

#define NVS_KEY_MAX_BYTES	1024

/* Keys that one call may name. */
#define NVS_MAX_KEYS	65536

/*
 * Is row t there?  Reads judge it by the time of their statement.  A table of
 * a user's may have a value that is SQL's NULL: that is as good as no row.
 */
#define NVS_KV_LIVE_AT(clock) \
	"(t.value IS NOT NULL AND (t.expires_at IS NULL OR " \
	"t.expires_at OPERATOR(pg_catalog.>) pg_catalog." clock "()))"
#define NVS_KV_LIVE		NVS_KV_LIVE_AT("statement_timestamp")
#define NVS_KV_LIVE_NOW	NVS_KV_LIVE_AT("clock_timestamp")

/* Statements of a relation that holds keys; for texts see kv/statement.c. */
typedef enum NvsKvStatement
{
	NVS_KV_GET,
	NVS_KV_SET,
	NVS_KV_SET_NX,
	NVS_KV_SET_KEEP,
	NVS_KV_INCREMENT,
	NVS_KV_RESTART,
	NVS_KV_HOLD,
	NVS_KV_UPDATE,
	NVS_KV_INSERT,
	NVS_KV_TOUCH,
	NVS_KV_DELETE,
	NVS_KV_GETDEL,
	NVS_KV_MGET,
	NVS_KV_MSET,
	NVS_KV_DELETE_MANY
} NvsKvStatement;

/* kv/statement.c */
extern void nvs_kv_check_key(const char *key, int len);
extern bool nvs_kv_find(text *key, bool write, NvsResolved *resolved);
extern SPIPlanPtr nvs_kv_plan(NvsTarget *target, NvsKvStatement which);
pg_noreturn extern void nvs_kv_refused(const NvsTarget *target);

/* kv/many.c */
extern int64 nvs_kv_delete_many(NvsTarget *target, Datum *keys, int n);

#endif							/* NVS_KV_KV_H */
