/*
 * schedule/author.c
 *	  Who wrote a schedule, and what they may do.
 *
 * A row of {scheduler_jobs} has the names of all who wrote it, from when it was
 * inserted, since what one of them put there may be in it still.  Triggers of
 * ours keep them: one before each row, which sets them, and one after it, which
 * refuses what a trigger behind ours has made of them.  Two statements are
 * executed here with a pass: those that make a run leave the authors as they
 * are, and the one by which nvent.schedule_set() says all of a row anew has
 * its caller be the only one.  A run is made with the rights that all authors
 * have, when it is made; see schedule/run.c.
 *
 * They are names, as in a dump, and not OIDs, which are others' in another
 * cluster.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "compat.h"
#include "base/arg.h"
#include "base/identity.h"
#include "schedule/schedule.h"
#include "store/store.h"

/*
 * The table that a statement with a pass may write to, what it does, and how
 * deep in triggers it is executed: what these write has no pass.
 */
static Oid	author_pass = InvalidOid;
static NvsAuthorship author_pass_kind = NVS_AUTHOR_KEEP;
static int	author_pass_depth = 0;

/*
 * Are the two triggers on table $1 that keep authors, and may nobody but its
 * owner replace them by others for a while?  $2 is our schema.
 */
static const NvsStatement author_triggers = {
	"SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) 2 "
	"FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc f "
	"ON f.oid OPERATOR(pg_catalog.=) g.tgfoid "
	"WHERE g.tgrelid OPERATOR(pg_catalog.=) $1 AND NOT g.tgisinternal "
	"AND g.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog.\"char\"[]) "
	"AND g.tgqual IS NULL "
	"AND g.tgattr::pg_catalog.text OPERATOR(pg_catalog.=) '' "
	/* For each row, on INSERT and UPDATE; before or after it. */
	"AND g.tgtype OPERATOR(pg_catalog.=) "
	"ANY ('{21,23}'::pg_catalog.int2[]) "
	"AND f.proname OPERATOR(pg_catalog.=) 'schedule_author' "
	"AND f.pronamespace OPERATOR(pg_catalog.=) $2 "
	"AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c, "
	"LATERAL pg_catalog.aclexplode(c.relacl) a "
	"LEFT JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) a.grantee "
	"WHERE c.oid OPERATOR(pg_catalog.=) $1 "
	"AND a.privilege_type OPERATOR(pg_catalog.=) 'TRIGGER' "
	"AND a.grantee OPERATOR(pg_catalog.<>) c.relowner "
	"AND o.rolsuper IS NOT TRUE)"
};

PG_FUNCTION_INFO_V1(nvs_schedule_author);

static AttrNumber author_column(Relation rel);
static void author_check(Relation rel, HeapTuple row, AttrNumber column,
						 Datum authors, bool isnull);
static Datum author_after(const TriggerData *data, HeapTuple before,
						  HeapTuple after, AttrNumber attnum, bool *isnull);
static int	author_depth(void);
static bool author_is_run(Relation rel, HeapTuple before, HeapTuple after);
static bool author_is_run_column(const Form_pg_attribute att);
static bool author_same_config(Datum before, Datum after);
static Datum author_add(Datum authors, bool isnull);
static Datum author_list(const char *name);

/*
 * nvent.schedule_author(), a trigger before and after each row of
 * {scheduler_jobs} that is inserted or updated: sets and checks its authors.
 */
Datum
nvs_schedule_author(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	HeapTuple	before = NULL;
	int			column;
	Datum		authors;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));

	/* What the row was, if it was there, and what it becomes. */
	row = data->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		before = row;
		row = data->tg_newtuple;
	}
	column = author_column(data->tg_relation);
	authors = author_after(data, before, row, column, &isnull);

	/* Whoever has said other authors, they are set here. */
	if (TRIGGER_FIRED_BEFORE(data->tg_event))
	{
		row = heap_modify_tuple_by_cols(row,
										RelationGetDescr(data->tg_relation),
										1, &column, &authors, &isnull);
		return PointerGetDatum(row);
	}

	/* A trigger behind ours may have said others; now none can any more. */
	author_check(data->tg_relation, row, column, authors, isnull);
	return PointerGetDatum(NULL);
}

