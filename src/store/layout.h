/*
 * store/layout.h
 *	  Layouts: which tables a store has, by version.
 */
#ifndef NVS_STORE_LAYOUT_H
#define NVS_STORE_LAYOUT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "store/store.h"

/* Layouts of adapter-store-postgres are 1 and 2; ours begin at 3. */
#define NVS_LAYOUT_BASE		3
#define NVS_LAYOUT_KINDS	4
#define NVS_LAYOUT_SOURCING	5
#define NVS_LAYOUT_CONSUMERS	6
#define NVS_LAYOUT_LEAN		7
#define NVS_LAYOUT_QUEUES	8
#define NVS_LAYOUT_LATEST	NVS_LAYOUT_QUEUES

/* Column of an event's position, drawn when its row is inserted. */
#define NVS_EVENT_ID \
	"id bigint DEFAULT nvent.next_position({'store'}) PRIMARY KEY, "

/* Columns of every table of events, behind those that say whose they are. */
#define NVS_EVENT_COLUMNS \
	"ts bigint NOT NULL, " \
	"type text COLLATE \"C\" NOT NULL, " \
	"step_name text COLLATE \"C\", " \
	"step_id text COLLATE \"C\", " \
	"attempt integer, " \
	"data jsonb, " \
	"created_at timestamptz DEFAULT now(), " \
	"meta jsonb"

/* Column of an entry's score: when it was inserted, unless somebody says. */
#define NVS_SCORE_DEFAULT \
	"(extract(epoch FROM statement_timestamp()) * 1000)::double precision"
#define NVS_SCORE_COLUMN \
	"score double precision NOT NULL DEFAULT " NVS_SCORE_DEFAULT

/* Columns that end every table of entries. */
#define NVS_ENTRY_COLUMNS \
	"version bigint NOT NULL DEFAULT 0, " \
	"updated_at timestamptz DEFAULT now(), " \
	NVS_SCORE_COLUMN ", " \
	"extra jsonb"

/* A trigger that keeps who writes schedules, see schedule/author.c. */
#define NVS_AUTHOR_TRIGGER(timing, name) \
	"CREATE TRIGGER " name " " timing " INSERT OR UPDATE ON {scheduler_jobs} " \
	"FOR EACH ROW EXECUTE FUNCTION nvent.schedule_author()"

/*
 * Column of the whole hours of expires_at: coarse, so that refreshing a TTL
 * stays HOT.  Computed by one call of a function, since every write has the
 * tree of the expression read anew.
 */
#define NVS_BUCKET_COLUMN \
	"expire_bucket integer GENERATED ALWAYS AS " \
	"(nvent.kv_expire_bucket(expires_at)) STORED"
#define NVS_BUCKET_INDEX \
	"CREATE INDEX ON {kv} (expire_bucket) WHERE expire_bucket IS NOT NULL"

/* store/nvent_layout.c: lists of DDL and of tables that end with NULL */
extern const char *const nvs_nvent_tables_up[];
extern const char *const nvs_nvent_tables_down[];

/* Table that a stream table of the same store has its privileges from. */
#define NVS_MODEL_TABLE		"flow_events"

/* store/layout.c */
extern const char *const nvs_layout_tables[];
extern void nvs_layout_run(const NvsStore *store, const char *ddl);
extern void nvs_layout_run_table(const char *table, const char *ddl);
extern char *nvs_layout_text(const char *sql);

extern int	nvs_layout_version(const NvsStore *store);
extern void nvs_layout_record(const NvsStore *store, int version,
							  const char *description);
extern const char *nvs_layout_description(int version);
extern void nvs_layout_up(const NvsStore *store, int from, int to);
extern void nvs_layout_drop(const NvsStore *store, List *tables);
extern void nvs_layout_down(const NvsStore *store, int from, int to);

extern void nvs_layout_make_stream(const NvsStore *store, const char *name,
								   bool versioned, List *indexes);
extern void nvs_layout_raise_stream(const NvsStore *store, const char *name,
									int from);

#endif							/* NVS_STORE_LAYOUT_H */
