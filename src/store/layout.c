/*
 * store/layout.c
 *	  Layouts: the DDL that makes and undoes each version of a store's tables.
 *
 * Layouts 1 and 2 are those of adapter-store-postgres, see store/adopt.c.  New
 * stores begin at layout 3.  In the texts, {name} stands for the store's table
 * "schema"."prefix_name"; in those for generic stream tables, {table} is one of
 * these.  {'store'} is the store's name as a literal.  Which layout a store has
 * is recorded in {schema_version}.
 *
 * All of it runs as the store's owner, to whom the tables then belong, and
 * needs SPI.  Nothing of it is done to a relation that is not the store's, see
 * store/relation.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/plan.h"
#include "base/text.h"
#include "store/layout.h"
#include "store/stream_index.h"

/* One layout: the DDL that makes it from the one before, and what that made. */
typedef struct Layout
{
	int			version;
	const char *description;
	const char *const *up;
	const char *const *down;	/* the tables that it made */
	bool		has_nvent_tables;	/* also those of store/nvent_layout.c */

	/* What it changes in each generic stream table; NULL: nothing. */
	const char *const *stream_up;
	const char *const *stream_down;
	const char *stream_column;	/* a table that has it has been changed */
	const char *marker;			/* a store that has this table is of it */
	const char *const *stream_indexes;	/* those that it leaves to who asks */
} Layout;

/*
 * Every table that a layout makes but the version table, behind the store's
 * prefix; ends with NULL.
 */
const char *const nvs_layout_tables[] = {
	"flow_events", "flow_runs", "flows", "trigger_events", "triggers",
	"scheduler_jobs", "kv", "entries", "locks", "snapshots", "consumers",
	"checkpoints", "queues", "job_levels", "jobs", "job_turns", "job_runs",
	"job_keys", "job_slots", "job_lanes", "job_waits", "job_parents",
	"queue_bindings", NULL
};

static const char *const kv_up[] = {
	"CREATE TABLE {kv} ("
	"key text COLLATE \"C\" PRIMARY KEY, "
	"value jsonb NOT NULL, "
	"expires_at timestamptz, "
	"updated_at timestamptz DEFAULT now(), "
	NVS_BUCKET_COLUMN ") WITH (fillfactor = 80)",
	NVS_BUCKET_INDEX,
	NULL
};

static const char *const kv_down[] = {"kv", NULL};

static const char *const kinds_up[] = {
	"CREATE TABLE {entries} ("
	"key text COLLATE \"C\" NOT NULL, "
	"id text COLLATE \"C\" NOT NULL, " NVS_ENTRY_COLUMNS ", "
	"PRIMARY KEY (key, id)) WITH (fillfactor = 70)",
	"CREATE INDEX ON {entries} (key, score, id)",

	"CREATE TABLE {locks} ("
	"name text COLLATE \"C\" PRIMARY KEY, "
	"owner text, "
	"token bigint NOT NULL, "
	"acquired_at timestamptz NOT NULL, "
	"expires_at timestamptz NOT NULL) WITH (fillfactor = 50)",
	NULL
};

static const char *const kinds_down[] = {"locks", "entries", NULL};

/* A consumer has work; and it can be leased now: nothing has to end first. */
#define HAS_WORK	"NOT blocked AND position OPERATOR(pg_catalog.<) mark"
#define IS_READY	HAS_WORK " AND due_at IS NULL"

