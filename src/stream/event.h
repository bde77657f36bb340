/*
 * stream/event.h
 *	  Events and records: a JSON object to a row of a relation, and back.
 */
#ifndef NVS_STREAM_EVENT_H
#define NVS_STREAM_EVENT_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "stream/state.h"

/* An event, taken apart: a value for each column of the relation's map. */
typedef struct NvsEvent
{
	Datum	   *values;
	bool	   *nulls;
	bool	   *given;			/* the caller named it, or we did */
	bool		timed;			/* the caller named ts */
} NvsEvent;

struct NvsBound;

/* Where the records of a call go: to the rows of a set, or there is but one. */
typedef struct NvsRecords
{
	Tuplestorestate *result;	/* NULL: there is but one */
	TupleDesc	desc;
	MemoryContext cxt;			/* of the one, or of each while it is made */
	Datum		record;			/* the one */
	struct NvsBound *bound;		/* takes what goes to queues, or NULL */
} NvsRecords;

/* Is a key or string of jsonb this one? */
static inline bool
nvs_event_key_is(NvsJsonbChild key, const char *name)
{
	return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

extern void nvs_event_check(const Jsonb *doc);
extern Jsonb **nvs_event_array(FunctionCallInfo fcinfo, int n, int *nevents);
extern void nvs_event_init(NvsEvent *event, const NvsFieldMap *map);
extern Datum *nvs_event_keys(const NvsResolved *resolved);
extern void nvs_event_parse(const NvsResolved *resolved, const Datum *keys,
							const Jsonb *doc, int64 version, NvsEvent *event);
extern bool nvs_event_alike(const NvsTarget *target, const NvsEvent *a,
							const NvsEvent *b);
extern int64 nvs_event_position(const NvsTarget *target, HeapTuple row,
								TupleDesc desc);
extern bool nvs_event_subject(const NvsTarget *target, HeapTuple row,
							  TupleDesc desc, int first, StringInfo subject);
extern Datum nvs_event_record(const NvsResolved *resolved, HeapTuple row,
							  TupleDesc desc, MemoryContext cxt);
extern Datum nvs_event_make_record(const NvsResolved *resolved,
								   const Datum *values, const bool *nulls,
								   MemoryContext cxt);

extern void nvs_records_one(NvsRecords *records);
extern void nvs_records_set(NvsRecords *records, FunctionCallInfo fcinfo);
extern void nvs_records_add(NvsRecords *records, const NvsResolved *resolved,
							const Datum *values, const bool *nulls);
extern void nvs_records_put(NvsRecords *records, Datum record);

#endif							/* NVS_STREAM_EVENT_H */
