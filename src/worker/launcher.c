/*
 * worker/launcher.c
 *	  Starts a database's worker when it is needed, and keeps it away.
 *
 * The launcher is connected to no database.  After a server start it sends a
 * worker to each, since only there can be seen whether the extension is in
 * it; later it starts workers for databases that ask for one (wanted) or
 * have not been visited for long (visit_at).  A worker is not restarted by
 * the postmaster, as its database may be gone.
 *
 * A connected worker would be in the way of DROP DATABASE and the like, so
 * their statements ask it to leave first, and keep the launcher from sending
 * another one until they are done.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "worker/worker.h"

/* Seconds between the tries to start a worker that does not stay. */
#define MAX_BACKOFF		30

/* How long a statement may keep workers away, in ms, if it never ends. */
#define HOLD_TIME		600000

/* How long to wait for a worker to leave, in ms. */
#define LEAVE_TIME		5000

PGDLLEXPORT void nvs_launcher_main(Datum arg);

/* A worker that was started, or is to be. */
typedef struct Job
{
	Oid			database;
	BackgroundWorkerHandle *handle; /* NULL: is to be started */
	TimestampTz started_at;
	TimestampTz not_before;
	int			failures;		/* in a row */
	bool		visit;			/* goes to see whether there is work */
} Job;

static List *jobs = NIL;
static ProcessUtility_hook_type prev_ProcessUtility = NULL;

static void launcher_exit(int code, Datum arg);
static List *list_databases(void);
static void note_wanted(TimestampTz now);
static void note_job(Oid database, bool visit);
static bool advance_job(Job *job, TimestampTz now);
static bool database_is_gone(Oid database);
static void start_job(Job *job, TimestampTz now);
static long next_nap(TimestampTz now);
static void utility(PlannedStmt *pstmt, const char *query, bool read_only,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *env, DestReceiver *dest,
					QueryCompletion *qc);
static void run_utility(PlannedStmt *pstmt, const char *query,
						bool read_only, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *env,
						DestReceiver *dest, QueryCompletion *qc);
static const char *database_to_empty(Node *statement);
static NvsDatabase *send_worker_away(const char *name);

/* Register the launcher and the hook; in the postmaster only. */
void
nvs_worker_init(void)
{
	BackgroundWorker launcher;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = utility;

	memset(&launcher, 0, sizeof(launcher));
	launcher.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	launcher.bgw_start_time = BgWorkerStart_RecoveryFinished;
	launcher.bgw_restart_time = 5;
	strlcpy(launcher.bgw_library_name, "nvent_store", BGW_MAXLEN);
	strlcpy(launcher.bgw_function_name, "nvs_launcher_main", BGW_MAXLEN);
	strlcpy(launcher.bgw_name, "nvent_store launcher", BGW_MAXLEN);
	strlcpy(launcher.bgw_type, "nvent_store launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&launcher);
}

/* Entry point of the launcher. */
void
nvs_launcher_main(Datum arg)
{
	ListCell   *lc;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!nvs_shmem_available())
		proc_exit(0);
	before_shmem_exit(launcher_exit, (Datum) 0);
	nvs_shmem_set_launcher(nvs_my_proc_number());
	MemoryContextSwitchTo(TopMemoryContext);
	foreach(lc, list_databases())
		note_job(lfirst_oid(lc), true);

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
		now = GetCurrentTimestamp();
		note_wanted(now);
		foreach(lc, jobs)
		{
			Job		   *job = lfirst(lc);

			if (advance_job(job, now))
				continue;
			jobs = foreach_delete_current(jobs, lc);
			pfree(job);
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, next_nap(now),
						 PG_WAIT_EXTENSION);
	}
}

/* Let committers know that there is no launcher. */
static void
launcher_exit(int code, Datum arg)
{
	nvs_shmem_set_launcher(-1);
}

/* OIDs of the databases that one may connect to, templates aside. */
static List *
list_databases(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn || database->datistemplate)
			continue;
		old = MemoryContextSwitchTo(cxt);
		result = lappend_oid(result, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return result;
}

/* Note the databases that have no worker and want one. */
static void
note_wanted(TimestampTz now)
{
	int			n = nvs_shmem_databases();
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		TimestampTz visit_at = pg_atomic_read_u64(&db->next_visit);

		if (OidIsValid(db->oid) && pg_atomic_read_u32(&db->worker) == 0 &&
			(pg_atomic_read_u32(&db->worker_requested) != 0 ||
			 (visit_at != 0 && now >= visit_at)))
			note_job(db->oid, false);
	}
}

/* Note that a database is to have a worker. */
static void
note_job(Oid database, bool visit)
{
	ListCell   *lc;
	Job		   *job;

	foreach(lc, jobs)
		if (((Job *) lfirst(lc))->database == database)
			return;
	job = palloc0(sizeof(Job));
	job->database = database;
	job->visit = visit;
	jobs = lappend(jobs, job);
}

