/*
 * store/stream_index.h
 *	  Indexes of stream tables: which there are, and those to ask for.
 */
#ifndef NVS_STORE_STREAM_INDEX_H
#define NVS_STORE_STREAM_INDEX_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "store/store.h"

extern Oid	nvs_index_find(Relation rel, AttrNumber first, AttrNumber second,
						   bool unique);

extern List *nvs_stream_index_names(const Datum *names, const bool *nulls,
									int n);
extern bool nvs_stream_index_make(const NvsStore *store, Oid relid,
								  const char *name);
extern bool nvs_stream_index_any_unasked(Oid relid);
extern void nvs_stream_index_drop_unasked(const NvsStore *store, Oid relid);

#endif							/* NVS_STORE_STREAM_INDEX_H */
