/*
 * route/copy.c
 *	  COPY into tables of events: what their default is there.
 *
 * COPY puts rows into a table together, except where a default is volatile, as
 * such a function might look at the table; nextval() alone is known not to.
 * nvent.next_position() does not either, but cannot be labelled otherwise: a
 * query would draw before it sorts its rows and leaves some out, and ALTER
 * TABLE ADD COLUMN would draw one position for all rows.  So it is another
 * function, of another label, where COPY prepares its defaults, and nowhere
 * else: a hook tells when a COPY is what is being run.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/supportnodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "base/arg.h"
#include "position/position.h"
#include "route/route.h"

/* Positions that are drawn at once when so many have been. */
#define COPY_AHEAD	32

/* Positions that a statement has drawn, some for rows that are yet to come. */
typedef struct CopyAhead
{
	LocalTransactionId transaction;
	uint32		store;			/* its number */
	uint64		ndrawn;			/* in all */
	int			n;
	int			next;
	int64		positions[COPY_AHEAD];
} CopyAhead;

PG_FUNCTION_INFO_V1(nvs_next_position_support);
PG_FUNCTION_INFO_V1(nvs_next_position_in_copy);

/* Is a COPY FROM the innermost statement of its kind that is being run? */
static bool copy_runs = false;

static ProcessUtility_hook_type prev_ProcessUtility = NULL;

static void copy_hook(PlannedStmt *pstmt, const char *query, bool read_only,
					  ProcessUtilityContext context, ParamListInfo params,
					  QueryEnvironment *env, DestReceiver *dest,
					  QueryCompletion *qc);
static Oid	copy_function(Oid beside, const char *name);
static CopyAhead *copy_begin(FmgrInfo *flinfo);

/* Set the hook. */
void
nvs_copy_init(void)
{
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = copy_hook;
}

/* ProcessUtility hook. */
static void
copy_hook(PlannedStmt *pstmt, const char *query, bool read_only,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	bool		outer = copy_runs;

	copy_runs = IsA(statement, CopyStmt) && ((CopyStmt *) statement)->is_from;
	PG_TRY();
	{
		if (prev_ProcessUtility != NULL)
			prev_ProcessUtility(pstmt, query, read_only, context, params,
								env, dest, qc);
		else
			standard_ProcessUtility(pstmt, query, read_only, context, params,
									env, dest, qc);
	}
	PG_FINALLY();
	{
		copy_runs = outer;
	}
	PG_END_TRY();
}

/*
 * Planner support of nvent.next_position(): in an expression that stands by
 * itself, and not in a query, it is nvent.next_position_in_copy() in a COPY.
 */
Datum
nvs_next_position_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request =
		(SupportRequestSimplify *) PG_GETARG_POINTER(0);
	Oid			function;

	if (!copy_runs || !IsA(request, SupportRequestSimplify) ||
		request->root != NULL)
		PG_RETURN_POINTER(NULL);
	function = copy_function(request->fcall->funcid, "next_position_in_copy");
	if (!OidIsValid(function))
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(makeFuncExpr(function, INT8OID, request->fcall->args,
								   InvalidOid, request->fcall->inputcollid,
								   COERCE_EXPLICIT_CALL));
}

/* The function of this name that takes a store, beside one of ours, if any. */
static Oid
copy_function(Oid beside, const char *name)
{
	Oid text = TEXTOID;

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(&text, 1)),
						   ObjectIdGetDatum(get_func_namespace(beside)));
}

/*
 * nvent.next_position_in_copy(store): as nvent.next_position(), for who may
 * execute that.  Where it is called again and again it draws some ahead.  They
 * are of no use to another transaction, whose low-water mark may be above them.
 */
Datum
nvs_next_position_in_copy(PG_FUNCTION_ARGS)
{
	CopyAhead  *ahead = fcinfo->flinfo->fn_extra;
	text	   *store;
	uint32		number;

	NVS_REQUIRE_ARG(0, "store");
	if (ahead == NULL)
		ahead = fcinfo->flinfo->fn_extra = copy_begin(fcinfo->flinfo);
	store = PG_GETARG_TEXT_PP(0);
	number = nvs_draw_require(VARDATA_ANY(store), VARSIZE_ANY_EXHDR(store));
	if (ahead->next == ahead->n || ahead->store != number ||
		ahead->transaction != nvs_transaction_id())
	{
		/* As many as there were so far: few rows draw few. */
		int			n = Min(Max(ahead->ndrawn, 1), COPY_AHEAD);

		ahead->next = ahead->n = 0;
		nvs_position_draw(number, ahead->positions, n);
		ahead->transaction = nvs_transaction_id();
		ahead->store = number;
		ahead->ndrawn += n;
		ahead->n = n;
	}
	PG_RETURN_INT64(ahead->positions[ahead->next++]);
}

/* Begin to draw, for a caller who must be allowed to. */
static CopyAhead *
copy_begin(FmgrInfo *flinfo)
{
	Oid			function = copy_function(flinfo->fn_oid, "next_position");

	if (!OidIsValid(function) || !nvs_may_execute(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, "next_position");
	return MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CopyAhead));
}
