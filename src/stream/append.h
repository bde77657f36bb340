/*
 * stream/append.h
 *	  Appending: streams that a call locks, and the events that it writes.
 */
#ifndef NVS_STREAM_APPEND_H
#define NVS_STREAM_APPEND_H

#include "postgres.h"

#include "stream/event.h"

/* Events that one call may append, and subjects that it may name. */
#define NVS_MAX_BATCH		65536
#define NVS_MAX_SUBJECTS	4096

/* What a caller expects of a stream before it appends. */
typedef enum NvsExpect
{
	NVS_EXPECT_ANY,
	NVS_EXPECT_VERSION,
	NVS_EXPECT_EXISTS
} NvsExpect;

/* A subject that one call appends to, or only looks at. */
typedef struct NvsAppend
{
	NvsResolved resolved;		/* target is NULL when nothing holds it yet */
	NvsExpect	expect;
	int64		expected;		/* of NVS_EXPECT_VERSION; 0: no event */
	int			nevents;		/* of the call; 0: it is only looked at */
	uint64		lock;			/* key of its lock */
	int64		head;			/* last version before the call */
	bool		closed;			/* its last event is a tombstone */
} NvsAppend;

/* An event of a call, in the order of positions. */
typedef struct NvsNewEvent
{
	NvsAppend  *stream;
	const Jsonb *doc;
	NvsEvent	event;
} NvsNewEvent;

/* stream/append.c */
extern void nvs_append_expect(NvsAppend *stream, int64 expected);
extern void nvs_append_events(NvsAppend *streams, int nstreams,
							  NvsNewEvent *events, int nevents,
							  NvsRecords *records);
pg_noreturn extern void nvs_append_too_many_subjects(int n);

/* stream/bound.c */
extern struct NvsBound *nvs_bound_begin(const NvsAppend *streams, int n);
extern void nvs_bound_add(struct NvsBound *bound, const NvsResolved *resolved,
						  const Datum *values, const bool *nulls);
extern void nvs_bound_send(struct NvsBound *bound);

/* stream/head.c */
extern void nvs_stream_name(FunctionCallInfo fcinfo, int n,
							NvsAppend *stream);
extern void nvs_stream_lock(NvsAppend *streams, int n, bool make);
extern void nvs_stream_heads(NvsAppend *streams, int n);
extern bool nvs_stream_hold(FunctionCallInfo fcinfo, NvsAppend *stream,
							bool make);
pg_noreturn extern void nvs_stream_unversioned(const NvsResolved *resolved);

/* stream/event_id.c */
extern bool nvs_event_id_given(const NvsNewEvent *event);
extern bool nvs_event_id_find(NvsNewEvent *events, int n,
							  NvsRecords *records);
pg_noreturn extern void nvs_event_id_taken(int ntaken, int n);

/* stream/insert.c */
extern bool nvs_stream_insert(NvsNewEvent *events, int n,
							  NvsRecords *records);

#endif							/* NVS_STREAM_APPEND_H */
