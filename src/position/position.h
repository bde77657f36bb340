/*
 * position/position.h
 *	  Positions of events, and up to which of them everything is settled.
 */
#ifndef NVS_POSITION_POSITION_H
#define NVS_POSITION_POSITION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"

#include "position/shmem.h"

/* What the worker knows of its database's safe position between two looks. */
typedef struct NvsPositionWatch
{
	NvsDatabase *db;
	int64		safe;			/* the safe position */
	int64		by_slots;		/* the same but for marks that are locks */
	int			nlocks;			/* such marks, and the lowest of them */
	int64		lowest_lock;
	uint64		lock_marks_made;	/* when they were looked for, and ... */
	TimestampTz locks_seen_at;	/* ... at what time that was */
	int64		warned_of;		/* appenders up to this mark are in the log */
} NvsPositionWatch;

extern void nvs_position_init(void);

extern int64 nvs_position_safe(void);
extern int64 nvs_position_push_snapshot(void);
extern int64 nvs_position_publish_safe(void);
extern BlockNumber nvs_published_position_blocks(void);
extern int64 nvs_position_drawn(NvsDatabase *db);

/* watch.c, for the worker */
extern void nvs_position_watch_begin(NvsPositionWatch *watch, NvsDatabase *db);
extern bool nvs_position_watch(NvsPositionWatch *watch, TimestampTz now);
extern bool nvs_position_watch_moved(const NvsPositionWatch *watch);
extern bool nvs_position_watch_settled(const NvsPositionWatch *watch);
extern long nvs_position_watch_nap(const NvsPositionWatch *watch);
extern void nvs_position_watch_warn(NvsPositionWatch *watch, TimestampTz now);

#endif							/* NVS_POSITION_POSITION_H */
