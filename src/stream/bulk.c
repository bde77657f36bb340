/*
 * stream/bulk.c
 *	  Inserting events without the executor; many as COPY does.
 *
 * The executor takes a row through its nodes, locks a page for it and writes it
 * to the log by itself; and to begin and to end takes it longer than to insert
 * a row.  Where nothing comes between an INSERT and a table, that can be
 * spared: no trigger, rule, policy, partition or generated column, no default
 * but positions that is volatile, and no value whose type takes more than a
 * copy.  Anything else is the executor's (stream/insert.c), and so are events
 * that have ids, since those may be left out.
 *
 * Of the indexes those are not opened that can be seen to have no entry for any
 * of the events, as that of ids has none.  The executor opens every index, and
 * asks each row whether it belongs there.
 *
 * What an INSERT checks is checked by the same functions: privileges on the
 * table and its columns, constraints, unique and exclusion constraints by the
 * indexes.  All of it is done as the caller.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "stream/bulk.h"

/* Rows that are written together. */
#define BULK_ROWS	128

/* An INSERT that is under way. */
typedef struct BulkInsert
{
	const NvsTarget *target;
	EState	   *estate;
	ResultRelInfo *result;
	CommandId	cid;
	NvsEvent	defaults;		/* of the columns that have one */
	TupleDesc	desc;			/* the relation's, for the slots */
	TupleTableSlot *slots[BULK_ROWS];
	int			nslots;			/* that are made */
} BulkInsert;

static bool bulk_is_plain(Relation rel);
static bool bulk_has_plain_columns(const NvsTarget *target,
								   const bool *in_record, Relation rel);
static bool bulk_has_plain_checks(Relation rel);
static NvsBulk *bulk_describe(const NvsTarget *target, Relation rel);
static bool bulk_describe_index(const NvsTarget *target, Node *predicate,
								NvsBulkIndex *index);
static bool bulk_describe_text(OpExpr *test, NvsBulkIndex *index);
static bool bulk_is_now(Node *value);
static void bulk_begin(BulkInsert *bulk, const NvsNewEvent *events, int n,
					   Bitmapset *inserted, Bitmapset *selected);
static void bulk_open_indexes(BulkInsert *bulk, const NvsNewEvent *events,
							  int n);
static bool bulk_has_entries(const BulkInsert *bulk, Oid indexid,
							 const NvsNewEvent *events, int n);
static bool bulk_has_entry(const BulkInsert *bulk, const NvsBulkIndex *index,
						   const NvsEvent *event);
static void bulk_set_defaults(BulkInsert *bulk, const NvsEvent *first);
static void bulk_insert_rows(BulkInsert *bulk, NvsNewEvent *events, int n);
static TupleDesc bulk_desc(const BulkInsert *bulk);
static TupleTableSlot *bulk_slot(BulkInsert *bulk, int i);
static void bulk_fill_slot(BulkInsert *bulk, NvsEvent *event, int64 position,
						   TupleTableSlot *slot);
static void bulk_end(BulkInsert *bulk);

/*
 * How events are inserted into a relation as rows of it, without the executor,
 * in the current memory context; NULL when they cannot be, or it is gone.
 * in_record says which columns records show.
 */
const NvsBulk *
nvs_bulk_compile(const NvsTarget *target, const bool *in_record)
{
	Relation	rel = try_table_open(target->relid, AccessShareLock);
	NvsBulk    *bulk = NULL;

	if (rel == NULL)
		return NULL;
	if (bulk_is_plain(rel) &&
		bulk_has_plain_columns(target, in_record, rel) &&
		bulk_has_plain_checks(rel))
		bulk = bulk_describe(target, rel);
	table_close(rel, AccessShareLock);
	return bulk;
}

/* Does nothing come between an INSERT and a relation? */
static bool
bulk_is_plain(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_tableam != GetHeapamTableAmRoutine() ||
		rel->rd_rel->relispartition || rel->rd_rel->relrowsecurity ||
		rel->rd_rules != NULL || nvs_has_generated_columns(rel))
		return false;
	return triggers == NULL ||
		!(triggers->trig_insert_before_row ||
		  triggers->trig_insert_after_row ||
		  triggers->trig_insert_instead_row ||
		  triggers->trig_insert_before_statement ||
		  triggers->trig_insert_after_statement);
}

/*
 * Are all values of a row what an event gives, positions, or the same for all
 * rows of a statement?
 */
