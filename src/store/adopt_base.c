/*
 * store/adopt_base.c
 *	  Tables of layouts 1 and 2, of adapter-store-postgres, brought to the base
 *	  layout.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/text.h"
#include "store/adoption.h"
#include "store/layout.h"

/* Type of a text column whose order and equality are those of its bytes. */
#define ADOPT_C_TEXT	"text COLLATE \"C\""

/* A column as layout 3 has it. */
typedef struct AdoptColumn
{
	const char *table;
	const char *column;
	const char *type;			/* as DDL names it */
	const char *dflt;			/* of a column that has to be added */
} AdoptColumn;

/*
 * Something else that is done to a table, in words, unless it goes with
 * something else, and in DDL.
 */
typedef struct AdoptStep
{
	const char *table;
	const char *what;			/* may be NULL */
	const char *ddl;
} AdoptStep;

#define ADOPT_EVENT_FIELDS(table) \
	{table, "type", ADOPT_C_TEXT}, \
	{table, "run_id", ADOPT_C_TEXT}, \
	{table, "flow_name", ADOPT_C_TEXT}, \
	{table, "step_name", ADOPT_C_TEXT}, \
	{table, "step_id", ADOPT_C_TEXT}, \
	{table, "attempt", "integer"}, \
	{table, "meta", "jsonb"}
#define ADOPT_ENTRY_FIELDS(table) \
	{table, "version", "bigint", "0"}, \
	{table, "extra", "jsonb"}

/* Columns that layouts 1 and 2 lack or have otherwise. */
static const AdoptColumn adopt_columns[] = {
	ADOPT_EVENT_FIELDS("flow_events"),

	{"trigger_events", "trigger_name", ADOPT_C_TEXT},
	ADOPT_EVENT_FIELDS("trigger_events"),

	{"flow_runs", "flow_name", ADOPT_C_TEXT},
	{"flow_runs", "run_id", ADOPT_C_TEXT},
	{"flow_runs", "status", ADOPT_C_TEXT},
	{"flow_runs", "step_count", "bigint"},
	{"flow_runs", "completed_steps", "bigint"},
	ADOPT_ENTRY_FIELDS("flow_runs"),

	{"flows", "flow_name", ADOPT_C_TEXT},
	{"flows", "stats_total", "bigint"},
	{"flows", "stats_success", "bigint"},
	{"flows", "stats_failure", "bigint"},
	{"flows", "stats_running", "bigint"},
	{"flows", "stats_awaiting", "bigint"},
	{"flows", "stats_cancel", "bigint"},
	ADOPT_ENTRY_FIELDS("flows"),

	{"triggers", "trigger_name", ADOPT_C_TEXT},
	{"triggers", "trigger_type", ADOPT_C_TEXT},
	{"triggers", "status", ADOPT_C_TEXT},
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
	ADOPT_ENTRY_FIELDS("triggers"),

	{"scheduler_jobs", "job_id", ADOPT_C_TEXT},
	{"scheduler_jobs", "name", ADOPT_C_TEXT},
	{"scheduler_jobs", "job_name", ADOPT_C_TEXT},
	{"scheduler_jobs", "type", ADOPT_C_TEXT},
	{"scheduler_jobs", "schedule", "text"},
	{"scheduler_jobs", "cron", "text"},
	{"scheduler_jobs", "interval", "bigint"},
	{"scheduler_jobs", "execute_at", "bigint"},
	{"scheduler_jobs", "timezone", "text"},
	{"scheduler_jobs", "enabled", "boolean", "true"},
	{"scheduler_jobs", "status", ADOPT_C_TEXT},
	{"scheduler_jobs", "metadata", "jsonb"},
	ADOPT_ENTRY_FIELDS("scheduler_jobs"),

	{"kv", "key", ADOPT_C_TEXT}
};

/*
 * A generated column is filled while the table is written anew; it is an
 * ordinary one afterwards.
 */
