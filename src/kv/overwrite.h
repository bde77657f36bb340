/*
 * kv/overwrite.h
 *	  Overwriting rows of keys that are there, without the executor.
 */
#ifndef NVS_KV_OVERWRITE_H
#define NVS_KV_OVERWRITE_H

#include "postgres.h"

#include "kv/kv.h"
#include "route/overwrite.h"

typedef struct NvsKvColumns NvsKvColumns;

/* Rows of one relation that are being overwritten. */
typedef struct NvsKvOverwrite
{
	NvsKvColumns *columns;
	NvsOverwrite rows;
} NvsKvOverwrite;

extern NvsKvColumns *nvs_kv_overwrite_compile(NvsTarget *target);
extern bool nvs_kv_overwrite_begin(const NvsTarget *target,
								   NvsKvOverwrite *overwrite);
extern bool nvs_kv_overwrite(NvsKvOverwrite *overwrite, text *key,
							 Datum value, const Interval *ttl, bool expires,
							 TimestampTz expires_at);
extern bool nvs_kv_overwrite_one(const NvsTarget *target, text *key,
								 Datum value, const Interval *ttl,
								 bool expires, TimestampTz expires_at);
extern void nvs_kv_overwrite_end(NvsKvOverwrite *overwrite);

#endif							/* NVS_KV_OVERWRITE_H */
