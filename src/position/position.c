/*
 * position/position.c
 *	  Positions of events, and up to which of them everything is settled.
 *
 * A position is drawn before its row can be seen, so a reader that follows by
 * position must not pass one that may still appear.  An appender therefore
 * publishes a floor before it draws: none of its positions is below it.  The
 * floor goes when the transaction's rows can be seen or are gone, and others
 * have been told what it changed in the catalogs and in our registry.
 *
 * A reader notes the highest position drawn, then looks for floors, and only
 * then takes the snapshot that it reads with.  An appender whose floor it did
 * not find had either ended, so that the snapshot shows its rows, or had yet
 * to draw, and got positions above the note.
 *
 * Floors are slots in shared memory.  Where there is none, and for prepared
 * transactions, which have no process, they are transaction-level advisory
 * locks whose tag is the floor: these survive a crash with the prepared
 * transaction and go with it.  Share locks, as floors may be equal.
 *
 * A snapshot that is older than the answer shows less than what is settled.
 * Those who cannot take a new one, REPEATABLE READ and standbys, read up to
 * nvent.published_position: who sees the row sees all that was settled when it
 * was written.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/plan.h"
#include "position/position.h"
#include "position/shmem.h"

PG_FUNCTION_INFO_V1(nvs_next_position);
PG_FUNCTION_INFO_V1(nvs_safe_position);
PG_FUNCTION_INFO_V1(nvs_appender_low_water_marks);
PG_FUNCTION_INFO_V1(nvs_position_publish);

static Oid	sequence_relid = InvalidOid;

/* This transaction's floor, 0 for none, and when it was published. */
static int64 my_floor = 0;
static TimestampTz my_since = 0;

/* Positions that this transaction drew. */
static uint64 my_draws = 0;

/* Where the floor is; NULL when it is an advisory lock. */
static NvsSlot *my_slot = NULL;

static SPIPlanPtr read_tick_plan = NULL;
static SPIPlanPtr write_tick_plan = NULL;

static void sequence_callback(Datum arg, Oid relid);
static Oid	get_sequence(void);
static void publish_floor(void);
static void lock_floor(int64 floor);
static void move_floor(int64 floor);
static void check_age(void);
static int64 last_position(Oid relid, XLogRecPtr *logged);
static void raise_drawn(NvsDatabase *db, int64 position);
static bool read_slot(int i, uint64 *floor);
static int64 below_slots(int64 safe);
static bool is_floor(const LOCKTAG *tag);
static int64 tag_floor(const LOCKTAG *tag);
static int64 read_tick(void);
static void put_slots(Tuplestorestate *result, TupleDesc desc);
static void put_locks(Tuplestorestate *result, TupleDesc desc);

/* Register the callback. */
void
nvs_position_init(void)
{
	CacheRegisterRelcacheCallback(sequence_callback, (Datum) 0);
}

/* The extension may have been dropped and made again. */
static void
sequence_callback(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == sequence_relid)
		sequence_relid = InvalidOid;
}

/* OID of the sequence. */
static Oid
get_sequence(void)
{
	if (!OidIsValid(sequence_relid))
		sequence_relid = nvs_registry_table("position_seq");
	return sequence_relid;
}

/* Draw a position for a row that this transaction inserts. */
int64
nvs_position_draw(void)
{
	Oid			sequence = get_sequence();
	NvsDatabase *db = nvs_shmem_database();
	int64		position;

	if (my_floor == 0)
		publish_floor();
	else if (nvs_max_append_age > 0)
		check_age();
	position = nextval_internal(sequence, false);
	my_draws++;
	if (position < my_floor)
		move_floor(position);
	if (db != NULL)
		raise_drawn(db, position);
	return position;
}

/* Publish this transaction's floor: what is drawn from now on is above. */
static void
publish_floor(void)
{
	NvsDatabase *db = nvs_shmem_database();
	int64		floor;

	PreventCommandIfReadOnly("nvent.next_position()");
	my_since = GetCurrentStatementStartTimestamp();
	if (db == NULL)
	{
		floor = last_position(get_sequence(), NULL) + 1;
		lock_floor(floor);
		my_floor = floor;
		return;
	}
	nvs_position_seed(db);
	my_slot = nvs_shmem_my_slot();
	my_slot->pid = MyProcPid;
	my_slot->since = my_since;
	pg_atomic_write_u32(&my_slot->database, MyDatabaseId);
	pg_write_barrier();
	my_floor = (int64) pg_atomic_read_u64(&db->drawn) + 1;
	pg_atomic_write_u64(&my_slot->floor, my_floor);
	/* The floor is there before the position is drawn. */
	pg_memory_barrier();
}

