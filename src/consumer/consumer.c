/*
 * consumer/consumer.c
 *	  Consumers: who reads which events, and how far each has come.
 *
 * A consumer is a row of {prefix}_consumers.  Its position is the last event
 * that it has dealt with, its mark the last one known to be for it: it has
 * work while position < mark.  consumer/subscribe.c makes consumers.
 * consumer/mark.c raises their marks, from the events up to the safe position
 * or as a caller says.  consumer/claim.c leases consumers that have work,
 * consumer/lease.c is for who holds a lease, and consumer/admin.c for
 * operators.
 *
 * due_at is when a consumer can be leased: NULL is now.  It is what leases
 * and deferrals have in common, and all that the indexes of claims see.
 *
 * This file finds the consumers of the store that a call names, and has what
 * the others share.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "errors.h"
#include "base/guc.h"
#include "base/inval.h"
#include "base/text.h"
#include "consumer/internal.h"
#include "position/xact.h"
#include "store/store.h"

/* Bytes of the name of a consumer, a lane or a checkpoint. */
#define MAX_NAME_BYTES	1024

/* NvsConsumers of every store that was used, for one registry generation. */
static MemoryContext consumers_cxt = NULL;
static HTAB *consumers_by_store = NULL;
static NvsConsumers *consumers_list = NULL; /* the same, one after another */
static uint64 consumers_generation = 0;
static uint64 schema_changes = 0;	/* that this backend was told of */

static void consumers_callback(Datum arg, Oid relid);
static void consumers_schema_callback(Datum arg, int cacheid, uint32 hash);
static NvsConsumers *consumers_find(const char *prefix, LOCKMODE mode);
static NvsConsumers *consumers_add(const NvsStore *store);
static bool consumers_lock(const NvsConsumers *consumers, LOCKMODE mode);
static void consumers_compile(NvsConsumers *consumers, const NvsStore *store,
							  LOCKMODE mode);
static Oid	consumers_lock_table(const NvsStore *store, const char *name,
								 LOCKMODE mode);
static void consumers_forget(void);
static int	consumers_compare_named(const void *a, const void *b);

/* Register the callbacks that have tables looked at again. */
void
nvs_consumers_init(void)
{
	nvs_inval_register(consumers_callback);
	CacheRegisterSyscacheCallback(NAMESPACEOID, consumers_schema_callback,
								  (Datum) 0);
}

/* A relation changed: statements that name it may mean another one. */
static void
consumers_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	NvsConsumers *c;

	for (c = consumers_list; c != NULL; c = c->next)
		if (relid == InvalidOid || relid == c->relid ||
			relid == c->checkpoints)
			c->valid = false;
}

/* A schema changed, and with it what the names in statements mean. */
static void
consumers_schema_callback(Datum arg, int cacheid pg_attribute_unused(),
						  uint32 hash pg_attribute_unused())
{
	schema_changes++;
	consumers_callback(arg, InvalidOid);
}

/*
 * The consumers of the store that argument arg names, of the default store
 * for NULL.  To be written the default store is made when it is not there; else
 * NULL stands for that.  An error when another store is not there.  The tables
 * are locked for the use until the end of the transaction, so that their names
 * are theirs.
 */
NvsConsumers *
nvs_consumers_open(FunctionCallInfo fcinfo, int arg, NvsUse use)
{
	bool		by_default = PG_ARGISNULL(arg);
	char	   *prefix = by_default ? pstrdup(nvs_default_store) :
		text_to_cstring(PG_GETARG_TEXT_PP(arg));
	bool		write = use == NVS_USE_WRITE;
	NvsConsumers *consumers;

	if (by_default && write)
		(void) nvs_store_of_write(prefix, strlen(prefix));
	consumers = consumers_find(prefix, nvs_use_lock_mode(use));
	if (consumers == NULL && (write || !by_default))
		nvs_store_missing(prefix);
	if (consumers != NULL && use == NVS_USE_READ)
	{
		nvs_relation_show(consumers->relid);
		nvs_relation_show(consumers->checkpoints);
	}
	return consumers;
}

/*
 * The consumers of the store that argument arg names, of the default store
 * for NULL.  An error when it is not there.
 */
NvsConsumers *
nvs_consumers_require(FunctionCallInfo fcinfo, int arg)
{
	NvsConsumers *consumers = nvs_consumers_open(fcinfo, arg, NVS_USE_CHANGE);

	if (consumers == NULL)
		nvs_store_missing(nvs_default_store);
	return consumers;
}

/*
 * The consumers of the store of this prefix, NULL when there is no such
 * store.  Their tables are locked.  They are kept under the generation of the
 * store that they are made from, and point to nothing of it: another reading of
 * the registry frees it.
 */
