/*
 * queue/queue.c
 *	  Queues: their rows, as this backend knows them.
 *
 * A job is a row of {jobs} that is written once.  Where it stands is in narrow
 * rows beside it, so that no step of its life writes it again, and what has
 * ended leaves nothing behind that those who fetch would have to walk over:
 *
 *	- in {jobs} alone it is ready, behind the settled position of its level in
 *	  {job_levels}, a level being the jobs of a queue of one priority;
 *	- in {job_turns} it is ready too, or will be at due_at: it was to start
 *	  later, is to be tried again, or was given back;
 *	- in {job_runs} it has a row for each attempt, which is active while outcome
 *	  is NULL.  The last one, where there is no turn, says how it ended.
 *
 * A job of a flow waits, while it has a row in {job_waits}, for those that it
 * has rows of in {job_parents}: see queue/wait.c.
 *
 * Which keys of jobs are taken, where a queue wants one job of each, is in
 * {job_keys}: see queue/key.c; which slots of time are, where it wants one job
 * in each, in {job_slots}: see queue/slot.c.  Where only so many may be active
 * at a time, those that are have places in {job_lanes}, and others wait: see
 * queue/lane.c.
 *
 * queue/admin.c makes queues, queue/send.c jobs; queue/fetch.c leases them to
 * workers, queue/settle.c is for who holds a lease, queue/control.c for
 * operators.
 *
 * A queue is read when it is first used, and again when {queues} or
 * {job_levels} has changed: triggers of ours have every session told.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "position/position.h"
#include "queue/queue.h"
#include "route/route.h"
#include "wakeup/jobs.h"

/* What the name of {queues} ends with, behind that of the store. */
#define QUEUES_SUFFIX	"_queues"

/* Bytes of a queue's name. */
#define MAX_NAME_BYTES	255

/* Columns of the tables of queues, as store/layout.c makes them. */
static const NvsTableSetColumn queue_columns[] = {
	{0, "name", TEXTOID, true},
	{0, "number", INT4OID, true},
	{0, "policy", TEXTOID, true},
	{0, "paused_at", TIMESTAMPTZOID},
	{0, "priority", INT4OID, true},
	{0, "lease", INTERVALOID, true},
	{0, "max_run", INTERVALOID},
	{0, "retry_limit", INT4OID, true},
	{0, "retry_delay", INTERVALOID, true},
	{0, "retry_backoff", BOOLOID, true},
	{0, "retry_delay_max", INTERVALOID},
	{0, "dead_letter", TEXTOID},
	{0, "keep_queued", INTERVALOID},
	{0, "keep_ended", INTERVALOID},
	{0, "notify", TEXTOID},
	{0, "group_limit", INT4OID},
	{0, "rate_limit", INT4OID},
	{0, "rate_interval", INTERVALOID},
	{0, "group_rate_limit", INT4OID},
	{0, "group_rate_interval", INTERVALOID},
	{0, "created_at", TIMESTAMPTZOID, true},
	{0, "updated_at", TIMESTAMPTZOID, true},
	{1, "queue", INT4OID, true},
	{1, "priority", INT4OID, true},
	{1, "settled", INT8OID, true},
	{1, "leases_from", TIMESTAMPTZOID, true},
	{2, "id", INT8OID, true},
	{2, "created_at", TIMESTAMPTZOID, true},
	{2, "queue", INT4OID, true},
	{2, "priority", INT4OID, true},
	{2, "data", JSONBOID},
	{2, "key", TEXTOID},
	{2, "due_at", TIMESTAMPTZOID},
	{2, "lease", INTERVALOID},
	{2, "max_run", INTERVALOID},
	{2, "retry_limit", INT4OID},
	{2, "retry_delay", INTERVALOID},
	{2, "retry_backoff", BOOLOID},
	{2, "retry_delay_max", INTERVALOID},
	{2, "dead_letter", TEXTOID},
	{2, "origin", JSONBOID},
	{2, "flow", BOOLOID},
	{2, "group_name", TEXTOID},
	{3, "id", INT8OID, true},
	{3, "queue", INT4OID, true},
	{3, "priority", INT4OID, true},
	{3, "attempt", INT4OID, true},
	{3, "retries", INT4OID, true},
	{3, "due_at", TIMESTAMPTZOID},
	{3, "lane", TEXTOID},
	{4, "id", INT8OID, true},
	{4, "attempt", INT4OID, true},
	{4, "queue", INT4OID, true},
	{4, "priority", INT4OID, true},
	{4, "retries", INT4OID, true},
	{4, "started_at", TIMESTAMPTZOID},
	{4, "lease_until", TIMESTAMPTZOID},
	{4, "worker", TEXTOID},
	{4, "ended_at", TIMESTAMPTZOID},
	{4, "outcome", TEXTOID},
	{4, "run_until", TIMESTAMPTZOID},
	{4, "output", JSONBOID},
	{4, "flow", BOOLOID},
	{4, "progress", JSONBOID},
	{5, "queue", INT4OID, true},
	{5, "key", TEXTOID, true},
	{5, "id", INT8OID, true},
	{6, "queue", INT4OID, true},
	{6, "key", TEXTOID, true},
	{6, "starts_at", TIMESTAMPTZOID, true},
	{6, "ends_at", TIMESTAMPTZOID, true},
	{6, "id", INT8OID, true},
	{6, "cancelled", BOOLOID, true},
	{7, "queue", INT4OID, true},
	{7, "lane", TEXTOID, true},
	{7, "place", INT4OID, true},
	{7, "id", INT8OID, true},
	{7, "held", BOOLOID, true},
	{7, "free_at", TIMESTAMPTZOID},
	{8, "id", INT8OID, true},
	{8, "queue", INT4OID, true},
	{8, "priority", INT4OID, true},
	{8, "pending", INT4OID, true},
	{8, "on_failure", TEXTOID, true},
	{8, "due_at", TIMESTAMPTZOID},
	{9, "id", INT8OID, true},
	{9, "parent", INT8OID, true},
	{9, "queue", INT4OID, true},
	{9, "parent_queue", INT4OID, true},
	{9, "outcome", TEXTOID},
	{9, "output", JSONBOID},
	{-1}
};