#define ADOPT_ENTRY_ACTIONS(table, score, fillfactor) \
	{table, "fillfactor is " fillfactor, "SET (fillfactor = " fillfactor ")"}, \
	{table, "column score is added, filled from " score, \
	 "ADD COLUMN score double precision NOT NULL " \
	 "GENERATED ALWAYS AS (" score ") STORED"}, \
	{table, NULL, "ALTER COLUMN version SET NOT NULL"}
#define ADOPT_SCORE(table) \
	{table, NULL, \
	 "ALTER TABLE {" table "} ALTER COLUMN score DROP EXPRESSION, " \
	 "ALTER COLUMN score SET DEFAULT " NVS_SCORE_DEFAULT}
#define ADOPT_INDEX(table, columns) \
	{table, "index (" columns ") is made", \
	 "CREATE INDEX ON {" table "} (" columns ")"}

/*
 * What else is done by the ALTER TABLE that brings a table's columns to layout
 * 3: the table is written anew once, and each of its indexes built once.
 */
static const AdoptStep adopt_actions[] = {
	{"flow_events", "column flow_name may be NULL",
	"ALTER COLUMN flow_name DROP NOT NULL"},
	ADOPT_ENTRY_ACTIONS("flow_runs", "started_at", "70"),
	ADOPT_ENTRY_ACTIONS("flows", "registered_at", "50"),
	ADOPT_ENTRY_ACTIONS("triggers", "registered_at", "50"),
	ADOPT_ENTRY_ACTIONS("scheduler_jobs", "scheduled_at", "70"),
	{"kv", "fillfactor is 80", "SET (fillfactor = 80)"},
	{"kv", "column expire_bucket is added", "ADD COLUMN " NVS_BUCKET_COLUMN}
};

/* What is done after it. */
static const AdoptStep adopt_steps[] = {
	ADOPT_INDEX("flow_events", "run_id, id"),
	ADOPT_INDEX("trigger_events", "trigger_name, id"),
	ADOPT_SCORE("flow_runs"),
	ADOPT_INDEX("flow_runs", "flow_name, score, run_id"),
	ADOPT_SCORE("flows"),
	ADOPT_INDEX("flows", "score, flow_name"),
	ADOPT_SCORE("triggers"),
	ADOPT_INDEX("triggers", "score, trigger_name"),
	ADOPT_SCORE("scheduler_jobs"),
	ADOPT_INDEX("scheduler_jobs", "score, job_id"),
	{"kv", "index (expire_bucket) is made", NVS_BUCKET_INDEX}
};

/* The tables that layouts 1 and 2 have. */
const char *const nvs_adopt_base_tables[] = {
	"flow_events", "trigger_events", "flow_runs", "flows", "triggers",
	"scheduler_jobs", "kv", NULL
};

/* Indexes of table $1 on nothing but expires_at. */
static const NvsStatement adopt_expiry_indexes = {
	"SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text "
	"FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid "
	"AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0] "
	"WHERE i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
	"AND i.indnatts OPERATOR(pg_catalog.=) 1 "
	"AND a.attname OPERATOR(pg_catalog.=) 'expires_at' ORDER BY 1"
};

static void adopt_columns_of(NvsAdoption *a, const char *table);
static void adopt_report(NvsAdoption *a, const char *table, const char *what);
static char *adopt_column(const NvsAdoption *a, const AdoptColumn *column,
						  Oid relid, char **what);
static void adopt_drop_expiry_indexes(NvsAdoption *a);

/*
 * Bring the tables of layout 1 or 2 to the base layout.  They are locked
 * against everybody: it is not done twice what writes a table or an index anew.
 */
void
nvs_adopt_base(NvsAdoption *a)
{
	int			t;
	int			i;

	adopt_drop_expiry_indexes(a);
	for (t = 0; nvs_adopt_base_tables[t] != NULL; t++)
	{
		const char *table = nvs_adopt_base_tables[t];

		adopt_columns_of(a, table);
		for (i = 0; i < lengthof(adopt_steps); i++)
		{
			if (strcmp(adopt_steps[i].table, table) != 0)
				continue;
			nvs_layout_run(a->store, adopt_steps[i].ddl);
			adopt_report(a, table, adopt_steps[i].what);
		}
	}
	nvs_layout_record(a->store, NVS_LAYOUT_BASE, "adopted by nvent_store");
}

