/*
 * stream/poll.h
 *	  A page of events, as polling functions return it.
 */
#ifndef NVS_STREAM_POLL_H
#define NVS_STREAM_POLL_H

#include "postgres.h"

#include "fmgr.h"

#include "stream/scan.h"

/* A call that polls. */
typedef struct NvsPoll
{
	NvsWindow	window;
	NvsScan		scan;
	TupleDesc	desc;			/* of the one row that it returns */
	MemoryContext cxt;			/* of that row */
} NvsPoll;

/* Arguments that polling functions have in the same place. */
enum
{
	NVS_POLL_ARG_AFTER = 1,
	NVS_POLL_ARG_MAX_COUNT,
	NVS_POLL_ARG_TYPES
};

extern void nvs_poll_begin(NvsPoll *poll, FunctionCallInfo fcinfo,
						   const char *pattern, const char *below,
						   int store_arg);
extern Datum nvs_poll_end(NvsPoll *poll, int64 cursor);

#endif							/* NVS_STREAM_POLL_H */
