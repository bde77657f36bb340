/*
 * base/by_index.c
 *	  Plans that go by indexes, whatever the tables look like now.
 *
 * A plan that is kept must not be one that suited a table while it was empty.
 * Settings have the planner choose otherwise, but are not to be touched while
 * anything else happens: triggers and functions of users run within our
 * statements, read and set settings, and have plans of their own made and kept.
 * When a plan is made is not ours to say, either: the executor has that done
 * anew behind any change.  So the statements are marked, and a hook of the
 * planner sets the settings while it plans one of these, and no longer.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/by_index.h"

static planner_hook_type by_index_previous = NULL;

static PlannedStmt *by_index_plan(Query *query, const char *text, int options,
								  ParamListInfo params);
static PlannedStmt *by_index_pass(Query *query, const char *text, int options,
								  ParamListInfo params);

/* Put our hook before those that are there. */
void
nvs_by_index_init(void)
{
	by_index_previous = planner_hook;
	planner_hook = by_index_plan;
}

/*
 * The hook that plans besides ours; NULL where nobody has one.  One that was
 * set behind ours is that of others, whatever it leads to.
 */
planner_hook_type
nvs_planner_hook_of_others(void)
{
	return planner_hook == by_index_plan ? by_index_previous : planner_hook;
}

/*
 * planner_hook.  What is called while a plan is made may set settings for the
 * transaction; an error ends the level with the transaction or its savepoint.
 */
static PlannedStmt *
by_index_plan(Query *query, const char *text, int options,
			  ParamListInfo params)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort",
		"enable_hashjoin", "enable_mergejoin", "jit"
	};
	PlannedStmt *plan;
	int			level;
	int			i;

	if (likely((options & NVS_CURSOR_BY_INDEX) == 0))
		return by_index_pass(query, text, options, params);

	level = NewGUCNestLevel();
	for (i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	plan = by_index_pass(query, text, options & ~NVS_CURSOR_BY_INDEX, params);
	AtEOXact_GUC(true, level);
	return plan;
}

/* Have a query planned by who would do so without us. */
static PlannedStmt *
by_index_pass(Query *query, const char *text, int options,
			  ParamListInfo params)
{
	return by_index_previous != NULL ?
		by_index_previous(query, text, options, params) :
		standard_planner(query, text, options, params);
}
