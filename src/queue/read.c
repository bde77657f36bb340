/*
 * queue/read.c
 *	  Shows jobs: where one stands, and its runs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "queue/internal.h"

/* In SQL, jobs with where they stand. */
#define READ_JOBS(jobs) \
	"SELECT j.id, CASE " \
	"WHEN w.id IS NOT NULL THEN 'waiting' " \
	"WHEN t.attempt OPERATOR(pg_catalog.>) 0 THEN 'retry' " \
	"WHEN t.id IS NOT NULL OR r.id IS NULL THEN 'created' " \
	"WHEN r.outcome IS NULL THEN 'active' " \
	"WHEN r.outcome OPERATOR(pg_catalog.=) ANY " \
	"('{" NVS_RUN_FAILED "," NVS_RUN_EXPIRED "}'::pg_catalog.text[]) " \
	"THEN '" NVS_RUN_FAILED "' " \
	"ELSE r.outcome END, " \
	"j.priority, j.data, COALESCE(r.attempt, 0), " \
	"COALESCE(t.retries, r.retries, 0), " \
	"j.created_at, " \
	"COALESCE(CASE WHEN t.lane IS NULL THEN t.due_at END, w.due_at), " \
	"r.started_at, r.lease_until, r.ended_at, " \
	"r.worker, r.output, j.origin, j.key, w.pending, r.progress " \
	"FROM " jobs " LEFT JOIN {job_turns} t " \
	"ON t.id OPERATOR(pg_catalog.=) j.id " \
	"LEFT JOIN {job_waits} w ON w.id OPERATOR(pg_catalog.=) j.id " \
	"LEFT JOIN LATERAL (SELECT l.* FROM {job_runs} l " \
	"WHERE l.id OPERATOR(pg_catalog.=) j.id " \
	"ORDER BY l.id DESC, l.attempt DESC LIMIT 1) r ON true "

/* $1 queue, $2 id, $3 the priorities that the queue has. */
static const NvsStatement read_job = {
	READ_JOBS(NVS_JOB_AT("pg_catalog.unnest($3)", "$2", "OFFSET 0"))
};

/* In SQL, those of a query of READ_JOBS whose states are among $n. */
#define READ_IN_STATES(query, n) \
	"SELECT s.* FROM (" query ") s (id, state, priority, data, attempt, " \
	"retries, created_at, start_at, started_at, lease_until, ended_at, " \
	"worker, output, origin, key, waits_for, progress) " \
	"WHERE ($" n " IS NULL OR s.state OPERATOR(pg_catalog.=) ANY ($" n ")) "

/*
 * $1 queue, $2 states or none, $3 behind which id, $4 how many, $5 key, $6 what
 * their data contains or none.
 */
static const NvsStatement read_by_key = {
	READ_IN_STATES(READ_JOBS("{jobs} j")
				   "WHERE j.queue OPERATOR(pg_catalog.=) $1 "
				   "AND j.key OPERATOR(pg_catalog.=) $5 "
				   "AND j.id OPERATOR(pg_catalog.>) $3 "
				   "AND ($6 IS NULL OR j.data OPERATOR(pg_catalog.@>) $6) "
				   "ORDER BY j.queue, j.key, j.id", "2")
	"ORDER BY s.id LIMIT $4"
};

/*
 * $1 queue, $2 states or none, $3 behind which id, $4 how many, $5 what their
 * data contains.  Planned as any other query, for what it is given: nobody
 * knows which indexes of data there are.
 */
static const NvsStatement read_by_data = {
	READ_IN_STATES(READ_JOBS("{jobs} j")
				   "WHERE j.queue OPERATOR(pg_catalog.=) $1 "
				   "AND j.id OPERATOR(pg_catalog.>) $3 "
				   "AND j.data OPERATOR(pg_catalog.@>) $5", "2")
	"ORDER BY s.id LIMIT $4",
	.mode = NVS_PLAN_CUSTOM
};

/*
 * $1 queue, $2 states or none, $3 behind which id, $4 how many, $5 the
 * priorities that the queue has: of each of them as many as are wanted, since
 * its jobs are in order.
 */
