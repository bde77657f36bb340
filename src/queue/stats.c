/*
 * queue/stats.c
 *	  What there is to see of queues: how many jobs are where, how old the
 *	  oldest is that is ready, how long jobs wait and run; who works on what.
 *
 * Nothing here goes through a backlog or a history.  How many jobs are where
 * follows from numbers of rows (queue/count.c).  A job has a first run, or it
 * never ran: then it is ready, unless it has a turn or waits for others.  Of
 * those that ran the last run is active, was completed or cancelled, or is
 * followed by a turn; the rest have failed.  Times are those of the newest
 * runs.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/time.h"
#include "queue/fetch.h"
#include "queue/note.h"

/* Runs whose times are looked at. */
#define SAMPLE		"1000"

/* Percentiles of the times of runs, as an array in text. */
#define PERCENTILES	"'{0.5,0.95,0.99}'::pg_catalog.float8[]"
#define NPERCENTILES	3

static const NvsStatement stats_names = {
	"SELECT name FROM {queues} ORDER BY name"
};

/* Turns of queue $1 whose time has come by $2, which still have it. */
static const NvsStatement stats_due = {
	"SELECT pg_catalog.count(*) FILTER (WHERE "
	"t.attempt OPERATOR(pg_catalog.=) 0), "
	"pg_catalog.count(*) FILTER (WHERE t.attempt OPERATOR(pg_catalog.>) 0), "
	/* Of a job that was due at any time nobody knows how long it waits. */
	"pg_catalog.min(t.due_at) FILTER (WHERE "
	"t.due_at OPERATOR(pg_catalog.>) '-infinity') FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND t.due_at IS NOT NULL "
	"AND t.due_at OPERATOR(pg_catalog.<=) $2"
};

/* When the first job of queue $1 and priority $2 behind $3 was sent. */
static const NvsStatement stats_first = {
	"SELECT j.created_at FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $2 "
	"AND j.id OPERATOR(pg_catalog.>) $3 AND j.due_at IS NULL "
	"AND " NVS_NOT_TAKEN " AND " NVS_NO_TURN " "
	"ORDER BY j.queue, j.priority, j.id LIMIT 1"
};

/*
 * When the first turn of queue $1 and priority $2 could be taken.  A join could
 * be planned to begin with the jobs.
 */
static const NvsStatement stats_first_turn = {
	"SELECT COALESCE((SELECT GREATEST(j.created_at, "
	"CASE WHEN j.due_at OPERATOR(pg_catalog.<) 'infinity' THEN j.due_at END) "
	"FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) t.queue "
	"AND j.priority OPERATOR(pg_catalog.=) t.priority "
	"AND j.id OPERATOR(pg_catalog.=) t.id), " NVS_NOW ") FROM {job_turns} t "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"AND t.priority OPERATOR(pg_catalog.=) $2 AND t.due_at IS NULL "
	"ORDER BY t.queue, t.priority DESC, t.id LIMIT 1"
};

/*
 * How long jobs of queue $1 waited for their first runs, and runs took.  A job
 * that waited for others was due at infinity: nobody knows since when it did
 * not.
 */
static const NvsStatement stats_times = {
	"SELECT pg_catalog.percentile_disc(" PERCENTILES ") "
	"WITHIN GROUP (ORDER BY s.wait) FILTER (WHERE s.wait IS NOT NULL), "
	"pg_catalog.percentile_disc(" PERCENTILES ") "
	"WITHIN GROUP (ORDER BY s.run) FILTER (WHERE s.run IS NOT NULL) FROM ("
	"SELECT CASE WHEN r.attempt OPERATOR(pg_catalog.=) 1 THEN "
	"GREATEST(r.started_at OPERATOR(pg_catalog.-) ("
	"SELECT GREATEST(j.created_at, j.due_at) FROM {jobs} j "
	"WHERE j.queue OPERATOR(pg_catalog.=) r.queue "
	"AND j.priority OPERATOR(pg_catalog.=) r.priority "
	"AND j.id OPERATOR(pg_catalog.=) r.id "
	"AND (j.due_at IS NULL OR j.due_at OPERATOR(pg_catalog.<) 'infinity')), "
	"'0'::pg_catalog.interval) END, "
	"CASE WHEN r.outcome OPERATOR(pg_catalog.=) ANY ("
	"'{" NVS_RUN_COMPLETED "," NVS_RUN_FAILED "}'::pg_catalog.text[]) "
	"THEN r.ended_at OPERATOR(pg_catalog.-) r.started_at END "
	"FROM {job_runs} r WHERE r.queue OPERATOR(pg_catalog.=) $1 "
	"AND r.started_at IS NOT NULL "
	"ORDER BY r.queue DESC, r.lease_until DESC LIMIT " SAMPLE ") s (wait, run)"
};

