/*
 * store_layout.c
 *	  The tables of a store: DDL of each layout, up, down and adoption.
 *
 * Layouts 1 and 2 are those of adapter-store-postgres; nvs_layout_adopt()
 * turns them into layout 3 in place.  New stores begin at layout 3.  In the
 * texts, {name} stands for the table "schema"."prefix_name".
 *
 * All of it runs as the caller, to whom the tables then belong.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/namespace.h"
#include "errors.h"
#include "plan.h"
#include "storage/lmgr.h"
#include "store.h"
#include "util.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* An entry is scored by the time of its insertion when nobody says more. */
#define SCORE_COLUMN \
	"score double precision NOT NULL DEFAULT " \
	"(extract(epoch FROM statement_timestamp()) * 1000)::double precision"

/* Whole hours of expires_at: coarse, so that refreshing a TTL stays HOT. */
#define BUCKET_COLUMN \
	"expire_bucket integer GENERATED ALWAYS AS (" \
	"CASE WHEN isfinite(expires_at) THEN " \
	"floor(extract(epoch FROM expires_at AT TIME ZONE 'UTC') / 3600)::integer " \
	"END) STORED"

/* Columns by which an event is known, whatever its table. */
#define EVENT_COLUMNS \
	"ts bigint NOT NULL, " \
	"type text COLLATE \"C\" NOT NULL, " \
	"step_name text COLLATE \"C\", " \
	"step_id text COLLATE \"C\", " \
	"attempt integer, " \
	"data jsonb, " \
	"created_at timestamptz DEFAULT now(), " \
	"meta jsonb"

#define EVENT_ID	"id bigint DEFAULT nvent.next_position() PRIMARY KEY, "

/* Columns that end every entry table. */
#define ENTRY_COLUMNS \
	"version bigint NOT NULL DEFAULT 0, " \
	"updated_at timestamptz DEFAULT now(), " \
	SCORE_COLUMN ", " \
	"extra jsonb"

/* One layout: statements that make it from the one before, and undo them. */
typedef struct Layout
{
	int			version;
	const char *description;
	const char *const *up;
	const char *const *down;
} Layout;

