/*
 * queue/redrive.c
 *	  Puts dead letters back where they came from.
 *
 * A dead letter that is queued becomes a job of the queue whose job failed, and
 * is gone where it was, in one transaction.  They are found without a lock, the
 * oldest first, and then locked: a turn, or the row of a job that has no run,
 * as by who fetches them.  What somebody else has locked is passed over.  Only
 * what its new queue has taken is deleted here, so none is lost.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "queue/lane.h"
#include "queue/origin.h"
#include "wakeup/jobs.h"

/* Arguments of queue_redrive(). */
enum
{
	REDRIVE_QUEUE,
	REDRIVE_MAX_COUNT,
	REDRIVE_SOURCE,
	REDRIVE_TARGET,
	REDRIVE_PREVIEW,
	REDRIVE_STORE
};

/* A dead letter. */
typedef struct DeadLetter
{
	int64		id;
	bool		is_turn;
	bool		is_kept;		/* of those that are looked at again */
	int32		priority;
	NvsNewJob	job;			/* that it is to be */
	NvsOrigin	origin;
	NvsQueue   *target;			/* NULL: there is none */
	int64		new_id;			/* 0: it stays */
} DeadLetter;

/* A call. */
typedef struct Redrive
{
	NvsTableSet *set;
	NvsQueue   *queue;
	int			max_count;
	text	   *source;			/* NULL: any */
	char	   *target;			/* NULL: where they came from */
	bool		preview;
	DeadLetter *letters;		/* by their ids */
	int			n;
	int			size;
	bool		turns;			/* what is found now has a turn */
	int			next;			/* of those that are told of in their order */
	MemoryContext cxt;
} Redrive;

/* Some of the dead letters of a call. */
typedef enum RedriveSome
{
	REDRIVE_READY,
	REDRIVE_TURNS,
	REDRIVE_ALL,
	REDRIVE_SENT
} RedriveSome;

/* In SQL, that j is a dead letter, of queue $2 if that is not NULL. */
#define IS_DEAD_LETTER \
	"j.origin OPERATOR(pg_catalog.?) 'queue' AND ($2 IS NULL " \
	"OR (j.origin OPERATOR(pg_catalog.->>) 'queue') " \
	"OPERATOR(pg_catalog.=) $2) "

/* In SQL, that no run has job j, nor a turn. */
#define NOT_TAKEN \
	"(SELECT r.id FROM {job_runs} r WHERE r.id OPERATOR(pg_catalog.=) j.id " \
	"LIMIT 1) IS NULL " \
	"AND (SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) j.id " \
	"LIMIT 1) IS NULL "

/* In SQL, jobs $2 of queue $1, of any of the priorities $3. */
#define THESE_JOBS \
	"j.queue OPERATOR(pg_catalog.=) $1 " \
	"AND j.priority OPERATOR(pg_catalog.=) ANY ($3) " \
	"AND j.id OPERATOR(pg_catalog.=) ANY ($2) "

/* Up to $3 of queue $1 and priority $4 behind $5 that are ready. */
static const NvsStatement redrive_find_ready = {
	"SELECT j.id FROM {jobs} j WHERE j.queue OPERATOR(pg_catalog.=) $1 "
	"AND j.priority OPERATOR(pg_catalog.=) $4 "
	"AND j.id OPERATOR(pg_catalog.>) $5 AND j.due_at IS NULL "
	"AND " IS_DEAD_LETTER "AND " NOT_TAKEN
	"ORDER BY j.queue, j.priority, j.id LIMIT $3"
};

/* Up to $3 of queue $1 that have turns. */
static const NvsStatement redrive_find_turns = {
	"SELECT t.id FROM {job_turns} t JOIN {jobs} j "
	"ON j.queue OPERATOR(pg_catalog.=) t.queue "
	"AND j.priority OPERATOR(pg_catalog.=) t.priority "
	"AND j.id OPERATOR(pg_catalog.=) t.id "
	"WHERE t.queue OPERATOR(pg_catalog.=) $1 AND " IS_DEAD_LETTER
	"ORDER BY t.id LIMIT $3"
};

