/*
 * stream/insert.c
 *	  Inserting events: one INSERT for each run of events of one relation.
 *
 * Positions are drawn by the relation's default as rows are inserted, hence
 * in the order of the events, whatever streams and relations they belong to.
 * Only what may differ from the parameters is read back.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/planned.h"
#include "stream/append.h"
#include "stream/bulk.h"
#include "stream/statement.h"
#include "stream/write.h"
#include "wakeup/notify.h"

/* One INSERT: its events, and what is made of the rows that it returns. */
typedef struct InsertRun
{
	NvsNewEvent *events;
	int			n;
	NvsTarget  *target;
	bool		ids;			/* an event has one */
	int		   *returned;		/* columns, by their index in the map */
	int			nreturned;
	int			nrows;			/* so far */
	Datum	   *values;			/* of a row, by column of the map */
	bool	   *nulls;
	int64	   *positions;
	NvsRecords *records;
} InsertRun;

static bool insert_is_same_run(const NvsNewEvent *a, const NvsNewEvent *b);
static int	insert_run(NvsNewEvent *events, int n, NvsRecords *records);
static bool insert_is_bulk(const InsertRun *run);
static void insert_bulk(InsertRun *run);
static int	insert_by_statement(InsertRun *run);
static void insert_init(InsertRun *run);
static bool insert_has_column(const NvsTarget *target, const NvsEvent *event,
							  int i);
static void insert_take_row(TupleTableSlot *slot, void *arg);
static void insert_add_record(const InsertRun *run, const NvsNewEvent *event,
							  const Datum *values, const bool *nulls);
static SPIPlanPtr insert_plan_one(const InsertRun *run, NvsParams *params);
static void insert_build_one(StringInfo sql, const void *arg);
static SPIPlanPtr insert_plan_many(const InsertRun *run, NvsParams *params);
static bool insert_varies(const InsertRun *run, int column);
static int	insert_add_array(const InsertRun *run, int column,
							 NvsParams *params);
static int	insert_build_columns(const InsertRun *run, StringInfo sql);
static void insert_build_returning(const InsertRun *run, StringInfo sql);
static void insert_announce(const InsertRun *run);

/* INSERT of an event without an id that leaves every default to the table. */
static const NvsStatement insert_common = {.build = insert_build_one};

/*
 * Insert events, make their records and announce them.  Returns false
 * when nothing was inserted since others hold the ids.
 */
bool
nvs_stream_insert(NvsNewEvent *events, int n, NvsRecords *records)
{
	int			start = 0;

	while (start < n)
	{
		int			end = start + 1;
		int			inserted;

		while (end < n && insert_is_same_run(&events[start], &events[end]))
			end++;
		CHECK_FOR_INTERRUPTS();
		inserted = insert_run(&events[start], end - start, records);
		if (start + inserted == 0)
			return false;
		if (inserted < end - start)
			nvs_event_id_taken(n - start - inserted, n);
		start = end;
	}
	return true;
}

/* Can two events be inserted by one statement? */
static bool
insert_is_same_run(const NvsNewEvent *a, const NvsNewEvent *b)
{
	const NvsTarget *target = a->stream->resolved.target;
	const NvsStreamState *state = target->state;

	return !state->one_by_one && target == b->stream->resolved.target &&
		nvs_event_alike(target, &a->event, &b->event);
}

/*
 * Insert events by one statement, make their records and announce them.
 * Returns how many were inserted; those whose ids are taken may be missing.
 */
static int
insert_run(NvsNewEvent *events, int n, NvsRecords *records)
{
	InsertRun	run;
	int			inserted;

	run.events = events;
	run.n = n;
	run.target = events[0].stream->resolved.target;
	run.records = records;
	insert_init(&run);
	if (insert_is_bulk(&run))
		insert_bulk(&run);
	else if ((inserted = insert_by_statement(&run)) < n)
		return inserted;
	insert_announce(&run);
	return n;
}

/*
 * Can the events go to the table without the executor?  The table may have
 * changed as its events were taken apart, by what the caller's types do.
 */
static bool
insert_is_bulk(const InsertRun *run)
{
	NvsStreamState *state = run->target->state;

	if (run->ids || !run->target->valid)
		return false;

	/* Only who appends waits for who has one of the table's indexes. */
	if (!state->bulk_known)
	{
		MemoryContext old = MemoryContextSwitchTo(run->target->cxt);

		state->bulk = nvs_bulk_compile(run->target, state->in_record);
		state->bulk_known = true;
		MemoryContextSwitchTo(old);
	}
	return state->bulk != NULL && run->target->valid &&
		nvs_is_planned_as_itself(run->target->relid);
}

