/*
 * store/layout.c
 *	  The tables of a store: DDL of each layout, up and down.
 *
 * Layouts 1 and 2 are those of adapter-store-postgres, see store/adopt.c.  New
 * stores begin at layout 3.  In the texts, {name} stands for the table
 * "schema"."prefix_name".
 *
 * All of it runs as the caller, to whom the tables then belong.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "base/plan.h"
#include "base/text.h"
#include "store/store.h"

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
	NVS_SCORE_COLUMN ", " \
	"extra jsonb"

/* One layout: statements that make it from the one before, and undo them. */
typedef struct Layout
{
	int			version;
	const char *description;
	const char *const *up;
	const char *const *down;

	/* What it changes in each generic stream table; NULL: nothing. */
	void		(*streams_up) (const char *qualified);
	void		(*streams_down) (const char *qualified);
	const char *marker;			/* a table of it, to tell that it is made */
} Layout;

static const char *const delete_version = "DELETE FROM {schema_version}";

static const char *const drop_versions =
"DROP TABLE IF EXISTS {schema_version}";

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
	NVS_BUCKET_COLUMN ") WITH (fillfactor = 80)",
	"CREATE INDEX ON {kv} (expire_bucket) WHERE expire_bucket IS NOT NULL",
	NULL
};

static const char *const base_down[] = {
	"DROP TABLE IF EXISTS {kv}, {scheduler_jobs}, {triggers}, "
	"{trigger_events}, {flows}, {flow_runs}, {flow_events}",
	NULL
};

static const char *const tiers_up[] = {
	"CREATE TABLE {entries} ("
	"key text COLLATE \"C\" NOT NULL, "
	"id text COLLATE \"C\" NOT NULL, " ENTRY_COLUMNS ", "
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

static const char *const tiers_down[] = {
	"DROP TABLE IF EXISTS {locks}, {entries}",
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

static const char *const sourcing_up[] = {
	"CREATE TABLE {snapshots} ("
	"id text COLLATE \"C\" PRIMARY KEY, "
	"state jsonb, "
	"versions jsonb NOT NULL, "
	"extra jsonb, "
	"updated_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 70)",
	NULL
};

static const char *const sourcing_down[] = {
	"DROP TABLE IF EXISTS {snapshots}",
	NULL
};

static void sourcing_stream_up(const char *qualified);
static void sourcing_stream_down(const char *qualified);

static const Layout layouts[] = {
	{NVS_LAYOUT_BASE, "events, entries and keys", base_up, base_down},
	{NVS_LAYOUT_KINDS, "generic entries and locks", tiers_up, tiers_down},
	{NVS_LAYOUT_SOURCING, "event ids, erasable payload and snapshots",
		sourcing_up, sourcing_down, sourcing_stream_up, sourcing_stream_down,
	"snapshots"},
	{NVS_LAYOUT_CONSUMERS, "consumers and checkpoints", consumers_up,
	consumers_down}
};

static void run_all(const char *const *ddl, const char *prefix,
					const char *schema);
static void for_streams(void (*change) (const char *qualified),
						const char *prefix);
static void drop_streams(const char *prefix);
static bool has_column(const char *qualified, const char *column);

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

/* Change each generic stream table that is registered for a store. */
static void
for_streams(void (*change) (const char *qualified), const char *prefix)
{
	char	   *table = pstrdup("");

	if (change == NULL)
		return;
	while ((table = nvs_layout_scalar("SELECT pg_catalog.format('%%I.%%I', schema_name, table_name) "
									  "FROM nvent.stream_table WHERE store OPERATOR(pg_catalog.=) %s "
									  "AND pg_catalog.format('%%I.%%I', schema_name, table_name) "
									  "OPERATOR(pg_catalog.>) %s ORDER BY 1 LIMIT 1",
									  quote_literal_cstr(prefix),
									  quote_literal_cstr(table))) != NULL)
		change(table);
}

/* Does a table have this column? */
static bool
has_column(const char *qualified, const char *column)
{
	return nvs_layout_scalar("SELECT attname FROM pg_catalog.pg_attribute "
							 "WHERE attrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass "
							 "AND attname OPERATOR(pg_catalog.=) %s AND NOT attisdropped",
							 quote_literal_cstr(qualified),
							 quote_literal_cstr(column)) != NULL;
}

/*
 * Ids by which an append may be repeated, payload that may be forgotten, and
 * a way to the last snapshot.  A table that has them is left as it is.
 */
static void
sourcing_stream_up(const char *qualified)
{
	if (has_column(qualified, "event_id"))
		return;
	nvs_plan_utility(psprintf("ALTER TABLE %s "
							  "ADD COLUMN event_id text COLLATE \"C\", "
							  "ADD COLUMN pii jsonb", qualified));
	nvs_plan_utility(psprintf("CREATE UNIQUE INDEX ON %s (event_id) "
							  "WHERE event_id IS NOT NULL", qualified));
	/* Goes with the column that it includes. */
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (subject, id) "
							  "INCLUDE (event_id) "
							  "WHERE type = '__snapshot__'", qualified));
}

