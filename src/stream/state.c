/*
 * stream/state.c
 *	  The relation of a stream, and what its columns are for.
 *
 * A stream's relation is a target like any other (route/target.c).  What
 * streams need to know besides is worked out once and hangs at the target, in
 * its memory context.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "store/stream_index.h"
#include "stream/bulk.h"
#include "stream/state.h"
#include "stream/statement.h"

static NvsStreamState *state_compile(NvsTarget *target);
static bool *state_kept_columns(const NvsTarget *target);
static TupleDesc state_row_desc(const NvsTarget *target,
								const NvsStreamState *state);
static void state_find_columns(NvsStreamState *state, NvsFieldMap *map);
static void state_find_orders(NvsStreamState *state, const NvsTarget *target);
static const NvsField *state_column(NvsFieldMap *map, const char *column,
									NvsFieldKind kind);
static NvsField *state_created_at(NvsFieldMap *map);
static NvsIdConflict state_id_conflict(const NvsTarget *target,
									   const NvsField *event_id);
static bool state_index_has(Relation index, const NvsField *event_id,
							bool *alone);
static int	state_compare_names(const void *a, const void *b);
static void state_list_record(NvsStreamState *state, const NvsFieldMap *map,
							  const NvsField *created_at);
static void state_define_names(const NvsTarget *target,
							   const NvsStreamState *state);

/*
 * Find the relation of a subject and make sure that its state is there.
 * Returns false when nothing holds the subject yet.  See nvs_route_find().
 */
bool
nvs_stream_resolve(const char *subject, int len, NvsUse use,
				   NvsResolved *resolved)
{
	if (!nvs_route_find(NVS_KIND_STREAM, subject, len, use, resolved))
		return false;
	(void) nvs_stream_state(resolved->target);
	return true;
}

/*
 * Find the relation of the subject that is argument n of a SQL function, and
 * make sure that its state is there.  Returns false when nothing holds it
 * yet.
 */
bool
nvs_stream_resolve_arg(FunctionCallInfo fcinfo, int n, NvsUse use,
					   NvsResolved *resolved)
{
	text	   *subject = PG_GETARG_TEXT_PP(n);

	return nvs_stream_resolve(VARDATA_ANY(subject),
							  VARSIZE_ANY_EXHDR(subject), use, resolved);
}

/* The state of a target, which is made on first use and lives as long. */
NvsStreamState *
nvs_stream_state(NvsTarget *target)
{
	if (target->state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(target->cxt);

		target->state = state_compile(target);
		MemoryContextSwitchTo(old);
	}
	return target->state;
}

/*
 * Sort the columns of a relation into what they mean for a stream.  This may
 * fail, as by a timeout while it waits for the relation's lock, and is then
 * done again: fields and plan set are changed when nothing can fail any more.
 */
static NvsStreamState *
state_compile(NvsTarget *target)
{
	bool	   *kept = state_kept_columns(target);
	NvsStreamState *state = palloc0(sizeof(NvsStreamState));
	NvsFieldMap *map = target->map;
	NvsField   *created_at = state_created_at(map);

	state->kept = kept;
	state_find_columns(state, map);
	state_list_record(state, map, created_at);
	state->row = state_row_desc(target, state);
	state_define_names(target, state);

	/* From here on nothing fails. */
	(void) nvs_fields_reserve(map, "id");
	if (state->version != NULL)
		(void) nvs_fields_reserve(map, "version");
	if (state->meta != NULL)
		(void) nvs_fields_reserve(map, "meta");
	if (created_at != NULL)
		created_at->reserved = true;
	return state;
}

/*
 * Which columns hold what an INSERT gives them, so that it need not be read
 * back: in a table where nothing comes between, those that records take as
 * they are.  Parameters already have what a column's type makes of them.  A
 * relation that is gone, as one that was only looked at may be, keeps nothing.
 */
static bool *
state_kept_columns(const NvsTarget *target)
{
	const NvsFieldMap *map = target->map;
	Relation	rel = try_table_open(target->relid, AccessShareLock);
	bool	   *kept = palloc0(sizeof(bool) * map->nfields);
	int			i;

	if (rel == NULL)
		return kept;
	if (rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rules == NULL &&
		(rel->trigdesc == NULL || !rel->trigdesc->trig_insert_before_row))
	{
		for (i = 0; i < map->nfields; i++)
			kept[i] = map->fields[i].kind != NVS_FIELD_OTHER;
	}
	table_close(rel, AccessShareLock);
	return kept;
}

