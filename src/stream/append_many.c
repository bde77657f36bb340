/*
 * stream/append_many.c
 *	  Appending to several subjects at once, with what is expected of each.
 *
 * Subjects are taken in the order of their bytes wherever a call creates or
 * locks something, and events in the order in which they are written.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "errors.h"
#include "base/arg.h"
#include "stream/append.h"

/* An element of the argument: one subject with some of its events. */
typedef struct ManyEntry
{
	NvsJsonbChild subject;
	NvsJsonbChild events;		/* an array; no data: none */
	bool		has_expected;	/* it says what it expects */
	NvsExpect	expect;
	int64		expected;
	NvsAppend  *stream;
} ManyEntry;

/* What a call does, taken from its argument. */
typedef struct ManyCall
{
	ManyEntry  *entries;
	int			nentries;
	NvsAppend  *streams;		/* each subject once */
	int			nstreams;
	NvsNewEvent *events;
	int			nevents;
} ManyCall;

PG_FUNCTION_INFO_V1(nvs_stream_append_many);

static void many_read_entries(const Jsonb *appends, ManyCall *call);
static void many_read_entry(NvsJsonbChild value, ManyEntry *entry);
static bool many_read_field(NvsJsonbChild key, NvsJsonbChild field,
							ManyEntry *entry);
static void many_read_expected(NvsJsonbChild value, ManyEntry *entry);
static bool many_read_version(NvsJsonbChild value, ManyEntry *entry);
static bool many_read_word(NvsJsonbChild value, ManyEntry *entry);
static int	many_compare(const void *a, const void *b);
static void many_make_streams(ManyCall *call);
static void many_merge_expected(NvsAppend *stream, const ManyEntry *entry,
								bool *has_expected);
static void many_make_events(ManyCall *call);

/*
 * nvent.stream_append_many(appends): records of all events in the order in
 * which they are written.
 */
Datum
nvs_stream_append_many(PG_FUNCTION_ARGS)
{
	NvsRecords	records;
	ManyCall	call;

	nvs_records_set(&records, fcinfo);
	NVS_REQUIRE_ARG(0, "appends");
	nvs_spi_begin();
	many_read_entries(PG_GETARG_JSONB_P(0), &call);
	many_make_streams(&call);
	many_make_events(&call);
	nvs_stream_lock(call.streams, call.nstreams, true);
	nvs_append_events(call.streams, call.nstreams, call.events, call.nevents,
					  &records);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Take the argument apart, but for the events; what is made is in the current
 * memory context.
 */
static void
many_read_entries(const Jsonb *appends, ManyCall *call)
{
	const JsonbContainer *jc = &appends->root;
	int			i;

	if (!JsonContainerIsArray(jc) || JsonContainerIsScalar(jc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"appends\" must be a JSON array"),
				 errhint("Write [{\"subject\": ..., \"events\": [...], "
						 "\"expected\": 3}, ...].")));

	/* They point into the argument, which is there until the call ends. */
	call->nentries = JsonContainerSize(jc);
	call->entries = palloc0(sizeof(ManyEntry) * Max(call->nentries, 1));
	call->nevents = 0;
	for (i = 0; i < call->nentries; i++)
	{
		ManyEntry  *entry = &call->entries[i];

		CHECK_FOR_INTERRUPTS();
		many_read_entry(nvs_jsonb_child(jc, i), entry);

		/*
		 * How many events there are is bounded before any of them is taken
		 * apart.
		 */
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

/* Take one element apart, into an entry of zeros. */
static void
many_read_entry(NvsJsonbChild value, ManyEntry *entry)
{
	const JsonbContainer *jc = (const JsonbContainer *) value.data;
	uint32		n;
	uint32		i;

	if (!nvs_jsonb_is_object(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("each append must be a JSON object")));

	/*
	 * A field that we do not know is a mistake, as a misspelt "expected"
	 * would check nothing.
	 */
	n = JsonContainerSize(jc);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);

		if (!many_read_field(key, nvs_jsonb_child(jc, n + i), entry))
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

/* Take a field of an element; false when it is none that we know. */
static bool
many_read_field(NvsJsonbChild key, NvsJsonbChild field, ManyEntry *entry)
{
	if (nvs_event_key_is(key, "subject") && field.type == JENTRY_ISSTRING)
		entry->subject = field;
	else if (nvs_event_key_is(key, "events") &&
			 field.type == JENTRY_ISCONTAINER && !nvs_jsonb_is_object(field))
		entry->events = field;
	else if (nvs_event_key_is(key, "expected"))
		many_read_expected(field, entry);
	else
		return false;
	return true;
}

/* Take what is expected: a version or a word; null expects nothing. */
static void
many_read_expected(NvsJsonbChild value, ManyEntry *entry)
{
	if (value.type == JENTRY_ISNULL)
		return;
	entry->has_expected = true;
	if (!many_read_version(value, entry) && !many_read_word(value, entry))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"expected\" of an append must be a version, "
						"\"none\", \"exists\" or \"any\"")));
}

