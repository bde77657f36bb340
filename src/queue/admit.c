/*
 * queue/admit.c
 *	  Which of the jobs that a fetch has locked may run, by their lanes.
 *
 * A job takes a place in the lane of its key, then one in that of its group,
 * and one in that of the group's rate, where its queue has such lanes; see
 * queue/lane.c.  One that gets none waits in that lane, if it is full as all
 * see it, and keeps what it has.  Else somebody is just
 * taking a place, or the job is not the next of its key: then it is left where
 * it is, and looked at again by the next fetch.
 *
 * Where keys are strict, the next one is that before which no job of the key
 * was sent that can be seen, whoever has locked it, but for those of a lower
 * priority.  That is looked for with the place locked: whoever had it before
 * has committed, or was rolled back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/text.h"
#include "queue/lane.h"

/* What becomes of a job. */
typedef enum AdmitVerdict
{
	ADMIT_GO,					/* its run is to begin */
	ADMIT_GONE,					/* somebody else had it */
	ADMIT_LATER,				/* it is left where it is */
	ADMIT_SPARE,				/* it is left: there are enough before it */
	ADMIT_WAIT					/* it waits in a lane */
} AdmitVerdict;

/* Lanes that a job may be in, in the order in which it takes their places. */
typedef enum AdmitStage
{
	ADMIT_KEY,
	ADMIT_GROUP,
	ADMIT_RATE,
	ADMIT_STAGES
} AdmitStage;

/* One of the jobs. */
typedef struct AdmitJob
{
	const NvsFetchedJob *job;
	text	   *lanes[ADMIT_STAGES];	/* NULL: it is in none */
	bool		has_place[ADMIT_STAGES];
	AdmitVerdict verdict;
	text	   *waits_in;
	bool		may_go;			/* unless others have the places */
	int			place;			/* that it is to take; -1: none is free */
	bool	   *held;			/* of the first of a group: whose places */
} AdmitJob;

/* A call. */
typedef struct Admit
{
	NvsFetch   *fetch;
	MemoryContext cxt;
	AdmitJob   *jobs;			/* in the order in which they are to be run */
	int			n;
	AdmitJob  **by_id;
	AdmitStage	stage;
	AdmitJob  **wants;			/* jobs that want places, by their lanes */
	int			nwants;
	int			next;			/* of those that are told of in their order */
} Admit;

/* Is a lane meant, of which these jobs are the first and the last? */
typedef bool (*AdmitLaneFunction) (const Admit *admit, const AdmitJob *first,
								   const AdmitJob *last);

/*
 * What lanes jobs $2 of queue $1, whose priorities are $3, are in, and where
 * they have places already.
 */
static const NvsStatement admit_read = {
	"SELECT j.id, j.key, "
	"(SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) u.id "
	"LIMIT 1) IS NOT NULL, "
	"(SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) u.id "
	"LIMIT 1) IS NOT NULL, "
	"(SELECT l.id FROM {job_lanes} l WHERE l.id OPERATOR(pg_catalog.=) u.id "
	"AND l.held AND l.place OPERATOR(pg_catalog.=) 0 LIMIT 1) IS NOT NULL, "
	"j.group_name, CASE WHEN j.group_name IS NULL THEN false "
	"ELSE (SELECT l.id FROM {job_lanes} l "
	"WHERE l.id OPERATOR(pg_catalog.=) u.id AND l.held "
	"AND l.place OPERATOR(pg_catalog.>) 0 AND l.free_at IS NULL LIMIT 1) "
	"IS NOT NULL END FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) "
	"u (id, priority), LATERAL (SELECT f.id, f.key, f.group_name FROM {jobs} f "
	"WHERE f.queue OPERATOR(pg_catalog.=) $1 "
	"AND f.priority OPERATOR(pg_catalog.=) u.priority "
	"AND f.id OPERATOR(pg_catalog.=) u.id LIMIT 1) j"
};

/*
 * Take the places $3 of the lanes $2 of queue $1 for the jobs $4, until a time
 * or for as long as they run.  Whose row can be seen has his still: who would
 * write it again would wait for who gives it back just now.
 */
