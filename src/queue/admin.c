/*
 * queue/admin.c
 *	  Makes, pauses and empties queues; queue/drop.c drops them.
 *
 * Everything else about a queue is changed by UPDATE of its row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "queue/internal.h"
#include "queue/lane.h"
#include "route/route.h"

/* Jobs that purging a queue deletes by one statement. */
#define PURGE_BATCH		10000

/* Jobs of a group that may be active, or of one that may begin, at most. */
#define MAX_LIMIT		10000

/* Arguments of queue_create(), in the order of the parameters; then store. */
static const Oid create_types[] = {
	TEXTOID, TEXTOID, INT4OID, INTERVALOID, INTERVALOID, INT4OID, INTERVALOID,
	BOOLOID, INTERVALOID, TEXTOID, INTERVALOID, INTERVALOID, TEXTOID, INT4OID,
	INT4OID, INTERVALOID, INT4OID, INTERVALOID
};

/* The arguments themselves. */
enum
{
	CREATE_QUEUE,
	CREATE_POLICY,
	CREATE_PRIORITY,
	CREATE_LEASE,
	CREATE_MAX_RUN,
	CREATE_RETRY_LIMIT,
	CREATE_RETRY_DELAY,
	CREATE_RETRY_BACKOFF,
	CREATE_RETRY_DELAY_MAX,
	CREATE_DEAD_LETTER,
	CREATE_KEEP_QUEUED,
	CREATE_KEEP_ENDED,
	CREATE_NOTIFY,
	CREATE_GROUP_LIMIT,
	CREATE_RATE_LIMIT,
	CREATE_RATE_INTERVAL,
	CREATE_GROUP_RATE_LIMIT,
	CREATE_GROUP_RATE_INTERVAL
};

/* $1 name, and the others in the order of the arguments. */
static const NvsStatement admin_create = {
	"INSERT INTO {queues} (name, policy, priority, lease, max_run, "
	"retry_limit, retry_delay, retry_backoff, retry_delay_max, dead_letter, "
	"keep_queued, keep_ended, notify, group_limit, rate_limit, "
	"rate_interval, group_rate_limit, group_rate_interval) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
	"$15, $16, $17, $18) "
	"ON CONFLICT (name) DO NOTHING RETURNING number"
};

/* $1 number, $2 priority. */
static const NvsStatement admin_create_level = {
	"INSERT INTO {job_levels} (queue, priority) VALUES ($1, $2)"
};

/* $1 name. */
static const NvsStatement admin_pause = {
	"UPDATE {queues} SET paused_at = pg_catalog.clock_timestamp(), "
	"updated_at = pg_catalog.now() "
	"WHERE name OPERATOR(pg_catalog.=) $1 AND paused_at IS NULL"
};
static const NvsStatement admin_unpause = {
	"UPDATE {queues} SET paused_at = NULL, updated_at = pg_catalog.now() "
	"WHERE name OPERATOR(pg_catalog.=) $1 AND paused_at IS NOT NULL"
};

/* Up to $4 ready jobs of queue $1 and priority $2 behind $3, locked. */
static const NvsStatement purge_lock = {
	"SELECT j.id FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $2 "
	"AND j.id OPERATOR(pg_catalog.>) $3 AND j.due_at IS NULL "
	"AND (SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL "
	"AND (SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL ORDER BY j.queue, j.priority, j.id LIMIT $4 "
	"FOR UPDATE SKIP LOCKED"
};

/* Delete those among $3 that nobody has begun meanwhile. */
static const NvsStatement purge_delete = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $2 "
	"AND j.id OPERATOR(pg_catalog.=) ANY ($3) AND j.due_at IS NULL "
	"AND (SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL "
	"AND (SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id "
	"LIMIT 1) IS NULL RETURNING j.id"
};

/* Up to $2 jobs of queue $1 behind $3 that wait for others. */
static const NvsStatement purge_find_waits = {
	"SELECT w.id FROM {job_waits} w WHERE w.queue OPERATOR(pg_catalog.=) $1 "
	"AND w.id OPERATOR(pg_catalog.>) $3 ORDER BY w.id LIMIT $2"
};

