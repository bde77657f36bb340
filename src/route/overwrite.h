/*
 * route/overwrite.h
 *	  Overwriting rows that are there, without the executor.
 */
#ifndef NVS_ROUTE_OVERWRITE_H
#define NVS_ROUTE_OVERWRITE_H

#include "postgres.h"

#include "access/htup.h"
#include "nodes/execnodes.h"
#include "storage/buf.h"

#include "route/lookup.h"

/* Rows of one relation that are being overwritten. */
typedef struct NvsOverwrite
{
	NvsLookupScan scan;			/* its slot is the new row */
	Buffer		buffer;			/* of the row that was found last */
	HeapTupleData row;			/* that row */
	bool		is_free;		/* the last version, and nobody holds it */
	EState	   *estate;			/* NULL until an index needs entries */
	ResultRelInfo *result;
} NvsOverwrite;

extern bool nvs_overwrite_is_plain(Relation rel);
extern bool nvs_overwrite_begin(const NvsTarget *target,
								NvsAllowed *allowed, AclMode rights,
								const Oid *functions, int nfunctions,
								NvsOverwrite *overwrite);
extern bool nvs_overwrite_find(NvsOverwrite *overwrite, const Datum *key);
extern bool nvs_overwrite_lock(NvsOverwrite *overwrite);
extern bool nvs_overwrite_put(NvsOverwrite *overwrite);
extern void nvs_overwrite_end(NvsOverwrite *overwrite);

#endif							/* NVS_ROUTE_OVERWRITE_H */