/* $1 queue, $2 ids. */
static const NvsStatement redrive_lock_turns = {
	"SELECT t.id FROM {job_turns} t WHERE t.id OPERATOR(pg_catalog.=) ANY ($2) "
	"AND " NVS_IN_QUEUE("t", "1") " ORDER BY t.id FOR UPDATE SKIP LOCKED"
};
static const NvsStatement redrive_lock_ready = {
	"SELECT j.id FROM {jobs} j WHERE " THESE_JOBS "ORDER BY j.id "
	"FOR UPDATE SKIP LOCKED"
};

/* The jobs that nobody has begun before we had their rows. */
static const NvsStatement redrive_recheck_ready = {
	"SELECT j.id FROM {jobs} j WHERE " THESE_JOBS "AND j.due_at IS NULL "
	"AND " NOT_TAKEN
	"ORDER BY j.id"
};

/*
 * The jobs that nobody has begun, where the snapshot of the transaction may not
 * show a run: that is an error, 40001, by a run of our own, which is deleted
 * again.
 */
static const NvsStatement redrive_claim_ready = {
	"INSERT INTO {job_runs} (queue, id, priority, attempt, lease_until, "
	"ended_at, outcome) SELECT j.queue, j.id, j.priority, 1, " NVS_NOW ", "
	NVS_NOW ", '" NVS_RUN_CANCELLED "' FROM {jobs} j WHERE " THESE_JOBS
	"AND j.due_at IS NULL AND " NOT_TAKEN "ORDER BY j.id ON CONFLICT DO NOTHING RETURNING id"
};

static const NvsStatement redrive_read = {
	"SELECT id, " NVS_JOB_COLUMNS " FROM {jobs} j WHERE " THESE_JOBS
	"ORDER BY id"
};

/* What belongs to the jobs $2 of queue $1. */
static const NvsStatement redrive_delete_turns = {
	NVS_DELETE_OF_JOBS("job_turns")
};
static const NvsStatement redrive_delete_runs = {
	NVS_DELETE_OF_JOBS("job_runs")
};
static const NvsStatement redrive_delete_jobs = {
	"DELETE FROM {jobs} j WHERE " THESE_JOBS
};

PG_FUNCTION_INFO_V1(nvs_queue_redrive);

static void redrive_read_arguments(Redrive *redrive,
								   FunctionCallInfo fcinfo);
static void redrive_check(FunctionCallInfo fcinfo, const Redrive *redrive);
static void redrive_run(Redrive *redrive);
static void redrive_find(Redrive *redrive);
static void redrive_found(TupleTableSlot *slot, void *arg);
static void redrive_lock(Redrive *redrive);
static void redrive_keep(Redrive *redrive, RedriveSome some,
						 const NvsStatement *statement);
static void redrive_kept(TupleTableSlot *slot, void *arg);
static bool redrive_is_of(const DeadLetter *letter, RedriveSome some);
static Datum *redrive_ids(const Redrive *redrive, RedriveSome some, int *n);
static int	redrive_params(const Redrive *redrive, RedriveSome some,
						   NvsParams *params);
static void redrive_read_letters(Redrive *redrive);
static void redrive_take(TupleTableSlot *slot, void *arg);
static DeadLetter *redrive_next(Redrive *redrive, TupleTableSlot *slot);
static bool redrive_address(const Redrive *redrive, DeadLetter *letter);
static void redrive_make_job(const Redrive *redrive, DeadLetter *letter);
static void redrive_note(const Redrive *redrive);
static void redrive_send(Redrive *redrive);
static void redrive_send_to(Redrive *redrive, NvsQueue *target);
static void redrive_delete(Redrive *redrive);
static int	redrive_compare(const void *a, const void *b);
static int	redrive_compare_queue(const ListCell *a, const ListCell *b);
static void redrive_put(const DeadLetter *letter, Tuplestorestate *result,
						TupleDesc desc);

/*
 * nvent.queue_redrive(queue, max_count, source, target, preview, store): a row
 * for each dead letter that is put back, or would be; or stays.
 */