#define TAKE_PLACES(free_at) \
	"INSERT INTO {job_lanes} (queue, lane, place, id, held, free_at) " \
	"SELECT $1, u.lane, u.place, u.id, true, " free_at " FROM ROWS FROM (" \
	"pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), " \
	"pg_catalog.unnest($5)) u (lane, place, id, priority) " \
	"WHERE CASE WHEN (SELECT l.id FROM {job_lanes} l " \
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 " \
	"AND l.lane OPERATOR(pg_catalog.=) u.lane " \
	"AND l.place OPERATOR(pg_catalog.=) u.place AND l.held LIMIT 1) " \
	"IS NOT NULL THEN false ELSE "
#define TOLD_IN_ORDER \
	" END ON CONFLICT (queue, lane, place) WHERE held DO NOTHING RETURNING id"

static const NvsStatement admit_take = {
	TAKE_PLACES("$6") "true" TOLD_IN_ORDER
};

/*
 * Take places for jobs that are the next of their keys; $5 are their
 * priorities, and behind $6 are all jobs that no run or turn has.
 */
static const NvsStatement admit_take_next = {
	TAKE_PLACES("NULL") "(SELECT f.priority OPERATOR(pg_catalog.>) u.priority "
	"OR f.priority OPERATOR(pg_catalog.=) u.priority "
	"AND f.id OPERATOR(pg_catalog.<) u.id FROM (SELECT t.priority, t.id "
	"FROM {job_turns} t WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.lane OPERATOR(pg_catalog.=) u.lane AND " NVS_IN_LANE("t") " "
	"ORDER BY t.queue, t.lane, t.priority DESC, t.id LIMIT 1) f) IS NOT TRUE "
	"AND (SELECT j.id FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.key OPERATOR(pg_catalog.=) pg_catalog.substr(u.lane, 2) "
	"AND j.id OPERATOR(pg_catalog.>) $6 AND j.id OPERATOR(pg_catalog.<) u.id "
	"AND j.priority OPERATOR(pg_catalog.>=) u.priority AND j.due_at IS NULL "
	"AND " NVS_NOT_TAKEN " AND " NVS_NO_TURN " LIMIT 1) IS NULL"
	TOLD_IN_ORDER
};

/* Places of the groups $2 of queue $1 that somebody has. */
static const NvsStatement admit_held = {
	"SELECT u.lane, l.place FROM pg_catalog.unnest($2) u (lane), "
	"LATERAL (SELECT h.place FROM {job_lanes} h "
	"WHERE h.queue OPERATOR(pg_catalog.=) $1 "
	"AND h.lane OPERATOR(pg_catalog.=) u.lane AND h.held) l"
};

/* Which of the lanes $2 of queue $1 have no more than $3 places. */
static const NvsStatement admit_full = {
	"SELECT u.lane FROM pg_catalog.unnest($2) u (lane) WHERE "
	"(SELECT pg_catalog.count(*) FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 "
	"AND l.lane OPERATOR(pg_catalog.=) u.lane AND l.held "
	"AND l.place OPERATOR(pg_catalog.>=) 0) OPERATOR(pg_catalog.>=) $3"
};

/* Of each of the lanes $2 of queue $1 make the turn due that comes first. */
static const NvsStatement admit_make_due = {
	"UPDATE {job_turns} t SET due_at = NULL "
	"WHERE t.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT f.id FROM pg_catalog.unnest($2) u (lane), "
	"LATERAL (SELECT s.id, s.due_at FROM {job_turns} s "
	"WHERE s.queue OPERATOR(pg_catalog.=) $1 "
	"AND s.lane OPERATOR(pg_catalog.=) u.lane AND " NVS_IN_LANE("s") " "
	"ORDER BY s.queue, s.lane, s.priority DESC, s.id LIMIT 1 "
	"FOR UPDATE SKIP LOCKED) f WHERE f.due_at IS NOT NULL))"
};

/* Have jobs wait: $1 queue, then of each what a turn has. */
static const NvsStatement admit_wait = {
	"INSERT INTO {job_turns} (queue, id, priority, attempt, retries, lane, "
	"due_at) SELECT $1, u.id, u.priority, u.attempt, u.retries, u.lane, "
	"'infinity' FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), "
	"pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6)) "
	"u (id, priority, attempt, retries, lane) "
	"ON CONFLICT (id) DO UPDATE SET due_at = 'infinity', lane = EXCLUDED.lane"
};

static void admit_init(Admit *admit, NvsFetch *fetch, NvsFetchedJobs *jobs);
static void admit_read_lanes(Admit *admit);
static void admit_keep_lanes(TupleTableSlot *slot, void *arg);
static void admit_keep_job(const Admit *admit, AdmitJob *job,
						   TupleTableSlot *slot);
