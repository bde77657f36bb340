/*
 * queue/internal.h
 *	  What fetching and settling share: runs of jobs.
 */
#ifndef NVS_QUEUE_INTERNAL_H
#define NVS_QUEUE_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "queue/queue.h"

/* A run of a job that has ended, or whose lease has. */
typedef struct NvsRun
{
	int64		id;
	int32		priority;
	int32		attempt;
	int32		retries;		/* that were used up before it */
	bool		flow;			/* its job belongs to a flow */
} NvsRun;

/*
 * A job of which whoever has its lease says something, and what it leaves, or
 * how far it has come.
 */
typedef struct NvsSettledJob
{
	int64		id;
	int32		attempt;
	Datum		output;			/* jsonb */
	bool		has_output;
} NvsSettledJob;

/* Jobs, int8, in the order of their ids, each once. */
typedef struct NvsJobIds
{
	Datum	   *ids;
	int			n;
} NvsJobIds;

/* What is done with the children of jobs that a call ends; see queue/wait.c. */
typedef struct NvsFlowPass NvsFlowPass;

/* What a worker says of the jobs that it had. */
typedef struct NvsWork
{
	NvsSettledJob *completed;
	int			ncompleted;
	NvsSettledJob *failed;
	int			nfailed;
	NvsSettledJob *touched;		/* those that he goes on with */
	int			ntouched;
	Datum	   *settled;		/* ids of those that were completed, int8 */
	int			nsettled;
	int			nlost;			/* of those that failed */
	int			max_count;		/* jobs that are fetched then; 0: none */
	bool		holds;			/* children of jobs of flows are locked */
	NvsSettledJob **gone;		/* of those that were touched */
	int			ngone;
} NvsWork;

/* The first arguments of queue_work() and queue_work_await(). */
enum
{
	NVS_WORK_QUEUE,
	NVS_WORK_COMPLETED,
	NVS_WORK_FAILED,
	NVS_WORK_MAX_COUNT
};

/* The table of parents, among those of the set. */
#define NVS_PARENTS_TABLE	9

/* How a run ended; as text in {job_runs}, where NULL is that it has not. */
#define NVS_RUN_COMPLETED	"completed"
#define NVS_RUN_FAILED		"failed"
#define NVS_RUN_EXPIRED		"expired"
#define NVS_RUN_RELEASED	"released"
#define NVS_RUN_CANCELLED	"cancelled"
#define NVS_RUN_RESUMED		"resumed"	/* was cancelled */

/* How a job has ended for who waits for it, when it was deleted. */
#define NVS_FLOW_DELETED	"deleted"

/* queue/key.c */
extern bool nvs_key_take_again(NvsTableSet *set, const NvsQueue *queue,
							   int32 priority, int64 id,
							   bool may_wait);
extern void nvs_keys_begun(NvsTableSet *set, const NvsQueue *queue,
						   const Datum *ids, int n);
extern bool nvs_key_may_wait(NvsTableSet *set, const NvsQueue *queue,
							 int32 priority, int64 id);
extern void nvs_key_give_back(NvsTableSet *set, const NvsQueue *queue,
							  int64 id);
extern bool nvs_policy_takes_keys(NvsPolicy policy);
extern void nvs_keys_run_ended(NvsTableSet *set, const NvsQueue *queue,
							   int64 id);
extern void nvs_key_failed(NvsTableSet *set, const NvsQueue *queue, int64 id);
extern void nvs_keys_release(NvsTableSet *set, const NvsQueue *queue,
							 const Datum *ids, int n);
extern void nvs_keys_forget(NvsTableSet *set, const NvsQueue *queue,
							const Datum *ids, int n);

/* queue/failed.c */
extern bool nvs_run_failed(NvsTableSet *set, NvsQueue *queue,
						   const NvsRun *run, Datum output, bool has_output);

/* queue/turn.c */
extern void nvs_turn_insert(NvsTableSet *set, const NvsQueue *queue,
							const NvsRun *run, const TimestampTz *due_at);

/* queue/wait.c */
extern bool nvs_flow_any(const NvsTableSet *set);
extern NvsFlowPass *nvs_flow_begin(NvsTableSet *set,
								   void (*waiting) (void *arg, int64 id),
								   void *arg);
extern void nvs_flow_add(NvsFlowPass *pass, const Datum *ids, int n,
						 const char *outcome);
extern void nvs_flow_add_gone(NvsFlowPass *pass, const Datum *ids, int n);
extern void nvs_flow_add_waiting(NvsFlowPass *pass, int64 id);
extern void nvs_flow_finish(NvsFlowPass *pass);
extern void nvs_flow_ended(NvsTableSet *set, const Datum *ids, int n,
						   const char *outcome);
extern void nvs_flow_waiting(NvsTableSet *set, const NvsJobIds *ids,
							 NvsJobIds *waiting);
extern bool nvs_flow_stop_waiting(NvsTableSet *set, const NvsQueue *queue,
								  int64 id, bool stays);
extern void nvs_flow_forget(NvsTableSet *set, const Datum *ids, int n);
extern void nvs_flow_add_queue(NvsFlowPass *pass, Datum number);

/* queue/hint.c */
extern void nvs_hint_load(const NvsQueue *queue, NvsLevel *level);
extern void nvs_hint_save(const NvsQueue *queue, const NvsLevel *level,
						  int64 now);
extern void nvs_hint_note(const NvsQueue *queue, int32 priority, int64 id,
						  bool sent);

/* queue/rate.c */
extern TimestampTz nvs_rate_next(NvsTableSet *set, const NvsQueue *queue,
								 TimestampTz after);

/* queue/walk.c */
extern void nvs_level_settle(NvsTableSet *set, const NvsQueue *queue,
							 NvsLevel *level);

/* queue/expire.c */
extern bool nvs_queue_expire(NvsTableSet *set, NvsQueue *queue,
							 TimestampTz now, int64 limit, NvsJobIds *flow);

/* queue/run.c */
extern bool nvs_run_end(NvsTableSet *set, const NvsQueue *queue,
						const char *outcome, const NvsSettledJob *job,
						NvsRun *run);
extern void nvs_run_check_shown(NvsTableSet *set, const NvsQueue *queue,
								int64 id, int32 attempt);
extern bool nvs_run_extend(NvsTableSet *set, NvsQueue *queue,
						   const NvsSettledJob *job, const Interval *lease,
						   TimestampTz *until);
extern bool nvs_run_note(NvsTableSet *set, const NvsQueue *queue,
						 const NvsSettledJob *job);
extern void nvs_jobs_delete_ended(NvsTableSet *set, const NvsQueue *queue,
								  const Datum *ids, int n);

/* queue/settle_many.c */
extern void nvs_jobs_settle(NvsTableSet *set, NvsQueue *queue, NvsWork *work);

/* queue/fetch.c */
extern text *nvs_worker_argument(FunctionCallInfo fcinfo, int arg);
extern void nvs_fetch_expire_first(NvsTableSet *set, NvsQueue *queue,
								   int max_count, NvsJobIds *flow);
extern int	nvs_queue_fetch_into(NvsTableSet *set, NvsQueue *queue,
								 int max_count, text *worker,
								 const NvsWork *work,
								 Tuplestorestate *result, TupleDesc desc);

/* queue/fetched.c */
extern TupleDesc nvs_fetched_desc(void);

/* queue/work.c */
extern void nvs_work_read(NvsWork *work, FunctionCallInfo fcinfo,
						  int touched);
extern void nvs_work_settle(NvsTableSet *set, NvsQueue *queue,
							NvsWork *work);

#endif							/* NVS_QUEUE_INTERNAL_H */
