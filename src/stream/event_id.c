/*
 * stream/event_id.c
 *	  Appends that are repeated: events found by the ids that callers gave.
 *
 * A caller that lost the answer sends the same events again, with the same
 * ids.  They are then found instead of written, and their records are those
 * of the first call.  Ids are unique in a table that has a column event_id.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "errors.h"
#include "stream/append.h"
#include "stream/statement.h"

/* Bytes of an id by which an append may be repeated. */
#define EVENT_ID_MAX_BYTES	512

/* Where an event was found. */
typedef struct EventIdFound
{
	int64		position;
	int64		version;		/* 0: there are none */
} EventIdFound;

/* A search for the events of a call: what it makes, in their order. */
typedef struct EventIdSearch
{
	NvsNewEvent *events;
	int			n;
	EventIdFound *found;
	int			nfound;
	Datum	   *records;		/* 0 for what was not found */
} EventIdSearch;

static Datum event_id(const NvsNewEvent *event);
static const char *event_id_bytes(const NvsNewEvent *event, int *len);
static int	event_id_compare(const void *a, const void *b);
static void event_id_check_all(NvsNewEvent *events, int n);
static void event_id_search(EventIdSearch *search);
static void event_id_search_in(EventIdSearch *search, NvsTarget *target);
static void event_id_build_find(StringInfo sql, const void *arg);
static void event_id_take(EventIdSearch *search, int k, HeapTuple row,
						  TupleDesc desc);
static void event_id_check_same(const NvsNewEvent *event, HeapTuple row,
								TupleDesc desc);
static bool event_id_compares(const NvsNewEvent *event, int i);
static bool event_id_same_value(const NvsField *field, Datum a, Datum b);
pg_noreturn static void event_id_conflict(const NvsNewEvent *event,
										  const char *column);
static void event_id_check_order(const EventIdSearch *search);

/*
 * Events of a relation by an array of ids: the read list, each column as it
 * is, the version, and which id of the array it was.
 */
static const NvsStatement event_id_find = {.build = event_id_build_find};

/* Did the caller give an event an id? */
bool
nvs_event_id_given(const NvsNewEvent *event)
{
	const NvsTarget *target = event->stream->resolved.target;
	const NvsStreamState *state = target->state;

	return state->event_id != NULL &&
		!event->event.nulls[state->event_id - target->map->fields];
}

/* The id of an event that has one. */
static Datum
event_id(const NvsNewEvent *event)
{
	const NvsTarget *target = event->stream->resolved.target;
	const NvsStreamState *state = target->state;

	return event->event.values[state->event_id - target->map->fields];
}

/*
 * Find events by their ids and make their records.  Returns false when
 * none is known, true when all are; anything between is an error.  What is
 * looked at is what is committed by now, whatever the transaction's snapshot.
 */
bool
nvs_event_id_find(NvsNewEvent *events, int n, NvsRecords *records)
{
	EventIdSearch search = {events, n, NULL, 0, NULL};
	int			nids = 0;
	int			i;

	for (i = 0; i < n; i++)
		nids += nvs_event_id_given(&events[i]);
	if (nids == 0)
		return false;
	event_id_check_all(events, n);

	search.found = palloc0(sizeof(EventIdFound) * n);
	search.records = palloc0(sizeof(Datum) * n);
	PushActiveSnapshot(GetLatestSnapshot());
	event_id_search(&search);
	PopActiveSnapshot();
	if (search.nfound > 0 && search.nfound < n)
		nvs_event_id_taken(search.nfound, n);
	if (search.nfound > 0)
		event_id_check_order(&search);
	for (i = 0; i < search.nfound; i++)
		nvs_records_put(records, search.records[i]);
	pfree(search.found);
	pfree(search.records);
	return search.nfound > 0;
}

/* Report that only some events of a call are known. */
void
nvs_event_id_taken(int ntaken, int n)
{
	ereport(ERROR,
			(errcode(ERRCODE_NVS_DUPLICATE_EVENT),
			 errmsg("some events of the call are known and others are not"),
			 errdetail("The ids of %d of %d events are taken.", ntaken, n),
			 errhint("Repeat a call as it was.")));
}

