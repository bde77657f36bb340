/*
 * stream/event.c
 *	  Events and records: a JSON object to a row of a relation, and back.
 *
 * Fields that the relation has columns for go there, all others into the
 * column meta, so nothing that a caller sent is lost.  A record is what comes
 * back: the columns as fields, "id" as a string (it may be beyond what a
 * double holds), "subject", and "meta".
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/arg.h"
#include "base/time.h"
#include "stream/event.h"

static void event_set(NvsEvent *event, const NvsFieldMap *map,
					  const NvsField *field, Datum value);
static bool event_repeats_key(const NvsResolved *resolved, NvsJsonbChild name,
							  NvsJsonbChild value);
static void event_put_field(const NvsFieldMap *map, const NvsField *field,
							NvsJsonbChild value, NvsEvent *event);
static void event_put_meta(const NvsResolved *resolved,
						   const NvsStreamState *state, const Jsonb *doc,
						   NvsJsonb *unknown, NvsEvent *event);
static void event_merge_meta(NvsJsonb *unknown, const JsonbContainer *meta);
pg_noreturn static void event_refuse_field(const NvsTarget *target,
										   const char *name, int len);
static void event_put_keys(const NvsTarget *target, const Datum *keys,
						   NvsEvent *event);
static void event_put_version(const NvsFieldMap *map,
							  const NvsStreamState *state, int64 version,
							  NvsEvent *event);
static void event_put_time(const NvsFieldMap *map, const NvsStreamState *state,
						   NvsEvent *event);
static void event_check_type(const NvsFieldMap *map,
							 const NvsStreamState *state,
							 const NvsEvent *event);
static bool event_append_key(const NvsTarget *target, HeapTuple row,
							 TupleDesc desc, int first, int key,
							 StringInfo subject);

/* Raise an error unless a document can be an event. */
void
nvs_event_check(const Jsonb *doc)
{
	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event must be a JSON object")));
}

/* The events of argument n of a SQL function, which is a jsonb[]. */
Jsonb	  **
nvs_event_array(FunctionCallInfo fcinfo, int n, int *nevents)
{
	Datum	   *elements;
	bool	   *nulls;
	Jsonb	  **docs;
	int			i;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), JSONBOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, nevents);
	docs = palloc(sizeof(Jsonb *) * Max(*nevents, 1));
	for (i = 0; i < *nevents; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("event %d must not be null", i + 1)));
		docs[i] = DatumGetJsonbP(elements[i]);
	}
	return docs;
}

/*
 * The values of the key columns of a subject's events, in the order of the
 * columns.  They are made once for all of a call.
 */
Datum *
nvs_event_keys(const NvsResolved *resolved)
{
	int			nkeys = resolved->target->nkeys;
	Datum	   *keys = palloc(sizeof(Datum) * Max(nkeys, 1));
	NvsParams	params;

	nvs_params_init(&params);
	nvs_target_params(resolved, &params);
	memcpy(keys, params.values, sizeof(Datum) * nkeys);
	return keys;
}

/*
 * Take an event apart, in the current memory context; keys are its subject's.
 * All errors of its content are raised here.  The document must outlive the
 * event.
 */
void
nvs_event_parse(const NvsResolved *resolved, const Datum *keys,
				const Jsonb *doc, int64 version, NvsEvent *event)
{
	const NvsStreamState *state = resolved->target->state;
	const NvsFieldMap *map = resolved->target->map;
	const JsonbContainer *jc = &doc->root;
	NvsJsonb	unknown;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	nvs_event_check(doc);
	nvs_event_init(event, map);

	/* What the caller says; "meta" is looked at when the rest is known. */
	nvs_jsonb_init(&unknown);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find(map, name.data, name.len);

		if (field != NULL)
			event_put_field(map, field, value, event);
		else if (!event_repeats_key(resolved, name, value) &&
				 !(nvs_event_key_is(name, "meta") &&
				   nvs_jsonb_is_object(value)))
			nvs_jsonb_add_child(&unknown, name.data, name.len, value);
	}
	event_put_meta(resolved, state, doc, &unknown, event);

	/* What the caller does not say. */
	event_put_keys(resolved->target, keys, event);
	event_put_version(map, state, version, event);
	event_put_time(map, state, event);
	event_check_type(map, state, event);
}

