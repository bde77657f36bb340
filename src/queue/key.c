/*
 * queue/key.c
 *	  Keys of jobs, of which a queue may want to have one job at a time.
 *
 * What is taken is a row of {job_keys}: a job that takes no key writes none,
 * and nobody who fetches reads them.  By the queue's policy a job has its key
 *
 *	- short: while its state is created, so until its first run begins;
 *	- exclusive: until it has ended, so through all of its retries;
 *	- stately: as in a short one.  Besides, one job of a key is active, and one
 *	  waits to be tried again, which is in {job_lanes}: see queue/lane.c.
 *
 * In a singleton queue one job of a key is active, in a key_strict_fifo one
 * from its first run until it is completed; who sends them takes nothing.
 *
 * A job without a key has that of all such jobs, the empty one, which none can
 * be given.  Dead letters take no key, since nothing of them may be lost.
 *
 * A row is written by who sends the job, or has one that had ended go on; it
 * is deleted by who moves the job on, and holds the job's run, turn or row by
 * then.  So only who wants a key waits for anybody: for the transaction that
 * takes it, or gives it back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/text.h"
#include "position/position.h"
#include "queue/job.h"
#include "queue/lane.h"
#include "route/route.h"

/* Bytes of a key. */
#define MAX_KEY_BYTES	1000

/* A key that a job of a call wants. */
typedef struct KeyWant
{
	text	   *key;
	int			job;			/* which one */
	bool		taken;			/* by another */
} KeyWant;

/* The keys that the jobs of a call want, in the order of these. */
typedef struct KeyWants
{
	NvsTableSet *set;
	const NvsQueue *queue;
	const NvsNewJob *jobs;
	int			njobs;
	int64	   *ids;			/* of the jobs; 0: refused */
	KeyWant    *wants;
	int			n;
	int			next;			/* of those that are told of in their order */
	bool		nobodys;		/* a key is taken for a job that is gone */
} KeyWants;

/*
 * In SQL, that the job is gone that key k of queue $1 was taken for.  It may
 * have a priority since that is newer than what we know of the queue.
 */
#define NOBODYS \
	"(SELECT j.id FROM " \
	NVS_JOB_AT(NVS_ALL_PRIORITIES, "k.id", "OFFSET 0") \
	"LIMIT 1) IS NULL"

/*
 * Which of the keys $2 of queue $1 are taken, by what is committed and nobody
 * is changing: no need to wait; and whether there is no such job.
 */
static const NvsStatement key_look = {
	"SELECT k.key, " NOBODYS " FROM {job_keys} k "
	"WHERE k.queue OPERATOR(pg_catalog.=) $1 "
	"AND k.key OPERATOR(pg_catalog.=) ANY ($2) "
	"AND k.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid"
};

/* Give back those of the keys $2 of queue $1 that are of no job. */
static const NvsStatement key_free = {
	"DELETE FROM {job_keys} k WHERE k.queue OPERATOR(pg_catalog.=) $1 "
	"AND k.key OPERATOR(pg_catalog.=) ANY ($2) AND " NOBODYS
};

/* Take the keys $2 of queue $1 for the jobs $3, in their order. */
static const NvsStatement key_take = {
	"INSERT INTO {job_keys} (queue, key, id) SELECT $1, u.key, u.id "
	"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) "
	"u (key, id) ON CONFLICT DO NOTHING RETURNING id"
};

/* Take the key of job $3 of queue $1 and priority $2. */
static const NvsStatement key_take_again = {
	"INSERT INTO {job_keys} (queue, key, id) "
	"SELECT j.queue, COALESCE(j.key, ''), j.id FROM {jobs} j "
	"WHERE " NVS_THIS_JOB("j") " ON CONFLICT DO NOTHING"
};

/* $1 queue, $2 ids. */
static const NvsStatement key_release = {
	"DELETE FROM {job_keys} k WHERE k.id OPERATOR(pg_catalog.=) ANY ($2) "
	"AND " NVS_IN_QUEUE("k", "1")
};

