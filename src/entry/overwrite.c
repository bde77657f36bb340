/*
 * entry/overwrite.c
 *	  Changing entries that are there, without the executor.
 *
 * An increment or a merge of an entry that nobody else changes or holds needs
 * no statement: route/overwrite.c says in what tables, and who for.  What the
 * statements of increment.c and update.c say of a column is done here by the
 * functions that these call, to the row as it was found.  That row is the one
 * that is replaced, or nothing happens, so no change is lost.
 *
 * A column is changed here if its value needs no more than to be put there:
 * those of domains, of types with a length or a precision, and those that may
 * have leftovers are a statement's, as a version is that the database computes.
 * So is whatever would be an error, for one
 * to be told of it in the same words.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "compat.h"
#include "entry/overwrite.h"
#include "json/merge.h"
#include "route/overwrite.h"

/* What one has to be allowed to do with a table. */
#define OVERWRITE_RIGHTS	(ACL_SELECT | ACL_UPDATE)

/* Functions that the statements call. */
static const char *const overwrite_functions[] = {
	"jsonb_increment", "jsonb_merge_patch", "entry_is_changed"
};

/* How entries of a table are changed here. */
struct NvsEntryOverwrite
{
	bool	   *settable;		/* for each column of the map */
	Oid			functions[lengthof(overwrite_functions)];
	NvsAllowed	allowed;		/* who has OVERWRITE_RIGHTS */
};

static NvsEntryOutcome overwrite_row(NvsOverwrite *rows,
									 const NvsTarget *target,
									 const NvsEntryChanges *changes,
									 int64 *version);
static int64 overwrite_integer(TupleTableSlot *slot, const NvsField *field);
static bool overwrite_set_integer(TupleTableSlot *slot,
								  const NvsField *field, int64 value);
static bool overwrite_change(TupleTableSlot *slot, const NvsEntryState *state,
							 const NvsEntryChange *change, bool *differs);
static bool overwrite_set(TupleTableSlot *slot, const NvsEntryChange *change);
static bool overwrite_merge(TupleTableSlot *slot, const NvsEntryState *state,
							const NvsEntryChange *change);
static bool overwrite_add(TupleTableSlot *slot, const NvsEntryChange *change);
static bool overwrite_add_at(TupleTableSlot *slot,
							 const NvsEntryChange *change);
static bool overwrite_find_number(const Jsonb *doc,
								  const NvsEntryChange *change,
								  Numeric *number);
static bool overwrite_fills(TupleTableSlot *slot);
static Datum overwrite_number(TupleTableSlot *slot,
							  const NvsEntryChange *change);

/*
 * See how entries of a target, which is locked, can be changed here:
 * state->overwrite stays NULL when they cannot.
 */
void
nvs_entry_overwrite_compile(NvsTarget *target, NvsEntryState *state)
{
	const NvsFieldMap *map = target->map;
	Relation	rel = table_open(target->relid, AccessShareLock);
	NvsEntryOverwrite *overwrite;
	int			i;

	if (nvs_overwrite_is_plain(rel) && !nvs_has_generated_columns(rel) &&
		!state->version->computed &&
		(state->updated_at == NULL || state->updated_at->typmod == -1))
	{
		overwrite = palloc0(sizeof(NvsEntryOverwrite));
		overwrite->settable = palloc(sizeof(bool) * map->nfields);
		for (i = 0; i < map->nfields; i++)
			overwrite->settable[i] = map->fields[i].typmod == -1 &&
				get_typtype(map->fields[i].type) != TYPTYPE_DOMAIN &&
				!nvs_entry_leftover_possible(state, &map->fields[i]);
		for (i = 0; i < lengthof(overwrite_functions); i++)
			overwrite->functions[i] =
				nvs_function_oid(overwrite_functions[i]);
		state->overwrite = overwrite;
	}
	table_close(rel, AccessShareLock);
}

/* Can that be done here to a column? */
bool
nvs_entry_overwrite_can(const NvsTarget *target, const NvsField *field,
						NvsEntryChangeKind kind)
{
	const NvsEntryState *state = target->state;

	if (state->overwrite == NULL ||
		!state->overwrite->settable[field - target->map->fields])
		return false;
	switch (kind)
	{
		case NVS_CHANGE_SET:
			return true;
		case NVS_CHANGE_MERGE:
		case NVS_CHANGE_ADD_AT:
			return field->type == JSONBOID;
		case NVS_CHANGE_ADD:
			return field->type == INT2OID || field->type == INT4OID ||
				field->type == INT8OID || field->type == NUMERICOID;
	}
	return false;
}

/*
 * Change the entry that params begin with, as nvs_entry_params() has them, by
 * changes that nvs_entry_overwrite_can() do.  *version is what it is at then,
 * if it is changed or the same; numbers, unless it is NULL, are those that were
 * added to, in cxt.
 */
