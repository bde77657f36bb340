/*
 * position/low_water_mark.c
 *	  Low-water marks: none of an open appender's positions in a store is below
 *	  its mark for the store.
 *
 * Marks are numbers in the process's slot of shared memory.  Where there is no
 * shared memory, and for prepared transactions, which have no process, each is
 * a transaction-level advisory lock whose tag is the mark and the low bits of
 * the store's number: the lock survives a crash with the prepared transaction
 * and goes with it.  It is a share lock, as marks of several transactions may
 * be equal.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
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

/* This transaction's marks, and when the first was published. */
static NvsMark my_marks[NVS_SLOT_MARKS];
static int	my_nmarks = 0;
static TimestampTz my_since = 0;

/* Where the marks are; NULL when they are advisory locks. */
static NvsSlot *my_slot = NULL;

static int	low_water_mark_place(uint32 *store, int64 *mark);
static void low_water_mark_write(int i, uint32 store, int64 mark);
static void low_water_mark_lock(uint32 store, int64 mark);
static int	low_water_mark_read_slot(NvsSlot *slot, NvsMark *marks);
static bool low_water_mark_pass(NvsSlot *slot);
static bool low_water_mark_terminate(NvsSlot *slot, TimestampTz now);
static void low_water_mark_report_age(int pid, bool ended);
static void low_water_mark_put_slots(Tuplestorestate *result, TupleDesc desc);
static void low_water_mark_put_locks(Tuplestorestate *result, TupleDesc desc);

/* Does this transaction hold back the readers of a store? */
bool
nvs_low_water_mark_holds(uint32 store)
{
	int			i;

	for (i = 0; i < my_nmarks; i++)
		if (my_marks[i].store == store || my_marks[i].store == 0)
			return true;
	return false;
}

/* The last mark that this transaction published; 0 when there is none. */
int64
nvs_low_water_mark_last(void)
{
	return my_nmarks == 0 ? 0 : my_marks[my_nmarks - 1].position;
}

/*
 * Publish this transaction's mark for a store, in the process's slot or as a
 * lock.  When this returns, whoever looks for marks of the store finds it:
 * positions may be drawn.
 */
void
nvs_low_water_mark_publish(uint32 store, int64 mark, bool in_slot)
{
	int			i;

	if (my_nmarks == 0)
	{
		my_since = GetCurrentStatementStartTimestamp();
		my_slot = in_slot ? nvs_shmem_my_slot() : NULL;
	}
	i = low_water_mark_place(&store, &mark);
	if (my_slot == NULL)
		low_water_mark_lock(store, mark);
	else
		low_water_mark_write(i, store, mark);
	my_marks[i].store = store;
	my_marks[i].position = mark;
	my_nmarks = Max(my_nmarks, i + 1);
}

/*
 * Where to put a mark.  When there is no room for one more, the last becomes
 * one of any store, and stays as low as it is.
 */
static int
low_water_mark_place(uint32 *store, int64 *mark)
{
	if (my_nmarks < NVS_SLOT_MARKS)
		return my_nmarks;
	*store = 0;
	*mark = my_marks[NVS_SLOT_MARKS - 1].position;
	return NVS_SLOT_MARKS - 1;
}

/* Have mark i of our slot be this one. */
static void
low_water_mark_write(int i, uint32 store, int64 mark)
{
	if (i == 0)
	{
		my_slot->pid = MyProcPid;
		my_slot->since = my_since;
		pg_atomic_write_u32(&my_slot->database, MyDatabaseId);
	}
	pg_atomic_write_u32(&my_slot->stores[i], store);
	pg_write_barrier();
	pg_atomic_write_u64(&my_slot->marks[i], mark);
	pg_memory_barrier();
}

/*
 * Have an advisory lock be the mark.  A rollback to a savepoint releases locks
 * that were taken since, but positions drawn before it stay drawn: the lock is
 * therefore owned by the top-level transaction.
 */
