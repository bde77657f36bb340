/*
 * stream/restore.c
 *	  Taking events in as they were elsewhere, and emptying a store for that.
 *
 * Restored events keep their subject, version, time and content; positions
 * are drawn anew, in the order of the array.  Only who administers a store may.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "store/grant.h"
#include "stream/append.h"
#include "stream/write.h"

/* A subject of the call. */
typedef struct RestoreStream
{
	char		subject[NVS_SUBJECT_MAX_BYTES + 1]; /* hash key */
	NvsAppend  *stream;
	int64		version;		/* of the last event so far */
} RestoreStream;

PG_FUNCTION_INFO_V1(nvs_stream_restore);
PG_FUNCTION_INFO_V1(nvs_stream_clear);

static NvsNewEvent *restore_make_events(Jsonb **docs, int n);
static RestoreStream **restore_make_streams(Jsonb **docs, int n);
static HTAB *restore_create_table(void);
static void restore_lock_streams(NvsAppend *streams, int n);
static NvsJsonbChild restore_subject(const Jsonb *doc);
static int64 restore_version(const RestoreStream *r, const Jsonb *doc);
static Jsonb *restore_content(const Jsonb *doc);
static uint64 clear_table(NvsTarget *target);

/* All events of a table. */
static const NvsStatement clear_events = {"DELETE FROM {table}"};

/* nvent.stream_restore(events): the new records, in the same order. */
Datum
nvs_stream_restore(PG_FUNCTION_ARGS)
{
	NvsRecords	records;
	Jsonb	  **docs;
	int			n;
	int			i;

	nvs_records_set(&records, fcinfo);
	NVS_REQUIRE_ARG(0, "events");
	PreventCommandIfReadOnly("nvent.stream_restore()");
	docs = nvs_event_array(fcinfo, 0, &n);
	for (i = 0; i < n; i++)
		nvs_event_check(docs[i]);
	nvs_spi_begin();
	if (!nvs_stream_insert(restore_make_events(docs, n), n, &records))
		nvs_event_id_taken(n, n);
	nvs_spi_end();
	return (Datum) 0;
}

/* The events of a call, whose streams are locked, with their versions. */
static NvsNewEvent *
restore_make_events(Jsonb **docs, int n)
{
	RestoreStream **of = restore_make_streams(docs, n);
	NvsNewEvent *events = palloc(sizeof(NvsNewEvent) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsAppend  *stream = of[i]->stream;

		CHECK_FOR_INTERRUPTS();
		of[i]->version = restore_version(of[i], docs[i]);
		events[i].stream = stream;
		events[i].doc = restore_content(docs[i]);
		nvs_event_parse(&stream->resolved, nvs_event_keys(&stream->resolved),
						events[i].doc, of[i]->version, &events[i].event);
	}
	return events;
}

/*
 * The stream of each event; each subject is there once, is locked until the
 * end of the transaction, and has the version of its head.
 */
static RestoreStream **
restore_make_streams(Jsonb **docs, int n)
{
	RestoreStream **of = palloc(sizeof(RestoreStream *) * Max(n, 1));
	NvsAppend  *streams = palloc0(sizeof(NvsAppend) * Max(n, 1));
	HTAB	   *subjects = restore_create_table();
	int			nstreams = 0;
	int			i;

	/* Each subject once, and by who may administer its store. */
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild subject = restore_subject(docs[i]);
		char		key[NVS_SUBJECT_MAX_BYTES + 1];
		bool		found;

		CHECK_FOR_INTERRUPTS();
		nvs_subject_validate(subject.data, subject.len);
		memcpy(key, subject.data, subject.len);
		key[subject.len] = '\0';
		of[i] = hash_search(subjects, key, HASH_ENTER, &found);
		if (found)
			continue;
		of[i]->stream = &streams[nstreams++];
		of[i]->stream->resolved.subject = subject.data;
		of[i]->stream->resolved.len = subject.len;
		of[i]->stream->nevents = 1;
		nvs_store_check_admin(nvs_store_of_write(subject.data, subject.len));
	}

	/* All subjects are locked together, in the order that all appends have. */
	restore_lock_streams(streams, nstreams);
	for (i = 0; i < n; i++)
		of[i]->version = of[i]->stream->head;
	return of;
}