/*
 * Have an advisory lock say the floor.  A rollback to a savepoint releases
 * locks taken since, but does not undo positions drawn before: the lock is
 * therefore owned by the top-level transaction.
 */
static void
lock_floor(int64 floor)
{
	ResourceOwner old = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	nvs_lock(NVS_LOCK_LOW_WATER_MARK, (uint64) floor, ShareLock);
	CurrentResourceOwner = old;
}

/*
 * Lower the floor to a position that is below it.  Somebody moved the
 * sequence back, which asks for trouble, but not here.
 */
static void
move_floor(int64 floor)
{
	if (my_slot == NULL)
		lock_floor(floor);
	else
	{
		pg_atomic_write_u64(&nvs_shmem_database()->drawn, floor);
		pg_atomic_write_u64(&my_slot->floor, floor);
		pg_memory_barrier();
	}
	my_floor = floor;
}

/* Raise an error when this transaction has held readers back for too long. */
static void
check_age(void)
{
	if (!TimestampDifferenceExceeds(my_since, GetCurrentTimestamp(),
									nvs_max_append_age))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			 errmsg("transaction may append no more"),
			 errdetail("It appended first more than %d ms ago "
					   "(nvent_store.max_append_age), and readers have "
					   "waited for it since.", nvs_max_append_age),
			 errhint("Commit in smaller transactions.")));
}

/*
 * Leave the floor with a transaction that is going to be prepared; position/
 * xact.c calls it.  Raises when no lock is to be had.
 */
void
nvs_position_before_prepare(void)
{
	if (my_slot == NULL)
		return;
	/* Counted from the lock on: see nvs_position_may_have_locks(). */
	lock_floor(my_floor);
	pg_atomic_fetch_add_u64(&nvs_shmem_database()->locks_made, 1);
}

/*
 * Take the floor back at the end of a transaction; true if there was one.
 * *ndrawn is how many positions the transaction drew.  position/xact.c calls
 * it when the transaction's locks are released.  Does not raise.
 */
bool
nvs_position_after_locks(uint64 *ndrawn)
{
	bool		had_floor = my_floor != 0;

	*ndrawn = my_draws;
	if (my_slot != NULL)
	{
		pg_memory_barrier();
		pg_atomic_write_u64(&my_slot->floor, 0);
		/* Before we look whether that is of interest: see nap_time(). */
		pg_memory_barrier();
	}
	my_slot = NULL;
	my_floor = 0;
	my_draws = 0;
	return had_floor;
}

/*
 * The highest position that has been drawn, straight from the sequence, and
 * up to where the log has to be written lest it be drawn again after a crash.
 */
static int64
last_position(Oid relid, XLogRecPtr *logged)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Buffer		buffer = ReadBuffer(rel, 0);
	Form_pg_sequence_data data;
	HeapTupleHeader row;
	Page		page;
	int64		last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	row = (HeapTupleHeader) PageGetItem(page,
										PageGetItemId(page,
													  FirstOffsetNumber));
	data = (Form_pg_sequence_data) ((char *) row + row->t_hoff);
	last = data->is_called ? data->last_value : data->last_value - 1;
	if (logged != NULL)
		*logged = PageGetLSN(page);
	UnlockReleaseBuffer(buffer);
	relation_close(rel, AccessShareLock);
	return last;
}

/*
 * Know which positions were drawn: after a server start, and for a sequence
 * that is another one than before.
 */
void
nvs_position_seed(NvsDatabase *db)
{
	Oid			sequence = get_sequence();
	int64		last;

	if (db->sequence == sequence)
		return;
	last = last_position(sequence, NULL);
	SpinLockAcquire(&db->mutex);
	if (db->sequence != sequence)
	{
		pg_atomic_write_u64(&db->drawn, last);
		db->sequence = sequence;
	}
	SpinLockRelease(&db->mutex);
}

/* Note that a position has been drawn. */
static void
raise_drawn(NvsDatabase *db, int64 position)
{
	uint64		drawn = pg_atomic_read_u64(&db->drawn);

	while (drawn < (uint64) position &&
		   !pg_atomic_compare_exchange_u64(&db->drawn, &drawn, position))
		;
}

