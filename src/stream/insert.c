/*
 * stream/insert.c
 *	  Writes events: one INSERT for each run of events of one relation.
 *
 * Positions are drawn by the relation's default as rows are inserted, hence
 * in the order of the events, whatever streams and relations they belong to.
 * Only what may differ from the parameters is read back.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "stream/stream.h"
#include "wakeup/notify.h"

/* One INSERT: its events, and what is made of the rows that it returns. */
typedef struct Insert
{
	NvsNewEvent *events;
	int			n;
	bool		ids;			/* an event has one */
	int		   *returned;		/* columns, by their index in the map */
	int			nreturned;
	int			nrows;			/* so far */
	Datum	   *values;			/* of a row, by column of the map */
	bool	   *nulls;
	int64	   *positions;
	Datum	   *records;		/* in cxt */
	MemoryContext cxt;
} Insert;

static bool same_insert(const NvsNewEvent *a, const NvsNewEvent *b);
static int	insert_run(NvsNewEvent *events, int n, Datum *records,
					   MemoryContext cxt);
static void begin_insert(Insert *insert);
static bool inserts_column(const NvsTarget *target, const NvsEvent *event,
						   int i);
static void take_row(TupleTableSlot *slot, void *arg);
static SPIPlanPtr insert_one_plan(const Insert *insert, NvsParams *params);
static SPIPlanPtr insert_many_plan(const Insert *insert, NvsParams *params);
static void append_columns(const Insert *insert, StringInfo sql);
static void append_returning(const Insert *insert, StringInfo sql);
static Datum event_column(const NvsField *field, const NvsNewEvent *events,
						  int n, int index);
static void announce(const Insert *insert);

/*
 * Insert events, make their records in cxt and announce them.  Returns false
 * when nothing was inserted since others hold the ids.
 */
bool
nvs_insert_events(NvsNewEvent *events, int n, Datum *records,
				  MemoryContext cxt)
{
	int			start = 0;

	while (start < n)
	{
		int			end = start + 1;
		int			inserted;

		while (end < n && same_insert(&events[start], &events[end]))
			end++;
		CHECK_FOR_INTERRUPTS();
		inserted = insert_run(&events[start], end - start, &records[start],
							  cxt);
		if (start + inserted == 0)
			return false;
		if (inserted < end - start)
			nvs_partly_known(n - start - inserted, n);
		start = end;
	}
	return true;
}

/* Can two events be inserted by one statement? */
static bool
same_insert(const NvsNewEvent *a, const NvsNewEvent *b)
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
insert_run(NvsNewEvent *events, int n, Datum *records, MemoryContext cxt)
{
	NvsTarget  *target = events[0].stream->resolved.target;
	Insert		insert;
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		inserted;

	insert.events = events;
	insert.n = n;
	insert.records = records;
	insert.cxt = cxt;
	begin_insert(&insert);
	nvs_params_init(&params);
	if (n == 1)
		plan = insert_one_plan(&insert, &params);
	else
		plan = insert_many_plan(&insert, &params);
	inserted = nvs_stream_execute(target, plan, &params, take_row, &insert);
	if (inserted != n)
	{
		if (insert.ids)
			return (int) inserted;
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event", target->name),
				 errdetail("A trigger or rule kept rows out.")));
	}
	announce(&insert);
	return n;
}

/*
 * Find out what the INSERT is to return: the columns that may hold something
 * else than their parameter, the position above all.
 */
static void
begin_insert(Insert *insert)
{
	const NvsEvent *event = &insert->events[0].event;
	const NvsTarget *target = insert->events[0].stream->resolved.target;
	const NvsStreamState *state = target->state;
	int			nfields = target->map->nfields;
	int			i;

	insert->ids = false;
	for (i = 0; i < insert->n && !insert->ids; i++)
		insert->ids = nvs_event_has_id(&insert->events[i]);
	insert->returned = palloc(sizeof(int) * nfields);
	insert->nreturned = 0;
	for (i = 0; i < nfields; i++)
		if (state->in_record[i] &&
			!(state->kept[i] && inserts_column(target, event, i)))
			insert->returned[insert->nreturned++] = i;
	insert->nrows = 0;
	insert->values = palloc(sizeof(Datum) * nfields);
	insert->nulls = palloc(sizeof(bool) * nfields);
	insert->positions = palloc(sizeof(int64) * insert->n);
}

/*
 * Take a row from the executor: with what the event gave, its record.  Rows
 * come in the order of the events; when ids kept some from coming, all of the
 * call is given up.
 */
static void
take_row(TupleTableSlot *slot, void *arg)
{
	Insert	   *insert = arg;
	NvsNewEvent *event = &insert->events[insert->nrows];
	const NvsResolved *resolved;
	const NvsStreamState *state;
	const NvsFieldMap *map;
	int			i;

	/* A rule can return more rows than we gave; the caller refuses that. */
	if (insert->nrows == insert->n)
		return;
	resolved = &event->stream->resolved;
	state = resolved->target->state;
	map = resolved->target->map;
	memcpy(insert->values, event->event.values, sizeof(Datum) * map->nfields);
	memcpy(insert->nulls, event->event.nulls, sizeof(bool) * map->nfields);
	slot_getallattrs(slot);
	for (i = 0; i < insert->nreturned; i++)
	{
		insert->values[insert->returned[i]] = slot->tts_values[i];
		insert->nulls[insert->returned[i]] = slot->tts_isnull[i];
	}
	insert->positions[insert->nrows] =
		DatumGetInt64(insert->values[state->id - map->fields]);
	insert->records[insert->nrows] =
		nvs_event_make_record(resolved, insert->values, insert->nulls,
							  insert->cxt);
	insert->nrows++;
}

