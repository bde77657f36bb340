/*
 * base/statement.c
 *	  Statements, and where their plans are kept.
 *
 * A set keeps the plans of fixed statements by the address of the statement,
 * and others by their text.  The latter are bounded: past MAX_TEXTS all of
 * them are dropped, since a set that large holds shapes that do not come back.
 *
 * plancache revalidates what we keep (DDL, search_path, RLS and role).  A plan
 * is dropped only when its text is wrong.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "base/by_index.h"
#include "base/statement.h"

/* Statements found by their text that a set may hold. */
#define MAX_TEXTS	256

/* Names that a set may define for its fixed statements. */
#define MAX_NAMES	16

/* The plan of a fixed statement. */
typedef struct FixedPlan
{
	const NvsStatement *statement;	/* hash key */
	SPIPlanPtr	plan;
	uint32		names;			/* that it has and the set guards */
	char		status;			/* of simplehash */
} FixedPlan;

#define SH_PREFIX		fixed
#define SH_ELEMENT_TYPE	FixedPlan
#define SH_KEY_TYPE		const NvsStatement *
#define SH_KEY			statement
#define SH_HASH_KEY(tb, key)	murmurhash32((uint32) ((uintptr_t) (key) >> 4))
#define SH_EQUAL(tb, a, b)		((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The plan of a statement that is found by its text. */
typedef struct TextPlan
{
	const char *sql;			/* hash key; in the set's texts_cxt */
	SPIPlanPtr	plan;
	uint32		hash;
	char		status;			/* of simplehash */
} TextPlan;

#define SH_PREFIX		text
#define SH_ELEMENT_TYPE	TextPlan
#define SH_KEY_TYPE		const char *
#define SH_KEY			sql
#define SH_HASH_KEY(tb, key) \
	hash_bytes((const unsigned char *) (key), (int) strlen(key))
#define SH_EQUAL(tb, a, b)		(strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)		((a)->hash)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What {name} stands for in the fixed statements of a set. */
typedef struct SetName
{
	const char *name;
	const char *text;
} SetName;

struct NvsPlanSet
{
	MemoryContext cxt;
	bool		is_freed;		/* when no call is on the stack */
	bool		by_index;		/* how plans for all parameters go */
	fixed_hash *fixed;			/* FixedPlan, NULL until one is needed */
	MemoryContext texts_cxt;	/* of texts and the strings in it */
	text_hash  *texts;			/* TextPlan, NULL until one is needed */
	int			nnames;
	SetName		names[MAX_NAMES];
	uint32		guarded;		/* names that guard() is called for */
	NvsNamesFunction guard;
	void	   *guard_arg;
};

/* What a mode is for the planner. */
static const int plan_options[] = {
	[NVS_PLAN_GENERIC] = CURSOR_OPT_GENERIC_PLAN,
	[NVS_PLAN_AUTO] = 0,
	[NVS_PLAN_CUSTOM] = CURSOR_OPT_CUSTOM_PLAN
};

/* The plans of statements on nothing but the registry. */
static NvsPlanSet *own_set = NULL;

#ifdef USE_ASSERT_CHECKING
static bool statement_fits(SPIPlanPtr plan, const NvsParams *params);
#endif
static SPIPlanPtr statement_prepare(NvsPlanSet *set,
									const NvsStatement *statement,
									const NvsParams *params, const void *arg);
static uint32 statement_expand(const NvsPlanSet *set, const char *text,
							   StringInfo sql);
static int	planset_options(const NvsPlanSet *set, NvsPlanMode mode);
static int	planset_find_name(const NvsPlanSet *set, const char *name, int len);
static void planset_added(const NvsPlanSet *set, SPIPlanPtr plan);
static void planset_create_texts(NvsPlanSet *set);
static void planset_drop_texts(NvsPlanSet *set);
static int	planset_collect(const NvsPlanSet *set, SPIPlanPtr *plans);

/* Make an empty plan set in cxt. */
NvsPlanSet *
nvs_planset_create(MemoryContext cxt)
{
	NvsPlanSet *set = MemoryContextAllocZero(cxt, sizeof(NvsPlanSet));

	set->cxt = cxt;
	return set;
}

/*
 * Have {name} stand for text in the set's fixed statements.  Both strings must
 * live as long as the set.
 */
