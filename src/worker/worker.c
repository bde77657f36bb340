/*
 * worker/worker.c
 *	  The worker of a database: notifies, publishes, has things maintained.
 *
 * Committers leave announcements in the ring and set the worker's latch; the
 * worker is the only one that notifies, so nobody waits for the lock that
 * NOTIFY holds while it commits.  Its own commits do not wait for the disk.
 *
 * It raises errors like any session, and ends: the launcher starts another
 * one (worker/launcher.c), and nothing is lost that way (wakeup/outbox.c).
 * It leaves by itself when nothing happens for long, when the database is
 * about to be dropped, and when the extension is gone from it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/guc.h"
#include "base/identity.h"
#include "position/position.h"
#include "store/store.h"
#include "wakeup/outbox.h"
#include "wakeup/ring.h"
#include "wakeup/waiter.h"
#include "worker/worker.h"

/* How often to look for appenders that are too old, in ms. */
#define AGE_INTERVAL	1000

/* Passes follow one another by at least so much, in us. */
#define PASS_INTERVAL	500

/* So many blocks of nvent.published_position make it be written more rarely. */
#define PUBLISH_BLOCKS	8

PGDLLEXPORT void nvs_worker_main(Datum arg);

PG_FUNCTION_INFO_V1(nvs_worker_status);

/* Our database, and whether we end because there is nothing to do. */
static NvsDatabase *db = NULL;
static bool done = false;

/* The safe positions. */
static NvsPositionWatch watch;

/* When we published them last. */
static TimestampTz published_at = 0;

/* How many times rarer it is published than the setting says. */
static int	publish_factor = 1;

/* When this was last done. */
static TimestampTz age_checked_at = 0;
static TimestampTz maintained_at = 0;

/* When something happened that was not our own doing. */
static TimestampTz active_at = 0;

static void worker_start(Oid oid);
static bool worker_begin(void);
static bool worker_claim_database(void);
static void worker_exit(int code, Datum arg);
static void worker_leave(void);
static void worker_pass(TimestampTz now);
static void worker_take(TimestampTz now);
static bool worker_publish_is_due(TimestampTz now);
static void worker_tell(bool send, bool publish);
static void worker_send(void);
static void worker_publish(void);
static void worker_maintain(TimestampTz now);
static void worker_check_age(TimestampTz now);
static bool worker_is_idle(TimestampTz now);
static long worker_nap_time(void);
static void worker_rest(TimestampTz last_pass);
static bool worker_is_over(TimestampTz since, TimestampTz now, long ms);

/* Entry point; the argument is the database's OID. */
void
nvs_worker_main(Datum arg)
{
	MemoryContext cxt;

	worker_start(DatumGetObjectId(arg));
	cxt = AllocSetContextCreate(TopMemoryContext, "nvent_store worker",
								ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz now;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextSwitchTo(cxt);
		MemoryContextReset(cxt);

		/* Nobody may be connected: leave at once. */
		now = GetCurrentTimestamp();
		if (pg_atomic_read_u64(&db->hold_until) > (uint64) now)
			worker_leave();
		worker_pass(now);
		if (worker_is_idle(now))
			worker_leave();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, worker_nap_time(),
						 PG_WAIT_EXTENSION);
		worker_rest(now);
	}
}

/* Connect, and become the database's worker, or end. */
static void
worker_start(Oid oid)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(oid, InvalidOid, 0);
	SetConfigOption("synchronous_commit", "off", PGC_USERSET,
					PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET,
					PGC_S_OVERRIDE);
	if (!worker_begin())
		proc_exit(0);
	if (!worker_claim_database())
		proc_exit(0);
	nvs_position_watch_begin(&watch, db);
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	nvs_outbox_init(db);
}

/* Begin a transaction; false, and none, when the extension is not there. */
static bool
worker_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (nvs_hold_extension())
		return true;
	CommitTransactionCommand();
	return false;
}