/* Runs of queue $1 that last and whose leases end from $2 on. */
static const NvsStatement stats_active = {
	"SELECT r.id, r.attempt, r.worker, r.started_at, r.lease_until, "
	NVS_NOW " OPERATOR(pg_catalog.-) r.started_at, r.progress "
	"FROM {job_runs} r WHERE r.queue OPERATOR(pg_catalog.=) $1 "
	"AND r.lease_until OPERATOR(pg_catalog.>=) $2 AND r.outcome IS NULL "
	"ORDER BY r.queue, r.lease_until, r.id"
};

/* Columns of queue_stats(). */
enum
{
	STATS_QUEUE,
	STATS_DEPTH,
	STATS_READY,
	STATS_DEFERRED,
	STATS_RETRY,
	STATS_BLOCKED,
	STATS_WAITING,
	STATS_ACTIVE,
	STATS_COMPLETED,
	STATS_FAILED,
	STATS_CANCELLED,
	STATS_OLDEST_AGE,
	STATS_WAIT,					/* and the other percentiles */
	STATS_RUN = STATS_WAIT + NPERCENTILES,
	STATS_COLUMNS = STATS_RUN + NPERCENTILES
};

/* A call. */
typedef struct Stats
{
	NvsTableSet *set;
	NvsQueue   *queue;
	Tuplestorestate *result;
	TupleDesc	desc;
	TimestampTz now;
	int64		counts[NVS_COUNTS];
	int64		new_due;		/* turns whose time has come since */
	int64		retry_due;
	Datum		values[STATS_COLUMNS];
	bool		isnull[STATS_COLUMNS];
} Stats;

PG_FUNCTION_INFO_V1(nvs_queue_stats);
PG_FUNCTION_INFO_V1(nvs_queue_active);

static List *stats_queues(NvsTableSet *set);
static void stats_of_queue(Stats *stats);
static void stats_look(Stats *stats);
static TimestampTz stats_look_due(Stats *stats);
static void stats_look_times(Stats *stats);
static void stats_settle(const Stats *stats, NvsLevel *level);
static TimestampTz stats_look_oldest(const Stats *stats);
static TimestampTz stats_look_level(const Stats *stats,
									const NvsLevel *level);
static void stats_fill(Stats *stats);
static void stats_percentiles(Stats *stats, int column, Datum array,
							  bool isnull);
static void active_run(Stats *stats);
static void active_put_row(TupleTableSlot *slot, void *arg);

/*
 * nvent.queue_stats(queue, store): a row for each queue, by name; of one queue
 * where that is named.
 */
