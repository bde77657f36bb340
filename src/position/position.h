/*
 * position/position.h
 *	  Positions of events, and up to which of them everything is settled.
 */
#ifndef NVS_POSITION_POSITION_H
#define NVS_POSITION_POSITION_H

#include "postgres.h"

#include "position/shmem.h"

extern void nvs_horizon_init(void);

extern int64 nvs_next_position(void);
extern int64 nvs_safe_position(void);
extern int64 nvs_horizon_push_snapshot(void);
extern int64 nvs_horizon_tick(void);
extern bool nvs_horizon_release(uint64 *drawn);

/* for the worker */
extern void nvs_horizon_seed(NvsDatabase *db);
extern int64 nvs_horizon_quick(NvsDatabase *db);
extern bool nvs_horizon_may_have_locks(NvsDatabase *db);
extern int	nvs_horizon_locks(NvsDatabase *db, int64 **floors);
extern int64 nvs_horizon_below(int64 safe, const int64 *floors, int n);

#endif							/* NVS_POSITION_POSITION_H */
