/*
 * entry.h
 *	  What the files of the entry tier share.
 */
#ifndef NVS_ENTRY_H
#define NVS_ENTRY_H

#include "postgres.h"

#include "fields.h"
#include "route.h"

/* Fixed statements of an entry table's plan set. */
enum
{
	NVS_ENTRY_GET,
	NVS_ENTRY_DELETE
};

/* What entry functions know of a relation. */
typedef struct NvsEntryState
{
	const NvsField *id;			/* tells the entries of one key apart */
	const NvsField *version;
	const NvsField *score;
	const NvsField *extra;		/* NULL: no place for unknown fields */
	const NvsField *updated_at; /* NULL: nobody keeps that time */
	const NvsField **read;		/* columns of the metadata */
	int			nread;
	char	   *read_list;		/* all columns, as a SELECT list */
	char	   *conflict;		/* columns of the unique index */
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

extern bool nvs_entry_place(text *key, bool write, NvsPlace *place);
extern void nvs_entry_params(const NvsPlace *place, text *id,
							 NvsParams *params);
extern void nvs_entry_where(const NvsPlace *place, StringInfo sql);
extern void nvs_entry_no_column(const NvsTarget *target, const char *name,
								int len) pg_attribute_noreturn();

#endif							/* NVS_ENTRY_H */
