/*
 * base/statement.h
 *	  Statements, and where their plans are kept.
 *
 * A plan set belongs to a relation or to a store and goes with it.  A fixed
 * statement is a static constant: its plan is found in a set by its address.
 * One whose text depends on the fields that a call names is found by its text.
 * Statements on the registry alone belong to the backend's own set, NULL.
 */
#ifndef NVS_BASE_STATEMENT_H
#define NVS_BASE_STATEMENT_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/plan.h"

typedef struct NvsPlanSet NvsPlanSet;

/*
 * What makes sure that names of a set mean what they are to, before a statement
 * that has them is planned or run: bit n of names stands for the nth that was
 * defined.
 */
typedef void (*NvsNamesFunction) (void *arg, uint32 names);

/* Whether the values of parameters decide about a plan, as plan_cache_mode. */
typedef enum NvsPlanMode
{
	NVS_PLAN_GENERIC,			/* never: one plan serves all of them */
	NVS_PLAN_AUTO,				/* where plancache expects it to pay */
	NVS_PLAN_CUSTOM				/* it is planned for each execution */
} NvsPlanMode;

/*
 * A fixed statement.  In its text {name} stands for what the set defines by
 * that name, as {table} for the relation.  Types of parameters are those of
 * the first call.
 */
typedef struct NvsStatement
{
	const char *text;			/* or NULL, and then ... */
	void		(*build) (StringInfo sql, const void *arg); /* ... writes it */
	NvsPlanMode mode;
} NvsStatement;

extern NvsPlanSet *nvs_planset_create(MemoryContext cxt);
extern void nvs_planset_define(NvsPlanSet *set, const char *name,
							   const char *text);
extern void nvs_planset_guard(NvsPlanSet *set, uint32 names,
							  NvsNamesFunction function, void *arg);
extern void nvs_planset_by_index(NvsPlanSet *set);
extern SPIPlanPtr nvs_statement_plan(NvsPlanSet *set,
									 const NvsStatement *statement,
									 const NvsParams *params,
									 const void *arg);
extern SPIPlanPtr nvs_statement_plan_text(NvsPlanSet *set, const char *sql,
										  const NvsParams *params,
										  NvsPlanMode mode);
extern void nvs_defer_free(MemoryContext cxt, NvsPlanSet *set);

#endif							/* NVS_BASE_STATEMENT_H */
