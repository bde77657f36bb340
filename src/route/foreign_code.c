/*
 * route/foreign_code.c
 *	  What would run when somebody writes to a table, and who wrote it.
 *
 * Code is foreign to a role when whoever may have written it lacks the role's
 * privileges, and so would gain them by the role's statement.  Functions belong
 * to their owners, and so do types and operators; policies are the table's
 * owner's.  A trigger has no owner: any role may have made it that had the
 * TRIGGER privilege at some time.  It counts as its function's owner's when the
 * trigger adds nothing of its own, that is neither WHEN nor arguments.
 * Whatever goes on in another relation, by a rule, a foreign key that refers to
 * the table or a policy that reads, counts as foreign to everybody.
 *
 * A DELETE computes no defaults and no generated columns, and brings no value
 * into a type.  It does not test CHECK constraints, make index entries or look
 * for partitions either, but the planner evaluates constant parts of all of
 * these, and of extended statistics.  An INSERT or an UPDATE does all of that;
 * what domains test has authors of its own, so a column of a domain is foreign
 * to everybody.  Functions of our own, as the default of ids, are not.
 * The columns that statements compare are of types of PostgreSQL's own, so that
 * no cast is foreign: see target_columns in route/target.c.
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/identity.h"
#include "base/statement.h"
#include "route/foreign_code.h"

/* Tables that a background process has reported, in TopMemoryContext. */
static List *reported = NIL;

/* Is code refused that is foreign to us?  See nvs_refuse_foreign_code(). */
static bool refused = false;

/* TRIGGER_TYPE_DELETE, in SQL. */
#define DELETE_BIT	"8::pg_catalog.int2"

/*
 * The first piece of code, by name, that is foreign to us when table $1 is
 * written to, by triggers for events whose bits are $2; $3 is our schema.
 * "author" is who must have our privileges, NULL for nobody known.
 */
