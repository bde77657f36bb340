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
#include "stream/write.h"

#define GUARD_TRIGGER	"\"!nvent_protect\""

PG_FUNCTION_INFO_V1(nvs_stream_guard);
PG_FUNCTION_INFO_V1(nvs_stream_guard_ddl);
PG_FUNCTION_INFO_V1(nvs_stream_protect);
PG_FUNCTION_INFO_V1(nvs_stream_unprotect);

static const Trigger *protect_find_guard(Relation rel, const char *name);
static bool protect_may_undo(void);
static void protect_refuse_ddl(Relation rel);
static void protect_check_alter(AlterTableStmt *stmt);
static bool protect_is_disabling(const AlterTableStmt *stmt);
static void protect_check_drop(DropStmt *stmt);
static void protect_check_table(Oid relid);
static List *protect_lock_tables(Oid relid);
static char *protect_create_sql(Relation rel);
static char *protect_drop_sql(Relation rel);
static bool protect_run(Oid relid, char *(*make_sql) (Relation rel));

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
protect_find_guard(Relation rel, const char *name)
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

/* May the caller undo a protection?  Superusers and our owner may. */
static bool
protect_may_undo(void)
{
	return superuser() ||
		nvs_owns_relation(nvs_registry_table("store"), GetUserId());
}

/* Raise an error unless the caller may undo a table's protection. */
static void
protect_refuse_ddl(Relation rel)
{
	if (protect_may_undo())
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
				 errmsg("function \"stream_guard_ddl\" must be called by an "
						"event trigger")));
	if (IsA(data->parsetree, AlterTableStmt))
		protect_check_alter((AlterTableStmt *) data->parsetree);
	else if (IsA(data->parsetree, DropStmt))
		protect_check_drop((DropStmt *) data->parsetree);
	PG_RETURN_NULL();
}

/*
 * After ALTER TABLE: raise an error when the trigger of a protected table does
 * not fire any more.
 */
static void
protect_check_alter(AlterTableStmt *stmt)
{
	const Trigger *guard;
	Relation	rel;

	if (!protect_is_disabling(stmt))
		return;
	rel = table_openrv_extended(stmt->relation, AccessShareLock, true);
	if (rel == NULL)
		return;
	guard = protect_find_guard(rel, NULL);
	if (guard != NULL && (guard->tgenabled == TRIGGER_DISABLED ||
						  guard->tgenabled == TRIGGER_FIRES_ON_REPLICA))
		protect_refuse_ddl(rel);
	table_close(rel, NoLock);
}

/* Does a statement keep triggers from firing? */
static bool
protect_is_disabling(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

		if (subtype == AT_DisableTrig || subtype == AT_DisableTrigAll ||
			subtype == AT_DisableTrigUser || subtype == AT_EnableReplicaTrig)
			return true;
	}
	return false;
}

/* Before DROP TRIGGER: raise an error for a trigger that protects. */
static void
protect_check_drop(DropStmt *stmt)
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
		if (protect_find_guard(rel, name) != NULL)
			protect_refuse_ddl(rel);
		table_close(rel, NoLock);
	}
}

/*
 * Raise an error unless a relation is a table, and one on which the caller
 * may create triggers: nobody else is to lock it.
 */
static void
protect_check_table(Oid relid)
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
protect_lock_tables(Oid relid)
{
	protect_check_table(relid);
	LockRelationOid(relid, ShareRowExclusiveLock);
	/* It may have been dropped while we waited. */
	protect_check_table(relid);
	return find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
}

/* nvent.stream_protect(relation): false when it was protected. */
Datum
nvs_stream_protect(PG_FUNCTION_ARGS)
{
	bool		changed;

	NVS_REQUIRE_ARG(0, "relation");
	PreventCommandIfReadOnly("nvent.stream_protect()");
	nvs_spi_begin();
	changed = protect_run(PG_GETARG_OID(0), protect_create_sql);
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/* nvent.stream_unprotect(relation): false when it was not protected. */
Datum
nvs_stream_unprotect(PG_FUNCTION_ARGS)
{
	bool		changed;

	NVS_REQUIRE_ARG(0, "relation");
	PreventCommandIfReadOnly("nvent.stream_unprotect()");
	if (!protect_may_undo())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to unprotect a table"),
				 errhint("Only superusers and the owner of the extension "
						 "may.")));
	nvs_spi_begin();
	changed = protect_run(PG_GETARG_OID(0), protect_drop_sql);
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/*
 * Run a statement on a table and on all that inherit from it, where make_sql
 * says one.  Returns whether there was any.
 */
static bool
protect_run(Oid relid, char *(*make_sql) (Relation rel))
{
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, protect_lock_tables(relid))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		char	   *sql = make_sql(rel);

		table_close(rel, NoLock);
		if (sql == NULL)
			continue;
		nvs_plan_utility(sql);
		changed = true;
	}
	return changed;
}

/* The statement that protects a table; NULL when it is protected. */
static char *
protect_create_sql(Relation rel)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));

	if (protect_find_guard(rel, NULL) != NULL)
		return NULL;
	return psprintf("CREATE TRIGGER " GUARD_TRIGGER " BEFORE INSERT OR UPDATE "
					"OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT "
					"EXECUTE FUNCTION nvent.stream_guard()",
					nvs_qualified(schema, RelationGetRelationName(rel)));
}

/* The statement that ends a protection; NULL when there is none. */
static char *
protect_drop_sql(Relation rel)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));
	const Trigger *guard = protect_find_guard(rel, NULL);

	if (guard == NULL)
		return NULL;
	return psprintf("DROP TRIGGER %s ON %s", quote_identifier(guard->tgname),
					nvs_qualified(schema, RelationGetRelationName(rel)));
}
