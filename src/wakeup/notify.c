/*
 * wakeup/notify.c
 *	  Tells listeners of appends; the one caller of Async_Notify().
 *
 * Each subject that a transaction appended to is announced once, with the
 * highest position: {"stream": subject, "id": position}.  The announcement is
 * a hint, to read again from one's cursor.  {"stream": null, ...} says so of
 * every subject of the store, and of its queues.  A queue that wants that is
 * announced as {"queue": name} when there are jobs that can be fetched.
 *
 * What a transaction has to announce is kept with the subtransaction that
 * appended and goes with it when that is rolled back.  Just before commit it
 * is handed to NOTIFY, mode inline, which makes all commits of the cluster
 * wait for one another; or it is put together as a block, mode worker, that
 * goes into a ring (wakeup/ring.c) after the commit, when nothing may raise.
 * Sessions in stream_wait() hear of it by the ring in every mode.
 *
 * A prepared transaction announces nothing: NOTIFY cannot be prepared, and its
 * end is that of another one.  COMMIT PREPARED has everybody read again
 * (worker/utility.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "common/string.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "position/shmem.h"
#include "position/xact.h"
#include "wakeup/notify.h"
#include "wakeup/ring.h"

/* A subject or a queue to announce, at one nesting level of the transaction. */
typedef struct Announcement
{
	struct Announcement *next;
	uint32		store;			/* number of the subject's store */
	const char *channel;
	const char *subject;		/* or the queue's name */
	int			len;			/* of the subject */
	bool		is_queue;
	int			level;			/* of the subtransaction that appended */
	int			mode;			/* an NvsNotifyMode */
	int64		position;		/* 0 for a queue */
} Announcement;

/* Where the hash table points to one. */
typedef struct AnnouncementSlot
{
	Announcement *announcement; /* hash key: all of it but the position */
	uint32		hash;
	char		status;			/* of simplehash */
} AnnouncementSlot;

static uint32 notify_hash(const Announcement *a);
static bool notify_equal(const Announcement *a, const Announcement *b);

#define SH_PREFIX		announcement
#define SH_ELEMENT_TYPE	AnnouncementSlot
#define SH_KEY_TYPE		Announcement *
#define SH_KEY			announcement
#define SH_HASH_KEY(tb, key)	notify_hash(key)
#define SH_EQUAL(tb, a, b)		notify_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)		((a)->hash)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What is to be announced, in TopTransactionContext; newest level first. */
static Announcement *pending = NULL;
static announcement_hash *by_subject = NULL;

/*
 * Events that those are of.  When the transaction drew more positions than
 * that, there are events of which nobody hears by the ring.
 */
static uint64 events_announced = 0;

/* Positions that jobs have: nobody who waits for events is to hear of them. */
static uint64 jobs_drawn = 0;

/*
 * What goes into the ring after the commit, in TopTransactionContext;
 * too_large when it does not fit or came too late.
 */
static StringInfo block = NULL;
static bool too_large = false;


static void notify_remember(Announcement *probe);
static void notify_before_commit(void);
static void notify_add_to_block(NvsDatabase *db, const Announcement *a,
								bool any_subject);
static void notify_fold_block(NvsDatabase *db, Announcement *ordered);
static void notify_after_locks(const NvsXactEnd *end);
static void notify_tell_notifier(NvsDatabase *db, const NvsXactEnd *end);
static void notify_after_commit(NvsDatabase *db, uint64 ndrawn);
static void notify_drop_level(int level);
static void notify_merge_level(int level);

/* Hand over what is to be done when transactions end. */
void
nvs_notify_init(void)
{
	static const NvsXactHandlers handlers = {
		.before_commit = notify_before_commit,
		.after_locks = notify_after_locks,
		.before_subcommit = notify_merge_level,
		.after_subabort = notify_drop_level
	};

	nvs_xact_register(&handlers);
}

/*
 * The mode that holds: that of a route, -1 when it has none, or the setting's;
 * inline where there is no notifier and none could be started.
 */
