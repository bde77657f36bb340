/*
 * base/plan.c
 *	  Plans: preparing them, executing them, and freeing them when it is safe.
 *
 * Parameters are an NvsParams, rows come as the executor has them.  Where the
 * plan of a statement is kept, see base/statement.c.
 *
 * The memory context is the caller's behind each of these.  SPI leaves that of
 * its own procedure behind, and frees it with it: what a caller went on to make
 * for later, not knowing that something was read meanwhile, would go with that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "base/arg.h"
#include "base/identity.h"
#include "base/plan.h"

/* What waits to be freed until no call of ours is on the stack. */
typedef struct DeferredFree
{
	struct DeferredFree *next;
	MemoryContext cxt;
	SPIPlanPtr *plans;
	int			nplans;
} DeferredFree;

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

static DeferredFree *deferred = NULL;

/* A call of ours that is on the stack. */
typedef struct PlanCall
{
	int			level;			/* of the transaction that it began at */
	int			nsnapshots;		/* that nvs_spi_end() is to pop */
} PlanCall;

/*
 * Our calls that are on the stack, outermost first.  An error that a block
 * catches ends those that began inside of the block, without nvs_spi_end().
 */
static PlanCall first_calls[16];
static PlanCall *calls = first_calls;
static int	max_calls = lengthof(first_calls);
static int	ncalls = 0;

static void plan_push_call(void);
static void plan_free_deferred(void);
static ParamListInfo plan_make_params(SPIPlanPtr plan,
									  const NvsParams *params);
static uint64 plan_execute_rows(SPIPlanPtr plan, const NvsParams *params,
								bool read_only, uint64 count,
								NvsRowFunction function, void *arg);
static bool plan_receive_row(TupleTableSlot *slot, DestReceiver *self);
static void plan_receive_startup(DestReceiver *self, int operation,
								 TupleDesc typeinfo);
static void plan_receive_done(DestReceiver *self);
static bool plan_is_scan(const PlannedStmt *stmt, Oid relid);
static void plan_keep_first(TupleTableSlot *slot, void *arg);
static void plan_params_enlarge(NvsParams *params);

/*
 * Connect to SPI and count the call; frees what was deferred before.  Until the
 * transaction ends the extension cannot be dropped: what statements name in its
 * schema is ours.
 */
void
nvs_spi_begin(void)
{
	if (ncalls == 0)
		nvs_require_extension();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan_push_call();
	if (ncalls == 1 && deferred != NULL)
		plan_free_deferred();
}

/* Count a call that begins now. */
static void
plan_push_call(void)
{
	if (unlikely(ncalls == max_calls))
	{
		PlanCall   *more = MemoryContextAlloc(TopMemoryContext,
											  sizeof(PlanCall) * max_calls * 2);

		memcpy(more, calls, sizeof(PlanCall) * max_calls);
		if (calls != first_calls)
			pfree(calls);
		calls = more;
		max_calls *= 2;
	}
	calls[ncalls].level = GetCurrentTransactionNestLevel();
	calls[ncalls++].nsnapshots = 0;
}

/* Have the rest of the innermost call read with this snapshot. */
void
nvs_spi_push_snapshot(Snapshot snapshot)
{
	Assert(ncalls > 0);
	PushActiveSnapshot(snapshot);
	calls[ncalls - 1].nsnapshots++;
}

/* End what nvs_spi_begin() began. */
void
nvs_spi_end(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	if (ncalls == 0)
		return;
	while (calls[ncalls - 1].nsnapshots-- > 0)
		PopActiveSnapshot();
	ncalls--;
}

/*
 * Count no longer the calls that began at a nesting level of the transaction
 * or deeper: it ends, and when that is for an error they are gone from the
 * stack.  Level 0 is all of them.  Does not raise.
 */
void
nvs_spi_unwind(int level)
{
	while (ncalls > 0 && calls[ncalls - 1].level >= level)
		ncalls--;
}

/* How many calls of ours are on the stack. */
int
nvs_spi_depth(void)
{
	return ncalls;
}

/* Free every context and plan whose freeing was deferred. */
static void
plan_free_deferred(void)
{
	while (deferred != NULL)
	{
		DeferredFree *d = deferred;
		int			i;

		deferred = d->next;
		for (i = 0; i < d->nplans; i++)
			SPI_freeplan(d->plans[i]);
		if (d->cxt != NULL)
			MemoryContextDelete(d->cxt);
		pfree(d->plans);
		pfree(d);
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
	MemoryContext old = CurrentMemoryContext;
	SPIPlanPtr	plan;

	plan = SPI_prepare_cursor(sql, nargs, (Oid *) types, cursor_options);
	MemoryContextSwitchTo(old);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	return plan;
}

/*
 * Run a plan; params is NULL when it has none.  At most count rows, 0 for all.
 * Returns how many were processed.
 */
uint64
nvs_execute(SPIPlanPtr plan, const NvsParams *params, bool read_only,
			long count)
{
	MemoryContext old = CurrentMemoryContext;
	int			rc = SPI_execute_plan(plan,
									  params == NULL ? NULL : params->values,
									  params == NULL ? NULL : params->nulls,
									  read_only, count);

	MemoryContextSwitchTo(old);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(rc));
	return SPI_processed;
}

