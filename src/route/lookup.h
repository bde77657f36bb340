/*
 * route/lookup.h
 *	  Reading rows by a unique key without the executor.
 */
#ifndef NVS_ROUTE_LOOKUP_H
#define NVS_ROUTE_LOOKUP_H

#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "executor/tuptable.h"

#include "route/route.h"

/* Columns that a unique key may have. */
#define NVS_LOOKUP_MAX_KEYS	8

/* A column of the key, and which of a caller's values it is to be equal to. */
typedef struct NvsLookupKey
{
	const NvsField *field;
	int			value;
} NvsLookupKey;

/* A scan; the slot has the row that was found last. */
typedef struct NvsLookupScan
{
	const struct NvsLookup *lookup;
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	ScanKeyData keys[NVS_LOOKUP_MAX_KEYS];
} NvsLookupScan;

extern void nvs_lookup_compile(NvsTarget *target, const NvsLookupKey *keys,
							   int nkeys, const NvsField *const *columns,
							   int ncolumns);
extern bool nvs_lookup_find(NvsKind kind, const char *subject, int len,
							NvsResolved *resolved);
extern bool nvs_lookup_may_read(const NvsTarget *target);
extern bool nvs_lookup_begin(const NvsTarget *target, NvsLookupScan *scan);
extern void nvs_lookup_seek(NvsLookupScan *scan, const Datum *values);
extern bool nvs_lookup_row(NvsLookupScan *scan, const Datum *values);
extern Datum nvs_lookup_column(NvsLookupScan *scan, int n, bool *isnull);
extern void nvs_lookup_columns(NvsLookupScan *scan, Datum **values,
							   bool **nulls);
extern void nvs_lookup_end(NvsLookupScan *scan);

#endif							/* NVS_ROUTE_LOOKUP_H */
