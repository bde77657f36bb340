/*
 * position/shmem.h
 *	  Shared memory: a slot and a waiter per process, an entry per database.
 */
#ifndef NVS_POSITION_SHMEM_H
#define NVS_POSITION_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "subject/subject.h"

/* So many low-water marks has a slot: one per store that is appended to. */
#define NVS_SLOT_MARKS	4

/*
 * A process's low-water marks; only it writes here.  Those are in a cache line
 * of their own.
 */
typedef struct NvsSlot
{
	pg_atomic_uint64 marks[NVS_SLOT_MARKS]; /* 0: none, nor behind it */
	pg_atomic_uint32 stores[NVS_SLOT_MARKS];	/* written before the mark */
	pg_atomic_uint32 database;	/* of the marks; written before them */
	pg_atomic_uint64 pass_at;	/* when the log is flushed up to here, the
								 * marks may be passed; 0: not yet */
	int			pid;
	TimestampTz since;			/* when the first mark was published */
	LWLock		lock;			/* held to take the marks back, which has who
								 * holds it know that the transaction is open */
} NvsSlot;

/*
 * A session in stream_wait().  It writes all of it while generation is odd;
 * wake_at is lowered by the notifier, too.
 */
typedef struct NvsWaiter
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 wake_at;	/* when this position is safe; 0: not yet */
	pg_atomic_uint32 store;		/* number of the one that it reads */
	Oid			database;		/* InvalidOid: waits for nothing */
	int			len;
	char		pattern[NVS_PATTERN_PLAIN_BYTES];
} NvsWaiter;

/*
 * A session that waits for jobs; it writes all of it, and whoever wakes it
 * clears the queue.
 */
typedef struct NvsJobWaiter
{
	pg_atomic_uint64 queue;		/* which, see wakeup/jobs.c; 0: none */
	pg_atomic_uint64 looks_at;	/* TimestampTz, of who looks by himself when
								 * something comes due; 0: does not */
	pg_atomic_uint32 database;	/* InvalidOid: waits for nothing */
} NvsJobWaiter;

/* The processes that may be there for a database. */
typedef enum NvsProcessKind
{
	NVS_NOTIFIER,
	NVS_MAINTAINER
} NvsProcessKind;

#define NVS_PROCESS_KINDS	2

/* One of these. */
typedef struct NvsProcess
{
	pg_atomic_uint32 number;	/* of the process, + 1; 0: none is running */
	pg_atomic_uint32 leaves;	/* how often one has left in good order */
} NvsProcess;

/* Whether there are background workers to be had, as the launcher sees it. */
typedef enum NvsStaffing
{
	NVS_STAFF_NONE,				/* no launcher, or it has started nothing yet */
	NVS_STAFF_FREE,				/* it starts what is wanted */
	NVS_STAFF_SHORT				/* what is wanted waits for a free one */
} NvsStaffing;

/* A mark of a prepared transaction; see position/prepared.c. */
typedef struct NvsPrepared
{
	Oid			database;
	uint32		store;			/* the low bits of its number */
	int64		position;		/* 0: free */
} NvsPrepared;

/*
 * From where on to look for jobs of a queue and a priority; see queue/hint.c.
 * Nothing that is right depends on it.
 */
typedef struct NvsHint
{
	slock_t		mutex;			/* of all the others */
	Oid			database;
	Oid			storage;		/* of the table; changes when it is emptied */
	int32		queue;
	int32		priority;
	int64		settled;
	int64		frontier;
	uint32		recalls;		/* jobs that came up behind the frontier */
	int64		sweep_at;		/* an uptime */
	int64		used_at;		/* an uptime; 0: free */
} NvsHint;

/* What is counted of a queue, and in how many tables; see queue/count.c. */
#define NVS_COUNTS			12
#define NVS_COUNT_TABLES	4

/* Queues of which one transaction can say what it changed. */
#define NVS_COUNT_DELTAS	8

/* Stores and queues that there is room for. */
#define NVS_COUNT_STORES	64
#define NVS_COUNT_QUEUES	1024

/* A store whose queues are counted. */
typedef struct NvsCountedStore
{
	Oid			database;
	Oid			relids[NVS_COUNT_TABLES];	/* the first is of its jobs; 0:
											 * free */
	uint64		generation;		/* another one when all were miscounted */
	uint64		since;			/* full id of the first transaction that is
								 * known to be counted */
	int64		used_at;		/* an uptime */
} NvsCountedStore;

/* A queue that is counted: what was added of transactions that committed. */
typedef struct NvsCountedQueue
{
	Oid			database;
	Oid			jobs;			/* InvalidOid: free */
	int32		queue;
	uint64		generation;		/* of the store */
	uint64		token;			/* of who counts it */
	bool		valid;			/* he has */
	int64		used_at;		/* an uptime */
	pg_atomic_uint64 counts[NVS_COUNTS];
} NvsCountedQueue;

/* What a transaction that is committing has changed. */
typedef struct NvsCountDelta
{
	Oid			jobs;
	int32		queue;
	bool		counted;		/* by who has counted the queue since */
	int64		counts[NVS_COUNTS];
} NvsCountDelta;

