/*
 * queue/direct.c
 *	  What a job goes through in most calls, without statements.
 *
 * Each function does what a statement elsewhere does, and its caller runs that
 * when there is anything that it cannot do: see route/direct.c for when that is
 * so.  A run that is looked up here and not found is one to ask a statement
 * about; only what is found is settled here.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "queue/direct.h"
#include "queue/fetch.h"
#include "queue/note.h"

/*
 * How many ids a walk looks through first, at least; how many more if there
 * was too little; and from how many on it looks through all.
 */
#define NARROW_SPAN		8
#define WIDER_SPAN		64
#define WIDE_SPAN		4096

/* A walk that is under way. */
typedef struct DirectWalk
{
	NvsFetch   *fetch;
	NvsLevel   *level;
	int			wanted;
	bool		sweep;
	NvsDirectTable jobs;
	NvsDirectTable runs;
	SnapshotData dirty;			/* of the scans of runs */
} DirectWalk;

static bool direct_walk_span(DirectWalk *walk, int64 after, int64 span);
static void direct_walk_keys(const DirectWalk *walk, int64 after, int64 upto,
							 ScanKey keys);
static bool direct_is_ready(const DirectWalk *walk, TupleTableSlot *job);
static int64 direct_id(const TupleTableSlot *job);
static void direct_add_job(NvsFetch *fetch, TupleTableSlot *job);
static bool direct_is_taken(NvsDirectTable *runs, Snapshot snapshot,
							int64 id);
static void direct_add_run(NvsDirectTable *runs, const NvsFetch *fetch,
						   const NvsFetchedJob *job);
static bool direct_find_run(NvsDirectTable *runs, Snapshot snapshot,
							const NvsQueue *queue, const NvsSettledJob *job);
static bool direct_end_run(NvsDirectTable *runs, Datum outcome,
						   const NvsSettledJob *job);
static void direct_add_new_job(NvsDirectTable *jobs, const NvsQueue *queue,
							   const NvsNewJob *job, int64 id);

/*
 * Lock jobs of a level behind an id, as many as are wanted, but those that
 * others have locked; a sweep leaves those out that are taken.  They are added
 * to fetch->adding.  False when a statement has to.
 */
bool
nvs_direct_walk(NvsFetch *fetch, NvsLevel *level, int64 after, bool sweep)
{
	NvsDirect  *direct = nvs_queue_direct(fetch->set, NVS_TABLE_JOBS);
	NvsDirect  *direct_runs = nvs_queue_direct(fetch->set, NVS_TABLE_RUNS);
	int64		span = level->span == 0 ? PG_INT64_MAX : level->span;
	DirectWalk	walk = {fetch, level, fetch->wanted - fetch->taken.n, sweep};
	int64		from = after;

	if (direct == NULL || direct_runs == NULL)
		return false;

	/* A sweep passes over what others are just taking, too: hence dirty. */
	InitDirtySnapshot(walk.dirty);
	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_direct_open(direct, &walk.jobs);
	if (sweep)
		nvs_direct_open(direct_runs, &walk.runs);

	/* Few ids at first, then more, and then all, until there is enough. */
	while (direct_walk_span(&walk, after, span) && span != PG_INT64_MAX)
	{
		after += span;
		span = span > WIDE_SPAN ? PG_INT64_MAX : span * WIDER_SPAN;
	}

	/* The next walk begins with twice the ids that this one took. */
	if (!sweep)
		level->span = fetch->adding->n < walk.wanted ? 0 :
			Max(2 * (direct_id(walk.jobs.locked) - from), NARROW_SPAN);
	if (sweep)
		nvs_direct_close(&walk.runs);
	nvs_direct_close(&walk.jobs);
	PopActiveSnapshot();
	return true;
}

/*
 * Walk so many ids behind one; false when as many jobs as are wanted are had.
 * To find one job a scan of all would look at each of a page of the index.
 */
static bool
direct_walk_span(DirectWalk *walk, int64 after, int64 span)
{
	NvsFetch   *fetch = walk->fetch;
	ScanKeyData keys[4];

	direct_walk_keys(walk, after, span > PG_INT64_MAX - after ? PG_INT64_MAX :
					 after + span, keys);
	nvs_direct_scan(&walk->jobs, GetActiveSnapshot(), keys, lengthof(keys));
	while (fetch->adding->n < walk->wanted && nvs_direct_next(&walk->jobs))
	{
		CHECK_FOR_INTERRUPTS();
		if (direct_is_ready(walk, walk->jobs.slot) &&
			!(walk->sweep && direct_is_taken(&walk->runs, &walk->dirty,
											 direct_id(walk->jobs.slot))) &&
			nvs_direct_lock(&walk->jobs) &&
			direct_is_ready(walk, walk->jobs.locked))
			direct_add_job(fetch, walk->jobs.locked);
	}
	return fetch->adding->n < walk->wanted;
}

