/*
 * stream/stream.c
 *	  Event streams: appending to one subject.
 *
 * An event is a JSON object.  Fields that the table has columns for go there,
 * all others into the column meta, so nothing that a caller sent is lost.  A
 * record is what comes back: the columns as fields, "id" as a string (it may
 * be beyond what a double holds), "subject", and "meta".
 *
 * In a table with a column version, versions are gapless per subject; see
 * stream/append.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/stream.h"

PG_FUNCTION_INFO_V1(nvs_stream_append);
PG_FUNCTION_INFO_V1(nvs_stream_append_batch);

static void append_to_one(FunctionCallInfo fcinfo, Jsonb **docs, int n,
						  Datum *records, MemoryContext cxt);

/*
 * nvent.stream_append(subject, event, expected_version): the event's record.
 */
Datum
nvs_stream_append(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	Jsonb	   *event;
	Datum		record;

	NVS_REQUIRE_ARG(0, "subject");
	NVS_REQUIRE_ARG(1, "event");
	event = PG_GETARG_JSONB_P(1);
	nvs_spi_begin();
	append_to_one(fcinfo, &event, 1, &record, cxt);
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
	append_to_one(fcinfo, events, n, records, CurrentMemoryContext);
	for (i = 0; i < n; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result, desc, &records[i], &isnull);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Append to the subject of argument 0, at the version of argument 2.  The
 * records are made in cxt.
 */
static void
append_to_one(FunctionCallInfo fcinfo, Jsonb **docs, int n, Datum *records,
			  MemoryContext cxt)
{
	NvsNewEvent one;
	NvsNewEvent *events = n <= 1 ? &one : palloc(sizeof(NvsNewEvent) * n);
	NvsAppend	stream;
	int			i;

	(void) nvs_stream_resolve(PG_GETARG_TEXT_PP(0), true, &stream.resolved);
	stream.expect = NVS_EXPECT_ANY;
	if (!PG_ARGISNULL(2))
		nvs_append_expect(&stream, PG_GETARG_INT64(2));
	stream.nevents = n;
	for (i = 0; i < n; i++)
	{
		events[i].stream = &stream;
		events[i].doc = docs[i];
	}
	nvs_stream_lock(&stream, 1);
	nvs_append(&stream, 1, events, n, records, cxt);
}
