/*
 * route/table_set.c
 *	  The tables of one module in a store, and the statements on them.
 *
 * A set is found by the store that a call names.  Its tables are locked until
 * the end of the transaction, so that their names are theirs, and it is looked
 * up again when one of them has changed.
 *
 * A call that changes something locks the tables of its kind that are first,
 * and each of the others before a statement that names it: most calls need
 * few.  Whoever locks several of them against all must do so in their order,
 * since he then waits for the first one until no call is under way.  Where the
 * others are read with a snapshot, they are to be locked before it is taken: it
 * could be older than a table that was rewritten while its lock was waited for.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "errors.h"
#include "base/guc.h"
#include "base/inval.h"
#include "base/text.h"
#include "position/xact.h"
#include "route/table_set.h"
#include "store/store.h"

/* Every set that was used, for one registry generation; they are few. */
static MemoryContext table_sets_cxt = NULL;
static NvsTableSet *table_sets = NULL;
static uint64 table_sets_generation = 0;
static uint64 schema_changes = 0;	/* that this backend was told of */

/* Rows of which there are so many at most. */
typedef struct CountedRows
{
	const NvsTableSet *set;
	uint64		n;
	uint64		max;
	NvsRowFunction function;
	void	   *arg;
} CountedRows;

static void table_sets_callback(Datum arg, Oid relid);
static void table_sets_schema_callback(Datum arg, int cacheid, uint32 hash);
static NvsTableSet *table_set_add(const NvsTableSetKind *kind,
								  const NvsStore *store);
static NvsTableSet *table_set_find(const NvsTableSetKind *kind,
								   const char *prefix, uint32 tables,
								   LOCKMODE mode);
static uint32 table_set_all(const NvsTableSetKind *kind);
static bool table_set_lock(const NvsTableSet *set, uint32 tables,
						   LOCKMODE mode);
static void table_set_lock_more(void *arg, uint32 tables);
static void table_set_check_again(const NvsTableSet *set, uint32 tables,
								  LOCKMODE mode);
static void table_set_compile(NvsTableSet *set, const NvsStore *store,
							  LOCKMODE mode);
static Oid	table_set_lock_table(const NvsStore *store, const char *name,
								 LOCKMODE mode);
static void table_set_check_columns(const NvsTableSetKind *kind,
									const Oid *relids, uint32 tables);
pg_noreturn static void table_set_fail_column(Oid relid,
											  const NvsTableSetColumn *column);
static void table_sets_forget(void);
static void table_set_count_row(TupleTableSlot *slot, void *arg);

/* Register the callbacks that have tables looked at again. */
void
nvs_table_set_init(void)
{
	nvs_inval_register(table_sets_callback);
	CacheRegisterSyscacheCallback(NAMESPACEOID, table_sets_schema_callback,
								  (Datum) 0);
}

/* A relation changed: statements that name it may mean another one. */
static void
table_sets_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	NvsTableSet *set;
	int			i;

	for (set = table_sets; set != NULL; set = set->next)
		for (i = 0; i < set->kind->ntables; i++)
			if (relid == InvalidOid || relid == set->relids[i])
				set->valid = false;
}

/* A schema changed, and with it what the names in statements mean. */
static void
table_sets_schema_callback(Datum arg, int cacheid pg_attribute_unused(),
						   uint32 hash pg_attribute_unused())
{
	schema_changes++;
	table_sets_callback(arg, InvalidOid);
}

/*
 * The set of the store that argument arg names, of the default store for NULL.
 * To be written the default store is made when it is not there; else NULL
 * stands for that.  An error when another store is not there.
 */
NvsTableSet *
nvs_table_set_open(const NvsTableSetKind *kind, FunctionCallInfo fcinfo,
				   int arg, NvsUse use)
{
	bool		by_default = PG_ARGISNULL(arg);
	char	   *prefix = by_default ? pstrdup(nvs_default_store) :
		text_to_cstring(PG_GETARG_TEXT_PP(arg));
	bool		write = use == NVS_USE_WRITE;
	NvsTableSet *set;
	int			i;

	if (by_default && write)
		(void) nvs_store_of_write(prefix, strlen(prefix));
	set = table_set_find(kind, prefix, use == NVS_USE_READ || kind->first == 0 ?
						 table_set_all(kind) : kind->first,
						 nvs_use_lock_mode(use));
	if (set == NULL && (write || !by_default))
		nvs_store_missing(prefix);
	if (set != NULL && use == NVS_USE_READ)
		for (i = 0; i < kind->ntables; i++)
			nvs_relation_show(set->relids[i]);
	return set;
}

