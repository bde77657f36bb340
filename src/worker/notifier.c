/*
 * worker/notifier.c
 *	  The notifier of a database: tells listeners and waiting sessions, and
 *	  publishes the safe position.
 *
 * Committers leave announcements in the ring and set the notifier's latch; it
 * is the only one that notifies, so nobody waits for the lock that NOTIFY holds
 * while it commits.  Its own commits do not wait for the disk.
 *
 * It runs nothing of a user's, and waits for no lock that a user may hold, but
 * for NOTIFY's own: what is locked is left for later.  What fails is tried
 * again, the later the more often it failed.  However it ends, nothing is lost:
 * the next one goes on from what shared memory says was told.
 *
 * It leaves by itself when nothing happens for long, when the database is
 * about to be dropped, when the extension is gone from it, and when there are
 * too few background workers for what other databases want.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/identity.h"
#include "base/time.h"
#include "position/position.h"
#include "store/store.h"
#include "wakeup/outbox.h"
#include "wakeup/ring.h"
#include "wakeup/waiter.h"
#include "worker/worker.h"

/* How often to look for appenders that are too old, in ms. */
#define AGE_INTERVAL	1000

/* How often to look whether the extension is still there, in ms. */
#define PRESENCE_INTERVAL	5000

/* Passes follow one another by at least so much, in us. */
#define PASS_INTERVAL	500

/* How long to wait with what is locked or failed, in ms: first, and at most. */
#define MIN_RETRY		100
#define MAX_RETRY		10000

/*
 * Blocks of nvent.published_position from which on it is written more rarely.
 */
#define PUBLISH_BLOCKS	8

PGDLLEXPORT void nvs_notifier_main(Datum arg);

/* Something that may fail, and when to try it next. */
typedef struct Attempt
{
	const char *what;			/* for the log */
	int			failures;		/* in a row */
	int64		next;
} Attempt;

static Attempt telling = {"send notifications", 0, 0};
static Attempt listing = {"list the stores' channels", 0, 0};
static Attempt publishing = {"publish the safe position", 0, 0};

static NvsDatabase *db = NULL;

/* The safe position. */
static NvsPositionWatch watch;

/* How many times rarer it is published than the setting says. */
static int	publish_factor = 1;

/* When this was last done. */
static int64 age_checked_at = 0;
static int64 presence_checked_at = 0;
static int64 visit_asked_at = 0;

/* When something happened that was not our own doing. */
static int64 active_at = 0;

/* Of all stores, while a resync is sent. */
static List *channels = NIL;	/* of NvsOutboxChannel */

static void notifier_begin(void);
static void notifier_watch(void *arg);
static void notifier_pass(int64 now);
static void notifier_take(int64 now);
static void notifier_tell(int64 now);
static void notifier_list_channels(void *arg);
static void notifier_send(void *arg);
static bool notifier_publish_is_due(int64 now);
static bool notifier_is_behind(void);
static void notifier_publish(int64 now);
static void notifier_write_position(void *arg);
static void notifier_hold_extension(void);
static bool notifier_lock(const char *table, LOCKMODE mode);
static bool notifier_try(Attempt *attempt, void (*function) (void *arg),
						 void *arg, int64 now);
static void notifier_later(Attempt *attempt, int64 now);
static void notifier_check_presence(int64 now);
static void notifier_leave_if_gone(void);
static void notifier_ask_for_maintenance(int64 now);
static void notifier_check_age(int64 now);
static bool notifier_is_idle(int64 now);
static long notifier_nap_time(int64 now);
static long notifier_until(long nap, int64 when, int64 now);
static void notifier_rest(int64 last_pass);
static bool notifier_is_over(int64 since, int64 now, long ms);

/* Entry point; the argument is the database's OID. */
void
nvs_notifier_main(Datum arg)
{
	MemoryContext cxt;

	nvs_session_start(NVS_NOTIFIER, DatumGetObjectId(arg));
	cxt = AllocSetContextCreate(TopMemoryContext, "nvent_store notifier",
								ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);
	notifier_begin();
	for (;;)
	{
		int64		now;

		nvs_session_turn();
		MemoryContextSwitchTo(cxt);
		MemoryContextReset(cxt);
		now = nvs_uptime();
		notifier_pass(now);
		if (notifier_is_idle(now))
			nvs_session_leave();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, notifier_nap_time(now),
						 PG_WAIT_EXTENSION);
		notifier_rest(now);
	}
}

/* Become the database's notifier, or leave. */
static void
notifier_begin(void)
{
	ErrorData  *error;
	bool		wanted;

	notifier_leave_if_gone();
	if (!nvs_session_claim())
		nvs_session_leave();
	db = nvs_shmem_database();
	/* Unless wanted, we came to publish the safe position, and leave then. */
	wanted = nvs_shmem_wants_notifier(db);
	active_at = wanted ? nvs_uptime() : 0;
	if (!nvs_session_try(notifier_watch, NULL, &error))
		ThrowErrorData(error);
	nvs_outbox_init(db);
}

