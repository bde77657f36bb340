/*
 * stream/walk.h
 *	  Rows of a stream's table in the order of an index, without a statement.
 *
 * Typical use, of a relation that is locked:
 *
 *		NvsWalk		walk;
 *
 *		if (!nvs_walk_positions(&walk, relid, after, upto))
 *			... ask a statement ...
 *		while ((row = nvs_walk_next(&walk)) != NULL)
 *			...
 *		nvs_walk_end(&walk);
 */
#ifndef NVS_STREAM_WALK_H
#define NVS_STREAM_WALK_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"

#include "route/route.h"

/* A walk; only stream/walk.c looks into it. */
typedef struct NvsWalk
{
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
} NvsWalk;

extern bool nvs_walk_positions(NvsWalk *walk, Oid relid, int64 after,
							   int64 upto);
extern bool nvs_walk_prefix(NvsWalk *walk, Oid relid, Oid indexid,
							AttrNumber column, const char *prefix, int len);
extern bool nvs_walk_value(NvsWalk *walk, Oid relid, Oid indexid,
						   Datum value);
extern HeapTuple nvs_walk_next(NvsWalk *walk);
extern HeapTuple nvs_walk_back(NvsWalk *walk);
extern Datum nvs_walk_column(const NvsWalk *walk, HeapTuple row,
							 AttrNumber column, bool *isnull);
extern bool nvs_walk_is_bytewise(const NvsWalk *walk, AttrNumber column);
extern void nvs_walk_end(NvsWalk *walk);
extern bool nvs_has_news(Oid relid, int64 after, int64 upto);
extern Oid	nvs_walk_find_index(Oid relid, AttrNumber column);

#endif							/* NVS_STREAM_WALK_H */