static bool
bulk_has_plain_columns(const NvsTarget *target, const bool *in_record,
					   Relation rel)
{
	int			i;

	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		Node	   *value;

		if (field->kind == NVS_FIELD_OTHER && in_record[i])
			return false;
		if (!field->has_default || strcmp(field->column, "id") == 0)
			continue;
		value = build_column_default(rel, field->attnum);
		if (value != NULL && contain_volatile_functions(value))
			return false;
	}
	return OidIsValid(target->draws);
}

/* Is no constraint checked by a function that may look at earlier rows? */
static bool
bulk_has_plain_checks(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;
	int			i;

	for (i = 0; constr != NULL && i < constr->num_check; i++)
		if (contain_volatile_functions(stringToNode(constr->check[i].ccbin)))
			return false;
	return true;
}

/*
 * What is known of a relation that takes events, until it changes: its indexes
 * are not changed without that.
 */
static NvsBulk *
bulk_describe(const NvsTarget *target, Relation rel)
{
	const NvsFieldMap *map = target->map;
	List	   *indexes = RelationGetIndexList(rel);
	NvsBulk    *bulk = palloc0(sizeof(NvsBulk));
	ListCell   *lc;
	int			i;

	/* The common default that need not be evaluated as an expression. */
	bulk->now = palloc0(sizeof(bool) * map->nfields);
	for (i = 0; i < map->nfields; i++)
		bulk->now[i] = map->fields[i].has_default &&
			bulk_is_now(build_column_default(rel, map->fields[i].attnum));

	/* Indexes whose predicates are looked at in the values of an event. */
	bulk->indexes = palloc(sizeof(NvsBulkIndex) *
						   Max(list_length(indexes), 1));
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		List	   *predicate = RelationGetIndexPredicate(index);
		NvsBulkIndex *entry = &bulk->indexes[bulk->nindexes];

		if (list_length(predicate) == 1 &&
			bulk_describe_index(target, linitial(predicate), entry))
		{
			entry->relid = lfirst_oid(lc);
			bulk->nindexes++;
		}
		index_close(index, AccessShareLock);
	}
	return bulk;
}

/*
 * Has an index entries only for rows with a certain text in a column, or with
 * no NULL there?
 */
static bool
bulk_describe_index(const NvsTarget *target, Node *predicate,
					NvsBulkIndex *index)
{
	NullTest   *test = (NullTest *) predicate;
	Var		   *column;
	int			i;

	index->value = NULL;
	if (IsA(predicate, OpExpr) &&
		bulk_describe_text((OpExpr *) predicate, index))
		column = linitial(((OpExpr *) predicate)->args);
	else if (IsA(predicate, NullTest) && test->nulltesttype == IS_NOT_NULL &&
			 !test->argisrow && IsA(test->arg, Var))
		column = (Var *) test->arg;
	else
		return false;
	for (i = 0; i < target->map->nfields; i++)
		if (target->map->fields[i].attnum == column->varattno)
			break;
	index->field = i;
	return i < target->map->nfields;
}

/* Is this a column that equals a text, byte by byte?  Which one? */
static bool
bulk_describe_text(OpExpr *test, NvsBulkIndex *index)
{
	Var		   *column = linitial(test->args);
	Const	   *value = llast(test->args);

	if (test->opfuncid != F_TEXTEQ || !IsA(column, Var) ||
		column->vartype != TEXTOID || !IsA(value, Const) ||
		value->constisnull || !OidIsValid(test->inputcollid) ||
		!get_collation_isdeterministic(test->inputcollid))
		return false;
	index->value = DatumGetTextPCopy(value->constvalue);
	return true;
}

/* Is a default the time at which the transaction began? */
static bool
bulk_is_now(Node *value)
{
	return value != NULL && IsA(value, FuncExpr) &&
		((FuncExpr *) value)->funcid == F_NOW;
}

/*
 * Insert events of one relation, which is locked, and set in each event what
 * the table adds: the position and defaults.  inserted and selected are the
 * columns that the caller needs the right to insert and to read, as in a
 * RangeTblEntry.
 */
