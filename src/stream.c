/*
 * stream.c
 *	  Event streams: append, read and delete by subject.
 *
 * An event is a JSON object.  Fields that the table has columns for go there,
 * all others into the column meta, so nothing that a caller sent is lost.  A
 * record is what comes back: the columns as fields, "id" as a string (it may
 * be beyond what a double holds), "subject", and "meta".
 *
 * In a table with a column version, versions are gapless per subject: an
 * append locks the subject until it commits, then looks for the last version
 * with the latest snapshot, whatever the transaction's own, and draws its
 * position only after that, so that version order is position order.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "funcapi.h"
#include "guc.h"
#include "miscadmin.h"
#include "notify.h"
#include "route.h"
#include "util.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* Events that one call may append. */
#define NVS_MAX_BATCH	65536

/* Fixed statements of a stream's plan set. */
enum
{
	PLAN_HEAD,
	PLAN_DELETE
};

/* What stream functions know of a relation. */
typedef struct StreamState
{
	const NvsField *id;
	const NvsField *ts;
	const NvsField *type;
	const NvsField *version;	/* NULL: a plain log */
	const NvsField *meta;		/* NULL: no place for unknown fields */
	const NvsField **read;		/* columns of a record besides the id */
	int			nread;
	char	   *read_list;		/* all columns, as a SELECT list */
} StreamState;

/* An event, taken apart: a value for each column of the relation's map. */
typedef struct Event
{
	Datum	   *values;
	bool	   *nulls;
	bool	   *given;			/* the caller named it, or we did */
} Event;

/* What stream_read() was asked. */
typedef struct ReadArgs
{
	FunctionCallInfo fcinfo;
	NvsParams	params;
	StringInfoData sql;
} ReadArgs;

PG_FUNCTION_INFO_V1(nvs_stream_append);
PG_FUNCTION_INFO_V1(nvs_stream_append_batch);
PG_FUNCTION_INFO_V1(nvs_stream_read);
PG_FUNCTION_INFO_V1(nvs_stream_delete);
PG_FUNCTION_INFO_V1(nvs_stream_create_table);
PG_FUNCTION_INFO_V1(nvs_stream_drop_table);

static bool find_place(text *subject, bool write, NvsPlace *place);
static StreamState *get_state(NvsTarget *target);
static StreamState *compile_state(NvsTarget *target);
static void append_events(NvsPlace *place, Jsonb **events, int n,
						  bool expects, int64 expected, Datum *records,
						  MemoryContext cxt);
static int64 lock_head(const NvsPlace *place, bool expects, int64 expected);
static void conflict(const NvsPlace *place, int64 expected, int64 actual);
static void parse_event(const NvsPlace *place, const StreamState *state,
						Jsonb *doc, int64 version, Event *event);
static bool repeats_key(const NvsPlace *place, NvsJsonbChild name,
						NvsJsonbChild value);
static void put_field(const NvsPlace *place, const NvsField *field,
					  NvsJsonbChild value, Event *event);
static void put_meta(const NvsPlace *place, const StreamState *state,
					 Jsonb *doc, NvsJsonb *unknown, Event *event);
static void put_missing(const NvsPlace *place, const StreamState *state,
						int64 version, Event *event);
static bool same_columns(const NvsTarget *target, const Event *a,
						 const Event *b);
static void insert_events(NvsPlace *place, Event *events, int n,
						  Datum *records, MemoryContext cxt);
static void insert_one_text(const NvsTarget *target, const Event *event,
							NvsParams *params, StringInfo sql);
static void insert_many_text(const NvsTarget *target, const Event *events,
							 int n, NvsParams *params, StringInfo sql);
static Datum column_array(const NvsField *field, const Event *events, int n,
						  int index);
static Datum make_record(const NvsPlace *place, HeapTuple row, TupleDesc desc,
						 MemoryContext cxt);
static void announce(const NvsPlace *place, HeapTuple last, TupleDesc desc);
static void add_bound(ReadArgs *args, int arg, const char *column,
					  const char *operator);
static char *store_argument(FunctionCallInfo fcinfo, int n);

