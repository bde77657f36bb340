/*
 * consumer/consumer.c
 *	  Consumers: who reads which events, and how far each has come.
 *
 * A consumer is a row of {prefix}_consumers.  Its position is the last event
 * that it has dealt with, its mark the last one known to be for it: it has
 * work while position < mark.  consumer/mark.c raises marks from the events
 * that became settled, or a caller does by itself.  consumer/claim.c leases
 * consumers that have work, consumer/lease.c is for who holds a lease, and
 * consumer/admin.c for operators.
 *
 * due_at is when a consumer can be leased: NULL is now.  It is what leases
 * and deferrals have in common, and all that the indexes of claims see.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/guc.h"
#include "consumer/consumer.h"
#include "position/position.h"
#include "subject/subject.h"

PG_FUNCTION_INFO_V1(nvs_consumer_subscribe);
PG_FUNCTION_INFO_V1(nvs_consumer_unsubscribe);
PG_FUNCTION_INFO_V1(nvs_consumer_mark);

/* NvsConsumers of every store that was used, for one registry generation. */
static MemoryContext known_cxt = NULL;
static HTAB *known = NULL;
static uint64 known_generation = 0;

static NvsConsumers *find_consumers(const char *prefix);
static NvsConsumers *add_consumers(const NvsStore *store);
pg_noreturn static void missing_store(const char *prefix);
static void forget_known(void);
static void check_tables(const NvsStore *store);
static void add_pattern(NvsArgs *args, const NvsConsumers *consumers,
						text *pattern);

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
	NvsPlanSet *plans[NVS_CONSUMER_PLAN_SETS];
	NvsConsumers *consumers;
	char	   *schema;
	int			i;

	check_tables(store);
	schema = MemoryContextStrdup(known_cxt, store->schema);
	for (i = 0; i < NVS_CONSUMER_PLAN_SETS; i++)
		plans[i] = nvs_planset_create(known_cxt);
	consumers = hash_search(known, store->prefix, HASH_ENTER, NULL);
	consumers->schema = schema;
	memcpy(consumers->plans, plans, sizeof(plans));
	return consumers;
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
		int			i;

		hash_seq_init(&scan, known);
		while ((consumers = hash_seq_search(&scan)) != NULL)
			for (i = 0; i < NVS_CONSUMER_PLAN_SETS; i++)
				nvs_defer_free(NULL, consumers->plans[i]);
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

/* Add a parameter of a statement. */
void
nvs_args_add(NvsArgs *args, Oid type, Datum value, bool isnull)
{
	if (args->n == NVS_CONSUMER_MAX_ARGS)
		elog(ERROR, "unexpected number of parameters");
	args->types[args->n] = type;
	args->values[args->n] = value;
	args->nulls[args->n] = isnull ? 'n' : ' ';
	args->n++;
}

/* Add an argument of the function as a parameter. */
void
nvs_args_take(NvsArgs *args, FunctionCallInfo fcinfo, int n, Oid type)
{
	nvs_args_add(args, type, PG_ARGISNULL(n) ? 0 : PG_GETARG_DATUM(n),
				 PG_ARGISNULL(n));
}

/* A statement, whose text has the store's tables as {consumers}. */
SPIPlanPtr
nvs_consumer_plan(NvsConsumers *consumers, NvsConsumerStatement which,
				  const char *text, const NvsArgs *args)
{
	SPIPlanPtr *plan;

	StaticAssertStmt(NVS_CONSUMER_STATEMENTS <=
					 NVS_CONSUMER_PLAN_SETS * NVS_PLAN_SLOTS,
					 "too many statements for the plan sets");
	plan = nvs_planset_slot(consumers->plans[which / NVS_PLAN_SLOTS],
							which % NVS_PLAN_SLOTS);
	if (*plan == NULL)
		*plan = nvs_plan_prepare(
			nvs_layout_expand(text, consumers->prefix, consumers->schema),
			args->n, args->types, CURSOR_OPT_GENERIC_PLAN);
	return *plan;
}

/* Run a statement that writes or locks; returns its rows. */
uint64
nvs_consumer_run(NvsConsumers *consumers, NvsConsumerStatement which,
				 const char *text, NvsArgs *args)
{
	return nvs_plan_execute(nvs_consumer_plan(consumers, which, text, args),
							args->values, args->nulls, false, 0);
}

