/*
 * store/adopt.c
 *	  Taking over tables that are there already, with every row.
 *
 * They are those of adapter-store-postgres (layouts 1 and 2), or of a store
 * that the registry does not know: it was restored without the extension's
 * schema, or DROP EXTENSION CASCADE took the registry away.  Each change is
 * made only where it is needed, and reported.
 *
 * All of it runs as the role that the version table belongs to, which must own
 * every other table too, and needs SPI.  The tables must be plain ones: neither
 * rows nor code of anybody else come with them.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/identity.h"
#include "base/plan.h"
#include "base/text.h"
#include "store/adopt.h"
#include "store/layout.h"
#include "store/stream_table.h"

/*
 * The highest position that adopted events may have: beyond it a mistaken id
 * would leave too few for all the events to come.
 */
#define ADOPT_MAX_POSITION	(PG_INT64_MAX / 2)

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

/* Something else that is done to a table, in words and in DDL. */
typedef struct AdoptStep
{
	const char *table;
	const char *what;
	const char *ddl;
} AdoptStep;

/* A column that is the end of subjects, and what comes before it in these. */
typedef struct AdoptSubject
{
	const char *table;
	const char *column;
	const char *before;
} AdoptSubject;

static const AdoptSubject adopt_subjects[] = {
	{"flow_events", "run_id", "flow:run"},
	{"trigger_events", "trigger_name", "trigger:event"},
	{"flow_runs", "flow_name", "flow:runs"}
};

#define ADOPT_EVENT_FIELDS(table) \
	{table, "type", ADOPT_C_TEXT}, \
	{table, "run_id", ADOPT_C_TEXT}, \
	{table, "flow_name", ADOPT_C_TEXT}, \
	{table, "step_name", ADOPT_C_TEXT}, \
	{table, "step_id", ADOPT_C_TEXT}, \
	{table, "attempt", "integer"}, \
	{table, "meta", "jsonb"}
#define ADOPT_ENTRY_FIELDS(table) \
	{table, "version", "bigint"}, \
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

#define ADOPT_ENTRIES(table, score, fillfactor) \
	{table, "fillfactor is " fillfactor, \
	 "ALTER TABLE {" table "} SET (fillfactor = " fillfactor ")"}, \
	{table, "column score is added, filled from " score, \
	 "ALTER TABLE {" table "} ADD COLUMN " NVS_SCORE_COLUMN "; " \
	 "UPDATE {" table "} SET score = " score ", " \
	 "version = COALESCE(version, 0); " \
	 "ALTER TABLE {" table "} ALTER COLUMN version SET NOT NULL"}
#define ADOPT_INDEX(table, columns) \
	{table, "index (" columns ") is made", \
	 "CREATE INDEX ON {" table "} (" columns ")"}

/* What brings a table of layout 1 or 2 to layout 3, besides its columns. */
static const AdoptStep adopt_steps[] = {
	{"flow_events", "column flow_name may be NULL",
	"ALTER TABLE {flow_events} ALTER COLUMN flow_name DROP NOT NULL"},
	ADOPT_INDEX("flow_events", "run_id, id"),
	ADOPT_INDEX("trigger_events", "trigger_name, id"),
	ADOPT_ENTRIES("flow_runs", "started_at", "70"),
	ADOPT_INDEX("flow_runs", "flow_name, score, run_id"),
	ADOPT_ENTRIES("flows", "registered_at", "50"),
	ADOPT_INDEX("flows", "score, flow_name"),
	ADOPT_ENTRIES("triggers", "registered_at", "50"),
	ADOPT_INDEX("triggers", "score, trigger_name"),
	ADOPT_ENTRIES("scheduler_jobs", "scheduled_at", "70"),
	ADOPT_INDEX("scheduler_jobs", "score, job_id"),
	{"kv", "fillfactor is 80", "ALTER TABLE {kv} SET (fillfactor = 80)"}
};

/* The tables that layouts 1 and 2 have. */
static const char *const adopt_tables[] = {
	"flow_events", "trigger_events", "flow_runs", "flows", "triggers",
	"scheduler_jobs", "kv"
};

