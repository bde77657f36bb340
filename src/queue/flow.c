/*
 * queue/flow.c
 *	  Sends flows: jobs of which some wait for others.
 *
 * A job may wait only for jobs before it, so nothing waits in a circle, and ids
 * grow from parents to children.  All of it is sent by one call, so nobody sees
 * a parent whose children are not there yet; queue/wait.c is about the rest.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "json/build.h"
#include "queue/internal.h"
#include "queue/job.h"

/* Bytes of the name of a job. */
#define MAX_NAME_BYTES	255

/* What a job of a flow says of its place in it. */
typedef struct FlowJob
{
	text	   *queue;
	List	   *parents;		/* indexes of jobs before it, each once */
	const char *on_failure;
	bool		is_parent;
	bool		has_due_at;		/* it is not to start before that */
	Datum		due_at;
} FlowJob;

/* A name of a job. */
typedef struct FlowName
{
	char		name[MAX_NAME_BYTES + 1];	/* the key */
	int			job;
} FlowName;

/* A call. */
typedef struct Flow
{
	NvsTableSet *set;
	FlowJob    *places;
	NvsNewJob  *jobs;
	int64	   *ids;
	NvsQueue  **queues;			/* of each job */
	int		   *order;			/* of their indexes: queue by queue */
	int			n;
	HTAB	   *names;
} Flow;

/* Members of a job that say what its place is. */
#define FLOW_MEMBERS	"{name,queue,after,onFailure}"

static const char *const flow_on_failure[] = {
	"wait", "cancel", "fail", "run"
};

/* $1 ids, $2 queues, $3 priorities, $4 pending, $5 on_failure, $6 due_at. */
static const NvsStatement flow_insert_waits = {
	"INSERT INTO {job_waits} (id, queue, priority, pending, on_failure, "
	"due_at) SELECT u.* FROM ROWS FROM (pg_catalog.unnest($1), "
	"pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), "
	"pg_catalog.unnest($5), pg_catalog.unnest($6)) u"
};

/* $1 ids, $2 parents, $3 queues, $4 the parents' queues. */
static const NvsStatement flow_insert_parents = {
	"INSERT INTO {job_parents} (id, parent, queue, parent_queue) "
	"SELECT u.* FROM ROWS FROM (pg_catalog.unnest($1), "
	"pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4)) u"
};

PG_FUNCTION_INFO_V1(nvs_queue_flow);

static void flow_read(Flow *flow, FunctionCallInfo fcinfo);
static void flow_read_job(Flow *flow, int i, Jsonb *doc);
static bool flow_member(const Jsonb *doc, const char *name,
						NvsJsonbChild *value);
static text *flow_read_text(const Jsonb *doc, const char *name, int n);
static void flow_read_after(Flow *flow, int i, const Jsonb *doc);
static void flow_sort_parents(FlowJob *place);
static void flow_add_parent(Flow *flow, int i, NvsJsonbChild name);
static void flow_read_on_failure(Flow *flow, int i, const Jsonb *doc);
static void flow_keep_name(Flow *flow, int i, const text *name);
static FlowName *flow_named(Flow *flow, const char *name, int len,
							HASHACTION action, bool *found);
static void flow_place(Flow *flow);
static void flow_sort(Flow *flow);
static int	flow_compare_queues(const void *a, const void *b, void *arg);
static int	flow_queue_end(const Flow *flow, int from);
static void flow_check(Flow *flow);
static void flow_send(Flow *flow);
static void flow_send_some(Flow *flow, const int *these, int n);
pg_noreturn static void flow_refuse(const Flow *flow, int i);
static bool flow_due(const Flow *flow, int i, Datum *due_at);
static void flow_insert(Flow *flow);
static void flow_insert_edges(Flow *flow, int nedges);

/*
 * nvent.queue_flow(jobs, store): sends jobs, all or none, of which some wait
 * for others; returns their ids, in their order.
 */
