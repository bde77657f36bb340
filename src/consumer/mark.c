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
 * A scan sees a consumer or it does not; one that no scan has seen is not
 * initialized (column "admitted").  The first scan that sees it initializes
 * it, by a mark at the position before its own events: that is worth one look
 * at what is older.
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
#include "route/route.h"
#include "store/store.h"

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
static void mark_find_locked(MarkScan *scan);
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
	int			level = nvs_consumer_plan_by_index();
	bool		ours = true;

	memset(&scan, 0, sizeof(scan));
	scan.consumers = consumers;
	scan.limit = max_events;
	(void) set_config_option("row_security", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
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
	AtEOXact_GUC(false, level);
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
	"WHERE NOT admitted ORDER BY name LIMIT 1000"
};

/*
 * Is there anything that no scan has looked at?  Reads the checkpoint, and
 * leaves upto where it is.
 */
static bool
mark_has_reason(MarkScan *scan)
{
	int64		safe = nvs_position_push_snapshot();
	bool		reason;

	mark_read_checkpoint(scan);
	scan->upto = scan->from;
	reason = scan->has_kept || safe > scan->from ||
		nvs_consumer_query(scan->consumers, &mark_uninitialized, NULL) > 0;
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
	int64		safe = nvs_position_push_snapshot();
	List	   *targets;

	/* Only now, so that no table is missing that holds safe events. */
	targets = nvs_route_targets(NVS_KIND_STREAM,
								nvs_store_require(scan->consumers->prefix),
								true);
	mark_read_checkpoint(scan);
	scan->upto = Max(safe, scan->from);

	/* Find what is to be done, under the snapshot of the safe position. */
	scan->markings = nvs_markings_create();
	if (scan->upto > scan->from)
		scan->upto = nvs_match_events(scan->consumers, targets, scan->from,
									  scan->upto, scan->limit,
									  scan->markings);
	mark_add_kept(scan);
	mark_add_uninitialized(scan);
	PopActiveSnapshot();

	/* Do it, to the rows as they are now. */
	mark_apply(scan);
	mark_save_checkpoint(scan);
}

/* Add the consumers that no scan has seen. */
static void
mark_add_uninitialized(MarkScan *scan)
{
	uint64		n = nvs_consumer_query(scan->consumers, &mark_uninitialized,
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
	n = nvs_consumer_query(scan->consumers, &mark_kept, NULL);
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

static const NvsStatement mark_set = {
	"WITH v AS MATERIALIZED (SELECT * FROM ROWS FROM "
	"(pg_catalog.unnest($1), pg_catalog.unnest($2), "
	"pg_catalog.unnest($3)) u (name, mark, pattern)), "
	"free AS MATERIALIZED (SELECT c.name FROM v, {consumers} c "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name "
	"FOR NO KEY UPDATE OF c SKIP LOCKED) "
	"UPDATE {consumers} c SET mark = GREATEST(c.mark, v.mark), "
	"admitted = c.admitted OR (v.pattern IS NOT NULL AND "
	"c.pattern OPERATOR(pg_catalog.=) v.pattern) "
	"FROM v, free f WHERE f.name OPERATOR(pg_catalog.=) v.name "
	"AND c.name OPERATOR(pg_catalog.=) f.name"
};

/*
 * Write the markings to the rows that nobody has locked.  A consumer is
 * initialized only while it has the pattern that was matched; it may have got
 * another one since.
 */
static void
mark_apply(MarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	int			n = hash_get_num_entries(scan->markings);
	Datum	   *names = palloc(sizeof(Datum) * n);
	Datum	   *marks = palloc(sizeof(Datum) * n);
	bool	   *no_mark = palloc(sizeof(bool) * n);
	Datum	   *patterns = palloc0(sizeof(Datum) * n);
	bool	   *no_pattern = palloc(sizeof(bool) * n);
	int			i = 0;

	if (n == 0)
		return;
	hash_seq_init(&seq, scan->markings);
	while ((marking = hash_seq_search(&seq)) != NULL)
	{
		names[i] = nvs_match_text_datum(&marking->name);
		marks[i] = Int64GetDatum(marking->mark);
		no_mark[i] = !marking->has_mark;
		no_pattern[i] = marking->initialize == NULL;
		if (!no_pattern[i])
			patterns[i] = CStringGetTextDatum(marking->initialize);
		i++;
	}
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, names, NULL, n), false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, marks, no_mark, n), false);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, patterns, no_pattern, n), false);
	if (nvs_consumer_run(scan->consumers, &mark_set, &params) < n)
		mark_find_locked(scan);
}

