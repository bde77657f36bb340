/*
 * stream/restore.c
 *	  Taking events in as they were elsewhere, and emptying a store for that.
 *
 * Restored events keep their subject, version, time and content; positions
 * are drawn anew, in the order of the array.  Only a store's owner may.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"

#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "stream/stream.h"

/* A subject of the call. */
typedef struct Restored
{
	char		subject[NVS_SUBJECT_MAX_BYTES + 1]; /* hash key */
	NvsAppend  *stream;
	int64		version;		/* of the last event so far */
} Restored;

PG_FUNCTION_INFO_V1(nvs_stream_restore);
PG_FUNCTION_INFO_V1(nvs_stream_clear);

static void make_streams(HTAB *subjects, Jsonb **docs, int n, Restored **of);
static void resolve_subject(NvsAppend *stream);
static NvsJsonbChild subject_of(const Jsonb *doc);
static int64 next_version(const Restored *r, const Jsonb *doc);
static Jsonb *content_of(const Jsonb *doc);
static uint64 delete_all(const char *name, NvsTarget *target);

/* nvent.stream_restore(events): the new records, in the same order. */
Datum
nvs_stream_restore(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	HASHCTL		ctl;
	HTAB	   *subjects;
	Datum	   *elements;
	bool	   *nulls;
	Jsonb	  **docs;
	Restored  **of;
	NvsNewEvent *events;
	Datum	   *records;
	int			n;
	int			i;

	NVS_REQUIRE_ARG(0, "events");
	PreventCommandIfReadOnly("nvent.stream_restore()");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), JSONBOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	docs = palloc(sizeof(Jsonb *) * Max(n, 1));
	of = palloc(sizeof(Restored *) * Max(n, 1));
	events = palloc(sizeof(NvsNewEvent) * Max(n, 1));
	records = palloc(sizeof(Datum) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		docs[i] = nulls[i] ? NULL : DatumGetJsonbP(elements[i]);
		if (nulls[i] || !JB_ROOT_IS_OBJECT(docs[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an event must be a JSON object")));
	}

	nvs_spi_begin();
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NVS_SUBJECT_MAX_BYTES + 1;
	ctl.entrysize = sizeof(Restored);
	ctl.hcxt = CurrentMemoryContext;
	subjects = hash_create("nvent_store restored subjects", 64, &ctl,
						   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	make_streams(subjects, docs, n, of);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		of[i]->version = next_version(of[i], docs[i]);
		events[i].stream = of[i]->stream;
		events[i].doc = content_of(docs[i]);
		nvs_event_parse(&events[i].stream->resolved,
						nvs_stream_state(events[i].stream->resolved.target),
						events[i].doc, of[i]->version, &events[i].event);
	}
	if (!nvs_insert_events(events, n, records, CurrentMemoryContext))
		nvs_partly_known(n, n);
	for (i = 0; i < n; i++)
	{
		bool		isnull = false;

		tuplestore_putvalues(result, desc, &records[i], &isnull);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Find and lock the subjects of a call, and say which is of which event. */
static void
make_streams(HTAB *subjects, Jsonb **docs, int n, Restored **of)
{
	NvsAppend  *streams = palloc0(sizeof(NvsAppend) * Max(n, 1));
	int			nstreams = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		NvsJsonbChild subject = subject_of(docs[i]);
		char		key[NVS_SUBJECT_MAX_BYTES + 1];
		bool		found;

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
		resolve_subject(of[i]->stream);
		nvs_store_check_owner(of[i]->stream->resolved.target->store);
	}
	if (nstreams > NVS_MAX_SUBJECTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many subjects in one call: %d", nstreams),
				 errdetail("One call names at most %d.", NVS_MAX_SUBJECTS)));
	/* Tables that were made since have retired what was found before. */
	for (i = 0; i < nstreams; i++)
		resolve_subject(&streams[i]);
	nvs_stream_lock(streams, nstreams);
	nvs_stream_heads(streams, nstreams);
	for (i = 0; i < n; i++)
		of[i]->version = of[i]->stream->head;
}

/* Find the relation of a stream. */
static void
resolve_subject(NvsAppend *stream)
{
	(void) nvs_route_find(NVS_KIND_STREAM, stream->resolved.subject,
						  stream->resolved.len, true, &stream->resolved);
	(void) nvs_stream_state(stream->resolved.target);
}

/* The field "subject" of an event. */
static NvsJsonbChild
subject_of(const Jsonb *doc)
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
 * The version of an event: the one after the last, or any that it says when
 * it is the first of its stream, whose beginning may be missing.
 */
static int64
next_version(const Restored *r, const Jsonb *doc)
{
	NvsJsonbChild value;
	int64		version;

	if (!nvs_jsonb_get(&doc->root, NVS_KEY("version"), &value) ||
		value.type == JENTRY_ISNULL)
		return r->version + 1;
	version = value.type != JENTRY_ISNUMERIC ? 0 :
		DatumGetInt64(DirectFunctionCall1(numeric_int8,
										  PointerGetDatum(value.data)));
	if (version < 1 || (r->version > 0 && version != r->version + 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version of an event of stream \"%s\" is out of "
						"order", r->subject),
				 errdetail("The last version is %lld.",
						   (long long) r->version)));
	return version;
}

/* An event without what the store gives it. */
static Jsonb *
content_of(const Jsonb *doc)
{
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	NvsJsonb	content;
	uint32		i;

	nvs_jsonb_init(&content);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);

		if ((key.len == 2 && memcmp(key.data, "id", 2) == 0) ||
			(key.len == 7 && memcmp(key.data, "version", 7) == 0) ||
			(key.len == 7 && memcmp(key.data, "subject", 7) == 0))
			continue;
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
	nvs_store_check_owner(store);
	foreach(lc, nvs_route_targets(NVS_KIND_STREAM, store, true))
	{
		NvsTarget  *target = lfirst(lc);

		if (nvs_route_pattern(target) == NULL)
			deleted += delete_all(target->name, target);
	}
	foreach(lc, nvs_route_targets(NVS_KIND_SNAPSHOT, store, true))
		(void) delete_all(((NvsTarget *) lfirst(lc))->name, lfirst(lc));
	nvs_spi_end();
	PG_RETURN_INT64((int64) deleted);
}

/* Delete all rows of a table; waits for who is writing to it. */
static uint64
delete_all(const char *name, NvsTarget *target)
{
	NvsParams	params;

	nvs_plan_utility(psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
							  name));
	nvs_params_init(&params);
	return nvs_stream_execute(target,
							  nvs_planset_text(target->plans,
											   psprintf("DELETE FROM %s",
														name),
											   &params, 0),
							  &params, NULL, NULL);
}