/* Delete the keys of jobs $2 of queue $1, but for those that are there. */
static const NvsStatement key_forget = {
	"DELETE FROM {job_keys} k WHERE k.id OPERATOR(pg_catalog.=) ANY ($2) "
	"AND " NVS_IN_QUEUE("k", "1") " AND " NOBODYS
};

static void keys_list(KeyWants *wants);
static int	key_compare(const void *a, const void *b);
static void keys_look(KeyWants *wants);
static void key_found_taken(TupleTableSlot *slot, void *arg);
static void keys_insert(KeyWants *wants);
static void key_taken_by_us(TupleTableSlot *slot, void *arg);
static void keys_release(NvsTableSet *set, const NvsQueue *queue,
						 const Datum *ids, int n);
static void keys_params(NvsParams *params, const NvsQueue *queue,
						const Datum *ids, int n);

/* Raise an error for a key or a group of the nth job: empty, or too long. */
void
nvs_key_check(Datum key, const char *what, int n)
{
	int			len = VARSIZE_ANY_EXHDR(DatumGetTextPP(key));

	if (len == 0 || len > MAX_KEY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("%s of job %d must not be empty", what, n) :
				 errmsg("%s of job %d is too long", what, n),
				 errdetail("It has 1 to %d bytes; this one has %d.",
						   MAX_KEY_BYTES, len)));
}

/* Draw ids in the order of n jobs, for those whose ids are not 0 so far. */
void
nvs_jobs_draw(NvsTableSet *set, int64 *ids, int n)
{
	int64	   *drawn = palloc(sizeof(int64) * n);
	int			ndrawn = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (ids[i] != 0)
			ndrawn++;
	if (ndrawn == 0)
		return;
	nvs_position_draw(nvs_draw_require(set->prefix, strlen(set->prefix)),
					  drawn, ndrawn);
	for (i = n - 1; i >= 0; i--)
		if (ids[i] != 0)
			ids[i] = drawn[--ndrawn];
}

/*
 * Take the keys of jobs that are to be put into a queue whose policy is about
 * them.  ids gets a new id of each, unless they have them; 0 where another job
 * has the key: that of the store, or an earlier one of the call.  A transaction
 * that is taking or giving back one of the keys is waited for, in the order of
 * the keys.
 */
void
nvs_keys_take(NvsTableSet *set, const NvsQueue *queue, const NvsNewJob *jobs,
			  int n, int64 *ids, bool has_ids)
{
	KeyWants	wants = {set, queue, jobs, n, ids, NULL, 0, 0};
	int			i;

	/* Those that are plainly refused need none. */
	for (i = 0; i < n && !has_ids; i++)
		ids[i] = 1;
	keys_list(&wants);
	if (wants.n > 0)
		keys_look(&wants);
	if (!has_ids)
		nvs_jobs_draw(set, ids, n);
	keys_insert(&wants);
}

/* List the keys that are wanted; the first job that wants one may have it. */
static void
keys_list(KeyWants *wants)
{
	int			i;

	wants->wants = palloc(sizeof(KeyWant) * wants->njobs);
	for (i = 0; i < wants->njobs; i++)
	{
		const NvsNewJob *job = &wants->jobs[i];
		KeyWant    *want = &wants->wants[wants->n];

		if (job->keyless)
			continue;
		want->key = job->isnull[NVS_JOB_KEY] ? cstring_to_text("") :
			DatumGetTextPP(job->options[NVS_JOB_KEY]);
		want->job = i;
		want->taken = false;
		wants->n++;
	}
	qsort(wants->wants, wants->n, sizeof(KeyWant), key_compare);
	for (i = 1; i < wants->n; i++)
		if (nvs_text_compare(wants->wants[i - 1].key,
							 wants->wants[i].key) == 0)
		{
			wants->wants[i].taken = true;
			wants->ids[wants->wants[i].job] = 0;
		}
}