/* Those that later layouts have too. */
static const char *const adopt_later_tables[] = {
	"entries", "locks", "snapshots", "consumers", "checkpoints", "queues",
	"job_levels", "jobs", "job_turns", "job_runs", "job_keys", "job_slots",
	"job_lanes", "job_waits", "job_parents"
};

/* A column that is not converted, and the types that it may have. */
typedef struct AdoptType
{
	const char *table;
	const char *column;
	Oid			types[2];		/* InvalidOid: none */
	const char *wanted;			/* the same in words */
} AdoptType;

#define ADOPT_TEXT		{TEXTOID, VARCHAROID}, "text"
#define ADOPT_INTEGER	{INT4OID, INT8OID}, "integer or bigint"
#define ADOPT_BIGINT	{INT8OID}, "bigint"

static const AdoptType adopt_types[] = {
	{"schema_version", "version", {INT4OID}, "integer"},
	{"flow_events", "id", ADOPT_INTEGER},
	{"flow_events", "ts", ADOPT_BIGINT},
	{"flow_events", "type", ADOPT_TEXT},
	{"flow_events", "run_id", ADOPT_TEXT},
	{"trigger_events", "id", ADOPT_INTEGER},
	{"trigger_events", "ts", ADOPT_BIGINT},
	{"trigger_events", "type", ADOPT_TEXT},
	{"trigger_events", "trigger_name", ADOPT_TEXT},
	{"flow_runs", "flow_name", ADOPT_TEXT},
	{"flow_runs", "run_id", ADOPT_TEXT},
	{"flow_runs", "started_at", ADOPT_BIGINT},
	{"flows", "flow_name", ADOPT_TEXT},
	{"flows", "registered_at", ADOPT_BIGINT},
	{"triggers", "trigger_name", ADOPT_TEXT},
	{"triggers", "registered_at", ADOPT_BIGINT},
	{"scheduler_jobs", "job_id", ADOPT_TEXT},
	{"scheduler_jobs", "scheduled_at", ADOPT_BIGINT},
	{"kv", "key", ADOPT_TEXT},
	{"kv", "value", {JSONBOID}, "jsonb"},
	{"kv", "expires_at", {TIMESTAMPTZOID}, "timestamp with time zone"}
};

/* The columns of a generic stream table. */
static const AdoptType adopt_stream_types[] = {
	{NULL, "id", {INT8OID}, "bigint"},
	{NULL, "ts", ADOPT_BIGINT},
	{NULL, "type", ADOPT_TEXT},
	{NULL, "subject", ADOPT_TEXT}
};

/* The sequence of an id column, and the column's default, of table $1. */
static const NvsStatement adopt_id_source = {
	"SELECT pg_catalog.pg_get_serial_sequence($1, 'id'), "
	"(SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) "
	"FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid OPERATOR(pg_catalog.=) d.adrelid "
	"AND a.attnum OPERATOR(pg_catalog.=) d.adnum "
	"WHERE d.adrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
	"AND a.attname OPERATOR(pg_catalog.=) 'id')"
};