int
nvs_notify_mode(int route_mode)
{
	int			mode = route_mode < 0 ? nvs_notify : route_mode;
	NvsDatabase *db;

	if (mode != NVS_NOTIFY_WORKER)
		return mode;
	db = nvs_worker_possible ? nvs_shmem_database() : NULL;
	return db != NULL && nvs_shmem_has_notifier(db) ? NVS_NOTIFY_WORKER :
		NVS_NOTIFY_INLINE;
}

/* Name of a mode. */
const char *
nvs_notify_name(int mode)
{
	switch (mode)
	{
		case NVS_NOTIFY_WORKER:
			return "worker";
		case NVS_NOTIFY_INLINE:
			return "inline";
		default:
			return "off";
	}
}

/*
 * Remember to announce an append of count events to a subject of the store of
 * this number, position being that of the last one; mode is what
 * nvs_notify_mode() said.
 */
void
nvs_notify_append(int mode, uint32 store, const char *channel,
				  const char *subject, int len, int64 position, int count)
{
	NvsDatabase *db = nvs_shmem_database();
	Announcement a = {NULL, store, channel, subject, len, false, 0, mode,
	position};

	/* Who begins to wait from now on is woken for whatever was drawn. */
	if (mode == NVS_NOTIFY_OFF &&
		(db == NULL || pg_atomic_read_u32(&db->waiters) == 0))
		return;
	events_announced += count;
	notify_remember(&a);
}

/*
 * Remember to announce that there are jobs in a queue of the store of this
 * number, as nvs_notify_append(); not to those who wait, whom wakeup/jobs.c
 * wakes.
 */
void
nvs_notify_queue(int mode, uint32 store, const char *channel,
				 const char *queue)
{
	Announcement a = {NULL, store, channel, queue, strlen(queue), true, 0,
	mode, 0};

	/* Whoever is to put it into the ring has to know our database by then. */
	(void) nvs_shmem_database();
	if (mode != NVS_NOTIFY_OFF)
		notify_remember(&a);
}

/* Take note that this transaction drew so many positions for jobs. */
void
nvs_notify_jobs_drawn(int count)
{
	jobs_drawn += count;
}

/*
 * Remember an announcement, at this nesting level.  It is copied into
 * TopTransactionContext; the probe need not outlive the call.
 */
static void
notify_remember(Announcement *probe)
{
	AnnouncementSlot *slot;
	Announcement *a;
	MemoryContext old;
	bool		found;

	if (by_subject == NULL)
		by_subject = announcement_create(TopTransactionContext, 16, NULL);

	/* Announced before, at this level?  Then only the position is new. */
	probe->level = GetCurrentTransactionNestLevel();
	slot = announcement_lookup(by_subject, probe);
	if (slot != NULL)
	{
		a = slot->announcement;
		a->position = Max(a->position, probe->position);
		return;
	}

	/* A new one, first in the list, whose levels descend. */
	old = MemoryContextSwitchTo(TopTransactionContext);
	a = palloc(sizeof(Announcement));
	*a = *probe;
	a->channel = pstrdup(probe->channel);
	a->subject = pnstrdup(probe->subject, probe->len);
	MemoryContextSwitchTo(old);
	announcement_insert(by_subject, a, &found);
	Assert(!found);
	a->next = pending;
	pending = a;
}

/* Hash of what notify_equal() compares. */
static uint32
notify_hash(const Announcement *a)
{
	return hash_bytes((const unsigned char *) a->subject, a->len) ^ a->level;
}

/* Are two of one subject or queue, channel, level and mode? */
static bool
notify_equal(const Announcement *a, const Announcement *b)
{
	return a->store == b->store && a->level == b->level &&
		a->len == b->len && a->mode == b->mode &&
		a->is_queue == b->is_queue &&
		memcmp(a->subject, b->subject, a->len) == 0 &&
		strcmp(a->channel, b->channel) == 0;
}

/*
 * Announce everything, oldest first: to NOTIFY, or into the block.  May raise;
 * nothing is left pending.
 */
