/*
 * stream/bulk.h
 *	  Inserting many events as COPY does: rows go into a page together.
 */
#ifndef NVS_STREAM_BULK_H
#define NVS_STREAM_BULK_H

#include "postgres.h"

#include "nodes/bitmapset.h"

#include "stream/append.h"

/*
 * An index that has no entries for most events: for those only that have this
 * text in a column, or anything but NULL.
 */
typedef struct NvsBulkIndex
{
	Oid			relid;
	int			field;
	const text *value;			/* NULL: anything */
} NvsBulkIndex;

/* How events go to a relation without the executor. */
typedef struct NvsBulk
{
	int			nindexes;
	NvsBulkIndex *indexes;		/* that need not be opened for most events */
	bool	   *now;			/* by column of the map: its default is now() */
} NvsBulk;

extern const NvsBulk *nvs_bulk_compile(const NvsTarget *target,
									   const bool *in_record);
extern void nvs_bulk_insert(NvsNewEvent *events, int n, Bitmapset *inserted,
							Bitmapset *selected);

#endif							/* NVS_STREAM_BULK_H */