/* In a transaction: begin to watch what is settled. */
static void
notifier_watch(void *arg pg_attribute_unused())
{
	notifier_hold_extension();
	nvs_position_watch_begin(&watch, db);
	(void) nvs_position_watch(&watch, nvs_uptime());
}

/* Do all that there is to do. */
static void
notifier_pass(int64 now)
{
	notifier_take(now);
	nvs_waiters_wake(&watch);
	notifier_tell(now);
	nvs_outbox_settle(db);
	if (notifier_publish_is_due(now))
		notifier_publish(now);
	notifier_check_presence(now);
	notifier_ask_for_maintenance(now);
	notifier_check_age(now);
}

/* Take announcements from the ring, and look at the safe position. */
static void
notifier_take(int64 now)
{
	if (nvs_outbox_collect(db))
		active_at = now;
	if (nvs_position_watch(&watch, now) && !nvs_outbox_resync_is_due())
	{
		/* A prepared transaction was ended by none of our hook's callers. */
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
		SetLatch(MyLatch);
	}
	if (watch.changed)
		active_at = now;
}

/* Send what is due, if there is anything; a resync if channels are known. */
static void
notifier_tell(int64 now)
{
	bool		resync = nvs_outbox_resync_is_due() && now >= listing.next;

	channels = NIL;
	if (resync)
		resync = notifier_try(&listing, notifier_list_channels,
							  CurrentMemoryContext, now);
	if (!nvs_outbox_is_due(&watch) && !resync)
		return;
	if (now < telling.next)
		return;
	pgstat_report_activity(STATE_RUNNING, "notify");
	if (notifier_try(&telling, notifier_send, NULL, now))
		nvs_outbox_sent(&watch, resync, channels);
	else
		nvs_outbox_fold();
}

/* In a transaction: list the channels of all stores, in context arg. */
static void
notifier_list_channels(void *arg)
{
	ListCell   *lc;

	notifier_hold_extension();
	foreach(lc, nvs_store_prefixes())
	{
		NvsStore   *store = nvs_store_find_registered(lfirst(lc));
		MemoryContext old;
		NvsOutboxChannel *channel;

		if (store == NULL)
			continue;
		/* The next look may read the registry anew, and free this store. */
		old = MemoryContextSwitchTo(arg);
		channel = palloc(sizeof(NvsOutboxChannel));
		channel->store = store->number;
		channel->channel = pstrdup(store->channel);
		channels = lappend(channels, channel);
		MemoryContextSwitchTo(old);
	}
}

/* In a transaction: send what is due. */
static void
notifier_send(void *arg pg_attribute_unused())
{
	nvs_outbox_send(&watch, channels);
}

/* Has the safe position advanced, and is it time to publish it? */
static bool
notifier_publish_is_due(int64 now)
{
	return now >= publishing.next && notifier_is_behind();
}

/* Is there anything to publish that has not been? */
static bool
notifier_is_behind(void)
{
	return nvs_publish_interval > 0 &&
		!nvs_position_watch_is_published(&watch);
}

/* Publish what is settled. */
static void
notifier_publish(int64 now)
{
	bool		written = false;

	pgstat_report_activity(STATE_RUNNING, "publish");
	if (!notifier_try(&publishing, notifier_write_position, &written, now))
		return;
	if (written)
	{
		nvs_position_watch_published(&watch);
		pg_atomic_write_u64(&db->published,
							nvs_position_watch_safe(&watch, 0));
	}
	publishing.next =
		TimestampTzPlusMilliseconds(nvs_uptime(),
									(long) nvs_publish_interval *
									publish_factor);
	pgstat_report_stat(false);
}

/*
 * In a transaction: write the safe position, unless somebody has locked what
 * that takes; *arg becomes true when it was written.  While an old snapshot
 * keeps versions of the row from being removed the table grows, and with it the
 * cost of writing it: it is done more rarely then.
 */
static void
notifier_write_position(void *arg)
{
	if (!nvs_hold_extension_nowait() ||
		!notifier_lock("published_position", RowExclusiveLock) ||
		!notifier_lock("position_seq", AccessShareLock))
		return;
	*(bool *) arg = nvs_position_publish_unless_locked();
	publish_factor = 1 + nvs_published_position_blocks() / PUBLISH_BLOCKS;
}

/*
 * Keep the extension from being dropped until the end of the transaction; an
 * error when that would take waiting.
 */
static void
notifier_hold_extension(void)
{
	if (!nvs_hold_extension_nowait())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on relation \"%s\"",
						"nvent.store")));
}

/*
 * Lock a relation of the registry until the end of the transaction; false when
 * that would take waiting.
 */
static bool
notifier_lock(const char *table, LOCKMODE mode)
{
	return ConditionalLockRelationOid(nvs_registry_table(table), mode);
}

/*
 * Call a function in a transaction of its own; false when it fails, which the
 * log says once, and it is not to be tried for a while.
 */
static bool
notifier_try(Attempt *attempt, void (*function) (void *arg), void *arg,
			 int64 now)
{
	ErrorData  *error;

	if (nvs_session_try(function, arg, &error))
	{
		attempt->failures = 0;
		return true;
	}
	/* DROP EXTENSION has the same effect as many a mishap. */
	notifier_leave_if_gone();
	if (attempt->failures == 0)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not %s: %s", attempt->what, error->message),
				 errhint("It is tried again until it works.")));
	notifier_later(attempt, now);
	return false;
}

