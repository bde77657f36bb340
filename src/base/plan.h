/*
 * base/plan.h
 *	  Saved statements: the only way to SPI.
 *
 * Every statement is prepared once and kept.  Statements over a relation
 * belong to an NvsPlanSet, which is retired as a whole when the relation or
 * its route changes.  What is retired is freed only when no call of ours is
 * on the stack, since a trigger may call back into us while a plan runs.
 */
#ifndef NVS_BASE_PLAN_H
#define NVS_BASE_PLAN_H

#include "postgres.h"

#include "executor/spi.h"

/* Parameters that one statement may have. */
#define NVS_MAX_PARAMS	1664

/* Statements of a set that have a fixed text; each kind numbers its own. */
#define NVS_PLAN_SLOTS	24

typedef struct NvsPlanSet NvsPlanSet;

/* Parameters in the making: types, values and nulls, in the order of $n. */
typedef struct NvsParams
{
	int			n;
	int			size;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;			/* 'n' or ' ', as SPI wants it */
} NvsParams;

/* What is done with each row of a result; the slot holds it until return. */
typedef void (*NvsRowFunction) (TupleTableSlot *slot, void *arg);

extern void nvs_plan_init(void);

extern void nvs_spi_begin(void);
extern void nvs_spi_end(void);

extern SPIPlanPtr nvs_plan_prepare(const char *sql, int nargs,
								   const Oid *types, int cursor_options);
extern uint64 nvs_plan_execute(SPIPlanPtr plan, Datum *values,
							   const char *nulls, bool read_only, long count);
extern bool nvs_plan_first(SPIPlanPtr plan, Datum *values, const char *nulls,
						   bool read_only, MemoryContext cxt, Datum *result);
extern bool nvs_plan_row(SPIPlanPtr plan, Datum *values, const char *nulls,
						 bool read_only, MemoryContext cxt, int ncolumns,
						 Datum *row, bool *isnull);
extern uint64 nvs_plan_each(SPIPlanPtr plan, Datum *values, const char *nulls,
							bool read_only, NvsRowFunction function,
							void *arg);
extern void nvs_plan_utility(const char *sql);

extern NvsPlanSet *nvs_planset_create(MemoryContext cxt);
extern SPIPlanPtr *nvs_planset_slot(NvsPlanSet *set, int slot);
extern SPIPlanPtr nvs_planset_text(NvsPlanSet *set, const char *sql,
								   const NvsParams *params,
								   int cursor_options);
extern void nvs_defer_free(MemoryContext cxt, NvsPlanSet *set);

extern void nvs_params_init(NvsParams *params);
extern int	nvs_params_add(NvsParams *params, Oid type, Datum value,
						   bool isnull);

#endif							/* NVS_BASE_PLAN_H */