Datum
nvs_queue_redrive(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	Redrive		redrive;
	int			i;

	redrive_read_arguments(&redrive, fcinfo);
	if (!redrive.preview)
		PreventCommandIfReadOnly("nvent.queue_redrive()");
	redrive.cxt = CurrentMemoryContext;
	nvs_spi_begin();
	redrive.set = nvs_queue_open(fcinfo, REDRIVE_QUEUE, REDRIVE_STORE,
								 redrive.preview ? NVS_USE_READ :
								 NVS_USE_CHANGE, &redrive.queue);
	if (redrive.target != NULL)
		(void) nvs_queue_require(redrive.set, redrive.target);
	if (redrive.max_count > 0)
		redrive_run(&redrive);
	nvs_spi_end();
	for (i = 0; i < redrive.n; i++)
		redrive_put(&redrive.letters[i], result, desc);
	return (Datum) 0;
}

/* Take the arguments of queue_redrive(); what they point to is the caller's. */
static void
redrive_read_arguments(Redrive *redrive, FunctionCallInfo fcinfo)
{
	memset(redrive, 0, sizeof(Redrive));
	NVS_REQUIRE_ARG(REDRIVE_QUEUE, "queue");
	NVS_REQUIRE_ARG(REDRIVE_MAX_COUNT, "max_count");
	NVS_REQUIRE_ARG(REDRIVE_PREVIEW, "preview");
	redrive->max_count = PG_GETARG_INT32(REDRIVE_MAX_COUNT);
	redrive->preview = PG_GETARG_BOOL(REDRIVE_PREVIEW);
	if (!PG_ARGISNULL(REDRIVE_SOURCE))
		redrive->source = PG_GETARG_TEXT_PP(REDRIVE_SOURCE);
	if (!PG_ARGISNULL(REDRIVE_TARGET))
		redrive->target = text_to_cstring(PG_GETARG_TEXT_PP(REDRIVE_TARGET));
	redrive_check(fcinfo, redrive);
}

/* Raise an error for arguments of queue_redrive() that make no sense. */
static void
redrive_check(FunctionCallInfo fcinfo, const Redrive *redrive)
{
	if (redrive->max_count < 0 || redrive->max_count > NVS_MAX_JOBS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 0 to %d",
						NVS_MAX_JOBS),
				 errdetail("It is %d.", redrive->max_count)));
	if (redrive->target != NULL &&
		strcmp(redrive->target,
			   text_to_cstring(PG_GETARG_TEXT_PP(REDRIVE_QUEUE))) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dead letters of queue \"%s\" cannot be put into it",
						redrive->target)));
}

/* Find dead letters, and put them back unless it is a preview. */
static void
redrive_run(Redrive *redrive)
{

	redrive_find(redrive);
	if (!redrive->preview)
		redrive_lock(redrive);
	redrive_read_letters(redrive);
	if (redrive->preview)
		return;
	redrive_note(redrive);
	redrive_send(redrive);
	redrive_delete(redrive);
}

/*
 * Find the oldest dead letters: those with a turn, and the ready ones.  None is
 * locked yet, and what is found may be somebody else's by then.
 */
static void
redrive_find(Redrive *redrive)
{
	const NvsQueue *queue = redrive->queue;
	NvsParams	params;
	int			i;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum(queue->number), false);
	nvs_params_add(&params, TEXTOID, PointerGetDatum(redrive->source),
				   redrive->source == NULL);
	nvs_params_add(&params, INT8OID, Int64GetDatum(redrive->max_count), false);

	/* The settled position is about those alone that have no turn. */
	redrive->turns = true;
	(void) nvs_table_set_each(redrive->set, &redrive_find_turns, &params,
							  redrive->preview, redrive_found, redrive);

	/* Ready ones are behind the settled positions of their levels. */
	redrive->turns = false;
	for (i = 0; i < queue->nlevels; i++)
	{
		const NvsLevel *level = &queue->levels[i];

		params.n = 3;
		nvs_params_add(&params, INT4OID, Int32GetDatum(level->priority),
					   false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(level->settled), false);
		(void) nvs_table_set_each(redrive->set, &redrive_find_ready, &params,
								  redrive->preview, redrive_found, redrive);
	}

	/* The oldest of all are among the oldest of each level, and of turns. */
	if (redrive->n > 1)
		qsort(redrive->letters, redrive->n, sizeof(DeadLetter),
			  redrive_compare);
	redrive->n = Min(redrive->n, redrive->max_count);
}

