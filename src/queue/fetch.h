/*
 * queue/fetch.h
 *	  A fetch: what its steps share.
 */
#ifndef NVS_QUEUE_FETCH_H
#define NVS_QUEUE_FETCH_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/tuplestore.h"

#include "queue/internal.h"

/* In SQL, that no run has job j; a join could be planned otherwise. */
#define NVS_NOT_TAKEN \
	"(SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id " \
	"LIMIT 1) IS NULL"

/* In SQL, that job j has no turn, as those have that wait in lanes. */
#define NVS_NO_TURN \
	"(SELECT w.id FROM {job_turns} w WHERE w.id OPERATOR(pg_catalog.=) j.id " \
	"LIMIT 1) IS NULL"

/* How many jobs that cannot run are enough for one call. */
#define NVS_MAX_STAYING	1000

/* A job that is to be leased, or was. */
typedef struct NvsFetchedJob
{
	NvsRun		run;			/* the one that is to begin */
	bool		is_turn;
	Datum		data;			/* jsonb, in cxt of the fetch */
	bool		has_data;
	TimestampTz created_at;
	Interval   *lease;			/* NULL: the queue's */
	Interval   *max_run;		/* NULL: the queue's, if that has one */
	TimestampTz lease_until;
	TimestampTz run_until;		/* 0: no limit */
} NvsFetchedJob;

/* A list of jobs in the order in which they are to be taken. */
typedef struct NvsFetchedJobs
{
	NvsFetchedJob *jobs;
	int			n;
	int			size;
} NvsFetchedJobs;

/* One call. */
typedef struct NvsFetch
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int			wanted;
	text	   *worker;			/* NULL: unnamed */
	MemoryContext cxt;
	TimestampTz began;
	bool		all;			/* look at everything, pauses or not */
	bool		holds;			/* what children are not to be waited for
								 * with: turns, places, or other children */
	NvsFetchedJobs taken;
	NvsFetchedJobs turns;		/* due and locked, not taken yet */
	NvsFetchedJobs fresh;		/* of one level, locked, not taken yet */
	NvsFetchedJobs *adding;		/* that of both which is being made */
	uint64		walked;			/* jobs that the last walk found */
	int64		frontier;		/* where the level's was at first */
	bool		behind;			/* a job behind it was taken */
	int			waiting;		/* jobs that wait in their lanes from now on */
	int			left;			/* jobs that could have no place just now */
	bool		left_behind;	/* some of these had no turn */
	int64		spare;			/* the first that was locked in vain; 0: none */
	int			nspare;			/* how many were */
	int			made_due;		/* turns that came due by this call */
	int			batch;			/* jobs of a level to be locked together */
	text	   *rate_lane;		/* of the queue, where it has a rate */
	int		   *places;			/* locked in it; those taken come first */
	int			nplaces;
	bool		others_have;	/* others had places of it locked */
} NvsFetch;

/* queue/fetched.c */
extern void nvs_fetched_append(NvsFetchedJobs *jobs, const NvsFetchedJob *job);
extern void nvs_fetched_remove(NvsFetchedJobs *jobs, int n);
extern void nvs_fetched_add(TupleTableSlot *slot, void *arg);
extern void nvs_fetched_add_values(NvsFetch *fetch, const Datum *values,
								   const bool *isnull);
extern int	nvs_fetched_compare(const void *a, const void *b);
extern void nvs_fetched_put(const NvsFetchedJob *job, Tuplestorestate *result,
							TupleDesc desc);
extern bool nvs_look_begins(const NvsFetch *fetch, int64 at);
extern int64 nvs_look_ends(int64 began);

/* queue/begin.c */
extern void nvs_fetch_begin(NvsFetch *fetch, NvsFetchedJobs *jobs);

/* queue/walk.c */
extern void nvs_fetch_level(NvsFetch *fetch, NvsLevel *level);

#endif							/* NVS_QUEUE_FETCH_H */