static const char *const base_up[] = {
	"CREATE TABLE {flow_events} (" EVENT_ID
	"run_id text COLLATE \"C\" NOT NULL, "
	"flow_name text COLLATE \"C\", " EVENT_COLUMNS ")",
	"CREATE INDEX ON {flow_events} (run_id, id)",
	"CREATE INDEX ON {flow_events} (flow_name, type, ts DESC)",

	"CREATE TABLE {flow_runs} ("
	"flow_name text COLLATE \"C\" NOT NULL, "
	"run_id text COLLATE \"C\" NOT NULL, "
	"status text COLLATE \"C\" NOT NULL DEFAULT 'running', "
	"started_at bigint NOT NULL, "
	"completed_at bigint, "
	"step_count bigint, "
	"completed_steps bigint DEFAULT 0, "
	"last_activity_at bigint, "
	"emitted_events jsonb DEFAULT '{}', "
	"awaiting_steps jsonb DEFAULT '{}', " ENTRY_COLUMNS ", "
	"PRIMARY KEY (flow_name, run_id)) WITH (fillfactor = 70)",
	"CREATE INDEX ON {flow_runs} (flow_name, score, run_id)",
	"CREATE INDEX ON {flow_runs} (flow_name, score, run_id) "
	"WHERE status IN ('running', 'awaiting')",

	"CREATE TABLE {flows} ("
	"flow_name text COLLATE \"C\" PRIMARY KEY, "
	"display_name text, "
	"flow_version integer DEFAULT 1, "
	"registered_at bigint NOT NULL, "
	"last_run_at bigint, "
	"stats_total bigint DEFAULT 0, "
	"stats_success bigint DEFAULT 0, "
	"stats_failure bigint DEFAULT 0, "
	"stats_running bigint DEFAULT 0, "
	"stats_awaiting bigint DEFAULT 0, "
	"stats_cancel bigint DEFAULT 0, " ENTRY_COLUMNS ") WITH (fillfactor = 50)",
	"CREATE INDEX ON {flows} (score, flow_name)",

	"CREATE TABLE {trigger_events} (" EVENT_ID
	"trigger_name text COLLATE \"C\" NOT NULL, "
	"run_id text COLLATE \"C\", "
	"flow_name text COLLATE \"C\", " EVENT_COLUMNS ")",
	"CREATE INDEX ON {trigger_events} (trigger_name, id)",
	"CREATE INDEX ON {trigger_events} (type, ts DESC)",

	"CREATE TABLE {triggers} ("
	"trigger_name text COLLATE \"C\" PRIMARY KEY, "
	"trigger_type text COLLATE \"C\", "
	"status text COLLATE \"C\" DEFAULT 'active', "
	"registered_at bigint NOT NULL, "
	"last_activity_at bigint, "
	"display_name text, "
	"description text, "
	"scope text, "
	"source text, "
	"stats_total_fires bigint DEFAULT 0, "
	"stats_last_fired_at bigint, "
	"stats_total_flows_started bigint DEFAULT 0, "
	"stats_active_subscribers bigint DEFAULT 0, "
	"subscriptions jsonb DEFAULT '{}', "
	"webhook jsonb, "
	"schedule jsonb, "
	"config jsonb, " ENTRY_COLUMNS ") WITH (fillfactor = 50)",
	"CREATE INDEX ON {triggers} (score, trigger_name)",
	"CREATE INDEX ON {triggers} (trigger_type, registered_at DESC)",

	"CREATE TABLE {scheduler_jobs} ("
	"job_id text COLLATE \"C\" PRIMARY KEY, "
	"name text COLLATE \"C\", "
	"job_name text COLLATE \"C\", "
	"type text COLLATE \"C\", "
	"schedule text, "
	"cron text, "
	"interval bigint, "
	"execute_at bigint, "
	"timezone text, "
	"enabled boolean DEFAULT true, "
	"scheduled_at bigint NOT NULL, "
	"last_run_at bigint, "
	"next_run_at bigint, "
	"status text COLLATE \"C\" DEFAULT 'pending', "
	"metadata jsonb, "
	"config jsonb, " ENTRY_COLUMNS ") WITH (fillfactor = 70)",
	"CREATE INDEX ON {scheduler_jobs} (score, job_id)",
	"CREATE INDEX ON {scheduler_jobs} (next_run_at) "
	"WHERE status = 'pending' AND enabled",

	"CREATE TABLE {kv} ("
	"key text COLLATE \"C\" PRIMARY KEY, "
	"value jsonb NOT NULL, "
	"expires_at timestamptz, "
	"updated_at timestamptz DEFAULT now(), "
	BUCKET_COLUMN ") WITH (fillfactor = 80)",
	"CREATE INDEX ON {kv} (expire_bucket) WHERE expire_bucket IS NOT NULL",
	NULL
};

static const char *const base_down[] = {
	"DROP TABLE {kv}, {scheduler_jobs}, {triggers}, {trigger_events}, "
	"{flows}, {flow_runs}, {flow_events}",
	NULL
};

static const char *const tiers_up[] = {
	"CREATE TABLE {index} ("
	"key text COLLATE \"C\" NOT NULL, "
	"id text COLLATE \"C\" NOT NULL, " ENTRY_COLUMNS ", "
	"PRIMARY KEY (key, id)) WITH (fillfactor = 70)",
	"CREATE INDEX ON {index} (key, score, id)",

	"CREATE TABLE {locks} ("
	"name text COLLATE \"C\" PRIMARY KEY, "
	"owner text, "
	"token bigint NOT NULL, "
	"acquired_at timestamptz NOT NULL, "
	"expires_at timestamptz NOT NULL) WITH (fillfactor = 50)",
	NULL
};

static const char *const tiers_down[] = {
	"DROP TABLE {locks}, {index}",
	NULL
};

/*
 * Consumers with work that can be leased now, the ones that claims walk; and
 * those with work whose lease or deferral has to end first.
 */
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
	"admitted boolean NOT NULL DEFAULT false, "
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
	"CREATE INDEX ON {consumers} (name) WHERE NOT admitted",
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
	"DROP TABLE {checkpoints}, {consumers}",
	NULL
};

