/*
 * base/plan.c
 *	  Saved statements: prepare once, execute, check the result code.
 *
 * A plan set keeps two kinds: slots, whose text is fixed for a relation, and
 * statements found by their text, for those that depend on which fields a
 * call names.  The latter are bounded: past NVS_MAX_TEXTS all of them are
 * dropped, since a set that large holds shapes that do not come back.
 *
 * plancache revalidates what we keep (DDL, search_path, RLS and role).  We
 * drop a plan only when its text is wrong.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/plan.h"

#define NVS_MAX_TEXTS	256

/* A statement found by its text. */
typedef struct TextPlan
{
	const char *sql;			/* hash key; in the set's context */
	SPIPlanPtr	plan;
} TextPlan;

struct NvsPlanSet
{
	MemoryContext cxt;
	SPIPlanPtr	slots[NVS_PLAN_SLOTS];
	MemoryContext texts_cxt;	/* of texts and the strings in it */
	HTAB	   *texts;			/* TextPlan, NULL until one is needed */
};

/* What waits to be freed until no call of ours is on the stack. */
typedef struct Retired
{
	struct Retired *next;
	MemoryContext cxt;
	SPIPlanPtr *plans;
	int			nplans;
} Retired;

/* What hands the rows of a result to a function. */
typedef struct RowReceiver
{
	DestReceiver pub;
	NvsRowFunction function;
	void	   *arg;
} RowReceiver;

/* The first columns of the first row. */
typedef struct FirstRow
{
	MemoryContext cxt;
	bool		found;
	int			ncolumns;
	Datum	   *row;			/* in cxt */
	bool	   *isnull;
} FirstRow;

static Retired *retired = NULL;
static int	call_depth = 0;

static void free_retired(void);
static void plan_xact_callback(XactEvent event, void *arg);
static ParamListInfo make_params(SPIPlanPtr plan, const Datum *values,
								 const char *nulls);
static uint64 execute_rows(SPIPlanPtr plan, const Datum *values,
						   const char *nulls, bool read_only, uint64 count,
						   NvsRowFunction function, void *arg);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receive_startup(DestReceiver *self, int operation,
							TupleDesc typeinfo);
static void receive_done(DestReceiver *self);
static void keep_first(TupleTableSlot *slot, void *arg);
static uint32 text_hash(const void *key, Size keysize);
static int	text_match(const void *a, const void *b, Size keysize);
static void *text_copy(void *dest, const void *src, Size keysize);
static void create_texts(NvsPlanSet *set);
static void drop_texts(NvsPlanSet *set);

/* Register the callback that resets the call depth. */
void
nvs_plan_init(void)
{
	RegisterXactCallback(plan_xact_callback, NULL);
}

/* An error left nvs_spi_begin() without its nvs_spi_end(): start afresh. */
static void
plan_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			call_depth = 0;
			break;
		default:
			break;
	}
}

/* Connect to SPI and count the call; frees what was retired before. */
void
nvs_spi_begin(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (call_depth++ == 0 && retired != NULL)
		free_retired();
}

/* End what nvs_spi_begin() began. */
void
nvs_spi_end(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	if (call_depth > 0)
		call_depth--;
}

/* Free every retired plan and context. */
static void
free_retired(void)
{
	while (retired != NULL)
	{
		Retired    *r = retired;
		int			i;

		retired = r->next;
		for (i = 0; i < r->nplans; i++)
			SPI_freeplan(r->plans[i]);
		if (r->cxt != NULL)
			MemoryContextDelete(r->cxt);
		pfree(r->plans);
		pfree(r);
	}
}

/*
 * Prepare and keep a statement.  cursor_options is CURSOR_OPT_GENERIC_PLAN
 * where one plan serves all parameters, 0 where values should be looked at.
 */
SPIPlanPtr
nvs_plan_prepare(const char *sql, int nargs, const Oid *types,
				 int cursor_options)
{
	SPIPlanPtr	plan;

	plan = SPI_prepare_cursor(sql, nargs, (Oid *) types, cursor_options);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	return plan;
}

/* Execute a plan; at most count rows, 0 for all.  Returns rows processed. */
uint64
nvs_plan_execute(SPIPlanPtr plan, Datum *values, const char *nulls,
				 bool read_only, long count)
{
	int			rc = SPI_execute_plan(plan, values, nulls, read_only, count);

	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(rc));
	return SPI_processed;
}