/* Find the relation of a subject and make sure its state is there. */
static bool
find_place(text *subject, bool write, NvsPlace *place)
{
	if (!nvs_route_find(NVS_TIER_STREAM, VARDATA_ANY(subject),
						VARSIZE_ANY_EXHDR(subject), write, place))
		return false;
	(void) get_state(place->target);
	return true;
}

/* The state of a target, made on first use. */
static StreamState *
get_state(NvsTarget *target)
{
	if (target->state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(target->cxt);

		target->state = compile_state(target);
		MemoryContextSwitchTo(old);
	}
	return target->state;
}

/* Sort the columns of a relation into what they mean for a stream. */
static StreamState *
compile_state(NvsTarget *target)
{
	StreamState *state = palloc0(sizeof(StreamState));
	NvsFieldMap *map = target->map;
	int			i;

	state->id = nvs_fields_reserve(map, "id");
	state->version = nvs_fields_reserve(map, "version");
	state->meta = nvs_fields_reserve(map, "meta");
	if (state->meta != NULL && state->meta->kind != NVS_FIELD_JSONB)
		state->meta = NULL;
	state->ts = nvs_fields_column(map, "ts");
	state->type = nvs_fields_column(map, "type");
	(void) nvs_fields_reserve(map, "created_at");
	(void) nvs_fields_reserve(map, "subject");

	state->read = palloc(sizeof(NvsField *) * (map->nfields + 1));
	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];

		if (field != state->id && strcmp(field->column, "created_at") != 0 &&
			strcmp(field->column, "subject") != 0)
			state->read[state->nread++] = field;
	}
	state->read_list = nvs_fields_select_list(map);
	return state;
}

/*
 * nvent.stream_append(subject, event, expected_version): the event's record.
 */
Datum
nvs_stream_append(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	NvsPlace	place;
	Jsonb	   *event;
	Datum		record;

	NVS_REQUIRE_ARG(0, "subject");
	NVS_REQUIRE_ARG(1, "event");
	event = PG_GETARG_JSONB_P(1);
	nvs_spi_begin();
	(void) find_place(PG_GETARG_TEXT_PP(0), true, &place);
	append_events(&place, &event, 1, !PG_ARGISNULL(2),
				  NVS_ARG_OR(2, PG_GETARG_INT64, 0), &record, cxt);
	nvs_spi_end();
	PG_RETURN_DATUM(record);
}

/*
 * nvent.stream_append_batch(subject, events, expected_version): records in
 * the order of the events; all of them are appended or none.
 */
Datum
nvs_stream_append_batch(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsPlace	place;
	Datum	   *elements;
	Datum	   *records;
	bool	   *nulls;
	Jsonb	  **events;
	int			n;
	int			i;

	NVS_REQUIRE_ARG(0, "subject");
	NVS_REQUIRE_ARG(1, "events");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), JSONBOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	if (n > NVS_MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many events in one call: %d", n),
				 errdetail("One call appends at most %d.", NVS_MAX_BATCH)));
	events = palloc(sizeof(Jsonb *) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("event %d must not be null", i + 1)));
		events[i] = DatumGetJsonbP(elements[i]);
	}
	records = palloc(sizeof(Datum) * Max(n, 1));

	nvs_spi_begin();
	(void) find_place(PG_GETARG_TEXT_PP(0), true, &place);
	append_events(&place, events, n, !PG_ARGISNULL(2),
				  NVS_ARG_OR(2, PG_GETARG_INT64, 0), records,
				  CurrentMemoryContext);
	for (i = 0; i < n; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result, desc, &records[i], &isnull);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Check what is expected, then append events and make their records. */
static void
append_events(NvsPlace *place, Jsonb **docs, int n, bool expects,
			  int64 expected, Datum *records, MemoryContext cxt)
{
	StreamState *state = get_state(place->target);
	Event	   *events = palloc(sizeof(Event) * Max(n, 1));
	int64		head = 0;
	bool		alike = true;
	int			i;

	if (state->version != NULL)
		head = lock_head(place, expects, expected);
	else if (expects)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream \"%.*s\" has no versions", place->len,
						place->subject),
				 errdetail("Table %s has no column \"version\".",
						   place->target->name)));
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		parse_event(place, state, docs[i], head + i + 1, &events[i]);
		alike = alike && same_columns(place->target, &events[0], &events[i]);
	}
	if (alike)
		insert_events(place, events, n, records, cxt);
	else
		for (i = 0; i < n; i++)
			insert_events(place, &events[i], 1, &records[i], cxt);
}

