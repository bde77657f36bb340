/*
 * worker/launcher.c
 *	  Starts the processes of databases when they are wanted.
 *
 * The launcher is connected to no database.  In every round it looks in shared
 * memory for what is wanted, and nobody has to ask for it: a notifier, where
 * something has happened that was not told (nvs_shmem_wants_notifier()), and
 * maintenance where it is due.  After a server start it also sends a notifier
 * to each database, since only there can be seen whether the extension is in
 * it.  A process is not restarted by the postmaster, as its database may be
 * gone.
 *
 * Background workers are few, and others use them too.  Notifiers come first,
 * then the maintenance of databases where something happens, both those that
 * have waited longest; visits to all others are made a few at a time.  When
 * there is no free one, processes that have nothing to do leave, and those who
 * append notify by themselves where there is no notifier.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
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
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "base/guc.h"
#include "base/time.h"
#include "worker/worker.h"

/* Seconds between the tries to start a process that does not stay, at most. */
#define MAX_BACKOFF		30

/* Visits to databases where nothing happens, at a time. */
#define MAX_VISITS		2

/* Rounds follow one another by at least so much, in us. */
#define ROUND_INTERVAL	10000

/* When to look again for a free background worker, in ms. */
#define SLOT_INTERVAL	1000

PGDLLEXPORT void nvs_launcher_main(Datum arg);

/* A process of a database: whether it is wanted, and how it does. */
typedef struct Job
{
	Oid			database;
	NvsProcessKind kind;
	bool		wanted;
	bool		unseen;			/* wanted to look into the database */
	bool		is_visit;		/* nothing happens there */
	BackgroundWorkerHandle *handle; /* NULL: not started */
	uint32		leaves;			/* of the entry, when it was started */
	int64		started_at;		/* uptimes */
	int64		not_before;
	int			failures;		/* in a row */
} Job;

/* What may be sent to a database. */
typedef enum Access
{
	ACCESS_GONE,				/* nothing: it was dropped */
	ACCESS_CLOSED,				/* a notifier, for those who are there */
	ACCESS_OPEN
} Access;

/* In TopMemoryContext, those first that have waited longest. */
static List *jobs = NIL;

/* When to try again after there was no free background worker. */
static int64 slot_at = 0;

static void launcher_describe(BackgroundWorker *worker, const char *function,
							  const char *type);
static void launcher_begin(void);
static void launcher_exit(int code, Datum arg);
static List *launcher_list_databases(void);
static void launcher_see(int64 now);
static bool launcher_is_wanted(NvsDatabase *db, NvsProcessKind kind,
							   int64 now);
static Job *launcher_job(Oid database, NvsProcessKind kind);
static void launcher_reap(int64 now);
static void launcher_ended(Job *job, int64 now);
static void launcher_start(int64 now);
static bool launcher_start_kind(NvsProcessKind kind, bool visits,
								int64 now);
static int	launcher_visits(void);
static bool launcher_start_job(Job *job, int64 now);
static Access launcher_access(Oid database);
static bool launcher_register(Job *job);
static void launcher_set_staffing(NvsStaffing staffing);
static long launcher_nap_time(int64 now);
static void launcher_rest(int64 last_round);

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

/* Fill in what the launcher and the processes of databases have in common. */
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
	launcher_begin();
	for (;;)
	{
		int64		now;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		now = nvs_uptime();
		launcher_reap(now);
		launcher_see(now);
		launcher_start(now);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, launcher_nap_time(now),
						 PG_WAIT_EXTENSION);
		launcher_rest(now);
	}
}

/* Become the launcher that others wake, and plan to look into each database. */
static void
launcher_begin(void)
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
	foreach(lc, launcher_list_databases())
	{
		Job		   *job = launcher_job(lfirst_oid(lc), NVS_NOTIFIER);

		job->unseen = true;
	}
}

/* before_shmem_exit callback: nobody is to rely on us from now on. */
static void
launcher_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	nvs_shmem_set_staffing(NVS_STAFF_NONE);
	nvs_shmem_set_launcher(-1);
}

/*
 * OIDs of the databases that one may connect to, templates aside, in a
 * transaction of its own.  The list is in the current memory context.
 */
