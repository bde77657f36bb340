/*
 * wakeup/ring.c
 *	  Announcements on their way from committers to the notifier.
 *
 * A ring of bytes per database, guarded by its lock.  A transaction puts its
 * announcements together before it commits, as one block, so that afterwards
 * nothing is left to do that could fail or take long: a copy, or when there
 * is no room a count, for which the notifier tells everybody to read again.
 *
 * The notifier takes announcements before it can tell of them, so that those
 * that wait for an appender's end take no room from others'.  How far it has
 * told is counted apart from that; what was taken and not told is taken once
 * more by the next notifier, or if it has been overwritten, counted as what
 * had no room.
 */
#include "postgres.h"

#include "wakeup/ring.h"

static void ring_copy_in(NvsDatabase *db, const char *data, Size len);
static void ring_copy_out(NvsDatabase *db, char *data, Size len);

/*
 * Add an announcement to a block that is to go into the ring; one without a
 * channel, NULL, is for sessions in stream_wait() only, and one of an empty
 * subject is of any.
 */
void
nvs_ring_append(StringInfo block, uint32 store, const char *channel,
				const char *subject, int subject_len, bool is_queue,
				int64 position)
{
	static const char padding[MAXIMUM_ALIGNOF] = {0};
	NvsRingItem item;
	Size		size;

	memset(&item, 0, sizeof(item));
	item.position = position;
	item.store = store;
	item.channel_len = channel == NULL ? 0 : strlen(channel);
	item.subject_len = subject_len;
	item.is_queue = is_queue;
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
	if (len > size - (pg_atomic_read_u64(&db->ring_head) - db->ring_tail))
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
	Size		at = pg_atomic_read_u64(&db->ring_head) % size;
	Size		first = Min(len, size - at);

	memcpy(ring + at, data, first);
	memcpy(ring, data + first, len - first);
	pg_atomic_fetch_add_u64(&db->ring_head, len);
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

/* Bytes in the ring that have not been taken. */
Size
nvs_ring_used(NvsDatabase *db)
{
	Size		used;

	LWLockAcquire(&db->ring_lock, LW_SHARED);
	used = pg_atomic_read_u64(&db->ring_head) - db->ring_tail;
	LWLockRelease(&db->ring_lock);
	return used;
}

/*
 * For the notifier: take all that is in the ring into a buffer of its size;
 * returns how much, and in *from what had been taken ever before.
 */
Size
nvs_ring_take(NvsDatabase *db, char *buffer, uint64 *from)
{
	Size		len;

	/* Nobody else writes the tail. */
	*from = db->ring_tail;
	if (pg_atomic_read_u64(&db->ring_head) == db->ring_tail)
		return 0;
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	len = pg_atomic_read_u64(&db->ring_head) - db->ring_tail;
	ring_copy_out(db, buffer, len);
	LWLockRelease(&db->ring_lock);
	return len;
}

/*
 * For a new notifier: have what another one took and did not tell taken again;
 * false when it is not all there any more.
 */
bool
nvs_ring_rewind(NvsDatabase *db)
{
	uint64		told = pg_atomic_read_u64(&db->ring_told);
	bool		is_there;
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	is_there = pg_atomic_read_u64(&db->ring_head) - told <= size;
	if (is_there)
		db->ring_tail = told;
	LWLockRelease(&db->ring_lock);
	return is_there;
}

/* For the notifier: give up what is in the ring up to there. */
void
nvs_ring_discard(NvsDatabase *db, uint64 upto)
{
	LWLockAcquire(&db->ring_lock, LW_EXCLUSIVE);
	db->ring_tail = Max(db->ring_tail, upto);
	LWLockRelease(&db->ring_lock);
	pg_atomic_write_u64(&db->ring_told, upto);
}
