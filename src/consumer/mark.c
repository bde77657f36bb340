/*
 * consumer/mark.c
 *	  Marks consumers: says up to which position each has work.
 *
 * A scan reads the events above the position that the scan before it came to
 * (the checkpoint without a name) and not above the safe position, matches
 * their subjects with the consumers' patterns, and raises marks.  Marks and
 * the checkpoint move in one transaction, so no event is skipped; a lock lets
 * one transaction at a time scan a store, and others go on without.
 *
 * Patterns are found by an index on the literal text that they begin with:
 * for a:b:c these are "", "a:", "a:b:" and "a:b:c".  So a scan costs what its
 * events and their consumers cost, however many consumers there are; nothing
 * is cached, and a consumer counts from the moment its transaction commits.
 *
 * A consumer that no scan has seen is not initialized.  The first scan that
 * sees it initializes it, by a mark at the position before its own events:
 * that is worth one look at what is older.
 *
 * A scan never waits for the row of a consumer.  Marks of rows that others
 * have locked are kept in the checkpoint's data, and the next scan tries to
 * set them again.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "consumer/match.h"
#include "json/build.h"
#include "position/position.h"
#include "stream/window.h"

PG_FUNCTION_INFO_V1(nvs_consumer_mark);
PG_FUNCTION_INFO_V1(nvs_consumer_correlate);

/* A scan: where it begins and ends, and what it is to do. */
typedef struct MarkScan
{
	NvsConsumers *consumers;
	int64		from;			/* exclusive */
	int64		upto;			/* inclusive */
	int			limit;			/* events of one relation */
	bool		exists;			/* the checkpoint is there ... */
	bool		has_kept;		/* ... and keeps marks of locked rows */
	HTAB	   *markings;		/* NvsMarking */
	int			nlocked;		/* how many of them have a locked row */
} MarkScan;

static bool mark_has_reason(MarkScan *scan);
static void mark_read_checkpoint(MarkScan *scan);
static void mark_scan(MarkScan *scan);
static void mark_add_kept(MarkScan *scan);
static void mark_add_uninitialized(MarkScan *scan);
static void mark_apply(MarkScan *scan);
static void mark_save_checkpoint(MarkScan *scan);

/*
 * Mark consumers from at most max_events events of each relation.  Returns
 * false when another transaction is at it, and what it has marked cannot be
 * seen yet.  *scanned is the position up to which marks are complete.
 * Needs SPI.
 *
 * It must see every event, so row-level security that would hide some is an
 * error here.
 */
bool
nvs_mark_scan(NvsConsumers *consumers, int max_events, int64 *scanned)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store scan",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	MarkScan	scan;
	int			level = NewGUCNestLevel();
	bool		ours = true;

	memset(&scan, 0, sizeof(scan));
	scan.consumers = consumers;
	scan.limit = max_events;

	/*
	 * Until level ends, a policy that hides events is an error: they would be
	 * passed unseen.
	 */
	(void) set_config_option("row_security", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	/* Nobody waits for another scan, whose marks would be the same. */
	if (mark_has_reason(&scan))
	{
		ours = nvs_lock_if_free(NVS_LOCK_SCAN,
								nvs_hash(consumers->prefix,
										 strlen(consumers->prefix), 0),
								ExclusiveLock);
		if (ours)
			mark_scan(&scan);
	}

	*scanned = scan.upto;
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return ours;
}

/* Argument n: how many events of a relation a scan may read, one at least. */
int
nvs_mark_count_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		count = nvs_count_argument(fcinfo, n, name);

	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", name)));
	return count < 0 ? INT_MAX : (int) count;
}

/* Consumers that no scan has seen; one scan initializes so many. */
static const NvsStatement mark_uninitialized = {
	"SELECT name, pattern, position FROM {consumers} "
	"WHERE NOT initialized ORDER BY name LIMIT 1000"
};

/*
 * Is there anything that no scan has looked at?  Reads the checkpoint, and
 * leaves upto where it is.
 */
static bool
mark_has_reason(MarkScan *scan)
{
	int64		safe = nvs_position_push_snapshot(scan->consumers->number);
	bool		reason;

	mark_read_checkpoint(scan);
	scan->upto = scan->from;
	reason = scan->has_kept || safe > scan->from ||
		nvs_table_set_query(scan->consumers, &mark_uninitialized, NULL) > 0;
	PopActiveSnapshot();
	return reason;
}

