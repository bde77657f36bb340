/*
 * queue/read.c
 *	  Shows jobs: where one stands, and its runs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

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
	"r.worker, r.output, j.origin, j.key, w.pending " \
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

/* $1 queue, $2 key. */
static const NvsStatement read_by_key = {
	READ_JOBS("{jobs} j")
	"WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.key OPERATOR(pg_catalog.=) $2 "
	"ORDER BY j.queue, j.key, j.id"
};

/* $1 queue, $2 id. */
static const NvsStatement read_runs = {
	"SELECT r.attempt, COALESCE(r.outcome, 'active'), r.worker, "
	"r.started_at, r.lease_until, r.ended_at, r.output FROM {job_runs} r "
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

PG_FUNCTION_INFO_V1(nvs_queue_get);
PG_FUNCTION_INFO_V1(nvs_queue_runs);
PG_FUNCTION_INFO_V1(nvs_queue_find);
PG_FUNCTION_INFO_V1(nvs_queue_parents);
PG_FUNCTION_INFO_V1(nvs_queue_children);

static Datum read_call(FunctionCallInfo fcinfo,
					   const NvsStatement *statement);
static void read_run(void *arg);
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

/* nvent.queue_find(queue, key, store): the jobs of a key, the oldest first. */
Datum
nvs_queue_find(PG_FUNCTION_ARGS)
{
	NVS_REQUIRE_ARG(1, "key");
	return read_call(fcinfo, &read_by_key);
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
	nvs_params_add_arg(&read.params, fcinfo, 1,
					   statement == &read_by_key ? TEXTOID : INT8OID);
	if (statement == &read_job)
		nvs_params_add(&read.params, INT4ARRAYOID,
					   nvs_queue_priorities(queue), false);
	nvs_call_by_index(read_run, &read);
	nvs_spi_end();
	return (Datum) 0;
}

/* Run the query under the active snapshot. */
static void
read_run(void *arg)
{
	Read	   *read = arg;

	(void) nvs_table_set_each(read->set, read->statement, &read->params, true,
							  read_put_row, read->result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
read_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}
