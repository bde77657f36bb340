/*
 * stream/scan.h
 *	  Events of a pattern, from all tables that may hold them.
 *
 * Typical use, of a window (stream/window.h) that is open:
 *
 *		NvsScan		scan;
 *
 *		nvs_scan_init(&scan, &window, pattern);
 *		scan.limit = max_count;
 *		next_cursor = nvs_scan_run(&scan);
 *		events = nvs_scan_records(&scan, cxt);
 */
#ifndef NVS_STREAM_SCAN_H
#define NVS_STREAM_SCAN_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/array.h"

#include "stream/window.h"

/* An event that was found. */
typedef struct NvsFound
{
	int64		id;
	NvsTarget  *target;
	char	   *subject;
	int			len;
	HeapTuple	row;
	TupleDesc	desc;
	bool		as_stored;		/* has the table's columns, not the read list */
} NvsFound;

/* What to look for, and what was found. */
typedef struct NvsScan
{
	const NvsWindow *window;	/* what is read */
	const char *pattern_text;
	NvsPattern *pattern;
	Datum		types;			/* text[], 0 for any type */
	int			ntypes;
	text	  **type_texts;		/* the same, sorted */
	char	   *correlation;	/* of meta, or the tokens it begins with */
	char	   *subject_regex;	/* NULL for any subject */
	int64		since;			/* times from this one ... */
	int64		until;			/* ... to that one */
	bool		no_snapshots;
	int			member;			/* of a group, see subject/category.c ... */
	int			size_of_group;	/* ... 0 when there is none */
	int			category_tokens;
	int64		after;			/* positions above this one ... */
	int64		upto;			/* ... and not above that one */
	int			limit;			/* as many events as this, and their equals */
	NvsFound   *found;			/* by position, equal ones by subject */
	int			nfound;
	int			size;
	StringInfoData subject;		/* of the row that is looked at */
	MemoryContext cxt;			/* of what was found */
} NvsScan;

extern void nvs_scan_init(NvsScan *scan, const NvsWindow *window,
						  const char *pattern);
extern void nvs_scan_types(NvsScan *scan, ArrayType *types);
extern void nvs_scan_again(NvsScan *scan, const char *pattern);
extern int64 nvs_scan_run(NvsScan *scan);
extern int64 nvs_scan_backward(NvsScan *scan);
extern Datum nvs_scan_records(const NvsScan *scan, MemoryContext cxt);

#endif							/* NVS_STREAM_SCAN_H */
