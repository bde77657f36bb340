/*
 * queue/resume.c
 *	  Has jobs go on that had ended: what was cancelled, what has failed.
 *
 * Their last runs are locked first, in the order of their ids.  Then their keys
 * and their slots are taken, in the order in which those who send jobs take
 * them; those that got what they need have a turn then, which comes no sooner
 * than the jobs were to start, and their slots do.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "base/text.h"
#include "queue/control.h"
#include "queue/slot.h"

/* A job that is to go on. */
typedef struct Resumed
{
	int64		id;
	int32		priority;
	int32		attempt;
	int32		retries;
	text	   *key;			/* NULL: none, or the queue wants none */
	TimestampTz due_at;			/* DT_NOBEGIN: it can start at once */
	bool		has_slot;		/* it has taken it again */
	bool		goes_on;
} Resumed;

/* A way in which jobs go on. */
typedef struct ResumeVerb
{
	const char *participle;
	const char *outcomes;		/* an array in text: how they had ended */
} ResumeVerb;

/* A call. */
typedef struct Resume
{
	NvsTableSet *set;
	NvsQueue   *queue;
	const ResumeVerb *verb;
	NvsJobIds	ids;
	Resumed    *jobs;
	int			n;
	int			nseen;			/* of those that are looked at once more */
	int64		unlocked;		/* the first of them that was not locked */
	Datum	   *done;			/* those that go on, int8 */
	int			ndone;
	int			nready;			/* of these, those that can start at once */
	MemoryContext cxt;
} Resume;

/*
 * The last runs of jobs $2 of queue $1, that ended in one of the ways $3, and
 * of each the key and when it was to start; at infinity is one that waited, and
 * might have started at any time.
 */
static const NvsStatement resume_last_runs = {
	"SELECT r.id, r.priority, r.attempt, r.retries, j.key, CASE WHEN "
	"j.due_at OPERATOR(pg_catalog.<) 'infinity' THEN j.due_at END "
	"FROM {job_runs} r LEFT JOIN LATERAL (SELECT k.key, k.due_at FROM {jobs} k "
	"WHERE k.queue OPERATOR(pg_catalog.=) r.queue "
	"AND k.priority OPERATOR(pg_catalog.=) r.priority "
	"AND k.id OPERATOR(pg_catalog.=) r.id OFFSET 0) j ON true "
	"WHERE r.id OPERATOR(pg_catalog.=) ANY ($2) AND " NVS_IN_QUEUE("r", "1")
	" AND r.attempt OPERATOR(pg_catalog.=) ("
	"SELECT pg_catalog.max(m.attempt) FROM {job_runs} m "
	"WHERE m.id OPERATOR(pg_catalog.=) r.id) "
	"AND r.outcome OPERATOR(pg_catalog.=) ANY ($3) "
	"ORDER BY r.id FOR NO KEY UPDATE OF r"
};

/*
 * The jobs among $2 of queue $1 whose last runs ended in one of the ways $3 and
 * that have no turn, whether or not those runs can be locked.
 */
static const NvsStatement resume_look = {
	"SELECT r.id FROM {job_runs} r "
	"WHERE r.id OPERATOR(pg_catalog.=) ANY ($2) AND " NVS_IN_QUEUE("r", "1")
	" AND r.attempt OPERATOR(pg_catalog.=) ("
	"SELECT pg_catalog.max(m.attempt) FROM {job_runs} m "
	"WHERE m.id OPERATOR(pg_catalog.=) r.id) "
	"AND r.outcome OPERATOR(pg_catalog.=) ANY ($3) AND NOT EXISTS ("
	"SELECT FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) r.id) "
	"ORDER BY r.id"
};

/* In SQL, that job $2 can have a turn after attempt $4, which is its last. */
#define MAY_GO_ON \
	"NOT EXISTS (SELECT FROM {job_turns} t " \
	"WHERE t.id OPERATOR(pg_catalog.=) $2) AND NOT EXISTS (" \
	"SELECT FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) $2 " \
	"AND r.attempt OPERATOR(pg_catalog.>) $4) AND EXISTS (" \
	"SELECT FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.priority OPERATOR(pg_catalog.=) $3 " \
	"AND j.id OPERATOR(pg_catalog.=) $2)"

