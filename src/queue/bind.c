/*
 * queue/bind.c
 *	  Binds queues to patterns of subjects.
 *
 * Whoever may write to {queue_bindings} has what others publish come to a
 * queue.  What others append is another matter: their events then go where
 * somebody who may not read them reads jobs.  So only the store's owner has
 * them do so, as only he adds routes, and a trigger behind each row sees to
 * that, however it is written.  It is a constraint's: any other could be
 * replaced by whoever has the privilege TRIGGER on the table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "errors.h"
#include "base/text.h"
#include "queue/bind.h"
#include "queue/queue.h"
#include "store/store.h"

/* Arguments of queue_bind() and queue_unbind(). */
enum
{
	BIND_QUEUE,
	BIND_PATTERN,
	BIND_ON_APPEND,
	BIND_TYPES,					/* of queue_bind() alone */
	BIND_STORE
};
#define UNBIND_STORE	3

/* What is checked of a row of {queue_bindings}. */
enum
{
	BINDING_PATTERN,
	BINDING_ON_APPEND,
	BINDING_TYPES,
	BINDING_CHECKED
};

static const NvsTableSetColumn binding_columns[] = {
	{0, "queue", INT4OID, true},
	{0, "pattern", TEXTOID, true},
	{0, "on_append", BOOLOID, true},
	{0, "types", TEXTARRAYOID},
	{0, "created_at", TIMESTAMPTZOID, true},
	{1, "name", TEXTOID, true},
	{1, "number", INT4OID, true},
	{-1}
};

static const NvsTableSetKind binding_tables = {
	2, {"queue_bindings", "queues"}, binding_columns
};

/* The number of the queue of name $1, which is not dropped meanwhile. */
static const NvsStatement bind_lock_queue = {
	"SELECT number FROM {queues} WHERE name OPERATOR(pg_catalog.=) $1 "
	"FOR KEY SHARE"
};

/* $1 queue, $2 pattern, $3 on_append, $4 types; no row if it is there. */
static const NvsStatement bind_insert = {
	"INSERT INTO {queue_bindings} AS b (queue, pattern, on_append, types) "
	"VALUES ($1, $2, $3, $4) ON CONFLICT (queue, pattern, on_append) "
	"DO UPDATE SET types = EXCLUDED.types WHERE NOT COALESCE("
	"b.types OPERATOR(pg_catalog.=) EXCLUDED.types, "
	"b.types IS NULL AND EXCLUDED.types IS NULL)"
};

/* $1 queue, $2 pattern, $3 on_append. */
static const NvsStatement bind_delete = {
	"DELETE FROM {queue_bindings} WHERE queue OPERATOR(pg_catalog.=) $1 "
	"AND pattern OPERATOR(pg_catalog.=) $2 "
	"AND on_append OPERATOR(pg_catalog.=) $3"
};

/* $1 queue. */
static const NvsStatement bind_delete_all = {
	"DELETE FROM {queue_bindings} WHERE queue OPERATOR(pg_catalog.=) $1"
};

/* The bindings of the queue of name $1, of all queues for NULL. */
static const NvsStatement bind_list = {
	"SELECT q.name, b.pattern, b.on_append, b.types, b.created_at "
	"FROM {queue_bindings} b JOIN {queues} q "
	"ON q.number OPERATOR(pg_catalog.=) b.queue "
	"WHERE $1 IS NULL OR q.name OPERATOR(pg_catalog.=) $1 "
	"ORDER BY q.name, b.pattern, b.on_append"
};

PG_FUNCTION_INFO_V1(nvs_queue_binding_check);
PG_FUNCTION_INFO_V1(nvs_queue_bind);
PG_FUNCTION_INFO_V1(nvs_queue_unbind);
PG_FUNCTION_INFO_V1(nvs_queue_bindings);

static void binding_read_row(const TriggerData *data, Datum *values,
							 bool *nulls);
static void binding_check_types(Datum types, bool isnull, bool on_append);
static void bind_check_store(const NvsTableSet *set, const text *pattern);
static NvsTableSet *bind_open(FunctionCallInfo fcinfo, int store,
							  NvsParams *params);