/*
 * The set of the store that argument arg names, of the default store for NULL,
 * to change its rows.  An error when the store is not there.
 */
NvsTableSet *
nvs_table_set_require(const NvsTableSetKind *kind, FunctionCallInfo fcinfo,
					  int arg)
{
	NvsTableSet *set = nvs_table_set_open(kind, fcinfo, arg, NVS_USE_CHANGE);

	if (set == NULL)
		nvs_store_missing(nvs_default_store);
	return set;
}

/*
 * The set of the store of this prefix, NULL when there is no such store.  All
 * of its tables are locked.
 */
NvsTableSet *
nvs_table_set_find(const NvsTableSetKind *kind, const char *prefix,
				   LOCKMODE mode)
{
	return table_set_find(kind, prefix, table_set_all(kind), mode);
}

/*
 * The set of the store of this prefix, for a call that changes rows: tables
 * that only some calls need are locked by these.  NULL when there is no such
 * store.
 */
NvsTableSet *
nvs_table_set_find_to_change(const NvsTableSetKind *kind, const char *prefix)
{
	return table_set_find(kind, prefix, kind->first == 0 ?
						  table_set_all(kind) : kind->first,
						  nvs_use_lock_mode(NVS_USE_CHANGE));
}

/*
 * The set of the store of this prefix, with these of its tables locked; NULL
 * when there is no such store.  A set is kept under the
 * generation of the store that it is made from, and points to nothing of it:
 * another reading of the registry frees it.
 */
static NvsTableSet *
table_set_find(const NvsTableSetKind *kind, const char *prefix, uint32 tables,
			   LOCKMODE mode)
{
	const NvsStore *store = nvs_store_find(prefix, strlen(prefix));
	NvsTableSet *set;

	if (store == NULL)
		return NULL;
	if (mode != AccessShareLock)
		nvs_xact_changes();
	if (store->generation != table_sets_generation)
	{
		table_sets_forget();
		table_sets_generation = store->generation;
	}
	for (set = table_sets; set != NULL; set = set->next)
		if (set->kind == kind && strcmp(set->prefix, store->prefix) == 0)
			break;
	if (set == NULL)
		set = table_set_add(kind, store);
	while (!table_set_lock(set, tables, mode))
		table_set_compile(set, store, mode);
	return set;
}

/* Enter a set, still to be compiled. */
static NvsTableSet *
table_set_add(const NvsTableSetKind *kind, const NvsStore *store)
{
	NvsTableSet *set = MemoryContextAllocZero(table_sets_cxt,
											  sizeof(NvsTableSet));

	set->kind = kind;
	strlcpy(set->prefix, store->prefix, sizeof(set->prefix));
	set->number = store->number;
	set->next = table_sets;
	table_sets = set;
	return set;
}

/* The bits of all tables of a kind. */
static uint32
table_set_all(const NvsTableSetKind *kind)
{
	return ((uint32) 1 << kind->ntables) - 1;
}

/* Lock tables of a set; false, and no lock, when the set has changed. */
static bool
table_set_lock(const NvsTableSet *set, uint32 tables, LOCKMODE mode)
{
	Oid			relids[NVS_TABLE_SET_MAX];
	int			i;

	if (!set->valid)
		return false;
	memcpy(relids, set->relids, sizeof(relids));
	for (i = 0; i < set->kind->ntables; i++)
		if (tables & (uint32) 1 << i)
			LockRelationOid(relids[i], mode);
	if (set->valid)
		return true;
	while (--i >= 0)
		if (tables & (uint32) 1 << i)
			UnlockRelationOid(relids[i], mode);
	return false;
}

/* Lock a table of a set that was found, if that is not one of the first. */
void
nvs_table_set_lock(const NvsTableSet *set, int table)
{
	table_set_lock_more((void *) set, (uint32) 1 << table);
}

/* Lock all tables of a set that was found. */
void
nvs_table_set_lock_all(const NvsTableSet *set)
{
	table_set_lock_more((void *) set, table_set_all(set->kind));
}

