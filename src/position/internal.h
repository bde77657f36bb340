/*
 * position/internal.h
 *	  What the files of position/ know of one another.
 */
#ifndef NVS_POSITION_INTERNAL_H
#define NVS_POSITION_INTERNAL_H

#include "postgres.h"

#include "access/xlogdefs.h"

#include "position/shmem.h"
#include "position/xact.h"

/* Low-water marks that are advisory locks, as of one look at them. */
typedef struct NvsLockMarks
{
	int			n;
	int64		lowest;			/* PG_INT64_MAX when there is none */
} NvsLockMarks;

/* sequence.c */
extern void nvs_sequence_init(void);
extern int64 nvs_sequence_next(NvsDatabase *db);
extern int64 nvs_sequence_last(XLogRecPtr *logged);
extern void nvs_sequence_seed(NvsDatabase *db);

/* low_water_mark.c */
extern int64 nvs_low_water_mark(void);
extern void nvs_low_water_mark_publish(int64 mark, bool in_slot);
extern void nvs_low_water_mark_lower(int64 mark);
extern void nvs_low_water_mark_check_age(void);
extern void nvs_low_water_mark_before_prepare(void);
extern bool nvs_low_water_mark_after_locks(void);
extern int64 nvs_low_water_mark_lowest_slot(void);
extern bool nvs_low_water_mark_may_be_locks(NvsDatabase *db);
extern NvsLockMarks nvs_low_water_mark_locks(NvsDatabase *db);
extern int64 nvs_low_water_mark_warn_of_age(int64 warned_of, TimestampTz now);

/* published_position.c */
extern int64 nvs_published_position_read(void);
extern int64 nvs_published_position_write(int64 safe);

/* position.c */
extern void nvs_position_after_locks(NvsXactEnd *end);

#endif							/* NVS_POSITION_INTERNAL_H */
