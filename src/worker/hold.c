/*
 * worker/hold.c
 *	  Keeps our processes out of a database that nobody may be connected to.
 *
 * DROP DATABASE and the like fail while anybody else is connected.  Ours must
 * not be in their way: they are asked to leave first, and the launcher sends no
 * other ones until the statement is over.  Only a statement of somebody who has
 * the right to it can do that, and however it ends, so does the hold.
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/syscache.h"

#include "compat.h"
#include "worker/worker.h"

/* How long to wait for our processes to leave, in ms, at most ... */
#define LEAVE_TIME		5000

/* ... and after how long maintenance is told to end in the midst of it. */
#define PATIENCE		500

static const char *hold_name_of(Node *statement);
static bool hold_is_allowed(Node *statement, Oid database);
static bool hold_may_create_databases(void);
static bool hold_is_template(Oid database);
static void hold_end_process(NvsDatabase *db, NvsProcessKind kind);

/*
 * The database that nobody may be connected to while a statement runs.  NULL
 * when there is none, when it has no entry and hence no process of ours, and
 * when the caller may not do that to it.
 */
NvsDatabase *
nvs_hold_database(Node *statement)
{
	const char *name = hold_name_of(statement);
	Oid			oid;

	if (name == NULL || !IsTransactionState())
		return NULL;
	oid = get_database_oid(name, true);
	if (!OidIsValid(oid) || !hold_is_allowed(statement, oid))
		return NULL;
	return nvs_shmem_find_database(oid);
}

/* Name of that database, by the statement alone; NULL when there is none. */
static const char *
hold_name_of(Node *statement)
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

			/*
			 * Of its options only another tablespace takes a database without
			 * sessions.
			 */
		case T_AlterDatabaseStmt:
			foreach(lc, ((AlterDatabaseStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(lc))->defname,
						   "tablespace") == 0)
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
			/* The database that is copied must have no sessions. */
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

/* May the caller do that to a database?  As PostgreSQL has it. */
static bool
hold_is_allowed(Node *statement, Oid database)
{
	bool		owns = nvs_owns_database(database, GetUserId());

	switch (nodeTag(statement))
	{
		case T_RenameStmt:
			return owns && hold_may_create_databases();
		case T_CreatedbStmt:
			return (owns || hold_is_template(database)) &&
				hold_may_create_databases();
		default:
			return owns;
	}
}

/* May the caller create databases? */
static bool
hold_may_create_databases(void)
{
	HeapTuple	tuple;
	bool		may = superuser();

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return may;
	may = may || ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return may;
}

/* Is a database a template, which everybody may copy? */
static bool
hold_is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(database));
	bool		is_template;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return is_template;
}

/*
 * Keep our processes out of a database from now on, and give those that are
 * there time to leave.  Whatever this raises, nvs_hold_end() has to follow.
 */
void
nvs_hold_begin(NvsDatabase *db)
{
	int			waited;

	pg_atomic_fetch_add_u32(&db->holds, 1);
	for (waited = 0; waited < LEAVE_TIME; waited += 10)
	{
		bool		is_empty = true;
		int			kind;

		for (kind = 0; kind < NVS_PROCESS_KINDS; kind++)
		{
			if (pg_atomic_read_u32(&db->processes[kind].number) == 0)
				continue;
			is_empty = false;
			nvs_shmem_wake_kind(db, kind);
		}
		if (is_empty)
			return;
		if (waited == PATIENCE)
			hold_end_process(db, NVS_MAINTAINER);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT |
						 WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Let our processes into a database again.  Does not raise. */
void
nvs_hold_end(NvsDatabase *db)
{
	pg_atomic_fetch_sub_u32(&db->holds, 1);
	nvs_shmem_wake_launcher();
}

/* Have a process end, whatever it does. */
static void
hold_end_process(NvsDatabase *db, NvsProcessKind kind)
{
	uint32		number = pg_atomic_read_u32(&db->processes[kind].number);
	int			pid = number == 0 ? 0 : GetPGProcByNumber(number - 1)->pid;

	if (pid != 0 &&
		pg_atomic_read_u32(&db->processes[kind].number) == number)
		kill(pid, SIGTERM);
}
