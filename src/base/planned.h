/*
 * base/planned.h
 *	  Whether a hook of the planner has relations read that are not named.
 */
#ifndef NVS_BASE_PLANNED_H
#define NVS_BASE_PLANNED_H

#include "postgres.h"

extern void nvs_planned_init(void);
extern bool nvs_is_planned_as_itself(Oid relid);

#endif							/* NVS_BASE_PLANNED_H */
