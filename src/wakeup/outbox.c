/*
 * wakeup/outbox.c
 *	  What the worker has to tell listeners, and when.
 *
 * Listeners are told of an event once they can read it, that is when its
 * position is safe: told earlier they would read, find nothing, and not be
 * told again.  Until then it is pending here, in the worker's own memory;
 * shared memory knows that there is something (unsent), so that another
 * worker has everybody read again if this one does not live to send it.
 *
 * What did not fit into the ring, what there were too many of here, and
 * transactions that were prepared are made up for by a resync: every channel
 * of the database is told that anything may have been appended, now and again
 * when all of it is safe.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "position/position.h"
#include "store/store.h"
#include "wakeup/notify.h"
#include "wakeup/outbox.h"
#include "wakeup/ring.h"
#include "wakeup/waiter.h"

/* Announcements that may be pending. */
#define MAX_PENDING		65536

/* An announcement that is to be sent. */
typedef struct Pending
{
	int64		position;
	char	   *channel;		/* in one chunk with the subject */
	char	   *subject;
} Pending;

static Pending *pending = NULL;
static int	npending = 0;
static int	ndue = 0;			/* the first so many are due */
static char *buffer = NULL;		/* of the ring's size */

static uint64 resyncs_seen = 0;
static uint64 untold_seen = 0;
static bool resync_now = false;
static int64 resync_at = 0;		/* once more when this is safe; 0: no */

static void add_pending(NvsDatabase *db, const NvsNotice *notice);
static void drop_first(int n);
static bool resync_is_due(int64 safe);
static int	by_subject(const void *a, const void *b);
static int	by_position(const void *a, const void *b);

/* Begin; what another worker left unsent is lost. */
void
nvs_outbox_init(NvsDatabase *db)
{
	Size		size;

	(void) nvs_shmem_ring(db, &size);
	buffer = MemoryContextAllocHuge(TopMemoryContext, size);
	pending = MemoryContextAlloc(TopMemoryContext,
								 sizeof(Pending) * MAX_PENDING);
	resyncs_seen = pg_atomic_read_u64(&db->resyncs);
	untold_seen = pg_atomic_read_u64(&db->unannounced);
	nvs_waiters_refresh(db);
	if (pg_atomic_read_u32(&db->has_unsent) != 0 || resyncs_seen > 0)
		nvs_outbox_want_resync(db);
}

/* Have every channel and every session in stream_wait() told to read. */
void
nvs_outbox_want_resync(NvsDatabase *db)
{
	pg_atomic_write_u32(&db->has_unsent, 1);
	resync_now = true;
	resync_at = nvs_position_drawn(db);
	nvs_waiters_arm_all(1);
}

/* Take what committers left; true when there was anything. */
bool
nvs_outbox_collect(NvsDatabase *db)
{
	uint64		resyncs = pg_atomic_read_u64(&db->resyncs);
	uint64		untold = pg_atomic_read_u64(&db->unannounced);
	bool		anything = resyncs != resyncs_seen || untold != untold_seen;
	Size		len;
	Size		at;

	/* Set before anything leaves the ring, cleared when it was sent. */
	if (nvs_ring_used(db) > 0)
		pg_atomic_write_u32(&db->has_unsent, 1);
	len = nvs_ring_take(db, buffer);
	/* Who began to wait before these were committed is known from here on. */
	nvs_waiters_refresh(db);
	for (at = 0; at < len;)
	{
		const NvsNotice *notice = (const NvsNotice *) (buffer + at);
		const char *channel = (const char *) (notice + 1);

		nvs_waiters_match(channel + notice->channel_len, notice->subject_len,
						  notice->position);
		if (notice->channel_len > 0)
			add_pending(db, notice);
		at += notice->size;
	}
	if (untold != untold_seen)
		nvs_waiters_arm_all(1);
	if (resyncs != resyncs_seen)
		nvs_outbox_want_resync(db);
	resyncs_seen = resyncs;
	untold_seen = untold;
	return anything || len > 0;
}

