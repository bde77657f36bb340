/*
 * queue/fetched.c
 *	  What a fetch has found, and when it may look for more.
 *
 * Those who look for what is rare, jobs behind the frontier, turns, and leases
 * that have run out, may have to step over what is dead and cannot be removed
 * yet, because some old snapshot is still in use.  So each such look pauses for
 * a multiple of the time that it took, unless there is nothing else to do.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/datum.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/fetch.h"

/*
 * Such a look is not taken again for so many times the time that it took, and
 * for so long, in us, at least.
 */
#define LOOK_PAUSE		20
#define MIN_LOOK_PAUSE	10000

static Interval *fetched_interval(Datum value, bool isnull);

/* Append a job to a list, which grows in the current memory context. */
void
nvs_fetched_append(NvsFetchedJobs *jobs, const NvsFetchedJob *job)
{
	if (jobs->n == jobs->size)
	{
		jobs->size = Max(jobs->size * 2, 16);
		jobs->jobs = jobs->jobs == NULL ?
			palloc(sizeof(NvsFetchedJob) * jobs->size) :
			repalloc(jobs->jobs, sizeof(NvsFetchedJob) * jobs->size);
	}
	jobs->jobs[jobs->n++] = *job;
}

/* Remove the first n jobs from a list. */
void
nvs_fetched_remove(NvsFetchedJobs *jobs, int n)
{
	jobs->n -= n;
	memmove(jobs->jobs, jobs->jobs + n, sizeof(NvsFetchedJob) * jobs->n);
}

/* Add a job that was locked, a turn or not, to the list that is being made. */
void
nvs_fetched_add(TupleTableSlot *slot, void *arg)
{
	slot_getallattrs(slot);
	nvs_fetched_add_values(arg, slot->tts_values, slot->tts_isnull);
}

/*
 * Add a job that was locked to the list that is being made, by its columns as
 * they are selected.
 */
void
nvs_fetched_add_values(NvsFetch *fetch, const Datum *values,
					   const bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	NvsFetchedJob job;

	memset(&job, 0, sizeof(job));
	job.is_turn = fetch->adding == &fetch->turns;
	job.run.id = DatumGetInt64(values[0]);
	job.run.priority = DatumGetInt32(values[1]);
	job.run.attempt = DatumGetInt32(values[2]) + 1;
	job.run.retries = DatumGetInt32(values[3]);
	job.has_data = !isnull[4];
	if (job.has_data)
		job.data = datumCopy(values[4], false, -1);
	job.created_at = DatumGetTimestampTz(values[5]);
	job.lease = fetched_interval(values[6], isnull[6]);
	job.max_run = fetched_interval(values[7], isnull[7]);
	job.run.flow = !isnull[8];
	nvs_fetched_append(fetch->adding, &job);
	MemoryContextSwitchTo(old);
}

/* A copy of an interval; NULL for NULL. */
static Interval *
fetched_interval(Datum value, bool isnull)
{
	Interval   *copy;

	if (isnull)
		return NULL;
	copy = palloc(sizeof(Interval));
	*copy = *DatumGetIntervalP(value);
	return copy;
}

/* qsort() comparator: the highest priority first, and the oldest of one. */
int
nvs_fetched_compare(const void *a, const void *b)
{
	const NvsRun *x = &((const NvsFetchedJob *) a)->run;
	const NvsRun *y = &((const NvsFetchedJob *) b)->run;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
}

/* The columns of a result, as nvs_fetched_put() fills them in. */
TupleDesc
nvs_fetched_desc(void)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			columns[] = {
		{"id", INT8OID}, {"attempt", INT4OID}, {"data", JSONBOID},
		{"priority", INT4OID}, {"retries", INT4OID},
		{"created_at", TIMESTAMPTZOID}, {"lease_until", TIMESTAMPTZOID}
	};
	TupleDesc	desc = CreateTemplateTupleDesc(lengthof(columns));
	int			i;

	for (i = 0; i < lengthof(columns); i++)
		TupleDescInitEntry(desc, i + 1, columns[i].name, columns[i].type, -1,
						   0);
	return BlessTupleDesc(desc);
}

/* Put a job that was taken into the result. */
void
nvs_fetched_put(const NvsFetchedJob *job, Tuplestorestate *result,
				TupleDesc desc)
{
	Datum		values[7];
	bool		isnull[7] = {false};

	values[0] = Int64GetDatum(job->run.id);
	values[1] = Int32GetDatum(job->run.attempt);
	values[2] = job->data;
	isnull[2] = !job->has_data;
	values[3] = Int32GetDatum(job->run.priority);
	values[4] = Int32GetDatum(job->run.retries);
	values[5] = TimestampTzGetDatum(job->created_at);
	values[6] = TimestampTzGetDatum(job->lease_until);
	tuplestore_putvalues(result, desc, values, isnull);
}

/* Is it time for a look that pauses until then, by nvs_uptime()? */
bool
nvs_look_begins(const NvsFetch *fetch, int64 at)
{
	return fetch->all || nvs_uptime() >= at;
}

/* When the next look may begin, of which one has just ended. */
int64
nvs_look_ends(int64 began)
{
	int64		now = nvs_uptime();

	return now + Max((now - began) * LOOK_PAUSE, MIN_LOOK_PAUSE);
}
