/*
 * consumer/consumer.c
 *	  Consumers: who reads which events, and how far each has come.
 *
 * A consumer is a row of {prefix}_consumers.  Its position is the last event
 * that it has dealt with, its mark the last one known to be for it: it has
 * work while position < mark.  consumer/subscribe.c makes consumers.
 * consumer/mark.c raises marks from the events that became settled, or a
 * caller does by itself.  consumer/claim.c leases consumers that have work,
 * consumer/lease.c is for who holds a lease, and consumer/admin.c for
 * operators.
 *
 * due_at is when a consumer can be leased: NULL is now.  It is what leases
 * and deferrals have in common, and all that the indexes of claims see.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/guc.h"
#include "base/text.h"
#include "consumer/consumer.h"

/* NvsConsumers of every store that was used, for one registry generation. */
static MemoryContext known_cxt = NULL;
static HTAB *known = NULL;
static uint64 known_generation = 0;

static NvsConsumers *find_consumers(const char *prefix);
static NvsConsumers *add_consumers(const NvsStore *store);
pg_noreturn static void missing_store(const char *prefix);
static char *own_table(const NvsStore *store, const char *name);
static void forget_known(void);
static void check_tables(const NvsStore *store);

/*
 * The consumers of the store that argument arg names, of the default store
 * for NULL.  With write the default store is made when it is not there; else
 * NULL stands for that.
 */
NvsConsumers *
nvs_consumers_open(FunctionCallInfo fcinfo, int arg, bool write)
{
	bool		by_default = PG_ARGISNULL(arg);
	char	   *prefix = by_default ? pstrdup(nvs_default_store) :
		text_to_cstring(PG_GETARG_TEXT_PP(arg));
	NvsConsumers *consumers = find_consumers(prefix);

	if (consumers == NULL && by_default && write)
	{
		(void) nvs_store_of_write(prefix, strlen(prefix));
		consumers = find_consumers(prefix);
	}
	if (consumers == NULL && (write || !by_default))
		missing_store(prefix);
	return consumers;
}

/* The same, where there is nothing to do without a store. */
NvsConsumers *
nvs_consumers_require(FunctionCallInfo fcinfo, int arg)
{
	NvsConsumers *consumers = nvs_consumers_open(fcinfo, arg, false);

	if (consumers == NULL)
		missing_store(nvs_default_store);
	return consumers;
}

/* Raise the error for a store that is not in the registry. */
static void
missing_store(const char *prefix)
{
	ereport(ERROR,
			(errcode(ERRCODE_NVS_NO_STORE),
			 errmsg("store \"%s\" does not exist", prefix),
			 errhint("Run SELECT nvent.store_create(%s).",
					 quote_literal_cstr(prefix))));
}

/*
 * The consumers of the store of this prefix, NULL when there is no such
 * store.  The registry is read once: what is kept, and the store that it is
 * made from, are of the generation that this returns for.  A store is looked
 * up by its name and kept by no pointer, since another reading frees it.
 */
static NvsConsumers *
find_consumers(const char *prefix)
{
	uint64		generation = nvs_store_generation();
	const NvsStore *store = nvs_store_known(prefix, strlen(prefix));
	NvsConsumers *consumers;

	if (generation != known_generation)
	{
		forget_known();
		known_generation = generation;
	}
	if (store == NULL)
		return NULL;
	consumers = hash_search(known, store->prefix, HASH_FIND, NULL);
	return consumers != NULL ? consumers : add_consumers(store);
}

/* Enter the consumers of a store; an error leaves nothing behind. */
static NvsConsumers *
add_consumers(const NvsStore *store)
{
	NvsConsumers *consumers;
	NvsPlanSet *plans = nvs_planset_create(known_cxt);
	char	   *table = own_table(store, "consumers");

	check_tables(store);
	nvs_planset_define(plans, "consumers", table);
	nvs_planset_define(plans, "checkpoints", own_table(store, "checkpoints"));
	consumers = hash_search(known, store->prefix, HASH_ENTER, NULL);
	consumers->table = table;
	consumers->plans = plans;
	return consumers;
}

/* A table of a store, qualified and quoted, to be kept. */
static char *
own_table(const NvsStore *store, const char *name)
{
	return MemoryContextStrdup(known_cxt,
							   nvs_qualified(store->schema,
											 psprintf("%s_%s", store->prefix,
													  name)));
}

/* Drop what is known of stores that may be others now. */
static void
forget_known(void)
{
	HASHCTL		ctl;

	if (known != NULL)
	{
		HASH_SEQ_STATUS scan;
		NvsConsumers *consumers;

		hash_seq_init(&scan, known);
		while ((consumers = hash_seq_search(&scan)) != NULL)
			nvs_defer_free(NULL, consumers->plans);
		nvs_defer_free(known_cxt, NULL);
		known = NULL;
	}
	known_cxt = AllocSetContextCreate(CacheMemoryContext,
									  "nvent_store consumers",
									  ALLOCSET_SMALL_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(NvsConsumers);
	ctl.hcxt = known_cxt;
	known = hash_create("nvent_store consumers", 8, &ctl,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* Raise an error that says what to do when a store is of an older layout. */
static void
check_tables(const NvsStore *store)
{
	Oid			nspid = get_namespace_oid(store->schema, true);
	char	   *name = psprintf("%s_consumers", store->prefix);

	if (!OidIsValid(nspid) || !OidIsValid(get_relname_relid(name, nspid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" of store \"%s\" does not exist",
						store->schema, name, store->prefix),
				 errhint("Run SELECT nvent.store_migrate(%s).",
						 quote_literal_cstr(store->prefix))));
}

/* A name is any text that is neither empty nor too long for an index. */
void
nvs_consumer_check_name(const text *name, const char *what)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > NVS_NAME_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("name of a %s must not be empty", what) :
				 errmsg("name of %s \"%.*s...\" is too long", what,
						pg_mbcliplen(data, len, 64), data),
				 errdetail("A name has 1 to %d bytes; this one has %d.",
						   NVS_NAME_MAX_BYTES, len)));
}

/* Run a statement that writes or locks; returns its rows. */
uint64
nvs_consumer_run(const NvsConsumers *consumers, const NvsStatement *statement,
				 const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(consumers->plans, statement, params,
										  NULL),
					   params, false, 0);
}

/* Run a query under the active snapshot; returns its rows. */
uint64
nvs_consumer_query(const NvsConsumers *consumers,
				   const NvsStatement *statement, const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(consumers->plans, statement, params,
										  NULL),
					   params, true, 0);
}

/* Put the rows of the last statement into the function's result. */
void
nvs_consumer_emit(Tuplestorestate *result, TupleDesc desc)
{
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	uint64		i;

	for (i = 0; i < SPI_processed; i++)
	{
		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
						  values, nulls);
		tuplestore_putvalues(result, desc, values, nulls);
	}
}

/*
 * Plan what follows by its indexes: a plan that is kept must not be one that
 * suited a table while it was empty.
 */
void
nvs_planning_by_index(NvsPlanning *saved)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"
	};
	int			i;

	saved->nestlevel = NewGUCNestLevel();
	for (i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

/* Undo that; an error undoes it by itself. */
void
nvs_planning_end(const NvsPlanning *saved)
{
	AtEOXact_GUC(false, saved->nestlevel);
}
