/*
 * queue/queue.h
 *	  Queues: what this backend knows of them, and what the files share.
 */
#ifndef NVS_QUEUE_QUEUE_H
#define NVS_QUEUE_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/pg_list.h"

#include "base/arg.h"
#include "base/statement.h"
#include "route/direct.h"
#include "route/table_set.h"

/* Tables in their set. */
#define NVS_TABLE_QUEUES	0
#define NVS_TABLE_LEVELS	1
#define NVS_TABLE_JOBS	2
#define NVS_TABLE_TURNS	3
#define NVS_TABLE_RUNS	4
#define NVS_TABLE_LANES	7
#define NVS_TABLE_WAITS	8

/* Columns of {jobs}, as store/layout.c makes them. */
enum
{
	NVS_JOBS_ID,
	NVS_JOBS_CREATED_AT,
	NVS_JOBS_QUEUE,
	NVS_JOBS_PRIORITY,
	NVS_JOBS_DATA,
	NVS_JOBS_KEY,
	NVS_JOBS_DUE_AT,
	NVS_JOBS_LEASE,
	NVS_JOBS_MAX_RUN,
	NVS_JOBS_RETRY_LIMIT,
	NVS_JOBS_RETRY_DELAY,
	NVS_JOBS_RETRY_BACKOFF,
	NVS_JOBS_RETRY_DELAY_MAX,
	NVS_JOBS_DEAD_LETTER,
	NVS_JOBS_ORIGIN,
	NVS_JOBS_FLOW,
	NVS_JOBS_GROUP_NAME,
	NVS_JOBS_COLUMNS
};

/* Columns of {job_runs}. */
enum
{
	NVS_RUNS_ID,
	NVS_RUNS_ATTEMPT,
	NVS_RUNS_QUEUE,
	NVS_RUNS_PRIORITY,
	NVS_RUNS_RETRIES,
	NVS_RUNS_STARTED_AT,
	NVS_RUNS_LEASE_UNTIL,
	NVS_RUNS_WORKER,
	NVS_RUNS_ENDED_AT,
	NVS_RUNS_OUTCOME,
	NVS_RUNS_RUN_UNTIL,
	NVS_RUNS_OUTPUT,
	NVS_RUNS_FLOW,
	NVS_RUNS_PROGRESS,
	NVS_RUNS_COLUMNS
};

/* Jobs that one call may send, fetch or settle. */
#define NVS_MAX_JOBS	100000

/* In SQL, one job of a table. */
#define NVS_THIS_JOB(alias) \
	alias ".queue OPERATOR(pg_catalog.=) $1 " \
	"AND " alias ".priority OPERATOR(pg_catalog.=) $2 " \
	"AND " alias ".id OPERATOR(pg_catalog.=) $3"

/*
 * In SQL, that a row found by its job's id is of queue $n: written so that no
 * index on the queue can be chosen in place of that on the id.
 */
#define NVS_IN_QUEUE(alias, n) \
	"(" alias ".queue OPERATOR(pg_catalog.+) 0) OPERATOR(pg_catalog.=) $" n

/* In SQL, have what belongs to the jobs $2 of queue $1 in a table deleted. */
#define NVS_DELETE_OF_JOBS(table) \
	"DELETE FROM {" table "} t WHERE t.id OPERATOR(pg_catalog.=) ANY ($2) " \
	"AND " NVS_IN_QUEUE("t", "1")

/*
 * In SQL, a job of queue $1 at any of some priorities, a row of a FROM: it is
 * looked for at each of them, by the whole key.  As a condition, a list whose
 * length is not known is planned to be looked up in all jobs of the queue, as
 * long as nothing is known of how many there are.
 */
#define NVS_ALL_PRIORITIES \
	"(SELECT v.priority FROM {job_levels} v " \
	"WHERE v.queue OPERATOR(pg_catalog.=) $1)"
#define NVS_JOB_AT(priorities, id, what) \
	priorities " l (priority), LATERAL (SELECT p.* FROM {jobs} p " \
	"WHERE p.queue OPERATOR(pg_catalog.=) $1 " \
	"AND p.priority OPERATOR(pg_catalog.=) l.priority " \
	"AND p.id OPERATOR(pg_catalog.=) " id " " what ") j "

/*
 * In SQL, any of the priorities that queue $n has as a statement begins, for
 * who has locked what belongs to a job that may have got a new one since.
 */
#define NVS_ANY_PRIORITY(n) \
	"ANY (ARRAY(SELECT l.priority FROM {job_levels} l " \
	"WHERE l.queue OPERATOR(pg_catalog.=) $" n "))"

/* In SQL, the time now: a transaction may have been open for long. */
#define NVS_NOW		"pg_catalog.clock_timestamp()"

/* In SQL, a run that has not ended, nor has its lease. */
#define NVS_RUN_LIVES(alias) \
	alias ".outcome IS NULL " \
	"AND " alias ".lease_until OPERATOR(pg_catalog.>) " NVS_NOW

