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
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/statement.h"

#define MAX_TEXTS	256

/* Names that a set defines for the texts of its statements. */
#define MAX_NAMES	8

/* The plan of a fixed statement. */
typedef struct FixedPlan
{
	const NvsStatement *statement;	/* hash key */
	SPIPlanPtr	plan;
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

/* A statement found by its text. */
typedef struct TextPlan
{
	const char *sql;			/* hash key; in the set's context */
	SPIPlanPtr	plan;
} TextPlan;

typedef struct TextName
{
	const char *name;
	const char *text;
} TextName;

struct NvsPlanSet
{
	MemoryContext cxt;
	fixed_hash *fixed;			/* FixedPlan, NULL until one is needed */
	SPIPlanPtr	slots[NVS_PLAN_SLOTS];
	MemoryContext texts_cxt;	/* of texts and the strings in it */
	HTAB	   *texts;			/* TextPlan, NULL until one is needed */
	int			nnames;
	TextName	names[MAX_NAMES];
};

/* The plans of statements on nothing but the registry. */
static NvsPlanSet *own_set = NULL;

static void expand_names(const NvsPlanSet *set, const char *text,
						 StringInfo sql);
static const char *find_name(const NvsPlanSet *set, const char *name,
							 int len);
static SPIPlanPtr prepare_fixed(NvsPlanSet *set, const NvsStatement *statement,
								const NvsParams *params, const void *arg);
static uint32 text_hash(const void *key, Size keysize);
static int	text_match(const void *a, const void *b, Size keysize);
static void *text_copy(void *dest, const void *src, Size keysize);
static void create_texts(NvsPlanSet *set);
static void drop_texts(NvsPlanSet *set);

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
			return fixed->plan;
	}
	return prepare_fixed(set, statement, params, arg);
}

/* Prepare a fixed statement and enter its plan. */
static SPIPlanPtr
prepare_fixed(NvsPlanSet *set, const NvsStatement *statement,
			  const NvsParams *params, const void *arg)
{
	StringInfoData sql;
	SPIPlanPtr	plan;
	bool		found;

	initStringInfo(&sql);
	if (statement->text != NULL)
		expand_names(set, statement->text, &sql);
	else
		statement->build(&sql, arg);
	plan = nvs_plan_prepare(sql.data, params == NULL ? 0 : params->n,
							params == NULL ? NULL : params->types,
							statement->by_value ? 0 : CURSOR_OPT_GENERIC_PLAN);
	pfree(sql.data);

	/* Entered last: an error leaves nothing behind. */
	if (set->fixed == NULL)
		set->fixed = fixed_create(set->cxt, 16, NULL);
	fixed_insert(set->fixed, statement, &found)->plan = plan;
	return plan;
}

/* Copy text to sql with each {name} replaced by what the set defines. */
static void
expand_names(const NvsPlanSet *set, const char *text, StringInfo sql)
{
	const char *p = text;

	while (*p != '\0')
	{
		int			len = *p == '{' ?
			(int) strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_") : 0;

		if (len > 0 && p[len + 1] == '}')
		{
			appendStringInfoString(sql, find_name(set, p + 1, len));
			p += len + 2;
		}
		else
			appendStringInfoChar(sql, *p++);
	}
}

/* What a set defines by this name. */
static const char *
find_name(const NvsPlanSet *set, const char *name, int len)
{
	int			i;

	for (i = 0; i < set->nnames; i++)
		if (strncmp(set->names[i].name, name, len) == 0 &&
			set->names[i].name[len] == '\0')
			return set->names[i].text;
	elog(ERROR, "unexpected name \"%.*s\" in a statement", len, name);
	return NULL;				/* keep the compiler quiet */
}

/* The plan of a statement found by its text, prepared on its first use. */
SPIPlanPtr
nvs_statement_plan_text(NvsPlanSet *set, const char *sql,
						const NvsParams *params, NvsPlanMode mode)
{
	static const int options[] = {
		CURSOR_OPT_GENERIC_PLAN, 0, CURSOR_OPT_CUSTOM_PLAN
	};

	return nvs_planset_text(set, sql, params, options[mode]);
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

	if (hash_get_num_entries(set->texts) >= MAX_TEXTS)
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

/* Drop the statements found by text, keep the fixed ones. */
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
	SPIPlanPtr *plans;
	int			n = NVS_PLAN_SLOTS;
	int			i;

	if (set == NULL)
	{
		nvs_defer_free_plans(cxt, NULL, 0);
		return;
	}
	n += set->fixed == NULL ? 0 : set->fixed->members;
	n += set->texts == NULL ? 0 : hash_get_num_entries(set->texts);
	plans = palloc(sizeof(SPIPlanPtr) * n);
	n = 0;

	for (i = 0; i < NVS_PLAN_SLOTS; i++)
		if (set->slots[i] != NULL)
			plans[n++] = set->slots[i];
	if (set->fixed != NULL)
	{
		fixed_iterator scan;
		FixedPlan  *fixed;

		fixed_start_iterate(set->fixed, &scan);
		while ((fixed = fixed_iterate(set->fixed, &scan)) != NULL)
			plans[n++] = fixed->plan;
	}
	if (set->texts != NULL)
	{
		HASH_SEQ_STATUS scan;
		TextPlan   *text;

		hash_seq_init(&scan, set->texts);
		while ((text = hash_seq_search(&scan)) != NULL)
			plans[n++] = text->plan;
	}
	nvs_defer_free_plans(cxt, plans, n);
	pfree(plans);
}
