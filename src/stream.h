/*
 * stream.h
 *	  What the files of the streams share.
 */
#ifndef NVS_STREAM_H
#define NVS_STREAM_H

#include "postgres.h"

#include "access/htup.h"
#include "route.h"

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
	const NvsField **read;		/* columns of a record besides the id */
	int			nread;
	char	   *read_list;		/* all columns, as a SELECT list */
} NvsStreamState;

/* An event, taken apart: a value for each column of the relation's map. */
typedef struct NvsEvent
{
	Datum	   *values;
	bool	   *nulls;
	bool	   *given;			/* the caller named it, or we did */
} NvsEvent;

/* stream_event.c */
extern bool nvs_stream_place(text *subject, bool write, NvsPlace *place);
extern NvsStreamState *nvs_stream_state(NvsTarget *target);
extern void nvs_event_parse(const NvsPlace *place, const NvsStreamState *state,
							Jsonb *doc, int64 version, NvsEvent *event);
extern bool nvs_event_alike(const NvsTarget *target, const NvsEvent *a,
							const NvsEvent *b);
extern int64 nvs_event_position(const NvsPlace *place, HeapTuple row,
								TupleDesc desc);
extern Datum nvs_event_record(const NvsPlace *place, HeapTuple row,
							  TupleDesc desc, MemoryContext cxt);

#endif							/* NVS_STREAM_H */