const NvsTableSetKind nvs_queue_tables = {
	10, {"queues", "job_levels", "jobs", "job_turns", "job_runs", "job_keys",
	"job_slots", "job_lanes", "job_waits", "job_parents"},
	queue_columns, true, 1 << NVS_TABLE_QUEUES | 1 << NVS_TABLE_JOBS,
	"queue_counted"
};

/* The queues of a store that were used. */
typedef struct QueueState
{
	List	   *queues;			/* NvsQueue */
	NvsDirect  *direct[NVS_TABLE_SET_MAX];	/* NULL: not compiled yet */
	Oid			draws;			/* nvent.next_position(); 0: not known yet */
} QueueState;

/* $1 its name. */
static const NvsStatement queue_read = {
	"SELECT number, paused_at IS NOT NULL, priority, lease, max_run, "
	"retry_limit, retry_delay, retry_backoff, retry_delay_max, dead_letter, "
	"keep_ended IS NULL OR keep_ended OPERATOR(pg_catalog.>) '0'::interval, "
	"policy, notify, group_limit, rate_limit, rate_interval, "
	"group_rate_limit, group_rate_interval FROM {queues} "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/* $1 its number. */
static const NvsStatement queue_read_levels = {
	"SELECT priority, settled, leases_from FROM {job_levels} "
	"WHERE queue OPERATOR(pg_catalog.=) $1 ORDER BY priority DESC"
};

/* $1 a number. */
static const NvsStatement queue_read_name = {
	"SELECT name FROM {queues} WHERE number OPERATOR(pg_catalog.=) $1"
};

/* The levels of queues' own priorities, in the order in which all make them. */
static const NvsStatement queue_add_missing_levels = {
	"INSERT INTO {job_levels} (queue, priority) "
	"SELECT q.number, q.priority FROM {queues} q "
	"WHERE NOT EXISTS (SELECT FROM {job_levels} l "
	"WHERE l.queue OPERATOR(pg_catalog.=) q.number "
	"AND l.priority OPERATOR(pg_catalog.=) q.priority) "
	"ORDER BY q.number ON CONFLICT DO NOTHING"
};

/* Names of the policies. */
static const char *const queue_policies[] = {
	[NVS_POLICY_STANDARD] = "standard",
	[NVS_POLICY_SHORT] = "short",
	[NVS_POLICY_EXCLUSIVE] = "exclusive",
	[NVS_POLICY_SINGLETON] = "singleton",
	[NVS_POLICY_STATELY] = "stately",
	[NVS_POLICY_KEY_STRICT_FIFO] = "key_strict_fifo"
};

PG_FUNCTION_INFO_V1(nvs_queue_changed);
PG_FUNCTION_INFO_V1(nvs_queue_policy_changed);

static QueueState *queue_state(NvsTableSet *set);
static NvsQueue *queue_load(NvsTableSet *set, const char *name);
static NvsQueue *queue_make(NvsTableSet *set, const char *name,
							const Datum *row, const bool *isnull);
static void queue_take_row(NvsQueue *queue, const Datum *row,
						   const bool *isnull, MemoryContext cxt);
static NvsRate queue_take_rate(const Datum *row, const bool *isnull);
static Interval *queue_copy_interval(Datum value, bool isnull,
									 MemoryContext cxt);
static void queue_load_levels(NvsTableSet *set, NvsQueue *queue);
static bool queue_sets_priority(const TriggerData *trigger);
static void queue_add_levels(Relation queues);
static bool queue_may(const NvsTableSet *set, int table, AclMode mode);

/*
 * nvent.queue_changed(), a trigger of {queues} and {job_levels}: has every
 * session read the store's queues again, others once we commit, and look again
 * who waits for jobs.  Queues that get a priority get its level.
 */
Datum
nvs_queue_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	trigger = (TriggerData *) fcinfo->context;
	CacheInvalidateRelcache(trigger->tg_relation);
	nvs_jobs_note_all();
	if (queue_sets_priority(trigger))
		queue_add_levels(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/* Did a statement set priorities of queues?  Not where others replay it. */
static bool
queue_sets_priority(const TriggerData *trigger)
{
	AttrNumber	column;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return false;
	column = get_attnum(RelationGetRelid(trigger->tg_relation), "priority");
	return column != InvalidAttrNumber &&
		bms_is_member(column - FirstLowInvalidHeapAttributeNumber,
					  trigger->tg_updatedcols);
}

/*
 * Make the levels that queues of a store want and have not: those who put a
 * dead letter into one would wait for each other while they have runs.  Who may
 * not do this leaves it to these.
 */
static void
queue_add_levels(Relation queues)
{
	const char *name = RelationGetRelationName(queues);
	int			len = strlen(name) - strlen(QUEUES_SUFFIX);
	NvsTableSet *set;
	NvsParams	params;

	if (len <= 0 || strcmp(name + len, QUEUES_SUFFIX) != 0)
		return;
	nvs_spi_begin();
	set = nvs_table_set_find_to_change(&nvs_queue_tables, pnstrdup(name, len));
	nvs_params_init(&params);
	if (set != NULL &&
		set->relids[NVS_TABLE_QUEUES] == RelationGetRelid(queues) &&
		queue_may(set, NVS_TABLE_QUEUES, ACL_SELECT) &&
		queue_may(set, NVS_TABLE_LEVELS, ACL_SELECT) &&
		queue_may(set, NVS_TABLE_LEVELS, ACL_INSERT))
		(void) nvs_table_set_run(set, &queue_add_missing_levels, &params);
	nvs_spi_end();
}

/* May the caller do something with all columns of a table? */
static bool
queue_may(const NvsTableSet *set, int table, AclMode mode)
{
	return pg_class_aclcheck(set->relids[table], GetUserId(),
							 mode) == ACLCHECK_OK;
}

/*
 * nvent.queue_policy_changed(), a trigger of rows of {queues}: refuses that, as
 * jobs that are there would have other keys and places than those that come.
 */
Datum
nvs_queue_policy_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("policy and limits of groups of a queue cannot be changed"),
			 errhint("Make another queue, or drop this one.")));
	return PointerGetDatum(NULL);
}