/* Report what was done to a table, in words, unless these are NULL. */
static void
adopt_report(NvsAdoption *a, const char *table, const char *what)
{
	if (what != NULL)
		nvs_adoption_report(a, table, pstrdup(what));
}

/* Add and widen the columns of a table, and more, by one ALTER TABLE. */
static void
adopt_columns_of(NvsAdoption *a, const char *table)
{
	Oid			relid = nvs_adoption_relid(a, table);
	StringInfoData actions;
	int			i;

	/*
	 * One statement for all of it: each that changes a type writes the table
	 * anew.
	 */
	initStringInfo(&actions);

	/* Columns that are missing or too narrow. */
	for (i = 0; i < lengthof(adopt_columns); i++)
	{
		char	   *action;
		char	   *what = NULL;

		if (strcmp(adopt_columns[i].table, table) != 0)
			continue;
		action = adopt_column(a, &adopt_columns[i], relid, &what);
		if (action == NULL)
			continue;
		nvs_sql(&actions, actions.len > 0 ? ", " : " ", action);
		adopt_report(a, table, what);
	}

	/* What such a table has besides columns. */
	for (i = 0; i < lengthof(adopt_actions); i++)
	{
		if (strcmp(adopt_actions[i].table, table) != 0)
			continue;
		nvs_sql(&actions, actions.len > 0 ? ", " : " ", adopt_actions[i].ddl);
		adopt_report(a, table, adopt_actions[i].what);
	}

	if (actions.len > 0)
		nvs_layout_run_table(nvs_adoption_qualified(a, table),
							 psprintf("ALTER TABLE {table}%s", actions.data));
}

/*
 * What ALTER TABLE has to do to a column, and, in *what, the same in words;
 * NULL when the column is there and wide enough.  A version that is NULL
 * becomes 0, for which *what has no words.
 */
static char *
adopt_column(const NvsAdoption *a, const AdoptColumn *column, Oid relid,
			 char **what)
{
	AttrNumber	attnum = get_attnum(relid, column->column);
	bool		version = strcmp(column->column, "version") == 0;
	const char *type = column->type;
	Oid			old;
	int32		typmod;
	Oid			collation;

	if (attnum == InvalidAttrNumber)
	{
		*what = psprintf("column %s is added", column->column);
		return psprintf("ADD COLUMN %s %s%s%s", column->column, type,
						column->dflt == NULL ? "" : " DEFAULT ",
						column->dflt == NULL ? "" : column->dflt);
	}
	get_atttypetypmodcoll(relid, attnum, &old, &typmod, &collation);
	if ((old == INT4OID && strcmp(type, "bigint") == 0 && a->widen) ||
		(old == TEXTOID && collation != C_COLLATION_OID &&
		 strcmp(type, ADOPT_C_TEXT) == 0))
		*what = psprintf("column %s is %s", column->column, type);
	else if (version)
		type = format_type_be_qualified(old);
	else
		return NULL;
	return psprintf("ALTER COLUMN %s TYPE %s%s", column->column, type,
					version ? " USING COALESCE(version, 0)" : "");
}

/* Drop indexes on kv.expires_at: they make every TTL refresh a full update. */
static void
adopt_drop_expiry_indexes(NvsAdoption *a)
{
	ListCell   *lc;

	foreach(lc, nvs_adoption_query(&adopt_expiry_indexes,
								   nvs_adoption_qualified(a, "kv"), NULL))
	{
		nvs_layout_run_table(lfirst(lc), "DROP INDEX {table}");
		nvs_adoption_report(a, "kv",
							psprintf("index %s is dropped",
									 (char *) lfirst(lc)));
	}
}
