/*
 * store/stream_table.h
 *	  Generic stream tables: which one a subject belongs to, making, dropping.
 */
#ifndef NVS_STORE_STREAM_TABLE_H
#define NVS_STORE_STREAM_TABLE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "store/store.h"
#include "subject/subject.h"

/* A generic stream table: its store's prefix, and its type. */
typedef struct NvsStreamTable
{
	char	   *prefix;
	char	   *type;
} NvsStreamTable;

extern void nvs_stream_type_check(const char *type);
extern NvsSpan nvs_stream_type_of(const char *prefix, const char *subject,
								  int len);
extern bool nvs_stream_type_matches(const char *prefix, const char *type,
									const NvsPattern *pattern);

extern char *nvs_stream_table_name(const char *prefix, const char *type);
extern bool nvs_stream_table_hashed(const char *name);
extern void nvs_stream_table_register(const char *prefix, const char *type);
extern char *nvs_stream_table_create(const char *prefix, const char *type,
									 bool versioned, List *indexes,
									 bool *created);
extern bool nvs_stream_table_index(const char *prefix, const char *type,
								   const char *index);
extern void nvs_stream_table_lock(const NvsStreamTable *tables, int n);
extern bool nvs_stream_table_drop(const char *prefix, const char *type);

#endif							/* NVS_STORE_STREAM_TABLE_H */
