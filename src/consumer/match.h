/*
 * consumer/match.h
 *	  What a scan is to do to consumers, and how events are matched with them.
 */
#ifndef NVS_CONSUMER_MATCH_H
#define NVS_CONSUMER_MATCH_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/hsearch.h"

#include "consumer/internal.h"

/* A piece of text as a hash key, which does not own it. */
typedef struct NvsText
{
	const char *data;
	int			len;
} NvsText;

/* What a scan is to do to a consumer. */
typedef struct NvsMarking
{
	NvsText		name;			/* hash key */
	bool		has_mark;		/* else it is only to be initialized */
	int64		mark;			/* what its mark is raised to */
	char	   *initialize;		/* with this pattern; NULL: not to be */
	bool		row_locked;		/* somebody else held its row */
} NvsMarking;

extern HTAB *nvs_markings_create(void);
extern NvsMarking *nvs_markings_get(HTAB *markings, const char *name);
extern void nvs_marking_raise(NvsMarking *marking, int64 mark);
extern Datum nvs_match_text_datum(const NvsText *key);
extern int64 nvs_match_events(NvsConsumers *consumers, List *targets,
							  int64 from, int64 upto, int limit,
							  HTAB *markings);

#endif							/* NVS_CONSUMER_MATCH_H */
