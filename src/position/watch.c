/*
 * position/watch.c
 *	  The safe positions as the notifier follows them, cheaply and in no
 *	  transaction.
 *
 * Positions and marks in shared memory are read at each look.  Positions that
 * were drawn by others than nvent.next_position() are left out: a later one
 * makes up for them.
 *
 * Marks that are locks are looked for when more of them were made; and while
 * there are any, from time to time, as nobody tells of the end of a prepared
 * transaction.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "position/internal.h"
#include "position/position.h"

/* How often to look whether prepared transactions have ended, in ms. */
#define LOCK_INTERVAL	200

static void watch_slots(NvsPositionWatch *watch, int64 *drawn,
						NvsMarks *slots);
static bool watch_locks_due(const NvsPositionWatch *watch, int64 now);
static bool watch_look_for_locks(NvsPositionWatch *watch, int64 now);
static void watch_copy(NvsMarks *to, const NvsMarks *from);

/* Begin to watch our database, db; needs a transaction. */
void
nvs_position_watch_begin(NvsPositionWatch *watch, NvsDatabase *db)
{
	memset(watch, 0, sizeof(*watch));
	nvs_sequence_seed(db);
	watch->db = db;
	watch->published = -1;
	nvs_marks_init(&watch->slots, TopMemoryContext);
	nvs_marks_init(&watch->locks, TopMemoryContext);
	nvs_marks_init(&watch->marks, TopMemoryContext);
	nvs_marks_init(&watch->published_marks, TopMemoryContext);
	watch->lock_marks_made = pg_atomic_read_u64(&db->lock_marks_made);
}

/*
 * Look at the safe positions, which nvs_position_watch_safe() then tells.
 * True when a prepared transaction that appended has ended since the look
 * before.
 */
bool
nvs_position_watch(NvsPositionWatch *watch, int64 now)
{
	int64		drawn = watch->drawn;
	NvsMarks	last;
	bool		ended = false;

	if (watch_locks_due(watch, now))
		ended = watch_look_for_locks(watch, now);
	watch_slots(watch, &watch->drawn, &watch->slots);

	/* A mark may just have moved from its slot to a lock. */
	pg_memory_barrier();
	if (pg_atomic_read_u64(&watch->db->lock_marks_made) !=
		watch->lock_marks_made)
		ended = watch_look_for_locks(watch, now) || ended;

	nvs_marks_init(&last, CurrentMemoryContext);
	watch_copy(&last, &watch->marks);
	nvs_marks_clear(&watch->marks);
	nvs_marks_add_all(&watch->marks, &watch->slots);
	nvs_marks_add_all(&watch->marks, &watch->locks);
	nvs_marks_sort(&watch->marks);
	watch->changed = drawn != watch->drawn ||
		!nvs_marks_equal(&last, &watch->marks);
	return ended;
}

/* The safe position of a store as of the last look; of all stores for 0. */
int64
nvs_position_watch_safe(const NvsPositionWatch *watch, uint32 store)
{
	int64		lowest = nvs_marks_lowest(&watch->marks, store);

	return Min(watch->drawn, lowest - 1);
}

/* Read what is drawn, and then the marks, of shared memory. */
static void
watch_slots(NvsPositionWatch *watch, int64 *drawn, NvsMarks *slots)
{
	*drawn = nvs_position_drawn(watch->db);
	pg_memory_barrier();
	nvs_marks_clear(slots);
	nvs_low_water_mark_add_slots(slots);
}

/* Is it time to look for marks that are locks? */
static bool
watch_locks_due(const NvsPositionWatch *watch, int64 now)
{
	if (watch->locks.n == 0 && !nvs_low_water_mark_may_be_locks(watch->db))
		return false;
	return pg_atomic_read_u64(&watch->db->lock_marks_made) !=
		watch->lock_marks_made ||
		now >= TimestampTzPlusMilliseconds(watch->locks_seen_at,
										   LOCK_INTERVAL);
}

/* Look for marks that are locks; true when some are gone. */
static bool
watch_look_for_locks(NvsPositionWatch *watch, int64 now)
{
	uint64		made = pg_atomic_read_u64(&watch->db->lock_marks_made);
	uint64		expected = watch->locks.n + (made - watch->lock_marks_made);

	nvs_marks_clear(&watch->locks);
	nvs_prepared_add_marks(&watch->locks, watch->db);
	watch->lock_marks_made = made;
	watch->locks_seen_at = now;
	return watch->locks.n < expected;
}

/* Make one list of marks what another is. */
static void
watch_copy(NvsMarks *to, const NvsMarks *from)
{
	nvs_marks_clear(to);
	nvs_marks_add_all(to, from);
}

/*
 * Would another look find other positions, marks that are locks aside?
 * Allocates in the current memory context.
 */
bool
nvs_position_watch_moved(NvsPositionWatch *watch)
{
	NvsMarks	slots;
	int64		drawn;

	nvs_marks_init(&slots, CurrentMemoryContext);
	watch_slots(watch, &drawn, &slots);
	return drawn != watch->drawn || !nvs_marks_equal(&slots, &watch->slots);
}

/* Is everything that was ever drawn settled? */
bool
nvs_position_watch_settled(const NvsPositionWatch *watch)
{
	return watch->marks.n == 0 &&
		watch->drawn >= nvs_position_drawn(watch->db);
}

/* Is what the last look found published? */
bool
nvs_position_watch_is_published(const NvsPositionWatch *watch)
{
	return watch->published == watch->drawn &&
		nvs_marks_equal(&watch->published_marks, &watch->marks);
}

/* What the last look found is published. */
void
nvs_position_watch_published(NvsPositionWatch *watch)
{
	watch->published = watch->drawn;
	watch_copy(&watch->published_marks, &watch->marks);
}

/* After how many ms to look again even if nobody wakes us; LONG_MAX: never. */
long
nvs_position_watch_nap(const NvsPositionWatch *watch)
{
	return watch->locks.n > 0 ? LOCK_INTERVAL : LONG_MAX;
}

/* Name in the log, or end, who has held readers back for too long. */
void
nvs_position_watch_warn(NvsPositionWatch *watch)
{
	watch->warned_of = nvs_low_water_mark_check_ages(watch->warned_of,
													 GetCurrentTimestamp());
}
