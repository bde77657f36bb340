/*
 * entry/entry.c
 *	  Entries: what is known of their tables; delete.
 *
 * An entry is an id, a score and metadata, a JSON object.  Metadata fields
 * that the table has columns for live there; the others in its column extra.
 * A unique index on the columns of the key and one column more tells which
 * column the id is.
 *
 * Every write is one statement on the row as it is when the row's lock is had,
 * so nothing is lost and nothing needs a retry.  What entry/overwrite.c can do
 * to a row that nobody else has takes no statement.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "base/text.h"
#include "entry/overwrite.h"

static const NvsStatement entry_delete = {
	"DELETE FROM {table} AS t WHERE {this_entry}"
};

PG_FUNCTION_INFO_V1(nvs_entry_delete);

static void entry_compile(NvsTarget *target);
pg_noreturn static void entry_cannot_hold(const NvsTarget *target,
										  const char *detail);
static void entry_compile_roles(NvsTarget *target, NvsEntryState *state);
static void entry_compile_version(const NvsTarget *target,
								  NvsEntryState *state);
static void entry_compile_columns(NvsTarget *target, NvsEntryState *state);
static int	entry_compare_names(const void *a, const void *b);
static void entry_compile_to_json(Oid type, FmgrInfo *function);
static void entry_compile_defaults(NvsTarget *target, NvsEntryState *state,
								   Relation rel);
static bool entry_any_leftovers(const NvsFieldMap *map,
								const NvsEntryState *state);
static void entry_compile_lookup(NvsTarget *target,
								 const NvsEntryState *state);
static char *entry_where(const NvsTarget *target, const NvsEntryState *state);
static const NvsField *entry_find_id(NvsTarget *target, Relation rel,
									 const char **conflict);
static bool entry_is_filter(const NvsTarget *target, const NvsField *field);
static int	entry_count_filters(const NvsTarget *target);
static bool entry_index_is_unique(HeapTuple tuple, int ncolumns);
static const NvsField *entry_id_of_index(NvsTarget *target, Oid indexid,
										 const char **conflict);

/*
 * Find the relation of a key and make sure its state is there.  Returns
 * false when nothing holds the key and nothing is to be written; raises NV004
 * for text that is no subject.  The relation is locked for this use, which is
 * no mere look.
 */
bool
nvs_entry_resolve(text *key, NvsUse use, NvsResolved *resolved)
{
	if (!nvs_route_find(NVS_KIND_ENTRY, VARDATA_ANY(key),
						VARSIZE_ANY_EXHDR(key), use, resolved))
		return false;
	if (resolved->target->state == NULL)
		entry_compile(resolved->target);
	return true;
}

/*
 * Find and lock the relation of a key that can be read by a lookup; false when
 * it cannot, or not yet.  Raises NV004 for text that is no subject; see
 * nvs_lookup_find().
 */
bool
nvs_entry_lookup(text *key, NvsResolved *resolved)
{
	return nvs_lookup_find(NVS_KIND_ENTRY, VARDATA_ANY(key),
						   VARSIZE_ANY_EXHDR(key), resolved);
}

/*
 * Make the state of a relation.  Raises 42P16 when the relation cannot hold
 * entries; then nothing is kept, and the next call tries anew.
 */
static void
entry_compile(NvsTarget *target)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store entry state",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NvsEntryState *state = palloc0(sizeof(NvsEntryState));
	Relation	rel = table_open(target->relid, AccessShareLock);

	/* All of this may raise, and is made aside until it is complete. */
	if (rel->rd_rel->relkind == RELKIND_VIEW ||
		rel->rd_rel->relkind == RELKIND_MATVIEW)
		entry_cannot_hold(target, "It is a view.");
	state->id = entry_find_id(target, rel, &state->conflict);
	entry_compile_roles(target, state);
	entry_compile_version(target, state);
	entry_compile_columns(target, state);
	entry_compile_defaults(target, state, rel);
	state->leftovers = entry_any_leftovers(target->map, state);
	state->this_entry = entry_where(target, state);

	table_close(rel, AccessShareLock);
	nvs_entry_overwrite_compile(target, state);
	entry_compile_lookup(target, state);
	MemoryContextSwitchTo(old);

	/* From here on nothing fails. */
	MemoryContextSetParent(cxt, target->cxt);
	nvs_planset_define(target->plans, "columns", state->columns);
	nvs_planset_define(target->plans, "this_entry", state->this_entry);
	target->state = state;
}

/* Report a relation that is no table of entries. */
static void
entry_cannot_hold(const NvsTarget *target, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("relation %s cannot hold entries", target->name),
			 errdetail_internal("%s", detail)));
}

/*
 * Tell the columns that entries have by themselves from those of metadata,
 * which are the ones that are not reserved.
 */