static void
low_water_mark_lock(uint32 store, int64 mark)
{
	ResourceOwner old = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	nvs_lock(NVS_LOCK_LOW_WATER_MARK | (store & NVS_STORE_BITS),
			 (uint64) mark, ShareLock);
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
 * Leave the marks with a transaction that is about to be prepared.  Raises when
 * there is no room for the locks.
 */
void
nvs_low_water_mark_before_prepare(void)
{
	int			i;

	if (my_slot == NULL)
		return;
	for (i = 0; i < my_nmarks; i++)
	{
		low_water_mark_lock(my_marks[i].store, my_marks[i].position);
		/* Counted once it is there: see nvs_low_water_mark_may_be_locks(). */
		nvs_prepared_add(nvs_shmem_database(), my_marks[i].store,
						 my_marks[i].position);
	}
}

/* Are this transaction's marks locks, which go when all its locks go? */
bool
nvs_low_water_mark_is_lock(void)
{
	return my_nmarks != 0 && my_slot == NULL;
}

/*
 * From now on the marks may be passed once the log is flushed up to here, where
 * this transaction has committed: its rows are visible, and others have been
 * told what it changed in the catalogs.  Does not raise.
 */
void
nvs_low_water_mark_pass_at(XLogRecPtr lsn)
{
	if (my_slot != NULL)
		pg_atomic_write_u64(&my_slot->pass_at, lsn);
}

/*
 * Take the marks out of the slot; true if this transaction had any.  To be
 * called when the transaction's locks are released and it is as durable as it
 * is to be.  Does not raise.
 */
bool
nvs_low_water_mark_after_locks(void)
{
	bool		had_mark = my_nmarks != 0;
	int			i;

	if (my_slot != NULL)
	{
		LWLockAcquire(&my_slot->lock, LW_EXCLUSIVE);
		pg_atomic_write_u64(&my_slot->pass_at, 0);
		for (i = 0; i < my_nmarks; i++)
			pg_atomic_write_u64(&my_slot->marks[i], 0);
		LWLockRelease(&my_slot->lock);
		/* Before wake_on_xact_end is read: see notifier_nap_time(). */
		pg_memory_barrier();
	}
	my_slot = NULL;
	my_nmarks = 0;
	return had_mark;
}

/*
 * Read the marks of a slot; returns how many there are of our database.
 *
 * Who looks for marks has noted the highest position drawn.  Those of a
 * transaction that had drawn by then are here and do not change, except that
 * the last may become one of any store, for a position above the note.  Other
 * marks may come and go as they are read: it does not matter what they are
 * taken for, but a mark of another database would be much too low.
 */
static int
low_water_mark_read_slot(NvsSlot *slot, NvsMark *marks)
{
	int64		first;
	Oid			database;
	int			n;

	do
	{
		first = (int64) pg_atomic_read_u64(&slot->marks[0]);
		if (first == 0)
			return 0;
		pg_read_barrier();
		database = pg_atomic_read_u32(&slot->database);
		for (n = 0; n < NVS_SLOT_MARKS; n++)
		{
			marks[n].position = (int64) pg_atomic_read_u64(&slot->marks[n]);
			if (marks[n].position == 0)
				break;
			pg_read_barrier();
			marks[n].store = pg_atomic_read_u32(&slot->stores[n]);
		}
		pg_read_barrier();
	} while ((int64) pg_atomic_read_u64(&slot->marks[0]) != first);
	return database == MyDatabaseId ? n : 0;
}

/*
 * The lowest mark in shared memory that holds back readers of a store;
 * PG_INT64_MAX when there is none.  What is visible holds back nobody as soon
 * as it is durable, though its backend may have yet to notice.
 */
int64
nvs_low_water_mark_lowest_slot(uint32 store)
{
	int			nslots = nvs_shmem_slots();
	int64		lowest = PG_INT64_MAX;
	int			i;

	for (i = 0; i < nslots; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		NvsMark		marks[NVS_SLOT_MARKS];
		int			n = low_water_mark_read_slot(slot, marks);
		int64		mine = PG_INT64_MAX;

		while (n-- > 0)
			if (nvs_mark_holds(marks[n].store, store))
				mine = Min(mine, marks[n].position);
		if (mine < lowest && !low_water_mark_pass(slot))
			lowest = mine;
	}
	return lowest;
}

/*
 * May the marks of a slot, which were read, be passed?  Not while the log has
 * yet to be flushed: whoever committed is waiting for that already, and it
 * takes a reader as long.  When the answer is of a later transaction in the
 * slot, the one whose marks were read has ended, and the later one's positions
 * are above what the reader has noted.
 */
static bool
low_water_mark_pass(NvsSlot *slot)
{
	XLogRecPtr	pass_at;

	pg_read_barrier();
	pass_at = pg_atomic_read_u64(&slot->pass_at);
	return pass_at != 0 && pass_at <= GetFlushRecPtr(NULL);
}

/* Add the marks in shared memory. */
void
nvs_low_water_mark_add_slots(NvsMarks *marks)
{
	int			nslots = nvs_shmem_slots();
	int			i;

	for (i = 0; i < nslots; i++)
	{
		NvsMark		found[NVS_SLOT_MARKS];
		int			n = low_water_mark_read_slot(nvs_shmem_slot(i), found);

		while (n-- > 0)
			nvs_marks_add(marks, found[n].store, found[n].position);
	}
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

/*
 * Deal with the processes that have held readers back for longer than
 * nvent_store.max_append_age.  They are named in the log, but for those whose
 * mark is at most warned_of, and ended where nvent_store.max_append_age_action
 * says so.  Returns the highest mark of those that were ever named.
 */
int64
nvs_low_water_mark_check_ages(int64 warned_of, TimestampTz now)
{
	int			n = nvs_shmem_slots();
	int64		highest = warned_of;
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		NvsMark		marks[NVS_SLOT_MARKS];
		bool		ended;

		if (low_water_mark_read_slot(slot, marks) == 0 ||
			!TimestampDifferenceExceeds(slot->since, now, nvs_max_append_age))
			continue;
		ended = nvs_max_append_age_action == NVS_APPEND_AGE_TERMINATE &&
			low_water_mark_terminate(slot, now);
		if (ended || marks[0].position > warned_of)
			low_water_mark_report_age(slot->pid, ended);
		highest = Max(highest, marks[0].position);
	}
	return highest;
}

/*
 * End the session whose transaction has held readers back for too long; false
 * when that is over.  While we hold the slot's lock it cannot be: it is this
 * transaction and no later one that is ended, nor another process of its id.
 */
static bool
low_water_mark_terminate(NvsSlot *slot, TimestampTz now)
{
	NvsMark		marks[NVS_SLOT_MARKS];
	bool		open;

	LWLockAcquire(&slot->lock, LW_SHARED);
	open = low_water_mark_read_slot(slot, marks) > 0 &&
		TimestampDifferenceExceeds(slot->since, now, nvs_max_append_age) &&
		slot->pid != MyProcPid && kill(slot->pid, SIGTERM) == 0;
	LWLockRelease(&slot->lock);
	return open;
}

/* Name in the log a process that has held readers back for too long. */
static void
low_water_mark_report_age(int pid, bool ended)
{
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			 ended ?
			 errmsg("terminating process %d, which holds back readers of "
					"events", pid) :
			 errmsg("process %d holds back readers of events", pid),
			 errdetail("Its transaction first appended more than %d ms ago "
					   "(nvent_store.max_append_age).",
					   nvs_max_append_age)));
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
	int			nslots = nvs_shmem_slots();
	int			i;

	for (i = 0; i < nslots; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);
		NvsMark		marks[NVS_SLOT_MARKS];
		int			n = low_water_mark_read_slot(slot, marks);

		while (n-- > 0)
		{
			Datum		values[5] = {0};
			bool		nulls[5] = {false, true, false, false, false};

			values[0] = Int32GetDatum(slot->pid);
			values[2] = TimestampTzGetDatum(slot->since);
			values[3] = Int32GetDatum((int32) marks[n].store);
			values[4] = Int64GetDatum(marks[n].position);
			tuplestore_putvalues(result, desc, values, nulls);
		}
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
		Datum		values[5] = {0};
		bool		nulls[5] = {lock->pid == 0, false, true, false, false};
		NvsMark		mark;

		if (!nvs_prepared_is_mark(&lock->locktag, &mark))
			continue;
		values[0] = Int32GetDatum(lock->pid);
		values[1] = CStringGetTextDatum(nvs_lock_holder(lock));
		values[3] = Int32GetDatum((int32) mark.store);
		values[4] = Int64GetDatum(mark.position);
		tuplestore_putvalues(result, desc, values, nulls);
	}
}