/* Keep an announcement until it is due. */
static void
add_pending(NvsDatabase *db, const NvsNotice *notice)
{
	Pending    *entry;
	const char *channel = (const char *) (notice + 1);

	if (npending == MAX_PENDING)
	{
		drop_first(npending);
		nvs_outbox_want_resync(db);
		return;
	}
	entry = &pending[npending++];
	entry->position = notice->position;
	entry->channel = MemoryContextAlloc(TopMemoryContext,
										notice->channel_len +
										notice->subject_len + 2);
	memcpy(entry->channel, channel, notice->channel_len);
	entry->channel[notice->channel_len] = '\0';
	entry->subject = entry->channel + notice->channel_len + 1;
	memcpy(entry->subject, channel + notice->channel_len,
		   notice->subject_len);
	entry->subject[notice->subject_len] = '\0';
}

/* Free the first announcements and move the others up. */
static void
drop_first(int n)
{
	int			i;

	for (i = 0; i < n; i++)
		pfree(pending[i].channel);
	memmove(pending, pending + n, sizeof(Pending) * (npending - n));
	npending -= n;
}

/* Is there something to send, now that safe is the safe position? */
bool
nvs_outbox_is_due(NvsDatabase *db, int64 safe)
{
	static int64 last_safe = 0;
	static int	last_npending = 0;
	int			i;

	/* What was not due is still not. */
	if (safe != last_safe || npending != last_npending)
	{
		ndue = 0;
		for (i = 0; i < npending; i++)
			if (pending[i].position <= safe)
			{
				Pending		swap = pending[ndue];

				pending[ndue++] = pending[i];
				pending[i] = swap;
			}
		last_safe = safe;
		last_npending = npending - ndue;
	}
	return ndue > 0 || resync_is_due(safe);
}

/* Is everybody to be told to read again, now or once more? */
static bool
resync_is_due(int64 safe)
{
	return resync_now || (resync_at > 0 && resync_at <= safe);
}

/*
 * Send what is due, in a transaction: of each subject once, with the highest
 * position, in the order of positions.  Only the end of the transaction tells
 * whether it was sent: then comes nvs_outbox_sent().
 */
void
nvs_outbox_due(int64 safe)
{
	Pending   **unique = palloc(sizeof(Pending *) * Max(ndue, 1));
	int			n = 0;
	int			i;
	ListCell   *lc;

	if (resync_is_due(safe))
		foreach(lc, nvs_store_prefixes())
	{
		NvsStore   *store = nvs_store_find(lfirst(lc),
										   strlen(lfirst(lc)));

		if (store != NULL)
			nvs_notify_resync(store->channel, safe);
	}
	qsort(pending, ndue, sizeof(Pending), by_subject);
	for (i = 0; i < ndue; i++)
		if (i + 1 == ndue ||
			strcmp(pending[i].subject, pending[i + 1].subject) != 0 ||
			strcmp(pending[i].channel, pending[i + 1].channel) != 0)
			unique[n++] = &pending[i];
	qsort(unique, n, sizeof(Pending *), by_position);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_notify_send(unique[i]->channel, unique[i]->subject,
						unique[i]->position);
	}
	pfree(unique);
}

/* What was due has been sent. */
void
nvs_outbox_sent(NvsDatabase *db, int64 safe)
{
	resync_now = false;
	if (resync_at <= safe)
		resync_at = 0;
	drop_first(ndue);
	ndue = 0;
	if (!nvs_outbox_has_pending())
		pg_atomic_write_u32(&db->has_unsent, 0);
}

/* Is there anything that waits for appenders to end? */
bool
nvs_outbox_has_pending(void)
{
	return npending > 0 || resync_at > 0;
}

/* For qsort(): by subject and channel, then by position. */
static int
by_subject(const void *a, const void *b)
{
	const Pending *x = a;
	const Pending *y = b;
	int			order = strcmp(x->subject, y->subject);

	if (order == 0)
		order = strcmp(x->channel, y->channel);
	if (order == 0)
		order = x->position < y->position ? -1 : x->position > y->position;
	return order;
}

/* For qsort() of pointers: by position. */
static int
by_position(const void *a, const void *b)
{
	const Pending *x = *(Pending *const *) a;
	const Pending *y = *(Pending *const *) b;

	return x->position < y->position ? -1 : x->position > y->position;
}