NvsEntryOutcome
nvs_entry_overwrite(const NvsTarget *target, const NvsParams *params,
					const NvsEntryChanges *changes, int64 *version,
					Datum *numbers, MemoryContext cxt)
{
	NvsEntryOverwrite *overwrite = ((NvsEntryState *) target->state)->overwrite;
	NvsEntryOutcome outcome = NVS_ENTRY_LEFT;
	NvsOverwrite rows;
	int			i;

	if (overwrite == NULL || XactReadOnly ||
		!nvs_overwrite_begin(target, &overwrite->allowed, OVERWRITE_RIGHTS,
							 overwrite->functions,
							 lengthof(overwrite_functions), &rows))
		return NVS_ENTRY_LEFT;
	if (nvs_overwrite_find(&rows, params->values) && rows.is_free)
		outcome = overwrite_row(&rows, target, changes, version);
	if (outcome == NVS_ENTRY_CHANGED && numbers != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);

		for (i = 0; i < changes->n; i++)
			numbers[i] = overwrite_number(rows.scan.slot,
										  &changes->changes[i]);
		MemoryContextSwitchTo(old);
	}
	nvs_overwrite_end(&rows);
	return outcome;
}

/* Change the row that was found, unless it is to stay as it is. */
static NvsEntryOutcome
overwrite_row(NvsOverwrite *rows, const NvsTarget *target,
			  const NvsEntryChanges *changes, int64 *version)
{
	const NvsEntryState *state = target->state;
	TupleTableSlot *slot = rows->scan.slot;
	bool		differs = changes->touch;
	int			i;

	ExecClearTuple(slot);
	heap_deform_tuple(&rows->row, slot->tts_tupleDescriptor,
					  slot->tts_values, slot->tts_isnull);

	/* Is it the version that the caller knows? */
	*version = overwrite_integer(slot, state->version);
	if (changes->expects && *version != changes->expected)
		return NVS_ENTRY_OTHER_VERSION;

	/* Each change; a value that is the same is none. */
	for (i = 0; i < changes->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!overwrite_change(slot, state, &changes->changes[i], &differs))
			return NVS_ENTRY_LEFT;
	}
	if (!differs)
		return NVS_ENTRY_SAME;

	/* What each update sets. */
	if (pg_add_s64_overflow(*version, 1, version) ||
		!overwrite_set_integer(slot, state->version, *version))
		return NVS_ENTRY_LEFT;
	if (state->updated_at != NULL)
	{
		i = state->updated_at->attnum - 1;
		slot->tts_values[i] =
			TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		slot->tts_isnull[i] = false;
	}
	if (!overwrite_fills(slot))
		return NVS_ENTRY_LEFT;
	ExecStoreVirtualTuple(slot);
	return nvs_overwrite_put(rows) ? NVS_ENTRY_CHANGED : NVS_ENTRY_LEFT;
}

