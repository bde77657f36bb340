/*
 * wakeup/notify.c
 *	  Tells listeners of appends; the one caller of Async_Notify().
 *
 * Each subject that a transaction appended to is announced once, with the
 * highest position: {"stream": subject, "id": position}.  The announcement is
 * a hint, to read again from one's cursor.  {"stream": null, ...} says so of
 * every subject.
 *
 * What a transaction has to announce is kept with the subtransaction that
 * appended and goes with it when that is rolled back.  Just before commit it
 * is handed to NOTIFY, mode inline, which makes all commits of the cluster
 * wait for one another; or it is put together as a block, mode worker, that
 * goes into a ring (wakeup/ring.c) after the commit.  Sessions in
 * stream_wait() are told by the ring in every mode.
 *
 * What runs after the commit must not raise: it could not be undone, and the
 * server would restart.  It runs as a resource release callback, when locks
 * go: by then our rows are visible, other backends have been sent what we
 * changed in the catalogs, and the horizon has been let go.
 *
 * A prepared transaction announces nothing: NOTIFY cannot be prepared, and
 * COMMIT PREPARED calls nobody.  The worker looks for the end of those.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "position/shmem.h"
#include "position/xact.h"
#include "wakeup/notify.h"
#include "wakeup/ring.h"

/* A subject to announce, at one nesting level. */
typedef struct Announcement
{
	struct Announcement *next;
	const char *channel;
	const char *subject;
	int			len;
	int			level;			/* of the subtransaction that appended */
	int			mode;			/* an NvsNotifyMode */
	int64		position;
} Announcement;

/* The key of the hash table: a subject on a channel, at a nesting level. */
typedef struct AnnouncementKey
{
	Announcement *entry;
} AnnouncementKey;

/* In TopTransactionContext; newest level first. */
static Announcement *pending = NULL;
static HTAB *by_subject = NULL;

/* Events that announcements were made for. */
static uint64 told = 0;

/*
 * What goes into the ring at commit, in TopTransactionContext; too_large when
 * it is not there because it was, or came too late.
 */
static StringInfo block = NULL;
static bool too_large = false;

static void notify_after_locks(const NvsXactEnd *end);
static uint32 announcement_hash(const void *key, Size keysize);
static int	announcement_match(const void *a, const void *b, Size keysize);
static void create_table(void);
static void announce_all(void);
static void add_to_block(NvsDatabase *db, const Announcement *entry);
static void after_commit(NvsDatabase *db, uint64 ndrawn);
static void drop_level(int level);
static void merge_level(int level);

/* Hand over the handlers of transactions' ends. */
void
nvs_notify_init(void)
{
	static const NvsXactHandlers handlers = {
		.before_commit = announce_all,
		.after_locks = notify_after_locks,
		.before_subcommit = merge_level,
		.after_subabort = drop_level
	};

	nvs_xact_register(&handlers);
}

/* The mode that holds; route_mode is that of a route, -1 when it has none. */
int
nvs_notify_mode(int route_mode)
{
	int			mode = route_mode < 0 ? nvs_notify : route_mode;

	if (mode == NVS_NOTIFY_WORKER &&
		(!nvs_worker_possible || nvs_shmem_database() == NULL))
		return NVS_NOTIFY_INLINE;
	return mode;
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
 * Remember to announce an append of count events, position being that of the
 * last one; mode is what nvs_notify_mode() said.
 */
void
nvs_notify_append(int mode, const char *channel, const char *subject, int len,
				  int64 position, int count)
{
	NvsDatabase *db = nvs_shmem_database();
	Announcement probe;
	Announcement *key = &probe;
	AnnouncementKey *slot;
	Announcement *entry;
	MemoryContext old;
	bool		found;

	/* Who begins to wait from now on is told without the subject. */
	if (mode == NVS_NOTIFY_OFF &&
		(db == NULL || pg_atomic_read_u32(&db->waiters) == 0))
		return;
	if (by_subject == NULL)
		create_table();
	told += count;
	probe.channel = channel;
	probe.subject = subject;
	probe.len = len;
	probe.level = GetCurrentTransactionNestLevel();
	probe.mode = mode;
	slot = hash_search(by_subject, &key, HASH_FIND, NULL);
	if (slot != NULL)
	{
		slot->entry->position = Max(slot->entry->position, position);
		return;
	}

	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc(sizeof(Announcement));
	*entry = probe;
	entry->channel = pstrdup(channel);
	entry->subject = pnstrdup(subject, len);
	entry->position = position;
	MemoryContextSwitchTo(old);
	slot = hash_search(by_subject, &entry, HASH_ENTER, &found);
	Assert(!found);
	slot->entry = entry;
	entry->next = pending;
	pending = entry;
}

/* Make the hash table of a transaction. */
static void
create_table(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Announcement *);
	ctl.entrysize = sizeof(AnnouncementKey);
	ctl.hash = announcement_hash;
	ctl.match = announcement_match;
	ctl.hcxt = TopTransactionContext;
	by_subject = hash_create("nvent_store announcements", 16, &ctl,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
							 HASH_CONTEXT);
}

