/*
 * wakeup/outbox.c
 *	  What the worker has to tell listeners, and when.
 *
 * Listeners are told of an event once they can read it, that is when its
 * position is safe in its store: told earlier they would read, find nothing,
 * and not be told again.  Until then the announcement is here, in the worker's
 * memory; shared memory knows that there is something (has_unsent), so that
 * another worker has everybody read again if this one does not live to send it.
 *
 * What did not fit into the ring, what there were too many of here, and the
 * events of transactions that were prepared are made up for by a resync: every
 * channel of the database is told that anything may have been appended, now
 * and again when all of it is safe.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "position/position.h"
#include "wakeup/notify.h"
#include "wakeup/outbox.h"
#include "wakeup/ring.h"
#include "wakeup/waiter.h"

/* Announcements that there is room for. */
#define MAX_PENDING		65536

/* An announcement that has yet to be sent. */
typedef struct OutboxItem
{
	int64		position;
	uint32		store;			/* its number */
	char	   *channel;		/* in one chunk with the subject */
	char	   *subject;
} OutboxItem;

static OutboxItem *pending = NULL;
static int	npending = 0;
static int	ndue = 0;			/* the first so many of them are due */
static char *buffer = NULL;		/* of the ring's size */

/* Counts of the database that have been dealt with. */
static uint64 resyncs_seen = 0;
static uint64 unannounced_seen = 0;

static bool resync_now = false;
static int64 resync_at = 0;		/* once more when this is safe; 0: no */

static void outbox_distribute(NvsDatabase *db, Size len);
static void outbox_add(NvsDatabase *db, const NvsRingItem *item);
static void outbox_drop_first(int n);
static bool outbox_item_is_due(const OutboxItem *item,
							   const NvsPositionWatch *watch);
static int	outbox_latest(OutboxItem **latest);
static int	outbox_by_subject(const void *a, const void *b);
static int	outbox_by_position(const void *a, const void *b);

/*
 * Begin with nothing.  What a worker before us had taken and not sent is made
 * up for by a resync.
 */
void
nvs_outbox_init(NvsDatabase *db)
{
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	buffer = MemoryContextAllocHuge(TopMemoryContext, size);
	pending = MemoryContextAlloc(TopMemoryContext,
								 sizeof(OutboxItem) * MAX_PENDING);
	resyncs_seen = pg_atomic_read_u64(&db->resyncs);
	unannounced_seen = pg_atomic_read_u64(&db->unannounced);
	nvs_waiters_refresh(db);
	if (pg_atomic_read_u32(&db->has_unsent) != 0 || resyncs_seen > 0)
		nvs_outbox_request_resync(db);
}

/* Have every channel and every session in stream_wait() told to read. */
void
nvs_outbox_request_resync(NvsDatabase *db)
{
	pg_atomic_write_u32(&db->has_unsent, 1);
	resync_now = true;
	resync_at = nvs_position_drawn(db);
	nvs_waiters_arm_all(1);
}

/*
 * Take what committers left: announcements are kept here and noted with the
 * sessions that wait for their subjects.  True when there was anything.
 */
bool
nvs_outbox_collect(NvsDatabase *db)
{
	uint64		resyncs = pg_atomic_read_u64(&db->resyncs);
	uint64		unannounced = pg_atomic_read_u64(&db->unannounced);
	bool		resync = resyncs != resyncs_seen;
	bool		any_subject = unannounced != unannounced_seen;
	Size		len;

	/* Set before anything leaves the ring, cleared when it was sent. */
	if (nvs_ring_used(db) > 0)
		pg_atomic_write_u32(&db->has_unsent, 1);
	len = nvs_ring_take(db, buffer);

	/* Who began to wait before these were committed is known from here on. */
	nvs_waiters_refresh(db);
	outbox_distribute(db, len);
	if (any_subject)
		nvs_waiters_arm_all(1);
	if (resync)
		nvs_outbox_request_resync(db);
	resyncs_seen = resyncs;
	unannounced_seen = unannounced;
	return resync || any_subject || len > 0;
}

/* Go through the first len bytes of the buffer, which came from the ring. */
static void
outbox_distribute(NvsDatabase *db, Size len)
{
	Size		at = 0;

	while (at < len)
	{
		const NvsRingItem *item = (const NvsRingItem *) (buffer + at);
		const char *channel = (const char *) (item + 1);

		nvs_waiters_match(channel + item->channel_len, item->subject_len,
						  item->position);
		if (item->channel_len > 0)
			outbox_add(db, item);
		at += item->size;
	}
}