/* Number of the column of authors. */
static AttrNumber
author_column(Relation rel)
{
	AttrNumber	column = get_attnum(RelationGetRelid(rel), "authors");

	if (column == InvalidAttrNumber ||
		get_atttype(RelationGetRelid(rel), column) != TEXTARRAYOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" has no column \"authors\" of type %s",
						RelationGetRelationName(rel),
						format_type_be(TEXTARRAYOID))));
	return column;
}

/* Raise an error when a row that was written has other authors. */
static void
author_check(Relation rel, HeapTuple row, AttrNumber column, Datum authors,
			 bool isnull)
{
	bool		written_null;
	Datum		written = heap_getattr(row, column, RelationGetDescr(rel),
									   &written_null);

	if (isnull != written_null ||
		(!isnull && !datum_image_eq(authors, written, false, -1)))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger of table \"%s\" has changed the authors of a schedule",
						RelationGetRelationName(rel))));
}

/*
 * The authors of a row that is written, where before is what it was, NULL for a
 * new one.
 */
static Datum
author_after(const TriggerData *data, HeapTuple before, HeapTuple after,
			 AttrNumber attnum, bool *isnull)
{
	Relation	rel = data->tg_relation;
	bool		has_pass = author_pass == RelationGetRelid(rel) &&
		author_pass_depth == author_depth();
	Datum		authors;

	*isnull = false;
	if (before == NULL || (has_pass && author_pass_kind == NVS_AUTHOR_TAKE))
		return author_list(GetUserNameFromId(GetUserId(), false));
	authors = heap_getattr(before, attnum, RelationGetDescr(rel), isnull);
	if (has_pass && author_is_run(rel, before, after))
		return authors;
	return author_add(authors, *isnull);
}

/* How deep in triggers we are; in one that is fired by no other, 1. */
static int
author_depth(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo));
}

/*
 * Is a change one that a run makes, whatever other triggers have made of it?
 * It may say when the next one is due and how this one went, and nothing else.
 */
static bool
author_is_run(Relation rel, HeapTuple before, HeapTuple after)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		was_null;
		bool		isnull;
		Datum		was = heap_getattr(before, i + 1, desc, &was_null);
		Datum		is = heap_getattr(after, i + 1, desc, &isnull);

		if (author_is_run_column(att) || (was_null && isnull))
			continue;
		if (was_null || isnull)
			return false;
		if (strcmp(NameStr(att->attname), "config") == 0 &&
			att->atttypid == JSONBOID ? !author_same_config(was, is) :
			!datum_image_eq(was, is, att->attbyval, att->attlen))
			return false;
	}
	return true;
}

/* May a run change a column, or does nobody say what is in it? */
static bool
author_is_run_column(const Form_pg_attribute att)
{
	static const char *const names[] = {
		"next_run_at", "last_run_at", "status", "version", "updated_at",
		"authors"
	};
	int			i;

	for (i = 0; i < lengthof(names); i++)
		if (strcmp(NameStr(att->attname), names[i]) == 0)
			return true;
	return att->attisdropped || att->attgenerated != '\0';
}

/* Are two configurations the same but for what runs leave there? */
static bool
author_same_config(Datum before, Datum after)
{
	static const char *const names[] = {"error", "triedAt"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		Datum		name = CStringGetTextDatum(names[i]);

		before = DirectFunctionCall2(jsonb_delete, before, name);
		after = DirectFunctionCall2(jsonb_delete, after, name);
	}
	return compareJsonbContainers(&DatumGetJsonbP(before)->root,
								  &DatumGetJsonbP(after)->root) == 0;
}

/*
 * Authors with us among them.  A row that has none was written when nobody kept
 * them, and so goes on.
 */