/*
 * NvsNamesFunction: lock more tables of a set, in the mode of the call that
 * found it.  An error when one of them has been replaced since.
 */
static void
table_set_lock_more(void *arg, uint32 tables)
{
	const NvsTableSet *set = arg;
	LOCKMODE	mode = nvs_xact_is_changing() ?
		nvs_use_lock_mode(NVS_USE_CHANGE) : AccessShareLock;
	int			i;

	tables &= ~set->kind->first;
	for (i = 0; i < set->kind->ntables; i++)
		if (tables & (uint32) 1 << i)
			LockRelationOid(set->relids[i], mode);
	if (unlikely(!set->valid))
		table_set_check_again(set, tables, mode);
}

/*
 * A set has changed while a call uses it: raise an error unless these tables of
 * it, which are locked, are those that it was compiled for.
 */
static void
table_set_check_again(const NvsTableSet *set, uint32 tables, LOCKMODE mode)
{
	const NvsStore *store = nvs_store_require(set->prefix);
	int			i;

	for (i = 0; i < set->kind->ntables; i++)
		if ((tables & (uint32) 1 << i) &&
			table_set_lock_table(store, psprintf("%s_%s", store->prefix,
												 set->kind->names[i]),
								 mode) != set->relids[i])
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent "
							"change of relation \"%s_%s\"", store->prefix,
							set->kind->names[i]),
					 errdetail("It was replaced after the call had begun."),
					 errhint("Retry the transaction.")));
	table_set_check_columns(set->kind, set->relids, tables);
}

/*
 * Look the tables of a set up, lock them, and have the statements go to them.
 * What the statements were before may still be used by a call; an error
 * changes nothing.
 */
static void
table_set_compile(NvsTableSet *set, const NvsStore *store, LOCKMODE mode)
{
	uint64		changes = schema_changes;
	const NvsTableSetKind *kind = set->kind;
	MemoryContext cxt;
	NvsPlanSet *plans;
	Oid			relids[NVS_TABLE_SET_MAX];
	const char *tables[NVS_TABLE_SET_MAX];
	char	   *channel;
	int			i;

	/*
	 * The tables, which are what the module takes them for while they are
	 * locked.
	 */
	for (i = 0; i < kind->ntables; i++)
		relids[i] = table_set_lock_table(store,
										 psprintf("%s_%s", store->prefix,
												  kind->names[i]), mode);
	table_set_check_columns(kind, relids, table_set_all(kind));

	/* Their names in the statements, which live as long as the set is so. */
	cxt = AllocSetContextCreate(CacheMemoryContext, "nvent_store tables",
								ALLOCSET_SMALL_SIZES);
	plans = nvs_planset_create(cxt);
	if (kind->by_index)
		nvs_planset_by_index(plans);
	for (i = 0; i < kind->ntables; i++)
	{
		char	   *table = nvs_qualified(store->schema,
										  psprintf("%s_%s", store->prefix,
												   kind->names[i]));

		tables[i] = MemoryContextStrdup(cxt, table);
		nvs_planset_define(plans, kind->names[i], tables[i]);
	}
	channel = MemoryContextStrdup(cxt, store->channel);

	/*
	 * What a call has not locked by itself is locked before a statement names
	 * it.
	 */
	if (kind->first != 0)
		nvs_planset_guard(plans, table_set_all(kind) & ~kind->first,
						  table_set_lock_more, set);

	/* From here on nothing fails. */
	if (set->plans != NULL)
		nvs_defer_free(set->cxt, set->plans);
	memcpy(set->relids, relids, sizeof(relids));
	memcpy(set->tables, tables, sizeof(tables));
	set->channel = channel;
	set->plans = plans;
	set->cxt = cxt;
	set->state = NULL;
	/* Not if a schema changed meanwhile: the next call looks again. */
	set->valid = changes == schema_changes;
}

/*
 * Lock a table of a store; an error that says what to do when it is not there,
 * as in an older layout.
 */
static Oid
table_set_lock_table(const NvsStore *store, const char *name, LOCKMODE mode)
{
	Oid			relid = nvs_relation_lock(store, NULL, name, true, mode);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" of store \"%s\" does not exist",
						store->schema, name, store->prefix),
				 errhint("Run SELECT nvent.store_migrate(%s).",
						 quote_literal_cstr(store->prefix))));
	return relid;
}

