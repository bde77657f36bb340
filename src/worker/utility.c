/*
 * worker/utility.c
 *	  Statements that concern our processes: the hook that sees them.
 *
 * Those for which nobody may be connected to a database run while our processes
 * are kept away (worker/hold.c).  COMMIT PREPARED and ROLLBACK PREPARED end
 * transactions that may have appended, and of which nobody has announced
 * anything: the notifier is told.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"

#include "base/identity.h"
#include "position/position.h"
#include "wakeup/jobs.h"
#include "worker/worker.h"

/* The arguments of the hook. */
typedef struct UtilityCall
{
	PlannedStmt *pstmt;
	const char *query;
	bool		read_only;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *env;
	DestReceiver *dest;
	QueryCompletion *qc;
} UtilityCall;

static ProcessUtility_hook_type prev_ProcessUtility = NULL;

static void utility_hook(PlannedStmt *pstmt, const char *query,
						 bool read_only, ProcessUtilityContext context,
						 ParamListInfo params, QueryEnvironment *env,
						 DestReceiver *dest, QueryCompletion *qc);
static void utility_run(const UtilityCall *call);
static void utility_run_alone(const UtilityCall *call, NvsDatabase *db);
static void utility_stop(int code, Datum arg);
static bool utility_ends_prepared(Node *statement);
static void utility_end_prepared(const UtilityCall *call);

/* Set the hook; in the postmaster only. */
void
nvs_utility_init(void)
{
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}

/* ProcessUtility hook. */
static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	UtilityCall call = {pstmt, query, read_only, context, params, env, dest,
	qc};
	NvsDatabase *held = nvs_hold_database(pstmt->utilityStmt);

	if (held != NULL)
		utility_run_alone(&call, held);
	else if (utility_ends_prepared(pstmt->utilityStmt))
		utility_end_prepared(&call);
	else
		utility_run(&call);
}

/* Run the statement. */
static void
utility_run(const UtilityCall *call)
{
	ProcessUtility_hook_type run = prev_ProcessUtility != NULL ?
		prev_ProcessUtility : standard_ProcessUtility;

	run(call->pstmt, call->query, call->read_only, call->context,
		call->params, call->env, call->dest, call->qc);
}

/* Run a statement that none of our processes may be connected to db for. */
static void
utility_run_alone(const UtilityCall *call, NvsDatabase *db)
{
	Oid			oid = db->oid;

	PG_ENSURE_ERROR_CLEANUP(utility_stop, PointerGetDatum(db));
	{
		nvs_hold_begin(db);
		utility_run(call);
	}
	PG_END_ENSURE_ERROR_CLEANUP(utility_stop, PointerGetDatum(db));
	/* Nobody is to be sent to a database that is gone. */
	if (IsA(call->pstmt->utilityStmt, DropdbStmt))
		nvs_shmem_free_database(oid);
	else
		nvs_hold_end(db);
}

/* Cleanup on an error and when the process ends. */
static void
utility_stop(int code pg_attribute_unused(), Datum arg)
{
	nvs_hold_end((NvsDatabase *) DatumGetPointer(arg));
}

/* Does the statement end a prepared transaction? */
static bool
utility_ends_prepared(Node *statement)
{
	TransactionStmtKind kind;

	if (!IsA(statement, TransactionStmt))
		return false;
	kind = ((TransactionStmt *) statement)->kind;
	return kind == TRANS_STMT_COMMIT_PREPARED ||
		kind == TRANS_STMT_ROLLBACK_PREPARED;
}

/*
 * Run a statement that ends a prepared transaction.  Where one has appended,
 * as it may be this one, everybody has to read again when it is committed.  Who
 * waits for jobs looks again in any case: it may have taken some.
 */
static void
utility_end_prepared(const UtilityCall *call)
{
	TransactionStmt *statement = (TransactionStmt *) call->pstmt->utilityStmt;
	NvsDatabase *db = NULL;

	if (IsTransactionState() && nvs_is_installed())
		db = nvs_shmem_database();
	if (db != NULL && !nvs_position_may_be_prepared(db))
		db = NULL;
	utility_run(call);
	nvs_jobs_wake_all();
	if (db == NULL)
		return;
	if (statement->kind == TRANS_STMT_COMMIT_PREPARED)
		pg_atomic_fetch_add_u64(&db->resyncs, 1);
	nvs_position_prepared_ended(db);
	nvs_shmem_wake_notifier(db);
}
