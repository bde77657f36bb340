/*
 * stream/scan.c
 *	  Events of a pattern, from all tables that may hold them.
 *
 * The tables are read one after the other, each up to the position that the
 * page cannot reach beyond any more; what they hold is merged by position.
 * Of equal positions, which adopted tables may have, all are taken or none.
 *
 * A table whose pattern's subject is known is read by its key.  Any other is
 * read in the order of positions and filtered, which is cheap where many rows
 * match or few are new.  Where neither holds, that gives up and the positions
 * are found first, by one statement that has the whole condition, for which
 * the planner takes the index on (subject, id), or on (captured column, id),
 * when the pattern begins with enough literal tokens.
 *
 * Everything runs under the snapshot of the window and needs SPI.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "stream/event.h"
#include "stream/scan.h"
#include "stream/source.h"
#include "stream/statement.h"

/* Rows that are read and filtered in one go, at least and at most. */
#define SCAN_MIN_CHUNK	64
#define SCAN_MAX_CHUNK	4096

/*
 * Filtering gives up after SCAN_MAX_CHUNK rows when fewer than one in so many
 * match.
 */
#define SCAN_MIN_SHARE	16

static void scan_source(NvsScan *scan, NvsSource *source);
static void scan_by_key(NvsScan *scan, NvsSource *source);
static bool scan_by_filter(NvsScan *scan, NvsSource *source, int64 *position);
static void scan_materialize_first(NvsScan *scan, NvsSource *source,
								   int64 position);
static void scan_add_positions(NvsParams *params, uint64 n);
static int	scan_take_rows(NvsScan *scan, NvsSource *source);
static bool scan_matches(const NvsScan *scan, const NvsSource *source,
						 HeapTuple row, TupleDesc desc, const char *subject);
static bool scan_has_type(const NvsScan *scan, const text *type);
static void scan_take(NvsScan *scan, NvsSource *source, HeapTuple row,
					  TupleDesc desc, const char *subject);
static void scan_cut_page(NvsScan *scan);
static int	scan_compare(const void *a, const void *b);

/*
 * Begin a scan of a window for a pattern, of as much as is settled.  What is
 * found will be in the current memory context.
 */
void
nvs_scan_init(NvsScan *scan, const NvsWindow *window, const char *pattern)
{
	memset(scan, 0, sizeof(NvsScan));
	scan->cxt = CurrentMemoryContext;
	scan->window = window;
	scan->after = window->after;
	scan->upto = window->safe;
	nvs_scan_again(scan, pattern);
}

/* Keep events of these types only; the array must outlive the scan. */
void
nvs_scan_types(NvsScan *scan, ArrayType *types)
{
	bool	   *nulls;
	int			i;

	scan->types = PointerGetDatum(types);
	deconstruct_array(types, TEXTOID, -1, false, TYPALIGN_INT,
					  &scan->type_texts, &nulls, &scan->ntypes);
	for (i = 0; i < scan->ntypes; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("type %d must not be null", i + 1)));
}

/*
 * Set the pattern, which must outlive the scan; the next run finds its events
 * too, with all else as it was.
 */
void
nvs_scan_again(NvsScan *scan, const char *pattern)
{
	scan->pattern_text = pattern;
	scan->pattern = nvs_pattern_compile(pattern, strlen(pattern));
}

/*
 * Add the events to what was found: all that match above scan->after, up to
 * scan->upto, which is lowered when the limit is reached.
 */
void
nvs_scan_run(NvsScan *scan)
{
	ListCell   *lc;

	if (scan->after >= scan->upto)
		return;
	foreach(lc, nvs_source_list(scan))
	{
		scan_source(scan, lfirst(lc));
		scan_cut_page(scan);
	}
}

/* Read a source the best way that there is. */
static void
scan_source(NvsScan *scan, NvsSource *source)
{
	int64		position = scan->after;

	if (source->keyed)
		scan_by_key(scan, source);
	else if (!scan_by_filter(scan, source, &position))
		scan_materialize_first(scan, source, position);
}

/* Read a source by its key, in the order of positions. */
static void
scan_by_key(NvsScan *scan, NvsSource *source)
{
	NvsParams	params;
	SPIPlanPtr	plan = nvs_source_plan(scan, source, NVS_SOURCE_BY_KEY,
									   scan->after, scan->limit, &params);

	nvs_execute(plan, &params, true, 0);
	(void) scan_take_rows(scan, source);
}

/*
 * Read a source in the order of positions and keep what matches.  Returns
 * true when that was all; false when too little matched, and then *position
 * is how far it came.
 */
static bool
scan_by_filter(NvsScan *scan, NvsSource *source, int64 *position)
{
	int64		looked_at = 0;
	int64		matched = 0;
	int			chunk = Max(scan->limit, SCAN_MIN_CHUNK);

	for (;;)
	{
		NvsParams	params;
		SPIPlanPtr	plan;
		uint64		n;

		chunk = Min(chunk, Max(scan->limit, SCAN_MAX_CHUNK));
		plan = nvs_source_plan(scan, source, NVS_SOURCE_BY_POSITION,
							   *position, chunk, &params);
		n = nvs_execute(plan, &params, true, 0);
		if (n > 0)
			*position = nvs_event_position(source->target,
										   SPI_tuptable->vals[n - 1],
										   SPI_tuptable->tupdesc);
		looked_at += n;
		matched += scan_take_rows(scan, source);
		if (n < chunk || matched >= scan->limit)
			return true;
		if (looked_at >= SCAN_MAX_CHUNK &&
			matched * SCAN_MIN_SHARE < looked_at)
			return false;
		chunk *= 2;
	}
}

