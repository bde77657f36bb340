/*
 * worker/worker.c
 *	  The worker of a database: tells listeners, ticks, has things maintained.
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
#include "access/relation.h"
#include "access/xact.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/plan.h"
#include "position/position.h"
#include "wakeup/outbox.h"
#include "wakeup/ring.h"
#include "wakeup/waiter.h"
#include "worker/worker.h"

/* How often to look for appenders that are too old, in ms. */
#define AGE_INTERVAL	1000

/* Passes follow one another by at least so much, in us. */
#define PASS_INTERVAL	500

/* Blocks of the tick table from which on ticks get rarer. */
#define TICK_BLOCKS		8

PGDLLEXPORT void nvs_worker_main(Datum arg);

PG_FUNCTION_INFO_V1(nvs_worker_status);

/* Our database, and whether the launcher knows why we end. */
static NvsDatabase *db = NULL;
static bool left = false;

/* The tick table, as of when the extension was looked for. */
static Oid	tick_relid = InvalidOid;

/* What there was last time, and when. */
static int64 last_tick = -1;
static TimestampTz last_tick_at = 0;
static TimestampTz last_age_at = 0;
static TimestampTz last_maintenance_at = 0;
static TimestampTz last_activity = 0;

/* The safe position. */
static NvsPositionWatch watch;

/* How many times rarer ticks are than they should be. */
static int	tick_slowness = 1;

static void rest(TimestampTz last_pass);
static void start(Oid oid);
static bool begin_if_extension(void);
static bool claim_database(void);
static void worker_exit(int code, Datum arg);
static void leave(void);
static void pass(TimestampTz now);
static void run_transaction(bool send, bool tick, int64 safe);
static void tick(int64 safe);
static bool tick_is_due(TimestampTz now, int64 safe);
static long nap_time(TimestampTz now, int64 safe);
static bool is_idle(TimestampTz now, int64 safe);
static bool is_over(TimestampTz since, TimestampTz now, long ms);

/* Entry point; the argument is the database's OID. */
void
nvs_worker_main(Datum arg)
{
	MemoryContext cxt;

	start(DatumGetObjectId(arg));
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
		now = GetCurrentTimestamp();
		if (pg_atomic_read_u64(&db->hold_until) > (uint64) now)
			leave();
		pass(now);
		if (is_idle(now, watch.safe))
			leave();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, nap_time(now, watch.safe),
						 PG_WAIT_EXTENSION);
		rest(now);
	}
}

/*
 * Let announcements gather, so that committers that come in close succession
 * do not wake us again and again.
 */
static void
rest(TimestampTz last_pass)
{
	TimestampTz next = last_pass + PASS_INTERVAL;
	TimestampTz now = GetCurrentTimestamp();

	/* The clock may have been set back. */
	if (now >= last_pass && now < next)
		pg_usleep(next - now);
}

/* Connect, and become the database's worker, or end. */
static void
start(Oid oid)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(oid, InvalidOid, 0);
	SetConfigOption("synchronous_commit", "off", PGC_USERSET,
					PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET,
					PGC_S_OVERRIDE);
	if (!begin_if_extension())
		proc_exit(0);
	if (!claim_database())
		proc_exit(0);
	nvs_position_watch_begin(&watch, db);
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	nvs_outbox_init(db);
}

/* Begin a transaction; false, and none, when the extension is not there. */
static bool
begin_if_extension(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* Its tables go with it, and are looked up in a cache. */
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(tick_relid)))
		return true;
	if (OidIsValid(get_extension_oid("nvent_store", true)))
	{
		tick_relid = nvs_registry_table("published_position");
		return true;
	}
	CommitTransactionCommand();
	return false;
}

/* Become the one worker of our database; false when there is one. */
static bool
claim_database(void)
{
	uint32		none = 0;
	bool		asked;

	db = nvs_shmem_database();
	if (db == NULL ||
		!pg_atomic_compare_exchange_u32(&db->worker, &none,
										nvs_my_proc_number() + 1))
		return false;
	/* Until we leave in good order, we are missed when we are gone. */
	asked = pg_atomic_exchange_u32(&db->worker_requested, 1) != 0;
	/* Unless asked for, we came for maintenance, and leave after that. */
	last_activity = asked ? GetCurrentTimestamp() : 0;
	before_shmem_exit(worker_exit, (Datum) 0);
	return true;
}

/* However we end: let others know. */
static void
worker_exit(int code, Datum arg)
{
	if (!left)
		pg_atomic_write_u32(&db->worker_requested, 1);
	pg_atomic_write_u32(&db->wake_on_xact_end, 1);
	pg_atomic_write_u32(&db->worker, 0);
	pg_memory_barrier();
	/* Who came too late to tell us is not told of by anybody else. */
	if (nvs_ring_used(db) > 0 || pg_atomic_read_u32(&db->waiters) > 0)
		pg_atomic_write_u32(&db->worker_requested, 1);
	nvs_shmem_wake_launcher();
}