/* Become the one worker of our database; false when there is one. */
static bool
worker_claim_database(void)
{
	uint32		none = 0;
	bool		requested;

	db = nvs_shmem_database();
	if (db == NULL ||
		!pg_atomic_compare_exchange_u32(&db->worker, &none,
										nvs_my_proc_number() + 1))
		return false;
	/* Until we leave in good order, we are missed when we are gone. */
	requested = pg_atomic_exchange_u32(&db->worker_requested, 1) != 0;
	/* Unless requested, we came for maintenance, and leave after that. */
	active_at = requested ? GetCurrentTimestamp() : 0;
	before_shmem_exit(worker_exit, (Datum) 0);
	return true;
}

/* before_shmem_exit callback: however we end, others are to know. */
static void
worker_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	if (!done)
		pg_atomic_write_u32(&db->worker_requested, 1);
	pg_atomic_write_u32(&db->wake_on_xact_end, 1);
	pg_atomic_write_u32(&db->worker, 0);
	pg_memory_barrier();
	/* A committer may have missed our exit: ask for a new worker. */
	if (nvs_ring_used(db) > 0 || pg_atomic_read_u32(&db->waiters) > 0)
		pg_atomic_write_u32(&db->worker_requested, 1);
	nvs_shmem_wake_launcher();
}

/* End in good order, to be started again when needed or after a while. */
static void
worker_leave(void)
{
	TimestampTz next_visit = 0;

	if (nvs_worker_naptime > 0)
		next_visit = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 nvs_worker_naptime);
	pg_atomic_write_u64(&db->next_visit, next_visit);
	pg_atomic_write_u32(&db->worker_requested, 0);
	done = true;
	proc_exit(0);
}

/* Do all that there is to do. */
static void
worker_pass(TimestampTz now)
{
	bool		send;
	bool		publish;

	worker_take(now);
	nvs_waiters_wake(&watch);
	send = nvs_outbox_is_due(&watch);
	publish = worker_publish_is_due(now);
	if (send || publish)
		worker_tell(send, publish);
	worker_maintain(now);
	worker_check_age(now);
}

/* Take announcements from the ring, and look at the safe position. */
static void
worker_take(TimestampTz now)
{
	if (nvs_outbox_collect(db))
		active_at = now;
	/* Nobody announces the events of a prepared transaction. */
	if (nvs_position_watch(&watch, now))
		nvs_outbox_request_resync(db);
	if (watch.changed)
		active_at = now;
}

/* Has the safe position advanced, and is it time to publish it? */
static bool
worker_publish_is_due(TimestampTz now)
{
	return nvs_publish_interval > 0 &&
		!nvs_position_watch_is_published(&watch) &&
		worker_is_over(published_at, now,
					   (long) nvs_publish_interval * publish_factor);
}

/* Send notifications and publish the safe position, in one transaction. */
static void
worker_tell(bool send, bool publish)
{
	if (!worker_begin())
		worker_leave();
	pgstat_report_activity(STATE_RUNNING, send ? "notify" : "publish");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (send)
		worker_send();
	if (publish)
		worker_publish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	if (send)
		nvs_outbox_sent(&watch);
	if (publish)
	{
		published_at = GetCurrentTimestamp();
		pgstat_report_stat(false);
	}
}

/* Send what is due; a resync goes to the channels of all stores. */
static void
worker_send(void)
{
	List	   *channels = NIL;
	ListCell   *lc;

	if (nvs_outbox_resync_is_due(&watch))
		foreach(lc, nvs_store_prefixes())
	{
		NvsStore   *store = nvs_store_find(lfirst(lc), strlen(lfirst(lc)));

		/* The next look may read the registry anew, and free this store. */
		if (store != NULL)
			channels = lappend(channels, pstrdup(store->channel));
	}
	nvs_outbox_send(&watch, channels);
}

/*
 * Publish the safe position.  While an old snapshot keeps versions of the row
 * from being removed the table grows, and with it the cost of writing it: do it
 * more rarely.
 */
static void
worker_publish(void)
{
	(void) nvs_position_publish_safe();
	nvs_position_watch_published(&watch);
	publish_factor = 1 + nvs_published_position_blocks() / PUBLISH_BLOCKS;
}

