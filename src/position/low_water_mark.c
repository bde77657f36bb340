/*
 * position/low_water_mark.c
 *	  Low-water marks: none of an open appender's positions is below its own.
 *
 * A mark is a number in the process's slot of shared memory.  Where there is
 * no shared memory, and for prepared transactions, which have no process, it
 * is a transaction-level advisory lock whose tag is the mark: the lock survives
 * a crash with the prepared transaction and goes with it.  It is a share lock,
 * as marks of several transactions may be equal.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/advisory.h"
#include "base/arg.h"
#include "base/guc.h"
#include "position/internal.h"

PG_FUNCTION_INFO_V1(nvs_appender_low_water_marks);

/* This transaction's mark, 0 for none, and when it was published. */
static int64 my_mark = 0;
static TimestampTz my_since = 0;

/* Where the mark is; NULL when it is an advisory lock. */
static NvsSlot *my_slot = NULL;

static void low_water_mark_lock(int64 mark);
static bool low_water_mark_read_slot(int i, int64 *mark);
static bool low_water_mark_is_lock(const LOCKTAG *tag);
static int64 low_water_mark_of_lock(const LOCKTAG *tag);
static void low_water_mark_put_slots(Tuplestorestate *result, TupleDesc desc);
static void low_water_mark_put_locks(Tuplestorestate *result, TupleDesc desc);

/* This transaction's mark; 0 when it has not appended. */
int64
nvs_low_water_mark(void)
{
	return my_mark;
}

/*
 * Publish this transaction's mark, in the process's slot or as a lock.  When
 * this returns, whoever looks for marks finds it: positions may be drawn.
 */
void
nvs_low_water_mark_publish(int64 mark, bool in_slot)
{
	my_since = GetCurrentStatementStartTimestamp();
	if (!in_slot)
		low_water_mark_lock(mark);
	else
	{
		my_slot = nvs_shmem_my_slot();
		my_slot->pid = MyProcPid;
		my_slot->since = my_since;
		pg_atomic_write_u32(&my_slot->database, MyDatabaseId);
		pg_write_barrier();
		pg_atomic_write_u64(&my_slot->low_water_mark, mark);
		pg_memory_barrier();
	}
	my_mark = mark;
}

/* Lower this transaction's mark, as somebody moved the sequence back. */
void
nvs_low_water_mark_lower(int64 mark)
{
	if (my_slot == NULL)
		low_water_mark_lock(mark);
	else
	{
		pg_atomic_write_u64(&my_slot->low_water_mark, mark);
		pg_memory_barrier();
	}
	my_mark = mark;
}

/*
 * Have an advisory lock be the mark.  A rollback to a savepoint releases locks
 * that were taken since, but positions drawn before it stay drawn: the lock is
 * therefore owned by the top-level transaction.
 */
static void
low_water_mark_lock(int64 mark)
{
	ResourceOwner old = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	nvs_lock(NVS_LOCK_LOW_WATER_MARK, (uint64) mark, ShareLock);
	CurrentResourceOwner = old;
}

/* Raise 25000 when this transaction has held readers back for too long. */
void
nvs_low_water_mark_check_age(void)
{
	if (nvs_max_append_age == 0 ||
		!TimestampDifferenceExceeds(my_since, GetCurrentTimestamp(),
									nvs_max_append_age))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			 errmsg("transaction exceeded nvent_store.max_append_age"),
			 errdetail("It first appended more than %d ms ago, and readers "
					   "have waited for it since.", nvs_max_append_age),
			 errhint("Commit in smaller transactions.")));
}

/*
 * Leave the mark with a transaction that is about to be prepared.  Raises when
 * there is no room for the lock.
 */
void
nvs_low_water_mark_before_prepare(void)
{
	if (my_slot == NULL)
		return;
	/* Counted once the lock is there: see nvs_low_water_mark_may_be_locks(). */
	low_water_mark_lock(my_mark);
	pg_atomic_fetch_add_u64(&nvs_shmem_database()->lock_marks_made, 1);
}

/*
 * Take the mark out of the slot; true if this transaction had a mark.  To be
 * called when the transaction's locks are released.  Does not raise.
 */
bool
nvs_low_water_mark_after_locks(void)
{
	bool		had_mark = my_mark != 0;

	if (my_slot != NULL)
	{
		pg_memory_barrier();
		pg_atomic_write_u64(&my_slot->low_water_mark, 0);
		/* Before wake_on_xact_end is read: see worker_nap_time(). */
		pg_memory_barrier();
	}
	my_slot = NULL;
	my_mark = 0;
	return had_mark;
}

/* Read the mark of slot i; false when it has none of our database. */
static bool
low_water_mark_read_slot(int i, int64 *mark)
{
	NvsSlot    *slot = nvs_shmem_slot(i);
	Oid			database;

	/* The slot may change hands between the two reads. */
	do
	{
		*mark = (int64) pg_atomic_read_u64(&slot->low_water_mark);
		if (*mark == 0)
			return false;
		pg_read_barrier();
		database = pg_atomic_read_u32(&slot->database);
		pg_read_barrier();
	} while ((int64) pg_atomic_read_u64(&slot->low_water_mark) != *mark);
	return database == MyDatabaseId;
}

