/*
 * queue/publish.c
 *	  Sends a job to each queue that is bound to a subject.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "queue/job.h"
#include "route/binding.h"
#include "wakeup/jobs.h"

/* Arguments of queue_publish(): those of queue_send() behind the first. */
#define PUBLISH_SUBJECT	0
#define PUBLISH_STORE	15

PG_FUNCTION_INFO_V1(nvs_queue_publish);

static void publish_to_all(NvsTableSet *set, const NvsNewJob *model,
						   const text *subject, Tuplestorestate *result,
						   TupleDesc desc);
static NvsQueue *publish_queue(NvsTableSet *set, const NvsBinding *binding);
static void publish_to(NvsTableSet *set, NvsQueue *queue,
					   const NvsNewJob *model, Tuplestorestate *result,
					   TupleDesc desc);

/*
 * nvent.queue_publish(subject, data, ..., store): the queues that it went to,
 * and the job's id in each; NULL for none.
 */
Datum
nvs_queue_publish(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsNewJob	job;
	NvsTableSet *set;
	text	   *subject;

	NVS_REQUIRE_ARG(PUBLISH_SUBJECT, "subject");
	subject = PG_GETARG_TEXT_PP(PUBLISH_SUBJECT);
	nvs_subject_validate(VARDATA_ANY(subject), VARSIZE_ANY_EXHDR(subject));
	PreventCommandIfReadOnly("nvent.queue_publish()");
	nvs_job_take_arguments(&job, fcinfo);
	nvs_spi_begin();
	set = nvs_table_set_open(&nvs_queue_tables, fcinfo, PUBLISH_STORE,
							 NVS_USE_CHANGE);
	if (set != NULL)
		publish_to_all(set, &job, subject, result, desc);
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Send a job like this one to all queues that are bound to a subject and that
 * the caller sees, in the order of their numbers.  Who may not send to any is
 * not told whether there are some.
 */
static void
publish_to_all(NvsTableSet *set, const NvsNewJob *model, const text *subject,
			   Tuplestorestate *result, TupleDesc desc)
{
	Oid			jobs = set->relids[NVS_TABLE_JOBS];
	List	   *bound;
	ListCell   *lc;
	NvsQueue   *queue;

	if (!nvs_may_use_relation(jobs, ACL_INSERT))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(jobs));
	bound = nvs_bindings_of_published(nvs_store_require(set->prefix),
									  VARDATA_ANY(subject),
									  VARSIZE_ANY_EXHDR(subject));

	/* All levels come before any key, as with all who send to several. */
	foreach(lc, bound)
		if ((queue = publish_queue(set, lfirst(lc))) != NULL)
		nvs_jobs_add_levels(set, queue, model, 1);
	foreach(lc, bound)
	{
		CHECK_FOR_INTERRUPTS();
		if ((queue = publish_queue(set, lfirst(lc))) != NULL)
			publish_to(set, queue, model, result, desc);
	}
}

/*
 * The queue of a binding; NULL where the caller does not see it, or it was
 * dropped just now, be there another of that name.
 */
static NvsQueue *
publish_queue(NvsTableSet *set, const NvsBinding *binding)
{
	NvsQueue   *queue = nvs_queue_named(set, binding->queue);

	return queue != NULL && queue->number == binding->number ? queue : NULL;
}

/* Send a job like this one to a queue, and tell which it is there. */
static void
publish_to(NvsTableSet *set, NvsQueue *queue, const NvsNewJob *model,
		   Tuplestorestate *result, TupleDesc desc)
{
	NvsNewJob	job = *model;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	int64		id;

	nvs_jobs_note(queue->wakeup);
	nvs_jobs_insert(set, queue, &job, 1, &id);
	values[0] = CStringGetTextDatum(queue->name);
	values[1] = Int64GetDatum(id);
	nulls[1] = id == 0;
	tuplestore_putvalues(result, desc, values, nulls);
}