static int	admit_compare_ids(const void *a, const void *b);
static int	admit_compare_lanes(const void *a, const void *b);
static void admit_to_lanes(Admit *admit, AdmitStage stage);
static void admit_list_wants(Admit *admit);
static int	admit_places(const Admit *admit);
static int	admit_same_lane(const Admit *admit, int first);
static void admit_choose(Admit *admit);
static void admit_lock_places(Admit *admit);
static void admit_read_held(Admit *admit);
static void admit_keep_held(TupleTableSlot *slot, void *arg);
static void admit_lock_group(Admit *admit, int first);
static void admit_take_places(Admit *admit);
static bool admit_place_params(const Admit *admit, NvsParams *params);
static void admit_keep_taken(TupleTableSlot *slot, void *arg);
static int64 admit_settled(const NvsQueue *queue);
static int	admit_lane_params(const Admit *admit, AdmitLaneFunction is_meant,
							  NvsParams *params);
static void admit_look_for_full(Admit *admit);
static bool admit_is_short(const Admit *admit, const AdmitJob *first,
						   const AdmitJob *last);
static void admit_keep_full(TupleTableSlot *slot, void *arg);
static void admit_make_next_due(Admit *admit);
static bool admit_is_not_next(const Admit *admit, const AdmitJob *first,
							  const AdmitJob *last);
static void admit_have_wait(Admit *admit);
static void admit_keep(Admit *admit, NvsFetchedJobs *jobs);

/*
 * Leave in a list of jobs, which are locked, only those that may run; they have
 * their places then.  Others wait in their lanes, or stay where they are.
 */
void
nvs_fetch_admit(NvsFetch *fetch, NvsFetchedJobs *jobs)
{
	Admit		admit;
	int			stage;

	admit_init(&admit, fetch, jobs);

	/* The jobs are locked: a newer snapshot shows what others gave them. */
	nvs_table_set_lock_all(fetch->set);
	PushActiveSnapshot(GetLatestSnapshot());
	admit_read_lanes(&admit);
	PopActiveSnapshot();

	/* One that has no place in one lane wants none in those that follow. */
	for (stage = 0; stage < ADMIT_STAGES; stage++)
		admit_to_lanes(&admit, stage);
	admit_have_wait(&admit);
	admit_keep(&admit, jobs);
}

/* Begin a call. */
static void
admit_init(Admit *admit, NvsFetch *fetch, NvsFetchedJobs *jobs)
{
	int			i;

	memset(admit, 0, sizeof(Admit));
	admit->fetch = fetch;
	admit->cxt = CurrentMemoryContext;
	admit->n = jobs->n;
	admit->jobs = palloc0(sizeof(AdmitJob) * admit->n);
	admit->by_id = palloc(sizeof(AdmitJob *) * admit->n);
	admit->wants = palloc(sizeof(AdmitJob *) * admit->n);
	for (i = 0; i < admit->n; i++)
	{
		admit->jobs[i].job = &jobs->jobs[i];
		admit->jobs[i].verdict = ADMIT_GONE;
		admit->by_id[i] = &admit->jobs[i];
	}
	qsort(admit->by_id, admit->n, sizeof(AdmitJob *), admit_compare_ids);
}

/* qsort() comparator: pointers to jobs by their ids. */
static int
admit_compare_ids(const void *a, const void *b)
{
	int64		x = (*(AdmitJob *const *) a)->job->run.id;
	int64		y = (*(AdmitJob *const *) b)->job->run.id;

	return x < y ? -1 : x > y ? 1 : 0;
}

/*
 * qsort() comparator: pointers to jobs by the lanes that they want places in,
 * which are in waits_in, and of one lane in their order.
 */
static int
admit_compare_lanes(const void *a, const void *b)
{
	const AdmitJob *x = *(AdmitJob *const *) a;
	const AdmitJob *y = *(AdmitJob *const *) b;
	int			diff = nvs_text_compare(x->waits_in, y->waits_in);

	return diff != 0 ? diff : x < y ? -1 : 1;
}

