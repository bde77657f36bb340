/*
 * queue/rate.c
 *	  How many jobs of a queue, or of a group, may begin in a time.
 *
 * In no time as long as a rate's span do more jobs begin than its limit.  A
 * rate is a lane (queue/lane.c) with as many places: a job that begins takes
 * one, which is free again when the time is over, at free_at of its row,
 * whatever becomes of the job.
 *
 * That of a queue is one lane of all its jobs, in which none waits.  Who
 * fetches locks places before he looks for jobs, wants no more jobs than that,
 * and writes down when their runs have begun; what he locked in vain he lets go
 * at once.  So a fetch that is open for long keeps what it has used, and no
 * more.
 *
 * In that of a group places are taken as for its limit (queue/admit.c), and
 * jobs wait.  Who fetches gives back those whose time has come, and has as many
 * jobs go.
 *
 * Times are counted from when runs have begun, as their rows say.  A place that
 * is to be free later than a span from now speaks of a clock that was set back,
 * or of a span that was longer: it is free a span from now.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "queue/lane.h"

/* In SQL, places of the lane of queue $1. */
#define OF_QUEUE \
	"l.queue OPERATOR(pg_catalog.=) $1 AND l.lane OPERATOR(pg_catalog.=) 'r' " \
	"AND l.held"

/* The places of queue $1 that are not free by $2. */
static const NvsStatement rate_held = {
	"SELECT l.place, l.free_at FROM {job_lanes} l "
	"WHERE " OF_QUEUE " AND l.free_at OPERATOR(pg_catalog.>) $2"
};

/* The places among $3 of queue $1 that are not free by $2. */
static const NvsStatement rate_recheck = {
	"SELECT l.place, l.free_at FROM {job_lanes} l "
	"WHERE " OF_QUEUE " AND l.free_at OPERATOR(pg_catalog.>) $2 "
	"AND l.place OPERATOR(pg_catalog.=) ANY ($3)"
};

/* Take the places $2, which are free, for the jobs $3 until $4. */
static const NvsStatement rate_take = {
	"INSERT INTO {job_lanes} (queue, lane, place, id, held, free_at) "
	"SELECT $1, 'r', u.place, u.id, true, $4 FROM ROWS FROM ("
	"pg_catalog.unnest($2), pg_catalog.unnest($3)) u (place, id) "
	"ON CONFLICT (queue, lane, place) WHERE held "
	"DO UPDATE SET id = EXCLUDED.id, free_at = EXCLUDED.free_at"
};

/* Have those that the jobs $2 have of groups since $3 be free at $4. */
static const NvsStatement rate_begun = {
	"UPDATE {job_lanes} l SET free_at = $4 "
	"WHERE l.id OPERATOR(pg_catalog.=) ANY ($2) AND l.held "
	"AND " NVS_IN_QUEUE("l", "1") " "
	"AND l.free_at OPERATOR(pg_catalog.>=) $3 "
	"AND l.lane OPERATOR(pg_catalog.<>) 'r'"
};

/* In SQL, rows of places of queue $1 that are those of a condition, locked. */
#define THESE_PLACES(condition) \
	"WHERE l.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(" \
	"SELECT f.ctid FROM {job_lanes} f " \
	"WHERE f.queue OPERATOR(pg_catalog.=) $1 AND f.held " \
	"AND f.free_at IS NOT NULL AND f.free_at " condition \
	" FOR UPDATE SKIP LOCKED))"

/*
 * No later than $4 from now are places free, of the queue, or else of groups,
 * $3.  Which ones are, of those behind $2, is judged by the clock once their
 * rows are read: by then whoever took them has looked at it.
 */
static const NvsStatement rate_mend = {
	"UPDATE {job_lanes} l SET free_at = "
	NVS_NOW " OPERATOR(pg_catalog.+) $4 "
	THESE_PLACES("OPERATOR(pg_catalog.>) $2 AND f.free_at "
				 "OPERATOR(pg_catalog.>) (" NVS_NOW
				 " OPERATOR(pg_catalog.+) $4) "
				 "AND (f.lane OPERATOR(pg_catalog.=) 'r') "
				 "OPERATOR(pg_catalog.=) $3")
};

/* Give back up to $3 places of groups whose time has come at $2. */
static const NvsStatement rate_give_back = {
	"UPDATE {job_lanes} l SET held = false "
	THESE_PLACES("OPERATOR(pg_catalog.<=) $2 "
				 "AND f.lane OPERATOR(pg_catalog.<>) 'r' "
				 "ORDER BY f.queue, f.free_at LIMIT $3")
};

/*
 * When the next place is free, behind $2, that a job may wait for: of the
 * queue, if fewer than $3 are now, or of a group in whose lane one does.
 */