/* Have something that failed tried later. */
static void
notifier_later(Attempt *attempt, int64 now)
{
	int			ms = Min(MAX_RETRY, MIN_RETRY << Min(attempt->failures, 10));

	attempt->failures++;
	attempt->next = TimestampTzPlusMilliseconds(now, ms);
}

/* Leave when the extension is gone, when it is time to look. */
static void
notifier_check_presence(int64 now)
{
	if (!notifier_is_over(presence_checked_at, now, PRESENCE_INTERVAL))
		return;
	presence_checked_at = now;
	notifier_leave_if_gone();
}

/* Leave when the extension is gone: then there is nobody to tell anything. */
static void
notifier_leave_if_gone(void)
{
	NvsDatabase *mine = nvs_shmem_find_database(MyDatabaseId);
	NvsOutboxCounts before;

	/* What comes after this may be of the extension, made again. */
	if (mine != NULL)
		before = nvs_outbox_counts(mine);
	if (nvs_session_is_installed())
		return;
	if (mine != NULL)
		nvs_outbox_discard(mine, &before);
	nvs_session_leave();
}

/*
 * Have the process for maintenance started, if it is not there.  It may have
 * left for longer, when there was no notifier.
 */
static void
notifier_ask_for_maintenance(int64 now)
{
	int64		next_visit = pg_atomic_read_u64(&db->next_visit);

	if (nvs_maintenance_interval == 0 ||
		pg_atomic_read_u32(&db->processes[NVS_MAINTAINER].number) != 0 ||
		!notifier_is_over(visit_asked_at, now, nvs_maintenance_interval))
		return;
	visit_asked_at = now;
	if (next_visit != 0 && !notifier_is_over(now, next_visit,
											 nvs_maintenance_interval))
		return;
	pg_atomic_write_u64(&db->next_visit, now);
	nvs_shmem_wake_launcher();
}

/* Name in the log who appends for too long, when it is time to look. */
static void
notifier_check_age(int64 now)
{
	if (nvs_max_append_age == 0 ||
		!notifier_is_over(age_checked_at, now, AGE_INTERVAL))
		return;
	age_checked_at = now;
	nvs_position_watch_warn(&watch);
}

/*
 * Can we leave?  When nothing has happened for long; or when there is nothing
 * to do at the moment, and others wait for a background worker.
 */
static bool
notifier_is_idle(int64 now)
{
	if (nvs_outbox_has_pending() || nvs_shmem_is_untold(db) ||
		!nvs_position_watch_settled(&watch) || notifier_is_behind())
		return false;
	if (nvs_shmem_staffing() == NVS_STAFF_SHORT)
		return true;
	return nvs_worker_idle_timeout > 0 &&
		notifier_is_over(active_at, now, nvs_worker_idle_timeout) &&
		pg_atomic_read_u32(&db->waiters) == 0;
}

/*
 * How long to sleep, in ms, if nobody wakes us.  While there is nothing to
 * publish, or somebody waits, every appender's end has to wake us.  One that
 * ended before it could know that does not: we see it instead.
 */
static long
notifier_nap_time(int64 now)
{
	bool		is_behind = notifier_is_behind();
	bool		every_end = !is_behind || nvs_outbox_has_pending() ||
		pg_atomic_read_u32(&db->waiters) > 0;
	bool		was_every_end;
	long		nap = Min(nvs_position_watch_nap(&watch), PRESENCE_INTERVAL);

	was_every_end = pg_atomic_exchange_u32(&db->wake_on_xact_end,
										   every_end) != 0;
	if (every_end && !was_every_end && nvs_position_watch_moved(&watch))
		return 0;
	if (is_behind)
		nap = notifier_until(nap, publishing.next, now);
	if (nvs_outbox_has_pending())
		nap = notifier_until(notifier_until(nap, telling.next, now),
							 listing.next, now);
	if (nvs_max_append_age > 0)
		nap = Min(nap, AGE_INTERVAL);
	if (nvs_maintenance_interval > 0)
		nap = Min(nap, nvs_maintenance_interval);
	if (nvs_worker_idle_timeout > 0)
		nap = Min(nap, nvs_worker_idle_timeout);
	return nap;
}

/* The shorter of nap and the time until then, if that is to come. */
static long
notifier_until(long nap, int64 when, int64 now)
{
	if (when <= now)
		return nap;
	return Min(nap, (long) ((when - now + 999) / 1000));
}

/*
 * Let announcements gather, so that committers that come in close succession
 * do not wake us again and again.
 */
static void
notifier_rest(int64 last_pass)
{
	int64		next = last_pass + PASS_INTERVAL;
	int64		now = nvs_uptime();

	if (now < next)
		pg_usleep(next - now);
}

/* Have so many milliseconds passed since then? */
static bool
notifier_is_over(int64 since, int64 now, long ms)
{
	return now >= TimestampTzPlusMilliseconds(since, ms);
}
