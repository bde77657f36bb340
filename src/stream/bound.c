/*
 * stream/bound.c
 *	  Events that go to queues, which are bound to their subjects.
 *
 * What is appended is taken while rows go in, and put into the queues when all
 * of them are there: one batch for each queue, in the order of the events, in
 * the transaction of the append.  Restored events go nowhere, nor do those that
 * a stream is closed by, as they have happened before.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "route/binding.h"
#include "stream/append.h"

/* What a call has for queues. */
typedef struct NvsBound
{
	MemoryContext cxt;			/* of what is kept of the events */
	List	   *deliveries;		/* NvsDelivery, in the order of queues */
} NvsBound;

static List *bound_bindings(const NvsResolved *resolved, Datum type,
							bool isnull);
static NvsDelivery *bound_delivery(NvsBound *bound, const NvsStore *store,
								   const NvsBinding *binding);
static int	bound_compare(const ListCell *a, const ListCell *b);

/*
 * Begin to take what goes to queues; NULL when no queue is bound to anything
 * that is appended to the stores of these streams.
 */
NvsBound *
nvs_bound_begin(const NvsAppend *streams, int n)
{
	NvsBound   *bound;
	int			i;

	for (i = 0; i < n; i++)
		if (streams[i].nevents > 0 &&
			nvs_bindings_on_append(streams[i].resolved.target->store))
			break;
	if (i == n)
		return NULL;
	bound = palloc0(sizeof(NvsBound));
	bound->cxt = GenerationContextCreate(CurrentMemoryContext,
										 "nvent_store bound events",
										 ALLOCSET_DEFAULT_SIZES);
	return bound;
}

/*
 * Take an event whose columns are those of the read list, if it goes to any
 * queue: all of its record, but for what may have to be erased.
 */
void
nvs_bound_add(NvsBound *bound, const NvsResolved *resolved,
			  const Datum *values, const bool *nulls)
{
	const NvsTarget *target = resolved->target;
	const NvsStreamState *state = target->state;
	int			k = state->type - target->map->fields;
	MemoryContext old = MemoryContextSwitchTo(bound->cxt);
	List	   *bindings = bound_bindings(resolved, values[k], nulls[k]);
	Datum		record = 0;
	Datum		subject = 0;
	ListCell   *lc;

	/* All queues have the same values, which most events need not have. */
	if (bindings != NIL)
	{
		bool	   *shown = palloc(sizeof(bool) * target->map->nfields);

		memcpy(shown, nulls, sizeof(bool) * target->map->nfields);
		if (state->pii != NULL)
			shown[state->pii - target->map->fields] = true;
		record = nvs_event_make_record(resolved, values, shown, bound->cxt);
		subject = PointerGetDatum(cstring_to_text_with_len(resolved->subject,
														   resolved->len));
	}

	foreach(lc, bindings)
	{
		NvsDelivery *delivery = bound_delivery(bound, target->store,
											   lfirst(lc));

		delivery->records[delivery->n] = record;
		delivery->subjects[delivery->n++] = subject;
	}
	MemoryContextSwitchTo(old);
}

/*
 * The bindings by which an event goes to queues.  A table may have events
 * without a type: those go where any may, and where types are named nowhere.
 */
static List *
bound_bindings(const NvsResolved *resolved, Datum type, bool isnull)
{
	const text *name = isnull ? NULL : DatumGetTextPP(type);

	return nvs_bindings_of_event(resolved->target->store, resolved->subject,
								 resolved->len,
								 isnull ? "" : VARDATA_ANY(name),
								 isnull ? 0 : VARSIZE_ANY_EXHDR(name));
}

/* What goes to a queue, with room for one more; bound->cxt is current. */
static NvsDelivery *
bound_delivery(NvsBound *bound, const NvsStore *store,
			   const NvsBinding *binding)
{
	NvsDelivery *delivery = NULL;
	ListCell   *lc;

	/* Few queues are bound to what one call appends, so that a list will do. */
	foreach(lc, bound->deliveries)
	{
		delivery = lfirst(lc);
		if (delivery->binding->number == binding->number &&
			strcmp(delivery->store->prefix, store->prefix) == 0)
			break;
	}

	/* The first for this queue. */
	if (lc == NULL)
	{
		delivery = palloc0(sizeof(NvsDelivery));
		delivery->store = store;
		delivery->binding = binding;
		delivery->max = 16;
		delivery->records = palloc(sizeof(Datum) * delivery->max);
		delivery->subjects = palloc(sizeof(Datum) * delivery->max);
		bound->deliveries = lappend(bound->deliveries, delivery);
	}

	if (delivery->n == delivery->max)
	{
		delivery->max *= 2;
		delivery->records = repalloc(delivery->records,
									 sizeof(Datum) * delivery->max);
		delivery->subjects = repalloc(delivery->subjects,
									  sizeof(Datum) * delivery->max);
	}
	return delivery;
}

/* Put what was taken into the queues. */
void
nvs_bound_send(NvsBound *bound)
{
	ListCell   *lc;

	list_sort(bound->deliveries, bound_compare);
	foreach(lc, bound->deliveries)
		nvs_binding_deliver(lfirst(lc));
	MemoryContextDelete(bound->cxt);
}

/* For list_sort(): by store, then by the number of the queue. */
static int
bound_compare(const ListCell *a, const ListCell *b)
{
	const NvsDelivery *x = lfirst(a);
	const NvsDelivery *y = lfirst(b);
	int			cmp = strcmp(x->store->prefix, y->store->prefix);

	if (cmp == 0)
		cmp = x->binding->number < y->binding->number ? -1 : 1;
	return cmp;
}
