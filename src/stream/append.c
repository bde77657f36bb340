/*
 * stream/append.c
 *	  Appending events to one or more streams: all of them or none.
 *
 * Versions are gapless per subject.  An append locks its subjects until it
 * commits, then looks for their last versions, compares them with what the
 * caller expects, and draws positions only after that, so that version order
 * is position order.  A stream that is only looked at is held as it was until
 * the commit.
 *
 * Here are the functions for one subject; for several see
 * stream/append_many.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/json.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/stream.h"

PG_FUNCTION_INFO_V1(nvs_stream_append);
PG_FUNCTION_INFO_V1(nvs_stream_append_batch);

static void append_to_one(FunctionCallInfo fcinfo, Jsonb **docs, int n,
						  Datum *records, MemoryContext cxt);
static void parse_events(NvsAppend *streams, int nstreams,
						 NvsNewEvent *events, int n);
static void check_plain_logs(const NvsAppend *streams, int n);
static void check_open(const NvsAppend *streams, int n);
static bool as_expected(const NvsAppend *stream);
static void check_expected(const NvsAppend *streams, int n);
static void describe(StringInfo detail, const NvsAppend *stream);
static int	compare_subjects(const NvsAppend *a, const NvsAppend *b);

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

/* Take an expected version as functions have it: 0 or a version. */
void
nvs_append_expect(NvsAppend *stream, int64 expected)
{
	if (expected < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected version must not be negative"),
				 errdetail("It is %lld.", (long long) expected),
				 errhint("Pass 0 for a stream without events, NULL for any "
						 "version.")));
	stream->expect = NVS_EXPECT_VERSION;
	stream->expected = expected;
}

/*
 * Append events to their locked streams, each of another subject, and make
 * their records in cxt, in the order of the events.
 */
void
nvs_append(NvsAppend *streams, int nstreams, NvsNewEvent *events, int nevents,
		   Datum *records, MemoryContext cxt)
{
	check_plain_logs(streams, nstreams);
	nvs_stream_heads(streams, nstreams);
	parse_events(streams, nstreams, events, nevents);

	/* A repeated call comes first: its expectations were met long ago. */
	if (nvs_known_events(events, nevents, records, cxt))
		return;
	check_open(streams, nstreams);
	check_expected(streams, nstreams);
	if (!nvs_insert_events(events, nevents, records, cxt) &&
		!nvs_known_events(events, nevents, records, cxt))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event",
						events[0].stream->resolved.target->name),
				 errdetail("A trigger or rule kept rows out.")));
}

/* Take the events apart and number them. */
static void
parse_events(NvsAppend *streams, int nstreams, NvsNewEvent *events, int n)
{
	int64	   *next = palloc(sizeof(int64) * nstreams);
	int			i;

	for (i = 0; i < nstreams; i++)
		next[i] = streams[i].head + 1;
	for (i = 0; i < n; i++)
	{
		NvsAppend  *stream = events[i].stream;

		CHECK_FOR_INTERRUPTS();
		nvs_event_parse(&stream->resolved, stream->resolved.target->state,
						events[i].doc, next[stream - streams]++,
						&events[i].event);
	}
	pfree(next);
}

/* Raise an error when a version is expected where there are none. */
static void
check_plain_logs(const NvsAppend *streams, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		const NvsResolved *resolved = &streams[i].resolved;

		if (streams[i].expect == NVS_EXPECT_ANY || resolved->target == NULL ||
			nvs_stream_state(resolved->target)->version != NULL)
			continue;
		nvs_stream_unversioned(resolved);
	}
}

/* Raise an error when events are for a stream that was closed. */
static void
check_open(const NvsAppend *streams, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (streams[i].closed && streams[i].nevents > 0)
			ereport(ERROR,
					(errcode(ERRCODE_NVS_STREAM_CLOSED),
					 errmsg("stream \"%.*s\" is closed",
							streams[i].resolved.len,
							streams[i].resolved.subject),
					 errdetail("Its last event, version %lld, is of type "
							   "\"" NVS_TYPE_TOMBSTONE "\".",
							   (long long) streams[i].head)));
}

/* Is a stream as its caller expects? */
static bool
as_expected(const NvsAppend *stream)
{
	switch (stream->expect)
	{
		case NVS_EXPECT_ANY:
			return true;
		case NVS_EXPECT_VERSION:
			return stream->head == stream->expected;
		case NVS_EXPECT_EXISTS:
			return stream->head > 0;
	}
	return false;
}

/*
 * Raise an error unless all streams are as expected.  It names the first in
 * the order of bytes, and all of them when there are more.
 */
static void
check_expected(const NvsAppend *streams, int n)
{
	const NvsAppend *first = NULL;
	int			nconflicts = 0;
	StringInfoData detail;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (as_expected(&streams[i]))
			continue;
		nconflicts++;
		if (first == NULL || compare_subjects(&streams[i], first) < 0)
			first = &streams[i];
	}
	if (nconflicts == 0)
		return;
	initStringInfo(&detail);
	describe(&detail, first);
	if (nconflicts > 1)
	{
		detail.data[--detail.len] = '\0';
		appendStringInfoString(&detail, ", \"conflicts\": [");
		for (i = 0; i < n; i++)
		{
			if (as_expected(&streams[i]))
				continue;
			describe(&detail, &streams[i]);
			if (--nconflicts > 0)
				appendStringInfoString(&detail, ", ");
		}
		appendStringInfoString(&detail, "]}");
	}
	ereport(ERROR,
			(errcode(ERRCODE_NVS_VERSION_CONFLICT),
			 errmsg("stream \"%.*s\" is not at the expected version",
					first->resolved.len, first->resolved.subject),
			 errdetail_internal("%s", detail.data),
			 errhint("Read the stream again and retry.")));
}

/* A conflict as a JSON object. */
static void
describe(StringInfo detail, const NvsAppend *stream)
{
	appendStringInfoString(detail, "{\"subject\": ");
	escape_json(detail, pnstrdup(stream->resolved.subject,
								 stream->resolved.len));
	if (stream->expect == NVS_EXPECT_EXISTS)
		appendStringInfoString(detail, ", \"expected\": \"exists\"");
	else
		appendStringInfo(detail, ", \"expected\": " INT64_FORMAT,
						 stream->expected);
	appendStringInfo(detail, ", \"actual\": " INT64_FORMAT "}", stream->head);
}

/* Order of subjects by their bytes. */
static int
compare_subjects(const NvsAppend *a, const NvsAppend *b)
{
	int			len = Min(a->resolved.len, b->resolved.len);
	int			cmp = memcmp(a->resolved.subject, b->resolved.subject, len);

	return cmp != 0 ? cmp : a->resolved.len - b->resolved.len;
}
