/*
 * wakeup/wait.c
 *	  Waiting by turns: look, sleep, look again.
 *
 * A function is called within a statement, whose snapshot keeps VACUUM from
 * removing anything as long as it waits: it waits nvent_store.max_wait at
 * most.  A procedure, called outside of a transaction block, commits before
 * it sleeps, and holds neither a snapshot nor a lock then.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/pidfile.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/guc.h"
#include "base/time.h"
#include "wakeup/wait.h"

/* How often to look whether the server is to stop, in ms. */
#define STOP_INTERVAL	5000

static void wait_sleep(const NvsWait *wait);
static long wait_nap(const NvsWait *wait, int64 until);
static void wait_check_server(void);

/*
 * Begin a call that waits for as long as argument timeout says, NULL being for
 * good, or as a function may.
 */
void
nvs_wait_init(NvsWait *wait, FunctionCallInfo fcinfo, int timeout)
{
	CallContext *context = (CallContext *) fcinfo->context;
	int64		now = nvs_uptime();

	memset(wait, 0, sizeof(NvsWait));
	wait->commits = context != NULL && IsA(context, CallContext) &&
		!context->atomic;
	wait->until = PG_INT64_MAX;
	if (!PG_ARGISNULL(timeout))
	{
		TimestampTz began = GetCurrentTimestamp();
		TimestampTz ends = nvs_after(began, PG_GETARG_INTERVAL_P(timeout));

		if (!TIMESTAMP_IS_NOEND(ends))
			wait->until = now + (ends > began ? ends - began : 0);
	}
	if (!wait->commits)
		wait->until = Min(wait->until,
						  TimestampTzPlusMilliseconds(now, nvs_max_wait));
}

/*
 * Look and sleep by turns; true when there was something, false when time is
 * up.  What outlives a transaction must not lie in its memory.
 */
bool
nvs_wait_run(NvsWait *wait)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (wait->look(wait))
			return true;
		if (nvs_uptime() >= wait->until)
			return false;
		if (wait->commits)
			SPI_commit();
		wait_sleep(wait);
	}
}

/*
 * Sleep until somebody wakes us, or it is time to look again: by the clock, as
 * what comes due does, but no longer than that was to take when it was found
 * out.  Whoever sets the clock back does not have us sleep until it has caught
 * up.
 */
static void
wait_sleep(const NvsWait *wait)
{
	int64		until = Min(wait->until, nvs_uptime() +
							wait->look_at - GetCurrentTimestamp());
	long		nap;

	while ((nap = wait_nap(wait, until)) > 0 &&
		   (wait->is_woken == NULL || !wait->is_woken()))
	{
		int			events;

		InvalidateCatalogSnapshot();
		events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						   WL_EXIT_ON_PM_DEATH, Min(nap, STOP_INTERVAL),
						   PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if ((events & WL_LATCH_SET) != 0 && wait->is_woken == NULL)
			return;
		if (nap > STOP_INTERVAL && (events & WL_TIMEOUT) != 0)
			wait_check_server();
	}
}

/* How many ms to sleep, until an uptime or the clock shows look_at. */
static long
wait_nap(const NvsWait *wait, int64 until)
{
	int64		left = Min(until - nvs_uptime(),
						   wait->look_at - GetCurrentTimestamp());

	return (long) Min((left + 999) / 1000, INT_MAX);
}

/*
 * Raise an error when the server is to stop as soon as all sessions have ended:
 * nobody tells them, and one that waits would keep it from that for good.
 */
static void
wait_check_server(void)
{
	char		line[MAXPGPATH];
	FILE	   *file = AllocateFile("postmaster.pid", "r");
	int			i;
	bool		stops = false;

	if (file == NULL)
		return;
	for (i = 1; fgets(line, sizeof(line), file) != NULL; i++)
		if (i == LOCK_FILE_LINE_PM_STATUS)
			stops = strncmp(line, PM_STATUS_STOPPING,
							strlen(PM_STATUS_STOPPING)) == 0;
	FreeFile(file);
	if (stops)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("cannot wait while the server is to stop"),
				 errhint("It stops when this session ends.")));
}

/* Connect a procedure to SPI, so that it can commit if it may. */
void
nvs_wait_connect(const NvsWait *wait)
{
	if (SPI_connect_ext(wait->commits ? SPI_OPT_NONATOMIC : 0) !=
		SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
}

/* End what nvs_wait_connect() began. */
void
nvs_wait_finish(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}
