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

#include "miscadmin.h"
#include "utils/json.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/append.h"

/* Arguments of stream_append() and stream_append_batch(). */
enum
{
	ARG_SUBJECT,
	ARG_EVENTS,					/* one, or an array of them */
	ARG_EXPECTED
};

PG_FUNCTION_INFO_V1(nvs_stream_append);
PG_FUNCTION_INFO_V1(nvs_stream_append_batch);

static void append_to_one(FunctionCallInfo fcinfo, Jsonb **docs, int n,
						  NvsRecords *records);
static void append_check_versioned(const NvsAppend *streams, int n);
static void append_parse(NvsAppend *streams, int nstreams,
						 NvsNewEvent *events, int n);
static void append_check_open(const NvsAppend *streams, int n);
static bool append_is_expected(const NvsAppend *stream);
static void append_check_expected(const NvsAppend *streams, int n);
static int	append_compare(const NvsAppend *a, const NvsAppend *b);
static char *append_conflict_json(const NvsAppend *streams, int n,
								  const NvsAppend *first, int nconflicts);
static void append_conflict_fields(StringInfo json, const NvsAppend *stream);

/*
 * nvent.stream_append(subject, event, expected_version): the event's record.
 */
Datum
nvs_stream_append(PG_FUNCTION_ARGS)
{
	NvsRecords	records;
	Jsonb	   *event;

	NVS_REQUIRE_ARG(ARG_SUBJECT, "subject");
	NVS_REQUIRE_ARG(ARG_EVENTS, "event");
	event = PG_GETARG_JSONB_P(ARG_EVENTS);
	nvs_records_one(&records);
	nvs_spi_begin();
	append_to_one(fcinfo, &event, 1, &records);
	nvs_spi_end();
	PG_RETURN_DATUM(records.record);
}

/*
 * nvent.stream_append_batch(subject, events, expected_version): records in
 * the order of the events; all of them are appended or none.
 */
Datum
nvs_stream_append_batch(PG_FUNCTION_ARGS)
{
	NvsRecords	records;
	Jsonb	  **events;
	int			n;

	nvs_records_set(&records, fcinfo);
	NVS_REQUIRE_ARG(ARG_SUBJECT, "subject");
	NVS_REQUIRE_ARG(ARG_EVENTS, "events");
	events = nvs_event_array(fcinfo, ARG_EVENTS, &n);
	if (n > NVS_MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many events in one call: %d", n),
				 errdetail("One call appends at most %d.", NVS_MAX_BATCH)));
	nvs_spi_begin();
	append_to_one(fcinfo, events, n, &records);
	nvs_spi_end();
	return (Datum) 0;
}

/* Append to the subject of the arguments, and make the records. */
static void
append_to_one(FunctionCallInfo fcinfo, Jsonb **docs, int n,
			  NvsRecords *records)
{
	NvsNewEvent one;
	NvsNewEvent *events = n <= 1 ? &one : palloc(sizeof(NvsNewEvent) * n);
	NvsAppend	stream;
	int			i;

	nvs_stream_name(fcinfo, ARG_SUBJECT, &stream);
	stream.expect = NVS_EXPECT_ANY;
	if (!PG_ARGISNULL(ARG_EXPECTED))
		nvs_append_expect(&stream, PG_GETARG_INT64(ARG_EXPECTED));
	stream.nevents = n;
	for (i = 0; i < n; i++)
	{
		events[i].stream = &stream;
		events[i].doc = docs[i];
	}
	nvs_stream_lock(&stream, 1, true);
	nvs_append_events(&stream, 1, events, n, records);
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
 * their records, in the order of the events.
 */
void
nvs_append_events(NvsAppend *streams, int nstreams, NvsNewEvent *events,
				  int nevents, NvsRecords *records)
{
	append_check_versioned(streams, nstreams);
	nvs_stream_heads(streams, nstreams);
	append_parse(streams, nstreams, events, nevents);

	/* A repeated call comes first: its expectations were met long ago. */
	if (nvs_event_id_find(events, nevents, records))
		return;
	append_check_expected(streams, nstreams);
	append_check_open(streams, nstreams);
	records->bound = nvs_bound_begin(streams, nstreams);
	if (nvs_stream_insert(events, nevents, records))
	{
		if (records->bound != NULL)
			nvs_bound_send(records->bound);
	}
	else if (!nvs_event_id_find(events, nevents, records))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event",
						events[0].stream->resolved.target->name),
				 errdetail("A trigger or rule kept rows out.")));
}