/* $3 priority, $4 attempt, $5 retries, $6 when it is due, or none. */
static const NvsStatement resume_add_turn = {
	"INSERT INTO {job_turns} (queue, id, priority, attempt, retries, due_at) "
	"SELECT $1, $2, $3, $4, $5, $6 WHERE " MAY_GO_ON " ON CONFLICT DO NOTHING"
};

/*
 * Note of attempt $4 of job $2 of queue $1, if it was cancelled, that it is not
 * the last one any more.
 */
static const NvsStatement resume_run = {
	"UPDATE {job_runs} r SET outcome = '" NVS_RUN_RESUMED "' "
	"WHERE r.id OPERATOR(pg_catalog.=) $2 AND " NVS_IN_QUEUE("r", "1")
	" AND r.attempt OPERATOR(pg_catalog.=) $4 "
	"AND r.outcome OPERATOR(pg_catalog.=) '" NVS_RUN_CANCELLED "'"
};
static const NvsStatement resume_may_go_on = {
	"SELECT $5 IS NOT NULL AND " MAY_GO_ON
};

PG_FUNCTION_INFO_V1(nvs_queue_resume);
PG_FUNCTION_INFO_V1(nvs_queue_resume_many);
PG_FUNCTION_INFO_V1(nvs_queue_retry);
PG_FUNCTION_INFO_V1(nvs_queue_retry_many);

static Datum resume_job(FunctionCallInfo fcinfo, const ResumeVerb *verb,
						const char *function);
static Datum resume_jobs(FunctionCallInfo fcinfo, const ResumeVerb *verb,
						 const char *function);
static void resume_call(FunctionCallInfo fcinfo, Resume *resume,
						const ResumeVerb *verb);
static void resume_all(Resume *resume);
static void resume_lock(Resume *resume);
static void resume_see(TupleTableSlot *slot, void *arg);
static void resume_keep(TupleTableSlot *slot, void *arg);
static int	resume_compare(const void *a, const void *b);
static void resume_take(Resume *resume);
static void resume_give_back(const Resume *resume, const Resumed *job);
static bool resume_add(Resume *resume, const Resumed *job);
static void resume_tell(Resume *resume);

static const ResumeVerb resume_cancelled = {
	"resumed", "{" NVS_RUN_CANCELLED "}"
};
static const ResumeVerb resume_failed = {
	"retried", "{" NVS_RUN_FAILED "," NVS_RUN_EXPIRED "}"
};

/* nvent.queue_resume(queue, id, store): of a job that was cancelled. */
Datum
nvs_queue_resume(PG_FUNCTION_ARGS)
{
	return resume_job(fcinfo, &resume_cancelled, "nvent.queue_resume()");
}

/* nvent.queue_resume_many(queue, ids, store): those that go on. */
Datum
nvs_queue_resume_many(PG_FUNCTION_ARGS)
{
	return resume_jobs(fcinfo, &resume_cancelled, "nvent.queue_resume_many()");
}

/* nvent.queue_retry(queue, id, store): of a job that failed for good. */
Datum
nvs_queue_retry(PG_FUNCTION_ARGS)
{
	return resume_job(fcinfo, &resume_failed, "nvent.queue_retry()");
}

/* nvent.queue_retry_many(queue, ids, store): those that go on. */
Datum
nvs_queue_retry_many(PG_FUNCTION_ARGS)
{
	return resume_jobs(fcinfo, &resume_failed, "nvent.queue_retry_many()");
}

/* Have the job of a call go on; whether it does. */
static Datum
resume_job(FunctionCallInfo fcinfo, const ResumeVerb *verb,
		   const char *function)
{
	Resume		resume = {0};

	PreventCommandIfReadOnly(function);
	nvs_job_id_argument(fcinfo, &resume.ids);
	resume_call(fcinfo, &resume, verb);
	PG_RETURN_BOOL(resume.ndone > 0);
}