/* Have the stores maintained, when it is time to. */
static void
worker_maintain(TimestampTz now)
{
	if (nvs_maintenance_interval == 0 ||
		!worker_is_over(maintained_at, now, nvs_maintenance_interval))
		return;
	maintained_at = now;
	if (!worker_begin())
		worker_leave();
	CommitTransactionCommand();
	nvs_maintain_stores();
}

/* Name in the log who appends for too long, when it is time to look. */
static void
worker_check_age(TimestampTz now)
{
	if (nvs_max_append_age == 0 ||
		!worker_is_over(age_checked_at, now, AGE_INTERVAL))
		return;
	age_checked_at = now;
	nvs_position_watch_warn(&watch, now);
}

/* Has nothing happened for so long that we can leave? */
static bool
worker_is_idle(TimestampTz now)
{
	return nvs_worker_idle_timeout > 0 &&
		worker_is_over(active_at, now, nvs_worker_idle_timeout) &&
		(nvs_publish_interval == 0 ||
		 nvs_position_watch_is_published(&watch)) &&
		!nvs_outbox_has_pending() && nvs_position_watch_settled(&watch) &&
		pg_atomic_read_u32(&db->waiters) == 0 && nvs_ring_used(db) == 0;
}

/*
 * How long to sleep, in ms, if nobody wakes us.  While there is nothing to
 * publish, or somebody waits, every appender's end has to wake us.  One that
 * ended before it could know that does not: we see it instead.
 */
static long
worker_nap_time(void)
{
	bool		publishing = nvs_publish_interval > 0 &&
		!nvs_position_watch_is_published(&watch);
	bool		every_end = !publishing || nvs_outbox_has_pending() ||
		pg_atomic_read_u32(&db->waiters) > 0;
	bool		was_every_end;
	long		nap = nvs_position_watch_nap(&watch);

	was_every_end = pg_atomic_exchange_u32(&db->wake_on_xact_end,
										   every_end) != 0;
	if (every_end && !was_every_end && nvs_position_watch_moved(&watch))
		return 0;
	nap = Min(nap, 60000);
	if (publishing)
		nap = Min(nap, (long) nvs_publish_interval * publish_factor);
	if (nvs_max_append_age > 0)
		nap = Min(nap, AGE_INTERVAL);
	if (nvs_maintenance_interval > 0)
		nap = Min(nap, nvs_maintenance_interval);
	if (nvs_worker_idle_timeout > 0)
		nap = Min(nap, nvs_worker_idle_timeout);
	return nap;
}

/*
 * Let announcements gather, so that committers that come in close succession
 * do not wake us again and again.
 */
static void
worker_rest(TimestampTz last_pass)
{
	TimestampTz next = last_pass + PASS_INTERVAL;
	TimestampTz now = GetCurrentTimestamp();

	/* The clock may have been set back. */
	if (now >= last_pass && now < next)
		pg_usleep(next - now);
}

/* Have so many milliseconds passed since then? */
static bool
worker_is_over(TimestampTz since, TimestampTz now, long ms)
{
	return now >= TimestampTzPlusMilliseconds(since, ms);
}

/* nvent.worker_status() */
Datum
nvs_worker_status(PG_FUNCTION_ARGS)
{
	NvsDatabase *mine = nvs_shmem_database();
	TupleDesc	desc;
	Datum		values[5] = {0};
	bool		nulls[5] = {true, true, true, true, true};
	uint32		worker;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");
	if (mine != NULL)
	{
		memset(nulls, false, sizeof(nulls));
		worker = pg_atomic_read_u32(&mine->worker);
		nulls[0] = worker == 0;
		if (worker > 0)
			values[0] = Int32GetDatum(GetPGProcByNumber(worker - 1)->pid);
		values[1] = BoolGetDatum(pg_atomic_read_u32(&mine->has_unsent) != 0);
		values[2] = Int64GetDatum((int64) nvs_ring_used(mine));
		values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&mine->resyncs));
		values[4] = Int32GetDatum(pg_atomic_read_u32(&mine->waiters));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