static const char *const consumers_up[] = {
	"CREATE TABLE {consumers} ("
	"name text COLLATE \"C\" PRIMARY KEY, "
	"pattern text COLLATE \"C\", "
	"prefix text COLLATE \"C\", "
	"source text COLLATE \"C\", "
	"lane text COLLATE \"C\" NOT NULL DEFAULT 'default', "
	"priority integer NOT NULL DEFAULT 0, "
	"position bigint NOT NULL DEFAULT 0, "
	"mark bigint, "
	"initialized boolean NOT NULL DEFAULT false, "
	"attempt integer NOT NULL DEFAULT 0, "
	"blocked boolean NOT NULL DEFAULT false, "
	"error text, "
	"owner text COLLATE \"C\", "
	"token bigint, "
	"leased_until timestamptz, "
	"deferred_until timestamptz, "
	"due_at timestamptz, "
	"created_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 80)",
	"CREATE INDEX ON {consumers} (prefix) WHERE prefix IS NOT NULL",
	"CREATE INDEX ON {consumers} (name) WHERE NOT initialized",
	"CREATE INDEX ON {consumers} (priority DESC, position) WHERE " IS_READY,
	"CREATE INDEX ON {consumers} (position) WHERE " IS_READY,
	"CREATE INDEX ON {consumers} (lane, priority DESC, position) "
	"WHERE " IS_READY,
	"CREATE INDEX ON {consumers} (lane, position) WHERE " IS_READY,
	"CREATE INDEX ON {consumers} (due_at) "
	"WHERE " HAS_WORK " AND due_at IS NOT NULL",

	"CREATE TABLE {checkpoints} ("
	"name text COLLATE \"C\" PRIMARY KEY, "
	"position bigint NOT NULL, "
	"token bigint, "
	"data jsonb, "
	"updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 50)",
	NULL
};

static const char *const consumers_down[] = {
	"checkpoints", "consumers", NULL
};

static const char *const sourcing_up[] = {
	"CREATE TABLE {snapshots} ("
	"id text COLLATE \"C\" PRIMARY KEY, "
	"state jsonb, "
	"versions jsonb NOT NULL, "
	"extra jsonb, "
	"updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 70)",
	NULL
};

static const char *const sourcing_down[] = {"snapshots", NULL};

/*
 * To a generic stream table: ids by which an append may be repeated, payload
 * that can be erased, and a way to the last snapshot of a subject.
 */
static const char *const sourcing_stream_up[] = {
	"ALTER TABLE {table} ADD COLUMN event_id text COLLATE \"C\", "
	"ADD COLUMN pii jsonb",
	"CREATE UNIQUE INDEX ON {table} (event_id) WHERE event_id IS NOT NULL",
	/* Goes with event_id, which it has in it. */
	"CREATE INDEX ON {table} (subject, id) INCLUDE (event_id) "
	"WHERE type = '__snapshot__'",
	NULL
};

static const char *const sourcing_stream_down[] = {
	"ALTER TABLE {table} DROP COLUMN event_id, DROP COLUMN pii",
	NULL
};

/*
 * A job is written once and stays as it is; where it stands is in narrow rows
 * beside it, see queue/queue.c.  Each session learns of changes of a queue, and
 * of priorities that are new to it, by the triggers; those for each row note
 * what is to be counted, see queue/note.c.
 */
#define COUNTED(table) \
	"CREATE TRIGGER queue_counted AFTER INSERT OR UPDATE OR DELETE " \
	"ON {" table "} FOR EACH ROW EXECUTE FUNCTION nvent.queue_counted()"

/* Sessions must be told whatever session_replication_role says. */
#define TELLS_ALWAYS(table) \
	"ALTER TABLE {" table "} ENABLE ALWAYS TRIGGER queue_changed"

