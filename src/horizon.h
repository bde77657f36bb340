/*
 * horizon.h
 *	  Positions of events, and up to which of them everything is settled.
 */
#ifndef NVS_HORIZON_H
#define NVS_HORIZON_H

#include "postgres.h"

extern void nvs_horizon_init(void);

extern int64 nvs_next_position(void);
extern int64 nvs_safe_position(void);
extern int64 nvs_horizon_push_snapshot(void);
extern int64 nvs_horizon_tick(void);
extern bool nvs_horizon_release(void);

#endif							/* NVS_HORIZON_H */
