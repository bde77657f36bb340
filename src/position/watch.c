/*
 * position/watch.c
 *	  The safe position as the worker follows it, cheaply and in no transaction.
 *
 * Positions and marks in shared memory are read at each look.  Positions that
 * were drawn by others than nvent.next_position() are left out: a later one
 * makes up for them.
 *
 * Marks that are locks cost a copy of the lock table.  They are looked for when
 * more of them were made; and while there are any, from time to time, as nobody
 * tells of the end of a prepared transaction.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/timestamp.h"

#include "position/internal.h"
#include "position/position.h"

/* How often to look whether prepared transactions have ended, in ms. */
#define LOCK_INTERVAL	200

static int64 watch_by_slots(NvsDatabase *db);
static bool watch_locks_due(const NvsPositionWatch *watch, TimestampTz now);
static bool watch_look_for_locks(NvsPositionWatch *watch, TimestampTz now);

/* Begin to watch our database, db; needs a transaction. */
void
nvs_position_watch_begin(NvsPositionWatch *watch, NvsDatabase *db)
{
	memset(watch, 0, sizeof(*watch));
	nvs_sequence_seed(db);
	watch->db = db;
	watch->lowest_lock = PG_INT64_MAX;
	watch->lock_marks_made = pg_atomic_read_u64(&db->lock_marks_made);
}

/*
 * Look at the safe position: watch->safe.  True when a prepared transaction
 * that appended has ended since the look before.
 */
bool
nvs_position_watch(NvsPositionWatch *watch, TimestampTz now)
{
	bool		ended = false;

	if (watch_locks_due(watch, now))
		ended = watch_look_for_locks(watch, now);
	watch->by_slots = watch_by_slots(watch->db);

	/* A mark may just have moved from its slot to a lock. */
	pg_memory_barrier();
	if (pg_atomic_read_u64(&watch->db->lock_marks_made) !=
		watch->lock_marks_made)
		ended = watch_look_for_locks(watch, now) || ended;
	watch->safe = Min(watch->by_slots, watch->lowest_lock - 1);
	return ended;
}

/* The safe position as shared memory knows it, marks that are locks aside. */
static int64
watch_by_slots(NvsDatabase *db)
{
	int64		drawn = nvs_position_drawn(db);
	int64		lowest;

	pg_memory_barrier();
	lowest = nvs_low_water_mark_lowest_slot();
	return Min(drawn, lowest - 1);
}

/* Is it time to look for marks that are locks? */
static bool
watch_locks_due(const NvsPositionWatch *watch, TimestampTz now)
{
	if (watch->nlocks == 0 && !nvs_low_water_mark_may_be_locks(watch->db))
		return false;
	return pg_atomic_read_u64(&watch->db->lock_marks_made) !=
		watch->lock_marks_made ||
		now >= TimestampTzPlusMilliseconds(watch->locks_seen_at,
										   LOCK_INTERVAL);
}

/* Look for marks that are locks; true when some are gone. */
static bool
watch_look_for_locks(NvsPositionWatch *watch, TimestampTz now)
{
	uint64		made = pg_atomic_read_u64(&watch->db->lock_marks_made);
	uint64		expected = watch->nlocks + (made - watch->lock_marks_made);
	NvsLockMarks marks = nvs_low_water_mark_locks(watch->db);

	watch->nlocks = marks.n;
	watch->lowest_lock = marks.lowest;
	watch->lock_marks_made = made;
	watch->locks_seen_at = now;
	return marks.n < expected;
}

/* Would another look find another position, marks that are locks aside? */
bool
nvs_position_watch_moved(const NvsPositionWatch *watch)
{
	return watch_by_slots(watch->db) != watch->by_slots;
}

/* Is everything that was ever drawn settled? */
bool
nvs_position_watch_settled(const NvsPositionWatch *watch)
{
	return watch->nlocks == 0 && watch->safe >= nvs_position_drawn(watch->db);
}

/* After how many ms to look again even if nobody wakes us; LONG_MAX: never. */
long
nvs_position_watch_nap(const NvsPositionWatch *watch)
{
	return watch->nlocks > 0 ? LOCK_INTERVAL : LONG_MAX;
}

/* Name in the log, each once, who has held readers back for too long. */
void
nvs_position_watch_warn(NvsPositionWatch *watch, TimestampTz now)
{
	watch->warned_of = nvs_low_water_mark_warn_of_age(watch->warned_of, now);
}