static const char *const queues_up[] = {
	"CREATE TABLE {queues} ("
	"name text COLLATE \"C\" PRIMARY KEY "
	"CHECK (octet_length(name) BETWEEN 1 AND 255), "
	"number integer GENERATED ALWAYS AS IDENTITY UNIQUE, "
	"policy text COLLATE \"C\" NOT NULL DEFAULT 'standard' "
	"CHECK (policy IN ('standard', 'short', 'exclusive', 'singleton', "
	"'stately', 'key_strict_fifo')), "
	"paused_at timestamptz, "
	"priority integer NOT NULL DEFAULT 0, "
	"lease interval NOT NULL DEFAULT '15 minutes' CHECK (lease > '0'), "
	"max_run interval CHECK (max_run > '0'), "
	"retry_limit integer NOT NULL DEFAULT 2 CHECK (retry_limit >= 0), "
	"retry_delay interval NOT NULL DEFAULT '0', "
	"retry_backoff boolean NOT NULL DEFAULT false, "
	"retry_delay_max interval, "
	"dead_letter text COLLATE \"C\" "
	"CHECK (dead_letter <> name), "
	"keep_queued interval DEFAULT '14 days', "
	"keep_ended interval DEFAULT '7 days', "
	"notify text COLLATE \"C\" DEFAULT 'off' "
	"CHECK (notify IN ('worker', 'inline', 'off')), "
	"group_limit integer CHECK (group_limit BETWEEN 1 AND 10000), "
	"rate_limit integer CHECK (rate_limit BETWEEN 1 AND 10000), "
	"rate_interval interval CHECK (rate_interval > '0' "
	"AND rate_interval <= '100 years'), "
	"group_rate_limit integer CHECK (group_rate_limit BETWEEN 1 AND 10000), "
	"group_rate_interval interval CHECK (group_rate_interval > '0' "
	"AND group_rate_interval <= '100 years'), "
	"created_at timestamptz NOT NULL DEFAULT now(), "
	"updated_at timestamptz NOT NULL DEFAULT now(), "
	"CHECK ((rate_limit IS NULL) = (rate_interval IS NULL)), "
	"CHECK ((group_rate_limit IS NULL) = (group_rate_interval IS NULL))) "
	"WITH (fillfactor = 50)",
	"CREATE TRIGGER queue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE "
	"ON {queues} FOR EACH STATEMENT EXECUTE FUNCTION nvent.queue_changed()",
	TELLS_ALWAYS("queues"),
	"CREATE TRIGGER queue_policy_changed BEFORE UPDATE ON {queues} "
	"FOR EACH ROW WHEN (OLD.policy OPERATOR(pg_catalog.<>) NEW.policy "
	"OR COALESCE(OLD.group_limit, 0) OPERATOR(pg_catalog.<>) "
	"COALESCE(NEW.group_limit, 0) "
	"OR COALESCE(OLD.group_rate_limit, 0) OPERATOR(pg_catalog.<>) "
	"COALESCE(NEW.group_rate_limit, 0)) "
	"EXECUTE FUNCTION nvent.queue_policy_changed()",

	"CREATE TABLE {job_levels} ("
	"queue integer NOT NULL, "
	"priority integer NOT NULL, "
	"settled bigint NOT NULL DEFAULT 0, "
	"leases_from timestamptz NOT NULL DEFAULT '-infinity', "
	"PRIMARY KEY (queue, priority)) WITH (fillfactor = 20)",
	"CREATE TRIGGER queue_changed AFTER INSERT "
	"ON {job_levels} FOR EACH STATEMENT EXECUTE FUNCTION nvent.queue_changed()",
	TELLS_ALWAYS("job_levels"),

	"CREATE TABLE {jobs} ("
	"id bigint NOT NULL DEFAULT nvent.next_position({'store'}), "
	"created_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
	"queue integer NOT NULL, "
	"priority integer NOT NULL DEFAULT 0, "
	"data jsonb, "
	"key text COLLATE \"C\", "
	"due_at timestamptz, "
	"lease interval, "
	"max_run interval, "
	"retry_limit integer, "
	"retry_delay interval, "
	"retry_backoff boolean, "
	"retry_delay_max interval, "
	"dead_letter text COLLATE \"C\", "
	"origin jsonb, "
	"flow boolean, "
	"group_name text COLLATE \"C\", "
	"PRIMARY KEY (queue, priority, id))",
	"CREATE INDEX ON {jobs} (queue, key, id) WHERE key IS NOT NULL",

	"CREATE TABLE {job_turns} ("
	"id bigint PRIMARY KEY, "
	"queue integer NOT NULL, "
	"priority integer NOT NULL, "
	"attempt integer NOT NULL DEFAULT 0, "
	"retries integer NOT NULL DEFAULT 0, "
	"due_at timestamptz, "
	"lane text COLLATE \"C\") WITH (fillfactor = 70)",
	"CREATE INDEX ON {job_turns} (queue, priority DESC, id) "
	"WHERE due_at IS NULL",
	"CREATE INDEX ON {job_turns} (queue, due_at) WHERE due_at IS NOT NULL",
	"CREATE INDEX ON {job_turns} (queue, lane, priority DESC, id) "
	"WHERE lane IS NOT NULL AND (due_at IS NULL OR due_at = 'infinity')",

	"CREATE TABLE {job_runs} ("
	"id bigint NOT NULL, "
	"attempt integer NOT NULL, "
	"queue integer NOT NULL, "
	"priority integer NOT NULL, "
	"retries integer NOT NULL DEFAULT 0, "
	"started_at timestamptz, "
	"lease_until timestamptz, "
	"worker text, "
	"ended_at timestamptz, "
	"outcome text COLLATE \"C\", "
	"run_until timestamptz, "
	"output jsonb, "
	"flow boolean, "
	"progress jsonb, "
	"PRIMARY KEY (id, attempt)) WITH (fillfactor = 40)",
	"CREATE INDEX ON {job_runs} (queue, lease_until)",

	"CREATE TABLE {job_keys} ("
	"queue integer NOT NULL, "
	"key text COLLATE \"C\" NOT NULL, "
	"id bigint NOT NULL, "
	"PRIMARY KEY (queue, key))",
	"CREATE INDEX ON {job_keys} (id)",

	"CREATE TABLE {job_slots} ("
	"queue integer NOT NULL, "
	"key text COLLATE \"C\" NOT NULL, "
	"starts_at timestamptz NOT NULL, "
	"ends_at timestamptz NOT NULL, "
	"id bigint NOT NULL, "
	"cancelled boolean NOT NULL DEFAULT false, "
	"PRIMARY KEY (id, cancelled))",
	"CREATE UNIQUE INDEX ON {job_slots} (queue, key, starts_at, ends_at) "
	"WHERE NOT cancelled",
	"CREATE INDEX ON {job_slots} (ends_at)",

	"CREATE TABLE {job_lanes} ("
	"queue integer NOT NULL, "
	"lane text COLLATE \"C\" NOT NULL, "
	"place integer NOT NULL, "
	"id bigint NOT NULL, "
	"held boolean NOT NULL, "
	"free_at timestamptz)",
	"CREATE UNIQUE INDEX ON {job_lanes} (queue, lane, place) WHERE held",
	"CREATE INDEX ON {job_lanes} (id) WHERE held",
	"CREATE INDEX ON {job_lanes} (queue, lane) WHERE NOT held",
	"CREATE INDEX ON {job_lanes} (queue, free_at) "
	"WHERE held AND free_at IS NOT NULL",

	"CREATE TABLE {job_waits} ("
	"id bigint PRIMARY KEY, "
	"queue integer NOT NULL, "
	"priority integer NOT NULL, "
	"pending integer NOT NULL, "
	"on_failure text COLLATE \"C\" NOT NULL "
	"CHECK (on_failure IN ('wait', 'cancel', 'fail', 'run')), "
	"due_at timestamptz) WITH (fillfactor = 70)",
	"CREATE INDEX ON {job_waits} (queue)",

	"CREATE TABLE {job_parents} ("
	"id bigint NOT NULL, "
	"parent bigint NOT NULL, "
	"queue integer NOT NULL, "
	"parent_queue integer NOT NULL, "
	"outcome text COLLATE \"C\", "
	"output jsonb, "
	"PRIMARY KEY (id, parent)) WITH (fillfactor = 70)",
	"CREATE INDEX ON {job_parents} (parent)",
	"CREATE INDEX ON {job_parents} (queue)",

	"CREATE TABLE {queue_bindings} ("
	"queue integer NOT NULL, "
	"pattern text COLLATE \"C\" NOT NULL, "
	"on_append boolean NOT NULL DEFAULT false, "
	"types text[] COLLATE \"C\", "
	"created_at timestamptz NOT NULL DEFAULT now(), "
	"PRIMARY KEY (queue, pattern, on_append))",
	"CREATE TRIGGER queue_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE "
	"ON {queue_bindings} FOR EACH STATEMENT "
	"EXECUTE FUNCTION nvent.queue_changed()",
	TELLS_ALWAYS("queue_bindings"),
	/* A constraint's, which only the table's owner can replace. */
	"CREATE CONSTRAINT TRIGGER queue_binding_check AFTER INSERT OR UPDATE "
	"ON {queue_bindings} FOR EACH ROW "
	"EXECUTE FUNCTION nvent.queue_binding_check()",
	COUNTED("jobs"), COUNTED("job_turns"), COUNTED("job_runs"),
	COUNTED("job_waits"),
	NULL
};

