/*
 * position/position.c
 *	  Positions of events, and up to which of them everything is settled.
 *
 * A position is drawn before its row can be seen, so a reader that follows by
 * position must not pass one that may still appear.  An appender therefore
 * publishes a low-water mark before it draws: none of its positions is below
 * it.  Marks count per store, so that an appender holds back the readers of
 * those that it appends to.  The mark goes when the transaction's rows can be
 * seen or are gone, and others have been told what it changed in the catalogs
 * and in our registry.
 *
 * A reader notes the highest position drawn, then looks for marks, and only
 * then takes the snapshot that it reads with.  An appender whose mark it did
 * not find had either ended, so that the snapshot shows its rows, or had yet
 * to draw, and got positions above the note.
 *
 * A snapshot that is older than the answer shows less than what is settled.
 * Those who cannot take a new one, REPEATABLE READ and standbys, read up to
 * the position in nvent.published_position as their snapshot shows it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/plan.h"
#include "position/internal.h"
#include "position/position.h"

PG_FUNCTION_INFO_V1(nvs_store_number_of);
PG_FUNCTION_INFO_V1(nvs_position_publish);

/* Positions that this transaction drew. */
static uint64 ndrawn = 0;

/* Keeps store numbers apart from the keys of locks on stores. */
#define NUMBER_SEED		2

static void position_publish_mark(NvsDatabase *db, uint32 store);
static int64 position_note_last(void);
static int64 position_publish_safe(void);

/* Register the callback of position/sequence.c. */
void
nvs_position_init(void)
{
	nvs_sequence_init();
}

/* A store's number: never 0, nor are its low bits; see position/marks.h. */
uint32
nvs_store_number(const char *prefix, int len)
{
	uint32		number = (uint32) nvs_hash(prefix, len, NUMBER_SEED);

	return (number & NVS_STORE_BITS) != 0 ? number : number | 1;
}

/* nvent.store_number(store) */
Datum
nvs_store_number_of(PG_FUNCTION_ARGS)
{
	text	   *store = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT32((int32) nvs_store_number(VARDATA_ANY(store),
											 VARSIZE_ANY_EXHDR(store)));
}

/*
 * Draw n positions, in ascending order, for rows that this transaction inserts
 * into a store.
 */
void
nvs_position_draw(uint32 store, int64 *positions, int n)
{
	NvsDatabase *db = nvs_shmem_database();

	PreventCommandIfReadOnly("nvent.next_position()");
	if (nvs_low_water_mark_last() != 0)
		nvs_low_water_mark_check_age();
	nvs_sequence_prepare(db);
	if (!nvs_low_water_mark_holds(store))
		position_publish_mark(db, store);
	nvs_sequence_draw(db, positions, n);
	ndrawn += n;
}

/*
 * Publish this transaction's low-water mark for a store: the first position
 * above those that are drawn.  By the time it is published others may have
 * drawn more, so that it is lower than need be, which only makes readers wait
 * for longer.
 */
static void
position_publish_mark(NvsDatabase *db, uint32 store)
{
	if (db == NULL)
	{
		nvs_low_water_mark_publish(store, nvs_sequence_last(NULL) + 1, false);
		return;
	}
	nvs_sequence_seed(db);
	nvs_low_water_mark_publish(store, nvs_position_drawn(db) + 1, true);
}

/*
 * Fill in what the transaction that has ended did with positions, and take its
 * low-water marks back; position/xact.c says when.  Does not raise.
 */
void
nvs_position_after_locks(NvsXactEnd *end)
{
	end->appended = nvs_low_water_mark_after_locks();
	end->ndrawn = ndrawn;
	ndrawn = 0;
}

/* The highest position that shared memory knows to be drawn. */
int64
nvs_position_drawn(NvsDatabase *db)
{
	return (int64) pg_atomic_read_u64(&db->drawn);
}

/* May there be prepared transactions that have appended? */
bool
nvs_position_may_be_prepared(NvsDatabase *db)
{
	return nvs_low_water_mark_may_be_locks(db);
}

/* One of those has ended: have the notifier look which are left. */
void
nvs_position_prepared_ended(NvsDatabase *db)
{
	pg_atomic_fetch_add_u64(&db->lock_marks_made, 1);
}