/* Run a query under the active snapshot; returns its rows. */
uint64
nvs_consumer_query(NvsConsumers *consumers, NvsConsumerStatement which,
				   const char *text, NvsArgs *args)
{
	return nvs_plan_execute(nvs_consumer_plan(consumers, which, text, args),
							args->values, args->nulls, true, 0);
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
 * An array argument, NULL for NULL.  All arrays of a call have one length:
 * *length is that, or -1 while no array was seen.
 */
ArrayType *
nvs_array_argument(FunctionCallInfo fcinfo, int n, const char *name, Oid type,
				   int *length)
{
	ArrayType  *array;
	int			items;

	if (PG_ARGISNULL(n))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(n);
	Assert(ARR_ELEMTYPE(array) == type);
	items = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (*length >= 0 && items != *length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must have as many elements as the "
						"names", name),
				 errdetail("It has %d, there are %d names.", items,
						   *length)));
	if (items > NVS_MAX_CONSUMERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many consumers in one call: %d", items),
				 errdetail("One call names at most %d.", NVS_MAX_CONSUMERS)));
	*length = items;
	return array;
}

/* An array of texts, some of which may be NULL. */
ArrayType *
nvs_text_array(Datum *values, bool *nulls, int n)
{
	int			lower = 1;

	return construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1,
							  false, TYPALIGN_INT);
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

/* Add a pattern and the literal text that it begins with. */
static void
add_pattern(NvsArgs *args, const NvsConsumers *consumers, text *pattern)
{
	const char *s;
	int			len;
	int			prefix;
	bool		is_literal;
	NvsPattern *compiled;

	if (pattern == NULL)
	{
		nvs_args_add(args, TEXTOID, 0, true);
		nvs_args_add(args, TEXTOID, 0, true);
		return;
	}
	s = VARDATA_ANY(pattern);
	len = VARSIZE_ANY_EXHDR(pattern);
	compiled = nvs_pattern_compile(s, len);
	prefix = nvs_pattern_prefix(compiled, &is_literal);
	if (compiled->prefix_tokens > 0)
	{
		const NvsStore *other = nvs_store_of(s, len);

		if (other != NULL && strcmp(other->prefix, consumers->prefix) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("subjects of pattern \"%.*s\" are in store "
							"\"%s\"", len, s, other->prefix),
					 errdetail("The consumer is in store \"%s\".",
							   consumers->prefix),
					 errhint("Pass store => %s.",
							 quote_literal_cstr(other->prefix))));
	}
	nvs_args_add(args, TEXTOID, PointerGetDatum(pattern), false);
	nvs_args_add(args, TEXTOID,
				 PointerGetDatum(cstring_to_text_with_len(s, prefix)), false);
}

/*
 * nvent.consumer_subscribe(name, pattern, lane, priority, after, source,
 * mark, store): true when the consumer was not there.
 *
 * A new pattern has not been looked at by any scan, so the consumer is to be
 * admitted by the next one, which takes it up to what was scanned before.
 */
