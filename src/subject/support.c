/*
 * subject/support.c
 *	  Planner support of subject_matches() and kv_glob_matches().
 *
 * A constant pattern bounds an index by its literal prefix: "orders:eu:>" is
 * x >= 'orders:eu:' AND x < 'orders:eu;'.  That holds where the index orders
 * text by its bytes, and nowhere else, so an index of another collation is
 * refused.  The range is lossy, the executor checks each row again; only a
 * pattern without wildcards is an exact "=".  A pattern that is not constant
 * gets no index range, and one that is not valid raises an error even if no
 * row is ever looked at.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "subject/subject.h"

/*
 * Guesses for what cannot be asked of statistics: the share of the rows with
 * the prefix that also have what is behind it, in a pattern or in a glob.
 */
#define TOKEN_SEL		0.1		/* a literal token */
#define BYTE_SEL		0.2		/* a literal byte */
#define CLASS_SEL		0.25	/* a character of a class */

/* From so many histogram entries on, the share that matches is the estimate. */
#define ENOUGH_HISTOGRAM	100

/* Compiling a pattern costs about as much as matching so many rows. */
#define COMPILE_CALLS	1

/* What a constant pattern says, by itself, of the rows that it matches. */
typedef struct PatternFacts
{
	bool		is_literal;		/* matches just the prefix itself */
	int			len;			/* of the prefix; 0 says nothing */
	char		prefix[NVS_PATTERN_MAX_BYTES];
	double		rest_sel;		/* share of rows with the prefix that match */
} PatternFacts;

/* Sets what a pattern says of itself; false when it is not valid. */
typedef bool (*ExaminePattern) (const char *s, int len, PatternFacts *facts);

/* Raises an error unless the pattern is valid. */
typedef void (*ValidatePattern) (const char *s, int len);

PG_FUNCTION_INFO_V1(nvs_subject_matches_support);
PG_FUNCTION_INFO_V1(nvs_kv_glob_matches_support);

/* ExaminePattern for subject patterns. */
static bool
support_examine_pattern(const char *s, int len, PatternFacts *facts)
{
	NvsPattern *pattern = nvs_pattern_parse(s, len, NULL);
	int			t;

	if (pattern == NULL)
		return false;
	facts->len = nvs_pattern_prefix(pattern, &facts->is_literal);
	memcpy(facts->prefix, pattern->bytes, facts->len);
	facts->rest_sel = 1.0;
	for (t = pattern->prefix_tokens; t < pattern->ntokens; t++)
	{
		if (pattern->tokens[t].kind == NVS_TOKEN_LITERAL)
			facts->rest_sel *= TOKEN_SEL;
	}
	pfree(pattern);
	return true;
}

/* ValidatePattern for subject patterns. */
static void
support_validate_pattern(const char *s, int len)
{
	pfree(nvs_pattern_compile(s, len));
}

/*
 * ExaminePattern for globs.  A class is taken to end at its first ']', which
 * is near enough for a guess.
 */
static bool
support_examine_glob(const char *s, int len, PatternFacts *facts)
{
	const char *detail;
	bool		in_prefix = true;
	int			i;

	if (!nvs_glob_check(s, len, &detail))
		return false;

	/*
	 * What is behind the prefix: stars and question marks say nothing, each
	 * class and each literal byte makes it rarer.
	 */
	facts->len = nvs_glob_prefix(s, len, facts->prefix, &facts->is_literal);
	facts->rest_sel = 1.0;
	for (i = 0; i < len; i++)
	{
		/* From the first wildcard on it is not the prefix any more. */
		if (s[i] == '*' || s[i] == '?' || s[i] == '[')
			in_prefix = false;

		/* Escaped it is a literal byte, which counts below. */
		if (s[i] == '\\' && i + 1 < len)
			i++;
		else if (s[i] == '*' || s[i] == '?')
			continue;
		else if (s[i] == '[')
		{
			while (i < len && s[i] != ']')
				i++;
			facts->rest_sel *= CLASS_SEL;
			continue;
		}
		if (!in_prefix)
			facts->rest_sel *= BYTE_SEL;
	}
	return true;
}

/* The pattern of a call, if it is a constant that is not NULL; else NULL. */
static const Const *
support_constant(List *args)
{
	Node	   *node;

	if (list_length(args) != 2)
		return NULL;
	node = (Node *) lsecond(args);
	if (!IsA(node, Const) || ((Const *) node)->constisnull ||
		((Const *) node)->consttype != TEXTOID)
		return NULL;
	return (const Const *) node;
}

/* A text constant of these bytes. */
static Const *
support_text_const(const char *s, int len)
{
	return makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
					 PointerGetDatum(cstring_to_text_with_len(s, len)),
					 false, false);
}

/* Examine a constant pattern; NULL when it is not valid. */
static PatternFacts *
support_examine(const Const *pattern, ExaminePattern examine)
{
	text	   *bytes = DatumGetTextPP(pattern->constvalue);
	PatternFacts *facts = palloc0(sizeof(PatternFacts));

	if (examine(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), facts))
		return facts;
	pfree(facts);
	return NULL;
}