/* Locked in this order, in which calls lock them: see route/table_set.c. */
static const char *const queues_down[] = {
	"queues", "job_levels", "jobs", "job_turns", "job_runs", "job_keys",
	"job_slots", "job_lanes", "job_waits", "job_parents", "queue_bindings",
	NULL
};

static const char *const nothing[] = {NULL};

/* What every generic stream table had before. */
static const char *const lean_indexes[] = {
	"subject", "type", "run_id", NULL
};

static const Layout layouts[] = {
	{
		.version = NVS_LAYOUT_BASE,
		.description = "events, entries and keys",
		.up = kv_up,
		.down = kv_down,
		.has_nvent_tables = true
	},
	{
		.version = NVS_LAYOUT_KINDS,
		.description = "generic entries and locks",
		.up = kinds_up,
		.down = kinds_down
	},
	{
		.version = NVS_LAYOUT_SOURCING,
		.description = "event ids, erasable payload and snapshots",
		.up = sourcing_up,
		.down = sourcing_down,
		.stream_up = sourcing_stream_up,
		.stream_down = sourcing_stream_down,
		.stream_column = "event_id",
		.marker = "snapshots"
	},
	{
		.version = NVS_LAYOUT_CONSUMERS,
		.description = "consumers and checkpoints",
		.up = consumers_up,
		.down = consumers_down
	},
	{
		.version = NVS_LAYOUT_LEAN,
		.description = "no index of streams that nobody asked for",
		.up = nothing,
		.down = nothing,
		.stream_indexes = lean_indexes
	},
	{
		.version = NVS_LAYOUT_QUEUES,
		.description = "queues and jobs",
		.up = queues_up,
		.down = queues_down
	}
};