Datum
nvs_queue_flow(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	Flow		flow;

	NVS_REQUIRE_ARG(0, "jobs");
	PreventCommandIfReadOnly("nvent.queue_flow()");
	memset(&flow, 0, sizeof(flow));
	flow_read(&flow, fcinfo);
	nvs_spi_begin();
	if (flow.n > 0)
	{
		flow.set = nvs_table_set_require(&nvs_queue_tables, fcinfo, 1);
		flow_place(&flow);
		flow_sort(&flow);
		flow_check(&flow);
		flow_send(&flow);
		flow_insert(&flow);
	}
	nvs_spi_end();
	nvs_result_put_ids(result, desc, flow.ids, flow.n);
	return (Datum) 0;
}

/* Read the jobs of argument 0. */
static void
flow_read(Flow *flow, FunctionCallInfo fcinfo)
{
	NvsArrayArgs arrays = {"jobs", NVS_MAX_JOBS, NULL, 0};
	HASHCTL		ctl = {.keysize = MAX_NAME_BYTES + 1,
	.entrysize = sizeof(FlowName),.hcxt = CurrentMemoryContext};
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	(void) nvs_array_argument(&arrays, fcinfo, 0, "jobs", &elements, &nulls);
	flow->n = arrays.length;
	flow->places = palloc0(sizeof(FlowJob) * Max(flow->n, 1));
	flow->jobs = palloc0(sizeof(NvsNewJob) * Max(flow->n, 1));
	flow->ids = palloc0(sizeof(int64) * Max(flow->n, 1));
	flow->queues = palloc0(sizeof(NvsQueue *) * Max(flow->n, 1));
	flow->names = hash_create("jobs of a flow", 64, &ctl,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (i = 0; i < flow->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("job %d must not be null", i + 1)));
		flow_read_job(flow, i, DatumGetJsonbP(elements[i]));
	}
}

/* Read one job: its place in the flow, and the rest as any job. */
static void
flow_read_job(Flow *flow, int i, Jsonb *doc)
{
	FlowJob    *place = &flow->places[i];
	Datum		members;
	text	   *name;

	if (!JB_ROOT_IS_OBJECT(doc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d must be a JSON object", i + 1),
				 errhint("Write {\"queue\": ..., \"data\": ...}.")));
	place->queue = flow_read_text(doc, "queue", i + 1);
	if (place->queue == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d must have the member \"%s\"", i + 1,
						"queue")));

	/* Before its name is known, so that it cannot wait for itself. */
	flow_read_after(flow, i, doc);
	flow_read_on_failure(flow, i, doc);
	name = flow_read_text(doc, "name", i + 1);
	if (name != NULL)
		flow_keep_name(flow, i, name);

	/* The rest is read as of any job, which knows no other members. */
	members = OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(FLOW_MEMBERS),
							   ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1));
	nvs_job_read(&flow->jobs[i],
				 DatumGetJsonbP(DirectFunctionCall2(jsonb_delete_array,
													JsonbPGetDatum(doc),
													members)), i + 1);
}

/* A member of a job that is there, and not null. */
static bool
flow_member(const Jsonb *doc, const char *name, NvsJsonbChild *value)
{
	return nvs_jsonb_get(&doc->root, name, strlen(name), value) &&
		value->type != JENTRY_ISNULL;
}

/* A member of the nth job that is a string; NULL when it is not there. */
static text *
flow_read_text(const Jsonb *doc, const char *name, int n)
{
	NvsJsonbChild value;

	if (!flow_member(doc, name, &value))
		return NULL;
	if (value.type != JENTRY_ISSTRING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" of job %d must be a string", name, n)));
	return cstring_to_text_with_len(value.data, value.len);
}