static void
entry_compile_roles(NvsTarget *target, NvsEntryState *state)
{
	NvsFieldMap *map = target->map;
	int			i;

	/* What the database computes can be read, though not written. */
	for (i = 0; i < map->nfields; i++)
		if (map->fields[i].computed &&
			!nvs_target_is_key(target, &map->fields[i]))
			map->fields[i].reserved = false;

	(void) nvs_fields_reserve(map, state->id->column);
	state->version = nvs_fields_reserve(map, "version");
	state->score = nvs_fields_reserve(map, "score");
	state->extra = nvs_fields_column(map, "extra");
	if (state->extra != NULL && state->extra->type != JSONBOID)
		state->extra = NULL;
	if (state->extra != NULL)
		(void) nvs_fields_reserve(map, "extra");
	state->updated_at = nvs_fields_column(map, "updated_at");
	if (state->updated_at != NULL &&
		state->updated_at->type == TIMESTAMPTZOID &&
		!state->updated_at->computed)
		(void) nvs_fields_reserve(map, "updated_at");
	else
		state->updated_at = NULL;
}

/*
 * How the version is read and counted up, and with it what else each update
 * sets.  Raises an error when it is no whole number.
 */
static void
entry_compile_version(const NvsTarget *target, NvsEntryState *state)
{
	switch (state->version->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			break;
		default:
			entry_cannot_hold(target,
							  "Its column \"version\" is no whole number.");
	}
	state->current_version = state->version->not_null ? "t.version" :
		"COALESCE(t.version, 0)";
	state->set_always = psprintf("version = %s OPERATOR(pg_catalog.+) 1%s",
								 state->current_version,
								 state->updated_at == NULL ? "" :
								 ", updated_at = pg_catalog.now()");
}

/* Which columns are metadata, in what order, and how all of them are read. */
static void
entry_compile_columns(NvsTarget *target, NvsEntryState *state)
{
	NvsFieldMap *map = target->map;
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	state->read = palloc(sizeof(NvsField *) * (map->nfields + 1));
	state->to_json = palloc0(sizeof(FmgrInfo) * map->nfields);
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];

		if (!field->reserved || field == state->version)
			state->read[state->nread++] = field;
		if (field->kind == NVS_FIELD_OTHER)
		{
			entry_compile_to_json(field->type, &state->to_json[i]);
			/* A cast to json of such a type is whatever its author likes. */
			state->runs_code |= field->type >= FirstNormalObjectId;
		}

		/*
		 * All columns, in their order, even those that nobody wants: the
		 * executor then hands rows out as they are stored.
		 */
		nvs_sql(&list, i > 0 ? ", " : "", field->quoted);
	}
	state->columns = list.data;
	qsort(state->read, state->nread, sizeof(NvsField *), entry_compare_names);
}

/*
 * qsort comparator: order fields as jsonb orders the keys of an object, so
 * that what is made of a row need not be sorted.
 */
static int
entry_compare_names(const void *a, const void *b)
{
	const NvsField *x = *(const NvsField *const *) a;
	const NvsField *y = *(const NvsField *const *) b;

	return nvs_jsonb_key_cmp(x->name, x->namelen, y->name, y->namelen);
}

/* Prepare the call of to_jsonb() on values of a type. */
static void
entry_compile_to_json(Oid type, FmgrInfo *function)
{
	Param	   *argument = makeNode(Param);

	argument->paramkind = PARAM_EXTERN;
	argument->paramid = 1;
	argument->paramtype = type;
	argument->paramtypmod = -1;
	argument->location = -1;
	fmgr_info_cxt(F_TO_JSONB, function, CurrentMemoryContext);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(argument), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   function);
}

/* Work out the columns' defaults, as far as they are constants. */
static void
entry_compile_defaults(NvsTarget *target, NvsEntryState *state, Relation rel)
{
	NvsFieldMap *map = target->map;
	int			i;

	state->defaults = palloc0(sizeof(NvsEntryDefault) * map->nfields);
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		NvsEntryDefault *def = &state->defaults[i];
		Node	   *node;

		if (field->computed)
			continue;
		node = build_column_default(rel, field->attnum);
		if (node != NULL)
			node = (Node *) expression_planner((Expr *) node);
		def->known = node == NULL || IsA(node, Const);
		def->isnull = node == NULL ||
			(IsA(node, Const) && ((Const *) node)->constisnull);
		if (def->known && !def->isnull)
			def->value = datumCopy(((Const *) node)->constvalue,
								   ((Const *) node)->constbyval,
								   ((Const *) node)->constlen);
	}
}

/* May some column have leftovers? */
static bool
entry_any_leftovers(const NvsFieldMap *map, const NvsEntryState *state)
{
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (nvs_entry_leftover_possible(state, &map->fields[i]))
			return true;
	return false;
}

