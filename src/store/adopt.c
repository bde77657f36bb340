/*
 * store/adopt.c
 *	  Taking over tables that are there already, with every row.
 *
 * They are those of adapter-store-postgres (layouts 1 and 2), or of a store
 * that the registry does not know: it was restored without the extension's
 * schema, or DROP EXTENSION CASCADE took the registry away.  Each change is
 * made only where it is needed, and reported.
 *
 * All of it runs as the caller, who must own the tables.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/identity.h"
#include "base/plan.h"
#include "base/text.h"
#include "store/store.h"
#include "store/stream_table.h"

/* A text column whose order and equality are those of its bytes. */
#define C_TEXT	"text COLLATE \"C\""

/* A column as layout 3 has it. */
typedef struct AdoptColumn
{
	const char *table;
	const char *column;
	const char *type;			/* as format_type() writes it */
	const char *dflt;			/* of a column that has to be added */
} AdoptColumn;

/* What else is done to a table, in words and in DDL. */
typedef struct AdoptStep
{
	const char *table;
	const char *what;
	const char *ddl;
} AdoptStep;

#define EVENT_FIELDS(table) \
	{table, "type", C_TEXT}, \
	{table, "run_id", C_TEXT}, \
	{table, "flow_name", C_TEXT}, \
	{table, "step_name", C_TEXT}, \
	{table, "step_id", C_TEXT}, \
	{table, "attempt", "integer"}, \
	{table, "meta", "jsonb"}
#define ENTRY_FIELDS(table) \
	{table, "version", "bigint"}, \
	{table, "extra", "jsonb"}

/* Those that an older layout lacks or has otherwise. */
static const AdoptColumn adopt_columns[] = {
	EVENT_FIELDS("flow_events"),

	{"trigger_events", "trigger_name", C_TEXT},
	EVENT_FIELDS("trigger_events"),

	{"flow_runs", "flow_name", C_TEXT},
	{"flow_runs", "run_id", C_TEXT},
	{"flow_runs", "status", C_TEXT},
	{"flow_runs", "step_count", "bigint"},
	{"flow_runs", "completed_steps", "bigint"},
	ENTRY_FIELDS("flow_runs"),

	{"flows", "flow_name", C_TEXT},
	{"flows", "stats_total", "bigint"},
	{"flows", "stats_success", "bigint"},
	{"flows", "stats_failure", "bigint"},
	{"flows", "stats_running", "bigint"},
	{"flows", "stats_awaiting", "bigint"},
	{"flows", "stats_cancel", "bigint"},
	ENTRY_FIELDS("flows"),

	{"triggers", "trigger_name", C_TEXT},
	{"triggers", "trigger_type", C_TEXT},
	{"triggers", "status", C_TEXT},
	{"triggers", "last_activity_at", "bigint"},
	{"triggers", "display_name", "text"},
	{"triggers", "description", "text"},
	{"triggers", "scope", "text"},
	{"triggers", "source", "text"},
	{"triggers", "stats_total_fires", "bigint"},
	{"triggers", "stats_total_flows_started", "bigint", "0"},
	{"triggers", "stats_active_subscribers", "bigint", "0"},
	{"triggers", "subscriptions", "jsonb", "'{}'"},
	{"triggers", "webhook", "jsonb"},
	{"triggers", "schedule", "jsonb"},
	{"triggers", "config", "jsonb"},
	ENTRY_FIELDS("triggers"),

	{"scheduler_jobs", "job_id", C_TEXT},
	{"scheduler_jobs", "name", C_TEXT},
	{"scheduler_jobs", "job_name", C_TEXT},
	{"scheduler_jobs", "type", C_TEXT},
	{"scheduler_jobs", "schedule", "text"},
	{"scheduler_jobs", "cron", "text"},
	{"scheduler_jobs", "interval", "bigint"},
	{"scheduler_jobs", "execute_at", "bigint"},
	{"scheduler_jobs", "timezone", "text"},
	{"scheduler_jobs", "enabled", "boolean", "true"},
	{"scheduler_jobs", "status", C_TEXT},
	{"scheduler_jobs", "metadata", "jsonb"},
	ENTRY_FIELDS("scheduler_jobs"),

	{"kv", "key", C_TEXT}
};

#define ENTRIES(table, score, fillfactor) \
	{table, "fillfactor is " fillfactor, \
	 "ALTER TABLE {" table "} SET (fillfactor = " fillfactor ")"}, \
	{table, "column score is added, filled from " score, \
	 "ALTER TABLE {" table "} ADD COLUMN " NVS_SCORE_COLUMN "; " \
	 "UPDATE {" table "} SET score = " score ", " \
	 "version = COALESCE(version, 0); " \
	 "ALTER TABLE {" table "} ALTER COLUMN version SET NOT NULL"}