static void
notify_before_commit(void)
{
	NvsDatabase *db = nvs_shmem_known_database();
	Announcement *a;
	Announcement *ordered = NULL;

	/* Turn the list over, which has the newest first. */
	while (pending != NULL)
	{
		a = pending;
		pending = a->next;
		a->next = ordered;
		ordered = a;
	}

	/*
	 * What is appended from here on comes too late for the block, and is seen
	 * by its being pending.
	 */
	by_subject = NULL;

	/*
	 * Events whose announcement nobody waits for by now are not counted as
	 * announced, so that who begins to wait before the commit is woken.
	 */
	for (a = ordered; a != NULL; a = a->next)
	{
		CHECK_FOR_INTERRUPTS();
		if (a->mode == NVS_NOTIFY_INLINE)
		{
			nvs_notify_send(a->channel, a->subject, a->is_queue, a->position);
			nvs_xact_notifies();
		}
		if (db == NULL)
			continue;
		if (a->mode == NVS_NOTIFY_WORKER ||
			(!a->is_queue && pg_atomic_read_u32(&db->waiters) > 0))
			notify_add_to_block(db, a, false);
		else if (!a->is_queue)
			events_announced = 0;
	}

	/* The ring takes no more than half of it from one transaction. */
	if (too_large)
		notify_fold_block(db, ordered);
}

/*
 * Add an announcement to what goes into the ring after the commit, with
 * any_subject one of any subject.
 */
static void
notify_add_to_block(NvsDatabase *db, const Announcement *a, bool any_subject)
{
	Size		size;

	if (too_large)
		return;
	if (block == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		block = makeStringInfo();
		MemoryContextSwitchTo(old);
	}
	nvs_ring_append(block, a->store,
					a->mode == NVS_NOTIFY_WORKER ? a->channel : NULL,
					a->subject, any_subject ? 0 : a->len,
					a->is_queue && !any_subject, a->position);
	(void) nvs_shmem_ring(db, &size);
	if (block->len > size / 2)
		too_large = true;
}

/*
 * Announce any subject, once for each channel, in place of what is too large:
 * with the highest position, so that it is told when all of it is settled.
 */
static void
notify_fold_block(NvsDatabase *db, Announcement *ordered)
{
	List	   *folded = NIL;	/* of Announcement, one of each channel */
	Announcement *a;
	ListCell   *lc;

	/* One of each channel; there are few, as a store has one. */
	for (a = ordered; a != NULL; a = a->next)
	{
		Announcement *same = NULL;

		CHECK_FOR_INTERRUPTS();
		foreach(lc, folded)
		{
			same = lfirst(lc);
			if (same->mode == a->mode && same->store == a->store &&
				strcmp(same->channel, a->channel) == 0)
				break;
			same = NULL;
		}
		if (same == NULL)
			folded = lappend(folded, a);
		else
			same->position = Max(same->position, a->position);
	}

	/* Afresh.  If that is too large as well, all are told to read again. */
	resetStringInfo(block);
	too_large = false;
	foreach(lc, folded)
		notify_add_to_block(db, lfirst(lc), true);
}

/*
 * The transaction is over: tell the notifier, and start afresh.  What was in
 * TopTransactionContext goes with that.
 */
static void
notify_after_locks(const NvsXactEnd *end)
{
	NvsDatabase *db = nvs_shmem_known_database();

	/* Somebody appended after we had prepared for the commit. */
	if (pending != NULL && end->outcome == NVS_XACT_COMMITTED)
		too_large = true;
	if (db != NULL && (end->appended || block != NULL || too_large))
		notify_tell_notifier(db, end);
	pending = NULL;
	by_subject = NULL;
	events_announced = 0;
	jobs_drawn = 0;
	block = NULL;
	too_large = false;
}

/* Tell the notifier of a transaction that appended. */
static void
notify_tell_notifier(NvsDatabase *db, const NvsXactEnd *end)
{
	switch (end->outcome)
	{
		case NVS_XACT_COMMITTED:
			notify_after_commit(db, end->ndrawn);
			break;
		case NVS_XACT_PREPARED:
			nvs_shmem_wake_notifier(db);
			break;
		case NVS_XACT_ABORTED:
			if (pg_atomic_read_u32(&db->wake_on_xact_end) != 0)
				nvs_shmem_wake_notifier(db);
			break;
	}
}