/* Moves the position sequence to $1 unless it is there or beyond. */
static const NvsStatement adopt_set_position = {
	"SELECT pg_catalog.setval('nvent.position_seq', $1) "
	"FROM nvent.position_seq WHERE CASE WHEN is_called THEN last_value "
	"ELSE last_value OPERATOR(pg_catalog.-) 1 END "
	"OPERATOR(pg_catalog.<) $1"
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

/* Triggers of table $1 that keep who writes schedules. */
static const NvsStatement adopt_author_triggers = {
	"SELECT g.tgname::pg_catalog.text FROM pg_catalog.pg_trigger g "
	"JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) g.tgfoid "
	"JOIN pg_catalog.pg_namespace n "
	"ON n.oid OPERATOR(pg_catalog.=) f.pronamespace "
	"WHERE g.tgrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
	"AND g.tgname OPERATOR(pg_catalog.=) "
	"ANY ('{schedule_author,schedule_author_check}'::pg_catalog.name[]) "
	"AND f.proname OPERATOR(pg_catalog.=) 'schedule_author' "
	"AND n.nspname OPERATOR(pg_catalog.=) 'nvent'"
};

/* Tables of schema $1 with a column "subject" whose names begin with $2. */
static const NvsStatement adopt_stream_names = {
	"SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c "
	"JOIN pg_catalog.pg_namespace n "
	"ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
	"WHERE n.nspname OPERATOR(pg_catalog.=) $1 "
	"AND pg_catalog.starts_with(c.relname, $2) "
	"AND EXISTS (SELECT FROM pg_catalog.pg_attribute a "
	"WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid "
	"AND a.attname OPERATOR(pg_catalog.=) 'subject' "
	"AND NOT a.attisdropped) ORDER BY c.relname"
};

/* A store that is being adopted, and the changes made to its tables. */
typedef struct Adoption
{
	const NvsStore *store;
	List	   *changes;		/* NvsChange */
} Adoption;

static char *adopt_name(const Adoption *a, const char *table);
static char *adopt_qualified(const Adoption *a, const char *table);
static Oid	adopt_relid(const Adoption *a, const char *table);
static void adopt_unreachable(Adoption *a);
static void adopt_report_rows(Adoption *a, const char *table,
							  const char *condition, const char *what);
static List *adopt_query_texts(const NvsStatement *statement,
							   const char *first, const char *second);
static void adopt_take(const Adoption *a, const char *table, bool missing_ok);
static void adopt_check_plain(const Adoption *a, Oid relid);
static void adopt_check_types(const Adoption *a, const char *table, Oid relid,
							  const AdoptType *types, int ntypes);
static void adopt_report(Adoption *a, const char *table, char *what);
static void adopt_base(Adoption *a);
static void adopt_columns_of(Adoption *a, const char *table);
static char *adopt_column(const AdoptColumn *column, Oid relid, char **what);
static void adopt_ids(Adoption *a, const char *table);
static bool adopt_raise_position(const char *qualified, const char *sequence);
static bool adopt_highest(const char *qualified, const char *sequence,
						  int64 *highest);
static void adopt_bucket(Adoption *a);
static void adopt_authors(Adoption *a);
static void adopt_drop_expiry_indexes(Adoption *a);
static List *adopt_streams(Adoption *a, int from);
static bool adopt_take_stream(const Adoption *a, const char *name);
static char *adopt_stream_type(const Adoption *a, const char *name);

/*
 * Bring a store's tables of any layout to the latest, keeping every row.
 * Returns a list of NvsChange; *streams are the types of its generic stream
 * tables, as String, which have to be registered.
 */
List *
nvs_adopt_tables(const NvsStore *store, int from, List **streams)
{
	Adoption	a = {store, NIL};
	int			layout;
	int			i;

	/* Nothing may change between a look at a table and the end. */
	adopt_take(&a, "schema_version", false);
	for (i = 0; i < lengthof(adopt_tables); i++)
		adopt_take(&a, adopt_tables[i], false);
	for (i = 0; i < lengthof(adopt_later_tables); i++)
		adopt_take(&a, adopt_later_tables[i], true);

	/* The base layout, and what went with the extension. */
	adopt_ids(&a, "flow_events");
	adopt_ids(&a, "trigger_events");
	if (from < NVS_LAYOUT_BASE)
		adopt_base(&a);
	adopt_bucket(&a);
	adopt_authors(&a);
	*streams = adopt_streams(&a, from);

	/* The layouts above that are missing. */
	from = Max(from, NVS_LAYOUT_BASE);
	nvs_layout_up(store, from, NVS_LAYOUT_LATEST);
	for (layout = from + 1; layout <= NVS_LAYOUT_LATEST; layout++)
		adopt_report(&a, "schema_version",
					 psprintf("layout %d is made: %s", layout,
							  nvs_layout_description(layout)));
	adopt_unreachable(&a);
	return a.changes;
}

/*
 * Report rows that no call of ours reaches: the table stays as it is, so they
 * are there for plain SQL.
 */
static void
adopt_unreachable(Adoption *a)
{
	int			i;

	for (i = 0; i < lengthof(adopt_subjects); i++)
	{
		const AdoptSubject *s = &adopt_subjects[i];
		char	   *begin = psprintf("%s:%s:", a->store->prefix, s->before);

		adopt_report_rows(a, s->table,
						  psprintf("NOT nvent.subject_is_valid("
								   "pg_catalog.concat(%s, %s))",
								   quote_literal_cstr(begin), s->column),
						  psprintf("with a %s that makes no subject: over "
								   "1,024 bytes or 64 tokens", s->column));
	}
	adopt_report_rows(a, "flow_events",
					  "id OPERATOR(pg_catalog.<) 1",
					  "with an id below 1, which polls pass");
	adopt_report_rows(a, "trigger_events",
					  "id OPERATOR(pg_catalog.<) 1",
					  "with an id below 1, which polls pass");
	adopt_report_rows(a, "kv",
					  "pg_catalog.octet_length(key) OPERATOR(pg_catalog.=) 0 "
					  "OR pg_catalog.octet_length(key) "
					  "OPERATOR(pg_catalog.>) 1024",
					  "with a key that is empty or over 1,024 bytes");
}

/* Report how many rows of a table meet a condition, if there are any. */
static void
adopt_report_rows(Adoption *a, const char *table, const char *condition,
				  const char *what)
{
	int64		n;
	bool		isnull;

	nvs_plan_utility(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s",
							  adopt_qualified(a, table), condition));
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									SPI_tuptable->tupdesc, 1, &isnull));
	if (n > 0)
		adopt_report(a, table, psprintf("left to SQL: %lld row%s %s",
										(long long) n, n == 1 ? "" : "s",
										what));
}