/*
 * Is a column named in the INSERT of these events?  All are that the caller
 * could give, so that the statement is the same for most events; only what
 * has a default must be left out to get it.
 */
static bool
inserts_column(const NvsTarget *target, const NvsEvent *event, int i)
{
	const NvsStreamState *state = target->state;
	const NvsField *field = &target->map->fields[i];

	if (event->given[i])
		return true;
	return !field->has_default && (!field->reserved || field == state->meta);
}

/*
 * INSERT of one event: a parameter for each column.  The text is the same for
 * all events that leave every default to the table, which most do.
 */
static SPIPlanPtr
insert_one_plan(const Insert *insert, NvsParams *params)
{
	const NvsEvent *event = &insert->events[0].event;
	const NvsTarget *target = insert->events[0].stream->resolved.target;
	const NvsFieldMap *map = target->map;
	SPIPlanPtr *slot = nvs_planset_slot(target->plans,
										NVS_STREAM_PLAN_INSERT);
	bool		common = !insert->ids;
	StringInfoData sql;
	int			i;

	for (i = 0; i < map->nfields; i++)
	{
		if (!inserts_column(target, event, i))
			continue;
		nvs_params_add(params, map->fields[i].type, event->values[i],
					   event->nulls[i]);
		common = common && !map->fields[i].has_default;
	}
	if (common && *slot != NULL)
		return *slot;

	initStringInfo(&sql);
	append_columns(insert, &sql);
	appendStringInfoString(&sql, ") VALUES (");
	for (i = 1; i <= params->n; i++)
		appendStringInfo(&sql, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(&sql, ')');
	append_returning(insert, &sql);
	if (!common)
		return nvs_planset_text(target->plans, sql.data, params,
								CURSOR_OPT_GENERIC_PLAN);
	*slot = nvs_plan_prepare(sql.data, params->n, params->types,
							 CURSOR_OPT_GENERIC_PLAN);
	return *slot;
}

/* INSERT of many: a parameter that is an array for each column. */
static SPIPlanPtr
insert_many_plan(const Insert *insert, NvsParams *params)
{
	const NvsEvent *event = &insert->events[0].event;
	const NvsTarget *target = insert->events[0].stream->resolved.target;
	const NvsFieldMap *map = target->map;
	StringInfoData sql;
	int			i;

	for (i = 0; i < map->nfields; i++)
		if (inserts_column(target, event, i))
			nvs_params_add(params, get_array_type(map->fields[i].type),
						   event_column(&map->fields[i], insert->events,
										insert->n, i), false);
	initStringInfo(&sql);
	append_columns(insert, &sql);
	/* unnest() keeps the order, and the position is drawn row by row. */
	appendStringInfoString(&sql, ") SELECT * FROM ROWS FROM (");
	for (i = 1; i <= params->n; i++)
		appendStringInfo(&sql, "%spg_catalog.unnest($%d)", i > 1 ? ", " : "",
						 i);
	appendStringInfoString(&sql, ") u");
	append_returning(insert, &sql);
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
}

/* The beginning of an INSERT, up to its last column. */
static void
append_columns(const Insert *insert, StringInfo sql)
{
	const NvsTarget *target = insert->events[0].stream->resolved.target;
	const char *comma = "";
	int			i;

	appendStringInfo(sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		if (!inserts_column(target, &insert->events[0].event, i))
			continue;
		appendStringInfo(sql, "%s%s", comma, target->map->fields[i].quoted);
		comma = ", ";
	}
}

/*
 * The end of an INSERT.  Ids that somebody else is about to take are waited
 * for and then left out, which is seen by the number of rows, instead of
 * raising an error.
 */
static void
append_returning(const Insert *insert, StringInfo sql)
{
	const NvsFieldMap *map = insert->events[0].stream->resolved.target->map;
	int			i;

	if (insert->ids)
		appendStringInfoString(sql, " ON CONFLICT DO NOTHING");
	appendStringInfoString(sql, " RETURNING ");
	for (i = 0; i < insert->nreturned; i++)
		appendStringInfo(sql, "%s%s", i > 0 ? ", " : "",
						 nvs_field_select(&map->fields[insert->returned[i]]));
}

/* One column's values of all events. */
static Datum
event_column(const NvsField *field, const NvsNewEvent *events, int n,
			 int index)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		values[i] = events[i].event.values[index];
		nulls[i] = events[i].event.nulls[index];
	}
	return nvs_column_array(field->type, values, nulls, n);
}

/* Tell listeners of the last event of each stream. */
static void
announce(const Insert *insert)
{
	const NvsNewEvent *events = insert->events;
	const NvsTarget *target = events[0].stream->resolved.target;
	int			mode = nvs_notify_mode(target->notify);
	int			first = 0;
	int			i;

	for (i = 0; i < insert->n; i++)
	{
		const NvsResolved *resolved = &events[i].stream->resolved;

		if (i + 1 < insert->n && events[i + 1].stream == events[i].stream)
			continue;
		nvs_notify_append(mode, target->store->channel, resolved->subject,
						  resolved->len, insert->positions[i], i + 1 - first);
		first = i + 1;
	}
}