typedef struct NvsCountSlot
{
	TransactionId xid;			/* invalid: nothing is committing */
	Oid			database;
	int			n;
	NvsCountDelta deltas[NVS_COUNT_DELTAS];
} NvsCountSlot;

/* The counts of queues; all of it under the lock. */
typedef struct NvsCountTable
{
	LWLock		lock;			/* shared: one's own slot, and adding */
	pg_atomic_uint64 changes;	/* of the stores; 0: there never was one */
	uint64		next_token;		/* and generation */
	NvsCountedStore stores[NVS_COUNT_STORES];
	NvsCountedQueue queues[NVS_COUNT_QUEUES];
	NvsCountSlot slots[FLEXIBLE_ARRAY_MEMBER];	/* nvs_shmem_slots() */
} NvsCountTable;

/* A database that was appended to or waited in since the server start. */
typedef struct NvsDatabase
{
	Oid			oid;			/* InvalidOid: free; under the header's lock */

	/* The highest position that is known to be drawn from sequence. */
	slock_t		mutex;			/* of sequence */
	Oid			sequence;
	pg_atomic_uint64 drawn;

	/*
	 * Low-water marks that are advisory locks: how many were ever made,
	 * counted after the lock was taken, with those that are known to be gone;
	 * and that count as of a look that found none left.
	 */
	pg_atomic_uint64 lock_marks_made;
	pg_atomic_uint64 lock_marks_gone;

	/* Are all of these listed?  And how many found no room in the list. */
	pg_atomic_uint32 prepared_listed;
	pg_atomic_uint64 prepared_missed;

	/* Its processes; see worker/. */
	NvsProcess	processes[NVS_PROCESS_KINDS];
	pg_atomic_uint32 wake_on_xact_end;	/* whatever an appender's end is */
	pg_atomic_uint32 holds;		/* statements that want nobody connected */
	pg_atomic_uint64 next_visit;	/* of maintenance: an uptime; 0: never */
	pg_atomic_uint32 maintained;	/* number of the store begun with last */
	pg_atomic_uint32 maintaining;	/* is that one still being maintained? */

	/* Sessions in stream_wait(); see wakeup/waiter.c. */
	pg_atomic_uint32 waiters;
	pg_atomic_uint64 waiter_changes;	/* to the NvsWaiters of such sessions */

	/* The ring of announcements; see wakeup/ring.c. */
	LWLock		ring_lock;
	Size		ring_offset;
	uint64		ring_tail;		/* bytes that were ever taken */

	/*
	 * What has happened, and up to where it was told.  Whoever finds a pair
	 * unequal knows that the notifier is wanted, and a new notifier where to
	 * go on; nothing else says so.  Committers count up the first of a pair,
	 * the notifier alone writes the second, once the telling has committed.
	 */
	pg_atomic_uint64 ring_head; /* bytes that were ever put into the ring */
	pg_atomic_uint64 ring_told;
	pg_atomic_uint64 resyncs;	/* commits for which everybody has to read */
	pg_atomic_uint64 resyncs_told;
	pg_atomic_uint64 unannounced;	/* commits with events not in the ring */
	pg_atomic_uint64 unannounced_told;
	pg_atomic_uint64 published; /* pairs with drawn, see above */
} NvsDatabase;

extern void nvs_shmem_init(void);

extern bool nvs_shmem_available(void);
extern bool nvs_shmem_overflowed(void);
extern pg_atomic_uint32 *nvs_shmem_early_commits(void);
extern int	nvs_shmem_slots(void);
extern NvsSlot *nvs_shmem_slot(int i);
extern NvsSlot *nvs_shmem_my_slot(void);
extern NvsWaiter *nvs_shmem_waiter(int i);
extern NvsJobWaiter *nvs_shmem_job_waiter(int i);
extern pg_atomic_uint32 *nvs_shmem_job_waiters(void);
extern NvsDatabase *nvs_shmem_database(void);
extern NvsDatabase *nvs_shmem_known_database(void);
extern NvsDatabase *nvs_shmem_find_database(Oid oid);
extern NvsDatabase *nvs_shmem_database_entry(int i);
extern int	nvs_shmem_databases(void);
extern void nvs_shmem_free_database(Oid oid);
extern NvsHint *nvs_shmem_hints(int *n);
extern NvsCountTable *nvs_shmem_counts(void);
extern NvsPrepared *nvs_shmem_prepared(int *size);
extern LWLock *nvs_shmem_prepared_lock(void);
extern char *nvs_shmem_ring(NvsDatabase *db, Size *size);
extern bool nvs_shmem_is_untold(NvsDatabase *db);
extern bool nvs_shmem_wants_notifier(NvsDatabase *db);
extern bool nvs_shmem_has_notifier(NvsDatabase *db);
extern void nvs_shmem_set_launcher(int number);
extern void nvs_shmem_set_staffing(NvsStaffing staffing);
extern NvsStaffing nvs_shmem_staffing(void);
extern void nvs_shmem_wake_process(int number);
extern void nvs_shmem_wake_kind(NvsDatabase *db, NvsProcessKind kind);
extern void nvs_shmem_wake_launcher(void);
extern void nvs_shmem_ask_for_visit(NvsDatabase *db);
extern void nvs_shmem_wake_notifier(NvsDatabase *db);

#endif							/* NVS_POSITION_SHMEM_H */