static const Layout layouts[] = {
	{NVS_LAYOUT_BASE, "events, entries and keys", base_up, base_down},
	{4, "generic entries and locks", tiers_up, tiers_down},
	{6, "consumers and checkpoints", consumers_up, consumers_down}
};

/* A step of adoption: what it does to which table, in words and in DDL. */
typedef struct AdoptStep
{
	const char *table;
	const char *what;
	const char *ddl;
} AdoptStep;

#define COUNTER(table, column) \
	{table, "counter " column " is bigint", \
	 "ALTER TABLE {" table "} ALTER COLUMN " column " TYPE bigint"}
#define C_TEXT(table, column) \
	{table, "column " column " compares bytes (COLLATE \"C\")", \
	 "ALTER TABLE {" table "} ALTER COLUMN " column \
	 " TYPE text COLLATE \"C\""}
#define ENTRIES(table, id, score, fill) \
	C_TEXT(table, id), \
	COUNTER(table, "version"), \
	{table, "column score, filled from " score, \
	 "ALTER TABLE {" table "} ADD COLUMN " SCORE_COLUMN "; " \
	 "UPDATE {" table "} SET score = " score "; " \
	 "ALTER TABLE {" table "} ADD COLUMN extra jsonb; " \
	 "UPDATE {" table "} SET version = 0 WHERE version IS NULL; " \
	 "ALTER TABLE {" table "} ALTER COLUMN version SET NOT NULL"}, \
	{table, "fillfactor " fill, \
	 "ALTER TABLE {" table "} SET (fillfactor = " fill ")"}
#define EVENTS(table, key) \
	C_TEXT(table, key), \
	C_TEXT(table, "type"), \
	{table, "column meta for what has no column", \
	 "ALTER TABLE {" table "} ADD COLUMN meta jsonb"}, \
	{table, "index (" key ", id): events are read in the order of id", \
	 "CREATE INDEX ON {" table "} (" key ", id)"}
#define UNION_COLUMN(table, column, type) \
	{table, "column " column, \
	 "ALTER TABLE {" table "} ADD COLUMN IF NOT EXISTS " column " " type}