static void bind_add_row(TupleTableSlot *slot, void *arg);

/* Where the rows of queue_bindings() go. */
typedef struct BindingList
{
	Tuplestorestate *result;
	TupleDesc	desc;
} BindingList;

/*
 * nvent.queue_binding_check(), a trigger behind each row of {queue_bindings}
 * that is written: refuses what is no pattern, and that anybody but the
 * store's owner has what others append go to a queue.
 */
Datum
nvs_queue_binding_check(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Datum		values[BINDING_CHECKED];
	bool		nulls[BINDING_CHECKED];
	bool		on_append;
	text	   *pattern;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	binding_read_row(data, values, nulls);

	/* The table refuses nulls; one that was changed not to cannot be used. */
	if (nulls[BINDING_PATTERN] || nulls[BINDING_ON_APPEND])
		return PointerGetDatum(NULL);
	pattern = DatumGetTextPP(values[BINDING_PATTERN]);
	on_append = DatumGetBool(values[BINDING_ON_APPEND]);
	pfree(nvs_pattern_compile(VARDATA_ANY(pattern),
							  VARSIZE_ANY_EXHDR(pattern)));
	binding_check_types(values[BINDING_TYPES], nulls[BINDING_TYPES],
						on_append);

	/* Others may write to the table; events of all are not theirs to give. */
	if (on_append &&
		!has_privs_of_role(GetUserId(), data->tg_relation->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to bind a queue to events that are appended"),
				 errdetail("Only the owner of the store has events of others go to a queue.")));
	return PointerGetDatum(NULL);
}

/*
 * Read what is checked of the row that a trigger is called for; an error where
 * its table has no such columns.  What values point to is the row's.
 */
static void
binding_read_row(const TriggerData *data, Datum *values, bool *nulls)
{
	static const char *const columns[] = {"pattern", "on_append", "types"};
	static const Oid types[] = {TEXTOID, BOOLOID, TEXTARRAYOID};
	Relation	rel = data->tg_relation;
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
		data->tg_newtuple : data->tg_trigtuple;
	int			i;

	for (i = 0; i < BINDING_CHECKED; i++)
	{
		AttrNumber	column = get_attnum(RelationGetRelid(rel), columns[i]);

		if (column == InvalidAttrNumber ||
			get_atttype(RelationGetRelid(rel), column) != types[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("relation \"%s\" has no column \"%s\" of type %s",
							RelationGetRelationName(rel), columns[i],
							format_type_be(types[i]))));
		values[i] = heap_getattr(row, column, RelationGetDescr(rel),
								 &nulls[i]);
	}
}

/* Raise an error for types that mean nothing. */
static void
binding_check_types(Datum types, bool isnull, bool on_append)
{
	ArrayType  *array;

	if (isnull)
		return;
	array = DatumGetArrayTypeP(types);
	if (!on_append)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only a binding to events that are appended has types")));
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) == 0 ||
		array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("types of a binding must not be empty or null"),
				 errhint("Pass NULL for events of any type.")));
}

/*
 * nvent.queue_bind(queue, pattern, on_append, types, store): false when it
 * was bound like that.
 */
