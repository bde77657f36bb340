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
 * match or few are new.  Where neither is seen soon, the few subjects that
 * begin as the pattern does are looked at instead, if they are few.  If not,
 * reading by position goes on for a while, and then gives up: the positions
 * are found first, by one statement that has the whole condition, for which
 * the planner takes what index there is.
 *
 * An index on (subject, version) has a subject, but not the order of positions:
 * a row that was inserted by hand may have any version.  Such a subject is read
 * to its end when that is near, and else like a pattern.
 *
 * All but the first and the last of these take no statement where the table is
 * a plain one (stream/walk.c).
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
#include "stream/walk.h"

/* Rows that are read and filtered in one go, at least and at most. */
#define SCAN_MIN_CHUNK	64
#define SCAN_MAX_CHUNK	4096

/*
 * Filtering gives up after SCAN_MAX_CHUNK rows when fewer than one in so many
 * match; after the first chunk where an index has the subject.
 */
#define SCAN_MIN_SHARE	16

/* Rows whose subjects begin as the pattern does that are looked at, at most. */
#define SCAN_MAX_PREFIX	256

/* Rows of a subject that are read whatever their positions. */
#define SCAN_SHORT		256

static int64 scan_position(const NvsSource *source, HeapTuple row);
static void scan_source(NvsScan *scan, NvsSource *source);
static void scan_by_key(NvsScan *scan, NvsSource *source);
static bool scan_short(NvsScan *scan, NvsSource *source);
static bool scan_short_select(NvsScan *scan, NvsSource *source);
static bool scan_may_walk(const NvsScan *scan, const NvsSource *source);
static bool scan_by_position(NvsScan *scan, NvsSource *source,
							 int64 *position);
static bool scan_by_walk(NvsScan *scan, NvsSource *source, NvsWalk *walk,
						 int64 *position);
static bool scan_matches_few(int64 matched, int64 looked_at);
static bool scan_by_prefix(NvsScan *scan, NvsSource *source, int64 position);
static bool scan_by_filter(NvsScan *scan, NvsSource *source, int64 *position);
static void scan_materialize_first(NvsScan *scan, NvsSource *source,
								   int64 position);
static void scan_add_positions(NvsParams *params, uint64 n);
static int	scan_take_rows(NvsScan *scan, NvsSource *source, bool flagged);
static bool scan_is_flagged(HeapTuple row, TupleDesc desc);
static bool scan_all_of_walk(NvsScan *scan, NvsSource *source, NvsWalk *walk,
							 int64 position, int most);
static void scan_look_at(NvsScan *scan, NvsSource *source, HeapTuple row);
static bool scan_matches(const NvsScan *scan, bool isnull, Datum type);
static bool scan_has_type(const NvsScan *scan, const text *type);
static void scan_take(NvsScan *scan, NvsSource *source, HeapTuple row,
					  TupleDesc desc, bool as_stored, int64 id);
static void scan_cut_page(NvsScan *scan);
static int	scan_compare(const void *a, const void *b);
static int	scan_compare_texts(const void *a, const void *b);
static Datum scan_record(const NvsFound *found);

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
	scan->since = PG_INT64_MIN;
	scan->until = PG_INT64_MAX;
	initStringInfo(&scan->subject);
	nvs_scan_again(scan, pattern);
}

/* Keep events of these types only; the array must outlive the scan. */
void
nvs_scan_types(NvsScan *scan, ArrayType *types)
{
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	scan->types = PointerGetDatum(types);
	deconstruct_array(types, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &scan->ntypes);
	scan->type_texts = palloc(sizeof(text *) * Max(scan->ntypes, 1));
	for (i = 0; i < scan->ntypes; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("type %d must not be null", i + 1)));
		scan->type_texts[i] = DatumGetTextPP(elements[i]);
	}
	qsort(scan->type_texts, scan->ntypes, sizeof(text *), scan_compare_texts);
}

