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

static void copy_in(NvsDatabase *db, const char *data, Size len);
static void copy_out(NvsDatabase *db, char *data, Size len);

/* Add an announcement to a block; channel NULL is for waiting sessions only. */
void
nvs_ring_append(StringInfo block, const char *channel, const char *subject,
				int subject_len, int64 position)
{
	static const char padding[MAXIMUM_ALIGNOF] = {0};
	NvsNotice	notice;
	Size		size;

	memset(&notice, 0, sizeof(notice));
	notice.position = position;
	notice.channel_len = channel == NULL ? 0 : strlen(channel);
	notice.subject_len = subject_len;
	size = sizeof(notice) + notice.channel_len + subject_len;
	notice.size = MAXALIGN(size);
	appendBinaryStringInfo(block, (char *) &notice, sizeof(notice));
	if (channel != NULL)
		appendBinaryStringInfo(block, channel, notice.channel_len);
	appendBinaryStringInfo(block, subject, subject_len);
	appendBinaryStringInfo(block, padding, notice.size - size);
}

/* Put a block into the ring; to be called in callbacks, does not raise. */
void
nvs_ring_push(NvsDatabase *db, const char *block, Size len)
{
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	if (len > size - (db->ring_head - db->ring_tail))
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
	else
		copy_in(db, block, len);
	LWLockRelease(&db->ring_lock);
}

/* Copy to the head of the ring, around its end if need be. */
static void
copy_in(NvsDatabase *db, const char *data, Size len)
{
	Size		size;
	char	   *ring = nvs_shmem_ring(db, &size);
	Size		at = db->ring_head % size;
	Size		first = Min(len, size - at);

	memcpy(ring + at, data, first);
	memcpy(ring, data + first, len - first);
	db->ring_head += len;
}

/* Copy from the tail of the ring. */
static void
copy_out(NvsDatabase *db, char *data, Size len)
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
	copy_out(db, buffer, len);
	LWLockRelease(&db->ring_lock);
	return len;
}