/* Learn which lanes the jobs are in, under the active snapshot. */
static void
admit_read_lanes(Admit *admit)
{
	NvsFetch   *fetch = admit->fetch;
	Datum	   *ids = palloc(sizeof(Datum) * admit->n);
	Datum	   *priorities = palloc(sizeof(Datum) * admit->n);
	NvsParams	params;
	int			i;

	for (i = 0; i < admit->n; i++)
	{
		ids[i] = Int64GetDatum(admit->by_id[i]->job->run.id);
		priorities[i] = Int32GetDatum(admit->by_id[i]->job->run.priority);
	}
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(fetch->queue->number),
				   false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, ids, NULL, admit->n), false);
	nvs_params_add(&params, INT4ARRAYOID,
				   nvs_array_of(INT4OID, priorities, NULL, admit->n), false);
	(void) nvs_table_set_each(fetch->set, &admit_read, &params, true,
							  admit_keep_lanes, admit);
}

/* Keep what was read of a job, which may be there twice. */
static void
admit_keep_lanes(TupleTableSlot *slot, void *arg)
{
	Admit	   *admit = arg;
	MemoryContext old = MemoryContextSwitchTo(admit->cxt);
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	int			low = 0;
	int			high = admit->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (admit->by_id[middle]->job->run.id < id)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < admit->n && admit->by_id[low]->job->run.id == id; low++)
		admit_keep_job(admit, admit->by_id[low], slot);
	MemoryContextSwitchTo(old);
}

/*
 * Keep what was read of a job.  One that was ready and has a run or a turn by
 * now is somebody else's.
 */
static void
admit_keep_job(const Admit *admit, AdmitJob *job, TupleTableSlot *slot)
{
	const NvsQueue *queue = admit->fetch->queue;
	const text *key;
	const text *group;

	slot_getallattrs(slot);
	if (!job->job->is_turn && (DatumGetBool(slot->tts_values[2]) ||
							   DatumGetBool(slot->tts_values[3])))
		return;
	job->verdict = ADMIT_GO;
	key = slot->tts_isnull[1] ? NULL : DatumGetTextPP(slot->tts_values[1]);
	group = slot->tts_isnull[5] ? NULL : DatumGetTextPP(slot->tts_values[5]);
	if (nvs_policy_limits_active(queue->policy) &&
		(key != NULL || queue->policy != NVS_POLICY_KEY_STRICT_FIFO))
		job->lanes[ADMIT_KEY] = nvs_lane_name(NVS_LANE_KEY, key);
	job->has_place[ADMIT_KEY] = DatumGetBool(slot->tts_values[4]);
	if (queue->group_limit > 0 && group != NULL)
		job->lanes[ADMIT_GROUP] = nvs_lane_name(NVS_LANE_GROUP, group);
	job->has_place[ADMIT_GROUP] = DatumGetBool(slot->tts_values[6]);
	if (queue->group_rate.limit > 0 && group != NULL)
		job->lanes[ADMIT_RATE] = nvs_lane_name(NVS_LANE_RATE, group);
}

/* Have the jobs take places in one of their lanes. */
static void
admit_to_lanes(Admit *admit, AdmitStage stage)
{
	admit->stage = stage;
	admit_list_wants(admit);
	admit_choose(admit);
	if (admit->nwants == 0)
		return;
	admit_lock_places(admit);
	admit_take_places(admit);
	admit_look_for_full(admit);
	if (stage == ADMIT_KEY &&
		admit->fetch->queue->policy == NVS_POLICY_KEY_STRICT_FIFO)
		admit_make_next_due(admit);
}

/* List the jobs that want places in lanes of the stage, by their lanes. */
static void
admit_list_wants(Admit *admit)
{
	int			i;

	admit->nwants = 0;
	for (i = 0; i < admit->n; i++)
	{
		AdmitJob   *job = &admit->jobs[i];

		if (job->verdict != ADMIT_GO || job->lanes[admit->stage] == NULL ||
			job->has_place[admit->stage])
			continue;
		job->waits_in = job->lanes[admit->stage];
		job->verdict = ADMIT_LATER;
		job->may_go = false;
		job->place = -1;
		admit->wants[admit->nwants++] = job;
	}
	qsort(admit->wants, admit->nwants, sizeof(AdmitJob *),
		  admit_compare_lanes);
}

/* How many places a lane of the stage has. */
static int
admit_places(const Admit *admit)
{
	const NvsQueue *queue = admit->fetch->queue;

	switch (admit->stage)
	{
		case ADMIT_KEY:
			return 1;
		case ADMIT_GROUP:
			return queue->group_limit;
		default:
			return queue->group_rate.limit;
	}
}

