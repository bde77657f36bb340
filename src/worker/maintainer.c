/*
 * worker/maintainer.c
 *	  The process that has a database's stores maintained.
 *
 * It does what nvent.maintain() does, for each store in a transaction of its
 * own and as the store's owner: the process is a superuser, and nothing of a
 * store may run with more rights than its owner has, nor leave them (a
 * security-restricted operation).
 *
 * What runs there may be an owner's, so no store is let keep the others from
 * their turn.  It waits for locks no longer than
 * nvent_store.maintenance_lock_timeout, and is cancelled after
 * nvent_store.maintenance_timeout; what does not let itself be cancelled ends
 * the process, and the next one goes on behind that store.  A store that fails
 * is left alone for a while, the longer the more often it failed, and all that
 * failed in a pass are one line in the log.
 *
 * The process is there while the notifier is, and comes from time to time when
 * it is not.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/advisory.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/statement.h"
#include "base/time.h"
#include "worker/worker.h"

/* Rows that are removed from a store at a time. */
#define BUDGET			1000

/* How long after it was cancelled a store ends the process, in ms. */
#define CANCEL_TIME		1000

/* For how long a store that failed is left alone, in ms: first, and at most. */
#define MIN_BACKOFF		1000
#define MAX_BACKOFF		600000

/* How many stores that failed are named in the log at a time. */
#define MAX_NAMED		10

PGDLLEXPORT void nvs_maintainer_main(Datum arg);

/* A store and its owner. */
typedef struct OwnedStore
{
	uint32		number;
	char	   *prefix;
	Oid			owner;
} OwnedStore;

/* Where a list of stores is put together. */
typedef struct OwnedStores
{
	MemoryContext cxt;
	List	   *list;			/* of OwnedStore, in cxt */
} OwnedStores;

/* A store that failed, by its number. */
typedef struct Backoff
{
	uint32		number;
	int			failures;		/* in a row */
	int64		not_before;		/* an uptime */
} Backoff;

/* What failed in a pass. */
typedef struct Report
{
	int			n;
	StringInfoData detail;
} Report;

static const NvsStatement list_stores = {
	"SELECT s.prefix, c.relowner FROM nvent.store s "
	"JOIN pg_catalog.pg_class c "
	"ON c.oid OPERATOR(pg_catalog.=) s.version_table::pg_catalog.oid"
};

static NvsDatabase *db = NULL;

/* Stores that failed, in TopMemoryContext. */
static List *backoffs = NIL;

/* Ends the process, when cancelling a store did not help. */
static TimeoutId end_timeout;

static void maintainer_begin(void);
static void maintainer_leave_if_gone(void);
static void maintainer_end_process(void);
static void maintainer_pass(void);
static List *maintainer_list(Report *report);
static void maintainer_read_stores(void *arg);
static void maintainer_add_store(TupleTableSlot *slot, void *arg);
static int	maintainer_by_number(const ListCell *a, const ListCell *b);
static int	maintainer_first(const List *stores);
static void maintainer_store(OwnedStore *store, Report *report);
static void maintainer_start_timeouts(void);
static void maintainer_stop_timeouts(void);
static void maintainer_as_owner(void *arg);
static Backoff *maintainer_backoff(uint32 number, bool make);
static void maintainer_failed(uint32 number);
static void maintainer_note(Report *report, const char *prefix,
							const ErrorData *error);
static void maintainer_say(const Report *report);
static bool maintainer_is_needed(void);
static void maintainer_leave(void);

/* Entry point; the argument is the database's OID. */
void
nvs_maintainer_main(Datum arg)
{
	MemoryContext cxt;

	nvs_session_start(NVS_MAINTAINER, DatumGetObjectId(arg));
	maintainer_begin();
	cxt = AllocSetContextCreate(TopMemoryContext, "nvent_store maintenance",
								ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		nvs_session_turn();
		MemoryContextSwitchTo(cxt);
		MemoryContextReset(cxt);
		if (nvs_maintenance_interval > 0)
			maintainer_pass();
		if (!maintainer_is_needed())
			maintainer_leave();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, nvs_maintenance_interval,
						 PG_WAIT_EXTENSION);
	}
}