/* Have the jobs of a call go on; those that do. */
static Datum
resume_jobs(FunctionCallInfo fcinfo, const ResumeVerb *verb,
			const char *function)
{
	Resume		resume = {0};

	PreventCommandIfReadOnly(function);
	nvs_job_ids_argument(fcinfo, &resume.ids);
	resume_call(fcinfo, &resume, verb);
	return nvs_job_ids_result(fcinfo, resume.done, resume.ndone);
}

/* Have jobs of a queue go on that had ended in some ways. */
static void
resume_call(FunctionCallInfo fcinfo, Resume *resume, const ResumeVerb *verb)
{
	resume->verb = verb;
	resume->jobs = palloc0(sizeof(Resumed) * Max(resume->ids.n, 1));
	resume->done = palloc(sizeof(Datum) * Max(resume->ids.n, 1));
	resume->cxt = CurrentMemoryContext;
	nvs_spi_begin();
	resume->set = nvs_queue_open(fcinfo, NVS_CONTROL_QUEUE, NVS_CONTROL_STORE,
								 NVS_USE_CHANGE, &resume->queue);
	resume_all(resume);
	nvs_spi_end();
}

/* Give the jobs turns that can have one. */
static void
resume_all(Resume *resume)
{
	int			i;

	resume_lock(resume);
	if (resume->n > 1)
		qsort(resume->jobs, resume->n, sizeof(Resumed), resume_compare);
	resume_take(resume);
	for (i = 0; i < resume->n; i++)
	{
		Resumed    *job = &resume->jobs[i];

		CHECK_FOR_INTERRUPTS();
		if (!job->goes_on)
			continue;
		job->goes_on = resume_add(resume, job);
		if (!job->goes_on)
			resume_give_back(resume, job);
		else
			resume->done[resume->ndone++] = Int64GetDatum(job->id);
	}
	resume_tell(resume);
}

/*
 * Lock the last runs of the jobs that ended as the verb wants it; resume->jobs
 * gets these, in the order of their ids.  An error where one is kept from that.
 */
static void
resume_lock(Resume *resume)
{
	int			tries = 0;
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(resume->queue->number),
				   false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, resume->ids.ids, NULL,
								resume->ids.n), false);
	nvs_params_add(&params, TEXTARRAYOID,
				   OidFunctionCall3(F_ARRAY_IN,
									CStringGetDatum(resume->verb->outcomes),
									ObjectIdGetDatum(TEXTOID),
									Int32GetDatum(-1)),
				   false);

	/*
	 * Who was waited for may have had a job end in another attempt, which the
	 * first snapshot does not show; a newer one tells of those that could go
	 * on and are not locked.
	 */
	for (;;)
	{
		resume->n = resume->nseen = 0;
		resume->unlocked = 0;
		(void) nvs_table_set_each_of(resume->set, &resume_last_runs, &params,
									 false, resume->ids.n, resume_keep,
									 resume);
		(void) nvs_table_set_each(resume->set, &resume_look, &params, false,
								  resume_see, resume);
		if (resume->unlocked == 0)
			return;
		CHECK_FOR_INTERRUPTS();
		if (++tries == NVS_CONTROL_TRIES)
			nvs_job_kept(resume->set, resume->queue, resume->unlocked,
						 resume->verb->participle);
	}
}

/* A job could go on; those whose runs are locked are in the same order. */
static void
resume_see(TupleTableSlot *slot, void *arg)
{
	Resume	   *resume = arg;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	while (resume->nseen < resume->n && resume->jobs[resume->nseen].id < id)
		resume->nseen++;
	if (resume->nseen == resume->n || resume->jobs[resume->nseen].id != id)
		resume->unlocked = resume->unlocked == 0 ? id : resume->unlocked;
}

