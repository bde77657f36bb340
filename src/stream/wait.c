/*
 * stream/wait.c
 *	  Waiting until there is something to read.
 *
 * A session that waits looks once, then sleeps until the database's notifier
 * wakes it (wakeup/waiter.c), and looks again.  Without one, and on a
 * standby, it looks every now and then instead.
 *
 * A function is called within a statement, whose snapshot keeps VACUUM from
 * removing anything as long as it waits: it waits nvent_store.max_wait at
 * most.  The procedure, called outside of a transaction block, commits before
 * it sleeps, and holds neither a snapshot nor a lock then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/time.h"
#include "stream/scan.h"
#include "wakeup/waiter.h"

/* How long to sleep, in ms, when nobody wakes us, and when somebody does. */
#define WAIT_NAP_ALONE		50
#define WAIT_NAP_WOKEN		10000

/* Arguments of stream_wait() and stream_await(). */
enum
{
	ARG_PATTERN,
	ARG_AFTER,
	ARG_TIMEOUT,
	ARG_STORE
};

/* A session that waits. */
typedef struct StreamWait
{
	char	   *pattern;
	NvsPattern *compiled;
	char	   *plain;			/* the same, in shared memory */
	char	   *store;			/* NULL for that of the pattern */
	int64		after;			/* what is at or below needs no looking at */
	TimestampTz until;
	bool		commits;		/* we may commit before we sleep */
	NvsDatabase *db;			/* NULL: nobody will wake us */
} StreamWait;

PG_FUNCTION_INFO_V1(nvs_stream_wait);
PG_FUNCTION_INFO_V1(nvs_stream_await);

static void wait_begin(StreamWait *wait, FunctionCallInfo fcinfo);
static bool wait_run(StreamWait *wait);
static void wait_stop(int code, Datum arg);
static bool wait_for_events(StreamWait *wait);
static bool wait_look(StreamWait *wait);
static void wait_sleep(StreamWait *wait, TimestampTz now);

/* nvent.stream_wait(pattern, after, timeout, store): is there anything? */
Datum
nvs_stream_wait(PG_FUNCTION_ARGS)
{
	StreamWait	wait;

	wait_begin(&wait, fcinfo);
	PG_RETURN_BOOL(wait_run(&wait));
}

/* CALL nvent.stream_await(pattern, after, timeout, store) */
Datum
nvs_stream_await(PG_FUNCTION_ARGS)
{
	StreamWait	wait;

	wait_begin(&wait, fcinfo);
	if (SPI_connect_ext(wait.commits ? SPI_OPT_NONATOMIC : 0) !=
		SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
	(void) wait_run(&wait);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	PG_RETURN_VOID();
}

/* Take the arguments; what must outlive a transaction is copied. */
static void
wait_begin(StreamWait *wait, FunctionCallInfo fcinfo)
{
	CallContext *context = (CallContext *) fcinfo->context;
	TimestampTz now = GetCurrentTimestamp();

	NVS_REQUIRE_ARG(ARG_PATTERN, "pattern");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot wait for events in REPEATABLE READ or "
						"SERIALIZABLE"),
				 errdetail("What comes would not be shown by the "
						   "transaction's snapshot.")));
	wait->pattern = text_to_cstring(PG_GETARG_TEXT_PP(ARG_PATTERN));
	wait->after = NVS_ARG_OR(ARG_AFTER, PG_GETARG_INT64, 0);
	wait->store = PG_ARGISNULL(ARG_STORE) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_STORE));
	wait->commits = context != NULL && IsA(context, CallContext) &&
		!context->atomic;
	wait->db = nvs_shmem_database();
	wait->compiled = nvs_pattern_compile(wait->pattern, strlen(wait->pattern));
	wait->plain = nvs_pattern_plain(wait->compiled);

	wait->until = PG_INT64_MAX;
	if (!PG_ARGISNULL(ARG_TIMEOUT))
		wait->until = nvs_after(now, PG_GETARG_INTERVAL_P(ARG_TIMEOUT));
	if (!wait->commits)
		wait->until = Min(wait->until,
						  TimestampTzPlusMilliseconds(now, nvs_max_wait));
}

/* Wait, known to the notifier meanwhile; true when an event came. */
static bool
wait_run(StreamWait *wait)
{
	bool		found;

	if (wait->db == NULL)
		return wait_for_events(wait);
	nvs_waiter_begin(wait->db, wait->plain, strlen(wait->plain));
	PG_ENSURE_ERROR_CLEANUP(wait_stop, PointerGetDatum(wait->db));
	{
		found = wait_for_events(wait);
	}
	PG_END_ENSURE_ERROR_CLEANUP(wait_stop, PointerGetDatum(wait->db));
	nvs_waiter_end(wait->db);
	return found;
}

/* Cleanup on an error and when the process ends: nobody need wake us. */
static void
wait_stop(int code pg_attribute_unused(), Datum arg)
{
	nvs_waiter_end((NvsDatabase *) DatumGetPointer(arg));
}

/* Look and sleep by turns; true when an event came, false when time is up. */
static bool
wait_for_events(StreamWait *wait)
{
	for (;;)
	{
		TimestampTz now;

		CHECK_FOR_INTERRUPTS();
		if (wait->db != NULL)
			nvs_waiter_reset();
		if (wait_look(wait))
			return true;
		now = GetCurrentTimestamp();
		if (now >= wait->until)
			return false;
		if (wait->commits)
			SPI_commit();
		wait_sleep(wait, now);
	}
}

/* Is there an event that can be read?  If it only cannot yet, have us woken. */
static bool
wait_look(StreamWait *wait)
{
	NvsWindow	window;
	NvsScan		scan;
	int64		first = 0;

	nvs_spi_begin();
	memset(&window, 0, sizeof(NvsWindow));
	window.name = wait->store;
	window.patterns = list_make1(wait->compiled);
	window.after = wait->after;
	window.unsettled = true;
	nvs_window_open(&window);
	if (wait->db != NULL)
		nvs_waiter_set_store(wait->db, window.store == NULL ? 0 :
							 window.store->number);
	if (wait->after > window.safe)
		nvs_position_check_cursor(wait->after);
	nvs_scan_init(&scan, &window, wait->pattern);
	scan.upto = PG_INT64_MAX;
	scan.limit = 1;
	nvs_scan_run(&scan);
	if (scan.nfound > 0)
		first = scan.found[0].id;
	nvs_window_close(&window);
	nvs_spi_end();

	if (first > 0 && first <= window.safe)
		return true;
	wait->after = Max(wait->after, window.safe);
	if (first > 0 && wait->db != NULL)
		nvs_waiter_arm(wait->db, first);
	return false;
}

/* Sleep until the notifier wakes us, or it is time to look again. */
static void
wait_sleep(StreamWait *wait, TimestampTz now)
{
	NvsProcess *notifier = wait->db == NULL ? NULL :
		&wait->db->processes[NVS_NOTIFIER];
	long		nap = WAIT_NAP_ALONE;

	if (notifier != NULL && pg_atomic_read_u32(&notifier->number) != 0)
		nap = WAIT_NAP_WOKEN;
	else if (notifier != NULL && !RecoveryInProgress())
		nvs_shmem_wake_notifier(wait->db);
	nap = Min(nap, TimestampDifferenceMilliseconds(now, wait->until));
	InvalidateCatalogSnapshot();
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 nap, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}
