/*
 * stream/protect.c
 *	  Protected tables: events that nobody changes but by our functions.
 *
 * A protected table has a statement trigger, the guard, that refuses INSERT,
 * UPDATE, DELETE and TRUNCATE to everybody, its owner and superusers included,
 * unless it is one of our functions that runs the statement: these leave a pass
 * for it, see stream/write.c.  The guard's name sorts before any that one would
 * choose.
 *
 * A statement fires the triggers of the table that it names and not those of
 * the tables that inherit from it.  So whatever a protected table inherits from
 * is protected, too, and whatever inherits from it.
 *
 * Event triggers keep that so: they look at what a command has made of the
 * tables and triggers that it changed, by OID, and undo the command by an
 * error.  Nobody gets past them but superusers.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/identity.h"
#include "base/text.h"
#include "stream/write.h"

#define GUARD_NAME		"!nvent_protect"
#define GUARD_FUNCTION	"stream_guard"

/* What the guard fires for. */
#define GUARD_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | \
	 TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE)

/* Of pg_event_trigger_table_rewrite_reason(): a column's type is changed. */
#define REWRITE_COLUMN	4

PG_FUNCTION_INFO_V1(nvs_stream_guard);
PG_FUNCTION_INFO_V1(nvs_stream_guard_ddl);
PG_FUNCTION_INFO_V1(nvs_stream_protect);
PG_FUNCTION_INFO_V1(nvs_stream_unprotect);

/* A trigger as the guard's event triggers look at it. */
typedef struct TriggerState
{
	bool		is_named;		/* it has the guard's name */
	bool		is_guard;		/* it calls the guard's function */
	bool		is_whole;		/* it fires, for all that the guard does */
	Oid			relid;
} TriggerState;

/* What a DDL command that ends now has made or changed. */
static const NvsStatement protect_commands = {
	"SELECT classid, objid FROM pg_catalog.pg_event_trigger_ddl_commands() "
	"WHERE classid OPERATOR(pg_catalog.=) ANY (ARRAY["
	"'pg_catalog.pg_class'::pg_catalog.regclass, "
	"'pg_catalog.pg_trigger'::pg_catalog.regclass]::pg_catalog.oid[])"
};

/* Triggers of the guard's name that were dropped without their table. */
static const NvsStatement protect_dropped = {
	"SELECT t.address_names[2] FROM pg_catalog.pg_event_trigger_dropped_objects() t "
	"WHERE t.object_type OPERATOR(pg_catalog.=) 'trigger' "
	"AND t.address_names[3] OPERATOR(pg_catalog.=) '" GUARD_NAME "' "
	"AND NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() r "
	"WHERE r.object_type OPERATOR(pg_catalog.~~) '%table' "
	"AND r.address_names OPERATOR(pg_catalog.=) t.address_names[1:2])"
};

static void protect_read_trigger(HeapTuple tuple, TriggerState *state);
static bool protect_find_guard(Oid relid, TriggerState *state);
static bool protect_is_guarded(Oid relid);
static void protect_refuse(const char *table);
static void protect_check_commands(Node *parsetree);
static void protect_check_trigger(Oid oid, bool is_bound);
static void protect_check_tables(Oid relid);
static void protect_check_table(Oid relid);
static void protect_check_parents(Oid relid);
static List *protect_list_parents(Oid relid);
static void protect_check_drop(void);
static void protect_check_rewrite(void);
static void protect_check_target(Oid relid);
static void protect_check_column(Oid relid, const char *column, Oid type);
static List *protect_lock_tables(Oid relid);
static char *protect_create_sql(Oid relid);
static char *protect_drop_sql(Oid relid);
static bool protect_run(Oid relid, char *(*make_sql) (Oid relid));

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

