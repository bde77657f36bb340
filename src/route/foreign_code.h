/*
 * route/foreign_code.h
 *	  What would run when somebody writes to a table, and who wrote it.
 */
#ifndef NVS_ROUTE_FOREIGN_CODE_H
#define NVS_ROUTE_FOREIGN_CODE_H

#include "postgres.h"

#include "catalog/pg_trigger.h"

extern char *nvs_foreign_code(Oid relid, int16 event);
extern bool nvs_has_foreign_code(Oid relid, int16 event, const char *table);

#endif							/* NVS_ROUTE_FOREIGN_CODE_H */