static Datum
author_add(Datum authors, bool isnull)
{
	char	   *us = GetUserNameFromId(GetUserId(), false);
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return (Datum) 0;
	deconstruct_array(DatumGetArrayTypeP(authors), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &n);
	for (i = 0; i < n; i++)
		if (!nulls[i] && strcmp(TextDatumGetCString(names[i]), us) == 0)
			return authors;
	names = repalloc(names, sizeof(Datum) * (n + 1));
	names[n] = CStringGetTextDatum(us);
	return nvs_array_of(TEXTOID, names, NULL, n + 1);
}

/* A list of one author. */
static Datum
author_list(const char *name)
{
	Datum		element = CStringGetTextDatum(name);

	return nvs_array_of(TEXTOID, &element, NULL, 1);
}

/*
 * Execute a statement on the set's table of schedules, which is locked, with a
 * pass; returns how many rows it met.  value, if not NULL, gets what the first
 * one returns, in the current memory context.
 */
uint64
nvs_schedule_write(const NvsTableSet *set, NvsAuthorship kind,
				   const NvsStatement *statement, const NvsParams *params,
				   Datum *value, bool *isnull)
{
	Oid			outer = author_pass;
	NvsAuthorship outer_kind = author_pass_kind;
	int			outer_depth = author_pass_depth;
	uint64		rows = 0;

	/* Its schema may have been renamed since it was locked. */
	AcceptInvalidationMessages();
	if (!nvs_relation_has_name(set->relids[0], set->tables[0]))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table %s was renamed meanwhile", set->tables[0]),
				 errhint("Retry the transaction.")));

	/* What it fires is one level deeper, and what that writes has no pass. */
	author_pass = set->relids[0];
	author_pass_kind = kind;
	author_pass_depth = author_depth() + 1;
	PG_TRY();
	{
		if (value == NULL)
			rows = nvs_table_set_run(set, statement, params);
		else
			rows = nvs_execute_row(nvs_statement_plan(set->plans, statement,
													  params, NULL),
								   params, false, CurrentMemoryContext, 1,
								   value, isnull);
	}
	PG_FINALLY();
	{
		/* A trigger of a statement with a pass may have had us called. */
		author_pass = outer;
		author_pass_kind = outer_kind;
		author_pass_depth = outer_depth;
	}
	PG_END_TRY();
	return rows;
}

/*
 * Are the authors of schedules kept, in a table that is locked?  Else they are
 * whoever somebody said they were.
 */
bool
nvs_schedule_keeps_authors(Oid relid)
{
	NvsParams	params;
	Datum		kept;

	nvs_params_init(&params);
	nvs_params_add(&params, OIDOID, ObjectIdGetDatum(relid), false);
	nvs_params_add(&params, OIDOID, ObjectIdGetDatum(nvs_namespace()), false);
	return nvs_execute_first(nvs_statement_plan(NULL, &author_triggers,
												&params, NULL),
							 &params, true, CurrentMemoryContext, &kept) &&
		DatumGetBool(kept);
}

/*
 * May all of a schedule's authors, text[], do what the privileges say with a
 * table?  Returns who may not, as his name, NULL for nobody; a role from whom a
 * policy hides rows, or that is not there any more, may not.
 */
char *
nvs_schedule_outsider(ArrayType *authors, Oid relid, AclMode privileges)
{
	Oid			schema = get_rel_namespace(relid);
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(authors, TEXTOID, -1, false, TYPALIGN_INT, &names,
					  &nulls, &n);
	for (i = 0; i < n; i++)
	{
		char	   *name = nulls[i] ? pstrdup("") :
			TextDatumGetCString(names[i]);
		Oid			role = get_role_oid(name, true);

		if (!OidIsValid(role) ||
			!nvs_has_schema_privilege(schema, role, ACL_USAGE) ||
			pg_class_aclmask(relid, role, privileges,
							 ACLMASK_ALL) != privileges ||
			check_enable_rls(relid, role, true) == RLS_ENABLED)
			return name;
	}
	return NULL;
}
