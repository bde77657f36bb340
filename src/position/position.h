/*
 * position/position.h
 *	  Positions of events, and up to which of them everything is settled.
 */
#ifndef NVS_POSITION_POSITION_H
#define NVS_POSITION_POSITION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"

#include "position/marks.h"
#include "position/shmem.h"

/* What the notifier knows of the safe positions between two looks. */
typedef struct NvsPositionWatch
{
	NvsDatabase *db;
	int64		drawn;			/* the highest position that was drawn */
	NvsMarks	slots;			/* marks of open transactions, unordered */
	NvsMarks	locks;			/* marks that are locks */
	NvsMarks	marks;			/* all of them, in order */
	bool		changed;		/* the last look found something else */
	uint64		lock_marks_made;	/* when those were looked for, and ... */
	int64		locks_seen_at;	/* ... at what time that was, an uptime */
	int64		published;		/* drawn and ... */
	NvsMarks	published_marks;	/* ... the marks that were published last */
	int64		warned_of;		/* appenders up to this mark are in the log */
} NvsPositionWatch;

extern void nvs_position_init(void);

extern uint32 nvs_store_number(const char *prefix, int len);
extern void nvs_position_draw(uint32 store, int64 *positions, int n);
extern void nvs_position_keep_drawn(void);
extern bool nvs_position_raise(int64 highest);
extern int64 nvs_position_safe(uint32 store);
extern bool nvs_position_snapshot_is_kept(void);
extern int64 nvs_position_push_snapshot(uint32 store);
extern void nvs_position_check_cursor(int64 cursor);
extern bool nvs_position_publish_unless_locked(void);
extern BlockNumber nvs_published_position_blocks(void);
extern int64 nvs_position_drawn(NvsDatabase *db);
extern bool nvs_position_may_be_prepared(NvsDatabase *db);
extern void nvs_position_prepared_ended(NvsDatabase *db);

/* watch.c, for the notifier */
extern void nvs_position_watch_begin(NvsPositionWatch *watch, NvsDatabase *db);
extern bool nvs_position_watch(NvsPositionWatch *watch, int64 now);
extern int64 nvs_position_watch_safe(const NvsPositionWatch *watch,
									 uint32 store);
extern bool nvs_position_watch_moved(NvsPositionWatch *watch);
extern bool nvs_position_watch_settled(const NvsPositionWatch *watch);
extern bool nvs_position_watch_is_published(const NvsPositionWatch *watch);
extern void nvs_position_watch_published(NvsPositionWatch *watch);
extern long nvs_position_watch_nap(const NvsPositionWatch *watch);
extern void nvs_position_watch_warn(NvsPositionWatch *watch);

#endif							/* NVS_POSITION_POSITION_H */