/* End in good order. */
static void
leave(void)
{
	TimestampTz visit_at = 0;

	if (nvs_worker_naptime > 0)
		visit_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   nvs_worker_naptime);
	pg_atomic_write_u64(&db->next_visit, visit_at);
	pg_atomic_write_u32(&db->worker_requested, 0);
	left = true;
	proc_exit(0);
}

/* Do all that there is to do. */
static void
pass(TimestampTz now)
{
	bool		send;
	bool		ticks;
	int64		safe;
	int64		was_safe;

	if (nvs_outbox_collect(db))
		last_activity = now;
	was_safe = watch.safe;
	/* Nobody announces a prepared transaction's events. */
	if (nvs_position_watch(&watch, now))
		nvs_outbox_want_resync(db);
	safe = watch.safe;
	if (safe != was_safe && was_safe != 0)
		last_activity = now;
	nvs_waiters_wake(safe);
	send = nvs_outbox_is_due(db, safe);
	ticks = tick_is_due(now, safe);
	if (send || ticks)
		run_transaction(send, ticks, safe);
	if (nvs_maintenance_interval > 0 &&
		is_over(last_maintenance_at, now, nvs_maintenance_interval))
	{
		last_maintenance_at = now;
		if (!begin_if_extension())
			leave();
		CommitTransactionCommand();
		nvs_maintain_stores();
	}
	if (nvs_max_append_age > 0 && is_over(last_age_at, now, AGE_INTERVAL))
	{
		last_age_at = now;
		nvs_position_watch_warn(&watch, now);
	}
}

/* One short transaction for what is to be sent and written. */
static void
run_transaction(bool send, bool ticks, int64 safe)
{
	if (!begin_if_extension())
		leave();
	pgstat_report_activity(STATE_RUNNING, send ? "notify" : "publish");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (send)
		nvs_outbox_due(safe);
	if (ticks)
		tick(safe);
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	if (send)
		nvs_outbox_sent(db, safe);
	if (ticks)
	{
		last_tick_at = GetCurrentTimestamp();
		pgstat_report_stat(false);
	}
}

/*
 * Write the tick row.  While an old snapshot keeps its versions from being
 * removed the table grows, and with it the cost of a tick: make them rarer.
 */
static void
tick(int64 safe)
{
	(void) nvs_position_publish_safe();
	last_tick = safe;
	tick_slowness = 1 + nvs_published_position_blocks() / TICK_BLOCKS;
}

/* Has the position advanced, and is it time to write that down? */
static bool
tick_is_due(TimestampTz now, int64 safe)
{
	return nvs_publish_interval > 0 && safe != last_tick &&
		is_over(last_tick_at, now, (long) nvs_publish_interval * tick_slowness);
}

/*
 * How long to sleep unless told.  While there is nothing to write down, or
 * somebody waits, an appender's end has to wake us.  One that ended before it
 * could know that does not: we see it instead.
 */
static long
nap_time(TimestampTz now, int64 safe)
{
	bool		ticking = nvs_publish_interval > 0 && safe != last_tick;
	bool		attentive = !ticking || nvs_outbox_has_pending() ||
		pg_atomic_read_u32(&db->waiters) > 0;
	bool		was_attentive;
	long		nap = Min(60000, nvs_position_watch_nap(&watch));

	was_attentive = pg_atomic_exchange_u32(&db->wake_on_xact_end, attentive) != 0;
	if (attentive && !was_attentive && nvs_position_watch_moved(&watch))
		return 0;
	if (ticking)
		nap = Min(nap, (long) nvs_publish_interval * tick_slowness);
	if (nvs_max_append_age > 0)
		nap = Min(nap, AGE_INTERVAL);
	if (nvs_maintenance_interval > 0)
		nap = Min(nap, nvs_maintenance_interval);
	if (nvs_worker_idle_timeout > 0)
		nap = Min(nap, nvs_worker_idle_timeout);
	return nap;
}

/* Has nothing happened for so long that we can leave? */
static bool
is_idle(TimestampTz now, int64 safe)
{
	return nvs_worker_idle_timeout > 0 &&
		is_over(last_activity, now, nvs_worker_idle_timeout) &&
		(safe == last_tick || nvs_publish_interval == 0) &&
		!nvs_outbox_has_pending() && nvs_position_watch_settled(&watch) &&
		pg_atomic_read_u32(&db->waiters) == 0 &&
		nvs_ring_used(db) == 0;
}

/* Have so many milliseconds passed since then? */
static bool
is_over(TimestampTz since, TimestampTz now, long ms)
{
	return now >= TimestampTzPlusMilliseconds(since, ms);
}

/* nvent.worker_status() */
Datum
nvs_worker_status(PG_FUNCTION_ARGS)
{
	NvsDatabase *mine = nvs_shmem_database();
	TupleDesc	desc;
	Datum		values[5];
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