Datum
nvs_consumer_subscribe(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsArgs		args = {0};
	text	   *pattern = NULL;
	bool		isnull;
	bool		inserted = false;

	NVS_REQUIRE_ARG(0, "name");
	NVS_REQUIRE_ARG(2, "lane");
	NVS_REQUIRE_ARG(3, "priority");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(0), "consumer");
	nvs_consumer_check_name(PG_GETARG_TEXT_PP(2), "lane");
	PreventCommandIfReadOnly("nvent.consumer_subscribe()");
	if (!PG_ARGISNULL(1))
		pattern = PG_GETARG_TEXT_PP(1);

	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 7, true);
	nvs_args_take(&args, fcinfo, 0, TEXTOID);
	add_pattern(&args, consumers, pattern);
	nvs_args_take(&args, fcinfo, 5, TEXTOID);
	nvs_args_take(&args, fcinfo, 2, TEXTOID);
	nvs_args_take(&args, fcinfo, 3, INT4OID);
	nvs_args_add(&args, INT8OID, PG_ARGISNULL(4) ?
				 Int64GetDatum(nvs_position_safe()) : PG_GETARG_DATUM(4),
				 false);
	nvs_args_take(&args, fcinfo, 6, INT8OID);
	if (nvs_consumer_run(
			consumers, NVS_CONSUMER_SUBSCRIBE,
			"INSERT INTO {consumers} AS c (name, pattern, prefix, source, "
			"lane, priority, position, mark, admitted) "
			"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $2 IS NULL) "
			"ON CONFLICT (name) DO UPDATE SET "
			"pattern = COALESCE(EXCLUDED.pattern, c.pattern), "
			"prefix = COALESCE(EXCLUDED.prefix, c.prefix), "
			"lane = EXCLUDED.lane, "
			"priority = GREATEST(c.priority, EXCLUDED.priority), "
			"mark = GREATEST(c.mark, EXCLUDED.mark), "
			"admitted = c.admitted AND (EXCLUDED.pattern IS NULL OR "
			"NOT nvent.entry_is_changed(c.pattern, EXCLUDED.pattern)) "
			"WHERE nvent.entry_is_changed(c.pattern, "
			"COALESCE(EXCLUDED.pattern, c.pattern)) "
			"OR nvent.entry_is_changed(c.lane, EXCLUDED.lane) "
			"OR c.priority OPERATOR(pg_catalog.<) EXCLUDED.priority "
			"OR nvent.entry_is_changed(c.mark, GREATEST(c.mark, EXCLUDED.mark)) "
			"RETURNING c.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid",
			&args) > 0)
		inserted = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
											  SPI_tuptable->tupdesc, 1,
											  &isnull));
	nvs_spi_end();
	PG_RETURN_BOOL(inserted);
}

/* nvent.consumer_unsubscribe(name, store): false when it was not there. */
Datum
nvs_consumer_unsubscribe(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsArgs		args = {0};
	uint64		deleted;

	NVS_REQUIRE_ARG(0, "name");
	PreventCommandIfReadOnly("nvent.consumer_unsubscribe()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 1);
	nvs_args_take(&args, fcinfo, 0, TEXTOID);
	deleted = nvs_consumer_run(
		consumers, NVS_CONSUMER_UNSUBSCRIBE,
		"DELETE FROM {consumers} WHERE name OPERATOR(pg_catalog.=) $1",
		&args);
	nvs_spi_end();
	PG_RETURN_BOOL(deleted > 0);
}

/* nvent.consumer_mark(names, marks, store): how many were raised. */
Datum
nvs_consumer_mark(PG_FUNCTION_ARGS)
{
	NvsConsumers *consumers;
	NvsArgs		args = {0};
	int			length = -1;
	uint64		raised;

	NVS_REQUIRE_ARG(0, "names");
	NVS_REQUIRE_ARG(1, "marks");
	(void) nvs_array_argument(fcinfo, 0, "names", TEXTOID, &length);
	(void) nvs_array_argument(fcinfo, 1, "marks", INT8OID, &length);
	PreventCommandIfReadOnly("nvent.consumer_mark()");
	nvs_spi_begin();
	consumers = nvs_consumers_require(fcinfo, 2);
	nvs_args_take(&args, fcinfo, 0, TEXTARRAYOID);
	nvs_args_take(&args, fcinfo, 1, INT8ARRAYOID);
	/* Names may come twice: the highest mark counts. */
	raised = nvs_consumer_run(
		consumers, NVS_CONSUMER_MARK,
		"WITH v AS MATERIALIZED (SELECT u.name, "
		"pg_catalog.max(u.mark) AS mark FROM ROWS FROM "
		"(pg_catalog.unnest($1), pg_catalog.unnest($2)) u (name, mark) "
		"GROUP BY u.name), "
		"held AS MATERIALIZED (SELECT c.name FROM {consumers} c, v "
		"WHERE c.name OPERATOR(pg_catalog.=) v.name "
		"ORDER BY c.name FOR NO KEY UPDATE OF c) "
		"UPDATE {consumers} c SET mark = v.mark FROM v, held h "
		"WHERE h.name OPERATOR(pg_catalog.=) v.name "
		"AND c.name OPERATOR(pg_catalog.=) v.name "
		"AND (c.mark IS NULL OR c.mark OPERATOR(pg_catalog.<) v.mark)",
		&args);
	nvs_spi_end();
	PG_RETURN_INT64(raised);
}
