/*
 * stream/append_many.c
 *	  Appending to several subjects at once, with what is expected of each.
 *
 * Subjects are taken in the order of their bytes wherever a call creates or
 * locks something, and events in the order in which they are written.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/stream.h"

/* An element of the argument: one subject with some of its events. */
typedef struct Entry
{
	NvsJsonbChild subject;
	NvsJsonbChild events;		/* an array; no data: none */
	bool		says;			/* it says what it expects */
	NvsExpect	expect;
	int64		expected;
	NvsAppend  *stream;
} Entry;

/* What a call does, taken from its argument. */
typedef struct Call
{
	Entry	   *entries;
	int			nentries;
	NvsAppend  *streams;		/* each subject once */
	int			nstreams;
	NvsNewEvent *events;
	int			nevents;
} Call;

PG_FUNCTION_INFO_V1(nvs_stream_append_many);

static void read_entries(const Jsonb *appends, Call *call);
static void read_entry(NvsJsonbChild value, Entry *entry);
static bool is_key(NvsJsonbChild key, const char *name);
static void read_expected(NvsJsonbChild value, Entry *entry);
static int	by_subject(const void *a, const void *b);
static void make_streams(Call *call);
static void merge_expected(NvsAppend *stream, const Entry *entry,
						   bool *says);
static void make_events(Call *call);
static void resolve_subjects(Call *call);

/*
 * nvent.stream_append_many(appends): records of all events in the order in
 * which they are written.
 */
Datum
nvs_stream_append_many(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	Call		call;
	Datum	   *records;
	int			i;

	NVS_REQUIRE_ARG(0, "appends");
	nvs_spi_begin();
	read_entries(PG_GETARG_JSONB_P(0), &call);
	make_streams(&call);
	make_events(&call);
	resolve_subjects(&call);

	/* Routes may have changed while we waited for the locks. */
	nvs_stream_lock(call.streams, call.nstreams);
	AcceptInvalidationMessages();
	resolve_subjects(&call);

	records = palloc(sizeof(Datum) * Max(call.nevents, 1));
	nvs_append(call.streams, call.nstreams, call.events, call.nevents,
			   records, CurrentMemoryContext);
	for (i = 0; i < call.nevents; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result, desc, &records[i], &isnull);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Take the argument apart, but for the events. */
static void
read_entries(const Jsonb *appends, Call *call)
{
	const JsonbContainer *jc = &appends->root;
	int			i;

	if (!JsonContainerIsArray(jc) || JsonContainerIsScalar(jc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"appends\" must be a JSON array"),
				 errhint("Write [{\"subject\": ..., \"events\": [...], "
						 "\"expected\": 3}, ...].")));
	call->nentries = JsonContainerSize(jc);
	call->entries = palloc(sizeof(Entry) * Max(call->nentries, 1));
	call->nevents = 0;
	for (i = 0; i < call->nentries; i++)
	{
		Entry	   *entry = &call->entries[i];

		read_entry(nvs_jsonb_child(jc, i), entry);
		if (entry->events.data != NULL)
			call->nevents +=
				JsonContainerSize((const JsonbContainer *) entry->events.data);
		if (call->nevents > NVS_MAX_BATCH)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many events in one call"),
					 errdetail("One call appends at most %d.",
							   NVS_MAX_BATCH)));
	}
}

/* Take one element apart. */
static void
read_entry(NvsJsonbChild value, Entry *entry)
{
	const JsonbContainer *jc = (const JsonbContainer *) value.data;
	uint32		n;
	uint32		i;

	if (!nvs_jsonb_is_object(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("each append must be a JSON object")));
	memset(entry, 0, sizeof(Entry));
	n = JsonContainerSize(jc);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);
		NvsJsonbChild field = nvs_jsonb_child(jc, n + i);

		if (is_key(key, "subject") && field.type == JENTRY_ISSTRING)
			entry->subject = field;
		else if (is_key(key, "events") && field.type == JENTRY_ISCONTAINER &&
				 !nvs_jsonb_is_object(field))
			entry->events = field;
		else if (is_key(key, "expected"))
			read_expected(field, entry);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%.*s\" of an append is not valid",
							(int) key.len, key.data),
					 errdetail("An append has \"subject\", a string, and may "
							   "have \"events\", an array, and "
							   "\"expected\".")));
	}
	if (entry->subject.data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("each append must have a field \"subject\"")));
}

