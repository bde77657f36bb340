/*
 * queue/list.c
 *	  Lists queues with what is said of them.
 *
 * What a caller may read of {queues} is what is listed, as he would find it by
 * a statement of his own.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "queue/queue.h"

/* Tables in their set. */
enum
{
	LIST_QUEUES,
	LIST_JOBS
};

static const NvsTableSetColumn list_columns[] = {
	{LIST_QUEUES, "name", TEXTOID, true},
	{LIST_QUEUES, "policy", TEXTOID, true},
	{LIST_QUEUES, "paused_at", TIMESTAMPTZOID},
	{LIST_QUEUES, "priority", INT4OID, true},
	{LIST_QUEUES, "lease", INTERVALOID, true},
	{LIST_QUEUES, "max_run", INTERVALOID},
	{LIST_QUEUES, "retry_limit", INT4OID, true},
	{LIST_QUEUES, "retry_delay", INTERVALOID, true},
	{LIST_QUEUES, "retry_backoff", BOOLOID, true},
	{LIST_QUEUES, "retry_delay_max", INTERVALOID},
	{LIST_QUEUES, "dead_letter", TEXTOID},
	{LIST_QUEUES, "keep_queued", INTERVALOID},
	{LIST_QUEUES, "keep_ended", INTERVALOID},
	{LIST_QUEUES, "notify", TEXTOID},
	{LIST_QUEUES, "group_limit", INT4OID},
	{LIST_QUEUES, "rate_limit", INT4OID},
	{LIST_QUEUES, "rate_interval", INTERVALOID},
	{LIST_QUEUES, "group_rate_limit", INT4OID},
	{LIST_QUEUES, "group_rate_interval", INTERVALOID},
	{LIST_QUEUES, "created_at", TIMESTAMPTZOID, true},
	{LIST_QUEUES, "updated_at", TIMESTAMPTZOID, true},
	{-1}
};

static const NvsTableSetKind list_tables = {
	2, {"queues", "jobs"}, list_columns
};

/* The queue of name $1, all for NULL; $2 is whether their jobs are unlogged. */
static const NvsStatement list_queues = {
	"SELECT q.name, q.policy, q.priority, q.lease, q.max_run, q.retry_limit, "
	"q.retry_delay, q.retry_backoff, q.retry_delay_max, q.dead_letter, "
	"q.keep_queued, q.keep_ended, q.notify, q.group_limit, q.rate_limit, "
	"q.rate_interval, q.group_rate_limit, q.group_rate_interval, "
	"q.paused_at, $2, q.created_at, q.updated_at FROM {queues} q "
	"WHERE $1 IS NULL OR q.name OPERATOR(pg_catalog.=) $1 ORDER BY q.name"
};

PG_FUNCTION_INFO_V1(nvs_queue_list);

static void list_put_row(TupleTableSlot *slot, void *arg);

/* nvent.queue_list(queue, store): a row for each queue, by its name. */
Datum
nvs_queue_list(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsTableSet *set;
	NvsParams	params;
	bool		unlogged;

	nvs_spi_begin();
	set = nvs_table_set_open(&list_tables, fcinfo, 1, NVS_USE_READ);
	if (set != NULL)
	{
		unlogged = get_rel_persistence(set->relids[LIST_JOBS]) ==
			RELPERSISTENCE_UNLOGGED;
		nvs_params_init(&params);
		nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
		nvs_params_add(&params, BOOLOID, BoolGetDatum(unlogged), false);
		(void) nvs_table_set_each(set, &list_queues, &params, true,
								  list_put_row, result);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
static void
list_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}
