/*
 * consumer/mark.c
 *	  Finds which consumers the events that became settled are for.
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
 * A scan sees a consumer or it does not; what it does not see is not
 * "admitted".  The first scan that does admits it, by a mark at the position
 * before its own events: that is worth one look at what is older.
 *
 * A scan never waits for the row of a consumer.  Marks of rows that others
 * hold are kept in the checkpoint's data and tried again by the next scan.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "consumer/mark.h"
#include "position/position.h"
#include "route/route.h"

PG_FUNCTION_INFO_V1(nvs_consumer_mark);
PG_FUNCTION_INFO_V1(nvs_consumer_correlate);

/* Consumers that no scan has seen; one scan admits so many. */
static const NvsStatement mark_new = {
	"SELECT name, pattern, position FROM {consumers} "
	"WHERE NOT admitted ORDER BY name LIMIT 1000"
};

static bool has_reason(NvsMarkScan *scan);
static bool read_scanned(NvsMarkScan *scan);
static void run_scan(NvsMarkScan *scan);
static void add_new(NvsMarkScan *scan);
static void add_stragglers(NvsMarkScan *scan);
static void apply_marks(NvsMarkScan *scan);
static void note_stragglers(NvsMarkScan *scan);
static void save_scan(NvsMarkScan *scan);

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
nvs_consumer_scan(NvsConsumers *consumers, int max_events, int64 *scanned)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store scan",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NvsPlanning planning;
	NvsMarkScan scan;
	bool		ours = true;

	memset(&scan, 0, sizeof(scan));
	scan.consumers = consumers;
	scan.limit = max_events;
	nvs_planning_by_index(&planning);
	(void) set_config_option("row_security", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (has_reason(&scan))
	{
		ours = nvs_lock_if_free(NVS_LOCK_SCAN,
								nvs_hash(consumers->prefix,
										 strlen(consumers->prefix), 0),
								ExclusiveLock);
		if (ours)
			run_scan(&scan);
	}
	*scanned = scan.upto;
	nvs_planning_end(&planning);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return ours;
}

/* How many events of a relation a scan may read: at least one. */
int
nvs_scan_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		count = nvs_count_argument(fcinfo, n, name);

	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be greater than zero", name)));
	return count < 0 ? INT_MAX : (int) count;
}

/* Is there anything that no scan has looked at?  Leaves upto at the last. */
static bool
has_reason(NvsMarkScan *scan)
{
	int64		safe = nvs_position_push_snapshot();
	bool		reason;

	reason = read_scanned(scan) || safe > scan->from;
	scan->upto = scan->from;
	if (!reason)
		reason = nvs_consumer_query(scan->consumers, &mark_new, NULL) > 0;
	PopActiveSnapshot();
	return reason;
}

static const NvsStatement mark_scanned = {
	"SELECT position, data IS NOT NULL FROM {checkpoints} "
	"WHERE name OPERATOR(pg_catalog.=) " NVS_SCAN_NAME
};

/*
 * Read how far the last scan came, 0 before the first.  Returns whether it
 * left stragglers.
 */
static bool
read_scanned(NvsMarkScan *scan)
{
	bool		isnull;

	scan->had_stragglers = false;
	scan->from = 0;
	scan->exists = nvs_consumer_query(scan->consumers, &mark_scanned, NULL) > 0;
	if (scan->exists)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		scan->from = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		scan->had_stragglers = DatumGetBool(SPI_getbinval(row, desc, 2,
														  &isnull));
	}
	return scan->had_stragglers;
}

/* Scan, once we are the only one. */
static void
run_scan(NvsMarkScan *scan)
{
	int64		safe = nvs_position_push_snapshot();
	List	   *targets;

	/* Only now, so that no table is missing that holds what is settled. */
	targets = nvs_route_targets(NVS_KIND_STREAM,
								nvs_store_require(scan->consumers->prefix),
								true);
	(void) read_scanned(scan);
	scan->upto = Max(safe, scan->from);
	scan->markings = nvs_mark_table("nvent_store scan marks",
									sizeof(NvsMarking));
	if (scan->upto > scan->from)
		nvs_mark_match(scan, targets);
	add_stragglers(scan);
	add_new(scan);
	PopActiveSnapshot();

	apply_marks(scan);
	save_scan(scan);
}