/*
 * Jobs of one priority, and where to look for those that are ready.  What is
 * up to settled has been taken; up to frontier it has been looked at, by us.
 * Neither has to be right for a job not to be lost: see queue/walk.c.
 */
typedef struct NvsLevel
{
	int32		priority;
	int64		settled;
	int64		saved;			/* settled, as the table has it */
	int64		frontier;
	uint32		recalls;		/* of the hint, when we read it */
	int64		sweep_at;		/* when to look from settled on again */
	int64		span;			/* of ids in which there were enough; 0: any */
} NvsLevel;

/* Of which jobs with one key there is one at a time; see queue/key.c. */
typedef enum NvsPolicy
{
	NVS_POLICY_STANDARD,		/* any number */
	NVS_POLICY_SHORT,			/* those that have not begun */
	NVS_POLICY_EXCLUSIVE,		/* those that have not ended */
	NVS_POLICY_SINGLETON,		/* those that are active */
	NVS_POLICY_STATELY,			/* those of each state until they end */
	NVS_POLICY_KEY_STRICT_FIFO	/* those that have begun, until completed */
} NvsPolicy;

/* How many jobs may begin in any time of a length; see queue/rate.c. */
typedef struct NvsRate
{
	int32		limit;			/* 0: any number */
	int64		span;			/* us */
} NvsRate;

/* A queue; in the state of the set of tables that it was found in. */
typedef struct NvsQueue
{
	char	   *name;
	Oid			role;			/* who read it: others may not see it */
	Oid			storage;		/* of the table of jobs, when it was read */
	bool		unlogged;		/* a crash empties that table */
	int32		number;
	uint64		wakeup;			/* what stands for it in wakeup/jobs.c */
	int			notify;			/* how who listens is told, -1: the setting */
	char	   *channel;		/* on which */
	NvsPolicy	policy;
	bool		paused;
	int32		priority;
	Interval	lease;
	Interval   *max_run;		/* NULL: no limit */
	int32		retry_limit;
	Interval	retry_delay;
	bool		retry_backoff;
	Interval   *retry_delay_max;	/* NULL: no limit */
	char	   *dead_letter;	/* NULL: none */
	int32		group_limit;	/* 0: none */
	NvsRate		rate;			/* of the queue, see queue/rate.c */
	NvsRate		group_rate;		/* of each group */
	bool		has_lanes;		/* see queue/lane.c */
	bool		keeps_ended;	/* jobs that have ended are kept for a time */
	int			nlevels;
	NvsLevel   *levels;			/* the highest priority first */

	/* When to look again for what is rare, uptimes; see queue/fetched.c. */
	int64		due_at;
	int64		turns_at;
	int64		lanes_at;
	int64		expire_at;
	bool		expire_left;	/* some may be left that the next one ends */
	bool		lanes_left;		/* others had places just then, or jobs */

	/* All leases that ended before this have been dealt with. */
	TimestampTz lease_bound;

	/* All claims before noted_at can be seen once noted_xid is the oldest. */
	TimestampTz noted_at;
	TransactionId noted_xid;
	TimestampTz seen_upto;
} NvsQueue;

extern const NvsTableSetKind nvs_queue_tables;

/* queue/queue.c */
extern NvsTableSet *nvs_queue_open(FunctionCallInfo fcinfo, int queue,
								   int store, NvsUse use, NvsQueue **found);
extern NvsQueue *nvs_queue_named(NvsTableSet *set, const char *name);
extern NvsQueue *nvs_queue_require(NvsTableSet *set, const char *name);
extern NvsQueue *nvs_queue_numbered(NvsTableSet *set, int32 number);
pg_noreturn extern void nvs_queue_missing(const char *name);
extern void nvs_queue_check_name(const text *name);
extern void nvs_queue_push_others_snapshot(void);
extern NvsPolicy nvs_queue_policy(const text *name);
extern void nvs_queue_draw(NvsTableSet *set, int64 *ids, int n);
extern NvsDirect *nvs_queue_direct(NvsTableSet *set, int table);
extern bool nvs_queue_shows_all(const NvsTableSet *set);
extern bool nvs_policy_limits_active(NvsPolicy policy);
extern Datum nvs_queue_priorities(const NvsQueue *queue);

/* queue/wakeup.c */
extern void nvs_queue_ready(const NvsTableSet *set, const NvsQueue *queue,
							int n);
extern void nvs_queue_due(const NvsQueue *queue, TimestampTz at);
extern void nvs_queue_taken(const NvsQueue *queue, int n);

/* queue/hint.c */
extern void nvs_hint_init(void);

/* queue/count.c */
extern void nvs_count_init(void);

/* queue/sweep.c */
extern int64 nvs_jobs_sweep(NvsTableSet *set, int64 wanted);

#endif							/* NVS_QUEUE_QUEUE_H */