/* Is a string this one? */
static bool
is_key(NvsJsonbChild key, const char *name)
{
	return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

/* A version, or a word; null is as good as nothing. */
static void
read_expected(NvsJsonbChild value, Entry *entry)
{
	if (value.type == JENTRY_ISNULL)
		return;
	entry->says = true;
	if (value.type == JENTRY_ISNUMERIC)
	{
		NvsAppend	stream;
		Datum		number = PointerGetDatum(value.data);
		Datum		whole = DirectFunctionCall1(numeric_int8, number);

		nvs_append_expect(&stream, DatumGetInt64(whole));
		entry->expect = stream.expect;
		entry->expected = stream.expected;
		whole = NumericGetDatum(int64_to_numeric(DatumGetInt64(whole)));
		if (DatumGetBool(DirectFunctionCall2(numeric_eq, number, whole)))
			return;
	}
	else if (value.type == JENTRY_ISSTRING)
	{
		if (is_key(value, "any"))
			return;
		entry->expect = is_key(value, "exists") ? NVS_EXPECT_EXISTS :
			NVS_EXPECT_VERSION;
		if (is_key(value, "exists") || is_key(value, "none"))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("field \"expected\" of an append must be a version, "
					"\"none\", \"exists\" or \"any\"")));
}

/* Order of entries by subject, then as they are written. */
static int
by_subject(const void *a, const void *b)
{
	const Entry *x = *(Entry *const *) a;
	const Entry *y = *(Entry *const *) b;
	int			cmp = memcmp(x->subject.data, y->subject.data,
							 Min(x->subject.len, y->subject.len));

	if (cmp == 0 && x->subject.len != y->subject.len)
		cmp = x->subject.len < y->subject.len ? -1 : 1;
	if (cmp == 0)
		cmp = x < y ? -1 : 1;
	return cmp;
}

/* Make a stream of all entries that have the same subject. */
static void
make_streams(Call *call)
{
	Entry	  **order = palloc(sizeof(Entry *) * Max(call->nentries, 1));
	NvsAppend  *stream = NULL;
	bool		says = false;
	int			i;

	for (i = 0; i < call->nentries; i++)
		order[i] = &call->entries[i];
	qsort(order, call->nentries, sizeof(Entry *), by_subject);
	call->streams = palloc0(sizeof(NvsAppend) * Max(call->nentries, 1));
	call->nstreams = 0;
	for (i = 0; i < call->nentries; i++)
	{
		NvsJsonbChild subject = order[i]->subject;

		if (stream == NULL || stream->resolved.len != subject.len ||
			memcmp(stream->resolved.subject, subject.data, subject.len) != 0)
		{
			stream = &call->streams[call->nstreams++];
			stream->resolved.subject = subject.data;
			stream->resolved.len = subject.len;
			says = false;
		}
		order[i]->stream = stream;
		if (order[i]->says)
			merge_expected(stream, order[i], &says);
	}
	if (call->nstreams > NVS_MAX_SUBJECTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many subjects in one call: %d", call->nstreams),
				 errdetail("One call names at most %d.", NVS_MAX_SUBJECTS)));
}

/* Entries of one subject that say what they expect must say the same. */
static void
merge_expected(NvsAppend *stream, const Entry *entry, bool *says)
{
	if (*says && (stream->expect != entry->expect ||
				  stream->expected != entry->expected))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%.*s\" is named with different "
						"expectations", stream->resolved.len,
						stream->resolved.subject)));
	stream->expect = entry->expect;
	stream->expected = entry->expected;
	*says = true;
}

/* List the events as they are written. */
static void
make_events(Call *call)
{
	NvsNewEvent *event;
	int			i;

	call->events = palloc(sizeof(NvsNewEvent) * Max(call->nevents, 1));
	event = call->events;
	for (i = 0; i < call->nentries; i++)
	{
		Entry	   *entry = &call->entries[i];
		const JsonbContainer *jc = (const JsonbContainer *) entry->events.data;
		uint32		n = jc == NULL ? 0 : JsonContainerSize(jc);
		uint32		k;

		entry->stream->nevents += n;
		for (k = 0; k < n; k++)
		{
			event->stream = entry->stream;
			event->doc = nvs_jsonb_from_child(nvs_jsonb_child(jc, k));
			event++;
		}
	}
}

/* Find the relations; tables are made only for streams that get events. */
static void
resolve_subjects(Call *call)
{
	int			i;

	for (i = 0; i < call->nstreams; i++)
	{
		NvsAppend  *stream = &call->streams[i];

		CHECK_FOR_INTERRUPTS();
		if (nvs_route_find(NVS_KIND_STREAM, stream->resolved.subject,
						   stream->resolved.len, stream->nevents > 0,
						   &stream->resolved))
			(void) nvs_stream_state(stream->resolved.target);
		else
			stream->resolved.target = NULL;
	}
}