/* Begin with an event that has no value at all, in the current context. */
void
nvs_event_init(NvsEvent *event, const NvsFieldMap *map)
{
	Size		n = map->nfields;

	event->values = palloc0((sizeof(Datum) + 2 * sizeof(bool)) * n);
	event->nulls = (bool *) (event->values + n);
	event->given = event->nulls + n;
	memset(event->nulls, true, sizeof(bool) * n);
}

/* Set a column, which is then part of the INSERT. */
static void
event_set(NvsEvent *event, const NvsFieldMap *map, const NvsField *field,
		  Datum value)
{
	int			i = field - map->fields;

	event->values[i] = value;
	event->nulls[i] = false;
	event->given[i] = true;
}

/* Does a field only say again what the subject says? */
static bool
event_repeats_key(const NvsResolved *resolved, NvsJsonbChild name,
				  NvsJsonbChild value)
{
	const NvsTarget *target = resolved->target;
	int			i;

	if (value.type != JENTRY_ISSTRING)
		return false;
	if (nvs_event_key_is(name, "subject"))
		return value.len == resolved->len &&
			memcmp(value.data, resolved->subject, value.len) == 0;
	for (i = 0; i < target->nkeys; i++)
	{
		const NvsKey *key = &target->keys[i];
		const char *s = resolved->subject;
		int			len = resolved->len;

		if (!nvs_field_is_named(key->field, name.data, name.len))
			continue;
		if (key->capture >= 0)
		{
			s += resolved->captures[key->capture].offset;
			len = resolved->captures[key->capture].len;
		}
		return len == value.len && memcmp(s, value.data, len) == 0;
	}
	return false;
}

/* Set a column from a field of the event. */
static void
event_put_field(const NvsFieldMap *map, const NvsField *field,
				NvsJsonbChild value, NvsEvent *event)
{
	int			i = field - map->fields;

	if (event->given[i])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->name),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	event->given[i] = true;
	event->values[i] = nvs_field_payload(field, value, &event->nulls[i]);
}

/* Put what has no column into meta, beside what the caller put there. */
static void
event_put_meta(const NvsResolved *resolved, const NvsStreamState *state,
			   const Jsonb *doc, NvsJsonb *unknown, NvsEvent *event)
{
	uint32		nunknown = unknown->npairs;
	NvsJsonbChild meta;

	if (nvs_jsonb_get(&doc->root, NVS_KEY("meta"), &meta) &&
		nvs_jsonb_is_object(meta))
		event_merge_meta(unknown, (const JsonbContainer *) meta.data);
	else if (nunknown == 0)
		return;
	if (state->meta != NULL)
		event_set(event, resolved->target->map, state->meta,
				  JsonbPGetDatum(nvs_jsonb_finish(unknown)));
	else if (nunknown == 0)
		event_refuse_field(resolved->target, NVS_KEY("meta"));
	else
		event_refuse_field(resolved->target, unknown->pairs[0].key,
						   unknown->pairs[0].keylen);
}

/*
 * Add the fields of a caller's meta to the unknown ones; none may be among
 * both.  Both come in jsonb's order of keys.
 */
static void
event_merge_meta(NvsJsonb *unknown, const JsonbContainer *meta)
{
	uint32		nunknown = unknown->npairs;
	uint32		n = JsonContainerSize(meta);
	uint32		u = 0;
	uint32		i;

	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(meta, i);
		int			cmp = -1;

		while (u < nunknown &&
			   (cmp = nvs_jsonb_key_cmp(unknown->pairs[u].key,
										unknown->pairs[u].keylen,
										name.data, name.len)) < 0)
			u++;
		if (u < nunknown && cmp == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%.*s\" is given twice",
							(int) name.len, name.data),
					 errdetail("It is in the event and in its \"meta\", "
							   "where unknown fields go.")));
		nvs_jsonb_add_child(unknown, name.data, name.len,
							nvs_jsonb_child(meta, n + i));
	}
}