/*
 * The tables of the store that argument store names, of the default store for
 * NULL, and the queue that argument queue does; an error when there is none.
 */
NvsTableSet *
nvs_queue_open(FunctionCallInfo fcinfo, int queue, int store, NvsUse use,
			   NvsQueue **found)
{
	text	   *name;
	NvsTableSet *set;

	NVS_REQUIRE_ARG(queue, "queue");
	name = PG_GETARG_TEXT_PP(queue);
	set = nvs_table_set_open(&nvs_queue_tables, fcinfo, store, use);
	if (set == NULL)
		nvs_queue_missing(text_to_cstring(name));
	*found = nvs_queue_require(set, text_to_cstring(name));
	if (use != NVS_USE_READ)
		nvs_jobs_note((*found)->wakeup);
	return set;
}

/*
 * The queue of a name, NULL when there is none; good until the call ends.  Each
 * role reads it for itself: rights and policies are as the executor finds them.
 */
NvsQueue *
nvs_queue_named(NvsTableSet *set, const char *name)
{
	QueueState *state = set->state;
	ListCell   *lc;

	if (state != NULL)
		foreach(lc, state->queues)
	{
		NvsQueue   *queue = lfirst(lc);

		if (queue->role == GetUserId() && strcmp(queue->name, name) == 0)
			return queue;
	}
	return queue_load(set, name);
}

