/*
 * stream_insert.c
 *	  Writes events: one INSERT for each run of events of one relation.
 *
 * Positions are drawn by the relation's default as rows are inserted, hence
 * in the order of the events, whatever streams and relations they belong to.
 */
#include "postgres.h"

#include "errors.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "notify.h"
#include "stream.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

/*
 * Ids that somebody else is about to take are waited for and then left out,
 * which is seen by the number of rows, instead of raising an error.
 */
#define SKIP_TAKEN(ids)	((ids) ? " ON CONFLICT DO NOTHING" : "")

static bool same_insert(const NvsNewEvent *a, const NvsNewEvent *b);
static int	insert_run(NvsNewEvent *events, int n, Datum *records,
					   MemoryContext cxt);
static bool inserts_column(const NvsTarget *target, const NvsEvent *event,
						   int i);
static SPIPlanPtr insert_one_plan(const NvsTarget *target,
								  const NvsEvent *event, bool ids,
								  NvsParams *params);
static SPIPlanPtr insert_many_plan(const NvsTarget *target,
								   const NvsNewEvent *events, int n, bool ids,
								   NvsParams *params);
static Datum event_column(const NvsField *field, const NvsNewEvent *events,
						  int n, int index);
static void announce(const NvsNewEvent *events, int n);

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
	const NvsTarget *target = a->stream->place.target;
	const NvsStreamState *state = target->state;

	return !state->one_by_one && target == b->stream->place.target &&
		nvs_event_alike(target, &a->event, &b->event);
}

/*
 * Insert events by one statement, make their records and announce them.
 * Returns how many were inserted; those whose ids are taken may be missing.
 */
static int
insert_run(NvsNewEvent *events, int n, Datum *records, MemoryContext cxt)
{
	NvsTarget  *target = events[0].stream->place.target;
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		inserted;
	bool		ids = false;
	int			i;

	for (i = 0; i < n && !ids; i++)
		ids = nvs_event_has_id(&events[i]);
	nvs_params_init(&params);
	if (n == 1)
		plan = insert_one_plan(target, &events[0].event, ids, &params);
	else
		plan = insert_many_plan(target, events, n, ids, &params);
	inserted = nvs_stream_execute(target, plan, &params);
	if (inserted != n)
	{
		if (ids)
			return (int) inserted;
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s did not take every event", target->name),
				 errdetail("A trigger or rule kept rows out.")));
	}
	for (i = 0; i < n; i++)
		records[i] = nvs_event_record(&events[i].stream->place,
									  SPI_tuptable->vals[i],
									  SPI_tuptable->tupdesc, cxt);
	announce(events, n);
	return n;
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
insert_one_plan(const NvsTarget *target, const NvsEvent *event, bool ids,
				NvsParams *params)
{
	const NvsStreamState *state = target->state;
	const NvsFieldMap *map = target->map;
	SPIPlanPtr *slot = nvs_planset_slot(target->plans,
										NVS_STREAM_PLAN_INSERT);
	bool		common = !ids;
	StringInfoData columns;
	StringInfoData values;
	char	   *sql;
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

	initStringInfo(&columns);
	initStringInfo(&values);
	for (i = 0; i < map->nfields; i++)
		if (inserts_column(target, event, i))
			appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
							 map->fields[i].quoted);
	for (i = 1; i <= params->n; i++)
		appendStringInfo(&values, "%s$%d", i > 1 ? ", " : "", i);
	sql = psprintf("INSERT INTO %s (%s) VALUES (%s)%s RETURNING %s",
				   target->name, columns.data, values.data, SKIP_TAKEN(ids),
				   state->read_list);
	if (!common)
		return nvs_planset_text(target->plans, sql, params,
								CURSOR_OPT_GENERIC_PLAN);
	*slot = nvs_plan_prepare(sql, params->n, params->types,
							 CURSOR_OPT_GENERIC_PLAN);
	return *slot;
}

/* INSERT of many: a parameter that is an array for each column. */
static SPIPlanPtr
insert_many_plan(const NvsTarget *target, const NvsNewEvent *events, int n,
				 bool ids, NvsParams *params)
{
	const NvsStreamState *state = target->state;
	StringInfoData sql;
	StringInfoData from;
	int			i;

	initStringInfo(&sql);
	initStringInfo(&from);
	appendStringInfo(&sql, "INSERT INTO %s (", target->name);
	for (i = 0; i < target->map->nfields; i++)
	{
		const NvsField *field = &target->map->fields[i];
		const char *comma = params->n > 0 ? ", " : "";
		int			p;

		if (!inserts_column(target, &events[0].event, i))
			continue;
		p = nvs_params_add(params, get_array_type(field->type),
						   event_column(field, events, n, i), false);
		appendStringInfo(&sql, "%s%s", comma, field->quoted);
		appendStringInfo(&from, "%spg_catalog.unnest($%d)", comma, p);
	}
	/* unnest() keeps the order, and the position is drawn row by row. */
	appendStringInfo(&sql, ") SELECT * FROM ROWS FROM (%s) u%s RETURNING %s",
					 from.data, SKIP_TAKEN(ids), state->read_list);
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
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

/* An array of a type's values; nulls may be NULL. */
Datum
nvs_column_array(Oid type, const Datum *values, const bool *nulls, int n)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array((Datum *) values,
											  (bool *) nulls, 1, &n, &lower,
											  type, typlen, typbyval,
											  typalign));
}

/* Tell listeners of the last event of each stream. */
static void
announce(const NvsNewEvent *events, int n)
{
	const NvsTarget *target = events[0].stream->place.target;
	int			mode = nvs_notify_mode(target->notify);
	int			first = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		const NvsPlace *place = &events[i].stream->place;

		if (i + 1 < n && events[i + 1].stream == events[i].stream)
			continue;
		nvs_notify_append(mode, target->store->channel, place->subject,
						  place->len,
						  nvs_event_position(place, SPI_tuptable->vals[i],
											 SPI_tuptable->tupdesc),
						  i + 1 - first);
		first = i + 1;
	}
}