/*
 * Columns of a generic stream table behind its position and, where it has one,
 * its version.  What has eight bytes comes first, so that nothing is padded;
 * what most events leave empty comes last, and takes no room.
 */
#define STREAM_COLUMNS \
	"ts bigint NOT NULL, " \
	"created_at timestamptz DEFAULT now(), " \
	"subject text COLLATE \"C\" NOT NULL, " \
	"type text COLLATE \"C\" NOT NULL, " \
	"data jsonb, " \
	"run_id text COLLATE \"C\", " \
	"flow_name text COLLATE \"C\", " \
	"step_name text COLLATE \"C\", " \
	"step_id text COLLATE \"C\", " \
	"attempt integer, " \
	"meta jsonb"

/* Makes a generic stream table that has versions. */
static const char *const stream_versioned[] = {
	"CREATE TABLE {table} (" NVS_EVENT_ID
	"version bigint NOT NULL, " STREAM_COLUMNS ", "
	"UNIQUE (subject, version))",
	NULL
};

/* Makes one that is a plain log. */
static const char *const stream_log[] = {
	"CREATE TABLE {table} (" NVS_EVENT_ID STREAM_COLUMNS ")",
	"CREATE INDEX ON {table} (subject, id)",
	NULL
};

/* The generic stream tables that are registered for store $1. */
static const NvsStatement layout_streams = {
	"SELECT table_name FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1 ORDER BY type"
};