/* The queue of a name; an error when there is none. */
NvsQueue *
nvs_queue_require(NvsTableSet *set, const char *name)
{
	NvsQueue   *queue = nvs_queue_named(set, name);

	if (queue == NULL)
		nvs_queue_missing(name);
	return queue;
}

/*
 * The queue of a number; an error where it is hidden from us, or was dropped
 * just now.
 */
NvsQueue *
nvs_queue_numbered(NvsTableSet *set, int32 number)
{
	NvsQueue   *queue = NULL;
	NvsParams	params;
	Datum		name;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(number), false);
	if (nvs_execute_first(nvs_statement_plan(set->plans, &queue_read_name,
											 &params, NULL),
						  &params, false, CurrentMemoryContext, &name))
		queue = nvs_queue_named(set, TextDatumGetCString(name));
	if (queue == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("queue with number %d does not exist", number),
				 errdetail("A job of it waits for one that has ended.")));
	return queue;
}

/* Report that there is no queue of a name. */
void
nvs_queue_missing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("queue \"%s\" does not exist", name),
			 errhint("Run SELECT nvent.queue_create(%s).",
					 quote_literal_cstr(name))));
}

/* Raise an error for a name that is empty or too long. */
void
nvs_queue_check_name(const text *name)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("name of a queue must not be empty") :
				 errmsg("name of queue \"%.*s...\" is too long",
						pg_mbcliplen(data, len, 64), data),
				 errdetail("A name has 1 to %d bytes; this one has %d.",
						   MAX_NAME_BYTES, len)));
}

/* The policy of a name; an error when there is none. */
NvsPolicy
nvs_queue_policy(const text *name)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);
	int			i;

	for (i = 0; i < lengthof(queue_policies); i++)
		if (strlen(queue_policies[i]) == len &&
			memcmp(queue_policies[i], data, len) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized policy \"%.*s\" of a queue",
					pg_mbcliplen(data, len, 64), data),
			 errhint("Use standard, short, exclusive, singleton, stately or "
					 "key_strict_fifo.")));
}

/* May one job of a key be active at a time? */
bool
nvs_policy_limits_active(NvsPolicy policy)
{
	return policy == NVS_POLICY_SINGLETON || policy == NVS_POLICY_STATELY ||
		policy == NVS_POLICY_KEY_STRICT_FIFO;
}

/* What is kept with a set of tables; empty when it has changed. */
static QueueState *
queue_state(NvsTableSet *set)
{
	if (set->state == NULL)
		set->state = MemoryContextAllocZero(set->cxt, sizeof(QueueState));
	return set->state;
}

/*
 * How the jobs, or the runs, of a store are read and written without a
 * statement; NULL when they are not, by the current user here and now.
 */