/* What finds the jobs of a level behind an id, up to another. */
static void
direct_walk_keys(const DirectWalk *walk, int64 after, int64 upto,
				 ScanKey keys)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(walk->fetch->queue->number));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(walk->level->priority));
	ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(after));
	ScanKeyInit(&keys[3], 3, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(upto));
}

/*
 * Is a job one of a level, without a turn?  Once it is locked that is asked
 * again, since it may be another version then.
 */
static bool
direct_is_ready(const DirectWalk *walk, TupleTableSlot *job)
{
	slot_getsomeattrs(job, NVS_JOBS_DUE_AT + 1);
	return job->tts_isnull[NVS_JOBS_DUE_AT] &&
		DatumGetInt32(job->tts_values[NVS_JOBS_QUEUE]) ==
		walk->fetch->queue->number &&
		DatumGetInt32(job->tts_values[NVS_JOBS_PRIORITY]) ==
		walk->level->priority;
}

/* The id of a job, of which direct_is_ready() has been asked. */
static int64
direct_id(const TupleTableSlot *job)
{
	return DatumGetInt64(job->tts_values[NVS_JOBS_ID]);
}

/* Add a job that is locked to those of a fetch, as nvs_fetched_add() does. */
static void
direct_add_job(NvsFetch *fetch, TupleTableSlot *job)
{
	static const int columns[] = {
		NVS_JOBS_ID, NVS_JOBS_PRIORITY, -1, -1, NVS_JOBS_DATA,
		NVS_JOBS_CREATED_AT, NVS_JOBS_LEASE, NVS_JOBS_MAX_RUN,
		NVS_JOBS_FLOW
	};
	Datum		values[lengthof(columns)] = {0};
	bool		isnull[lengthof(columns)] = {false};
	int			i;

	slot_getallattrs(job);
	for (i = 0; i < lengthof(columns); i++)
		if (columns[i] >= 0)
		{
			values[i] = job->tts_values[columns[i]];
			isnull[i] = job->tts_isnull[columns[i]];
		}
	nvs_fetched_add_values(fetch, values, isnull);
}

/* Has a job a run, if only of a transaction that is still open? */
static bool
direct_is_taken(NvsDirectTable *runs, Snapshot snapshot, int64 id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	nvs_direct_scan(runs, snapshot, &key, 1);
	return nvs_direct_next(runs);
}

/*
 * Begin runs of jobs that are locked, and add those to the ones that are taken
 * whose jobs were not.  False when a statement has to.
 *
 * Whoever begins a first run has the job locked until that is committed, so a
 * snapshot that is newer than our locks shows it.  A dirty one might not, while
 * the run is just being ended: its row moves, and a scan can come too late for
 * the old version and too early for the new one.
 */
bool
nvs_direct_begin(NvsFetch *fetch, const NvsFetchedJobs *jobs)
{
	NvsDirect  *direct = nvs_queue_direct(fetch->set, NVS_TABLE_RUNS);
	NvsDirectTable runs;
	int			n = fetch->taken.n;
	int			nfirst = 0;
	int			i;

	if (direct == NULL)
		return false;

	/* Taken with the jobs locked, it shows runs of all who had them before. */
	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_direct_open(direct, &runs);
	for (i = 0; i < jobs->n; i++)
	{
		const NvsFetchedJob *job = &jobs->jobs[i];

		CHECK_FOR_INTERRUPTS();

		/* Another attempt begins by a turn, which we had, and have deleted. */
		if (job->run.attempt == 1 &&
			direct_is_taken(&runs, GetActiveSnapshot(), job->run.id))
			continue;
		if (runs.nrows == NVS_DIRECT_ROWS)
			nvs_direct_insert(&runs);
		direct_add_run(&runs, fetch, job);
		nvs_fetched_append(&fetch->taken, job);
		nfirst += job->run.attempt == 1;
	}

	/* No trigger is called for these rows, which would note them. */
	nvs_direct_insert(&runs);
	nvs_note_begun(fetch->set, fetch->queue, fetch->taken.n - n, nfirst);
	nvs_direct_close(&runs);
	PopActiveSnapshot();
	return true;
}

