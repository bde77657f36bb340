/*
 * worker/launcher.c
 *	  Starts a database's worker when it is needed.
 *
 * The launcher is connected to no database.  After a server start it sends a
 * worker to each, since only there can be seen whether the extension is in
 * it; later it starts workers for databases that ask for one
 * (worker_requested) or whose next_visit has come.  A worker is not restarted
 * by the postmaster, as its database may be gone.
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
#include "position/shmem.h"
#include "worker/worker.h"

/* Seconds between the tries to start a worker that does not stay. */
#define MAX_BACKOFF		30

PGDLLEXPORT void nvs_launcher_main(Datum arg);

/* A worker that was started, or is to be. */
typedef struct WorkerJob
{
	Oid			database;
	BackgroundWorkerHandle *handle; /* NULL: is to be started */
	TimestampTz started_at;
	TimestampTz not_before;
	int			failures;		/* in a row */
} WorkerJob;

/* In TopMemoryContext. */
static List *jobs = NIL;

static void launcher_describe(BackgroundWorker *worker, const char *function,
							  const char *type);
static void launcher_exit(int code, Datum arg);
static List *launcher_list_databases(void);
static void launcher_note_requests(TimestampTz now);
static void launcher_note_job(Oid database);
static void launcher_advance_jobs(TimestampTz now);
static bool launcher_advance_job(WorkerJob *job, TimestampTz now);
static void launcher_back_off(WorkerJob *job, TimestampTz now);
static bool launcher_database_is_gone(Oid database);
static void launcher_start_job(WorkerJob *job, TimestampTz now);
static long launcher_nap_time(TimestampTz now);

/* Register the launcher; in the postmaster only. */
void
nvs_launcher_init(void)
{
	BackgroundWorker launcher;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	launcher_describe(&launcher, "nvs_launcher_main", "nvent_store launcher");
	launcher.bgw_restart_time = 5;
	RegisterBackgroundWorker(&launcher);
}

/* Fill in what the launcher and the workers have in common. */
static void
launcher_describe(BackgroundWorker *worker, const char *function,
				  const char *type)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "nvent_store", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker->bgw_name, type, BGW_MAXLEN);
	strlcpy(worker->bgw_type, type, BGW_MAXLEN);
}

/* Entry point of the launcher. */
void
nvs_launcher_main(Datum arg pg_attribute_unused())
{
	ListCell   *lc;

	/* Become the launcher that others wake. */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!nvs_shmem_available())
		proc_exit(0);
	before_shmem_exit(launcher_exit, (Datum) 0);
	nvs_shmem_set_launcher(nvs_my_proc_number());

	/* A worker looks whether there is work left from before. */
	MemoryContextSwitchTo(TopMemoryContext);
	foreach(lc, launcher_list_databases())
		launcher_note_job(lfirst_oid(lc));

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
		launcher_note_requests(now);
		launcher_advance_jobs(now);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, launcher_nap_time(now),
						 PG_WAIT_EXTENSION);
	}
}

/* before_shmem_exit callback: committers find no launcher from now on. */
static void
launcher_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	nvs_shmem_set_launcher(-1);
}

/*
 * OIDs of the databases that one may connect to, templates aside, in a
 * transaction of its own.
 */
static List *
launcher_list_databases(void)
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

/* Note a job for each database that has no worker and is to have one. */
static void
launcher_note_requests(TimestampTz now)
{
	int			n = nvs_shmem_databases();
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		TimestampTz next_visit = pg_atomic_read_u64(&db->next_visit);

		if (OidIsValid(db->oid) && pg_atomic_read_u32(&db->worker) == 0 &&
			(pg_atomic_read_u32(&db->worker_requested) != 0 ||
			 (next_visit != 0 && now >= next_visit)))
			launcher_note_job(db->oid);
	}
}

