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
#include "stream/stream.h"

/* Where each event was found, in the order of the call. */
typedef struct Found
{
	bool		found;
	int64		position;
	int64		version;
} Found;

static void check_ids(NvsNewEvent *events, int n);
static Datum event_id(const NvsNewEvent *event);
static const char *id_bytes(const NvsNewEvent *event, int *len);
static int	by_id(const void *a, const void *b);
static int	find_in(NvsTarget *target, NvsNewEvent *events, int n,
					Found *found, Datum *records, MemoryContext cxt);
static SPIPlanPtr find_plan(const NvsTarget *target, NvsParams *params);
static void check_same(const NvsNewEvent *event, HeapTuple row,
					   TupleDesc desc);
static bool same_value(const NvsField *field, Datum a, Datum b);
pg_noreturn static void taken(const NvsNewEvent *event, const char *column);
static void check_order(const NvsNewEvent *events, const Found *found, int n);

/* Did the caller give an event an id? */
bool
nvs_event_has_id(const NvsNewEvent *event)
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
 * Find events by their ids and make their records.  Returns false when none
 * is known, true when all are; anything between is an error.
 */
bool
nvs_known_events(NvsNewEvent *events, int n, Datum *records,
				 MemoryContext cxt)
{
	Found	   *found;
	int			nids = 0;
	int			nfound = 0;
	int			i;
	int			k;

	for (i = 0; i < n; i++)
		nids += nvs_event_has_id(&events[i]);
	if (nids == 0)
		return false;
	check_ids(events, n);
	found = palloc0(sizeof(Found) * n);
	PushActiveSnapshot(GetLatestSnapshot());
	for (i = 0; i < n; i++)
	{
		NvsTarget  *target = events[i].stream->resolved.target;

		for (k = 0; k < i; k++)
			if (events[k].stream->resolved.target == target)
				break;
		if (k == i)
			nfound += find_in(target, events, n, found, records, cxt);
	}
	PopActiveSnapshot();
	if (nfound > 0 && nfound < n)
		nvs_partly_known(nfound, n);
	if (nfound > 0)
		check_order(events, found, n);
	pfree(found);
	return nfound > 0;
}

/* Report that only some events of a call are known. */
void
nvs_partly_known(int known, int n)
{
	ereport(ERROR,
			(errcode(ERRCODE_NVS_DUPLICATE_EVENT),
			 errmsg("some events of the call are known and others are not"),
			 errdetail("The ids of %d of %d events are taken.", known, n),
			 errhint("Repeat a call as it was.")));
}

/* The bytes of an event's id. */
static const char *
id_bytes(const NvsNewEvent *event, int *len)
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

/* Order of events that have ids, by them. */
static int
by_id(const void *a, const void *b)
{
	int			alen;
	int			blen;
	const char *x = id_bytes(*(const NvsNewEvent *const *) a, &alen);
	const char *y = id_bytes(*(const NvsNewEvent *const *) b, &blen);
	int			cmp = memcmp(x, y, Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}

/* Raise an error for an id that cannot be, or that comes twice. */
static void
check_ids(NvsNewEvent *events, int n)
{
	NvsNewEvent **order = palloc(sizeof(NvsNewEvent *) * n);
	int			norder = 0;
	int			len;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!nvs_event_has_id(&events[i]))
			continue;
		order[norder++] = &events[i];
		(void) id_bytes(&events[i], &len);
		if (len == 0 || len > NVS_MAX_EVENT_ID)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an event id must have 1 to %d bytes",
							NVS_MAX_EVENT_ID),
					 errdetail("It has %d.", len)));
	}
	qsort(order, norder, sizeof(NvsNewEvent *), by_id);
	for (i = 1; i < norder; i++)
		if (by_id(&order[i - 1], &order[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("two events of the call have the same id")));
	pfree(order);
}

/*
 * Find the events of one relation, check that they are what was stored, and
 * make their records.  Returns how many there are.
 */
static int
find_in(NvsTarget *target, NvsNewEvent *events, int n, Found *found,
		Datum *records, MemoryContext cxt)
{
	const NvsStreamState *state = target->state;
	Datum	   *ids = palloc(sizeof(Datum) * n);
	int		   *which = palloc(sizeof(int) * n);
	int			nids = 0;
	NvsParams	params;
	uint64		i;

	for (i = 0; i < n; i++)
		if (events[i].stream->resolved.target == target &&
			nvs_event_has_id(&events[i]))
		{
			which[nids] = i;
			ids[nids++] = event_id(&events[i]);
		}
	if (nids == 0)
		return 0;
	nvs_params_init(&params);
	nvs_params_add(&params, get_array_type(state->event_id->type),
				   nvs_column_array(state->event_id->type, ids, NULL, nids),
				   false);
	nvs_plan_execute(find_plan(target, &params), params.values, params.nulls,
					 true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int			k;
		Found	   *known;

		CHECK_FOR_INTERRUPTS();
		k = which[DatumGetInt32(SPI_getbinval(row, desc, desc->natts,
											  &isnull)) - 1];
		check_same(&events[k], row, desc);
		known = &found[k];
		known->found = true;
		known->position = nvs_event_position(&events[k].stream->resolved,
											 row, desc);
		if (state->version != NULL)
			known->version = DatumGetInt64(SPI_getbinval(row, desc,
														 desc->natts - 1,
														 &isnull));
		records[k] = nvs_event_record(&events[k].stream->resolved, row, desc,
									  cxt);
	}
	return (int) SPI_processed;
}

/*
 * The statement: the read list, each column as it is, the version, and which
 * id of the array it was.
 */
static SPIPlanPtr
find_plan(const NvsTarget *target, NvsParams *params)
{
	const NvsStreamState *state = target->state;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT e.*, k.n::pg_catalog.int4 "
					 "FROM pg_catalog.unnest($1) WITH ORDINALITY k (id, n) "
					 "CROSS JOIN LATERAL (SELECT %s", state->read_list);
	for (i = 0; i < target->map->nfields; i++)
		appendStringInfo(&sql, ", t.%s", target->map->fields[i].quoted);
	appendStringInfo(&sql, ", %s FROM %s t "
					 "WHERE t.%s OPERATOR(pg_catalog.=) k.id "
					 "AND t.%s IS NOT NULL) e",
					 state->version != NULL ?
					 "version::pg_catalog.int8" : "0::pg_catalog.int8",
					 target->name, state->event_id->quoted,
					 state->event_id->quoted);
	return nvs_planset_text(target->plans, sql.data, params,
							CURSOR_OPT_GENERIC_PLAN);
}

/* Raise an error unless a stored event is what the caller sends again. */
static void
check_same(const NvsNewEvent *event, HeapTuple row, TupleDesc desc)
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

		if (field == state->id || field == state->version ||
			(field == state->ts && !sent->timed))
			continue;
		/* What the table fills by itself, and what was forgotten since. */
		if (!sent->given[i] && (field->has_default || field->reserved) &&
			field != state->meta)
			continue;
		if (field == state->pii && isnull)
			continue;
		if (isnull && sent->nulls[i])
			continue;
		if (isnull != sent->nulls[i] ||
			!same_value(field, stored, sent->values[i]))
			taken(event, field->column);
	}
}

/* Are two values of a column equal? */
static bool
same_value(const NvsField *field, Datum a, Datum b)
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
taken(const NvsNewEvent *event, const char *column)
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
check_order(const NvsNewEvent *events, const Found *found, int n)
{
	int			i;

	for (i = 1; i < n; i++)
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