static const AdoptStep adopt_steps[] = {
	EVENTS("flow_events", "run_id"),
	C_TEXT("flow_events", "flow_name"),
	{"flow_events", "flow_name may be NULL",
	"ALTER TABLE {flow_events} ALTER COLUMN flow_name DROP NOT NULL"},

	EVENTS("trigger_events", "trigger_name"),
	UNION_COLUMN("trigger_events", "run_id", "text COLLATE \"C\""),
	UNION_COLUMN("trigger_events", "flow_name", "text COLLATE \"C\""),
	UNION_COLUMN("trigger_events", "step_name", "text COLLATE \"C\""),
	UNION_COLUMN("trigger_events", "step_id", "text COLLATE \"C\""),
	UNION_COLUMN("trigger_events", "attempt", "integer"),

	ENTRIES("flow_runs", "run_id", "started_at", "70"),
	C_TEXT("flow_runs", "flow_name"),
	COUNTER("flow_runs", "step_count"),
	COUNTER("flow_runs", "completed_steps"),
	{"flow_runs", "index (flow_name, score, run_id)",
	"CREATE INDEX ON {flow_runs} (flow_name, score, run_id)"},

	ENTRIES("flows", "flow_name", "registered_at", "50"),
	COUNTER("flows", "stats_total"),
	COUNTER("flows", "stats_success"),
	COUNTER("flows", "stats_failure"),
	COUNTER("flows", "stats_running"),
	COUNTER("flows", "stats_awaiting"),
	COUNTER("flows", "stats_cancel"),
	{"flows", "index (score, flow_name)",
	"CREATE INDEX ON {flows} (score, flow_name)"},

	UNION_COLUMN("triggers", "last_activity_at", "bigint"),
	UNION_COLUMN("triggers", "display_name", "text"),
	UNION_COLUMN("triggers", "description", "text"),
	UNION_COLUMN("triggers", "scope", "text"),
	UNION_COLUMN("triggers", "source", "text"),
	UNION_COLUMN("triggers", "stats_total_flows_started", "bigint DEFAULT 0"),
	UNION_COLUMN("triggers", "stats_active_subscribers", "bigint DEFAULT 0"),
	UNION_COLUMN("triggers", "subscriptions", "jsonb DEFAULT '{}'"),
	UNION_COLUMN("triggers", "webhook", "jsonb"),
	UNION_COLUMN("triggers", "schedule", "jsonb"),
	UNION_COLUMN("triggers", "config", "jsonb"),
	ENTRIES("triggers", "trigger_name", "registered_at", "50"),
	COUNTER("triggers", "stats_total_fires"),
	COUNTER("triggers", "stats_total_flows_started"),
	COUNTER("triggers", "stats_active_subscribers"),
	{"triggers", "index (score, trigger_name)",
	"CREATE INDEX ON {triggers} (score, trigger_name)"},

	UNION_COLUMN("scheduler_jobs", "name", "text"),
	UNION_COLUMN("scheduler_jobs", "type", "text"),
	UNION_COLUMN("scheduler_jobs", "schedule", "text"),
	UNION_COLUMN("scheduler_jobs", "cron", "text"),
	UNION_COLUMN("scheduler_jobs", "interval", "bigint"),
	UNION_COLUMN("scheduler_jobs", "execute_at", "bigint"),
	UNION_COLUMN("scheduler_jobs", "timezone", "text"),
	UNION_COLUMN("scheduler_jobs", "enabled", "boolean DEFAULT true"),
	UNION_COLUMN("scheduler_jobs", "metadata", "jsonb"),
	ENTRIES("scheduler_jobs", "job_id", "scheduled_at", "70"),
	{"scheduler_jobs", "index (score, job_id)",
	"CREATE INDEX ON {scheduler_jobs} (score, job_id)"},

	C_TEXT("kv", "key"),
	{"kv", "column expire_bucket and its index, in place of one on expires_at",
		"ALTER TABLE {kv} ADD COLUMN " BUCKET_COLUMN "; "
		"CREATE INDEX ON {kv} (expire_bucket) "
	"WHERE expire_bucket IS NOT NULL"},
	{"kv", "fillfactor 80", "ALTER TABLE {kv} SET (fillfactor = 80)"}
};

static void run_all(const char *const *ddl, const char *prefix,
					const char *schema);
static void record_version(const char *prefix, const char *schema,
						   int version, const char *description);
static void drop_streams(const char *prefix);
static List *adopt_base(const char *prefix, const char *schema);
static List *add_change(List *changes, const char *prefix, const char *table,
						const char *what);
static List *adopt_ids(List *changes, const char *prefix, const char *schema,
					   const char *table);
static List *drop_expiry_indexes(List *changes, const char *prefix,
								 const char *schema);
static void raise_position(const char *qualified);
static char *scalar_text(const char *sql);

/* Replace each {name} of a text by that table of the store. */
char *
nvs_layout_expand(const char *ddl, const char *prefix, const char *schema)
{
	StringInfoData buf;
	const char *p = ddl;

	initStringInfo(&buf);
	while (*p != '\0')
	{
		const char *end = (*p == '{') ? strchr(p, '}') : NULL;

		if (end != NULL && end > p + 1)
		{
			char	   *name = psprintf("%s_%.*s", prefix,
										(int) (end - p - 1), p + 1);

			appendStringInfoString(&buf, nvs_qualified(schema, name));
			p = end + 1;
		}
		else
			appendStringInfoChar(&buf, *p++);
	}
	return buf.data;
}

/* Run a list of statements. */
static void
run_all(const char *const *ddl, const char *prefix, const char *schema)
{
	for (; *ddl != NULL; ddl++)
		nvs_plan_utility(nvs_layout_expand(*ddl, prefix, schema));
}