/* Have an entry be found by what nvs_entry_params() gives, all of its row. */
static void
entry_compile_lookup(NvsTarget *target, const NvsEntryState *state)
{
	NvsFieldMap *map = target->map;
	NvsLookupKey *keys = palloc(sizeof(NvsLookupKey) * (target->nkeys + 1));
	const NvsField **columns = palloc(sizeof(NvsField *) * map->nfields);
	int			nkeys = 0;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		if (!target->keys[i].filters)
			continue;
		keys[nkeys].field = target->keys[i].field;
		keys[nkeys++].value = i;
	}
	keys[nkeys].field = state->id;
	keys[nkeys++].value = target->nkeys;
	for (i = 0; i < map->nfields; i++)
		columns[i] = &map->fields[i];
	nvs_lookup_compile(target, keys, nkeys, columns, map->nfields);
}

/* The condition on key and id, whose values are the first parameters. */
static char *
entry_where(const NvsTarget *target, const NvsEntryState *state)
{
	StringInfoData where;

	initStringInfo(&where);
	nvs_target_where(target, &where);
	nvs_sql(&where, " AND ", state->id->quoted);
	nvs_sql_param(&where, " OPERATOR(pg_catalog.=) ", target->nkeys + 1);
	return where.data;
}

/*
 * The column that, with those of the key, makes an entry unique: what a
 * unique index has besides them, the primary key before others.  *conflict
 * are the columns of the index.  Raises an error when there is none.
 */
static const NvsField *
entry_find_id(NvsTarget *target, Relation rel, const char **conflict)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			pkey = nvs_primary_key_index(rel);
	const NvsField *id = NULL;
	ListCell   *lc;

	if (OidIsValid(pkey))
		id = entry_id_of_index(target, pkey, conflict);
	foreach(lc, indexes)
	{
		if (id != NULL)
			break;
		id = entry_id_of_index(target, lfirst_oid(lc), conflict);
	}
	if (id == NULL)
		entry_cannot_hold(target, "It has no unique index on the columns of "
						  "its key and one column more, the id.");
	return id;
}

/* Does a column tell the entries of one key from those of others? */
static bool
entry_is_filter(const NvsTarget *target, const NvsField *field)
{
	int			i;

	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].field == field && target->keys[i].filters)
			return true;
	return false;
}

/* Of how many columns are the keys that tell entries apart? */
static int
entry_count_filters(const NvsTarget *target)
{
	int			n = 0;
	int			i;

	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].filters)
			n++;
	return n;
}

/*
 * Does an index keep so many columns unique, in all rows and at once, as ON
 * CONFLICT asks for?
 */
static bool
entry_index_is_unique(HeapTuple tuple, int ncolumns)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	return form->indisunique && form->indimmediate && form->indisvalid &&
		form->indnkeyatts == ncolumns &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL);
}

/*
 * The id column if this index makes entries unique, else NULL.  *conflict are
 * the columns of the index, in the current memory context.
 */
static const NvsField *
entry_id_of_index(NvsTarget *target, Oid indexid, const char **conflict)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID,
										ObjectIdGetDatum(indexid));
	int			nkeys = entry_count_filters(target);
	Form_pg_index form;
	StringInfoData columns;
	const NvsField *id = NULL;
	int			found = 0;
	int			i;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", indexid);
	form = (Form_pg_index) GETSTRUCT(tuple);
	initStringInfo(&columns);

	/* All columns of the key, and one that is none: then that is the id. */
	for (i = 0; entry_index_is_unique(tuple, nkeys + 1) && i <= nkeys; i++)
	{
		const char *column = get_attname(target->relid,
										 form->indkey.values[i], false);
		const NvsField *field = nvs_fields_column(target->map, column);

		if (entry_is_filter(target, field))
			found++;
		else if (!nvs_target_is_key(target, field))
			id = field;
		nvs_sql(&columns, i > 0 ? ", " : "", field->quoted);
	}
	ReleaseSysCache(tuple);
	*conflict = columns.data;
	return found == nkeys ? id : NULL;
}

/* Begin the parameters of a statement with those of {this_entry}. */
void
nvs_entry_params(const NvsResolved *resolved, text *id, NvsParams *params)
{
	const NvsEntryState *state = resolved->target->state;

	nvs_params_init(params);
	nvs_target_params(resolved, params);
	nvs_params_add(params, state->id->type,
				   nvs_field_text_datum(state->id, VARDATA_ANY(id),
										VARSIZE_ANY_EXHDR(id)), false);
}

/* Report an entry that can be seen but that no update reaches. */
void
nvs_entry_refused(const NvsTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg("table %s did not take the update", target->name),
			 errdetail("The entry can be seen, but a trigger, rule or policy "
					   "keeps it from being changed.")));
}

/* nvent.entry_delete(key, id): false when there is no such entry. */
Datum
nvs_entry_delete(PG_FUNCTION_ARGS)
{
	NvsResolved resolved;
	NvsParams	params;
	uint64		deleted = 0;

	nvs_spi_begin();
	if (nvs_entry_resolve(PG_GETARG_TEXT_PP(0), NVS_USE_CHANGE, &resolved))
	{
		nvs_entry_params(&resolved, PG_GETARG_TEXT_PP(1), &params);
		deleted = nvs_execute(nvs_statement_plan(resolved.target->plans,
												 &entry_delete, &params,
												 NULL),
							  &params, false, 0);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}