/*
 * Lock a subject until the end of the transaction and return its last
 * version, 0 when it has no event.
 */
static int64
lock_head(const NvsPlace *place, bool expects, int64 expected)
{
	NvsTarget  *target = place->target;
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, PLAN_HEAD);
	NvsParams	params;
	int64		head = 0;

	if (expected < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected version must not be negative"),
				 errdetail("It is " INT64_FORMAT ".", expected),
				 errhint("Pass 0 for a stream without events, NULL for any "
						 "version.")));
	PreventCommandIfReadOnly("nvent.stream_append()");
	nvs_lock(NVS_LOCK_SUBJECT,
			 nvs_hash(place->subject, place->len, target->relid),
			 ExclusiveLock);

	nvs_params_init(&params);
	nvs_route_params(place, &params);
	if (*plan == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT version::pg_catalog.int8 FROM %s "
						 "WHERE ", target->name);
		nvs_route_where(target, &sql);
		appendStringInfoString(&sql, " ORDER BY version DESC LIMIT 1");
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	PushActiveSnapshot(GetLatestSnapshot());
	if (nvs_plan_execute(*plan, params.values, params.nulls, true, 1) > 0)
	{
		bool		isnull;

		head = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 1,
										   &isnull));
	}
	PopActiveSnapshot();
	if (expects && head != expected)
		conflict(place, expected, head);
	return head;
}

/* Report that a stream is not at the version that was expected. */
static void
conflict(const NvsPlace *place, int64 expected, int64 actual)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"subject\": ");
	escape_json(&detail, pnstrdup(place->subject, place->len));
	appendStringInfo(&detail, ", \"expected\": " INT64_FORMAT
					 ", \"actual\": " INT64_FORMAT "}", expected, actual);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_VERSION_CONFLICT),
			 errmsg("stream \"%.*s\" is not at the expected version",
					place->len, place->subject),
			 errdetail_internal("%s", detail.data),
			 errhint("Read the stream again and retry.")));
}

/* Take an event apart; all errors of its content are raised here. */
static void
parse_event(const NvsPlace *place, const StreamState *state, Jsonb *doc,
			int64 version, Event *event)
{
	const NvsFieldMap *map = place->target->map;
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
			put_field(place, field, value, event);
		else if (!repeats_key(place, name, value) &&
				 !(name.len == 4 && memcmp(name.data, "meta", 4) == 0 &&
				   nvs_jsonb_is_object(value)))
			nvs_jsonb_add_child(&unknown, name.data, name.len, value);
	}
	put_meta(place, state, doc, &unknown, event);
	put_missing(place, state, version, event);
}

/* Does a field only say again what the subject says? */
static bool
repeats_key(const NvsPlace *place, NvsJsonbChild name, NvsJsonbChild value)
{
	const NvsTarget *target = place->target;
	int			i;

	if (value.type != JENTRY_ISSTRING)
		return false;
	if (name.len == 7 && memcmp(name.data, "subject", 7) == 0)
		return value.len == place->len &&
			memcmp(value.data, place->subject, value.len) == 0;
	for (i = 0; i < target->nkeys; i++)
	{
		const NvsKey *key = &target->keys[i];
		const char *s = place->subject;
		int			len = place->len;

		if (key->field->namelen != name.len ||
			memcmp(key->field->name, name.data, name.len) != 0)
			continue;
		if (key->capture >= 0)
		{
			s += place->captures[key->capture].offset;
			len = place->captures[key->capture].len;
		}
		return len == value.len && memcmp(s, value.data, len) == 0;
	}
	return false;
}

/* Set a column from a field of the event. */
static void
put_field(const NvsPlace *place, const NvsField *field, NvsJsonbChild value,
		  Event *event)
{
	int			i = field - place->target->map->fields;

	if (event->given[i])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" is given twice", field->name),
				 errdetail("Column \"%s\" has more than one name.",
						   field->column)));
	event->given[i] = true;
	if (field->kind == NVS_FIELD_JSONB && value.type == JENTRY_ISNULL)
	{
		/* JSON null is a payload like any other. */
		event->values[i] = JsonbPGetDatum(nvs_child_document(value));
		event->nulls[i] = false;
		return;
	}
	event->values[i] = nvs_field_datum(field, value, &event->nulls[i]);
}

