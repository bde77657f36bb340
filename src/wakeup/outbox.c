/*
 * wakeup/outbox.c
 *	  What the notifier has to tell listeners, and when.
 *
 * Listeners are told of an event once they can read it, that is when its
 * position is settled in its store: told earlier they would read, find nothing,
 * and not be told again.  Until then the announcement is here, in the
 * notifier's memory.  Shared memory counts how far everything has been told,
 * so that another notifier goes on from there if this one does not live to
 * send it.
 *
 * What did not fit into the ring, and the events of transactions that were
 * prepared, are made up for by a resync: every channel of the database is told
 * that anything may have been appended, now and again when all of it is
 * settled in the channel's store.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "wakeup/jobs.h"
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
	uint64		at;				/* bytes that had been taken before it */
	char	   *channel;		/* in one chunk with the subject */
	char	   *subject;		/* NULL: any */
	bool		is_queue;		/* it is a queue's name */
	uint32		store;			/* number of its store */
	bool		resync;			/* it is a resync's, too */
} OutboxItem;

static OutboxItem *pending = NULL;
static int	npending = 0;
static int	ndue = 0;			/* the first so many of them are due */
static int	nlater = 0;			/* that were not when it was looked; -1: look */
static char *buffer = NULL;		/* of the ring's size */
static uint64 taken = 0;		/* bytes that were ever taken from the ring */

/* Counts of the database that have been seen; see shmem.h. */
static uint64 resyncs_seen = 0;
static uint64 unannounced_seen = 0;

static bool resync_now = false;
static int64 resync_upto = 0;	/* what was drawn when that was seen */

static void outbox_request_resync(NvsDatabase *db);
static void outbox_distribute(uint64 from, Size len);
static void outbox_add_from_ring(const NvsRingItem *item, uint64 at);
static OutboxItem *outbox_new(const char *channel, int channel_len,
							  const char *subject, int subject_len);
static void outbox_add_resync(const NvsOutboxChannel *channel);
static void outbox_drop_first(int n);
static bool outbox_item_is_due(const OutboxItem *item,
							   const NvsPositionWatch *watch);
static int	outbox_latest(OutboxItem **latest);
static int	outbox_by_subject(const void *a, const void *b);
static int	outbox_by_position(const void *a, const void *b);

/*
 * Begin where the notifier before us ended: with what was not told.  What it
 * took from the ring and cannot be had again is made up for by a resync.
 */
void
nvs_outbox_init(NvsDatabase *db)
{
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	buffer = MemoryContextAllocHuge(TopMemoryContext, size);
	pending = MemoryContextAlloc(TopMemoryContext,
								 sizeof(OutboxItem) * MAX_PENDING);
	resyncs_seen = pg_atomic_read_u64(&db->resyncs_told);
	unannounced_seen = pg_atomic_read_u64(&db->unannounced_told);
	if (!nvs_ring_rewind(db))
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
	taken = db->ring_tail;
	nvs_waiters_refresh(db);
}

/*
 * Tell nobody of what there was to tell before `before` was read: the extension
 * is gone.
 */
void
nvs_outbox_discard(NvsDatabase *db, const NvsOutboxCounts *before)
{
	nvs_ring_discard(db, before->ring);
	pg_atomic_write_u64(&db->resyncs_told, before->resyncs);
	pg_atomic_write_u64(&db->unannounced_told, before->unannounced);
	pg_atomic_write_u64(&db->published, before->drawn);
}

/* What has happened in a database so far. */
NvsOutboxCounts
nvs_outbox_counts(NvsDatabase *db)
{
	NvsOutboxCounts counts;

	counts.ring = pg_atomic_read_u64(&db->ring_head);
	counts.resyncs = pg_atomic_read_u64(&db->resyncs);
	counts.unannounced = pg_atomic_read_u64(&db->unannounced);
	counts.drawn = pg_atomic_read_u64(&db->drawn);
	pg_memory_barrier();
	return counts;
}