#define INDEX(table, columns) \
	{table, "index (" columns ") is made", \
	 "CREATE INDEX ON {" table "} (" columns ")"}

static const AdoptStep adopt_steps[] = {
	{"flow_events", "column flow_name may be NULL",
	"ALTER TABLE {flow_events} ALTER COLUMN flow_name DROP NOT NULL"},
	INDEX("flow_events", "run_id, id"),
	INDEX("trigger_events", "trigger_name, id"),
	ENTRIES("flow_runs", "started_at", "70"),
	INDEX("flow_runs", "flow_name, score, run_id"),
	ENTRIES("flows", "registered_at", "50"),
	INDEX("flows", "score, flow_name"),
	ENTRIES("triggers", "registered_at", "50"),
	INDEX("triggers", "score, trigger_name"),
	ENTRIES("scheduler_jobs", "scheduled_at", "70"),
	INDEX("scheduler_jobs", "score, job_id"),
	{"kv", "fillfactor is 80", "ALTER TABLE {kv} SET (fillfactor = 80)"}
};

static const char *const base_tables[] = {
	"flow_events", "trigger_events", "flow_runs", "flows", "triggers",
	"scheduler_jobs", "kv"
};

/* Where we are. */
typedef struct Adoption
{
	const char *prefix;
	const char *schema;
	List	   *changes;
} Adoption;

/*
 * The highest position that adopted events may have: beyond it a mistaken id
 * would leave too few for all the events to come.
 */
#define MAX_ADOPTED_POSITION	(PG_INT64_MAX / 2)

static const char *const adopt_lock =
"LOCK TABLE {flow_events}, {trigger_events} IN ACCESS EXCLUSIVE MODE";

static const char *const adopt_add_bucket =
"ALTER TABLE {kv} ADD COLUMN " NVS_BUCKET_COLUMN "; "
"CREATE INDEX ON {kv} (expire_bucket) WHERE expire_bucket IS NOT NULL";

/* Have the next position be above $1. */
static const NvsStatement adopt_raise = {
	"SELECT pg_catalog.setval('nvent.position_seq', $1) "
	"FROM nvent.position_seq WHERE CASE WHEN is_called THEN last_value "
	"ELSE last_value OPERATOR(pg_catalog.-) 1 END OPERATOR(pg_catalog.<) $1"
};

static void report(Adoption *a, const char *table, char *what);
static void adopt_base(Adoption *a);
static void adopt_columns_of(Adoption *a, const char *table);
static const char *column_type(const char *qualified, const char *column);
static void adopt_ids(Adoption *a, const char *table);
static bool raise_position(const char *qualified, const char *sequence);
static void adopt_bucket(Adoption *a);
static void drop_expiry_indexes(Adoption *a);
static List *adopt_streams(Adoption *a);
static char *stream_type_of(const Adoption *a, const char *table);

/*
 * Bring tables of any layout to the latest, keeping every row.  Returns a
 * list of NvsChange; *streams are the types of generic stream tables that
 * have to be registered.
 */
List *
nvs_layout_adopt(const char *prefix, const char *schema, int from,
				 List **streams)
{
	Adoption	a = {prefix, schema, NIL};
	int			layout;

	/* Nothing may be inserted while we look for the highest position. */
	nvs_plan_utility(nvs_layout_expand(adopt_lock, prefix, schema));
	adopt_ids(&a, "flow_events");
	adopt_ids(&a, "trigger_events");
	if (from < NVS_LAYOUT_BASE)
		adopt_base(&a);
	adopt_bucket(&a);
	*streams = adopt_streams(&a);

	from = Max(from, NVS_LAYOUT_BASE);
	nvs_layout_up(prefix, schema, from, NVS_LAYOUT_LATEST);
	for (layout = from + 1; layout <= NVS_LAYOUT_LATEST; layout++)
		report(&a, "schema_version",
			   psprintf("layout %d is made: %s", layout,
						nvs_layout_description(layout)));
	return a.changes;
}

/* Add a line to the report. */
static void
report(Adoption *a, const char *table, char *what)
{
	NvsChange  *change = palloc(sizeof(NvsChange));

	change->relation = psprintf("%s_%s", a->prefix, table);
	change->what = what;
	a->changes = lappend(a->changes, change);
}

