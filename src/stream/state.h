/*
 * stream/state.h
 *	  The relation of a stream, and what its columns are for.
 */
#ifndef NVS_STREAM_STATE_H
#define NVS_STREAM_STATE_H

#include "postgres.h"

#include "access/tupdesc.h"

#include "route/route.h"

/* Types of events that mean something to us. */
#define NVS_TYPE_TOMBSTONE	"__tombstone__"
#define NVS_TYPE_REOPENED	"__reopened__"
#define NVS_TYPE_SNAPSHOT	"__snapshot__"

/* What an INSERT of events with ids says about those that others have taken. */
typedef enum NvsIdConflict
{
	NVS_ID_UNKNOWN,				/* nobody has asked yet */
	NVS_ID_ANY,					/* ON CONFLICT without a target */
	NVS_ID_TARGET,				/* ON CONFLICT with the ids' own index */
	NVS_ID_NONE					/* nothing: no index has them */
} NvsIdConflict;

/*
 * What stream functions know of a relation.  Fixed statements of its plan set
 * may name {table}, {keys} (the condition on the key columns, whose values are
 * the first parameters), {first} and {second} (the parameters behind those),
 * and {record} (all columns, from which nvs_event_record() makes a record).
 */
typedef struct NvsStreamState
{
	const NvsField *id;
	const NvsField *ts;
	const NvsField *type;
	const NvsField *version;	/* NULL: a plain log */
	bool		has_orders;		/* these are known, nvs_stream_orders() */
	Oid			by_version;		/* an index that has the last version last, if
								 * nvs_walk_value() takes it */
	bool		in_versions;	/* an index has streams by version, each once */
	bool		no_positions;	/* and none has them by position */
	const NvsField *meta;		/* NULL: no place for unknown fields */
	const NvsField *event_id;	/* NULL: appends cannot be repeated */
	NvsIdConflict id_conflict;	/* as nvs_stream_id_conflict() says it */
	const NvsField *pii;		/* NULL: nothing to erase */
	const struct NvsBulk *bulk; /* NULL: events take the executor */
	bool		bulk_known;		/* that has been looked for */
	bool		one_by_one;		/* has a column that unnest() cannot give */
	const NvsField **read;		/* fields of a record, as jsonb orders them;
								 * NULL is the subject */
	int			nread;
	char	   *read_list;		/* {record} */
	bool	   *in_record;		/* by column of the map, as is kept */
	bool	   *kept;			/* what is inserted is what is there */
	TupleDesc	row;			/* of rows as they are; NULL: see {record} */
	Oid			by_subject;		/* an index that nvs_walk_prefix() takes */
	bool		is_indexed;		/* by_subject has been looked for */
} NvsStreamState;

extern NvsStreamState *nvs_stream_state(NvsTarget *target);
extern NvsIdConflict nvs_stream_id_conflict(const NvsTarget *target);
extern const NvsStreamState *nvs_stream_orders(NvsTarget *target);
extern bool nvs_stream_resolve(const char *subject, int len, NvsUse use,
							   NvsResolved *resolved);
extern bool nvs_stream_resolve_arg(FunctionCallInfo fcinfo, int n, NvsUse use,
								   NvsResolved *resolved);

#endif							/* NVS_STREAM_STATE_H */
