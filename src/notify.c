/*
 * notify.c
 *	  Tells listeners of appends; the one caller of Async_Notify().
 *
 * Each subject that a transaction appended to is announced once, with the
 * highest position: {"stream": subject, "id": position}.  The announcement is
 * a hint, to read again from one's cursor.
 *
 * What a transaction has to announce is kept with the subtransaction that
 * appended, goes with it when that is rolled back, and is handed to NOTIFY
 * just before commit.  A prepared transaction announces nothing: NOTIFY
 * cannot be prepared.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "horizon.h"
#include "lib/stringinfo.h"
#include "notify.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* A subject to announce, at one nesting level. */
typedef struct Announcement
{
	struct Announcement *next;
	const char *channel;
	const char *subject;
	int			len;
	int			level;			/* of the subtransaction that appended */
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

static void notify_xact_callback(XactEvent event, void *arg);
static void notify_release_callback(ResourceReleasePhase phase, bool commit,
									bool top_level, void *arg);
static void notify_subxact_callback(SubXactEvent event, SubTransactionId mine,
									SubTransactionId parent, void *arg);
static uint32 announcement_hash(const void *key, Size keysize);
static int	announcement_match(const void *a, const void *b, Size keysize);
static void announce_all(void);
static void drop_level(int level);
static void merge_level(int level);

/* Register the transaction callbacks. */
void
nvs_notify_init(void)
{
	RegisterXactCallback(notify_xact_callback, NULL);
	RegisterSubXactCallback(notify_subxact_callback, NULL);
	RegisterResourceReleaseCallback(notify_release_callback, NULL);
}

/* Remember to announce an append. */
void
nvs_notify_append(const char *channel, const char *subject, int len,
				  int64 position)
{
	Announcement probe;
	Announcement *key = &probe;
	AnnouncementKey *slot;
	Announcement *entry;
	MemoryContext old;
	bool		found;

	if (by_subject == NULL)
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
	probe.channel = channel;
	probe.subject = subject;
	probe.len = len;
	probe.level = GetCurrentTransactionNestLevel();
	slot = hash_search(by_subject, &key, HASH_FIND, NULL);
	if (slot != NULL)
	{
		slot->entry->position = Max(slot->entry->position, position);
		return;
	}

	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc(sizeof(Announcement));
	entry->channel = pstrdup(channel);
	entry->subject = pnstrdup(subject, len);
	entry->len = len;
	entry->level = probe.level;
	entry->position = position;
	MemoryContextSwitchTo(old);
	slot = hash_search(by_subject, &entry, HASH_ENTER, &found);
	Assert(!found);
	slot->entry = entry;
	entry->next = pending;
	pending = entry;
}

static uint32
announcement_hash(const void *key, Size keysize)
{
	const Announcement *a = *(Announcement *const *) key;

	return hash_bytes((const unsigned char *) a->subject, a->len) ^ a->level;
}

static int
announcement_match(const void *a, const void *b, Size keysize)
{
	const Announcement *x = *(Announcement *const *) a;
	const Announcement *y = *(Announcement *const *) b;

	if (x->level != y->level || x->len != y->len)
		return 1;
	if (memcmp(x->subject, y->subject, x->len) != 0)
		return 1;
	return strcmp(x->channel, y->channel);
}

/* Announce before commit; forget when the transaction is over. */
static void
notify_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			announce_all();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* The memory goes with TopTransactionContext. */
			pending = NULL;
			by_subject = NULL;
			break;
		default:
			break;
	}
}

/*
 * The transaction is over, and its end is known to others.  Must not raise.
 */
static void
notify_release_callback(ResourceReleasePhase phase, bool commit,
						bool top_level, void *arg)
{
	if (phase == RESOURCE_RELEASE_LOCKS && top_level)
		(void) nvs_horizon_release();
}

/* Follow savepoints. */
static void
notify_subxact_callback(SubXactEvent event, SubTransactionId mine,
						SubTransactionId parent, void *arg)
{
	if (pending == NULL)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		drop_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		merge_level(GetCurrentTransactionNestLevel());
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

/* Hand everything to NOTIFY, oldest first. */
static void
announce_all(void)
{
	Announcement *entry;
	Announcement *ordered = NULL;
	StringInfoData payload;

	while (pending != NULL)
	{
		entry = pending;
		pending = entry->next;
		entry->next = ordered;
		ordered = entry;
	}
	if (ordered == NULL)
		return;
	initStringInfo(&payload);
	for (entry = ordered; entry != NULL; entry = entry->next)
	{
		resetStringInfo(&payload);
		appendStringInfoString(&payload, "{\"stream\": ");
		escape_json(&payload, entry->subject);
		appendStringInfo(&payload, ", \"id\": " INT64_FORMAT "}",
						 entry->position);
		Async_Notify(entry->channel, payload.data);
	}
	by_subject = NULL;
}