/* Raise an error when a version is expected where there are none. */
static void
append_check_versioned(const NvsAppend *streams, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		const NvsResolved *resolved = &streams[i].resolved;

		if (streams[i].expect != NVS_EXPECT_ANY && resolved->target != NULL &&
			nvs_stream_state(resolved->target)->version == NULL)
			nvs_stream_unversioned(resolved);
	}
}

/*
 * Take the events apart and number them, in a memory context for many of what
 * is never freed one by one.
 */
static void
append_parse(NvsAppend *streams, int nstreams, NvsNewEvent *events, int n)
{
	int64	   *next = palloc(sizeof(int64) * nstreams);
	Datum	  **keys = palloc0(sizeof(Datum *) * nstreams);
	MemoryContext old = CurrentMemoryContext;
	int			i;

	for (i = 0; i < nstreams; i++)
		next[i] = streams[i].head + 1;
	if (n > 1)
		MemoryContextSwitchTo(GenerationContextCreate(old,
													  "nvent_store events",
													  ALLOCSET_DEFAULT_SIZES));
	for (i = 0; i < n; i++)
	{
		NvsAppend  *stream = events[i].stream;
		int			k = stream - streams;

		CHECK_FOR_INTERRUPTS();
		if (keys[k] == NULL)
			keys[k] = nvs_event_keys(&stream->resolved);
		nvs_event_parse(&stream->resolved, keys[k], events[i].doc, next[k]++,
						&events[i].event);
	}
	MemoryContextSwitchTo(old);
	pfree(next);
	pfree(keys);
}

/* Raise an error when events are for a stream that was closed. */
static void
append_check_open(const NvsAppend *streams, int n)
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
append_is_expected(const NvsAppend *stream)
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
append_check_expected(const NvsAppend *streams, int n)
{
	const NvsAppend *first = NULL;
	int			nconflicts = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (append_is_expected(&streams[i]))
			continue;
		nconflicts++;
		if (first == NULL || append_compare(&streams[i], first) < 0)
			first = &streams[i];
	}
	if (nconflicts > 0)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_VERSION_CONFLICT),
				 errmsg("stream \"%.*s\" is not at the expected version",
						first->resolved.len, first->resolved.subject),
				 errdetail_internal("%s", append_conflict_json(streams, n,
															   first,
															   nconflicts)),
				 errhint("Read the stream again and retry.")));
}

/* Order of subjects by their bytes. */
static int
append_compare(const NvsAppend *a, const NvsAppend *b)
{
	int			len = Min(a->resolved.len, b->resolved.len);
	int			cmp = memcmp(a->resolved.subject, b->resolved.subject, len);

	return cmp != 0 ? cmp : a->resolved.len - b->resolved.len;
}

/*
 * A conflict as the JSON object of a DETAIL: the first stream, and when there
 * are more a list of all.
 */
static char *
append_conflict_json(const NvsAppend *streams, int n, const NvsAppend *first,
					 int nconflicts)
{
	const char *comma = "";
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	append_conflict_fields(&json, first);
	if (nconflicts > 1)
	{
		appendStringInfoString(&json, ", \"conflicts\": [");
		for (i = 0; i < n; i++)
		{
			if (append_is_expected(&streams[i]))
				continue;
			appendStringInfoString(&json, comma);
			append_conflict_fields(&json, &streams[i]);
			appendStringInfoChar(&json, '}');
			comma = ", ";
		}
		appendStringInfoChar(&json, ']');
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Begin a JSON object with what is known of a conflict. */
static void
append_conflict_fields(StringInfo json, const NvsAppend *stream)
{
	appendStringInfoString(json, "{\"subject\": ");
	escape_json(json, pnstrdup(stream->resolved.subject,
							   stream->resolved.len));
	if (stream->expect == NVS_EXPECT_EXISTS)
		appendStringInfoString(json, ", \"expected\": \"exists\"");
	else
		appendStringInfo(json, ", \"expected\": " INT64_FORMAT,
						 stream->expected);
	appendStringInfo(json, ", \"actual\": " INT64_FORMAT, stream->head);
}

/* Report that a call names more subjects than one call may. */
void
nvs_append_too_many_subjects(int n)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many subjects in one call: %d", n),
			 errdetail("One call names at most %d.", NVS_MAX_SUBJECTS)));
}
