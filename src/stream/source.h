/*
 * stream/source.h
 *	  A table that a scan reads.
 */
#ifndef NVS_STREAM_SOURCE_H
#define NVS_STREAM_SOURCE_H

#include "postgres.h"

#include "stream/scan.h"
#include "stream/state.h"

/* A table, as it is looked at for the pattern of a scan. */
typedef struct NvsSource
{
	NvsTarget  *target;
	NvsStreamState *state;
	bool		whole;			/* has a column for the whole subject */
	bool		keyed;			/* the conditions name all key columns */
	bool		ranged;			/* and are said by nvs_stream_range() */
	bool		by_version;		/* keyed, but no index has the positions */
	StringInfoData conditions;	/* " AND ..." on the key columns */
	NvsParams	params;			/* of the conditions */
	char	   *list;			/* the columns to read; NULL until needed */
	int			first_text;		/* key columns as text, behind the others */
	TupleDesc	desc;			/* of the rows, kept; NULL before the first */
} NvsSource;

/* What a statement asks a source for. */
typedef enum NvsSourceQuery
{
	NVS_SOURCE_BY_KEY,			/* rows of the one key, by position */
	NVS_SOURCE_BY_POSITION,		/* rows, by position, whatever their key */
	NVS_SOURCE_POSITIONS		/* positions of all that match, then by them */
} NvsSourceQuery;

extern List *nvs_source_list(NvsScan *scan);
extern bool nvs_source_filters(const NvsScan *scan);
extern SPIPlanPtr nvs_source_plan(const NvsScan *scan, NvsSource *source,
								  NvsSourceQuery query, int64 position,
								  int limit, NvsParams *params);
extern SPIPlanPtr nvs_source_plan_short(const NvsScan *scan,
										NvsSource *source, int limit,
										NvsParams *params);
extern SPIPlanPtr nvs_source_plan_rows(NvsSource *source,
									   const NvsParams *params);

#endif							/* NVS_STREAM_SOURCE_H */