/* Become the database's maintenance process, or leave. */
static void
maintainer_begin(void)
{
	db = nvs_shmem_database();
	if (db == NULL)
		nvs_session_leave();
	maintainer_leave_if_gone();
	if (!nvs_session_claim())
		nvs_session_leave();
	end_timeout = RegisterTimeout(USER_TIMEOUT, maintainer_end_process);
	/* The one before us did not outlive this store. */
	if (pg_atomic_exchange_u32(&db->maintaining, 0) != 0)
		maintainer_failed(pg_atomic_read_u32(&db->maintained));
}

/* Leave for good when the extension is gone. */
static void
maintainer_leave_if_gone(void)
{
	if (nvs_session_is_installed())
		return;
	pg_atomic_write_u64(&db->next_visit, 0);
	nvs_session_leave();
}

/* Timeout handler: end as when we are told to by an administrator. */
static void
maintainer_end_process(void)
{
	kill(MyProcPid, SIGTERM);
}

/* Have every store maintained that is not left alone. */
static void
maintainer_pass(void)
{
	char		timeout[16];
	Report		report = {0};
	List	   *stores;
	int			first;
	int			i;

	snprintf(timeout, sizeof(timeout), "%d", nvs_maintenance_lock_timeout);
	SetConfigOption("lock_timeout", timeout, PGC_SUSET, PGC_S_OVERRIDE);
	initStringInfo(&report.detail);
	stores = maintainer_list(&report);
	first = maintainer_first(stores);
	for (i = 0; i < list_length(stores); i++)
	{
		OwnedStore *store = list_nth(stores, (first + i) % list_length(stores));
		Backoff    *backoff = maintainer_backoff(store->number, false);

		nvs_session_turn();
		if (backoff == NULL || nvs_uptime() >= backoff->not_before)
			maintainer_store(store, &report);
	}
	maintainer_say(&report);
	pgstat_report_stat(false);
}

/* All stores, in the order of their numbers; leaves without the extension. */
static List *
maintainer_list(Report *report)
{
	OwnedStores stores = {CurrentMemoryContext, NIL};
	ErrorData  *error;

	maintainer_leave_if_gone();
	maintainer_start_timeouts();
	if (!nvs_session_try(maintainer_read_stores, &stores, &error))
		maintainer_note(report, "list of stores", error);
	maintainer_stop_timeouts();
	list_sort(stores.list, maintainer_by_number);
	return stores.list;
}

/* In a transaction: read the stores into arg, an OwnedStores. */
static void
maintainer_read_stores(void *arg)
{
	nvs_spi_begin();
	nvs_execute_each(nvs_statement_plan(NULL, &list_stores, NULL, NULL),
					 NULL, true, maintainer_add_store, arg);
	nvs_spi_end();
}

/* Add a row of list_stores to a list; arg is an OwnedStores. */
static void
maintainer_add_store(TupleTableSlot *slot, void *arg)
{
	OwnedStores *stores = arg;
	MemoryContext old = MemoryContextSwitchTo(stores->cxt);
	OwnedStore *store = palloc(sizeof(OwnedStore));

	slot_getallattrs(slot);
	store->prefix = TextDatumGetCString(slot->tts_values[0]);
	store->owner = DatumGetObjectId(slot->tts_values[1]);
	store->number = nvs_hash(store->prefix, strlen(store->prefix), 0);
	stores->list = lappend(stores->list, store);
	MemoryContextSwitchTo(old);
}

/* For list_sort() of OwnedStore. */
static int
maintainer_by_number(const ListCell *a, const ListCell *b)
{
	uint32		x = ((OwnedStore *) lfirst(a))->number;
	uint32		y = ((OwnedStore *) lfirst(b))->number;

	return x < y ? -1 : x > y;
}

/* Index of the store to begin with: behind the one that was begun last. */
static int
maintainer_first(const List *stores)
{
	uint32		last = pg_atomic_read_u32(&db->maintained);
	ListCell   *lc;

	foreach(lc, stores)
		if (((OwnedStore *) lfirst(lc))->number > last)
		return foreach_current_index(lc);
	return 0;
}

