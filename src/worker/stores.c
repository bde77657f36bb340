/*
 * worker/stores.c
 *	  Has nvent.maintain() run in every store, as the store's owner.
 *
 * The worker is a superuser, and a store's tables may have triggers: nothing
 * of a store may run with more rights than its owner has.  A store that fails
 * is named in the log and does not keep the others from their turn.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/plan.h"
#include "worker/worker.h"

/* Rows that one pass may remove from a store. */
#define BUDGET		1000

/* A store and whose it is. */
typedef struct OwnedStore
{
	char	   *prefix;
	Oid			owner;
} OwnedStore;

static SPIPlanPtr stores_plan = NULL;
static SPIPlanPtr maintain_plan = NULL;

static List *owned_stores(MemoryContext cxt);
static void maintain_store(const OwnedStore *store);
static void maintain_as_owner(const OwnedStore *store);

/* One bounded pass over every store, a transaction each. */
void
nvs_maintain_stores(void)
{
	List	   *stores = owned_stores(CurrentMemoryContext);
	ListCell   *lc;

	foreach(lc, stores)
	{
		CHECK_FOR_INTERRUPTS();
		maintain_store(lfirst(lc));
	}
	pgstat_report_stat(false);
}

/* All stores, in cxt; none when there is no nvent.maintain(). */
static List *
owned_stores(MemoryContext cxt)
{
	Oid			args[2] = {INT4OID, TEXTOID};
	List	   *result = NIL;
	MemoryContext old;
	uint64		i;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!OidIsValid(LookupFuncName(list_make2(makeString("nvent"),
											  makeString("maintain")),
								   2, args, true)))
	{
		CommitTransactionCommand();
		return NIL;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_spi_begin();
	if (stores_plan == NULL)
		stores_plan = nvs_plan_prepare(
			"SELECT s.prefix, c.relowner FROM nvent.store s "
			"JOIN pg_catalog.pg_namespace n "
			"ON n.nspname OPERATOR(pg_catalog.=) s.schema_name "
			"JOIN pg_catalog.pg_class c "
			"ON c.relnamespace OPERATOR(pg_catalog.=) n.oid "
			"AND c.relname OPERATOR(pg_catalog.=) "
			"pg_catalog.concat(s.prefix, '_schema_version')", 0, NULL, 0);
	nvs_plan_execute(stores_plan, NULL, NULL, true, 0);
	old = MemoryContextSwitchTo(cxt);
	for (i = 0; i < SPI_processed; i++)
	{
		OwnedStore *store = palloc(sizeof(OwnedStore));
		bool		isnull;

		store->prefix = SPI_getvalue(SPI_tuptable->vals[i],
									 SPI_tuptable->tupdesc, 1);
		store->owner = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2,
						  &isnull));
		result = lappend(result, store);
	}
	MemoryContextSwitchTo(old);
	nvs_spi_end();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return result;
}

/* One pass over a store; an error ends that and nothing else. */
static void
maintain_store(const OwnedStore *store)
{
	MemoryContext cxt = CurrentMemoryContext;

	pgstat_report_activity(STATE_RUNNING, "maintain");
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		maintain_as_owner(store);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		HOLD_INTERRUPTS();
		errcontext("maintenance of store \"%s\"", store->prefix);
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The pass itself, with the rights of the store's owner and no more. */
static void
maintain_as_owner(const OwnedStore *store)
{
	Oid			types[2] = {INT4OID, TEXTOID};
	Datum		values[2];
	Oid			user;
	int			context;

	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_spi_begin();
	if (maintain_plan == NULL)
		maintain_plan = nvs_plan_prepare("SELECT nvent.maintain($1, $2)",
										 2, types, 0);
	values[0] = Int32GetDatum(BUDGET);
	values[1] = CStringGetTextDatum(store->prefix);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(store->owner, context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nvs_plan_execute(maintain_plan, values, NULL, false, 0);
	SetUserIdAndSecContext(user, context);
	nvs_spi_end();
	PopActiveSnapshot();
}