/* Keep a job whose last run is locked. */
static void
resume_keep(TupleTableSlot *slot, void *arg)
{
	Resume	   *resume = arg;
	Resumed    *job = &resume->jobs[resume->n++];
	MemoryContext old = MemoryContextSwitchTo(resume->cxt);
	bool		isnull;
	Datum		key;
	Datum		due;

	job->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	job->priority = DatumGetInt32(slot_getattr(slot, 2, &isnull));
	job->attempt = DatumGetInt32(slot_getattr(slot, 3, &isnull));
	job->retries = DatumGetInt32(slot_getattr(slot, 4, &isnull));
	key = slot_getattr(slot, 5, &isnull);
	job->key = isnull ? NULL : DatumGetTextPCopy(key);
	due = slot_getattr(slot, 6, &isnull);
	job->due_at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(due);
	MemoryContextSwitchTo(old);
}

/* qsort() comparator: by the bytes of the key, none first, and by id. */
static int
resume_compare(const void *a, const void *b)
{
	const Resumed *x = a;
	const Resumed *y = b;
	int			diff = 0;

	if (x->key != NULL && y->key != NULL)
		diff = nvs_text_compare(x->key, y->key);
	else if (x->key != NULL || y->key != NULL)
		diff = x->key != NULL ? 1 : -1;
	if (diff == 0)
		diff = x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
	return diff;
}

/* Take the keys of the jobs, and then their slots, unless others have them. */
static void
resume_take(Resume *resume)
{
	bool		has_key = false;
	int			i;

	/* Keys in their order; who has one waits for fewer: see queue/lane.c. */
	for (i = 0; i < resume->n; i++)
	{
		Resumed    *job = &resume->jobs[i];

		CHECK_FOR_INTERRUPTS();
		job->goes_on = nvs_key_take_again(resume->set, resume->queue,
										  job->priority, job->id, !has_key);
		has_key = has_key || job->goes_on;
	}

	/* Slots behind all keys, as those who send take them. */
	for (i = 0; i < resume->n; i++)
	{
		Resumed    *job = &resume->jobs[i];

		CHECK_FOR_INTERRUPTS();
		if (!job->goes_on)
			continue;
		job->goes_on = nvs_slot_take_again(resume->set, resume->queue, job->id,
										   &job->has_slot, &job->due_at);
		if (!job->goes_on)
			resume_give_back(resume, job);
	}
}

/* A job does not go on after all: others may have what it has taken. */
static void
resume_give_back(const Resume *resume, const Resumed *job)
{
	Datum		id = Int64GetDatum(job->id);

	nvs_key_give_back(resume->set, resume->queue, job->id);
	if (job->has_slot)
		nvs_slots_cancel(resume->set, resume->queue, &id, 1);
}

/*
 * Give a job its turn; false when it has one, or is gone.  Its last run is
 * locked, and its key and its slot are taken.
 */
static bool
resume_add(Resume *resume, const Resumed *job)
{
	NvsParams	params;
	Datum		may;
	bool		later = job->due_at > GetCurrentTimestamp();

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(resume->queue->number),
				   false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(job->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(job->priority), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(job->attempt), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(job->retries), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(job->due_at),
				   !later);

	/* Where it may start at once the turn has no time. */
	if (nvs_table_set_run(resume->set, &resume_add_turn, &params) > 0)
	{
		(void) nvs_table_set_run(resume->set, &resume_run, &params);
		if (later)
			nvs_queue_due(resume->queue, job->due_at);
		else
			resume->nready++;
		return true;
	}

	/* Nothing was added: others were faster, or rows are kept from that. */
	if (nvs_execute_first(nvs_statement_plan(resume->set->plans,
											 &resume_may_go_on, &params,
											 NULL),
						  &params, false, CurrentMemoryContext, &may) &&
		DatumGetBool(may))
		nvs_job_kept(resume->set, resume->queue, job->id,
					 resume->verb->participle);
	return false;
}

/* Tell who waits for the jobs, or to fetch them, that they go on. */
static void
resume_tell(Resume *resume)
{
	NvsFlowPass *pass;

	if (resume->ndone == 0)
		return;
	pass = nvs_flow_begin(resume->set, NULL, NULL);
	nvs_flow_add(pass, resume->done, resume->ndone, NULL);
	nvs_flow_finish(pass);
	nvs_queue_ready(resume->set, resume->queue, resume->nready);
}
