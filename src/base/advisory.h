/*
 * base/advisory.h
 *	  Our advisory locks, and the hash that makes their keys.
 */
#ifndef NVS_BASE_ADVISORY_H
#define NVS_BASE_ADVISORY_H

#include "postgres.h"

#include "storage/lock.h"

/*
 * What our advisory locks are about: the fourth field of the lock tag, where
 * pg_advisory_lock() puts 1 or 2, so that no user's key collides with ours.
 */
typedef enum NvsLockClass
{
	NVS_LOCK_STORE = 0x4E01,	/* creation and migration of a store */
	NVS_LOCK_TABLE = 0x4E02,	/* first use of a generic stream table */
	NVS_LOCK_SUBJECT = 0x4E03,	/* versions of one subject */
	NVS_LOCK_LANE = 0x4E04,		/* places in a lane of a queue */
	NVS_LOCK_JOB_KEY = 0x4E05,	/* sending or changing the job of a key */
	NVS_LOCK_SCAN = 0x4E10,		/* marking of a store's consumers */
	NVS_LOCK_LOW_WATER_MARK = 0x8000	/* an appender's low-water mark; the
										 * other bits tell of which store */
} NvsLockClass;

extern void nvs_lock(NvsLockClass class, uint64 key, LOCKMODE mode);
extern bool nvs_lock_if_free(NvsLockClass class, uint64 key, LOCKMODE mode);
extern void nvs_unlock(NvsLockClass class, uint64 key, LOCKMODE mode);
extern uint64 nvs_lock_key(uint32 store, const char *data, int len);
extern uint64 nvs_hash(const char *data, int len, uint64 seed);

#endif							/* NVS_BASE_ADVISORY_H */