/* How many jobs want places in the lane of the one at an index, from it on. */
static int
admit_same_lane(const Admit *admit, int first)
{
	int			i = first + 1;

	while (i < admit->nwants &&
		   nvs_text_compare(admit->wants[i]->waits_in,
							admit->wants[first]->waits_in) == 0)
		i++;
	return i - first;
}

/*
 * Choose the jobs that are to take places: the first of each lane, and of all
 * no more than the fetch still wants.  What comes behind these is left alone.
 */
static void
admit_choose(Admit *admit)
{
	int			room = admit->fetch->wanted - admit->fetch->taken.n;
	int			places = admit_places(admit);
	int			i;
	int			k;

	/* Of each lane as many as it has places. */
	for (i = 0; i < admit->nwants; i += admit_same_lane(admit, i))
		for (k = Min(admit_same_lane(admit, i), places) - 1; k >= 0; k--)
			admit->wants[i + k]->may_go = true;

	/* Of all, in the order of the fetch, until it has enough. */
	for (i = 0; i < admit->n; i++)
	{
		AdmitJob   *job = &admit->jobs[i];

		if (room == 0 && job->verdict != ADMIT_GONE &&
			job->verdict != ADMIT_WAIT)
		{
			job->verdict = ADMIT_SPARE;
			job->may_go = false;
		}
		else if (job->verdict == ADMIT_GO || job->may_go)
			room--;
	}
}

/* Lock places for the jobs that may go. */
static void
admit_lock_places(Admit *admit)
{
	NvsFetch   *fetch = admit->fetch;
	int			i;

	if (admit->stage != ADMIT_KEY)
	{
		admit_read_held(admit);
		for (i = 0; i < admit->nwants; i += admit_same_lane(admit, i))
			admit_lock_group(admit, i);
		return;
	}
	for (i = 0; i < admit->nwants; i++)
		if (admit->wants[i]->may_go &&
			nvs_lane_lock(fetch->set, fetch->queue, admit->wants[i]->waits_in,
						  NVS_PLACE_KEY, ExclusiveLock))
			admit->wants[i]->place = NVS_PLACE_KEY;
}

/* Learn which places of the groups others have, as all see it. */
static void
admit_read_held(Admit *admit)
{
	NvsPlanSet *plans = admit->fetch->set->plans;
	NvsParams	params;
	int			i;

	for (i = 0; i < admit->nwants; i += admit_same_lane(admit, i))
		admit->wants[i]->held = palloc0(sizeof(bool) * admit_places(admit));
	(void) admit_lane_params(admit, NULL, &params);
	PushActiveSnapshot(GetLatestSnapshot());
	(void) nvs_execute_each(nvs_statement_plan(plans, &admit_held, &params,
											   NULL),
							&params, true, admit_keep_held, admit);
	PopActiveSnapshot();
}

/* Keep that a place is somebody's. */
static void
admit_keep_held(TupleTableSlot *slot, void *arg)
{
	Admit	   *admit = arg;
	bool		isnull;
	text	   *lane = DatumGetTextPP(slot_getattr(slot, 1, &isnull));
	int			place = DatumGetInt32(slot_getattr(slot, 2, &isnull));
	int			low = 0;
	int			high = admit->nwants;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (nvs_text_compare(admit->wants[middle]->waits_in, lane) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < admit->nwants && admit->wants[low]->held != NULL &&
		place >= NVS_PLACE_GROUP && place <= admit_places(admit))
		admit->wants[low]->held[place - NVS_PLACE_GROUP] = true;
}

/*
 * Lock places that are free for the jobs of a group, the first of which is at
 * an index; from anywhere on, so that not all try the same ones.
 */
static void
admit_lock_group(Admit *admit, int first)
{
	NvsFetch   *fetch = admit->fetch;
	const bool *held = admit->wants[first]->held;
	int			last = first + admit_same_lane(admit, first);
	int			limit = admit_places(admit);
	int			next = pg_prng_uint64_range(&pg_global_prng_state, 0,
											limit - 1);
	int			tried = 0;
	int			i;

	for (i = first; i < last; i++)
	{
		AdmitJob   *job = admit->wants[i];

		while (job->may_go && job->place < 0 && tried++ < limit)
		{
			if (!held[next] &&
				nvs_lane_lock(fetch->set, fetch->queue, job->waits_in,
							  NVS_PLACE_GROUP + next, ExclusiveLock))
				job->place = NVS_PLACE_GROUP + next;
			next = (next + 1) % limit;
		}
	}
}