/* Have every channel and every session that waits told to read. */
static void
outbox_request_resync(NvsDatabase *db)
{
	resync_now = true;
	resync_upto = nvs_position_drawn(db);
	nvs_waiters_arm_all(1);
	nvs_jobs_wake_all();
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
	uint64		from;
	Size		len = nvs_ring_take(db, buffer, &from);

	/* Who began to wait before these were committed is known from here on. */
	nvs_waiters_refresh(db);
	outbox_distribute(from, len);
	taken = from + len;
	if (any_subject)
		nvs_waiters_arm_all(1);
	if (resync)
		outbox_request_resync(db);
	resyncs_seen = resyncs;
	unannounced_seen = unannounced;
	return resync || any_subject || len > 0;
}

/*
 * Go through the first len bytes of the buffer, which came from the ring when
 * `from` had been taken.
 */
static void
outbox_distribute(uint64 from, Size len)
{
	Size		at = 0;

	while (at < len)
	{
		const NvsRingItem *item = (const NvsRingItem *) (buffer + at);
		const char *channel = (const char *) (item + 1);

		if (item->subject_len == 0)
			nvs_waiters_arm_all(item->position);
		else if (!item->is_queue)
			nvs_waiters_match(channel + item->channel_len,
							  item->subject_len, item->position);
		if (item->channel_len > 0)
			outbox_add_from_ring(item, from + at);
		at += item->size;
	}
}

/* Keep an announcement until it is due. */
static void
outbox_add_from_ring(const NvsRingItem *item, uint64 at)
{
	const char *channel = (const char *) (item + 1);
	OutboxItem *entry = outbox_new(channel, item->channel_len,
								   channel + item->channel_len,
								   item->subject_len);

	entry->position = item->position;
	entry->is_queue = item->is_queue;
	entry->store = item->store;
	entry->resync = false;
	entry->at = at;
}

/*
 * Room for an announcement: made, if there is none, by folding those that there
 * are.  A subject of no length is any.
 */
static OutboxItem *
outbox_new(const char *channel, int channel_len, const char *subject,
		   int subject_len)
{
	OutboxItem *entry;

	if (npending == MAX_PENDING)
		nvs_outbox_fold();
	entry = &pending[npending];
	entry->channel = MemoryContextAlloc(TopMemoryContext,
										channel_len + subject_len + 2);
	memcpy(entry->channel, channel, channel_len);
	entry->channel[channel_len] = '\0';
	entry->subject = NULL;
	if (subject_len > 0)
	{
		entry->subject = entry->channel + channel_len + 1;
		memcpy(entry->subject, subject, subject_len);
		entry->subject[subject_len] = '\0';
	}
	npending++;
	return entry;
}

/* Have a channel told once more when what a resync is about is settled. */
static void
outbox_add_resync(const NvsOutboxChannel *channel)
{
	OutboxItem *entry = outbox_new(channel->channel, strlen(channel->channel),
								   NULL, 0);

	entry->position = resync_upto;
	entry->is_queue = false;
	entry->store = channel->store;
	entry->resync = true;
	entry->at = PG_UINT64_MAX;
}

/*
 * Make one announcement of any subject out of all those of a channel: they take
 * less room, and nothing in them can fail to be sent.
 */
void
nvs_outbox_fold(void)
{
	int			n = 0;
	int			i;

	qsort(pending, npending, sizeof(OutboxItem), outbox_by_subject);
	for (i = 0; i < npending; i++)
	{
		OutboxItem *last = &pending[Max(n - 1, 0)];
		OutboxItem *item = &pending[i];

		if (n > 0 && strcmp(last->channel, item->channel) == 0)
		{
			if (last->store != item->store)
				last->store = 0;
			last->position = Max(last->position, item->position);
			last->resync = last->resync || item->resync;
			last->at = Min(last->at, item->at);
			pfree(item->channel);
			continue;
		}
		item->subject = NULL;
		item->is_queue = false;
		pending[n++] = *item;
	}

	/* Which of them are due is to be looked at again. */
	npending = n;
	ndue = 0;
	nlater = -1;
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
	return npending > 0 || resync_now;
}

