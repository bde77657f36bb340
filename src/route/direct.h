/*
 * route/direct.h
 *	  Reading and writing rows of a set of tables without the executor.
 */
#ifndef NVS_ROUTE_DIRECT_H
#define NVS_ROUTE_DIRECT_H

#include "postgres.h"

#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "optimizer/planner.h"

#include "base/grant.h"
#include "route/table_set.h"

/* Columns that a table may have. */
#define NVS_DIRECT_MAX_COLUMNS	24

/* Rows that are written together. */
#define NVS_DIRECT_ROWS	128

/* A table of a set, as it was when the set was compiled. */
typedef struct NvsDirect
{
	Oid			relid;			/* InvalidOid: it takes statements */
	Oid			key;			/* the index of its primary key */
	planner_hook_type planner;	/* the hook that has no say in this */
	bool		row_security;	/* policies may apply */
	NvsAllowed	allowed;		/* who may read and write all of it */

	/* Its first columns, as many as a row has to store; NULL: not made yet */
	TupleDesc	first[NVS_DIRECT_MAX_COLUMNS + 1];
} NvsDirect;

/* One that is open, in a call. */
typedef struct NvsDirectTable
{
	NvsDirect  *direct;
	Relation	rel;
	Relation	key;
	IndexScanDesc scan;			/* NULL before the first one */
	TupleTableSlot *slot;		/* the row that was found last */
	TupleTableSlot *locked;		/* that was locked last; NULL: none was */
	EState	   *estate;			/* NULL before the first write */
	ResultRelInfo *result;
	TupleTableSlot *rows[NVS_DIRECT_ROWS];	/* to be written, as far as made */
	int			nrows;			/* that are */
	int			made;
} NvsDirectTable;

extern NvsDirect *nvs_direct_compile(const NvsTableSet *set, int table,
									 const AttrNumber *key, int nkeys);
extern bool nvs_direct_is_allowed(const NvsTableSet *set, NvsDirect *direct);
extern void nvs_direct_open(NvsDirect *direct, NvsDirectTable *table);
extern void nvs_direct_scan(NvsDirectTable *table, Snapshot snapshot,
							ScanKey keys, int nkeys);
extern bool nvs_direct_next(NvsDirectTable *table);
extern bool nvs_direct_lock(NvsDirectTable *table);
extern TupleTableSlot *nvs_direct_add(NvsDirectTable *table);
extern void nvs_direct_insert(NvsDirectTable *table);
extern bool nvs_direct_update(NvsDirectTable *table, TupleTableSlot *row);
extern void nvs_direct_close(NvsDirectTable *table);

#endif							/* NVS_ROUTE_DIRECT_H */
