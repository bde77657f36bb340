/*
 * json/build.h
 *	  Builds jsonb objects from pieces, in one pass and one allocation.
 *
 * Typical use, one record per row:
 *
 *		NvsJsonb	b;
 *
 *		nvs_jsonb_init(&b);
 *		nvs_jsonb_add_int64(&b, NVS_KEY("id"), id);
 *		nvs_jsonb_add_text(&b, NVS_KEY("type"), VARDATA_ANY(t),
 *						   VARSIZE_ANY_EXHDR(t));
 *		nvs_jsonb_add_jsonb(&b, NVS_KEY("data"), data);
 *		result = nvs_jsonb_finish(&b);
 *
 * Keys and values are not copied before finish: what the pointers point to,
 * nested builders included, must stay until then.  Keys may come in any order;
 * of equal keys the one added last wins.  The result is in the current memory
 * context and is the same bytes as PostgreSQL builds.
 */
#ifndef NVS_JSON_BUILD_H
#define NVS_JSON_BUILD_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "json/layout.h"

/* A literal key and its length, as two arguments. */
#define NVS_KEY(literal)		"" literal, (sizeof(literal) - 1)

/* Pairs that need no allocation. */
#define NVS_JSONB_FIXED_PAIRS	16

struct NvsJsonb;

typedef struct NvsJsonbPair
{
	const char *key;
	uint32		keylen;
	uint32		order;			/* of equal keys the highest wins */
	NvsJsonbChild value;
	struct NvsJsonb *nested;	/* NULL, or the object that is the value */
} NvsJsonbPair;

/* A builder; its fields are private.  It must not be moved once initialised. */
typedef struct NvsJsonb
{
	NvsJsonbPair *pairs;
	uint32		npairs;
	uint32		cap;
	bool		sorted;			/* keys so far in order, none twice */
	NvsJsonbPair fixed[NVS_JSONB_FIXED_PAIRS];
} NvsJsonb;

extern void nvs_jsonb_init(NvsJsonb *b);
extern NvsJsonb *nvs_jsonb_create(uint32 npairs);
extern void nvs_jsonb_reset(NvsJsonb *b);
extern void nvs_jsonb_add_text(NvsJsonb *b, const char *key, Size keylen,
							   const char *value, Size len);
extern void nvs_jsonb_add_int64(NvsJsonb *b, const char *key, Size keylen,
								int64 value);
extern void nvs_jsonb_add_numeric(NvsJsonb *b, const char *key, Size keylen,
								  Numeric value);
extern void nvs_jsonb_add_bool(NvsJsonb *b, const char *key, Size keylen,
							   bool value);
extern void nvs_jsonb_add_null(NvsJsonb *b, const char *key, Size keylen);
extern void nvs_jsonb_add_jsonb(NvsJsonb *b, const char *key, Size keylen,
								const Jsonb *value);
extern void nvs_jsonb_add_object(NvsJsonb *b, const char *key, Size keylen,
								 NvsJsonb *value);
extern void nvs_jsonb_add_child(NvsJsonb *b, const char *key, Size keylen,
								NvsJsonbChild value);
extern Jsonb *nvs_jsonb_finish(NvsJsonb *b);
extern Jsonb *nvs_jsonb_from_child(NvsJsonbChild child);

#endif							/* NVS_JSON_BUILD_H */
