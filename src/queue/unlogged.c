/*
 * queue/unlogged.c
 *	  Has the jobs of a store's queues not be written to the log, or be.
 *
 * All queues of a store share their tables, so all of them are so or none.
 * What is said of queues stays in the log, and only where jobs stand does not:
 * these tables belong together, and a crash empties all of them.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/arg.h"
#include "base/guc.h"
#include "base/text.h"
#include "store/layout.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(nvs_queue_set_unlogged);

static bool unlogged_change(const NvsStore *store, bool unlogged);
static Oid	unlogged_lock(const NvsStore *store, const char *table);

/*
 * nvent.queue_set_unlogged(unlogged, store): false when it was so.  Only the
 * store's owner may; the store is locked until the end of the transaction.
 */
Datum
nvs_queue_set_unlogged(PG_FUNCTION_ARGS)
{
	char	   *prefix = PG_ARGISNULL(1) ? nvs_default_store :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	NvsStore   *store;
	NvsIdentity saved;
	bool		changed;

	NVS_REQUIRE_ARG(0, "unlogged");
	PreventCommandIfReadOnly("nvent.queue_set_unlogged()");
	nvs_spi_begin();
	store = nvs_store_lock_own(prefix, ExclusiveLock);
	nvs_store_become_owner(store, &saved);
	changed = unlogged_change(store, PG_GETARG_BOOL(0));
	nvs_become_caller(&saved);
	nvs_spi_end();
	PG_RETURN_BOOL(changed);
}

/*
 * Change the tables of a store's jobs that are not so, as their owner; false
 * when there was none.  A call has {queues} before any of them, and then names
 * them in no order: so that is locked first, which waits until no call is under
 * way, holding nothing that one could come for.
 */
static bool
unlogged_change(const NvsStore *store, bool unlogged)
{
	char		wanted = unlogged ? RELPERSISTENCE_UNLOGGED :
		RELPERSISTENCE_PERMANENT;
	bool		changed = false;
	const char *const *name;

	(void) unlogged_lock(store, psprintf("%s_queues", store->prefix));
	for (name = nvs_layout_tables; *name != NULL; name++)
	{
		char	   *table = psprintf("%s_%s", store->prefix, *name);

		if (strncmp(*name, "job", 3) != 0 ||
			get_rel_persistence(unlogged_lock(store, table)) == wanted)
			continue;
		nvs_layout_run_table(nvs_qualified(store->schema, table), unlogged ?
							 "ALTER TABLE {table} SET UNLOGGED" :
							 "ALTER TABLE {table} SET LOGGED");
		changed = true;
	}
	return changed;
}

/* Lock a table of a store against everybody. */
static Oid
unlogged_lock(const NvsStore *store, const char *table)
{
	Oid			relid = nvs_relation_lock(store, NULL, table, true,
										  AccessExclusiveLock);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s of store \"%s\" does not exist",
						nvs_qualified(store->schema, table), store->prefix),
				 errhint("Run SELECT nvent.store_migrate(%s).",
						 quote_literal_cstr(store->prefix))));
	return relid;
}