static const NvsStatement read_in_order = {
	"SELECT s.* FROM pg_catalog.unnest($5) l (priority), LATERAL ("
	READ_IN_STATES(READ_JOBS("{jobs} j")
				   "WHERE j.queue OPERATOR(pg_catalog.=) $1 "
				   "AND j.priority OPERATOR(pg_catalog.=) l.priority "
				   "AND j.id OPERATOR(pg_catalog.>) $3 "
				   "ORDER BY j.queue, j.priority, j.id", "2")
	"ORDER BY s.id LIMIT $4) s "
	"ORDER BY s.id LIMIT $4"
};

/* $1 queue, $2 id. */
static const NvsStatement read_runs = {
	"SELECT r.attempt, COALESCE(r.outcome, 'active'), r.worker, "
	"r.started_at, r.lease_until, r.ended_at, r.output, r.progress "
	"FROM {job_runs} r "
	"WHERE r.id OPERATOR(pg_catalog.=) $2 "
	"AND " NVS_IN_QUEUE("r", "1") " ORDER BY r.id, r.attempt"
};

/* $1 queue, $2 id: whom it waits for, or did. */
static const NvsStatement read_parents = {
	"SELECT p.parent, q.name, p.outcome, p.output FROM {job_parents} p "
	"LEFT JOIN {queues} q "
	"ON q.number OPERATOR(pg_catalog.=) p.parent_queue "
	"WHERE p.id OPERATOR(pg_catalog.=) $2 "
	"AND " NVS_IN_QUEUE("p", "1") " ORDER BY p.id, p.parent"
};

/* $1 queue, $2 id: who waits for it, or did. */
static const NvsStatement read_children = {
	"SELECT p.id, q.name, w.id IS NOT NULL FROM {job_parents} p "
	"LEFT JOIN {queues} q ON q.number OPERATOR(pg_catalog.=) p.queue "
	"LEFT JOIN {job_waits} w ON w.id OPERATOR(pg_catalog.=) p.id "
	"WHERE p.parent OPERATOR(pg_catalog.=) $2 "
	"AND (p.parent_queue OPERATOR(pg_catalog.+) 0) OPERATOR(pg_catalog.=) $1 "
	"ORDER BY p.parent, p.id"
};

/* A call. */
typedef struct Read
{
	NvsTableSet *set;
	const NvsStatement *statement;
	NvsParams	params;
	Tuplestorestate *result;
} Read;

/* Arguments of queue_find(). */
enum
{
	FIND_QUEUE,
	FIND_KEY,
	FIND_DATA,
	FIND_STATES,
	FIND_AFTER,
	FIND_MAX_COUNT,
	FIND_STORE
};

/* A call of that. */
typedef struct ReadFind
{
	Read		read;
	FunctionCallInfo fcinfo;
	NvsQueue   *queue;
} ReadFind;

PG_FUNCTION_INFO_V1(nvs_queue_get);
PG_FUNCTION_INFO_V1(nvs_queue_runs);
PG_FUNCTION_INFO_V1(nvs_queue_find);
PG_FUNCTION_INFO_V1(nvs_queue_parents);
PG_FUNCTION_INFO_V1(nvs_queue_children);

static Datum read_call(FunctionCallInfo fcinfo,
					   const NvsStatement *statement);
static void find_check(FunctionCallInfo fcinfo);
static void find_check_states(ArrayType *array);
static void find_check_state(const char *state);
static void find_run(ReadFind *find);
static void read_run(Read *read);
static void read_put_row(TupleTableSlot *slot, void *arg);

/* nvent.queue_get(queue, id, store): the job; no row when there is none. */
Datum
nvs_queue_get(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "id");
	return read_call(fcinfo, &read_job);
}

/* nvent.queue_runs(queue, id, store): a row for each attempt. */
Datum
nvs_queue_runs(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "id");
	return read_call(fcinfo, &read_runs);
}

/*
 * nvent.queue_find(queue, key, data, states, after, max_count, store): the jobs
 * of a key, or with some data, the oldest first.
 */
Datum
nvs_queue_find(PG_FUNCTION_ARGS)
{
	ReadFind	find;
	TupleDesc	desc;

	find_check(fcinfo);
	find.fcinfo = fcinfo;
	find.read.result = nvs_result_set(fcinfo, &desc);
	nvs_spi_begin();
	find.read.set = nvs_queue_open(fcinfo, FIND_QUEUE, FIND_STORE,
								   NVS_USE_READ, &find.queue);
	find_run(&find);
	nvs_spi_end();
	return (Datum) 0;
}

