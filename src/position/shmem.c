/*
 * position/shmem.c
 *	  Shared memory: a slot and a waiter per process, an entry per database.
 *
 * The segment is there when the library was preloaded; on PostgreSQL 17 and
 * later also without, made by the first backend that asks.  Whatever uses it
 * must do without it too.  After a crash of any backend it begins anew.
 *
 * A database's entry is made by the first backend that asks for it and stays
 * until the database is dropped.  When all entries are taken, further
 * databases do without shared memory.  Since they may come by an entry later,
 * low-water marks that are locks are looked for in all databases from then on.
 *
 * The header's lock guards which database has which entry, nothing else.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "base/guc.h"
#include "base/time.h"
#include "position/shmem.h"

/* One slot to a cache line, so that appenders do not disturb one another. */
typedef union PaddedSlot
{
	NvsSlot		slot;
	char		pad[PG_CACHE_LINE_SIZE];
} PaddedSlot;

/*
 * The beginning of the segment, which may lie at another address in each
 * process: parts are found by offsets.
 */
typedef struct ShmemHeader
{
	LWLock		lock;
	int			nslots;			/* and waiters */
	int			ndatabases;
	int			nprepared;
	Size		ring_size;
	LWLock		prepared_lock;	/* of the list of prepared marks */
	pg_atomic_uint32 overflowed;	/* a database found no free entry */
	pg_atomic_uint32 launcher;	/* process number + 1; 0: none is running */
	pg_atomic_uint32 staffing;	/* an NvsStaffing */
	pg_atomic_uint32 early_commits; /* see position/early_release.c */
	pg_atomic_uint32 job_waiters;	/* sessions that wait for jobs */
	Size		slots_offset;
	Size		waiters_offset;
	Size		job_waiters_offset;
	Size		databases_offset;
	Size		prepared_offset;
	Size		hints_offset;
	Size		counts_offset;
} ShmemHeader;

#define WAITER_SIZE		CACHELINEALIGN(sizeof(NvsWaiter))
#define DATABASE_SIZE	CACHELINEALIGN(sizeof(NvsDatabase))

/* Close together: committers look through all of them. */
#define JOB_WAITERS_SIZE(n)	CACHELINEALIGN(sizeof(NvsJobWaiter) * (n))

/* Marks of prepared transactions that there is room for, and their bytes. */
#define NPREPARED		(max_prepared_xacts * NVS_SLOT_MARKS + 16)
#define PREPARED_SIZE	CACHELINEALIGN(sizeof(NvsPrepared) * NPREPARED)

/* Hints that there is room for, and their bytes. */
#define NHINTS			1024
#define HINTS_SIZE		CACHELINEALIGN(sizeof(NvsHint) * NHINTS)

/* Bytes of the counts of queues. */
#define COUNTS_SIZE \
	CACHELINEALIGN(offsetof(NvsCountTable, slots) + \
				   sizeof(NvsCountSlot) * MaxBackends)

/* To be raised when the segment's parts change. */
#define SEGMENT_LAYOUT	5

static ShmemHeader *header = NULL;

/* Our database's entry, once it was found. */
static NvsDatabase *my_database = NULL;

static Size shmem_segment_size(void);
static void shmem_init_segment(void *pointer);
static bool shmem_attach(void);
static void shmem_init_slot(NvsSlot *slot, int tranche);
static void shmem_init_counts(NvsCountTable *table, int tranche);
static void shmem_init_database(NvsDatabase *db);
static NvsDatabase *shmem_find_database(Oid oid, bool make);
static void shmem_set_latch(uint32 number);

#ifndef NVS_NAMED_SEGMENTS
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void shmem_request_segment(void);
static void shmem_startup_segment(void);
#endif

/* Ask for the segment where it takes the postmaster to do so. */
void
nvs_shmem_init(void)
{
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	nvs_worker_possible = true;
#ifndef NVS_NAMED_SEGMENTS
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request_segment;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup_segment;
#endif
}