/* Enter a layout into the store's version table. */
static void
record_version(const char *prefix, const char *schema, int version,
			   const char *description)
{
	nvs_plan_utility(psprintf("INSERT INTO %s (version, description) "
							  "VALUES (%d, %s)",
							  nvs_layout_expand("{schema_version}", prefix,
												schema),
							  version, quote_literal_cstr(description)));
}

/* The layout of a store; 0 when it has no version table. */
int
nvs_layout_version(const char *prefix, const char *schema)
{
	Oid			nspid = get_namespace_oid(schema, true);
	char	   *name = psprintf("%s_schema_version", prefix);
	char	   *version;

	if (!OidIsValid(nspid) || !OidIsValid(get_relname_relid(name, nspid)))
		return 0;
	version = scalar_text(nvs_layout_expand(
		"SELECT pg_catalog.max(version) FROM {schema_version}",
		prefix, schema));
	return version == NULL ? 0 : pg_strtoint32(version);
}

/* Make the layouts after from, up to to. */
void
nvs_layout_up(const char *prefix, const char *schema, int from, int to)
{
	int			i;

	if (from == 0)
		nvs_plan_utility(nvs_layout_expand(
			"CREATE TABLE {schema_version} (version integer PRIMARY KEY, "
			"applied_at timestamptz DEFAULT now(), description text)",
			prefix, schema));
	for (i = 0; i < lengthof(layouts); i++)
	{
		const Layout *l = &layouts[i];

		if (l->version <= from || l->version > to)
			continue;
		run_all(l->up, prefix, schema);
		record_version(prefix, schema, l->version, l->description);
	}
}

/* Undo the layouts above to; 0 drops the version table too. */
void
nvs_layout_down(const char *prefix, const char *schema, int from, int to)
{
	int			i;

	for (i = lengthof(layouts) - 1; i >= 0; i--)
	{
		const Layout *l = &layouts[i];

		if (l->version > from || l->version <= to)
			continue;
		run_all(l->down, prefix, schema);
		nvs_plan_utility(psprintf("%s WHERE version "
								  "OPERATOR(pg_catalog.=) %d",
								  nvs_layout_expand(
									  "DELETE FROM {schema_version}",
									  prefix, schema), l->version));
	}
	if (to == 0)
	{
		drop_streams(prefix);
		nvs_plan_utility(nvs_layout_expand("DROP TABLE {schema_version}",
										   prefix, schema));
	}
}

/* Drop the generic stream tables that are registered for a store. */
static void
drop_streams(const char *prefix)
{
	char	   *tables = scalar_text(psprintf(
		"SELECT pg_catalog.string_agg(pg_catalog.format('%%I.%%I', "
		"schema_name, table_name), ', ') FROM nvent.stream_table "
		"WHERE store OPERATOR(pg_catalog.=) %s",
		quote_literal_cstr(prefix)));

	if (tables != NULL)
		nvs_plan_utility(psprintf("DROP TABLE IF EXISTS %s", tables));
}

/* Make a generic stream table. */
void
nvs_layout_stream(const char *qualified, bool versioned)
{
	nvs_plan_utility(psprintf(
		"CREATE TABLE %s (" EVENT_ID
		"subject text COLLATE \"C\" NOT NULL, %s"
		"run_id text COLLATE \"C\", "
		"flow_name text COLLATE \"C\", " EVENT_COLUMNS "%s)",
		qualified, versioned ? "version bigint NOT NULL, " : "",
		versioned ? ", UNIQUE (subject, version)" : ""));
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (subject, id)", qualified));
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (run_id, id) "
							  "WHERE run_id IS NOT NULL", qualified));
}

/*
 * Bring tables of any layout to the latest, keeping every row.  Returns a
 * list of NvsChange.
 */
List *
nvs_layout_adopt(const char *prefix, const char *schema, int from)
{
	List	   *changes = NIL;
	int			i;

	if (from < NVS_LAYOUT_BASE)
		changes = adopt_base(prefix, schema);
	from = Max(from, NVS_LAYOUT_BASE);
	nvs_layout_up(prefix, schema, from, NVS_LAYOUT_LATEST);
	for (i = 0; i < lengthof(layouts); i++)
		if (layouts[i].version > from)
			changes = add_change(changes, prefix, "schema_version",
								 psprintf("layout %d made: %s",
										  layouts[i].version,
										  layouts[i].description));
	return changes;
}

