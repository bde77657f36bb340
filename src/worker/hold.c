/*
 * worker/hold.c
 *	  Keeps the worker out of a database that nobody may be connected to.
 *
 * DROP DATABASE and the like fail while anybody else is connected.  A worker
 * that is must not be in their way: they ask it to leave first, and keep the
 * launcher from sending another one until they are done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"

#include "position/shmem.h"
#include "worker/worker.h"

/* How long a statement may keep workers away, in ms, if it never ends. */
#define HOLD_TIME		600000

/* How long to wait for a worker to leave, in ms. */
#define LEAVE_TIME		5000

static ProcessUtility_hook_type prev_ProcessUtility = NULL;

static void hold_process_utility(PlannedStmt *pstmt, const char *query,
								 bool read_only,
								 ProcessUtilityContext context,
								 ParamListInfo params, QueryEnvironment *env,
								 DestReceiver *dest, QueryCompletion *qc);
static void hold_go_on(PlannedStmt *pstmt, const char *query, bool read_only,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *env, DestReceiver *dest,
					   QueryCompletion *qc);
static const char *hold_database_of(Node *statement);
static NvsDatabase *hold_begin(const char *name);
static void hold_end(NvsDatabase *db);

/* Set the hook; in the postmaster only. */
void
nvs_hold_init(void)
{
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = hold_process_utility;
}

/*
 * ProcessUtility hook: keeps the worker of a database away while a statement
 * runs that nobody may be connected to it for.
 */
static void
hold_process_utility(PlannedStmt *pstmt, const char *query, bool read_only,
					 ProcessUtilityContext context, ParamListInfo params,
					 QueryEnvironment *env, DestReceiver *dest,
					 QueryCompletion *qc)
{
	const char *name = hold_database_of(pstmt->utilityStmt);
	NvsDatabase *db = name == NULL ? NULL : hold_begin(name);
	Oid			oid = db == NULL ? InvalidOid : db->oid;

	if (db == NULL)
	{
		hold_go_on(pstmt, query, read_only, context, params, env, dest, qc);
		return;
	}
	PG_TRY();
	{
		hold_go_on(pstmt, query, read_only, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		hold_end(db);
	}
	PG_END_TRY();
	if (IsA(pstmt->utilityStmt, DropdbStmt))
		nvs_shmem_free_database(oid);
}

/* Run the statement. */
static void
hold_go_on(PlannedStmt *pstmt, const char *query, bool read_only,
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

/*
 * Name of the database that nobody may be connected to while a statement runs;
 * NULL when there is none.
 */
static const char *
hold_database_of(Node *statement)
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
 * Keep workers out of a database from now on, and give the one that is there
 * time to leave; hold_end() undoes it, or else HOLD_TIME.  NULL when the
 * database has no entry, and hence no worker.
 */
static NvsDatabase *
hold_begin(const char *name)
{
	Oid			oid;
	NvsDatabase *db;
	TimestampTz until;
	int			waited;

	if (!IsTransactionState())
		return NULL;
	oid = get_database_oid(name, true);
	db = OidIsValid(oid) ? nvs_shmem_find_database(oid) : NULL;
	if (db == NULL)
		return NULL;
	/* Have no worker come. */
	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_TIME);
	pg_atomic_write_u64(&db->hold_until, until);
	/* Have the one that is there see it, and wait until it has left. */
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

/* Let workers into a database again. */
static void
hold_end(NvsDatabase *db)
{
	pg_atomic_write_u64(&db->hold_until, 0);
	nvs_shmem_wake_launcher();
}