/* Name of the store's table, as it is in the catalog. */
static char *
adopt_name(const Adoption *a, const char *table)
{
	return psprintf("%s_%s", a->store->prefix, table);
}

/* Name of the store's table with the schema, quoted as SQL needs it. */
static char *
adopt_qualified(const Adoption *a, const char *table)
{
	return nvs_qualified(a->store->schema, adopt_name(a, table));
}

/* OID of the store's table; InvalidOid when there is none. */
static Oid
adopt_relid(const Adoption *a, const char *table)
{
	return nvs_relation_find(a->store, NULL, adopt_name(a, table));
}

/*
 * Lock a table against everybody until the end of the transaction, which can be
 * adopted; an error when it cannot, or, without missing_ok, is not there.
 */
static void
adopt_take(const Adoption *a, const char *table, bool missing_ok)
{
	Oid			relid = nvs_relation_lock(a->store, NULL,
										  adopt_name(a, table), true,
										  AccessExclusiveLock);

	if (!OidIsValid(relid) && missing_ok)
		return;
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist",
						adopt_qualified(a, table)),
				 errdetail("It is one of those that are adopted.")));
	adopt_check_plain(a, relid);
	adopt_check_types(a, table, relid, adopt_types, lengthof(adopt_types));
}

/*
 * Raise an error unless a table, which is locked, is a plain one: what inherits
 * from another one, or is inherited from, shares rows with tables that may be
 * anybody's.
 */
static void
adopt_check_plain(const Adoption *a, Oid relid)
{
	if (get_rel_relkind(relid) == RELKIND_RELATION &&
		!get_rel_relispartition(relid) && !has_superclass(relid) &&
		!has_subclass(relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("table %s cannot be adopted",
					nvs_qualified(a->store->schema, get_rel_name(relid))),
			 errdetail("It is partitioned, a partition, or inherits or is inherited from.")));
}

/* Raise an error unless columns of a table have types that can be adopted. */
static void
adopt_check_types(const Adoption *a, const char *table, Oid relid,
				  const AdoptType *types, int ntypes)
{
	int			i;

	for (i = 0; i < ntypes; i++)
	{
		const AdoptType *t = &types[i];
		AttrNumber	attnum;
		Oid			type;

		if (t->table != NULL && strcmp(t->table, table) != 0)
			continue;
		attnum = get_attnum(relid, t->column);
		type = attnum == InvalidAttrNumber ? InvalidOid :
			get_atttype(relid, attnum);
		if (OidIsValid(type) && (type == t->types[0] || type == t->types[1]))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table %s cannot be adopted",
						adopt_qualified(a, table)),
				 errdetail("It has no column \"%s\" of type %s.", t->column,
						   t->wanted)));
	}
}

