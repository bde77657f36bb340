/*
 * shmem.c
 *	  Shared memory: a slot per backend, an entry per database.
 *
 * It is there when the library was preloaded; on PostgreSQL 17 and later also
 * without, made by the first backend that asks.  Whatever uses it must do
 * without it too.  After a crash of any backend all of it begins anew.
 *
 * A database's entry is made by the first backend that asks for it and stays
 * until the database is dropped.  When all entries are taken, further
 * databases do without shared memory, and since they may come by an entry
 * later, what they leave in the lock table is looked for ever after.
 *
 * The header's lock guards which database has which entry, nothing else.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "miscadmin.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

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
typedef struct Header
{
	LWLock		lock;
	int			nslots;
	int			ndatabases;
	pg_atomic_uint32 overflowed;	/* a database found no free entry */
	Size		slots_offset;
	Size		databases_offset;
} Header;

static Header *header = NULL;

/* Our database's entry, once it was found. */
static NvsDatabase *my_database = NULL;

static Size segment_size(void);
static void init_segment(void *pointer);
static bool attach(void);
static NvsDatabase *database_entry(int i);
static NvsDatabase *find_database(Oid oid, bool make);

#ifndef NVS_NAMED_SEGMENTS
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void request_segment(void);
static void startup_segment(void);
#endif

/* Ask for the segment; in the postmaster only. */
void
nvs_shmem_init(void)
{
#ifndef NVS_NAMED_SEGMENTS
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_segment;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_segment;
#endif
}

/* Bytes of the segment. */
static Size
segment_size(void)
{
	Size		size = CACHELINEALIGN(sizeof(Header));

	size = add_size(size, mul_size(sizeof(PaddedSlot), MaxBackends));
	size = add_size(size, mul_size(CACHELINEALIGN(sizeof(NvsDatabase)),
								   nvs_max_databases));
	return size;
}

/* Set up a fresh segment. */
static void
init_segment(void *pointer)
{
	Header	   *h = pointer;
	int			tranche = LWLockNewTrancheId();
	int			i;

	memset(h, 0, segment_size());
	LWLockInitialize(&h->lock, tranche);
	h->nslots = MaxBackends;
	h->ndatabases = nvs_max_databases;
	pg_atomic_init_u32(&h->overflowed, 0);
	h->slots_offset = CACHELINEALIGN(sizeof(Header));
	h->databases_offset = h->slots_offset + sizeof(PaddedSlot) * h->nslots;

	/* nvs_shmem_slot() and the like go by the header. */
	header = h;
	for (i = 0; i < h->nslots; i++)
	{
		NvsSlot    *slot = nvs_shmem_slot(i);

		pg_atomic_init_u64(&slot->floor, 0);
		pg_atomic_init_u32(&slot->database, InvalidOid);
	}
	for (i = 0; i < h->ndatabases; i++)
	{
		NvsDatabase *db = database_entry(i);

		SpinLockInit(&db->mutex);
		pg_atomic_init_u64(&db->drawn, 0);
		/* Prepared transactions may have left locks: one is unaccounted. */
		pg_atomic_init_u64(&db->locks_made, 1);
		pg_atomic_init_u64(&db->locks_gone, 0);
	}
}

#ifdef NVS_NAMED_SEGMENTS

/* Map the segment, made on first use; allocates, so not in callbacks. */
static bool
attach(void)
{
	bool		found;

	if (header == NULL && !IsBinaryUpgrade)
	{
		header = nvs_named_segment("nvent_store", segment_size(),
								   init_segment, &found);
		LWLockRegisterTranche(header->lock.tranche, "nvent_store");
	}
	return header != NULL;
}

#else

/* Reserve the segment's bytes. */
static void
request_segment(void)
{
	if (prev_shmem_request_hook != NULL)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(segment_size());
}

/* Make or map the segment; runs again after a crash of some backend. */
static void
startup_segment(void)
{
	bool		found;

	if (prev_shmem_startup_hook != NULL)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	header = ShmemInitStruct("nvent_store", segment_size(), &found);
	if (!found)
		init_segment(header);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(header->lock.tranche, "nvent_store");
}

/* Is the segment there? */
static bool
attach(void)
{
	return header != NULL;
}

#endif

/* Is there shared memory?  Maps it where that takes asking. */
bool
nvs_shmem_available(void)
{
	return attach();
}

/* Has any database ever had to do without an entry? */
bool
nvs_shmem_overflowed(void)
{
	return pg_atomic_read_u32(&header->overflowed) != 0;
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

/* Entry i of the databases. */
static NvsDatabase *
database_entry(int i)
{
	return (NvsDatabase *) ((char *) header + header->databases_offset +
							CACHELINEALIGN(sizeof(NvsDatabase)) * i);
}

/*
 * The entry of our database, made on first use; NULL when there is no shared
 * memory or no free entry.
 */
NvsDatabase *
nvs_shmem_database(void)
{
	if (my_database == NULL && attach() && nvs_shmem_my_slot() != NULL)
		my_database = find_database(MyDatabaseId, true);
	return my_database;
}

/* The entry of a database, NULL when it has none. */
static NvsDatabase *
find_database(Oid oid, bool make)
{
	NvsDatabase *found = NULL;
	NvsDatabase *spare = NULL;
	int			i;

	LWLockAcquire(&header->lock, make ? LW_EXCLUSIVE : LW_SHARED);
	for (i = 0; i < header->ndatabases && found == NULL; i++)
	{
		NvsDatabase *db = database_entry(i);

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