/* Keep an announcement until it is due; a resync when there is no room. */
static void
outbox_add(NvsDatabase *db, const NvsRingItem *item)
{
	OutboxItem *entry;
	const char *channel = (const char *) (item + 1);

	if (npending == MAX_PENDING)
	{
		outbox_drop_first(npending);
		nvs_outbox_request_resync(db);
		return;
	}
	entry = &pending[npending++];
	entry->position = item->position;
	entry->store = item->store;
	entry->channel = MemoryContextAlloc(TopMemoryContext,
										item->channel_len +
										item->subject_len + 2);
	memcpy(entry->channel, channel, item->channel_len);
	entry->channel[item->channel_len] = '\0';
	entry->subject = entry->channel + item->channel_len + 1;
	memcpy(entry->subject, channel + item->channel_len, item->subject_len);
	entry->subject[item->subject_len] = '\0';
}

/* Free the first announcements and move the others up. */
static void
outbox_drop_first(int n)
{
	int			i;

	for (i = 0; i < n; i++)
		pfree(pending[i].channel);
	memmove(pending, pending + n, sizeof(OutboxItem) * (npending - n));
	npending -= n;
}

/* Is there anything that waits for appenders to end? */
bool
nvs_outbox_has_pending(void)
{
	return npending > 0 || resync_at > 0;
}

/*
 * Is there something to send, as far as the watch sees?  Moves the
 * announcements that are due to the front.
 */
bool
nvs_outbox_is_due(const NvsPositionWatch *watch)
{
	static int	last_npending = 0;
	int			i;

	/* What was not due is still not. */
	if (watch->changed || npending != last_npending)
	{
		ndue = 0;
		for (i = 0; i < npending; i++)
			if (outbox_item_is_due(&pending[i], watch))
			{
				OutboxItem	swap = pending[ndue];

				pending[ndue++] = pending[i];
				pending[i] = swap;
			}
		last_npending = npending - ndue;
	}
	return ndue > 0 || nvs_outbox_resync_is_due(watch);
}

/* Can an announcement's event be read? */
static bool
outbox_item_is_due(const OutboxItem *item, const NvsPositionWatch *watch)
{
	return item->position <= nvs_position_watch_safe(watch, item->store);
}

/* Is everybody to be told to read again, now or once more? */
bool
nvs_outbox_resync_is_due(const NvsPositionWatch *watch)
{
	return resync_now || (resync_at > 0 &&
						  resync_at <= nvs_position_watch_safe(watch, 0));
}

/*
 * Send what nvs_outbox_is_due() found, in a transaction: of each subject once,
 * with the highest position, in the order of positions.  channels are those of
 * the database when a resync is due, else NIL.  Only the end of the transaction
 * shows whether it was sent: then comes nvs_outbox_sent().
 */
void
nvs_outbox_send(const NvsPositionWatch *watch, const List *channels)
{
	int64		safe = nvs_position_watch_safe(watch, 0);
	OutboxItem **latest = palloc(sizeof(OutboxItem *) * Max(ndue, 1));
	ListCell   *lc;
	int			n;
	int			i;

	foreach(lc, channels)
		nvs_notify_resync(lfirst(lc), safe);
	n = outbox_latest(latest);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_notify_send(latest[i]->channel, latest[i]->subject,
						latest[i]->position);
	}
	pfree(latest);
}

/*
 * Point latest to the last announcement that is due of each channel and
 * subject, in the order of positions; returns how many they are.
 */
static int
outbox_latest(OutboxItem **latest)
{
	int			n = 0;
	int			i;

	qsort(pending, ndue, sizeof(OutboxItem), outbox_by_subject);
	for (i = 0; i < ndue; i++)
		if (i + 1 == ndue ||
			strcmp(pending[i].subject, pending[i + 1].subject) != 0 ||
			strcmp(pending[i].channel, pending[i + 1].channel) != 0)
			latest[n++] = &pending[i];
	qsort(latest, n, sizeof(OutboxItem *), outbox_by_position);
	return n;
}

/* What nvs_outbox_send() sent is committed: drop it. */
void
nvs_outbox_sent(const NvsPositionWatch *watch)
{
	resync_now = false;
	if (resync_at <= nvs_position_watch_safe(watch, 0))
		resync_at = 0;
	outbox_drop_first(ndue);
	ndue = 0;
	if (!nvs_outbox_has_pending())
		pg_atomic_write_u32(&watch->db->has_unsent, 0);
}

/* For qsort(): by subject and channel, then by position. */
static int
outbox_by_subject(const void *a, const void *b)
{
	const OutboxItem *x = a;
	const OutboxItem *y = b;
	int			order = strcmp(x->subject, y->subject);

	if (order == 0)
		order = strcmp(x->channel, y->channel);
	if (order == 0)
		order = x->position < y->position ? -1 : x->position > y->position;
	return order;
}

/* For qsort() of pointers: by position. */
static int
outbox_by_position(const void *a, const void *b)
{
	const OutboxItem *x = *(OutboxItem *const *) a;
	const OutboxItem *y = *(OutboxItem *const *) b;

	return x->position < y->position ? -1 : x->position > y->position;
}