/*
 * Is there something to send, by what is settled now?  Moves the announcements
 * that are due to the front.
 */
bool
nvs_outbox_is_due(const NvsPositionWatch *watch)
{
	int			i;

	/* What was not due is still not. */
	if (watch->changed || npending != nlater)
	{
		ndue = 0;
		for (i = 0; i < npending; i++)
			if (outbox_item_is_due(&pending[i], watch))
			{
				OutboxItem	swap = pending[ndue];

				pending[ndue++] = pending[i];
				pending[i] = swap;
			}
		nlater = npending - ndue;
	}
	return ndue > 0;
}

/* Can an announcement's event be read? */
static bool
outbox_item_is_due(const OutboxItem *item, const NvsPositionWatch *watch)
{
	return item->position <= nvs_position_watch_safe(watch, item->store);
}

/* Are the channels of all stores to be told now? */
bool
nvs_outbox_resync_is_due(void)
{
	return resync_now;
}

/*
 * Send what nvs_outbox_is_due() found, in a transaction: of each subject once,
 * with the highest position, in the order of positions.  For a resync channels
 * are those of all stores, of NvsOutboxChannel, else NIL.  Only the end of the
 * transaction shows whether it was sent: then comes nvs_outbox_sent().
 */
void
nvs_outbox_send(const NvsPositionWatch *watch, const List *channels)
{
	OutboxItem **latest = palloc(sizeof(OutboxItem *) * Max(ndue, 1));
	ListCell   *lc;
	int			n;
	int			i;

	foreach(lc, channels)
	{
		NvsOutboxChannel *channel = lfirst(lc);

		nvs_notify_send(channel->channel, NULL, false,
						nvs_position_watch_safe(watch, channel->store));
	}
	n = outbox_latest(latest);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_notify_send(latest[i]->channel, latest[i]->subject,
						latest[i]->is_queue, latest[i]->position);
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
	{
		const OutboxItem *item = &pending[i];

		if (i + 1 == ndue || strcmp(item->channel, item[1].channel) != 0 ||
			(item->subject == NULL) != (item[1].subject == NULL) ||
			item->is_queue != item[1].is_queue ||
			(item->subject != NULL &&
			 strcmp(item->subject, item[1].subject) != 0))
			latest[n++] = &pending[i];
	}
	qsort(latest, n, sizeof(OutboxItem *), outbox_by_position);
	return n;
}

/* What nvs_outbox_send() sent is committed: drop it. */
void
nvs_outbox_sent(const NvsPositionWatch *watch, bool resync,
				const List *channels)
{
	ListCell   *lc;

	outbox_drop_first(ndue);
	ndue = 0;
	if (!resync)
		return;
	resync_now = false;
	foreach(lc, channels)
	{
		NvsOutboxChannel *channel = lfirst(lc);

		if (resync_upto > nvs_position_watch_safe(watch, channel->store))
			outbox_add_resync(channel);
	}
}

/*
 * Say in shared memory how far everything has been told.  To be called when
 * what was due has been sent.
 */
void
nvs_outbox_settle(NvsDatabase *db)
{
	uint64		told = taken;
	bool		resyncing = resync_now;
	int			i;

	for (i = 0; i < npending; i++)
	{
		resyncing = resyncing || pending[i].resync;
		told = Min(told, pending[i].at);
	}
	pg_atomic_write_u64(&db->ring_told, told);
	pg_atomic_write_u64(&db->unannounced_told, unannounced_seen);
	if (!resyncing)
		pg_atomic_write_u64(&db->resyncs_told, resyncs_seen);
}

/* For qsort(): by channel, subject and queue, any first, then by position. */
static int
outbox_by_subject(const void *a, const void *b)
{
	const OutboxItem *x = a;
	const OutboxItem *y = b;
	int			order = strcmp(x->channel, y->channel);

	if (order == 0)
		order = (int) x->is_queue - (int) y->is_queue;
	if (order == 0)
		order = strcmp(x->subject != NULL ? x->subject : "",
					   y->subject != NULL ? y->subject : "");
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
