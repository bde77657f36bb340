/*
 * wakeup/waiter.c
 *	  Sessions that wait for events, and waking them.
 *
 * A session says in shared memory which pattern it waits for, then looks for
 * events, and sleeps when there is none.  Committers do not look at sessions
 * that wait, however many: they tell the notifier of subjects, and the notifier
 * notes with each session whose pattern matches the lowest such position, and
 * wakes the session when that is safe to read.
 *
 * Nothing is lost between looking and sleeping.  An event that the session's
 * snapshot does not show yet is told after its commit, when the session has
 * long said what it waits for; one that it shows but must not read yet, the
 * session notes itself.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "compat.h"
#include "subject/subject.h"
#include "wakeup/waiter.h"

/* What the notifier knows of a session, by its number. */
typedef struct KnownWaiter
{
	uint64		generation;		/* of the pattern */
	NvsPattern *pattern;		/* NULL: it waits for nothing */
	int			next;			/* session in the same bucket; -1: none */
} KnownWaiter;

static KnownWaiter *known = NULL;
static int *active = NULL;		/* numbers of those that have a pattern */
static int	nactive = 0;

/*
 * They are found by the literal beginning of their patterns: the first
 * session of each bucket, -1 for none.
 */
static int *buckets = NULL;
static uint32 nbuckets = 0;		/* a power of two */

/* The entries' changes that the notifier has seen. */
static uint64 changes_seen = 0;

/* May there be a position noted with any of them? */
static bool any_armed = false;

static NvsWaiter *waiter_mine(void);
static void waiter_lower(pg_atomic_uint64 *wake_at, int64 position);
static void waiter_count_change(NvsDatabase *db);
static bool waiter_read_pattern(int number);
static void waiter_fill_buckets(void);
static uint32 waiter_hash_byte(uint32 hash, unsigned char byte);
static int *waiter_bucket(uint32 hash);
static void waiter_match_bucket(int number, const char *subject, int len,
								int64 position);

/* This session's entry in shared memory. */
static NvsWaiter *
waiter_mine(void)
{
	return nvs_shmem_waiter(nvs_my_proc_number());
}

/*
 * Say what this session waits for, until nvs_waiter_end(): a pattern as
 * nvs_pattern_plain() writes it.
 */
void
nvs_waiter_begin(NvsDatabase *db, const char *pattern, int len)
{
	NvsWaiter  *waiter = waiter_mine();

	Assert(len <= sizeof(waiter->pattern));
	pg_atomic_fetch_add_u64(&waiter->generation, 1);
	waiter->database = MyDatabaseId;
	waiter->len = len;
	pg_atomic_write_u32(&waiter->store, 0);
	memcpy(waiter->pattern, pattern, len);
	pg_atomic_write_u64(&waiter->wake_at, 0);
	pg_atomic_fetch_add_u64(&waiter->generation, 1);
	pg_atomic_fetch_add_u32(&db->waiters, 1);
	waiter_count_change(db);
}

/*
 * Say which store this session reads, by its number: when it is woken for a
 * position depends on that.  0 is one that is yet to be made.
 */
void
nvs_waiter_set_store(NvsDatabase *db, uint32 store)
{
	NvsWaiter  *waiter = waiter_mine();

	if (pg_atomic_exchange_u32(&waiter->store, store) != store &&
		pg_atomic_read_u64(&waiter->wake_at) != 0)
		nvs_shmem_wake_notifier(db);
}

/*
 * To be called before this session looks for events: it is then woken only for
 * those that come later.
 */
void
nvs_waiter_reset(void)
{
	pg_atomic_write_u64(&waiter_mine()->wake_at, 0);
	pg_memory_barrier();
}

/* Have this session woken when a position is safe, which it may be by now. */
void
nvs_waiter_arm(NvsDatabase *db, int64 position)
{
	waiter_lower(&waiter_mine()->wake_at, position);
	waiter_count_change(db);
	nvs_shmem_wake_notifier(db);
}

/* This session waits no more.  Does not raise. */
void
nvs_waiter_end(NvsDatabase *db)
{
	NvsWaiter  *waiter = waiter_mine();

	pg_atomic_fetch_sub_u32(&db->waiters, 1);
	pg_atomic_fetch_add_u64(&waiter->generation, 1);
	waiter->database = InvalidOid;
	waiter->len = 0;
	pg_atomic_write_u64(&waiter->wake_at, 0);
	pg_atomic_fetch_add_u64(&waiter->generation, 1);
	waiter_count_change(db);
}

/* Tell the notifier that an entry has changed. */
static void
waiter_count_change(NvsDatabase *db)
{
	pg_atomic_fetch_add_u64(&db->waiter_changes, 1);
}

/* Set the position to wake at, unless a lower one is set. */
static void
waiter_lower(pg_atomic_uint64 *wake_at, int64 position)
{
	uint64		old = pg_atomic_read_u64(wake_at);

	while ((old == 0 || old > (uint64) position) &&
		   !pg_atomic_compare_exchange_u64(wake_at, &old, position))
		;
}

/*
 * Read who waits for what.  Who begins after this looks for events that were
 * committed before it himself.
 */
