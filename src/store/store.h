/*
 * store/store.h
 *	  Stores: named sets of tables, found by the first token of a subject.
 */
#ifndef NVS_STORE_STORE_H
#define NVS_STORE_STORE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "compat.h"
#include "base/identity.h"
#include "base/statement.h"
#include "subject/subject.h"

/* A registered store, of one reading of the registry; see store/store.c. */
typedef struct NvsStore
{
	char		prefix[NAMEDATALEN];	/* first, as a hash table's key */
	uint64		generation;		/* number of that reading */
	uint32		number;			/* of its low-water marks */
	Oid			relid;			/* its version table; InvalidOid: it is gone */
	Oid			nspid;			/* where that is */
	Oid			owner;			/* whose that is */
	char	   *schema;			/* name of nspid, or where the table was */
	char	   *channel;		/* NOTIFY channel of its appends */
} NvsStore;

/* store/store.c: the registry as it is now */
extern void nvs_store_init(void);
extern NvsStore *nvs_store_find(const char *prefix, int len);
extern NvsStore *nvs_store_find_registered(const char *prefix);
extern NvsStore *nvs_store_find_default(void);
extern NvsStore *nvs_store_require(const char *prefix);
extern NvsStore *nvs_store_of_registered(const char *subject, int len);
extern NvsStore *nvs_store_of(const char *subject, int len);
extern NvsStore *nvs_store_of_pattern(const NvsPattern *pattern);
extern bool nvs_store_owns(const NvsStore *store, const char *subject,
						   int len);
extern const NvsStore *nvs_store_known(const char *subject, int len);
extern bool nvs_store_is_known(const NvsStore *store);
extern bool nvs_store_is_current(const NvsStore *store);
extern List *nvs_store_prefixes(void);
pg_noreturn extern void nvs_store_missing(const char *prefix);

/* store/store.c: checks, and changes of the registry */
extern void nvs_store_lock(const char *prefix, LOCKMODE mode);
extern bool nvs_store_act_as_owner(const NvsStore *store, NvsIdentity *saved);
extern NvsStore *nvs_store_lock_own(const char *prefix, LOCKMODE mode);
extern void nvs_store_changed(void);
extern void nvs_store_forget(void);
extern uint64 nvs_store_registry_execute(const NvsStatement *statement,
										 const NvsParams *params);
extern uint64 nvs_store_registry_query(const NvsStatement *statement,
									   const NvsStore *store);
extern void nvs_store_check_owner(const NvsStore *store);
extern void nvs_store_become_owner(const NvsStore *store, NvsIdentity *saved);
extern void nvs_store_check_overlap(const char *prefix, const char *schema);

/* store/relation.c: relations of a store, by name and owner */
extern bool nvs_relation_has_name(Oid relid, const char *qualified);
extern Oid	nvs_relation_find(const NvsStore *store, const char *schema,
							  const char *name);
extern Oid	nvs_relation_lock(const NvsStore *store, const char *schema,
							  const char *name, bool is_table, LOCKMODE mode);
extern bool nvs_relation_is_own(const NvsStore *store, Oid relid,
								bool is_table);
extern bool nvs_relation_has_index(Oid relid);
extern void nvs_relation_check(const NvsStore *store, Oid relid,
							   bool is_table);

/* store/admin.c */
extern NvsStore *nvs_store_of_write(const char *subject, int len);

#endif							/* NVS_STORE_STORE_H */