/*
 * The index clause "leftop op s", op being the operator of this strategy, as a
 * list; NIL if the index's operator family lacks it.
 */
static List *
support_clause(SupportRequestIndexCondition *req, Node *leftop, int strategy,
			   const char *s, int len)
{
	Oid			operator = get_opfamily_member(req->opfamily, TEXTOID, TEXTOID,
											   strategy);

	if (!OidIsValid(operator))
		return NIL;
	return list_make1(make_opclause(operator, BOOLOID, false,
									(Expr *) leftop,
									(Expr *) support_text_const(s, len),
									InvalidOid, req->indexcollation));
}

/*
 * Does the index order text by its bytes?  text_pattern_ops does in every
 * collation, text_ops does when the index, not the expression, has C.
 */
static bool
support_orders_bytes(const SupportRequestIndexCondition *req)
{
	if (req->opfamily == TEXT_PATTERN_BTREE_FAM_OID)
		return true;
	return req->opfamily == TEXT_BTREE_FAM_OID &&
		nvs_collation_is_c(req->indexcollation);
}

/*
 * The range of an index that has all texts with a prefix, as clauses; NIL if
 * the index's operator family lacks the operators.
 */
static List *
support_range(SupportRequestIndexCondition *req, Node *leftop,
			  const char *prefix, int len)
{
	List	   *lower_bound = support_clause(req, leftop,
											 BTGreaterEqualStrategyNumber,
											 prefix, len);
	char	   *upper = palloc(len);
	int			upper_len = nvs_prefix_upper(prefix, len, upper);

	if (upper_len == 0)
		return lower_bound;
	return list_concat(lower_bound,
					   support_clause(req, leftop, BTLessStrategyNumber,
									  upper, upper_len));
}

/* The clauses that an index can check in place of a call; NIL for none. */
static List *
support_conditions(SupportRequestIndexCondition *req, ExaminePattern examine)
{
	const Const *pattern;
	PatternFacts *facts;
	Node	   *leftop;

	/* Only for a constant pattern, and where the index orders bytes. */
	if (!is_funcclause(req->node) || req->indexarg != 0 ||
		!support_orders_bytes(req))
		return NIL;
	pattern = support_constant(((FuncExpr *) req->node)->args);
	if (pattern == NULL)
		return NIL;
	facts = support_examine(pattern, examine);
	if (facts == NULL)
		return NIL;

	/* A literal is found by equality, and nothing is left to check. */
	leftop = (Node *) linitial(((FuncExpr *) req->node)->args);
	if (facts->is_literal)
	{
		req->lossy = false;
		return support_clause(req, leftop, BTEqualStrategyNumber,
							  facts->prefix, facts->len);
	}

	if (facts->len == 0)
		return NIL;

	/* The executor checks each row of the range with the function. */
	req->lossy = true;
	return support_range(req, leftop, facts->prefix, facts->len);
}

/*
 * Share of a column's histogram that is on one side of a text, by a strategy
 * of btree; -1 if unknown.
 */
static double
support_side(PlannerInfo *root, VariableStatData *vardata, int strategy,
			 const char *s, int len)
{
	Oid			operator = get_opfamily_member(TEXT_BTREE_FAM_OID,
											   TEXTOID, TEXTOID, strategy);
	bool		is_lower = strategy == BTGreaterEqualStrategyNumber;
	FmgrInfo	proc;

	/* The histogram may be in the order of another collation; it copes. */
	fmgr_info(get_opcode(operator), &proc);
	return ineq_histogram_selectivity(root, vardata, operator, &proc,
									  is_lower, is_lower, C_COLLATION_OID,
									  support_text_const(s, len)->constvalue,
									  TEXTOID);
}

/* Share of a column's values that are equal to the prefix. */
static double
support_equal(VariableStatData *vardata, const PatternFacts *facts)
{
	Const	   *prefix = support_text_const(facts->prefix, facts->len);

	return var_eq_const(vardata, TextEqualOperator, C_COLLATION_OID,
						prefix->constvalue, false, true, false);
}

/* Share of a column's histogram that begins with the prefix. */
static double
support_prefix(PlannerInfo *root, VariableStatData *vardata,
			   const PatternFacts *facts)
{
	char	   *upper;
	int			upper_len;
	double		selec;

	if (facts->len == 0)
		return 1.0;
	selec = support_side(root, vardata, BTGreaterEqualStrategyNumber,
						 facts->prefix, facts->len);
	if (selec < 0.0)
		return DEFAULT_MATCH_SEL;
	upper = palloc(facts->len);
	upper_len = nvs_prefix_upper(facts->prefix, facts->len, upper);
	if (upper_len > 0)
		selec += support_side(root, vardata, BTLessStrategyNumber,
							  upper, upper_len) - 1.0;

	/* A range within one histogram bin has at least one value's share. */
	return Max(selec, support_equal(vardata, facts));
}

/*
 * Share of a column's histogram that matches: found by running the function
 * over it, if it is large enough for a sample; else, or to the extent that it
 * is not, the share that begins with the prefix, and a guess for the rest.
 */