/* The whole number in a column; 0 for NULL. */
static int64
overwrite_integer(TupleTableSlot *slot, const NvsField *field)
{
	Datum		value = slot->tts_values[field->attnum - 1];

	if (slot->tts_isnull[field->attnum - 1])
		return 0;
	switch (field->type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* Set a column of whole numbers; false when it has no room for that one. */
static bool
overwrite_set_integer(TupleTableSlot *slot, const NvsField *field,
					  int64 value)
{
	Datum	   *column = &slot->tts_values[field->attnum - 1];

	slot->tts_isnull[field->attnum - 1] = false;
	switch (field->type)
	{
		case INT2OID:
			*column = Int16GetDatum((int16) value);
			return value >= PG_INT16_MIN && value <= PG_INT16_MAX;
		case INT4OID:
			*column = Int32GetDatum((int32) value);
			return value >= PG_INT32_MIN && value <= PG_INT32_MAX;
		default:
			*column = Int64GetDatum(value);
			return true;
	}
}

/* Do a change to a row; false when a statement has to. */
static bool
overwrite_change(TupleTableSlot *slot, const NvsEntryState *state,
				 const NvsEntryChange *change, bool *differs)
{
	switch (change->kind)
	{
		case NVS_CHANGE_SET:
			*differs |= overwrite_set(slot, change);
			return true;
		case NVS_CHANGE_MERGE:
			*differs |= overwrite_merge(slot, state, change);
			return true;
		case NVS_CHANGE_ADD:
			return overwrite_add(slot, change);
		case NVS_CHANGE_ADD_AT:
			return overwrite_add_at(slot, change);
	}
	return false;
}

/*
 * Set a column.  Returns whether it differs, as nvent.entry_is_changed() says.
 */
static bool
overwrite_set(TupleTableSlot *slot, const NvsEntryChange *change)
{
	int			i = change->field->attnum - 1;
	Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);
	bool		isnull = slot->tts_isnull[i];
	Datum		before = slot->tts_values[i];

	if (isnull || change->isnull ? isnull == change->isnull :
		datum_image_eq(before, change->value, att->attbyval, att->attlen))
		return false;
	slot->tts_values[i] = change->value;
	slot->tts_isnull[i] = change->isnull;
	return true;
}

/*
 * Merge a document into a column; returns whether that differs.  There is an
 * empty object where extra is NULL, and what has no value has changed where
 * another column is.
 */
static bool
overwrite_merge(TupleTableSlot *slot, const NvsEntryState *state,
				const NvsEntryChange *change)
{
	int			i = change->field->attnum - 1;
	bool		isnull = slot->tts_isnull[i];
	Jsonb	   *before = NULL;
	Jsonb	   *after;
	NvsJsonb	empty;
	bool		changed;

	if (!isnull)
		before = DatumGetJsonbP(slot->tts_values[i]);
	else if (change->field == state->extra)
	{
		nvs_jsonb_init(&empty);
		before = nvs_jsonb_finish(&empty);
	}
	after = nvs_merge_patch(before, DatumGetJsonbP(change->value), &changed);
	if (!isnull && !changed)
		return false;
	slot->tts_values[i] = JsonbPGetDatum(after);
	slot->tts_isnull[i] = false;
	return before == NULL || changed;
}

/* Add to a number, which is 0 where there is none; false when it overflows. */
static bool
overwrite_add(TupleTableSlot *slot, const NvsEntryChange *change)
{
	const NvsField *field = change->field;
	int			i = field->attnum - 1;
	int64		sum;
	Datum		before;

	if (field->type != NUMERICOID)
		return !pg_add_s64_overflow(overwrite_integer(slot, field),
									DatumGetInt64(change->value), &sum) &&
			overwrite_set_integer(slot, field, sum);
	before = slot->tts_isnull[i] ? NumericGetDatum(int64_to_numeric(0)) :
		slot->tts_values[i];
	slot->tts_values[i] = DirectFunctionCall2(numeric_add, before,
											  change->value);
	slot->tts_isnull[i] = false;
	return true;
}

/* Add to a number in a document; false when that is an error. */
static bool
overwrite_add_at(TupleTableSlot *slot, const NvsEntryChange *change)
{
	int			i = change->field->attnum - 1;
	Jsonb	   *doc = slot->tts_isnull[i] ? NULL :
		DatumGetJsonbP(slot->tts_values[i]);
	Numeric		number;

	if (doc != NULL && !overwrite_find_number(doc, change, &number))
		return false;
	doc = nvs_paths_increment(doc, change->path, change->npath,
							  DatumGetNumeric(change->value), NULL);
	slot->tts_values[i] = JsonbPGetDatum(doc);
	slot->tts_isnull[i] = false;
	return true;
}

/*
 * Find the number at the path of a change; NULL where there is none.  False
 * when there is something else, or no room for one.
 */
static bool
overwrite_find_number(const Jsonb *doc, const NvsEntryChange *change,
					  Numeric *number)
{
	NvsJsonbChild value = nvs_jsonb_root(doc);
	int			i;

	*number = NULL;
	for (i = 0; i < change->npath; i++)
	{
		if (!nvs_jsonb_is_object(value))
			return false;
		if (!nvs_jsonb_get((const JsonbContainer *) value.data,
						   change->path[i].data, change->path[i].len, &value))
			return true;
	}
	if (value.type == JENTRY_ISNUMERIC)
		*number = (Numeric) value.data;
	return *number != NULL || value.type == JENTRY_ISNULL;
}

/*
 * Has a row a value in each column that must have one?  Columns that were
 * dropped lose theirs, as in an UPDATE.
 */
static bool
overwrite_fills(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			slot->tts_isnull[i] = true;
		else if (slot->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
			return false;
	}
	return true;
}

/* What a number that was added to is now, as a numeric of its own. */
static Datum
overwrite_number(TupleTableSlot *slot, const NvsEntryChange *change)
{
	const NvsField *field = change->field;
	bool		isnull;
	Datum		value = slot_getattr(slot, field->attnum, &isnull);
	Numeric		number;

	if (change->kind == NVS_CHANGE_ADD && field->type != NUMERICOID)
		return NumericGetDatum(int64_to_numeric(overwrite_integer(slot,
																  field)));
	if (change->kind == NVS_CHANGE_ADD)
		number = DatumGetNumeric(value);
	else if (!overwrite_find_number(DatumGetJsonbP(value), change, &number) ||
			 number == NULL)
		elog(ERROR, "unexpected value of a number that was added to");
	return datumCopy(NumericGetDatum(number), false, -1);
}
