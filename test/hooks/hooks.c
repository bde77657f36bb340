/*
 * test/hooks/hooks.c
 *	  A library that watches and redirects statements, as others do.
 *
 *	nvs_hooks.asked		a hook is to be asked when the executor has found that
 *						a role may use relations; before the library is loaded
 *	nvs_hooks.guarded	OID of a relation that nobody may use, says that hook
 *	nvs_hooks.elsewhere	OID of a relation whose rows are elsewhere, as a table's
 *						that is spread over many servers: whatever is planned
 *						for it finds none
 *
 * For test/t/023_route_hooks.pl, which loads it by its path.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static bool asked = false;
static int	guarded = 0;
static int	elsewhere = 0;
static planner_hook_type planned_before = NULL;

/* Is a relation among those of a statement? */
static bool
names(List *tables, Oid relid)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		RangeTblEntry *table = lfirst(lc);

		if (table->rtekind == RTE_RELATION && table->relid == relid)
			return true;
	}
	return false;
}

/*
 * ExecutorCheckPerms_hook.  What else it is given differs from one version to
 * the next and is of no interest.
 */
static bool
ask(List *tables)
{
	if (guarded != 0 && names(tables, guarded))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the hook says no")));
	return true;
}

/* Tree walker: have queries of the relation that is elsewhere find nothing. */
static bool
send_elsewhere(Node *node, void *context)
{
	Query	   *query = (Query *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, send_elsewhere, context);
	if (names(query->rtable, elsewhere))
		query->jointree->quals = makeBoolConst(false, false);
	return query_tree_walker(query, send_elsewhere, context, 0);
}

/* planner_hook. */
static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo params)
{
	if (elsewhere != 0)
		(void) send_elsewhere((Node *) query, NULL);
	return planned_before != NULL ?
		planned_before(query, text, options, params) :
		standard_planner(query, text, options, params);
}

/* An OID as a setting. */
static void
define(const char *name, int *variable)
{
	DefineCustomIntVariable(name, "OID of a relation.", NULL, variable, 0, 0,
							INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* Define the settings and set the hooks. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("nvs_hooks.asked", "Set a hook.", NULL, &asked,
							 false, PGC_USERSET, 0, NULL, NULL, NULL);
	define("nvs_hooks.guarded", &guarded);
	define("nvs_hooks.elsewhere", &elsewhere);
	if (asked)
		ExecutorCheckPerms_hook = (ExecutorCheckPerms_hook_type) ask;
	planned_before = planner_hook;
	planner_hook = plan;
}