/* Bring tables of layout 1 or 2 to layout 3. */
static void
adopt_base(Adoption *a)
{
	int			t;
	int			i;

	for (t = 0; t < lengthof(base_tables); t++)
	{
		const char *table = base_tables[t];

		adopt_columns_of(a, table);
		for (i = 0; i < lengthof(adopt_steps); i++)
		{
			if (strcmp(adopt_steps[i].table, table) != 0)
				continue;
			nvs_plan_utility(nvs_layout_expand(adopt_steps[i].ddl, a->prefix,
											   a->schema));
			report(a, table, pstrdup(adopt_steps[i].what));
		}
	}
	drop_expiry_indexes(a);
	nvs_layout_record(a->prefix, a->schema, NVS_LAYOUT_BASE,
					  "adopted by nvent_store");
}

/* Add and widen the columns of a table, all by one ALTER TABLE. */
static void
adopt_columns_of(Adoption *a, const char *table)
{
	char	   *qualified = nvs_qualified(a->schema,
										  psprintf("%s_%s", a->prefix, table));
	const char *separator = "";
	StringInfoData ddl;
	int			i;

	initStringInfo(&ddl);
	appendStringInfo(&ddl, "ALTER TABLE %s", qualified);
	for (i = 0; i < lengthof(adopt_columns); i++)
	{
		const AdoptColumn *c = &adopt_columns[i];
		const char *type;

		if (strcmp(c->table, table) != 0)
			continue;
		type = column_type(qualified, c->column);
		if (type == NULL)
		{
			appendStringInfo(&ddl, "%s ADD COLUMN %s %s", separator,
							 c->column, c->type);
			if (c->dflt != NULL)
				appendStringInfo(&ddl, " DEFAULT %s", c->dflt);
			report(a, table, psprintf("column %s is added", c->column));
		}
		else if ((strcmp(type, "integer") == 0 &&
				  strcmp(c->type, "bigint") == 0) ||
				 (strcmp(type, "text") == 0 && strcmp(c->type, C_TEXT) == 0))
		{
			appendStringInfo(&ddl, "%s ALTER COLUMN %s TYPE %s", separator,
							 c->column, c->type);
			report(a, table, psprintf("column %s is %s", c->column, c->type));
		}
		else
			continue;
		separator = ",";
	}
	if (*separator != '\0')
		nvs_plan_utility(ddl.data);
}

/* Type and collation of a column; NULL when there is no such column. */
static const char *
column_type(const char *qualified, const char *column)
{
	return nvs_layout_scalar("SELECT pg_catalog.concat("
							 "pg_catalog.format_type(a.atttypid, a.atttypmod), "
							 "CASE WHEN a.attcollation OPERATOR(pg_catalog.=) "
							 "'pg_catalog.\"C\"'::pg_catalog.regcollation "
							 "THEN ' COLLATE \"C\"' END) FROM pg_catalog.pg_attribute a "
							 "WHERE a.attrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass "
							 "AND a.attname OPERATOR(pg_catalog.=) %s AND NOT a.attisdropped",
							 quote_literal_cstr(qualified),
							 quote_literal_cstr(column));
}

/* Draw the ids of an event table from the one sequence of the database. */
static void
adopt_ids(Adoption *a, const char *table)
{
	char	   *qualified = nvs_qualified(a->schema,
										  psprintf("%s_%s", a->prefix, table));
	char	   *sequence = nvs_layout_scalar("SELECT pg_catalog.pg_get_serial_sequence(%s, 'id')",
											 quote_literal_cstr(qualified));
	char	   *dflt = nvs_layout_scalar("SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) "
										 "FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a "
										 "ON a.attrelid OPERATOR(pg_catalog.=) d.adrelid "
										 "AND a.attnum OPERATOR(pg_catalog.=) d.adnum "
										 "WHERE d.adrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass "
										 "AND a.attname OPERATOR(pg_catalog.=) 'id'",
										 quote_literal_cstr(qualified));

	if (raise_position(qualified, sequence))
		report(a, table, pstrdup("new positions are above its ids"));
	if (dflt == NULL || strcmp(dflt, "nvent.next_position()") != 0)
	{
		nvs_plan_utility(psprintf("ALTER TABLE %s ALTER COLUMN id "
								  "SET DEFAULT nvent.next_position()",
								  qualified));
		report(a, table, pstrdup("id is drawn from nvent.next_position()"));
	}
	if (sequence == NULL)
		return;
	nvs_plan_utility(psprintf("DROP SEQUENCE %s", sequence));
	report(a, table, psprintf("sequence %s is dropped", sequence));
}

/*
 * Move the position sequence beyond every id of a table, which is locked, and
 * of the sequence that it had; true if it was moved.  The lock keeps others
 * from drawing meanwhile, so that it is never moved back.
 */
