/*
 * route/fields.h
 *	  Columns of a relation as fields of a JSON record.
 */
#ifndef NVS_ROUTE_FIELDS_H
#define NVS_ROUTE_FIELDS_H

#include "postgres.h"

#include "access/attnum.h"
#include "fmgr.h"

#include "json/build.h"

/* How a column's values are read from and written as JSON. */
typedef enum NvsFieldKind
{
	NVS_FIELD_TEXT,
	NVS_FIELD_INT2,
	NVS_FIELD_INT4,
	NVS_FIELD_INT8,
	NVS_FIELD_MS,				/* bigint, milliseconds: "ts" and "*_at" */
	NVS_FIELD_FLOAT8,
	NVS_FIELD_NUMERIC,
	NVS_FIELD_BOOL,
	NVS_FIELD_JSONB,
	NVS_FIELD_OTHER				/* by the type's input function, to_jsonb() */
} NvsFieldKind;

/* One column. */
typedef struct NvsField
{
	AttrNumber	attnum;
	NvsFieldKind kind;
	Oid			type;
	int32		typmod;
	bool		not_null;
	bool		has_default;
	bool		reserved;		/* no field of records: managed for them */
	bool		computed;		/* by the database: nobody writes it */
	bool		takes_json;		/* json, jsonb, and domains over them */
	bool		in_stats;		/* stats_x: a field of the object "stats" */
	const char *column;			/* as it is in the catalog */
	const char *quoted;
	const char *name;			/* camelCase; in "stats" without that part */
	int			namelen;
	const char *label;			/* name in messages: stats.totalFires */
	FmgrInfo	input;			/* input function of the type */
	int			input_depth;	/* 0, or of the call that it is called in */
	Oid			ioparam;		/* its argument */
} NvsField;

/* Another name of a field. */
typedef struct NvsAlias
{
	const char *name;
	NvsField   *field;
} NvsAlias;

/*
 * A name and the field that it is of.  What comparing mostly needs lies here,
 * side by side: looking names up took more misses of the cache than anything
 * else.
 */
typedef struct NvsFieldName
{
	uint64		begin;			/* the first eight bytes, or all and zeros */
	int			len;
	int			field;
	const char *name;
} NvsFieldName;

/* All columns of a relation, in the order of their numbers. */
typedef struct NvsFieldMap
{
	Oid			relid;
	int			nfields;
	NvsField   *fields;
	int			naliases;
	NvsAlias   *aliases;
	int			nnames;
	NvsFieldName *names;		/* of fields that are not in "stats" */
	bool		has_stats;
} NvsFieldMap;

/* route/fields.c */
extern NvsFieldMap *nvs_fields_compile(Oid relid, bool stats);
extern void nvs_fields_alias(NvsFieldMap *map, const char *name, int len,
							 const char *column);
extern NvsField *nvs_fields_column(NvsFieldMap *map, const char *column);
extern NvsField *nvs_fields_reserve(NvsFieldMap *map, const char *column);
extern bool nvs_field_is_named(const NvsField *field, const char *name,
							   int len);
extern const NvsField *nvs_field_find(const NvsFieldMap *map,
									  const char *name, int len);
extern const NvsField *nvs_field_find_stat(const NvsFieldMap *map,
										   const char *name, int len);

/* route/field_value.c */
extern Datum nvs_field_datum(const NvsField *field, NvsJsonbChild value,
							 bool *isnull);
extern Datum nvs_field_payload(const NvsField *field, NvsJsonbChild value,
							   bool *isnull);
extern Datum nvs_field_text_datum(const NvsField *field, const char *value,
								  int len);
extern void nvs_check_number(const char *name, NvsJsonbChild value);

/* route/field_emit.c */
extern const char *nvs_field_select(const NvsField *field);
extern void nvs_field_emit(const NvsField *field, Datum value, bool iso,
						   NvsJsonb *record);
extern void nvs_field_emit_as(const char *key, int len, const NvsField *field,
							  Datum value, bool iso, NvsJsonb *record);
extern void nvs_emit_numeric(NvsJsonb *record, const char *key, int keylen,
							 Numeric value);

#endif							/* NVS_ROUTE_FIELDS_H */