NvsDirect *
nvs_queue_direct(NvsTableSet *set, int table)
{
	static const AttrNumber jobs_key[] = {
		NVS_JOBS_QUEUE + 1, NVS_JOBS_PRIORITY + 1, NVS_JOBS_ID + 1
	};
	static const AttrNumber runs_key[] = {
		NVS_RUNS_ID + 1, NVS_RUNS_ATTEMPT + 1
	};
	NvsDirect  *direct;

	nvs_table_set_lock(set, table);
	direct = queue_state(set)->direct[table];
	if (direct == NULL)
	{
		direct = table == NVS_TABLE_JOBS ?
			nvs_direct_compile(set, table, jobs_key, lengthof(jobs_key)) :
			nvs_direct_compile(set, table, runs_key, lengthof(runs_key));
		queue_state(set)->direct[table] = direct;
	}
	return nvs_direct_is_allowed(set, direct) ? direct : NULL;
}

/*
 * Draw ids for n jobs that are inserted without a statement: as their default
 * would, and for who may execute that.
 */
void
nvs_queue_draw(NvsTableSet *set, int64 *ids, int n)
{
	QueueState *state = queue_state(set);

	if (!OidIsValid(state->draws))
		state->draws = nvs_function_oid("next_position");
	if (!nvs_may_execute(state->draws, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION,
					   get_func_name(state->draws));
	nvs_position_draw(nvs_draw_require(set->prefix, strlen(set->prefix)),
					  ids, n);
}

/*
 * Read a queue, as it is now whatever the snapshot of the transaction, and
 * keep it with the set; NULL when there is none of that name.
 */
static NvsQueue *
queue_load(NvsTableSet *set, const char *name)
{
	NvsParams	params;
	Datum		row[18];
	bool		isnull[18];
	NvsQueue   *queue = NULL;
	QueueState *state;
	MemoryContext cxt = set->cxt;
	MemoryContext old;

	/* Locked before the snapshot, which must not be older than a table. */
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(name), false);
	nvs_table_set_lock(set, NVS_TABLE_LEVELS);
	PushActiveSnapshot(GetLatestSnapshot());
	if (nvs_execute_row(nvs_statement_plan(set->plans, &queue_read, &params,
										   NULL),
						&params, true, CurrentMemoryContext, lengthof(row),
						row, isnull))
		queue = queue_make(set, name, row, isnull);
	PopActiveSnapshot();
	if (queue == NULL)
		return NULL;

	/*
	 * Anything may have happened meanwhile: what is kept is looked up anew. A
	 * set that was made again, by what a policy calls, outlives this queue.
	 */
	if (set->cxt != cxt)
		return queue;
	old = MemoryContextSwitchTo(set->cxt);
	state = queue_state(set);
	state->queues = lappend(state->queues, queue);
	MemoryContextSwitchTo(old);
	return queue;
}

/*
 * Make a queue of what queue_read found, with its levels as the active snapshot
 * shows them; in the memory of the set.
 */
static NvsQueue *
queue_make(NvsTableSet *set, const char *name, const Datum *row,
		   const bool *isnull)
{
	Oid			jobs = set->relids[NVS_TABLE_JOBS];
	NvsQueue   *queue = MemoryContextAllocZero(set->cxt, sizeof(NvsQueue));

	queue->name = MemoryContextStrdup(set->cxt, name);
	queue->role = GetUserId();
	queue->storage = nvs_relation_storage_now(jobs);
	queue->unlogged = get_rel_persistence(jobs) == RELPERSISTENCE_UNLOGGED;
	queue_take_row(queue, row, isnull, set->cxt);
	queue->wakeup = nvs_jobs_queue(jobs, queue->number);
	queue->channel = MemoryContextStrdup(set->cxt, set->channel);
	queue_load_levels(set, queue);
	return queue;
}