/* Tell the notifier of a commit. */
static void
notify_after_commit(NvsDatabase *db, uint64 ndrawn)
{
	bool		wake = pg_atomic_read_u32(&db->wake_on_xact_end) != 0;

	if (too_large)
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
	else if (block != NULL)
		nvs_ring_push(db, block->data, block->len);

	/*
	 * Rows that were inserted by hand, or announced when nobody waited yet.
	 * Who waits by now either sees them or is counted here.
	 */
	pg_memory_barrier();
	if (ndrawn - jobs_drawn != events_announced &&
		pg_atomic_read_u32(&db->waiters) > 0)
	{
		pg_atomic_fetch_add_u64(&db->unannounced, 1);
		wake = true;
	}
	if (wake || too_large || block != NULL)
		nvs_shmem_wake_notifier(db);
}

/* Drop what was appended at a nesting level.  Does not raise. */
static void
notify_drop_level(int level)
{
	while (pending != NULL && pending->level >= level)
	{
		(void) announcement_delete(by_subject, pending);
		pending = pending->next;
	}
}

/* What was appended at a nesting level is its parent's from now on. */
static void
notify_merge_level(int level)
{
	Announcement *mine = NULL;
	Announcement *a;

	/* Take them out first: their hash keys change. */
	while (pending != NULL && pending->level >= level)
	{
		a = pending;
		(void) announcement_delete(by_subject, a);
		pending = a->next;
		a->next = mine;
		mine = a;
	}

	/* Put them back, or into the parent's announcement of the same. */
	while (mine != NULL)
	{
		AnnouncementSlot *slot;
		bool		found;

		a = mine;
		mine = a->next;
		a->level = level - 1;
		slot = announcement_insert(by_subject, a, &found);
		if (found)
		{
			slot->announcement->position = Max(slot->announcement->position,
											   a->position);
			continue;
		}
		a->next = pending;
		pending = a;
	}
}

/* Append a character of UTF-8 as JSON has it in ASCII. */
static void
notify_append_escape(StringInfo payload, const char *c)
{
	pg_wchar	code = utf8_to_unicode((const unsigned char *) c);

	if (code < 0x10000)
		appendStringInfo(payload, "\\u%04x", code);
	else
		appendStringInfo(payload, "\\u%04x\\u%04x",
						 0xd800 + ((code - 0x10000) >> 10),
						 0xdc00 + (code & 0x3ff));
}

/*
 * Append text as a JSON string.  It is ASCII: a payload that cannot be
 * converted to the encoding of a listener ends its session.
 */
static void
notify_append_text(StringInfo payload, const char *text)
{
	StringInfoData json;
	const char *c;

	initStringInfo(&json);
	escape_json(&json, text);
	c = pg_server_to_any(json.data, json.len, PG_UTF8);
	for (; *c != '\0'; c += pg_encoding_mblen(PG_UTF8, c))
	{
		if (IS_HIGHBIT_SET(*c))
			notify_append_escape(payload, c);
		else
			appendStringInfoChar(payload, *c);
	}
	pfree(json.data);
}

/*
 * Can a subject be told in ASCII?  The bytes of a database in SQL_ASCII are of
 * no encoding that we know, so there only ASCII itself can.
 */
static bool
notify_is_tellable(const char *subject)
{
	return GetDatabaseEncoding() != PG_SQL_ASCII || pg_is_ascii(subject);
}

/*
 * NOTIFY of a subject or a queue, sent when the transaction commits; of any
 * when it is NULL or cannot be told.
 */
void
nvs_notify_send(const char *channel, const char *subject, bool is_queue,
				int64 position)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, is_queue ? "{\"queue\": " :
						   "{\"stream\": ");
	if (subject == NULL || !notify_is_tellable(subject))
		appendStringInfoString(&payload, "null");
	else
		notify_append_text(&payload, subject);
	if (is_queue)
		appendStringInfoChar(&payload, '}');
	else
		appendStringInfo(&payload, ", \"id\": " INT64_FORMAT "}", position);
	Async_Notify(channel, payload.data);
	pfree(payload.data);
}