/* Bytes of the segment. */
static Size
shmem_segment_size(void)
{
	Size		size = CACHELINEALIGN(sizeof(ShmemHeader));

	size = add_size(size, mul_size(sizeof(PaddedSlot), MaxBackends));
	size = add_size(size, mul_size(WAITER_SIZE, MaxBackends));
	size = add_size(size, JOB_WAITERS_SIZE(MaxBackends));
	size = add_size(size, mul_size(DATABASE_SIZE, nvs_max_databases));
	size = add_size(size, PREPARED_SIZE);
	size = add_size(size, HINTS_SIZE);
	size = add_size(size, COUNTS_SIZE);
	size = add_size(size, mul_size((Size) nvs_ring_size * 1024,
								   nvs_max_databases));
	return size;
}

/* Set up a fresh segment. */
static void
shmem_init_segment(void *pointer)
{
	ShmemHeader *h = pointer;
	int			tranche = LWLockNewTrancheId();
	Size		rings_offset;
	int			i;

	/* The header. */
	memset(h, 0, shmem_segment_size());
	LWLockInitialize(&h->lock, tranche);
	LWLockInitialize(&h->prepared_lock, tranche);
	h->nslots = MaxBackends;
	h->ndatabases = nvs_max_databases;
	h->nprepared = NPREPARED;
	h->ring_size = (Size) nvs_ring_size * 1024;
	pg_atomic_init_u32(&h->overflowed, 0);
	pg_atomic_init_u32(&h->launcher, 0);
	pg_atomic_init_u32(&h->staffing, NVS_STAFF_NONE);
	pg_atomic_init_u32(&h->early_commits, 0);
	pg_atomic_init_u32(&h->job_waiters, 0);
	h->slots_offset = CACHELINEALIGN(sizeof(ShmemHeader));
	h->waiters_offset = h->slots_offset + sizeof(PaddedSlot) * h->nslots;
	h->job_waiters_offset = h->waiters_offset + WAITER_SIZE * h->nslots;
	h->databases_offset = h->job_waiters_offset + JOB_WAITERS_SIZE(h->nslots);
	h->prepared_offset = h->databases_offset + DATABASE_SIZE * h->ndatabases;
	h->hints_offset = h->prepared_offset + PREPARED_SIZE;
	h->counts_offset = h->hints_offset + HINTS_SIZE;
	rings_offset = h->counts_offset + COUNTS_SIZE;

	/* The parts, which are found by the header. */
	header = h;
	for (i = 0; i < h->nslots; i++)
	{
		shmem_init_slot(nvs_shmem_slot(i), tranche);
		pg_atomic_init_u64(&nvs_shmem_waiter(i)->generation, 0);
		pg_atomic_init_u64(&nvs_shmem_waiter(i)->wake_at, 0);
		pg_atomic_init_u32(&nvs_shmem_waiter(i)->store, 0);
		pg_atomic_init_u64(&nvs_shmem_job_waiter(i)->queue, 0);
		pg_atomic_init_u64(&nvs_shmem_job_waiter(i)->looks_at, 0);
		pg_atomic_init_u32(&nvs_shmem_job_waiter(i)->database, InvalidOid);
	}
	for (i = 0; i < NHINTS; i++)
		SpinLockInit(&((NvsHint *) ((char *) h + h->hints_offset))[i].mutex);
	shmem_init_counts(nvs_shmem_counts(), tranche);
	for (i = 0; i < h->ndatabases; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);

		SpinLockInit(&db->mutex);
		LWLockInitialize(&db->ring_lock, tranche);
		db->ring_offset = rings_offset + h->ring_size * i;
		shmem_init_database(db);
	}
}

/* Set up a process's slot. */
static void
shmem_init_slot(NvsSlot *slot, int tranche)
{
	int			i;

	LWLockInitialize(&slot->lock, tranche);
	for (i = 0; i < NVS_SLOT_MARKS; i++)
	{
		pg_atomic_init_u64(&slot->marks[i], 0);
		pg_atomic_init_u32(&slot->stores[i], 0);
	}
	pg_atomic_init_u32(&slot->database, InvalidOid);
	pg_atomic_init_u64(&slot->pass_at, 0);
}

