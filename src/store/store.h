/*
 * store/store.h
 *	  Stores: named sets of tables, found by the first token of a subject.
 */
#ifndef NVS_STORE_STORE_H
#define NVS_STORE_STORE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "base/statement.h"
#include "subject/subject.h"

/* Bytes of a prefix: leaves room for the longest table name. */
#define NVS_MAX_PREFIX	40

/* Layouts 1 and 2 are adapter-store-postgres's own; ours begin at 3. */
#define NVS_LAYOUT_BASE		3
#define NVS_LAYOUT_KINDS	4
#define NVS_LAYOUT_SOURCING	5
#define NVS_LAYOUT_CONSUMERS	6
#define NVS_LAYOUT_LATEST	NVS_LAYOUT_CONSUMERS

/* A registered store; lives until the registry changes. */
typedef struct NvsStore
{
	char		prefix[NAMEDATALEN];	/* hash key */
	char	   *schema;
	char	   *channel;		/* where its appends are announced */
} NvsStore;

/* An entry is scored by the time of its insertion when nobody says more. */
#define NVS_SCORE_COLUMN \
	"score double precision NOT NULL DEFAULT " \
	"(extract(epoch FROM statement_timestamp()) * 1000)::double precision"

/*
 * Whole hours of expires_at: coarse, so that refreshing a TTL stays HOT.  A
 * function of ours, for every write has the expression's tree read anew.
 */
#define NVS_BUCKET_COLUMN \
	"expire_bucket integer GENERATED ALWAYS AS " \
	"(nvent.kv_expire_bucket(expires_at)) STORED"

/* One change of a layout, as store_adopt() reports it. */
typedef struct NvsChange
{
	char	   *relation;
	char	   *what;
} NvsChange;

extern void nvs_store_init(void);

extern uint64 nvs_store_generation(void);
extern NvsStore *nvs_store_known(const char *prefix, int len);
extern NvsStore *nvs_store_known_of(const char *subject, int len);
extern NvsStore *nvs_store_find(const char *prefix, int len);
extern NvsStore *nvs_store_of(const char *subject, int len);
extern NvsStore *nvs_store_of_pattern(const NvsPattern *pattern);
extern List *nvs_store_prefixes(void);
extern NvsStore *nvs_store_require(const char *prefix);
extern void nvs_store_lock(const char *prefix, LOCKMODE mode);
extern void nvs_store_changed(void);
extern uint64 nvs_store_registry_execute(const NvsStatement *statement,
										 const NvsParams *params);
extern void nvs_store_check_owner(const NvsStore *store);
extern void nvs_store_check_overlap(const char *prefix, const char *schema);

/* store/admin.c */
extern bool nvs_store_make(const char *prefix, const char *schema);
extern NvsStore *nvs_store_of_write(const char *subject, int len);

/* store/layout.c: the DDL of each layout */
extern char *nvs_layout_expand(const char *ddl, const char *prefix,
							   const char *schema);
extern void nvs_layout_up(const char *prefix, const char *schema, int from,
						  int to);
extern void nvs_layout_down(const char *prefix, const char *schema, int from,
							int to);
extern void nvs_layout_stream(const char *prefix, const char *schema,
							  const char *name, bool versioned);
extern void nvs_layout_stream_up(const char *qualified);
extern int	nvs_layout_version(const char *prefix, const char *schema);
extern void nvs_layout_record(const char *prefix, const char *schema,
							  int version, const char *description);
extern char *nvs_layout_scalar(const char *format,...)
			pg_attribute_printf(1, 2);
extern const char *nvs_layout_description(int version);

/* store/adopt.c: tables that are there already */
extern List *nvs_layout_adopt(const char *prefix, const char *schema,
							  int from, List **streams);

#endif							/* NVS_STORE_STORE_H */