/*
 * Run a query with one or two texts as parameters; second is NULL for one.
 * Returns all columns of all rows as a list of strings, of which SQL's NULL is
 * NULL.
 */
static List *
adopt_query_texts(const NvsStatement *statement, const char *first,
				  const char *second)
{
	List	   *result = NIL;
	NvsParams	params;
	uint64		n;
	uint64		i;
	int			column;

	nvs_params_init(&params);
	nvs_params_add(&params, TEXTOID, CStringGetTextDatum(first), false);
	if (second != NULL)
		nvs_params_add(&params, TEXTOID, CStringGetTextDatum(second), false);
	n = nvs_execute(nvs_statement_plan(NULL, statement, &params, NULL),
					&params, false, 0);
	for (i = 0; i < n; i++)
		for (column = 1; column <= SPI_tuptable->tupdesc->natts; column++)
			result = lappend(result, SPI_getvalue(SPI_tuptable->vals[i],
												  SPI_tuptable->tupdesc,
												  column));
	return result;
}

/* Add a change of the store's table to the report. */
static void
adopt_report(Adoption *a, const char *table, char *what)
{
	NvsChange  *change = palloc(sizeof(NvsChange));

	change->relation = adopt_name(a, table);
	change->what = what;
	a->changes = lappend(a->changes, change);
}

/* Bring the tables of layout 1 or 2 to the base layout. */
static void
adopt_base(Adoption *a)
{
	int			t;
	int			i;

	for (t = 0; t < lengthof(adopt_tables); t++)
	{
		const char *table = adopt_tables[t];

		adopt_columns_of(a, table);
		for (i = 0; i < lengthof(adopt_steps); i++)
		{
			if (strcmp(adopt_steps[i].table, table) != 0)
				continue;
			nvs_layout_run(a->store, adopt_steps[i].ddl);
			adopt_report(a, table, pstrdup(adopt_steps[i].what));
		}
	}
	adopt_drop_expiry_indexes(a);
	nvs_layout_record(a->store, NVS_LAYOUT_BASE, "adopted by nvent_store");
}

/* Add and widen the columns of a table, all by one ALTER TABLE. */
static void
adopt_columns_of(Adoption *a, const char *table)
{
	Oid			relid = adopt_relid(a, table);
	StringInfoData actions;
	int			i;

	initStringInfo(&actions);
	for (i = 0; i < lengthof(adopt_columns); i++)
	{
		char	   *action;
		char	   *what;

		if (strcmp(adopt_columns[i].table, table) != 0)
			continue;
		action = adopt_column(&adopt_columns[i], relid, &what);
		if (action == NULL)
			continue;
		nvs_sql(&actions, actions.len > 0 ? ", " : " ", action);
		adopt_report(a, table, what);
	}
	if (actions.len > 0)
		nvs_layout_run_table(adopt_qualified(a, table),
							 psprintf("ALTER TABLE {table}%s", actions.data));
}

/*
 * What ALTER TABLE has to do to a column, and, in *what, the same in words;
 * NULL when the column is there and wide enough.
 */
static char *
adopt_column(const AdoptColumn *column, Oid relid, char **what)
{
	AttrNumber	attnum = get_attnum(relid, column->column);
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (attnum == InvalidAttrNumber)
	{
		*what = psprintf("column %s is added", column->column);
		return psprintf("ADD COLUMN %s %s%s%s", column->column, column->type,
						column->dflt == NULL ? "" : " DEFAULT ",
						column->dflt == NULL ? "" : column->dflt);
	}
	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	if (!(type == INT4OID && strcmp(column->type, "bigint") == 0) &&
		!(type == TEXTOID && collation != C_COLLATION_OID &&
		  strcmp(column->type, ADOPT_C_TEXT) == 0))
		return NULL;
	*what = psprintf("column %s is %s", column->column, column->type);
	return psprintf("ALTER COLUMN %s TYPE %s", column->column, column->type);
}

/*
 * Have a table of events draw its ids from the sequence of positions, the one
 * that the database has, and drop the sequence that it had for itself.
 */
