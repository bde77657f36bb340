/*
 * stream/protect.c
 *	  Protected tables: events that nobody changes but by our functions.
 *
 * A protected table has a statement trigger that refuses INSERT, UPDATE,
 * DELETE and TRUNCATE to everybody, its owner and superusers included, unless
 * it is one of our functions that runs the statement: these leave a pass for
 * it, see stream/write.c.  The trigger's name sorts before any that one would
 * choose.
 *
 * An event trigger keeps a table's owner from disabling or dropping it.
 * Superusers can: they are who may bypass all of this.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/identity.h"
#include "base/text.h"
#include "stream/stream.h"

#define GUARD_TRIGGER	"\"!nvent_protect\""

PG_FUNCTION_INFO_V1(nvs_stream_guard);
PG_FUNCTION_INFO_V1(nvs_stream_guard_ddl);
PG_FUNCTION_INFO_V1(nvs_stream_protect);
PG_FUNCTION_INFO_V1(nvs_stream_unprotect);

static const Trigger *find_guard(Relation rel, const char *name);
static bool may_unprotect(void);
static void refuse_ddl(Relation rel);
static void check_alter(AlterTableStmt *stmt);
static void check_drop(DropStmt *stmt);
static void check_table(Oid relid);
static List *lock_tables(Oid relid);

/* The trigger: nvent.stream_guard(). */
Datum
nvs_stream_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	rel;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"stream_guard\" must be called by a "
						"trigger before each statement"),
				 errhint("Use nvent.stream_protect().")));
	rel = data->tg_relation;
	if (!nvs_stream_take_pass(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" is protected",
						RelationGetRelationName(rel)),
				 errdetail("Its rows are changed by functions of "
						   "nvent_store only."),
				 errhint("Append with nvent.stream_append(), remove with "
						 "nvent.stream_truncate() or stream_retain().")));
	return PointerGetDatum(NULL);
}

/* The trigger that guards a table, of any or of this name; NULL if none. */
static const Trigger *
find_guard(Relation rel, const char *name)
{
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		char	   *function;

		if (name != NULL && strcmp(trigger->tgname, name) != 0)
			continue;
		function = get_func_name(trigger->tgfoid);
		if (function != NULL && strcmp(function, "stream_guard") == 0 &&
			get_func_namespace(trigger->tgfoid) == nvs_namespace())
			return trigger;
	}
	return NULL;
}

/* Who may undo a protection: superusers, and who installed us. */
static bool
may_unprotect(void)
{
	return superuser() ||
		nvs_owns_relation(nvs_registry_table("store"), GetUserId());
}

/* Report that a protection cannot be undone in this way. */
static void
refuse_ddl(Relation rel)
{
	if (may_unprotect())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot disable or drop the trigger that protects table "
					"\"%s\"", RelationGetRelationName(rel)),
			 errhint("A superuser can, with nvent.stream_unprotect().")));
}

/* The event trigger: nvent.stream_guard_ddl(). */
Datum
nvs_stream_guard_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = (EventTriggerData *) fcinfo->context;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"stream_guard_ddl\" must be called by an event "
						"trigger")));
	if (IsA(data->parsetree, AlterTableStmt))
		check_alter((AlterTableStmt *) data->parsetree);
	else if (IsA(data->parsetree, DropStmt))
		check_drop((DropStmt *) data->parsetree);
	PG_RETURN_NULL();
}

/* After ALTER TABLE: the triggers of a protected table are still on. */
static void
check_alter(AlterTableStmt *stmt)
{
	ListCell   *lc;
	bool		concerns = false;
	const Trigger *guard;
	Relation	rel;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		concerns = concerns || cmd->subtype == AT_DisableTrig ||
			cmd->subtype == AT_DisableTrigAll ||
			cmd->subtype == AT_DisableTrigUser ||
			cmd->subtype == AT_EnableReplicaTrig;
	}
	if (!concerns)
		return;
	rel = table_openrv_extended(stmt->relation, AccessShareLock, true);
	if (rel == NULL)
		return;
	guard = find_guard(rel, NULL);
	if (guard != NULL && (guard->tgenabled == TRIGGER_DISABLED ||
						  guard->tgenabled == TRIGGER_FIRES_ON_REPLICA))
		refuse_ddl(rel);
	table_close(rel, NoLock);
}

/* Before DROP TRIGGER: it is not one that protects. */
static void
check_drop(DropStmt *stmt)
{
	ListCell   *lc;

	if (stmt->removeType != OBJECT_TRIGGER)
		return;
	foreach(lc, stmt->objects)
	{
		List	   *names = list_copy(lfirst_node(List, lc));
		char	   *name = strVal(llast(names));
		Relation	rel;

		names = list_delete_last(names);
		rel = table_openrv_extended(makeRangeVarFromNameList(names),
									AccessShareLock, true);
		if (rel == NULL)
			continue;
		if (find_guard(rel, name) != NULL)
			refuse_ddl(rel);
		table_close(rel, NoLock);
	}
}

/*
 * Raise an error unless a relation is a table, and one on which the caller
 * may create triggers: nobody else is to lock it.
 */
static void
check_table(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(relid))));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_TRIGGER) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}

/*
 * The OIDs of a table and of all that inherit from it, its partitions above
 * all, locked until the end of the transaction as CREATE TRIGGER locks them.
 */
static List *
lock_tables(Oid relid)
{
	check_table(relid);
	LockRelationOid(relid, ShareRowExclusiveLock);
	/* It may have been dropped while we waited. */
	check_table(relid);
	return find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
}

/* nvent.stream_protect(relation): false when it was protected. */
Datum
nvs_stream_protect(PG_FUNCTION_ARGS)
{
	bool		changed = false;
	ListCell   *lc;

	NVS_REQUIRE_ARG(0, "relation");
	PreventCommandIfReadOnly("nvent.stream_protect()");
	nvs_spi_begin();
	foreach(lc, lock_tables(PG_GETARG_OID(0)))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		bool		guarded = find_guard(rel, NULL) != NULL;
		char	   *name = nvs_qualified(
										 get_namespace_name(RelationGetNamespace(rel)),
										 RelationGetRelationName(rel));

		table_close(rel, NoLock);
		if (guarded)
			continue;
		nvs_plan_utility(psprintf("CREATE TRIGGER " GUARD_TRIGGER
								  " BEFORE INSERT OR UPDATE OR DELETE OR "
								  "TRUNCATE ON %s FOR EACH STATEMENT "
								  "EXECUTE FUNCTION nvent.stream_guard()",
								  name));
		changed = true;
	}
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/* nvent.stream_unprotect(relation): false when it was not protected. */
Datum
nvs_stream_unprotect(PG_FUNCTION_ARGS)
{
	bool		changed = false;
	ListCell   *lc;

	NVS_REQUIRE_ARG(0, "relation");
	PreventCommandIfReadOnly("nvent.stream_unprotect()");
	if (!may_unprotect())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to unprotect a table"),
				 errhint("Only superusers and the owner of the extension "
						 "may.")));
	nvs_spi_begin();
	foreach(lc, lock_tables(PG_GETARG_OID(0)))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		const Trigger *guard = find_guard(rel, NULL);
		char	   *sql = guard == NULL ? NULL :
			psprintf("DROP TRIGGER %s ON %s", quote_identifier(guard->tgname),
					 nvs_qualified(get_namespace_name(RelationGetNamespace(rel)),
								   RelationGetRelationName(rel)));

		table_close(rel, NoLock);
		if (sql == NULL)
			continue;
		nvs_plan_utility(sql);
		changed = true;
	}
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}
