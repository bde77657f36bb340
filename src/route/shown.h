/*
 * route/shown.h
 *	  What a snapshot shows of a relation, and what reading it reads.
 */
#ifndef NVS_ROUTE_SHOWN_H
#define NVS_ROUTE_SHOWN_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/snapshot.h"

#include "compat.h"

/*
 * What a caller is about to do, and so how the relation is locked until the
 * end of the transaction.
 */
typedef enum NvsUse
{
	NVS_USE_LOOK,				/* nothing with rows: it is not locked */
	NVS_USE_PLAN,				/* the same, but made when it is missing */
	NVS_USE_READ,				/* ACCESS SHARE, to read what the caller sees */
	NVS_USE_READ_LATEST,		/* ACCESS SHARE, to read with a new snapshot */
	NVS_USE_CHANGE,				/* ROW EXCLUSIVE */
	NVS_USE_WRITE				/* the same, and made when it is missing */
} NvsUse;

/* What a snapshot that was taken before a relation was locked shows of it. */
typedef enum NvsShown
{
	NVS_SHOWN,
	NVS_REWRITTEN,				/* nothing: it was rewritten since */
	NVS_YOUNGER					/* nothing: it is not in the catalog yet */
} NvsShown;

extern LOCKMODE nvs_use_lock_mode(NvsUse use);
extern bool nvs_relation_is_compound(Oid relid);
extern List *nvs_relation_lock_parts(Oid relid);
extern TransactionId nvs_relation_writer(Oid relid);
extern NvsShown nvs_relation_shown(Oid relid, Snapshot snapshot);
extern Oid	nvs_relation_storage_now(Oid relid);
extern void nvs_relation_show(Oid relid);
pg_noreturn extern void nvs_relation_not_shown(Oid relid);

#endif							/* NVS_ROUTE_SHOWN_H */