/* Set up the counts of queues, of which there are none. */
static void
shmem_init_counts(NvsCountTable *table, int tranche)
{
	int			i;
	int			k;

	LWLockInitialize(&table->lock, tranche);
	pg_atomic_init_u64(&table->changes, 0);
	for (i = 0; i < NVS_COUNT_QUEUES; i++)
		for (k = 0; k < NVS_COUNTS; k++)
			pg_atomic_init_u64(&table->queues[i].counts[k], 0);
}

/* Set up a database's entry, new or freed, but for its locks and its ring. */
static void
shmem_init_database(NvsDatabase *db)
{
	int			i;

	db->oid = InvalidOid;
	db->sequence = InvalidOid;
	pg_atomic_init_u64(&db->drawn, 0);

	/* Prepared transactions may have left locks: have them looked for. */
	pg_atomic_init_u64(&db->lock_marks_made, 1);
	pg_atomic_init_u64(&db->lock_marks_gone, 0);
	pg_atomic_init_u32(&db->prepared_listed, 0);
	pg_atomic_init_u64(&db->prepared_missed, 0);

	/* No process of ours is there, and none is to wait or to leave. */
	for (i = 0; i < NVS_PROCESS_KINDS; i++)
	{
		pg_atomic_init_u32(&db->processes[i].number, 0);
		pg_atomic_init_u32(&db->processes[i].leaves, 0);
	}
	pg_atomic_init_u32(&db->wake_on_xact_end, 1);
	pg_atomic_init_u32(&db->holds, 0);
	pg_atomic_init_u64(&db->next_visit, 0);
	pg_atomic_init_u32(&db->maintained, 0);
	pg_atomic_init_u32(&db->maintaining, 0);
	pg_atomic_init_u32(&db->waiters, 0);
	pg_atomic_init_u64(&db->waiter_changes, 0);

	/* What has happened, and what was told of it: nothing. */
	pg_atomic_init_u64(&db->ring_head, 0);
	pg_atomic_init_u64(&db->ring_told, 0);
	pg_atomic_init_u64(&db->resyncs, 0);
	pg_atomic_init_u64(&db->resyncs_told, 0);
	pg_atomic_init_u64(&db->unannounced, 0);
	pg_atomic_init_u64(&db->unannounced_told, 0);
	pg_atomic_init_u64(&db->published, 0);
	db->ring_tail = 0;
}

#ifdef NVS_NAMED_SEGMENTS

/*
 * Map the segment, made on first use; false in binary upgrades.  Allocates.  It
 * lives as long as the server: a library of another layout makes its own.
 */
static bool
shmem_attach(void)
{
	bool		found;
	char		name[NAMEDATALEN];

	if (header == NULL && !IsBinaryUpgrade)
	{
		snprintf(name, sizeof(name), "nvent_store %d %zu", SEGMENT_LAYOUT,
				 shmem_segment_size());
		header = nvs_named_segment(name, shmem_segment_size(),
								   shmem_init_segment, &found);
		LWLockRegisterTranche(header->lock.tranche, "nvent_store");
	}
	return header != NULL;
}

#else

/* Reserve the segment's bytes. */
static void
shmem_request_segment(void)
{
	if (prev_shmem_request_hook != NULL)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(shmem_segment_size());
}

/* Make or map the segment; runs again after a crash of some backend. */
static void
shmem_startup_segment(void)
{
	bool		found;

	if (prev_shmem_startup_hook != NULL)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	header = ShmemInitStruct("nvent_store", shmem_segment_size(), &found);
	if (!found)
		shmem_init_segment(header);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(header->lock.tranche, "nvent_store");
}

/* Is the segment there? */
static bool
shmem_attach(void)
{
	return header != NULL;
}

#endif

/* Is there shared memory?  Maps it where that takes asking. */
bool
nvs_shmem_available(void)
{
	return shmem_attach();
}

/* Has any database ever had to do without an entry? */
bool
nvs_shmem_overflowed(void)
{
	return pg_atomic_read_u32(&header->overflowed) != 0;
}

/*
 * How many transactions release their locks early and are not durable yet, all
 * databases together; counted before they are visible.
 */