/* The bytes of an event's id. */
static const char *
event_id_bytes(const NvsNewEvent *event, int *len)
{
	const NvsStreamState *state = event->stream->resolved.target->state;
	Datum		id = event_id(event);

	if (state->event_id->type == UUIDOID)
	{
		*len = UUID_LEN;
		return (const char *) DatumGetUUIDP(id)->data;
	}
	*len = VARSIZE_ANY_EXHDR(DatumGetPointer(id));
	return VARDATA_ANY(DatumGetPointer(id));
}

/* For qsort(): events that have ids, by the bytes of these. */
static int
event_id_compare(const void *a, const void *b)
{
	int			alen;
	int			blen;
	const char *x = event_id_bytes(*(const NvsNewEvent *const *) a, &alen);
	const char *y = event_id_bytes(*(const NvsNewEvent *const *) b, &blen);
	int			cmp = memcmp(x, y, Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}

/* Raise an error for an id that cannot be, or that comes twice. */
static void
event_id_check_all(NvsNewEvent *events, int n)
{
	NvsNewEvent **order = palloc(sizeof(NvsNewEvent *) * n);
	int			norder = 0;
	int			len;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!nvs_event_id_given(&events[i]))
			continue;
		order[norder++] = &events[i];
		(void) event_id_bytes(&events[i], &len);
		if (len == 0 || len > EVENT_ID_MAX_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an event id must have 1 to %d bytes",
							EVENT_ID_MAX_BYTES),
					 errdetail("It has %d.", len)));
	}
	qsort(order, norder, sizeof(NvsNewEvent *), event_id_compare);
	for (i = 1; i < norder; i++)
		if (event_id_compare(&order[i - 1], &order[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("two events of the call have the same id")));
	pfree(order);
}

/* Search each relation of the call, in the order of the events. */
static void
event_id_search(EventIdSearch *search)
{
	int			i;
	int			k;

	for (i = 0; i < search->n; i++)
	{
		NvsTarget  *target = search->events[i].stream->resolved.target;

		for (k = 0; k < i; k++)
			if (search->events[k].stream->resolved.target == target)
				break;
		if (k == i)
			event_id_search_in(search, target);
	}
}

/* Search one relation for the events that are for it. */
static void
event_id_search_in(EventIdSearch *search, NvsTarget *target)
{
	const NvsStreamState *state = target->state;
	Datum	   *ids = palloc(sizeof(Datum) * search->n);
	int		   *which = palloc(sizeof(int) * search->n);
	int			nids = 0;
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		i;

	/* Its ids; which[] says of which event each is. */
	for (i = 0; i < search->n; i++)
		if (search->events[i].stream->resolved.target == target &&
			nvs_event_id_given(&search->events[i]))
		{
			which[nids] = i;
			ids[nids++] = event_id(&search->events[i]);
		}
	if (nids == 0)
		return;

	/*
	 * One statement for all, which says of each row which id it was found by.
	 */
	nvs_params_init(&params);
	nvs_stream_add_array(&params, state->event_id->type, ids, NULL, nids);
	plan = nvs_statement_plan(target->plans, &event_id_find, &params, target);
	nvs_execute(plan, &params, true, 0);

	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		nth = SPI_getbinval(row, desc, desc->natts, &isnull);

		CHECK_FOR_INTERRUPTS();
		event_id_take(search, which[DatumGetInt32(nth) - 1], row, desc);
	}
}

/* Write the statement event_id_find; arg is the target. */
static void
event_id_build_find(StringInfo sql, const void *arg)
{
	const NvsTarget *target = arg;
	const NvsStreamState *state = target->state;
	int			i;

	appendStringInfo(sql, "SELECT e.*, k.n::pg_catalog.int4 "
					 "FROM pg_catalog.unnest($1) WITH ORDINALITY k (id, n) "
					 "CROSS JOIN LATERAL (SELECT %s", state->read_list);
	for (i = 0; i < target->map->nfields; i++)
		appendStringInfo(sql, ", t.%s", target->map->fields[i].quoted);
	appendStringInfo(sql, ", %s FROM %s t "
					 "WHERE t.%s OPERATOR(pg_catalog.=) k.id "
					 "AND t.%s IS NOT NULL) e",
					 state->version != NULL ?
					 "version::pg_catalog.int8" : "0::pg_catalog.int8",
					 target->name, state->event_id->quoted,
					 state->event_id->quoted);
}