/* Report that a relation has no place for a field. */
static void
event_refuse_field(const NvsTarget *target, const char *name, int len)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s has no column for field \"%.*s\"",
					target->name, len, name),
			 errhint("Add the column, or a column \"meta\" of type jsonb for "
					 "all such fields.")));
}

/* Set the key columns to what the subject says. */
static void
event_put_keys(const NvsTarget *target, const Datum *keys, NvsEvent *event)
{
	int			i;

	for (i = 0; i < target->nkeys; i++)
		event_set(event, target->map, target->keys[i].field, keys[i]);
}

/*
 * Set the version where the relation keeps one.  Raises 22003 for one behind
 * the last that its column can have.
 */
static void
event_put_version(const NvsFieldMap *map, const NvsStreamState *state,
				  int64 version, NvsEvent *event)
{
	Datum		value = Int64GetDatum(version);

	if (state->version == NULL)
		return;
	/* What counted up to it has wrapped around. */
	if (version == PG_INT64_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range")));
	if (state->version->kind == NVS_FIELD_INT4)
		value = DirectFunctionCall1(int84, value);
	event_set(event, map, state->version, value);
}

/* Set ts to now where the caller says nothing, unless it is a key column. */
static void
event_put_time(const NvsFieldMap *map, const NvsStreamState *state,
			   NvsEvent *event)
{
	event->timed = !event->nulls[state->ts - map->fields];
	if (!event->timed && !state->ts->reserved)
		event_set(event, map, state->ts, Int64GetDatum(nvs_now_ms()));
}

/* Raise an error for an event whose type is missing or empty. */
static void
event_check_type(const NvsFieldMap *map, const NvsStreamState *state,
				 const NvsEvent *event)
{
	const NvsField *type = state->type;
	int			i = type - map->fields;

	if (event->nulls[i] && type->not_null && !type->has_default)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event must have a field \"type\""),
				 errhint("Write {\"type\": \"order:placed\", ...}.")));
	if (!event->nulls[i] &&
		VARSIZE_ANY_EXHDR(DatumGetPointer(event->values[i])) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"type\" of an event must not be empty")));
}

/*
 * Can two events be inserted by one statement?  They can unless only one of
 * them leaves a column to its default.
 */
bool
nvs_event_alike(const NvsTarget *target, const NvsEvent *a, const NvsEvent *b)
{
	int			i;

	for (i = 0; i < target->map->nfields; i++)
		if (target->map->fields[i].has_default && a->given[i] != b->given[i])
			return false;
	return true;
}

/* The position of a row that begins with the read list of its relation. */
int64
nvs_event_position(const NvsTarget *target, HeapTuple row, TupleDesc desc)
{
	const NvsStreamState *state = target->state;
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(row, desc,
									   state->id - target->map->fields + 1,
									   &isnull));
}

/* The record, in cxt, of a row that begins with the read list. */
Datum
nvs_event_record(const NvsResolved *resolved, HeapTuple row, TupleDesc desc,
				 MemoryContext cxt)
{
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	Datum		result;

	heap_deform_tuple(row, desc, values, nulls);
	result = nvs_event_make_record(resolved, values, nulls, cxt);
	pfree(values);
	pfree(nulls);
	return result;
}

/* The record, in cxt, of an event whose columns are those of the read list. */
Datum
nvs_event_make_record(const NvsResolved *resolved, const Datum *values,
					  const bool *nulls, MemoryContext cxt)
{
	const NvsStreamState *state = resolved->target->state;
	const NvsField *fields = resolved->target->map->fields;
	MemoryContext old;
	NvsJsonb	record;
	char		id[MAXINT8LEN + 1];
	Datum		result;
	int			i;

	/* The builder points to what is there: values, and the text of the id. */
	nvs_jsonb_init(&record);
	for (i = 0; i < state->nread; i++)
	{
		const NvsField *field = state->read[i];
		int			k = field - fields;

		if (field == NULL)
			nvs_jsonb_add_text(&record, NVS_KEY("subject"), resolved->subject,
							   resolved->len);
		else if (field == state->id)
			nvs_jsonb_add_text(&record, NVS_KEY("id"), id,
							   pg_lltoa(DatumGetInt64(values[k]), id));
		else if (!nulls[k])
			nvs_field_emit(field, values[k], false, &record);
	}

	/* In one piece. */
	old = MemoryContextSwitchTo(cxt);
	result = JsonbPGetDatum(nvs_jsonb_finish(&record));
	MemoryContextSwitchTo(old);
	return result;
}