/* Add the run that begins of a job to those that are to be inserted. */
static void
direct_add_run(NvsDirectTable *runs, const NvsFetch *fetch,
			   const NvsFetchedJob *job)
{
	TupleTableSlot *row = nvs_direct_add(runs);
	Datum	   *values = row->tts_values;

	memset(row->tts_isnull, true, sizeof(bool) * NVS_RUNS_COLUMNS);
	memset(row->tts_isnull, false, sizeof(bool) * NVS_RUNS_WORKER);
	values[NVS_RUNS_ID] = Int64GetDatum(job->run.id);
	values[NVS_RUNS_ATTEMPT] = Int32GetDatum(job->run.attempt);
	values[NVS_RUNS_QUEUE] = Int32GetDatum(fetch->queue->number);
	values[NVS_RUNS_PRIORITY] = Int32GetDatum(job->run.priority);
	values[NVS_RUNS_RETRIES] = Int32GetDatum(job->run.retries);
	values[NVS_RUNS_STARTED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[NVS_RUNS_LEASE_UNTIL] = TimestampTzGetDatum(job->lease_until);
	values[NVS_RUNS_RUN_UNTIL] = TimestampTzGetDatum(job->run_until);
	row->tts_isnull[NVS_RUNS_RUN_UNTIL] = job->run_until == 0;
	values[NVS_RUNS_WORKER] = PointerGetDatum(fetch->worker);
	row->tts_isnull[NVS_RUNS_WORKER] = fetch->worker == NULL;
	values[NVS_RUNS_FLOW] = BoolGetDatum(true);
	row->tts_isnull[NVS_RUNS_FLOW] = !job->run.flow;
}

/*
 * End runs whose leases are held, and return how many of the first: runs gets
 * what is known of each.  The others are a statement's to end: the next one,
 * which was not found so or was changed while we waited for it, and all behind
 * it, which would be locked before it otherwise.
 */
int
nvs_direct_end(NvsTableSet *set, const NvsQueue *queue, const char *outcome,
			   const NvsSettledJob *jobs, int n, NvsRun *runs)
{
	NvsDirect  *direct = nvs_queue_direct(set, NVS_TABLE_RUNS);
	Datum text = CStringGetTextDatum(outcome);
	NvsDirectTable table;
	int			i;

	if (direct == NULL)
		return 0;

	/* A run that was changed since this snapshot is found out by its update. */
	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_direct_open(direct, &table);
	for (i = 0; i < n; i++)
	{
		const Datum *values = table.slot->tts_values;

		CHECK_FOR_INTERRUPTS();
		if (!direct_find_run(&table, GetActiveSnapshot(), queue, &jobs[i]))
			break;
		runs[i].id = jobs[i].id;
		runs[i].priority = DatumGetInt32(values[NVS_RUNS_PRIORITY]);
		runs[i].attempt = jobs[i].attempt;
		runs[i].retries = DatumGetInt32(values[NVS_RUNS_RETRIES]);
		runs[i].flow = !table.slot->tts_isnull[NVS_RUNS_FLOW];
		if (!direct_end_run(&table, text, &jobs[i]))
			break;
	}

	/* No trigger is called for these rows, which would note them. */
	nvs_note_ended(set, queue, outcome, i);
	nvs_direct_close(&table);
	PopActiveSnapshot();
	return i;
}

/* Find the run of a job while it has its lease; false when it is not there. */
static bool
direct_find_run(NvsDirectTable *runs, Snapshot snapshot,
				const NvsQueue *queue, const NvsSettledJob *job)
{
	TupleTableSlot *run = runs->slot;
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(job->id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(job->attempt));
	nvs_direct_scan(runs, snapshot, keys, lengthof(keys));
	if (!nvs_direct_next(runs))
		return false;
	slot_getallattrs(run);
	return DatumGetInt32(run->tts_values[NVS_RUNS_QUEUE]) == queue->number &&
		run->tts_isnull[NVS_RUNS_OUTCOME] &&
		!run->tts_isnull[NVS_RUNS_LEASE_UNTIL] &&
		DatumGetTimestampTz(run->tts_values[NVS_RUNS_LEASE_UNTIL]) >
		GetCurrentTimestamp();
}

/* End the run that was found; false when it is not as it was found. */
static bool
direct_end_run(NvsDirectTable *runs, Datum outcome, const NvsSettledJob *job)
{
	TupleTableSlot *row = nvs_direct_add(runs);

	memcpy(row->tts_values, runs->slot->tts_values,
		   sizeof(Datum) * NVS_RUNS_COLUMNS);
	memcpy(row->tts_isnull, runs->slot->tts_isnull,
		   sizeof(bool) * NVS_RUNS_COLUMNS);
	row->tts_values[NVS_RUNS_ENDED_AT] =
		TimestampTzGetDatum(GetCurrentTimestamp());
	row->tts_isnull[NVS_RUNS_ENDED_AT] = false;
	row->tts_values[NVS_RUNS_OUTCOME] = outcome;
	row->tts_isnull[NVS_RUNS_OUTCOME] = false;
	row->tts_values[NVS_RUNS_OUTPUT] = job->output;
	row->tts_isnull[NVS_RUNS_OUTPUT] = !job->has_output;
	return nvs_direct_update(runs, row);
}

/*
 * Put complete jobs into a queue; ids has the id of each, or gets it.  False
 * when a statement has to.
 */
bool
nvs_direct_send(NvsTableSet *set, const NvsQueue *queue,
				const NvsNewJob *jobs, int n, int64 *ids, bool has_ids)
{
	NvsDirect  *direct = nvs_queue_direct(set, NVS_TABLE_JOBS);
	NvsDirectTable table;
	int			i;

	if (direct == NULL)
		return false;
	if (!has_ids)
		nvs_queue_draw(set, ids, n);
	PushActiveSnapshot(GetTransactionSnapshot());
	nvs_direct_open(direct, &table);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (table.nrows == NVS_DIRECT_ROWS)
			nvs_direct_insert(&table);
		direct_add_new_job(&table, queue, &jobs[i], ids[i]);
	}
	nvs_direct_insert(&table);
	nvs_note_sent(set, queue, n);
	nvs_direct_close(&table);
	PopActiveSnapshot();
	return true;
}

