/*
 * store/adoption.h
 *	  A store that is being adopted.
 */
#ifndef NVS_STORE_ADOPTION_H
#define NVS_STORE_ADOPTION_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "base/statement.h"
#include "store/store.h"

/* A store that is being adopted, and the changes made to its tables. */
typedef struct NvsAdoption
{
	const NvsStore *store;
	bool		widen;			/* integer columns become bigint */
	List	   *changes;		/* NvsChange */
} NvsAdoption;

/* A column that is not converted, and the types that it may have. */
typedef struct NvsAdoptionType
{
	const char *table;
	const char *column;
	Oid			types[2];		/* InvalidOid: none */
	const char *wanted;			/* the same in words */
	bool		may_lack;		/* it is made where it is not there */
} NvsAdoptionType;

#define ADOPT_TEXT		{TEXTOID, VARCHAROID}, "text"
#define ADOPT_INTEGER	{INT4OID, INT8OID}, "integer or bigint"
#define ADOPT_JSONB		{JSONBOID}, "jsonb"
#define ADOPT_BIGINT	{INT8OID}, "bigint"

/* store/adoption.c */
extern char *nvs_adoption_name(const NvsAdoption *a, const char *table);
extern char *nvs_adoption_qualified(const NvsAdoption *a, const char *table);
extern Oid	nvs_adoption_relid(const NvsAdoption *a, const char *table);
extern void nvs_adoption_take(const NvsAdoption *a, const char *table,
							  bool missing_ok);
extern void nvs_adoption_check_plain(const NvsAdoption *a, Oid relid);
extern void nvs_adoption_check_types(const NvsAdoption *a, const char *table,
									 Oid relid, const NvsAdoptionType *types,
									 int ntypes);
extern List *nvs_adoption_query(const NvsStatement *statement,
								const char *first, const char *second);
extern void nvs_adoption_read(const char *sql);
extern void nvs_adoption_report(NvsAdoption *a, const char *table, char *what);

/* store/adopt_base.c: tables of layouts 1 and 2, a list that ends with NULL */
extern const char *const nvs_adopt_base_tables[];
extern void nvs_adopt_base(NvsAdoption *a);

/* store/adopt_event.c */
extern void nvs_adopt_ids(NvsAdoption *a, const char *table);
extern List *nvs_adopt_streams(NvsAdoption *a, int from);

#endif							/* NVS_STORE_ADOPTION_H */
