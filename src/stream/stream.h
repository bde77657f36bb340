/*
 * stream/stream.h
 *	  What the files of the streams share.
 */
#ifndef NVS_STREAM_STREAM_H
#define NVS_STREAM_STREAM_H

#include "postgres.h"

#include "access/htup.h"

#include "route/route.h"

/* Events that one call may append, and subjects that it may name. */
#define NVS_MAX_BATCH		65536
#define NVS_MAX_SUBJECTS	4096

/* Types of events that mean something to us. */
#define NVS_TYPE_TOMBSTONE	"__tombstone__"
#define NVS_TYPE_REOPENED	"__reopened__"
#define NVS_TYPE_SNAPSHOT	"__snapshot__"

/* Bytes of an id by which an append may be repeated. */
#define NVS_MAX_EVENT_ID	512

/* Fixed statements of a stream's plan set. */
enum
{
	NVS_STREAM_PLAN_HEAD,
	NVS_STREAM_PLAN_INSERT,
	NVS_STREAM_PLAN_DELETE
};

/* What stream functions know of a relation. */
typedef struct NvsStreamState
{
	const NvsField *id;
	const NvsField *ts;
	const NvsField *type;
	const NvsField *version;	/* NULL: a plain log */
	const NvsField *meta;		/* NULL: no place for unknown fields */
	const NvsField *event_id;	/* NULL: appends cannot be repeated */
	const NvsField *pii;		/* NULL: nothing to forget */
	bool		one_by_one;		/* has a column that unnest() cannot give */
	const NvsField **read;		/* columns of a record besides the id */
	int			nread;
	char	   *read_list;		/* all columns, as a SELECT list */
	bool	   *in_record;		/* by column of the map, as is kept */
	bool	   *kept;			/* what is inserted is what is there */
} NvsStreamState;

/* An event, taken apart: a value for each column of the relation's map. */
typedef struct NvsEvent
{
	Datum	   *values;
	bool	   *nulls;
	bool	   *given;			/* the caller named it, or we did */
	bool		timed;			/* the caller named ts */
} NvsEvent;

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
	Jsonb	   *doc;
	NvsEvent	event;
} NvsNewEvent;

/* stream/event.c */
extern bool nvs_stream_resolve(text *subject, bool write,
							   NvsResolved *resolved);
extern NvsStreamState *nvs_stream_state(NvsTarget *target);
extern void nvs_event_parse(const NvsResolved *resolved,
							const NvsStreamState *state, Jsonb *doc,
							int64 version, NvsEvent *event);
extern bool nvs_event_alike(const NvsTarget *target, const NvsEvent *a,
							const NvsEvent *b);
extern int64 nvs_event_position(const NvsResolved *resolved, HeapTuple row,
								TupleDesc desc);
extern Datum nvs_event_record(const NvsResolved *resolved, HeapTuple row,
							  TupleDesc desc, MemoryContext cxt);
extern Datum nvs_event_make_record(const NvsResolved *resolved,
								   const Datum *values, const bool *nulls,
								   MemoryContext cxt);

/* stream/append.c */
extern void nvs_append(NvsAppend *streams, int nstreams, NvsNewEvent *events,
					   int nevents, Datum *records, MemoryContext cxt);
extern void nvs_append_expect(NvsAppend *stream, int64 expected);

/* stream/head.c */
extern void nvs_stream_lock(NvsAppend *streams, int n);
extern void nvs_stream_heads(NvsAppend *streams, int n);
extern void nvs_stream_hold(NvsAppend *stream);
pg_noreturn extern void nvs_stream_unversioned(const NvsResolved *resolved);

/* stream/write.c */
extern uint64 nvs_stream_execute(const NvsTarget *target, SPIPlanPtr plan,
								 const NvsParams *params,
								 NvsRowFunction function, void *arg);
extern bool nvs_stream_take_pass(Oid relid);

/* stream/event_id.c */
extern bool nvs_event_has_id(const NvsNewEvent *event);
extern bool nvs_known_events(NvsNewEvent *events, int n, Datum *records,
							 MemoryContext cxt);
pg_noreturn extern void nvs_partly_known(int known, int n);

/* stream/insert.c */
extern bool nvs_insert_events(NvsNewEvent *events, int n, Datum *records,
							  MemoryContext cxt);

/* stream/statement.c */
extern Datum nvs_column_array(Oid type, const Datum *values,
							  const bool *nulls, int n);
extern bool nvs_stream_has_range(const NvsTarget *target);
extern void nvs_stream_range(const NvsTarget *target, StringInfo sql, int key,
							 const char *column, const char *from,
							 const char *upto);
extern char *nvs_stream_subject(const NvsTarget *target);

#endif							/* NVS_STREAM_STREAM_H */
