/*
 * queue/origin.c
 *	  Where a job comes from that was not sent.
 *
 * A dead letter tells of the job that failed all that it takes to put it back:
 * its queue and priority, and what was said of it when it was sent.  One that
 * was put back tells of its root, the job that was sent once; so does each
 * dead letter, however often the job has been put back meanwhile.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/time.h"
#include "json/build.h"
#include "queue/origin.h"

static Jsonb *origin_root_of(const NvsQueue *queue, const NvsRun *run,
							 const NvsNewJob *job);
static Jsonb *origin_member(const JsonbContainer *jc, const char *name,
							Size len);
static bool origin_int64(const JsonbContainer *jc, const char *name, Size len,
						 int64 *result);

/*
 * The origin of the dead letter of a job whose run has failed for good.  job
 * has what was said of it, created_at is when it was sent, error what was said
 * of its failure, NULL for nothing.
 */
Datum
nvs_origin_of_failed(const NvsQueue *queue, const NvsRun *run,
					 const NvsNewJob *job, TimestampTz created_at,
					 const Datum *error)
{
	NvsJsonb	origin;
	char	   *id = psprintf(INT64_FORMAT, run->id);

	nvs_jsonb_init(&origin);
	nvs_jsonb_add_text(&origin, NVS_KEY("queue"), queue->name,
					   strlen(queue->name));
	nvs_jsonb_add_text(&origin, NVS_KEY("id"), id, strlen(id));
	nvs_jsonb_add_jsonb(&origin, NVS_KEY("root"),
						origin_root_of(queue, run, job));
	nvs_jsonb_add_int64(&origin, NVS_KEY("attempts"), run->attempt);
	nvs_jsonb_add_int64(&origin, NVS_KEY("priority"), run->priority);
	nvs_jsonb_add_int64(&origin, NVS_KEY("createdAt"),
						nvs_timestamptz_to_ms(created_at));
	nvs_jsonb_add_jsonb(&origin, NVS_KEY("options"), nvs_job_options(job));
	if (error != NULL)
		nvs_jsonb_add_jsonb(&origin, NVS_KEY("error"),
							DatumGetJsonbP(*error));
	else
		nvs_jsonb_add_null(&origin, NVS_KEY("error"));
	return JsonbPGetDatum(nvs_jsonb_finish(&origin));
}

/* The first job of those that a job has been, {"queue", "id"}. */
static Jsonb *
origin_root_of(const NvsQueue *queue, const NvsRun *run, const NvsNewJob *job)
{
	NvsJsonb	root;
	char	   *id;

	if (!job->isnull[NVS_JOB_ORIGIN])
	{
		Jsonb	   *origin = DatumGetJsonbP(job->options[NVS_JOB_ORIGIN]);
		Jsonb	   *known = JB_ROOT_IS_OBJECT(origin) ?
			origin_member(&origin->root, NVS_KEY("root")) : NULL;

		if (known != NULL)
			return known;
	}
	id = psprintf(INT64_FORMAT, run->id);
	nvs_jsonb_init(&root);
	nvs_jsonb_add_text(&root, NVS_KEY("queue"), queue->name,
					   strlen(queue->name));
	nvs_jsonb_add_text(&root, NVS_KEY("id"), id, strlen(id));
	return nvs_jsonb_finish(&root);
}

/* A member of an object as a document; NULL when it is not there, or null. */
static Jsonb *
origin_member(const JsonbContainer *jc, const char *name, Size len)
{
	NvsJsonbChild value;

	if (!nvs_jsonb_get(jc, name, len, &value) || value.type == JENTRY_ISNULL)
		return NULL;
	return nvs_jsonb_from_child(value);
}

/* A member of an object that is an integer, as a number or a string. */
static bool
origin_int64(const JsonbContainer *jc, const char *name, Size len,
			 int64 *result)
{
	NvsJsonbChild value;
	Datum		datum;

	if (!nvs_jsonb_get(jc, name, len, &value))
		return false;
	if (value.type == JENTRY_ISNUMERIC)
		datum = DirectFunctionCall1(numeric_int8,
									PointerGetDatum(value.data));
	else if (value.type == JENTRY_ISSTRING)
		datum = DirectFunctionCall1(int8in,
									CStringGetDatum(pnstrdup(value.data,
															 value.len)));
	else
		return false;
	*result = DatumGetInt64(datum);
	return true;
}

/* Read the origin of a dead letter; false for one of another job. */
bool
nvs_origin_read(Jsonb *doc, NvsOrigin *origin)
{
	const JsonbContainer *jc = &doc->root;
	NvsJsonbChild queue;
	int64		attempts = 0;
	int64		priority = 0;

	memset(origin, 0, sizeof(NvsOrigin));
	if (!JB_ROOT_IS_OBJECT(doc) ||
		!nvs_jsonb_get(jc, NVS_KEY("queue"), &queue) ||
		queue.type != JENTRY_ISSTRING ||
		!origin_int64(jc, NVS_KEY("id"), &origin->id))
		return false;
	origin->queue = pnstrdup(queue.data, queue.len);
	(void) origin_int64(jc, NVS_KEY("attempts"), &attempts);
	(void) origin_int64(jc, NVS_KEY("priority"), &priority);
	origin->attempts = attempts;
	origin->priority = priority;
	origin->error = origin_member(jc, NVS_KEY("error"));
	origin->options = origin_member(jc, NVS_KEY("options"));
	origin->root = origin_member(jc, NVS_KEY("root"));
	return true;
}

/* The origin of a job that was a dead letter, and is put back. */
Datum
nvs_origin_of_redriven(const NvsOrigin *origin)
{
	NvsJsonb	doc;

	nvs_jsonb_init(&doc);
	if (origin->root != NULL)
		nvs_jsonb_add_jsonb(&doc, NVS_KEY("root"), origin->root);
	return JsonbPGetDatum(nvs_jsonb_finish(&doc));
}