static NvsConsumers *
consumers_find(const char *prefix, LOCKMODE mode)
{
	const NvsStore *store = nvs_store_find(prefix, strlen(prefix));
	NvsConsumers *consumers;

	if (store == NULL)
		return NULL;
	if (mode != AccessShareLock)
		nvs_xact_changes();
	if (store->generation != consumers_generation)
	{
		consumers_forget();
		consumers_generation = store->generation;
	}
	consumers = hash_search(consumers_by_store, store->prefix, HASH_FIND,
							NULL);
	if (consumers == NULL)
		consumers = consumers_add(store);
	while (!consumers_lock(consumers, mode))
		consumers_compile(consumers, store, mode);
	return consumers;
}

/* Enter the consumers of a store, still to be compiled. */
static NvsConsumers *
consumers_add(const NvsStore *store)
{
	NvsConsumers *consumers = hash_search(consumers_by_store, store->prefix,
										  HASH_ENTER, NULL);

	consumers->number = store->number;
	consumers->valid = false;
	consumers->relid = InvalidOid;
	consumers->checkpoints = InvalidOid;
	consumers->plans = NULL;
	consumers->next = consumers_list;
	consumers_list = consumers;
	return consumers;
}

/* Lock the tables of consumers; false, and no lock, when they have changed. */
static bool
consumers_lock(const NvsConsumers *consumers, LOCKMODE mode)
{
	Oid			relid = consumers->relid;
	Oid			checkpoints = consumers->checkpoints;

	if (!consumers->valid)
		return false;
	LockRelationOid(relid, mode);
	LockRelationOid(checkpoints, mode);
	if (consumers->valid)
		return true;
	UnlockRelationOid(checkpoints, mode);
	UnlockRelationOid(relid, mode);
	return false;
}

/*
 * Look the tables of consumers up, lock them, and have the statements go to
 * them.  What the statements were before may still be used by a call; an error
 * changes nothing.
 */
static void
consumers_compile(NvsConsumers *consumers, const NvsStore *store,
				  LOCKMODE mode)
{
	uint64		changes = schema_changes;
	char	   *name = psprintf("%s_consumers", store->prefix);
	char	   *other = psprintf("%s_checkpoints", store->prefix);
	Oid			relid = consumers_lock_table(store, name, mode);
	Oid			checkpoints = consumers_lock_table(store, other, mode);
	NvsPlanSet *plans = nvs_planset_create(consumers_cxt);
	char	   *table = MemoryContextStrdup(consumers_cxt,
											nvs_qualified(store->schema, name));

	nvs_planset_define(plans, "consumers", table);
	nvs_planset_define(plans, "checkpoints",
					   MemoryContextStrdup(consumers_cxt,
										   nvs_qualified(store->schema,
														 other)));
	if (consumers->plans != NULL)
		nvs_defer_free(NULL, consumers->plans);
	consumers->relid = relid;
	consumers->checkpoints = checkpoints;
	consumers->table = table;
	consumers->plans = plans;
	consumers->valid = changes == schema_changes;
}

/*
 * Lock a table of a store; an error that says what to do when it is not there,
 * as in an older layout.
 */
static Oid
consumers_lock_table(const NvsStore *store, const char *name, LOCKMODE mode)
{
	Oid			relid = nvs_relation_lock(store, NULL, name, true, mode);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" of store \"%s\" does not exist",
						store->schema, name, store->prefix),
				 errhint("Run SELECT nvent.store_migrate(%s).",
						 quote_literal_cstr(store->prefix))));
	return relid;
}

/*
 * Empty consumers_by_store.  What was in it is freed when no call of ours is
 * on the stack, so a call that has consumers can go on with them.
 */
static void
consumers_forget(void)
{
	HASHCTL		ctl;

	if (consumers_by_store != NULL)
	{
		NvsConsumers *consumers;

		for (consumers = consumers_list; consumers != NULL;
			 consumers = consumers->next)
			if (consumers->plans != NULL)
				nvs_defer_free(NULL, consumers->plans);
		consumers_list = NULL;
		nvs_defer_free(consumers_cxt, NULL);
		consumers_by_store = NULL;
	}
	consumers_cxt = AllocSetContextCreate(CacheMemoryContext,
										  "nvent_store consumers",
										  ALLOCSET_SMALL_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(NvsConsumers);
	ctl.hcxt = consumers_cxt;
	consumers_by_store = hash_create("nvent_store consumers", 8, &ctl,
									 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * Raise an error for a name that is empty, or too long for an index.  what is
 * what it names.
 */
void
nvs_consumer_check_name(const text *name, const char *what)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("name of a %s must not be empty", what) :
				 errmsg("name of %s \"%.*s...\" is too long", what,
						pg_mbcliplen(data, len, 64), data),
				 errdetail("A name has 1 to %d bytes; this one has %d.",
						   MAX_NAME_BYTES, len)));
}

/* Run a statement that writes or locks; returns how many rows it met. */
uint64
nvs_consumer_run(const NvsConsumers *consumers, const NvsStatement *statement,
				 const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(consumers->plans, statement, params,
										  NULL),
					   params, false, 0);
}