/* Maintain a store; an error ends that and nothing else. */
static void
maintainer_store(OwnedStore *store, Report *report)
{
	Backoff    *backoff;
	ErrorData  *error;
	bool		is_done;

	pgstat_report_activity(STATE_RUNNING, "maintain");
	pg_atomic_write_u32(&db->maintained, store->number);
	pg_atomic_write_u32(&db->maintaining, 1);
	maintainer_start_timeouts();
	is_done = nvs_session_try(maintainer_as_owner, store, &error);
	maintainer_stop_timeouts();
	pg_atomic_write_u32(&db->maintaining, 0);
	if (!is_done)
	{
		maintainer_failed(store->number);
		maintainer_note(report, store->prefix, error);
		return;
	}
	backoff = maintainer_backoff(store->number, false);
	if (backoff == NULL)
		return;
	backoffs = list_delete_ptr(backoffs, backoff);
	pfree(backoff);
}

/* From now on so much time may pass. */
static void
maintainer_start_timeouts(void)
{
	if (nvs_maintenance_timeout == 0)
		return;
	enable_timeout_after(STATEMENT_TIMEOUT, nvs_maintenance_timeout);
	enable_timeout_after(end_timeout, nvs_maintenance_timeout + CANCEL_TIME);
}

/* It was done in time, if only just: nothing is to be cancelled. */
static void
maintainer_stop_timeouts(void)
{
	disable_all_timeouts(false);
	QueryCancelPending = false;
}

/*
 * In a transaction: do what nvent.maintain() does for a store, arg, with the
 * rights of its owner.
 */
static void
maintainer_as_owner(void *arg)
{
	OwnedStore *store = arg;
	NvsIdentity saved;

	nvs_become_role(store->owner, &saved);
	(void) nvs_maintain_pass(BUDGET, store->prefix);
	nvs_become_caller(&saved);
}

/* How often a store has failed, NULL if not; with make, to be filled in. */
static Backoff *
maintainer_backoff(uint32 number, bool make)
{
	MemoryContext old;
	Backoff    *backoff;
	ListCell   *lc;

	foreach(lc, backoffs)
		if (((Backoff *) lfirst(lc))->number == number)
		return lfirst(lc);
	if (!make)
		return NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	backoff = palloc0(sizeof(Backoff));
	backoff->number = number;
	backoffs = lappend(backoffs, backoff);
	MemoryContextSwitchTo(old);
	return backoff;
}

/* A store failed: leave it alone for a while. */
static void
maintainer_failed(uint32 number)
{
	Backoff    *backoff = maintainer_backoff(number, true);
	int64		ms = (int64) MIN_BACKOFF << Min(backoff->failures, 20);

	backoff->failures++;
	backoff->not_before = TimestampTzPlusMilliseconds(nvs_uptime(),
													  Min(ms, MAX_BACKOFF));
}

/* Note for the log that a store failed. */
static void
maintainer_note(Report *report, const char *prefix, const ErrorData *error)
{
	if (report->n++ < MAX_NAMED)
		appendStringInfo(&report->detail, "%s%s: %s",
						 report->n > 1 ? "\n" : "", prefix, error->message);
}

/* Say in the log what failed. */
static void
maintainer_say(const Report *report)
{
	if (report->n == 0)
		return;
	ereport(WARNING,
			(errmsg_plural("maintenance of %d store failed",
						   "maintenance of %d stores failed",
						   report->n, report->n),
			 errdetail_internal("%s", report->detail.data),
			 errhint("It is tried again in a while, and then more and more rarely.")));
}

/* Are we to stay?  While the notifier does, unless others want our place. */
static bool
maintainer_is_needed(void)
{
	return nvs_maintenance_interval > 0 &&
		pg_atomic_read_u32(&db->processes[NVS_NOTIFIER].number) != 0 &&
		nvs_shmem_staffing() != NVS_STAFF_SHORT;
}

/* Leave, to come again when it is time to. */
static void
maintainer_leave(void)
{
	bool		is_active =
		pg_atomic_read_u32(&db->processes[NVS_NOTIFIER].number) != 0;
	int			ms = is_active ? nvs_maintenance_interval : nvs_worker_naptime;
	int64		next_visit = 0;

	if (ms > 0 && nvs_maintenance_interval > 0)
		next_visit = TimestampTzPlusMilliseconds(nvs_uptime(), ms);
	pg_atomic_write_u64(&db->next_visit, next_visit);
	nvs_session_leave();
}
