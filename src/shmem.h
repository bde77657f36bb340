/*
 * shmem.h
 *	  Shared memory: a slot per backend, an entry per database.
 */
#ifndef NVS_SHMEM_H
#define NVS_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "subject.h"

/*
 * What a backend lets others know.  Only its owner writes it, but for wake,
 * which the database's worker lowers too.  In a cache line of its own.
 */
typedef struct NvsSlot
{
	/* An appender: no position of its transaction is below the floor. */
	pg_atomic_uint64 floor;		/* 0: it has none */
	pg_atomic_uint32 database;	/* of floor; written before it */
	int			pid;
	TimestampTz since;			/* when the floor was published */
} NvsSlot;

/* What is known of a database that was appended to since the server start. */
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
} NvsDatabase;

extern void nvs_shmem_init(void);

extern bool nvs_shmem_available(void);
extern bool nvs_shmem_overflowed(void);
extern int	nvs_shmem_slots(void);
extern NvsSlot *nvs_shmem_slot(int i);
extern NvsSlot *nvs_shmem_my_slot(void);
extern NvsDatabase *nvs_shmem_database(void);

#endif							/* NVS_SHMEM_H */