static List *
launcher_list_databases(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	/* pg_database is shared: it can be read without being connected to any. */
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

		/* The list outlives the transaction. */
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

/*
 * See what is wanted: sets wanted and is_visit of each job, and makes jobs for
 * what has none.
 */
static void
launcher_see(int64 now)
{
	int			n = nvs_shmem_databases();
	ListCell   *lc;
	int			i;

	/* Each database is looked into once, whatever its entry says. */
	foreach(lc, jobs)
		((Job *) lfirst(lc))->wanted = ((Job *) lfirst(lc))->unseen;

	/* What the entries say. */
	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		int			kind;

		if (!OidIsValid(db->oid))
			continue;
		for (kind = 0; kind < NVS_PROCESS_KINDS; kind++)
			if (launcher_is_wanted(db, kind, now))
			{
				Job		   *job = launcher_job(db->oid, kind);

				job->wanted = true;
				job->unseen = false;
			}
	}

	/*
	 * Who comes to a database where nothing happens can wait, and be one of
	 * few.
	 */
	foreach(lc, jobs)
	{
		Job		   *job = lfirst(lc);
		NvsDatabase *db = nvs_shmem_find_database(job->database);

		job->is_visit = job->unseen ||
			(job->kind == NVS_MAINTAINER && db != NULL &&
			 pg_atomic_read_u32(&db->processes[NVS_NOTIFIER].number) == 0);
	}
}

/* Is a process of this kind wanted in a database, and not there? */
static bool
launcher_is_wanted(NvsDatabase *db, NvsProcessKind kind, int64 now)
{
	int64		next_visit;

	if (pg_atomic_read_u32(&db->processes[kind].number) != 0 ||
		pg_atomic_read_u32(&db->holds) != 0)
		return false;
	if (kind == NVS_NOTIFIER)
		return nvs_shmem_wants_notifier(db);
	next_visit = pg_atomic_read_u64(&db->next_visit);
	return nvs_maintenance_interval > 0 && next_visit != 0 &&
		now >= next_visit;
}

/* The job of that kind for a database, made if there is none. */
static Job *
launcher_job(Oid database, NvsProcessKind kind)
{
	MemoryContext old;
	ListCell   *lc;
	Job		   *job;

	foreach(lc, jobs)
	{
		job = lfirst(lc);
		if (job->database == database && job->kind == kind)
			return job;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	job = palloc0(sizeof(Job));
	job->database = database;
	job->kind = kind;
	jobs = lappend(jobs, job);
	MemoryContextSwitchTo(old);
	return job;
}

/* See which processes have ended. */
static void
launcher_reap(int64 now)
{
	ListCell   *lc;
	pid_t		pid;

	foreach(lc, jobs)
	{
		Job		   *job = lfirst(lc);

		if (job->handle != NULL &&
			GetBackgroundWorkerPid(job->handle, &pid) == BGWH_STOPPED)
			launcher_ended(job, now);
	}
}

/*
 * A process has ended.  When that was not in good order, the next one is
 * started the later the more often it was so.
 */
static void
launcher_ended(Job *job, int64 now)
{
	NvsDatabase *db = nvs_shmem_find_database(job->database);
	int			seconds;

	pfree(job->handle);
	job->handle = NULL;
	slot_at = 0;
	if (db == NULL ||
		pg_atomic_read_u32(&db->processes[job->kind].leaves) != job->leaves)
		job->failures = 0;
	else if (now < TimestampTzPlusMilliseconds(job->started_at,
											   MAX_BACKOFF * 1000))
		job->failures++;
	else
		job->failures = 1;
	seconds = job->failures <= 1 ? 0 :
		Min(MAX_BACKOFF, 1 << Min(job->failures - 2, 10));
	job->not_before = TimestampTzPlusMilliseconds(now, seconds * 1000);
}

/*
 * Start what is wanted, as long as there are background workers for it.  Visits
 * can wait.
 */
static void
launcher_start(int64 now)
{
	bool		enough;

	if (now < slot_at)
		return;
	enough = launcher_start_kind(NVS_NOTIFIER, false, now) &&
		launcher_start_kind(NVS_MAINTAINER, false, now);
	if (!enough)
		launcher_set_staffing(NVS_STAFF_SHORT);
	else if (nvs_shmem_staffing() == NVS_STAFF_SHORT)
		launcher_set_staffing(NVS_STAFF_FREE);
	if (!enough || !launcher_start_kind(NVS_NOTIFIER, true, now) ||
		!launcher_start_kind(NVS_MAINTAINER, true, now))
		slot_at = TimestampTzPlusMilliseconds(now, SLOT_INTERVAL);
}

/*
 * Start the processes of a kind that are wanted, visits or all others; false
 * when there was no free background worker.
 */
static bool
launcher_start_kind(NvsProcessKind kind, bool visits, int64 now)
{
	List	   *waiting = list_copy(jobs);
	ListCell   *lc;
	bool		is_free = true;

	foreach(lc, waiting)
	{
		Job		   *job = lfirst(lc);

		if (job->kind != kind || job->is_visit != visits || !job->wanted ||
			job->handle != NULL || now < job->not_before)
			continue;
		if (visits && launcher_visits() >= MAX_VISITS)
			break;
		is_free = launcher_start_job(job, now);
		if (!is_free)
			break;
	}
	list_free(waiting);
	return is_free;
}

/* How many visits are being made. */
static int
launcher_visits(void)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, jobs)
		if (((Job *) lfirst(lc))->handle != NULL &&
			((Job *) lfirst(lc))->is_visit)
		n++;
	return n;
}

