/*
 * queue/slot.c
 *	  Throttled jobs: one of a key in each slot of time.
 *
 * A slot is as long as its sender says; slots of one length follow one another
 * since 1970.  A job that is sent takes the slot which it is then, and with
 * that a row of {job_slots}; one that is debounced takes the next one where
 * this is taken, and starts with it.  Of jobs without a key there is one, too.
 *
 * The row outlives the job, so that it makes no difference how soon a job is
 * completed or deleted.  Only of a job that is cancelled the slot is free
 * again; its row says so, and is of use when the job is to go on.  Maintenance
 * deletes the rows of slots that are over.
 *
 * Rows are written by who sends, after the keys of the jobs.  Whoever is about
 * to take a slot, or to give it back, is waited for.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/internal.h"
#include "queue/slot.h"

/* The longest slot. */
#define MAX_SLOT_USECS	(36525 * USECS_PER_DAY)

/* The start of a slot of every length, 1970. */
#define FIRST_SLOT \
	((UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/* A slot that a job wants. */
typedef struct SlotWant
{
	int			job;			/* which one of the call */
	TimestampTz starts_at;
	TimestampTz ends_at;
	bool		is_next;		/* the one behind that of now */
} SlotWant;

/* The slots that the jobs of a call want. */
typedef struct SlotWants
{
	NvsTableSet *set;
	const NvsQueue *queue;
	NvsNewJob  *jobs;
	int			njobs;
	int64	   *ids;			/* of the jobs; 0: refused */
	const NvsStatement *statement;	/* returns those it takes, or are taken */
	NvsRowFunction function;	/* for each of these */
	bool		taking;
	SlotWant   *wants;
	int			n;
	bool	   *found;			/* of each, by a statement */
} SlotWants;

/* In SQL, slots that are wanted, with i the place of each. */
#define WANTED \
	"ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), " \
	"pg_catalog.unnest($4), pg_catalog.unnest($5)) WITH ORDINALITY " \
	"u (key, starts_at, ends_at, id, i)"

/*
 * Which of the slots $2 to $5 of queue $1 are taken, by what is committed and
 * nobody is changing: no need to wait, nor to write.
 */
static const NvsStatement slot_look = {
	"SELECT u.i FROM " WANTED " WHERE (SELECT s.id FROM {job_slots} s "
	"WHERE s.queue OPERATOR(pg_catalog.=) $1 "
	"AND s.key OPERATOR(pg_catalog.=) u.key "
	"AND s.starts_at OPERATOR(pg_catalog.=) u.starts_at "
	"AND s.ends_at OPERATOR(pg_catalog.=) u.ends_at AND NOT s.cancelled "
	"AND s.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid LIMIT 1) "
	"IS NOT NULL"
};

/* In SQL, what two rows that are not cancelled cannot have in common. */
#define UNLESS_TAKEN \
	"ON CONFLICT (queue, key, starts_at, ends_at) WHERE NOT cancelled " \
	"DO NOTHING "

/* Take slots for the jobs $5, in one order whatever that of the call is. */
static const NvsStatement slot_take = {
	"INSERT INTO {job_slots} (queue, key, starts_at, ends_at, id) "
	"SELECT $1, u.key, u.starts_at, u.ends_at, u.id FROM " WANTED " "
	"ORDER BY u.key COLLATE pg_catalog.\"C\", u.starts_at, u.ends_at, u.id "
	UNLESS_TAKEN "RETURNING id"
};

/* $1 queue, $2 id. */
static const NvsStatement slot_cancel = {
	"UPDATE {job_slots} s SET cancelled = true "
	"WHERE s.id OPERATOR(pg_catalog.=) ANY ($2) AND " NVS_IN_QUEUE("s", "1") " "
	"AND NOT s.cancelled"
};
static const NvsStatement slot_was_cancelled = {
	"SELECT s.starts_at FROM {job_slots} s "
	"WHERE s.id OPERATOR(pg_catalog.=) $2 AND " NVS_IN_QUEUE("s", "1") " "
	"AND s.cancelled FOR UPDATE"
};
static const NvsStatement slot_take_again = {
	"INSERT INTO {job_slots} (queue, key, starts_at, ends_at, id) "
	"SELECT s.queue, s.key, s.starts_at, s.ends_at, s.id FROM {job_slots} s "
	"WHERE s.id OPERATOR(pg_catalog.=) $2 AND " NVS_IN_QUEUE("s", "1") " "
	"AND s.cancelled " UNLESS_TAKEN
};
static const NvsStatement slot_forget_cancelled = {
	"DELETE FROM {job_slots} s "
	"WHERE s.id OPERATOR(pg_catalog.=) $2 AND " NVS_IN_QUEUE("s", "1") " "
	"AND s.cancelled"
};

/* In SQL, that a slot is over for so long that nobody can be taking it. */
#define OVER(alias) \
	alias ".ends_at OPERATOR(pg_catalog.<) (" NVS_NOW \
	" OPERATOR(pg_catalog.-) '1 hour'::pg_catalog.interval)"

/* Delete up to $1 slots that are over. */
static const NvsStatement slot_sweep = {
	"DELETE FROM {job_slots} s WHERE s.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT o.id FROM {job_slots} o WHERE " OVER("o") " "
	"ORDER BY o.ends_at LIMIT $1 FOR UPDATE SKIP LOCKED)) AND " OVER("s")
};

static void slots_run(SlotWants *wants);
static void slots_list(SlotWants *wants);
static void slots_ask(SlotWants *wants);
static void slot_found_place(TupleTableSlot *slot, void *arg);
static void slot_found_id(TupleTableSlot *slot, void *arg);
static bool slot_move_on(const SlotWants *wants, SlotWant *want);
static void slot_begin_later(const SlotWants *wants, const SlotWant *want);
static void slot_params(NvsParams *params, const NvsQueue *queue, int64 id);

/*
 * Have the nth job of a call take a slot of a length; where it is taken, the
 * next one if that will do.
 */
void
nvs_job_throttle(NvsNewJob *job, const Interval *length, bool or_next, int n)
{
	const char *what = or_next ? "debounce" : "throttle";
	int64		usecs;

	if (job->slot != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("throttle and debounce of job %d exclude each other",
						n)));
	if (length->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of job %d must not have months", what, n),
				 errdetail("Slots of time are of one length.")));

	/* Days, or their sum with the rest, may be more than there is room for. */
	if (pg_mul_s64_overflow(length->day, USECS_PER_DAY, &usecs) ||
		pg_add_s64_overflow(usecs, length->time, &usecs) ||
		usecs > MAX_SLOT_USECS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of job %d is too long", what, n),
				 errdetail("It is 100 years at most.")));
	if (usecs <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of job %d must be greater than zero", what, n)));
	job->slot = usecs;
	job->or_next_slot = or_next;
}