/* Run a query under the active snapshot; returns how many rows it has. */
uint64
nvs_consumer_query(const NvsConsumers *consumers,
				   const NvsStatement *statement, const NvsParams *params)
{
	return nvs_execute(nvs_statement_plan(consumers->plans, statement, params,
										  NULL),
					   params, true, 0);
}

/* Put the rows of a query, under the active snapshot, into a result. */
void
nvs_consumer_emit(const NvsConsumers *consumers,
				  const NvsStatement *statement, const NvsParams *params,
				  Tuplestorestate *result)
{
	(void) nvs_execute_each(nvs_statement_plan(consumers->plans, statement,
											   params, NULL),
							params, true, nvs_consumer_put_row, result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
void
nvs_consumer_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}

/*
 * Delete the row that the first argument names, in the store that the second
 * one does; $1 of the statement is the name.  Returns whether it was there.
 */
bool
nvs_consumer_delete(FunctionCallInfo fcinfo, const NvsStatement *statement)
{
	NvsParams	params;
	uint64		deleted;

	nvs_spi_begin();
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	deleted = nvs_consumer_run(nvs_consumers_require(fcinfo, 1), statement,
							   &params);
	nvs_spi_end();
	return deleted > 0;
}

/*
 * Have what is planned from here on go by its indexes: a plan that is kept
 * must not be one that suited a table while it was empty.  Returns a level for
 * AtEOXact_GUC(false, level), which ends that, as an error does by itself.
 */
int
nvs_consumer_plan_by_index(void)
{
	static const char *const settings[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"
	};
	int			level = NewGUCNestLevel();
	int			i;

	for (i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i], "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return level;
}

/*
 * Read the first narrays arguments, of which the first has the names of
 * consumers, and the others, unless they are NULL, an element for each.
 * Names that are NULL are left out; the others are put in order, so that
 * calls that lock the rows one by one do not deadlock.
 */
void
nvs_consumers_named(NvsNamedConsumers *named, FunctionCallInfo fcinfo,
					const NvsConsumerArray *arrays, int narrays)
{
	NvsArrayArgs args = {"consumers", NVS_MAX_CONSUMERS};
	int			i;

	Assert(narrays <= NVS_MAX_CONSUMER_ARRAYS);
	named->arrays = arrays;
	named->narrays = narrays;
	for (i = 0; i < narrays; i++)
		if (!nvs_array_argument(&args, fcinfo, i, arrays[i].name,
								&named->values[i], &named->nulls[i]))
			named->values[i] = NULL;

	named->n = 0;
	named->consumers = palloc(sizeof(NvsNamedConsumer) * Max(args.length, 1));
	for (i = 0; i < args.length; i++)
	{
		NvsNamedConsumer *consumer = &named->consumers[named->n];

		if (named->nulls[0][i])
			continue;
		consumer->name = DatumGetTextPP(named->values[0][i]);
		consumer->index = i;
		named->n++;
	}
	qsort(named->consumers, named->n, sizeof(NvsNamedConsumer),
		  consumers_compare_named);
}

/* qsort() comparator: by the bytes of the names of two NvsNamedConsumer. */
int
nvs_consumers_compare_names(const void *a, const void *b)
{
	const text *x = ((const NvsNamedConsumer *) a)->name;
	const text *y = ((const NvsNamedConsumer *) b)->name;
	int			xlen = VARSIZE_ANY_EXHDR(x);
	int			ylen = VARSIZE_ANY_EXHDR(y);
	int			cmp = memcmp(VARDATA_ANY(x), VARDATA_ANY(y),
							 Min(xlen, ylen));

	return cmp != 0 ? cmp : xlen - ylen;
}

/* qsort() comparator: by name, and the same name as it was given. */
static int
consumers_compare_named(const void *a, const void *b)
{
	int			cmp = nvs_consumers_compare_names(a, b);

	return cmp != 0 ? cmp : ((const NvsNamedConsumer *) a)->index -
		((const NvsNamedConsumer *) b)->index;
}

/* Begin the parameters of a statement with the elements of one consumer. */
void
nvs_consumers_named_params(const NvsNamedConsumers *named, int i,
						   NvsParams *params)
{
	int			index = named->consumers[i].index;
	int			k;

	nvs_params_init(params);
	for (k = 0; k < named->narrays; k++)
	{
		bool		isnull = named->values[k] == NULL ||
			named->nulls[k][index];

		nvs_params_add(params, named->arrays[k].type,
					   isnull ? (Datum) 0 : named->values[k][index], isnull);
	}
}

/* Has the consumer before this one the same name? */
bool
nvs_consumers_named_again(const NvsNamedConsumers *named, int i)
{
	return i > 0 &&
		nvs_consumers_compare_names(&named->consumers[i - 1],
									&named->consumers[i]) == 0;
}