/*
 * The columns of rows as they are in the relation, for who reads them without a
 * statement; NULL when a record takes more than these: an expression, or what
 * other relations have.
 */
static TupleDesc
state_row_desc(const NvsTarget *target, const NvsStreamState *state)
{
	const NvsFieldMap *map = target->map;
	Relation	rel;
	TupleDesc	desc = NULL;
	bool		is_plain = !target->compound && target->nkeys > 0;
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (state->in_record[i] && map->fields[i].kind == NVS_FIELD_OTHER)
			is_plain = false;
	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].field->kind != NVS_FIELD_TEXT)
			is_plain = false;
	rel = is_plain ? try_table_open(target->relid, AccessShareLock) : NULL;
	if (rel == NULL)
		return NULL;
	desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	table_close(rel, AccessShareLock);
	for (i = 0; i < desc->natts; i++)
	{
		char		generated = TupleDescAttr(desc, i)->attgenerated;

		if (generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED)
			return NULL;
	}
	return desc;
}

/* Find the columns that mean something to us. */
static void
state_find_columns(NvsStreamState *state, NvsFieldMap *map)
{
	state->id = nvs_fields_column(map, "id");
	state->ts = nvs_fields_column(map, "ts");
	state->type = nvs_fields_column(map, "type");
	state->version = state_column(map, "version", NVS_FIELD_INT8);
	if (state->version == NULL)
		state->version = state_column(map, "version", NVS_FIELD_INT4);
	state->meta = state_column(map, "meta", NVS_FIELD_JSONB);
	state->event_id = nvs_fields_column(map, "event_id");
	if (state->event_id != NULL && state->event_id->type != TEXTOID &&
		state->event_id->type != UUIDOID)
		state->event_id = NULL;
	state->pii = nvs_fields_column(map, "pii");
	if (state->pii != NULL && state->pii->kind != NVS_FIELD_JSONB)
		state->pii = NULL;
}

/*
 * The state of a locked relation, with in_versions and no_positions, which not
 * every reader needs to know.
 */
const NvsStreamState *
nvs_stream_orders(NvsTarget *target)
{
	NvsStreamState *state = nvs_stream_state(target);

	if (!state->has_orders)
		state_find_orders(state, target);
	state->has_orders = true;
	return state;
}

/*
 * Find out in which orders indexes have the events of a stream.  Where every
 * event has a version of its own, one index by subject does for both; what that
 * says of positions is true of what was appended, and not of what anybody
 * inserts.
 */
static void
state_find_orders(NvsStreamState *state, const NvsTarget *target)
{
	Relation	rel;
	AttrNumber	key;
	Oid			index;

	if (state->version == NULL || !state->version->not_null ||
		!nvs_stream_has_range(target))
		return;
	rel = try_table_open(target->relid, AccessShareLock);
	if (rel == NULL)
		return;
	key = target->keys[0].field->attnum;
	index = nvs_index_find(rel, key, state->version->attnum, true);
	state->in_versions = OidIsValid(index);
	if (target->keys[0].capture < 0 && !target->compound &&
		target->keys[0].field->type == TEXTOID &&
		state->version->kind == NVS_FIELD_INT8 &&
		state->type->type == TEXTOID)
		state->by_version = index;
	state->no_positions = state->in_versions && state->id != NULL &&
		!OidIsValid(nvs_index_find(rel, key, state->id->attnum, false));
	table_close(rel, AccessShareLock);
}

/*
 * How events whose ids are taken are left out of an INSERT into a relation that
 * has ids and is locked.  It names the index of ids where a table has one, lest
 * what violates another constraint is left out as well.  Indexes are looked at
 * when this is first asked: readers need not know.
 */
NvsIdConflict
nvs_stream_id_conflict(const NvsTarget *target)
{
	NvsStreamState *state = target->state;

	if (state->id_conflict == NVS_ID_UNKNOWN)
		state->id_conflict = state_id_conflict(target, state->event_id);
	return state->id_conflict;
}

