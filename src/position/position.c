/*
 * position/position.c
 *	  Positions of events, and up to which of them everything is settled.
 *
 * A position is drawn before its row can be seen, so a reader that follows by
 * position must not pass one that may still appear.  An appender therefore
 * publishes a low-water mark before it draws: none of its positions is below
 * it.  The mark goes when the transaction's rows can be seen or are gone, and
 * others have been told what it changed in the catalogs and in our registry.
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

#include "base/plan.h"
#include "position/internal.h"
#include "position/position.h"

PG_FUNCTION_INFO_V1(nvs_next_position);
PG_FUNCTION_INFO_V1(nvs_safe_position);
PG_FUNCTION_INFO_V1(nvs_position_publish);

/* Positions that this transaction drew. */
static uint64 ndrawn = 0;

static void position_publish_mark(NvsDatabase *db);
static bool position_snapshot_is_kept(void);

/* Register the callback of position/sequence.c. */
void
nvs_position_init(void)
{
	nvs_sequence_init();
}

/* nvent.next_position(): a position for a row that this transaction inserts. */
Datum
nvs_next_position(PG_FUNCTION_ARGS pg_attribute_unused())
{
	NvsDatabase *db = nvs_shmem_database();
	int64		position;

	if (nvs_low_water_mark() == 0)
		position_publish_mark(db);
	else
		nvs_low_water_mark_check_age();
	position = nvs_sequence_next(db);
	ndrawn++;
	PG_RETURN_INT64(position);
}

/*
 * Publish this transaction's low-water mark: the first position above those
 * that are drawn.  By the time it is published others may have drawn more, so
 * that it is lower than need be, which only makes readers wait for longer.
 */
static void
position_publish_mark(NvsDatabase *db)
{
	PreventCommandIfReadOnly("nvent.next_position()");
	if (db == NULL)
	{
		nvs_low_water_mark_publish(nvs_sequence_last(NULL) + 1, false);
		return;
	}
	nvs_sequence_seed(db);
	nvs_low_water_mark_publish(nvs_position_drawn(db) + 1, true);
}

/*
 * Fill in what the transaction that has ended did with positions, and take its
 * low-water mark back; position/xact.c says when.  Does not raise.
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

/*
 * The position at or below which everything is settled: read it first, take
 * a snapshot after that, then read rows up to it.
 */
int64
nvs_position_safe(void)
{
	NvsDatabase *db = nvs_shmem_database();
	XLogRecPtr	logged;
	int64		last = nvs_sequence_last(&logged);
	int64		by_slot = PG_INT64_MAX;
	int64		by_lock = PG_INT64_MAX;

	pg_memory_barrier();
	/* Cursors outlive a crash; what was rolled back has flushed nothing. */
	XLogFlush(logged);
	/* Slots before locks: a mark moves from the one to the other. */
	if (nvs_shmem_available())
		by_slot = nvs_low_water_mark_lowest_slot();
	if (nvs_low_water_mark_may_be_locks(db))
		by_lock = nvs_low_water_mark_locks(db).lowest;
	return Min(last, Min(by_slot, by_lock) - 1);
}

/* Can no newer snapshot be taken than the one that shows our reads? */
static bool
position_snapshot_is_kept(void)
{
	return IsolationUsesXactSnapshot() || RecoveryInProgress();
}

/*
 * Push the snapshot to read events with, and return the position up to which
 * it shows everything.  The caller pops it; needs SPI.
 */
int64
nvs_position_push_snapshot(void)
{
	int64		safe;

	if (position_snapshot_is_kept())
	{
		PushActiveSnapshot(IsolationUsesXactSnapshot() ?
						   GetTransactionSnapshot() : GetLatestSnapshot());
		return nvs_published_position_read();
	}
	safe = nvs_position_safe();
	PushActiveSnapshot(GetLatestSnapshot());
	return safe;
}

/* nvent.safe_position() */
Datum
nvs_safe_position(PG_FUNCTION_ARGS pg_attribute_unused())
{
	int64		safe;

	if (!position_snapshot_is_kept())
		PG_RETURN_INT64(nvs_position_safe());
	nvs_spi_begin();
	safe = nvs_position_push_snapshot();
	PopActiveSnapshot();
	nvs_spi_end();
	PG_RETURN_INT64(safe);
}

/*
 * Write the safe position into nvent.published_position; returns the position
 * that is there now.  The row is locked until commit.
 */
int64
nvs_position_publish_safe(void)
{
	int64		position;

	nvs_spi_begin();
	position = nvs_published_position_write(nvs_position_safe());
	nvs_spi_end();
	return position;
}

/* nvent.position_publish() */
Datum
nvs_position_publish(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_INT64(nvs_position_publish_safe());
}
