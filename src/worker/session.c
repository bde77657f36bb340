/*
 * worker/session.c
 *	  What the processes of a database have in common: how they begin, what
 *	  they have set, and how they leave.
 *
 * They are superusers, and work for everybody: what the owner of a database, or
 * whoever administers roles, has set for the database or for the superuser must
 * not reach them.  Whatever matters is therefore set, in a way that goes before
 * all of these and before the server's configuration.
 *
 * An error in a transaction of theirs does not end them (nvs_session_try()).
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/time.h"
#include "worker/worker.h"

/* A setting that none but us may have changed. */
typedef struct SessionSetting
{
	const char *name;
	const char *value;
} SessionSetting;

static const SessionSetting settings[] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "on"},
	{"session_replication_role", "origin"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"transaction_timeout", "0"},
	{"synchronous_commit", "off"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"gin_fuzzy_search_limit", "0"},
	{"exit_on_error", "off"},
	{"plan_cache_mode", "auto"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
};

/* What we are, of which database, and whether we end in good order. */
static NvsProcessKind kind;
static NvsDatabase *db = NULL;
static bool done = false;

static void session_exit(int code, Datum arg);
static void session_failed(ErrorData **error);

/*
 * Connect to a database as a process of that kind.  A notifier may do so where
 * connections are not allowed: those who are there still listen.
 */
void
nvs_session_start(NvsProcessKind my_kind, Oid database)
{
	int			i;

	kind = my_kind;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	/* There is nothing of a user's in a notifier that could be cancelled. */
	if (kind == NVS_NOTIFIER)
		pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid,
											  kind == NVS_NOTIFIER ?
											  BGWORKER_BYPASS_ALLOWCONN : 0);
	for (i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i].name, true, false) != NULL)
			SetConfigOption(settings[i].name, settings[i].value, PGC_SUSET,
							PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Become the one process of our kind in our database; false if there is one. */
bool
nvs_session_claim(void)
{
	uint32		none = 0;

	db = nvs_shmem_database();
	if (db == NULL ||
		!pg_atomic_compare_exchange_u32(&db->processes[kind].number, &none,
										nvs_my_proc_number() + 1))
		return false;
	before_shmem_exit(session_exit, (Datum) 0);
	return true;
}

/* before_shmem_exit callback: however we end, others are to know. */
static void
session_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	if (kind == NVS_NOTIFIER)
		pg_atomic_write_u32(&db->wake_on_xact_end, 1);
	else if (!done)
		pg_atomic_write_u64(&db->next_visit, nvs_uptime());
	pg_atomic_write_u32(&db->processes[kind].number, 0);
	pg_memory_barrier();
	/* A committer may have missed our exit: have the launcher look. */
	nvs_shmem_wake_launcher();
}

/* End in good order. */
void
nvs_session_leave(void)
{
	NvsDatabase *mine = nvs_shmem_find_database(MyDatabaseId);

	if (mine != NULL)
		pg_atomic_fetch_add_u32(&mine->processes[kind].leaves, 1);
	done = true;
	proc_exit(0);
}

/* Begin another turn of our loop: leaves when nobody may be connected. */
void
nvs_session_turn(void)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (db != NULL && pg_atomic_read_u32(&db->holds) != 0)
		nvs_session_leave();
}

/* Is the extension in our database?  In a transaction of its own. */
bool
nvs_session_is_installed(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	bool		installed;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	installed = nvs_is_installed();
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return installed;
}

/*
 * Call a function in a transaction of its own, with a snapshot.  False when
 * that raised an error: it is rolled back then, and *error is the error, in the
 * current memory context.
 */
bool
nvs_session_try(void (*function) (void *arg), void *arg, ErrorData **error)
{
	MemoryContext cxt = CurrentMemoryContext;

	*error = NULL;
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		function(arg);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		session_failed(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	pgstat_report_activity(STATE_IDLE, NULL);
	return *error == NULL;
}

/* Recover from an error, which is copied to *error. */
static void
session_failed(ErrorData **error)
{
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	*error = CopyErrorData();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
}