static const NvsStatement find_foreign_code = {
	"WITH RECURSIVE tables AS ("
	"SELECT c.oid, c.relowner, c.relkind FROM pg_catalog.pg_class c "
	"WHERE c.oid OPERATOR(pg_catalog.=) $1 "
	"UNION SELECT c.oid, c.relowner, c.relkind FROM tables t "
	"JOIN pg_catalog.pg_inherits i "
	"ON i.inhparent OPERATOR(pg_catalog.=) t.oid "
	"JOIN pg_catalog.pg_class c "
	"ON c.oid OPERATOR(pg_catalog.=) i.inhrelid), "

	/* What has an expression, and whose parts are found in pg_depend. */
	"policies AS ("
	"SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass::pg_catalog.oid "
	"AS classid, p.oid AS objid, t.relowner AS author "
	"FROM tables t JOIN pg_catalog.pg_policy p "
	"ON p.polrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE pg_catalog.row_security_active(t.oid)), "
	"expressions AS ("
	"SELECT classid, objid FROM policies "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid "
	"FROM tables t JOIN pg_catalog.pg_index i "
	"ON i.indrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid "
	"FROM tables t JOIN pg_catalog.pg_constraint k "
	"ON k.conrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE k.contype OPERATOR(pg_catalog.=) 'c' "
	"UNION ALL "
	/* Of a table these are its columns' types, too. */
	"SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid "
	"FROM tables t JOIN pg_catalog.pg_partitioned_table p "
	"ON p.partrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE p.partexprs IS NOT NULL "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid "
	"FROM tables t JOIN pg_catalog.pg_statistic_ext s "
	"ON s.stxrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE s.stxexprs IS NOT NULL "
	"UNION ALL "
	/* Defaults; generated columns are found with the table. */
	"SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid "
	"FROM tables t JOIN pg_catalog.pg_attrdef d "
	"ON d.adrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE $2 OPERATOR(pg_catalog.<>) " DELETE_BIT " "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, t.oid "
	"FROM tables t WHERE $2 OPERATOR(pg_catalog.<>) " DELETE_BIT "), "
	"parts AS ("
	"SELECT e.classid, e.objid, d.refclassid, d.refobjid FROM expressions e "
	"JOIN pg_catalog.pg_depend d "
	"ON d.classid OPERATOR(pg_catalog.=) e.classid "
	"AND d.objid OPERATOR(pg_catalog.=) e.objid), "

	"code AS ("
	"SELECT * FROM policies "
	"UNION ALL "
	"SELECT p.classid, p.objid, f.proowner FROM parts p "
	"JOIN pg_catalog.pg_proc f "
	"ON f.oid OPERATOR(pg_catalog.=) p.refobjid "
	"WHERE p.refclassid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_proc'::pg_catalog.regclass "
	"AND f.pronamespace OPERATOR(pg_catalog.<>) $3 "
	"UNION ALL "
	"SELECT p.classid, p.objid, a.author FROM parts p "
	"JOIN pg_catalog.pg_operator o "
	"ON o.oid OPERATOR(pg_catalog.=) p.refobjid "
	"JOIN pg_catalog.pg_proc f "
	"ON f.oid OPERATOR(pg_catalog.=) o.oprcode "
	"CROSS JOIN LATERAL (VALUES (o.oprowner), (f.proowner)) a (author) "
	"WHERE p.refclassid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_operator'::pg_catalog.regclass "
	"UNION ALL "
	"SELECT p.classid, p.objid, y.typowner FROM parts p "
	"JOIN pg_catalog.pg_type y "
	"ON y.oid OPERATOR(pg_catalog.=) p.refobjid "
	"WHERE p.refclassid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_type'::pg_catalog.regclass "
	"UNION ALL "
	"SELECT p.classid, p.objid, NULL FROM parts p "
	"WHERE p.classid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_policy'::pg_catalog.regclass "
	"AND p.refclassid OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_class'::pg_catalog.regclass "
	"AND p.refobjid OPERATOR(pg_catalog.<>) ALL (SELECT oid FROM tables) "
	"UNION ALL "

	"SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, y.oid, NULL "
	"FROM tables t JOIN pg_catalog.pg_attribute a "
	"ON a.attrelid OPERATOR(pg_catalog.=) t.oid "
	"JOIN pg_catalog.pg_type y "
	"ON y.oid OPERATOR(pg_catalog.=) a.atttypid "
	"WHERE y.typtype OPERATOR(pg_catalog.=) 'd' "
	"AND $2 OPERATOR(pg_catalog.<>) " DELETE_BIT " "
	"UNION ALL "

	/* Triggers for each row or statement, by the bit of tgtype. */
	"SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, "
	"CASE WHEN g.tgqual IS NULL AND g.tgnargs OPERATOR(pg_catalog.=) 0 "
	"THEN f.proowner END "
	"FROM tables t JOIN pg_catalog.pg_trigger g "
	"ON g.tgrelid OPERATOR(pg_catalog.=) t.oid "
	"JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) g.tgfoid "
	"WHERE NOT g.tgisinternal AND g.tgenabled OPERATOR(pg_catalog.<>) 'D' "
	"AND g.tgtype OPERATOR(pg_catalog.&) $2 "
	"OPERATOR(pg_catalog.<>) 0 "
	"AND NOT (f.pronamespace OPERATOR(pg_catalog.=) $3 "
	"AND g.tgqual IS NULL AND g.tgnargs OPERATOR(pg_catalog.=) 0) "
	"UNION ALL "

	/* What goes on elsewhere. */
	"SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, NULL "
	"FROM tables t JOIN pg_catalog.pg_rewrite r "
	"ON r.ev_class OPERATOR(pg_catalog.=) t.oid "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, NULL "
	"FROM tables t JOIN pg_catalog.pg_constraint k "
	"ON k.confrelid OPERATOR(pg_catalog.=) t.oid "
	"WHERE k.contype OPERATOR(pg_catalog.=) 'f' "
	"UNION ALL "
	"SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, t.oid, NULL "
	"FROM tables t WHERE t.relkind OPERATOR(pg_catalog.=) 'f') "

	"SELECT pg_catalog.pg_describe_object(classid, objid, 0) FROM code "
	"WHERE author IS NULL "
	"OR NOT pg_catalog.pg_has_role(author, current_user, 'USAGE') "
	"ORDER BY 1 LIMIT 1"
};