/*
 * Execute a plan whose first row's first column is wanted.  Returns false
 * when there is no row or the column is NULL; the value is copied to cxt.
 */
bool
nvs_plan_first(SPIPlanPtr plan, Datum *values, const char *nulls,
			   bool read_only, MemoryContext cxt, Datum *result)
{
	bool		isnull;

	return nvs_plan_row(plan, values, nulls, read_only, cxt, 1, result,
						&isnull) && !isnull;
}

/*
 * Execute a plan whose first row's first columns are wanted.  Returns false
 * when there is no row; values are copied to cxt.
 */
bool
nvs_plan_row(SPIPlanPtr plan, Datum *values, const char *nulls,
			 bool read_only, MemoryContext cxt, int ncolumns, Datum *row,
			 bool *isnull)
{
	FirstRow	first = {cxt, false, ncolumns, row, isnull};

	/* A statement that writes is to run to its end. */
	execute_rows(plan, values, nulls, read_only, read_only ? 1 : 0,
				 keep_first, &first);
	return first.found;
}

/* Execute a plan and call a function for each row.  Returns their number. */
uint64
nvs_plan_each(SPIPlanPtr plan, Datum *values, const char *nulls,
			  bool read_only, NvsRowFunction function, void *arg)
{
	return execute_rows(plan, values, nulls, read_only, 0, function, arg);
}

/*
 * Have a function see the rows of a plan as the executor has them: SPI's own
 * tuple table would copy each of them twice.
 */
static uint64
execute_rows(SPIPlanPtr plan, const Datum *values, const char *nulls,
			 bool read_only, uint64 count, NvsRowFunction function, void *arg)
{
	SPIExecuteOptions options;
	RowReceiver receiver;
	int			rc;

	memset(&receiver, 0, sizeof(receiver));
	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = receive_startup;
	receiver.pub.rShutdown = receive_done;
	receiver.pub.rDestroy = receive_done;
	receiver.pub.mydest = DestNone;
	receiver.function = function;
	receiver.arg = arg;

	memset(&options, 0, sizeof(options));
	options.params = make_params(plan, values, nulls);
	options.read_only = read_only;
	options.dest = &receiver.pub;
	options.tcount = count;
	rc = SPI_execute_plan_extended(plan, &options);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s",
			 SPI_result_code_string(rc));
	return SPI_processed;
}

/* Parameters of a plan in the form that the executor wants. */
static ParamListInfo
make_params(SPIPlanPtr plan, const Datum *values, const char *nulls)
{
	int			n = SPI_getargcount(plan);
	ParamListInfo params = makeParamList(n);
	int			i;

	for (i = 0; i < n; i++)
	{
		ParamExternData *param = &params->params[i];

		param->value = values[i];
		param->isnull = nulls != NULL && nulls[i] == 'n';
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = SPI_getargtypeid(plan, i);
	}
	return params;
}

/* Take a row from the executor. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	receiver->function(slot, receiver->arg);
	return true;
}

/* Nothing is to be done before the first row. */
static void
receive_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* Nor after the last. */
static void
receive_done(DestReceiver *self)
{
}