static const NvsStatement rate_next = {
	"SELECT l.free_at FROM {job_lanes} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) $1 AND l.held "
	"AND l.free_at IS NOT NULL AND l.free_at OPERATOR(pg_catalog.>) $2 "
	"AND CASE WHEN l.lane OPERATOR(pg_catalog.=) 'r' "
	"THEN (SELECT pg_catalog.count(*) FROM {job_lanes} c "
	"WHERE c.queue OPERATOR(pg_catalog.=) $1 "
	"AND c.lane OPERATOR(pg_catalog.=) 'r' AND c.held "
	"AND c.free_at OPERATOR(pg_catalog.>) $2) OPERATOR(pg_catalog.>=) $3 "
	"ELSE (SELECT t.id FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.lane OPERATOR(pg_catalog.=) l.lane AND " NVS_WAITS_IN_LANE("t") " "
	"LIMIT 1) IS NOT NULL END ORDER BY l.queue, l.free_at LIMIT 1"
};

/* Places that a statement finds. */
typedef struct RateHeld
{
	const NvsRate *rate;
	TimestampTz now;
	bool	   *held;			/* by their numbers, from 0 on */
	bool		mend;			/* one is to be free too late */
} RateHeld;

static void rate_read(const NvsFetch *fetch, RateHeld *state);
static void rate_keep_held(TupleTableSlot *slot, void *arg);
static void rate_lock(NvsFetch *fetch, const RateHeld *state);
static void rate_drop_held(NvsFetch *fetch, const RateHeld *state);
static void rate_unlock(const NvsFetch *fetch, int place);
static void rate_params(const NvsQueue *queue, TimestampTz at,
						NvsParams *params);
static void rate_mend_places(NvsTableSet *set, const NvsQueue *queue,
							 const NvsRate *rate);
static void rate_write_queue(NvsFetch *fetch);
static void rate_write_groups(NvsFetch *fetch);
static Datum rate_ids(const NvsFetch *fetch);

/*
 * Lock places in the rate of the queue for what a fetch wants, which is no more
 * than it gets from here on.
 */
void
nvs_rate_reserve(NvsFetch *fetch)
{
	RateHeld	state = {&fetch->queue->rate};

	if (state.rate->limit == 0)
		return;
	state.now = GetCurrentTimestamp();
	state.held = palloc0(sizeof(bool) * state.rate->limit);
	fetch->places = palloc(sizeof(int) * fetch->wanted);
	fetch->rate_lane = nvs_lane_name(NVS_LANE_RATE, NULL);
	nvs_table_set_lock_all(fetch->set);
	rate_read(fetch, &state);
	rate_lock(fetch, &state);
	if (fetch->nplaces > 0)
	{
		memset(state.held, 0, sizeof(bool) * state.rate->limit);
		rate_read(fetch, &state);
		rate_drop_held(fetch, &state);
	}
	if (state.mend)
		rate_mend_places(fetch->set, fetch->queue, state.rate);
	fetch->wanted = fetch->nplaces;
}

/* Learn which places others have; once we have locked some, of these. */
static void
rate_read(const NvsFetch *fetch, RateHeld *state)
{
	const NvsStatement *statement = &rate_held;
	NvsParams	params;
	int			i;

	rate_params(fetch->queue, state->now, &params);
	if (fetch->nplaces > 0)
	{
		Datum	   *places = palloc(sizeof(Datum) * fetch->nplaces);

		for (i = 0; i < fetch->nplaces; i++)
			places[i] = Int32GetDatum(fetch->places[i]);
		nvs_params_add(&params, INT4ARRAYOID,
					   nvs_array_of(INT4OID, places, NULL, fetch->nplaces),
					   false);
		statement = &rate_recheck;
	}
	PushActiveSnapshot(GetLatestSnapshot());
	(void) nvs_execute_each(nvs_statement_plan(fetch->set->plans, statement,
											   &params, NULL),
							&params, true, rate_keep_held, state);
	PopActiveSnapshot();
}

/* A place is somebody's. */
static void
rate_keep_held(TupleTableSlot *slot, void *arg)
{
	RateHeld   *state = arg;
	bool		isnull;
	int			place = DatumGetInt32(slot_getattr(slot, 1, &isnull));
	TimestampTz at = DatumGetTimestampTz(slot_getattr(slot, 2, &isnull));

	if (place >= NVS_PLACE_GROUP && place <= state->rate->limit)
		state->held[place - NVS_PLACE_GROUP] = true;
	if (at > state->now + state->rate->span)
		state->mend = true;
}

/* Lock places that seem to be free, from anywhere on. */
static void
rate_lock(NvsFetch *fetch, const RateHeld *state)
{
	int			limit = state->rate->limit;
	int			next = pg_prng_uint64_range(&pg_global_prng_state, 0,
											limit - 1);
	int			tried;

	for (tried = 0; tried < limit && fetch->nplaces < fetch->wanted; tried++)
	{
		int			place = NVS_PLACE_GROUP + next;

		if (state->held[next])
			 /* it is free in time */ ;
		else if (nvs_lane_lock(fetch->set, fetch->queue, fetch->rate_lane,
							   place, ExclusiveLock))
			fetch->places[fetch->nplaces++] = place;
		else
			fetch->others_have = true;
		next = (next + 1) % limit;
	}
}