/* $1 queue, $2 id; nothing where somebody else has what waits. */
static const NvsStatement purge_stop_waiting = {
	"DELETE FROM {job_waits} w WHERE w.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT l.id FROM {job_waits} l WHERE l.id OPERATOR(pg_catalog.=) $2 "
	"AND " NVS_IN_QUEUE("l", "1") " FOR UPDATE SKIP LOCKED))"
};

/* $1 queue, $2 id; the turn that it has got, unless somebody else has it. */
static const NvsStatement purge_lock_turn = {
	"SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) $2 "
	"AND " NVS_IN_QUEUE("t", "1") " FOR UPDATE SKIP LOCKED"
};

/* Up to $2 turns of queue $1, locked. */
static const NvsStatement purge_lock_turns = {
	"SELECT t.id FROM {job_turns} t WHERE t.queue OPERATOR(pg_catalog.=) $1 "
	"LIMIT $2 FOR UPDATE SKIP LOCKED"
};

/* $1 queue, $2 ids. */
static const NvsStatement purge_turns = {
	NVS_DELETE_OF_JOBS("job_turns") " RETURNING t.id"
};
static const NvsStatement purge_turn_jobs = {
	"DELETE FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) " NVS_ANY_PRIORITY("1") " "
	"AND j.id OPERATOR(pg_catalog.=) ANY ($2)"
};
static const NvsStatement purge_turn_runs = {
	"DELETE FROM {job_runs} r WHERE " NVS_IN_QUEUE("r", "1") " "
	"AND r.id OPERATOR(pg_catalog.=) ANY ($2)"
};

/* Jobs of a queue that are deleted. */
typedef struct Purge
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int64		deleted;
	Datum	   *ids;			/* of one batch, int8 */
	int			n;
	NvsFlowPass *pass;			/* NULL: there are no flows so far */
	int64		last;			/* of those that are known to */
	MemoryContext scratch;		/* for one of them */
} Purge;

PG_FUNCTION_INFO_V1(nvs_queue_create);
PG_FUNCTION_INFO_V1(nvs_queue_pause);
PG_FUNCTION_INFO_V1(nvs_queue_unpause);
PG_FUNCTION_INFO_V1(nvs_queue_purge);

static void create_check(FunctionCallInfo fcinfo);
static void create_check_limit(FunctionCallInfo fcinfo, int arg,
							   const char *name);
static void create_check_rate(FunctionCallInfo fcinfo, int arg,
							  const char *name, const char *interval);
static bool admin_run_named(FunctionCallInfo fcinfo, const char *function,
							const NvsStatement *statement);
static void purge_run(Purge *purge);
static void purge_level(Purge *purge, const NvsLevel *level);
static void purge_waits(Purge *purge);
static void purge_begin_pass(Purge *purge);
static void purge_add_waits(Purge *purge);
static void purge_waiting(void *arg, int64 id);
static bool purge_some(Purge *purge);
static bool purge_take_turns(Purge *purge, const NvsStatement *lock,
							 const NvsParams *lock_params);
static void purge_delete_rows(Purge *purge);
static bool purge_ready(Purge *purge, const NvsLevel *level, int64 *after);
static void purge_ended(Purge *purge);
static void purge_keep(TupleTableSlot *slot, void *arg);

/*
 * nvent.queue_create(queue, ..., store): false when it was there; then it stays
 * as it is.
 */