/* Read whom a job waits for: a name, or an array of names. */
static void
flow_read_after(Flow *flow, int i, const Jsonb *doc)
{
	NvsJsonbChild value;
	const JsonbContainer *names;
	int			k;

	if (!flow_member(doc, "after", &value))
		return;
	if (value.type == JENTRY_ISSTRING)
	{
		flow_add_parent(flow, i, value);
		return;
	}
	names = (const JsonbContainer *) value.data;
	if (value.type != JENTRY_ISCONTAINER || !JsonContainerIsArray(names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" of job %d must be a string or an array of strings",
						"after", i + 1)));
	for (k = 0; k < JsonContainerSize(names); k++)
	{
		CHECK_FOR_INTERRUPTS();
		flow_add_parent(flow, i, nvs_jsonb_child(names, k));
	}
	flow_sort_parents(&flow->places[i]);
}

/* Have each parent be there once. */
static void
flow_sort_parents(FlowJob *place)
{
	List	   *once = NIL;
	ListCell   *lc;

	list_sort(place->parents, list_int_cmp);
	foreach(lc, place->parents)
	{
		CHECK_FOR_INTERRUPTS();
		if (once == NIL || llast_int(once) != lfirst_int(lc))
			once = lappend_int(once, lfirst_int(lc));
	}
	place->parents = once;
}

/* A job waits for another, which must be before it. */
static void
flow_add_parent(Flow *flow, int i, NvsJsonbChild name)
{
	FlowName   *parent = NULL;

	if (name.type != JENTRY_ISSTRING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member \"%s\" of job %d must be a string or an array of strings",
						"after", i + 1)));
	if (name.len <= MAX_NAME_BYTES)
		parent = flow_named(flow, name.data, name.len, HASH_FIND, NULL);
	if (parent == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job %d waits for \"%.*s\", which is none before it",
						i + 1, name.len, name.data),
				 errhint("Put jobs behind those that they wait for.")));
	flow->places[i].parents = lappend_int(flow->places[i].parents,
										  parent->job);
	flow->places[parent->job].is_parent = true;
}

/* Read what becomes of a job whose parent fails. */
static void
flow_read_on_failure(Flow *flow, int i, const Jsonb *doc)
{
	text	   *wanted = flow_read_text(doc, "onFailure", i + 1);
	char	   *name = wanted == NULL ? "cancel" : text_to_cstring(wanted);
	int			k;

	for (k = 0; k < lengthof(flow_on_failure); k++)
		if (strcmp(flow_on_failure[k], name) == 0)
		{
			flow->places[i].on_failure = flow_on_failure[k];
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized member \"%s\" of job %d: \"%s\"",
					"onFailure", i + 1, name),
			 errhint("It is one of \"wait\", \"cancel\", \"fail\" and \"run\".")));
}

/* Keep the name of a job, for those behind it. */
static void
flow_keep_name(Flow *flow, int i, const text *name)
{
	int			len = VARSIZE_ANY_EXHDR(name);
	bool		found;
	FlowName   *entry;

	if (len == 0 || len > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of job %d must have 1 to %d bytes", i + 1,
						MAX_NAME_BYTES),
				 errdetail("This one has %d.", len)));
	entry = flow_named(flow, VARDATA_ANY(name), len, HASH_ENTER, &found);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("jobs %d and %d have the same name", entry->job + 1,
						i + 1)));
	entry->job = i;
}

/* Look a name up, or enter it. */
static FlowName *
flow_named(Flow *flow, const char *name, int len, HASHACTION action,
		   bool *found)
{
	char		key[MAX_NAME_BYTES + 1];

	memcpy(key, name, len);
	key[len] = '\0';
	return hash_search(flow->names, key, action, found);
}

/*
 * Give each job what its place means for it.  One that waits is to start at no
 * time of its own: it has no turn until its parents have ended.
 */
