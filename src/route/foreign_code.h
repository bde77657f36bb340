/*
 * route/foreign_code.h
 *	  What would run when somebody writes to a table, and who wrote it.
 */
#ifndef NVS_ROUTE_FOREIGN_CODE_H
#define NVS_ROUTE_FOREIGN_CODE_H

#include "postgres.h"

#include "catalog/pg_trigger.h"

/* The events of a table that rows come into, are changed in and go from. */
#define NVS_ANY_CHANGE \
	(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

extern char *nvs_foreign_code(Oid relid, int16 events);
extern bool nvs_has_foreign_code(Oid relid, int16 events, const char *table);
extern bool nvs_refuse_foreign_code(bool refuse);
extern void nvs_check_foreign_code(Oid relid, int16 events, const char *table);

#endif							/* NVS_ROUTE_FOREIGN_CODE_H */