/* Does any of these jobs take a slot? */
bool
nvs_jobs_have_slots(const NvsNewJob *jobs, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (jobs[i].slot != 0)
			return true;
	return false;
}

/*
 * Refuse the jobs whose slots are plainly taken, before anything is written:
 * their ids become 0.
 */
void
nvs_slots_look(NvsTableSet *set, const NvsQueue *queue, NvsNewJob *jobs,
			   int n, int64 *ids)
{
	SlotWants	wants = {set, queue, jobs, n, ids, &slot_look,
	slot_found_place, false, NULL, 0, NULL};

	slots_run(&wants);
}

/*
 * Take the slots of those jobs that have ids, which ascend; the ids of those
 * whose slots are taken become 0.  A job that has the next slot starts with it.
 */
void
nvs_slots_take(NvsTableSet *set, const NvsQueue *queue, NvsNewJob *jobs,
			   int n, int64 *ids)
{
	SlotWants	wants = {set, queue, jobs, n, ids, &slot_take,
	slot_found_id, true, NULL, 0, NULL};

	slots_run(&wants);
}

/*
 * Decide about all slots that are wanted.  A job that is refused one goes on
 * to the next where that will do.
 */
static void
slots_run(SlotWants *wants)
{

	slots_list(wants);
	while (wants->n > 0)
	{
		int			left = 0;
		int			i;

		slots_ask(wants);
		for (i = 0; i < wants->n; i++)
		{
			SlotWant   *want = &wants->wants[i];

			if (wants->found[i] == wants->taking)
			{
				if (wants->taking)
					slot_begin_later(wants, want);
			}
			else if (slot_move_on(wants, want))
				wants->wants[left++] = *want;
			else
				wants->ids[want->job] = 0;
		}
		wants->n = left;
	}
}

/* List the slots of now that are wanted. */
static void
slots_list(SlotWants *wants)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	wants->wants = palloc(sizeof(SlotWant) * wants->njobs);
	wants->found = palloc(sizeof(bool) * wants->njobs);
	for (i = 0; i < wants->njobs; i++)
	{
		int64		length = wants->jobs[i].slot;
		SlotWant   *want = &wants->wants[wants->n];

		if (length == 0 || wants->ids[i] == 0)
			continue;
		want->job = i;
		want->starts_at = now - (now - FIRST_SLOT) % length;
		want->ends_at = want->starts_at + length;
		want->is_next = false;
		wants->n++;
	}
}