/* Add a dead letter that was found. */
static void
redrive_found(TupleTableSlot *slot, void *arg)
{
	Redrive    *redrive = arg;
	MemoryContext old = MemoryContextSwitchTo(redrive->cxt);
	DeadLetter *letter;
	bool		isnull;

	if (redrive->n == redrive->size)
	{
		redrive->size = Max(redrive->size * 2, 16);
		redrive->letters = redrive->letters == NULL ?
			palloc(sizeof(DeadLetter) * redrive->size) :
			repalloc_huge(redrive->letters,
						  sizeof(DeadLetter) * redrive->size);
	}
	letter = &redrive->letters[redrive->n++];
	memset(letter, 0, sizeof(DeadLetter));
	nvs_job_init(&letter->job);
	letter->id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	letter->is_turn = redrive->turns;
	MemoryContextSwitchTo(old);
}

/* qsort() comparator: the oldest first. */
static int
redrive_compare(const void *a, const void *b)
{
	const DeadLetter *x = a;
	const DeadLetter *y = b;

	return x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
}

/* Lock the dead letters, and leave out what others have or had before us. */
static void
redrive_lock(Redrive *redrive)
{
	NvsParams	params;

	redrive_keep(redrive, REDRIVE_TURNS, &redrive_lock_turns);
	redrive_keep(redrive, REDRIVE_READY, &redrive_lock_ready);

	/* Whether others had a ready one before takes a newer snapshot to see. */
	if (!IsolationUsesXactSnapshot())
	{
		redrive_keep(redrive, REDRIVE_READY, &redrive_recheck_ready);
		return;
	}
	redrive_keep(redrive, REDRIVE_READY, &redrive_claim_ready);
	if (redrive_params(redrive, REDRIVE_READY, &params) > 0)
	{
		params.n = 2;
		(void) nvs_table_set_run(redrive->set, &redrive_delete_runs, &params);
	}
}

/* Of some of the dead letters keep those that a statement returns. */
static void
redrive_keep(Redrive *redrive, RedriveSome some,
			 const NvsStatement *statement)
{
	NvsParams	params;
	int			kept = 0;
	int			i;

	(void) redrive_params(redrive, some, &params);
	for (i = 0; i < redrive->n; i++)
		redrive->letters[i].is_kept = !redrive_is_of(&redrive->letters[i],
													 some);
	redrive->next = 0;
	(void) nvs_table_set_each(redrive->set, statement, &params, false,
							  redrive_kept, redrive);
	for (i = 0; i < redrive->n; i++)
		if (redrive->letters[i].is_kept)
			redrive->letters[kept++] = redrive->letters[i];
	redrive->n = kept;
}

/* A dead letter is to be kept; they come in the order of their ids. */
static void
redrive_kept(TupleTableSlot *slot, void *arg)
{
	DeadLetter *letter = redrive_next(arg, slot);

	if (letter != NULL)
		letter->is_kept = true;
}

/* The dead letter of a row; they come in the order of their ids. */
static DeadLetter *
redrive_next(Redrive *redrive, TupleTableSlot *slot)
{
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	while (redrive->next < redrive->n)
	{
		DeadLetter *letter = &redrive->letters[redrive->next++];

		if (letter->id == id)
			return letter;
	}
	return NULL;
}

/* Is a dead letter one of these? */
static bool
redrive_is_of(const DeadLetter *letter, RedriveSome some)
{
	switch (some)
	{
		case REDRIVE_READY:
			return !letter->is_turn;
		case REDRIVE_TURNS:
			return letter->is_turn;
		case REDRIVE_SENT:
			return letter->new_id != 0;
		default:
			return true;
	}
}

/* The ids of some, int8, in their order; *n gets how many they are. */
static Datum *
redrive_ids(const Redrive *redrive, RedriveSome some, int *n)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(redrive->n, 1));
	int			i;

	*n = 0;
	for (i = 0; i < redrive->n; i++)
		if (redrive_is_of(&redrive->letters[i], some))
			ids[(*n)++] = Int64GetDatum(redrive->letters[i].id);
	return ids;
}