/* Take those of the locked places that are free. */
static void
admit_take_places(Admit *admit)
{
	const NvsQueue *queue = admit->fetch->queue;
	bool		strict = admit->stage == ADMIT_KEY &&
		queue->policy == NVS_POLICY_KEY_STRICT_FIFO;
	NvsParams	params;

	if (!admit_place_params(admit, &params))
		return;

	/* Where keys are strict, who comes first is looked for behind settled. */
	if (strict)
		nvs_params_add(&params, INT8OID, Int64GetDatum(admit_settled(queue)),
					   false);
	else
		nvs_params_add(&params, TIMESTAMPTZOID,
					   TimestampTzGetDatum(GetCurrentTimestamp() +
										   queue->group_rate.span),
					   admit->stage != ADMIT_RATE);
	admit->next = 0;
	(void) nvs_table_set_each(admit->fetch->set,
							  strict ? &admit_take_next : &admit_take, &params,
							  false, admit_keep_taken, admit);
}

/*
 * The parameters that name the places that are locked, and the jobs that they
 * are for; false when none is.
 */
static bool
admit_place_params(const Admit *admit, NvsParams *params)
{
	static const Oid types[] = {TEXTOID, INT4OID, INT8OID, INT4OID};
	Datum	   *values[lengthof(types)];
	int			n = 0;
	int			i;

	for (i = 0; i < lengthof(types); i++)
		values[i] = palloc(sizeof(Datum) * admit->nwants);
	for (i = 0; i < admit->nwants; i++)
	{
		const AdmitJob *job = admit->wants[i];

		if (job->place < 0)
			continue;
		values[0][n] = PointerGetDatum(job->waits_in);
		values[1][n] = Int32GetDatum(job->place);
		values[2][n] = Int64GetDatum(job->job->run.id);
		values[3][n++] = Int32GetDatum(job->job->run.priority);
	}
	if (n == 0)
		return false;
	nvs_params_init(params);
	nvs_params_add(params, INT4OID,
				   Int32GetDatum(admit->fetch->queue->number), false);
	nvs_params_add_arrays(params, types, values, NULL, lengthof(types), n);
	return true;
}

/* A job has its place; jobs come in the order in which they were given. */
static void
admit_keep_taken(TupleTableSlot *slot, void *arg)
{
	Admit	   *admit = arg;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	while (admit->next < admit->nwants)
	{
		AdmitJob   *job = admit->wants[admit->next++];

		if (job->place >= 0 && job->job->run.id == id)
		{
			job->verdict = ADMIT_GO;
			return;
		}
	}
}

/* Behind which position all jobs of a queue are that have no run or turn. */
static int64
admit_settled(const NvsQueue *queue)
{
	int64		settled = PG_INT64_MAX;
	int			i;

	for (i = 0; i < queue->nlevels; i++)
		settled = Min(settled, queue->levels[i].settled);
	return settled;
}

/*
 * The parameters of a statement about those lanes that jobs want places in and
 * that are meant, NULL for all; returns how many these are.
 */
static int
admit_lane_params(const Admit *admit, AdmitLaneFunction is_meant,
				  NvsParams *params)
{
	Datum	   *lanes = palloc(sizeof(Datum) * admit->nwants);
	int			n = 0;
	int			next;
	int			i;

	for (i = 0; i < admit->nwants; i = next)
	{
		const AdmitJob *first = admit->wants[i];

		next = i + admit_same_lane(admit, i);
		if (is_meant == NULL || is_meant(admit, first, admit->wants[next - 1]))
			lanes[n++] = PointerGetDatum(first->waits_in);
	}
	nvs_params_init(params);
	nvs_params_add(params, INT4OID,
				   Int32GetDatum(admit->fetch->queue->number), false);
	nvs_params_add(params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, lanes, NULL, n), false);
	return n;
}

/*
 * Have jobs wait whose lanes are full, as others see it too.  With the lock,
 * and a snapshot that is newer, it will be seen that they wait by who makes
 * room.
 */
static void
admit_look_for_full(Admit *admit)
{
	NvsParams	params;

	if (admit_lane_params(admit, admit_is_short, &params) == 0)
		return;
	nvs_params_add(&params, INT8OID, Int64GetDatum(admit_places(admit)),
				   false);

	PushActiveSnapshot(GetLatestSnapshot());
	(void) nvs_table_set_each(admit->fetch->set, &admit_full, &params, true,
							  admit_keep_full, admit);
	PopActiveSnapshot();
}