static const NvsStatement mark_not_set = {
	"SELECT c.name FROM ROWS FROM (pg_catalog.unnest($1), "
	"pg_catalog.unnest($2)) v (name, mark), {consumers} c "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name AND (c.mark IS NULL "
	"OR c.mark OPERATOR(pg_catalog.<) v.mark)"
};

/*
 * Find the marks that could not be set, since their rows were locked.  Those
 * whose consumer is gone are nobody's.
 */
static void
mark_find_locked(MarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	int			size = hash_get_num_entries(scan->markings);
	Datum	   *names = palloc(sizeof(Datum) * size);
	Datum	   *marks = palloc(sizeof(Datum) * size);
	uint64		nlocked;
	uint64		i;
	int			n = 0;

	hash_seq_init(&seq, scan->markings);
	while ((marking = hash_seq_search(&seq)) != NULL)
	{
		if (!marking->has_mark)
			continue;
		names[n] = nvs_match_text_datum(&marking->name);
		marks[n++] = Int64GetDatum(marking->mark);
	}
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, names, NULL, n), false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, marks, NULL, n), false);
	nlocked = nvs_consumer_run(scan->consumers, &mark_not_set, &params);
	for (i = 0; i < nlocked; i++)
	{
		marking = nvs_markings_get(scan->markings,
								   SPI_getvalue(SPI_tuptable->vals[i],
												SPI_tuptable->tupdesc, 1));
		marking->row_locked = true;
		scan->nlocked++;
	}
	SPI_freetuptable(SPI_tuptable);
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

	if (scan->upto == scan->from && scan->exists && !scan->has_kept &&
		scan->nlocked == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->upto), false);
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
	(void) nvs_consumer_run(scan->consumers, &mark_save, &params);
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

static const NvsStatement mark_raise = {
	"WITH v AS MATERIALIZED (SELECT u.name, "
	"pg_catalog.max(u.mark) AS mark FROM ROWS FROM "
	"(pg_catalog.unnest($1), pg_catalog.unnest($2)) u (name, mark) "
	"GROUP BY u.name), "
	"held AS MATERIALIZED (SELECT c.name FROM {consumers} c, v "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name "
	"ORDER BY c.name FOR NO KEY UPDATE OF c) "
	"UPDATE {consumers} c SET mark = v.mark FROM v, held h "
	"WHERE h.name OPERATOR(pg_catalog.=) v.name "
	"AND c.name OPERATOR(pg_catalog.=) v.name "
	"AND (c.mark IS NULL OR c.mark OPERATOR(pg_catalog.<) v.mark)"
};

/* nvent.consumer_mark(names, marks, store): how many were raised. */
Datum
nvs_consumer_mark(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsParams	params;
	NvsArrayArgs arrays = {"consumers", NVS_MAX_CONSUMERS};
	Datum	   *values;
	bool	   *nulls;
	uint64		raised;

	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(1, "marks");
	(void) nvs_array_argument(&arrays, fcinfo, 0, "names", &values, &nulls);
	(void) nvs_array_argument(&arrays, fcinfo, 1, "marks", &values, &nulls);
	PreventCommandIfReadOnly("nvent.consumer_mark()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 2);
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTARRAYOID);
	nvs_params_add_arg(&params, fcinfo, 1, INT8ARRAYOID);
	/* Names may come twice: the highest mark counts. */
	raised = nvs_consumer_run(consumers, &mark_raise, &params);
	nvs_spi_end();
	PG_RETURN_INT64(raised);
}