Datum
nvs_queue_create(PG_FUNCTION_ARGS)
{
	NvsTableSet *set;
	NvsParams	params;
	text	   *dead_letter = NULL;
	Datum		number;
	bool		created;
	int			i;

	create_check(fcinfo);
	if (!PG_ARGISNULL(CREATE_DEAD_LETTER))
		dead_letter = PG_GETARG_TEXT_PP(CREATE_DEAD_LETTER);
	PreventCommandIfReadOnly("nvent.queue_create()");
	nvs_spi_begin();
	set = nvs_table_set_open(&nvs_queue_tables, fcinfo,
							 lengthof(create_types), NVS_USE_WRITE);

	/* Not locked: when it is dropped, jobs that fail stay where they are. */
	if (dead_letter != NULL)
		(void) nvs_queue_require(set, text_to_cstring(dead_letter));

	/* Whoever is just making a queue of this name is waited for. */
	nvs_params_init(&params);
	for (i = 0; i < lengthof(create_types); i++)
		nvs_params_add_arg(&params, fcinfo, i, create_types[i]);
	created = nvs_execute_first(nvs_statement_plan(set->plans, &admin_create,
												   &params, NULL),
								&params, false, CurrentMemoryContext,
								&number);

	/* It has a level from the start: who buries jobs in it must make none. */
	if (created)
	{
		nvs_params_init(&params);
		nvs_params_add(&params, INT4OID, number, false);
		nvs_params_add_arg(&params, fcinfo, CREATE_PRIORITY, INT4OID);
		(void) nvs_table_set_run(set, &admin_create_level, &params);
	}
	nvs_spi_end();
	PG_RETURN_BOOL(created);
}

/* Raise an error for arguments of queue_create() that are out of range. */
static void
create_check(FunctionCallInfo fcinfo)
{
	NVS_REQUIRE_ARG(CREATE_QUEUE, "queue");
	NVS_REQUIRE_ARG(CREATE_POLICY, "policy");
	NVS_REQUIRE_ARG(CREATE_PRIORITY, "priority");
	NVS_REQUIRE_ARG(CREATE_LEASE, "lease");
	NVS_REQUIRE_ARG(CREATE_RETRY_LIMIT, "retry_limit");
	NVS_REQUIRE_ARG(CREATE_RETRY_DELAY, "retry_delay");
	NVS_REQUIRE_ARG(CREATE_RETRY_BACKOFF, "retry_backoff");
	nvs_queue_check_name(PG_GETARG_TEXT_PP(CREATE_QUEUE));
	(void) nvs_queue_policy(PG_GETARG_TEXT_PP(CREATE_POLICY));
	(void) nvs_route_notify(PG_ARGISNULL(CREATE_NOTIFY) ? NULL :
							text_to_cstring(PG_GETARG_TEXT_PP(CREATE_NOTIFY)));
	(void) nvs_ttl_argument(fcinfo, CREATE_LEASE, "lease");
	(void) nvs_ttl_argument(fcinfo, CREATE_MAX_RUN, "max_run");
	if (PG_GETARG_INT32(CREATE_RETRY_LIMIT) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"retry_limit\" must not be negative"),
				 errdetail("It is %d.", PG_GETARG_INT32(CREATE_RETRY_LIMIT))));
	create_check_limit(fcinfo, CREATE_GROUP_LIMIT, "group_limit");
	create_check_rate(fcinfo, CREATE_RATE_LIMIT, "rate_limit",
					  "rate_interval");
	create_check_rate(fcinfo, CREATE_GROUP_RATE_LIMIT, "group_rate_limit",
					  "group_rate_interval");
}

/* Raise an error for a limit that is out of range. */
static void
create_check_limit(FunctionCallInfo fcinfo, int arg, const char *name)
{
	int32		limit = PG_ARGISNULL(arg) ? 1 : PG_GETARG_INT32(arg);

	if (limit < 1 || limit > MAX_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be from 1 to %d", name,
						MAX_LIMIT),
				 errdetail("It is %d.", limit)));
}

/*
 * Raise an error for a limit that is out of range, or for the interval that it
 * is of, the next argument; and when only one of them is there.
 */
static void
create_check_rate(FunctionCallInfo fcinfo, int arg, const char *name,
				  const char *interval)
{
	static const Interval longest = {.month = 100 * MONTHS_PER_YEAR};

	create_check_limit(fcinfo, arg, name);
	if (PG_ARGISNULL(arg) != PG_ARGISNULL(arg + 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"%s\" and \"%s\" need each other", name,
						interval)));
	(void) nvs_ttl_argument(fcinfo, arg + 1, interval);
	if (!PG_ARGISNULL(arg + 1) &&
		DatumGetBool(DirectFunctionCall2(interval_gt,
										 PG_GETARG_DATUM(arg + 1),
										 IntervalPGetDatum(&longest))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is too long", interval),
				 errdetail("It is 100 years at most.")));
}

