/*
 * stream/wait.c
 *	  Waiting until there is something to read.
 *
 * A session that waits looks once, then sleeps until the database's notifier
 * wakes it (wakeup/waiter.c), and looks again.  Without one, and on a
 * standby, it looks every now and then instead.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "stream/scan.h"
#include "wakeup/wait.h"
#include "wakeup/waiter.h"

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
	NvsWait		wait;			/* first */
	char	   *pattern;
	NvsPattern *compiled;
	char	   *plain;			/* the same, in shared memory */
	char	   *store;			/* NULL for that of the pattern */
	int64		after;			/* what is at or below needs no looking at */
	NvsDatabase *db;			/* NULL: nobody will wake us */
} StreamWait;

PG_FUNCTION_INFO_V1(nvs_stream_wait);
PG_FUNCTION_INFO_V1(nvs_stream_await);

static void wait_begin(StreamWait *wait, FunctionCallInfo fcinfo);
static bool wait_run(StreamWait *wait);
static void wait_stop(int code, Datum arg);
static bool wait_look(NvsWait *base);
static int64 wait_find(const StreamWait *wait, int64 *safe);
static long wait_nap(const StreamWait *wait);

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
	nvs_wait_connect(&wait.wait);
	(void) wait_run(&wait);
	nvs_wait_finish();
	PG_RETURN_VOID();
}

/* Take the arguments; what must outlive a transaction is copied. */
static void
wait_begin(StreamWait *wait, FunctionCallInfo fcinfo)
{
	NVS_REQUIRE_ARG(ARG_PATTERN, "pattern");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot wait for events in REPEATABLE READ or "
						"SERIALIZABLE"),
				 errdetail("What comes would not be shown by the "
						   "transaction's snapshot.")));
	nvs_wait_init(&wait->wait, fcinfo, ARG_TIMEOUT);
	wait->wait.look = wait_look;
	wait->pattern = text_to_cstring(PG_GETARG_TEXT_PP(ARG_PATTERN));
	wait->after = NVS_ARG_OR(ARG_AFTER, PG_GETARG_INT64, 0);
	wait->store = PG_ARGISNULL(ARG_STORE) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_STORE));
	wait->db = nvs_shmem_database();
	wait->compiled = nvs_pattern_compile(wait->pattern, strlen(wait->pattern));
	wait->plain = nvs_pattern_plain(wait->compiled);
}

/* Wait, known to the notifier meanwhile; true when an event came. */
static bool
wait_run(StreamWait *wait)
{
	bool		found;

	if (wait->db == NULL)
		return nvs_wait_run(&wait->wait);
	nvs_waiter_begin(wait->db, wait->plain, strlen(wait->plain));
	PG_ENSURE_ERROR_CLEANUP(wait_stop, PointerGetDatum(wait->db));
	{
		found = nvs_wait_run(&wait->wait);
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

/*
 * Is there an event that can be read?  If it only cannot yet, have us woken.
 * An NvsWait's function: sets when to look again.
 */
static bool
wait_look(NvsWait *base)
{
	StreamWait *wait = (StreamWait *) base;
	int64		first;
	int64		safe;

	/* What is told from here on wakes us, and what was before can be found. */
	if (wait->db != NULL)
		nvs_waiter_reset();
	first = wait_find(wait, &safe);
	if (first > 0 && first <= safe)
		return true;

	/* What is settled need not be looked at again; first is to be. */
	wait->after = Max(wait->after, safe);
	if (first > 0 && wait->db != NULL)
		nvs_waiter_arm(wait->db, first);
	base->look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												wait_nap(wait));
	return false;
}

/*
 * The position of the first event that can be seen, settled or not; 0 when
 * there is none.  *safe is the safe position.
 */
static int64
wait_find(const StreamWait *wait, int64 *safe)
{
	NvsWindow	window;
	NvsScan		scan;
	int64		first;

	nvs_spi_begin();
	memset(&window, 0, sizeof(NvsWindow));
	window.name = wait->store;
	window.patterns = list_make1(wait->compiled);
	window.after = wait->after;
	window.unsettled = true;
	nvs_window_open(&window);
	*safe = window.safe;

	/* Which store it is, which the notifier judges positions by. */
	if (wait->db != NULL)
		nvs_waiter_set_store(wait->db, window.store == NULL ? 0 :
							 window.store->number);
	if (wait->after > window.safe)
		nvs_position_check_cursor(wait->after);

	/* One is enough to know. */
	nvs_scan_init(&scan, &window, wait->pattern);
	scan.upto = PG_INT64_MAX;
	scan.limit = 1;
	nvs_scan_run(&scan);
	first = scan.nfound > 0 ? scan.found[0].id : 0;
	nvs_window_close(&window);
	nvs_spi_end();
	return first;
}

/* How long to sleep, in ms: not for long unless there is a notifier. */
static long
wait_nap(const StreamWait *wait)
{
	if (wait->db == NULL)
		return NVS_NAP_ALONE;
	if (pg_atomic_read_u32(&wait->db->processes[NVS_NOTIFIER].number) != 0)
		return NVS_NAP_WOKEN;
	if (!RecoveryInProgress())
		nvs_shmem_wake_notifier(wait->db);
	return NVS_NAP_ALONE;
}