/* Find that out from the relation's indexes. */
static NvsIdConflict
state_id_conflict(const NvsTarget *target, const NvsField *event_id)
{
	Relation	rel = try_table_open(target->relid, AccessShareLock);
	NvsIdConflict conflict = NVS_ID_NONE;
	ListCell   *lc;

	if (rel == NULL)
		return NVS_ID_ANY;
	if (rel->rd_rel->relkind != RELKIND_RELATION)
		conflict = NVS_ID_ANY;
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		alone = false;

		if (state_index_has(index, event_id, &alone) &&
			conflict != NVS_ID_TARGET)
			conflict = alone && rel->rd_rel->relkind == RELKIND_RELATION ?
				NVS_ID_TARGET : NVS_ID_ANY;
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
	return conflict;
}

/*
 * Does an index keep ids unique?  *alone says whether that is all it does, for
 * ids that are not NULL at least.
 */
static bool
state_index_has(Relation index, const NvsField *event_id, bool *alone)
{
	const FormData_pg_index *form = index->rd_index;
	List	   *predicate = RelationGetIndexPredicate(index);
	const NullTest *test = predicate == NIL ? NULL : linitial(predicate);
	int			i;

	if (!form->indisunique || !form->indisvalid)
		return false;
	for (i = 0; i < form->indnkeyatts; i++)
		if (form->indkey.values[i] == event_id->attnum)
			break;
	if (i == form->indnkeyatts)
		return false;
	*alone = form->indnkeyatts == 1 && form->indimmediate &&
		(predicate == NIL ||
		 (list_length(predicate) == 1 && IsA(test, NullTest) &&
		  test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
		  ((const Var *) test->arg)->varattno == event_id->attnum));
	return true;
}

/* The column of this name and kind; NULL if there is none, or it is a key. */
static const NvsField *
state_column(NvsFieldMap *map, const char *column, NvsFieldKind kind)
{
	NvsField   *field = nvs_fields_column(map, column);

	if (field == NULL || field->kind != kind || field->reserved)
		return NULL;
	return field;
}

/* The column "created_at" if the database fills it, which no record shows. */
static NvsField *
state_created_at(NvsFieldMap *map)
{
	NvsField   *field = nvs_fields_column(map, "created_at");

	return field != NULL && field->has_default ? field : NULL;
}

/*
 * List the columns to read, and which of them records show.  The list is of
 * all columns, since rows that are all columns need not be made anew.
 */
static void
state_list_record(NvsStreamState *state, const NvsFieldMap *map,
				  const NvsField *created_at)
{
	StringInfoData list;
	int			i;

	state->read = palloc(sizeof(NvsField *) * (map->nfields + 1));
	state->read[state->nread++] = NULL;
	state->in_record = palloc(sizeof(bool) * map->nfields);
	initStringInfo(&list);
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		bool		in_record = field != created_at &&
			strcmp(field->column, "subject") != 0;

		if (!OidIsValid(get_array_type(field->type)) ||
			type_is_rowtype(field->type))
			state->one_by_one = true;
		state->in_record[i] = in_record;
		if (in_record)
			state->read[state->nread++] = field;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 in_record ? nvs_field_select(field) : field->quoted);
	}
	state->read_list = list.data;
	qsort(state->read, state->nread, sizeof(NvsField *), state_compare_names);
}

/*
 * For qsort(): fields of a record in jsonb's order of keys, so that making one
 * sorts nothing; of one name the subject first, then in the order of columns.
 */
static int
state_compare_names(const void *a, const void *b)
{
	static const NvsField subject = {.name = "subject",.namelen = 7};
	const NvsField *x = *(const NvsField *const *) a;
	const NvsField *y = *(const NvsField *const *) b;
	int			cmp;

	x = x == NULL ? &subject : x;
	y = y == NULL ? &subject : y;
	cmp = nvs_jsonb_key_cmp(x->name, x->namelen, y->name, y->namelen);
	return cmp != 0 ? cmp : x->attnum - y->attnum;
}

/* Define what fixed statements may name, once everything is worked out. */
static void
state_define_names(const NvsTarget *target, const NvsStreamState *state)
{
	StringInfoData keys;
	char	   *first = psprintf("$%d", target->nkeys + 1);
	char	   *second = psprintf("$%d", target->nkeys + 2);

	initStringInfo(&keys);
	nvs_target_where(target, &keys);

	nvs_planset_define(target->plans, "keys", keys.data);
	nvs_planset_define(target->plans, "first", first);
	nvs_planset_define(target->plans, "second", second);
	nvs_planset_define(target->plans, "record", state->read_list);
}