void
nvs_bulk_insert(NvsNewEvent *events, int n, Bitmapset *inserted,
				Bitmapset *selected)
{
	BulkInsert	bulk;
	int			i;

	bulk.target = events[0].stream->resolved.target;
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	bulk_begin(&bulk, events, n, inserted, selected);
	bulk_set_defaults(&bulk, &events[0].event);
	for (i = 0; i < n; i += BULK_ROWS)
		bulk_insert_rows(&bulk, &events[i], Min(BULK_ROWS, n - i));
	bulk_end(&bulk);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

/*
 * Check the caller's rights, and open the relation with the indexes that events
 * go to.
 */
static void
bulk_begin(BulkInsert *bulk, const NvsNewEvent *events, int n,
		   Bitmapset *inserted, Bitmapset *selected)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	EState	   *estate = CreateExecutorState();

	rte->rtekind = RTE_RELATION;
	rte->relid = bulk->target->relid;
	rte->relkind = RELKIND_RELATION;
	rte->rellockmode = RowExclusiveLock;
	nvs_begin_insert(estate, rte, inserted, selected);
	bulk->estate = estate;
	bulk->result = makeNode(ResultRelInfo);
	ExecInitResultRelation(estate, bulk->result, 1);
	bulk_open_indexes(bulk, events, n);
	bulk->cid = GetCurrentCommandId(true);
	bulk->desc = bulk_desc(bulk);
	bulk->nslots = 0;
}

/*
 * Open the indexes as ExecOpenIndices() does, but those that have no entry for
 * any of the events.
 */
static void
bulk_open_indexes(BulkInsert *bulk, const NvsNewEvent *events, int n)
{
	ResultRelInfo *result = bulk->result;
	List	   *indexes = RelationGetIndexList(result->ri_RelationDesc);
	int			most = Max(list_length(indexes), 1);
	ListCell   *lc;

	result->ri_IndexRelationDescs = palloc(sizeof(Relation) * most);
	result->ri_IndexRelationInfo = palloc(sizeof(IndexInfo *) * most);
	result->ri_NumIndices = 0;
	foreach(lc, indexes)
	{
		int			i = result->ri_NumIndices;
		Relation	index;

		if (!bulk_has_entries(bulk, lfirst_oid(lc), events, n))
			continue;
		index = index_open(lfirst_oid(lc), RowExclusiveLock);
		result->ri_IndexRelationDescs[i] = index;
		result->ri_IndexRelationInfo[i] = BuildIndexInfo(index);
		result->ri_NumIndices++;
	}
	list_free(indexes);
}

/* May an index get entries for events? */
static bool
bulk_has_entries(const BulkInsert *bulk, Oid indexid,
				 const NvsNewEvent *events, int n)
{
	const NvsStreamState *state = bulk->target->state;
	const NvsBulkIndex *index = NULL;
	int			i;

	for (i = 0; i < state->bulk->nindexes; i++)
		if (state->bulk->indexes[i].relid == indexid)
			index = &state->bulk->indexes[i];
	if (index == NULL)
		return true;
	for (i = 0; i < n; i++)
		if (bulk_has_entry(bulk, index, &events[i].event))
			return true;
	return false;
}

/* May such an index get an entry for an event? */
static bool
bulk_has_entry(const BulkInsert *bulk, const NvsBulkIndex *index,
			   const NvsEvent *event)
{
	text	   *value;

	if (!event->given[index->field])
		return bulk->target->map->fields[index->field].has_default;
	if (event->nulls[index->field])
		return false;
	if (index->value == NULL)
		return true;
	value = DatumGetTextPP(event->values[index->field]);
	return VARSIZE_ANY_EXHDR(value) == VARSIZE_ANY_EXHDR(index->value) &&
		memcmp(VARDATA_ANY(value), VARDATA_ANY(index->value),
			   VARSIZE_ANY_EXHDR(value)) == 0;
}

/*
 * Compute the defaults of the columns that events leave to them, in the
 * current memory context.  All events of the call leave the same ones, as the
 * first does.
 */
static void
bulk_set_defaults(BulkInsert *bulk, const NvsEvent *first)
{
	const NvsFieldMap *map = bulk->target->map;
	const NvsStreamState *state = bulk->target->state;
	Relation	rel = bulk->result->ri_RelationDesc;
	ExprContext *econtext = GetPerTupleExprContext(bulk->estate);
	int			i;

	/*
	 * Once for all events: none is volatile but that of the ids, which are
	 * drawn, see bulk_has_plain_columns().
	 */
	nvs_event_init(&bulk->defaults, map);
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel),
											  field->attnum - 1);
		Node	   *node;
		Datum		value;

		if (!field->has_default || first->given[i] ||
			strcmp(field->column, "id") == 0)
			continue;
		if (state->bulk->now[i] && nvs_may_execute(F_NOW, GetUserId()))
		{
			TimestampTz now = GetCurrentTransactionStartTimestamp();

			bulk->defaults.values[i] = TimestampTzGetDatum(now);
			bulk->defaults.nulls[i] = false;
			continue;
		}
		node = build_column_default(rel, field->attnum);
		if (node == NULL)
			continue;

		/*
		 * The expression's result is its own context's, which is reset for
		 * each row.
		 */
		value = ExecEvalExpr(ExecPrepareExpr((Expr *) node, bulk->estate),
							 econtext, &bulk->defaults.nulls[i]);
		if (!bulk->defaults.nulls[i])
			bulk->defaults.values[i] = datumCopy(value, att->attbyval,
												 att->attlen);
	}
}