static char *layout_expand(const NvsStore *store, const char *table,
						   const char *ddl);
static const char *layout_name(const NvsStore *store, const char *table,
							   const char *name, int len);
static void layout_run_all(const NvsStore *store, const char *const *ddl);
static void layout_run_all_table(const NvsStore *store, const char *table,
								 const char *const *ddl);
static List *layout_list_streams(const NvsStore *store);
static void layout_change_stream(const NvsStore *store,
								 const Layout *layout, const char *name,
								 bool up);
static void layout_change_indexes(const NvsStore *store,
								  const Layout *layout, const char *name,
								  bool up);
static bool layout_has_unasked(const NvsStore *store, const char *name);
static void layout_change_streams(const NvsStore *store,
								  const Layout *layout, bool up);
static void layout_drop_all(const NvsStore *store, const char *const *names);

/*
 * DDL with each {name} replaced: by table, or where that is NULL by the store's
 * table of that name.  A store of NULL has no name.
 */
static char *
layout_expand(const NvsStore *store, const char *table, const char *ddl)
{
	StringInfoData buf;
	const char *p = ddl;

	initStringInfo(&buf);
	while (*p != '\0')
	{
		int			len = *p == '{' ? (int) strcspn(p + 1, "}") : 0;

		/* In '{}', which is an empty jsonb, there is no name. */
		if (len == 0)
		{
			appendStringInfoChar(&buf, *p++);
			continue;
		}
		appendStringInfoString(&buf, layout_name(store, table, p + 1, len));
		p += len + 2;
	}
	return buf.data;
}

/* What a name in DDL, len bytes of it, stands for. */
static const char *
layout_name(const NvsStore *store, const char *table, const char *name,
			int len)
{
	if (strncmp(name, "'store'", len) == 0)
		return quote_literal_cstr(store->prefix);
	if (table != NULL)
		return table;
	return nvs_qualified(store->schema,
						 psprintf("%s_%.*s", store->prefix, len, name));
}

/* Run DDL in which {name} stands for the store's table of that name. */
void
nvs_layout_run(const NvsStore *store, const char *ddl)
{
	nvs_plan_utility(layout_expand(store, NULL, ddl));
}

/* Run DDL in which {table} stands for this table, which is qualified. */
void
nvs_layout_run_table(const char *table, const char *ddl)
{
	nvs_plan_utility(layout_expand(NULL, table, ddl));
}

/* Run each DDL of a list as nvs_layout_run() does. */
static void
layout_run_all(const NvsStore *store, const char *const *ddl)
{
	for (; *ddl != NULL; ddl++)
		nvs_layout_run(store, *ddl);
}

/* Run each DDL of a list, in which {table} stands for a table of the store. */
static void
layout_run_all_table(const NvsStore *store, const char *table,
					 const char *const *ddl)
{
	for (; *ddl != NULL; ddl++)
		nvs_plan_utility(layout_expand(store, table, *ddl));
}

/*
 * First column of the first row of a query, as text; NULL when it is NULL or
 * there is no row.  For a query that names a user's table and is too rare for
 * its plan to be kept.
 */