/* Set *state to what a row of pg_trigger says. */
static void
protect_read_trigger(HeapTuple tuple, TriggerState *state)
{
	Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
	char	   *function = get_func_name(trigger->tgfoid);

	state->relid = trigger->tgrelid;
	state->is_named = strcmp(NameStr(trigger->tgname), GUARD_NAME) == 0;
	state->is_guard = function != NULL &&
		strcmp(function, GUARD_FUNCTION) == 0 &&
		get_func_namespace(trigger->tgfoid) == nvs_namespace();
	state->is_whole = state->is_guard && trigger->tgtype == GUARD_TYPE &&
		(trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		 trigger->tgenabled == TRIGGER_FIRES_ALWAYS) &&
		trigger->tgattr.dim1 == 0 &&
		heap_attisnull(tuple, Anum_pg_trigger_tgqual, NULL);
}

/* Set *state to the trigger of a table that has the guard's name; if any. */
static bool
protect_find_guard(Oid relid, TriggerState *state)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&key[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(GUARD_NAME));
	scan = systable_beginscan(pg_trigger, TriggerRelidNameIndexId, true, NULL,
							  2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		protect_read_trigger(tuple, state);
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* Is a table protected? */
static bool
protect_is_guarded(Oid relid)
{
	TriggerState state;

	return protect_find_guard(relid, &state) && state.is_whole;
}

/* Raise the error that a table's protection is not to be undone. */
static void
protect_refuse(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot change the trigger that protects table \"%s\"",
					table),
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
	nvs_spi_begin();
	if (strcmp(data->event, "ddl_command_end") == 0)
		protect_check_commands(data->parsetree);
	else if (strcmp(data->event, "sql_drop") == 0)
		protect_check_drop();
	else
		protect_check_rewrite();
	nvs_spi_end();
	PG_RETURN_NULL();
}

/* After a command on tables or triggers: look at each of them. */
static void
protect_check_commands(Node *parsetree)
{
	uint64		n = nvs_execute(nvs_statement_plan(NULL, &protect_commands,
												   NULL, NULL),
								NULL, true, 0);
	SPITupleTable *table = SPI_tuptable;
	uint64		i;

	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		class = SPI_getbinval(table->vals[i], table->tupdesc, 1,
										  &isnull);
		Datum		object = SPI_getbinval(table->vals[i], table->tupdesc, 2,
										   &isnull);

		if (DatumGetObjectId(class) == TriggerRelationId)
			protect_check_trigger(DatumGetObjectId(object),
								  IsA(parsetree, AlterObjectDependsStmt));
		else
			protect_check_tables(DatumGetObjectId(object));
	}
}

/*
 * Raise an error when a trigger was made or changed that has the guard's name
 * or function and is not a guard, or that an owner did not make, or that goes
 * with another extension (is_bound).
 */
static void
protect_check_trigger(Oid oid, bool is_bound)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	TriggerState state = {0};

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(pg_trigger, TriggerOidIndexId, true, NULL, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		protect_read_trigger(tuple, &state);
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);

	if ((!state.is_named && !state.is_guard) || superuser())
		return;
	if (!state.is_named || !state.is_whole || is_bound ||
		!nvs_owns_relation(state.relid, GetUserId()))
		protect_refuse(get_rel_name(state.relid));
}

/* Look at a table that was made or changed, and at all that inherit from it. */
static void
protect_check_tables(Oid relid)
{
	char		kind = get_rel_relkind(relid);
	ListCell   *lc;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_FOREIGN_TABLE)
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		protect_check_table(lfirst_oid(lc));
		protect_check_parents(lfirst_oid(lc));
	}
}

/* Raise an error when a table's guard does not fire any more. */
static void
protect_check_table(Oid relid)
{
	TriggerState state;

	if (protect_find_guard(relid, &state) && state.is_guard &&
		!state.is_whole && !superuser())
		protect_refuse(get_rel_name(relid));
}

/*
 * Protect a table that inherits from a protected one; raise an error when a
 * protected one inherits from one that is not.
 */
static void
protect_check_parents(Oid relid)
{
	ListCell   *lc;

	foreach(lc, protect_list_parents(relid))
	{
		bool		guarded = protect_is_guarded(relid);

		if (protect_is_guarded(lfirst_oid(lc)) == guarded)
			continue;
		if (guarded)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("protected table \"%s\" cannot inherit from table "
							"\"%s\", which is not protected",
							get_rel_name(relid), get_rel_name(lfirst_oid(lc))),
					 errdetail("Rows could be changed through it."),
					 errhint("Call nvent.stream_protect() for \"%s\".",
							 get_rel_name(lfirst_oid(lc)))));
		nvs_plan_utility(protect_create_sql(relid));
	}
}