/* Have one statement find the positions above this one, then read the rows. */
static void
scan_materialize_first(NvsScan *scan, NvsSource *source, int64 position)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		n;

	plan = nvs_source_plan(scan, source, NVS_SOURCE_POSITIONS, position,
						   scan->limit, &params);
	n = nvs_execute(plan, &params, true, 0);
	nvs_params_init(&params);
	scan_add_positions(&params, n);
	if (n == 0)
		return;
	nvs_execute(nvs_source_plan_rows(source, &params), &params, true, 0);
	(void) scan_take_rows(scan, source);
}

/* Add a parameter, the n positions just read, and free these. */
static void
scan_add_positions(NvsParams *params, uint64 n)
{
	Datum	   *positions = palloc(sizeof(Datum) * Max(n, 1));
	bool		isnull;
	uint64		i;

	for (i = 0; i < n; i++)
	{
		Datum		value = SPI_getbinval(SPI_tuptable->vals[i],
										  SPI_tuptable->tupdesc, 1, &isnull);

		/* It may be a pointer into the row. */
		positions[i] = Int64GetDatum(DatumGetInt64(value));
	}
	nvs_stream_add_array(params, INT8OID, positions, NULL, n);
	SPI_freetuptable(SPI_tuptable);
}

/* Keep those of the rows just read that match; returns how many. */
static int
scan_take_rows(NvsScan *scan, NvsSource *source)
{
	SPITupleTable *rows = SPI_tuptable;
	int			before = scan->nfound;
	uint64		i;

	for (i = 0; i < rows->numvals; i++)
	{
		HeapTuple	row = rows->vals[i];
		char	   *subject = nvs_source_subject(source, row, rows->tupdesc);

		CHECK_FOR_INTERRUPTS();
		if (subject == NULL)
			continue;
		if (scan_matches(scan, source, row, rows->tupdesc, subject))
			scan_take(scan, source, row, rows->tupdesc, subject);
		pfree(subject);
	}
	SPI_freetuptable(rows);
	return scan->nfound - before;
}

/* Does a row match by its subject and its type? */
static bool
scan_matches(const NvsScan *scan, const NvsSource *source, HeapTuple row,
			 TupleDesc desc, const char *subject)
{
	const NvsField *type = source->state->type;
	Datum		value;
	bool		isnull;

	if (!nvs_pattern_match(scan->pattern, subject, strlen(subject), NULL))
		return false;
	if (scan->types == (Datum) 0)
		return true;
	value = SPI_getbinval(row, desc, type - source->target->map->fields + 1,
						  &isnull);
	return !isnull && scan_has_type(scan, DatumGetTextPP(value));
}

/* Is this one of the types that are asked for? */
static bool
scan_has_type(const NvsScan *scan, const text *type)
{
	int			i;

	for (i = 0; i < scan->ntypes; i++)
	{
		text	   *wanted = DatumGetTextPP(scan->type_texts[i]);

		if (VARSIZE_ANY_EXHDR(type) == VARSIZE_ANY_EXHDR(wanted) &&
			memcmp(VARDATA_ANY(type), VARDATA_ANY(wanted),
				   VARSIZE_ANY_EXHDR(type)) == 0)
			return true;
	}
	return false;
}

/* Add a row to what was found; all of it is copied. */
static void
scan_take(NvsScan *scan, NvsSource *source, HeapTuple row, TupleDesc desc,
		  const char *subject)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	NvsFound   *found;

	if (scan->found == NULL)
	{
		scan->size = 64;
		scan->found = palloc(sizeof(NvsFound) * scan->size);
	}
	else if (scan->nfound == scan->size)
	{
		scan->size *= 2;
		scan->found = repalloc_huge(scan->found,
									sizeof(NvsFound) * scan->size);
	}
	if (source->desc == NULL)
		source->desc = CreateTupleDescCopy(desc);
	found = &scan->found[scan->nfound++];
	found->target = source->target;
	found->subject = pstrdup(subject);
	found->len = strlen(subject);
	found->row = heap_copytuple(row);
	found->desc = source->desc;
	found->id = nvs_event_position(source->target, row, desc);
	MemoryContextSwitchTo(old);
}

/*
 * Bring what was found in order, drop what the page has no room for, and
 * lower the bound accordingly.  Equal positions stay together.
 */
static void
scan_cut_page(NvsScan *scan)
{
	qsort(scan->found, scan->nfound, sizeof(NvsFound), scan_compare);
	if (scan->nfound < scan->limit)
		return;
	scan->upto = scan->found[scan->limit - 1].id;
	while (scan->found[scan->nfound - 1].id > scan->upto)
		heap_freetuple(scan->found[--scan->nfound].row);
}

/* For qsort(): by position, and of equal ones by subject. */
static int
scan_compare(const void *a, const void *b)
{
	const NvsFound *x = a;
	const NvsFound *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return strcmp(x->subject, y->subject);
}

/* The records of what was found, as jsonb[] in cxt. */
Datum
nvs_scan_records(const NvsScan *scan, MemoryContext cxt)
{
	Datum	   *records = palloc(sizeof(Datum) * Max(scan->nfound, 1));
	MemoryContext old;
	Datum		page;
	int			i;

	for (i = 0; i < scan->nfound; i++)
	{
		const NvsFound *found = &scan->found[i];
		NvsResolved resolved;

		resolved.target = found->target;
		resolved.subject = found->subject;
		resolved.len = found->len;
		records[i] = nvs_event_record(&resolved, found->row, found->desc,
									  CurrentMemoryContext);
	}
	old = MemoryContextSwitchTo(cxt);
	page = PointerGetDatum(construct_array(records, scan->nfound, JSONBOID,
										   -1, false, TYPALIGN_INT));
	MemoryContextSwitchTo(old);
	return page;
}