/* Start a worker, or see how it does; false when there is no more to do. */
static bool
advance_job(Job *job, TimestampTz now)
{
	NvsDatabase *db = nvs_shmem_find_database(job->database);
	pid_t		pid;

	if (job->handle == NULL)
	{
		if (now >= job->not_before &&
			(db == NULL || pg_atomic_read_u64(&db->hold_until) <= now))
			start_job(job, now);
		return true;
	}
	if (GetBackgroundWorkerPid(job->handle, &pid) != BGWH_STOPPED)
		return true;
	pfree(job->handle);
	job->handle = NULL;
	if (db == NULL || pg_atomic_read_u32(&db->worker_requested) == 0)
		return false;
	if (database_is_gone(job->database))
	{
		nvs_shmem_free_database(job->database);
		return false;
	}

	/* It was not done: start another one, later if they do not last. */
	if (now < TimestampTzPlusMilliseconds(job->started_at,
										  MAX_BACKOFF * 1000))
		job->failures++;
	else
		job->failures = 0;
	job->not_before = TimestampTzPlusMilliseconds(
		now, job->failures <= 1 ? 0 :
		Min(MAX_BACKOFF, 1 << Min(job->failures - 2, 10)) * 1000);
	return true;
}

/* Was a database dropped? */
static bool
database_is_gone(Oid database)
{
	MemoryContext cxt = CurrentMemoryContext;
	bool		gone;

	StartTransactionCommand();
	gone = get_database_name(database) == NULL;
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return gone;
}

/* Start the worker of a database. */
static void
start_job(Job *job, TimestampTz now)
{
	NvsDatabase *db = nvs_shmem_find_database(job->database);
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "nvent_store", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "nvs_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "nvent_store worker, database %u",
			 job->database);
	strlcpy(worker.bgw_type, "nvent_store worker", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(job->database);
	worker.bgw_notify_pid = MyProcPid;
	if (db != NULL)
		pg_atomic_write_u64(&db->next_visit, 0);
	job->started_at = now;
	if (RegisterDynamicBackgroundWorker(&worker, &job->handle))
		return;
	job->handle = NULL;
	if (job->failures++ == 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free for database %u",
						job->database),
				 errhint("Raise max_worker_processes; it is tried again "
						 "until then.")));
	job->not_before = TimestampTzPlusMilliseconds(now, 1000);
}

/* How long to sleep unless told. */
static long
next_nap(TimestampTz now)
{
	TimestampTz until = TimestampTzPlusMilliseconds(now, 60000);
	int			n = nvs_shmem_databases();
	ListCell   *lc;
	int			i;

	foreach(lc, jobs)
	{
		Job		   *job = lfirst(lc);

		/* One that is held off: nobody tells when it may start. */
		if (job->handle == NULL)
			until = Min(until, Max(job->not_before,
								   TimestampTzPlusMilliseconds(now, 100)));
	}
	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		TimestampTz visit_at = pg_atomic_read_u64(&db->next_visit);

		if (OidIsValid(db->oid) && visit_at != 0 &&
			pg_atomic_read_u32(&db->worker) == 0)
			until = Min(until, visit_at);
	}
	return TimestampDifferenceMilliseconds(now, until);
}

/* ProcessUtility hook. */
static void
utility(PlannedStmt *pstmt, const char *query, bool read_only,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	const char *name = database_to_empty(pstmt->utilityStmt);
	NvsDatabase *db = name == NULL ? NULL : send_worker_away(name);
	Oid			oid = db == NULL ? InvalidOid : db->oid;

	if (db == NULL)
	{
		run_utility(pstmt, query, read_only, context, params, env, dest, qc);
		return;
	}
	PG_TRY();
	{
		run_utility(pstmt, query, read_only, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		pg_atomic_write_u64(&db->hold_until, 0);
		nvs_shmem_wake_launcher();
	}
	PG_END_TRY();
	if (IsA(pstmt->utilityStmt, DropdbStmt))
		nvs_shmem_free_database(oid);
}

/* Go on with the statement. */
static void
run_utility(PlannedStmt *pstmt, const char *query, bool read_only,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_ProcessUtility != NULL)
		prev_ProcessUtility(pstmt, query, read_only, context, params, env,
							dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only, context, params, env,
								dest, qc);
}

/* The database that nobody may be connected to for a statement; or NULL. */
static const char *
database_to_empty(Node *statement)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			foreach(lc, ((AlterDatabaseStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(lc))->defname,
						   "tablespace") == 0)
					return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
			foreach(lc, ((CreatedbStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(lc))->defname,
						   "template") == 0 &&
					((DefElem *) lfirst(lc))->arg != NULL)
					return defGetString(lfirst(lc));
			return "template1";
		default:
			return NULL;
	}
}

/*
 * Ask the worker of a database to leave and give it time to; keeps others
 * away until hold_until is set back.  NULL when it never had one.
 */
static NvsDatabase *
send_worker_away(const char *name)
{
	Oid			oid;
	NvsDatabase *db;
	int			waited;

	if (!IsTransactionState())
		return NULL;
	oid = get_database_oid(name, true);
	db = OidIsValid(oid) ? nvs_shmem_find_database(oid) : NULL;
	if (db == NULL)
		return NULL;
	pg_atomic_write_u64(&db->hold_until, TimestampTzPlusMilliseconds(
		GetCurrentTimestamp(), HOLD_TIME));
	for (waited = 0; waited < LEAVE_TIME; waited += 10)
	{
		uint32		worker = pg_atomic_read_u32(&db->worker);

		if (worker == 0)
			break;
		nvs_shmem_wake_process(worker - 1);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return db;
}
