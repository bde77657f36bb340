/*
 * wakeup/ring.c
 *	  Announcements on their way from committers to the worker.
 *
 * A ring of bytes per database, guarded by its lock.  A transaction puts its
 * announcements together before it commits, as one block, so that afterwards
 * nothing is left to do that could fail or take long: a copy, or when there
 * is no room a count, for which the worker tells everybody to read again.
 */
#include "postgres.h"

#include "wakeup/ring.h"

static void ring_copy_in(NvsDatabase *db, const char *data, Size len);
static void ring_copy_out(NvsDatabase *db, char *data, Size len);

/*
 * Add an announcement to a block that is to go into the ring; one without a
 * channel, NULL, is for sessions in stream_wait() only.
 */
void
nvs_ring_append(StringInfo block, uint32 store, const char *channel,
				const char *subject, int subject_len, int64 position)
{
	static const char padding[MAXIMUM_ALIGNOF] = {0};
	NvsRingItem item;
	Size		size;

	memset(&item, 0, sizeof(item));
	item.position = position;
	item.store = store;
	item.channel_len = channel == NULL ? 0 : strlen(channel);
	item.subject_len = subject_len;
	size = sizeof(item) + item.channel_len + subject_len;
	item.size = MAXALIGN(size);
	appendBinaryStringInfo(block, (char *) &item, sizeof(item));
	if (channel != NULL)
		appendBinaryStringInfo(block, channel, item.channel_len);
	appendBinaryStringInfo(block, subject, subject_len);
	appendBinaryStringInfo(block, padding, item.size - size);
}

/*
 * Put a block into the ring, or count a resync when there is no room.  Neither
 * raises nor allocates.
 */
void
nvs_ring_push(NvsDatabase *db, const char *block, Size len)
{
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	if (len > size - (db->ring_head - db->ring_tail))
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
	else
		ring_copy_in(db, block, len);
	LWLockRelease(&db->ring_lock);
}

/* Copy to the head of the ring, around its end if need be. */
static void
ring_copy_in(NvsDatabase *db, const char *data, Size len)
{
	Size		size;
	char	   *ring = nvs_shmem_ring(db, &size);
	Size		at = db->ring_head % size;
	Size		first = Min(len, size - at);

	memcpy(ring + at, data, first);
	memcpy(ring, data + first, len - first);
	db->ring_head += len;
}

/* Copy from the tail of the ring, around its end if need be. */
static void
ring_copy_out(NvsDatabase *db, char *data, Size len)
{
	Size		size;
	char	   *ring = nvs_shmem_ring(db, &size);
	Size		at = db->ring_tail % size;
	Size		first = Min(len, size - at);

	memcpy(data, ring + at, first);
	memcpy(data + first, ring, len - first);
	db->ring_tail += len;
}

/* Bytes in the ring at this moment. */
Size
nvs_ring_used(NvsDatabase *db)
{
	Size		used;

	LWLockAcquire(&db->ring_lock, LW_SHARED);
	used = db->ring_head - db->ring_tail;
	LWLockRelease(&db->ring_lock);
	return used;
}

/* Take all that is in the ring into a buffer of its size; returns how much. */
Size
nvs_ring_take(NvsDatabase *db, char *buffer)
{
	Size		len;

	if (nvs_ring_used(db) == 0)
		return 0;
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	len = db->ring_head - db->ring_tail;
	ring_copy_out(db, buffer, len);
	LWLockRelease(&db->ring_lock);
	return len;
}