/* Add a new job to those that are to be inserted. */
static void
direct_add_new_job(NvsDirectTable *jobs, const NvsQueue *queue,
				   const NvsNewJob *job, int64 id)
{
	static const struct
	{
		int			column;
		NvsJobOption option;
	}			options[] = {
		{NVS_JOBS_PRIORITY, NVS_JOB_PRIORITY},
		{NVS_JOBS_KEY, NVS_JOB_KEY},
		{NVS_JOBS_DUE_AT, NVS_JOB_DUE_AT},
		{NVS_JOBS_LEASE, NVS_JOB_LEASE},
		{NVS_JOBS_MAX_RUN, NVS_JOB_MAX_RUN},
		{NVS_JOBS_RETRY_LIMIT, NVS_JOB_RETRY_LIMIT},
		{NVS_JOBS_RETRY_DELAY, NVS_JOB_RETRY_DELAY},
		{NVS_JOBS_RETRY_BACKOFF, NVS_JOB_RETRY_BACKOFF},
		{NVS_JOBS_RETRY_DELAY_MAX, NVS_JOB_RETRY_DELAY_MAX},
		{NVS_JOBS_DEAD_LETTER, NVS_JOB_DEAD_LETTER},
		{NVS_JOBS_ORIGIN, NVS_JOB_ORIGIN},
		{NVS_JOBS_FLOW, NVS_JOB_FLOW},
		{NVS_JOBS_GROUP_NAME, NVS_JOB_GROUP}
	};
	TupleTableSlot *row = nvs_direct_add(jobs);
	Datum	   *values = row->tts_values;
	int			i;

	/* What a statement would leave to defaults is what these would make. */
	memset(row->tts_isnull, false, sizeof(bool) * NVS_JOBS_COLUMNS);
	values[NVS_JOBS_ID] = Int64GetDatum(id);
	values[NVS_JOBS_CREATED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[NVS_JOBS_QUEUE] = Int32GetDatum(queue->number);
	values[NVS_JOBS_DATA] = job->data;
	row->tts_isnull[NVS_JOBS_DATA] = !job->has_data;

	/* What is not said of it is the queue's to say whenever it matters. */
	for (i = 0; i < lengthof(options); i++)
	{
		values[options[i].column] = job->options[options[i].option];
		row->tts_isnull[options[i].column] =
			job->isnull[options[i].option];
	}
}