/* Take what queue_read found; what it points to is copied to cxt. */
static void
queue_take_row(NvsQueue *queue, const Datum *row, const bool *isnull,
			   MemoryContext cxt)
{
	queue->number = DatumGetInt32(row[0]);
	queue->paused = DatumGetBool(row[1]);
	queue->priority = DatumGetInt32(row[2]);
	queue->lease = *DatumGetIntervalP(row[3]);
	queue->max_run = queue_copy_interval(row[4], isnull[4], cxt);
	queue->retry_limit = DatumGetInt32(row[5]);
	queue->retry_delay = *DatumGetIntervalP(row[6]);
	queue->retry_backoff = DatumGetBool(row[7]);
	queue->retry_delay_max = queue_copy_interval(row[8], isnull[8], cxt);
	if (!isnull[9])
		queue->dead_letter = MemoryContextStrdup(cxt,
												 TextDatumGetCString(row[9]));
	queue->keeps_ended = DatumGetBool(row[10]);
	queue->policy = nvs_queue_policy(DatumGetTextPP(row[11]));
	queue->notify = nvs_route_notify(isnull[12] ? NULL :
									 TextDatumGetCString(row[12]));
	queue->group_limit = isnull[13] ? 0 : DatumGetInt32(row[13]);
	queue->rate = queue_take_rate(row + 14, isnull + 14);
	queue->group_rate = queue_take_rate(row + 16, isnull + 16);
	queue->has_lanes = nvs_policy_limits_active(queue->policy) ||
		queue->group_limit > 0 || queue->group_rate.limit > 0;
}

/* A limit, and the interval that it is of; with months of 30 days. */
static NvsRate
queue_take_rate(const Datum *row, const bool *isnull)
{
	NvsRate		rate = {0, 0};
	const Interval *span;

	if (isnull[0] || isnull[1])
		return rate;
	span = DatumGetIntervalP(row[1]);
	rate.limit = DatumGetInt32(row[0]);
	rate.span = ((int64) span->month * DAYS_PER_MONTH + span->day) *
		USECS_PER_DAY + span->time;
	return rate;
}

/* A copy of an interval in cxt; NULL for NULL. */
static Interval *
queue_copy_interval(Datum value, bool isnull, MemoryContext cxt)
{
	Interval   *copy;

	if (isnull)
		return NULL;
	copy = MemoryContextAlloc(cxt, sizeof(Interval));
	*copy = *DatumGetIntervalP(value);
	return copy;
}

/*
 * Read the levels of a queue, under the active snapshot: the highest priority
 * first, in the memory of the set.
 */
static void
queue_load_levels(NvsTableSet *set, NvsQueue *queue)
{
	NvsParams	params;
	uint64		n;
	uint64		i;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	n = nvs_table_set_query(set, &queue_read_levels, &params);

	/* Each says from where on to look for leases of the queue: the latest. */
	queue->lease_bound = DT_NOBEGIN;
	queue->levels = MemoryContextAllocZero(set->cxt, sizeof(NvsLevel) *
										   Max(n, 1));
	for (i = 0; i < n; i++)
	{
		NvsLevel   *level = &queue->levels[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		/* We have looked at nothing yet: a hint may say more. */
		level->priority = DatumGetInt32(SPI_getbinval(tuple, desc, 1,
													  &isnull));
		level->saved = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		level->settled = level->frontier = level->saved;
		queue->lease_bound = Max(queue->lease_bound,
								 DatumGetTimestampTz(SPI_getbinval(tuple,
																   desc, 3,
																   &isnull)));
	}
	queue->nlevels = n;
}

/*
 * Push a snapshot that shows the tables as others see them, or as they will be
 * if this transaction is rolled back: with nothing of what it did itself.
 */
void
nvs_queue_push_others_snapshot(void)
{
	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = FirstCommandId;
}

/*
 * Does the user see all jobs and runs?  Where a policy hides some from him,
 * what he finds says nothing about where others have to look.  Locks all
 * tables.
 */
bool
nvs_queue_shows_all(const NvsTableSet *set)
{
	int			i;

	nvs_table_set_lock_all(set);
	for (i = 0; i < set->kind->ntables; i++)
		if (check_enable_rls(set->relids[i], InvalidOid, true) == RLS_ENABLED)
			return false;
	return true;
}

/* The priorities that a queue has, an int4[]: its jobs are found by them. */
Datum
nvs_queue_priorities(const NvsQueue *queue)
{
	Datum	   *priorities = palloc(sizeof(Datum) * Max(queue->nlevels, 1));
	int			i;

	for (i = 0; i < queue->nlevels; i++)
		priorities[i] = Int32GetDatum(queue->levels[i].priority);
	return nvs_array_of(INT4OID, priorities, NULL, queue->nlevels);
}