Datum
nvs_queue_bind(PG_FUNCTION_ARGS)
{
	NvsTableSet *set;
	NvsParams	params;
	text	   *pattern;
	bool		changed;

	NVS_REQUIRE_ARG(BIND_QUEUE, "queue");
	NVS_REQUIRE_ARG(BIND_PATTERN, "pattern");
	NVS_REQUIRE_ARG(BIND_ON_APPEND, "on_append");
	pattern = PG_GETARG_TEXT_PP(BIND_PATTERN);
	pfree(nvs_pattern_compile(VARDATA_ANY(pattern),
							  VARSIZE_ANY_EXHDR(pattern)));
	PreventCommandIfReadOnly("nvent.queue_bind()");
	nvs_spi_begin();
	set = bind_open(fcinfo, BIND_STORE, &params);
	if (PG_GETARG_BOOL(BIND_ON_APPEND))
		bind_check_store(set, pattern);
	nvs_params_add_arg(&params, fcinfo, BIND_TYPES, TEXTARRAYOID);
	changed = nvs_table_set_run(set, &bind_insert, &params) > 0;
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/* Raise an error for a pattern of events that are never in this store. */
static void
bind_check_store(const NvsTableSet *set, const text *pattern)
{
	const char *data = VARDATA_ANY(pattern);
	int			len = VARSIZE_ANY_EXHDR(pattern);
	const NvsStore *store = nvs_store_of_pattern(nvs_pattern_compile(data,
																	 len));

	if (store == NULL || strcmp(store->prefix, set->prefix) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pattern \"%.*s\" is not one of store \"%s\"", len,
						data, set->prefix),
				 errdetail("Events of a subject are in the store that its first token names, else in the default store.")));
}

/* nvent.queue_unbind(queue, pattern, on_append, store): false for none. */
Datum
nvs_queue_unbind(PG_FUNCTION_ARGS)
{
	NvsTableSet *set;
	NvsParams	params;
	bool		changed;

	NVS_REQUIRE_ARG(BIND_QUEUE, "queue");
	NVS_REQUIRE_ARG(BIND_PATTERN, "pattern");
	NVS_REQUIRE_ARG(BIND_ON_APPEND, "on_append");
	PreventCommandIfReadOnly("nvent.queue_unbind()");
	nvs_spi_begin();
	set = bind_open(fcinfo, UNBIND_STORE, &params);
	changed = nvs_table_set_run(set, &bind_delete, &params) > 0;
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/*
 * The tables of a call, and in params the number of its queue, which is locked
 * against being dropped, the pattern and on_append.
 */
static NvsTableSet *
bind_open(FunctionCallInfo fcinfo, int store, NvsParams *params)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(BIND_QUEUE));
	NvsTableSet *set = nvs_table_set_open(&binding_tables, fcinfo, store,
										  NVS_USE_CHANGE);
	NvsParams	named;
	Datum		number;

	if (set == NULL)
		nvs_queue_missing(name);
	nvs_params_init(&named);
	nvs_params_add_arg(&named, fcinfo, BIND_QUEUE, TEXTOID);
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &bind_lock_queue,
											  &named, NULL),
						   &named, false, CurrentMemoryContext, &number))
		nvs_queue_missing(name);
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, number, false);
	nvs_params_add_arg(params, fcinfo, BIND_PATTERN, TEXTOID);
	nvs_params_add_arg(params, fcinfo, BIND_ON_APPEND, BOOLOID);
	return set;
}

/* nvent.queue_bindings(queue, store): what queues are bound to. */
Datum
nvs_queue_bindings(PG_FUNCTION_ARGS)
{
	BindingList list;
	NvsTableSet *set;
	NvsParams	params;

	list.result = nvs_result_set(fcinfo, &list.desc);
	nvs_spi_begin();
	set = nvs_table_set_open(&binding_tables, fcinfo, 1, NVS_USE_READ);
	if (set != NULL)
	{
		nvs_params_init(&params);
		nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
		(void) nvs_execute_each(nvs_statement_plan(set->plans, &bind_list,
												   &params, NULL),
								&params, true, bind_add_row, &list);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Add a row to the result. */
static void
bind_add_row(TupleTableSlot *slot, void *arg)
{
	BindingList *list = arg;

	slot_getallattrs(slot);
	tuplestore_putvalues(list->result, list->desc, slot->tts_values,
						 slot->tts_isnull);
}

/* Take back all bindings of a queue of a store, by its number. */
void
nvs_bindings_drop(const char *store, Datum number)
{
	NvsTableSet *set = nvs_table_set_find(&binding_tables, store,
										  RowExclusiveLock);
	NvsParams	params;

	if (set == NULL)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, number, false);
	(void) nvs_table_set_run(set, &bind_delete_all, &params);
}