void
nvs_waiters_refresh(NvsDatabase *db)
{
	uint64		changes = pg_atomic_read_u64(&db->waiter_changes);
	int			n = nvs_shmem_slots();
	bool		changed = false;
	int			i;

	if (changes == changes_seen)
		return;
	changes_seen = changes;
	any_armed = true;
	pg_memory_barrier();
	if (known == NULL)
	{
		known = MemoryContextAllocZero(TopMemoryContext,
									   sizeof(KnownWaiter) * n);
		active = MemoryContextAlloc(TopMemoryContext, sizeof(int) * n);
		nbuckets = pg_nextpower2_32(n);
		buckets = MemoryContextAlloc(TopMemoryContext, sizeof(int) * nbuckets);
	}
	for (i = 0; i < n; i++)
		if (pg_atomic_read_u64(&nvs_shmem_waiter(i)->generation) !=
			known[i].generation)
			changed = waiter_read_pattern(i) || changed;
	if (changed)
		waiter_fill_buckets();
}

/*
 * Read the pattern of one session, which may be none.  False when the session
 * is just writing it: there is another change to come.
 */
static bool
waiter_read_pattern(int number)
{
	NvsWaiter  *waiter = nvs_shmem_waiter(number);
	uint64		generation = pg_atomic_read_u64(&waiter->generation);
	char		pattern[NVS_PATTERN_PLAIN_BYTES];
	MemoryContext old;
	int			len;

	/* Copy it; it counts if nobody wrote it meanwhile. */
	if (generation % 2 != 0)
		return false;
	pg_read_barrier();
	len = waiter->database == MyDatabaseId ? waiter->len : 0;
	if (len < 0 || len > sizeof(pattern))
		return false;
	memcpy(pattern, waiter->pattern, len);
	pg_read_barrier();
	if (pg_atomic_read_u64(&waiter->generation) != generation)
		return false;

	/* Know this one in place of that of before. */
	if (known[number].pattern != NULL)
		pfree(known[number].pattern);
	known[number].pattern = NULL;
	known[number].generation = generation;
	old = MemoryContextSwitchTo(TopMemoryContext);
	known[number].pattern = nvs_pattern_parse(pattern, len, NULL);
	MemoryContextSwitchTo(old);
	return true;
}

/* Put all who wait into the buckets again. */
static void
waiter_fill_buckets(void)
{
	int			n = nvs_shmem_slots();
	int			i;

	nactive = 0;
	memset(buckets, -1, sizeof(int) * nbuckets);
	for (i = 0; i < n; i++)
	{
		const NvsPattern *pattern = known[i].pattern;
		uint32		hash = 0;
		int		   *bucket;
		int			j;

		if (pattern == NULL)
			continue;
		active[nactive++] = i;
		for (j = 0; j < pattern->prefix_len; j++)
			hash = waiter_hash_byte(hash, pattern->bytes[j]);
		bucket = waiter_bucket(hash);
		known[i].next = *bucket;
		*bucket = i;
	}
}

/* The hash of what ends with one more byte; of nothing it is 0. */
static uint32
waiter_hash_byte(uint32 hash, unsigned char byte)
{
	return (hash ^ byte) * 16777619 + 1;
}

/* The bucket of a literal beginning. */
static int *
waiter_bucket(uint32 hash)
{
	return &buckets[murmurhash32(hash) & (nbuckets - 1)];
}

/*
 * Note an event with those who wait for its subject.  What a pattern literally
 * begins with ends behind a ":", or it is the whole subject.
 */
void
nvs_waiters_match(const char *subject, int len, int64 position)
{
	uint32		hash = 0;
	int			i;

	if (nactive == 0)
		return;
	waiter_match_bucket(*waiter_bucket(hash), subject, len, position);
	for (i = 0; i < len; i++)
	{
		hash = waiter_hash_byte(hash, subject[i]);
		if (subject[i] == ':' || i == len - 1)
			waiter_match_bucket(*waiter_bucket(hash), subject, len, position);
	}
}

/*
 * Note an event with those in one bucket whose pattern matches its subject;
 * number is the first session in the bucket.
 */
static void
waiter_match_bucket(int number, const char *subject, int len, int64 position)
{
	for (; number >= 0; number = known[number].next)
		if (nvs_pattern_match(known[number].pattern, subject, len, NULL))
		{
			waiter_lower(&nvs_shmem_waiter(number)->wake_at, position);
			any_armed = true;
		}
}

/* Note an event of any subject, with all who wait. */
void
nvs_waiters_arm_all(int64 position)
{
	int			i;

	any_armed = true;
	for (i = 0; i < nactive; i++)
		waiter_lower(&nvs_shmem_waiter(active[i])->wake_at, position);
}

/* Wake those whose event is safe to read. */
void
nvs_waiters_wake(const NvsPositionWatch *watch)
{
	int			i;

	if (!any_armed)
		return;
	any_armed = false;
	for (i = 0; i < nactive; i++)
	{
		NvsWaiter  *waiter = nvs_shmem_waiter(active[i]);
		pg_atomic_uint64 *wake_at = &waiter->wake_at;
		uint64		position = pg_atomic_read_u64(wake_at);
		uint32		store = pg_atomic_read_u32(&waiter->store);

		if (position == 0)
			continue;
		if ((int64) position > nvs_position_watch_safe(watch, store))
		{
			any_armed = true;
			continue;
		}
		(void) pg_atomic_compare_exchange_u64(wake_at, &position, 0);
		nvs_shmem_wake_process(active[i]);
	}
}
