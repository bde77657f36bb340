/*
 * queue/turn.c
 *	  Gives jobs turns.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "queue/internal.h"

/* $1 id, $2 queue, $3 priority, $4 attempt, $5 retries, $6 time or none. */
static const NvsStatement turn_insert = {
	"INSERT INTO {job_turns} (id, queue, priority, attempt, retries, due_at) "
	"VALUES ($1, $2, $3, $4, $5, $6)"
};

/*
 * Give a job a turn after a run, at a time; at once for NULL or one that has
 * come.
 */
void
nvs_turn_insert(NvsTableSet *set, const NvsQueue *queue, const NvsRun *run,
				const TimestampTz *due_at)
{
	NvsParams	params;
	bool		later = due_at != NULL && *due_at > GetCurrentTimestamp();

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(run->id), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(run->priority), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(run->attempt), false);
	nvs_params_add(&params, INT4OID, Int32GetDatum(run->retries), false);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   later ? TimestampTzGetDatum(*due_at) : (Datum) 0, !later);
	(void) nvs_table_set_run(set, &turn_insert, &params);
	if (later)
		nvs_queue_due(queue, *due_at);
	else
		nvs_queue_ready(set, queue, 1);
}