/* Run a statement on all slots that are wanted. */
static void
slots_ask(SlotWants *wants)
{
	static const Oid types[] = {
		TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID
	};
	Datum	   *values[lengthof(types)];
	NvsParams	params;
	int			i;

	/* Jobs without a key have one slot together, that of the empty key. */
	for (i = 0; i < lengthof(types); i++)
		values[i] = palloc(sizeof(Datum) * wants->n);
	for (i = 0; i < wants->n; i++)
	{
		const SlotWant *want = &wants->wants[i];
		const NvsNewJob *job = &wants->jobs[want->job];

		values[0][i] = job->isnull[NVS_JOB_KEY] ?
			PointerGetDatum(cstring_to_text("")) : job->options[NVS_JOB_KEY];
		values[1][i] = TimestampTzGetDatum(want->starts_at);
		values[2][i] = TimestampTzGetDatum(want->ends_at);
		values[3][i] = Int64GetDatum(wants->ids[want->job]);
		wants->found[i] = false;
	}

	/* Its function notes which it tells of: taken by us, or by others. */
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(wants->queue->number),
				   false);
	nvs_params_add_arrays(&params, types, values, NULL, lengthof(types),
						  wants->n);
	(void) nvs_table_set_each(wants->set, wants->statement, &params, false,
							  wants->function, wants);
}

/* A slot is told of by its place, from 1. */
static void
slot_found_place(TupleTableSlot *slot, void *arg)
{
	SlotWants  *wants = arg;
	bool		isnull;

	wants->found[DatumGetInt64(slot_getattr(slot, 1, &isnull)) - 1] = true;
}

/* A slot is told of by the id of its job; ids ascend. */
static void
slot_found_id(TupleTableSlot *slot, void *arg)
{
	SlotWants  *wants = arg;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	int			low = 0;
	int			high = wants->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (wants->ids[wants->wants[middle].job] < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < wants->n && wants->ids[wants->wants[low].job] == id)
		wants->found[low] = true;
}

/* Go on to the next slot; false for who does not want it. */
static bool
slot_move_on(const SlotWants *wants, SlotWant *want)
{
	const NvsNewJob *job = &wants->jobs[want->job];

	if (!job->or_next_slot || want->is_next)
		return false;
	want->is_next = true;
	want->starts_at = want->ends_at;
	want->ends_at += job->slot;
	return true;
}

/*
 * Have a job that got the next slot start with it, unless it is later still; of
 * one that waits for others its flow sees to that.
 */
static void
slot_begin_later(const SlotWants *wants, const SlotWant *want)
{
	NvsNewJob  *job = &wants->jobs[want->job];
	TimestampTz due = DatumGetTimestampTz(job->options[NVS_JOB_DUE_AT]);

	if (!want->is_next)
		return;
	if (job->waits)
		job->slot_starts_at = want->starts_at;
	else if (job->isnull[NVS_JOB_DUE_AT] || due < want->starts_at)
		nvs_job_set(job, NVS_JOB_DUE_AT,
					TimestampTzGetDatum(want->starts_at));
}

/* Jobs, int8, were cancelled: their slots are free. */
void
nvs_slots_cancel(NvsTableSet *set, const NvsQueue *queue, const Datum *ids,
				 int n)
{
	NvsParams	params;

	if (n == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	(void) nvs_table_set_run(set, &slot_cancel, &params);
}

/*
 * Take the slot of a job that was cancelled, and is to go on; false when
 * another has it.  *taken says whether it had one to take, and *due_at becomes
 * the start of that where it is before.  Whoever is taking it or giving it back
 * is waited for.
 */
bool
nvs_slot_take_again(NvsTableSet *set, const NvsQueue *queue, int64 id,
					bool *taken, TimestampTz *due_at)
{
	NvsParams	params;
	Datum		starts_at;

	slot_params(&params, queue, id);
	if (!nvs_execute_first(nvs_statement_plan(set->plans, &slot_was_cancelled,
											  &params, NULL),
						   &params, false, CurrentMemoryContext, &starts_at))
		return true;
	*due_at = Max(*due_at, DatumGetTimestampTz(starts_at));
	*taken = nvs_table_set_run(set, &slot_take_again, &params) > 0;
	if (*taken)
		(void) nvs_table_set_run(set, &slot_forget_cancelled, &params);
	return *taken;
}

/* The parameters that name a queue and a job of it. */
static void
slot_params(NvsParams *params, const NvsQueue *queue, int64 id)
{
	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(params, INT8OID, Int64GetDatum(id), false);
}

/* Delete up to wanted rows of slots that are over; returns how many. */
int64
nvs_slots_sweep(NvsTableSet *set, int64 wanted)
{
	NvsParams	params;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(wanted), false);
	return nvs_table_set_run(set, &slot_sweep, &params);
}