/* Take them away. */
static void
sourcing_stream_down(const char *qualified)
{
	if (has_column(qualified, "event_id"))
		nvs_plan_utility(psprintf("ALTER TABLE %s DROP COLUMN event_id, "
								  "DROP COLUMN pii", qualified));
}

/* Enter a layout into the store's version table. */
void
nvs_layout_record(const char *prefix, const char *schema, int version,
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
	version = nvs_layout_scalar("%s", nvs_layout_expand(
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
		for_streams(l->streams_up, prefix);
		nvs_layout_record(prefix, schema, l->version, l->description);
	}
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
		if (to > 0)
			for_streams(l->streams_down, prefix);
		run_all(l->down, prefix, schema);
		nvs_plan_utility(psprintf("%s WHERE version OPERATOR(pg_catalog.=) %d",
								  nvs_layout_expand(delete_version, prefix,
													schema),
								  l->version));
	}
	if (to == 0)
	{
		drop_streams(prefix);
		nvs_plan_utility(nvs_layout_expand(drop_versions, prefix, schema));
	}
}

/* Drop the generic stream tables that are registered for a store. */
static void
drop_streams(const char *prefix)
{
	char	   *tables = nvs_layout_scalar("SELECT pg_catalog.string_agg(pg_catalog.format('%%I.%%I', "
										   "schema_name, table_name), ', ') FROM nvent.stream_table "
										   "WHERE store OPERATOR(pg_catalog.=) %s",
										   quote_literal_cstr(prefix));

	if (tables != NULL)
		nvs_plan_utility(psprintf("DROP TABLE IF EXISTS %s", tables));
}

/*
 * Make a generic stream table as the store's layout has them.  The caller may
 * have no right to read the version table.
 */
void
nvs_layout_stream(const char *prefix, const char *schema, const char *name,
				  bool versioned)
{
	const char *qualified = nvs_qualified(schema, name);
	Oid			nspid = get_namespace_oid(schema, false);
	int			i;

	nvs_plan_utility(psprintf(
							  "CREATE TABLE %s (" EVENT_ID
							  "subject text COLLATE \"C\" NOT NULL, %s"
							  "run_id text COLLATE \"C\", "
							  "flow_name text COLLATE \"C\", " EVENT_COLUMNS "%s)",
							  qualified, versioned ? "version bigint NOT NULL, " : "",
							  versioned ? ", UNIQUE (subject, version)" : ""));
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (subject, id)", qualified));
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (type, id)", qualified));
	nvs_plan_utility(psprintf("CREATE INDEX ON %s (run_id, id) "
							  "WHERE run_id IS NOT NULL", qualified));
	for (i = 0; i < lengthof(layouts); i++)
		if (layouts[i].streams_up != NULL &&
			OidIsValid(get_relname_relid(psprintf("%s_%s", prefix,
												  layouts[i].marker), nspid)))
			layouts[i].streams_up(qualified);
}

/* Bring a generic stream table to the latest layout. */
void
nvs_layout_stream_up(const char *qualified)
{
	int			i;

	for (i = 0; i < lengthof(layouts); i++)
		if (layouts[i].streams_up != NULL)
			layouts[i].streams_up(qualified);
}

/*
 * Run a query whose text is formatted as by printf, and return the first
 * column of its first row as text; NULL when there is none.  As the caller,
 * and with names and literals that are quoted: never while elevated.
 */
char *
nvs_layout_scalar(const char *format,...)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&sql, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sql, needed);
	}
	nvs_plan_utility(sql.data);
	if (SPI_processed == 0)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}