/* qsort() comparator: by key, and of one key the first job first. */
static int
key_compare(const void *a, const void *b)
{
	const KeyWant *x = a;
	const KeyWant *y = b;
	int			diff = nvs_text_compare(x->key, y->key);

	return diff != 0 ? diff : x->job - y->job;
}

/*
 * Refuse the jobs whose keys are plainly taken, before anything is written; but
 * who deletes a job by hand may leave its key behind, which is given back here.
 */
static void
keys_look(KeyWants *wants)
{
	Datum	   *keys = palloc(sizeof(Datum) * wants->n);
	NvsParams	params;
	int			i;

	for (i = 0; i < wants->n; i++)
		keys[i] = PointerGetDatum(wants->wants[i].key);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(wants->queue->number),
				   false);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, keys, NULL, wants->n), false);
	(void) nvs_table_set_each(wants->set, &key_look, &params, false,
							  key_found_taken, wants);
	if (wants->nobodys)
		(void) nvs_table_set_run(wants->set, &key_free, &params);
}

/* A key is taken: refuse the first of the jobs that want it. */
static void
key_found_taken(TupleTableSlot *slot, void *arg)
{
	KeyWants   *wants = arg;
	bool		isnull;
	text	   *key = DatumGetTextPP(slot_getattr(slot, 1, &isnull));
	int			low = 0;
	int			high = wants->n;

	/* Who does not see all jobs cannot know. */
	if (DatumGetBool(slot_getattr(slot, 2, &isnull)) &&
		nvs_queue_shows_all(wants->set))
	{
		wants->nobodys = true;
		return;
	}

	/* They are in the order of bytes; of one key the first job comes first. */
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (nvs_text_compare(wants->wants[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == wants->n || nvs_text_compare(wants->wants[low].key, key) != 0)
		return;					/* by no collation of ours */
	wants->wants[low].taken = true;
	wants->ids[wants->wants[low].job] = 0;
}

/* Take the keys for the jobs that have ids; the ids of others are 0 then. */
static void
keys_insert(KeyWants *wants)
{
	Datum	   *keys = palloc(sizeof(Datum) * wants->njobs);
	Datum	   *ids = palloc(sizeof(Datum) * wants->njobs);
	NvsParams	params;
	int			n = 0;
	int			i;

	for (i = 0; i < wants->n; i++)
		if (!wants->wants[i].taken)
		{
			keys[n] = PointerGetDatum(wants->wants[i].key);
			ids[n++] = Int64GetDatum(wants->ids[wants->wants[i].job]);
		}
	if (n == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(wants->queue->number),
				   false);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, keys, NULL, n), false);
	nvs_params_add(&params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	(void) nvs_table_set_each(wants->set, &key_take, &params, false,
							  key_taken_by_us, wants);
	while (wants->next < wants->n)
		wants->ids[wants->wants[wants->next++].job] = 0;
}

/* A key is ours; those before it, which were not told of, are not. */
static void
key_taken_by_us(TupleTableSlot *slot, void *arg)
{
	KeyWants   *wants = arg;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	while (wants->next < wants->n)
	{
		int64	   *of_job = &wants->ids[wants->wants[wants->next++].job];

		if (*of_job == id)
			break;
		*of_job = 0;
	}
}

/*
 * Take the key of a job that had ended, and is to go on; false when another has
 * it.  Whoever is taking it or giving it back is waited for; in a stately
 * queue, where not may_wait as he has one by now, only who has a job go on.
 */
bool
nvs_key_take_again(NvsTableSet *set, const NvsQueue *queue, int32 priority,
				   int64 id, bool may_wait)
{
	NvsParams	params;

	if (queue->policy == NVS_POLICY_STATELY)
		return nvs_lane_go_on(set, queue, priority, id, may_wait);
	if (queue->policy != NVS_POLICY_EXCLUSIVE)
		return true;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(priority), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(id), false);
	return nvs_table_set_run(set, &key_take_again, &params) > 0;
}