void
nvs_planset_define(NvsPlanSet *set, const char *name, const char *text)
{
	if (set->nnames == MAX_NAMES)
		elog(ERROR, "unexpected number of names in a plan set");
	set->names[set->nnames].name = name;
	set->names[set->nnames].text = text;

	set->nnames++;
}

/*
 * Call a function before a fixed statement that has some of these names is
 * handed out, with those that it has; with all of them for a statement that is
 * built.  The function must leave the set as it is.
 */
void
nvs_planset_guard(NvsPlanSet *set, uint32 names, NvsNamesFunction function,
				  void *arg)
{
	set->guarded = names;
	set->guard = function;
	set->guard_arg = arg;
}

/*
 * Have the plans of a set that serve all parameters go by indexes.  Those that
 * are made for the values of some are made for the tables as they are, too.
 */
void
nvs_planset_by_index(NvsPlanSet *set)
{
	set->by_index = true;
}

/* What a mode is for the planner, in a set. */
static int
planset_options(const NvsPlanSet *set, NvsPlanMode mode)
{
	return plan_options[mode] |
		(set->by_index && mode == NVS_PLAN_GENERIC ? NVS_CURSOR_BY_INDEX : 0);
}

/*
 * The plan of a fixed statement in a set, prepared on its first use; arg is
 * what its build function is to know.  A set of NULL is the backend's own.
 */
SPIPlanPtr
nvs_statement_plan(NvsPlanSet *set, const NvsStatement *statement,
				   const NvsParams *params, const void *arg)
{
	FixedPlan  *fixed;

	if (set == NULL)
	{
		if (own_set == NULL)
			own_set = nvs_planset_create(TopMemoryContext);
		set = own_set;
	}
	if (likely(set->fixed != NULL))
	{
		fixed = fixed_lookup(set->fixed, statement);
		if (likely(fixed != NULL))
		{
			SPIPlanPtr	plan = fixed->plan;

			Assert(statement_fits(plan, params));
			if (fixed->names != 0)
				set->guard(set->guard_arg, fixed->names);
			return plan;
		}
	}
	return statement_prepare(set, statement, params, arg);
}

#ifdef USE_ASSERT_CHECKING
/*
 * Is a plan for parameters of these types?  A statement is found without them,
 * and with others a number would be taken for an address.
 */
static bool
statement_fits(SPIPlanPtr plan, const NvsParams *params)
{
	int			n = params == NULL ? 0 : params->n;
	int			i;

	if (SPI_getargcount(plan) != n)
		return false;
	for (i = 0; i < n; i++)
		if (SPI_getargtypeid(plan, i) != params->types[i])
			return false;
	return true;
}
#endif

/* Prepare a fixed statement and enter its plan. */
static SPIPlanPtr
statement_prepare(NvsPlanSet *set, const NvsStatement *statement,
				  const NvsParams *params, const void *arg)
{
	StringInfoData sql;
	uint32		names = set->guarded;
	FixedPlan  *fixed;
	SPIPlanPtr	plan;
	bool		found;

	initStringInfo(&sql);
	if (statement->text !=NULL)
		names &= statement_expand(set, statement->text, &sql);
	else
		statement->build(&sql, arg);
	if (names != 0)
		set->guard(set->guard_arg, names);
	plan = nvs_plan_prepare(sql.data, params == NULL ? 0 : params->n,
							params == NULL ? NULL : params->types,
							planset_options(set, statement->mode));
	pfree(sql.data);

	/* Entered last: an error leaves nothing behind. */
	if (set->fixed == NULL)
		set->fixed = fixed_create(set->cxt, 16, NULL);
	fixed = fixed_insert(set->fixed, statement, &found);
	fixed->plan = plan;
	fixed->names = names;
	planset_added(set, plan);
	return plan;
}

/*
 * A plan was added to a set.  One that a call goes on with, though it is not to
 * be used again, is freed with the plans that it had, and so is this one.
 */
static void
planset_added(const NvsPlanSet *set, SPIPlanPtr plan)
{
	if (unlikely(set->is_freed))
		nvs_defer_free_plans(NULL, &plan, 1);
}

/*
 * Copy text to sql with each {name} replaced by what the set defines.  Returns
 * which names there were.
 */