/*
 * Run a plan whose first row's first column is wanted.  Returns false when
 * there is no row or the column is NULL; the value is copied to cxt.
 */
bool
nvs_execute_first(SPIPlanPtr plan, const NvsParams *params, bool read_only,
				  MemoryContext cxt, Datum *result)
{
	bool		isnull;

	return nvs_execute_row(plan, params, read_only, cxt, 1, result,
						   &isnull) && !isnull;
}

/*
 * Run a plan whose first row's first columns are wanted.  Returns false when
 * there is no row; values are copied to cxt.
 */
bool
nvs_execute_row(SPIPlanPtr plan, const NvsParams *params, bool read_only,
				MemoryContext cxt, int ncolumns, Datum *row, bool *isnull)
{
	FirstRow	first = {cxt, false, ncolumns, row, isnull};

	/* A statement that writes is to run to its end. */
	plan_execute_rows(plan, params, read_only, read_only ? 1 : 0,
					  plan_keep_first, &first);
	return first.found;
}

/* Run a plan and call a function for each row.  Returns their number. */
uint64
nvs_execute_each(SPIPlanPtr plan, const NvsParams *params, bool read_only,
				 NvsRowFunction function, void *arg)
{
	return plan_execute_rows(plan, params, read_only, 0, function, arg);
}

/*
 * Have a function see the rows of a plan as the executor has them: SPI's own
 * tuple table would copy each of them twice.
 */
static uint64
plan_execute_rows(SPIPlanPtr plan, const NvsParams *params, bool read_only,
				  uint64 count, NvsRowFunction function, void *arg)
{
	MemoryContext old = CurrentMemoryContext;
	SPIExecuteOptions options;
	RowReceiver receiver;
	int			rc;

	memset(&receiver, 0, sizeof(receiver));
	receiver.pub.receiveSlot = plan_receive_row;
	receiver.pub.rStartup = plan_receive_startup;
	receiver.pub.rShutdown = plan_receive_done;
	receiver.pub.rDestroy = plan_receive_done;
	receiver.pub.mydest = DestNone;
	receiver.function = function;
	receiver.arg = arg;

	memset(&options, 0, sizeof(options));
	options.params = plan_make_params(plan, params);
	options.read_only = read_only;
	options.dest = &receiver.pub;
	options.tcount = count;
	rc = SPI_execute_plan_extended(plan, &options);
	MemoryContextSwitchTo(old);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s",
			 SPI_result_code_string(rc));
	return SPI_processed;
}

/* Parameters of a plan in the form that the executor wants. */
static ParamListInfo
plan_make_params(SPIPlanPtr plan, const NvsParams *params)
{
	int			n = SPI_getargcount(plan);
	ParamListInfo list = makeParamList(n);
	int			i;

	for (i = 0; i < n; i++)
	{
		ParamExternData *param = &list->params[i];

		param->value = params->values[i];
		param->isnull = params->nulls[i] == 'n';
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = SPI_getargtypeid(plan, i);
	}
	return list;
}

/* Take a row from the executor. */
static bool
plan_receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	receiver->function(slot, receiver->arg);
	return true;
}

/* DestReceiver's startup: nothing to do before the first row. */
static void
plan_receive_startup(DestReceiver *self pg_attribute_unused(),
					 int operation pg_attribute_unused(),
					 TupleDesc typeinfo pg_attribute_unused())
{
}

/* DestReceiver's shutdown and destroy: nothing to do after the last row. */
static void
plan_receive_done(DestReceiver *self pg_attribute_unused())
{
}

/* Keep the columns of the first row; arg is a FirstRow. */
static void
plan_keep_first(TupleTableSlot *slot, void *arg)
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

/*
 * Free cxt and some plans (cxt may be NULL, n 0) as soon as no call of ours is
 * on the stack.  Until then a call that holds them can go on using them.
 */
void
nvs_defer_free_plans(MemoryContext cxt, const SPIPlanPtr *plans, int n)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	DeferredFree *d = palloc(sizeof(DeferredFree));

	d->cxt = cxt;
	d->nplans = n;
	d->plans = palloc(sizeof(SPIPlanPtr) * Max(n, 1));
	if (n > 0)
		memcpy(d->plans, plans, sizeof(SPIPlanPtr) * n);
	d->next = deferred;
	deferred = d;
	MemoryContextSwitchTo(old);
}