Datum
nvs_queue_stats(PG_FUNCTION_ARGS)
{
	Stats		stats;
	List	   *names;
	ListCell   *lc;

	stats.result = nvs_result_set(fcinfo, &stats.desc);
	nvs_spi_begin();

	/* A queue that is named has to be there; of all there may be none yet. */
	if (PG_ARGISNULL(0))
	{
		stats.set = nvs_table_set_open(&nvs_queue_tables, fcinfo, 1,
									   NVS_USE_READ);
		names = stats.set == NULL ? NIL : stats_queues(stats.set);
	}
	else
	{
		stats.set = nvs_queue_open(fcinfo, 0, 1, NVS_USE_READ, &stats.queue);
		names = list_make1(stats.queue->name);
	}

	/* Each by a snapshot of its own: one may have been dropped by then. */
	foreach(lc, names)
	{
		CHECK_FOR_INTERRUPTS();
		stats.queue = nvs_queue_named(stats.set, lfirst(lc));
		if (stats.queue != NULL)
			stats_of_queue(&stats);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Names of all queues of a store. */
static List *
stats_queues(NvsTableSet *set)
{
	List	   *names = NIL;
	uint64		n = nvs_table_set_query(set, &stats_names, NULL);
	uint64		i;

	for (i = 0; i < n; i++)
		names = lappend(names, SPI_getvalue(SPI_tuptable->vals[i],
											SPI_tuptable->tupdesc, 1));
	return names;
}

/* Put the row of one queue, all of it by one snapshot. */
static void
stats_of_queue(Stats *stats)
{
	memset(stats->isnull, true, sizeof(stats->isnull));
	nvs_count_push(stats->set, stats->queue->number, stats->counts);
	stats->now = GetCurrentTimestamp();
	stats_look(stats);
	PopActiveSnapshot();
	tuplestore_putvalues(stats->result, stats->desc, stats->values,
						 stats->isnull);
}

/* Look at what is to be seen by indexes. */
static void
stats_look(Stats *stats)
{
	TimestampTz oldest = stats_look_due(stats);

	oldest = Min(oldest, stats_look_oldest(stats));
	stats_look_times(stats);
	stats_fill(stats);
	stats->isnull[STATS_OLDEST_AGE] = TIMESTAMP_IS_NOEND(oldest);
	if (!TIMESTAMP_IS_NOEND(oldest))
		stats->values[STATS_OLDEST_AGE] =
			DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(stats->now),
								TimestampTzGetDatum(Min(oldest, stats->now)));
}

/* Look for turns whose time has come, and since when; or never. */
static TimestampTz
stats_look_due(Stats *stats)
{
	NvsParams	params;
	Datum		row[3];
	bool		isnull[3];

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(stats->queue->number),
				   false);
	nvs_params_add(&params, TIMESTAMPTZOID, TimestampTzGetDatum(stats->now),
				   false);
	if (!nvs_execute_row(nvs_statement_plan(stats->set->plans, &stats_due,
											&params, NULL),
						 &params, true, CurrentMemoryContext, 3, row, isnull))
		elog(ERROR, "unexpected result of counting");
	stats->new_due = DatumGetInt64(row[0]);
	stats->retry_due = DatumGetInt64(row[1]);
	return isnull[2] ? DT_NOEND : DatumGetTimestampTz(row[2]);
}

/* Find out from where on there are jobs of a level, for others too. */
static void
stats_settle(const Stats *stats, NvsLevel *level)
{
	nvs_hint_load(stats->queue, level);
	if (RecoveryInProgress())
		return;
	nvs_level_settle(stats->set, stats->queue, level);
	nvs_hint_save(stats->queue, level, nvs_uptime());
}

/*
 * When the oldest of the jobs that come next was sent, or was to start;
 * DT_NOEND where there are none.
 */
static TimestampTz
stats_look_oldest(const Stats *stats)
{
	TimestampTz oldest = DT_NOEND;
	int			i;

	for (i = 0; i < stats->queue->nlevels; i++)
	{
		NvsLevel	level = stats->queue->levels[i];

		stats_settle(stats, &level);
		oldest = Min(oldest, stats_look_level(stats, &level));
	}
	return oldest;
}

/* When the first turn of a level, or the first job without one, could start. */
static TimestampTz
stats_look_level(const Stats *stats, const NvsLevel *level)
{
	NvsPlanSet *plans = stats->set->plans;
	TimestampTz oldest = DT_NOEND;
	NvsParams	params;
	Datum		first;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(stats->queue->number),
				   false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(level->priority), false);
	if (nvs_execute_first(nvs_statement_plan(plans, &stats_first_turn, &params,
											 NULL),
						  &params, true, CurrentMemoryContext, &first))
		oldest = Min(oldest, DatumGetTimestampTz(first));
	nvs_params_add(&params, INT8OID, Int64GetDatum(level->settled), false);
	if (nvs_execute_first(nvs_statement_plan(plans, &stats_first, &params,
											 NULL),
						  &params, true, CurrentMemoryContext, &first))
		oldest = Min(oldest, DatumGetTimestampTz(first));
	return oldest;
}

/* Look how long the newest runs took, and their jobs had waited. */
static void
stats_look_times(Stats *stats)
{
	NvsParams	params;
	Datum		row[2];
	bool		isnull[2];

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(stats->queue->number),
				   false);
	if (!nvs_execute_row(nvs_statement_plan(stats->set->plans, &stats_times,
											&params, NULL),
						 &params, true, CurrentMemoryContext, 2, row, isnull))
		return;
	stats_percentiles(stats, STATS_WAIT, row[0], isnull[0]);
	stats_percentiles(stats, STATS_RUN, row[1], isnull[1]);
}