/* Note a job for a database, unless there is one. */
static void
launcher_note_job(Oid database)
{
	ListCell   *lc;
	WorkerJob  *job;

	foreach(lc, jobs)
		if (((WorkerJob *) lfirst(lc))->database == database)
		return;
	job = palloc0(sizeof(WorkerJob));
	job->database = database;
	jobs = lappend(jobs, job);
}

/* Go on with every job, and drop those that are done. */
static void
launcher_advance_jobs(TimestampTz now)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		WorkerJob  *job = lfirst(lc);

		if (launcher_advance_job(job, now))
			continue;
		jobs = foreach_delete_current(jobs, lc);
		pfree(job);
	}
}

/* Start a worker, or see how it does; false when there is no more to do. */
static bool
launcher_advance_job(WorkerJob *job, TimestampTz now)
{
	NvsDatabase *db = nvs_shmem_find_database(job->database);
	pid_t		pid;

	/* It is to be started, unless it is held off. */
	if (job->handle == NULL)
	{
		if (now >= job->not_before &&
			(db == NULL || pg_atomic_read_u64(&db->hold_until) <= now))
			launcher_start_job(job, now);
		return true;
	}
	if (GetBackgroundWorkerPid(job->handle, &pid) != BGWH_STOPPED)
		return true;

	/* It has ended.  Was it done? */
	pfree(job->handle);
	job->handle = NULL;
	if (db == NULL || pg_atomic_read_u32(&db->worker_requested) == 0)
		return false;
	if (launcher_database_is_gone(job->database))
	{
		nvs_shmem_free_database(job->database);
		return false;
	}
	launcher_back_off(job, now);
	return true;
}

/* Have a job's worker started again, the later the more often it failed. */
static void
launcher_back_off(WorkerJob *job, TimestampTz now)
{
	int			seconds;

	if (now < TimestampTzPlusMilliseconds(job->started_at,
										  MAX_BACKOFF * 1000))
		job->failures++;
	else
		job->failures = 0;
	seconds = job->failures <= 1 ? 0 :
		Min(MAX_BACKOFF, 1 << Min(job->failures - 2, 10));
	job->not_before = TimestampTzPlusMilliseconds(now, seconds * 1000);
}

/* Was a database dropped?  In a transaction of its own. */
static bool
launcher_database_is_gone(Oid database)
{
	MemoryContext cxt = CurrentMemoryContext;
	bool		gone;

	StartTransactionCommand();
	gone = get_database_name(database) == NULL;
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return gone;
}

/* Start the worker of a database; a second later when none is to be had. */
static void
launcher_start_job(WorkerJob *job, TimestampTz now)
{
	NvsDatabase *db = nvs_shmem_find_database(job->database);
	BackgroundWorker worker;

	launcher_describe(&worker, "nvs_worker_main", "nvent_store worker");
	snprintf(worker.bgw_name, BGW_MAXLEN, "nvent_store worker, database %u",
			 job->database);
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
				 errmsg("could not start the nvent_store worker of database %u",
						job->database),
				 errdetail("There is no free background worker slot."),
				 errhint("You might need to increase "
						 "max_worker_processes.")));
	job->not_before = TimestampTzPlusMilliseconds(now, 1000);
}

/* How long to sleep, in ms, if nobody wakes us. */
static long
launcher_nap_time(TimestampTz now)
{
	TimestampTz until = TimestampTzPlusMilliseconds(now, 60000);
	int			n = nvs_shmem_databases();
	ListCell   *lc;
	int			i;

	foreach(lc, jobs)
	{
		WorkerJob  *job = lfirst(lc);

		/* One that is held off: nobody tells when it may start. */
		if (job->handle == NULL)
			until = Min(until, Max(job->not_before,
								   TimestampTzPlusMilliseconds(now, 100)));
	}
	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		TimestampTz next_visit = pg_atomic_read_u64(&db->next_visit);

		if (OidIsValid(db->oid) && next_visit != 0 &&
			pg_atomic_read_u32(&db->worker) == 0)
			until = Min(until, next_visit);
	}
	return TimestampDifferenceMilliseconds(now, until);
}
