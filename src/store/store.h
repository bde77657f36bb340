/*
 * store/store.h
 *	  Stores: named sets of tables, found by the first token of a subject.
 */
#ifndef NVS_STORE_STORE_H
#define NVS_STORE_STORE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "base/statement.h"
#include "subject/subject.h"

/* Bytes of a prefix: leaves room for the longest table name. */
#define NVS_MAX_PREFIX	40

/* A registered store; lives until the registry changes. */
typedef struct NvsStore
{
	char		prefix[NAMEDATALEN];	/* hash key */
	char	   *schema;
	char	   *channel;		/* where its appends are announced */
} NvsStore;

extern void nvs_store_init(void);

extern uint64 nvs_store_generation(void);
extern NvsStore *nvs_store_known(const char *prefix, int len);
extern NvsStore *nvs_store_known_of(const char *subject, int len);
extern NvsStore *nvs_store_find(const char *prefix, int len);
extern NvsStore *nvs_store_of(const char *subject, int len);
extern NvsStore *nvs_store_of_pattern(const NvsPattern *pattern);
extern List *nvs_store_prefixes(void);
extern NvsStore *nvs_store_require(const char *prefix);
extern void nvs_store_lock(const char *prefix, LOCKMODE mode);
extern void nvs_store_changed(void);
extern uint64 nvs_store_registry_execute(const NvsStatement *statement,
										 const NvsParams *params);
extern void nvs_store_check_owner(const NvsStore *store);
extern void nvs_store_check_overlap(const char *prefix, const char *schema);

/* store/admin.c */
extern bool nvs_store_make(const char *prefix, const char *schema);
extern NvsStore *nvs_store_of_write(const char *subject, int len);

#endif							/* NVS_STORE_STORE_H */
