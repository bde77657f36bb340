/*
 * store/grant.h
 *	  Who may use a store: levels of rights, and tables that are made later.
 */
#ifndef NVS_STORE_GRANT_H
#define NVS_STORE_GRANT_H

#include "postgres.h"

#include "store/store.h"

extern void nvs_store_grant_to_owner(const NvsStore *store);
extern void nvs_store_grant_on(const NvsStore *store, Oid relid);
extern void nvs_store_grant_on_tables(const NvsStore *store);
extern void nvs_store_check_admin(const NvsStore *store);
extern void nvs_store_check_writer(const NvsStore *store);

#endif							/* NVS_STORE_GRANT_H */