/*
 * Raise an error when a column of these tables, which are locked, is not what
 * its module takes its values for: the owner of a store can change its tables,
 * and a number is not to be taken for an address.
 */
static void
table_set_check_columns(const NvsTableSetKind *kind, const Oid *relids,
						uint32 tables)
{
	const NvsTableSetColumn *column;

	for (column = kind->columns; column->table >= 0; column++)
	{
		Oid			relid = relids[column->table];
		HeapTuple	tuple;
		bool		fits = false;

		if ((tables & (uint32) 1 << column->table) == 0)
			continue;
		tuple = SearchSysCacheAttName(relid, column->name);
		if (HeapTupleIsValid(tuple))
		{
			Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

			fits = att->atttypid == column->type &&
				(att->attnotnull || !column->required);
			ReleaseSysCache(tuple);
		}
		if (!fits)
			table_set_fail_column(relid, column);
	}
}

/* Raise the error that a column is missing, or is not what it has to be. */
static void
table_set_fail_column(Oid relid, const NvsTableSetColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("relation %s cannot be used",
					nvs_qualified(get_namespace_name(get_rel_namespace(relid)),
								  get_rel_name(relid))),
			 errdetail("It has no column \"%s\" of type %s%s.", column->name,
					   format_type_be(column->type),
					   column->required ? " that is not null" : "")));
}

/*
 * Forget all sets.  What they were is freed when no call of ours is on the
 * stack, so a call that has a set can go on with it.  What was compiled lies in
 * no context that is freed here: a set may have been compiled anew in the same
 * call, and each is freed once.
 */
static void
table_sets_forget(void)
{
	NvsTableSet *set;

	for (set = table_sets; set != NULL; set = set->next)
		if (set->plans != NULL)
			nvs_defer_free(set->cxt, set->plans);
	table_sets = NULL;
	if (table_sets_cxt != NULL)
		nvs_defer_free(table_sets_cxt, NULL);
	table_sets_cxt = AllocSetContextCreate(CacheMemoryContext,
										   "nvent_store table sets",
										   ALLOCSET_SMALL_SIZES);
}

/* Run a statement that writes or locks; returns how many rows it met. */
uint64
nvs_table_set_run(const NvsTableSet *set, const NvsStatement *statement,
				  const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(set->plans, statement, params,
										  NULL),
					   params, false, 0);
}

/* Run a query under the active snapshot; returns how many rows it has. */
uint64
nvs_table_set_query(const NvsTableSet *set, const NvsStatement *statement,
					const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(set->plans, statement, params,
										  NULL),
					   params, true, 0);
}

/*
 * Run a statement and call a function for each of its rows; returns how many
 * there were.  It sees the active snapshot if it is read_only.
 */
uint64
nvs_table_set_each(const NvsTableSet *set, const NvsStatement *statement,
				   const NvsParams *params, bool read_only,
				   NvsRowFunction function, void *arg)
{
	return nvs_execute_each(nvs_statement_plan(set->plans, statement, params,
											   NULL),
							params, read_only, function, arg);
}

/*
 * Run a statement and call a function for each of its rows, which cannot be
 * more than max, as what they become has no room for more: an error when they
 * are.  The owner of a store can take its unique indexes away, and has rules
 * return what he likes.
 */
uint64
nvs_table_set_each_of(const NvsTableSet *set, const NvsStatement *statement,
					  const NvsParams *params, bool read_only, uint64 max,
					  NvsRowFunction function, void *arg)
{
	CountedRows rows = {set, 0, max, function, arg};

	return nvs_table_set_each(set, statement, params, read_only,
							  table_set_count_row, &rows);
}

/* Hand a row on, unless there are too many. */
static void
table_set_count_row(TupleTableSlot *slot, void *arg)
{
	CountedRows *rows = arg;

	if (rows->n == rows->max)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a statement on tables of store \"%s\" returned too many rows",
						rows->set->prefix),
				 errdetail("A unique index of them is missing, or a rule returns rows of its own."),
				 errhint("Create the index again, or drop the rule.")));
	rows->n++;
	rows->function(slot, rows->arg);
}
