/*
 * stream/window.h
 *	  What a reader may read: relations, a snapshot, and up to which position.
 *
 * Typical use, within nvs_spi_begin():
 *
 *		NvsWindow	window = {.patterns = patterns, .after = cursor};
 *
 *		nvs_window_open(&window);
 *		... reads window.targets above window.after, up to window.safe ...
 *		nvs_window_close(&window);
 */
#ifndef NVS_STREAM_WINDOW_H
#define NVS_STREAM_WINDOW_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "route/route.h"

typedef struct NvsWindow
{
	/* What is asked for. */
	const char *name;			/* of the store; NULL: that of the patterns */
	List	   *patterns;		/* NvsPattern of one store; NIL: any subject */
	int64		after;			/* events up to here are of no interest */
	bool		unsettled;		/* those above the safe position are, too */

	/* What there is, as long as it is open. */
	const NvsStore *store;		/* NULL: there is none, hence no event */
	int64		safe;			/* the snapshot shows all events up to here */
	List	   *targets;		/* NvsTarget, of relations that may have any */
} NvsWindow;

extern void nvs_window_open(NvsWindow *window);
extern void nvs_window_close(NvsWindow *window);
extern bool nvs_window_may_hold(const NvsPattern *pattern,
								const NvsRoute *route);
extern const NvsStore *nvs_window_store(const char *name,
										const NvsPattern *pattern);

#endif							/* NVS_STREAM_WINDOW_H */