pg_atomic_uint32 *
nvs_shmem_early_commits(void)
{
	return &header->early_commits;
}

/* How many slots there are, one for each process that may run queries. */
int
nvs_shmem_slots(void)
{
	return header->nslots;
}

/* Slot of the process with this number. */
NvsSlot *
nvs_shmem_slot(int i)
{
	PaddedSlot *slots = (PaddedSlot *) ((char *) header +
										header->slots_offset);

	return &slots[i].slot;
}

/* Slot of this process; NULL when it has none. */
NvsSlot *
nvs_shmem_my_slot(void)
{
	int			i = nvs_my_proc_number();

	return i < header->nslots ? nvs_shmem_slot(i) : NULL;
}

/* What the process with this number waits for. */
NvsWaiter *
nvs_shmem_waiter(int i)
{
	return (NvsWaiter *) ((char *) header + header->waiters_offset +
						  WAITER_SIZE * i);
}

/* What job the process with this number waits for. */
NvsJobWaiter *
nvs_shmem_job_waiter(int i)
{
	return &((NvsJobWaiter *) ((char *) header +
							   header->job_waiters_offset))[i];
}

/* How many sessions wait for jobs, in all databases. */
pg_atomic_uint32 *
nvs_shmem_job_waiters(void)
{
	return &header->job_waiters;
}

/* How many entries there are for databases. */
int
nvs_shmem_databases(void)
{
	return header->ndatabases;
}

/* Entry i of the databases. */
NvsDatabase *
nvs_shmem_database_entry(int i)
{
	return (NvsDatabase *) ((char *) header + header->databases_offset +
							DATABASE_SIZE * i);
}

/* The hints, and how many there are; NULL without shared memory. */
NvsHint *
nvs_shmem_hints(int *n)
{
	if (!nvs_shmem_available())
		return NULL;
	*n = NHINTS;
	return (NvsHint *) ((char *) header + header->hints_offset);
}

/* The counts of queues, where there is shared memory. */
NvsCountTable *
nvs_shmem_counts(void)
{
	return (NvsCountTable *) ((char *) header + header->counts_offset);
}

/* The list of marks of prepared transactions, and how many it has room for. */
NvsPrepared *
nvs_shmem_prepared(int *size)
{
	*size = header->nprepared;
	return (NvsPrepared *) ((char *) header + header->prepared_offset);
}

/* The lock of that list. */
LWLock *
nvs_shmem_prepared_lock(void)
{
	return &header->prepared_lock;
}

/* A database's ring and its size in bytes. */
char *
nvs_shmem_ring(NvsDatabase *db, Size *size)
{
	*size = header->ring_size;
	return (char *) header + db->ring_offset;
}

/*
 * The entry of our database, made on first use; NULL when there is no shared
 * memory or no free entry.
 */
NvsDatabase *
nvs_shmem_database(void)
{
	if (my_database == NULL && shmem_attach() && nvs_shmem_my_slot() != NULL)
		my_database = shmem_find_database(MyDatabaseId, true);
	return my_database;
}

/*
 * The entry of our database if nvs_shmem_database() has found it before, else
 * NULL.  Neither raises nor allocates.
 */
NvsDatabase *
nvs_shmem_known_database(void)
{
	return my_database;
}

/*
 * The entry of a database, NULL when it has none; with make one is made, unless
 * all are taken.
 */
static NvsDatabase *
shmem_find_database(Oid oid, bool make)
{
	NvsDatabase *found = NULL;
	NvsDatabase *spare = NULL;
	int			i;

	LWLockAcquire(&header->lock, make ? LW_EXCLUSIVE : LW_SHARED);
	for (i = 0; i < header->ndatabases && found == NULL; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);

		if (db->oid == oid)
			found = db;
		else if (db->oid == InvalidOid && spare == NULL)
			spare = db;
	}
	if (found == NULL && make && spare != NULL)
	{
		found = spare;
		found->oid = oid;
	}
	if (found == NULL && make)
		pg_atomic_write_u32(&header->overflowed, 1);
	LWLockRelease(&header->lock);
	return found;
}