/* Hash of what announcement_match() compares. */
static uint32
announcement_hash(const void *key, Size keysize)
{
	const Announcement *a = *(Announcement *const *) key;

	return hash_bytes((const unsigned char *) a->subject, a->len) ^ a->level;
}

/* 0 when two are of one subject, channel, level and mode. */
static int
announcement_match(const void *a, const void *b, Size keysize)
{
	const Announcement *x = *(Announcement *const *) a;
	const Announcement *y = *(Announcement *const *) b;

	if (x->level != y->level || x->len != y->len || x->mode != y->mode)
		return 1;
	if (memcmp(x->subject, y->subject, x->len) != 0)
		return 1;
	return strcmp(x->channel, y->channel);
}

/*
 * The transaction is over, and its end is known to others: tell the worker.
 * The memory of what it announced goes with TopTransactionContext.
 */
static void
notify_after_locks(const NvsXactEnd *end)
{
	/* Somebody appended after our turn before the commit. */
	if (pending != NULL && end->outcome == NVS_XACT_COMMITTED)
		too_large = true;
	if (end->appended || block != NULL || too_large)
	{
		NvsDatabase *db = nvs_shmem_known_database();

		if (db == NULL)
			 /* nobody to be told */ ;
		else if (end->outcome == NVS_XACT_COMMITTED)
			after_commit(db, end->ndrawn);
		else if (end->outcome == NVS_XACT_PREPARED ||
				 pg_atomic_read_u32(&db->wake_on_xact_end) != 0)
			nvs_shmem_wake_worker(db);
	}
	pending = NULL;
	by_subject = NULL;
	block = NULL;
	too_large = false;
	told = 0;
}

/* Tell the worker of a commit.  Must not raise. */
static void
after_commit(NvsDatabase *db, uint64 ndrawn)
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
	if (ndrawn != told && pg_atomic_read_u32(&db->waiters) > 0)
	{
		pg_atomic_fetch_add_u64(&db->unannounced, 1);
		wake = true;
	}
	if (wake || too_large || block != NULL)
		nvs_shmem_wake_worker(db);
}

/* Forget what was appended at a level; must not raise. */
static void
drop_level(int level)
{
	Announcement **link = &pending;

	while (*link != NULL)
	{
		if ((*link)->level < level)
		{
			link = &(*link)->next;
			continue;
		}
		(void) hash_search(by_subject, link, HASH_REMOVE, NULL);
		*link = (*link)->next;
	}
}

/* What was appended at a level is its parent's from now on. */
static void
merge_level(int level)
{
	Announcement *entry = pending;
	Announcement *next;
	Announcement *mine = NULL;

	/* Take them out first: their hash keys change. */
	for (; entry != NULL; entry = next)
	{
		next = entry->next;
		if (entry->level < level)
			break;
		(void) hash_search(by_subject, &entry, HASH_REMOVE, NULL);
		entry->next = mine;
		mine = entry;
	}
	pending = entry;
	for (entry = mine; entry != NULL; entry = next)
	{
		AnnouncementKey *slot;
		bool		found;

		next = entry->next;
		entry->level = level - 1;
		slot = hash_search(by_subject, &entry, HASH_ENTER, &found);
		if (found)
		{
			slot->entry->position = Max(slot->entry->position,
										entry->position);
			continue;
		}
		slot->entry = entry;
		entry->next = pending;
		pending = entry;
	}
}

/* Announce everything, oldest first: to NOTIFY, or into the block. */
static void
announce_all(void)
{
	NvsDatabase *db = nvs_shmem_known_database();
	Announcement *entry;
	Announcement *ordered = NULL;

	while (pending != NULL)
	{
		entry = pending;
		pending = entry->next;
		entry->next = ordered;
		ordered = entry;
	}
	for (entry = ordered; entry != NULL; entry = entry->next)
	{
		if (entry->mode == NVS_NOTIFY_INLINE)
			nvs_notify_send(entry->channel, entry->subject, entry->position);
		if (db == NULL)
			continue;
		if (entry->mode == NVS_NOTIFY_WORKER ||
			pg_atomic_read_u32(&db->waiters) > 0)
			add_to_block(db, entry);
		else
			told = 0;
	}
	by_subject = NULL;
}

/* Add an announcement to what goes into the ring after the commit. */
static void
add_to_block(NvsDatabase *db, const Announcement *entry)
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
	nvs_ring_append(block, entry->mode == NVS_NOTIFY_WORKER ?
					entry->channel : NULL, entry->subject, entry->len,
					entry->position);
	(void) nvs_shmem_ring(db, &size);
	if (block->len > size / 2)
		too_large = true;
}

/* NOTIFY of a subject; at commit, as always. */
void
nvs_notify_send(const char *channel, const char *subject, int64 position)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"stream\": ");
	escape_json(&payload, subject);
	appendStringInfo(&payload, ", \"id\": " INT64_FORMAT "}", position);
	Async_Notify(channel, payload.data);
	pfree(payload.data);
}

/* NOTIFY that anything may have been appended. */
void
nvs_notify_resync(const char *channel, int64 position)
{
	char	   *payload = psprintf("{\"stream\": null, \"id\": " INT64_FORMAT
								   "}", position);

	Async_Notify(channel, payload);
	pfree(payload);
}