/* Run DDL, or a statement so rare that keeping its plan would be waste. */
void
nvs_plan_utility(const char *sql)
{
	MemoryContext old = CurrentMemoryContext;
	int			rc = SPI_execute(sql, false, 0);

	MemoryContextSwitchTo(old);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s",
			 SPI_result_code_string(rc), sql);
}

/*
 * Run a query so rare that keeping its plan would be waste, with the latest
 * snapshot: that of the transaction may be older than the lock on what is read.
 */
void
nvs_plan_query(const char *sql)
{
	MemoryContext old = CurrentMemoryContext;
	int			rc;

	PushActiveSnapshot(GetLatestSnapshot());
	rc = SPI_execute(sql, true, 0);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s",
			 SPI_result_code_string(rc), sql);
}

/* Is the plan of a query nothing but a scan of this relation? */
bool
nvs_plan_scans(const char *sql, Oid relid)
{
	MemoryContext old = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);
	CachedPlan *cached;
	bool		scans;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	cached = SPI_plan_get_cached_plan(plan);
	scans = cached != NULL && list_length(cached->stmt_list) == 1 &&
		plan_is_scan(linitial_node(PlannedStmt, cached->stmt_list), relid);
	if (cached != NULL)
		ReleaseCachedPlan(cached, NULL);
	SPI_freeplan(plan);
	MemoryContextSwitchTo(old);
	return scans;
}

/* Is a plan a scan of this relation, by a node of PostgreSQL's own? */
static bool
plan_is_scan(const PlannedStmt *stmt, Oid relid)
{
	const Scan *scan = (const Scan *) stmt->planTree;

	switch (nodeTag(scan))
	{
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
			return rt_fetch(scan->scanrelid, stmt->rtable)->relid == relid;
		default:
			return false;
	}
}

/*
 * Run a query with parameters, as the caller: the first column of its first row
 * as text; NULL when that is NULL or there is no row.
 */
char *
nvs_plan_text(const char *sql, const NvsParams *params)
{
	MemoryContext old = CurrentMemoryContext;
	int			rc = SPI_execute_with_args(sql, params->n, params->types,
										   params->values, params->nulls,
										   false, 1);

	MemoryContextSwitchTo(old);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s: %s",
			 SPI_result_code_string(rc), sql);
	if (SPI_processed == 0)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* Begin an empty list of parameters. */
void
nvs_params_init(NvsParams *params)
{
	params->n = 0;
	params->size = NVS_FIRST_PARAMS;
	params->types = params->first_types;
	params->values = params->first_values;
	params->nulls = params->first_nulls;
}

/*
 * Add a parameter; returns its number, 1 for $1.  Raises 54000 when there are
 * too many.
 */
int
nvs_params_add(NvsParams *params, Oid type, Datum value, bool isnull)
{
	if (params->n == params->size)
		plan_params_enlarge(params);
	params->types[params->n] = type;
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	return ++params->n;
}

/*
 * Add arrays of n elements each as parameters, of types of elements that have
 * such arrays: what rows have in common is a column of them.  nulls, or those
 * of an array, may be NULL where there are none.  They are made in the current
 * memory context.
 */
void
nvs_params_add_arrays(NvsParams *params, const Oid *types,
					  Datum *const *values, bool *const *nulls, int narrays,
					  int n)
{
	int			i;

	for (i = 0; i < narrays; i++)
		nvs_params_add(params, get_array_type(types[i]),
					   nvs_array_of(types[i], values[i],
									nulls == NULL ? NULL : nulls[i], n),
					   false);
}

/* Add an argument of a SQL function as a parameter; returns its number. */
int
nvs_params_add_arg(NvsParams *params, FunctionCallInfo fcinfo, int n, Oid type)
{
	bool		isnull = PG_ARGISNULL(n);

	return nvs_params_add(params, type, isnull ? (Datum) 0 :
						  PG_GETARG_DATUM(n), isnull);
}

/* Double the room, in the current memory context. */
static void
plan_params_enlarge(NvsParams *params)
{
	int			size = params->size * 2;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;

	if (params->n >= NVS_MAX_PARAMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many fields in one call"),
				 errdetail("One call names at most %d values.",
						   NVS_MAX_PARAMS)));
	types = palloc(sizeof(Oid) * size);
	values = palloc(sizeof(Datum) * size);
	nulls = palloc(size);
	memcpy(types, params->types, sizeof(Oid) * params->n);
	memcpy(values, params->values, sizeof(Datum) * params->n);
	memcpy(nulls, params->nulls, params->n);
	params->size = size;
	params->types = types;
	params->values = values;
	params->nulls = nulls;
}