static void
flow_place(Flow *flow)
{
	int			i;

	for (i = 0; i < flow->n; i++)
	{
		FlowJob    *place = &flow->places[i];
		NvsNewJob  *job = &flow->jobs[i];

		flow->queues[i] = nvs_queue_require(flow->set,
											text_to_cstring(place->queue));
		if (place->parents != NIL || place->is_parent)
			nvs_job_set(job, NVS_JOB_FLOW, BoolGetDatum(true));
		if (place->parents == NIL)
			continue;
		place->has_due_at = !job->isnull[NVS_JOB_DUE_AT];
		place->due_at = job->options[NVS_JOB_DUE_AT];
		nvs_job_set(job, NVS_JOB_DUE_AT, TimestampTzGetDatum(DT_NOEND));
		job->waits = true;
	}
}

/*
 * Find the order in which the queues are gone through, by their numbers,
 * whatever that of the jobs is: so no two flows wait for one another.
 */
static void
flow_sort(Flow *flow)
{
	int			i;

	flow->order = palloc(sizeof(int) * flow->n);
	for (i = 0; i < flow->n; i++)
		flow->order[i] = i;
	qsort_arg(flow->order, flow->n, sizeof(int), flow_compare_queues, flow);
}

/* qsort_arg() comparator: by the number of the queue, then by place. */
static int
flow_compare_queues(const void *a, const void *b, void *arg)
{
	const Flow *flow = arg;
	int			i = *(const int *) a;
	int			k = *(const int *) b;
	int32		x = flow->queues[i]->number;
	int32		y = flow->queues[k]->number;

	return x < y ? -1 : x > y ? 1 : i - k;
}

/* Where the jobs of a queue end that begin at a place of the order. */
static int
flow_queue_end(const Flow *flow, int from)
{
	const NvsQueue *queue = flow->queues[flow->order[from]];
	int			to = from + 1;

	while (to < flow->n &&
		   flow->queues[flow->order[to]]->number == queue->number)
		to++;
	return to;
}

/*
 * Complete the jobs, with an error for what is out of range, and make the
 * levels of all priorities that are new.
 */
static void
flow_check(Flow *flow)
{
	NvsNewJob  *jobs = palloc(sizeof(NvsNewJob) * flow->n);
	int			from;
	int			to;
	int			i;

	for (i = 0; i < flow->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		nvs_jobs_check_new(flow->set, flow->queues[i], &flow->jobs[i], 1, i);
		nvs_jobs_set_priority(flow->queues[i], &flow->jobs[i], 1);
	}
	for (from = 0; from < flow->n; from = to)
	{
		CHECK_FOR_INTERRUPTS();
		to = flow_queue_end(flow, from);
		for (i = from; i < to; i++)
			jobs[i] = flow->jobs[flow->order[i]];
		nvs_jobs_add_levels(flow->set, flow->queues[flow->order[from]],
							jobs + from, to - from);
	}
	pfree(jobs);
}

/*
 * Send the jobs, queue by queue.  They have ids before, in their own order, so
 * that those of children are greater than those of their parents.
 */
static void
flow_send(Flow *flow)
{
	int			from;
	int			to;

	for (from = 0; from < flow->n; from++)
		flow->ids[from] = 1;
	nvs_jobs_draw(flow->set, flow->ids, flow->n);
	for (from = 0; from < flow->n; from = to)
	{
		CHECK_FOR_INTERRUPTS();
		to = flow_queue_end(flow, from);
		flow_send_some(flow, flow->order + from, to - from);
	}
}

/*
 * Send n jobs of one queue, which are these of the flow, and note what became
 * of their slots; an error when the queue takes one of them not.
 */
static void
flow_send_some(Flow *flow, const int *these, int n)
{
	NvsNewJob  *jobs = palloc(sizeof(NvsNewJob) * n);
	int64	   *ids = palloc(sizeof(int64) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		jobs[i] = flow->jobs[these[i]];
		ids[i] = flow->ids[these[i]];
	}
	nvs_jobs_insert_drawn(flow->set, flow->queues[these[0]], jobs, n, ids);
	for (i = 0; i < n; i++)
	{
		flow->jobs[these[i]] = jobs[i];
		if (ids[i] == 0)
			flow_refuse(flow, these[i]);
	}
	pfree(jobs);
	pfree(ids);
}

