/*
 * base/advisory.c
 *	  Our advisory locks, and the hash that makes their keys.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "base/advisory.h"

static void advisory_set_tag(LOCKTAG *tag, NvsLockClass class, uint64 key);

/* Fill the tag of one of our locks in this database. */
static void
advisory_set_tag(LOCKTAG *tag, NvsLockClass class, uint64 key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32),
						 (uint32) key, class);
}

/* Take one of our advisory locks until the end of the transaction. */
void
nvs_lock(NvsLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;

	advisory_set_tag(&tag, class, key);
	(void) LockAcquire(&tag, mode, false, false);
}

/*
 * Take one of our advisory locks until the end of the transaction if that
 * needs no waiting; false when somebody else holds it.
 */
bool
nvs_lock_if_free(NvsLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;

	advisory_set_tag(&tag, class, key);
	return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Let go of one of our advisory locks before the transaction ends.  Nothing may
 * have been written that others would have to see first.
 */
void
nvs_unlock(NvsLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;

	advisory_set_tag(&tag, class, key);
	(void) LockRelease(&tag, mode, false);
}

/*
 * The key of a lock on something of a store, which begins with the store's
 * number: nobody can choose names that have another store's locks waited for.
 * Two names of one store may have the same key.
 */
uint64
nvs_lock_key(uint32 store, const char *data, int len)
{
	return (uint64) store << 32 | (uint32) nvs_hash(data, len, 0);
}

/* Hash of some bytes; seed keeps different kinds apart. */
uint64
nvs_hash(const char *data, int len, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) data, len, seed);
}