/* Put what has no column into meta, beside what the caller put there. */
static void
put_meta(const NvsPlace *place, const StreamState *state, Jsonb *doc,
		 NvsJsonb *unknown, Event *event)
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
		uint32		k;

		for (k = 0; k < n; k++)
		{
			NvsJsonbChild name = nvs_jsonb_child(jc, k);
			uint32		u;

			for (u = 0; u < nunknown; u++)
				if (unknown->pairs[u].keylen == name.len &&
					memcmp(unknown->pairs[u].key, name.data, name.len) == 0)
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("field \"%.*s\" is given twice",
									(int) name.len, name.data),
							 errdetail("It is in the event and in its "
									   "\"meta\", where unknown fields "
									   "go.")));
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
						place->target->name,
						nunknown == 0 ? 4 : (int) unknown->pairs[0].keylen,
						nunknown == 0 ? "meta" : unknown->pairs[0].key),
				 errhint("Add the column, or a column \"meta\" of type jsonb "
						 "for all such fields.")));
	i = state->meta - place->target->map->fields;
	event->values[i] = JsonbPGetDatum(nvs_jsonb_finish(unknown));
	event->nulls[i] = false;
	event->given[i] = true;
}

/* Set what the caller does not say: keys, version, time. */
static void
put_missing(const NvsPlace *place, const StreamState *state, int64 version,
			Event *event)
{
	const NvsTarget *target = place->target;
	NvsParams	keys;
	int			i;

	nvs_params_init(&keys);
	nvs_route_params(place, &keys);
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
		event->values[i] = state->version->type == INT4OID ?
			Int32GetDatum((int32) version) : Int64GetDatum(version);
		event->nulls[i] = false;
		event->given[i] = true;
	}
	i = state->ts - target->map->fields;
	if (event->nulls[i])
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
}

/*
 * Can two events be inserted by one statement?  They can unless only one of
 * them leaves a column to its default.
 */
static bool
same_columns(const NvsTarget *target, const Event *a, const Event *b)
{
	int			i;

	for (i = 0; i < target->map->nfields; i++)
		if (target->map->fields[i].has_default && a->given[i] != b->given[i])
			return false;
	return true;
}

/* Is a column named in the INSERT of these events? */
static bool
inserts_column(const NvsField *field, const Event *event, int i)
{
	if (event->given[i])
		return true;
	return !field->has_default && !field->reserved;
}

/* Insert events by one statement, make their records and announce them. */
static void
insert_events(NvsPlace *place, Event *events, int n, Datum *records,
			  MemoryContext cxt)
{
	NvsTarget  *target = place->target;
	StreamState *state = get_state(target);
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;
	int			i;

	if (n == 0)
		return;
	nvs_params_init(&params);
	initStringInfo(&sql);
	if (n == 1)
		insert_one_text(target, &events[0], &params, &sql);
	else
		insert_many_text(target, events, n, &params, &sql);
	appendStringInfo(&sql, " RETURNING %s", state->read_list);
	plan = nvs_planset_text(target->plans, sql.data, &params,
							CURSOR_OPT_GENERIC_PLAN);
	if (nvs_plan_execute(plan, params.values, params.nulls, false, 0) != n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event", target->name),
				 errdetail("A trigger or rule kept rows out.")));
	for (i = 0; i < n; i++)
		records[i] = make_record(place, SPI_tuptable->vals[i],
								 SPI_tuptable->tupdesc, cxt);
	announce(place, SPI_tuptable->vals[n - 1], SPI_tuptable->tupdesc);
}

/* INSERT of one event: a parameter for each column. */
static void
insert_one_text(const NvsTarget *target, const Event *event,
				NvsParams *params, StringInfo sql)
{
	StringInfoData values;
	int			i;

	initStringInfo(&values);
	appendStringInfo(sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const char *comma = params->n > 0 ? ", " : "";
		int			n;

		if (!inserts_column(field, event, i))
			continue;
		n = nvs_params_add(params, field->type, event->values[i],
						   event->nulls[i]);
		appendStringInfo(sql, "%s%s", comma, field->quoted);
		appendStringInfo(&values, "%s$%d", comma, n);
	}
	appendStringInfo(sql, ") VALUES (%s)", values.data);
}