/* Insert the events without the executor, and make their records. */
static void
insert_bulk(InsertRun *run)
{
	const NvsStreamState *state = run->target->state;
	const NvsFieldMap *map = run->target->map;
	const int	low = FirstLowInvalidHeapAttributeNumber;
	Bitmapset  *inserted = NULL;
	Bitmapset  *selected = NULL;
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (insert_has_column(run->target, &run->events[0].event, i))
			inserted = bms_add_member(inserted, map->fields[i].attnum - low);
	for (i = 0; i < run->nreturned; i++)
		selected = bms_add_member(selected,
								  map->fields[run->returned[i]].attnum - low);
	nvs_bulk_insert(run->events, run->n, inserted, selected);
	for (i = 0; i < run->n; i++)
	{
		const NvsNewEvent *event = &run->events[i];
		Datum		id = event->event.values[state->id - map->fields];

		run->positions[i] = DatumGetInt64(id);
		insert_add_record(run, event, event->event.values,
						  event->event.nulls);
	}
}

/*
 * Insert the events by one statement, and make their records.  Returns how many
 * were inserted; those whose ids are taken may be missing.
 */
static int
insert_by_statement(InsertRun *run)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		inserted;

	nvs_params_init(&params);
	if (run->n == 1)
		plan = insert_plan_one(run, &params);
	else
		plan = insert_plan_many(run, &params);
	inserted = nvs_stream_write(run->target, plan, &params, insert_take_row,
								run);
	if (inserted != run->n && !run->ids)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event",
						run->target->name),
				 errdetail("A trigger or rule kept rows out.")));
	return (int) inserted;
}

/*
 * Find out what the INSERT is to return: the columns that may hold something
 * else than their parameter, the position above all.
 */
static void
insert_init(InsertRun *run)
{
	const NvsEvent *event = &run->events[0].event;
	const NvsStreamState *state = run->target->state;
	int			nfields = run->target->map->nfields;
	int			i;

	run->ids = false;
	for (i = 0; i < run->n && !run->ids; i++)
		run->ids = nvs_event_id_given(&run->events[i]);
	run->returned = palloc(sizeof(int) * nfields);
	run->nreturned = 0;
	for (i = 0; i < nfields; i++)
		if (state->in_record[i] &&
			!(state->kept[i] && insert_has_column(run->target, event, i)))
			run->returned[run->nreturned++] = i;
	run->nrows = 0;
	run->values = palloc(sizeof(Datum) * nfields);
	run->nulls = palloc(sizeof(bool) * nfields);
	run->positions = palloc(sizeof(int64) * run->n);
}

/*
 * Is a column named in the INSERT of these events?  All are that the caller
 * could give, so that the statement is the same for most events; only what
 * has a default must be left out to get it.
 */
static bool
insert_has_column(const NvsTarget *target, const NvsEvent *event, int i)
{
	const NvsStreamState *state = target->state;
	const NvsField *field = &target->map->fields[i];

	if (event->given[i])
		return true;
	return !field->has_default && (!field->reserved || field == state->meta);
}

/*
 * Take a row from the executor: with what the event gave, its record.  Rows
 * come in the order of the events; when ids kept some from coming, all of the
 * call is given up.
 */
static void
insert_take_row(TupleTableSlot *slot, void *arg)
{
	InsertRun  *run = arg;
	const NvsStreamState *state = run->target->state;
	const NvsFieldMap *map = run->target->map;
	NvsNewEvent *event = &run->events[run->nrows];
	int			i;

	/* A rule can return more rows than we gave; insert_run() refuses that. */
	if (run->nrows == run->n)
		return;
	memcpy(run->values, event->event.values, sizeof(Datum) * map->nfields);
	memcpy(run->nulls, event->event.nulls, sizeof(bool) * map->nfields);
	slot_getallattrs(slot);
	for (i = 0; i < run->nreturned; i++)
	{
		run->values[run->returned[i]] = slot->tts_values[i];
		run->nulls[run->returned[i]] = slot->tts_isnull[i];
	}
	run->positions[run->nrows] =
		DatumGetInt64(run->values[state->id - map->fields]);
	insert_add_record(run, event, run->values, run->nulls);
	run->nrows++;
}

/* Make the record of an event that was inserted, and take it for queues. */
static void
insert_add_record(const InsertRun *run, const NvsNewEvent *event,
				  const Datum *values, const bool *nulls)
{
	const NvsResolved *resolved = &event->stream->resolved;

	if (unlikely(run->records->bound != NULL))
		nvs_bound_add(run->records->bound, resolved, values, nulls);
	nvs_records_add(run->records, resolved, values, nulls);
}

/* The plan of an INSERT of one event: a parameter for each column. */
static SPIPlanPtr
insert_plan_one(const InsertRun *run, NvsParams *params)
{
	const NvsEvent *event = &run->events[0].event;
	const NvsFieldMap *map = run->target->map;
	bool		common = !run->ids;
	StringInfoData sql;
	int			i;

	for (i = 0; i < map->nfields; i++)
	{
		if (!insert_has_column(run->target, event, i))
			continue;
		nvs_params_add(params, map->fields[i].type, event->values[i],
					   event->nulls[i]);
		common = common && !map->fields[i].has_default;
	}
	if (common)
		return nvs_statement_plan(run->target->plans, &insert_common, params,
								  run);
	initStringInfo(&sql);
	insert_build_one(&sql, run);
	return nvs_statement_plan_text(run->target->plans, sql.data, params,
								   NVS_PLAN_GENERIC);
}

