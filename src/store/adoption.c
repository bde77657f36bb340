/*
 * store/adoption.c
 *	  A store that is being adopted: its tables, which are locked and checked,
 *	  and what is reported of them.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "base/identity.h"
#include "base/plan.h"
#include "base/text.h"
#include "store/adopt.h"
#include "store/adoption.h"

/* Columns of ours that a table of entries may have already. */
#define ADOPTION_ENTRY(table) \
	{table, "version", ADOPT_INTEGER, true}, \
	{table, "extra", ADOPT_JSONB, true}

static const NvsAdoptionType adoption_types[] = {
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
	{"flow_events", "meta", ADOPT_JSONB, true},
	{"trigger_events", "meta", ADOPT_JSONB, true},
	ADOPTION_ENTRY("flow_runs"),
	ADOPTION_ENTRY("flows"),
	ADOPTION_ENTRY("triggers"),
	ADOPTION_ENTRY("scheduler_jobs"),
	{"kv", "key", ADOPT_TEXT},
	{"kv", "value", ADOPT_JSONB},
	{"kv", "expires_at", {TIMESTAMPTZOID}, "timestamp with time zone"}
};

/* Name of the store's table, as it is in the catalog. */
char *
nvs_adoption_name(const NvsAdoption *a, const char *table)
{
	return psprintf("%s_%s", a->store->prefix, table);
}

/* Name of the store's table with the schema, quoted as SQL needs it. */
char *
nvs_adoption_qualified(const NvsAdoption *a, const char *table)
{
	return nvs_qualified(a->store->schema, nvs_adoption_name(a, table));
}

/* OID of the store's table; InvalidOid when there is none. */
Oid
nvs_adoption_relid(const NvsAdoption *a, const char *table)
{
	return nvs_relation_find(a->store, NULL, nvs_adoption_name(a, table));
}

/*
 * Lock a table against everybody until the end of the transaction, which can be
 * adopted; an error when it cannot, or, without missing_ok, is not there.
 */
void
nvs_adoption_take(const NvsAdoption *a, const char *table, bool missing_ok)
{
	Oid			relid = nvs_relation_lock(a->store, NULL,
										  nvs_adoption_name(a, table), true,
										  AccessExclusiveLock);

	if (!OidIsValid(relid) && missing_ok)
		return;
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist",
						nvs_adoption_qualified(a, table)),
				 errdetail("It is one of those that are adopted.")));
	nvs_adoption_check_plain(a, relid);
	nvs_adoption_check_types(a, table, relid, adoption_types,
							 lengthof(adoption_types));
}

/*
 * Raise an error unless a table, which is locked, is a plain one: what inherits
 * from another one, or is inherited from, shares rows with tables that may be
 * anybody's.
 */
void
nvs_adoption_check_plain(const NvsAdoption *a, Oid relid)
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
void
nvs_adoption_check_types(const NvsAdoption *a, const char *table, Oid relid,
						 const NvsAdoptionType *types, int ntypes)
{
	int			i;

	for (i = 0; i < ntypes; i++)
	{
		const NvsAdoptionType *t = &types[i];
		AttrNumber	attnum;
		Oid			type;

		if (t->table != NULL && strcmp(t->table, table) != 0)
			continue;
		attnum = get_attnum(relid, t->column);
		if (attnum == InvalidAttrNumber && t->may_lack)
			continue;
		type = attnum == InvalidAttrNumber ? InvalidOid :
			get_atttype(relid, attnum);
		if (OidIsValid(type) && (type == t->types[0] || type == t->types[1]))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table %s cannot be adopted",
						nvs_adoption_qualified(a, table)),
				 errdetail("It has no column \"%s\" of type %s.", t->column,
						   t->wanted)));
	}
}

/*
 * Run a query with one or two texts as parameters; second is NULL for one.  It
 * shows what has been committed by now, however old the transaction's snapshot.
 * Returns all columns of all rows as a list of strings, of which SQL's NULL is
 * NULL.
 */
List *
nvs_adoption_query(const NvsStatement *statement, const char *first,
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
	PushActiveSnapshot(GetLatestSnapshot());
	n = nvs_execute(nvs_statement_plan(NULL, statement, &params, NULL),
					&params, true, 0);
	PopActiveSnapshot();
	for (i = 0; i < n; i++)
		for (column = 1; column <= SPI_tuptable->tupdesc->natts; column++)
			result = lappend(result, SPI_getvalue(SPI_tuptable->vals[i],
												  SPI_tuptable->tupdesc,
												  column));
	return result;
}

/*
 * Run a query of what is in a table.  Rows that a policy hides would be passed:
 * better an error.  Nothing else in an adoption is held to that, since code of
 * others, of an event trigger, may have to do with tables that have policies.
 */
void
nvs_adoption_read(const char *sql)
{
	int			level = NewGUCNestLevel();

	nvs_pin_setting("row_security", "off");
	nvs_plan_query(sql);
	AtEOXact_GUC(false, level);
}

/* Add a change of the store's table to the report. */
void
nvs_adoption_report(NvsAdoption *a, const char *table, char *what)
{
	NvsChange  *change = palloc(sizeof(NvsChange));

	change->relation = nvs_adoption_name(a, table);
	change->what = what;
	a->changes = lappend(a->changes, change);
}