/* Raise an error for arguments of queue_find() that are out of range. */
static void
find_check(FunctionCallInfo fcinfo)
{
	NVS_REQUIRE_ARG(FIND_MAX_COUNT, "max_count");
	if (PG_GETARG_INT32(FIND_MAX_COUNT) < 0 ||
		PG_GETARG_INT32(FIND_MAX_COUNT) > NVS_MAX_JOBS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						NVS_MAX_JOBS),
				 errdetail("It is %d.", PG_GETARG_INT32(FIND_MAX_COUNT))));
	if (!PG_ARGISNULL(FIND_STATES))
		find_check_states(PG_GETARG_ARRAYTYPE_P(FIND_STATES));
}

/* Raise an error for states, text[], of which one is null, or none. */
static void
find_check_states(ArrayType *array)
{
	Datum	   *states;
	bool	   *isnull;
	int			n;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &states,
					  &isnull, &n);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"states\" must not contain nulls")));
		find_check_state(TextDatumGetCString(states[i]));
	}
}

/* Raise an error for what is no state of a job. */
static void
find_check_state(const char *state)
{
	static const char *const known[] = {
		"waiting", "created", "retry", "active", "completed", "failed",
		"cancelled"
	};
	int			i;

	for (i = 0; i < lengthof(known); i++)
		if (strcmp(state, known[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized state \"%s\" of jobs", state),
			 errhint("States are waiting, created, retry, active, "
					 "completed, failed and cancelled.")));
}

/* Run the query for what is given: a key, data, both, or neither. */
static void
find_run(ReadFind *find)
{
	FunctionCallInfo fcinfo = find->fcinfo;
	Read	   *read = &find->read;
	bool		by_data = PG_ARGISNULL(FIND_KEY) && !PG_ARGISNULL(FIND_DATA);

	read->statement = by_data ? &read_by_data :
		PG_ARGISNULL(FIND_KEY) ? &read_in_order : &read_by_key;

	/* $1 to $4 mean the same in all three statements. */
	nvs_params_init(&read->params);
	nvs_params_add(&read->params, INT4OID, Int32GetDatum(find->queue->number),
				   false);
	nvs_params_add_arg(&read->params, fcinfo, FIND_STATES, TEXTARRAYOID);
	nvs_params_add(&read->params, INT8OID, PG_ARGISNULL(FIND_AFTER) ?
				   Int64GetDatum(PG_INT64_MIN) : PG_GETARG_DATUM(FIND_AFTER),
				   false);
	nvs_params_add(&read->params, INT8OID,
				   Int64GetDatum(PG_GETARG_INT32(FIND_MAX_COUNT)), false);

	/* From $5 on: the key and the data, the data, or the priorities. */
	if (!PG_ARGISNULL(FIND_KEY))
		nvs_params_add_arg(&read->params, fcinfo, FIND_KEY, TEXTOID);
	if (read->statement == &read_in_order)
		nvs_params_add(&read->params, INT4ARRAYOID,
					   nvs_queue_priorities(find->queue), false);
	else
		nvs_params_add_arg(&read->params, fcinfo, FIND_DATA, JSONBOID);

	read_run(read);
}

/* nvent.queue_parents(queue, id, store): the jobs that a job waits for. */
Datum
nvs_queue_parents(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "id");
	return read_call(fcinfo, &read_parents);
}

/* nvent.queue_children(queue, id, store): the jobs that wait for a job. */
Datum
nvs_queue_children(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "id");
	return read_call(fcinfo, &read_children);
}

/* Put the rows of a query by argument 1 into the result. */
static Datum
read_call(FunctionCallInfo fcinfo, const NvsStatement *statement)
{
	TupleDesc	desc;
	Read		read;
	NvsQueue   *queue;

	read.result = nvs_result_set(fcinfo, &desc);
	read.statement = statement;
	nvs_spi_begin();
	read.set = nvs_queue_open(fcinfo, 0, 2, NVS_USE_READ, &queue);
	nvs_params_init(&read.params);
	nvs_params_add(&read.params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add_arg(&read.params, fcinfo, 1, INT8OID);
	if (statement == &read_job)
		nvs_params_add(&read.params, INT4ARRAYOID,
					   nvs_queue_priorities(queue), false);
	read_run(&read);
	nvs_spi_end();
	return (Datum) 0;
}

/* Run the query under the active snapshot. */
static void
read_run(Read *read)
{

	(void) nvs_table_set_each(read->set, read->statement, &read->params, true,
							  read_put_row, read->result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
read_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}