/* Report a job that its queue does not take. */
static void
flow_refuse(const Flow *flow, int i)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("job %d of the flow was not sent", i + 1),
			 flow->jobs[i].slot == 0 ?
			 errdetail("Another job of queue \"%s\" has its key.",
					   text_to_cstring(flow->places[i].queue)) :
			 errdetail("Another job of queue \"%s\" has its key or its slot.",
					   text_to_cstring(flow->places[i].queue))));
}

/*
 * When a job that waits may start at the soonest, by what it says and by its
 * slot; false for any time.
 */
static bool
flow_due(const Flow *flow, int i, Datum *due_at)
{
	const FlowJob *place = &flow->places[i];
	TimestampTz slot = flow->jobs[i].slot_starts_at;

	*due_at = place->due_at;
	if (slot != 0 &&
		(!place->has_due_at || DatumGetTimestampTz(place->due_at) < slot))
		*due_at = TimestampTzGetDatum(slot);
	return place->has_due_at || slot != 0;
}

/* Write down which jobs wait, and for whom. */
static void
flow_insert(Flow *flow)
{
	static const Oid types[] = {
		INT8OID, INT4OID, INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID
	};
	Datum	   *values[lengthof(types)];
	bool	   *nulls[lengthof(types)] = {NULL};
	NvsParams	params;
	int			nedges = 0;
	int			n = 0;
	int			i;
	int			k;

	for (k = 0; k < lengthof(types); k++)
		values[k] = palloc(sizeof(Datum) * flow->n);
	nulls[5] = palloc(sizeof(bool) * flow->n);

	/* Those without parents have their turn by now, and no row here. */
	for (i = 0; i < flow->n; i++)
	{
		const FlowJob *place = &flow->places[i];

		if (place->parents == NIL)
			continue;
		values[0][n] = Int64GetDatum(flow->ids[i]);
		values[1][n] = Int32GetDatum(flow->queues[i]->number);
		values[2][n] = flow->jobs[i].options[NVS_JOB_PRIORITY];
		values[3][n] = Int32GetDatum(list_length(place->parents));
		values[4][n] = CStringGetTextDatum(place->on_failure);
		nulls[5][n] = !flow_due(flow, i, &values[5][n]);
		n++;
		nedges += list_length(place->parents);
	}
	if (n == 0)
		return;

	/* Nobody can end a parent meanwhile: nobody sees them before we commit. */
	nvs_params_init(&params);
	nvs_params_add_arrays(&params, types, values, nulls, lengthof(types), n);
	(void) nvs_table_set_run(flow->set, &flow_insert_waits, &params);
	flow_insert_edges(flow, nedges);
}

/* Write down for whom each job waits. */
static void
flow_insert_edges(Flow *flow, int nedges)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT4OID};
	Datum	   *values[lengthof(types)];
	NvsParams	params;
	ListCell   *lc;
	int			n = 0;
	int			i;

	for (i = 0; i < lengthof(values); i++)
		values[i] = palloc(sizeof(Datum) * nedges);
	for (i = 0; i < flow->n; i++)
		foreach(lc, flow->places[i].parents)
	{
		int			parent = lfirst_int(lc);

		CHECK_FOR_INTERRUPTS();
		values[0][n] = Int64GetDatum(flow->ids[i]);
		values[1][n] = Int64GetDatum(flow->ids[parent]);
		values[2][n] = Int32GetDatum(flow->queues[i]->number);
		values[3][n++] = Int32GetDatum(flow->queues[parent]->number);
	}
	nvs_params_init(&params);
	nvs_params_add_arrays(&params, types, values, NULL, lengthof(types), n);
	(void) nvs_table_set_run(flow->set, &flow_insert_parents, &params);
}
