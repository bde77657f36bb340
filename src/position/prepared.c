/*
 * position/prepared.c
 *	  A list of the low-water marks of prepared transactions, in shared memory.
 *
 * Such a mark is a lock, which survives a crash with its transaction and goes
 * with it, telling nobody.  To look for marks among all locks means to copy the
 * whole lock table.  So they are listed as well, and who reads the list asks of
 * each whether its lock is still there.
 *
 * The list is complete for a database once all locks were looked through, as
 * the first reader does after a server start; who prepares a transaction adds
 * its marks.  Where there is no room for one it is not complete any more.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/lwlock.h"

#include "base/advisory.h"
#include "position/internal.h"

static bool prepared_is_open(const NvsPrepared *entry);
static bool prepared_insert(uint32 store, int64 position);
static void prepared_add_locks(NvsMarks *marks);
static void prepared_add_list(NvsMarks *marks);
static void prepared_fill(NvsMarks *marks, NvsDatabase *db);

/*
 * List a mark of a transaction that is being prepared.  Its lock must be held,
 * and it must be listed before it is taken out of its slot.
 */
void
nvs_prepared_add(NvsDatabase *db, uint32 store, int64 position)
{
	LWLock	   *lock = nvs_shmem_prepared_lock();

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (!prepared_insert(store & NVS_STORE_BITS, position))
	{
		pg_atomic_fetch_add_u64(&db->prepared_missed, 1);
		pg_atomic_write_u32(&db->prepared_listed, 0);
	}
	LWLockRelease(lock);
	pg_atomic_fetch_add_u64(&db->lock_marks_made, 1);
}

/*
 * Add the marks of our database that are locks; when there are none, db is told
 * so.  db is NULL where there is no shared memory.
 */
void
nvs_prepared_add_marks(NvsMarks *marks, NvsDatabase *db)
{
	int			before = marks->n;
	uint64		made;

	if (db == NULL || nvs_shmem_overflowed())
	{
		prepared_add_locks(marks);
		return;
	}
	made = pg_atomic_read_u64(&db->lock_marks_made);
	pg_read_barrier();
	if (pg_atomic_read_u32(&db->prepared_listed) != 0)
		prepared_add_list(marks);
	else
		prepared_fill(marks, db);
	if (marks->n == before)
		pg_atomic_write_u64(&db->lock_marks_gone, made);
}

/* Is this lock a mark, of our database?  Then which. */
bool
nvs_prepared_is_mark(const LOCKTAG *tag, NvsMark *mark)
{
	if (tag->locktag_type != LOCKTAG_ADVISORY ||
		tag->locktag_field1 != MyDatabaseId ||
		(tag->locktag_field4 & ~NVS_STORE_BITS) != NVS_LOCK_LOW_WATER_MARK)
		return false;
	mark->store = tag->locktag_field4 & NVS_STORE_BITS;
	mark->position = (int64) (((uint64) tag->locktag_field2 << 32) |
							  tag->locktag_field3);
	return true;
}

/*
 * Add the marks among all locks.  Copies the whole lock table, all of whose
 * partitions are held meanwhile.
 */
static void
prepared_add_locks(NvsMarks *marks)
{
	LockData   *locks = GetLockStatusData();
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		NvsMark		mark;

		if (nvs_prepared_is_mark(&locks->locks[i].locktag, &mark))
			nvs_marks_add(marks, mark.store, mark.position);
	}
	pfree(locks->locks);
	pfree(locks);
}

/* Add the marks that are listed and whose locks are still there. */
static void
prepared_add_list(NvsMarks *marks)
{
	LWLock	   *lock = nvs_shmem_prepared_lock();
	int			size;
	NvsPrepared *list = nvs_shmem_prepared(&size);
	NvsMarks	found;
	int			i;

	/* Nothing is allocated, nor can fail, while the lock is held. */
	nvs_marks_init(&found, CurrentMemoryContext);
	nvs_marks_reserve(&found, size);
	LWLockAcquire(lock, LW_SHARED);
	for (i = 0; i < size; i++)
		if (list[i].position != 0 && list[i].database == MyDatabaseId &&
			prepared_is_open(&list[i]))
			nvs_marks_add(&found, list[i].store, list[i].position);
	LWLockRelease(lock);
	nvs_marks_add_all(marks, &found);
	pfree(found.list);
}

/*
 * Look for the marks among all locks, and list them.  Those of transactions
 * that are being prepared meanwhile list themselves; when one of them finds no
 * room, the list is not complete.
 */
static void
prepared_fill(NvsMarks *marks, NvsDatabase *db)
{
	LWLock	   *lock = nvs_shmem_prepared_lock();
	NvsMarks	found;
	uint64		missed = pg_atomic_read_u64(&db->prepared_missed);
	bool		complete = true;
	int			i;

	pg_memory_barrier();
	nvs_marks_init(&found, CurrentMemoryContext);
	prepared_add_locks(&found);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (i = 0; i < found.n; i++)
		complete = prepared_insert(found.list[i].store,
								   found.list[i].position) && complete;
	if (complete && pg_atomic_read_u64(&db->prepared_missed) == missed)
		pg_atomic_write_u32(&db->prepared_listed, 1);
	LWLockRelease(lock);
	nvs_marks_add_all(marks, &found);
}

/* Is the lock of a listed mark still there? */
static bool
prepared_is_open(const NvsPrepared *entry)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, entry->database,
						 (uint32) ((uint64) entry->position >> 32),
						 (uint32) entry->position,
						 NVS_LOCK_LOW_WATER_MARK | entry->store);
	return LockWaiterCount(&tag) > 0;
}

/*
 * List a mark of our database, unless it is there, in a free place or in that
 * of one that is over; false when there is none.  The lock must be held.
 */
static bool
prepared_insert(uint32 store, int64 position)
{
	int			size;
	NvsPrepared *list = nvs_shmem_prepared(&size);
	NvsPrepared *spare = NULL;
	int			i;

	for (i = 0; i < size; i++)
	{
		NvsPrepared *entry = &list[i];

		if (entry->position == position && entry->store == store &&
			entry->database == MyDatabaseId)
			return true;
		if (spare == NULL &&
			(entry->position == 0 || !prepared_is_open(entry)))
			spare = entry;
	}
	if (spare == NULL)
		return false;
	spare->database = MyDatabaseId;
	spare->store = store;
	spare->position = position;
	return true;
}