/* Let go of places that turned out to be somebody's. */
static void
rate_drop_held(NvsFetch *fetch, const RateHeld *state)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < fetch->nplaces; i++)
	{
		int			place = fetch->places[i];

		if (state->held[place - NVS_PLACE_GROUP])
			rate_unlock(fetch, place);
		else
			fetch->places[kept++] = place;
	}
	fetch->nplaces = kept;
}

/* Let go of a place that is locked. */
static void
rate_unlock(const NvsFetch *fetch, int place)
{
	nvs_lane_unlock(fetch->set, fetch->queue, fetch->rate_lane, place,
					ExclusiveLock);
}

/* The first parameters: the queue, and a time. */
static void
rate_params(const NvsQueue *queue, TimestampTz at, NvsParams *params)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, TIMESTAMPTZOID, TimestampTzGetDatum(at), false);
}

/* Have no place of a rate be free later than a span from now. */
static void
rate_mend_places(NvsTableSet *set, const NvsQueue *queue, const NvsRate *rate)
{
	TimestampTz at = GetCurrentTimestamp() + rate->span;
	Interval	span = {.time = rate->span};
	NvsParams	params;

	rate_params(queue, at, &params);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(rate == &queue->rate),
				   false);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(&span), false);
	if (nvs_table_set_run(set, &rate_mend, &params) > 0)
		nvs_queue_due(queue, at);
}

/* The runs of the jobs that a fetch has taken have begun. */
void
nvs_rate_begun(NvsFetch *fetch)
{
	int			i;

	if (fetch->queue->rate.limit > 0)
	{
		rate_write_queue(fetch);
		for (i = fetch->taken.n; i < fetch->nplaces; i++)
			rate_unlock(fetch, fetch->places[i]);
	}
	if (fetch->queue->group_rate.limit > 0)
		rate_write_groups(fetch);
}

/* Write down the places that were used in the rate of the queue. */
static void
rate_write_queue(NvsFetch *fetch)
{
	const NvsQueue *queue = fetch->queue;
	TimestampTz free_at = GetCurrentTimestamp() + queue->rate.span;
	Datum	   *places = palloc(sizeof(Datum) * Max(fetch->taken.n, 1));
	NvsParams	params;
	int			i;

	if (fetch->taken.n == 0)
		return;
	for (i = 0; i < fetch->taken.n; i++)
		places[i] = Int32GetDatum(fetch->places[i]);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT4ARRAYOID,
				   nvs_array_of(INT4OID, places, NULL, fetch->taken.n), false);
	nvs_params_add(&params, INT8ARRAYOID, rate_ids(fetch), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(free_at),
				   false);
	if (nvs_table_set_run(fetch->set, &rate_take, &params) != fetch->taken.n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger or rule of %s kept back the start of a job",
						fetch->set->tables[NVS_TABLE_LANES])));
	nvs_queue_due(queue, free_at);
}

/* Have the places that were taken in rates of groups count from now on. */
static void
rate_write_groups(NvsFetch *fetch)
{
	const NvsQueue *queue = fetch->queue;
	int64		span = queue->group_rate.span;
	TimestampTz free_at = GetCurrentTimestamp() + span;
	NvsParams	params;

	if (fetch->taken.n == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8ARRAYOID, rate_ids(fetch), false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(fetch->began + span), false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(free_at),
				   false);
	if (nvs_table_set_run(fetch->set, &rate_begun, &params) > 0)
		nvs_queue_due(queue, free_at);
}

/* The ids of the jobs that a fetch has taken. */
static Datum
rate_ids(const NvsFetch *fetch)
{
	Datum	   *ids = palloc(sizeof(Datum) * fetch->taken.n);
	int			i;

	for (i = 0; i < fetch->taken.n; i++)
		ids[i] = Int64GetDatum(fetch->taken.jobs[i].run.id);
	return nvs_array_of(INT8OID, ids, NULL, fetch->taken.n);
}

/* Give back up to limit places in rates of groups whose time has come. */
void
nvs_rates_give_back(NvsTableSet *set, const NvsQueue *queue, int64 limit)
{
	TimestampTz now = GetCurrentTimestamp();
	NvsParams	params;

	if (queue->group_rate.limit == 0)
		return;
	rate_mend_places(set, queue, &queue->group_rate);
	rate_params(queue, now, &params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(limit), false);
	(void) nvs_table_set_run(set, &rate_give_back, &params);
}

/*
 * When the next job may begin, behind a time, that only a rate keeps from it;
 * DT_NOEND when none does.
 */
TimestampTz
nvs_rate_next(NvsTableSet *set, const NvsQueue *queue, TimestampTz after)
{
	NvsParams	params;
	Datum		at;

	if (queue->rate.limit == 0 && queue->group_rate.limit == 0)
		return DT_NOEND;
	rate_params(queue, after, &params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(queue->rate.limit), false);
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &rate_next, &params,
											  NULL),
						   &params, true, CurrentMemoryContext, &at))
		return DT_NOEND;
	return DatumGetTimestampTz(at);
}
