/*
 * position/position.h
 *	  Positions of events, and up to which of them everything is settled.
 */
#ifndef NVS_POSITION_POSITION_H
#define NVS_POSITION_POSITION_H

#include "postgres.h"

#include "position/shmem.h"

extern void nvs_position_init(void);

extern int64 nvs_position_draw(void);
extern int64 nvs_position_safe(void);
extern int64 nvs_position_push_snapshot(void);
extern int64 nvs_position_publish_safe(void);

/* for position/xact.c */
extern void nvs_position_before_prepare(void);
extern bool nvs_position_after_locks(uint64 *ndrawn);

/* for the worker */
extern void nvs_position_seed(NvsDatabase *db);
extern int64 nvs_position_quick(NvsDatabase *db);
extern bool nvs_position_may_have_locks(NvsDatabase *db);
extern int	nvs_position_locks(NvsDatabase *db, int64 **floors);
extern int64 nvs_position_below(int64 safe, const int64 *floors, int n);

#endif							/* NVS_POSITION_POSITION_H */
