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

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/plan.h"
#include "store/adopt.h"
#include "store/adoption.h"
#include "store/layout.h"

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

/* Names of tables that our layouts have and those before them had not. */
static const char *const adopt_later_tables[] = {
	"entries", "locks", "snapshots", "consumers", "checkpoints", "queues",
	"job_levels", "jobs", "job_turns", "job_runs", "job_keys", "job_slots",
	"job_lanes", "job_waits", "job_parents"
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

/* Views and rules that name column authors of table $1. */
static const NvsStatement adopt_author_views = {
	"SELECT d.objid::pg_catalog.text FROM pg_catalog.pg_depend d "
	"JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid OPERATOR(pg_catalog.=) d.refobjid "
	"AND a.attnum OPERATOR(pg_catalog.=) d.refobjsubid "
	"WHERE d.refclassid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_class'::pg_catalog.regclass "
	"AND d.refobjid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
	"AND a.attname OPERATOR(pg_catalog.=) 'authors' "
	"AND d.classid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_rewrite'::pg_catalog.regclass"
};

static void adopt_unreachable(NvsAdoption *a);
static void adopt_report_rows(NvsAdoption *a, const char *table,
							  const char *condition, const char *what);
static void adopt_bucket(NvsAdoption *a);
static void adopt_authors(NvsAdoption *a);
static void adopt_forget_authors(NvsAdoption *a);
static bool adopt_knows_authors(NvsAdoption *a);

/*
 * Bring a store's tables of any layout to the latest, keeping every row;
 * without widen integers of layouts 1 and 2 stay such.  Returns a list of
 * NvsChange; *streams are the types of its generic stream tables, as String,
 * which have to be registered.
 */
List *
nvs_adopt_tables(const NvsStore *store, int from, bool widen, List **streams)
{
	NvsAdoption a = {store, widen, NIL};
	int			layout;
	int			i;

	/* Nothing may change between a look at a table and the end. */
	nvs_adoption_take(&a, "schema_version", false);
	for (i = 0; nvs_adopt_base_tables[i] != NULL; i++)
		nvs_adoption_take(&a, nvs_adopt_base_tables[i], false);
	for (i = 0; i < lengthof(adopt_later_tables); i++)
		nvs_adoption_take(&a, adopt_later_tables[i], true);

	/* The base layout, and what went with the extension. */
	nvs_adopt_ids(&a, "flow_events");
	nvs_adopt_ids(&a, "trigger_events");
	if (from < NVS_LAYOUT_BASE)
		nvs_adopt_base(&a);
	adopt_bucket(&a);
	adopt_authors(&a);
	*streams = nvs_adopt_streams(&a, from);

	/* The layouts above that are missing. */
	from = Max(from, NVS_LAYOUT_BASE);
	nvs_layout_up(store, from, NVS_LAYOUT_LATEST);
	for (layout = from + 1; layout <= NVS_LAYOUT_LATEST; layout++)
		nvs_adoption_report(&a, "schema_version",
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
adopt_unreachable(NvsAdoption *a)
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
adopt_report_rows(NvsAdoption *a, const char *table, const char *condition,
				  const char *what)
{
	int64		n;
	bool		isnull;

	nvs_adoption_read(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s",
							   nvs_adoption_qualified(a, table), condition));
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									SPI_tuptable->tupdesc, 1, &isnull));
	if (n > 0)
		nvs_adoption_report(a, table, psprintf("left to SQL: %lld row%s %s",
											   (long long) n, n == 1 ? "" : "s",
											   what));
}

/*
 * Make the computed column of the keys where it is missing: DROP EXTENSION
 * CASCADE drops it, since a function of the extension computes it.
 */
static void
adopt_bucket(NvsAdoption *a)
{
	if (get_attnum(nvs_adoption_relid(a, "kv"), "expire_bucket") !=
		InvalidAttrNumber)
		return;
	nvs_layout_run(a->store, "ALTER TABLE {kv} ADD COLUMN " NVS_BUCKET_COLUMN);
	nvs_layout_run(a->store, NVS_BUCKET_INDEX);
	nvs_adoption_report(a, "kv",
						pstrdup("column expire_bucket and its index are made"));
}

/*
 * Have it kept who writes schedules: DROP EXTENSION CASCADE drops the triggers
 * that do.  Nobody knows who wrote those that are there, whatever they say, and
 * no rule, trigger or snapshot of anybody's is to keep them from being told so.
 */
static void
adopt_authors(NvsAdoption *a)
{
	if (list_length(nvs_adoption_query(&adopt_author_triggers,
									   nvs_adoption_qualified(a, "scheduler_jobs"),
									   NULL)) == 2)
		return;
	if (get_attnum(nvs_adoption_relid(a, "scheduler_jobs"), "authors") ==
		InvalidAttrNumber)
		nvs_layout_run(a->store, "ALTER TABLE {scheduler_jobs} "
					   "ADD COLUMN authors text[] COLLATE \"C\"");
	else
	{
		nvs_layout_run(a->store, "DROP TRIGGER IF EXISTS schedule_author "
					   "ON {scheduler_jobs}");
		nvs_layout_run(a->store, "DROP TRIGGER IF EXISTS "
					   "schedule_author_check ON {scheduler_jobs}");
		adopt_forget_authors(a);
	}
	nvs_layout_run(a->store, NVS_AUTHOR_TRIGGER("BEFORE", "schedule_author"));
	nvs_layout_run(a->store, NVS_AUTHOR_TRIGGER("AFTER",
												"schedule_author_check"));
	nvs_adoption_report(a, "scheduler_jobs",
						pstrdup("column authors and its triggers are made"));
}

/*
 * Have no row say who wrote it.  That is done by DDL, which nothing keeps from
 * any row, unless none says so; but where a view names the column, of which no
 * type can be altered then, by an update first.  A transaction that keeps its
 * snapshot might update too few.
 */
static void
adopt_forget_authors(NvsAdoption *a)
{
	if (!adopt_knows_authors(a))
		return;
	if (!IsolationUsesXactSnapshot() &&
		nvs_adoption_query(&adopt_author_views,
						   nvs_adoption_qualified(a, "scheduler_jobs"),
						   NULL) != NIL)
	{
		nvs_layout_run(a->store, "UPDATE {scheduler_jobs} SET authors = NULL "
					   "WHERE authors IS NOT NULL");
		if (!adopt_knows_authors(a))
			return;
	}
	nvs_layout_run(a->store, "ALTER TABLE {scheduler_jobs} ALTER COLUMN "
				   "authors TYPE text[] COLLATE \"C\" USING NULL");
}

/* Says any row who wrote it, or has the column another type than ours? */
static bool
adopt_knows_authors(NvsAdoption *a)
{
	Oid			relid = nvs_adoption_relid(a, "scheduler_jobs");
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, get_attnum(relid, "authors"), &type, &typmod,
						  &collation);
	if (type != TEXTARRAYOID || collation != C_COLLATION_OID)
		return true;
	nvs_adoption_read(psprintf("SELECT FROM %s WHERE authors IS NOT NULL "
							   "LIMIT 1",
							   nvs_adoption_qualified(a, "scheduler_jobs")));
	return SPI_processed > 0;
}