/* Write the INSERT of one event; arg is the run. */
static void
insert_build_one(StringInfo sql, const void *arg)
{
	const InsertRun *run = arg;
	int			ncolumns = insert_build_columns(run, sql);
	int			i;

	appendStringInfoString(sql, " VALUES (");
	for (i = 1; i <= ncolumns; i++)
		appendStringInfo(sql, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(sql, ')');
	insert_build_returning(run, sql);
}

/*
 * The plan of an INSERT of many events: an array for each column, or its value
 * where all events have the same.  unnest() keeps their order, and positions
 * are drawn row by row.  It is in the SELECT list, where its rows are not
 * stored before the first of them is inserted.
 */
static SPIPlanPtr
insert_plan_many(const InsertRun *run, NvsParams *params)
{
	const NvsEvent *first = &run->events[0].event;
	const NvsFieldMap *map = run->target->map;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	insert_build_columns(run, &sql);
	appendStringInfoString(&sql, " SELECT ");

	/*
	 * A value that all events have is one parameter, and not an array of as
	 * many copies.
	 */
	for (i = 0; i < map->nfields; i++)
	{
		const char *comma = params->n > 0 ? ", " : "";

		if (!insert_has_column(run->target, first, i))
			continue;
		if (insert_varies(run, i))
			appendStringInfo(&sql, "%spg_catalog.unnest($%d)", comma,
							 insert_add_array(run, i, params));
		else
			appendStringInfo(&sql, "%s$%d", comma,
							 nvs_params_add(params, map->fields[i].type,
											first->values[i],
											first->nulls[i]));
	}

	insert_build_returning(run, &sql);
	return nvs_statement_plan_text(run->target->plans, sql.data, params,
								   NVS_PLAN_GENERIC);
}

/*
 * May the events of a run have different values in a column?  Of the type that
 * is always so, since some array says how many events there are.
 */
static bool
insert_varies(const InsertRun *run, int column)
{
	const NvsStreamState *state = run->target->state;
	const NvsEvent *first = &run->events[0].event;
	int			i;

	if (&run->target->map->fields[column] == state->type)
		return true;
	for (i = 1; i < run->n; i++)
		if (run->events[i].event.nulls[column] != first->nulls[column] ||
			run->events[i].event.values[column] != first->values[column])
			return true;
	return false;
}

/* Add a parameter, the values of a column of all events; returns its number. */
static int
insert_add_array(const InsertRun *run, int column, NvsParams *params)
{
	Datum	   *values = palloc(sizeof(Datum) * run->n);
	bool	   *nulls = palloc(sizeof(bool) * run->n);
	int			i;

	for (i = 0; i < run->n; i++)
	{
		values[i] = run->events[i].event.values[column];
		nulls[i] = run->events[i].event.nulls[column];
	}
	return nvs_stream_add_array(params, run->target->map->fields[column].type,
								values, nulls, run->n);
}

/* Write the beginning of an INSERT; returns how many columns it names. */
static int
insert_build_columns(const InsertRun *run, StringInfo sql)
{
	const NvsTarget *target = run->target;
	int			ncolumns = 0;
	int			i;

	appendStringInfo(sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		if (!insert_has_column(target, &run->events[0].event, i))
			continue;
		appendStringInfo(sql, "%s%s", ncolumns > 0 ? ", " : "",
						 target->map->fields[i].quoted);
		ncolumns++;
	}
	appendStringInfoChar(sql, ')');
	return ncolumns;
}

/*
 * Write the end of an INSERT.  Ids that somebody else is about to take are
 * waited for and then left out, which is seen by the number of rows, instead
 * of raising an error.
 */
static void
insert_build_returning(const InsertRun *run, StringInfo sql)
{
	const NvsField *fields = run->target->map->fields;
	const NvsStreamState *state = run->target->state;
	NvsIdConflict conflict = run->ids ? nvs_stream_id_conflict(run->target) :
		NVS_ID_NONE;
	int			i;

	if (conflict == NVS_ID_ANY)
		appendStringInfoString(sql, " ON CONFLICT DO NOTHING");
	else if (conflict == NVS_ID_TARGET)
		appendStringInfo(sql, " ON CONFLICT (%s) WHERE %s IS NOT NULL "
						 "DO NOTHING", state->event_id->quoted,
						 state->event_id->quoted);
	appendStringInfoString(sql, " RETURNING ");
	for (i = 0; i < run->nreturned; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "",
						 nvs_field_select(&fields[run->returned[i]]));
}

/* Tell listeners of the last event of each stream. */
static void
insert_announce(const InsertRun *run)
{
	const NvsNewEvent *events = run->events;
	int			mode = nvs_notify_mode(run->target->notify);
	int			first = 0;
	int			i;

	for (i = 0; i < run->n; i++)
	{
		const NvsResolved *resolved = &events[i].stream->resolved;

		if (i + 1 < run->n && events[i + 1].stream == events[i].stream)
			continue;
		nvs_notify_append(mode, run->target->store->number,
						  run->target->store->channel, resolved->subject,
						  resolved->len, run->positions[i], i + 1 - first);
		first = i + 1;
	}
}