/* Begin to take one record, which is made in the current memory context. */
void
nvs_records_one(NvsRecords *records)
{
	records->result = NULL;
	records->cxt = CurrentMemoryContext;
	records->bound = NULL;
}

/*
 * Begin to take the records that a SQL function returns, a row for each.  To be
 * called before nvs_spi_begin().
 */
void
nvs_records_set(NvsRecords *records, FunctionCallInfo fcinfo)
{
	records->result = nvs_result_set(fcinfo, &records->desc);
	records->bound = NULL;
	records->cxt = AllocSetContextCreate(CurrentMemoryContext,
										 "nvent_store record",
										 ALLOCSET_DEFAULT_SIZES);
}

/* Make the record of an event whose columns are those of the read list. */
void
nvs_records_add(NvsRecords *records, const NvsResolved *resolved,
				const Datum *values, const bool *nulls)
{
	MemoryContext old;
	bool		isnull = false;

	if (records->result == NULL)
	{
		records->record = nvs_event_make_record(resolved, values, nulls,
												records->cxt);
		return;
	}
	old = MemoryContextSwitchTo(records->cxt);
	records->record = nvs_event_make_record(resolved, values, nulls,
											records->cxt);
	tuplestore_putvalues(records->result, records->desc, &records->record,
						 &isnull);
	MemoryContextReset(records->cxt);
	MemoryContextSwitchTo(old);
}

/* Take a record that is made. */
void
nvs_records_put(NvsRecords *records, Datum record)
{
	bool		isnull = false;
	MemoryContext old;

	if (records->result != NULL)
	{
		tuplestore_putvalues(records->result, records->desc, &record, &isnull);
		return;
	}
	old = MemoryContextSwitchTo(records->cxt);
	records->record = PointerGetDatum(PG_DETOAST_DATUM_COPY(record));
	MemoryContextSwitchTo(old);
}

/*
 * Put the subject of a row together, in subject.  Its key columns, which are of
 * text there, stand one after the other from column first; where that is 0 the
 * row is one of the table itself.  Returns false when a part of the subject is
 * missing.
 */
bool
nvs_event_subject(const NvsTarget *target, HeapTuple row, TupleDesc desc,
				  int first, StringInfo subject)
{
	const NvsPattern *held = target->route->pattern;
	int			key = 0;
	int			i;

	resetStringInfo(subject);
	if (target->keys[0].capture < 0)
		return event_append_key(target, row, desc, first, key, subject);
	for (i = 0; i < held->ntokens; i++)
	{
		const NvsPatternToken *token = &held->tokens[i];

		if (i > 0)
			appendStringInfoChar(subject, ':');
		if (token->kind == NVS_TOKEN_LITERAL)
			appendBinaryStringInfo(subject, held->bytes + token->offset,
								   token->len);
		else if (!event_append_key(target, row, desc, first, key++, subject))
			return false;
	}
	return true;
}

/* Append a key column of such a row; false when it is NULL. */
static bool
event_append_key(const NvsTarget *target, HeapTuple row, TupleDesc desc,
				 int first, int key, StringInfo subject)
{
	int			column = first > 0 ? first + key :
		target->keys[key].field->attnum;
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);
	text	   *part;

	if (isnull)
		return false;
	part = DatumGetTextPP(value);
	appendBinaryStringInfo(subject, VARDATA_ANY(part),
						   VARSIZE_ANY_EXHDR(part));
	if ((Pointer) part != DatumGetPointer(value))
		pfree(part);
	return true;
}
