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

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "errors.h"
#include "base/time.h"
#include "stream/stream.h"

static bool *kept_columns(const NvsTarget *target);
static NvsStreamState *compile_state(NvsTarget *target);
static bool repeats_key(const NvsResolved *resolved, NvsJsonbChild name,
						NvsJsonbChild value);
static void put_field(const NvsResolved *resolved, const NvsField *field,
					  NvsJsonbChild value, NvsEvent *event);
static void put_meta(const NvsResolved *resolved, const NvsStreamState *state,
					 Jsonb *doc, NvsJsonb *unknown, NvsEvent *event);
static void put_missing(const NvsResolved *resolved,
						const NvsStreamState *state, int64 version,
						NvsEvent *event);

/* Find the relation of a subject and make sure its state is there. */
bool
nvs_stream_resolve(text *subject, bool write, NvsResolved *resolved)
{
	if (!nvs_route_find(NVS_KIND_STREAM, VARDATA_ANY(subject),
						VARSIZE_ANY_EXHDR(subject), write, resolved))
		return false;
	(void) nvs_stream_state(resolved->target);
	return true;
}

/* The state of a target, made on first use. */
NvsStreamState *
nvs_stream_state(NvsTarget *target)
{
	if (target->state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(target->cxt);

		target->state = compile_state(target);
		MemoryContextSwitchTo(old);
	}
	return target->state;
}

/* The column of this name and kind; NULL if none, or if it is a key. */
static const NvsField *
column_of_kind(NvsFieldMap *map, const char *column, NvsFieldKind kind)
{
	NvsField   *field = nvs_fields_column(map, column);

	if (field == NULL || field->kind != kind || field->reserved)
		return NULL;
	return field;
}

/*
 * Which columns hold what an INSERT gives them, so that it need not be read
 * back: in a table where nothing comes between, those that records take as
 * they are.  Parameters already have what a column's type makes of them.
 */
static bool *
kept_columns(const NvsTarget *target)
{
	const NvsFieldMap *map = target->map;
	Relation	rel = table_open(target->relid, AccessShareLock);
	bool	   *kept = palloc0(sizeof(bool) * map->nfields);
	int			i;

	if (rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rules == NULL &&
		(rel->trigdesc == NULL || !rel->trigdesc->trig_insert_before_row))
	{
		for (i = 0; i < map->nfields; i++)
			kept[i] = map->fields[i].kind != NVS_FIELD_OTHER;
	}
	table_close(rel, NoLock);
	return kept;
}

/*
 * Sort the columns of a relation into what they mean for a stream.  This may
 * fail, as by a timeout while it waits for the relation's lock; the columns
 * are taken from the fields only when nothing can fail any more.
 */
static NvsStreamState *
compile_state(NvsTarget *target)
{
	bool	   *kept = kept_columns(target);
	NvsStreamState *state = palloc0(sizeof(NvsStreamState));
	NvsFieldMap *map = target->map;
	NvsField   *created_at;
	StringInfoData list;
	int			i;

	state->kept = kept;
	state->id = nvs_fields_column(map, "id");
	state->version = column_of_kind(map, "version", NVS_FIELD_INT8);
	if (state->version == NULL)
		state->version = column_of_kind(map, "version", NVS_FIELD_INT4);
	state->meta = column_of_kind(map, "meta", NVS_FIELD_JSONB);
	state->event_id = nvs_fields_column(map, "event_id");
	if (state->event_id != NULL && state->event_id->type != TEXTOID &&
		state->event_id->type != UUIDOID)
		state->event_id = NULL;
	state->pii = nvs_fields_column(map, "pii");
	if (state->pii != NULL && state->pii->kind != NVS_FIELD_JSONB)
		state->pii = NULL;
	state->ts = nvs_fields_column(map, "ts");
	state->type = nvs_fields_column(map, "type");
	created_at = nvs_fields_column(map, "created_at");
	if (created_at != NULL && !created_at->has_default)
		created_at = NULL;

	state->read = palloc(sizeof(NvsField *) * (map->nfields + 1));
	initStringInfo(&list);
	state->in_record = palloc(sizeof(bool) * map->nfields);
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		bool		in_record = field != created_at &&
			strcmp(field->column, "subject") != 0;

		if (!OidIsValid(get_array_type(field->type)) ||
			type_is_rowtype(field->type))
			state->one_by_one = true;
		state->in_record[i] = in_record;
		if (in_record && field != state->id)
			state->read[state->nread++] = field;
		/* Rows that are all columns are handed out as they are stored. */
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 in_record ? nvs_field_select(field) : field->quoted);
	}
	state->read_list = list.data;

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

/* Take an event apart; all errors of its content are raised here. */
void
nvs_event_parse(const NvsResolved *resolved, const NvsStreamState *state,
				Jsonb *doc, int64 version, NvsEvent *event)
{
	const NvsFieldMap *map = resolved->target->map;
	const JsonbContainer *jc = &doc->root;
	NvsJsonb	unknown;
	uint32		n = JsonContainerSize(jc);
	uint32		i;

	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event must be a JSON object")));
	event->values = palloc0(sizeof(Datum) * map->nfields);
	event->nulls = palloc(sizeof(bool) * map->nfields);
	event->given = palloc0(sizeof(bool) * map->nfields);
	memset(event->nulls, true, sizeof(bool) * map->nfields);

	nvs_jsonb_init(&unknown);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild value = nvs_jsonb_child(jc, n + i);
		const NvsField *field = nvs_field_find(map, name.data, name.len);

		if (field != NULL)
			put_field(resolved, field, value, event);
		else if (!repeats_key(resolved, name, value) &&
				 !(name.len == 4 && memcmp(name.data, "meta", 4) == 0 &&
				   nvs_jsonb_is_object(value)))
			nvs_jsonb_add_child(&unknown, name.data, name.len, value);
	}
	put_meta(resolved, state, doc, &unknown, event);
	put_missing(resolved, state, version, event);
}

