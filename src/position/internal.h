/*
 * position/internal.h
 *	  What the files of position/ know of one another.
 */
#ifndef NVS_POSITION_INTERNAL_H
#define NVS_POSITION_INTERNAL_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "storage/lock.h"

#include "position/marks.h"
#include "position/shmem.h"
#include "position/xact.h"

/* sequence.c */
extern void nvs_sequence_init(void);
extern void nvs_sequence_prepare(NvsDatabase *db);
extern void nvs_sequence_draw(NvsDatabase *db, int64 *positions, int n);
extern int64 nvs_sequence_last(XLogRecPtr *logged);
extern int64 nvs_sequence_reach(void);
extern void nvs_sequence_seed(NvsDatabase *db);

/* early_release.c */
extern void nvs_early_release_before_commit(bool changes, bool notifies);
extern void nvs_early_release_decided(bool committed);
extern void nvs_early_release_wait(void);

/* low_water_mark.c */
extern bool nvs_low_water_mark_holds(uint32 store);
extern int64 nvs_low_water_mark_last(void);
extern void nvs_low_water_mark_publish(uint32 store, int64 mark,
									   bool in_slot);
extern void nvs_low_water_mark_check_age(void);
extern void nvs_low_water_mark_before_prepare(void);
extern bool nvs_low_water_mark_is_lock(void);
extern void nvs_low_water_mark_pass_at(XLogRecPtr lsn);
extern bool nvs_low_water_mark_after_locks(void);
extern int64 nvs_low_water_mark_lowest_slot(uint32 store);
extern void nvs_low_water_mark_add_slots(NvsMarks *marks);
extern bool nvs_low_water_mark_may_be_locks(NvsDatabase *db);
extern int64 nvs_low_water_mark_check_ages(int64 warned_of, TimestampTz now);

/* prepared.c */
extern void nvs_prepared_add(NvsDatabase *db, uint32 store, int64 position);
extern bool nvs_prepared_is_mark(const LOCKTAG *tag, NvsMark *mark);
extern void nvs_prepared_add_marks(NvsMarks *marks, NvsDatabase *db);

/* published_position.c */
extern int64 nvs_published_position_read(uint32 store);
extern int64 nvs_published_position_highest(void);
extern bool nvs_published_position_lock(void);
extern int64 nvs_published_position_write(int64 last, NvsMarks *marks);

/* position.c */
extern void nvs_position_after_locks(NvsXactEnd *end);

#endif							/* NVS_POSITION_INTERNAL_H */