static double
support_histogram(SupportRequestSelectivity *req, VariableStatData *vardata,
				  const Const *pattern, const PatternFacts *facts,
				  FmgrInfo *proc)
{
	double		selec;
	double		guess;
	double		trust;
	int			hist_size;

	selec = histogram_selectivity(vardata, proc, req->inputcollid,
								  pattern->constvalue, true, 10, 1,
								  &hist_size);
	if (hist_size < ENOUGH_HISTOGRAM)
	{
		guess = support_prefix(req->root, vardata, facts) * facts->rest_sel;
		trust = selec < 0.0 ? 0.0 : hist_size / (double) ENOUGH_HISTOGRAM;
		selec = selec * trust + guess * (1.0 - trust);
	}

	/* A sample that has no match, or nothing else, does not prove that. */
	return Min(Max(selec, 0.0001), 0.9999);
}

/*
 * Share of a column's values that match, found as for LIKE: the function is
 * run over the most common values; the histogram is of what is neither NULL
 * nor one of these.
 */
static double
support_share(SupportRequestSelectivity *req, VariableStatData *vardata,
			  const Const *pattern, const PatternFacts *facts)
{
	FmgrInfo	proc;
	double		selec;
	double		common;
	double		sumcommon;
	double		nullfrac = 0.0;

	fmgr_info(req->funcid, &proc);
	selec = support_histogram(req, vardata, pattern, facts, &proc);
	if (HeapTupleIsValid(vardata->statsTuple))
	{
		Form_pg_statistic stats;

		stats = (Form_pg_statistic) GETSTRUCT(vardata->statsTuple);
		nullfrac = stats->stanullfrac;
	}
	common = mcv_selectivity(vardata, &proc, req->inputcollid,
							 pattern->constvalue, true, &sumcommon);
	selec = selec * (1.0 - nullfrac - sumcommon) + common;
	CLAMP_PROBABILITY(selec);
	return selec;
}

/* Estimate the share of rows that match; false to leave it to the planner. */
static bool
support_selectivity(SupportRequestSelectivity *req, ExaminePattern examine)
{
	VariableStatData vardata;
	Node	   *other;
	bool		varonleft;
	const Const *pattern = support_constant(req->args);
	PatternFacts *facts;

	/* Without statistics, or without a constant, it is as good as LIKE. */
	req->selectivity = DEFAULT_MATCH_SEL;
	if (req->is_join || pattern == NULL)
		return true;
	facts = support_examine(pattern, examine);
	if (facts == NULL)
		return false;
	if (!get_restriction_variable(req->root, req->args, req->varRelid,
								  &vardata, &other, &varonleft))
		return true;

	if (varonleft && facts->is_literal)
		req->selectivity = support_equal(&vardata, facts);
	else if (varonleft)
		req->selectivity = support_share(req, &vardata, pattern, facts);
	ReleaseVariableStats(vardata);
	return true;
}

/*
 * Estimate the cost of a call, for which a constant pattern is compiled once,
 * another one perhaps for each row; false to leave it to the planner.
 */
static bool
support_cost(SupportRequestCost *req)
{
	if (req->node == NULL || !IsA(req->node, FuncExpr))
		return false;
	req->startup = 0.0;
	req->per_tuple = cpu_operator_cost;
	if (support_constant(((FuncExpr *) req->node)->args) != NULL)
		req->startup = COMPILE_CALLS * cpu_operator_cost;
	else
		req->per_tuple += COMPILE_CALLS * cpu_operator_cost;
	return true;
}

/* Raise an error for a call with a constant that is not a pattern. */
static void
support_check_constant(const FuncExpr *call, ValidatePattern validate)
{
	const Const *pattern = support_constant(call->args);
	text	   *bytes;

	if (pattern == NULL)
		return;
	bytes = DatumGetTextPP(pattern->constvalue);
	validate(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

/* Answer one request of the planner; NULL to leave it to the planner. */
static Node *
support_answer(Node *request, ExaminePattern examine, ValidatePattern validate)
{
	bool		done = false;
	FuncExpr   *call;
	List	   *conditions;

	switch (nodeTag(request))
	{
		case T_SupportRequestSimplify:
			/* Nothing is simpler than the call, but this is asked of each. */
			call = ((SupportRequestSimplify *) request)->fcall;
			support_check_constant(call, validate);
			break;
		case T_SupportRequestIndexCondition:
			conditions = support_conditions((void *) request, examine);
			return (Node *) conditions;
		case T_SupportRequestSelectivity:
			done = support_selectivity((void *) request, examine);
			break;
		case T_SupportRequestCost:
			done = support_cost((SupportRequestCost *) request);
			break;
		default:
			break;
	}
	return done ? request : NULL;
}

/* nvent.subject_matches_support(internal) */
Datum
nvs_subject_matches_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(support_answer((Node *) PG_GETARG_POINTER(0),
									 support_examine_pattern,
									 support_validate_pattern));
}

/* nvent.kv_glob_matches_support(internal) */
Datum
nvs_kv_glob_matches_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(support_answer((Node *) PG_GETARG_POINTER(0),
									 support_examine_glob, nvs_glob_validate));
}
