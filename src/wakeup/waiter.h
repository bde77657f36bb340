/*
 * wakeup/waiter.h
 *	  Sessions that wait for events, and waking them.
 */
#ifndef NVS_WAKEUP_WAITER_H
#define NVS_WAKEUP_WAITER_H

#include "postgres.h"

#include "position/position.h"

/* for the session that waits */
extern void nvs_waiter_begin(NvsDatabase *db, const char *pattern, int len);
extern void nvs_waiter_set_store(NvsDatabase *db, uint32 store);
extern void nvs_waiter_reset(void);
extern void nvs_waiter_arm(NvsDatabase *db, int64 position);
extern void nvs_waiter_end(NvsDatabase *db);

/* for the notifier */
extern void nvs_waiters_refresh(NvsDatabase *db);
extern void nvs_waiters_match(const char *subject, int len, int64 position);
extern void nvs_waiters_arm_all(int64 position);
extern void nvs_waiters_wake(const NvsPositionWatch *watch);

#endif							/* NVS_WAKEUP_WAITER_H */
