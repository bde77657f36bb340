/*
 * stream.c
 *	  NvsEvent streams: append, read and delete by subject.
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

#include "catalog/pg_type.h"
#include "errors.h"
#include "guc.h"
#include "miscadmin.h"
#include "notify.h"
#include "stream.h"
#include "util.h"
#include "utils/array.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* Events that one call may append. */
#define NVS_MAX_BATCH	65536

PG_FUNCTION_INFO_V1(nvs_stream_append);
PG_FUNCTION_INFO_V1(nvs_stream_append_batch);

static void append_events(NvsPlace *place, Jsonb **events, int n,
						  bool expects, int64 expected, Datum *records,
						  MemoryContext cxt);
static uint64 subject_hash(const NvsTarget *target, const NvsParams *params);
static int64 lock_head(const NvsPlace *place, bool expects, int64 expected);
static void conflict(const NvsPlace *place, int64 expected, int64 actual);
static void insert_events(NvsPlace *place, NvsEvent *events, int n,
						  Datum *records, MemoryContext cxt);
static SPIPlanPtr insert_one_plan(const NvsTarget *target,
								  const NvsEvent *event, NvsParams *params);
static SPIPlanPtr insert_many_plan(const NvsTarget *target,
								   const NvsEvent *events, int n,
								   NvsParams *params);
static Datum column_array(const NvsField *field, const NvsEvent *events,
						  int n, int index);
static void announce(const NvsPlace *place, HeapTuple last, TupleDesc desc,
					 int n);

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
	(void) nvs_stream_place(PG_GETARG_TEXT_PP(0), true, &place);
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
	(void) nvs_stream_place(PG_GETARG_TEXT_PP(0), true, &place);
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
	NvsStreamState *state = nvs_stream_state(place->target);
	NvsEvent   *events = palloc(sizeof(NvsEvent) * Max(n, 1));
	int64		head = 0;
	bool		alike = !state->one_by_one;
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
		nvs_event_parse(place, state, docs[i], head + i + 1, &events[i]);
		alike = alike && nvs_event_alike(place->target, &events[0],
										 &events[i]);
	}
	if (alike)
		insert_events(place, events, n, records, cxt);
	else
		for (i = 0; i < n; i++)
			insert_events(place, &events[i], 1, &records[i], cxt);
}

/*
 * Hash of what tells a subject's rows from others, which is not its text when
 * a column has another type than text: a UUID may be written in two ways.
 */
static uint64
subject_hash(const NvsTarget *target, const NvsParams *params)
{
	uint64		hash = target->relid;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		const NvsKey *key = &target->keys[i];

		if (!key->filters)
			continue;
		if (key->field->kind == NVS_FIELD_TEXT)
		{
			text	   *t = DatumGetTextPP(params->values[i]);

			hash = nvs_hash(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), hash);
		}
		else
		{
			Oid			output;
			bool		varlena;
			char	   *s;

			getTypeOutputInfo(key->field->type, &output, &varlena);
			s = OidOutputFunctionCall(output, params->values[i]);
			hash = nvs_hash(s, strlen(s), hash);
		}
	}
	return hash;
}

/*
 * Lock a subject until the end of the transaction and return its last
 * version, 0 when it has no event.
 */
static int64
lock_head(const NvsPlace *place, bool expects, int64 expected)
{
	NvsTarget  *target = place->target;
	SPIPlanPtr *plan = nvs_planset_slot(target->plans, NVS_STREAM_PLAN_HEAD);
	NvsParams	params;
	int64		head = 0;

	if (expected < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected version must not be negative"),
				 errdetail("It is %lld.", (long long) expected),
				 errhint("Pass 0 for a stream without events, NULL for any "
						 "version.")));
	PreventCommandIfReadOnly("nvent.stream_append()");
	nvs_params_init(&params);
	nvs_route_params(place, &params);
	nvs_lock(NVS_LOCK_SUBJECT, subject_hash(target, &params), ExclusiveLock);

	if (*plan == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT version::pg_catalog.int8 FROM %s "
						 "WHERE ", target->name);
		nvs_route_where(target, &sql);
		appendStringInfoString(&sql, " AND version IS NOT NULL "
							   "ORDER BY version DESC LIMIT 1");
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

/*
 * Is a column named in the INSERT of these events?  All are that the caller
 * could give, so that the statement is the same for most events; only what
 * has a default must be left out to get it.
 */
