/*
 * queue/lane.h
 *	  Lanes: jobs of which only so many may be active at a time.
 */
#ifndef NVS_QUEUE_LANE_H
#define NVS_QUEUE_LANE_H

#include "postgres.h"

#include "storage/lock.h"

#include "queue/fetch.h"

/*
 * What the name of a lane begins with, before a key, or a group: of its limit,
 * or of its rate, which is that of the queue without one.
 */
#define NVS_LANE_KEY	'k'
#define NVS_LANE_GROUP	'g'
#define NVS_LANE_RATE	'r'

/* Places of a lane: one for the jobs of a key, as many as may be of a group. */
#define NVS_PLACE_RETRY	(-1)
#define NVS_PLACE_KEY	0
#define NVS_PLACE_GROUP	1		/* and those behind it */
#define NVS_PLACE_LAST	PG_INT32_MAX

/* In SQL, a turn that waits in its lane, or may be the next of it. */
#define NVS_IN_LANE(alias) \
	alias ".lane IS NOT NULL AND (" alias ".due_at IS NULL " \
	"OR " alias ".due_at OPERATOR(pg_catalog.=) 'infinity'::pg_catalog.timestamptz)"

/* In SQL, a turn that waits in its lane. */
#define NVS_WAITS_IN_LANE(alias) \
	alias ".lane IS NOT NULL " \
	"AND " alias ".due_at OPERATOR(pg_catalog.=) 'infinity'::pg_catalog.timestamptz"

/* queue/lane.c */
extern bool nvs_lane_is_of_key(const text *lane);
extern text *nvs_lane_name(char kind, const text *of);
extern bool nvs_lane_lock(const NvsTableSet *set, const NvsQueue *queue,
						  const text *lane, int place, LOCKMODE mode);
extern void nvs_lane_unlock(const NvsTableSet *set, const NvsQueue *queue,
							const text *lane, int place, LOCKMODE mode);
extern bool nvs_lane_lock_waiting(const NvsTableSet *set,
								  const NvsQueue *queue, const text *lane,
								  LOCKMODE mode);
extern bool nvs_lane_wait_again(NvsTableSet *set, const NvsQueue *queue,
								int32 priority, int64 id);
extern bool nvs_lane_go_on(NvsTableSet *set, const NvsQueue *queue,
						   int32 priority, int64 id, bool may_wait);
extern void nvs_lanes_release(NvsTableSet *set, const NvsQueue *queue,
							  const Datum *ids, int n, int first_place,
							  int last_place);
extern void nvs_lanes_forget(NvsTableSet *set, const NvsQueue *queue,
							 const Datum *ids, int n);
extern void nvs_lane_leave(NvsTableSet *set, const NvsQueue *queue,
						   Datum lane, int64 id);
extern void nvs_lanes_leave(NvsTableSet *set, const NvsQueue *queue,
							const Datum *ids, int n);
extern void nvs_lanes_wake(NvsTableSet *set, const NvsQueue *queue,
						   int64 limit);
extern void nvs_lanes_mend(NvsTableSet *set, const NvsQueue *queue,
						   int64 limit);

/* queue/rate.c */
extern void nvs_rate_reserve(NvsFetch *fetch);
extern void nvs_rate_begun(NvsFetch *fetch);
extern void nvs_rates_give_back(NvsTableSet *set, const NvsQueue *queue,
								int64 limit);

/* queue/admit.c */
extern void nvs_fetch_admit(NvsFetch *fetch, NvsFetchedJobs *jobs);

#endif							/* NVS_QUEUE_LANE_H */
