/*
 * base/inval.h
 *	  Being told that a relation has changed.
 */
#ifndef NVS_BASE_INVAL_H
#define NVS_BASE_INVAL_H

#include "postgres.h"

#include "utils/inval.h"

extern void nvs_inval_init(void);
extern void nvs_inval_register(RelcacheCallbackFunction function);

#endif							/* NVS_BASE_INVAL_H */
