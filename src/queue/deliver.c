/*
 * queue/deliver.c
 *	  Puts events that were appended into the queues that are bound to them.
 *
 * It is done as who appends, and in his statement: he needs the right to send
 * to the queue, and if the job cannot be sent, the event is not appended.  A
 * queue that he does not see is an error, as a job would be lost without a
 * word.
 *
 * Nobody asks for these tables who runs a schedule, so nothing that is foreign
 * to him may run there; see schedule/fire.c.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "queue/bind.h"
#include "queue/job.h"
#include "route/binding.h"
#include "route/foreign_code.h"
#include "wakeup/jobs.h"

static void deliver_jobs(const NvsDelivery *delivery);
static NvsTableSet *deliver_open(const NvsDelivery *delivery,
								 NvsQueue **queue);
static void deliver_check_code(const NvsTableSet *set);
static void deliver_context(void *arg);

/* Have events that are appended put into queues. */
void
nvs_deliver_init(void)
{
	nvs_binding_deliver = deliver_jobs;
}

/* Put events into the queue of a binding: a job for each, in their order. */
static void
deliver_jobs(const NvsDelivery *delivery)
{
	NvsNewJob  *jobs = palloc(sizeof(NvsNewJob) * delivery->n);
	int64	   *ids = palloc(sizeof(int64) * delivery->n);
	ErrorContextCallback context;
	NvsTableSet *set;
	NvsQueue   *queue;
	int			i;

	/* Who appends need not know of the queue: an error tells of it. */
	context.callback = deliver_context;
	context.arg = unconstify(NvsDelivery *, delivery);
	context.previous = error_context_stack;
	error_context_stack = &context;
	set = deliver_open(delivery, &queue);

	/* The key is the subject, so that jobs of one can be kept in order. */
	for (i = 0; i < delivery->n; i++)
	{
		nvs_job_init(&jobs[i]);
		jobs[i].data = delivery->records[i];
		jobs[i].has_data = true;
		nvs_job_set(&jobs[i], NVS_JOB_KEY, delivery->subjects[i]);
	}

	/* One that was dropped since the bindings were read gets nothing. */
	if (queue != NULL)
	{
		nvs_jobs_note(queue->wakeup);
		nvs_jobs_insert(set, queue, jobs, delivery->n, ids);
	}
	error_context_stack = context.previous;
	pfree(jobs);
	pfree(ids);
}

/* The tables of the queue, and the queue; NULL when it was dropped just now. */
static NvsTableSet *
deliver_open(const NvsDelivery *delivery, NvsQueue **queue)
{
	const char *store = delivery->store->prefix;
	NvsTableSet *set = nvs_table_set_find_to_change(&nvs_queue_tables, store);

	if (set == NULL)
		nvs_store_missing(store);
	deliver_check_code(set);
	*queue = nvs_queue_named(set, delivery->binding->queue);
	if (*queue != NULL && (*queue)->number != delivery->binding->number)
		*queue = NULL;
	if (*queue == NULL &&
		nvs_binding_is_left(delivery->store, delivery->binding->number))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for a queue that events go to"),
				 errdetail("A policy of table %s hides it from role \"%s\".",
						   set->tables[0],
						   GetUserNameFromId(GetUserId(), false))));
	return set;
}

/* Raise an error when code would run that is foreign to us and refused. */
static void
deliver_check_code(const NvsTableSet *set)
{
	int			i;

	for (i = 0; i < set->kind->ntables; i++)
		nvs_check_foreign_code(set->relids[i], i == 0 ? TRIGGER_TYPE_INSERT :
							   NVS_ANY_CHANGE, set->tables[i]);
}

/* Tell whom an error is for. */
static void
deliver_context(void *arg)
{
	const NvsDelivery *delivery = arg;

	errcontext("sending events that match \"%s\" to queue \"%s\"",
			   delivery->binding->pattern, delivery->binding->queue);
}
