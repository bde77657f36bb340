/*
 * entry/overwrite.h
 *	  Changing entries that are there, without the executor.
 */
#ifndef NVS_ENTRY_OVERWRITE_H
#define NVS_ENTRY_OVERWRITE_H

#include "postgres.h"

#include "entry/entry.h"

/* What is done to a column. */
typedef enum NvsEntryChangeKind
{
	NVS_CHANGE_SET,				/* it becomes a value */
	NVS_CHANGE_MERGE,			/* a document is merged into it */
	NVS_CHANGE_ADD,				/* a number is added to it */
	NVS_CHANGE_ADD_AT			/* a number is added at a path in it */
} NvsEntryChangeKind;

typedef struct NvsEntryChange
{
	NvsEntryChangeKind kind;
	const NvsField *field;
	Datum		value;			/* int8 or numeric where that is added */
	bool		isnull;
	const NvsJsonbKey *path;
	int			npath;
} NvsEntryChange;

/* What is done to an entry. */
typedef struct NvsEntryChanges
{
	int			n;
	NvsEntryChange *changes;	/* in their order */
	bool		expects;		/* the entry has to be ... */
	int64		expected;		/* ... at this version */
	bool		touch;			/* it is written though nothing differs */
} NvsEntryChanges;

/* What has become of it. */
typedef enum NvsEntryOutcome
{
	NVS_ENTRY_LEFT,				/* nothing: a statement is to do it */
	NVS_ENTRY_CHANGED,
	NVS_ENTRY_SAME,				/* nothing: nothing differs */
	NVS_ENTRY_OTHER_VERSION		/* nothing: it is not the one expected */
} NvsEntryOutcome;

extern void nvs_entry_overwrite_compile(NvsTarget *target,
										NvsEntryState *state);
extern bool nvs_entry_overwrite_can(const NvsTarget *target,
									const NvsField *field,
									NvsEntryChangeKind kind);
extern NvsEntryOutcome nvs_entry_overwrite(const NvsTarget *target,
										   const NvsParams *params,
										   const NvsEntryChanges *changes,
										   int64 *version, Datum *numbers,
										   MemoryContext cxt);

#endif							/* NVS_ENTRY_OVERWRITE_H */