static uint32
statement_expand(const NvsPlanSet *set, const char *text, StringInfo sql)
{
	const char *p = text;
	uint32		names = 0;

	while (*p != '\0')
	{
		int			len = *p == '{' ?
			(int) strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_") : 0;

		if (len > 0 && p[len + 1] == '}')
		{
			int			i = planset_find_name(set, p + 1, len);

			appendStringInfoString(sql, set->names[i].text);
			names |= (uint32) 1 << i;
			p += len + 2;
		}
		else
			appendStringInfoChar(sql, *p++);
	}
	return names;
}

/* Which name of a set this is. */
static int
planset_find_name(const NvsPlanSet *set, const char *name, int len)
{
	int			i;

	for (i = 0; i < set->nnames; i++)
		if (strncmp(set->names[i].name, name, len) == 0 &&
			set->names[i].name[len] == '\0')
			return i;
	elog(ERROR, "unexpected name \"%.*s\" in a statement", len, name);
	return -1;					/* keep the compiler quiet */
}

/*
 * The plan of a statement that is found by its text, prepared on its first
 * use.
 */
SPIPlanPtr
nvs_statement_plan_text(NvsPlanSet *set, const char *sql,
						const NvsParams *params, NvsPlanMode mode)
{
	TextPlan   *entry;
	SPIPlanPtr	plan;
	bool		found;

	if (set->texts == NULL)
		planset_create_texts(set);
	entry = text_lookup(set->texts, sql);
	if (entry != NULL)
	{
		Assert(statement_fits(entry->plan, params));
		return entry->plan;
	}

	/* Prepared and entered last: an error leaves nothing behind. */
	if (set->texts->members >= MAX_TEXTS)
		planset_drop_texts(set);
	plan = nvs_plan_prepare(sql, params->n, params->types,
							planset_options(set, mode));
	sql = MemoryContextStrdup(set->texts_cxt, sql);
	text_insert(set->texts, sql, &found)->plan = plan;
	planset_added(set, plan);
	return plan;
}

/* Make the hash table of statements that are found by their text. */
static void
planset_create_texts(NvsPlanSet *set)
{
	set->texts_cxt = AllocSetContextCreate(set->cxt, "nvent_store statements",
										   ALLOCSET_SMALL_SIZES);
	set->texts = text_create(set->texts_cxt, 16, NULL);
}

/*
 * Drop the statements found by text, keep the fixed ones.  Of a set that is to
 * be freed all plans are, already.
 */
static void
planset_drop_texts(NvsPlanSet *set)
{
	NvsPlanSet	texts_only;

	memset(&texts_only, 0, sizeof(texts_only));
	texts_only.texts = set->texts;
	MemoryContextSetParent(set->texts_cxt, TopMemoryContext);
	nvs_defer_free(set->texts_cxt, set->is_freed ? NULL : &texts_only);
	planset_create_texts(set);
}

/*
 * Free cxt and the plans of set (either may be NULL) as soon as no call of
 * ours is on the stack.  The set is not to be used again.
 */
void
nvs_defer_free(MemoryContext cxt, NvsPlanSet *set)
{
	SPIPlanPtr *plans;
	int			n = 0;

	if (set == NULL)
	{
		nvs_defer_free_plans(cxt, NULL, 0);
		return;
	}
	n += set->fixed == NULL ? 0 : set->fixed->members;
	n += set->texts == NULL ? 0 : set->texts->members;
	plans = palloc(sizeof(SPIPlanPtr) * n);
	nvs_defer_free_plans(cxt, plans, planset_collect(set, plans));
	set->is_freed = true;
	pfree(plans);
}

/* Copy a set's plans to plans, which has room for all; returns their number. */
static int
planset_collect(const NvsPlanSet *set, SPIPlanPtr *plans)
{
	fixed_iterator fixed_scan;
	text_iterator text_scan;
	FixedPlan  *fixed;
	TextPlan   *by_text;
	int			n = 0;

	if (set->fixed != NULL)
	{
		fixed_start_iterate(set->fixed, &fixed_scan);
		while ((fixed = fixed_iterate(set->fixed, &fixed_scan)) != NULL)
			plans[n++] = fixed->plan;
	}
	if (set->texts != NULL)
	{
		text_start_iterate(set->texts, &text_scan);
		while ((by_text = text_iterate(set->texts, &text_scan)) != NULL)
			plans[n++] = by_text->plan;
	}
	return n;
}