/*
 * May a job that is active wait for another turn?  In a stately queue one of a
 * key may at a time; whoever is about to, or not to any more, is waited for.
 */
bool
nvs_key_may_wait(NvsTableSet *set, const NvsQueue *queue, int32 priority,
				 int64 id)
{
	return queue->policy != NVS_POLICY_STATELY ||
		nvs_lane_wait_again(set, queue, priority, id);
}

/* A job that took its key again does not go on after all. */
void
nvs_key_give_back(NvsTableSet *set, const NvsQueue *queue, int64 id)
{
	Datum		ids = Int64GetDatum(id);

	nvs_lanes_release(set, queue, &ids, 1, NVS_PLACE_RETRY, NVS_PLACE_RETRY);
	if (queue->policy == NVS_POLICY_EXCLUSIVE)
		keys_release(set, queue, &ids, 1);
}

/* Does who sends a job take its key? */
bool
nvs_policy_takes_keys(NvsPolicy policy)
{
	return policy == NVS_POLICY_SHORT || policy == NVS_POLICY_EXCLUSIVE ||
		policy == NVS_POLICY_STATELY;
}

/* Runs of jobs, int8, have begun. */
void
nvs_keys_begun(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
			   int n)
{
	if (queue->policy == NVS_POLICY_STATELY)
		nvs_lanes_release(set, queue, ids, n, NVS_PLACE_RETRY, NVS_PLACE_RETRY);
	if (queue->policy == NVS_POLICY_SHORT ||
		queue->policy == NVS_POLICY_STATELY)
		keys_release(set, queue, ids, n);
}

/* A run of a job has ended, and the job goes on. */
void
nvs_keys_run_ended(NvsTableSet *set, const NvsQueue *queue, int64 id)
{
	Datum		ids = Int64GetDatum(id);

	nvs_lanes_release(set, queue, &ids, 1,
					  queue->policy == NVS_POLICY_KEY_STRICT_FIFO ?
					  NVS_PLACE_GROUP : NVS_PLACE_KEY, NVS_PLACE_LAST);
}

/* A job has failed for good: where keys are strict, it keeps others waiting. */
void
nvs_key_failed(NvsTableSet *set, const NvsQueue *queue, int64 id)
{
	Datum		ids = Int64GetDatum(id);

	if (queue->policy == NVS_POLICY_KEY_STRICT_FIFO)
		nvs_keys_run_ended(set, queue, id);
	else
		nvs_keys_release(set, queue, &ids, 1);
}

/*
 * Give back the keys of jobs, int8, that have ended or are deleted, and their
 * places in lanes.
 */
void
nvs_keys_release(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				 int n)
{
	nvs_lanes_release(set, queue, ids, n, NVS_PLACE_RETRY, NVS_PLACE_LAST);
	keys_release(set, queue, ids, n);
}

/* Give back the keys that senders of jobs, int8, took. */
static void
keys_release(NvsTableSet *set, const NvsQueue *queue, const Datum *ids, int n)
{
	NvsParams	params;

	if (!nvs_policy_takes_keys(queue->policy) || n == 0)
		return;
	keys_params(&params, queue, ids, n);
	(void) nvs_table_set_run(set, &key_release, &params);
}

/* Give back the keys of those among jobs, int8, that we have deleted. */
void
nvs_keys_forget(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				int n)
{
	NvsParams	params;

	nvs_lanes_forget(set, queue, ids, n);
	if (!nvs_policy_takes_keys(queue->policy) || n == 0)
		return;
	keys_params(&params, queue, ids, n);
	(void) nvs_table_set_run(set, &key_forget, &params);
}

/* The parameters that name a queue and jobs of it. */
static void
keys_params(NvsParams *params, const NvsQueue *queue, const Datum *ids, int n)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
}