static const NvsStatement mark_checkpoint = {
	"SELECT position, data IS NOT NULL FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) " NVS_MARK_CHECKPOINT
};

/* Read how far the last scan came, 0 before the first, and what it left. */
static void
mark_read_checkpoint(MarkScan *scan)
{
	Datum		row[2] = {0};
	bool		nulls[2];

	scan->exists =
		nvs_execute_row(nvs_statement_plan(scan->consumers->plans,
										   &mark_checkpoint, NULL, NULL),
						NULL, true, CurrentMemoryContext, 2, row, nulls);
	scan->from = scan->exists ? DatumGetInt64(row[0]) : 0;
	scan->has_kept = scan->exists && DatumGetBool(row[1]);
}

/* Scan, with the lock that makes us the only one. */
static void
mark_scan(MarkScan *scan)
{
	NvsWindow	window;

	/* The last scan came as far as we know, or further. */
	memset(&window, 0, sizeof(NvsWindow));
	window.name = scan->consumers->prefix;
	window.after = scan->from;
	nvs_window_open(&window);
	mark_read_checkpoint(scan);
	scan->upto = Max(window.safe, scan->from);

	/* Find what is to be done, under the snapshot of the safe position. */
	scan->markings = nvs_markings_create();
	if (scan->upto > scan->from)
		scan->upto = nvs_match_events(scan->consumers, window.targets,
									  scan->from, scan->upto, scan->limit,
									  scan->markings);
	mark_add_kept(scan);
	mark_add_uninitialized(scan);
	nvs_window_close(&window);

	/* Do it, to the rows as they are now. */
	mark_apply(scan);
	mark_save_checkpoint(scan);
}

/* Add the consumers that no scan has seen. */
static void
mark_add_uninitialized(MarkScan *scan)
{
	uint64		n = nvs_table_set_query(scan->consumers, &mark_uninitialized,
										NULL);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		NvsMarking *marking = nvs_markings_get(scan->markings,
											   SPI_getvalue(row, desc, 1));
		bool		isnull;

		marking->initialize = SPI_getvalue(row, desc, 2);
		if (DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull)) < scan->from)
			nvs_marking_raise(marking, scan->from);
	}
	SPI_freetuptable(SPI_tuptable);
}

static const NvsStatement mark_kept = {
	"SELECT d.key, d.value::pg_catalog.int8 FROM {checkpoints} s, "
	"pg_catalog.jsonb_each_text(s.data) d "
	"WHERE s.name OPERATOR(pg_catalog.=) " NVS_MARK_CHECKPOINT
};