/*
 * Take a row that has the id of event k: check that it is that event, and make
 * its record.  Where no index keeps ids unique there may be several, of which
 * the first one is it.
 */
static void
event_id_take(EventIdSearch *search, int k, HeapTuple row, TupleDesc desc)
{
	const NvsResolved *resolved = &search->events[k].stream->resolved;
	EventIdFound *found = &search->found[k];
	bool		again = search->records[k] != (Datum) 0;
	int64		position = nvs_event_position(resolved->target, row, desc);
	bool		isnull;
	Datum		version = SPI_getbinval(row, desc, desc->natts - 1, &isnull);

	event_id_check_same(&search->events[k], row, desc);
	if (again && position >= found->position)
		return;
	found->position = position;
	found->version = isnull ? 0 : DatumGetInt64(version);
	search->records[k] = nvs_event_record(resolved, row, desc,
										  CurrentMemoryContext);
	if (!again)
		search->nfound++;
}

/* Raise an error unless a stored event is what the caller sends again. */
static void
event_id_check_same(const NvsNewEvent *event, HeapTuple row, TupleDesc desc)
{
	const NvsTarget *target = event->stream->resolved.target;
	const NvsStreamState *state = target->state;
	const NvsFieldMap *map = target->map;
	const NvsEvent *sent = &event->event;
	int			first = desc->natts - 1 - map->nfields;
	int			i;

	for (i = 0; i < map->nfields; i++)
	{
		const NvsField *field = &map->fields[i];
		bool		isnull;
		Datum		stored = SPI_getbinval(row, desc, first + i, &isnull);

		if (!event_id_compares(event, i))
			continue;
		/* It may have been erased since. */
		if (field == state->pii && isnull)
			continue;
		if (isnull && sent->nulls[i])
			continue;
		if (isnull != sent->nulls[i] ||
			!event_id_same_value(field, stored, sent->values[i]))
			event_id_conflict(event, field->column);
	}
}

/* Did a column's value come from the caller, so that it must be the same? */
static bool
event_id_compares(const NvsNewEvent *event, int i)
{
	const NvsTarget *target = event->stream->resolved.target;
	const NvsStreamState *state = target->state;
	const NvsField *field = &target->map->fields[i];

	if (field == state->id || field == state->version)
		return false;
	if (field == state->ts)
		return event->event.timed;
	if (field == state->meta)
		return true;
	/* What the table fills by itself may be anything. */
	return event->event.given[i] ||
		!(field->has_default || field->reserved);
}

/* Are two values of a column equal? */
static bool
event_id_same_value(const NvsField *field, Datum a, Datum b)
{
	TypeCacheEntry *type = lookup_type_cache(field->type,
											 TYPECACHE_EQ_OPR_FINFO);
	Oid			output;
	bool		varlena;

	if (OidIsValid(type->eq_opr_finfo.fn_oid))
		return DatumGetBool(FunctionCall2Coll(&type->eq_opr_finfo,
											  C_COLLATION_OID, a, b));
	getTypeOutputInfo(field->type, &output, &varlena);
	return strcmp(OidOutputFunctionCall(output, a),
				  OidOutputFunctionCall(output, b)) == 0;
}

/* Report that an id belongs to another event. */
static void
event_id_conflict(const NvsNewEvent *event, const char *column)
{
	const NvsStreamState *state = event->stream->resolved.target->state;
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(state->event_id->type, &output, &varlena);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_DUPLICATE_EVENT),
			 errmsg("event id \"%s\" is taken by an event with other content",
					OidOutputFunctionCall(output, event_id(event))),
			 errdetail("Column \"%s\" is not the same.", column)));
}

/* Raise an error unless known events were appended in this order. */
static void
event_id_check_order(const EventIdSearch *search)
{
	const NvsNewEvent *events = search->events;
	const EventIdFound *found = search->found;
	int			i;

	for (i = 1; i < search->n; i++)
		if (found[i].position <= found[i - 1].position ||
			(events[i].stream == events[i - 1].stream &&
			 found[i].version != 0 &&
			 found[i].version != found[i - 1].version + 1))
			ereport(ERROR,
					(errcode(ERRCODE_NVS_DUPLICATE_EVENT),
					 errmsg("the events of the call are known from other "
							"calls"),
					 errdetail("They were not appended in this order.")));
}