/* Insert at most BULK_ROWS events. */
static void
bulk_insert_rows(BulkInsert *bulk, NvsNewEvent *events, int n)
{
	Relation	rel = bulk->result->ri_RelationDesc;
	EState	   *estate = bulk->estate;
	int64		positions[BULK_ROWS];
	MemoryContext old;
	int			i;

	/* The rows, each checked. */
	nvs_draw_positions(bulk->target, positions, n);
	for (i = 0; i < n; i++)
	{
		TupleTableSlot *slot = bulk_slot(bulk, i);

		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		bulk_fill_slot(bulk, &events[i].event, positions[i], slot);
		if (RelationGetDescr(rel)->constr != NULL)
			ExecConstraints(bulk->result, slot, estate);
	}

	/* The table, then its indexes. */
	ResetPerTupleExprContext(estate);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	if (n == 1)
		table_tuple_insert(rel, bulk->slots[0], bulk->cid, 0, NULL);
	else
		table_multi_insert(rel, bulk->slots, n, bulk->cid, 0, NULL);
	MemoryContextSwitchTo(old);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		nvs_insert_index_tuples(bulk->result, bulk->slots[i], estate, false);
	}
}

/*
 * The relation's columns, as slots need to know them: a copy, since each slot
 * of the original would be entered into the list of what refers to that.
 */
static TupleDesc
bulk_desc(const BulkInsert *bulk)
{
	MemoryContext old = MemoryContextSwitchTo(bulk->estate->es_query_cxt);
	Relation	rel = bulk->result->ri_RelationDesc;
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));

	MemoryContextSwitchTo(old);
	return desc;
}

/* Slot i, made when it is first needed. */
static TupleTableSlot *
bulk_slot(BulkInsert *bulk, int i)
{
	MemoryContext old;

	if (i < bulk->nslots)
		return bulk->slots[i];
	old = MemoryContextSwitchTo(bulk->estate->es_query_cxt);
	bulk->slots[i] = MakeTupleTableSlot(bulk->desc, &TTSOpsHeapTuple);
	MemoryContextSwitchTo(old);
	bulk->slots[i]->tts_tableOid = bulk->target->relid;
	bulk->nslots = i + 1;
	return bulk->slots[i];
}

/*
 * Complete an event by what the table adds, and have a slot be its row: the
 * values, which indexes are made of, and the tuple, which the slot frees.
 */
static void
bulk_fill_slot(BulkInsert *bulk, NvsEvent *event, int64 position,
			   TupleTableSlot *slot)
{
	const NvsTarget *target = bulk->target;
	const NvsStreamState *state = target->state;
	int			id = state->id - target->map->fields;
	int			natts = bulk->desc->natts;
	MemoryContext old;
	HeapTuple	row;
	int			i;

	event->values[id] = Int64GetDatum(position);
	event->nulls[id] = false;

	/* Of columns that were dropped there is no field. */
	memset(slot->tts_isnull, true, sizeof(bool) * natts);
	for (i = 0; i < target->map->nfields; i++)
	{
		int			column = target->map->fields[i].attnum - 1;

		if (i != id && !event->given[i])
		{
			event->values[i] = bulk->defaults.values[i];
			event->nulls[i] = bulk->defaults.nulls[i];
		}
		slot->tts_values[column] = event->values[i];
		slot->tts_isnull[column] = event->nulls[i];
	}

	/*
	 * The tuple outlives this row's expressions: it goes into the table with
	 * others.
	 */
	old = MemoryContextSwitchTo(bulk->estate->es_query_cxt);
	row = heap_form_tuple(bulk->desc, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	ExecStoreHeapTuple(row, slot, true);

	/* It is cleared by that, and a constraint may ask for it. */
	slot->tts_tableOid = target->relid;
	slot->tts_nvalid = natts;
}

/* Close what was opened. */
static void
bulk_end(BulkInsert *bulk)
{
	ExecCloseResultRelations(bulk->estate);
	ExecCloseRangeTableRelations(bulk->estate);
	FreeExecutorState(bulk->estate);
}