/* Add the marks that the scan before could not set. */
static void
mark_add_kept(MarkScan *scan)
{
	uint64		n;
	uint64		i;

	if (!scan->has_kept)
		return;
	n = nvs_table_set_query(scan->consumers, &mark_kept, NULL);
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int64		mark = DatumGetInt64(SPI_getbinval(row, desc, 2,
													   &isnull));

		nvs_marking_raise(nvs_markings_get(scan->markings,
										   SPI_getvalue(row, desc, 1)), mark);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Sets the mark $2 of the consumer $1, initialized with the pattern $3. */
static const NvsStatement mark_set = {
	"UPDATE {consumers} c SET mark = GREATEST(c.mark, $2), "
	"initialized = c.initialized OR "
	"COALESCE(c.pattern OPERATOR(pg_catalog.=) $3, false) "
	"WHERE c.name OPERATOR(pg_catalog.=) (SELECT f.name FROM {consumers} f "
	"WHERE f.name OPERATOR(pg_catalog.=) $1 "
	"FOR NO KEY UPDATE SKIP LOCKED)"
};

/* Is the consumer $1 there, without the mark $2? */
static const NvsStatement mark_not_set = {
	"SELECT true FROM {consumers} WHERE name OPERATOR(pg_catalog.=) $1 "
	"AND (mark IS NULL OR mark OPERATOR(pg_catalog.<) $2)"
};

/*
 * Write the markings to the rows that nobody has locked, one by one: a plan
 * for all of them that is kept could be one that suited a small table.  A
 * consumer is initialized only while it has the pattern that was matched; it
 * may have got another one since.
 */
static void
mark_apply(MarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;

	hash_seq_init(&seq, scan->markings);
	while ((marking = hash_seq_search(&seq)) != NULL)
	{
		bool		initialize = marking->initialize != NULL;
		NvsParams	params;

		CHECK_FOR_INTERRUPTS();

		nvs_params_init(&params);
		nvs_params_add(&params, TEXTOID, nvs_match_text_datum(&marking->name),
					   false);
		nvs_params_add(&params, INT8OID, Int64GetDatum(marking->mark),
					   !marking->has_mark);
		nvs_params_add(&params, TEXTOID, initialize ?
					   CStringGetTextDatum(marking->initialize) : (Datum) 0,
					   !initialize);

		/*
		 * A row that was not updated is gone, has such a mark already, or is
		 * locked: only in the last case something is left to do.
		 */
		if (nvs_table_set_run(scan->consumers, &mark_set, &params) == 0 &&
			marking->has_mark &&
			nvs_table_set_run(scan->consumers, &mark_not_set, &params) > 0)
		{
			marking->row_locked = true;
			scan->nlocked++;
		}
	}
}

static const NvsStatement mark_save = {
	"INSERT INTO {checkpoints} (name, position, data, updated_at) "
	"VALUES (" NVS_MARK_CHECKPOINT ", $1, $2, pg_catalog.clock_timestamp()) "
	"ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, "
	"data = EXCLUDED.data, updated_at = EXCLUDED.updated_at"
};

/* Save how far this scan came, and the marks that it could not set. */
static void
mark_save_checkpoint(MarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	NvsJsonb	kept;

	/* Nothing to say that the checkpoint does not say by now. */
	if (scan->upto == scan->from && scan->exists && !scan->has_kept &&
		scan->nlocked == 0)
		return;

	/* Up to here events have been looked at. */
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->upto), false);

	/*
	 * What is still owed to consumers that others had locked, for the next
	 * scan: {name: mark}.
	 */
	if (scan->nlocked == 0)
		nvs_params_add(&params, JSONBOID, (Datum) 0, true);
	else
	{
		nvs_jsonb_init(&kept);
		hash_seq_init(&seq, scan->markings);
		while ((marking = hash_seq_search(&seq)) != NULL)
		{
			if (marking->row_locked)
				nvs_jsonb_add_int64(&kept, marking->name.data,
									marking->name.len, marking->mark);
		}
		nvs_params_add(&params, JSONBOID,
					   JsonbPGetDatum(nvs_jsonb_finish(&kept)), false);
	}

	(void) nvs_table_set_run(scan->consumers, &mark_save, &params);
}

/*
 * nvent.consumer_correlate(max_events, store): the position up to which
 * marks are complete, NULL while another transaction is at it.
 */
Datum
nvs_consumer_correlate(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	int			max_events = nvs_mark_count_argument(fcinfo, 0, "max_events");
	int64		scanned;
	bool		ours;

	PreventCommandIfReadOnly("nvent.consumer_correlate()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 1);
	ours = nvs_mark_scan(consumers, max_events, &scanned);
	nvs_spi_end();
	if (!ours)
		PG_RETURN_NULL();
	PG_RETURN_INT64(scanned);
}

static const NvsConsumerArray mark_arrays[] = {
	{"names", TEXTOID}, {"marks", INT8OID}
};

static const NvsStatement mark_raise = {
	"UPDATE {consumers} SET mark = $2 "
	"WHERE name OPERATOR(pg_catalog.=) $1 "
	"AND (mark IS NULL AND $2 IS NOT NULL OR mark OPERATOR(pg_catalog.<) $2)"
};

/*
 * nvent.consumer_mark(names, marks, store): how many were raised.  A name
 * that comes twice gets the highest of its marks, and is one.
 */
Datum
nvs_consumer_mark(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsNamedConsumers named;
	bool		counted = false;
	int64		raised = 0;
	int			i;

	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(1, "marks");
	nvs_consumers_named(&named, fcinfo, mark_arrays, lengthof(mark_arrays));
	PreventCommandIfReadOnly("nvent.consumer_mark()");

	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 2);

	/* Rows are locked in the order of names, as everybody does. */
	for (i = 0; i < named.n; i++)
	{
		NvsParams	params;

		CHECK_FOR_INTERRUPTS();
		if (!nvs_consumers_named_again(&named, i))
			counted = false;
		nvs_consumers_named_params(&named, i, &params);
		if (nvs_table_set_run(consumers, &mark_raise, &params) > 0 && !counted)
		{
			counted = true;
			raised++;
		}
	}

	nvs_spi_end();
	PG_RETURN_INT64(raised);
}