/* An empty hash table of RestoreStream. */
static HTAB *
restore_create_table(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NVS_SUBJECT_MAX_BYTES + 1;
	ctl.entrysize = sizeof(RestoreStream);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("nvent_store restored subjects", 64, &ctl,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* Lock the streams of a call and read their heads. */
static void
restore_lock_streams(NvsAppend *streams, int n)
{
	if (n > NVS_MAX_SUBJECTS)
		nvs_append_too_many_subjects(n);
	nvs_stream_lock(streams, n, true);
	nvs_stream_heads(streams, n);
}

/* The field "subject" of an event. */
static NvsJsonbChild
restore_subject(const Jsonb *doc)
{
	NvsJsonbChild subject;

	if (!nvs_jsonb_get(&doc->root, NVS_KEY("subject"), &subject) ||
		subject.type != JENTRY_ISSTRING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event to restore must have a field \"subject\"")));
	return subject;
}

/*
 * The version of an event: the one after the last, or any higher one that it
 * says, as events may be missing where it is from.
 */
static int64
restore_version(const RestoreStream *r, const Jsonb *doc)
{
	NvsJsonbChild value;
	int64		version;

	if (!nvs_jsonb_get(&doc->root, NVS_KEY("version"), &value) ||
		value.type == JENTRY_ISNULL)
		return r->version + 1;
	if (value.type != JENTRY_ISNUMERIC ||
		!nvs_numeric_whole(PointerGetDatum(value.data), &version))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version of an event of stream \"%s\" must be a whole "
						"number", r->subject)));
	if (version <= r->version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version of an event of stream \"%s\" is out of "
						"order", r->subject),
				 errdetail("It must be above %lld, the last one.",
						   (long long) r->version)));
	return version;
}

/* An event without what the store gives it. */
static Jsonb *
restore_content(const Jsonb *doc)
{
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	NvsJsonb	content;
	uint32		i;

	nvs_jsonb_init(&content);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);

		if (!nvs_event_key_is(key, "id") &&
			!nvs_event_key_is(key, "version") &&
			!nvs_event_key_is(key, "subject"))
			nvs_jsonb_add_child(&content, key.data, key.len,
								nvs_jsonb_child(jc, n + i));
	}
	return nvs_jsonb_finish(&content);
}

/* nvent.stream_clear(store): how many events there were. */
Datum
nvs_stream_clear(PG_FUNCTION_ARGS)
{
	char	   *prefix = PG_ARGISNULL(0) ? nvs_default_store :
		text_to_cstring(PG_GETARG_TEXT_PP(0));
	NvsStore   *store;
	ListCell   *lc;
	uint64		deleted = 0;

	PreventCommandIfReadOnly("nvent.stream_clear()");
	nvs_spi_begin();
	store = nvs_store_require(prefix);
	nvs_store_check_admin(store);
	foreach(lc, nvs_route_targets(NVS_KIND_STREAM, store,
								  NVS_USE_CHANGE, true))
	{
		/* Tables that routes name are their users' own. */
		if (nvs_target_pattern(lfirst(lc)) == NULL)
			deleted += clear_table(lfirst(lc));
	}
	foreach(lc, nvs_route_targets(NVS_KIND_SNAPSHOT, store,
								  NVS_USE_CHANGE, true))
		(void) clear_table(lfirst(lc));
	nvs_spi_end();
	PG_RETURN_INT64((int64) deleted);
}

/* Delete all rows of a table; waits for who is writing to it. */
static uint64
clear_table(NvsTarget *target)
{
	SPIPlanPtr	plan;

	/* First of all: preparing the statement takes a weaker lock. */
	nvs_plan_utility(psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
							  target->name));
	plan = nvs_statement_plan(target->plans, &clear_events, NULL, NULL);
	return nvs_stream_write(target, plan, NULL, NULL, NULL);
}