/* The floor in a slot, of an appender to our database; false if none. */
static bool
read_slot(int i, uint64 *floor)
{
	NvsSlot    *slot = nvs_shmem_slot(i);
	Oid			database;

	/* The slot may change hands between the two reads. */
	do
	{
		*floor = pg_atomic_read_u64(&slot->floor);
		if (*floor == 0)
			return false;
		pg_read_barrier();
		database = pg_atomic_read_u32(&slot->database);
		pg_read_barrier();
	} while (pg_atomic_read_u64(&slot->floor) != *floor);
	return database == MyDatabaseId;
}

/* Lower safe to what is below every floor in shared memory. */
static int64
below_slots(int64 safe)
{
	int			n = nvs_shmem_slots();
	int			i;

	for (i = 0; i < n; i++)
	{
		uint64		floor;

		if (read_slot(i, &floor) && (int64) floor <= safe)
			safe = (int64) floor - 1;
	}
	return safe;
}

/* Is this lock a floor of our database? */
static bool
is_floor(const LOCKTAG *tag)
{
	return tag->locktag_type == LOCKTAG_ADVISORY &&
		tag->locktag_field1 == MyDatabaseId &&
		tag->locktag_field4 == NVS_LOCK_LOW_WATER_MARK;
}

/* The floor that a lock is. */
static int64
tag_floor(const LOCKTAG *tag)
{
	return (int64) (((uint64) tag->locktag_field2 << 32) |
					tag->locktag_field3);
}

/*
 * The floors of our database that are advisory locks, in no order, and how
 * many they are.  Without any, shared memory is told that none is left.
 */
int
nvs_position_locks(NvsDatabase *db, int64 **floors)
{
	uint64		made = db == NULL ? 0 : pg_atomic_read_u64(&db->locks_made);
	LockData   *locks = GetLockStatusData();
	int			n = 0;
	int			i;

	*floors = palloc(sizeof(int64) * Max(locks->nelements, 1));
	for (i = 0; i < locks->nelements; i++)
	{
		const LOCKTAG *tag = &locks->locks[i].locktag;

		if (is_floor(tag))
			(*floors)[n++] = tag_floor(tag);
	}
	pfree(locks->locks);
	pfree(locks);
	if (n == 0 && db != NULL)
		pg_atomic_write_u64(&db->locks_gone, made);
	return n;
}

/*
 * May there be floors that are advisory locks?  To be asked after the slots
 * were read: a transaction that is being prepared counts its lock before it
 * clears its slot, so who no longer finds the one is told of the other.
 */
bool
nvs_position_may_have_locks(NvsDatabase *db)
{
	pg_memory_barrier();
	return db == NULL || nvs_shmem_overflowed() ||
		pg_atomic_read_u64(&db->locks_made) !=
		pg_atomic_read_u64(&db->locks_gone);
}

/* Lower safe to what is below every floor of some. */
int64
nvs_position_below(int64 safe, const int64 *floors, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		safe = Min(safe, floors[i] - 1);
	return safe;
}

/*
 * The safe position as shared memory knows it: positions that were drawn by
 * others than next_position() and floors that are locks are left out.  Needs
 * no transaction.
 */
int64
nvs_position_quick(NvsDatabase *db)
{
	int64		drawn = (int64) pg_atomic_read_u64(&db->drawn);

	pg_memory_barrier();
	return below_slots(drawn);
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
	int64		safe = last_position(get_sequence(), &logged);
	int64	   *floors;
	int			n;

	pg_memory_barrier();
	/* Cursors outlive a crash; what was rolled back has flushed nothing. */
	XLogFlush(logged);
	if (nvs_shmem_available())
		safe = below_slots(safe);
	if (!nvs_position_may_have_locks(db))
		return safe;
	n = nvs_position_locks(db, &floors);
	safe = nvs_position_below(safe, floors, n);
	pfree(floors);
	return safe;
}

/*
 * Push the snapshot to read events with, and return the position up to which
 * it shows everything.  The caller pops it; needs SPI.
 */