/* OIDs of the tables that a table inherits from or is a partition of. */
static List *
protect_list_parents(Oid relid)
{
	Relation	pg_inherits = table_open(InheritsRelationId, AccessShareLock);
	List	   *parents = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_inherits, InheritsRelidSeqnoIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents,
							  ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(pg_inherits, AccessShareLock);
	return parents;
}

/* After DROP TRIGGER: raise an error when it was a guard. */
static void
protect_check_drop(void)
{
	if (superuser())
		return;
	if (nvs_execute(nvs_statement_plan(NULL, &protect_dropped, NULL, NULL),
					NULL, true, 1) > 0)
		protect_refuse(SPI_getvalue(SPI_tuptable->vals[0],
									SPI_tuptable->tupdesc, 1));
}

/*
 * Before a table is rewritten: raise an error when it is protected and its
 * events would get other values.
 */
static void
protect_check_rewrite(void)
{
	Datum		table =
		OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID);
	Datum		why =
		OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON);
	Oid			relid = DatumGetObjectId(table);
	int			reason = DatumGetInt32(why);

	if ((reason & REWRITE_COLUMN) != 0 && protect_is_guarded(relid) &&
		!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot change the type of a column of protected table "
						"\"%s\"", get_rel_name(relid)),
				 errhint("A superuser can.")));
}

/*
 * Raise an error unless the caller owns a relation: nobody else is to lock it,
 * or to learn of it.  Then unless it is a table, of events.
 */
static void
protect_check_target(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!nvs_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(kind),
					   get_rel_name(relid));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(relid))));
	protect_check_column(relid, "id", INT8OID);
	protect_check_column(relid, "ts", INT8OID);
	protect_check_column(relid, "type", TEXTOID);
}

/* Raise an error unless a table has a column that every table of events has. */
static void
protect_check_column(Oid relid, const char *column, Oid type)
{
	AttrNumber	attnum = get_attnum(relid, column);

	if (attnum == InvalidAttrNumber || get_atttype(relid, attnum) != type)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table of events",
						get_rel_name(relid)),
				 errdetail("It has no column \"%s\" of type %s.", column,
						   format_type_be(type))));
}

/*
 * The OIDs of a table and of all that inherit from it, its partitions above
 * all, locked until the end of the transaction as CREATE TRIGGER locks them.
 */
static List *
protect_lock_tables(Oid relid)
{
	protect_check_target(relid);
	LockRelationOid(relid, ShareRowExclusiveLock);
	/* It may have been dropped while we waited, or given to another. */
	protect_check_target(relid);
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
	protect_check_tables(PG_GETARG_OID(0));
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
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to unprotect a table"),
				 errhint("Only superusers may.")));
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
protect_run(Oid relid, char *(*make_sql) (Oid relid))
{
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, protect_lock_tables(relid))
	{
		char	   *sql = make_sql(lfirst_oid(lc));

		if (sql == NULL)
			continue;
		nvs_plan_utility(sql);
		changed = true;
	}
	return changed;
}

/* The statement that protects a table; NULL when it is protected. */
static char *
protect_create_sql(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	if (protect_is_guarded(relid))
		return NULL;
	return psprintf("CREATE OR REPLACE TRIGGER \"" GUARD_NAME "\" BEFORE INSERT "
					"OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT "
					"EXECUTE FUNCTION nvent." GUARD_FUNCTION "()",
					nvs_qualified(schema, get_rel_name(relid)));
}

/* The statement that ends a protection; NULL when there is none. */
static char *
protect_drop_sql(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	TriggerState state;

	if (!protect_find_guard(relid, &state))
		return NULL;
	return psprintf("DROP TRIGGER \"" GUARD_NAME "\" ON %s",
					nvs_qualified(schema, get_rel_name(relid)));
}