/*
 * Describe something that would run with our rights when we write to a table
 * and that is foreign to us; NULL, mostly, for nothing.  events are some of
 * TRIGGER_TYPE_INSERT, TRIGGER_TYPE_UPDATE and TRIGGER_TYPE_DELETE.  Locks the
 * table and those that inherit from it as they do, which keeps triggers, rules,
 * policies and foreign keys from being added until the transaction ends; looks
 * at what is there now, whatever the transaction's snapshot.  Inside
 * nvs_spi_begin(); the result is in the current memory context.
 */
char *
nvs_foreign_code(Oid relid, int16 events)
{
	NvsParams	params;
	NvsIdentity saved;
	Datum		found;
	bool		is_foreign;

	(void) find_all_inheritors(relid, RowExclusiveLock, NULL);
	nvs_params_init(&params);
	nvs_params_add(&params, OIDOID, ObjectIdGetDatum(relid), false);
	nvs_params_add(&params, INT2OID, Int16GetDatum(events), false);
	nvs_params_add(&params, OIDOID, ObjectIdGetDatum(nvs_namespace()), false);
	/* Names are described in full. */
	nvs_pin_search_path(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	is_foreign = nvs_execute_first(nvs_statement_plan(NULL, &find_foreign_code,
													  &params, NULL),
								   &params, true, CurrentMemoryContext,
								   &found);
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	return is_foreign ? TextDatumGetCString(found) : NULL;
}

/*
 * Would foreign code run when we write to a table?  Says so, if it would; a
 * background process once, until the code is gone.  As nvs_foreign_code().
 */
bool
nvs_has_foreign_code(Oid relid, int16 events, const char *table)
{
	bool		once = MyBackendType == B_BG_WORKER;
	char	   *code = nvs_foreign_code(relid, events);
	MemoryContext old;

	if (code == NULL)
		reported = list_delete_oid(reported, relid);
	if (code == NULL || (once && list_member_oid(reported, relid)))
		return code != NULL;
	ereport(WARNING,
			(errmsg("skipping table %s, as %s it would run code of another role",
					table, events == TRIGGER_TYPE_DELETE ? "deleting from" :
					"changing"),
			 errdetail("The author of %s may lack privileges of role \"%s\", which it would run with.",
					   code, GetUserNameFromId(GetUserId(), false)),
			 errhint("Call nvent.maintain() as a role whose privileges the author has, remove the code, or %s.",
					 events == TRIGGER_TYPE_DELETE ?
					 "delete rows that have expired yourself" :
					 "change rows yourself")));
	if (once)
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		reported = lappend_oid(reported, relid);
		MemoryContextSwitchTo(old);
	}
	return true;
}

/*
 * Have nvs_check_foreign_code() look, or not; returns whether it did.  To be
 * put back by who calls this, also after an error.
 */
bool
nvs_refuse_foreign_code(bool refuse)
{
	bool		was = refused;

	refused = refuse;
	return was;
}

/*
 * Raise an error when foreign code would run as we write to a table that we may
 * not have asked for: in a run of a schedule, or as a role whose rights we have
 * been lent.  To be called when the table is found for good, and before any
 * statement on it.  As nvs_foreign_code().
 */
void
nvs_check_foreign_code(Oid relid, int16 events, const char *table)
{
	char	   *code;

	if (likely(!refused) && likely(!InSecurityRestrictedOperation()))
		return;
	code = nvs_foreign_code(relid, events);
	if (code != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("what is written to table %s would execute code of another role",
						table),
				 errdetail("The author of %s may lack privileges of role \"%s\", which it would run with.",
						   code, GetUserNameFromId(GetUserId(), false))));
}