/* Does a field only say again what the subject says? */
static bool
repeats_key(const NvsResolved *resolved, NvsJsonbChild name,
			NvsJsonbChild value)
{
	const NvsTarget *target = resolved->target;
	int			i;

	if (value.type != JENTRY_ISSTRING)
		return false;
	if (name.len == 7 && memcmp(name.data, "subject", 7) == 0)
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
put_field(const NvsResolved *resolved, const NvsField *field,
		  NvsJsonbChild value, NvsEvent *event)
{
	int			i = field - resolved->target->map->fields;

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
put_meta(const NvsResolved *resolved, const NvsStreamState *state, Jsonb *doc,
		 NvsJsonb *unknown, NvsEvent *event)
{
	JsonbValue	key;
	JsonbValue *given;
	uint32		nunknown = unknown->npairs;
	int			i;

	key.type = jbvString;
	key.val.string.val = "meta";
	key.val.string.len = 4;
	given = findJsonbValueFromContainer(&doc->root, JB_FOBJECT, &key);
	if (given != NULL && given->type == jbvBinary &&
		JsonContainerIsObject(given->val.binary.data))
	{
		const JsonbContainer *jc = given->val.binary.data;
		uint32		n = JsonContainerSize(jc);
		uint32		u = 0;
		uint32		k;

		/* Both come in jsonb's order of keys. */
		for (k = 0; k < n; k++)
		{
			NvsJsonbChild name = nvs_jsonb_child(jc, k);

			while (u < nunknown &&
				   nvs_jsonb_key_cmp(unknown->pairs[u].key,
									 unknown->pairs[u].keylen,
									 name.data, name.len) < 0)
				u++;
			if (u < nunknown &&
				nvs_jsonb_key_cmp(unknown->pairs[u].key,
								  unknown->pairs[u].keylen,
								  name.data, name.len) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("field \"%.*s\" is given twice",
								(int) name.len, name.data),
						 errdetail("It is in the event and in its "
								   "\"meta\", where unknown fields go.")));
			nvs_jsonb_add_child(unknown, name.data, name.len,
								nvs_jsonb_child(jc, n + k));
		}
	}
	else if (nunknown == 0)
		return;
	if (state->meta == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table %s has no column for field \"%.*s\"",
						resolved->target->name,
						nunknown == 0 ? 4 : (int) unknown->pairs[0].keylen,
						nunknown == 0 ? "meta" : unknown->pairs[0].key),
				 errhint("Add the column, or a column \"meta\" of type jsonb "
						 "for all such fields.")));
	i = state->meta - resolved->target->map->fields;
	event->values[i] = JsonbPGetDatum(nvs_jsonb_finish(unknown));
	event->nulls[i] = false;
	event->given[i] = true;
}

/* Set what the caller does not say: keys, version, time. */
static void
put_missing(const NvsResolved *resolved, const NvsStreamState *state,
			int64 version, NvsEvent *event)
{
	const NvsTarget *target = resolved->target;
	NvsParams	keys;
	int			i;

	nvs_params_init(&keys);
	nvs_route_params(resolved, &keys);
	for (i = 0; i < target->nkeys; i++)
	{
		int			k = target->keys[i].field - target->map->fields;

		event->values[k] = keys.values[i];
		event->nulls[k] = false;
		event->given[k] = true;
	}
	if (state->version != NULL)
	{
		i = state->version - target->map->fields;
		event->values[i] = state->version->kind == NVS_FIELD_INT4 ?
			DirectFunctionCall1(int84, Int64GetDatum(version)) :
			Int64GetDatum(version);
		event->nulls[i] = false;
		event->given[i] = true;
	}
	i = state->ts - target->map->fields;
	event->timed = !event->nulls[i];
	if (event->nulls[i] && !state->ts->reserved)
	{
		event->values[i] = Int64GetDatum(nvs_now_ms());
		event->nulls[i] = false;
		event->given[i] = true;
	}
	i = state->type - target->map->fields;
	if (event->nulls[i] && state->type->not_null && !state->type->has_default)
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

/* The position of a row whose columns are the read list. */
int64
nvs_event_position(const NvsResolved *resolved, HeapTuple row, TupleDesc desc)
{
	const NvsStreamState *state = resolved->target->state;
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(row, desc,
									   state->id + 1 -
									   resolved->target->map->fields, &isnull));
}

/* The record of a row whose columns are the read list. */
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

/* The record of an event, given the columns of the read list. */
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

	nvs_jsonb_init(&record);
	i = pg_lltoa(DatumGetInt64(values[state->id - fields]), id);
	nvs_jsonb_add_text(&record, NVS_KEY("id"), id, i);
	nvs_jsonb_add_text(&record, NVS_KEY("subject"), resolved->subject,
					   resolved->len);
	for (i = 0; i < state->nread; i++)
	{
		int			k = state->read[i] - fields;

		if (!nulls[k])
			nvs_field_emit(state->read[i], values[k], false, &record);
	}
	old = MemoryContextSwitchTo(cxt);
	result = JsonbPGetDatum(nvs_jsonb_finish(&record));
	MemoryContextSwitchTo(old);
	return result;
}