/*
 * Has a lane no place for its last job, so that none may have one behind it?
 * Locked then, until the transaction ends, is what those share who have jobs
 * of it wait.
 */
static bool
admit_is_short(const Admit *admit, const AdmitJob *first, const AdmitJob *last)
{
	return last->verdict == ADMIT_LATER &&
		nvs_lane_lock_waiting(admit->fetch->set, admit->fetch->queue,
							  first->waits_in, ShareLock);
}

/* A lane is full: those wait that have no place in it. */
static void
admit_keep_full(TupleTableSlot *slot, void *arg)
{
	Admit	   *admit = arg;
	bool		isnull;
	text	   *lane = DatumGetTextPP(slot_getattr(slot, 1, &isnull));
	int			i;

	for (i = 0; i < admit->nwants; i++)
		if (admit->wants[i]->verdict == ADMIT_LATER &&
			nvs_text_compare(admit->wants[i]->waits_in, lane) == 0)
			admit->wants[i]->verdict = ADMIT_WAIT;
}

/*
 * Where a job is left as it is not the next of its key, that may be one which
 * began to wait when another had been made due: so it is due, too.
 */
static void
admit_make_next_due(Admit *admit)
{
	NvsFetch   *fetch = admit->fetch;
	NvsParams	params;

	if (admit_lane_params(admit, admit_is_not_next, &params) > 0 &&
		nvs_table_set_run(fetch->set, &admit_make_due, &params) > 0)
		fetch->queue->turns_at = 0;
}

/* Had the first job of a lane the place, and could not take it? */
static bool
admit_is_not_next(const Admit *admit pg_attribute_unused(),
				  const AdmitJob *first,
				  const AdmitJob *last pg_attribute_unused())
{
	return first->verdict == ADMIT_LATER && first->place >= 0;
}

/*
 * Write down the jobs that wait: each has a turn from now on, that names its
 * lane and comes due when somebody makes it so.
 */
static void
admit_have_wait(Admit *admit)
{
	static const Oid types[] = {INT8OID, INT4OID, INT4OID, INT4OID, TEXTOID};
	Datum	   *values[lengthof(types)];
	NvsParams	params;
	int			n = 0;
	int			i;

	/* A turn has the number of the last attempt, not of the one to begin. */
	for (i = 0; i < lengthof(types); i++)
		values[i] = palloc(sizeof(Datum) * admit->n);
	for (i = 0; i < admit->n; i++)
	{
		const AdmitJob *job = &admit->jobs[i];

		if (job->verdict != ADMIT_WAIT)
			continue;
		values[0][n] = Int64GetDatum(job->job->run.id);
		values[1][n] = Int32GetDatum(job->job->run.priority);
		values[2][n] = Int32GetDatum(job->job->run.attempt - 1);
		values[3][n] = Int32GetDatum(job->job->run.retries);
		values[4][n++] = PointerGetDatum(job->waits_in);
	}
	if (n == 0)
		return;

	/* The fetch goes on behind those that wait. */
	admit->fetch->waiting += n;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID,
				   Int32GetDatum(admit->fetch->queue->number), false);
	nvs_params_add_arrays(&params, types, values, NULL, lengthof(types), n);

	/* One that has a turn, which is locked, waits by that. */
	(void) nvs_table_set_run(admit->fetch->set, &admit_wait, &params);
}

/* Keep the jobs in the list that are to run, and count those that stay. */
static void
admit_keep(Admit *admit, NvsFetchedJobs *jobs)
{
	NvsFetch   *fetch = admit->fetch;
	int			i;

	jobs->n = 0;
	fetch->spare = 0;
	for (i = 0; i < admit->n; i++)
	{
		const NvsFetchedJob *job = admit->jobs[i].job;
		AdmitVerdict verdict = admit->jobs[i].verdict;

		fetch->left += verdict == ADMIT_LATER;
		if (verdict == ADMIT_GO)
			jobs->jobs[jobs->n++] = *job;
		else if (verdict != ADMIT_LATER && verdict != ADMIT_SPARE)
			continue;
		else if (job->is_turn)
			fetch->queue->turns_at = 0;
		else
		{
			fetch->left_behind = true;
			if (verdict == ADMIT_SPARE && fetch->spare == 0)
				fetch->spare = job->run.id;
		}
	}
}
