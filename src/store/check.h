/*
 * store/check.h
 *	  What a store may be called, where it may be, and who may make it.
 */
#ifndef NVS_STORE_CHECK_H
#define NVS_STORE_CHECK_H

#include "postgres.h"

#include "fmgr.h"

#include "store/store.h"

extern void nvs_store_check_prefix(const char *prefix);
extern void nvs_store_check_schema(const char *schema);
extern void nvs_store_check_target(int layout);
extern void nvs_store_check_known(const char *prefix, int layout);
extern void nvs_store_check_same(const NvsStore *store, const char *schema,
								 Oid owner);
extern void nvs_store_check_free(const NvsStore *store);
extern void nvs_store_check_adopted(void);
extern bool nvs_store_may_create(void);
extern void nvs_store_check_may_create(const char *prefix);
extern Oid	nvs_store_owner_argument(FunctionCallInfo fcinfo, int n);

#endif							/* NVS_STORE_CHECK_H */