static void
adopt_ids(Adoption *a, const char *table)
{
	char	   *qualified = adopt_qualified(a, table);
	Oid			relid = adopt_relid(a, table);
	List	   *source = adopt_query_texts(&adopt_id_source, qualified, NULL);
	char	   *sequence = linitial(source);
	char	   *dflt = lsecond(source);
	char	   *draw;

	if (get_atttype(relid, get_attnum(relid, "id")) != INT8OID)
	{
		nvs_layout_run_table(qualified, "ALTER TABLE {table} ALTER COLUMN id "
							 "TYPE bigint");
		adopt_report(a, table, pstrdup("column id is bigint"));
	}
	if (adopt_raise_position(qualified, sequence))
		adopt_report(a, table, pstrdup("new positions are above its ids"));
	draw = psprintf("nvent.next_position(%s::text)",
					quote_literal_cstr(a->store->prefix));
	if (dflt == NULL || strcmp(dflt, draw) != 0)
	{
		nvs_layout_run_table(qualified,
							 psprintf("ALTER TABLE {table} ALTER COLUMN id "
									  "SET DEFAULT %s", draw));
		adopt_report(a, table,
					 pstrdup("id is drawn from nvent.next_position()"));
	}
	if (sequence == NULL)
		return;
	nvs_layout_run_table(sequence, "DROP SEQUENCE {table}");
	adopt_report(a, table, psprintf("sequence %s is dropped", sequence));
}

/*
 * Move the sequence of positions beyond every id of a table, which must be
 * locked, and of the table's own sequence, which may be NULL; true if it was
 * moved.  Locks the sequence of positions until the end of the transaction: if
 * others could draw from it meanwhile, it might be moved back.
 */
static bool
adopt_raise_position(const char *qualified, const char *sequence)
{
	NvsParams	params;
	int64		highest;

	if (!adopt_highest(qualified, sequence, &highest))
		return false;
	if (highest > ADOPT_MAX_POSITION)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("id %lld of table %s is too high to be a position",
						(long long) highest, qualified),
				 errdetail("Positions of adopted events are at most %lld.",
						   (long long) ADOPT_MAX_POSITION),
				 errhint("Number the events of the table anew.")));
	LockRelationOid(nvs_registry_table("position_seq"),
					ShareRowExclusiveLock);
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(highest), false);
	return nvs_store_registry_execute(&adopt_set_position, &params) > 0;
}

/*
 * The highest id of a table and of its own sequence, which may be NULL; false
 * when there is none.  Both are somebody's, and their names are text of a
 * statement: it is run as the caller, and what it returns is a number.
 */
static bool
adopt_highest(const char *qualified, const char *sequence, int64 *highest)
{
	const char *drawn = "";
	bool		isnull;

	if (sequence != NULL)
		drawn = psprintf(", (SELECT last_value FROM %s WHERE is_called)",
						 sequence);
	nvs_plan_utility(psprintf("SELECT GREATEST("
							  "pg_catalog.max(id)::pg_catalog.int8%s) FROM %s",
							  drawn, qualified));
	*highest = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 1, &isnull));
	return !isnull;
}

/*
 * Make the computed column of the keys where it is missing: DROP EXTENSION
 * CASCADE drops it, since a function of the extension computes it.
 */
static void
adopt_bucket(Adoption *a)
{
	if (get_attnum(adopt_relid(a, "kv"), "expire_bucket") !=
		InvalidAttrNumber)
		return;
	nvs_layout_run(a->store, "ALTER TABLE {kv} ADD COLUMN " NVS_BUCKET_COLUMN);
	nvs_layout_run(a->store, "CREATE INDEX ON {kv} (expire_bucket) "
				   "WHERE expire_bucket IS NOT NULL");
	adopt_report(a, "kv",
				 pstrdup("column expire_bucket and its index are made"));
}

/* Drop indexes on kv.expires_at: they make every TTL refresh a full update. */
static void
adopt_drop_expiry_indexes(Adoption *a)
{
	ListCell   *lc;

	foreach(lc, adopt_query_texts(&adopt_expiry_indexes,
								  adopt_qualified(a, "kv"), NULL))
	{
		nvs_layout_run_table(lfirst(lc), "DROP INDEX {table}");
		adopt_report(a, "kv",
					 psprintf("index %s is dropped", (char *) lfirst(lc)));
	}
}