char *
nvs_layout_text(const char *sql)
{
	nvs_plan_query(sql);
	if (SPI_processed == 0)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* Enter a layout into the store's version table. */
void
nvs_layout_record(const NvsStore *store, int version, const char *description)
{
	nvs_layout_run(store,
				   psprintf("INSERT INTO {schema_version} "
							"(version, description) VALUES (%d, %s)", version,
							quote_literal_cstr(description)));
}

/* The layout of a store; 0 when it has no version table. */
int
nvs_layout_version(const NvsStore *store)
{
	char	   *table = psprintf("%s_schema_version", store->prefix);
	char	   *sql;
	char	   *version;

	if (!OidIsValid(nvs_relation_lock(store, NULL, table, true,
									  AccessShareLock)))
		return 0;
	sql = layout_expand(store, NULL, "SELECT pg_catalog.max(version) "
						"FROM {schema_version}");
	version = nvs_layout_text(sql);
	return version == NULL ? 0 : pg_strtoint32(version);
}

/* What a layout adds, in words. */
const char *
nvs_layout_description(int version)
{
	int			i;

	for (i = 0; i < lengthof(layouts); i++)
		if (layouts[i].version == version)
			return layouts[i].description;
	return "";
}

/*
 * Make the layouts of a store above from, up to and including to.  Where from
 * is 0 the version table is made first.
 */
void
nvs_layout_up(const NvsStore *store, int from, int to)
{
	int			i;

	if (from == 0)
		nvs_layout_run(store, "CREATE TABLE {schema_version} ("
					   "version integer PRIMARY KEY, "
					   "applied_at timestamptz DEFAULT now(), "
					   "description text)");
	for (i = 0; i < lengthof(layouts); i++)
	{
		const Layout *layout = &layouts[i];

		if (layout->version <= from || layout->version > to)
			continue;
		if (layout->has_nvent_tables)
			layout_run_all(store, nvs_nvent_tables_up);
		layout_run_all(store, layout->up);
		layout_change_streams(store, layout, true);
		nvs_layout_record(store, layout->version, layout->description);
	}
}

/*
 * Undo the layouts of a store above to, down from from.  Where to is 0 the
 * generic stream tables and the version table are dropped, too.
 */
void
nvs_layout_down(const NvsStore *store, int from, int to)
{
	int			i;

	for (i = lengthof(layouts) - 1; i >= 0; i--)
	{
		const Layout *layout = &layouts[i];

		if (layout->version > from || layout->version <= to)
			continue;

		/* Generic stream tables that are to be dropped are not changed. */
		if (to > 0)
			layout_change_streams(store, layout, false);
		layout_drop_all(store, layout->down);
		if (layout->has_nvent_tables)
			layout_drop_all(store, nvs_nvent_tables_down);

		/* That table goes too, and triggers that somebody has on it. */
		if (to > 0)
			nvs_layout_run(store,
						   psprintf("DELETE FROM {schema_version} "
									"WHERE version OPERATOR(pg_catalog.=) %d",
									layout->version));
	}

	/*
	 * What no layout made: the stream tables of types, and the table that has
	 * the layouts, by which a store is known.
	 */
	if (to == 0)
	{
		nvs_layout_drop(store, layout_list_streams(store));
		nvs_layout_drop(store, list_make1(psprintf("%s_schema_version",
												   store->prefix)));
	}
}

/* Drop those of a layout's tables that are there, by one statement. */
static void
layout_drop_all(const NvsStore *store, const char *const *names)
{
	List	   *tables = NIL;

	for (; *names != NULL; names++)
		tables = lappend(tables, psprintf("%s_%s", store->prefix, *names));
	nvs_layout_drop(store, tables);
}

/*
 * Drop tables of a store by one statement, all or none.  Those that are gone,
 * and relations of others in their place, are left out.
 */
void
nvs_layout_drop(const NvsStore *store, List *tables)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, tables)
	{
		Oid			relid = nvs_relation_find(store, NULL, lfirst(lc));

		if (OidIsValid(relid) && nvs_relation_is_own(store, relid, true))
			nvs_sql(&names, names.len > 0 ? ", " : "",
					nvs_qualified(store->schema, lfirst(lc)));
	}
	if (names.len > 0)
		nvs_layout_run_table(names.data, "DROP TABLE {table}");
}

/* Names of the generic stream tables of a store; read as our owner. */
static List *
layout_list_streams(const NvsStore *store)
{
	List	   *streams = NIL;
	uint64		n = nvs_store_registry_query(&layout_streams, store);
	uint64		i;

	for (i = 0; i < n; i++)
		streams = lappend(streams, SPI_getvalue(SPI_tuptable->vals[i],
												SPI_tuptable->tupdesc, 1));
	return streams;
}