/* Keep the columns of the first row; arg is a FirstRow. */
static void
keep_first(TupleTableSlot *slot, void *arg)
{
	FirstRow   *first = arg;
	MemoryContext old;
	int			i;

	if (first->found)
		return;
	first->found = true;
	slot_getsomeattrs(slot, first->ncolumns);
	old = MemoryContextSwitchTo(first->cxt);
	for (i = 0; i < first->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);

		first->isnull[i] = slot->tts_isnull[i];
		if (!slot->tts_isnull[i])
			first->row[i] = datumCopy(slot->tts_values[i], att->attbyval,
									  att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/* Run DDL, or a statement so rare that keeping its plan would be waste. */
void
nvs_plan_utility(const char *sql)
{
	int			rc = SPI_execute(sql, false, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s",
			 SPI_result_code_string(rc), sql);
}

/* Make an empty plan set in cxt. */
NvsPlanSet *
nvs_planset_create(MemoryContext cxt)
{
	NvsPlanSet *set = MemoryContextAllocZero(cxt, sizeof(NvsPlanSet));

	set->cxt = cxt;
	return set;
}

/* The place of a fixed statement; NULL there until the caller fills it. */
SPIPlanPtr *
nvs_planset_slot(NvsPlanSet *set, int slot)
{
	Assert(slot >= 0 && slot < NVS_PLAN_SLOTS);
	return &set->slots[slot];
}

/* The plan of this text, prepared on its first use. */
SPIPlanPtr
nvs_planset_text(NvsPlanSet *set, const char *sql, const NvsParams *params,
				 int cursor_options)
{
	TextPlan   *entry;
	SPIPlanPtr	plan;

	if (set->texts == NULL)
		create_texts(set);
	entry = hash_search(set->texts, &sql, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;

	if (hash_get_num_entries(set->texts) >= NVS_MAX_TEXTS)
		drop_texts(set);
	plan = nvs_plan_prepare(sql, params->n, params->types, cursor_options);
	sql = MemoryContextStrdup(set->texts_cxt, sql);
	entry = hash_search(set->texts, &sql, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

/* Make the hash table of TextPlan, keyed by the string sql points to. */
static void
create_texts(NvsPlanSet *set)
{
	HASHCTL		ctl;

	set->texts_cxt = AllocSetContextCreate(set->cxt, "nvent_store statements",
										   ALLOCSET_SMALL_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(char *);
	ctl.entrysize = sizeof(TextPlan);
	ctl.hash = text_hash;
	ctl.match = text_match;
	ctl.keycopy = text_copy;
	ctl.hcxt = set->texts_cxt;
	set->texts = hash_create("nvent_store statements", 16, &ctl,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
							 HASH_KEYCOPY | HASH_CONTEXT);
}

/* Hash of the string that a key points to. */
static uint32
text_hash(const void *key, Size keysize)
{
	const char *sql = *(const char *const *) key;

	return hash_bytes((const unsigned char *) sql, (int) strlen(sql));
}

/* 0 when two keys point to equal strings. */
static int
text_match(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* A key is the pointer, not the string. */
static void *
text_copy(void *dest, const void *src, Size keysize)
{
	*(const char **) dest = *(const char *const *) src;
	return dest;
}

/* Retire the statements found by text, keep the slots. */
static void
drop_texts(NvsPlanSet *set)
{
	NvsPlanSet	texts_only;

	memset(&texts_only, 0, sizeof(texts_only));
	texts_only.texts = set->texts;
	MemoryContextSetParent(set->texts_cxt, TopMemoryContext);
	nvs_defer_free(set->texts_cxt, &texts_only);
	create_texts(set);
}

/*
 * Free cxt and the plans of set (either may be NULL) as soon as no call of
 * ours is on the stack.  The set is not to be used again.
 */
void
nvs_defer_free(MemoryContext cxt, NvsPlanSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Retired    *r = palloc0(sizeof(Retired));
	long		ntexts = 0;
	int			i;

	if (set != NULL && set->texts != NULL)
		ntexts = hash_get_num_entries(set->texts);
	r->cxt = cxt;
	r->plans = palloc(sizeof(SPIPlanPtr) * (NVS_PLAN_SLOTS + ntexts));
	MemoryContextSwitchTo(old);

	for (i = 0; set != NULL && i < NVS_PLAN_SLOTS; i++)
		if (set->slots[i] != NULL)
			r->plans[r->nplans++] = set->slots[i];
	if (ntexts > 0)
	{
		HASH_SEQ_STATUS scan;
		TextPlan   *entry;

		hash_seq_init(&scan, set->texts);
		while ((entry = hash_seq_search(&scan)) != NULL)
			r->plans[r->nplans++] = entry->plan;
	}
	r->next = retired;
	retired = r;
}

/* Begin a list of parameters in the current memory context. */
void
nvs_params_init(NvsParams *params)
{
	params->n = 0;
	params->size = 16;
	params->types = palloc(sizeof(Oid) * params->size);
	params->values = palloc(sizeof(Datum) * params->size);
	params->nulls = palloc(params->size);
}

/* Add a parameter; returns its number, 1 for $1. */
int
nvs_params_add(NvsParams *params, Oid type, Datum value, bool isnull)
{
	if (params->n == params->size)
	{
		if (params->n >= NVS_MAX_PARAMS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many fields in one call"),
					 errdetail("One call names at most %d values.",
							   NVS_MAX_PARAMS)));
		params->size *= 2;
		params->types = repalloc(params->types, sizeof(Oid) * params->size);
		params->values = repalloc(params->values,
								  sizeof(Datum) * params->size);
		params->nulls = repalloc(params->nulls, params->size);
	}
	params->types[params->n] = type;
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	return ++params->n;
}