/*
 * Have it kept who writes schedules: DROP EXTENSION CASCADE drops the triggers
 * that do.  Nobody knows who wrote those that are there.
 */
static void
adopt_authors(Adoption *a)
{
	if (list_length(adopt_query_texts(&adopt_author_triggers,
									  adopt_qualified(a, "scheduler_jobs"),
									  NULL)) == 2)
		return;
	if (get_attnum(adopt_relid(a, "scheduler_jobs"), "authors") ==
		InvalidAttrNumber)
		nvs_layout_run(a->store, "ALTER TABLE {scheduler_jobs} "
					   "ADD COLUMN authors text[] COLLATE \"C\"");
	else
	{
		nvs_layout_run(a->store, "DROP TRIGGER IF EXISTS schedule_author "
					   "ON {scheduler_jobs}");
		nvs_layout_run(a->store, "DROP TRIGGER IF EXISTS "
					   "schedule_author_check ON {scheduler_jobs}");
		nvs_layout_run(a->store, "UPDATE {scheduler_jobs} SET authors = NULL "
					   "WHERE authors IS NOT NULL");
	}
	nvs_layout_run(a->store, NVS_AUTHOR_TRIGGER("BEFORE", "schedule_author"));
	nvs_layout_run(a->store, NVS_AUTHOR_TRIGGER("AFTER",
												"schedule_author_check"));
	adopt_report(a, "scheduler_jobs",
				 pstrdup("column authors and its triggers are made"));
}

/*
 * Take over the generic stream tables, which are of layout from: those with the
 * name of the type of their subjects.  Returns their types, as String.
 */
static List *
adopt_streams(Adoption *a, int from)
{
	const NvsStore *store = a->store;
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, adopt_query_texts(&adopt_stream_names, store->schema,
								  adopt_name(a, "stream_")))
	{
		char	   *name = lfirst(lc);
		char	   *table = name + strlen(store->prefix) + 1;
		char	   *type;

		if (!adopt_take_stream(a, name))
			continue;
		type = adopt_stream_type(a, name);

		if (type == NULL)
			adopt_report(a, table,
						 pstrdup("left alone: it is empty and its name is a hash"));
		if (type == NULL ||
			strcmp(nvs_stream_table_name(store->prefix, type), name) != 0)
			continue;
		adopt_check_types(a, table, adopt_relid(a, table), adopt_stream_types,
						  lengthof(adopt_stream_types));
		adopt_ids(a, table);
		nvs_layout_raise_stream(store, name, from);
		adopt_report(a, table, psprintf("stream table of type \"%s\"", type));
		types = lappend(types, makeString(type));
	}
	return types;
}

/*
 * Lock a relation that may be a generic stream table against everybody until
 * the end of the transaction; false when it is no plain table of the store's
 * owner, and therefore none.
 */
static bool
adopt_take_stream(const Adoption *a, const char *name)
{
	Oid			relid = nvs_relation_find(a->store, NULL, name);

	if (!OidIsValid(relid) || !nvs_relation_is_own(a->store, relid, true))
		return false;
	relid = nvs_relation_lock(a->store, NULL, name, true,
							  AccessExclusiveLock);
	if (!OidIsValid(relid))
		return false;
	adopt_check_plain(a, relid);
	return true;
}

/*
 * The type of a table that may be a generic stream table: that of one of the
 * subjects in it, else what its name says; NULL when the table is empty and its
 * name is a hash.
 */
static char *
adopt_stream_type(const Adoption *a, const char *name)
{
	const NvsStore *store = a->store;
	char	   *subject;
	NvsSpan		type;

	subject = nvs_layout_text(psprintf("SELECT subject FROM %s LIMIT 1",
									   nvs_qualified(store->schema, name)));
	if (subject != NULL)
	{
		type = nvs_stream_type_of(store->prefix, subject, strlen(subject));
		return pnstrdup(subject + type.offset, type.len);
	}
	if (nvs_stream_table_hashed(name))
		return NULL;
	return pstrdup(name + strlen(adopt_name(a, "stream_")));
}