/*
 * Start a process, or forget about a database that is gone; false when there is
 * no free background worker.
 */
static bool
launcher_start_job(Job *job, int64 now)
{
	Access		access = launcher_access(job->database);
	NvsDatabase *db = nvs_shmem_find_database(job->database);

	/* Dropped: its entry can be another database's. */
	if (access == ACCESS_GONE)
	{
		nvs_shmem_free_database(job->database);
		jobs = list_delete_ptr(jobs, job);
		pfree(job);
		return true;
	}

	/*
	 * Where nobody can connect only a notifier is of use, to those who are
	 * there; forget what else was wanted.
	 */
	if (access == ACCESS_CLOSED && (job->unseen ||
									job->kind == NVS_MAINTAINER))
	{
		job->unseen = false;
		if (db != NULL && job->kind == NVS_MAINTAINER)
			pg_atomic_write_u64(&db->next_visit, 0);
		return true;
	}

	/* It goes behind the others, so that each has its turn. */
	if (!launcher_register(job))
		return false;
	job->unseen = false;
	job->started_at = now;
	job->leaves = db == NULL ? 0 :
		pg_atomic_read_u32(&db->processes[job->kind].leaves);
	jobs = lappend(list_delete_ptr(jobs, job), job);
	if (nvs_shmem_staffing() == NVS_STAFF_NONE)
		launcher_set_staffing(NVS_STAFF_FREE);
	return true;
}

/* What may be sent to a database?  In a transaction of its own. */
static Access
launcher_access(Oid database)
{
	MemoryContext cxt = CurrentMemoryContext;
	Access		access = ACCESS_GONE;
	HeapTuple	tuple;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->datconnlimit != NVS_DATABASE_IS_INVALID)
			access = form->datallowconn ? ACCESS_OPEN : ACCESS_CLOSED;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
	return access;
}

/* Have the postmaster start a process; false when there is no free place. */
static bool
launcher_register(Job *job)
{
	BackgroundWorker worker;
	bool		notifies = job->kind == NVS_NOTIFIER;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	launcher_describe(&worker,
					  notifies ? "nvs_notifier_main" : "nvs_maintainer_main",
					  notifies ? "nvent_store notifier" :
					  "nvent_store maintenance");
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s, database %u", worker.bgw_type,
			 job->database);
	worker.bgw_main_arg = ObjectIdGetDatum(job->database);
	worker.bgw_notify_pid = MyProcPid;
	registered = RegisterDynamicBackgroundWorker(&worker, &job->handle);
	if (!registered)
		job->handle = NULL;
	MemoryContextSwitchTo(old);
	return registered;
}

/*
 * Let others know whether there are background workers to be had.  When there
 * are none that is said in the log, once, and who has nothing to do is to
 * leave.
 */
static void
launcher_set_staffing(NvsStaffing staffing)
{
	static bool said = false;
	int			n = nvs_shmem_databases();
	int			i;

	nvs_shmem_set_staffing(staffing);
	if (staffing != NVS_STAFF_SHORT)
		return;
	for (i = 0; i < n; i++)
	{
		nvs_shmem_wake_kind(nvs_shmem_database_entry(i), NVS_NOTIFIER);
		nvs_shmem_wake_kind(nvs_shmem_database_entry(i), NVS_MAINTAINER);
	}
	if (said)
		return;
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("nvent_store has too few background workers"),
			 errdetail("Databases take turns; where there is no notifier, "
					   "appending transactions notify by themselves."),
			 errhint("You might need to increase max_worker_processes: two "
					 "for each database with events, and one.")));
}

/* How long to sleep, in ms, if nobody wakes us. */
static long
launcher_nap_time(int64 now)
{
	int64		until = TimestampTzPlusMilliseconds(now, 60000);
	int			n = nvs_shmem_databases();
	ListCell   *lc;
	int			i;

	foreach(lc, jobs)
	{
		Job		   *job = lfirst(lc);
		int64		when = Max(job->not_before, slot_at);

		/* One that waits for a visit to end: we are told of that. */
		if (job->wanted && job->handle == NULL && when > now)
			until = Min(until, when);
	}
	for (i = 0; i < n; i++)
	{
		NvsDatabase *db = nvs_shmem_database_entry(i);
		int64		next_visit = pg_atomic_read_u64(&db->next_visit);

		if (OidIsValid(db->oid) && next_visit > now &&
			pg_atomic_read_u32(&db->processes[NVS_MAINTAINER].number) == 0)
			until = Min(until, next_visit);
	}
	return (long) ((until - now + 999) / 1000);
}

/* Let what is wanted gather: committers may wake us again and again. */
static void
launcher_rest(int64 last_round)
{
	int64		next = last_round + ROUND_INTERVAL;
	int64		now = nvs_uptime();

	if (now < next)
		pg_usleep(next - now);
}
