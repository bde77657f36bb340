/*
 * entry/entry.h
 *	  What the files of the entry kind share.
 *
 * In every statement the relation is called t, and its first parameters are
 * the columns of the key and the id (nvs_entry_params).  The names that
 * statements may use besides {table} are {columns}, all of them as a SELECT
 * list, and {this_entry}, the condition on key and id.
 */
#ifndef NVS_ENTRY_ENTRY_H
#define NVS_ENTRY_ENTRY_H

#include "postgres.h"

#include "base/statement.h"
#include "json/paths.h"
#include "route/fields.h"
#include "route/lookup.h"
#include "route/route.h"

/* Retries before we report that a trigger, rule or policy blocks the update. */
#define NVS_ENTRY_MAX_RETRIES	10

typedef struct NvsEntryOverwrite NvsEntryOverwrite;

/* The default of a column. */
typedef struct NvsEntryDefault
{
	bool		known;			/* a constant, or NULL */
	bool		isnull;
	Datum		value;
} NvsEntryDefault;

/* What entry functions know of a relation; it lives as long as its target. */
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
	FmgrInfo   *to_json;		/* the same, of NVS_FIELD_OTHER */
	bool		runs_code;		/* a user's may run when these are called */
	bool		leftovers;		/* some column may have any */
	const char *columns;		/* {columns} */
	const char *this_entry;		/* {this_entry} */
	const char *conflict;		/* columns of the unique index */
	const char *current_version;	/* as an expression */
	const char *set_always;		/* what each update sets */
	NvsStatement *increments;	/* for each column; see entry/increment.c */
	NvsEntryOverwrite *overwrite;	/* NULL: statements alone change rows */
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

/* Where in extra a field may be: a member, or one of the object "stats". */
typedef struct NvsEntryExtraPath
{
	const char *name;
	bool		in_stats;
} NvsEntryExtraPath;

/* entry/entry.c */
extern bool nvs_entry_resolve(text *key, NvsUse use, NvsResolved *resolved);
extern bool nvs_entry_lookup(text *key, NvsResolved *resolved);
extern void nvs_entry_params(const NvsResolved *resolved, text *id,
							 NvsParams *params);
pg_noreturn extern void nvs_entry_refused(const NvsTarget *target);

/* entry/fields.c */
extern void nvs_entry_check_metadata(const Jsonb *doc);
extern void nvs_entry_parse(const NvsTarget *target, const Jsonb *metadata,
							NvsEntryFields *fields);
extern Jsonb *nvs_entry_rest(const NvsTarget *target, NvsEntryFields *fields);
pg_noreturn extern void nvs_entry_no_column(const NvsTarget *target,
											const char *name, int len);
extern void nvs_entry_check_writable(const NvsTarget *target,
									 const NvsField *field);
extern bool nvs_entry_is_stats(const NvsTarget *target, const char *name,
							   int len);
extern const NvsField *nvs_entry_find(const NvsTarget *target,
									  const char *name, int len,
									  int *consumed);
extern void nvs_entry_check_path(const char *path, int len);
extern NvsJsonbKey *nvs_entry_path_keys(const char *path, int len,
										int *npath);
extern Datum nvs_entry_path(const char *path, int len);

/* entry/leftover.c */
extern bool nvs_entry_leftover_possible(const NvsEntryState *state,
										const NvsField *field);
extern int	nvs_entry_leftover_paths(const NvsTarget *target,
									 const NvsField *field,
									 const NvsEntryExtraPath **result);
extern Jsonb *nvs_entry_leftover_nest(const NvsEntryExtraPath *path,
									  NvsJsonbChild value);
extern char *nvs_entry_leftover_value(const NvsTarget *target,
									  const NvsField *field);
extern char *nvs_entry_leftover_counts(const NvsTarget *target,
									   const NvsField *field,
									   NvsParams *params);
extern char *nvs_entry_leftover_strip(const NvsTarget *target,
									  const bool *columns);
extern bool nvs_entry_leftover_is_default(const NvsTarget *target,
										  const NvsField *field, Datum value,
										  bool isnull);

/* entry/filter.c */
extern void nvs_entry_filter(const NvsTarget *target, const Jsonb *filter,
							 NvsParams *params, StringInfo sql);

#endif							/* NVS_ENTRY_ENTRY_H */
