/*
 * queue/note.c
 *	  Notes what a transaction changes of queues.
 *
 * A trigger of ours on each of the tables that say where jobs are is called for
 * every row, whoever changes it, and by whatever statement; what is written
 * without one (queue/direct.c) is noted there.  queue/count.c adds the notes up
 * when the transaction commits.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "queue/internal.h"
#include "queue/note.h"

/* Queues and tables that one transaction can note changes of. */
#define MAX_NOTES	128

/* Attributes of tables that have no enumeration elsewhere. */
#define TURN_QUEUE		2
#define TURN_ATTEMPT	4
#define TURN_DUE_AT		6
#define TURN_LANE		7
#define WAIT_QUEUE		2
#define WAIT_PENDING	4

/* Which of the tables a trigger is called for. */
typedef enum NoteTable
{
	NOTE_JOBS,
	NOTE_TURNS,
	NOTE_RUNS,
	NOTE_WAITS,
	NOTE_TABLES
} NoteTable;

/* The columns that tell the tables from others, and are looked at. */
static const struct
{
	NoteTable	table;
	AttrNumber	attribute;
	const char *name;
	Oid			type;
}			note_columns[] = {
	{NOTE_JOBS, NVS_JOBS_QUEUE + 1, "queue", INT4OID},
	{NOTE_JOBS, NVS_JOBS_DATA + 1, "data", JSONBOID},
	{NOTE_TURNS, TURN_QUEUE, "queue", INT4OID},
	{NOTE_TURNS, TURN_ATTEMPT, "attempt", INT4OID},
	{NOTE_TURNS, TURN_DUE_AT, "due_at", TIMESTAMPTZOID},
	{NOTE_TURNS, TURN_LANE, "lane", TEXTOID},
	{NOTE_RUNS, NVS_RUNS_ATTEMPT + 1, "attempt", INT4OID},
	{NOTE_RUNS, NVS_RUNS_QUEUE + 1, "queue", INT4OID},
	{NOTE_RUNS, NVS_RUNS_OUTCOME + 1, "outcome", TEXTOID},
	{NOTE_WAITS, WAIT_QUEUE, "queue", INT4OID},
	{NOTE_WAITS, WAIT_PENDING, "pending", INT4OID}
};

static NvsCountNote notes[MAX_NOTES];
static int	nnotes = 0;

PG_FUNCTION_INFO_V1(nvs_queue_counted);

static NvsCountNote *note_of(Oid relid, int32 queue, int64 rows);
static NoteTable note_table(TupleDesc desc);
static void note_row(NoteTable table, Relation rel, HeapTuple row,
					 int64 rows, int sign);
static void note_turn(NvsCountNote *note, HeapTuple row, TupleDesc desc,
					  int sign);
static void note_run(NvsCountNote *note, HeapTuple row, TupleDesc desc,
					 int sign);
static int	note_outcome(const char *outcome, int len);

/*
 * nvent.queue_counted(), a trigger of rows of {jobs}, {job_turns}, {job_runs}
 * and {job_waits}.  Any other table that it is made for is let be.
 */
Datum
nvs_queue_counted(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	NoteTable	table;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger of rows, after they change")));
	table = note_table(RelationGetDescr(trigger->tg_relation));
	if (table == NOTE_TABLES)
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		note_row(table, trigger->tg_relation, trigger->tg_trigtuple, 1, -1);
		note_row(table, trigger->tg_relation, trigger->tg_newtuple, 0, 1);
	}
	else
		note_row(table, trigger->tg_relation, trigger->tg_trigtuple, 1,
				 TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? 1 : -1);
	return PointerGetDatum(NULL);
}

/* Which table it is, by its columns; NOTE_TABLES for none of them. */
static NoteTable
note_table(TupleDesc desc)
{
	NoteTable	table;
	int			i = 0;

	for (table = 0; table < NOTE_TABLES; table++)
	{
		bool		is = true;

		for (; i < lengthof(note_columns) &&
			 note_columns[i].table == table; i++)
		{
			AttrNumber	attribute = note_columns[i].attribute;

			is = is && attribute <= desc->natts &&
				TupleDescAttr(desc, attribute - 1)->atttypid ==
				note_columns[i].type &&
				strcmp(NameStr(TupleDescAttr(desc, attribute - 1)->attname),
					   note_columns[i].name) == 0;
		}
		if (is)
			return table;
	}
	return NOTE_TABLES;
}

/*
 * The note of a queue and a table at the present nesting level, with that many
 * more rows; NULL when there is no room, which will be found out.
 */
static NvsCountNote *
note_of(Oid relid, int32 queue, int64 rows)
{
	int			nesting = GetCurrentTransactionNestLevel();
	int			i;

	for (i = 0; i < nnotes; i++)
		if (notes[i].relid == relid && notes[i].queue == queue &&
			notes[i].nesting == nesting)
			break;
	if (i == MAX_NOTES)
		return NULL;
	if (i == nnotes)
	{
		memset(&notes[i], 0, sizeof(NvsCountNote));
		notes[i].relid = relid;
		notes[i].queue = queue;
		notes[i].nesting = nesting;
		nnotes++;
	}
	notes[i].rows += rows;
	return &notes[i];
}