/* Run a statement on the row of a queue; an error when there is none. */
static bool
admin_run_named(FunctionCallInfo fcinfo, const char *function,
				const NvsStatement *statement)
{
	NvsTableSet *set;
	NvsQueue   *queue;
	NvsParams	params;
	bool		changed;

	PreventCommandIfReadOnly(function);
	nvs_spi_begin();
	set = nvs_queue_open(fcinfo, 0, 1, NVS_USE_CHANGE, &queue);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	changed = nvs_table_set_run(set, statement, &params) > 0;
	nvs_spi_end();
	return changed;
}

/* nvent.queue_pause(queue, store): false when it was paused. */
Datum
nvs_queue_pause(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(admin_run_named(fcinfo, "nvent.queue_pause()",
								   &admin_pause));
}

/* nvent.queue_unpause(queue, store): false when it was not paused. */
Datum
nvs_queue_unpause(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(admin_run_named(fcinfo, "nvent.queue_unpause()",
								   &admin_unpause));
}

/* nvent.queue_purge(queue, store): how many queued jobs it deleted. */
Datum
nvs_queue_purge(PG_FUNCTION_ARGS)
{
	Purge		purge;

	PreventCommandIfReadOnly("nvent.queue_purge()");
	memset(&purge, 0, sizeof(purge));
	nvs_spi_begin();
	purge.set = nvs_queue_open(fcinfo, 0, 1, NVS_USE_CHANGE, &purge.queue);
	purge.ids = palloc(sizeof(Datum) * PURGE_BATCH);
	purge_run(&purge);
	nvs_spi_end();
	PG_RETURN_INT64(purge.deleted);
}

/* Delete what is queued: what has a turn, what is ready, what waits. */
static void
purge_run(Purge *purge)
{
	int			i;

	while (purge_some(purge))
		CHECK_FOR_INTERRUPTS();
	for (i = 0; i < purge->queue->nlevels; i++)
		purge_level(purge, &purge->queue->levels[i]);
	purge_waits(purge);
}

/*
 * Delete the jobs that wait for others, and see to who waits for any that were
 * deleted: in one pass, so that all come in one order, and nobody waits in a
 * circle.
 */
static void
purge_waits(Purge *purge)
{
	purge_begin_pass(purge);
	if (purge->pass == NULL)
		return;
	purge->last = PG_INT64_MIN;
	purge->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "a job that is purged",
										   ALLOCSET_DEFAULT_SIZES);
	purge_add_waits(purge);
	nvs_flow_finish(purge->pass);
	MemoryContextDelete(purge->scratch);
}

/* Begin the pass, once there are flows: others may just be sending them. */
static void
purge_begin_pass(Purge *purge)
{
	if (purge->pass == NULL)
		purge->pass = nvs_flow_begin(purge->set, purge_waiting, purge);
}

/* Add the next batch of jobs that wait to the pass, in front of which it is. */
static void
purge_add_waits(Purge *purge)
{
	NvsParams	params;
	int			i;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(PURGE_BATCH), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(purge->last), false);
	purge->n = 0;
	(void) nvs_table_set_each_of(purge->set, &purge_find_waits, &params,
								 false, PURGE_BATCH, purge_keep, purge);
	for (i = 0; i < purge->n; i++)
	{
		purge->last = DatumGetInt64(purge->ids[i]);
		nvs_flow_add_waiting(purge->pass, purge->last);
	}
}

/*
 * Delete a job that waits, or has just been given its turn, as a pass comes to
 * it, unless somebody has it; its children come behind it, as do others that
 * wait.
 */
