/*
 * consumer/fetch.c
 *	  Leases consumers and returns their events, in one call.
 *
 * What a consumer is given lies above its position and at or below the safe
 * position: all its events in that range, or as many as were asked for.  One
 * for which nothing is found is moved past what was looked at and not
 * returned: its mark was only worth a look.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "consumer/internal.h"
#include "stream/scan.h"

PG_FUNCTION_INFO_V1(nvs_consumer_fetch);

/* Events that a call may ask for, for each consumer. */
#define MAX_FETCH	65536

/* Columns that a fetch returns beyond those of a lease. */
#define FETCH_UPTO		NVS_LEASE_LAGGING
#define FETCH_EVENTS	(NVS_LEASE_LAGGING + 1)
#define FETCH_COLUMNS	(NVS_LEASE_LAGGING + 2)

/* A lease that has nothing to handle, and up to where that is known. */
typedef struct FetchIdle
{
	Datum		name;
	int64		upto;
} FetchIdle;

static List *fetch_put_leases(NvsClaim *claim, int max_events,
							  Tuplestorestate *result, TupleDesc desc);
static void fetch_open_window(const NvsClaim *claim, NvsWindow *window);
static bool fetch_read_events(const NvsWindow *window, Datum *values,
							  bool *nulls, int max_events);
static void fetch_pass_idle(NvsClaim *claim, List *idle);

/*
 * nvent.consumer_fetch(max_consumers, lease, lane, owner, max_leading,
 * max_scan, store, max_events): a row for each lease that has events.
 */
Datum
nvs_consumer_fetch(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;
	NvsClaim	claim;
	List	   *idle = NIL;
	int			max_events;

	NVS_REQUIRE_ARG(7, "max_events");
	max_events = PG_GETARG_INT32(7);
	if (max_events < 1 || max_events > MAX_FETCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_events\" must be from 1 to %d",
						MAX_FETCH),
				 errdetail("It is %d.", max_events)));
	PreventCommandIfReadOnly("nvent.consumer_fetch()");

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 6, NVS_USE_CHANGE);

	/*
	 * Marks can be too high, and events may have been deleted: a lease that
	 * turns out to have none ends right here.
	 */
	if (consumers != NULL)
	{
		nvs_claim_begin(&claim, fcinfo, consumers);
		nvs_claim_run(&claim);
		if (claim.leases != NIL)
			idle = fetch_put_leases(&claim, max_events, result, desc);
		if (idle != NIL)
			fetch_pass_idle(&claim, idle);
	}
	nvs_spi_end();
	return (Datum) 0;
}

/*
 * Put the leases that have events, and those without a pattern, into the
 * result; returns the others, a list of FetchIdle in the current memory
 * context, whose names are those of claim->leases.
 */
static List *
fetch_put_leases(NvsClaim *claim, int max_events, Tuplestorestate *result,
				 TupleDesc desc)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store fetch",
											  ALLOCSET_DEFAULT_SIZES);
	NvsWindow	window;
	List	   *idle = NIL;
	ListCell   *lc;

	/* All patterns are read up to the same position, by one window. */
	fetch_open_window(claim, &window);
	foreach(lc, claim->leases)
	{
		Datum		values[FETCH_COLUMNS];
		bool		nulls[FETCH_COLUMNS];
		MemoryContext old = MemoryContextSwitchTo(cxt);
		bool		found;

		/*
		 * Events can be large, so that of one lease at a time they are in
		 * memory.
		 */
		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(lfirst(lc), claim->desc, values, nulls);
		found = fetch_read_events(&window, values, nulls, max_events);
		if (found)
			tuplestore_putvalues(result, desc, values, nulls);

		MemoryContextSwitchTo(old);

		/* What is kept of a lease is part of its tuple, which claim has. */
		if (!found)
		{
			FetchIdle  *entry = palloc(sizeof(FetchIdle));

			entry->name = values[NVS_LEASE_NAME - 1];
			entry->upto = DatumGetInt64(values[FETCH_UPTO]);
			idle = lappend(idle, entry);
		}

		MemoryContextReset(cxt);
	}

	nvs_window_close(&window);
	MemoryContextDelete(cxt);
	return idle;
}

/* Open a window that has the events of all leases. */
static void
fetch_open_window(const NvsClaim *claim, NvsWindow *window)
{
	ListCell   *lc;

	memset(window, 0, sizeof(NvsWindow));
	window->name = claim->consumers->prefix;
	window->after = PG_INT64_MAX;
	foreach(lc, claim->leases)
	{
		Datum		values[FETCH_COLUMNS];
		bool		nulls[FETCH_COLUMNS];
		char	   *pattern;

		heap_deform_tuple(lfirst(lc), claim->desc, values, nulls);
		if (nulls[NVS_LEASE_PATTERN - 1])
			continue;
		pattern = TextDatumGetCString(values[NVS_LEASE_PATTERN - 1]);
		window->patterns = lappend(window->patterns,
								   nvs_pattern_compile(pattern,
													   strlen(pattern)));
		window->after = Min(window->after,
							DatumGetInt64(values[NVS_LEASE_POSITION - 1]));
	}
	nvs_window_open(window);
}

/*
 * Add upto and the events to the columns of a lease; false when it has none.
 * A consumer without a pattern gets none, and reads for itself up to its mark.
 */
static bool
fetch_read_events(const NvsWindow *window, Datum *values, bool *nulls,
				  int max_events)
{
	int64		position = DatumGetInt64(values[NVS_LEASE_POSITION - 1]);
	NvsScan		scan;

	nulls[FETCH_UPTO] = false;
	nulls[FETCH_EVENTS] = nulls[NVS_LEASE_PATTERN - 1];
	values[FETCH_EVENTS] = 0;
	if (nulls[NVS_LEASE_PATTERN - 1])
	{
		values[FETCH_UPTO] = values[NVS_LEASE_MARK - 1];
		return true;
	}
	nvs_scan_init(&scan, window,
				  TextDatumGetCString(values[NVS_LEASE_PATTERN - 1]));
	scan.after = position;
	scan.limit = max_events;
	nvs_scan_run(&scan);
	values[FETCH_UPTO] = Int64GetDatum(Max(scan.upto, position));
	values[FETCH_EVENTS] = nvs_scan_records(&scan, CurrentMemoryContext);
	return scan.nfound > 0;
}

static const NvsStatement fetch_pass = {
	"UPDATE {consumers} SET position = $2, attempt = 0, "
	"owner = NULL, token = NULL, leased_until = NULL, "
	"deferred_until = NULL, due_at = NULL "
	"WHERE name OPERATOR(pg_catalog.=) $1"
};

/*
 * Move consumers, which are leased by us, past what held nothing for them, and
 * end their leases; idle is a list of FetchIdle.
 */
static void
fetch_pass_idle(NvsClaim *claim, List *idle)
{
	ListCell   *lc;

	foreach(lc, idle)
	{
		FetchIdle  *entry = lfirst(lc);
		NvsParams	params;

		nvs_params_init(&params);
		nvs_params_add(&params, TEXTOID, entry->name, false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(entry->upto), false);
		(void) nvs_table_set_run(claim->consumers, &fetch_pass, &params);
	}
}