/* Note that a row is there, sign 1, or is not any more, -1. */
static void
note_row(NoteTable table, Relation rel, HeapTuple row, int64 rows, int sign)
{
	static const AttrNumber queues[] = {
		[NOTE_JOBS] = NVS_JOBS_QUEUE + 1,
		[NOTE_TURNS] = TURN_QUEUE,
		[NOTE_RUNS] = NVS_RUNS_QUEUE + 1,
		[NOTE_WAITS] = WAIT_QUEUE
	};
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;
	Datum		queue = heap_getattr(row, queues[table], desc, &isnull);
	NvsCountNote *note = note_of(RelationGetRelid(rel), DatumGetInt32(queue),
								 rows);

	if (note == NULL)
		return;
	if (table == NOTE_JOBS)
		note->counts[NVS_COUNT_JOBS] += sign;
	else if (table == NOTE_WAITS)
		note->counts[NVS_COUNT_WAITS] += sign;
	else if (table == NOTE_TURNS)
		note_turn(note, row, desc, sign);
	else
		note_run(note, row, desc, sign);
}

/* Note of a turn that came or went where its job stands by that. */
static void
note_turn(NvsCountNote *note, HeapTuple row, TupleDesc desc, int sign)
{
	bool		isnull;
	bool		now;
	int32		attempt = DatumGetInt32(heap_getattr(row, TURN_ATTEMPT, desc,
													 &isnull));
	TimestampTz due_at = DatumGetTimestampTz(heap_getattr(row, TURN_DUE_AT,
														  desc, &now));
	int			first = attempt > 0 ? NVS_COUNT_RETRY_DUE : NVS_COUNT_NEW_DUE;

	(void) heap_getattr(row, TURN_LANE, desc, &isnull);
	if (!now)
		first += TIMESTAMP_IS_NOEND(due_at) && !isnull ? 2 : 1;
	note->counts[first] += sign;
}

/* Note of a run that came or went where its job stands by that. */
static void
note_run(NvsCountNote *note, HeapTuple row, TupleDesc desc, int sign)
{
	bool		isnull;
	int32		attempt = DatumGetInt32(heap_getattr(row,
													 NVS_RUNS_ATTEMPT + 1,
													 desc, &isnull));
	Datum		outcome = heap_getattr(row, NVS_RUNS_OUTCOME + 1, desc,
									   &isnull);
	int			count = NVS_COUNT_ACTIVE;

	if (attempt == 1)
		note->counts[NVS_COUNT_FIRST_RUNS] += sign;
	if (!isnull)
	{
		text	   *name = DatumGetTextPP(outcome);

		count = note_outcome(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	}
	if (count >= 0)
		note->counts[count] += sign;
}

/* What runs of an outcome are counted by, -1 for nothing. */
static int
note_outcome(const char *outcome, int len)
{
	if (len == strlen(NVS_RUN_COMPLETED) &&
		memcmp(outcome, NVS_RUN_COMPLETED, len) == 0)
		return NVS_COUNT_COMPLETED;
	if (len == strlen(NVS_RUN_CANCELLED) &&
		memcmp(outcome, NVS_RUN_CANCELLED, len) == 0)
		return NVS_COUNT_CANCELLED;
	return -1;
}

/* n jobs were added to a queue without a statement. */
void
nvs_note_sent(const NvsTableSet *set, const NvsQueue *queue, int n)
{
	NvsCountNote *note = note_of(set->relids[NVS_TABLE_JOBS], queue->number,
								 n);

	if (note != NULL)
		note->counts[NVS_COUNT_JOBS] += n;
}

/* n runs were begun without a statement, of them so many first ones. */
void
nvs_note_begun(const NvsTableSet *set, const NvsQueue *queue, int n,
			   int nfirst)
{
	NvsCountNote *note = note_of(set->relids[NVS_TABLE_RUNS], queue->number,
								 n);

	if (note == NULL)
		return;
	note->counts[NVS_COUNT_FIRST_RUNS] += nfirst;
	note->counts[NVS_COUNT_ACTIVE] += n;
}

/* n active runs were ended without a statement. */
void
nvs_note_ended(const NvsTableSet *set, const NvsQueue *queue,
			   const char *outcome, int n)
{
	NvsCountNote *note = note_of(set->relids[NVS_TABLE_RUNS], queue->number,
								 n);
	int			count = note_outcome(outcome, strlen(outcome));

	if (note == NULL)
		return;
	note->counts[NVS_COUNT_ACTIVE] -= n;
	if (count >= 0)
		note->counts[count] += n;
}

/* The notes of the transaction; NULL after the last one.  Does not raise. */
const NvsCountNote *
nvs_note_get(int i)
{
	return i < nnotes ? &notes[i] : NULL;
}

/* Forget all notes.  Does not raise. */
void
nvs_notes_forget(void)
{
	nnotes = 0;
}

/* What a subtransaction did is its parent's from here on. */
void
nvs_notes_merge(int nesting)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < nnotes; i++)
	{
		NvsCountNote note = notes[i];
		int			k;
		int			c;

		note.nesting = Min(note.nesting, nesting - 1);
		for (k = 0; k < kept; k++)
			if (notes[k].relid == note.relid && notes[k].queue == note.queue &&
				notes[k].nesting == note.nesting)
				break;
		if (k == kept)
			notes[kept++] = note;
		else
		{
			notes[k].rows += note.rows;
			for (c = 0; c < NVS_COUNTS; c++)
				notes[k].counts[c] += note.counts[c];
		}
	}
	nnotes = kept;
}

/* A subtransaction is gone, and what it did.  Does not raise. */
void
nvs_notes_drop(int nesting)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < nnotes; i++)
		if (notes[i].nesting < nesting)
			notes[kept++] = notes[i];
	nnotes = kept;
}