/* The entry of a consumer that is to be marked. */
NvsMarking *
nvs_mark_get(NvsMarkScan *scan, const char *name)
{
	NvsMarking *marking;
	NvsText		key;
	bool		exists;

	key.data = name;
	key.len = strlen(name);
	marking = hash_search(scan->markings, &key, HASH_ENTER, &exists);
	if (!exists)
	{
		marking->mark = PG_INT64_MIN;
		marking->marks = false;
		marking->straggles = false;
		marking->admit = NULL;
	}
	return marking;
}

/* Take up consumers that no scan has seen. */
static void
add_new(NvsMarkScan *scan)
{
	uint64		n = nvs_consumer_query(scan->consumers, &mark_new, NULL);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		NvsMarking *marking = nvs_mark_get(scan, SPI_getvalue(row, desc, 1));
		bool		isnull;

		marking->admit = SPI_getvalue(row, desc, 2);
		if (DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull)) >= scan->from)
			continue;
		marking->mark = Max(marking->mark, scan->from);
		marking->marks = true;
	}
	SPI_freetuptable(SPI_tuptable);
}

static const NvsStatement mark_stragglers = {
	"SELECT d.key, d.value::pg_catalog.int8 FROM {checkpoints} s, "
	"pg_catalog.jsonb_each_text(s.data) d "
	"WHERE s.name OPERATOR(pg_catalog.=) " NVS_SCAN_NAME
};

/* Take up the marks that the scan before could not set. */
static void
add_stragglers(NvsMarkScan *scan)
{
	uint64		n;
	uint64		i;

	if (!scan->had_stragglers)
		return;
	n = nvs_consumer_query(scan->consumers, &mark_stragglers, NULL);
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		NvsMarking *marking = nvs_mark_get(scan, SPI_getvalue(row, desc, 1));
		bool		isnull;

		marking->mark = Max(marking->mark,
							DatumGetInt64(SPI_getbinval(row, desc, 2,
														&isnull)));
		marking->marks = true;
	}
	SPI_freetuptable(SPI_tuptable);
}

static const NvsStatement mark_apply = {
	"WITH v AS MATERIALIZED (SELECT * FROM ROWS FROM "
	"(pg_catalog.unnest($1), pg_catalog.unnest($2), "
	"pg_catalog.unnest($3)) u (name, mark, admit)), "
	"free AS MATERIALIZED (SELECT c.name FROM v, {consumers} c "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name "
	"FOR NO KEY UPDATE OF c SKIP LOCKED) "
	"UPDATE {consumers} c SET mark = GREATEST(c.mark, v.mark), "
	"admitted = c.admitted OR (v.admit IS NOT NULL AND "
	"c.pattern OPERATOR(pg_catalog.=) v.admit) "
	"FROM v, free f WHERE f.name OPERATOR(pg_catalog.=) v.name "
	"AND c.name OPERATOR(pg_catalog.=) f.name"
};

/*
 * Write the marks to the rows that nobody holds.  A consumer is admitted with
 * the pattern that was matched; it may have got another one since.
 */
static void
apply_marks(NvsMarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	int			n = hash_get_num_entries(scan->markings);
	Datum	   *names = palloc(sizeof(Datum) * n);
	Datum	   *marks = palloc(sizeof(Datum) * n);
	bool	   *markless = palloc(sizeof(bool) * n);
	Datum	   *admits = palloc0(sizeof(Datum) * n);
	bool	   *known = palloc(sizeof(bool) * n);
	int			i = 0;

	if (n == 0)
		return;
	hash_seq_init(&seq, scan->markings);
	while ((marking = hash_seq_search(&seq)) != NULL)
	{
		names[i] = nvs_mark_text_datum(&marking->name);
		marks[i] = Int64GetDatum(marking->mark);
		markless[i] = !marking->marks;
		known[i] = marking->admit == NULL;
		if (marking->admit != NULL)
			admits[i] = CStringGetTextDatum(marking->admit);
		i++;
	}
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, names, NULL, n), false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, marks, markless, n),
				   false);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, admits, known, n), false);
	if (nvs_consumer_run(scan->consumers, &mark_apply, &params) < n)
		note_stragglers(scan);
}