/* The entry of any database; NULL when it has none. */
NvsDatabase *
nvs_shmem_find_database(Oid oid)
{
	return shmem_attach() ? shmem_find_database(oid, false) : NULL;
}

/* Free the entry of a database that was dropped; nobody is connected to it. */
void
nvs_shmem_free_database(Oid oid)
{
	NvsDatabase *db = nvs_shmem_find_database(oid);

	if (db == NULL)
		return;
	LWLockAcquire(&header->lock, LW_EXCLUSIVE);
	if (db->oid == oid)
		shmem_init_database(db);
	LWLockRelease(&header->lock);
}

/* Set the latch of a process given as number + 1; does nothing for 0. */
static void
shmem_set_latch(uint32 number)
{
	if (number > 0)
		SetLatch(&GetPGProcByNumber(number - 1)->procLatch);
}

/*
 * Is there anything that has happened in a database and of which not everybody
 * has been told?
 */
bool
nvs_shmem_is_untold(NvsDatabase *db)
{
	return pg_atomic_read_u64(&db->ring_head) !=
		pg_atomic_read_u64(&db->ring_told) ||
		pg_atomic_read_u64(&db->resyncs) !=
		pg_atomic_read_u64(&db->resyncs_told) ||
		pg_atomic_read_u64(&db->unannounced) !=
		pg_atomic_read_u64(&db->unannounced_told);
}

/* Has a database work for a notifier, or will it have when appenders end? */
bool
nvs_shmem_wants_notifier(NvsDatabase *db)
{
	return nvs_shmem_is_untold(db) ||
		pg_atomic_read_u32(&db->waiters) > 0 ||
		(nvs_publish_interval > 0 &&
		 pg_atomic_read_u64(&db->drawn) !=
		 pg_atomic_read_u64(&db->published));
}

/* Is a database's notifier there, or could one be started? */
bool
nvs_shmem_has_notifier(NvsDatabase *db)
{
	return pg_atomic_read_u32(&db->processes[NVS_NOTIFIER].number) != 0 ||
		nvs_shmem_staffing() == NVS_STAFF_FREE;
}

/* Let others know who is the launcher; -1 when it ends. */
void
nvs_shmem_set_launcher(int number)
{
	pg_atomic_write_u32(&header->launcher, number + 1);
}

/* For the launcher: let others know whether it can start processes. */
void
nvs_shmem_set_staffing(NvsStaffing staffing)
{
	pg_atomic_write_u32(&header->staffing, staffing);
}

/* Can the launcher start processes? */
NvsStaffing
nvs_shmem_staffing(void)
{
	return pg_atomic_read_u32(&header->staffing);
}

/* Set the latch of a process. */
void
nvs_shmem_wake_process(int number)
{
	shmem_set_latch(number + 1);
}

/* Set the latch of a database's process of this kind, if there is one. */
void
nvs_shmem_wake_kind(NvsDatabase *db, NvsProcessKind kind)
{
	shmem_set_latch(pg_atomic_read_u32(&db->processes[kind].number));
}

/* Have the launcher look around.  Neither raises nor allocates. */
void
nvs_shmem_wake_launcher(void)
{
	shmem_set_latch(pg_atomic_read_u32(&header->launcher));
}

/*
 * Have maintenance come to a database, unless it is going to by itself.
 * Neither raises nor allocates.
 */
void
nvs_shmem_ask_for_visit(NvsDatabase *db)
{
	uint64		never = 0;

	if (pg_atomic_compare_exchange_u64(&db->next_visit, &never,
									   nvs_uptime()))
		nvs_shmem_wake_launcher();
}

/*
 * Have a database's notifier look around, or one started if it is wanted.  What
 * it is to find must have been written before.  Neither raises nor allocates.
 */
void
nvs_shmem_wake_notifier(NvsDatabase *db)
{
	pg_memory_barrier();
	if (pg_atomic_read_u32(&db->processes[NVS_NOTIFIER].number) != 0)
		nvs_shmem_wake_kind(db, NVS_NOTIFIER);
	else if (nvs_shmem_wants_notifier(db))
		nvs_shmem_wake_launcher();
}