static bool
raise_position(const char *qualified, const char *sequence)
{
	char	   *drawn = "NULL";
	char	   *text;
	int64		highest;
	NvsParams	params;

	if (sequence != NULL)
		drawn = psprintf("(SELECT last_value FROM %s WHERE is_called)",
						 sequence);
	text = nvs_layout_scalar("SELECT GREATEST(pg_catalog.max(id)::pg_catalog.int8, %s) FROM %s",
							 drawn, qualified);

	if (text == NULL)
		return false;

	/* What the table says is data: a number, and nothing else, goes on. */
	highest = DatumGetInt64(DirectFunctionCall1(int8in,
												CStringGetDatum(text)));
	if (highest > MAX_ADOPTED_POSITION)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("position %lld of table %s is too high",
						(long long) highest, qualified),
				 errdetail("Positions of adopted events are at most %lld.",
						   (long long) MAX_ADOPTED_POSITION),
				 errhint("Number the events of the table anew.")));
	LockRelationOid(nvs_registry_table("position_seq"),
					ShareRowExclusiveLock);
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(highest), false);
	return nvs_store_registry_execute(&adopt_raise, &params) > 0;
}

/* Make the computed column of the keys, which goes with the extension. */
static void
adopt_bucket(Adoption *a)
{
	char	   *kv = nvs_qualified(a->schema, psprintf("%s_kv", a->prefix));

	if (column_type(kv, "expire_bucket") != NULL)
		return;
	nvs_plan_utility(nvs_layout_expand(adopt_add_bucket, a->prefix, a->schema));
	report(a, "kv", pstrdup("column expire_bucket and its index are made"));
}

/* Drop indexes on kv.expires_at: they make every TTL refresh a full update. */
static void
drop_expiry_indexes(Adoption *a)
{
	char	   *kv = nvs_qualified(a->schema, psprintf("%s_kv", a->prefix));
	char	   *index;

	while ((index = nvs_layout_scalar("SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text "
									  "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a "
									  "ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid "
									  "AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0] "
									  "WHERE i.indrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass "
									  "AND i.indnatts OPERATOR(pg_catalog.=) 1 "
									  "AND a.attname OPERATOR(pg_catalog.=) 'expires_at' "
									  "ORDER BY 1 LIMIT 1",
									  quote_literal_cstr(kv))) != NULL)
	{
		nvs_plan_utility(psprintf("DROP INDEX %s", index));
		report(a, "kv", psprintf("index %s is dropped", index));
	}
}

/*
 * Take over the generic stream tables, which only the registry could name.
 * Returns their types.
 */
static List *
adopt_streams(Adoption *a)
{
	List	   *types = NIL;
	char	   *table = pstrdup("");
	char	   *begin = psprintf("%s_stream_", a->prefix);
	int			skip = strlen(a->prefix) + 1;

	while ((table = nvs_layout_scalar("SELECT c.relname FROM pg_catalog.pg_class c "
									  "JOIN pg_catalog.pg_namespace n "
									  "ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
									  "WHERE n.nspname OPERATOR(pg_catalog.=) %s "
									  "AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}') "
									  "AND pg_catalog.starts_with(c.relname, %s) "
									  "AND c.relname OPERATOR(pg_catalog.>) %s "
									  "AND EXISTS (SELECT FROM pg_catalog.pg_attribute a "
									  "WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid "
									  "AND a.attname OPERATOR(pg_catalog.=) 'subject' "
									  "AND NOT a.attisdropped) ORDER BY c.relname LIMIT 1",
									  quote_literal_cstr(a->schema),
									  quote_literal_cstr(begin),
									  quote_literal_cstr(table))) != NULL)
	{
		char	   *type = stream_type_of(a, table);

		if (type == NULL)
			report(a, table + skip,
				   pstrdup("left alone: it is empty and its name is a hash"));
		if (type == NULL ||
			strcmp(nvs_stream_table_name(a->prefix, type), table) != 0)
			continue;
		nvs_plan_utility(psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
								  nvs_qualified(a->schema, table)));
		adopt_ids(a, table + skip);
		nvs_layout_stream_up(nvs_qualified(a->schema, table));
		report(a, table + skip,
			   psprintf("stream table of type \"%s\"", type));
		types = lappend(types, makeString(type));
	}
	return types;
}

/*
 * The type that a generic stream table is for: that of any subject in it,
 * else what its name says.  NULL when neither can tell; another when the
 * table is none of ours.
 */
static char *
stream_type_of(const Adoption *a, const char *table)
{
	char	   *subject = nvs_layout_scalar("SELECT subject FROM %s LIMIT 1",
											nvs_qualified(a->schema, table));

	if (subject != NULL)
	{
		NvsSpan		type = nvs_stream_type_of(a->prefix, subject,
											  strlen(subject));

		return pnstrdup(subject + type.offset, type.len);
	}
	if (nvs_stream_table_hashed(table))
		return NULL;
	return pstrdup(table + strlen(a->prefix) + strlen("_stream_"));
}