/* For qsort() and bsearch() of pointers to texts: by length, then bytes. */
static int
scan_compare_texts(const void *a, const void *b)
{
	const text *x = *(text *const *) a;
	const text *y = *(text *const *) b;
	int			xlen = VARSIZE_ANY_EXHDR(x);
	int			ylen = VARSIZE_ANY_EXHDR(y);

	if (xlen != ylen)
		return xlen < ylen ? -1 : 1;
	return memcmp(VARDATA_ANY(x), VARDATA_ANY(y), xlen);
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
 * scan->upto, which is lowered when the limit is reached.  Returns the position
 * above which to go on.
 */
int64
nvs_scan_run(NvsScan *scan)
{
	ListCell   *lc;

	if (scan->after >= scan->upto)
		return scan->after;
	foreach(lc, nvs_source_list(scan))
	{
		scan_source(scan, lfirst(lc));
		scan_cut_page(scan);
	}
	return scan->upto;
}

/* Read a source the best way that there is. */
static void
scan_source(NvsScan *scan, NvsSource *source)
{
	int64		position = scan->after;

	if (source->keyed && !source->by_version)
		scan_by_key(scan, source);
	else if (!(source->by_version && scan_short(scan, source)) &&
			 !scan_by_position(scan, source, &position))
		scan_materialize_first(scan, source, position);
}

/* Is what a scan looks for seen in rows as they are stored? */
static bool
scan_may_walk(const NvsScan *scan, const NvsSource *source)
{
	return source->state->row != NULL && !nvs_source_filters(scan);
}

/*
 * Read a source in the order of positions and keep what matches.  Returns
 * true when that was all; false when too little matched, and then *position
 * is how far it came.
 */
static bool
scan_by_position(NvsScan *scan, NvsSource *source, int64 *position)
{
	NvsWalk		walk;
	bool		complete;

	if (!scan_may_walk(scan, source) ||
		!nvs_walk_positions(&walk, source->target->relid, scan->after,
							scan->upto))
		return scan_by_filter(scan, source, position);
	complete = scan_by_walk(scan, source, &walk, position);
	nvs_walk_end(&walk);
	return complete;
}

/*
 * Do that along an index.  What is decided is decided where a position is over,
 * as equal ones are taken all or not at all.
 */
static bool
scan_by_walk(NvsScan *scan, NvsSource *source, NvsWalk *walk, int64 *position)
{
	int			before = scan->nfound;
	int64		looked_at = 0;
	int64		in_vain = SCAN_MIN_CHUNK;
	HeapTuple	row;

	while ((row = nvs_walk_next(walk)) != NULL)
	{
		int64		id = scan_position(source, row);
		int64		matched = scan->nfound - before;

		CHECK_FOR_INTERRUPTS();
		if (looked_at > 0 && id != *position)
		{
			/*
			 * The page is full; or too little matches, and then there may be
			 * few subjects that begin as the pattern does.
			 */
			if (matched >= scan->limit)
				return true;
			if (looked_at >= in_vain && scan_matches_few(matched, looked_at))
			{
				if (in_vain == SCAN_MIN_CHUNK &&
					scan_by_prefix(scan, source, *position))
					return true;
				if (source->by_version || looked_at >= SCAN_MAX_CHUNK)
					return false;
				in_vain = SCAN_MAX_CHUNK;
			}
		}

		*position = id;
		looked_at++;
		scan_look_at(scan, source, row);
	}
	return true;
}

/* The position of a row as it is stored. */
static int64
scan_position(const NvsSource *source, HeapTuple row)
{
	bool		isnull;

	return DatumGetInt64(heap_getattr(row, source->state->id->attnum,
									  source->state->row, &isnull));
}

/* Is it not worth it to go on looking at rows? */
static bool
scan_matches_few(int64 matched, int64 looked_at)
{
	return matched * SCAN_MIN_SHARE < looked_at;
}

/*
 * Find what is above a position among the subjects that begin as the pattern
 * does.  Returns false when these have too many rows, and then nothing was
 * found.
 */
static bool
scan_by_prefix(NvsScan *scan, NvsSource *source, int64 position)
{
	const NvsPattern *pattern = scan->pattern;
	NvsStreamState *state = source->state;
	const NvsTarget *target = source->target;
	NvsWalk		walk;

	if (!source->whole || pattern->prefix_len == 0)
		return false;
	if (!state->is_indexed)
		state->by_subject = nvs_walk_find_index(target->relid,
												target->keys[0].field->attnum);
	state->is_indexed = true;
	if (!OidIsValid(state->by_subject) ||
		!nvs_walk_prefix(&walk, target->relid, state->by_subject,
						 target->keys[0].field->attnum, pattern->bytes,
						 pattern->prefix_len))
		return false;
	return scan_all_of_walk(scan, source, &walk, position, SCAN_MAX_PREFIX);
}

/*
 * Look at what is above a position of all rows of a walk, and end it.  Returns
 * false when there are more rows than so many, and then nothing was found.
 */
static bool
scan_all_of_walk(NvsScan *scan, NvsSource *source, NvsWalk *walk,
				 int64 position, int most)
{
	int			before = scan->nfound;
	int			looked_at = 0;
	HeapTuple	row;

	while ((row = nvs_walk_next(walk)) != NULL && looked_at++ < most)
	{
		int64		id = scan_position(source, row);

		CHECK_FOR_INTERRUPTS();
		if (id > position && id <= scan->upto)
			scan_look_at(scan, source, row);
	}
	nvs_walk_end(walk);
	if (row == NULL)
		return true;
	while (scan->nfound > before)
		heap_freetuple(scan->found[--scan->nfound].row);
	return false;
}

/* Keep a row as it is stored in its table, if it matches. */
static void
scan_look_at(NvsScan *scan, NvsSource *source, HeapTuple row)
{
	TupleDesc	desc = source->state->row;
	Datum		type = (Datum) 0;
	bool		isnull = true;

	if (!nvs_event_subject(source->target, row, desc, 0, &scan->subject))
		return;
	if (scan->types != (Datum) 0)
		type = heap_getattr(row, source->state->type->attnum, desc, &isnull);
	if (scan_matches(scan, isnull, type))
		scan_take(scan, source, row, desc, true,
				  scan_position(source, row));
}

/* Read a source by its key, in the order of positions. */
static void
scan_by_key(NvsScan *scan, NvsSource *source)
{
	NvsParams	params;
	SPIPlanPtr	plan = nvs_source_plan(scan, source, NVS_SOURCE_BY_KEY,
									   scan->after, scan->limit, &params);

	nvs_execute(plan, &params, true, 0);
	(void) scan_take_rows(scan, source, false);
}

/* Read all of a source's subject; false when that is too long. */
static bool
scan_short(NvsScan *scan, NvsSource *source)
{
	text	   *subject = cstring_to_text(scan->pattern->bytes);
	NvsWalk		walk;

	if (scan_may_walk(scan, source) && source->whole &&
		OidIsValid(source->state->by_version) &&
		nvs_walk_value(&walk, source->target->relid,
					   source->state->by_version, PointerGetDatum(subject)))
		return scan_all_of_walk(scan, source, &walk, scan->after, SCAN_SHORT);
	return scan_short_select(scan, source);
}

/*
 * Read all of a source's subject by a statement; false when that is too long.
 */
static bool
scan_short_select(NvsScan *scan, NvsSource *source)
{
	NvsParams	params;
	SPIPlanPtr	plan = nvs_source_plan_short(scan, source, SCAN_SHORT + 1,
											 &params);

	if (nvs_execute(plan, &params, true, 0) > SCAN_SHORT)
	{
		SPI_freetuptable(SPI_tuptable);
		return false;
	}
	(void) scan_take_rows(scan, source, true);
	return true;
}

/*
 * Do what scan_by_position() does by statements, each of which reads a chunk
 * of rows and those of the same position as its last.
 */
static bool
scan_by_filter(NvsScan *scan, NvsSource *source, int64 *position)
{
	int64		looked_at = 0;
	int64		matched = 0;
	int			chunk = Max(scan->limit, SCAN_MIN_CHUNK);
	int			enough = source->by_version ? chunk : SCAN_MAX_CHUNK;

	for (;;)
	{
		NvsParams	params;
		SPIPlanPtr	plan;
		uint64		n;

		/* The more is looked at in vain, the more is read at once. */
		chunk = Min(chunk, Max(scan->limit, SCAN_MAX_CHUNK));
		plan = nvs_source_plan(scan, source, NVS_SOURCE_BY_POSITION,
							   *position, chunk, &params);
		n = nvs_execute(plan, &params, true, 0);
		if (n > 0)
			*position = nvs_event_position(source->target,
										   SPI_tuptable->vals[n - 1],
										   SPI_tuptable->tupdesc);

		looked_at += n;
		matched += scan_take_rows(scan, source, false);
		if (n < chunk || matched >= scan->limit)
			return true;
		if (looked_at >= enough && scan_matches_few(matched, looked_at))
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
	(void) scan_take_rows(scan, source, false);
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

/*
 * Keep those of the rows just read that match; with flagged, of those whose
 * last column says so.  Returns how many.
 */
static int
scan_take_rows(NvsScan *scan, NvsSource *source, bool flagged)
{
	SPITupleTable *rows = SPI_tuptable;
	TupleDesc	desc = rows->tupdesc;
	int			type = source->state->type - source->target->map->fields + 1;
	int			before = scan->nfound;
	uint64		i;

	for (i = 0; i < rows->numvals; i++)
	{
		HeapTuple	row = rows->vals[i];
		Datum		value;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (flagged && !scan_is_flagged(row, desc))
			continue;
		if (!nvs_event_subject(source->target, row, desc,
							   source->first_text, &scan->subject))
			continue;
		value = SPI_getbinval(row, desc, type, &isnull);
		if (scan_matches(scan, isnull, value))
			scan_take(scan, source, row, desc, false,
					  nvs_event_position(source->target, row, desc));
	}
	SPI_freetuptable(rows);
	return scan->nfound - before;
}

/* Is the last column of a row true? */
static bool
scan_is_flagged(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		flag = SPI_getbinval(row, desc, desc->natts, &isnull);

	return !isnull && DatumGetBool(flag);
}

/* Does a row match by its subject, in scan->subject, and by its type? */
static bool
scan_matches(const NvsScan *scan, bool isnull, Datum type)
{
	if (!nvs_pattern_match(scan->pattern, scan->subject.data,
						   scan->subject.len, NULL))
		return false;
	if (scan->types == (Datum) 0)
		return true;
	return !isnull && scan_has_type(scan, DatumGetTextPP(type));
}

/* Is this one of the types that are asked for? */
static bool
scan_has_type(const NvsScan *scan, const text *type)
{
	return bsearch(&type, scan->type_texts, scan->ntypes, sizeof(text *),
				   scan_compare_texts) != NULL;
}

/*
 * Add a row to what was found, its subject being scan->subject; all of it is
 * copied.  It has the columns of the read list unless it is as_stored.
 */
static void
scan_take(NvsScan *scan, NvsSource *source, HeapTuple row, TupleDesc desc,
		  bool as_stored, int64 id)
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
	if (!as_stored && source->desc == NULL)
		source->desc = CreateTupleDescCopy(desc);
	found = &scan->found[scan->nfound++];
	found->target = source->target;
	found->subject = pnstrdup(scan->subject.data, scan->subject.len);
	found->len = scan->subject.len;
	found->row = heap_copytuple(row);
	found->desc = as_stored ? desc : source->desc;
	found->as_stored = as_stored;
	found->id = id;
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
		records[i] = scan_record(&scan->found[i]);
	old = MemoryContextSwitchTo(cxt);
	page = PointerGetDatum(construct_array(records, scan->nfound, JSONBOID,
										   -1, false, TYPALIGN_INT));
	MemoryContextSwitchTo(old);
	return page;
}

/* The record of an event that was found. */
static Datum
scan_record(const NvsFound *found)
{
	const NvsFieldMap *map = found->target->map;
	NvsResolved resolved;
	Datum	   *values;
	bool	   *nulls;
	Datum		record;
	int			i;

	resolved.target = found->target;
	resolved.subject = found->subject;
	resolved.len = found->len;
	values = palloc(sizeof(Datum) * found->desc->natts);
	nulls = palloc(sizeof(bool) * found->desc->natts);
	heap_deform_tuple(found->row, found->desc, values, nulls);

	/* Of stored rows without the columns that were dropped. */
	for (i = 0; found->as_stored && i < map->nfields; i++)
	{
		values[i] = values[map->fields[i].attnum - 1];
		nulls[i] = nulls[map->fields[i].attnum - 1];
	}
	record = nvs_event_make_record(&resolved, values, nulls,
								   CurrentMemoryContext);
	pfree(values);
	pfree(nulls);
	return record;
}
