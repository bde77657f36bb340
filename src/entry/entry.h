/*
 * entry/entry.h
 *	  What the files of the entry kind share.
 *
 * In every statement the entry's table is called t.
 */
#ifndef NVS_ENTRY_ENTRY_H
#define NVS_ENTRY_ENTRY_H

#include "postgres.h"

#include "route/fields.h"
#include "route/route.h"

/* Elements that a dotted name may have. */
#define NVS_MAX_PATH	1000

/* Looks at an entry that no update reached before somebody must be at fault. */
#define NVS_MAX_TRIES	10

/* Fixed statements of an entry table's plan set. */
enum
{
	NVS_ENTRY_GET,
	NVS_ENTRY_DELETE,
	NVS_ENTRY_COUNTER			/* first of the increments of one column */
};

/* What a column holds when nobody says. */
typedef struct NvsEntryDefault
{
	bool		known;			/* a constant, or NULL */
	bool		isnull;
	Datum		value;
} NvsEntryDefault;

/* What entry functions know of a relation. */
typedef struct NvsEntryState
{
	const NvsField *id;			/* tells the entries of one key apart */
	const NvsField *version;
	const NvsField *score;
	const NvsField *extra;		/* NULL: no place for unknown fields */
	const NvsField *updated_at; /* NULL: nobody keeps that time */
	const NvsField **read;		/* columns of the metadata, and version */
	int			nread;
	NvsEntryDefault *defaults;	/* for each column of the map */
	int		   *counters;		/* the same: slot of its increments, or 0 */
	FmgrInfo   *to_json;		/* the same, of NVS_FIELD_OTHER */
	bool		leftovers;		/* some column may have any */
	char	   *read_list;		/* all columns, as a SELECT list */
	char	   *conflict;		/* columns of the unique index */
	const char *current_version;	/* as an expression */
	char	   *set_always;		/* what each update sets */
} NvsEntryState;

/* Metadata, taken apart. */
typedef struct NvsEntryFields
{
	bool	   *given;			/* for each column of the relation's map */
	NvsJsonbChild *values;
	NvsJsonb	rest;			/* what has no column */
	NvsJsonb	rest_stats;		/* the same, of the object "stats" */
	bool		clear_stats;	/* "stats" is null */
} NvsEntryFields;

/* Where in extra a leftover may be: a member, or one of the object "stats". */
typedef struct NvsLeftoverPlace
{
	const char *name;
	bool		in_stats;
} NvsLeftoverPlace;

/* entry/entry.c */
extern bool nvs_entry_resolve(text *key, bool write, NvsResolved *resolved);
extern void nvs_entry_params(const NvsResolved *resolved, text *id,
							 NvsParams *params);
extern void nvs_entry_where(const NvsResolved *resolved, StringInfo sql);
pg_noreturn extern void nvs_entry_not_taken(const NvsTarget *target);

/* entry/fields.c */
extern void nvs_entry_check_metadata(const Jsonb *doc);
extern void nvs_entry_parse(const NvsTarget *target, const Jsonb *doc,
							NvsEntryFields *fields);
extern Jsonb *nvs_entry_rest(const NvsTarget *target, NvsEntryFields *fields);
pg_noreturn extern void nvs_entry_no_column(const NvsTarget *target,
											const char *name, int len);
extern void nvs_entry_check_written(const NvsTarget *target,
									const NvsField *field);
extern const NvsField *nvs_entry_find(const NvsTarget *target,
									  const char *name, int len,
									  int *consumed);
extern void nvs_entry_check_path(const char *name, int len);
extern Datum nvs_entry_path(const char *name, int len);

/* entry/leftover.c */
extern bool nvs_leftover_possible(const NvsTarget *target,
								  const NvsField *field);
extern char *nvs_leftover_value(const NvsTarget *target,
								const NvsField *field);
extern char *nvs_leftover_counts(const NvsTarget *target,
								 const NvsField *field, NvsParams *params);
extern char *nvs_leftover_strip(const NvsTarget *target, const bool *columns);
extern int	nvs_leftover_places(const NvsTarget *target,
								const NvsField *field,
								const NvsLeftoverPlace **result);
extern Jsonb *nvs_leftover_nest(const NvsLeftoverPlace *resolved,
								NvsJsonbChild value);
extern bool nvs_leftover_is_default(const NvsTarget *target,
									const NvsField *field, Datum value,
									bool isnull);

/* entry/filter.c */
extern void nvs_entry_filter(const NvsTarget *target, const Jsonb *filter,
							 NvsParams *params, StringInfo sql);

#endif							/* NVS_ENTRY_ENTRY_H */