/* Take a version; false for what is no whole number. */
static bool
many_read_version(NvsJsonbChild value, ManyEntry *entry)
{
	NvsAppend	stream;
	int64		version;

	if (value.type != JENTRY_ISNUMERIC ||
		!nvs_numeric_whole(PointerGetDatum(value.data), &version))
		return false;
	nvs_append_expect(&stream, version);
	entry->expect = stream.expect;
	entry->expected = stream.expected;
	return true;
}

/* Take a word; false for one that we do not know. */
static bool
many_read_word(NvsJsonbChild value, ManyEntry *entry)
{
	if (value.type != JENTRY_ISSTRING)
		return false;
	if (nvs_event_key_is(value, "any"))
		entry->expect = NVS_EXPECT_ANY;
	else if (nvs_event_key_is(value, "exists"))
		entry->expect = NVS_EXPECT_EXISTS;
	else if (nvs_event_key_is(value, "none"))
		entry->expect = NVS_EXPECT_VERSION;
	else
		return false;
	return true;
}

/* For qsort(): entries by subject, then as they are written. */
static int
many_compare(const void *a, const void *b)
{
	const ManyEntry *x = *(ManyEntry *const *) a;
	const ManyEntry *y = *(ManyEntry *const *) b;
	int			cmp = memcmp(x->subject.data, y->subject.data,
							 Min(x->subject.len, y->subject.len));

	CHECK_FOR_INTERRUPTS();
	if (cmp == 0 && x->subject.len != y->subject.len)
		cmp = x->subject.len < y->subject.len ? -1 : 1;
	if (cmp == 0)
		cmp = x < y ? -1 : 1;
	return cmp;
}

/*
 * Make a stream of all entries that have the same subject.  Raises an error
 * when they expect different things, or are of too many subjects.
 */
static void
many_make_streams(ManyCall *call)
{
	ManyEntry **order = palloc(sizeof(ManyEntry *) * Max(call->nentries, 1));
	NvsAppend  *stream = NULL;
	bool		has_expected = false;
	int			i;

	/* In the order of subjects those of one are side by side. */
	for (i = 0; i < call->nentries; i++)
		order[i] = &call->entries[i];
	qsort(order, call->nentries, sizeof(ManyEntry *), many_compare);

	/* Each new subject is a stream; its entries have to expect the same. */
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
			has_expected = false;
		}
		order[i]->stream = stream;
		if (order[i]->has_expected)
			many_merge_expected(stream, order[i], &has_expected);
	}

	if (call->nstreams > NVS_MAX_SUBJECTS)
		nvs_append_too_many_subjects(call->nstreams);
}

/*
 * Have a stream expect what an entry says.  Raises an error when another
 * entry of the subject (*has_expected) says something else.
 */
static void
many_merge_expected(NvsAppend *stream, const ManyEntry *entry,
					bool *has_expected)
{
	if (*has_expected && (stream->expect != entry->expect ||
						  stream->expected != entry->expected))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("subject \"%.*s\" is named with different "
						"expectations", stream->resolved.len,
						stream->resolved.subject)));
	stream->expect = entry->expect;
	stream->expected = entry->expected;
	*has_expected = true;
}

/* List the events as they are written, and count those of each stream. */
static void
many_make_events(ManyCall *call)
{
	NvsNewEvent *event;
	int			i;

	call->events = palloc(sizeof(NvsNewEvent) * Max(call->nevents, 1));
	event = call->events;
	for (i = 0; i < call->nentries; i++)
	{
		ManyEntry  *entry = &call->entries[i];
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