int64
nvs_position_push_snapshot(void)
{
	int64		safe;

	if (IsolationUsesXactSnapshot() || RecoveryInProgress())
	{
		PushActiveSnapshot(IsolationUsesXactSnapshot() ?
						   GetTransactionSnapshot() : GetLatestSnapshot());
		return read_tick();
	}
	safe = nvs_position_safe();
	PushActiveSnapshot(GetLatestSnapshot());
	return safe;
}

/* The position of the tick row that the active snapshot shows. */
static int64
read_tick(void)
{
	Datum		position;

	if (read_tick_plan == NULL)
		read_tick_plan = nvs_plan_prepare("SELECT position FROM nvent.published_position",
										  0, NULL, 0);
	if (nvs_plan_first(read_tick_plan, NULL, NULL, true, CurrentMemoryContext,
					   &position))
		return DatumGetInt64(position);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this snapshot does not show which events are settled"),
			 errdetail("In REPEATABLE READ, in SERIALIZABLE and on a standby "
					   "events are read up to the position in nvent.published_position, "
					   "which has not been written yet."),
			 errhint("Preload nvent_store, or have SELECT "
					 "nvent.position_publish() run regularly on the primary; or "
					 "read in READ COMMITTED.")));
}

/*
 * Enter what is settled into the tick row; needs SPI.  Returns the position
 * that is in the row now.
 */
int64
nvs_position_publish_safe(void)
{
	Oid			type = INT8OID;
	Datum		safe = Int64GetDatum(nvs_position_safe());
	NvsIdentity saved;
	Datum		position = (Datum) 0;

	nvs_become_owner(&saved);
	if (write_tick_plan == NULL)
		write_tick_plan = nvs_plan_prepare(
										   "WITH written AS (UPDATE nvent.published_position SET position = $1, "
										   "published_at = pg_catalog.clock_timestamp() "
										   "WHERE position IS NULL OR position OPERATOR(pg_catalog.<) $1 "
										   "RETURNING position) "
										   "SELECT position FROM written UNION ALL "
										   "SELECT position FROM nvent.published_position LIMIT 1",
										   1, &type, 0);
	(void) nvs_plan_first(write_tick_plan, &safe, NULL, false,
						  CurrentMemoryContext, &position);
	nvs_become_caller(&saved);
	return DatumGetInt64(position);
}

/* nvent.next_position() */
Datum
nvs_next_position(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(nvs_position_draw());
}

/* nvent.safe_position() */
Datum
nvs_safe_position(PG_FUNCTION_ARGS)
{
	int64		safe;

	if (!IsolationUsesXactSnapshot() && !RecoveryInProgress())
		PG_RETURN_INT64(nvs_position_safe());
	nvs_spi_begin();
	safe = nvs_position_push_snapshot();
	PopActiveSnapshot();
	nvs_spi_end();
	PG_RETURN_INT64(safe);
}

/* nvent.appender_low_water_marks() */
Datum
nvs_appender_low_water_marks(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);

	if (nvs_shmem_available())
		put_slots(result, desc);
	put_locks(result, desc);
	return (Datum) 0;
}

/* Add the low-water marks in shared memory to a result. */
static void
put_slots(Tuplestorestate *result, TupleDesc desc)
{
	int			n = nvs_shmem_slots();
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		uint64		floor;
		Datum		values[4];
		bool		nulls[4] = {false, true, false, false};

		if (!read_slot(i, &floor))
			continue;
		values[0] = Int32GetDatum(slot->pid);
		values[2] = TimestampTzGetDatum(slot->since);
		values[3] = Int64GetDatum((int64) floor);
		tuplestore_putvalues(result, desc, values, nulls);
	}
}

/* Add the low-water marks that are advisory locks to a result. */
static void
put_locks(Tuplestorestate *result, TupleDesc desc)
{
	LockData   *locks = GetLockStatusData();
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];
		Datum		values[4];
		bool		nulls[4] = {lock->pid == 0, false, true, false};

		if (!is_floor(&lock->locktag))
			continue;
		values[0] = Int32GetDatum(lock->pid);
		values[1] = CStringGetTextDatum(nvs_lock_holder(lock));
		values[3] = Int64GetDatum(tag_floor(&lock->locktag));
		tuplestore_putvalues(result, desc, values, nulls);
	}
}

/* nvent.position_publish() */
Datum
nvs_position_publish(PG_FUNCTION_ARGS)
{
	int64		position;

	nvs_spi_begin();
	position = nvs_position_publish_safe();
	nvs_spi_end();
	PG_RETURN_INT64(position);
}