/*
 * The position at or below which everything in a store is settled, for 0 in
 * all of them: read it first, take a snapshot after that, then read rows up to
 * it.
 */
int64
nvs_position_safe(uint32 store)
{
	NvsDatabase *db = nvs_shmem_database();
	int64		last = position_note_last();
	int64		lowest = PG_INT64_MAX;

	/* Slots before locks: a mark moves from the one to the other. */
	if (nvs_shmem_available())
		lowest = nvs_low_water_mark_lowest_slot(store);
	if (nvs_low_water_mark_may_be_locks(db))
	{
		NvsMarks	locks;
		int			i;

		nvs_marks_init(&locks, CurrentMemoryContext);
		nvs_prepared_add_marks(&locks, db);
		for (i = 0; i < locks.n; i++)
			if (nvs_mark_holds(locks.list[i].store, store))
				lowest = Min(lowest, locks.list[i].position);
	}
	return Min(last, lowest - 1);
}

/* The highest position drawn, noted before one looks for marks. */
static int64
position_note_last(void)
{
	XLogRecPtr	logged;
	int64		last = nvs_sequence_last(&logged);

	pg_memory_barrier();
	/* Cursors outlive a crash; what was rolled back has flushed nothing. */
	XLogFlush(logged);
	return last;
}

/* Have no position that was drawn so far be drawn again after a crash. */
void
nvs_position_keep_drawn(void)
{
	(void) position_note_last();
}

/* Can no newer snapshot be taken than the one that shows our reads? */
bool
nvs_position_snapshot_is_kept(void)
{
	return IsolationUsesXactSnapshot() || RecoveryInProgress();
}

/*
 * Push the snapshot to read events of a store with, and return the position up
 * to which it shows everything.  The caller pops it; needs SPI.
 */
int64
nvs_position_push_snapshot(uint32 store)
{
	int64		safe;

	if (nvs_position_snapshot_is_kept())
	{
		PushActiveSnapshot(IsolationUsesXactSnapshot() ?
						   GetTransactionSnapshot() : GetLatestSnapshot());
		return nvs_published_position_read(store);
	}
	safe = nvs_position_safe(store);
	PushActiveSnapshot(GetLatestSnapshot());
	return safe;
}

/*
 * Raise an error when a reader's cursor is above all that was ever drawn: it
 * is of another database, or of a state of this one that was lost, and what is
 * appended from now on would be passed by.  Who cannot take a new snapshot may
 * be behind the server that the cursor is from.
 */
void
nvs_position_check_cursor(int64 cursor)
{
	int64		reach;

	if (nvs_position_snapshot_is_kept())
		return;
	reach = nvs_sequence_reach();
	if (cursor <= reach)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NVS_POSITION_AHEAD),
			 errmsg("position %lld has not been drawn yet",
					(long long) cursor),
			 errdetail("The highest one is %lld.", (long long) reach),
			 errhint("The cursor is of another database, or of events that "
					 "were lost: go on from one that is not above "
					 "nvent.safe_position().")));
}

/*
 * Write the safe positions into nvent.published_position; returns the position
 * that is there now.  The row is locked until commit.
 */
static int64
position_publish_safe(void)
{
	NvsDatabase *db = nvs_shmem_database();
	NvsMarks	marks;
	int64		last;
	int64		position;

	nvs_spi_begin();
	nvs_marks_init(&marks, CurrentMemoryContext);
	last = position_note_last();
	if (nvs_shmem_available())
		nvs_low_water_mark_add_slots(&marks);
	if (nvs_low_water_mark_may_be_locks(db))
		nvs_prepared_add_marks(&marks, db);
	position = nvs_published_position_write(last, &marks);
	nvs_spi_end();
	return position;
}

/*
 * Write the published position, unless somebody has locked its row: false then.
 */
bool
nvs_position_publish_unless_locked(void)
{
	bool		is_free;

	nvs_spi_begin();
	is_free = nvs_published_position_lock();
	if (is_free)
		(void) position_publish_safe();
	nvs_spi_end();
	return is_free;
}

/* nvent.position_publish() */
Datum
nvs_position_publish(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_INT64(position_publish_safe());
}