/* INSERT of many: a parameter that is an array for each column. */
static void
insert_many_text(const NvsTarget *target, const Event *events, int n,
				 NvsParams *params, StringInfo sql)
{
	StringInfoData from;
	int			i;

	initStringInfo(&from);
	appendStringInfo(sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const char *comma = params->n > 0 ? ", " : "";
		int			p;

		if (!inserts_column(field, &events[0], i))
			continue;
		p = nvs_params_add(params, get_array_type(field->type),
						   column_array(field, events, n, i), false);
		appendStringInfo(sql, "%s%s", comma, field->quoted);
		appendStringInfo(&from, "%spg_catalog.unnest($%d)", comma, p);
	}
	/* unnest() keeps the order, and the position is drawn row by row. */
	appendStringInfo(sql, ") SELECT * FROM ROWS FROM (%s) u", from.data);
}

/* One column's values of all events. */
static Datum
column_array(const NvsField *field, const Event *events, int n, int index)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;
	int			i;

	for (i = 0; i < n; i++)
	{
		values[i] = events[i].values[index];
		nulls[i] = events[i].nulls[index];
	}
	get_typlenbyvalalign(field->type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower,
											  field->type, typlen, typbyval,
											  typalign));
}

/* The position of a row whose columns are the read list. */
static int64
record_id(const NvsPlace *place, HeapTuple row, TupleDesc desc)
{
	const StreamState *state = place->target->state;
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(row, desc,
									   state->id - place->target->map->fields +
									   1, &isnull));
}

/* The record of a row whose columns are the read list. */
static Datum
make_record(const NvsPlace *place, HeapTuple row, TupleDesc desc,
			MemoryContext cxt)
{
	const StreamState *state = place->target->state;
	const NvsFieldMap *map = place->target->map;
	MemoryContext old;
	NvsJsonb	record;
	char		id[MAXINT8LEN + 1];
	Datum		result;
	bool		isnull;
	int			i;

	nvs_jsonb_init(&record);
	pg_lltoa(record_id(place, row, desc), id);
	nvs_jsonb_add_text(&record, NVS_KEY("id"), id, strlen(id));
	nvs_jsonb_add_text(&record, NVS_KEY("subject"), place->subject,
					   place->len);
	for (i = 0; i < state->nread; i++)
	{
		const NvsField *field = state->read[i];
		Datum		value = SPI_getbinval(row, desc, field - map->fields + 1,
										  &isnull);

		if (!isnull)
			nvs_field_emit(field, value, false, &record);
	}
	old = MemoryContextSwitchTo(cxt);
	result = JsonbPGetDatum(nvs_jsonb_finish(&record));
	MemoryContextSwitchTo(old);
	return result;
}

/* Tell listeners, when they are to be told. */
static void
announce(const NvsPlace *place, HeapTuple last, TupleDesc desc)
{
	const NvsTarget *target = place->target;
	int			mode = target->notify < 0 ? nvs_notify : target->notify;

	if (mode == NVS_NOTIFY_OFF)
		return;
	nvs_notify_append(target->store->channel, place->subject, place->len,
					  record_id(place, last, desc));
}

/* Add a condition on a bigint column when its argument is given. */
static void
add_bound(ReadArgs *args, int arg, const char *column, const char *operator)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (PG_ARGISNULL(arg))
		return;
	appendStringInfo(&args->sql, " AND %s OPERATOR(pg_catalog.%s) $%d",
					 column, operator,
					 nvs_params_add(&args->params, INT8OID,
									PG_GETARG_DATUM(arg), false));
}

/*
 * nvent.stream_read(subject, after, before, since, until, types, backward,
 * max_count): records in the order of positions.
 */