static void
purge_waiting(void *arg, int64 id)
{
	Purge	   *purge = arg;
	MemoryContext old = MemoryContextSwitchTo(purge->scratch);
	NvsParams	params;

	if (id == purge->last)
		purge_add_waits(purge);
	purge->ids[0] = Int64GetDatum(id);
	purge->n = 1;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT8OID, purge->ids[0], false);
	if (nvs_table_set_run(purge->set, &purge_stop_waiting, &params) > 0 ||
		purge_take_turns(purge, &purge_lock_turn, &params))
	{
		purge_delete_rows(purge);
		purge_ended(purge);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(purge->scratch);
}

/* Delete a batch of jobs that have turns; false when there was none. */
static bool
purge_some(Purge *purge)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(PURGE_BATCH), false);
	if (!purge_take_turns(purge, &purge_lock_turns, &params))
		return false;
	purge_delete_rows(purge);
	purge_ended(purge);
	return true;
}

/*
 * Delete the turns that a statement locks, whose jobs are the batch then; false
 * when there were none.  Others may wait behind them in their lanes.
 */
static bool
purge_take_turns(Purge *purge, const NvsStatement *lock,
				 const NvsParams *lock_params)
{
	NvsParams	params;

	purge->n = 0;
	(void) nvs_table_set_each_of(purge->set, lock, lock_params, false,
								 PURGE_BATCH, purge_keep, purge);
	if (purge->n == 0)
		return false;
	nvs_lanes_leave(purge->set, purge->queue, purge->ids, purge->n);
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, purge->ids, NULL, purge->n), false);
	purge->n = 0;
	(void) nvs_table_set_each_of(purge->set, &purge_turns, &params, false,
								 PURGE_BATCH, purge_keep, purge);
	return purge->n > 0;
}

/* Delete the runs and the rows of the jobs of a batch. */
static void
purge_delete_rows(Purge *purge)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, purge->ids, NULL, purge->n), false);
	(void) nvs_table_set_run(purge->set, &purge_turn_runs, &params);
	(void) nvs_table_set_run(purge->set, &purge_turn_jobs, &params);
}

/* Delete the ready jobs of a level, but for those that somebody has locked. */
static void
purge_level(Purge *purge, const NvsLevel *level)
{
	int64		after = level->settled;

	while (purge_ready(purge, level, &after))
		CHECK_FOR_INTERRUPTS();
}

/*
 * Delete a batch of ready jobs of a level behind an id, which becomes that of
 * the last one; false when there was none.
 */
static bool
purge_ready(Purge *purge, const NvsLevel *level, int64 *after)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(purge->queue->number),
				   false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(level->priority), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(*after), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(PURGE_BATCH), false);
	purge->n = 0;
	(void) nvs_table_set_each_of(purge->set, &purge_lock, &params, false,
								 PURGE_BATCH, purge_keep, purge);
	if (purge->n == 0)
		return false;

	/* With their rows locked, a newer snapshot shows who had them before. */
	*after = DatumGetInt64(purge->ids[purge->n - 1]);
	params.n = 2;
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, purge->ids, NULL, purge->n), false);
	purge->n = 0;
	(void) nvs_table_set_each_of(purge->set, &purge_delete, &params, false,
								 PURGE_BATCH, purge_keep, purge);
	purge_ended(purge);
	return true;
}

/*
 * The jobs of a batch were deleted: who waits for them is to be told by the
 * pass, and who waits for their keys can have these.
 */
static void
purge_ended(Purge *purge)
{
	purge_begin_pass(purge);
	nvs_flow_add(purge->pass, purge->ids, purge->n, NVS_FLOW_DELETED);
	nvs_flow_add_gone(purge->pass, purge->ids, purge->n);
	nvs_keys_release(purge->set, purge->queue, purge->ids, purge->n);
	purge->deleted += purge->n;
}

/* Keep the id of a job. */
static void
purge_keep(TupleTableSlot *slot, void *arg)
{
	Purge	   *purge = arg;
	bool		isnull;

	purge->ids[purge->n++] = slot_getattr(slot, 1, &isnull);
}
