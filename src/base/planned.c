/*
 * base/planned.c
 *	  Whether a hook of the planner has relations read that are not named.
 *
 * An extension that spreads tables over servers leaves an empty one behind and
 * has its planner_hook send statements to where the rows are.  Whatever reads
 * or writes a relation without a statement must find out, or it takes the empty
 * one for all there is.  Most such hooks change nothing, as that of
 * pg_stat_statements, so a hook is no reason yet: a query of the relation is
 * planned, and the plan must be a scan of it.  That is remembered until the
 * relation changes, as it does when its rows move elsewhere, or the hook.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/by_index.h"
#include "base/inval.h"
#include "base/plan.h"
#include "base/planned.h"
#include "base/text.h"

/* What is known of a relation. */
typedef struct Planned
{
	Oid			relid;			/* hash key; must be first */
	bool		known;			/* of the hook, and the relation as it is */
	bool		as_itself;
	planner_hook_type hook;
} Planned;

static HTAB *planned = NULL;	/* NULL before it is needed */
static uint64 planned_changes = 0;	/* of any relation */

static void planned_relcache_callback(Datum arg, Oid relid);
static void planned_forget(Planned *entry);
static Planned *planned_enter(Oid relid);
static bool planned_probe(Oid relid);

/* Have changes of relations be noticed. */
void
nvs_planned_init(void)
{
	nvs_inval_register(planned_relcache_callback);
}

/* RelcacheCallbackFunction: what is known of a relation is known no more. */
static void
planned_relcache_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	HASH_SEQ_STATUS scan;
	Planned    *entry;

	planned_changes++;
	if (planned == NULL)
		return;
	if (OidIsValid(relid))
	{
		planned_forget(hash_search(planned, &relid, HASH_FIND, NULL));
		return;
	}
	hash_seq_init(&scan, planned);
	while ((entry = hash_seq_search(&scan)) != NULL)
		planned_forget(entry);
}

/* Forget what is known of a relation, if anything is. */
static void
planned_forget(Planned *entry)
{
	if (entry != NULL)
		entry->known = false;
}

/*
 * Does a statement that names a relation read and write that relation?  It must
 * be locked.  Needs SPI, and is asked as whoever the statement would run as.
 */
bool
nvs_is_planned_as_itself(Oid relid)
{
	planner_hook_type hook = nvs_planner_hook_of_others();
	Planned    *entry;
	uint64		changes;
	bool		as_itself;

	if (likely(hook == NULL))
		return true;
	entry = planned_enter(relid);
	if (entry->known && entry->hook == hook)
		return entry->as_itself;
	changes = planned_changes;
	as_itself = planned_probe(relid);
	entry->as_itself = as_itself;
	entry->hook = hook;
	entry->known = changes == planned_changes;
	return as_itself;
}

/* What is known of a relation, which may be nothing.  It stays there. */
static Planned *
planned_enter(Oid relid)
{
	Planned    *entry;
	bool		found;

	if (planned == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(Planned);
		planned = hash_create("nvent_store planned relations", 64, &ctl,
							  HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(planned, &relid, HASH_ENTER, &found);
	if (!found)
		entry->known = false;
	return entry;
}

/* Plan a query of a relation and look at what it scans. */
static bool
planned_probe(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	StringInfoData sql;

	initStringInfo(&sql);
	nvs_sql(&sql, "SELECT 1 FROM ",
			nvs_qualified(schema, get_rel_name(relid)));
	return nvs_plan_scans(sql.data, relid);
}