static const NvsStatement mark_missed = {
	"SELECT c.name FROM ROWS FROM (pg_catalog.unnest($1), "
	"pg_catalog.unnest($2)) v (name, mark), {consumers} c "
	"WHERE c.name OPERATOR(pg_catalog.=) v.name AND (c.mark IS NULL "
	"OR c.mark OPERATOR(pg_catalog.<) v.mark)"
};

/* Find the marks that could not be set, as their rows were held. */
static void
note_stragglers(NvsMarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	Datum	   *names;
	Datum	   *marks;
	uint64		i;
	int			n = 0;

	names = palloc(sizeof(Datum) * hash_get_num_entries(scan->markings));
	marks = palloc(sizeof(Datum) * hash_get_num_entries(scan->markings));
	hash_seq_init(&seq, scan->markings);
	while ((marking = hash_seq_search(&seq)) != NULL)
	{
		if (!marking->marks)
			continue;
		names[n] = nvs_mark_text_datum(&marking->name);
		marks[n++] = Int64GetDatum(marking->mark);
	}
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, names, NULL, n), false);
	nvs_params_add(&params, INT8ARRAYOID,
				   nvs_array_of(INT8OID, marks, NULL, n), false);
	n = nvs_consumer_run(scan->consumers, &mark_missed, &params);
	for (i = 0; i < n; i++)
	{
		marking = nvs_mark_get(scan, SPI_getvalue(SPI_tuptable->vals[i],
												  SPI_tuptable->tupdesc, 1));
		marking->straggles = true;
		scan->nstragglers++;
	}
	SPI_freetuptable(SPI_tuptable);
}

static const NvsStatement mark_save_scan = {
	"INSERT INTO {checkpoints} (name, position, data, updated_at) "
	"VALUES (" NVS_SCAN_NAME ", $1, $2, pg_catalog.clock_timestamp()) "
	"ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, "
	"data = EXCLUDED.data, updated_at = EXCLUDED.updated_at"
};

/* Enter how far this scan came, and the marks that it could not set. */
static void
save_scan(NvsMarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	NvsMarking *marking;
	NvsParams	params;
	NvsJsonb	stragglers;

	if (scan->upto == scan->from && scan->exists &&
		!scan->had_stragglers && scan->nstragglers == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->upto), false);
	if (scan->nstragglers == 0)
		nvs_params_add(&params, JSONBOID, 0, true);
	else
	{
		nvs_jsonb_init(&stragglers);
		hash_seq_init(&seq, scan->markings);
		while ((marking = hash_seq_search(&seq)) != NULL)
			if (marking->straggles)
				nvs_jsonb_add_int64(&stragglers, marking->name.data,
									marking->name.len, marking->mark);
		nvs_params_add(&params, JSONBOID,
					   JsonbPGetDatum(nvs_jsonb_finish(&stragglers)), false);
	}
	(void) nvs_consumer_run(scan->consumers, &mark_save_scan, &params);
}

/*
 * nvent.consumer_correlate(max_events, store): the position up to which
 * marks are complete, NULL while another transaction is at it.
 */
Datum
nvs_consumer_correlate(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	int			max_events = nvs_scan_argument(fcinfo, 0, "max_events");
	int64		scanned;
	bool		ours;

	PreventCommandIfReadOnly("nvent.consumer_correlate()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 1);
	ours = nvs_consumer_scan(consumers, max_events, &scanned);
	nvs_spi_end();
	if (!ours)
		PG_RETURN_NULL();
	PG_RETURN_INT64(scanned);
}

static const NvsStatement mark_mark = {
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
	raised = nvs_consumer_run(consumers, &mark_mark, &params);
	nvs_spi_end();
	PG_RETURN_INT64(raised);
}