/* The parameters of a statement on some; returns how many these are. */
static int
redrive_params(const Redrive *redrive, RedriveSome some, NvsParams *params)
{
	int			n;
	Datum	   *ids = redrive_ids(redrive, some, &n);

	nvs_params_init(params);
	nvs_params_add(params, INT4OID, Int32GetDatum(redrive->queue->number),
				   false);
	nvs_params_add(params, INT8ARRAYOID, nvs_array_of(INT8OID, ids, NULL, n),
				   false);
	nvs_params_add(params, INT4ARRAYOID, nvs_queue_priorities(redrive->queue),
				   false);
	return n;
}

/* Read the dead letters, and where each of them is to go. */
static void
redrive_read_letters(Redrive *redrive)
{
	NvsParams	params;
	MemoryContext old;
	int			kept = 0;
	int			i;

	if (redrive_params(redrive, REDRIVE_ALL, &params) == 0)
		return;
	redrive->next = 0;
	(void) nvs_table_set_each(redrive->set, &redrive_read, &params,
							  redrive->preview, redrive_take, redrive);

	/* What is made of them outlives SPI, as what was read does. */
	old = MemoryContextSwitchTo(redrive->cxt);
	for (i = 0; i < redrive->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (redrive_address(redrive, &redrive->letters[i]))
			redrive->letters[kept++] = redrive->letters[i];
	}
	MemoryContextSwitchTo(old);
	redrive->n = kept;
}