/* Bring tables of layout 1 or 2 to layout 3. */
static List *
adopt_base(const char *prefix, const char *schema)
{
	List	   *changes = NIL;
	int			i;

	changes = adopt_ids(changes, prefix, schema, "flow_events");
	changes = adopt_ids(changes, prefix, schema, "trigger_events");
	for (i = 0; i < lengthof(adopt_steps); i++)
	{
		const AdoptStep *step = &adopt_steps[i];

		nvs_plan_utility(nvs_layout_expand(step->ddl, prefix, schema));
		changes = add_change(changes, prefix, step->table, step->what);
	}
	changes = drop_expiry_indexes(changes, prefix, schema);
	record_version(prefix, schema, NVS_LAYOUT_BASE,
				   "adopted by nvent_store");
	return changes;
}

/* Add a line to the report. */
static List *
add_change(List *changes, const char *prefix, const char *table,
		   const char *what)
{
	NvsChange  *change = palloc(sizeof(NvsChange));

	change->relation = psprintf("%s_%s", prefix, table);
	change->what = pstrdup(what);
	return lappend(changes, change);
}

/* Draw the ids of an event table from the one sequence of the database. */
static List *
adopt_ids(List *changes, const char *prefix, const char *schema,
		  const char *table)
{
	char	   *name = psprintf("%s_%s", prefix, table);
	char	   *qualified = nvs_qualified(schema, name);
	char	   *sequence = scalar_text(psprintf(
		"SELECT pg_catalog.pg_get_serial_sequence(%s, 'id')",
		quote_literal_cstr(qualified)));

	raise_position(qualified);
	nvs_plan_utility(psprintf("ALTER TABLE %s ALTER COLUMN id "
							  "SET DEFAULT nvent.next_position()",
							  qualified));
	changes = add_change(changes, prefix, table,
						 "id is drawn from nvent.next_position()");
	if (sequence == NULL)
		return changes;
	nvs_plan_utility(psprintf("DROP SEQUENCE %s", sequence));
	return add_change(changes, prefix, table,
					  psprintf("sequence %s dropped", sequence));
}

/*
 * Move the position sequence beyond every id of a table.  The lock keeps
 * others from drawing, so that it is never moved back.
 */
static void
raise_position(const char *qualified)
{
	NvsIdentity saved;
	char	   *highest = scalar_text(psprintf(
		"SELECT pg_catalog.max(id) FROM %s", qualified));

	if (highest == NULL)
		return;
	LockRelationOid(nvs_registry_table("position_seq"),
					ShareRowExclusiveLock);
	nvs_become_owner(&saved);
	(void) scalar_text(psprintf(
		"SELECT pg_catalog.setval('nvent.position_seq', "
		"GREATEST(last_value, %s)) FROM nvent.position_seq", highest));
	nvs_become_caller(&saved);
}

/* Drop indexes on kv.expires_at: they make every TTL refresh a full update. */
static List *
drop_expiry_indexes(List *changes, const char *prefix, const char *schema)
{
	char	   *kv = nvs_qualified(schema, psprintf("%s_kv", prefix));
	char	   *index;

	while ((index = scalar_text(psprintf(
		"SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text "
		"FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a "
		"ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid "
		"AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0] "
		"WHERE i.indrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass "
		"AND i.indnatts OPERATOR(pg_catalog.=) 1 "
		"AND a.attname OPERATOR(pg_catalog.=) 'expires_at' "
		"ORDER BY 1 LIMIT 1",
		quote_literal_cstr(kv)))) != NULL)
	{
		nvs_plan_utility(psprintf("DROP INDEX %s", index));
		changes = add_change(changes, prefix, "kv",
							 psprintf("index %s dropped", index));
	}
	return changes;
}

/* First column of the first row as text; NULL when there is none. */
static char *
scalar_text(const char *sql)
{
	nvs_plan_utility(sql);
	if (SPI_processed == 0)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}
