/*
 * position/shmem.h
 *	  Shared memory: a slot per backend, an entry per database.
 */
#ifndef NVS_POSITION_SHMEM_H
#define NVS_POSITION_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "subject/subject.h"

/*
 * What an appender lets others know; only its owner writes it.  In a cache
 * line of its own.
 */
typedef struct NvsSlot
{
	pg_atomic_uint64 floor;		/* its positions are not below; 0: none */
	pg_atomic_uint32 database;	/* of floor; written before it */
	int			pid;
	TimestampTz since;			/* when the floor was published */
} NvsSlot;

/*
 * A session in stream_wait().  It writes all of it while generation is odd;
 * wake_at is lowered by the worker, too.
 */
typedef struct NvsWaiter
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 wake_at;	/* when this position is safe; 0: not yet */
	Oid			database;		/* InvalidOid: waits for nothing */
	int			len;
	char		pattern[NVS_PATTERN_MAX_BYTES];
} NvsWaiter;

/* A database that was appended to or waited in since the server start. */
typedef struct NvsDatabase
{
	Oid			oid;			/* InvalidOid: free; under the header's lock */

	/* Highest position that is known to have been drawn from sequence. */
	slock_t		mutex;			/* of sequence */
	Oid			sequence;
	pg_atomic_uint64 drawn;

	/*
	 * Floors that are advisory locks: how many were ever made, counted after
	 * the lock was taken, and that count as of a scan that found none left.
	 */
	pg_atomic_uint64 locks_made;
	pg_atomic_uint64 locks_gone;

	/* Its worker; see worker/worker.c. */
	pg_atomic_uint32 worker;	/* process number + 1; 0: none is running */
	pg_atomic_uint32 wanted;	/* there is work for one */
	pg_atomic_uint32 attentive; /* every appender's end is of interest to it */
	pg_atomic_uint32 unsent;	/* it may have work that it keeps to itself */
	pg_atomic_uint64 hold_until;	/* TimestampTz: keep out of the database */
	pg_atomic_uint64 visit_at;	/* TimestampTz: when to come again; 0: never */

	/* Sessions in stream_wait(), and appends whose subject nobody told. */
	pg_atomic_uint32 waiters;
	pg_atomic_uint64 untold;
	pg_atomic_uint64 waiter_changes;	/* of the entries of such sessions */

	/* The ring of announcements; see wakeup/ring.c. */
	LWLock		ring_lock;
	Size		ring_offset;
	uint64		ring_head;		/* bytes that were ever written */
	uint64		ring_tail;		/* bytes that were ever read */
	pg_atomic_uint64 resyncs;	/* how often something did not fit */
} NvsDatabase;

extern void nvs_shmem_init(void);

extern bool nvs_shmem_available(void);
extern bool nvs_shmem_overflowed(void);
extern int	nvs_shmem_slots(void);
extern NvsSlot *nvs_shmem_slot(int i);
extern NvsSlot *nvs_shmem_my_slot(void);
extern NvsWaiter *nvs_shmem_waiter(int i);
extern NvsDatabase *nvs_shmem_database(void);
extern NvsDatabase *nvs_shmem_known_database(void);
extern NvsDatabase *nvs_shmem_find_database(Oid oid);
extern NvsDatabase *nvs_shmem_database_entry(int i);
extern int	nvs_shmem_databases(void);
extern void nvs_shmem_forget_database(Oid oid);
extern char *nvs_shmem_ring(NvsDatabase *db, Size *size);
extern void nvs_shmem_set_launcher(int number);
extern void nvs_shmem_wake_process(int number);
extern void nvs_shmem_wake_launcher(void);
extern void nvs_shmem_wake_worker(NvsDatabase *db);

#endif							/* NVS_POSITION_SHMEM_H */