/* Say how many jobs are where. */
static void
stats_fill(Stats *stats)
{
	const int64 *n = stats->counts;
	int64		new_turns = n[NVS_COUNT_NEW_DUE] + n[NVS_COUNT_NEW_LATER] +
		n[NVS_COUNT_NEW_IN_LANE];
	int64		retry_turns = n[NVS_COUNT_RETRY_DUE] +
		n[NVS_COUNT_RETRY_LATER] + n[NVS_COUNT_RETRY_IN_LANE];
	int64		due = n[NVS_COUNT_NEW_DUE] + n[NVS_COUNT_RETRY_DUE] +
		stats->new_due + stats->retry_due;
	int64		shown[STATS_OLDEST_AGE] = {0};
	int			i;

	/*
	 * Never run, without a turn and waiting for nobody; or with a turn whose
	 * time has come, which is still counted as one that is to come.
	 */
	shown[STATS_READY] = n[NVS_COUNT_JOBS] - n[NVS_COUNT_FIRST_RUNS] -
		new_turns - n[NVS_COUNT_WAITS] + due;
	shown[STATS_DEFERRED] = n[NVS_COUNT_NEW_LATER] - stats->new_due;
	shown[STATS_RETRY] = n[NVS_COUNT_RETRY_LATER] - stats->retry_due;
	shown[STATS_BLOCKED] = n[NVS_COUNT_NEW_IN_LANE] +
		n[NVS_COUNT_RETRY_IN_LANE];
	shown[STATS_WAITING] = n[NVS_COUNT_WAITS];
	for (i = STATS_READY; i < STATS_ACTIVE; i++)
		shown[STATS_DEPTH] += shown[i];

	/* The rest did run; what has failed for good is all that is left of it. */
	shown[STATS_ACTIVE] = n[NVS_COUNT_ACTIVE];
	shown[STATS_COMPLETED] = n[NVS_COUNT_COMPLETED];
	shown[STATS_CANCELLED] = n[NVS_COUNT_CANCELLED];
	shown[STATS_FAILED] = n[NVS_COUNT_FIRST_RUNS] - retry_turns -
		n[NVS_COUNT_ACTIVE] - n[NVS_COUNT_COMPLETED] - n[NVS_COUNT_CANCELLED];

	/* Numbers are there of every queue; times need not be. */
	stats->values[STATS_QUEUE] = CStringGetTextDatum(stats->queue->name);
	stats->isnull[STATS_QUEUE] = false;
	for (i = STATS_DEPTH; i < STATS_OLDEST_AGE; i++)
	{
		stats->values[i] = Int64GetDatum(shown[i]);
		stats->isnull[i] = false;
	}
}

/* Put percentiles, an interval[] of as many, into columns. */
static void
stats_percentiles(Stats *stats, int column, Datum array, bool isnull)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(array), INTERVALOID,
					  sizeof(Interval), false, TYPALIGN_DOUBLE, &elements,
					  &nulls, &n);
	for (i = 0; i < Min(n, NPERCENTILES); i++)
	{
		stats->values[column + i] = elements[i];
		stats->isnull[column + i] = nulls[i];
	}
}

/*
 * nvent.queue_active(queue, store): a row for each job that somebody has, those
 * whose leases run out first come first.
 */
Datum
nvs_queue_active(PG_FUNCTION_ARGS)
{
	Stats		stats;

	stats.result = nvs_result_set(fcinfo, &stats.desc);
	nvs_spi_begin();
	stats.set = nvs_queue_open(fcinfo, 0, 1, NVS_USE_READ, &stats.queue);
	active_run(&stats);
	nvs_spi_end();
	return (Datum) 0;
}

/* Look for runs that last among those whose leases may. */
static void
active_run(Stats *stats)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(stats->queue->number),
				   false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(stats->queue->lease_bound), false);
	(void) nvs_execute_each(nvs_statement_plan(stats->set->plans,
											   &stats_active, &params, NULL),
							&params, true, active_put_row, stats->result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
active_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}
