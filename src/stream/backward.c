/*
 * stream/backward.c
 *	  The newest events of a pattern first.
 *
 * A scan reads forward.  So ranges of positions are scanned from the end of the
 * window down, each twice as wide as the one before, until the page is full: it
 * costs what lies between its ends, and not what is below.  A range that turns
 * out to hold far more than there is room for is scanned again with half of its
 * width, so that no more than a few pages are ever in memory.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "stream/scan.h"

/* Positions of the first range, at least. */
#define BACKWARD_MIN_WIDTH	256

/* Events that a range may have, for each that the page may. */
#define BACKWARD_SHARE		4

static bool backward_scan_range(NvsScan *scan, int64 after, int64 upto,
								int limit);
static void backward_keep(NvsScan *scan, NvsFound *kept, int nkept);
static void backward_cut_page(NvsScan *scan);
static int	backward_compare(const void *a, const void *b);

/*
 * Find what nvs_scan_run() finds, but the last events, the newest first.
 * Returns the position below which to go on: the lowest of the page when that
 * is full, else the first one that was asked for.
 */
int64
nvs_scan_backward(NvsScan *scan)
{
	int64		after = scan->after;
	int64		upto = scan->upto;
	int			limit = scan->limit;
	int64		width = Max((int64) limit, BACKWARD_MIN_WIDTH);

	/*
	 * Ranges from the top down, each twice as wide as the one before, or
	 * narrower where a range has more than a page is worth.
	 */
	while (upto > after && scan->nfound < limit)
	{
		NvsFound   *kept = scan->found;
		int			nkept = scan->nfound;
		uint64		left = (uint64) upto - (uint64) after;
		int64		from = left > width ? upto - width : after;

		CHECK_FOR_INTERRUPTS();
		if (!backward_scan_range(scan, from, upto, limit))
			width = Max((upto - from) / 2, 1);
		else
		{
			upto = from;
			width = Min(width, PG_INT64_MAX / 2) * 2;
		}
		backward_keep(scan, kept, nkept);
	}

	/* What all ranges have, cut to the page that was asked for. */
	scan->limit = limit;
	backward_cut_page(scan);

	if (scan->nfound >= limit)
		return scan->found[scan->nfound - 1].id;
	return Min(after, PG_INT64_MAX - 1) + 1;
}

/*
 * Have scan->found be the events of a range of positions, in their order; none,
 * and false, when there are too many for the limit of the page.
 */
static bool
backward_scan_range(NvsScan *scan, int64 after, int64 upto, int limit)
{
	scan->found = NULL;
	scan->nfound = 0;
	scan->after = after;
	scan->upto = upto;
	scan->limit = limit * BACKWARD_SHARE;
	nvs_scan_run(scan);
	if (scan->upto == upto)
		return true;
	while (scan->nfound > 0)
		heap_freetuple(scan->found[--scan->nfound].row);
	return false;
}

/* Add what was kept of higher ranges to what was found. */
static void
backward_keep(NvsScan *scan, NvsFound *kept, int nkept)
{
	NvsFound   *all;

	if (nkept == 0)
		return;
	all = MemoryContextAllocHuge(scan->cxt,
								 sizeof(NvsFound) * (nkept + scan->nfound));
	memcpy(all, kept, sizeof(NvsFound) * nkept);
	if (scan->nfound > 0)
		memcpy(all + nkept, scan->found, sizeof(NvsFound) * scan->nfound);
	pfree(kept);
	if (scan->found != NULL)
		pfree(scan->found);
	scan->found = all;
	scan->nfound += nkept;
}

/*
 * Bring what was found in order, and drop what the page has no room for.  Equal
 * positions stay together.
 */
static void
backward_cut_page(NvsScan *scan)
{
	int64		lowest;

	if (scan->nfound > 0)
		qsort(scan->found, scan->nfound, sizeof(NvsFound), backward_compare);
	if (scan->nfound <= scan->limit)
		return;
	lowest = scan->found[scan->limit - 1].id;
	while (scan->found[scan->nfound - 1].id < lowest)
		heap_freetuple(scan->found[--scan->nfound].row);
}

/* For qsort(): the highest position first, and of equal ones by subject. */
static int
backward_compare(const void *a, const void *b)
{
	const NvsFound *x = a;
	const NvsFound *y = b;

	if (x->id != y->id)
		return x->id > y->id ? -1 : 1;
	return strcmp(x->subject, y->subject);
}