/* Take a row as what a dead letter says. */
static void
redrive_take(TupleTableSlot *slot, void *arg)
{
	Redrive    *redrive = arg;
	DeadLetter *letter = redrive_next(redrive, slot);
	MemoryContext old;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			i;

	if (letter == NULL)
		return;
	slot_getallattrs(slot);
	nvs_job_take(&letter->job, slot->tts_values + 1, slot->tts_isnull + 1);

	/* What it points to is the slot's. */
	old = MemoryContextSwitchTo(redrive->cxt);
	if (letter->job.has_data)
		letter->job.data = datumCopy(letter->job.data, false, -1);
	for (i = 0; i < NVS_JOB_OPTIONS; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i + 2);

		if (!letter->job.isnull[i])
			letter->job.options[i] = datumCopy(letter->job.options[i],
											   att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Make a dead letter the job that it is to be, and find its queue; false when
 * it was not read, or is none.
 */
static bool
redrive_address(const Redrive *redrive, DeadLetter *letter)
{
	const NvsNewJob *dead = &letter->job;

	if (dead->isnull[NVS_JOB_ORIGIN] ||
		!nvs_origin_read(DatumGetJsonbP(dead->options[NVS_JOB_ORIGIN]),
						 &letter->origin))
		return false;
	letter->priority = DatumGetInt32(dead->options[NVS_JOB_PRIORITY]);
	letter->target = nvs_queue_named(redrive->set, redrive->target != NULL ?
									 redrive->target : letter->origin.queue);
	redrive_make_job(redrive, letter);
	return true;
}

/*
 * Make a dead letter the job that it is to be: with its data and key, and what
 * its origin says else.
 */
static void
redrive_make_job(const Redrive *redrive, DeadLetter *letter)
{
	const NvsNewJob *dead = &letter->job;
	NvsNewJob	job;

	if (letter->origin.options != NULL)
		nvs_job_read(&job, letter->origin.options, 1);
	else
		nvs_job_init(&job);

	/* The queue of dead letters that it named may have another name by now. */
	if (!job.isnull[NVS_JOB_DEAD_LETTER])
		nvs_job_set(&job, NVS_JOB_DEAD_LETTER,
					CStringGetTextDatum(redrive->queue->name));
	job.data = dead->data;
	job.has_data = dead->has_data;
	nvs_job_set(&job, NVS_JOB_PRIORITY,
				Int32GetDatum(letter->origin.priority));
	if (!dead->isnull[NVS_JOB_KEY])
		nvs_job_set(&job, NVS_JOB_KEY, dead->options[NVS_JOB_KEY]);
	nvs_job_set(&job, NVS_JOB_ORIGIN,
				nvs_origin_of_redriven(&letter->origin));
	letter->job = job;
}

/*
 * Those who fetch may have passed dead letters while they were locked, which
 * they find if these stay, or if we are rolled back.
 */
static void
redrive_note(const Redrive *redrive)
{
	const NvsQueue *queue = redrive->queue;
	int			i;

	for (i = 0; i < redrive->n; i++)
	{
		const DeadLetter *letter = &redrive->letters[i];

		if (letter->is_turn)
			continue;
		nvs_hint_note(queue, letter->priority, letter->id, true);
		nvs_hint_note(queue, letter->priority, letter->id, false);
	}
	nvs_jobs_note_taken(queue->wakeup, redrive->n);
	nvs_jobs_note_ready(queue->wakeup, redrive->n);
}

/* Send the jobs, to one queue after another in the order of their numbers. */
static void
redrive_send(Redrive *redrive)
{
	List	   *targets = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < redrive->n; i++)
		if (redrive->letters[i].target != NULL)
			targets = list_append_unique_ptr(targets,
											 redrive->letters[i].target);
	list_sort(targets, redrive_compare_queue);
	foreach(lc, targets)
		redrive_send_to(redrive, lfirst(lc));
}

/* list_sort() comparator: by number. */
static int
redrive_compare_queue(const ListCell *a, const ListCell *b)
{
	const NvsQueue *x = lfirst(a);
	const NvsQueue *y = lfirst(b);

	return x->number < y->number ? -1 : x->number > y->number ? 1 : 0;
}

/* Send those jobs that are to go to a queue. */
static void
redrive_send_to(Redrive *redrive, NvsQueue *target)
{
	NvsNewJob  *jobs = palloc(sizeof(NvsNewJob) * redrive->n);
	int64	   *ids = palloc(sizeof(int64) * redrive->n);
	int			n = 0;
	int			i;

	for (i = 0; i < redrive->n; i++)
		if (redrive->letters[i].target == target)
			jobs[n++] = redrive->letters[i].job;
	nvs_jobs_insert(redrive->set, target, jobs, n, ids);
	n = 0;
	for (i = 0; i < redrive->n; i++)
		if (redrive->letters[i].target == target)
			redrive->letters[i].new_id = ids[n++];
	pfree(jobs);
	pfree(ids);
}

/* Delete the dead letters whose jobs were sent. */
static void
redrive_delete(Redrive *redrive)
{
	const NvsTableSet *set = redrive->set;
	NvsParams	params;
	int			n;
	Datum	   *ids = redrive_ids(redrive, REDRIVE_SENT, &n);
	int			ndeleted;

	if (n == 0)
		return;

	/* Others may wait in their lanes behind the turns, which must be there. */
	nvs_lanes_leave(redrive->set, redrive->queue, ids, n);
	(void) redrive_params(redrive, REDRIVE_SENT, &params);
	params.n = 2;
	(void) nvs_table_set_run(set, &redrive_delete_turns, &params);
	(void) nvs_table_set_run(set, &redrive_delete_runs, &params);

	/* What stays would be done twice. */
	(void) redrive_params(redrive, REDRIVE_SENT, &params);
	ndeleted = nvs_table_set_run(set, &redrive_delete_jobs, &params);
	if (ndeleted != n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger, rule or policy of %s kept %d of %d jobs "
						"from being deleted", set->tables[2], n - ndeleted,
						n)));
	nvs_keys_release(redrive->set, redrive->queue, ids, n);
}

/* Put a dead letter into the result. */
static void
redrive_put(const DeadLetter *letter, Tuplestorestate *result, TupleDesc desc)
{
	const NvsOrigin *origin = &letter->origin;
	Datum		values[7];
	bool		isnull[7] = {false};

	values[0] = Int64GetDatum(letter->id);
	values[1] = CStringGetTextDatum(origin->queue);
	values[2] = Int64GetDatum(origin->id);
	values[3] = Int32GetDatum(origin->attempts);
	values[4] = PointerGetDatum(origin->error);
	isnull[4] = origin->error == NULL;
	values[5] = letter->target == NULL ? (Datum) 0 :
		CStringGetTextDatum(letter->target->name);
	isnull[5] = letter->target == NULL;
	values[6] = Int64GetDatum(letter->new_id);
	isnull[6] = letter->new_id == 0;
	tuplestore_putvalues(result, desc, values, isnull);
}