/* The lowest mark in shared memory; PG_INT64_MAX when there is none. */
int64
nvs_low_water_mark_lowest_slot(void)
{
	int			n = nvs_shmem_slots();
	int64		lowest = PG_INT64_MAX;
	int			i;

	for (i = 0; i < n; i++)
	{
		int64		mark;

		if (low_water_mark_read_slot(i, &mark))
			lowest = Min(lowest, mark);
	}
	return lowest;
}

/*
 * May there be marks that are locks?  To be asked after the slots were read: a
 * transaction that is being prepared counts its lock before it clears its slot,
 * so who no longer finds the one is told of the other.  db is NULL where there
 * is no shared memory.
 */
bool
nvs_low_water_mark_may_be_locks(NvsDatabase *db)
{
	pg_memory_barrier();
	return db == NULL || nvs_shmem_overflowed() ||
		pg_atomic_read_u64(&db->lock_marks_made) !=
		pg_atomic_read_u64(&db->lock_marks_gone);
}

/* Is this lock a mark, of our database? */
static bool
low_water_mark_is_lock(const LOCKTAG *tag)
{
	return tag->locktag_type == LOCKTAG_ADVISORY &&
		tag->locktag_field1 == MyDatabaseId &&
		tag->locktag_field4 == NVS_LOCK_LOW_WATER_MARK;
}

/* The mark that a lock is. */
static int64
low_water_mark_of_lock(const LOCKTAG *tag)
{
	return (int64) (((uint64) tag->locktag_field2 << 32) |
					tag->locktag_field3);
}

/*
 * The marks that are locks; when there are none, db (if not NULL) is told so.
 * Copies the whole lock table, all of whose partitions are held meanwhile.
 */
NvsLockMarks
nvs_low_water_mark_locks(NvsDatabase *db)
{
	uint64		made = db == NULL ? 0 :
		pg_atomic_read_u64(&db->lock_marks_made);
	LockData   *locks = GetLockStatusData();
	NvsLockMarks marks = {0, PG_INT64_MAX};
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		const LOCKTAG *tag = &locks->locks[i].locktag;

		if (!low_water_mark_is_lock(tag))
			continue;
		marks.n++;
		marks.lowest = Min(marks.lowest, low_water_mark_of_lock(tag));
	}
	pfree(locks->locks);
	pfree(locks);
	if (marks.n == 0 && db != NULL)
		pg_atomic_write_u64(&db->lock_marks_gone, made);
	return marks;
}

/*
 * Name in the log the processes that have held readers back for longer than
 * nvent_store.max_append_age, but for those whose mark is at most warned_of.
 * Returns the highest mark of those that were ever named.
 */
int64
nvs_low_water_mark_warn_of_age(int64 warned_of, TimestampTz now)
{
	int			n = nvs_shmem_slots();
	int64		highest = warned_of;
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		int64		mark;

		if (!low_water_mark_read_slot(i, &mark) || mark <= warned_of ||
			!TimestampDifferenceExceeds(slot->since, now, nvs_max_append_age))
			continue;
		highest = Max(highest, mark);
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("process %d holds back readers of events", slot->pid),
				 errdetail("Its transaction first appended more than %d ms "
						   "ago (nvent_store.max_append_age).",
						   nvs_max_append_age)));
	}
	return highest;
}

/* nvent.appender_low_water_marks() */
Datum
nvs_appender_low_water_marks(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);

	if (nvs_shmem_available())
		low_water_mark_put_slots(result, desc);
	low_water_mark_put_locks(result, desc);
	return (Datum) 0;
}

/* Add a row to a result for each mark in shared memory. */
static void
low_water_mark_put_slots(Tuplestorestate *result, TupleDesc desc)
{
	int			n = nvs_shmem_slots();
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		int64		mark;
		Datum		values[4] = {0};
		bool		nulls[4] = {false, true, false, false};

		if (!low_water_mark_read_slot(i, &mark))
			continue;
		values[0] = Int32GetDatum(slot->pid);
		values[2] = TimestampTzGetDatum(slot->since);
		values[3] = Int64GetDatum(mark);
		tuplestore_putvalues(result, desc, values, nulls);
	}
}

/* Add a row to a result for each mark that is a lock. */
static void
low_water_mark_put_locks(Tuplestorestate *result, TupleDesc desc)
{
	LockData   *locks = GetLockStatusData();
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];
		Datum		values[4] = {0};
		bool		nulls[4] = {lock->pid == 0, false, true, false};

		if (!low_water_mark_is_lock(&lock->locktag))
			continue;
		values[0] = Int32GetDatum(lock->pid);
		values[1] = CStringGetTextDatum(nvs_lock_holder(lock));
		values[3] = Int64GetDatum(low_water_mark_of_lock(&lock->locktag));
		tuplestore_putvalues(result, desc, values, nulls);
	}
}