Datum
nvs_stream_read(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	bool		backward = NVS_ARG_OR(6, PG_GETARG_BOOL, false);
	int64		count = nvs_count_argument(fcinfo, 7, "max_count");
	ReadArgs	args;
	NvsPlace	place;
	StreamState *state;
	SPIPlanPtr	plan;
	uint64		i;

	NVS_REQUIRE_ARG(0, "subject");
	nvs_spi_begin();
	if (!find_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		return (Datum) 0;
	}
	state = get_state(place.target);
	args.fcinfo = fcinfo;
	nvs_params_init(&args.params);
	nvs_route_params(&place, &args.params);
	initStringInfo(&args.sql);
	appendStringInfo(&args.sql, "SELECT %s FROM %s WHERE ", state->read_list,
					 place.target->name);
	nvs_route_where(place.target, &args.sql);
	add_bound(&args, 1, "id", ">");
	add_bound(&args, 2, "id", "<");
	add_bound(&args, 3, "ts", ">=");
	add_bound(&args, 4, "ts", "<=");
	if (!PG_ARGISNULL(5))
		appendStringInfo(&args.sql,
						 " AND type OPERATOR(pg_catalog.=) ANY ($%d)",
						 nvs_params_add(&args.params, TEXTARRAYOID,
										PG_GETARG_DATUM(5), false));
	appendStringInfo(&args.sql, " ORDER BY id%s", backward ? " DESC" : "");
	if (count >= 0)
		appendStringInfo(&args.sql, " LIMIT $%d",
						 nvs_params_add(&args.params, INT8OID,
										Int64GetDatum(count), false));
	plan = nvs_planset_text(place.target->plans, args.sql.data, &args.params,
							PG_ARGISNULL(5) ? CURSOR_OPT_GENERIC_PLAN : 0);
	nvs_plan_execute(plan, args.params.values, args.params.nulls, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull = false;
		Datum		record = make_record(&place, SPI_tuptable->vals[i],
										 SPI_tuptable->tupdesc,
										 CurrentMemoryContext);

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result, desc, &record, &isnull);
		pfree(DatumGetPointer(record));
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* nvent.stream_delete(subject): how many events it had. */
Datum
nvs_stream_delete(PG_FUNCTION_ARGS)
{
	NvsPlace	place;
	NvsParams	params;
	SPIPlanPtr *plan;
	uint64		deleted;

	nvs_spi_begin();
	if (!find_place(PG_GETARG_TEXT_PP(0), false, &place))
	{
		nvs_spi_end();
		PG_RETURN_INT64(0);
	}
	nvs_params_init(&params);
	nvs_route_params(&place, &params);
	plan = nvs_planset_slot(place.target->plans, PLAN_DELETE);
	if (*plan == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "DELETE FROM %s WHERE ", place.target->name);
		nvs_route_where(place.target, &sql);
		*plan = nvs_plan_prepare(sql.data, params.n, params.types,
								 CURSOR_OPT_GENERIC_PLAN);
	}
	deleted = nvs_plan_execute(*plan, params.values, params.nulls, false, 0);
	nvs_spi_end();
	PG_RETURN_INT64(deleted);
}

/* The prefix of the store that an argument names, or the default one's. */
static char *
store_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return nvs_default_store;
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* nvent.stream_create_table(type, versioned, store): true if made now. */
Datum
nvs_stream_create_table(PG_FUNCTION_ARGS)
{
	char	   *prefix = store_argument(fcinfo, 2);
	char	   *type;
	bool		created;

	NVS_REQUIRE_ARG(0, "type");
	NVS_REQUIRE_ARG(1, "versioned");
	type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	nvs_subject_validate(type, strlen(type));
	if (strchr(type, ':') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_SUBJECT),
				 errmsg("invalid stream type \"%s\"", type),
				 errdetail("A type is one token of a subject.")));
	nvs_spi_begin();
	(void) nvs_route_stream_create(prefix, type, PG_GETARG_BOOL(1), &created);
	nvs_spi_end();
	PG_RETURN_BOOL(created);
}

/* nvent.stream_drop_table(type, store): false when there was none. */
Datum
nvs_stream_drop_table(PG_FUNCTION_ARGS)
{
	char	   *prefix = store_argument(fcinfo, 1);
	bool		dropped;

	NVS_REQUIRE_ARG(0, "type");
	nvs_spi_begin();
	dropped = nvs_route_stream_drop(prefix,
									text_to_cstring(PG_GETARG_TEXT_PP(0)));
	nvs_spi_end();
	PG_RETURN_BOOL(dropped);
}