/*
 * Make or undo what a layout changes in a generic stream table, unless that is
 * done or the table was dropped by hand.  Locks it against everybody.
 */
static void
layout_change_stream(const NvsStore *store, const Layout *layout,
					 const char *name, bool up)
{
	Oid			relid;
	bool		changed;

	if (layout->stream_indexes != NULL)
		layout_change_indexes(store, layout, name, up);
	if (layout->stream_up == NULL)
		return;
	relid = nvs_relation_lock(store, NULL, name, true, AccessExclusiveLock);
	if (!OidIsValid(relid))
		return;
	changed = get_attnum(relid, layout->stream_column) != InvalidAttrNumber;
	if (changed != up)
		layout_run_all_table(NULL, nvs_qualified(store->schema, name),
							 up ? layout->stream_up : layout->stream_down);
}

/*
 * Drop the indexes of a generic stream table that a layout leaves to who asks,
 * or make them.  Locks it against everybody where there is one to drop, and
 * against writers where they are made.
 */
static void
layout_change_indexes(const NvsStore *store, const Layout *layout,
					  const char *name, bool up)
{
	const char *const *index = layout->stream_indexes;
	Oid			relid;

	if (up && !layout_has_unasked(store, name))
		return;
	relid = nvs_relation_lock(store, NULL, name, true,
							  up ? AccessExclusiveLock : ShareLock);
	if (!OidIsValid(relid))
		return;
	if (up)
		nvs_stream_index_drop_unasked(store, relid);
	for (; !up && *index != NULL; index++)
		(void) nvs_stream_index_make(store, relid, *index);
}

/*
 * Has a generic stream table an index to drop?  Looked at under a lock that is
 * given back: who waits for a stronger one with this one in hand is waited for
 * by those who read first and write then.
 */
static bool
layout_has_unasked(const NvsStore *store, const char *name)
{
	Oid			relid = nvs_relation_lock(store, NULL, name, true,
										  AccessShareLock);
	bool		any;

	if (!OidIsValid(relid))
		return false;
	any = nvs_stream_index_any_unasked(relid);
	UnlockRelationOid(relid, AccessShareLock);
	return any;
}

/* Make or undo what a layout changes in a store's generic stream tables. */
static void
layout_change_streams(const NvsStore *store, const Layout *layout, bool up)
{
	ListCell   *lc;

	if (layout->stream_up == NULL && layout->stream_indexes == NULL)
		return;
	foreach(lc, layout_list_streams(store))
		layout_change_stream(store, layout, lfirst(lc), up);
}

/*
 * Make a generic stream table as the layout of its store has them, which the
 * store's tables tell, with these indexes besides, a list of names.
 */
void
nvs_layout_make_stream(const NvsStore *store, const char *name,
					   bool versioned, List *indexes)
{
	const char *qualified = nvs_qualified(store->schema, name);
	Oid			relid;
	ListCell   *lc;
	int			i;

	layout_run_all_table(store, qualified,
						 versioned ? stream_versioned : stream_log);
	for (i = 0; i < lengthof(layouts); i++)
	{
		const Layout *layout = &layouts[i];
		char	   *marker;

		if (layout->marker == NULL)
			continue;
		marker = psprintf("%s_%s", store->prefix, layout->marker);
		if (OidIsValid(nvs_relation_find(store, NULL, marker)))
			layout_change_stream(store, layout, name, true);
	}
	relid = nvs_relation_find(store, NULL, name);
	foreach(lc, indexes)
		(void) nvs_stream_index_make(store, relid, lfirst(lc));
}

/*
 * Bring a generic stream table of a store whose layout is from to the latest.
 * What a layout added to it may be missing whatever the store's layout is;
 * indexes that it has at the latest were asked for.
 */
void
nvs_layout_raise_stream(const NvsStore *store, const char *name, int from)
{
	int			i;

	for (i = 0; i < lengthof(layouts); i++)
		if (layouts[i].stream_indexes == NULL || layouts[i].version > from)
			layout_change_stream(store, &layouts[i], name, true);
}