static bool
inserts_column(const NvsTarget *target, const NvsEvent *event, int i)
{
	const NvsStreamState *state = target->state;
	const NvsField *field = &target->map->fields[i];

	if (event->given[i])
		return true;
	return !field->has_default && (!field->reserved || field == state->meta);
}

/* Insert events by one statement, make their records and announce them. */
static void
insert_events(NvsPlace *place, NvsEvent *events, int n, Datum *records,
			  MemoryContext cxt)
{
	NvsTarget  *target = place->target;
	NvsParams	params;
	SPIPlanPtr	plan;
	int			i;

	if (n == 0)
		return;
	nvs_params_init(&params);
	if (n == 1)
		plan = insert_one_plan(target, &events[0], &params);
	else
		plan = insert_many_plan(target, events, n, &params);
	if (nvs_plan_execute(plan, params.values, params.nulls, false, 0) != n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event", target->name),
				 errdetail("A trigger or rule kept rows out.")));
	for (i = 0; i < n; i++)
		records[i] = nvs_event_record(place, SPI_tuptable->vals[i],
									  SPI_tuptable->tupdesc, cxt);
	announce(place, SPI_tuptable->vals[n - 1], SPI_tuptable->tupdesc, n);
}

/*
 * INSERT of one event: a parameter for each column.  The text is the same for
 * all events that leave every default to the table, which most do.
 */
static SPIPlanPtr
insert_one_plan(const NvsTarget *target, const NvsEvent *event,
				NvsParams *params)
{
	const NvsStreamState *state = target->state;
	const NvsFieldMap *map = target->map;
	SPIPlanPtr *slot = nvs_planset_slot(target->plans,
										NVS_STREAM_PLAN_INSERT);
	bool		common = true;
	StringInfoData columns;
	StringInfoData values;
	char	   *sql;
	int			i;

	for (i = 0; i < map->nfields; i++)
	{
		if (!inserts_column(target, event, i))
			continue;
		nvs_params_add(params, map->fields[i].type, event->values[i],
					   event->nulls[i]);
		common = common && !map->fields[i].has_default;
	}
	if (common && *slot != NULL)
		return *slot;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (i = 0; i < map->nfields; i++)
		if (inserts_column(target, event, i))
			appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
							 map->fields[i].quoted);
	for (i = 1; i <= params->n; i++)
		appendStringInfo(&values, "%s$%d", i > 1 ? ", " : "", i);
	sql = psprintf("INSERT INTO %s (%s) VALUES (%s) RETURNING %s",
				   target->name, columns.data, values.data,
				   state->read_list);
	if (!common)
		return nvs_planset_text(target->plans, sql, params,
								CURSOR_OPT_GENERIC_PLAN);
	*slot = nvs_plan_prepare(sql, params->n, params->types,
							 CURSOR_OPT_GENERIC_PLAN);
	return *slot;
}

/* INSERT of many: a parameter that is an array for each column. */
static SPIPlanPtr
insert_many_plan(const NvsTarget *target, const NvsEvent *events, int n,
				 NvsParams *params)
{
	const NvsStreamState *state = target->state;
	StringInfoData sql;
	StringInfoData from;
	int			i;

	initStringInfo(&sql);
	initStringInfo(&from);
	appendStringInfo(&sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const char *comma = params->n > 0 ? ", " : "";
		int			p;

		if (!inserts_column(target, &events[0], i))
			continue;
		p = nvs_params_add(params, get_array_type(field->type),
						   column_array(field, events, n, i), false);
		appendStringInfo(&sql, "%s%s", comma, field->quoted);
		appendStringInfo(&from, "%spg_catalog.unnest($%d)", comma, p);
	}
	/* unnest() keeps the order, and the position is drawn row by row. */
	appendStringInfo(&sql, ") SELECT * FROM ROWS FROM (%s) u RETURNING %s",
					 from.data, state->read_list);
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
}

/* One column's values of all events. */
static Datum
column_array(const NvsField *field, const NvsEvent *events, int n, int index)
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

/* Tell listeners of the events of one statement. */
static void
announce(const NvsPlace *place, HeapTuple last, TupleDesc desc, int n)
{
	nvs_notify_append(nvs_notify_mode(place->target->notify),
					  place->target->store->channel, place->subject,
					  place->len, nvs_event_position(place, last, desc), n);
}
