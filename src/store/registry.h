/*
 * store/registry.h
 *	  Writing which stores there are, and where.
 */
#ifndef NVS_STORE_REGISTRY_H
#define NVS_STORE_REGISTRY_H

#include "postgres.h"

#include "store/store.h"

extern void nvs_registry_enter(const NvsStore *store);
extern void nvs_registry_remove(const char *prefix);
extern void nvs_registry_move(const NvsStore *store);

#endif							/* NVS_STORE_REGISTRY_H */
